"""The walker: it lays out any axes of any arrays for a loop, without a copy. A part of _core.pyx.

A loop runs over two axes of its arguments: an outer one and, inside it, the core. The walker makes one core of all axes
along which a function runs. It sorts the others, gives the innermost of them to the loop, and calls the loop for every
index of the rest.
"""

cdef enum:
    ROW_SUMS = 7  # The argument of a loss of elements that lacks the axis of the rows.
    ROW_WEIGHTS = 2  # The weights of rows themselves, in a loss of rows.
    ROW_LOSSES = 3  # These lack the axis of the classes, too, as do
    ROW_SLOPES = 6  # the derivatives of the losses by the temperature.
    SHORT_AXIS = 64  # A core of elements that is shorter gives way to a longer axis.
    FEW_ELEMENTS = 1000  # Releasing the GIL costs as much as a loop over so many elements.

cdef struct axes:
    # These are axes of all arguments together, sorted by the strides of the first argument, the longest one first. Axes
    # of length 1 are left out. An argument that does not vary along an axis has the stride 0 there.
    int count
    cnp.npy_intp shape[MAX_DIMENSIONS]
    cnp.npy_intp strides[MAX_DIMENSIONS][MAX_ARGUMENTS]

cdef struct walk:
    int arguments
    # The loop runs over the last outer axis itself.
    axes outer
    # The loop is called with the members below. An address is NULL where there is no such argument. `steps` has the
    # outer steps of all arguments, and then their core steps; an argument without a core has the core step 0.
    char *args[MAX_ARGUMENTS]
    intptr_t dims[2]
    intptr_t steps[2 * MAX_ARGUMENTS]


cdef void insert_axis(axes *sorted, cnp.npy_intp length, const cnp.npy_intp *strides) noexcept:
    """Insert an axis where its stride belongs."""
    cdef int at = sorted.count
    while at > 0 and llabs(sorted.strides[at - 1][0]) < llabs(strides[0]):
        copy_axis(sorted, at - 1, sorted, at)
        at -= 1
    sorted.shape[at] = length
    memcpy(sorted.strides[at], strides, sizeof(sorted.strides[at]))
    sorted.count += 1


cdef void copy_axis(const axes *source, int k, axes *target, int to) noexcept:
    target.shape[to] = source.shape[k]
    memcpy(target.strides[to], source.strides[k], sizeof(source.strides[k]))


cdef void merge_axes(axes *sorted, int arguments, bint always) noexcept:
    """Make one axis of those that follow each other in the memory of all arguments or, with `always`, of all axes."""
    cdef int last = 0, i, k
    cdef cnp.npy_intp length
    cdef bint follows
    for k in range(1, sorted.count):
        follows, length = True, sorted.shape[last]
        for i in range(arguments):
            follows = follows and sorted.strides[last][i] == sorted.strides[k][i] * sorted.shape[k]
        if not follows and not always:
            last, length = last + 1, 1
        copy_axis(sorted, k, sorted, last)
        sorted.shape[last] *= length
    sorted.count = min(sorted.count, last + 1)


cdef void take_core(axes *outer, axes *core) noexcept:
    """Move the last outer axis into the core, or, if that is short, a longer one."""
    cdef int taken = outer.count - 1, k
    for k in range(outer.count):
        if outer.shape[taken] < SHORT_AXIS and outer.shape[k] > outer.shape[taken]:
            taken = k
    copy_axis(outer, taken, core, 0)
    core.count = 1
    for k in range(taken, outer.count - 1):
        copy_axis(outer, k + 1, outer, k)
    outer.count -= 1


