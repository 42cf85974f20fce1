/* This program computes large calls by many threads at a time, on the best target: their results have the bits of one
   thread, also where several threads call at once, in a child of a fork in the middle of work, and in the caller's
   floating-point environment. It is built with -fsanitize=thread, too; the word `alone` leaves out the forks then,
   which that does not support. */

#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fastlog.h"

#define ELEMENTS 300000
#define ROW 300
#define CALLERS 4
#define ROUNDS 40

static const fl_target *target;
static double x[ELEMENTS], z[ELEMENTS];
static int64_t labels[ELEMENTS / ROW];
static int failures;

static void check(int is_right, const char *what) {
    if (!is_right && failures++ < 20) printf("WRONG %s\n", what);
}

/* All results of some functions: a map, columns, rows, segments, and both kinds of losses. */
typedef struct {
    double map[ELEMENTS], columns[ROW], rows[ELEMENTS / ROW], softmax[ELEMENTS], segments[ELEMENTS / ROW];
    double gradient[2][ELEMENTS];
    fl_loss_result losses[2];
} results;

static void compute(results *r, int threads) {
    static int64_t first[ELEMENTS / ROW], last[ELEMENTS / ROW];
    const intptr_t size = sizeof(double), row = ROW * size, n[] = {ELEMENTS}, rows[] = {ELEMENTS / ROW, ROW};
    const intptr_t columns[] = {ROW, ELEMENTS / ROW}, all[] = {1, ELEMENTS, ELEMENTS / ROW}, one_row[] = {1, ELEMENTS};
    char *in = (char *)x;
    fl_loss_options of_elements = {.target_type = 'd', .scale = 1};
    fl_loss_options of_rows = {.target_type = sizeof(long) == 8 ? 'l' : 'q', .scale = 1, .temperature = 1};
    memset(r, 0, sizeof *r);
    fl_set_threads(threads);
    fl_loop_of(target, FL_softplus, 'd')((char *[]){in, (char *)r->map}, n, (intptr_t[]){size, size}, 0);
    fl_loop_of(target, FL_logsumexp, 'd')((char *[]){in, (char *)r->columns}, columns, (intptr_t[]){size, size, row},
                                          0);
    fl_loop_of(target, FL_logsumexp, 'd')((char *[]){in, (char *)r->rows}, rows, (intptr_t[]){row, size, size}, 0);
    fl_loop_of(target, FL_softmax, 'd')((char *[]){in, (char *)r->softmax}, rows, (intptr_t[]){row, row, size, size},
                                        0);
    if (!last[0]) /* the first call is by a single thread */
        for (int k = 0; k < ELEMENTS / ROW; k++) first[k] = k * ROW, last[k] = (k + 1) * ROW;
    fl_loop_of(target, FL_logsumexp_segments,
               'd')((char *[]){in, (char *)first, (char *)last, (char *)r->segments}, all,
                    (intptr_t[]){0, 0, 0, 0, size, sizeof *first, sizeof *last, size}, 0);
    fl_loop_of(target, FL_binary_cross_entropy_with_logits, 'd')(
        (char *[]){in, (char *)z, 0, 0, 0, (char *)r->gradient[0], 0, 0}, one_row,
        (intptr_t[]){0, 0, 0, 0, 0, 0, 0, 0, size, size, 0, 0, 0, size, 0, 0}, &(fl_loss){&of_elements, r->losses});
    fl_loop_of(target, FL_cross_entropy,
               'd')((char *[]){in, (char *)labels, 0, 0, (char *)r->gradient[1], 0, 0}, rows,
                    (intptr_t[]){row, sizeof *labels, 0, 0, row, 0, 0, size, 0, 0, 0, size, 0, 0},
                    &(fl_loss){&of_rows, r->losses + 1});
}

static results expected;

static int has_expected_results(results *r, int threads) {
    compute(r, threads);
    return memcmp(r, &expected, sizeof *r) == 0;
}

