/* Sums of products b e^x for weights that vary along a row and are neither negative nor of extreme size.

   As in sums/, the elements of a row count in the window of their maximum, which is that of the elements whose weight
   is not 0. No element is left out of the sum: the largest element need not have the largest product. Rows lie over the
   lanes as sums/README.md says: ALONG, TILES or COLUMNS.

   A term b e^x = (b power)(1 + rest) is never rounded by itself, as that would show where it dominates: the products
   b power are exact where a power is one of two, or have their errors summed with the rests.

   Terms at the floor of the window stand for smaller ones. With weights from WEIGHT_MIN to WEIGHT_MAX, no product
   overflows, and none that counts is subnormal. What the floor adds is at most n times the largest weight times the
   least term. A sum for which that is not far below its last bit is not trusted: the exact way computes that row.

   Weights of both signs are for doubles alone: a row of floats with a negative weight is computed in double. Where all
   are doubles, terms are summed as the exact way does, in two words. Where they are floats, one word is enough, unless
   the sum is below 2^-20 of the sum of all sizes. */

#pragma once

#include "loops/weighted_exact.h"

/* Elements that are copied at a time, where copies are needed; a strip can hold them all. */
#define WEIGHTED_BLOCK (16384 / WIDTH < LONGEST_STRIP ? 16384 / WIDTH : LONGEST_STRIP)

#if FL_WIDTH == 32
#define PRODUCT_LIFT 60
#define PRODUCT_FLOOR REAL(-91.0) /* e^-91 < 2^-131 */
#define WEIGHT_MIN REAL(0x1p-100)
#define WEIGHT_MAX REAL(0x1p30)
#define LEAST_TRUSTED REAL(0x1p-38) /* 2^(PRODUCT_LIFT - 131) times 2^33 */
#else
#define PRODUCT_LIFT TERM_LIFT
#define PRODUCT_FLOOR FLOOR /* e^FLOOR < 2^-1113 */
#define WEIGHT_MIN 0x1p-600
#define WEIGHT_MAX 0x1p200
#define LEAST_TRUSTED 0x1p-650 /* 2^(PRODUCT_LIFT - 1113) times 2^63 */
#endif

#define SUMS_AT_ONCE 16 /* vectors of rows whose sums are kept before results are computed */

/* ---- copies ---- */

/* Copies elements i to i+n-1 of row r of x or b; `neutral` stands for those that are not included. */
INLINE void copy_included(const weighted_rows *f, const matrix *a, real *to, intptr_t r, intptr_t i, intptr_t n,
                          real neutral) {
    const char *from = a->x + r * a->outer + i * a->core;
    const char *include = f->include.x + r * f->include.outer + i * f->include.core;
    if (a->core == WIDTH && f->include.core == 1) {
        const real *x = (const real *)from;
        intptr_t k = 0;
        for (; k < whole_vectors(n); k += LANES)
            v_store(to + k, v_select(mask_load(include + k), v_load(x + k), v_set(neutral)));
        for (; k < n; k++) to[k] = include[k] ? x[k] : neutral;
        return;
    }
    for (intptr_t k = 0; k < n; k++)
        to[k] = include[k * f->include.core] ? *(const real *)(from + k * a->core) : neutral;
}

/* copy_included, which fills up the last vector, too. */
INLINE void copy_part(const weighted_rows *f, const matrix *a, real *to, intptr_t r, intptr_t i, intptr_t n,
                      real neutral) {
    if (f->include.core == 0 || f->type == NARROW) fetch(f->type, to, a->x + r * a->outer + i * a->core, a->core, n);
    else copy_included(f, a, to, r, i, n, neutral);
    if (f->include.core != 0 && f->type == NARROW)
        for (intptr_t k = 0; k < n; k++) to[k] = includes(f, r, i + k) ? to[k] : neutral;
    for (; n % LANES; n++) to[n] = neutral;
}

/* A number of x or b. */
INLINE real number_of(const weighted_rows *f, const char *p) {
    if (f->type == OWN) return *(const real *)(const void *)p;
    return (real) * (const float *)(const void *)p;
}

