/* A hash of the bits of every function's results, for every type and target. So a change of any bit shows in review.

     bits                  prints the hashes
     bits FILE             compares them with those of a file, and names the rows that differ
     bits FILE --pieces    likewise, while every call is split into pieces as its shape allows, which changes no bit
     bits FILE --threads   likewise, while large calls use three threads, which changes no bit either

   Inputs are made by integer arithmetic, products and sums alone, so that every machine has the same ones. All nan
   count as one. The exceptions that a loop raises are hashed with its results. Sums of losses have a hash of their own,
   as pieces change their last bits. Targets without fused products (portable) differ from the others by design;
   machines do not differ within a target. */

#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>

#include "fastlog.h"
#include "points.h"

#define POINTS 20000
#define LONGEST 300000 /* bytes of an argument are 8 times that at most */

static uint64_t hash, hash_of_sums; /* FNV-1a, 64 bits */
static int function, in_pieces;

static void hash_word(uint64_t word) {
    for (int k = 0; k < 8; k++) hash = (hash ^ (word >> 8 * k & 0xff)) * 0x100000001b3u;
}

static int size_of(char type) { return type == 'd' ? 8 : type == 'f' ? 4 : 2; }

/* The bits of a number as a double, or of a binary16 number; all nan have one pattern. */
static uint64_t pattern_at(const char *p, char type) {
    uint16_t half;
    memcpy(&half, p, sizeof half);
    if (type == 'e') return (half & 0x7fff) > 0x7c00 ? 0x7e00 : half;
    double x = get(p, 0, type == 'd' ? 64 : 32);
    return x != x ? infinity_bits(64) + 1 : bits_of(x, 64);
}

static void hash_results(const char *p, char type, intptr_t n) {
    for (intptr_t i = 0; i < n; i++) hash_word(pattern_at(p + i * size_of(type), type));
}

static void put_number(char *p, double x, char type) { put(p, 0, x, type == 'd' ? 64 : 32); }

static char arguments[8][LONGEST * 8];

/* Points of an argument of an elementwise function: edge patterns, then strata; the second argument of three is near
   the first at every other point, as differences and quotients are most delicate there. */
static void fill_points(int argument, char type) {
    uint64_t state = 17u + (uint64_t)argument, edge[MAX_EDGES];
    int width = type == 'd' ? 64 : 32, edges = edge_patterns(width, edge);
    for (int i = 0; i < POINTS; i++) {
        uint64_t r = next_random(&state);
        char *p = arguments[argument] + i * size_of(type);
        if (type == 'e') {
            uint16_t half = (uint16_t)(r >> 20);
            memcpy(p, &half, sizeof half);
            continue;
        }
        double x =
            i < edges * edges ? value_of(edge[argument ? i / edges : i % edges], width) : stratified_point(width, r);
        if (argument && i >= edges * edges && i % 2) {
            x = value_of(pattern_at(arguments[0] + i * size_of(type), type), 64);
            x = i % 4 == 1 ? x + stratified_point(width, r) * 0x1p-20 : x - uniform(&state, 0, 40);
        }
        put_number(p, x, type);
    }
}

/* Numbers of about normal distribution. */
static double bell(uint64_t *state) {
    double x = 0;
    for (int k = 0; k < 4; k++) x += uniform(state, -1, 1);
    return x;
}

/* Rows are of six kinds in turn: of unit and of hundredfold spread, equal, dominated, growing, and with infinities. */
static double element_of_row(intptr_t r, intptr_t i, intptr_t n, uint64_t *state) {
    double x = bell(state);
    switch (r % 6) {
    case 0:
        return x;
    case 1:
        return 100 * x;
    case 2:
        return (double)(r % 29) * 0.37;
    case 3:
        return i == n / 2 ? -0x1p-20 : x - 20;
    case 4:
        return x + 200.0 * (double)i / (double)n;
    default:
        return r % 4 == 1 && i == n / 3 ? (r % 3 ? (double)NAN : (double)INFINITY)
               : next_random(state) % 3 ? x
                                        : (double)-INFINITY;
    }
}

