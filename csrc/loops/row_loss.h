/* Losses of rows of logits with labels or probabilities, and their sums; loops/row_gradient.h has the derivatives.

   A row has logits x_c and weights a_c, one for each class c; A is the sum of the a_c. Its loss is the sum of
   a_c (log Z - x_c), times the weight of the row itself, if rows have weights. With a label, a_c is 0 for all other
   classes; smoothed labels and probabilities make it a number for every class.

   Arguments   `args` are numbered by the enumeration below; dims are the numbers of rows and of classes. Logits,
               gradient and Hessian have a number for every class of a row, with any strides; WEIGHTS, EACH and SLOPES
               have one for every row; targets are a label for every row, or a probability for every class. Rows without
               weights have NULL there. An output that is not wanted is NULL; Hessian and slopes need a gradient.
   Passes      for some rows at a time, in the way that sums/rows.h chooses:
                 1. reduce.h or normalize.h sums the row
                 2. take_losses reads labels and weights, computes the losses, and puts them into EACH or adds them to a
                    sum
               If only weights are wanted, labels and the weights of rows alone are read. loops/label_loss.h has a
               faster way for rows that have nothing but labels.
   Owners      Arrays, options and result belong to the caller. The state of a call, row_losses, is on its stack. It
               keeps what has been found out about rows until their gradients are written: a row_info for each LANES
               rows of a panel. Sums are added to the result when all rows are done. */

#pragma once

#include "kernels/losses.h"
#include "loops/normalize.h"
#include "memory/targets.h"
#include "sums/totals.h"

/* A row_info has what gradients need to know about LANES rows. */
typedef struct {
    int64_t label[LANES];       /* NO_LABEL if it does not count */
    real a[LANES], a_lo[LANES]; /* A in two words */
    real scale[LANES];          /* the factor of derivatives, with the row's own weight; 0 for a row that weighs 0 */
    real factor[LANES];         /* what softmax has been multiplied by: |A scale|, or 1 where that is too large */
    real other[LANES];          /* the sum of the probabilities of all classes but the largest one */
    real max[LANES];            /* the largest logit */
} row_info;

#define NO_LABEL -1

enum { ROW_LOGITS, ROW_TARGETS, ROW_WEIGHTS, ROW_EACH, ROW_GRADIENT, ROW_HESSIAN, ROW_SLOPES, ROW_ARGUMENTS };

typedef struct {
    const fl_loss_options *options;
    fl_loss_result *result;
    matrix argument[ROW_ARGUMENTS];
    intptr_t n;                            /* the number of classes */
    double scale;                          /* the factor of the gradients, but for weights of rows */
    loss_sum sum;                          /* the losses that have no place in EACH */
    total weight;                          /* the weights of the labels, or of the rows, that count */
    double lane_hi[LANES], lane_lo[LANES]; /* as `weight`, where rows have weights: a sum in two words for each lane */
    row_info *info;                        /* of the LANES rows that are at hand, or of all rows of a panel */
    intptr_t infos;                        /* their number, a power of two */
} row_losses;

/* The place for what is known of rows r to r+LANES-1. */
static row_info *info_of(row_losses *l, intptr_t r) { return l->info + (r / LANES & (l->infos - 1)); }

/* The address of row r of an argument. */
static char *row_at(row_losses *l, int argument, intptr_t r) {
    const matrix *m = l->argument + argument;
    return (char *)m->x + r * m->outer;
}

/* Fetches the weights of rows r to r+rows-1 themselves, and 0 for lanes without a row. */
static void fetch_row_weights(row_losses *l, intptr_t r, intptr_t rows, double *weights) {
    const char *p = row_at(l, ROW_WEIGHTS, r);
    intptr_t outer = l->argument[ROW_WEIGHTS].outer;
    if (rows == LANES && outer == sizeof(double)) {
        memcpy(weights, p, LANES * sizeof(double));
        return;
    }
    for (intptr_t k = 0; k < LANES; k++) weights[k] = 0;
    for (intptr_t k = 0; k < rows; k++) memcpy(weights + k, p + k * outer, sizeof(double));
}

