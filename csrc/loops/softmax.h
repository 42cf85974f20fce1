/* Softmax, (n)->(n), and with its logarithm, (n)->(n),(): plain rows by sums/plain.h, and all others by normalize.h.

   Arguments   as those of normalize.h
   Passes      for some rows at a time:
                 1. their terms are written where the results will be, and summed; a row that turns out not to be plain
                    is computed again
                 2. their results take the place of the terms, while these are in cache
               Rows lie over the lanes in the ways of sums/rows.h.
   Owners      Sums are on the stack. Where results take the place of elements, these are looked at before the first
               term is written. */

#pragma once

#include "loops/normalize.h"
#include "sums/plain.h"

INLINE normalization of_softmax(void) { return (normalization){divisor_softmax, k_softmax, .of_terms = 1}; }

/* Panels have a frame of their own, for which long rows do not pay. */
static NOINLINE intptr_t softmax_panels_by_tallies(matrix a, matrix out) {
    return normalize_panels(of_softmax(), a, out);
}

/* Computes rows that are not plain, or of strides that sums/plain.h has no way for. */
static NOINLINE void softmax_by_tallies(matrix a, matrix out) {
    normalize_rows(of_softmax(), a, out, softmax_panels_by_tallies(a, out));
}

/* True if an element and a result may share memory. */
static int share_memory(const matrix *a, const matrix *b) {
    const char *first[2], *last[2];
    const matrix *m[2] = {a, b};
    for (int k = 0; k < 2; k++) {
        intptr_t outer = m[k]->outer * (m[k]->rows - 1), core = m[k]->core * (m[k]->n - 1);
        first[k] = m[k]->x + smaller(outer, 0) + smaller(core, 0);
        last[k] = m[k]->x + outer + core - smaller(outer, 0) - smaller(core, 0) + WIDTH;
    }
    return first[0] < last[1] && first[1] < last[0];
}

/* ---- lanes along a row ---- */

INLINE void look_at_all(plain_row *p, vectors v, int holes) {
    for (intptr_t i = 0; i < v.n; i++) look_at(p, v_load(v.x + i * v.step), holes);
}

/* True if a row whose lanes have parts of it is plain. If no element is further from the first one than half the range,
   the lanes need not be compared with each other. */
INLINE int lanes_are_plain(plain_row p) {
    vec half = v_set(PLAIN_RANGE / 2);
    mask far = mask_or(v_lt(half, v_sub(p.max, p.first)), v_lt(half, v_sub(p.first, p.min)));
    if (!mask_any(mask_or(far, v_le(v_set(DIRECT), v_abs(p.first))))) return 1;
    return !mask_any(not_plain(p.first, largest_lane(p.max), v_neg(largest_lane(v_neg(p.min)))));
}

/* A row that is so long that threads share it, some spans at a time. */
#define SHARED_SPANS ((8 << 10) / (intptr_t)sizeof(plain_row))

typedef struct {
    const real *x;
    real *y;
    intptr_t first, whole; /* the number of the span that comes first, and that of the elements of whole vectors */
    vec start;             /* the row's first element, whose place may have its term already */
    dw inverse;
    plain_row of[SHARED_SPANS];
} shared_row;

INLINE vectors span_of(const shared_row *s, intptr_t number) {
    intptr_t i = number * SPAN * LANES, n = smaller(SPAN, (s->whole - i) / LANES);
    return (vectors){.x = s->x + i, .step = LANES, .n = n, .kept = s->y + i, .kept_step = LANES};
}

static void terms_of_span(void *context, int piece) {
    shared_row *s = context;
    plain_row p = plain_start(s->start);
    p.sum = sum_of_terms(&p, span_of(s, s->first + piece), 0);
    s->of[piece] = p;
}

static void quotients_of_span(void *context, int piece) {
    const shared_row *s = context;
    plain_quotients(span_of(s, piece), s->inverse);
}

/* Writes the terms of whole vectors, and adds them to the row in the order of its spans. */
static NOINLINE void plain_terms_shared(plain_row *p, const real *x, real *y, intptr_t whole) {
    const intptr_t span = SPAN * LANES;
    shared_row s;
    s.x = x, s.y = y, s.whole = whole, s.start = p->first, s.first = 0;
    for (; s.first * span < whole; s.first += SHARED_SPANS) {
        intptr_t left = whole - s.first * span, pieces = smaller((left + span - 1) / span, SHARED_SPANS);
        fl_share(terms_of_span, &s, (int)pieces, smaller(left, pieces * span) * WIDTH);
        for (intptr_t k = 0; k < pieces; k++) {
            p->max = v_max(s.of[k].max, p->max), p->min = v_min(s.of[k].min, p->min);
            p->sum = dw_add(p->sum, s.of[k].sum);
        }
    }
}

