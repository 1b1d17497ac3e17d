/* SplitDict as a type: the dict API (split_api.h) over the records of split.c. */
#include "split.h"

static PyObject *new_like(PyObject *self);
static PyObject *new_for(PyObject *cls);

#define API_TYPE(st) ((st)->extra_types[CT_X_SPLIT])
#define API_STATE(self) (ct_split_shared(CT_SPLIT(self))->st)
#define API_USED(self) ct_split_used(CT_SPLIT(self))
#define API_GET(self, key, hash, value) ct_split_get(self, key, hash, value)
#define API_HAS(self, key, hash) ct_split_has(self, key, hash)
#define API_CHANGE(self, key, hash, change) ct_split_change(self, key, hash, change)
#define API_FILL(self, mapping) ct_split_fill(self, mapping)
#define API_ONE_MOMENT(self) ct_split_one_moment(self)
#define API_NEW_LIKE(self) new_like(self)
#define API_NEW_FOR(cls) new_for(cls)

#include "split_api.h"
#include "watching.h"

static PyObject *
new_like(PyObject *self)
{
    ct_state *st = API_STATE(self);
    return ct_split_new(st, API_TYPE(st), ct_split_shared(CT_SPLIT(self)));
}

static PyObject *
new_for(PyObject *cls)
{
    ct_state *st = ct_state_of_type((PyTypeObject *)cls);
    PyObject *shared =
        st == NULL ? NULL : PyObject_CallNoArgs((PyObject *)st->extra_types[CT_X_SHARED_KEYS]);
    PyObject *result = shared == NULL ? NULL : PyObject_CallOneArg(cls, shared);
    Py_XDECREF(shared);
    return result;
}

/* -- whole records ------------------------------------------------------------------------------ */

static Py_ssize_t
split_length(PyObject *self)
{
    return ct_split_touch(CT_SPLIT(self)) < 0 ? -1 : ct_split_used(CT_SPLIT(self));
}

static int
split_pop(PyObject *self, PyObject **key, PyObject **value)
{
    if (ct_split_touch(CT_SPLIT(self)) < 0) {
        return CT_FAILED;
    }
    if (ct_split_used(CT_SPLIT(self)) == 0) {
        return CT_NOT_MET;
    }
    ct_table *table = ct_split_combined(CT_SPLIT(self)); /* a deletion leaves the shape */
    return table == NULL ? CT_FAILED : ct_dict_popitem(table, key, value);
}

static PyObject *
split_popitem(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ct_popitem_of(self, split_pop);
}