/* Adds weights of labels, or 1, times those of rows, where neither is 0. Each lane has a sum of its own, so that no
   addition waits for another one; compilers vectorise the loop. */
static void add_row_weights(row_losses *l, const double *of_labels, const double *of_rows) {
    for (intptr_t k = 0; k < LANES; k++) {
        double product = of_labels[k] != 0 && of_rows[k] != 0 ? of_labels[k] * of_rows[k] : 0;
        total t = total_settled(total_add((total){l->lane_hi[k], l->lane_lo[k]}, product));
        l->lane_hi[k] = t.hi, l->lane_lo[k] = t.lo;
    }
}

/* Labels that do not count become NO_LABEL. Returns how many are out of range. Options are copied first: the compiler
   must otherwise assume that writing a label changes them, and does not vectorise the loop. */
INLINE int64_t check_labels(row_info *info, const fl_loss_options *f, intptr_t classes, intptr_t rows) {
    int64_t wrong = 0, ignores = f->ignores, ignored_label = f->ignored;
    for (intptr_t k = 0; k < rows; k++) {
        int64_t label = info->label[k], right = (uint64_t)label < (uint64_t)classes;
        int64_t ignored = ignores & (label == ignored_label), counts = right & (ignored ^ 1);
        wrong += (right | ignored) ^ 1;
        info->label[k] = label | -(counts ^ 1);
    }
    return wrong;
}

/* Reads the labels of rows r to r+rows-1, and the weights of their classes, which are 0 for labels that do not count
   and for lanes without a row. */
static void read_labels(row_losses *l, row_info *info, intptr_t r, intptr_t rows, real *weights) {
    const fl_loss_options *f = l->options;
    const matrix *labels = l->argument + ROW_TARGETS;
    const char *p = row_at(l, ROW_TARGETS, r);
    int64_t counted = 0;
    int in_place = labels->outer == sizeof(int64_t) && is_int64(f->target_type);
    for (intptr_t k = rows; k < LANES; k++) info->label[k] = NO_LABEL;
    if (in_place && rows == LANES) memcpy(info->label, p, sizeof info->label);
    else fetch_labels(info->label, p, labels->outer, rows, f->target_type);
    l->result->wrong += rows == LANES ? check_labels(info, f, l->n, LANES) : check_labels(info, f, l->n, rows);
    for (intptr_t k = 0; k < LANES; k++) {
        int64_t counts = info->label[k] >= 0;
        counted += counts;
        weights[k] = (real)counts;
    }
    int rows_weigh = l->argument[ROW_WEIGHTS].x != 0;
    if (!f->class_weight && !rows_weigh) {
        l->weight.hi += (double)counted;
        return;
    }
    double of_labels[LANES] = {0}, of_rows[LANES];
    for (intptr_t k = 0; k < rows; k++) {
        if (!f->class_weight) of_labels[k] = weights[k];
        else if (info->label[k] >= 0) of_labels[k] = f->class_weight[info->label[k]];
        weights[k] = (real)of_labels[k];
    }
    if (rows_weigh) {
        fetch_row_weights(l, r, rows, of_rows);
        add_row_weights(l, of_labels, of_rows);
        return;
    }
    for (intptr_t k = 0; k < rows; k++) l->weight = total_add(l->weight, of_labels[k]);
    l->weight = total_settled(l->weight);
}

/* Where targets are probabilities, every row counts. */
static void count_rows(row_losses *l, intptr_t r, intptr_t rows) {
    if (!l->argument[ROW_WEIGHTS].x) {
        l->weight.hi += (double)rows;
        return;
    }
    double ones[LANES], of_rows[LANES];
    for (intptr_t k = 0; k < LANES; k++) ones[k] = 1;
    fetch_row_weights(l, r, rows, of_rows);
    add_row_weights(l, ones, of_rows);
}

