/* Set blocks: one open-addressed array of hashes and keys, and the order of the insertions.
 *
 *   header | slots: 2^n of {hash, key} | order: the slot numbers, oldest insertion first
 *
 *   key word:  0 -> pointer -> CT_DEAD, each step once (I2); its hash is written once, before it (I3)
 *   order[n]:  the slot of the n-th insertion, in 1, 2, 4 or 8 bytes; written before `fill` says so
 *
 * A dead slot is never filled again: a reader that holds a slot number can never be handed another
 * key.  So a miss is linearizable (nothing lies behind an empty slot, and the slots before it were
 * taken for good when the reader passed them), and a hit linearizes at the load of the key.
 *
 * The insertions since a moment are a range of `order`.  That is what a miss found without the lock is
 * checked against, and what an iterator may yield.  `fill` is raised after the key is stored, so a lookup
 * that loads `fill` and then probes either meets a key or finds it in the range beyond (the other order
 * would let a key fall between the two).
 *
 * Lookups start at `hash & mask`, look at 9 slots more where they fit, then go on with
 * (5*i + perturb + 1) & mask, perturb >>= 5.  A block is replaced when 3/5 of it is filled.
 * Source of the scheme and its constants: CPython Objects/setobject.c.
 */
#ifndef CT_SET_KEYS_H
#define CT_SET_KEYS_H

#include "compare.h"
#include "ct_common.h"
#include "keys.h"

enum { CT_SET_LINEAR = 9, CT_SET_GROWTH = 4, CT_SET_LARGE_GROWTH = 2, CT_SET_LARGE = 50000 };
enum { CT_NEED_MEMORY = -5 }; /* besides CT_MISS, CT_COMPARE, CT_RESTART, CT_ERROR */
#define CT_DEAD ((uintptr_t)1)

typedef struct {
    Py_hash_t hash;
    ct_word key;
} ct_set_slot;

/* The first members are those of ct_keys, so that holds, `owns`, ct_pending_block and ct_retire treat
 * both sorts of block alike; the kind tells them apart when one is freed. */
