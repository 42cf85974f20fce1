/* Reductions across the lanes of a vector, and sums in two doubles. */

#pragma once

#include "math/double_word.h"
#include "memory/strided.h"

INLINE mask is_finite(vec x) { return v_lt(v_abs(x), v_set(REAL_INFINITY)); }
INLINE mask is_infinite(vec x) { return v_eq(v_abs(x), v_set(REAL_INFINITY)); }

/* A finite number minus itself is 0; the difference is nan for all others. */
INLINE int all_finite(vec x) { return !mask_any(v_ne(v_sub(x, x), v_set(0))); }

INLINE real first_lane(vec x) {
    real lanes[LANES];
    v_store(lanes, x);
    return lanes[0];
}

/* Reductions across the lanes; every lane of the result holds the answer. */
INLINE vec largest_lane(vec x) {
#pragma GCC unroll 4
    for (int k = LANES / 2; k; k /= 2) x = v_max(x, v_swap(x, k));
    return x;
}
INLINE vec sum_of_lanes(vec x) {
#pragma GCC unroll 4
    for (int k = LANES / 2; k; k /= 2) x = v_add(x, v_swap(x, k));
    return x;
}
INLINE dw dw_sum_of_lanes(dw x) {
#pragma GCC unroll 4
    for (int k = LANES / 2; k; k /= 2) {
        dw s = dw_two_sum(x.hi, v_swap(x.hi, k));
        x = (dw){s.hi, v_add(s.lo, v_add(x.lo, v_swap(x.lo, k)))};
    }
    return x;
}

/* Lane k of the result is the sum of all lanes of x[k]. */
INLINE vec sum_across(vec *x) {
    v_transpose(x);
    vec sum = x[0];
    for (int i = 1; i < LANES; i++) sum = v_add(x[i], sum);
    return sum;
}
INLINE dw dw_sum_across(vec *hi, vec *lo) {
    v_transpose(hi);
    v_transpose(lo);
    dw sum = {hi[0], lo[0]};
    for (int i = 1; i < LANES; i++) {
        dw s = dw_two_sum(sum.hi, hi[i]);
        sum = (dw){s.hi, v_add(v_add(sum.lo, lo[i]), s.lo)};
    }
    return sum;
}

/* True in the lanes from n on. */
INLINE mask unused_lanes(intptr_t n) { return v_ne(v_load_part((const real[LANES]){0}, n, 1), v_set(0)); }

/* x in the first n lanes, and 0 in the others. */
INLINE vec leading_lanes(vec x, intptr_t n) { return n == LANES ? x : v_select(unused_lanes(n), v_set(0), x); }

/* A running sum in two doubles. An addition does not renormalise the low one. Settling does, and is needed at least
   once in some thousand additions, so that sums of any length are right. */
typedef struct {
    double hi, lo;
} total;

static inline total total_add(total t, double x) {
    double s = t.hi + x, x_part = s - t.hi, t_part = s - x_part;
    return (total){s, t.lo + ((t.hi - t_part) + (x - x_part))};
}

static inline total total_settled(total t) {
    double s = t.hi + t.lo;
    return s - s == 0 ? (total){s, t.lo - (s - t.hi)} : t;
}
