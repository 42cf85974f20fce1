/* log(e^a + e^b) where it is near 0, to its last bit, by integers of a few words.

   Along e^a + e^b = 1 the terms of max + log1p(e^(min-max)) cancel. How far? u = e^a + e^b - 1 comes down to the
   distance between log(1 - e^a) and the number b next to it, which behaves like a random number: among N numbers a the
   least is about 2^-p / N of e^b, p digits: 2^-115 for doubles (N = 2^62), 2^-55 for floats (N = 2^31). So u is
   computed with an error of 2^-186 e^b (float: 2^-122); but first with 2^-81 (2^-44), enough for all but neighbours of
   the curve.

   With x, z >= 0:  u = e^-z - (1 - e^-x) = 2^-n (e^-r - 2^n x D(x)),  z = n ln2 + r, 0 <= r < ln2, D(x) = (1 - e^-x)/x,
   and e^-r = 1 - r D(r). The bracket is a difference of two numbers below 2, in fixed point: as u is small beside e^-z,
   2^n x is near 1, too, and it is exact, whatever the exponents of x and z. Then log1p(u) = 2 atanh(s) with
   s = u/(2 + u), 2 s = u - s u, as a sum u - s (u - s^2 (2/3 + 2/5 s^2 + ...)). Here x = -a, z = -b, a the larger. */

#pragma once

#include "logistic.h"

#include "coefficients/fixed_point.h"

typedef unsigned __int128 two_words;

/* Numbers of n words, the least first; n is a constant everywhere. A number in [0, 1) is a fraction of 2^64n, one in
   [0, 2) of 2^(64n-1). */
#define MOST_WORDS (FIXED_WORDS + 1)

/* z = x y / 2^64n. Error: below n units, downwards: products below the last word are left out, but for the high halves
   of the uppermost. */
INLINE void w_mul(uint64_t *z, const uint64_t *x, const uint64_t *y, int n) {
    uint64_t sum[MOST_WORDS];
#pragma GCC unroll 4
    for (int i = 0; i < n; i++) {
        uint64_t carry = (uint64_t)((two_words)x[i] * y[n - 1 - i] >> 64);
#pragma GCC unroll 4
        for (int k = 0; k < i; k++) {
            two_words product = (two_words)x[i] * y[n - i + k] + sum[k] + carry;
            sum[k] = (uint64_t)product;
            carry = (uint64_t)(product >> 64);
        }
        sum[i] = carry;
    }
#pragma GCC unroll 4
    for (int k = 0; k < n; k++) z[k] = sum[k];
}