/* A tile of floats that are neighbours. */
INLINE void tile_of_floats(const matrix *a, real *tile, intptr_t r, intptr_t k, intptr_t n) {
    for (intptr_t i = 0; i < n; i++) {
        const float *x = (const float *)(a->x + (k + i) * a->core) + r;
        for (intptr_t lane = 0; lane < LANES; lane++) tile[i * LANES + lane] = x[lane];
    }
}

/* Loads a tile (sums/tiles.h) of x or b, in which `neutral` stands for what is not included. */
static void tile_included(const weighted_rows *f, const matrix *a, real *tile, intptr_t r, intptr_t rows, intptr_t k,
                          intptr_t n, real neutral) {
    const matrix *include = &f->include;
    int own = f->type == OWN;
    if (own && include->core == 0) { /* all are included, or the row is computed exactly */
        load_tile(tile, a, r, rows, k, n);
        return;
    }
    if (!own && rows == LANES && a->outer == sizeof(float) && include->core == 0) {
        tile_of_floats(a, tile, r, k, n);
        return;
    }
    if (own && rows == LANES && a->outer == WIDTH && include->outer == 0) {
        for (intptr_t i = 0; i < n; i++) {
            const real *x = (const real *)(a->x + (k + i) * a->core) + r;
            v_store(tile + i * LANES, include->x[(k + i) * include->core] ? v_load(x) : v_set(neutral));
        }
        return;
    }
    if (own && rows == LANES && a->outer == WIDTH && include->outer == 1) {
        for (intptr_t i = 0; i < n; i++) {
            const real *x = (const real *)(a->x + (k + i) * a->core) + r;
            mask included = mask_load(include->x + (k + i) * include->core + r);
            v_store(tile + i * LANES, v_select(included, v_load(x), v_set(neutral)));
        }
        return;
    }
    real rows_of_tile[LANE_BLOCK * LANES];
    for (intptr_t lane = 0; lane < rows; lane++)
        copy_part(f, a, rows_of_tile + lane * LANE_BLOCK, r + lane, k, n, neutral);
    matrix copy = {.x = (const char *)rows_of_tile, .rows = rows, .n = n, .outer = LANE_BLOCK * WIDTH, .core = WIDTH};
    load_tile(tile, &copy, 0, rows, 0, n);
}

/* ---- results ---- */

/* -log(count) of rows r to r+rows-1; nan where a row has no included element. */
static dw log_counts_of_rows(const weighted_rows *f, intptr_t r, intptr_t rows) {
    real hi[LANES], lo[LANES];
    for (intptr_t lane = 0; lane < LANES; lane++) {
        intptr_t count = lane < rows ? count_of(f, r + lane) : 1;
        hi[lane] = count ? (real)count : REAL_NAN;
        lo[lane] = count ? (real)(count - (intptr_t)hi[lane]) / hi[lane] : 0;
    }
    dw log = m_log(v_load(hi));
    return (dw){v_neg(log.hi), v_neg(v_add(log.lo, v_load(lo)))};
}

/* True where rows r to r+rows-1 are left out by an `include` that does not vary along them. */
INLINE mask are_left_out(const weighted_rows *f, intptr_t r, intptr_t rows) {
    real out[LANES] = {0};
    if (f->include.core == 0 && f->x.n > 0)
        for (intptr_t lane = 0; lane < rows; lane++) out[lane] = !includes(f, r + lane, 0);
    return v_ne(v_load(out), v_set(0));
}

/* Stores results, whose signs are those of b. Rows where `again` is true are computed once more, later. */
static NOINLINE void store_sums(weighted_rows *f, vec y, vec b, mask again, intptr_t r, intptr_t rows) {
    real values[LANES], signs[LANES];
    vec sign = v_select(v_lt(b, v_set(0)), v_set(-1), v_set(1));
    sign = v_select(v_eq(y, v_set(-REAL_INFINITY)), v_set(0), v_select(v_eq(y, y), sign, y));
    v_store(values, y);
    v_store(signs, sign);
    deliver(f->type, f->out + r * f->out_step, f->out_step, values, rows);
    if (f->sign) deliver(f->type, f->sign + r * f->sign_step, f->sign_step, signs, rows);
    if (mask_any(again)) wait_where(&f->later, again, r, rows);
}

