/* (n)->() and (n),(n)->(): sums of terms that are more than the exponential of an element.

     logdotexp             log of the sum of e^(x + y)
     categorical_entropy   that of softmax(x), from the sums of the terms and of terms times gaps

   Arguments   args[0] has dims[0] rows of dims[1] elements x, and args[1] as many y, both with any strides; or there is
               no y. The last argument gets a number for every row.
   Passes      Rows lie over the lanes as sums/README.md says: ALONG, TILES or COLUMNS. Some rows are summed side by
               side, a block of each at a time. A block is read twice, the second time from the cache: for its maximum,
               then for its terms.
   Owners      Sums are on the stack.

   y often is the same for all rows, as a vector that a matrix is multiplied by, or x is. Then a block of it is prepared
   once for many rows. */

#pragma once

#include "fastlog.h"
#include "loops/again.h"
#include "loops/near_one.h"

#define MOMENTS_AT_ONCE 32 /* rows ALONG, or vectors of rows, whose sums are kept until they are complete */

/* Sums of rows, one per lane, or parts of one row. Terms count in the unit of the window of max. */
typedef struct {
    vec max;    /* the largest element so far */
    vec maxima; /* the number of elements that are the maximum, where these are left out of the sum */
    dw sum;     /* of terms; renormalised after each block */
    dw gaps;    /* of terms times their gaps */
} moments;

typedef struct {
    const real *x, *y;
    intptr_t x_step, y_step; /* elements from a vector to the next */
    intptr_t n;              /* the number of vectors, at most STRIP / LANES */
} paired_vectors;

/* What computes a function. Each gets its constants from here, so that calls are direct. */
typedef struct {
    void (*add)(moments *, paired_vectors, int along); /* adds a block */
    vec (*result)(const moments *);
} moment_kernel;

typedef struct {
    moment_kernel kernel;
    matrix x, y; /* y.x may be NULL */
    char *out;
    intptr_t out_step;
    vec y_max;           /* the largest y that all rows have in common, if its exponentials multiply the terms */
    int multiplies;      /* whether they do */
    waiting_rows *later; /* rows for which these do not do */
} moment_rows;

INLINE moments no_moments(void) {
    vec zero = v_set(0);
    return (moments){v_set(-REAL_INFINITY), zero, {zero, zero}, {zero, zero}};
}

/* The maxima become `max`. Where there was nothing but -inf, only a nan is kept. */
INLINE void raise_sum(moments *m, vec max) {
    if (!mask_any(v_lt(m->max, max))) return;
    if (mask_any(v_lt(v_set(-REAL_INFINITY), m->max))) {
        tally t = {.max = m->max, .terms = {m->sum, m->maxima}, .settled = {v_set(0), v_set(0)}};
        tally_raise(&t, max, FLOOR);
        m->sum = t.terms.sum, m->maxima = t.terms.maxima;
    } else {
        m->sum = (dw){v_mul(m->sum.hi, v_set(0)), v_set(0)}, m->maxima = v_set(0);
    }
    m->max = max;
}

INLINE partition partition_of_moments(const moments *m, int rough) {
    tally t = {.max = m->max, .terms = {m->sum, m->maxima}, .settled = {v_set(0), v_set(0)}};
    return partition_of(&t, rough);
}

INLINE void add_pair(term_sum *t, exp_parts e) {
    *t = join_terms(*t, e.power);
    if (EXP_RESTS_ARE_SMALL) t->sum.lo = v_fma(e.power, e.rest, t->sum.lo);
    else *t = join_terms(*t, v_mul(e.power, e.rest));
}

/* ---- logdotexp, where x and y both vary ----

   x + y is s + e exactly, and e^(s + e) = e^s (1 + e) to first order: |e| is at most half an ulp of s, so what is
   left out, e^2/2, is below ulp(s)/8 even where e is as large as 1/2; larger ones, whose s has no digit behind the point, are
   cut off there. Where s is infinite, e is nan and becomes -1/2, which changes nothing.

   Error: without e, the result would be wrong by e itself. Terms are right to 2^-2 ulp (see m_exp_parts), no element is
   left out of the sum, and log1p of what it is above 1 has one rounding, together with the maximum. */

