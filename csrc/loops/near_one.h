/* log(sum of b e^x / count) where it is near 0, because the sum is near the count.

   Each term is computed to some 2^-100 of itself, and the sum in three words, from which the count is subtracted before
   its logarithm is taken. So the error is below 2 ulp of the result y where |y| is above 2^-46 for doubles, and where
   it is above 2^-75 for floats. It takes ten times as long as an ordinary sum, and is for the few rows that need it.

   e^x = 2^k (1 + E)^16, 1 + E = e^(r/16), x = k ln2 + r. In two words, E is a polynomial of Taylor's, whose terms from
   the eighth on need one word alone, as they are below 2^-54 of it; and (1 + E)^2 - 1 = 2 E + E^2, four times.

   Error: |r/16| < 0.0217 lets the series end after the 13th power, at 2^-107 of E; each of some ten operations in two
   words adds 2^-104 or so, and the squarings multiply that by 16 in all. */

#pragma once

#include "math/log.h"
#include "fastlog.h"
#include "sums/lanes.h"

/* max + a + b, rounded once, whatever cancels; max itself where it is infinite or nan. */
INLINE vec sum_of_logs(vec max, dw a, dw b) {
    dw s = dw_two_sum(max, a.hi), t = dw_two_sum(s.hi, b.hi);
    vec low = v_add(v_add(s.lo, t.lo), v_add(a.lo, b.lo));
    return v_select(is_finite(max), v_add(t.hi, low), max);
}

#if FL_WIDTH == 64

/* A row of elements. b is NULL where all weights are 1, and include is NULL where all elements are included. */
typedef struct {
    const char *x, *b, *include;
    intptr_t n, x_step, b_step, include_step;
    enum number_type type; /* of x and b */
} weighted_row;

INLINE double number_at(enum number_type type, const char *p) {
    return type == NARROW ? *(const float *)(const void *)p : *(const double *)(const void *)p;
}

/* 1/3! to 1/7! in two words. */
static const real inverse_factorials[][2] = {
    {0x1.5555555555555p-3, 0x1.5555555555555p-57},  {0x1.5555555555555p-5, 0x1.5555555555555p-59},
    {0x1.1111111111111p-7, 0x1.1111111111111p-63},  {0x1.6c16c16c16c17p-10, -0x1.f49f49f49f49fp-65},
    {0x1.a01a01a01a01ap-13, 0x1.a01a01a01a01ap-73},
};
/* 1/8! to 1/13!. */
static const real exp_end[] = {0x1.a01a01a01a01ap-16, 0x1.71de3a556c734p-19, 0x1.27e4fb7789f5cp-22,
                               0x1.ae64567f544e4p-26, 0x1.1eed8eff8d898p-29, 0x1.6124613a86d09p-33};

/* a b, not renormalised. */
INLINE dw dw_times(dw a, dw b) {
    vec p = v_mul(a.hi, b.hi);
    return (dw){p, v_fma(a.hi, b.lo, v_fma(a.lo, b.hi, v_mul_error(a.hi, b.hi, p)))};
}

/* a + b for |a| >= |b|, not renormalised. */
INLINE dw dw_plus(dw a, dw b) {
    dw s = dw_fast_two_sum(a.hi, b.hi);
    return (dw){s.hi, v_add(s.lo, v_add(a.lo, b.lo))};
}

/* e^x = 2^k (1 + e); nan is not allowed. */
typedef struct {
    vec k;
    dw e;
} precise_exp;

INLINE precise_exp m_exp_precise(vec x) {
    vec k = v_sub(v_fma(x, v_set(log2_e), v_set(ROUNDER)), v_set(ROUNDER));
    vec low = v_mul(k, v_set(ln2_lo)), lower = v_mul_error(k, v_set(ln2_lo), low);
    dw r = dw_two_sum(v_fnma(k, v_set(ln2_hi), x), v_neg(low));
    r = dw_fast_two_sum(r.hi, v_sub(r.lo, v_fma(k, v_set(ln2_third), lower)));
    r = (dw){v_mul(v_set(0x1p-4), r.hi), v_mul(v_set(0x1p-4), r.lo)};
    dw sum = {HORNER(r.hi, exp_end), v_set(0)};
#pragma GCC unroll 5
    for (int i = 4; i >= 0; i--)
        sum = dw_plus((dw){v_set(inverse_factorials[i][0]), v_set(inverse_factorials[i][1])}, dw_times(r, sum));
    sum = dw_plus((dw){v_set(0.5), v_set(0)}, dw_times(r, sum));
    dw e = dw_plus(r, dw_times(dw_times(r, r), sum));
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        e = dw_plus((dw){v_add(e.hi, e.hi), v_add(e.lo, e.lo)}, dw_times(e, e));
        e = dw_fast_two_sum(e.hi, e.lo);
    }
    return (precise_exp){k, e};
}

