/* Changes of a ConcurrentSet: find without the lock where user code must compare, decide and
 * commit in the section, drop and deliver after it (I6, I7). */
#include "set_write.h"
#include "watching.h"

enum { PLACE_OTHERS = 4 };

/* -- places found with user comparisons --------------------------------------------------------- */

/* Where a lookup ended.  Valid while the set has this block and the slot this very key; a miss,
 * while no element has the key's hash but those that were compared.  References, so that no
 * other object gets the address of one of them. */
typedef struct {
    ct_set_keys *block; /* held; NULL: nothing looked up yet */
    Py_ssize_t slot;    /* or CT_MISS */
    PyObject *found;    /* the key in the slot */
    PyObject **others;  /* keys of this hash that compared as different */
    Py_ssize_t count, room;
    PyObject *first[PLACE_OTHERS];
} set_place;

static void
place_init(set_place *place)
{
    place->block = NULL;
    place->slot = CT_MISS;
    place->found = NULL;
    place->others = place->first;
    place->count = 0;
    place->room = PLACE_OTHERS;
}

/* Unlocked and unpinned: may run finalizers. */
CT_NOINLINE static void
place_clear_used(set_place *place)
{
    set_place mine = *place;
    mine.others = mine.others == place->first ? mine.first : mine.others;
    place_init(place);
    for (Py_ssize_t i = 0; i < mine.count; i++) {
        Py_DECREF(mine.others[i]);
    }
    if (mine.others != mine.first) {
        PyMem_Free(mine.others);
    }
    Py_XDECREF(mine.found);
    ct_set_release(mine.block);
}

CT_INLINE void
place_clear(set_place *place)
{
    if (CT_UNLIKELY(place->block != NULL)) {
        place_clear_used(place);
    }
}

/* Note a key that is not the one looked for; steals the reference.  0, or -1 without memory. */
static int
place_reject(set_place *place, PyObject *other)
{
    if (place->count == place->room) {
        Py_ssize_t room = place->room * 4;
        PyObject **more = PyMem_New(PyObject *, room);
        if (more == NULL) {
            Py_DECREF(other);
            PyErr_NoMemory();
            return -1;
        }
        memcpy(more, place->others, (size_t)place->count * sizeof(PyObject *));
        if (place->others != place->first) {
            PyMem_Free(place->others);
        }
        place->others = more;
        place->room = room;
    }
    place->others[place->count++] = other;
    return 0;
}

static int
place_rejected(const set_place *place, PyObject *other)
{
    for (Py_ssize_t i = 0; i < place->count; i++) {
        if (place->others[i] == other) {
            return 1;
        }
    }
    return 0;
}

void
ct_set_endless(ct_set_table *s, PyObject *key)
{
    PyObject *error = ct_getattr(s->base.st->errors, "TableMutationError");
    PyObject *name = error == NULL ? NULL : PyType_GetName(Py_TYPE(s));
    PyObject *key_name = name == NULL ? NULL : PyType_GetName(Py_TYPE(key));
    if (key_name != NULL) {
        PyErr_Format(error,
                     "%U: looking up %U element cannot end, because its __eq__ changes the table at "
                     "every comparison; make __eq__ free of side effects",
                     name, key_name);
    }
    Py_XDECREF(error);
    Py_XDECREF(name);
    Py_XDECREF(key_name);
}

/* Compare with the element that the probe stopped at.  Pinned on entry and, unless CT_ERROR is
 * returned, on return.  CT_EQUAL, CT_DIFFERENT, or CT_RESTART when the set has moved on. */
