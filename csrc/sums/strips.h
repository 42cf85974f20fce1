/* Strips: lanes run along a row. A strip is read twice, first for its maximum, then for its terms. */

#pragma once

#include "sums/tally.h"

#define STRIP (16 * GROUP * LANES)             /* elements of a piece of a row: 8 KiB, in the innermost cache */
#define GROUPS 256                             /* the most groups of vectors of a row that is a single strip */
#define LONGEST_STRIP (GROUPS * GROUP * LANES) /* the most elements of such a row */
#define KEPT_MAXIMA (GROUPS / 2)               /* vectors that keep the maxima of groups: at most 8 KiB */
#define PREFETCH (2 * STRIP)                   /* elements ahead: reading memory goes on while terms are computed */

/* A row, or a piece of one. */
typedef struct {
    const real *x;
    real *kept; /* where its terms are stored, or NULL */
    intptr_t n; /* the number of elements */
} strip;

/* The shift is 1 where two groups share a vector of kept maxima, because there are too many groups; else 0. */
INLINE int shift_of(const strip *s) { return s->n > KEPT_MAXIMA * GROUP * LANES; }

/* Returns the maximum of a strip in every lane, and stores those of its groups in `maxima`, lane by lane. */
static vec strip_max(const strip *s, real *maxima) {
    vec none = v_set(-REAL_INFINITY), top = none, max = none;
    intptr_t i = 0, shift = shift_of(s);
    for (intptr_t g = 0; i + GROUP * LANES <= s->n; i += GROUP * LANES, g++) {
        max = max_of_vectors(g & shift ? max : none, (vectors){.x = s->x + i, .step = LANES, .n = GROUP});
        v_store(maxima + (g >> shift) * LANES, max);
        top = v_max(max, top);
    }
    intptr_t whole = whole_vectors(s->n - i);
    top = max_of_vectors(top, (vectors){.x = s->x + i, .step = LANES, .n = whole / LANES});
    return largest_lane(v_max(v_load_part(s->x + i + whole, s->n - i - whole, -REAL_INFINITY), top));
}

/* Sums the terms of a strip. Only groups that have the maximum are searched for it. */
INLINE term_sum sum_strip(const strip *s, const real *maxima, vec max, window w, summation how) {
    summation ordinary = how;
    ordinary.has_max = 0;
    term_sum t = no_terms();
    vectors v = {.x = s->x, .step = LANES, .n = s->n / LANES, .kept = s->kept, .kept_step = LANES};
    int shift = shift_of(s);
    for (intptr_t g = 0; v.n >= GROUP; v = vectors_from(v, GROUP), g++) {
        for (intptr_t j = 0; j < GROUP * LANES; j += 64 / WIDTH) __builtin_prefetch(v.x + j + PREFETCH);
        if (how.far || mask_any(v_eq(v_load(maxima + (g >> shift) * LANES), max))) t = add_group(t, v, max, w, how);
        else t = add_group(t, v, max, w, ordinary);
    }
    for (; v.n > 0; v = vectors_from(v, 1)) t = add_vector(t, v, max, w, how);
    intptr_t part = s->n % LANES;
    if (part) {
        real x[LANES], kept[LANES];
        v_store(x, v_load_part(s->x + s->n - part, part, -REAL_INFINITY)); /* the padding adds nothing */
        t = add_vector(t, (vectors){.x = x, .step = LANES, .n = 1, .kept = kept, .kept_step = LANES}, max, w, how);
        if (how.keeps) v_store_part(s->kept + s->n - part, part, v_load(kept));
    }
    return t;
}

static term_sum strip_terms(const strip *s, const real *maxima, vec max, window w, summation how) {
    return SPECIALIZED(sum_strip, how, s, maxima, max, w);
}

/* Sums one strip; every lane holds the result. */
INLINE tally tally_strip(const strip *s, real *maxima, real floor, summation how) {
    vec max = strip_max(s, maxima);
    window w = make_window(max, floor);
    how.far = window_is_far(w);
    term_sum t = strip_terms(s, maxima, max, w, how);
    return (tally){max, {dw_sum_of_lanes(t.sum), sum_of_lanes(t.maxima)}, {v_set(0), v_set(0)}};
}

/* Sums one strip per lane; unused lanes repeat the first. The maximum of the next strip is looked for before the terms
   of this one are summed, as it has to pass through all lanes, which takes time. For long strips that does not matter,
   and the maxima of their groups need all of the room. */
static tally tally_strips(const strip *s, intptr_t count, real floor, summation how) {
    real maxima[KEPT_MAXIMA * LANES], max[LANES];
    if (count == 1) return tally_strip(s, maxima, floor, how);
    vec hi[LANES], lo[LANES], left_out[LANES];
    intptr_t ahead = s->n <= KEPT_MAXIMA / 2 * GROUP * LANES, half = ahead * (KEPT_MAXIMA / 2 * LANES);
    vec next = strip_max(s, maxima);
    for (intptr_t k = 0; k < LANES; k++) {
        if (k > 0 && k >= count) {
            hi[k] = hi[0], lo[k] = lo[0], left_out[k] = left_out[0], max[k] = max[0];
            continue;
        }
        vec of_strip = k == 0 || ahead ? next : strip_max(s + k, maxima);
        if (ahead && k + 1 < count) next = strip_max(s + k + 1, maxima + (k + 1) % 2 * half);
        window w = make_window(of_strip, floor);
        how.far = window_is_far(w);
        term_sum t = strip_terms(s + k, maxima + k % 2 * half, of_strip, w, how);
        hi[k] = t.sum.hi, lo[k] = t.sum.lo, left_out[k] = t.maxima, max[k] = first_lane(of_strip);
    }
    return (tally){v_load(max), {dw_sum_across(hi, lo), sum_across(left_out)}, {v_set(0), v_set(0)}};
}
