/* A tally: the maximum of a row so far, and the sum of its terms, one row per lane. */

#pragma once

#include "sums/lanes.h"
#include "sums/window.h"

typedef struct {
    dw sum;     /* lifted terms, in two words: many equal terms would all be rounded the same way in one */
    vec maxima; /* the number of elements that are the maximum, which are left out of the sum */
} term_sum;

INLINE term_sum no_terms(void) { return (term_sum){{v_set(0), v_set(0)}, v_set(0)}; }

/* How terms are summed. */
typedef struct {
    int far;     /* the window's base is not 0 in some lane */
    int rough;   /* terms need not be right by themselves: only sums of them, divided by a unit as rough, are */
    int keeps;   /* terms are stored, too; rough ones never are */
    int has_max; /* some elements may be the maximum; they are counted, and left out */
} summation;

/* SPECIALIZED calls f with a constant `how` as its last argument, so that a loop is compiled for each of the six legal
   combinations. All of them look for the maximum, except in groups that do not have it. */
#define CASE(...) ((summation){__VA_ARGS__, .has_max = 1})
#define SPECIALIZED(f, how, ...) \
    ((how).far && (how).rough   ? f(__VA_ARGS__, CASE(.far = 1, .rough = 1)) \
     : (how).far && (how).keeps ? f(__VA_ARGS__, CASE(.far = 1, .keeps = 1)) \
     : (how).far                ? f(__VA_ARGS__, CASE(.far = 1)) \
     : (how).rough              ? f(__VA_ARGS__, CASE(.rough = 1)) \
     : (how).keeps              ? f(__VA_ARGS__, CASE(.keeps = 1)) \
                                : f(__VA_ARGS__, CASE(.far = 0)))

typedef struct {
    const real *x;
    intptr_t step;      /* elements from a vector to the next */
    intptr_t n;         /* the number of vectors */
    real *kept;         /* where their terms are stored, or NULL */
    intptr_t kept_step; /* elements from a stored vector to the next */
} vectors;

/* The vectors from number i on. */
INLINE vectors vectors_from(vectors v, intptr_t i) {
    v.x += i * v.step, v.n -= i;
    if (v.kept) v.kept += i * v.kept_step;
    return v;
}

INLINE mask count_maxima(term_sum *t, vec x, vec max) {
    mask is_max = v_eq(x, max);
    t->maxima = v_add_where(t->maxima, is_max, v_set(1));
    return is_max;
}

/* The terms of vector i, and 0 for maxima, which are counted. */
INLINE vec load_term(term_sum *t, vectors v, intptr_t i, vec max, window w, summation how) {
    vec x = v_load(v.x + i * v.step), y = term_of(x, w, how.far);
    if (how.keeps) v_store(v.kept + i * v.kept_step, y);
    return how.has_max ? v_unless(count_maxima(t, x, max), y) : y;
}

/* Terms of vector i that are not stored, in the two parts of m_exp_parts. */
INLINE exp_parts load_parts(term_sum *t, vectors v, intptr_t i, vec max, window w, summation how) {
    vec x = v_load(v.x + i * v.step);
    exp_parts e = m_exp_parts(window_argument(x, w, how.far), w.rounder, how.rough);
    if (!how.has_max) return e;
    mask is_max = count_maxima(t, x, max);
    return (exp_parts){v_unless(is_max, e.power), v_unless(is_max, e.rest)}; /* that of an infinite maximum is nan */
}

INLINE term_sum join_terms(term_sum t, vec sum) { return (term_sum){dw_join_word(t.sum, sum), t.maxima}; }

#define GROUP 8

/* add_vector and add_group add the terms of one vector and of GROUP vectors. Terms that are stored are rounded, and summed
   by twos. All others are summed in two parts: the powers, exactly where many are equal, and apart from them the products
   of power and rest, whose errors are small beside the powers. The powers of rough terms are joined once in a group. */
INLINE term_sum add_vector(term_sum t, vectors v, vec max, window w, summation how) {
    if (how.keeps) {
        vec term = load_term(&t, v, 0, max, w, how);
        return join_terms(t, term);
    }
    exp_parts e = load_parts(&t, v, 0, max, w, how);
    if (how.rough) return join_terms(t, v_fma(e.power, e.rest, e.power));
    t = join_terms(t, e.power);
    t.sum.lo = v_fma(e.power, e.rest, t.sum.lo);
    return t;
}
INLINE term_sum add_group(term_sum t, vectors v, vec max, window w, summation how) {
    vec sum[GROUP / 2], rests = v_set(0);
#pragma GCC unroll 4
    for (intptr_t i = 0; i < GROUP; i += 2) {
        if (how.keeps) {
            vec first = load_term(&t, v, i, max, w, how), second = load_term(&t, v, i + 1, max, w, how);
            t = FL_FUSED ? join_terms(t, v_add(first, second)) : join_terms(join_terms(t, first), second);
        } else {
            exp_parts first = load_parts(&t, v, i, max, w, how), second = load_parts(&t, v, i + 1, max, w, how);
            sum[i / 2] = v_add(first.power, second.power);
            rests = v_fma(first.power, first.rest, v_fma(second.power, second.rest, rests));
            if (!how.rough) t = join_terms(t, sum[i / 2]);
        }
    }
    if (how.keeps) return t;
    if (how.rough) t = join_terms(t, v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3])));
    if (!EXP_RESTS_ARE_SMALL) return join_terms(t, rests);
    t.sum.lo = v_add(t.sum.lo, rests);
    return t;
}

