/* What every mutable table is made of: block pointer, owner, versions, writer section, pending work.
 *
 * Reading:   ct_enter(t) pins; load t->keys; probe; load the value; Py_INCREF; ct_unpin.
 * Writing:   ct_write_lock(t) ... locate, mutate with the *_held functions, collect what was unlinked
 *            in a ct_pending ... ct_write_unlock(t); ct_pending_finish() drops and delivers (I7).
 *            User code never runs between lock and unlock; a place found by user comparisons
 *            (ct_resolve) is revalidated under the lock (ct_locate) or looked up again (I6).
 *
 * Becoming shared (I9).  `owner` is the record of the only thread that has touched the table.  That
 * thread needs no lock, only its pin: any other thread, before its first access, stores CT_SHARING
 * (under the section), waits for a grace period, and then stores CT_SHARED.  Whatever the owner had
 * begun with `owner == self` is over by then; from CT_SHARING on it takes the section like
 * everybody else.  So the owner's writes are plain stores, it drops references directly, and the
 * first foreign access costs one heavy barrier per table.
 *
 * Lock-free overwrites.  While `lockfree` is set, an existing key's value is replaced by one CAS,
 * pinned, without the section.  Snapshots, watchers, gates and multi-key reads need the table to hold
 * still: ct_quiesce_held clears the flag and waits for a grace period, after which every write goes
 * through the section.  A table returns to lock-free overwrites after a run of undisturbed ones.
 * A block being replaced freezes each value slot first (CT_FROZEN), so no CAS is lost.
 */
#ifndef CT_TABLE_H
#define CT_TABLE_H

#include "ct_common.h"
#include "keys.h"
#include "reclaim.h"
#include "special.h"

#define CT_SHARED ((uintptr_t)1)
#define CT_SHARING ((uintptr_t)2) /* the first foreign thread waits for the owner */
enum { CT_STRIPES = 32, CT_CALM_OVERWRITES = 32, CT_MAX_OWN_RESTARTS = 1000,
       CT_BACKOFF_ROUNDS = 4, CT_BACKOFF_PAUSES = 250, CT_SHARD_SPINS = 100 };

/* Statuses of the write functions. */
enum { CT_DONE = 1, CT_NOT_MET = 0, CT_FAILED = -1 /* error set */, CT_NO_MEMORY = -2 /* not set */ };

/* Lock-free overwrites of one thread, or of those that share a stripe.  `begun` is raised (release) before the
 * swap that shows the value, `count` (release) after it.  Who has acquired the value from its slot therefore
 * acquires a `begun` that has it, and waits until `count` (acquire) has it, too: ct_await_overwrites. */
typedef struct {
    ct_u64 begun, count;
    char pad[64 - 2 * sizeof(ct_u64)];
} ct_stripe;

/* Events in commit order, until WatchState drains them; see watching.c. */
typedef struct ct_event_node ct_event_node;
struct ct_event_log;

typedef struct ct_table {
    PyObject_HEAD
    /* read by every operation, written rarely */
    _Atomic(ct_keys *) keys; /* release by the lock holder, acquire by readers */
    ct_word owner;           /* ct_record of the only thread so far, CT_SHARING, CT_SHARED */
    _Atomic(ct_stripe *) stripes;
    ct_int lockfree;
    int quiet;               /* no lock-free overwrite is in flight; lock holder */
    ct_state *st;
    PyObject *weakrefs;
    PyObject *parent;        /* borrowed: the table that events name, if not this one */
    /* written under the section */
#if CT_FT
    PyMutex mutex;           /* the section's; of our own, so that a forked child can reset it */
#endif
    ct_ssize used;
    ct_u64 version;          /* all commits but lock-free overwrites of a shared table */
    ct_u64 keys_version;
    ct_u64 blocks;           /* raised before each new block: with the address, tells blocks apart */
    _Atomic(PyObject *) snapshot; /* FrozenDict of the present contents, or NULL */
    PyObject *watch;         /* WatchState, or NULL */
    struct ct_event_log *log; /* its log; NULL when nobody watches */
    PyObject *gate;          /* Gate of `exclusive`, or NULL */
    unsigned long gate_owner; /* its thread */
    int gate_depth;
    unsigned int calm;       /* overwrites since the last need for quiet */
} ct_table;

