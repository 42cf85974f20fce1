/* Sums along the rows of a matrix, as tallies: max, and the terms of all other elements.

   A row is summed in one of three ways:
     along    lanes run along the row: rows that are contiguous and long, or alone
     columns  lanes are rows: neighbouring rows are neighbours in memory (axis 0 of a C-ordered array), which are read
              panel by panel, some rows of the matrix at a time, so that the cache lines are used whole
     tiles    lanes are rows: short or oddly strided rows are transposed into a block on the stack first
   The way depends on sizes and strides alone, so the result is the same whenever the layout is. */

#ifndef FASTLOG_ROW_SUMS_H
#define FASTLOG_ROW_SUMS_H

#include "kernels/partition.h"
#include "loops.h"

#define LONG_ROW (4 * LANES) /* from here on a row is worth vectors of its own */
/* Elements of a row whose maximum, then sum is taken: no more than 8 KiB, in the innermost cache. */
#define STRIP (16 * GROUP * LANES)
#define GROUPS 256               /* of a whole row in one strip, whose maxima are kept meanwhile, */
#define KEPT_MAXIMA (GROUPS / 2) /* vectors of them: at most 8 KiB, one for two groups of the longest strips */
#define LONGEST_STRIP (GROUPS * GROUP * LANES)
#define GATHERED (8192 / WIDTH)     /* elements that are not neighbours, at a time */
#define ROWS_AT_ONCE (2048 * LANES) /* elements whose terms stay in cache until they are needed again: 128 KiB */
#define PREFETCH (2 * STRIP)        /* elements ahead: reading memory goes on while terms are computed */
#define LANE_BLOCK 32               /* elements per lane whose maximum, then sum is taken */
#define PANEL 64                    /* vectors side by side: at most 4 KiB of every row of the matrix */

_Static_assert(SPAN % LANE_BLOCK == 0 && LONGEST_STRIP / LANES <= SPAN, "sums are settled between blocks and strips");

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

/* A running sum in two doubles. The low one is not renormalised by an addition, but when the sum is settled: at least
   once in some thousand additions, for sums of any length to be right. */
typedef struct {
    double hi, lo;
} total;

static inline total total_add(total t, double x) {
    double s = t.hi + x, x_part = s - t.hi, t_part = s - x_part;
    return (total){s, t.lo + ((t.hi - t_part) + (x - x_part))};
}

static inline total total_settled(total t) {
    double s = t.hi + t.lo;
    return s - s == 0 ? (total){s, t.lo - (s - t.hi)} : t;
}

/* Of all lanes, in every lane. */
INLINE vec largest_lane(vec x) {
#pragma GCC unroll 4
    for (int k = LANES / 2; k; k /= 2) x = v_max(x, v_swap(x, k));
    return x;
}
INLINE vec sum_of_lanes(vec x) {
#pragma GCC unroll 4
    for (int k = LANES / 2; k; k /= 2) x = v_add(x, v_swap(x, k));
    return x;
}
INLINE dw dw_sum_of_lanes(dw x) {
#pragma GCC unroll 4
    for (int k = LANES / 2; k; k /= 2) {
        dw s = dw_two_sum(x.hi, v_swap(x.hi, k));
        x = (dw){s.hi, v_add(s.lo, v_add(x.lo, v_swap(x.lo, k)))};
    }
    return x;
}

/* ---- lanes along rows ---- */

/* A row, or a piece of one; kept: where its terms are stored, if they are. */
typedef struct {
    const real *x;
    real *kept;
    intptr_t n;
} strip;

/* How many groups of a strip have their maxima in one vector: 2^shift. */
INLINE int shift_of(const strip *s) { return s->n > KEPT_MAXIMA * GROUP * LANES; }

/* The maximum of a strip, in every lane; `maxima` gets those of its groups of vectors. */
static vec strip_max(const strip *s, real *maxima) {
    vec none = v_set(-REAL_INFINITY), top = none, max = none;
    intptr_t i = 0, shift = shift_of(s);
    for (intptr_t g = 0; i + GROUP * LANES <= s->n; i += GROUP * LANES, g++) {
        max = max_of_vectors(g & shift ? max : none, (vectors){s->x + i, LANES, GROUP, 0, 0});
        v_store(maxima + (g >> shift) * LANES, max);
        top = v_max(max, top);
    }
    intptr_t whole = whole_vectors(s->n - i);
    top = max_of_vectors(top, (vectors){s->x + i, LANES, whole / LANES, 0, 0});
    return largest_lane(v_max(v_load_part(s->x + i + whole, s->n - i - whole, -REAL_INFINITY), top));
}

/* The terms of a strip. Only groups that the maximum is in are searched for it. */
INLINE term_sum sum_strip(const strip *s, const real *maxima, vec max, window w, summation how) {
    summation ordinary = how;
    ordinary.has_max = 0;
    term_sum t = no_terms();
    vectors v = {s->x, LANES, s->n / LANES, s->kept, LANES};
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
        t = add_vector(t, (vectors){x, LANES, 1, kept, LANES}, max, w, how);
        if (how.keeps) v_store_part(s->kept + s->n - part, part, v_load(kept));
    }
    return t;
}

