/* exp, as a double word times a power of two.

   x = n ln2 + r, n = round(x / ln2), |r| <= ln2/2, so e^x = 2^n e^r.
   n: x/ln2 is added to 1.5 2^p, p = MANTISSA_BITS, whose unit in the last place is 1. The low mantissa bits of that sum
      are n in two's complement, ready to be shifted into an exponent field; subtracting 1.5 2^p again gives n as a
      number.
   r: ln2 = ln2_hi + ln2_lo, n ln2_hi is exact, and so is x - n ln2_hi (both are multiples of a unit small enough); with
      n ln2_lo subtracted exactly too, r is a double word. Without fused operations this holds for |n| < 2^10 (float)
      and 2^12 (double), with them for every n that occurs. */

#pragma once

#include "double_word.h"
#include "polynomial.h"

#if FL_WIDTH == 32
#define EXP_MIN -105.0f   /* e^-105 < 2^-151 rounds to 0 */
#define NORMAL_MIN -87.0f /* e^-87 > 2^-126: from here up, e^x and its power of two are normal */
#define LIFT 64           /* 2^LIFT times the least subnormal is normal, 2^-LIFT times the largest number is large */
#define UNLIFT 0x1p-64f
#define DIRECT 340.0f /* the reduction of x is exact for |x| < DIRECT + |FLOOR| */
#else
#define EXP_MIN -746.0    /* e^-746 < 2^-1076 rounds to 0 */
#define NORMAL_MIN -708.0 /* e^-708 > 2^-1022 */
#define LIFT 256
#define UNLIFT 0x1p-256
#define DIRECT 2048.0
#endif

#define FLOOR (EXP_MIN - REAL(26.0)) /* 2^LIFT e^FLOOR is still normal; e^FLOOR times 2^30 rounds to 0 */

#define ROUNDER (REAL(1.5) * ((bits)1 << MANTISSA_BITS))
#define POWER_OF_TWO(n) ((bits)(EXPONENT_BIAS + (n)) << MANTISSA_BITS) /* its bit pattern */
#define EXPONENT_FIELD (~(((bits)1 << MANTISSA_BITS) - 1))
#define LIFTED_LEAST_NORMAL v_real(i_set(POWER_OF_TWO(LIFT + 1 - EXPONENT_BIAS)))

/* The exponent e, in an exponent field, for which 2^-e x is in [least, 2 least), for normal positive x; and 2^-e. */
INLINE ivec m_log2_field(vec x, vec least) { return i_and(i_sub(v_bits(x), v_bits(least)), i_set(EXPONENT_FIELD)); }
INLINE vec m_inverse_power(ivec field) { return v_real(i_sub(i_set(POWER_OF_TWO(0)), field)); }

/* The number mantissa * 2^n. */
typedef struct {
    dw mantissa;
    vec n;
    ivec exponent; /* the low bits hold n + k for rounder = ROUNDER + k; those above are shifted out in use */
} scaled;

/* An argument x + x_lo = n ln2 + r, |x_lo| <= ulp(x); nan stays nan. */
typedef struct {
    dw r;
    vec n;
    ivec exponent; /* as that of `scaled` */
} reduced;

INLINE reduced m_reduce(vec x, vec x_lo, vec rounder) {
    vec shifted = v_fma(x, v_set(log2_e), rounder);
    vec n = v_sub(shifted, rounder);
    dw r = dw_fast_two_sum(v_fnma(n, v_set(ln2_hi), x), v_fnma(n, v_set(ln2_lo), x_lo));
    return (reduced){r, n, v_bits(shifted)};
}

/* e^r - 1 = r + (r^2 p(r) + (1 + r) r_lo) to first order in r_lo, |r| <= ln2/2. The bracket is below r/5, so that its
   rounding errors are below 0.15 ulp of the result, and where r is small they vanish beside it. r^2 is not to be
   subnormal. */
INLINE dw m_expm1(dw r) {
    vec low = v_fma(r.lo, r.hi, r.lo);
    return dw_fast_two_sum(r.hi, v_fma(v_mul(r.hi, r.hi), POLYNOMIAL(r.hi, exp_tail), low));
}

