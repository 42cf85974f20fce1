/* AVX2 with FMA and F16C. A mask is a vector of all-ones and all-zeros lanes. Numbers of rows are volatile for the
   reason that avx512.h gives. */

#include <immintrin.h>

#define FL_FUSED 1

#if FL_WIDTH == 32

#define LANES 8
typedef __m256 vec;
typedef __m256i ivec;
typedef __m256 mask;

INLINE vec v_load(const real *p) { return _mm256_loadu_ps(p); }
INLINE void v_store(real *p, vec x) { _mm256_storeu_ps(p, x); }
INLINE vec v_load_half(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
INLINE void v_store_half(uint16_t *p, vec x) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
/* The first n of 8 lanes. */
INLINE __m256i first_lanes(intptr_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE vec v_load_part(const real *p, intptr_t n, real c) {
    __m256i first = first_lanes(n);
    return _mm256_blendv_ps(_mm256_set1_ps(c), _mm256_maskload_ps(p, first), _mm256_castsi256_ps(first));
}
INLINE void v_store_part(real *p, intptr_t n, vec x) { _mm256_maskstore_ps(p, first_lanes(n), x); }
INLINE vec v_set(real c) { return _mm256_set1_ps(c); }
INLINE mask mask_load(const char *p) {
    __m256i lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(lanes, _mm256_setzero_si256()));
}

INLINE vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
INLINE vec v_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
INLINE vec v_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
INLINE vec v_div(vec a, vec b) { return _mm256_div_ps(a, b); }
INLINE vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vec v_fnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
INLINE vec v_mul_error(vec a, vec b, vec p) { return _mm256_fmsub_ps(a, b, p); }
INLINE vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
INLINE vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }

INLINE mask v_eq(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
INLINE mask v_ne(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_NEQ_UQ); }
INLINE mask v_lt(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
INLINE mask v_le(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
INLINE vec v_select(mask m, vec a, vec b) { return _mm256_blendv_ps(b, a, m); }
INLINE mask mask_and(mask a, mask b) { return _mm256_and_ps(a, b); }
INLINE mask mask_or(mask a, mask b) { return _mm256_or_ps(a, b); }
INLINE int mask_any(mask m) { return _mm256_movemask_ps(m) != 0; }

INLINE ivec v_bits(vec x) { return _mm256_castps_si256(x); }
INLINE vec v_real(ivec i) { return _mm256_castsi256_ps(i); }
INLINE ivec i_set(bits c) { return _mm256_set1_epi32((int)c); }
INLINE ivec i_add(ivec a, ivec b) { return _mm256_add_epi32(a, b); }
INLINE ivec i_sub(ivec a, ivec b) { return _mm256_sub_epi32(a, b); }
INLINE ivec i_shl(ivec a, int k) { return _mm256_slli_epi32(a, k); }
INLINE ivec i_shr(ivec a, int k) { return _mm256_srli_epi32(a, k); }

#define VEC_LOOKUP8
INLINE vec v_lookup8(const real *table, ivec i) { return _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), i); }

INLINE vec v_swap(vec x, int k) {
    if (k == 4) return _mm256_permute2f128_ps(x, x, 1);
    return k == 2 ? _mm256_permute_ps(x, 0x4e) : _mm256_permute_ps(x, 0xb1);
}

/* Blocks of 4 by 4 elements within halves; then the halves. */
INLINE void v_transpose(vec x[8]) {
    vec pair[8];
    for (int i = 0; i < 8; i += 4) {
        __m256d low0 = _mm256_castps_pd(_mm256_unpacklo_ps(x[i], x[i + 1]));
        __m256d low2 = _mm256_castps_pd(_mm256_unpacklo_ps(x[i + 2], x[i + 3]));
        __m256d high0 = _mm256_castps_pd(_mm256_unpackhi_ps(x[i], x[i + 1]));
        __m256d high2 = _mm256_castps_pd(_mm256_unpackhi_ps(x[i + 2], x[i + 3]));
        pair[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(low0, low2));
        pair[i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low0, low2));
        pair[i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(high0, high2));
        pair[i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(high0, high2));
    }
    for (int k = 0; k < 4; k++) {
        x[k] = _mm256_permute2f128_ps(pair[k], pair[4 + k], 0x20);
        x[k + 4] = _mm256_permute2f128_ps(pair[k], pair[4 + k], 0x31);
    }
}

