/* Strided NumPy arguments <-> full vectors, row by row: the shapes (n)->(), (n)->(n) and (n),(n)->().

   A row is reduced in one of three ways:
     along    lanes run along the row: rows that are contiguous and long, or alone
     columns  lanes are rows: neighbouring rows are neighbours in memory (axis 0 of a C-ordered array), which are read
              panel by panel, some rows of the matrix at a time, so that the cache lines are used whole
     tiles    lanes are rows: short or oddly strided rows are transposed into a block on the stack first
   The way depends on sizes and strides alone, so the result is the same whenever the layout is. */

#ifndef FASTLOG_ROWS_H
#define FASTLOG_ROWS_H

#include "kernels/partition.h"
#include "loops.h"

#define ROW_BLOCK (128 * LANES) /* elements of a row whose maximum, then sum is taken: no more than 8 KiB, in cache */
#define LONG_ROW (4 * LANES)    /* from here on a row is worth vectors of its own */
#define LANE_BLOCK 32           /* elements per lane whose maximum, then sum is taken */
#define PANEL 16                /* vectors side by side: at most 1 KiB of every row of the matrix */

typedef vec reduce_kernel(partition);
typedef vec labelled_kernel(vec, partition);
typedef norm norm_kernel(partition);
typedef vec normalize_kernel(vec, norm);

typedef struct {
    const char *x;
    intptr_t rows, n;     /* how many, how long */
    intptr_t outer, core; /* bytes from row to row, from element to element */
} matrix;

enum way { ALONG, COLUMNS, TILES };

static inline enum way choose_way(matrix a) {
    if (a.rows < 2 || (a.core == WIDTH && a.n >= LONG_ROW)) return ALONG;
    if (a.rows * 4 < LANES && a.n >= LONG_ROW) return ALONG; /* too few rows to fill the lanes */
    return a.outer == WIDTH ? COLUMNS : TILES;
}

INLINE real first_lane(vec x) {
    real lanes[LANES];
    v_store(lanes, x);
    return lanes[0];
}

INLINE real max_of_lanes(vec x) {
    real lanes[LANES];
    v_store(lanes, x);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lanes[i] = lanes[i] > lanes[i + half] ? lanes[i] : lanes[i + half];
    return lanes[0];
}

/* The first n < LANES elements at p; the other lanes are c. */
INLINE vec load_part(const real *p, intptr_t n, real c) {
    real lanes[LANES];
    v_store(lanes, v_set(c));
    memcpy(lanes, p, (size_t)(n * WIDTH));
    return v_load(lanes);
}
INLINE void store_part(real *p, intptr_t n, vec x) {
    real lanes[LANES];
    v_store(lanes, x);
    memcpy(p, lanes, (size_t)(n * WIDTH));
}

/* A running sum in two doubles. */
typedef struct {
    double hi, lo;
} total;

static inline total total_add(total t, double x) {
    double s = t.hi + x, x_part = s - t.hi, t_part = s - x_part;
    return (total){s, t.lo + ((t.hi - t_part) + (x - x_part))};
}

/* The sum of all lanes, pairwise. */
INLINE total total_of_lanes(dw x) {
    real hi[LANES], lo[LANES];
    total sum[LANES];
    v_store(hi, x.hi);
    v_store(lo, x.lo);
    for (int i = 0; i < LANES; i++) sum[i] = (total){hi[i], lo[i]};
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) {
            sum[i] = total_add(sum[i], sum[i + half].hi);
            sum[i].lo += sum[i + half].lo;
        }
    return sum[0];
}

INLINE dw total_as_dw(total t) {
    real hi = (real)t.hi;
    return (dw){v_set(hi), v_set((real)(t.hi - (double)hi + t.lo))};
}
INLINE total total_of_dw(dw x) { return (total){first_lane(x.hi), first_lane(x.lo)}; }

/* ---- lanes along one row ---- */

