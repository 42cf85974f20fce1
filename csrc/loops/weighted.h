/* (n),(n),(n)->(),(): log|s| and the sign of s, the sum of b e^x over the elements that a third argument includes; or
   of the mean of b e^x over these.

   Arguments   args[0] has dims[0] rows of dims[1] elements x, args[1] their weights b, args[2] a bool for each, which
               includes it; args[3] and args[4] have log|s| and the sign of every row. A NULL instead of args[4] is
               a sign that is not wanted.
   Ways        The strides and the weights decide how a row is summed:
                 constant   b and `include` do not vary along a row: the plain sum (loops/reduce.h), and log|b| joins
                            its logarithm
                 included   only `include` varies: the plain sum of a copy, in which -inf stands for what is left out
                 products   b varies: sums of b e^x with one multiplication for each term (loops/weighted_products.h)
                 exact      rows that the others do not take: weights that are negative, infinite, nan or of extreme
                            size, and results near 0 (loops/weighted_exact.h)

   A weight of 0, like an element that is not included, drops the element even if that is infinite or nan. */

#pragma once

#include "loops/reduce.h"
#include "loops/weighted_products.h"

static weighted_rows weighted_rows_of(int mean, fl_loop *by_double, char **args, const intptr_t *dims,
                                      const intptr_t *steps) {
    intptr_t one = dims[1] < 2; /* then core strides mean nothing */
    weighted_rows f = {.x = matrix_of(args[0], dims, steps[0], steps[5]),
                       .b = matrix_of(args[1], dims, steps[1], one ? 0 : steps[6]),
                       .include = matrix_of(args[2], dims, steps[2], one ? 0 : steps[7]),
                       .out = args[3],
                       .sign = args[4],
                       .out_step = steps[3],
                       .sign_step = steps[4],
                       .mean = mean,
                       .by_double = by_double};
    return f;
}

/* ---- constant and included: what joins the plain sum of a row ---- */

/* The weights of rows r to r+rows-1, where they do not vary along a row. */
INLINE vec weights_of_rows(const weighted_rows *f, intptr_t r, intptr_t rows) {
    real b[LANES] = {0};
    gather(b, f->b.x + r * f->b.outer, f->b.outer, rows);
    return v_load(b);
}

/* y = max + log1p(rest) + log|b| - log(count), where b is the weight of all elements of a row. Digits are lost where y
   is near 0 and a term of this sum is not; there the exact way keeps them. */
INLINE void store_joined(void *context, partition p, divisor *z, intptr_t r, intptr_t rows) {
    weighted_rows *f = context;
    (void)z;
    vec zero = v_set(0), b = weights_of_rows(f, f->one_weight ? 0 : r, f->one_weight ? 1 : rows);
    dw joined = f->one_weight ? f->log_weight : m_log(v_abs(b));
    if (f->mean) joined = dw_add(joined, f->one_count ? f->log_count : log_counts_of_rows(f, r, rows));
    vec y = sum_of_logs(p.max, m_log1p(p.rest), joined);
    y = v_select(v_eq(p.rest.hi, p.rest.hi), y, p.rest.hi);
    mask cancels = mask_or(v_lt(p.max, zero), v_ne(joined.hi, zero));
    mask again =
        mask_or(mask_and(v_lt(v_abs(y), v_set(f->near_zero)), cancels), v_ne(v_sub(joined.hi, joined.hi), zero));
    store_sums(f, y, b, mask_or(again, are_left_out(f, r, rows)), r, rows);
}

/* ---- included: copies of rows in which -inf stands for what is left out ---- */

