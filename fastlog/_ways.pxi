"""The ways of plain arrays into the loops, past the Python layer: one for each kind of function. A part of _core.pyx.

A way returns None where the general function has to decide. _short.pxi has the calls that try one first.
"""


cdef bint starts_like(cnp.ndarray a, cnp.ndarray b, int axes) noexcept:
    """Tell whether two arrays have the same lengths along their first axes."""
    for k in range(axes):
        if cnp.PyArray_DIMS(a)[k] != cnp.PyArray_DIMS(b)[k]:
            return False
    return True


cdef bint is_plain(object a) noexcept:
    """Tell whether an object is exactly an ndarray, C-contiguous, aligned and native."""
    return type(a) is cnp.ndarray and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>a)


cdef void begin_walk(walk *w, int arguments) noexcept:
    """Make a walk without arguments, which its maker fills in, and without outer axes but the loop's own."""
    w.arguments, w.outer.count = arguments, 0
    memset(w.args, 0, sizeof(w.args))
    memset(w.steps, 0, sizeof(w.steps))


# ---- functions of rows ----


cdef bint runs_rows(int function) noexcept:
    return 0 <= function < FL_FUNCTIONS and fl_rows[function].shape in (fl_reduce, fl_normalize, fl_normalize_terms)


def run_rows(int function, a, axis, out=None, target=None):
    """Run the loop of a reduction or normalisation on a plain array, without the ufunc machinery.

    `function` is a number from `INDEX`, of a function of the signature (n)->() or (n)->(n); `a`, `axis` and `out` are
    the arguments of the public function, and only a normalisation has `out`. The target is the active one by default.

    The result is an array or a scalar, or None where the short way does not apply: `a` is not exactly an ndarray of
    native, aligned floats up to float64; or `axis` is neither None nor an int in range; or `a` cannot be seen as a
    matrix whose rows are those along `axis`; or the loop cannot write straight into `out`.
    """
    if not runs_rows(function):
        raise ValueError(f"function {function} is neither a reduction nor a normalisation of rows")
    return rows_of(function, a, axis, out, active if target is None else find_target(target), 1, None)


cdef object rows_of(int function, object a, object axis, object out, const fl_target *run_on, double divisor,
                    object where):
    """Do what run_rows does, for a function that it accepts; a normalisation may have a divisor and a mask."""
    if type(a) is not cnp.ndarray:
        return None
    cdef cnp.ndarray x = <cnp.ndarray>a
    cdef int typenum = cnp.PyArray_TYPE(x), nd = cnp.PyArray_NDIM(x), k = 0, out_nd = 0, i
    cdef char own = type_of(x)
    cdef bint normalizes = fl_rows[function].shape != fl_reduce, masked = where is not None
    if own == 0 or nd == 0 or not cnp.PyArray_ISBEHAVED_RO(x):
        return None
    if masked and not (is_plain(x) and is_mask_of(where, x)):
        return None
    cdef cnp.npy_intp *shape = cnp.PyArray_DIMS(x)
    cdef cnp.npy_intp *strides = cnp.PyArray_STRIDES(x)
    cdef intptr_t itemsize = cnp.PyArray_ITEMSIZE(x), size = cnp.PyArray_SIZE(x)
    # The matrix has `rows` rows of n elements. The steps lead from row to row and from element to element, in the input
    # and in the output.
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
    if out is not None and not (normalizes and is_plain(out) and is_plain(x) and may_write(out, x, (where,))):
        return None
    if not normalizes:
        out_row_step = itemsize
    cdef cnp.npy_intp out_shape[MAX_DIMENSIONS]
    for i in range(nd):
        if normalizes or (axis is not None and i != k):
            out_shape[out_nd] = shape[i]
            out_nd += 1
    cdef walk w
    cdef staging s
    cdef double scalar
    w.arguments, w.outer.count = 2 + masked, 0
    w.dims[0], w.dims[1] = rows, n
    w.args[0], w.args[1], w.args[2] = cnp.PyArray_BYTES(x), <char *>&scalar, NULL
    w.steps[0], w.steps[1] = row_step, out_row_step
    w.steps[w.arguments], w.steps[w.arguments + 1] = step, out_step
    if masked:
        w.args[2] = cnp.PyArray_BYTES(<cnp.ndarray>where)
        w.steps[2], w.steps[5] = row_step // itemsize, step // itemsize
    if out is None and out_nd:
        out = cnp.PyArray_EMPTY(out_nd, out_shape, typenum, 0)
    if out is not None:
        w.args[1] = cnp.PyArray_BYTES(<cnp.ndarray>out)
    if is_narrow(own) or masked or divisor != 1:
        begin_staging(&s, function, run_on, own, 3 if is_narrow(own) else 0, 0 if normalizes else 2)
        divide_and_mask(&s, divisor, masked)
        run_staged(&w, &s)
    else:
        run_walk(&w, loop_for(run_on, function, x), NULL)
    return PyArray_Scalar(&scalar, cnp.PyArray_DESCR(x), None) if out is None else out