INLINE vec low_of_sum(vec x, vec y, vec s) {
    vec y_part = v_sub(s, x), x_part = v_sub(s, y_part);
    vec e = v_add(v_sub(x, x_part), v_sub(y, y_part));
    return v_min(v_max(e, v_set(REAL(-0.5))), v_set(REAL(0.5)));
}

/* The term of a pair. A far window has infinite maxima, too. */
INLINE exp_parts term_of_pair(vec x, vec y, window w, int far) {
    vec s = v_add(x, y), e = low_of_sum(x, y, s);
    exp_parts t = m_exp_parts(window_argument(far ? v_min(v_set(REAL_MAX), s) : s, w, far), w.rounder, 1);
    t.rest = EXP_RESTS_ARE_SMALL ? v_add(t.rest, e) : v_fma(t.rest, e, v_add(t.rest, e));
    return t;
}

/* The term of an element and a factor. */
INLINE exp_parts term_of_product(vec x, vec factor, window w, int far) {
    exp_parts t = m_exp_parts(window_argument(x, w, far), w.rounder, 1);
    return (exp_parts){v_mul(t.power, factor), t.rest};
}

/* Sums terms of pairs or, with `factors`, of products. What comes next is asked for `ahead` elements before. */
INLINE term_sum sum_of_pairs(paired_vectors v, intptr_t ahead, window w, int far, int factors) {
    exp_parts (*term)(vec, vec, window, int) = factors ? term_of_product : term_of_pair;
    term_sum t = no_terms();
    intptr_t i = 0;
    for (; i + GROUP <= v.n; i += GROUP) {
        vec rests = v_set(0);
        for (intptr_t j = i; j < i + GROUP; j++) __builtin_prefetch(v.x + j * v.x_step + ahead);
#pragma GCC unroll 4
        for (intptr_t j = i; j < i + GROUP; j += 2) {
            exp_parts a = term(v_load(v.x + j * v.x_step), v_load(v.y + j * v.y_step), w, far);
            exp_parts b = term(v_load(v.x + (j + 1) * v.x_step), v_load(v.y + (j + 1) * v.y_step), w, far);
            rests = v_fma(a.power, a.rest, v_fma(b.power, b.rest, rests));
            t = join_terms(t, v_add(a.power, b.power));
        }
        if (EXP_RESTS_ARE_SMALL) t.sum.lo = v_add(t.sum.lo, rests);
        else t = join_terms(t, rests);
    }
    for (; i < v.n; i++) add_pair(&t, term(v_load(v.x + i * v.x_step), v_load(v.y + i * v.y_step), w, far));
    return t;
}

INLINE vec max_of_sums(vec max, paired_vectors v) {
    vec other = max;
    intptr_t i = 0;
    for (; i < v.n - 1; i += 2) {
        max = v_max(v_add(v_load(v.x + i * v.x_step), v_load(v.y + i * v.y_step)), max);
        other = v_max(v_add(v_load(v.x + (i + 1) * v.x_step), v_load(v.y + (i + 1) * v.y_step)), other);
    }
    if (i < v.n) max = v_max(v_add(v_load(v.x + i * v.x_step), v_load(v.y + i * v.y_step)), max);
    return v_max(max, other);
}

/* Lanes along a row come to its next strips, lanes of several rows to the next block. */
INLINE intptr_t elements_ahead(paired_vectors v, int along) { return along ? PREFETCH : LANE_BLOCK * v.x_step; }

INLINE vec max_of_block(vec max, paired_vectors v) {
    return max_of_vectors(max, (vectors){.x = v.x, .step = v.x_step, .n = v.n});
}

