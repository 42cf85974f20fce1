/* (n),()->(): an index that is drawn from each row of probabilities.

   Arguments   args[0] has dims[0] rows of dims[1] numbers of at least 0, which are multiples of probabilities; args[1]
               has a double u for each row, 0 <= u < 1; args[2] gets an index of type int64, or -1 where the sum of
               the numbers is not positive and finite.
   Method      The index is the first one at which the running sum is above u times the whole sum; where rounding hid
               that, the last one of a block whose number is positive. So one whose number is 0 is never drawn. Sums are
               doubles: those of DRAW_BLOCK numbers first, then those of all, so that many small numbers do not vanish
               beside a large one. The operations are those of the C standard, in this order, on every target. */

#pragma once

#include "memory/strided.h"

#define DRAW_BLOCK 64

INLINE double double_at(const char *p) {
    real x;
    memcpy(&x, p, sizeof x);
    return (double)x;
}

/* The sum of count numbers at p; eight running sums do not wait for each other. */
INLINE double sum_of_numbers(const char *p, intptr_t step, intptr_t count) {
    double part[8] = {0};
    intptr_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (int k = 0; k < 8; k++) part[k] += double_at(p + (i + k) * step);
    for (; i < count; i++) part[0] += double_at(p + i * step);
    return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
}

INLINE intptr_t index_drawn(const char *p, intptr_t step, intptr_t n, double u) {
    double total = 0, sum = 0, upto = 0, next;
    intptr_t block = 0, found = -1;
    for (intptr_t i = 0; i < n; i += DRAW_BLOCK)
        total += sum_of_numbers(p + i * step, step, smaller(n - i, DRAW_BLOCK));
    if (!(total > 0 && total < (double)REAL_INFINITY)) return -1;
    u *= total;
    if (n > DRAW_BLOCK) { /* The block comes first, and `sum` is that of the blocks before it. */
        for (intptr_t i = 0; i < n && upto <= u; i += DRAW_BLOCK, upto = next) {
            next = upto + sum_of_numbers(p + i * step, step, smaller(n - i, DRAW_BLOCK));
            if (next > upto) block = i, sum = upto;
        }
    }
    for (intptr_t i = block; i < smaller(n, block + DRAW_BLOCK); i++) {
        double x = double_at(p + i * step);
        if (x > 0) found = i;
        sum += x;
        if (sum > u) break;
    }
    return found;
}

INLINE unsigned loop_draw(char **args, const intptr_t *dims, const intptr_t *steps) {
    for (intptr_t r = 0; r < dims[0]; r++) {
        const char *p = args[0] + r * steps[0];
        double u;
        memcpy(&u, args[1] + r * steps[1], sizeof u);
        int64_t found = steps[3] == WIDTH ? index_drawn(p, WIDTH, dims[1], u) : index_drawn(p, steps[3], dims[1], u);
        memcpy(args[2] + r * steps[2], &found, sizeof found);
    }
    return 0;
}
