/* ConcurrentDict: the combined table as a type.  The algorithms are in lookup.c and write.c. */
#include "dict.h"
#include "copies.h"
#include "exclusive.h"
#include "update.h"
#include "views.h"
#include "watching.h"

/* -- one key ------------------------------------------------------------------------------------ */

static PyObject *
dict_getitem(PyObject *self, PyObject *key)
{
    PyObject *value;
    Py_hash_t hash = ct_hash_in(CT_TABLE(self)->st, key);
    if (CT_UNLIKELY(hash == -1)) {
        return NULL;
    }
    int found = ct_get(CT_TABLE(self), key, hash, &value);
    if (CT_LIKELY(found > 0)) {
        return value;
    }
    if (found < 0) {
        return NULL;
    }
    ct_state *st = CT_TABLE(self)->st;
    return ct_missing_key(st, self, Py_IS_TYPE(self, st->dict_type), key);
}

static PyObject *
dict_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *value;
    if (CT_UNLIKELY(nargs < 1 || nargs > 2)) {
        ct_check_args("get", nargs, 1, 2);
        return NULL;
    }
    Py_hash_t hash = ct_hash_in(CT_TABLE(self)->st, args[0]);
    if (CT_UNLIKELY(hash == -1)) {
        return NULL;
    }
    int found = ct_get(CT_TABLE(self), args[0], hash, &value);
    if (CT_LIKELY(found > 0)) {
        return value;
    }
    return found < 0 ? NULL : Py_NewRef(nargs == 2 ? args[1] : Py_None);
}

static int
dict_contains(PyObject *self, PyObject *key)
{
    Py_hash_t hash = ct_hash_in(CT_TABLE(self)->st, key);
    return CT_UNLIKELY(hash == -1) ? -1 : ct_has(CT_TABLE(self), key, hash);
}

static Py_ssize_t
dict_length(PyObject *self)
{
    return ct_touch(CT_TABLE(self)) < 0 ? -1 : ct_used(CT_TABLE(self));
}

static int
dict_assign(PyObject *self, PyObject *key, PyObject *value)
{
    if (CT_LIKELY(value != NULL)) {
        return ct_set(CT_TABLE(self), key, value);
    }
    ct_change change = {.condition = CT_IF_PRESENT};
    Py_hash_t hash = ct_hash(key);
    if (hash == -1) {
        return -1;
    }
    int status = ct_change_entry(CT_TABLE(self), key, hash, &change);
    if (status == CT_NOT_MET) {
        ct_key_error(key);
    }
    return status == CT_DONE ? 0 : -1;
}

static PyObject *
dict_pop(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    ct_change change = {.condition = CT_IF_PRESENT, .want_old = 1};
    if (!ct_check_args("pop", nargs, 1, 2)) {
        return NULL;
    }
    int status = CT_NOT_MET; /* as dict does, an empty table does not ask for the hash */
    if (ct_used(CT_TABLE(self)) != 0) {
        Py_hash_t hash = ct_hash(args[0]);
        status = hash == -1 ? CT_FAILED : ct_change_entry(CT_TABLE(self), args[0], hash, &change);
    }
    if (status == CT_NOT_MET) {
        if (nargs == 2) {
            return Py_NewRef(args[1]);
        }
        ct_key_error(args[0]);
    }
    return status == CT_DONE ? change.old_value : NULL;
}

static PyObject *
dict_setdefault(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    ct_table *t = CT_TABLE(self);
    PyObject *value;
    if (!ct_check_args("setdefault", nargs, 1, 2)) {
        return NULL;
    }
    PyObject *fallback = nargs == 2 ? args[1] : Py_None;
    if (ct_check_value(t, args[0], fallback) < 0) {
        return NULL;
    }
    Py_hash_t hash = ct_hash(args[0]);
    int found = hash == -1 ? -1 : ct_get(t, args[0], hash, &value); /* the common case: no lock */
    if (found != 0) {
        return found > 0 ? value : NULL;
    }
    ct_change change = {.condition = CT_IF_ABSENT, .new_value = fallback, .want_old = 1};
    int status = ct_change_entry(t, args[0], hash, &change);
    if (status == CT_NOT_MET) {
        return change.old_value;
    }
    return status == CT_DONE ? Py_NewRef(fallback) : NULL;
}

