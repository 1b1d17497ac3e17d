/* `HitPath`: the lock-free reads of a cache over a ConcurrentDict of entries.
 *
 * A hit is a lookup under a pin, a few compares, a reference to the value, a count in the thread's own stripe
 * and a record there.  What needs user code (a comparison of keys, a timer of the user's, taking a stale
 * entry away, draining) happens unpinned, with a reference to the entry.
 *
 * The clock is read only for entries that end.  A coarse clock, which lags by some milliseconds, is enough
 * to see that one does not end soon. */
#include "cache.h"

#include <math.h>
#if defined(__linux__)
#  include <time.h>
#endif

#define PATH(o) ((ct_hit_path *)(o))

enum { VALID, STALE, ASK /* the timer, then judge again */ };
enum { WANT_VALUE, WANT_ENTRY, WANT_FRESH /* the value, or the entry if it may have to be refreshed */ };

/* -- time --------------------------------------------------------------------------------------- */

#define LAG_SECONDS 0.05 /* more than any coarse clock lags behind */

#if defined(__linux__)
CT_INLINE double
read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)((int64_t)now.tv_sec * 1000000000 + now.tv_nsec) / 1e9; /* as time.monotonic */
}
#endif

/* Seconds on the timer, unpinned; NAN with an error. */
static double
ask_timer(ct_hit_path *path)
{
    PyObject *result = PyObject_CallNoArgs(path->timer);
    if (result == NULL) {
        return (double)NAN;
    }
    double now = PyFloat_AsDouble(result);
    Py_DECREF(result);
    return now == -1.0 && PyErr_Occurred() ? (double)NAN : now;
}

/* -- validity ----------------------------------------------------------------------------------- */

/* Pinned.  `now` is NAN as long as nobody has looked. */
CT_NOINLINE static int
judge_time(ct_hit_path *path, ct_entry *entry, double deadline, double now, int touch)
{
    ct_entry_more *more = entry->more;
    double idle = more == NULL ? (double)INFINITY : ct_load_relaxed(&more->idle);
    if (isnan(now)) {
        if (!path->reads_clock) {
            return ASK;
        }
#if defined(__linux__)
        if (idle == (double)INFINITY
            && read_clock(CLOCK_MONOTONIC_COARSE) + LAG_SECONDS < deadline) {
            return VALID;
        }
        now = read_clock(CLOCK_MONOTONIC);
#endif
    }
    if (now >= deadline) {
        return STALE;
    }
    if (idle != (double)INFINITY) {
        if (now - ct_load_relaxed(&more->touched) >= idle) {
            return STALE;
        }
        if (touch) {
            ct_store_relaxed(&more->touched, now);
        }
    }
    return VALID;
}

/* Pinned, so that the cells stay. */
CT_INLINE int
fell(const ct_entry *entry, int64_t epoch)
{
    PyObject *cells = ct_load_acquire(&entry->more->cells);
    Py_ssize_t count = cells == NULL ? 0 : PyTuple_GET_SIZE(cells);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (ct_load_acquire(&((ct_cell *)PyTuple_GET_ITEM(cells, i))->fallen) > epoch) {
            return 1;
        }
    }
    return 0;
}

CT_INLINE int
judge(ct_hit_path *path, ct_entry *entry, double now, int touch)
{
    int64_t epoch = entry->epoch;
    double deadline = ct_load_relaxed(&entry->deadline);
    if (CT_UNLIKELY(epoch < ct_load_acquire(&path->cleared))) {
        return STALE;
    }
    if (entry->more != NULL) {
        if (CT_UNLIKELY(fell(entry, epoch))) {
            return STALE;
        }
    }
    else if (CT_LIKELY(deadline == (double)INFINITY)) {
        return VALID;
    }
    if (deadline == (double)INFINITY && ct_load_relaxed(&entry->more->idle) == (double)INFINITY) {
        return VALID;
    }
    return judge_time(path, entry, deadline, now, touch);
}

