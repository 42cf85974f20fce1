/* mish. */

#ifndef FASTLOG_KERNELS_MISH_H
#define FASTLOG_KERNELS_MISH_H

#include "math/expm1.h"
#include "math/lift.h"

/* mish(x) = x tanh(log(1 + e^x)) = x ((1 + e^x)^2 - 1)/((1 + e^x)^2 + 1). With t = e^-|x| the fraction is
   (t^2 + 2t)/(t^2 + 2t + 2) for x < 0 and (1 + 2t)/(1 + 2t + 2t^2) above; it and its product with x are taken in two
   words, rounded once. Far below 0 the fraction is t (1 - t/2 + ...), and x e^x is scaled as a whole; at -inf it is -0.
   Error: 0.15 ulp from e^x; the rest is in the low words. */
INLINE vec k_mish(vec x) {
    vec one = v_set(1), below_0 = v_max(v_set(PRODUCT_MIN), v_neg(v_abs(x)));
    scaled e = m_exp_dw(below_0, v_set(0), v_set(ROUNDER));
    vec power = m_power_of_two(v_bits(v_add(v_max(v_set(-MANTISSA_BITS - 8), e.n), v_set(ROUNDER))));
    dw t = {v_mul(e.mantissa.hi, power), v_mul(e.mantissa.lo, power)};
    vec twice = v_add(t.hi, t.hi), twice_lo = v_add(t.lo, t.lo);
    dw square = dw_mul(t.hi, t.hi);
    square.lo = v_fma(twice, t.lo, square.lo);
    mask negative = v_lt(x, v_set(0));
    dw n = dw_fast_two_sum(v_select(negative, twice, one), v_select(negative, square.hi, twice));
    n.lo = v_add(n.lo, v_add_where(twice_lo, negative, square.lo));
    vec twice_square = v_add(square.hi, square.hi), twice_square_lo = v_add(square.lo, square.lo);
    dw d = dw_two_sum(v_select(negative, v_set(2), twice_square), n.hi);
    d.lo = v_add(d.lo, v_add(n.lo, v_select(negative, v_set(0), twice_square_lo)));
    dw fraction = dw_div(n, d);
    vec y = m_product_lifted(x, fraction, m_is_tiny(x));
    mask is_far = v_lt(x, v_set(far_below_0));
    if (mask_any(is_far)) y = v_select(is_far, v_neg(m_minus_x_exp(below_0)), y);
    return v_select(v_eq(x, x), y, x);
}

#endif
