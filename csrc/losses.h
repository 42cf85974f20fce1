/* Losses: of elements and of rows, their sums, gradients and the diagonals of their Hessians, from one pass. fastlog.h
   says what the arguments are. */

#ifndef FASTLOG_LOSSES_H
#define FASTLOG_LOSSES_H

#include "kernels/losses.h"
#include "rows.h"

/* ---- targets of any type ---- */

#define FETCH_AS(code, type, convert) \
    case code: \
        for (intptr_t i = 0; i < n; i++) { \
            type value; \
            memcpy(&value, p + i * step, sizeof value); \
            to[i] = convert; \
        } \
        break;
#define FETCH_INTEGERS(convert) \
    FETCH_AS('?', uint8_t, value != 0) \
    FETCH_AS('b', int8_t, convert) \
    FETCH_AS('B', uint8_t, convert) \
    FETCH_AS('h', short, convert) \
    FETCH_AS('H', unsigned short, convert) \
    FETCH_AS('i', int, convert) \
    FETCH_AS('I', unsigned, convert) \
    FETCH_AS('l', long, convert) \
    FETCH_AS('L', unsigned long, convert) \
    FETCH_AS('q', long long, convert) \
    FETCH_AS('Q', unsigned long long, convert)

/* What no int64 holds becomes the largest one, not a negative number. */
static void fetch_labels(int64_t *to, const char *p, intptr_t step, intptr_t n, char type) {
    switch (type) { FETCH_INTEGERS((int64_t)value) }
    if (type != 'L' && type != 'Q') return;
    for (intptr_t i = 0; i < n; i++) to[i] = to[i] < 0 ? INT64_MAX : to[i];
}

static void fetch_numbers(real *to, const char *p, intptr_t step, intptr_t n, char type) {
    switch (type) {
        FETCH_INTEGERS((real)value)
        FETCH_AS('f', float, (real)value)
        FETCH_AS('d', double, (real)value)
    }
}

#define REAL_TYPE (FL_WIDTH == 32 ? 'f' : 'd')

/* n numbers where they are, or copied to `stage`. */
static const real *numbers(real *stage, const char *p, intptr_t step, intptr_t n, char type) {
    if (type == REAL_TYPE && step == WIDTH) return (const real *)p;
    fetch_numbers(stage, p, step, n, type);
    return stage;
}

/* ---- sums ---- */

/* Double words in the lanes. Their low words are not normalised, so they are emptied into `all` now and then; losses so
   large that they might overflow in the lanes are added to it at once. */
typedef struct {
    dw lanes;
    int pending;
    total all;
} loss_sum;

#define HEADROOM REAL(0x1p60)
#define PENDING 256 /* additions: the low words are right to 2^-32 of the sum, floats' ones too */

static loss_sum no_losses(void) { return (loss_sum){{v_set(0), v_set(0)}, 0, {0, 0}}; }

static void empty_lanes(loss_sum *s) {
    dw sum = dw_sum_of_lanes(s->lanes);
    s->all = total_add(s->all, first_lane(sum.hi));
    s->all.lo += first_lane(sum.lo);
    s->lanes = (dw){v_set(0), v_set(0)}, s->pending = 0;
}

INLINE dw joined(dw sum, dw x) {
    dw s = dw_two_sum(sum.hi, x.hi);
    return (dw){s.hi, v_add(sum.lo, v_add(s.lo, x.lo))};
}

INLINE void add_losses(loss_sum *s, dw y) {
    if (all_finite(v_mul(y.hi, v_set(HEADROOM)))) {
        s->lanes = joined(s->lanes, y);
        if (++s->pending == PENDING) empty_lanes(s);
        return;
    }
    real lanes[LANES];
    v_store(lanes, v_add(y.hi, y.lo));
    for (intptr_t k = 0; k < LANES; k++) s->all = total_add(s->all, lanes[k]);
}

static void add_total(double sum[2], total t) {
    total all = total_add((total){sum[0], sum[1]}, t.hi);
    sum[0] = all.hi, sum[1] = all.lo + t.lo;
}

/* Empties the sum into the result. */
static void give_total(loss_sum *s, fl_loss *f) {
    empty_lanes(s);
    add_total(f->total, s->all);
    s->all = (total){0, 0};
}

/* ---- of elements ---- */

#define LOSS_GROUPS 15 /* whose products are multiplied before a logarithm is taken: 2^120 at most */
#define LOSS_BLOCK (LOSS_GROUPS * GROUP * LANES)

typedef element element_kernel(element_input, settings);

