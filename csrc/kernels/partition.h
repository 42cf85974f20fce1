/* The partition function Z = sum of e^x_k, as the pair (max, rest) with Z = e^max (1 + rest), and what follows from it:
   logsumexp, softmax, log_softmax, cross-entropy.

   One of the largest elements is left out of rest, so that rest keeps its digits when that element dominates: log Z =
   max + log1p(rest) is right near 0, and so is log_softmax of the dominant element. The empty sum is max = -inf, rest =
   -1. With max = +-inf, rest is a number or nan all the same: a nan anywhere in the row makes rest nan. */

#ifndef FASTLOG_KERNELS_PARTITION_H
#define FASTLOG_KERNELS_PARTITION_H

#include "math/log1p.h"

typedef struct {
    vec max;
    dw rest;
} partition;

/* How the elements of a row become terms: e^(x - max) = e^(x - base) 2^-n / unit with 2^n unit = e^(max - base).
   Reducing x - max instead would round the difference, an error of |x - max|/2 ulp in the term; with base = 0 nothing
   is rounded before exp's own exact reduction. From DIRECT on, base is the maximum: then every x whose term is not
   negligible (x > max + EXP_MIN) is within a factor of two of it, and x - base is exact. max is made finite first,
   so that -inf - (-inf) does not arise. */

typedef struct {
    vec base, top, n; /* top = max - base */
    dw unit;
} scale;

/* Infinities become the largest numbers. */
INLINE vec p_finite(vec x) { return v_max(v_set(-REAL_MAX), v_min(v_set(REAL_MAX), x)); }

INLINE scale p_scale(vec max) {
    vec finite = p_finite(max);
    vec base = v_select(v_lt(v_abs(finite), v_set(DIRECT)), v_set(0), finite);
    vec top = v_sub(finite, base);
    scaled e = m_exp_dw(top, v_set(0), v_set(ROUNDER));
    return (scale){base, top, e.n, e.mantissa};
}

/* x - base, not below top + least (what lies lower has no visible term); nan stays nan. */
INLINE vec p_exponent(vec x, scale s, real least) { return v_max(v_add(s.top, v_set(least)), v_sub(x, s.base)); }

/* (1 + rest) e^(old - new): what an earlier rest becomes under a larger maximum, its own maximum being one of many
   now. */
INLINE dw p_rescale(dw rest, vec old, vec new) {
    vec limit = v_set(REAL_MAX);
    dw d = dw_two_sum(v_max(v_neg(limit), old), v_neg(v_min(limit, new)));
    mask near = v_lt(v_set(EXP_MIN), d.hi);
    vec low = v_select(near, d.lo, v_set(0));
    scaled factor = m_exp_dw(v_max(v_set(EXP_MIN), d.hi), low, v_set(ROUNDER));
    dw total = dw_add(rest, v_set(1));
    vec power = m_scale((dw){v_set(1), v_set(0)}, factor.exponent);
    vec high = v_mul(total.hi, factor.mantissa.hi);
    vec cross = v_fma(total.hi, factor.mantissa.lo, v_mul(total.lo, factor.mantissa.hi));
    vec high_lo = v_add(v_mul_error(total.hi, factor.mantissa.hi, high), cross);
    return (dw){v_mul(high, power), v_mul(high_lo, power)};
}

/* Sum of the lifted terms 2^LIFT e^(x - base) 2^-n over x != max, and how many those are. Lifted, no term is subnormal;
   at FLOOR terms are so small that 2^30 of them still round to 0. The sum is a double word: many equal terms would be
   rounded the same way each time. */
typedef struct {
    dw sum;
    vec others;
} terms;

INLINE terms p_no_terms(void) { return (terms){{v_set(0), v_set(0)}, v_set(0)}; }

INLINE vec p_term(vec x, scale s) {
    scaled e = m_exp(p_exponent(x, s, FLOOR), v_sub(v_set(ROUNDER + LIFT), s.n));
    return v_mul(e.mantissa.hi, m_power_of_two(e.exponent));
}

INLINE terms p_join(terms t, vec sum, vec others) {
    dw joined = dw_two_sum(t.sum.hi, sum);
    return (terms){{joined.hi, v_add(t.sum.lo, joined.lo)}, others};
}

INLINE terms p_add_term(terms t, vec x, vec max, scale s) {
    mask other = v_ne(x, max);
    return p_join(t, v_select(other, p_term(x, s), v_set(0)), v_add_where(t.others, other, v_set(1)));
}

