/* `HitPath`: the lock-free reads of a cache over its `CacheTable`.
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

enum { VALID, STALE, ASK /* the timer */ };
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

double
ct_cache_clock(void)
{
#if defined(__linux__)
    return read_clock(CLOCK_MONOTONIC);
#else
    return (double)NAN;
#endif
}

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
    if (isnan(now)) {
        PyErr_SetString(PyExc_ValueError, "the timer of a cache must not return nan");
    }
    return now == -1.0 && PyErr_Occurred() ? (double)NAN : now;
}

/* -- validity ----------------------------------------------------------------------------------- */

/* Pinned. */
CT_NOINLINE static int
judge_time(ct_hit_path *path, ct_node *node, double deadline, int touch)
{
    ct_entry_more *more = ct_node_more(node);
    double idle = more == NULL ? (double)INFINITY : ct_load_relaxed(&more->idle);
    if (!path->reads_clock) {
        return ASK;
    }
#if defined(__linux__)
    if (idle == (double)INFINITY && read_clock(CLOCK_MONOTONIC_COARSE) + LAG_SECONDS < deadline) {
        return VALID;
    }
#endif
    double now = ct_cache_clock();
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

/* The cells stay: pinned, or with a reference. */
CT_INLINE int
fell(PyObject *cells, int64_t epoch)
{
    Py_ssize_t count = cells == NULL ? 0 : PyTuple_GET_SIZE(cells);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (ct_load_acquire(&((ct_cell *)PyTuple_GET_ITEM(cells, i))->fallen) > epoch) {
            return 1;
        }
    }
    return 0;
}

/* Pinned. */
CT_INLINE int
judge(ct_hit_path *path, ct_node *node, int touch)
{
    int64_t epoch = ct_node_epoch(node);
    double deadline = ct_load_relaxed(&node->deadline);
    uintptr_t extra = ct_load_acquire(&node->extra);
    ct_entry_more *more = ct_more_of(extra);
    if (CT_UNLIKELY(epoch < ct_load_acquire(&path->cleared))) {
        return STALE;
    }
    if (extra != 0 && fell(ct_cells_of(extra), epoch)) {
        return STALE;
    }
    if (CT_LIKELY(deadline == (double)INFINITY)
        && (more == NULL || ct_load_relaxed(&more->idle) == (double)INFINITY)) {
        return VALID;
    }
    return judge_time(path, node, deadline, touch);
}

static int
view_fell(ct_hit_path *path, const ct_view *view)
{
    return view->epoch < ct_load_acquire(&path->cleared) || fell(view->cells, view->epoch);
}

/* With references, unpinned: VALID, STALE, or -1 with an error. */
static int
judge_view(ct_hit_path *path, const ct_view *view, double *now)
{
    if (view_fell(path, view)) {
        return STALE;
    }
    if (view->deadline == (double)INFINITY && view->idle == (double)INFINITY) {
        return VALID;
    }
    *now = path->reads_clock ? ct_cache_clock() : ask_timer(path);
    if (isnan(*now)) {
        return -1;
    }
    int over = *now >= view->deadline
               || (view->idle != (double)INFINITY && *now - view->touched >= view->idle);
    return over || view_fell(path, view) ? STALE : VALID; /* the timer may have taken its time */
}

int
ct_cache_why(ct_hit_path *path, const ct_view *view, double now)
{
    if (view_fell(path, view)) {
        return CT_LEFT_INVALIDATED;
    }
    int over = now >= view->deadline
               || (view->idle != (double)INFINITY && now - view->touched >= view->idle);
    return over ? CT_LEFT_EXPIRED : CT_LEFT_REPLACED;
}

/* -- lookup ------------------------------------------------------------------------------------- */

/* How a lookup ended: with a new reference to what was wanted, or without. */
typedef struct {
    PyObject *found; /* the value, or the entry; NULL: miss, stale or error */
    PyObject *stale; /* an entry that fell */
    int is_entry;    /* `found` is the entry */
    int full;        /* the thread's records are */
    int failed;
} ct_outcome;