/* What is compiled: a kernel, whether it has weights, and how many derivatives are wanted; `grouped` sums are those of
   k_binary_cross_entropy_group. */
typedef struct {
    element_kernel *kernel;
    int weighted, derivatives, grouped;
} element_function;

typedef struct {
    const real *x, *z, *weight, *pos_weight;
    real *each, *gradient, *hessian;
    intptr_t n;
} element_block;

INLINE vec load_some(const real *p, intptr_t n) { return n == LANES ? v_load(p) : v_load_part(p, n, p[0]); }
INLINE void store_some(real *p, intptr_t n, vec x) {
    if (n == LANES) v_store(p, x);
    else v_store_part(p, n, x);
}
INLINE vec leading_lanes(vec x, intptr_t n) { return n == LANES ? x : v_select(unused_lanes(n), v_set(0), x); }

INLINE void run_vectors(element_function f, const element_block *b, intptr_t i, intptr_t end, settings c, loss_sum *s) {
    for (; i < end; i += LANES) {
        intptr_t n = smaller(end - i, LANES);
        element_input in = {load_some(b->x + i, n), load_some(b->z + i, n), v_set(1), v_set(1)};
        if (f.weighted && b->weight) in.weight = load_some(b->weight + i, n);
        if (f.weighted && b->pos_weight) in.pos_weight = load_some(b->pos_weight + i, n);
        element e = f.kernel(in, c);
        if (f.derivatives > 0) store_some(b->gradient + i, n, e.gradient);
        if (f.derivatives > 1) store_some(b->hessian + i, n, e.hessian);
        if (b->each) store_some(b->each + i, n, e.loss);
        else add_losses(s, (dw){leading_lanes(e.loss, n), v_set(0)});
    }
}

INLINE void run_groups(element_function f, const element_block *b, settings c, loss_sum *s) {
    vec q[LOSS_GROUPS], limit = v_set(-NORMAL_MIN);
    intptr_t i = 0, groups = 0;
    for (; i + GROUP * LANES <= b->n; i += GROUP * LANES) {
        group_sum g = k_binary_cross_entropy_group(b->x + i, b->z + i, f.derivatives > 0 ? b->gradient + i : 0,
                                                   f.derivatives > 1 ? b->hessian + i : 0, c.scale);
        if (m_any(v_lt(limit, g.largest))) {
            run_vectors(f, b, i, i + GROUP * LANES, c, s);
        } else {
            q[groups++] = g.q;
            add_losses(s, (dw){g.linear, v_set(0)});
        }
    }
    for (intptr_t step = 1; step < groups; step *= 2)
        for (intptr_t k = 0; k + step < groups; k += 2 * step) q[k] = p_join_products(q[k], q[k + step]);
    if (groups) add_losses(s, m_log1p((dw){q[0], v_set(0)}));
    run_vectors(f, b, i, b->n, c, s);
}

/* Where a contiguous output is written itself, else the stage, from which it is scattered. */
static real *place(real *stage, char *p, intptr_t step) { return !p ? 0 : step == WIDTH ? (real *)p : stage; }
static void deliver(char *p, intptr_t step, const real *from, intptr_t n) {
    if (p && from != (const real *)p) scatter(p, step, from, n);
}

static void smooth(real *z, intptr_t n, double smoothing) {
    for (intptr_t i = 0; i < n; i++) z[i] = (real)(z[i] * (1 - smoothing) + smoothing / 2);
}

enum { LOGITS, TARGETS, WEIGHTS, POS_WEIGHTS, EACH, GRADIENT, HESSIAN, ROW_SUMS, ELEMENT_ARGUMENTS };

