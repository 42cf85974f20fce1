/* One instruction set at one width: FL_TARGET and FL_WIDTH come from the command line. Everything is static but the
   tables, and the loops by which floats are summed in double. */

#include "fastlog.h"

#include "kernels/entropy.h"
#include "kernels/log_sums.h"
#include "kernels/logistic.h"
#include "kernels/mish.h"
#include "loops/buckets.h"
#include "loops/chain.h"
#include "loops/draw.h"
#include "loops/element_loss.h"
#include "loops/map.h"
#include "loops/moments.h"
#include "loops/normalize.h"
#include "loops/reduce.h"
#include "loops/row_gradient.h"
#include "loops/scan.h"
#include "loops/segments.h"
#include "loops/softmax.h"
#include "loops/staging.h"
#include "loops/weighted.h"
#include "memory/status.h"
#include "pool.h"

/* Names that leave this file: fl_table_avx2_32 for NAME(table, avx2, 32). Two steps replace FL_TARGET by its value. */
#define NAME(what, target, width) NAME_OF(what, target, width)
#define NAME_OF(what, target, width) fl_##what##_##target##_##width
#define ARGUMENTS char **args, const intptr_t *dims, const intptr_t *steps, void *data

/* Sums of floats that need double: width 64 defines the loops, width 32 calls them. */
fl_loop NAME(logsumexp_of_floats, FL_TARGET, 64), NAME(logmeanexp_of_floats, FL_TARGET, 64);
fl_loop NAME(logsumexp_weighted_of_floats, FL_TARGET, 64), NAME(logmeanexp_weighted_of_floats, FL_TARGET, 64);

/* The loop of each shape, on arguments of a type, OWN or NARROW. It returns the exceptions that it wants to raise. */
#define RUN_map1(name, type) loop_map1(k_##name, 0, type, args, dims, steps)
#define RUN_map2(name, type) loop_map2(k_##name, 0, type, args, dims, steps)
#define RUN_map1_raising(name, type) loop_map1(k_##name, 1, type, args, dims, steps)
#define RUN_map2_raising(name, type) loop_map2(k_##name, pole_##name, type, args, dims, steps)
#define RUN_map2_logaddexp(name, type) loop_map2_logaddexp(k_##name, type, args, dims, steps)
#define RUN_reduce(name, type) loop_##name(BY_DOUBLE_##name args, dims, steps)
#define BY_DOUBLE_logsumexp NAME(logsumexp_of_floats, FL_TARGET, 64),
#define BY_DOUBLE_logmeanexp NAME(logmeanexp_of_floats, FL_TARGET, 64),
#define BY_DOUBLE_categorical_entropy
#define RUN_normalize(name, type) loop_##name(args, dims, steps)
#define RUN_normalize_terms(name, type) loop_##name(args, dims, steps)
#define RUN_reduce_segments(name, type) loop_reduce_segments(args, dims, steps)
#define RUN_reduce_buckets(name, type) loop_reduce_buckets(args, dims, steps)
#define RUN_normalize_buckets(name, type) loop_##name(args, dims, steps)
#define RUN_chain(name, type) loop_##name(args, dims, steps)
#define RUN_chain_pairs(name, type) loop_##name(args, dims, steps)
#define RUN_reduce_weighted(name, type) \
    loop_reduce_weighted(FL_##name == FL_logmeanexp_weighted, type, NAME(name##_of_floats, FL_TARGET, 64), args, dims, \
                         steps)
#define RUN_reduce_normalize(name, type) loop_##name(NAME(logsumexp_of_floats, FL_TARGET, 64), args, dims, steps)
#define RUN_reduce_partition(name, type) loop_reduce_partition(args, dims, steps)
#define RUN_reduce_pairs(name, type) loop_##name(args, dims, steps)
#define RUN_draw(name, type) loop_draw(args, dims, steps)
#define RUN_element_loss(name, type) loop_##name(args, dims, steps, data)
#define RUN_row_loss(name, type) loop_##name(args, dims, steps, data)

static NOINLINE unsigned run_large(int function, enum fl_shape shape, intptr_t size, fl_run *run, ARGUMENTS) {
    intptr_t at_once = shape <= FL_LAST_MAP ? 1 : strips_at_once(dims[1]);
    return fl_run_pieces(function, size, at_once, run, args, dims, steps, data);
}