/* A layout of `rows` rows of n elements: steps from row to row and from element to element, in elements. */
typedef struct {
    intptr_t rows, n, outer, core;
} layout;
enum { IN_ROWS, IN_COLUMNS, SPACED, LAYOUTS };

static layout make_layout(int kind, intptr_t rows, intptr_t n) {
    if (kind == IN_ROWS) return (layout){rows, n, n, 1};
    if (kind == IN_COLUMNS) return (layout){rows, n, 1, rows};
    return (layout){rows, n, 2 * n + 1, 2};
}

static void fill_rows(int argument, char type, layout m, uint64_t seed) {
    uint64_t state = seed;
    for (intptr_t r = 0; r < m.rows; r++)
        for (intptr_t i = 0; i < m.n; i++)
            put_number(arguments[argument] + (r * m.outer + i * m.core) * size_of(type),
                       element_of_row(r, i, m.n, &state), type);
}

static void hash_exceptions(void) {
    hash_word((fetestexcept(FE_DIVBYZERO) != 0) + 2 * (fetestexcept(FE_INVALID) != 0) +
              4 * (fetestexcept(FE_UNDERFLOW | FE_OVERFLOW) != 0));
    feclearexcept(FE_ALL_EXCEPT);
}

/* How many lengths a signature names by letters; a loss has one. */
static int lengths_of(const char *signature) {
    unsigned seen = 0;
    int found = 0;
    for (const char *p = signature ? signature : "n"; *p; p++) {
        unsigned letter = *p >= 'a' && *p <= 'z' ? 1u << (*p - 'a') : 0;
        found += letter & ~seen ? 1 : 0;
        seen |= letter;
    }
    return found;
}

/* Runs a loop, in pieces of 1000 elements or of 16 rows or more if that is wanted. */
static void run(fl_loop *loop, char **args, const intptr_t *dims, const intptr_t *steps, void *data) {
    const fl_shape_info *shape = &fl_shapes[fl_rows[function].shape];
    intptr_t least = shape->split == fl_split_anywhere ? 1000 : 16, piece[] = {dims[0], dims[0] ? 0 : 1, 0, 2};
    for (int k = 1; shape->split != fl_split_anywhere && k <= lengths_of(shape->signature); k++) piece[k] = dims[k];
    feclearexcept(FE_ALL_EXCEPT);
    for (intptr_t first = 0; first < dims[0] || first == 0; first += piece[0] ? piece[0] : 1) {
        char *at[8];
        piece[0] = in_pieces && dims[0] - first >= 2 * least ? least + 3 : dims[0] - first;
        for (int k = 0; k < shape->nin + shape->nout; k++) at[k] = args[k] ? args[k] + first * steps[k] : NULL;
        loop(at, piece, steps, data);
    }
    hash_exceptions();
}

static void hash_map(fl_loop *loop, int nin, char type) {
    intptr_t size = size_of(type), dims[] = {POINTS}, steps[] = {size, size, size};
    char *args[] = {arguments[0], arguments[1], arguments[2]};
    for (int k = 0; k < nin; k++) fill_points(k, type);
    run(loop, args, dims, steps, NULL);
    hash_results(args[nin], type, POINTS);
}

/* Exceptions are cleared just before: the compiler may have this program convert numbers that it then does not use. */
static void run_whole(fl_loop *loop, char **args, const intptr_t *dims, const intptr_t *steps) {
    feclearexcept(FE_ALL_EXCEPT);
    loop(args, dims, steps, NULL);
    hash_exceptions();
}