cdef object ALL_INCLUDED = np.ones((), np.bool)
cdef bint is_mask_of(object where, cnp.ndarray x) noexcept:
    """Tell whether an object is a plain array of bools of the shape of `x`."""
    return (is_plain(where) and cnp.PyArray_TYPE(<cnp.ndarray>where) == cnp.NPY_BOOL
            and cnp.PyArray_NDIM(<cnp.ndarray>where) == cnp.PyArray_NDIM(x)
            and starts_like(<cnp.ndarray>where, x, cnp.PyArray_NDIM(x)))


cdef double divisor_for(object a, object temperature):
    """Return the number by which a temperature has an array divided; nan where the general function has to decide."""
    cdef double divisor
    if type(temperature) is not float:
        return NAN
    divisor = <double>temperature
    if type(a) is cnp.ndarray and cnp.PyArray_TYPE(<cnp.ndarray>a) == cnp.NPY_FLOAT:
        divisor = <float>divisor
    elif type(a) is not cnp.ndarray or cnp.PyArray_TYPE(<cnp.ndarray>a) != cnp.NPY_DOUBLE:
        return 1 if divisor == 1 else NAN  # The quotient is rounded as the caller's own.
    return divisor if 0 < divisor < INFINITY else NAN


cdef object as_plain(object a):
    """Return a list of numbers as an array; return anything else as it is."""
    if type(a) is not list:
        return a
    try:
        x = np.asarray(a)
    except ValueError:
        return a
    return x.astype(np.float64) if x.dtype.kind in "biu" else x


# ---- losses ----


cdef object as_scalar(cnp.ndarray x, double value):
    """Return a number in the dtype of `x`; None where it overflows that."""
    cdef float narrow
    if cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE:
        return PyArray_Scalar(&value, cnp.PyArray_DESCR(x), None)
    narrow = <float>value
    if narrow - narrow != 0 and value - value == 0:
        return None
    return PyArray_Scalar(&narrow, cnp.PyArray_DESCR(x), None)