/* Count a hit and record it. */
CT_INLINE int
note_hit(ct_hit_path *path, ct_cache_stripe *stripe, uint32_t number)
{
    ct_add_relaxed(&stripe->hits, 1);
    return path->records && ct_note_access(stripe, number);
}

CT_INLINE void
note_miss(ct_cache_stripe *stripe)
{
    ct_add_relaxed(&stripe->misses, 1);
    stripe->skip = 0;
}

CT_INLINE int
wants_entry(double refresh_at, int want)
{
    return want == WANT_ENTRY || (want == WANT_FRESH && refresh_at != (double)INFINITY);
}

/* An access is also a touch, for entries that may be idle. */
static void
touch_node(ct_store *store, const ct_view *view, double now)
{
    ct_record *self = ct_self();
    ct_pin(self);
    ct_node *node = ct_node_at(store, view->number);
    ct_entry_more *more = ct_node_more(node);
    if (ct_store_is_live(store, view->number, view->epoch) && more != NULL) {
        ct_store_relaxed(&more->touched, now);
    }
    ct_unpin(self);
}

/* With a view, which this takes over: what needs user code, or an entry for Python. */
CT_NOINLINE static void
settle_view(ct_hit_path *path, ct_cache_stripe *stripe, ct_view *view, int want, ct_outcome *out)
{
    double now = (double)NAN;
    int verdict = judge_view(path, view, &now);
    if (verdict < 0) {
        out->failed = 1;
        ct_view_release(view);
        return;
    }
    if (verdict == STALE) {
        if (stripe == NULL) {
            ct_view_release(view);
            return;
        }
        note_miss(stripe);
        out->stale = ct_entry_of(path->table, view);
        out->failed = out->stale == NULL;
        return;
    }
    if (stripe != NULL) {
        out->full = note_hit(path, stripe, view->number);
        if (view->idle != (double)INFINITY) {
            touch_node(path->table, view, now);
            view->touched = now;
        }
    }
    out->is_entry = wants_entry(view->refresh_at, want);
    if (out->is_entry) {
        out->found = ct_entry_of(path->table, view);
        out->failed = out->found == NULL;
        return;
    }
    out->found = Py_NewRef(view->value);
    ct_view_release(view);
}

/* A key whose comparison runs user code. */
CT_NOINLINE static void
look_up_slowly(ct_hit_path *path, ct_cache_stripe *stripe, PyObject *key, int want, ct_outcome *out)
{
    ct_view view;
    int there = ct_store_look(path->table, key, &view);
    if (there < 0) {
        out->failed = 1;
    }
    else if (there) {
        settle_view(path, stripe, &view, want, out);
    }
    else if (stripe != NULL) {
        note_miss(stripe);
    }
}

/* The entry that was found is there; pinned, and unpinned after it. */
CT_INLINE void
take(ct_hit_path *path, ct_cache_stripe *stripe, ct_record *self, uint32_t number, int want,
     ct_outcome *out)
{
    ct_store *store = path->table;
    ct_node *node = ct_node_at(store, number);
    int verdict = judge(path, node, stripe != NULL);
    ct_entry_more *more = ct_node_more(node);
    double refresh_at = more == NULL ? (double)INFINITY : ct_load_relaxed(&more->refresh_at);
    if (CT_LIKELY(verdict == VALID && !wants_entry(refresh_at, want))) {
        CT_POINT(value_keep);
        out->found = Py_NewRef(node->value);
        ct_unpin(self);
        if (stripe != NULL) {
            out->full = note_hit(path, stripe, number);
        }
        return;
    }
    ct_view view;
    ct_view_copy(store, number, &view);
    ct_unpin(self);
    settle_view(path, stripe, &view, want, out);
}

