/* What ConcurrentSet and FrozenSet have in common: comparisons and algebra on one moment of
 * each. */
#ifndef CT_SET_ALGEBRA_H
#define CT_SET_ALGEBRA_H

#include "set_operand.h"

/* METH_FASTCALL and METH_O bodies. */
PyObject *ct_set_union(PyObject *self, PyObject *const *others, Py_ssize_t count);
PyObject *ct_set_intersection(PyObject *self, PyObject *const *others, Py_ssize_t count);
PyObject *ct_set_difference(PyObject *self, PyObject *const *others, Py_ssize_t count);
PyObject *ct_set_symmetric_difference(PyObject *self, PyObject *other);
PyObject *ct_set_issubset(PyObject *self, PyObject *other);
PyObject *ct_set_issuperset(PyObject *self, PyObject *other);
PyObject *ct_set_isdisjoint(PyObject *self, PyObject *other);
PyObject *ct_set_plain_copy(PyObject *self, PyObject *ignored);
PyObject *ct_set_reduce(PyObject *self, PyObject *ignored);

/* Slots. */
PyObject *ct_set_or(PyObject *a, PyObject *b);
PyObject *ct_set_and(PyObject *a, PyObject *b);
PyObject *ct_set_subtract(PyObject *a, PyObject *b);
PyObject *ct_set_xor(PyObject *a, PyObject *b);
PyObject *ct_set_richcompare(PyObject *self, PyObject *other, int op);
PyObject *ct_set_repr(PyObject *self);

/* Whether the operators of `self` take `other` (the named methods take any iterable): 1, 0, -1. */
int ct_set_takes(ct_state *st, PyObject *self, PyObject *other);

/* The methods that both types list, with their documentation. */
#define CT_SET_FASTCALL(f) (PyCFunction)(void (*)(void))(f)
#define CT_SET_SHARED_METHODS                                                                      \
    {"union", CT_SET_FASTCALL(ct_set_union), METH_FASTCALL,                                        \
     "union($self, /, *others)\n--\n\n"                                                            \
     "A new set with the elements of this one and of all others."},                                \
    {"intersection", CT_SET_FASTCALL(ct_set_intersection), METH_FASTCALL,                          \
     "intersection($self, /, *others)\n--\n\n"                                                     \
     "A new set with the elements that this one and all others have in common."},                  \
    {"difference", CT_SET_FASTCALL(ct_set_difference), METH_FASTCALL,                              \
     "difference($self, /, *others)\n--\n\n"                                                       \
     "A new set with the elements that none of the others has."},                                  \
    {"symmetric_difference", ct_set_symmetric_difference, METH_O,                                  \
     "symmetric_difference($self, other, /)\n--\n\n"                                               \
     "A new set with the elements that either this one or other has."},                            \
    {"issubset", ct_set_issubset, METH_O,                                                          \
     "issubset($self, other, /)\n--\n\nWhether every element is in other too."},                   \
    {"issuperset", ct_set_issuperset, METH_O,                                                      \
     "issuperset($self, other, /)\n--\n\nWhether every element of other is here."},                \
    {"isdisjoint", ct_set_isdisjoint, METH_O,                                                      \
     "isdisjoint($self, other, /)\n--\n\nWhether no element of other is here."},                   \
    CT_GETSTATE_METHOD, {"__reduce__", ct_set_reduce, METH_NOARGS, NULL},                          \
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL}

#endif
