"""Staging: rows that no loop reads as they are, some at a time. A part of _core.pyx.

float16 and bfloat16 are computed as float32; rows may be divided by a number, and have a mask. Such rows are brought
into a room, a piece after the other, so that a piece stays in the cache from its coming until its results are
delivered. Pieces are cut so that every row is summed as it would be if all of them were in memory as the loop reads
them. Where results have the loop's type and the layout of the elements, their own place is the room.
"""

cdef enum:
    PIECE = 4096  # So many elements are in the room at a time,
    FEWEST_ROWS = 16  # or so many rows, as their number decides how they are summed,
    LONG_ROW = 512  # unless rows are as long, and contiguous.
    FEWEST_COLUMNS = 256  # Where rows are neighbours, so many fill the panels that loops sum side by side.
    OF_ELEMENTS = 6144  # Losses of elements are cut here; it is a multiple of the blocks of their loops.
    SMALL_ROOM = 256  # A room of so many doubles needs no memory of its own.
    SHARED_PIECES = 4  # Threads take so many pieces at a time, as each needs a room of its own.
    MOST_SHARES = 64
    APART = 128  # The bytes between the rooms of two arguments; loops may read a vector beyond the end.

cdef struct staging:
    fl_loop *loop
    void *data  # The loop gets this.
    fl_loop *stage
    fl_loop *unstage
    fl_staging first  # This is how the first argument and, with a mask, the second one are staged,
    fl_staging others  # and this is how all others are.
    int arguments  # The loop has so many. The walk has one more if there is a mask.
    int inputs
    bint masked
    bint in_place  # The second argument takes the room of the first,
    bint in_results  # and there is no room but its own, which has the layout of the first.
    bint of_elements  # Rows may be cut, too.
    unsigned staged  # There is a bit for each argument that passes through the room,
    unsigned without_core  # and one for each that has a single number for every row.
    bint across  # In the room, too, rows are neighbours.
    intptr_t size  # A number in the room has so many bytes.
    intptr_t rows  # A piece has so many rows,
    intptr_t n  # and so many elements of each.
    char *rooms[MAX_ARGUMENTS]
    char *memory
    intptr_t bytes  # The memory of a room that is not small has so many bytes.
    double small[SMALL_ROOM]


cdef char type_of(cnp.ndarray x):
    """Return NumPy's character for a type that loops read or that is staged, E for bfloat16, and 0 for all others."""
    cdef int typenum = cnp.PyArray_TYPE(x)
    if typenum == cnp.NPY_FLOAT:
        return c"f"
    if typenum == cnp.NPY_DOUBLE:
        return c"d"
    if typenum == cnp.NPY_FLOAT16:
        return c"e"
    if typenum > cnp.NPY_FLOAT16 and cnp.PyArray_ITEMSIZE(x) == 2 and x.dtype.name == "bfloat16":
        return c"E"
    return 0


cdef bint is_narrow(char type) noexcept:
    return type == c"e" or type == c"E"


cdef void begin_staging(staging *s, int function, const fl_target *target, char type, unsigned staged,
                        unsigned without_core) noexcept:
    """Prepare the staging of a function's arguments, without a divisor and a mask."""
    cdef int shape = fl_rows[function].shape
    cdef char own = c"d" if type == c"d" else c"f"
    s.loop, s.data = fl_loop_of(target, function, own), NULL
    s.stage, s.unstage = fl_stage_of(target, own), fl_unstage_of(target, own)
    s.first.type = s.others.type = type
    s.first.divisor = s.others.divisor = 1
    s.first.excluded = s.others.excluded = 0
    if shape == fl_normalize or function == FL_log_softmax_and_logsumexp:
        s.first.excluded = s.others.excluded = -INFINITY
    s.inputs, s.arguments = fl_shapes[shape].nin, fl_shapes[shape].nin + fl_shapes[shape].nout
    s.masked, s.of_elements = False, False
    s.in_place = shape in (fl_normalize, fl_normalize_terms, fl_reduce_normalize)
    s.staged, s.without_core = staged, without_core
    s.size = 8 if own == c"d" else 4
    s.memory = NULL


cdef void divide_and_mask(staging *s, double divisor, bint masked) noexcept:
    """Divide the first argument of a normalisation on its way in, and mask both of its arrays."""
    s.first.divisor, s.masked = divisor, masked
    s.staged |= 3 if masked else 1