static NOINLINE void plain_quotients_shared(real *y, intptr_t whole, dw inverse) {
    const intptr_t span = SPAN * LANES;
    shared_row s;
    s.x = s.y = y, s.whole = whole, s.inverse = inverse;
    fl_share(quotients_of_span, &s, (int)((whole + span - 1) / span), whole * WIDTH);
}

INLINE int is_shared(intptr_t whole) { return whole > SPAN * LANES && whole * WIDTH >= 2 * FL_BYTES_OF_THREAD; }

/* Writes the terms of a row where y is not NULL. The lanes of the result have parts of their sum. */
INLINE plain_row plain_strip(const real *x, real *y, intptr_t n, real first, int holes) {
    plain_row p = plain_start(v_set(first));
    intptr_t whole = whole_vectors(n), part = n - whole;
    real unused[LANES];
    if (y && is_shared(whole)) {
        plain_terms_shared(&p, x, y, whole);
    } else {
        for (intptr_t i = 0; i < whole; i += SPAN * LANES) {
            vectors v = {.x = x + i, .step = LANES, .n = smaller(SPAN, (whole - i) / LANES), .kept = unused};
            if (y) v.kept = y + i, v.kept_step = LANES;
            plain_terms(&p, v, holes);
        }
    }
    if (part) {
        real rest[LANES], kept[LANES];
        v_store(rest, v_load_part(x + whole, part, first));
        vec sum = plain_term(&p, (vectors){.x = rest, .n = 1, .kept = kept}, 0, holes);
        if (y) v_store_part(y + whole, part, v_load(kept));
        p.sum = dw_add(p.sum, (dw){leading_lanes(sum, part), v_set(0)});
    }
    return p;
}

INLINE plain_row look_at_strip(const real *x, intptr_t n, vec first, int holes) {
    plain_row p = plain_start(first);
    intptr_t whole = whole_vectors(n);
    look_at_all(&p, (vectors){.x = x, .step = LANES, .n = whole / LANES}, holes);
    if (n > whole) {
        real rest[LANES];
        v_store(rest, v_load_part(x + whole, n - whole, first_lane(first)));
        look_at(&p, v_load(rest), holes);
    }
    return p;
}

enum strip_kind { ROUGH, PLAIN, WITH_HOLES };

/* Writes the terms of a row if it is plain, or plain but for holes. Its elements are looked at before the first term is
   written: because that takes their place, or because rows before had holes. Rows that are not contiguous, or so long
   that threads share them, are not worth holes. */
static NOINLINE enum strip_kind strip_by_look(const real *x, real *y, intptr_t n, vec *hi, vec *lo) {
    enum strip_kind kind = PLAIN;
    plain_row p = look_at_strip(x, n, v_set(x[0]), 0);
    if (lanes_are_plain(p)) {
        p = plain_strip(x, y, n, x[0], 0);
    } else {
        vec max = largest_lane(p.max);
        if (!y || is_shared(whole_vectors(n)) || !lanes_are_plain(look_at_strip(x, n, max, 1))) return ROUGH;
        p = plain_strip(x, y, n, first_lane(max), 1), kind = WITH_HOLES;
    }
    *hi = p.sum.hi, *lo = p.sum.lo;
    return kind;
}

/* Computes the results of a row once more from its elements, and stores them anywhere. */
static NOINLINE void scatter_quotients(const real *x, intptr_t n, dw inverse, char *out, intptr_t step) {
    vec rounder = plain_start(v_set(x[0])).rounder;
    real y[STAGE];
    for (intptr_t i = 0; i < n; i += STAGE) {
        intptr_t count = smaller(n - i, STAGE);
        gather(y, (const char *)(x + i), WIDTH, count);
        for (intptr_t j = 0; j < count; j += LANES)
            v_store(y + j, plain_quotient(m_exp_plain(v_load(y + j), rounder), inverse));
        scatter(out + i * step, step, y, count);
    }
}

