/* A few columns without gaps: lanes run through memory, and every lane has a part of one row.

   LANES elements of each of R rows fill R vectors, a line: number p of these R LANES elements is of row p mod R. So the
   matrix is one of R LANES rows that are n/LANES long, up to `rest` elements of each row, which are left. */

#pragma once

#include "sums/tiles.h"

/* The most rows, whose parts fill 1 KiB. They are fewer than those of two pieces that a call may be cut into, as a piece
   has gaps. */
#define FLAT_ROWS (1024 / (WIDTH * LANES) < 31 ? 1024 / (WIDTH * LANES) : 31)
#define FLAT_GROUPS ((FLAT_ROWS + LANES - 1) / LANES) /* vectors of such rows */

INLINE int is_flat(const matrix *a) { return a->core == a->rows * WIDTH && a->outer == WIDTH; }

/* Whether the rows are few, long, and without gaps. */
INLINE int is_long_and_flat(const matrix *a) {
    return a->rows > 1 && a->rows <= FLAT_ROWS && a->n >= 2 * LANES && is_flat(a);
}

/* Whether such rows are better laid out so than as columns: these leave lanes unused unless they fill whole vectors, but
   parts of rows take some time to be joined. */
INLINE int is_better_flat(const matrix *a) { return is_long_and_flat(a) && a->n >= 16 * LANES && a->rows % LANES != 0; }

/* The tallies of the parts, lane by lane. */
typedef struct {
    real max[FLAT_ROWS * LANES], maxima[FLAT_ROWS * LANES], hi[FLAT_ROWS * LANES], lo[FLAT_ROWS * LANES];
} flat_parts;

/* Joins the parts of LANES rows from number `first` on, and adds the elements that are left. */
static tally join_flat(const flat_parts *parts, const matrix *a, intptr_t first, real floor, summation how) {
    intptr_t some = smaller(a->rows - first, LANES), left = a->n % LANES;
    tally all = tally_empty();
    for (intptr_t p = first; p < a->rows * LANES; p += a->rows) {
        tally part = tally_of_max(load_some(parts->max + p, some));
        part.terms.maxima = load_some(parts->maxima + p, some);
        part.settled = (dw){load_some(parts->hi + p, some), load_some(parts->lo + p, some)};
        if (p == first) all = part;
        else tally_join(&all, &part, floor);
    }
    real tile[LANES * LANES];
    const real *x = (const real *)a->x + (a->n - left) * a->rows + first;
    for (intptr_t i = 0; i < left; i++) v_store(tile + i * LANES, load_some(x + i * a->rows, some));
    if (left) tally_more(&all, (vectors){.x = tile, .step = LANES, .n = left}, floor, how);
    return all;
}

/* Sums a matrix that is long and flat, LANES rows in each tally. */
static NOINLINE void tally_flat(tally *t, const matrix *a, real floor, summation how) {
    tally part[FLAT_ROWS];
    flat_parts parts;
    intptr_t line = a->rows * LANES;
    matrix lines = {.x = a->x, .rows = line, .n = a->n / LANES, .outer = WIDTH, .core = line * WIDTH};
    tally_columns(part, &lines, 0, a->rows, floor, how);
    for (intptr_t k = 0; k < a->rows; k++) {
        settle_sum(part + k);
        v_store(parts.max + k * LANES, part[k].max), v_store(parts.maxima + k * LANES, part[k].terms.maxima);
        v_store(parts.hi + k * LANES, part[k].settled.hi), v_store(parts.lo + k * LANES, part[k].settled.lo);
    }
    for (intptr_t first = 0; first < a->rows; first += LANES)
        t[first / LANES] = join_flat(&parts, a, first, floor, how);
}
