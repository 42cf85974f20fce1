/* This program compares losses and their derivatives with long double, on every target: sums and gradients of elements
   and of labelled rows, whose lengths are near those of vectors, groups and blocks. The Python tests cover options,
   types and layouts. */

#include <fenv.h>
#include <stdio.h>

#include "fastlog.h"
#include "points.h"
#include "reference.h"

#define LONGEST 3000
#define BOUND 8.0 /* in ulp of the number, or, for a gradient, of the larger of the two numbers that it subtracts */

static int failures;

static void put(void *p, int64_t i, double x, int width) {
    if (width == 32) ((float *)p)[i] = (float)x;
    else ((double *)p)[i] = x;
}
static double get(const void *p, int64_t i, int width) {
    return width == 32 ? ((const float *)p)[i] : ((const double *)p)[i];
}

static void check(const char *what, int target, int width, int n, int i, double got, long double exact, double size) {
    double error = (double)(fabsl(got - exact) / ulp_of(size, width));
    if (error <= BOUND) return;
    if (failures++ < 20)
        printf("WRONG %s f%d %s of %d, element %d: %.17g, exactly %.20Lg: %g ulp\n", fl_targets[target].name, width,
               what, n, i, got, exact, error);
}

static void run(int target, int f, int width, char **args, const intptr_t *dims, const intptr_t *steps, fl_loss *loss) {
    const fl_table *table = width == 32 ? fl_targets[target].f32 : fl_targets[target].f64;
    feclearexcept(FE_ALL_EXCEPT);
    table->loop[f](args, dims, steps, loss);
    if (fetestexcept(FE_ALL_EXCEPT) && failures++ < 20)
        printf("FLAGS raised by %s f%d %s\n", fl_targets[target].name, width, fl_rows[f].name);
}

static double x[LONGEST], z[LONGEST], each[LONGEST], gradient[LONGEST], hessian[LONGEST];
static double values[LONGEST], targets[LONGEST];

/* 1/(1 + e^-t) */
static long double sigmoid(long double t) { return t < 0 ? expl(t) / (1 + expl(t)) : 1 / (1 + expl(-t)); }

static void test_elements(int target, int width, int n, int soft, int with_each, uint64_t *state) {
    intptr_t size = width / 8, dims[] = {1, n}, steps[16] = {0};
    for (int k = 0; k < 7; k++) steps[8 + k] = size;
    for (int i = 0; i < n; i++) {
        values[i] = rounded_to(uniform(state, -10, 10), width);
        targets[i] = soft ? rounded_to(uniform(state, 0, 1), width) : (double)(next_random(state) >> 63);
        if (i % 97 == 96) values[i] *= 30; /* too large to be summed in groups */
        values[i] = rounded_to(values[i], width);
        put(x, i, values[i], width), put(z, i, targets[i], width);
    }
    fl_loss loss = {.target_type = width == 32 ? 'f' : 'd', .scale = 1};
    char *args[] = {(char *)x, (char *)z, 0, 0, with_each ? (char *)each : 0, (char *)gradient, (char *)hessian, 0};
    run(target, FL_binary_cross_entropy, width, args, dims, steps, &loss);
    long double sum = 0;
    for (int i = 0; i < n; i++) {
        long double exact = exact_binary_cross_entropy(values[i], targets[i]);
        long double high = sigmoid(values[i]), low = sigmoid(-values[i]);
        long double up = (1 - targets[i]) * high, down = targets[i] * low;
        sum += exact;
        if (with_each) check("loss", target, width, n, i, get(each, i, width), exact, rounded_to(exact, width));
        check("gradient", target, width, n, i, get(gradient, i, width), up - down, rounded_to(up + down, width));
        check("Hessian", target, width, n, i, get(hessian, i, width), high * low, rounded_to(high * low, width));
    }
    if (!with_each) check("sum", target, width, n, -1, fl_sum(loss.total), sum, rounded_to(sum, width));
}

