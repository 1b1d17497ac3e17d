/* Changes of a cache's table, with its books; the essay is in cache_store.h. */
#include "cache_store.h"

#include <math.h>

enum { FEWEST_RETIRED = 64, MOST_RETIRED = 1024 };
#define HEAVIEST (INT64_C(1) << 61) /* what is too heavy for any cache; sums do not overflow */

/* -- index -------------------------------------------------------------------------------------- */

ct_cache_index *
ct_cache_index_new(size_t slots)
{
    ct_cache_index *index =
        PyMem_RawCalloc(1, sizeof(*index) + slots * (sizeof(uint32_t) + sizeof(uint8_t)));
    if (index != NULL) {
        index->mask = slots - 1;
    }
    return index;
}

/* The first slot on the hash's way that nobody has. */
static size_t
vacant_slot(const ct_cache_index *index, int64_t hash)
{
    size_t perturb = (size_t)hash, i = perturb & index->mask;
    while (ct_load_relaxed((_Atomic(uint32_t) *)&index->slots[i]) >= CT_SLOT_FIRST) {
        CT_NEXT_SLOT(i, perturb, index->mask);
    }
    return i;
}

static void
occupy(ct_cache_index *index, int64_t hash, uint32_t number)
{
    size_t slot = vacant_slot(index, hash);
    index->fill += ct_load_relaxed(&index->slots[slot]) == CT_SLOT_EMPTY;
    ct_store_relaxed((_Atomic(uint8_t) *)&ct_index_tags(index)[slot], ct_tag_of(hash));
    ct_store_release(&index->slots[slot], number + CT_SLOT_FIRST); /* pairs with ct_store_probe */
}

/* The slot of a node that is in the index. */
static size_t
slot_of(ct_store *store, uint32_t number)
{
    ct_cache_index *index = ct_load_relaxed(&store->index);
    size_t perturb = (size_t)ct_node_at(store, number)->item.hash, i = perturb & index->mask;
    while (ct_load_relaxed(&index->slots[i]) != number + CT_SLOT_FIRST) {
        CT_NEXT_SLOT(i, perturb, index->mask);
    }
    return i;
}

/* Room for one more; *old is the index that was replaced, to be retired.  0 or CT_NO_MEMORY. */
static int
reserve_slot(ct_store *store, ct_cache_index **old)
{
    ct_cache_index *index = ct_load_relaxed(&store->index);
    if ((index->fill + 1) * 3 <= (index->mask + 1) * 2) {
        return 0;
    }
    size_t slots = CT_INDEX_FIRST_SLOTS, wanted = 2 * ((size_t)ct_used(&store->base) + 1);
    while (slots < wanted) {
        slots *= 2;
    }
    ct_cache_index *fresh = ct_cache_index_new(slots);
    if (fresh == NULL) {
        return CT_NO_MEMORY;
    }
    for (size_t i = 0; i <= index->mask; i++) {
        uint32_t value = ct_load_relaxed(&index->slots[i]);
        if (value >= CT_SLOT_FIRST) {
            uint32_t number = value - CT_SLOT_FIRST;
            occupy(fresh, ct_node_at(store, number)->item.hash, number);
        }
    }
    ct_store_release(&store->index, fresh);
    *old = index;
    return 0;
}

/* -- section ------------------------------------------------------------------------------------ */

int64_t
ct_node_weight(const void *item)
{
    const ct_entry_more *more = ct_node_more(item);
    return more == NULL ? 1 : more->weight;
}

static double
end_of(const ct_store *store, const ct_node *node)
{
    double end = ct_load_relaxed((ct_double *)&node->deadline);
    ct_entry_more *more = ct_node_more(node);
    if (more != NULL) {
        double idle = ct_load_relaxed(&more->touched) + ct_load_relaxed(&more->idle);
        end = idle < end ? idle : end;
    }
    return end + store->stale_seconds;
}

static void
schedule(ct_store *store, uint32_t number)
{
    double end = end_of(store, ct_node_at(store, number));
    if (end != (double)INFINITY && store->wheel != NULL) {
        ct_wheel_schedule(store->wheel, &store->nodes, number, end);
    }
}

int
ct_store_begin(ct_store *store, ct_section *section)
{
    return ct_write_lock(&store->base, section);
}

void
ct_store_end(ct_store *store, ct_section *section)
{
    if (store->wheel != NULL) {
        ct_store_relaxed(&store->next_due, ct_wheel_next_due(store->wheel));
    }
    ct_unlock(section);
}

