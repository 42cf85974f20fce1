/* Elementwise functions of one or two arguments.

   Arguments   one or two inputs and the output, of dims[0] numbers each, with any strides.
   Passes      Contiguous arguments are read and written in place, by whole vectors. What is left, and all others, are
               staged in blocks. Where a result feeds back into an operand, a block is one element.
   Exceptions  The loop returns those that the results call for. */

#pragma once

#include "memory/status.h"
#include "memory/strided.h"
#include "sums/lanes.h"

typedef vec kernel1(vec);
typedef vec kernel2(vec, vec);

/* For finite arguments with an infinite result: true where that is a pole, which raises divide-by-zero, and false where
   it is an overflow or a convention. */
typedef mask pole2(vec, vec);

/* A kernel, and what it takes to find the exceptions of its results. `raises` and `pole` are constants in every loop,
   so that functions without exceptions pay nothing. */
typedef struct {
    kernel1 *kernel;
    int raises;       /* the function may raise exceptions; all its infinities are poles */
    unsigned *raised; /* where exceptions are collected */
} function1;
typedef struct {
    kernel2 *kernel;
    pole2 *pole;      /* NULL: the function raises nothing */
    unsigned *raised; /* where exceptions are collected */
} function2;

/* A nan from numbers is invalid; an infinity from finite numbers is a pole. */
INLINE vec apply1(function1 f, vec x) {
    vec y = f.kernel(x);
    if (f.raises && !all_finite(y)) {
        if (mask_any(mask_and(v_ne(y, y), v_eq(x, x)))) *f.raised |= STATUS_INVALID;
        if (mask_any(mask_and(is_infinite(y), is_finite(x)))) *f.raised |= STATUS_DIVIDE;
    }
    return y;
}

INLINE vec apply2(function2 f, vec x1, vec x2) {
    vec y = f.kernel(x1, x2);
    if (f.pole && !all_finite(y)) {
        mask numbers = mask_and(v_eq(x1, x1), v_eq(x2, x2)), finite = mask_and(is_finite(x1), is_finite(x2));
        if (mask_any(mask_and(v_ne(y, y), numbers))) *f.raised |= STATUS_INVALID;
        if (mask_any(mask_and(mask_and(is_infinite(y), finite), f.pole(x1, x2)))) *f.raised |= STATUS_DIVIDE;
    }
    return y;
}

/* fetch and deliver, where one element by itself takes the shortest way: NumPy calls a loop once for each element of a
   ufunc's `at`, and for arrays without an axis. */
INLINE void fetch_in(enum number_type type, real *block, const char *p, intptr_t step, intptr_t n) {
    real x;
    if (type != OWN || n != 1) {
        fetch(type, block, p, step, n);
        return;
    }
    memcpy(&x, p, sizeof x);
    v_store(block, v_set(x));
}
INLINE void deliver_out(enum number_type type, char *p, intptr_t step, const real *block, intptr_t n) {
    if (type != OWN || n != 1) deliver(type, p, step, block, n);
    else memcpy(p, block, sizeof *block);
}

INLINE unsigned loop_map1(kernel1 *k, int raises, enum number_type type, char **args, const intptr_t *dims,
                          const intptr_t *steps) {
    unsigned raised = 0;
    function1 f = {k, raises, &raised};
    intptr_t n = dims[0], chunk = feeds_back(args[0], steps[0], args[1], steps[1], n) ? 1 : STAGE, count;
    int in_place = type == OWN && steps[0] == WIDTH && steps[1] == WIDTH && chunk > 1;
    for (intptr_t i = 0; i < n; i += count) {
        real x_stage[STAGE], y_stage[STAGE], *y = (real *)args[1] + i;
        const real *x = (const real *)args[0] + i;
        count = whole_vectors(n - i);
        int staged = !in_place || !count;
        if (staged) {
            count = smaller(n - i, chunk);
            x = x_stage, y = y_stage;
            fetch_in(type, x_stage, args[0] + i * steps[0], steps[0], count);
        }
        for (intptr_t j = 0; j < count; j += LANES) v_store(y + j, apply1(f, v_load(x + j)));
        if (staged) deliver_out(type, args[1] + i * steps[1], steps[1], y, count);
    }
    return raised;
}

INLINE unsigned loop_map2(kernel2 *k, pole2 *pole, enum number_type type, char **args, const intptr_t *dims,
                          const intptr_t *steps) {
    unsigned raised = 0;
    function2 f = {k, pole, &raised};
    intptr_t n = dims[0], count;
    int fed_back =
        feeds_back(args[0], steps[0], args[2], steps[2], n) || feeds_back(args[1], steps[1], args[2], steps[2], n);
    int in_place = type == OWN && steps[0] == WIDTH && steps[1] == WIDTH && steps[2] == WIDTH && !fed_back;
    for (intptr_t i = 0; i < n; i += count) {
        real x1_stage[STAGE], x2_stage[STAGE], y_stage[STAGE], *y = (real *)args[2] + i;
        const real *x1 = (const real *)args[0] + i, *x2 = (const real *)args[1] + i;
        count = whole_vectors(n - i);
        int staged = !in_place || !count;
        if (staged) {
            count = smaller(n - i, fed_back ? 1 : STAGE);
            x1 = x1_stage, x2 = x2_stage, y = y_stage;
            fetch_in(type, x1_stage, args[0] + i * steps[0], steps[0], count);
            fetch_in(type, x2_stage, args[1] + i * steps[1], steps[1], count);
        }
        for (intptr_t j = 0; j < count; j += LANES) v_store(y + j, apply2(f, v_load(x1 + j), v_load(x2 + j)));
        if (staged) deliver_out(type, args[2] + i * steps[2], steps[2], y, count);
    }
    return raised;
}
