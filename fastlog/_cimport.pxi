"""Functions for other extensions, which _core.pxd declares: those of the table, on the active target.

This is a part of _core.pyx.

A new function of the table needs its number here, a function of its name, and that function's declaration in _core.pxd.
"""

from libc.string cimport strcmp

cdef extern from "fastlog.h":
    const int FL_softplus, FL_log_sigmoid, FL_sigmoid, FL_silu, FL_mish, FL_logit
    const int FL_log1mexp, FL_logexpm1, FL_entr, FL_logaddexp, FL_logaddexp2, FL_logsubexp, FL_xlogy
    const int FL_xlog1py, FL_rel_entr, FL_logsumexp, FL_softmax, FL_log_softmax


cdef fl_loop *loop(const char *name, char type, int arguments) noexcept nogil:
    """Return the loop of a function of the table on float ('f') or double ('d').

    Return NULL if there is none, or if the function does not have so many inputs and outputs together.
    """
    cdef int i
    cdef const fl_shape_info *shape
    for i in range(FL_FUNCTIONS):
        shape = &fl_shapes[fl_rows[i].shape]
        if strcmp(fl_rows[i].name, name) == 0 and shape.types != NULL and shape.nin + shape.nout == arguments:
            return fl_loop_of(active, i, type)
    return NULL


cdef void run_alone(int function, char **args, Py_ssize_t rows, Py_ssize_t n, const intptr_t *steps,
                    bint single) noexcept nogil:
    """Run a loop on this thread: the caller may have threads of its own, of which this is one."""
    cdef int before = fl_set_threads(1)
    run(function, args, rows, n, steps, single)
    fl_set_threads(before)


cdef void run(int function, char **args, Py_ssize_t rows, Py_ssize_t n, const intptr_t *steps,
              bint single) noexcept nogil:
    cdef intptr_t dims[2]
    dims[0], dims[1] = rows, n
    fl_loop_of(active, function, c"f" if single else c"d")(args, dims, steps, NULL)


cdef floating of_one(int function, floating x) noexcept nogil:
    cdef floating y
    cdef char *args[2]
    cdef intptr_t steps[2]
    args[0], args[1] = <char *>&x, <char *>&y
    steps[0] = steps[1] = sizeof(floating)
    run(function, args, 1, 1, steps, floating is float)
    return y


cdef floating of_two(int function, floating x, floating y) noexcept nogil:
    cdef floating z
    cdef char *args[3]
    cdef intptr_t steps[3]
    args[0], args[1], args[2] = <char *>&x, <char *>&y, <char *>&z
    steps[0] = steps[1] = steps[2] = sizeof(floating)
    run(function, args, 1, 1, steps, floating is float)
    return z


cdef floating softplus(floating x) noexcept nogil:
    return of_one(FL_softplus, x)


cdef floating log_sigmoid(floating x) noexcept nogil:
    return of_one(FL_log_sigmoid, x)


cdef floating log_expit(floating x) noexcept nogil:
    return of_one(FL_log_sigmoid, x)


cdef floating sigmoid(floating x) noexcept nogil:
    return of_one(FL_sigmoid, x)


cdef floating expit(floating x) noexcept nogil:
    return of_one(FL_sigmoid, x)


cdef floating silu(floating x) noexcept nogil:
    return of_one(FL_silu, x)


cdef floating mish(floating x) noexcept nogil:
    return of_one(FL_mish, x)


cdef floating logit(floating x) noexcept nogil:
    return of_one(FL_logit, x)


cdef floating log1mexp(floating x) noexcept nogil:
    return of_one(FL_log1mexp, x)


cdef floating logexpm1(floating x) noexcept nogil:
    return of_one(FL_logexpm1, x)


cdef floating entr(floating x) noexcept nogil:
    return of_one(FL_entr, x)


cdef floating logaddexp(floating x, floating y) noexcept nogil:
    return of_two(FL_logaddexp, x, y)


cdef floating logaddexp2(floating x, floating y) noexcept nogil:
    return of_two(FL_logaddexp2, x, y)


cdef floating logsubexp(floating x, floating y) noexcept nogil:
    return of_two(FL_logsubexp, x, y)


cdef floating xlogy(floating x, floating y) noexcept nogil:
    return of_two(FL_xlogy, x, y)


cdef floating xlog1py(floating x, floating y) noexcept nogil:
    return of_two(FL_xlog1py, x, y)


cdef floating rel_entr(floating x, floating y) noexcept nogil:
    return of_two(FL_rel_entr, x, y)


cdef floating logsumexp(const floating *x, Py_ssize_t n) noexcept nogil:
    """Return the logsumexp of n contiguous elements; -inf for none."""
    cdef floating y
    cdef char *args[2]
    cdef intptr_t steps[3]
    args[0], args[1] = <char *>x, <char *>&y
    steps[0], steps[1], steps[2] = 0, 0, sizeof(floating)
    run_alone(FL_logsumexp, args, 1, n, steps, floating is float)
    return y


cdef void normalize_rows(int function, const floating *x, floating *y, Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    cdef char *args[2]
    cdef intptr_t steps[4]
    args[0], args[1] = <char *>x, <char *>y
    steps[0] = steps[1] = n * sizeof(floating)
    steps[2] = steps[3] = sizeof(floating)
    run_alone(function, args, rows, n, steps, floating is float)


cdef void softmax(const floating *x, floating *y, Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    """Normalise contiguous rows of n elements; y may be x, or apart from it."""
    normalize_rows(FL_softmax, x, y, rows, n)


cdef void log_softmax(const floating *x, floating *y, Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    """Normalise contiguous rows of n elements; y may be x, or apart from it."""
    normalize_rows(FL_log_softmax, x, y, rows, n)
