/* Rows whose results are computed once more, in a slower way, when the frames of their sums are left: those frames and
   the frames of the slower way need not fit into a stack together.

   Passes      A loop sums some panels of rows; wait_where notes rows of them; the loop computes the rows that wait,
               many at a time, and goes on with the next panels.
   Owners      The list is on the stack of the loop. The numbers of its rows count from the first row of the panels. */

#pragma once

#include "sums/rows.h"

#define MOST_WAITING (2 * PANEL * LANES)

typedef struct {
    uint16_t *row; /* room for MOST_WAITING numbers */
    intptr_t count;
} waiting_rows;

/* How many of the rows that are left come next: whole panels, and never so few that their way would be another one. */
INLINE intptr_t rows_of_panels(intptr_t left) { return left < MOST_WAITING ? left : MOST_WAITING / 2; }

/* Rows r to r+rows-1 wait where m is true. */
RARE void wait_where(waiting_rows *w, mask m, intptr_t r, intptr_t rows) {
    real waits[LANES];
    v_store(waits, v_select(m, v_set(1), v_set(0)));
    for (intptr_t lane = 0; lane < rows; lane++)
        if (waits[lane] > 0) w->row[w->count++] = (uint16_t)(r + lane);
}
