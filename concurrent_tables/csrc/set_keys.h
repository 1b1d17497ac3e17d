/* Set blocks: one open-addressed array of hashes and keys.
 *
 *   header | slots: 2^n of {hash, key}
 *
 *   key word:  0 -> pointer <-> CT_DEAD; its hash is written once, before the first key (I3).
 *              Between any two of them: pointer | CT_ENTERING or pointer | CT_LEAVING
 *
 * Lookups start at `hash & mask`, look at 9 slots more where they fit, then go on with (5*i +
 * perturb + 1) & mask, perturb >>= 5.  A block is replaced when 3/5 of it is filled. Source of the
 * scheme and its constants: CPython Objects/setobject.c.
 *
 * A dead slot is filled again only by a key of the hash that it has (CPython's never is).  So a key
 * that comes and goes keeps its slot instead of making its probe sequence longer each time, and a
 * hash never changes under a reader.  I2 forbids the reuse of an entry because a reader that had
 * found it would be handed another key's value; a set has no values, and who compares a key that it
 * found in a slot looks afterwards whether that very key is there still.
 *
 * A hit linearizes at the load of the key.  A miss is right at some moment of the lookup: an
 * element that was there all the time was in one slot all the time, and the slots before that one
 * in its sequence were not empty when it was inserted and never become so again; hence the lookup
 * came by and saw it.
 *
 * A change of several elements of a set that others read is one step too.  It marks the keys that
 * enter and those that leave, each mark meaning nothing yet; then one store says that the change is
 * decided; then the marks go.  A reader that meets a marked key of the hash it looks for asks
 * whether the change that the mark belongs to is decided (ct_set_settle).  A key must not leave in
 * the same change that an equal one enters: a reader could pass the one too early and the other too
 * late.
 *
 * Loans.  Whoever walks the elements without a lock (an iterator, a set operation that may run user
 * code meanwhile) borrows the block under the section.  While `loans` is not 0 the block does not
 * change: a writer puts a copy in its place first.  The copy takes the set's references over, and
 * the lent block gets references of its own before the copy is published, so a borrower may use
 * what it sees unpinned.
 */
#ifndef CT_SET_KEYS_H
#define CT_SET_KEYS_H

#include "compare.h"
#include "ct_common.h"
#include "keys.h"

enum { CT_SET_LINEAR = 9, CT_SET_GROWTH = 4, CT_SET_LARGE_GROWTH = 2, CT_SET_LARGE = 50000 };
#define CT_DEAD ((uintptr_t)1)
#define CT_ENTERING ((uintptr_t)2) /* in the low bits of a key word */
#define CT_LEAVING ((uintptr_t)4)
#define CT_SET_MARKS ((uintptr_t)7)

typedef struct {
    Py_hash_t hash;
    ct_word key;
} ct_set_slot;

/* The first members are those of ct_keys, so that holds, `owns`, ct_pending_block and ct_retire
 * treat both sorts of block alike; the kind tells them apart when one is freed. */
typedef struct ct_set_keys {
    ct_ssize refs;       /* memory holds */
    uint8_t log2_size;
    uint8_t unused;
    uint8_t kind;        /* CT_SET_BLOCK */
    uint8_t owns;        /* CT_OWNS_*; for a set CT_OWNS_KEYS is as good as CT_OWNS_ALL */
    Py_ssize_t capacity; /* slots that may be used up */
    ct_ssize fill;       /* slots used up, live or not; lock holder */
    ct_ssize used;       /* live elements; lock holder */
    ct_ssize loans;      /* raised by lock holders only */
    Py_ssize_t finger;   /* where the next pop looks first; lock holder */
    ct_u64 begun;        /* number of the last change with marks; lock holder */
    ct_u64 decided;      /* the same once that change has happened */
    ct_set_slot slots[];
} ct_set_keys;

/* What every empty set starts with: one empty slot, room for nothing; never freed. */
extern CT_HIDDEN ct_set_keys *ct_set_empty;

typedef struct {
    PyObject *key;
    Py_hash_t hash;
} ct_set_item;

/* -- accessors ---------------------------------------------------------------------------------- */

CT_INLINE size_t
ct_set_mask(const ct_set_keys *block)
{
    return ((size_t)1 << block->log2_size) - 1;
}

CT_INLINE Py_ssize_t
ct_set_count(const ct_set_keys *block)
{
    return ct_load_relaxed(&((ct_set_keys *)block)->used);
}

