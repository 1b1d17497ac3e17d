/* ShardedDict as a type: the dict API (split_api.h), each one-key operation on one shard. */
#include "sharded.h"
#include "split.h"

static PyObject *new_like(PyObject *self);
static Py_ssize_t sharded_length(PyObject *self);

static int
change_entry(ct_sharded *s, PyObject *key, Py_hash_t hash, ct_change *change)
{
    int status = ct_change_entry(ct_shard_of(s, hash), key, hash, change);
    ct_sharded_wrote(s);
    return status;
}

#define API_TYPE(st) ((st)->extra_types[CT_X_SHARDED])
#define API_STATE(self) (CT_SHARDED(self)->st)
#define API_USED(self) sharded_length(self)
#define API_GET(self, key, hash, value) ct_sharded_get(CT_SHARDED(self), key, hash, value)
#define API_HAS(self, key, hash) ct_sharded_has(CT_SHARDED(self), key, hash)
#define API_CHANGE(self, key, hash, change) change_entry(CT_SHARDED(self), key, hash, change)
#define API_FILL(self, mapping) CT_NOT_MET /* each key is atomic */
#define API_ONE_MOMENT(self) ct_sharded_snapshot(self)
#define API_NEW_LIKE(self) new_like(self)
#define API_NEW_FOR(cls) PyObject_CallNoArgs(cls)

#include "split_api.h"
#include "exclusive.h"
#include "watching.h"

/* -- whole table -------------------------------------------------------------------------------- */

static Py_ssize_t
sharded_length(PyObject *self)
{
    ct_sharded *s = CT_SHARDED(self);
    Py_ssize_t total = 0;
    for (Py_ssize_t i = 0; i < s->count; i++) {
        total += ct_used(s->shards[i]);
    }
    return total;
}

static PyObject *
sharded_shards(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(CT_SHARDED(self)->count);
}

/* As ct_await_counts and ct_await_overwrites, for every shard. */
static int
await_counts(ct_sharded *s)
{
    for (Py_ssize_t i = 0; i < s->count; i++) {
        if (ct_await_counts(s->shards[i]) < 0) {
            return -1;
        }
        ct_await_overwrites(s->shards[i]);
    }
    return 0;
}

static PyObject *
sharded_version(PyObject *self, void *Py_UNUSED(closure))
{
    ct_sharded *s = CT_SHARDED(self);
    return await_counts(s) < 0 ? NULL : PyLong_FromUnsignedLongLong(ct_sharded_version(s));
}

static uint64_t
keys_version(ct_sharded *s)
{
    uint64_t sum = 0;
    for (Py_ssize_t i = 0; i < s->count; i++) {
        sum += ct_load_acquire(&s->shards[i]->keys_version);
    }
    return sum;
}

static PyObject *
sharded_keys_version(PyObject *self, void *Py_UNUSED(closure))
{
    ct_sharded *s = CT_SHARDED(self);
    return await_counts(s) < 0 ? NULL : PyLong_FromUnsignedLongLong(keys_version(s));
}

/* CT_DONE, CT_NOT_MET when all shards were empty at one moment, CT_FAILED. */
static int
pop_any(ct_sharded *s, PyObject **key, PyObject **value)
{
    for (;;) {
        uint64_t version = keys_version(s);
        for (Py_ssize_t i = 0; i < s->count; i++) {
            if (ct_used(s->shards[i]) != 0) {
                int status = ct_dict_popitem(s->shards[i], key, value);
                if (status != CT_NOT_MET) {
                    return status;
                }
            }
        }
        if (keys_version(s) == version && !ct_sharded_is_covered(s)) {
            return CT_NOT_MET;
        }
    }
}

static int
sharded_pop(PyObject *self, PyObject **key, PyObject **value)
{
    int status = pop_any(CT_SHARDED(self), key, value);
    ct_sharded_wrote(CT_SHARDED(self));
    return status;
}

static PyObject *
sharded_popitem(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ct_popitem_of(self, sharded_pop);
}

