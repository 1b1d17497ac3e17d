/* Changes: the *_held functions, which run inside the section, and the one-key atomic step. */
#include "table.h"
#include "watching.h"

static int must_freeze(ct_table *t);

/* -- commit ------------------------------------------------------------------------------------- */

/* May overwrites go without the section again? */
CT_NOINLINE static void
relax_held(ct_table *t, int overwrite)
{
    if (ct_load_relaxed(&t->lockfree) || t->log != NULL || t->gate != NULL
        || ct_load_relaxed(&t->snapshot) != NULL) {
        return;
    }
#if CT_FT
    if (ct_is_shared(t)) {
        if (!overwrite || ++t->calm < CT_CALM_OVERWRITES) {
            return;
        }
        if (ct_load_relaxed(&t->stripes) == NULL) {
            ct_stripe *stripes = PyMem_Calloc(CT_STRIPES + 1, sizeof(ct_stripe));
            if (stripes == NULL) {
                return; /* the section does as well */
            }
            ct_store_release(&t->stripes, stripes);
        }
        t->quiet = 0;
    }
#else
    (void)overwrite;
#endif
    ct_store_release(&t->lockfree, 1);
}

CT_INLINE void
commit(ct_table *t, ct_pending *pending, int rekeyed, int overwrite)
{
    CT_POINT(commit);
    ct_bump_release(&t->version);
    if (rekeyed) {
        ct_bump_release(&t->keys_version);
    }
    CT_ASSERT(ct_load_relaxed(&t->snapshot) == NULL); /* forgotten before the change showed */
    pending->shared = ct_is_shared(t);
    ct_self()->writes++;
    if (CT_UNLIKELY(!ct_load_relaxed(&t->lockfree))) {
        relax_held(t, overwrite);
    }
}

void
ct_commit_held(ct_table *t, ct_pending *pending, int rekeyed)
{
    commit(t, pending, rekeyed, 0);
}

/* -- blocks ------------------------------------------------------------------------------------- */

/* Only a shared table that is not quiet can have a CAS in flight at another thread. */
static int
must_freeze(ct_table *t)
{
    return CT_FT && ct_is_shared(t) && !(t->quiet && !ct_load_relaxed(&t->lockfree));
}

/* An iterator walks the old block by number after its grace period: let it own its live keys. */
static void
adopt_keys(ct_keys *old)
{
    Py_ssize_t count = ct_load_relaxed(&old->nentries);
    for (Py_ssize_t ix = old->bottom; ix < count; ix++) {
        if (ct_entry_value(old, ix) != NULL) {
            Py_INCREF(ct_entry_key(old, ix));
        }
    }
    old->owns = CT_OWNS_KEYS;
}

void
ct_prepare_block_held(ct_table *t, ct_keys *fresh)
{
    /* From the freeze of a slot until the publication, an overwrite of its key finds the mark and
     * waits for the section: none is lost. */
    ct_keys_rebuild(ct_load_relaxed(&t->keys), fresh, ct_used(t), must_freeze(t), 0);
}

void
ct_publish_block_held(ct_table *t, ct_pending *pending, ct_keys *fresh)
{
    ct_keys *old = ct_load_relaxed(&t->keys);
    if (ct_load_relaxed(&old->holds) > 0) {
        adopt_keys(old);
    }
    pending->shared = ct_is_shared(t);
    CT_POINT(block_publish);
    ct_store_keys_held(t, fresh);
    ct_pending_block(pending, old);
}

void
ct_replace_block_held(ct_table *t, ct_pending *pending, ct_keys *fresh)
{
    ct_prepare_block_held(t, fresh);
    ct_publish_block_held(t, pending, fresh);
}

void
ct_exchange_block_held(ct_table *t, ct_pending *pending, ct_keys *fresh, Py_ssize_t used)
{
    ct_keys *old = ct_load_relaxed(&t->keys);
    Py_ssize_t count = ct_load_relaxed(&old->nentries);
    if (must_freeze(t)) {
        for (Py_ssize_t ix = old->bottom; ix < count; ix++) {
            CT_POINT(value_settle);
            ct_slot_settle(ct_value_slot(old, ix), 1);
        }
    }
    if (old != ct_empty_keys) {
        old->owns = CT_OWNS_ALL;
    }
    CT_POINT(block_publish);
    ct_store_keys_held(t, fresh);
    ct_store_relaxed(&t->used, used);
    ct_pending_block(pending, old);
}

