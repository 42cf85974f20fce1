/* The pool: pieces of large calls, and the threads that compute them.

   Pieces      depend on shape, strides and type alone, never on the number of threads. Threads take the next piece when
               they are through with one, so that a thread that is held up holds up nobody else. Sums of pieces are
               joined in the order of the pieces.
   Threads     are started by the first call that is large enough for two, and sleep between calls. The caller works,
               too, and does not wait for threads that have not come yet. If another call has the pool, a call runs on
               its own thread: no call waits for another one, and calls within calls cannot lock each other out.
   Owners      A call is on the stack of its caller, and threads are out of it before the caller returns. */

#if defined(__linux__)
#define _GNU_SOURCE /* for names of threads */
#endif

#include "pool.h"

#include <stdatomic.h>
#include <string.h>

#include "memory/overlap.h"
#include "memory/status.h"

#define MOST_PIECES 128
#define BYTES_OF_PIECE (32 << 10)

/* A call that is cut along dims[axis]. */
typedef struct {
    fl_run *run;
    char **args;
    const intptr_t *dims, *steps;
    void *data;
    int arguments, axis, dimensions;
    const intptr_t *along; /* bytes from one index of the axis to the next, for each argument */
    intptr_t length;       /* of a piece; the last one has the rest */
    int pieces;
    int in_order;   /* results depend on the pieces, so that a single thread computes them, too */
    intptr_t bytes; /* what the call is worth */
    const fl_loss_options *options;
    fl_loss_result *results; /* one for each piece of a loss, or NULL */
    atomic_uint raised;
} call;

static void run_piece(void *context, int piece) {
    call *c = context;
    char *args[8];
    intptr_t dims[4] = {0};
    fl_loss loss = {c->options, c->results ? c->results + piece : 0};
    intptr_t first = piece * c->length;
    for (int k = 0; k < c->arguments; k++) args[k] = c->args[k] ? c->args[k] + first * c->along[k] : 0;
    for (int k = 0; k < c->dimensions; k++) dims[k] = c->dims[k];
    dims[c->axis] = piece == c->pieces - 1 ? c->dims[c->axis] - first : c->length;
    unsigned raised = c->run(args, dims, c->steps, c->results ? &loss : c->data);
    if (raised) atomic_fetch_or_explicit(&c->raised, raised, memory_order_relaxed);
}

/* ---- how a call is cut ---- */

/* Pieces of a multiple of `grain`, of at least BYTES_OF_PIECE; the last one has at least `grain`, too. `bytes` is what
   the whole call is worth. */
static void cut(call *c, int axis, const intptr_t *along, intptr_t grain, intptr_t bytes) {
    intptr_t n = c->dims[axis], pieces = bytes / BYTES_OF_PIECE;
    if (pieces > MOST_PIECES) pieces = MOST_PIECES;
    if (pieces < 1) pieces = 1;
    intptr_t length = (n + pieces - 1) / pieces;
    length = (length + grain - 1) / grain * grain;
    pieces = n / length;
    if (n % length >= grain) pieces++;
    c->axis = axis, c->along = along, c->length = length, c->bytes = bytes;
    c->pieces = (int)(pieces < 1 ? 1 : pieces);
}

#define MAP_GRAIN 256      /* whole blocks of strided arguments */
#define ELEMENT_GRAIN 6144 /* whole blocks of losses of elements, whichever are wanted */
#define ROW_GRAIN 16       /* how rows are summed depends on whether they fill the lanes */
#define LONG_ROW 64        /* from here on contiguous rows are summed by themselves, whatever their number is */
#define FLAT_ROWS 64       /* loops/softmax.h has a way of its own for so few columns without gaps */
#define ROWS_OF_PAIRS 32   /* for so many rows, loops/moments.h prepares what they have in common once */
#define BYTES_OF_LINE 1024 /* a piece of columns has so much of each line, if there are columns enough */

/* Elementwise functions. Where results feed back into operands, as in NumPy's reduce and accumulate, or onto each
   other, the call stays whole. */
static int cut_map(call *c, intptr_t size, int nin) {
    intptr_t n = c->dims[0], out_step = c->steps[nin];
    for (int k = 0; k < nin; k++)
        if (feeds_back(c->args[k], c->steps[k], c->args[nin], out_step, n)) return 0;
    if ((out_step < 0 ? -out_step : out_step) < size) return 0;
    cut(c, 0, c->steps, MAP_GRAIN, n * (size < 4 ? 4 : size));
    return 1;
}

