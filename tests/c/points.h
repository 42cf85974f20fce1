/* The inputs of test_kernels.c, as deterministic functions of an index. */

#pragma once

#include <math.h>

#include "numbers.h"

static inline double uniform(uint64_t *state, double low, double high) {
    return low + (high - low) * ((double)(next_random(state) >> 11) * 0x1p-53);
}

static inline double normal(uint64_t *state) { /* the method of Box and Muller */
    double radius = sqrt(-2 * log(uniform(state, 0x1p-53, 1)));
    return radius * cos(uniform(state, 0, 6.283185307179586));
}

/* Numbers near which results change their nature: log1p begins to matter, 1 + e^x rounds to 1, or e^x becomes
   subnormal, then 0 (in float, in results of half the width, in double). */
static const double regions[] = {0.7, 1, 17, 37, 87.3, 103, 104, 708, 745, 746};
#define REGIONS (sizeof regions / sizeof regions[0])

/* Point i, of four kinds in turn: every binade of the width with a random mantissa; near the regions; near multiples of
   ln 2; uniform. */
static inline double stratified_point(int width, uint64_t i) {
    uint64_t state = i ^ 0x66617374u, r = next_random(&state);
    double sign = r & 1 ? -1 : 1;
    double near = 1 + uniform(&state, -1, 1) * ldexp(1, -(int)((r >> 8) % 54)); /* at every distance from 1 */
    switch (i % 4) {
    case 0: {
        uint64_t exponent = i / 8 % (uint64_t)(2 * exponent_bias(width) + 1), m = (uint64_t)mantissa_bits(width);
        uint64_t sign_pattern = i / 4 % 2 ? sign_bit(width) : 0;
        return value_of(sign_pattern | exponent << m | (next_random(&state) & (((uint64_t)1 << m) - 1)), width);
    }
    case 1:
        return sign * near * regions[(r >> 16) % REGIONS];
    case 2:
        return sign * near * 0.6931471805599453 * (double)((r >> 16) % 1100 + 1);
    default:
        return sign * uniform(&state, 0, i / 4 % 2 ? 45 : 3);
    }
}

typedef struct {
    int width, edges;
    uint64_t points, edge[MAX_EDGES];
} point_set;

static inline point_set make_points(int width, uint64_t points) {
    point_set s = {.width = width, .points = points};
    s.edges = edge_patterns(width, s.edge);
    return s;
}
static inline double edge_value(const point_set *s, uint64_t k) { return value_of(s->edge[k], s->width); }

/* Argument i: an edge pattern; after these, every (2^32/points)th float, or a stratified double. */
static inline double point_of_line(const point_set *s, uint64_t i) {
    uint64_t n = (uint64_t)s->edges;
    if (i < n) return edge_value(s, i);
    if (s->width == 64) return stratified_point(64, i);
    uint64_t stride = ((uint64_t)1 << 32) / s->points | 1; /* an odd stride meets all low bits */
    return value_of((i - n) * stride & 0xffffffffu, 32);
}

/* Pair i: first, all pairs of a third of the edge patterns. After these, b does not depend on a, or is so near to a
   that both terms of e^a + e^b matter, or is near log(1 - e^a), where log(e^a + e^b) is near 0. */
static inline void point_of_logaddexp(const point_set *s, uint64_t i, double *a, double *b) {
    uint64_t n = (uint64_t)s->edges / 3, state = i;
    if (i < n * n) {
        *a = edge_value(s, i / n * 3);
        *b = edge_value(s, i % n * 3);
        return;
    }
    double other = stratified_point(s->width, next_random(&state));
    switch (i / 4 % 4) {
    case 0:
        *a = stratified_point(s->width, i), *b = other;
        break;
    case 1:
        *a = stratified_point(s->width, i), *b = *a + other;
        break;
    case 2:
        *a = uniform(&state, -40, 40), *b = *a + uniform(&state, -40, 40);
        break;
    default:
        *a = -exp(uniform(&state, -40, 4));
        *b = log(-expm1(*a)) + uniform(&state, -1, 1) * exp(uniform(&state, -40, 0));
    }
    if (next_random(&state) & 1) other = *a, *a = *b, *b = other;
}

/* A factor a, and the argument b of a logarithm: first, all pairs of a third of the edge patterns. After these, b is a
   positive number that does not depend on a, or is near 1 or 0 at every distance, or is near a. */
