/* The floating-point status: the exceptions that arithmetic has raised so far.

   NumPy clears it before an operation and turns what it finds afterwards into warnings. Kernels raise exceptions that
   the mathematics does not (underflow of e^x, comparisons with nan), so a loop puts back the status that it found.
   Reading MXCSR and writing it only where it changed costs a nanosecond; fegetenv and fesetenv cost three hundred. The
   empty asm keeps the compiler from moving stores, and with them the arithmetic they need, across.

   The control bits say how arithmetic rounds, and whether subnormal numbers count as 0. Threads that compute a part of
   a call have those of its caller; control_for_others returns them, with no exception to trap. */

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
typedef unsigned fl_control;
#define STATUS_CONTROL 0xe040u /* rounding, and both bits of subnormal numbers */
#define STATUS_QUIET 0x1f80u   /* no exception traps */
static inline fl_control control_for_others(void) { return (_mm_getcsr() & STATUS_CONTROL) | STATUS_QUIET; }
static inline void control_set(fl_control control) { _mm_setcsr(control); }
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
typedef uint64_t fl_control;
#define STATUS_TRAPS 0x9f00u
static inline fl_control control_for_others(void) {
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr)::"memory");
    return fpcr & ~(uint64_t)STATUS_TRAPS;
}
static inline void control_set(fl_control control) { __asm__ volatile("msr fpcr, %0" ::"r"(control) : "memory"); }
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
typedef int fl_control;
static inline fl_control control_for_others(void) { return fegetround(); }
static inline void control_set(fl_control control) { fesetround(control); }
#endif
