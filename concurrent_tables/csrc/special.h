/* Keys whose `__hash__` and `__eq__` are Python functions: asking them without the interpreter's detour.
 * The essay is in special.c.  All of it runs user code: unlocked and unpinned (I6). */
#ifndef CT_SPECIAL_H
#define CT_SPECIAL_H

#include "compare.h"
#include "reclaim.h"

int ct_special_init(ct_state *st);
void ct_special_clear(ct_state *st);
/* As PyObject_Hash. */
Py_hash_t ct_hash_class(ct_state *st, PyObject *key);
/* As PyObject_RichCompareBool(a, b, Py_EQ).  The caller holds references to both. */
int ct_ask_equal(ct_state *st, PyObject *a, PyObject *b);

/* As ct_hash, and quicker where a class of Python code is asked. */
CT_INLINE Py_hash_t
ct_hash_in(ct_state *st, PyObject *key)
{
    if (CT_UNLIKELY(PyType_HasFeature(Py_TYPE(key), Py_TPFLAGS_HEAPTYPE))) {
        return ct_hash_class(st, key);
    }
    return ct_hash(key);
}

#endif