static term_sum strip_terms(const strip *s, const real *maxima, vec max, window w, summation how) {
    return SPECIALIZED(sum_strip, how, s, maxima, max, w);
}

/* Lane k of the result: the sum of all lanes of x[k]. */
INLINE vec sum_across(vec *x) {
    v_transpose(x);
    vec sum = x[0];
    for (int i = 1; i < LANES; i++) sum = v_add(x[i], sum);
    return sum;
}
INLINE dw dw_sum_across(vec *hi, vec *lo) {
    v_transpose(hi);
    v_transpose(lo);
    dw sum = {hi[0], lo[0]};
    for (int i = 1; i < LANES; i++) {
        dw s = dw_two_sum(sum.hi, hi[i]);
        sum = (dw){s.hi, v_add(v_add(sum.lo, lo[i]), s.lo)};
    }
    return sum;
}

/* Every lane of the result holds the sum. */
INLINE tally tally_strip(const strip *s, real *maxima, real floor, summation how) {
    vec max = strip_max(s, maxima);
    window w = make_window(max, floor);
    how.far = window_is_far(w);
    term_sum t = strip_terms(s, maxima, max, w, how);
    return (tally){max, {dw_sum_of_lanes(t.sum), sum_of_lanes(t.maxima)}, {v_set(0), v_set(0)}};
}

/* One strip per lane; unused lanes repeat the first. While the terms of one strip are summed, the maximum of the next
   is already looked for: it has to pass all lanes, which takes its time. For long strips that does not matter, and the
   maxima of their groups need all of the room. */
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

/* Counts of maxima stay exact: all but one of many become terms. */
#define MANY_MAXIMA REAL(0x1p20)
INLINE void count_as_terms(tally *t, real floor) {
    mask many = v_lt(v_set(MANY_MAXIMA), t->terms.maxima);
    if (!mask_any(many)) return;
    vec others = v_select(many, v_sub(t->terms.maxima, v_set(1)), v_set(0));
    t->terms = join_terms(t->terms, v_mul(others, term_of(made_finite(t->max), make_window(t->max, floor), 1)));
    t->terms.maxima = v_select(many, v_set(1), t->terms.maxima);
}

/* What has to be done now and then for sums of any length to be right. */
INLINE void tally_settle(tally *t, real floor) {
    settle_sum(t);
    count_as_terms(t, floor);
}

/* Adds b to a. */
static void tally_join(tally *a, tally *b, real floor) {
    vec max = v_max(a->max, b->max);
    tally_raise(a, max, floor);
    tally_raise(b, max, floor);
    settle_sum(b);
    a->terms.maxima = v_add(a->terms.maxima, b->terms.maxima);
    tally_settle(a, floor);
    a->settled = dw_add(a->settled, b->settled);
}

/* Those from n on. */
INLINE mask unused_lanes(intptr_t n) { return v_ne(v_load_part((const real[LANES]){0}, n, 1), v_set(0)); }

/* The sum of the first `count` lanes, in every lane. */
static void tally_lanes(tally *t, intptr_t count, real floor) {
    tally_raise(t, largest_lane(t->max), floor);
    vec zero = v_set(0);
    mask unused = unused_lanes(count);
    dw used = {v_select(unused, zero, t->terms.sum.hi), v_select(unused, zero, t->terms.sum.lo)};
    t->terms.sum = dw_sum_of_lanes(used);
    t->terms.maxima = sum_of_lanes(v_select(unused, zero, t->terms.maxima));
}

/* A whole row, the same in every lane: a single strip where it can be one, else LANES strips at a time. Elements that
   are not neighbours, or of another type, are fetched by `get`. */
static tally tally_fetched(gather_function *get, const char *x, intptr_t step, intptr_t n, real floor, summation how) {
    real block[GATHERED];
    int in_place = get == gather && step == WIDTH;
    intptr_t longest = in_place ? LONGEST_STRIP : GATHERED;
    intptr_t length = n <= longest ? longest : in_place ? STRIP : GATHERED / LANES;
    tally all = tally_empty();
    for (intptr_t i = 0; i < n;) {
        strip s[LANES] = {{0, 0, 0}};
        intptr_t count = 0, first = i;
        for (; count < LANES && i < n; count++, i += length) {
            s[count] = (strip){(const real *)x + i, 0, smaller(n - i, length)};
            if (in_place) continue;
            s[count].x = block + count * length;
            get(block + count * length, x + i * step, step, s[count].n);
        }
        tally t = tally_strips(s, count, floor, how);
        if (count > 1) tally_lanes(&t, count, floor);
        if (first == 0) all = t;
        else tally_join(&all, &t, floor);
    }
    return all;
}

