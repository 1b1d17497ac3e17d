/* The table of a cache in C: entries, their index, and the books (policy, timer wheel) in one.
 *
 *   index: 2^n slots of 4 bytes | tags: 2^n bytes        entries: nodes of 64 bytes, numbered (cache_slab.h)
 *   slot:  0 = EMPTY -> number + 2 -> 1 = DUMMY or another number -> ...
 *   node:  hash, chain links, epoch | wheel links, value, key, deadline, extra: one cache line
 *
 * Reading takes a pin and no lock.  A slot is published after its tag and its node are complete (release,
 * acquire).  Slots that were used never become EMPTY again in the same index, so a key that stays is
 * found by every probe; a slot may be used again for another key, and a reader that meets it halfway compares
 * hash and key in the node.  Key, value, epoch and hash of a node never change while somebody may look at
 * them: a new value is a new node, whose number takes the place of the old one in the same slot.  A
 * node that left is used again after a grace period; keys and values are dropped through retire (I10).
 *
 * Everything else of a node is written in the section of the base table (table.h): links, state, and what
 * policy and wheel keep.  So table and books change together: when a writer returns, its entry is
 * counted and the bound is kept.
 *
 *   | location                        | writer                 | reader           |
 *   | index pointer, slots            | section, release       | acquire, pinned  |
 *   | node deadline, touched, refresh | relaxed                | relaxed          |
 *   | cells (node extra, more->cells) | section, exchange acq_rel | acquire, pinned |
 *   | node state                      | section, release       | acquire          |
 *   | stripe counts                   | its thread, relaxed    | relaxed          |
 *   | stripe tail; head               | its thread, release; drainer, release | acquire |
 *   | pointer to a slab's chunk       | section, before the slot | relaxed, after the slot's acquire |
 *   | next_due, told_due              | section; who tells the clock, relaxed | relaxed: who tells looks again |
 *   | nretired, insertions, left      | relaxed                | relaxed, numbers only |
 */
#ifndef CT_CACHE_STORE_H
#define CT_CACHE_STORE_H

#include "cache_policy.h"
#include "cache_wheel.h"
#include "table.h"
#include "watching.h"

enum { CT_X_CELL = 10, CT_X_ENTRY = 11, CT_X_CACHE_TABLE = 16, CT_X_HIT_PATH = 15 }; /* extra_types[] */

typedef _Atomic(int64_t) ct_i64;
typedef _Atomic(double) ct_double;

typedef struct {
    PyObject_HEAD
    PyObject *weakrefs;
    ct_i64 fallen;
} ct_cell;

/* What few entries have; it stays until the entry goes.  Those that have cells and nothing else of it, as the
 * results of cached functions do, do without. */
typedef struct {
    _Atomic(PyObject *) cells; /* tuple, or NULL */
    ct_double idle, touched, refresh_at;
    int64_t weight;
} ct_entry_more;

enum { CT_NODE_FREE, CT_NODE_LIVE, CT_NODE_GONE };

/* 64 bytes: there may be millions. */
typedef struct ct_node {
    ct_item item;
    uint32_t earlier, later; /* in a bucket of the wheel; CT_NONE, CT_NONE: in none */
    PyObject *key, *value;
    ct_double deadline;
    ct_word extra; /* a ct_entry_more, or a tuple of cells plus CT_CELLS_ONLY, or 0 */
} ct_node;

/* In a node's `extra`: never idle, no refresh, weight 1, as with 0. */
#define CT_CELLS_ONLY ((uintptr_t)1)

typedef struct {
    size_t mask;
    size_t fill; /* slots that are not EMPTY; section */
    _Atomic(uint32_t) slots[];
} ct_cache_index;

enum { CT_CACHE_RECORDS = 64, CT_CHUNK_STRIPES = 32 };

/* What one thread counts and records: a ring of numbers with one writer, the thread, and one reader, the
 * holder of the section.  Lines of its own, so that hits of different threads do not meet.  A number may
 * have another entry's node by the time it is read: then an access too many is booked for that one. */
typedef struct {
    void *memory;
    ct_i64 hits, misses;
    ct_word tail;
    unsigned int skip;    /* so many hits more go unrecorded */
    unsigned int refused; /* records dropped since the ring was full */
    char pad[128 - 40];
    ct_word head;
    _Atomic(uint32_t) records[CT_CACHE_RECORDS];
} ct_cache_stripe;

/* By the number of the thread's record; grows at the end only. */
typedef struct ct_stripe_chunk {
    _Atomic(ct_cache_stripe *) at[CT_CHUNK_STRIPES];
    _Atomic(struct ct_stripe_chunk *) next;
} ct_stripe_chunk;

