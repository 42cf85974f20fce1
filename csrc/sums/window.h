/* Windows: how an element becomes a term. */

#pragma once

#include "math/exp.h"

/* Infinities become the largest numbers. */
INLINE vec made_finite(vec x) { return v_max(v_set(-REAL_MAX), v_min(v_set(REAL_MAX), x)); }

/* An element becomes the term 2^TERM_LIFT e^(x - base) 2^-n, where 2^n is next to e^(max - base). Reducing x - max
   instead would round the difference, an error of |x - max|/2 ulp in the term; with base = 0 nothing is rounded before
   exp's own exact reduction. From DIRECT on, base is the maximum: then every x whose term is not negligible is within a
   factor of two of it, and x - base is exact. max is made finite first, so that -inf - (-inf) does not arise.

   The lift keeps terms from being subnormal, down to `least`, which stands for all lower arguments. It is `floor` below
   the maximum: terms at FLOOR are so small that 2^30 of them still round to 0; at NO_TERM, a single one does. */
#if FL_WIDTH == 32
#define TERM_LIFT 90 /* 2^36 of the largest terms do not overflow */
#define TERM_UNLIFT 0x1p-90f
#else
#define TERM_LIFT 400
#define TERM_UNLIFT 0x1p-400
#endif
#define NO_TERM (EXP_MIN - REAL(3.0))

typedef struct {
    vec base;    /* what is subtracted from every element: 0 or the maximum */
    vec top;     /* max - base */
    vec n;       /* the exponent of the unit 2^n */
    vec least;   /* the least argument of exp */
    vec rounder; /* the rounder of m_exp_word that multiplies by 2^(TERM_LIFT - n) */
} window;

INLINE window make_window(vec max, real floor) {
    vec finite = made_finite(max);
    vec base = v_select(v_lt(v_abs(finite), v_set(DIRECT)), v_set(0), finite);
    vec top = v_sub(finite, base);
    vec n = v_sub(v_fma(top, v_set(log2_e), v_set(ROUNDER)), v_set(ROUNDER));
    return (window){.base = base,
                    .top = top,
                    .n = n,
                    .least = v_add(top, v_set(floor)),
                    .rounder = m_word_rounder(v_sub(v_set(TERM_LIFT), n))};
}

/* True if some base is not 0. If none is, the subtraction is left out. */
INLINE int window_is_far(window w) { return mask_any(v_ne(w.base, v_set(0))); }

/* The argument of exp for an element x. `far` is window_is_far, as a constant. */
INLINE vec window_argument(vec x, window w, int far) { return v_max(w.least, far ? v_sub(x, w.base) : x); }

INLINE vec term_of(vec x, window w, int far) { return m_exp_word(window_argument(x, w, far), w.rounder); }
