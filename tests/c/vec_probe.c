/* Every operation of the vocabulary for FL_TARGET and FL_WIDTH, applied to arrays of LANES bit patterns. */

#include "vec_probe.h"

#include <string.h>

#include "vec/vec.h"

/* Loads and stores begin one element after the start of their block, because no alignment is promised. */
static vec load(const uint64_t *p) {
    real block[LANES + 1];
    for (int k = 0; k < LANES; k++) {
        bits pattern = (bits)p[k];
        memcpy(block + 1 + k, &pattern, sizeof pattern);
    }
    return v_load(block + 1);
}

static void store(uint64_t *p, vec x) {
    real block[LANES + 1];
    v_store(block + 1, x);
    for (int k = 0; k < LANES; k++) {
        bits pattern;
        memcpy(&pattern, block + 1 + k, sizeof pattern);
        p[k] = pattern;
    }
}

static real real_of(uint64_t p) {
    bits pattern = (bits)p;
    real x;
    memcpy(&x, &pattern, sizeof x);
    return x;
}

#define PARAMETERS const uint64_t *pa, const uint64_t *pb, const uint64_t *pc, uint64_t *out

/* A probe of the operation `name`. Its `result` is a vec of the vecs a, b, c or, for operations on bits, of i and j. */
#define PROBE(name, result) \
    static void probe_##name(PARAMETERS) { \
        vec a = load(pa), b = load(pb), c = load(pc); \
        ivec i = v_bits(a), j = v_bits(b); \
        (void)b, (void)c, (void)i, (void)j; \
        store(out, result); \
    }
/* A probe of an operation that gives a mask, which becomes 1 or 0 in each lane. */
#define PROBE_MASK(name, m) PROBE(name, v_select(m, v_set(1), v_set(0)))

PROBE(v_load, a)
PROBE(v_store, a)
PROBE(v_add, v_add(a, b))
PROBE(v_sub, v_sub(a, b))
PROBE(v_mul, v_mul(a, b))
PROBE(v_div, v_div(a, b))
PROBE(v_fma, v_fma(a, b, c))
PROBE(v_fnma, v_fnma(a, b, c))
PROBE(v_mul_error, v_mul_error(a, b, v_mul(a, b)))
PROBE(v_abs, v_abs(a))
PROBE(v_neg, v_neg(a))
PROBE(v_max, v_max(a, b))
PROBE(v_min, v_min(a, b))
PROBE_MASK(v_eq, v_eq(a, b))
PROBE_MASK(v_ne, v_ne(a, b))
PROBE_MASK(v_lt, v_lt(a, b))
PROBE_MASK(v_le, v_le(a, b))
PROBE(v_select, v_select(v_lt(a, b), b, c))
PROBE(v_unless, v_unless(v_lt(b, c), a))
PROBE(v_add_where, v_add_where(v_add(a, v_set(0)), v_lt(b, c), b)) /* adding 0 makes 0 of -0, which is not allowed */
PROBE_MASK(mask_and, mask_and(v_lt(a, b), v_le(b, c)))
PROBE_MASK(mask_or, mask_or(v_lt(a, b), v_le(b, c)))
PROBE(v_bits, v_real(v_bits(a)))
PROBE(v_real, v_real(v_bits(a)))
PROBE(i_add, v_real(i_add(i, j)))
PROBE(i_sub, v_real(i_sub(i, j)))
PROBE(i_and, v_real(i_and(i, j)))
PROBE(i_or, v_real(i_or(i, j)))

/* The result is element b mod 4 of row a mod 64. */
static void probe_v_rows(PARAMETERS) {
    real table[64][4];
    vec row[4];
    (void)pc;
    for (int r = 0; r < 64; r++)
        for (int k = 0; k < 4; k++) table[r][k] = (real)(4 * r + k);
    v_rows((const real(*)[4])table, i_and(v_bits(load(pa)), i_set(63)), row);
    for (int k = 0; k < 4; k++) {
        uint64_t lanes[LANES];
        store(lanes, row[k]);
        for (int l = 0; l < LANES; l++)
            if (pb[l] % 4 == (unsigned)k) out[l] = lanes[l];
    }
}

/* The result is element b mod 4 of a row of the bit patterns a, a + 1, a + 2, a + 3; rows are five elements apart. */
static void probe_v_columns(PARAMETERS) {
    real rows[5 * LANES];
    vec column[4];
    (void)pc;
    for (int l = 0; l < LANES; l++)
        for (int k = 0; k < 4; k++) rows[5 * l + k] = real_of(pa[l] + (uint64_t)k);
    v_columns(rows, 5, column);
    for (int k = 0; k < 4; k++) {
        uint64_t lanes[LANES];
        store(lanes, column[k]);
        for (int l = 0; l < LANES; l++)
            if (pb[l] % 4 == (unsigned)k) out[l] = lanes[l];
    }
}

