/* Prints the cycles per element of every inner loop on the targets that its arguments name:

     target width cycles name

   A cycle is the time of one of many dependent additions, measured beside the loops. TARGET_ROWS, a ROW(target, width)
   for each table of loops.c, comes from CMake. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "loops.h"

enum { ELEMENTS = 1024, REPETITIONS = 2000, PASSES = 8, ADDITIONS = 20000 };

#define ROW(target, width) extern const inner_loop inner_loops_##target##_##width[INNER_LOOPS];
TARGET_ROWS
#undef ROW

static double now(void) {
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The compiler can neither join additions nor leave one out, as it does not know what happens to x between them. */
static double time_of_additions(void) {
    double begin = now();
    uint64_t x = 0;
    for (int i = 0; i < ADDITIONS; i += 10) {
        for (int j = 0; j < 10; j++) {
            x += 1;
            __asm__ volatile("" : "+r"(x));
        }
    }
    return (now() - begin) / ADDITIONS;
}

/* Numbers of spread 3 or so: a sum of uniform ones. */
static double next_number(void) {
    double sum = -6;
    for (int i = 0; i < 12; i++) sum += (double)rand() / RAND_MAX;
    return 3 * sum;
}

static _Alignas(64) char input[ELEMENTS * 8], output[ELEMENTS * 8];

static void time_loops(const char *target, int width, const inner_loop *loops) {
    for (int i = 0; i < ELEMENTS; i++) {
        double x = next_number();
        if (width == 32) ((float *)input)[i] = (float)x;
        else ((double *)input)[i] = x;
    }
    for (const inner_loop *loop = loops; loop < loops + INNER_LOOPS; loop++) {
        double best = 1e9, cycle = 1e9;
        for (int i = 0; i < REPETITIONS; i++) {
            double begin = now();
            for (int j = 0; j < PASSES; j++) loop->run(input, output, ELEMENTS);
            double time = (now() - begin) / (PASSES * ELEMENTS), additions = time_of_additions();
            if (time < best) best = time;
            if (additions < cycle) cycle = additions;
        }
        printf("%s %d %.4f %s\n", target, width, best / cycle, loop->name);
    }
}

int main(int count, char **names) {
    for (int i = 1; i < count; i++) {
#define ROW(target, width) \
    if (!strcmp(names[i], #target)) time_loops(#target, width, inner_loops_##target##_##width);
        TARGET_ROWS
#undef ROW
    }
    return 0;
}