/* The calls of reduce and accumulate of a ufunc with two arguments. */
static void hash_running(fl_loop *loop, char type) {
    intptr_t size = size_of(type);
    for (intptr_t n = 2; n < POINTS; n = 3 * n + 1) {
        uint64_t state = 5;
        for (intptr_t i = 0; i < n; i++) {
            uint16_t half = (uint16_t)(0x3800 + next_random(&state) % 0x1400);
            if (type == 'e') memcpy(arguments[1] + i * size, &half, sizeof half);
            else put_number(arguments[1] + i * size, 30 * bell(&state), type);
        }
        memcpy(arguments[0], arguments[1], (size_t)size);
        intptr_t dims[] = {n - 1}, reduces[] = {0, size, 0}, accumulates[] = {size, size, size};
        char *args[] = {arguments[0], arguments[1] + size, arguments[0]};
        run_whole(loop, args, dims, reduces);
        hash_results(arguments[0], type, 1);
        memcpy(arguments[0], arguments[1], (size_t)size);
        args[2] = arguments[0] + size;
        run_whole(loop, args, dims, accumulates);
        hash_results(arguments[0], type, n);
    }
}

/* Probabilities of rows, some of them 0, and a number for each row. */
static void hash_draws(fl_loop *loop, char type, layout m) {
    intptr_t size = size_of(type), dims[] = {m.rows, m.n};
    intptr_t steps[] = {m.outer * size, 8, 8, m.core * size};
    char *args[] = {arguments[0], arguments[1], arguments[2]};
    uint64_t state = 5;
    for (intptr_t r = 0; r < m.rows; r++) {
        put_number(arguments[1] + 8 * r, uniform(&state, 0, 1), 'd');
        for (intptr_t i = 0; i < m.n; i++)
            put_number(arguments[0] + (r * m.outer + i * m.core) * size,
                       r % 5 && next_random(&state) % 3 ? uniform(&state, 0, 1) : 0, type);
    }
    run(loop, args, dims, steps, NULL);
    for (intptr_t r = 0; r < m.rows; r++) {
        uint64_t index;
        memcpy(&index, arguments[2] + 8 * r, sizeof index);
        hash_word(index);
    }
}

/* Functions of rows: one matrix in; a number of the row, or a row, or both, out. */
static void hash_rows(fl_loop *loop, enum fl_shape shape, char type, layout m) {
    intptr_t size = size_of(type), dims[] = {m.rows, m.n}, outer = m.outer * size, core = m.core * size;
    char *args[] = {arguments[0], arguments[1], arguments[2]};
    fill_rows(0, type, m, 99);
    memset(arguments[1], 0, (size_t)((m.rows * m.outer + m.n * m.core + 1) * size));
    intptr_t to_number[] = {outer, size, core}, to_two[] = {outer, size, size, core};
    intptr_t to_row[] = {outer, outer, core, core}, to_both[] = {outer, outer, size, core, core};
    run(loop, args, dims,
        shape == fl_reduce             ? to_number
        : shape == fl_reduce_partition ? to_two
        : shape == fl_reduce_normalize ? to_both
                                       : to_row,
        NULL);
    hash_results(arguments[1], type, shape == fl_reduce || shape == fl_reduce_partition ? m.rows : m.rows * m.outer);
    if (shape == fl_reduce_partition || shape == fl_reduce_normalize) hash_results(arguments[2], type, m.rows);
}

static void hash_pairs(fl_loop *loop, char type, layout m) {
    intptr_t size = size_of(type), dims[] = {m.rows, m.n}, outer = m.outer * size, core = m.core * size;
    char *args[] = {arguments[0], arguments[1], arguments[2]};
    fill_rows(0, type, m, 99);
    fill_rows(1, type, m, 98);
    for (int kind = 0; kind < 3; kind++) { /* all rows may have one of the arguments in common */
        intptr_t steps[] = {kind == 1 ? 0 : outer, kind == 2 ? 0 : outer, size, core, core};
        run(loop, args, dims, steps, NULL);
        hash_results(arguments[2], type, m.rows);
    }
}

