/* AArch64 Advanced SIMD. A mask is an integer vector of all-ones and all-zeros lanes.

   v_max and v_min are a comparison and a selection: FMAX and FMIN return nan where the vocabulary wants b. */

#include <arm_neon.h>
#include <string.h>

#define FL_FUSED 1

#if FL_WIDTH == 32

#define LANES 4
typedef float32x4_t vec;
typedef uint32x4_t ivec;
typedef uint32x4_t mask;

INLINE vec v_load(const real *p) { return vld1q_f32(p); }
INLINE void v_store(real *p, vec x) { vst1q_f32(p, x); }
INLINE vec v_load_half(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
INLINE void v_store_half(uint16_t *p, vec x) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x))); }
INLINE vec v_set(real c) { return vdupq_n_f32(c); }
INLINE mask mask_load(const char *p) {
    uint32_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    uint32x4_t lanes = vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(bytes)))));
    return vtstq_u32(lanes, lanes);
}

INLINE vec v_add(vec a, vec b) { return vaddq_f32(a, b); }
INLINE vec v_sub(vec a, vec b) { return vsubq_f32(a, b); }
INLINE vec v_mul(vec a, vec b) { return vmulq_f32(a, b); }
INLINE vec v_div(vec a, vec b) { return vdivq_f32(a, b); }
INLINE vec v_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
INLINE vec v_fnma(vec a, vec b, vec c) { return vfmsq_f32(c, a, b); }
INLINE vec v_abs(vec x) { return vabsq_f32(x); }
INLINE vec v_neg(vec x) { return vnegq_f32(x); }

INLINE vec v_swap(vec x, int k) { return k == 2 ? vextq_f32(x, x, 2) : vrev64q_f32(x); }
INLINE mask v_eq(vec a, vec b) { return vceqq_f32(a, b); }
INLINE mask v_lt(vec a, vec b) { return vcltq_f32(a, b); }
INLINE mask v_le(vec a, vec b) { return vcleq_f32(a, b); }
INLINE vec v_select(mask m, vec a, vec b) { return vbslq_f32(m, a, b); }
INLINE mask v_ne(vec a, vec b) { return vmvnq_u32(v_eq(a, b)); }
INLINE mask mask_and(mask a, mask b) { return vandq_u32(a, b); }
INLINE mask mask_or(mask a, mask b) { return vorrq_u32(a, b); }
INLINE int mask_any(mask m) { return vmaxvq_u32(m) != 0; }

INLINE ivec v_bits(vec x) { return vreinterpretq_u32_f32(x); }
INLINE vec v_real(ivec i) { return vreinterpretq_f32_u32(i); }
INLINE ivec i_set(bits c) { return vdupq_n_u32(c); }
INLINE ivec i_add(ivec a, ivec b) { return vaddq_u32(a, b); }
INLINE ivec i_sub(ivec a, ivec b) { return vsubq_u32(a, b); }
INLINE ivec i_and(ivec a, ivec b) { return vandq_u32(a, b); }
INLINE ivec i_or(ivec a, ivec b) { return vorrq_u32(a, b); }
/* USHL shifts by a register, to the right where the count is negative. */
INLINE ivec i_shl(ivec a, int k) { return vshlq_u32(a, vdupq_n_s32(k)); }
INLINE ivec i_shr(ivec a, int k) { return vshlq_u32(a, vdupq_n_s32(-k)); }

INLINE void v_transpose(vec x[4]) {
    float32x4x2_t r01 = vtrnq_f32(x[0], x[1]), r23 = vtrnq_f32(x[2], x[3]);
    x[0] = vcombine_f32(vget_low_f32(r01.val[0]), vget_low_f32(r23.val[0]));
    x[1] = vcombine_f32(vget_low_f32(r01.val[1]), vget_low_f32(r23.val[1]));
    x[2] = vcombine_f32(vget_high_f32(r01.val[0]), vget_high_f32(r23.val[0]));
    x[3] = vcombine_f32(vget_high_f32(r01.val[1]), vget_high_f32(r23.val[1]));
}

