/* Losses of rows of logits with labels or probabilities, their sums, gradients and the diagonals of their Hessians,
   from one pass.

   The loss of a row is the sum of a_c (log Z - x_c), its gradient A p_c - a_c and the Hessian's diagonal
   A p_c (1 - p_c), p being softmax and A the sum of the a_c. For a label they are 0 but one; smoothed labels and
   probabilities have one for every class. Gradients are made where softmax stands, which is computed times A. */

#ifndef FASTLOG_ROW_LOSSES_H
#define FASTLOG_ROW_LOSSES_H

#include "losses.h"

/* Of LANES rows: labels, the sums A in two words and whether one of the a_c is not 0, the factor of softmax where it
   stands for the gradient, and the probability of all classes but the largest one. */
typedef struct {
    int64_t label[LANES], counts[LANES];
    real label_weight[LANES], a[LANES], a_lo[LANES], weighs[LANES], factor[LANES], other[LANES], max[LANES];
} row_info;

enum { ROW_LOGITS, ROW_TARGETS, ROW_EACH, ROW_GRADIENT, ROW_HESSIAN, ROW_ARGUMENTS };

typedef struct {
    fl_loss *options;
    matrix argument[ROW_ARGUMENTS];
    intptr_t n;
    loss_sum sum;
    total weight;
    row_info info[PANEL]; /* of the last rows */
} row_losses;

static row_info *info_of(row_losses *l, intptr_t r) { return l->info + r / LANES % PANEL; }

static char *row_at(row_losses *l, int argument, intptr_t r) {
    const matrix *m = l->argument + argument;
    return (char *)m->x + r * m->outer;
}

/* Which labels count; the others become 0. Returns how many are out of range. Options are copied, as labels could be
   theirs for all that the compiler knows, and the loop would not become one of vectors. */
INLINE int64_t check_labels(row_info *info, const fl_loss *f, intptr_t classes, intptr_t rows) {
    int64_t wrong = 0, ignores = f->ignores, ignored_label = f->ignored;
    for (intptr_t k = 0; k < rows; k++) {
        int64_t label = info->label[k], right = (uint64_t)label < (uint64_t)classes;
        int64_t ignored = ignores & (label == ignored_label), counts = right & (ignored ^ 1);
        wrong += (right | ignored) ^ 1;
        info->counts[k] = counts;
        info->label[k] = label & -counts;
    }
    return wrong;
}

/* The labels of rows r .. r+rows; those that do not count, and lanes without a row, are 0 and weigh nothing. */
static void read_labels(row_losses *l, row_info *info, intptr_t r, intptr_t rows) {
    fl_loss *f = l->options;
    const matrix *labels = l->argument + ROW_TARGETS;
    const char *p = row_at(l, ROW_TARGETS, r);
    int64_t counted = 0;
    int in_place = labels->outer == sizeof(int64_t) && f->target_type == (sizeof(long) == sizeof(int64_t) ? 'l' : 'q');
    for (intptr_t k = rows; k < LANES; k++) info->label[k] = info->counts[k] = 0;
    if (in_place && rows == LANES) memcpy(info->label, p, sizeof info->label);
    else fetch_labels(info->label, p, labels->outer, rows, f->target_type);
    f->wrong += rows == LANES ? check_labels(info, f, l->n, LANES) : check_labels(info, f, l->n, rows);
    for (intptr_t k = 0; k < LANES; k++) {
        counted += info->counts[k];
        info->label_weight[k] = (real)info->counts[k];
    }
    if (!f->class_weight) {
        l->weight.hi += (double)counted;
        return;
    }
    for (intptr_t k = 0; k < rows; k++) {
        double weight = info->counts[k] ? f->class_weight[info->label[k]] : 0;
        info->label_weight[k] = (real)weight;
        l->weight = total_add(l->weight, weight);
    }
}

