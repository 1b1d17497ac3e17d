/* Iterators: weakly consistent, safe to share between threads, never raising because of a change.
 *
 * An iterator holds the block that was current when it was made, and the number of its entries.  In
 * that block a key has at most one live entry, and what died stays dead (I2); so nothing is yielded
 * twice, and what was there from start to end is yielded once.  Positions are claimed with an atomic
 * counter: threads that share an iterator divide the entries.  Once the table has moved to another block, an
 * entry is yielded if the present block still holds the identical key, with its present value; the
 * old block then owns its keys (ct_replace_block_held), so that they can be looked at.
 */
#include "alone.h"
#include "views.h"

typedef struct {
    PyObject_HEAD
    PyObject *table;   /* ct_table or ct_frozen */
    ct_keys *keys;     /* held */
    char *cells;       /* key and value of the block's first entry, so that a step leaves alone ... */
    size_t stride;     /* ... the block's header, which every iterator that comes or goes writes to */
    Py_ssize_t first, limit;
    ct_ssize claimed;
    int what, backwards, frozen;
    ct_maker maker;
    _Atomic(PyObject *) pair; /* the last pair, to be used again if nobody kept it */
} ct_iter;

/* Key and value: what the entries of either kind of block end with. */
CT_INLINE ct_str_entry *
cell_at(ct_iter *it, Py_ssize_t ix)
{
    return (ct_str_entry *)(it->cells + (size_t)ix * it->stride);
}

CT_INLINE PyObject *
cell_value(ct_str_entry *cell)
{
    return (PyObject *)(ct_load_acquire(&cell->value) & ~CT_FROZEN);
}

/* -- the entry as it is now --------------------------------------------------------------------- */

/* The entry of the identical key in another block, by pointer alone. */
static Py_ssize_t
find_identical(const ct_keys *keys, PyObject *key, Py_hash_t hash)
{
    size_t mask = ct_mask(keys), perturb = (size_t)hash, i = perturb & mask;
    for (;;) {
        Py_ssize_t ix = ct_index_get(keys, i);
        if (ix == CT_EMPTY || (ix >= 0 && ct_entry_key(keys, ix) == key)) {
            return ix == CT_EMPTY ? CT_MISS : ix;
        }
        CT_NEXT_SLOT(i, perturb, mask);
    }
}

/* Pinned.  The value in the cell of entry `ix` at this moment, or NULL. */
CT_INLINE PyObject *
present_value(ct_iter *it, ct_str_entry *cell, Py_ssize_t ix)
{
    ct_keys *keys = it->keys;
    PyObject *value = cell_value(cell);
    if (value == NULL) {
        return NULL;
    }
    CT_POINT(iter_value);
    ct_keys *present = ct_table_keys(CT_TABLE(it->table));
    if (CT_LIKELY(present == keys)) {
        return value;
    }
    Py_ssize_t now = find_identical(present, cell->key, ct_entry_hash(keys, ix));
    return now < 0 ? NULL : ct_entry_value(present, now);
}

static PyObject *
new_pair(PyObject *key, PyObject *value) /* steals both */
{
    PyObject *pair = PyTuple_New(2);
    if (pair == NULL) {
        Py_DECREF(key);
        Py_DECREF(value);
        return NULL;
    }
    PyTuple_SET_ITEM(pair, 0, key);
    PyTuple_SET_ITEM(pair, 1, value);
    return pair;
}

/* Put new contents into a pair that nobody else has; returns a new reference to it. */
static PyObject *
reuse_pair(PyObject *pair, PyObject *key, PyObject *value)
{
    PyObject *old_key = PyTuple_GET_ITEM(pair, 0), *old_value = PyTuple_GET_ITEM(pair, 1);
    PyTuple_SET_ITEM(pair, 0, key);
    PyTuple_SET_ITEM(pair, 1, value);
#if PY_VERSION_HEX >= 0x030E0000
    ((PyTupleObject *)pair)->ob_hash = -1; /* forget the cached hash */
#endif
    if (!PyObject_GC_IsTracked(pair)) {
        PyObject_GC_Track(pair); /* a collection may have untracked it for its old contents */
    }
    Py_INCREF(pair);
    Py_DECREF(old_key);
    Py_DECREF(old_value);
    return pair;
}