/* The rows have the bit patterns a, a + 1, a + 2, a + 3, and the result is element b mod 4. Where rows are three elements
   apart, the fourth column is lost to the next row; if any other is, the result is wrong. */
static void probe_v_store_columns(PARAMETERS) {
    real apart[5 * LANES], close[3 * LANES + 1];
    vec column[4];
    (void)pc;
    for (int k = 0; k < 4; k++) {
        uint64_t lanes[LANES];
        for (int l = 0; l < LANES; l++) lanes[l] = pa[l] + (uint64_t)k;
        column[k] = load(lanes);
    }
    v_store_columns(apart, 5, column);
    v_store_columns(close, 3, column);
    for (int l = 0; l < LANES; l++) {
        bits pattern;
        memcpy(&pattern, apart + 5 * l + pb[l] % 4, sizeof pattern);
        out[l] = memcmp(apart + 5 * l, close + 3 * l, 3 * sizeof(real)) == 0 ? pattern : ~pattern;
    }
}

/* The bytes are those of a's patterns, the lowest one of each; b chooses some to be 0. */
static void probe_mask_load(PARAMETERS) {
    char bytes[LANES + 1];
    (void)pc;
    for (int k = 0; k < LANES; k++) bytes[1 + k] = pb[k] % 3 ? (char)pa[k] : 0;
    store(out, v_select(mask_load(bytes + 1), v_set(1), v_set(0)));
}

/* Lane k is inside the part if b is odd; a lane outside shows c. */
static void probe_v_load_part(PARAMETERS) {
    for (int k = 0; k < LANES; k++) {
        real block[LANES];
        uint64_t lanes[LANES];
        v_store(block, load(pa));
        store(lanes, v_load_part(block, k + (int)(pb[k] % 2), real_of(pc[k])));
        out[k] = lanes[k];
    }
}
static void probe_v_store_part(PARAMETERS) {
    for (int k = 0; k < LANES; k++) {
        real block[LANES];
        uint64_t lanes[LANES];
        v_store(block, load(pc));
        v_store_part(block, k + (int)(pb[k] % 2), load(pa));
        store(lanes, v_load(block));
        out[k] = lanes[k];
    }
}

/* Row r of a matrix becomes its column r; this tries every r. */
static void probe_v_transpose(PARAMETERS) {
    (void)pc;
    for (int r = 0; r < LANES; r++) {
        vec x[LANES];
        for (int i = 0; i < LANES; i++) x[i] = load(i == r ? pa : pb);
        v_transpose(x);
        for (int k = 0; k < LANES; k++) {
            uint64_t lanes[LANES];
            store(lanes, x[k]);
            out[k] = r == 0 || out[k] == lanes[r] ? lanes[r] : ~lanes[r];
        }
    }
}

/* This tries swaps of all distances. After each, an element must stand in its new lane; if not, the result is wrong. */
static void probe_v_swap(PARAMETERS) {
    uint64_t lanes[LANES];
    (void)pb, (void)pc;
    store(out, load(pa));
#pragma GCC unroll 4
    for (int distance = LANES / 2; distance > 0; distance /= 2) {
        store(lanes, v_swap(load(pa), distance));
        for (int k = 0; k < LANES; k++)
            if (lanes[k ^ distance] != out[k]) out[k] = ~out[k];
    }
}

#if defined(VEC_LOOKUP32) || defined(VEC_LOOKUP16) || LANES == 1
static void probe_v_lookup(PARAMETERS) {
    real table[32];
    (void)pb, (void)pc;
    for (int k = 0; k < 32; k++) table[k] = (real)k;
    store(out, v_lookup(table, v_bits(load(pa))));
}
#endif

#if defined(VEC_LOOKUP8) || LANES == 1
static void probe_v_lookup8(PARAMETERS) {
    real table[8];
    (void)pb, (void)pc;
    for (int k = 0; k < 8; k++) table[k] = (real)k;
    store(out, v_lookup8(table, v_bits(load(pa))));
}
#endif

/* The result is element b mod 2 of row a mod 64. */
#ifdef VEC_PAIRS
static void probe_v_pairs(PARAMETERS) {
    real table[64][2];
    vec pair[2];
    (void)pc;
    for (int r = 0; r < 64; r++)
        for (int k = 0; k < 2; k++) table[r][k] = (real)(2 * r + k);
    v_pairs((const real(*)[2])table, i_and(v_bits(load(pa)), i_set(63)), pair);
    for (int k = 0; k < 2; k++) {
        uint64_t lanes[LANES];
        store(lanes, pair[k]);
        for (int l = 0; l < LANES; l++)
            if (pb[l] % 2 == (unsigned)k) out[l] = lanes[l];
    }
}
#endif

/* All lanes get the value of element k, and the result takes it from the lane opposite to k. */
static void probe_v_set(PARAMETERS) {
    (void)pb, (void)pc;
    for (int k = 0; k < LANES; k++) {
        uint64_t lanes[LANES];
        store(lanes, v_set(real_of(pa[k])));
        out[k] = lanes[LANES - 1 - k];
    }
}

