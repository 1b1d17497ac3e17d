/* Plain writes of a cache without a run through Python: cache/native.py calls `_put` first.
 *
 * The steps are those of Storing.set (cache/storing.py), in the same order: the epoch, the look for a load in
 * flight, the exchange in the table.  What needs more than that is left to Python: a load in flight, a
 * weigher, a listener, an idle time, a timer of the user's. */
#include "cache.h"

#include <math.h>

/* _arm_writes(epochs, flights, ttl): from now on `_put` writes; ttl in seconds or inf. */
PyObject *
ct_cache_arm(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    ct_hit_path *path = (ct_hit_path *)self;
    if (!ct_check_args("_arm_writes", nargs, 3, 3)) {
        return NULL;
    }
    double ttl = PyFloat_AsDouble(args[2]);
    if ((ttl == -1.0 && PyErr_Occurred()) || path->table == NULL || path->epochs != NULL
        || !PyIter_Check(args[0]) || !PyObject_TypeCheck(args[1], path->st->dict_type)) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "_arm_writes() takes an iterator, a table and seconds");
        }
        return NULL;
    }
    if (ttl != (double)INFINITY && !path->reads_clock) {
        Py_RETURN_FALSE;
    }
    path->ttl = ttl;
    path->flights = Py_NewRef(args[1]);
    path->epochs = Py_NewRef(args[0]);
    Py_RETURN_TRUE;
}

static int
next_epoch(ct_hit_path *path, int64_t *epoch)
{
    PyObject *number = PyIter_Next(path->epochs);
    if (number == NULL) {
        return -1;
    }
    *epoch = PyLong_AsLongLong(number);
    Py_DECREF(number);
    return *epoch == -1 && PyErr_Occurred() ? -1 : 0;
}

/* 1: a load of the key is in flight; 0: not; -1 with an error. */
static int
is_loading(ct_hit_path *path, PyObject *key, Py_hash_t hash)
{
    PyObject *flight;
    int found = ct_get(CT_TABLE(path->flights), key, hash, &flight);
    if (found > 0) {
        Py_DECREF(flight);
    }
    return found;
}

/* Tell the clock when it has to call earlier than it knows, and after a fork. */
static int
tell_clock(ct_hit_path *path)
{
    ct_store *store = path->table;
    if (path->ttl == (double)INFINITY
        || (ct_load_relaxed(&store->next_due) >= ct_load_relaxed(&store->told_due)
            && ct_load_relaxed(&path->forks) == path->st->forks)) {
        return 0;
    }
    ct_store_relaxed(&path->forks, path->st->forks);
    PyObject *done = PyObject_CallMethodNoArgs((PyObject *)path, path->st->str_call_clock);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int
write_entry(ct_hit_path *path, ct_view *fresh)
{
    ct_leavers leavers;
    ct_put put = {.condition = CT_PUT_ANY};
    ct_store *store = path->table;
    ct_leavers_init(&leavers);
    if (ct_store_put(store, fresh, &put, &leavers) < 0) {
        ct_leavers_drop(store, &leavers);
        return -1;
    }
    if (put.had_old) {
        double now = leavers.items[0].deadline == (double)INFINITY ? 0.0 : ct_cache_clock();
        ct_fetch_add_relaxed(&store->left[CT_LEFT_REPLACED], -1); /* as which it was counted */
        ct_fetch_add_relaxed(&store->left[ct_cache_why(path, &leavers.items[0], now)], 1);
    }
    ct_leavers_drop(store, &leavers);
    if (CT_UNLIKELY(put.over)) {
        ct_store_evict_rest(store, NULL);
    }
    return tell_clock(path);
}

/* _put(key, value): True when it is stored, False when Python has to do it. */
PyObject *
ct_cache_put(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    ct_hit_path *path = (ct_hit_path *)self;
    if (!ct_check_args("_put", nargs, 2, 2)) {
        return NULL;
    }
    if (path->epochs == NULL || args[1] == path->st->missing) {
        Py_RETURN_FALSE;
    }
    ct_view fresh = {.key = args[0], .value = args[1], .number = CT_NONE, .weight = 1,
                     .deadline = (double)INFINITY, .idle = (double)INFINITY,
                     .refresh_at = (double)INFINITY};
    fresh.hash = ct_hash(fresh.key);
    if (fresh.hash == -1 || next_epoch(path, &fresh.epoch) < 0) {
        return NULL;
    }
    if (path->ttl != (double)INFINITY) {
        fresh.touched = ct_cache_clock();
        fresh.deadline = fresh.touched + path->ttl;
    }
    int loading = is_loading(path, fresh.key, fresh.hash);
    if (loading != 0) {
        return loading < 0 ? NULL : Py_NewRef(Py_False);
    }
    return write_entry(path, &fresh) < 0 ? NULL : Py_NewRef(Py_True);
}
