/* Elementwise functions of one or two arguments. */

#ifndef FASTLOG_MAP_H
#define FASTLOG_MAP_H

#include "memory/status.h"
#include "memory/strided.h"
#include "sums/lanes.h"

typedef vec kernel1(vec);
typedef vec kernel2(vec, vec);

/* A function of which some infinite results of finite arguments are poles: where, if they are one, and not overflow
   or a convention. */
typedef mask pole2(vec, vec);

/* A kernel, and what it takes to raise the exceptions of its results: `raises` is a constant in every loop, so that
   other functions pay nothing, and `pole` tells a pole among the infinities of a function of two arguments. */
typedef struct {
    kernel1 *kernel;
    int raises;
    unsigned *raised;
} function1;
typedef struct {
    kernel2 *kernel;
    pole2 *pole; /* NULL: raises nothing */
    unsigned *raised;
} function2;

/* nan from a number is invalid; infinity from a finite number is a pole. */
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

/* The elements from i on, by staging blocks. */
INLINE void staged_map1(function1 f, gather_function *get, scatter_function *put, char **args, intptr_t i, intptr_t n,
                        const intptr_t *steps, intptr_t chunk) {
    while (i < n) {
        real x[STAGE], y[STAGE];
        intptr_t count = smaller(n - i, chunk);
        get(x, args[0] + i * steps[0], steps[0], count);
        for (intptr_t j = 0; j < count; j += LANES) v_store(y + j, apply1(f, v_load(x + j)));
        put(args[1] + i * steps[1], steps[1], y, count);
        i += count;
    }
}

INLINE void staged_map2(function2 f, gather_function *get, scatter_function *put, char **args, intptr_t i, intptr_t n,
                        const intptr_t *steps, intptr_t chunk) {
    while (i < n) {
        real x1[STAGE], x2[STAGE], y[STAGE];
        intptr_t count = smaller(n - i, chunk);
        get(x1, args[0] + i * steps[0], steps[0], count);
        get(x2, args[1] + i * steps[1], steps[1], count);
        for (intptr_t j = 0; j < count; j += LANES) v_store(y + j, apply2(f, v_load(x1 + j), v_load(x2 + j)));
        put(args[2] + i * steps[2], steps[2], y, count);
        i += count;
    }
}

/* How many elements may be staged at a time: one where results feed back. */
static inline intptr_t map1_chunk(char **args, intptr_t n, const intptr_t *steps) {
    return feeds_back(args[0], steps[0], args[1], steps[1], n) ? 1 : STAGE;
}
static inline intptr_t map2_chunk(char **args, intptr_t n, const intptr_t *steps) {
    int fed_back =
        feeds_back(args[0], steps[0], args[2], steps[2], n) || feeds_back(args[1], steps[1], args[2], steps[2], n);
    return fed_back ? 1 : STAGE;
}

INLINE void loop_map1(kernel1 *k, int raises, char **args, const intptr_t *dims, const intptr_t *steps) {
    fl_status status = status_save();
    unsigned raised = 0;
    function1 f = {k, raises, &raised};
    intptr_t n = dims[0], i = 0, chunk = map1_chunk(args, n, steps);
    if (steps[0] == WIDTH && steps[1] == WIDTH && chunk > 1) {
        const real *x = (const real *)args[0];
        real *y = (real *)args[1];
        for (; i < whole_vectors(n); i += LANES) v_store(y + i, apply1(f, v_load(x + i)));
    }
    staged_map1(f, gather, scatter, args, i, n, steps, chunk);
    status_restore(status);
    status_raise(raised);
}

INLINE void loop_map2(kernel2 *k, pole2 *pole, char **args, const intptr_t *dims, const intptr_t *steps) {
    fl_status status = status_save();
    unsigned raised = 0;
    function2 f = {k, pole, &raised};
    intptr_t n = dims[0], i = 0, chunk = map2_chunk(args, n, steps);
    if (steps[0] == WIDTH && steps[1] == WIDTH && steps[2] == WIDTH && chunk > 1) {
        const real *x1 = (const real *)args[0], *x2 = (const real *)args[1];
        real *y = (real *)args[2];
        for (; i < whole_vectors(n); i += LANES) v_store(y + i, apply2(f, v_load(x1 + i), v_load(x2 + i)));
    }
    staged_map2(f, gather, scatter, args, i, n, steps, chunk);
    status_restore(status);
    status_raise(raised);
}

#if FL_WIDTH == 32
INLINE void half_map1(kernel1 *k, int raises, char **args, const intptr_t *dims, const intptr_t *steps) {
    fl_status status = status_save();
    unsigned raised = 0;
    function1 f = {k, raises, &raised};
    staged_map1(f, narrow_gather, narrow_scatter, args, 0, dims[0], steps, map1_chunk(args, dims[0], steps));
    status_restore(status);
    status_raise(raised);
}

INLINE void half_map2(kernel2 *k, pole2 *pole, char **args, const intptr_t *dims, const intptr_t *steps) {
    fl_status status = status_save();
    unsigned raised = 0;
    function2 f = {k, pole, &raised};
    staged_map2(f, narrow_gather, narrow_scatter, args, 0, dims[0], steps, map2_chunk(args, dims[0], steps));
    status_restore(status);
    status_raise(raised);
}
#endif

#endif