/* NumPy reads the floating-point status after a call. Kernels raise exceptions that the mathematics does not. So this
   guard restores the status that it found, and raises what a loop returns. Large calls are cut into pieces here. */
INLINE void guarded(int function, enum fl_shape shape, intptr_t size, fl_run *run, int raises, ARGUMENTS) {
    fl_status status = status_save();
    unsigned raised;
    if (RARELY(fl_is_large(shape, size, dims))) raised = run_large(function, shape, size, run, args, dims, steps, data);
    else raised = run(args, dims, steps, data);
    status_restore(status);
    if (raises) status_raise(raised);
}

/* Calls that stay whole, and raise nothing. */
INLINE void guarded_whole(fl_run *run, ARGUMENTS) {
    fl_status status = status_save();
    run(args, dims, steps, data);
    status_restore(status);
}

#define GUARDED(name, shape, size, run, raises) \
    guarded(FL_##name, fl_##shape, size, run, raises, args, dims, steps, data)

/* Every function has a loop and a quiet loop on the target's own type, and a pair of them on the narrower one. */
#define FL_FUNCTION(name, shape) \
    static unsigned run_##name(ARGUMENTS) { return (void)data, RUN_##shape(name, OWN); } \
    static void raising_##name(ARGUMENTS) { GUARDED(name, shape, WIDTH, run_##name, 1); } \
    static void quiet_##name(ARGUMENTS) { GUARDED(name, shape, WIDTH, run_##name, 0); } \
    static UNUSED unsigned run_narrow_##name(ARGUMENTS) { return (void)data, RUN_##shape(name, NARROW); } \
    static UNUSED void narrow_##name(ARGUMENTS) { GUARDED(name, shape, WIDTH / 2, run_narrow_##name, 1); } \
    static UNUSED void quiet_narrow_##name(ARGUMENTS) { GUARDED(name, shape, WIDTH / 2, run_narrow_##name, 0); }
#include "functions.def"

/* Rows on their way to a loop of the own type and back, see fl_staging. */
static unsigned run_stage(ARGUMENTS) { return loop_stage(args, dims, steps, data); }
static unsigned run_unstage(ARGUMENTS) { return loop_unstage(args, dims, steps, data); }
static void stage(ARGUMENTS) { guarded_whole(run_stage, args, dims, steps, data); }
static void unstage(ARGUMENTS) { guarded_whole(run_unstage, args, dims, steps, data); }

/* Chains have loops on double alone. Their shapes come last. */
#define FL_FUNCTION(name, shape) \
    [FL_##name] = {FL_WIDTH == 64 || fl_##shape < fl_chain ? raising_##name : 0, \
                   FL_WIDTH == 64 || fl_##shape < fl_chain ? quiet_##name : 0},
const fl_table NAME(table, FL_TARGET, FL_WIDTH) = {.stage = stage,
                                                   .unstage = unstage,
                                                   .of = {
#include "functions.def"
                                                   }};

#if FL_WIDTH == 32
/* Elementwise functions alone have loops on binary16. Their shapes come first. */
#define FL_FUNCTION(name, shape) \
    [FL_##name] = {fl_##shape <= FL_LAST_MAP ? narrow_##name : 0, fl_##shape <= FL_LAST_MAP ? quiet_narrow_##name : 0},
const fl_table NAME(table, FL_TARGET, 16) = {.of = {
#include "functions.def"
                                             }};
#else
static unsigned run_logsumexp_of_floats(ARGUMENTS) { return (void)data, loop_logsumexp_narrow(args, dims, steps); }
void NAME(logsumexp_of_floats, FL_TARGET, 64)(ARGUMENTS) {
    guarded_whole(run_logsumexp_of_floats, args, dims, steps, data);
}
void NAME(logmeanexp_of_floats, FL_TARGET, 64)(ARGUMENTS) { narrow_logmeanexp_weighted(args, dims, steps, data); }
void NAME(logsumexp_weighted_of_floats, FL_TARGET, 64)(ARGUMENTS) {
    narrow_logsumexp_weighted(args, dims, steps, data);
}
void NAME(logmeanexp_weighted_of_floats, FL_TARGET, 64)(ARGUMENTS) {
    narrow_logmeanexp_weighted(args, dims, steps, data);
}
#endif
