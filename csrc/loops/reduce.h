/* (n)->() and (n)->(),(): one number of every row, or two.

   Arguments   args[0] has dims[0] rows of dims[1] elements, with any strides; each output has a number for every row.
   Passes      Some rows are summed in the way that sums/rows.h chooses; then a callback gets their partitions, computes
               the results, and stores them; then the next rows follow.
   Owners      Sums are on the stack. `context` belongs to the loop that passes it, and only callbacks look into it. */

#pragma once

#include "fastlog.h"
#include "kernels/log_sums.h"
#include "loops/again.h"
#include "loops/map.h"
#include "loops/near_one.h"

#define TILES_AT_ONCE 8 /* tiles are summed before any result is computed from the sums */

/* Callbacks of a loop over rows, for rows r to r+rows-1, one row per lane, rows <= LANES. */
typedef struct {
    /* This gets their sums, and may change their divisor z, which is NULL where rows are only reduced. */
    void (*partitioned)(void *context, partition p, divisor *z, intptr_t r, intptr_t rows);
    /* This runs after those rows are written; it may be NULL. */
    void (*normalized)(void *context, intptr_t r, intptr_t rows);
    void *context;
} row_callbacks;

/* Reduces short rows, some of which are summed before any result is computed from the sums. */
static NOINLINE void reduce_short(row_callbacks to, matrix a) {
    real tile[LANE_BLOCK * LANES];
    partition p[TILES_AT_ONCE];
    for (intptr_t r = 0, first; r < a.rows;) {
        for (first = r; r < a.rows && r < first + TILES_AT_ONCE * LANES; r += LANES) {
            p[(r - first) / LANES] = short_partition(rows_at(&a, tile, r, smaller(a.rows - r, LANES)));
        }
        for (r = first; r < a.rows && r < first + TILES_AT_ONCE * LANES; r += LANES)
            to.partitioned(to.context, p[(r - first) / LANES], NULL, r, smaller(a.rows - r, LANES));
    }
}

/* Reduces rows by columns or tiles. This is a function of its own, as its tallies fill most of a frame. */
static NOINLINE void reduce_lanes(row_callbacks to, matrix a, enum way way) {
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
        for (; r < first + rows; r += LANES) {
            partition p = partition_of(t + (r - first) / LANES, how.rough);
            to.partitioned(to.context, p, NULL, r, smaller(first + rows - r, LANES));
        }
    }
}

/* Reduces a few columns without gaps. */
static NOINLINE void reduce_flat(row_callbacks to, matrix a) {
    tally t[FLAT_GROUPS];
    tally_flat(t, &a, FLOOR, (summation){.rough = 1});
    for (intptr_t r = 0; r < a.rows; r += LANES)
        to.partitioned(to.context, partition_of(t + r / LANES, 1), NULL, r, smaller(a.rows - r, LANES));
}

INLINE void reduce_matrix(row_callbacks to, matrix a) {
    if (is_better_flat(&a)) {
        reduce_flat(to, a);
        return;
    }
    enum way way = choose_way(a);
    if (is_short(&a)) {
        reduce_short(to, a);
        return;
    }
    if (way != ALONG) {
        reduce_lanes(to, a, way);
        return;
    }
    summation how = {.rough = 1};
    intptr_t at_once = a.core == WIDTH ? strips_at_once(a.n) : 1;
    int one_strip = a.core == WIDTH && a.n <= LONGEST_STRIP && a.n > 0;
    for (intptr_t r = 0; r < a.rows; r += at_once) {
        intptr_t rows = smaller(a.rows - r, at_once);
        tally t = one_strip ? tally_rows(&a, r, rows, NULL, FLOOR, how)
                            : tally_fetched(OWN, a.x + r * a.outer, a.core, a.n, FLOOR, how);
        to.partitioned(to.context, partition_of(&t, how.rough), NULL, r, rows);
    }
}

/* ---- (n)->() ---- */

typedef struct {
    fl_loop *by_double; /* the loop that computes rows of floats in double */
    matrix a;           /* the rows */
    char *out;          /* where their results go */
    intptr_t out_step;  /* bytes from a result to the next */
    waiting_rows later; /* rows whose results have lost digits */
} reduced_rows;

