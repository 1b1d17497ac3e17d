/* `CacheTable`: the table of a cache and its books as Python sees them.
 *
 * What cache/native.py calls where cache/maintenance.py has a ConcurrentDict, a policy and a wheel: the methods of
 * a mapping from keys to entries, each with the bookkeeping done when it returns. */
#include "cache.h"

#include <math.h>

/* A list of the entries that left, from `begin`; then they are dropped.  NULL with an error. */
static PyObject *
entries_of(ct_store *store, ct_leavers *leavers, size_t begin)
{
    PyObject *list = PyList_New(0);
    for (size_t i = begin; list != NULL && i < leavers->count; i++) {
        ct_view view = leavers->items[i];
        Py_INCREF(view.key);
        Py_INCREF(view.value);
        Py_XINCREF(view.cells);
        PyObject *entry = ct_entry_of(store, &view);
        if (entry == NULL || PyList_Append(list, entry) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(entry);
    }
    return list;
}

/* One that left goes into an entry that was made before the change. */
static PyObject *
into(PyObject *blank, ct_store *store, const ct_leavers *leavers, size_t which)
{
    const ct_view *view = &leavers->items[which];
    Py_INCREF(view->key);
    Py_INCREF(view->value);
    Py_XINCREF(view->cells);
    ct_entry_fill(blank, store, view);
    return blank;
}

/* As many blank entries, or less when there is no memory for more, and None then; NULL with an error.  No
 * list: without memory for its items, PyList_New of CPython 3.14 without the GIL frees memory twice. */
static PyObject *
blanks(ct_store *store, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple != NULL && i < count; i++) {
        PyObject *blank = ct_entry_blank(store);
        if (blank == NULL && i == 0) {
            Py_CLEAR(tuple);
        }
        else if (blank == NULL) {
            PyErr_Clear();
            blank = Py_NewRef(Py_None);
        }
        if (tuple != NULL) {
            PyTuple_SET_ITEM(tuple, i, blank);
        }
    }
    return tuple;
}

static int
is_entry(ct_store *store, PyObject *o, const char *method)
{
    if (Py_IS_TYPE(o, store->base.st->extra_types[CT_X_ENTRY])) {
        return 1;
    }
    PyErr_Format(PyExc_TypeError, "%s() takes an Entry, not %s", method, ct_type_name(o));
    return 0;
}

/* -- writing ------------------------------------------------------------------------------------ */

/* The leavers from `begin` on join those that were driven out by one write. */
static void
add_victims(ct_store *store, ct_leavers *leavers, size_t begin, PyObject **victims)
{
    if (!store->tells || leavers->count <= begin) {
        return;
    }
    PyObject *list = entries_of(store, leavers, begin);
    if (list != NULL && *victims == NULL) {
        *victims = list;
        return;
    }
    if (list == NULL || PyList_SetSlice(*victims, PY_SSIZE_T_MAX, PY_SSIZE_T_MAX, list) < 0) {
        PyErr_WriteUnraisable((PyObject *)store); /* the write is done; these go untold */
    }
    Py_XDECREF(list);
}

void
ct_store_evict_rest(ct_store *store, PyObject **victims)
{
    for (int more = 1; more;) {
        ct_leavers leavers;
        ct_leavers_init(&leavers);
        more = ct_store_evict(store, &leavers);
        if (victims != NULL) {
            add_victims(store, &leavers, 0, victims);
        }
        ct_leavers_drop(store, &leavers);
    }
}

/* Store `entry`; 1, 0 if the condition does not hold, -1 with an error.  `old` may be NULL. */
static int
put_entry(ct_store *store, PyObject *entry, ct_put *put, PyObject **old)
{
    ct_leavers leavers;
    PyObject *blank = NULL;
    int status = 0;
    ct_leavers_init(&leavers);
    if (CT_ENTRY(entry)->store != NULL) {
        PyErr_SetString(PyExc_ValueError, "this entry is or was in a table");
        return -1;
    }
    if (old != NULL && (blank = ct_entry_blank(store)) == NULL) {
        return -1;
    }
    if (ct_store_put(store, &CT_ENTRY(entry)->view, put, &leavers) < 0) {
        status = -1;
    }
    else if (put->done) {
        CT_ENTRY(entry)->view.number = put->placed;
        CT_ENTRY(entry)->store = (ct_store *)Py_NewRef((PyObject *)store);
        status = 1;
        add_victims(store, &leavers, put->had_old ? 1 : 0, &CT_ENTRY(entry)->victims);
        if (put->had_old && old != NULL) {
            *old = into(Py_NewRef(blank), store, &leavers, 0);
        }
    }
    Py_XDECREF(blank);
    ct_leavers_drop(store, &leavers);
    if (CT_UNLIKELY(put->over)) {
        ct_store_evict_rest(store, &CT_ENTRY(entry)->victims);
    }
    return status;
}

