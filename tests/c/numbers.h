/* Bit patterns of float and double, as 64-bit words and as doubles, and the random generator of the tests. */

#pragma once

#include <stdint.h>
#include <string.h>

static inline int mantissa_bits(int width) { return width == 32 ? 23 : 52; }
static inline int exponent_bias(int width) { return width == 32 ? 127 : 1023; }
static inline uint64_t sign_bit(int width) { return (uint64_t)1 << (width - 1); }
static inline uint64_t one(int width) { return (uint64_t)exponent_bias(width) << mantissa_bits(width); }
static inline uint64_t infinity_bits(int width) {
    return (uint64_t)(2 * exponent_bias(width) + 1) << mantissa_bits(width);
}

static inline int is_nan(uint64_t pattern, int width) { return (pattern & ~sign_bit(width)) > infinity_bits(width); }

static inline double value_of(uint64_t pattern, int width) {
    uint32_t narrow = (uint32_t)pattern;
    float f;
    double d;
    memcpy(&f, &narrow, sizeof f);
    memcpy(&d, &pattern, sizeof d);
    return width == 32 ? f : d;
}

static inline uint64_t bits_of(double value, int width) {
    float f = (float)value;
    uint32_t narrow;
    uint64_t wide;
    memcpy(&narrow, &f, sizeof f);
    memcpy(&wide, &value, sizeof value);
    return width == 32 ? narrow : wide;
}

/* Element i of an array of numbers of the width. */
static inline void put(void *p, int64_t i, double x, int width) {
    float narrow = (float)x;
    if (width == 32) memcpy((float *)p + i, &narrow, sizeof narrow);
    else memcpy((double *)p + i, &x, sizeof x);
}
static inline double get(const void *p, int64_t i, int width) {
    float narrow;
    double wide;
    if (width == 32) return memcpy(&narrow, (const float *)p + i, sizeof narrow), narrow;
    return memcpy(&wide, (const double *)p + i, sizeof wide), wide;
}

/* Writes the patterns on which operations are likely to differ, each followed by its negative; returns their number. */
#define MAX_EDGES 80
static inline int edge_patterns(int width, uint64_t *edge) {
    uint64_t ulp = 1, u = one(width), inf = infinity_bits(width), step = (uint64_t)1 << mantissa_bits(width);
    uint64_t quiet = step >> 1, m = (uint64_t)mantissa_bits(width), bias = (uint64_t)exponent_bias(width);
    const uint64_t positive[] = {
        /* 0 and subnormals */
        0,
        1,
        2,
        step / 2,
        step - 1,
        /* the least normals, and a number whose ulp is normal, too */
        step,
        step + 1,
        2 * step,
        (m + 2) * step,
        /* 1/4, 1/2 and 1 ulp of 1 */
        u - (m + 2) * step,
        u - (m + 1) * step,
        u - m * step,
        /* 1/2 and its neighbours */
        u - step - ulp,
        u - step,
        u - step + ulp,
        /* 1 and its neighbours, and 1.5 */
        u - ulp,
        u,
        u + ulp,
        u + step / 2,
        /* 2 and its neighbours, and 3 */
        u + step - ulp,
        u + step,
        u + step + ulp,
        u + step + step / 2,
        /* numbers whose ulp is 1/2, then 1 */
        u + (m - 1) * step + ulp,
        u + m * step + ulp,
        u + (m + 1) * step,
        /* numbers whose squares are near the overflow */
        u + (bias / 2) * step,
        u + (bias / 2 + 1) * step,
        /* the largest binary16 number, and the least that rounds to its infinity */
        bits_of(65504, width),
        bits_of(65520, width),
        /* the largest numbers, and infinity */
        inf - 2,
        inf - 1,
        inf,
        /* quiet and signalling nans */
        inf + quiet,
        inf + quiet + 1,
        inf + 1,
        inf + quiet - 1,
        inf + step - 1,
    };
    int n = 0;
    for (size_t k = 0; k < sizeof positive / sizeof positive[0]; k++) {
        edge[n++] = positive[k];
        edge[n++] = positive[k] | sign_bit(width);
    }
    return n;
}

/* splitmix64, which gives the same sequence everywhere. */
static inline uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