/* A tally has one row in every lane. Its terms count in the unit of the window of max.

   The error of terms.sum grows with the square of the number of terms, as its low word is not renormalised (see
   dw_join). Therefore the sum is settled at least once in SPAN terms: it is added to `settled`, and emptied. Each
   settling has an error of 2^(1-2p) of the sum: in all at most 2^-25 for 2^33 floats. */
typedef struct {
    vec max;        /* the largest element so far */
    term_sum terms; /* the terms since the last settling, and the maxima of all elements */
    dw settled;     /* the sum of all terms before */
} tally;

#define SPAN 2048

/* A tally whose maximum is known, and whose terms are still to come. */
INLINE tally tally_of_max(vec max) { return (tally){max, no_terms(), {v_set(0), v_set(0)}}; }

INLINE void settle_sum(tally *t) {
    t->settled = dw_add(t->settled, t->terms.sum);
    t->terms.sum = (dw){v_set(0), v_set(0)};
}

/* The maximum of each lane, max included; nan counts for nothing. Two chains hide half of the latency. */
INLINE vec max_of_vectors(vec max, vectors v) {
    vec other = max;
    intptr_t i = 0;
    for (; i < v.n - 1; i += 2) {
        max = v_max(v_load(v.x + i * v.step), max);
        other = v_max(v_load(v.x + (i + 1) * v.step), other);
    }
    if (i < v.n) max = v_max(v_load(v.x + i * v.step), max);
    return v_max(max, other);
}

/* The maximum of each lane over at most MOST_GROUPS groups and fewer than GROUP more vectors, and that of each group. */
#define MOST_GROUPS 4
typedef struct {
    vec all, of_group[MOST_GROUPS];
} group_maxima;
INLINE group_maxima maxima_of_groups(vec max, vectors v) {
    group_maxima m = {.all = max};
    for (vec *group = m.of_group; v.n >= GROUP; v = vectors_from(v, GROUP), group++) {
        *group = max_of_vectors(v_set(-REAL_INFINITY), (vectors){.x = v.x, .step = v.step, .n = GROUP});
        m.all = v_max(*group, m.all);
    }
    m.all = max_of_vectors(m.all, v);
    return m;
}

/* The tally of no elements. */
INLINE tally tally_empty(void) { return tally_of_max(v_set(-REAL_INFINITY)); }

/* Adds the terms of vectors, whose maxima are in t.max, and those of their groups in `of_group`. */
INLINE tally tally_vectors(tally t, vectors v, const vec *of_group, window w, summation how) {
    summation ordinary = how;
    ordinary.has_max = 0;
    /* Stored terms are not summed by twos here: a sum of a few terms should not round one of them twice. */
    for (; !how.keeps && v.n >= GROUP; v = vectors_from(v, GROUP), of_group++) {
        if (how.far || mask_any(v_eq(*of_group, t.max))) t.terms = add_group(t.terms, v, t.max, w, how);
        else t.terms = add_group(t.terms, v, t.max, w, ordinary);
    }
    for (; v.n > 0; v = vectors_from(v, 1)) t.terms = add_vector(t.terms, v, t.max, w, how);
    return t;
}

/* A sum times a mantissa and two powers of two. */
INLINE dw scaled_sum(dw sum, dw mantissa, vec power, vec other_power) {
    vec hi = v_mul(sum.hi, mantissa.hi), lo = v_fma(sum.hi, mantissa.lo, v_mul(sum.lo, mantissa.hi));
    lo = v_add(v_mul_error(sum.hi, mantissa.hi, hi), lo);
    return (dw){v_mul(v_mul(hi, power), other_power), v_mul(v_mul(lo, power), other_power)};
}

/* The maxima become `max`: the sum changes its unit, and former maxima become terms. A former maximum of -inf is no
   element at all, although made_finite would take it for -REAL_MAX. 2^shift is made in two steps, none of which is out
   of range. */
