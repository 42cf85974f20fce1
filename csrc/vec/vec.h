/* The vocabulary: every operation that the mathematics may use, for the target FL_TARGET and the width FL_WIDTH.

   Prefixes
     v_ vectors of reals   i_ vectors of bits   mask_ masks   dw_ double words   m_ other mathematics (math/)
     w_ integers of several words (math/near_zero.h)   k_ kernels, and pole_ and divisor_ beside them
     Functions of memory/, sums/ and loops/ have no prefix.

   Types
     real          float (FL_WIDTH 32) or double (FL_WIDTH 64)
     bits          the unsigned integer of the same width
     vec           LANES reals            ivec   LANES bits            mask   LANES truth values

   Memory; no alignment is assumed
     v_load(p)  v_store(p, x)      LANES consecutive reals
     v_load_part(p, n, c)          the n <= LANES reals at p, then c; nothing else is read
     v_store_part(p, n, x)         the first n <= LANES lanes; nothing else is written
     mask_load(p)                  the LANES bytes at p: true where a byte is not 0
     v_load_half(p)  v_store_half(p, x)     LANES consecutive binary16, width 32 only; the store rounds to nearest even

   Arithmetic, rounded to nearest even
     v_set(c)                      c in every lane
     v_add  v_sub  v_mul  v_div    IEEE 754
     v_fma(a, b, c)                a*b + c, rounded once where FL_FUSED is 1, else a*b is rounded as well
     v_fnma(a, b, c)               c - a*b, likewise
     v_mul_error(a, b, p)          a*b - p exactly, given p = v_mul(a, b), no underflow, and |a|, |b| < 2^900
     v_abs  v_neg                  the sign bit alone; nan too
     v_max(a, b)                   a > b ? a : b     so b where either is nan, and b where both are zeros
     v_min(a, b)                   a < b ? a : b     likewise

   Comparison and choice; every comparison with a nan is false, but v_ne is true
     v_eq  v_ne  v_lt  v_le
     v_select(m, a, b)             m ? a : b
     v_unless(m, x)                m ? 0 : x
     v_add_where(x, m, y)          m ? x + y : x     for x that is not -0
     mask_and  mask_or  mask_any            mask_any(m): is any lane true (an int)

   Tables
     v_rows(table, i, row)         row[k] = table[i][k] lane by lane; rows of four, i below their number
     v_pairs(table, i, pair)       pair[k] = table[i][k] lane by lane; rows of two, where VEC_PAIRS is defined
     v_columns(p, step, column)    column[k] = p[step times the lane + k], for k = 0 .. 3
     v_store_columns(p, step, c)   p[step times the lane + k] = c[k], for k = 0 .. 3; the first lane first, so that the
                                   next one overwrites what is too much where step is below 4
     v_lookup(table, i)            table[i mod 32] at width 32, table[i mod 16] at width 64: fast where VEC_LOOKUP32
                                   or VEC_LOOKUP16 is defined, else in portable.h alone
     v_lookup8(table, i)           table[i mod 8] at width 32: where VEC_LOOKUP8 is defined, and in portable.h
     v_swap(x, k)                  lanes i and i xor k change places, for a constant power of two k < LANES
     v_transpose(x)                element k of vector i and element i of vector k change places, for LANES vectors

   Bits
     v_bits(x)  v_real(i)          reinterpret
     i_set  i_add  i_sub  i_and  i_or       modulo 2^FL_WIDTH
     i_shl(i, k)  i_shr(i, k)      logical shifts by a constant

   portable.h is the definition: the others agree with it bit for bit, apart from the fusedness above and from
   which nan (sign, payload) results when a nan is an operand. Status flags are not part of the vocabulary: an
   operation may raise any; the guard in target.c removes them. */

#pragma once

#include <stdint.h>

#if FL_WIDTH == 32
typedef float real;
typedef uint32_t bits;
#define REAL(x) x##f
#define MANTISSA_BITS 23 /* stored ones */
#define EXPONENT_BIAS 127
#define REAL_MIN 0x1p-126f
#define REAL_MAX 0x1.fffffep127f
#elif FL_WIDTH == 64
typedef double real;
typedef uint64_t bits;
#define REAL(x) x
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define REAL_MIN 0x1p-1022
#define REAL_MAX 0x1.fffffffffffffp1023
#else
#error "FL_WIDTH must be 32 or 64"
#endif

#define REAL_INFINITY ((real)__builtin_inf())
#define REAL_NAN ((real)__builtin_nan(""))
#define SIGN_BIT ((bits)1 << (FL_WIDTH - 1))

/* Every function of the vocabulary and of math/ and kernels/ must dissolve into its loop. */
#define INLINE static inline __attribute__((always_inline, unused))

/* What few vectors need is a call, so that the registers of a loop do not serve it too: a tenth of a loop's time. */
#define RARE static __attribute__((noinline, unused))
#define RARELY(condition) __builtin_expect(condition, 0)

/* Two-step quotation, so that FL_TARGET is replaced by its value first: avx2 -> "avx2.h". */
#define FL_QUOTE(name) #name
#define FL_HEADER(target) FL_QUOTE(target.h)
#include FL_HEADER(FL_TARGET)
