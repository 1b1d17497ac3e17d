/* Set blocks: memory, contents, copies.  The essay is in set_keys.h. */
#include "set_keys.h"

ct_set_keys *ct_set_empty;

_Static_assert(offsetof(ct_set_keys, refs) == offsetof(ct_keys, refs), "common head");
_Static_assert(offsetof(ct_set_keys, kind) == offsetof(ct_keys, kind), "common head");
_Static_assert(offsetof(ct_set_keys, owns) == offsetof(ct_keys, owns), "common head");

/* -- memory ------------------------------------------------------------------------------------- */

int
ct_set_process_init(void)
{
    if (ct_set_empty == NULL) {
        ct_set_keys *block = PyMem_RawCalloc(1, sizeof(ct_set_keys) + sizeof(ct_set_slot));
        if (block == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        block->kind = CT_SET_BLOCK;
        ct_store_relaxed(&block->refs, 1);
        ct_set_empty = block;
    }
    return 0;
}

int
ct_set_log2_above(Py_ssize_t count)
{
    int log2_size = CT_MIN_LOG2;
    while (log2_size < 62 && ((Py_ssize_t)1 << log2_size) <= count) {
        log2_size++;
    }
    return log2_size;
}

/* The next insertion is refused once fill * 5 >= mask * 3. */
static size_t
fill_limit(size_t mask)
{
    return (3 * mask - 1) / 5 + 1;
}

int
ct_set_log2_for(Py_ssize_t count)
{
    int log2_size = CT_MIN_LOG2;
    while (log2_size < 62 && (Py_ssize_t)fill_limit(((size_t)1 << log2_size) - 1) < count) {
        log2_size++;
    }
    return log2_size;
}

static ct_set_keys *
allocate(int log2_size)
{
    if (log2_size > 48) {
        return NULL;
    }
    size_t size = (size_t)1 << log2_size;
    ct_set_keys *block = PyMem_Malloc(sizeof(ct_set_keys) + size * sizeof(ct_set_slot));
    if (block == NULL) {
        return NULL;
    }
    ct_store_relaxed(&block->refs, 1);
    block->log2_size = (uint8_t)log2_size;
    block->unused = 0;
    block->kind = CT_SET_BLOCK;
    block->owns = CT_OWNS_ALL;
    block->capacity = (Py_ssize_t)fill_limit(size - 1);
    ct_store_relaxed(&block->fill, 0);
    ct_store_relaxed(&block->used, 0);
    ct_store_relaxed(&block->loans, 0);
    block->finger = 0;
    ct_store_relaxed(&block->begun, 0);
    ct_store_relaxed(&block->decided, 0);
    return block;
}

ct_set_keys *
ct_set_new(int log2_size)
{
    ct_set_keys *block = allocate(log2_size);
    if (block != NULL) {
        memset(block->slots, 0, sizeof(ct_set_slot) << log2_size); /* every slot empty */
    }
    return block;
}

void
ct_set_hold(ct_set_keys *block)
{
    if (block != ct_set_empty) { /* which nobody frees, so that nobody contends for it */
        ct_fetch_add_relaxed(&block->refs, 1);
    }
}

void
ct_set_release(ct_set_keys *block)
{
    if (block != NULL && block != ct_set_empty) {
        ct_keys_release((ct_keys *)block);
    }
}

void
ct_set_lend_held(ct_set_keys *block)
{
    if (block != ct_set_empty) { /* which never changes */
        ct_fetch_add_relaxed(&block->refs, 1);
        ct_fetch_add_relaxed(&block->loans, 1);
    }
}

void
ct_set_give_back(ct_set_keys *block)
{
    if (block != NULL && block != ct_set_empty) {
        ct_fetch_add_acq_rel(&block->loans, -1); /* what the borrower read, it read before */
        ct_set_release(block);
    }
}

size_t
ct_set_nbytes(const ct_set_keys *block)
{
    return sizeof(ct_set_keys) + (sizeof(ct_set_slot) << block->log2_size);
}

void
ct_set_free(ct_keys *keys)
{
    ct_set_keys *block = (ct_set_keys *)keys;
    ct_set_item item;
    Py_ssize_t at = 0;
    while (block->owns && ct_set_next(block, &at, &item) >= 0) {
        Py_DECREF(item.key);
    }
    if (CT_UNLIKELY(ct_poison)) {
        memset(block, 0xdb, ct_set_nbytes(block)); /* a use after the grace period shows */
    }
    PyMem_Free(block);
}

/* -- contents ----------------------------------------------------------------------------------- */

size_t
ct_set_vacancy(const ct_set_keys *block, Py_hash_t hash)
{
    ct_set_walk walk;
    size_t mask = ct_set_mask(block);
    ct_set_walk_start(block, hash, &walk);
    while (!ct_set_is_vacant(block, walk.at, hash)) {
        ct_set_walk_on(&walk, mask);
    }
    return walk.at;
}

void
ct_set_append(ct_set_keys *block, ct_set_item item)
{
    ct_set_place(block, item, ct_set_vacancy(block, item.hash));
}

/* -- changes with marks ------------------------------------------------------------------------- */

void
ct_set_begin_marks(ct_set_keys *block)
{
    ct_bump_release(&block->begun); /* before the marks: see ct_set_settle */
}

void
ct_set_mark_leaving(ct_set_keys *block, Py_ssize_t slot)
{
    uintptr_t word = ct_load_relaxed(&block->slots[slot].key);
    ct_store_release(&block->slots[slot].key, word | CT_LEAVING);
}

void
ct_set_mark_entering(ct_set_keys *block, ct_set_item item, size_t slot)
{
    ct_set_fill(block, item.hash, slot, (uintptr_t)item.key | CT_ENTERING);
}

/* Here the change happens, for all its keys at once. */
void
ct_set_decide_marks(ct_set_keys *block)
{
    CT_POINT(set_decide);
    ct_store_release(&block->decided, ct_load_relaxed(&block->begun));
    CT_POINT(set_decided);
}

void
ct_set_end_mark(ct_set_keys *block, size_t slot)
{
    uintptr_t word = ct_load_relaxed(&block->slots[slot].key);
    int enters = (word & CT_ENTERING) != 0;
    ct_store_release(&block->slots[slot].key, enters ? word & ~CT_SET_MARKS : CT_DEAD);
    ct_store_release(&block->used, ct_set_count(block) + (enters ? 1 : -1));
}

/* Lock-free.  A mark belongs to the change `begun` if that number is the same before and after
 * the mark is loaded: a mark of a later change would bring the later number with it (both are
 * stored with release, the number first), one of an earlier change is gone before the next one
 * begins.  Then what `decided` says in between is said of that change, and true at that moment. */
uintptr_t
ct_set_settle(const ct_set_keys *shown, const ct_set_slot *slot)
{
    ct_set_keys *block = (ct_set_keys *)shown;
    for (;;) {
        uint64_t begun = ct_load_acquire(&block->begun);
        uintptr_t word = ct_load_acquire(&((ct_set_slot *)slot)->key);
        if (word == CT_DEAD || (word & CT_SET_MARKS) == 0) {
            return word;
        }
        uint64_t decided = ct_load_acquire(&block->decided);
        if (ct_load_acquire(&block->begun) == begun) {
            int present = (decided == begun) == ((word & CT_ENTERING) != 0);
            return present ? word & ~CT_SET_MARKS : CT_DEAD;
        }
    }
}

/* Goes round like the finger of CPython's set.pop, so that a run of pop is linear. */
Py_ssize_t
ct_set_first_live(ct_set_keys *block)
{
    ct_set_item item;
    Py_ssize_t at = block->finger, slot;
    if (ct_set_count(block) == 0) {
        return CT_MISS;
    }
    slot = ct_set_next(block, &at, &item);
    if (slot < 0) {
        at = 0;
        slot = ct_set_next(block, &at, &item);
    }
    block->finger = slot;
    return slot;
}

int
ct_set_identical(const ct_set_keys *block, PyObject *key, Py_hash_t hash)
{
    ct_set_walk walk;
    size_t mask = ct_set_mask(block);
    ct_set_walk_start(block, hash, &walk);
    for (;; ct_set_walk_on(&walk, mask)) {
        uintptr_t word = ct_load_acquire(&((ct_set_keys *)block)->slots[walk.at].key);
        if (word == 0 || word == (uintptr_t)key) {
            return word != 0;
        }
        if (CT_UNLIKELY((word & ~CT_SET_MARKS) == (uintptr_t)key)
            && ct_set_settle(block, &block->slots[walk.at]) == (uintptr_t)key) {
            return 1;
        }
    }
}

Py_ssize_t
ct_set_roomier(const ct_set_keys *block)
{
    Py_ssize_t used = ct_set_count(block);
    return used * (used > CT_SET_LARGE ? CT_SET_LARGE_GROWTH : CT_SET_GROWTH);
}

/* -- copies ------------------------------------------------------------------------------------- */

/* Fill the empty slots of a fresh block, which nobody else sees yet. */
static void
fill_fresh(ct_set_keys *fresh, const ct_set_keys *block)
{
    ct_set_item item;
    Py_ssize_t at = 0;
    size_t mask = ct_set_mask(fresh);
    while (ct_set_next(block, &at, &item) >= 0) {
        ct_set_walk walk;
        ct_set_walk_start(fresh, item.hash, &walk);
        while (ct_load_relaxed(&fresh->slots[walk.at].key) != 0) {
            ct_set_walk_on(&walk, mask);
        }
        fresh->slots[walk.at].hash = item.hash;
        ct_store_relaxed(&fresh->slots[walk.at].key, (uintptr_t)item.key);
    }
    ct_store_relaxed(&fresh->fill, ct_set_count(block));
    ct_store_relaxed(&fresh->used, ct_set_count(block));
}

ct_set_keys *
ct_set_rebuilt(const ct_set_keys *block, int log2_size)
{
    ct_set_keys *fresh = ct_set_new(log2_size);
    if (fresh != NULL) {
        fresh->owns = CT_OWNS_NOTHING;
        fill_fresh(fresh, block);
    }
    return fresh;
}

/* An exact copy, slot by slot. */
static ct_set_keys *
duplicate(const ct_set_keys *block, int with_references)
{
    ct_set_keys *fresh = allocate(block->log2_size);
    if (fresh == NULL) {
        return NULL;
    }
    const ct_set_slot *from = block->slots, *end = from + ct_set_mask(block) + 1;
    for (ct_set_slot *to = fresh->slots; from < end; from++, to++) {
        uintptr_t word = ct_load_relaxed(&((ct_set_slot *)from)->key);
        to->hash = from->hash;
        ct_store_relaxed(&to->key, word);
        if (with_references && word > CT_DEAD) {
            Py_INCREF((PyObject *)word);
        }
    }
    ct_store_relaxed(&fresh->fill, ct_set_filled(block));
    ct_store_relaxed(&fresh->used, ct_set_count(block));
    fresh->finger = block->finger;
    fresh->owns = with_references ? CT_OWNS_ALL : CT_OWNS_NOTHING;
    return fresh;
}

ct_set_keys *
ct_set_clone(const ct_set_keys *block)
{
    return block == ct_set_empty ? ct_set_rebuilt(block, CT_MIN_LOG2) : duplicate(block, 0);
}

void
ct_set_own(ct_set_keys *block)
{
    ct_set_item item;
    Py_ssize_t at = 0;
    while (ct_set_next(block, &at, &item) >= 0) {
        Py_INCREF(item.key);
    }
}

static ct_set_keys *
owning(ct_set_keys *fresh)
{
    if (fresh != NULL) {
        ct_set_own(fresh);
        fresh->owns = CT_OWNS_ALL;
    }
    return fresh;
}

ct_set_keys *
ct_set_roomy_copy(const ct_set_keys *block, Py_ssize_t more)
{
    Py_ssize_t used = ct_set_count(block);
    if (block == ct_set_empty || ct_set_room(block) < more) {
        return owning(ct_set_rebuilt(block, ct_set_log2_for(used + more)));
    }
    return ct_set_crowded(block)
               ? owning(ct_set_rebuilt(block, ct_set_log2_above((used + more) * 2)))
               : duplicate(block, 1);
}

ct_set_keys *
ct_set_copy(const ct_set_keys *block)
{
    return ct_set_roomy_copy(block, 0);
}

ct_set_keys *
ct_set_frozen_copy(const ct_set_keys *block)
{
    return ct_set_count(block) == 0 ? ct_set_empty : ct_set_copy(block);
}

/* -- private blocks ----------------------------------------------------------------------------- */

Py_ssize_t
ct_set_seek(const ct_set_keys *block, ct_set_item item, ct_set_walk *walk)
{
    ct_set_walk_start(block, item.hash, walk);
    for (;;) {
        Py_ssize_t slot = ct_set_probe(block, item.key, item.hash, walk);
        if (CT_LIKELY(slot != CT_COMPARE)) {
            return slot;
        }
        int equal = PyObject_RichCompareBool(walk->found, item.key, Py_EQ);
        if (equal != 0) {
            return equal < 0 ? CT_ERROR : (Py_ssize_t)walk->at;
        }
        ct_set_walk_on(walk, ct_set_mask(block));
    }
}

/* Replace a private block by one of 2^log2_size slots, to which the references move. */
static int
move_to(ct_set_keys **block, int log2_size)
{
    ct_set_keys *old = *block, *fresh = ct_set_rebuilt(old, log2_size);
    if (fresh == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    fresh->owns = CT_OWNS_ALL;
    if (old != ct_set_empty) {
        CT_ASSERT(ct_load_relaxed(&old->refs) == 1 && old->owns == CT_OWNS_ALL);
        old->owns = CT_OWNS_NOTHING;
    }
    *block = fresh;
    ct_set_release(old);
    return 0;
}

ct_set_keys *
ct_set_compacted(ct_set_keys *block)
{
    if (ct_set_crowded(block)
        && move_to(&block, ct_set_log2_above(ct_set_count(block) * CT_SET_LARGE_GROWTH)) < 0) {
        ct_set_release(block);
        return NULL;
    }
    return block;
}

int
ct_set_make_room(ct_set_keys **block, Py_ssize_t more)
{
    return ct_set_room(*block) >= more
               ? 0
               : move_to(block, ct_set_log2_for(ct_set_count(*block) + more));
}

int
ct_set_trim(ct_set_keys **block)
{
    int log2_size = ct_set_log2_above(ct_set_roomier(*block));
    return (*block)->log2_size <= log2_size ? 0 : move_to(block, log2_size);
}

ct_set_keys *
ct_set_of(const ct_set_item *items, Py_ssize_t count)
{
    ct_set_keys *block = ct_set_new(ct_set_log2_for(count));
    if (block == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_INCREF(items[i].key);
        ct_set_append(block, items[i]);
    }
    return block;
}

int
ct_set_put(ct_set_keys **block, ct_set_item item)
{
    ct_set_walk walk;
    Py_ssize_t slot = ct_set_seek(*block, item, &walk);
    if (slot != CT_MISS) {
        Py_DECREF(item.key);
        return slot == CT_ERROR ? -1 : 0;
    }
    if (CT_UNLIKELY(ct_set_room(*block) == 0)) {
        if (move_to(block, ct_set_log2_above(ct_set_roomier(*block))) < 0) {
            Py_DECREF(item.key);
            return -1;
        }
        ct_set_append(*block, item);
        return 1;
    }
    ct_set_place(*block, item, ct_set_vacant(&walk));
    return 1;
}

int
ct_set_merge(ct_set_keys **block, const ct_set_keys *from)
{
    ct_set_item item;
    Py_ssize_t at = 0;
    int status = ct_set_make_room(block, ct_set_count(from));
    while (status == 0 && ct_set_next(from, &at, &item) >= 0) {
        ct_set_walk walk;
        Py_ssize_t slot = ct_set_seek(*block, item, &walk);
        if (slot == CT_MISS) {
            Py_INCREF(item.key);
            ct_set_place(*block, item, ct_set_vacant(&walk));
        }
        status = slot == CT_ERROR ? -1 : 0;
    }
    return status;
}

int
ct_set_contains_all(const ct_set_keys *block, const ct_set_keys *part)
{
    ct_set_item item;
    Py_ssize_t at = 0;
    if (ct_set_count(part) > ct_set_count(block)) {
        return 0;
    }
    while (ct_set_next(part, &at, &item) >= 0) {
        Py_ssize_t slot = ct_set_find(block, item);
        if (slot < 0) {
            return slot == CT_ERROR ? -1 : 0;
        }
    }
    return 1;
}
