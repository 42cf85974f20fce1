/* One instruction set at one width: FL_TARGET and FL_WIDTH come from the command line. Everything is static but the
   table. */

#include "fastlog.h"

#include "kernels/entropy.h"
#include "kernels/log_differences.h"
#include "kernels/logistic.h"
#include "kernels/losses.h"
#include "kernels/mish.h"
#include "kernels/partition.h"
#include "loops.h"
#include "rows.h"
#include "scan.h"

/* The kernels of a row, by shape. */
#define LOOP_map1(name) loop_map1(k_##name, 0, args, dims, steps)
#define LOOP_map2(name) loop_map2(k_##name, NULL, args, dims, steps)
#define LOOP_map1_raising(name) loop_map1(k_##name, 1, args, dims, steps)
#define LOOP_map2_raising(name) loop_map2(k_##name, pole_##name, args, dims, steps)
#define LOOP_map2_logaddexp(name) loop_map2_logaddexp(k_##name, args, dims, steps)
#define LOOP_sum2(name) loop_sum2(k_##name, args, dims, steps)
#define LOOP_reduce(name) loop_reduce(k_##name, args, dims, steps)
#define LOOP_reduce_labelled(name) loop_reduce_labelled(k_##name, args, dims, steps)
#define LOOP_reduce_segments(name) loop_reduce_segments(k_##name, args, dims, steps)
#define LOOP_normalize(name) loop_normalize((normalization){n_##name, k_##name, 0}, args, dims, steps)
#define LOOP_normalize_terms(name) loop_normalize((normalization){n_##name, k_##name, 1}, args, dims, steps)

#define FL_FUNCTION(name, ufunc, shape, ...) \
    static void loop_##name(char **args, const intptr_t *dims, const intptr_t *steps, void *data) { \
        (void)data; \
        LOOP_##shape(name); \
    }
#include "functions.def"
#undef FL_FUNCTION

/* Elementwise functions also run on binary16, at width 32. */
#if FL_WIDTH == 32
#define HALF_LOOP(name, run) \
    static void half_##name(char **args, const intptr_t *dims, const intptr_t *steps, void *data) { \
        (void)data; \
        run; \
    }
#define HALF_LOOP_map1(name) HALF_LOOP(name, half_map1(k_##name, 0, args, dims, steps))
#define HALF_LOOP_map2(name) HALF_LOOP(name, half_map2(k_##name, NULL, args, dims, steps))
#define HALF_LOOP_map1_raising(name) HALF_LOOP(name, half_map1(k_##name, 1, args, dims, steps))
#define HALF_LOOP_map2_raising(name) HALF_LOOP(name, half_map2(k_##name, pole_##name, args, dims, steps))
#define HALF_LOOP_map2_logaddexp(name) HALF_LOOP(name, half_map2_logaddexp(k_##name, args, dims, steps))
#define HALF_LOOP_sum2(name)
#define HALF_LOOP_reduce(name)
#define HALF_LOOP_reduce_labelled(name)
#define HALF_LOOP_reduce_segments(name)
#define HALF_LOOP_normalize(name)
#define HALF_LOOP_normalize_terms(name)
#define FL_FUNCTION(name, ufunc, shape, ...) HALF_LOOP_##shape(name)
#include "functions.def"
#undef FL_FUNCTION
#define HALF_map1(name) half_##name
#define HALF_map2(name) half_##name
#define HALF_map1_raising(name) half_##name
#define HALF_map2_raising(name) half_##name
#define HALF_map2_logaddexp(name) half_##name
#else
#define HALF_map1(name) 0
#define HALF_map2(name) 0
#define HALF_map1_raising(name) 0
#define HALF_map2_raising(name) 0
#define HALF_map2_logaddexp(name) 0
#endif
#define HALF_sum2(name) 0
#define HALF_reduce(name) 0
#define HALF_reduce_labelled(name) 0
#define HALF_reduce_segments(name) 0
#define HALF_normalize(name) 0
#define HALF_normalize_terms(name) 0

#define TABLE_NAME(target, width) fl_table_##target##_f##width
#define TABLE(target, width) TABLE_NAME(target, width)

const fl_table TABLE(FL_TARGET, FL_WIDTH) = {
    .loop =
        {
#define FL_FUNCTION(name, ...) [FL_##name] = loop_##name,
#include "functions.def"
#undef FL_FUNCTION
        },
    .half =
        {
#define FL_FUNCTION(name, ufunc, shape, ...) [FL_##name] = HALF_##shape(name),
#include "functions.def"
#undef FL_FUNCTION
        },
};
