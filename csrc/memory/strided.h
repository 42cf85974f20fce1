/* Strided arguments <-> full vectors.

   Contiguous arguments are read and written in place, vector by vector. Everything else (tails, strides, broadcast
   scalars, narrower types) passes through blocks on the stack, filled up with the last element, so that kernels see
   only full vectors of real elements, and every element meets the same instructions wherever it stands. */

#pragma once

#include <stddef.h>
#include <string.h>

#include "vec/vec.h"

#define STAGE 256 /* elements of a staging block: a few KiB of stack, and a multiple of every LANES */
#define WIDTH ((intptr_t)sizeof(real))     /* bytes of a real */
#define NOINLINE __attribute__((noinline)) /* keeps a function's arrays out of its callers' stack frames */
#define UNUSED __attribute__((unused))     /* used at one width alone */

typedef struct {
    const char *x;
    intptr_t rows;  /* the number of rows */
    intptr_t n;     /* the number of elements of each row */
    intptr_t outer; /* bytes from row to row */
    intptr_t core;  /* bytes from element to element of a row */
} matrix;

/* The matrix at x of a loop whose dims are rows and n. */
static inline matrix matrix_of(const char *x, const intptr_t *dims, intptr_t outer, intptr_t core) {
    return (matrix){.x = x, .rows = dims[0], .n = dims[1], .outer = outer, .core = core};
}

INLINE intptr_t smaller(intptr_t a, intptr_t b) { return a < b ? a : b; }
INLINE intptr_t whole_vectors(intptr_t n) { return n - n % LANES; }
INLINE intptr_t filled_up(intptr_t n) { return whole_vectors(n + LANES - 1); }

/* Copies n elements at p, step bytes apart, into block, and repeats the last one up to a full vector. Neighbours are
   copied by vectors, as GCC makes memcpy of few elements a string instruction, which takes 20 ns to start. */
INLINE void gather(real *block, const char *p, intptr_t step, intptr_t n) {
    if (step == WIDTH) {
        const real *x = (const real *)p;
        intptr_t i = 0;
        for (; i < whole_vectors(n); i += LANES) v_store(block + i, v_load(x + i));
        if (i < n) v_store(block + i, v_load_part(x + i, n - i, x[n - 1]));
        return;
    }
    for (intptr_t i = 0; i < n; i++) memcpy(block + i, p + i * step, sizeof(real));
    for (intptr_t i = n; i % LANES; i++) block[i] = block[n - 1];
}

/* Copies n elements of block to p, step bytes apart. */
INLINE void scatter(char *p, intptr_t step, const real *block, intptr_t n) {
    if (step == WIDTH) memcpy(p, block, (size_t)(n * WIDTH));
    else
        for (intptr_t i = 0; i < n; i++) memcpy(p + i * step, block + i, sizeof(real));
}

/* The type of an argument's numbers: the target's own, or the next narrower one, which is binary16 at width 32 and
   float at width 64. A block holds reals in any case. */
enum number_type { OWN, NARROW };

#if FL_WIDTH == 32
INLINE void narrow_gather(real *block, const char *p, intptr_t step, intptr_t n) {
    for (; n > 0; block += STAGE, p += STAGE * step, n -= STAGE) {
        uint16_t h[STAGE];
        intptr_t count = smaller(n, STAGE);
        for (intptr_t i = 0; i < count; i++) memcpy(h + i, p + i * step, sizeof *h);
        for (intptr_t i = count; i % LANES; i++) h[i] = h[count - 1];
        for (intptr_t i = 0; i < count; i += LANES) v_store(block + i, v_load_half(h + i));
    }
}

INLINE void narrow_scatter(char *p, intptr_t step, const real *block, intptr_t n) {
    uint16_t h[STAGE];
    for (intptr_t i = 0; i < n; i += LANES) v_store_half(h + i, v_load(block + i));
    for (intptr_t i = 0; i < n; i++) memcpy(p + i * step, h + i, sizeof *h);
}
#else
UNUSED static void narrow_gather(real *block, const char *p, intptr_t step, intptr_t n) {
    const float *x = (const float *)p;
    if (step == sizeof *x)
        for (intptr_t i = 0; i < n; i++) block[i] = x[i];
    else
        for (intptr_t i = 0; i < n; i++) block[i] = *(const float *)(p + i * step);
    for (intptr_t i = n; i % LANES; i++) block[i] = block[n - 1];
}

INLINE void narrow_scatter(char *p, intptr_t step, const real *block, intptr_t n) {
    for (intptr_t i = 0; i < n; i++) *(float *)(p + i * step) = (float)block[i];
}
#endif

/* fetch and deliver are gather and scatter for numbers of either type. */
INLINE void fetch(enum number_type type, real *block, const char *p, intptr_t step, intptr_t n) {
    if (type == NARROW) narrow_gather(block, p, step, n);
    else gather(block, p, step, n);
}
INLINE void deliver(enum number_type type, char *p, intptr_t step, const real *block, intptr_t n) {
    if (type == NARROW) narrow_scatter(p, step, block, n);
    else scatter(p, step, block, n);
}

/* Vectors of n <= LANES elements. The lanes that are left repeat the first element, or are not stored. */
INLINE vec load_some(const real *p, intptr_t n) { return n == LANES ? v_load(p) : v_load_part(p, n, p[0]); }
INLINE void store_some(real *p, intptr_t n, vec x) {
    if (n == LANES) v_store(p, x);
    else v_store_part(p, n, x);
}

/* True if writing out[i] may change an in[j] that is still to be read. It cannot where both run in step through the
   same elements. NumPy copies operands that overlap in other ways, but not in reduce and accumulate, which feed each
   result back. */
static inline int feeds_back(const char *in, intptr_t in_step, const char *out, intptr_t out_step, intptr_t n) {
    if (n < 2 || (in == out && in_step == out_step && out_step != 0)) return 0;
    intptr_t in_span = in_step * (n - 1), out_span = out_step * (n - 1);
    const char *in_first = in_span < 0 ? in + in_span : in, *in_last = in_span < 0 ? in : in + in_span;
    const char *out_first = out_span < 0 ? out + out_span : out, *out_last = out_span < 0 ? out : out + out_span;
    return in_first <= out_last && out_first <= in_last;
}