#define CT_TABLE(o) ((ct_table *)(o))

/* Every type whose instances start with a ct_table: after a fork their sections are reset. */
int ct_table_type_register(ct_state *st, PyTypeObject *type); /* 0 or -1 */
void ct_tables_after_fork(ct_state *st);

/* -- life --------------------------------------------------------------------------------------- */

int ct_table_init(ct_table *t, ct_state *st);   /* after tp_alloc; 0 or -1 with an error */
int ct_table_init_part(ct_table *t, ct_state *st); /* the same for what is inside another object */
int ct_debug_register(ct_state *st, PyObject *table); /* for the oracle of the test suite */
int ct_table_traverse(ct_table *t, visitproc visit, void *arg);
int ct_table_clear_refs(ct_table *t);           /* tp_clear */
void ct_table_finalize(ct_table *t);            /* tp_finalize: the DEALLOCATED event */
void ct_table_release(ct_table *t);             /* dealloc: everything but the object's memory */

/* -- reading ------------------------------------------------------------------------------------ */

void ct_share(ct_table *t, ct_record *self); /* unpinned */

CT_INLINE int
ct_is_shared(ct_table *t)
{
    return ct_load_acquire(&t->owner) == CT_SHARED;
}

/* Pins, and notes the first access of a foreign thread.  NULL with MemoryError. */
CT_INLINE ct_record *
ct_enter(ct_table *t)
{
    ct_record *self = ct_self();
    if (CT_UNLIKELY(self == NULL)) {
        PyErr_NoMemory();
        return NULL;
    }
    ct_pin(self);
    uintptr_t owner = ct_load_acquire(&t->owner);
    if (CT_UNLIKELY(owner != (uintptr_t)self && owner != CT_SHARED)) {
        ct_unpin(self);
        ct_share(t, self);
        ct_pin(self);
    }
    return self;
}

/* Notes the access without reading; 0 or -1 with MemoryError. */
int ct_touch(ct_table *t);

CT_INLINE ct_keys *
ct_table_keys(ct_table *t)
{
    return ct_load_acquire(&t->keys);
}

/* The section is held, or the table is being made or torn down. */
CT_INLINE void
ct_store_keys_held(ct_table *t, ct_keys *keys)
{
    ct_bump_release(&t->blocks);
    ct_store_release(&t->keys, keys); /* pairs with the acquire in ct_table_keys */
}

/* A block without a hold on it.  Its memory may go while user code runs, and another block may come to
 * the same address; but not without two further stores to t->keys, the second of which came after a
 * raise of `blocks` that ct_same_block sees when it sees that store.  So a block that is the same by both is
 * the very same, and was the table's all the time. */
typedef struct {
    ct_keys *keys; /* NULL: none */
    uint64_t number;
} ct_block_id;

/* Pinned.  The number first: one that is too old only makes the block look like another. */
CT_INLINE ct_block_id
ct_present_block(ct_table *t)
{
    ct_block_id id;
    id.number = ct_load_acquire(&t->blocks);
    id.keys = ct_table_keys(t);
    return id;
}

/* Pinned again, or in the section.  The pointer first, as said above. */
CT_INLINE int
ct_same_block(ct_table *t, const ct_block_id *id)
{
    return ct_table_keys(t) == id->keys && ct_load_acquire(&t->blocks) == id->number;
}

int ct_get_slow(ct_table *t, PyObject *key, Py_hash_t hash, PyObject **value);
/* Goes on, still pinned, from where a probe of `keys` stopped; `value` may be NULL. */
int ct_get_comparing(ct_table *t, ct_record *self, ct_keys *keys, PyObject *key, Py_hash_t hash,
                     ct_probe_state *at, PyObject **value);