/* -- nodes -------------------------------------------------------------------------------------- */

/* Those that left long enough ago may be used again; unlocked, unpinned.  The barrier costs 10 us. */
static int
recycle(ct_store *store)
{
    ct_section section;
    if (ct_store_begin(store, &section) < 0) {
        return -1;
    }
    uint32_t list = store->retired;
    store->retired = CT_NONE;
    ct_store_relaxed(&store->nretired, 0);
    ct_store_end(store, &section);
    ct_synchronize();
    if (ct_store_begin(store, &section) < 0) {
        return -1;
    }
    while (list != CT_NONE) {
        uint32_t next = ct_node_at(store, list)->item.next;
        ct_slab_give(&store->nodes, list);
        list = next;
    }
    ct_store_end(store, &section);
    return 0;
}

static int
recycle_if_many(ct_store *store)
{
#if CT_FT
    Py_ssize_t most = ct_used(&store->base) / 8;
    most = most < FEWEST_RETIRED ? FEWEST_RETIRED : most > MOST_RETIRED ? MOST_RETIRED : most;
    if (CT_UNLIKELY((Py_ssize_t)ct_load_relaxed(&store->nretired) >= most)) {
        return recycle(store);
    }
#else
    (void)recycle, (void)store;
#endif
    return 0;
}

static void
give_back(ct_store *store, uint32_t number)
{
#if CT_FT
    if (ct_is_shared(&store->base)) {
        ct_node_at(store, number)->item.next = store->retired;
        store->retired = number;
        ct_add_relaxed(&store->nretired, 1);
        return;
    }
#endif
    ct_slab_give(&store->nodes, number);
}

/* What a node is, without references. */
void
ct_node_describe(const ct_store *store, uint32_t number, ct_view *view)
{
    ct_node *node = ct_node_at(store, number);
    ct_entry_more *more = ct_node_more(node);
    view->key = node->key;
    view->value = node->value;
    view->cells = ct_node_cells(node);
    view->hash = node->item.hash;
    view->epoch = ct_node_epoch(node);
    view->deadline = ct_load_relaxed(&node->deadline);
    view->idle = more == NULL ? (double)INFINITY : ct_load_relaxed(&more->idle);
    view->touched = more == NULL ? (double)INFINITY : ct_load_relaxed(&more->touched);
    view->refresh_at = more == NULL ? (double)INFINITY : ct_load_relaxed(&more->refresh_at);
    view->weight = more == NULL ? 1 : more->weight;
    view->number = number;
    view->more = more;
}

void
ct_view_copy(const ct_store *store, uint32_t number, ct_view *view)
{
    ct_node_describe(store, number, view);
    Py_INCREF(view->key);
    Py_INCREF(view->value);
    Py_XINCREF(view->cells);
    view->more = NULL;
}

void
ct_view_release(ct_view *view)
{
    Py_CLEAR(view->key);
    Py_CLEAR(view->value);
    Py_CLEAR(view->cells);
}

int
ct_store_is_live(const ct_store *store, uint32_t number, int64_t epoch)
{
    ct_node *node = ct_node_at(store, number);
    return ct_load_acquire(&node->item.state) == CT_NODE_LIVE && ct_node_epoch(node) == epoch;
}

/* -- leaving ------------------------------------------------------------------------------------ */

void
ct_leavers_init(ct_leavers *leavers)
{
    leavers->items = leavers->first;
    leavers->count = 0;
    leavers->room = sizeof(leavers->first) / sizeof(leavers->first[0]);
    leavers->shared = 0;
}

static int
reserve_leaver(ct_leavers *leavers)
{
    if (leavers->count < leavers->room) {
        return 0;
    }
    ct_view *items = PyMem_New(ct_view, leavers->room * 4);
    if (items == NULL) {
        return CT_NO_MEMORY;
    }
    memcpy(items, leavers->items, leavers->count * sizeof(ct_view));
    if (leavers->items != leavers->first) {
        PyMem_Free(leavers->items);
    }
    leavers->items = items;
    leavers->room *= 4;
    return 0;
}

