"""The way of losses into their loops, a part of _core.pyx: any arrays and options, and the short way of plain arrays."""

cdef char type_code(cnp.ndarray z) noexcept:
    """NumPy's character of the types that loops of losses read, by their numbers."""
    cdef const char *codes = b"?bBhHiIlLqQfd"
    return codes[cnp.PyArray_TYPE(z)]


cdef bint holds_targets(int function, cnp.ndarray z, bint probabilities) noexcept:
    """Is it an array of a type that the loop of a loss reads?"""
    cdef int typenum = cnp.PyArray_TYPE(z)
    cdef bint is_number = typenum == cnp.NPY_FLOAT or typenum == cnp.NPY_DOUBLE
    cdef bint is_integer = typenum <= cnp.NPY_ULONGLONG
    if not cnp.PyArray_ISBEHAVED_RO(z):
        return False
    if fl_rows[function].shape == fl_row_loss:
        return is_number if probabilities else is_integer
    return is_number or is_integer


cdef check_loss_arguments(int function, tuple arrays, bint probabilities):
    cdef int given = 2 if fl_rows[function].shape == fl_row_loss else 4, i
    cdef cnp.ndarray one
    if len(arrays) != fl_shapes[fl_rows[function].shape].nin + fl_shapes[fl_rows[function].shape].nout:
        raise ValueError("another number of arrays is needed")
    cdef int own = cnp.PyArray_TYPE(<cnp.ndarray?>arrays[0])
    for i, each in enumerate(arrays):
        if each is None and i > 1:
            continue
        one = <cnp.ndarray?>each
        if i == 1:
            fit = holds_targets(function, one, probabilities)
        else:
            fit = cnp.PyArray_TYPE(one) == (cnp.NPY_DOUBLE if i == 7 else own) and cnp.PyArray_ISBEHAVED_RO(one)
        if not fit or own not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or (i >= given and not cnp.PyArray_ISWRITEABLE(one)):
            raise ValueError(f"array {i} has no dtype or layout that loops of losses read or write")


cdef struct walk:
    # Axes outside of the core, longest strides first; the last of them is a loop's own, as dims and steps say.
    int arguments
    int axes
    char *args[MAX_ARGUMENTS]
    cnp.npy_intp shape[MAX_DIMENSIONS]
    cnp.npy_intp strides[MAX_ARGUMENTS][MAX_DIMENSIONS]
    intptr_t dims[2]
    intptr_t steps[2 * MAX_ARGUMENTS]


cdef lay_out(walk *w, tuple arrays, int core, tuple without_core):
    """How a loop walks over arrays that are broadcast to the first of them: along the axis `core`, or, if that is -1,
    along the last axis in memory or a longer one. The arrays `without_core` lack that axis."""
    cdef cnp.ndarray x = <cnp.ndarray>arrays[0]
    cdef int nd = cnp.PyArray_NDIM(x), i, k, at
    w.arguments, w.axes = <int>len(arrays), 0
    w.dims[0] = w.dims[1] = 1
    memset(w.steps, 0, sizeof(w.steps))
    for i in range(w.arguments):
        w.args[i] = NULL if arrays[i] is None else cnp.PyArray_BYTES(<cnp.ndarray>arrays[i])
        if core >= 0 and i not in without_core:
            w.steps[w.arguments + i] = stride_along(arrays[i], core, nd, -1, cnp.PyArray_DIMS(x)[core])
    for k in range(nd):
        if k == core or cnp.PyArray_DIMS(x)[k] == 1:
            continue
        at = w.axes
        while at > 0 and magnitude(w.strides[0][at - 1]) < magnitude(cnp.PyArray_STRIDES(x)[k]):
            move_axis(w, at - 1, at)
            at -= 1
        w.shape[at] = cnp.PyArray_DIMS(x)[k]
        for i in range(w.arguments):
            w.strides[i][at] = stride_along(arrays[i], k, nd, core if i in without_core else -1, w.shape[at])
        w.axes += 1
    merge_axes(w)
    if core >= 0:
        w.dims[1] = cnp.PyArray_DIMS(x)[core]
    elif w.axes:
        take_core(w)
    if w.axes:
        w.dims[0] = w.shape[w.axes - 1]
        for i in range(w.arguments):
            w.steps[i] = w.strides[i][w.axes - 1]


cdef void move_axis(walk *w, int k, int to) noexcept:
    w.shape[to] = w.shape[k]
    for i in range(w.arguments):
        w.strides[i][to] = w.strides[i][k]


cdef void merge_axes(walk *w) noexcept:
    """Axes that follow each other in the memory of all arguments become one."""
    cdef int last = 0, i, k
    cdef cnp.npy_intp length
    for k in range(1, w.axes):
        length = w.shape[last]
        for i in range(w.arguments):
            if w.strides[i][last] != w.strides[i][k] * w.shape[k]:
                length = 0
        last += length == 0
        move_axis(w, k, last)
        if length:
            w.shape[last] *= length
    w.axes = min(w.axes, last + 1)


cdef void take_core(walk *w) noexcept:
    """The last axis becomes the core, or a longer one where that is short."""
    cdef int core = w.axes - 1, i, k
    for k in range(w.axes):
        if w.shape[core] < 64 and w.shape[k] > w.shape[core]:
            core = k
    w.dims[1] = w.shape[core]
    for i in range(w.arguments):
        w.steps[w.arguments + i] = w.strides[i][core]
    for k in range(core, w.axes - 1):
        move_axis(w, k + 1, k)
    w.axes -= 1


