/* The exact way of a weighted sum: weights of any sign and size, infinities and nan.

   Passes      A row is read twice, block by block: the largest term and the infinities are found, then the terms are
               summed in units of the largest.

   With b = m 2^p, 1 <= |m| < 2, b e^x is m e^(x + p ln2): the weight's exponent joins that of e^x, so that no product
   overflows, and no logarithm of a weight is rounded. Terms count in units of 2^unit, the largest one's power of two.
   Their sum is a double word, in which terms of both signs may cancel down to 2^-100 of the largest.

   A weight of 0, like an element that is not included, drops the element even if that is infinite or nan.

   Everything is computed in double, floats as well: the sum of terms of both signs loses the digits that cancel. So a
   subnormal float is a normal number here, and `split_weight` is for subnormal doubles. NARROW (memory/strided.h) means
   that x, b and the results are floats. */

#pragma once

#include "loops/again.h"
#include "loops/near_one.h"

/* -log n in two words. n is in two words, too, as a float has no room for the length of a long row. */
static dw minus_log_of_count(intptr_t n) {
    real high = (real)n;
    dw log = m_log(v_set(high));
    vec rest = v_set(n ? (real)(n - (intptr_t)high) / high : 0);
    return (dw){v_neg(log.hi), v_neg(v_add(log.lo, rest))};
}

/* The arguments of the loop: dims[0] rows of elements x, of their weights b and of bytes that include them. */
typedef struct {
    matrix x, b, include;
    char *out, *sign; /* sign is NULL where no sign is wanted */
    intptr_t out_step, sign_step;
    int mean;                  /* sums are divided by the number of included elements */
    fl_loop *by_double;        /* the same loop for floats, at width 64 */
    int one_weight, one_count; /* all elements have the weight of the first, all rows the count of the first */
    enum number_type type;     /* of x and b */
    int of_floats;             /* they are floats, or copies of floats in double */
    real near_zero;            /* results below are computed once more */
    dw log_weight, log_count;  /* log|b| and -log(count) where they are the same for all rows */
    waiting_rows later;        /* rows that are computed once more, by the exact way */
} weighted_rows;

INLINE int includes(const weighted_rows *f, intptr_t r, intptr_t i) {
    return f->include.x[r * f->include.outer + i * f->include.core];
}

/* The number of included elements of a row. */
static intptr_t count_of(const weighted_rows *f, intptr_t r) {
    intptr_t count = 0;
    if (f->include.core == 0) return f->x.n > 0 && includes(f, r, 0) ? f->x.n : 0;
    for (intptr_t i = 0; i < f->x.n; i++) count += includes(f, r, i) != 0;
    return count;
}

#if FL_WIDTH == 64

/* e^x 2^n as a double word, for rounder = m_word_rounder(n). Its low word has some twenty bits: products with a short
   mantissa are exact, and so equal elements cancel exactly where their weights are short numbers that do. */
INLINE dw exp_of_few_bits(vec x, vec rounder) {
    exp_parts e = m_exp_parts(x, rounder, 0);
    vec word = v_fma(e.power, e.rest, e.power), low = v_fma(e.power, e.rest, v_sub(e.power, word));
    vec coarse = v_mul(word, v_set(REAL(0x1p-22)));
    return (dw){word, v_sub(v_add(low, coarse), coarse)};
}

/* These flags say whether a row has products b e^x that are inf, -inf or nan. */
typedef struct {
    int plus, minus, nan;
} infinities;

/* A block of elements x and of weights in two parts, m and p; m = 0 where an element has no finite term. */
typedef struct {
    double x[STAGE], m[STAGE], p[STAGE];
} weighted_block;

/* Splits a finite weight, which is not 0, into m and p. */
static void split_weight(double b, double *m, double *p) {
    int subnormal = __builtin_fabs(b) < REAL_MIN;
    uint64_t pattern;
    if (subnormal) b *= 0x1p60;
    memcpy(&pattern, &b, sizeof pattern);
    *p = (double)((int64_t)(pattern >> MANTISSA_BITS & 0x7ff) - EXPONENT_BIAS) - (subnormal ? 60 : 0);
    pattern = (pattern & ~EXPONENT_FIELD) | (pattern & SIGN_BIT) | POWER_OF_TWO(0);
    memcpy(m, &pattern, sizeof *m);
}