/* Adds a block of pairs: y is added to the elements, or is a factor of their terms. */
INLINE void add_block(moments *m, paired_vectors v, int along, int of_factors) {
    vec max = of_factors ? max_of_block(m->max, v) : max_of_sums(m->max, v);
    raise_sum(m, along ? largest_lane(max) : max);
    window w = make_window(m->max, FLOOR);
    intptr_t ahead = elements_ahead(v, along);
    term_sum t = window_is_far(w) ? sum_of_pairs(v, ahead, w, 1, of_factors) : sum_of_pairs(v, ahead, w, 0, of_factors);
    m->sum = dw_add(m->sum, t.sum);
}

static NOINLINE void add_pairs(moments *m, paired_vectors v, int along) { add_block(m, v, along, 0); }

static vec result_of_pairs(const moments *m) { return k_logsumexp(partition_of_moments(m, 1)); }

static const moment_kernel of_pairs = {add_pairs, result_of_pairs};

/* ---- logdotexp, where all rows have y in common ----

   e^(x + y) is the term of x times the factor e^y 2^-n, 2^n next to e^(largest y), which is computed once for many
   rows. Factors below e^NORMAL_MIN are 0. So are terms below the window's floor, in effect: a sum is trusted where it is so
   large that 2^33 of either do not show. Where it is not, or infinite or nan, the row is computed from its pairs.

   Error: a factor and its product are rounded, each by half an ulp: with them, the result may be wrong by one more ulp
   of 1, but as errors of the terms are not the same, not by so much in effect. */

#if FL_WIDTH == 32
#define TRUSTED REAL(0x1p-60)
#else
#define TRUSTED 0x1p-900
#endif

/* Replaces n vectors of y by their factors. */
static NOINLINE void make_factors(real *y, intptr_t n, vec y_max) {
    window w = make_window(y_max, NORMAL_MIN);
    w.rounder = m_word_rounder(v_neg(w.n));
    for (intptr_t i = 0; i < n; i++) {
        vec x = v_load(y + i * LANES), argument = window_argument(x, w, 1);
        v_store(y + i * LANES, v_unless(v_lt(v_sub(x, w.base), w.least), m_exp_word(argument, w.rounder)));
    }
}

static NOINLINE void add_products_with(moments *m, paired_vectors v, int along) { add_block(m, v, along, 1); }

/* n ln2; the high product is exact. */
INLINE dw units_of_ln2(vec n) { return (dw){v_mul(n, v_set(ln2_hi)), v_mul(n, v_set(ln2_lo))}; }

/* The logarithm of a sum of products in the units of two windows; `trusted` says where it may be used. */
INLINE vec log_of_products(const moments *m, vec y_max, mask *trusted) {
    window x = make_window(m->max, FLOOR), y = make_window(y_max, FLOOR);
    vec lift = v_set(TERM_UNLIFT), size = v_mul(m->sum.hi, lift), low = v_mul(m->sum.lo, lift);
    *trusted = mask_and(mask_and(v_le(v_set(TRUSTED), size), is_finite(size)), is_finite(m->max));
    size = v_select(*trusted, size, v_set(1)), low = v_select(*trusted, low, v_set(0));
    ivec field = m_log2_field(size, v_set(SQRT_HALF));
    dw mantissa = dw_two_sum(v_sub(v_real(i_sub(v_bits(size), field)), v_set(1)), v_mul(low, m_inverse_power(field)));
    dw log = dw_add(m_log_near_1(m_field_value(field), mantissa), units_of_ln2(y.n)), base = dw_two_sum(x.base, y.base);
    log.lo = v_add(log.lo, v_sub(base.lo, m_rough_error(x.top)));
    return sum_of_logs(base.hi, units_of_ln2(x.n), log);
}

/* ---- categorical_entropy ----

   With the gaps d = max - x, Z = e^max (1 + r), and the sum G of d e^-d, the entropy - sum of p log p is

       sum of p (d + log(1 + r)) = log1p(r) + G / (1 + r),

   where nothing is negative, so that no digit is lost, however near 0 the result is. The maximum adds nothing to G, and
   is left out of r. Elements below the window's floor, -inf among them, count as the floor, whose term is negligible.

   When the maximum grows by g, every gap does, too: G becomes (G + g S) e^-g, with S the sum of the terms so far,
   former maxima among them. */