/* `stripe` is NULL for a look that leaves no trace. */
CT_INLINE void
look_up(ct_hit_path *path, ct_cache_stripe *stripe, ct_record *self, PyObject *key, Py_hash_t hash,
        int want, ct_outcome *out)
{
    ct_store *store = path->table;
    size_t slot;
    if (CT_UNLIKELY(ct_enter(&store->base) == NULL)) {
        out->failed = 1;
        return;
    }
    uint32_t number = ct_store_probe(store, key, hash, NULL, &slot);
    if (CT_LIKELY(number < CT_UNSURE)) {
        take(path, stripe, self, number, want, out);
        return;
    }
    ct_unpin(self);
    if (number == CT_UNSURE) {
        look_up_slowly(path, stripe, key, want, out);
    }
    else if (stripe != NULL) {
        note_miss(stripe);
    }
}

/* What a lookup left to do; -1 with an error. */
CT_NOINLINE static int
settle(ct_hit_path *path, ct_cache_stripe *stripe, ct_outcome *out)
{
    if (out->failed) {
        return -1;
    }
    if (out->full) {
        ct_store_drain(path->table);
        stripe->skip = ct_cache_calm(path->table);
    }
    if (out->stale != NULL) {
        PyObject *done = PyObject_CallMethodOneArg((PyObject *)path, path->st->str_on_stale, out->stale);
        Py_DECREF(out->stale);
        if (done == NULL) {
            return -1;
        }
        Py_DECREF(done);
    }
    return 0;
}

static int
is_ready(ct_hit_path *path)
{
    if (CT_UNLIKELY(path->table == NULL)) {
        PyErr_Format(PyExc_RuntimeError, "%s.__init__ was not called", ct_type_name((PyObject *)path));
        return 0;
    }
    return 1;
}

