/* Polynomials, and the coefficients of this width. */

#ifndef FASTLOG_POLYNOMIAL_H
#define FASTLOG_POLYNOMIAL_H

#include "vec/vec.h"

#if FL_WIDTH == 32
#include "coefficients/f32.h"
#else
#include "coefficients/f64.h"
#endif

/* c[0] + c[1] x + ... + c[n-1] x^(n-1) for a constant n <= 16, by Estrin's scheme: neighbours are joined, then the pairs, with
   x^2, x^4, ... The chain of dependent operations is log2(n) long, not n; latency, not the number of operations, bounds these
   kernels. All loops unroll. */
INLINE vec m_polynomial(vec x, const real *c, int n) {
    vec t[16];
#pragma GCC unroll 16
    for (int i = 0; i < n; i++) t[i] = v_set(c[i]);
#pragma GCC unroll 4
    for (int level = 0; level < 4; level++) {
        if (n == 1) break;
#pragma GCC unroll 8
        for (int i = 0; i < n / 2; i++) t[i] = v_fma(t[2 * i + 1], x, t[2 * i]);
        if (n % 2) t[n / 2] = t[n - 1];
        n = (n + 1) / 2;
        x = v_mul(x, x);
    }
    return t[0];
}

#define POLYNOMIAL(x, coefficients) m_polynomial(x, coefficients, (int)(sizeof coefficients / sizeof coefficients[0]))

#endif