cdef object loss_of(int function, walk *w, loss_call *call, cnp.ndarray x, cnp.ndarray losses, str reduction,
                    bint return_grad, bint return_hess, object out):
    """Return the losses, of the shape of `losses` or in `out`, or their sum or mean, and the derivatives.

    `w` and `call` only lack outputs. The result is None where the general function has to decide.
    """
    cdef int each = fl_shapes[fl_rows[function].shape].nin, k
    cdef bint mean = reduction == "mean", separate = not mean and reduction == "none"
    cdef double value, count
    cdef staging s
    cdef list results = [None]
    if not mean and not separate and reduction != "sum":
        return None
    if separate:
        y = out
        if out is None:
            y = cnp.PyArray_EMPTY(cnp.PyArray_NDIM(losses), cnp.PyArray_DIMS(losses), cnp.PyArray_TYPE(x), 0)
        results[0] = y
        w.args[each] = cnp.PyArray_BYTES(<cnp.ndarray>y)
        # One of the two steps counts: the core step for elements, the outer one for rows.
        w.steps[each] = w.steps[w.arguments + each] = cnp.PyArray_ITEMSIZE(x)
    for k in range(each + 1, each + 1 + max(return_grad, 2 * return_hess)):
        y = cnp.PyArray_EMPTY(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x), 0)
        results.append(y)
        w.args[k] = cnp.PyArray_BYTES(<cnp.ndarray>y)
        w.steps[k], w.steps[w.arguments + k] = w.steps[0], w.steps[w.arguments]
    s.loop, s.staged = loop_for(active, function, x), 0
    count = <double>w.dims[0] if call.options.are_probabilities else <double>cnp.PyArray_SIZE(x)
    value = value_of_loss(function, w, &s, call, mean, count)
    if call.result.wrong:
        return None
    if not separate:
        results[0] = as_scalar(x, value)
    elif cnp.PyArray_NDIM(losses) == 0 and out is None:
        results[0] = results[0][()]
    return results[0] if results[0] is None or len(results) == 1 else tuple(results)


# ---- the ways, and the arguments that they know ----

cdef enum:
    FIRST, SECOND, AXIS, OUT, REDUCTION, RETURN_GRAD, RETURN_HESS, IGNORE_INDEX, LOG_TARGET, WHERE, TEMPERATURE
    SMOOTHING, WEIGHTS, KEEPDIMS, RETURN_SIGN, RETURN_LSE, ALPHA, GAMMA, SLOTS
    MAX_PARAMETERS = 16

cdef class ShortWay

# A short way knows these arguments and the first two.
cdef dict SLOT_OF = {
    "axis": AXIS, "out": OUT, "reduction": REDUCTION, "return_grad": RETURN_GRAD, "return_hess": RETURN_HESS,
    "ignore_index": IGNORE_INDEX, "log_target": LOG_TARGET, "where": WHERE, "temperature": TEMPERATURE,
    "label_smoothing": SMOOTHING, "return_lse": RETURN_LSE, "alpha": ALPHA, "gamma": GAMMA}
# The short way of sums knows these, too.
cdef dict SLOT_OF_SUMS = {**SLOT_OF, "b": WEIGHTS, "keepdims": KEEPDIMS, "return_sign": RETURN_SIGN}


cdef object way_of_rows(ShortWay self, PyObject **given):
    cdef object where = <object>given[WHERE], a = as_plain(<object>given[FIRST])
    cdef double divisor = 1
    if fl_rows[self.function].shape != fl_reduce:
        divisor = divisor_for(a, <object>given[TEMPERATURE])
    elif where is not None:
        return None
    if divisor != divisor:
        return None
    if <object>given[RETURN_LSE] is True:
        return with_logsumexp(self.second, a, <object>given[AXIS], <object>given[OUT], divisor, where)
    if <object>given[RETURN_LSE] is not False and <object>given[RETURN_LSE] is not None:
        return None
    return rows_of(self.function, a, <object>given[AXIS], <object>given[OUT], active, divisor, where)


cdef bint is_within(cnp.ndarray a, cnp.ndarray x) noexcept:
    """Tell whether `a` broadcasts to the shape of `x`."""
    cdef int less = cnp.PyArray_NDIM(x) - cnp.PyArray_NDIM(a), k
    if less < 0:
        return False
    for k in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIMS(a)[k] != 1 and cnp.PyArray_DIMS(a)[k] != cnp.PyArray_DIMS(x)[less + k]:
            return False
    return True


