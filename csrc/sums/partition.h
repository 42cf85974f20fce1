/* The partition function Z = sum of e^x_k, as the pair (max, rest) with Z = e^max (1 + rest), and what follows from it:
   logsumexp, softmax, log_softmax, cross-entropy.

   One of the largest elements is left out of rest, so that rest keeps its digits when that element dominates: log Z =
   max + log1p(rest) is right near 0, and so is log_softmax of the dominant element. The empty sum is max = -inf, rest =
   -1. With max = +-inf, rest is a number or nan all the same: a nan anywhere in the row makes rest nan. */

#pragma once

#include "math/log1p.h"
#include "sums/tally.h"

/* A lifted sum in units of e^max. The unit of rough terms is made as rough: it has their relative error. */
INLINE dw in_units_of_max(dw sum, vec max, int rough) {
    vec top = make_window(max, FLOOR).top, error = rough ? m_rough_error(top) : v_set(0);
    dw quotient = dw_div(sum, m_exp_dw(top, error, v_set(ROUNDER)).mantissa);
    vec unlift = v_set(TERM_UNLIFT);
    return (dw){v_mul(quotient.hi, unlift), v_mul(quotient.lo, unlift)};
}

typedef struct {
    vec max; /* the largest element */
    dw rest; /* Z e^-max - 1 */
} partition;

/* The partition of a sum that leaves the maxima out. */
static partition partition_of(const tally *t, int rough) {
    dw others = in_units_of_max(dw_add(t->settled, t->terms.sum), t->max, rough);
    dw rest = dw_two_sum(v_sub(t->terms.maxima, v_set(1)), others.hi);
    return (partition){t->max, dw_fast_two_sum(rest.hi, v_add(rest.lo, others.lo))}; /* lo may be many ulps of hi */
}

/* log Z as a double word, for the functions that subtract it. */
INLINE dw log_partition(partition p) {
    dw log1p_rest = m_log1p_quick(p.rest);
    dw sum = dw_two_sum(p.max, log1p_rest.hi);
    return (dw){sum.hi, v_add(sum.lo, log1p_rest.lo)};
}

/* logsumexp = max + log1p(rest). */
INLINE vec k_logsumexp(partition p) {
    vec y = dw_add_to(p.max, m_log1p(p.rest));
    return v_select(v_eq(p.rest.hi, p.rest.hi), y, p.rest.hi);
}

/* A divisor is what every element of a row is normalised by. log_softmax needs `value` alone. */
typedef struct {
    vec max;      /* the maximum, which fixes the window of terms */
    dw value;     /* softmax: the lifted reciprocal of the sum of terms; log_softmax: hi and -lo of log Z */
    vec max_term; /* the maximum's own term */
    vec of_max;   /* the result for that term */
} divisor;

/* softmax = term / (sum of terms), the maxima among them: the lifted reciprocal is a double word, the product rounds
   once, and so does the scaling to a subnormal. The maximum's own term is known as a double word, so its softmax is
   correctly rounded; it is exactly 1 if the other terms are negligible. An infinite maximum makes the row nan, as it is
   inf/inf. */
