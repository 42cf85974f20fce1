/* xlogy, xlog1py, entr and rel_entr: products with a logarithm, where 0 log 0 = 0.

   The logarithm comes in two words, right to 2^-5 ulp, the product with it rounds once. A tiny factor is lifted, so
   that this holds down to the subnormal results. */

#pragma once

#include "math/log.h"

/* xlogy(x, y) = x log(y), and 0 where x = 0, unless y is nan. Most vectors have usual arguments alone, which take half
   the operations; a call cares for the others, and gives usual arguments the same results. */
RARE vec xlogy_of_all(vec x, vec y, vec usual, mask others) {
    vec product = m_product_lifted(x, m_log(y), m_is_tiny(x));
    product = v_select(mask_and(v_eq(x, v_set(0)), v_eq(y, y)), v_set(0), product);
    return v_select(others, product, usual);
}
INLINE vec k_xlogy(vec x, vec y) {
    mask unusual_y = v_ne(v_min(v_set(REAL_MAX), v_max(y, v_set(REAL_MIN))), y);
    mask others = mask_or(m_is_unusual_factor(v_abs(x)), unusual_y);
    vec usual = v_select(v_eq(x, v_set(0)), v_set(0), m_product_usual(x, m_log_usual(y)));
    return RARELY(mask_any(others)) ? xlogy_of_all(x, y, usual, others) : usual;
}
INLINE mask pole_xlogy(vec x, vec y) { return mask_and(v_ne(x, v_set(0)), v_eq(y, v_set(0))); }

/* xlog1py(x, y) = x log(1 + y), and 0 where x = 0, unless y is nan. */
RARE vec xlog1py_of_all(vec x, vec y, vec usual, mask others) {
    dw log = m_log1p_any(y);
    vec product = m_product_lifted(x, log, mask_or(m_is_tiny(x), m_is_tiny(log.hi)));
    product = v_select(mask_and(v_eq(x, v_set(0)), v_eq(y, y)), v_set(0), product);
    return v_select(others, product, usual);
}
INLINE vec k_xlog1py(vec x, vec y) {
    vec least = v_set((real)1 / ((bits)2 << MANTISSA_BITS) - 1), large = v_set(1 / UNLIFT); /* next to -1 */
    mask outside = v_ne(v_min(large, v_max(y, least)), y), tiny = v_lt(v_abs(y), v_set(UNLIFT));
    mask others = mask_or(m_is_unusual_factor(v_abs(x)), mask_or(outside, tiny));
    vec usual = v_select(v_eq(x, v_set(0)), v_set(0), m_product_usual(x, m_log1p_usual(y)));
    return RARELY(mask_any(others)) ? xlog1py_of_all(x, y, usual, others) : usual;
}
INLINE mask pole_xlog1py(vec x, vec y) { return mask_and(v_ne(x, v_set(0)), v_eq(y, v_set(-1))); }

/* entr(x) = -x log(x), 0 at 0; concave with the value -inf below 0. Usual arguments are those of xlogy. */
RARE vec entr_of_all(vec x, vec usual, mask others) {
    vec y = v_neg(m_product_lifted(x, m_log(x), m_is_tiny(x)));
    return v_select(others, v_select(v_lt(x, v_set(0)), v_set(-REAL_INFINITY), y), usual);
}
INLINE vec k_entr(vec x) {
    mask others = m_is_unusual_factor(x);
    vec usual = v_select(v_eq(x, v_set(0)), v_set(0), v_neg(m_product_usual(x, m_log_usual(x))));
    return RARELY(mask_any(others)) ? entr_of_all(x, usual, others) : usual;
}

/* rel_entr(x, y) = x log(x/y); 0 where x = 0 and y >= 0; convex with the value inf wherever else x or y is not
   positive. log(0) stands for log(x/inf), log(inf) for log(inf/y). */
INLINE vec k_rel_entr(vec x, vec y) {
    vec zero = v_set(0), infinity = v_set(REAL_INFINITY);
    dw log = m_log_quotient(x, y);
    vec limit = v_select(v_eq(x, infinity), v_select(v_eq(y, infinity), v_set(REAL_NAN), infinity), v_neg(infinity));
    mask finite = mask_and(v_lt(x, infinity), v_lt(y, infinity));
    log = (dw){v_select(finite, log.hi, limit), v_select(finite, log.lo, zero)};
    vec value = m_product_lifted(x, log, m_is_tiny(x));
    mask none = mask_and(v_eq(x, zero), v_le(zero, y)), inside = mask_and(v_lt(zero, x), v_lt(zero, y));
    value = v_select(inside, value, v_select(none, zero, infinity));
    return v_select(mask_and(v_eq(x, x), v_eq(y, y)), value, v_set(REAL_NAN));
}
/* rel_entr has no pole: infinities at finite arguments are its convention, or overflow. */
INLINE mask pole_rel_entr(vec x, vec y) { return mask_and(v_lt(x, y), v_lt(y, x)); }
