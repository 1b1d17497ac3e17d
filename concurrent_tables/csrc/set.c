/* ConcurrentSet: the type.  The algorithms are in set_write.c, set_change.c and set_algebra.c. */
#include "copies.h"
#include "set_algebra.h"
#include "set_write.h"
#include "update.h"
#include "watching.h"

/* -- one element -------------------------------------------------------------------------------- */

static int
set_contains(PyObject *self, PyObject *item)
{
    Py_hash_t hash = ct_hash_in(CT_TABLE(self)->st, item);
    if (CT_LIKELY(hash != -1)) {
        return ct_set_has(CT_SET(self), item, hash);
    }
    PyObject *key = ct_set_lookup_key(CT_TABLE(self)->st, item, &hash);
    if (key == NULL) {
        return -1;
    }
    int found = ct_set_has(CT_SET(self), key, hash);
    Py_DECREF(key);
    return found;
}

static PyObject *
set_dunder_contains(PyObject *self, PyObject *item)
{
    int found = set_contains(self, item);
    return found < 0 ? NULL : PyBool_FromLong(found);
}

static Py_ssize_t
set_length(PyObject *self)
{
    return ct_set_length(CT_SET(self));
}

static PyObject *
set_add(PyObject *self, PyObject *item)
{
    Py_hash_t hash = ct_hash_in(CT_TABLE(self)->st, item);
    if (CT_UNLIKELY(hash == -1) || ct_set_add(CT_SET(self), item, hash) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* 1, 0 when it was not there, -1. */
static int
take_out(PyObject *self, PyObject *item)
{
    Py_hash_t hash = ct_hash_in(CT_TABLE(self)->st, item);
    if (CT_LIKELY(hash != -1)) {
        return ct_set_remove(CT_SET(self), item, hash);
    }
    PyObject *key = ct_set_lookup_key(CT_TABLE(self)->st, item, &hash);
    if (key == NULL) {
        return -1;
    }
    int removed = ct_set_remove(CT_SET(self), key, hash);
    Py_DECREF(key);
    return removed;
}

static PyObject *
set_discard(PyObject *self, PyObject *item)
{
    if (take_out(self, item) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
set_remove(PyObject *self, PyObject *item)
{
    int removed = take_out(self, item);
    if (removed == 0) {
        ct_key_error(item);
    }
    if (removed <= 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
set_pop(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *key = NULL;
    int status = ct_set_pop(CT_SET(self), &key);
    if (status == CT_NOT_MET) {
        PyObject *name = PyType_GetName(Py_TYPE(self));
        if (name != NULL) {
            PyErr_Format(PyExc_KeyError, "pop(): %U is empty", name);
            Py_DECREF(name);
        }
    }
    return status == CT_DONE ? key : NULL;
}

/* -- many elements: one step -------------------------------------------------------------------- */

static PyObject *
set_clear(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (ct_set_clear(CT_SET(self)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Merge all operands into the first. */
static int
merge(ct_set_operands *theirs)
{
    ct_set_keys *merged = ct_set_copy(theirs->blocks[0]);
    int status = merged == NULL ? -1 : 0;
    if (merged == NULL) {
        PyErr_NoMemory();
    }
    for (Py_ssize_t i = 1; status == 0 && i < theirs->count; i++) {
        status = ct_set_merge(&merged, theirs->blocks[i]);
    }
    if (status < 0) {
        ct_set_release(merged);
        return -1;
    }
    while (theirs->count > 0) {
        ct_set_give_back(theirs->blocks[--theirs->count]);
    }
    ct_set_lend_private(merged);
    theirs->blocks[0] = merged;
    theirs->count = 1;
    return 0;
}

/* A set changed by itself keeps what it has at the moment of the change, not what it had when it was read
 * as an operand: other threads may have added and removed elements between. */
static int
is_itself(PyObject *self, PyObject *const *others, Py_ssize_t count)
{
    return count == 1 && others[0] == self;
}

static int
update_from(PyObject *self, PyObject *const *others, Py_ssize_t count, int kind)
{
    ct_set_operands theirs;
    if (count == 0 || (kind == CT_PLAN_UPDATE && is_itself(self, others, count))) {
        return 0;
    }
    if (ct_set_gather(CT_TABLE(self)->st, others, count, 1, &theirs) < 0) {
        return -1;
    }
    int whole = kind == CT_PLAN_UPDATE && count == 1
                && (theirs.is_set[0] || ct_set_is_mapping(others[0]));
    int status = theirs.count > 1 ? merge(&theirs) : 0;
    if (status == 0) {
        status = ct_set_change(CT_SET(self), kind, &theirs, whole);
    }
    return ct_set_finish_gather(&theirs, status);
}

/* The other in-place methods.  `keep`: what was gathered before an error is committed. */
static int
change_by(PyObject *self, PyObject *const *others, Py_ssize_t count, int kind, int keep)
{
    ct_set_operands theirs;
    if (count == 0 || (kind == CT_PLAN_INTERSECT && is_itself(self, others, count))) {
        return 0;
    }
    if (kind == CT_PLAN_FLIP && is_itself(self, others, count)) {
        kind = CT_PLAN_SUBTRACT; /* what is removed meanwhile must not come back */
    }
    if (ct_set_gather(CT_TABLE(self)->st, others, count, keep, &theirs) < 0) {
        return -1;
    }
    return ct_set_finish_gather(&theirs, ct_set_change(CT_SET(self), kind, &theirs, 0));
}

static PyObject *
none_or_error(int status)
{
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
set_update(PyObject *self, PyObject *const *others, Py_ssize_t count)
{
    return none_or_error(update_from(self, others, count, CT_PLAN_UPDATE));
}

static PyObject *
set_intersection_update(PyObject *self, PyObject *const *others, Py_ssize_t count)
{
    return none_or_error(change_by(self, others, count, CT_PLAN_INTERSECT, 0));
}

static PyObject *
set_difference_update(PyObject *self, PyObject *const *others, Py_ssize_t count)
{
    return none_or_error(change_by(self, others, count, CT_PLAN_SUBTRACT, 1));
}

static PyObject *
set_symmetric_difference_update(PyObject *self, PyObject *other)
{
    return none_or_error(change_by(self, &other, 1, CT_PLAN_FLIP, 0));
}

/* self op= other: the operators take sets only. */
static PyObject *
in_place(PyObject *self, PyObject *other, int kind)
{
    int takes = ct_set_takes(CT_TABLE(self)->st, self, other);
    if (takes == 0) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    int status = takes;
    if (takes > 0) {
        status = kind == CT_PLAN_UPDATE ? update_from(self, &other, 1, kind)
                                        : change_by(self, &other, 1, kind, kind == CT_PLAN_SUBTRACT);
    }
    return status < 0 ? NULL : Py_NewRef(self);
}

static PyObject *
set_inplace_or(PyObject *self, PyObject *other)
{
    return in_place(self, other, CT_PLAN_UPDATE);
}

static PyObject *
set_inplace_and(PyObject *self, PyObject *other)
{
    return in_place(self, other, CT_PLAN_INTERSECT);
}

static PyObject *
set_inplace_subtract(PyObject *self, PyObject *other)
{
    return in_place(self, other, CT_PLAN_SUBTRACT);
}

static PyObject *
set_inplace_xor(PyObject *self, PyObject *other)
{
    return in_place(self, other, CT_PLAN_FLIP);
}

/* -- one moment --------------------------------------------------------------------------------- */

ct_set_keys *
ct_set_borrow(ct_set_table *s)
{
    ct_section section;
    if (ct_touch(&s->base) < 0) {
        return NULL;
    }
    ct_lock(&s->base, &section); /* so that whoever changes the set sees the loan */
    ct_set_keys *block = ct_load_relaxed(&s->block);
    ct_set_lend_held(block);
    ct_unlock(&section);
    return block;
}

/* Section held: make `frozen` the set's cached snapshot.  0, or -1 without memory. */
static int
fill_snapshot_held(ct_set_table *s, PyObject *frozen)
{
    ct_set_keys *copy = ct_set_frozen_copy(ct_load_relaxed(&s->block));
    if (copy == NULL) {
        return -1;
    }
    CT_FROZEN_SET(frozen)->block = copy;
    Py_INCREF(frozen);
    CT_POINT(snapshot_publish);
    ct_store_release(&s->base.snapshot, frozen);
    return 0;
}

PyObject *
ct_set_snapshot(ct_set_table *s)
{
    ct_section section;
    int status = 0;
    ct_record *self = ct_enter(&s->base);
    if (self == NULL) {
        return NULL;
    }
    PyObject *cached = ct_load_acquire(&s->base.snapshot); /* pairs with the release above */
    Py_XINCREF(cached); /* pinned: a writer that drops it retires it */
    ct_unpin(self);
    if (cached != NULL) {
        return cached;
    }
    PyObject *frozen = ct_frozen_set_alloc(s->base.st, ct_frozen_set_type(s->base.st));
    if (frozen == NULL) {
        return NULL;
    }
    ct_lock(&s->base, &section); /* gates are for writers */
    cached = ct_load_relaxed(&s->base.snapshot);
    Py_XINCREF(cached);
    if (cached == NULL) {
        status = fill_snapshot_held(s, frozen);
    }
    ct_unlock(&section);
    if (cached != NULL || status < 0) {
        Py_DECREF(frozen);
        frozen = cached;
    }
    if (status < 0) {
        PyErr_NoMemory();
    }
    return frozen;
}

static PyObject *
set_snapshot(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ct_set_snapshot(CT_SET(self));
}

/* copy.copy keeps a subclass and its attributes, copy() does not; as for set. */
static PyObject *
set_dunder_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_state *st = CT_TABLE(self)->st;
    return Py_IS_TYPE(self, st->extra_types[CT_X_SET]) ? ct_set_plain_copy(self, NULL)
                                                       : ct_copied(st, self);
}

static PyObject *
set_sizeof(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_record *record = ct_enter(CT_TABLE(self));
    if (record == NULL) {
        return NULL;
    }
    ct_set_keys *block = ct_set_block(CT_SET(self));
    size_t size = block == ct_set_empty ? 0 : ct_set_nbytes(block);
    ct_unpin(record);
    return PyLong_FromSize_t((size_t)Py_TYPE(self)->tp_basicsize + size);
}

static PyObject *
set_exclusive_parts(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyTuple_Pack(1, self);
}

/* -- life --------------------------------------------------------------------------------------- */

static PyObject *
set_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    ct_state *st = ct_state_of_type(type);
    PyObject *self = st == NULL ? NULL : type->tp_alloc(type, 0);
    if (self != NULL) {
        ct_store_release(&CT_SET(self)->block, ct_set_empty);
        if (ct_table_init(CT_TABLE(self), st) < 0) {
            Py_CLEAR(self);
        }
    }
    return self;
}

PyObject *
ct_set_from(ct_state *st, ct_set_keys *block)
{
    PyObject *self = set_new(ct_set_type(st), NULL, NULL);
    if (self == NULL) {
        ct_set_release(block);
        return NULL;
    }
    if (block != ct_set_empty) {
        CT_ASSERT(ct_load_relaxed(&block->refs) == 1);
        block->owns = CT_OWNS_NOTHING; /* the set does */
    }
    ct_store_release(&CT_SET(self)->block, block);
    return self;
}

static int
set_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t given = PyTuple_GET_SIZE(args);
    if (given > 1 || (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0)) {
        PyErr_Format(PyExc_TypeError,
                     given > 1 ? "ConcurrentSet expected at most 1 argument, got %zd"
                               : "ConcurrentSet() takes no keyword arguments",
                     given);
        return -1;
    }
    if (given == 0) {
        return ct_set_clear(CT_SET(self));
    }
    PyObject *iterable = PyTuple_GET_ITEM(args, 0);
    return change_by(self, &iterable, 1, CT_PLAN_REPLACE, 1);
}

static int
set_traverse(PyObject *self, visitproc visit, void *arg)
{
    ct_set_keys *block = ct_load_acquire(&CT_SET(self)->block);
    ct_set_item item;
    Py_ssize_t at = 0;
    while (block != NULL && ct_set_next(block, &at, &item) >= 0) {
        Py_VISIT(item.key);
    }
    return ct_table_traverse(CT_TABLE(self), visit, arg);
}

/* The set lets its elements go; readers of other threads may still be there when `shared`. */
static void
drop_block(ct_set_table *s, int shared)
{
    ct_set_keys *block = ct_load_acquire(&s->block);
    if (block == NULL || block == ct_set_empty) {
        return;
    }
    ct_store_release(&s->block, ct_set_empty);
    block->owns = CT_OWNS_ALL;
    if (shared) {
        ct_retire(s->base.st, (uintptr_t)block | CT_ITEM_BLOCK, ct_set_nbytes(block));
    }
    else {
        ct_set_release(block);
    }
}

static int
set_clear_refs(PyObject *self)
{
    drop_block(CT_SET(self), ct_is_shared(CT_TABLE(self)));
    return ct_table_clear_refs(CT_TABLE(self));
}

static void
set_finalize(PyObject *self)
{
    ct_table_finalize(CT_TABLE(self));
}

static void
set_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (PyObject_CallFinalizerFromDealloc(self) < 0) {
        return; /* resurrected */
    }
    PyObject_GC_UnTrack(self);
    if (CT_TABLE(self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    Py_TRASHCAN_BEGIN(self, set_dealloc) /* a chain of tables may be longer than the stack */
    drop_block(CT_SET(self), 0); /* nobody has a reference, so nobody is reading */
    ct_table_release(CT_TABLE(self));
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* -- the type ----------------------------------------------------------------------------------- */

enum { OWN_METHODS = 27, ALL_METHODS = OWN_METHODS + 4 + 1 };

static const PyMethodDef own_methods[OWN_METHODS] = {
    CT_SET_SHARED_METHODS,
    {"__contains__", set_dunder_contains, METH_O | METH_COEXIST, "Lock-free."},
    {"add", set_add, METH_O,
     "add($self, item, /)\n--\n\nAdd an element; an equal one that is there stays. Atomic."},
    {"discard", set_discard, METH_O,
     "discard($self, item, /)\n--\n\nRemove an element if it is there. Atomic."},
    {"remove", set_remove, METH_O,
     "remove($self, item, /)\n--\n\nRemove an element; KeyError when it is not there. Atomic."},
    {"pop", set_pop, METH_NOARGS,
     "pop($self, /)\n--\n\nRemove and return some element; KeyError when there is none. Atomic."},
    {"clear", set_clear, METH_NOARGS,
     "clear($self, /)\n--\n\nRemove everything, in one step. Atomic."},
    {"update", CT_SET_FASTCALL(set_update), METH_FASTCALL,
     "update($self, /, *others)\n--\n\nAdd the elements of all others, in one step. Atomic.\n\n"
     "Filling an empty set from one whole set or mapping is one CLONED event."},
    {"intersection_update", CT_SET_FASTCALL(set_intersection_update), METH_FASTCALL,
     "intersection_update($self, /, *others)\n--\n\n"
     "Keep only the elements that all others have too, in one step. Atomic."},
    {"difference_update", CT_SET_FASTCALL(set_difference_update), METH_FASTCALL,
     "difference_update($self, /, *others)\n--\n\n"
     "Remove the elements of all others, in one step. Atomic."},
    {"symmetric_difference_update", set_symmetric_difference_update, METH_O,
     "symmetric_difference_update($self, other, /)\n--\n\n"
     "Remove the elements that other has too, add those that only it has, in one step. Atomic."},
    {"copy", ct_set_plain_copy, METH_NOARGS,
     "copy($self, /)\n--\n\nA new set of the elements of one moment. Atomic."},
    {"__copy__", set_dunder_copy, METH_NOARGS, NULL},
    {"snapshot", set_snapshot, METH_NOARGS,
     "snapshot($self, /)\n--\n\n"
     "A FrozenSet of one moment; the same object again until the next write.\n\n"
     "Cost: one copy of the arrays after a write, else nothing. Thread-safety: atomic."},
    {"freeze", set_snapshot, METH_NOARGS, "freeze($self, /)\n--\n\nThe same as snapshot()."},
    {"__sizeof__", set_sizeof, METH_NOARGS, NULL},
    {"_layout", ct_set_layout, METH_NOARGS, NULL},
    {"_exclusive_parts", set_exclusive_parts, METH_NOARGS, NULL},
};

/* Own methods and the watchers: one table, filled once, the same for every interpreter. */
static PyMethodDef set_methods[ALL_METHODS];

static void
collect_methods(void)
{
    PyMethodDef *at = set_methods;
    for (int i = 0; i < OWN_METHODS && own_methods[i].ml_name != NULL; i++) {
        *at++ = own_methods[i];
    }
    memcpy(at, ct_watch_methods, sizeof(ct_watch_methods));
}

static PyGetSetDef set_getset[] = {
    {"version", ct_version_attribute, NULL,
     "A number that rises with every mutation. Thread-safety: lock-free.", NULL},
    {"keys_version", ct_keys_version_attribute, NULL,
     "A number that rises when an element is added or removed. Thread-safety: lock-free.", NULL},
    {"_watch", ct_watch_get, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef set_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ct_table, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(set_doc,
"ConcurrentSet(iterable=(), /)\n--\n\n"
"A set that any number of threads may read and write.\n\n"
"The whole API of `set`; *every* method is atomic, `update` with several iterables, the in-place\n"
"operators and the constructor included: other threads see all of a change or nothing of it.\n"
"Reads take no lock; writes exclude each other.\n\n"
"Differences from `set`: iteration is weakly consistent and never raises because of a change;\n"
"operators take any `collections.abc.Set` (dict views too) and return a ConcurrentSet; once the\n"
"set is shared, finalizers of removed elements run after a grace period (`reclaim.flush()`\n"
"forces them).\n\n"
"Parameters: `iterable` of hashable elements. Errors: as for `set`.\n"
"Thread-safety: every method is atomic; see docs/reference/thread-safety.md.\n"
"Source: CPython Objects/setobject.c for the layout; docs/explanation for the rest.\n\n"
">>> from concurrent_tables import ConcurrentSet\n"
">>> seen = ConcurrentSet([1, 2])\n"
">>> seen.add(3)\n"
">>> seen -= {1}\n"
">>> seen == {2, 3}, 1 in seen, seen.freeze()\n"
"(True, False, FrozenSet({2, 3}))\n");

static PyType_Slot set_slots[] = {
    {Py_tp_doc, (void *)set_doc},
    {Py_tp_new, set_new},
    {Py_tp_init, set_init},
    {Py_tp_dealloc, set_dealloc},
    {Py_tp_finalize, set_finalize},
    {Py_tp_traverse, set_traverse},
    {Py_tp_clear, set_clear_refs},
    {Py_tp_methods, set_methods},
    {Py_tp_getset, set_getset},
    {Py_tp_members, set_members},
    {Py_tp_repr, ct_set_repr},
    {Py_tp_hash, PyObject_HashNotImplemented},
    {Py_tp_richcompare, ct_set_richcompare},
    {Py_tp_iter, ct_set_iter},
    {Py_sq_length, set_length},
    {Py_sq_contains, set_contains},
    {Py_nb_or, ct_set_or},
    {Py_nb_and, ct_set_and},
    {Py_nb_subtract, ct_set_subtract},
    {Py_nb_xor, ct_set_xor},
    {Py_nb_inplace_or, set_inplace_or},
    {Py_nb_inplace_and, set_inplace_and},
    {Py_nb_inplace_subtract, set_inplace_subtract},
    {Py_nb_inplace_xor, set_inplace_xor},
    {0, NULL},
};

static PyType_Spec set_spec = {
    .name = "concurrent_tables.ConcurrentSet",
    .basicsize = sizeof(ct_set_table),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = set_slots,
};

/* MutableSet.register(ConcurrentSet) */
static int
register_abc(PyObject *type)
{
    PyObject *abc = PyImport_ImportModule("collections.abc");
    PyObject *mutable = abc ? ct_getattr(abc, "MutableSet") : NULL;
    PyObject *registered = mutable ? ct_call_method(mutable, "register", type) : NULL;
    Py_XDECREF(abc);
    Py_XDECREF(mutable);
    Py_XDECREF(registered);
    return registered == NULL ? -1 : 0;
}

int
ct_set_type_init(PyObject *module, ct_state *st)
{
    if (set_methods[0].ml_name == NULL) {
        collect_methods();
    }
    if (ct_set_process_init() < 0 || ct_set_iter_type_init(module, st) < 0
        || ct_frozen_set_type_init(module, st) < 0) {
        return -1;
    }
    for (int i = CT_XO_NULL; i <= CT_XO_DEAD; i++) {
        st->extra_objects[i] = PyObject_CallNoArgs((PyObject *)&PyBaseObject_Type);
        if (st->extra_objects[i] == NULL) {
            return -1;
        }
    }
    PyObject *type = PyType_FromModuleAndSpec(module, &set_spec, NULL);
    st->extra_types[CT_X_SET] = (PyTypeObject *)type;
    if (type == NULL || ct_table_type_register(st, ct_set_type(st)) < 0
        || PyObject_SetAttrString(type, "_is_table_set", Py_True) < 0
        || register_abc(type) < 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "ConcurrentSet", type);
}
