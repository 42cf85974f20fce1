"""The walker: it lays out any axes of any arrays for a loop, without a copy. A part of _core.pyx.

A loop runs over two axes of its arguments, an outer one and, inside it, the core. The walker makes one core of all axes
that a function runs along, sorts the others, gives the innermost of them to the loop, and calls the loop for every index
of the rest.
"""

cdef enum:
    SHORT_AXIS = 64  # A core of elements that is shorter gives way to a longer axis.
    FEW_ELEMENTS = 1000  # Releasing the GIL costs as much as a loop over so many elements.

cdef struct axes:
    # Axes that all arguments have together, sorted by the strides of the first argument, the longest one first. Axes of
    # length 1 are left out. An argument that does not vary along an axis has the stride 0 there.
    int count
    cnp.npy_intp shape[MAX_DIMENSIONS]
    cnp.npy_intp strides[MAX_DIMENSIONS][MAX_ARGUMENTS]

cdef struct walk:
    int arguments
    # The loop runs over the last outer axis itself.
    axes outer
    # What the loop is called with. An address is NULL where there is no such argument. `steps` has the outer steps of all
    # arguments, and then their core steps; an argument without a core has the core step 0.
    char *args[MAX_ARGUMENTS]
    intptr_t dims[2]
    intptr_t steps[2 * MAX_ARGUMENTS]


cdef cnp.npy_intp magnitude(cnp.npy_intp x) noexcept:
    return -x if x < 0 else x


cdef void insert_axis(axes *sorted, cnp.npy_intp length, const cnp.npy_intp *strides) noexcept:
    cdef int at = sorted.count
    while at > 0 and magnitude(sorted.strides[at - 1][0]) < magnitude(strides[0]):
        copy_axis(sorted, at - 1, sorted, at)
        at -= 1
    sorted.shape[at] = length
    memcpy(sorted.strides[at], strides, sizeof(sorted.strides[at]))
    sorted.count += 1


cdef void copy_axis(const axes *source, int k, axes *target, int to) noexcept:
    target.shape[to] = source.shape[k]
    memcpy(target.strides[to], source.strides[k], sizeof(source.strides[k]))


cdef void merge_axes(axes *sorted, int arguments, bint always) noexcept:
    """Make one axis of those that follow each other in the memory of all arguments; `always`: of all axes."""
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
    """Lay arrays out that broadcast to a shape; return False where an array's core axes have no single stride.

    Parameters
    ----------
    w : walk *
        The result.
    arrays : tuple of ndarray or None
        The loop's arguments.
    nd, shape
        The shape to which they broadcast.
    along : iterable of int
        The core axes.
    without_core : unsigned
        A bit for each argument that lacks the core axes: its own axes are all the others.
    merged : bool
        Whether outer axes that follow each other in memory become one, and one of them the core if there is none.
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
    if w.outer.count <= 1 and w.dims[0] * w.dims[1] < FEW_ELEMENTS:
        loop(w.args, w.dims, w.steps, data)
    else:
        with nogil:
            call_all(w, loop, data)


# ---- functions of rows ----


cdef int broadcast(tuple arrays, cnp.npy_intp *shape) noexcept:
    """Find the shape to which arrays broadcast together; return its length, or -1 where they do not."""
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
        if (cnp.PyArray_TYPE(<cnp.ndarray>arrays[0]) not in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE)
                or cnp.PyArray_TYPE(one) != wanted or not cnp.PyArray_ISBEHAVED_RO(one)
                or (i >= signature.nin and not cnp.PyArray_ISWRITEABLE(one))):
            raise ValueError("arrays of float32 or float64, native and aligned, are needed, and outputs to write to")
    for k in axes:
        if not 0 <= k < nd:
            raise ValueError(f"axis {k} of {nd}")


def run_over(int function, tuple arrays, axes, bint keepdims=False, target=None):
    """Run the loop of a row function over any axes of arrays that broadcast together, without a copy.

    Parameters
    ----------
    function : int
        A number from `INDEX`; a generalized ufunc whose arguments with a core dimension come first.
    arrays : tuple of ndarray
        The arguments with a core dimension: all inputs, and some outputs. They are native and aligned, and have the
        loop's dtypes; the first one is float32 or float64. These outputs have the broadcast shape, and are either apart
        from all inputs or the same memory in the same order.
    axes : tuple of int
        The axes that become the core dimension, in range.
    keepdims : bool, optional
        Whether the outputs without a core dimension keep these axes with length 1.
    target : str, optional
        One of `supported_targets`; the active one by default.

    Returns
    -------
    tuple of ndarray, or None
        The outputs without a core dimension, in C order. None where the arrays do not broadcast, or where one of them
        has to be copied first, as no single stride leads through its axes.
    """
    if not 0 <= function < FL_FUNCTIONS or fl_shapes[fl_rows[function].shape].signature == NULL:
        raise ValueError(f"function {function} is no generalized ufunc")
    check_arguments(function, arrays, axes)
    cdef const fl_shape_info *signature = &fl_shapes[fl_rows[function].shape]
    cdef int given = <int>len(arrays), results = signature.nin + signature.nout - given, out_nd = 0, k
    cdef cnp.npy_intp shape[MAX_DIMENSIONS]
    cdef cnp.npy_intp out_shape[MAX_DIMENSIONS]
    cdef int nd = broadcast(arrays, shape)
    cdef cnp.ndarray first = <cnp.ndarray>arrays[0]
    cdef walk w
    for k in range(nd):
        if keepdims or k not in axes:
            out_shape[out_nd] = 1 if k in axes else shape[k]
            out_nd += 1
    if nd < 0:
        return None
    made = tuple([cnp.PyArray_EMPTY(out_nd, out_shape, cnp.PyArray_TYPE(first), 0) for _ in range(results)])
    cdef unsigned without_core = 0 if keepdims else (1 << given + results) - (1 << given)
    if not lay_out(&w, arrays + made, nd, shape, axes, without_core, False):
        return None
    run_walk(&w, loop_for(active if target is None else find_target(target), function, first), NULL)
    return made


# ---- losses ----


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
    if fl_rows[function].shape == row_loss:
        return is_number if probabilities else is_integer
    return is_number or is_integer


cdef check_loss_arguments(int function, tuple arrays, bint probabilities):
    cdef int given = 2 if fl_rows[function].shape == row_loss else 4, i
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
    if not 0 <= function < FL_FUNCTIONS or fl_rows[function].shape not in (element_loss, row_loss):
        raise ValueError(f"function {function} is no loss")
    check_loss_arguments(function, arrays, probabilities)
    cdef bint of_rows = fl_rows[function].shape == row_loss
    cdef cnp.ndarray x = <cnp.ndarray>arrays[0], one
    cdef int core = -1 if axis is None else axis
    cdef fl_loss options
    cdef walk w
    if not (0 if of_rows else -1) <= core < cnp.PyArray_NDIM(x):
        raise ValueError(f"axis {axis} of {cnp.PyArray_NDIM(x)}")
    memset(&options, 0, sizeof(options))
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
    # Labels, losses of rows and sums of rows lack the axis of the rows.
    cdef unsigned without_core = 1 << 7
    if of_rows:
        without_core = 1 << 2 if probabilities else 1 << 1 | 1 << 2
    lay_out(&w, arrays, cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), () if core < 0 else (core,), without_core, True)
    if cnp.PyArray_SIZE(x) or of_rows:
        run_walk(&w, loop_for(active if target is None else find_target(target), function, x), &options)
    return fl_sum(options.total), fl_sum(options.weight), options.wrong
