/* logaddexp, logaddexp2, logsubexp, logit, log1mexp and logexpm1: logarithms of sums and differences. */

#pragma once

#include "math/expm1.h"
#include "math/log.h"
#include "math/log1p.h"
#include "math/logistic.h"
#include "math/near_zero.h"

/* logaddexp where d = min - max is below WORD_MIN, or nan. */
RARE vec logaddexp_far(vec max, vec min, dw d) {
    vec infinite = v_add(max, v_select(v_eq(d.hi, d.hi), v_set(0), min));
    return v_select(v_lt(v_neg(d.hi), v_set(REAL_INFINITY)), m_add_exp(max, d), infinite);
}

/* logaddexp(a, b) = log(e^a + e^b) = max(a, b) + log1p(e^-|a-b|), with the rounding error of a - b kept.
   Where an argument is infinite the result is the maximum, where one is nan it is nan; the difference tells. The result
   0 is +0, even of -0 and -inf, as it is log(1).
   Error: 1/2 ulp from the sum, and the error of log1p, a small part of its ulp, times how much the two terms cancel: in
   all below 2 ulp; nearer to e^a + e^b = 1, max and log1p are not used. */
INLINE vec k_logaddexp(vec a, vec b) {
    vec max = v_max(a, b), min = v_min(b, a); /* both are nan, or one */
    dw d = dw_two_sum(min, v_neg(max)), tail = m_log1pexp(d.hi, d.lo);
    dw sum = dw_two_sum(max, tail.hi);
    vec y = v_add(sum.hi, v_add(sum.lo, tail.lo)), distance = v_neg(d.hi);
    vec bound = v_mul(v_set(-NEAR_ZERO), max);
    mask far = v_ne(v_min(v_set(-WORD_MIN), distance), distance); /* or nan */
    if (RARELY(mask_any(far))) {
        y = v_select(far, logaddexp_far(max, min, d), y);
        bound = v_select(far, v_neg(max), bound);
    }
    return m_logaddexp_near_zero(max, min, y, bound);
}

/* d ln 2 for d <= 0, cut off where e^x is 0; and x / ln 2. Both are double words. */
INLINE dw times_ln2(dw d) {
    vec hi = v_max(v_set(2 * PRODUCT_MIN), d.hi), lo = v_select(v_eq(hi, d.hi), d.lo, v_set(0));
    dw product = dw_mul(hi, v_set(ln2_hi));
    vec low = v_fma(hi, v_set(ln2_lo), v_mul(lo, v_set(ln2_hi)));
    return dw_fast_two_sum(product.hi, v_add(product.lo, low));
}
INLINE dw over_ln2(dw x) { return dw_div(x, dw_fast_two_sum(v_set(ln2_hi), v_set(ln2_lo))); }

/* max + e^x / ln 2 for x < WORD_MIN, down to the subnormals and 0. */
INLINE vec add_far_power(vec max, dw x) {
    mask shows = v_lt(v_set(PRODUCT_MIN), x.hi);
    scaled e = m_exp_dw(v_select(shows, x.hi, v_set(PRODUCT_MIN)), v_select(shows, x.lo, v_set(0)), v_set(ROUNDER));
    return v_add(max, m_scale(over_ln2(e.mantissa), e.exponent));
}

/* logaddexp2(a, b) = log2(2^a + 2^b) = max(a, b) + log1p(e^x)/ln 2, where x = -|a-b| ln 2 is taken in two words. For
   a = b it is a + 1. Infinities and nan are treated as by logaddexp, and the result 0 is +0.
   Error: 1/2 ulp from the sum, and that of log1p and its quotient, a small part of its ulp. Near 2^a + 2^b = 1 the terms
   cancel; what remains is 0.1 ulp of the larger one. */