static void softmax_strips(matrix a, matrix out) {
    int in_place = share_memory(&a, &out), contiguous = out.core == WIDTH, looks = in_place;
    intptr_t at_once = strips_at_once(a.n), whole = whole_vectors(a.n), part = a.n - whole;
    for (intptr_t r = 0; r < a.rows; r += at_once) {
        intptr_t rows = smaller(a.rows - r, at_once);
        vec hi[LANES], lo[LANES];
        enum strip_kind kind[LANES] = {ROUGH};
        for (intptr_t k = 0; k < LANES; k++) {
            hi[k] = v_set(1), lo[k] = v_set(0);
            if (k >= rows) continue;
            const real *x = (const real *)(a.x + (r + k) * a.outer);
            real *y = contiguous ? (real *)((char *)out.x + (r + k) * out.outer) : NULL;
            kind[k] = PLAIN;
            if (looks) {
                kind[k] = strip_by_look(x, y, a.n, hi + k, lo + k);
            } else {
                plain_row p = plain_strip(x, y, a.n, x[0], 0);
                hi[k] = p.sum.hi, lo[k] = p.sum.lo;
                if (RARELY(!lanes_are_plain(p))) kind[k] = strip_by_look(x, y, a.n, hi + k, lo + k);
            }
            looks = in_place || kind[k] != PLAIN;
        }
        dw inverse = dw_div((dw){v_set(1), v_set(0)}, dw_sum_across(hi, lo));
        for (intptr_t k = 0; k < rows; k++) {
            if (kind[k] == ROUGH) {
                softmax_by_tallies(rows_from(a, r + k, 1), rows_from(out, r + k, 1));
                continue;
            }
            dw of_row = {spread_lane(inverse.hi, k), spread_lane(inverse.lo, k)};
            real *y = (real *)((char *)out.x + (r + k) * out.outer);
            if (!contiguous) {
                scatter_quotients((const real *)(a.x + (r + k) * a.outer), a.n, of_row, (char *)y, out.core);
                continue;
            }
            if (is_shared(whole)) plain_quotients_shared(y, whole, of_row);
            else plain_quotients((vectors){.n = whole / LANES, .kept = y, .kept_step = LANES}, of_row);
            if (part) v_store_part(y + whole, part, plain_quotient(v_load_part(y + whole, part, 1), of_row));
        }
    }
}

/* ---- one row per lane ---- */

#define PLAIN_PANEL (2048 / (WIDTH * LANES)) /* vectors of neighbouring rows side by side: 2 KiB */

INLINE dw inverse_sum(plain_row p) { return dw_div((dw){v_set(1), v_set(0)}, p.sum); }

/* Vectors of `count` <= LANES neighbouring rows, as they pass through a block on the stack. Results may lie anywhere. */
typedef struct {
    vectors all;
    intptr_t count, kept_outer; /* bytes from a result to that of the next row */
    real x[LANE_BLOCK * LANES], y[LANE_BLOCK * LANES];
} staged_lanes;

/* Copies the elements of the block from number i on, and returns it. Unused lanes repeat the first row. */
INLINE vectors load_lanes(staged_lanes *s, intptr_t i) {
    intptr_t n = smaller(s->all.n - i, LANE_BLOCK);
    for (intptr_t k = 0; k < n; k++) v_store(s->x + k * LANES, load_some(s->all.x + (i + k) * s->all.step, s->count));
    return (vectors){.x = s->x, .step = LANES, .n = n, .kept = s->y, .kept_step = LANES};
}
INLINE void store_lanes(const staged_lanes *s, intptr_t i) {
    intptr_t n = smaller(s->all.n - i, LANE_BLOCK);
    for (intptr_t k = 0; k < n; k++) {
        real *kept = s->all.kept + (i + k) * s->all.kept_step;
        if (s->kept_outer == WIDTH) store_some(kept, s->count, v_load(s->y + k * LANES));
        else scatter((char *)kept, s->kept_outer, s->y + k * LANES, s->count);
    }
}

/* Computes rows every term of which is computed once for the sum and once for the result, so that no term has to be
   stored. Elements are read before they are overwritten. */
