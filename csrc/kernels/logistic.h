/* softplus, log_sigmoid, sigmoid, silu and logaddexp. */

#ifndef FASTLOG_KERNELS_LOGISTIC_H
#define FASTLOG_KERNELS_LOGISTIC_H

#include "math/log1pexp.h"

/* softplus(x) = log(1 + e^x) = max(x, 0) + log1p(e^-|x|).
   -|x| <= 0, so exp cannot overflow and log1p's argument is in (0, 1]. Far below 0 it is e^x, down to the subnormals.
   Error: both terms are >= 0, so their relative errors do not amplify; the sum rounds once. */
INLINE vec k_softplus(vec x) {
    vec y = dw_add_to(v_max(v_set(0), x), m_log1pexp(v_neg(v_abs(x)), v_set(0)));
    mask subnormal = v_lt(x, v_set(NORMAL_MIN));
    if (m_any(subnormal)) y = v_select(subnormal, m_exp_subnormal(x), y);
    return y;
}

/* log_sigmoid(x) = -log(1 + e^-x) = -softplus(-x); the negation is exact, and gives -0 where e^-x underflows. */
INLINE vec k_log_sigmoid(vec x) { return v_neg(k_softplus(v_neg(x))); }

/* sigmoid(x) = 1/(1 + e^-x) = e^x/(1 + e^x): with t = e^-|x|, either 1 or t over 1 + t. */
typedef struct {
    dw numerator, denominator;
} fraction;

INLINE fraction sigmoid_fraction(vec x) {
    scaled e = m_exp(v_max(v_set(NORMAL_MIN), v_neg(v_abs(x))), v_set(ROUNDER));
    vec power = m_power_of_two(e.exponent);
    dw t = {v_mul(e.mantissa.hi, power), v_mul(e.mantissa.lo, power)};
    mask negative = v_lt(x, v_set(0));
    dw numerator = {v_select(negative, t.hi, v_set(1)), v_select(negative, t.lo, v_set(0))};
    return (fraction){numerator, dw_fast_two_sum(v_set(1), t.hi)};
}

/* Far below 0, sigmoid is e^x.
   Error: 0.5 ulp from t in the numerator, less than half that in the denominator; the corrected quotient rounds. */
INLINE vec k_sigmoid(vec x) {
    fraction f = sigmoid_fraction(x);
    vec y = dw_quotient(f.numerator, f.denominator);
    mask subnormal = v_lt(x, v_set(NORMAL_MIN));
    if (m_any(subnormal)) y = v_select(subnormal, m_exp_subnormal(x), y);
    return y;
}

/* silu(x) = x sigmoid(x), with the quotient and the product in two words, rounded once.
   Far below 0 it is x e^x, scaled as a whole, as low words or e^x may be subnormal where the product is not. At -inf it
   is -0.
   Error: that of sigmoid, and the rounding of the low words. */
INLINE vec k_silu(vec x) {
    fraction f = sigmoid_fraction(x);
    dw s = dw_div(f.numerator, f.denominator), product = dw_mul(x, s.hi);
    vec sum = v_add(product.hi, v_fma(x, s.lo, product.lo));
    mask ordinary = m_and(v_lt(v_abs(x), v_set(REAL_INFINITY)), v_ne(sum, v_set(0)));
    vec y = v_select(ordinary, sum, product.hi); /* which has the sign of 0, and no inf - inf */
    y = v_select(v_eq(x, x), y, x);
    mask small = v_lt(x, v_set(REAL(0.8) * NORMAL_MIN));
    if (m_any(small)) {
        vec above_floor = v_max(v_set(FLOOR), x);
        scaled e = m_exp_dw(above_floor, v_set(0), v_set(ROUNDER));
        dw scaled_product = dw_mul(v_neg(above_floor), e.mantissa.hi);
        vec low = v_fma(v_neg(above_floor), e.mantissa.lo, scaled_product.lo);
        y = v_select(small, v_neg(m_scale(v_add(scaled_product.hi, low), e.exponent)), y);
    }
    return y;
}

/* logaddexp(a, b) = log(e^a + e^b) = max(a, b) + log1p(e^-|a-b|), with the rounding error of a - b kept.
   Equal infinities leave no difference (inf - inf), and where e^(a-b) does not show, no rounding error is kept.
   A subnormal second term shows only beside a maximum that is as small.
   Error: near e^a + e^b = 1 the two terms cancel; then the error of log1p, 0.3 of its ulp, remains. */
INLINE vec k_logaddexp(vec a, vec b) {
    vec max = v_max(a, b), min = v_select(v_eq(max, a), b, a);
    dw d = dw_two_sum(min, v_neg(max));
    mask near = v_lt(v_set(NORMAL_MIN), d.hi);
    vec y = dw_add_to(max, m_log1pexp(d.hi, v_select(near, d.lo, v_set(0))));
    mask subnormal = m_and(v_lt(d.hi, v_set(NORMAL_MIN)), v_lt(v_abs(max), v_set(1)));
    if (m_any(subnormal)) y = v_select(subnormal, v_add(max, m_exp_subnormal(d.hi)), y);
    return v_select(v_eq(a, a), y, a);
}

#endif