INLINE vec k_logaddexp2(vec a, vec b) {
    vec max = v_max(a, b), min = v_min(b, a); /* both are nan, or one */
    dw d = dw_two_sum(min, v_neg(max)), x = times_ln2(d), tail = over_ln2(m_log1pexp(x.hi, x.lo));
    dw sum = dw_two_sum(max, tail.hi);
    vec y = v_add(sum.hi, v_add(sum.lo, tail.lo)), inside = v_max(v_set(WORD_MIN), x.hi);
    y = v_select(v_eq(d.hi, v_set(0)), v_add(max, v_set(1)), y);
    mask far = v_ne(inside, x.hi); /* or nan */
    if (mask_any(far)) {
        vec infinite = v_add(max, v_select(v_eq(d.hi, d.hi), v_set(0), min));
        y = v_select(far, v_select(v_lt(v_abs(d.hi), v_set(REAL_INFINITY)), add_far_power(max, x), infinite), y);
    }
    return v_add(y, v_set(0));
}

/* logit(p) where p is subnormal, and outside of (0, 1). */
RARE vec logit_of_all(vec p) {
    dw log = m_log(p);
    vec limit = v_select(v_eq(p, v_set(1)), v_set(REAL_INFINITY), v_set(REAL_NAN));
    return v_select(v_lt(p, v_set(1)), v_add(log.hi, log.lo), limit);
}

/* n = 2^k q, where k >= 0 is such that n/larger is in (1/2, 1]. */
typedef struct {
    vec n, k;
} doubled;
INLINE doubled doubled_up_to(vec q, vec larger) {
    ivec field = i_and(i_sub(v_bits(larger), v_bits(q)), i_set(EXPONENT_FIELD));
    vec shifted = v_real(i_or(i_shr(field, MANTISSA_BITS), v_bits(v_set(ROUNDER))));
    return (doubled){v_real(i_add(v_bits(q), field)), v_sub(shifted, v_set(ROUNDER))};
}

/* log((1 - q)/q) >= 0 for normal q <= 1/2, where `rounded` is 1 - q. It is k ln2 + log((1 - q)/n) = k ln2 + 2 atanh(z)
   with z = (1 - n - q)/(1 + n - q) <= 1/3. No term is negative. Near q = 1/2, k is 0, and z = 1 - 2q is exact.
   Error: 1/2 ulp from the last sum. Where k > 0, the roundings of z and of the sum of small terms add up to less than
   another ulp. */
INLINE vec log_odds_against(vec q, vec rounded) {
    doubled d = doubled_up_to(q, rounded);
    vec one = v_set(1), half = v_set(REAL(0.5)), n = d.n;
    vec z = v_div(v_add(v_sub(half, n), v_sub(half, q)), v_add(v_sub(n, q), one)), square = v_mul(z, z);
    vec tail = v_fma(v_mul(z, square), POLYNOMIAL(square, logit_tail), v_mul(d.k, v_set(ln2_lo)));
    return v_fma(d.k, v_set(ln2_hi), v_add(v_add(z, z), tail));
}

/* logit(p) = log(p/(1 - p)) = -logit(1 - p), from the smaller one of p and 1 - p, which is exact. */
INLINE vec k_logit(vec p) {
    vec rest = v_sub(v_set(1), p), q = v_min(p, rest), y = log_odds_against(q, v_max(p, rest));
    y = v_real(i_or(v_bits(y), i_and(v_bits(v_sub(p, v_set(REAL(0.5)))), i_set(SIGN_BIT))));
    mask others = v_ne(v_max(v_set(REAL_MIN), q), q); /* q is below, or nan */
    return RARELY(mask_any(others)) ? v_select(others, logit_of_all(p), y) : y;
}

/* e^r - 1 and e ln2 + log(1 + w) are computed by one of two functions each: a quick or a precise one. */
typedef dw expm1_function(dw);
typedef dw log1p_function(vec, dw);

/* log(1 - e^(x + x_lo)) for far_below_0 <= x <= -near_0, as two words.
   With e^x = 2^n (1 + q), a = 1 - e^x = (1 - 2^n) - 2^n q tells e; w = 2^-e a - 1, in [-1/4, 1/2], is the sum of
   c = 2^-e - 1 - 2^(n-e), which is exact, and -2^(n-e) q. Either c is 0 or its exponent is at least that of the
   other. */
