/* (n),(n),(s)->(s),(s),(s,2): logsumexp of the elements that have the same index, in any order: sums in buckets.
   (n),(n),(s,2)->(n): softmax and log_softmax of each element in its bucket.

   Arguments   args[0] has dims[0] rows of dims[1] elements, and args[1] the index of type int64 of each element, from 0
               to dims[2]-1; the caller has checked it. For each row and bucket, args[2] of the sum is a number whose
               exponential counts as one more element (-inf adds nothing). The results are the logsumexp, the largest
               element of the bucket, and the logsumexp in two doubles, which is what softmax and log_softmax take.
   Passes      The largest elements first; then terms are computed in blocks, by vectors, and join their buckets one by
               one, in the order of the elements; then the results. So a bucket depends on nothing but its own elements
               and their order.
   Blocks      Elements are taken along a row, or across many rows where those are neighbours in memory. The way changes
               no bit, because a term does not depend on its neighbours.

   A sum counts its largest element twice, as that is an exact 1 in its own unit: it begins with 1, and no term is larger
   than a sum. Three operations find the rounding error of an addition then, and what is left without the two is the sum
   of all other terms, with its digits.

   Error: 0.2 ulp from a term in two words (see m_exp_parts), 0.3 from log1p, half from the last rounding, in ulp of
   max(1, |y|). The low word of a sum is not renormalised; n random elements leave an error of about n 2^-106 there. The
   shares of softmax have the error of the logarithm in two words besides, as it is the exponent's. */

#pragma once

#include "loops/scan.h"
#include "math/lift.h"

#define BUCKET_BLOCK SCAN_BLOCK
#define FEW_ROWS 16 /* so many rows are worth a block across them */
#define FEW_BUCKETS 8

/* A row of every argument of one kind, and its strides. */
typedef struct {
    char *p;
    intptr_t row, core;
} bucket_argument;

/* Arguments for one row after the other, or across them; unused ones are left out. */
typedef struct {
    bucket_argument x, index, max, sum, y;
    intptr_t low_word; /* bytes from the high word of a sum to the low one */
    int few;           /* there are so few buckets that neighbours are often of the same one, and often not */
} buckets;

/* The elements that are in hand: they share a row, or they share a place in their rows, which are neighbours. */
typedef struct {
    intptr_t row, place, row_step, place_step, n;
} bucket_block;

INLINE intptr_t bucket_of(const buckets *b, const bucket_block *k, intptr_t i) {
    const char *index = b->index.p + k->row * b->index.row + k->place * b->index.core;
    int64_t found;
    memcpy(&found, index + i * (k->row_step * b->index.row + k->place_step * b->index.core), sizeof found);
    return (intptr_t)found;
}

/* The numbers of an argument that belong to a bucket. */
INLINE char *in_bucket(const bucket_argument *a, const bucket_block *k, intptr_t i, intptr_t bucket) {
    return a->p + (k->row + i * k->row_step) * a->row + bucket * a->core;
}
INLINE char *first_of_block(const bucket_argument *a, const bucket_block *k) {
    return a->p + k->row * a->row + k->place * a->core;
}
INLINE intptr_t step_of_block(const bucket_argument *a, const bucket_block *k) {
    return k->row_step * a->row + k->place_step * a->core;
}

/* Along a row, the number of a bucket stays in a register while elements of the same one follow: waiting for the store of
   the element before takes twice as long. Where there are few buckets, whether the next one is the same cannot be
   foreseen; then all are read again. */
INLINE void raise_maxima(const buckets *b, const bucket_block *k) {
    const char *x = first_of_block(&b->x, k);
    intptr_t step = step_of_block(&b->x, k);
    real *max = (real *)in_bucket(&b->max, k, 0, bucket_of(b, k, 0)), top = *max;
    for (intptr_t i = 0; i < k->n; i++, x += step) {
        real *next = (real *)in_bucket(&b->max, k, i, bucket_of(b, k, i)), element = *(const real *)x;
        if (b->few || next != max) max = next, top = *max;
        top = element > top ? element : top;
        *max = top;
    }
}

/* 2^LIFT e^(x - from) in two words, of which the upper one is the result to the last bit. The difference of the upper
   words is exact, as in scan_exp; what is left of it joins the rest of the power. */