/* The address of the label's element of row r + k; if there is no label, that of the first class. */
static char *label_at(row_losses *l, const row_info *info, int argument, intptr_t r, intptr_t k) {
    intptr_t label = (intptr_t)info->label[k];
    return row_at(l, argument, r + k) + (label < 0 ? 0 : label) * l->argument[argument].core;
}

/* Fetches a_c of row r + k for n <= STAGE classes from c on, and 0 up to a full vector. */
static void class_weights(row_losses *l, const row_info *info, intptr_t r, intptr_t k, intptr_t c, intptr_t n,
                          real *a) {
    const fl_loss_options *f = l->options;
    const matrix *targets = l->argument + ROW_TARGETS;
    real even = (real)(f->smoothing / (double)l->n), kept = (real)(1 - f->smoothing);
    if (f->are_probabilities) {
        fetch_numbers(a, row_at(l, ROW_TARGETS, r + k) + c * targets->core, targets->core, n, f->target_type);
        if (f->smoothing != 0)
            for (intptr_t i = 0; i < n; i++) a[i] = a[i] * kept + even;
    } else {
        intptr_t at = (intptr_t)info->label[k] - c;
        for (intptr_t i = 0; i < n; i++) a[i] = info->label[k] >= 0 ? even : 0;
        if (at >= 0 && at < n) a[at] += kept;
    }
    for (intptr_t i = 0; i < n && f->class_weight; i++) {
        real weight = (real)f->class_weight[c + i];
        /* A class that a label excludes does not count; one of probability 0 does if its weight is nan. */
        int drops = weight == 0 || (a[i] == 0 && (!f->are_probabilities || weight == weight));
        a[i] = drops ? 0 : a[i] * weight;
    }
    for (intptr_t i = n; i % LANES; i++) a[i] = 0;
}

/* A sum, which may be infinite, as a double word. */
static dw dw_of_total(total t) {
    double sum = t.hi + t.lo;
    if (sum - sum != 0) return (dw){v_set((real)t.hi), v_set(0)};
    real hi = (real)sum;
    double lo = hi - hi == 0 ? (t.hi - (double)hi) + t.lo : 0;
    return (dw){v_set(hi), v_set((real)lo)};
}

/* Sums a_c and a_c (max - x_c) over the classes of row r + k, whatever they are. A class that weighs nothing does not
   count.
   *weighs becomes 0 if no class does. */
static NOINLINE dw gap_of_row(row_losses *l, row_info *info, intptr_t r, intptr_t k, real *weighs) {
    const matrix *logits = l->argument + ROW_LOGITS;
    vec zero = v_set(0), max = v_set(info->max[k]), any = zero;
    loss_sum gap = no_losses(), weight = no_losses();
    for (intptr_t c = 0; c < l->n; c += STAGE) {
        real x[STAGE], a[STAGE];
        intptr_t n = smaller(l->n - c, STAGE);
        gather(x, row_at(l, ROW_LOGITS, r + k) + c * logits->core, logits->core, n);
        class_weights(l, info, r, k, c, n, a);
        for (intptr_t i = 0; i < n; i += LANES) {
            vec logit = v_load(x + i), of_class = v_load(a + i), term = v_mul(of_class, v_sub(max, logit));
            term = v_select(mask_or(v_eq(of_class, zero), v_eq(logit, max)), zero, term);
            add_losses(&gap, (dw){term, zero});
            add_losses(&weight, (dw){of_class, zero});
            any = v_select(v_ne(of_class, zero), v_set(1), any); /* nan is not 0 */
        }
    }
    empty_lanes(&gap);
    empty_lanes(&weight);
    dw a = dw_of_total(weight.all);
    info->a[k] = first_lane(a.hi), info->a_lo[k] = first_lane(a.lo);
    *weighs = first_lane(largest_lane(any));
    return dw_of_total(gap.all);
}