INLINE void v_rows(const real table[][4], ivec i, vec row[4]) {
    bits of[LANES];
    vst1q_u32(of, i);
    for (int k = 0; k < 4; k++) row[k] = v_load(table[of[k]]);
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
INLINE void v_pairs(const real table[][2], ivec i, vec pair[2]) {
    bits of[LANES];
    vst1q_u32(of, i);
    vec low = vcombine_f32(vld1_f32(table[of[0]]), vld1_f32(table[of[1]]));
    vec high = vcombine_f32(vld1_f32(table[of[2]]), vld1_f32(table[of[3]]));
    pair[0] = vuzp1q_f32(low, high);
    pair[1] = vuzp2q_f32(low, high);
}

#else

#define LANES 2
typedef float64x2_t vec;
typedef uint64x2_t ivec;
typedef uint64x2_t mask;

INLINE vec v_load(const real *p) { return vld1q_f64(p); }
INLINE void v_store(real *p, vec x) { vst1q_f64(p, x); }
INLINE vec v_set(real c) { return vdupq_n_f64(c); }
INLINE mask mask_load(const char *p) { return (mask){p[0] ? ~(uint64_t)0 : 0, p[1] ? ~(uint64_t)0 : 0}; }

INLINE vec v_add(vec a, vec b) { return vaddq_f64(a, b); }
INLINE vec v_sub(vec a, vec b) { return vsubq_f64(a, b); }
INLINE vec v_mul(vec a, vec b) { return vmulq_f64(a, b); }
INLINE vec v_div(vec a, vec b) { return vdivq_f64(a, b); }
INLINE vec v_fma(vec a, vec b, vec c) { return vfmaq_f64(c, a, b); }
INLINE vec v_fnma(vec a, vec b, vec c) { return vfmsq_f64(c, a, b); }
INLINE vec v_abs(vec x) { return vabsq_f64(x); }
INLINE vec v_neg(vec x) { return vnegq_f64(x); }

INLINE vec v_swap(vec x, int k) { return (void)k, vextq_f64(x, x, 1); }
INLINE mask v_eq(vec a, vec b) { return vceqq_f64(a, b); }
INLINE mask v_lt(vec a, vec b) { return vcltq_f64(a, b); }
INLINE mask v_le(vec a, vec b) { return vcleq_f64(a, b); }
INLINE vec v_select(mask m, vec a, vec b) { return vbslq_f64(m, a, b); }
INLINE mask v_ne(vec a, vec b) { return veorq_u64(v_eq(a, b), vdupq_n_u64(~(uint64_t)0)); }
INLINE mask mask_and(mask a, mask b) { return vandq_u64(a, b); }
INLINE mask mask_or(mask a, mask b) { return vorrq_u64(a, b); }
INLINE int mask_any(mask m) { return vmaxvq_u32(vreinterpretq_u32_u64(m)) != 0; }

INLINE ivec v_bits(vec x) { return vreinterpretq_u64_f64(x); }
INLINE vec v_real(ivec i) { return vreinterpretq_f64_u64(i); }
INLINE ivec i_set(bits c) { return vdupq_n_u64(c); }
INLINE ivec i_add(ivec a, ivec b) { return vaddq_u64(a, b); }
INLINE ivec i_sub(ivec a, ivec b) { return vsubq_u64(a, b); }
INLINE ivec i_and(ivec a, ivec b) { return vandq_u64(a, b); }
INLINE ivec i_or(ivec a, ivec b) { return vorrq_u64(a, b); }
INLINE ivec i_shl(ivec a, int k) { return vshlq_u64(a, vdupq_n_s64(k)); }
INLINE ivec i_shr(ivec a, int k) { return vshlq_u64(a, vdupq_n_s64(-k)); }

INLINE void v_transpose(vec x[2]) {
    vec even = vtrn1q_f64(x[0], x[1]);
    x[1] = vtrn2q_f64(x[0], x[1]);
    x[0] = even;
}

INLINE void v_rows(const real table[][4], ivec i, vec row[4]) {
    const real *r0 = table[vgetq_lane_u64(i, 0)], *r1 = table[vgetq_lane_u64(i, 1)];
    for (int k = 0; k < 4; k += 2) {
        row[k] = vtrn1q_f64(v_load(r0 + k), v_load(r1 + k));
        row[k + 1] = vtrn2q_f64(v_load(r0 + k), v_load(r1 + k));
    }
}

INLINE void v_columns(const real *p, intptr_t step, vec column[4]) {
    for (int k = 0; k < 4; k += 2) {
        column[k] = v_load(p + k), column[k + 1] = v_load(p + step + k);
        v_transpose(column + k);
    }
}
INLINE void v_store_columns(real *p, intptr_t step, const vec column[4]) {
    vec rows[4] = {column[0], column[1], column[2], column[3]};
    v_transpose(rows), v_transpose(rows + 2);
    for (int k = 0; k < 2; k++) v_store(p + k * step, rows[k]), v_store(p + k * step + 2, rows[2 + k]);
}

#define VEC_PAIRS
INLINE void v_pairs(const real table[][2], ivec i, vec pair[2]) {
    pair[0] = v_load(table[vgetq_lane_u64(i, 0)]), pair[1] = v_load(table[vgetq_lane_u64(i, 1)]);
    v_transpose(pair);
}

#endif

/* Part of a vector, element by element. */
INLINE vec v_load_part(const real *p, intptr_t n, real c) {
    real lanes[LANES];
    for (int i = 0; i < LANES; i++) lanes[i] = i < n ? p[i] : c;
    return v_load(lanes);
}
INLINE void v_store_part(real *p, intptr_t n, vec x) {
    real lanes[LANES];
    v_store(lanes, x);
    for (intptr_t i = 0; i < n; i++) p[i] = lanes[i];
}
INLINE vec v_mul_error(vec a, vec b, vec p) { return v_fma(a, b, v_neg(p)); }
INLINE vec v_max(vec a, vec b) { return v_select(v_lt(b, a), a, b); }
INLINE vec v_min(vec a, vec b) { return v_select(v_lt(a, b), a, b); }
INLINE vec v_unless(mask m, vec x) { return v_select(m, v_set(0), x); }
INLINE vec v_add_where(vec x, mask m, vec y) { return v_select(m, v_add(x, y), x); }
