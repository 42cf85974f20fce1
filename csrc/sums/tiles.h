/* Tiles and columns: one row per lane. */

#pragma once

#include "sums/tally.h"

#define LANE_BLOCK \
    32           /* elements of each row at a time, or fewer: their maximum is found, then their terms are summed */
#define PANEL 64 /* vectors of neighbouring rows side by side: at most 4 KiB */

_Static_assert(LANE_BLOCK <= MOST_GROUPS * GROUP, "a block has at most MOST_GROUPS groups");

/* Loads elements k to k+n-1 of rows r to r+rows-1, one row per lane; missing lanes repeat the last row. Columns are
   read four at a time. If n is not a multiple of 4, the last four overlap those before; if n < 4, they reach into the
   next row, and `followed` makes sure that there is one. */
INLINE void load_tile(real *tile, const matrix *a, intptr_t r, intptr_t rows, intptr_t k, intptr_t n) {
    const char *p = a->x + r * a->outer + k * a->core;
    int followed = a->outer == a->n * WIDTH && r + rows + 4 <= a->rows;
    if (rows == LANES && a->core == WIDTH && a->outer % WIDTH == 0 && (n >= 4 || followed)) {
        for (intptr_t i = 0; i < n; i += 4) {
            vec column[4];
            intptr_t first = n < 4 ? 0 : smaller(i, n - 4);
            v_columns((const real *)p + first, a->outer / WIDTH, column);
            for (intptr_t j = 0; j < 4; j++) v_store(tile + (first + j) * LANES, column[j]);
        }
        return;
    }
    for (intptr_t lane = 0; lane < LANES; lane++)
        for (intptr_t i = 0; i < n; i++)
            memcpy(tile + i * LANES + lane, p + smaller(lane, rows - 1) * a->outer + i * a->core, sizeof(real));
}

/* Rows r to r+rows-1 of a matrix of short rows: where they are, if they are columns and fill a vector, else a tile. */
INLINE vectors place_of(const matrix *m, real *tile, intptr_t r, intptr_t rows) {
    if (rows < LANES || !is_in_columns(m))
        return (vectors){.x = tile, .step = LANES, .n = m->n, .kept = tile, .kept_step = LANES};
    real *at = (real *)(m->x + r * WIDTH);
    return (vectors){.x = at, .step = m->core / WIDTH, .n = m->n, .kept = at, .kept_step = m->core / WIDTH};
}
INLINE vectors rows_at(const matrix *m, real *tile, intptr_t r, intptr_t rows) {
    vectors v = place_of(m, tile, r, rows);
    if (v.x == tile) load_tile(tile, m, r, rows, 0, m->n);
    return v;
}

/* Stores a tile in elements k to k+n-1 of rows r to r+rows-1. Columns are written four at a time, as load_tile reads
   them; rows of fewer elements pass through a buffer, as there may be no row to overwrite what is too much. */
static void store_tile(const real *tile, const matrix *out, intptr_t r, intptr_t rows, intptr_t k, intptr_t n) {
    char *p = (char *)out->x + r * out->outer + k * out->core;
    if (rows == LANES && out->core == WIDTH && out->outer % WIDTH == 0 && (n >= 4 || out->outer == n * WIDTH)) {
        real few[LANES * 4];
        real *to = n < 4 ? few : (real *)p;
        for (intptr_t i = 0; i < n; i += 4) {
            vec column[4];
            intptr_t first = n < 4 ? 0 : smaller(i, n - 4);
            for (intptr_t j = 0; j < 4; j++) column[j] = v_load(tile + (first + j) * LANES);
            v_store_columns(to + first, out->outer / WIDTH, column);
        }
        for (intptr_t i = 0; n < 4 && i < n; i++) v_store((real *)p + i * LANES, v_load(few + i * LANES));
        return;
    }
    for (intptr_t lane = 0; lane < rows; lane++)
        for (intptr_t i = 0; i < n; i++)
            memcpy(p + lane * out->outer + i * out->core, tile + i * LANES + lane, sizeof(real));
}

/* Sums rows r to r+rows-1, rows <= LANES, by tiles. The last tile, or its terms, stays in `tile`, which has room for at
   least four elements of each row. */
INLINE tally sum_tiles(const matrix *a, intptr_t r, intptr_t rows, real *tile, real floor, summation how) {
    if (a->n == 0) return tally_empty();
    intptr_t n = smaller(a->n, LANE_BLOCK);
    load_tile(tile, a, r, rows, 0, n);
    vectors v = {.x = tile, .step = LANES, .n = n, .kept = tile, .kept_step = LANES};
    tally t = tally_near(v, floor, how);
    for (intptr_t k = n; k < a->n; k += n) {
        n = smaller(a->n - k, LANE_BLOCK);
        load_tile(tile, a, r, rows, k, n);
        tally_more(&t, (vectors){.x = tile, .step = LANES, .n = n}, floor, how);
        if (k % SPAN == 0) tally_settle(&t, floor);
    }
    return t;
}

/* Asks for the next block of these rows, while this one is computed. */
INLINE void prefetch_block(vectors v) {
    for (intptr_t i = 0; i < v.n; i++) __builtin_prefetch(v.x + (v.n + i) * v.step);
}

/* How many elements of each row make a block, given the bytes from element to element. Addresses a multiple of 1 KiB
   apart share so few sets of the innermost cache that more of them would drive each other out. */
INLINE intptr_t height_of_block(intptr_t core) { return core % 1024 ? LANE_BLOCK : GROUP; }

/* Runs sum_tiles, specialised. It starts with a near window, and leaves far ones to tally_terms. */
static tally tally_tiles(const matrix *a, intptr_t r, intptr_t rows, real *tile, real floor, summation how) {
    how.far = 0;
    return SPECIALIZED(sum_tiles, how, a, r, rows, tile, floor);
}

/* Sums `panel` groups of LANES neighbouring rows from row r on. */
static void tally_columns(tally *t, const matrix *a, intptr_t r, intptr_t panel, real floor, summation how) {
    for (intptr_t v = 0; v < panel && a->n == 0; v++) t[v] = tally_empty();
    for (intptr_t k = 0, height = height_of_block(a->core); k < a->n; k += height) {
        vectors x = {
            .x = (const real *)(a->x + k * a->core) + r, .step = a->core / WIDTH, .n = smaller(a->n - k, height)};
        for (intptr_t v = 0; v < panel; v++, x.x += LANES) {
            prefetch_block(x);
            if (k) tally_more(t + v, x, floor, how);
            else t[v] = tally_start(x, floor, how);
            if (k && k % SPAN == 0) tally_settle(t + v, floor);
        }
    }
}
