/* Running logsumexp, y_i = log(e^x_0 + ... + e^x_i), and the methods of logaddexp.

   Arguments   those of a map of two arguments. NumPy's reduce and accumulate call the loop with a result that feeds
               back into the first operand; args and steps show which of the two it is, or an ordinary call.
   Passes      A reduced row is summed as in reduce.h. A running row goes through blocks of SCAN_BLOCK elements, in
               order: first the maxima, then terms and factors, then the sums one by one, then the results.

   After each element the state is the partition of the elements so far: max, and the sum of all others. So y_i = max +
   log1p(rest) has the error that logsumexp of those elements would have, and nothing of y_i-1's rounding error. An
   element either stays below max and joins the sum, or takes max's place, and the former max joins: one term each time.
   Terms and sum count in units of e^base, where base is an earlier max:

       sum_i = sum_i-1 + e^(low_i - base),  low_i = min(x_i, max_i-1);      rest_i = sum_i e^(base - max_i).

   base follows only when max is SCAN_RANGE above it. What was summed before is rescaled then, with an error of an ulp,
   and has lost e^-SCAN_RANGE of its weight: these errors do not accumulate either, however the elements ascend.

   Threads share long rows, SCAN_PIECE elements for each. A piece begins with the partition of all elements before it,
   which is summed as in reduce.h. One thread does the same, so that the number of threads changes no bit.

   y_i depends on x_0 .. x_i alone, and not on where the blocks begin but for the last bits of the sum's low word.

   Error: 0.2 ulp from the terms (their differences are exact, the sum is two doubles), 0.2 from e^(base - max) where it
   is not 1, 0.3 from log1p, half from the last rounding, in ulp of max(1, |y|). */

#pragma once

#include "loops/map.h"
#include "sums/rows.h"

#define SCAN_PIECE (1 << 14)
#define SCAN_BLOCK 128 /* elements at a time: a dozen arrays of them stay in the innermost cache */

/* Terms are scaled by 2^LIFT. Terms below e^SCAN_FLOOR are dropped, as their low words would be subnormal: 1024 of them
   would still round to 0. 2^31 terms of the largest size, 2^LIFT e^SCAN_RANGE, fit into a double, and one fits into a
   real. */
#define SCAN_FLOOR (EXP_MIN - REAL(8.0))
#if FL_WIDTH == 32
#define SCAN_RANGE 40.0f
#else
#define SCAN_RANGE 256.0
#endif

typedef struct {
    real max;  /* the largest element so far */
    real base; /* an earlier maximum, or this one: e^base is the unit of the sum */
    total sum; /* the lifted sum of all other elements */
} scan;

typedef struct {
    real hi[SCAN_BLOCK], lo[SCAN_BLOCK];
} dw_block;

/* The state before the first element. */
INLINE scan scan_start(real first) { return (scan){first, first, {0, 0}}; }

/* 2^lift e^(a - b) for a - b <= SCAN_RANGE, infinities counting as the largest numbers. The difference is exact. The
   lift is LIFT, or 0 where a - b >= -SCAN_RANGE. */
INLINE void scan_exp(dw_block *y, const real *a, const real *b, intptr_t n, int lift) {
    for (intptr_t j = 0; j < n; j += LANES) {
        dw d = dw_two_sum(made_finite(v_load(a + j)), v_neg(made_finite(v_load(b + j))));
        mask none = v_le(d.hi, v_set(SCAN_FLOOR));
        vec low = v_select(none, v_set(0), d.lo);
        scaled e = m_exp_dw(v_max(v_set(SCAN_FLOOR), d.hi), low, v_set(ROUNDER + (real)lift));
        vec power = v_select(none, v_set(0), m_power_of_two(e.exponent));
        v_store(y->hi + j, v_mul(e.mantissa.hi, power));
        v_store(y->lo + j, v_mul(e.mantissa.lo, power));
    }
}

/* Fills n elements, and the rest of the last vector, with one value. */
INLINE void scan_fill(real *block, real value, intptr_t n) {
    for (intptr_t j = 0; j < n; j += LANES) v_store(block + j, v_set(value));
}

/* The sum times a lifted factor f, which changes its base. */
INLINE total total_scale(total t, double f_hi, double f_lo) {
    return (total){t.hi * f_hi * UNLIFT, (t.hi * f_lo + t.lo * f_hi) * UNLIFT};
}

/* Running sums of the lifted terms, first multiplied by the factors if there are any; y gets them unlifted. Only the
   loop in the middle runs element by element; one addition of each step waits for the step before. */
