/* Threads: this one and those of a pool compute a large call, piece by piece. Loops know no more of them than this. */

#pragma once

#include "fastlog.h"

/* A loop without its guard. It returns the exceptions that it wants to raise. */
typedef unsigned fl_run(char **args, const intptr_t *dims, const intptr_t *steps, void *data);

/* A thread gets at least so many bytes of the loop's numbers, which takes it some 10 us: waking it takes 3 to 5. */
#define FL_BYTES_OF_THREAD (128 << 10)

/* True for a call that may be worth two threads. It is all that a smaller call pays. */
static inline int fl_is_large(enum fl_shape shape, intptr_t size, const intptr_t *dims) {
    intptr_t least = 2 * FL_BYTES_OF_THREAD / (size < 4 ? 4 : size);
    return shape <= FL_LAST_MAP ? dims[0] >= least : dims[0] >= least || dims[0] * dims[1] >= least;
}

/* Runs pieces 0 to pieces-1 of some work, in any order, by as many threads as `bytes` of numbers are worth. Nothing may
   depend on who runs a piece. */
void fl_share(void (*run)(void *context, int piece), void *context, int pieces, intptr_t bytes);

/* Runs a large call of a function, whose numbers have `size` bytes, and which sums so many long rows `at_once`. Where
   results depend on the pieces, these are the same for every number of threads, and for one. */
unsigned fl_run_pieces(int function, intptr_t size, intptr_t at_once, fl_run *run, char **args, const intptr_t *dims,
                       const intptr_t *steps, void *data);
