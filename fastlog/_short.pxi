"""The short ways of plain arrays into the loops, past the Python layer. A part of _core.pyx."""

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


cdef object as_scalar(cnp.ndarray x, double value):
    """A number of the dtype of `x`; None where it overflows that."""
    cdef float narrow
    if cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE:
        return PyArray_Scalar(&value, cnp.PyArray_DESCR(x), None)
    narrow = <float>value
    if narrow - narrow != 0 and value - value == 0:
        return None
    return PyArray_Scalar(&narrow, cnp.PyArray_DESCR(x), None)


cdef bint is_plain(object a) noexcept:
    """Exactly an ndarray, contiguous, aligned, native?"""
    return type(a) is cnp.ndarray and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>a)


cdef bint is_last(object axis, int nd):
    cdef int overflow = 0
    cdef long k = PyLong_AsLongAndOverflow(axis, &overflow)
    return not overflow and (k == -1 or k == nd - 1)


cdef bint is_zero(object x) noexcept:
    """Exactly the float 0?"""
    return type(x) is float and <double>x == 0


cdef struct loss_call:
    fl_loop *loop
    char *args[MAX_ARGUMENTS]
    intptr_t dims[2]
    intptr_t steps[2 * MAX_ARGUMENTS]
    fl_loss options


cdef void run_call(loss_call *call) noexcept:
    if call.dims[0] * call.dims[1] < 1000:  # releasing the GIL costs as much
        call.loop(call.args, call.dims, call.steps, &call.options)
    else:
        with nogil:
            call.loop(call.args, call.dims, call.steps, &call.options)


cdef object call_loss(loss_call *call, cnp.ndarray x, cnp.ndarray losses, bint rows, object reduction,
                      bint return_grad, bint return_hess, object out=None):
    """The losses, of the shape of `losses` or in `out`, or their sum or mean, and the derivatives; None where a general
    function has to decide. The mean is over the elements, or the rows whose labels count."""
    cdef double count = <double>call.dims[1], value
    cdef bint mean = reduction == "mean"
    cdef int each = 2 if rows else 4, arguments = 5 if rows else 8, k
    if not isinstance(reduction, str) or (not mean and reduction != "sum" and reduction != "none"):
        return None
    call.options.scale = 1
    if mean and (return_grad or return_hess):
        if rows:
            call.options.only_weights = True
            run_call(call)
            if call.options.wrong:
                return None
            count = fl_sum(call.options.weight)
            call.options.only_weights = False
            call.options.weight[0] = call.options.weight[1] = 0
        if count == 0:
            return None
        call.options.scale = 1 / count
    cdef list results = [None]
    if reduction == "none":
        y = out
        if out is None:
            y = cnp.PyArray_EMPTY(cnp.PyArray_NDIM(losses), cnp.PyArray_DIMS(losses), cnp.PyArray_TYPE(x), 0)
        results[0] = y
        call.args[each] = cnp.PyArray_BYTES(<cnp.ndarray>y)
        # Of elements the core step counts, of rows the outer one.
        call.steps[each] = call.steps[arguments + each] = cnp.PyArray_ITEMSIZE(x)
    for k in range(each + 1, each + 1 + max(return_grad, 2 * return_hess)):
        y = cnp.PyArray_EMPTY(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x), 0)
        results.append(y)
        call.args[k] = cnp.PyArray_BYTES(<cnp.ndarray>y)
        call.steps[k], call.steps[arguments + k] = call.steps[0], call.steps[arguments]
    run_call(call)
    if call.options.wrong:
        return None
    if reduction == "none":
        if cnp.PyArray_NDIM(losses) == 0 and out is None:
            results[0] = results[0][()]
    else:
        value = fl_sum(call.options.total)
        if mean:
            count = fl_sum(call.options.weight) if rows else count
            if count == 0:
                return None
            value /= count
        results[0] = as_scalar(x, value)
    return results[0] if results[0] is None or len(results) == 1 else tuple(results)


cdef bint is_loss(int function, int shape) noexcept:
    return 0 <= function < FL_FUNCTIONS and <int>fl_rows[function].shape == shape


cdef object plain_element_loss(int function, object logits, object targets, object reduction, bint return_grad=False,
                               bint return_hess=False, object out=None):
    """The loss of two plain arrays of one shape, without weights; None where a general function has to decide."""
    cdef loss_call call
    cdef cnp.ndarray x, z
    if not is_plain(logits) or not is_plain(targets):
        return None
    x, z = <cnp.ndarray>logits, <cnp.ndarray>targets
    if (cnp.PyArray_TYPE(x) not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or not holds_targets(function, z, False)
            or cnp.PyArray_NDIM(x) != cnp.PyArray_NDIM(z) or not starts_like(x, z, cnp.PyArray_NDIM(x))):
        return None
    if out is not None and (reduction != "none" or not fits(out, x) or not apart(<cnp.ndarray>out, z)):
        return None
    memset(&call, 0, sizeof(call))
    call.loop = loop_for(active, function, x)
    call.options.target_type = type_code(z)
    call.args[0], call.args[1] = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(z)
    call.dims[0], call.dims[1] = 1, cnp.PyArray_SIZE(x)
    call.steps[8], call.steps[9] = cnp.PyArray_ITEMSIZE(x), cnp.PyArray_ITEMSIZE(z)
    return call_loss(&call, x, x, False, reduction, return_grad, return_hess, out)


