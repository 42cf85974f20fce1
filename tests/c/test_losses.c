/* This program compares losses and their derivatives with long double, on every target: sums and gradients of elements
   and of labelled rows, whose lengths are near those of vectors, groups and blocks. The Python tests cover options,
   types and layouts. */

#include <fenv.h>
#include <stdio.h>

#include "fastlog.h"
#include "points.h"
#include "reference.h"

#ifndef DEFAULT_POINTS
#define DEFAULT_POINTS 3000000
#endif
#define LONGEST 3000
#define BOUND 8.0 /* in ulp of the number, or, for a gradient, of the larger of the two numbers that it subtracts */

static int failures;

static void check_within(double bound, const char *what, int target, int width, int n, int i, double got,
                         long double exact, double size) {
    double error = (double)(fabsl(got - exact) / ulp_of(size, width));
    if (error <= bound) return;
    if (failures++ < 20)
        printf("WRONG %s f%d %s of %d, element %d: %.17g, exactly %.20Lg: %g ulp\n", fl_targets[target].name, width,
               what, n, i, got, exact, error);
}

static void check(const char *what, int target, int width, int n, int i, double got, long double exact, double size) {
    check_within(BOUND, what, target, width, n, i, got, exact, size);
}

static fl_loss_result run(int target, int f, int width, char **args, const intptr_t *dims, const intptr_t *steps,
                          const fl_loss_options *options) {
    fl_loss_result result = {0};
    feclearexcept(FE_ALL_EXCEPT);
    fl_loop_of(fl_targets + target, f, width == 32 ? 'f' : 'd')(args, dims, steps, &(fl_loss){options, &result});
    if (fetestexcept(FE_ALL_EXCEPT) && failures++ < 20)
        printf("FLAGS raised by %s f%d %s\n", fl_targets[target].name, width, fl_rows[f].name);
    return result;
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
    fl_loss_options options = {.target_type = width == 32 ? 'f' : 'd', .scale = 1};
    char *args[] = {(char *)x, (char *)z, 0, 0, with_each ? (char *)each : 0, (char *)gradient, (char *)hessian, 0};
    fl_loss_result result = run(target, FL_binary_cross_entropy_with_logits, width, args, dims, steps, &options);
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
    if (!with_each) check("sum", target, width, n, -1, fl_sum(result.total), sum, rounded_to(sum, width));
}

/* Losses at the points where the kernel is most delicate, against the claim of the table. */
static void test_claim(int target, int width, uint64_t points) {
    point_set s = make_points(width, points);
    double claim = fl_claims[FL_binary_cross_entropy_with_logits][width == 64].ulp;
    intptr_t size = width / 8, dims[] = {1, LONGEST}, steps[16] = {[8] = size, size, [12] = size};
    fl_loss_options options = {.target_type = width == 32 ? 'f' : 'd'};
    for (uint64_t first = 0; first < points; first += LONGEST) {
        for (int i = 0; i < LONGEST; i++) {
            point_of_loss(&s, first + (uint64_t)i, values + i, targets + i);
            values[i] = rounded_to(values[i], width), targets[i] = rounded_to(targets[i], width);
            put(x, i, values[i], width), put(z, i, targets[i], width);
        }
        char *args[8] = {(char *)x, (char *)z, [4] = (char *)each};
        run(target, FL_binary_cross_entropy_with_logits, width, args, dims, steps, &options);
        for (int i = 0; i < LONGEST; i++) {
            double got = get(each, i, width);
            long double exact = exact_binary_cross_entropy(values[i], targets[i]);
            if (isnan(values[i]) || isnan(targets[i])) exact = NAN;
            if (isnan(exact) || isinf(exact) || isinf(rounded_to(exact, width))) {
                if (got != rounded_to(exact, width) && !(isnan(got) && isnan(exact)) && failures++ < 20)
                    printf("WRONG %s f%d loss(%a, %a): %g\n", fl_targets[target].name, width, values[i], targets[i],
                           got);
                continue;
            }
            check_within(claim, "loss", target, width, LONGEST, i, got, exact, rounded_to(exact, width));
        }
    }
}

