/* Losses of rows with labels alone: nll_loss, and the cross-entropy of short rows, in the words of loops/row_loss.h.

   Arguments   as in row_loss.h. Rows have no weights; classes have them in nll_loss alone.
   Passes      for PICKED rows at a time:
                 1. their labels are checked, and the elements that these name are picked
                 2. short rows are summed (sums/short.h), unless they are log-probabilities already
                 3. losses take the place of the picked elements, and are put into EACH or added to a sum
               So each pass is a loop of few steps, which overlap from row to row. */

#pragma once

#include "loops/row_loss.h"

/* The labels of rows r to r+count-1 as int64, where they are or in `stage`. */
static const int64_t *labels_of(row_losses *l, int64_t *stage, intptr_t r, intptr_t count) {
    const matrix *labels = l->argument + ROW_TARGETS;
    char type = l->options->target_type;
    const char *p = row_at(l, ROW_TARGETS, r);
    if (is_int64(type) && labels->outer == sizeof(int64_t)) return (const int64_t *)p;
    fetch_labels(stage, p, labels->outer, count, type);
    return stage;
}

/* True if each of `count` labels names a class, and is not ignored. Compilers vectorise these loops. A label that names
   no class, or its distance from the last one, is negative. Mostly the label that is ignored names none. */
INLINE int all_count(const int64_t *labels, intptr_t count, const row_losses *l) {
    uint64_t signs = 0, last = (uint64_t)l->n - 1;
    int64_t ignored = l->options->ignored, equal = 0;
    for (intptr_t k = 0; k < count; k++) signs |= (uint64_t)labels[k] | (last - (uint64_t)labels[k]);
    if (signs >> 63) return 0;
    if (!l->options->ignores || (uint64_t)ignored > last) return 1;
    for (intptr_t k = 0; k < count; k++) equal |= labels[k] == ignored;
    return !equal;
}

/* Picks the numbers that the labels of rows name, and returns how many labels count; `weighs` is 0 for the others. */
INLINE int64_t pick(row_losses *l, const int64_t *labels, matrix x, real *picked, real *weighs) {
    const char *row = x.x;
    intptr_t outer = x.outer, core = x.core, count = x.rows;
    int64_t counted = 0;
    if (all_count(labels, count, l)) {
        if (core == WIDTH)
            for (intptr_t k = 0; k < count; k++) picked[k] = ((const real *)(row + k * outer))[labels[k]];
        else
            for (intptr_t k = 0; k < count; k++)
                memcpy(picked + k, row + k * outer + (intptr_t)labels[k] * core, WIDTH);
        for (intptr_t k = 0; k < filled_up(count); k++) weighs[k] = 1;
        return count;
    }
    for (intptr_t k = 0; k < count; k++) {
        int right = (uint64_t)labels[k] < (uint64_t)l->n;
        int drops = l->options->ignores && labels[k] == l->options->ignored;
        l->result->wrong += !right && !drops;
        weighs[k] = right && !drops, counted += right && !drops;
        memcpy(picked + k, row + k * outer + (right && !drops ? (intptr_t)labels[k] * core : 0), WIDTH);
    }
    return counted;
}

/* The weights of classes take the place of ones. */
static void weigh_labels(row_losses *l, const int64_t *labels, intptr_t count, real *weighs) {
    for (intptr_t k = 0; k < count; k++) {
        double weight = weighs[k] != 0 ? l->options->class_weight[labels[k]] : 0;
        weighs[k] = (real)weight;
        l->weight = total_add(l->weight, weight);
    }
    l->weight = total_settled(l->weight);
}

#define PICKED 128 /* rows at a time, so that what is known of them takes 8 KiB of stack at most */

/* What is known of some rows with labels alone. */
typedef struct {
    intptr_t rows; /* their number */
    const int64_t *label;
    int64_t stage[PICKED];         /* room for labels of other types or strides */
    real element[PICKED];          /* what the label names, and then the upper word of the loss */
    real weighs[PICKED];           /* the weight of the label, 0 if it does not count */
    real low[PICKED];              /* the lower word of the loss */
    partition all[PICKED / LANES]; /* the sums of short rows */
} picked_rows;