/* ---- sums of products ---- */

/* Vectors of elements, and of their weights. */
typedef struct {
    const real *x, *b;
    intptr_t x_step, b_step; /* elements from a vector to the next */
    intptr_t n;              /* the number of vectors */
} weighted_vectors;

/* What is known of rows so far, one row per lane, or parts of one row in all lanes. */
typedef struct {
    tally sum;     /* no element is left out of it */
    vec most;      /* the largest size of a weight */
    vec size;      /* the sum of the sizes of terms, if they are rough and of both signs, and at least that */
    mask negative; /* some weight is negative */
    mask odd;      /* some weight is so small that products could be subnormal, or, of floats, negative */
} weighted_tally;

INLINE weighted_tally no_products(void) {
    vec zero = v_set(0);
    mask none = v_ne(zero, zero);
    return (weighted_tally){tally_empty(), zero, zero, none, none};
}

/* a + b for a, b >= 0; what is rounded off joins `lost`. */
INLINE vec add_exactly(vec a, vec b, vec *lost) {
    vec large = v_max(a, b), small = v_min(a, b), sum = v_add(large, small);
    *lost = v_add(*lost, v_sub(small, v_sub(sum, large)));
    return sum;
}

/* Adds GROUP vectors of terms. Products b power are summed exactly; what is rounded in the sum of the rests is less by
   their size. */
INLINE void add_product_group(term_sum *t, weighted_vectors v, window w, int far) {
    vec sum[GROUP / 2], rests[2] = {v_set(0), v_set(0)};
#pragma GCC unroll 4
    for (intptr_t i = 0; i < GROUP; i += 2) {
        vec product[2];
#pragma GCC unroll 2
        for (intptr_t k = 0; k < 2; k++) {
            vec b = v_load(v.b + (i + k) * v.b_step);
            exp_parts e = m_exp_parts(window_argument(v_load(v.x + (i + k) * v.x_step), w, far), w.rounder, 0);
            product[k] = v_mul(e.power, b);
            if (EXP_RESTS_ARE_SMALL) rests[k] = v_add(rests[k], v_mul_error(e.power, b, product[k]));
            rests[k] = v_fma(product[k], e.rest, rests[k]);
        }
        sum[i / 2] = add_exactly(product[0], product[1], rests);
    }
    vec first = add_exactly(sum[0], sum[1], rests), second = add_exactly(sum[2], sum[3], rests + 1);
    *t = join_terms(*t, add_exactly(first, second, rests));
    vec rest = v_add(rests[0], rests[1]);
    if (EXP_RESTS_ARE_SMALL) t->sum.lo = v_add(t->sum.lo, rest);
    else *t = join_terms(*t, rest);
}

/* The terms of one vector, in two words each. */
INLINE void add_product_vector(term_sum *t, weighted_vectors v, window w, int far) {
    vec b = v_load(v.b);
    exp_parts e = m_exp_parts(window_argument(v_load(v.x), w, far), w.rounder, 0);
    vec product = v_mul(e.power, b), term = v_fma(product, e.rest, product);
    vec low = v_fma(product, e.rest, v_sub(product, term));
    if (EXP_RESTS_ARE_SMALL) low = v_add(low, v_mul_error(e.power, b, product));
    t->sum = dw_join(t->sum, (dw){term, low});
}

INLINE term_sum products_in_window(weighted_vectors v, window w, int few, int far) {
    term_sum t = no_terms();
    for (; !few && v.n >= GROUP; v.n -= GROUP, v.x += GROUP * v.x_step, v.b += GROUP * v.b_step)
        add_product_group(&t, v, w, far);
    for (; v.n > 0; v.n--, v.x += v.x_step, v.b += v.b_step) add_product_vector(&t, v, w, far);
    return t;
}

#if FL_WIDTH == 64
#define SIGNS 1
/* Terms of both signs, in two words. */
INLINE term_sum signed_products(weighted_vectors v, window w) {
    term_sum t = no_terms();
    for (; v.n > 0; v.n--, v.x += v.x_step, v.b += v.b_step) {
        vec b = v_load(v.b);
        dw e = exp_of_few_bits(window_argument(v_load(v.x), w, 1), w.rounder), product = dw_mul(b, e.hi);
        t.sum = dw_join(t.sum, (dw){product.hi, v_fma(b, e.lo, product.lo)});
    }
    return t;
}

