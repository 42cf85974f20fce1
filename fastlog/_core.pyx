"""The C table as NumPy ufuncs, and the short way of plain arrays into the row loops.

C decides the values; this module only makes objects of them. Nothing here knows a function by its name, but for what
_cython.pxi offers to other extensions under it.
"""

cimport numpy as cnp
from cpython.long cimport PyLong_AsLongAndOverflow, PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New, PyCapsule_SetPointer
from cpython.ref cimport Py_INCREF
from libc.stdint cimport INT64_MAX, int64_t, intptr_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy, memset

import os
from functools import partial, wraps

import numpy as np

from fastlog._docs import docstring
from fastlog._methods import attach_row_methods

cnp.import_array()
cnp.import_ufunc()


cdef extern from "fastlog.h":
    ctypedef enum fl_shape:
        reduce
        normalize
        normalize_terms
        reduce_weighted
        element_loss
        row_loss
    ctypedef struct fl_row:
        const char *name
        const char *ufunc_name
        int shape
        int has_identity
        double ulp32
        double at32[2]
        double ulp64
        double at64[2]
    ctypedef struct fl_shape_info:
        int nin
        int nout
        const char *signature
        const char *types
    ctypedef struct fl_loss:
        char target_type
        int are_probabilities
        double scale
        double smoothing
        double positive
        double negative
        double gamma
        const double *class_weight
        int64_t ignored
        int ignores
        int only_weights
        double total[2]
        double weight[2]
        int64_t wrong
    double fl_sum(const double *sum) noexcept nogil
    ctypedef struct fl_table:
        fl_loop *loop[1]
        fl_loop *narrow[1]
        fl_loop *quiet[1]
    ctypedef struct fl_target:
        const char *name
        const fl_table *f32
        const fl_table *f64
        int (*supported)() noexcept
    const int FL_FUNCTIONS
    const int FL_softplus, FL_log_sigmoid, FL_sigmoid, FL_silu, FL_mish, FL_logit
    const int FL_log1mexp, FL_logexpm1, FL_entr, FL_logaddexp, FL_logsubexp, FL_xlogy
    const int FL_xlog1py, FL_rel_entr, FL_logsumexp, FL_softmax, FL_log_softmax
    const fl_row fl_rows[1]
    const fl_shape_info fl_shapes[1]
    const fl_target fl_targets[1]
    const int fl_target_count

cdef extern from "numpy/arrayobject.h":
    object PyArray_Scalar(void *data, cnp.PyArray_Descr *descr, object base)

cdef extern from "numpy/ufuncobject.h":
    ctypedef struct PyArray_DTypeMeta:
        pass
    ctypedef struct PyUFuncObject:  # NumPy's own declarations of its members differ from version to version
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
    MAX_DIMENSIONS = 64  # NumPy's

cdef const fl_target *active
cdef dict built = {}      # target name -> its ufuncs, made once: NumPy keeps pointers into them
cdef list kept_alive = []  # docstrings that ufuncs point into
cdef dict widened = {}     # ufunc of with_loops_of -> the DTypes that it has from another one

INDEX = {fl_rows[i].name.decode(): i for i in range(FL_FUNCTIONS)}
NAMES = tuple(name for name, i in INDEX.items() if fl_shapes[fl_rows[i].shape].types != NULL)  # of ufuncs


cdef const fl_target *find_target(str name) except NULL:
    cdef int i
    for i in range(fl_target_count):
        if fl_targets[i].name.decode() == name and fl_targets[i].supported():
            return &fl_targets[i]
    raise ValueError(f"no target {name!r} here; supported: {', '.join(supported_targets())}")


def compiled_targets():
    """Names of the targets in this build, best first."""
    return [fl_targets[i].name.decode() for i in range(fl_target_count)]


def supported_targets():
    """Names of the compiled targets that this CPU and operating system can run, best first."""
    return [fl_targets[i].name.decode() for i in range(fl_target_count) if fl_targets[i].supported()]


def active_target():
    """Name of the target whose loops fastlog's functions run."""
    return active.name.decode()


