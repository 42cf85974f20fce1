/* Gradients of losses of rows, and the diagonals of their Hessians.

   With the logits x_c of a row, the weights a_c of its classes, their sum A, and p the softmax of x:
     gradient        A p_c - a_c
     Hessian         A p_c (1 - p_c), on the diagonal

   Passes      Short rows, one per lane, have their sums and losses first (loops/row_loss.h); then e^x_c is computed
               once more for each class, and everything that follows from it. All other rows, in the way of
               normalize.h:
                 1. normalize.h sums them
                 2. take_losses computes the losses, and multiplies the divisor of softmax by A
                 3. normalize.h writes A p_c where the gradient will be
                 4. finish_gradients subtracts a_c there, and makes the Hessian */

#pragma once

#include "loops/row_loss.h"
#include "loops/softmax.h"

/* The probability p of a class, and q = 1 - p. */
typedef struct {
    vec p, q;
} probability;

/* q is `other`, the probability of all classes but the most probable one, if p is that one's. */
INLINE probability with_complement(vec p, vec other) {
    return (probability){p, v_select(v_lt(v_set(REAL(0.5)), p), other, v_sub(v_set(1), p))};
}

/* The gradient and the Hessian of one class, times the scale, given its a_c and the row's A in two words. The gradient is
   A p - a; where one class has more than half of p, it is (A - a) - A (1 - p), which has more digits. */
typedef struct {
    vec gradient, hessian;
} derivatives;

INLINE derivatives derivatives_of(probability t, dw a, vec of_class, vec scale) {
    vec all = v_mul(a.hi, scale), others = v_add(v_sub(a.hi, of_class), a.lo);
    vec near = v_sub(v_mul(others, scale), v_mul(all, t.q)), far = v_fnma(of_class, scale, v_mul(all, t.p));
    return (derivatives){v_select(v_lt(v_set(REAL(0.5)), t.p), near, far), v_mul(all, v_mul(t.p, t.q))};
}

/* `product` is p times the factor. With a single infinite logit, p is the limit. */
INLINE probability probability_of(vec product, real factor, vec x, real max, real other) {
    vec one = v_set(1), zero = v_set(0);
    if (factor == 0) return (probability){zero, zero}; /* they will be multiplied by it */
    if (max == REAL_INFINITY && other == 0) {
        vec p = v_select(v_eq(x, v_set(max)), one, zero);
        return (probability){p, v_sub(one, p)};
    }
    return with_complement(v_div(product, v_set(factor)), v_set(other));
}

/* Makes the gradient of row r + k, and the Hessian, block by block. The gradient's place has p_c times the factor. */
static NOINLINE void finish_row(row_losses *l, const row_info *info, intptr_t r, intptr_t k) {
    const matrix *logits = l->argument + ROW_LOGITS, *gradient = l->argument + ROW_GRADIENT;
    const matrix *hessian = l->argument + ROW_HESSIAN;
    vec scale = v_set((real)l->options->scale);
    dw weight = {v_set(info->a[k]), v_set(info->a_lo[k])};
    for (intptr_t c = 0; c < l->n; c += STAGE) {
        real x[STAGE], a[STAGE], g[STAGE], h[STAGE];
        intptr_t n = smaller(l->n - c, STAGE);
        char *at = row_at(l, ROW_GRADIENT, r + k) + c * gradient->core;
        gather(x, row_at(l, ROW_LOGITS, r + k) + c * logits->core, logits->core, n);
        gather(g, at, gradient->core, n);
        class_weights(l, info, r, k, c, n, a);
        for (intptr_t i = 0; i < n; i += LANES) {
            probability t = probability_of(v_load(g + i), info->factor[k], v_load(x + i), info->max[k], info->other[k]);
            derivatives d = derivatives_of(t, weight, v_load(a + i), scale);
            v_store(g + i, d.gradient);
            v_store(h + i, d.hessian);
        }
        scatter(at, gradient->core, g, n);
        if (hessian->x) scatter(row_at(l, ROW_HESSIAN, r + k) + c * hessian->core, hessian->core, h, n);
    }
}