CT_INLINE Py_ssize_t
ct_set_filled(const ct_set_keys *block)
{
    return ct_load_relaxed(&((ct_set_keys *)block)->fill);
}

CT_INLINE Py_ssize_t
ct_set_room(const ct_set_keys *block)
{
    return block->capacity - ct_set_filled(block);
}

/* More than a quarter of the slots are dummies. */
CT_INLINE int
ct_set_crowded(const ct_set_keys *block)
{
    return ct_set_filled(block) - ct_set_count(block) > (Py_ssize_t)(ct_set_mask(block) / 4);
}

/* What a marked slot holds at this moment: the word of a key, or CT_DEAD. */
uintptr_t ct_set_settle(const ct_set_keys *block, const ct_set_slot *slot);

/* The element in a slot, or NULL.  Acquire pairs with the release in ct_set_place. */
CT_INLINE PyObject *
ct_set_at(const ct_set_keys *block, Py_ssize_t slot)
{
    uintptr_t word = ct_load_acquire(&((ct_set_keys *)block)->slots[slot].key);
    if (CT_UNLIKELY(word & CT_SET_MARKS)) {
        word = word == CT_DEAD ? word : ct_set_settle(block, &block->slots[slot]);
        return word == CT_DEAD ? NULL : (PyObject *)word;
    }
    return (PyObject *)word;
}

/* Walk the live elements, in the order of the slots, of a block that does not change meanwhile.
 * Start with *at = 0; the slot, or CT_MISS at the end. */
CT_INLINE Py_ssize_t
ct_set_next(const ct_set_keys *block, Py_ssize_t *at, ct_set_item *item)
{
    const ct_set_slot *start = block->slots, *end = start + ct_set_mask(block) + 1;
    for (const ct_set_slot *slot = start + *at; slot < end; slot++) {
        uintptr_t word = ct_load_acquire(&((ct_set_slot *)slot)->key);
        if (word > CT_DEAD) { /* no marks outlast a section */
            item->key = (PyObject *)word;
            item->hash = slot->hash;
            *at = slot - start + 1;
            return slot - start;
        }
    }
    *at = end - start;
    return CT_MISS;
}

/* -- probing ------------------------------------------------------------------------------------ */

#define CT_SET_NO_SLOT ((size_t)-1)

/* Where a probe is, so that it can go on after user code has compared. */
typedef struct {
    size_t at, start, perturb;
    unsigned int left; /* linear probes to come */
    size_t spare;      /* the first dead slot of this hash, or CT_SET_NO_SLOT */
    PyObject *found;   /* with a slot or CT_COMPARE: the key that is there; borrowed */
} ct_set_walk;

CT_INLINE void
ct_set_walk_from(ct_set_walk *walk, size_t start, size_t mask)
{
    walk->at = walk->start = start;
    walk->left = start + CT_SET_LINEAR <= mask ? CT_SET_LINEAR : 0;
}

CT_INLINE void
ct_set_walk_start(const ct_set_keys *block, Py_hash_t hash, ct_set_walk *walk)
{
    size_t mask = ct_set_mask(block);
    walk->perturb = (size_t)hash;
    walk->spare = CT_SET_NO_SLOT;
    ct_set_walk_from(walk, (size_t)hash & mask, mask);
}

CT_INLINE void
ct_set_walk_jump(ct_set_walk *walk, size_t mask)
{
    walk->perturb >>= CT_PERTURB_SHIFT;
    ct_set_walk_from(walk, (walk->start * 5 + walk->perturb + 1) & mask, mask);
}

CT_INLINE void
ct_set_walk_on(ct_set_walk *walk, size_t mask)
{
    if (walk->left == 0) {
        ct_set_walk_jump(walk, mask);
        return;
    }
    walk->left--;
    walk->at++;
}

/* The lookup that runs no user code: slot, CT_MISS (walk->at is the empty slot), or CT_COMPARE
 * (walk->at and walk->found must be compared; call again to go on when they differ, after
 * ct_set_walk_on). */