/* Where the maximum is negative and log1p(rest) comes near -max, digits of the difference are lost. From LEAST_RESULT
   on, the error is still below 2 ulp: 1.8 in rows of 10, where it was largest. */
#define LEAST_RESULT REAL(0.25)
#define FEW_ELEMENTS LANE_BLOCK /* those of rows that are computed once more together */

INLINE void store_logsumexp(void *context, partition p, divisor *z, intptr_t r, intptr_t rows) {
    reduced_rows *f = context;
    real lanes[LANES];
    (void)z;
    vec y = k_logsumexp(p);
    mask cancelled = mask_and(v_lt(v_abs(y), v_set(LEAST_RESULT)), v_lt(p.max, v_set(0)));
    if (RARELY(mask_any(cancelled))) wait_where(&f->later, cancelled, r, rows);
    if (f->out_step == WIDTH) {
        store_some((real *)f->out + r, rows, y);
        return;
    }
    v_store(lanes, y);
    scatter(f->out + r * f->out_step, f->out_step, lanes, rows);
}

#if FL_WIDTH == 64
/* Rows that wait, one per lane. */
static NOINLINE void mend_few(const reduced_rows *f, const uint16_t *row, intptr_t rows) {
    three_words t = {v_set(0), v_set(0), v_set(0)};
    double y[LANES];
    for (intptr_t i = 0; i < f->a.n; i++) {
        double x[LANES];
        for (intptr_t lane = 0; lane < LANES; lane++)
            x[lane] = *(const double *)(f->a.x + row[smaller(lane, rows - 1)] * f->a.outer + i * f->a.core);
        add_near_one(&t, v_load(x), v_set(1));
    }
    v_store(y, log_of_three(t, v_set(1)));
    for (intptr_t lane = 0; lane < rows; lane++) *(double *)(f->out + row[lane] * f->out_step) = y[lane];
}

static double log_of_long_row(const matrix *a, enum number_type type, intptr_t r) {
    weighted_row row = {.x = a->x + r * a->outer, .n = a->n, .x_step = a->core, .type = type};
    return log_near_one(&row, 1);
}

static void mend_rows(reduced_rows *f) {
    intptr_t at_once = f->a.n <= FEW_ELEMENTS ? LANES : 1;
    for (intptr_t k = 0; k < f->later.count; k += at_once) {
        const uint16_t *row = f->later.row + k;
        if (at_once > 1) mend_few(f, row, smaller(f->later.count - k, LANES));
        else *(double *)(f->out + *row * f->out_step) = log_of_long_row(&f->a, OWN, *row);
    }
}
#else
#define COPIED_ROWS 32

/* Rows of floats that wait are computed in double; short ones are copied, so that they are neighbours. */
static NOINLINE void mend_few(const reduced_rows *f, const uint16_t *row, intptr_t rows) {
    float x[COPIED_ROWS * FEW_ELEMENTS + LANES], y[COPIED_ROWS];
    intptr_t n = f->a.n;
    for (intptr_t k = 0; k < rows; k++) gather(x + k * n, f->a.x + row[k] * f->a.outer, f->a.core, n);
    f->by_double((char *[]){(char *)x, (char *)y}, (intptr_t[]){rows, n}, (intptr_t[]){n * WIDTH, WIDTH, WIDTH}, NULL);
    for (intptr_t k = 0; k < rows; k++) *(float *)(f->out + row[k] * f->out_step) = y[k];
}

static void mend_rows(reduced_rows *f) {
    intptr_t at_once = f->a.n <= FEW_ELEMENTS ? COPIED_ROWS : 1;
    for (intptr_t k = 0; k < f->later.count; k += at_once) {
        intptr_t row = f->later.row[k];
        char *args[] = {(char *)f->a.x + row * f->a.outer, f->out + row * f->out_step};
        if (at_once > 1) mend_few(f, f->later.row + k, smaller(f->later.count - k, COPIED_ROWS));
        else f->by_double(args, (intptr_t[]){1, f->a.n}, (intptr_t[]){0, 0, f->a.core}, NULL);
    }
}
#endif

