/* Any loop on arguments that an input of bytes describes: its lengths, strides, values and options.

   Each argument lies between two pages that may not be touched, against one of them; inputs must stay as they are, and
   so must the bytes between the numbers of an output. No exception may be raised but by functions that have poles.
   Results are held against those of the portable target, and those of elementwise functions against long double where
   reference.h has them.

   Under libFuzzer (`make fuzz`), inputs are searched for that reach code that no input has reached. Without it, the
   program runs the files that are named, or `--random N` inputs from the seed 1 on; `--seed K` repeats one of them. */

#define _DEFAULT_SOURCE /* mmap's MAP_ANONYMOUS */
#include <fenv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fastlog.h"
#include "points.h"
#include "reference.h"

enum { ARGUMENTS = 8, CORES = 2, AREA = 1 << 18, GUARD = 1 << 16, FILLED = 0xa5 };

static unsigned char *areas[ARGUMENTS];         /* of AREA bytes each */
static unsigned char before[ARGUMENTS][AREA];   /* what they held before the call */
static double results[2][ARGUMENTS][AREA / 32]; /* of the target and of the portable one */

/* ---- what an input says ---- */

typedef struct {
    const uint8_t *p, *end;
    uint64_t state;
} reader;

/* The next byte; after the last one, random bytes that depend on all before. */
static unsigned next_byte(reader *r) {
    if (r->p < r->end) return r->state = (r->state ^ *r->p) * 0x100000001b3u, *r->p++;
    return (unsigned)(next_random(&r->state) >> 56);
}
static intptr_t below(reader *r, intptr_t n) { return (intptr_t)(next_byte(r) | next_byte(r) << 8) % n; }

/* ---- arguments ---- */

typedef struct {
    char type; /* NumPy's character */
    int is_output, absent, cores;
    intptr_t length[CORES], outer, core[CORES]; /* strides in bytes */
    unsigned char *first;                       /* where the element with all indices 0 is */
} argument;

typedef struct {
    int function, width, count, cores; /* of arguments, and of core lengths */
    enum fl_shape shape;
    argument at[ARGUMENTS];
    intptr_t dims[4];
    fl_loss_options options;
    double class_weight[512];
    double size; /* of the largest weights of a loss, multiplied: its terms are so large */
} call;

static intptr_t size_of(char type) {
    return type == '?' || type == 'b' ? 1 : type == 'e' ? 2 : type == 'f' || type == 'i' ? 4 : 8;
}

static int is_loss(const call *c) { return c->shape == fl_element_loss || c->shape == fl_row_loss; }
static int is_chain(const call *c) { return c->shape == fl_chain || c->shape == fl_chain_pairs; }

/* Reads the core lengths of all arguments from a signature, and chooses a length for each of its letters. */
static void read_signature(call *c, reader *r, const char *signature) {
    char letters[4] = {0};
    intptr_t longest = c->shape == fl_chain || c->shape == fl_chain_pairs ? 24 : below(r, 4) ? 40 : 400;
    int k = 0;
    for (const char *p = signature; *p; p++) {
        argument *a = c->at + k;
        if (*p >= 'a' && *p <= 'z') {
            int known = 0;
            while (known < c->cores && letters[known] != *p) known++;
            if (known == c->cores) {
                letters[c->cores++] = *p;
                c->dims[c->cores] = below(r, *p == 's' ? 12 : longest) + (*p == 's' || *p == 'k');
            }
            a->length[a->cores++] = c->dims[1 + known];
        } else if (*p >= '1' && *p <= '9') {
            a->length[a->cores++] = strtol(p, (char **)&p, 10), p--;
        } else if (*p == ')') {
            k++;
        }
    }
}