static int
compare_unpinned(ct_set_table *s, ct_record *self, set_place *place, const ct_set_walk *walk,
                 PyObject *key)
{
    PyObject *candidate = walk->found;
    Py_INCREF(candidate); /* pinned: the set's reference lives on, even if it was removed just now */
    ct_unpin(self);
    CT_POINT_OPEN(user_compare);
    int equal = ct_ask_equal(s->base.st, candidate, key);
    if (equal > 0) {
        place->found = candidate;
    }
    else if (equal < 0) {
        Py_DECREF(candidate);
        return CT_ERROR;
    }
    else if (place_reject(place, candidate) < 0) {
        return CT_ERROR;
    }
    ct_pin(self);
    /* The place holds the block and the candidate, so others cannot have their addresses. */
    if (ct_set_block(s) != place->block
        || (equal && ct_set_at(place->block, (Py_ssize_t)walk->at) != candidate)) {
        return CT_RESTART;
    }
    return equal;
}

/* One pass over one block, pinned.  Slot, CT_MISS, CT_RESTART; CT_ERROR comes unpinned. */
static Py_ssize_t
search_block(ct_set_table *s, ct_record *self, set_place *place, PyObject *key, Py_hash_t hash)
{
    ct_set_walk walk;
    ct_set_keys *block = place->block;
    ct_set_walk_start(block, hash, &walk);
    for (;;) {
        Py_ssize_t slot = ct_set_probe(block, key, hash, &walk);
        if (slot != CT_COMPARE) {
            if (slot >= 0) {
                place->found = Py_NewRef(walk.found);
            }
            return slot;
        }
        int order = compare_unpinned(s, self, place, &walk, key);
        if (order != CT_DIFFERENT) {
            return order == CT_EQUAL ? (Py_ssize_t)walk.at : order;
        }
        ct_set_walk_on(&walk, ct_set_mask(block));
    }
}

/* Look the key up unlocked, comparing with user code where needed.  0, or -1 with an error. */
static int
resolve(ct_set_table *s, PyObject *key, Py_hash_t hash, set_place *place)
{
    for (int own_restarts = 0;;) {
        ct_record *self = ct_enter(&s->base);
        if (self == NULL) {
            return -1;
        }
        place->block = ct_set_block(s);
        ct_set_hold(place->block); /* pinned, so the set's hold is not gone yet */
        uint64_t writes = self->writes;
        CT_POINT(place_seen);
        place->slot = search_block(s, self, place, key, hash);
        if (place->slot == CT_ERROR) {
            place_clear(place);
            return -1;
        }
        writes = self->writes - writes; /* only this thread's own writes can repeat for ever */
        ct_unpin(self);
        if (place->slot != CT_RESTART) {
            return 0;
        }
        place_clear(place);
        if (writes && ++own_restarts > CT_MAX_OWN_RESTARTS) {
            ct_set_endless(s, key);
            return -1;
        }
    }
}

/* What a lookup without the lock and without user code has seen.  Good as long as the version is
 * the same. */
typedef struct {
    ct_set_keys *block; /* not held; NULL: nothing looked up */
    uint64_t version;
    Py_ssize_t slot;    /* slot, CT_MISS, CT_COMPARE */
    ct_set_walk walk;   /* where a miss ended */
} glimpse;

static Py_ssize_t
look(glimpse *seen, ct_set_keys *block, ct_set_item item)
{
    seen->block = block;
    ct_set_walk_start(block, item.hash, &seen->walk);
    seen->slot = ct_set_probe(block, item.key, item.hash, &seen->walk);
    return seen->slot;
}

/* Under the section: slot, CT_MISS (it goes to ct_set_vacant(&seen->walk)), CT_COMPARE (resolve
 * first), CT_RESTART (the place is stale). */
