/* fastlog's loops for C and C++. docs/c-api.md has an example; fastlog.get_include() names the folder of this file. */

#ifndef FASTLOG_LOOPS_H
#define FASTLOG_LOOPS_H

#include <Python.h>
#include <stdint.h>

/* A loop in NumPy's convention. No loop needs the GIL, allocates memory or fails.

     args     the addresses of the arguments, inputs first
     dims     the number of elements; for functions of rows, the number of rows and that of the elements of a row
     steps    strides in bytes: one for each argument; for functions of rows, from row to row, then those from element
              to element of each argument that has rows
     data     NULL */
typedef void fastlog_loop(char **args, const intptr_t *dims, const intptr_t *steps, void *data);

/* Returns the loop of a function on float ('f') or double ('d') that has so many inputs and outputs together; the loop
   is valid as long as the process. Returns NULL with a Python exception if there is none, or fastlog is not installed.
   The caller holds the GIL; once is enough, where the module is initialised. */
static inline fastlog_loop *fastlog_find(const char *name, char type, int arguments) {
    fastlog_loop *loop = NULL;
    PyObject *core = PyImport_ImportModule("fastlog._core");
    PyObject *functions = core ? PyObject_GetAttrString(core, "__pyx_capi__") : NULL;
    PyObject *capsule = functions ? PyMapping_GetItemString(functions, "loop") : NULL;
    if (capsule) {
        typedef fastlog_loop *finder(const char *, char, int);
        finder *find = (finder *)PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule));
        loop = find ? find(name, type, arguments) : NULL;
        if (find && !loop)
            PyErr_Format(PyExc_ValueError, "fastlog has no loop %s of %d arguments on '%c'", name, arguments, type);
    }
    Py_XDECREF(capsule);
    Py_XDECREF(functions);
    Py_XDECREF(core);
    return loop;
}

#endif