/* The columns of eight rows of four; rows k and k + 4 stand side by side. */
INLINE void columns_of(vec r0, vec r1, vec r2, vec r3, vec row[4]) {
    __m256d low01 = _mm256_castps_pd(_mm256_unpacklo_ps(r0, r1)), low23 = _mm256_castps_pd(_mm256_unpacklo_ps(r2, r3));
    __m256d high01 = _mm256_castps_pd(_mm256_unpackhi_ps(r0, r1)),
            high23 = _mm256_castps_pd(_mm256_unpackhi_ps(r2, r3));
    row[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(low01, low23));
    row[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low01, low23));
    row[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(high01, high23));
    row[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(high01, high23));
}

INLINE vec side_by_side(const real *r0, const real *r4) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(r0)), _mm_loadu_ps(r4), 1);
}

INLINE vec two_rows(const real table[][4], const volatile bits *i) { return side_by_side(table[i[0]], table[i[4]]); }
INLINE void v_rows(const real table[][4], ivec i, vec row[4]) {
    bits of[LANES];
    _mm256_storeu_si256((__m256i *)of, i);
    columns_of(two_rows(table, of), two_rows(table, of + 1), two_rows(table, of + 2), two_rows(table, of + 3), row);
}

INLINE void v_columns(const real *p, intptr_t step, vec column[4]) {
    const real *q = p + 4 * step;
    columns_of(side_by_side(p, q), side_by_side(p + step, q + step), side_by_side(p + 2 * step, q + 2 * step),
               side_by_side(p + 3 * step, q + 3 * step), column);
}
INLINE void v_store_columns(real *p, intptr_t step, const vec column[4]) {
    vec rows[4];
    columns_of(column[0], column[1], column[2], column[3], rows);
    for (int k = 0; k < 4; k++) _mm_storeu_ps(p + k * step, _mm256_castps256_ps128(rows[k]));
    for (int k = 0; k < 4; k++) _mm_storeu_ps(p + (k + 4) * step, _mm256_extractf128_ps(rows[k], 1));
}

#else

#define LANES 4
typedef __m256d vec;
typedef __m256i ivec;
typedef __m256d mask;

INLINE vec v_load(const real *p) { return _mm256_loadu_pd(p); }
INLINE void v_store(real *p, vec x) { _mm256_storeu_pd(p, x); }
/* The first n of 4 lanes. */
INLINE __m256i first_lanes(intptr_t n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
INLINE vec v_load_part(const real *p, intptr_t n, real c) {
    __m256i first = first_lanes(n);
    return _mm256_blendv_pd(_mm256_set1_pd(c), _mm256_maskload_pd(p, first), _mm256_castsi256_pd(first));
}
INLINE void v_store_part(real *p, intptr_t n, vec x) { _mm256_maskstore_pd(p, first_lanes(n), x); }
INLINE vec v_set(real c) { return _mm256_set1_pd(c); }
INLINE mask mask_load(const char *p) {
    __m256i lanes = _mm256_cvtepu8_epi64(_mm_loadu_si32(p));
    return _mm256_castsi256_pd(_mm256_cmpgt_epi64(lanes, _mm256_setzero_si256()));
}

INLINE vec v_add(vec a, vec b) { return _mm256_add_pd(a, b); }
INLINE vec v_sub(vec a, vec b) { return _mm256_sub_pd(a, b); }
INLINE vec v_mul(vec a, vec b) { return _mm256_mul_pd(a, b); }
INLINE vec v_div(vec a, vec b) { return _mm256_div_pd(a, b); }
INLINE vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_pd(a, b, c); }
INLINE vec v_fnma(vec a, vec b, vec c) { return _mm256_fnmadd_pd(a, b, c); }
INLINE vec v_mul_error(vec a, vec b, vec p) { return _mm256_fmsub_pd(a, b, p); }
INLINE vec v_max(vec a, vec b) { return _mm256_max_pd(a, b); }
INLINE vec v_min(vec a, vec b) { return _mm256_min_pd(a, b); }

