/* Polynomials, and the coefficients of this width. */

#pragma once

#include "vec/vec.h"

#if FL_WIDTH == 32
#include "coefficients/f32.h"
#else
#include "coefficients/f64.h"
#endif

/* c[0] + c[1] x + ... + c[n-1] x^(n-1) for a constant n, by Horner's rule: the fewest operations, for loops over
   independent x, which hide the length of the chain. */
INLINE vec m_horner(vec x, const real *c, int n) {
    vec y = v_set(c[n - 1]);
#pragma GCC unroll 16
    for (int i = n - 2; i >= 0; i--) y = v_fma(y, x, v_set(c[i]));
    return y;
}

/* Estrin's scheme of one step: neighbours are joined, c[2i] + c[2i+1] x, and Horner's rule runs over the pairs in x^2.
   That is Horner's number of operations, and one for x^2, in half as long a chain; up to three coefficients have no use
   for it. Both loops unroll. */
INLINE vec m_polynomial(vec x, const real *c, int n) {
    if (n < 4) return m_horner(x, c, n);
    vec square = v_mul(x, x);
    vec y = n % 2 ? v_set(c[n - 1]) : v_fma(v_set(c[n - 1]), x, v_set(c[n - 2]));
#pragma GCC unroll 8
    for (int i = n - 4 + n % 2; i >= 0; i -= 2) y = v_fma(y, square, v_fma(v_set(c[i + 1]), x, v_set(c[i])));
    return y;
}

/* Both take an array of coefficients, whose length they know. */
#define HORNER(x, coefficients) m_horner(x, coefficients, (int)(sizeof coefficients / sizeof coefficients[0]))
#define POLYNOMIAL(x, coefficients) m_polynomial(x, coefficients, (int)(sizeof coefficients / sizeof coefficients[0]))
