/* Losses of elements: their sums, gradients and the diagonals of their Hessians, from one pass.

   Arguments   `args` are numbered by the enumeration below, with dims[0] rows of dims[1] elements each; ROW_SUMS has a
               number for every row. An absent input and an unwanted output are NULL; a Hessian needs a gradient.
   Passes      Row by row, block by block: inputs that are not contiguous are copied to the stack, and targets smoothed;
               loss and derivatives are computed vector by vector, or the sum by groups of vectors; a loss goes to EACH,
               or else is added to a sum; then outputs that are not contiguous are copied to their places.
   Owners      All arrays, options and the result belong to the caller. The sum goes to ROW_SUMS after every row, or
               else is added to the result's total at the end. */

#pragma once

#include "fastlog.h"
#include "kernels/losses.h"
#include "memory/targets.h"
#include "sums/tally.h"
#include "sums/totals.h"

enum { LOGITS, TARGETS, WEIGHTS, POS_WEIGHTS, EACH, GRADIENT, HESSIAN, ROW_SUMS, ELEMENT_ARGUMENTS };

#define LOSS_GROUPS 12 /* so many products are multiplied before a logarithm is taken: 2^96 at most */
#define LOSS_BLOCK (LOSS_GROUPS * GROUP * LANES)

typedef element element_kernel(element_input, settings);

/* A loop is compiled for each of these. */
typedef struct {
    element_kernel *kernel;
    int weighted;    /* the kernel has weights */
    int derivatives; /* the gradient is wanted; so is the Hessian, if the block has a place for it */
    int grouped;     /* sums are computed by groups of vectors, see binary_cross_entropy_group */
} element_function;

/* Contiguous arguments of n elements, in place or staged; NULL where an input is absent or an output not wanted. */
typedef struct {
    const real *x, *z, *weight, *pos_weight;
    real *each, *gradient, *hessian;
    intptr_t n;
} element_block;

/* The losses of GROUP vectors add up to `linear`, the sum of |x| wrong, and log(1 + q), where 1 + q is the product of
   all 1 + t, t = e^-|x|. One logarithm serves many elements. Unless a gradient needs it, t is not taken below
   e^NORMAL_MIN, which does not show in sums that are not tiny. An infinite logit on its right side makes linear nan.
   Error: q is multiplied up by twos, q1 + q2 + q1 q2, so that each t passes through few roundings. */
typedef struct {
    vec linear, q;
} group_sum;

_Static_assert(GROUP == 8, "products are joined by eights");
INLINE vec join_products(vec q1, vec q2) { return v_fma(q1, q2, v_add(q1, q2)); }

INLINE group_sum binary_cross_entropy_group(const real *x, const real *z, real *gradient, real *hessian, vec scale) {
    vec linear[GROUP / 2], q[GROUP / 2], rounder = m_word_rounder(v_set(0)), least = v_set(NORMAL_MIN);
#pragma GCC unroll 4
    for (intptr_t i = 0; i < GROUP / 2; i++) {
        vec t[2];
#pragma GCC unroll 2
        for (intptr_t j = 0; j < 2; j++) {
            intptr_t at = (2 * i + j) * LANES;
            vec logit = v_load(x + at), target = v_load(z + at), magnitude = v_abs(logit);
            vec minus_magnitude = v_real(i_or(v_bits(logit), i_set(SIGN_BIT))); /* one operation, not two */
            sides s = sides_of(logit, target, v_sub(v_set(1), target));
            t[j] = gradient ? exp_minus(magnitude) : m_exp_rough_word(v_max(least, minus_magnitude), rounder);
            linear[i] = j ? v_fma(magnitude, s.wrong, linear[i]) : v_mul(magnitude, s.wrong);
            if (!gradient) continue;
            decay d = decay_of(t[j]);
            v_store(gradient + at, binary_gradient(logit, s, d, scale));
            if (hessian) v_store(hessian + at, binary_hessian(s, d, scale));
        }
        q[i] = join_products(t[0], t[1]);
    }
    vec first = join_products(q[0], q[1]), second = join_products(q[2], q[3]);
    return (group_sum){v_add(v_add(linear[0], linear[1]), v_add(linear[2], linear[3])), join_products(first, second)};
}