INLINE void w_add(uint64_t *z, const uint64_t *x, const uint64_t *y, int n) {
    uint64_t carry = 0;
#pragma GCC unroll 4
    for (int k = 0; k < n; k++) {
        two_words sum = (two_words)x[k] + y[k] + carry;
        z[k] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
}

/* z = x - y, modulo 2^64n. Returns whether it is negative. */
INLINE int w_sub(uint64_t *z, const uint64_t *x, const uint64_t *y, int n) {
    uint64_t borrow = 0;
#pragma GCC unroll 4
    for (int k = 0; k < n; k++) {
        two_words difference = (two_words)x[k] - y[k] - borrow;
        z[k] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    return (int)borrow;
}

/* z = |x| 2^shift, cut off below. */
INLINE void w_set(uint64_t *z, double x, int shift, int n) {
    union {
        double x;
        uint64_t bits;
    } number = {x};
    int exponent = (int)(number.bits >> 52 & 0x7ff);
    uint64_t mantissa = (number.bits & 0xfffffffffffff) | (uint64_t)(exponent > 0) << 52;
    shift += (exponent > 0 ? exponent : 1) - 1075;
#pragma GCC unroll 4
    for (int k = 0; k < n; k++) {
        int up = shift - 64 * k;
        z[k] = up >= 64 || up <= -64 ? 0 : up >= 0 ? mantissa << up : mantissa >> -up;
    }
}

/* A positive number in two words, and its sum as integers. */
typedef struct {
    double hi, lo;
} two_doubles;
INLINE void w_set_sum(uint64_t *z, two_doubles x, int shift, int n) {
    uint64_t rest[MOST_WORDS];
    w_set(z, x.hi, shift, n);
    if (x.lo == 0) return;
    w_set(rest, x.lo, shift, n);
    if (x.lo < 0) w_sub(z, z, rest, n);
    else w_add(z, z, rest, n);
}

/* The precision of D(x), x <= 0.8. Error: the first term left out, 0.8^terms / (terms + 1)!; 15 or 20 units of the last
   word, as constants and products are cut off; and 2^-83 from the terms of one word. */
typedef struct {
    int words;  /* the words of each number */
    int pairs;  /* the number of pairs of terms */
    int single; /* the pair from which on one word is enough; `pairs` if none is */
    int shift;  /* these words are scaled by 2^shift */
    int zeros;  /* leading zeros of e^-r - 2^n x D(x) that leave 2^-58 (float: 2^-28) of it right */
} precision;
#if FL_WIDTH == 32
#define COARSE ((precision){.words = 1, .pairs = 7, .single = 7, .zeros = 16})
#define FINE ((precision){.words = 2, .pairs = 17, .single = 17, .zeros = 128})
#else
#define COARSE ((precision){.words = 2, .pairs = 11, .single = 5, .shift = 20, .zeros = 22})
#define FINE ((precision){.words = 3, .pairs = 22, .single = 22, .zeros = 192})
#endif

/* D(x[0]) and D(x[1]), in step, by Horner's rule on the even and the odd terms:
   D(x) = sinh(x)/x - x ((cosh(x) - 1)/x^2). */
INLINE void w_series(uint64_t d[2][FIXED_WORDS], uint64_t x[2][FIXED_WORDS], precision p) {
    const int n = p.words;
    uint64_t square[2][FIXED_WORDS], sum[2][2][FIXED_WORDS], single[2][2] = {{0}}, product[FIXED_WORDS];
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) w_mul(square[i], x[i], x[i], n);
    for (int k = p.pairs - 1; k >= p.single; k--)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            const uint64_t *c = reciprocal_factorials[2 * k + i % 2] + FIXED_WORDS - 2;
            w_mul(product, square[i / 2] + n - 1, single[i / 2] + i % 2, 1);
            single[i / 2][i % 2] = (c[1] << p.shift | c[0] >> (64 - p.shift)) + product[0];
        }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
#pragma GCC unroll 4
        for (int k = 0; k < n; k++) sum[i / 2][i % 2][k] = 0;
        if (p.single < p.pairs) {
            sum[i / 2][i % 2][n - 1] = single[i / 2][i % 2] >> p.shift;
            sum[i / 2][i % 2][n - 2] = single[i / 2][i % 2] << (64 - p.shift);
        }
    }
    for (int k = p.single - 1; k >= 0; k--)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            w_mul(product, square[i / 2], sum[i / 2][i % 2], n);
            w_add(sum[i / 2][i % 2], reciprocal_factorials[2 * k + i % 2] + FIXED_WORDS - n, product, n);
        }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        w_mul(product, x[i], sum[i][1], n);
        w_sub(d[i], sum[i][0], product, n);
    }
}

/* r = z - n ln2, with an integral word above. Returns n. */
INLINE int w_reduce(uint64_t r[MOST_WORDS], two_doubles z, int words) {
    uint64_t multiple[MOST_WORDS];
    const uint64_t *ln2 = ln2_words + FIXED_WORDS - words; /* with one word below the last */
    int n = (int)(z.hi * 0x1.71547652b82fep+0);
    for (int down = 0;; down = 1) {
        uint64_t carry = (uint64_t)((two_words)ln2[0] * (unsigned)n >> 64);
#pragma GCC unroll 4
        for (int k = 0; k < words; k++) {
            two_words product = (two_words)ln2[k + 1] * (unsigned)n + carry;
            multiple[k] = (uint64_t)product;
            carry = (uint64_t)(product >> 64);
        }
        multiple[words] = carry;
        w_set_sum(r, z, 64 * words, words + 1);
        if (!w_sub(r, r, multiple, words + 1) || down) return n;
        n--; /* z/ln2 was rounded up to an integer */
    }
}