cdef object plain_axes(object axis, int nd):
    """Return the axes as a tuple, or None where they are not ints in range, each of them once."""
    cdef int k, seen = 0
    if axis is None:
        return tuple(range(nd))
    found = []
    for one in axis if type(axis) is tuple else (axis,):
        if not PyLong_CheckExact(one) or not -nd <= one < nd:
            return None
        k = one
        k += nd if k < 0 else 0
        if seen >> k & 1:
            return None
        seen |= 1 << k
        found.append(k)
    return tuple(found)


cdef object plain_weights(object b, cnp.ndarray x):
    """Return weights as an array of the dtype of `x`, or None where the general function has to convert them."""
    cdef double value
    cdef float narrow
    if type(b) is cnp.ndarray:
        one = <cnp.ndarray>b
        suits = cnp.PyArray_TYPE(<cnp.ndarray>b) == cnp.PyArray_TYPE(x) and cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray>b)
        return one if suits and is_within(<cnp.ndarray>b, x) else None
    if type(b) is not float and not PyLong_CheckExact(b):
        return None
    value = b
    made = cnp.PyArray_EMPTY(0, NULL, cnp.PyArray_TYPE(x), 0)
    if cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE:
        (<double *>cnp.PyArray_DATA(<cnp.ndarray>made))[0] = value
        return made
    if value == 0 or not FLT_MIN <= fabs(value) <= FLT_MAX:
        return None
    narrow = <float>value
    (<float *>cnp.PyArray_DATA(<cnp.ndarray>made))[0] = narrow
    return made


cdef object with_logsumexp(int function, object a, object axis, object out, double divisor, object where):
    """Return a normalisation and the logsumexp; None where the general function has to decide."""
    cdef cnp.ndarray x
    if type(a) is not cnp.ndarray:
        return None
    x = <cnp.ndarray>a
    if (cnp.PyArray_TYPE(x) not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or not cnp.PyArray_ISBEHAVED_RO(x)
            or not 0 < cnp.PyArray_NDIM(x) <= 8 or (where is not None and not is_mask_of(where, x))):
        return None
    if out is not None and not (is_plain(out) and may_write(out, x, (where,))):
        return None
    axes = plain_axes(axis, cnp.PyArray_NDIM(x))
    if axes is None:
        return None
    y = out
    if out is None:
        y = cnp.PyArray_EMPTY(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x), 0)
    made = run_arrays(function, (x, y), axes, False, active, divisor, where)
    if made is None:
        return None
    lse = made[0]
    return y, lse[()] if cnp.PyArray_NDIM(<cnp.ndarray>lse) == 0 else lse


cdef object way_of_pairs(ShortWay self, PyObject **given):
    """Compute the product of a matrix and a vector of one dtype, in either order."""
    cdef cnp.ndarray x, y
    a, b = <object>given[FIRST], <object>given[SECOND]
    if type(a) is not cnp.ndarray or type(b) is not cnp.ndarray or <object>given[OUT] is not None:
        return None
    x, y, core = <cnp.ndarray>a, <cnp.ndarray>b, (1,)
    if cnp.PyArray_NDIM(x) == 1:
        x, y, core = y, x, (0,)
    if (cnp.PyArray_NDIM(x) != 2 or cnp.PyArray_NDIM(y) != 1 or cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(y)
            or cnp.PyArray_TYPE(x) not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or not cnp.PyArray_SIZE(x)
            or cnp.PyArray_DIMS(y)[0] != cnp.PyArray_DIMS(x)[<int>core[0]]
            or not cnp.PyArray_ISBEHAVED_RO(x) or not cnp.PyArray_ISBEHAVED_RO(y)):
        return None
    made = run_arrays(self.function, (x, y if core[0] else y[:, None]), core, False, active, 1, None)
    return None if made is None else made[0]


