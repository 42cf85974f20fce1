/* Totals: sums of losses in two words, whose error does not grow with their number. */

#pragma once

#include "sums/lanes.h"

/* The low words of the lanes are not renormalised, so the lanes are emptied into `all` now and then. Losses so large
   that they might overflow in the lanes are added to `all` at once. */
typedef struct {
    dw lanes;
    int pending; /* the number of additions since the lanes were emptied */
    total all;
} loss_sum;

#define HEADROOM REAL(0x1p60) /* losses times this do not overflow, unless they are added at once */
#define PENDING 256           /* the most additions: low words are then right to 2^-32 of the sum, floats' ones too */

static loss_sum no_losses(void) { return (loss_sum){{v_set(0), v_set(0)}, 0, {0, 0}}; }

static void empty_lanes(loss_sum *s) {
    dw sum = dw_sum_of_lanes(s->lanes);
    s->all = total_add(s->all, first_lane(sum.hi));
    s->all.lo += first_lane(sum.lo);
    s->all = total_settled(s->all);
    s->lanes = (dw){v_set(0), v_set(0)}, s->pending = 0;
}

/* Adds the losses of all lanes. */
INLINE void add_losses(loss_sum *s, dw y) {
    if (all_finite(v_mul(y.hi, v_set(HEADROOM)))) {
        s->lanes = dw_join(s->lanes, y);
        if (++s->pending == PENDING) empty_lanes(s);
        return;
    }
    if (!all_finite(y.hi)) {
        s->all.hi += first_lane(sum_of_lanes(y.hi));
        return;
    }
    real lanes[LANES];
    v_store(lanes, v_add(y.hi, y.lo));
    for (intptr_t k = 0; k < LANES; k++) s->all = total_add(s->all, lanes[k]);
}

/* Adds n losses and those that fill the last vector, as add_losses does one vector after the other, but with the sums in
   registers. */
INLINE void add_some_losses(loss_sum *s, const real *hi, const real *lo, intptr_t n) {
    dw lanes = s->lanes;
    vec zero = v_set(0), nan_of_large = zero;
    for (intptr_t i = 0; i < n; i += LANES) {
        dw y = {v_load(hi + i), v_load(lo + i)};
        lanes = dw_join(lanes, y);
        nan_of_large = v_fma(v_mul(y.hi, v_set(HEADROOM)), zero, nan_of_large);
    }
    int vectors = (int)((n + LANES - 1) / LANES);
    if (all_finite(nan_of_large) && s->pending + vectors <= PENDING) {
        s->lanes = lanes, s->pending += vectors;
        if (s->pending == PENDING) empty_lanes(s);
        return;
    }
    for (intptr_t i = 0; i < n; i += LANES) add_losses(s, (dw){v_load(hi + i), v_load(lo + i)});
}

/* Adds the sum to a result, and empties it. */
static void give_total(loss_sum *s, double result[2]) {
    empty_lanes(s);
    fl_add_sum(result, (double[]){s->all.hi, s->all.lo});
    s->all = (total){0, 0};
}
