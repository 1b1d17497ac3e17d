/* Copies and pickles: the recipes of every type, with what a subclass adds (concurrent_tables/_copies.py). */
#ifndef CT_COPIES_H
#define CT_COPIES_H

#include "ct_common.h"

/* Method __getstate__: the attributes and slots of a subclass, or None. */
PyObject *ct_getstate(PyObject *self, PyObject *ignored);
/* What copy.copy makes of an instance of a subclass: by way of its own __reduce_ex__. */
PyObject *ct_copied(ct_state *st, PyObject *self);
/* (function, arguments, self.__getstate__()), then (None, items) unless `items` is NULL.  Steals all
 * three, and passes on the error of a NULL function or arguments. */
PyObject *ct_recipe(PyObject *self, PyObject *function, PyObject *arguments, PyObject *items);
/* (type(self), *self.__getnewargs__()), or (type(self), *arguments) when there is none; steals. */
PyObject *ct_new_arguments(PyObject *self, PyObject *arguments);

#define CT_GETSTATE_METHOD {"__getstate__", ct_getstate, METH_NOARGS, NULL}

#endif
