/* The functions in long double (64 bits of mantissa on x86, 113 on aarch64), by the identities that the kernels use,
   and the distance of a result from them in units in the last place. */

#pragma once

#include <float.h>
#include <math.h>

#include "fastlog.h"

/* e^(a - b). The rounding error of a - b, up to |a - b| 2^-64, is kept, because it would show in a double's last place.
   The result is not 0 for finite a and b, so that a difference that underflows keeps its sign. */
static inline long double exp_of_difference(long double a, long double b) {
    long double d = a - b;
    if (!(fabsl(d) < 1e4L)) return isfinite(a) && isfinite(b) && d < 0 ? LDBL_TRUE_MIN : expl(d);
    long double b_part = a - d, a_part = d + b_part;
    return expl(d) * (1 + ((a - a_part) - (b - b_part)));
}

static inline long double exact_softplus(long double x) { return fmaxl(x, 0) + log1pl(expl(-fabsl(x))); }

static inline long double exact_logaddexp(long double a, long double b) {
    if (a == b) return a + logl(2);
    return a > b ? a + log1pl(exp_of_difference(b, a)) : b + log1pl(exp_of_difference(a, b));
}

/* w is the weight of the wrong side; inf * 0 is 0. */
static inline long double exact_binary_cross_entropy(long double x, long double z) {
    long double w = x < 0 ? z : 1 - z;
    return (w == 0 ? 0 : fabsl(x) * w) + log1pl(expl(-fabsl(x)));
}

/* log(1 - e^d), d = b - a. */
static inline long double exact_log1mexp_of_difference(long double b, long double a) {
    long double d = b - a;
    return d > -0.7L ? logl(-expm1l(d)) : log1pl(-exp_of_difference(b, a));
}

/* log 2 as a double, and the rest of it. */
#define LOG2_HIGH 0x1.62e42fefa39efp-1L
#define LOG2_LOW 0x1.abc9e3b39803f2f6af40f343267p-56L

static inline long double exact_logexpm1(long double x) {
    if (x > 0.5L && x < 1) return log1pl(2 * expm1l(x - LOG2_HIGH - LOG2_LOW));
    return x < 1 ? logl(expm1l(x)) : x + log1pl(-expl(-x));
}

static inline long double exact_logsubexp(long double a, long double b) {
    if (!(b < a)) return a == b ? -INFINITY : NAN;
    return isinf(a) ? a : a + exact_log1mexp_of_difference(b, a);
}

static inline long double exact_rel_entr(long double x, long double y) {
    if (!(x > 0 && y > 0)) return x == 0 && y >= 0 ? 0 : INFINITY;
    return x * (fabsl(x - y) < y / 2 ? log1pl((x - y) / y) : logl(x / y));
}

static inline long double exact_mish(long double x) {
    if (isinf(x)) return x < 0 ? -0.0L : x;
    long double t = expl(-fabsl(x)), n = x < 0 ? t * (t + 2) : 1 + 2 * t;
    return x * (n / (x < 0 ? n + 2 : n + 2 * t * t));
}

/* An elementwise function; *known says whether there is a reference for it. */
static inline long double exact_elementwise(enum fl_function f, double x1, double x2, int *known) {
    long double a = x1, b = x2;
    *known = 1;
    switch (f) {
    case FL_softplus:
        return isnan(a) ? a : exact_softplus(a);
    case FL_log_sigmoid:
        return isnan(a) ? a : -exact_softplus(-a);
    case FL_sigmoid:
        return a < 0 ? expl(a) / (1 + expl(a)) : 1 / (1 + expl(-a));
    case FL_silu: /* 0 times infinity is 0, with the sign of x */
        return isinf(a) ? (a < 0 ? -0.0L : a) : a < 0 ? a * expl(a) / (1 + expl(a)) : a / (1 + expl(-a));
    case FL_mish:
        return exact_mish(a);
    case FL_logit:
        return a < 0.25L ? logl(a) - log1pl(-a) : log1pl((2 * a - 1) / (1 - a));
    case FL_log1mexp:
        return exact_log1mexp_of_difference(a, 0);
    case FL_logexpm1:
        return isinf(a) && a > 0 ? a : exact_logexpm1(a);
    case FL_logsubexp:
        return exact_logsubexp(a, b);
    case FL_xlogy:
        return isnan(a) || isnan(b) ? a + b : a == 0 ? 0 : a * logl(b);
    case FL_xlog1py:
        return isnan(a) || isnan(b) ? a + b : a == 0 ? 0 : a * log1pl(b);
    case FL_entr:
        return isnan(a) ? a : a < 0 ? -INFINITY : a == 0 ? 0 : -(a * logl(a));
    case FL_rel_entr:
        return isnan(a) || isnan(b) ? a + b : exact_rel_entr(a, b);
    case FL_logaddexp:
        return isnan(a) || isnan(b) ? a + b : exact_logaddexp(a, b);
    default:
        *known = 0;
        return 0;
    }
}

