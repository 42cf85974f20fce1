/* Strided NumPy arguments <-> full vectors, row by row: the shapes (n)->(), (n)->(),(), (n),(s),(s)->(s), (n)->(n) and
   (n)->(n),(). Segments of a row are rows of different lengths; short ones are tiles. */

#ifndef FASTLOG_ROWS_H
#define FASTLOG_ROWS_H

#include "row_sums.h"

/* How many vectors are normalised side by side: fewer than are summed, as more is kept of each, and fewer still where
   callbacks keep more. So no stack frame is above 32 KiB. */
#define NORMALIZED_PANEL (PANEL / 2)
#define HOOKED_PANEL (PANEL / 4)
#define TILES_AT_ONCE 8 /* that are summed before any result is computed from the sums */

typedef vec reduce_kernel(partition);
typedef divisor divisor_kernel(tally);
typedef vec normalize_kernel(vec, divisor);

/* ---- (n)->() ---- */

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
/* Of floats, in double. */
static void float_gather(double *block, const char *p, intptr_t step, intptr_t n) {
    const float *x = (const float *)p;
    if (step == sizeof *x)
        for (intptr_t i = 0; i < n; i++) block[i] = x[i];
    else
        for (intptr_t i = 0; i < n; i++) block[i] = *(const float *)(p + i * step);
    for (intptr_t i = n; i % LANES; i++) block[i] = block[n - 1];
}
INLINE void narrow_reduce(reduce_kernel *k, char **args, const intptr_t *dims, const intptr_t *steps) {
    fl_status status = status_save();
    intptr_t rows = dims[0], n = dims[1], at_once = n <= LANE_BLOCK ? LANES : 1;
    for (intptr_t r = 0; r < rows; r += at_once) {
        intptr_t count = smaller(rows - r, at_once);
        real tile[LANE_BLOCK * LANES], y[LANES];
        tally t;
        if (at_once == 1) {
            t = tally_fetched(float_gather, args[0] + r * steps[0], steps[2], n, FLOOR, (summation){0});
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

/* ---- (n)->(),() ---- */

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

/* ---- (n),(s),(s)->(s) ---- */

/* The elements first .. last of one row, first < last, for every segment. */
typedef struct {
    const char *x, *first, *last;
    char *out;
    intptr_t step, first_step, last_step, out_step;
} segments;

static inline intptr_t index_at(const char *p, intptr_t step, intptr_t i) {
    int64_t index;
    memcpy(&index, p + i * step, sizeof index);
    return (intptr_t)index;
}

/* Segments i .. i+count <= i+LANES: long ones by themselves, the others by a tile that is filled up with -inf, which
   adds nothing. The tile's height is a multiple of GROUP, so that a result does not depend on the neighbours. */
INLINE void reduce_some_segments(reduce_kernel *k, segments s, intptr_t i, intptr_t count) {
    real tile[LANE_BLOCK * LANES], y[LANES];
    summation how = {.rough = 1};
    intptr_t height = 0;
    for (intptr_t lane = 0; lane < count; lane++) {
        intptr_t first = index_at(s.first, s.first_step, i + lane);
        intptr_t n = index_at(s.last, s.last_step, i + lane) - first;
        const char *x = s.x + first * s.step;
        if (n > LANE_BLOCK) {
            tally t = tally_along(x, s.step, n, FLOOR, how);
            real of_long = first_lane(k(partition_of(&t, how.rough)));
            memcpy(s.out + (i + lane) * s.out_step, &of_long, sizeof(real));
            continue;
        }
        for (; height < n; height += GROUP)
            for (intptr_t j = 0; j < GROUP; j++) v_store(tile + (height + j) * LANES, v_set(-REAL_INFINITY));
        for (intptr_t j = 0; j < n; j++) memcpy(tile + j * LANES + lane, x + j * s.step, sizeof(real));
    }
    tally t = tally_start((vectors){tile, LANES, height, 0, 0}, FLOOR, how);
    v_store(y, k(partition_of(&t, how.rough)));
    for (intptr_t lane = 0; lane < count; lane++) {
        intptr_t n = index_at(s.last, s.last_step, i + lane) - index_at(s.first, s.first_step, i + lane);
        if (n <= LANE_BLOCK) memcpy(s.out + (i + lane) * s.out_step, y + lane, sizeof(real));
    }
}

INLINE void loop_reduce_segments(reduce_kernel *k, char **args, const intptr_t *dims, const intptr_t *steps) {
    fl_status status = status_save();
    for (intptr_t r = 0; r < dims[0]; r++) {
        segments s = {args[0] + r * steps[0],
                      args[1] + r * steps[1],
                      args[2] + r * steps[2],
                      args[3] + r * steps[3],
                      steps[4],
                      steps[5],
                      steps[6],
                      steps[7]};
        for (intptr_t i = 0; i < dims[2]; i += LANES) reduce_some_segments(k, s, i, smaller(dims[2] - i, LANES));
    }
    status_restore(status);
}

/* ---- (n)->(n) ---- */

/* What normalises rows: from a row's sum, and then from its elements or, of_terms, from their terms. */
typedef struct {
    divisor_kernel *divisor_of;
    normalize_kernel *kernel;
    int of_terms;
    hooks hooks;
} normalization;

/* Is any element of row r neither its maximum nor -inf? */
static int has_others(const matrix *a, intptr_t r, real max) {
    vec none = v_set(-REAL_INFINITY);
    for (intptr_t i = 0; i < a->n; i += STAGE) {
        real x[STAGE];
        intptr_t n = smaller(a->n - i, STAGE);
        gather(x, a->x + r * a->outer + i * a->core, a->core, n);
        for (intptr_t j = 0; j < n; j += LANES)
            if (mask_any(mask_and(v_lt(none, v_load(x + j)), v_ne(v_load(x + j), v_set(max))))) return 1;
    }
    return 0;
}

/* log Z is the maximum itself where all other terms underflow. Then log_softmax of the maximum is -0, a negative number
   that underflows, too; but log(1) = +0 where there are no other terms at all. */
static NOINLINE void sign_zeros(divisor *z, vec max, const matrix *a, intptr_t r, intptr_t rows) {
    mask vanish = mask_and(mask_and(v_eq(z->value.hi, max), v_eq(z->value.lo, v_set(0))), is_finite(max));
    if (!mask_any(vanish)) return;
    real maxima[LANES], low[LANES], vanished[LANES];
    v_store(maxima, max), v_store(low, z->value.lo), v_store(vanished, v_select(vanish, v_set(1), v_set(0)));
    for (intptr_t k = 0; k < LANES; k++) { /* lanes without a row are those of the last one */
        if (k >= rows) low[k] = low[rows - 1];
        else if (vanished[k] && !(a->n > 1 && has_others(a, r + k, maxima[k]))) low[k] = 0;
    }
    z->value.lo = v_load(low);
}

/* The divisors of rows r .. r+rows. */
INLINE divisor divisor_of_rows(normalization f, tally t, const matrix *a, intptr_t r, intptr_t rows) {
    divisor z = f.divisor_of(t);
    if (!f.of_terms) sign_zeros(&z, t.max, a, r, rows);
    if (f.hooks.partitioned) f.hooks.partitioned(f.hooks.context, partition_of(&t, 0), &z, r, rows);
    return z;
}

static inline real floor_of(normalization f) { return f.of_terms && !f.hooks.partitioned ? NO_TERM : FLOOR; }

INLINE void after_rows(normalization f, intptr_t r, intptr_t rows) {
    if (f.hooks.normalized) f.hooks.normalized(f.hooks.context, r, rows);
}

/* Elements whose terms have not been kept. */
INLINE vec normalized(normalization f, vec x, divisor z, window w, int far) {
    return f.kernel(f.of_terms ? term_of(x, w, far) : x, z);
}

/* n vectors at x, x_step elements apart, to y. */
INLINE void normalize_vectors(normalization f, divisor z, const real *x, intptr_t x_step, real *y, intptr_t y_step,
                              intptr_t n) {
    window w = make_window(z.max, floor_of(f));
    if (f.of_terms && window_is_far(w))
        for (intptr_t i = 0; i < n; i++) v_store(y + i * y_step, normalized(f, v_load(x + i * x_step), z, w, 1));
    else
        for (intptr_t i = 0; i < n; i++) v_store(y + i * y_step, normalized(f, v_load(x + i * x_step), z, w, 0));
}

/* A row of any strides, by way of blocks. */
INLINE void normalize_along(normalization f, divisor z, const char *x, intptr_t step, char *out, intptr_t out_step,
                            intptr_t n) {
    real block[GROUP * LANES];
    for (intptr_t i = 0; i < n; i += GROUP * LANES) {
        intptr_t count = smaller(n - i, GROUP * LANES);
        gather(block, x + i * step, step, count);
        normalize_vectors(f, z, block, LANES, block, LANES, filled_up(count) / LANES);
        scatter(out + i * out_step, out_step, block, count);
    }
}

/* Lane k of a divisor, in every lane. */
INLINE divisor divisor_of_lane(divisor z, intptr_t k) {
    divisor one;
    vec *from = (vec *)&z, *to = (vec *)&one;
    for (size_t i = 0; i < sizeof z / sizeof *from; i++) {
        real lanes[LANES];
        v_store(lanes, from[i]);
        to[i] = v_set(lanes[k]);
    }
    return one;
}

/* Rows that are contiguous here and there, and not too long to be read again soon. Their terms are kept where the
   results will be. */
INLINE void normalize_strips(normalization f, matrix a, matrix out) {
    summation how = {.keeps = f.of_terms};
    intptr_t at_once = strips_at_once(a.n), whole = whole_vectors(a.n), part = a.n - whole;
    for (intptr_t r = 0; r < a.rows; r += at_once) {
        intptr_t rows = smaller(a.rows - r, at_once);
        divisor z = divisor_of_rows(f, tally_rows(&a, r, rows, &out, floor_of(f), how), &a, r, rows);
        for (intptr_t k = 0; k < rows; k++) {
            divisor of_row = divisor_of_lane(z, k);
            real *y = (real *)((char *)out.x + (r + k) * out.outer);
            const real *x = f.of_terms ? y : (const real *)(a.x + (r + k) * a.outer);
            for (intptr_t i = 0; i < whole; i += LANES) v_store(y + i, f.kernel(v_load(x + i), of_row));
            if (part) v_store_part(y + whole, part, f.kernel(v_load_part(x + whole, part, x[whole]), of_row));
        }
        after_rows(f, r, rows);
    }
}

/* The sum of LANES neighbouring rows, then their divisor in its place. */
typedef union {
    tally sum;
    divisor divisor;
} column_state;

_Static_assert(sizeof(column_state) == sizeof(tally), "an array of tallies is one of states");

INLINE void normalize_columns(normalization f, const column_state *state, matrix a, matrix out, intptr_t r,
                              intptr_t panel) {
    for (intptr_t k = 0; k < a.n; k += LANE_BLOCK) {
        const real *x = (const real *)(a.x + k * a.core) + r;
        real *y = (real *)((char *)out.x + k * out.core) + r;
        intptr_t n = smaller(a.n - k, LANE_BLOCK);
        for (intptr_t v = 0; v < panel; v++) {
            prefetch_block((vectors){x + v * LANES, a.core / WIDTH, n, 0, 0});
            normalize_vectors(f, state[v].divisor, x + v * LANES, a.core / WIDTH, y + v * LANES, out.core / WIDTH, n);
        }
    }
}

INLINE void normalize_tiles(normalization f, matrix a, matrix out, intptr_t r, intptr_t rows) {
    real tile[LANE_BLOCK * LANES];
    summation how = {.keeps = f.of_terms && a.n <= LANE_BLOCK};
    divisor z = divisor_of_rows(f, tally_tiles(&a, r, rows, tile, floor_of(f), how), &a, r, rows);
    if (a.n <= LANE_BLOCK) {
        for (intptr_t i = 0; i < a.n; i++) v_store(tile + i * LANES, f.kernel(v_load(tile + i * LANES), z));
        store_tile(tile, &out, r, rows, 0, a.n);
        return;
    }
    for (intptr_t k = 0; k < a.n; k += LANE_BLOCK) {
        intptr_t n = smaller(a.n - k, LANE_BLOCK);
        load_tile(tile, &a, r, rows, k, n);
        normalize_vectors(f, z, tile, LANES, tile, LANES, n);
        store_tile(tile, &out, r, rows, k, n);
    }
}

/* The rows that are neighbours in memory, as many as fill whole vectors; returns how many these are. */
INLINE intptr_t normalize_panels(normalization f, matrix a, matrix out) {
    intptr_t r = 0;
    if (!a.n || choose_way(a) != COLUMNS || out.outer != WIDTH) return 0;
    while (r < whole_vectors(a.rows)) {
        column_state state[NORMALIZED_PANEL];
        intptr_t panel = smaller((a.rows - r) / LANES, f.hooks.partitioned ? HOOKED_PANEL : NORMALIZED_PANEL);
        tally_columns(&state->sum, &a, r, panel, floor_of(f), (summation){0});
        for (intptr_t v = 0; v < panel; v++)
            state[v].divisor = divisor_of_rows(f, state[v].sum, &a, r + v * LANES, LANES);
        normalize_columns(f, state, a, out, r, panel);
        for (intptr_t v = 0; v < panel; v++) after_rows(f, r + v * LANES, LANES);
        r += panel * LANES;
    }
    return r;
}

/* The rows from r on. */
INLINE void normalize_rows(normalization f, matrix a, matrix out, intptr_t r) {
    int along = a.n && choose_way(a) == ALONG;
    if (along && a.core == WIDTH && out.core == WIDTH && a.n <= LONGEST_STRIP) {
        normalize_strips(f, a, out);
        return;
    }
    for (; along && r < a.rows; r++) {
        const char *x = a.x + r * a.outer;
        divisor z = divisor_of_rows(f, tally_along(x, a.core, a.n, floor_of(f), (summation){0}), &a, r, 1);
        normalize_along(f, z, x, a.core, (char *)out.x + r * out.outer, out.core, a.n);
        after_rows(f, r, 1);
    }
    for (; r < a.rows; r += LANES) {
        normalize_tiles(f, a, out, r, smaller(a.rows - r, LANES));
        after_rows(f, r, smaller(a.rows - r, LANES));
    }
}

INLINE void normalize_matrix(normalization f, matrix a, matrix out) {
    fl_status status = status_save();
    normalize_rows(f, a, out, normalize_panels(f, a, out));
    status_restore(status);
}

INLINE void loop_normalize(normalization f, char **args, const intptr_t *dims, const intptr_t *steps) {
    matrix a = {args[0], dims[0], dims[1], steps[0], steps[2]};
    normalize_matrix(f, a, (matrix){args[1], dims[0], dims[1], steps[1], steps[3]});
}

/* ---- (n)->(n),() ---- */

/* Where the logarithms go. */
typedef struct {
    char *out;
    intptr_t step;
} logarithms;

INLINE void put_logarithms(void *context, partition p, divisor *z, intptr_t r, intptr_t rows) {
    (void)z;
    logarithms *log = context;
    real y[LANES];
    v_store(y, k_logsumexp(p));
    scatter(log->out + r * log->step, log->step, y, rows);
}

INLINE void loop_reduce_normalize(char **args, const intptr_t *dims, const intptr_t *steps) {
    logarithms log = {args[2], steps[2]};
    matrix a = {args[0], dims[0], dims[1], steps[0], steps[3]};
    normalization f = {divisor_softmax, k_softmax, 1, {put_logarithms, 0, &log}};
    normalize_matrix(f, a, (matrix){args[1], dims[0], dims[1], steps[1], steps[4]});
}

#endif