static void hash_weighted(fl_loop *loop, char type, layout m) {
    intptr_t size = size_of(type), dims[] = {m.rows, m.n}, outer = m.outer * size, core = m.core * size;
    uint64_t state = 3;
    fill_rows(0, type, m, 99);
    for (intptr_t r = 0; r < m.rows; r++)
        for (intptr_t i = 0; i < m.n; i++) {
            double b = r % 3 == 0   ? uniform(&state, 0, 1)
                       : r % 3 == 1 ? bell(&state)
                                    : stratified_point(32, next_random(&state) / 4 * 4);
            put_number(arguments[1] + (r * m.outer + i * m.core) * size, next_random(&state) % 9 ? b : 0, type);
            arguments[2][r * m.n + i] = next_random(&state) % 5 != 0;
        }
    intptr_t steps[] = {outer, outer, m.n, size, size, core, core, 1};
    char *args[] = {arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]};
    run(loop, args, dims, steps, NULL);
    hash_results(arguments[3], type, m.rows);
    hash_results(arguments[4], type, m.rows);
}

static void hash_segments(fl_loop *loop, char type, layout m) {
    enum { SEGMENTS = 37 };
    int64_t *first = (int64_t *)(void *)arguments[1], *last = (int64_t *)(void *)arguments[2];
    uint64_t state = 8;
    if (m.n == 0) return;
    fill_rows(0, type, m, 99);
    for (int s = 0; s < SEGMENTS; s++) {
        first[s] = (int64_t)(next_random(&state) % (uint64_t)m.n);
        last[s] = first[s] + 1 + (int64_t)(next_random(&state) % (uint64_t)(m.n - first[s]));
    }
    intptr_t size = size_of(type), dims[] = {m.rows, m.n, SEGMENTS};
    intptr_t steps[] = {m.outer * size, 0, 0, SEGMENTS * size, m.core * size, 8, 8, size};
    char *args[] = {arguments[0], arguments[1], arguments[2], arguments[3]};
    run(loop, args, dims, steps, NULL);
    hash_results(arguments[3], type, m.rows * SEGMENTS);
}

/* Sums of rows by indices, or shares of sums whose logarithms, in two words, are from 4 to 12. */
static void hash_buckets(fl_loop *loop, enum fl_shape shape, char type, layout m) {
    enum { BUCKETS = 7 };
    intptr_t size = size_of(type), outer = m.outer * size, core = m.core * size, of_sum = 2 * sizeof(double);
    intptr_t dims[] = {m.rows, m.n, BUCKETS, 2};
    int64_t *index = (int64_t *)(void *)arguments[1];
    double *sum = (double *)(void *)arguments[3];
    uint64_t state = 8;
    fill_rows(0, type, m, 99);
    for (intptr_t i = 0; i < m.n; i++) index[i] = (int64_t)(next_random(&state) % BUCKETS);
    for (intptr_t s = 0; s < m.rows * BUCKETS; s++) {
        put_number(arguments[2] + s * size, s % 3 ? -(double)INFINITY : bell(&state) + 4, type);
        sum[2 * s] = 4 + (double)(s % 9), sum[2 * s + 1] = (double)(s % 5 - 2) * (type == 'f' ? 0x1p-24 : 0x1p-53);
    }
    if (shape == fl_reduce_buckets) {
        char *args[] = {arguments[0], arguments[1], arguments[2], arguments[4], arguments[5], arguments[3]};
        intptr_t steps[] = {outer, 0,    BUCKETS * size, BUCKETS * size, BUCKETS * size, BUCKETS * of_sum, core,
                            8,     size, size,           size,           of_sum,         sizeof(double)};
        run(loop, args, dims, steps, NULL);
        hash_results(arguments[4], type, m.rows * BUCKETS);
        hash_results(arguments[5], type, m.rows * BUCKETS);
        hash_results(arguments[3], 'd', m.rows * BUCKETS * 2);
        return;
    }
    char *args[] = {arguments[0], arguments[1], arguments[3], arguments[4]};
    intptr_t steps[] = {outer, 0, BUCKETS * of_sum, outer, core, 8, of_sum, sizeof(double), core};
    memset(arguments[4], 0, (size_t)((m.rows * m.outer + m.n * m.core + 1) * size));
    run(loop, args, dims, steps, NULL);
    hash_results(arguments[4], type, m.rows * m.outer);
}

