/* mish. */

#pragma once

#include "math/expm1.h"
#include "math/lift.h"

/* e^x for PRODUCT_MIN <= x <= 0 as a double word; as good as 0 where it does not show beside 1. */
INLINE dw exp_beside_1(vec x) {
    scaled e = m_exp_dw(x, v_set(0), v_set(ROUNDER));
    vec power = m_power_of_two(v_bits(v_add(v_max(v_set(-MANTISSA_BITS - 8), e.n), v_set(ROUNDER))));
    return (dw){v_mul(e.mantissa.hi, power), v_mul(e.mantissa.lo, power)};
}

/* tanh(log(1 + e^x)) from t = e^-|x|: (t^2 + 2t)/(t^2 + 2t + 2) for x < 0, and (1 + 2t)/(1 + 2t + 2t^2) above. */
INLINE dw tanh_of_softplus(dw t, mask negative) {
    vec twice = v_add(t.hi, t.hi), twice_lo = v_add(t.lo, t.lo);
    dw square = dw_mul(t.hi, t.hi);
    square.lo = v_fma(twice, t.lo, square.lo);
    dw n = dw_fast_two_sum(v_select(negative, twice, v_set(1)), v_select(negative, square.hi, twice));
    n.lo = v_add(n.lo, v_select(negative, v_add(twice_lo, square.lo), twice_lo));
    vec twice_square = v_add(square.hi, square.hi), twice_square_lo = v_add(square.lo, square.lo);
    dw d = dw_two_sum(v_select(negative, v_set(2), twice_square), n.hi);
    d.lo = v_add(d.lo, v_add(n.lo, v_select(negative, v_set(0), twice_square_lo)));
    return dw_div(n, d);
}

/* mish(x) = x tanh(log(1 + e^x)). The fraction and its product with x are taken in two words, rounded once. Far below 0
   the fraction is e^x (1 - e^x/2 + ...), and x e^x is scaled as a whole; at -inf it is -0.
   Error: 0.15 ulp from e^x; the rest is in the low words. */
INLINE vec k_mish(vec x) {
    vec below_0 = v_max(v_set(PRODUCT_MIN), v_neg(v_abs(x)));
    dw fraction = tanh_of_softplus(exp_beside_1(below_0), v_lt(x, v_set(0)));
    vec y = m_product_lifted(x, fraction, m_is_tiny(x));
    mask is_far = v_lt(x, v_set(far_below_0));
    if (mask_any(is_far)) y = v_select(is_far, v_neg(m_minus_x_exp(below_0)), y);
    return v_select(v_eq(x, x), y, x);
}