enum { CT_LEFT_EXPLICIT, CT_LEFT_REPLACED, CT_LEFT_SIZE, CT_LEFT_EXPIRED, CT_LEFT_INVALIDATED,
       CT_LEFT_CAUSES };

typedef struct ct_store {
    ct_table base; /* section, sharing, events; `used`; its block stays empty */
    _Atomic(ct_cache_index *) index;
    ct_slab nodes;
    uint32_t retired; /* left, and perhaps still looked at: a list by `next` */
    _Atomic(uint32_t) nretired; /* section; a writer that comes looks before it takes that */
    ct_policy policy;
    ct_wheel *wheel;      /* NULL until something ends */
    double stale_seconds; /* how long after its end an entry is of use */
    ct_double next_due, told_due; /* of the wheel, and as the clock was told */
    ct_i64 insertions, left[CT_LEFT_CAUSES]; /* counted without memory */
    ct_int calm;          /* drains after many hits without a miss */
    int64_t hits, misses; /* when a drain found the last miss (-1: it shall look again); section */
    ct_int draining;      /* somebody is at it */
    PyObject *named; /* borrowed: the cache, while it lives */
    int tells;       /* those who are driven out are wanted */
    ct_stripe_chunk stripes;
} ct_store;

#define CT_STORE(o) ((ct_store *)(o))

CT_INLINE ct_node *
ct_node_at(const ct_store *store, uint32_t number)
{
    uint32_t place = number + (1u << CT_SLAB_FIRST_LOG2);
    int bit = ct_highest_bit(place);
    char *chunk = ct_load_relaxed((_Atomic(char *) *)&store->nodes.chunks[bit - CT_SLAB_FIRST_LOG2]);
    return (ct_node *)chunk + (place - (1u << bit));
}

CT_INLINE int64_t
ct_node_epoch(const ct_node *node)
{
    return (int64_t)((uint64_t)ct_load_relaxed((_Atomic(uint16_t) *)&node->item.epoch_high) << 32
                     | ct_load_relaxed((_Atomic(uint32_t) *)&node->item.epoch_low));
}

CT_INLINE ct_entry_more *
ct_more_of(uintptr_t extra)
{
    return extra & CT_CELLS_ONLY ? NULL : (ct_entry_more *)extra;
}

/* NULL: none. */
CT_INLINE PyObject *
ct_cells_of(uintptr_t extra)
{
    if (extra & CT_CELLS_ONLY) {
        return (PyObject *)(extra - CT_CELLS_ONLY);
    }
    return extra == 0 ? NULL : ct_load_acquire(&((ct_entry_more *)extra)->cells);
}

CT_INLINE ct_entry_more *
ct_node_more(const ct_node *node)
{
    return ct_more_of(ct_load_relaxed((ct_word *)&node->extra)); /* as it was when the node was filled */
}

CT_INLINE PyObject *
ct_node_cells(const ct_node *node)
{
    return ct_cells_of(ct_load_acquire((ct_word *)&node->extra));
}

/* -- lookup ------------------------------------------------------------------------------------- */

enum { CT_SLOT_EMPTY = 0, CT_SLOT_DUMMY = 1, CT_SLOT_FIRST = 2 };
#define CT_UNSURE (UINT32_MAX - 1) /* user code has to compare */

/* What user code has said about candidates for one key; references. */
typedef struct {
    PyObject *matched;
    PyObject **rejected, *first[4];
    size_t count, room;
    PyObject *unsure; /* out, borrowed: the one to be compared next */
} ct_compared;

CT_INLINE uint8_t *
ct_index_tags(ct_cache_index *index)
{
    return (uint8_t *)&index->slots[index->mask + 1];
}

int ct_known(ct_compared *compared, PyObject *candidate); /* CT_EQUAL, CT_DIFFERENT, CT_UNKNOWN */

/* What is looked for: whether a candidate with the same hash is it, CT_EQUAL, CT_DIFFERENT or CT_UNKNOWN. */
typedef int (*ct_matcher)(PyObject *candidate, const void *wanted);

