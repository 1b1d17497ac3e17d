/* The key of a cached function's call, the tuple (token, *args), hashed and compared without being made.
 *
 * Making it would count references of the token and of the arguments, at which threads that call the same
 * function meet. */
#ifndef CT_CALL_KEY_H
#define CT_CALL_KEY_H

#include "compare.h"

enum { CT_CALL_KEY_ARGS = 3 };

typedef struct {
    PyObject *token;
    PyObject *const *args;
    Py_ssize_t nargs; /* 1 to CT_CALL_KEY_ARGS, each of a type that ct_is_plain allows */
    Py_hash_t hash;
} ct_call_key;

/* Hashing and comparing it runs no user code. */
CT_INLINE int
ct_is_plain(PyObject *o)
{
    return PyUnicode_CheckExact(o) || PyLong_CheckExact(o) || PyFloat_CheckExact(o)
           || PyBytes_CheckExact(o);
}

/* The hash of a tuple, an element at a time: that of xxHash for 64 bits without its last mixing, as in CPython
 * from 3.8 on (Objects/tupleobject.c).  Whether it is that of this interpreter is asked before it is used. */
CT_INLINE uint64_t
ct_tuple_hash_begin(void)
{
    return 2870177450012600261ULL;
}

CT_INLINE uint64_t
ct_tuple_hash_add(uint64_t sum, Py_hash_t hash)
{
    sum += (uint64_t)hash * 14029467366897019727ULL;
    sum = sum << 31 | sum >> 33;
    return sum * 11400714785074694791ULL;
}

CT_INLINE Py_hash_t
ct_tuple_hash_finish(uint64_t sum, Py_ssize_t length)
{
    sum += (uint64_t)length ^ 2870177450012600261ULL ^ 3527539ULL;
    return sum == UINT64_MAX ? 1546275796 : (Py_hash_t)sum;
}

/* Hash the key, whose sum after the token is `begun`; 0 when its arguments are none for this. */
CT_INLINE int
ct_call_key_fill(ct_call_key *key, uint64_t begun)
{
    if (CT_UNLIKELY(key->nargs < 1 || key->nargs > CT_CALL_KEY_ARGS)) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < key->nargs; i++) {
        if (CT_UNLIKELY(!ct_is_plain(key->args[i]))) {
            return 0;
        }
        Py_hash_t hash = ct_hash(key->args[i]);
        if (CT_UNLIKELY(hash == -1)) {
            PyErr_Clear(); /* 3.11: a str that is not ready yet; the tuple is going to say it */
            return 0;
        }
        begun = ct_tuple_hash_add(begun, hash);
    }
    key->hash = ct_tuple_hash_finish(begun, key->nargs + 1);
    return 1;
}

/* CT_EQUAL if it can be seen here that the candidate is that tuple; its hash is equal, so it mostly is. */
CT_INLINE int
ct_call_key_is(PyObject *candidate, const ct_call_key *key)
{
    if (!PyTuple_CheckExact(candidate) || PyTuple_GET_SIZE(candidate) != key->nargs + 1
        || PyTuple_GET_ITEM(candidate, 0) != key->token) {
        return CT_UNKNOWN;
    }
    for (Py_ssize_t i = 0; i < key->nargs; i++) {
        PyObject *x = PyTuple_GET_ITEM(candidate, i + 1), *y = key->args[i];
        if (x != y && ct_compare(x, y) != CT_EQUAL) {
            return CT_UNKNOWN;
        }
    }
    return CT_EQUAL;
}

#endif