static Py_ssize_t
locate(ct_set_table *s, ct_set_item item, const set_place *place, glimpse *seen)
{
    ct_set_keys *block = ct_load_relaxed(&s->block);
    if (CT_LIKELY(place->block == NULL)) {
        return seen->block == block && seen->version == ct_load_relaxed(&s->base.version)
                   ? seen->slot
                   : look(seen, block, item);
    }
    if (place->block != block) {
        return CT_RESTART;
    }
    if (place->slot >= 0) {
        return ct_set_at(block, place->slot) == place->found ? place->slot : CT_RESTART;
    }
    ct_set_walk_start(block, item.hash, &seen->walk);
    for (;; ct_set_walk_on(&seen->walk, ct_set_mask(block))) {
        Py_ssize_t slot = ct_set_probe(block, item.key, item.hash, &seen->walk);
        if (slot != CT_COMPARE) {
            return slot;
        }
        if (!place_rejected(place, seen->walk.found)) {
            return CT_RESTART; /* inserted since */
        }
    }
}

/* -- reading ------------------------------------------------------------------------------------ */

CT_NOINLINE int
ct_set_has_slow(ct_set_table *s, PyObject *key, Py_hash_t hash)
{
    set_place place;
    place_init(&place);
    if (resolve(s, key, hash, &place) < 0) {
        return -1;
    }
    int found = place.slot >= 0;
    place_clear(&place);
    return found;
}

Py_ssize_t
ct_set_length(ct_set_table *s)
{
    ct_record *self = ct_enter(&s->base);
    if (self == NULL) {
        return -1;
    }
#if CT_FT
    uint64_t version = ct_load_acquire(&s->base.version);
    Py_ssize_t used = ct_load_acquire(&ct_set_block(s)->used);
    uint64_t started = ct_load_acquire(&s->started);
    ct_unpin(self);
    if (CT_UNLIKELY(started != version)) { /* a change is half done: wait for its end */
        ct_section section;
        ct_lock(&s->base, &section);
        used = ct_set_count(ct_load_relaxed(&s->block));
        ct_unlock(&section);
    }
    return used;
#else
    ct_unpin(self);
    return ct_set_count(ct_load_relaxed(&s->block));
#endif
}

/* -- inside the section ------------------------------------------------------------------------- */

/* A change that raises the version by `bump` begins: from here on nothing can fail. */
void
ct_set_begin_held(ct_set_table *s, ct_pending *pending, Py_ssize_t bump)
{
    ct_store_relaxed(&s->started, ct_load_relaxed(&s->base.version) + (uint64_t)bump);
    /* Before the change: who sees it must not get the snapshot of the time before. */
    PyObject *snapshot = ct_load_relaxed(&s->base.snapshot);
    if (snapshot != NULL) {
        CT_POINT(snapshot_drop);
        ct_store_release(&s->base.snapshot, NULL);
        ct_pending_drop(pending, snapshot);
    }
}

void
ct_set_end_held(ct_set_table *s, ct_pending *pending, Py_ssize_t bump)
{
    if (bump > 1) { /* all but the last, which ct_commit_held counts */
        ct_add_relaxed(&s->base.version, (uint64_t)bump - 1);
        ct_add_relaxed(&s->base.keys_version, (uint64_t)bump - 1);
    }
    CT_POINT(set_change_end);
    ct_commit_held(&s->base, pending, 1);
}

/* Put `fresh` in the place of the block, which must own what its borrowers look at. */
void
ct_set_publish_held(ct_set_table *s, ct_pending *pending, ct_set_keys *fresh)
{
    ct_set_keys *old = ct_load_relaxed(&s->block);
    if (old != ct_set_empty && old->owns == CT_OWNS_NOTHING && ct_set_lent(old)) {
        ct_set_own(old);
        old->owns = CT_OWNS_KEYS;
    }
    pending->shared = ct_is_shared(&s->base);
    CT_POINT(set_block_publish);
    ct_store_release(&s->block, fresh);
    if (old != ct_set_empty) {
        ct_pending_block(pending, (ct_keys *)old);
    }
}

ct_set_keys *
ct_set_replace_held(ct_set_table *s, ct_pending *pending, int log2_size)
{
    ct_set_keys *block = ct_load_relaxed(&s->block);
    ct_set_keys *fresh = log2_size ? ct_set_rebuilt(block, log2_size) : ct_set_clone(block);
    if (fresh != NULL) {
        ct_set_publish_held(s, pending, fresh);
    }
    return fresh;
}

