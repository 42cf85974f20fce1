/* Sums along the rows of a matrix, as tallies: max, and the terms of all other elements.

   A row is summed in one of three ways:
     along    lanes run along the row: rows that are contiguous and long, or alone
     columns  lanes are rows: neighbouring rows are neighbours in memory (axis 0 of a C-ordered array), and are read
              panel by panel, a block of elements of many rows at a time, so that cache lines are used whole
     tiles    lanes are rows: short or oddly strided rows are transposed into a block on the stack first
   The way depends on sizes and strides alone, so the result is the same whenever the layout is. Loops ask flat.h first
   where it has a fourth way for them. */

#pragma once

#include "pool.h"
#include "sums/flat.h"
#include "sums/partition.h"
#include "sums/short.h"
#include "sums/strips.h"
#include "sums/tiles.h"

/* From here on, a row is worth vectors of its own: it has several, and more elements than rows of short.h. */
#define LONG_ROW (4 * LANES > LANE_BLOCK ? 4 * LANES : LANE_BLOCK + 1)
#define GATHERED (8192 / WIDTH)     /* elements that are copied at a time where they are not neighbours */
#define ROWS_AT_ONCE (2048 * LANES) /* elements whose terms stay in cache until they are needed again: 128 KiB */

_Static_assert(SPAN % LANE_BLOCK == 0 && LONGEST_STRIP / LANES <= SPAN, "sums are settled between blocks and strips");

enum way { ALONG, COLUMNS, TILES };

static inline enum way choose_way(matrix a) {
    if (a.rows < 2 || (a.core == WIDTH && a.n >= LONG_ROW)) return ALONG;
    if (a.rows * 4 < LANES && a.n >= LONG_ROW) return ALONG; /* too few rows to fill the lanes */
    return a.outer == WIDTH ? COLUMNS : TILES;
}

/* Whether all elements of rows are at hand when these are summed, one row per lane (short.h). */
static inline int is_short(const matrix *a) { return a->n && a->n <= LANE_BLOCK && choose_way(*a) != ALONG; }

/* A whole row, of any type and stride. */
typedef struct {
    enum number_type type;
    const char *x;
    intptr_t step, n;
    real floor;
    summation how;
} fetched_row;

/* Sums LANES strips of a row, or what is left of it from element i on; every lane holds the result. Elements that are
   not neighbours, or not of the own type, are copied to `block` first, which is NULL for others. */
INLINE tally tally_strips_of(const fetched_row *row, intptr_t i, intptr_t length, real *block) {
    strip s[LANES] = {{0, 0, 0}};
    intptr_t count = 0;
    for (; count < LANES && i < row->n; count++, i += length) {
        s[count] = (strip){.x = (const real *)row->x + i, .kept = NULL, .n = smaller(row->n - i, length)};
        if (!block) continue;
        s[count].x = block + count * length;
        fetch(row->type, block + count * length, row->x + i * row->step, row->step, s[count].n);
    }
    tally t = tally_strips(s, count, row->floor, row->how);
    if (count > 1) tally_lanes(&t, count, row->floor);
    return t;
}
static NOINLINE tally tally_copied_strips(const fetched_row *row, intptr_t i, intptr_t length) {
    real block[GATHERED];
    return tally_strips_of(row, i, length, block);
}
static NOINLINE tally tally_some_strips(const fetched_row *row, intptr_t i, intptr_t length) {
    int in_place = row->type == OWN && row->step == WIDTH;
    return in_place ? tally_strips_of(row, i, length, NULL) : tally_copied_strips(row, i, length);
}

/* Threads share very long rows, so many times LANES strips at a time: as many as leave room on the stack for the maxima
   of tally_strips. Their sums are joined in order. */
#define SHARED_STRIPS (((24 << 10) - 2 * KEPT_MAXIMA * LANES * WIDTH) / (intptr_t)sizeof(tally))

typedef struct {
    const fetched_row *row;
    intptr_t first, length;
    tally t[SHARED_STRIPS];
} shared_strips;

static void tally_piece(void *context, int piece) {
    shared_strips *s = context;
    s->t[piece] = tally_some_strips(s->row, s->first + piece * LANES * s->length, s->length);
}

static NOINLINE tally tally_shared(const fetched_row *row, intptr_t length) {
    shared_strips s;
    tally all = tally_empty();
    s.row = row, s.length = length, s.first = 0;
    for (intptr_t once = LANES * length; s.first < row->n; s.first += SHARED_STRIPS * once) {
        intptr_t left = row->n - s.first, pieces = smaller((left + once - 1) / once, SHARED_STRIPS);
        fl_share(tally_piece, &s, (int)pieces, smaller(left, pieces * once) * WIDTH);
        for (intptr_t k = 0; k < pieces; k++) {
            if (s.first == 0 && k == 0) all = s.t[0];
            else tally_join(&all, s.t + k, row->floor);
        }
    }
    return all;
}

/* Sums a whole row; every lane holds the result. The row is a single strip if it can be one, otherwise LANES strips at
   a time. */
static NOINLINE tally tally_fetched(enum number_type type, const char *x, intptr_t step, intptr_t n, real floor,
                                    summation how) {
    fetched_row row = {type, x, step, n, floor, how};
    int in_place = type == OWN && step == WIDTH;
    intptr_t longest = in_place ? LONGEST_STRIP : GATHERED;
    intptr_t length = n <= longest ? longest : in_place ? STRIP : GATHERED / LANES;
    tally all = tally_empty();
    if (n * WIDTH >= 2 * FL_BYTES_OF_THREAD && n > longest) return tally_shared(&row, length);
    for (intptr_t i = 0; i < n; i += LANES * length) {
        tally t = tally_some_strips(&row, i, length);
        if (i == 0) all = t;
        else tally_join(&all, &t, floor);
    }
    return all;
}

/* The number of rows that are summed at once, as strips. */
static inline intptr_t strips_at_once(intptr_t n) {
    return n < ROWS_AT_ONCE ? smaller(LANES, ROWS_AT_ONCE / (n + 1)) : 1;
}

/* Sums rows r to r+count-1, which are contiguous and at most LONGEST_STRIP long: one per lane, or a single one in all
   lanes. Terms are kept in the rows of `kept`, if they are kept. */
static tally tally_rows(const matrix *a, intptr_t r, intptr_t count, const matrix *kept, real floor, summation how) {
    strip s[LANES] = {{0, 0, 0}};
    for (intptr_t k = 0; k < count; k++) {
        s[k] = (strip){.x = (const real *)(a->x + (r + k) * a->outer), .kept = NULL, .n = a->n};
        if (how.keeps) s[k].kept = (real *)((char *)kept->x + (r + k) * kept->outer);
    }
    return tally_strips(s, count, floor, how);
}