/* Runs elements i to end-1 vector by vector. */
INLINE void run_vectors(element_function f, const element_block *b, intptr_t i, intptr_t end, settings c, loss_sum *s) {
    for (; i < end; i += LANES) {
        intptr_t n = smaller(end - i, LANES);
        element_input in = {load_some(b->x + i, n), load_some(b->z + i, n), v_set(1), v_set(1)};
        if (f.weighted && b->weight) in.weight = load_some(b->weight + i, n);
        if (f.weighted && b->pos_weight) in.pos_weight = load_some(b->pos_weight + i, n);
        element e = f.kernel(in, c);
        if (f.derivatives) store_some(b->gradient + i, n, e.gradient);
        if (f.derivatives && b->hessian) store_some(b->hessian + i, n, e.hessian);
        if (b->each) store_some(b->each + i, n, e.loss);
        else add_losses(s, (dw){leading_lanes(e.loss, n), v_set(0)});
    }
}

#define TINY REAL(0x1p-80) /* e^NORMAL_MIN shows in a sum below, if there is one element in it or many */

/* The sum of n losses where that by groups is not finite, or tiny. */
RARE void sum_by_vectors(const real *x, const real *z, intptr_t n, settings c, loss_sum *s) {
    run_vectors((element_function){.kernel = k_binary_cross_entropy}, &(element_block){.x = x, .z = z}, 0, n, c, s);
}

/* Runs the whole groups of a block, and one vector after the other in what is left. */
INLINE void run_groups(element_function f, const element_block *b, settings c, loss_sum *s) {
    vec q[LOSS_GROUPS];
    dw sum = {v_set(0), v_set(0)};
    intptr_t i = 0, groups = 0;
    for (; i + GROUP * LANES <= b->n; i += GROUP * LANES) {
        group_sum g = binary_cross_entropy_group(b->x + i, b->z + i, f.derivatives ? b->gradient + i : 0,
                                                 f.derivatives && b->hessian ? b->hessian + i : 0, c.scale);
        q[groups++] = g.q;
        sum = dw_join(sum, (dw){g.linear, v_set(0)});
    }
    for (intptr_t step = 1; step < groups; step *= 2)
        for (intptr_t k = 0; k + step < groups; k += 2 * step) q[k] = join_products(q[k], q[k + step]);
    if (groups) sum = dw_join(sum, m_log1p((dw){q[0], v_set(0)}));
    if (all_finite(sum.hi) && !mask_any(v_lt(sum.hi, v_set(TINY)))) add_losses(s, sum);
    else sum_by_vectors(b->x, b->z, i, c, s);
    run_vectors(f, b, i, b->n, c, s);
}

/* A contiguous output is written in place; any other one is staged, and copied to its place afterwards. */
static int is_staged(char *p, intptr_t step) { return p && step != WIDTH; }
static real *place(real *stage, char *p, intptr_t step) { return is_staged(p, step) ? stage : (real *)p; }
RARE void put_staged(char *p, intptr_t step, const real *from, intptr_t n) { scatter(p, step, from, n); }

/* Moves targets towards 1/2, their mean over the two classes; `z` may be `to`. */
RARE void smooth(real *to, const real *z, intptr_t n, double smoothing) {
    for (intptr_t i = 0; i < n; i++) to[i] = (real)(z[i] * (1 - smoothing) + smoothing / 2);
}

/* The number of elements of a block. The stages of all arguments fit into four times LOSS_BLOCK: four of a grouped sum,
   or at most seven of another one. */
static inline intptr_t block_length(element_function f, char **args) {
    return f.grouped && !args[EACH] ? LOSS_BLOCK : LOSS_BLOCK / 2;
}