ct_set_keys *
ct_set_reserve_held(ct_set_table *s, ct_pending *pending, Py_ssize_t more)
{
    ct_set_keys *block = ct_load_relaxed(&s->block);
    if (CT_LIKELY(ct_set_room(block) >= more)) {
        return CT_LIKELY(!ct_set_lent(block)) ? block : ct_set_replace_held(s, pending, 0);
    }
    int least = ct_set_log2_for(ct_set_count(block) + more);
    int usual = ct_set_log2_above(ct_set_roomier(block));
    return ct_set_replace_held(s, pending, more > 1 && least > usual ? least : usual);
}

static int
insert_held(ct_set_table *s, ct_pending *pending, ct_set_item item, size_t slot)
{
    ct_set_keys *block = ct_load_relaxed(&s->block);
    int refills = ct_load_relaxed(&block->slots[slot].key) == CT_DEAD;
    if (ct_event_reserve_held(&s->base, pending) < 0) {
        return CT_NO_MEMORY;
    }
    ct_set_keys *fresh = ct_set_reserve_held(s, pending, !refills);
    if (fresh != block) {
        if (fresh == NULL) {
            return CT_NO_MEMORY;
        }
        block = fresh;
        slot = ct_set_vacancy(block, item.hash);
    }
    Py_INCREF(item.key);
    ct_set_begin_held(s, pending, 1);
    ct_set_place(block, item, slot);
    ct_event_held(&s->base, pending, CT_KIND_ADDED, item.key, NULL, NULL);
    ct_set_end_held(s, pending, 1);
    return CT_DONE;
}

static int
delete_held(ct_set_table *s, ct_pending *pending, Py_ssize_t slot)
{
    if (ct_event_reserve_held(&s->base, pending) < 0) {
        return CT_NO_MEMORY;
    }
    ct_set_keys *block = ct_set_reserve_held(s, pending, 0); /* the slots keep their numbers */
    if (block == NULL) {
        return CT_NO_MEMORY;
    }
    ct_set_begin_held(s, pending, 1);
    PyObject *key = ct_set_kill(block, slot);
    ct_event_held(&s->base, pending, CT_KIND_DELETED, key, NULL, NULL);
    ct_pending_drop(pending, key);
    ct_set_end_held(s, pending, 1);
    return CT_DONE;
}

/* -- one element -------------------------------------------------------------------------------- */

/* What `add` (want_present 0) and `remove` (1) do once the element is located. */
static int
change_one_held(ct_set_table *s, ct_pending *pending, ct_set_item item, Py_ssize_t slot,
                const glimpse *seen, int remove)
{
    if (remove) {
        return slot == CT_MISS ? CT_NOT_MET : delete_held(s, pending, slot);
    }
    return slot == CT_MISS ? insert_held(s, pending, item, ct_set_vacant(&seen->walk)) : CT_NOT_MET;
}

/* CT_DONE, CT_NOT_MET, CT_FAILED. */
static int
change_one(ct_set_table *s, ct_set_item item, glimpse *seen, int remove)
{
    int status;
    ct_section section;
    ct_pending pending;
    set_place place;
    place_init(&place);
    ct_pending_init(&pending, &s->base);
    for (;;) {
        if (ct_write_lock(&s->base, &section) < 0) {
            status = CT_FAILED;
            break;
        }
        Py_ssize_t slot = locate(s, item, &place, seen);
        if (CT_LIKELY(slot >= CT_MISS)) {
            status = change_one_held(s, &pending, item, slot, seen, remove);
            ct_unlock(&section);
            break;
        }
        ct_unlock(&section);
        place_clear(&place);
        if (resolve(s, item.key, item.hash, &place) < 0) {
            status = CT_FAILED;
            break;
        }
        if ((place.slot == CT_MISS) == remove) { /* nothing to do: that moment is good enough */
            status = CT_NOT_MET;
            break;
        }
    }
    place_clear(&place);
    ct_pending_finish(&pending);
    if (status == CT_NO_MEMORY) {
        PyErr_NoMemory();
        status = CT_FAILED;
    }
    return status;
}

