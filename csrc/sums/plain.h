/* Plain rows: the terms of a softmax, and their sum, in one pass over the elements.

   A row is plain if its elements are close enough to each other and to 0. Its terms are e^x 2^-n, where 2^n is next to
   e^x0, and x0 is the row's first element: neither the maximum nor a window has to be known before. No term, no sum and
   no quotient leaves the normal numbers. Whether the row is plain shows when its terms have been written; a row that is
   not is computed again by its tally. So the bits of a row depend on its own elements alone.

   The maximum is among the terms. Where all others vanish beside it, the sum is the maximum's term, and the quotient 1.
   Error: 0.5 ulp for the quotient, which is a product with a reciprocal in two words; that of the term; and that of the
   sum, which is taken in two words. */

#pragma once

#include "sums/tally.h"

#if FL_WIDTH == 32
#define PLAIN_RANGE 64.0f /* of a row; a row of 2^33 elements has quotients above e^-64 2^-33, which are normal */
#else
#define PLAIN_RANGE 680.0
#endif
#define PLAIN_DISTANCE (REAL(0.9) * PLAIN_RANGE) /* from the first element; the sum of 2^33 terms does not overflow */

typedef struct {
    vec first, max, min;
    vec rounder; /* of m_exp_plain: it multiplies by 2^-n */
    dw sum;
} plain_row;

/* The row of the first element alone, without terms. */
INLINE plain_row plain_start(vec first) {
    vec n = v_sub(v_fma(first, v_set(log2_e), v_set(ROUNDER)), v_set(ROUNDER));
    return (plain_row){first, first, first, m_word_rounder(v_neg(n)), {v_set(0), v_set(0)}};
}

/* True where the quotient of e^x and the sum is 0, given an element that is not above the maximum. */
INLINE mask is_hole(vec x, vec first) { return v_lt(x, v_add(first, v_set(EXP_MIN))); }

/* e^x 2^-n, and 0 for holes if there may be any. */
INLINE vec plain_exp(vec x, plain_row p, int holes) {
    vec term = m_exp_plain(x, p.rounder);
    return holes ? v_unless(is_hole(x, p.first), term) : term;
}

INLINE void look_at(plain_row *p, vec x, int holes) {
    p->max = v_max(x, p->max), p->min = v_min(holes ? v_select(is_hole(x, p->first), p->min, x) : x, p->min);
}

/* Stores the term of vector i, and returns it. A nan is no maximum, but its term is nan, and so is the sum. */
INLINE vec plain_term(plain_row *p, vectors v, intptr_t i, int holes) {
    vec x = v_load(v.x + i * v.step), term = plain_exp(x, *p, holes);
    look_at(p, x, holes);
    v_store(v.kept + i * v.kept_step, term);
    return term;
}

/* Stores the terms of at most SPAN vectors, and returns their sum. */
INLINE dw sum_of_terms(plain_row *p, vectors v, int holes) {
    dw sum = {v_set(0), v_set(0)};
    for (; v.n >= GROUP; v = vectors_from(v, GROUP))
#pragma GCC unroll 8
        for (intptr_t i = 0; i < GROUP; i++) sum = dw_join_word(sum, plain_term(p, v, i, holes));
    for (; v.n > 0; v = vectors_from(v, 1)) sum = dw_join_word(sum, plain_term(p, v, 0, holes));
    return sum;
}
INLINE void plain_terms(plain_row *p, vectors v, int holes) { p->sum = dw_add(p->sum, sum_of_terms(p, v, holes)); }

/* True where a row is not plain; max and min are those of all its elements. A row whose first element is nan counts as
   plain: all its terms are nan, which is right. */
INLINE mask not_plain(vec first, vec max, vec min) {
    mask far = mask_or(v_lt(v_set(PLAIN_DISTANCE), v_sub(max, first)), v_lt(v_set(PLAIN_DISTANCE), v_sub(first, min)));
    mask wide = mask_or(v_lt(v_set(PLAIN_RANGE), v_sub(max, min)), v_le(v_set(DIRECT), v_abs(first)));
    return mask_or(far, wide);
}

INLINE mask is_not_plain(plain_row p) { return not_plain(p.first, p.max, p.min); }

/* Returns the same rows without terms. Those that are not plain start with their maximum. */
INLINE plain_row with_holes(plain_row p) { return plain_start(v_select(is_not_plain(p), p.max, p.first)); }

/* The quotient of a term and the sum, given its reciprocal. Where operations are not fused, the product is kept in two
   words. */
INLINE vec plain_quotient(vec term, dw inverse) {
    if (FL_FUSED) return v_fma(term, inverse.hi, v_mul(term, inverse.lo));
    dw product = dw_mul(term, inverse.hi);
    return v_add(product.hi, v_fma(term, inverse.lo, product.lo));
}

INLINE void plain_quotients(vectors v, dw inverse) {
    for (intptr_t i = 0; i < v.n; i++) {
        real *y = v.kept + i * v.kept_step;
        v_store(y, plain_quotient(v_load(y), inverse));
    }
}