static PyObject *
sharded_clear(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (ct_sharded_clear(CT_SHARDED(self)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
sharded_snapshot(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ct_sharded_snapshot(self);
}

static PyObject *
sharded_update_many(PyObject *self, PyObject *other)
{
    PyObject *changes = api_changes(self, other);
    PyObject *removed = changes == NULL ? NULL : ct_sharded_batch(CT_SHARDED(self), changes, 1);
    Py_XDECREF(changes);
    if (removed == NULL) {
        return NULL;
    }
    Py_DECREF(removed);
    Py_RETURN_NONE;
}

static PyObject *
sharded_pop_many(PyObject *self, PyObject *keys)
{
    ct_sharded *s = CT_SHARDED(self);
    PyObject *wanted =
        ct_call_method((PyObject *)&PyDict_Type, "fromkeys", keys, s->st->missing);
    PyObject *removed = wanted == NULL ? NULL : ct_sharded_batch(s, wanted, 0);
    Py_XDECREF(wanted);
    return removed;
}

static int
get_for_guard(PyObject *self, PyObject *key, Py_hash_t hash, PyObject **value)
{
    return ct_sharded_get(CT_SHARDED(self), key, hash, value);
}

/* Of the shards that have these hashes. */
static uint64_t
keys_version_for(PyObject *self, const Py_hash_t *hashes, Py_ssize_t count)
{
    uint64_t sum = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        sum += ct_load_acquire(&ct_shard_of(CT_SHARDED(self), hashes[i])->keys_version);
    }
    return sum;
}

static PyObject *
sharded_guard(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    static const ct_guard_source source = {get_for_guard, keys_version_for, ct_sharded_get_many};
    return ct_plain_guard_new(API_STATE(self), self, &source, args, nargs);
}

/* -- iteration ---------------------------------------------------------------------------------- */

static PyObject *
iterate(PyObject *self, int what)
{
    ct_sharded *s = CT_SHARDED(self);
    PyObject *parts = PyTuple_New(s->count);
    for (Py_ssize_t i = 0; parts != NULL && i < s->count; i++) {
        PyObject *part = ct_iter_new(s->st, (PyObject *)s->shards[i], what, 0);
        if (part == NULL) {
            Py_CLEAR(parts);
            break;
        }
        PyTuple_SET_ITEM(parts, i, part);
    }
    return ct_chain_new(s->st, parts);
}

static PyObject *
sharded_iter(PyObject *self)
{
    return iterate(self, CT_ITER_KEYS);
}

static PyObject *
sharded_iterator(PyObject *self, PyObject *args)
{
    int what, backwards;
    if (!PyArg_ParseTuple(args, "ii", &what, &backwards)) {
        return NULL;
    }
    if (backwards) {
        PyObject *name = ct_getattr((PyObject *)Py_TYPE(self), "__name__");
        if (name != NULL) {
            PyErr_Format(PyExc_TypeError, "%U is not ordered and cannot be reversed", name);
            Py_DECREF(name);
        }
        return NULL;
    }
    return iterate(self, what);
}

/* -- watching, holding -------------------------------------------------------------------------- */

/* Gates held: the state of all shards, made when the first watcher comes; borrowed. */
static PyObject *
watched_state(ct_sharded *s)
{
    if (s->watch == NULL) {
        PyObject *watch = ct_watch_state_new(s->st, ct_sharded_version(s));
        for (Py_ssize_t i = 0; watch != NULL && i < s->count; i++) {
            if (ct_watch_install(s->shards[i], watch) < 0) {
                Py_CLEAR(watch); /* the shards that have it log for nobody */
            }
        }
        s->watch = watch;
    }
    return s->watch;
}

static int
change_watchers(ct_sharded *s, const char *method, PyObject *listener, PyObject *wanted)
{
    if (ct_sharded_hold(s) < 0) {
        return -1;
    }
    PyObject *watch = wanted == NULL ? s->watch : watched_state(s);
    int status = wanted != NULL && watch == NULL ? -1 : 0;
    if (status == 0 && wanted != NULL) {
        PyObject *since = PyLong_FromUnsignedLongLong(ct_sharded_version(s));
        status = since == NULL ? -1 : PyObject_SetAttrString(wanted, "since", since);
        Py_XDECREF(since);
    }
    if (status == 0 && watch != NULL) {
        PyObject *result = ct_call_method(watch, method, listener);
        status = result == NULL ? -1 : 0;
        Py_XDECREF(result);
    }
    ct_sharded_release(s);
    return status;
}

static PyObject *
attach(PyObject *self, PyObject *listener, PyObject *wanted)
{
    if (listener != NULL) {
        if (change_watchers(CT_SHARDED(self), "attach", listener, wanted) < 0) {
            Py_CLEAR(listener);
        }
        Py_DECREF(wanted);
    }
    return listener;
}

static PyObject *
sharded_watch(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *wanted, *listener = ct_watch_listener(API_STATE(self), self, args, kwargs, &wanted);
    return attach(self, listener, wanted);
}

static PyObject *
sharded_subscribe(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *wanted, *listener = ct_subscription(API_STATE(self), self, args, kwargs, &wanted);
    return attach(self, listener, wanted);
}

static PyObject *
sharded_remove_watch(PyObject *self, PyObject *listener)
{
    if (change_watchers(CT_SHARDED(self), "detach", listener, NULL) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
sharded_set_watch_bit(PyObject *self, PyObject *args)
{
    ct_sharded *s = CT_SHARDED(self);
    unsigned long bit;
    int on;
    if (!PyArg_ParseTuple(args, "kp", &bit, &on) || ct_sharded_hold(s) < 0) {
        return NULL;
    }
    PyObject *watch = watched_state(s);
    int status = watch == NULL ? -1 : ct_watch_set_bit(watch, bit, on);
    ct_sharded_release(s);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
sharded_watch_get(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *watch = CT_SHARDED(self)->watch; /* once there it stays */
    return Py_NewRef(watch != NULL ? watch : Py_None);
}

static PyObject *
sharded_exclusive_parts(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_sharded *s = CT_SHARDED(self);
    PyObject *parts = PyTuple_New(s->count);
    for (Py_ssize_t i = 0; parts != NULL && i < s->count; i++) {
        PyTuple_SET_ITEM(parts, i, Py_NewRef((PyObject *)s->shards[i]));
    }
    return parts;
}

/* -- the layout --------------------------------------------------------------------------------- */

enum { USED, FILLED, CAPACITY, NBYTES, INDEX_WIDTH, SHARED, LAYOUT_FIELDS };

static int
add_up(PyObject *parts, Py_ssize_t *sums)
{
    static const char *const names[] = {"used",   "filled",      "capacity",
                                        "nbytes", "index_width", "shared"};
    memset(sums, 0, LAYOUT_FIELDS * sizeof(*sums));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(parts); i++) {
        for (int field = 0; field < LAYOUT_FIELDS; field++) {
            PyObject *number = ct_getattr(PyTuple_GET_ITEM(parts, i), names[field]);
            Py_ssize_t n = number == NULL ? -1 : PyLong_AsSsize_t(number);
            Py_XDECREF(number);
            if (n < 0) {
                return -1;
            }
            sums[field] = field < INDEX_WIDTH ? sums[field] + n : n > sums[field] ? n : sums[field];
        }
    }
    return 0;
}

static PyObject *
layout_held(ct_sharded *s)
{
    PyObject *parts = PyTuple_New(s->count), *nothing = PyTuple_New(0), *layout = NULL;
    Py_ssize_t sums[LAYOUT_FIELDS];
    for (Py_ssize_t i = 0; parts != NULL && i < s->count; i++) {
        PyObject *part = ct_layout_of_table((PyObject *)s->shards[i], NULL);
        if (part == NULL) {
            Py_CLEAR(parts);
            break;
        }
        PyTuple_SET_ITEM(parts, i, part);
    }
    int made = parts != NULL && nothing != NULL;
    Py_ssize_t watchers = !made || s->watch == NULL ? 0 : PyObject_Size(s->watch);
    if (made && watchers >= 0 && add_up(parts, sums) == 0) {
        PyObject *arguments = Py_BuildValue(
            "{s:s,s:i,s:n,s:O,s:O,s:O,s:O,s:O,s:n,s:n,s:n,s:n,s:O,s:O,s:K,s:K,s:n,s:O,s:O}", "kind",
            "sharded", "log2_size", 64 - s->shift, "index_width", sums[INDEX_WIDTH], "index", nothing,
            "hashes", Py_None, "keys", nothing, "values", nothing, "order", nothing, "used",
            sums[USED], "filled", sums[FILLED], "capacity", sums[CAPACITY], "nbytes", sums[NBYTES],
            "null", s->st->missing, "dead", s->st->module, "version",
            (unsigned long long)ct_sharded_version(s), "keys_version",
            (unsigned long long)keys_version(s), "watchers", watchers, "shared",
            sums[SHARED] ? Py_True : Py_False, "parts", parts);
        layout = arguments == NULL ? NULL : PyObject_Call(s->st->layout_type, nothing, arguments);
        Py_XDECREF(arguments);
    }
    Py_XDECREF(parts);
    Py_XDECREF(nothing);
    return layout;
}

static PyObject *
sharded_layout(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (ct_sharded_hold(CT_SHARDED(self)) < 0) {
        return NULL;
    }
    PyObject *layout = layout_held(CT_SHARDED(self));
    ct_sharded_release(CT_SHARDED(self));
    return layout;
}

/* -- copying ------------------------------------------------------------------------------------ */

static PyObject *
sharded_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *function = API_STATE(self)->extra_objects[CT_X_NEW_SHARDED];
    return api_reduce_with(self, Py_NewRef(function),
                           Py_BuildValue("(On)", Py_TYPE(self), CT_SHARDED(self)->count));
}

static PyObject *sharded_make(PyTypeObject *type, ct_state *st, Py_ssize_t count);

static PyObject *
new_like(PyObject *self)
{
    ct_sharded *s = CT_SHARDED(self);
    return sharded_make(API_TYPE(s->st), s->st, s->count);
}

static PyObject *
sharded_sizeof(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_sharded *s = CT_SHARDED(self);
    Py_ssize_t size = Py_TYPE(self)->tp_basicsize + 2 * s->count * (Py_ssize_t)sizeof(ct_table *);
    for (Py_ssize_t i = 0; i < s->count; i++) {
        PyObject *part = ct_call_method((PyObject *)s->shards[i], "__sizeof__");
        Py_ssize_t n = part == NULL ? -1 : PyLong_AsSsize_t(part);
        Py_XDECREF(part);
        if (n < 0) {
            return NULL;
        }
        size += n;
    }
    return PyLong_FromSsize_t(size);
}

/* -- life --------------------------------------------------------------------------------------- */

static int
by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)*(ct_table *const *)a, y = (uintptr_t)*(ct_table *const *)b;
    return (x > y) - (x < y);
}

static PyObject *
sharded_make(PyTypeObject *type, ct_state *st, Py_ssize_t count)
{
    ct_sharded *s = (ct_sharded *)type->tp_alloc(type, 0);
    ct_table **shards = PyMem_Calloc((size_t)count * 2, sizeof(ct_table *));
    if (s == NULL || shards == NULL) {
        Py_XDECREF(s);
        PyMem_Free(shards);
        return PyErr_NoMemory();
    }
    s->st = st;
    s->shift = 64;
    while ((Py_ssize_t)1 << (64 - s->shift) < count) {
        s->shift--;
    }
    s->shards = shards;
    for (; s->count < count; s->count++) {
        shards[s->count] = CT_TABLE(ct_dict_new(st));
        if (shards[s->count] == NULL) {
            Py_DECREF(s);
            return NULL;
        }
        shards[s->count]->parent = (PyObject *)s;
    }
    memcpy(shards + count, shards, (size_t)count * sizeof(ct_table *));
    qsort(shards + count, (size_t)count, sizeof(ct_table *), by_address);
    if (ct_debug_register(st, (PyObject *)s) < 0) {
        Py_CLEAR(s);
    }
    return (PyObject *)s;
}

/* The keyword `shards`, borrowed, or NULL (perhaps with MemoryError). */
static PyObject *
shards_keyword(PyObject *kwargs)
{
    PyObject *name = kwargs == NULL ? NULL : PyUnicode_InternFromString("shards");
    PyObject *given = name == NULL ? NULL : PyDict_GetItemWithError(kwargs, name);
    Py_XDECREF(name);
    return given;
}

/* The keyword `shards`, checked; -1 with an error. */
static Py_ssize_t
wanted_shards(PyTypeObject *type, PyObject *kwargs)
{
    PyObject *given = shards_keyword(kwargs);
    PyObject *name = given == NULL ? NULL : ct_getattr((PyObject *)type, "__name__");
    Py_ssize_t count = CT_SHARDS_DEFAULT;
    if (name == NULL) {
        return given == NULL && !PyErr_Occurred() ? count : -1;
    }
    if (!PyLong_Check(given) || PyBool_Check(given)) {
        PyErr_Format(PyExc_TypeError, "%U: shards must be an int, not %s", name,
                     Py_TYPE(given)->tp_name);
        count = -1;
    }
    else {
        count = PyLong_AsSsize_t(given);
        PyErr_Clear();
        if (count < 1 || count > CT_SHARDS_MAX || (count & (count - 1)) != 0) {
            PyErr_Format(PyExc_ValueError, "%U: shards must be a power of two from 1 to %d, not %S",
                         name, CT_SHARDS_MAX, given);
            count = -1;
        }
    }
    Py_DECREF(name);
    return count;
}

static PyObject *
sharded_tp_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *kwargs)
{
    ct_state *st = ct_state_of_type(type);
    Py_ssize_t count = st == NULL ? -1 : wanted_shards(type, kwargs);
    return count < 0 ? NULL : sharded_make(type, st, count);
}