/* Terms of both signs, in one word; the sum of their sizes is added to t->size. */
INLINE term_sum rough_signed_products(weighted_vectors v, window w, weighted_tally *t, int far) {
    vec sum[2] = {v_set(0), v_set(0)}, sizes = v_set(0), zero = v_set(0);
    for (; v.n > 0; v.n -= 2, v.x += 2 * v.x_step, v.b += 2 * v.b_step) {
        vec term[2] = {zero, zero};
#pragma GCC unroll 2
        for (intptr_t k = 0; k < 2; k++) {
            if (k == v.n) break;
            exp_parts e = m_exp_parts(window_argument(v_load(v.x + k * v.x_step), w, far), w.rounder, 0);
            vec product = v_mul(e.power, v_load(v.b + k * v.b_step));
            term[k] = v_fma(product, e.rest, product);
            sum[k] = v_add(sum[k], term[k]);
        }
        sizes = v_add(sizes, v_add(v_abs(term[0]), v_abs(term[1])));
    }
    t->size = v_select(t->negative, v_add(t->size, sizes), t->size);
    return (term_sum){dw_two_sum(sum[0], sum[1]), v_set(0)};
}
#else
#define SIGNS 0
#endif

/* Finds weights that are negative, and the largest size. Returns whether no weight is 0, or too small. */
INLINE int has_all_weights(weighted_tally *t, weighted_vectors v) {
    vec least = v_set(REAL_INFINITY), lowest = least;
    for (intptr_t i = 0; i < v.n; i++) {
        vec b = v_load(v.b + i * v.b_step), size = v_abs(b);
        least = v_min(size, least), lowest = v_min(b, lowest), t->most = v_max(size, t->most);
    }
    t->negative = mask_or(t->negative, v_lt(lowest, v_set(0)));
    return !mask_any(v_lt(least, v_set(WEIGHT_MIN)));
}

/* Replaces elements without a weight by -inf, in a copy, and looks for weights that are too small, or must not be
   negative. */
static weighted_vectors without_dropped(weighted_tally *t, weighted_vectors v, real *copy) {
    vec least = v_set(WEIGHT_MIN), zero = v_set(0);
    for (intptr_t i = 0; i < v.n; i++) {
        vec b = v_load(v.b + i * v.b_step), size = SIGNS ? v_abs(b) : b;
        mask counts = v_le(least, size);
        v_store(copy + i * LANES, v_select(counts, v_load(v.x + i * v.x_step), v_set(-REAL_INFINITY)));
        t->odd = mask_or(t->odd, v_ne(v_select(counts, zero, b), zero));
    }
    v.x = copy, v.x_step = LANES;
    return v;
}

INLINE vec max_of_elements(vec max, weighted_vectors v) {
    return max_of_vectors(max, (vectors){.x = v.x, .step = v.x_step, .n = v.n});
}

/* How products are summed. */
typedef struct {
    int usual; /* all weights are known to be from WEIGHT_MIN to WEIGHT_MAX */
    int along; /* lanes are parts of one row, and have one maximum */
    int few;   /* a sum of few terms shows each rounding, and gets its terms one by one */
    int rough; /* terms of both signs need not be in two words */
} products;

INLINE int is_true_everywhere(mask m) { return !mask_any(v_eq(v_select(m, v_set(1), v_set(0)), v_set(0))); }

