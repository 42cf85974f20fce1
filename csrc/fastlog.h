/* fastlog's C interface: the functions, their shapes, and the loops of every target. No Python and no NumPy here. */

#pragma once

#include <stdint.h>

/* A loop has the signature that NumPy calls; intptr_t stands for npy_intp.

     args     a pointer for each argument, inputs first
     dims     the number of elements of a map, or of rows; then the core sizes, n before s
     steps    strides in bytes: one along dims[0] for each argument; then one for each core dimension of each argument
     data     an fl_loss for losses, unused otherwise

   All arrays belong to the caller. A loop allocates nothing: what it keeps between passes lies on its stack. */
typedef void fl_loop(char **args, const intptr_t *dims, const intptr_t *steps, void *data);

/* A shape is how a function runs over its arguments. target.c has one macro for each. */
enum fl_shape {
    fl_map1,           /* x -> y */
    fl_map2,           /* x1, x2 -> y, a sum of exponentials: the identity of its reduction is -inf */
    fl_map1_raising,   /* x -> y; the function has poles or invalid points, and raises the exceptions */
    fl_map2_raising,   /* x1, x2 -> y; it raises them, too */
    fl_map2_logaddexp, /* as map2, and NumPy's reduce and accumulate calls run as a (running) logsumexp */
    FL_LAST_MAP = fl_map2_logaddexp,
    fl_reduce,            /* (n)->() */
    fl_normalize,         /* (n)->(n), from elements */
    fl_normalize_terms,   /* (n)->(n), from their exponentials */
    fl_reduce_segments,   /* (n),(s),(s)->(s): the elements of a row from an index up to another */
    fl_reduce_buckets,    /* (n),(n),(s)->(s),(s),(s,2): the elements of a row by their indices, see loops/buckets.h */
    fl_normalize_buckets, /* (n),(n),(s,2)->(n): as normalize, within those */
    fl_reduce_weighted,   /* (n),(n),(n)->(),(): elements, weights, and which of them count; a sum and its sign */
    fl_reduce_normalize,  /* (n)->(n),(): a normalisation, and the logarithm of the divisor */
    fl_reduce_partition,  /* (n)->(),(): the largest element max, and the sum of e^(x - max) over the others */
    fl_reduce_pairs,      /* (n),(n)->() */
    fl_draw,              /* (n),()->(): probabilities, a double, and the index that it draws, see loops/draw.h */
    fl_element_loss, /* logits, targets, weights, pos_weights -> losses (EACH), gradients, Hessians, sums of rows */
    fl_row_loss,     /* logits, labels or probabilities, weights of rows -> losses of rows (EACH), gradients, Hessians,
                        slopes */
    fl_chain,        /* (k),(k,k),(k,k),(t,k)->(t,k),(k,16): recursions of Markov chains, of doubles alone */
    fl_chain_pairs   /* (k,k),(t,k),(t,k),(t,k)->(k,k),(k,16): expected transitions of such chains */
};

/* How a call may be split into pieces along dims[0] so that no bit of its arrays changes. pool.c splits large calls. */
enum fl_split {
    fl_split_anywhere, /* pieces are any, unless results feed back into operands, as in NumPy's reduce and accumulate */
    fl_split_rows,     /* pieces have 16 rows or more: how rows are summed depends on whether they fill the lanes */
    fl_split_sums      /* pieces are those of split_rows; the sums in their fl_loss_result are added */
};

/* A shape as NumPy sees it. */
typedef struct {
    int nin, nout;
    const char *signature; /* of a generalized ufunc, else NULL */
    const char *types;     /* a character for each argument, '-' for the loop's own type; NULL: it is no ufunc */
    enum fl_split split;
    int has_identity; /* reductions of the ufunc have the identity -inf */
} fl_shape_info;

/* The functions. FL_softplus, for example, is the index of softplus in every array below. */
enum fl_function {
#define FL_FUNCTION(name, shape) FL_##name,
#include "functions.def"
    FL_FUNCTIONS
};

/* A claim: the largest error in ulp ever measured on any target, and the arguments that have it. 0: no claim. */
typedef struct {
    double ulp, at[2];
} fl_claim;

typedef struct {
    const char *name; /* of the kernel, the docstring, the reference, the benchmark */
    enum fl_shape shape;
} fl_row;

/* Loops by fl_function, for arguments of one type; NULL where there is none. A quiet loop raises no exception. */
typedef struct {
    struct {
        fl_loop *loop, *quiet;
    } of[FL_FUNCTIONS];
    fl_loop *stage, *unstage; /* see fl_staging; NULL for binary16 */
} fl_table;

typedef struct {
    const char *name;
    const fl_table *f16, *f32, *f64;
    int (*supported)(void);
} fl_target;

