/* Operands of set operations: any iterable, read once, at one moment where it has one. */
#ifndef CT_SET_OPERAND_H
#define CT_SET_OPERAND_H

#include "set.h"

/* (element, hash) pairs of any iterable; lazily, unless it is a set or a mapping. */
typedef struct {
    ct_set_keys *block; /* borrowed: the elements of a set of this module */
    PyObject *list;     /* of another set or mapping, or an operand that is an exact list */
    PyObject *tuple;    /* an operand that is an exact tuple */
    PyObject *iterator; /* anything else */
    int distinct;       /* no two elements of `list` are equal */
    Py_ssize_t at;
} ct_set_source;

int ct_set_open(ct_state *st, PyObject *other, ct_set_source *source); /* 0 or -1 */
/* 1 with a new reference in item->key, 0 at the end, -1 with an error. */
int ct_set_read(ct_set_source *source, ct_set_item *item);
void ct_set_close(ct_set_source *source);

/* A builtin set or one of this package, of either implementation. */
int ct_is_any_set(PyObject *other);
/* A dict or a mapping of this package, of either implementation. */
int ct_set_is_mapping(PyObject *other);

/* The elements of a ConcurrentSet (one moment) or a FrozenSet in a block that does not change until
 * ct_set_give_back; NULL with an error. */
ct_set_keys *ct_set_still_block(ct_state *st, PyObject *set);
/* The same of any iterable. */
ct_set_keys *ct_set_operand(ct_state *st, PyObject *other);

/* A block of its own, with references of its own, for a FrozenSet. */
ct_set_keys *ct_set_private_operand(ct_state *st, PyObject *other);

/* Operands of a method that, as those of `set` do, keeps what it gathered before an error. */
typedef struct {
    ct_set_keys **blocks;
    int *is_set;         /* for each: whether the operand was a set */
    Py_ssize_t count;
    PyObject *error[3];  /* what PyErr_Fetch gave: raise it after the commit */
} ct_set_operands;

/* 0, or -1 with an error (of comparisons, or of the first gathering when `keep` is false). */
int ct_set_gather(ct_state *st, PyObject *const *others, Py_ssize_t count, int keep,
                  ct_set_operands *operands);
/* Let the blocks go and raise what was kept; `status` or -1. */
int ct_set_finish_gather(ct_set_operands *operands, int status);

/* PyObject_Hash(item) has raised: the key and hash to look `item` up by after all, since a
 * mutable set stands for the equal frozen one.  New reference; NULL with the error. */
PyObject *ct_set_lookup_key(ct_state *st, PyObject *item, Py_hash_t *hash);

#endif