/* Adds at most STRIP / LANES vectors. `copy` is room for the elements. */
static NOINLINE void add_products(weighted_tally *t, weighted_vectors v, products how, real *copy) {
    vec zero = v_set(0), max = t->sum.max, least = v_set(REAL_INFINITY), most = t->most;
    if (is_true_everywhere(t->odd)) return; /* all rows are computed in another way */
    if (how.usual) {
        max = max_of_elements(max, v);
    } else {
        vec other = max, other_least = least, other_most = most;
        intptr_t i = 0;
        for (; i < v.n - 1; i += 2) {
            vec b = v_load(v.b + i * v.b_step), c = v_load(v.b + (i + 1) * v.b_step);
            max = v_max(v_load(v.x + i * v.x_step), max), other = v_max(v_load(v.x + (i + 1) * v.x_step), other);
            least = v_min(b, least), other_least = v_min(c, other_least);
            most = v_max(b, most), other_most = v_max(c, other_most);
        }
        if (i < v.n) {
            vec b = v_load(v.b + i * v.b_step);
            max = v_max(v_load(v.x + i * v.x_step), max), least = v_min(b, least), most = v_max(b, most);
        }
        max = v_max(other, max), least = v_min(other_least, least), t->most = v_max(other_most, most);
        if (mask_any(v_lt(least, v_set(WEIGHT_MIN))) && !(SIGNS && has_all_weights(t, v))) {
            v = without_dropped(t, v, copy);
            if (is_true_everywhere(t->odd)) return;
            max = max_of_elements(t->sum.max, v);
        }
    }
    if (how.along) {
        max = largest_lane(max);
        if (mask_any(t->negative)) t->negative = v_eq(zero, zero);
    }
    if (mask_any(v_lt(t->sum.max, max))) {
        if (mask_any(v_lt(v_set(-REAL_INFINITY), t->sum.max))) tally_raise(&t->sum, max, FLOOR);
        else t->sum.max = max, t->sum.terms = no_terms();
    }
    window w = make_window(max, PRODUCT_FLOOR);
    w.rounder = m_word_rounder(v_sub(v_set(PRODUCT_LIFT), w.n));
    term_sum terms = no_terms();
    int signs = SIGNS && mask_any(t->negative), all = signs && is_true_everywhere(t->negative);
    if (!all) terms = window_is_far(w) ? products_in_window(v, w, how.few, 1) : products_in_window(v, w, how.few, 0);
#if SIGNS
    if (signs) { /* how a row is summed must not depend on its neighbours */
        term_sum of_signs = !how.rough         ? signed_products(v, w)
                            : window_is_far(w) ? rough_signed_products(v, w, t, 1)
                                               : rough_signed_products(v, w, t, 0);
        terms.sum.hi = v_select(t->negative, of_signs.sum.hi, terms.sum.hi);
        terms.sum.lo = v_select(t->negative, of_signs.sum.lo, terms.sum.lo);
    }
#endif
    t->sum.terms.sum = dw_add(t->sum.terms.sum, terms.sum);
}

/* What is known of rows at the end, one row per lane. */
typedef struct {
    dw sum;
    vec max, most, size;
    mask odd, negative;
} sums_of_products;

/* Stores the results of sums. A sum is trusted if the terms at the floor do not show in it, and rough terms have not
   cancelled; nan and infinities are not. Terms in two words may have cancelled altogether. */
static void store_products(weighted_rows *f, sums_of_products p, intptr_t r, intptr_t rows) {
    if (is_true_everywhere(p.odd)) {
        wait_where(&f->later, p.odd, r, rows);
        return;
    }
    vec zero = v_set(0), infinity = v_set(REAL_INFINITY), none = v_neg(infinity);
    window w = make_window(p.max, PRODUCT_FLOOR);
    dw sum = dw_two_sum(p.sum.hi, p.sum.lo); /* the low word is the larger one where the high words cancel */
    vec sign = v_select(v_lt(sum.hi, zero), v_set(-1), v_set(1)), size = v_abs(sum.hi);
    vec needed = v_max(v_mul(p.most, v_set(LEAST_TRUSTED)), v_mul(p.size, v_set(REAL(0x1p-20))));
    mask usual = mask_and(v_lt(p.max, infinity), v_le(p.most, v_set(WEIGHT_MAX)));
    mask trusted = mask_and(usual, mask_and(v_le(needed, size), v_lt(size, infinity)));
    size = v_select(trusted, size, v_set(1));
    ivec field = m_log2_field(size, v_set(SQRT_HALF));
    vec mantissa = v_real(i_sub(v_bits(size), field)), low = v_select(trusted, v_mul(sign, sum.lo), zero);
    dw m = dw_two_sum(v_sub(mantissa, v_set(1)), v_mul(low, m_inverse_power(field)));
    dw log = m_log_near_1(v_add(m_field_value(field), v_sub(w.n, v_set(PRODUCT_LIFT))), m);
    dw log_count = {zero, zero};
    if (f->mean) log_count = f->one_count ? f->log_count : log_counts_of_rows(f, r, rows);
    vec y = sum_of_logs(w.base, log, log_count);
    mask nothing = mask_and(usual, mask_and(v_eq(p.max, none), v_lt(v_abs(sum.hi), infinity)));
    vec cancelled = v_select(p.negative, v_select(v_eq(sum.hi, zero), v_set(1), zero), zero);
    cancelled = v_select(v_eq(p.size, zero), cancelled, zero);
    nothing = mask_or(nothing, mask_and(usual, v_ne(cancelled, zero)));
    y = v_select(nothing, none, y);
    vec again = v_select(mask_or(trusted, nothing), zero, v_set(1));
    again = v_select(mask_or(p.odd, v_lt(v_abs(y), v_set(f->near_zero))), v_set(1), again);
    again = v_select(v_eq(log_count.hi, log_count.hi), again, v_set(1)); /* nan: no element is included */
    store_sums(f, y, sign, mask_or(v_ne(again, zero), are_left_out(f, r, rows)), r, rows);
}