cdef object plain_row_loss(int function, object logits, object targets, object ignore_index, object axis,
                           object reduction, bint return_grad, bint return_hess):
    """The loss of plain arrays of rows and labels, without weights; None where a general function has to decide."""
    cdef loss_call call
    cdef cnp.ndarray x, z
    cdef int nd, overflow = 0
    if (not is_plain(logits) or not is_plain(targets) or not PyLong_CheckExact(ignore_index)
            or not PyLong_CheckExact(axis)):
        return None
    x, z = <cnp.ndarray>logits, <cnp.ndarray>targets
    nd = cnp.PyArray_NDIM(x)
    memset(&call, 0, sizeof(call))
    call.options.ignored, call.options.ignores = PyLong_AsLongLongAndOverflow(ignore_index, &overflow), 1
    if (cnp.PyArray_TYPE(x) not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or not holds_targets(function, z, False)
            or cnp.PyArray_NDIM(z) != nd - 1 or not starts_like(x, z, nd - 1) or not cnp.PyArray_SIZE(x)
            or not is_last(axis, nd) or overflow or call.options.ignored == INT64_MAX):
        return None
    call.loop = loop_for(active, function, x)
    call.options.target_type = type_code(z)
    call.args[0], call.args[1] = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(z)
    call.dims[0], call.dims[1] = cnp.PyArray_SIZE(z), cnp.PyArray_DIMS(x)[nd - 1]
    call.steps[0] = call.dims[1] * cnp.PyArray_ITEMSIZE(x)
    call.steps[1], call.steps[5] = cnp.PyArray_ITEMSIZE(z), cnp.PyArray_ITEMSIZE(x)
    return call_loss(&call, x, z, True, reduction, return_grad, return_hess)


def short_way_for_binary_cross_entropy(int function):
    """Decorator: plain arrays without weights go straight to the loop."""
    if not is_loss(function, element_loss):
        raise ValueError(f"function {function} is no loss of elements")

    def decorate(general):
        def binary_cross_entropy_with_logits(
                logits, targets, weight=None, pos_weight=None, reduction="mean", *, label_smoothing=0.0,
                return_grad=False, return_hess=False, out=None):
            if weight is None and pos_weight is None and is_zero(label_smoothing):
                y = plain_element_loss(function, logits, targets, reduction, return_grad, return_hess, out)
                if y is not None:
                    return y
            return general(logits, targets, weight, pos_weight, reduction, label_smoothing=label_smoothing,
                           return_grad=return_grad, return_hess=return_hess, out=out)
        return wraps(general)(binary_cross_entropy_with_logits)
    return decorate


def short_way_for_kl_divergence(int function, int function_of_logs):
    """Decorator: plain arrays, reduced to a number, go straight to the loop."""
    if not is_loss(function, element_loss) or not is_loss(function_of_logs, element_loss):
        raise ValueError(f"functions {function} and {function_of_logs} are no losses of elements")

    def decorate(general):
        def kl_divergence(log_q, p, *, log_target=False, axis=-1, reduction="mean"):
            if reduction != "none" and PyLong_CheckExact(axis) and axis == -1:
                chosen = function_of_logs if log_target else function
                y = plain_element_loss(chosen, log_q, p, reduction)
                if y is not None:
                    return y
            return general(log_q, p, log_target=log_target, axis=axis, reduction=reduction)
        return wraps(general)(kl_divergence)
    return decorate


def short_way_for_cross_entropy(int function):
    """Decorator: plain arrays of rows and labels go straight to the loop."""
    if not is_loss(function, row_loss):
        raise ValueError(f"function {function} is no loss of rows")

    def decorate(general):
        def cross_entropy(logits, targets, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0, *,
                          axis=-1, return_grad=False, return_hess=False):
            if weight is None and is_zero(label_smoothing):
                y = plain_row_loss(function, logits, targets, ignore_index, axis, reduction, return_grad, return_hess)
                if y is not None:
                    return y
            return general(logits, targets, weight, ignore_index, reduction, label_smoothing, axis=axis,
                           return_grad=return_grad, return_hess=return_hess)
        return wraps(general)(cross_entropy)
    return decorate


def short_way_for_nll(int function):
    """Decorator: plain arrays of rows and labels go straight to the loop."""
    if not is_loss(function, row_loss):
        raise ValueError(f"function {function} is no loss of rows")

    def decorate(general):
        def nll_loss(log_probs, targets, weight=None, ignore_index=-100, reduction="mean", *, axis=-1):
            if weight is None:
                y = plain_row_loss(function, log_probs, targets, ignore_index, axis, reduction, False, False)
                if y is not None:
                    return y
            return general(log_probs, targets, weight, ignore_index, reduction, axis=axis)
        return wraps(general)(nll_loss)
    return decorate