static unsigned logsumexp_of_pairs(char **args, const intptr_t *dims, const intptr_t *steps) {
    char *pairs[] = {args[0], args[0] + steps[2], args[1]};
    return loop_map2(k_logaddexp, 0, OWN, pairs, dims, (intptr_t[]){steps[0], steps[0], steps[1]});
}

INLINE unsigned loop_logsumexp(fl_loop *by_double, char **args, const intptr_t *dims, const intptr_t *steps) {
    if (dims[1] == 2) return logsumexp_of_pairs(args, dims, steps);
    uint16_t later[MOST_WAITING];
    reduced_rows f = {.by_double = by_double,
                      .a = matrix_of(args[0], dims, steps[0], steps[2]),
                      .out = args[1],
                      .out_step = steps[1],
                      .later = {.row = later}};
    for (intptr_t left = dims[0]; left > 0; left -= f.a.rows) {
        f.a.rows = rows_of_panels(left);
        reduce_matrix((row_callbacks){.partitioned = store_logsumexp, .context = &f}, f.a);
        if (f.later.count) mend_rows(&f);
        f.later.count = 0;
        f.a.x += f.a.rows * f.a.outer, f.out += f.a.rows * f.out_step;
    }
    return 0;
}

#if FL_WIDTH == 64
#define NEAR_ZERO_OF_FLOATS 0x1p-28 /* below, even doubles have lost digits that a float has */

/* Rows of floats, which are computed in double: short ones one per lane, long ones one after the other. */
INLINE unsigned loop_logsumexp_narrow(char **args, const intptr_t *dims, const intptr_t *steps) {
    intptr_t rows = dims[0], n = dims[1], at_once = n <= LANE_BLOCK ? LANES : 1;
    for (intptr_t r = 0; r < rows; r += at_once) {
        intptr_t count = smaller(rows - r, at_once);
        real tile[LANE_BLOCK * LANES], y[LANES], max[LANES];
        tally t;
        if (at_once == 1) {
            t = tally_fetched(NARROW, args[0] + r * steps[0], steps[2], n, FLOOR, (summation){0});
        } else {
            for (intptr_t lane = 0; lane < LANES; lane++)
                for (intptr_t i = 0; i < n; i++)
                    tile[i * LANES + lane] =
                        *(const float *)(args[0] + (r + smaller(lane, count - 1)) * steps[0] + i * steps[2]);
            t = tally_start((vectors){.x = tile, .step = LANES, .n = n}, FLOOR, (summation){0});
        }
        v_store(y, k_logsumexp(partition_of(&t, 0)));
        if (mask_any(v_lt(v_abs(v_load(y)), v_set(NEAR_ZERO_OF_FLOATS)))) {
            v_store(max, t.max);
            matrix a = matrix_of(args[0], dims, steps[0], steps[2]);
            for (intptr_t lane = 0; lane < count; lane++)
                if (max[lane] < 0 && __builtin_fabs(y[lane]) < NEAR_ZERO_OF_FLOATS)
                    y[lane] = log_of_long_row(&a, NARROW, r + lane);
        }
        deliver(NARROW, args[1] + r * steps[1], steps[1], y, count);
    }
    return 0;
}
#endif

/* ---- (n)->(),() ---- */

typedef struct {
    char *max, *rest;
    intptr_t max_step, rest_step;
} partition_output;

INLINE void store_partition(void *context, partition p, divisor *z, intptr_t r, intptr_t rows) {
    const partition_output *to = context;
    real y[LANES];
    (void)z;
    v_store(y, p.max);
    scatter(to->max + r * to->max_step, to->max_step, y, rows);
    v_store(y, p.rest.hi);
    scatter(to->rest + r * to->rest_step, to->rest_step, y, rows);
}

INLINE unsigned loop_reduce_partition(char **args, const intptr_t *dims, const intptr_t *steps) {
    partition_output to = {.max = args[1], .rest = args[2], .max_step = steps[1], .rest_step = steps[2]};
    reduce_matrix((row_callbacks){.partitioned = store_partition, .context = &to},
                  matrix_of(args[0], dims, steps[0], steps[3]));
    return 0;
}
