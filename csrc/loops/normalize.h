/* (n)->(n): every row is divided by its own sum, or its logarithm subtracted. The rows of softmax that come here are those
   that softmax.h leaves.

   Arguments   args[0] has dims[0] rows of dims[1] elements, args[1] as many results, both with any strides.
   Passes      for some rows at a time:
                 1. they are summed in the way that sums/rows.h chooses; where the output has room, terms are kept there
                 2. divisor_of makes their divisors, and the callback `partitioned` may change them
                 3. kernel makes results from divisors and kept terms, or from elements that are read once more
                 4. the callback `normalized` may change the results
   Owners      Sums and divisors are on the stack. Callbacks own what is behind their `context`. */

#pragma once

#include "loops/reduce.h"

/* Fewer vectors are normalised side by side than are summed, as more is kept of each, and still fewer where callbacks
   keep more. So no stack frame is above 32 KiB. */
#define NORMALIZED_PANEL (PANEL / 2)
#define CALLBACK_PANEL (PANEL / 4)

typedef divisor divisor_kernel(tally);
typedef vec normalize_kernel(vec, divisor);

typedef struct {
    divisor_kernel *divisor_of; /* makes the divisor of a row from its sum */
    normalize_kernel *kernel;   /* applies it to the row's elements or to their terms */
    int of_terms;               /* the kernel takes terms */
    row_callbacks to;           /* either may be NULL */
    void (*piece)(void *, int); /* normalises a piece of a row that is so long that threads share it, or NULL */
} normalization;

/* True if an element of row r is neither its maximum nor -inf. */
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
RARE vec zeros_with_signs(vec low, mask vanish, vec max, const matrix *a, intptr_t r, intptr_t rows) {
    real maxima[LANES], lows[LANES], vanished[LANES];
    v_store(maxima, max), v_store(lows, low), v_store(vanished, v_select(vanish, v_set(1), v_set(0)));
    for (intptr_t k = 0; k < LANES; k++) { /* lanes without a row are those of the last one */
        if (k >= rows) lows[k] = lows[rows - 1];
        else if (vanished[k] && !(a->n > 1 && has_others(a, r + k, maxima[k]))) lows[k] = 0;
    }
    return v_load(lows);
}
INLINE dw sign_zeros(dw log_z, vec max, const matrix *a, intptr_t r, intptr_t rows) {
    mask vanish = mask_and(mask_and(v_eq(log_z.hi, max), v_eq(log_z.lo, v_set(0))), is_finite(max));
    if (RARELY(mask_any(vanish))) log_z.lo = zeros_with_signs(log_z.lo, vanish, max, a, r, rows);
    return log_z;
}

/* The divisors of rows r to r+rows-1. */
INLINE divisor divisor_of_rows(normalization f, tally t, const matrix *a, intptr_t r, intptr_t rows) {
    divisor z = f.divisor_of(t);
    if (!f.of_terms) z.value = sign_zeros(z.value, t.max, a, r, rows);
    if (f.to.partitioned) f.to.partitioned(f.to.context, partition_of(&t, 0), &z, r, rows);
    return z;
}

/* Terms that round to 0 by themselves are dropped if they are results, but many of them may add up in a partition. */
static inline real floor_of(normalization f) { return f.of_terms && !f.to.partitioned ? NO_TERM : FLOOR; }

/* Where exp has no table, the sums whose logarithms are wanted have rough terms, which lack a quarter ulp. With a table,
   rough terms would lack a part that grows with the distance from the maximum: see m_exp_parts and m_rough_error. */
static inline summation summation_of(normalization f) {
    return (summation){.rough = !f.of_terms && !EXP_RESTS_ARE_SMALL};
}

INLINE void after_rows(normalization f, intptr_t r, intptr_t rows) {
    if (f.to.normalized) f.to.normalized(f.to.context, r, rows);
}

/* Normalises elements whose terms have not been kept. */
INLINE vec normalized(normalization f, vec x, divisor z, window w, int far) {
    return f.kernel(f.of_terms ? term_of(x, w, far) : x, z);
}