INLINE dw lifted_exp(vec x, dw from) {
    dw d = dw_two_sum(made_finite(x), v_neg(made_finite(from.hi)));
    mask none = v_le(d.hi, v_set(SCAN_FLOOR));
    exp_parts e = m_exp_parts(v_max(v_set(SCAN_FLOOR), d.hi), m_word_rounder(v_set((real)LIFT)), 0);
    vec low = v_sub(d.lo, from.lo);
    vec rest = EXP_RESTS_ARE_SMALL ? v_add(e.rest, low) : v_fma(e.rest, low, v_add(e.rest, low));
    dw y = dw_fast_two_sum(e.power, v_mul(e.power, rest));
    return (dw){v_unless(none, y.hi), v_unless(none, y.lo)};
}

INLINE void bucket_terms(dw_block *y, const real *x, const real *max, intptr_t n) {
    for (intptr_t j = 0; j < n; j += LANES) {
        dw term = lifted_exp(v_load(x + j), (dw){v_load(max + j), v_set(0)});
        v_store(y->hi + j, term.hi), v_store(y->lo + j, term.lo);
    }
}

/* Adds a term that is not larger than the sum. */
INLINE total add_term(total sum, double hi, double lo) {
    double more = sum.hi + hi;
    return (total){more, sum.lo + ((hi - (more - sum.hi)) + lo)};
}

/* Adds the terms of a block. Along a row, the sum of a bucket stays in registers while elements of the same one follow. */
INLINE void add_terms(const buckets *b, const bucket_block *k) {
    real x[BUCKET_BLOCK], max[BUCKET_BLOCK];
    dw_block terms;
    intptr_t low = b->low_word / (intptr_t)sizeof(double);
    gather(x, first_of_block(&b->x, k), step_of_block(&b->x, k), k->n);
    for (intptr_t i = 0; i < k->n; i++) max[i] = *(const real *)in_bucket(&b->max, k, i, bucket_of(b, k, i));
    for (intptr_t i = k->n; i % LANES; i++) max[i] = max[k->n - 1];
    bucket_terms(&terms, x, max, k->n);
    double *sum = (double *)(void *)in_bucket(&b->sum, k, 0, bucket_of(b, k, 0));
    total t = {sum[0], sum[low]};
    for (intptr_t i = 0; i < k->n; i++) {
        double *next = (double *)(void *)in_bucket(&b->sum, k, i, bucket_of(b, k, i));
        if (b->few || next != sum) sum = next, t = (total){sum[0], sum[low]};
        t = add_term(t, (double)terms.hi[i], (double)terms.lo[i]);
        sum[0] = t.hi, sum[low] = t.lo;
    }
}

/* The partitions of n buckets, from their maxima and lifted sums: a vector of them at a time. */
INLINE partition bucket_partition(const real *max, const double *hi, const double *lo) {
    real rest_hi[LANES], rest_lo[LANES];
    for (intptr_t j = 0; j < LANES; j++) {
        double sum = hi[j] * UNLIFT, rest = sum - 2, part = rest - sum;
        double low = (sum - (rest - part)) + (-2 - part) + lo[j] * UNLIFT, all = rest + low;
        rest_hi[j] = (real)all;
        rest_lo[j] = (real)((rest - rest_hi[j]) + low);
    }
    return (partition){v_load(max), {v_load(rest_hi), v_load(rest_lo)}};
}

/* log Z in two words; the upper one is k_logsumexp of the partition. */
INLINE dw bucket_log(partition p) {
    dw log = m_log1p(p.rest), sum = dw_two_sum(p.max, log.hi);
    mask finite = v_lt(v_abs(p.max), v_set(REAL_INFINITY)), is_nan = v_ne(p.rest.hi, p.rest.hi);
    dw y = dw_fast_two_sum(sum.hi, v_add(sum.lo, log.lo)); /* log.lo may be many ulps of log.hi */
    return (dw){v_select(is_nan, p.rest.hi, v_select(finite, y.hi, p.max)), v_select(finite, y.lo, v_set(0))};
}

