/* AVX-512 F, DQ, BW, VL. Masks live in mask registers, so a masked addition is one instruction.

   Rows of tables are loaded whole and transposed: half the time of gathers, which fetch each element by itself. Their
   numbers are volatile, to be read back from memory: a compiler would extract them from the register instead, which
   takes the time of some ten operations more. */

#include <immintrin.h>

#define FL_FUSED 1

/* Stores the numbers of rows by halves: one of them, read back, is forwarded from a store of 32 bytes, but not from one
   of 64 bytes, which would first have to reach the cache. */
static inline __attribute__((always_inline)) void store_numbers(void *of, __m512i i) {
    _mm256_storeu_si256((__m256i *)of, _mm512_castsi512_si256(i));
    _mm256_storeu_si256((__m256i *)of + 1, _mm512_extracti64x4_epi64(i, 1));
}

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
INLINE vec v_load_part(const real *p, intptr_t n, real c) {
    return _mm512_mask_loadu_ps(_mm512_set1_ps(c), (__mmask16)((1u << n) - 1), p);
}
INLINE void v_store_part(real *p, intptr_t n, vec x) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), x); }
INLINE vec v_set(real c) { return _mm512_set1_ps(c); }
INLINE mask mask_load(const char *p) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)p);
    return _mm_test_epi8_mask(bytes, bytes);
}

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
INLINE vec v_unless(mask m, vec x) { return _mm512_mask_mov_ps(x, m, _mm512_setzero_ps()); }
INLINE vec v_add_where(vec x, mask m, vec y) { return _mm512_mask_add_ps(x, m, x, y); }

INLINE ivec v_bits(vec x) { return _mm512_castps_si512(x); }
INLINE vec v_real(ivec i) { return _mm512_castsi512_ps(i); }
INLINE ivec i_set(bits c) { return _mm512_set1_epi32((int)c); }
INLINE ivec i_add(ivec a, ivec b) { return _mm512_add_epi32(a, b); }
INLINE ivec i_sub(ivec a, ivec b) { return _mm512_sub_epi32(a, b); }
INLINE ivec i_shl(ivec a, int k) { return _mm512_slli_epi32(a, (unsigned)k); }
INLINE ivec i_shr(ivec a, int k) { return _mm512_srli_epi32(a, (unsigned)k); }

#define VEC_LOOKUP32
INLINE vec v_lookup(const real *table, ivec i) {
    return _mm512_permutex2var_ps(_mm512_loadu_ps(table), i, _mm512_loadu_ps(table + 16));
}

INLINE vec v_swap(vec x, int k) {
    if (k == 8) return _mm512_shuffle_f32x4(x, x, 0x4e);
    if (k == 4) return _mm512_shuffle_f32x4(x, x, 0xb1);
    return k == 2 ? _mm512_permute_ps(x, 0x4e) : _mm512_permute_ps(x, 0xb1);
}

/* Blocks of 2 by 2, then of 4 by 4 elements within quarters; then the quarters. */
INLINE void v_transpose(vec x[16]) {
    __m512d pair[16];
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            vec low0 = _mm512_unpacklo_ps(x[i], x[i + 1]), low2 = _mm512_unpacklo_ps(x[i + 2], x[i + 3]);
            vec high0 = _mm512_unpackhi_ps(x[i], x[i + 1]), high2 = _mm512_unpackhi_ps(x[i + 2], x[i + 3]);
            __m512d first = _mm512_castps_pd(j ? high0 : low0), second = _mm512_castps_pd(j ? high2 : low2);
            pair[i + 2 * j] = _mm512_unpacklo_pd(first, second);
            pair[i + 2 * j + 1] = _mm512_unpackhi_pd(first, second);
        }
    for (int k = 0; k < 4; k++) { /* quarter q of pair[i + k]: elements 4 q + k of the rows i to i + 3 */
        __m512d even01 = _mm512_shuffle_f64x2(pair[k], pair[4 + k], 0x88);
        __m512d odd01 = _mm512_shuffle_f64x2(pair[k], pair[4 + k], 0xdd);
        __m512d even23 = _mm512_shuffle_f64x2(pair[8 + k], pair[12 + k], 0x88);
        __m512d odd23 = _mm512_shuffle_f64x2(pair[8 + k], pair[12 + k], 0xdd);
        x[k] = _mm512_castpd_ps(_mm512_shuffle_f64x2(even01, even23, 0x88));
        x[k + 4] = _mm512_castpd_ps(_mm512_shuffle_f64x2(odd01, odd23, 0x88));
        x[k + 8] = _mm512_castpd_ps(_mm512_shuffle_f64x2(even01, even23, 0xdd));
        x[k + 12] = _mm512_castpd_ps(_mm512_shuffle_f64x2(odd01, odd23, 0xdd));
    }
}

