/* The tables of inner loops, one for each target and width. */

#pragma once

#include <stdint.h>

typedef void any_loop(const void *x, void *y, intptr_t n);

typedef struct {
    const char *name; /* of its region, without the number */
    any_loop *run;
} inner_loop;

enum { INNER_LOOPS = 5 };