/* Splits element j, whatever it and its weight are. -inf adds nothing; other infinities and nan are noted in found. */
static void split_one(double x, double b, weighted_block *block, intptr_t j, infinities *found) {
    block->x[j] = block->m[j] = block->p[j] = 0;
    if (b == 0) return;
    int zero = x == -REAL_INFINITY, infinite = __builtin_isinf(b) || x == REAL_INFINITY;
    if (x != x || b != b || (zero && infinite)) found->nan = 1;
    else if (infinite && b > 0) found->plus = 1;
    else if (infinite) found->minus = 1;
    else if (!zero) split_weight(b, &block->m[j], &block->p[j]), block->x[j] = x;
}

/* Loads `count` elements from i on, and fills up the last vector with elements that do not count. */
static void load_weighted(weighted_block *block, const weighted_row *row, intptr_t i, intptr_t count,
                          infinities *found) {
    double x[STAGE], b[STAGE];
    fetch(row->type, x, row->x + i * row->x_step, row->x_step, count);
    fetch(row->type, b, row->b + i * row->b_step, row->b_step, count);
    const char *include = row->include + i * row->include_step;
    for (intptr_t j = 0; j < count; j++) b[j] = include[j * row->include_step] ? b[j] : 0;
    for (intptr_t j = count; j % LANES; j++) b[j] = 0;
    vec zero = v_set(0), infinity = v_set(REAL_INFINITY);
    for (intptr_t j = 0; j < count; j += LANES) {
        vec xs = v_load(x + j), bs = v_load(b + j), size = v_abs(bs);
        mask counts = v_ne(size, zero);
        mask usual = mask_and(mask_and(v_le(v_set(REAL_MIN), size), v_lt(size, infinity)), v_lt(xs, infinity));
        if (mask_any(v_ne(v_select(usual, zero, size), zero))) {
            for (intptr_t k = j; k < j + LANES; k++) split_one(x[k], b[k], block, k, found);
            continue;
        }
        counts = mask_and(counts, v_lt(v_set(-REAL_INFINITY), xs));
        ivec field = i_and(v_bits(size), i_set(EXPONENT_FIELD));
        vec p =
            v_sub(v_real(i_or(i_shr(field, MANTISSA_BITS), v_bits(v_set(ROUNDER)))), v_set(ROUNDER + EXPONENT_BIAS));
        vec m = v_real(i_or(i_sub(v_bits(bs), field), i_set(POWER_OF_TWO(0))));
        v_store(block->x + j, v_select(counts, xs, zero));
        v_store(block->m + j, v_select(counts, m, zero));
        v_store(block->p + j, v_select(counts, p, zero));
    }
}

/* The element with the largest e^x 2^p; its mantissa m, which is below 2, is ignored. found == 0: there is none. */
typedef struct {
    double x, p;
    int found;
} largest_term;

/* Differences are compared: of neighbouring large numbers they are exact, where the logarithms would be rounded. */
static int is_larger(double x, double p, largest_term than) {
    return !than.found || (x - than.x) * log2_e + (p - than.p) > 0;
}

static largest_term find_largest(const weighted_row *row, infinities *found) {
    vec none = v_set(-REAL_INFINITY), best_x = v_set(0), best_p = none;
    weighted_block block;
    for (intptr_t i = 0; i < row->n; i += STAGE) {
        intptr_t count = smaller(row->n - i, STAGE);
        load_weighted(&block, row, i, count, found);
        for (intptr_t j = 0; j < count; j += LANES) {
            vec x = v_load(block.x + j), p = v_load(block.p + j);
            vec gain = v_fma(v_sub(x, best_x), v_set(log2_e), v_sub(p, best_p));
            mask larger =
                mask_and(v_ne(v_load(block.m + j), v_set(0)), mask_or(v_eq(best_p, none), v_lt(v_set(0), gain)));
            best_x = v_select(larger, x, best_x), best_p = v_select(larger, p, best_p);
        }
    }
    real x[LANES], p[LANES];
    v_store(x, best_x), v_store(p, best_p);
    largest_term largest = {0, 0, 0};
    for (int k = 0; k < LANES; k++)
        if (p[k] > -REAL_INFINITY && is_larger(x[k], p[k], largest)) largest = (largest_term){x[k], p[k], 1};
    return largest;
}

