/* softplus, log_sigmoid, sigmoid, silu and logaddexp. */

#ifndef FASTLOG_KERNELS_LOGISTIC_H
#define FASTLOG_KERNELS_LOGISTIC_H

#include "math/logistic.h"
#include "math/near_zero.h"

/* softplus(x) = log(1 + e^x), and far below 0 e^x. */
INLINE vec k_softplus(vec x) { return m_with_exp_tail(m_softplus_word(x), x); }

/* log_sigmoid(x) = -log(1 + e^-x) = -softplus(-x); the negation is exact, and gives -0 where e^-x underflows. */
INLINE vec k_log_sigmoid(vec x) { return v_neg(k_softplus(v_neg(x))); }

/* sigmoid(x) = 1/(1 + e^-x), and far below 0 e^x. */
INLINE vec k_sigmoid(vec x) { return m_with_exp_tail(m_sigmoid_word(x), x); }

/* silu(x) = x sigmoid(x). Far below 0 it is x e^x, scaled as a whole, as e^x may be subnormal where the product is not;
   at -inf it is -0.
   Error: that of sigmoid below 0, less above, and one rounding. */
INLINE vec k_silu(vec x) {
    vec y = m_silu_word(x);
    mask far = v_lt(x, v_set(WORD_MIN));
    if (mask_any(far)) y = v_select(far, v_neg(m_minus_x_exp(v_min(x, v_set(WORD_MIN)))), y);
    return y;
}

/* logaddexp(a, b) = log(e^a + e^b) = max(a, b) + log1p(e^-|a-b|), with the rounding error of a - b kept.
   Where an argument is infinite the result is the maximum, where one is nan it is nan; the difference tells. The result
   0 is +0, even of -0 and -inf, as it is log(1).
   Error: 1/2 ulp from the sum, and the error of log1p, a small part of its ulp, times how much the two terms cancel: in
   all below 2 ulp; nearer to e^a + e^b = 1, max and log1p are not used. */
INLINE vec k_logaddexp(vec a, vec b) {
    vec max = v_max(a, b), min = v_min(b, a); /* both are nan, or one */
    dw d = dw_two_sum(min, v_neg(max)), tail = m_log1pexp(d.hi, d.lo);
    dw sum = dw_two_sum(max, tail.hi);
    vec y = v_add(sum.hi, v_add(sum.lo, tail.lo)), distance = v_neg(d.hi);
    vec bound = v_mul(v_set(-NEAR_ZERO), max);
    mask far = v_ne(v_min(v_set(-WORD_MIN), distance), distance); /* or nan */
    if (mask_any(far)) {
        vec infinite = v_add(max, v_select(v_eq(d.hi, d.hi), v_set(0), min));
        vec sum_there = m_add_exp(max, d);
        y = v_select(far, v_select(v_lt(distance, v_set(REAL_INFINITY)), sum_there, infinite), y);
        bound = v_select(far, v_neg(max), bound);
    }
    return m_logaddexp_near_zero(max, min, y, bound);
}

#endif