/* Reads log Z of a block's buckets in two words, up to a full vector. */
INLINE void gather_logs(real *hi, real *lo, const buckets *b, const bucket_block *k) {
    for (intptr_t i = 0; i < k->n; i++) {
        const char *log = in_bucket(&b->sum, k, i, bucket_of(b, k, i));
        hi[i] = (real) * (const double *)log, lo[i] = (real) * (const double *)(log + b->low_word);
    }
    for (intptr_t i = k->n; i % LANES; i++) hi[i] = hi[k->n - 1], lo[i] = lo[k->n - 1];
}

/* softmax = e^(x - log Z). An infinite log Z makes the bucket nan, as in rows. */
INLINE vec bucket_softmax(vec x, dw log) {
    return v_select(is_finite(log.hi), m_lower(lifted_exp(x, log).hi), v_set(REAL_NAN));
}

/* log_softmax = x - log Z. The difference is -0 where an element is alone; adding 0 makes that log(1) = 0. */
INLINE vec bucket_log_softmax(vec x, dw log) {
    return v_add(k_log_softmax(x, (divisor){.value = {log.hi, v_neg(log.lo)}}), v_set(0));
}

INLINE void normalize_block(const buckets *b, const bucket_block *k, vec (*kernel)(vec, dw)) {
    real x[BUCKET_BLOCK], hi[BUCKET_BLOCK], lo[BUCKET_BLOCK], y[BUCKET_BLOCK];
    gather(x, first_of_block(&b->x, k), step_of_block(&b->x, k), k->n);
    gather_logs(hi, lo, b, k);
    for (intptr_t j = 0; j < k->n; j += LANES)
        v_store(y + j, kernel(v_load(x + j), (dw){v_load(hi + j), v_load(lo + j)}));
    scatter(first_of_block(&b->y, k), step_of_block(&b->y, k), y, k->n);
}
INLINE void softmax_of_block(const buckets *b, const bucket_block *k) { normalize_block(b, k, bucket_softmax); }
INLINE void log_softmax_of_block(const buckets *b, const bucket_block *k) { normalize_block(b, k, bucket_log_softmax); }

typedef void bucket_pass(const buckets *b, const bucket_block *k);

/* Runs a pass over all elements, those of a row or those at a place in order. */
INLINE void each_block_of(bucket_pass *pass, const buckets *b, const intptr_t *dims, int across) {
    intptr_t rows = dims[0], n = dims[1];
    if (across) {
        for (intptr_t place = 0; place < n; place++)
            for (intptr_t row = 0; row < rows; row += BUCKET_BLOCK)
                pass(b, &(bucket_block){row, place, 1, 0, smaller(rows - row, BUCKET_BLOCK)});
        return;
    }
    for (intptr_t row = 0; row < rows; row++)
        for (intptr_t place = 0; place < n; place += BUCKET_BLOCK)
            pass(b, &(bucket_block){row, place, 0, 1, smaller(n - place, BUCKET_BLOCK)});
}

/* Arrays without gaps are the usual case; the compiler then knows all strides along a row, and whether buckets are few. */
INLINE void each_block(bucket_pass *pass, const buckets *b, const intptr_t *dims) {
    intptr_t of_index = sizeof(int64_t), of_sum = 2 * sizeof(double);
    int across = dims[0] >= FEW_ROWS && b->x.row == WIDTH && b->x.core != WIDTH;
    int plain = b->x.core == WIDTH && b->index.core == of_index && b->sum.core == of_sum &&
                (!b->max.p || b->max.core == WIDTH) && (!b->y.p || b->y.core == WIDTH);
    buckets few = *b, many;
    few.x.core = few.max.core = few.y.core = WIDTH;
    few.index.core = of_index, few.sum.core = of_sum;
    few.few = 1, many = few, many.few = 0;
    if (across) each_block_of(pass, b, dims, 1);
    else if (!plain) each_block_of(pass, b, dims, 0);
    else if (b->few) each_block_of(pass, &few, dims, 0);
    else each_block_of(pass, &many, dims, 0);
}

/* One function for each pass, so that their frames do not add up. */
static NOINLINE void raise_all_maxima(const buckets *b, const intptr_t *dims) { each_block(raise_maxima, b, dims); }
static NOINLINE void add_all_terms(const buckets *b, const intptr_t *dims) { each_block(add_terms, b, dims); }

