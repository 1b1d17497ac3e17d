/* Keys blocks: the index and the entries of a combined table.
 *
 *   header | index: 2^n slots of 1, 2, 4, 8 bytes | tags: 2^n bytes | gap | entries: 2/3 * 2^n, from the left
 *
 *   index slot:  EMPTY (-1) -> entry number -> DUMMY (-2), each step once (I2)
 *   tag:         8 bits of the hash in that slot; written once, before the slot
 *   entry:       {key, value} of a unicode block (exact str keys cache their hash),
 *                {hash, key, value} of a general block
 *   value word:  0 = absent (I4); pointer; pointer | CT_FROZEN once the block is being replaced
 *
 * Size, kind and index width never change (I1).  An entry's key and hash are written once, before its
 * index slot is published with release (I3); its number is never used again in this block (I2).  So a
 * reader needs nothing but the block pointer.
 *
 * Lookups start at `hash & mask`; the next slot is (5*i + perturb + 1) & mask with perturb >>= 5.  A tag
 * tells nearly always that a slot is another key's, without a look at that entry: its cache line may
 * belong to a thread that is overwriting values there.  For the same reason there is a gap before the entries of
 * all but small blocks: processors fetch the next line, or the other one of a pair, unasked.
 * Source of the scheme and its constants: CPython Objects/dictobject.c.
 */
#ifndef CT_KEYS_H
#define CT_KEYS_H

#include "compare.h"
#include "ct_common.h"

enum { CT_EMPTY = -1, CT_DUMMY = -2 };                        /* index slots */
enum { CT_MISS = -1, CT_COMPARE = -2, CT_RESTART = -3, CT_ERROR = -4 }; /* instead of an entry number */
enum { CT_MIN_LOG2 = 3, CT_PERTURB_SHIFT = 5, CT_GROWTH = 3 };
enum { CT_CROWDED = 64 }; /* slots an insertion may pass; more with over CT_CROWDED^2 live entries */
enum { CT_GAP_LOG2 = 7, CT_GAP_BYTES = 128 }; /* from that size on; a pair of cache lines */
enum { CT_MAX_SHARDS_LOG2 = 10 }; /* bits of the scrambled hash that may choose a shard */
enum { CT_GENERAL = 0, CT_UNICODE = 1, CT_SET_BLOCK = 2 /* set_keys.h */ };
/* What a block drops when its memory goes: nothing (the table or the next block has its references),
 * the live keys (an iterator walks it after its replacement), or keys and values (cleared). */
enum { CT_OWNS_NOTHING = 0, CT_OWNS_KEYS = 1, CT_OWNS_ALL = 2 };
#define CT_FROZEN ((uintptr_t)1)

typedef struct ct_keys {
    ct_ssize refs;       /* memory holds: the table, iterators */
    uint8_t log2_size;
    uint8_t width;       /* log2 of the bytes of an index slot */
    uint8_t kind;        /* CT_GENERAL or CT_UNICODE */
    uint8_t owns;        /* CT_OWNS_*; set when it is replaced */
    Py_ssize_t capacity; /* entry slots */
    char *entries;
    ct_ssize nentries;   /* entry slots used up, live or not; written by the lock holder */
    ct_ssize holds;      /* iterators; raised by lock holders only */
    Py_ssize_t bottom;   /* every entry below is dead; lock holder */
    Py_ssize_t top;      /* every entry from here on is dead; lock holder */
    char index[];
} ct_keys;

typedef struct {
    PyObject *key;
    ct_word value;
} ct_str_entry;

typedef struct {
    Py_hash_t hash;
    PyObject *key;
    ct_word value;
} ct_any_entry;

/* What every empty table starts with: one EMPTY slot, no entry; shared by the process, never freed. */
extern CT_HIDDEN ct_keys *ct_empty_keys;

/* -- accessors ---------------------------------------------------------------------------------- */

CT_INLINE ct_str_entry *
ct_str_entries(const ct_keys *keys)
{
    return (ct_str_entry *)keys->entries;
}

CT_INLINE ct_any_entry *
ct_any_entries(const ct_keys *keys)
{
    return (ct_any_entry *)keys->entries;
}

CT_INLINE ct_word *
ct_value_slot(const ct_keys *keys, Py_ssize_t ix)
{
    return keys->kind == CT_UNICODE ? &ct_str_entries(keys)[ix].value
                                    : &ct_any_entries(keys)[ix].value;
}

CT_INLINE PyObject *
ct_entry_key(const ct_keys *keys, Py_ssize_t ix)
{
    return keys->kind == CT_UNICODE ? ct_str_entries(keys)[ix].key : ct_any_entries(keys)[ix].key;
}

