# cython: freethreading_compatible=True
"""The core: the functions of the C table as NumPy ufuncs, and as loops for any arrays.

C decides the values; this module only makes objects of them. It knows functions by their names only where _cimport.pxi
offers them to other extensions, and where logaddexp gets its methods.
"""

cimport numpy as cnp
from cython cimport internal
from cpython.long cimport PyLong_AsLongAndOverflow, PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New, PyCapsule_SetPointer
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.float cimport DBL_MAX, FLT_MAX, FLT_MIN
from libc.math cimport INFINITY, NAN, fabs
from libc.stdint cimport INT64_MAX, int64_t, intptr_t
from libc.stdlib cimport calloc, free, llabs, malloc
from libc.string cimport memcpy, memset

import os
from functools import partial, wraps
from inspect import signature
from sys import intern
from threading import Lock
from types import MethodType

import numpy as np

from fastlog._docs import docstring
from fastlog._methods import attach_row_methods

cnp.import_array()
cnp.import_ufunc()


cdef extern from "fastlog.h":
    ctypedef enum fl_shape:
        fl_reduce
        fl_normalize
        fl_normalize_terms
        fl_reduce_weighted
        fl_reduce_normalize
        fl_reduce_pairs
        fl_draw
        fl_element_loss
        fl_row_loss
    ctypedef struct fl_row:
        const char *name
        int shape
    ctypedef struct fl_claim:
        double ulp
        double at[2]
    ctypedef struct fl_shape_info:
        int nin
        int nout
        const char *signature
        const char *types
        int has_identity
    ctypedef struct fl_loss_options:
        char target_type
        int are_probabilities
        double scale
        double temperature
        double smoothing
        double positive
        double negative
        double gamma
        const double *class_weight
        int64_t ignored
        int ignores
        int only_weights
    ctypedef struct fl_loss_result:
        double total[2]
        double weight[2]
        int64_t wrong
    ctypedef struct fl_loss:
        const fl_loss_options *options
        fl_loss_result *result
    double fl_sum(const double *sum) noexcept nogil
    void fl_add_result(fl_loss_result *result, const fl_loss_result *part) noexcept nogil
    ctypedef struct fl_staging:
        char type
        double divisor
        double excluded
    ctypedef struct fl_target:
        const char *name
        int (*supported)() noexcept
    fl_loop *fl_loop_of(const fl_target *target, int function, char type) noexcept nogil
    fl_loop *fl_quiet_loop_of(const fl_target *target, int function, char type) noexcept nogil
    fl_loop *fl_stage_of(const fl_target *target, char type) noexcept nogil
    fl_loop *fl_unstage_of(const fl_target *target, char type) noexcept nogil
    const int FL_FUNCTIONS
    const int FL_log_softmax_and_logsumexp
    const fl_row fl_rows[1]
    const char *fl_aliases[1]
    const fl_claim fl_claims[1][2]
    const fl_shape_info fl_shapes[1]
    const fl_target fl_targets[1]
    const int fl_target_count
    const int FL_MOST_THREADS
    int fl_threads() noexcept nogil
    int fl_set_threads(int n) noexcept nogil
    void fl_set_threads_of_process(int n) noexcept nogil
    int fl_pool_size() noexcept nogil

cdef extern from "pool.h":
    const intptr_t FL_BYTES_OF_THREAD
    void fl_share(void (*run)(void *context, int piece) noexcept nogil, void *context, int pieces,
                  intptr_t bytes) noexcept nogil

cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        Py_ssize_t tp_vectorcall_offset
        unsigned long tp_flags
    ctypedef object (*vectorcallfunc)(object callable, PyObject **args, size_t flags, PyObject *names)
    const unsigned long Py_TPFLAGS_HAVE_VECTORCALL
    Py_ssize_t PyVectorcall_NARGS(size_t flags) noexcept
    object PyVectorcall_Call(object callable, object args, object kwargs)
    object PyObject_Vectorcall(object callable, PyObject **args, size_t flags, PyObject *names)

cdef extern from "numpy/arrayobject.h":
    object PyArray_Scalar(void *data, cnp.PyArray_Descr *descr, object base)

cdef extern from "numpy/ufuncobject.h":
    ctypedef struct PyArray_DTypeMeta:
        pass
    ctypedef struct PyUFuncObject:  # NumPy's own declarations of its members differ from version to version.
        int nin
        int nout
        int nargs
        int ntypes
        cnp.PyUFuncGenericFunction *functions
        void **data
        const char *name
        const char *types
        const char *doc
    int PyUFunc_AddPromoter(object ufunc, object dtypes, object promoter) except -1
    int PyUFunc_IdentityValue
    int PyUFunc_ReplaceLoopBySignature(
        cnp.ufunc ufunc, cnp.PyUFuncGenericFunction loop, const int *signature, cnp.PyUFuncGenericFunction *old)
    object PyUFunc_FromFuncAndDataAndSignatureAndIdentity(
        cnp.PyUFuncGenericFunction *functions, void **data, const char *types, int ntypes, int nin, int nout,
        int identity, const char *name, const char *doc, int unused, const char *signature, object identity_value)