/* -- whole table -------------------------------------------------------------------------------- */

int
ct_dict_popitem(ct_table *t, PyObject **key, PyObject **value)
{
    ct_section section;
    ct_pending pending;
    int status = CT_NOT_MET;
    if (ct_touch(t) < 0 || ct_write_lock(t, &section) < 0) {
        return CT_FAILED;
    }
    ct_pending_init(&pending, t);
    Py_ssize_t ix = ct_last_live_held(t);
    if (ix >= 0) {
        *key = ct_entry_key(ct_load_relaxed(&t->keys), ix);
        Py_INCREF(*key);
        status = ct_delete_held(t, &pending, ix, -1, NULL, value);
        if (status == CT_DONE) {
            Py_INCREF(*value);
        }
    }
    ct_unlock(&section);
    if (status == CT_NO_MEMORY) {
        Py_DECREF(*key);
        PyErr_NoMemory();
        status = CT_FAILED;
    }
    ct_pending_finish(&pending);
    return status;
}

PyObject *
ct_popitem_of(PyObject *self, int (*pop)(PyObject *self, PyObject **key, PyObject **value))
{
    PyObject *key, *value, *item = PyTuple_Pack(2, Py_None, Py_None); /* before anything is removed */
    int status = item == NULL ? CT_FAILED : pop(self, &key, &value);
    if (status == CT_DONE) {
        PyTuple_SET_ITEM(item, 0, key);
        PyTuple_SET_ITEM(item, 1, value);
#if PY_VERSION_HEX < 0x030C0000 /* None is counted */
        Py_DECREF(Py_None);
        Py_DECREF(Py_None);
#endif
        return item;
    }
    Py_XDECREF(item);
    if (status == CT_NOT_MET) {
        PyObject *name = ct_getattr((PyObject *)Py_TYPE(self), "__name__");
        if (name != NULL) {
            PyErr_Format(PyExc_KeyError, "popitem(): %U is empty", name);
            Py_DECREF(name);
        }
    }
    return NULL;
}

static int
pop_youngest(PyObject *self, PyObject **key, PyObject **value)
{
    return ct_dict_popitem(CT_TABLE(self), key, value);
}

static PyObject *
dict_popitem(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ct_popitem_of(self, pop_youngest);
}

int
ct_dict_clear(ct_table *t)
{
    ct_section section;
    ct_pending pending;
    int status = 0;
    if (ct_touch(t) < 0 || ct_write_lock(t, &section) < 0) {
        return -1;
    }
    ct_pending_init(&pending, t);
    if (ct_used(t) != 0) {
        status = ct_event_reserve_held(t, &pending);
        if (status == 0) {
            ct_exchange_block_held(t, &pending, ct_empty_keys, 0);
            ct_event_held(t, &pending, CT_KIND_CLEARED, NULL, NULL, NULL);
            ct_commit_held(t, &pending, 1);
        }
    }
    ct_unlock(&section);
    ct_pending_finish(&pending);
    if (status < 0) {
        PyErr_NoMemory();
    }
    return status < 0 ? -1 : 0;
}

