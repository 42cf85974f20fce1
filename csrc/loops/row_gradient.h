/* Gradients of losses of rows, and the diagonals of their Hessians.

   With the logits x_c of a row, the weights a_c of its classes, their sum A, and p the softmax of x:
     gradient        A p_c - a_c
     Hessian         A p_c (1 - p_c), on the diagonal
   and times the row's own weight. Where logits have been divided by a temperature T, the derivatives are those by what
   they were before: the gradient is divided by T, the Hessian by T^2. The derivative of a row's loss by T, its slope,
   is the sum of (max - x_c) gradient_c. As the gradient adds up to 0, max changes nothing but the rounding errors.

   Passes      Short rows, one per lane, have their sums first, and their losses (loops/row_loss.h, or label_loss.h where
               they have labels alone); then, or before those losses, e^x_c is computed once more for each class, and
               everything that follows from it. All other rows, in the way of normalize.h:
                 1. normalize.h sums them
                 2. take_losses computes the losses, and multiplies the divisor of softmax by A
                 3. normalize.h writes A p_c where the gradient will be
                 4. finish_gradients subtracts a_c there, and makes the Hessian and the slope */

#pragma once

#include "loops/label_loss.h"
#include "loops/softmax.h"

/* The probability p of a class, and q = 1 - p. */
typedef struct {
    vec p, q;
} probability;

/* q is `other`, the probability of all classes but the most probable one, if p is that one's. */
INLINE probability with_complement(vec p, vec other) {
    return (probability){p, v_select(v_lt(v_set(REAL(0.5)), p), other, v_sub(v_set(1), p))};
}

/* The gradient and the Hessian of one class, times the scale, and the Hessian times `curve`, given its a_c and the
   row's A in two words. The gradient is A p - a; where one class has more than half of p, it is (A - a) - A (1 - p),
   which has more digits. */
typedef struct {
    vec gradient, hessian;
} derivatives;