static NOINLINE tally tally_along(const char *x, intptr_t step, intptr_t n, real floor, summation how) {
    return tally_fetched(gather, x, step, n, floor, how);
}

/* How many rows are summed at once, as strips. */
static inline intptr_t strips_at_once(intptr_t n) {
    return n < ROWS_AT_ONCE ? smaller(LANES, ROWS_AT_ONCE / (n + 1)) : 1;
}

/* Rows r .. r+count, contiguous, at most LONGEST_STRIP long: one per lane, or a single one in all. */
static tally tally_rows(const matrix *a, intptr_t r, intptr_t count, const matrix *kept, real floor, summation how) {
    strip s[LANES] = {{0, 0, 0}};
    for (intptr_t k = 0; k < count; k++) {
        s[k] = (strip){(const real *)(a->x + (r + k) * a->outer), 0, a->n};
        if (how.keeps) s[k].kept = (real *)((char *)kept->x + (r + k) * kept->outer);
    }
    return tally_strips(s, count, floor, how);
}

/* ---- one row per lane ---- */

/* Elements k .. k+n of the rows r .. r+rows, one row per lane; missing lanes repeat the last row. Four columns are read
   at a time, the last four once more where their number is no multiple of four; what three columns read besides are
   elements of the rows that follow. */
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

static void store_tile(const real *tile, const matrix *out, intptr_t r, intptr_t rows, intptr_t k, intptr_t n) {
    if (out->core != WIDTH) {
        for (intptr_t lane = 0; lane < rows; lane++) {
            char *row = (char *)out->x + (r + lane) * out->outer + k * out->core;
            for (intptr_t i = 0; i < n; i++) memcpy(row + i * out->core, tile + i * LANES + lane, sizeof(real));
        }
        return;
    }
    int neighbours = out->outer == n * WIDTH && n <= LANES && 2 * n > LANES; /* the next row mends what is too much */
    for (intptr_t i = 0; i < n; i += LANES) {
        vec y[LANES];
        intptr_t count = smaller(n - i, LANES);
        for (intptr_t j = 0; j < LANES; j++) y[j] = v_load(tile + (i + smaller(j, count - 1)) * LANES);
        v_transpose(y);
        for (intptr_t lane = 0; lane < rows; lane++) {
            real *row = (real *)((char *)out->x + (r + lane) * out->outer) + k + i;
            if (count == LANES || (neighbours && (rows - lane) * n >= LANES)) v_store(row, y[lane]);
            else v_store_part(row, count, y[lane]);
        }
    }
}

/* Rows r .. r+rows <= r+LANES by tiles; the last tile, or its terms, stays in `tile`, which has room for four rows. */
INLINE tally sum_tiles(const matrix *a, intptr_t r, intptr_t rows, real *tile, real floor, summation how) {
    if (a->n == 0) return tally_empty();
    intptr_t n = smaller(a->n, LANE_BLOCK);
    load_tile(tile, a, r, rows, 0, n);
    vectors v = {tile, LANES, n, tile, LANES};
    tally t = tally_of_max(max_of_vectors(v_set(-REAL_INFINITY), v));
    window w = make_window(t.max, floor);
    if (window_is_far(w)) tally_terms(&t, &v, floor, how);
    else t = tally_vectors(t, v, w, how);
    for (intptr_t k = n; k < a->n; k += n) {
        n = smaller(a->n - k, LANE_BLOCK);
        load_tile(tile, a, r, rows, k, n);
        tally_more(&t, (vectors){tile, LANES, n, 0, 0}, floor, how);
        if (k % SPAN == 0) tally_settle(&t, floor);
    }
    return t;
}

/* The block of rows that follows will be asked for while this one is computed. */
INLINE void prefetch_block(vectors v) {
    for (intptr_t i = 0; i < v.n; i++) __builtin_prefetch(v.x + (LANE_BLOCK + i) * v.step);
}

static tally tally_tiles(const matrix *a, intptr_t r, intptr_t rows, real *tile, real floor, summation how) {
    how.far = 0;
    return SPECIALIZED(sum_tiles, how, a, r, rows, tile, floor);
}

/* `panel` groups of LANES neighbouring rows from row r on. */
static void tally_columns(tally *t, const matrix *a, intptr_t r, intptr_t panel, real floor, summation how) {
    for (intptr_t v = 0; v < panel && a->n == 0; v++) t[v] = tally_empty();
    for (intptr_t k = 0; k < a->n; k += LANE_BLOCK) {
        vectors x = {(const real *)(a->x + k * a->core) + r, a->core / WIDTH, smaller(a->n - k, LANE_BLOCK), 0, 0};
        for (intptr_t v = 0; v < panel; v++, x.x += LANES) {
            prefetch_block(x);
            if (k) tally_more(t + v, x, floor, how);
            else t[v] = tally_start(x, floor, how);
            if (k && k % SPAN == 0) tally_settle(t + v, floor);
        }
    }
}

#endif
