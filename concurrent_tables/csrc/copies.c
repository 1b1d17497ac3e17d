/* Copies and pickles; see copies.h. */
#include "copies.h"

PyObject *
ct_getstate(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_state *st = ct_state_of_type(Py_TYPE(self));
    return st == NULL ? NULL : PyObject_CallMethod(st->copies, "own_state", "O", self);
}

PyObject *
ct_copied(ct_state *st, PyObject *self)
{
    return PyObject_CallMethod(st->copies, "copied", "O", self);
}

PyObject *
ct_recipe(PyObject *self, PyObject *function, PyObject *arguments, PyObject *items)
{
    PyObject *state = NULL, *recipe = NULL;
    if (function != NULL && arguments != NULL) {
        state = PyObject_CallMethod(self, "__getstate__", NULL); /* a subclass may have its own */
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
    PyObject *method = arguments == NULL ? NULL : PyObject_GetAttrString(self, "__getnewargs__");
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
