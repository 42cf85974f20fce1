/* The inner loops by themselves, one function each, for `make mca`: their bodies stand between the comments by which
   llvm-mca knows a region of assembly. None of this is in the product. FL_TARGET and FL_WIDTH come from the command
   line, as for csrc/target.c. */

#include "vec/vec.h"

/* Lanes that need a slow way are rare. Here the test for them is computed, but the slow way is left out, so that a region
   has no branches. */
INLINE int never(int found) {
    __asm__ volatile("" ::"r"(found));
    return 0;
}
#define mask_any(m) never(mask_any(m))

#include "kernels/logistic.h"
#include "sums/partition.h"
#include "sums/plain.h"

#include "loops.h"

/* A region's name ends with the number of its elements. Its ends also keep loads and stores from crossing them. */
#define REGION(name, elements) __asm__ volatile("# LLVM-MCA-BEGIN " name " %c0" ::"i"(elements) : "memory")
#define REGION_END(name, elements) __asm__ volatile("# LLVM-MCA-END " name " %c0" ::"i"(elements) : "memory")

#define NAME(what, target, width) NAME_OF(what, target, width)
#define NAME_OF(what, target, width) what##_##target##_##width

static void softplus(const real *x, real *y, intptr_t n) {
    for (intptr_t i = 0; i < n; i += LANES) {
        REGION("softplus", LANES);
        v_store(y + i, k_softplus(v_load(x + i)));
        REGION_END("softplus", LANES);
    }
}

static void sigmoid(const real *x, real *y, intptr_t n) {
    for (intptr_t i = 0; i < n; i += LANES) {
        REGION("sigmoid", LANES);
        v_store(y + i, k_sigmoid(v_load(x + i)));
        REGION_END("sigmoid", LANES);
    }
}

/* Groups of terms are added to a double word; none of the elements is the maximum. */
static void logsumexp_terms(const real *x, real *y, intptr_t n) {
    term_sum t = no_terms();
    vec max = v_set(8);
    window w = make_window(max, FLOOR);
    for (intptr_t i = 0; i < n; i += GROUP * LANES) {
        vectors v = {.x = x + i, .step = LANES, .n = GROUP};
        REGION("logsumexp terms", GROUP * LANES);
        t = add_group(t, v, max, w, (summation){.rough = 1});
        REGION_END("logsumexp terms", GROUP * LANES);
    }
    v_store(y, v_add(t.sum.hi, t.sum.lo));
}

/* The terms of a plain row, which are stored, to be multiplied later. */
static void softmax_terms(const real *x, real *y, intptr_t n) {
    plain_row p = plain_start(v_set(8));
    for (intptr_t i = 0; i < n; i += GROUP * LANES) {
        vectors v = {.x = x + i, .step = LANES, .n = GROUP, .kept = y + i, .kept_step = LANES};
        REGION("softmax terms", GROUP * LANES);
        plain_terms(&p, v);
        REGION_END("softmax terms", GROUP * LANES);
    }
    v_store(y, v_add(v_add(p.sum.hi, p.sum.lo), v_sub(p.max, p.min)));
}

static void softmax_products(const real *x, real *y, intptr_t n) {
    dw inverse = dw_div((dw){v_set(1), v_set(0)}, (dw){v_set(8), v_set(0)});
    for (intptr_t i = 0; i < n; i += LANES) {
        REGION("softmax products", LANES);
        v_store(y + i, plain_quotient(v_load(x + i), inverse));
        REGION_END("softmax products", LANES);
    }
}

const inner_loop NAME(inner_loops, FL_TARGET, FL_WIDTH)[INNER_LOOPS] = {
    {"softplus", (any_loop *)softplus},
    {"sigmoid", (any_loop *)sigmoid},
    {"logsumexp terms", (any_loop *)logsumexp_terms},
    {"softmax terms", (any_loop *)softmax_terms},
    {"softmax products", (any_loop *)softmax_products},
};
