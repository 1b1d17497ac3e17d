/* Attributes and methods by name.
 *
 * The method cache of CPython looks a name up by its address and keeps those that it has seen, some
 * thousands of them.  PyObject_GetAttrString and PyObject_CallMethod make a new string for every call:
 * none of them is ever found there, and each stays until another takes its place.  So the names here are
 * interned: one string each, which is the one that the class has, too. */
#include "ct_common.h"

#include <stdarg.h>

enum { MOST_ARGUMENTS = 4 };

PyObject *
ct_getattr(PyObject *o, const char *name)
{
    PyObject *interned = PyUnicode_InternFromString(name);
    PyObject *result = interned == NULL ? NULL : PyObject_GetAttr(o, interned);
    Py_XDECREF(interned);
    return result;
}

PyObject *
ct_call_with(PyObject *o, const char *name, ...)
{
    PyObject *arguments[1 + MOST_ARGUMENTS] = {o}, *argument;
    size_t count = 1;
    va_list more;
    va_start(more, name);
    while ((argument = va_arg(more, PyObject *)) != NULL) {
        CT_ASSERT(count <= MOST_ARGUMENTS);
        arguments[count++] = argument;
    }
    va_end(more);
    PyObject *interned = PyUnicode_InternFromString(name);
    PyObject *result =
        interned == NULL ? NULL : PyObject_VectorcallMethod(interned, arguments, count, NULL);
    Py_XDECREF(interned);
    return result;
}
