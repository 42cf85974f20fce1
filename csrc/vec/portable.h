/* One lane in plain C11: what each operation means. Straight-line code without branches, so that a compiler may still
   vectorise a loop over it with whatever the baseline offers. */

#include <float.h>
#include <string.h>

_Static_assert(FLT_EVAL_METHOD == 0,
               "arithmetic in the operands' own precision is needed (on i386: -msse2 -mfpmath=sse)");

#define LANES 1

typedef real vec;
typedef bits ivec;
typedef int mask;

INLINE vec v_load(const real *p) { return *p; }
INLINE void v_store(real *p, vec x) { *p = x; }
INLINE vec v_load_part(const real *p, intptr_t n, real c) { return n > 0 ? *p : c; }
INLINE void v_store_part(real *p, intptr_t n, vec x) {
    if (n > 0) *p = x;
}
INLINE vec v_set(real c) { return c; }
INLINE mask mask_load(const char *p) { return *p != 0; }

INLINE vec v_add(vec a, vec b) { return a + b; }
INLINE vec v_sub(vec a, vec b) { return a - b; }
INLINE vec v_mul(vec a, vec b) { return a * b; }
INLINE vec v_div(vec a, vec b) { return a / b; }

INLINE ivec v_bits(vec x) {
    ivec i;
    memcpy(&i, &x, sizeof i);
    return i;
}
INLINE vec v_real(ivec i) {
    vec x;
    memcpy(&x, &i, sizeof x);
    return x;
}
INLINE vec v_abs(vec x) { return v_real(v_bits(x) & ~SIGN_BIT); }

#if FL_WIDTH == 32 && defined(__FP_FAST_FMAF)
#define FL_FUSED 1
INLINE vec v_fma(vec a, vec b, vec c) { return __builtin_fmaf(a, b, c); }
#elif FL_WIDTH == 64 && defined(__FP_FAST_FMA)
#define FL_FUSED 1
INLINE vec v_fma(vec a, vec b, vec c) { return __builtin_fma(a, b, c); }
#endif

#ifdef FL_FUSED
INLINE vec v_fnma(vec a, vec b, vec c) { return v_fma(-a, b, c); }
INLINE vec v_mul_error(vec a, vec b, vec p) { return v_fma(a, b, -p); }
#else
#define FL_FUSED 0
INLINE vec v_fma(vec a, vec b, vec c) { return a * b + c; }
INLINE vec v_fnma(vec a, vec b, vec c) { return c - a * b; }
#if FL_WIDTH == 32
/* The product of two floats is exact in double. */
INLINE vec v_mul_error(vec a, vec b, vec p) { return (float)((double)a * b - p); }
#else
/* Dekker: each factor is split by Veltkamp's constant 2^27 + 1 into halves whose products are exact. Where that would
   overflow, the upper halves are what is left without the low bits; the error of the product is then right to 2^-78. */
#define UPPER_HALF ~(((bits)1 << 27) - 1)
INLINE vec v_mul_error(vec a, vec b, vec p) {
    int large = !(v_abs(a) < 0x1p990 && v_abs(b) < 0x1p990);
    vec ca = a * 0x1.0000002p27, cb = b * 0x1.0000002p27;
    vec ah = large ? v_real(v_bits(a) & UPPER_HALF) : ca - (ca - a),
        bh = large ? v_real(v_bits(b) & UPPER_HALF) : cb - (cb - b);
    vec al = a - ah, bl = b - bh;
    return ((ah * bh - p) + ah * bl + al * bh) + al * bl;
}
#endif
#endif

INLINE void v_rows(const real table[][4], ivec i, vec row[4]) {
    for (int k = 0; k < 4; k++) row[k] = table[i][k];
}

INLINE void v_columns(const real *p, intptr_t step, vec column[4]) {
    (void)step;
    for (int k = 0; k < 4; k++) column[k] = p[k];
}
INLINE void v_store_columns(real *p, intptr_t step, const vec column[4]) {
    (void)step;
    for (int k = 0; k < 4; k++) p[k] = column[k];
}

#define VEC_PAIRS
INLINE void v_pairs(const real table[][2], ivec i, vec pair[2]) {
    pair[0] = table[i][0];
    pair[1] = table[i][1];
}

INLINE vec v_lookup8(const real *table, ivec i) { return table[i & 7]; }
INLINE vec v_lookup(const real *table, ivec i) { return table[i & (FL_WIDTH == 32 ? 31 : 15)]; }

INLINE vec v_swap(vec x, int k) { return (void)k, x; }
INLINE void v_transpose(vec x[1]) { (void)x; }

INLINE vec v_neg(vec x) { return v_real(v_bits(x) ^ SIGN_BIT); }
INLINE vec v_max(vec a, vec b) { return a > b ? a : b; }
INLINE vec v_min(vec a, vec b) { return a < b ? a : b; }

INLINE mask v_eq(vec a, vec b) { return a == b; }
INLINE mask v_ne(vec a, vec b) { return a != b; }
INLINE mask v_lt(vec a, vec b) { return a < b; }
INLINE mask v_le(vec a, vec b) { return a <= b; }
INLINE vec v_select(mask m, vec a, vec b) { return m ? a : b; }
INLINE vec v_unless(mask m, vec x) { return m ? 0 : x; }
INLINE vec v_add_where(vec x, mask m, vec y) { return m ? x + y : x; }
INLINE mask mask_and(mask a, mask b) { return a & b; }
INLINE mask mask_or(mask a, mask b) { return a | b; }
INLINE int mask_any(mask m) { return m; }

INLINE ivec i_set(bits c) { return c; }
INLINE ivec i_add(ivec a, ivec b) { return a + b; }
INLINE ivec i_sub(ivec a, ivec b) { return a - b; }
INLINE ivec i_and(ivec a, ivec b) { return a & b; }
INLINE ivec i_or(ivec a, ivec b) { return a | b; }
INLINE ivec i_shl(ivec a, int k) { return a << k; }
INLINE ivec i_shr(ivec a, int k) { return a >> k; }

#if FL_WIDTH == 32
/* binary16 has 10 mantissa bits and bias 15: moving its bits up by 13 and multiplying by 2^(127-15) is exact, and maps
   subnormals too. Exponent 31 (inf, nan) is set apart. A signalling nan becomes quiet, as in hardware. */
INLINE vec v_load_half(const uint16_t *p) {
    bits h = *p, magnitude = (h & 0x7fffu) << 13, sign = (h & 0x8000u) << 16;
    bits special = 0x7f800000u | magnitude | (magnitude > 0x0f800000u ? 0x00400000u : 0);
    vec finite = v_real(magnitude) * 0x1p112f;
    return v_real(sign | (magnitude >= 0x0f800000u ? special : v_bits(finite)));
}
/* A float below 2^-14 rounds to a multiple of 2^-24, the spacing of the subnormals, by adding 2^-1, whose unit in the
   last place that is. Others round on the bit pattern: add half a unit, less one when the kept part is even. */
INLINE void v_store_half(uint16_t *p, vec x) {
    bits i = v_bits(x), sign = (i >> 16) & 0x8000u, m = i & 0x7fffffffu, h;
    if (m > 0x7f800000u) h = 0x7e00u | ((m >> 13) & 0x03ffu);
    else if (m >= 0x477ff000u) h = 0x7c00u; /* 65520 and above */
    else if (m < 0x38800000u) h = v_bits(v_real(m) + 0.5f) - 0x3f000000u;
    else h = (m - 0x38000000u + 0x0fffu + ((m >> 13) & 1u)) >> 13;
    *p = (uint16_t)(sign | h);
}
#endif