/* u = +-m 2^exponent with 2^61 <= m < 2^62, or m = 0 if p is not precise enough; and 2^63 e^-x, 2^(63+n) e^-z.
   The bracket above is to be below 2^room. */
typedef struct {
    uint64_t m, exp_x, exp_z;
    int exponent, negative, n;
} cancelled;
INLINE cancelled w_cancel_to(two_doubles x, two_doubles z, int room, precision p) {
    const int words = p.words;
    uint64_t r[MOST_WORDS], arguments[2][FIXED_WORDS], d[2][FIXED_WORDS], factor[FIXED_WORDS];
    int n = w_reduce(r, z, words);
    w_set_sum(arguments[1], x, 64 * words, words);
    w_set_sum(factor, x, 64 * words + n - 1 - room, words);
    for (int k = 0; k < words; k++) arguments[0][k] = r[k];
    w_series(d, arguments, p);
    uint64_t power[FIXED_WORDS] = {0}, u[FIXED_WORDS];
    power[words - 1] = (uint64_t)1 << 63;
    w_mul(d[0], arguments[0], d[0], words);
    w_sub(power, power, d[0], words);
    uint64_t minus_expm1_x = (uint64_t)((two_words)arguments[1][words - 1] * d[1][words - 1] >> 64);
    cancelled c = {.exp_x = ((uint64_t)1 << 63) - minus_expm1_x, .exp_z = power[words - 1], .n = n};
    for (int k = 0; room && k < words; k++)
        power[k] = power[k] >> room | (k + 1 < words ? power[k + 1] << (64 - room) : 0);
    w_mul(d[1], factor, d[1], words);
    w_sub(u, power, d[1], words);
    w_sub(u, u, d[1], words);
    c.negative = (int)(u[words - 1] >> 63);
    if (c.negative) {
        const uint64_t zero[FIXED_WORDS] = {0};
        w_sub(u, zero, u, words);
    }
    int top = words - 1, zeros = 0;
    while (top > 0 && u[top] == 0) top--, zeros += 64;
    if (u[top] == 0) return c;
    int up = __builtin_clzll(u[top]);
    zeros += up;
    if (zeros > p.zeros) return c;
    c.m = (u[top] << up | (up && top ? u[top - 1] >> (64 - up) : 0)) >> 2;
    c.exponent = -61 - zeros - n + room;
    return c;
}
INLINE cancelled w_cancel(two_doubles x, two_doubles z, int room) {
    cancelled c = w_cancel_to(x, z, room, COARSE);
    return c.m ? c : w_cancel_to(x, z, room, FINE);
}

INLINE double w_power_of_two(int exponent) {
    union {
        uint64_t bits;
        double x;
    } power = {(uint64_t)(1023 + exponent) << 52};
    return power.x;
}

/* x 2^exponent, in two steps, as the power may be no number. */
INLINE double w_scaled(double x, int exponent) {
    return x * w_power_of_two(exponent / 2) * w_power_of_two(exponent - exponent / 2);
}

/* log(e^a + e^b), a >= b, where it is below |a|/8; |a|/4 for -2^-20 < a < 0.
   Error: 1/2 ulp, and 2^-4 from the second word, which is below 2^-4 of the first; one ulp where subnormal. */
