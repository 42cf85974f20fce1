/* (k),(k,k),(k,k),(t,k)->(t,k),(k,16): the recursions of hidden Markov chains, forward and backward.
   (k,k),(t,k),(t,k),(t,k)->(k,k),(k,16): the logarithms of the expected numbers of transitions, from both.

   Arguments   Everything is a logarithm but args[2], the exponentials of args[1], where those below LEAST_EXPONENT are
               0. args[1] is the matrix of transitions, from row i to column j, or transposed for the way back; its
               elements are not above 0, unless they are so by a little. args[0] is the start, or the end. args[3] has
               the emissions, a line for each time. Matrices are contiguous, and so are lines. The last result is memory
               to work in.
   Passes      A state is a vector r of logarithms, of which the largest is 0, and their common offset in two words. One
               step forward is g_j = log(sum of e^r_i A_ij), by products of numbers, and r + offset = g + emission.
               One step back adds the emission first.
   Underflow   Products lose what is below 2^-1000 or so. Where a sum is so small that this may show, it is computed
               again by logarithms alone, as a logsumexp. The state stays a logarithm, so no path is ever lost.

   Error: the offset carries the size of the result, and its errors are those of two words. What is rounded in a step is
   g, and the distance of each state from the largest: an ulp or two of numbers around 1, which pass on to all later
   ones unchanged. The sum of k products has an error of k/2 ulp at most, and mostly that of a few. */

#pragma once

#include "math/log.h"
#include "sums/lanes.h"
#include "sums/window.h"

#if FL_WIDTH == 64

#define LEAST_EXPONENT (-690.0) /* e^-690 is about 2^-995 */
#define LEAST_SUM 0x1p-900      /* sums from here on are right, though terms and factors below 2^-995 are left out */
#define WORK 16                 /* vectors of k numbers in the memory to work in */
#define TIMES (WORK / 2)        /* expected transitions are added for so many times at once */

/* The part of a line from element j on, up to a vector; `fill` stands for what is not there. */
INLINE vec load_line(const double *p, intptr_t j, intptr_t k, double fill) {
    return j + LANES <= k ? v_load(p + j) : v_load_part(p + j, k - j, fill);
}
INLINE void store_line(double *p, intptr_t j, intptr_t k, vec x) {
    if (j + LANES <= k) v_store(p + j, x);
    else v_store_part(p + j, k - j, x);
}

/* e^x for x <= 0, and 0 below LEAST_EXPONENT; nan stays nan. */
INLINE vec chain_exp(vec x) {
    vec y = m_exp_word(v_max(v_set(LEAST_EXPONENT), x), m_word_rounder(v_set(0)));
    return v_unless(v_lt(x, v_set(LEAST_EXPONENT)), y);
}

INLINE double largest_of_line(const double *x, intptr_t k) {
    vec largest = v_set(-REAL_INFINITY);
    mask undefined = v_lt(largest, largest);
    for (intptr_t j = 0; j < k; j += LANES) {
        vec part = load_line(x, j, k, x[j]);
        undefined = mask_or(undefined, v_ne(part, part));
        largest = v_max(largest, part);
    }
    return mask_any(undefined) ? REAL_NAN : first_lane(largest_lane(largest));
}

/* log(sum of e^x) of a line. */
static NOINLINE double logsumexp_of_line(const double *x, intptr_t k) {
    double max = largest_of_line(x, k);
    if (max - max != 0) return max;
    dw sum = {v_set(0), v_set(0)};
    for (intptr_t j = 0; j < k; j += LANES) {
        vec term = chain_exp(v_sub(load_line(x, j, k, -REAL_INFINITY), v_set(max)));
        sum = dw_join(sum, (dw){term, v_set(0)});
    }
    sum = dw_sum_of_lanes(sum);
    dw log = m_log(v_add(sum.hi, sum.lo));
    return max + first_lane(v_add(log.hi, log.lo));
}