static PyObject *
dict_clear(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (ct_dict_clear(CT_TABLE(self)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
dict_snapshot(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ct_snapshot(CT_TABLE(self));
}

static PyObject *
dict_repr(PyObject *self)
{
    PyObject *frozen = ct_snapshot(CT_TABLE(self));
    PyObject *result = frozen == NULL ? NULL : ct_repr_of(self, frozen);
    Py_XDECREF(frozen);
    return result;
}

static PyObject *
dict_richcompare(PyObject *self, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || !ct_is_mapping(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    int equal = 1;
    if (self != other) {
        PyObject *frozen = ct_snapshot(CT_TABLE(self));
        equal = frozen == NULL ? -1 : ct_frozen_equal(CT_FROZEN_DICT(frozen), other);
        Py_XDECREF(frozen);
    }
    return equal < 0 ? NULL : PyBool_FromLong(equal == (op == Py_EQ));
}

static PyObject *
dict_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_state *st = CT_TABLE(self)->st;
    return ct_table_from(st, self, NULL);
}

static PyObject *
dict_update(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t given = PyTuple_GET_SIZE(args);
    if (!ct_check_args("update", given, 0, 1)
        || ct_update(CT_TABLE(self), given ? PyTuple_GET_ITEM(args, 0) : NULL, kwargs) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
dict_or(PyObject *a, PyObject *b)
{
    ct_state *st = ct_state_of_type(Py_TYPE(a));
    if (st == NULL) {
        PyErr_Clear();
        st = ct_state_of_type(Py_TYPE(b));
    }
    int left = st == NULL ? -1 : ct_is_abc_mapping(st, a);
    int right = left < 0 ? -1 : ct_is_abc_mapping(st, b);
    if (right < 0) {
        return NULL;
    }
    if (!left || !right) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    PyObject *result = ct_table_from(st, a, NULL);
    if (result != NULL && ct_update(CT_TABLE(result), b, NULL) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

static PyObject *
dict_inplace_or(PyObject *self, PyObject *other)
{
    return ct_update(CT_TABLE(self), other, NULL) < 0 ? NULL : Py_NewRef(self);
}

PyObject *
ct_fill_from_keys(PyObject *empty, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *value = nargs == 2 ? args[1] : Py_None, *key;
    PyObject *iterator = empty == NULL ? NULL : PyObject_GetIter(args[0]);
    while (iterator != NULL && (key = PyIter_Next(iterator)) != NULL) {
        int status = PyObject_SetItem(empty, key, value);
        Py_DECREF(key);
        if (status < 0) {
            break;
        }
    }
    Py_XDECREF(iterator);
    if (PyErr_Occurred()) {
        Py_CLEAR(empty);
    }
    return empty;
}

static PyObject *
dict_fromkeys(PyObject *cls, PyObject *const *args, Py_ssize_t nargs)
{
    return ct_check_args("fromkeys", nargs, 1, 2)
               ? ct_fill_from_keys(PyObject_CallNoArgs(cls), args, nargs)
               : NULL;
}

/* -- pickling and copying ----------------------------------------------------------------------- */

static PyObject *
snapshot_items(PyObject *self)
{
    ct_state *st = CT_TABLE(self)->st;
    PyObject *frozen = ct_snapshot(CT_TABLE(self));
    PyObject *items = frozen == NULL ? NULL : ct_iter_new(st, frozen, CT_ITER_ITEMS, 0);
    Py_XDECREF(frozen);
    return items;
}

static PyObject *
dict_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *items = snapshot_items(self);
    return items == NULL ? NULL
                         : ct_recipe(self, Py_NewRef(CT_TABLE(self)->st->newobj),
                                     ct_new_arguments(self, PyTuple_New(0)), items);
}

/* copy.copy keeps a subclass and its attributes, copy() does not; as for dict. */
static PyObject *
dict_dunder_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_state *st = CT_TABLE(self)->st;
    return Py_IS_TYPE(self, st->dict_type) ? dict_copy(self, NULL) : ct_copied(st, self);
}

static PyObject *
dict_sizeof(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_table *t = CT_TABLE(self);
    ct_record *record = ct_enter(t);
    if (record == NULL) {
        return NULL;
    }
    ct_keys *keys = ct_table_keys(t);
    size_t size = keys == ct_empty_keys ? 0 : ct_keys_nbytes(keys);
    ct_unpin(record);
    size += (size_t)Py_TYPE(self)->tp_basicsize;
    if (ct_load_acquire(&t->stripes) != NULL) {
        size += (CT_STRIPES + 1) * sizeof(ct_stripe);
    }
    return PyLong_FromSize_t(size);
}

static PyObject *
dict_exclusive_parts(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyTuple_Pack(1, self);
}

/* -- life --------------------------------------------------------------------------------------- */

static PyObject *
dict_tp_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    ct_state *st = ct_state_of_type(type);
    PyObject *self = st == NULL ? NULL : type->tp_alloc(type, 0);
    if (self != NULL && ct_table_init(CT_TABLE(self), st) < 0) {
        Py_CLEAR(self);
    }
    return self;
}

PyObject *
ct_dict_new(ct_state *st)
{
    return dict_tp_new(st->dict_type, NULL, NULL);
}

static int
dict_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t given = PyTuple_GET_SIZE(args);
    if (given > 1) {
        PyErr_Format(PyExc_TypeError, "%s expected at most 1 argument, got %zd",
                     ct_type_name(self), given);
        return -1;
    }
    return ct_update(CT_TABLE(self), given ? PyTuple_GET_ITEM(args, 0) : NULL, kwargs);
}

static int
dict_traverse(PyObject *self, visitproc visit, void *arg)
{
    return ct_table_traverse(CT_TABLE(self), visit, arg);
}

static int
dict_clear_refs(PyObject *self)
{
    return ct_table_clear_refs(CT_TABLE(self));
}

static void
dict_finalize(PyObject *self)
{
    ct_table_finalize(CT_TABLE(self));
}

static void
dict_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (PyObject_CallFinalizerFromDealloc(self) < 0) {
        return; /* resurrected */
    }
    PyObject_GC_UnTrack(self);
    if (CT_TABLE(self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    Py_TRASHCAN_BEGIN(self, dict_dealloc) /* a chain of tables may be longer than the stack */
    ct_table_release(CT_TABLE(self));
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* -- the type ----------------------------------------------------------------------------------- */

#define FASTCALL(f) (PyCFunction)(void (*)(void))(f)
enum { OWN_METHODS = 26, ALL_METHODS = OWN_METHODS + 10 + 4 + 1 };

static const PyMethodDef own_methods[OWN_METHODS] = {
    {"get", FASTCALL(dict_get), METH_FASTCALL,
     "get($self, key, default=None, /)\n--\n\nThe value of key, or default. Lock-free."},
    {"__getitem__", dict_getitem, METH_O | METH_COEXIST, "The value of key. Lock-free."},
    {"pop", FASTCALL(dict_pop), METH_FASTCALL,
     "pop($self, key, default=<unrepresentable>, /)\n--\n\n"
     "Remove key and return its value; default, or KeyError, when absent. Atomic."},
    {"setdefault", FASTCALL(dict_setdefault), METH_FASTCALL,
     "setdefault($self, key, default=None, /)\n--\n\n"
     "The value of key, stored as default first when absent. Atomic."},
    {"popitem", dict_popitem, METH_NOARGS,
     "Remove and return the youngest (key, value); KeyError when empty. Atomic."},
    {"clear", dict_clear, METH_NOARGS, "Remove everything, in one step. Atomic."},
    {"update", FASTCALL(dict_update), METH_VARARGS | METH_KEYWORDS,
     "update($self, other=(), /, **kwargs)\n--\n\n"
     "Store every pair of a mapping or iterable, then the keyword arguments.\n\n"
     "Each key is stored atomically; filling an empty table from a dict or a table of this\n"
     "package is one atomic step. update_many is atomic as a whole."},
    {"keys", ct_view_keys, METH_NOARGS, "A set-like view of the keys."},
    {"values", ct_view_values, METH_NOARGS, "A view of the values."},
    {"items", ct_view_items, METH_NOARGS, "A set-like view of the (key, value) pairs."},
    {"copy", dict_copy, METH_NOARGS, "A new table with the contents of one moment. Atomic."},
    {"__copy__", dict_dunder_copy, METH_NOARGS, NULL},
    {"snapshot", dict_snapshot, METH_NOARGS,
     "A FrozenDict of one moment; the same object again until the next write.\n\n"
     "Cost: one copy of the arrays after a write, else nothing. Thread-safety: atomic."},
    {"fromkeys", FASTCALL(dict_fromkeys), METH_FASTCALL | METH_CLASS,
     "fromkeys($type, keys, value=None, /)\n--\n\nA new table with value under each of keys."},
    {"__reversed__", ct_iter_reversed, METH_NOARGS, NULL},
    {"__reduce__", dict_reduce, METH_NOARGS, NULL},
    CT_GETSTATE_METHOD,
    {"__sizeof__", dict_sizeof, METH_NOARGS, NULL},
    {"_layout", ct_layout_of_table, METH_NOARGS, NULL},
    {"_exclusive_parts", dict_exclusive_parts, METH_NOARGS, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
};

/* Own methods, the added operations, the watchers: one table, filled once, the same for every
 * interpreter. */
static PyMethodDef dict_methods[ALL_METHODS];

static void
collect_methods(void)
{
    PyMethodDef *at = dict_methods;
    for (int i = 0; i < OWN_METHODS && own_methods[i].ml_name != NULL; i++) {
        *at++ = own_methods[i];
    }
    memcpy(at, ct_operation_methods, sizeof(ct_operation_methods));
    memcpy(at + 10, ct_watch_methods, sizeof(ct_watch_methods));
}

static PyGetSetDef dict_getset[] = {
    {"version", ct_version_attribute, NULL,
     "A number that rises with every mutation. Thread-safety: lock-free.", NULL},
    {"keys_version", ct_keys_version_attribute, NULL,
     "A number that rises when a key is added or removed, not when a value is overwritten.\n\n"
     "Thread-safety: lock-free.", NULL},
    {"_watch", ct_watch_get, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef dict_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ct_table, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(dict_doc,
"A dict that any number of threads may read and write.\n\n"
"The whole API of `dict`, insertion order included, and the atomic operations that it lacks.\n"
"Reads take no lock; writes of one table exclude each other.\n\n"
"Differences from `dict`: iteration is weakly consistent and never raises because of a change;\n"
"whole-table operations (`==`, `copy`, `|`, `repr`, view operators, pickling) see one atomic\n"
"snapshot; once the table is shared, finalizers of removed values run after a grace period\n"
"(`reclaim.flush()` forces them).\n\n"
"Parameters: as for `dict`. Errors: as for `dict`; ValueError for storing `MISSING`.\n"
"Thread-safety: see docs/reference/thread-safety.md for every method.\n"
"Source: CPython Objects/dictobject.c for the layout; docs/explanation for the rest.\n\n"
">>> from concurrent_tables import ConcurrentDict\n"
">>> hits = ConcurrentDict(home=1)\n"
">>> hits.increment('home'), hits.increment('about')\n"
"(2, 1)\n"
">>> hits\n"
"ConcurrentDict({'home': 2, 'about': 1})\n");

static PyType_Slot dict_slots[] = {
    {Py_tp_doc, (void *)dict_doc},
    {Py_tp_new, dict_tp_new},
    {Py_tp_init, dict_init},
    {Py_tp_dealloc, dict_dealloc},
    {Py_tp_finalize, dict_finalize},
    {Py_tp_traverse, dict_traverse},
    {Py_tp_clear, dict_clear_refs},
    {Py_tp_methods, dict_methods},
    {Py_tp_getset, dict_getset},
    {Py_tp_members, dict_members},
    {Py_tp_repr, dict_repr},
    {Py_tp_hash, PyObject_HashNotImplemented},
    {Py_tp_richcompare, dict_richcompare},
    {Py_tp_iter, ct_iter_keys},
    {Py_mp_subscript, dict_getitem},
    {Py_mp_ass_subscript, dict_assign},
    {Py_mp_length, dict_length},
    {Py_sq_contains, dict_contains},
    {Py_nb_or, dict_or},
    {Py_nb_inplace_or, dict_inplace_or},
    {0, NULL},
};

static PyType_Spec dict_spec = {
    .name = "concurrent_tables.ConcurrentDict",
    .basicsize = sizeof(ct_table),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_MAPPING,
    .slots = dict_slots,
};

int
ct_dict_type_init(PyObject *module, ct_state *st)
{
    if (dict_methods[0].ml_name == NULL) {
        collect_methods();
    }
    st->dict_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &dict_spec, NULL);
    if (st->dict_type == NULL || ct_table_type_register(st, st->dict_type) < 0
        || PyObject_SetAttrString((PyObject *)st->dict_type, "_is_table_mapping", Py_True) < 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "ConcurrentDict", (PyObject *)st->dict_type);
}