/* Touches the key of a unicode block: the entry must be live, or the reader pinned. */
CT_INLINE Py_hash_t
ct_entry_hash(const ct_keys *keys, Py_ssize_t ix)
{
    return keys->kind == CT_UNICODE ? ct_str_hash(ct_str_entries(keys)[ix].key)
                                    : ct_any_entries(keys)[ix].hash;
}

/* The value of an entry, NULL when absent.  Acquire pairs with the exchange or CAS that stored it. */
CT_INLINE PyObject *
ct_entry_value(const ct_keys *keys, Py_ssize_t ix)
{
    return (PyObject *)(ct_load_acquire(ct_value_slot(keys, ix)) & ~CT_FROZEN);
}

CT_INLINE size_t
ct_mask(const ct_keys *keys)
{
    return ((size_t)1 << keys->log2_size) - 1;
}

CT_INLINE uint8_t *
ct_tags(const ct_keys *keys)
{
    return (uint8_t *)keys->index + ((size_t)1 << keys->log2_size << keys->width);
}

/* Multiplied, because keys that share a slot share its bits of the hash (Fibonacci hashing, Knuth 6.4).  Not
 * the highest CT_MAX_SHARDS_LOG2 bits of the product: the keys of one shard have those in common (sharded.h). */
CT_INLINE uint8_t
ct_tag_of(Py_hash_t hash)
{
    return (uint8_t)(((uint64_t)hash * UINT64_C(0x9E3779B97F4A7C15)) >> (64 - CT_MAX_SHARDS_LOG2 - 8));
}

/* Acquire pairs with ct_index_publish: the entry that the slot names is complete (I3). */
CT_INLINE Py_ssize_t
ct_index_get(const ct_keys *keys, size_t i)
{
    switch (keys->width) {
    case 0:
        return ct_load_acquire((_Atomic(int8_t) *)keys->index + i);
    case 1:
        return ct_load_acquire((_Atomic(int16_t) *)keys->index + i);
    case 2:
        return ct_load_acquire((_Atomic(int32_t) *)keys->index + i);
    default:
        return (Py_ssize_t)ct_load_acquire((_Atomic(int64_t) *)keys->index + i);
    }
}

CT_INLINE void
ct_index_publish(ct_keys *keys, size_t i, Py_ssize_t ix)
{
    switch (keys->width) {
    case 0:
        ct_store_release((_Atomic(int8_t) *)keys->index + i, (int8_t)ix);
        break;
    case 1:
        ct_store_release((_Atomic(int16_t) *)keys->index + i, (int16_t)ix);
        break;
    case 2:
        ct_store_release((_Atomic(int32_t) *)keys->index + i, (int32_t)ix);
        break;
    default:
        ct_store_release((_Atomic(int64_t) *)keys->index + i, (int64_t)ix);
        break;
    }
}

#define CT_NEXT_SLOT(i, perturb, mask)                                                             \
    do {                                                                                           \
        (perturb) >>= CT_PERTURB_SHIFT;                                                            \
        (i) = ((i) * 5 + (perturb) + 1) & (mask);                                                  \
    } while (0)

/* -- probing ------------------------------------------------------------------------------------ */

/* Where a probe stopped: so that it can go on after user code has compared, and so that a writer need not
 * walk the same way again. */
typedef struct {
    size_t i, perturb;   /* i: the slot of a hit; the empty one of a miss */
    Py_ssize_t ix;       /* with CT_COMPARE: the entry to compare */
    Py_ssize_t visits;   /* slots of other keys passed; counted for writers only */
} ct_probe_state;

#define CT_STOPPED(write, at, slot, passed)                                                        \
    do {                                                                                           \
        if (write) { /* a constant: readers keep nothing */                                        \
            (at)->i = (slot);                                                                      \
            (at)->visits = (passed);                                                               \
        }                                                                                          \
    } while (0)