cdef void nan_where_negative(cnp.ndarray y, cnp.ndarray sign) noexcept:
    """Replace the logarithms of negative sums by nan; both arrays are in C order."""
    cdef cnp.npy_intp i
    cdef double *y64 = <double *>cnp.PyArray_DATA(y)
    cdef double *sign64 = <double *>cnp.PyArray_DATA(sign)
    cdef float *y32 = <float *>y64
    cdef float *sign32 = <float *>sign64
    if cnp.PyArray_TYPE(y) == cnp.NPY_DOUBLE:
        for i in range(cnp.PyArray_SIZE(y)):
            if sign64[i] < 0:
                y64[i] = NAN
    else:
        for i in range(cnp.PyArray_SIZE(y)):
            if sign32[i] < 0:
                y32[i] = <float>NAN


cdef object way_of_sums(ShortWay self, PyObject **given):
    """Compute a sum or mean of exponentials, with weights, `where`, and any axes."""
    a, axis = as_plain(<object>given[FIRST]), <object>given[AXIS]
    b, where = as_plain(<object>given[WEIGHTS]), <object>given[WHERE]
    keepdims, return_sign = <object>given[KEEPDIMS], <object>given[RETURN_SIGN]
    if return_sign is None:  # A mean has no such argument.
        return_sign = False
    cdef bint plain = where is None and return_sign is False and (
        b is None or b is True)
    cdef cnp.ndarray x
    if plain and keepdims is False and type(axis) is not tuple:
        return rows_of(self.function, a, axis, <object>given[OUT], active, 1, None)
    if type(a) is not cnp.ndarray or <object>given[OUT] is not None:
        return None
    x = <cnp.ndarray>a
    if (cnp.PyArray_TYPE(x) not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or not cnp.PyArray_ISBEHAVED_RO(x)
            or not 0 < cnp.PyArray_NDIM(x) <= 8 or type(keepdims) is not bool or type(return_sign) is not bool):
        return None
    axes = plain_axes(axis, cnp.PyArray_NDIM(x))
    if axes is None:
        return None
    if plain:
        made = run_arrays(self.function, (x,), axes, keepdims, active, 1, None)
    else:
        weights = plain_weights(1.0 if b is None else b, x)
        if where is None:
            where = ALL_INCLUDED
        elif (type(where) is not cnp.ndarray or cnp.PyArray_TYPE(<cnp.ndarray>where) != cnp.NPY_BOOL
                or not is_within(<cnp.ndarray>where, x)):
            return None
        if weights is None:
            return None
        made = run_arrays(self.second, (x, weights, where), axes, keepdims, active, 1, None)
    if made is None:
        return None
    y = made[0]
    if not plain and not return_sign:
        nan_where_negative(<cnp.ndarray>y, <cnp.ndarray>made[1])
    if cnp.PyArray_NDIM(<cnp.ndarray>y) == 0:
        y = y[()]
        return (y, made[1][()]) if return_sign else y
    return made if return_sign else y


cdef bint is_plain_loss(int function, PyObject **given, bint probabilities) noexcept:
    """Tell whether a loop reads the first two arguments in the order of their memory, and `reduction` is a str."""
    cdef object logits = <object>given[FIRST], targets = <object>given[SECOND]
    return (is_plain(logits) and is_plain(targets) and type(<object>given[REDUCTION]) is str
            and cnp.PyArray_TYPE(<cnp.ndarray>logits) in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE)
            and holds_targets(function, <cnp.ndarray>targets, probabilities))


cdef bint set_smoothing(ShortWay self, loss_call *call, object smoothing) noexcept:
    """Set the option, if the function has it; return False where the general function has to decide."""
    if self.unset[SMOOTHING] != <PyObject *>None:
        if type(smoothing) is not float or not 0 <= <double>smoothing <= 1:
            return False
        call.options.smoothing = <double>smoothing
    return True