/* The columns of sixteen rows of four; rows k, k + 4, k + 8, k + 12 stand side by side. */
INLINE void columns_of(vec r0, vec r1, vec r2, vec r3, vec row[4]) {
    __m512d low01 = _mm512_castps_pd(_mm512_unpacklo_ps(r0, r1)), low23 = _mm512_castps_pd(_mm512_unpacklo_ps(r2, r3));
    __m512d high01 = _mm512_castps_pd(_mm512_unpackhi_ps(r0, r1)),
            high23 = _mm512_castps_pd(_mm512_unpackhi_ps(r2, r3));
    row[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low01, low23));
    row[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low01, low23));
    row[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high01, high23));
    row[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high01, high23));
}

INLINE vec side_by_side(const real *r0, const real *r4, const real *r8, const real *r12) {
    vec rows = _mm512_castps128_ps512(_mm_loadu_ps(r0));
    rows = _mm512_mask_broadcast_f32x4(rows, 0x00f0, _mm_loadu_ps(r4)); /* the load does it all */
    rows = _mm512_mask_broadcast_f32x4(rows, 0x0f00, _mm_loadu_ps(r8));
    return _mm512_mask_broadcast_f32x4(rows, 0xf000, _mm_loadu_ps(r12));
}

INLINE vec every_fourth_row(const real table[][4], const volatile bits *i) {
    return side_by_side(table[i[0]], table[i[4]], table[i[8]], table[i[12]]);
}
INLINE void v_rows(const real table[][4], ivec i, vec row[4]) {
    bits of[LANES];
    store_numbers(of, i);
    columns_of(every_fourth_row(table, of), every_fourth_row(table, of + 1), every_fourth_row(table, of + 2),
               every_fourth_row(table, of + 3), row);
}

INLINE vec every_fourth_step(const real *p, intptr_t step) {
    return side_by_side(p, p + 4 * step, p + 8 * step, p + 12 * step);
}
INLINE void v_columns(const real *p, intptr_t step, vec column[4]) {
    columns_of(every_fourth_step(p, step), every_fourth_step(p + step, step), every_fourth_step(p + 2 * step, step),
               every_fourth_step(p + 3 * step, step), column);
}
INLINE void v_store_columns(real *p, intptr_t step, const vec column[4]) {
    vec rows[4];
    columns_of(column[0], column[1], column[2], column[3], rows);
    for (int k = 0; k < 4; k++) _mm_storeu_ps(p + k * step, _mm512_castps512_ps128(rows[k]));
    for (int k = 0; k < 4; k++) _mm_storeu_ps(p + (k + 4) * step, _mm512_extractf32x4_ps(rows[k], 1));
    for (int k = 0; k < 4; k++) _mm_storeu_ps(p + (k + 8) * step, _mm512_extractf32x4_ps(rows[k], 2));
    for (int k = 0; k < 4; k++) _mm_storeu_ps(p + (k + 12) * step, _mm512_extractf32x4_ps(rows[k], 3));
}

#else

#define LANES 8
typedef __m512d vec;
typedef __m512i ivec;
typedef __mmask8 mask;

INLINE vec v_load(const real *p) { return _mm512_loadu_pd(p); }
INLINE void v_store(real *p, vec x) { _mm512_storeu_pd(p, x); }
INLINE vec v_load_part(const real *p, intptr_t n, real c) {
    return _mm512_mask_loadu_pd(_mm512_set1_pd(c), (__mmask8)((1u << n) - 1), p);
}
INLINE void v_store_part(real *p, intptr_t n, vec x) { _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), x); }
INLINE vec v_set(real c) { return _mm512_set1_pd(c); }
INLINE mask mask_load(const char *p) {
    __m128i bytes = _mm_loadl_epi64((const __m128i *)p);
    return (mask)_mm_test_epi8_mask(bytes, bytes);
}

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
INLINE vec v_unless(mask m, vec x) { return _mm512_mask_mov_pd(x, m, _mm512_setzero_pd()); }
INLINE vec v_add_where(vec x, mask m, vec y) { return _mm512_mask_add_pd(x, m, x, y); }

INLINE ivec v_bits(vec x) { return _mm512_castpd_si512(x); }
INLINE vec v_real(ivec i) { return _mm512_castsi512_pd(i); }
INLINE ivec i_set(bits c) { return _mm512_set1_epi64((long long)c); }
INLINE ivec i_add(ivec a, ivec b) { return _mm512_add_epi64(a, b); }
INLINE ivec i_sub(ivec a, ivec b) { return _mm512_sub_epi64(a, b); }
INLINE ivec i_shl(ivec a, int k) { return _mm512_slli_epi64(a, (unsigned)k); }
INLINE ivec i_shr(ivec a, int k) { return _mm512_srli_epi64(a, (unsigned)k); }

#define VEC_LOOKUP16
INLINE vec v_lookup(const real *table, ivec i) {
    return _mm512_permutex2var_pd(_mm512_loadu_pd(table), i, _mm512_loadu_pd(table + 8));
}

INLINE vec v_swap(vec x, int k) {
    if (k == 4) return _mm512_shuffle_f64x2(x, x, 0x4e);
    return k == 2 ? _mm512_shuffle_f64x2(x, x, 0xb1) : _mm512_permute_pd(x, 0x55);
}