/* ---- the ways of rows ---- */

/* Sums rows r to r+rows-1, which are long, one after the other. */
static NOINLINE void products_along(weighted_rows *f, intptr_t r, intptr_t rows) {
    real copies[2][STRIP], max[LANES], most[LANES], flags[LANES], size[LANES];
    vec hi[LANES], lo[LANES];
    int varies = f->include.core != 0, copies_x = varies || f->x.core != WIDTH || f->type == NARROW;
    int copies_b = varies || f->b.core != WIDTH || f->type == NARROW;
    for (intptr_t k = 0; k < LANES; k++) {
        if (k >= rows) {
            hi[k] = hi[0], lo[k] = lo[0], max[k] = max[0], most[k] = most[0], flags[k] = flags[0], size[k] = size[0];
            continue;
        }
        weighted_tally t = no_products();
        for (intptr_t i = 0; i < f->x.n && !mask_any(t.odd); i += STRIP) {
            intptr_t n = smaller(f->x.n - i, STRIP), full = filled_up(n);
            weighted_vectors v = {.x = copies[0], .b = copies[1], .x_step = LANES, .b_step = LANES, .n = full / LANES};
            if (copies_x || n < full) copy_part(f, &f->x, copies[0], r + k, i, n, -REAL_INFINITY);
            else v.x = (const real *)(f->x.x + (r + k) * f->x.outer) + i;
            if (copies_b || n < full) copy_part(f, &f->b, copies[1], r + k, i, n, 1);
            else v.b = (const real *)(f->b.x + (r + k) * f->b.outer) + i;
            products how = {.along = 1, .few = n < LONG_ROW * 2, .rough = f->of_floats};
            add_products(&t, v, how, copies[0]);
        }
        hi[k] = t.sum.terms.sum.hi, lo[k] = t.sum.terms.sum.lo;
        max[k] = first_lane(t.sum.max), most[k] = first_lane(largest_lane(t.most));
        size[k] = first_lane(sum_of_lanes(t.size));
        flags[k] = mask_any(t.odd) ? 2 : mask_any(t.negative);
    }
    vec flag = v_load(flags);
    sums_of_products p = {dw_sum_across(hi, lo), v_load(max),          v_load(most),
                          v_load(size),          v_eq(flag, v_set(2)), v_eq(flag, v_set(1))};
    store_products(f, p, r, rows);
}

/* Whether a matrix's vectors of LANES rows are read where they are. */
INLINE int needs_no_tile(const weighted_rows *f, const matrix *a) {
    return f->type == OWN && f->include.core == 0 && is_in_columns(a);
}

/* Loads elements k to k+n-1 of b, which all rows have in common, into every lane. */
static void spread_weights(const weighted_rows *f, real *tile, intptr_t k, intptr_t n) {
    for (intptr_t i = 0; i < n; i++) v_store(tile + i * LANES, v_set(number_of(f, f->b.x + (k + i) * f->b.core)));
}