/* The sum Z of e^x_k over a row x, as its maximum and a rest: Z = e^max (1 + rest). The rest leaves out one largest
   element, so that it keeps its digits. Both are nan if the row has a nan. */
typedef struct {
    long double max, rest;
} exact_partition;

static inline exact_partition exact_partition_of(const double *x, int n) {
    exact_partition p = {-INFINITY, 0};
    int at = 0;
    for (int i = 0; i < n; i++) {
        if (isnan(x[i])) return (exact_partition){NAN, NAN};
        if (x[i] > p.max) p.max = x[i], at = i;
    }
    for (int i = 0; i < n && isfinite(p.max); i++)
        if (i != at) p.rest += exp_of_difference(x[i], p.max);
    return p;
}

/* The partition of a row with one more element x. */
static inline exact_partition exact_partition_join(exact_partition p, double x) {
    if (isnan(x) || isnan(p.max)) return (exact_partition){NAN, NAN};
    if (x > p.max) return (exact_partition){x, isfinite(x + p.max) ? (1 + p.rest) * exp_of_difference(p.max, x) : 0};
    return (exact_partition){p.max, isfinite(p.max) ? p.rest + exp_of_difference(x, p.max) : 0};
}

/* The element x of the row's softmax or log_softmax, or the row's logsumexp. */
static inline long double exact_row_element(enum fl_function f, exact_partition p, double x, int *known) {
    *known = 1;
    switch (f) {
    case FL_logsumexp:
        return isinf(p.max) ? p.max : p.max + log1pl(p.rest);
    case FL_softmax:
        return isinf(p.max) ? NAN : exp_of_difference(x, p.max) / (1 + p.rest);
    case FL_log_softmax:
        return isinf(p.max) ? x - p.max : (x - p.max) - log1pl(p.rest);
    default:
        *known = 0;
        return 0;
    }
}

/* The spacing of the format's numbers at x, which is never less than that of the subnormals. */
static inline double ulp_of(double x, int width) {
    int exponent;
    frexp(x, &exponent);
    exponent -= width == 32 ? FLT_MANT_DIG : DBL_MANT_DIG;
    int least = width == 32 ? FLT_MIN_EXP - FLT_MANT_DIG : DBL_MIN_EXP - DBL_MANT_DIG;
    return ldexp(1, exponent > least ? exponent : least);
}

static inline double rounded_to(long double x, int width) { return width == 32 ? (float)x : (double)x; }

/* |got - exact| in ulp of the exact value, or in ulp of 1 if `absolute` is set and the exact value is smaller than 1.
   The result is infinity if only one of the two is nan, or infinite, or if they are zeros of different sign. */
static inline double error_in_ulp(double got, long double exact, int width, int absolute) {
    double rounded = rounded_to(exact, width);
    if (isnan(got) || isnan(rounded)) return isnan(got) && isnan(rounded) ? 0 : INFINITY;
    if (isinf(got) || isinf(rounded)) return got == rounded ? 0 : INFINITY;
    if (got == 0 && rounded == 0) return !signbit(got) == !signbit(rounded) ? 0 : INFINITY;
    double unit = ulp_of(absolute && fabs(rounded) < 1 ? 1 : rounded, width);
    return (double)(fabsl(got - exact) / unit);
}

/* The largest error of the references themselves, in ulp: some roundings of long double. */
static inline double reference_error(int width) {
    return (double)(8 * LDBL_EPSILON / (width == 32 ? FLT_EPSILON : DBL_EPSILON));
}
