/* This program tests the accuracy, the positions and the status flags of the loops in every target's tables.

   usage: test_kernels [points per function and width; 4294967296 for all floats]

   Errors are in ulp of the exact result, and those of subnormal results in units of the least subnormal; nan,
   infinities and the sign of zero must be right. Errors must not exceed the claims in functions.def. Near 0, the
   reference loses digits, so there logaddexp's errors are in ulp of 1. */

#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>

#include "fastlog.h"
#include "points.h"
#include "reference.h"

#ifndef DEFAULT_POINTS
#define DEFAULT_POINTS 1000000
#endif
#define MAX_TARGETS 8
#define CHUNK 1024
#define SHOWN 5 /* wrong results printed per function, width and target */

/* Claims in ulp of max(1, |y|). */
#define LOGADDEXP_ABSOLUTE 0.9
#define LOGSUBEXP_ABSOLUTE 0.6
#define LOGSUMEXP_ABSOLUTE 1.0

/* The largest errors of a function on a target: [0] where its claim is relative, [1] where it is absolute. */
typedef struct {
    double ulp[2];
    char at[2][100], last[100]; /* the inputs of these errors, and the last input that was printed as wrong */
    int wrong, shown;
} record;

static int failures;

static int raises(int f) { return fl_rows[f].shape == fl_map1_raising || fl_rows[f].shape == fl_map2_raising; }

/* Runs a loop and returns the exceptions that it raised. */
static int call_raising(int target, int f, int width, char **args, const intptr_t *dims, const intptr_t *steps) {
    feclearexcept(FE_ALL_EXCEPT);
    fl_loop_of(fl_targets + target, f, width == 32 ? 'f' : 'd')(args, dims, steps, 0);
    return fetestexcept(FE_ALL_EXCEPT);
}

/* Runs a loop and checks that it raises no exception, whatever the elements are. Only functions with poles or invalid
   points may raise, and only the exceptions of these. */
static void call(int target, int f, int width, char **args, const intptr_t *dims, const intptr_t *steps) {
    int raised = call_raising(target, f, width, args, dims, steps);
    if (raises(f)) raised &= ~(FE_INVALID | FE_DIVBYZERO);
    if (raised && failures++ < SHOWN)
        printf("FLAGS %#x raised by %s f%d %s\n", raised, fl_rows[f].name, width, fl_targets[target].name);
}

/* Whether an error is in ulp of 1: near 0, logaddexp and logsubexp are differences of two larger terms, and long double
   has too few digits for them. */
static int is_absolute(int f, const double *x, long double exact) {
    if (f == FL_logsumexp) return 1;
    return (f == FL_logaddexp || f == FL_logsubexp) && fabsl(exact) <= fmax(fabs(x[0]), fabs(x[1])) / 16;
}

static double claim(int f, int width, int absolute) {
    if (absolute && f == FL_logsubexp) return LOGSUBEXP_ABSOLUTE;
    if (absolute) return f == FL_logsumexp ? LOGSUMEXP_ABSOLUTE : LOGADDEXP_ABSOLUTE;
    return fl_claims[f][width == 64].ulp;
}

/* Judges one result. `row` describes the input; if it is null, the arguments x do. */
static void judge(record *r, int f, int width, int target, double got, long double exact, const double *x,
                  const char *row) {
    int absolute = is_absolute(f, x, exact), digits = width == 32 ? 9 : 17;
    double error = error_in_ulp(got, exact, width, absolute), bound = claim(f, width, absolute);
    int largest = error > r->ulp[absolute] || !r->at[absolute][0];
    int wrong = bound == 0 ? !isfinite(error) : !(error <= bound + reference_error(width)); /* 0: nothing is claimed */
    if (!largest && !wrong) return;
    char where[100];
    if (row) snprintf(where, sizeof where, "%s", row);
    else if (fl_shapes[fl_rows[f].shape].nin == 1) snprintf(where, sizeof where, "%.*g", digits, x[0]);
    else snprintf(where, sizeof where, "%.*g, %.*g", digits, x[0], digits, x[1]);
    if (largest) r->ulp[absolute] = error, memcpy(r->at[absolute], where, sizeof where);
    r->wrong += wrong;
    if (!wrong || r->shown == SHOWN || !strcmp(r->last, where)) return; /* one line per row */
    r->shown++;
    memcpy(r->last, where, sizeof where);
    printf("WRONG %s f%d %s(%s) = %.*g, exactly %.*Lg: %g ulp\n", fl_targets[target].name, width, fl_rows[f].name,
           where, digits, got, digits + 3, exact, error);
}

