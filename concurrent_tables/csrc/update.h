/* Filling tables: update(), constructors, and small helpers that mappings share. */
#ifndef CT_UPDATE_H
#define CT_UPDATE_H

#include "frozen.h"
#include "table.h"

/* Store one pair; ValueError for MISSING.  0 or -1. */
int ct_set(ct_table *t, PyObject *key, PyObject *value);
/* Error if `value` is MISSING, which no table stores.  0 or -1. */
int ct_check_value(ct_table *t, PyObject *key, PyObject *value);
/* What dict.update() does: each key atomically; an empty table from a whole mapping in one step.
 * `other` and `kwargs` may be NULL.  0 or -1. */
int ct_update(ct_table *t, PyObject *other, PyObject *kwargs);
/* A new plain ConcurrentDict filled so. */
PyObject *ct_table_from(ct_state *st, PyObject *other, PyObject *kwargs);
/* Put a block in the place of an empty table's: CT_DONE, CT_NOT_MET (not empty), or an error.  Steals
 * the hold when done.  `cloned` is what the CLONED event shows. */
int ct_install_block(ct_table *t, ct_keys *keys, Py_ssize_t used, PyObject *cloned);

/* isinstance(o, collections.abc.Mapping). */
int ct_is_abc_mapping(ct_state *st, PyObject *o);
/* The result for an absent key: __missing__ of a subclass, else KeyError. */
PyObject *ct_missing_key(ct_state *st, PyObject *self, int exact, PyObject *key);
void ct_key_error(PyObject *key);

/* Bounds the restarts that a thread's own user code causes; those of others are progress. */
typedef struct {
    uint64_t writes;
    int count;
} ct_limit;

/* User code may run from here on. */
CT_INLINE void
ct_limit_start(ct_limit *limit)
{
    ct_record *record = ct_self();
    limit->writes = record == NULL ? 0 : record->writes;
}

/* What user code did, or another thread, makes the operation begin again: 0, or -1 with TableMutationError
 * ("`what` cannot end ...") once this thread itself wrote too often. */
int ct_limit_restart(ct_limit *limit, ct_state *st, PyObject *self, const char *what);

#endif
