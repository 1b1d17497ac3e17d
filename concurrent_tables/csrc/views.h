/* Views and iterators.
 *
 * A view only calls len, `in`, get and snapshot() of its table, so it serves every mapping of the
 * module (ct_view_keys, ct_view_values, ct_view_items as methods): iteration walks the FrozenDict that
 * snapshot() returns.  An iterator of a table itself (ct_iter_new) needs a ct_table that keeps its
 * entries in t->keys, or a FrozenDict. */
#ifndef CT_VIEWS_H
#define CT_VIEWS_H

#include "frozen.h"
#include "table.h"

enum { CT_ITER_KEYS, CT_ITER_VALUES, CT_ITER_ITEMS };

int ct_views_type_init(PyObject *module, ct_state *st);
int ct_iter_type_init(PyObject *module, ct_state *st);

/* An iterator over a mutable combined table or a FrozenDict; `what` is CT_ITER_*. */
PyObject *ct_iter_new(ct_state *st, PyObject *table, int what, int backwards);
/* tp_iter and methods for combined tables and FrozenDict. */
PyObject *ct_iter_keys(PyObject *table);
PyObject *ct_iter_reversed(PyObject *table, PyObject *ignored);
/* __reduce__ of iterators: iter, (list(self),), as those of builtin mappings; or with a list that is
 * stolen, NULL for an error. */
PyObject *ct_iter_reduce(PyObject *iterator, PyObject *ignored);
PyObject *ct_iter_recipe(PyObject *rest);
PyObject *ct_view_keys(PyObject *table, PyObject *ignored);
PyObject *ct_view_values(PyObject *table, PyObject *ignored);
PyObject *ct_view_items(PyObject *table, PyObject *ignored);
/* A view for types that are not ct_table or FrozenDict: CT_ITER_* as `what`. */
PyObject *ct_view_new(ct_state *st, PyObject *table, int what);
/* The state of any mapping of ours (exact or subclass), else NULL with TypeError. */
ct_state *ct_state_of_mapping(PyObject *table);

/* layout.c: what inspect_table() walks. */
/* Layout(**arguments, **more), both dicts, stolen, NULL for an error. */
PyObject *ct_layout_make(ct_state *st, PyObject *arguments, PyObject *more);
PyObject *ct_index_column(const ct_keys *keys); /* the index as a tuple of int */
PyObject *ct_layout_of_table(PyObject *table, PyObject *ignored);
PyObject *ct_layout_of_frozen(PyObject *table, PyObject *ignored);

#endif
