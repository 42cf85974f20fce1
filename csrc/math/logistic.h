/* softplus(x) = log(1 + e^x) and sigmoid(x) = 1/(1 + e^-x), its derivative, as double words.

   Both are known at the points a = k/16, to two words. For x = a + s, |s| <= 1/32, let p = e^s - 1 and w = sigmoid(a):
     softplus(x) = log((1 + e^a) (1 + w p)) = softplus(a) + log1p(w p)
     sigmoid(x) = w e^s / (1 + w p) = w + w (1 - w) p / (1 + w p)
   Beside its table value either correction is below 2^-5 (relatively too, at the far negative end, where both functions
   behave as e^x), so its own few rounding errors count for little: the sum of the two words has 2^-5 ulp of error. */

#ifndef FASTLOG_LOGISTIC_H
#define FASTLOG_LOGISTIC_H

#include "double_word.h"
#include "exp.h"
#include "polynomial.h"

#if FL_WIDTH == 32
#include "coefficients/logistic_f32.h"
#else
#include "coefficients/logistic_f64.h"
#endif

/* Above END, softplus(x) rounds to x and sigmoid(x) to 1; below -END, both are e^x to 2^-5 ulp. */
#define END ((real)LOGISTIC_END)

typedef struct {
    dw softplus, sigmoid; /* at a */
    vec p;                /* e^s - 1 */
} expansion;

/* The point next to x + x_lo; x is moved to the nearer end first where it is outside (nan counts as above).
   16 x is rounded by adding 1.5 2^p, as in exp; the low bits of the sum are the number of the row. a and s are exact.
 */
INLINE expansion m_expand(vec x, vec x_lo) {
    vec rounder = v_set(ROUNDER + LOGISTIC_END * LOGISTIC_STEPS), row[4];
    vec inside = v_max(v_set(-END), v_min(x, v_set(END)));
    vec shifted = v_fma(inside, v_set(LOGISTIC_STEPS), rounder);
    vec s = v_add(v_fnma(v_sub(shifted, rounder), v_set(REAL(1.0) / LOGISTIC_STEPS), inside), x_lo);
    v_rows(logistic_rows, i_and(v_bits(shifted), i_set(0xfff)), row);
    vec p = v_fma(v_mul(s, s), POLYNOMIAL(s, expm1_tail), s);
    return (expansion){{row[0], row[1]}, {row[2], row[3]}, p};
}

INLINE dw m_softplus(vec x, vec x_lo) {
    expansion e = m_expand(x, x_lo);
    vec z = v_mul(e.sigmoid.hi, e.p);
    vec low = v_fma(v_mul(z, z), POLYNOMIAL(z, log1p_small), e.softplus.lo);
    return (dw){e.softplus.hi, v_add(z, low)};
}

/* 1 - w needs no digits of its own: its error is measured by w. */
INLINE dw m_sigmoid(vec x) {
    expansion e = m_expand(x, v_set(0));
    vec w = e.sigmoid.hi;
    vec change = v_div(v_mul(v_fnma(w, w, w), e.p), v_fma(w, e.p, v_set(1)));
    return (dw){w, v_add(e.sigmoid.lo, change)};
}

/* log(1 + e^(x + x_lo)) for NORMAL_MIN <= x <= 0; lower x count as NORMAL_MIN, where the result is the least that it can
   be without arithmetic on subnormals. nan counts as 0. Below -END it is e^x, whose own error is 0.15 ulp. */
INLINE dw m_log1pexp(vec x, vec x_lo) {
    dw y = m_softplus(x, x_lo);
    mask far = v_lt(x, v_set(-END));
    if (m_any(far)) {
        scaled e = m_exp_dw(v_max(v_set(NORMAL_MIN), x), x_lo, v_set(ROUNDER));
        vec power = m_power_of_two(e.exponent);
        y.hi = v_select(far, v_mul(e.mantissa.hi, power), y.hi);
        y.lo = v_select(far, v_mul(e.mantissa.lo, power), y.lo);
    }
    return y;
}

#endif
