/* softplus(x) = log(1 + e^x) and sigmoid(x) = 1/(1 + e^-x), its derivative, as double words.

   Both are known at the points a = k/16, to two words. For x = a + s, |s| <= 1/32, let p = e^s - 1 and w = sigmoid(a):
     softplus(x) = log((1 + e^a) (1 + w p)) = softplus(a) + log1p(w p)
     sigmoid(x) = w e^s / (1 + w p) = w + w (1 - w) p / (1 + w p)
   Beside its table value either correction is below 2^-5 (relatively too, at the far negative end, where both functions
   behave as e^x), so its own few rounding errors count for little: the sum of the two words has 2^-5 ulp of error. */

#pragma once

#include "double_word.h"
#include "exp.h"
#include "polynomial.h"

#if FL_WIDTH == 32
#include "coefficients/logistic_f32.h"
#else
#include "coefficients/logistic_f64.h"
#endif

/* Above END, softplus(x) rounds to x and sigmoid(x) to 1; below -END, both are e^x to 2^-5 ulp. */
#define END ((real)LOGISTIC_END)

typedef struct {
    dw softplus, sigmoid; /* both functions at a */
    vec s;                /* x - a */
} expansion;

#define ROW_BITS 0xfff
_Static_assert(2 * LOGISTIC_END * LOGISTIC_STEPS <= ROW_BITS, "the number of a row has more bits");

/* x moved to the nearer end where it is outside; nan counts as below. */
INLINE vec m_inside(vec x) { return v_min(v_set(END), v_max(x, v_set(-END))); }

/* The point next to x in [-END, END]: 16 x is rounded by adding 1.5 2^p, as in exp; the low bits of the sum are the
   number of the row (those of the rounder are 0). a and s are exact. */
INLINE expansion m_expand(vec x) {
    vec rounder = v_set(ROUNDER + LOGISTIC_END * LOGISTIC_STEPS), row[4];
    vec shifted = v_fma(x, v_set(LOGISTIC_STEPS), rounder);
    vec s = v_fnma(v_sub(shifted, rounder), v_set(REAL(1.0) / LOGISTIC_STEPS), x);
    v_rows(logistic_rows, i_and(v_bits(shifted), i_set(ROW_BITS)), row);
    return (expansion){{row[0], row[1]}, {row[2], row[3]}, s};
}

/* e^s - 1 for |s| <= 1/32; without s^2, which may be subnormal. */
INLINE vec m_expm1_small(vec s) { return v_fma(s, v_mul(s, POLYNOMIAL(s, expm1_small)), s); }

INLINE dw m_softplus(expansion e) {
    vec z = v_mul(e.sigmoid.hi, m_expm1_small(e.s));
    vec low = v_fma(z, v_mul(z, POLYNOMIAL(z, log1p_small)), e.softplus.lo);
    return (dw){e.softplus.hi, v_add(z, low)};
}

/* 1 - w needs no digits of its own: its error is measured by w. */
INLINE dw m_sigmoid(expansion e) {
    vec w = e.sigmoid.hi, p = m_expm1_small(e.s);
    vec change = v_div(v_mul(v_fnma(w, w, w), p), v_fma(w, p, v_set(1)));
    return (dw){w, v_add(e.sigmoid.lo, change)};
}

/* ---- sigmoid and silu as quotients: 1/(1 + e^-x) and x/(1 + e^-x), where FL_FUSED makes the remainder cheap ----

   -x = (k/N) ln2 - r, so e^-x = power (1 + rest) with power = 2^(k/N), rest = e^-r - 1. The N powers of one octave come
   from a table: in registers if there is one, else in memory. `lost` is what they lost in rounding, relative to them.
   The larger one of 1 and the power, less the denominator's high word, is exact; so the denominator has a low word, and
   the quotient's remainder is right to a few 2^-2p.
   Error: 1/2 ulp from the last sum, and for x < 0 that of rest: less than 0.1 ulp from its rounding, and in float 0.1
   from the low word of k ln2/N, which counts in rest to first order alone, so that it is not waited for. */