cdef bint set_focus(ShortWay self, loss_call *call, object alpha, object gamma, double largest) noexcept:
    """Set the weights and the power of a focal loss, if it is one; return False where the function has to decide."""
    if self.unset[GAMMA] == <PyObject *>None:
        return True
    if type(gamma) is not float or not 0 <= <double>gamma <= largest:
        return False
    call.options.gamma = <double>gamma
    if alpha is not None:
        if type(alpha) is not float or not 0 <= <double>alpha <= 1:
            return False
        call.options.positive, call.options.negative = <double>alpha, 1 - <double>alpha
    return True


cdef bint is_last(object axis, int nd) noexcept:
    """Tell whether an axis is an int, and the last one of nd; there may be none."""
    cdef int overflow = 0
    cdef long k = PyLong_AsLongAndOverflow(axis, &overflow) if PyLong_CheckExact(axis) else nd
    return nd > 0 and not overflow and (k == -1 or k == nd - 1)


cdef object way_of_elements(ShortWay self, PyObject **given):
    """Compute the loss of two arrays of one shape, without weights."""
    cdef walk w
    cdef loss_call call
    cdef cnp.ndarray x, z
    cdef str reduction
    cdef int function = self.function
    if not is_plain_loss(function, given, False):
        return None
    reduction, axis, out = <str>given[REDUCTION], <object>given[AXIS], <object>given[OUT]
    if self.second >= 0:
        if reduction == "none" or not is_last(axis, cnp.PyArray_NDIM(<cnp.ndarray>given[FIRST])):
            return None
        if <object>given[LOG_TARGET]:
            function = self.second
    x, z = <cnp.ndarray>given[FIRST], <cnp.ndarray>given[SECOND]
    if cnp.PyArray_NDIM(x) != cnp.PyArray_NDIM(z) or not starts_like(x, z, cnp.PyArray_NDIM(x)):
        return None
    if out is not None and not (reduction == "none" and is_plain(out) and may_write(out, x, (z,))):
        return None
    begin_loss(&call, z)
    if not set_smoothing(self, &call, <object>given[SMOOTHING]) or not set_focus(
            self, &call, <object>given[ALPHA], <object>given[GAMMA],
            FLT_MAX if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT else DBL_MAX):
        return None
    begin_walk(&w, 8)
    w.args[0], w.args[1] = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(z)
    w.dims[0], w.dims[1] = 1, cnp.PyArray_SIZE(x)
    w.steps[8], w.steps[9] = cnp.PyArray_ITEMSIZE(x), cnp.PyArray_ITEMSIZE(z)
    return loss_of(function, &w, &call, x, x, reduction, <object>given[RETURN_GRAD], <object>given[RETURN_HESS], out)


cdef object way_of_row_losses(ShortWay self, PyObject **given):
    """Compute the loss of rows along the last axis, without weights; that of each row for labels alone."""
    cdef walk w
    cdef loss_call call
    cdef cnp.ndarray x, z
    cdef int nd, overflow = 0
    cdef bint probabilities = False
    axis, ignored, smoothing = <object>given[AXIS], <object>given[IGNORE_INDEX], <object>given[SMOOTHING]
    if smoothing is not None and type(<object>given[SECOND]) is cnp.ndarray:
        probabilities = cnp.PyArray_TYPE(<cnp.ndarray><object>given[SECOND]) in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE)
    if not is_plain_loss(self.function, given, probabilities) or not PyLong_CheckExact(ignored):
        return None
    if <object>given[TEMPERATURE] is not None:
        return None
    x, z = <cnp.ndarray>given[FIRST], <cnp.ndarray>given[SECOND]
    nd = cnp.PyArray_NDIM(x)
    if (not is_last(axis, nd) or cnp.PyArray_NDIM(z) != nd - 1 + probabilities
            or not starts_like(x, z, nd - 1 + probabilities) or not cnp.PyArray_SIZE(x)):
        return None
    begin_loss(&call, z)
    call.options.are_probabilities = probabilities
    if not set_smoothing(self, &call, smoothing) or (probabilities and <str>given[REDUCTION] == "none"):
        return None
    call.options.ignored, call.options.ignores = PyLong_AsLongLongAndOverflow(ignored, &overflow), 1
    if overflow or call.options.ignored == INT64_MAX or (probabilities and call.options.ignored >= 0):
        return None
    begin_walk(&w, 7)
    w.args[0], w.args[1] = cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(z)
    w.dims[1] = cnp.PyArray_DIMS(x)[nd - 1]
    w.dims[0] = cnp.PyArray_SIZE(x) // w.dims[1]
    w.steps[0], w.steps[7] = w.dims[1] * cnp.PyArray_ITEMSIZE(x), cnp.PyArray_ITEMSIZE(x)
    w.steps[1] = cnp.PyArray_ITEMSIZE(z)
    if probabilities:
        w.steps[1], w.steps[8] = w.dims[1] * cnp.PyArray_ITEMSIZE(z), cnp.PyArray_ITEMSIZE(z)
    return loss_of(self.function, &w, &call, x, z, <str>given[REDUCTION], <object>given[RETURN_GRAD],
                   <object>given[RETURN_HESS], None)


