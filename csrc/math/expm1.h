/* e^x - 1 of the reduced argument, as a double word that is precise relative to itself, not only to e^x. */

#ifndef FASTLOG_EXPM1_H
#define FASTLOG_EXPM1_H

#include "exp.h"

/* e^x = 2^n (1 + q). */
typedef struct {
    dw q;
    vec n;
    ivec exponent; /* n in its low bits, for m_scale */
} reduced;

/* For EXP_MIN <= x <= -EXP_MIN and |x_lo| <= ulp(x); nan stays nan.
   x = n ln2 + r as in exp.h, but with a third word of ln2: next to x = ln2, r is some 2^-p, and is to be right to 2^-p of
   itself. |x| below 2^-(p+8) is the caller's: r^2 is kept in two words.
   q = r + r^2/2 + r^3 p(r): the cubic term is below 2^-5 r, and so its rounding errors are below 2^-5 ulp of q. */
INLINE reduced m_exp_reduced(vec x, vec x_lo) {
    vec shifted = v_fma(x, v_set(log2_e), v_set(ROUNDER));
    vec n = v_sub(shifted, v_set(ROUNDER));
    dw r = dw_fast_two_sum(v_fnma(n, v_set(ln2_hi), x), v_fnma(n, v_set(ln2_lo), x_lo));
    r.lo = v_fnma(n, v_set(ln2_third), r.lo);
    dw square = dw_mul(r.hi, r.hi);
    vec half = v_mul(v_set(REAL(0.5)), square.hi);
    vec low = v_fma(v_set(REAL(0.5)), square.lo, v_fma(r.lo, v_add(r.hi, half), r.lo));
    vec cubic = v_mul(v_mul(r.hi, square.hi), POLYNOMIAL(r.hi, expm1_tail));
    dw sum = dw_fast_two_sum(r.hi, half);
    dw q = dw_fast_two_sum(sum.hi, v_add(sum.lo, v_add(cubic, low)));
    return (reduced){q, n, v_bits(shifted)};
}

/* 1 + q in one word, rounded once. */
INLINE vec m_one_plus(dw q) {
    dw s = dw_fast_two_sum(v_set(1), q.hi);
    return v_add(s.hi, v_add(s.lo, q.lo));
}

#endif