INLINE void raise_gaps(moments *m, vec max) {
    vec none = v_set(-REAL_INFINITY), zero = v_set(0), former = m->max;
    if (!mask_any(v_lt(former, max))) return;
    vec grown = v_select(v_eq(former, none), zero, v_sub(made_finite(max), made_finite(former)));
    moments of_gaps = {.max = former, .maxima = zero, .sum = m->gaps};
    raise_sum(&of_gaps, max);
    raise_sum(m, max);
    dw more = dw_mul(m->sum.hi, grown);
    more.lo = v_fma(m->sum.lo, grown, more.lo);
    m->gaps = dw_add(of_gaps.sum, more);
}

INLINE void sum_of_gaps(moments *m, paired_vectors v, window w, int far) {
    term_sum t = {{v_set(0), v_set(0)}, m->maxima}, gaps = no_terms();
    for (intptr_t i = 0; i < v.n; i++) {
        vec x = v_load(v.x + i * v.x_step), argument = window_argument(x, w, far), gap = v_sub(w.top, argument);
        exp_parts e = m_exp_parts(argument, w.rounder, 0);
        mask is_max = count_maxima(&t, x, m->max);
        e = (exp_parts){v_unless(is_max, e.power), v_unless(is_max, e.rest)};
        vec product = v_mul(e.power, gap);
        add_pair(&t, e);
        gaps = join_terms(gaps, v_fma(product, e.rest, product));
    }
    m->sum = dw_add(m->sum, t.sum), m->maxima = t.maxima, m->gaps = dw_add(m->gaps, gaps.sum);
}

static NOINLINE void add_gaps(moments *m, paired_vectors v, int along) {
    vec max = max_of_block(m->max, v);
    raise_gaps(m, along ? largest_lane(max) : max);
    window w = make_window(m->max, FLOOR);
    if (window_is_far(w)) sum_of_gaps(m, v, w, 1);
    else sum_of_gaps(m, v, w, 0);
}

/* The softmax of a row whose maximum is infinite is nan, and so is its entropy. */
static vec result_of_gaps(const moments *m) {
    partition p = partition_of_moments(m, 0);
    dw share = dw_div(in_units_of_max(m->gaps, m->max, 0), dw_add((dw){v_set(1), v_set(0)}, p.rest));
    dw log = m_log1p(p.rest), y = dw_two_sum(log.hi, share.hi);
    return v_select(is_finite(p.max), v_add(y.hi, v_add(y.lo, v_add(log.lo, share.lo))), v_set(REAL_NAN));
}

static const moment_kernel of_gaps = {add_gaps, result_of_gaps};

/* ---- the ways of rows ---- */

/* Stores the results of rows r to r+rows-1, and notes those that are to be computed from their pairs. */
static NOINLINE void store_moments(const moment_rows *f, const moments *m, intptr_t r, intptr_t rows) {
    real lanes[LANES];
    vec y;
    if (f->multiplies) {
        mask trusted;
        y = log_of_products(m, f->y_max, &trusted);
        vec again = v_select(trusted, v_set(0), v_set(1));
        if (RARELY(mask_any(v_ne(again, v_set(0))))) wait_where(f->later, v_ne(again, v_set(0)), r, rows);
    } else {
        y = f->kernel.result(m);
    }
    v_store(lanes, y);
    scatter(f->out + r * f->out_step, f->out_step, lanes, rows);
}

/* The n elements of row r from element i on, as full vectors: in place, or in a copy. */
INLINE const real *part_of_row(const matrix *a, real *copy, intptr_t r, intptr_t i, intptr_t n, real neutral) {
    const char *p = a->x + r * a->outer + i * a->core;
    if (a->core == WIDTH && n % LANES == 0) return (const real *)(const void *)p;
    gather(copy, p, a->core, n);
    for (; n % LANES; n++) copy[n] = neutral;
    return copy;
}

