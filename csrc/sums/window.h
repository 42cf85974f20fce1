/* Windows: how an element becomes a term. */

#pragma once

#include "math/exp.h"

/* Infinities become the largest numbers. */
INLINE vec made_finite(vec x) { return v_max(v_set(-REAL_MAX), v_min(v_set(REAL_MAX), x)); }

/* An element becomes the term 2^TERM_LIFT e^(x - base) 2^-n, where 2^n is next to e^(max - base). Reducing x - max
   instead would round the difference, an error of |x - max|/2 ulp in the term; with base = 0 nothing is rounded before
   exp's own exact reduction. From DIRECT on, base is the maximum: then every x whose term is not negligible is within a
   factor of two of it, and x - base is exact. max is made finite first, so that -inf - (-inf) does not arise.

   Lifted, no term is subnormal, and x is not taken to be below `least`. At FLOOR below the maximum terms are so small
   that 2^30 of them still round to 0; at NO_TERM, already one does. */
#if FL_WIDTH == 32
#define TERM_LIFT 90 /* 2^36 of the largest terms do not overflow */
#define TERM_UNLIFT 0x1p-90f
#else
#define TERM_LIFT 400
#define TERM_UNLIFT 0x1p-400
#endif
#define NO_TERM (EXP_MIN - REAL(3.0))

typedef struct {
    vec base, top, n; /* top = max - base */
    vec least, rounder;
} window;

INLINE window make_window(vec max, real floor) {
    vec finite = made_finite(max);
    vec base = v_select(v_lt(v_abs(finite), v_set(DIRECT)), v_set(0), finite);
    vec top = v_sub(finite, base);
    vec n = v_sub(v_fma(top, v_set(log2_e), v_set(ROUNDER)), v_set(ROUNDER));
    return (window){base, top, n, v_add(top, v_set(floor)), m_word_rounder(v_sub(v_set(TERM_LIFT), n))};
}

/* True if some base is not 0. If none is, the subtraction is left out. */
INLINE int window_is_far(window w) { return mask_any(v_ne(w.base, v_set(0))); }

INLINE vec window_argument(vec x, window w, int far) { return v_max(w.least, far ? v_sub(x, w.base) : x); }

INLINE vec term_of(vec x, window w, int far) { return m_exp_word(window_argument(x, w, far), w.rounder); }