/* e^(x + x_lo); 1 is added exactly. Error: 0.15 ulp for hi + lo; hi alone adds its half ulp. */
INLINE scaled m_exp_dw(vec x, vec x_lo, vec rounder) {
    reduced a = m_reduce(x, x_lo, rounder);
    dw q = m_expm1(a.r), m = dw_fast_two_sum(v_set(1), q.hi);
    return (scaled){{m.hi, v_add(m.lo, q.lo)}, a.n, a.exponent};
}

/* e^x 2^n = power (1 + rest), for sums and quotients: x such that the result is normal, with
   rounder = m_word_rounder(n); nan makes rest nan. power + power rest is right to 2^-2 ulp before it is rounded.

   Where registers hold a table, x = (k + j/STEPS) ln2 + r. Adding k to the exponent of the power 2^(j/STEPS) costs one
   addition, as the table's bit patterns are less by j/STEPS; a second table holds what the power lost in rounding, as a
   part of it. `rough` (float alone) leaves out the low word of ln2. That is an error of |x| 2^-28.4 in rest, nearly the
   same for all x of a row, so it cancels when the sum is divided by the maximum's term: see m_rough_error.

   Where there is no table, the power is 2^k, and `rough` leaves out the rounding error of r, another 2^-2 ulp. */
typedef struct {
    vec power, rest;
} exp_parts;

#if defined(VEC_LOOKUP32) || defined(VEC_LOOKUP16)
#define EXP_RESTS_ARE_SMALL 1 /* below 0.03; sums of them are, beside the powers */
INLINE vec m_word_rounder(vec n) { return v_fma(n, v_set(STEPS), v_set(ROUNDER)); }
INLINE exp_parts m_exp_parts(vec x, vec rounder, int rough) {
    vec shifted = v_fma(x, v_set(log2_e * STEPS), rounder), k = v_sub(shifted, rounder);
    ivec exponent = i_shl(v_bits(shifted), MANTISSA_BITS - (STEPS == 32 ? 5 : 4));
    vec power = v_real(i_add(v_bits(v_lookup(exp_steps, v_bits(shifted))), exponent));
    vec lost = v_lookup(exp_steps_lost, v_bits(shifted));
    vec r = rough && FL_WIDTH == 32 ? v_fnma(k, v_set(ln2_word / STEPS), x)
                                    : v_fnma(k, v_set(ln2_lo / STEPS), v_fnma(k, v_set(ln2_hi / STEPS), x));
    return (exp_parts){power, v_fma(r, HORNER(r, exp_step), lost)};
}

/* The error of a rough result, as an addition to x, to first order. */
INLINE vec m_rough_error(vec x) { return FL_WIDTH == 32 ? v_mul(x, v_set(ln2_error)) : v_set(0); }

/* power (1 + rest) in one word. Error: 0.6 ulp. */
INLINE vec m_exp_word(vec x, vec rounder) {
    exp_parts e = m_exp_parts(x, rounder, 0);
    return v_fma(e.power, e.rest, e.power);
}

/* e^x 2^n where an ulp of error will do. */
INLINE vec m_exp_plain(vec x, vec rounder) { return m_exp_word(x, rounder); }

/* m_exp_word with a rough float, for sums. */
INLINE vec m_exp_rough_word(vec x, vec rounder) {
    exp_parts e = m_exp_parts(x, rounder, 1);
    return v_fma(e.power, e.rest, e.power);
}

/* Without a table, rest is up to 0.42, and its own rounding would show: e^r = (1 + a) + (b + r^2 p(r)) with r = a + b,
   where a has so few bits that 1 + a is exact, and leaves so little that the second sum, below 0.07, rounds far below
   the result's last bit; b has what subtracting ln2_lo would round off r. Error: 0.7 ulp. */