/* weight (max - x), which is 0 where x is the maximum or weighs nothing. */
INLINE dw gap_below(vec max, vec x, vec weight) {
    vec zero = v_set(0);
    dw below = dw_two_sum(max, v_neg(x));
    mask none = mask_or(v_eq(x, max), v_eq(weight, zero)), exact = mask_and(is_finite(below.hi), is_finite(x));
    dw gap = dw_mul(weight, v_sub(max, x));
    vec lo = v_fma(weight, v_select(exact, below.lo, zero), gap.lo);
    return (dw){v_select(none, zero, gap.hi), v_select(mask_or(none, v_ne(v_sub(gap.hi, gap.hi), zero)), zero, lo)};
}

/* With labels alone, the sum of a_c (max - x_c) has a single term. This takes one row per lane. */
static dw gap_of_labels(row_losses *l, row_info *info, intptr_t r, intptr_t rows, vec max, vec weight) {
    real picked[LANES];
    for (intptr_t k = 0; k < LANES; k++)
        memcpy(picked + k, label_at(l, info, ROW_LOGITS, r, smaller(k, rows - 1)), sizeof(real));
    v_store(info->a, weight), v_store(info->a_lo, v_set(0));
    return gap_below(max, v_load(picked), weight);
}

/* The sums of rows in which every class may weigh something, one row per lane: of a_c (max - x_c), and of the a_c;
   where labels are smoothed, which gives the same weight to all classes but one, of max - x_c alone. */
typedef struct {
    dw gap, weight;
} spread_sums;

/* How targets of probabilities become a_c: smoothed or not. */
typedef struct {
    int smooth;
    vec even, kept;
} spread;

INLINE spread spread_of(const row_losses *l) {
    double smoothing = l->options->smoothing;
    return (spread){smoothing != 0, v_set((real)(smoothing / (double)l->n)), v_set((real)(1 - smoothing))};
}

INLINE void add_classes(spread_sums *s, vec below, vec target, int has_target, spread f) {
    if (!has_target) {
        s->gap = dw_join_word(s->gap, below);
        return;
    }
    if (f.smooth) target = v_add(v_mul(target, f.kept), f.even);
    s->gap = dw_join_word(s->gap, v_mul(target, below));
    s->weight = dw_join_word(s->weight, target);
}

/* Sums n <= STAGE classes of one row along the lanes. The last vector is filled up with maxima of weight 0. */
INLINE spread_sums sums_of_block(const real *x, const real *z, intptr_t n, real max, spread f) {
    vec zero = v_set(0), top = v_set(max);
    spread_sums s = {{zero, zero}, {zero, zero}};
    intptr_t i = 0;
    for (; i + LANES <= n; i += LANES) add_classes(&s, v_sub(top, v_load(x + i)), z ? v_load(z + i) : zero, z != 0, f);
    if (i == n) return s;
    vec target = z ? v_load_part(z + i, n - i, 0) : zero;
    if (z && f.smooth) target = leading_lanes(v_add(v_mul(target, f.kept), f.even), n - i), f.smooth = 0;
    add_classes(&s, v_sub(top, v_load_part(x + i, n - i, max)), target, z != 0, f);
    return s;
}

INLINE spread_sums spread_add(spread_sums s, spread_sums more, int has_weight) {
    s.gap = dw_add(s.gap, more.gap);
    if (has_weight) s.weight = dw_add(s.weight, more.weight);
    return s;
}

/* Row r + k, whose sums are still spread over the lanes. */
INLINE spread_sums sums_of_row(row_losses *l, intptr_t r, intptr_t k, real max, int has_target, spread f) {
    const matrix *logits = l->argument + ROW_LOGITS, *targets = l->argument + ROW_TARGETS;
    spread_sums all;
    for (intptr_t c = 0; c < l->n; c += STAGE) {
        real x_stage[STAGE], z_stage[STAGE];
        intptr_t n = smaller(l->n - c, STAGE);
        const char *at = row_at(l, ROW_LOGITS, r + k) + c * logits->core;
        const real *x = (const real *)at, *z = 0;
        if (logits->core != WIDTH) x = numbers(x_stage, at, logits->core, n, REAL_TYPE);
        if (has_target)
            z = numbers(z_stage, row_at(l, ROW_TARGETS, r + k) + c * targets->core, targets->core, n,
                        l->options->target_type);
        spread_sums block = sums_of_block(x, z, n, max, f);
        all = c == 0 ? block : spread_add(all, block, has_target);
    }
    return all;
}