cdef bint has_nan_rows(cnp.ndarray p) noexcept:
    """Tell whether a row of a softmax is nan, of which then all elements are; rows are along the last axis."""
    cdef cnp.npy_intp n = cnp.PyArray_DIMS(p)[cnp.PyArray_NDIM(p) - 1], row
    cdef const float *narrow = <const float *>cnp.PyArray_BYTES(p)
    cdef const double *wide = <const double *>cnp.PyArray_BYTES(p)
    cdef bint is_narrow = cnp.PyArray_TYPE(p) == cnp.NPY_FLOAT
    for row in range(cnp.PyArray_SIZE(p) // n):
        if narrow[row * n] != narrow[row * n] if is_narrow else wide[row * n] != wide[row * n]:
            return True
    return False


cdef object way_of_draws(ShortWay self, PyObject **given):
    """Draw an index from each row along the last axis, by a generator's numbers."""
    cdef walk w
    cdef cnp.ndarray x
    cdef int nd
    cdef double divisor
    a, rng, axis = <object>given[FIRST], <object>given[SECOND], <object>given[AXIS]
    if not is_plain(a) or type(rng) is not np.random.Generator:
        return None
    x, divisor = <cnp.ndarray>a, divisor_for(a, <object>given[TEMPERATURE])
    nd = cnp.PyArray_NDIM(x)
    if (cnp.PyArray_TYPE(x) not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) or not is_last(axis, nd)
            or not cnp.PyArray_SIZE(x) or divisor != divisor):
        return None
    p = rows_of(self.second, a, axis, None, active, divisor, None)
    if has_nan_rows(<cnp.ndarray?>p):
        return None  # The general function says which row has nothing to draw from, before it draws.
    u = np.asarray(rng.random(a.shape[:nd - 1]))
    drawn = cnp.PyArray_EMPTY(nd - 1, cnp.PyArray_DIMS(x), cnp.NPY_INT64, 0)
    begin_walk(&w, 3)
    w.args[0], w.args[1] = cnp.PyArray_BYTES(<cnp.ndarray?>p), cnp.PyArray_BYTES(<cnp.ndarray?>u)
    w.args[2] = cnp.PyArray_BYTES(<cnp.ndarray>drawn)
    w.dims[1] = cnp.PyArray_DIMS(x)[nd - 1]
    w.dims[0] = cnp.PyArray_SIZE(x) // w.dims[1]
    w.steps[0], w.steps[3] = w.dims[1] * cnp.PyArray_ITEMSIZE(x), cnp.PyArray_ITEMSIZE(x)
    w.steps[1] = w.steps[2] = 8
    run_walk(&w, loop_for(active, self.function, x), NULL)
    return drawn[()] if nd == 1 else drawn