cdef bint lay_out(walk *w, tuple arrays, int nd, const cnp.npy_intp *shape, object along, unsigned without_core,
                  bint merged) except -1:
    """Lay out arrays, or None, that broadcast to a shape; return False if an array's core axes have no single stride.

    `along` has the core axes. `without_core` has a bit for each array that lacks them: its own axes are all the others.
    If `merged`, outer axes that follow each other in memory become one, and one of them the core if there is none. That
    is for losses; functions of rows keep their axes apart, as the number of rows decides how rows are summed.
    """
    cdef axes core
    cdef bint is_core[MAX_DIMENSIONS]
    cdef bint lacks[MAX_ARGUMENTS]
    cdef cnp.npy_intp strides[MAX_ARGUMENTS]
    cdef cnp.npy_intp size = 1
    cdef int i, k, own, cores = 0
    cdef cnp.ndarray one
    w.arguments, w.outer.count, core.count = <int>len(arrays), 0, 0
    memset(is_core, 0, sizeof(is_core))
    memset(strides, 0, sizeof(strides))
    for k in along:
        cores += not is_core[k]
        is_core[k] = True
    for i in range(w.arguments):
        w.args[i], lacks[i] = NULL, without_core >> i & 1
        if arrays[i] is not None:
            one = <cnp.ndarray>arrays[i]
            w.args[i] = cnp.PyArray_BYTES(one)
            if cnp.PyArray_NDIM(one) != nd - cores if lacks[i] else cnp.PyArray_NDIM(one) > nd:
                raise ValueError("shapes do not fit")
    cores = 0
    for k in range(nd):
        for i in range(w.arguments):
            strides[i] = 0
            if w.args[i] == NULL or (lacks[i] and is_core[k]):
                continue
            one = <cnp.ndarray>arrays[i]
            own = k - cores if lacks[i] else k - (nd - cnp.PyArray_NDIM(one))
            if own < 0 or (cnp.PyArray_DIMS(one)[own] == 1 and not lacks[i]):
                continue
            if cnp.PyArray_DIMS(one)[own] != shape[k]:
                raise ValueError("shapes do not fit")
            strides[i] = cnp.PyArray_STRIDES(one)[own]
        if shape[k] != 1:
            insert_axis(&core if is_core[k] else &w.outer, shape[k], strides)
        cores += is_core[k]
        size *= shape[k]
    merge_axes(&core, w.arguments, size == 0)
    if merged:
        merge_axes(&w.outer, w.arguments, False)
        if cores == 0 and w.outer.count:
            take_core(&w.outer, &core)
    k = w.outer.count - 1
    w.dims[0] = w.outer.shape[k] if w.outer.count else 1
    w.dims[1] = core.shape[0] if core.count else 1
    for i in range(w.arguments):
        w.steps[i] = w.outer.strides[k][i] if w.outer.count else 0
        if core.count:
            w.steps[w.arguments + i] = core.strides[0][i]
        else:
            w.steps[w.arguments + i] = cnp.PyArray_ITEMSIZE(<cnp.ndarray>arrays[i]) if w.args[i] else 0
    return core.count <= 1


cdef void call_all(walk *w, fl_loop *loop, void *data) noexcept nogil:
    """Call the loop for every index of the outer axes but the last."""
    cdef cnp.npy_intp index[MAX_DIMENSIONS]
    cdef int count = w.outer.count - 1, k, i
    for k in range(count):
        index[k] = 0
        if w.outer.shape[k] == 0:
            return
    while True:
        loop(w.args, w.dims, w.steps, data)
        k = count - 1
        while k >= 0:
            index[k] += 1
            for i in range(w.arguments):
                if w.args[i]:
                    w.args[i] += w.outer.strides[k][i]
            if index[k] < w.outer.shape[k]:
                break
            for i in range(w.arguments):
                if w.args[i]:
                    w.args[i] -= w.outer.strides[k][i] * w.outer.shape[k]
            index[k] = 0
            k -= 1
        if k < 0:
            return


cdef void run_walk(walk *w, fl_loop *loop, void *data) noexcept:
    """Call the loop for all of a walk, without the GIL if it is long."""
    if w.outer.count <= 1 and w.dims[0] * w.dims[1] < FEW_ELEMENTS:
        loop(w.args, w.dims, w.steps, data)
    else:
        with nogil:
            call_all(w, loop, data)


cdef void bounds(cnp.ndarray a, char **first, char **end) noexcept:
    """Find the addresses of an array's first byte and of the byte behind its last one."""
    cdef cnp.npy_intp span
    first[0] = end[0] = cnp.PyArray_BYTES(a)
    if cnp.PyArray_SIZE(a) == 0:
        return
    end[0] += cnp.PyArray_ITEMSIZE(a)
    for k in range(cnp.PyArray_NDIM(a)):
        span = cnp.PyArray_STRIDES(a)[k] * (cnp.PyArray_DIMS(a)[k] - 1)
        if span < 0:
            first[0] += span
        else:
            end[0] += span