/* With a reference, unpinned: VALID, STALE, or -1 with an error. */
static int
judge_owned(ct_hit_path *path, ct_entry *entry, int touch)
{
    ct_record *self = ct_self();
    double now = (double)NAN;
    for (;;) {
        ct_pin(self);
        int verdict = judge(path, entry, now, touch);
        ct_unpin(self);
        if (verdict != ASK) {
            return verdict;
        }
        now = ask_timer(path);
        if (isnan(now)) {
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_ValueError, "the timer of a cache must not return nan");
            }
            return -1;
        }
    }
}

/* -- lookup ------------------------------------------------------------------------------------- */

/* How a lookup ended: with a new reference to what was wanted, or without. */
typedef struct {
    PyObject *found; /* the value, or the entry; NULL: miss, stale or error */
    ct_entry *stale; /* a reference to an entry that fell */
    int is_entry;    /* `found` is the entry */
    int full;        /* the thread's records are */
    int failed;
    int borrowed;    /* in: no user code may see the key */
    int unsure;      /* user code would have to compare it: nothing was done */
} ct_outcome;

static int
is_entry(ct_hit_path *path, PyObject *o)
{
    return Py_IS_TYPE(o, path->st->extra_types[CT_X_ENTRY]);
}

static ct_table *
ready_table(ct_hit_path *path)
{
    if (CT_UNLIKELY(path->table == NULL)) {
        PyErr_Format(PyExc_RuntimeError, "%s.__init__ was not called", ct_type_name((PyObject *)path));
        return NULL;
    }
    return CT_TABLE(path->table);
}

/* Give out a valid entry, or its value; pinned or with a reference. */
CT_INLINE void
give(ct_entry *entry, int want, ct_outcome *out)
{
    out->is_entry =
        want == WANT_ENTRY
        || (want == WANT_FRESH && entry->more != NULL
            && ct_load_relaxed(&entry->more->refresh_at) != (double)INFINITY);
    out->found = Py_NewRef(out->is_entry ? (PyObject *)entry : entry->value);
}

/* Count a hit and record it; pinned or with a reference. */
CT_INLINE int
note_hit(ct_hit_path *path, ct_cache_stripe *stripe, ct_record *self, ct_entry *entry)
{
    ct_add_relaxed(&stripe->hits, 1);
    return path->records && ct_note_access(stripe, self->number, entry);
}

CT_INLINE void
note_miss(ct_cache_stripe *stripe)
{
    ct_add_relaxed(&stripe->misses, 1);
    stripe->skip = 0;
}

/* What user code may have to decide; `entry` is NULL or a reference that this takes over. */
CT_NOINLINE static void
find_slowly(ct_hit_path *path, ct_cache_stripe *stripe, ct_entry *entry, int want,
            ct_outcome *out)
{
    int verdict = entry == NULL ? STALE : judge_owned(path, entry, stripe != NULL);
    if (verdict < 0) {
        out->failed = 1;
        Py_DECREF(entry);
        return;
    }
    if (verdict == VALID) {
        if (stripe != NULL) {
            out->full = note_hit(path, stripe, ct_self(), entry);
        }
        give(entry, want, out);
        Py_DECREF(entry);
        return;
    }
    if (stripe != NULL) {
        note_miss(stripe);
        out->stale = entry;
        return;
    }
    Py_XDECREF(entry);
}

/* A key whose comparison runs user code. */
CT_NOINLINE static void
look_up_slowly(ct_hit_path *path, ct_cache_stripe *stripe, PyObject *key, Py_hash_t hash,
               int want, ct_outcome *out)
{
    PyObject *entry;
    if (ct_get_slow(CT_TABLE(path->table), key, hash, &entry) < 0) {
        out->failed = 1;
        return;
    }
    if (entry != NULL && !is_entry(path, entry)) {
        Py_CLEAR(entry);
    }
    find_slowly(path, stripe, (ct_entry *)entry, want, out);
}

