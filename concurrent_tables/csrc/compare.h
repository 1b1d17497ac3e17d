/* Hashing and comparing keys without user code and without touching their refcounts.
 *
 * While pinned (or inside a section) a table's key is kept alive by the table: it is dropped only
 * through retire.  So exact str, int, bytes, float and tuples of them can be compared in place.
 * Everything else answers CT_UNKNOWN, and the caller compares unpinned with references held (I6). */
#ifndef CT_COMPARE_H
#define CT_COMPARE_H

#include "ct_common.h"

enum { CT_DIFFERENT = 0, CT_EQUAL = 1, CT_UNKNOWN = -1 };
enum { CT_TUPLE_DEPTH = 3 };

CT_INLINE Py_hash_t
ct_str_hash(PyObject *str)
{
    return ct_foreign_load_relaxed(&((PyASCIIObject *)str)->hash);
}

/* Ints of at most one digit: they are their own hash, and compare by value. */
CT_INLINE int
ct_int_is_compact(PyObject *o)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyUnstable_Long_IsCompact((PyLongObject *)o);
#else
    return (size_t)(Py_SIZE(o) + 1) <= 2;
#endif
}

CT_INLINE Py_ssize_t
ct_int_compact_value(PyObject *o)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyUnstable_Long_CompactValue((PyLongObject *)o);
#else
    return Py_SIZE(o) == 0 ? 0 : Py_SIZE(o) * (Py_ssize_t)((PyLongObject *)o)->ob_digit[0];
#endif
}

/* As PyObject_Hash, with the two commonest types inline. */
CT_INLINE Py_hash_t
ct_hash(PyObject *key)
{
    if (PyUnicode_CheckExact(key)) {
        Py_hash_t hash = ct_str_hash(key);
        if (CT_LIKELY(hash != -1)) {
            return hash;
        }
    }
    else if (PyLong_CheckExact(key) && ct_int_is_compact(key)) {
        Py_hash_t value = ct_int_compact_value(key);
        return CT_UNLIKELY(value == -1) ? -2 : value;
    }
    return PyObject_Hash(key);
}

CT_INLINE uint64_t
ct_eight_bytes(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

CT_INLINE uint32_t
ct_four_bytes(const char *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* As memcmp() == 0, without a call for the sizes that most str keys have: their first and their last bytes
 * are compared, which may overlap. */
CT_INLINE int
ct_same_bytes(const char *a, const char *b, size_t size)
{
    if (size - 8 <= 8) {
        return ct_eight_bytes(a) == ct_eight_bytes(b)
               && ct_eight_bytes(a + size - 8) == ct_eight_bytes(b + size - 8);
    }
    if (size - 4 < 4) {
        return ct_four_bytes(a) == ct_four_bytes(b)
               && ct_four_bytes(a + size - 4) == ct_four_bytes(b + size - 4);
    }
    return memcmp(a, b, size) == 0;
}

CT_INLINE int
ct_str_equal(PyObject *a, PyObject *b)
{
#if PY_VERSION_HEX < 0x030C0000
    if (!PyUnicode_IS_READY(a) || !PyUnicode_IS_READY(b)) {
        return CT_UNKNOWN;
    }
#endif
    Py_ssize_t length = PyUnicode_GET_LENGTH(a);
    if (length != PyUnicode_GET_LENGTH(b) || PyUnicode_KIND(a) != PyUnicode_KIND(b)) {
        return CT_DIFFERENT;
    }
    return ct_same_bytes(PyUnicode_DATA(a), PyUnicode_DATA(b), (size_t)length * PyUnicode_KIND(a));
}

CT_INLINE int
ct_int_equal(PyObject *a, PyObject *b)
{
    if (ct_int_is_compact(a) && ct_int_is_compact(b)) {
        return ct_int_compact_value(a) == ct_int_compact_value(b);
    }
    /* int against int allocates nothing, runs no user code and cannot fail. */
    PyObject *result = PyLong_Type.tp_richcompare(a, b, Py_EQ);
    int equal = result == Py_True;
    Py_XDECREF(result); /* True or False: never the last reference */
    return equal;
}

int ct_compare_slow(PyObject *a, PyObject *b, int depth);

/* Own the cache line of `o`, whose references are about to be counted: reading it first and counting then
 * takes it over from another thread in two steps. */
CT_INLINE void
ct_fetch_to_count(PyObject *o)
{
#if CT_FT
    CT_PREFETCH_FOR_WRITE(&o->ob_ref_shared);
#else
    (void)o;
#endif
}

/* The key `a` of a table with one to look up: a is not b, and their hashes are equal.  The type of b, which
 * the calling thread has at hand, decides before anything of a is read. */
CT_INLINE int
ct_compare(PyObject *a, PyObject *b)
{
    PyTypeObject *type = Py_TYPE(b);
    if (type == &PyUnicode_Type) {
        if (PyUnicode_CheckExact(a)) {
            return ct_str_equal(a, b);
        }
    }
    else if (type == &PyLong_Type) {
        if (PyLong_CheckExact(a)) {
            return ct_int_equal(a, b);
        }
    }
    else if (PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)
             && type->tp_richcompare != PyBaseObject_Type.tp_richcompare) {
        ct_fetch_to_count(a); /* likely of the same class, and then compared with a reference held */
        if (Py_TYPE(a) == type) {
            return CT_UNKNOWN; /* a class of Python code, mostly */
        }
    }
    return ct_compare_slow(a, b, CT_TUPLE_DEPTH);
}

#endif