/* Entry of exact str `key` in a unicode block, or CT_MISS: nothing here ever needs user code. */
#define CT_PROBE_STR(NAME, TYPE)                                                                   \
    CT_INLINE Py_ssize_t NAME(const ct_keys *keys, PyObject *key, Py_hash_t hash, int write,       \
                              ct_probe_state *at)                                                  \
    {                                                                                              \
        const _Atomic(TYPE) *index = (const _Atomic(TYPE) *)keys->index;                           \
        const ct_str_entry *entries = ct_str_entries(keys);                                        \
        size_t mask = ct_mask(keys), perturb = (size_t)hash, i = perturb & mask;                   \
        Py_ssize_t visits = 0;                                                                     \
        const uint8_t *tags = (const uint8_t *)(index + mask + 1), tag = ct_tag_of(hash);          \
        for (;;) {                                                                                 \
            Py_ssize_t ix = (Py_ssize_t)ct_load_acquire((_Atomic(TYPE) *)&index[i]);               \
            if (CT_LIKELY(ix >= 0)) {                                                              \
                if (CT_LIKELY(tags[i] == tag)) {                                                   \
                    if (write) {                                                                   \
                        CT_PREFETCH_FOR_WRITE(&entries[ix]);                                       \
                    }                                                                              \
                    PyObject *candidate = entries[ix].key;                                         \
                    if (candidate == key                                                           \
                        || (ct_str_hash(candidate) == hash                                         \
                            && ct_str_equal(candidate, key) == CT_EQUAL)) {                        \
                        CT_STOPPED(write, at, i, visits);                                          \
                        return ix;                                                                 \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
            else if (ix == CT_EMPTY) {                                                             \
                CT_STOPPED(write, at, i, visits);                                                  \
                return CT_MISS;                                                                    \
            }                                                                                      \
            visits += write;                                                                       \
            CT_NEXT_SLOT(i, perturb, mask);                                                        \
        }                                                                                          \
    }

CT_PROBE_STR(ct_probe_str8, int8_t)
CT_PROBE_STR(ct_probe_str16, int16_t)
CT_PROBE_STR(ct_probe_str32, int32_t)
CT_PROBE_STR(ct_probe_str64, int64_t)

/* Any key in a general block: entry, CT_MISS, or CT_COMPARE when user code would have to decide; then
 * `at` says where the probe stopped. */
#define CT_PROBE_ANY(NAME, TYPE)                                                                   \
    CT_INLINE Py_ssize_t NAME(const ct_keys *keys, PyObject *key, Py_hash_t hash, int write,       \
                              ct_probe_state *at)                                                  \
    {                                                                                              \
        const _Atomic(TYPE) *index = (const _Atomic(TYPE) *)keys->index;                           \
        const ct_any_entry *entries = ct_any_entries(keys);                                        \
        size_t mask = ct_mask(keys), perturb = (size_t)hash, i = perturb & mask;                   \
        Py_ssize_t visits = 0;                                                                     \
        const uint8_t *tags = (const uint8_t *)(index + mask + 1), tag = ct_tag_of(hash);          \
        for (;;) {                                                                                 \
            Py_ssize_t ix = (Py_ssize_t)ct_load_acquire((_Atomic(TYPE) *)&index[i]);               \
            if (CT_LIKELY(ix >= 0)) {                                                              \
                const ct_any_entry *entry = &entries[ix];                                          \
                if (CT_LIKELY(tags[i] == tag)) {                                                   \
                    if (write) {                                                                   \
                        CT_PREFETCH_FOR_WRITE(entry);                                              \
                    }                                                                              \
                    if (entry->key == key) {                                                       \
                        CT_STOPPED(write, at, i, visits);                                          \
                        return ix;                                                                 \
                    }                                                                              \
                    if (entry->hash == hash) {                                                     \
                        int order = ct_compare(entry->key, key);                                   \
                        if (order == CT_EQUAL) {                                                   \
                            CT_STOPPED(write, at, i, visits);                                      \
                            return ix;                                                             \
                        }                                                                          \
                        if (order == CT_UNKNOWN) {                                                 \
                            CT_NEXT_SLOT(i, perturb, mask);                                        \
                            *at = (ct_probe_state){i, perturb, ix, visits + write};                \
                            return CT_COMPARE;                                                     \
                        }                                                                          \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
            else if (ix == CT_EMPTY) {                                                             \
                CT_STOPPED(write, at, i, visits);                                                  \
                return CT_MISS;                                                                    \
            }                                                                                      \
            visits += write;                                                                       \
            CT_NEXT_SLOT(i, perturb, mask);                                                        \
        }                                                                                          \
    }

CT_PROBE_ANY(ct_probe_any8, int8_t)
CT_PROBE_ANY(ct_probe_any16, int16_t)
CT_PROBE_ANY(ct_probe_any32, int32_t)
CT_PROBE_ANY(ct_probe_any64, int64_t)

/* Any block, any key, resumable; slower. */
Py_ssize_t ct_probe_resume(const ct_keys *keys, PyObject *key, Py_hash_t hash, ct_probe_state *at);
void ct_probe_start(const ct_keys *keys, Py_hash_t hash, ct_probe_state *at);

/* The lookup that runs no user code: entry number, CT_MISS, or CT_COMPARE, from where ct_probe_resume goes
 * on.  `write`: the value is about to be replaced, so fetch the entry's line once, to own it, and not
 * first to read and then to write; and tell in `at` which slot it is. */
CT_INLINE Py_ssize_t
ct_probe_at(const ct_keys *keys, PyObject *key, Py_hash_t hash, int write, ct_probe_state *at)
{
    if (keys->kind == CT_UNICODE) {
        if (CT_LIKELY(PyUnicode_CheckExact(key))) {
            switch (keys->width) {
            case 0:
                return ct_probe_str8(keys, key, hash, write, at);
            case 1:
                return ct_probe_str16(keys, key, hash, write, at);
            case 2:
                return ct_probe_str32(keys, key, hash, write, at);
            default:
                return ct_probe_str64(keys, key, hash, write, at);
            }
        }
        ct_probe_start(keys, hash, at);
        return ct_probe_resume(keys, key, hash, at);
    }
    switch (keys->width) {
    case 0:
        return ct_probe_any8(keys, key, hash, write, at);
    case 1:
        return ct_probe_any16(keys, key, hash, write, at);
    case 2:
        return ct_probe_any32(keys, key, hash, write, at);
    default:
        return ct_probe_any64(keys, key, hash, write, at);
    }
}

CT_INLINE Py_ssize_t
ct_probe(const ct_keys *keys, PyObject *key, Py_hash_t hash)
{
    ct_probe_state at;
    return ct_probe_at(keys, key, hash, 0, &at);
}

/* -- blocks: memory ----------------------------------------------------------------------------- */

int ct_keys_process_init(void);
int ct_log2_holding(Py_ssize_t entries);  /* smallest log2 size of which two thirds hold that many */
int ct_log2_for_slots(Py_ssize_t slots);  /* smallest log2 size with that many slots */
ct_keys *ct_keys_new(int log2_size, int kind); /* NULL without memory; no exception set */
void ct_keys_release(ct_keys *keys);      /* one memory hold less; frees at the last */
void ct_keys_hold(ct_keys *keys);         /* pinned, or holding the section or another hold */
size_t ct_keys_nbytes(const ct_keys *keys);

/* -- blocks: contents; the caller holds the section, or the block is not published --------------- */

/* Append a new entry; steals both references.  Room is there, and the kind admits the key. */
void ct_keys_append(ct_keys *keys, PyObject *key, Py_hash_t hash, PyObject *value);
/* The same where the first empty slot for the hash is known. */
void ct_keys_append_at(ct_keys *keys, PyObject *key, Py_hash_t hash, PyObject *value, size_t slot);
/* Whether an insertion would pass too many slots of deleted keys: slots are never used again (I2), so a
 * key that comes and goes would make its own probe sequence longer each time. */
int ct_keys_crowded_at(const ct_keys *keys, Py_hash_t hash, Py_ssize_t used);
/* The same where so many slots would be passed. */
CT_INLINE int
ct_keys_too_many(Py_ssize_t visits, Py_ssize_t used)
{
    return visits > CT_CROWDED && visits * visits > used;
}

/* The index slot of live entry ix. */
CT_INLINE size_t
ct_keys_slot_of(const ct_keys *keys, Py_ssize_t ix, Py_hash_t hash)
{
    size_t mask = ct_mask(keys), perturb = (size_t)hash, i = perturb & mask;
    while (ct_index_get(keys, i) != ix) {
        CT_NEXT_SLOT(i, perturb, mask);
    }
    return i;
}

/* Fills `fresh` with the live entries of `old`, compacted; references move (`copy`: new ones taken).
 * `freeze`: lock-free writers may be at work, so mark each value slot before reading it. */
ct_keys *ct_keys_rebuild(ct_keys *old, ct_keys *fresh, Py_ssize_t used, int freeze, int copy);
/* Fills an unpublished, empty block from a dict that holds still, as long as keys are exact str (int
 * too in a general block): whether that was all of it.  Runs no user code. */
int ct_keys_fill(ct_keys *keys, PyObject *dict);
/* A copy with new references, as fast as memory allows. */
ct_keys *ct_keys_clone(ct_keys *old, Py_ssize_t used);
/* Read a slot for the last time before the block is replaced. */
CT_INLINE PyObject *
ct_slot_settle(ct_word *slot, int freeze)
{
    uintptr_t word = freeze ? ct_fetch_or_acq_rel(slot, CT_FROZEN) : ct_load_relaxed(slot);
    return (PyObject *)(word & ~CT_FROZEN);
}

/* A block that takes no entry and is never replaced by one that does: whoever comes with an insertion
 * is told "no memory" and looks again where the contents are now (split_whole.c, ct_split_clear). */
CT_INLINE int
ct_keys_sealed(const ct_keys *keys)
{
    return keys->capacity == 0 && keys != ct_empty_keys;
}

CT_INLINE int
ct_keys_admits(const ct_keys *keys, PyObject *key)
{
    return keys->kind == CT_GENERAL || PyUnicode_CheckExact(key);
}

CT_INLINE Py_ssize_t
ct_keys_room(const ct_keys *keys)
{
    return keys->capacity - ct_load_relaxed(&keys->nentries);
}

#endif