#if FL_FUSED
#if defined(VEC_LOOKUP32)
#define STEP_BITS 5
#define STEP_TAIL exp_minus_32
INLINE dw m_steps(ivec k) { return (dw){v_lookup(exp_steps, k), v_lookup(exp_steps_lost, k)}; }
#elif defined(VEC_LOOKUP16)
#define STEP_BITS 4
#define STEP_TAIL exp_minus_16
INLINE dw m_steps(ivec k) { return (dw){v_lookup(exp_steps, k), v_lookup(exp_steps_lost, k)}; }
#elif defined(VEC_LOOKUP8)
#define STEP_BITS 3
#define STEP_TAIL exp_minus_8
INLINE dw m_steps(ivec k) { return (dw){v_lookup8(exp_eighths, k), v_lookup8(exp_eighths_lost, k)}; }
#else
#define STEP_BITS 8
#define STEP_TAIL exp_minus_256
_Static_assert(EXP_ROWS == 1 << STEP_BITS, "a row for each step");
INLINE dw m_steps(ivec k) {
    vec pair[2];
    v_pairs(exp_rows, i_and(k, i_set(EXP_ROWS - 1)), pair);
    return (dw){pair[0], pair[1]};
}
#endif

/* Where |x| is not above SIGMOID_REACH, the functions below are right; nan stays nan. Above, sigmoid is 1. */
#define SIGMOID_REACH (-NORMAL_MIN)

/* 1 + e^-x. */
INLINE dw m_one_plus_exp_minus(vec x) {
    vec one = v_set(1);
    vec shifted = v_fnma(x, v_set(log2_e * (1 << STEP_BITS)), v_set(ROUNDER)), k = v_sub(shifted, v_set(ROUNDER));
    dw step = m_steps(v_bits(shifted));
    vec power = v_real(i_add(v_bits(step.hi), i_shl(v_bits(shifted), MANTISSA_BITS - STEP_BITS)));
    vec r = v_fma(k, v_set(ln2_word / (1 << STEP_BITS)), x), r_lo = v_set(ln2_rest / (1 << STEP_BITS));
#if FL_WIDTH == 32
    vec rest = v_fma(r, HORNER(r, STEP_TAIL), v_fnma(k, r_lo, step.lo));
#else
    r = v_fma(k, r_lo, r); /* |k| is up to 2^10 STEPS, so that its part of r is too large to be left out of r^2 */
    vec rest = v_fma(r, HORNER(r, STEP_TAIL), step.lo);
#endif
    vec hi = v_fma(power, rest, v_add(one, power));
    return (dw){hi, v_fma(power, rest, v_add(v_sub(v_max(one, power), hi), v_min(one, power)))};
}

#ifndef VEC_LOOKUP32 /* which has a way without a division, see below */
INLINE vec m_sigmoid_word(vec x) {
    dw d = m_one_plus_exp_minus(x);
    vec y = v_div(v_set(1), d.hi);
    return v_fma(y, v_fnma(y, d.lo, v_fnma(y, d.hi, v_set(1))), y);
}
#endif

/* The remainder is taken with the sign that keeps -0. */
INLINE vec m_silu_word(vec x) {
    dw d = m_one_plus_exp_minus(x);
    vec reciprocal = v_div(v_set(1), d.hi), y = v_mul(x, reciprocal);
    return v_fnma(reciprocal, v_fma(y, d.lo, v_mul_error(y, d.hi, x)), y);
}

#else

/* Error: the sum of two words rounds once; in silu it is a difference, which keeps -0. */
#define SIGMOID_REACH END

INLINE vec m_sigmoid_word(vec x) {
    dw y = m_sigmoid(m_expand(m_inside(x)));
    return v_select(v_eq(x, x), v_add(y.hi, y.lo), x);
}

INLINE vec m_silu_word(vec x) {
    dw s = m_sigmoid(m_expand(m_inside(x))), y = dw_mul(x, s.hi);
    return v_sub(y.hi, v_fnma(x, s.lo, v_neg(y.lo)));
}

#endif

#ifdef VEC_LOOKUP32

