/* FrozenDict: a keys block that nobody changes, so that nothing needs a pin or a lock. */
#ifndef CT_FROZEN_DICT_H
#define CT_FROZEN_DICT_H

#include "table.h"

typedef struct {
    PyObject_HEAD
    ct_keys *keys;   /* held; it owns its references (CT_OWNS_ALL) */
    Py_ssize_t used;
    ct_ssize hash;   /* -1: not computed */
    PyObject *weakrefs;
    ct_state *st;
} ct_frozen;

#define CT_FROZEN_DICT(o) ((ct_frozen *)(o))

int ct_frozen_type_init(PyObject *module, ct_state *st);

/* Exactly or a subclass of the FrozenDict of this module. */
CT_INLINE int
ct_is_frozen(ct_state *st, PyObject *o)
{
    return PyObject_TypeCheck(o, st->frozen_dict_type);
}

/* An empty one, to be given its block (which must own its references). */
ct_frozen *ct_frozen_alloc(ct_state *st, PyTypeObject *type);
void ct_frozen_set(ct_frozen *f, ct_keys *keys, Py_ssize_t used); /* steals the hold */
/* Entry, CT_MISS, or CT_ERROR. */
Py_ssize_t ct_frozen_find(ct_frozen *f, PyObject *key, Py_hash_t hash);
/* The value, borrowed, or NULL (check PyErr_Occurred). */
PyObject *ct_frozen_value(ct_frozen *f, PyObject *key);
/* What a dict of the same contents looks like (new reference). */
PyObject *ct_frozen_as_dict(ct_frozen *f);
/* ct_frozen == other mapping: 1, 0, -1; `other` is a dict or something with get(). */
int ct_frozen_equal(ct_frozen *f, PyObject *other);
/* A FrozenDict of whatever dict.update() takes; new reference. */
PyObject *ct_frozen_from(ct_state *st, PyTypeObject *type, PyObject *other, PyObject *kwargs);

/* A table's contents at one moment: cached until the next write.  New reference. */
PyObject *ct_snapshot(ct_table *t);
/* A private copy of the block at one moment; NULL with MemoryError. */
ct_keys *ct_clone_block(ct_table *t, Py_ssize_t *used);
/* A block with the contents of a builtin dict (exact or not); NULL with an error. */
ct_keys *ct_block_from_dict(PyObject *dict, Py_ssize_t *used);
/* "Name({...})" with recursion shown as "Name({...})". */
PyObject *ct_repr_of(PyObject *self, PyObject *frozen);
/* Whether `other` is a dict or a mapping of this package: 1, 0, -1. */
int ct_is_mapping(PyObject *other);

/* Walk the live entries of a block that does not change.  0 at the end. */
CT_INLINE int
ct_block_next(const ct_keys *keys, Py_ssize_t *at, PyObject **key, PyObject **value)
{
    Py_ssize_t count = ct_load_relaxed(&keys->nentries);
    while (*at < count) {
        Py_ssize_t ix = (*at)++;
        *value = ct_entry_value(keys, ix);
        if (*value != NULL) {
            *key = ct_entry_key(keys, ix);
            return 1;
        }
    }
    return 0;
}

#endif