CT_INLINE Py_ssize_t
ct_set_probe(const ct_set_keys *block, PyObject *key, Py_hash_t hash, ct_set_walk *walk)
{
    size_t mask = ct_set_mask(block);
    for (;;) {
        const ct_set_slot *slot = &block->slots[walk->at], *last = slot + walk->left;
        for (; slot <= last; slot++) {
            uintptr_t word = ct_load_acquire(&((ct_set_slot *)slot)->key);
            if (word == 0) {
                walk->at = (size_t)(slot - block->slots);
                return CT_MISS;
            }
            if (CT_LIKELY(slot->hash != hash)) {
                continue;
            }
            size_t at = (size_t)(slot - block->slots);
            if (CT_UNLIKELY(word & CT_SET_MARKS)) {
                word = word == CT_DEAD ? word : ct_set_settle(block, slot);
                if (word == CT_DEAD) {
                    walk->spare = walk->spare == CT_SET_NO_SLOT ? at : walk->spare;
                    continue;
                }
            }
            PyObject *candidate = (PyObject *)word;
            int order = candidate == key ? CT_EQUAL : ct_compare(candidate, key);
            if (order != CT_DIFFERENT) {
                walk->at = at;
                walk->left = (unsigned int)(last - slot);
                walk->found = candidate;
                return order == CT_EQUAL ? (Py_ssize_t)at : CT_COMPARE;
            }
        }
        ct_set_walk_jump(walk, mask);
    }
}

/* After a miss: where the key goes. */
CT_INLINE size_t
ct_set_vacant(const ct_set_walk *walk)
{
    return walk->spare == CT_SET_NO_SLOT ? walk->at : walk->spare;
}

/* -- memory ------------------------------------------------------------------------------------- */

int ct_set_process_init(void);
int ct_set_log2_above(Py_ssize_t count);    /* smallest allowed log2 of a size greater than `count` */
int ct_set_log2_for(Py_ssize_t count);      /* the same of a size with room for `count` elements */
/* An empty block that owns what is put into it (CT_OWNS_ALL); NULL without memory, no exception
 * set. */
ct_set_keys *ct_set_new(int log2_size);
void ct_set_hold(ct_set_keys *block);
void ct_set_release(ct_set_keys *block);    /* NULL is allowed */
void ct_set_lend_held(ct_set_keys *block);  /* a hold and a loan; under the section, or a frozen block */
void ct_set_give_back(ct_set_keys *block);  /* NULL is allowed */
CT_INLINE void
ct_set_lend_private(ct_set_keys *block) /* the caller's hold becomes a loan */
{
    if (block != ct_set_empty) {
        ct_store_relaxed(&block->loans, 1);
    }
}
/* For keys.c, when the last hold of a block of this kind goes. */
void ct_set_free(ct_keys *block);
size_t ct_set_nbytes(const ct_set_keys *block);

/* -- contents; the caller holds the section and the block is not lent, or it is not published --- */

CT_INLINE int
ct_set_lent(ct_set_keys *block)
{
    return ct_load_acquire(&block->loans) > 0; /* pairs with the release in ct_set_give_back */
}

/* Whether a slot can take an absent key of this hash. */
CT_INLINE int
ct_set_is_vacant(const ct_set_keys *block, size_t slot, Py_hash_t hash)
{
    uintptr_t word = ct_load_relaxed(&((ct_set_keys *)block)->slots[slot].key);
    return word == 0 || (word == CT_DEAD && block->slots[slot].hash == hash);
}

/* The slot for an absent key: the first one of its sequence that is empty, or dead and of its
 * hash. */
size_t ct_set_vacancy(const ct_set_keys *block, Py_hash_t hash);
/* Write a slot's hash and key word; the slot counts as used up. */
CT_INLINE void
ct_set_fill(ct_set_keys *block, Py_hash_t hash, size_t slot, uintptr_t word)
{
    if (ct_load_relaxed(&block->slots[slot].key) == 0) {
        CT_ASSERT(ct_set_room(block) > 0);
        block->slots[slot].hash = hash;
        ct_add_relaxed(&block->fill, 1);
    }
    CT_ASSERT(block->slots[slot].hash == hash);
    CT_POINT(set_key_publish);
    ct_store_release(&block->slots[slot].key, word); /* I3: the slot is complete */
}

/* Fill such a slot; steals the reference.  Room is there. */
CT_INLINE void
ct_set_place(ct_set_keys *block, ct_set_item item, size_t slot)
{
    ct_set_fill(block, item.hash, slot, (uintptr_t)item.key);
    ct_store_release(&block->used, ct_set_count(block) + 1);
}

