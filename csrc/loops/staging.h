/* Staging: numbers of another type, to be divided, or with a mask, on their way to a loop of rows and back.

   Arguments   see fl_staging in fastlog.h; dims are numbers of rows and of elements. `to` of stage, and `from` of
               unstage, are the caller's room: numbers of the own type, neighbours along one of the two axes.
   Passes      A line is what has neighbours in the room. Lines that follow each other are joined; each is moved block
               by block: converted, divided, and masked.
               An argument and its room may be the same memory, in the same order.
   Owners      All arrays belong to the caller. stage writes the numbers of a line and no more; unstage may read up to a
               vector beyond the end of the room. */

#pragma once

#include "fastlog.h"
#include "memory/strided.h"

enum { STAGED_FROM, STAGED_MASK, STAGED_TO, STAGED_ARGUMENTS };

/* Lines of n numbers each. */
typedef struct {
    char *at[STAGED_ARGUMENTS];
    intptr_t count, n;
    intptr_t outer[STAGED_ARGUMENTS]; /* bytes from line to line */
    intptr_t step[STAGED_ARGUMENTS];  /* bytes from number to number */
} lines;

/* Lines run along the core, unless the numbers of the argument `room` are neighbours along the other axis alone. */
static lines lines_of(char **args, const intptr_t *dims, const intptr_t *steps, int room) {
    int across = steps[STAGED_ARGUMENTS + room] != WIDTH, follow = 1;
    lines l = {.count = dims[across], .n = dims[!across]};
    for (int k = 0; k < STAGED_ARGUMENTS; k++) {
        l.at[k] = args[k];
        l.outer[k] = steps[across ? STAGED_ARGUMENTS + k : k], l.step[k] = steps[across ? k : STAGED_ARGUMENTS + k];
        follow = follow && (!args[k] || l.outer[k] == l.step[k] * l.n);
    }
    if (follow) l.n *= l.count, l.count = 1;
    return l;
}

/* 1/divisor if that is exact, as then the product with it is the quotient; otherwise 0. */
static real exact_reciprocal(real divisor) {
    real inverse = 1 / divisor;
    bits pattern;
    memcpy(&pattern, &divisor, sizeof pattern);
    return pattern << (FL_WIDTH - MANTISSA_BITS) || !(inverse >= REAL_MIN && divisor >= REAL_MIN) ? 0 : inverse;
}

/* Divides whole vectors of numbers, and rounds the quotients to their type. */
INLINE void divide(const fl_staging *s, real *x, intptr_t n) {
    real divisor = (real)s->divisor, inverse = exact_reciprocal(divisor);
    if (inverse != 0)
        for (intptr_t i = 0; i < n; i += LANES) v_store(x + i, v_mul(v_load(x + i), v_set(inverse)));
    else
        for (intptr_t i = 0; i < n; i += LANES) v_store(x + i, v_div(v_load(x + i), v_set(divisor)));
    round_as(s->type, x, n);
}

/* Puts `excluded` where the mask is 0. */
INLINE void exclude(real *x, const char *mask, intptr_t step, intptr_t n, real excluded) {
    if (step == 1)
        for (intptr_t i = 0; i < n; i++) x[i] = mask[i] ? x[i] : excluded;
    else
        for (intptr_t i = 0; i < n; i++) x[i] = mask[i * step] ? x[i] : excluded;
}

/* Copies neighbours, and does the same. */
INLINE void copy_unmasked(real *restrict to, const real *restrict from, const char *restrict mask, intptr_t step,
                          intptr_t n, real excluded) {
    if (step == 1)
        for (intptr_t i = 0; i < n; i++) to[i] = mask[i] ? from[i] : excluded;
    else
        for (intptr_t i = 0; i < n; i++) to[i] = mask[i * step] ? from[i] : excluded;
}

INLINE int is_own(char type) { return type != 'e' && type != 'E'; }

/* Stages numbers i to i+n-1 of a line, n <= STAGE, and fills up to a full vector. */
INLINE void stage_block(const fl_staging *s, const lines *l, char **at, intptr_t i, intptr_t n, real *to) {
    intptr_t step = l->step[STAGED_FROM], mask_step = l->step[STAGED_MASK];
    const char *from = at[STAGED_FROM] + i * step, *mask = at[STAGED_MASK] ? at[STAGED_MASK] + i * mask_step : 0;
    if (mask && is_own(s->type) && step == WIDTH && s->divisor == 1 && from != (const char *)to) {
        copy_unmasked(to, (const real *)from, mask, mask_step, n, -REAL_INFINITY);
        return;
    }
    gather_as(s->type, to, from, step, n);
    if (s->divisor != 1) divide(s, to, filled_up(n));
    if (mask) exclude(to, mask, mask_step, n, -REAL_INFINITY);
}

static void stage_line(const fl_staging *s, const lines *l, char **at) {
    real *to = (real *)at[STAGED_TO], rest[LANES];
    intptr_t i = 0, whole = whole_vectors(l->n);
    for (; i < whole; i += STAGE) stage_block(s, l, at, i, smaller(whole - i, STAGE), to + i);
    if (LANES == 1 || whole == l->n) return;
    stage_block(s, l, at, whole, l->n - whole, rest);
    memcpy(to + whole, rest, (size_t)((l->n - whole) * WIDTH));
}

static void unstage_line(const fl_staging *s, const lines *l, char **at) {
    const real *from = (const real *)at[STAGED_FROM];
    intptr_t step = l->step[STAGED_TO], mask_step = l->step[STAGED_MASK];
    for (intptr_t i = 0; i < l->n; i += STAGE) {
        real block[STAGE];
        intptr_t n = smaller(l->n - i, STAGE);
        const real *results = from + i;
        const char *mask = at[STAGED_MASK] ? at[STAGED_MASK] + i * mask_step : 0;
        if (mask && is_own(s->type) && step == WIDTH) {
            real *to = (real *)at[STAGED_TO] + i;
            if (to == results) exclude(to, mask, mask_step, n, (real)s->excluded);
            else copy_unmasked(to, results, mask, mask_step, n, (real)s->excluded);
            continue;
        }
        if (mask) copy_unmasked(block, results, mask, mask_step, n, (real)s->excluded);
        scatter_as(s->type, at[STAGED_TO] + i * step, step, mask ? block : results, n);
    }
}

INLINE void move_lines(void (*move)(const fl_staging *, const lines *, char **), const fl_staging *s, lines l) {
    for (intptr_t r = 0; r < l.count; r++) {
        char *at[STAGED_ARGUMENTS];
        for (int k = 0; k < STAGED_ARGUMENTS; k++) at[k] = l.at[k] ? l.at[k] + r * l.outer[k] : 0;
        move(s, &l, at);
    }
}

static unsigned loop_stage(char **args, const intptr_t *dims, const intptr_t *steps, const fl_staging *s) {
    move_lines(stage_line, s, lines_of(args, dims, steps, STAGED_TO));
    return 0;
}

static unsigned loop_unstage(char **args, const intptr_t *dims, const intptr_t *steps, const fl_staging *s) {
    move_lines(unstage_line, s, lines_of(args, dims, steps, STAGED_FROM));
    return 0;
}
