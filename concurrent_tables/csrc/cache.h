/* The hit path of a cache: entries, what tells whether they may be served, and access records.
 *
 * The specification is _pure/hit_path.py.  An entry never changes its key, value and epoch.  What else
 * a hit looks at is a number that anybody may store at any time, and a tuple of cells that is replaced
 * once by a shorter one and retired; so a hit needs only its pin.
 *
 *   | location                  | writer                         | reader                  |
 *   | entry deadline, touched   | relaxed                        | relaxed                 |
 *   | entry cells               | exchange acq_rel, then retired | acquire, pinned         |
 *   | cell fallen, path cleared | release                        | acquire                 |
 *   | stripe counts             | its thread, relaxed            | relaxed                 |
 *   | stripe tail; head         | its thread, release; drainer, release | acquire          |
 */
#ifndef CT_CACHE_H
#define CT_CACHE_H

#include "table.h"

enum { CT_X_CELL = 10, CT_X_ENTRY = 11, CT_X_HIT_PATH = 15 }; /* extra_types[] */

typedef _Atomic(int64_t) ct_i64;
typedef _Atomic(double) ct_double;

typedef struct {
    PyObject_HEAD
    PyObject *weakrefs;
    ct_i64 fallen;
} ct_cell;

/* What few entries have; it stays until the entry goes. */
typedef struct {
    _Atomic(PyObject *) cells; /* tuple, or NULL */
    ct_double idle, touched, refresh_at;
    int64_t weight;
} ct_entry_more;

/* 128 bytes with the object's header: there may be millions.  What a hit looks at comes first, in one
 * cache line with the header. */
typedef struct {
    PyObject_HEAD
    PyObject *value;
    int64_t epoch;
    ct_double deadline;
    ct_entry_more *more;           /* NULL: no cells, never idle, no refresh, weight 1 */
    PyObject *key;
    int64_t hash;
    PyObject *bucket, *earlier, *later; /* the timer wheel's, under the maintenance lock */
    PyObject *previous, *next;     /* the policy's, as is region */
    unsigned int maker;            /* number of the thread that made it */
    uint8_t state, region, frequency;
    _Atomic(uint8_t) noted;        /* it is in somebody's access records */
} ct_entry;

enum { CT_CACHE_RECORDS = 64, CT_SCRATCH_KEYS = 3 };

/* What one thread counts and records: a ring with one writer, the thread, and one reader, the holder of the
 * maintenance lock.  Lines of its own, so that hits of different threads do not meet. */
typedef struct {
    void *memory;
    ct_i64 hits, misses;
    ct_word tail;
    unsigned int skip;    /* so many hits more go unrecorded */
    unsigned int refused; /* records dropped since the ring was full */
    PyObject *scratch[CT_SCRATCH_KEYS]; /* keys of cached calls (cache_call.c) */
    char pad[128 - 64];
    ct_word head;
    PyObject *records[CT_CACHE_RECORDS];
} ct_cache_stripe;

enum { CT_CHUNK_STRIPES = 32 };

/* By the number of the thread's record; grows at the end only. */
typedef struct ct_stripe_chunk {
    _Atomic(ct_cache_stripe *) at[CT_CHUNK_STRIPES];
    _Atomic(struct ct_stripe_chunk *) next;
} ct_stripe_chunk;

typedef struct {
    PyObject_HEAD
    PyObject *weakrefs;
    PyObject *table, *timer;
    ct_state *st;
    ct_i64 cleared;
    int records;
    int reads_clock;  /* the timer is time.monotonic: read the clock without a call */
    ct_int calm;      /* drains in which no miss had come */
    int64_t misses;   /* at the last drain; maintenance lock */
    ct_stripe_chunk stripes;
} ct_hit_path;

int ct_cache_types_init(PyObject *module, ct_state *st);
int ct_hit_path_type_init(PyObject *module, ct_state *st);
int ct_cached_call_type_init(PyObject *module, ct_state *st);

enum { CT_FOUND_VALUE, CT_FOUND_ENTRY, CT_FOUND_NOTHING, CT_FOUND_UNSURE, CT_FOUND_ERROR };

/* As HitPath._find, but the value where that is all that a caller needs.  With a `borrowed` key no user code
 * sees it: the answer may be CT_FOUND_UNSURE, when nothing was counted; ask with a key of your own. */
int ct_cache_find_fresh(ct_hit_path *path, PyObject *key, int borrowed, PyObject **found);

/* -- records (cache_records.c) -------------------------------------------------------------------- */

ct_cache_stripe *ct_stripe_make(ct_hit_path *path, unsigned int number); /* NULL with MemoryError */
void ct_stripes_free(ct_hit_path *path);
int ct_stripes_traverse(ct_hit_path *path, visitproc visit, void *arg);
PyObject *ct_cache_drain(ct_hit_path *path);
void ct_cache_counts(ct_hit_path *path, int64_t *hits, int64_t *misses);
unsigned int ct_cache_calm(ct_hit_path *path);

/* The calling thread's; NULL when it has none yet. */
CT_INLINE ct_cache_stripe *
ct_stripe_find(ct_hit_path *path, unsigned int number)
{
    ct_stripe_chunk *chunk = &path->stripes;
    for (; CT_UNLIKELY(number >= CT_CHUNK_STRIPES) && chunk != NULL; number -= CT_CHUNK_STRIPES) {
        chunk = ct_load_acquire(&chunk->next);
    }
    return CT_UNLIKELY(chunk == NULL) ? NULL : ct_load_acquire(&chunk->at[number]);
}

/* The calling thread's, made if need be; NULL with MemoryError. */
CT_INLINE ct_cache_stripe *
ct_stripe_of(ct_hit_path *path, ct_record *self)
{
    ct_cache_stripe *stripe = ct_stripe_find(path, self->number);
    return CT_LIKELY(stripe != NULL) ? stripe : ct_stripe_make(path, self->number);
}

/* Record a hit; the entry is kept alive by a pin or a reference.  1 when the ring is full: drain it.
 * A hit of another thread's entry that is noted already is left out: counting its references is the
 * one thing by which two threads that hit the same entry would meet. */
CT_INLINE int
ct_note_access(ct_cache_stripe *stripe, unsigned int number, ct_entry *entry)
{
    if (stripe->skip != 0) {
        stripe->skip--;
        return 0;
    }
    if (entry->maker != number && ct_load_relaxed(&entry->noted)) {
        return 0;
    }
    uintptr_t tail = ct_load_relaxed(&stripe->tail);
    uintptr_t pending = tail - ct_load_acquire(&stripe->head);
    if (CT_UNLIKELY(pending >= CT_CACHE_RECORDS)) {
        return ++stripe->refused % CT_CACHE_RECORDS == 0;
    }
    if (!ct_load_relaxed(&entry->noted)) {
        ct_store_relaxed(&entry->noted, 1);
    }
    stripe->records[tail % CT_CACHE_RECORDS] = Py_NewRef((PyObject *)entry);
    ct_store_release(&stripe->tail, tail + 1);
    return pending + 1 == CT_CACHE_RECORDS;
}

#endif