INLINE real w_log_near_zero(real a, real b) {
    cancelled c = w_cancel((two_doubles){-(double)a, 0}, (two_doubles){-(double)b, 0}, 0);
    double hi = (double)(int64_t)c.m;
    if (c.negative) hi = -hi;
    if (c.exponent < -61 - 60) return (real)w_scaled(hi, c.exponent);
    double unit = w_power_of_two(c.exponent), u = hi * unit, s = u / (2 + u), q = s * s;
#if FL_WIDTH == 32
    return (real)(u - s * (u - q * (2.0 / 3 + q * (2.0 / 5 + q * (2.0 / 7)))));
#else
    double u_lo = (double)((c.negative ? -(int64_t)c.m : (int64_t)c.m) - (int64_t)hi) * unit;
    double rest = 2.0 / 3 + q * (2.0 / 5 + q * (2.0 / 7)) + q * q * q * (2.0 / 9 + q * (2.0 / 11 + q * (2.0 / 13)));
    return u + (u_lo - s * (u - q * rest));
#endif
}

/* log(e^max + e^min), where the terms cancel, else y. Where min - max is below WORD_MIN, y is max + e^(min-max), and
   e^x has an error of 0.15 ulp: there from max/4 on. A call, so that loops keep their registers to themselves. */
RARE vec logaddexp_by_integers(vec max, vec min, vec y) {
    mask far = v_lt(v_sub(min, max), v_set(WORD_MIN));
    vec bound = v_mul(v_select(far, v_set(REAL(-0.25)), v_set(-NEAR_ZERO)), max);
    mask near_zero = mask_and(v_le(v_abs(y), bound), v_lt(v_abs(y), v_neg(max))); /* with the sign of a 0 */
    real a[LANES], b[LANES], result[LANES], wanted[LANES];
    v_store(a, max);
    v_store(b, min);
    v_store(result, y);
    v_store(wanted, v_select(near_zero, v_set(1), v_set(0)));
    for (int i = 0; i < LANES; i++)
        if (wanted[i] > 0) result[i] = w_log_near_zero(a[i], b[i]);
    return v_load(result);
}

INLINE vec m_logaddexp_near_zero(vec max, vec min, vec y, vec bound) {
    return RARELY(mask_any(v_lt(v_abs(y), bound))) ? logaddexp_by_integers(max, min, y) : y;
}

/* x / y, which is below 2^64. clang-cl's libraries have no division of two words, so there it goes bit by bit. */
INLINE uint64_t w_quotient(two_words x, uint64_t y) {
#if defined(_MSC_VER)
    uint64_t quotient = 0;
    for (int k = 63; k >= 0; k--) {
        two_words part = (two_words)y << k;
        if (x >= part) x -= part, quotient |= (uint64_t)1 << k;
    }
    return quotient;
#else
    return (uint64_t)(x / y);
#endif
}

/* e^a - e^b - 1 as two words, for a > b, a > 0, where it is below 8, and small beside e^a. With v = e^-a + e^(b-a) - 1,
   in which the terms cancel as above, e^a - e^b = e^a (1 - e^(b-a)) = e^a (e^-a - v) = 1 - v/e^-a. b - a is taken in two
   words. */
INLINE void w_difference_less_1(real a, real b, real *hi, real *lo) {
    double difference = (double)a - b, part = difference - a;
    two_doubles gap = {difference, (a - (difference - part)) - (b + part)}, whole = {a, 0};
    int above = b > 0; /* then b - a is the smaller exponent */
    cancelled c = w_cancel(above ? gap : whole, above ? whole : gap, 3);
    int64_t quotient = (int64_t)w_quotient((two_words)c.m << 62, above ? c.exp_z : c.exp_x); /* < 2^63: e^-x > 1/4 */
    int exponent = c.exponent + 1 + (above ? c.n : 0);
    if (!c.negative) quotient = -quotient;
    double first = (double)quotient;
#if FL_WIDTH == 32
    double u = w_scaled(first, exponent);
    *hi = (real)u;
    *lo = (real)(u - *hi);
#else
    double rest = first < 0x1p63 && first > -0x1p63 ? (double)(quotient - (int64_t)first) : 0;
    *hi = w_scaled(first, exponent);
    *lo = w_scaled(rest, exponent);
#endif
}