/* Whether b is the same for all rows, and usual. Then `most` is its largest element. */
static int one_usual_row(const weighted_rows *f, real *most) {
    *most = 0;
    if (f->b.outer != 0 || f->include.core != 0) return 0;
    for (intptr_t i = 0; i < f->b.n; i++) {
        real b = number_of(f, f->b.x + i * f->b.core);
        if (!(b >= WEIGHT_MIN)) return 0;
        if (b > *most) *most = b;
    }
    return 1;
}

/* Sums rows one per lane. */
static NOINLINE void products_in_lanes(weighted_rows *f, enum way way) {
    real x_tile[LANE_BLOCK * LANES], b_tile[LANE_BLOCK * LANES], most;
    intptr_t at_once = (way == COLUMNS ? SUMS_AT_ONCE : TILES_AT_ONCE) * LANES;
    products how = {.usual = one_usual_row(f, &most), .few = f->x.n <= 2 * LANE_BLOCK, .rough = f->of_floats};
    int shared = f->b.outer == 0 && f->include.core == 0;
    for (intptr_t first = 0; first < f->x.rows; first += at_once) {
        weighted_tally t[SUMS_AT_ONCE];
        intptr_t rows = smaller(f->x.rows - first, at_once);
        for (intptr_t k = 0; k < f->x.n; k += LANE_BLOCK) {
            intptr_t n = smaller(f->x.n - k, LANE_BLOCK);
            if (shared) spread_weights(f, b_tile, k, n);
            for (intptr_t r = 0; r < rows; r += LANES) {
                intptr_t some = smaller(rows - r, LANES);
                weighted_vectors v = {.x = x_tile, .b = b_tile, .x_step = LANES, .b_step = LANES, .n = n};
                if (some == LANES && needs_no_tile(f, &f->x)) {
                    v.x = (const real *)(f->x.x + k * f->x.core) + first + r, v.x_step = f->x.core / WIDTH;
                } else {
                    tile_included(f, &f->x, x_tile, first + r, some, k, n, -REAL_INFINITY);
                }
                if (!shared && some == LANES && needs_no_tile(f, &f->b)) {
                    v.b = (const real *)(f->b.x + k * f->b.core) + first + r, v.b_step = f->b.core / WIDTH;
                } else if (!shared) {
                    tile_included(f, &f->b, b_tile, first + r, some, k, n, 1);
                }
                if (k == 0) t[r / LANES] = no_products();
                add_products(t + r / LANES, v, how, x_tile);
            }
        }
        for (intptr_t r = 0; r < rows; r += LANES) {
            const weighted_tally *of = t + r / LANES;
            sums_of_products p = {of->sum.terms.sum, of->sum.max, how.usual ? v_set(most) : of->most,
                                  of->size,          of->odd,     of->negative};
            store_products(f, p, first + r, smaller(rows - r, LANES));
        }
    }
}

static void reduce_products(weighted_rows *f) {
    enum way way = choose_way(f->x);
    if (f->type == NARROW) { /* how many rows of floats need double must not show in their results */
        const intptr_t size = sizeof(float);
        way = f->x.core == size && f->x.n >= LONG_ROW ? ALONG : f->x.outer == size ? COLUMNS : TILES;
    }
    if (way != ALONG) {
        products_in_lanes(f, way);
        return;
    }
    for (intptr_t r = 0; r < f->x.rows; r += LANES) products_along(f, r, smaller(f->x.rows - r, LANES));
}

/* Calls `reduce` for panels of rows, and computes the rows that wait, when its frames are left. */
static void reduce_panels(weighted_rows f, void (*reduce)(weighted_rows *)) {
    uint16_t later[MOST_WAITING];
    f.later = (waiting_rows){later, 0};
    for (intptr_t left = f.x.rows; left > 0; left -= f.x.rows) {
        f.x.rows = f.b.rows = rows_of_panels(left);
        reduce(&f);
        compute_later(&f);
        f.x.x += f.x.rows * f.x.outer, f.b.x += f.x.rows * f.b.outer, f.include.x += f.x.rows * f.include.outer;
        f.out += f.x.rows * f.out_step;
        if (f.sign) f.sign += f.x.rows * f.sign_step;
    }
}