INLINE mask v_eq(vec a, vec b) { return _mm256_cmp_pd(a, b, _CMP_EQ_OQ); }
INLINE mask v_ne(vec a, vec b) { return _mm256_cmp_pd(a, b, _CMP_NEQ_UQ); }
INLINE mask v_lt(vec a, vec b) { return _mm256_cmp_pd(a, b, _CMP_LT_OQ); }
INLINE mask v_le(vec a, vec b) { return _mm256_cmp_pd(a, b, _CMP_LE_OQ); }
INLINE vec v_select(mask m, vec a, vec b) { return _mm256_blendv_pd(b, a, m); }
INLINE mask mask_and(mask a, mask b) { return _mm256_and_pd(a, b); }
INLINE mask mask_or(mask a, mask b) { return _mm256_or_pd(a, b); }
INLINE int mask_any(mask m) { return _mm256_movemask_pd(m) != 0; }

INLINE ivec v_bits(vec x) { return _mm256_castpd_si256(x); }
INLINE vec v_real(ivec i) { return _mm256_castsi256_pd(i); }
INLINE ivec i_set(bits c) { return _mm256_set1_epi64x((long long)c); }
INLINE ivec i_add(ivec a, ivec b) { return _mm256_add_epi64(a, b); }
INLINE ivec i_sub(ivec a, ivec b) { return _mm256_sub_epi64(a, b); }
INLINE ivec i_shl(ivec a, int k) { return _mm256_slli_epi64(a, k); }
INLINE ivec i_shr(ivec a, int k) { return _mm256_srli_epi64(a, k); }

INLINE vec v_swap(vec x, int k) { return k == 2 ? _mm256_permute2f128_pd(x, x, 1) : _mm256_permute_pd(x, 5); }

INLINE void v_transpose(vec x[4]) {
    vec even01 = _mm256_unpacklo_pd(x[0], x[1]), odd01 = _mm256_unpackhi_pd(x[0], x[1]);
    vec even23 = _mm256_unpacklo_pd(x[2], x[3]), odd23 = _mm256_unpackhi_pd(x[2], x[3]);
    x[0] = _mm256_permute2f128_pd(even01, even23, 0x20);
    x[1] = _mm256_permute2f128_pd(odd01, odd23, 0x20);
    x[2] = _mm256_permute2f128_pd(even01, even23, 0x31);
    x[3] = _mm256_permute2f128_pd(odd01, odd23, 0x31);
}

INLINE void v_rows(const real table[][4], ivec i, vec row[4]) {
    bits of[LANES];
    _mm256_storeu_si256((__m256i *)of, i);
    const volatile bits *at = of;
    for (int k = 0; k < 4; k++) row[k] = v_load(table[at[k]]);
    v_transpose(row);
}

INLINE void v_columns(const real *p, intptr_t step, vec column[4]) {
    for (int k = 0; k < 4; k++) column[k] = v_load(p + k * step);
    v_transpose(column);
}
INLINE void v_store_columns(real *p, intptr_t step, const vec column[4]) {
    vec rows[4] = {column[0], column[1], column[2], column[3]};
    v_transpose(rows);
    for (int k = 0; k < 4; k++) v_store(p + k * step, rows[k]);
}

#define VEC_PAIRS
INLINE vec pairs_side_by_side(const real *p, const real *q) {
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(p)), _mm_loadu_pd(q), 1);
}
INLINE void v_pairs(const real table[][2], ivec i, vec pair[2]) {
    bits of[LANES];
    _mm256_storeu_si256((__m256i *)of, i);
    const volatile bits *at = of;
    vec even = pairs_side_by_side(table[at[0]], table[at[2]]), odd = pairs_side_by_side(table[at[1]], table[at[3]]);
    pair[0] = _mm256_unpacklo_pd(even, odd);
    pair[1] = _mm256_unpackhi_pd(even, odd);
}

#endif

INLINE ivec i_and(ivec a, ivec b) { return _mm256_and_si256(a, b); }
INLINE ivec i_or(ivec a, ivec b) { return _mm256_or_si256(a, b); }
INLINE vec v_abs(vec x) { return v_real(_mm256_andnot_si256(i_set(SIGN_BIT), v_bits(x))); }
INLINE vec v_neg(vec x) { return v_real(_mm256_xor_si256(i_set(SIGN_BIT), v_bits(x))); }
INLINE vec v_unless(mask m, vec x) { return v_real(_mm256_andnot_si256(v_bits(m), v_bits(x))); }
INLINE vec v_add_where(vec x, mask m, vec y) { return v_add(x, v_real(i_and(v_bits(m), v_bits(y)))); }