/* A part of the row that all rows have in common, or its factors. */
INLINE const real *common_part(const moment_rows *f, real *copy, intptr_t i, intptr_t n) {
    const real *y = part_of_row(&f->y, copy, 0, i, n, f->multiplies ? -REAL_INFINITY : 0);
    if (!f->multiplies) return y;
    if (y != copy) memcpy(copy, y, (size_t)(n * WIDTH));
    make_factors(copy, filled_up(n) / LANES, f->y_max);
    return copy;
}

/* Joins the lanes of each of rows r to r+rows-1, rows <= LANES, and stores their results. */
static NOINLINE void store_joined_lanes(const moment_rows *f, const moments *m, intptr_t r, intptr_t rows) {
    real max[LANES];
    vec maxima[LANES], hi[LANES], lo[LANES], gaps_hi[LANES], gaps_lo[LANES];
    for (intptr_t k = 0; k < LANES; k++) {
        const moments *one = m + smaller(k, rows - 1);
        max[k] = first_lane(one->max), maxima[k] = one->maxima, hi[k] = one->sum.hi, lo[k] = one->sum.lo;
        gaps_hi[k] = one->gaps.hi, gaps_lo[k] = one->gaps.lo;
    }
    moments all = {v_load(max), sum_across(maxima), dw_sum_across(hi, lo), dw_sum_across(gaps_hi, gaps_lo)};
    store_moments(f, &all, r, rows);
}

/* Sums rows r to r+rows-1, rows <= MOMENTS_AT_ONCE, along which the lanes run; then those of each row are joined. */
static NOINLINE void moments_along(const moment_rows *f, intptr_t r, intptr_t rows) {
    real copies[2][STRIP];
    moments m[MOMENTS_AT_ONCE];
    int common = f->y.x && f->y.outer == 0;
    for (intptr_t k = 0; k < rows; k++) m[k] = no_moments();
    for (intptr_t i = 0; i < f->x.n; i += STRIP) {
        intptr_t n = smaller(f->x.n - i, STRIP);
        paired_vectors v = {.x_step = LANES, .y_step = LANES, .n = filled_up(n) / LANES};
        if (common) v.y = common_part(f, copies[1], i, n);
        for (intptr_t k = 0; k < rows; k++) {
            v.x = part_of_row(&f->x, copies[0], r + k, i, n, -REAL_INFINITY);
            if (f->y.x && !common) v.y = part_of_row(&f->y, copies[1], r + k, i, n, 0);
            f->kernel.add(m + k, v, 1);
        }
    }
    for (intptr_t first = 0; first < rows; first += LANES)
        store_joined_lanes(f, m + first, r + first, smaller(rows - first, LANES));
}

/* The vectors of rows r to r+rows-1 and elements k to k+n-1: where they are, or in a tile. */
INLINE const real *part_of_rows(const matrix *a, real *tile, intptr_t r, intptr_t rows, intptr_t k, intptr_t n,
                                intptr_t *step) {
    *step = LANES;
    if (rows == LANES && is_in_columns(a)) {
        *step = a->core / WIDTH;
        return (const real *)(const void *)(a->x + k * a->core) + r;
    }
    load_tile(tile, a, r, rows, k, n);
    return tile;
}