/* Rows r to r+rows-1 whose numbers are neighbours in memory: nothing is to be transposed. */
INLINE spread_sums sums_of_columns(row_losses *l, intptr_t r, intptr_t rows, vec max, int has_target, spread f) {
    const matrix *logits = l->argument + ROW_LOGITS, *targets = l->argument + ROW_TARGETS;
    const char *x = row_at(l, ROW_LOGITS, r), *z = row_at(l, ROW_TARGETS, r);
    vec zero = v_set(0);
    spread_sums none = {{zero, zero}, {zero, zero}}, all = none;
    for (intptr_t c = 0; c < l->n; c += STAGE) {
        spread_sums block = none;
        for (intptr_t i = c; i < smaller(l->n, c + STAGE); i++) {
            vec target = has_target ? load_some((const real *)(z + i * targets->core), rows) : zero;
            add_classes(&block, v_sub(max, load_some((const real *)(x + i * logits->core), rows)), target, has_target,
                        f);
        }
        all = spread_add(all, block, has_target);
    }
    return all;
}

/* Rows r to r+rows-1, one per lane. */
INLINE spread_sums sums_of_rows(row_losses *l, const row_info *info, intptr_t r, intptr_t rows, int has_target,
                                spread f) {
    const matrix *logits = l->argument + ROW_LOGITS, *targets = l->argument + ROW_TARGETS;
    int columns = LANES > 1 && logits->outer == WIDTH && logits->core != WIDTH;
    if (has_target) columns = columns && targets->outer == WIDTH && l->options->target_type == REAL_TYPE;
    if (columns) return sums_of_columns(l, r, rows, v_load(info->max), has_target, f);
    vec gap_hi[LANES], gap_lo[LANES], weight_hi[LANES], weight_lo[LANES], zero = v_set(0);
    for (intptr_t k = 0; k < LANES; k++) {
        spread_sums s = {{zero, zero}, {zero, zero}};
        if (k < rows) s = sums_of_row(l, r, k, info->max[k], has_target, f);
        gap_hi[k] = s.gap.hi, gap_lo[k] = s.gap.lo, weight_hi[k] = s.weight.hi, weight_lo[k] = s.weight.lo;
    }
    spread_sums s = {dw_sum_across(gap_hi, gap_lo), {zero, zero}};
    if (has_target) s.weight = dw_sum_across(weight_hi, weight_lo);
    return s;
}

/* The gap where all classes have the weight `even`, and the label has `kept` besides: it is even times the sum of
   max - x_c, and kept times max - x_label. */
static NOINLINE dw gap_of_smoothed(row_losses *l, row_info *info, intptr_t r, intptr_t rows, const real *weighs,
                                   spread f) {
    dw sum = sums_of_rows(l, info, r, rows, 0, f).gap;
    vec counts = v_load(weighs), n = v_set((real)l->n), rest = v_set((real)(l->n - (intptr_t)(real)l->n));
    dw label = gap_of_labels(l, info, r, rows, v_load(info->max), v_mul(counts, f.kept));
    dw evenly = dw_mul(sum.hi, f.even), weight = dw_mul(f.even, n);
    evenly.lo = v_fma(sum.lo, f.even, evenly.lo), weight.lo = v_fma(f.even, rest, weight.lo);
    weight = dw_add(weight, (dw){f.kept, v_set(0)});
    v_store(info->a, v_mul(weight.hi, counts)), v_store(info->a_lo, v_mul(weight.lo, counts));
    return dw_add(evenly, label);
}

