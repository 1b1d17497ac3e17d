/* Copies and pickles; see copies.h. */
#include "copies.h"

PyObject *
ct_getstate(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_state *st = ct_state_of_type(Py_TYPE(self));
    return st == NULL ? NULL : ct_call_method(st->copies, "own_state", self);
}

PyObject *
ct_copied(ct_state *st, PyObject *self)
{
    return ct_call_method(st->copies, "copied", self);
}

PyObject *
ct_recipe(PyObject *self, PyObject *function, PyObject *arguments, PyObject *items)
{
    PyObject *state = NULL, *recipe = NULL;
    if (function != NULL && arguments != NULL) {
        state = ct_call_method(self, "__getstate__"); /* a subclass may have its own */
    }
    if (state != NULL) {
        recipe = items == NULL ? PyTuple_Pack(3, function, arguments, state)
                               : PyTuple_Pack(5, function, arguments, state, Py_None, items);
    }
    Py_XDECREF(function);
    Py_XDECREF(arguments);
    Py_XDECREF(state);
    Py_XDECREF(items);
    return recipe;
}

PyObject *
ct_new_arguments(PyObject *self, PyObject *arguments)
{
    PyObject *method = arguments == NULL ? NULL : ct_getattr(self, "__getnewargs__");
    if (arguments == NULL) {
        return NULL;
    }
    if (method != NULL) {
        Py_XSETREF(arguments, PyObject_CallNoArgs(method));
        Py_DECREF(method);
    }
    else if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
    }
    else {
        Py_CLEAR(arguments);
    }
    PyObject *rest = arguments == NULL ? NULL : PySequence_Tuple(arguments);
    PyObject *first = rest == NULL ? NULL : PyTuple_Pack(1, Py_TYPE(self));
    PyObject *result = first == NULL ? NULL : PySequence_Concat(first, rest);
    Py_XDECREF(arguments);
    Py_XDECREF(rest);
    Py_XDECREF(first);
    return result;
}