/* a_c for n <= STAGE classes from c on, and 0 up to a full vector. */
static void class_weights(row_losses *l, const row_info *info, intptr_t r, intptr_t k, intptr_t c, intptr_t n,
                          real *a) {
    const fl_loss *f = l->options;
    const matrix *targets = l->argument + ROW_TARGETS;
    real even = (real)(f->smoothing / (double)l->n), kept = (real)(1 - f->smoothing);
    if (f->are_probabilities) {
        fetch_numbers(a, row_at(l, ROW_TARGETS, r + k) + c * targets->core, targets->core, n, f->target_type);
        if (f->smoothing != 0)
            for (intptr_t i = 0; i < n; i++) a[i] = a[i] * kept + even;
    } else {
        intptr_t at = (intptr_t)info->label[k] - c;
        for (intptr_t i = 0; i < n; i++) a[i] = info->counts[k] ? even : 0;
        if (info->counts[k] && at >= 0 && at < n) a[at] += kept;
    }
    for (intptr_t i = 0; i < n && f->class_weight; i++) {
        real weight = (real)f->class_weight[c + i];
        a[i] = weight == 0 ? 0 : a[i] * weight;
    }
    for (intptr_t i = n; i % LANES; i++) a[i] = 0;
}

/* hi and lo without overlap, where hi is finite. */
static dw dw_normal(dw x) {
    dw sum = dw_fast_two_sum(x.hi, x.lo);
    mask finite = is_finite(sum.hi);
    return (dw){v_select(finite, sum.hi, x.hi), v_select(finite, sum.lo, v_set(0))};
}

/* A sum of numbers that may be infinite, in all lanes. */
static dw finished(dw sum) {
    sum = dw_sum_of_lanes(sum);
    return (dw){sum.hi, v_select(is_finite(sum.hi), sum.lo, v_set(0))};
}

/* Sums over the classes of row r + k, of a_c and of a_c (max - x_c); a class that weighs nothing does not count. */
static dw gap_of_row(row_losses *l, row_info *info, intptr_t r, intptr_t k) {
    const matrix *logits = l->argument + ROW_LOGITS;
    vec zero = v_set(0), max = v_set(info->max[k]), weighs = zero;
    dw gap = {zero, zero}, weight = {zero, zero};
    for (intptr_t c = 0; c < l->n; c += STAGE) {
        real x[STAGE], a[STAGE];
        intptr_t n = smaller(l->n - c, STAGE);
        gather(x, row_at(l, ROW_LOGITS, r + k) + c * logits->core, logits->core, n);
        class_weights(l, info, r, k, c, n, a);
        for (intptr_t i = 0; i < n; i += LANES) {
            vec logit = v_load(x + i), of_class = v_load(a + i), below = v_sub(max, logit);
            below = v_select(m_or(v_eq(of_class, zero), v_eq(logit, max)), zero, below);
            gap = joined(gap, (dw){v_mul(of_class, below), zero});
            weight = joined(weight, (dw){of_class, zero});
            weighs = v_max(v_abs(of_class), weighs);
        }
        gap = dw_normal(gap), weight = dw_normal(weight);
    }
    weight = dw_normal(finished(weight));
    info->a[k] = first_lane(weight.hi), info->a_lo[k] = first_lane(weight.lo);
    info->weighs[k] = first_lane(largest_lane(weighs));
    return finished(gap);
}

/* Labels alone: the sum is a single term. */
static dw gap_of_labels(row_losses *l, row_info *info, intptr_t r, intptr_t rows, vec max) {
    const matrix *logits = l->argument + ROW_LOGITS;
    real picked[LANES];
    for (intptr_t k = 0; k < LANES; k++) {
        intptr_t row = smaller(k, rows - 1), label = (intptr_t)info->label[k];
        memcpy(picked + k, row_at(l, ROW_LOGITS, r + row) + label * logits->core, sizeof(real));
    }
    vec x = v_load(picked), weight = v_load(info->label_weight), zero = v_set(0);
    v_store(info->a, weight), v_store(info->a_lo, zero), v_store(info->weighs, weight);
    dw below = dw_two_sum(max, v_neg(x));
    mask none = m_or(v_eq(x, max), v_eq(weight, zero));
    below =
        (dw){v_select(none, zero, v_sub(max, x)), v_select(m_and(is_finite(below.hi), is_finite(x)), below.lo, zero)};
    dw gap = dw_mul(weight, below.hi);
    return (dw){gap.hi, v_select(is_finite(gap.hi), v_fma(weight, below.lo, gap.lo), zero)};
}

#define LARGEST_FACTOR REAL(0x1p30) /* of softmax: its terms are lifted, and would overflow */

/* softmax's norm becomes that of the gradient. */
INLINE norm times(norm z, vec a) {
    dw value = dw_mul(z.value.hi, a);
    z.value = (dw){value.hi, v_fma(z.value.lo, a, value.lo)};
    z.of_max = v_mul(z.of_max, a);
    return z;
}