INLINE real block_max(const real *p, intptr_t whole, vec start) {
    vec top[4] = {start, start, start, start}; /* four chains hide the latency */
    intptr_t j = 0;
    for (; j + 4 * LANES <= whole; j += 4 * LANES)
        for (int u = 0; u < 4; u++) top[u] = v_max(v_load(p + j + u * LANES), top[u]);
    for (; j < whole; j += LANES) top[0] = v_max(v_load(p + j), top[0]);
    return max_of_lanes(v_max(v_max(top[0], top[1]), v_max(top[2], top[3])));
}

/* The partition of one row, the same in every lane. Per block: maximum, then sum; a larger maximum rescales what came
   before. */
INLINE partition partition_along(const char *x, intptr_t step, intptr_t n) {
    real block[ROW_BLOCK], max = -REAL_INFINITY;
    total rest = {-1, 0};
    for (intptr_t i = 0; i < n; i += ROW_BLOCK) {
        intptr_t count = smaller(n - i, ROW_BLOCK), whole = whole_vectors(count);
        const real *p = (const real *)x + i;
        if (step != WIDTH) gather(block, x + i * step, step, count), p = block;
        vec tail = whole < count ? load_part(p + whole, count - whole, -REAL_INFINITY) : v_set(-REAL_INFINITY);
        real new_max = block_max(p, whole, v_max(tail, v_set(max)));
        vec top = v_set(new_max);
        scale s = p_scale(top);
        terms t = p_add_term(p_no_terms(), tail, top, s); /* the padding adds nothing */
        intptr_t j = 0;
        for (; j + 4 * LANES <= whole; j += 4 * LANES)
            t = p_add_terms(t, v_load(p + j), v_load(p + j + LANES), v_load(p + j + 2 * LANES),
                            v_load(p + j + 3 * LANES), top, s);
        for (; j < whole; j += LANES) t = p_add_term(t, v_load(p + j), top, s);
        double maxima = (double)(whole + LANES) - total_of_lanes((dw){t.others, v_set(0)}).hi;
        if (new_max > max) {
            if (i > 0) rest = total_of_dw(p_rescale(total_as_dw(rest), v_set(max), top));
            else rest.hi = 0;
            max = new_max;
            maxima -= 1;
        }
        dw sum = p_unlift(total_as_dw(total_of_lanes(t.sum)), s);
        rest = total_add(total_add(rest, maxima), first_lane(sum.hi));
        rest.lo += first_lane(sum.lo);
    }
    return (partition){v_set(max), total_as_dw(rest)};
}

/* ---- one row per lane ---- */

INLINE vec load_at(const char *x, intptr_t step, intptr_t k) { return v_load((const real *)(x + k * step)); }

/* p joined by n more elements per lane, at x, x + step, ... */
INLINE partition partition_lanes(partition p, const char *x, intptr_t step, intptr_t n) {
    vec max = p.max;
    for (intptr_t k = 0; k < n; k++) max = v_max(load_at(x, step, k), max);
    scale s = p_scale(max);
    terms t = p_no_terms();
    intptr_t i = 0;
    for (; i + 4 <= n; i += 4)
        t = p_add_terms(t, load_at(x, step, i), load_at(x, step, i + 1), load_at(x, step, i + 2),
                        load_at(x, step, i + 3), max, s);
    for (; i < n; i++) t = p_add_term(t, load_at(x, step, i), max, s);
    mask grew = v_lt(p.max, max);
    dw rescaled = p_rescale(p.rest, p.max, max);
    dw rest = {v_select(grew, rescaled.hi, p.rest.hi), v_select(grew, rescaled.lo, p.rest.lo)};
    vec maxima = v_sub(v_set((real)n), v_add_where(t.others, grew, v_set(1)));
    dw sum = p_unlift(t.sum, s);
    dw joined = dw_add(dw_add(rest, maxima), sum.hi);
    return (partition){max, {joined.hi, v_add(joined.lo, sum.lo)}};
}

INLINE partition p_empty(void) { return (partition){v_set(-REAL_INFINITY), {v_set(-1), v_set(0)}}; }

