/* Double-word arithmetic: an unevaluated sum hi + lo, about twice the precision of one word. */

#pragma once

#include "vec/vec.h"

typedef struct {
    vec hi, lo;
} dw;

/* a + b exactly (Knuth), for any finite a and b. */
INLINE dw dw_two_sum(vec a, vec b) {
    vec s = v_add(a, b);
    vec b_part = v_sub(s, a);
    vec a_part = v_sub(s, b_part);
    return (dw){s, v_add(v_sub(a, a_part), v_sub(b, b_part))};
}

/* a + b exactly (Dekker), where |a| >= |b| or a is 0. */
INLINE dw dw_fast_two_sum(vec a, vec b) {
    vec s = v_add(a, b);
    return (dw){s, v_sub(b, v_sub(s, a))};
}

/* sum + x. The low word is not renormalised: after n such sums its error is n^2/8 2^-2p of the sum, or less. */
INLINE dw dw_join(dw sum, dw x) {
    dw s = dw_two_sum(sum.hi, x.hi);
    return (dw){s.hi, v_add(sum.lo, v_add(s.lo, x.lo))};
}

/* This is dw_join for an x of one word. */
INLINE dw dw_join_word(dw sum, vec x) {
    dw s = dw_two_sum(sum.hi, x);
    return (dw){s.hi, v_add(sum.lo, s.lo)};
}

/* x + y, renormalised. Where both have the same sign, the error is below 2^(1-2p) of the sum. */
INLINE dw dw_add(dw x, dw y) {
    dw s = dw_two_sum(x.hi, y.hi);
    return dw_fast_two_sum(s.hi, v_add(s.lo, v_add(x.lo, y.lo)));
}

/* a b exactly. Doubles without fused operations: a factor of 2^900 and more, whose halves could overflow, is scaled
   down first. */
INLINE dw dw_mul(vec a, vec b) {
    vec p = v_mul(a, b);
#if FL_FUSED || FL_WIDTH == 32
    return (dw){p, v_mul_error(a, b, p)};
#else
    mask large = v_le(v_set(REAL(0x1p900)), v_abs(a));
    vec scaled = v_select(large, v_mul(v_set(REAL(0x1p-200)), a), a);
    vec error = v_mul_error(scaled, b, v_mul(scaled, b));
    return (dw){p, v_select(large, v_mul(v_set(REAL(0x1p200)), error), error)};
#endif
}

/* n - q d, exact when q is a quotient n/d to within an ulp or so. */
INLINE vec dw_remainder(vec n, vec q, vec d) {
#if FL_FUSED
    return v_fnma(q, d, n);
#else
    vec p = v_mul(q, d);
    return v_sub(v_sub(n, p), v_mul_error(q, d, p));
#endif
}

/* n/d for n.hi, d.hi of ordinary size, by one division: q = n.hi (1/d.hi) is right to about an ulp; what remains, n - q
   d, is divided by d.hi to first order. Result: hi + lo with a relative error of a few 2^-2p. */
INLINE dw dw_div(dw n, dw d) {
    vec reciprocal = v_div(v_set(1), d.hi);
    vec q = v_mul(n.hi, reciprocal);
    vec remainder = v_add(dw_remainder(n.hi, q, d.hi), v_fnma(q, d.lo, n.lo));
    return (dw){q, v_mul(remainder, reciprocal)};
}

/* m + x rounded once, for m that may be infinite or nan: then the result is m. */
INLINE vec dw_add_to(vec m, dw x) {
    dw s = dw_two_sum(m, x.hi);
    vec sum = v_add(s.hi, v_add(s.lo, x.lo));
    return v_select(v_lt(v_abs(m), v_set(REAL_INFINITY)), sum, m);
}
