/* Split tables: SharedKeys, and SplitDict records that share one.
 *
 *   SharedKeys                         record, compact                record, full
 *   ct_keys of at most 30 names        state word | values            state word -> ct_full
 *   that only grow                                                      body: values, order  (split)
 *                                                                       base.keys            (combined)
 *
 * Most records are written a few times by one thread and then read.  Such a record is compact: its
 * header, one word and one value slot for each shared name.  The word tells how many values there are,
 * whose the names are, which thread has it and how often it changed:
 *
 *   63        44 43      31 30     11 10      6 5     1 0
 *   +-----------+----------+---------+---------+-------+-+
 *   |  version  |  owner   |   id    | capacity|  used |1|
 *   +-----------+----------+---------+---------+-------+-+
 *
 * Compact values are in the order of the shared names.  What does not fit this form (another order, a
 * name beyond the capacity, watchers, gates, a cached snapshot, a million changes) moves the record to
 * a `ct_full`, once and for good: the word becomes its address.  A full record is split while it has a
 * body, and combined (an ordinary table in `base`) while it has none; clear() gives it one again.
 *
 * Who may write what: the word and compact values under the section of the record, a full record under
 * the section of its `base`.  Readers load the word while pinned.  The slots of a compact record keep
 * their pointers when it moves: a pinned reader that is still there finds values that were the record's
 * when it began, and their references are dropped through retire (I10).
 */
#ifndef CT_SPLIT_H
#define CT_SPLIT_H

#include "table.h"

enum { CT_NAMES_MAX = 30, CT_NAMES_LOG2 = 6, CT_VALUES_MIN = 4 };

/* extra_types[] of this family; the sets have 12 and up. */
enum {
    CT_X_SHARED_KEYS = 0,
    CT_X_SPLIT,
    CT_X_FULL,
    CT_X_PLAIN_GUARD,
    CT_X_CHAIN,
    CT_X_NAMES_ITER,
    CT_X_SHARDED,
    CT_X_HASHTABLE,
    CT_X_BUCKETS,
    CT_X_ENTRIES,
};
/* extra_objects[] */
enum { CT_X_NEW_SHARDED = 0, CT_X_WALKS, CT_X_DESTRUCTION, CT_X_FUNCTIONS /* and three more */ };

typedef struct {
    PyObject_HEAD
    ct_keys *keys;   /* never replaced; its entries hold name -> name */
    ct_state *st;
    unsigned int id; /* 0: no number was left, so its records are full from the start */
    PyObject *weakrefs;
#if CT_FT
    PyMutex mutex; /* a leaf: nothing else is taken and no user code runs while it is held */
#endif
} ct_shared;

typedef struct {
    uint8_t capacity, count;
    uint8_t order[CT_NAMES_MAX]; /* entry numbers, oldest first */
    ct_word values[];
} ct_body;

typedef struct {
    ct_table base;
    ct_shared *shared;
    _Atomic(ct_body *) body; /* NULL: combined */
} ct_full;

typedef struct {
    PyObject_HEAD
    PyObject *weakrefs;
    ct_u64 state;
#if PY_VERSION_HEX < 0x030C0000
    ct_word *values; /* from 3.12 on they follow the instance */
#endif
} ct_split;

#define CT_SPLIT(o) ((ct_split *)(o))

/* -- the state word ----------------------------------------------------------------------------- */

/* The owner of a record that several threads have: its own reference count is immediate at first, so that
 * records handed from thread to thread die when nobody needs them, and deferred once it is read a lot. */
enum { CT_OWNER_SHARED = (1 << 13) - 1, CT_OWNER_MET = CT_OWNER_SHARED - 1, CT_VISITS = 64 };
#define CT_WORD_IS_COMPACT(w) ((w) & 1)
#define CT_WORD_USED(w) ((Py_ssize_t)((w) >> 1 & 31))
#define CT_WORD_CAPACITY(w) ((Py_ssize_t)((w) >> 6 & 31))
#define CT_WORD_ID(w) ((unsigned int)((w) >> 11 & 0xfffff))
#define CT_WORD_OWNER(w) ((unsigned int)((w) >> 31 & CT_OWNER_SHARED))
#define CT_WORD_IS_SHARED(w) (CT_WORD_OWNER(w) >= CT_OWNER_MET)
#define CT_WORD_VERSION(w) ((uint64_t)(w) >> 44)
#define CT_WORD_VERSION_MAX ((uint64_t)0xfffff)
#define CT_WORD_ONE_VERSION ((uint64_t)1 << 44)
#define CT_WORD_ONE_USED ((uint64_t)2)

extern CT_HIDDEN _Atomic(_Atomic(ct_shared *) *) ct_shared_pages[1024];

/* The SharedKeys with this number: the caller has a record that holds it. */
CT_INLINE ct_shared *
ct_shared_numbered(unsigned int id)
{
    return ct_load_acquire(&ct_load_acquire(&ct_shared_pages[id >> 10])[id & 1023]);
}

CT_INLINE ct_word *
ct_split_values(ct_split *s)
{
#if PY_VERSION_HEX < 0x030C0000
    return s->values;
#else
    return (ct_word *)((char *)s + Py_TYPE(s)->tp_basicsize);
#endif
}

CT_INLINE ct_full *
ct_word_full(uint64_t word)
{
    return (ct_full *)(uintptr_t)word;
}

CT_INLINE ct_shared *
ct_split_shared(ct_split *s)
{
    uint64_t word = ct_load_acquire(&s->state);
    return CT_WORD_IS_COMPACT(word) ? ct_shared_numbered(CT_WORD_ID(word))
                                    : ct_word_full(word)->shared;
}