/* Sums rows r to r+rows-1, which are contiguous and fit into the block together, or a single longer row. */
static NOINLINE tally tally_included(const weighted_rows *f, intptr_t r, intptr_t rows) {
    real block[WEIGHTED_BLOCK];
    intptr_t n = f->x.n, length = n;
    strip s[LANES] = {{0, 0, 0}};
    if (n <= WEIGHTED_BLOCK) {
        for (intptr_t k = 0; k < rows; k++) {
            copy_included(f, &f->x, block + k * n, r + k, 0, n, -REAL_INFINITY);
            s[k] = (strip){.x = block + k * n, .kept = NULL, .n = n};
        }
        return tally_strips(s, rows, FLOOR, (summation){.rough = 1});
    }
    length = WEIGHTED_BLOCK / LANES;
    tally all = tally_empty();
    for (intptr_t i = 0; i < n;) {
        intptr_t count = 0, first = i;
        for (; count < LANES && i < n; count++, i += length) {
            s[count] = (strip){.x = block + count * length, .kept = NULL, .n = smaller(n - i, length)};
            copy_included(f, &f->x, block + count * length, r, i, s[count].n, -REAL_INFINITY);
        }
        tally t = tally_strips(s, count, FLOOR, (summation){.rough = 1});
        if (count > 1) tally_lanes(&t, count, FLOOR);
        if (first == 0) all = t;
        else tally_join(&all, &t, FLOOR);
    }
    return all;
}

static NOINLINE void reduce_included_lanes(weighted_rows *f, enum way way) {
    real tile[LANE_BLOCK * LANES];
    summation how = {.rough = 1};
    intptr_t most = (way == COLUMNS ? SUMS_AT_ONCE : TILES_AT_ONCE) * LANES;
    for (intptr_t first = 0; first < f->x.rows; first += most) {
        tally t[SUMS_AT_ONCE];
        intptr_t rows = smaller(f->x.rows - first, most);
        for (intptr_t k = 0; k < f->x.n; k += LANE_BLOCK)
            for (intptr_t r = 0; r < rows; r += LANES) {
                vectors v = {.x = tile, .step = LANES, .n = smaller(f->x.n - k, LANE_BLOCK)};
                tile_included(f, &f->x, tile, first + r, smaller(rows - r, LANES), k, v.n, -REAL_INFINITY);
                if (k) tally_more(t + r / LANES, v, FLOOR, how);
                else t[r / LANES] = tally_start(v, FLOOR, how);
                if (k && k % SPAN == 0) tally_settle(t + r / LANES, FLOOR);
            }
        for (intptr_t r = 0; r < rows; r += LANES)
            store_joined(f, partition_of(t + r / LANES, how.rough), NULL, first + r, smaller(rows - r, LANES));
    }
}

static void reduce_included(weighted_rows *f) {
    enum way way = choose_way(f->x);
    if (way != ALONG) {
        reduce_included_lanes(f, way);
        return;
    }
    intptr_t at_once = smaller(LANES, WEIGHTED_BLOCK / f->x.n);
    if (at_once < 1) at_once = 1;
    for (intptr_t r = 0; r < f->x.rows; r += at_once) {
        intptr_t rows = smaller(f->x.rows - r, at_once);
        tally t = tally_included(f, r, rows);
        store_joined(f, partition_of(&t, 1), NULL, r, rows);
    }
}

/* ---- the loops ---- */

/* Results below that are computed exactly. In units of their own size, their errors may be larger. */
#define NEAR_ZERO_OF_SUMS REAL(0.125)

static void reduce_one_weight(weighted_rows *f) {
    reduce_matrix((row_callbacks){.partitioned = store_joined, .context = f}, f->x);
}

static void reduce_weighted(weighted_rows *f) {
    int is_constant = f->b.core == 0 && f->include.core == 0;
    if (f->x.n == 0) {
        for (intptr_t r = 0; r < f->x.rows; r++) weighted_row_exactly(f, f->type, r);
        return;
    }
    f->one_weight = f->b.core == 0 && f->b.outer == 0;
    f->one_count = f->include.core == 0;
    if (f->one_weight) f->log_weight = m_log(v_abs(weights_of_rows(f, 0, 1)));
    if (f->mean && f->one_count) f->log_count = minus_log_of_count(f->x.n);
    reduce_panels(*f, is_constant ? reduce_one_weight : f->b.core == 0 ? reduce_included : reduce_products);
}

