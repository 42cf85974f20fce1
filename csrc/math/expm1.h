/* e^x - 1 of the reduced argument, as a double word that is precise relative to itself, not only to e^x. */

#pragma once

#include "exp.h"

/* Below far_below_0, e^x is less than 2^-(p+5), and does not count beside 1. Where |x| is below near_0, x stands for
   e^x - 1 in a logarithm. Either is right to 2^-4 ulp. */
static const real far_below_0 = -(MANTISSA_BITS + 6) * REAL(0.6931);
static const real near_0 = (real)1 / ((bits)1 << MANTISSA_BITS);

/* m_expm1 with r^2/2 in two words too: what is rounded is below r/40, and the rounding errors below 2^-5 ulp. */
INLINE dw m_expm1_precise(dw r) {
    dw square = dw_mul(r.hi, r.hi);
    vec half = v_mul(v_set(REAL(0.5)), square.hi);
    vec low = v_fma(v_set(REAL(0.5)), square.lo, v_fma(r.lo, v_add(r.hi, half), r.lo));
    dw sum = dw_fast_two_sum(r.hi, half);
    vec cubic = v_fma(v_mul(r.hi, square.hi), POLYNOMIAL(r.hi, expm1_tail), low);
    return dw_fast_two_sum(sum.hi, v_add(sum.lo, cubic));
}