/* Losses have one core length, which some arguments do not have. */
static void describe_loss(call *c, reader *r) {
    static const char *const signatures[] = {"(n),(n),(n),(n)->(n),(n),(n),()", "(n),(n),()->(),(n),(n),()"};
    int rows = c->shape == fl_row_loss;
    c->options = (fl_loss_options){
        .target_type = (char)(c->width == 32 ? 'f' : 'd'), .scale = 1, .positive = 1, .temperature = 1};
    c->options.negative = 1, c->options.gamma = (double)below(r, 5) / 2;
    read_signature(c, r, signatures[rows]);
    for (int k = 0; k < c->count; k++) c->at[k].absent = k > 1 && below(r, 2);
    if (!rows) {
        int has_none = c->function == FL_kl_divergence || c->function == FL_kl_divergence_of_logs;
        c->at[7].type = 'd';
        if (has_none) c->at[5].absent = 1;
        if (c->at[5].absent) c->at[6].absent = 1; /* a Hessian needs a gradient */
        return;
    }
    c->options.temperature = below(r, 3) ? 1 : 1.5;
    c->at[2].type = c->at[6].type = 'd';
    if (c->at[4].absent) c->at[5].absent = c->at[6].absent = 1; /* a Hessian and a slope need a gradient */
    if (c->function == FL_nll_loss) c->at[2].absent = c->at[4].absent = c->at[5].absent = c->at[6].absent = 1;
    else c->options.are_probabilities = below(r, 2), c->options.smoothing = below(r, 3) ? 0 : 0.1;
    c->options.ignores = (int)below(r, 2), c->options.ignored = below(r, 3) - 1;
    if (below(r, 2)) {
        for (int k = 0; k < 512; k++) c->class_weight[k] = (double)below(r, 5) / 2;
        c->options.class_weight = c->class_weight;
    }
    if (c->options.are_probabilities) return;
    c->options.target_type = below(r, 2) ? 'i' : sizeof(long) == 8 ? 'l' : 'q';
    c->at[1].cores = 0, c->at[1].type = c->options.target_type;
}

/* Strides: elements follow each other along rows or columns, densely or not, forwards or backwards; an input may have
   the same elements for every row. Returns the bytes from the lowest element to the end of the highest. */
static intptr_t lay_out(call *c, reader *r, argument *a, intptr_t *lowest) {
    int way = is_chain(c) ? 0 : (int)below(r, 16), by_columns = way & 1, spaced = way & 2;
    intptr_t step = size_of(a->type) * (spaced ? 2 : 1), high = 0;
    *lowest = 0;
    if (by_columns) a->outer = step, step *= c->dims[0];
    for (int k = a->cores - 1; k >= 0; k--) a->core[k] = step, step *= a->length[k];
    if (!by_columns) a->outer = step;
    if (way & 4) a->outer = -a->outer;
    if (way & 8 && a->cores) a->core[0] = -a->core[0];
    if (!a->is_output && !is_chain(c) && !below(r, 8)) a->outer = 0;
    for (int k = -1; k < a->cores; k++) {
        intptr_t last = (k < 0 ? a->outer : a->core[k]) * ((k < 0 ? c->dims[0] : a->length[k]) - 1);
        if ((k < 0 ? c->dims[0] : a->length[k]) == 0) last = 0;
        if (last < 0) *lowest += last;
        else high += last;
    }
    return high - *lowest + size_of(a->type);
}

static intptr_t elements_of(const call *c, const argument *a) {
    intptr_t n = c->dims[0];
    for (int k = 0; k < a->cores; k++) n *= a->length[k];
    return n;
}

static unsigned char *element(const call *c, const argument *a, intptr_t i) {
    unsigned char *p = a->first;
    for (int k = a->cores - 1; k >= 0; k--) p += i % a->length[k] * a->core[k], i /= a->length[k];
    (void)c;
    return p + i * a->outer;
}

static double number_at(const unsigned char *p, char type) {
    int64_t index;
    memcpy(&index, p, type == 'q' ? sizeof index : 0);
    return type == 'q' ? (double)index : get(p, 0, type == 'd' ? 64 : 32);
}

/* Real numbers of a kind; those of weights and targets are not negative. */
static void fill_numbers(call *c, reader *r, argument *a, int k) {
    int width = a->type == 'd' ? 64 : 32, kind = (int)below(r, 6);
    double scale = ldexp(1, (int)below(r, 12) - 2), level = (double)below(r, 200) - 100;
    uint64_t edge[MAX_EDGES], edges = (uint64_t)edge_patterns(width, edge);
    int below_1 = k == 1 && (is_loss(c) || c->shape == fl_draw);
    int nonnegative = c->shape == fl_draw || (k > 0 && (is_loss(c) || c->shape == fl_reduce_weighted));
    for (intptr_t i = 0; i < elements_of(c, a); i++) {
        double x = kind == 0   ? level
                   : kind == 1 ? value_of(edge[next_byte(r) % edges], width)
                   : kind == 2 ? stratified_point(width, next_random(&r->state))
                               : scale * normal(&r->state);
        if (nonnegative) x = !(fabs(x) < 1e6) ? 0 : below_1 ? fabs(x) - floor(fabs(x)) : fabs(x);
        put(element(c, a, i), 0, x, width);
    }
}