static void test_labelled(int target, int width, int rows, int n, uint64_t *state) {
    static int32_t labels[LONGEST];
    intptr_t size = width / 8, dims[] = {rows, n};
    intptr_t steps[] = {n * size, 4, size, n * size, n * size, size, 0, 0, size, size};
    for (int i = 0; i < rows * n; i++) {
        values[i] = rounded_to(uniform(state, -10, 10), width);
        put(x, i, values[i], width);
    }
    for (int r = 0; r < rows; r++) labels[r] = r % 7 == 6 ? -1 : (int32_t)(next_random(state) % (uint64_t)n);
    fl_loss loss = {.target_type = 'i', .scale = 1, .ignored = -1, .ignores = 1};
    char *args[] = {(char *)x, (char *)labels, (char *)each, (char *)gradient, (char *)hessian};
    run(target, FL_cross_entropy, width, args, dims, steps, &loss);
    long double sum = 0;
    for (int r = 0; r < rows; r++) {
        exact_partition p = exact_partition_of(values + r * n, n);
        int counts = labels[r] >= 0;
        long double exact = counts ? p.max - values[r * n + labels[r]] + log1pl(p.rest) : 0;
        sum += exact;
        check("row's loss", target, width, n, r, get(each, r, width), exact, rounded_to(exact, width));
        for (int c = 0; c < n; c++) {
            long double of_class = values[r * n + c], q = expl(of_class - p.max) / (1 + p.rest);
            long double others = of_class == p.max ? p.rest / (1 + p.rest) : 1 - q;
            long double g = c == labels[r] ? -others : q;
            check("row's gradient", target, width, n, c, get(gradient, r * n + c, width), counts * g,
                  rounded_to(counts * g, width));
            check("row's Hessian", target, width, n, c, get(hessian, r * n + c, width), counts * q * others,
                  rounded_to(counts * q * others, width));
        }
    }
    args[2] = 0;
    run(target, FL_cross_entropy, width, args, dims, steps, &loss);
    check("sum of rows", target, width, n, -1, fl_sum(loss.total), sum, rounded_to(sum, width));
    if (loss.wrong && failures++ < 20) printf("WRONG %s f%d: labels\n", fl_targets[target].name, width);
}

/* Compares sums of the other losses; x holds logits or logarithms of probabilities, and z lies in (0, 1). */
static void test_others(int target, int width, int n, uint64_t *state) {
    static int16_t labels[LONGEST];
    intptr_t size = width / 8, dims[] = {1, n}, steps[16] = {[8] = size, size};
    intptr_t row_dims[] = {n, 1}, row_steps[10] = {size, 2, [5] = size};
    long double focal = 0, kl = 0, kl_size = 0, nll = 0;
    for (int i = 0; i < n; i++) {
        values[i] = rounded_to(uniform(state, -10, 0), width);
        targets[i] = i % 3 ? rounded_to(uniform(state, 0, 1), width) : i % 2;
        labels[i] = i % 5 ? 0 : -7;
        put(x, i, values[i], width), put(z, i, targets[i], width);
        long double t = targets[i], low = sigmoid(-values[i]), m = t * low + (1 - t) * (1 - low);
        long double weight = (long double)0.25 * t + (long double)0.75 * (1 - t);
        focal += weight * m * m * exact_binary_cross_entropy(values[i], targets[i]);
        kl += t > 0 ? t * (logl(t) - values[i]) : 0;
        kl_size += t > 0 ? t * (fabsl(logl(t)) + fabs(values[i])) : 0;
        nll -= labels[i] == 0 ? values[i] : 0;
    }
    char *args[8] = {(char *)x, (char *)z};
    fl_loss loss = {.target_type = width == 32 ? 'f' : 'd', .scale = 1, .positive = 0.25, .negative = 0.75, .gamma = 2};
    run(target, FL_focal, width, args, dims, steps, &loss);
    check("focal loss", target, width, n, -1, fl_sum(loss.total), focal, rounded_to(focal, width));
    loss = (fl_loss){.target_type = width == 32 ? 'f' : 'd'};
    run(target, FL_kl_divergence, width, args, dims, steps, &loss);
    check("divergence", target, width, n, -1, fl_sum(loss.total), kl, rounded_to(kl_size, width));
    for (int i = 0; i < n; i++) put(z, i, log(targets[i]), width);
    loss = (fl_loss){.target_type = width == 32 ? 'f' : 'd'};
    run(target, FL_kl_divergence_of_logs, width, args, dims, steps, &loss);
    check("divergence of logarithms", target, width, n, -1, fl_sum(loss.total), kl, rounded_to(kl_size, width));
    char *row_args[] = {(char *)x, (char *)labels, 0, 0, 0};
    loss = (fl_loss){.target_type = 'h', .ignored = -7, .ignores = 1};
    run(target, FL_negative_log_likelihood, width, row_args, row_dims, row_steps, &loss);
    check("likelihood", target, width, n, -1, fl_sum(loss.total), nll, rounded_to(nll, width));
    if ((int)fl_sum(loss.weight) != n - (n + 4) / 5 && failures++ < 20) printf("WRONG number of labels\n");
}

int main(void) {
    static const int lengths[] = {1, 2, 7, 16, 31, 64, 127, 128, 129, 500, 1024, 1025, LONGEST};
    static const int shapes[][2] = {{1, 1}, {40, 1}, {17, 2}, {33, 10}, {20, 40}, {3, 300}, {1, LONGEST}};
    uint64_t state = 11;
    for (int t = 0; t < fl_target_count; t++)
        for (int width = 32; width <= 64 && fl_targets[t].supported(); width += 32) {
            for (size_t k = 0; k < 4 * sizeof lengths / sizeof *lengths; k++)
                test_elements(t, width, lengths[k / 4], k % 2, k / 2 % 2, &state);
            for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) test_others(t, width, lengths[k], &state);
            for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
                test_labelled(t, width, shapes[k][0], shapes[k][1], &state);
        }
    if (failures) printf("%d FAILURES\n", failures);
    else printf("all losses within %g ulp\n", BOUND);
    return failures != 0;
}