/* Move to a block without dead entries, with room for `more`; 0 or CT_NO_MEMORY. */
static int
compact_held(ct_table *t, ct_pending *pending, Py_ssize_t more, int unicode)
{
    ct_keys *keys = ct_load_relaxed(&t->keys);
    if (CT_UNLIKELY(ct_keys_sealed(keys))) {
        ct_self()->sealed = 1;
        return CT_NO_MEMORY;
    }
    Py_ssize_t used = ct_used(t);
    int log2_size = ct_log2_for_slots(used * CT_GROWTH);
    int needed = ct_log2_holding(used + more);
    int kind = keys->kind == CT_UNICODE && unicode ? CT_UNICODE : CT_GENERAL;
    ct_keys *fresh = ct_keys_new(needed > log2_size ? needed : log2_size, kind);
    if (fresh == NULL) {
        return CT_NO_MEMORY;
    }
    ct_replace_block_held(t, pending, fresh);
    return 0;
}

int
ct_reserve_held(ct_table *t, ct_pending *pending, Py_ssize_t more, int unicode)
{
    ct_keys *keys = ct_load_relaxed(&t->keys);
    if (ct_keys_room(keys) >= more && (keys->kind == CT_GENERAL || unicode)) {
        return 0;
    }
    return compact_held(t, pending, more, unicode);
}

/* -- entries ------------------------------------------------------------------------------------ */

static int
must_compact(ct_table *t, const ct_keys *keys, PyObject *key, Py_hash_t hash, const ct_place *place)
{
    if (CT_UNLIKELY(ct_keys_room(keys) == 0 || !ct_keys_admits(keys, key))) {
        return 1;
    }
    Py_ssize_t used = ct_used(t), dead = ct_load_relaxed(&keys->nentries) - used;
    if (dead < CT_CROWDED) {
        return 0;
    }
    return place->slot >= 0 ? ct_keys_too_many(place->visits, used)
                            : ct_keys_crowded_at(keys, hash, used);
}

int
ct_insert_held(ct_table *t, ct_pending *pending, PyObject *key, Py_hash_t hash, PyObject *value,
               const ct_place *place)
{
    ct_keys *keys = ct_load_relaxed(&t->keys);
    Py_ssize_t slot = place->slot;
    if (CT_UNLIKELY(ct_event_reserve_held(t, pending) < 0)) {
        return CT_NO_MEMORY;
    }
    if (CT_UNLIKELY(must_compact(t, keys, key, hash, place))) {
        if (compact_held(t, pending, 1, PyUnicode_CheckExact(key)) < 0) {
            return CT_NO_MEMORY;
        }
        keys = ct_load_relaxed(&t->keys);
        slot = -1;
    }
    Py_INCREF(key);
    Py_INCREF(value);
    if (CT_LIKELY(slot >= 0)) {
        ct_keys_append_at(keys, key, hash, value, (size_t)slot);
    }
    else {
        ct_keys_append(keys, key, hash, value);
    }
    ct_add_relaxed(&t->used, 1);
    ct_event_held(t, pending, CT_KIND_ADDED, key, NULL, value);
    commit(t, pending, 1, 0);
    return CT_DONE;
}

/* Replace a slot's value; the old one, or NULL when `same` is given and it is another.  A CAS where
 * a lock-free overwrite of the same key may come between; nobody freezes or empties it meanwhile. */
static PyObject *
take_value(ct_table *t, ct_word *slot, PyObject *same, PyObject *value)
{
    uintptr_t word = ct_load_acquire(slot);
    CT_POINT(value_take);
    if (!must_freeze(t)) {
        if (same == NULL || (PyObject *)word == same) {
            ct_store_release(slot, (uintptr_t)value);
            return (PyObject *)word;
        }
        return NULL;
    }
    do {
        if (same != NULL && (PyObject *)word != same) {
            return NULL;
        }
    } while (!ct_cas_seq_cst(slot, &word, (uintptr_t)value));
    return (PyObject *)word;
}

int
ct_overwrite_held(ct_table *t, ct_pending *pending, Py_ssize_t ix, PyObject *value, PyObject *same,
                  PyObject **old)
{
    ct_keys *keys = ct_load_relaxed(&t->keys);
    if (CT_UNLIKELY(ct_event_reserve_held(t, pending) < 0)) {
        return CT_NO_MEMORY;
    }
    Py_INCREF(value);
    *old = take_value(t, ct_value_slot(keys, ix), same, value);
    if (*old == NULL) {
        Py_DECREF(value); /* the caller has one more: never the last */
        return CT_NOT_MET;
    }
    ct_event_held(t, pending, CT_KIND_MODIFIED, ct_entry_key(keys, ix), *old, value);
    ct_pending_drop(pending, *old);
    commit(t, pending, 0, 1);
    return CT_DONE;
}

