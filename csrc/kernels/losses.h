/* Losses of single elements. */

#ifndef FASTLOG_KERNELS_LOSSES_H
#define FASTLOG_KERNELS_LOSSES_H

#include "math/logistic.h"

/* Binary cross-entropy of a logit x and a target z:
   z softplus(-x) + (1 - z) softplus(x) = |x| w + log1p(e^-|x|), where w, the weight of the wrong side, is 1 - z for x
   >= 0 and z for x < 0. At x = +-inf with w = 0 the limit 0 is meant, not inf * 0.
   Error: 1 - z and the product are kept in two words; the sum rounds once. */
INLINE vec k_binary_cross_entropy_with_logits(vec x, vec z) {
    vec zero = v_set(0), magnitude = v_abs(x);
    mask negative = v_lt(x, zero);
    vec w = v_select(negative, z, v_sub(v_set(1), z));
    vec w_lo = v_select(negative, zero, v_sub(v_sub(v_set(1), w), z));
    mask no_weight = v_eq(w, zero);
    dw product = dw_mul(magnitude, w);
    vec linear = v_select(no_weight, zero, product.hi);
    vec linear_lo = v_select(no_weight, zero, v_fma(magnitude, w_lo, product.lo));
    dw loss = m_log1pexp(v_neg(magnitude), zero);
    vec y = dw_add_to(linear, (dw){loss.hi, v_add(loss.lo, linear_lo)});
    mask far = v_lt(v_neg(magnitude), v_set(WORD_MIN));
    if (m_any(far)) y = v_select(far, m_add_exp((dw){linear, linear_lo}, (dw){v_neg(magnitude), zero}), y);
    return v_select(v_eq(x, x), y, x);
}

/* The element of the sum. */
INLINE vec k_binary_cross_entropy_with_logits_sum(vec x, vec z) { return k_binary_cross_entropy_with_logits(x, z); }

#endif