/* A sum in three words. */
typedef struct {
    vec high, middle, low;
} three_words;

INLINE void add_to_three(three_words *t, vec high, vec middle) {
    dw s = dw_two_sum(t->high, high), u = dw_two_sum(t->middle, middle), v = dw_two_sum(u.hi, s.lo);
    *t = (three_words){s.hi, v.hi, v_add(t->low, v_add(u.lo, v.lo))};
}

/* Adds b e^x to a sum, where b is not 0. A term below e^-300 is less than the error of what is near 1. */
INLINE void add_near_one(three_words *t, vec x, vec b) {
    mask counts = mask_and(v_ne(b, v_set(0)), v_le(v_set(-300), x));
    precise_exp e = m_exp_precise(v_select(counts, x, v_set(0)));
    ivec half = v_bits(v_add(v_mul(e.k, v_set(0.5)), v_set(ROUNDER)));
    vec first = m_power_of_two(half);
    vec rest = m_power_of_two(v_bits(v_add(v_sub(e.k, v_sub(v_real(half), v_set(ROUNDER))), v_set(ROUNDER))));
    vec m = v_mul(v_mul(v_select(counts, b, v_set(0)), first), rest), product = v_mul(m, e.e.hi);
    add_to_three(t, m, v_set(0));
    add_to_three(t, product, v_fma(m, e.e.lo, v_mul_error(m, e.e.hi, product)));
}

/* log(sum / count) if the sum is within 0.3 of the count, as it is where the logarithm is within a quarter of 0; else
   nan. */
INLINE vec log_of_three(three_words sum, vec count) {
    three_words t = {v_neg(count), v_set(0), v_set(0)};
    add_to_three(&t, sum.high, sum.middle);
    dw u = dw_two_sum(t.high, t.middle);
    u = dw_two_sum(u.hi, v_add(u.lo, v_add(t.low, sum.low)));
    u = dw_div(u, (dw){count, v_set(0)});
    vec y = sum_of_logs(v_set(0), m_log_near_1(v_set(0), u), (dw){v_set(0), v_set(0)});
    return v_select(v_lt(v_abs(u.hi), v_set(0.3)), y, v_set(REAL_NAN));
}

/* log(sum / count) of a row whose terms are all finite, x < 700, or nan likewise. */
static NOINLINE double log_near_one(const weighted_row *row, intptr_t count) {
    three_words t = {v_set(0), v_set(0), v_set(0)};
    for (intptr_t i = 0; i < row->n; i += LANES) {
        double x[LANES], b[LANES];
        for (intptr_t k = 0; k < LANES; k++) {
            intptr_t j = i + k;
            int counts = j < row->n && (!row->include || row->include[j * row->include_step]);
            x[k] = 0, b[k] = counts;
            if (counts && row->b) b[k] = number_at(row->type, row->b + j * row->b_step);
            if (b[k] != 0) x[k] = number_at(row->type, row->x + j * row->x_step);
        }
        add_near_one(&t, v_load(x), v_load(b));
    }
    double high[LANES], middle[LANES], low[LANES];
    v_store(high, t.high), v_store(middle, t.middle), v_store(low, t.low);
    three_words sum = {v_set(high[0]), v_set(middle[0]), v_set(low[0])};
    for (int k = 1; k < LANES; k++) {
        add_to_three(&sum, v_set(high[k]), v_set(middle[k]));
        sum.low = v_add(sum.low, v_set(low[k]));
    }
    return first_lane(log_of_three(sum, v_set((double)count)));
}

#endif
