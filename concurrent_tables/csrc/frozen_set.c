/* FrozenSet: a set block that nobody changes, so that nothing needs a pin or a lock. */
#include "copies.h"
#include "hashing.h"
#include "set_algebra.h"

/* -- making ------------------------------------------------------------------------------------- */

PyObject *
ct_frozen_set_alloc(ct_state *st, PyTypeObject *type)
{
    ct_fset *f = (ct_fset *)type->tp_alloc(type, 0);
    if (f != NULL) {
        f->st = st;
        f->block = ct_set_empty;
        ct_store_relaxed(&f->hash, -1);
    }
    return (PyObject *)f;
}

PyObject *
ct_frozen_set_from(ct_state *st, PyTypeObject *type, ct_set_keys *block)
{
    PyObject *self = ct_frozen_set_alloc(st, type);
    if (self == NULL) {
        ct_set_release(block);
        return NULL;
    }
    CT_FROZEN_SET(self)->block = block;
    return self;
}

PyObject *
ct_frozen_set_of(ct_state *st, const ct_set_keys *block)
{
    ct_set_keys *copy = ct_set_frozen_copy(block);
    if (copy == NULL) {
        return PyErr_NoMemory();
    }
    return ct_frozen_set_from(st, ct_frozen_set_type(st), copy);
}

/* Keyword arguments are for the __init__ of a subclass. */
static int
reject_keywords(PyTypeObject *type, PyObject *kwargs)
{
    if (kwargs == NULL || PyDict_GET_SIZE(kwargs) == 0
        || type->tp_init != PyBaseObject_Type.tp_init) {
        return 0;
    }
    PyObject *name = PyType_GetName(type);
    if (name != NULL) {
        PyErr_Format(PyExc_TypeError, "%U() takes no keyword arguments", name);
        Py_DECREF(name);
    }
    return -1;
}

static PyObject *
frozen_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    ct_state *st = ct_state_of_type(type);
    Py_ssize_t given = PyTuple_GET_SIZE(args);
    if (st == NULL || reject_keywords(type, kwargs) < 0) {
        return NULL;
    }
    if (given > 1) {
        return PyErr_Format(PyExc_TypeError, "FrozenSet expected at most 1 argument, got %zd", given);
    }
    if (given == 0) {
        return ct_frozen_set_alloc(st, type);
    }
    PyObject *iterable = PyTuple_GET_ITEM(args, 0);
    if (type == ct_frozen_set_type(st)) {
        if (Py_IS_TYPE(iterable, type)) {
            return Py_NewRef(iterable);
        }
        if (ct_is_set(st, iterable)) {
            return ct_set_snapshot(CT_SET(iterable));
        }
    }
    ct_set_keys *block = ct_set_private_operand(st, iterable);
    return block == NULL ? NULL : ct_frozen_set_from(st, type, block);
}

/* -- reading ------------------------------------------------------------------------------------ */

static int
frozen_contains(PyObject *self, PyObject *key)
{
    ct_fset *f = CT_FROZEN_SET(self);
    Py_hash_t hash = ct_hash(key);
    if (CT_LIKELY(hash != -1)) {
        ct_set_item item = {key, hash};
        Py_ssize_t slot = ct_set_find(f->block, item);
        return slot == CT_ERROR ? -1 : slot >= 0;
    }
    ct_set_item item;
    item.key = ct_set_lookup_key(f->st, key, &item.hash);
    if (item.key == NULL) {
        return -1;
    }
    Py_ssize_t slot = ct_set_find(f->block, item);
    Py_DECREF(item.key);
    return slot == CT_ERROR ? -1 : slot >= 0;
}

static PyObject *
frozen_dunder_contains(PyObject *self, PyObject *key)
{
    int found = frozen_contains(self, key);
    return found < 0 ? NULL : PyBool_FromLong(found);
}

static Py_ssize_t
frozen_length(PyObject *self)
{
    return ct_set_count(CT_FROZEN_SET(self)->block);
}

static Py_hash_t
frozen_hash(PyObject *self)
{
    ct_fset *f = CT_FROZEN_SET(self);
    Py_hash_t hash = ct_load_relaxed(&f->hash);
    ct_set_hash combined = {0};
    ct_set_item item;
    Py_ssize_t at = 0;
    if (hash == -1) {
        while (ct_set_next(f->block, &at, &item) >= 0) {
            ct_set_hash_add(&combined, item.hash);
        }
        hash = ct_set_hash_finish(&combined, ct_set_count(f->block));
        ct_store_relaxed(&f->hash, hash); /* every thread computes the same */
    }
    return hash;
}

