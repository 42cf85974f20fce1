/* softplus, log_sigmoid, sigmoid and silu. */

#pragma once

#include "math/logistic.h"

/* softplus(x) = log(1 + e^x), and far below 0 e^x. */
INLINE vec k_softplus(vec x) { return m_with_exp_tail(m_softplus_word(x), x); }

/* log_sigmoid(x) = -log(1 + e^-x) = -softplus(-x); the negation is exact, and gives -0 where e^-x underflows. */
INLINE vec k_log_sigmoid(vec x) { return v_neg(k_softplus(v_neg(x))); }

/* Both functions where |x| > SIGMOID_REACH. */
RARE vec sigmoid_far(vec x) {
    mask below = v_lt(x, v_set(0));
    return mask_any(below) ? v_select(below, m_exp_rounded(v_min(x, v_set(-SIGMOID_REACH))), v_set(1)) : v_set(1);
}
RARE vec silu_far(vec x) {
    mask below = v_lt(x, v_set(0));
    return mask_any(below) ? v_select(below, v_neg(m_minus_x_exp(v_min(x, v_set(-SIGMOID_REACH)))), x) : x;
}

/* sigmoid(x) = 1/(1 + e^-x), far below 0 e^x, and far above 1. */
INLINE vec k_sigmoid(vec x) {
    vec y = m_sigmoid_word(x);
    mask far = v_lt(v_set(SIGMOID_REACH), v_abs(x));
    if (RARELY(mask_any(far))) y = v_select(far, sigmoid_far(x), y);
    return y;
}

/* silu(x) = x sigmoid(x). Far below 0 it is x e^x, scaled as a whole, as e^x may be subnormal where the product is not;
   at -inf it is -0. */
INLINE vec k_silu(vec x) {
    vec y = m_silu_word(x);
    mask far = v_lt(v_set(SIGMOID_REACH), v_abs(x));
    if (RARELY(mask_any(far))) y = v_select(far, silu_far(x), y);
    return y;
}