int
ct_delete_held(ct_table *t, ct_pending *pending, Py_ssize_t ix, Py_ssize_t slot, PyObject *same,
               PyObject **old)
{
    ct_keys *keys = ct_load_relaxed(&t->keys);
    if (CT_UNLIKELY(ct_event_reserve_held(t, pending) < 0)) {
        return CT_NO_MEMORY;
    }
    PyObject *key = ct_entry_key(keys, ix);
    if (slot < 0) {
        slot = (Py_ssize_t)ct_keys_slot_of(keys, ix, ct_entry_hash(keys, ix));
    }
    CT_ASSERT(ct_index_get(keys, (size_t)slot) == ix);
    *old = take_value(t, ct_value_slot(keys, ix), same, NULL);
    if (*old == NULL) {
        return CT_NOT_MET;
    }
    CT_POINT(index_dummy);
    ct_index_publish(keys, (size_t)slot, CT_DUMMY);
    if (ix == keys->bottom) {
        keys->bottom = ix + 1;
    }
    if (ix == keys->top - 1) {
        keys->top = ix;
    }
    ct_add_relaxed(&t->used, -1);
    ct_event_held(t, pending, CT_KIND_DELETED, key, *old, NULL);
    ct_pending_drop(pending, key); /* the entry keeps the pointer for readers already there */
    ct_pending_drop(pending, *old);
    commit(t, pending, 1, 0);
    return CT_DONE;
}

Py_ssize_t
ct_last_live_held(ct_table *t)
{
    ct_keys *keys = ct_load_relaxed(&t->keys);
    Py_ssize_t ix = keys->top - 1;
    while (ix >= keys->bottom && ct_entry_value(keys, ix) == NULL) {
        ix--;
    }
    if (ix < keys->bottom) {
        return CT_MISS;
    }
    keys->top = ix + 1; /* keeps a run of popitem linear */
    return ix;
}

/* -- overwriting without the section ------------------------------------------------------------ */

enum { TAKE_LOCK = 2 };

static int
met(const ct_change *change, PyObject *old)
{
    return change->condition != CT_IF_SAME || change->same == old;
}

/* Record numbers are unique; those beyond share one stripe.  The first threads get every other one: processors
 * fetch cache lines in pairs. */
CT_INLINE unsigned int
ct_stripe_number(unsigned int record)
{
    if (CT_UNLIKELY(record >= CT_STRIPES)) {
        return CT_STRIPES;
    }
    return record < CT_STRIPES / 2 ? 2 * record : 2 * record - CT_STRIPES + 1;
}

/* Where the thread counts its overwrites; NULL while nobody else reads the table. */
CT_INLINE ct_stripe *
stripe_of(ct_table *t, ct_record *self, int alone)
{
    if (alone) {
        return NULL;
    }
    ct_stripe *stripes = ct_load_acquire(&t->stripes);
    return &stripes[ct_stripe_number(self->number)];
}

CT_INLINE void
add_to(ct_u64 *number, ct_record *self, int step)
{
    if (CT_LIKELY(self->number < CT_STRIPES)) {
        ct_store_release(number, ct_load_relaxed(number) + (uint64_t)(int64_t)step);
    }
    else {
        ct_fetch_add_acq_rel(number, (uint64_t)(int64_t)step);
    }
}

/* After the change, still pinned: count it. */
CT_INLINE void
count_overwrite(ct_table *t, ct_record *self, ct_stripe *stripe)
{
    self->writes++;
    if (stripe == NULL) {
        ct_bump_release(&t->version);
    }
    else {
        CT_POINT(overwrite_count);
        add_to(&stripe->count, self, 1);
    }
}

/* Replace `word` in the slot.  Who sees the new value finds the overwrite begun in the stripe, and so waits
 * for its count before it reads a version (ct_await_overwrites). */
CT_INLINE int
publish_value(ct_word *slot, uintptr_t *word, PyObject *value, ct_record *self, ct_stripe *stripe)
{
    if (stripe == NULL) {
        ct_store_release(slot, (uintptr_t)value);
        return 1;
    }
    add_to(&stripe->begun, self, 1);
    if (CT_LIKELY(ct_cas_seq_cst(slot, word, (uintptr_t)value))) {
        return 1;
    }
    add_to(&stripe->begun, self, -1);
    return 0;
}

/* Pinned, entry found: replace its value.  CT_DONE (*dropped is the old one), CT_NOT_MET, TAKE_LOCK. */
static int
swap_value(ct_word *slot, ct_change *change, ct_record *self, ct_stripe *stripe, PyObject **dropped)
{
    uintptr_t word = ct_load_acquire(slot);
    for (;;) {
        PyObject *old = (PyObject *)(word & ~CT_FROZEN);
        if (old == NULL) {
            return TAKE_LOCK; /* deleted: absent, or in a later entry */
        }
        if (!met(change, old)) {
            if (change->want_old) {
                Py_INCREF(old);
                change->old_value = old;
            }
            return CT_NOT_MET;
        }
        if (word & CT_FROZEN) {
            return TAKE_LOCK; /* the block is being replaced */
        }
        CT_POINT(value_cas);
        if (!publish_value(slot, &word, change->new_value, self, stripe)) {
            continue;
        }
        if (change->want_old) {
            Py_INCREF(old);
            change->old_value = old;
        }
        *dropped = old;
        return CT_DONE;
    }
}

