/* HashTable: chained buckets with user-given hash, compare and destructors.
 *
 *   ct_buckets (2**log2_size slots)      ct_entries: an immutable chain, replaced as a whole
 *   | 0 | --> [hash key value | hash key value]
 *   | 1 | --> NULL
 *
 * Size is fixed when a block is made (I1).  Chains and blocks are objects of their own, so that the
 * reference count is the hold: a lookup keeps the block and the chain while user code compares, and
 * "still the same chain in the same slot" afterwards means that nothing happened there (I6). */
#ifndef CT_HASHTABLE_H
#define CT_HASHTABLE_H

#include "table.h"

enum { CT_MIN_BUCKETS_LOG2 = 4 };
enum { CT_FN_USER, CT_FN_IDENTITY, CT_FN_STR };

typedef struct {
    uint64_t hash;
    PyObject *key, *value;
} ct_pair;

typedef struct {
    PyObject_VAR_HEAD /* ob_size: the number of pairs */
    ct_pair pairs[1];
} ct_entries;

typedef struct {
    PyObject_VAR_HEAD /* ob_size: the number of slots */
    int log2_size, destroyed;
    ct_ssize used;
    uint64_t grown, shrunk; /* how often the table doubled and halved: handed on */
    _Atomic(ct_entries *) slots[1];
} ct_buckets;

typedef struct {
    ct_table base;
    _Atomic(ct_buckets *) block;
    PyObject *hash, *compare, *destroy_key, *destroy_value; /* destructors: NULL for none */
    double grow_at, shrink_at; /* entries per bucket */
    ct_int configured;         /* what stands above is set for good */
    int hash_kind, compare_kind;
    _Atomic(PyObject *) walks; /* _walks.Walks, made when needed */
    ct_ssize walking;          /* foreach calls going on */
} ct_hashtable;

#define CT_HASHTABLE(o) ((ct_hashtable *)(o))

/* Where a lookup ended; holds block and chain. */
typedef struct {
    ct_buckets *block;
    ct_entries *chain; /* NULL: empty slot */
    size_t slot;
    Py_ssize_t position; /* in the chain, or -1 */
} ct_spot;

/* -- hashtable.c: the structure ----------------------------------------------------------------- */

ct_buckets *ct_buckets_new(ct_state *st, int log2_size, const ct_buckets *before);
int ct_hashtable_hash(ct_hashtable *t, PyObject *key, uint64_t *hash);
int ct_hashtable_find(ct_hashtable *t, PyObject *key, uint64_t hash, ct_spot *spot); /* 0 or -1 */
void ct_spot_clear(ct_spot *spot);
/* 1 with a new reference, 0, -1. */
int ct_hashtable_get(ct_hashtable *t, PyObject *key, PyObject **value);
/* What `destroy_key` and `destroy_value` have to do for some pairs; None when nothing. */
PyObject *ct_hashtable_destruction(ct_hashtable *t, ct_entries *const *chains, Py_ssize_t count,
                                   const ct_pair *only, const ct_pair *kept);
PyObject *ct_hashtable_walks(ct_hashtable *t); /* borrowed */
/* All chains of one moment with references (NULL ones included), and their block. */
ct_entries **ct_hashtable_chains(ct_hashtable *t, ct_buckets **block, uint64_t *version);
void ct_chains_free(ct_entries **chains, ct_buckets *block);
int ct_hashtable_destroyed_error(ct_hashtable *t); /* -1 */
int ct_hashtable_structure_init(PyObject *module, ct_state *st);

/* -- hashtable_write.c -------------------------------------------------------------------------- */

int ct_hashtable_set(ct_hashtable *t, PyObject *key, PyObject *value);
int ct_hashtable_steal(ct_hashtable *t, PyObject *key, PyObject **value); /* 1, 0, -1 */
int ct_hashtable_clear(ct_hashtable *t, int destroy);

int ct_hashtable_type_init(PyObject *module, ct_state *st);

#endif
