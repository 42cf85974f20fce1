/* (n)->() and (n)->(),(): a number of every row. */

#ifndef FASTLOG_REDUCE_H
#define FASTLOG_REDUCE_H

#include "fastlog.h"
#include "memory/status.h"
#include "sums/rows.h"

/* How many vectors are normalised side by side: fewer than are summed, as more is kept of each, and fewer still where
   callbacks keep more. So no stack frame is above 32 KiB. */
#define NORMALIZED_PANEL (PANEL / 2)
#define HOOKED_PANEL (PANEL / 4)
#define TILES_AT_ONCE 8 /* that are summed before any result is computed from the sums */

typedef vec reduce_kernel(partition);
typedef divisor divisor_kernel(tally);
typedef vec normalize_kernel(vec, divisor);

/* What becomes of the partitions of rows r .. r+rows <= r+LANES, a row per lane, and of the divisor that follows from
   them; and of these rows after they are normalised. */
typedef struct {
    void (*partitioned)(void *context, partition p, divisor *z, intptr_t r, intptr_t rows);
    void (*normalized)(void *context, intptr_t r, intptr_t rows);
    void *context;
} hooks;

typedef struct {
    reduce_kernel *reduce;
    hooks hooks; /* instead of it */
    matrix a;
    char *out;
    intptr_t out_step;
} reduction;

#define TABLE_NAME(target, width) fl_table_##target##_f##width
#define TABLE(target, width) TABLE_NAME(target, width)

/* Where the maximum is negative and log1p(rest) comes near -max, a float keeps no digits of the difference: such rows
   are done once more in double. */
INLINE void mend_differences(reduction f, partition p, real *y, intptr_t r, intptr_t rows) {
#if FL_WIDTH == 32
    extern const fl_table TABLE(FL_TARGET, 64);
    vec near = v_abs(v_load(y)), max = p.max;
    if (!mask_any(mask_and(v_lt(near, v_set(0.25f)), v_lt(max, v_set(0))))) return;
    real maxima[LANES], mended[LANES];
    v_store(maxima, max);
    char *args[] = {(char *)f.a.x + r * f.a.outer, (char *)mended};
    TABLE(FL_TARGET, 64)
        .narrow[FL_logsumexp](args, (intptr_t[]){rows, f.a.n}, (intptr_t[]){f.a.outer, WIDTH, f.a.core}, NULL);
    for (intptr_t lane = 0; lane < rows; lane++)
        if (maxima[lane] < 0 && __builtin_fabsf(y[lane]) < 0.25f) y[lane] = mended[lane];
#else
    (void)f, (void)p, (void)y, (void)r, (void)rows;
#endif
}

INLINE void finish_rows(reduction f, partition p, intptr_t r, intptr_t rows) {
    if (f.hooks.partitioned) {
        f.hooks.partitioned(f.hooks.context, p, 0, r, rows);
        return;
    }
    real y[LANES];
    v_store(y, f.reduce(p));
    mend_differences(f, p, y, r, rows);
    if (rows == LANES && f.out_step == WIDTH) v_store((real *)(f.out + r * f.out_step), v_load(y));
    else scatter(f.out + r * f.out_step, f.out_step, y, rows);
}

/* A row per lane. This is a function of its own, as its tallies fill most of a frame. */
static NOINLINE void reduce_lanes(reduction f, enum way way) {
    matrix a = f.a;
    intptr_t r = 0;
    real tile[LANE_BLOCK * LANES];
    summation how = {.rough = 1};
    while (r < a.rows) {
        tally t[PANEL];
        intptr_t rows = smaller(a.rows - r, (way == COLUMNS ? PANEL : TILES_AT_ONCE) * LANES), first = r;
        if (way == COLUMNS && rows >= LANES) {
            rows = whole_vectors(rows);
            tally_columns(t, &a, r, rows / LANES, FLOOR, how);
        } else {
            for (intptr_t k = 0; k < rows; k += LANES)
                t[k / LANES] = tally_tiles(&a, r + k, smaller(rows - k, LANES), tile, FLOOR, how);
        }
        for (; r < first + rows; r += LANES)
            finish_rows(f, partition_of(t + (r - first) / LANES, how.rough), r, smaller(first + rows - r, LANES));
    }
}

INLINE void run_reduction(reduction f) {
    fl_status status = status_save();
    matrix a = f.a;
    enum way way = choose_way(a);
    if (way == ALONG) {
        summation how = {.rough = 1};
        intptr_t at_once = a.core == WIDTH ? strips_at_once(a.n) : 1;
        int one_strip = a.core == WIDTH && a.n <= LONGEST_STRIP && a.n > 0;
        for (intptr_t r = 0; r < a.rows; r += at_once) {
            intptr_t rows = smaller(a.rows - r, at_once);
            tally t = one_strip ? tally_rows(&a, r, rows, NULL, FLOOR, how)
                                : tally_along(a.x + r * a.outer, a.core, a.n, FLOOR, how);
            finish_rows(f, partition_of(&t, how.rough), r, rows);
        }
    } else {
        reduce_lanes(f, way);
    }
    status_restore(status);
}

INLINE void loop_reduce(reduce_kernel *k, char **args, const intptr_t *dims, const intptr_t *steps) {
    matrix a = {args[0], dims[0], dims[1], steps[0], steps[2]};
    run_reduction((reduction){k, {0}, a, args[1], steps[1]});
}

#if FL_WIDTH == 64
INLINE void narrow_reduce(reduce_kernel *k, char **args, const intptr_t *dims, const intptr_t *steps) {
    fl_status status = status_save();
    intptr_t rows = dims[0], n = dims[1], at_once = n <= LANE_BLOCK ? LANES : 1;
    for (intptr_t r = 0; r < rows; r += at_once) {
        intptr_t count = smaller(rows - r, at_once);
        real tile[LANE_BLOCK * LANES], y[LANES];
        tally t;
        if (at_once == 1) {
            t = tally_fetched(narrow_gather, args[0] + r * steps[0], steps[2], n, FLOOR, (summation){0});
        } else {
            for (intptr_t lane = 0; lane < LANES; lane++)
                for (intptr_t i = 0; i < n; i++)
                    tile[i * LANES + lane] =
                        *(const float *)(args[0] + (r + smaller(lane, count - 1)) * steps[0] + i * steps[2]);
            t = tally_start((vectors){tile, LANES, n, 0, 0}, FLOOR, (summation){0});
        }
        v_store(y, k(partition_of(&t, 0)));
        for (intptr_t lane = 0; lane < count; lane++) *(float *)(args[1] + (r + lane) * steps[1]) = (float)y[lane];
    }
    status_restore(status);
}
#endif

/* Where the parts of a partition go. */
typedef struct {
    char *max, *rest;
    intptr_t max_step, rest_step;
} parts;

INLINE void put_parts(void *context, partition p, divisor *z, intptr_t r, intptr_t rows) {
    (void)z;
    parts *to = context;
    real y[LANES];
    v_store(y, p.max);
    scatter(to->max + r * to->max_step, to->max_step, y, rows);
    v_store(y, p.rest.hi);
    scatter(to->rest + r * to->rest_step, to->rest_step, y, rows);
}

INLINE void loop_reduce_partition(char **args, const intptr_t *dims, const intptr_t *steps) {
    parts to = {args[1], args[2], steps[1], steps[2]};
    run_reduction((reduction){.hooks = {put_parts, 0, &to}, .a = {args[0], dims[0], dims[1], steps[0], steps[3]}});
}

#endif