/* Sums rows one per lane. What all rows have in common is spread over the lanes. */
static NOINLINE void moments_in_lanes(const moment_rows *f, intptr_t first, intptr_t rows) {
    real x_tile[LANE_BLOCK * LANES], y_tile[LANE_BLOCK * LANES], copy[LANE_BLOCK + LANES];
    moments m[MOMENTS_AT_ONCE];
    int common = f->y.x && f->y.outer == 0;
    for (intptr_t r = 0; r < rows; r += LANES) m[r / LANES] = no_moments();
    for (intptr_t k = 0; k < f->x.n; k += LANE_BLOCK) {
        intptr_t n = smaller(f->x.n - k, LANE_BLOCK);
        if (common) {
            const real *y = common_part(f, copy, k, n);
            for (intptr_t i = 0; i < n; i++) v_store(y_tile + i * LANES, v_set(y[i]));
        }
        for (intptr_t r = 0; r < rows; r += LANES) {
            intptr_t some = smaller(rows - r, LANES);
            paired_vectors v = {.y = y_tile, .y_step = LANES, .n = n};
            v.x = part_of_rows(&f->x, x_tile, first + r, some, k, n, &v.x_step);
            if (f->y.x && !common) v.y = part_of_rows(&f->y, y_tile, first + r, some, k, n, &v.y_step);
            f->kernel.add(m + r / LANES, v, 0);
        }
    }
    for (intptr_t r = 0; r < rows; r += LANES) store_moments(f, m + r / LANES, first + r, smaller(rows - r, LANES));
}

static void reduce_moments(const moment_rows *f) {
    int along = choose_way(f->x) == ALONG;
    intptr_t most = along ? MOMENTS_AT_ONCE : MOMENTS_AT_ONCE * LANES;
    for (intptr_t r = 0; r < f->x.rows; r += most) {
        if (along) moments_along(f, r, smaller(f->x.rows - r, most));
        else moments_in_lanes(f, r, smaller(f->x.rows - r, most));
    }
}

/* Finds the largest element of the row that all rows have in common. */
static vec max_of_common(const matrix *y) {
    real block[STAGE];
    vec max = v_set(-REAL_INFINITY);
    for (intptr_t i = 0; i < y->n; i += STAGE) {
        intptr_t n = smaller(y->n - i, STAGE);
        gather(block, y->x + i * y->core, y->core, n);
        max = max_of_vectors(max, (vectors){.x = block, .step = LANES, .n = filled_up(n) / LANES});
    }
    return largest_lane(max);
}

#define FEWEST_FOR_FACTORS 4 /* rows; for fewer, factors take longer than pairs. Pieces of large calls have more */

INLINE unsigned loop_logdotexp(char **args, const intptr_t *dims, const intptr_t *steps) {
    int swapped = steps[0] == 0 && dims[0] > 1; /* the argument that varies decides the way */
    uint16_t list[MOST_WAITING];
    waiting_rows later = {.row = list};
    moment_rows f = {.kernel = of_pairs,
                     .x = matrix_of(args[swapped], dims, steps[swapped], steps[3 + swapped]),
                     .y = matrix_of(args[!swapped], dims, steps[!swapped], steps[3 + !swapped]),
                     .out = args[2],
                     .out_step = steps[2],
                     .later = &later};
    int may_multiply = f.y.outer == 0 && f.x.rows >= FEWEST_FOR_FACTORS;
    if (may_multiply) f.y_max = max_of_common(&f.y);
    may_multiply = may_multiply && all_finite(f.y_max);
    for (intptr_t left = f.x.rows; left > 0; left -= f.x.rows) {
        f.x.rows = f.y.rows = rows_of_panels(left);
        f.multiplies = may_multiply, f.kernel.add = may_multiply ? add_products_with : add_pairs;
        reduce_moments(&f);
        f.multiplies = 0, f.kernel.add = add_pairs;
        for (intptr_t k = 0; k < later.count; k++) moments_along(&f, later.row[k], 1);
        later.count = 0;
        f.x.x += f.x.rows * f.x.outer, f.y.x += f.x.rows * f.y.outer, f.out += f.x.rows * f.out_step;
    }
    return 0;
}

INLINE unsigned loop_categorical_entropy(char **args, const intptr_t *dims, const intptr_t *steps) {
    moment_rows f = {
        .kernel = of_gaps, .x = matrix_of(args[0], dims, steps[0], steps[2]), .out = args[1], .out_step = steps[1]};
    reduce_moments(&f);
    return 0;
}
