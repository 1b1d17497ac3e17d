/* ShardedDict: 2**n combined tables behind one mapping.  The essay is in sharded.c. */
#ifndef CT_SHARDED_H
#define CT_SHARDED_H

#include "table.h"

enum { CT_SHARDS_MAX = 1 << CT_MAX_SHARDS_LOG2, CT_SHARDS_DEFAULT = 16, CT_COLLECT_TRIES = 8 };

typedef struct {
    PyObject_HEAD
    ct_state *st;
    PyObject *weakrefs;
    ct_table **shards;             /* `count` of them, then the same in address order */
    Py_ssize_t count;
    int shift;                     /* 64 - log2(count) */
    _Atomic(PyObject *) overlay;   /* of the batch being committed, or NULL */
    _Atomic(PyObject *) snapshot;  /* (whole, snapshot of shard 0, ...), or NULL */
    PyObject *watch;               /* the WatchState of all shards, or NULL; gates held */
} ct_sharded;

#define CT_SHARDED(o) ((ct_sharded *)(o))

/* The shard of a hash: the high bits after scrambling (Fibonacci hashing, Knuth vol. 3, 6.4), since the
 * low ones choose the slot inside the shard. */
CT_INLINE size_t
ct_shard_index(ct_sharded *s, Py_hash_t hash)
{
    uint64_t scrambled = (uint64_t)hash * UINT64_C(0x9E3779B97F4A7C15);
    return scrambled >> 1 >> (s->shift - 1); /* in two steps: shift may be 64 */
}

CT_INLINE ct_table *
ct_shard_of(ct_sharded *s, Py_hash_t hash)
{
    return s->shards[ct_shard_index(s, hash)];
}

int ct_sharded_get_slow(ct_sharded *s, PyObject *key, Py_hash_t hash, PyObject **value);

/* As ct_get; a batch that is being committed answers first. */
CT_INLINE int
ct_sharded_get(ct_sharded *s, PyObject *key, Py_hash_t hash, PyObject **value)
{
    return CT_UNLIKELY(ct_load_acquire(&s->overlay) != NULL)
               ? ct_sharded_get_slow(s, key, hash, value)
               : ct_get(ct_shard_of(s, hash), key, hash, value);
}

CT_INLINE int
ct_sharded_has(ct_sharded *s, PyObject *key, Py_hash_t hash)
{
    PyObject *value;
    if (CT_LIKELY(ct_load_acquire(&s->overlay) == NULL)) {
        return ct_has(ct_shard_of(s, hash), key, hash);
    }
    int found = ct_sharded_get_slow(s, key, hash, &value);
    if (found > 0) {
        Py_DECREF(value);
    }
    return found;
}

/* After a write: the cached whole is not the present any more, and must not keep what was removed. */
void ct_sharded_forget(ct_sharded *s);

CT_INLINE void
ct_sharded_wrote(ct_sharded *s)
{
    if (CT_UNLIKELY(ct_load_relaxed(&s->snapshot) != NULL)) {
        ct_sharded_forget(s);
    }
}

/* Hold all shards against other writers; 0 or -1 with an error and nothing held. */
int ct_sharded_hold(ct_sharded *s);
void ct_sharded_release(ct_sharded *s);
uint64_t ct_sharded_version(ct_sharded *s);
PyObject *ct_sharded_snapshot(PyObject *self);
PyObject *ct_sharded_get_many(PyObject *self, PyObject *keys);
int ct_sharded_clear(ct_sharded *s);
int ct_sharded_is_covered(ct_sharded *s); /* whether a batch is being committed */
/* A private dict of changes, with values (the result has no meaning), or of keys to remove (it becomes what
 * was removed).  New reference. */
PyObject *ct_sharded_batch(ct_sharded *s, PyObject *changes, int with_values);
int ct_sharded_type_init(PyObject *module, ct_state *st);

#endif
