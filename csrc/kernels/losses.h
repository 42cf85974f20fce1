/* Losses of single elements. */

#ifndef FASTLOG_KERNELS_LOSSES_H
#define FASTLOG_KERNELS_LOSSES_H

#include "math/log1pexp.h"

/* Binary cross-entropy of a logit x and a target z:
   z softplus(-x) + (1 - z) softplus(x) = |x| w + log1p(e^-|x|), where w, the weight of the wrong side, is 1 - z for
   x >= 0 and z for x < 0. At x = +-inf with w = 0 the limit 0 is meant, not inf * 0. */
INLINE vec k_binary_cross_entropy_with_logits(vec x, vec z) {
    vec magnitude = v_abs(x);
    vec w = v_select(v_lt(x, v_set(0)), z, v_sub(v_set(1), z));
    vec linear = v_select(v_eq(w, v_set(0)), v_set(0), v_mul(magnitude, w));
    dw loss = m_log1pexp(v_neg(magnitude), v_set(0));
    loss.lo = v_add(loss.lo, v_select(v_eq(w, v_set(0)), v_set(0), v_mul_error(magnitude, w, linear)));
    vec y = dw_add_to(linear, loss);
    mask subnormal = m_and(v_lt(v_neg(magnitude), v_set(NORMAL_MIN)), v_eq(linear, v_set(0)));
    if (m_any(subnormal)) y = v_select(subnormal, m_exp_subnormal(v_neg(magnitude)), y);
    return y;
}

/* The element of the sum. */
INLINE vec k_binary_cross_entropy_with_logits_sum(vec x, vec z) { return k_binary_cross_entropy_with_logits(x, z); }

#endif