/* Functions of rows, those of the argument with the number k. Where rows are long and contiguous, a piece may have as few
   of them as are summed at once. */
static void cut_rows(call *c, intptr_t size, intptr_t bytes, intptr_t at_once, int k) {
    intptr_t core = c->steps[c->arguments + k];
    int contiguous = core == size && c->dims[1] >= LONG_ROW, columns = !contiguous && c->steps[k] == size;
    intptr_t rows = c->dims[0], grain = ROW_GRAIN, wanted = 4 * bytes / FL_BYTES_OF_THREAD;
    if (wanted > MOST_PIECES / 2) wanted = MOST_PIECES / 2;
    if (contiguous)
        for (grain = at_once; 2 * grain <= ROW_GRAIN && rows / (2 * grain) >= wanted;) grain *= 2;
    if (columns) {
        grain = BYTES_OF_LINE / size;
        if (rows < 4 * grain) grain = (rows + 4 * ROW_GRAIN - 1) / (4 * ROW_GRAIN) * ROW_GRAIN;
    }
    cut(c, 0, c->steps, grain, bytes);
    c->in_order = contiguous;
}

/* Losses of elements: rows, where each has its own sum or where there are many; otherwise all rows are cut across. */
static void cut_elements(call *c, intptr_t size) {
    intptr_t rows = c->dims[0], n = c->dims[1], bytes = rows * n * size;
    if (c->args[7] || n < 4 * ELEMENT_GRAIN) cut(c, 0, c->steps, 1, bytes);
    else cut(c, 1, c->steps + c->arguments, ELEMENT_GRAIN, bytes);
    c->in_order = 1;
}

/* Segments of rows, or the rows if there are many. Segments that are short on an average fill the lanes together. */
static void cut_segments(call *c, intptr_t size, const intptr_t *of_segments) {
    intptr_t bytes = c->dims[0] * c->dims[1] * size;
    if (c->dims[0] >= MOST_PIECES) cut(c, 0, c->steps, 1, bytes);
    else cut(c, 2, of_segments, c->dims[1] / 32 > c->dims[2] ? 1 : ROW_GRAIN, bytes);
}

/* Elements in buckets, whose shares do not depend on each other; sums in buckets have rows of their own. */
static void cut_buckets(call *c, enum fl_shape shape, intptr_t size, const intptr_t *of_elements) {
    intptr_t rows = c->dims[0], n = c->dims[1], bytes = rows * n * size;
    if (shape == fl_normalize_buckets && n > rows) cut(c, 1, of_elements, MAP_GRAIN, bytes);
    else cut(c, 0, c->steps, ROW_GRAIN, bytes);
}

/* Fills in the pieces of a call, and what `along` may point to. Returns 0 where it has to stay whole. */
static int cut_call(call *c, int function, intptr_t size, intptr_t at_once, intptr_t *along) {
    enum fl_shape shape = fl_rows[function].shape;
    const intptr_t *core = c->steps + c->arguments;
    if (shape <= FL_LAST_MAP) return cut_map(c, size, fl_shapes[shape].nin);
    intptr_t rows = c->dims[0], bytes = rows * c->dims[1] * size;
    int of_terms = shape == fl_normalize_terms || shape == fl_reduce_normalize;
    if (of_terms && rows <= FLAT_ROWS && c->steps[0] == size && core[0] == rows * size) return 0;
    if (shape == fl_element_loss) {
        cut_elements(c, size);
    } else if (shape == fl_reduce_segments) {
        for (int k = 0; k < 3; k++) along[k + 1] = core[k + 1];
        cut_segments(c, size, along);
    } else if (shape == fl_chain || shape == fl_chain_pairs) {
        cut(c, 0, c->steps, 1, bytes * c->dims[2]);
    } else if (shape == fl_reduce_buckets || shape == fl_normalize_buckets) {
        along[0] = core[0], along[1] = core[1], along[3] = core[4]; /* elements, indices, shares */
        cut_buckets(c, shape, size, along);
    } else if (shape == fl_reduce_pairs) { /* the argument that varies from row to row decides */
        cut_rows(c, size, bytes, ROWS_OF_PAIRS, c->steps[0] == 0);
    } else {
        /* Where labels alone are read, and one number for each, that is worth some 8 numbers that are computed. */
        int of_labels = function == FL_nll_loss || (shape == fl_row_loss && c->options->only_weights);
        cut_rows(c, size, of_labels ? rows * 8 * size : bytes, at_once, 0);
        c->in_order |= shape == fl_row_loss;
    }
    return 1;
}