static NOINLINE void softmax_staged(vectors v, intptr_t count, intptr_t kept_outer) {
    staged_lanes s;
    s.all = v, s.count = count, s.kept_outer = kept_outer;
    plain_row p = plain_start(load_some(v.x, count));
    tally t = tally_empty();
    for (intptr_t i = 0; i < v.n; i += LANE_BLOCK) plain_terms(&p, load_lanes(&s, i), 0);
    mask rough = is_not_plain(p);
    if (mask_any(rough)) {
        p = with_holes(p);
        for (intptr_t i = 0; i < v.n; i += LANE_BLOCK) plain_terms(&p, load_lanes(&s, i), 1);
        rough = is_not_plain(p);
    }
    dw inverse = inverse_sum(p);
    for (intptr_t i = 0; i < v.n && mask_any(rough); i += LANE_BLOCK) {
        vectors block = load_lanes(&s, i);
        block.kept = NULL;
        tally_more(&t, block, NO_TERM, (summation){0});
        if (i % SPAN == 0) tally_settle(&t, NO_TERM);
    }
    divisor z = divisor_softmax(t);
    window w = make_window(z.max, NO_TERM);
    for (intptr_t i = 0; i < v.n; i += LANE_BLOCK) {
        vectors block = load_lanes(&s, i);
        for (intptr_t k = 0; k < block.n; k++) {
            vec x = v_load(block.x + k * LANES), y = plain_quotient(plain_exp(x, p, 1), inverse);
            if (mask_any(rough)) y = v_select(rough, k_softmax(term_of(x, w, 1), z), y);
            v_store(s.y + k * LANES, y);
        }
        store_lanes(&s, i);
    }
}

/* What a pass over the elements of a panel does with them. */
enum panel_pass { LOOK, TERMS };

/* Looks at all elements of `panel` vectors of rows, or writes their terms, block by block. */
INLINE void pass_over_panel(plain_row *p, vectors v, intptr_t panel, enum panel_pass pass, int holes) {
    intptr_t height = panel > 1 ? height_of_block(v.step * WIDTH) : LANE_BLOCK;
    for (intptr_t i = 0; i < v.n; i += height) {
        vectors block = vectors_from(v, i);
        block.n = smaller(block.n, height);
        for (intptr_t k = 0; k < panel; k++, block.x += LANES, block.kept += LANES) {
            if (panel > 1 && k * LANES * WIDTH % 64 == 0) prefetch_block(block);
            if (pass == TERMS) plain_terms(p + k, block, holes);
            else look_at_all(p + k, block, holes);
        }
    }
}

INLINE int all_are_plain(const plain_row *p, intptr_t panel) {
    int rough = 0;
    for (intptr_t k = 0; k < panel; k++) rough |= mask_any(is_not_plain(p[k]));
    return !rough;
}

/* Puts inverses in the place of sums. */
INLINE void invert_sums(plain_row *p, intptr_t panel) {
    for (intptr_t k = 0; k < panel; k++) p[k].sum = inverse_sum(p[k]);
}

/* Puts quotients in the place of terms, line by line, as lines are what memory is read by. */
INLINE void quotients_of_panel(plain_row *p, vectors v, intptr_t panel) {
    invert_sums(p, panel);
    for (intptr_t i = 0; i < v.n; i++) {
        real *line = v.kept + i * v.kept_step;
        for (intptr_t k = 0; k < panel; k++)
            v_store(line + k * LANES, plain_quotient(v_load(line + k * LANES), p[k].sum));
    }
}

/* Computes the rows of a panel of which some are not plain. */
static NOINLINE void softmax_of_rough(plain_row *p, vectors v, intptr_t panel) {
    plain_row q[PLAIN_PANEL];
    for (intptr_t k = 0; k < panel; k++) p[k] = q[k] = with_holes(p[k]);
    pass_over_panel(q, v, panel, LOOK, 1);
    if (all_are_plain(q, panel)) {
        pass_over_panel(p, v, panel, TERMS, 1);
        quotients_of_panel(p, v, panel);
        return;
    }
    for (intptr_t k = 0; k < panel; k++, v.x += LANES, v.kept += LANES) softmax_staged(v, LANES, WIDTH);
}

/* Writes the results of `panel` times LANES neighbouring rows. Rows in place are looked at first. */
INLINE void softmax_panel(vectors v, intptr_t panel, int in_place) {
    plain_row p[PLAIN_PANEL];
    for (intptr_t k = 0; k < panel; k++) p[k] = plain_start(v_load(v.x + k * LANES));
    if (in_place) pass_over_panel(p, v, panel, LOOK, 0);
    else pass_over_panel(p, v, panel, TERMS, 0);
    if (RARELY(!all_are_plain(p, panel))) {
        softmax_of_rough(p, v, panel);
        return;
    }
    if (in_place) pass_over_panel(p, v, panel, TERMS, 0);
    quotients_of_panel(p, v, panel);
}