/* Losses are stored, where they are wanted, or else summed. */
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

INLINE void take_losses(void *context, partition p, norm *z, intptr_t r, intptr_t rows) {
    row_losses *l = context;
    row_info *info = info_of(l, r);
    int labels = !l->options->are_probabilities, spread = !labels || l->options->smoothing != 0;
    vec zero = v_set(0);
    dw gap = {zero, zero};
    if (labels) read_labels(l, info, r, rows);
    else l->weight.hi += (double)rows;
    if (l->n == 0) return;
    v_store(info->max, p.max);
    if (spread) {
        real hi[LANES] = {0}, lo[LANES] = {0};
        for (intptr_t k = rows; k < LANES; k++) info->a[k] = info->weighs[k] = 0;
        for (intptr_t k = 0; k < rows; k++) {
            dw of_row = gap_of_row(l, info, r, k);
            hi[k] = first_lane(of_row.hi), lo[k] = first_lane(of_row.lo);
        }
        gap = (dw){v_load(hi), v_load(lo)};
    } else {
        gap = gap_of_labels(l, info, r, rows, p.max);
    }
    vec a = v_load(info->a);
    dw y = k_cross_entropy(gap, a, p);
    mask nothing = v_eq(v_load(info->weighs), zero);
    y = (dw){v_select(nothing, zero, y.hi), v_select(nothing, zero, y.lo)};
    put_losses(l, r, rows, y);
    if (!z) return;
    v_store(info->other, p_other_probability(p));
    for (intptr_t k = 0; k < LANES; k++) { /* lanes without a row are those of the last one */
        real factor = info->a[smaller(k, rows - 1)] * (real)l->options->scale;
        factor = factor < 0 ? -factor : factor;
        info->factor[k] = factor < LARGEST_FACTOR ? factor : 1;
    }
    *z = times(*z, v_load(info->factor));
}

/* A class's probability from that times the factor, and 1 - p. With a single infinite logit they are the limit's. */
typedef struct {
    vec p, q;
} probability;

INLINE probability p_probability(vec product, real factor, vec x, real max, real other) {
    vec one = v_set(1), zero = v_set(0);
    if (factor == 0) return (probability){zero, zero}; /* they will be multiplied by it */
    if (max == REAL_INFINITY && other == 0) {
        vec p = v_select(v_eq(x, v_set(max)), one, zero);
        return (probability){p, v_sub(one, p)};
    }
    vec p = v_div(product, v_set(factor));
    return (probability){p, v_select(v_lt(v_set(REAL(0.5)), p), v_set(other), v_sub(one, p))};
}

/* Makes the gradient, and the Hessian, of row r + k from A p_c, in blocks. */
static void finish_row(row_losses *l, const row_info *info, intptr_t r, intptr_t k) {
    const matrix *logits = l->argument + ROW_LOGITS, *gradient = l->argument + ROW_GRADIENT;
    const matrix *hessian = l->argument + ROW_HESSIAN;
    real scale = (real)l->options->scale;
    vec a_hi = v_set(info->a[k]), a_lo = v_set(info->a_lo[k]), all = v_set(info->a[k] * scale);
    for (intptr_t c = 0; c < l->n; c += STAGE) {
        real x[STAGE], a[STAGE], g[STAGE], h[STAGE];
        intptr_t n = smaller(l->n - c, STAGE);
        char *at = row_at(l, ROW_GRADIENT, r + k) + c * gradient->core;
        gather(x, row_at(l, ROW_LOGITS, r + k) + c * logits->core, logits->core, n);
        gather(g, at, gradient->core, n);
        class_weights(l, info, r, k, c, n, a);
        for (intptr_t i = 0; i < n; i += LANES) {
            vec of_class = v_load(a + i), dominant = v_set(REAL(0.5));
            probability t = p_probability(v_load(g + i), info->factor[k], v_load(x + i), info->max[k], info->other[k]);
            /* A p - a, and where one class has nearly all, (A - a) - A (1 - p). */
            vec others = v_add(v_sub(a_hi, of_class), a_lo);
            vec near = v_sub(v_mul(others, v_set(scale)), v_mul(all, t.q));
            vec far = v_fnma(of_class, v_set(scale), v_mul(all, t.p));
            v_store(g + i, v_select(v_lt(dominant, t.p), near, far));
            v_store(h + i, v_mul(all, v_mul(t.p, t.q)));
        }
        scatter(at, gradient->core, g, n);
        if (hessian->x) scatter(row_at(l, ROW_HESSIAN, r + k) + c * hessian->core, hessian->core, h, n);
    }
}