/* Elements are reduced by base as in a window, unless that is 0. What is 2^1100 below the largest term is left out. */
static dw sum_weighted(const weighted_row *row, double base, double unit) {
    weighted_block block;
    infinities found;
    dw sum = {v_set(0), v_set(0)};
    for (intptr_t i = 0; i < row->n; i += STAGE) {
        intptr_t count = smaller(row->n - i, STAGE);
        dw of_block = {v_set(0), v_set(0)};
        load_weighted(&block, row, i, count, &found);
        for (intptr_t j = 0; j < count; j += LANES) {
            vec x = v_sub(v_load(block.x + j), v_set(base)), m = v_load(block.m + j), zero = v_set(0);
            vec p = v_sub(v_load(block.p + j), v_set(unit));
            mask counts = mask_and(v_lt(v_set(-1100), v_fma(x, v_set(log2_e), p)), v_ne(m, zero));
            x = v_select(counts, x, zero), p = v_select(counts, p, zero);
            dw e = exp_of_few_bits(x, m_word_rounder(v_add(p, v_set(TERM_LIFT))));
            dw product = dw_mul(v_select(counts, m, zero), e.hi);
            of_block = dw_join(of_block, (dw){product.hi, v_fma(v_select(counts, m, zero), e.lo, product.lo)});
        }
        sum = dw_add(sum, of_block);
    }
    return dw_sum_of_lanes(sum);
}

/* base + log(2^power sum) + shift for sum > 0. */
static double log_of_sum(dw sum, double base, double power, dw shift) {
    ivec field = m_log2_field(sum.hi, v_set(SQRT_HALF));
    vec mantissa = v_real(i_sub(v_bits(sum.hi), field));
    dw w = dw_two_sum(v_sub(mantissa, v_set(1)), v_mul(sum.lo, m_inverse_power(field)));
    dw log = m_log_near_1(v_add(m_field_value(field), v_set(power)), w);
    return first_lane(sum_of_logs(v_set(base), log, shift));
}

/* y = log|s| + shift, and the sign of s. */
static void sum_exactly(const weighted_row *row, dw shift, double *y, double *sign) {
    infinities found = {0, 0, 0};
    largest_term largest = find_largest(row, &found);
    *y = -REAL_INFINITY, *sign = 0;
    if (found.nan || (found.plus && found.minus)) {
        *y = *sign = REAL_NAN;
    } else if (found.plus || found.minus) {
        *y = REAL_INFINITY, *sign = found.plus ? 1 : -1;
    } else if (largest.found) {
        double base = __builtin_fabs(largest.x) < DIRECT ? 0 : largest.x;
        double unit = (double)(int64_t)((largest.x - base) * log2_e + largest.p);
        dw sum = sum_weighted(row, base, unit);
        sum = dw_two_sum(sum.hi, sum.lo); /* the low word is the larger one where the high words cancel */
        double s = first_lane(sum.hi);
        *sign = (s > 0) - (s < 0);
        if (s < 0) sum = (dw){v_neg(sum.hi), v_neg(sum.lo)};
        if (s != 0) *y = log_of_sum(sum, base, unit - TERM_LIFT, shift);
    }
}

/* Whether log_near_one may sum row r: numbers are finite, and no exponential overflows. */
static int may_be_near_one(const weighted_rows *f, enum number_type type, intptr_t r) {
    for (intptr_t i = 0; i < f->x.n; i++) {
        double b = number_at(type, f->b.x + r * f->b.outer + i * f->b.core);
        double x = number_at(type, f->x.x + r * f->x.outer + i * f->x.core);
        if (includes(f, r, i) && b != 0 && !(x < 600 && __builtin_fabs(b) < 1e30)) return 0;
    }
    return 1;
}