static NOINLINE dw gap_of_probabilities(row_losses *l, row_info *info, intptr_t r, intptr_t rows, spread f) {
    spread_sums s = f.smooth ? sums_of_rows(l, info, r, rows, 1, f) : sums_of_rows(l, info, r, rows, 1, (spread){0});
    s.weight = dw_fast_two_sum(s.weight.hi, s.weight.lo); /* the upper word alone counts for the loss */
    v_store(info->a, s.weight.hi), v_store(info->a_lo, s.weight.lo);
    vec finite = v_add(v_sub(s.weight.hi, s.weight.hi), v_sub(s.weight.lo, s.weight.lo));
    return (dw){s.gap.hi, v_add(s.gap.lo, finite)}; /* nan shows where a sum of weights is not finite */
}

/* gap, A and `weighs` for rows with smoothed labels or probabilities. Infinite and nan logits, and weights of classes,
   need the care of gap_of_row; a row whose sums are finite has none. */
static NOINLINE dw gap_of_spread(row_losses *l, row_info *info, intptr_t r, intptr_t rows, real *weighs) {
    const fl_loss_options *o = l->options;
    spread f = spread_of(l);
    dw gap = {v_set(REAL_NAN), v_set(0)};
    real hi[LANES], lo[LANES];
    if (!o->class_weight)
        gap = o->are_probabilities ? gap_of_probabilities(l, info, r, rows, f)
                                   : gap_of_smoothed(l, info, r, rows, weighs, f);
    if (o->are_probabilities)
        for (intptr_t k = 0; k < rows; k++) weighs[k] = 1;
    for (intptr_t k = rows; k < LANES; k++) info->a[k] = 0;
    if (!o->class_weight && all_finite(v_sub(gap.hi, gap.lo))) return gap;
    v_store(hi, gap.hi), v_store(lo, gap.lo);
    for (intptr_t k = 0; k < rows; k++) {
        if (hi[k] - hi[k] + (lo[k] - lo[k]) == 0) continue;
        dw of_row = gap_of_row(l, info, r, k, weighs + k);
        hi[k] = first_lane(of_row.hi), lo[k] = first_lane(of_row.lo);
    }
    return (dw){v_load(hi), v_load(lo)};
}

#define LARGEST_FACTOR REAL(0x1p30) /* softmax's lifted terms times a larger factor could overflow */

/* What finish_row needs besides the sums. Lanes without a row have the factor of the last one. */
static void set_factors(row_info *info, partition p, intptr_t rows) {
    v_store(info->other, other_probability(p));
    for (intptr_t k = 0; k < LANES; k++) {
        intptr_t of_row = smaller(k, rows - 1);
        real factor = info->a[of_row] * info->scale[of_row];
        factor = factor < 0 ? -factor : factor;
        info->factor[k] = factor < LARGEST_FACTOR ? factor : 1;
    }
}

/* The divisor of softmax times a. */
INLINE divisor times(divisor z, vec a) {
    dw value = dw_mul(z.value.hi, a);
    z.value = (dw){value.hi, v_fma(z.value.lo, a, value.lo)};
    z.of_max = v_mul(z.of_max, a);
    return z;
}

/* Losses are stored if they are wanted, and summed otherwise. */
INLINE void put_losses(row_losses *l, intptr_t r, intptr_t rows, dw y) {
    const matrix *each = l->argument + ROW_EACH;
    if (!each->x) {
        add_losses(&l->sum, y);
        return;
    }
    real lanes[LANES];
    v_store(lanes, v_add(y.hi, y.lo));
    scatter(row_at(l, ROW_EACH, r), each->outer, lanes, rows);
}

/* Multiplies the losses of rows by their weights, and what will be the factor of their derivatives. A row that weighs 0
   does not count, whatever its numbers are, nor does one without a label that counts, whatever it weighs. */