/* The gradients of rows r .. r+rows, where A p_c stands: of labels alone, only the label's is another. */
INLINE void finish_gradients(void *context, intptr_t r, intptr_t rows) {
    row_losses *l = context;
    const row_info *info = info_of(l, r);
    const fl_loss *f = l->options;
    const matrix *gradient = l->argument + ROW_GRADIENT;
    if (l->n == 0) return;
    int spread = f->are_probabilities || f->smoothing != 0 || l->argument[ROW_HESSIAN].x;
    for (intptr_t k = 0; k < rows; k++) {
        real factor = info->a[k] * (real)f->scale, x, g;
        if (spread || factor != info->factor[k] || factor == 0 || info->max[k] - info->max[k] != 0) {
            finish_row(l, info, r, k);
            continue;
        }
        intptr_t label = (intptr_t)info->label[k];
        char *at = row_at(l, ROW_GRADIENT, r + k) + label * gradient->core;
        memcpy(&x, row_at(l, ROW_LOGITS, r + k) + label * l->argument[ROW_LOGITS].core, sizeof x);
        memcpy(&g, at, sizeof g);
        g = x == info->max[k] ? -factor * info->other[k] : g - factor;
        memcpy(at, &g, sizeof g);
    }
}

/* `info` is large, and filled later. */
static void begin_rows(row_losses *l, char **args, const intptr_t *dims, const intptr_t *steps, void *data) {
    l->options = data, l->n = dims[1];
    l->sum = no_losses(), l->weight = (total){0, 0};
    for (int k = 0; k < ROW_ARGUMENTS; k++)
        l->argument[k] = (matrix){args[k], dims[0], dims[1], steps[k], steps[ROW_ARGUMENTS + k]};
}

static void give_results(row_losses *l) {
    give_total(&l->sum, l->options);
    add_total(l->options->weight, l->weight);
}

INLINE void only_labels(row_losses *l) {
    for (intptr_t r = 0; r < l->argument->rows; r += LANES)
        read_labels(l, info_of(l, r), r, smaller(l->argument->rows - r, LANES));
}

static void loop_cross_entropy_loss(char **args, const intptr_t *dims, const intptr_t *steps, void *data) {
    fl_status status = status_save();
    row_losses l;
    begin_rows(&l, args, dims, steps, data);
    hooks finish = {take_losses, finish_gradients, &l};
    if (l.options->only_weights) only_labels(&l);
    else if (!args[ROW_GRADIENT]) run_reduction((reduction){0, finish, l.argument[ROW_LOGITS], 0, 0});
    else
        normalize_matrix((normalization){n_softmax, k_softmax, 1, finish}, l.argument[ROW_LOGITS],
                         l.argument[ROW_GRADIENT]);
    give_results(&l);
    status_restore(status);
}

/* Of rows of log-probabilities: minus the label's, times its weight. */
static void loop_negative_log_likelihood_loss(char **args, const intptr_t *dims, const intptr_t *steps, void *data) {
    fl_status status = status_save();
    row_losses l;
    begin_rows(&l, args, dims, steps, data);
    const matrix *x = l.argument + ROW_LOGITS;
    for (intptr_t r = 0; r < x->rows; r += LANES) {
        intptr_t rows = smaller(x->rows - r, LANES);
        row_info *info = info_of(&l, r);
        real y[LANES] = {0};
        read_labels(&l, info, r, rows);
        for (intptr_t k = 0; k < rows && l.n; k++)
            memcpy(y + k, row_at(&l, ROW_LOGITS, r + k) + (intptr_t)info->label[k] * x->core, sizeof(real));
        vec weight = v_load(info->label_weight), loss = v_fnma(weight, v_load(y), v_set(0)); /* not -0 */
        loss = v_select(v_eq(weight, v_set(0)), v_set(0), loss);
        put_losses(&l, r, rows, (dw){loss, v_set(0)});
    }
    give_results(&l);
    status_restore(status);
}

#endif
