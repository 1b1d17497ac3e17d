/* HashTable: changes.  User code runs before the section; under it the spot is looked at again. */
#include "hashtable.h"
#include "split.h"
#include "watching.h"

/* One attempt's memory, allocated before anything changes. */
typedef struct {
    ct_entries *chain;     /* the slot's next chain (NULL: empty) */
    ct_buckets *block;     /* the next block, when the table grows or shrinks */
    PyObject *destruction; /* or None */
} ct_step;

/* A chain like `old` without the pair at `skip` (-1: all stay) and with `fresh` in its place (or first).
 * *failed is set without memory. */
static ct_entries *
changed_chain(ct_state *st, const ct_entries *old, Py_ssize_t skip, const ct_pair *fresh, int *failed)
{
    Py_ssize_t count = (old == NULL ? 0 : Py_SIZE(old)) - (skip >= 0) + (fresh != NULL), at = 0;
    if (count == 0) {
        return NULL;
    }
    ct_entries *chain = PyObject_NewVar(ct_entries, st->extra_types[CT_X_ENTRIES], count);
    if (chain == NULL) {
        PyErr_Clear();
        *failed = 1;
        return NULL;
    }
    if (fresh != NULL && skip < 0) {
        chain->pairs[at++] = *fresh;
    }
    for (Py_ssize_t i = 0; old != NULL && i < Py_SIZE(old); i++) {
        if (i != skip) {
            chain->pairs[at++] = old->pairs[i];
        }
        else if (fresh != NULL) {
            chain->pairs[at++] = *fresh;
        }
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_INCREF(chain->pairs[i].key);
        Py_INCREF(chain->pairs[i].value);
    }
    return chain;
}

static int
add_to_block(ct_state *st, ct_buckets *block, const ct_entries *chain)
{
    size_t mask = (size_t)Py_SIZE(block) - 1;
    int failed = 0;
    for (Py_ssize_t i = 0; chain != NULL && i < Py_SIZE(chain); i++) {
        size_t slot = (size_t)chain->pairs[i].hash & mask;
        ct_entries *before = ct_load_relaxed(&block->slots[slot]);
        ct_entries *longer = changed_chain(st, before, -1, &chain->pairs[i], &failed);
        if (failed) {
            return -1;
        }
        ct_store_relaxed(&block->slots[slot], longer);
        Py_XDECREF(before);
        ct_add_relaxed(&block->used, 1);
    }
    return 0;
}

/* A block of another size with the entries of `old`, but `chain` in place of that of `slot`. */
static ct_buckets *
resized(ct_state *st, ct_buckets *old, int log2_size, size_t slot, const ct_entries *chain)
{
    ct_buckets *block = ct_buckets_new(st, log2_size, old);
    if (block == NULL) {
        PyErr_Clear();
        return NULL;
    }
    if (log2_size > old->log2_size) {
        block->grown++;
    }
    else {
        block->shrunk++;
    }
    for (Py_ssize_t i = 0; i < Py_SIZE(old); i++) {
        if (add_to_block(st, block, (size_t)i == slot ? chain : ct_load_relaxed(&old->slots[i])) < 0) {
            Py_DECREF(block);
            return NULL;
        }
    }
    return block;
}

/* -- committing, section held ------------------------------------------------------------------- */

static int
is_unchanged_held(ct_hashtable *t, const ct_spot *spot)
{
    return ct_load_relaxed(&t->block) == spot->block
           && ct_load_relaxed(&spot->block->slots[spot->slot]) == spot->chain;
}

/* Publish the step's chain or block; what it replaces goes to `pending`. */
static void
publish_held(ct_hashtable *t, const ct_spot *spot, ct_step *step, int more, ct_pending *pending)
{
    if (step->block != NULL) {
        CT_POINT(block_publish);
        ct_store_release(&t->block, step->block);
        ct_pending_drop(pending, (PyObject *)spot->block);
        step->block = NULL;
        Py_CLEAR(step->chain); /* its pairs are in the block: never the last references */
        return;
    }
    CT_POINT(chain_publish);
    ct_store_release(&spot->block->slots[spot->slot], step->chain); /* complete: I3 */
    ct_add_relaxed(&spot->block->used, more);
    if (spot->chain != NULL) {
        ct_pending_drop(pending, (PyObject *)spot->chain);
    }
    step->chain = NULL;
}