/* Rows with labels, weights of their own, and slopes. */
static void test_labelled(int target, int width, int rows, int n, uint64_t *state) {
    static int32_t labels[LONGEST];
    static double weights[LONGEST], slopes[LONGEST];
    intptr_t size = width / 8, dims[] = {rows, n};
    intptr_t steps[] = {n * size, 4, 8, size, n * size, n * size, 8, size, 0, 0, 0, size, size, 0};
    for (int i = 0; i < rows * n; i++) {
        values[i] = rounded_to(uniform(state, -10, 10), width);
        put(x, i, values[i], width);
    }
    for (int r = 0; r < rows; r++) {
        labels[r] = r % 7 == 6 ? -1 : (int32_t)(next_random(state) % (uint64_t)n);
        weights[r] = r % 5 == 4 ? 0 : 0.75 * (r % 3 + 1);
    }
    fl_loss_options options = {.target_type = 'i', .scale = 1, .temperature = 1, .ignored = -1, .ignores = 1};
    char *args[] = {(char *)x,        (char *)labels,  (char *)weights, (char *)each,
                    (char *)gradient, (char *)hessian, (char *)slopes};
    fl_loss_result result = run(target, FL_cross_entropy, width, args, dims, steps, &options);
    long double sum = 0, weight = 0;
    for (int r = 0; r < rows; r++) {
        exact_partition p = exact_partition_of(values + r * n, n);
        long double counts = labels[r] >= 0 ? weights[r] : 0, slope = 0, size_of_slope = 0;
        long double exact = counts ? p.max - values[r * n + labels[r]] + log1pl(p.rest) : 0;
        exact *= counts, sum += exact, weight += counts;
        check("row's loss", target, width, n, r, get(each, r, width), exact, rounded_to(exact, width));
        for (int c = 0; c < n; c++) {
            long double of_class = values[r * n + c], q = expl(of_class - p.max) / (1 + p.rest);
            long double others = of_class == p.max ? p.rest / (1 + p.rest) : 1 - q;
            long double g = c == labels[r] ? -others : q;
            slope += counts * g * (p.max - of_class), size_of_slope += counts * fabsl(g) * (p.max - of_class);
            check("row's gradient", target, width, n, c, get(gradient, r * n + c, width), counts * g,
                  rounded_to(counts * g, width));
            check("row's Hessian", target, width, n, c, get(hessian, r * n + c, width), counts * q * others,
                  rounded_to(counts * q * others, width));
        }
        check("row's slope", target, width, n, r, slopes[r], slope, rounded_to(size_of_slope, width));
    }
    if (fl_sum(result.weight) != weight && failures++ < 20) printf("WRONG weight of rows\n");
    args[3] = 0;
    result = run(target, FL_cross_entropy, width, args, dims, steps, &options);
    check("sum of rows", target, width, n, -1, fl_sum(result.total), sum, rounded_to(sum, width));
    if (result.wrong && failures++ < 20) printf("WRONG %s f%d: labels\n", fl_targets[target].name, width);
}

/* Compares sums of the other losses; x holds logits or logarithms of probabilities, and z lies in (0, 1). */
static void test_others(int target, int width, int n, uint64_t *state) {
    static int16_t labels[LONGEST];
    intptr_t size = width / 8, dims[] = {1, n}, steps[16] = {[8] = size, size};
    intptr_t row_dims[] = {n, 1}, row_steps[14] = {size, 2, [7] = size};
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
    fl_loss_options options = {
        .target_type = width == 32 ? 'f' : 'd', .scale = 1, .positive = 0.25, .negative = 0.75, .gamma = 2};
    fl_loss_result result = run(target, FL_focal_loss, width, args, dims, steps, &options);
    check("focal loss", target, width, n, -1, fl_sum(result.total), focal, rounded_to(focal, width));
    options = (fl_loss_options){.target_type = width == 32 ? 'f' : 'd'};
    result = run(target, FL_kl_divergence, width, args, dims, steps, &options);
    check("divergence", target, width, n, -1, fl_sum(result.total), kl, rounded_to(kl_size, width));
    for (int i = 0; i < n; i++) put(z, i, log(targets[i]), width);
    options = (fl_loss_options){.target_type = width == 32 ? 'f' : 'd'};
    result = run(target, FL_kl_divergence_of_logs, width, args, dims, steps, &options);
    check("divergence of logarithms", target, width, n, -1, fl_sum(result.total), kl, rounded_to(kl_size, width));
    char *row_args[7] = {(char *)x, (char *)labels};
    options = (fl_loss_options){.target_type = 'h', .temperature = 1, .ignored = -7, .ignores = 1};
    result = run(target, FL_nll_loss, width, row_args, row_dims, row_steps, &options);
    check("likelihood", target, width, n, -1, fl_sum(result.total), nll, rounded_to(nll, width));
    if ((int)fl_sum(result.weight) != n - (n + 4) / 5 && failures++ < 20) printf("WRONG number of labels\n");
}

int main(void) {
    static const int lengths[] = {1, 2, 7, 16, 31, 64, 127, 128, 129, 500, 1024, 1025, LONGEST};
    static const int shapes[][2] = {{1, 1}, {40, 1}, {17, 2}, {33, 10}, {20, 40}, {3, 300}, {1, LONGEST}};
    uint64_t state = 11;
    for (int t = 0; t < fl_target_count; t++)
        for (int width = 32; width <= 64 && fl_targets[t].supported(); width += 32) {
            test_claim(t, width, DEFAULT_POINTS);
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