/* The number of its node, CT_NONE, or CT_UNSURE; pinned or in the section. */
CT_INLINE uint32_t
ct_store_probe_for(ct_store *store, Py_hash_t hash, ct_matcher is, const void *wanted, size_t *slot)
{
    ct_cache_index *index = ct_load_acquire(&store->index);
    size_t mask = index->mask, perturb = (size_t)hash, i = perturb & mask;
    uint8_t *tags = ct_index_tags(index), tag = ct_tag_of(hash);
    for (;;) {
        uint32_t value = ct_load_acquire(&index->slots[i]);
        if (value == CT_SLOT_EMPTY) {
            return CT_NONE;
        }
        if (CT_LIKELY(value != CT_SLOT_DUMMY)
            && CT_LIKELY(ct_load_relaxed((_Atomic(uint8_t) *)&tags[i]) == tag)) {
            uint32_t number = value - CT_SLOT_FIRST;
            ct_node *node = ct_node_at(store, number);
            PyObject *candidate = node->key;
            if (CT_LIKELY(node->item.hash == hash)) {
                int same = is(candidate, wanted);
                if (CT_LIKELY(same == CT_EQUAL)) {
                    *slot = i;
                    return number;
                }
                if (same == CT_UNKNOWN) {
                    return CT_UNSURE;
                }
            }
        }
        CT_NEXT_SLOT(i, perturb, mask);
    }
}

typedef struct {
    PyObject *key;
    ct_compared *compared; /* or NULL */
} ct_wanted;

CT_INLINE int
ct_is_wanted(PyObject *candidate, const void *arg)
{
    const ct_wanted *wanted = arg;
    int same = candidate == wanted->key ? CT_EQUAL : ct_compare(candidate, wanted->key);
    return CT_UNLIKELY(same == CT_UNKNOWN) ? ct_known(wanted->compared, candidate) : same;
}

CT_INLINE uint32_t
ct_store_probe(ct_store *store, PyObject *key, Py_hash_t hash, ct_compared *compared, size_t *slot)
{
    ct_wanted wanted = {key, compared};
    return ct_store_probe_for(store, hash, ct_is_wanted, &wanted, slot);
}

CT_INLINE void
ct_compared_init(ct_compared *compared)
{
    memset(compared, 0, sizeof(*compared));
    compared->rejected = compared->first;
    compared->room = 4;
}

/* Ask the candidate, to which this takes over a reference; unlocked, unpinned.  0 or -1. */
int ct_compared_ask(ct_compared *compared, PyObject *candidate, PyObject *key);
void ct_compared_clear(ct_compared *compared);

/* -- changes (cache_store.c) ---------------------------------------------------------------------- */

/* What an entry was, with references; taken out of a node or copied from it. */
typedef struct {
    PyObject *key, *value, *cells;
    int64_t hash, epoch, weight;
    double deadline, idle, touched, refresh_at;
    uint32_t number;
    ct_entry_more *more; /* to be freed, when it was taken out */
} ct_view;

/* Several that left. */
typedef struct {
    ct_view first[2], *items;
    size_t count, room;
    int shared;
} ct_leavers;

enum { CT_PUT_ANY, CT_PUT_IF_ABSENT, CT_PUT_IF_SAME };

typedef struct {
    int condition;
    uint32_t number; /* CT_PUT_IF_SAME: the entry that must be there */
    int64_t epoch;
    int done;        /* out */
    int had_old;     /* out: the first of the leavers is what it replaced */
    int over;        /* out: for more leavers there was no memory; see ct_store_evict_rest */
    uint32_t placed; /* out: the node */
} ct_put;

void ct_leavers_init(ct_leavers *leavers);
void ct_leavers_drop(ct_store *store, ct_leavers *leavers);

/* Store `fresh`, which keeps its references; who had to leave is in `leavers`.  0 or -1 with an error. */
int ct_store_put(ct_store *store, const ct_view *fresh, ct_put *put, ct_leavers *leavers);
/* Who has to leave still, as many as there is room for; 1 when that is not all. */
int ct_store_evict(ct_store *store, ct_leavers *leavers);
/* All of them, a few at a time, with nothing held; `victims`, if not NULL: a list to add them to (cache_table.c). */
void ct_store_evict_rest(ct_store *store, PyObject **victims);
/* Take out the entry of `key`: 1, 0 when it is not there, -1 with an error. */
int ct_store_pop(ct_store *store, PyObject *key, ct_leavers *leavers);
/* The same of that one entry if it has ended at `now`; with inf in any case. */
int ct_store_remove(ct_store *store, uint32_t number, int64_t epoch, double now, int cause,
                    ct_leavers *leavers);