/* Computes row r of numbers of a type. A former result near 0 says that its sum is near its count. */
static NOINLINE void weighted_row_exactly(const weighted_rows *f, enum number_type type, intptr_t r) {
    weighted_row row = {.x = f->x.x + r * f->x.outer,
                        .b = f->b.x + r * f->b.outer,
                        .include = f->include.x + r * f->include.outer,
                        .n = f->x.n,
                        .x_step = f->x.core,
                        .b_step = f->b.core,
                        .include_step = f->include.core,
                        .type = type};
    intptr_t count = f->mean ? count_of(f, r) : 1;
    double y = REAL_NAN, sign = REAL_NAN;
    double former = row.n ? number_at(type, f->out + r * f->out_step) : REAL_INFINITY;
    if (count && __builtin_fabs(former) < f->near_zero && may_be_near_one(f, type, r))
        y = log_near_one(&row, count), sign = 1;
    if (count && !(__builtin_fabs(y) < 0.25))
        sum_exactly(&row, f->mean ? minus_log_of_count(count) : (dw){v_set(0), v_set(0)}, &y, &sign);
    deliver(type, f->out + r * f->out_step, f->out_step, &y, 1);
    if (f->sign) deliver(type, f->sign + r * f->sign_step, f->sign_step, &sign, 1);
}

#else

#define FEW_FLOATS 16 /* elements of a row that is copied, to be computed together with others */

/* Rows of floats from row r on are computed by the loop of width 64. */
static NOINLINE void floats_exactly(const weighted_rows *f, intptr_t r, intptr_t rows) {
    char *args[] = {(char *)f->x.x + r * f->x.outer, (char *)f->b.x + r * f->b.outer,
                    (char *)f->include.x + r * f->include.outer, f->out + r * f->out_step,
                    f->sign ? f->sign + r * f->sign_step : NULL};
    intptr_t steps[] = {f->x.outer,   f->b.outer, f->include.outer, f->out_step,
                        f->sign_step, f->x.core,  f->b.core,        f->include.core};
    f->by_double(args, (intptr_t[]){rows, f->x.n}, steps, NULL);
}
static void weighted_row_exactly(const weighted_rows *f, enum number_type type, intptr_t r) {
    (void)type;
    floats_exactly(f, r, 1);
}

#define ROWS_OF_FEW 32

/* Computes some of the short rows that wait, in copies. */
static NOINLINE void few_rows_exactly(const weighted_rows *f, const uint16_t *row, intptr_t rows) {
    float x[ROWS_OF_FEW * FEW_FLOATS], b[ROWS_OF_FEW * FEW_FLOATS], y[ROWS_OF_FEW], sign[ROWS_OF_FEW];
    char include[ROWS_OF_FEW * FEW_FLOATS];
    intptr_t n = f->x.n, some = f->b.core ? n : 1, bytes = f->include.core ? n : 1;
    for (intptr_t k = 0; k < rows; k++) {
        intptr_t r = row[k];
        for (intptr_t i = 0; i < n; i++) x[k * n + i] = *(const float *)(f->x.x + r * f->x.outer + i * f->x.core);
        for (intptr_t i = 0; i < some; i++) b[k * n + i] = *(const float *)(f->b.x + r * f->b.outer + i * f->b.core);
        for (intptr_t i = 0; i < bytes; i++) include[k * n + i] = (char)includes(f, r, i);
    }
    char *args[] = {(char *)x, (char *)b, include, (char *)y, (char *)sign};
    intptr_t outer = n * WIDTH, dims[] = {rows, n};
    intptr_t steps[] = {outer, outer, n, WIDTH, WIDTH, WIDTH, f->b.core ? WIDTH : 0, f->include.core ? 1 : 0};
    f->by_double(args, dims, steps, NULL);
    for (intptr_t k = 0; k < rows; k++) {
        memcpy(f->out + row[k] * f->out_step, y + k, sizeof *y);
        if (f->sign) memcpy(f->sign + row[k] * f->sign_step, sign + k, sizeof *sign);
    }
}

#endif

/* Computes the rows that wait; neighbours among them together, and short rows in copies if they are none. */
static void compute_later(weighted_rows *f) {
    const uint16_t *row = f->later.row;
    intptr_t count = f->later.count;
#if FL_WIDTH == 32
    for (intptr_t k = 0, next; k < count; k = next) {
        for (next = k + 1; next < count && row[next] == row[next - 1] + 1;) next++;
        if (f->x.n > FEW_FLOATS || next - k >= ROWS_OF_FEW) {
            floats_exactly(f, row[k], next - k);
        } else {
            next = k + smaller(count - k, ROWS_OF_FEW);
            few_rows_exactly(f, row + k, next - k);
        }
    }
#else
    for (intptr_t k = 0; k < count; k++) weighted_row_exactly(f, f->type, row[k]);
#endif
    f->later.count = 0;
}