/* steals both; `alone`: no other thread has the iterator, so its memory of a pair is ours */
static PyObject *
pair_of(ct_iter *it, int alone, PyObject *key, PyObject *value)
{
    PyObject *pair = alone ? ct_load_relaxed(&it->pair) : NULL;
    if (pair != NULL && ct_is_alone(pair)) {
        return reuse_pair(pair, key, value);
    }
    PyObject *fresh = new_pair(key, value);
    if (alone && fresh != NULL) {
        Py_INCREF(fresh);
        ct_store_relaxed(&it->pair, fresh);
        Py_XDECREF(pair);
    }
    return fresh;
}

CT_INLINE void
take_references(int what, PyObject *key, PyObject *value)
{
    if (what != CT_ITER_VALUES) {
        Py_INCREF(key);
    }
    if (what != CT_ITER_KEYS) {
        Py_INCREF(value);
    }
}

/* 1 with references for entry `ix`, 0 when it is gone, -1 with an error. */
CT_INLINE int
entry_now(ct_iter *it, Py_ssize_t ix, PyObject **key, PyObject **value)
{
    ct_record *self = NULL;
    ct_str_entry *cell = cell_at(it, ix);
    if (it->frozen) {
        *value = cell_value(cell);
    }
    else {
        self = ct_enter(CT_TABLE(it->table));
        if (self == NULL) {
            return -1;
        }
        *value = present_value(it, cell, ix);
    }
    CT_POINT(value_keep);
    *key = cell->key;
    if (*value != NULL) {
        take_references(it->what, *key, *value); /* pinned: the key is the table's or the block's */
    }
    if (self != NULL) {
        ct_unpin(self);
    }
    return *value != NULL;
}

/* The next position; threads that share the iterator divide them. */
CT_INLINE Py_ssize_t
claim(ct_iter *it, int alone)
{
    if (CT_FT && !alone) {
        return ct_fetch_add_relaxed(&it->claimed, 1);
    }
    Py_ssize_t position = ct_load_relaxed(&it->claimed);
    ct_store_relaxed(&it->claimed, position + 1);
    return position;
}

static PyObject *
iter_next(PyObject *self)
{
    ct_iter *it = (ct_iter *)self;
    int alone = ct_is_makers_alone(self, &it->maker);
    for (;;) {
        Py_ssize_t position = claim(it, alone);
        if (position >= it->limit - it->first) {
            ct_store_relaxed(&it->claimed, it->limit - it->first);
            return NULL;
        }
        PyObject *key, *value;
        Py_ssize_t ix = it->backwards ? it->limit - 1 - position : it->first + position;
        int found = entry_now(it, ix, &key, &value);
        if (found > 0) {
            if (it->what == CT_ITER_ITEMS) {
                return pair_of(it, alone, key, value);
            }
            return it->what == CT_ITER_KEYS ? key : value;
        }
        if (found < 0) {
            return NULL;
        }
    }
}

/* -- life --------------------------------------------------------------------------------------- */

static void
note_block(ct_iter *it)
{
    if (it->keys->kind == CT_UNICODE) {
        it->cells = (char *)ct_str_entries(it->keys);
        it->stride = sizeof(ct_str_entry);
    }
    else {
        it->cells = (char *)&ct_any_entries(it->keys)->key;
        it->stride = sizeof(ct_any_entry);
    }
}

PyObject *
ct_iter_new(ct_state *st, PyObject *table, int what, int backwards)
{
    PyTypeObject *type = backwards ? st->reverse_iter_type : st->iter_type;
    ct_iter *it = PyObject_GC_New(ct_iter, type);
    if (it == NULL) {
        return NULL;
    }
    it->table = Py_NewRef(table);
    it->what = what;
    it->backwards = backwards;
    it->frozen = ct_is_frozen(st, table);
    it->keys = ct_empty_keys;
    it->first = it->limit = 0;
    ct_store_relaxed(&it->claimed, 0);
    ct_store_relaxed(&it->pair, NULL);
    if (it->frozen) {
        it->keys = CT_FROZEN_DICT(table)->keys;
        ct_keys_hold(it->keys);
    }
    else {
        ct_section section;
        if (ct_touch(CT_TABLE(table)) < 0) {
            Py_DECREF(it);
            return NULL;
        }
        /* The section, so that whoever replaces the block sees that it is held. */
        ct_lock(CT_TABLE(table), &section);
        it->keys = ct_load_relaxed(&CT_TABLE(table)->keys);
        ct_keys_hold(it->keys);
        if (it->keys != ct_empty_keys) {
            ct_fetch_add_relaxed(&it->keys->holds, 1);
        }
        it->first = it->keys->bottom;
        it->limit = ct_load_relaxed(&it->keys->nentries);
        ct_unlock(&section);
    }
    if (it->frozen) {
        it->first = it->keys->bottom;
        it->limit = ct_load_relaxed(&it->keys->nentries);
    }
    note_block(it);
    it->maker = ct_maker_here();
    PyObject_GC_Track(it);
    return (PyObject *)it;
}