static void probe_i_set(PARAMETERS) {
    (void)pb, (void)pc;
    for (int k = 0; k < LANES; k++) {
        uint64_t lanes[LANES];
        store(lanes, v_real(i_set((bits)pa[k])));
        out[k] = lanes[LANES - 1 - k];
    }
}

/* One truth for all lanes: a[k] < b[k], while 0 < 0 in all other lanes. */
static void probe_mask_any(PARAMETERS) {
    (void)pc;
    for (int k = 0; k < LANES; k++) {
        uint64_t a[LANES] = {0}, b[LANES] = {0};
        a[k] = pa[k];
        b[k] = pb[k];
        out[k] = mask_any(v_lt(load(a), load(b))) != 0;
    }
}

/* The result is a, shifted by b mod FL_WIDTH. A count must be constant, so an unrolled loop tries all counts. */
#define PROBE_SHIFT(name) \
    static void probe_##name(PARAMETERS) { \
        ivec i = v_bits(load(pa)); \
        (void)pc; \
        _Pragma("GCC unroll 64") for (int count = 0; count < FL_WIDTH; count++) { \
            uint64_t lanes[LANES]; \
            store(lanes, v_real(name(i, count))); \
            for (int k = 0; k < LANES; k++) \
                if (pb[k] % FL_WIDTH == (unsigned)count) out[k] = lanes[k]; \
        } \
    }
PROBE_SHIFT(i_shl)
PROBE_SHIFT(i_shr)

#if FL_WIDTH == 32
static void probe_v_load_half(PARAMETERS) {
    uint16_t block[LANES + 1];
    (void)pb, (void)pc;
    for (int k = 0; k < LANES; k++) block[1 + k] = (uint16_t)pa[k];
    store(out, v_load_half(block + 1));
}
static void probe_v_store_half(PARAMETERS) {
    uint16_t block[LANES + 1];
    (void)pb, (void)pc;
    v_store_half(block + 1, load(pa));
    for (int k = 0; k < LANES; k++) out[k] = block[1 + k];
}
#endif

#define SELECTS(name, arguments) {#name, arguments, 0, probe_##name}
#define COMPUTES(name, arguments) {#name, arguments, 1, probe_##name}

static const vec_operation operations[] = {
    SELECTS(v_load, 1),       SELECTS(v_store, 1),      SELECTS(v_set, 1),       COMPUTES(v_add, 2),
    COMPUTES(v_sub, 2),       COMPUTES(v_mul, 2),       COMPUTES(v_div, 2),      COMPUTES(v_fma, 3),
    COMPUTES(v_fnma, 3),      COMPUTES(v_mul_error, 2), SELECTS(v_abs, 1),       SELECTS(v_neg, 1),
    SELECTS(v_max, 2),        SELECTS(v_min, 2),        SELECTS(v_eq, 2),        SELECTS(v_ne, 2),
    SELECTS(v_lt, 2),         SELECTS(v_le, 2),         SELECTS(v_select, 3),    SELECTS(v_unless, 3),
    SELECTS(mask_and, 3),     SELECTS(mask_or, 3),      SELECTS(mask_any, 2),    SELECTS(v_bits, 1),
    SELECTS(v_real, 1),       SELECTS(i_set, 1),        SELECTS(i_add, 2),       SELECTS(i_sub, 2),
    SELECTS(i_and, 2),        SELECTS(i_or, 2),         SELECTS(i_shl, 2),       SELECTS(i_shr, 2),
    SELECTS(v_rows, 2),       SELECTS(v_columns, 2),    SELECTS(v_load_part, 3), SELECTS(v_store_part, 3),
    SELECTS(v_transpose, 2),  SELECTS(v_swap, 1),       SELECTS(mask_load, 2),   SELECTS(v_store_columns, 2),
    COMPUTES(v_add_where, 3),
#if defined(VEC_LOOKUP32) || defined(VEC_LOOKUP16) || LANES == 1
    SELECTS(v_lookup, 1),
#endif
#if defined(VEC_LOOKUP8) || LANES == 1
    SELECTS(v_lookup8, 1),
#endif
#ifdef VEC_PAIRS
    SELECTS(v_pairs, 2),
#endif
#if FL_WIDTH == 32
    SELECTS(v_load_half, 1),  SELECTS(v_store_half, 1),
#endif
};

#define QUOTE(name) #name
#define NAME(target) QUOTE(target)

static vec_probe self = {
    .target = NAME(FL_TARGET),
    .width = FL_WIDTH,
    .lanes = LANES,
    .fused = FL_FUSED,
    .operations = operations,
    .count = (int)(sizeof operations / sizeof operations[0]),
};

/* Each probe adds itself to the list before main, so that this file needs no list of targets. */
__attribute__((constructor)) static void announce(void) {
    self.next = vec_probes;
    vec_probes = &self;
}