static void tally_raise(tally *t, vec max, real floor) {
    window from = make_window(t->max, floor), to = make_window(max, floor);
    dw d = dw_two_sum(from.base, v_neg(to.base));
    mask nothing = v_eq(t->max, v_set(-REAL_INFINITY)), grew = v_lt(t->max, max);
    mask gone = mask_or(nothing, v_lt(v_sub(made_finite(t->max), made_finite(max)), v_set(FLOOR)));
    scaled e = m_exp_dw(v_select(gone, v_set(0), d.hi), v_select(gone, v_set(0), d.lo), v_set(ROUNDER));
    vec shift = v_select(gone, v_set(0), v_add(v_sub(from.n, to.n), e.n));
    vec half = v_max(v_set(1 - EXPONENT_BIAS), shift), rounder = v_set(ROUNDER);
    vec power = v_select(gone, v_set(0), m_power_of_two(v_bits(v_add(half, rounder))));
    vec rest = m_power_of_two(v_bits(v_add(v_sub(shift, half), rounder)));
    vec former = v_select(grew, v_select(nothing, v_set(0), t->terms.maxima), v_set(0));
    former = v_mul(former, term_of(made_finite(t->max), to, 1));
    term_sum rescaled = {scaled_sum(t->terms.sum, e.mantissa, power, rest), v_select(grew, v_set(0), t->terms.maxima)};
    *t = (tally){
        .max = max, .terms = join_terms(rescaled, former), .settled = scaled_sum(t->settled, e.mantissa, power, rest)};
}

/* Runs tally_vectors by a loop that is specialised for the window. */
static void tally_terms(tally *t, const vectors *v, const vec *of_group, real floor, summation how) {
    window w = make_window(t->max, floor);
    how.far = window_is_far(w);
    *t = SPECIALIZED(tally_vectors, how, *t, *v, of_group, w);
}

/* A tally starts with the first vectors of its rows. */
INLINE tally tally_start(vectors v, real floor, summation how) {
    group_maxima max = maxima_of_groups(v_set(-REAL_INFINITY), v);
    tally t = tally_of_max(max.all);
    tally_terms(&t, &v, max.of_group, floor, how);
    return t;
}

/* As tally_start, for a constant `how` that is not far. Far windows are left to tally_terms. */
INLINE tally tally_near(vectors v, real floor, summation how) {
    group_maxima max = maxima_of_groups(v_set(-REAL_INFINITY), v);
    tally t = tally_of_max(max.all);
    window w = make_window(t.max, floor);
    if (!window_is_far(w)) return tally_vectors(t, v, max.of_group, w, how);
    tally_terms(&t, &v, max.of_group, floor, how);
    return t;
}

/* Adds more vectors of its rows to a tally. */
INLINE void tally_more(tally *t, vectors v, real floor, summation how) {
    group_maxima max = maxima_of_groups(t->max, v);
    if (mask_any(v_lt(t->max, max.all))) tally_raise(t, max.all, floor);
    tally_terms(t, &v, max.of_group, floor, how);
}

#define MANY_MAXIMA REAL(0x1p20)

/* Where there are many maxima, all but one become terms, so that their count stays exact. */
INLINE void count_as_terms(tally *t, real floor) {
    mask many = v_lt(v_set(MANY_MAXIMA), t->terms.maxima);
    if (!mask_any(many)) return;
    vec others = v_select(many, v_sub(t->terms.maxima, v_set(1)), v_set(0));
    t->terms = join_terms(t->terms, v_mul(others, term_of(made_finite(t->max), make_window(t->max, floor), 1)));
    t->terms.maxima = v_select(many, v_set(1), t->terms.maxima);
}

/* Settling now and then keeps sums of any length right. */
INLINE void tally_settle(tally *t, real floor) {
    settle_sum(t);
    count_as_terms(t, floor);
}

/* Tally b joins a. */
static void tally_join(tally *a, tally *b, real floor) {
    vec max = v_max(a->max, b->max);
    tally_raise(a, max, floor);
    tally_raise(b, max, floor);
    settle_sum(b);
    a->terms.maxima = v_add(a->terms.maxima, b->terms.maxima);
    tally_settle(a, floor);
    a->settled = dw_add(a->settled, b->settled);
}

/* Sums the first `count` lanes, which are parts of one row; every lane holds the result. */
static void tally_lanes(tally *t, intptr_t count, real floor) {
    tally_raise(t, largest_lane(t->max), floor);
    vec zero = v_set(0);
    mask unused = unused_lanes(count);
    dw used = {v_select(unused, zero, t->terms.sum.hi), v_select(unused, zero, t->terms.sum.lo)};
    t->terms.sum = dw_sum_of_lanes(used);
    t->terms.maxima = sum_of_lanes(v_select(unused, zero, t->terms.maxima));
}