/* Recursions of chains, and their expected transitions from numbers that are no results of such recursions. */
static void hash_chains(fl_loop *loop, enum fl_shape shape) {
    static const intptr_t states[] = {1, 2, 3, 7, 20, 37};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        enum { CHAINS = 18, TIMES = 30 };
        intptr_t k = states[i], line = k * 8, matrix = k * line, times = TIMES * line, work = 16 * line;
        intptr_t dims[] = {CHAINS, k, TIMES, 16};
        layout of_times = {CHAINS * TIMES, k, k, 1}, of_states = {k, k, k, 1};
        fill_rows(3, 'd', of_times, 5);
        for (intptr_t n = 0; n < CHAINS * TIMES * k; n++) { /* nan and inf would fill all chains */
            double *p = (double *)(void *)arguments[3] + n;
            if (n / (TIMES * k) % 3 && !(*p < INFINITY)) *p = -1;
        }
        fill_rows(1, 'd', of_states, 6);
        for (intptr_t n = 0; n < k * k; n++) {
            double *p = (double *)(void *)arguments[1] + n, *e = (double *)(void *)arguments[2] + n;
            *p = n % 5 == 4 ? -(double)INFINITY : -(double)(n % 13);
            *e = *p < -690 ? 0 : 1 / (1 + (double)(n % 13)); /* not their exponentials, but of their kind */
        }
        if (shape == fl_chain) {
            char *args[] = {arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]};
            intptr_t steps[] = {0, 0, 0, times, times, work, 8, line, 8, line, 8, line, 8, line, 8, 128, 8};
            fill_rows(0, 'd', (layout){1, k, k, 1}, 7);
            run(loop, args, dims, steps, NULL);
            hash_results(arguments[4], 'd', CHAINS * TIMES * k);
        } else {
            char *args[] = {arguments[1], arguments[3], arguments[3], arguments[3], arguments[4], arguments[5]};
            intptr_t steps[] = {0, times, times, times, matrix, work, line, 8,   line,
                                8, line,  8,     line,  8,      line, 8,    128, 8};
            run(loop, args, dims, steps, NULL);
            hash_results(arguments[4], 'd', CHAINS * k * k);
        }
    }
}

static int is_of_buckets(enum fl_shape shape) { return shape == fl_reduce_buckets || shape == fl_normalize_buckets; }

/* Runs a loss, and hashes its sums. */
static void run_loss(fl_loop *loop, char **args, const intptr_t *dims, const intptr_t *steps, fl_loss_options options,
                     int has_total) {
    fl_loss_result result = {0};
    run(loop, args, dims, steps, &(fl_loss){&options, &result});
    double sums[] = {has_total ? result.total[0] : 0, has_total ? result.total[1] : 0, result.weight[0],
                     result.weight[1], (double)result.wrong};
    uint64_t of_arrays = hash;
    hash = hash_of_sums;
    hash_results((char *)sums, 'd', 5);
    hash_of_sums = hash, hash = of_arrays;
}

/* A bit of `options` adds weights and smoothing (1), losses of elements (2), gradients (4), Hessians (8), sums of rows
   (16). */
static void hash_element_loss(fl_loop *loop, char type, intptr_t n, int options) {
    intptr_t size = size_of(type), rows = 3, dims[] = {rows, n}, steps[16];
    uint64_t state = 21;
    fill_rows(0, type, (layout){rows, n, n, 1}, 7);
    for (intptr_t i = 0; i < rows * n; i++) {
        put_number(arguments[1] + i * size, i % 3 ? (double)(i % 2) : uniform(&state, 0, 1), type);
        put_number(arguments[2] + i * size, i % 11 ? uniform(&state, 0, 2) : 0, type);
        put_number(arguments[3] + i * size, uniform(&state, 0.5, 2), type);
    }
    char *args[8];
    int wanted[] = {1, 1, options & 1, options & 1, options & 2, options & 4, options & 8 && options & 4, options & 16};
    for (int k = 0; k < 8; k++) {
        args[k] = wanted[k] ? arguments[k] : NULL;
        steps[k] = k == 7 ? 8 : n * size, steps[8 + k] = k == 7 ? 0 : size;
    }
    for (int k = 4; k < 8; k++) memset(arguments[k], 0, (size_t)(rows * n * 8));
    fl_loss_options loss = {.target_type = type,
                            .scale = 0.7,
                            .positive = 0.25,
                            .negative = 0.75,
                            .gamma = 2,
                            .smoothing = options & 1 ? 0.1 : 0};
    run_loss(loop, args, dims, steps, loss, !args[7]);
    for (int k = 4; k < 8; k++)
        if (args[k]) hash_results(args[k], k == 7 ? 'd' : type, k == 7 ? rows : rows * n);
}

