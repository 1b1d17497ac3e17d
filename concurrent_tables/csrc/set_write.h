/* ConcurrentSet: lookups without the lock, and changes as one step each. */
#ifndef CT_SET_WRITE_H
#define CT_SET_WRITE_H

#include "set_plan.h"

/* 1, 0, -1.  Lock-free for every type of element. */
int ct_set_has_slow(ct_set_table *s, PyObject *key, Py_hash_t hash);

CT_INLINE int
ct_set_has(ct_set_table *s, PyObject *key, Py_hash_t hash)
{
    ct_set_walk walk;
    ct_record *self = ct_enter(&s->base);
    if (CT_UNLIKELY(self == NULL)) {
        return -1;
    }
    ct_set_keys *block = ct_set_block(s); /* pairs with the release in publish_held */
    ct_set_walk_start(block, hash, &walk);
    Py_ssize_t slot = ct_set_probe(block, key, hash, &walk);
    CT_POINT(set_lookup);
    ct_unpin(self);
    return CT_LIKELY(slot != CT_COMPARE) ? slot >= 0 : ct_set_has_slow(s, key, hash);
}

/* The number of elements at one moment, or -1. */
Py_ssize_t ct_set_length(ct_set_table *s);

int ct_set_add(ct_set_table *s, PyObject *key, Py_hash_t hash);    /* 0 or -1 */
int ct_set_remove(ct_set_table *s, PyObject *key, Py_hash_t hash); /* 1 removed, 0 absent, -1 */
int ct_set_pop(ct_set_table *s, PyObject **key); /* 1 with a new reference, 0 when empty, -1 */
int ct_set_clear(ct_set_table *s);               /* 0 or -1 */

/* A change of many elements, in one step: CT_PLAN_* with these operands.  `whole`: the operand
 * is one whole set or mapping, from which an empty set is said to be cloned.  0 or -1. */
int ct_set_change(ct_set_table *s, int kind, const ct_set_operands *theirs, int whole);

/* -- inside the section, for the files of the set itself ---------------------------------------- */

/* A change that raises the version by `bump` begins: from here on nothing can fail. */
void ct_set_begin_held(ct_set_table *s, ct_pending *pending, Py_ssize_t bump);
void ct_set_end_held(ct_set_table *s, ct_pending *pending, Py_ssize_t bump);
/* Put `fresh` in the place of the block. */
void ct_set_publish_held(ct_set_table *s, ct_pending *pending, ct_set_keys *fresh);
/* A copy of 2^log2_size slots without dead ones, or with the same slots if that is 0, in the
 * place of the block; NULL without memory. */
ct_set_keys *ct_set_replace_held(ct_set_table *s, ct_pending *pending, int log2_size);
/* The block, now with `more` slots to use up and not lent: itself, or a copy in its place (with
 * the same slot numbers when `more` is 0); NULL without memory. */
ct_set_keys *ct_set_reserve_held(ct_set_table *s, ct_pending *pending, Py_ssize_t more);
/* The error of a lookup whose comparisons change the set without end. */
void ct_set_endless(ct_set_table *s, PyObject *key);

#endif
