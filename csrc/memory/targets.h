/* Targets of losses: labels and probabilities of any of NumPy's types. */

#pragma once

#include "memory/strided.h"

/* Whether a character names NumPy's int64, whose labels can be read in place. */
INLINE int is_int64(char type) { return type == (sizeof(long) == sizeof(int64_t) ? 'l' : 'q'); }

/* FETCH_AS is the case of a switch that reads n values of one type; `convert` is an expression of `value`. The letters
   are NumPy's type characters. */
#define FETCH_AS(code, type, convert) \
    case code: \
        for (intptr_t i = 0; i < n; i++) { \
            type value; \
            memcpy(&value, p + i * step, sizeof value); \
            to[i] = convert; \
        } \
        break;
#define FETCH_INTEGERS(convert) \
    FETCH_AS('?', uint8_t, value != 0) \
    FETCH_AS('b', int8_t, convert) \
    FETCH_AS('B', uint8_t, convert) \
    FETCH_AS('h', short, convert) \
    FETCH_AS('H', unsigned short, convert) \
    FETCH_AS('i', int, convert) \
    FETCH_AS('I', unsigned, convert) \
    FETCH_AS('l', long, convert) \
    FETCH_AS('L', unsigned long, convert) \
    FETCH_AS('q', long long, convert) \
    FETCH_AS('Q', unsigned long long, convert)

/* A label beyond int64 becomes the largest one, not a negative number. */
static void fetch_labels(int64_t *to, const char *p, intptr_t step, intptr_t n, char type) {
    switch (type) { FETCH_INTEGERS((int64_t)value) }
    if (type != 'L' && type != 'Q') return;
    for (intptr_t i = 0; i < n; i++) to[i] = to[i] < 0 ? INT64_MAX : to[i];
}

static void fetch_numbers(real *to, const char *p, intptr_t step, intptr_t n, char type) {
    switch (type) {
        FETCH_INTEGERS((real)value)
        FETCH_AS('f', float, (real)value)
        FETCH_AS('d', double, (real)value)
    }
}

#define REAL_TYPE (FL_WIDTH == 32 ? 'f' : 'd')

/* Returns n numbers where they are, or copied to `stage`. */
static const real *numbers(real *stage, const char *p, intptr_t step, intptr_t n, char type) {
    if (type == REAL_TYPE && step == WIDTH) return (const real *)p;
    fetch_numbers(stage, p, step, n, type);
    return stage;
}