/* The lookup without the lock, where that may spare the lock: slot, CT_MISS, CT_COMPARE,
 * CT_ERROR. */
static Py_ssize_t
glance(ct_set_table *s, ct_set_item item, glimpse *seen)
{
    seen->block = NULL;
    if (!CT_FT || !ct_is_shared(&s->base)) {
        return CT_COMPARE; /* the section is no dearer, and notes who comes */
    }
    ct_record *self = ct_enter(&s->base);
    if (self == NULL) {
        return CT_ERROR;
    }
    seen->version = ct_load_acquire(&s->base.version); /* before the block: nothing is older */
    Py_ssize_t slot = look(seen, ct_set_block(s), item);
    ct_unpin(self);
    return slot;
}

int
ct_set_add(ct_set_table *s, PyObject *key, Py_hash_t hash)
{
    ct_set_item item = {key, hash};
    glimpse seen;
    Py_ssize_t slot = glance(s, item, &seen);
    if (slot >= 0 || slot == CT_ERROR) {
        return slot >= 0 ? 0 : -1;
    }
    return change_one(s, item, &seen, 0) == CT_FAILED ? -1 : 0;
}

int
ct_set_remove(ct_set_table *s, PyObject *key, Py_hash_t hash)
{
    ct_set_item item = {key, hash};
    glimpse seen;
    Py_ssize_t slot = glance(s, item, &seen);
    if (slot == CT_MISS || slot == CT_ERROR) {
        return slot == CT_MISS ? 0 : -1;
    }
    return change_one(s, item, &seen, 1);
}

int
ct_set_pop(ct_set_table *s, PyObject **key)
{
    ct_section section;
    ct_pending pending;
    int status = CT_NOT_MET;
    if (ct_touch(&s->base) < 0 || ct_write_lock(&s->base, &section) < 0) {
        return CT_FAILED;
    }
    ct_pending_init(&pending, &s->base);
    ct_set_keys *block = ct_load_relaxed(&s->block);
    Py_ssize_t slot = ct_set_first_live(block);
    if (slot >= 0) {
        *key = ct_set_at(block, slot);
        status = delete_held(s, &pending, slot);
        if (status == CT_DONE) {
            Py_INCREF(*key); /* the set's own reference waits in `pending` */
        }
    }
    ct_unlock(&section);
    ct_pending_finish(&pending);
    if (status == CT_NO_MEMORY) {
        PyErr_NoMemory();
        status = CT_FAILED;
    }
    return status;
}

int
ct_set_clear(ct_set_table *s)
{
    ct_section section;
    ct_pending pending;
    int status = 0;
    if (ct_touch(&s->base) < 0 || ct_write_lock(&s->base, &section) < 0) {
        return -1;
    }
    ct_pending_init(&pending, &s->base);
    ct_set_keys *block = ct_load_relaxed(&s->block);
    if (ct_set_count(block) != 0) {
        status = ct_event_reserve_held(&s->base, &pending);
        if (status == 0) {
            ct_set_begin_held(s, &pending, 1);
            block->owns = CT_OWNS_ALL;
            ct_set_publish_held(s, &pending, ct_set_empty);
            ct_event_held(&s->base, &pending, CT_KIND_CLEARED, NULL, NULL, NULL);
            ct_set_end_held(s, &pending, 1);
        }
    }
    ct_unlock(&section);
    ct_pending_finish(&pending);
    if (status < 0) {
        PyErr_NoMemory();
    }
    return status;
}