/* Reads the labels of rows r to r+x.rows-1, at most PICKED. */
INLINE void read_picked(row_losses *l, picked_rows *p, matrix x, intptr_t r) {
    p->rows = x.rows, p->label = labels_of(l, p->stage, r, x.rows);
    int64_t counted = pick(l, p->label, x, p->element, p->weighs);
    if (l->options->class_weight) weigh_labels(l, p->label, x.rows, p->weighs);
    else l->weight.hi += (double)counted;
    for (intptr_t k = x.rows; k < filled_up(x.rows); k++) p->element[k] = p->weighs[k] = 0;
}

/* Keeps the losses of rows k to k+LANES-1: 0 for rows that weigh nothing, not -0, and not nan times 0. */
INLINE void keep_losses(picked_rows *p, intptr_t k, dw y) {
    vec zero = v_set(0);
    mask none = v_eq(v_load(p->weighs + k), zero);
    v_store(p->element + k, v_select(none, zero, y.hi)), v_store(p->low + k, v_select(none, zero, y.lo));
}

/* The losses of rows whose partitions are known. They have a loop of their own, as more of its steps overlap in time. */
INLINE void keep_entropies(picked_rows *p) {
    for (intptr_t k = 0; k < p->rows; k += LANES) {
        vec weight = v_load(p->weighs + k);
        partition all = p->all[k / LANES];
        keep_losses(p, k, k_cross_entropy(gap_below(all.max, v_load(p->element + k), weight), weight, all));
    }
}

/* Stores or adds the losses that are kept, from row r on. */
INLINE void put_picked(row_losses *l, picked_rows *p, intptr_t r) {
    const matrix *each = l->argument + ROW_EACH;
    if (!each->x) {
        add_some_losses(&l->sum, p->element, p->low, p->rows);
        return;
    }
    for (intptr_t k = 0; k < p->rows; k += LANES)
        v_store(p->element + k, v_add(v_load(p->element + k), v_load(p->low + k)));
    scatter(row_at(l, ROW_EACH, r), each->outer, p->element, p->rows);
}

/* Whether rows are short, and have labels alone. */
static int are_picked(const row_losses *l) {
    const fl_loss_options *f = l->options;
    if (f->are_probabilities || f->smoothing != 0 || f->class_weight || l->argument[ROW_WEIGHTS].x) return 0;
    return is_short(l->argument + ROW_LOGITS);
}

/* Computes the losses of such rows. */
static NOINLINE void pick_rows(row_losses *l) {
    real tile[LANE_BLOCK * LANES];
    picked_rows p;
    intptr_t all = l->argument->rows;
    for (intptr_t r = 0; r < all; r += PICKED) {
        matrix x = rows_from(l->argument[ROW_LOGITS], r, smaller(all - r, PICKED));
        read_picked(l, &p, x, r);
        for (intptr_t k = 0; k < x.rows; k += LANES)
            p.all[k / LANES] = short_partition(rows_at(&x, tile, k, smaller(x.rows - k, LANES)));
        keep_entropies(&p);
        put_picked(l, &p, r);
    }
}

/* Rows are log-probabilities. The loss is minus that of the label, times the label's weight. */
static unsigned loop_nll_loss(char **args, const intptr_t *dims, const intptr_t *steps, const fl_loss *loss) {
    row_losses l;
    row_info info;
    picked_rows p;
    begin_rows(&l, &info, args, dims, steps, loss);
    for (intptr_t r = 0; r < dims[0] && l.n; r += PICKED) {
        read_picked(&l, &p, rows_from(l.argument[ROW_LOGITS], r, smaller(dims[0] - r, PICKED)), r);
        for (intptr_t k = 0; k < p.rows; k += LANES)
            keep_losses(&p, k, (dw){v_fnma(v_load(p.weighs + k), v_load(p.element + k), v_set(0)), v_set(0)});
        put_picked(&l, &p, r);
    }
    if (!l.n) only_weights(&l);
    give_results(&l);
    return 0;
}
