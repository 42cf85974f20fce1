"""What other extensions may call: ``cimport fastlog`` takes it from here. docs/c-api.md explains it.

Cython finds these functions by name and signature when a module is imported, not by their place in a table.
"""

from cython cimport floating
from libc.stdint cimport intptr_t

# NumPy's inner loop: addresses of the arguments, their number of elements, their strides in bytes.
ctypedef void fl_loop(char **args, const intptr_t *dims, const intptr_t *steps, void *data) noexcept nogil

cdef fl_loop *loop(const char *name, char type) noexcept nogil

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
cdef floating logsubexp(floating x, floating y) noexcept nogil
cdef floating xlogy(floating x, floating y) noexcept nogil
cdef floating xlog1py(floating x, floating y) noexcept nogil
cdef floating rel_entr(floating x, floating y) noexcept nogil

cdef floating logsumexp(const floating *x, Py_ssize_t n) noexcept nogil
cdef void softmax(const floating *x, floating *y, Py_ssize_t rows, Py_ssize_t n) noexcept nogil
cdef void log_softmax(const floating *x, floating *y, Py_ssize_t rows, Py_ssize_t n) noexcept nogil