/* Elements k .. k+n of the rows r .. r+rows, one row per lane; missing lanes repeat the last row. */
INLINE void gather_tile(real *tile, matrix a, intptr_t r, intptr_t rows, intptr_t k, intptr_t n) {
    for (intptr_t lane = 0; lane < LANES; lane++) {
        const char *row = a.x + (r + smaller(lane, rows - 1)) * a.outer + k * a.core;
        for (intptr_t i = 0; i < n; i++) memcpy(tile + i * LANES + lane, row + i * a.core, sizeof(real));
    }
}

/* The partitions of rows r .. r+rows <= r+LANES by tiles; the last tile stays in `tile`. */
INLINE partition partition_tiles(matrix a, intptr_t r, intptr_t rows, real *tile) {
    partition p = p_empty();
    for (intptr_t k = 0; k < a.n; k += LANE_BLOCK) {
        intptr_t n = smaller(a.n - k, LANE_BLOCK);
        gather_tile(tile, a, r, rows, k, n);
        p = partition_lanes(p, (const char *)tile, LANES * WIDTH, n);
    }
    return p;
}

/* The partitions of `vectors` groups of LANES neighbouring rows from row r on. */
INLINE void partition_columns(partition *p, matrix a, intptr_t r, intptr_t vectors) {
    for (intptr_t v = 0; v < vectors; v++) p[v] = p_empty();
    for (intptr_t k = 0; k < a.n; k += LANE_BLOCK) {
        const char *x = a.x + r * WIDTH + k * a.core;
        intptr_t n = smaller(a.n - k, LANE_BLOCK);
        for (intptr_t v = 0; v < vectors; v++) p[v] = partition_lanes(p[v], x + v * LANES * WIDTH, a.core, n);
    }
}

/* ---- (n)->() ---- */

typedef struct {
    reduce_kernel *reduce;
    labelled_kernel *labelled; /* instead of it: takes an element of the row too */
    matrix a;
    const char *labels;
    intptr_t label_step;
    char *out;
    intptr_t out_step;
} reduction;

INLINE void finish_rows(reduction f, partition p, intptr_t r, intptr_t rows) {
    real y[LANES];
    if (f.labelled) {
        real picked[LANES];
        for (intptr_t lane = 0; lane < rows; lane++) {
            int64_t label;
            memcpy(&label, f.labels + (r + lane) * f.label_step, sizeof label);
            memcpy(picked + lane, f.a.x + (r + lane) * f.a.outer + label * f.a.core, sizeof(real));
        }
        for (intptr_t lane = rows; lane < LANES; lane++) picked[lane] = picked[0];
        v_store(y, f.labelled(v_load(picked), p));
    } else {
        v_store(y, f.reduce(p));
    }
    scatter(f.out + r * f.out_step, f.out_step, y, rows);
}

INLINE void run_reduction(reduction f) {
    fl_status status = status_save();
    matrix a = f.a;
    intptr_t r = 0;
    real tile[LANE_BLOCK * LANES];
    enum way way = choose_way(a);
    if (way == ALONG)
        for (; r < a.rows; r++) finish_rows(f, partition_along(a.x + r * a.outer, a.core, a.n), r, 1);
    if (way == COLUMNS)
        while (r < whole_vectors(a.rows)) {
            partition p[PANEL];
            intptr_t vectors = smaller((a.rows - r) / LANES, PANEL);
            partition_columns(p, a, r, vectors);
            for (intptr_t v = 0; v < vectors; v++, r += LANES) finish_rows(f, p[v], r, LANES);
        }
    for (; r < a.rows; r += LANES) {
        intptr_t rows = smaller(a.rows - r, LANES);
        finish_rows(f, partition_tiles(a, r, rows, tile), r, rows);
    }
    status_restore(status);
}

INLINE void loop_reduce(reduce_kernel *k, char **args, const intptr_t *dims, const intptr_t *steps) {
    matrix a = {args[0], dims[0], dims[1], steps[0], steps[2]};
    run_reduction((reduction){k, 0, a, 0, 0, args[1], steps[1]});
}