/* Insert or replace.  CT_DONE, CT_RESTART, CT_NO_MEMORY. */
static int
store_held(ct_hashtable *t, const ct_spot *spot, const ct_pair *fresh, ct_step *step,
           ct_pending *pending)
{
    ct_state *st = t->base.st;
    int failed = 0, inserts = spot->position < 0;
    if (!is_unchanged_held(t, spot)) {
        return CT_RESTART;
    }
    ct_buckets *block = spot->block;
    step->chain = changed_chain(st, spot->chain, spot->position, fresh, &failed);
    if (failed) {
        return CT_NO_MEMORY;
    }
    double used = (double)ct_load_relaxed(&block->used) + 1;
    if (inserts && used > t->grow_at * (double)Py_SIZE(block)) {
        step->block = resized(st, block, block->log2_size + 1, spot->slot, step->chain);
        if (step->block == NULL) {
            return CT_NO_MEMORY;
        }
    }
    if (ct_event_reserve_held(&t->base, pending) < 0) {
        return CT_NO_MEMORY;
    }
    PyObject *old = inserts ? NULL : spot->chain->pairs[spot->position].value;
    publish_held(t, spot, step, inserts, pending);
    ct_event_held(&t->base, pending, inserts ? CT_KIND_ADDED : CT_KIND_MODIFIED, fresh->key, old,
                  fresh->value);
    ct_commit_held(&t->base, pending, inserts);
    return CT_DONE;
}

static int
remove_held(ct_hashtable *t, const ct_spot *spot, ct_step *step, ct_pending *pending)
{
    ct_state *st = t->base.st;
    int failed = 0;
    if (!is_unchanged_held(t, spot)) {
        return CT_RESTART;
    }
    ct_buckets *block = spot->block;
    step->chain = changed_chain(st, spot->chain, spot->position, NULL, &failed);
    double used = (double)ct_load_relaxed(&block->used) - 1;
    if (!failed && block->log2_size > CT_MIN_BUCKETS_LOG2
        && used < t->shrink_at * (double)Py_SIZE(block)) {
        step->block = resized(st, block, block->log2_size - 1, spot->slot, step->chain);
        failed = step->block == NULL;
    }
    if (failed || ct_event_reserve_held(&t->base, pending) < 0) {
        return CT_NO_MEMORY;
    }
    const ct_pair *pair = &spot->chain->pairs[spot->position];
    publish_held(t, spot, step, -1, pending);
    ct_event_held(&t->base, pending, CT_KIND_DELETED, pair->key, pair->value, NULL);
    ct_commit_held(&t->base, pending, 1);
    return CT_DONE;
}

/* -- after the section -------------------------------------------------------------------------- */

/* I7: drops, destructors, events.  The destructors come after a grace period when others may look. */
static void
finish(ct_hashtable *t, ct_pending *pending, ct_step *step, int done)
{
    int shared = ct_is_shared(&t->base);
    Py_CLEAR(step->chain);
    Py_CLEAR(step->block);
    if (done && step->destruction != NULL && step->destruction != Py_None) {
        if (shared && CT_FT) {
            ct_retire(t->base.st, (uintptr_t)step->destruction | CT_ITEM_CALLBACK, 0);
            step->destruction = NULL;
        }
        else {
            PyObject *result = PyObject_CallNoArgs(step->destruction);
            if (result == NULL) {
                PyErr_WriteUnraisable(step->destruction);
            }
            Py_XDECREF(result);
        }
    }
    Py_CLEAR(step->destruction);
    ct_pending_finish(pending);
}

int
ct_hashtable_set(ct_hashtable *t, PyObject *key, PyObject *value)
{
    ct_pair fresh = {0, key, value};
    int status = CT_RESTART;
    if (ct_hashtable_hash(t, key, &fresh.hash) < 0) {
        return -1;
    }
    while (status == CT_RESTART) {
        ct_step step = {NULL, NULL, NULL};
        ct_section section;
        ct_pending pending;
        ct_spot spot;
        if (ct_hashtable_find(t, key, fresh.hash, &spot) < 0) {
            return -1;
        }
        if (spot.position >= 0) {
            step.destruction = ct_hashtable_destruction(t, NULL, 0, &spot.chain->pairs[spot.position],
                                                        &fresh);
        }
        if ((spot.position >= 0 && step.destruction == NULL)
            || ct_write_lock(&t->base, &section) < 0) {
            ct_spot_clear(&spot);
            Py_XDECREF(step.destruction);
            return -1;
        }
        ct_pending_init(&pending, &t->base);
        status = store_held(t, &spot, &fresh, &step, &pending);
        ct_unlock(&section);
        ct_spot_clear(&spot);
        finish(t, &pending, &step, status == CT_DONE);
    }
    if (status == CT_NO_MEMORY) {
        PyErr_NoMemory();
    }
    return status == CT_DONE ? 0 : -1;
}