/* `stripe` is NULL for a look that leaves no trace. */
CT_INLINE void
look_up(ct_hit_path *path, ct_cache_stripe *stripe, ct_record *self, PyObject *key, Py_hash_t hash,
        int want, ct_outcome *out)
{
    ct_table *t = CT_TABLE(path->table);
    if (CT_UNLIKELY(ct_enter(t) == NULL)) {
        out->failed = 1;
        return;
    }
    ct_keys *keys = ct_table_keys(t);
    Py_ssize_t ix = ct_probe(keys, key, hash);
    ct_entry *entry = ix >= 0 ? (ct_entry *)ct_entry_value(keys, ix) : NULL;
    if (CT_LIKELY(entry != NULL && is_entry(path, (PyObject *)entry))) {
        if (CT_LIKELY(judge(path, entry, (double)NAN, stripe != NULL) == VALID)) {
            CT_POINT(value_keep);
            give(entry, want, out);
            if (stripe != NULL) {
                out->full = note_hit(path, stripe, self, entry);
            }
            ct_unpin(self);
            return;
        }
        Py_INCREF(entry); /* pinned: the table's reference lives on */
        ct_unpin(self);
        find_slowly(path, stripe, entry, want, out);
        return;
    }
    ct_unpin(self);
    if (ix == CT_COMPARE && out->borrowed) {
        out->unsure = 1;
    }
    else if (ix == CT_COMPARE) {
        look_up_slowly(path, stripe, key, hash, want, out);
    }
    else if (stripe != NULL) {
        note_miss(stripe);
    }
}

/* What a lookup left to do; -1 with an error. */
CT_NOINLINE static int
settle(ct_hit_path *path, ct_cache_stripe *stripe, ct_outcome *out)
{
    PyObject *done = NULL;
    if (out->failed) {
        return -1;
    }
    if (out->stale != NULL) {
        done = PyObject_CallMethod((PyObject *)path, "_on_stale", "O", out->stale);
        Py_DECREF(out->stale);
    }
    else {
        done = PyObject_CallMethod((PyObject *)path, "_on_full", NULL);
        stripe->skip = ct_cache_calm(path);
    }
    if (done == NULL) {
        Py_CLEAR(out->found);
        return -1;
    }
    Py_DECREF(done);
    return 0;
}

/* Fills in `out`; -1 with an error. */
CT_INLINE int
find_into(ct_hit_path *path, PyObject *key, int want, int trace, ct_outcome *out)
{
    ct_cache_stripe *stripe = NULL;
    if (CT_UNLIKELY(ready_table(path) == NULL)) {
        return -1;
    }
    Py_hash_t hash = ct_hash(key);
    ct_record *self = hash == -1 ? NULL : ct_self();
    if (CT_UNLIKELY(self == NULL)) {
        if (!PyErr_Occurred()) {
            PyErr_NoMemory();
        }
        return -1;
    }
    if (trace) {
        stripe = ct_stripe_of(path, self);
        if (CT_UNLIKELY(stripe == NULL)) {
            return -1;
        }
    }
    look_up(path, stripe, self, key, hash, want, out);
    if (CT_UNLIKELY(out->failed || out->full || out->stale != NULL)) {
        return settle(path, stripe, out);
    }
    return 0;
}

/* A new reference to the value (or entry), NULL without an error when there is none, or with one. */
CT_INLINE PyObject *
find(ct_hit_path *path, PyObject *key, int want, int trace)
{
    ct_outcome out = {0};
    return CT_UNLIKELY(find_into(path, key, want, trace, &out) < 0) ? NULL : out.found;
}

