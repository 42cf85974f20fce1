/* log(1 + t) for double words t >= 0.

   1 + t = 2^e (1 + w) with w in [-1/4, 1/2], so log(1 + t) = e ln2 + log1p(w). */

#pragma once

#include "exp.h"

/* log1p(w.hi + w.lo) - w.hi for w in [-1/4, 1/2], as the word -w^2/2 and what remains, which is below 0.04: so the
   rounding errors of the remainder are below 2^-4 ulp of the result. The square's own rounding error is kept, and w.lo
   counts to first order: log1p'(w) w.lo = w.lo (1 - w) up to w^2 w.lo. */
INLINE dw m_log1p_tail(dw w) {
    vec square = v_mul(w.hi, w.hi);
    vec half = v_mul(v_set(REAL(-0.5)), square);
    vec low = v_fma(v_set(REAL(-0.5)), v_mul_error(w.hi, w.hi, square), v_fnma(w.lo, w.hi, w.lo));
#if FL_WIDTH == 32
    return (dw){half, v_fma(v_mul(w.hi, square), POLYNOMIAL(w.hi, log1p_tail), low)};
#else
    /* log1p(w) = 2 atanh(z), z = w/(2 + w). With 2 z = w - z w and R = z^2 p(z^2): 2 z + z R = w - z (w - R), and
       w = w^2/2 / z - w^2/2 gives w - w^2/2 + z (w^2/2 + R). */
    vec z = v_div(w.hi, v_add(v_set(2), w.hi));
    vec u = v_mul(z, z);
    vec r = v_mul(u, POLYNOMIAL(u, log_tail));
    return (dw){half, v_fma(z, v_sub(r, half), low)};
#endif
}

/* e ln2 + log1p(w), where e ln2_hi is exact, and 0 or larger than w; either sum is larger than w^2/2. */
INLINE dw m_log1p_assemble(vec e, dw w) {
    dw tail = m_log1p_tail(w);
    dw first = dw_fast_two_sum(v_mul(e, v_set(ln2_hi)), w.hi);
    dw second = dw_fast_two_sum(first.hi, tail.hi);
    vec low = v_add(first.lo, second.lo);
    return (dw){second.hi, v_add(low, v_fma(e, v_set(ln2_lo), tail.lo))};
}

/* log(1 + t) for t >= 0 where half an ulp of error will do: as m_log1p, but the square's rounding error is left out, and t
   is not treated apart where it is tiny, as it then is the low word alone. */
INLINE dw m_log1p_quick(dw t) {
    dw s = dw_two_sum(v_set(1), t.hi);
    ivec field = m_log2_field(s.hi, v_set(REAL(0.75)));
    vec scale = m_inverse_power(field);
    vec e = v_sub(v_real(i_or(i_shr(field, MANTISSA_BITS), v_bits(v_set(ROUNDER)))), v_set(ROUNDER));
    vec w = v_sub(v_mul(s.hi, scale), v_set(1)), w_lo = v_mul(v_add(s.lo, t.lo), scale), square = v_mul(w, w);
    vec low = v_fma(e, v_set(ln2_lo), v_fnma(w_lo, w, w_lo));
#if FL_WIDTH == 32
    vec tail = v_fma(v_fma(w, POLYNOMIAL(w, log1p_tail), v_set(REAL(-0.5))), square, low);
#else
    vec half = v_mul(v_set(REAL(-0.5)), square), z = v_div(w, v_add(v_set(2), w)), u = v_mul(z, z);
    vec tail = v_add(half, v_fma(z, v_fma(u, POLYNOMIAL(u, log_tail), v_neg(half)), low));
#endif
    dw sum = dw_fast_two_sum(v_mul(e, v_set(ln2_hi)), w);
    return dw_fast_two_sum(sum.hi, v_add(sum.lo, tail));
}

/* log(1 + t) for any t >= 0; nan where t is nan.
   With s + s_lo = 1 + t, the bits of s give e so that 2^-e s is in [3/4, 3/2); w = (2^-e s - 1) + 2^-e s_lo.
   Below 2^-(p+2), t itself is the answer to the last bit, whereas halving and doubling it again could lose one. */
INLINE dw m_log1p(dw t) {
    dw s = dw_two_sum(v_set(1), t.hi);
    vec s_lo = v_add(s.lo, t.lo);
    ivec field = m_log2_field(s.hi, v_set(REAL(0.75)));
    vec scale = m_inverse_power(field);
    vec e = v_sub(v_real(i_or(i_shr(field, MANTISSA_BITS), v_bits(v_set(ROUNDER)))), v_set(ROUNDER));
    dw w = dw_two_sum(v_sub(v_mul(s.hi, scale), v_set(1)), v_mul(s_lo, scale));
    dw y = m_log1p_assemble(e, w);
    mask tiny = v_lt(t.hi, v_real(i_set(POWER_OF_TWO(-MANTISSA_BITS - 2))));
    y.hi = v_select(tiny, t.hi, v_select(v_eq(t.hi, t.hi), y.hi, t.hi));
    y.lo = v_select(tiny, v_set(0), y.lo);
    return y;
}