/* Normalises n vectors at x, x_step elements apart, into y. */
INLINE void normalize_vectors(normalization f, divisor z, const real *x, intptr_t x_step, real *y, intptr_t y_step,
                              intptr_t n) {
    window w = make_window(z.max, floor_of(f));
    if (f.of_terms && window_is_far(w))
        for (intptr_t i = 0; i < n; i++) v_store(y + i * y_step, normalized(f, v_load(x + i * x_step), z, w, 1));
    else
        for (intptr_t i = 0; i < n; i++) v_store(y + i * y_step, normalized(f, v_load(x + i * x_step), z, w, 0));
}

/* Normalises a row of any strides. Where elements or results are not neighbours, and at the end, it does so by way of
   blocks. */
INLINE void normalize_along(normalization f, divisor z, const char *x, intptr_t step, char *out, intptr_t out_step,
                            intptr_t n) {
    real block[GROUP * LANES];
    intptr_t whole = step == WIDTH && out_step == WIDTH ? whole_vectors(n) : 0;
    normalize_vectors(f, z, (const real *)x, LANES, (real *)out, LANES, whole / LANES);
    for (intptr_t i = whole; i < n; i += GROUP * LANES) {
        intptr_t count = smaller(n - i, GROUP * LANES);
        gather(block, x + i * step, step, count);
        normalize_vectors(f, z, block, LANES, block, LANES, filled_up(count) / LANES);
        scatter(out + i * out_step, out_step, block, count);
    }
}

/* The rows of a matrix from r on. */
INLINE matrix rows_from(matrix a, intptr_t r, intptr_t rows) {
    a.x += r * a.outer, a.rows = rows;
    return a;
}

/* A row that threads share, once its divisor is known. */
typedef struct {
    divisor z;
    const char *x;
    char *out;
    intptr_t step, out_step, n;
} normalized_row;

#define NORMALIZED_PIECE (32 << 10) /* elements: whole blocks on every target */

INLINE void normalize_piece(normalization f, const normalized_row *row, intptr_t first) {
    intptr_t n = smaller(row->n - first, NORMALIZED_PIECE);
    const char *x = row->x + first * row->step;
    normalize_along(f, row->z, x, row->step, row->out + first * row->out_step, row->out_step, n);
}

static NOINLINE void share_row(void (*piece)(void *, int), normalized_row row) {
    fl_share(piece, &row, (int)((row.n + NORMALIZED_PIECE - 1) / NORMALIZED_PIECE), row.n * WIDTH);
}

/* Lane k in every lane. */
INLINE vec spread_lane(vec x, intptr_t k) {
    real lanes[LANES];
    v_store(lanes, x);
    return v_set(lanes[k]);
}
INLINE divisor divisor_of_lane(divisor z, intptr_t k) {
    return (divisor){.max = spread_lane(z.max, k),
                     .value = {spread_lane(z.value.hi, k), spread_lane(z.value.lo, k)},
                     .max_term = spread_lane(z.max_term, k),
                     .of_max = spread_lane(z.of_max, k)};
}

/* Normalises rows that are contiguous in both matrices, and short enough to be read again soon. Their terms are kept
   where the results will be. */