INLINE derivatives derivatives_of(probability t, dw a, vec of_class, vec scale, vec curve) {
    vec all = v_mul(a.hi, scale), others = v_add(v_sub(a.hi, of_class), a.lo);
    vec near = v_sub(v_mul(others, scale), v_mul(all, t.q)), far = v_fnma(of_class, scale, v_mul(all, t.p));
    return (derivatives){v_select(v_lt(v_set(REAL(0.5)), t.p), near, far), v_mul(v_mul(all, curve), v_mul(t.p, t.q))};
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

/* What a class adds to the slope. One whose gradient is 0 adds nothing, even if its logit is infinite. */
INLINE vec slope_of_class(vec max, vec x, vec gradient) {
    vec zero = v_set(0);
    mask none = mask_or(v_eq(gradient, zero), v_eq(x, max));
    return v_select(none, zero, v_mul(v_sub(max, x), gradient));
}

/* Writes the slope of row r, which is in two words; an infinite one has no low word. */
static void put_slope(row_losses *l, intptr_t r, real hi, real lo) {
    double slope = hi - hi == 0 ? (double)hi + (double)lo : (double)hi;
    memcpy(row_at(l, ROW_SLOPES, r), &slope, sizeof slope);
}

/* Writes the slope of row r + k, whose gradient is finished. */
static NOINLINE void finish_slope(row_losses *l, const row_info *info, intptr_t r, intptr_t k) {
    const matrix *logits = l->argument + ROW_LOGITS, *gradient = l->argument + ROW_GRADIENT;
    vec zero = v_set(0), max = v_set(info->max[k]);
    dw slope = {zero, zero};
    for (intptr_t c = 0; c < l->n; c += STAGE) {
        real x[STAGE], g[STAGE];
        intptr_t n = smaller(l->n - c, STAGE);
        dw block = {zero, zero};
        gather(x, row_at(l, ROW_LOGITS, r + k) + c * logits->core, logits->core, n);
        gather(g, row_at(l, ROW_GRADIENT, r + k) + c * gradient->core, gradient->core, n);
        for (intptr_t i = n; i % LANES; i++) g[i] = 0;
        for (intptr_t i = 0; i < n; i += LANES)
            block = dw_join_word(block, slope_of_class(max, v_load(x + i), v_load(g + i)));
        vec sum = v_add(slope.hi, block.hi); /* an infinite one has no low word to renormalise it with */
        slope = all_finite(sum) ? dw_add(slope, block) : (dw){sum, zero};
    }
    slope = dw_sum_of_lanes(slope);
    put_slope(l, r + k, first_lane(slope.hi), first_lane(slope.lo));
}

/* Fills an argument's row with zeros. */
static void clear_row(row_losses *l, int argument, intptr_t r) {
    const real zeros[STAGE] = {0};
    intptr_t core = l->argument[argument].core;
    for (intptr_t c = 0; c < l->n; c += STAGE)
        scatter(row_at(l, argument, r) + c * core, core, zeros, smaller(l->n - c, STAGE));
}

/* Makes the gradient of row r + k, and the Hessian, block by block. The gradient's place has p_c times the factor. */
static NOINLINE void finish_row(row_losses *l, const row_info *info, intptr_t r, intptr_t k) {
    const matrix *logits = l->argument + ROW_LOGITS, *gradient = l->argument + ROW_GRADIENT;
    const matrix *hessian = l->argument + ROW_HESSIAN;
    vec scale = v_set(info->scale[k]), curve = v_set((real)(1 / l->options->temperature));
    dw weight = {v_set(info->a[k]), v_set(info->a_lo[k])};
    if (info->scale[k] == 0) { /* the row does not count */
        clear_row(l, ROW_GRADIENT, r + k);
        if (hessian->x) clear_row(l, ROW_HESSIAN, r + k);
        return;
    }
    for (intptr_t c = 0; c < l->n; c += STAGE) {
        real x[STAGE], a[STAGE], g[STAGE], h[STAGE];
        intptr_t n = smaller(l->n - c, STAGE);
        char *at = row_at(l, ROW_GRADIENT, r + k) + c * gradient->core;
        gather(x, row_at(l, ROW_LOGITS, r + k) + c * logits->core, logits->core, n);
        gather(g, at, gradient->core, n);
        class_weights(l, info, r, k, c, n, a);
        for (intptr_t i = 0; i < n; i += LANES) {
            probability t = probability_of(v_load(g + i), info->factor[k], v_load(x + i), info->max[k], info->other[k]);
            derivatives d = derivatives_of(t, weight, v_load(a + i), scale, curve);
            v_store(g + i, d.gradient);
            v_store(h + i, d.hessian);
        }
        scatter(at, gradient->core, g, n);
        if (hessian->x) scatter(row_at(l, ROW_HESSIAN, r + k) + c * hessian->core, hessian->core, h, n);
    }
}

/* Makes the gradient of row r + k where that of all classes but the label is there already. */
INLINE void finish_label(row_losses *l, const row_info *info, intptr_t r, intptr_t k, real factor) {
    real x, g;
    char *at = label_at(l, info, ROW_GRADIENT, r, k);
    memcpy(&x, label_at(l, info, ROW_LOGITS, r, k), sizeof x);
    memcpy(&g, at, sizeof g);
    g = x == info->max[k] ? -factor * info->other[k] : g - factor;
    memcpy(at, &g, sizeof g);
}

/* The callback `normalized`, which is step 4 of the passes. With labels alone, only the label's element changes. */
static NOINLINE void finish_gradients(void *context, intptr_t r, intptr_t rows) {
    row_losses *l = context;
    const row_info *info = info_of(l, r);
    const fl_loss_options *f = l->options;
    if (l->n == 0) return;
    int spread = f->are_probabilities || f->smoothing != 0 || l->argument[ROW_HESSIAN].x;
    for (intptr_t k = 0; k < rows; k++) {
        real factor = info->a[k] * info->scale[k];
        int odd = factor != info->factor[k] || factor == 0 || info->max[k] - info->max[k] != 0;
        if (spread || odd) finish_row(l, info, r, k);
        else finish_label(l, info, r, k, factor);
        if (l->argument[ROW_SLOPES].x) finish_slope(l, info, r, k);
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

/* Returns the slopes, if they are wanted. */
INLINE dw write_derivatives(const row_losses *l, const row_info *info, short_sums s, lane_targets t, vectors v,
                            vectors hessian, int slopes) {
    dw inverse = inverse_of_sum(s), a = {v_load(info->a), v_load(info->a_lo)};
    vec scale = v_load(info->scale), curve = v_set((real)(1 / l->options->temperature));
    vec other = other_probability(s.all), zero = v_set(0);
    dw slope = {zero, zero};
    for (intptr_t c = 0; c < v.n; c++) {
        vec x = v_load(v.x + c * v.step), p = plain_quotient(m_exp_plain(x, s.rounder), inverse);
        derivatives d = derivatives_of(with_complement(p, other), a, weight_of_class(t, c), scale, curve);
        v_store(v.kept + c * v.kept_step, d.gradient);
        if (hessian.kept) v_store(hessian.kept + c * hessian.kept_step, d.hessian);
        if (slopes) slope = dw_join_word(slope, slope_of_class(s.all.max, x, d.gradient));
    }
    return slope;
}

static void put_slopes(row_losses *l, intptr_t r, intptr_t rows, dw slopes) {
    real hi[LANES], lo[LANES];
    v_store(hi, slopes.hi), v_store(lo, slopes.lo);
    for (intptr_t k = 0; k < rows; k++) put_slope(l, r + k, hi[k], lo[k]);
}

/* A callback that multiplies the divisor. */
static void scale_divisor(void *factor, partition p, divisor *z, intptr_t r, intptr_t rows) {
    (void)p, (void)r, (void)rows;
    *z = times(*z, v_set(*(const real *)factor));
}

/* The derivatives of row r + k by the way of long rows. */
static NOINLINE void write_odd_row(row_losses *l, row_info *info, intptr_t r, intptr_t k) {
    row_callbacks to = {.partitioned = scale_divisor, .context = info->factor + k};
    if (info->scale[k] != 0)
        gradients_of_rows(to, rows_from(l->argument[ROW_LOGITS], r + k, 1),
                          rows_from(l->argument[ROW_GRADIENT], r + k, 1), 0);
    finish_row(l, info, r, k);
    if (l->argument[ROW_SLOPES].x) finish_slope(l, info, r, k);
}

static void write_odd_rows(row_losses *l, row_info *info, short_sums s, mask which, intptr_t r, intptr_t rows) {
    real odd[LANES];
    v_store(odd, v_select(which, v_set(1), v_set(0)));
    set_factors(info, s.all, rows);
    for (intptr_t k = 0; k < rows; k++)
        if (odd[k] != 0) write_odd_row(l, info, r, k);
}

/* The rows that short_gradients leaves to the way of long rows: those whose sum is not an ordinary one, those that weigh
   0, and those with a nan whose label does not count, as 0 times nan is not 0. */
INLINE mask are_odd(const row_info *info, short_sums s) {
    vec zero = v_set(0), rest = s.all.rest.hi;
    mask no_label = mask_and(v_eq(v_load(info->a), zero), v_ne(rest, rest));
    return mask_or(mask_or(s.special, no_label), v_eq(v_load(info->scale), zero));
}

/* Whether short_gradients has a way for the rows and their targets. */
static int are_short(const row_losses *l) {
    const fl_loss_options *f = l->options;
    int of_classes = f->are_probabilities || f->smoothing != 0;
    if (!is_short(l->argument + ROW_LOGITS)) return 0;
    return !(of_classes && f->class_weight) && (!f->are_probabilities || f->target_type == REAL_TYPE);
}

/* Writes the derivatives of rows r to r+rows-1, whose sums, targets and `info` are known. */
INLINE void gradients_of_lanes(row_losses *l, row_info *info, short_sums s, lane_targets t, vectors v, intptr_t r,
                               intptr_t rows) {
    const matrix *gradient = l->argument + ROW_GRADIENT, *hessian = l->argument + ROW_HESSIAN;
    real g[LANE_BLOCK * LANES], h[LANE_BLOCK * LANES];
    vectors to = place_of(gradient, g, r, rows), of_hessian = {0};
    v.kept = to.kept, v.kept_step = to.kept_step;
    if (hessian->x) of_hessian = place_of(hessian, h, r, rows);
    if (l->argument[ROW_SLOPES].x) put_slopes(l, r, rows, write_derivatives(l, info, s, t, v, of_hessian, 1));
    else write_derivatives(l, info, s, t, v, of_hessian, 0);
    if (to.kept == g) store_tile(g, gradient, r, rows, 0, l->n);
    if (of_hessian.kept == h) store_tile(h, hessian, r, rows, 0, l->n);
}

static NOINLINE void short_gradients(row_losses *l) {
    const fl_loss_options *f = l->options;
    const matrix *logits = l->argument + ROW_LOGITS, *targets = l->argument + ROW_TARGETS;
    real x[LANE_BLOCK * LANES], z[LANE_BLOCK * LANES];
    for (intptr_t r = 0; r < logits->rows; r += LANES) {
        intptr_t rows = smaller(logits->rows - r, LANES);
        row_info *info = info_of(l, r);
        vectors v = rows_at(logits, x, r, rows);
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
        gradients_of_lanes(l, info, s, t, v, r, rows);
        mask odd = are_odd(info, s);
        if (mask_any(odd)) write_odd_rows(l, info, s, odd, r, rows);
    }
}

/* What write_odd_rows needs to know of rows with labels alone. */
static void describe_picked(row_info *info, const picked_rows *p, intptr_t k, vec max) {
    v_store(info->max, max);
    for (intptr_t i = 0; i < LANES; i++) info->label[i] = p->weighs[k + i] != 0 ? p->label[k + i] : NO_LABEL;
}

/* Short rows with labels alone. Labels that count are below LANE_BLOCK, so that int32, which becomes a real faster than
   int64, has them. */
static NOINLINE void picked_gradients(row_losses *l) {
    real tile[LANE_BLOCK * LANES], label[PICKED];
    picked_rows p;
    row_info *info = l->info;
    intptr_t all = l->argument->rows;
    v_store(info->a_lo, v_set(0)), v_store(info->scale, v_set((real)l->scale));
    for (intptr_t r = 0; r < all; r += PICKED) {
        matrix x = rows_from(l->argument[ROW_LOGITS], r, smaller(all - r, PICKED));
        read_picked(l, &p, x, r);
        for (intptr_t k = 0; k < x.rows; k++) label[k] = (real)(int32_t)p.label[k];
        for (intptr_t k = x.rows; k < filled_up(x.rows); k++) label[k] = 0;
        for (intptr_t k = 0; k < x.rows; k += LANES) {
            intptr_t rows = smaller(x.rows - k, LANES);
            vectors v = rows_at(&x, tile, k, rows);
            short_sums s = sums_of_short(v);
            p.all[k / LANES] = s.all;
            v_store(info->a, v_load(p.weighs + k));
            gradients_of_lanes(l, info, s, (lane_targets){.label = v_load(label + k), .counts = v_load(p.weighs + k)},
                               v, r + k, rows);
            mask odd = are_odd(info, s);
            if (!mask_any(odd)) continue;
            describe_picked(info, &p, k, s.all.max);
            write_odd_rows(l, info, s, odd, r + k, rows);
        }
        keep_entropies(&p);
        put_picked(l, &p, r);
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
    if (l.options->only_weights) only_weights(&l);
    else if (are_picked(&l)) args[ROW_GRADIENT] ? picked_gradients(&l) : pick_rows(&l);
    else if (!args[ROW_GRADIENT]) sum_rows(&l);
    else if (are_short(&l)) short_gradients(&l);
    else long_gradients(&l);
    give_results(&l);
    return 0;
}