/* Four at a time: two pairs, their sum, and one addition to the double word. */
INLINE terms p_add_terms(terms t, vec x0, vec x1, vec x2, vec x3, vec max, scale s) {
    mask m0 = v_ne(x0, max), m1 = v_ne(x1, max), m2 = v_ne(x2, max), m3 = v_ne(x3, max);
    vec one = v_set(1), zero = v_set(0);
    vec others = v_add_where(v_add_where(t.others, m0, one), m1, one);
    vec pair0 = v_add_where(v_select(m0, p_term(x0, s), zero), m1, p_term(x1, s));
    vec pair1 = v_add_where(v_select(m2, p_term(x2, s), zero), m3, p_term(x3, s));
    return p_join(t, v_add(pair0, pair1), v_add_where(v_add_where(others, m2, one), m3, one));
}

/* A lifted sum in units of e^max. */
INLINE dw p_unlift(dw sum, scale s) {
    dw quotient = dw_div(sum, s.unit);
    return (dw){v_mul(quotient.hi, v_set(UNLIFT)), v_mul(quotient.lo, v_set(UNLIFT))};
}

/* log Z as a double word, for the functions that subtract it. */
INLINE dw p_log(partition p) {
    dw log1p_rest = m_log1p(p.rest);
    dw sum = dw_two_sum(p.max, log1p_rest.hi);
    return (dw){sum.hi, v_add(sum.lo, log1p_rest.lo)};
}

/* logsumexp = max + log1p(rest). */
INLINE vec k_logsumexp(partition p) {
    vec y = dw_add_to(p.max, m_log1p(p.rest));
    return v_select(v_eq(p.rest.hi, p.rest.hi), y, p.rest.hi);
}

/* The same, of the parts of a row. */
INLINE vec k_logsumexp_segments(partition p) { return k_logsumexp(p); }

/* x - log Z, each part of log Z subtracted in turn; the first difference is kept exactly, so that for x = max what
   remains is -log1p(rest) with all its digits. An infinite or nan difference is the result. */
INLINE vec p_subtract_log(vec x, dw log_z) {
    dw d = dw_two_sum(x, v_neg(log_z.hi));
    vec y = v_add(d.hi, v_sub(d.lo, log_z.lo));
    return v_select(v_lt(v_abs(d.hi), v_set(REAL_INFINITY)), y, d.hi);
}

/* What a whole row is normalised by. */
typedef struct {
    scale scale;
    dw value;
} norm;

/* softmax = e^(x - base) 2^-n / (unit (1 + rest)): the reciprocal of the denominator is a double word, the product
   rounds once, and so does the scaling to a subnormal. An infinite maximum makes the row nan, as it is inf/inf. */
INLINE norm n_softmax(partition p) {
    scale s = p_scale(p.max);
    dw inverse = dw_div(dw_div((dw){v_set(1), v_set(0)}, s.unit), dw_add(p.rest, v_set(1)));
    mask finite = v_lt(v_abs(p.max), v_set(REAL_INFINITY));
    return (norm){s, {v_select(finite, inverse.hi, v_set(REAL_NAN)), inverse.lo}};
}
INLINE vec k_softmax(vec x, norm z) {
    scaled e = m_exp_dw(p_exponent(x, z.scale, EXP_MIN), v_set(0), v_sub(v_set(ROUNDER), z.scale.n));
    vec low = v_fma(e.mantissa.hi, z.value.lo, v_mul(e.mantissa.lo, z.value.hi));
    vec m = v_fma(e.mantissa.hi, z.value.hi, low);
    vec y = v_mul(m, m_power_of_two(e.exponent));
    /* The power is normal down to 2^-(bias-1); the reciprocal may take 40 binades more. */
    mask small = v_lt(v_sub(e.n, z.scale.n), v_set(41 - EXPONENT_BIAS));
    if (m_any(small)) y = v_select(small, m_scale((dw){m, v_set(0)}, e.exponent), y);
    return v_select(v_eq(m, m), y, m);
}

/* log_softmax = x - log Z. */
INLINE norm n_log_softmax(partition p) {
    dw log_z = p_log(p);
    mask finite = v_lt(v_abs(log_z.hi), v_set(REAL_INFINITY));
    vec hi = v_select(v_eq(p.rest.hi, p.rest.hi), log_z.hi, p.rest.hi);
    return (norm){.value = {hi, v_select(finite, log_z.lo, v_set(0))}};
}
INLINE vec k_log_softmax(vec x, norm z) { return p_subtract_log(x, z.value); }

/* Cross-entropy of a row whose true class has the logit x: log Z - x. */
INLINE vec k_softmax_cross_entropy(vec x, partition p) {
    return v_sub(v_set(0), k_log_softmax(x, n_log_softmax(p))); /* 0, not -0, for a row of one */
}

#endif
