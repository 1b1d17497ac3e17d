/* ConcurrentSet and FrozenSet: the structs, and what their files offer each other. */
#ifndef CT_SET_H
#define CT_SET_H

#include "set_keys.h"
#include "table.h"

/* Places in ct_state.extra_types and extra_objects. */
enum { CT_X_SET = 12, CT_X_FROZEN_SET = 13, CT_X_SET_ITER = 14 };
enum { CT_XO_NULL = 12, CT_XO_DEAD = 13 }; /* what a layout shows for empty and dead slots */

/* A mutable set.  `base.keys` stays the empty block. */
typedef struct {
    ct_table base;
    _Atomic(ct_set_keys *) block; /* release by the lock holder, acquire by readers */
    /* A change of the contents raises `started` before its first store and base.version after its
     * last: while both are equal, what is read in between belongs to one moment. */
    ct_u64 started;
} ct_set_table;

typedef struct {
    PyObject_HEAD
    ct_set_keys *block; /* held; it owns its references */
    ct_ssize hash;      /* -1: not computed */
    PyObject *weakrefs;
    ct_state *st;
} ct_fset;

#define CT_SET(o) ((ct_set_table *)(o))
#define CT_FROZEN_SET(o) ((ct_fset *)(o))

CT_INLINE PyTypeObject *
ct_set_type(ct_state *st)
{
    return st->extra_types[CT_X_SET];
}

CT_INLINE PyTypeObject *
ct_frozen_set_type(ct_state *st)
{
    return st->extra_types[CT_X_FROZEN_SET];
}

CT_INLINE int
ct_is_set(ct_state *st, PyObject *o)
{
    return PyObject_TypeCheck(o, ct_set_type(st));
}

CT_INLINE int
ct_is_frozen_set(ct_state *st, PyObject *o)
{
    return PyObject_TypeCheck(o, ct_frozen_set_type(st));
}

/* Load the block with a pin or the lock held. */
CT_INLINE ct_set_keys *
ct_set_block(ct_set_table *s)
{
    return ct_load_acquire(&s->block);
}

/* frozen_set.c */
int ct_frozen_set_type_init(PyObject *module, ct_state *st);
/* A FrozenSet of a block that owns its references; steals the hold, also when it fails. */
PyObject *ct_frozen_set_from(ct_state *st, PyTypeObject *type, ct_set_keys *block);
PyObject *ct_frozen_set_of(ct_state *st, const ct_set_keys *block); /* of a copy */
PyObject *ct_frozen_set_alloc(ct_state *st, PyTypeObject *type); /* an empty one */

/* set.c */
int ct_set_type_init(PyObject *module, ct_state *st);
/* A plain ConcurrentSet of a private block; steals the hold, also when it fails. */
PyObject *ct_set_from(ct_state *st, ct_set_keys *block);
/* The FrozenSet of one moment, cached until the next write; new reference. */
PyObject *ct_set_snapshot(ct_set_table *s);

/* The block of a moment, which does not change until ct_set_give_back; NULL with an error. */
ct_set_keys *ct_set_borrow(ct_set_table *s);

/* set_iter.c */
int ct_set_iter_type_init(PyObject *module, ct_state *st);
PyObject *ct_set_iter(PyObject *table); /* tp_iter of both types */

/* set_layout.c: what inspect_table() walks. */
PyObject *ct_set_layout(PyObject *table, PyObject *ignored);
PyObject *ct_frozen_set_layout(PyObject *table, PyObject *ignored);

#endif