/* Rows that are neighbours in memory. */
static void softmax_columns(matrix a, matrix out) {
    int in_place = share_memory(&a, &out);
    vectors v = {.step = a.core / WIDTH, .n = a.n, .kept_step = out.core / WIDTH};
    intptr_t whole = whole_vectors(a.rows), panel;
    for (intptr_t r = 0; r < whole; r += panel * LANES) {
        v.x = (const real *)a.x + r, v.kept = (real *)((char *)out.x + r * out.outer);
        panel = smaller(PLAIN_PANEL, (whole - r) / LANES);
        if (out.outer != WIDTH) softmax_staged(v, LANES, out.outer), panel = 1;
        else if (a.n <= LANE_BLOCK) softmax_panel(v, panel = 1, in_place);
        else softmax_panel(v, panel, in_place);
    }
    v.x = (const real *)a.x + whole, v.kept = (real *)((char *)out.x + whole * out.outer);
    if (a.rows > whole) softmax_staged(v, a.rows - whole, out.outer);
}

/* ---- a few columns without gaps (sums/flat.h) ---- */

/* Joins the parts of each row: every lane gets the sum, the maximum and the minimum of its whole row. */
static void join_parts(plain_row *p, intptr_t rows) {
    real hi[FLAT_ROWS * LANES], lo[FLAT_ROWS * LANES], max[FLAT_ROWS * LANES], min[FLAT_ROWS * LANES];
    for (intptr_t k = 0; k < rows; k++) {
        v_store(hi + k * LANES, p[k].sum.hi), v_store(lo + k * LANES, p[k].sum.lo);
        v_store(max + k * LANES, p[k].max), v_store(min + k * LANES, p[k].min);
    }
    for (intptr_t r = 0; r < rows; r++) {
        total sum = {0, 0};
        for (intptr_t i = r; i < rows * LANES; i += rows) {
            sum = total_add(sum, hi[i]), sum.lo += lo[i];
            max[r] = max[r] < max[i] ? max[i] : max[r], min[r] = min[i] < min[r] ? min[i] : min[r];
        }
        sum = total_settled(sum);
        hi[r] = (real)sum.hi, lo[r] = (real)(sum.hi - hi[r] + sum.lo);
    }
    for (intptr_t i = rows; i < rows * LANES; i++)
        hi[i] = hi[i - rows], lo[i] = lo[i - rows], max[i] = max[i - rows], min[i] = min[i - rows];
    for (intptr_t k = 0; k < rows; k++) {
        p[k].sum = (dw){v_load(hi + k * LANES), v_load(lo + k * LANES)};
        p[k].max = v_load(max + k * LANES), p[k].min = v_load(min + k * LANES);
    }
}

/* The range of each row, for rows in place. */
static int flat_looks_mixed(const plain_row *start, vectors v, const real *rest, intptr_t rows) {
    plain_row p[FLAT_ROWS];
    int mixed = 0;
    for (intptr_t k = 0; k < rows; k++, v.x += LANES) {
        p[k] = start[k], look_at_all(p + k, v, 0);
        look_at(p + k, v_load(rest + k * LANES), 0);
    }
    join_parts(p, rows);
    for (intptr_t k = 0; k < rows; k++) mixed |= mask_any(is_not_plain(p[k]));
    return mixed;
}

/* Stores the vector of results whose first one has the number i. */
INLINE void store_flat(const matrix *out, intptr_t i, vec y) {
    real lanes[LANES];
    if (is_flat(out)) {
        v_store((real *)out->x + i, y);
        return;
    }
    v_store(lanes, y);
    for (intptr_t k = 0; k < LANES; k++)
        memcpy((char *)out->x + (i + k) % out->rows * out->outer + (i + k) / out->rows * out->core, lanes + k,
               sizeof(real));
}

/* Rows that are not plain are left as they are, to be computed one by one. No term is stored, but every one is computed
   twice, where some rows in place are not plain, and where the results are not flat. */