/* Unlocked, unpinned: what the table had of them goes. */
void
ct_leavers_drop(ct_store *store, ct_leavers *leavers)
{
    ct_state *st = store->base.st;
    for (size_t i = 0; i < leavers->count; i++) {
        ct_view *view = &leavers->items[i];
        ct_drop(st, view->value, leavers->shared);
        ct_drop(st, view->key, leavers->shared);
        if (view->cells != NULL) {
            ct_drop(st, view->cells, leavers->shared);
        }
        if (view->more != NULL && leavers->shared && CT_FT) {
            ct_retire(st, (uintptr_t)view->more | CT_ITEM_RAW, sizeof(ct_entry_more));
        }
        else {
            PyMem_Free(view->more);
        }
    }
    if (leavers->items != leavers->first) {
        PyMem_Free(leavers->items);
    }
    ct_leavers_init(leavers);
}

/* The references of a node that has left the index and the books; there is room. */
static void
leave(ct_store *store, uint32_t number, ct_leavers *leavers)
{
    ct_node *node = ct_node_at(store, number);
    ct_view *view = &leavers->items[leavers->count++];
    ct_node_describe(store, number, view); /* the node's references go over */
    ct_store_release(&node->item.state, CT_NODE_GONE);
    if (store->wheel != NULL) {
        ct_wheel_cancel(store->wheel, &store->nodes, number);
    }
    leavers->shared = ct_is_shared(&store->base);
    give_back(store, number);
}

/* An entry goes without another in its place, for a cause (CT_LEFT_*); a victim is not in the policy's books
 * any more.  It is counted in the same step: whatever comes after it, the numbers add up. */
static void
unlink_held(ct_store *store, ct_pending *pending, uint32_t number, int cause, ct_leavers *leavers)
{
    ct_node *node = ct_node_at(store, number);
    ct_store_release(&ct_load_relaxed(&store->index)->slots[slot_of(store, number)], CT_SLOT_DUMMY);
    ct_store_relaxed(&store->base.used, ct_used(&store->base) - 1);
    if (cause != CT_LEFT_SIZE && node->item.region != CT_OUTSIDE) {
        ct_policy_removed(&store->policy, number);
    }
    ct_fetch_add_relaxed(&store->left[cause], 1);
    ct_event_held(&store->base, pending, CT_KIND_DELETED, node->key, node->value, NULL);
    ct_commit_held(&store->base, pending, 1);
    leave(store, number, leavers);
}

/* Until the weights fit; 1 when there was no memory for the rest. */
static int
evict_held(ct_store *store, ct_pending *pending, ct_leavers *leavers)
{
    ct_policy *policy = &store->policy;
    if (policy->kind == CT_POLICY_NONE) {
        return 0;
    }
    ct_policy_begin(policy);
    while (reserve_leaver(leavers) == 0 && ct_event_reserve_held(&store->base, pending) == 0) {
        uint32_t number = ct_policy_victim(policy);
        if (number == CT_NONE) {
            return 0;
        }
        unlink_held(store, pending, number, CT_LEFT_SIZE, leavers);
    }
    return 1;
}

/* -- put ---------------------------------------------------------------------------------------- */