/* For x >= WORD_MIN: with |x| = n ln2 + s, |s| <= ln2/2, 2^n softplus(-|x|) and 2^n sigmoid(-|x|) are polynomials in s
   for each n, whose coefficients are looked up in registers; from n = 30 on they are e^-s.
   Error: 1/4 ulp from s, 1/5 from Horner's last product, 1/2 from its last sum; the power of two is exact. The
   expansion would be right to 0.65 ulp instead of 1, and take 1.75 times as long (`python -m bench` without
   VEC_LOOKUP32). */
#define WORD_MIN NORMAL_MIN

/* The octave n of |x|; nan stays nan. */
typedef struct {
    vec inside;  /* |x|, or -WORD_MIN if it is larger */
    vec shifted; /* the low bits are 127 - n: modulo 32, the column of the table; moved into the exponent field, 2^-n */
    vec minus_n;
    vec high; /* |x| - n ln2_hi, exactly */
} octave;

INLINE octave m_octave(vec magnitude) {
    vec rounder = v_set(ROUNDER + EXPONENT_BIAS), inside = v_min(v_set(-NORMAL_MIN), magnitude);
    vec shifted = v_fnma(inside, v_set(log2_e), rounder);
    vec minus_n = v_sub(shifted, rounder);
    return (octave){
        .inside = inside, .shifted = shifted, .minus_n = minus_n, .high = v_fma(minus_n, v_set(ln2_hi), inside)};
}
/* Three parts of an octave: s, 2^-n, and the column of the table. */
INLINE vec m_octave_s(octave o) { return v_fma(o.minus_n, v_set(ln2_lo), o.high); }
INLINE vec m_octave_power(octave o) { return v_real(i_shl(v_bits(o.shifted), MANTISSA_BITS)); }
INLINE ivec m_octave_column(octave o) { return v_bits(v_max(v_set(ROUNDER + EXPONENT_BIAS - 30), o.shifted)); }

/* c[first] + c[first + 1] s + ... + c[last] s^(last - first) by Horner's rule. */
INLINE vec m_octave_polynomial(vec s, const real c[][32], ivec column, int first, int last) {
    vec p = v_lookup(c[last], column);
#pragma GCC unroll 6
    for (int k = last - 1; k >= first; k--) p = v_fma(p, s, v_lookup(c[k], column));
    return p;
}

/* softplus(x), rounded. For x > 0 it is x + softplus(-x): the rounding errors of both terms add up, to less than 1 ulp
   from 0.55 on. Below, log(1 + e^x) is itself the polynomial, with -x for |x| and n = 0 or -1. */
INLINE vec m_softplus_word(vec x) {
    mask direct = v_lt(x, v_set(0.55f));
    octave o = m_octave(v_select(direct, v_neg(x), x));
    vec p = m_octave_polynomial(m_octave_s(o), softplus_octaves, m_octave_column(o), 0, 6);
    return v_fma(p, m_octave_power(o), v_select(direct, v_set(0), x));
}

/* sigmoid(x), rounded; for x > 0 it is 1 - sigmoid(-x). */
INLINE vec m_sigmoid_word(vec x) {
    mask negative = v_lt(x, v_set(0));
    octave o = m_octave(v_abs(x));
    vec p = m_octave_polynomial(m_octave_s(o), sigmoid_octaves, m_octave_column(o), 0, 6);
    vec power = m_octave_power(o);
    return v_fma(p, v_select(negative, power, v_neg(power)), v_select(negative, v_set(0), v_set(1)));
}

/* log(1 + e^x) for x <= 0, rounded. */
INLINE vec m_log1pexp_word(vec x) {
    octave o = m_octave(v_neg(x));
    return v_mul(m_octave_polynomial(m_octave_s(o), softplus_octaves, m_octave_column(o), 0, 6), m_octave_power(o));
}

/* log(1 + e^x) as two words, as far as they are known. */
INLINE dw m_log1pexp_words(vec x) { return (dw){m_log1pexp_word(x), v_set(0)}; }

/* log(1 + e^(x + x_lo)) for x <= 0 as a double word: s and the constant c have low words, and Horner's last two sums,
   q = c' + s q' and c + s q, are taken exactly. s_lo counts with the slope, q + s q' up to the third order.
   Error: 2^-28.5 of the result, from the rounding of q' where |s| is largest: 2^-25 0.12/1.4 or 2^-26 0.12/0.7.
   y = max + log1pexp(min - max) then has an error of 2^-4.5 |max/y| + 1/2 ulp: below 1.7 from NEAR_ZERO |max| on. */