int
ct_cache_find_fresh(ct_hit_path *path, PyObject *key, int borrowed, PyObject **found)
{
    ct_outcome out = {.borrowed = borrowed};
    if (CT_UNLIKELY(find_into(path, key, WANT_FRESH, 1, &out) < 0)) {
        return CT_FOUND_ERROR;
    }
    *found = out.found;
    if (CT_LIKELY(out.found != NULL)) {
        return out.is_entry ? CT_FOUND_ENTRY : CT_FOUND_VALUE;
    }
    return out.unsure ? CT_FOUND_UNSURE : CT_FOUND_NOTHING;
}

/* -- methods ------------------------------------------------------------------------------------ */

/* Arguments (key, default=None); 0 or -1. */
static int
parse_get(const char *name, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
          PyObject **fallback)
{
    *fallback = nargs == 2 ? args[1] : Py_None;
    if (CT_LIKELY(kwnames == NULL)) {
        return ct_check_args(name, nargs, 1, 2) ? 0 : -1;
    }
    if (nargs == 1 && PyTuple_GET_SIZE(kwnames) == 1
        && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "default") == 0) {
        *fallback = args[1];
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s() takes a key and an optional default", name);
    return -1;
}

static PyObject *
path_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *fallback;
    if (CT_UNLIKELY(parse_get("get", args, nargs, kwnames, &fallback) < 0)) {
        return NULL;
    }
    PyObject *value = find(PATH(self), args[0], WANT_VALUE, 1);
    return CT_LIKELY(value != NULL) ? value : PyErr_Occurred() ? NULL : Py_NewRef(fallback);
}

static PyObject *
path_peek(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *fallback;
    if (CT_UNLIKELY(parse_get("peek", args, nargs, kwnames, &fallback) < 0)) {
        return NULL;
    }
    PyObject *value = find(PATH(self), args[0], WANT_VALUE, 0);
    return value != NULL ? value : PyErr_Occurred() ? NULL : Py_NewRef(fallback);
}

static PyObject *
path_find(PyObject *self, PyObject *key)
{
    PyObject *entry = find(PATH(self), key, WANT_ENTRY, 1);
    return entry != NULL ? entry : PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *
path_peek_entry(PyObject *self, PyObject *key)
{
    PyObject *entry = find(PATH(self), key, WANT_ENTRY, 0);
    return entry != NULL ? entry : PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static int
path_contains(PyObject *self, PyObject *key)
{
    PyObject *entry = find(PATH(self), key, WANT_ENTRY, 0);
    int there = entry != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
    Py_XDECREF(entry);
    return there;
}

static PyObject *
path_valid(PyObject *self, PyObject *entry)
{
    if (ready_table(PATH(self)) == NULL) {
        return NULL;
    }
    if (!is_entry(PATH(self), entry)) {
        PyErr_Format(PyExc_TypeError, "_valid() takes an Entry, not %s", ct_type_name(entry));
        return NULL;
    }
    if (ct_self() == NULL) {
        return PyErr_NoMemory();
    }
    int verdict = judge_owned(PATH(self), (ct_entry *)entry, 0);
    return verdict < 0 ? NULL : PyBool_FromLong(verdict == VALID);
}

static PyObject *
path_drain(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return ct_cache_drain(PATH(self));
}

static PyObject *
path_counts(PyObject *self, PyObject *Py_UNUSED(unused))
{
    int64_t hits, misses;
    ct_cache_counts(PATH(self), &hits, &misses);
    return Py_BuildValue("LL", (long long)hits, (long long)misses);
}

static PyObject *
path_get_cleared(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLongLong(ct_load_acquire(&PATH(self)->cleared));
}

static int
path_set_cleared(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_cleared cannot be deleted");
        return -1;
    }
    long long cleared = PyLong_AsLongLong(value);
    if (cleared == -1 && PyErr_Occurred()) {
        return -1;
    }
    ct_store_release(&PATH(self)->cleared, cleared);
    return 0;
}

/* -- life --------------------------------------------------------------------------------------- */

static int
is_real_clock(PyObject *timer)
{
#if defined(__linux__)
    PyObject *module = PyImport_ImportModule("time");
    PyObject *monotonic = module == NULL ? NULL : PyObject_GetAttrString(module, "monotonic");
    int same = monotonic == NULL ? -1 : monotonic == timer;
    Py_XDECREF(monotonic);
    Py_XDECREF(module);
    return same;
#else
    (void)timer;
    return 0;
#endif
}

static int
path_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"table", "timer", "records", NULL};
    ct_hit_path *path = PATH(self);
    PyObject *table, *timer;
    int records;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOp:HitPath", names, &table, &timer, &records)) {
        return -1;
    }
    path->st = ct_state_of_type(Py_TYPE(self));
    if (path->st == NULL) {
        return -1;
    }
    if (path->table != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "HitPath.__init__ was called before");
        return -1;
    }
    if (!PyObject_TypeCheck(table, path->st->dict_type)) {
        PyErr_Format(PyExc_TypeError, "table must be a ConcurrentDict, not %s", ct_type_name(table));
        return -1;
    }
    path->reads_clock = is_real_clock(timer);
    if (path->reads_clock < 0) {
        return -1;
    }
    path->records = records;
    path->timer = Py_NewRef(timer);
    path->table = Py_NewRef(table);
    return 0;
}

