/* FrozenDict: immutable, insertion ordered, hashable when its values are.
 *
 * The block is complete before the object is seen by anybody, and nobody changes it after: reads need
 * no pin, no lock and no refcount beyond the result's.
 */
#include "copies.h"
#include "frozen.h"
#include "hashing.h"
#include "update.h"
#include "views.h"

ct_frozen *
ct_frozen_alloc(ct_state *st, PyTypeObject *type)
{
    ct_frozen *f = (ct_frozen *)type->tp_alloc(type, 0);
    if (f != NULL) {
        f->st = st;
        f->keys = ct_empty_keys;
        ct_store_relaxed(&f->hash, -1);
    }
    return f;
}

void
ct_frozen_set(ct_frozen *f, ct_keys *keys, Py_ssize_t used)
{
    if (keys != ct_empty_keys) {
        keys->owns = CT_OWNS_ALL;
    }
    f->keys = keys;
    f->used = used;
}

Py_ssize_t
ct_frozen_find(ct_frozen *f, PyObject *key, Py_hash_t hash)
{
    ct_keys *keys = f->keys;
    Py_ssize_t ix = ct_probe(keys, key, hash);
    if (CT_LIKELY(ix != CT_COMPARE)) {
        return ix;
    }
    ct_probe_state at;
    ct_probe_start(keys, hash, &at);
    while ((ix = ct_probe_resume(keys, key, hash, &at)) == CT_COMPARE) {
        int equal = PyObject_RichCompareBool(ct_entry_key(keys, at.ix), key, Py_EQ);
        if (equal != 0) {
            return equal < 0 ? CT_ERROR : at.ix;
        }
    }
    return ix;
}

PyObject *
ct_frozen_value(ct_frozen *f, PyObject *key)
{
    Py_hash_t hash = ct_hash(key);
    if (hash == -1) {
        return NULL;
    }
    Py_ssize_t ix = ct_frozen_find(f, key, hash);
    return ix < 0 ? NULL : ct_entry_value(f->keys, ix);
}