typedef struct ct_set_keys {
    ct_ssize refs;       /* memory holds */
    uint8_t log2_size;
    uint8_t width;       /* log2 of the bytes of an order number */
    uint8_t kind;        /* CT_SET_BLOCK */
    uint8_t owns;        /* CT_OWNS_*; for a set CT_OWNS_KEYS is as good as CT_OWNS_ALL */
    Py_ssize_t capacity; /* insertions that it has room for */
    char *order;
    ct_ssize fill;       /* slots used up, live or not; lock holder */
    ct_ssize used;       /* live elements; lock holder */
    ct_ssize holds;      /* iterators; raised by lock holders only */
    Py_ssize_t bottom;   /* every insertion before this one is dead; lock holder */
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

/* The element in a slot, or NULL.  Acquire pairs with the release in ct_set_place. */
CT_INLINE PyObject *
ct_set_at(const ct_set_keys *block, Py_ssize_t slot)
{
    uintptr_t word = ct_load_acquire(&((ct_set_keys *)block)->slots[slot].key);
    return word == CT_DEAD ? NULL : (PyObject *)word;
}

/* Positions below `fill` as the caller loaded it (acquire), or under the lock. */
CT_INLINE Py_ssize_t
ct_set_order(const ct_set_keys *block, Py_ssize_t position)
{
    switch (block->width) {
    case 0:
        return ((uint8_t *)block->order)[position];
    case 1:
        return ((uint16_t *)block->order)[position];
    case 2:
        return ((uint32_t *)block->order)[position];
    default:
        return (Py_ssize_t)((uint64_t *)block->order)[position];
    }
}

/* Walk the live elements, oldest first, of a block that does not change meanwhile.  Start with *at = 0;
 * the slot, or CT_MISS at the end. */
CT_INLINE Py_ssize_t
ct_set_next(const ct_set_keys *block, Py_ssize_t *at, ct_set_item *item)
{
    Py_ssize_t fill = ct_set_filled(block);
    if (*at < block->bottom) {
        *at = block->bottom;
    }
    while (*at < fill) {
        Py_ssize_t slot = ct_set_order(block, (*at)++);
        item->key = ct_set_at(block, slot);
        if (item->key != NULL) {
            item->hash = block->slots[slot].hash;
            return slot;
        }
    }
    return CT_MISS;
}

/* -- probing ------------------------------------------------------------------------------------ */

/* Where a probe is, so that it can go on after user code has compared. */
typedef struct {
    size_t at, start, perturb;
    unsigned int left; /* linear probes to come */
    size_t steps;      /* slots passed so far */
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
    walk->steps = 0;
    ct_set_walk_from(walk, (size_t)hash & mask, mask);
}

CT_INLINE void
ct_set_walk_on(ct_set_walk *walk, size_t mask)
{
    walk->steps++;
    if (walk->left > 0) {
        walk->left--;
        walk->at++;
        return;
    }
    walk->perturb >>= CT_PERTURB_SHIFT;
    ct_set_walk_from(walk, (walk->start * 5 + walk->perturb + 1) & mask, mask);
}

/* The lookup that runs no user code: slot, CT_MISS (walk->at is the empty slot), or CT_COMPARE (walk->at
 * and walk->found must be compared; call again to go on when they differ, after ct_set_walk_on). */
CT_INLINE Py_ssize_t
ct_set_probe(const ct_set_keys *block, PyObject *key, Py_hash_t hash, ct_set_walk *walk)
{
    size_t mask = ct_set_mask(block);
    for (;; ct_set_walk_on(walk, mask)) {
        const ct_set_slot *slot = &block->slots[walk->at];
        uintptr_t word = ct_load_acquire(&((ct_set_slot *)slot)->key);
        if (word == 0) {
            return CT_MISS;
        }
        if (word == CT_DEAD || slot->hash != hash) {
            continue;
        }
        PyObject *candidate = (PyObject *)word;
        int order = candidate == key ? CT_EQUAL : ct_compare(candidate, key);
        if (order != CT_DIFFERENT) {
            walk->found = candidate;
            return order == CT_EQUAL ? (Py_ssize_t)walk->at : CT_COMPARE;
        }
    }
}

/* -- memory ------------------------------------------------------------------------------------- */

int ct_set_process_init(void);
int ct_set_log2_above(Py_ssize_t count);    /* smallest allowed log2 of a size greater than `count` */
/* An empty block that owns what is put into it (CT_OWNS_ALL); NULL without memory, no exception set. */
ct_set_keys *ct_set_new(int log2_size);
void ct_set_hold(ct_set_keys *block);
void ct_set_release(ct_set_keys *block);    /* NULL is allowed */
/* For keys.c, when the last hold of a block of this kind goes. */
void ct_set_free(ct_keys *block);
size_t ct_set_nbytes(const ct_set_keys *block);

/* -- contents; the caller holds the section, or the block is not published ------------------------ */

/* Fill the empty slot that a search for the key ended at; steals the reference.  Room is there. */
void ct_set_place(ct_set_keys *block, ct_set_item item, size_t slot);
/* The same, finding the slot; how many others it passed. */
size_t ct_set_append(ct_set_keys *block, ct_set_item item);
/* Make a slot's element dead; whoever calls has the reference to drop now. */
PyObject *ct_set_kill(ct_set_keys *block, Py_ssize_t slot);
Py_ssize_t ct_set_first_live(ct_set_keys *block); /* slot or CT_MISS; moves `bottom` up */
/* Whether this very object is an element.  No user code; pinned is enough. */
int ct_set_identical(const ct_set_keys *block, PyObject *key, Py_hash_t hash);
/* Whether a search that passed so many slots shows that the dead ones should go.  They are never filled
 * again, so adding and removing one key over and over makes its probe sequence longer each time; rebuilding
 * when it exceeds the square root of the size keeps both costs of a change near that root. */
CT_INLINE int
ct_set_overgrown(const ct_set_keys *block, size_t steps)
{
    size_t used = (size_t)ct_set_count(block), dead = (size_t)ct_set_filled(block) - used;
    return CT_UNLIKELY(steps > 16) && dead * 2 >= steps && steps * steps > used + 256;
}
/* Slots that the block that replaces this one should exceed. */
Py_ssize_t ct_set_roomier(const ct_set_keys *block);

/* Copies that borrow their references (CT_OWNS_NOTHING): without dummies and with more than `minimum`
 * slots; or with the same slot numbers.  NULL without memory. */
ct_set_keys *ct_set_rebuilt(const ct_set_keys *block, Py_ssize_t minimum);
ct_set_keys *ct_set_clone(const ct_set_keys *block);
/* Copies with references of their own (CT_OWNS_ALL): exact, or compact when crowded with dummies. */
ct_set_keys *ct_set_copy(const ct_set_keys *block);
ct_set_keys *ct_set_frozen_copy(const ct_set_keys *block);
void ct_set_own(ct_set_keys *block); /* take a reference to each element */

/* -- blocks that only the caller changes; these run user comparisons ------------------------------ */

/* Slot, CT_MISS (walk->at is the empty slot), or CT_ERROR with an error set. */
Py_ssize_t ct_set_seek(const ct_set_keys *block, ct_set_item item, ct_set_walk *walk);
CT_INLINE Py_ssize_t
ct_set_find(const ct_set_keys *block, ct_set_item item)
{
    ct_set_walk walk;
    return ct_set_seek(block, item, &walk);
}
/* Add an element unless an equal one is there; *block may be replaced.  1 added, 0 there, -1 error. */
int ct_set_put(ct_set_keys **block, ct_set_item item);
/* The same without looking: no equal one is there.  0 or -1. */
int ct_set_add_absent(ct_set_keys **block, ct_set_item item);
/* This block, or one without dummies when it is crowded with them; NULL (and the block freed) with an
 * error. */
ct_set_keys *ct_set_compacted(ct_set_keys *block);
/* Whether every element of `part` is in `block`: 1, 0, -1. */
int ct_set_contains_all(const ct_set_keys *block, const ct_set_keys *part);

#endif