INLINE total scan_sums(dw_block *y, const dw_block *terms, const dw_block *factors, total sum, intptr_t n) {
    double term[SCAN_BLOCK], hi[SCAN_BLOCK], lo[SCAN_BLOCK];
    for (intptr_t i = 0; i < n; i++) term[i] = terms->hi[i], lo[i] = terms->lo[i];
    for (intptr_t i = 0; i < n; i++) {
        if (factors) sum = total_scale(sum, factors->hi[i], factors->lo[i]);
        total next = total_add((total){sum.hi, lo[i]}, term[i]);
        sum = (total){next.hi, sum.lo + next.lo};
        hi[i] = sum.hi, lo[i] = sum.lo;
    }
    for (intptr_t i = n; i % LANES; i++) hi[i] = sum.hi, lo[i] = sum.lo;
    for (intptr_t i = 0; i < filled_up(n); i++) {
        y->hi[i] = (real)(hi[i] * UNLIFT);
        y->lo[i] = (real)(hi[i] * UNLIFT - y->hi[i] + lo[i] * UNLIFT);
    }
    return total_settled(sum);
}

/* Finds, for every element of x, what joins the sum, the maximum and the base afterwards, and the base before. */
INLINE scan scan_maxima(scan s, const real *x, real *low, real *max, real *base, real *former_base, intptr_t n) {
    for (intptr_t i = 0; i < n; i++) {
        former_base[i] = s.base;
        low[i] = x[i] > s.max ? s.max : x[i];
        s.max = x[i] > s.max ? x[i] : s.max;
        s.base = s.max > s.base + SCAN_RANGE ? s.max : s.base;
        max[i] = s.max;
        base[i] = s.base;
    }
    for (intptr_t i = n; i % LANES; i++) {
        low[i] = low[n - 1], max[i] = max[n - 1];
        base[i] = former_base[i] = base[n - 1];
    }
    return s;
}

/* Runs along n <= SCAN_BLOCK more elements. x is filled up to a full vector, and so will be y. Most blocks of a long
   row have no new maximum: then every element joins the sum, and e^(base - max) is one number. */
INLINE scan scan_block(scan s, const real *x, real *y, intptr_t n) {
    real smaller_ones[SCAN_BLOCK], max[SCAN_BLOCK], base[SCAN_BLOCK], former_base[SCAN_BLOCK];
    dw_block terms, weights, factors, sums;
    const real *low = x;
    real old_base = s.base;
    int ascends = first_lane(largest_lane(max_of_vectors(
                      v_set(-REAL_INFINITY), (vectors){.x = x, .step = LANES, .n = filled_up(n) / LANES}))) > s.max;
    if (ascends) {
        s = scan_maxima(s, x, smaller_ones, max, base, former_base, n);
        low = smaller_ones;
    } else {
        scan_fill(max, s.max, n);
        scan_fill(base, s.base, n);
    }
    int rebased = s.base != old_base;
    scan_exp(&terms, low, base, n, LIFT);
    scan_exp(&weights, base, max, ascends ? n : 1, 0);
    if (rebased) scan_exp(&factors, former_base, base, n, LIFT);
    s.sum = rebased ? scan_sums(&sums, &terms, &factors, s.sum, n) : scan_sums(&sums, &terms, 0, s.sum, n);
    for (intptr_t j = 0; j < n; j += LANES) {
        intptr_t k = ascends ? j : 0;
        vec w = v_load(weights.hi + k), sum = v_load(sums.hi + j), hi = v_mul(sum, w);
        vec cross = v_fma(sum, v_load(weights.lo + k), v_mul(v_load(sums.lo + j), w));
        dw rest = {hi, v_add(v_mul_error(sum, w, hi), cross)};
        v_store(y + j, k_logsumexp((partition){v_load(max + j), rest}));
    }
    return s;
}

/* Runs along n more elements at x; their results go to out. */
INLINE scan scan_along(scan s, enum number_type type, const char *x, intptr_t step, char *out, intptr_t out_step,
                       intptr_t n) {
    for (intptr_t i = 0; i < n; i += SCAN_BLOCK) {
        real block[SCAN_BLOCK], y[SCAN_BLOCK];
        intptr_t count = smaller(n - i, SCAN_BLOCK);
        fetch(type, block, x + i * step, step, count);
        s = scan_block(s, block, y, count);
        deliver(type, out + i * out_step, out_step, y, count);
    }
    return s;
}

/* ---- long rows ---- */

#define SCAN_PIECES 16 /* of a row are in hand at a time; they fit into the second cache */

typedef struct {
    enum number_type type;
    const char *x;
    char *out;
    intptr_t step, out_step;
    intptr_t n; /* the number of elements from the first piece in hand to the end of the row */
    int pieces; /* so many run; the last one goes to the end of the row if `ends` */
    int ends;
    tally sums[SCAN_PIECES];
    scan states[SCAN_PIECES]; /* each is the one with which a piece begins */
} shared_scan;

static void sum_scan_piece(void *context, int piece) {
    shared_scan *s = context;
    const char *x = s->x + piece * SCAN_PIECE * s->step;
    s->sums[piece] = tally_fetched(s->type, x, s->step, SCAN_PIECE, FLOOR, (summation){.rough = 1});
}

