"""Functions for other extensions: ``cimport fastlog`` offers all names of this file. docs/c-api.md explains them.

Cython finds these functions by name and signature when a module is imported, not by their place in a table.
"""

from cython cimport floating
from libc.stdint cimport intptr_t

# A loop as NumPy calls it, with the addresses of the arguments, numbers of elements and strides in bytes.
ctypedef void fl_loop(char **args, const intptr_t *dims, const intptr_t *steps, void *data) noexcept nogil

cdef fl_loop *loop(const char *name, char type, int arguments) noexcept nogil

cdef floating softplus(floating x) noexcept nogil
cdef floating log_sigmoid(floating x) noexcept nogil
cdef floating log_expit(floating x) noexcept nogil
cdef floating sigmoid(floating x) noexcept nogil
cdef floating expit(floating x) noexcept nogil
cdef floating silu(floating x) noexcept nogil
cdef floating mish(floating x) noexcept nogil
cdef floating logit(floating x) noexcept nogil
cdef floating log1mexp(floating x) noexcept nogil
cdef floating logexpm1(floating x) noexcept nogil
cdef floating entr(floating x) noexcept nogil
cdef floating logaddexp(floating x, floating y) noexcept nogil
cdef floating logaddexp2(floating x, floating y) noexcept nogil
cdef floating logsubexp(floating x, floating y) noexcept nogil
cdef floating xlogy(floating x, floating y) noexcept nogil
cdef floating xlog1py(floating x, floating y) noexcept nogil
cdef floating rel_entr(floating x, floating y) noexcept nogil

cdef floating logsumexp(const floating *x, Py_ssize_t n) noexcept nogil
cdef void softmax(const floating *x, floating *y, Py_ssize_t rows, Py_ssize_t n) noexcept nogil
cdef void log_softmax(const floating *x, floating *y, Py_ssize_t rows, Py_ssize_t n) noexcept nogil
