/* `get_or_load`, as long as the value is there.
 *
 * A method of `HitPath` that stands before the one of cache/loading.py in the class: a frame of Python would
 * count references of the cache and of what it is made of, and threads that share a cache would meet there.
 * Everything else (a load, an entry that may have to be refreshed, a call that is not of the usual form)
 * is done in Python. */
#include "cache.h"

#define PATH(o) ((ct_hit_path *)(o))

enum { MOST_KEYWORDS = 2, ARGUMENTS = 4 /* self, key, loader, entry */ };

/* Names in calls are interned; any other form is left to Python, which says what is wrong with it. */
static int
is_usual(ct_hit_path *path, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t count = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (nargs != 2 || count > MOST_KEYWORDS || path->st == NULL) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        if (name != path->st->str_ttl && name != path->st->str_tags) {
            return 0;
        }
    }
    return 1;
}

CT_NOINLINE static PyObject *
call_unusual(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *method = PyObject_GetAttrString(self, "_get_or_load");
    if (method == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_Vectorcall(method, args, (size_t)nargs, kwnames);
    Py_DECREF(method);
    return result;
}

/* `found` is the entry, or NULL. */
CT_NOINLINE static PyObject *
load_or_refresh(PyObject *self, PyObject *const *args, PyObject *found, PyObject *kwnames)
{
    PyObject *stack[ARGUMENTS + MOST_KEYWORDS] = {self, args[0], args[1], found == NULL ? Py_None : found};
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        stack[ARGUMENTS + i] = args[2 + i];
    }
    PyObject *result =
        PyObject_VectorcallMethod(PATH(self)->st->str_load_or_refresh, stack, ARGUMENTS, kwnames);
    Py_XDECREF(found);
    return result;
}

PyObject *
ct_cache_get_or_load(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (CT_UNLIKELY(!is_usual(PATH(self), nargs, kwnames))) {
        return call_unusual(self, args, nargs, kwnames);
    }
    PyObject *found = NULL;
    int status = ct_cache_find_fresh(PATH(self), args[0], &found);
    if (CT_LIKELY(status == CT_FOUND_VALUE)) {
        return found;
    }
    return status == CT_FOUND_ERROR ? NULL : load_or_refresh(self, args, found, kwnames);
}