static void run_scan_piece(void *context, int piece) {
    shared_scan *s = context;
    intptr_t first = piece * SCAN_PIECE, n = s->ends && piece == s->pieces - 1 ? s->n - first : SCAN_PIECE;
    scan_along(s->states[piece], s->type, s->x + first * s->step, s->step, s->out + first * s->out_step, s->out_step,
               n);
}

/* Finds the state after the elements of a tally. Returns 0 where there is none, as infinities or nan are among them. */
static int find_state(const tally *t, scan *state) {
    partition p = partition_of(t, 1);
    real max = first_lane(p.max), hi = first_lane(p.rest.hi), lo = first_lane(p.rest.lo);
    *state = (scan){max, max, {hi / UNLIFT, lo / UNLIFT}};
    return max - max == 0 && hi - hi == 0;
}

/* Finds the states of the pieces in hand. A piece after which there is no state takes in the rest of the row. `all` is
   the tally of the elements before, and `next` the state after them. */
static void find_states(shared_scan *s, tally *all, scan *next) {
    int sums = (int)smaller((s->n - 1) / SCAN_PIECE, SCAN_PIECES); /* so many pieces have others after them */
    fl_share(sum_scan_piece, s, sums, sums * SCAN_PIECE * WIDTH);
    for (int k = 0; k < sums; k++) {
        s->states[k] = *next;
        tally_join(all, s->sums + k, FLOOR);
        s->pieces = k + 1, s->ends = !find_state(all, next);
        if (s->ends) return;
    }
    if (sums == SCAN_PIECES) return;
    s->states[sums] = *next;
    s->pieces = sums + 1, s->ends = 1;
}

/* Runs along a row after its first element, which all lanes of `so_far` have. */
static NOINLINE void scan_row(const real *so_far, enum number_type type, const char *x, intptr_t step, char *out,
                              intptr_t out_step, intptr_t n) {
    shared_scan s = {.type = type, .x = x, .out = out, .step = step, .out_step = out_step, .n = n};
    scan next = scan_start(so_far[0]);
    tally all = tally_empty();
    tally_more(&all, (vectors){.x = so_far, .n = 1}, FLOOR, (summation){.rough = 1});
    while (!s.ends) {
        find_states(&s, &all, &next);
        fl_share(run_scan_piece, &s, s.pieces, s.pieces * SCAN_PIECE * WIDTH);
        s.x += SCAN_PIECES * SCAN_PIECE * step, s.out += SCAN_PIECES * SCAN_PIECE * out_step;
        s.n -= SCAN_PIECES * SCAN_PIECE;
    }
}

/* ---- the methods of logaddexp ---- */

/* reduce, reduceat: a call whose result is its first operand, in place, takes in a whole row. */
INLINE int is_reduce_call(char **args, const intptr_t *dims, const intptr_t *steps) {
    return args[0] == args[2] && steps[0] == 0 && steps[2] == 0 && dims[0] > 1;
}

/* accumulate: every result is the first operand of the next element. With a single element, that may be an accident. */
INLINE int is_accumulate_call(char **args, const intptr_t *dims, const intptr_t *steps) {
    return args[2] == args[0] + steps[0] && steps[0] == steps[2] && steps[0] != 0 && dims[0] > 1 &&
           !feeds_back(args[1], steps[1], args[2], steps[2], dims[0]);
}

/* The sum of the result so far and a row. A short row of reals is copied behind the result so far, and is one row with
   it; otherwise that joins the row's sum. */
INLINE vec join_row(enum number_type type, const real *so_far, const char *x, intptr_t step, intptr_t n) {
    summation how = {.rough = 1};
    tally t;
    if (type == OWN && n <= STRIP - LANES) {
        real row[STRIP];
        row[0] = so_far[0];
        gather(row + 1, x, step, n);
        t = tally_fetched(OWN, (const char *)row, WIDTH, n + 1, FLOOR, how);
    } else {
        t = tally_fetched(type, x, step, n, FLOOR, how);
        tally_more(&t, (vectors){.x = so_far, .n = 1}, FLOOR, how);
    }
    return k_logsumexp(partition_of(&t, how.rough));
}

INLINE unsigned loop_map2_logaddexp(kernel2 *k, enum number_type type, char **args, const intptr_t *dims,
                                    const intptr_t *steps) {
    int reduces = is_reduce_call(args, dims, steps), accumulates = is_accumulate_call(args, dims, steps);
    if (!reduces && !accumulates) return loop_map2(k, NULL, type, args, dims, steps);
    real so_far[LANES];
    fetch(type, so_far, args[0], 0, 1); /* fills up all lanes */
    if (accumulates && dims[0] > SCAN_PIECE) {
        scan_row(so_far, type, args[1], steps[1], args[2], steps[2], dims[0]);
    } else if (accumulates) {
        scan_along(scan_start(so_far[0]), type, args[1], steps[1], args[2], steps[2], dims[0]);
    } else {
        v_store(so_far, join_row(type, so_far, args[1], steps[1], dims[0]));
        deliver(type, args[2], 0, so_far, 1);
    }
    return 0;
}