static void print_records(int f, int width, const record *records) {
    for (int t = 0; t < fl_target_count; t++) {
        const record *r = records + t;
        for (int absolute = 0; absolute < 2; absolute++)
            if (r->at[absolute][0])
                printf("%-33s f%d  %-9s %7.4f %-16s at %s\n", fl_rows[f].name, width, fl_targets[t].name,
                       r->ulp[absolute], absolute ? "ulp(max(1,|y|))" : "ulp", r->at[absolute]);
        failures += r->wrong;
    }
}

/* ---- elementwise ---- */

static int is_elementwise(int f) {
    const fl_shape_info *shape = &fl_shapes[fl_rows[f].shape];
    return shape->types && !shape->signature; /* losses are tested by test_losses.c */
}

/* Writes n arguments of the function, from number `first` on, and the exact results unless `exact` is null. */
static void fill_arguments(int f, const point_set *s, uint64_t first, int n, void *x1, void *x2, long double *exact) {
    int known;
    for (int i = 0; i < n; i++) {
        double a, b = 0;
        if (fl_shapes[fl_rows[f].shape].nin == 1) a = point_of_line(s, first + (uint64_t)i);
        else if (f == FL_logaddexp || f == FL_logsubexp) point_of_logaddexp(s, first + (uint64_t)i, &a, &b);
        else point_of_entropy(s, first + (uint64_t)i, &a, &b);
        put(x1, i, a, s->width);
        put(x2, i, b, s->width);
        if (exact) exact[i] = exact_elementwise(f, get(x1, i, s->width), get(x2, i, s->width), &known);
    }
}

static void measure_elementwise(int f, const point_set *s) {
    int known;
    exact_elementwise(f, 0.5, 0.5, &known);
    if (!known) { /* the Python tests measure every function; a new one need not have a reference here */
        printf("%-33s f%d  no reference in reference.h: positions and flags only\n", fl_rows[f].name, s->width);
        return;
    }
    double x1[CHUNK], x2[CHUNK], y[CHUNK];
    long double exact[CHUNK];
    record records[MAX_TARGETS] = {0};
    int width = s->width, nin = fl_shapes[fl_rows[f].shape].nin;
    const intptr_t dims[] = {CHUNK}, steps[] = {width / 8, width / 8, width / 8};
    char *args[] = {(char *)x1, nin == 1 ? (char *)y : (char *)x2, (char *)y};
    for (uint64_t first = 0; first < s->points; first += CHUNK) {
        fill_arguments(f, s, first, CHUNK, x1, x2, exact);
        for (int t = 0; t < fl_target_count; t++) {
            if (!fl_targets[t].supported()) continue;
            call(t, f, width, args, dims, steps);
            for (int i = 0; i < CHUNK; i++) {
                const double x[] = {get(x1, i, width), get(x2, i, width)};
                judge(&records[t], f, width, t, get(y, i, width), exact[i], x, 0);
            }
        }
    }
    print_records(f, width, records);
}

/* Tests exceptions, one element at a time: "invalid" if a number gives nan, "division by zero" if a finite number gives
   infinity, else none. Two finite arguments that give infinity may raise nothing, because it may be an overflow. */