/* 1 and a new reference, 0 when absent, -1 with an error.  Lock-free for every key type. */
CT_INLINE int
ct_get(ct_table *t, PyObject *key, Py_hash_t hash, PyObject **value)
{
    ct_record *self = ct_enter(t);
    if (CT_UNLIKELY(self == NULL)) {
        return -1;
    }
    ct_keys *keys = ct_table_keys(t); /* pairs with the release in ct_publish_block */
    ct_probe_state at;
    Py_ssize_t ix = ct_probe_at(keys, key, hash, 0, &at);
    if (CT_LIKELY(ix >= 0)) {
        CT_POINT(value_load);
        PyObject *found = ct_entry_value(keys, ix); /* the hit linearizes here */
        CT_POINT(value_keep);
        Py_XINCREF(found); /* pinned: the table's reference lives on (I10) */
        ct_unpin(self);
        *value = found;
        return found != NULL;
    }
    if (CT_LIKELY(ix == CT_MISS)) {
        ct_unpin(self);
        *value = NULL;
        return 0;
    }
    return ct_get_comparing(t, self, keys, key, hash, &at, value);
}

/* As ct_get without the value. */
CT_INLINE int
ct_has(ct_table *t, PyObject *key, Py_hash_t hash)
{
    ct_record *self = ct_enter(t);
    if (CT_UNLIKELY(self == NULL)) {
        return -1;
    }
    ct_keys *keys = ct_table_keys(t);
    ct_probe_state at;
    Py_ssize_t ix = ct_probe_at(keys, key, hash, 0, &at);
    if (CT_UNLIKELY(ix == CT_COMPARE)) {
        return ct_get_comparing(t, self, keys, key, hash, &at, NULL);
    }
    int found = ix >= 0 && ct_entry_value(keys, ix) != NULL;
    ct_unpin(self);
    return found;
}

CT_INLINE Py_ssize_t
ct_used(ct_table *t)
{
    return ct_load_relaxed(&t->used);
}

uint64_t ct_version(ct_table *t);
/* A change shows a moment before it is counted.  After this, what showed before the call is counted in the
 * versions, except overwrites without the section, for which there is the second.  0, or -1 with an error. */
int ct_await_counts(ct_table *t);
void ct_await_overwrites(ct_table *t);
/* The attributes of that name of tables that are a ct_table. */
PyObject *ct_version_attribute(PyObject *self, void *closure);
PyObject *ct_keys_version_attribute(PyObject *self, void *closure);

/* -- places found with user comparisons ---------------------------------------------------------- */

/* Where a lookup ended: valid while the table has this block, the entry (if any) is live, and no
 * later entry has the key's hash.  Nothing is held by it. */
typedef struct {
    ct_block_id block; /* without keys: nothing looked up yet */
    Py_ssize_t ix; /* entry, or CT_MISS */
    Py_ssize_t seen; /* entries there were when it began */
    Py_ssize_t slot; /* of the index: the entry's, or the empty one where the key would go; -1: not known */
    Py_ssize_t visits; /* with it: slots of other keys passed on the way */
} ct_place;

/* Look the key up unlocked, comparing with user code where needed.  `value`, if not NULL, gets a new
 * reference or NULL.  0, or -1 with an error. */
int ct_resolve(ct_table *t, PyObject *key, Py_hash_t hash, ct_place *place, PyObject **value);
#define CT_NO_PLACE ((ct_place){{NULL, 0}, CT_MISS, 0, -1, 0})
/* Under the section: entry, CT_MISS, CT_COMPARE (resolve first), CT_RESTART (the place is stale).  The slot in
 * `place` is right until the next change. */
Py_ssize_t ct_locate(ct_table *t, PyObject *key, Py_hash_t hash, ct_place *place);

/* -- the writer's section ----------------------------------------------------------------------- */

typedef struct {
#if CT_FT
    ct_record *owner; /* the table is this thread's alone: its pin is the section */
    PyCriticalSection cs;
#else
    char unused;
#endif
} ct_section;

void ct_lock_shared(ct_table *t, ct_section *section);

/* Exclude other writers; the only thread of an unshared table just pins.  Until ct_unlock the rules
 * of a pin hold (I5): no user code, no decref, no waiting except ct_quiesce_held, no further pin
 * (ct_section_pin). */
CT_INLINE void
ct_lock(ct_table *t, ct_section *section)
{
#if CT_FT
    ct_record *self = ct_self();
    if (CT_LIKELY(self != NULL)) {
        ct_pin(self);
        if (CT_LIKELY(ct_load_acquire(&t->owner) == (uintptr_t)self)) {
            section->owner = self;
            return;
        }
        ct_unpin(self);
    }
    ct_lock_shared(t, section);
#else
    (void)section;
    if (CT_UNLIKELY(ct_load_relaxed(&t->owner) != (uintptr_t)ct_self())) {
        ct_store_relaxed(&t->owner, CT_SHARED);
    }
#endif
}