#define NEAR_ZERO 0x1.4p-5f

INLINE dw m_log1pexp(vec x, vec x_lo) {
    octave o = m_octave(v_neg(x));
    ivec column = m_octave_column(o);
    dw s = dw_fast_two_sum(o.high, v_sub(v_mul(o.minus_n, v_set(ln2_lo)), x_lo));
    vec inner = m_octave_polynomial(s.hi, log1pexp_octaves, column, 4, 9);
    vec c = v_lookup(log1pexp_octaves[0], column), c_lo = v_lookup(log1pexp_octaves[1], column);
    vec slope = v_lookup(log1pexp_octaves[2], column), q = v_fma(inner, s.hi, slope);
    vec change = v_sub(slope, q);
    vec q_lo = v_add(v_fma(inner, s.hi, change), v_lookup(log1pexp_octaves[3], column));
    vec hi = v_fma(q, s.hi, c);
    vec lo = v_fma(q_lo, s.hi, v_add(v_fma(q, s.hi, v_sub(c, hi)), c_lo));
    lo = v_fma(v_sub(q, change), s.lo, lo);
    vec power = m_octave_power(o);
    return (dw){v_mul(hi, power), v_mul(lo, power)};
}

#else

/* The functions below are rounded, for x >= WORD_MIN. Error: the sum of the two words rounds once. */
#define WORD_MIN (-END)

INLINE vec m_softplus_word(vec x) {
    dw y = m_softplus(m_expand(m_inside(x)));
    return v_select(v_lt(x, v_set(END)), v_add(y.hi, y.lo), x);
}

/* log(1 + e^x) for x <= 0, as two words and rounded. */
INLINE dw m_log1pexp_words(vec x) { return m_softplus(m_expand(v_max(x, v_set(-END)))); }
INLINE vec m_log1pexp_word(vec x) {
    dw y = m_log1pexp_words(x);
    return v_add(y.hi, y.lo);
}

/* log(1 + e^(x + x_lo)) for x <= 0 as a double word; a number where x is nan. Error: 2^-4.7 ulp, the largest found.
   y = max + log1pexp(min - max) then has an error of 1/2 ulp and, as y may have twice as many ulp as its share of max,
   2^-3.7 |max/y| ulp: below 1.8 from NEAR_ZERO |max| on. */
#define NEAR_ZERO REAL(0x1p-4)

INLINE dw m_log1pexp(vec x, vec x_lo) {
    expansion e = m_expand(v_max(x, v_set(-END)));
    e.s = v_add(e.s, x_lo);
    return m_softplus(e);
}

#endif

/* y where x >= WORD_MIN, and e^x below, rounded, down to the subnormals and 0. */
RARE vec exp_below_words(vec x) { return m_exp_rounded(v_min(x, v_set(WORD_MIN))); }
INLINE vec m_with_exp_tail(vec y, vec x) {
    mask far = v_lt(x, v_set(WORD_MIN));
    return RARELY(mask_any(far)) ? v_select(far, exp_below_words(x), y) : y;
}

/* m + e^x rounded, for lanes with x < WORD_MIN, where e^x may be subnormal or 0; m may be infinite. A subnormal term
   shows only beside an m that is as small. */
INLINE vec m_add_exp(vec m, dw x) {
    mask is_normal = v_lt(v_set(NORMAL_MIN), x.hi);
    scaled e = m_exp_dw(v_select(is_normal, x.hi, v_set(0)), v_select(is_normal, x.lo, v_set(0)), v_set(ROUNDER));
    vec power = m_power_of_two(e.exponent), small = m_exp_rounded(v_min(x.hi, v_set(NORMAL_MIN)));
    dw term = {v_select(is_normal, v_mul(e.mantissa.hi, power), small),
               v_select(is_normal, v_mul(e.mantissa.lo, power), v_set(0))};
    return dw_add_to(m, term);
}