/* The overwrite of an existing key, pinned and without the section, if that is possible now.  Else `place`
 * may say where the key is not. */
static int
try_overwrite(ct_table *t, PyObject *key, Py_hash_t hash, ct_change *change, ct_place *place)
{
    PyObject *dropped = NULL;
    int status = TAKE_LOCK;
    if (CT_UNLIKELY(!ct_load_relaxed(&t->lockfree))) {
        return status; /* a hint: the flag that counts is loaded below */
    }
    ct_record *self = ct_enter(t);
    if (self == NULL) {
        return CT_FAILED;
    }
    /* Owner before flag: a flag that is set on a shared table comes with its stripes.  Loaded while
     * pinned: whoever clears the flag waits for us (ct_quiesce_held), and so does whoever has put
     * CT_SHARING there since ct_enter saw us, the owner: for this one time we are still alone. */
    int alone = !CT_FT || ct_load_acquire(&t->owner) != CT_SHARED;
    if (CT_LIKELY(ct_load_acquire(&t->lockfree))) {
        ct_block_id block = ct_present_block(t);
        ct_keys *keys = block.keys;
        Py_ssize_t seen = ct_load_acquire(&keys->nentries);
        ct_probe_state at = {.visits = 0};
        Py_ssize_t ix = ct_probe_at(keys, key, hash, 1, &at);
        if (ix == CT_MISS) {
            *place = (ct_place){block, CT_MISS, seen, (Py_ssize_t)at.i, at.visits};
        }
        if (ix >= 0) {
            ct_stripe *stripe = stripe_of(t, self, alone);
            Py_INCREF(change->new_value);
            status = swap_value(ct_value_slot(keys, ix), change, self, stripe, &dropped);
            if (status == CT_DONE) {
                count_overwrite(t, self, stripe);
            }
            else {
                Py_DECREF(change->new_value); /* the caller has one more: never the last */
            }
        }
    }
    ct_unpin(self);
    if (dropped != NULL) {
        ct_drop(t->st, dropped, !alone); /* I7: after the change, unpinned */
    }
    return status;
}

/* -- one key, one step -------------------------------------------------------------------------- */

static int
change_held(ct_table *t, ct_pending *pending, PyObject *key, Py_hash_t hash, Py_ssize_t ix,
            const ct_place *place, ct_change *change)
{
    if (ix == CT_MISS) {
        if (change->condition == CT_IF_PRESENT || change->condition == CT_IF_SAME) {
            return CT_NOT_MET;
        }
        return change->new_value == NULL
                   ? CT_DONE
                   : ct_insert_held(t, pending, key, hash, change->new_value, place);
    }
    PyObject *old = NULL, *same = change->condition == CT_IF_SAME ? change->same : NULL;
    int status = CT_NOT_MET;
    if (change->condition != CT_IF_ABSENT) {
        status = change->new_value == NULL
                     ? ct_delete_held(t, pending, ix, place->slot, same, &old)
                     : ct_overwrite_held(t, pending, ix, change->new_value, same, &old);
    }
    if (change->want_old && status >= CT_NOT_MET) {
        if (status == CT_NOT_MET) {
            ct_quiesce_held(t); /* else the value could be dropped before we have a reference */
            old = ct_entry_value(ct_load_relaxed(&t->keys), ix);
        }
        Py_INCREF(old);
        change->old_value = old;
    }
    return status;
}

int
ct_change_entry(ct_table *t, PyObject *key, Py_hash_t hash, ct_change *change)
{
    ct_place place = CT_NO_PLACE;
    change->old_value = NULL;
    if (change->new_value != NULL && change->condition != CT_IF_ABSENT) {
        int status = try_overwrite(t, key, hash, change, &place);
        if (CT_LIKELY(status != TAKE_LOCK)) {
            return status;
        }
    }
    int status;
    ct_section section;
    ct_pending pending;
    ct_pending_init(&pending, t);
    for (;;) {
        if (ct_write_lock(t, &section) < 0) {
            status = CT_FAILED;
            break;
        }
        Py_ssize_t ix = ct_locate(t, key, hash, &place);
        if (CT_LIKELY(ix >= CT_MISS)) {
            status = change_held(t, &pending, key, hash, ix, &place, change);
            ct_unlock(&section);
            break;
        }
        ct_unlock(&section);
        place = CT_NO_PLACE;
        if (ix == CT_COMPARE && ct_resolve(t, key, hash, &place, NULL) < 0) {
            status = CT_FAILED;
            break;
        }
    }
    ct_pending_finish(&pending);
    if (status == CT_NO_MEMORY) {
        PyErr_NoMemory();
        status = CT_FAILED;
    }
    return status;
}