static void test_exceptions(int f, const point_set *s) {
    int width = s->width, nin = fl_shapes[fl_rows[f].shape].nin;
    double x1[CHUNK], x2[CHUNK], y[1];
    if (!raises(f)) return;
    fill_arguments(f, s, 0, CHUNK, x1, x2, 0);
    for (int t = 0; t < fl_target_count; t++)
        for (int i = 0; i < CHUNK && fl_targets[t].supported(); i++) {
            char *in1 = (char *)x1 + i * (width / 8), *in2 = (char *)x2 + i * (width / 8);
            char *args[] = {in1, nin == 1 ? (char *)y : in2, (char *)y};
            int raised = call_raising(t, f, width, args, (intptr_t[]){1}, (intptr_t[]){0, 0, 0});
            double a = get(x1, i, width), b = nin == 1 ? 0 : get(x2, i, width), result = get(y, 0, width);
            int invalid = isnan(result) && !isnan(a) && !isnan(b), pole = isinf(result) && isfinite(a) && isfinite(b);
            int expected = invalid ? FE_INVALID : pole && nin == 1 ? FE_DIVBYZERO : 0;
            if (raised == expected || (pole && raised == FE_DIVBYZERO)) continue;
            if (failures++ < SHOWN)
                printf("FLAGS %#x, not %#x, raised by %s f%d %s at %.17g, %.17g\n", raised, expected, fl_rows[f].name,
                       width, fl_targets[t].name, a, b);
        }
}

/* Tests that results do not depend on where an element stands: arrays of 1 to 70 elements and any strides give the same
   results as one contiguous run of these elements, and nothing between the strided results is written. */
static void test_positions(int f, const point_set *s) {
    enum { LONGEST = 70, SPACE = 3 * LONGEST + 2 };
    static const int strides[] = {1, 2, 3, -1, 0}; /* an output has all but the last */
    double x1[SPACE], x2[SPACE], run1[SPACE], run2[SPACE], run[SPACE], y[SPACE], expected[SPACE];
    int width = s->width, size = width / 8, nin = fl_shapes[fl_rows[f].shape].nin;
    fill_arguments(f, s, s->edges > SPACE / 2 ? (uint64_t)s->edges - SPACE / 2 : 0, SPACE, x1, x2, 0);
    for (int t = 0; t < fl_target_count; t++) {
        int wrong = 0;
        for (int way = 0; way < (nin == 1 ? 5 : 25) && fl_targets[t].supported(); way++) {
            int step1 = strides[way % 5], step2 = strides[way / 5];
            int first1 = step1 < 0 ? SPACE - 1 : 1, first2 = step2 < 0 ? SPACE - 1 : 1;
            for (int i = 0; i < LONGEST; i++) {
                put(run1, i, get(x1, first1 + i * step1, width), width);
                put(run2, i, get(x2, first2 + i * step2, width), width);
            }
            for (int i = LONGEST; i < SPACE; i++) put(run1, i, 1, width), put(run2, i, 1, width);
            char *run_args[] = {(char *)run1, nin == 1 ? (char *)run : (char *)run2, (char *)run};
            call(t, f, width, run_args, (intptr_t[]){SPACE}, (intptr_t[]){size, size, size});
            for (int n = 1; n <= LONGEST; n++)
                for (int o = 0; o < 4; o++) {
                    int step = strides[o], first = step < 0 ? SPACE - 1 : 1;
                    for (int i = 0; i < SPACE; i++) put(y, i, 99, width), put(expected, i, 99, width);
                    for (int i = 0; i < n; i++) put(expected, first + i * step, get(run, i, width), width);
                    char *out = (char *)y + first * size, *in2 = (char *)x2 + first2 * size;
                    char *args[] = {(char *)x1 + first1 * size, nin == 1 ? out : in2, out};
                    intptr_t steps[] = {step1 * size, (nin == 1 ? step : step2) * size, step * size};
                    call(t, f, width, args, (intptr_t[]){n}, steps);
                    if (!memcmp(y, expected, (size_t)(SPACE * size))) continue;
                    if (wrong++ < SHOWN)
                        printf("WRONG %s f%d %s depends on position: %d elements, strides %d %d, output %d\n",
                               fl_targets[t].name, width, fl_rows[f].name, n, step1, step2, step);
                }
        }
        failures += wrong;
    }
}

/* ---- rows ---- */

#define MAX_ROWS 17
#define MAX_LENGTH 5000

/* Strides are in elements. */
typedef struct {
    const char *name;
    intptr_t outer, core;         /* from row to row of the input, and within a row */
    intptr_t out_outer, out_core; /* likewise, of an output of the same shape */
} layout;

