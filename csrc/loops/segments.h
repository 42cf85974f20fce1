/* (n),(s),(s)->(s): logsumexp of segments of a row, which are rows of different lengths.

   Arguments   args[0] has dims[0] rows of dims[1] elements. For each row, args[1] and args[2] have dims[2] indices of
               type int64, where its segments begin and end; args[3] has their results. Segments may overlap; none is
               empty.
   Passes      LANES segments at a time: short ones are copied to a tile, one per lane, and summed together; each long
               one is summed by itself. */

#pragma once

#include "sums/rows.h"

/* The segments of one row, and the strides of its arguments. A segment is the elements from `first` up to `last`, which
   is not included, first < last. */
typedef struct {
    const char *x, *first, *last;
    char *out;
    intptr_t step, first_step, last_step, out_step;
} segments;

static inline intptr_t index_at(const char *p, intptr_t step, intptr_t i) {
    int64_t index;
    memcpy(&index, p + i * step, sizeof index);
    return (intptr_t)index;
}

/* Reduces segments i to i+count-1, count <= LANES. The tile of the short ones is filled up with -inf, which adds
   nothing. Its height is a multiple of GROUP, so that a result does not depend on the neighbours. */
INLINE void reduce_some_segments(segments s, intptr_t i, intptr_t count) {
    real tile[LANE_BLOCK * LANES], y[LANES];
    summation how = {.rough = 1};
    intptr_t height = 0;
    for (intptr_t lane = 0; lane < count; lane++) {
        intptr_t first = index_at(s.first, s.first_step, i + lane);
        intptr_t n = index_at(s.last, s.last_step, i + lane) - first;
        const char *x = s.x + first * s.step;
        if (n > LANE_BLOCK) {
            tally t = tally_fetched(OWN, x, s.step, n, FLOOR, how);
            real of_long = first_lane(k_logsumexp(partition_of(&t, how.rough)));
            memcpy(s.out + (i + lane) * s.out_step, &of_long, sizeof(real));
            continue;
        }
        for (; height < n; height += GROUP)
            for (intptr_t j = 0; j < GROUP; j++) v_store(tile + (height + j) * LANES, v_set(-REAL_INFINITY));
        for (intptr_t j = 0; j < n; j++) memcpy(tile + j * LANES + lane, x + j * s.step, sizeof(real));
    }
    tally t = tally_start((vectors){.x = tile, .step = LANES, .n = height}, FLOOR, how);
    v_store(y, k_logsumexp(partition_of(&t, how.rough)));
    for (intptr_t lane = 0; lane < count; lane++) {
        intptr_t n = index_at(s.last, s.last_step, i + lane) - index_at(s.first, s.first_step, i + lane);
        if (n <= LANE_BLOCK) memcpy(s.out + (i + lane) * s.out_step, y + lane, sizeof(real));
    }
}

INLINE unsigned loop_reduce_segments(char **args, const intptr_t *dims, const intptr_t *steps) {
    for (intptr_t r = 0; r < dims[0]; r++) {
        segments s = {.x = args[0] + r * steps[0],
                      .first = args[1] + r * steps[1],
                      .last = args[2] + r * steps[2],
                      .out = args[3] + r * steps[3],
                      .step = steps[4],
                      .first_step = steps[5],
                      .last_step = steps[6],
                      .out_step = steps[7]};
        for (intptr_t i = 0; i < dims[2]; i += LANES) reduce_some_segments(s, i, smaller(dims[2] - i, LANES));
    }
    return 0;
}