static int
path_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(PATH(self)->table);
    Py_VISIT(PATH(self)->timer);
    return ct_stripes_traverse(PATH(self), visit, arg);
}

static int
path_clear(PyObject *self)
{
    Py_CLEAR(PATH(self)->timer);
    Py_CLEAR(PATH(self)->table);
    return 0;
}

static void
path_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (PATH(self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    path_clear(self);
    ct_stripes_free(PATH(self));
    type->tp_free(self);
    Py_DECREF(type);
}

#define PATH_KEYWORDS(name, body, doc)                                                             \
    {name, (PyCFunction)(void (*)(void))body, METH_FASTCALL | METH_KEYWORDS, doc}

static PyMethodDef path_methods[] = {
    PATH_KEYWORDS("get", path_get,
                  "get($self, /, key, default=None)\n--\n\n"
                  "The value of `key`, or `default`; counts a hit or a miss. Lock-free."),
    PATH_KEYWORDS("peek", path_peek,
                  "peek($self, /, key, default=None)\n--\n\n"
                  "As `get`, but leaves no trace: no count, no access, nothing is taken away. "
                  "Lock-free."),
    {"_find", path_find, METH_O, NULL},
    {"_peek_entry", path_peek_entry, METH_O, NULL},
    {"_valid", path_valid, METH_O, NULL},
    {"_drain", path_drain, METH_NOARGS, NULL},
    {"_counts", path_counts, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef path_getset[] = {
    {"_cleared", path_get_cleared, path_set_cleared, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef path_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ct_hit_path, weakrefs), READONLY, NULL},
    {"_table", T_OBJECT_EX, offsetof(ct_hit_path, table), READONLY, NULL},
    {"_timer", T_OBJECT_EX, offsetof(ct_hit_path, timer), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot path_slots[] = {
    {Py_tp_doc, (void *)"The lock-free reads of a cache over a table of entries."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, path_init},
    {Py_tp_methods, path_methods},
    {Py_tp_getset, path_getset},
    {Py_tp_members, path_members},
    {Py_tp_traverse, path_traverse},
    {Py_tp_clear, path_clear},
    {Py_tp_dealloc, path_dealloc},
    {Py_sq_contains, path_contains},
    {0, NULL},
};

static PyType_Spec path_spec = {
    .name = "concurrent_tables._core.HitPath",
    .basicsize = sizeof(ct_hit_path),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = path_slots,
};

int
ct_hit_path_type_init(PyObject *module, ct_state *st)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &path_spec, NULL);
    st->extra_types[CT_X_HIT_PATH] = type;
    return type == NULL ? -1 : PyModule_AddObjectRef(module, "HitPath", (PyObject *)type);
}
