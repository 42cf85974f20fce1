/* fastlog's C interface: tables of loops, one per target. No Python and no NumPy here; a loop has the shape that NumPy
   calls (arguments, sizes, strides in bytes), with intptr_t where NumPy says npy_intp. */

#ifndef FASTLOG_H
#define FASTLOG_H

#include <stdint.h>

typedef void fl_loop(char **args, const intptr_t *dims, const intptr_t *steps, void *data);

/* How a function runs over its arguments; loops.h has one function of each name. */
enum fl_shape {
    map1,            /* x -> y */
    map2,            /* x1, x2 -> y */
    map1_raising,    /* x -> y of a function with poles or invalid points, which raise the exceptions */
    map2_raising,    /* x1, x2 -> y likewise */
    map2_logaddexp,  /* as map2, and NumPy's reduce and accumulate calls run as a (running) logsumexp */
    sum2,            /* (n),(n)->(): the sum of a map2 kernel, as a double */
    reduce,          /* (n)->() */
    normalize,       /* (n)->(n), from elements */
    normalize_terms, /* (n)->(n), from their exponentials */
    reduce_labelled, /* (n),()->(): a row and the index of one of its elements */
    reduce_segments, /* (n),(s),(s)->(s): the elements of a row from an index up to another */
    reduce_weighted, /* (n),(n),(n)->(),(): elements, weights, and which of them count; a sum and its sign */
    reduce_normalize /* (n)->(n),(): as normalize_terms, and the logarithm of what it divides by */
};

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
    const char *types;
} fl_shape_info;

/* The loops of one target and width, by fl_function; narrow: on binary16 or float, computed in this width, NULL where
   there is none. A reduce_weighted loop on float is of this kind alone. */
typedef struct {
    fl_loop *loop[FL_FUNCTIONS], *narrow[FL_FUNCTIONS];
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