INLINE dw m_log1mexp(vec x, vec x_lo, expm1_function *expm1_of, log1p_function *log1p_of) {
    reduced e = m_reduce(x, x_lo, v_set(ROUNDER));
    dw q = expm1_of(e.r);
    vec one = v_set(1), power = m_power_of_two(e.exponent);
    ivec field = m_log2_field(v_fnma(power, q.hi, v_sub(one, power)), v_set(REAL(0.75)));
    vec scale = m_inverse_power(field), factor = v_mul(scale, power);
    dw w = dw_fast_two_sum(v_sub(v_sub(scale, one), factor), v_neg(v_mul(factor, q.hi)));
    return log1p_of(m_field_value(field), (dw){w.hi, v_fnma(factor, q.lo, w.lo)});
}

/* log(x), in two words and rounded, and -e^x for x <= far_below_0. */
RARE dw log_of(vec x) { return m_log(x); }
RARE vec log_rounded(vec x) {
    dw log = m_log(x);
    return v_add(log.hi, log.lo);
}
RARE vec minus_exp_far_below(vec x) { return v_neg(m_exp_rounded(v_min(x, v_set(far_below_0)))); }

/* log1mexp(x) = log(1 - e^x), x <= 0. For x > -near_0 it is log(-x), which gives -inf at 0 and nan above.
   Error: 0.15 ulp from e^x - 1, as much from the logarithm; the sum of the words rounds once. */
INLINE vec k_log1mexp(vec x) {
    dw log = m_log1mexp(v_min(v_set(-near_0), v_max(v_set(far_below_0), x)), v_set(0), m_expm1, m_log1p_assemble);
    vec y = v_add(log.hi, log.lo);
    mask is_near = v_lt(v_set(-near_0), x), is_far = v_lt(x, v_set(far_below_0));
    if (RARELY(mask_any(is_near))) y = v_select(is_near, log_rounded(v_neg(x)), y);
    if (RARELY(mask_any(is_far))) y = v_select(is_far, minus_exp_far_below(x), y);
    return y;
}

/* log(e^x - 1) for near_0 <= x <= -far_below_0. With e^x = 2^n (1 + q), it is n ln2 + log(a), a = (1 - 2^-n) + q, and
   the bits of a give e; w = 2^-e a - 1, in [-1/4, 1/2], is the sum of c = 2^-e (1 - 2^-n) - 1 and 2^-e q. About the
   zero at ln2, n is 1, e is -1, c is 0, and r is some 2^-p: with a third word of ln2 it is right to 2^-p of itself. */
INLINE dw m_logexpm1(vec x) {
    reduced e = m_reduce(x, v_set(0), v_set(ROUNDER));
    dw q = m_expm1_precise((dw){e.r.hi, v_fnma(e.n, v_set(ln2_third), e.r.lo)});
    vec one = v_set(1), gap = v_sub(one, m_power_of_two(v_bits(v_sub(v_set(ROUNDER), e.n))));
    ivec field = m_log2_field(v_add(gap, q.hi), v_set(REAL(0.75)));
    vec scale = m_inverse_power(field);
    dw w = dw_two_sum(v_fma(scale, gap, v_neg(one)), v_mul(scale, q.hi));
    return m_log1p_assemble(v_add(e.n, m_field_value(field)), (dw){w.hi, v_fma(scale, q.lo, w.lo)});
}

/* logexpm1(x) = log(e^x - 1), x >= 0. For x < near_0 it is log(x), which gives -inf at 0 and nan below; far up it is x.
   Error: 2^-4 ulp from q, 0.15 ulp from the logarithm; the sum of the words rounds once. */
INLINE vec k_logexpm1(vec x) {
    dw log = m_logexpm1(v_max(v_set(near_0), v_min(x, v_set(-far_below_0))));
    vec y = v_select(v_lt(x, v_set(-far_below_0)), v_add(log.hi, log.lo), x);
    mask is_near = v_lt(x, v_set(near_0));
    if (RARELY(mask_any(is_near))) y = v_select(is_near, log_rounded(x), y);
    return y;
}