INLINE divisor divisor_softmax(tally t) {
    window w = make_window(t.max, FLOOR);
    dw unit = m_exp_dw(w.top, v_set(0), v_set(ROUNDER)).mantissa;
    vec lift = v_set(REAL(1.0) / TERM_UNLIFT), lifted = v_mul(t.terms.maxima, lift);
    dw maxima = dw_mul(unit.hi, lifted), others = dw_add(t.settled, t.terms.sum);
    dw sum = dw_two_sum(maxima.hi, others.hi);
    sum.lo = v_add(v_add(sum.lo, others.lo), v_fma(unit.lo, lifted, maxima.lo));
    dw inverse = dw_div((dw){lift, v_set(0)}, sum);
    mask finite = v_lt(v_abs(t.max), v_set(REAL_INFINITY));
    inverse.hi = v_select(finite, inverse.hi, v_set(REAL_NAN));
    dw of_max = dw_mul(unit.hi, inverse.hi);
    vec low = v_fma(unit.hi, inverse.lo, v_fma(unit.lo, inverse.hi, of_max.lo));
    return (divisor){.max = t.max, .value = inverse, .max_term = term_of(t.max, w, 1), .of_max = v_add(of_max.hi, low)};
}
INLINE vec k_softmax(vec term, divisor z) {
    vec lifted = v_fma(term, z.value.hi, v_mul(term, z.value.lo));
    if (!FL_FUSED) { /* the product must not be rounded before the sum */
        dw product = dw_mul(term, z.value.hi);
        lifted = v_add(product.hi, v_fma(term, z.value.lo, product.lo));
    }
    vec least_normal = v_real(i_set(POWER_OF_TWO(TERM_LIFT + 1 - EXPONENT_BIAS)));
    mask small = v_lt(lifted, least_normal), is_max = v_eq(term, z.max_term);
    if (!mask_any(small)) return v_select(is_max, z.of_max, v_mul(lifted, v_set(TERM_UNLIFT)));
    /* Adding the least normal rounds to the spacing of subnormals; the difference of the bit patterns is theirs. */
    ivec subnormal = i_sub(v_bits(v_add(least_normal, lifted)), v_bits(least_normal));
    vec ordinary = v_mul(v_select(small, least_normal, lifted), v_set(TERM_UNLIFT));
    return v_select(is_max, z.of_max, v_select(small, v_real(subnormal), ordinary));
}

/* log_softmax = x - log Z = -(hi - x) - lo, each part of log Z subtracted in turn. Where x is the maximum and
   dominates, the first difference is exact, and what remains is -log1p(rest) with all its digits; where that
   underflows, -lo is -0, and so is the result. Infinite and nan differences remain. */
INLINE dw log_of_divisor(partition p) {
    dw log_z = log_partition(p);
    mask finite = v_lt(v_abs(log_z.hi), v_set(REAL_INFINITY));
    vec hi = v_select(v_eq(p.rest.hi, p.rest.hi), log_z.hi, p.rest.hi);
    return (dw){hi, v_neg(v_select(finite, log_z.lo, v_set(0)))};
}
INLINE vec minus_log(vec x, dw log_z) { return v_sub(log_z.lo, v_sub(log_z.hi, x)); }
INLINE divisor divisor_log_softmax(tally t) { return (divisor){.value = log_of_divisor(partition_of(&t, 0))}; }
INLINE vec k_log_softmax(vec x, divisor z) { return minus_log(x, z.value); }

/* Cross-entropy of a row with the weights a_c of its classes, sum of a_c (log Z - x_c): given gap, the sum of
   a_c (max - x_c), and `weight`, that of the a_c, it is gap + weight log1p(rest), where no term is negative. With a
   single maximum of inf, rest is 0, and this is the limit; with several, or -inf, there is none. */
INLINE dw k_cross_entropy(dw gap, vec weight, partition p) {
    dw log = m_log1p(p.rest), tail = dw_mul(weight, log.hi);
    dw sum = dw_two_sum(gap.hi, tail.hi);
    sum.lo = v_add(v_add(sum.lo, gap.lo), v_fma(weight, log.lo, tail.lo));
    vec infinity = v_set(REAL_INFINITY);
    mask finite = v_lt(v_abs(sum.hi), infinity), several = mask_and(v_eq(p.max, infinity), v_ne(p.rest.hi, v_set(0)));
    mask no_limit = mask_and(mask_or(several, v_eq(p.max, v_neg(infinity))), v_lt(gap.hi, infinity));
    return (dw){v_select(no_limit, v_set(REAL_NAN), sum.hi), v_select(finite, sum.lo, v_set(0))};
}

/* The sum of the probabilities of all classes but the largest one. */
INLINE vec other_probability(partition p) { return v_div(p.rest.hi, v_add(v_set(1), p.rest.hi)); }