static PyObject *
table_swap(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *old = NULL;
    ct_put put = {.condition = CT_PUT_ANY};
    if (!ct_check_args("swap", nargs, 2, 2) || !is_entry(CT_STORE(self), args[1], "swap")
        || put_entry(CT_STORE(self), args[1], &put, &old) < 0) {
        return NULL;
    }
    return old != NULL ? old : Py_NewRef(CT_TABLE(self)->st->missing);
}

static PyObject *
table_compare_and_set(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    ct_put put = {.condition = CT_PUT_IF_ABSENT};
    if (!ct_check_args("compare_and_set", nargs, 3, 3)
        || !is_entry(CT_STORE(self), args[2], "compare_and_set")) {
        return NULL;
    }
    if (args[1] != CT_TABLE(self)->st->missing) {
        if (!is_entry(CT_STORE(self), args[1], "compare_and_set")) {
            return NULL;
        }
        if (CT_ENTRY(args[1])->store != CT_STORE(self)) {
            Py_RETURN_FALSE; /* its number says nothing here */
        }
        put.condition = CT_PUT_IF_SAME;
        put.number = CT_ENTRY(args[1])->view.number;
        put.epoch = CT_ENTRY(args[1])->view.epoch;
    }
    int status = put_entry(CT_STORE(self), args[2], &put, NULL);
    return status < 0 ? NULL : PyBool_FromLong(status);
}

/* Whether `entry` was taken out here, if it has ended at `now`; with inf in any case. */
static PyObject *
remove_entry(PyObject *self, PyObject *entry, double now, int cause, const char *method)
{
    ct_leavers leavers;
    if (!is_entry(CT_STORE(self), entry, method)) {
        return NULL;
    }
    const ct_entry *one = CT_ENTRY(entry);
    if (one->store != CT_STORE(self)) {
        Py_RETURN_FALSE;
    }
    ct_leavers_init(&leavers);
    int status =
        ct_store_remove(CT_STORE(self), one->view.number, one->view.epoch, now, cause, &leavers);
    ct_leavers_drop(CT_STORE(self), &leavers);
    return status < 0 ? NULL : PyBool_FromLong(status);
}

/* The place of a cause among the numbers of _tallies(), as an int: CT_LEFT_*; -1 with an error. */
static int
cause_of(PyObject *place)
{
    long number = PyLong_AsLong(place);
    if (number > 0 && number <= CT_LEFT_CAUSES) {
        return (int)number - 1;
    }
    if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "this is not the place of a cause in _tallies()");
    }
    return -1;
}

/* compare_and_delete(key, entry, place of the cause=that of EXPLICIT). */
static PyObject *
table_compare_and_delete(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (!ct_check_args("compare_and_delete", nargs, 2, 3)) {
        return NULL;
    }
    int cause = nargs == 3 ? cause_of(args[2]) : CT_LEFT_EXPLICIT;
    if (cause < 0) {
        return NULL;
    }
    return remove_entry(self, args[1], (double)INFINITY, cause, "compare_and_delete");
}

