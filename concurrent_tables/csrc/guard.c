/* Guards: a lookup that is remembered and revalidated with a load and a compare.
 *
 * As the interpreter's inline caches do: entry numbers stay good until a key is added or removed;
 * overwriting a value does not disturb them.  The memory is one immutable record, replaced as a
 * whole and retired, so a guard may be shared between threads. */
#include "dict.h"
#include "update.h"

typedef struct {
    uint64_t keys_version;
    ct_block_id block;
    Py_ssize_t entries[];
} ct_memory;

typedef struct {
    PyObject_HEAD
    PyObject *table, *keys; /* the keys as a tuple */
    Py_hash_t *hashes;
    _Atomic(ct_memory *) memory;
    ct_u64 refreshes;
} ct_guard;

/* Pinned: whether the remembered entries still hold. */
CT_INLINE int
holds(ct_table *t, const ct_memory *memory)
{
    /* Both: the version alone is raised a moment after a new block was published. */
    return ct_same_block(t, &memory->block)
           && ct_load_acquire(&t->keys_version) == memory->keys_version;
}

/* Look all keys up once; 1, 0 when the table moved to another block meanwhile, -1 with an error. */
static int
resolve_once(ct_guard *guard, ct_memory *memory)
{
    ct_table *t = CT_TABLE(guard->table);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(guard->keys); i++) {
        ct_place place;
        if (ct_resolve(t, PyTuple_GET_ITEM(guard->keys, i), guard->hashes[i], &place, NULL) < 0) {
            return -1;
        }
        if (i == 0) {
            memory->block = place.block;
        }
        else if (place.block.number != memory->block.number
                 || place.block.keys != memory->block.keys) {
            return 0;
        }
        memory->entries[i] = place.ix;
    }
    return 1;
}

/* Look all keys up, until nothing was added or removed meanwhile.  NULL with an error. */
static ct_memory *
resolve_all(ct_guard *guard)
{
    ct_table *t = CT_TABLE(guard->table);
    size_t count = (size_t)PyTuple_GET_SIZE(guard->keys);
    ct_memory *memory = PyMem_Malloc(sizeof(ct_memory) + count * sizeof(Py_ssize_t));
    if (memory == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (;;) {
        memory->keys_version = ct_load_acquire(&t->keys_version);
        int status = resolve_once(guard, memory);
        if (status < 0) {
            PyMem_Free(memory);
            return NULL;
        }
        if (status > 0 && ct_load_acquire(&t->keys_version) == memory->keys_version) {
            return memory;
        }
    }
}

/* A pinned reader of another thread may be using the old one. */
static void
retire_memory(ct_state *st, ct_memory *memory)
{
#if CT_FT
    if (memory != NULL) {
        ct_retire(st, (uintptr_t)memory | CT_ITEM_RAW, 0);
    }
#else
    (void)st;
    PyMem_Free(memory);
#endif
}

static int
refresh(ct_guard *guard)
{
    ct_memory *memory = resolve_all(guard);
    if (memory == NULL) {
        return -1;
    }
    CT_POINT(guard_publish);
    memory = ct_exchange_acq_rel(&guard->memory, memory);
    ct_fetch_add_acq_rel(&guard->refreshes, 1);
    retire_memory(CT_TABLE(guard->table)->st, memory);
    return 0;
}

/* The key was absent, and the memory still holds.  But a new key can be found a moment before
 * keys_version is raised: only a look-up knows whether it is there now. */
static PyObject *
still_absent(ct_guard *guard)
{
    ct_table *t = CT_TABLE(guard->table);
    PyObject *value;
    int found = ct_get(t, PyTuple_GET_ITEM(guard->keys, 0), guard->hashes[0], &value);
    return found < 0 ? NULL : found ? value : Py_NewRef(t->st->missing);
}

/* One key: its value, MISSING, or NULL when the memory does not hold (or with an error). */
static PyObject *
present_value(ct_guard *guard)
{
    ct_table *t = CT_TABLE(guard->table);
    ct_record *self = ct_enter(t);
    if (self == NULL) {
        return NULL;
    }
    ct_memory *memory = ct_load_acquire(&guard->memory);
    CT_POINT(guard_check);
    PyObject *value = NULL;
    int absent = 0;
    if (CT_LIKELY(holds(t, memory))) {
        Py_ssize_t ix = memory->entries[0];
        CT_POINT(guard_load);
        absent = ix == CT_MISS;
        value = absent ? NULL : ct_entry_value(memory->block.keys, ix);
        CT_POINT(value_keep);
        Py_XINCREF(value); /* NULL: deleted this moment */
    }
    ct_unpin(self);
    return CT_UNLIKELY(absent) ? still_absent(guard) : value;
}

/* Several keys: all of one moment, so in the section, with lock-free overwrites held off. */
static PyObject *
present_values(ct_guard *guard)
{
    ct_table *t = CT_TABLE(guard->table);
    Py_ssize_t count = PyTuple_GET_SIZE(guard->keys);
    PyObject *values = PyTuple_New(count);
    ct_section section;
    if (values == NULL || ct_touch(t) < 0) {
        Py_XDECREF(values);
        return NULL;
    }
    ct_lock(t, &section);
    ct_quiesce_held(t);
    ct_record *self = ct_section_pin(&section); /* for the memory, not for the table */
    ct_memory *memory = ct_load_acquire(&guard->memory);
    int good = holds(t, memory);
    for (Py_ssize_t i = 0; good && i < count; i++) {
        Py_ssize_t ix = memory->entries[i];
        PyObject *value = ix == CT_MISS ? t->st->missing : ct_entry_value(memory->block.keys, ix);
        Py_INCREF(value);
        PyTuple_SET_ITEM(values, i, value);
    }
    if (self != NULL) {
        ct_unpin(self);
    }
    ct_unlock(&section);
    if (!good) {
        Py_CLEAR(values);
    }
    return values;
}

static PyObject *
guard_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    ct_guard *guard = (ct_guard *)self;
    if (PyTuple_GET_SIZE(args) || (kwargs != NULL && PyDict_GET_SIZE(kwargs))) {
        PyErr_SetString(PyExc_TypeError, "a guard takes no arguments");
        return NULL;
    }
    for (;;) {
        PyObject *result = PyTuple_GET_SIZE(guard->keys) == 1 ? present_value(guard)
                                                             : present_values(guard);
        if (result != NULL || PyErr_Occurred() || refresh(guard) < 0) {
            return result;
        }
    }
}