int
ct_hashtable_steal(ct_hashtable *t, PyObject *key, PyObject **value)
{
    uint64_t hash;
    int status = CT_RESTART;
    if (ct_hashtable_hash(t, key, &hash) < 0) {
        return -1;
    }
    while (status == CT_RESTART) {
        ct_step step = {NULL, NULL, NULL};
        ct_section section;
        ct_pending pending;
        ct_spot spot;
        if (ct_hashtable_find(t, key, hash, &spot) < 0) {
            return -1;
        }
        if (spot.position < 0 || ct_write_lock(&t->base, &section) < 0) {
            int found = spot.position < 0 ? 0 : -1;
            ct_spot_clear(&spot);
            return found;
        }
        ct_pending_init(&pending, &t->base);
        status = remove_held(t, &spot, &step, &pending);
        if (status == CT_DONE) {
            *value = Py_NewRef(spot.chain->pairs[spot.position].value);
        }
        ct_unlock(&section);
        ct_spot_clear(&spot);
        finish(t, &pending, &step, 0);
    }
    if (status == CT_NO_MEMORY) {
        PyErr_NoMemory();
    }
    return status == CT_DONE ? 1 : -1;
}

/* -- clear and destroy -------------------------------------------------------------------------- */

/* Section held: CT_DONE, CT_RESTART when something was written since `version`, CT_NO_MEMORY. */
static int
replace_all_held(ct_hashtable *t, uint64_t version, ct_step *step, ct_pending *pending)
{
    ct_buckets *block = ct_load_relaxed(&t->block);
    int used = ct_load_relaxed(&block->used) != 0;
    if (ct_load_relaxed(&t->base.version) != version || block->destroyed) {
        return CT_RESTART;
    }
    if (ct_event_reserve_held(&t->base, pending) < 0) {
        return CT_NO_MEMORY;
    }
    step->block->grown = block->grown;
    step->block->shrunk = block->shrunk;
    CT_POINT(block_publish);
    ct_store_release(&t->block, step->block);
    step->block = NULL;
    ct_pending_drop(pending, (PyObject *)block);
    if (used) {
        ct_event_held(&t->base, pending, CT_KIND_CLEARED, NULL, NULL, NULL);
        ct_commit_held(&t->base, pending, 1);
    }
    else {
        pending->shared = ct_is_shared(&t->base);
    }
    return CT_DONE;
}

/* One attempt; the same statuses, CT_FAILED with an error, CT_NOT_MET when there is nothing to do. */
static int
replace_all(ct_hashtable *t, int destroy)
{
    ct_step step = {NULL, NULL, NULL};
    ct_section section;
    ct_pending pending;
    ct_buckets *block;
    uint64_t version;
    ct_entries **chains = ct_hashtable_chains(t, &block, &version);
    int status = chains == NULL ? CT_FAILED : CT_DONE;
    if (status == CT_DONE && block->destroyed) {
        status = ct_hashtable_destroyed_error(t);
    }
    else if (status == CT_DONE && !destroy && block->log2_size == CT_MIN_BUCKETS_LOG2
             && ct_load_relaxed(&block->used) == 0) {
        status = CT_NOT_MET;
    }
    if (status == CT_DONE) {
        step.block = ct_buckets_new(t->base.st, CT_MIN_BUCKETS_LOG2, NULL);
        step.destruction = step.block == NULL
                               ? NULL
                               : ct_hashtable_destruction(t, chains, Py_SIZE(block), NULL, NULL);
        status = step.destruction == NULL ? CT_FAILED : CT_DONE;
    }
    if (chains != NULL) {
        ct_chains_free(chains, block);
    }
    if (status != CT_DONE || ct_write_lock(&t->base, &section) < 0) {
        Py_CLEAR(step.block);
        Py_CLEAR(step.destruction);
        return status != CT_DONE ? status : CT_FAILED;
    }
    step.block->destroyed = destroy;
    ct_pending_init(&pending, &t->base);
    status = replace_all_held(t, version, &step, &pending);
    ct_unlock(&section);
    finish(t, &pending, &step, status == CT_DONE);
    return status;
}

int
ct_hashtable_clear(ct_hashtable *t, int destroy)
{
    int status;
    do {
        status = replace_all(t, destroy);
    } while (status == CT_RESTART);
    if (status == CT_NO_MEMORY) {
        PyErr_NoMemory();
    }
    return status == CT_DONE || status == CT_NOT_MET ? 0 : -1;
}
