/* Iterators and guards for mappings whose entries are not in one block.
 *
 * A split record has few keys, and they never leave its SharedKeys: an iterator takes their names once,
 * and yields those that the record still has when their turn comes, with the value of that moment.
 * Positions are claimed with an atomic counter, so threads that share an iterator divide the entries.
 */
#include "split.h"
#include "views.h"

/* -- names -------------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    PyObject *table, *names; /* names: a tuple */
    ct_ssize claimed;
    int what;
} ct_names_iter;

PyObject *
ct_names_iter_new(ct_state *st, PyObject *table, PyObject *names, int what)
{
    if (names == NULL) {
        return NULL;
    }
    ct_names_iter *it = PyObject_GC_New(ct_names_iter, st->extra_types[CT_X_NAMES_ITER]);
    if (it == NULL) {
        Py_DECREF(names);
        return NULL;
    }
    it->table = Py_NewRef(table);
    it->names = names;
    it->what = what;
    ct_store_relaxed(&it->claimed, 0);
    PyObject_GC_Track(it);
    return (PyObject *)it;
}

static PyObject *
names_next(PyObject *self)
{
    ct_names_iter *it = (ct_names_iter *)self;
    PyObject *value;
    for (;;) {
        Py_ssize_t at = ct_fetch_add_acq_rel(&it->claimed, 1);
        if (at >= PyTuple_GET_SIZE(it->names)) {
            ct_store_relaxed(&it->claimed, PyTuple_GET_SIZE(it->names));
            return NULL;
        }
        PyObject *name = PyTuple_GET_ITEM(it->names, at);
        int found = ct_split_get(it->table, name, ct_str_hash(name), &value);
        if (found < 0) {
            return NULL;
        }
        if (found > 0) {
            if (it->what == CT_ITER_VALUES) {
                return value;
            }
            PyObject *result =
                it->what == CT_ITER_KEYS ? Py_NewRef(name) : PyTuple_Pack(2, name, value);
            Py_DECREF(value);
            return result;
        }
    }
}

static PyObject *
names_length_hint(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_names_iter *it = (ct_names_iter *)self;
    Py_ssize_t left = PyTuple_GET_SIZE(it->names) - ct_load_relaxed(&it->claimed);
    Py_ssize_t used = ct_split_used(CT_SPLIT(it->table));
    left = used < left ? used : left;
    return PyLong_FromSsize_t(left < 0 ? 0 : left);
}

static int
names_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((ct_names_iter *)self)->table);
    return 0;
}

static void
names_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(((ct_names_iter *)self)->table);
    Py_CLEAR(((ct_names_iter *)self)->names);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef names_methods[] = {
    {"__length_hint__", names_length_hint, METH_NOARGS, NULL},
    {"__reduce__", ct_iter_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot names_slots[] = {
    {Py_tp_doc, "Iterator over a split record."},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, names_next},
    {Py_tp_methods, names_methods},
    {Py_tp_traverse, names_traverse},
    {Py_tp_dealloc, names_dealloc},
    {0, NULL},
};

/* -- one iterator after the other --------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    /* A tuple of iterators, and one more reference to each: an iterator that has only one takes it that one
     * thread has it, but whoever has the chain has its parts. */
    PyObject *parts;
    ct_ssize at;     /* those before it are exhausted */
} ct_chain;

PyObject *
ct_chain_new(ct_state *st, PyObject *parts)
{
    ct_chain *chain =
        parts == NULL ? NULL : PyObject_GC_New(ct_chain, st->extra_types[CT_X_CHAIN]);
    if (chain == NULL) {
        Py_XDECREF(parts);
        return NULL;
    }
    chain->parts = parts;
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(parts); at++) {
        Py_INCREF(PyTuple_GET_ITEM(parts, at)); /* see ct_chain */
    }
    ct_store_relaxed(&chain->at, 0);
    PyObject_GC_Track(chain);
    return (PyObject *)chain;
}

