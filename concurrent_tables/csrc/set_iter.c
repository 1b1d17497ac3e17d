/* Iterators over sets: weakly consistent, safe to share between threads, indifferent to changes.
 *
 * An iterator borrows the block that was current when it was made (set_keys.h), which therefore
 * stays as it is: nothing is yielded twice, and nothing that came later.  Slots are claimed with
 * an atomic counter: threads that share an iterator divide the elements.  Once the set has moved
 * to another block, an element is yielded if the present block still holds the identical object. */
#include "alone.h"
#include "set_operand.h"
#include "views.h"

typedef struct {
    PyObject_HEAD
    PyObject *table;    /* ConcurrentSet or FrozenSet */
    ct_set_keys *block; /* borrowed; the empty block once there is nothing more to come */
    ct_ssize claimed;   /* slots before this one are somebody's */
    int frozen;
    ct_maker maker;
} set_iter;

/* Whether the set that this iterator walks still has an element of its block; -1 with an error. */
CT_NOINLINE static int
still_there(set_iter *it, PyObject *key, Py_ssize_t slot)
{
    ct_set_table *s = CT_SET(it->table);
    ct_record *self = ct_enter(&s->base);
    if (self == NULL) {
        return -1;
    }
    int there = ct_set_identical(ct_set_block(s), key, it->block->slots[slot].hash);
    ct_unpin(self);
    return there;
}

/* 1 when the element in a slot is to be yielded, 0, -1 with an error. */
CT_INLINE int
is_current(set_iter *it, PyObject *key, Py_ssize_t slot)
{
    if (it->frozen || CT_LIKELY(ct_load_acquire(&CT_SET(it->table)->block) == it->block)) {
        return 1;
    }
    return still_there(it, key, slot);
}

/* The next slot that has an element and is not claimed yet, now claimed; CT_MISS at the end. */
CT_INLINE Py_ssize_t
claim(set_iter *it, ct_set_item *item, int alone)
{
    Py_ssize_t from = ct_load_relaxed(&it->claimed), at = from;
    Py_ssize_t slot = ct_set_next(it->block, &at, item);
    if (CT_LIKELY(alone)) {
        ct_store_relaxed(&it->claimed, at);
        return slot;
    }
    while (!ct_cas_seq_cst(&it->claimed, &from, at)) {
        at = from;
        slot = ct_set_next(it->block, &at, item);
    }
    return slot;
}

static int iter_clear(PyObject *self);

static PyObject *
iter_next(PyObject *self)
{
    set_iter *it = (set_iter *)self;
    int alone = !CT_FT || ct_is_makers_alone(self, &it->maker); /* nobody else is calling next() */
    ct_set_item item;
    Py_ssize_t slot;
    while ((slot = claim(it, &item, alone)) >= 0) {
        int current = is_current(it, item.key, slot);
        if (CT_LIKELY(current > 0)) {
            return Py_NewRef(item.key); /* the block is lent: its keys are alive */
        }
        if (current < 0) {
            return NULL;
        }
    }
    if (alone) {
        iter_clear(self); /* the loan ends: the next change need not copy */
    }
    return NULL;
}

PyObject *
ct_set_iter(PyObject *table)
{
    ct_state *st = ct_state_of_type(Py_TYPE(table));
    set_iter *it = st == NULL ? NULL : PyObject_GC_New(set_iter, st->extra_types[CT_X_SET_ITER]);
    if (it == NULL) {
        return NULL;
    }
    it->table = Py_NewRef(table);
    it->frozen = ct_is_frozen_set(st, table);
    it->maker = ct_maker_here();
    ct_store_relaxed(&it->claimed, 0);
    it->block = ct_set_still_block(st, table);
    PyObject_GC_Track(it);
    if (it->block == NULL) {
        Py_CLEAR(it);
    }
    return (PyObject *)it;
}

static int
iter_traverse(PyObject *self, visitproc visit, void *arg)
{
    set_iter *it = (set_iter *)self;
    ct_set_item item;
    Py_ssize_t at = 0;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(it->table);
    /* A block that the set has left owns its elements.  They count once: only its last holder
     * may claim them. */
    if (it->block == NULL || it->frozen || it->block->owns == CT_OWNS_NOTHING
        || ct_load_relaxed(&it->block->refs) != 1) {
        return 0;
    }
    while (ct_set_next(it->block, &at, &item) >= 0) {
        Py_VISIT(item.key);
    }
    return 0;
}

static int
iter_clear(PyObject *self)
{
    set_iter *it = (set_iter *)self;
    ct_set_keys *block = it->block;
    it->block = ct_set_empty;
    ct_set_give_back(block);
    Py_CLEAR(it->table);
    return 0;
}

static void
iter_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    iter_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
iter_length_hint(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    set_iter *it = (set_iter *)self;
    ct_set_item item;
    Py_ssize_t at = ct_load_relaxed(&it->claimed), left = at == 0 ? ct_set_count(it->block) : 0;
    Py_ssize_t size = it->table == NULL ? 0 : PyObject_Size(it->table);
    if (size < 0) {
        return NULL;
    }
    while (at > 0 && ct_set_next(it->block, &at, &item) >= 0) {
        left++;
    }
    return PyLong_FromSsize_t(size < left ? size : left);
}

/* iter([...the rest...]), without using the iterator up. */
static PyObject *
iter_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    set_iter *it = (set_iter *)self;
    PyObject *rest = PyList_New(0);
    Py_ssize_t at = ct_load_relaxed(&it->claimed), slot;
    ct_set_item item;
    while (rest != NULL && (slot = ct_set_next(it->block, &at, &item)) >= 0) {
        int current = is_current(it, item.key, slot);
        if (current < 0 || (current > 0 && PyList_Append(rest, item.key) < 0)) {
            Py_CLEAR(rest);
        }
    }
    return ct_iter_recipe(rest);
}

static PyMethodDef iter_methods[] = {
    {"__length_hint__", iter_length_hint, METH_NOARGS, NULL},
    {"__reduce__", iter_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot iter_slots[] = {
    {Py_tp_doc, "Iterator over a set. Each element goes to exactly one of the threads that share it."},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iter_next},
    {Py_tp_methods, iter_methods},
    {Py_tp_traverse, iter_traverse},
    {Py_tp_clear, iter_clear},
    {Py_tp_dealloc, iter_dealloc},
    {0, NULL},
};

static PyType_Spec iter_spec = {
    .name = "concurrent_tables._core.SetIterator",
    .basicsize = sizeof(set_iter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = iter_slots,
};

int
ct_set_iter_type_init(PyObject *module, ct_state *st)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &iter_spec, NULL);
    st->extra_types[CT_X_SET_ITER] = (PyTypeObject *)type;
    return type == NULL ? -1 : 0;
}