/* _remove_ended(entry, now) -> whether it has ended by then, and was taken out here. */
static PyObject *
table_remove_ended(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (!ct_check_args("_remove_ended", nargs, 2, 2)) {
        return NULL;
    }
    double now = PyFloat_AsDouble(args[1]);
    if (now == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    return remove_entry(self, args[0], now, CT_LEFT_EXPIRED, "_remove_ended");
}

static PyObject *
table_pop(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    ct_leavers leavers;
    if (!ct_check_args("pop", nargs, 2, 2)) {
        return NULL;
    }
    PyObject *blank = ct_entry_blank(CT_STORE(self));
    if (blank == NULL) {
        return NULL;
    }
    ct_leavers_init(&leavers);
    int status = ct_store_pop(CT_STORE(self), args[0], &leavers);
    PyObject *result = status < 0    ? NULL
                       : status == 0 ? Py_NewRef(args[1])
                                     : into(Py_NewRef(blank), CT_STORE(self), &leavers, 0);
    Py_DECREF(blank);
    ct_leavers_drop(CT_STORE(self), &leavers);
    return result;
}

/* Fill as many of the blank entries as have ended, and put None after them; 0 or -1. */
static int
expire_into(ct_store *store, PyObject *tuple, double now)
{
    ct_leavers leavers;
    size_t room = 0, size = (size_t)PyTuple_GET_SIZE(tuple);
    while (room < size && PyTuple_GET_ITEM(tuple, room) != Py_None) {
        room++;
    }
    ct_leavers_init(&leavers);
    int status = ct_store_expire(store, now, room, &leavers);
    for (size_t i = 0; i < leavers.count; i++) {
        into(PyTuple_GET_ITEM(tuple, i), store, &leavers, i);
    }
    for (size_t i = leavers.count; i < size; i++) {
        PyObject *blank = PyTuple_GET_ITEM(tuple, i);
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(Py_None));
        Py_DECREF(blank);
    }
    ct_leavers_drop(store, &leavers);
    return status;
}

/* _expire(now) -> the entries that ended, taken out, and None after them; call it again until there is
 * none.  An iterator: everything is allocated before the change. */
static PyObject *
table_expire(PyObject *self, PyObject *now)
{
    double seconds = PyFloat_AsDouble(now);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    Py_ssize_t due = ct_store_count_due(CT_STORE(self), seconds);
    PyObject *tuple = due < 0 ? NULL : blanks(CT_STORE(self), due);
    PyObject *iterator = tuple == NULL ? NULL : PyObject_GetIter(tuple);
    if (iterator != NULL && expire_into(CT_STORE(self), tuple, seconds) < 0) {
        Py_CLEAR(iterator);
    }
    Py_XDECREF(tuple);
    return iterator;
}

/* _recount(place, other): one that left is not of this cause, but of the other one. */
static PyObject *
table_recount(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    int counted, cause;
    if (!ct_check_args("_recount", nargs, 2, 2) || (counted = cause_of(args[0])) < 0
        || (cause = cause_of(args[1])) < 0) {
        return NULL;
    }
    ct_fetch_add_relaxed(&CT_STORE(self)->left[counted], -1);
    ct_fetch_add_relaxed(&CT_STORE(self)->left[cause], 1);
    Py_RETURN_NONE;
}

/* _touch(entry, deadline, now) -> whether it is there. */
static PyObject *
table_touch(PyObject *self, PyObject *args)
{
    PyObject *entry;
    double deadline, now;
    if (!PyArg_ParseTuple(args, "Odd:_touch", &entry, &deadline, &now)
        || !is_entry(CT_STORE(self), entry, "_touch")) {
        return NULL;
    }
    if (CT_ENTRY(entry)->store != CT_STORE(self)) {
        Py_RETURN_FALSE;
    }
    int status = ct_store_reschedule(CT_STORE(self), CT_ENTRY(entry)->view.number,
                                     CT_ENTRY(entry)->view.epoch, deadline, now);
    return status < 0 ? NULL : PyBool_FromLong(status);
}

/* -- reading ------------------------------------------------------------------------------------ */

static PyObject *
table_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    ct_view view;
    if (!ct_check_args("get", nargs, 1, 2)) {
        return NULL;
    }
    int there = ct_store_look(CT_STORE(self), args[0], &view);
    if (there <= 0) {
        return there < 0 ? NULL : Py_NewRef(nargs == 2 ? args[1] : Py_None);
    }
    return ct_entry_of(CT_STORE(self), &view);
}

