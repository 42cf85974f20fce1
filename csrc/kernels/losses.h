/* Losses of single elements. */

#ifndef FASTLOG_KERNELS_LOSSES_H
#define FASTLOG_KERNELS_LOSSES_H

#include "math/logistic.h"

/* Binary cross-entropy of a logit x and a target z:
   z softplus(-x) + (1 - z) softplus(x) = |x| w + log1p(e^-|x|), where w, the weight of the wrong side, is 1 - z for x
   >= 0 and z for x < 0. At x = +-inf with w = 0 the limit 0 is meant, not inf * 0.
   Error: that of the second term, and the rounding of the sum; 1 - z is kept in two words. */
INLINE vec k_binary_cross_entropy_with_logits(vec x, vec z) {
    vec zero = v_set(0), magnitude = v_abs(x);
    mask negative = v_lt(x, zero);
    vec w = v_select(negative, z, v_sub(v_set(1), z));
    vec w_lo = v_select(negative, zero, v_sub(v_sub(v_set(1), w), z));
    vec factor = v_select(v_eq(w, zero), zero, magnitude);
    vec tail = m_log1pexp_word(v_neg(magnitude));
    mask far = v_lt(v_neg(magnitude), v_set(WORD_MIN));
    if (m_any(far)) {
        vec e = m_exp_rounded(v_min(v_neg(magnitude), v_set(WORD_MIN)));
        mask beside_more = v_lt(v_set(REAL(0x1p-60)), w); /* any e as small will do; a subnormal one would be slow */
        tail = v_select(far, v_select(beside_more, v_max(v_set(REAL_MIN), e), e), tail);
    }
    vec y = v_fma(factor, w, v_fma(v_min(factor, v_set(REAL_MAX)), w_lo, tail));
    return v_select(v_eq(x, x), y, x);
}

/* The element of the sum. */
INLINE vec k_binary_cross_entropy_with_logits_sum(vec x, vec z) { return k_binary_cross_entropy_with_logits(x, z); }

#endif
