/* log as a double word: of numbers, of quotients, and of 1 + y.

   A quotient n/d is brought near 1 by a power of two, and log(n/d) = e ln2 + 2 atanh((n - d)/(n + d)): one division,
   n - d is exact, and near n = d the result keeps its digits. */

#pragma once

#include "lift.h"

#define SQRT_HALF REAL(0.70710678118654752)

/* e ln2 + 2 atanh(z) for |z| < 0.2005.
   2 atanh(z) = 2 z + z^3 p(z^2), and the low word of z counts by the derivative 2/(1 - z^2) = 2 + 2 z^2 + ...
   e ln2_hi is exact (binary32's has 14 bits, |e| < 2^10) and 0 or larger than 2 z, which is added exactly.
   Error: the rest is below 2^-6 of the result, so the rounding errors in it are below 2^-5 ulp. */
INLINE dw m_log_atanh(vec e, dw z) {
    vec square = v_mul(z.hi, z.hi), twice_lo = v_add(z.lo, z.lo);
    vec low = v_fma(v_mul(square, z.hi), POLYNOMIAL(square, log_tail), v_fma(twice_lo, square, twice_lo));
    dw sum = dw_fast_two_sum(v_mul(e, v_set(ln2_hi)), v_add(z.hi, z.hi));
    return (dw){sum.hi, v_add(sum.lo, v_fma(e, v_set(ln2_lo), low))};
}

/* e ln2 + log(1 + w) for w in [-0.33, 0.5]: z = w/(2 + w), whose remainder is (w - 2 z) - z w; the difference is
   exact. */
INLINE dw m_log_near_1(vec e, dw w) {
    vec reciprocal = v_div(v_set(1), v_add(v_set(2), w.hi));
    vec z = v_mul(w.hi, reciprocal);
    vec remainder = dw_remainder(v_fnma(v_set(2), z, w.hi), z, w.hi);
    return m_log_atanh(e, (dw){z, v_mul(v_add(remainder, v_fnma(z, w.lo, w.lo)), reciprocal)});
}

/* The integer in an exponent field, of either sign, as a number. */
INLINE vec m_field_value(ivec field) {
    ivec shifted = i_shr(i_add(field, i_set(SIGN_BIT)), MANTISSA_BITS);
    vec offset = v_set(ROUNDER + ((bits)1 << (FL_WIDTH - 1 - MANTISSA_BITS)));
    return v_sub(v_real(i_or(shifted, v_bits(v_set(ROUNDER)))), offset);
}

/* The integer next to log2(n/d), in an exponent field: the difference of the bit patterns is log2(n/d) in that field's
   unit to within 0.087, so 2^-e n/d is in [0.666, 1.502]. */
INLINE ivec m_ratio_field(vec n, vec d) {
    ivec half = i_set((bits)1 << (MANTISSA_BITS - 1));
    return i_and(i_add(i_sub(v_bits(n), v_bits(d)), half), i_set(EXPONENT_FIELD));
}

/* A positive number as 2^-lift x with a normal x. */
typedef struct {
    vec x;
    vec lift; /* LIFT for subnormal numbers, else 0 */
} not_subnormal;

INLINE not_subnormal m_not_subnormal(vec x) {
    mask subnormal = v_lt(x, v_set(REAL_MIN));
    if (!mask_any(subnormal)) return (not_subnormal){x, v_set(0)};
    return (not_subnormal){v_select(subnormal, m_lift(x), x), v_select(subnormal, v_set(LIFT), v_set(0))};
}

/* `log` where it is log(x) of an ordinary x, but -inf at 0, nan below, inf at inf, nan at nan. The words are
   renormalised: a number times a high word that is above the sum of both could overflow where the true product does
   not. */
INLINE dw m_log_limits(vec x, dw log) {
    mask positive = v_lt(v_set(0), x), finite = v_lt(x, v_set(REAL_INFINITY)), ordinary = mask_and(positive, finite);
    vec limit = v_select(v_eq(x, v_set(0)), v_set(-REAL_INFINITY), v_set(REAL_NAN));
    log = dw_fast_two_sum(log.hi, log.lo);
    return (dw){v_select(ordinary, log.hi, v_select(positive, x, limit)), v_select(ordinary, log.lo, v_set(0))};
}