void ct_set_append(ct_set_keys *block, ct_set_item item); /* both */
/* Make a slot's element dead; whoever calls has the reference to drop now. */
CT_INLINE PyObject *
ct_set_kill(ct_set_keys *block, Py_ssize_t slot)
{
    PyObject *key = (PyObject *)ct_load_relaxed(&block->slots[slot].key);
    CT_POINT(set_key_dead);
    ct_store_release(&block->slots[slot].key, CT_DEAD);
    ct_store_release(&block->used, ct_set_count(block) - 1);
    return key;
}

/* A change with marks: begin; any number of the two others; decide; end each of those. */
void ct_set_begin_marks(ct_set_keys *block);
void ct_set_mark_leaving(ct_set_keys *block, Py_ssize_t slot);
void ct_set_mark_entering(ct_set_keys *block, ct_set_item item, size_t slot); /* steals the reference */
void ct_set_decide_marks(ct_set_keys *block);
void ct_set_end_mark(ct_set_keys *block, size_t slot);
Py_ssize_t ct_set_first_live(ct_set_keys *block); /* the next for pop: slot or CT_MISS */
/* Whether this very object is an element.  No user code; pinned is enough. */
int ct_set_identical(const ct_set_keys *block, PyObject *key, Py_hash_t hash);
/* Slots that the block that replaces this one should exceed. */
Py_ssize_t ct_set_roomier(const ct_set_keys *block);

/* Copies that borrow their references (CT_OWNS_NOTHING): of 2^log2_size slots and without
 * dummies, or with the same slot numbers.  NULL without memory. */
ct_set_keys *ct_set_rebuilt(const ct_set_keys *block, int log2_size);
ct_set_keys *ct_set_clone(const ct_set_keys *block);
/* Copies with references of their own (CT_OWNS_ALL): exact, or compact when crowded with
 * dummies. */
ct_set_keys *ct_set_copy(const ct_set_keys *block);
ct_set_keys *ct_set_roomy_copy(const ct_set_keys *block, Py_ssize_t more); /* room for `more` */
ct_set_keys *ct_set_frozen_copy(const ct_set_keys *block); /* the shared empty block when empty */
void ct_set_own(ct_set_keys *block); /* take a reference to each element */

/* -- blocks that only the caller changes; these run user comparisons ---------------------------- */

/* Slot, CT_MISS, or CT_ERROR with an error set. */
Py_ssize_t ct_set_seek(const ct_set_keys *block, ct_set_item item, ct_set_walk *walk);
/* The commonest end of a search: this very object in its first slot.  The slot or CT_MISS. */
CT_INLINE Py_ssize_t
ct_set_find_first(const ct_set_keys *block, ct_set_item item)
{
    size_t first = (size_t)item.hash & ct_set_mask(block);
    uintptr_t word = ct_load_acquire(&((ct_set_keys *)block)->slots[first].key);
    return word == (uintptr_t)item.key ? (Py_ssize_t)first : CT_MISS;
}
CT_INLINE Py_ssize_t
ct_set_find(const ct_set_keys *block, ct_set_item item)
{
    ct_set_walk walk;
    Py_ssize_t slot = ct_set_find_first(block, item);
    return slot >= 0 ? slot : ct_set_seek(block, item, &walk);
}
/* Room for `more` elements; *block may be replaced.  0, or -1 with an error. */
int ct_set_make_room(ct_set_keys **block, Py_ssize_t more);
/* Out of a block that was made for more elements; the same. */
int ct_set_trim(ct_set_keys **block);
/* Add what `from` has and *block lacks; 0 or -1. */
int ct_set_merge(ct_set_keys **block, const ct_set_keys *from);
/* Add an element unless an equal one is there; steals the reference; *block may be replaced.  1
 * added, 0 there, -1 error. */
int ct_set_put(ct_set_keys **block, ct_set_item item);
/* A block of distinct elements, with references of its own; NULL with an error. */
ct_set_keys *ct_set_of(const ct_set_item *items, Py_ssize_t count);
/* This block, or one without dummies when it is crowded with them; NULL (and the block freed)
 * with an error. */
ct_set_keys *ct_set_compacted(ct_set_keys *block);
/* Whether every element of `part` is in `block`: 1, 0, -1. */
int ct_set_contains_all(const ct_set_keys *block, const ct_set_keys *part);

#endif