typedef struct {
    double x[MAX_ROWS * MAX_LENGTH]; /* row after row */
    long double exact[MAX_ROWS * MAX_LENGTH];
    double in[MAX_ROWS * (2 * MAX_LENGTH + 1)], out[MAX_ROWS * MAX_LENGTH]; /* elements of the width in some layout */
    exact_partition partition[MAX_ROWS];
} row_space;

static void measure_layout(int f, int width, int t, int rows, int n, const layout *l, row_space *m, record *r,
                           const char *name) {
    int size = width / 8, whole_row = (fl_rows[f].shape == fl_normalize || fl_rows[f].shape == fl_normalize_terms);
    char where[100], *x = (char *)m->in, *y = (char *)m->out;
    intptr_t outer = l->outer * size, core = l->core * size, dims[] = {rows, n};
    intptr_t whole_row_steps[] = {outer, l->out_outer * size, core, l->out_core * size};
    snprintf(where, sizeof where, "%d %s of %d, %s", rows, l->name, n, name);
    if (whole_row) call(t, f, width, (char *[]){x, y}, dims, whole_row_steps);
    else call(t, f, width, (char *[]){x, y}, dims, (intptr_t[]){outer, size, core});
    for (int k = 0; k < rows; k++)
        for (int i = 0; i < (whole_row ? n : 1); i++) {
            intptr_t at = whole_row ? k * l->out_outer + i * l->out_core : k;
            judge(r, f, width, t, get(m->out, at, width), m->exact[k * n + i], 0, where);
        }
}

static void measure_rows(int width, int rows, int n, int kind, uint64_t *state, row_space *m,
                         record (*records)[MAX_TARGETS]) {
    const layout layouts[] = {
        {"rows", n, 1, n, 1},
        {"columns", 1, rows, 1, rows},
        {"columns to rows", 1, rows, n, 1},
        {"spaced rows", 2 * n + 1, 2, n, 1},
    };
    for (int k = 0; k < rows; k++) {
        fill_row(m->x + k * n, n, kind, width, state);
        for (int i = 0; i < n; i++) m->x[k * n + i] = rounded_to(m->x[k * n + i], width);
        m->partition[k] = exact_partition_of(m->x + k * n, n);
    }
    for (int f = 0; f < FL_FUNCTIONS; f++) {
        int known = !is_elementwise(f);
        for (int k = 0; k < rows * n && known; k++)
            m->exact[k] = exact_row_element(f, m->partition[k / n], m->x[k], &known);
        if (!known) continue;
        for (size_t way = 0; way < sizeof layouts / sizeof layouts[0]; way++) {
            const layout *l = layouts + way;
            for (int k = 0; k < rows * n; k++) put(m->in, k / n * l->outer + k % n * l->core, m->x[k], width);
            for (int t = 0; t < fl_target_count; t++)
                if (fl_targets[t].supported())
                    measure_layout(f, width, t, rows, n, l, m, &records[f][t], row_kind_names[kind]);
        }
    }
}

/* Calls logaddexp on the first row as NumPy's accumulate does, and measures the running logsumexp. */
static void measure_running(int width, int n, const char *kind, row_space *m, record (*records)[MAX_TARGETS]) {
    intptr_t size = width / 8;
    char where[100];
    exact_partition p = {-INFINITY, 0};
    for (int i = 0, known; i < n; i++) {
        p = exact_partition_join(p, m->x[i]);
        m->exact[i] = exact_row_element(FL_logsumexp, p, 0, &known);
    }
    for (int t = 0; t < fl_target_count; t++)
        for (intptr_t spread = 1; spread <= 2 && fl_targets[t].supported(); spread++) {
            intptr_t step = spread * size, steps[] = {size, step, size};
            for (int i = 0; i < n; i++) put(m->in, i * spread, m->x[i], width);
            put(m->out, 0, m->x[0], width);
            char *x = (char *)m->in, *y = (char *)m->out;
            call(t, FL_logaddexp, width, (char *[]){y, x + step, y + size}, (intptr_t[]){n - 1}, steps);
            snprintf(where, sizeof where, "a running row of %d, %s", n, kind);
            for (int i = 0; i < n; i++)
                judge(&records[FL_logaddexp][t], FL_logsumexp, width, t, get(m->out, i, width), m->exact[i], 0, where);
        }
}