extern const fl_shape_info fl_shapes[];
extern const fl_row fl_rows[FL_FUNCTIONS];
extern const char *const fl_aliases[FL_FUNCTIONS]; /* a ufunc's __name__ where that is not its name here, else NULL */
extern const fl_claim fl_claims[FL_FUNCTIONS][2];  /* for float, for double */
extern const fl_target fl_targets[];               /* those compiled, best first; fl_target_count of them */
extern const int fl_target_count;

/* The loop of a function on arguments of NumPy's type 'e', 'f' or 'd'; NULL where there is none. */
fl_loop *fl_loop_of(const fl_target *target, int function, char type);
fl_loop *fl_quiet_loop_of(const fl_target *target, int function, char type);

/* ---- staging ----

   Rows that no loop reads as they are pass through memory of the caller, some at a time: those of narrower types, those
   to be divided by a number, and those of which a mask excludes elements. Both loops get an fl_staging as their data,
   and have the arguments `from`, a mask of bytes or NULL, and `to`.

     stage      brings numbers to where numbers of the loop's type are neighbours along one of the two axes
     unstage    brings such numbers from there to the caller's places; excluded ones become `excluded` */
typedef struct {
    char type;       /* of the caller's numbers: 'e' for binary16, 'E' for bfloat16, 'f', or 'd' */
    double divisor;  /* numbers are divided by it on their way in, and the quotient is rounded to their type */
    double excluded; /* the result for numbers that the mask excludes; on their way in they become -inf */
} fl_staging;

fl_loop *fl_stage_of(const fl_target *target, char type);
fl_loop *fl_unstage_of(const fl_target *target, char type);

/* ---- losses ----

   A loop of a loss gets an fl_loss as its data. Every argument has an outer and a core stride, which is 0 where it does
   not vary along that axis. A NULL input is absent; a NULL output is not wanted. Targets have any of NumPy's boolean,
   integer and floating-point types up to double; sums, weights and slopes of rows, and class_weight, are doubles;
   everything else has the loop's type. */
typedef struct {
    char target_type;           /* NumPy's character */
    int are_probabilities;      /* targets of a row_loss are probabilities, not labels */
    double scale;               /* factor of gradients and Hessians */
    double temperature;         /* of a row_loss: what logits have been divided by; slopes are the derivatives by it */
    double smoothing;           /* the part of the targets that is spread evenly over the classes */
    double positive, negative;  /* focal loss: the weights of the targets 1 and 0 */
    double gamma;               /* focal loss: the exponent */
    const double *class_weight; /* or NULL */
    int64_t ignored;            /* the label that does not count, if `ignores` */
    int ignores;
    int only_weights; /* of the result, only `weight` and `wrong` are wanted */
} fl_loss_options;

/* Sums to which a call adds its own. A sum of doubles is in two words. */
typedef struct {
    double total[2];  /* of all losses, where EACH and sums of rows are not wanted */
    double weight[2]; /* of the weights of the labels that count or, where targets are probabilities, of the rows */
    int64_t wrong;    /* the number of labels out of range */
} fl_loss_result;

typedef struct {
    const fl_loss_options *options;
    fl_loss_result *result;
} fl_loss;

/* A sum in two words as one; an infinite sum has no rounding error to add. */
static inline double fl_sum(const double sum[2]) { return sum[0] - sum[0] == 0 ? sum[0] + sum[1] : sum[0]; }

/* Adds a sum in two words to another one. */
static inline void fl_add_sum(double sum[2], const double more[2]) {
    double s = sum[0] + more[0], part = s - sum[0], rest = s - part;
    double low = sum[1] + ((sum[0] - rest) + (more[0] - part)) + more[1], all = s + low;
    int is_finite = all - all == 0;
    sum[0] = is_finite ? all : s;
    sum[1] = is_finite ? low - (all - s) : low;
}

/* Adds what a part of a call has found. */
static inline void fl_add_result(fl_loss_result *result, const fl_loss_result *part) {
    fl_add_sum(result->total, part->total);
    fl_add_sum(result->weight, part->weight);
    result->wrong += part->wrong;
}

/* ---- threads ----

   A thread has its own number of threads; until it sets one, that of the process, which is 1 at first. Large calls use
   so many, if there is enough for each to do. */
#define FL_MOST_THREADS 256

/* threadpoolctl knows the library by the name that has this. */
#if defined(_WIN32)
#define FL_EXPORT __declspec(dllexport)
#else
#define FL_EXPORT __attribute__((visibility("default")))
#endif

int fl_threads(void);
int fl_set_threads(int n); /* for this thread; 0: that of the process. Returns what was set before */
int fl_pool_size(void);    /* the number of threads that this process has started so far */
FL_EXPORT void fl_set_threads_of_process(int n); /* for all threads that set none themselves */