/* The matrix of transitions. */
typedef struct {
    const double *log, *p; /* the logarithms, and their exponentials */
    intptr_t k;
} transitions;

/* g_j by logarithms alone, for one j. */
static NOINLINE double careful_step(const transitions *a, const double *r, double *work, intptr_t j) {
    for (intptr_t i = 0; i < a->k; i++) work[i] = r[i] + a->log[i * a->k + j];
    return logsumexp_of_line(work, a->k);
}

/* The sums of e^r_i A_ij for some vectors of columns j. */
INLINE void step_sums(vec *sum, int vectors, const double *p, const transitions *a, intptr_t j) {
    for (int v = 0; v < vectors; v++) sum[v] = v_set(0);
    for (intptr_t i = 0; i < a->k; i++)
        for (int v = 0; v < vectors; v++)
            sum[v] = v_fma(v_set(p[i]), load_line(a->p + i * a->k, j + v * LANES, a->k, 0), sum[v]);
}

INLINE void finish_step(double *g, vec sum, const transitions *a, const double *r, double *work, intptr_t j) {
    double lanes[LANES];
    dw log = m_log(sum);
    store_line(g, j, a->k, v_add(log.hi, log.lo));
    v_store(lanes, sum);
    for (intptr_t lane = 0; lane < smaller(LANES, a->k - j); lane++)
        if (RARELY(!(lanes[lane] >= LEAST_SUM))) g[j + lane] = careful_step(a, r, work, j + lane);
}

/* g = log(e^r A). */
INLINE void step_chain(double *g, const transitions *a, const double *r, double *p, double *work) {
    intptr_t k = a->k, j = 0;
    for (intptr_t i = 0; i < k; i += LANES) store_line(p, i, k, chain_exp(load_line(r, i, k, -REAL_INFINITY)));
    for (; j + 4 * LANES <= k; j += 4 * LANES) {
        vec sum[4];
        step_sums(sum, 4, p, a, j);
        for (int v = 0; v < 4; v++) finish_step(g, sum[v], a, r, work, j + v * LANES);
    }
    for (; j < k; j += LANES) {
        vec sum[1];
        step_sums(sum, 1, p, a, j);
        finish_step(g, sum[0], a, r, work, j);
    }
}

/* r + offset = g + e, where the largest r is 0: the sum in two words is exact. A line of nothing but -inf stays so. */
INLINE void emit(double *r, total *offset, const double *g, const double *e, double *low, intptr_t k) {
    for (intptr_t j = 0; j < k; j += LANES) {
        dw s = dw_two_sum(load_line(g, j, k, 0), load_line(e, j, k, 0));
        store_line(r, j, k, s.hi);
        store_line(low, j, k, v_select(is_finite(s.hi), s.lo, v_set(0)));
    }
    double largest = largest_of_line(r, k);
    if (largest == -REAL_INFINITY) largest = 0;
    for (intptr_t j = 0; j < k; j += LANES) {
        vec rest = v_add(v_sub(load_line(r, j, k, 0), v_set(largest)), load_line(low, j, k, 0));
        store_line(r, j, k, v_min(v_set(0), rest));
    }
    *offset = total_settled(total_add(*offset, largest));
}

/* y = r + offset; infinite and undefined elements stay so. */
static void write_line(double *y, const double *r, total offset, intptr_t k) {
    for (intptr_t j = 0; j < k; j += LANES) {
        dw s = dw_two_sum(v_set(offset.hi), load_line(r, j, k, 0));
        store_line(y, j, k, v_select(is_finite(s.hi), v_add(s.hi, v_add(s.lo, v_set(offset.lo))), s.hi));
    }
}

