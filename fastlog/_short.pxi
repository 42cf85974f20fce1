"""Public functions whose plain calls are computed in a few hundred nanoseconds, by _ways.pxi. A part of _core.pyx."""


cdef bint weighs(int function) noexcept:
    return function >= 0 and fl_rows[function].shape == fl_reduce_weighted


@internal
cdef class ShortWay:
    # This is a public function whose plain calls are computed here; all other calls go on to it as they came. Notebooks
    # would show a docstring of the class beside that of the function.
    #
    # The names and defaults of its parameters come from the function's own signature. In a plain call, arguments that
    # the short way does not know have their default, and those that it knows suit it. The function itself reports
    # mistakes. Instances are called by the vectorcall protocol, as a tuple and a dict would take half as long as the
    # call itself.

    cdef vectorcallfunc vectorcall
    cdef object general
    cdef object (*way)(ShortWay self, PyObject **given)
    cdef int function
    cdef int second  # See short_way; -1 stands for none.
    cdef int parameters
    cdef int positional  # So many parameters may be given by position.
    cdef tuple names
    cdef tuple defaults
    cdef int slots[MAX_PARAMETERS]  # Each slot is the place where the way looks for a parameter, or -1.
    cdef PyObject *unset[SLOTS]  # The way finds the default there otherwise.
    cdef dict __dict__
    cdef object __weakref__

    def __init__(self, general, int function, int second=-1):
        cdef int k
        parameters = list(signature(general).parameters.values())[:MAX_PARAMETERS]
        self.vectorcall, self.general = <vectorcallfunc>call_short_way, general
        self.way = way_of_row_losses
        if runs_rows(function):
            self.way = way_of_sums if weighs(second) else way_of_rows
        elif fl_rows[function].shape == fl_element_loss:
            self.way = way_of_elements
        elif fl_rows[function].shape == fl_reduce_pairs:
            self.way = way_of_pairs
        elif fl_rows[function].shape == fl_draw:
            self.way = way_of_draws
        self.function, self.second = function, second
        self.names = tuple([intern(p.name) for p in parameters])
        self.defaults = tuple([p.default for p in parameters])
        self.parameters = <int>len(parameters)
        self.positional = <int>len([p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD])
        for k in range(SLOTS):
            self.unset[k] = <PyObject *>None
        for k, p in enumerate(parameters):
            known = SLOT_OF_SUMS if self.way == way_of_sums else SLOT_OF
            self.slots[k] = known.get(p.name, k if k <= SECOND else -1)
            if self.slots[k] >= 0:
                self.unset[self.slots[k]] = <PyObject *>self.defaults[k]

    cdef bint sort(self, PyObject **args, Py_ssize_t count, tuple names, PyObject **given) noexcept:
        """Put the arguments of a call where the way looks for them; return False where the call is not plain."""
        cdef Py_ssize_t named = 0 if names is None else PyTuple_GET_SIZE(names), i
        cdef int k, seen = 0
        if count > self.positional:
            return False
        memcpy(given, self.unset, sizeof(self.unset))
        for i in range(count + named):
            k = <int>i
            if i >= count:
                k = 0
                while k < self.parameters and PyTuple_GET_ITEM(self.names, k) != PyTuple_GET_ITEM(names, i - count):
                    k += 1
            if k == self.parameters or seen >> k & 1:
                return False
            seen |= 1 << k
            if self.slots[k] >= 0:
                given[self.slots[k]] = args[i]
            elif not is_same(<object>args[i], <object>PyTuple_GET_ITEM(self.defaults, k)):
                return False
        return True

    def __call__(self, *args, **kwargs):
        return PyVectorcall_Call(self, args, kwargs)

    def __get__(self, instance, owner):
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self):
        return self.__qualname__  # pickle finds a function by its name.

    def __repr__(self):
        return f"<function fastlog.{self.__qualname__}>"


cdef bint is_same(object a, object b) noexcept:
    """Tell whether two objects are one, or equal floats."""
    return a is b or (type(a) is float and type(b) is float and <double>a == <double>b)


cdef object call_short_way(object self, PyObject **args, size_t flags, PyObject *names):
    cdef PyObject *given[SLOTS]
    cdef ShortWay short = <ShortWay>self
    if short.sort(args, PyVectorcall_NARGS(flags), None if names == NULL else <tuple>names, given):
        y = short.way(short, given)
        if y is not None:
            return y
    return PyObject_Vectorcall(short.general, args, flags, names)


cdef void enable_vectorcall(ShortWay any):
    """Tell Python that instances have a function to call them by. Cython has no word for it."""
    cdef PyTypeObject *kind = <PyTypeObject *>ShortWay
    kind.tp_vectorcall_offset = <char *>&any.vectorcall - <char *><PyObject *>any
    kind.tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL


def short_way(int function, int second=-1):
    """Decorate a public function: its plain calls go straight to the loop of a function, by the number in `INDEX`.

    A divergence has a second function, which it runs if ``log_target`` is true; a sum has one for weights, a
    normalisation one that returns the logsumexp, too, and a draw the softmax that it draws from.
    """
    if not -1 <= second < FL_FUNCTIONS or not 0 <= function < FL_FUNCTIONS:
        raise ValueError(f"there are no functions {function} and {second}")
    shape = fl_rows[function].shape
    suits = second == -1 and (is_loss(function) or runs_rows(function) or shape == fl_reduce_pairs)
    if second != -1:
        suits = ((is_loss(function) and is_loss(second)) or (shape == fl_reduce and weighs(second))
                 or (shape in (fl_normalize, fl_normalize_terms) and fl_rows[second].shape == fl_reduce_normalize)
                 or (shape == fl_draw and fl_rows[second].shape == fl_normalize_terms))
    if not suits:
        raise ValueError(f"function {function} is neither one of rows nor a loss, or {second} does not suit it")

    def decorate(general):
        return wraps(general)(ShortWay(general, function, second))
    return decorate


enable_vectorcall(ShortWay.__new__(ShortWay))