cdef bint are_apart(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Tell whether no address is between the bounds of both arrays."""
    cdef char *first_a
    cdef char *end_a
    cdef char *first_b
    cdef char *end_b
    bounds(a, &first_a, &end_a)
    bounds(b, &first_b, &end_b)
    return end_a <= first_b or end_b <= first_a


cpdef bint may_write(object out, cnp.ndarray x, tuple others=()):
    """Tell whether a loop may write results of the shape and dtype of `x` straight into `out`.

    It may if `out` is exactly an ndarray of that shape and dtype, native, aligned and writeable, and shares no memory
    with what the loop reads: `x` and `others` (None where there is no such argument). It may take the place of `x`.
    """
    if type(out) is not cnp.ndarray:
        return False
    cdef cnp.ndarray y = <cnp.ndarray>out
    cdef bint in_place = cnp.PyArray_BYTES(x) == cnp.PyArray_BYTES(y)
    if (cnp.PyArray_TYPE(y) != cnp.PyArray_TYPE(x) or cnp.PyArray_NDIM(y) != cnp.PyArray_NDIM(x)
            or not cnp.PyArray_ISBEHAVED(y)):
        return False
    for k in range(cnp.PyArray_NDIM(x)):
        if cnp.PyArray_DIMS(y)[k] != cnp.PyArray_DIMS(x)[k]:
            return False
        if cnp.PyArray_DIMS(y)[k] > 1 and cnp.PyArray_STRIDES(y)[k] != cnp.PyArray_STRIDES(x)[k]:
            in_place = False
    if not in_place and not are_apart(x, y):
        return False
    for other in others:
        if other is not None and not are_apart(<cnp.ndarray?>other, y):
            return False
    return True


# ---- functions of rows ----


cdef int broadcast(tuple arrays, cnp.npy_intp *shape) noexcept:
    """Find the shape to which arrays broadcast together; return its length, or -1 if there is none."""
    cdef cnp.ndarray one
    cdef int nd = 0, k, own
    for one in arrays:
        nd = max(nd, cnp.PyArray_NDIM(one))
    for k in range(nd):
        shape[k] = 1
        for one in arrays:
            own = k - (nd - cnp.PyArray_NDIM(one))
            if own < 0 or cnp.PyArray_DIMS(one)[own] == 1:
                continue
            if shape[k] != 1 and shape[k] != cnp.PyArray_DIMS(one)[own]:
                return -1
            shape[k] = cnp.PyArray_DIMS(one)[own]
    return nd


cdef check_arguments(int function, tuple arrays, axes):
    """Refuse arguments that would make a loop read or write elsewhere."""
    cdef const fl_shape_info *signature = &fl_shapes[fl_rows[function].shape]
    cdef int i, nd = 0, core = signature.signature.count(b"(n)")
    cdef cnp.ndarray one
    if len(arrays) != core or core < signature.nin:
        raise ValueError(f"{core} arrays needed, not {len(arrays)}")
    for i in range(core):
        one = <cnp.ndarray?>arrays[i]
        nd = max(nd, cnp.PyArray_NDIM(one))
        wanted = cnp.NPY_BOOL if signature.types[i] == c"?" else cnp.PyArray_TYPE(<cnp.ndarray>arrays[0])
        if (type_of(<cnp.ndarray>arrays[0]) == 0 or cnp.PyArray_TYPE(one) != wanted
                or not cnp.PyArray_ISBEHAVED_RO(one)
                or (i >= signature.nin and not cnp.PyArray_ISWRITEABLE(one))):
            raise ValueError("arrays of floats up to float64, native and aligned, are needed, and outputs to write to")
    for k in axes:
        if not 0 <= k < nd:
            raise ValueError(f"axis {k} of {nd}")


cdef tuple run_arrays(int function, tuple arrays, tuple axes, bint keepdims, const fl_target *run_on, double divisor,
                      object where):
    """Do what run_over does, for arguments that it accepts."""
    cdef const fl_shape_info *signature = &fl_shapes[fl_rows[function].shape]
    cdef int given = <int>PyTuple_GET_SIZE(arrays), results = signature.nin + signature.nout - given, out_nd = 0, k
    cdef cnp.npy_intp shape[MAX_DIMENSIONS]
    cdef cnp.npy_intp out_shape[MAX_DIMENSIONS]
    cdef int nd = broadcast(arrays, shape)
    cdef cnp.ndarray first = <cnp.ndarray>arrays[0]
    cdef char type = type_of(first)
    cdef walk w
    cdef staging s
    for k in range(nd):
        if keepdims or k not in axes:
            out_shape[out_nd] = 1 if k in axes else shape[k]
            out_nd += 1
    if nd < 0:
        return None
    made = tuple([cnp.PyArray_EMPTY(out_nd, out_shape, cnp.PyArray_TYPE(first), 0) for _ in range(results)])
    cdef unsigned all_made = (1 << given + results) - (1 << given)
    if where is not None and cnp.PyArray_TYPE(<cnp.ndarray?>where) != cnp.NPY_BOOL:
        raise ValueError("where must have bools")
    masks = () if where is None else (where,)
    if not lay_out(&w, arrays + made + masks, nd, shape, axes, 0 if keepdims else all_made, False):
        return None
    begin_staging(&s, function, run_on, type, 0, all_made)
    if where is not None or divisor != 1:
        if not s.in_place:
            raise ValueError("only normalisations have a divisor or a mask")
        divide_and_mask(&s, divisor, where is not None)
    if is_narrow(type):
        for k in range(given + results):
            s.staged |= (k >= signature.nin or signature.types[k] == c"-") << k
    if s.staged:
        run_staged(&w, &s)
    else:
        run_walk(&w, s.loop, NULL)
    return made


def run_over(int function, tuple arrays, axes, bint keepdims=False, target=None, double divisor=1, where=None):
    """Run the loop of a row function over any axes of arrays that broadcast together, without a copy.

    Parameters
    ----------
    function : int
        A number from `INDEX`; a generalized ufunc whose arguments with a core dimension come first.
    arrays : tuple of ndarray
        The arguments with a core dimension: all inputs, and some outputs. They are native and aligned, and have the
        loop's dtypes; the first one is float64, float32, float16 or bfloat16. These outputs have the broadcast shape,
        and are either apart from all inputs or the same memory in the same order.
    axes : tuple of int
        The axes that become the core dimension, in range.
    keepdims : bool, optional
        Whether the outputs without a core dimension keep these axes with length 1.
    target : str, optional
        One of `supported_targets`; the active one by default.
    divisor : float, optional
        A number of the dtype, by which the input of a normalisation is divided.
    where : ndarray of bool, optional
        The elements of a normalisation that count, of a shape that broadcasts to that of the arrays; the results of
        others are 0 or, where they are logarithms, -inf.

    Returns
    -------
    tuple of ndarray, or None
        The outputs without a core dimension, in C order. None where the arrays do not broadcast, or where one of them
        has to be copied first, as no single stride leads through its axes.
    """
    if not 0 <= function < FL_FUNCTIONS or fl_shapes[fl_rows[function].shape].signature == NULL:
        raise ValueError(f"function {function} is no generalized ufunc")
    check_arguments(function, arrays, axes)
    return run_arrays(function, arrays, axes, keepdims, active if target is None else find_target(target), divisor, where)


# ---- losses ----


cdef bint is_loss(int function) noexcept:
    return 0 <= function < FL_FUNCTIONS and fl_rows[function].shape in (fl_element_loss, fl_row_loss)


cdef bint holds_targets(int function, cnp.ndarray z, bint probabilities) noexcept:
    """Tell whether the loop of a loss reads targets of the type of this array."""
    cdef int typenum = cnp.PyArray_TYPE(z)
    cdef bint is_number = typenum == cnp.NPY_FLOAT or typenum == cnp.NPY_DOUBLE
    cdef bint is_integer = typenum <= cnp.NPY_ULONGLONG
    if not cnp.PyArray_ISBEHAVED_RO(z):
        return False
    if fl_rows[function].shape == fl_row_loss:
        return is_number if probabilities else is_integer
    return is_number or is_integer


cdef check_loss_arguments(int function, tuple arrays, bint probabilities):
    """Refuse arguments that would make a loop read or write elsewhere."""
    cdef const fl_shape_info *shape = &fl_shapes[fl_rows[function].shape]
    cdef char own = type_of(<cnp.ndarray?>arrays[0]), type
    cdef bint narrow = is_narrow(own), of_rows = fl_rows[function].shape == fl_row_loss, suits
    cdef int i
    cdef cnp.ndarray one
    if len(arrays) != shape.nin + shape.nout or own == 0:
        raise ValueError("logits of floats up to float64, and as many arrays as the loop has arguments, are needed")
    for i in range(len(arrays)):
        if arrays[i] is None and i > 1:
            continue
        one = <cnp.ndarray?>arrays[i]
        type = type_of(one)
        if i == 1 and holds_targets(function, one, probabilities):
            continue
        suits = type == own or (narrow and type == c"f")
        if i == 1:
            suits = narrow and type == own and (probabilities or not of_rows)
        elif i == ROW_SUMS or (of_rows and (i == ROW_WEIGHTS or i == ROW_SLOPES)):
            suits = type == c"d" and not (i == ROW_WEIGHTS and fl_rows[function].name == b"nll_loss")
        if not suits or not cnp.PyArray_ISBEHAVED_RO(one) or (i >= shape.nin and not cnp.PyArray_ISWRITEABLE(one)):
            raise ValueError(f"array {i} has no dtype or layout that loops of losses read or write")


cdef struct loss_call:
    fl_loss_options options
    fl_loss_result result


cdef void begin_loss(loss_call *call, cnp.ndarray targets) noexcept:
    """Set the options of a loss to those of a plain one, and its sums to 0."""
    cdef const char *codes = b"?bBhHiIlLqQfd"  # NumPy's characters of types, by their numbers
    cdef int typenum = cnp.PyArray_TYPE(targets)
    memset(call, 0, sizeof(call[0]))
    call.options.target_type = codes[typenum] if typenum <= cnp.NPY_DOUBLE else c"f"  # Others are staged as float32.
    call.options.scale = call.options.temperature = call.options.positive = call.options.negative = 1


cdef double value_of_loss(int function, walk *w, staging *s, loss_call *call, bint mean, double count) noexcept:
    """Run the loop of a loss, and return the sum of the losses or their mean.

    This is the only place that says what a mean divides by: the weights of the labels that count, those of classes
    times those of rows; where targets are probabilities, the weights of rows, or their number; for a loss of elements,
    `count`. The mean of nothing is nan. Derivatives are those of the mean. Labels out of range are counted in
    ``call.result.wrong``; derivatives may be missing then.

    If arguments are staged, the room is open.
    """
    cdef bint of_rows = fl_rows[function].shape == fl_row_loss
    cdef int gradient = fl_shapes[fl_rows[function].shape].nin + 1
    cdef fl_loss data
    cdef fl_loop *loop = staged_loop if s.staged else s.loop
    cdef void *context = s if s.staged else &data
    data.options, data.result, s.data = &call.options, &call.result, &data
    if mean and w.args[gradient]:
        if of_rows and (not call.options.are_probabilities or w.args[ROW_WEIGHTS]):
            call.options.only_weights = True  # Labels and weights of rows are never staged.
            run_walk(w, s.loop, &data)
            call.options.only_weights = False
            if call.result.wrong:
                return NAN
            count = fl_sum(call.result.weight)
            call.result.weight[0] = call.result.weight[1] = 0
        call.options.scale = 1 / count if count != 0 else 0
    run_walk(w, loop, context)
    if not mean:
        return fl_sum(call.result.total)
    if of_rows:
        count = fl_sum(call.result.weight)
    return fl_sum(call.result.total) / count if count != 0 else NAN


def run_loss(int function, tuple arrays, axis=None, *, bint mean=False, count=None, double smoothing=0.0,
             double positive=1.0, double negative=1.0, double gamma=0.0, class_weight=None, ignored=None,
             bint probabilities=False, double temperature=1.0, target=None):
    """Run the loop of a loss, without copying an array.

    Parameters
    ----------
    function : int
        A number from `INDEX`, of a loss.
    arrays : tuple of ndarray or None
        The loop's arguments, outputs included; None stands for a missing input, or an output that is not wanted. Arrays
        are native and aligned; logits are float64, float32, float16 or bfloat16, and the others have the same dtype or,
        with the last two, float32. In a loss of elements, all arrays broadcast to the shape
        of the logits, but the sums of rows, which are float64 and lack `axis`. In a loss of rows, labels, weights of
        rows, losses and slopes lack `axis`; the weights and slopes are float64, and `nll_loss` has neither.
    axis : int, optional
        The axis of the rows, not negative; None where elements are in no rows.
    mean : bool, optional
        Whether the value is a mean, and the derivatives are those of the mean.
    count : float, optional
        The number by which the mean of a loss of elements divides; that of the elements by default.
    smoothing, positive, negative, gamma, class_weight, ignored, probabilities
        Options, which csrc/fastlog.h explains; `class_weight` is a contiguous array of float64.
    temperature : float, optional
        A number of the dtype of the logits of a loss of rows, by which they are divided.
    target : str, optional
        One of `supported_targets`; the active one by default.

    Returns
    -------
    value, weight : float
        The sum or mean of the losses, unless they are wanted themselves; the sum of the weights that count.
    wrong : int
        The number of labels out of range. If it is not 0, the rest means nothing.
    """
    if not is_loss(function):
        raise ValueError(f"function {function} is no loss")
    check_loss_arguments(function, arrays, probabilities)
    cdef bint of_rows = fl_rows[function].shape == fl_row_loss
    cdef cnp.ndarray x = <cnp.ndarray>arrays[0], one
    cdef int core = -1 if axis is None else axis
    cdef double divisor = cnp.PyArray_SIZE(x) if count is None else count, value
    cdef char type = type_of(x)
    cdef loss_call call
    cdef walk w
    cdef staging s
    cdef int i
    if not (0 if of_rows else -1) <= core < cnp.PyArray_NDIM(x):
        raise ValueError(f"axis {axis} of {cnp.PyArray_NDIM(x)}")
    begin_loss(&call, <cnp.ndarray>arrays[1])
    call.options.smoothing, call.options.gamma, call.options.are_probabilities = smoothing, gamma, probabilities
    call.options.positive, call.options.negative, call.options.ignores = positive, negative, ignored is not None
    if call.options.ignores:
        call.options.ignored = ignored
    if class_weight is not None:
        one = <cnp.ndarray?>class_weight
        if (cnp.PyArray_TYPE(one) != cnp.NPY_DOUBLE or not cnp.PyArray_ISCARRAY_RO(one) or core < 0
                or cnp.PyArray_SIZE(one) != cnp.PyArray_DIMS(x)[core]):
            raise ValueError("class_weight needs a float64 for every class")
        call.options.class_weight = <const double *>cnp.PyArray_DATA(one)
    cdef unsigned without_core = 1 << ROW_SUMS
    if of_rows:
        without_core = (not probabilities) << 1 | 1 << ROW_WEIGHTS | 1 << ROW_LOSSES | 1 << ROW_SLOPES
        divisor /= max(cnp.PyArray_DIMS(x)[core], 1)
    lay_out(&w, arrays, cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), () if core < 0 else (core,), without_core, True)
    begin_staging(&s, function, active if target is None else find_target(target), type, 0, without_core)
    s.of_elements = not of_rows and arrays[ROW_SUMS] is None
    if is_narrow(type):
        for i in range(w.arguments):
            s.staged |= (arrays[i] is not None and type_of(<cnp.ndarray>arrays[i]) == type) << i
    if temperature != 1:
        if not of_rows:
            raise ValueError("only losses of rows have a temperature")
        call.options.temperature = s.first.divisor = temperature
        s.staged |= 1
    if s.staged:
        open_room(&s, &w)
    value = value_of_loss(function, &w, &s, &call, mean, divisor)
    free(s.memory)
    return value, fl_sum(call.result.weight), call.result.wrong