cdef enum:
    MAX_TYPES = 3
    MAX_ARGUMENTS = 8
    MAX_DIMENSIONS = 64  # This is NumPy's own limit.

cdef const fl_target *active
cdef dict built = {}  # It has the ufuncs of targets. They are made once, as NumPy keeps pointers into them.
cdef list kept_alive = []  # Ufuncs point into these docstrings and ufuncs.
cdef dict rows_of_ufuncs = {}  # It has the target's name and the function of ufuncs that make_ufunc has made.
cdef dict widened = {}  # It has the DTypes that ufuncs of with_loops_of have from the second one.

INDEX = {fl_rows[i].name.decode(): i for i in range(FL_FUNCTIONS)}
NAMES = tuple(name for name, i in INDEX.items() if fl_shapes[fl_rows[i].shape].types != NULL)  # Ufuncs have these.


cdef const fl_target *find_target(str name) except NULL:
    cdef int i
    for i in range(fl_target_count):
        if fl_targets[i].name.decode() == name and fl_targets[i].supported():
            return &fl_targets[i]
    raise ValueError(f"no target {name!r} here; supported: {', '.join(supported_targets())}")


def compiled_targets():
    """Return the names of the targets in this build, the best one first."""
    return [fl_targets[i].name.decode() for i in range(fl_target_count)]


def supported_targets():
    """Return the names of the compiled targets that this CPU and operating system can run, the best one first."""
    return [fl_targets[i].name.decode() for i in range(fl_target_count) if fl_targets[i].supported()]


def active_target():
    """Return the name of the target whose loops fastlog's functions run."""
    return active.name.decode()


def claims():
    """Return the accuracy claims of the table, ``{name: {"float32": (ulp, witness), "float64": (ulp, witness)}}``.

    A witness is the tuple of arguments that reaches the error. Functions without a claim are left out.
    """
    found = {}
    for i in range(FL_FUNCTIONS):
        nin = min(2, fl_shapes[fl_rows[i].shape].nin)
        if fl_claims[i][0].ulp:
            found[fl_rows[i].name.decode()] = {
                dtype: (fl_claims[i][width].ulp, tuple(fl_claims[i][width].at[k] for k in range(nin)))
                for width, dtype in enumerate(("float32", "float64"))
            }
    return found


cdef object promoted(object ufunc, tuple dtypes):
    """Return the DType in which arguments of these DTypes are computed; TypeError where there is none."""
    half, single, double = np.dtypes.Float16DType, np.dtypes.Float32DType, np.dtypes.Float64DType
    candidates = (half, single, double)
    if ufunc in rows_of_ufuncs:
        candidates = (*[d for d in dtypes if d.type.__name__ == "bfloat16"][:1], *candidates)
    # Integers and booleans count as float64. Python's own numbers (whose DTypes have the type int and float) are weak.
    # To NumPy, timedelta64 is an integer.
    dtypes = tuple(
        double if issubclass(d.type, (np.integer, np.bool)) and d.type is not np.timedelta64 else d for d in dtypes)
    kinds = [d for d in dtypes if d.type not in (bool, int, float, complex)]
    if ufunc in widened:
        candidates += widened[ufunc]
        kinds = [single if d.type.__name__ == "bfloat16" else d for d in kinds]
    if any(d.type is complex for d in dtypes):
        candidates = tuple(d for d in candidates if d in (np.dtypes.Complex64DType, np.dtypes.Complex128DType))
        kinds = kinds or [np.dtypes.Complex128DType]
    for found in candidates:
        if any(d not in (half, single, double) and d not in candidates for d in kinds):
            break
        if all(np.can_cast(d.type, found.type) for d in kinds):
            return found if kinds else double
    raise TypeError(
        f"{ufunc.__name__}: computed for float16, float32 and float64 (booleans and integers become float64), not for "
        + ", ".join(sorted({np.dtype(d.type).name if issubclass(d.type, np.generic) else d.type.__name__
                            for d in dtypes}))
        + "; convert the argument first, for example with np.asarray(x, dtype=np.float64)")


