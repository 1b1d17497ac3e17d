/* Lookups that need user code: unpinned comparison, revalidation, restart (I6). */
#include "table.h"

static void
endless_lookup(ct_table *t, PyObject *key)
{
    PyObject *error = ct_getattr(t->st->errors, "TableMutationError");
    if (error != NULL) {
        PyErr_Format(error,
                     "%s: looking up %s key cannot end, because its __eq__ changes the table at "
                     "every comparison; make __eq__ free of side effects",
                     ct_type_name((PyObject *)t), ct_type_name(key));
        Py_DECREF(error);
    }
}

/* Compare `key` with the entry that the probe stopped at: pinned on entry and, unless CT_ERROR is
 * returned, on return.  CT_EQUAL, CT_DIFFERENT, or CT_RESTART when the block was replaced.  No counter of
 * the block is touched: threads that look up keys of one table do not slow each other down. */
CT_INLINE int
compare_unpinned(ct_table *t, ct_record *self, const ct_block_id *block, Py_ssize_t ix, PyObject *key)
{
    PyObject *candidate = ct_entry_key(block->keys, ix);
    if (ct_entry_value(block->keys, ix) == NULL) {
        return CT_DIFFERENT; /* died since the index was read; it stays dead (I2) */
    }
    Py_INCREF(candidate); /* pinned: the table's reference lives on */
    ct_unpin(self);
    CT_POINT_OPEN(user_compare);
    int equal = ct_ask_equal(t->st, candidate, key);
    Py_DECREF(candidate);
    if (equal < 0) {
        return CT_ERROR;
    }
    ct_pin(self);
    /* The same block has the same key in the entry, which is written once (I2). */
    return ct_same_block(t, block) ? equal : CT_RESTART;
}

/* The rest of a pass over one block, pinned, from the entry `at` which the probe stopped.  Entry number,
 * CT_MISS, CT_RESTART; CT_ERROR comes unpinned. */
CT_INLINE Py_ssize_t
search_on(ct_table *t, ct_record *self, const ct_block_id *block, PyObject *key, Py_hash_t hash,
          ct_probe_state *at)
{
    for (;;) {
        Py_ssize_t ix = at->ix;
        int order = compare_unpinned(t, self, block, ix, key);
        if (order != CT_DIFFERENT) {
            return order == CT_EQUAL ? ix : order;
        }
        ix = ct_probe_resume(block->keys, key, hash, at);
        if (ix != CT_COMPARE) {
            return ix;
        }
    }
}

/* One pass over one block; as above. */
static Py_ssize_t
search_block(ct_table *t, ct_record *self, const ct_block_id *block, PyObject *key, Py_hash_t hash)
{
    ct_probe_state at;
    ct_probe_start(block->keys, hash, &at);
    Py_ssize_t ix = ct_probe_resume(block->keys, key, hash, &at);
    return ix == CT_COMPARE ? search_on(t, self, block, key, hash, &at) : ix;
}

int
ct_resolve(ct_table *t, PyObject *key, Py_hash_t hash, ct_place *place, PyObject **value)
{
    for (int own_restarts = 0;;) {
        ct_record *self = ct_enter(t);
        if (self == NULL) {
            return -1;
        }
        uint64_t writes = self->writes;
        place->block = ct_present_block(t);
        place->seen = ct_load_acquire(&place->block.keys->nentries);
        place->slot = -1;
        CT_POINT(place_seen);
        place->ix = search_block(t, self, &place->block, key, hash);
        if (place->ix == CT_ERROR) {
            return -1;
        }
        PyObject *found = place->ix >= 0 ? ct_entry_value(place->block.keys, place->ix) : NULL;
        if (place->ix == CT_MISS || found != NULL) {
            if (value != NULL) {
                Py_XINCREF(found);
                *value = found;
            }
            ct_unpin(self);
            return 0;
        }
        writes = self->writes - writes; /* only this thread's own writes can repeat for ever */
        ct_unpin(self);
        if (writes && ++own_restarts > CT_MAX_OWN_RESTARTS) {
            endless_lookup(t, key);
            return -1;
        }
    }
}

CT_ALIGNED CT_NOINLINE int
ct_get_comparing(ct_table *t, ct_record *self, ct_keys *keys, PyObject *key, Py_hash_t hash,
                 ct_probe_state *at, PyObject **value)
{
    ct_block_id block = ct_present_block(t);
    /* Pinned all along: a block at the same address is the one that was probed. */
    if (CT_LIKELY(block.keys == keys)) {
        Py_ssize_t ix = search_on(t, self, &block, key, hash, at);
        if (ix == CT_ERROR) {
            return -1;
        }
        PyObject *found = ix >= 0 ? ct_entry_value(keys, ix) : NULL;
        if (CT_LIKELY(found != NULL || ix == CT_MISS)) {
            if (value != NULL) {
                Py_XINCREF(found);
                *value = found;
            }
            ct_unpin(self);
            return found != NULL;
        }
    }
    ct_unpin(self);
    PyObject *found = NULL;
    int status = ct_get_slow(t, key, hash, &found);
    if (value != NULL) {
        *value = found;
    }
    else if (status > 0) {
        Py_DECREF(found);
    }
    return status;
}

CT_NOINLINE int
ct_get_slow(ct_table *t, PyObject *key, Py_hash_t hash, PyObject **value)
{
    ct_place place;
    return ct_resolve(t, key, hash, &place, value) < 0 ? -1 : *value != NULL;
}

Py_ssize_t
ct_locate(ct_table *t, PyObject *key, Py_hash_t hash, ct_place *place)
{
    ct_keys *keys = ct_load_relaxed(&t->keys);
    if (place->block.keys == NULL) {
        ct_probe_state at = {.visits = 0};
        Py_ssize_t ix = ct_probe_at(keys, key, hash, 1, &at);
        place->slot = (Py_ssize_t)at.i;
        place->visits = at.visits;
        return ix;
    }
    if (!ct_same_block(t, &place->block)) {
        return CT_RESTART;
    }
    if (place->ix >= 0) {
        return ct_entry_value(keys, place->ix) == NULL ? CT_RESTART : place->ix;
    }
    /* A miss stands if nothing with this hash was appended since. */
    Py_ssize_t count = ct_load_relaxed(&keys->nentries);
    if (count != place->seen) {
        place->slot = -1; /* may be taken: every entry takes one before it counts */
    }
    for (Py_ssize_t ix = place->seen; ix < count; ix++) {
        if (ct_entry_value(keys, ix) == NULL || ct_entry_hash(keys, ix) != hash) {
            continue;
        }
        PyObject *candidate = ct_entry_key(keys, ix);
        int order = candidate == key ? CT_EQUAL : ct_compare(candidate, key);
        if (order != CT_DIFFERENT) {
            return order == CT_EQUAL ? ix : CT_RESTART;
        }
    }
    return CT_MISS;
}