static PyObject *
guard_valid(PyObject *self, void *Py_UNUSED(closure))
{
    ct_guard *guard = (ct_guard *)self;
    ct_record *record = ct_enter(CT_TABLE(guard->table));
    if (record == NULL) {
        return NULL;
    }
    int valid = holds(CT_TABLE(guard->table), ct_load_acquire(&guard->memory));
    ct_unpin(record);
    return PyBool_FromLong(valid);
}

static PyObject *
guard_keys(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(((ct_guard *)self)->keys);
}

static PyObject *
guard_refreshes(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(ct_load_acquire(&((ct_guard *)self)->refreshes));
}

/* -- life --------------------------------------------------------------------------------------- */

static PyObject *
guard_make(ct_state *st, PyObject *table, PyObject *keys)
{
    Py_ssize_t count = PyTuple_GET_SIZE(keys);
    if (count == 0) {
        PyErr_SetString(PyExc_TypeError, "guard() takes at least one key");
        return NULL;
    }
    ct_guard *guard = (ct_guard *)st->guard_type->tp_alloc(st->guard_type, 0);
    if (guard == NULL) {
        return NULL;
    }
    guard->table = Py_NewRef(table);
    guard->keys = Py_NewRef(keys);
    guard->hashes = PyMem_New(Py_hash_t, count);
    if (guard->hashes == NULL) {
        Py_DECREF(guard);
        return PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        guard->hashes[i] = ct_hash(PyTuple_GET_ITEM(keys, i));
        if (guard->hashes[i] == -1) {
            Py_DECREF(guard);
            return NULL;
        }
    }
    ct_memory *memory = resolve_all(guard);
    if (memory == NULL) {
        Py_DECREF(guard);
        return NULL;
    }
    ct_store_release(&guard->memory, memory);
    return (PyObject *)guard;
}

PyObject *
ct_guard_new(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *keys = PyTuple_New(nargs);
    if (keys == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        PyTuple_SET_ITEM(keys, i, Py_NewRef(args[i]));
    }
    PyObject *guard = guard_make(CT_TABLE(self)->st, self, keys);
    Py_DECREF(keys);
    return guard;
}

static int
guard_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((ct_guard *)self)->table);
    Py_VISIT(((ct_guard *)self)->keys);
    return 0;
}

static void
guard_dealloc(PyObject *self)
{
    ct_guard *guard = (ct_guard *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    PyMem_Free(ct_load_acquire(&guard->memory)); /* nobody calls a guard without a reference to it */
    PyMem_Free(guard->hashes);
    Py_CLEAR(guard->keys);
    Py_CLEAR(guard->table);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyGetSetDef guard_getset[] = {
    {"keys", guard_keys, NULL, "The guarded keys.", NULL},
    {"valid", guard_valid, NULL, "Whether the remembered entries still hold.", NULL},
    {"refreshes", guard_refreshes, NULL, "How often the keys had to be looked up again.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(guard_doc,
"Calls return the present value of one key, or a tuple of the values of several.\n\n"
"An absent key gives MISSING. The values of several keys are all of one moment. `valid` tells\n"
"whether the remembered entries still hold; a call after a change of the set of keys looks the\n"
"keys up again and counts in `refreshes`.\n\n"
"Thread-safety: lock-free; a guard may be shared between threads.\n\n"
">>> from concurrent_tables import ConcurrentDict\n"
">>> settings = ConcurrentDict(host='a', port=80)\n"
">>> guard = settings.guard('host', 'port')\n"
">>> guard()\n"
"('a', 80)\n"
">>> settings['port'] = 81\n"
">>> guard.valid, guard()\n"
"(True, ('a', 81))\n");

static PyType_Slot guard_slots[] = {
    {Py_tp_doc, (void *)guard_doc},
    {Py_tp_call, guard_call},
    {Py_tp_getset, guard_getset},
    {Py_tp_traverse, guard_traverse},
    {Py_tp_dealloc, guard_dealloc},
    {0, NULL},
};

static PyType_Spec guard_spec = {
    .name = "concurrent_tables.Guard",
    .basicsize = sizeof(ct_guard),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = guard_slots,
};

int
ct_guard_type_init(PyObject *module, ct_state *st)
{
    st->guard_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &guard_spec, NULL);
    return st->guard_type == NULL
               ? -1
               : PyModule_AddObjectRef(module, "Guard", (PyObject *)st->guard_type);
}