cdef int promote(PyObject *ufunc, PyArray_DTypeMeta **given, PyArray_DTypeMeta **signature,
                 PyArray_DTypeMeta **chosen) except -1 with gil:
    """Tell NumPy, which has found no loop for a combination of DTypes, with which DTypes to look again."""
    cdef int nin = (<object>ufunc).nin, nargs = (<object>ufunc).nargs, i
    cdef PyArray_DTypeMeta *wanted = signature[nin]
    cdef PyArray_DTypeMeta *some
    for i in range(2 * nargs):  # One of the DTypes may be that of bfloat16, which has no loop at first.
        some = signature[i - nargs] if i >= nargs else given[i]
        if some != NULL and (<object>some).type.__name__ == "bfloat16":
            add_narrow_loop(<object>ufunc, <object>some)
    if wanted == NULL:
        found = promoted(<object>ufunc, tuple([<object>given[i] for i in range(nin) if given[i] != NULL]))
        wanted = <PyArray_DTypeMeta *><PyObject *>found
    for i in range(nargs):
        chosen[i] = signature[i] if signature[i] != NULL else wanted
        Py_INCREF(<object>chosen[i])
    return 0


cdef add_promoter(ufunc):
    PyUFunc_AddPromoter(
        ufunc, (np.dtype,) * ufunc.nargs, PyCapsule_New(<void *>promote, "numpy._ufunc_promoter", NULL))


cdef fl_loop *loop_for(const fl_target *target, int function, cnp.ndarray x) noexcept:
    """Return the loop for arrays of the dtype of `x`; that of float32 computes float16 and bfloat16, too."""
    return fl_loop_of(target, function, c"d" if cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE else c"f")


cdef object make_ufunc(const fl_target *target, int function):
    """Make a ufunc. Its first loop is the one for float64, where integers and booleans go."""
    cdef const fl_row *row = &fl_rows[function]
    cdef const fl_shape_info *shape = &fl_shapes[row.shape]
    cdef fl_loop *loop
    cdef int arguments = shape.nin + shape.nout, ntypes = 0, k
    cdef char *types
    cdef cnp.PyUFuncGenericFunction *functions
    cdef void **data
    # NumPy keeps these arrays for as long as the process lives.
    functions = <cnp.PyUFuncGenericFunction *>calloc(MAX_TYPES, sizeof(cnp.PyUFuncGenericFunction))
    data = <void **>calloc(MAX_TYPES, sizeof(void *))
    types = <char *>calloc(MAX_TYPES * MAX_ARGUMENTS, 1)
    if not functions or not data or not types:
        raise MemoryError
    for own in "dfe":
        loop = fl_loop_of(target, function, ord(own))
        if loop:
            functions[ntypes] = <cnp.PyUFuncGenericFunction>loop
            for k in range(arguments):
                code = chr(shape.types[k])
                # NumPy's long and long long may both be int64, and only one of them is its int64.
                types[ntypes * arguments + k] = np.dtype({"-": own, "q": np.int64}.get(code, code)).num
            ntypes += 1
    name = row.name.decode()
    doc = docstring(name, claims().get(name)).encode()
    kept_alive.append(doc)
    ufunc = PyUFunc_FromFuncAndDataAndSignatureAndIdentity(
        functions, data, types, ntypes, shape.nin, shape.nout,
        PyUFunc_IdentityValue if shape.has_identity else cnp.PyUFunc_None,
        fl_aliases[function] if fl_aliases[function] else row.name, doc, 0, shape.signature,
        -np.inf if shape.has_identity else None)
    if shape.signature == NULL:
        rows_of_ufuncs[ufunc] = target.name.decode(), function
        add_promoter(ufunc)
    return ufunc


def functions(target=None):
    """Return all ufuncs and generalized ufuncs of a target, by their names in the table.

    The target is one of `supported_targets`, by default the active one; another one raises ValueError.
    """
    name = active_target() if target is None else target
    cdef const fl_target *found = find_target(name)
    if name not in built:
        made = {row: make_ufunc(found, INDEX[row]) for row in NAMES}
        run_here = run_rows if found == active else partial(run_rows, target=name)
        attach_row_methods(made, run_here, INDEX["logsumexp"])
        built.setdefault(name, made)  # Another thread may have made them meanwhile.
    return built[name]