CT_INLINE void
ct_unlock(ct_section *section)
{
#if CT_FT
    if (CT_LIKELY(section->owner != NULL)) {
        ct_unpin(section->owner);
        return;
    }
    PyCriticalSection_End(&section->cs);
    CT_POINT_UNLOCK();
#else
    (void)section;
#endif
}

/* A pin inside the section, where something beside the table needs one; NULL when it has one. */
CT_INLINE ct_record *
ct_section_pin(ct_section *section)
{
#if CT_FT
    if (section->owner == NULL) {
        ct_pin(ct_tls_record);
        return ct_tls_record;
    }
#else
    (void)section;
#endif
    return NULL;
}

int ct_write_lock_slow(ct_table *t, ct_section *section);

/* Enter as a writer: waits, outside the section, for another thread's gate.  0, or -1 with an error
 * (and no section).  Notes the access of a foreign thread. */
CT_INLINE int
ct_write_lock(ct_table *t, ct_section *section)
{
    if (CT_UNLIKELY(ct_self() == NULL)) {
        PyErr_NoMemory();
        return -1;
    }
    ct_lock(t, section);
    return CT_LIKELY(t->gate == NULL) ? 0 : ct_write_lock_slow(t, section);
}

/* -- pending work ------------------------------------------------------------------------------- */

typedef struct {
    int kind; /* EventKind bit */
    PyObject *key, *old_value, *new_value; /* NULL stands for MISSING */
    uint64_t version;
} ct_event;

typedef struct {
    ct_table *t;
    int shared;
    int ndrops, nblocks;
    size_t nbytes; /* of a snapshot among the drops: limbo must not fill up with them */
    PyObject *drops[4];
    ct_keys *blocks[2];
    PyObject **more; /* bulk operations: room is made before the first change */
    Py_ssize_t nmore;
    ct_event *events;
    Py_ssize_t nevents, events_room;
    ct_event first;
    PyObject *watch;      /* the WatchState to tell */
    struct ct_event_log *log; /* its log; set with it */
    ct_event_node *spare; /* reserved for the next event */
} ct_pending;

CT_INLINE void
ct_pending_init(ct_pending *pending, ct_table *t)
{
    pending->t = t;
    pending->shared = 0;
    pending->ndrops = pending->nblocks = 0;
    pending->nbytes = 0;
    pending->more = NULL;
    pending->nmore = 0;
    pending->watch = NULL;
    pending->spare = NULL;
    pending->events = &pending->first;
    pending->nevents = 0;
    pending->events_room = 1;
}

/* Make room for the drops of a bulk change; 0 or CT_NO_MEMORY. */
int ct_pending_reserve(ct_pending *pending, Py_ssize_t drops);
CT_INLINE void
ct_pending_drop(ct_pending *pending, PyObject *o) /* steals */
{
    if (CT_UNLIKELY(pending->more != NULL)) {
        pending->more[pending->nmore++] = o;
    }
    else {
        CT_ASSERT(pending->ndrops < 4);
        pending->drops[pending->ndrops++] = o;
    }
}

void ct_pending_block(ct_pending *pending, ct_keys *keys); /* steals the table's hold */
void ct_pending_finish_slow(ct_pending *pending);

CT_INLINE void
ct_pending_finish(ct_pending *pending)
{
    if (CT_UNLIKELY(pending->nblocks || pending->nbytes || pending->more != NULL || pending->spare
                    || pending->watch)) {
        ct_pending_finish_slow(pending);
        return;
    }
    for (int i = 0; i < pending->ndrops; i++) {
        ct_drop(pending->t->st, pending->drops[i], pending->shared);
    }
}

/* -- inside the section ------------------------------------------------------------------------- */

/* From here on no lock-free overwrite is in flight and none begins until ct_relax_held. */
void ct_quiesce_held(ct_table *t);
/* A change is complete: versions, cached snapshot, shared mark for `pending`. */
void ct_commit_held(ct_table *t, ct_pending *pending, int rekeyed);
/* Before a change shows: the cached snapshot is not the present any more, and a thread that has seen
 * the change must not get it.  The two below do it. */