/* log x of normal, positive, finite x; for others, it is some finite number. */
INLINE dw m_log_usual(vec x) {
    ivec field = m_log2_field(x, v_set(SQRT_HALF));
    vec w = v_sub(v_real(i_sub(v_bits(x), field)), v_set(1)), reciprocal = v_div(v_set(1), v_add(v_set(2), w));
    vec z = v_mul(w, reciprocal), remainder = dw_remainder(v_fnma(v_set(2), z, w), z, w);
    return m_log_atanh(m_field_value(field), (dw){z, v_mul(remainder, reciprocal)});
}

/* log x for every x. */
INLINE dw m_log(vec x) {
    not_subnormal a = m_not_subnormal(x);
    ivec field = m_log2_field(a.x, v_set(SQRT_HALF));
    vec m = v_real(i_sub(v_bits(a.x), field));
    vec e = v_sub(m_field_value(field), a.lift);
    dw log = m_log_near_1(e, (dw){v_sub(m, v_set(1)), v_set(0)});
    return m_log_limits(x, log);
}

/* log(x/y) for positive finite x and y; y is brought to [1, 2). The words are renormalised, as those of m_log. */
INLINE dw m_log_quotient(vec x, vec y) {
    not_subnormal a = m_not_subnormal(x), b = m_not_subnormal(y);
    ivec field = m_ratio_field(a.x, b.x), y_field = i_and(v_bits(b.x), i_set(EXPONENT_FIELD));
    ivec to_unit = i_sub(i_set(POWER_OF_TWO(0)), y_field);
    vec n = v_real(i_add(i_sub(v_bits(a.x), field), to_unit)), d = v_real(i_add(v_bits(b.x), to_unit));
    vec e = v_add(m_field_value(field), v_sub(b.lift, a.lift));
    dw log = m_log_atanh(e, dw_div((dw){v_sub(n, d), v_set(0)}, dw_two_sum(n, d)));
    return dw_fast_two_sum(log.hi, log.lo);
}

/* log(1 + y) for y > -1 from 2^-LIFT to 2^LIFT in magnitude; for others, it is some number. With s + s_lo = 1 + y, the
   bits of s give e; then 2^-e (1 + y) = m + m_lo, and w = (m - 1) + m_lo, which is y where e is 0. */
INLINE dw m_log1p_usual(vec y) {
    dw s = dw_two_sum(v_set(1), y);
    ivec field = m_log2_field(s.hi, v_set(SQRT_HALF));
    vec m = v_real(i_sub(v_bits(s.hi), field)), m_lo = v_mul(s.lo, m_inverse_power(field));
    return m_log_near_1(m_field_value(field), dw_fast_two_sum(v_sub(m, v_set(1)), m_lo));
}

/* log(1 + y) for every y. With s + s_lo = 1 + y, the bits of s give e; where that is 0, y itself is the numerator.
   2^-e is 0 where it would be subnormal, as s_lo does not count there. Below 2^-(p+5), y is the answer to 2^-5 ulp. */
INLINE dw m_log1p_any(vec y) {
    mask tiny = v_lt(v_abs(y), v_real(i_set(POWER_OF_TWO(-MANTISSA_BITS - 5))));
    vec usual = v_select(tiny, v_set(0), y);
    dw s = dw_two_sum(v_set(1), usual);
    ivec field = m_log2_field(s.hi, v_set(SQRT_HALF));
    vec m = v_real(i_sub(v_bits(s.hi), field));
    vec scale = v_max(v_set(0), m_inverse_power(field));
    vec m_lo = v_mul(s.lo, scale);
    mask near = v_eq(scale, v_set(1));
    dw w = {v_select(near, usual, v_sub(m, v_set(1))), v_select(near, v_set(0), m_lo)};
    dw log = m_log_limits(s.hi, m_log_near_1(m_field_value(field), w));
    return (dw){v_select(tiny, y, log.hi), log.lo};
}
