/* This program compares every operation of every target's vocabulary with portable's, lane by lane and bit for bit. It
   allows what vec.h leaves open: which nan follows from a nan operand, and whether v_fma and v_fnma round once.

   usage: test_vec portable.h [random cases]
   The program reads portable.h to check that it tests every operation that is defined there. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastlog.h"
#include "numbers.h"
#include "vec_probe.h"

#ifndef DEFAULT_CASES
#define DEFAULT_CASES 300000
#endif
#define BLOCK 64 /* a multiple of every target's lanes */
#define SHOWN 5  /* mismatches printed per operation */

const vec_probe *vec_probes;

typedef struct {
    uint64_t *a, *b, *c;
    size_t n, room;
} cases;

static void add_case(cases *s, uint64_t a, uint64_t b, uint64_t c) {
    if (s->n == s->room) {
        s->room = s->room ? 2 * s->room : 4096;
        s->a = realloc(s->a, s->room * sizeof *s->a);
        s->b = realloc(s->b, s->room * sizeof *s->b);
        s->c = realloc(s->c, s->room * sizeof *s->c);
        if (!s->a || !s->b || !s->c) exit(2);
    }
    s->a[s->n] = a;
    s->b[s->n] = b;
    s->c[s->n++] = c;
}

static void fill_last_block(cases *s) {
    while (s->n % BLOCK) add_case(s, s->a[s->n - 1], s->b[s->n - 1], s->c[s->n - 1]);
}

static void free_cases(cases *s) {
    free(s->a);
    free(s->b);
    free(s->c);
}

/* Random operands are of four kinds in turn: any bits; ordinary sizes; c near -ab, so that an fma cancels; b near a. */
static void add_random_case(cases *s, int width, uint64_t *state) {
    uint64_t sign = sign_bit(width), exponent = one(width), mantissa = ((uint64_t)1 << mantissa_bits(width)) - 1;
    uint64_t x[3];
    unsigned way = next_random(state) % 4;
    for (int k = 0; k < 3; k++) {
        uint64_t r = next_random(state);
        x[k] = width == 32 ? (uint32_t)r : r;
        if (way == 1 || way == 2) x[k] = (x[k] & (sign | mantissa)) | (exponent + ((r >> 8) % 9 - 4) * (mantissa + 1));
    }
    if (way == 2) x[2] = bits_of(-value_of(x[0], width) * value_of(x[1], width), width) + next_random(state) % 5 - 2;
    if (way == 3) x[1] = x[0] ^ (next_random(state) % 3);
    add_case(s, x[0], x[1], x[2]);
}

static cases general_cases(int width, size_t random_cases) {
    cases s = {0};
    uint64_t edge[MAX_EDGES], state = 1;
    int n = edge_patterns(width, edge);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) add_case(&s, edge[i], edge[j], edge[(i + 7 * j) % n]);
    for (int i = 0; i < n; i += 3) /* neighbours in the list differ in sign, so a step of 3 keeps both signs */
        for (int j = 0; j < n; j += 3)
            for (int k = 0; k < n; k += 3) add_case(&s, edge[i], edge[j], edge[k]);
    for (size_t i = 0; i < random_cases; i++) add_random_case(&s, width, &state);
    fill_last_block(&s);
    return s;
}

/* Cases for binary16. Operations on halves get every half. Operations on floats get every half, every point midway to
   the next half, the floats next to these, and random patterns. */
static cases half_cases(const vec_operation *load_half, size_t random_cases) {
    cases s = {0};
    uint64_t state = 2;
    for (uint64_t h = 0; h < 65536; h++) {
        uint64_t ends[2], next = h + 1;
        add_case(&s, h, 0, 0);
        load_half->run(&h, &h, &h, &ends[0]);
        load_half->run(&next, &next, &next, &ends[1]);
        double middle = (value_of(ends[0], 32) + value_of(ends[1], 32)) / 2;
        if ((h & 0x7fff) == 0x7bff) middle = copysign(65520, middle); /* halfway from 65504 to 65536 */
        for (uint64_t near = 0; near < 3; near++) {
            add_case(&s, (uint32_t)(ends[0] + near - 1), 0, 0);
            add_case(&s, (uint32_t)(bits_of(middle, 32) + near - 1), 0, 0);
        }
    }
    for (size_t i = 0; i < random_cases; i++) add_case(&s, (uint32_t)next_random(&state), 0, 0);
    fill_last_block(&s);
    return s;
}

/* a*b + c, rounded to the width once if `fused`; otherwise the product is rounded first. */
static double fma_of(double a, double b, double c, int width, int fused) {
    if (width == 32) return fused ? fmaf((float)a, (float)b, (float)c) : (float)a * (float)b + (float)c;
    return fused ? fma(a, b, c) : a * b + c;
}

/* Writes the result that v_fma, v_fnma or v_mul_error must give to *want; returns 0 if vec.h does not define it. */
static int exact_result(const char *name, const vec_probe *p, double a, double b, double c, uint64_t *want) {
    int width = p->width;
    double y;
    if (!strcmp(name, "v_fma")) y = fma_of(a, b, c, width, p->fused);
    else if (!strcmp(name, "v_fnma")) y = fma_of(-a, b, c, width, p->fused);
    else {
        double product = width == 32 ? (float)a * (float)b : a * b;
        /* No bit of a*b is below 2^-2m |product| / 4, which must be representable; m is the number of mantissa bits. */
        double least = ldexp(1, width == 32 ? -149 + 2 * 23 + 2 : -1074 + 2 * 52 + 2);
        if (!isfinite(product) || fabs(product) < least) return 0;
        if (!p->fused && (fabs(a) >= 0x1p900 || fabs(b) >= 0x1p900)) return 0; /* vec.h promises nothing here */
        y = fma_of(a, b, -product, width, 1);
    }
    *want = bits_of(y, width);
    return 1;
}