INLINE void normalize_strips(normalization f, matrix a, matrix out) {
    summation how = summation_of(f);
    how.keeps = f.of_terms;
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

/* A state holds the sum of LANES neighbouring rows, and then their divisor in its place. */
typedef union {
    tally sum;
    divisor divisor;
} column_state;

_Static_assert(sizeof(column_state) == sizeof(tally), "an array of tallies is one of states");

/* Normalises `panel` groups of LANES neighbouring rows from row r on: block by block, or where no terms are computed, line
   by line, as memory is read. */
INLINE void normalize_columns(normalization f, const column_state *state, matrix a, matrix out, intptr_t r,
                              intptr_t panel) {
    intptr_t block = f.of_terms ? LANE_BLOCK : 1;
    for (intptr_t k = 0; k < a.n; k += block) {
        const real *x = (const real *)(a.x + k * a.core) + r;
        real *y = (real *)((char *)out.x + k * out.core) + r;
        intptr_t n = smaller(a.n - k, block);
        for (intptr_t v = 0; v < panel; v++) {
            if (f.of_terms) prefetch_block((vectors){.x = x + v * LANES, .step = a.core / WIDTH, .n = n});
            normalize_vectors(f, state[v].divisor, x + v * LANES, a.core / WIDTH, y + v * LANES, out.core / WIDTH, n);
        }
    }
}

/* Sums and normalises rows r to r+rows-1, rows <= LANES. The terms of short rows stay in the tile, but those of columns
   do not: terms that are kept have another sum, and normalize_panels, which leaves some columns, keeps none. */
INLINE void normalize_tiles(normalization f, matrix a, matrix out, intptr_t r, intptr_t rows) {
    real tile[LANE_BLOCK * LANES];
    summation how = summation_of(f);
    how.keeps = f.of_terms && a.n <= LANE_BLOCK && choose_way(a) != COLUMNS;
    divisor z = divisor_of_rows(f, tally_tiles(&a, r, rows, tile, floor_of(f), how), &a, r, rows);
    if (how.keeps) {
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

/* log_softmax of short rows, by their partitions. */
static void normalize_short(matrix a, matrix out) {
    real tile[LANE_BLOCK * LANES];
    for (intptr_t r = 0; r < a.rows; r += LANES) {
        intptr_t rows = smaller(a.rows - r, LANES);
        vectors v = rows_at(&a, tile, r, rows), to = place_of(&out, tile, r, rows);
        partition p = short_partition(v);
        dw log_z = sign_zeros(log_of_divisor(p), p.max, &a, r, rows);
        for (intptr_t i = 0; i < a.n; i++)
            v_store(to.kept + i * to.kept_step, minus_log(v_load(v.x + i * v.step), log_z));
        if (to.kept == tile) store_tile(tile, &out, r, rows, 0, a.n);
    }
}

/* log_softmax of LANES pairs by normalize_short. */
typedef struct {
    vec first, second;
} pair;
RARE pair log_softmax_of_any(vec first, vec second, intptr_t rows) {
    real x[2 * LANES], y[2 * LANES] = {0};
    matrix a = {.x = (const char *)x, .rows = rows, .n = 2, .outer = WIDTH, .core = LANES * WIDTH}, out = a;
    out.x = (const char *)y;
    v_store(x, first), v_store(x + LANES, second);
    normalize_short(a, out);
    return (pair){v_load(y), v_load(y + LANES)};
}

/* log_softmax of pairs: -log(1 + e^d) for the larger element, and d - log(1 + e^d) for the other one, where d <= 0 is
   their difference. Pairs that are far apart, infinite or nan have the way of other short rows. */
static void log_softmax_of_pairs(matrix a, matrix out) {
    real tile[4 * LANES]; /* load_tile needs room for four */
    for (intptr_t r = 0; r < a.rows; r += LANES) {
        intptr_t rows = smaller(a.rows - r, LANES);
        vectors v = rows_at(&a, tile, r, rows), to = place_of(&out, tile, r, rows);
        vec first = v_load(v.x), second = v_load(v.x + v.step), max = v_max(first, second), min = v_min(second, first);
        dw d = dw_two_sum(min, v_neg(max)), log = m_log1pexp(d.hi, d.lo), rest = dw_two_sum(d.hi, v_neg(log.hi));
        vec of_max = v_neg(v_add(log.hi, log.lo)), of_min = v_add(rest.hi, v_add(rest.lo, v_sub(d.lo, log.lo)));
        mask is_max = v_eq(first, max), far = v_ne(v_max(v_set(WORD_MIN), d.hi), d.hi); /* or nan */
        pair p = {v_select(is_max, of_max, of_min), v_select(is_max, of_min, of_max)};
        if (RARELY(mask_any(far))) {
            pair of_far = log_softmax_of_any(first, second, rows);
            p = (pair){v_select(far, of_far.first, p.first), v_select(far, of_far.second, p.second)};
        }
        v_store(to.kept, p.first), v_store(to.kept + to.kept_step, p.second);
        if (to.kept == tile) store_tile(tile, &out, r, rows, 0, 2);
    }
}

/* Normalises rows that are neighbours in memory, as many as fill whole vectors, and returns their number. */
INLINE intptr_t normalize_panels(normalization f, matrix a, matrix out) {
    intptr_t r = 0;
    if (!a.n || choose_way(a) != COLUMNS || out.outer != WIDTH) return 0;
    while (r < whole_vectors(a.rows)) {
        column_state state[NORMALIZED_PANEL];
        intptr_t panel = smaller((a.rows - r) / LANES, f.to.partitioned ? CALLBACK_PANEL : NORMALIZED_PANEL);
        tally_columns(&state->sum, &a, r, panel, floor_of(f), summation_of(f));
        for (intptr_t v = 0; v < panel; v++)
            state[v].divisor = divisor_of_rows(f, state[v].sum, &a, r + v * LANES, LANES);
        normalize_columns(f, state, a, out, r, panel);
        for (intptr_t v = 0; v < panel; v++) after_rows(f, r + v * LANES, LANES);
        r += panel * LANES;
    }
    return r;
}

/* Normalises the rows from r on, which normalize_panels has left. */
INLINE void normalize_rows(normalization f, matrix a, matrix out, intptr_t r) {
    int along = a.n && choose_way(a) == ALONG;
    if (along && a.core == WIDTH && out.core == WIDTH && a.n <= LONGEST_STRIP) {
        normalize_strips(f, a, out);
        return;
    }
    for (; along && r < a.rows; r++) {
        const char *x = a.x + r * a.outer;
        divisor z = divisor_of_rows(f, tally_fetched(OWN, x, a.core, a.n, floor_of(f), summation_of(f)), &a, r, 1);
        char *y = (char *)out.x + r * out.outer;
        if (f.piece && a.n > NORMALIZED_PIECE) share_row(f.piece, (normalized_row){z, x, y, a.core, out.core, a.n});
        else normalize_along(f, z, x, a.core, y, out.core, a.n);
        after_rows(f, r, 1);
    }
    for (; r < a.rows; r += LANES) {
        normalize_tiles(f, a, out, r, smaller(a.rows - r, LANES));
        after_rows(f, r, smaller(a.rows - r, LANES));
    }
}

static void log_softmax_piece(void *context, int piece) {
    normalize_piece((normalization){.kernel = k_log_softmax}, context, (intptr_t)piece * NORMALIZED_PIECE);
}

INLINE normalization of_log_softmax(void) {
    return (normalization){divisor_log_softmax, k_log_softmax, .piece = log_softmax_piece};
}

/* Panels have a frame of their own, for which long rows do not pay. */
static NOINLINE intptr_t log_softmax_panels(matrix a, matrix out) { return normalize_panels(of_log_softmax(), a, out); }

/* log_softmax of a few columns without gaps. Each vector of elements has its vector of the logarithms of sums. */
static NOINLINE void log_softmax_flat(matrix a, matrix out) {
    tally t[FLAT_GROUPS];
    real hi[FLAT_ROWS * LANES], lo[FLAT_ROWS * LANES];
    intptr_t line = a.rows * LANES, all = a.rows * a.n;
    tally_flat(t, &a, FLOOR, summation_of(of_log_softmax()));
    for (intptr_t r = 0; r < a.rows; r += LANES) {
        intptr_t rows = smaller(a.rows - r, LANES);
        divisor z = divisor_of_rows(of_log_softmax(), t[r / LANES], &a, r, rows);
        store_some(hi + r, rows, z.value.hi), store_some(lo + r, rows, z.value.lo);
    }
    for (intptr_t i = a.rows; i < line; i++) hi[i] = hi[i - a.rows], lo[i] = lo[i - a.rows];
    for (intptr_t i = 0; i < all; i += line)
        for (intptr_t k = 0; k < line && i + k < all; k += LANES) {
            dw log_z = {v_load(hi + k), v_load(lo + k)};
            intptr_t some = smaller(all - i - k, LANES);
            store_some((real *)out.x + i + k, some, minus_log(load_some((const real *)a.x + i + k, some), log_z));
        }
}

INLINE unsigned loop_log_softmax(char **args, const intptr_t *dims, const intptr_t *steps) {
    matrix a = matrix_of(args[0], dims, steps[0], steps[2]), out = matrix_of(args[1], dims, steps[1], steps[3]);
    if (a.n == 2) log_softmax_of_pairs(a, out);
    else if (is_better_flat(&a) && is_flat(&out)) log_softmax_flat(a, out);
    else if (is_short(&a)) normalize_short(a, out);
    else normalize_rows(of_log_softmax(), a, out, log_softmax_panels(a, out));
    return 0;
}
