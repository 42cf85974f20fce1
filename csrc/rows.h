/* Strided NumPy arguments <-> full vectors, row by row: the shapes (n)->(), (n)->(n),
   (n),(s),(s)->(s) and (n),(n)->().

   A row is reduced in one of three ways:
     along    lanes run along the row: rows that are contiguous and long, or alone
     columns  lanes are rows: neighbouring rows are neighbours in memory (axis 0 of a C-ordered array), which are read
              panel by panel, some rows of the matrix at a time, so that the cache lines are used whole
     tiles    lanes are rows: short or oddly strided rows are transposed into a block on the stack first
   Segments of a row are rows of different lengths; short ones are tiles.
   The way depends on sizes and strides alone, so the result is the same whenever the layout is. */

#ifndef FASTLOG_ROWS_H
#define FASTLOG_ROWS_H

#include "kernels/partition.h"
#include "loops.h"

#define LONG_ROW (4 * LANES) /* from here on a row is worth vectors of its own */
#define GROUPS 256           /* whose maxima are kept while the strips of a row are summed: at most 16 KiB */
#define STRIP \
    (16 * GROUP * LANES) /* elements of a row whose maximum, then sum is taken: no more than 8 KiB, in cache */
#define GATHERED 2048
#define LONGEST_STRIP (GROUPS * GROUP * LANES)
#define ROWS_AT_ONCE (2048 * LANES) /* elements whose terms are kept in cache until they are needed again: 128 KiB */
#define PREFETCH (2 * STRIP)        /* elements ahead: reading memory goes on while terms are computed */
#define LANE_BLOCK 32               /* elements per lane whose maximum, then sum is taken */
#define TILES_AT_ONCE 8             /* that are summed before any result is computed from the sums */
#define PANEL 64                    /* vectors side by side: at most 1 KiB of every row of the matrix */

typedef vec reduce_kernel(partition);
typedef vec labelled_kernel(vec, partition);
typedef norm norm_kernel(tally);
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

/* A running sum in two doubles. */
typedef struct {
    double hi, lo;
} total;