/* Measures the sums of segments of 1, 2, 3, ... elements of the first row. */
static void measure_segments(int width, int n, const char *kind, row_space *m, record (*records)[MAX_TARGETS]) {
    enum { MOST = 100 };
    intptr_t size = width / 8;
    int64_t first[MOST], last[MOST];
    int count = 0, known;
    char where[100];
    for (int begin = 0; begin + count + 1 <= n && count < MOST; begin = (int)last[count++])
        first[count] = begin, last[count] = begin + count + 1;
    for (int i = 0; i < n; i++) put(m->in, i, m->x[i], width);
    for (int t = 0; t < fl_target_count; t++) {
        if (!fl_targets[t].supported()) continue;
        char *args[] = {(char *)m->in, (char *)first, (char *)last, (char *)m->out};
        call(t, FL_logsumexp_segments, width, args, (intptr_t[]){1, n, count},
             (intptr_t[]){0, 0, 0, 0, size, 8, 8, size});
        snprintf(where, sizeof where, "segments of a row of %d, %s", n, kind);
        double starts[MOST], sums[2 * MOST], largest[MOST], by_index[MOST];
        int64_t index[MOST * MOST];
        for (int s = 0; s < count; s++) put(starts, s, -INFINITY, width);
        for (int i = 0, s = 0; i < (int)last[count - 1]; i++) index[i] = s += i == last[s];
        call(t, FL_segment_logsumexp, width,
             (char *[]){(char *)m->in, (char *)index, (char *)starts, (char *)by_index, (char *)largest, (char *)sums},
             (intptr_t[]){1, last[count - 1], count, 2},
             (intptr_t[]){0, 0, 0, 0, 0, 0, size, 8, size, size, size, 2 * sizeof *sums, sizeof *sums});
        for (int i = 0; i < count; i++) {
            exact_partition p = exact_partition_of(m->x + first[i], i + 1);
            judge(&records[FL_segment_logsumexp][t], FL_logsumexp, width, t, get(by_index, i, width),
                  exact_row_element(FL_logsumexp, p, 0, &known), 0, where);
            judge(&records[FL_logsumexp_segments][t], FL_logsumexp, width, t, get(m->out, i, width),
                  exact_row_element(FL_logsumexp, p, 0, &known), 0, where);
        }
    }
}

static void test_rows(int width, uint64_t points) {
    static const int lengths[] = {1, 2, 3, 4, 5, 8, 10, 16, 17, 33, 64, 65, 100, 257, 1000, 2049, MAX_LENGTH};
    static row_space space;
    record records[FL_FUNCTIONS][MAX_TARGETS] = {0};
    uint64_t state = 3;
    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++)
        for (int kind = 0; kind < ROW_KINDS; kind++) {
            int rows = lengths[k] <= 100 || points >= 500000 ? MAX_ROWS : 2;
            measure_rows(width, rows, lengths[k], kind, &state, &space, records);
            if (lengths[k] > 2) measure_running(width, lengths[k], row_kind_names[kind], &space, records);
            measure_segments(width, lengths[k], row_kind_names[kind], &space, records);
        }
    for (int f = 0; f < FL_FUNCTIONS; f++) print_records(f, width, records[f]);
}

int main(int argc, char **argv) {
    uint64_t points = argc > 1 ? strtoull(argv[1], 0, 0) : DEFAULT_POINTS;
    if (points == 0 || fl_target_count > MAX_TARGETS) return 2;
    for (int width = 32; width <= 64; width += 32) {
        const point_set s = make_points(width, points);
        for (int f = 0; f < FL_FUNCTIONS; f++) {
            if (!is_elementwise(f)) continue;
            measure_elementwise(f, &s);
            test_exceptions(f, &s);
            test_positions(f, &s);
        }
        test_rows(width, points);
    }
    printf(failures ? "%d FAILURES\n" : "all within their claims\n", failures);
    return failures != 0;
}