/* The callback `normalized`, which is step 4 of the passes. With labels alone, only the label's element changes. */
static NOINLINE void finish_gradients(void *context, intptr_t r, intptr_t rows) {
    row_losses *l = context;
    const row_info *info = info_of(l, r);
    const fl_loss_options *f = l->options;
    if (l->n == 0) return;
    int spread = f->are_probabilities || f->smoothing != 0 || l->argument[ROW_HESSIAN].x;
    for (intptr_t k = 0; k < rows; k++) {
        real factor = info->a[k] * (real)f->scale, x, g;
        if (spread || factor != info->factor[k] || factor == 0 || info->max[k] - info->max[k] != 0) {
            finish_row(l, info, r, k);
            continue;
        }
        char *at = label_at(l, info, ROW_GRADIENT, r, k);
        memcpy(&x, label_at(l, info, ROW_LOGITS, r, k), sizeof x);
        memcpy(&g, at, sizeof g);
        g = x == info->max[k] ? -factor * info->other[k] : g - factor;
        memcpy(at, &g, sizeof g);
    }
}

INLINE normalization gradient_of(row_callbacks to) {
    return (normalization){.divisor_of = divisor_softmax, .kernel = k_softmax, .of_terms = 1, .to = to};
}

/* The ways of rows have frames of their own, of which only one is on the stack at a time. */
static NOINLINE intptr_t gradients_of_panels(row_losses *l) {
    return normalize_panels(gradient_of((row_callbacks){take_losses, finish_gradients, l}), l->argument[ROW_LOGITS],
                            l->argument[ROW_GRADIENT]);
}
static NOINLINE void gradients_of_rows(row_callbacks to, matrix logits, matrix gradient, intptr_t r) {
    normalize_rows(gradient_of(to), logits, gradient, r);
}

/* ---- short rows, one per lane ---- */

/* The targets of LANES rows: labels, or the probabilities of all classes. */
typedef struct {
    vec label, counts;         /* counts is 0 for a row without a label, otherwise the label's weight */
    const real *probabilities; /* those of one class are `step` apart from those of the next; NULL for labels */
    intptr_t step;
    int smooth;
    spread f;
} lane_targets;

INLINE vec weight_of_class(lane_targets t, intptr_t c) {
    vec zero = v_set(0);
    if (t.probabilities) {
        vec a = v_load(t.probabilities + c * t.step);
        return t.smooth ? v_add(v_mul(a, t.f.kept), t.f.even) : a;
    }
    mask is_label = v_eq(t.label, v_set((real)c));
    if (!t.smooth) return v_select(is_label, t.counts, zero);
    vec a = v_select(is_label, v_add(t.f.even, t.f.kept), t.f.even);
    return v_select(v_eq(t.counts, zero), zero, a);
}

/* 1 / (the sum of terms), in units of 2^-n. */
INLINE dw inverse_of_sum(short_sums s) {
    dw rest = s.all.rest, sum = dw_two_sum(v_set(1), rest.hi), product = dw_mul(s.top.hi, sum.hi);
    sum.lo = v_add(sum.lo, rest.lo);
    product.lo = v_add(product.lo, v_fma(s.top.hi, sum.lo, v_mul(s.top.lo, sum.hi)));
    return dw_div((dw){v_set(1), v_set(0)}, product);
}

INLINE void write_derivatives(const row_losses *l, const row_info *info, short_sums s, lane_targets t, vectors v,
                              vectors hessian) {
    dw inverse = inverse_of_sum(s), a = {v_load(info->a), v_load(info->a_lo)};
    vec scale = v_set((real)l->options->scale), other = other_probability(s.all);
    for (intptr_t c = 0; c < v.n; c++) {
        vec p = plain_quotient(m_exp_plain(v_load(v.x + c * v.step), s.rounder), inverse);
        derivatives d = derivatives_of(with_complement(p, other), a, weight_of_class(t, c), scale);
        v_store(v.kept + c * v.kept_step, d.gradient);
        if (hessian.kept) v_store(hessian.kept + c * hessian.kept_step, d.hessian);
    }
}

/* A callback that multiplies the divisor. */
static void scale_divisor(void *factor, partition p, divisor *z, intptr_t r, intptr_t rows) {
    (void)p, (void)r, (void)rows;
    *z = times(*z, v_set(*(const real *)factor));
}

/* The derivatives of row r + k by the way of long rows. */
static NOINLINE void write_odd_row(row_losses *l, row_info *info, intptr_t r, intptr_t k) {
    row_callbacks to = {.partitioned = scale_divisor, .context = info->factor + k};
    gradients_of_rows(to, rows_from(l->argument[ROW_LOGITS], r + k, 1), rows_from(l->argument[ROW_GRADIENT], r + k, 1),
                      0);
    finish_row(l, info, r, k);
}

