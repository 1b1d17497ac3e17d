/* Several keys in one atomic step: get_many, update_many, pop_many.
 *
 * User comparisons run first, unlocked (ct_resolve); under the section every place is located again.  A
 * batch of changes is applied to a copy of the block, whose references are moved, and published
 * with one store: readers see all of it or nothing.
 *
 * What pop_many returns is a dict, whose making compares keys that have one hash.  Where that may run user
 * code, the dict is made first, and the change then commits only what the dict holds. */
#include "dict.h"
#include "exclusive.h"
#include "update.h"
#include "watching.h"

typedef struct {
    PyObject *key, *value; /* borrowed from the caller's dict; value NULL: delete (or read) */
    Py_hash_t hash;
    ct_place place;
    Py_ssize_t ix; /* under the section */
    PyObject *found; /* what was there; new reference */
    Py_ssize_t before; /* the item before it with the same hash, where user code may compare the two; or -1 */
    ct_event event;  /* what the change was; kind 0: none; borrowed until the pending work is finished */
} ct_item;

typedef struct {
    ct_item *items;
    Py_ssize_t count;
    Py_ssize_t adds, removes, changes; /* under the section */
    int simple;    /* no comparison of two of its keys runs user code */
    int removing;  /* `found` is what is removed: of two keys that find one entry, the first has it */
    int collides;  /* an item has one before it */
    int expecting; /* commit only while every `found` is what is there ... */
    int stale;     /* ... which it was not */
} ct_batch_plan;

enum { CT_POP_TRIES = 16 }; /* then without other writers */

static void
forget_found(ct_batch_plan *plan)
{
    for (Py_ssize_t i = 0; i < plan->count; i++) {
        Py_CLEAR(plan->items[i].found);
    }
}

static void
plan_clear(ct_batch_plan *plan)
{
    forget_found(plan);
    PyMem_Free(plan->items);
}

/* Whether comparing two such keys runs nobody's code. */
static int
compares_by_itself(PyObject *key)
{
    return PyUnicode_CheckExact(key) || PyLong_CheckExact(key) || PyFloat_CheckExact(key)
           || PyBytes_CheckExact(key);
}

typedef struct {
    Py_hash_t hash;
    Py_ssize_t item;
} ct_hashed_item;

static int
by_hash(const void *a, const void *b)
{
    const ct_hashed_item *x = a, *y = b;
    return x->hash != y->hash ? (x->hash > y->hash) - (x->hash < y->hash)
                              : (x->item > y->item) - (x->item < y->item);
}

/* Find the items of one hash.  0 or -1. */
static int
link_items(ct_batch_plan *plan)
{
    ct_hashed_item *order = PyMem_New(ct_hashed_item, plan->count);
    if (order == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < plan->count; i++) {
        order[i] = (ct_hashed_item){plan->items[i].hash, i};
    }
    qsort(order, (size_t)plan->count, sizeof(*order), by_hash);
    for (Py_ssize_t i = 1; i < plan->count; i++) {
        if (order[i].hash == order[i - 1].hash) {
            plan->items[order[i].item].before = order[i - 1].item;
            plan->collides = 1;
        }
    }
    PyMem_Free(order);
    return 0;
}

