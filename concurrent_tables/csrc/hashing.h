/* The order-independent hash of frozen tables, equal to that of the builtin frozenset.
 * Source: CPython Objects/setobject.c, frozenset_hash_impl (constants in its comments). */
#ifndef CT_HASHING_H
#define CT_HASHING_H

#include "ct_common.h"

typedef struct {
    size_t bits;
} ct_set_hash;

static inline void
ct_set_hash_add(ct_set_hash *combined, Py_hash_t hash)
{
    size_t h = (size_t)hash;
    combined->bits ^= ((h ^ 89869747UL) ^ (h << 16)) * 3644798167UL;
}

static inline Py_hash_t
ct_set_hash_finish(const ct_set_hash *combined, Py_ssize_t count)
{
    size_t h = combined->bits ^ ((size_t)count + 1) * 1927868237UL;
    h ^= (h >> 11) ^ (h >> 25);
    h = h * 69069U + 907133923UL;
    return h == (size_t)-1 ? 590923713 : (Py_hash_t)h; /* -1 means "error" to the interpreter */
}

#endif