/* Logarithms of sums in two words, which are not below their elements; these become numbers of a usual size. */
static void fill_logarithms(call *c, argument *a) {
    double largest = 0;
    for (intptr_t i = 0; i < elements_of(c, c->at); i++) {
        double x = number_at(element(c, c->at, i), c->at[0].type);
        if (!(fabs(x) < 1e6)) put(element(c, c->at, i), 0, 0, c->width);
        else if (x > largest) largest = x;
    }
    for (intptr_t i = 0; i < elements_of(c, a); i++)
        put(element(c, a, i), 0, i % 2 ? 0 : largest + (double)(i % 10) / 16, 64);
}

/* Indices: of classes, some of them wrong; of buckets; from where to where segments go. */
static void fill_indices(call *c, reader *r, argument *a, int k) {
    for (intptr_t i = 0; i < elements_of(c, a); i++) {
        int64_t n = c->dims[1], x = 0;
        if (c->shape == fl_row_loss) x = below(r, n + 3) - 1;
        else if (c->shape == fl_reduce_segments) x = k == 1 ? i % n : n;
        else if (a->type == '?') x = below(r, 4) != 0;
        else x = below(r, c->dims[2]);
        int32_t narrow = (int32_t)x;
        if (a->type == '?') *element(c, a, i) = (unsigned char)x;
        else if (a->type == 'i') memcpy(element(c, a, i), &narrow, sizeof narrow);
        else memcpy(element(c, a, i), &x, sizeof x);
    }
}

/* Returns 0 where an input asks for more than the areas hold, or for a call that no caller makes. */
static int describe(call *c, reader *r) {
    c->function = (int)below(r, FL_FUNCTIONS), c->shape = fl_rows[c->function].shape;
    c->width = is_chain(c) || below(r, 2) ? 64 : 32;
    const fl_shape_info *shape = fl_shapes + c->shape;
    c->count = shape->nin + shape->nout, c->size = 1;
    c->dims[0] = below(r, below(r, 4) ? 20 : c->shape <= FL_LAST_MAP ? 3000 : 300);
    for (int k = 0; k < c->count; k++) {
        char type = shape->types ? shape->types[k] : '-';
        c->at[k].type = (char)(type != '-' ? type : c->width == 32 ? 'f' : 'd');
        c->at[k].is_output = k >= shape->nin;
    }
    if (is_loss(c)) describe_loss(c, r);
    else if (shape->signature) read_signature(c, r, shape->signature);
    if (c->shape == fl_reduce_segments && c->dims[1] == 0) return 0;
    if (c->shape == fl_element_loss && c->at[4].absent && c->at[7].absent && c->dims[0] == 0) return 0;
    int low_end = (int)below(r, 2);
    for (int k = 0; k < c->count; k++) {
        argument *a = c->at + k;
        intptr_t lowest, bytes = lay_out(c, r, a, &lowest);
        if (bytes > AREA || elements_of(c, a) > AREA / 32) return 0;
        intptr_t begin = low_end ? 0 : (AREA - bytes) / size_of(a->type) * size_of(a->type);
        a->first = areas[k] + begin - lowest;
    }
    for (int k = 0; k < c->count; k++) {
        argument *a = c->at + k;
        memset(areas[k], FILLED, AREA);
        if (a->is_output || a->absent) continue;
        if (c->shape == fl_normalize_buckets && k == 2) fill_logarithms(c, a);
        else if (a->type == 'f' || a->type == 'd') fill_numbers(c, r, a, k);
        else fill_indices(c, r, a, k);
        double largest = 1;
        for (intptr_t i = 0; is_loss(c) && k > 1 && i < elements_of(c, a); i++)
            largest = fmax(largest, number_at(element(c, a, i), a->type));
        c->size *= largest;
    }
    return 1;
}

/* ---- the call, and what must hold ---- */