static NOINLINE dw weigh_rows(row_losses *l, row_info *info, intptr_t r, intptr_t rows, real *weighs, dw y) {
    double of_rows[LANES];
    real weights[LANES], scales[LANES];
    fetch_row_weights(l, r, rows, of_rows);
    for (intptr_t k = 0; k < LANES; k++) weights[k] = (real)of_rows[k], scales[k] = (real)(l->scale * of_rows[k]);
    vec weight = v_load(weights), zero = v_set(0);
    mask none = mask_or(v_eq(weight, zero), v_eq(v_load(weighs), zero));
    v_store(info->scale, v_select(none, zero, v_load(scales)));
    v_store(info->a, v_select(none, zero, v_load(info->a)));
    v_store(info->a_lo, v_select(none, zero, v_load(info->a_lo)));
    v_store(weighs, v_select(none, zero, v_load(weighs)));
    dw product = dw_mul(y.hi, weight);
    product.lo = v_fma(y.lo, weight, product.lo);
    return (dw){product.hi, v_select(is_finite(product.hi), product.lo, zero)};
}

/* The callback `partitioned`, which is step 2 of the passes. */
static NOINLINE void take_losses(void *context, partition p, divisor *z, intptr_t r, intptr_t rows) {
    row_losses *l = context;
    row_info *info = info_of(l, r);
    int labels = !l->options->are_probabilities, spreads = !labels || l->options->smoothing != 0;
    vec zero = v_set(0);
    dw gap;
    real weighs[LANES] = {0}; /* not 0 if an a_c of the row is not 0 */
    if (labels) read_labels(l, info, r, rows, weighs);
    else count_rows(l, r, rows);
    if (l->n == 0) return;
    v_store(info->max, p.max);
    if (spreads) gap = gap_of_spread(l, info, r, rows, weighs);
    else gap = gap_of_labels(l, info, r, rows, p.max, v_load(weighs));
    vec a = v_load(info->a);
    dw y = k_cross_entropy(gap, a, p);
    if (l->argument[ROW_WEIGHTS].x) y = weigh_rows(l, info, r, rows, weighs, y);
    else v_store(info->scale, v_set((real)l->scale));
    mask nothing = v_eq(v_load(weighs), zero);
    y = (dw){v_select(nothing, zero, y.hi), v_select(nothing, zero, y.lo)};
    put_losses(l, r, rows, y);
    if (!z) return;
    set_factors(info, p, rows);
    *z = times(*z, v_load(info->factor));
}

/* Fills all but what `info` points to, which is filled row by row. */
static void begin_rows(row_losses *l, row_info *info, char **args, const intptr_t *dims, const intptr_t *steps,
                       const fl_loss *loss) {
    l->options = loss->options, l->result = loss->result, l->n = dims[1];
    l->scale = loss->options->scale / loss->options->temperature;
    l->info = info, l->infos = 1;
    l->sum = no_losses(), l->weight = (total){0, 0};
    for (int k = 0; k < ROW_ARGUMENTS; k++)
        l->argument[k] = matrix_of(args[k], dims, steps[k], steps[ROW_ARGUMENTS + k]);
    if (!args[ROW_WEIGHTS]) return; /* filling arrays takes as long as a tenth of a short call */
    for (int k = 0; k < LANES; k++) l->lane_hi[k] = l->lane_lo[k] = 0;
}

/* Adds what has been summed to the caller's result. */
static void give_results(row_losses *l) {
    give_total(&l->sum, l->result->total);
    for (int k = 0; k < LANES && l->argument[ROW_WEIGHTS].x; k++)
        fl_add_sum(l->result->weight, (double[]){l->lane_hi[k], l->lane_lo[k]});
    fl_add_sum(l->result->weight, (double[]){l->weight.hi, l->weight.lo});
}

/* Sums the weights of labels and rows alone. */
INLINE void only_weights(row_losses *l) {
    real weights[LANES];
    for (intptr_t r = 0; r < l->argument->rows; r += LANES) {
        intptr_t rows = smaller(l->argument->rows - r, LANES);
        if (l->options->are_probabilities) count_rows(l, r, rows);
        else read_labels(l, info_of(l, r), r, rows, weights);
    }
}

static NOINLINE void sum_rows(row_losses *l) {
    reduce_matrix((row_callbacks){.partitioned = take_losses, .context = l}, l->argument[ROW_LOGITS]);
}