static inline void point_of_entropy(const point_set *s, uint64_t i, double *a, double *b) {
    uint64_t n = (uint64_t)s->edges / 3, state = i;
    if (i < n * n) {
        *a = edge_value(s, i / n * 3);
        *b = edge_value(s, i % n * 3);
        return;
    }
    double small = ldexp(uniform(&state, -1, 1), -(int)(next_random(&state) % 54));
    *a = stratified_point(s->width, i);
    switch (i / 4 % 4) {
    case 0:
        *b = fabs(stratified_point(s->width, next_random(&state)));
        break;
    case 1:
        *b = 1 + small;
        break;
    case 2:
        *b = small;
        break;
    default:
        *a = fabs(*a), *b = *a * (1 + small);
    }
}

/* A logit, and a target in [0, 1] that is 0 or 1, near one of these, or between them. The first logits are the edge
   patterns, whose targets may be nan. */
static inline void point_of_loss(const point_set *s, uint64_t i, double *x, double *z) {
    const double targets[] = {0, 1, 0.5, NAN};
    uint64_t n = (uint64_t)s->edges, state = i;
    if (i < 4 * n) {
        *x = edge_value(s, i / 4);
        *z = targets[i % 4];
        return;
    }
    *x = stratified_point(s->width, i);
    switch (next_random(&state) % 5) {
    case 0:
        *z = targets[next_random(&state) % 3];
        break;
    case 1:
        *z = exp(uniform(&state, -60, 0));
        break;
    case 2:
        *z = 1 - exp(uniform(&state, -30, 0));
        break;
    default:
        *z = uniform(&state, 0, 1);
    }
}

/* The kinds of rows. */
enum row_kind {
    UNIT,
    TEN,
    HUNDRED,
    THOUSAND,
    EQUAL,
    DOMINANT,
    SUM_ONE,
    HUGE_VALUES,
    MAGNITUDES,
    SOME_MINUS_INFINITY,
    ONE_INFINITY,
    ONE_NAN,
    ALL_MINUS_INFINITY,
    BOTH_INFINITIES,
    GROWING,
    ROW_KINDS
};
static const char *const row_kind_names[] = {
    "normal(0,1)",  "normal(0,10)", "normal(0,100)", "normal(0,1000)", "all equal",
    "one dominant", "sum near 1",   "huge",          "all magnitudes", "some -inf",
    "one inf",      "one nan",      "all -inf",      "inf and -inf",   "growing",
};

static inline void fill_row(double *x, int n, int kind, int width, uint64_t *state) {
    double largest = value_of(infinity_bits(width) - 1, width), level = normal(state) * 10;
    int at = (int)(next_random(state) % (uint64_t)n);
    double gap = uniform(state, 0, 1) < 0.5 ? uniform(state, 0, 40) : uniform(state, 0, 800);
    for (int i = 0; i < n; i++) {
        double g = normal(state);
        switch (kind) {
        case TEN:
            g *= 10;
            break;
        case HUNDRED:
            g *= 100;
            break;
        case THOUSAND:
            g *= 1000;
            break;
        case EQUAL:
            g = level;
            break;
        case DOMINANT:
            g = level - (i == at ? 0 : gap + fabs(g));
            break;
        case SUM_ONE:
            g = -log(n) + g * 0.25 - 0.03125;
            break; /* the mean of e^(g/4) is e^(1/32) */
        case HUGE_VALUES:
            g = largest * uniform(state, -1, 1);
            break;
        case MAGNITUDES:
            g = stratified_point(width, 4 * (next_random(state) >> 2));
            break;
        case SOME_MINUS_INFINITY:
            g = next_random(state) % 4 ? g : -INFINITY;
            break;
        case ONE_INFINITY:
            g = i == at ? INFINITY : g;
            break;
        case ONE_NAN:
            g = i == at ? NAN : g;
            break;
        case ALL_MINUS_INFINITY:
            g = -INFINITY;
            break;
        case BOTH_INFINITIES:
            g = i == at ? INFINITY : i == (at + 1) % n ? -INFINITY : g;
            break;
        case GROWING:
            g += 90.0 * i / n;
            break; /* later elements keep raising the maximum */
        }
        x[i] = g;
    }
}
