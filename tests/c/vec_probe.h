/* The vocabulary of csrc/vec/ as a table of functions on bit patterns, one table per target and width. */

#pragma once

#include <stdint.h>

/* A function applies an operation to `lanes` elements of each argument. An element is a bit pattern of either width, in
   64 bits. */
typedef void vec_function(const uint64_t *a, const uint64_t *b, const uint64_t *c, uint64_t *out);

typedef struct {
    const char *name;
    int arguments;  /* the number of a, b, c that the operation uses */
    int makes_nans; /* it does arithmetic, so it is not defined which nan follows from a nan operand */
    vec_function *run;
} vec_operation;

typedef struct vec_probe {
    const char *target;
    int width, lanes, fused;
    const vec_operation *operations;
    int count;
    const struct vec_probe *next;
} vec_probe;

extern const vec_probe *vec_probes; /* the list to which each compiled vec_probe.c adds itself */