/* How many may have ended; -1 with an error. */
Py_ssize_t ct_store_count_due(ct_store *store, double now);
/* Take out `most` of those that have ended; 0 or -1.  The others stay due. */
int ct_store_expire(ct_store *store, double now, size_t most, ct_leavers *leavers);
/* The entry gets another deadline; 1, or 0 when it has left; -1 with an error. */
int ct_store_reschedule(ct_store *store, uint32_t number, int64_t epoch, double deadline, double now);
/* Fill `view` with new references: 1, 0 when there is none, -1 with an error. */
int ct_store_look(ct_store *store, PyObject *key, ct_view *view);
void ct_view_copy(const ct_store *store, uint32_t number, ct_view *view); /* pinned or in the section */
void ct_node_describe(const ct_store *store, uint32_t number, ct_view *view); /* borrows */
void ct_view_release(ct_view *view);
int64_t ct_node_weight(const void *item);
enum { CT_INDEX_FIRST_SLOTS = 8 };
ct_cache_index *ct_cache_index_new(size_t slots); /* NULL without memory */
/* Book the access records, unless somebody else is at it. */
void ct_store_drain(ct_store *store);
double ct_store_next_due(ct_store *store);
int ct_store_begin(ct_store *store, ct_section *section); /* 0, or -1 with an error */
void ct_store_end(ct_store *store, ct_section *section);
int ct_store_is_live(const ct_store *store, uint32_t number, int64_t epoch);
/* Life: after the allocation; the policy; tp_traverse, tp_clear, dealloc. */
int ct_store_init(ct_store *store, ct_state *st);
int ct_store_set_policy(ct_store *store, int kind, int64_t maxsize, uint64_t seed);
int ct_store_traverse(ct_store *store, visitproc visit, void *arg);
void ct_store_clear_refs(ct_store *store);
void ct_store_teardown(ct_store *store);

/* -- records (cache_records.c) -------------------------------------------------------------------- */

ct_cache_stripe *ct_stripe_make(ct_store *store, unsigned int number); /* NULL with MemoryError */
void ct_stripes_free(ct_store *store);
void ct_stripes_drain_held(ct_store *store);
void ct_stripes_calm_held(ct_store *store);
void ct_stripes_wake_held(ct_store *store);
void ct_cache_counts(ct_store *store, int64_t *hits, int64_t *misses);
unsigned int ct_cache_calm(ct_store *store);

/* The calling thread's; NULL when it has none yet. */
CT_INLINE ct_cache_stripe *
ct_stripe_find(ct_store *store, unsigned int number)
{
    ct_stripe_chunk *chunk = &store->stripes;
    for (; CT_UNLIKELY(number >= CT_CHUNK_STRIPES) && chunk != NULL; number -= CT_CHUNK_STRIPES) {
        chunk = ct_load_acquire(&chunk->next);
    }
    return CT_UNLIKELY(chunk == NULL) ? NULL : ct_load_acquire(&chunk->at[number]);
}

/* The calling thread's, made if need be; NULL with MemoryError. */
CT_INLINE ct_cache_stripe *
ct_stripe_of(ct_store *store, ct_record *self)
{
    ct_cache_stripe *stripe = ct_stripe_find(store, self->number);
    return CT_LIKELY(stripe != NULL) ? stripe : ct_stripe_make(store, self->number);
}

/* Record a hit; 1 when the ring is full: drain it. */
CT_INLINE int
ct_note_access(ct_cache_stripe *stripe, uint32_t number)
{
    if (stripe->skip != 0) {
        stripe->skip--;
        return 0;
    }
    uintptr_t tail = ct_load_relaxed(&stripe->tail);
    uintptr_t pending = tail - ct_load_acquire(&stripe->head);
    if (CT_UNLIKELY(pending >= CT_CACHE_RECORDS)) {
        return ++stripe->refused % CT_CACHE_RECORDS == 0;
    }
    ct_store_relaxed(&stripe->records[tail % CT_CACHE_RECORDS], number);
    ct_store_release(&stripe->tail, tail + 1);
    return pending + 1 == CT_CACHE_RECORDS;
}

/* -- entries for Python (cache_entry.c) ----------------------------------------------------------- */

int ct_cache_types_init(PyObject *module, ct_state *st);
int ct_cache_table_type_init(PyObject *module, ct_state *st);
/* An Entry; takes over the references of the view.  NULL with an error (and the view released). */
PyObject *ct_entry_of(ct_store *store, ct_view *view);
/* The same in two steps, for changes that must not fail once they are made. */
PyObject *ct_entry_blank(ct_store *store);
void ct_entry_fill(PyObject *self, ct_store *store, const ct_view *view);

typedef struct {
    PyObject_HEAD
    ct_view view;      /* as it was when it was looked at, or as it shall be */
    ct_store *store;   /* NULL: not stored yet */
    PyObject *victims; /* list of those that it drove out, or NULL */
} ct_entry;

#define CT_ENTRY(o) ((ct_entry *)(o))

/* As it is now if it is in the table, else as it was; with references.  0 or -1. */
int ct_entry_now(ct_entry *entry, ct_view *view);

#endif
