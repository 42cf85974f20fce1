/* log(1 + e^x) for x <= 0, the core of softplus, log_sigmoid and logaddexp. */

#ifndef FASTLOG_LOG1PEXP_H
#define FASTLOG_LOG1PEXP_H

#include "exp.h"
#include "log1p.h"

/* For x + x_lo with NORMAL_MIN <= x <= 0; lower x count as NORMAL_MIN, where the result is the least that it can be
   without arithmetic on subnormals. nan stays nan.
   Error: 0.15 ulp from e^x and as much from log1p; the last addition, of hi and lo, is the caller's. */
INLINE dw m_log1pexp(vec x, vec x_lo) {
    scaled e = m_exp_dw(v_max(v_set(NORMAL_MIN), x), x_lo, v_set(ROUNDER));
    vec power = m_power_of_two(e.exponent);
    return m_log1p_unit((dw){v_mul(e.mantissa.hi, power), v_mul(e.mantissa.lo, power)});
}

#endif