/* Fills in `out`; -1 with an error. */
CT_INLINE int
find_into(ct_hit_path *path, PyObject *key, int want, int trace, ct_outcome *out)
{
    ct_cache_stripe *stripe = NULL;
    if (CT_UNLIKELY(!is_ready(path))) {
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
        stripe = ct_stripe_of(path->table, self);
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

CT_INLINE int
how_found(const ct_outcome *out)
{
    if (CT_LIKELY(out->found != NULL)) {
        return out->is_entry ? CT_FOUND_ENTRY : CT_FOUND_VALUE;
    }
    return CT_FOUND_NOTHING;
}

int
ct_cache_find_fresh(ct_hit_path *path, PyObject *key, PyObject **found)
{
    ct_outcome out = {0};
    if (CT_UNLIKELY(find_into(path, key, WANT_FRESH, 1, &out) < 0)) {
        return CT_FOUND_ERROR;
    }
    *found = out.found;
    return how_found(&out);
}

CT_INLINE int
is_call(PyObject *candidate, const void *wanted)
{
    return ct_call_key_is(candidate, wanted);
}

int
ct_cache_find_call(ct_hit_path *path, const ct_call_key *key, PyObject **found)
{
    ct_outcome out = {0};
    ct_store *store = path->table;
    ct_record *self = ct_self();
    if (CT_UNLIKELY(store == NULL || self == NULL)) {
        return CT_FOUND_UNSURE;
    }
    ct_cache_stripe *stripe = ct_stripe_find(store, self->number);
    if (CT_UNLIKELY(stripe == NULL)) {
        return CT_FOUND_UNSURE; /* its first look-up makes it */
    }
    ct_enter(&store->base); /* cannot fail: there is a record */
    size_t slot;
    uint32_t number = ct_store_probe_for(store, key->hash, is_call, key, &slot);
    if (CT_UNLIKELY(number >= CT_UNSURE)) {
        ct_unpin(self);
        if (number == CT_UNSURE) {
            return CT_FOUND_UNSURE;
        }
        note_miss(stripe);
        return CT_FOUND_NOTHING;
    }
    take(path, stripe, self, number, WANT_FRESH, &out);
    if (CT_UNLIKELY(out.failed || out.full || out.stale != NULL) && settle(path, stripe, &out) < 0) {
        return CT_FOUND_ERROR;
    }
    *found = out.found;
    return how_found(&out);
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

/* Whether an entry would be served: as it is now if it is in the table, else as it was. */
static PyObject *
path_valid(PyObject *self, PyObject *entry)
{
    if (!is_ready(PATH(self))) {
        return NULL;
    }
    if (!Py_IS_TYPE(entry, PATH(self)->st->extra_types[CT_X_ENTRY])) {
        PyErr_Format(PyExc_TypeError, "_valid() takes an Entry, not %s", ct_type_name(entry));
        return NULL;
    }
    ct_view view;
    double now;
    if (ct_entry_now(CT_ENTRY(entry), &view) < 0) {
        return NULL;
    }
    int verdict = judge_view(PATH(self), &view, &now);
    ct_view_release(&view);
    return verdict < 0 ? NULL : PyBool_FromLong(verdict == VALID);
}

static PyObject *
path_counts(PyObject *self, PyObject *Py_UNUSED(unused))
{
    int64_t hits, misses;
    if (!is_ready(PATH(self))) {
        return NULL;
    }
    ct_cache_counts(PATH(self)->table, &hits, &misses);
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
    PyObject *monotonic = module == NULL ? NULL : ct_getattr(module, "monotonic");
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
    if (!Py_IS_TYPE(table, path->st->extra_types[CT_X_CACHE_TABLE])) {
        PyErr_Format(PyExc_TypeError, "table must be a CacheTable, not %s", ct_type_name(table));
        return -1;
    }
    path->reads_clock = is_real_clock(timer);
    if (path->reads_clock < 0) {
        return -1;
    }
    path->records = records;
    path->timer = Py_NewRef(timer);
    path->ttl = (double)INFINITY;
    ct_store_relaxed(&path->forks, path->st->forks);
    path->table = CT_STORE(Py_NewRef(table));
    path->table->named = self;
    return 0;
}

static int
path_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(PATH(self)->table);
    Py_VISIT(PATH(self)->timer);
    Py_VISIT(PATH(self)->epochs);
    Py_VISIT(PATH(self)->flights);
    return 0;
}

static int
path_clear(PyObject *self)
{
    if (PATH(self)->table != NULL) {
        PATH(self)->table->named = NULL;
    }
    Py_CLEAR(PATH(self)->epochs); /* no writes from C any more */
    Py_CLEAR(PATH(self)->table); /* before what reads need: finalizers of values then meet is_ready() */
    Py_CLEAR(PATH(self)->flights);
    Py_CLEAR(PATH(self)->timer);
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
    PATH_KEYWORDS("get_or_load", ct_cache_get_or_load,
                  "get_or_load($self, /, key, loader, *, ttl=<unrepresentable>, tags=())\n--\n\n"
                  "The value of `key`, made by `loader(key)` when there is none.\n\n"
                  "However many threads and event loops ask, one loader runs at a time per key, with "
                  "nothing\nheld; the others wait for it. What it raises reaches them all, and the "
                  "next call loads\nagain. `loader` may return a `Loaded` to tell ttl, tags and "
                  "weight; returning MISSING\nstores nothing.\n\n"
                  "Parameters: `ttl` and `tags` as for `set`.\n"
                  "Errors: those of the loader; RecursiveComputeError when the loader asks for its own "
                  "key;\nDeadlockError when waiting would close a cycle of loaders; TimeoutError after "
                  "the cache's\n`hard_timeout`.\n"
                  "Thread-safety: a hit is lock-free; a miss waits for the loader only."),
    {"_find", path_find, METH_O, NULL},
    {"_peek_entry", path_peek_entry, METH_O, NULL},
    {"_valid", path_valid, METH_O, NULL},
    {"_arm_writes", (PyCFunction)(void (*)(void))ct_cache_arm, METH_FASTCALL, NULL},
    {"_put", (PyCFunction)(void (*)(void))ct_cache_put, METH_FASTCALL, NULL},
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