static inline total total_add(total t, double x) {
    double s = t.hi + x, x_part = s - t.hi, t_part = s - x_part;
    return (total){s, t.lo + ((t.hi - t_part) + (x - x_part))};
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

/* Of all of a strip, in every lane; `maxima` gets those of each group of vectors. */
static vec strip_max(const strip *s, real *maxima) {
    vec none = v_set(-REAL_INFINITY), top = none;
    intptr_t i = 0, g = 0;
    for (; i + GROUP * LANES <= s->n; i += GROUP * LANES, g++) {
        vec max = p_max(none, (vectors){s->x + i, LANES, GROUP, 0, 0});
        v_store(maxima + g * LANES, max);
        top = v_max(max, top);
    }
    intptr_t whole = whole_vectors(s->n - i);
    top = p_max(top, (vectors){s->x + i, LANES, whole / LANES, 0, 0});
    return largest_lane(v_max(v_load_part(s->x + i + whole, s->n - i - whole, -REAL_INFINITY), top));
}

/* The terms of a strip. Only groups that the maximum is in are searched for it. */
INLINE term_sum sum_strip(const strip *s, const real *maxima, vec max, window w, summation how) {
    summation ordinary = how;
    ordinary.has_max = 0;
    term_sum t = p_no_terms();
    vectors v = {s->x, LANES, s->n / LANES, s->kept, LANES};
    for (; v.n >= GROUP; v = p_from(v, GROUP), maxima += LANES) {
        for (intptr_t j = 0; j < GROUP * LANES; j += 64 / WIDTH) __builtin_prefetch(v.x + j + PREFETCH);
        if (how.far || m_any(v_eq(v_load(maxima), max))) t = p_add_group(t, v, max, w, how);
        else t = p_add_group(t, v, max, w, ordinary);
    }
    for (; v.n > 0; v = p_from(v, 1)) t = p_add_one(t, v, max, w, how);
    intptr_t part = s->n % LANES;
    if (part) {
        real x[LANES], kept[LANES];
        v_store(x, v_load_part(s->x + s->n - part, part, -REAL_INFINITY)); /* the padding adds nothing */
        t = p_add_one(t, (vectors){x, LANES, 1, kept, LANES}, max, w, how);
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

/* The same sum in every lane. */
INLINE tally tally_strip(const strip *s, real floor, summation how) {
    real maxima[GROUPS * LANES];
    vec max = strip_max(s, maxima);
    window w = p_window(max, floor);
    how.far = p_is_far(w);
    term_sum t = strip_terms(s, maxima, max, w, how);
    return (tally){max, w, {dw_sum_of_lanes(t.sum), sum_of_lanes(t.maxima)}};
}

/* One strip per lane; unused lanes repeat the first. While the terms of one strip are summed, the maximum of the next
   is already looked for: it has to pass all lanes, which takes its time. */
static tally tally_strips(const strip *s, intptr_t count, real floor, summation how) {
    if (count == 1) return tally_strip(s, floor, how);
    real maxima[2][GROUPS * LANES], max[LANES];
    vec hi[LANES], lo[LANES], left_out[LANES];
    vec next = strip_max(s, maxima[0]);
    for (intptr_t k = 0; k < LANES; k++) {
        if (k > 0 && k >= count) {
            hi[k] = hi[0], lo[k] = lo[0], left_out[k] = left_out[0], max[k] = max[0];
            continue;
        }
        vec of_strip = next;
        if (k + 1 < count) next = strip_max(s + k + 1, maxima[(k + 1) % 2]);
        window w = p_window(of_strip, floor);
        how.far = p_is_far(w);
        term_sum t = strip_terms(s + k, maxima[k % 2], of_strip, w, how);
        hi[k] = t.sum.hi, lo[k] = t.sum.lo, left_out[k] = t.maxima, max[k] = first_lane(of_strip);
    }
    vec all = v_load(max);
    return (tally){all, p_window(all, floor), {dw_sum_across(hi, lo), sum_across(left_out)}};
}

/* The sum of two tallies. */
static void tally_join(tally *a, tally *b, real floor) {
    vec max = v_max(a->max, b->max);
    p_raise(a, max, floor);
    p_raise(b, max, floor);
    a->terms.maxima = v_add(a->terms.maxima, b->terms.maxima);
    a->terms = p_join(a->terms, b->terms.sum.hi);
    a->terms.sum.lo = v_add(a->terms.sum.lo, b->terms.sum.lo);
}

/* The sum of the first `count` lanes, in every lane. */
static void tally_lanes(tally *t, intptr_t count, real floor) {
    p_raise(t, largest_lane(t->max), floor);
    vec zero = v_set(0);
    mask unused = v_ne(v_load_part((const real[LANES]){0}, count, 1), zero);
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
    tally all = p_empty(floor);
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

INLINE tally tally_along(const char *x, intptr_t step, intptr_t n, real floor, summation how) {
    return tally_fetched(gather, x, step, n, floor, how);
}

/* How many rows are summed at once, as strips. */
static inline intptr_t strips_at_once(intptr_t n) {
    return n < ROWS_AT_ONCE ? smaller(LANES, ROWS_AT_ONCE / (n + 1)) : 1;
}

/* Rows r .. r+count, contiguous, at most LONGEST_STRIP long: one per lane, or a single one in all. */
static tally tally_rows(const matrix *a, intptr_t r, intptr_t count, const matrix *kept, real floor, summation how) {
    strip s[LANES];
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
    for (intptr_t i = 0; i < n; i += LANES) {
        vec y[LANES];
        intptr_t count = smaller(n - i, LANES);
        for (intptr_t j = 0; j < LANES; j++) y[j] = v_load(tile + (i + smaller(j, count - 1)) * LANES);
        v_transpose(y);
        for (intptr_t lane = 0; lane < rows; lane++)
            v_store_part((real *)((char *)out->x + (r + lane) * out->outer) + k + i, count, y[lane]);
    }
}

/* Rows r .. r+rows <= r+LANES by tiles; the last tile, or its terms, stays in `tile`, which has room for four rows. */
INLINE tally sum_tiles(const matrix *a, intptr_t r, intptr_t rows, real *tile, real floor, summation how) {
    if (a->n == 0) return p_empty(floor);
    intptr_t n = smaller(a->n, LANE_BLOCK);
    load_tile(tile, a, r, rows, 0, n);
    vectors v = {tile, LANES, n, tile, LANES};
    vec max = p_max(v_set(-REAL_INFINITY), v);
    tally t = {max, p_window(max, floor), p_no_terms()};
    if (p_is_far(t.window)) p_tally_terms(&t, &v, how);
    else t = p_tally_vectors(t, v, how);
    for (intptr_t k = n; k < a->n; k += n) {
        n = smaller(a->n - k, LANE_BLOCK);
        load_tile(tile, a, r, rows, k, n);
        p_tally_more(&t, (vectors){tile, LANES, n, 0, 0}, floor, how);
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
    for (intptr_t v = 0; v < panel; v++) t[v] = p_empty(floor);
    for (intptr_t k = 0; k < a->n; k += LANE_BLOCK) {
        vectors x = {(const real *)(a->x + k * a->core) + r, a->core / WIDTH, smaller(a->n - k, LANE_BLOCK), 0, 0};
        for (intptr_t v = 0; v < panel; v++, x.x += LANES) {
            prefetch_block(x);
            if (k) p_tally_more(t + v, x, floor, how);
            else t[v] = p_tally(x, floor, how);
        }
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

#define TABLE_NAME(target, width) fl_table_##target##_f##width
#define TABLE(target, width) TABLE_NAME(target, width)

/* Where the maximum is negative and log1p(rest) comes near -max, a float keeps no digits of the difference: such rows
   are done once more in double. */
INLINE void mend_differences(reduction f, partition p, real *y, intptr_t r, intptr_t rows) {
#if FL_WIDTH == 32
    extern const fl_table TABLE(FL_TARGET, 64);
    vec near = v_abs(v_load(y)), max = p.max;
    if (!m_any(m_and(v_lt(near, v_set(0.25f)), v_lt(max, v_set(0))))) return;
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
    real y[LANES];
    if (f.labelled) {
        real picked[LANES];
        for (intptr_t lane = 0; lane < LANES; lane++) {
            intptr_t row = r + smaller(lane, rows - 1);
            int64_t label;
            memcpy(&label, f.labels + row * f.label_step, sizeof label);
            memcpy(picked + lane, f.a.x + row * f.a.outer + label * f.a.core, sizeof(real));
        }
        v_store(y, f.labelled(v_load(picked), p));
    } else {
        v_store(y, f.reduce(p));
        mend_differences(f, p, y, r, rows);
    }
    if (rows == LANES && f.out_step == WIDTH) v_store((real *)(f.out + r * f.out_step), v_load(y));
    else scatter(f.out + r * f.out_step, f.out_step, y, rows);
}

INLINE void run_reduction(reduction f) {
    fl_status status = status_save();
    matrix a = f.a;
    intptr_t r = 0;
    real tile[LANE_BLOCK * LANES];
    summation how = {.rough = !f.labelled};
    enum way way = choose_way(a);
    if (way == ALONG) {
        intptr_t at_once = a.core == WIDTH ? strips_at_once(a.n) : 1;
        int one_strip = a.core == WIDTH && a.n <= LONGEST_STRIP && a.n > 0;
        for (; r < a.rows; r += at_once) {
            intptr_t rows = smaller(a.rows - r, at_once);
            tally t = one_strip ? tally_rows(&a, r, rows, NULL, FLOOR, how)
                                : tally_along(a.x + r * a.outer, a.core, a.n, FLOOR, how);
            finish_rows(f, p_partition(&t, how.rough), r, rows);
        }
    }
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
            finish_rows(f, p_partition(t + (r - first) / LANES, how.rough), r, smaller(first + rows - r, LANES));
    }
    status_restore(status);
}

INLINE void loop_reduce(reduce_kernel *k, char **args, const intptr_t *dims, const intptr_t *steps) {
    matrix a = {args[0], dims[0], dims[1], steps[0], steps[2]};
    run_reduction((reduction){k, 0, a, 0, 0, args[1], steps[1]});
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
            t = p_tally((vectors){tile, LANES, n, 0, 0}, FLOOR, (summation){0});
        }
        v_store(y, k(p_partition(&t, 0)));
        for (intptr_t lane = 0; lane < count; lane++) *(float *)(args[1] + (r + lane) * steps[1]) = (float)y[lane];
    }
    status_restore(status);
}
#endif

INLINE void loop_reduce_labelled(labelled_kernel *k, char **args, const intptr_t *dims, const intptr_t *steps) {
    matrix a = {args[0], dims[0], dims[1], steps[0], steps[3]};
    run_reduction((reduction){0, k, a, args[1], steps[1], args[2], steps[2]});
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
   adds nothing. The tile's height is a multiple of GROUP so that a result does not depend on the
   neighbours. */
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
            real of_long = first_lane(k(p_partition(&t, how.rough)));
            memcpy(s.out + (i + lane) * s.out_step, &of_long, sizeof(real));
            continue;
        }
        for (; height < n; height += GROUP)
            for (intptr_t j = 0; j < GROUP; j++) v_store(tile + (height + j) * LANES, v_set(-REAL_INFINITY));
        for (intptr_t j = 0; j < n; j++) memcpy(tile + j * LANES + lane, x + j * s.step, sizeof(real));
    }
    tally t = p_tally((vectors){tile, LANES, height, 0, 0}, FLOOR, how);
    v_store(y, k(p_partition(&t, how.rough)));
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

/* What normalises rows: from a row's sum, and then from its elements or, of_terms, from their terms. Where wanted, the
   rows' logsumexp goes to `log`. */
typedef struct {
    norm_kernel *norm_of;
    normalize_kernel *kernel;
    int of_terms;
    char *log;
    intptr_t log_step;
} normalization;

/* The norms of rows r .. r+rows. */
INLINE norm norm_of_rows(normalization f, tally t, intptr_t r, intptr_t rows) {
    if (f.log) {
        real y[LANES];
        v_store(y, k_logsumexp(p_partition(&t, 0)));
        scatter(f.log + r * f.log_step, f.log_step, y, rows);
    }
    return f.norm_of(t);
}

static inline real floor_of(normalization f) { return f.of_terms && !f.log ? NO_TERM : FLOOR; }

/* Elements whose terms have not been kept. */
INLINE vec normalized(normalization f, vec x, norm z, int far) {
    return f.kernel(f.of_terms ? p_term(x, z.window, far) : x, z);
}

/* n vectors at x, x_step elements apart, to y. */
INLINE void normalize_vectors(normalization f, norm z, const real *x, intptr_t x_step, real *y, intptr_t y_step,
                              intptr_t n) {
    if (f.of_terms && p_is_far(z.window))
        for (intptr_t i = 0; i < n; i++) v_store(y + i * y_step, normalized(f, v_load(x + i * x_step), z, 1));
    else
        for (intptr_t i = 0; i < n; i++) v_store(y + i * y_step, normalized(f, v_load(x + i * x_step), z, 0));
}

/* A row of any strides, by way of blocks. */
INLINE void normalize_along(normalization f, norm z, const char *x, intptr_t step, char *out, intptr_t out_step,
                            intptr_t n) {
    real block[GROUP * LANES];
    for (intptr_t i = 0; i < n; i += GROUP * LANES) {
        intptr_t count = smaller(n - i, GROUP * LANES);
        gather(block, x + i * step, step, count);
        normalize_vectors(f, z, block, LANES, block, LANES, filled_up(count) / LANES);
        scatter(out + i * out_step, out_step, block, count);
    }
}

/* Lane k of a norm, in every lane. */
INLINE norm norm_of_lane(norm z, intptr_t k) {
    norm one;
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
        norm z = norm_of_rows(f, tally_rows(&a, r, rows, &out, floor_of(f), how), r, rows);
        for (intptr_t k = 0; k < rows; k++) {
            norm of_row = norm_of_lane(z, k);
            real *y = (real *)((char *)out.x + (r + k) * out.outer);
            const real *x = f.of_terms ? y : (const real *)(a.x + (r + k) * a.outer);
            for (intptr_t i = 0; i < whole; i += LANES) v_store(y + i, f.kernel(v_load(x + i), of_row));
            if (part) v_store_part(y + whole, part, f.kernel(v_load_part(x + whole, part, x[whole]), of_row));
        }
    }
}

INLINE void normalize_columns(normalization f, const norm *z, matrix a, matrix out, intptr_t r, intptr_t panel) {
    for (intptr_t k = 0; k < a.n; k += LANE_BLOCK) {
        const real *x = (const real *)(a.x + k * a.core) + r;
        real *y = (real *)((char *)out.x + k * out.core) + r;
        intptr_t n = smaller(a.n - k, LANE_BLOCK);
        for (intptr_t v = 0; v < panel; v++) {
            prefetch_block((vectors){x + v * LANES, a.core / WIDTH, n, 0, 0});
            normalize_vectors(f, z[v], x + v * LANES, a.core / WIDTH, y + v * LANES, out.core / WIDTH, n);
        }
    }
}

INLINE void normalize_tiles(normalization f, matrix a, matrix out, intptr_t r, intptr_t rows) {
    real tile[LANE_BLOCK * LANES];
    summation how = {.keeps = f.of_terms && a.n <= LANE_BLOCK};
    norm z = norm_of_rows(f, tally_tiles(&a, r, rows, tile, floor_of(f), how), r, rows);
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

INLINE void normalize_matrix(normalization f, matrix a, matrix out) {
    fl_status status = status_save();
    intptr_t r = 0;
    enum way way = a.n ? choose_way(a) : TILES;
    if (way == ALONG && a.core == WIDTH && out.core == WIDTH && a.n <= LONGEST_STRIP) {
        normalize_strips(f, a, out);
        r = a.rows;
    } else if (way == ALONG) {
        for (; r < a.rows; r++) {
            const char *x = a.x + r * a.outer;
            norm z = norm_of_rows(f, tally_along(x, a.core, a.n, floor_of(f), (summation){0}), r, 1);
            normalize_along(f, z, x, a.core, (char *)out.x + r * out.outer, out.core, a.n);
        }
    } else if (way == COLUMNS && out.outer == WIDTH) {
        while (r < whole_vectors(a.rows)) {
            tally t[PANEL];
            norm z[PANEL];
            intptr_t panel = smaller((a.rows - r) / LANES, PANEL);
            tally_columns(t, &a, r, panel, floor_of(f), (summation){0});
            for (intptr_t v = 0; v < panel; v++) z[v] = norm_of_rows(f, t[v], r + v * LANES, LANES);
            normalize_columns(f, z, a, out, r, panel);
            r += panel * LANES;
        }
    }
    for (; r < a.rows; r += LANES) normalize_tiles(f, a, out, r, smaller(a.rows - r, LANES));
    status_restore(status);
}

INLINE void loop_normalize(normalization f, char **args, const intptr_t *dims, const intptr_t *steps) {
    matrix a = {args[0], dims[0], dims[1], steps[0], steps[2]};
    normalize_matrix(f, a, (matrix){args[1], dims[0], dims[1], steps[1], steps[3]});
}

/* ---- (n)->(n),() ---- */

INLINE void loop_reduce_normalize(char **args, const intptr_t *dims, const intptr_t *steps) {
    normalization f = {n_softmax, k_softmax, 1, args[2], steps[2]};
    matrix a = {args[0], dims[0], dims[1], steps[0], steps[3]};
    normalize_matrix(f, a, (matrix){args[1], dims[0], dims[1], steps[1], steps[4]});
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
        sum = dw_sum_of_lanes(sum);
        total block = {first_lane(sum.hi), first_lane(sum.lo)};
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
