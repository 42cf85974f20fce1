/* AVX-512 F, DQ, BW, VL. Masks live in mask registers, so a masked addition is one instruction. */

#include <immintrin.h>

#define FL_FUSED 1

#if FL_WIDTH == 32

#define LANES 16
typedef __m512 vec;
typedef __m512i ivec;
typedef __mmask16 mask;

INLINE vec v_load(const real *p) { return _mm512_loadu_ps(p); }
INLINE void v_store(real *p, vec x) { _mm512_storeu_ps(p, x); }
INLINE vec v_load_half(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
INLINE void v_store_half(uint16_t *p, vec x) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
INLINE vec v_set(real c) { return _mm512_set1_ps(c); }

INLINE vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
INLINE vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
INLINE vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
INLINE vec v_div(vec a, vec b) { return _mm512_div_ps(a, b); }
INLINE vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vec v_fnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }
INLINE vec v_mul_error(vec a, vec b, vec p) { return _mm512_fmsub_ps(a, b, p); }
INLINE vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
INLINE vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }

INLINE mask v_eq(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
INLINE mask v_ne(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ); }
INLINE mask v_lt(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
INLINE mask v_le(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
INLINE vec v_select(mask m, vec a, vec b) { return _mm512_mask_blend_ps(m, b, a); }
INLINE vec v_add_where(vec x, mask m, vec y) { return _mm512_mask_add_ps(x, m, x, y); }

INLINE ivec v_bits(vec x) { return _mm512_castps_si512(x); }
INLINE vec v_real(ivec i) { return _mm512_castsi512_ps(i); }
INLINE ivec i_set(bits c) { return _mm512_set1_epi32((int)c); }
INLINE ivec i_add(ivec a, ivec b) { return _mm512_add_epi32(a, b); }
INLINE ivec i_sub(ivec a, ivec b) { return _mm512_sub_epi32(a, b); }
INLINE ivec i_shl(ivec a, int k) { return _mm512_slli_epi32(a, (unsigned)k); }
INLINE ivec i_shr(ivec a, int k) { return _mm512_srli_epi32(a, (unsigned)k); }

#else

#define LANES 8
typedef __m512d vec;
typedef __m512i ivec;
typedef __mmask8 mask;

INLINE vec v_load(const real *p) { return _mm512_loadu_pd(p); }
INLINE void v_store(real *p, vec x) { _mm512_storeu_pd(p, x); }
INLINE vec v_set(real c) { return _mm512_set1_pd(c); }

INLINE vec v_add(vec a, vec b) { return _mm512_add_pd(a, b); }
INLINE vec v_sub(vec a, vec b) { return _mm512_sub_pd(a, b); }
INLINE vec v_mul(vec a, vec b) { return _mm512_mul_pd(a, b); }
INLINE vec v_div(vec a, vec b) { return _mm512_div_pd(a, b); }
INLINE vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_pd(a, b, c); }
INLINE vec v_fnma(vec a, vec b, vec c) { return _mm512_fnmadd_pd(a, b, c); }
INLINE vec v_mul_error(vec a, vec b, vec p) { return _mm512_fmsub_pd(a, b, p); }
INLINE vec v_max(vec a, vec b) { return _mm512_max_pd(a, b); }
INLINE vec v_min(vec a, vec b) { return _mm512_min_pd(a, b); }

INLINE mask v_eq(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
INLINE mask v_ne(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_NEQ_UQ); }
INLINE mask v_lt(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
INLINE mask v_le(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ); }
INLINE vec v_select(mask m, vec a, vec b) { return _mm512_mask_blend_pd(m, b, a); }
INLINE vec v_add_where(vec x, mask m, vec y) { return _mm512_mask_add_pd(x, m, x, y); }

INLINE ivec v_bits(vec x) { return _mm512_castpd_si512(x); }
INLINE vec v_real(ivec i) { return _mm512_castsi512_pd(i); }
INLINE ivec i_set(bits c) { return _mm512_set1_epi64((long long)c); }
INLINE ivec i_add(ivec a, ivec b) { return _mm512_add_epi64(a, b); }
INLINE ivec i_sub(ivec a, ivec b) { return _mm512_sub_epi64(a, b); }
INLINE ivec i_shl(ivec a, int k) { return _mm512_slli_epi64(a, (unsigned)k); }
INLINE ivec i_shr(ivec a, int k) { return _mm512_srli_epi64(a, (unsigned)k); }

#endif

INLINE ivec i_and(ivec a, ivec b) { return _mm512_and_si512(a, b); }
INLINE ivec i_or(ivec a, ivec b) { return _mm512_or_si512(a, b); }
INLINE vec v_abs(vec x) { return v_real(_mm512_andnot_si512(i_set(SIGN_BIT), v_bits(x))); }
INLINE vec v_neg(vec x) { return v_real(_mm512_xor_si512(i_set(SIGN_BIT), v_bits(x))); }
INLINE mask m_and(mask a, mask b) { return a & b; }
INLINE mask m_or(mask a, mask b) { return a | b; }
INLINE int m_any(mask m) { return m != 0; }
