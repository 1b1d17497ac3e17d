/* Iterators over sets: weakly consistent, safe to share between threads, indifferent to changes.
 *
 * An iterator holds the block that was current when it was made, and the range of its insertions.  Each
 * of them is one element that, once dead, stays dead; so nothing is yielded twice, and what was there from start
 * to end is yielded once.  Positions are claimed with an atomic counter: threads that share an iterator
 * divide the elements.  Once the set has moved to another block, an element is yielded if the
 * present block still holds the identical object; the old block then owns its elements
 * (ct_set_publish_held), so that they can be looked at. */
#include "set.h"

typedef struct {
    PyObject_HEAD
    PyObject *table;    /* ConcurrentSet or FrozenSet */
    ct_set_keys *block; /* held */
    Py_ssize_t first, limit;
    ct_ssize claimed;
    int frozen;
} set_iter;

/* The element of an insertion as a new reference, NULL when it is gone.  *failed: an error is set. */
static PyObject *
element_now(set_iter *it, Py_ssize_t position, int *failed)
{
    Py_ssize_t slot = ct_set_order(it->block, position);
    if (it->frozen) {
        PyObject *key = ct_set_at(it->block, slot);
        Py_XINCREF(key);
        return key;
    }
    ct_set_table *s = CT_SET(it->table);
    ct_record *self = ct_enter(&s->base);
    if (self == NULL) {
        *failed = 1;
        return NULL;
    }
    PyObject *key = ct_set_at(it->block, slot);
    if (key != NULL) {
        ct_set_keys *present = ct_set_block(s); /* after the key: see there whether it has moved */
        if (present != it->block
            && !ct_set_identical(present, key, it->block->slots[slot].hash)) {
            key = NULL;
        }
    }
    Py_XINCREF(key); /* pinned: it is the set's or the block's */
    ct_unpin(self);
    return key;
}

static PyObject *
iter_next(PyObject *self)
{
    set_iter *it = (set_iter *)self;
    int failed = 0;
    for (;;) {
#if CT_FT
        Py_ssize_t position = ct_fetch_add_relaxed(&it->claimed, 1);
#else
        Py_ssize_t position = ct_load_relaxed(&it->claimed);
        ct_store_relaxed(&it->claimed, position + 1);
#endif
        if (position >= it->limit - it->first) {
            ct_store_relaxed(&it->claimed, it->limit - it->first);
            return NULL;
        }
        PyObject *key = element_now(it, it->first + position, &failed);
        if (key != NULL || failed) {
            return key;
        }
    }
}

static void
start(set_iter *it)
{
    it->first = it->block->bottom;
    it->limit = ct_set_filled(it->block);
}

static int
attach(set_iter *it)
{
    ct_section section;
    if (it->frozen) {
        it->block = CT_FROZEN_SET(it->table)->block;
        ct_set_hold(it->block);
        start(it);
        return 0;
    }
    ct_set_table *s = CT_SET(it->table);
    if (ct_touch(&s->base) < 0) {
        return -1;
    }
    /* The section, so that whoever replaces the block sees that it is held. */
    ct_lock(&s->base, &section);
    it->block = ct_load_relaxed(&s->block);
    ct_set_hold(it->block);
    if (it->block != ct_set_empty) {
        ct_fetch_add_relaxed(&it->block->holds, 1);
    }
    start(it);
    ct_unlock(&section);
    return 0;
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
    it->block = ct_set_empty;
    it->first = it->limit = 0;
    ct_store_relaxed(&it->claimed, 0);
    int status = attach(it);
    PyObject_GC_Track(it);
    if (status < 0) {
        Py_CLEAR(it);
    }
    return (PyObject *)it;
}

static int
iter_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((set_iter *)self)->table);
    return 0;
}

static int
iter_clear(PyObject *self)
{
    set_iter *it = (set_iter *)self;
    ct_set_keys *block = it->block;
    it->block = ct_set_empty;
    it->limit = it->first = 0;
    if (block != ct_set_empty) {
        if (!it->frozen) {
            ct_fetch_add_acq_rel(&block->holds, -1);
        }
        ct_set_release(block);
    }
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
    Py_ssize_t left = it->limit - it->first - ct_load_relaxed(&it->claimed);
    Py_ssize_t size = it->table == NULL ? 0 : PyObject_Size(it->table);
    if (size < 0) {
        return NULL;
    }
    left = size < left ? size : left;
    return PyLong_FromSsize_t(left < 0 ? 0 : left);
}

/* iter([...the rest...]), without using the iterator up. */
static PyObject *
iter_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    set_iter *it = (set_iter *)self;
    PyObject *builtins = PyImport_ImportModule("builtins");
    PyObject *iter = builtins ? PyObject_GetAttrString(builtins, "iter") : NULL;
    PyObject *rest = iter ? PyList_New(0) : NULL;
    Py_ssize_t position = it->first + ct_load_relaxed(&it->claimed);
    int failed = 0;
    for (; rest != NULL && position < it->limit; position++) {
        PyObject *key = element_now(it, position, &failed);
        if (failed || (key != NULL && PyList_Append(rest, key) < 0)) {
            Py_CLEAR(rest);
        }
        Py_XDECREF(key);
    }
    Py_XDECREF(builtins);
    if (rest == NULL) {
        Py_XDECREF(iter);
        return NULL;
    }
    return Py_BuildValue("N(N)", iter, rest);
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