#else
#define EXP_RESTS_ARE_SMALL 0
#define FEW_BITS (REAL(1.5) * ((bits)1 << (MANTISSA_BITS / 2)))
INLINE vec m_rough_error(vec x) { return (void)x, v_set(0); }
INLINE vec m_word_rounder(vec n) { return v_add(n, v_set(ROUNDER + EXPONENT_BIAS)); }
INLINE exp_parts m_exp_parts(vec x, vec rounder, int rough) {
    vec shifted = v_fma(x, v_set(log2_e), rounder), n = v_sub(shifted, rounder);
    vec high = v_fnma(n, v_set(ln2_hi), x), r = v_fnma(n, v_set(ln2_lo), high), square = v_mul(r, r);
    vec power = v_real(i_shl(v_bits(shifted), MANTISSA_BITS));
    if (rough) return (exp_parts){power, v_fma(square, HORNER(r, exp_word), r)};
    vec r_lo = v_fnma(n, v_set(ln2_lo), v_sub(high, r));
    return (exp_parts){power, v_add(r, v_fma(square, HORNER(r, exp_word), r_lo))};
}
INLINE vec m_exp_plain(vec x, vec rounder) {
    exp_parts e = m_exp_parts(x, rounder, 1);
    return v_fma(e.power, e.rest, e.power);
}
INLINE vec m_exp_word(vec x, vec rounder) {
    vec shifted = v_fma(x, v_set(log2_e), rounder), n = v_sub(shifted, rounder);
    vec high = v_fnma(n, v_set(ln2_hi), x), r = v_fnma(n, v_set(ln2_lo), high);
    vec one_and_a = v_sub(v_add(high, v_set(FEW_BITS)), v_set(FEW_BITS - 1));
    vec b = v_fnma(n, v_set(ln2_lo), v_add(v_sub(v_set(1), one_and_a), high));
    vec y = v_add(one_and_a, v_fma(v_mul(r, r), HORNER(r, exp_word), b));
    return v_mul(y, v_real(i_shl(v_bits(shifted), MANTISSA_BITS)));
}
INLINE vec m_exp_rough_word(vec x, vec rounder) { return m_exp_word(x, rounder); }
#endif

/* m 2^n for finite m with 2^-40 < m < 2^40, rounded once, without an operation that touches a subnormal (each would
   cost a microcode assist). 2^LIFT m 2^n is always normal. Below 2^LIFT times the least normal, adding that power of
   two rounds to the spacing of subnormals, and the difference of the bit patterns is the subnormal's bit pattern. What
   this rounding and the one to a word took away is added once more: that moves a sum only if it was rounded wrongly. */
INLINE vec m_scale(dw m, ivec exponent) {
    dw word = dw_fast_two_sum(m.hi, m.lo);
    ivec lift = i_set((bits)LIFT << MANTISSA_BITS), up = i_add(lift, i_shl(exponent, MANTISSA_BITS));
    ivec lifted = i_add(v_bits(word.hi), up);
    dw sum = dw_fast_two_sum(LIFTED_LEAST_NORMAL, v_real(lifted));
    vec low = v_mul(v_real(i_add(v_bits(v_set(1)), up)), word.lo);
    ivec subnormal = i_sub(v_bits(v_add(sum.hi, v_add(sum.lo, low))), v_bits(LIFTED_LEAST_NORMAL));
    mask is_subnormal = v_lt(v_real(lifted), LIFTED_LEAST_NORMAL);
    return v_select(is_subnormal, v_real(subnormal), v_real(i_sub(lifted, lift)));
}

/* e^x for x < 0, rounded once, down to the subnormals and 0. It is slow, and meant for the few lanes that need it. */
INLINE vec m_exp_rounded(vec x) {
    scaled e = m_exp_dw(v_max(v_set(EXP_MIN), x), v_set(0), v_set(ROUNDER));
    return m_scale(e.mantissa, e.exponent);
}

/* -x e^x for x <= 0, scaled as a whole, as e^x may be subnormal where the product is not; 0 below PRODUCT_MIN. */
#define PRODUCT_MIN (EXP_MIN - 8)
INLINE vec m_minus_x_exp(vec x) {
    vec inside = v_neg(v_max(v_set(PRODUCT_MIN), x));
    scaled e = m_exp_dw(v_neg(inside), v_set(0), v_set(ROUNDER));
    dw product = dw_mul(inside, e.mantissa.hi);
    product.lo = v_fma(inside, e.mantissa.lo, product.lo);
    return m_scale(product, e.exponent);
}

/* 2^n from the exponent, for results known to be normal. */
INLINE vec m_power_of_two(ivec exponent) {
    return v_real(i_add(i_shl(exponent, MANTISSA_BITS), i_set(POWER_OF_TWO(0))));
}