/* log(1 - e^d) where d < 0, which `less` says. Far below 0 the result is a finite number, but not exact. */
INLINE dw log1mexp_of_difference(dw d, mask less) {
    mask is_near = v_lt(v_set(-near_0), d.hi);
    vec usual = v_min(v_set(-near_0), v_max(v_set(far_below_0), d.hi));
    dw log = m_log1mexp(usual, v_select(v_eq(usual, d.hi), d.lo, v_set(0)), m_expm1_precise, m_log_near_1);
    if (RARELY(mask_any(mask_and(less, is_near)))) {
        dw log_d = log_of(v_neg(d.hi));
        log = (dw){v_select(is_near, log_d.hi, log.hi), v_select(is_near, log_d.lo, log.lo)};
    }
    return log;
}

/* log(1 + u) for u > -1/4, u = e^a - e^b - 1 by integers, in the lanes that are near 0; and y in the others. */
RARE vec logsubexp_by_integers(vec a, vec b, vec y, mask near) {
    real x1[LANES], x2[LANES], hi[LANES], lo[LANES], wanted[LANES];
    v_store(x1, a);
    v_store(x2, b);
    v_store(wanted, v_select(near, v_set(1), v_set(0)));
    for (int i = 0; i < LANES; i++) {
        hi[i] = lo[i] = 0;
        if (wanted[i] > 0) w_difference_less_1(x1[i], x2[i], hi + i, lo + i);
    }
    vec u = v_load(hi), u_lo = v_load(lo);
    dw s = dw_two_sum(v_set(1), u);
    ivec field = m_log2_field(s.hi, v_set(REAL(0.75)));
    vec scale = m_inverse_power(field);
    dw w = dw_two_sum(v_sub(v_mul(s.hi, scale), v_set(1)), v_mul(v_add(s.lo, u_lo), scale));
    dw log = m_log1p_assemble(m_field_value(field), w);
    mask tiny = v_lt(v_abs(u), v_real(i_set(POWER_OF_TWO(-MANTISSA_BITS - 2))));
    return v_select(near, v_select(tiny, u, v_add(log.hi, log.lo)), y);
}

/* y, but where it is below the bound, by integers. */
INLINE vec logsubexp_near_zero(vec a, vec b, vec y, vec bound) {
    mask near = mask_and(v_lt(v_abs(y), bound), v_lt(v_set(-REAL_INFINITY), b));
    return RARELY(mask_any(near)) ? logsubexp_by_integers(a, b, y, near) : y;
}

/* a - e^d for d <= far_below_0, with the signs of zeros that logsubexp has. */
RARE vec logsubexp_far(vec a, vec b, dw d) {
    vec e = m_exp_rounded(v_min(d.hi, v_set(far_below_0)));
    return v_select(v_eq(b, v_set(-REAL_INFINITY)), v_add(a, v_set(0)), v_neg(v_sub(e, a)));
}

/* logsubexp(a, b) = log(e^a - e^b) = a + log(1 - e^(b-a)), with the rounding error of b - a kept.
   The result is -inf where a = b, even if both are infinite, and nan where a < b. Far below 0 the logarithm is
   -e^(b-a), which shows beside an a that is as small, and down to the subnormals; where it underflows, the result of
   a = +-0 is -0, but with b = -inf it is log(1) = +0.
   Error: 1/2 ulp from the sum, and 2^-4 of the logarithm's ulp, times how much the terms cancel: below 2 ulp, as nearer
   to e^a - e^b = 1 integers take their place. Beside a tiny a, e^(b-a) is rounded, and they do so earlier. */
INLINE vec k_logsubexp(vec a, vec b) {
    dw d = dw_two_sum(b, v_neg(a));
    mask less = v_lt(b, a), shows = mask_and(v_lt(d.hi, v_set(far_below_0)), v_lt(v_abs(a), v_set(1)));
    vec y = dw_add_to(a, log1mexp_of_difference(d, less)), bound = v_mul(v_set(REAL(0x1p-5)), a);
    if (RARELY(mask_any(shows))) {
        y = v_select(shows, logsubexp_far(a, b, d), y);
        bound = v_select(shows, v_mul(v_set(REAL(0.875)), a), bound);
    }
    y = logsubexp_near_zero(a, b, y, bound);
    return v_select(less, y, v_select(v_eq(a, b), v_set(-REAL_INFINITY), v_set(REAL_NAN)));
}
INLINE mask pole_logsubexp(vec a, vec b) { return v_eq(a, b); }
