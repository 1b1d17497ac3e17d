/* The hit path of a cache: what tells whether an entry may be served, and the types that Python sees.
 *
 * The specification is _pure/hit_path.py; the table is described in cache_store.h. */
#ifndef CT_CACHE_H
#define CT_CACHE_H

#include "cache_store.h"
#include "call_key.h"

typedef struct {
    PyObject_HEAD
    PyObject *weakrefs;
    ct_store *table;
    PyObject *timer;
    ct_state *st;
    ct_i64 cleared;
    int records;
    int reads_clock;   /* the timer is time.monotonic: read the clock without a call */
    PyObject *epochs;  /* iterator of numbers; NULL: every write goes through Python */
    PyObject *flights; /* ConcurrentDict */
    double ttl;        /* of what is written without one of its own; inf: none */
    ct_word forks; /* when the clock was told last */
} ct_hit_path;

int ct_hit_path_type_init(PyObject *module, ct_state *st);
int ct_cached_call_type_init(PyObject *module, ct_state *st);

enum { CT_FOUND_VALUE, CT_FOUND_ENTRY, CT_FOUND_NOTHING, CT_FOUND_UNSURE, CT_FOUND_ERROR };

/* As HitPath._find, but the value where that is all that a caller needs. */
int ct_cache_find_fresh(ct_hit_path *path, PyObject *key, PyObject **found);
/* The same for a call whose key need not be made.  CT_FOUND_UNSURE, when nothing was counted: ask with a key. */
int ct_cache_find_call(ct_hit_path *path, const ct_call_key *key, PyObject **found);

/* Seconds on the clock that time.monotonic reads; only where `reads_clock` may be set. */
double ct_cache_clock(void);
/* An entry that left: why (CT_LEFT_*), when another took its place at `now`. */
int ct_cache_why(ct_hit_path *path, const ct_view *view, double now);
PyObject *ct_cache_get_or_load(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *kwnames);
PyObject *ct_cache_put(PyObject *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *ct_cache_arm(PyObject *self, PyObject *const *args, Py_ssize_t nargs);

#endif