INLINE void v_transpose(vec x[8]) {
    vec pair[8];
    for (int i = 0; i < 8; i += 2) {
        pair[i] = _mm512_unpacklo_pd(x[i], x[i + 1]);
        pair[i + 1] = _mm512_unpackhi_pd(x[i], x[i + 1]);
    }
    for (int k = 0; k < 2; k++) { /* quarter q of pair[i + k]: elements 2 q + k of the rows i and i + 1 */
        vec even01 = _mm512_shuffle_f64x2(pair[k], pair[2 + k], 0x88);
        vec odd01 = _mm512_shuffle_f64x2(pair[k], pair[2 + k], 0xdd);
        vec even23 = _mm512_shuffle_f64x2(pair[4 + k], pair[6 + k], 0x88);
        vec odd23 = _mm512_shuffle_f64x2(pair[4 + k], pair[6 + k], 0xdd);
        x[k] = _mm512_shuffle_f64x2(even01, even23, 0x88);
        x[k + 2] = _mm512_shuffle_f64x2(odd01, odd23, 0x88);
        x[k + 4] = _mm512_shuffle_f64x2(even01, even23, 0xdd);
        x[k + 6] = _mm512_shuffle_f64x2(odd01, odd23, 0xdd);
    }
}

/* The columns of eight rows of four, two of which stand side by side. */
INLINE void columns_of(vec r02, vec r13, vec r46, vec r57, vec row[4]) {
    vec even0 = _mm512_unpacklo_pd(r02, r13), odd0 = _mm512_unpackhi_pd(r02, r13);
    vec even4 = _mm512_unpacklo_pd(r46, r57), odd4 = _mm512_unpackhi_pd(r46, r57);
    row[0] = _mm512_shuffle_f64x2(even0, even4, 0x88);
    row[1] = _mm512_shuffle_f64x2(odd0, odd4, 0x88);
    row[2] = _mm512_shuffle_f64x2(even0, even4, 0xdd);
    row[3] = _mm512_shuffle_f64x2(odd0, odd4, 0xdd);
}

INLINE vec side_by_side(const real *r0, const real *r2) {
    return _mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_loadu_pd(r0)), _mm256_loadu_pd(r2), 1);
}

INLINE vec two_rows(const real table[][4], const volatile bits *i) { return side_by_side(table[i[0]], table[i[2]]); }
INLINE void v_rows(const real table[][4], ivec i, vec row[4]) {
    bits of[LANES];
    store_numbers(of, i);
    columns_of(two_rows(table, of), two_rows(table, of + 1), two_rows(table, of + 4), two_rows(table, of + 5), row);
}

INLINE void v_columns(const real *p, intptr_t step, vec column[4]) {
    const real *q = p + 4 * step;
    columns_of(side_by_side(p, p + 2 * step), side_by_side(p + step, p + 3 * step), side_by_side(q, q + 2 * step),
               side_by_side(q + step, q + 3 * step), column);
}

/* Two rows of four stand side by side in each of four vectors; an even row is followed by the next odd one. */
INLINE void v_store_columns(real *p, intptr_t step, const vec column[4]) {
    vec even01 = _mm512_unpacklo_pd(column[0], column[1]), odd01 = _mm512_unpackhi_pd(column[0], column[1]);
    vec even23 = _mm512_unpacklo_pd(column[2], column[3]), odd23 = _mm512_unpackhi_pd(column[2], column[3]);
    __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), last = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    vec r02 = _mm512_permutex2var_pd(even01, first, even23), r13 = _mm512_permutex2var_pd(odd01, first, odd23);
    vec r46 = _mm512_permutex2var_pd(even01, last, even23), r57 = _mm512_permutex2var_pd(odd01, last, odd23);
    _mm256_storeu_pd(p, _mm512_castpd512_pd256(r02));
    _mm256_storeu_pd(p + step, _mm512_castpd512_pd256(r13));
    _mm256_storeu_pd(p + 2 * step, _mm512_extractf64x4_pd(r02, 1));
    _mm256_storeu_pd(p + 3 * step, _mm512_extractf64x4_pd(r13, 1));
    _mm256_storeu_pd(p + 4 * step, _mm512_castpd512_pd256(r46));
    _mm256_storeu_pd(p + 5 * step, _mm512_castpd512_pd256(r57));
    _mm256_storeu_pd(p + 6 * step, _mm512_extractf64x4_pd(r46, 1));
    _mm256_storeu_pd(p + 7 * step, _mm512_extractf64x4_pd(r57, 1));
}

#endif

INLINE ivec i_and(ivec a, ivec b) { return _mm512_and_si512(a, b); }
INLINE ivec i_or(ivec a, ivec b) { return _mm512_or_si512(a, b); }
INLINE vec v_abs(vec x) { return v_real(_mm512_andnot_si512(i_set(SIGN_BIT), v_bits(x))); }
INLINE vec v_neg(vec x) { return v_real(_mm512_xor_si512(i_set(SIGN_BIT), v_bits(x))); }
INLINE mask mask_and(mask a, mask b) { return a & b; }
INLINE mask mask_or(mask a, mask b) { return a | b; }
INLINE int mask_any(mask m) { return m != 0; }
