/* Arguments that share memory. */

#pragma once

#include <stdint.h>

/* True if writing out[i] may change an in[j] that is still to be read. It cannot where both run in step through the
   same elements. NumPy copies operands that overlap in other ways, but not in reduce and accumulate, which feed each
   result back. */
static inline int feeds_back(const char *in, intptr_t in_step, const char *out, intptr_t out_step, intptr_t n) {
    if (n < 2 || (in == out && in_step == out_step && out_step != 0)) return 0;
    intptr_t in_span = in_step * (n - 1), out_span = out_step * (n - 1);
    const char *in_first = in_span < 0 ? in + in_span : in, *in_last = in_span < 0 ? in : in + in_span;
    const char *out_first = out_span < 0 ? out + out_span : out, *out_last = out_span < 0 ? out : out + out_span;
    return in_first <= out_last && out_first <= in_last;
}