/* All entries at one moment; *count of them.  NULL with an error. */
static ct_view *
all_views(ct_store *store, Py_ssize_t *count)
{
    for (;;) {
        ct_section section;
        Py_ssize_t room = ct_used(&store->base) + 8;
        ct_view *views = PyMem_New(ct_view, room);
        if (views == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        if (ct_store_begin(store, &section) < 0) {
            PyMem_Free(views);
            return NULL;
        }
        *count = 0;
        if (ct_used(&store->base) <= room) {
            for (uint32_t number = 0; number < store->nodes.fresh; number++) {
                if (ct_load_relaxed(&ct_node_at(store, number)->item.state) == CT_NODE_LIVE) {
                    ct_view_copy(store, number, &views[(*count)++]);
                }
            }
            ct_store_end(store, &section);
            return views;
        }
        ct_store_end(store, &section);
        PyMem_Free(views);
    }
}

static PyObject *
pair_of(PyObject *key, PyObject *entry)
{
    PyObject *pair = entry == NULL ? NULL : PyTuple_Pack(2, key, entry);
    Py_XDECREF(entry);
    return pair;
}

static PyObject *
list_of_all(ct_store *store, int pairs)
{
    Py_ssize_t count;
    ct_view *views = all_views(store, &count);
    if (views == NULL) {
        return NULL;
    }
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (list == NULL) {
            ct_view_release(&views[i]);
            continue;
        }
        PyObject *key = Py_NewRef(views[i].key), *item = ct_entry_of(store, &views[i]);
        item = pairs ? pair_of(key, item) : item;
        Py_DECREF(key);
        if (item == NULL || PyList_Append(list, item) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(item);
    }
    PyMem_Free(views);
    return list;
}

static PyObject *
table_items(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return list_of_all(CT_STORE(self), 1);
}

static PyObject *
table_values(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return list_of_all(CT_STORE(self), 0);
}

static Py_ssize_t
table_len(PyObject *self)
{
    return ct_used(CT_TABLE(self));
}

/* -- books -------------------------------------------------------------------------------------- */

static PyObject *
table_drain(PyObject *self, PyObject *Py_UNUSED(unused))
{
    ct_store_drain(CT_STORE(self));
    Py_RETURN_NONE;
}

/* _next_due() -> seconds; the clock is going to be told. */
static PyObject *
table_next_due(PyObject *self, PyObject *Py_UNUSED(unused))
{
    double due = ct_store_next_due(CT_STORE(self));
    ct_store_relaxed(&CT_STORE(self)->told_due, due);
    return PyFloat_FromDouble(due);
}

/* _books() -> (kind, weight, share of the window, weights of the segments). */
static PyObject *
table_books(PyObject *self, PyObject *Py_UNUSED(unused))
{
    ct_store *store = CT_STORE(self);
    ct_section section;
    if (ct_store_begin(store, &section) < 0) {
        return NULL;
    }
    int kind = store->policy.kind;
    double share = store->policy.segments.share;
    ct_chain chains[CT_REGIONS];
    memcpy(chains, store->policy.segments.chains, sizeof(chains));
    ct_store_end(store, &section);
    static const char *const names[] = {NULL, "lru", "tinylfu"};
    return Py_BuildValue("zdLLL", names[kind], share, (long long)chains[CT_WINDOW].weight,
                         (long long)chains[CT_PROBATION].weight,
                         (long long)chains[CT_PROTECTED].weight);
}

/* _tallies() -> insertions and removals by cause. */
static PyObject *
table_tallies(PyObject *self, PyObject *Py_UNUSED(unused))
{
    ct_store *store = CT_STORE(self);
    return Py_BuildValue("LLLLLL", (long long)ct_load_relaxed(&store->insertions),
                         (long long)ct_load_relaxed(&store->left[CT_LEFT_EXPLICIT]),
                         (long long)ct_load_relaxed(&store->left[CT_LEFT_REPLACED]),
                         (long long)ct_load_relaxed(&store->left[CT_LEFT_SIZE]),
                         (long long)ct_load_relaxed(&store->left[CT_LEFT_EXPIRED]),
                         (long long)ct_load_relaxed(&store->left[CT_LEFT_INVALIDATED]));
}

/* -- life --------------------------------------------------------------------------------------- */

static int
policy_kind(const char *name)
{
    if (name == NULL) {
        return CT_POLICY_NONE;
    }
    if (strcmp(name, "lru") == 0) {
        return CT_POLICY_LRU;
    }
    if (strcmp(name, "tinylfu") == 0) {
        return CT_POLICY_TINYLFU;
    }
    PyErr_Format(PyExc_ValueError, "there is no policy '%s'", name);
    return -1;
}

static PyObject *
table_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"policy", "maxsize", "seed", "stale_seconds", "tells", NULL};
    const char *policy = NULL;
    long long maxsize = 0;
    unsigned long long seed = 0;
    double stale_seconds = 0.0;
    int tells = 0;
    ct_state *st = ct_state_of_type(type);
    if (st == NULL
        || !PyArg_ParseTupleAndKeywords(args, kwargs, "|zLKdp:CacheTable", names, &policy, &maxsize,
                                        &seed, &stale_seconds, &tells)) {
        return NULL;
    }
    int kind = policy_kind(policy);
    PyObject *self = kind < 0 ? NULL : type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    CT_STORE(self)->stale_seconds = stale_seconds;
    CT_STORE(self)->tells = tells;
    if (ct_store_init(CT_STORE(self), st) < 0
        || ct_store_set_policy(CT_STORE(self), kind, maxsize, seed) < 0) {
        Py_CLEAR(self);
    }
    return self;
}