static void softmax_flat(matrix a, matrix out) {
    plain_row p[FLAT_ROWS];
    real first[FLAT_ROWS * LANES], x[FLAT_ROWS * LANES], unused[LANES];
    intptr_t rows = a.rows, line = rows * LANES, lines = a.n / LANES, rest = a.n % LANES * rows;
    vectors v = {.x = (const real *)a.x, .step = line, .n = lines, .kept = (real *)out.x, .kept_step = line};
    for (intptr_t i = 0; i < line; i++) first[i] = x[i] = i < rows ? v.x[i] : first[i - rows];
    memcpy(x, v.x + lines * line, (size_t)(rest * WIDTH));
    for (intptr_t k = 0; k < rows; k++) p[k] = plain_start(v_load(first + k * LANES));
    int stored = is_flat(&out) && (!share_memory(&a, &out) || !flat_looks_mixed(p, v, x, rows));
    for (intptr_t i = 0; i < lines; i += LANE_BLOCK) {
        vectors block = vectors_from(v, i);
        block.n = smaller(block.n, LANE_BLOCK);
        for (intptr_t k = 0; k < rows; k++, block.x += LANES, block.kept += LANES) {
            if (!stored) block.kept = unused, block.kept_step = 0;
            plain_terms(p + k, block, 0);
        }
    }
    for (intptr_t k = 0; k < rows; k++) {
        intptr_t count = smaller(LANES, rest - k * LANES);
        vec term = plain_term(p + k, (vectors){.x = x + k * LANES, .n = 1, .kept = unused}, 0, 0);
        if (count > 0) p[k].sum = dw_add(p[k].sum, (dw){leading_lanes(term, count), v_set(0)});
    }
    join_parts(p, rows);
    if (stored) quotients_of_panel(p, v, rows);
    else invert_sums(p, rows);
    for (intptr_t k = 0; k < rows; k++) {
        mask rough = is_not_plain(p[k]);
        for (intptr_t i = stored ? lines : 0; i <= lines; i++) {
            vec element = v_load(i < lines ? v.x + i * line + k * LANES : x + k * LANES);
            vec y = v_select(rough, element, plain_quotient(m_exp_plain(element, p[k].rounder), p[k].sum));
            if (i < lines) store_flat(&out, i * line + k * LANES, y);
            else v_store(x + k * LANES, y);
        }
        v_store(first + k * LANES, v_select(rough, v_set(1), v_set(0)));
    }
    for (intptr_t i = 0; i < rest; i++)
        memcpy((char *)out.x + i % rows * out.outer + (lines * LANES + i / rows) * out.core, x + i, sizeof(real));
    for (intptr_t r = 0; r < rows; r++) {
        real *y = (real *)((char *)out.x + r * out.outer);
        vectors row = {.x = v.x + r, .step = rows, .n = a.n, .kept = y, .kept_step = out.core / WIDTH};
        if (first[r] != 0) softmax_staged(row, 1, WIDTH);
    }
}

/* Short rows, which pass through a tile. */
static void softmax_tiles(matrix a, matrix out) {
    real x[LANE_BLOCK * LANES], y[LANE_BLOCK * LANES];
    for (intptr_t r = 0; r < a.rows; r += LANES) {
        intptr_t rows = smaller(a.rows - r, LANES);
        load_tile(x, &a, r, rows, 0, a.n);
        softmax_panel((vectors){.x = x, .step = LANES, .n = a.n, .kept = y, .kept_step = LANES}, 1, 0);
        store_tile(y, &out, r, rows, 0, a.n);
    }
}

INLINE unsigned loop_softmax(char **args, const intptr_t *dims, const intptr_t *steps) {
    matrix a = matrix_of(args[0], dims, steps[0], steps[2]), out = matrix_of(args[1], dims, steps[1], steps[3]);
    if (!a.n) return 0;
    enum way way = choose_way(a);
    if (is_long_and_flat(&a)) softmax_flat(a, out);
    else if (way == ALONG && a.core == WIDTH) softmax_strips(a, out);
    else if (way == COLUMNS) softmax_columns(a, out);
    else if (way == TILES && a.n <= LANE_BLOCK) softmax_tiles(a, out);
    else softmax_by_tallies(a, out);
    return 0;
}

/* A normalisation and logsumexp of the same rows, (n)->(n),(): results may take the place of elements, so these come
   last. */
INLINE unsigned loop_softmax_and_logsumexp(fl_loop *by_double, char **args, const intptr_t *dims,
                                           const intptr_t *steps) {
    loop_logsumexp(by_double, (char *[]){args[0], args[2]}, dims, (intptr_t[]){steps[0], steps[2], steps[3]});
    return loop_softmax(args, dims, (intptr_t[]){steps[0], steps[1], steps[3], steps[4]});
}
INLINE unsigned loop_log_softmax_and_logsumexp(fl_loop *by_double, char **args, const intptr_t *dims,
                                               const intptr_t *steps) {
    loop_logsumexp(by_double, (char *[]){args[0], args[2]}, dims, (intptr_t[]){steps[0], steps[2], steps[3]});
    return loop_log_softmax(args, dims, (intptr_t[]){steps[0], steps[1], steps[3], steps[4]});
}