static void refuse(const call *c, const char *target, const char *what) {
    fprintf(stderr, "WRONG %s f%d %s: %s; lengths %ld %ld %ld\n", target, c->width, fl_rows[c->function].name, what,
            (long)c->dims[0], (long)c->dims[1], (long)c->dims[2]);
    if (is_loss(c))
        fprintf(stderr, "smoothing %g, probabilities %d, class weights %d, ignored %ld (%d), targets %c\n",
                c->options.smoothing, c->options.are_probabilities, c->options.class_weight != NULL,
                (long)c->options.ignored, c->options.ignores, c->options.target_type);
    abort();
}

/* Prints the numbers of an input at a row. */
static void print_row(const call *c, const argument *a, intptr_t row) {
    intptr_t n = a->cores ? a->length[0] : 1;
    for (intptr_t i = 0; i < n && a->cores < 2; i++) {
        const unsigned char *p = a->first + row * a->outer + (a->cores ? i * a->core[0] : 0);
        if (a->type == 'f' || a->type == 'd') fprintf(stderr, "%.17g ", number_at(p, a->type));
        else fprintf(stderr, "%d ", *p);
    }
    fprintf(stderr, "\n");
    (void)c;
}

static int may_raise(const call *c) { return c->shape == fl_map1_raising || c->shape == fl_map2_raising; }

static fl_loss_result run(const call *c, const fl_target *target) {
    char *args[ARGUMENTS] = {0};
    intptr_t steps[ARGUMENTS * (1 + CORES)], n = c->count;
    fl_loss_result result = {0};
    for (int k = 0; k < c->count; k++) {
        const argument *a = c->at + k;
        args[k] = a->absent ? NULL : (char *)a->first;
        steps[k] = a->outer;
        if (is_loss(c)) steps[n++] = a->cores ? a->core[0] : 0;
        for (int j = 0; j < a->cores && !is_loss(c); j++) steps[n++] = a->core[j];
        if (a->is_output) memset(areas[k], FILLED, AREA);
        memcpy(before[k], areas[k], AREA);
    }
    feclearexcept(FE_ALL_EXCEPT);
    fl_loop_of(target, c->function, c->width == 32 ? 'f' : 'd')(args, c->dims, steps, &(fl_loss){&c->options, &result});
    if (!may_raise(c) && fetestexcept(FE_ALL_EXCEPT & ~FE_INEXACT)) refuse(c, target->name, "it raised an exception");
    for (int k = 0; k < c->count; k++) {
        const argument *a = c->at + k;
        for (intptr_t i = 0; a->is_output && !a->absent && i < elements_of(c, a); i++)
            memcpy(before[k] + (element(c, a, i) - areas[k]), element(c, a, i), (size_t)size_of(a->type));
        if (memcmp(before[k], areas[k], AREA))
            refuse(c, target->name, a->is_output ? "a gap changed" : "input changed");
    }
    return result;
}

/* By how many ulps of max(|y|, 1) or, for maps and softmax, of y, two targets may differ. */
static double allowed(const call *c, double exact) {
    double claim = fl_claims[c->function][c->width == 64].ulp;
    if (c->function == FL_logaddexp2) exact = fmax(1, fabs(exact)); /* near 0, its error is one of 1 */
    if (c->shape <= FL_LAST_MAP) return (2 * claim + 1) * ulp_of(exact, c->width);
    if (c->shape == fl_normalize_terms) return 12 * ulp_of(exact, c->width);
    return (is_loss(c) ? 64 : 16) * ulp_of(fmax(c->size, fabs(exact)), c->width);
}

static int are_close(const call *c, double x, double y) {
    if (isnan(x) || isnan(y)) return isnan(x) && isnan(y);
    if (isinf(x) || isinf(y)) return x == y || fmin(fabs(x), fabs(y)) > (c->width == 32 ? 3.4e38 : 1.79e308);
    return fabs(x - y) <= allowed(c, y);
}