/* Each bucket begins with its start as an element. */
static NOINLINE void start_buckets(const buckets *b, const char *start, intptr_t start_row, intptr_t start_core,
                                   const intptr_t *dims) {
    real x[BUCKET_BLOCK], max[BUCKET_BLOCK];
    dw_block terms;
    for (intptr_t row = 0; row < dims[0]; row++)
        for (intptr_t s = 0; s < dims[2]; s += BUCKET_BLOCK) {
            intptr_t n = smaller(dims[2] - s, BUCKET_BLOCK);
            char *sum = b->sum.p + row * b->sum.row + s * b->sum.core;
            gather(x, start + row * start_row + s * start_core, start_core, n);
            gather(max, b->max.p + row * b->max.row + s * b->max.core, b->max.core, n);
            bucket_terms(&terms, x, max, n);
            for (intptr_t i = 0; i < n; i++, sum += b->sum.core) {
                total t = add_term((total){1 / UNLIFT, 0}, (double)terms.hi[i], (double)terms.lo[i]);
                *(double *)sum = t.hi, *(double *)(sum + b->low_word) = t.lo;
            }
        }
}

/* log Z takes the place of the sums. */
static NOINLINE void finish_buckets(const buckets *b, bucket_argument result, const intptr_t *dims) {
    real max[BUCKET_BLOCK], log_hi[BUCKET_BLOCK], log_lo[BUCKET_BLOCK];
    double hi[BUCKET_BLOCK], lo[BUCKET_BLOCK];
    for (intptr_t row = 0; row < dims[0]; row++)
        for (intptr_t s = 0; s < dims[2]; s += BUCKET_BLOCK) {
            intptr_t n = smaller(dims[2] - s, BUCKET_BLOCK);
            char *sum = b->sum.p + row * b->sum.row + s * b->sum.core;
            gather(max, b->max.p + row * b->max.row + s * b->max.core, b->max.core, n);
            for (intptr_t i = 0; i < filled_up(n); i++) {
                const char *known = sum + smaller(i, n - 1) * b->sum.core;
                hi[i] = *(const double *)known, lo[i] = *(const double *)(known + b->low_word);
            }
            for (intptr_t j = 0; j < n; j += LANES) {
                dw log = bucket_log(bucket_partition(max + j, hi + j, lo + j));
                v_store(log_hi + j, log.hi), v_store(log_lo + j, log.lo);
            }
            for (intptr_t i = 0; i < n; i++, sum += b->sum.core)
                *(double *)sum = log_hi[i], *(double *)(sum + b->low_word) = log_lo[i];
            scatter(result.p + row * result.row + s * result.core, result.core, log_hi, n);
        }
}

INLINE unsigned loop_reduce_buckets(char **args, const intptr_t *dims, const intptr_t *steps) {
    buckets b = {.x = {args[0], steps[0], steps[6]},
                 .index = {args[1], steps[1], steps[7]},
                 .max = {args[4], steps[4], steps[10]},
                 .sum = {args[5], steps[5], steps[11]},
                 .low_word = steps[12],
                 .few = dims[2] <= FEW_BUCKETS};
    for (intptr_t row = 0; row < dims[0]; row++)
        for (intptr_t s = 0; s < dims[2]; s++)
            memcpy(b.max.p + row * b.max.row + s * b.max.core, args[2] + row * steps[2] + s * steps[8], sizeof(real));
    raise_all_maxima(&b, dims);
    start_buckets(&b, args[2], steps[2], steps[8], dims);
    add_all_terms(&b, dims);
    finish_buckets(&b, (bucket_argument){args[3], steps[3], steps[9]}, dims);
    return 0;
}

INLINE unsigned loop_normalize_buckets(bucket_pass *pass, char **args, const intptr_t *dims, const intptr_t *steps) {
    buckets b = {.x = {args[0], steps[0], steps[4]},
                 .index = {args[1], steps[1], steps[5]},
                 .sum = {args[2], steps[2], steps[6]},
                 .low_word = steps[7],
                 .y = {args[3], steps[3], steps[8]}};
    each_block(pass, &b, dims);
    return 0;
}
#define loop_segment_softmax(args, dims, steps) loop_normalize_buckets(softmax_of_block, args, dims, steps)
#define loop_segment_log_softmax(args, dims, steps) loop_normalize_buckets(log_softmax_of_block, args, dims, steps)