CT_INLINE void ct_forget_snapshot_held(ct_table *t, ct_pending *pending);
/* Announce one change: room for its event, so that recording cannot fail after it; 0 or CT_NO_MEMORY. */
CT_INLINE int ct_event_reserve_held(ct_table *t, ct_pending *pending);
/* Log an event in commit order (borrows the references).  No-op when nobody watches. */
CT_INLINE void ct_event_held(ct_table *t, ct_pending *pending, int kind, PyObject *key,
                             PyObject *old_value, PyObject *new_value);
/* Make room for `more` entries, of exact str keys only if `unicode`; 0 or CT_NO_MEMORY. */
int ct_reserve_held(ct_table *t, ct_pending *pending, Py_ssize_t more, int unicode);
/* The same for a bulk change of `count` events. */
int ct_event_reserve_many_held(ct_table *t, ct_pending *pending, Py_ssize_t count);
/* Move the contents over into the unpublished `fresh`, which may then be changed; then publish it.
 * Neither can fail, and nothing may come between but stores into `fresh`. */
void ct_prepare_block_held(ct_table *t, ct_keys *fresh);
void ct_publish_block_held(ct_table *t, ct_pending *pending, ct_keys *fresh);
/* Both. */
void ct_replace_block_held(ct_table *t, ct_pending *pending, ct_keys *fresh);
/* Put `fresh` (with `used` entries of its own) in place of the block and its contents. */
void ct_exchange_block_held(ct_table *t, ct_pending *pending, ct_keys *fresh, Py_ssize_t used);

/* `place`: where the key is not, as ct_locate told. */
int ct_insert_held(ct_table *t, ct_pending *p, PyObject *key, Py_hash_t hash, PyObject *value,
                   const ct_place *place);
/* `same`: only if the value is this very object (else CT_NOT_MET).  *old is borrowed from `p`. */
int ct_overwrite_held(ct_table *t, ct_pending *p, Py_ssize_t ix, PyObject *value, PyObject *same,
                      PyObject **old);
/* `slot`: the entry's, or -1 when it is not known. */
int ct_delete_held(ct_table *t, ct_pending *p, Py_ssize_t ix, Py_ssize_t slot, PyObject *same,
                   PyObject **old);
Py_ssize_t ct_last_live_held(ct_table *t); /* youngest entry, or CT_MISS */

/* -- one key, one atomic step ------------------------------------------------------------------- */

enum { CT_IF_ANY, CT_IF_PRESENT, CT_IF_ABSENT, CT_IF_SAME };

typedef struct {
    int condition;       /* CT_IF_* */
    PyObject *same;      /* CT_IF_SAME: the value must be this very object */
    PyObject *new_value; /* NULL: delete */
    int want_old;
    PyObject *old_value; /* out: new reference to what was there, or NULL */
} ct_change;

/* CT_DONE; CT_NOT_MET (old_value tells what was there); CT_FAILED with an error set. */
int ct_change_entry(ct_table *t, PyObject *key, Py_hash_t hash, ct_change *change);

/* -- inline parts ------------------------------------------------------------------------------- */

void ct_event_log_held(ct_table *t, ct_pending *pending, const ct_event *event);
void ct_forget_snapshot_slow(ct_table *t, ct_pending *pending);

CT_INLINE void
ct_forget_snapshot_held(ct_table *t, ct_pending *pending)
{
    if (CT_UNLIKELY(ct_load_relaxed(&t->snapshot) != NULL)) {
        ct_forget_snapshot_slow(t, pending);
    }
}

CT_INLINE int
ct_event_reserve_held(ct_table *t, ct_pending *pending)
{
    ct_forget_snapshot_held(t, pending);
    return CT_LIKELY(t->log == NULL) ? 0 : ct_event_reserve_many_held(t, pending, 1);
}

CT_INLINE void
ct_event_held(ct_table *t, ct_pending *pending, int kind, PyObject *key, PyObject *old_value,
              PyObject *new_value)
{
    if (CT_UNLIKELY(t->log != NULL)) {
        ct_event event = {kind, key, old_value, new_value, 0};
        ct_event_log_held(t, pending, &event);
    }
}

#endif
