/* Products and arguments near the ends of the subnormal numbers, without arithmetic on a subnormal: each such operation
   would cost a microcode assist. */

#pragma once

#include "exp.h"

/* 2^LIFT x for |x| < 1, exactly. The bits of a subnormal k 2^(least), put under the exponent of 2^LIFT times the least
   normal number, give that number plus 2^LIFT x; for a normal number, LIFT is added to the exponent. */
INLINE vec m_lift(vec x) {
    vec magnitude = v_abs(x);
    ivec sign = i_and(v_bits(x), i_set(SIGN_BIT));
    vec subnormal = v_sub(v_real(i_or(v_bits(magnitude), v_bits(LIFTED_LEAST_NORMAL))), LIFTED_LEAST_NORMAL);
    vec normal = v_real(i_add(v_bits(magnitude), i_set((bits)LIFT << MANTISSA_BITS)));
    return v_real(i_or(v_bits(v_select(v_lt(magnitude, v_set(REAL_MIN)), subnormal, normal)), sign));
}

/* 2^-LIFT x, rounded once where that is subnormal, in the way of m_scale. Infinities and nan stay. */
INLINE vec m_lower(vec x) {
    vec magnitude = v_abs(x);
    ivec sign = i_and(v_bits(x), i_set(SIGN_BIT));
    ivec subnormal = i_sub(v_bits(v_add(magnitude, LIFTED_LEAST_NORMAL)), v_bits(LIFTED_LEAST_NORMAL));
    ivec normal = i_sub(v_bits(magnitude), i_set((bits)LIFT << MANTISSA_BITS));
    vec y = v_select(v_lt(magnitude, LIFTED_LEAST_NORMAL), v_real(subnormal), v_real(normal));
    return v_select(v_lt(magnitude, v_set(REAL_INFINITY)), v_real(i_or(v_bits(y), sign)), x);
}

/* True where 0 < |x| < 2^-LIFT; the bits of 0, less one, are a nan, which is not below. */
INLINE mask m_is_tiny(vec x) { return v_lt(v_real(i_sub(v_bits(v_abs(x)), i_set(1))), v_set(UNLIFT)); }

/* x (l.hi + l.lo), rounded once; x l.hi where that is infinite or 0 (whose sign it keeps). nan is always the same one,
   whichever of two factors a compiler puts first. */
INLINE vec m_product(vec x, dw l) {
    dw p = dw_mul(x, l.hi);
    vec sum = v_add(p.hi, v_fma(x, l.lo, p.lo));
    mask ordinary = mask_and(v_lt(v_abs(sum), v_set(REAL_INFINITY)), v_ne(sum, v_set(0)));
    return v_select(ordinary, sum, v_select(v_eq(p.hi, p.hi), p.hi, v_set(REAL_NAN)));
}

/* True where x is neither 0 nor from UNLIFT to 1/UNLIFT; then m_product_usual does not hold. */
INLINE mask m_is_unusual_factor(vec x) {
    vec large = v_set(1 / UNLIFT);
    return mask_or(v_lt(v_real(i_sub(v_bits(x), i_set(1))), v_set(UNLIFT)), v_ne(v_min(large, x), x));
}

/* m_product of usual factors x and finite l. The sum is a difference, so that 0 keeps its sign. */
INLINE vec m_product_usual(vec x, dw l) {
    dw p = dw_mul(x, l.hi);
    return v_sub(p.hi, v_fnma(x, l.lo, v_neg(p.lo)));
}

/* m_product, but also for lanes in `tiny`, where a factor is so small that the product or its low words may be
   subnormal. That factor is lifted, to below 1, so that nothing overflows, and the product is lowered at the end. */
INLINE vec m_product_lifted(vec x, dw l, mask tiny) {
    if (!mask_any(tiny)) return m_product(x, l);
    mask tiny_x = m_is_tiny(x), tiny_l = m_is_tiny(l.hi);
    dw factor = {v_select(tiny_l, m_lift(l.hi), l.hi), v_select(tiny_l, m_lift(l.lo), l.lo)};
    vec y = m_product(v_select(tiny_x, m_lift(x), x), factor);
    y = v_select(mask_and(tiny_x, tiny_l), v_mul(v_set(UNLIFT), y), y);
    return v_select(mask_or(tiny_x, tiny_l), m_lower(y), y);
}
