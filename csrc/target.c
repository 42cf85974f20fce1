/* One instruction set at one width: FL_TARGET and FL_WIDTH come from the command line. Everything is static but the
   table. */

#include "fastlog.h"

#include "kernels/entropy.h"
#include "kernels/log_sums.h"
#include "kernels/logistic.h"
#include "kernels/mish.h"
#include "loops/element_loss.h"
#include "loops/map.h"
#include "loops/normalize.h"
#include "loops/reduce.h"
#include "loops/row_loss.h"
#include "loops/scan.h"
#include "loops/segments.h"
#include "loops/weighted.h"

/* The kernels of a row, by shape. */
#define LOOP_map1(name) loop_map1(k_##name, 0, args, dims, steps)
#define LOOP_map2(name) loop_map2(k_##name, NULL, args, dims, steps)
#define LOOP_map1_raising(name) loop_map1(k_##name, 1, args, dims, steps)
#define LOOP_map2_raising(name) loop_map2(k_##name, pole_##name, args, dims, steps)
#define LOOP_map2_logaddexp(name) loop_map2_logaddexp(k_##name, args, dims, steps)
#define LOOP_reduce(name) loop_reduce(k_##name, args, dims, steps)
#define LOOP_reduce_segments(name) loop_reduce_segments(k_logsumexp, args, dims, steps)
#if FL_WIDTH == 64
#define LOOP_reduce_weighted(name) loop_reduce_weighted(0, args, dims, steps)
#else
#define LOOP_reduce_weighted(name) (void)args, (void)dims, (void)steps /* floats run at width 64 */
#endif
#define LOOP_normalize(name) loop_normalize((normalization){divisor_##name, k_##name, 0, {0}}, args, dims, steps)
#define LOOP_normalize_terms(name) loop_normalize((normalization){divisor_##name, k_##name, 1, {0}}, args, dims, steps)
#define LOOP_reduce_normalize(name) loop_reduce_normalize(args, dims, steps)
#define LOOP_reduce_partition(name) loop_reduce_partition(args, dims, steps)
#define LOOP_element_loss(name) loop_##name##_loss(args, dims, steps, data)
#define LOOP_row_loss(name) loop_##name##_loss(args, dims, steps, data)

#define FL_FUNCTION(name, ufunc, shape, ...) \
    static void loop_##name(char **args, const intptr_t *dims, const intptr_t *steps, void *data) { \
        (void)data; \
        LOOP_##shape(name); \
    }
#include "functions.def"
#undef FL_FUNCTION

/* The same without exceptions, for callers that have none: SciPy's ufuncs say nothing about poles. */
#define FL_FUNCTION(name, ...) \
    static void quiet_##name(char **args, const intptr_t *dims, const intptr_t *steps, void *data) { \
        fl_status status = status_save(); \
        loop_##name(args, dims, steps, data); \
        status_restore(status); \
    }
#include "functions.def"
#undef FL_FUNCTION

/* Loops on the next narrower type: elementwise functions on binary16, at width 32; weighted sums on float, and sums on
   float for results that float cannot compute. */
#define NARROW_LOOP(name, run) \
    static void narrow_##name(char **args, const intptr_t *dims, const intptr_t *steps, void *data) { \
        (void)data; \
        run; \
    }
#define NARROW_LOOP_reduce_segments(name)
#define NARROW_LOOP_normalize(name)
#define NARROW_LOOP_normalize_terms(name)
#define NARROW_LOOP_reduce_normalize(name)
#define NARROW_LOOP_reduce_partition(name)
#define NARROW_LOOP_element_loss(name)
#define NARROW_LOOP_row_loss(name)
#define NARROW_reduce_segments(name) 0
#define NARROW_normalize(name) 0
#define NARROW_normalize_terms(name) 0
#define NARROW_reduce_normalize(name) 0
#define NARROW_reduce_partition(name) 0
#define NARROW_element_loss(name) 0
#define NARROW_row_loss(name) 0
#if FL_WIDTH == 32
#define NARROW_LOOP_map1(name) NARROW_LOOP(name, half_map1(k_##name, 0, args, dims, steps))
#define NARROW_LOOP_map2(name) NARROW_LOOP(name, half_map2(k_##name, NULL, args, dims, steps))
#define NARROW_LOOP_map1_raising(name) NARROW_LOOP(name, half_map1(k_##name, 1, args, dims, steps))
#define NARROW_LOOP_map2_raising(name) NARROW_LOOP(name, half_map2(k_##name, pole_##name, args, dims, steps))
#define NARROW_LOOP_map2_logaddexp(name) NARROW_LOOP(name, half_map2_logaddexp(k_##name, args, dims, steps))
#define NARROW_LOOP_reduce(name)
#define NARROW_LOOP_reduce_weighted(name)
#define NARROW_map1(name) narrow_##name
#define NARROW_map2(name) narrow_##name
#define NARROW_map1_raising(name) narrow_##name
#define NARROW_map2_raising(name) narrow_##name
#define NARROW_map2_logaddexp(name) narrow_##name
#define NARROW_reduce(name) 0
#define NARROW_reduce_weighted(name) 0
#else
#define NARROW_LOOP_map1(name)
#define NARROW_LOOP_map2(name)
#define NARROW_LOOP_map1_raising(name)
#define NARROW_LOOP_map2_raising(name)
#define NARROW_LOOP_map2_logaddexp(name)
#define NARROW_LOOP_reduce(name) NARROW_LOOP(name, narrow_reduce(k_##name, args, dims, steps))
#define NARROW_LOOP_reduce_weighted(name) NARROW_LOOP(name, loop_reduce_weighted(1, args, dims, steps))
#define NARROW_map1(name) 0
#define NARROW_map2(name) 0
#define NARROW_map1_raising(name) 0
#define NARROW_map2_raising(name) 0
#define NARROW_map2_logaddexp(name) 0
#define NARROW_reduce(name) narrow_##name
#define NARROW_reduce_weighted(name) narrow_##name
#endif
#define FL_FUNCTION(name, ufunc, shape, ...) NARROW_LOOP_##shape(name)
#include "functions.def"
#undef FL_FUNCTION

const fl_table TABLE(FL_TARGET, FL_WIDTH) = {
    .loop =
        {
#define FL_FUNCTION(name, ...) [FL_##name] = loop_##name,
#include "functions.def"
#undef FL_FUNCTION
        },
    .narrow =
        {
#define FL_FUNCTION(name, ufunc, shape, ...) [FL_##name] = NARROW_##shape(name),
#include "functions.def"
#undef FL_FUNCTION
        },
    .quiet =
        {
#define FL_FUNCTION(name, ...) [FL_##name] = quiet_##name,
#include "functions.def"
#undef FL_FUNCTION
        },
};
