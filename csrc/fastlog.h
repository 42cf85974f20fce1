/* fastlog's C interface: tables of loops, one per target. No Python and no NumPy here; a loop has the shape that NumPy
   calls (arguments, sizes, strides in bytes), with intptr_t where NumPy says npy_intp. */

#ifndef FASTLOG_H
#define FASTLOG_H

#include <stdint.h>

typedef void fl_loop(char **args, const intptr_t *dims, const intptr_t *steps, void *data);

/* How a function runs over its arguments; loops.h has one function of each name. */
enum fl_shape {
    map1,             /* x -> y */
    map2,             /* x1, x2 -> y */
    map1_raising,     /* x -> y of a function with poles or invalid points, which raise the exceptions */
    map2_raising,     /* x1, x2 -> y likewise */
    map2_logaddexp,   /* as map2, and NumPy's reduce and accumulate calls run as a (running) logsumexp */
    reduce,           /* (n)->() */
    normalize,        /* (n)->(n), from elements */
    normalize_terms,  /* (n)->(n), from their exponentials */
    reduce_segments,  /* (n),(s),(s)->(s): the elements of a row from an index up to another */
    reduce_weighted,  /* (n),(n),(n)->(),(): elements, weights, and which of them count; a sum and its sign */
    reduce_normalize, /* (n)->(n),(): as normalize_terms, and the logarithm of what it divides by */
    reduce_partition, /* (n)->(),(): the largest element, and the sum of the other exponentials in units of its own */
    element_loss,     /* logits, targets, weights, pos_weights -> losses (EACH), gradients, Hessians, sums of rows */
    row_loss          /* logits, labels or probabilities -> losses of rows (EACH), gradients, Hessians */
};

/* What loops of losses get as `data`; they are no ufuncs. Their arguments are those of the shape, all with one outer
   and one core dimension, steps being 0 where an argument has none; NULL where there is no such argument, or an output
   is not wanted. Targets have any of NumPy's boolean, integer and floating-point types up to double; sums of rows, and
   class_weight, are doubles, everything else is of the loop's type. */
typedef struct {
    char target_type;           /* NumPy's character */
    int are_probabilities;      /* of a row_loss: targets are not labels */
    double scale;               /* factor of gradients and Hessians */
    double smoothing;           /* the part of the targets that is spread evenly over the classes */
    double positive, negative;  /* focal loss: the weights of the targets 1 and 0 */
    double gamma;               /* and its exponent */
    const double *class_weight; /* or NULL */
    int64_t ignored;            /* the label that does not count, if `ignores` */
    int ignores;
    int only_weights; /* nothing but `weight` and `wrong` is wanted */
    double total[2];  /* OUT: the sum of all losses in two words is added to it, if EACH is not wanted */
    double weight[2]; /* OUT: that of the weights of the labels that count */
    int64_t wrong;    /* OUT: the number of labels out of range is added to it */
} fl_loss;

/* A sum in two words as one; an infinite sum has no rounding error to add. */
static inline double fl_sum(const double sum[2]) { return sum[0] - sum[0] == 0 ? sum[0] + sum[1] : sum[0]; }

enum fl_function {
#define FL_FUNCTION(name, ...) FL_##name,
#include "functions.def"
#undef FL_FUNCTION
    FL_FUNCTIONS
};

typedef struct {
    const char *name;       /* fastlog's: of the kernel, the docstring, the reference, the benchmark */
    const char *ufunc_name; /* __name__: SciPy's where SciPy has the function, for whoever dispatches by name */
    enum fl_shape shape;
    int has_identity;      /* of the reduction: -inf */
    double ulp32, at32[2]; /* largest error in ulp ever measured on any target, and the input that has it */
    double ulp64, at64[2];
} fl_row;

/* How NumPy sees a shape. Type characters of all arguments: '-' stands for the loop's own type (d, f or e), others for
   themselves. */
typedef struct {
    int nin, nout;
    const char *signature; /* of a generalized ufunc, else NULL */
    const char *types;     /* NULL: no ufunc */
} fl_shape_info;

/* The loops of one target and width, by fl_function; narrow: on binary16 or float, computed in this width, NULL where
   there is none. A reduce_weighted loop on float is of this kind alone. quiet: loops that raise nothing, poles or not. */
typedef struct {
    fl_loop *loop[FL_FUNCTIONS], *narrow[FL_FUNCTIONS], *quiet[FL_FUNCTIONS];
} fl_table;

typedef struct {
    const char *name;
    const fl_table *f32, *f64;
    int (*supported)(void);
} fl_target;

extern const fl_row fl_rows[FL_FUNCTIONS];
extern const fl_shape_info fl_shapes[];
extern const fl_target fl_targets[]; /* those compiled, best first; fl_target_count of them */
extern const int fl_target_count;

#endif