/* The section of a compact record: the writers' side, as ct_lock for tables. */
typedef struct {
#if CT_FT
    PyCriticalSection cs;
#else
    char unused;
#endif
} ct_compact_section;

CT_INLINE void
ct_compact_lock(ct_split *s, ct_compact_section *section)
{
#if CT_FT
    CT_POINT_LOCK(s);
    PyCriticalSection_Begin(&section->cs, (PyObject *)s);
    CT_POINT(lock_taken);
#else
    (void)s;
    (void)section;
#endif
}

CT_INLINE void
ct_compact_unlock(ct_compact_section *section)
{
#if CT_FT
    PyCriticalSection_End(&section->cs);
    CT_POINT_UNLOCK();
#else
    (void)section;
#endif
}

/* -- split_shared.c ----------------------------------------------------------------------------- */

int ct_shared_type_init(PyObject *module, ct_state *st);
void ct_shared_after_fork(void); /* in the child: no thread that it does not have holds a mutex */
/* Entry of an exact str; appended first when asked and there is room, else CT_MISS.  Never fails. */
Py_ssize_t ct_shared_index(ct_shared *shared, PyObject *name, Py_hash_t hash, int append);
PyObject *ct_shared_names(ct_shared *shared);

CT_INLINE Py_ssize_t
ct_shared_count(ct_shared *shared)
{
    return ct_load_acquire(&shared->keys->nentries);
}

CT_INLINE PyObject *
ct_shared_name(ct_shared *shared, Py_ssize_t ix)
{
    return ct_entry_key(shared->keys, ix);
}

/* -- split.c: one key --------------------------------------------------------------------------- */

PyObject *ct_split_new(ct_state *st, PyTypeObject *type, ct_shared *shared); /* an empty record */
void ct_split_free_values(ct_split *s); /* dealloc: whatever form it has */
int ct_split_get(PyObject *self, PyObject *key, Py_hash_t hash, PyObject **value);
int ct_split_has(PyObject *self, PyObject *key, Py_hash_t hash);
int ct_split_change(PyObject *self, PyObject *key, Py_hash_t hash, ct_change *change);
int ct_split_touch(ct_split *s); /* notes a foreign thread (I9); 0 or -1 */
/* The full form of the record, made if need be; NULL with an error. */
ct_full *ct_split_full(ct_split *s);
/* The same, combined: an ordinary table. */
ct_table *ct_split_combined(ct_split *s);
/* The shared name that equals the key and that the split record has: its entry, CT_MISS, CT_ERROR, or
 * CT_RESTART when the record is combined by now.  User code may run. */
Py_ssize_t ct_split_find(ct_split *s, PyObject *key, Py_hash_t hash);
/* The full form if it is combined already, else NULL. */
ct_table *ct_split_if_combined(ct_split *s);
/* An operation on the combined form failed only because a clear() made the record split again. */
int ct_split_was_cleared(void);
ct_body *ct_body_new(Py_ssize_t capacity); /* NULL without memory */
/* Give a body's memory back when no reader can be in it; its references went elsewhere.  Unlocked. */
void ct_body_retire(ct_state *st, ct_body *body, int shared);
int ct_full_type_init(ct_state *st, PyObject *module);

/* -- split_whole.c: all keys -------------------------------------------------------------------- */

/* The entries of a split record at one moment, oldest first, with references. */
typedef struct {
    Py_ssize_t count;
    uint64_t version, keys_version;
    PyObject *names[CT_NAMES_MAX], *values[CT_NAMES_MAX];
    uint8_t order[CT_NAMES_MAX];
    Py_ssize_t capacity;
    int shared;
    PyObject *watch; /* or NULL */
} ct_columns;

/* 1 when the record is split; 0 when it is combined (nothing taken); -1 with an error. */
int ct_split_columns(ct_split *s, ct_columns *columns);
void ct_columns_clear(ct_columns *columns);

Py_ssize_t ct_split_used(ct_split *s);
PyObject *ct_split_snapshot(PyObject *self);   /* cached until the next write */
PyObject *ct_split_one_moment(PyObject *self); /* a FrozenDict, cached only where that is free */
int ct_split_clear(PyObject *self);
/* Fill an empty record from a mapping in one step: CT_DONE, CT_NOT_MET, CT_FAILED. */
int ct_split_fill(PyObject *self, PyObject *mapping);
int ct_split_update_many(PyObject *self, PyObject *changes); /* a private dict; 0 or -1 */
PyObject *ct_split_layout(PyObject *self, PyObject *ignored);

int ct_split_type_init(PyObject *module, ct_state *st);
int ct_add_mapping(PyObject *module, PyTypeObject *type, const char *name);

/* -- split_iter.c ------------------------------------------------------------------------------- */

int ct_split_iter_type_init(PyObject *module, ct_state *st);
/* Walks `names` (a tuple, stolen) and yields what `table` still has of them; `what` is CT_ITER_*. */
PyObject *ct_names_iter_new(ct_state *st, PyObject *table, PyObject *names, int what);
/* Walks one iterator after the other; `parts` is a tuple (stolen). */
PyObject *ct_chain_new(ct_state *st, PyObject *parts);
/* A guard over a mapping whose entries are not in one block. */
typedef struct {
    int (*get)(PyObject *table, PyObject *key, Py_hash_t hash, PyObject **value); /* as ct_get */
    uint64_t (*keys_version)(PyObject *table, const Py_hash_t *hashes, Py_ssize_t count);
    PyObject *(*get_many)(PyObject *table, PyObject *keys); /* a dict, all of one moment */
} ct_guard_source;
PyObject *ct_plain_guard_new(ct_state *st, PyObject *table, const ct_guard_source *source,
                             PyObject *const *keys, Py_ssize_t nkeys);

#endif