/* The bits of `options` are those above, but 1 adds weights of classes and smoothing, and 16 probabilities. */
static void hash_row_loss(fl_loop *loop, char type, layout m, int options) {
    static double class_weight[LONGEST];
    intptr_t size = size_of(type), dims[] = {m.rows, m.n}, outer = m.outer * size, core = m.core * size;
    uint64_t state = 33;
    int probabilities = options & 16;
    if (m.n == 0) return;
    fill_rows(0, type, m, 7);
    for (intptr_t r = 0; r < m.rows; r++) {
        int64_t label = r % 7 == 6 ? -100 : (int64_t)(next_random(&state) % (uint64_t)m.n);
        if (!probabilities) memcpy(arguments[1] + r * 8, &label, sizeof label);
        for (intptr_t i = 0; i < m.n && probabilities; i++)
            put_number(arguments[1] + (r * m.outer + i * m.core) * size, i % 3 ? uniform(&state, 0, 1) : 0, type);
    }
    for (intptr_t i = 0; i < m.n; i++) class_weight[i] = i % 5 ? uniform(&state, 0, 2) : 0;
    intptr_t steps[] = {outer, probabilities ? outer : 8, 0, size, outer, outer, 0, core, core, 0, 0, core, core, 0};
    char *args[] = {arguments[0],
                    arguments[1],
                    NULL,
                    options & 2 ? arguments[2] : NULL,
                    options & 4 ? arguments[3] : NULL,
                    options & 8 && options & 4 ? arguments[4] : NULL,
                    NULL};
    for (int k = 2; k < 5; k++) memset(arguments[k], 0, (size_t)((m.rows * m.outer + m.n * m.core + 1) * size));
    fl_loss_options loss = {.target_type = probabilities       ? type
                                           : sizeof(long) == 8 ? 'l'
                                                               : 'q',
                            .are_probabilities = probabilities != 0,
                            .scale = 0.7,
                            .temperature = 1,
                            .smoothing = options & 1 ? 0.1 : 0,
                            .class_weight = options & 1 ? class_weight : NULL,
                            .ignored = -100,
                            .ignores = 1};
    run_loss(loop, args, dims, steps, loss, 1);
    if (args[3]) hash_results(args[3], type, m.rows);
    for (int k = 4; k < 6; k++)
        if (args[k]) hash_results(args[k], type, m.rows * m.outer);
}

/* A compiler that may fuse products does so in the portable target, too, whose results are others then. */
static const char *label_of(int target) {
#ifdef __FP_FAST_FMAF
    if (strcmp(fl_targets[target].name, "portable") == 0) return "portable fused";
#endif
    return fl_targets[target].name;
}

