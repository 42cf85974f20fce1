/* (n),(n),(s)->(s),(s),(s,2): logsumexp of the elements that have the same index, in any order: sums in buckets.
   (n),(n),(s),(s,2)->(n): softmax and log_softmax of each element in its bucket.

   Arguments   args[0] has dims[0] rows of dims[1] elements, and args[1] the index of type int64 of each element, from 0
               to dims[2]-1; the caller has checked it. For each row and bucket, args[2] of the sum is a number whose
               exponential counts as one more element (-inf adds nothing). The results are the logsumexp, the largest
               element of the bucket, and the sum of the exponentials in units of its own, in two doubles. These last
               two are the inputs of softmax and log_softmax.
   Passes      The largest elements first; then terms are computed in blocks, by vectors, and join their buckets one by
               one, in the order of the elements; then the results. So a bucket depends on nothing but its own elements
               and their order.
   Blocks      Elements are taken along a row, or across many rows where those are neighbours in memory. The way changes
               no bit, because a term does not depend on its neighbours.

   Error: the largest element is an exact 1 in its own unit, and the sum is in two doubles. So 1 + rest keeps the digits
   of rest: bounds are those of the functions of rows. The low word is not renormalised; n random elements leave an
   error of about n 2^-106 there. */

#pragma once

#include "loops/scan.h"

#define BUCKET_BLOCK SCAN_BLOCK
#define FEW_ROWS 16 /* so many rows are worth a block across them */

/* A row of every argument of one kind, and its strides. */
typedef struct {
    char *p;
    intptr_t row, core;
} bucket_argument;