INLINE void loop_reduce_labelled(labelled_kernel *k, char **args, const intptr_t *dims, const intptr_t *steps) {
    matrix a = {args[0], dims[0], dims[1], steps[0], steps[3]};
    run_reduction((reduction){0, k, a, args[1], steps[1], args[2], steps[2]});
}

/* logaddexp.reduce: a call whose result is its first operand, in place, takes in a whole row; the result so far is one
   more element of that row. */
INLINE int is_reduce_call(char **args, const intptr_t *dims, const intptr_t *steps) {
    return args[0] == args[2] && steps[0] == 0 && steps[2] == 0 && dims[0] > 1;
}

INLINE void loop_map2_logaddexp(kernel2 *k, char **args, const intptr_t *dims, const intptr_t *steps) {
    if (!is_reduce_call(args, dims, steps)) {
        loop_map2(k, NULL, args, dims, steps);
        return;
    }
    fl_status status = status_save();
    real *y = (real *)args[2], so_far[LANES];
    v_store(so_far, v_set(*y));
    partition row = partition_along(args[1], steps[1], dims[0]);
    *y = first_lane(k_logsumexp(partition_lanes(row, (const char *)so_far, 0, 1)));
    status_restore(status);
}

#if FL_WIDTH == 32
/* binary16 likewise; the result is rounded to binary16 once, at the end. */
INLINE void half_map2_logaddexp(kernel2 *k, char **args, const intptr_t *dims, const intptr_t *steps) {
    if (!is_reduce_call(args, dims, steps)) {
        half_map2(k, NULL, args, dims, steps);
        return;
    }
    fl_status status = status_save();
    real y[STAGE], row[STAGE];
    half_gather(y, args[2], 0, LANES);
    for (intptr_t i = 0; i < dims[0]; i += STAGE) {
        intptr_t count = smaller(dims[0] - i, STAGE);
        half_gather(row, args[1] + i * steps[1], steps[1], count);
        v_store(y, k(v_load(y), k_logsumexp(partition_along((const char *)row, WIDTH, count))));
    }
    half_scatter(args[2], 0, y, 1);
    status_restore(status);
}
#endif

/* ---- (n)->(n) ---- */

INLINE void normalize_along(normalize_kernel *k, norm z, const char *x, intptr_t step, char *out, intptr_t out_step,
                            intptr_t n) {
    real in_block[ROW_BLOCK], out_block[ROW_BLOCK];
    for (intptr_t i = 0; i < n; i += ROW_BLOCK) {
        intptr_t count = smaller(n - i, ROW_BLOCK), whole = whole_vectors(count);
        const real *p = (const real *)x + i;
        real *y = out_step == WIDTH ? (real *)out + i : out_block;
        if (step != WIDTH) gather(in_block, x + i * step, step, count), p = in_block;
        for (intptr_t j = 0; j < whole; j += LANES) v_store(y + j, k(v_load(p + j), z));
        if (whole < count) store_part(y + whole, count - whole, k(load_part(p + whole, count - whole, p[whole]), z));
        if (out_step != WIDTH) scatter(out + i * out_step, out_step, out_block, count);
    }
}

INLINE void normalize_tiles(normalize_kernel *k, norm z, matrix a, matrix out, intptr_t r, intptr_t rows, real *tile) {
    for (intptr_t i = 0; i < a.n; i += LANE_BLOCK) {
        intptr_t n = smaller(a.n - i, LANE_BLOCK);
        if (a.n > LANE_BLOCK) gather_tile(tile, a, r, rows, i, n);
        for (intptr_t j = 0; j < n; j++) v_store(tile + j * LANES, k(v_load(tile + j * LANES), z));
        for (intptr_t lane = 0; lane < rows; lane++) {
            char *row = (char *)out.x + (r + lane) * out.outer + i * out.core;
            for (intptr_t j = 0; j < n; j++) memcpy(row + j * out.core, tile + j * LANES + lane, sizeof(real));
        }
    }
}

