/* Losses of elements: their sums, gradients and the diagonals of their Hessians, from one pass. fastlog.h says what the
   arguments are. Targets and sums are those of row_losses.h, too. */

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
    s->all = total_settled(s->all);
    s->lanes = (dw){v_set(0), v_set(0)}, s->pending = 0;
}

INLINE void add_losses(loss_sum *s, dw y) {
    if (all_finite(v_mul(y.hi, v_set(HEADROOM)))) {
        s->lanes = dw_join(s->lanes, y);
        if (++s->pending == PENDING) empty_lanes(s);
        return;
    }
    if (!all_finite(y.hi)) {
        s->all.hi += first_lane(sum_of_lanes(y.hi));
        return;
    }
    real lanes[LANES];
    v_store(lanes, v_add(y.hi, y.lo));
    for (intptr_t k = 0; k < LANES; k++) s->all = total_add(s->all, lanes[k]);
}

static void add_total(double sum[2], total t) {
    total all = total_add((total){sum[0], sum[1]}, t.hi);
    all.lo += t.lo;
    all = total_settled(all);
    sum[0] = all.hi, sum[1] = all.lo;
}

/* Empties the sum into the result. */
static void give_total(loss_sum *s, fl_loss *f) {
    empty_lanes(s);
    add_total(f->total, s->all);
    s->all = (total){0, 0};
}

/* ---- of elements ---- */

#define LOSS_GROUPS 12 /* whose products are multiplied before a logarithm is taken: 2^96 at most */
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

#define TINY REAL(0x1p-80) /* e^NORMAL_MIN shows in a sum below, if there is one element in it or many */

/* The whole groups of a block, whose losses are taken one by one if their sum is not what it should be; then what is
   left. */
INLINE void run_groups(element_function f, const element_block *b, settings c, loss_sum *s) {
    vec q[LOSS_GROUPS];
    dw sum = {v_set(0), v_set(0)};
    intptr_t i = 0, groups = 0;
    for (; i + GROUP * LANES <= b->n; i += GROUP * LANES) {
        group_sum g = k_binary_cross_entropy_group(b->x + i, b->z + i, f.derivatives > 0 ? b->gradient + i : 0,
                                                   f.derivatives > 1 ? b->hessian + i : 0, c.scale);
        q[groups++] = g.q;
        sum = dw_join(sum, (dw){g.linear, v_set(0)});
    }
    for (intptr_t step = 1; step < groups; step *= 2)
        for (intptr_t k = 0; k + step < groups; k += 2 * step) q[k] = join_products(q[k], q[k + step]);
    if (groups) sum = dw_join(sum, m_log1p((dw){q[0], v_set(0)}));
    element_function only_sum = f;
    only_sum.derivatives = 0;
    if (all_finite(sum.hi) && !mask_any(v_lt(sum.hi, v_set(TINY)))) add_losses(s, sum);
    else run_vectors(only_sum, b, 0, i, c, s);
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

/* How many elements there are in a block: the stages of all arguments, four of a grouped sum and at most seven of
   others, fit into four times LOSS_BLOCK. */
static inline intptr_t block_length(element_function f, char **args) {
    return f.grouped && !args[EACH] ? LOSS_BLOCK : LOSS_BLOCK / 2;
}

/* Elements i .. i+n <= i+block_length of a row. */
INLINE void run_element_block(element_function f, const fl_loss *options, char **row, const intptr_t *core, intptr_t i,
                              intptr_t n, settings c, loss_sum *s) {
    real room[4 * LOSS_BLOCK], *stage[HESSIAN + 1], *next = room;
    char *at[HESSIAN + 1];
    for (int k = 0; k <= HESSIAN; k++) {
        at[k] = row[k] ? row[k] + i * core[k] : 0;
        stage[k] = next;
        if (at[k]) next += n;
    }
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
    intptr_t length = block_length(f, args);
    for (intptr_t r = 0; r < dims[0]; r++) {
        char *row[ELEMENT_ARGUMENTS];
        for (int k = 0; k < ELEMENT_ARGUMENTS; k++) row[k] = args[k] ? args[k] + r * steps[k] : 0;
        for (intptr_t i = 0; i < dims[1]; i += length)
            run_element_block(f, options, row, core, i, smaller(dims[1] - i, length), c, &s);
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

#endif