def claims():
    """Accuracy claims of the table.

    Returns
    -------
    dict
        ``{name: {"float32": (ulp, witness), "float64": (ulp, witness)}}``; a witness is the tuple of arguments that
        reaches the error. Functions without a claim are left out.
    """
    found = {}
    for i in range(FL_FUNCTIONS):
        row = &fl_rows[i]
        nin = fl_shapes[row.shape].nin
        if row.ulp32 or row.ulp64:
            found[row.name.decode()] = {
                "float32": (row.ulp32, tuple(row.at32[k] for k in range(nin))),
                "float64": (row.ulp64, tuple(row.at64[k] for k in range(nin))),
            }
    return found


cdef object promoted(object ufunc, tuple dtypes):
    """The DType in which arguments of these DTypes are computed; TypeError where there is none."""
    half, single, double = np.dtypes.Float16DType, np.dtypes.Float32DType, np.dtypes.Float64DType
    candidates = (half, single, double)
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
        if all(np.can_cast(d(), found()) for d in kinds):
            return found if kinds else double
    raise TypeError(
        f"{ufunc.__name__}: computed for float16, float32 and float64 (booleans and integers become float64), not for "
        + ", ".join(sorted({np.dtype(d.type).name if issubclass(d.type, np.generic) else d.type.__name__ for d in dtypes}))
        + "; convert the argument first, for example with np.asarray(x, dtype=np.float64)")


cdef int promote(PyObject *ufunc, PyArray_DTypeMeta **given, PyArray_DTypeMeta **signature,
                 PyArray_DTypeMeta **chosen) except -1 with gil:
    """NumPy's question for a combination of DTypes that no loop has: with which DTypes shall it look again?"""
    cdef int nin = (<object>ufunc).nin, nargs = (<object>ufunc).nargs, i
    cdef PyArray_DTypeMeta *wanted = signature[nin]
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


cdef fl_loop *float_loop(const fl_target *target, int function) noexcept nogil:
    if fl_rows[function].shape == reduce_weighted:
        return target.f64.narrow[function]
    return target.f32.loop[function]


cdef fl_loop *loop_for(const fl_target *target, int function, cnp.ndarray x) noexcept:
    """The loop for arrays of the dtype of `x`, float32 or float64."""
    return float_loop(target, function) if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT else target.f64.loop[function]


cdef object make_ufunc(const fl_target *target, int function):
    """One ufunc: loops for float64 first, so that integers and booleans go there, then float32 and float16."""
    cdef const fl_row *row = &fl_rows[function]
    cdef const fl_shape_info *shape = &fl_shapes[row.shape]
    cdef fl_loop *loops[MAX_TYPES]
    cdef int arguments = shape.nin + shape.nout, ntypes = 0, t, k
    cdef char *types
    cdef cnp.PyUFuncGenericFunction *functions
    cdef void **data
    loops[0] = target.f64.loop[function]
    loops[1] = float_loop(target, function)
    loops[2] = target.f32.narrow[function]
    # NumPy keeps these arrays for as long as the process lives.
    functions = <cnp.PyUFuncGenericFunction *>calloc(MAX_TYPES, sizeof(cnp.PyUFuncGenericFunction))
    data = <void **>calloc(MAX_TYPES, sizeof(void *))
    types = <char *>calloc(MAX_TYPES * MAX_ARGUMENTS, 1)
    if not functions or not data or not types:
        raise MemoryError
    for t, own in enumerate("dfe"):
        if loops[t]:
            functions[ntypes] = <cnp.PyUFuncGenericFunction>loops[t]
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
        PyUFunc_IdentityValue if row.has_identity else cnp.PyUFunc_None,
        row.ufunc_name, doc, 0, shape.signature, -np.inf if row.has_identity else None)
    if shape.signature == NULL:
        add_promoter(ufunc)
    return ufunc


