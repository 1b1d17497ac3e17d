/* Gates: a whole table held against other threads' writers; see exclusive.c. */
#ifndef CT_EXCLUSIVE_H
#define CT_EXCLUSIVE_H

#include "table.h"

/* Hold the table's gate (re-entrant); waits for another thread's.  0, or -1 with an error. */
int ct_gate_enter(ct_table *t);
/* 0, or -1 with RuntimeError when the calling thread does not hold it. */
int ct_gate_leave(ct_table *t);
int ct_exclusive_type_init(PyObject *module, ct_state *st);

#endif