static ct_entry_more *
make_more(const ct_view *fresh)
{
    ct_entry_more *more = PyMem_Calloc(1, sizeof(*more));
    if (more == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    ct_store_relaxed(&more->cells, fresh->cells);
    ct_store_relaxed(&more->idle, fresh->idle);
    ct_store_relaxed(&more->touched, fresh->touched);
    ct_store_relaxed(&more->refresh_at, fresh->refresh_at);
    more->weight = fresh->weight < HEAVIEST ? fresh->weight : HEAVIEST;
    return more;
}

static int
needs_more(const ct_view *fresh)
{
    return fresh->weight != 1 || fresh->idle != (double)INFINITY
           || fresh->refresh_at != (double)INFINITY;
}

/* A node with references of its own. */
static void
fill_node(ct_store *store, uint32_t number, const ct_view *fresh, ct_entry_more *more)
{
    ct_node *node = ct_node_at(store, number);
    node->item.hash = fresh->hash;
    node->item.region = CT_OUTSIDE;
    ct_store_relaxed(&node->item.epoch_high, (uint16_t)((uint64_t)fresh->epoch >> 32));
    ct_store_relaxed(&node->item.epoch_low, (uint32_t)(uint64_t)fresh->epoch);
    node->earlier = node->later = CT_NONE;
    node->key = Py_NewRef(fresh->key);
    node->value = Py_NewRef(fresh->value);
    ct_store_relaxed(&node->deadline, fresh->deadline);
    uintptr_t cells = fresh->cells == NULL ? 0 : (uintptr_t)fresh->cells | CT_CELLS_ONLY;
    ct_store_relaxed(&node->extra, more != NULL ? (uintptr_t)more : cells);
    Py_XINCREF(fresh->cells);
    ct_store_release(&node->item.state, CT_NODE_LIVE);
}

static int
is_wanted(ct_store *store, const ct_put *put, uint32_t old)
{
    if (put->condition == CT_PUT_IF_ABSENT) {
        return old == CT_NONE;
    }
    return put->condition == CT_PUT_ANY
           || (old == put->number && ct_store_is_live(store, old, put->epoch));
}

/* Everything that may fail, before anything shows. */
static uint32_t
prepare_held(ct_store *store, ct_pending *pending, const ct_view *fresh, uint32_t old,
             ct_cache_index **replaced)
{
    int ends = fresh->deadline != (double)INFINITY || fresh->idle != (double)INFINITY;
    if (ends && store->wheel == NULL) {
        store->wheel = ct_wheel_new(fresh->touched);
        if (store->wheel == NULL) {
            return CT_NONE;
        }
    }
    if (ct_event_reserve_many_held(&store->base, pending, 2) < 0 /* one may have to leave, too */
        || (old == CT_NONE && reserve_slot(store, replaced) < 0)) {
        return CT_NONE;
    }
    return ct_slab_take(&store->nodes);
}

static int
put_held(ct_store *store, ct_pending *pending, const ct_view *fresh, ct_entry_more *more,
         uint32_t old, size_t slot, ct_leavers *leavers, ct_cache_index **replaced, ct_put *put)
{
    uint32_t number = prepare_held(store, pending, fresh, old, replaced);
    if (number == CT_NONE) {
        return CT_NO_MEMORY;
    }
    ct_policy *policy = &store->policy;
    fill_node(store, number, fresh, more);
    if (old == CT_NONE) {
        occupy(ct_load_relaxed(&store->index), fresh->hash, number);
        ct_store_relaxed(&store->base.used, ct_used(&store->base) + 1);
        ct_event_held(&store->base, pending, CT_KIND_ADDED, fresh->key, NULL, fresh->value);
    }
    else {
        ct_node *before = ct_node_at(store, old);
        ct_store_release(&ct_load_relaxed(&store->index)->slots[slot], number + CT_SLOT_FIRST);
        ct_event_held(&store->base, pending, CT_KIND_MODIFIED, fresh->key, before->value,
                      fresh->value);
    }
    ct_commit_held(&store->base, pending, old == CT_NONE);
    if (policy->kind != CT_POLICY_NONE && old != CT_NONE
        && ct_node_at(store, old)->item.region != CT_OUTSIDE) {
        ct_policy_replaced(policy, old, number);
    }
    else if (policy->kind != CT_POLICY_NONE) {
        ct_policy_added(policy, number);
    }
    ct_fetch_add_relaxed(&store->insertions, 1);
    if (old != CT_NONE) {
        ct_fetch_add_relaxed(&store->left[CT_LEFT_REPLACED], 1);
        leave(store, old, leavers);
    }
    schedule(store, number);
    put->placed = number;
    put->over = evict_held(store, pending, leavers);
    return 0;
}

/* Find the key, with the section held after it unless this fails.  0 or -1. */
static int
locate(ct_store *store, PyObject *key, Py_hash_t hash, ct_compared *compared, ct_section *section,
       uint32_t *number, size_t *slot)
{
    for (;;) {
        if (ct_store_begin(store, section) < 0) {
            return -1;
        }
        *number = ct_store_probe(store, key, hash, compared, slot);
        if (CT_LIKELY(*number != CT_UNSURE)) {
            return 0;
        }
        PyObject *candidate = Py_NewRef(compared->unsure);
        ct_store_end(store, section);
        if (ct_compared_ask(compared, candidate, key) < 0) {
            return -1;
        }
    }
}

static void
free_index(PyObject *capsule)
{
    PyMem_RawFree(PyCapsule_GetPointer(capsule, NULL));
}

/* Large blocks go back to the system only if they come from there: hence the raw allocator. */
static void
drop_index(ct_store *store, ct_cache_index *index, int shared)
{
    if (index != NULL && shared && CT_FT) {
        PyObject *capsule = PyCapsule_New(index, NULL, free_index);
        if (capsule != NULL) {
            ct_retire(store->base.st, (uintptr_t)capsule | CT_ITEM_OBJECT,
                      (index->mask + 1) * (sizeof(uint32_t) + 1));
            return;
        }
        PyErr_Clear();
        ct_synchronize();
    }
    PyMem_RawFree(index);
}

/* After the section, whose outcome is `status`; `compared` may be NULL. */
static int
finish(ct_pending *pending, ct_compared *compared, int status)
{
    if (compared != NULL && CT_UNLIKELY(compared->matched != NULL || compared->count != 0)) {
        ct_compared_clear(compared);
    }
    ct_pending_finish(pending);
    if (status == CT_NO_MEMORY) {
        PyErr_NoMemory();
        return -1;
    }
    return status;
}

int
ct_store_put(ct_store *store, const ct_view *fresh, ct_put *put, ct_leavers *leavers)
{
    ct_section section;
    ct_pending pending;
    ct_compared compared;
    ct_cache_index *replaced = NULL;
    uint32_t old;
    size_t slot;
    int status = 0, shared;
    ct_entry_more *more = NULL;
    if ((needs_more(fresh) && (more = make_more(fresh)) == NULL) || recycle_if_many(store) < 0) {
        PyMem_Free(more);
        return -1;
    }
    ct_pending_init(&pending, &store->base);
    ct_compared_init(&compared);
    if (locate(store, fresh->key, fresh->hash, &compared, &section, &old, &slot) < 0) {
        PyMem_Free(more);
        return finish(&pending, &compared, -1);
    }
    ct_stripes_drain_held(store);
    put->had_old = old != CT_NONE;
    put->done = is_wanted(store, put, old);
    if (put->done) {
        status = put_held(store, &pending, fresh, more, old, slot, leavers, &replaced, put);
        put->done = status == 0;
        if (old == CT_NONE) {
            ct_stripes_wake_held(store);
        }
    }
    shared = ct_is_shared(&store->base);
    ct_store_end(store, &section);
    if (!put->done) {
        PyMem_Free(more);
    }
    drop_index(store, replaced, shared);
    return finish(&pending, &compared, status);
}

int
ct_store_evict(ct_store *store, ct_leavers *leavers)
{
    ct_section section;
    ct_pending pending;
    ct_pending_init(&pending, &store->base);
    if (ct_store_begin(store, &section) < 0) {
        PyErr_Clear();
        return 0;
    }
    int over = evict_held(store, &pending, leavers);
    ct_store_end(store, &section);
    finish(&pending, NULL, 0);
    return over && leavers->count != 0; /* no progress: the next change tries again */
}

/* -- taking out --------------------------------------------------------------------------------- */

/* In the section; 1 or CT_NO_MEMORY. */
static int
take_held(ct_store *store, ct_pending *pending, uint32_t number, int cause, ct_leavers *leavers)
{
    ct_stripes_drain_held(store);
    if (reserve_leaver(leavers) < 0 || ct_event_reserve_held(&store->base, pending) < 0) {
        return CT_NO_MEMORY;
    }
    unlink_held(store, pending, number, cause, leavers);
    return 1;
}

int
ct_store_pop(ct_store *store, PyObject *key, ct_leavers *leavers)
{
    ct_section section;
    ct_pending pending;
    ct_compared compared;
    uint32_t number;
    size_t slot;
    Py_hash_t hash = ct_hash(key);
    if (hash == -1) {
        return -1;
    }
    ct_pending_init(&pending, &store->base);
    ct_compared_init(&compared);
    if (locate(store, key, hash, &compared, &section, &number, &slot) < 0) {
        return finish(&pending, &compared, -1);
    }
    int status =
        number == CT_NONE ? 0 : take_held(store, &pending, number, CT_LEFT_EXPLICIT, leavers);
    ct_store_end(store, &section);
    return finish(&pending, &compared, status);
}

int
ct_store_remove(ct_store *store, uint32_t number, int64_t epoch, double now, int cause,
                ct_leavers *leavers)
{
    ct_section section;
    ct_pending pending;
    ct_pending_init(&pending, &store->base);
    if (ct_store_begin(store, &section) < 0) {
        return -1;
    }
    int live = ct_store_is_live(store, number, epoch);
    /* Asked in here: whoever saw that the entry has ended may have seen it before a `touch`. */
    int ended = live && end_of(store, ct_node_at(store, number)) <= now;
    int status = live && (ended || now == (double)INFINITY)
                     ? take_held(store, &pending, number, cause, leavers)
                     : 0;
    ct_store_end(store, &section);
    return finish(&pending, NULL, status);
}

/* What ended goes, what ends later is scheduled again.  Less than `most` go without memory: no error, if
 * one could go. */
static int
expire_held(ct_store *store, ct_pending *pending, double now, size_t most, ct_leavers *leavers)
{
    uint32_t number = ct_wheel_advance(store->wheel, &store->nodes, now);
    int status = 0;
    while (number != CT_NONE) {
        ct_node *node = ct_node_at(store, number);
        uint32_t later = node->later;
        node->later = CT_NONE;
        if (end_of(store, node) > now) {
            schedule(store, number);
        }
        else if (status < 0 || leavers->count == most) {
            ct_wheel_put_back(store->wheel, &store->nodes, number);
        }
        else if (reserve_leaver(leavers) < 0
                 || ct_event_reserve_held(&store->base, pending) < 0) {
            status = leavers->count == 0 ? CT_NO_MEMORY : 0;
            most = leavers->count;
            ct_wheel_put_back(store->wheel, &store->nodes, number);
        }
        else {
            unlink_held(store, pending, number, CT_LEFT_EXPIRED, leavers);
        }
        number = later;
    }
    return status;
}

Py_ssize_t
ct_store_count_due(ct_store *store, double now)
{
    ct_section section;
    if (ct_store_begin(store, &section) < 0) {
        return -1;
    }
    size_t count = store->wheel == NULL ? 0 : ct_wheel_count_due(store->wheel, &store->nodes, now);
    ct_store_end(store, &section);
    return (Py_ssize_t)count;
}

int
ct_store_expire(ct_store *store, double now, size_t most, ct_leavers *leavers)
{
    ct_section section;
    ct_pending pending;
    ct_pending_init(&pending, &store->base);
    if (ct_store_begin(store, &section) < 0) {
        return -1;
    }
    int status = store->wheel == NULL ? 0 : expire_held(store, &pending, now, most, leavers);
    ct_store_end(store, &section);
    return finish(&pending, NULL, status);
}

int
ct_store_reschedule(ct_store *store, uint32_t number, int64_t epoch, double deadline, double now)
{
    ct_section section;
    if (ct_store_begin(store, &section) < 0) {
        return -1;
    }
    int live = ct_store_is_live(store, number, epoch);
    if (live && store->wheel == NULL) {
        store->wheel = ct_wheel_new(now); /* without memory it ends when somebody asks for it */
    }
    if (live) {
        ct_node *node = ct_node_at(store, number);
        ct_store_relaxed(&node->deadline, deadline);
        ct_entry_more *more = ct_node_more(node);
        if (more != NULL) {
            ct_store_relaxed(&more->touched, now);
        }
        if (store->wheel != NULL) {
            ct_wheel_cancel(store->wheel, &store->nodes, number);
        }
        schedule(store, number);
    }
    ct_store_end(store, &section);
    return live;
}

double
ct_store_next_due(ct_store *store)
{
    ct_section section;
    if (ct_store_begin(store, &section) < 0) {
        PyErr_Clear();
        return (double)INFINITY;
    }
    double due = ct_wheel_next_due(store->wheel);
    ct_store_end(store, &section);
    return due;
}

/* -- looking ------------------------------------------------------------------------------------ */

int
ct_store_look(ct_store *store, PyObject *key, ct_view *view)
{
    ct_compared compared;
    Py_hash_t hash = ct_hash(key);
    int status = hash == -1 ? -1 : 0;
    ct_compared_init(&compared);
    while (status == 0) {
        size_t slot;
        ct_record *self = ct_enter(&store->base);
        if (self == NULL) {
            status = -1;
            break;
        }
        uint32_t number = ct_store_probe(store, key, hash, &compared, &slot);
        PyObject *candidate = NULL;
        if (number == CT_UNSURE) {
            candidate = Py_NewRef(compared.unsure);
        }
        else if (number != CT_NONE) {
            ct_view_copy(store, number, view);
        }
        ct_unpin(self);
        if (number != CT_UNSURE) {
            status = number != CT_NONE;
            break;
        }
        status = ct_compared_ask(&compared, candidate, key);
    }
    ct_compared_clear(&compared);
    return status;
}

void
ct_store_drain(ct_store *store)
{
    ct_section section;
    int idle = 0;
    if (!ct_cas_seq_cst(&store->draining, &idle, 1)) {
        return; /* somebody is at it */
    }
    if (ct_store_begin(store, &section) == 0) {
        ct_stripes_drain_held(store);
        ct_stripes_calm_held(store);
        ct_store_end(store, &section);
    }
    else {
        PyErr_Clear();
    }
    ct_store_release(&store->draining, 0);
}
