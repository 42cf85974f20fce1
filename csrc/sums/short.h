/* Short rows, one per lane: their partition while all of their elements are at hand.

   The maximum is known before the first term, and so is the unit 2^n next to e^max. A row is ordinary if its elements are
   within PLAIN_RANGE of its maximum, and that is not far from 0: then no term needs a window. The rows of other lanes
   are summed by their tallies. So the bits of a row depend on its own elements alone.

   Terms are not rounded to one word: their powers are summed in two words, and the products of power and rest apart from
   them. Up to FEW elements, terms are those of the differences to the maximum, in two words; from there on it takes less
   time to divide the sum of the e^x by e^max. Error of the partition's rest: that of a reciprocal in two words, and a
   quarter ulp or so of a term. */

#pragma once

#include "sums/partition.h"
#include "sums/plain.h"

#define FEW 8

/* The sums of some terms in two parts, of which the maxima are left out and counted. */
typedef struct {
    dw powers;
    vec rests, maxima;
} sum_of_parts;

/* The two parts of vector i, and 0 for maxima. */
INLINE exp_parts short_term(sum_of_parts *s, vectors v, intptr_t i, vec max, vec rounder) {
    vec x = v_load(v.x + i * v.step);
    exp_parts e = m_exp_parts(x, rounder, 0);
    mask is_max = v_eq(x, max);
    s->maxima = v_add_where(s->maxima, is_max, v_set(1));
    return (exp_parts){v_unless(is_max, e.power), e.rest};
}

/* The partition of the rows of at most LANE_BLOCK vectors by their tallies. */
static NOINLINE partition partition_by_tally(const vectors *v) {
    tally t = tally_start(*v, FLOOR, (summation){0});
    return partition_of(&t, 0);
}

/* The sum of e^(x - max) over all of a few elements but one of the largest. */
INLINE dw rest_of_few(const vec *others, intptr_t count, vec max) {
    dw powers = {v_set(0), v_set(0)};
    vec rests = v_set(0);
    for (intptr_t i = 0; i < count; i++) {
        dw d = dw_two_sum(others[i], v_neg(max));
        exp_parts e = m_exp_parts(d.hi, m_word_rounder(v_set(0)), 0);
        powers = i ? dw_join_word(powers, e.power) : (dw){e.power, v_set(0)};
        rests = v_fma(e.power, v_add(e.rest, v_fma(e.rest, d.lo, d.lo)), rests); /* e^lo is 1 + lo */
    }
    return dw_fast_two_sum(powers.hi, v_add(powers.lo, rests));
}

/* What is known of short rows. */
typedef struct {
    partition all;
    mask special; /* their sums are those of tallies, and the numbers below mean nothing */
    vec rounder;  /* of m_exp_parts: it multiplies by 2^-n */
    dw top;       /* e^max 2^-n */
} short_sums;

/* The sum of e^(x - max) over all of many elements but one of the largest: the sum of the e^x, divided by e^max. */
INLINE dw rest_of_short(const short_sums *all, vectors v, vec max) {
    sum_of_parts s = {{v_set(0), v_set(0)}, v_set(0), v_set(0)};
    for (intptr_t i = 0; i < v.n; i++) {
        exp_parts e = short_term(&s, v, i, max, all->rounder);
        s.powers = dw_join_word(s.powers, e.power);
        s.rests = v_fma(e.power, e.rest, s.rests);
    }
    dw others = dw_fast_two_sum(s.powers.hi, v_add(s.powers.lo, s.rests));
    dw quotient = dw_div(others, all->top), rest = dw_two_sum(v_sub(s.maxima, v_set(1)), quotient.hi);
    return (dw){rest.hi, v_add(rest.lo, quotient.lo)};
}

/* The sums of rows of at least one vector, and at most LANE_BLOCK. */
INLINE short_sums sums_of_short(vectors v) {
    short_sums s;
    vec max = v_load(v.x), min = max, others[FEW]; /* the largest so far is not among the others, but any nan is */
    for (intptr_t i = 1; i < v.n; i++) {
        vec x = v_load(v.x + i * v.step);
        if (v.n <= FEW) others[i - 1] = v_min(max, x);
        max = v_max(x, max), min = v_min(x, min);
    }
    vec n = v_sub(v_fma(max, v_set(log2_e), v_set(ROUNDER)), v_set(ROUNDER));
    s.rounder = m_word_rounder(v_neg(n)), s.top = m_exp_dw(max, v_set(0), v_set(ROUNDER)).mantissa;
    s.all = (partition){max, v.n <= FEW ? rest_of_few(others, v.n - 1, max) : rest_of_short(&s, v, max)};
    mask special = mask_or(v_lt(v_set(PLAIN_RANGE), v_sub(max, min)), v_le(v_set(DIRECT), v_abs(max)));
    special = mask_or(special, v_ne(max, max)); /* the first element may be nan, and others numbers */
    s.special = special;
    if (!mask_any(special)) return s;
    partition p = s.all, q = partition_by_tally(&v);
    s.all = (partition){v_select(special, q.max, p.max),
                        {v_select(special, q.rest.hi, p.rest.hi), v_select(special, q.rest.lo, p.rest.lo)}};
    return s;
}
INLINE partition short_partition(vectors v) { return sums_of_short(v).all; }