/* Arguments for one row after the other, or across them; unused ones are left out. */
typedef struct {
    bucket_argument x, index, max, sum, y;
    intptr_t low_word; /* bytes from the high word of a sum to the low one */
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

/* Gathers the maxima of the buckets of a block, up to a full vector. */
INLINE void gather_maxima(real *max, const buckets *b, const bucket_block *k) {
    for (intptr_t i = 0; i < k->n; i++) max[i] = *(const real *)in_bucket(&b->max, k, i, bucket_of(b, k, i));
    for (intptr_t i = k->n; i % LANES; i++) max[i] = max[k->n - 1];
}

INLINE void raise_maxima(const buckets *b, const bucket_block *k) {
    const char *x = first_of_block(&b->x, k);
    intptr_t step = step_of_block(&b->x, k);
    for (intptr_t i = 0; i < k->n; i++, x += step) {
        real *max = (real *)in_bucket(&b->max, k, i, bucket_of(b, k, i)), element = *(const real *)x;
        *max = element > *max ? element : *max;
    }
}

/* Adds the terms of a block. The sum of a bucket stays in registers while elements of the same one follow. */
INLINE void add_terms(const buckets *b, const bucket_block *k) {
    real x[BUCKET_BLOCK], max[BUCKET_BLOCK];
    double hi[BUCKET_BLOCK], lo[BUCKET_BLOCK];
    dw_block terms;
    double *sum = NULL;
    total t = {0, 0};
    intptr_t low = b->low_word / (intptr_t)sizeof(double);
    gather(x, first_of_block(&b->x, k), step_of_block(&b->x, k), k->n);
    gather_maxima(max, b, k);
    scan_exp(&terms, x, max, k->n, LIFT);
    for (intptr_t i = 0; i < k->n; i++) hi[i] = terms.hi[i], lo[i] = terms.lo[i];
    for (intptr_t i = 0; i < k->n; i++) {
        double *next = (double *)(void *)in_bucket(&b->sum, k, i, bucket_of(b, k, i));
        if (next != sum) {
            if (sum) sum[0] = t.hi, sum[low] = t.lo;
            sum = next, t = (total){sum[0], sum[low]};
        }
        total more = total_add((total){t.hi, lo[i]}, hi[i]);
        t = (total){more.hi, t.lo + more.lo};
    }
    if (sum) sum[0] = t.hi, sum[low] = t.lo;
}

/* The partitions of n buckets, from their maxima and lifted sums: a vector of them at a time. */
INLINE partition bucket_partition(const real *max, const double *hi, const double *lo) {
    real rest_hi[LANES], rest_lo[LANES];
    for (intptr_t j = 0; j < LANES; j++) {
        double sum = hi[j] * UNLIFT, rest = sum - 1, part = rest - sum;
        double low = (sum - (rest - part)) + (-1 - part) + lo[j] * UNLIFT, all = rest + low;
        rest_hi[j] = (real)all;
        rest_lo[j] = (real)((rest - rest_hi[j]) + low);
    }
    return (partition){v_load(max), {v_load(rest_hi), v_load(rest_lo)}};
}

/* Reads the words of the sums of a block's buckets, up to a full vector. */
INLINE void gather_sums(double *hi, double *lo, const buckets *b, const bucket_block *k) {
    for (intptr_t i = 0; i < filled_up(k->n); i++) {
        intptr_t known = smaller(i, k->n - 1);
        const char *sum = in_bucket(&b->sum, k, known, bucket_of(b, k, known));
        hi[i] = *(const double *)sum, lo[i] = *(const double *)(sum + b->low_word);
    }
}

/* softmax = e^(x - max) / (sum of terms): the quotient of two double words is lifted, and rounded to a subnormal once.
   An infinite maximum makes the bucket nan, as in rows. */
INLINE void softmax_of_block(const buckets *b, const bucket_block *k) {
    real x[BUCKET_BLOCK], max[BUCKET_BLOCK], y[BUCKET_BLOCK];
    double hi[BUCKET_BLOCK], lo[BUCKET_BLOCK];
    dw_block terms;
    gather(x, first_of_block(&b->x, k), step_of_block(&b->x, k), k->n);
    gather_maxima(max, b, k);
    gather_sums(hi, lo, b, k);
    scan_exp(&terms, x, max, k->n, LIFT);
    for (intptr_t j = 0; j < k->n; j += LANES) {
        real sum_hi[LANES], sum_lo[LANES];
        for (intptr_t i = 0; i < LANES; i++) {
            sum_hi[i] = (real)(hi[j + i] * UNLIFT);
            sum_lo[i] = (real)((hi[j + i] * UNLIFT - sum_hi[i]) + lo[j + i] * UNLIFT);
        }
        dw q = dw_div((dw){v_load(terms.hi + j), v_load(terms.lo + j)}, (dw){v_load(sum_hi), v_load(sum_lo)});
        vec share = v_mul(v_add(q.hi, q.lo), v_set(UNLIFT));
        v_store(y + j, v_select(is_finite(v_load(max + j)), share, v_set(REAL_NAN)));
    }
    scatter(first_of_block(&b->y, k), step_of_block(&b->y, k), y, k->n);
}

INLINE void log_softmax_of_block(const buckets *b, const bucket_block *k) {
    real x[BUCKET_BLOCK], max[BUCKET_BLOCK], y[BUCKET_BLOCK];
    double hi[BUCKET_BLOCK], lo[BUCKET_BLOCK];
    gather(x, first_of_block(&b->x, k), step_of_block(&b->x, k), k->n);
    gather_maxima(max, b, k);
    gather_sums(hi, lo, b, k);
    for (intptr_t j = 0; j < k->n; j += LANES) {
        divisor z = log_divisor(bucket_partition(max + j, hi + j, lo + j));
        /* The difference is -0 where an element is alone; adding 0 makes that log(1) = 0. */
        v_store(y + j, v_add(k_log_softmax(v_load(x + j), z), v_set(0)));
    }
    scatter(first_of_block(&b->y, k), step_of_block(&b->y, k), y, k->n);
}

typedef void bucket_pass(const buckets *b, const bucket_block *k);

/* Runs a pass over all elements, those of a row or those at a place in order. */
INLINE void each_block(bucket_pass *pass, const buckets *b, const intptr_t *dims) {
    intptr_t rows = dims[0], n = dims[1];
    if (rows >= FEW_ROWS && b->x.row == WIDTH && b->x.core != WIDTH) {
        for (intptr_t place = 0; place < n; place++)
            for (intptr_t row = 0; row < rows; row += BUCKET_BLOCK)
                pass(b, &(bucket_block){row, place, 1, 0, smaller(rows - row, BUCKET_BLOCK)});
        return;
    }
    for (intptr_t row = 0; row < rows; row++)
        for (intptr_t place = 0; place < n; place += BUCKET_BLOCK)
            pass(b, &(bucket_block){row, place, 0, 1, smaller(n - place, BUCKET_BLOCK)});
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
            scan_exp(&terms, x, max, n, LIFT);
            for (intptr_t i = 0; i < n; i++, sum += b->sum.core)
                *(double *)sum = terms.hi[i], *(double *)(sum + b->low_word) = terms.lo[i];
        }
}