#if FL_WIDTH == 64
#define NARROW_ROW 1024 /* floats of a row that are copied to doubles, unless the exact way reads them itself */

static void fetch_floats(double *to, const char *p, intptr_t step, intptr_t n) {
    for (intptr_t i = 0; i < n; i++) to[i] = *(const float *)(p + i * step);
}

/* Computes short rows of floats, whose weights do not vary along a row, in copies. */
static NOINLINE void reduce_copied_floats(const weighted_rows *f, weighted_rows of) {
    enum { MOST = NARROW_ROW / 4 };
    double x[NARROW_ROW], b[MOST], y[MOST], sign[MOST];
    intptr_t n = f->x.n, most = smaller(NARROW_ROW / n, MOST);
    of.out = (char *)y, of.sign = (char *)sign, of.out_step = of.sign_step = WIDTH;
    for (intptr_t r = 0, rows; r < f->x.rows; r += rows) {
        rows = smaller(f->x.rows - r, most);
        for (intptr_t k = 0; k < rows; k++) fetch_floats(x + k * n, f->x.x + (r + k) * f->x.outer, f->x.core, n);
        fetch_floats(b, f->b.x + r * f->b.outer, f->b.outer, rows);
        of.x = (matrix){.x = (const char *)x, .rows = rows, .n = n, .outer = n * WIDTH, .core = WIDTH};
        of.b = (matrix){.x = (const char *)b, .rows = rows, .n = n, .outer = f->b.outer ? WIDTH : 0, .core = 0};
        of.include.x = f->include.x + r * f->include.outer;
        if (rows == 1 && n < LONG_ROW) { /* the row is summed as it would be among others */
            memcpy(x + n, x, (size_t)(n * WIDTH));
            b[1] = b[0];
            of.x.rows = of.b.rows = 2, of.include.outer = 0;
        }
        reduce_weighted(&of);
        narrow_scatter(f->out + r * f->out_step, f->out_step, y, rows);
        if (f->sign) narrow_scatter(f->sign + r * f->sign_step, f->sign_step, sign, rows);
    }
}

/* Rows of floats, which are computed in double. The copies are in a frame of their own, as a caller's loop of floats has
   a frame already. */
static void reduce_weighted_narrow(const weighted_rows *f) {
    weighted_rows of = *f;
    intptr_t n = f->x.n;
    of.of_floats = 1, of.near_zero = NEAR_ZERO_OF_FLOATS;
    if (n && n <= NARROW_ROW && f->b.core == 0) {
        reduce_copied_floats(f, of);
        return;
    }
    of.type = NARROW;
    if (n == 0) {
        reduce_weighted(&of);
        return;
    }
    of.one_count = f->include.core == 0;
    if (f->mean && of.one_count) of.log_count = minus_log_of_count(n);
    reduce_panels(of, reduce_products);
}
#else
static void reduce_weighted_narrow(const weighted_rows *f) { (void)f; } /* there are no loops on binary16 */
#endif

INLINE unsigned loop_reduce_weighted(int mean, enum number_type type, fl_loop *by_double, char **args,
                                     const intptr_t *dims, const intptr_t *steps) {
    weighted_rows f = weighted_rows_of(mean, by_double, args, dims, steps);
    f.near_zero = NEAR_ZERO_OF_SUMS;
    if (type == NARROW) reduce_weighted_narrow(&f);
    else reduce_weighted(&f);
    return 0;
}

/* (n)->(): log of the mean of e^x. */
INLINE unsigned loop_logmeanexp(fl_loop *by_double, char **args, const intptr_t *dims, const intptr_t *steps) {
    static const real one = 1;
    static const char all = 1;
    char *weighted[] = {args[0], (char *)&one, (char *)&all, args[1], NULL};
    const intptr_t weighted_steps[] = {steps[0], 0, 0, steps[1], 0, steps[2], 0, 0};
    return loop_reduce_weighted(1, OWN, by_double, weighted, dims, weighted_steps);
}