/* ---- numbers of threads ---- */

static atomic_int of_process = 1;
static _Thread_local int of_thread; /* 0: that of the process */

int fl_threads(void) { return of_thread ? of_thread : atomic_load_explicit(&of_process, memory_order_relaxed); }
int fl_set_threads(int n) {
    int before = of_thread;
    of_thread = n;
    return before;
}
void fl_set_threads_of_process(int n) { atomic_store_explicit(&of_process, n, memory_order_relaxed); }

/* ---- the threads ---- */

/* Work that threads share. */
typedef struct {
    void (*run)(void *context, int piece);
    void *context;
    int pieces;
    atomic_int next;
    fl_control control; /* the caller's */
} job;

/* Computes pieces until none is left. */
static void work_on(job *j) {
    for (int piece; (piece = atomic_fetch_add_explicit(&j->next, 1, memory_order_relaxed)) < j->pieces;)
        j->run(j->context, piece);
}

#if defined(_WIN32)
/* There is no pool: calls run on the thread that makes them. */
static void share(job *j, int threads) {
    (void)threads;
    work_on(j);
}
int fl_pool_size(void) { return 0; }
#else
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define STACK (1 << 20)    /* frames of loops are some 60 KiB; thread-local memory of large libraries is here, too */
#define ROUNDS_OF_WAIT 100 /* some microseconds, in which the last thread is usually through with its piece */

static struct {
    pthread_mutex_t lock;   /* of all that follows */
    pthread_cond_t come;    /* there is a call, or the end */
    pthread_cond_t is_left; /* no thread is in the call any more */
    pthread_t thread[FL_MOST_THREADS];
    int size;     /* the number of threads */
    job *current; /* NULL: threads sleep */
    int seats;    /* so many more threads may come into the call */
    atomic_int inside;
    int ends; /* the process ends */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .come = PTHREAD_COND_INITIALIZER, .is_left = PTHREAD_COND_INITIALIZER};

static atomic_int taken; /* a call has the pool */

static void *work(void *unused) {
    (void)unused;
    pthread_mutex_lock(&pool.lock);
    while (!pool.ends) {
        if (!pool.current || !pool.seats) {
            pthread_cond_wait(&pool.come, &pool.lock);
            continue;
        }
        job *j = pool.current;
        pool.seats--;
        atomic_fetch_add_explicit(&pool.inside, 1, memory_order_relaxed);
        pthread_mutex_unlock(&pool.lock);
        control_set(j->control);
        work_on(j);
        pthread_mutex_lock(&pool.lock);
        if (atomic_fetch_sub_explicit(&pool.inside, 1, memory_order_release) == 1) pthread_cond_signal(&pool.is_left);
    }
    pthread_mutex_unlock(&pool.lock);
    return 0;
}

/* The end of the process: threads finish the piece that they are at. */
static void join_all(void) {
    pthread_mutex_lock(&pool.lock);
    int size = pool.size;
    pool.ends = 1, pool.size = 0;
    pthread_cond_broadcast(&pool.come);
    pthread_mutex_unlock(&pool.lock);
    for (int k = 0; k < size; k++) pthread_join(pool.thread[k], 0);
}

/* A fork copies the calling thread alone. The child forgets the others, and starts its own when a large call comes. */
static void before_fork(void) { pthread_mutex_lock(&pool.lock); }
static void in_parent(void) { pthread_mutex_unlock(&pool.lock); }
static void in_child(void) {
    pthread_mutex_init(&pool.lock, 0);
    pthread_cond_init(&pool.come, 0);
    pthread_cond_init(&pool.is_left, 0);
    pool.size = pool.seats = 0, pool.current = 0;
    atomic_store(&pool.inside, 0);
    atomic_store(&taken, 0);
}

/* Starts threads until there are `wanted`, or as many as the system lets. They leave signals to others. The lock is
   held. */
static void grow(int wanted) {
    static int is_known;
    sigset_t all, before;
    pthread_attr_t attributes;
    if (!is_known) {
        if (pthread_atfork(before_fork, in_parent, in_child) != 0 || atexit(join_all) != 0) return;
        is_known = 1;
    }
    if (pthread_attr_init(&attributes) != 0) return;
    pthread_attr_setstacksize(&attributes, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.size < wanted) {
        if (pthread_create(pool.thread + pool.size, &attributes, work, 0) != 0) break;
#if defined(__linux__)
        pthread_setname_np(pool.thread[pool.size], "fastlog");
#endif
        pool.size++;
    }
    pthread_sigmask(SIG_SETMASK, &before, 0);
    pthread_attr_destroy(&attributes);
}

