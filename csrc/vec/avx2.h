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
INLINE vec v_set(real c) { return _mm256_set1_ps(c); }

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
INLINE mask m_and(mask a, mask b) { return _mm256_and_ps(a, b); }
INLINE mask m_or(mask a, mask b) { return _mm256_or_ps(a, b); }
INLINE int m_any(mask m) { return _mm256_movemask_ps(m) != 0; }

INLINE ivec v_bits(vec x) { return _mm256_castps_si256(x); }
INLINE vec v_real(ivec i) { return _mm256_castsi256_ps(i); }
INLINE ivec i_set(bits c) { return _mm256_set1_epi32((int)c); }
INLINE ivec i_add(ivec a, ivec b) { return _mm256_add_epi32(a, b); }
INLINE ivec i_sub(ivec a, ivec b) { return _mm256_sub_epi32(a, b); }
INLINE ivec i_shl(ivec a, int k) { return _mm256_slli_epi32(a, k); }
INLINE ivec i_shr(ivec a, int k) { return _mm256_srli_epi32(a, k); }

/* Rows k and k + 4 side by side. */
INLINE vec two_rows(const real table[][4], const volatile bits *i) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(table[i[0]])), _mm_loadu_ps(table[i[4]]), 1);
}
INLINE void v_rows(const real table[][4], ivec i, vec row[4]) {
    bits of[LANES];
    _mm256_storeu_si256((__m256i *)of, i);
    vec r0 = two_rows(table, of), r1 = two_rows(table, of + 1);
    vec r2 = two_rows(table, of + 2), r3 = two_rows(table, of + 3);
    __m256d low01 = _mm256_castps_pd(_mm256_unpacklo_ps(r0, r1)), low23 = _mm256_castps_pd(_mm256_unpacklo_ps(r2, r3));
    __m256d high01 = _mm256_castps_pd(_mm256_unpackhi_ps(r0, r1)),
            high23 = _mm256_castps_pd(_mm256_unpackhi_ps(r2, r3));
    row[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(low01, low23));
    row[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low01, low23));
    row[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(high01, high23));
    row[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(high01, high23));
}

#else

#define LANES 4
typedef __m256d vec;
typedef __m256i ivec;
typedef __m256d mask;

INLINE vec v_load(const real *p) { return _mm256_loadu_pd(p); }
INLINE void v_store(real *p, vec x) { _mm256_storeu_pd(p, x); }
INLINE vec v_set(real c) { return _mm256_set1_pd(c); }

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
INLINE mask m_and(mask a, mask b) { return _mm256_and_pd(a, b); }
INLINE mask m_or(mask a, mask b) { return _mm256_or_pd(a, b); }
INLINE int m_any(mask m) { return _mm256_movemask_pd(m) != 0; }

INLINE ivec v_bits(vec x) { return _mm256_castpd_si256(x); }
INLINE vec v_real(ivec i) { return _mm256_castsi256_pd(i); }
INLINE ivec i_set(bits c) { return _mm256_set1_epi64x((long long)c); }
INLINE ivec i_add(ivec a, ivec b) { return _mm256_add_epi64(a, b); }
INLINE ivec i_sub(ivec a, ivec b) { return _mm256_sub_epi64(a, b); }
INLINE ivec i_shl(ivec a, int k) { return _mm256_slli_epi64(a, k); }
INLINE ivec i_shr(ivec a, int k) { return _mm256_srli_epi64(a, k); }

INLINE void v_rows(const real table[][4], ivec i, vec row[4]) {
    bits of[LANES];
    _mm256_storeu_si256((__m256i *)of, i);
    const volatile bits *at = of;
    vec r0 = v_load(table[at[0]]), r1 = v_load(table[at[1]]), r2 = v_load(table[at[2]]), r3 = v_load(table[at[3]]);
    vec even01 = _mm256_unpacklo_pd(r0, r1), odd01 = _mm256_unpackhi_pd(r0, r1);
    vec even23 = _mm256_unpacklo_pd(r2, r3), odd23 = _mm256_unpackhi_pd(r2, r3);
    row[0] = _mm256_permute2f128_pd(even01, even23, 0x20);
    row[1] = _mm256_permute2f128_pd(odd01, odd23, 0x20);
    row[2] = _mm256_permute2f128_pd(even01, even23, 0x31);
    row[3] = _mm256_permute2f128_pd(odd01, odd23, 0x31);
}

#endif

INLINE ivec i_and(ivec a, ivec b) { return _mm256_and_si256(a, b); }
INLINE ivec i_or(ivec a, ivec b) { return _mm256_or_si256(a, b); }
INLINE vec v_abs(vec x) { return v_real(_mm256_andnot_si256(i_set(SIGN_BIT), v_bits(x))); }
INLINE vec v_neg(vec x) { return v_real(_mm256_xor_si256(i_set(SIGN_BIT), v_bits(x))); }
/* A blend, not x + (y and m): -0 + 0 would lose the sign. */
INLINE vec v_add_where(vec x, mask m, vec y) { return v_select(m, v_add(x, y), x); }