def run_loss(int function, tuple arrays, axis=None, *, double scale=1.0, double smoothing=0.0, double positive=1.0,
             double negative=1.0, double gamma=0.0, class_weight=None, ignored=None, bint probabilities=False,
             bint only_weights=False, target=None):
    """The loop of a loss, without copying an array.

    Parameters
    ----------
    function : int
        From `INDEX`; of the shape of a loss.
    arrays : tuple of ndarray or None
        The arguments of that shape, outputs included; None where one is missing or not wanted. Native, aligned; logits
        of float32 or float64. Of elements: all broadcast to the shape of the logits, but the sums of rows. Of rows:
        labels and losses have the shape of the logits without `axis`.
    axis : int, optional
        The axis of the rows, not negative; None where elements are in no rows.
    scale, smoothing, positive, negative, gamma, class_weight, ignored, probabilities, only_weights
        See ``fl_loss`` in csrc/fastlog.h; `class_weight` is a contiguous array of float64.
    target : str, optional
        One of `supported_targets`; the active one by default.

    Returns
    -------
    total : float
        The sum of the losses, where they are not wanted themselves.
    weight : float
        Sum of the weights of the labels that count.
    wrong : int
        How many labels are out of range.
    """
    if not 0 <= function < FL_FUNCTIONS or fl_rows[function].shape not in (fl_element_loss, fl_row_loss):
        raise ValueError(f"function {function} is no loss")
    check_loss_arguments(function, arrays, probabilities)
    cdef bint of_rows = fl_rows[function].shape == fl_row_loss
    cdef cnp.ndarray x = <cnp.ndarray>arrays[0], one
    cdef int core = -1 if axis is None else axis
    cdef fl_loss_options options
    cdef fl_loss_result result
    cdef fl_loss loss
    cdef walk w
    if not (0 if of_rows else -1) <= core < cnp.PyArray_NDIM(x):
        raise ValueError(f"axis {axis} of {cnp.PyArray_NDIM(x)}")
    memset(&options, 0, sizeof(options))
    memset(&result, 0, sizeof(result))
    loss.options, loss.result = &options, &result
    options.target_type = type_code(<cnp.ndarray>arrays[1])
    options.scale, options.smoothing, options.gamma = scale, smoothing, gamma
    options.positive, options.negative = positive, negative
    options.are_probabilities, options.only_weights, options.ignores = probabilities, only_weights, ignored is not None
    if options.ignores:
        options.ignored = ignored
    if class_weight is not None:
        one = <cnp.ndarray?>class_weight
        if (cnp.PyArray_TYPE(one) != cnp.NPY_DOUBLE or not cnp.PyArray_ISCARRAY_RO(one) or core < 0
                or cnp.PyArray_SIZE(one) != cnp.PyArray_DIMS(x)[core]):
            raise ValueError("class_weight needs a float64 for every class")
        options.class_weight = <const double *>cnp.PyArray_DATA(one)
    # Sums of rows have no core axis, and neither have labels and the losses of rows.
    cdef tuple without_core = ()
    if of_rows and probabilities:
        without_core = (2,)
    elif of_rows:
        without_core = (1, 2)
    elif core >= 0:
        without_core = (7,)
    lay_out(&w, arrays, core, without_core)
    cdef const fl_target *run_on = active if target is None else find_target(target)
    cdef fl_loop *loop = loop_for(run_on, function, x)
    if cnp.PyArray_SIZE(x) or of_rows:
        with nogil:
            run_rows_of(loop, w.args, w.dims, w.steps, w.arguments, w.axes - 1, w.shape, w.strides, &loss)
    return fl_sum(result.total), fl_sum(result.weight), result.wrong


cdef cnp.npy_intp stride_along(object array, int axis, int nd, int without, cnp.npy_intp length) except? -1:
    """Of an argument along an axis of the logits, which its own axes are aligned to; it may lack the axis `without`."""
    if array is None:
        return 0
    cdef cnp.ndarray a = <cnp.ndarray>array
    cdef int ndim = cnp.PyArray_NDIM(a), k = axis - (nd - ndim) if without < 0 else axis - (axis > without)
    if ndim > nd or (without >= 0 and ndim != nd - 1):
        raise ValueError("shapes do not fit")
    if k < 0 or (cnp.PyArray_DIMS(a)[k] == 1 and without < 0):
        return 0
    if cnp.PyArray_DIMS(a)[k] != length:
        raise ValueError("shapes do not fit")
    return cnp.PyArray_STRIDES(a)[k]


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
    fl_loss_options options
    fl_loss_result result


cdef void run_call(loss_call *call) noexcept:
    cdef fl_loss loss
    loss.options, loss.result = &call.options, &call.result
    if call.dims[0] * call.dims[1] < 1000:  # releasing the GIL costs as much
        call.loop(call.args, call.dims, call.steps, &loss)
    else:
        with nogil:
            call.loop(call.args, call.dims, call.steps, &loss)


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
            if call.result.wrong:
                return None
            count = fl_sum(call.result.weight)
            call.options.only_weights = False
            call.result.weight[0] = call.result.weight[1] = 0
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
    if call.result.wrong:
        return None
    if reduction == "none":
        if cnp.PyArray_NDIM(losses) == 0 and out is None:
            results[0] = results[0][()]
    else:
        value = fl_sum(call.result.total)
        if mean:
            count = fl_sum(call.result.weight) if rows else count
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
    if not is_loss(function, fl_element_loss):
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
    if not is_loss(function, fl_element_loss) or not is_loss(function_of_logs, fl_element_loss):
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
    if not is_loss(function, fl_row_loss):
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
    if not is_loss(function, fl_row_loss):
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