static int
sharded_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t given = PyTuple_GET_SIZE(args);
    PyObject *pairs = NULL;
    if (!ct_check_args("ShardedDict", given, 0, 1)) {
        return -1;
    }
    if (shards_keyword(kwargs) != NULL) {
        pairs = PyDict_Copy(kwargs);
        if (pairs == NULL || PyDict_DelItemString(pairs, "shards") < 0) {
            Py_XDECREF(pairs);
            return -1;
        }
    }
    if (PyErr_Occurred()) {
        return -1;
    }
    int status = api_fill_from(self, given ? PyTuple_GET_ITEM(args, 0) : NULL, pairs ? pairs : kwargs);
    Py_XDECREF(pairs);
    return status;
}

static int
sharded_traverse(PyObject *self, visitproc visit, void *arg)
{
    ct_sharded *s = CT_SHARDED(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(s->watch);
    for (Py_ssize_t i = 0; i < s->count; i++) {
        Py_VISIT((PyObject *)s->shards[i]);
    }
    Py_VISIT(ct_load_acquire(&s->snapshot));
    Py_VISIT(ct_load_acquire(&s->overlay));
    return 0;
}

/* The shards are collected themselves: their own tp_clear lets the contents go. */
static int
sharded_clear_refs(PyObject *self)
{
    ct_sharded *s = CT_SHARDED(self);
    PyObject *snapshot = ct_exchange_acq_rel(&s->snapshot, NULL);
    if (snapshot != NULL) {
        ct_drop(s->st, snapshot, 1);
    }
    return 0;
}

static void
sharded_finalize(PyObject *self)
{
    ct_sharded *s = CT_SHARDED(self);
    if (s->watch != NULL && s->count != 0) {
        ct_watch_close_as(s->shards[0], self, ct_sharded_version(s));
    }
}

static void
sharded_dealloc(PyObject *self)
{
    ct_sharded *s = CT_SHARDED(self);
    PyTypeObject *type = Py_TYPE(self);
    if (PyObject_CallFinalizerFromDealloc(self) < 0) {
        return; /* resurrected */
    }
    PyObject_GC_UnTrack(self);
    if (s->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    Py_TRASHCAN_BEGIN(self, sharded_dealloc) /* a chain of tables may be longer than the stack */
    for (Py_ssize_t i = 0; i < s->count; i++) { /* an iterator or gate may still have one */
        ct_table *t = s->shards[i];
        t->log = NULL;
        Py_CLEAR(t->watch);
        t->parent = NULL;
        Py_DECREF(t);
    }
    PyMem_Free(s->shards);
    Py_XDECREF(ct_exchange_acq_rel(&s->snapshot, NULL));
    Py_XDECREF(ct_exchange_acq_rel(&s->overlay, NULL));
    Py_CLEAR(s->watch);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* -- the type ----------------------------------------------------------------------------------- */

static PyMethodDef sharded_methods[] = {
    API_METHODS,
    {"popitem", sharded_popitem, METH_NOARGS,
     "Remove and return some (key, value); KeyError when empty. Atomic."},
    {"clear", sharded_clear, METH_NOARGS, "Remove everything, in one step. Atomic."},
    {"snapshot", sharded_snapshot, METH_NOARGS,
     "A FrozenDict of one moment over all shards; the same again until a write. Atomic."},
    {"get_many", ct_sharded_get_many, METH_O,
     "get_many($self, keys, /)\n--\n\n"
     "A dict of those keys that are present, all values of one moment. Atomic."},
    {"update_many", sharded_update_many, METH_O,
     "update_many($self, other, /)\n--\n\n"
     "Store every pair of a mapping or iterable of pairs in one atomic step.\n\n"
     "Readers see all of it or nothing. Errors: those of dict.update; the table is then unchanged.\n"
     "Thread-safety: atomic."},
    {"pop_many", sharded_pop_many, METH_O,
     "pop_many($self, keys, /)\n--\n\n"
     "Remove those keys that are present in one atomic step; returns them with their values."},
    {"guard", API_FASTCALL(sharded_guard), METH_FASTCALL,
     "guard($self, /, *keys)\n--\n\n"
     "A cached lookup of keys: see Guard. TypeError without keys or for unhashable ones."},
    {"watch", API_FASTCALL(sharded_watch), METH_VARARGS | METH_KEYWORDS,
     "watch($self, callback, *, kinds=..., keys=None)\n--\n\n"
     "Call callback(event) after every change; see ConcurrentDict.watch. Atomic."},
    {"subscribe", API_FASTCALL(sharded_subscribe), METH_VARARGS | METH_KEYWORDS,
     "subscribe($self, maxlen=1024, *, kinds=..., keys=None)\n--\n\n"
     "A Subscription to the changes; see ConcurrentDict.subscribe. Atomic."},
    {"_remove_watch", sharded_remove_watch, METH_O, NULL},
    {"_set_watch_bit", sharded_set_watch_bit, METH_VARARGS, NULL},
    {"_iterator", sharded_iterator, METH_VARARGS, NULL},
    {"_layout", sharded_layout, METH_NOARGS, NULL},
    {"_exclusive_parts", sharded_exclusive_parts, METH_NOARGS, NULL},
    {"__reduce__", sharded_reduce, METH_NOARGS, NULL},
    {"__sizeof__", sharded_sizeof, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef sharded_getset[] = {
    {"shards", sharded_shards, NULL, "The number of shards.", NULL},
    {"version", sharded_version, NULL,
     "The sum of the shards' versions: rises with every mutation. Lock-free.", NULL},
    {"keys_version", sharded_keys_version, NULL,
     "As version, for changes of the set of keys only. Lock-free.", NULL},
    {"_watch", sharded_watch_get, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef sharded_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ct_sharded, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(sharded_doc,
"A mapping split over `shards` tables, so that many threads can write at once.\n\n"
"Parameters: as for `dict`, and `shards`, a power of two from 1 to 1024 (so a key named\n"
"\"shards\" cannot be given as a keyword argument). Not ordered; no `reversed`.\n"
"Errors: as for `ConcurrentDict`; ValueError for a bad number of shards.\n"
"Thread-safety: one-key operations, `snapshot`, `clear` and the `_many` operations are atomic;\n"
"`len` is exact at rest and otherwise off by at most the calls in progress.\n\n"
">>> from concurrent_tables import ShardedDict\n"
">>> hits = ShardedDict(shards=4)\n"
">>> hits.increment('home')\n"
"1\n"
">>> hits == {'home': 1}\n"
"True\n");

static PyType_Slot sharded_slots[] = {
    {Py_tp_doc, (void *)sharded_doc},
    {Py_tp_new, sharded_tp_new},
    {Py_tp_init, sharded_init},
    {Py_tp_dealloc, sharded_dealloc},
    {Py_tp_finalize, sharded_finalize},
    {Py_tp_traverse, sharded_traverse},
    {Py_tp_clear, sharded_clear_refs},
    {Py_tp_methods, sharded_methods},
    {Py_tp_getset, sharded_getset},
    {Py_tp_members, sharded_members},
    {Py_tp_repr, api_repr},
    {Py_tp_hash, PyObject_HashNotImplemented},
    {Py_tp_richcompare, api_richcompare},
    {Py_tp_iter, sharded_iter},
    {Py_mp_subscript, api_getitem},
    {Py_mp_ass_subscript, api_assign},
    {Py_mp_length, sharded_length},
    {Py_sq_contains, api_contains},
    {Py_nb_or, api_or},
    {Py_nb_inplace_or, api_inplace_or},
    {0, NULL},
};

static PyType_Spec sharded_spec = {
    .name = "concurrent_tables.ShardedDict",
    .basicsize = sizeof(ct_sharded),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_MAPPING,
    .slots = sharded_slots,
};

int
ct_sharded_type_init(PyObject *module, ct_state *st)
{
    PyObject *function = ct_getattr(st->copies, "new_sharded");
    st->extra_objects[CT_X_NEW_SHARDED] = function;
    if (function == NULL) {
        return -1;
    }
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &sharded_spec, NULL);
    st->extra_types[CT_X_SHARDED] = type;
    /* Else `reversed` would fall back to indexing from 0. */
    if (type == NULL || PyObject_SetAttrString((PyObject *)type, "__reversed__", Py_None) < 0) {
        return -1;
    }
    return ct_add_mapping(module, type, "ShardedDict");
}