PyObject *
ct_frozen_as_dict(ct_frozen *f)
{
    PyObject *dict = PyDict_New(), *key, *value;
    Py_ssize_t at = 0;
    while (dict != NULL && ct_block_next(f->keys, &at, &key, &value)) {
        if (PyDict_SetItem(dict, key, value) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

/* -- making ------------------------------------------------------------------------------------- */

static PyObject *
share_block(ct_state *st, PyTypeObject *type, ct_frozen *other)
{
    ct_frozen *f = ct_frozen_alloc(st, type);
    if (f != NULL) {
        ct_keys_hold(other->keys);
        ct_frozen_set(f, other->keys, other->used);
    }
    return (PyObject *)f;
}

PyObject *
ct_frozen_from(ct_state *st, PyTypeObject *type, PyObject *other, PyObject *kwargs)
{
    int plain = kwargs == NULL || PyDict_GET_SIZE(kwargs) == 0;
    Py_ssize_t used = 0;
    ct_keys *keys = NULL;
    if (plain && other != NULL && Py_IS_TYPE(other, st->frozen_dict_type)) {
        return type == st->frozen_dict_type ? Py_NewRef(other)
                                            : share_block(st, type, CT_FROZEN_DICT(other));
    }
    if (plain && other != NULL && PyDict_CheckExact(other)) {
        keys = ct_block_from_dict(other, &used);
    }
    else {
        PyObject *table = ct_table_from(st, other, kwargs); /* private: never shared */
        keys = table == NULL ? NULL : ct_clone_block(CT_TABLE(table), &used);
        Py_XDECREF(table);
    }
    if (keys == NULL) {
        return NULL;
    }
    ct_frozen *f = ct_frozen_alloc(st, type);
    if (f == NULL) {
        if (keys != ct_empty_keys) {
            keys->owns = CT_OWNS_ALL;
        }
        ct_keys_release(keys);
        return NULL;
    }
    ct_frozen_set(f, keys, used);
    return (PyObject *)f;
}

static PyObject *
frozen_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    ct_state *st = ct_state_of_type(type);
    if (st == NULL) {
        return NULL;
    }
    if (PyTuple_GET_SIZE(args) > 1) {
        return PyErr_Format(PyExc_TypeError, "%s expected at most 1 argument, got %zd",
                            type->tp_name, PyTuple_GET_SIZE(args));
    }
    return ct_frozen_from(st, type, PyTuple_GET_SIZE(args) ? PyTuple_GET_ITEM(args, 0) : NULL,
                          kwargs);
}

/* -- reading ------------------------------------------------------------------------------------ */

static PyObject *
frozen_getitem(PyObject *self, PyObject *key)
{
    PyObject *value = ct_frozen_value(CT_FROZEN_DICT(self), key);
    if (value != NULL) {
        return Py_NewRef(value);
    }
    if (PyErr_Occurred()) {
        return NULL;
    }
    return ct_missing_key(CT_FROZEN_DICT(self)->st, self,
                          Py_IS_TYPE(self, CT_FROZEN_DICT(self)->st->frozen_dict_type), key);
}

static int
frozen_contains(PyObject *self, PyObject *key)
{
    if (ct_frozen_value(CT_FROZEN_DICT(self), key) != NULL) {
        return 1;
    }
    return PyErr_Occurred() ? -1 : 0;
}

static Py_ssize_t
frozen_length(PyObject *self)
{
    return CT_FROZEN_DICT(self)->used;
}

static PyObject *
frozen_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (!ct_check_args("get", nargs, 1, 2)) {
        return NULL;
    }
    PyObject *value = ct_frozen_value(CT_FROZEN_DICT(self), args[0]);
    if (value == NULL && PyErr_Occurred()) {
        return NULL;
    }
    return Py_NewRef(value != NULL ? value : nargs == 2 ? args[1] : Py_None);
}

static PyObject *
frozen_get_many(PyObject *self, PyObject *keys)
{
    PyObject *result = PyDict_New(), *iterator = PyObject_GetIter(keys), *key;
    if (result == NULL || iterator == NULL) {
        Py_XDECREF(result);
        Py_XDECREF(iterator);
        return NULL;
    }
    while ((key = PyIter_Next(iterator)) != NULL) {
        PyObject *value = ct_frozen_value(CT_FROZEN_DICT(self), key);
        if (value != NULL) {
            PyDict_SetItem(result, key, value);
        }
        Py_DECREF(key);
        if (PyErr_Occurred()) {
            break;
        }
    }
    Py_DECREF(iterator);
    if (PyErr_Occurred()) {
        Py_CLEAR(result);
    }
    return result;
}

static PyObject *
frozen_self(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

static PyObject *
frozen_repr(PyObject *self)
{
    return ct_repr_of(self, self);
}

/* The value of `key` in a dict or in another mapping of the package; new reference, or NULL. */
static PyObject *
value_in(PyObject *other, PyObject *key, ct_state *st)
{
    PyObject *value;
    if (PyDict_CheckExact(other)) {
        value = PyDict_GetItemWithError(other, key); /* a private copy: nobody deletes it */
        Py_XINCREF(value);
        return value;
    }
    if (ct_is_frozen(st, other)) {
        value = ct_frozen_value(CT_FROZEN_DICT(other), key);
        Py_XINCREF(value);
        return value;
    }
    value = ct_call_method(other, "get", key, st->missing);
    if (value == st->missing) {
        Py_CLEAR(value);
    }
    return value;
}

static PyObject *
still_version_of(PyObject *other)
{
    if (PyDict_CheckExact(other)) {
        return PyDict_Copy(other);
    }
    if (PyDict_Check(other)) {
        return Py_NewRef(other);
    }
    return ct_call_method(other, "snapshot");
}

int
ct_frozen_equal(ct_frozen *f, PyObject *other)
{
    PyObject *theirs = still_version_of(other), *key, *value;
    Py_ssize_t at = 0, size = theirs == NULL ? -1 : PyObject_Size(theirs);
    int equal = size < 0 ? -1 : size == f->used;
    while (equal == 1 && ct_block_next(f->keys, &at, &key, &value)) {
        PyObject *there = value_in(theirs, key, f->st);
        if (there == NULL) {
            equal = PyErr_Occurred() ? -1 : 0;
            break;
        }
        equal = PyObject_RichCompareBool(value, there, Py_EQ);
        Py_DECREF(there);
    }
    Py_XDECREF(theirs);
    return equal;
}

static PyObject *
frozen_richcompare(PyObject *self, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || !ct_is_mapping(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    int equal = self == other ? 1 : ct_frozen_equal(CT_FROZEN_DICT(self), other);
    if (equal < 0) {
        return NULL;
    }
    return PyBool_FromLong(equal == (op == Py_EQ));
}

static Py_hash_t
frozen_hash(PyObject *self)
{
    ct_frozen *f = CT_FROZEN_DICT(self);
    Py_hash_t hash = ct_load_relaxed(&f->hash);
    PyObject *key, *value;
    Py_ssize_t at = 0;
    ct_set_hash combined = {0};
    if (hash != -1) {
        return hash;
    }
    while (ct_block_next(f->keys, &at, &key, &value)) {
        PyObject *pair = PyTuple_Pack(2, key, value);
        hash = pair == NULL ? -1 : PyObject_Hash(pair);
        Py_XDECREF(pair);
        if (hash == -1) {
            return -1;
        }
        ct_set_hash_add(&combined, hash);
    }
    hash = ct_set_hash_finish(&combined, f->used);
    ct_store_relaxed(&f->hash, hash); /* every thread computes the same */
    return hash;
}

/* -- combining ---------------------------------------------------------------------------------- */

static PyObject *
frozen_or(PyObject *a, PyObject *b)
{
    ct_state *st = ct_state_of_type(Py_TYPE(a));
    if (st == NULL) {
        PyErr_Clear();
        st = ct_state_of_type(Py_TYPE(b));
    }
    if (st == NULL) {
        return NULL;
    }
    int left = ct_is_abc_mapping(st, a), right = ct_is_abc_mapping(st, b);
    if (left < 0 || right < 0) {
        return NULL;
    }
    if (!left || !right) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    PyObject *table = ct_table_from(st, a, NULL), *result = NULL;
    if (table != NULL && ct_update(CT_TABLE(table), b, NULL) == 0) {
        result = ct_snapshot(CT_TABLE(table));
    }
    Py_XDECREF(table);
    return result;
}

static PyObject *
frozen_fromkeys(PyObject *cls, PyObject *const *args, Py_ssize_t nargs)
{
    if (!ct_check_args("fromkeys", nargs, 1, 2)) {
        return NULL;
    }
    PyObject *dict = ct_call_method((PyObject *)&PyDict_Type, "fromkeys", args[0],
                                    nargs == 2 ? args[1] : Py_None);
    PyObject *result = dict == NULL ? NULL : PyObject_CallOneArg(cls, dict);
    Py_XDECREF(dict);
    return result;
}

static PyObject *
frozen_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *contents = ct_frozen_as_dict(CT_FROZEN_DICT(self));
    PyObject *arguments = contents == NULL ? NULL : PyTuple_Pack(2, Py_TYPE(self), contents);
    Py_XDECREF(contents);
    return ct_recipe(self, Py_NewRef(CT_FROZEN_DICT(self)->st->newobj), arguments, NULL);
}

static PyObject *
frozen_sizeof(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSize_t((size_t)Py_TYPE(self)->tp_basicsize
                             + ct_keys_nbytes(CT_FROZEN_DICT(self)->keys));
}

/* -- life --------------------------------------------------------------------------------------- */

static int
frozen_traverse(PyObject *self, visitproc visit, void *arg)
{
    ct_keys *keys = CT_FROZEN_DICT(self)->keys;
    PyObject *key, *value;
    Py_ssize_t at = 0;
    Py_VISIT(Py_TYPE(self));
    /* A block that a second FrozenDict or an iterator holds is nobody's own: its references count
     * once, and no holder may claim them. */
    if (keys == NULL || keys == ct_empty_keys || ct_load_relaxed(&keys->refs) != 1) {
        return 0;
    }
    while (ct_block_next(keys, &at, &key, &value)) {
        Py_VISIT(key);
        Py_VISIT(value);
    }
    return 0;
}

static int
frozen_clear(PyObject *self)
{
    ct_frozen *f = CT_FROZEN_DICT(self);
    ct_keys *keys = f->keys;
    f->keys = ct_empty_keys;
    f->used = 0;
    if (keys != NULL) {
        ct_keys_release(keys);
    }
    return 0;
}

static void
frozen_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (CT_FROZEN_DICT(self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    Py_TRASHCAN_BEGIN(self, frozen_dealloc) /* a chain of tables may be longer than the stack */
    frozen_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static PyMethodDef frozen_methods[] = {
    {"get", (PyCFunction)(void (*)(void))frozen_get, METH_FASTCALL,
     "get($self, key, default=None, /)\n--\n\nThe value of key, or default. Lock-free."},
    {"__getitem__", frozen_getitem, METH_O | METH_COEXIST, NULL},
    {"get_many", frozen_get_many, METH_O,
     "get_many($self, keys, /)\n--\n\nA dict of those keys that are present. Lock-free."},
    {"keys", ct_view_keys, METH_NOARGS, "A set-like view of the keys."},
    {"values", ct_view_values, METH_NOARGS, "A view of the values."},
    {"items", ct_view_items, METH_NOARGS, "A set-like view of the (key, value) pairs."},
    {"copy", frozen_self, METH_NOARGS, "The table itself, as for frozenset."},
    {"__copy__", frozen_self, METH_NOARGS, NULL},
    {"snapshot", frozen_self, METH_NOARGS, "The table itself: it is one moment already."},
    {"fromkeys", (PyCFunction)(void (*)(void))frozen_fromkeys, METH_FASTCALL | METH_CLASS,
     "fromkeys($type, keys, value=None, /)\n--\n\nA FrozenDict with value under each of keys."},
    {"__reversed__", ct_iter_reversed, METH_NOARGS, NULL},
    {"__reduce__", frozen_reduce, METH_NOARGS, NULL},
    CT_GETSTATE_METHOD,
    {"__sizeof__", frozen_sizeof, METH_NOARGS, NULL},
    {"_layout", ct_layout_of_frozen, METH_NOARGS, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef frozen_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ct_frozen, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(frozen_doc,
"An immutable mapping in insertion order; hashable when its values are.\n\n"
"`snapshot()` of a table returns one. Equal mappings have equal hashes whatever their order;\n"
"the hash is computed once. `FrozenDict == dict` compares as two dicts do.\n\n"
"Thread-safety: lock-free; instances never change.\n\n"
">>> from concurrent_tables import FrozenDict\n"
">>> point = FrozenDict(x=1, y=2)\n"
">>> point['x'], hash(point) == hash(FrozenDict(y=2, x=1)), point == {'y': 2, 'x': 1}\n"
"(1, True, True)\n"
">>> point | {'y': 3}\n"
"FrozenDict({'x': 1, 'y': 3})\n");

static PyType_Slot frozen_slots[] = {
    {Py_tp_doc, (void *)frozen_doc},
    {Py_tp_new, frozen_new},
    {Py_tp_dealloc, frozen_dealloc},
    {Py_tp_traverse, frozen_traverse},
    {Py_tp_clear, frozen_clear},
    {Py_tp_methods, frozen_methods},
    {Py_tp_members, frozen_members},
    {Py_tp_repr, frozen_repr},
    {Py_tp_hash, frozen_hash},
    {Py_tp_richcompare, frozen_richcompare},
    {Py_tp_iter, ct_iter_keys},
    {Py_mp_subscript, frozen_getitem},
    {Py_mp_length, frozen_length},
    {Py_sq_contains, frozen_contains},
    {Py_nb_or, frozen_or},
    {0, NULL},
};

static PyType_Spec frozen_spec = {
    .name = "concurrent_tables.FrozenDict",
    .basicsize = sizeof(ct_frozen),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_MAPPING,
    .slots = frozen_slots,
};

int
ct_frozen_type_init(PyObject *module, ct_state *st)
{
    st->frozen_dict_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &frozen_spec, NULL);
    if (st->frozen_dict_type == NULL
        || PyObject_SetAttrString((PyObject *)st->frozen_dict_type, "_is_table_mapping", Py_True) < 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "FrozenDict", (PyObject *)st->frozen_dict_type);
}