INLINE void loop_normalize(norm_kernel *norm_of, normalize_kernel *k, char **args, const intptr_t *dims,
                           const intptr_t *steps) {
    fl_status status = status_save();
    matrix a = {args[0], dims[0], dims[1], steps[0], steps[2]};
    matrix out = {args[1], dims[0], dims[1], steps[1], steps[3]};
    intptr_t r = 0;
    real tile[LANE_BLOCK * LANES];
    enum way way = choose_way(a);
    if (way == ALONG)
        for (; r < a.rows; r++) {
            const char *x = a.x + r * a.outer;
            norm z = norm_of(partition_along(x, a.core, a.n));
            normalize_along(k, z, x, a.core, (char *)out.x + r * out.outer, out.core, a.n);
        }
    if (way == COLUMNS && out.outer == WIDTH)
        while (r < whole_vectors(a.rows)) {
            partition p[PANEL];
            norm z[PANEL];
            intptr_t vectors = smaller((a.rows - r) / LANES, PANEL);
            partition_columns(p, a, r, vectors);
            for (intptr_t v = 0; v < vectors; v++) z[v] = norm_of(p[v]);
            for (intptr_t j = 0; j < a.n; j++) {
                const real *x = (const real *)(a.x + j * a.core) + r;
                real *y = (real *)((char *)out.x + j * out.core) + r;
                for (intptr_t v = 0; v < vectors; v++) v_store(y + v * LANES, k(v_load(x + v * LANES), z[v]));
            }
            r += vectors * LANES;
        }
    for (; r < a.rows; r += LANES) {
        intptr_t rows = smaller(a.rows - r, LANES);
        norm z = norm_of(partition_tiles(a, r, rows, tile));
        normalize_tiles(k, z, a, out, r, rows, tile);
    }
    status_restore(status);
}

/* ---- (n),(n)->() ---- */

/* Sum of k over pairs: double words in the lanes over a block, two doubles from block to block, so the length of the
   row does not show in the error. If a block of floats overflows, its elements are added as doubles. */
INLINE double sum2_along(kernel2 *k, const char *x1, intptr_t step1, const char *x2, intptr_t step2, intptr_t n) {
    total all = {0, 0};
    for (intptr_t i = 0; i < n; i += STAGE) {
        real block1[STAGE], block2[STAGE], y[STAGE];
        intptr_t count = smaller(n - i, STAGE);
        gather(block1, x1 + i * step1, step1, count);
        gather(block2, x2 + i * step2, step2, count);
        for (intptr_t j = 0; j < count; j += LANES) v_store(y + j, k(v_load(block1 + j), v_load(block2 + j)));
        for (intptr_t j = count; j % LANES; j++) y[j] = 0;
        dw sum = {v_set(0), v_set(0)};
        for (intptr_t j = 0; j < count; j += LANES) {
            dw s = dw_two_sum(sum.hi, v_load(y + j));
            sum = (dw){s.hi, v_add(sum.lo, s.lo)};
        }
        total block = total_of_lanes(sum);
        if (block.hi - block.hi == 0) {
            all = total_add(all, block.hi);
            all.lo += block.lo;
        } else {
            for (intptr_t j = 0; j < count; j++) all = total_add(all, y[j]);
        }
    }
    return all.hi - all.hi == 0 ? all.hi + all.lo : all.hi; /* an infinite sum has no rounding error to add */
}

INLINE void loop_sum2(kernel2 *k, char **args, const intptr_t *dims, const intptr_t *steps) {
    fl_status status = status_save();
    for (intptr_t r = 0; r < dims[0]; r++) {
        double y = sum2_along(k, args[0] + r * steps[0], steps[3], args[1] + r * steps[1], steps[4], dims[1]);
        memcpy(args[2] + r * steps[2], &y, sizeof y);
    }
    status_restore(status);
}

#endif
