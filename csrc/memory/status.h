/* The floating-point status: the exceptions that arithmetic has raised so far.

   NumPy clears it before an operation and turns what it finds afterwards into warnings. Kernels raise exceptions that
   the mathematics does not (underflow of e^x, comparisons with nan), so a loop puts back the status that it found.
   Reading MXCSR and writing it only where it changed costs a nanosecond; fegetenv and fesetenv cost three hundred. The
   empty asm keeps the compiler from moving stores, and with them the arithmetic they need, across. */

#pragma once

#include <stdint.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
typedef unsigned fl_status;
static inline fl_status status_save(void) { return _mm_getcsr(); }
static inline void status_restore(fl_status saved) {
    __asm__ volatile("" ::: "memory");
    if (_mm_getcsr() != saved) _mm_setcsr(saved);
}
#define STATUS_INVALID 1u
#define STATUS_DIVIDE 4u
static inline void status_raise(unsigned exceptions) {
    if (exceptions) _mm_setcsr(_mm_getcsr() | exceptions);
}
#elif defined(__aarch64__)
typedef uint64_t fl_status;
static inline fl_status status_read(void) {
    uint64_t fpsr;
    __asm__ volatile("mrs %0, fpsr" : "=r"(fpsr)::"memory");
    return fpsr;
}
static inline fl_status status_save(void) { return status_read(); }
static inline void status_restore(fl_status saved) {
    if (status_read() != saved) __asm__ volatile("msr fpsr, %0" ::"r"(saved) : "memory");
}
#define STATUS_INVALID 1u
#define STATUS_DIVIDE 2u
static inline void status_raise(unsigned exceptions) {
    if (exceptions) __asm__ volatile("msr fpsr, %0" ::"r"(status_read() | exceptions) : "memory");
}
#else
#include <fenv.h>
typedef fexcept_t fl_status;
static inline fl_status status_save(void) {
    fexcept_t saved;
    fegetexceptflag(&saved, FE_ALL_EXCEPT);
    return saved;
}
static inline void status_restore(fl_status saved) { fesetexceptflag(&saved, FE_ALL_EXCEPT); }
#define STATUS_INVALID ((unsigned)FE_INVALID)
#define STATUS_DIVIDE ((unsigned)FE_DIVBYZERO)
static inline void status_raise(unsigned exceptions) {
    if (exceptions) feraiseexcept((int)exceptions);
}
#endif
