/* Strided arguments <-> full vectors.

   Contiguous arguments are read and written in place, vector by vector. Everything else (tails, strides, broadcast
   scalars, narrower types) passes through blocks on the stack, filled up with the last element, so that kernels see
   only full vectors of real elements, and every element meets the same instructions wherever it stands. */

#pragma once

#include <stddef.h>
#include <string.h>

#include "memory/overlap.h"
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

/* Whether vectors of LANES rows can be read, or written, where they are. */
INLINE int is_in_columns(const matrix *m) { return m->outer == WIDTH && m->core % WIDTH == 0; }

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
    if (step == WIDTH) {
        real *y = (real *)p;
        intptr_t i = 0;
        for (; i < whole_vectors(n); i += LANES) v_store(y + i, v_load(block + i));
        if (i < n) v_store_part(y + i, n - i, v_load_part(block + i, n - i, block[i]));
        return;
    }
    for (intptr_t i = 0; i < n; i++) memcpy(p + i * step, block + i, sizeof(real));
}

/* The type of an argument's numbers: the target's own, or the next narrower one, which is binary16 at width 32 and
   float at width 64. A block holds reals in any case. */
enum number_type { OWN, NARROW };

#if FL_WIDTH == 32
/* Neighbours are converted in place, others by way of a block of their own bits. */
INLINE void narrow_gather(real *block, const char *p, intptr_t step, intptr_t n) {
    for (; n > 0; block += STAGE, p += STAGE * step, n -= STAGE) {
        uint16_t h[STAGE];
        intptr_t count = smaller(n, STAGE), whole = step == sizeof *h ? whole_vectors(count) : 0;
        for (intptr_t i = 0; i < whole; i += LANES) v_store(block + i, v_load_half((const uint16_t *)p + i));
        for (intptr_t i = whole; i < count; i++) memcpy(h + i, p + i * step, sizeof *h);
        for (intptr_t i = count; i < filled_up(count); i++) h[i] = h[count - 1];
        for (intptr_t i = whole; i < count; i += LANES) v_store(block + i, v_load_half(h + i));
    }
}

INLINE void narrow_scatter(char *p, intptr_t step, const real *block, intptr_t n) {
    for (; n > 0; block += STAGE, p += STAGE * step, n -= STAGE) {
        uint16_t h[STAGE];
        intptr_t count = smaller(n, STAGE), whole = step == sizeof *h ? whole_vectors(count) : 0;
        for (intptr_t i = 0; i < whole; i += LANES) v_store_half((uint16_t *)p + i, v_load(block + i));
        for (intptr_t i = whole; i < count; i += LANES) v_store_half(h + i, v_load(block + i));
        for (intptr_t i = whole; i < count; i++) memcpy(p + i * step, h + i, sizeof *h);
    }
}

/* bfloat16 is the upper half of a float. It has no vocabulary, as compilers vectorise these loops themselves. */
INLINE void bfloat16_copied(real *block, const char *p, intptr_t step, intptr_t n) {
    for (intptr_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + i * step, sizeof h);
        uint32_t upper = (uint32_t)h << 16;
        memcpy(block + i, &upper, sizeof upper);
    }
}
static void bfloat16_gather(real *block, const char *p, intptr_t step, intptr_t n) {
    if (step == sizeof(uint16_t)) bfloat16_copied(block, p, sizeof(uint16_t), n);
    else bfloat16_copied(block, p, step, n);
    for (intptr_t i = n; i % LANES; i++) block[i] = block[n - 1];
}

/* Numbers are rounded to the nearest, ties to even: half a unit is added, less one when the upper half is even. A nan
   stays one, and becomes quiet. */
INLINE void bfloat16_rounded(char *p, intptr_t step, const real *block, intptr_t n) {
    for (intptr_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, block + i, sizeof bits);
        uint32_t nearest = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16, quiet = (bits >> 16) | 0x40u;
        uint16_t h = (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet : nearest);
        memcpy(p + i * step, &h, sizeof h);
    }
}
static void bfloat16_scatter(char *p, intptr_t step, const real *block, intptr_t n) {
    if (step == sizeof(uint16_t)) bfloat16_rounded(p, sizeof(uint16_t), block, n);
    else bfloat16_rounded(p, step, block, n);
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

/* gather_as and scatter_as are gather and scatter for numbers of a type that a character names: 'e' for binary16 and
   'E' for bfloat16 at width 32, else the own type. scatter_as reads whole vectors. round_as rounds n <= STAGE numbers,
   whole vectors of them, to such a type. */
#if FL_WIDTH == 32
INLINE void gather_as(char type, real *block, const char *p, intptr_t step, intptr_t n) {
    if (type == 'e') narrow_gather(block, p, step, n);
    else if (type == 'E') bfloat16_gather(block, p, step, n);
    else gather(block, p, step, n);
}
INLINE void scatter_as(char type, char *p, intptr_t step, const real *block, intptr_t n) {
    if (type == 'e') narrow_scatter(p, step, block, n);
    else if (type == 'E') bfloat16_scatter(p, step, block, n);
    else scatter(p, step, block, n);
}
INLINE void round_as(char type, real *x, intptr_t n) {
    uint16_t h[STAGE];
    if (type != 'e' && type != 'E') return;
    scatter_as(type, (char *)h, sizeof *h, x, n);
    gather_as(type, x, (const char *)h, sizeof *h, n);
}
#else
INLINE void gather_as(char type, real *block, const char *p, intptr_t step, intptr_t n) {
    (void)type, gather(block, p, step, n);
}
INLINE void scatter_as(char type, char *p, intptr_t step, const real *block, intptr_t n) {
    (void)type, scatter(p, step, block, n);
}
INLINE void round_as(char type, real *x, intptr_t n) { (void)type, (void)x, (void)n; }
#endif

/* Vectors of n <= LANES elements. The lanes that are left repeat the first element, or are not stored. */
INLINE vec load_some(const real *p, intptr_t n) { return n == LANES ? v_load(p) : v_load_part(p, n, p[0]); }
INLINE void store_some(real *p, intptr_t n, vec x) {
    if (n == LANES) v_store(p, x);
    else v_store_part(p, n, x);
}