def with_loops_of(cnp.ufunc own, cnp.ufunc other):
    """Make a ufunc with the loops of one, and those of another on types for which the first has no loop.

    Both are elementwise functions with the same numbers of inputs and outputs. Only loops on a single type are taken
    over. The new ufunc has the name and the docstring of the first.
    """
    cdef PyUFuncObject *first = <PyUFuncObject *>own
    cdef PyUFuncObject *second = <PyUFuncObject *>other
    cdef int count = first.ntypes, nargs = first.nargs, most = first.ntypes + second.ntypes, k
    cdef cnp.PyUFuncGenericFunction *loops
    cdef void **data
    cdef char *types
    if nargs != second.nargs or first.nin != second.nin:
        raise ValueError(f"{own} and {other} differ in their arguments")
    # NumPy keeps these arrays for as long as the process lives.
    loops = <cnp.PyUFuncGenericFunction *>calloc(most, sizeof(cnp.PyUFuncGenericFunction))
    data = <void **>calloc(most, sizeof(void *))
    types = <char *>calloc(most * nargs, 1)
    if not loops or not data or not types:
        raise MemoryError
    memcpy(loops, first.functions, count * sizeof(cnp.PyUFuncGenericFunction))
    memcpy(data, first.data, count * sizeof(void *))
    memcpy(types, first.types, count * nargs)
    more = []
    for k in range(second.ntypes):
        signature = second.types[k * nargs:(k + 1) * nargs]
        if len(set(signature)) == 1 and signature[0] not in first.types[:first.ntypes * nargs]:
            loops[count], data[count] = second.functions[k], second.data[k]
            memcpy(types + count * nargs, second.types + k * nargs, nargs)
            count += 1
            more.append(type(np.dtype(cnp.PyArray_DescrFromType(signature[0]))))
    kept_alive.append((own, other))
    ufunc = PyUFunc_FromFuncAndDataAndSignatureAndIdentity(
        loops, data, types, count, first.nin, first.nout, cnp.PyUFunc_None, first.name, first.doc, 0, NULL, None)
    widened[ufunc] = tuple(more)
    add_promoter(ufunc)
    return ufunc


def loop_of(int function, str type, bint quiet):
    """Return the active target's loop of an elementwise function, as a capsule for `replace_loop`.

    `function` is a number from `INDEX`, and `type` NumPy's character of the arguments' type: e, f or d. A `quiet` loop
    raises nothing at poles and invalid points.
    """
    if not 0 <= function < FL_FUNCTIONS or fl_shapes[fl_rows[function].shape].types == NULL or type not in tuple("efd"):
        raise ValueError(f"function {function} has no loop on {type!r}")
    cdef char code = ord(type)
    cdef fl_loop *loop = fl_quiet_loop_of(active, function, code) if quiet else fl_loop_of(active, function, code)
    if loop == NULL:
        raise ValueError(f"function {function} has no such loop on {type!r}")
    return PyCapsule_New(<void *>loop, "loop", NULL)


def replace_loop(ufunc, str type, loop):
    """Replace the loop of any ufunc on arguments and results of one type, and return the old loop as a capsule.

    `type` is NumPy's character of the type; a ufunc without a loop on it raises ValueError. `loop` is a capsule that
    `loop_of` or an earlier call returned.
    """
    cdef int signature[MAX_ARGUMENTS]
    cdef int k
    cdef cnp.PyUFuncGenericFunction old = NULL
    cdef cnp.PyUFuncGenericFunction new = <cnp.PyUFuncGenericFunction>PyCapsule_GetPointer(loop, "loop")
    if not isinstance(ufunc, np.ufunc) or not 0 < ufunc.nargs <= MAX_ARGUMENTS:
        raise ValueError(f"{ufunc!r} is no ufunc of at most {MAX_ARGUMENTS} arguments")
    for k in range(ufunc.nargs):
        signature[k] = np.dtype(type).num
    former = PyCapsule_New(<void *>new, "loop", NULL)  # This may fail, so it comes before anything is replaced.
    if PyUFunc_ReplaceLoopBySignature(<cnp.ufunc>ufunc, new, signature, &old) != 0 or old == NULL:
        raise ValueError(f"{ufunc.__name__} has no loop on {type!r}")
    PyCapsule_SetPointer(former, <void *>old)
    return former


MOST_THREADS = FL_MOST_THREADS


def get_threads():
    """Return the number of threads that large calls from this thread use."""
    return fl_threads()


def set_threads(int n):
    """Set that number, from 1 to MOST_THREADS; 0 stands for that of the process. Return what was set before."""
    if not 0 <= n <= FL_MOST_THREADS:
        raise ValueError(f"{n} threads")
    return fl_set_threads(n)


def set_threads_of_process(int n):
    """Set the number of threads that have set none themselves, from 1 to MOST_THREADS."""
    if not 1 <= n <= FL_MOST_THREADS:
        raise ValueError(f"{n} threads")
    fl_set_threads_of_process(n)


def pool_size():
    """Return the number of threads that this process has started so far for large calls."""
    return fl_pool_size()


include "_walk.pxi"
include "_staging.pxi"
include "_ways.pxi"
include "_short.pxi"
include "_cimport.pxi"


cdef choose_target(requested):
    """Activate the target that FASTLOG_TARGET names, or the best supported one; ImportError if it is not to be had."""
    global active
    try:
        active = find_target(requested or supported_targets()[0])
    except ValueError as error:
        raise ImportError(f"FASTLOG_TARGET={requested}: {error}") from None


choose_target(os.environ.get("FASTLOG_TARGET"))