/* A caller has its memory beforehand: a child may wait forever for the allocator of AddressSanitizer, if another thread
   was in there at the fork. */
typedef struct {
    pthread_t thread;
    results found;
    int wrong;
} caller;

static void *call_often(void *one) {
    caller *c = one;
    for (int k = 0; k < ROUNDS; k++) c->wrong += !has_expected_results(&c->found, 2 + k % 3);
    return 0;
}

static void test_callers(int with_forks) {
    static caller callers[CALLERS];
    static results of_child;
    for (int k = 0; k < CALLERS; k++) pthread_create(&callers[k].thread, 0, call_often, callers + k);
    for (int k = 0; k < ROUNDS && with_forks; k++) {
        int status = 1;
        pid_t child = fork();
        if (child == 0) {
            alarm(60);
            _exit(fl_pool_size() == 0 && has_expected_results(&of_child, 3) && fl_pool_size() > 0 ? 0 : 1);
        }
        check(child > 0 && waitpid(child, &status, 0) == child && status == 0, "results of a child");
    }
    for (int k = 0; k < CALLERS; k++) {
        pthread_join(callers[k].thread, 0);
        check(callers[k].wrong == 0, "results of a thread");
    }
}

static void test_environment(void) {
    static const int ways[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    static results alone, together;
    for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
        fesetround(ways[k]);
        compute(&alone, 1);
        compute(&together, 3);
        check(fegetround() == ways[k], "rounding of the caller");
        check(memcmp(&alone, &together, sizeof alone) == 0, "results in another rounding");
        check((memcmp(&alone, &expected, sizeof alone) == 0) == (ways[k] == FE_TONEAREST), "rounding of all threads");
    }
    fesetround(FE_TONEAREST);
    check(has_expected_results(&together, 3), "results in the usual rounding");
}

static void test_exceptions(void) {
    static double in[ELEMENTS], out[ELEMENTS];
    const intptr_t n[] = {ELEMENTS}, steps[] = {sizeof(double), sizeof(double)};
    char *args[] = {(char *)in, (char *)out};
    fl_set_threads(3);
    for (int k = 0; k < ELEMENTS; k++) in[k] = 0.25;
    for (int where = 0; where < 3; where++) {
        double *at = in + where * (ELEMENTS - 1) / 2;
        for (int what = 0; what < 3; what++) {
            *at = what == 0 ? 0.25 : what == 1 ? 1 : 2;
            feclearexcept(FE_ALL_EXCEPT);
            fl_loop_of(target, FL_logit, 'd')(args, n, steps, 0);
            check(fetestexcept(FE_ALL_EXCEPT) == (what == 0 ? 0 : what == 1 ? FE_DIVBYZERO : FE_INVALID), "exceptions");
            feclearexcept(FE_ALL_EXCEPT);
            fl_quiet_loop_of(target, FL_logit, 'd')(args, n, steps, 0);
            check(fetestexcept(FE_ALL_EXCEPT) == 0, "exceptions of a quiet loop");
        }
        *at = 0.25;
    }
}

int main(int count, char **words) {
    (void)words;
    for (int k = fl_target_count - 1; k >= 0; k--)
        if (fl_targets[k].supported()) target = fl_targets + k;
    for (int k = 0; k < ELEMENTS; k++) x[k] = 9 * sin(k) + (k % 1009 == 0 ? 700 : 0), z[k] = k % 3 == 0;
    for (int k = 0; k < ELEMENTS / ROW; k++) labels[k] = k % ROW;
    compute(&expected, 1);
    check(fl_pool_size() == 0, "one thread starts no others");
    static results found;
    check(has_expected_results(&found, 2) && fl_pool_size() == 1, "two threads");
    test_callers(count < 2);
    test_environment();
    test_exceptions();
    if (!failures) printf("the pool is right\n");
    return failures != 0;
}
