/* The partition function Z = sum of e^x_k, as the pair (max, rest) with Z = e^max (1 + rest), and what follows from it:
   logsumexp, softmax, log_softmax, cross-entropy.

   One of the largest elements is left out of rest, so that rest keeps its digits when that element dominates: log Z =
   max + log1p(rest) is right near 0, and so is log_softmax of the dominant element. The empty sum is max = -inf, rest = -1.
   With max = +-inf, rest is a number or nan all the same: a nan anywhere in the row makes rest nan. */

#ifndef FASTLOG_KERNELS_PARTITION_H
#define FASTLOG_KERNELS_PARTITION_H

#include "math/log1pexp.h"

typedef struct {
    vec max;
    dw rest;
} partition;

/* What is subtracted from the elements: max, made finite, so that -inf - (-inf) does not arise. */
INLINE vec p_reference(vec max) { return v_max(v_set(-REAL_MAX), v_min(v_set(REAL_MAX), max)); }

/* (1 + rest) e^(old - new): what an earlier rest becomes under a larger maximum, its own maximum being one of many now. */
INLINE dw p_rescale(dw rest, vec old, vec new) {
    vec difference = v_sub(p_reference(old), p_reference(new));
    scaled factor = m_exp_dw(v_max(v_set(EXP_MIN), difference), v_set(0));
    dw total = dw_add(rest, v_set(1));
    vec power = m_scale(v_set(1), factor.exponent);
    vec high = v_mul(total.hi, factor.mantissa.hi);
    vec low = v_add(v_mul_error(total.hi, factor.mantissa.hi, high),
                    v_fma(total.hi, factor.mantissa.lo, v_mul(total.lo, factor.mantissa.hi)));
    return (dw){v_mul(high, power), v_mul(low, power)};
}

/* One element: sum of the lifted e^(x - max) over x != max, and how many those are. */
typedef struct {
    vec sum, others;
} terms;

INLINE terms p_add_term(terms t, vec x, vec max, vec reference) {
    mask other = v_ne(x, max);
    vec e = m_exp_lifted(v_sub(x, reference));
    return (terms){v_add_where(t.sum, other, e), v_add_where(t.others, other, v_set(1))};
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

/* x - log Z, each part of log Z subtracted in turn; the first difference is kept exactly, so that for x = max what remains
   is -log1p(rest) with all its digits. An infinite or nan difference is the result. */
INLINE vec p_subtract_log(vec x, dw log_z) {
    dw d = dw_two_sum(x, v_neg(log_z.hi));
    vec y = v_add(d.hi, v_sub(d.lo, log_z.lo));
    return v_select(v_lt(v_abs(d.hi), v_set(REAL_INFINITY)), y, d.hi);
}

/* What a whole row is normalised by. */
typedef struct {
    vec max;
    dw value;
} norm;

/* softmax = e^(x - max) / (1 + rest). The rounding error of x - max is kept, or the result would be wrong by half an ulp
   of the exponent; the product with the reciprocal (a double word) rounds once, and so does the scaling to a subnormal.
   An infinite maximum makes the row nan, as it is inf/inf. */
INLINE norm n_softmax(partition p) {
    dw inverse = dw_div((dw){v_set(1), v_set(0)}, dw_add(p.rest, v_set(1)));
    mask finite = v_lt(v_abs(p.max), v_set(REAL_INFINITY));
    return (norm){p.max, {v_select(finite, inverse.hi, v_set(REAL_NAN)), inverse.lo}};
}
INLINE vec k_softmax(vec x, norm n) {
    dw difference = dw_two_sum(x, v_neg(n.max));
    mask finite = v_lt(v_abs(difference.hi), v_set(REAL_INFINITY));
    vec low = v_select(finite, difference.lo, v_set(0));
    scaled e = m_exp_dw(v_max(v_set(EXP_MIN), difference.hi), low);
    vec y = v_fma(e.mantissa.hi, n.value.hi, v_fma(e.mantissa.hi, n.value.lo, v_mul(e.mantissa.lo, n.value.hi)));
    vec scaled_y = v_mul(y, m_power_of_two(e.exponent));
    mask small = v_lt(e.n, v_set(40 - EXPONENT_BIAS)); /* the reciprocal may add 2^-40 */
    if (m_any(small)) scaled_y = v_select(small, m_scale(y, e.exponent), scaled_y);
    return v_select(v_eq(y, y), scaled_y, y);
}

/* log_softmax = x - log Z. */
INLINE norm n_log_softmax(partition p) {
    dw log_z = p_log(p);
    mask finite = v_lt(v_abs(log_z.hi), v_set(REAL_INFINITY));
    return (norm){p.max,
                  {v_select(v_eq(p.rest.hi, p.rest.hi), log_z.hi, p.rest.hi), v_select(finite, log_z.lo, v_set(0))}};
}
INLINE vec k_log_softmax(vec x, norm n) { return p_subtract_log(x, n.value); }

/* Cross-entropy of a row whose true class has the logit x: log Z - x. */
INLINE vec k_softmax_cross_entropy(vec x, partition p) { return v_neg(k_log_softmax(x, n_log_softmax(p))); }

#endif