/* The set itself, as for frozenset; for a subclass a plain FrozenSet. */
static PyObject *
frozen_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_fset *f = CT_FROZEN_SET(self);
    if (Py_IS_TYPE(self, ct_frozen_set_type(f->st))) {
        return Py_NewRef(self);
    }
    return ct_frozen_set_of(f->st, f->block);
}

static PyObject *
frozen_self(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

static PyObject *
frozen_sizeof(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSize_t((size_t)Py_TYPE(self)->tp_basicsize
                             + ct_set_nbytes(CT_FROZEN_SET(self)->block));
}

/* -- life --------------------------------------------------------------------------------------- */

static int
frozen_traverse(PyObject *self, visitproc visit, void *arg)
{
    ct_set_keys *block = CT_FROZEN_SET(self)->block;
    ct_set_item item;
    Py_ssize_t at = 0;
    Py_VISIT(Py_TYPE(self));
    while (block != NULL && ct_set_next(block, &at, &item) >= 0) {
        Py_VISIT(item.key);
    }
    return 0;
}

static int
frozen_clear(PyObject *self)
{
    ct_fset *f = CT_FROZEN_SET(self);
    ct_set_keys *block = f->block;
    f->block = ct_set_empty;
    ct_set_release(block);
    return 0;
}

static void
frozen_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (CT_FROZEN_SET(self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    Py_TRASHCAN_BEGIN(self, frozen_dealloc) /* a chain of tables may be longer than the stack */
    frozen_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

static PyMethodDef frozen_methods[] = {
    CT_SET_SHARED_METHODS,
    {"__contains__", frozen_dunder_contains, METH_O | METH_COEXIST, NULL},
    {"copy", frozen_copy, METH_NOARGS, "The set itself, as for frozenset."},
    {"__copy__", frozen_self, METH_NOARGS, NULL},
    {"__sizeof__", frozen_sizeof, METH_NOARGS, NULL},
    {"_layout", ct_frozen_set_layout, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef frozen_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ct_fset, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(frozen_doc,
"FrozenSet(iterable=(), /)\n--\n\n"
"An immutable, hashable set: the whole API of `frozenset`.\n\n"
"`freeze()` and `snapshot()` of a `ConcurrentSet` return one. It equals, and has the hash of, the\n"
"`frozenset` of the same elements, so either finds the other as a key; the hash is computed once.\n"
"Operators return a FrozenSet, or the builtin type when a builtin set is on their left.\n\n"
"Parameters: `iterable` of hashable elements. Errors: as for `frozenset`.\n"
"Thread-safety: lock-free; instances never change.\n"
"Source: CPython Objects/setobject.c for the layout and the hash.\n\n"
">>> from concurrent_tables import FrozenSet\n"
">>> primes = FrozenSet([2, 3, 5])\n"
">>> 3 in primes, hash(primes) == hash(frozenset([2, 3, 5])), primes == {2, 3, 5}\n"
"(True, True, True)\n"
">>> {primes: \"found\"}[frozenset([5, 3, 2])]\n"
"'found'\n");

static PyType_Slot frozen_slots[] = {
    {Py_tp_doc, (void *)frozen_doc},
    {Py_tp_new, frozen_new},
    {Py_tp_dealloc, frozen_dealloc},
    {Py_tp_traverse, frozen_traverse},
    {Py_tp_clear, frozen_clear},
    {Py_tp_methods, frozen_methods},
    {Py_tp_members, frozen_members},
    {Py_tp_repr, ct_set_repr},
    {Py_tp_hash, frozen_hash},
    {Py_tp_richcompare, ct_set_richcompare},
    {Py_tp_iter, ct_set_iter},
    {Py_sq_length, frozen_length},
    {Py_sq_contains, frozen_contains},
    {Py_nb_or, ct_set_or},
    {Py_nb_and, ct_set_and},
    {Py_nb_subtract, ct_set_subtract},
    {Py_nb_xor, ct_set_xor},
    {0, NULL},
};

static PyType_Spec frozen_spec = {
    .name = "concurrent_tables.FrozenSet",
    .basicsize = sizeof(ct_fset),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = frozen_slots,
};

int
ct_frozen_set_type_init(PyObject *module, ct_state *st)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &frozen_spec, NULL);
    st->extra_types[CT_X_FROZEN_SET] = (PyTypeObject *)type;
    if (type == NULL || PyObject_SetAttrString(type, "_is_table_set", Py_True) < 0) {
        return -1;
    }
    PyObject *registered = ct_call_method(st->set_abc, "register", type);
    Py_XDECREF(registered);
    return registered == NULL ? -1 : PyModule_AddObjectRef(module, "FrozenSet", type);
}