static int only_the_nan_differs(const vec_operation *operation, int width, const uint64_t *x, uint64_t got,
                                uint64_t want) {
    int nan_operand = 0;
    for (int k = 0; k < operation->arguments; k++) nan_operand |= is_nan(x[k], width);
    return operation->makes_nans && nan_operand && is_nan(got, width) && is_nan(want, width);
}

/* Compares one operation on all cases. Returns the number of mismatches, and adds that of all cases to *compared. */
static int compare(const vec_probe *p, const vec_operation *operation, const vec_operation *portable, const cases *s,
                   unsigned long long *compared) {
    const char *exact[] = {"v_fma", "v_fnma", "v_mul_error"};
    int is_exact = 0, mismatches = 0;
    for (int k = 0; k < 3; k++) is_exact |= !strcmp(operation->name, exact[k]);
    for (size_t start = 0; start < s->n; start += BLOCK) {
        uint64_t got[BLOCK], want[BLOCK];
        for (size_t i = 0; i < BLOCK; i += (size_t)p->lanes)
            operation->run(s->a + start + i, s->b + start + i, s->c + start + i, got + i);
        for (size_t i = 0; i < BLOCK; i++) {
            uint64_t x[3] = {s->a[start + i], s->b[start + i], s->c[start + i]};
            double v[3] = {value_of(x[0], p->width), value_of(x[1], p->width), value_of(x[2], p->width)};
            if (!is_exact) portable->run(&x[0], &x[1], &x[2], &want[i]);
            else if (!exact_result(operation->name, p, v[0], v[1], v[2], &want[i])) continue;
            ++*compared;
            if (got[i] == want[i] || only_the_nan_differs(operation, p->width, x, got[i], want[i])) continue;
            if (++mismatches > SHOWN) continue;
            printf("MISMATCH %s f%d %s(", p->target, p->width, operation->name);
            for (int k = 0; k < operation->arguments; k++) printf("%s%#llx", k ? ", " : "", (unsigned long long)x[k]);
            printf(") = %#llx, expected %#llx\n", (unsigned long long)got[i], (unsigned long long)want[i]);
        }
    }
    return mismatches;
}

static const vec_probe *find_probe(const char *target, int width) {
    const vec_probe *p = vec_probes;
    while (p && (strcmp(p->target, target) || p->width != width)) p = p->next;
    if (!p) printf("MISSING probe of %s f%d\n", target, width);
    return p;
}

static const vec_operation *find_operation(const vec_probe *p, const char *name) {
    for (int k = 0; k < p->count; k++)
        if (!strcmp(p->operations[k].name, name)) return p->operations + k;
    return 0;
}

/* Returns the number of lines "INLINE type name(" of portable.h whose operation has no probe. */
static int missing_operations(const char *header, const vec_probe *p) {
    FILE *file = fopen(header, "r");
    char line[1000], name[100];
    int defined = 0, missing = 0;
    if (!file) {
        perror(header);
        return 1;
    }
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "INLINE %*s %99[a-z0-9_](", name) != 1) continue;
        defined++;
        if (find_operation(p, name)) continue;
        printf("MISSING %s: in %s, not in vec_probe.c\n", name, header);
        missing++;
    }
    fclose(file);
    return missing + !defined;
}

static int test_width(int width, size_t random_cases) {
    const vec_probe *portable = find_probe("portable", width);
    int failures = 0;
    if (!portable) return 1;
    cases general = general_cases(width, random_cases), halves = {0};
    if (width == 32) halves = half_cases(find_operation(portable, "v_load_half"), random_cases);
    for (int t = 0; t < fl_target_count; t++) {
        if (!fl_targets[t].supported()) {
            printf("%-9s f%d  not supported by this CPU\n", fl_targets[t].name, width);
            continue;
        }
        const vec_probe *p = find_probe(fl_targets[t].name, width);
        unsigned long long compared = 0;
        int mismatches = !p;
        for (int k = 0; p && k < p->count; k++) {
            const vec_operation *operation = p->operations + k;
            const cases *s = strstr(operation->name, "_half") ? &halves : &general;
            mismatches += compare(p, operation, find_operation(portable, operation->name), s, &compared);
        }
        if (p)
            printf("%-9s f%d  %d operations, %llu cases, %d mismatches\n", p->target, width, p->count, compared,
                   mismatches);
        failures += mismatches;
    }
    free_cases(&general);
    free_cases(&halves);
    return failures;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: %s portable.h [random cases]\n", argv[0]);
        return 2;
    }
    size_t random_cases = argc > 2 ? strtoull(argv[2], 0, 0) : DEFAULT_CASES;
    const vec_probe *widest = find_probe("portable", 32); /* only this width has operations on halves */
    int failures = widest ? missing_operations(argv[1], widest) : 1;
    failures += test_width(32, random_cases) + test_width(64, random_cases);
    return failures != 0;
}
