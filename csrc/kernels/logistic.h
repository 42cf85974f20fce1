/* softplus, log_sigmoid, sigmoid, silu and logaddexp. */

#ifndef FASTLOG_KERNELS_LOGISTIC_H
#define FASTLOG_KERNELS_LOGISTIC_H

#include "math/logistic.h"

/* softplus(x) = log(1 + e^x), and far below 0 e^x, down to the subnormals. */
INLINE vec k_softplus(vec x) {
    vec y = m_softplus_word(x);
    mask far = v_lt(x, v_set(WORD_MIN));
    if (m_any(far)) y = v_select(far, m_exp_rounded(v_min(x, v_set(WORD_MIN))), y);
    return y;
}

/* log_sigmoid(x) = -log(1 + e^-x) = -softplus(-x); the negation is exact, and gives -0 where e^-x underflows. */
INLINE vec k_log_sigmoid(vec x) { return v_neg(k_softplus(v_neg(x))); }

/* sigmoid(x) = 1/(1 + e^-x), and far below 0 e^x. */
INLINE vec k_sigmoid(vec x) {
    vec y = m_sigmoid_word(x);
    mask far = v_lt(x, v_set(WORD_MIN));
    if (m_any(far)) y = v_select(far, m_exp_rounded(v_min(x, v_set(WORD_MIN))), y);
    return y;
}

/* silu(x) = x sigmoid(x). Far below 0 it is x e^x, scaled as a whole, as e^x may be subnormal where the product is not;
   at -inf it is -0.
   Error: that of sigmoid, and the rounding of the product. */
INLINE vec k_silu(vec x) {
    vec y = v_mul(x, m_sigmoid_word(x));
    mask far = v_lt(x, v_set(WORD_MIN));
    if (m_any(far)) y = v_select(far, v_neg(m_minus_x_exp(v_min(x, v_set(WORD_MIN)))), y);
    return y;
}

/* logaddexp(a, b) = log(e^a + e^b) = max(a, b) + log1p(e^-|a-b|), with the rounding error of a - b kept.
   Where an argument is infinite the result is the maximum, where one is nan it is nan; the difference tells.
   Error: near e^a + e^b = 1 the two terms cancel; then the error of log1p, a small part of its ulp, remains. */
INLINE vec k_logaddexp(vec a, vec b) {
    vec max = v_max(a, b), min = v_select(v_eq(max, a), b, a);
    dw d = dw_two_sum(min, v_neg(max)), tail = m_log1pexp(d.hi, d.lo);
    dw sum = dw_two_sum(max, tail.hi);
    vec y = v_add(sum.hi, v_add(sum.lo, tail.lo));
    y = v_select(v_lt(v_set(-REAL_INFINITY), d.hi), y, v_select(v_eq(a, a), max, a));
    mask far = v_lt(d.hi, v_set(WORD_MIN));
    if (m_any(far)) y = v_select(far, m_add_exp((dw){max, v_set(0)}, d), y);
    return y;
}

#endif