/* Elementwise functions, beside long double. */
static void check_exactly(const call *c, const fl_target *target) {
    double claim = fl_claims[c->function][c->width == 64].ulp;
    int known, second = fl_shapes[c->shape].nin - 1;
    for (intptr_t i = 0; claim > 0 && i < c->dims[0]; i++) {
        double a = number_at(element(c, c->at, i), c->at[0].type);
        double b = number_at(element(c, c->at + second, i), c->at[0].type), y = results[0][second + 1][i];
        long double exact = exact_elementwise((enum fl_function)c->function, a, b, &known);
        if (!known) return;
        if (isnan(y) != isnan(exact)) refuse(c, target->name, "nan beside long double");
        if (isnan(y) || y == (double)exact || isinf((double)(float)exact) || isinf((double)exact)) continue;
        long double own_error = 0x1p-61L * fmaxl(fabsl(a), fabsl(b)); /* of the reference, where terms cancel */
        if (!(fabsl(y - exact) <= (claim + 0.01) * ulp_of((double)exact, c->width) + own_error))
            refuse(c, target->name, "an error above the claim");
    }
}

static void keep_results(const call *c, int which) {
    for (int k = 0; k < c->count; k++) {
        const argument *a = c->at + k;
        for (intptr_t i = 0; a->is_output && !a->absent && i < elements_of(c, a); i++)
            results[which][k][i] = number_at(element(c, a, i), a->type);
    }
}

/* Scratch memory and sums in two words are no results by themselves. Chains are compared by bits.c: here their matrix and
   its exponentials do not belong together. */
static int is_result(const call *c, int k) {
    if (is_chain(c)) return 0;
    if (c->shape == fl_reduce_buckets) return k == 3;
    if (c->shape == fl_reduce_partition) return k == 1;
    return c->at[k].is_output && !c->at[k].absent;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static call c;
    memset(&c, 0, sizeof c);
    reader r = {data, data + size, 1};
    for (int k = 0; k < ARGUMENTS && !areas[k]; k++) {
        char *p = mmap(NULL, AREA + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || mprotect(p + GUARD, AREA, PROT_READ | PROT_WRITE)) return perror("mmap"), exit(1), 0;
        areas[k] = (unsigned char *)p + GUARD;
    }
    int which = (int)below(&r, fl_target_count);
    if (!describe(&c, &r) || !fl_targets[which].supported()) return 0;
    fl_loss_result found = run(&c, fl_targets + which);
    keep_results(&c, 0);
    if (c.shape <= FL_LAST_MAP) check_exactly(&c, fl_targets + which);
    if (which == fl_target_count - 1) return 0;
    fl_loss_result expected = run(&c, fl_targets + fl_target_count - 1);
    keep_results(&c, 1);
    for (int k = 0; k < c.count; k++)
        for (intptr_t i = 0; is_result(&c, k) && i < elements_of(&c, c.at + k); i++)
            if (!are_close(&c, results[0][k][i], results[1][k][i])) {
                fprintf(stderr, "argument %d, element %ld: %.17g, %.17g\n", k, (long)i, results[0][k][i],
                        results[1][k][i]);
                for (int j = 0; j < c.count; j++)
                    if (!c.at[j].is_output && !c.at[j].absent)
                        print_row(&c, c.at + j, i * c.dims[0] / elements_of(&c, c.at + k));
                refuse(&c, fl_targets[which].name, "the portable target differs");
            }
    if (found.wrong != expected.wrong) refuse(&c, fl_targets[which].name, "the number of wrong labels differs");
    return 0;
}

#ifndef FASTLOG_LIBFUZZER
static void run_file(const char *path) {
    static uint8_t data[1 << 16];
    FILE *file = fopen(path, "rb");
    if (!file) perror(path), exit(1);
    LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof data, file));
    fclose(file);
}

static uint64_t seed;

static void name_seed(int signal_number) {
    fprintf(stderr, "signal %d at seed %llu\n", signal_number, (unsigned long long)seed);
    _Exit(1);
}

int main(int count, char **arguments) {
    int repeats = count == 3 && !strcmp(arguments[1], "--seed");
    if (repeats || (count == 3 && !strcmp(arguments[1], "--random"))) {
        uint64_t last = (uint64_t)atoll(arguments[2]);
        if (!repeats) signal(SIGSEGV, name_seed), signal(SIGABRT, name_seed);
        for (seed = repeats ? last : 1; seed <= last; seed++) {
            uint8_t data[64];
            uint64_t state = seed;
            for (size_t k = 0; k < sizeof data; k++) data[k] = (uint8_t)(next_random(&state) >> 56);
            LLVMFuzzerTestOneInput(data, sizeof data);
        }
        return 0;
    }
    for (int k = 1; k < count; k++) run_file(arguments[k]);
    return 0;
}
#endif
