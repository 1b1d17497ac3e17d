/* ConcurrentDict, and method bodies over a ct_table that holds its entries in t->keys. */
#ifndef CT_DICT_H
#define CT_DICT_H

#include "table.h"

int ct_dict_type_init(PyObject *module, ct_state *st);
PyObject *ct_dict_new(ct_state *st); /* an empty, exact ConcurrentDict */

/* Remove everything in one step; 0 or -1. */
int ct_dict_clear(ct_table *t);
/* Youngest pair: CT_DONE and two new references, CT_NOT_MET when empty, CT_FAILED. */
int ct_dict_popitem(ct_table *t, PyObject **key, PyObject **value);
/* popitem() with such a `pop`: the pair, or KeyError; whatever needs memory comes before `pop`. */
PyObject *ct_popitem_of(PyObject *self, int (*pop)(PyObject *self, PyObject **key, PyObject **value));
/* The rest of fromkeys(iterable, value=None): fill `empty`, NULL or a mapping, which is stolen. */
PyObject *ct_fill_from_keys(PyObject *empty, PyObject *const *args, Py_ssize_t nargs);
/* Is the present value `expected` (identical or equal)?  Then store new_value (NULL: delete).
 * 1, 0, -1.  `expected` may be MISSING. */
int ct_dict_compare_and(ct_table *t, PyObject *key, PyObject *expected, PyObject *new_value);

/* The added operations (operations.c), METH_FASTCALL bodies. */
extern PyMethodDef ct_operation_methods[10];
/* Arguments of increment(key, delta=1, default=0), the last two by position or name; NULL: not given. */
int ct_increment_args(PyObject *const *args, Py_ssize_t nargs, PyObject *names, PyObject **given);
/* Whole batches in one atomic step (batch.c). */
PyObject *ct_get_many(PyObject *self, PyObject *keys);
PyObject *ct_update_many(PyObject *self, PyObject *other);
PyObject *ct_pop_many(PyObject *self, PyObject *keys);
/* update_many for what has its table only at times: `table_of` gives it, `again` says whether a failure
 * only means that it has to be asked for again.  0 or -1. */
int ct_update_many_of(PyObject *owner, PyObject *changes, ct_table *(*table_of)(PyObject *owner),
                      int (*again)(PyObject *owner));
/* The result of pop_many, which must have `count` keys: stolen, and NULL with an error when it has not. */
PyObject *ct_all_popped(PyObject *found, Py_ssize_t count);
/* One part of a batch over several tables that the caller holds (exclusive.h).  `changes`: a private dict,
 * whose keys are removed when there are no values.  Preparing runs the comparisons and reserves all memory;
 * committing what still holds neither fails nor runs user code. */
typedef struct ct_batch_part ct_batch_part;
ct_batch_part *ct_batch_part_new(ct_table *t, PyObject *changes, int with_values); /* or NULL */
int ct_batch_part_prepare(ct_batch_part *part);  /* 0 or -1 */
/* After that, where keys are removed: see what is there now, and say it for one key after the other in the
 * order of `changes` (borrowed; NULL: nothing).  It is part of what has to hold.  0: prepare again. */
int ct_batch_part_look(ct_batch_part *part);
PyObject *ct_batch_part_next_found(ct_batch_part *part);
int ct_batch_part_holds(ct_batch_part *part);    /* else prepare again: this thread changed the table */
void ct_batch_part_commit(ct_batch_part *part);  /* logs no events: the caller does, in its own order */
Py_ssize_t ct_batch_part_changes(const ct_batch_part *part); /* how many, once it is prepared */
/* After the commit, for one key after the other in the order of `changes`: what happened, or NULL. */
const ct_event *ct_batch_part_next_event(ct_batch_part *part);
void ct_batch_part_free(ct_batch_part *part);    /* finishes: finalizers and watchers run */

PyObject *ct_guard_new(PyObject *self, PyObject *const *args, Py_ssize_t nargs);
int ct_guard_type_init(PyObject *module, ct_state *st);

#endif