PyObject *
ct_iter_keys(PyObject *table)
{
    ct_state *st = ct_state_of_mapping(table);
    return st == NULL ? NULL : ct_iter_new(st, table, CT_ITER_KEYS, 0);
}

PyObject *
ct_iter_reversed(PyObject *table, PyObject *Py_UNUSED(ignored))
{
    ct_state *st = ct_state_of_mapping(table);
    return st == NULL ? NULL : ct_iter_new(st, table, CT_ITER_KEYS, 1);
}

static int
iter_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((ct_iter *)self)->table);
    PyObject *pair = ct_load_relaxed(&((ct_iter *)self)->pair);
    Py_VISIT(pair);
    return 0;
}

static int
iter_clear(PyObject *self)
{
    ct_iter *it = (ct_iter *)self;
    ct_keys *keys = it->keys;
    it->keys = ct_empty_keys;
    it->limit = it->first = 0;
    if (keys != NULL && keys != ct_empty_keys) {
        if (!it->frozen) {
            ct_fetch_add_acq_rel(&keys->holds, -1);
        }
        ct_keys_release(keys);
    }
    Py_CLEAR(it->table);
    PyObject *pair = ct_exchange_acq_rel(&it->pair, NULL);
    Py_XDECREF(pair);
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
    ct_iter *it = (ct_iter *)self;
    Py_ssize_t left = it->limit - it->first - ct_load_relaxed(&it->claimed);
    if (it->table != NULL && !it->frozen && ct_used(CT_TABLE(it->table)) < left) {
        left = ct_used(CT_TABLE(it->table));
    }
    return PyLong_FromSsize_t(left < 0 ? 0 : left);
}

PyObject *
ct_iter_recipe(PyObject *rest)
{
    PyObject *builtins = rest == NULL ? NULL : PyImport_ImportModule("builtins");
    PyObject *iter = builtins == NULL ? NULL : ct_getattr(builtins, "iter");
    Py_XDECREF(builtins);
    if (iter == NULL) {
        Py_XDECREF(rest);
        return NULL;
    }
    return Py_BuildValue("N(N)", iter, rest);
}

PyObject *
ct_iter_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return ct_iter_recipe(PySequence_List(self));
}

static PyMethodDef iter_methods[] = {
    {"__length_hint__", iter_length_hint, METH_NOARGS, NULL},
    {"__reduce__", ct_iter_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot iter_slots[] = {
    {Py_tp_doc, "Iterator over a table. Each entry goes to exactly one of the threads that share it."},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iter_next},
    {Py_tp_methods, iter_methods},
    {Py_tp_traverse, iter_traverse},
    {Py_tp_clear, iter_clear},
    {Py_tp_dealloc, iter_dealloc},
    {0, NULL},
};

#define ITER_FLAGS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION)

static PyType_Spec iter_spec = {
    .name = "concurrent_tables._core.TableIterator",
    .basicsize = sizeof(ct_iter),
    .flags = ITER_FLAGS,
    .slots = iter_slots,
};

static PyType_Spec reverse_iter_spec = {
    .name = "concurrent_tables._core.ReverseTableIterator",
    .basicsize = sizeof(ct_iter),
    .flags = ITER_FLAGS,
    .slots = iter_slots,
};

int
ct_iter_type_init(PyObject *module, ct_state *st)
{
    st->iter_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &iter_spec, NULL);
    st->reverse_iter_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &reverse_iter_spec, NULL);
    return st->iter_type == NULL || st->reverse_iter_type == NULL ? -1 : 0;
}