static void hash_matrices(fl_loop *loop, int f, char type) {
    static const intptr_t rows[] = {1, 2, 19, 70},
                          lengths[] = {0, 1, 2, 3, 4, 7, 10, 16, 31, 33, 64, 100, 257, 1000, 4100};
    enum fl_shape shape = fl_rows[f].shape;
    int combinations = f == FL_nll_loss ? 16 : 32; /* that has labels alone */
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
            for (int kind = 0; kind < LAYOUTS; kind++) {
                layout m = make_layout(kind, rows[k], lengths[i]);
                if ((m.rows + 1) * m.n * (kind == SPACED ? 2 : 1) > LONGEST - 4096) continue;
                if (shape == fl_reduce_weighted) hash_weighted(loop, type, m);
                else if (shape == fl_reduce_pairs) hash_pairs(loop, type, m);
                else if (shape == fl_reduce_segments) hash_segments(loop, type, m);
                else if (shape == fl_draw) hash_draws(loop, type, m);
                else if (is_of_buckets(shape)) hash_buckets(loop, shape, type, m);
                else if (shape == fl_row_loss)
                    for (int options = 0; options < combinations; options += lengths[i] > 100 ? 5 : 1)
                        hash_row_loss(loop, type, m, options);
                else hash_rows(loop, shape, type, m);
            }
    layout long_row = make_layout(IN_ROWS, 1, 250000); /* beyond one strip */
    if (shape == fl_reduce_weighted) hash_weighted(loop, type, long_row);
    else if (is_of_buckets(shape)) hash_buckets(loop, shape, type, long_row);
    else if (shape == fl_reduce_pairs) hash_pairs(loop, type, long_row);
    else if (shape == fl_draw) hash_draws(loop, type, long_row);
    else if (shape != fl_row_loss && shape != fl_reduce_segments) hash_rows(loop, shape, type, long_row);
}

static void hash_function(fl_loop *loop, int f, char type) {
    enum fl_shape shape = fl_rows[f].shape;
    if (shape == fl_element_loss) {
        for (intptr_t n = 1; n < 4000; n = 2 * n + 1)
            for (int options = 0; options < 32; options++) hash_element_loss(loop, type, n, options);
        return;
    }
    if (shape == fl_chain || shape == fl_chain_pairs) {
        hash_chains(loop, shape);
        return;
    }
    if (fl_shapes[shape].signature || shape == fl_row_loss) {
        hash_matrices(loop, f, type);
        return;
    }
    hash_map(loop, fl_shapes[shape].nin, type);
    if (shape == fl_map2_logaddexp) hash_running(loop, type);
}

/* Whether the file has the line; prints what it has instead. */
static int file_has(const char *path, const char *line) {
    static char found[200];
    size_t key = (size_t)(strrchr(line, ',') - line);
    FILE *file = fopen(path, "r");
    int same = 0;
    if (!file) return 0;
    while (!same && fgets(found, sizeof found, file)) {
        found[strcspn(found, "\r\n")] = 0;
        same = strcmp(found, line) == 0;
        if (!same && strncmp(found, line, key + 1) == 0) printf("recorded: %s\n", found);
    }
    fclose(file);
    return same;
}

/* Prints a row, or compares it with the file; returns 1 where it differs. */
static int report(const char *path, const char *suffix, char type, int target, uint64_t value) {
    char line[200];
    snprintf(line, sizeof line, "%s%s,%c,%s,%016llx", fl_rows[function].name, suffix, type, label_of(target),
             (unsigned long long)value);
    if (path && file_has(path, line)) return 0;
    printf("%s\n", line);
    return 1;
}

int main(int count, char **words) {
    const char *path = count > 1 ? words[1] : NULL;
    int differ = 0;
    in_pieces = count > 2 && strcmp(words[2], "--pieces") == 0;
    if (count > 2 && strcmp(words[2], "--threads") == 0) fl_set_threads(3);
    if (!path) printf("function,type,target,hash\n");
    for (function = 0; function < FL_FUNCTIONS; function++)
        for (const char *type = "dfe"; *type; type++)
            for (int target = 0; target < fl_target_count; target++) {
                fl_loop *loop = fl_loop_of(fl_targets + target, function, *type);
                if (!loop || !fl_targets[target].supported()) continue;
                hash = hash_of_sums = 0xcbf29ce484222325u;
                hash_function(loop, function, *type);
                differ += report(path, "", *type, target, hash);
                if (!fl_shapes[fl_rows[function].shape].types && !in_pieces)
                    differ += report(path, " (sums)", *type, target, hash_of_sums);
            }
    if (path && differ) printf("%d hashes differ from those in %s\n", differ, path);
    return path && differ;
}