static PyObject *
split_clear(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (ct_split_clear(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
split_snapshot(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ct_split_snapshot(self);
}

static PyObject *
split_get_many(PyObject *self, PyObject *keys)
{
    ct_table *table = ct_split_if_combined(CT_SPLIT(self));
    if (table != NULL) {
        return ct_get_many((PyObject *)table, keys);
    }
    PyObject *wanted = PySequence_List(keys); /* iterating may run user code: before the moment */
    PyObject *frozen = wanted == NULL ? NULL : ct_split_one_moment(self);
    PyObject *found = frozen == NULL ? NULL : ct_call_method(frozen, "get_many", wanted);
    Py_XDECREF(wanted);
    Py_XDECREF(frozen);
    return found;
}

static PyObject *
split_update_many(PyObject *self, PyObject *other)
{
    PyObject *changes = api_changes(self, other);
    int status = changes == NULL ? -1 : ct_split_update_many(self, changes);
    Py_XDECREF(changes);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
split_pop_many(PyObject *self, PyObject *keys)
{
    PyObject *wanted = ct_call_method((PyObject *)&PyDict_Type, "fromkeys", keys);
    PyObject *result = NULL, *key, *value;
    Py_ssize_t at = 0;
    int any = 0;
    ct_table *table = ct_split_if_combined(CT_SPLIT(self));
    while (wanted != NULL && table == NULL && any == 0 && PyDict_Next(wanted, &at, &key, &value)) {
        any = api_contains(self, key);
    }
    if (any > 0) {
        table = ct_split_combined(CT_SPLIT(self)); /* deletions leave the shape */
        any = table == NULL ? -1 : 1;
    }
    if (wanted != NULL && any >= 0) {
        result = table == NULL ? PyDict_New() : ct_pop_many((PyObject *)table, wanted);
    }
    Py_XDECREF(wanted);
    return result;
}

/* A compact record never lost a key, so every change of its set of keys added one. */
static uint64_t
keys_version_at(uint64_t word)
{
    return CT_WORD_IS_COMPACT(word) ? (uint64_t)CT_WORD_USED(word)
                                    : ct_load_acquire(&ct_word_full(word)->base.keys_version);
}

static uint64_t
keys_version_for(PyObject *self, const Py_hash_t *Py_UNUSED(hashes), Py_ssize_t Py_UNUSED(count))
{
    return keys_version_at(ct_load_acquire(&CT_SPLIT(self)->state));
}

static PyObject *
split_guard(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    static const ct_guard_source source = {ct_split_get, keys_version_for, split_get_many};
    return ct_plain_guard_new(API_STATE(self), self, &source, args, nargs);
}

/* -- iteration ---------------------------------------------------------------------------------- */

static PyObject *
names_of(const ct_columns *columns, int backwards)
{
    PyObject *names = PyTuple_New(columns->count);
    for (Py_ssize_t i = 0; names != NULL && i < columns->count; i++) {
        Py_ssize_t from = backwards ? columns->count - 1 - i : i;
        PyTuple_SET_ITEM(names, i, Py_NewRef(columns->names[from]));
    }
    return names;
}

static PyObject *
iterate(PyObject *self, int what, int backwards)
{
    ct_state *st = API_STATE(self);
    ct_columns columns;
    int split = ct_split_columns(CT_SPLIT(self), &columns);
    if (split == 0) { /* full, then; if a clear() comes between, the iterator is one of that moment */
        uint64_t word = ct_load_acquire(&CT_SPLIT(self)->state);
        return ct_iter_new(st, (PyObject *)ct_word_full(word), what, backwards);
    }
    PyObject *names = split < 0 ? NULL : names_of(&columns, backwards);
    ct_columns_clear(&columns);
    return ct_names_iter_new(st, self, names, what);
}

static PyObject *
split_iter(PyObject *self)
{
    return iterate(self, CT_ITER_KEYS, 0);
}

static PyObject *
split_reversed(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return iterate(self, CT_ITER_KEYS, 1);
}

static PyObject *
split_iterator(PyObject *self, PyObject *args)
{
    int what, backwards;
    return PyArg_ParseTuple(args, "ii", &what, &backwards) ? iterate(self, what, backwards) : NULL;
}

/* -- watching, holding -------------------------------------------------------------------------- */

static PyObject *
split_watch(PyObject *self, PyObject *args, PyObject *kwargs)
{
    ct_full *full = ct_split_full(CT_SPLIT(self));
    return full == NULL ? NULL : ct_watch_as(&full->base, self, args, kwargs);
}

static PyObject *
split_subscribe(PyObject *self, PyObject *args, PyObject *kwargs)
{
    ct_full *full = ct_split_full(CT_SPLIT(self));
    return full == NULL ? NULL : ct_subscribe_as(&full->base, self, args, kwargs);
}

static PyObject *
split_remove_watch(PyObject *self, PyObject *listener)
{
    ct_full *full = ct_split_full(CT_SPLIT(self));
    return full == NULL ? NULL : ct_remove_watch(&full->base, listener);
}

static PyObject *
split_set_watch_bit(PyObject *self, PyObject *args)
{
    ct_full *full = ct_split_full(CT_SPLIT(self));
    return full == NULL ? NULL : ct_set_watch_bit(&full->base, args);
}

static PyObject *
split_watch_get(PyObject *self, void *closure)
{
    uint64_t word = ct_load_acquire(&CT_SPLIT(self)->state);
    if (CT_WORD_IS_COMPACT(word)) {
        Py_RETURN_NONE;
    }
    return ct_watch_get((PyObject *)ct_word_full(word), closure);
}

static PyObject *
split_exclusive_parts(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_full *full = ct_split_full(CT_SPLIT(self));
    return full == NULL ? NULL : PyTuple_Pack(1, full);
}

/* -- attributes --------------------------------------------------------------------------------- */

static PyObject *
split_shared_keys(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(ct_split_shared(CT_SPLIT(self)));
}

/* The word, once what showed before the call is counted in it, or in the full record that it leads to
 * (ct_await_counts).  0 and *word, or -1 with an error. */
static int
counted_word(ct_split *s, uint64_t *word)
{
    if (ct_split_touch(s) < 0) {
        return -1;
    }
#if CT_FT
    if (CT_WORD_IS_COMPACT(ct_load_acquire(&s->state))
        && PyMutex_IsLocked(&((PyObject *)s)->ob_mutex)) {
        ct_compact_section section;
        ct_compact_lock(s, &section);
        ct_compact_unlock(&section);
    }
#endif
    *word = ct_load_acquire(&s->state);
    return CT_WORD_IS_COMPACT(*word) ? 0 : ct_await_counts(&ct_word_full(*word)->base);
}

static PyObject *
split_version(PyObject *self, void *Py_UNUSED(closure))
{
    uint64_t word;
    if (counted_word(CT_SPLIT(self), &word) < 0) {
        return NULL;
    }
    if (CT_WORD_IS_COMPACT(word)) {
        return PyLong_FromUnsignedLongLong(CT_WORD_VERSION(word));
    }
    ct_await_overwrites(&ct_word_full(word)->base);
    return PyLong_FromUnsignedLongLong(ct_version(&ct_word_full(word)->base));
}

static PyObject *
split_keys_version(PyObject *self, void *Py_UNUSED(closure))
{
    uint64_t word;
    return counted_word(CT_SPLIT(self), &word) < 0 ? NULL
                                                   : PyLong_FromUnsignedLongLong(keys_version_at(word));
}

static PyObject *
split_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_shared *shared = ct_split_shared(CT_SPLIT(self));
    return api_reduce_with(self, Py_NewRef(shared->st->newobj),
                           ct_new_arguments(self, PyTuple_Pack(1, shared)));
}

static PyObject *
split_sizeof(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_split *s = CT_SPLIT(self);
    uint64_t word = ct_load_acquire(&s->state);
    size_t size = (size_t)Py_TYPE(self)->tp_basicsize;
    if (CT_WORD_IS_COMPACT(word)) {
        return PyLong_FromSize_t(size + (size_t)CT_WORD_CAPACITY(word) * sizeof(ct_word));
    }
    ct_full *full = ct_word_full(word);
    ct_section section;
    ct_lock(&full->base, &section);
    ct_body *body = ct_load_relaxed(&full->body);
    ct_keys *keys = ct_load_relaxed(&full->base.keys);
    size += sizeof(ct_full);
    if (body != NULL) {
        size += sizeof(ct_body) + body->capacity * sizeof(ct_word);
    }
    else if (keys != ct_empty_keys) {
        size += ct_keys_nbytes(keys);
    }
    ct_unlock(&section);
    return PyLong_FromSize_t(size);
}

/* -- life --------------------------------------------------------------------------------------- */

static PyObject *
split_tp_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    ct_state *st = ct_state_of_type(type);
    PyObject *shared = PyTuple_GET_SIZE(args) ? PyTuple_GET_ITEM(args, 0) : NULL;
    if (st == NULL) {
        return NULL;
    }
    if (shared == NULL) {
        PyErr_SetString(PyExc_TypeError,
                        "SplitDict() missing 1 required positional argument: 'shared_keys'");
        return NULL;
    }
    if (!Py_IS_TYPE(shared, st->extra_types[CT_X_SHARED_KEYS])) {
        PyObject *name = ct_getattr((PyObject *)Py_TYPE(shared), "__name__");
        if (name != NULL) {
            PyErr_Format(PyExc_TypeError,
                         "SplitDict: the first argument must be the SharedKeys of the record, not %U",
                         name);
            Py_DECREF(name);
        }
        return NULL;
    }
    return ct_split_new(st, type, (ct_shared *)shared);
}

static int
split_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t given = PyTuple_GET_SIZE(args);
    if (!ct_check_args("SplitDict", given, 1, 2) || ct_check_names(kwargs) < 0) {
        return -1;
    }
    if (given == 1 && kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0) {
        int status = ct_split_fill(self, kwargs);
        if (status != CT_NOT_MET) {
            return status == CT_DONE ? 0 : -1;
        }
    }
    return api_fill_from(self, given == 2 ? PyTuple_GET_ITEM(args, 1) : NULL, kwargs);
}

static int
split_traverse(PyObject *self, visitproc visit, void *arg)
{
    ct_split *s = CT_SPLIT(self);
    uint64_t word = ct_load_acquire(&s->state);
    Py_VISIT(Py_TYPE(self));
    if (CT_WORD_IS_COMPACT(word)) { /* SharedKeys hold only str: in no cycle */
        ct_word *values = ct_split_values(s);
        for (Py_ssize_t ix = 0; ix < CT_WORD_CAPACITY(word); ix++) {
            Py_VISIT((PyObject *)ct_load_acquire(&values[ix]));
        }
    }
    else if (word != 0) { /* 0: half built */
        Py_VISIT((PyObject *)ct_word_full(word));
    }
    return 0;
}

/* Lets the values go.  What the record is stays: a finalizer may still look at it. */
static int
split_clear_refs(PyObject *self)
{
    ct_split *s = CT_SPLIT(self);
    uint64_t word = ct_load_acquire(&s->state);
    if (CT_WORD_IS_COMPACT(word)) {
        ct_state *st = API_STATE(self);
        ct_word *values = ct_split_values(s);
        uint64_t used = (uint64_t)CT_WORD_USED(word) * CT_WORD_ONE_USED;
        ct_store_release(&s->state, word - used);
        for (Py_ssize_t ix = 0; ix < CT_WORD_CAPACITY(word); ix++) {
            PyObject *value = (PyObject *)ct_exchange_acq_rel(&values[ix], 0);
            if (value != NULL) {
                ct_drop(st, value, CT_FT && CT_WORD_IS_SHARED(word));
            }
        }
    }
    else if (word != 0) {
        Py_TYPE(ct_word_full(word))->tp_clear((PyObject *)ct_word_full(word));
    }
    return 0;
}

static void
split_finalize(PyObject *self)
{
    uint64_t word = ct_load_acquire(&CT_SPLIT(self)->state);
    if (!CT_WORD_IS_COMPACT(word) && word != 0 && ct_word_full(word)->base.log != NULL) {
        ct_watch_close_as(&ct_word_full(word)->base, self, ct_version(&ct_word_full(word)->base));
    }
}

static void
split_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (PyObject_CallFinalizerFromDealloc(self) < 0) {
        return; /* resurrected */
    }
    PyObject_GC_UnTrack(self);
    if (CT_SPLIT(self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    Py_TRASHCAN_BEGIN(self, split_dealloc)
    ct_split_free_values(CT_SPLIT(self));
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* -- the type ----------------------------------------------------------------------------------- */

static PyMethodDef split_methods[] = {
    API_METHODS,
    {"popitem", split_popitem, METH_NOARGS,
     "Remove and return the youngest (key, value); KeyError when empty. Atomic."},
    {"clear", split_clear, METH_NOARGS, "Remove everything, in one step. Atomic."},
    {"snapshot", split_snapshot, METH_NOARGS,
     "A FrozenDict of one moment; the same object again until the next write.\n\n"
     "Cost: one copy of the values after a write, else nothing. Thread-safety: atomic."},
    {"get_many", split_get_many, METH_O,
     "get_many($self, keys, /)\n--\n\n"
     "A dict of those keys that are present, all values of one moment. Thread-safety: atomic."},
    {"update_many", split_update_many, METH_O,
     "update_many($self, other, /)\n--\n\n"
     "Store every pair of a mapping or iterable of pairs in one atomic step.\n\n"
     "Readers see all of it or nothing. Errors: those of dict.update; the record is then unchanged.\n"
     "Thread-safety: atomic."},
    {"pop_many", split_pop_many, METH_O,
     "pop_many($self, keys, /)\n--\n\n"
     "Remove those keys that are present in one atomic step; returns them with their values."},
    {"guard", API_FASTCALL(split_guard), METH_FASTCALL,
     "guard($self, /, *keys)\n--\n\n"
     "A cached lookup of keys: see Guard. TypeError without keys or for unhashable ones."},
    {"watch", API_FASTCALL(split_watch), METH_VARARGS | METH_KEYWORDS,
     "watch($self, callback, *, kinds=..., keys=None)\n--\n\n"
     "Call callback(event) after every change from now on; see ConcurrentDict.watch. Atomic."},
    {"subscribe", API_FASTCALL(split_subscribe), METH_VARARGS | METH_KEYWORDS,
     "subscribe($self, maxlen=1024, *, kinds=..., keys=None)\n--\n\n"
     "A Subscription to the changes; see ConcurrentDict.subscribe. Atomic."},
    {"_remove_watch", split_remove_watch, METH_O, NULL},
    {"_set_watch_bit", split_set_watch_bit, METH_VARARGS, NULL},
    {"_iterator", split_iterator, METH_VARARGS, NULL},
    {"_layout", ct_split_layout, METH_NOARGS, NULL},
    {"_exclusive_parts", split_exclusive_parts, METH_NOARGS, NULL},
    {"__reversed__", split_reversed, METH_NOARGS, NULL},
    {"__reduce__", split_reduce, METH_NOARGS, NULL},
    {"__sizeof__", split_sizeof, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef split_getset[] = {
    {"shared_keys", split_shared_keys, NULL,
     "The keys object of the record's shape, also after the record became combined.", NULL},
    {"version", split_version, NULL,
     "A number that rises with every mutation. Thread-safety: lock-free.", NULL},
    {"keys_version", split_keys_version, NULL,
     "A number that rises when a key is added or removed, not when a value is overwritten.\n\n"
     "Thread-safety: lock-free.", NULL},
    {"_watch", split_watch_get, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef split_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ct_split, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(split_doc,
"A record of a split table: the whole API of `ConcurrentDict`, keys shared with others.\n\n"
"Parameters: `shared_keys`, the `SharedKeys` of the record's shape; then as for `dict`.\n"
"Errors: TypeError when `shared_keys` is something else; otherwise those of `ConcurrentDict`.\n"
"A record becomes combined when a key is deleted, is not a `str`, or does not fit among the 30 shared\n"
"ones; `clear` lets it begin again in its shape.\n"
"Thread-safety: as `ConcurrentDict`.\n"
"Source: PEP 412 (key-sharing dictionary).\n\n"
">>> from concurrent_tables import SharedKeys, SplitDict, inspect_table\n"
">>> shape = SharedKeys()\n"
">>> row = SplitDict(shape, x=1, y=2)\n"
">>> inspect_table(row).kind\n"
"'split'\n"
">>> row[3] = 'not a str'\n"
">>> inspect_table(row).kind, list(row)\n"
"('general', ['x', 'y', 3])\n");

static PyType_Slot split_slots[] = {
    {Py_tp_doc, (void *)split_doc},
    {Py_tp_new, split_tp_new},
    {Py_tp_init, split_init},
    {Py_tp_dealloc, split_dealloc},
    {Py_tp_finalize, split_finalize},
    {Py_tp_traverse, split_traverse},
    {Py_tp_clear, split_clear_refs},
    {Py_tp_methods, split_methods},
    {Py_tp_getset, split_getset},
    {Py_tp_members, split_members},
    {Py_tp_repr, api_repr},
    {Py_tp_hash, PyObject_HashNotImplemented},
    {Py_tp_richcompare, api_richcompare},
    {Py_tp_iter, split_iter},
    {Py_mp_subscript, api_getitem},
    {Py_mp_ass_subscript, api_assign},
    {Py_mp_length, split_length},
    {Py_sq_contains, api_contains},
    {Py_nb_or, api_or},
    {Py_nb_inplace_or, api_inplace_or},
    {0, NULL},
};

static PyType_Spec split_spec = {
    .name = "concurrent_tables.SplitDict",
    .basicsize = sizeof(ct_split),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_MAPPING,
    .slots = split_slots,
};

/* A mapping type of this module: marked, registered, exported.  0 or -1. */
int
ct_add_mapping(PyObject *module, PyTypeObject *type, const char *name)
{
    PyObject *abc = PyImport_ImportModule("collections.abc");
    PyObject *mutable = abc == NULL ? NULL : ct_getattr(abc, "MutableMapping");
    PyObject *done = mutable == NULL ? NULL : ct_call_method(mutable, "register", type);
    int status = done == NULL ? -1 : 0;
    Py_XDECREF(abc);
    Py_XDECREF(mutable);
    Py_XDECREF(done);
    if (status < 0
        || PyObject_SetAttrString((PyObject *)type, "_is_table_mapping", Py_True) < 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, name, (PyObject *)type);
}

int
ct_split_type_init(PyObject *module, ct_state *st)
{
    if (ct_shared_type_init(module, st) < 0 || ct_full_type_init(st, module) < 0
        || ct_split_iter_type_init(module, st) < 0) {
        return -1;
    }
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &split_spec, NULL);
    st->extra_types[CT_X_SPLIT] = type;
    return type == NULL ? -1 : ct_add_mapping(module, type, "SplitDict");
}