static inline void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Runs a job with other threads, unless another one has them. */
static void share(job *j, int threads) {
    if (atomic_exchange_explicit(&taken, 1, memory_order_acquire)) {
        work_on(j);
        return;
    }
    pthread_mutex_lock(&pool.lock);
    if (pool.size < threads - 1 && !pool.ends) grow(threads - 1);
    int come = pool.size < threads - 1 ? pool.size : threads - 1;
    j->control = control_for_others();
    pool.current = j, pool.seats = come;
    pthread_mutex_unlock(&pool.lock);
    if (come == pool.size) pthread_cond_broadcast(&pool.come);
    else
        for (int k = 0; k < come; k++) pthread_cond_signal(&pool.come);
    work_on(j);
    pthread_mutex_lock(&pool.lock);
    pool.current = 0, pool.seats = 0; /* who has not come yet is not waited for */
    pthread_mutex_unlock(&pool.lock);
    for (int k = 0; k < ROUNDS_OF_WAIT && atomic_load_explicit(&pool.inside, memory_order_acquire); k++)
        pause_briefly();
    if (atomic_load_explicit(&pool.inside, memory_order_acquire)) {
        pthread_mutex_lock(&pool.lock);
        while (atomic_load_explicit(&pool.inside, memory_order_acquire)) pthread_cond_wait(&pool.is_left, &pool.lock);
        pthread_mutex_unlock(&pool.lock);
    }
    atomic_store_explicit(&taken, 0, memory_order_release);
}

int fl_pool_size(void) {
    pthread_mutex_lock(&pool.lock);
    int size = pool.size;
    pthread_mutex_unlock(&pool.lock);
    return size;
}
#endif

void fl_share(void (*run)(void *context, int piece), void *context, int pieces, intptr_t bytes) {
    job j = {.run = run, .context = context, .pieces = pieces};
    int threads = fl_threads();
    intptr_t worth = bytes / FL_BYTES_OF_THREAD;
    if (threads > worth) threads = (int)worth;
    if (threads > pieces) threads = pieces;
    if (threads < 2) work_on(&j);
    else share(&j, threads);
}

/* ---- calls ---- */

/* The pieces of a loss have results of their own, which are joined in order. They fill a frame that other calls do not
   pay for. */
static __attribute__((noinline)) void share_loss(call *c, fl_loss_result *result) {
    fl_loss_result results[MOST_PIECES];
    memset(results, 0, (size_t)c->pieces * sizeof *results);
    c->results = results;
    fl_share(run_piece, c, c->pieces, c->bytes);
    for (int k = 0; k < c->pieces; k++) fl_add_result(result, results + k);
}

/* The number of entries of dims that a loop reads. */
static int dimensions_of(enum fl_shape shape) {
    if (shape <= FL_LAST_MAP) return 1;
    if (shape == fl_reduce_buckets || shape == fl_normalize_buckets || shape >= fl_chain) return 4;
    return shape == fl_reduce_segments ? 3 : 2;
}

unsigned fl_run_pieces(int function, intptr_t size, intptr_t at_once, fl_run *run, char **args, const intptr_t *dims,
                       const intptr_t *steps, void *data) {
    const fl_shape_info *shape = &fl_shapes[fl_rows[function].shape];
    fl_loss *loss = shape->split == fl_split_sums ? data : 0;
    intptr_t along[8] = {0};
    call c = {.run = run, .args = args, .dims = dims, .steps = steps, .data = data};
    c.arguments = shape->nin + shape->nout;
    c.dimensions = dimensions_of(fl_rows[function].shape);
    if (loss) c.options = loss->options;
    if (!cut_call(&c, function, size, at_once, along) || c.pieces < 2) return run(args, dims, steps, data);
    if ((fl_threads() < 2 || c.bytes < 2 * FL_BYTES_OF_THREAD) && !c.in_order) return run(args, dims, steps, data);
    if (loss) share_loss(&c, loss->result);
    else fl_share(run_piece, &c, c.pieces, c.bytes);
    return atomic_load_explicit(&c.raised, memory_order_relaxed);
}