/* Elements i .. i+n <= i+LOSS_BLOCK of a row. */
INLINE void run_element_block(element_function f, const fl_loss *options, char **row, const intptr_t *core, intptr_t i,
                              intptr_t n, settings c, loss_sum *s) {
    real stage[HESSIAN + 1][LOSS_BLOCK];
    char *at[HESSIAN + 1];
    for (int k = 0; k <= HESSIAN; k++) at[k] = row[k] ? row[k] + i * core[k] : 0;
    element_block b = {
        numbers(stage[LOGITS], at[LOGITS], core[LOGITS], n, REAL_TYPE),
        numbers(stage[TARGETS], at[TARGETS], core[TARGETS], n, options->target_type),
        at[WEIGHTS] ? numbers(stage[WEIGHTS], at[WEIGHTS], core[WEIGHTS], n, REAL_TYPE) : 0,
        at[POS_WEIGHTS] ? numbers(stage[POS_WEIGHTS], at[POS_WEIGHTS], core[POS_WEIGHTS], n, REAL_TYPE) : 0,
        place(stage[EACH], at[EACH], core[EACH]),
        place(stage[GRADIENT], at[GRADIENT], core[GRADIENT]),
        place(stage[HESSIAN], at[HESSIAN], core[HESSIAN]),
        n,
    };
    if (options->smoothing != 0) {
        if (b.z != stage[TARGETS]) memcpy(stage[TARGETS], b.z, (size_t)(n * WIDTH));
        smooth(stage[TARGETS], n, options->smoothing);
        b.z = stage[TARGETS];
    }
    if (f.grouped && !b.each) run_groups(f, &b, c, s);
    else run_vectors(f, &b, 0, n, c, s);
    deliver(at[EACH], core[EACH], b.each, n);
    deliver(at[GRADIENT], core[GRADIENT], b.gradient, n);
    deliver(at[HESSIAN], core[HESSIAN], b.hessian, n);
}

INLINE void run_elements(element_function f, char **args, const intptr_t *dims, const intptr_t *steps,
                         fl_loss *options) {
    fl_status status = status_save();
    const intptr_t *core = steps + ELEMENT_ARGUMENTS;
    settings c = {v_set((real)options->scale), v_set((real)options->positive), v_set((real)options->negative),
                  v_set((real)options->gamma)};
    loss_sum s = no_losses();
    for (intptr_t r = 0; r < dims[0]; r++) {
        char *row[ELEMENT_ARGUMENTS];
        for (int k = 0; k < ELEMENT_ARGUMENTS; k++) row[k] = args[k] ? args[k] + r * steps[k] : 0;
        for (intptr_t i = 0; i < dims[1]; i += LOSS_BLOCK)
            run_element_block(f, options, row, core, i, smaller(dims[1] - i, LOSS_BLOCK), c, &s);
        if (!row[ROW_SUMS]) continue;
        options->total[0] = options->total[1] = 0;
        give_total(&s, options);
        double y = fl_sum(options->total);
        memcpy(row[ROW_SUMS], &y, sizeof y);
    }
    give_total(&s, options);
    status_restore(status);
}

/* Compiled once for every number of derivatives. */
INLINE void choose_derivatives(element_function f, char **args, const intptr_t *dims, const intptr_t *steps,
                               fl_loss *options) {
    if (!args[GRADIENT]) {
        f.derivatives = 0;
        run_elements(f, args, dims, steps, options);
    } else if (!args[HESSIAN]) {
        f.derivatives = 1;
        run_elements(f, args, dims, steps, options);
    } else {
        f.derivatives = 2;
        run_elements(f, args, dims, steps, options);
    }
}

static void loop_binary_cross_entropy_loss(char **args, const intptr_t *dims, const intptr_t *steps, void *data) {
    element_function plain = {k_binary_cross_entropy, 0, 0, 1}, weighted = {k_binary_cross_entropy_weighted, 1, 0, 0};
    if (args[WEIGHTS] || args[POS_WEIGHTS]) choose_derivatives(weighted, args, dims, steps, data);
    else choose_derivatives(plain, args, dims, steps, data);
}
static void loop_focal_loss(char **args, const intptr_t *dims, const intptr_t *steps, void *data) {
    choose_derivatives((element_function){k_focal, 1, 0, 0}, args, dims, steps, data);
}
static void loop_kl_divergence_loss(char **args, const intptr_t *dims, const intptr_t *steps, void *data) {
    run_elements((element_function){k_kl_divergence, 0, 0, 0}, args, dims, steps, data);
}
static void loop_kl_divergence_of_logs_loss(char **args, const intptr_t *dims, const intptr_t *steps, void *data) {
    run_elements((element_function){k_kl_divergence_of_logs, 0, 0, 0}, args, dims, steps, data);
}

/* ---- of rows ----

   The loss of a row is the sum of a_c (log Z - x_c), its gradient A p_c - a_c and the Hessian's diagonal
   A p_c (1 - p_c), p being softmax and A the sum of the a_c. For a label they are 0 but one; smoothed labels and
   probabilities have one for every class. Gradients are made where softmax stands, which is computed times A. */

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
        info->a[k] = info->weighs[k] = info->label_weight[k];
        info->a_lo[k] = 0;
        memcpy(picked + k, row_at(l, ROW_LOGITS, r + row) + label * logits->core, sizeof(real));
    }
    vec x = v_load(picked), weight = v_load(info->a), zero = v_set(0);
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