static PyObject *
chain_next(PyObject *self)
{
    ct_chain *chain = (ct_chain *)self;
    Py_ssize_t at = ct_load_relaxed(&chain->at);
    for (; at < PyTuple_GET_SIZE(chain->parts); at++) {
        PyObject *part = PyTuple_GET_ITEM(chain->parts, at);
        PyObject *element = Py_TYPE(part)->tp_iternext(part);
        if (element != NULL || PyErr_Occurred()) {
            return element;
        }
        ct_store_relaxed(&chain->at, at + 1); /* exhausted for good; a hint, so races are harmless */
    }
    return NULL;
}

static PyObject *
chain_length_hint(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_chain *chain = (ct_chain *)self;
    Py_ssize_t total = 0;
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(chain->parts); at++) {
        Py_ssize_t left = PyObject_LengthHint(PyTuple_GET_ITEM(chain->parts, at), 0);
        if (left < 0) {
            return NULL;
        }
        total += left;
    }
    return PyLong_FromSsize_t(total);
}

static int
chain_traverse(PyObject *self, visitproc visit, void *arg)
{
    PyObject *parts = ((ct_chain *)self)->parts;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(parts);
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(parts); at++) {
        Py_VISIT(PyTuple_GET_ITEM(parts, at));
    }
    return 0;
}

static void
chain_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject *parts = ((ct_chain *)self)->parts;
    PyObject_GC_UnTrack(self);
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(parts); at++) {
        Py_DECREF(PyTuple_GET_ITEM(parts, at)); /* the tuple has another */
    }
    Py_DECREF(parts);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef chain_methods[] = {
    {"__length_hint__", chain_length_hint, METH_NOARGS, NULL},
    {"__reduce__", ct_iter_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot chain_slots[] = {
    {Py_tp_doc, "Iterator over the shards of a table."},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, chain_next},
    {Py_tp_methods, chain_methods},
    {Py_tp_traverse, chain_traverse},
    {Py_tp_dealloc, chain_dealloc},
    {0, NULL},
};

/* -- guards ------------------------------------------------------------------------------------- */

/* Calls are lookups with remembered hashes; what else is remembered is the version of the set of keys. */
typedef struct {
    PyObject_HEAD
    PyObject *table, *keys; /* keys: a tuple */
    ct_state *st;
    const ct_guard_source *source;
    Py_hash_t *hashes;
    ct_u64 keys_version;
    ct_u64 refreshes;
} ct_plain_guard;

static uint64_t
present_version(ct_plain_guard *guard)
{
    return guard->source->keys_version(guard->table, guard->hashes, PyTuple_GET_SIZE(guard->keys));
}

static PyObject *
all_values(ct_plain_guard *guard)
{
    PyObject *found = guard->source->get_many(guard->table, guard->keys);
    Py_ssize_t count = PyTuple_GET_SIZE(guard->keys);
    PyObject *values = found == NULL ? NULL : PyTuple_New(count);
    for (Py_ssize_t i = 0; values != NULL && i < count; i++) {
        PyObject *value = PyDict_GetItemWithError(found, PyTuple_GET_ITEM(guard->keys, i));
        if (value == NULL && PyErr_Occurred()) {
            Py_CLEAR(values);
            break;
        }
        PyTuple_SET_ITEM(values, i, Py_NewRef(value != NULL ? value : guard->st->missing));
    }
    Py_XDECREF(found);
    return values;
}

static PyObject *
guard_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    ct_plain_guard *guard = (ct_plain_guard *)self;
    PyObject *value;
    if (PyTuple_GET_SIZE(args) || (kwargs != NULL && PyDict_GET_SIZE(kwargs))) {
        PyErr_SetString(PyExc_TypeError, "a guard takes no arguments");
        return NULL;
    }
    uint64_t version = present_version(guard);
    if (CT_UNLIKELY(version != ct_load_acquire(&guard->keys_version))) {
        ct_store_release(&guard->keys_version, version);
        ct_fetch_add_acq_rel(&guard->refreshes, 1);
    }
    if (PyTuple_GET_SIZE(guard->keys) > 1) {
        return all_values(guard);
    }
    int found = guard->source->get(guard->table, PyTuple_GET_ITEM(guard->keys, 0),
                                   guard->hashes[0], &value);
    return found > 0 ? value : found < 0 ? NULL : Py_NewRef(guard->st->missing);
}