INLINE unsigned loop_chain(int backward, char **args, const intptr_t *dims, const intptr_t *steps) {
    intptr_t k = dims[1], times = dims[2], of_e = steps[11] / WIDTH, of_y = steps[13] / WIDTH;
    for (intptr_t row = 0; row < dims[0] && k > 0; row++) {
        const double *start = (const double *)(void *)(args[0] + row * steps[0]);
        const double *e = (const double *)(void *)(args[3] + row * steps[3]);
        double *y = (double *)(void *)(args[4] + row * steps[4]);
        double *g = (double *)(void *)(args[5] + row * steps[5]), *r = g + k, *p = r + k, *work = p + k;
        transitions a = {(const double *)(void *)(args[1] + row * steps[1]),
                         (const double *)(void *)(args[2] + row * steps[2]), k};
        total offset = {0, 0};
        memcpy(g, start, (size_t)(k * WIDTH));
        for (intptr_t n = 0; n < times; n++) {
            intptr_t t = backward ? times - 1 - n : n;
            if (n > 0) step_chain(g, &a, r, p, work);
            if (backward) write_line(y + t * of_y, g, offset, k);
            emit(r, &offset, g, e + t * of_e, work, k);
            if (!backward) write_line(y + t * of_y, r, offset, k);
        }
    }
    return 0;
}
#define loop_log_forward(args, dims, steps) loop_chain(0, args, dims, steps)
#define loop_log_backward(args, dims, steps) loop_chain(1, args, dims, steps)

/* ---- expected transitions ---- */

/* A chain whose both recursions are known. The number of transitions from i to j at the time t is e^(alpha_t(i) +
   A_ij + emission_t+1(j) + beta_t+1(j) - log_likelihood), in logarithms. */
typedef struct {
    const double *log, *emission, *alpha, *beta;
    intptr_t k, times, of_emission, of_alpha, of_beta; /* steps from time to time, in numbers */
    double log_likelihood;
} solved_chain;

/* The logarithms of what follows the time t: emission + beta of the next one. */
INLINE void after(double *x, const solved_chain *c, intptr_t t) {
    const double *e = c->emission + (t + 1) * c->of_emission, *beta = c->beta + (t + 1) * c->of_beta;
    for (intptr_t j = 0; j < c->k; j += LANES)
        store_line(x, j, c->k, v_add(load_line(e, j, c->k, 0), load_line(beta, j, c->k, 0)));
}

/* The largest alpha of a time, the largest number after it, and both with the likelihood taken out. */
typedef struct {
    double alpha, after, both;
} tops;

INLINE tops tops_of(const solved_chain *c, const double *after_t, intptr_t t) {
    double alpha = largest_of_line(c->alpha + t * c->of_alpha, c->k), next = largest_of_line(after_t, c->k);
    return (tops){alpha, next, (alpha - c->log_likelihood) + next};
}

/* One number by logarithms alone: the largest of the terms first, then their sum. */
static NOINLINE double careful_pair(const solved_chain *c, intptr_t i, intptr_t j) {
    double max = -REAL_INFINITY;
    total sum = {0, 0};
    for (int pass = 0; pass < 2; pass++) {
        for (intptr_t t = 0; t + 1 < c->times; t++) {
            double next = c->emission[(t + 1) * c->of_emission + j] + c->beta[(t + 1) * c->of_beta + j];
            double x = (c->alpha[t * c->of_alpha + i] - c->log_likelihood) + next;
            if (x != x) return x;
            if (pass == 0) max = x > max ? x : max;
            else sum = total_add(sum, first_lane(chain_exp(v_set(x - max))));
        }
        if (max - max != 0) return max;
    }
    dw log = m_log(v_set(sum.hi + sum.lo));
    return max + first_lane(v_add(log.hi, log.lo));
}

/* Adds the products of TIMES factors to a matrix of k by k sums. */
static void add_transitions(double *sums, const double *before, const double *next, intptr_t k) {
    for (intptr_t i = 0; i < k; i++)
        for (intptr_t j = 0; j < k; j += LANES) {
            vec sum = v_set(0);
            for (int t = 0; t < TIMES; t++)
                sum = v_fma(v_set(before[t * k + i]), load_line(next + t * k, j, k, 0), sum);
            store_line(sums + i * k, j, k, v_add(load_line(sums + i * k, j, k, 0), sum));
        }
}