def functions(target=None):
    """All ufuncs and generalized ufuncs of a target.

    Parameters
    ----------
    target : str, optional
        One of `supported_targets`; the active one by default.

    Returns
    -------
    dict
        Table name -> ufunc.

    Raises
    ------
    ValueError
        If the target is unknown or not supported here.
    """
    name = active_target() if target is None else target
    cdef const fl_target *found = find_target(name)
    if name not in built:
        built[name] = {row: make_ufunc(found, INDEX[row]) for row in NAMES}
        run_here = run_rows if found == active else partial(run_rows, target=name)
        attach_row_methods(built[name], run_here, INDEX["logsumexp"])
    return built[name]


def with_loops_of(cnp.ufunc own, cnp.ufunc other):
    """A ufunc with the loops of one, and with those of another on types that the first has no loop for.

    Parameters
    ----------
    own, other : numpy.ufunc
        Elementwise functions of as many arguments, all of one type in each loop.

    Returns
    -------
    numpy.ufunc
        Under the name of the second, with the docstring of the first.
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
    """The active target's loop of an elementwise function, as a capsule for `replace_loop`.

    Parameters
    ----------
    function : int
        From `INDEX`.
    type : {'e', 'f', 'd'}
        NumPy's character of its arguments' type.
    quiet : bool
        Whether the loop is to raise nothing at poles and invalid points. There is no such loop on float16.
    """
    if not 0 <= function < FL_FUNCTIONS or fl_shapes[fl_rows[function].shape].types == NULL or type not in "efd":
        raise ValueError(f"function {function} has no loop on {type!r}")
    cdef const fl_table *table = active.f64 if type == "d" else active.f32
    cdef fl_loop *loop = table.quiet[function] if quiet else table.loop[function]
    if type == "e":
        loop = NULL if quiet else table.narrow[function]
    if loop == NULL:
        raise ValueError(f"function {function} has no such loop on {type!r}")
    return PyCapsule_New(<void *>loop, "loop", NULL)


def replace_loop(ufunc, str type, loop):
    """Replace the loop of any ufunc on arguments and results of one type.

    Parameters
    ----------
    ufunc : numpy.ufunc
    type : str
        NumPy's character of the type.
    loop : capsule
        What `loop_of` or an earlier call returned.

    Returns
    -------
    capsule
        The old loop.

    Raises
    ------
    ValueError
        If the ufunc has no loop on this type.
    """
    cdef int signature[MAX_ARGUMENTS]
    cdef int k
    cdef cnp.PyUFuncGenericFunction old = NULL
    cdef cnp.PyUFuncGenericFunction new = <cnp.PyUFuncGenericFunction>PyCapsule_GetPointer(loop, "loop")
    if not isinstance(ufunc, np.ufunc) or not 0 < ufunc.nargs <= MAX_ARGUMENTS:
        raise ValueError(f"{ufunc!r} is no ufunc of at most {MAX_ARGUMENTS} arguments")
    for k in range(ufunc.nargs):
        signature[k] = np.dtype(type).num
    former = PyCapsule_New(<void *>new, "loop", NULL)  # made before anything is replaced: it may fail
    if PyUFunc_ReplaceLoopBySignature(<cnp.ufunc>ufunc, new, signature, &old) != 0 or old == NULL:
        raise ValueError(f"{ufunc.__name__} has no loop on {type!r}")
    PyCapsule_SetPointer(former, <void *>old)
    return former


cdef bint starts_like(cnp.ndarray a, cnp.ndarray b, int axes) noexcept:
    """Have they the same lengths along their first axes?"""
    for k in range(axes):
        if cnp.PyArray_DIMS(a)[k] != cnp.PyArray_DIMS(b)[k]:
            return False
    return True


cdef bint apart(cnp.ndarray x, cnp.ndarray y) noexcept:
    """Have two contiguous arrays no memory in common?"""
    cdef char *first = cnp.PyArray_BYTES(x)
    cdef char *other = cnp.PyArray_BYTES(y)
    return first + cnp.PyArray_NBYTES(x) <= other or other + cnp.PyArray_NBYTES(y) <= first


cdef bint fits(object out, cnp.ndarray x):
    """Can results of the shape of `x` be written straight into `out`? In place, or into a C-ordered array apart from it."""
    if type(out) is not cnp.ndarray:
        return False
    cdef cnp.ndarray y = <cnp.ndarray>out
    cdef int nd = cnp.PyArray_NDIM(x)
    if (cnp.PyArray_TYPE(y) != cnp.PyArray_TYPE(x) or cnp.PyArray_NDIM(y) != nd or not cnp.PyArray_ISCARRAY(y)
            or not cnp.PyArray_IS_C_CONTIGUOUS(x) or not starts_like(x, y, nd)):
        return False
    return cnp.PyArray_BYTES(x) == cnp.PyArray_BYTES(y) or apart(x, y)


cdef bint runs_rows(int function):
    return 0 <= function < FL_FUNCTIONS and fl_rows[function].shape in (reduce, normalize, normalize_terms)


def run_rows(int function, a, axis, out=None, target=None):
    """The loop of a reduction or normalisation on a plain array, without the ufunc machinery.

    Parameters
    ----------
    function : int
        From `INDEX`; of shape (n)->() or (n)->(n).
    a : object
    axis : object
    out : object, optional
        Of a normalisation: where to write.
    target : str, optional
        One of `supported_targets`; the active one by default.

    Returns
    -------
    ndarray, scalar or None
        None where the short way does not apply: `a` is not exactly an ndarray of native, aligned float32 or float64,
        or the axis is not None or an int in range, or the rows are not those of a matrix that `a` can be seen as, or
        `out` is not an array that they can be written into.
    """
    if not runs_rows(function):
        raise ValueError(f"function {function} is neither a reduction nor a normalisation of rows")
    return rows_of(function, a, axis, out, active if target is None else find_target(target))


cdef object rows_of(int function, object a, object axis, object out, const fl_target *run_on):
    """What run_rows does, for a function that it accepts."""
    if type(a) is not cnp.ndarray:
        return None
    cdef cnp.ndarray x = <cnp.ndarray>a
    cdef int typenum = cnp.PyArray_TYPE(x), nd = cnp.PyArray_NDIM(x), k = 0
    cdef bint normalizes = fl_rows[function].shape != reduce
    if (typenum != cnp.NPY_FLOAT and typenum != cnp.NPY_DOUBLE) or nd == 0 or not cnp.PyArray_ISBEHAVED_RO(x):
        return None
    cdef cnp.npy_intp *shape = cnp.PyArray_DIMS(x)
    cdef cnp.npy_intp *strides = cnp.PyArray_STRIDES(x)
    cdef intptr_t itemsize = cnp.PyArray_ITEMSIZE(x), size = cnp.PyArray_SIZE(x)
    # The matrix: its rows are reduced. step: from row to row and within one, of the input and then of the output.
    cdef intptr_t rows = 1, n = size, row_step = 0, step = itemsize, out_row_step = 0, out_step = itemsize
    if axis is None:
        if nd == 1:
            step = strides[0]
        elif not cnp.PyArray_IS_C_CONTIGUOUS(x):
            return None
    else:
        if not PyLong_CheckExact(axis) or not -nd <= axis < nd:
            return None
        k = axis
        if k < 0:
            k += nd
        n = shape[k]
        if nd == 1:
            step = strides[0]
        elif nd == 2:
            rows, row_step, step = shape[1 - k], strides[1 - k], strides[k]
            out_row_step, out_step = (itemsize, rows * itemsize) if k == 0 else (n * itemsize, itemsize)
        elif k == nd - 1 and n and cnp.PyArray_IS_C_CONTIGUOUS(x):
            rows, row_step, out_row_step = size // n, n * itemsize, n * itemsize
        else:
            return None
    if out is not None and not (normalizes and fits(out, x)):
        return None
    if not normalizes:
        out_row_step = itemsize
    cdef cnp.npy_intp out_shape[MAX_DIMENSIONS]
    cdef int out_nd = nd
    if normalizes:
        for i in range(nd):
            out_shape[i] = shape[i]
    else:
        out_nd = 0
        if axis is not None:
            for i in range(nd):
                if i != k:
                    out_shape[out_nd] = shape[i]
                    out_nd += 1
    cdef fl_loop *loop = loop_for(run_on, function, x)
    cdef intptr_t dims[2]
    cdef intptr_t steps[4]
    cdef char *args[2]
    cdef double scalar
    dims[0], dims[1] = rows, n
    steps[0], steps[1], steps[2], steps[3] = row_step, out_row_step, step, out_step
    args[0] = cnp.PyArray_BYTES(x)
    if out_nd == 0:
        args[1] = <char *>&scalar
        if n < 1000:  # releasing the GIL costs as much as such a row
            loop(args, dims, steps, NULL)
        else:
            with nogil:
                loop(args, dims, steps, NULL)
        return PyArray_Scalar(&scalar, cnp.PyArray_DESCR(x), None)
    if out is None:
        out = cnp.PyArray_EMPTY(out_nd, out_shape, typenum, 0)
    args[1] = cnp.PyArray_BYTES(<cnp.ndarray>out)
    with nogil:
        loop(args, dims, steps, NULL)
    return out


cdef object as_plain(object a):
    """A list of numbers as an array; anything else, and what NumPy makes no numbers of, as it is."""
    if type(a) is not list:
        return a
    try:
        x = np.asarray(a)
    except ValueError:
        return a
    return x.astype(np.float64) if x.dtype.kind in "biu" else x


cdef cnp.npy_intp magnitude(cnp.npy_intp x) noexcept:
    return -x if x < 0 else x


cdef check_arguments(int function, tuple arrays, axes):
    """Refuse what would make a loop read or write elsewhere."""
    cdef const fl_shape_info *signature = &fl_shapes[fl_rows[function].shape]
    cdef int i, nd = 0, core = signature.signature.count(b"(n)")
    cdef cnp.ndarray one
    if len(arrays) != core:
        raise ValueError(f"{core} arrays needed, not {len(arrays)}")
    for i in range(core):
        one = <cnp.ndarray?>arrays[i]
        nd = max(nd, cnp.PyArray_NDIM(one))
        wanted = cnp.NPY_BOOL if signature.types[i] == c"?" else cnp.PyArray_TYPE(<cnp.ndarray>arrays[0])
        if (cnp.PyArray_TYPE(<cnp.ndarray>arrays[0]) not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE)
                or cnp.PyArray_TYPE(one) != wanted or not cnp.PyArray_ISBEHAVED_RO(one)
                or (i >= signature.nin and not cnp.PyArray_ISWRITEABLE(one))):
            raise ValueError("arrays of float32 or float64, native and aligned, are needed, and outputs to write to")
    for k in axes:
        if not 0 <= k < nd:
            raise ValueError(f"axis {k} of {nd}")


cdef void run_rows_of(fl_loop *loop, char **args, const intptr_t *dims, const intptr_t *steps, int arguments, int outer,
                      const cnp.npy_intp *shape, const cnp.npy_intp (*strides)[MAX_DIMENSIONS],
                      void *data) noexcept nogil:
    """The loop for every index of `outer` axes outside of those that it runs over itself; NULL arguments stay NULL."""
    cdef cnp.npy_intp index[MAX_DIMENSIONS]
    cdef int k, i
    for k in range(outer):
        index[k] = 0
        if shape[k] == 0:
            return
    while True:
        loop(args, dims, steps, data)
        k = outer - 1
        while k >= 0:
            index[k] += 1
            for i in range(arguments):
                if args[i]:
                    args[i] += strides[i][k]
            if index[k] < shape[k]:
                break
            for i in range(arguments):
                if args[i]:
                    args[i] -= strides[i][k] * shape[k]
            index[k] = 0
            k -= 1
        if k < 0:
            return


def run_over(int function, tuple arrays, axes, bint keepdims=False, target=None):
    """The loop of a row function over any axes of arrays that are broadcast together, without copying one.

    Parameters
    ----------
    function : int
        From `INDEX`; a generalized ufunc whose arguments with a core dimension come first.
    arrays : tuple of ndarray
        Those arguments: all inputs, and the outputs that have the core dimension; native, aligned, of the loop's dtypes,
        the first of which is float32 or float64. Outputs have the broadcast shape, and are either apart from all inputs
        or the same memory in the same order.
    axes : tuple of int
        Sorted, in range: they become the core dimension.
    keepdims : bool, optional
        Whether the other outputs keep the axes with length 1.
    target : str, optional
        One of `supported_targets`; the active one by default.

    Returns
    -------
    tuple of ndarray, or None
        The outputs without a core dimension, in C order. None where the arrays do not broadcast, or the axes of one of
        them cannot be walked through with a single stride: they have to be copied first.
    """
    if not 0 <= function < FL_FUNCTIONS or fl_shapes[fl_rows[function].shape].signature == NULL:
        raise ValueError(f"function {function} is no generalized ufunc")
    check_arguments(function, arrays, axes)
    cdef int given = <int>len(arrays), nd = 0, i, k, core_axes = 0, outer = 0, inner = -1, at, results
    cdef cnp.npy_intp shape[MAX_DIMENSIONS]
    cdef cnp.npy_intp strides[MAX_ARGUMENTS][MAX_DIMENSIONS]
    cdef int core_order[MAX_DIMENSIONS]
    cdef int outer_order[MAX_DIMENSIONS]
    cdef cnp.npy_intp out_shape[MAX_DIMENSIONS]
    cdef cnp.npy_intp shape_of_rows[MAX_DIMENSIONS]
    cdef cnp.npy_intp strides_of_rows[MAX_ARGUMENTS][MAX_DIMENSIONS]
    cdef bint is_core[MAX_DIMENSIONS]
    cdef int *order
    cdef cnp.ndarray one
    cdef const fl_shape_info *signature = &fl_shapes[fl_rows[function].shape]
    results = signature.nin + signature.nout - given
    for one in arrays:
        nd = max(nd, cnp.PyArray_NDIM(one))
    for k in range(nd):
        shape[k] = 1
        is_core[k] = False
    for i in range(given):
        one = <cnp.ndarray>arrays[i]
        for k in range(nd):
            at = k - (nd - cnp.PyArray_NDIM(one))
            strides[i][k] = 0
            if at < 0 or cnp.PyArray_DIMS(one)[at] == 1:
                continue
            if shape[k] != 1 and shape[k] != cnp.PyArray_DIMS(one)[at]:
                return None
            shape[k] = cnp.PyArray_DIMS(one)[at]
            strides[i][k] = cnp.PyArray_STRIDES(one)[at]
    cdef cnp.npy_intp n = 1, size = 1
    for k in axes:
        is_core[k] = True
        n *= shape[k]
    for k in range(nd):  # longest strides first; axes of length 1 do not count
        size *= shape[k]
        if shape[k] == 1:
            continue
        if is_core[k]:
            order, at = core_order, core_axes
            core_axes += 1
        else:
            order, at = outer_order, outer
            outer += 1
        while at > 0 and magnitude(strides[0][order[at - 1]]) < magnitude(strides[0][k]):
            order[at] = order[at - 1]
            at -= 1
        order[at] = k
    for i in range(given):
        for at in range(core_axes - 1):
            k = core_order[at + 1]
            if size and strides[i][core_order[at]] != strides[i][k] * shape[k]:
                return None
    # The outputs.
    cdef int out_nd = 0
    for k in range(nd):
        if not is_core[k] or keepdims:
            out_shape[out_nd] = 1 if is_core[k] else shape[k]
            out_nd += 1
    cdef int typenum = cnp.PyArray_TYPE(<cnp.ndarray>arrays[0])
    cdef intptr_t itemsize = cnp.PyArray_ITEMSIZE(<cnp.ndarray>arrays[0]), step = itemsize
    made = tuple([cnp.PyArray_EMPTY(out_nd, out_shape, typenum, 0) for i in range(results)])
    for k in range(nd - 1, -1, -1):
        for i in range(results):
            strides[given + i][k] = 0 if is_core[k] else step
        if not is_core[k]:
            step *= shape[k]
    # The rows: the outer axis of the shortest stride by the loop, the others one by one.
    cdef char *args[MAX_ARGUMENTS]
    cdef intptr_t dims[2]
    cdef intptr_t steps[2 * MAX_ARGUMENTS]
    inner = outer_order[outer - 1] if outer else -1
    dims[0], dims[1] = shape[inner] if outer else 1, n
    for i in range(given):
        args[i] = cnp.PyArray_BYTES(<cnp.ndarray>arrays[i])
        steps[given + results + i] = strides[i][core_order[core_axes - 1]] if core_axes else itemsize
    for i in range(results):
        args[given + i] = cnp.PyArray_BYTES(<cnp.ndarray>made[i])
    for i in range(given + results):
        steps[i] = strides[i][inner] if outer else 0
    cdef const fl_target *run_on = active if target is None else find_target(target)
    cdef fl_loop *loop = loop_for(run_on, function, <cnp.ndarray>arrays[0])
    for k in range(outer):
        shape_of_rows[k] = shape[outer_order[k]]
        for i in range(given + results):
            strides_of_rows[i][k] = strides[i][outer_order[k]]
    with nogil:
        run_rows_of(loop, args, dims, steps, given + results, outer - 1, shape_of_rows, strides_of_rows, NULL)
    return made


# The decorators below make functions of the public names and arguments, as Cython names a function in its own messages.


def short_way_for_logsumexp(int function):
    """Decorator: plain arrays go straight to the loop of a reduction."""
    if not runs_rows(function):
        raise ValueError(f"function {function} is not a reduction of rows")

    def decorate(general):
        def logsumexp(a, axis=None, b=None, keepdims=False, return_sign=False, *, where=None, out=None, dtype=None):
            if (b is None and keepdims is False and return_sign is False and where is None and out is None
                    and dtype is None):
                y = rows_of(function, as_plain(a), axis, None, active)
                if y is not None:
                    return y
            return general(a, axis, b, keepdims, return_sign, where=where, out=out, dtype=dtype)
        return wraps(general)(logsumexp)
    return decorate


cdef object plain_rows(int function, object x, object axis, object where, object out, object dtype,
                       object temperature):
    """Normalised rows of a plain array; None where a general function has to decide."""
    if where is None and dtype is None and type(temperature) is float and <double>temperature == 1:
        return rows_of(function, as_plain(x), axis, out, active)
    return None


def short_way_for_softmax(int function):
    """Decorator: plain arrays go straight to the loop of a normalisation."""
    if not runs_rows(function):
        raise ValueError(f"function {function} is not a normalisation of rows")

    def decorate(general):
        def softmax(x, axis=None, *, where=None, out=None, dtype=None, temperature=1.0, return_lse=False):
            if return_lse is False:
                y = plain_rows(function, x, axis, where, out, dtype, temperature)
                if y is not None:
                    return y
            return general(x, axis, where=where, out=out, dtype=dtype, temperature=temperature, return_lse=return_lse)
        return wraps(general)(softmax)
    return decorate


def short_way_for_log_softmax(int function):
    """Decorator: plain arrays go straight to the loop of a normalisation."""
    if not runs_rows(function):
        raise ValueError(f"function {function} is not a normalisation of rows")

    def decorate(general):
        def log_softmax(x, axis=None, *, where=None, out=None, dtype=None, temperature=1.0):
            y = plain_rows(function, x, axis, where, out, dtype, temperature)
            if y is not None:
                return y
            return general(x, axis, where=where, out=out, dtype=dtype, temperature=temperature)
        return wraps(general)(log_softmax)
    return decorate


include "_losses.pxi"
include "_cython.pxi"


cdef choose_target(requested):
    """Activate the target that FASTLOG_TARGET names, or the best supported one; ImportError if it is not to be had."""
    global active
    try:
        active = find_target(requested or supported_targets()[0])
    except ValueError as error:
        raise ImportError(f"FASTLOG_TARGET={requested}: {error}") from None


choose_target(os.environ.get("FASTLOG_TARGET"))