static NOINLINE void finish_buckets(const buckets *b, const intptr_t *dims) {
    real max[BUCKET_BLOCK], y[BUCKET_BLOCK];
    double hi[BUCKET_BLOCK], lo[BUCKET_BLOCK];
    for (intptr_t row = 0; row < dims[0]; row++)
        for (intptr_t s = 0; s < dims[2]; s += BUCKET_BLOCK) {
            intptr_t n = smaller(dims[2] - s, BUCKET_BLOCK);
            const char *sum = b->sum.p + row * b->sum.row + s * b->sum.core;
            gather(max, b->max.p + row * b->max.row + s * b->max.core, b->max.core, n);
            for (intptr_t i = 0; i < filled_up(n); i++) {
                const char *known = sum + smaller(i, n - 1) * b->sum.core;
                hi[i] = *(const double *)known, lo[i] = *(const double *)(known + b->low_word);
            }
            for (intptr_t j = 0; j < n; j += LANES)
                v_store(y + j, k_logsumexp(bucket_partition(max + j, hi + j, lo + j)));
            scatter(b->y.p + row * b->y.row + s * b->y.core, b->y.core, y, n);
        }
}

INLINE unsigned loop_reduce_buckets(char **args, const intptr_t *dims, const intptr_t *steps) {
    buckets b = {.x = {args[0], steps[0], steps[6]},
                 .index = {args[1], steps[1], steps[7]},
                 .y = {args[3], steps[3], steps[9]},
                 .max = {args[4], steps[4], steps[10]},
                 .sum = {args[5], steps[5], steps[11]},
                 .low_word = steps[12]};
    for (intptr_t row = 0; row < dims[0]; row++)
        for (intptr_t s = 0; s < dims[2]; s++)
            memcpy(b.max.p + row * b.max.row + s * b.max.core, args[2] + row * steps[2] + s * steps[8], sizeof(real));
    raise_all_maxima(&b, dims);
    start_buckets(&b, args[2], steps[2], steps[8], dims);
    add_all_terms(&b, dims);
    finish_buckets(&b, dims);
    return 0;
}

INLINE unsigned loop_normalize_buckets(bucket_pass *pass, char **args, const intptr_t *dims, const intptr_t *steps) {
    buckets b = {.x = {args[0], steps[0], steps[5]},
                 .index = {args[1], steps[1], steps[6]},
                 .max = {args[2], steps[2], steps[7]},
                 .sum = {args[3], steps[3], steps[8]},
                 .low_word = steps[9],
                 .y = {args[4], steps[4], steps[10]}};
    each_block(pass, &b, dims);
    return 0;
}
#define loop_segment_softmax(args, dims, steps) loop_normalize_buckets(softmax_of_block, args, dims, steps)
#define loop_segment_log_softmax(args, dims, steps) loop_normalize_buckets(log_softmax_of_block, args, dims, steps)