static void sum_pairs(double *sums, const solved_chain *c, double *work, double top) {
    intptr_t k = c->k;
    double *before = work, *next = work + TIMES * k;
    for (intptr_t first = 0; first + 1 < c->times; first += TIMES) {
        for (intptr_t n = 0; n < TIMES; n++) {
            intptr_t t = first + n;
            double *u = before + n * k, *v = next + n * k;
            if (t + 1 < c->times) after(v, c, t);
            tops of = t + 1 < c->times ? tops_of(c, v, t) : (tops){0, 0, -REAL_INFINITY};
            if (of.both == -REAL_INFINITY) { /* nothing is possible at this time, or there is none */
                memset(u, 0, (size_t)(k * WIDTH));
                memset(v, 0, (size_t)(k * WIDTH));
                continue;
            }
            for (intptr_t j = 0; j < k; j += LANES) {
                vec alpha = load_line(c->alpha + t * c->of_alpha, j, k, 0);
                store_line(u, j, k, chain_exp(v_sub(alpha, v_set(of.alpha))));
                vec rest = v_sub(load_line(v, j, k, 0), v_set(of.after));
                store_line(v, j, k, chain_exp(v_add(rest, v_set(of.both - top))));
            }
        }
        add_transitions(sums, before, next, k);
    }
}

static NOINLINE void write_pairs(double *y, const solved_chain *c, double *work) {
    intptr_t k = c->k;
    double top = -REAL_INFINITY;
    for (intptr_t t = 0; t + 1 < c->times; t++) {
        after(work, c, t);
        double both = tops_of(c, work, t).both;
        top = both > top || both != both ? both : top;
    }
    for (intptr_t i = 0; i < k * k; i++) y[i] = 0;
    if (top - top == 0) sum_pairs(y, c, work, top);
    for (intptr_t i = 0; i < k * k; i++) {
        double count = -REAL_INFINITY;
        if (y[i] >= LEAST_SUM) {
            dw log = m_log(v_set(y[i]));
            count = top + first_lane(v_add(log.hi, log.lo));
        } else if (c->times > 1 && c->log[i] > -REAL_INFINITY) {
            count = careful_pair(c, i / k, i % k);
        }
        y[i] = count == -REAL_INFINITY && c->log[i] == c->log[i] ? count : c->log[i] + count;
    }
}

INLINE unsigned loop_log_transitions(char **args, const intptr_t *dims, const intptr_t *steps) {
    intptr_t k = dims[1];
    for (intptr_t row = 0; row < dims[0] && k > 0; row++) {
        solved_chain c = {.log = (const double *)(void *)(args[0] + row * steps[0]),
                          .emission = (const double *)(void *)(args[1] + row * steps[1]),
                          .alpha = (const double *)(void *)(args[2] + row * steps[2]),
                          .beta = (const double *)(void *)(args[3] + row * steps[3]),
                          .k = k,
                          .times = dims[2],
                          .of_emission = steps[8] / WIDTH,
                          .of_alpha = steps[10] / WIDTH,
                          .of_beta = steps[12] / WIDTH};
        if (c.times > 0) c.log_likelihood = logsumexp_of_line(c.alpha + (c.times - 1) * c.of_alpha, k);
        write_pairs((double *)(void *)(args[4] + row * steps[4]), &c, (double *)(void *)(args[5] + row * steps[5]));
    }
    return 0;
}

#else /* chains are computed in double */
#define NO_LOOP(args, dims, steps) ((void)(args), (void)(dims), (void)(steps), 0u)
#define loop_log_forward(args, dims, steps) NO_LOOP(args, dims, steps)
#define loop_log_backward(args, dims, steps) NO_LOOP(args, dims, steps)
#define loop_log_transitions(args, dims, steps) NO_LOOP(args, dims, steps)
#endif