/* `changes`: a private dict.  0 or -1. */
static int
plan_init(ct_batch_plan *plan, PyObject *changes, int with_values)
{
    Py_ssize_t at = 0;
    PyObject *key, *value;
    memset(plan, 0, sizeof(*plan));
    plan->simple = 1;
    plan->items = PyMem_Calloc((size_t)PyDict_GET_SIZE(changes) + 1, sizeof(ct_item));
    if (plan->items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    while (PyDict_Next(changes, &at, &key, &value)) {
        ct_item *item = &plan->items[plan->count];
        item->key = key;
        item->value = with_values ? value : NULL;
        item->hash = ct_hash(key);
        item->before = -1;
        if (item->hash == -1) {
            return -1;
        }
        plan->simple &= compares_by_itself(key);
        plan->count++;
    }
    return 0;
}

/* As plan_init, to remove keys. */
static int
removal_init(ct_batch_plan *plan, PyObject *keys)
{
    int status = plan_init(plan, keys, 0);
    plan->removing = 1;
    return status < 0 || plan->simple ? status : link_items(plan);
}

/* Under the section: entry numbers for the whole plan; the first item that needs to be looked up
 * unlocked, or NULL when all are located. */
static ct_item *
locate_all_held(ct_table *t, ct_batch_plan *plan)
{
    plan->adds = plan->removes = plan->changes = 0;
    for (Py_ssize_t i = 0; i < plan->count; i++) {
        ct_item *item = &plan->items[i];
        item->ix = ct_locate(t, item->key, item->hash, &item->place);
        if (item->ix < CT_MISS) {
            return item;
        }
        if (item->ix >= 0) {
            plan->changes++;
            plan->removes += item->value == NULL;
        }
        else {
            plan->adds += item->value != NULL;
        }
    }
    plan->changes += plan->adds;
    return NULL;
}

/* Unlocked: look up this item and the ones after it that need user comparisons. */
static int
resolve_from(ct_table *t, ct_batch_plan *plan, ct_item *item)
{
    for (; item < plan->items + plan->count; item++) {
        int needs_user = item->ix == CT_COMPARE || item->place.block.keys != NULL;
        item->place = CT_NO_PLACE;
        item->ix = CT_MISS;
        if (needs_user && ct_resolve(t, item->key, item->hash, &item->place, NULL) < 0) {
            return -1;
        }
    }
    return 0;
}

/* -- reading ------------------------------------------------------------------------------------ */

/* Under the section, values at rest, all located: what the item finds, or NULL. */
static PyObject *
value_for(ct_table *t, const ct_batch_plan *plan, const ct_item *item)
{
    Py_ssize_t ix = item->ix;
    if (ix < 0) {
        return NULL;
    }
    while (plan->removing && item->before >= 0) {
        item = &plan->items[item->before];
        if (item->ix == ix) {
            return NULL; /* equal to a key that this one is not equal to: that one has it */
        }
    }
    return ct_entry_value(ct_load_relaxed(&t->keys), ix);
}

static void
take_found_held(ct_table *t, ct_batch_plan *plan)
{
    ct_quiesce_held(t); /* from here on the values hold still */
    for (Py_ssize_t i = 0; i < plan->count; i++) {
        ct_item *item = &plan->items[i];
        item->found = Py_XNewRef(value_for(t, plan, item));
    }
}

static int
finds_the_same_held(ct_table *t, ct_batch_plan *plan)
{
    ct_quiesce_held(t);
    for (Py_ssize_t i = 0; i < plan->count; i++) {
        if (plan->items[i].found != value_for(t, plan, &plan->items[i])) {
            return 0;
        }
    }
    return 1;
}

/* `found` of every item is NULL.  0 or -1. */
static int
read_all(ct_table *t, ct_batch_plan *plan)
{
    ct_section section;
    ct_item *unresolved;
    do {
        ct_lock(t, &section); /* readers do not wait for gates */
        unresolved = locate_all_held(t, plan);
        if (unresolved == NULL) {
            take_found_held(t, plan);
        }
        ct_unlock(&section);
        if (unresolved != NULL && resolve_from(t, plan, unresolved) < 0) {
            return -1;
        }
    } while (unresolved != NULL);
    return 0;
}

/* Turn `wanted` into what was found.  Storing under keys that are there, and deleting, takes no
 * memory: what a commit removed cannot be lost to a failed allocation.  Nor to a comparison: only keys of
 * one hash are compared, by user code only where the plan collides. */
static int
keep_found(ct_batch_plan *plan, PyObject *wanted)
{
    for (Py_ssize_t i = 0; i < plan->count; i++) {
        ct_item *item = &plan->items[i];
        int status = item->found != NULL ? PyDict_SetItem(wanted, item->key, item->found)
                                         : PyDict_DelItem(wanted, item->key);
        if (status < 0) {
            return -1;
        }
    }
    return 0;
}

static PyObject *
keys_as_dict(PyObject *keys)
{
    return ct_call_method((PyObject *)&PyDict_Type, "fromkeys", keys);
}

PyObject *
ct_get_many(PyObject *self, PyObject *keys)
{
    ct_table *t = CT_TABLE(self);
    PyObject *wanted = keys_as_dict(keys), *result = NULL;
    ct_batch_plan plan;
    if (wanted == NULL) {
        return NULL;
    }
    if (plan_init(&plan, wanted, 0) == 0 && ct_touch(t) == 0 && read_all(t, &plan) == 0
        && keep_found(&plan, wanted) == 0) {
        result = Py_NewRef(wanted);
    }
    plan_clear(&plan);
    Py_DECREF(wanted);
    return result;
}

/* -- changing ----------------------------------------------------------------------------------- */

/* A block with room for the plan's additions; NULL without memory. */
static ct_keys *
block_for(ct_table *t, ct_batch_plan *plan)
{
    ct_keys *old = ct_load_relaxed(&t->keys);
    int kind = old->kind;
    if (CT_UNLIKELY(ct_keys_sealed(old))) {
        ct_self()->sealed = 1;
        return NULL;
    }
    for (Py_ssize_t i = 0; i < plan->count && kind == CT_UNICODE; i++) {
        ct_item *item = &plan->items[i];
        if (item->ix == CT_MISS && item->value != NULL && !PyUnicode_CheckExact(item->key)) {
            kind = CT_GENERAL;
        }
    }
    int log2_size = ct_log2_holding(ct_used(t) + plan->adds + 1);
    return ct_keys_new(log2_size > old->log2_size ? log2_size : old->log2_size, kind);
}

/* The entry in `fresh` of the key in entry `ix` of `old`: the same pointer.  CT_MISS when the batch has removed
 * it already: two keys that are not equal to each other may both be equal to that of the table. */
static Py_ssize_t
renumbered(const ct_keys *old, const ct_keys *fresh, Py_ssize_t ix, Py_hash_t hash)
{
    PyObject *key = ct_entry_key(old, ix);
    size_t mask = ct_mask(fresh), perturb = (size_t)hash, i = perturb & mask;
    for (;;) {
        Py_ssize_t now = ct_index_get(fresh, i);
        if (now >= 0 && ct_entry_key(fresh, now) == key) {
            return now;
        }
        if (now == CT_EMPTY) {
            return CT_MISS;
        }
        CT_NEXT_SLOT(i, perturb, mask);
    }
}

/* One change in the unpublished block.  Everything it needs was reserved. */
static void
apply(ct_batch_plan *plan, ct_pending *pending, const ct_keys *old, ct_keys *fresh, ct_item *item)
{
    if (item->ix == CT_MISS) {
        if (item->value != NULL) {
            Py_INCREF(item->key);
            Py_INCREF(item->value);
            ct_keys_append(fresh, item->key, item->hash, item->value);
            item->event = (ct_event){CT_KIND_ADDED, item->key, NULL, item->value, 0};
        }
        return;
    }
    Py_ssize_t ix = renumbered(old, fresh, item->ix, item->hash);
    if (CT_UNLIKELY(ix == CT_MISS)) {
        plan->removes--;
        plan->changes--;
        return;
    }
    PyObject *key = ct_entry_key(fresh, ix), *before = ct_entry_value(fresh, ix);
    if (item->value != NULL) {
        Py_INCREF(item->value);
        ct_store_relaxed(ct_value_slot(fresh, ix), (uintptr_t)item->value);
        item->event = (ct_event){CT_KIND_MODIFIED, key, before, item->value, 0};
    }
    else {
        if (item->found == NULL) {
            item->found = Py_NewRef(before);
        }
        ct_index_publish(fresh, ct_keys_slot_of(fresh, ix, item->hash), CT_DUMMY);
        ct_store_relaxed(ct_value_slot(fresh, ix), (uintptr_t)0);
        item->event = (ct_event){CT_KIND_DELETED, key, before, NULL, 0};
        ct_pending_drop(pending, key);
    }
    ct_pending_drop(pending, before);
}

/* All memory that the located plan needs.  CT_DONE or CT_NO_MEMORY; *fresh is NULL when nothing changes. */
static int
reserve_all_held(ct_table *t, ct_batch_plan *plan, ct_pending *pending, ct_keys **fresh)
{
    *fresh = NULL;
    if (plan->changes == 0) {
        return CT_DONE;
    }
    if (plan->changes > 1) {
        ct_quiesce_held(t); /* the copy is made of values that hold still */
    }
    *fresh = block_for(t, plan);
    if (*fresh == NULL || ct_pending_reserve(pending, 2 * plan->changes + 2) < 0
        || ct_event_reserve_many_held(t, pending, plan->changes) < 0) {
        if (*fresh != NULL) {
            ct_keys_release(*fresh);
            *fresh = NULL;
        }
        return CT_NO_MEMORY;
    }
    return CT_DONE;
}

/* Make the changes of the plan, for which everything was reserved.  `silent`: somebody else logs them. */
static void
commit_all_held(ct_table *t, ct_batch_plan *plan, ct_pending *pending, ct_keys *fresh,
                int silent)
{
    ct_keys *old = ct_load_relaxed(&t->keys);
    ct_prepare_block_held(t, fresh);
    for (Py_ssize_t i = 0; i < plan->count; i++) {
        ct_item *item = &plan->items[i];
        apply(plan, pending, old, fresh, item);
        if (CT_UNLIKELY(t->log != NULL) && !silent && item->event.kind != 0) {
            ct_event_log_held(t, pending, &item->event);
        }
    }
    ct_publish_block_held(t, pending, fresh);
    ct_add_relaxed(&t->used, plan->adds - plan->removes);
    for (Py_ssize_t i = 1; i < plan->changes; i++) {
        ct_bump_release(&t->version);
    }
    for (Py_ssize_t i = 1; i < plan->adds + plan->removes; i++) {
        ct_bump_release(&t->keys_version);
    }
    ct_commit_held(t, pending, plan->adds + plan->removes > 0);
}

/* Look the plan up and reserve its memory; commit it at once, or leave the block in *kept.  -1, or 0: also
 * when the plan is stale and nothing was done. */
static int
run_plan(ct_table *t, ct_batch_plan *plan, ct_pending *pending, ct_keys **kept)
{
    ct_section section;
    ct_item *unresolved;
    int status = CT_DONE;
    if (ct_touch(t) < 0) {
        return -1;
    }
    do {
        ct_keys *fresh = NULL;
        if (ct_write_lock(t, &section) < 0) {
            return -1;
        }
        unresolved = locate_all_held(t, plan);
        plan->stale = unresolved == NULL && plan->expecting && !finds_the_same_held(t, plan);
        if (unresolved == NULL && !plan->stale) {
            status = reserve_all_held(t, plan, pending, &fresh);
        }
        if (fresh != NULL && kept == NULL) {
            commit_all_held(t, plan, pending, fresh, 0);
        }
        ct_unlock(&section);
        if (kept != NULL) {
            *kept = fresh;
        }
        if (unresolved != NULL && resolve_from(t, plan, unresolved) < 0) {
            return -1;
        }
    } while (unresolved != NULL);
    if (status == CT_NO_MEMORY) {
        PyErr_NoMemory();
    }
    return status == CT_DONE ? 0 : -1;
}

static int
change_all(ct_table *t, ct_batch_plan *plan)
{
    ct_pending pending;
    ct_pending_init(&pending, t);
    int status = run_plan(t, plan, &pending, NULL);
    ct_pending_finish(&pending);
    return status;
}

PyObject *
ct_all_popped(PyObject *found, Py_ssize_t count)
{
    if (found != NULL && PyDict_GET_SIZE(found) != count) {
        PyErr_SetString(PyExc_RuntimeError,
                        "pop_many: keys that were not equal are equal now, so nothing was removed; "
                        "make their __eq__ answer the same every time");
        Py_CLEAR(found);
    }
    return found;
}

static PyObject *
found_as_dict(const ct_batch_plan *plan)
{
    PyObject *found = PyDict_New();
    Py_ssize_t count = 0;
    for (Py_ssize_t i = 0; found != NULL && i < plan->count; i++) {
        const ct_item *item = &plan->items[i];
        if (item->found != NULL && PyDict_SetItem(found, item->key, item->found) < 0) {
            Py_CLEAR(found);
        }
        count += item->found != NULL;
    }
    return ct_all_popped(found, count);
}

/* Make the dict, and remove what it holds: 1, 0 when something else was there by then, -1. */
static int
try_to_pop(ct_table *t, ct_batch_plan *plan, ct_limit *limit, PyObject **found)
{
    ct_limit_start(limit);
    forget_found(plan);
    *found = read_all(t, plan) < 0 ? NULL : found_as_dict(plan);
    int status = *found == NULL ? -1 : change_all(t, plan);
    if (status == 0 && !plan->stale) {
        return 1;
    }
    Py_CLEAR(*found);
    PyObject *table = t->parent != NULL ? t->parent : (PyObject *)t;
    return status < 0 ? -1 : ct_limit_restart(limit, t->st, table, "a comparison of keys");
}

static PyObject *
pop_expected(ct_table *t, ct_batch_plan *plan)
{
    PyObject *found = NULL;
    ct_limit limit = {0, 0};
    int status = 0, tries = 0;
    plan->expecting = 1;
    while (status == 0) {
        if (tries++ == CT_POP_TRIES && ct_gate_enter(t) < 0) {
            return NULL;
        }
        status = try_to_pop(t, plan, &limit, &found);
    }
    if (tries > CT_POP_TRIES) {
        ct_gate_leave(t);
    }
    return found;
}

/* -- parts of a larger batch -------------------------------------------------------------------- */

struct ct_batch_part {
    ct_table *t;
    ct_batch_plan plan;
    ct_pending pending;
    ct_keys *old, *fresh; /* fresh: reserved, NULL when nothing changes; old: what it is to replace */
    Py_ssize_t adds, removes, changes; /* what was reserved for */
    Py_ssize_t told; /* items whose events were asked for */
    Py_ssize_t shown; /* items that were asked for what they found */
};

ct_batch_part *
ct_batch_part_new(ct_table *t, PyObject *changes, int with_values)
{
    ct_batch_part *part = PyMem_Calloc(1, sizeof(*part));
    if (part == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    part->t = t;
    ct_pending_init(&part->pending, t);
    if ((with_values ? plan_init(&part->plan, changes, 1) : removal_init(&part->plan, changes)) < 0) {
        ct_batch_part_free(part);
        return NULL;
    }
    return part;
}

static void
give_back(ct_batch_part *part)
{
    forget_found(&part->plan);
    if (part->fresh != NULL) {
        ct_keys_release(part->fresh); /* nobody saw it, and it has no references yet */
        part->fresh = NULL;
    }
    ct_pending_finish(&part->pending); /* a cached snapshot may have been dropped already */
    ct_pending_init(&part->pending, part->t);
}

int
ct_batch_part_prepare(ct_batch_part *part)
{
    give_back(part);
    int status = run_plan(part->t, &part->plan, &part->pending, &part->fresh);
    part->old = ct_load_relaxed(&part->t->keys); /* the caller holds the table's gate */
    part->adds = part->plan.adds;
    part->removes = part->plan.removes;
    part->changes = part->plan.changes;
    part->shown = 0;
    return status;
}

int
ct_batch_part_look(ct_batch_part *part)
{
    ct_section section;
    ct_lock(part->t, &section);
    int good = locate_all_held(part->t, &part->plan) == NULL;
    if (good) {
        take_found_held(part->t, &part->plan);
    }
    ct_unlock(&section);
    return good;
}

PyObject *
ct_batch_part_next_found(ct_batch_part *part)
{
    return part->plan.items[part->shown++].found;
}

int
ct_batch_part_holds(ct_batch_part *part)
{
    ct_section section;
    ct_batch_plan *plan = &part->plan;
    ct_lock(part->t, &section);
    int holds = locate_all_held(part->t, plan) == NULL
                && ct_load_relaxed(&part->t->keys) == part->old && plan->adds == part->adds
                && plan->removes == part->removes && plan->changes == part->changes
                && (!plan->removing || finds_the_same_held(part->t, plan));
    ct_unlock(&section);
    return holds;
}

void
ct_batch_part_commit(ct_batch_part *part)
{
    ct_section section;
    if (part->fresh != NULL) {
        ct_lock(part->t, &section);
        ct_forget_snapshot_held(part->t, &part->pending); /* one taken since the part was prepared */
        commit_all_held(part->t, &part->plan, &part->pending, part->fresh, 1);
        part->fresh = NULL;
        ct_unlock(&section);
    }
}

Py_ssize_t
ct_batch_part_changes(const ct_batch_part *part)
{
    return part->changes;
}

const ct_event *
ct_batch_part_next_event(ct_batch_part *part)
{
    const ct_event *event = &part->plan.items[part->told++].event;
    return event->kind == 0 ? NULL : event;
}

void
ct_batch_part_free(ct_batch_part *part)
{
    give_back(part);
    plan_clear(&part->plan);
    PyMem_Free(part);
}

static int
check_values(ct_table *t, PyObject *changes)
{
    Py_ssize_t at = 0;
    PyObject *key, *value;
    while (PyDict_Next(changes, &at, &key, &value)) {
        if (ct_check_value(t, key, value) < 0) {
            return -1;
        }
    }
    return 0;
}

/* dict(other), with the errors of dict.update. */
static PyObject *
changes_of(ct_state *st, PyObject *other)
{
    if (PyDict_CheckExact(other)) {
        return PyDict_Copy(other);
    }
    PyObject *pairs = PyObject_CallOneArg(st->pairs_of, other);
    PyObject *changes = pairs == NULL ? NULL : PyDict_New();
    if (changes != NULL && PyDict_MergeFromSeq2(changes, pairs, 1) < 0) {
        Py_CLEAR(changes);
    }
    Py_XDECREF(pairs);
    return changes;
}

PyObject *
ct_update_many(PyObject *self, PyObject *other)
{
    ct_table *t = CT_TABLE(self);
    PyObject *changes = changes_of(t->st, other);
    ct_batch_plan plan;
    int status = -1;
    if (changes == NULL || check_values(t, changes) < 0) {
        Py_XDECREF(changes);
        return NULL;
    }
    if (plan_init(&plan, changes, 1) == 0) {
        status = change_all(t, &plan);
    }
    plan_clear(&plan);
    Py_DECREF(changes);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
ct_pop_many(PyObject *self, PyObject *keys)
{
    ct_table *t = CT_TABLE(self);
    PyObject *wanted = keys_as_dict(keys), *result = NULL;
    ct_batch_plan plan;
    if (wanted == NULL) {
        return NULL;
    }
    if (removal_init(&plan, wanted) == 0 && ct_touch(t) == 0) {
        if (plan.collides) {
            result = pop_expected(t, &plan);
        }
        else if (change_all(t, &plan) == 0 && keep_found(&plan, wanted) == 0) {
            result = Py_NewRef(wanted);
        }
    }
    plan_clear(&plan);
    Py_DECREF(wanted);
    return result;
}

int
ct_update_many_of(PyObject *owner, PyObject *changes, ct_table *(*table_of)(PyObject *owner),
                  int (*again)(PyObject *owner))
{
    ct_batch_plan plan;
    ct_table *t = NULL;
    int status = plan_init(&plan, changes, 1); /* hashes: the last user code but for comparisons */
    for (int tries = 0; status == 0; tries++) {
        t = table_of(owner);
        status = t == NULL ? -1 : change_all(t, &plan);
        if (status == 0 || t == NULL || tries == CT_MAX_OWN_RESTARTS || !again(owner)) {
            break;
        }
        status = 0;
    }
    plan_clear(&plan);
    return status;
}