static PyObject *
guard_valid(PyObject *self, void *Py_UNUSED(closure))
{
    ct_plain_guard *guard = (ct_plain_guard *)self;
    return PyBool_FromLong(present_version(guard) == ct_load_acquire(&guard->keys_version));
}

static PyObject *
guard_keys(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(((ct_plain_guard *)self)->keys);
}

static PyObject *
guard_refreshes(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(ct_load_acquire(&((ct_plain_guard *)self)->refreshes));
}

static int
remember_keys(ct_plain_guard *guard, PyObject *const *keys, Py_ssize_t count)
{
    guard->keys = PyTuple_New(count);
    guard->hashes = PyMem_New(Py_hash_t, count);
    if (guard->keys == NULL || guard->hashes == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyTuple_SET_ITEM(guard->keys, i, Py_NewRef(keys[i]));
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        guard->hashes[i] = ct_hash(keys[i]);
        if (guard->hashes[i] == -1) {
            return -1;
        }
    }
    return 0;
}

PyObject *
ct_plain_guard_new(ct_state *st, PyObject *table, const ct_guard_source *source,
                   PyObject *const *keys, Py_ssize_t nkeys)
{
    if (nkeys == 0) {
        PyErr_SetString(PyExc_TypeError, "guard() takes at least one key");
        return NULL;
    }
    PyTypeObject *type = st->extra_types[CT_X_PLAIN_GUARD];
    ct_plain_guard *guard = (ct_plain_guard *)type->tp_alloc(type, 0);
    if (guard == NULL) {
        return NULL;
    }
    guard->st = st;
    guard->source = source;
    guard->table = Py_NewRef(table);
    if (remember_keys(guard, keys, nkeys) < 0) {
        Py_DECREF(guard);
        return NULL;
    }
    ct_store_relaxed(&guard->keys_version, present_version(guard));
    return (PyObject *)guard;
}

static int
guard_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((ct_plain_guard *)self)->table);
    Py_VISIT(((ct_plain_guard *)self)->keys);
    return 0;
}

static void
guard_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(((ct_plain_guard *)self)->table);
    Py_CLEAR(((ct_plain_guard *)self)->keys);
    PyMem_Free(((ct_plain_guard *)self)->hashes);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyGetSetDef guard_getset[] = {
    {"keys", guard_keys, NULL, "The guarded keys.", NULL},
    {"valid", guard_valid, NULL, "Whether the set of keys is still the remembered one.", NULL},
    {"refreshes", guard_refreshes, NULL, "How often the set of keys had changed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot guard_slots[] = {
    {Py_tp_doc, "A guard over a mapping whose entries are not in one block; see Guard."},
    {Py_tp_call, guard_call},
    {Py_tp_getset, guard_getset},
    {Py_tp_traverse, guard_traverse},
    {Py_tp_dealloc, guard_dealloc},
    {0, NULL},
};

/* -- types -------------------------------------------------------------------------------------- */

#define SPEC(NAME, STRUCT, SLOTS)                                                                  \
    {                                                                                              \
        .name = NAME, .basicsize = sizeof(STRUCT),                                                 \
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,      \
        .slots = SLOTS,                                                                            \
    }

static PyType_Spec names_spec =
    SPEC("concurrent_tables._core.RecordIterator", ct_names_iter, names_slots);
static PyType_Spec chain_spec = SPEC("concurrent_tables._core.ShardIterator", ct_chain, chain_slots);
static PyType_Spec guard_spec = SPEC("concurrent_tables.Guard", ct_plain_guard, guard_slots);

int
ct_split_iter_type_init(PyObject *module, ct_state *st)
{
    static const struct {
        int place;
        PyType_Spec *spec;
    } wanted[] = {
        {CT_X_NAMES_ITER, &names_spec}, {CT_X_CHAIN, &chain_spec}, {CT_X_PLAIN_GUARD, &guard_spec},
    };
    for (int i = 0; i < 3; i++) {
        PyObject *type = PyType_FromModuleAndSpec(module, wanted[i].spec, NULL);
        if (type == NULL) {
            return -1;
        }
        st->extra_types[wanted[i].place] = (PyTypeObject *)type;
    }
    return 0;
}