cdef void cut_pieces(staging *s, const walk *w) noexcept:
    """Find out how many rows and elements a piece has."""
    cdef intptr_t n = max(w.dims[1], 1), rows, step = w.steps[0], core = w.steps[w.arguments]
    if s.of_elements:
        s.across, s.n, s.rows = False, min(n, OF_ELEMENTS), max(OF_ELEMENTS // n, 1)
        return
    s.across, s.n = w.dims[1] > 1 and w.dims[0] > 1 and llabs(core) > llabs(step) > 0, n
    if s.across:
        rows = max(4 * PIECE // n, FEWEST_COLUMNS)
    else:
        rows = max(PIECE // n, 1 if n >= LONG_ROW else FEWEST_ROWS)
    s.rows = rows if rows < FEWEST_ROWS else rows - rows % FEWEST_ROWS


cdef intptr_t line_across(const staging *s, intptr_t rows) noexcept nogil:
    """Return how far lines across the rows are apart in the room.

    Short ones follow each other, to be moved at once; longer ones are an odd number of cache lines apart, so that they
    do not evict each other.
    """
    return rows * s.size if rows < FEWEST_COLUMNS else ((rows * s.size + 63) // 64 | 1) * 64


cdef char *start_of_room(staging *s) noexcept nogil:
    """Return its first cache line, as vectors that cross cache lines take twice the time."""
    cdef char *start = s.memory if s.memory else <char *>s.small
    return start + 63 - (<size_t>start + 63) % 64


cdef int open_room(staging *s, const walk *w) except -1:
    """Find room for the pieces of a walk."""
    cdef intptr_t starts[MAX_ARGUMENTS]
    cdef intptr_t bytes = 64, rows
    cdef char *start
    cdef int i
    cut_pieces(s, w)
    s.in_results = (s.in_place and not is_narrow(s.first.type)
                    and w.steps[1 if s.across else w.arguments + 1] == s.size)
    rows = min(w.dims[0], s.rows + FEWEST_ROWS)
    for i in range(s.arguments):
        starts[i] = bytes - 64
        if i < 2 and s.in_results:
            continue
        if i == 1 and s.in_place:
            starts[i] = 0
        elif w.args[i] and s.staged >> i & 1:
            if s.across and not s.without_core >> i & 1:
                bytes += s.n * line_across(s, rows) + APART
            else:
                bytes += rows * (1 if s.without_core >> i & 1 else s.n) * s.size + APART
            bytes -= bytes % 64
    s.bytes = bytes + APART
    if s.bytes > <intptr_t>sizeof(s.small):
        s.memory = <char *>malloc(s.bytes)
        if s.memory == NULL:
            raise MemoryError
    start = start_of_room(s)
    for i in range(s.arguments):
        s.rooms[i] = start + starts[i]
    return 0


cdef void move(staging *s, int i, bint out, char *at, intptr_t outer, intptr_t core, char *mask, intptr_t mask_outer,
               intptr_t mask_core, const intptr_t *dims, char *at_room, const intptr_t *room) noexcept nogil:
    """Bring a piece of an argument into its room, or deliver it from there. `room` has the room's two steps."""
    cdef char *args[3]
    cdef intptr_t steps[6]
    cdef int here = 2 * out, there = 2 - 2 * out  # These are the places of the caller's array and of the room.
    args[here], args[1], args[there] = at, mask, at_room
    steps[here], steps[1], steps[there] = outer, mask_outer, room[0]
    steps[3 + here], steps[4], steps[3 + there] = core, mask_core, room[1]
    if out:
        s.unstage(args, dims, steps, &s.first if i < 2 else &s.others)
    else:
        s.stage(args, dims, steps, &s.first if i == 0 else &s.others)


cdef void run_piece(staging *s, char **args, const intptr_t *dims, const intptr_t *steps) noexcept nogil:
    """Run the loop on a piece, which is small enough for the room."""
    cdef char *own[MAX_ARGUMENTS]
    cdef char *mask
    cdef char *at_room
    cdef intptr_t own_steps[2 * MAX_ARGUMENTS]
    cdef intptr_t room[2]
    cdef intptr_t of_row[2]
    cdef intptr_t shape[2]
    cdef intptr_t of_mask[2]
    cdef int total = s.arguments + s.masked, i, k
    cdef bint out, of_rows
    of_mask[0] = of_mask[1] = 0
    if s.masked:
        of_mask[0], of_mask[1] = steps[s.arguments], steps[total + s.arguments]
    room[0], room[1] = (s.size, line_across(s, dims[0])) if s.across else (dims[1] * s.size, s.size)
    of_row[0] = of_row[1] = s.size
    if s.in_results:
        room[0], room[1] = steps[1], steps[total + 1]
    for k in range(2):
        out = k == 1
        for i in range(s.arguments):
            own[i], own_steps[i], own_steps[s.arguments + i] = args[i], steps[i], steps[total + i]
            if args[i] == NULL or not s.staged >> i & 1:
                continue
            of_rows = s.without_core >> i & 1
            at_room = args[1] if s.in_results and i < 2 else s.rooms[i]
            shape[0], shape[1] = dims[0], 1 if of_rows else dims[1]
            if out == (i >= s.inputs):
                mask = args[s.arguments] if s.masked and i < 2 else NULL
                move(s, i, out, args[i], steps[i], steps[i if of_rows else total + i], mask, of_mask[0], of_mask[1],
                     shape, at_room, &of_row[0] if of_rows else &room[0])
            own[i] = at_room
            own_steps[i], own_steps[s.arguments + i] = (s.size, s.size) if of_rows else (room[0], room[1])
        if not out:
            s.loop(own, dims, own_steps, s.data)


cdef void run_pieces(staging *s, char **args, const intptr_t *dims, const intptr_t *steps) noexcept nogil:
    """Run a loop piece by piece."""
    cdef char *at[MAX_ARGUMENTS]
    cdef intptr_t piece[2]
    cdef intptr_t r = 0, c
    cdef int total = s.arguments + s.masked, i
    while r < dims[0]:
        piece[0] = min(s.rows, dims[0] - r)
        if s.rows >= FEWEST_ROWS and dims[0] - r < s.rows + FEWEST_ROWS and not s.of_elements:
            piece[0] = dims[0] - r  # Too few rows would be left.
        c = 0
        while True:
            piece[1] = min(s.n, dims[1] - c)
            for i in range(total):
                at[i] = args[i] + r * steps[i] + c * steps[total + i] if args[i] else NULL
            run_piece(s, at, piece, steps)
            c += piece[1]
            if c >= dims[1]:
                break
        r += piece[0]


cdef struct shares:
    # A call that threads share: each share has a room of its own, and the sums of a loss. All but the last one have the
    # same length along an axis, which is a multiple of that of the pieces.
    staging *s
    char **args
    const intptr_t *dims
    const intptr_t *steps
    int axis
    intptr_t length
    int count
    fl_loss_result results[MOST_SHARES]
    bint failed[MOST_SHARES]


cdef void run_share_in(const shares *all, int number, staging *s) noexcept nogil:
    """Run a share, whose room is open."""
    cdef char *at[MAX_ARGUMENTS]
    cdef intptr_t dims[2]
    cdef intptr_t first = number * all.length
    cdef fl_loss data
    cdef void *former = s.data
    cdef int total = s.arguments + s.masked, i
    if s.data:
        data = (<fl_loss *>s.data)[0]
        data.result = <fl_loss_result *>&all.results[number]
        s.data = &data
    dims[0], dims[1] = all.dims[0], all.dims[1]
    dims[all.axis] = all.length if number < all.count - 1 else dims[all.axis] - first
    for i in range(total):
        at[i] = all.args[i] + first * all.steps[i + total * all.axis] if all.args[i] else NULL
    run_pieces(s, at, dims, all.steps)
    s.data = former


cdef void run_share(void *context, int number) noexcept nogil:
    """Run a share in a room of its own, if there is memory for it."""
    cdef shares *all = <shares *>context
    cdef staging s = all.s[0]
    cdef int i
    if s.memory:
        s.memory = <char *>malloc(s.bytes)
        if s.memory == NULL:
            all.failed[number] = True
            return
    for i in range(s.arguments):
        s.rooms[i] = start_of_room(&s) + (all.s.rooms[i] - start_of_room(all.s))
    run_share_in(all, number, &s)
    free(s.memory)


cdef void staged_loop(char **args, const intptr_t *dims, const intptr_t *steps, void *data) noexcept nogil:
    """Run a loop piece by piece. This is a loop itself, whose data is the staging."""
    cdef staging *s = <staging *>data
    cdef shares all
    cdef intptr_t piece, n
    cdef int k
    all.s, all.args, all.dims, all.steps = s, args, dims, steps
    all.axis = 1 if s.of_elements and dims[1] > s.n else 0
    piece, n = s.n if all.axis else s.rows, dims[all.axis]
    all.length = max((n // MOST_SHARES + piece) // piece, SHARED_PIECES) * piece
    all.count = <int>(n // all.length)
    if dims[0] * dims[1] * s.size < 2 * FL_BYTES_OF_THREAD or all.count < 2 or (fl_threads() < 2 and not s.data):
        run_pieces(s, args, dims, steps)
        return
    memset(all.results, 0, sizeof(all.results))
    memset(all.failed, 0, sizeof(all.failed))
    fl_share(run_share, &all, all.count, dims[0] * dims[1] * s.size)
    for k in range(all.count):
        if all.failed[k]:  # There was no memory for the room of a share; the first room is free now.
            run_share_in(&all, k, s)
        if s.data:
            fl_add_result((<fl_loss *>s.data).result, &all.results[k])


cdef int run_staged(walk *w, staging *s) except -1:
    """Run a loop for all of a walk, by way of the room."""
    open_room(s, w)
    run_walk(w, staged_loop, s)
    free(s.memory)
    return 0


# ---- elements of bfloat16, in ufuncs ----

cdef enum:
    NARROW = 1024  # So many elements are in the room at a time,
    BEYOND = 64  # and unstage may read a vector beyond them.

cdef struct narrow_map:  # The loop of a ufunc on bfloat16 gets this as its data.
    fl_loop *loop
    fl_loop *stage
    fl_loop *unstage
    int inputs

cdef set narrow_ufuncs = set()  # These have a loop on bfloat16 already.
cdef object narrow_lock = Lock()


cdef void run_narrow(char **args, const intptr_t *dims, const intptr_t *steps, void *data) noexcept nogil:
    """Run a loop of float32 on elements of bfloat16, some at a time."""
    cdef const narrow_map *m = <const narrow_map *>data
    cdef float room[3][NARROW + BEYOND]
    cdef char *inner[3]
    cdef char *moved[3]
    cdef intptr_t inner_steps[3]
    cdef intptr_t moved_dims[2]
    cdef intptr_t moved_steps[6]
    cdef intptr_t done = 0, piece = NARROW
    cdef int last = m.inputs, k
    cdef fl_staging how
    how.type, how.divisor, how.excluded = c"E", 1, 0
    # Results that are operands of the next elements, as in NumPy's reduce and accumulate, are computed one by one.
    if last == 2 and args[2] == args[0] + steps[0] and steps[2] == steps[0]:
        piece = 1
    for k in range(3):
        inner[k], inner_steps[k] = <char *>room[k], sizeof(float)
    memset(moved_steps, 0, sizeof(moved_steps))
    moved[1] = NULL
    moved_dims[0] = 1
    while done < dims[0]:
        moved_dims[1] = min(dims[0] - done, piece)
        for k in range(last):
            moved[0], moved[2] = args[k] + done * steps[k], inner[k]
            moved_steps[3], moved_steps[5] = steps[k], sizeof(float)
            m.stage(moved, moved_dims, moved_steps, &how)
        m.loop(inner, &moved_dims[1], inner_steps, NULL)
        moved[0], moved[2] = inner[last], args[last] + done * steps[last]
        moved_steps[3], moved_steps[5] = sizeof(float), steps[last]
        m.unstage(moved, moved_dims, moved_steps, &how)
        done += moved_dims[1]


cdef int add_narrow_loop(object ufunc, object dtype) except -1:
    """Give one of fastlog's own elementwise ufuncs a loop on bfloat16, once; `dtype` is the class of its dtype.

    NumPy knows this dtype only when ml_dtypes is imported, so the loop comes with the first call that has need of it.
    """
    cdef int types[3]
    cdef int function
    cdef const fl_target *target
    cdef narrow_map *m
    if ufunc not in rows_of_ufuncs:
        return 0
    with narrow_lock:
        if ufunc in narrow_ufuncs:
            return 0
        name, function = rows_of_ufuncs[ufunc]
        target = find_target(name)
        m = <narrow_map *>malloc(sizeof(narrow_map))  # NumPy keeps it for as long as the process lives.
        if m == NULL:
            raise MemoryError
        m.loop, m.inputs = fl_loop_of(target, function, c"f"), ufunc.nin
        m.stage, m.unstage = fl_stage_of(target, c"f"), fl_unstage_of(target, c"f")
        types[0] = types[1] = types[2] = np.dtype(dtype.type).num
        cnp.PyUFunc_RegisterLoopForType(ufunc, types[0], <cnp.PyUFuncGenericFunction>run_narrow, types, m)
        narrow_ufuncs.add(ufunc)
    return 0