static void write_odd_rows(row_losses *l, row_info *info, short_sums s, intptr_t r, intptr_t rows) {
    real odd[LANES];
    v_store(odd, v_select(s.special, v_set(1), v_set(0)));
    set_factors(l, info, s.all, rows);
    for (intptr_t k = 0; k < rows; k++)
        if (odd[k] != 0) write_odd_row(l, info, r, k);
}

/* Whether short_gradients has a way for the rows and their targets. */
static int are_short(const row_losses *l) {
    const fl_loss_options *f = l->options;
    int of_classes = f->are_probabilities || f->smoothing != 0;
    if (!l->n || l->n > LANE_BLOCK || choose_way(l->argument[ROW_LOGITS]) == ALONG) return 0;
    return !(of_classes && f->class_weight) && (!f->are_probabilities || f->target_type == REAL_TYPE);
}

/* The place of rows r to r+LANES-1 in a matrix, or a tile if they are not to be read or written there. */
INLINE vectors place_of(const matrix *m, real *tile, intptr_t r, int direct) {
    if (!direct) return (vectors){.x = tile, .step = LANES, .n = m->n, .kept = tile, .kept_step = LANES};
    real *at = (real *)(m->x + r * WIDTH);
    return (vectors){.x = at, .step = m->core / WIDTH, .n = m->n, .kept = at, .kept_step = m->core / WIDTH};
}

static NOINLINE void short_gradients(row_losses *l) {
    const fl_loss_options *f = l->options;
    const matrix *logits = l->argument + ROW_LOGITS, *targets = l->argument + ROW_TARGETS;
    const matrix *gradient = l->argument + ROW_GRADIENT, *hessian = l->argument + ROW_HESSIAN;
    real x[LANE_BLOCK * LANES], z[LANE_BLOCK * LANES], g[LANE_BLOCK * LANES], h[LANE_BLOCK * LANES];
    for (intptr_t r = 0; r < logits->rows; r += LANES) {
        intptr_t rows = smaller(logits->rows - r, LANES);
        int direct = LANES > 1 && rows == LANES && is_in_columns(logits) && is_in_columns(gradient);
        direct = direct && (!hessian->x || is_in_columns(hessian));
        row_info *info = info_of(l, r);
        vectors v = place_of(logits, x, r, direct), of_hessian = {0};
        if (!direct) load_tile(x, logits, r, rows, 0, l->n);
        short_sums s = sums_of_short(v);
        take_losses(l, s.all, NULL, r, rows);
        lane_targets t = {.smooth = f->smoothing != 0, .f = spread_of(l)};
        if (f->are_probabilities) {
            load_tile(z, targets, r, rows, 0, l->n);
            t.probabilities = z, t.step = LANES;
        } else {
            real label[LANES];
            for (intptr_t k = 0; k < LANES; k++) label[k] = (real)info->label[k];
            t.label = v_load(label), t.counts = v_load(info->a);
        }
        vectors to = place_of(gradient, g, r, direct);
        v.kept = to.kept, v.kept_step = to.kept_step;
        if (hessian->x) of_hessian = place_of(hessian, h, r, direct);
        write_derivatives(l, info, s, t, v, of_hessian);
        if (!direct) store_tile(g, gradient, r, rows, 0, l->n);
        if (!direct && hessian->x) store_tile(h, hessian, r, rows, 0, l->n);
        if (mask_any(s.special)) write_odd_rows(l, info, s, r, rows);
    }
}

static NOINLINE void long_gradients(row_losses *l) {
    row_info info[CALLBACK_PANEL];
    l->info = info, l->infos = CALLBACK_PANEL;
    intptr_t done = gradients_of_panels(l);
    gradients_of_rows((row_callbacks){take_losses, finish_gradients, l}, l->argument[ROW_LOGITS],
                      l->argument[ROW_GRADIENT], done);
}

static unsigned loop_cross_entropy(char **args, const intptr_t *dims, const intptr_t *steps, const fl_loss *loss) {
    row_losses l;
    row_info info;
    begin_rows(&l, &info, args, dims, steps, loss);
    if (l.options->only_weights) only_labels(&l);
    else if (!args[ROW_GRADIENT]) sum_rows(&l);
    else if (are_short(&l)) short_gradients(&l);
    else long_gradients(&l);
    give_results(&l);
    return 0;
}