static int
table_traverse(PyObject *self, visitproc visit, void *arg)
{
    return ct_store_traverse(CT_STORE(self), visit, arg);
}

static int
table_clear(PyObject *self)
{
    ct_store_clear_refs(CT_STORE(self));
    return 0;
}

static void
table_finalize(PyObject *self)
{
    ct_table_finalize(CT_TABLE(self));
}

static void
table_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (PyObject_CallFinalizerFromDealloc(self) < 0) {
        return; /* resurrected */
    }
    PyObject_GC_UnTrack(self);
    if (CT_TABLE(self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    Py_TRASHCAN_BEGIN(self, table_dealloc) /* a chain of tables may be longer than the stack */
    ct_store_teardown(CT_STORE(self));
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

#define FAST(name, body) {name, (PyCFunction)(void (*)(void))body, METH_FASTCALL, NULL}

enum { OWN_METHODS = 15 };

static PyMethodDef table_methods[OWN_METHODS + 4 + 1] = {
    FAST("get", table_get),
    FAST("swap", table_swap),
    FAST("compare_and_set", table_compare_and_set),
    FAST("compare_and_delete", table_compare_and_delete),
    FAST("_remove_ended", table_remove_ended),
    FAST("pop", table_pop),
    {"items", table_items, METH_NOARGS, NULL},
    {"values", table_values, METH_NOARGS, NULL},
    {"_expire", table_expire, METH_O, NULL},
    {"_recount", (PyCFunction)(void (*)(void))table_recount, METH_FASTCALL, NULL},
    {"_touch", table_touch, METH_VARARGS, NULL},
    {"_drain", table_drain, METH_NOARGS, NULL},
    {"_next_due", table_next_due, METH_NOARGS, NULL},
    {"_books", table_books, METH_NOARGS, NULL},
    {"_tallies", table_tallies, METH_NOARGS, NULL},
};

static PyMemberDef table_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ct_table, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef table_getset[] = {
    {"_watch", ct_watch_get, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot table_slots[] = {
    {Py_tp_doc, (void *)"The table of a cache: keys to entries, with policy and timer wheel."},
    {Py_tp_new, table_new},
    {Py_tp_methods, table_methods},
    {Py_tp_members, table_members},
    {Py_tp_getset, table_getset},
    {Py_tp_traverse, table_traverse},
    {Py_tp_clear, table_clear},
    {Py_tp_finalize, table_finalize},
    {Py_tp_dealloc, table_dealloc},
    {Py_mp_length, table_len},
    {0, NULL},
};

static PyType_Spec table_spec = {
    .name = "concurrent_tables._core.CacheTable",
    .basicsize = sizeof(ct_store),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = table_slots,
};

int
ct_cache_table_type_init(PyObject *module, ct_state *st)
{
    memcpy(table_methods + OWN_METHODS, ct_watch_methods, sizeof(ct_watch_methods));
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &table_spec, NULL);
    st->extra_types[CT_X_CACHE_TABLE] = type;
    if (type == NULL || ct_table_type_register(st, type) < 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "CacheTable", (PyObject *)type);
}