/* Runs elements i to i+n-1 of a row, n <= block_length. */
INLINE void run_element_block(element_function f, const fl_loss_options *options, char **row, const intptr_t *core,
                              intptr_t i, intptr_t n, settings c, loss_sum *s) {
    real room[4 * LOSS_BLOCK], *stage[HESSIAN + 1], *next = room;
    char *at[HESSIAN + 1];
    for (int k = 0; k <= HESSIAN; k++) {
        at[k] = row[k] ? row[k] + i * core[k] : 0;
        stage[k] = next;
        if (at[k]) next += n;
    }
    element_block b = {
        .x = numbers(stage[LOGITS], at[LOGITS], core[LOGITS], n, REAL_TYPE),
        .z = numbers(stage[TARGETS], at[TARGETS], core[TARGETS], n, options->target_type),
        .weight = at[WEIGHTS] ? numbers(stage[WEIGHTS], at[WEIGHTS], core[WEIGHTS], n, REAL_TYPE) : 0,
        .pos_weight =
            at[POS_WEIGHTS] ? numbers(stage[POS_WEIGHTS], at[POS_WEIGHTS], core[POS_WEIGHTS], n, REAL_TYPE) : 0,
        .each = place(stage[EACH], at[EACH], core[EACH]),
        .gradient = place(stage[GRADIENT], at[GRADIENT], core[GRADIENT]),
        .hessian = place(stage[HESSIAN], at[HESSIAN], core[HESSIAN]),
        .n = n,
    };
    if (options->smoothing != 0) {
        smooth(stage[TARGETS], b.z, n, options->smoothing);
        b.z = stage[TARGETS];
    }
    if (f.grouped && !b.each) run_groups(f, &b, c, s);
    else run_vectors(f, &b, 0, n, c, s);
    if (is_staged(at[EACH], core[EACH])) put_staged(at[EACH], core[EACH], b.each, n);
    if (is_staged(at[GRADIENT], core[GRADIENT])) put_staged(at[GRADIENT], core[GRADIENT], b.gradient, n);
    if (is_staged(at[HESSIAN], core[HESSIAN])) put_staged(at[HESSIAN], core[HESSIAN], b.hessian, n);
}

/* Stores the sum of a row's losses, and empties it. */
static NOINLINE void put_row_sum(char *p, loss_sum *s) {
    double of_row[2] = {0, 0};
    give_total(s, of_row);
    of_row[0] = fl_sum(of_row);
    memcpy(p, of_row, sizeof *of_row);
}

INLINE void run_elements(element_function f, char **args, const intptr_t *dims, const intptr_t *steps,
                         const fl_loss *loss) {
    const intptr_t *core = steps + ELEMENT_ARGUMENTS;
    const fl_loss_options *options = loss->options;
    settings c = {.scale = v_set((real)options->scale),
                  .positive = v_set((real)options->positive),
                  .negative = v_set((real)options->negative),
                  .gamma = v_set((real)options->gamma)};
    loss_sum s = no_losses();
    intptr_t length = block_length(f, args);
    for (intptr_t r = 0; r < dims[0]; r++) {
        char *row[ELEMENT_ARGUMENTS];
        for (int k = 0; k < ELEMENT_ARGUMENTS; k++) row[k] = args[k] ? args[k] + r * steps[k] : 0;
        for (intptr_t i = 0; i < dims[1]; i += length)
            run_element_block(f, options, row, core, i, smaller(dims[1] - i, length), c, &s);
        if (row[ROW_SUMS]) put_row_sum(row[ROW_SUMS], &s);
    }
    give_total(&s, loss->result->total);
}

/* The loop is compiled once with derivatives and once without. */
INLINE void choose_derivatives(element_function f, char **args, const intptr_t *dims, const intptr_t *steps,
                               const fl_loss *loss) {
    if (!args[GRADIENT]) {
        run_elements(f, args, dims, steps, loss);
        return;
    }
    f.derivatives = 1;
    run_elements(f, args, dims, steps, loss);
}

static unsigned loop_binary_cross_entropy_with_logits(char **args, const intptr_t *dims, const intptr_t *steps,
                                                      const fl_loss *loss) {
    element_function plain = {.kernel = k_binary_cross_entropy, .grouped = 1};
    element_function weighted = {.kernel = k_binary_cross_entropy_weighted, .weighted = 1};
    if (args[WEIGHTS] || args[POS_WEIGHTS]) choose_derivatives(weighted, args, dims, steps, loss);
    else choose_derivatives(plain, args, dims, steps, loss);
    return 0;
}
static unsigned loop_focal_loss(char **args, const intptr_t *dims, const intptr_t *steps, const fl_loss *loss) {
    element_function any = {.kernel = k_focal, .weighted = 1}, square = {.kernel = k_focal_square, .weighted = 1};
    if (loss->options->gamma == 2 && !args[GRADIENT]) run_elements(square, args, dims, steps, loss);
    else choose_derivatives(any, args, dims, steps, loss);
    return 0;
}
static unsigned loop_kl_divergence(char **args, const intptr_t *dims, const intptr_t *steps, const fl_loss *loss) {
    run_elements((element_function){.kernel = k_kl_divergence}, args, dims, steps, loss);
    return 0;
}
static unsigned loop_kl_divergence_of_logs(char **args, const intptr_t *dims, const intptr_t *steps,
                                           const fl_loss *loss) {
    run_elements((element_function){.kernel = k_kl_divergence_of_logs}, args, dims, steps, loss);
    return 0;
}
