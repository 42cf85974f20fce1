/* The table's rows, the shapes, the targets that this build holds, and the choice of a loop. */

#include "fastlog.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

const fl_row fl_rows[FL_FUNCTIONS] = {
#define FL_FUNCTION(name, shape) [FL_##name] = {#name, fl_##shape},
#include "functions.def"
};

const char *const fl_aliases[FL_FUNCTIONS] = {
#define FL_ALIAS(name, ufunc) [FL_##name] = #ufunc,
#include "functions.def"
};

const fl_claim fl_claims[FL_FUNCTIONS][2] = {
#define FL_CLAIM(name, width, ulp, ...) [FL_##name][width == 64] = {ulp, __VA_ARGS__},
#include "functions.def"
};

/* Each row is nin, nout, signature, types, split, has_identity. */
const fl_shape_info fl_shapes[] = {
    [fl_map1] = {1, 1, 0, "--", fl_split_anywhere, 0},
    [fl_map2] = {2, 1, 0, "---", fl_split_anywhere, 1},
    [fl_map1_raising] = {1, 1, 0, "--", fl_split_anywhere, 0},
    [fl_map2_raising] = {2, 1, 0, "---", fl_split_anywhere, 0},
    [fl_map2_logaddexp] = {2, 1, 0, "---", fl_split_anywhere, 1},
    [fl_reduce] = {1, 1, "(n)->()", "--", fl_split_rows, 0},
    [fl_normalize] = {1, 1, "(n)->(n)", "--", fl_split_rows, 0},
    [fl_normalize_terms] = {1, 1, "(n)->(n)", "--", fl_split_rows, 0},
    [fl_reduce_segments] = {3, 1, "(n),(s),(s)->(s)", "-qq-", fl_split_rows, 0},
    [fl_reduce_buckets] = {3, 3, "(n),(n),(s)->(s),(s),(s,2)", "-q---d", fl_split_rows, 0},
    [fl_normalize_buckets] = {3, 1, "(n),(n),(s,2)->(n)", "-qd-", fl_split_rows, 0},
    [fl_reduce_weighted] = {3, 2, "(n),(n),(n)->(),()", "--?--", fl_split_rows, 0},
    [fl_reduce_normalize] = {1, 2, "(n)->(n),()", "---", fl_split_rows, 0},
    [fl_reduce_partition] = {1, 2, "(n)->(),()", "---", fl_split_rows, 0},
    [fl_reduce_pairs] = {2, 1, "(n),(n)->()", "---", fl_split_rows, 0},
    [fl_draw] = {2, 1, "(n),()->()", "-dq", fl_split_rows, 0},
    [fl_element_loss] = {4, 4, 0, 0, fl_split_sums, 0},
    [fl_chain] = {4, 2, "(k),(k,k),(k,k),(t,k)->(t,k),(k,16)", "------", fl_split_rows, 0},
    [fl_chain_pairs] = {4, 2, "(k,k),(t,k),(t,k),(t,k)->(k,k),(k,16)", "------", fl_split_rows, 0},
    [fl_row_loss] = {3, 4, 0, 0, fl_split_sums, 0},
};

static int always(void) { return 1; }

#if defined(__x86_64__)
static int has_of_leaf1(unsigned wanted) {
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & wanted) == wanted;
}

#if defined(_WIN32)
/* What __builtin_cpu_supports calls is in a library that clang-cl does not link, so cpuid is asked directly, and the
   operating system (XCR0) whether it saves the registers. */
static int has_of_leaf7(unsigned wanted) {
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & wanted) == wanted;
}
static int saves(unsigned registers) {
    unsigned low, high;
    if (!has_of_leaf1(bit_OSXSAVE)) return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & registers) == registers;
}
static int has_avx2(void) { return saves(0x06) && has_of_leaf7(bit_AVX2) && has_of_leaf1(bit_FMA | bit_F16C); }
static int has_avx512(void) {
    return saves(0xe6) && has_of_leaf7(bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL);
}
#else
/* The compiler's run-time test covers both cpuid and the operating system's part (XCR0): whether it saves the
   registers. Clang before version 17 does not know "f16c". */
static int has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_of_leaf1(bit_F16C);
}
static int has_avx512(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif
#endif

#define DECLARE(target) extern const fl_table fl_table_##target##_16, fl_table_##target##_32, fl_table_##target##_64;
#define TARGET(target, supported) \
    {#target, &fl_table_##target##_16, &fl_table_##target##_32, &fl_table_##target##_64, supported}

#if defined(__x86_64__)
DECLARE(avx512)
DECLARE(avx2)
#elif defined(__aarch64__)
DECLARE(neon)
#endif
DECLARE(portable)

const fl_target fl_targets[] = {
#if defined(__x86_64__)
    TARGET(avx512, has_avx512),
    TARGET(avx2, has_avx2),
#elif defined(__aarch64__)
    TARGET(neon, always), /* Advanced SIMD is part of AArch64 */
#endif
    TARGET(portable, always),
};
const int fl_target_count = (int)(sizeof fl_targets / sizeof fl_targets[0]);

static const fl_table *table_of(const fl_target *target, char type) {
    return type == 'd' ? target->f64 : type == 'f' ? target->f32 : type == 'e' ? target->f16 : 0;
}

fl_loop *fl_loop_of(const fl_target *target, int function, char type) {
    const fl_table *table = table_of(target, type);
    return table ? table->of[function].loop : 0;
}

fl_loop *fl_quiet_loop_of(const fl_target *target, int function, char type) {
    const fl_table *table = table_of(target, type);
    return table ? table->of[function].quiet : 0;
}

fl_loop *fl_stage_of(const fl_target *target, char type) { return table_of(target, type)->stage; }
fl_loop *fl_unstage_of(const fl_target *target, char type) { return table_of(target, type)->unstage; }
