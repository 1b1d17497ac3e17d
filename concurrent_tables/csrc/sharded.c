/* ShardedDict: what goes over all shards.
 *
 * One-key operations go straight to one shard (sharded_type.c).  Three things are of all:
 *
 * - A snapshot is a double collect.  Each shard caches its snapshot until its next write, so "the shards
 *   still have these very snapshots" means that all of them were current at one moment: the one between
 *   the two looks.  When writers interfere again and again, the shards are held.
 * - A batch (update_many, pop_many, clear) holds the shards against writers, runs all comparisons and
 *   reserves all memory, publishes an overlay that answers for its keys (that is its linearization point),
 *   commits the shards one after the other, and takes the overlay away.  Nothing can fail, and no user
 *   code runs, while there is an overlay.  A reader looks at the overlay first.  If it finds one, it answers
 *   as after the batch; if it found none and then a shard that the batch has or has not reached, both
 *   answers are of a moment within the read.
 * - Watching makes all shards share one WatchState and log, so that events have one order.
 */
#include "sharded.h"
#include "dict.h"
#include "exclusive.h"
#include "frozen.h"
#include "split.h"
#include "watching.h"

/* -- holding ------------------------------------------------------------------------------------ */

int
ct_sharded_hold(ct_sharded *s)
{
    ct_table **ordered = s->shards + s->count;
    for (Py_ssize_t i = 0; i < s->count; i++) {
        if (ct_gate_enter(ordered[i]) < 0) {
            PyObject *type, *value, *tb;
            PyErr_Fetch(&type, &value, &tb);
            while (--i >= 0) {
                ct_gate_leave(ordered[i]);
            }
            PyErr_Restore(type, value, tb);
            return -1;
        }
    }
    return 0;
}

void
ct_sharded_release(ct_sharded *s)
{
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb);
    for (Py_ssize_t i = s->count - 1; i >= 0; i--) {
        if (ct_gate_leave(s->shards[s->count + i]) < 0) {
            PyErr_WriteUnraisable((PyObject *)s);
        }
    }
    PyErr_Restore(type, value, tb);
}

uint64_t
ct_sharded_version(ct_sharded *s)
{
    uint64_t sum = 0;
    for (Py_ssize_t i = 0; i < s->count; i++) {
        sum += ct_version(s->shards[i]);
    }
    return sum;
}

/* -- overlays ----------------------------------------------------------------------------------- */

/* What is published now, as a new reference, or NULL (with or without MemoryError). */
static PyObject *
published(_Atomic(PyObject *) *place)
{
    ct_record *self = ct_self();
    if (self == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    ct_pin(self);
    PyObject *object = ct_load_acquire(place);
    Py_XINCREF(object); /* pinned: who replaces it retires it */
    ct_unpin(self);
    return object;
}

static void
publish(ct_sharded *s, _Atomic(PyObject *) *place, PyObject *object) /* steals */
{
    PyObject *old = ct_exchange_acq_rel(place, object);
    if (old != NULL) {
        ct_drop(s->st, old, 1);
    }
}

/* The overlay of a batch that is being committed, as a new reference, or NULL.  That of a thread which stayed
 * behind in the parent of a fork is taken away: nobody else would. */
static PyObject *
present_overlay(ct_sharded *s)
{
    PyObject *overlay = published(&s->overlay);
    if (overlay != NULL
        && PyLong_AsUnsignedLong(PyTuple_GET_ITEM(overlay, 2)) != s->st->forks) {
        PyObject *expected = overlay;
        if (ct_cas_seq_cst(&s->overlay, &expected, NULL)) {
            ct_drop(s->st, overlay, 1); /* the table's reference */
        }
        Py_CLEAR(overlay);
    }
    return overlay;
}

int
ct_sharded_is_covered(ct_sharded *s)
{
    if (CT_LIKELY(ct_load_acquire(&s->overlay) == NULL)) {
        return 0;
    }
    PyObject *overlay = present_overlay(s);
    Py_XDECREF(overlay);
    return overlay != NULL;
}

/* Look in an overlay: 1 with *value (NULL: removed) when it decides, 0, -1. */
static int
look_in(PyObject *overlay, PyObject *missing, PyObject *key, Py_hash_t hash, PyObject **value)
{
    ct_frozen *changes = CT_FROZEN_DICT(PyTuple_GET_ITEM(overlay, 0));
    Py_ssize_t ix = ct_frozen_find(changes, key, hash);
    if (ix == CT_ERROR) {
        return -1;
    }
    if (ix < 0 && PyTuple_GET_ITEM(overlay, 1) != Py_True) {
        return 0;
    }
    PyObject *found = ix >= 0 ? ct_entry_value(changes->keys, ix) : missing;
    *value = found == missing ? NULL : Py_NewRef(found);
    return 1;
}

CT_NOINLINE int
ct_sharded_get_slow(ct_sharded *s, PyObject *key, Py_hash_t hash, PyObject **value)
{
    PyObject *overlay = present_overlay(s);
    if (overlay == NULL) {
        return PyErr_Occurred() ? -1 : ct_get(ct_shard_of(s, hash), key, hash, value);
    }
    int decided = look_in(overlay, s->st->missing, key, hash, value);
    Py_DECREF(overlay);
    if (decided != 0) {
        return decided < 0 ? -1 : *value != NULL;
    }
    return ct_get(ct_shard_of(s, hash), key, hash, value);
}

/* An overlay to be published: (changes, everything, how often this process is a forked child).  Steals
 * `changes`; NULL with an error. */
static PyObject *
overlay_new(ct_sharded *s, PyObject *changes, PyObject *everything)
{
    PyObject *forks = changes == NULL ? NULL : PyLong_FromUnsignedLong(s->st->forks);
    PyObject *overlay = forks == NULL ? NULL : PyTuple_Pack(3, changes, everything, forks);
    Py_XDECREF(forks);
    Py_XDECREF(changes);
    return overlay;
}

/* Gates held, so there is one at most; steals. */
static void
cover(ct_sharded *s, PyObject *overlay)
{
    CT_POINT(overlay_publish);
    publish(s, &s->overlay, overlay);
}

static void
uncover(ct_sharded *s)
{
    CT_POINT(overlay_remove);
    publish(s, &s->overlay, NULL);
}

/* -- snapshots ---------------------------------------------------------------------------------- */

/* Whether the shards have the snapshots of tuple `parts` (from its item 1 on) at one moment: that of the look
 * at the overlay.  In two cases: a batch that has changed one of these shards, but not all, is still covered
 * then; one that changes a shard later makes the look at that shard fail. */
static int
is_current(ct_sharded *s, PyObject *parts)
{
    if (ct_sharded_is_covered(s)) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < s->count; i++) {
        if (ct_load_acquire(&s->shards[i]->snapshot) != PyTuple_GET_ITEM(parts, i + 1)) {
            return 0;
        }
    }
    return 1;
}

/* (None, snapshot of shard 0, ...) of one moment; NULL when writers interfered, or with an error. */
static PyObject *
collect(ct_sharded *s)
{
    PyObject *parts = PyTuple_New(s->count + 1);
    if (parts == NULL) {
        return NULL;
    }
    PyTuple_SET_ITEM(parts, 0, Py_NewRef(Py_None));
    for (Py_ssize_t i = 0; i < s->count; i++) {
        PyObject *part = ct_snapshot(s->shards[i]);
        if (part == NULL) {
            Py_DECREF(parts);
            return NULL;
        }
        PyTuple_SET_ITEM(parts, i + 1, part);
    }
    CT_POINT(shards_collected);
    if (!is_current(s, parts)) {
        Py_CLEAR(parts);
    }
    return parts;
}

static PyObject *
collect_certainly(ct_sharded *s)
{
    PyObject *parts = NULL;
    for (int i = 0; i < CT_COLLECT_TRIES && parts == NULL && !PyErr_Occurred(); i++) {
        parts = collect(s);
    }
    if (parts != NULL || PyErr_Occurred() || ct_sharded_hold(s) < 0) {
        return parts;
    }
    while (parts == NULL && !PyErr_Occurred()) { /* a finalizer of ours may still write */
        parts = collect(s);
    }
    ct_sharded_release(s);
    return parts;
}

/* One FrozenDict of disjoint ones. */
static PyObject *
join(ct_sharded *s, PyObject *parts)
{
    Py_ssize_t total = 0;
    int kind = CT_UNICODE;
    for (Py_ssize_t i = 1; i <= s->count; i++) {
        ct_frozen *part = CT_FROZEN_DICT(PyTuple_GET_ITEM(parts, i));
        total += part->used;
        kind = part->used != 0 && part->keys->kind == CT_GENERAL ? CT_GENERAL : kind;
    }
    ct_frozen *whole = ct_frozen_alloc(s->st, s->st->frozen_dict_type);
    if (whole == NULL || total == 0) {
        return (PyObject *)whole;
    }
    ct_keys *keys = ct_keys_new(ct_log2_holding(total), kind);
    if (keys == NULL) {
        Py_DECREF(whole);
        return PyErr_NoMemory();
    }
    for (Py_ssize_t i = 1; i <= s->count; i++) {
        ct_keys *part = CT_FROZEN_DICT(PyTuple_GET_ITEM(parts, i))->keys;
        Py_ssize_t count = ct_load_relaxed(&part->nentries);
        for (Py_ssize_t ix = 0; ix < count; ix++) {
            PyObject *value = ct_entry_value(part, ix);
            if (value != NULL) {
                ct_keys_append(keys, Py_NewRef(ct_entry_key(part, ix)), ct_entry_hash(part, ix),
                               Py_NewRef(value));
            }
        }
    }
    ct_frozen_set(whole, keys, total);
    return (PyObject *)whole;
}

void
ct_sharded_forget(ct_sharded *s)
{
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb);
    publish(s, &s->snapshot, NULL);
    PyErr_Restore(type, value, tb);
}

PyObject *
ct_sharded_snapshot(PyObject *self)
{
    ct_sharded *s = CT_SHARDED(self);
    PyObject *cached = published(&s->snapshot);
    if (cached != NULL && is_current(s, cached)) {
        PyObject *whole = Py_NewRef(PyTuple_GET_ITEM(cached, 0));
        Py_DECREF(cached);
        return whole;
    }
    Py_XDECREF(cached);
    PyObject *parts = PyErr_Occurred() ? NULL : collect_certainly(s);
    PyObject *whole = parts == NULL ? NULL : join(s, parts);
    if (whole != NULL) {
        Py_DECREF(PyTuple_GET_ITEM(parts, 0)); /* the None; nobody else has the tuple yet */
        PyTuple_SET_ITEM(parts, 0, Py_NewRef(whole));
        publish(s, &s->snapshot, parts);
    }
    else {
        Py_XDECREF(parts);
    }
    return whole;
}

/* -- batches ------------------------------------------------------------------------------------ */

enum { NO_SHARD = UINT16_MAX };

static void
groups_free(ct_sharded *s, PyObject **groups)
{
    for (Py_ssize_t i = 0; i < s->count; i++) {
        Py_XDECREF(groups[i]);
    }
    PyMem_Free(groups);
}

/* -1 with TableMutationError. */
static int
endless(ct_sharded *s, const char *what)
{
    PyObject *error = ct_getattr(s->st->errors, "TableMutationError");
    PyObject *name = ct_getattr((PyObject *)Py_TYPE(s), "__name__");
    if (error != NULL && name != NULL) {
        PyErr_Format(error,
                     "%U: %s cannot end, because a comparison of its keys changes the table every time it "
                     "runs; make it free of such side effects",
                     name, what);
    }
    Py_XDECREF(error);
    Py_XDECREF(name);
    return -1;
}

/* The changes of each shard (NULL: none) as an array of dicts; `groups` counts them, `order` (or NULL) gets the
 * shard of one change after the other, or NO_SHARD: the key is equal to one before it, which it was not
 * when `changes` was made. */
static PyObject **
group(ct_sharded *s, PyObject *changes, Py_ssize_t *groups, uint16_t *order)
{
    PyObject **parts = PyMem_Calloc((size_t)s->count, sizeof(PyObject *)), *key, *value;
    Py_ssize_t at = 0;
    *groups = 0;
    if (parts == NULL) {
        PyErr_NoMemory();
    }
    while (parts != NULL && PyDict_Next(changes, &at, &key, &value)) {
        Py_hash_t hash = ct_hash(key);
        size_t i = hash == -1 ? 0 : ct_shard_index(s, hash);
        if (hash != -1 && parts[i] == NULL) {
            parts[i] = PyDict_New();
            ++*groups;
        }
        Py_ssize_t before = parts[i] == NULL ? 0 : PyDict_GET_SIZE(parts[i]);
        if (hash == -1 || parts[i] == NULL || PyDict_SetItem(parts[i], key, value) < 0) {
            groups_free(s, parts);
            return NULL;
        }
        if (order != NULL) {
            *order++ = PyDict_GET_SIZE(parts[i]) > before ? (uint16_t)i : NO_SHARD;
        }
    }
    return parts;
}

/* A batch over several shards: `parts` has one for each, or NULL; `order` is as group() makes it. */
typedef struct {
    ct_batch_part **parts;
    uint16_t *order;
    PyObject *changes;
    int removing;
    PyObject *removed; /* once the parts are prepared */
    ct_pending events; /* those of all parts, in the order of the changes */
} ct_sharded_plan;

/* Gates held: what the prepared parts are to remove, as a dict in plan->removed.  User code may compare its
 * keys.  0, -1; plan->removed stays NULL when the parts do not hold any more. */
static int
show_removed(ct_sharded *s, ct_sharded_plan *plan)
{
    Py_ssize_t at = 0, count = 0;
    PyObject *key, *value, *removed;
    Py_CLEAR(plan->removed);
    for (Py_ssize_t i = 0; i < s->count; i++) {
        if (plan->parts[i] != NULL && !ct_batch_part_look(plan->parts[i])) {
            return 0;
        }
    }
    removed = PyDict_New();
    for (Py_ssize_t i = 0; removed != NULL && PyDict_Next(plan->changes, &at, &key, &value); i++) {
        if (plan->order[i] == NO_SHARD) {
            continue;
        }
        PyObject *found = ct_batch_part_next_found(plan->parts[plan->order[i]]);
        if (found != NULL && PyDict_SetItem(removed, key, found) < 0) {
            Py_CLEAR(removed);
        }
        count += found != NULL;
    }
    plan->removed = ct_all_popped(removed, count);
    return plan->removed == NULL ? -1 : 0;
}

/* Gates held, so only comparisons of this thread change the shards: run them all, reserve the memory, and
 * see that no comparison of a later part spoilt an earlier one.  0 or -1. */
static int
prepare_parts(ct_sharded *s, ct_sharded_plan *plan)
{
    for (int tries = 0; tries <= CT_MAX_OWN_RESTARTS; tries++) {
        for (Py_ssize_t i = 0; i < s->count; i++) {
            if (plan->parts[i] != NULL && ct_batch_part_prepare(plan->parts[i]) < 0) {
                return -1;
            }
        }
        if (plan->removing && show_removed(s, plan) < 0) {
            return -1;
        }
        int good = !plan->removing || plan->removed != NULL;
        for (Py_ssize_t i = 0; good && i < s->count; i++) {
            good = plan->parts[i] == NULL || ct_batch_part_holds(plan->parts[i]);
        }
        if (good) {
            return 0;
        }
    }
    return endless(s, "a batch");
}

/* All shards have one log; that of the first is as good as any.  0 or -1. */
static int
reserve_events(ct_sharded *s, ct_sharded_plan *plan)
{
    ct_section section;
    Py_ssize_t changes = 0;
    for (Py_ssize_t i = 0; i < s->count; i++) {
        changes += plan->parts[i] == NULL ? 0 : ct_batch_part_changes(plan->parts[i]);
    }
    ct_lock(s->shards[0], &section);
    int status = ct_event_reserve_many_held(s->shards[0], &plan->events, changes);
    plan->events.shared = ct_is_shared(s->shards[0]);
    ct_unlock(&section);
    if (status < 0) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* Gates held, everything reserved. */
static void
commit_parts(ct_sharded *s, ct_sharded_plan *plan)
{
    ct_section section;
    for (Py_ssize_t i = 0; i < s->count; i++) {
        if (plan->parts[i] != NULL) {
            ct_batch_part_commit(plan->parts[i]);
        }
    }
    if (s->shards[0]->log == NULL) { /* no watcher comes or goes */
        return;
    }
    ct_lock(s->shards[0], &section);
    for (Py_ssize_t i = 0; i < PyDict_GET_SIZE(plan->changes); i++) {
        const ct_event *event = plan->order[i] == NO_SHARD
                                    ? NULL
                                    : ct_batch_part_next_event(plan->parts[plan->order[i]]);
        if (event != NULL) {
            ct_event_log_held(s->shards[0], &plan->events, event);
        }
    }
    ct_unlock(&section);
}

static int
run_over_shards(ct_sharded *s, ct_sharded_plan *plan)
{
    PyObject *frozen = ct_frozen_from(s->st, s->st->frozen_dict_type, plan->changes, NULL);
    PyObject *overlay = overlay_new(s, frozen, Py_False);
    if (overlay == NULL || ct_sharded_hold(s) < 0) {
        Py_XDECREF(overlay);
        return -1;
    }
    int status = prepare_parts(s, plan);
    status = status < 0 ? -1 : reserve_events(s, plan);
    if (status == 0) {
        cover(s, overlay);
        commit_parts(s, plan);
        uncover(s);
    }
    else {
        Py_DECREF(overlay);
    }
    ct_sharded_release(s);
    return status;
}

/* The references and events of the parts go, unlocked. */
static void
finish_over_shards(ct_sharded *s, ct_sharded_plan *plan)
{
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb);
    ct_pending_finish(&plan->events);
    for (Py_ssize_t i = 0; plan->parts != NULL && i < s->count; i++) {
        if (plan->parts[i] != NULL) {
            ct_batch_part_free(plan->parts[i]);
        }
    }
    PyErr_Restore(type, value, tb);
    PyMem_Free(plan->parts);
}

/* Several shards.  `changes`, or what was removed when there are no values; or NULL. */
static PyObject *
batch_over_shards(ct_sharded *s, PyObject **groups, uint16_t *order, PyObject *changes, int with_values)
{
    ct_sharded_plan plan = {PyMem_Calloc((size_t)s->count, sizeof(ct_batch_part *)), order, changes,
                            !with_values, NULL, {0}};
    int status = plan.parts == NULL ? -1 : 0;
    ct_pending_init(&plan.events, s->shards[0]);
    if (plan.parts == NULL) {
        PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; status == 0 && i < s->count; i++) {
        if (groups[i] != NULL) {
            plan.parts[i] = ct_batch_part_new(s->shards[i], groups[i], with_values);
            status = plan.parts[i] == NULL ? -1 : 0;
        }
    }
    status = status < 0 ? -1 : run_over_shards(s, &plan);
    finish_over_shards(s, &plan);
    if (status < 0) {
        Py_CLEAR(plan.removed);
        return NULL;
    }
    return with_values ? Py_NewRef(changes) : plan.removed;
}

PyObject *
ct_sharded_batch(ct_sharded *s, PyObject *changes, int with_values)
{
    Py_ssize_t count;
    uint16_t *order = PyMem_New(uint16_t, PyDict_GET_SIZE(changes) + 1);
    PyObject **groups = order == NULL ? (PyObject **)PyErr_NoMemory()
                                      : group(s, changes, &count, order), *result = NULL;
    if (groups == NULL) {
        PyMem_Free(order);
        return NULL;
    }
    if (count > 1) {
        result = batch_over_shards(s, groups, order, changes, with_values);
    }
    else if (count == 0) {
        result = Py_NewRef(changes);
    }
    for (Py_ssize_t i = 0; count == 1 && i < s->count; i++) {
        if (groups[i] != NULL) { /* one shard publishes its part in one step anyway */
            PyObject *shard = (PyObject *)s->shards[i];
            result = with_values ? ct_update_many(shard, groups[i]) : ct_pop_many(shard, groups[i]);
        }
    }
    groups_free(s, groups);
    PyMem_Free(order);
    ct_sharded_wrote(s);
    return result;
}

/* -- several keys of one moment ----------------------------------------------------------------- */

/* The versions of the shards that have a group; from here on every write there raises them. */
static void
look_at_versions(ct_sharded *s, PyObject **groups, uint64_t *versions)
{
    for (Py_ssize_t i = 0; i < s->count; i++) {
        if (groups[i] != NULL) {
            ct_section section;
            ct_lock(s->shards[i], &section); /* no commit is half done here */
            ct_quiesce_held(s->shards[i]);
            versions[i] = ct_load_relaxed(&s->shards[i]->version);
            ct_unlock(&section);
        }
    }
}

/* A double collect, as for snapshots, over the shards that have a group: a dict; NULL when writers
 * interfered, or with an error.  `versions`: room for two numbers a shard. */
static PyObject *
collect_keys(ct_sharded *s, PyObject **groups, uint64_t *versions)
{
    PyObject *result = PyDict_New();
    memset(versions, 0, 2 * (size_t)s->count * sizeof(*versions));
    look_at_versions(s, groups, versions);
    for (Py_ssize_t i = 0; result != NULL && i < s->count; i++) {
        PyObject *some = groups[i] == NULL ? NULL : ct_get_many((PyObject *)s->shards[i], groups[i]);
        if (groups[i] != NULL && (some == NULL || PyDict_Update(result, some) < 0)) {
            Py_CLEAR(result);
        }
        Py_XDECREF(some);
    }
    if (result != NULL) {
        int covered = ct_sharded_is_covered(s); /* see is_current */
        look_at_versions(s, groups, versions + s->count);
        if (covered
            || memcmp(versions, versions + s->count, (size_t)s->count * sizeof(*versions)) != 0) {
            Py_CLEAR(result);
        }
    }
    return result;
}

static PyObject *
collect_keys_certainly(ct_sharded *s, PyObject **groups)
{
    uint64_t *versions = PyMem_New(uint64_t, 2 * s->count);
    PyObject *result = NULL;
    if (versions == NULL) {
        return PyErr_NoMemory();
    }
    for (int i = 0; i < CT_COLLECT_TRIES && result == NULL && !PyErr_Occurred(); i++) {
        result = collect_keys(s, groups, versions);
    }
    if (result == NULL && !PyErr_Occurred() && ct_sharded_hold(s) == 0) {
        for (int i = 0; i <= CT_MAX_OWN_RESTARTS && result == NULL && !PyErr_Occurred(); i++) {
            result = collect_keys(s, groups, versions); /* a comparison of ours may still write */
        }
        if (result == NULL && !PyErr_Occurred()) {
            endless(s, "get_many()");
        }
        ct_sharded_release(s);
    }
    PyMem_Free(versions);
    return result;
}

PyObject *
ct_sharded_get_many(PyObject *self, PyObject *keys)
{
    ct_sharded *s = CT_SHARDED(self);
    Py_ssize_t count;
    PyObject *wanted = ct_call_method((PyObject *)&PyDict_Type, "fromkeys", keys);
    PyObject **groups = wanted == NULL ? NULL : group(s, wanted, &count, NULL), *result = NULL;
    if (groups != NULL) {
        for (Py_ssize_t i = 0; i < s->count; i++) {
            if (groups[i] != NULL && ct_touch(s->shards[i]) < 0) {
                count = -1;
            }
        }
        result = count < 0 ? NULL : collect_keys_certainly(s, groups);
        groups_free(s, groups);
    }
    Py_XDECREF(wanted);
    return result;
}

/* -- clear -------------------------------------------------------------------------------------- */

/* Empty one shard; the last one records the event for the whole, for which there is room. */
static void
clear_shard(ct_table *t, ct_pending *pending, int last)
{
    ct_section section;
    ct_lock(t, &section);
    ct_forget_snapshot_held(t, pending);
    ct_exchange_block_held(t, pending, ct_empty_keys, 0);
    if (last) {
        ct_event_held(t, pending, CT_KIND_CLEARED, NULL, NULL, NULL);
    }
    else {
        ct_event_skip_held(t);
    }
    ct_commit_held(t, pending, 1);
    ct_unlock(&section);
}

static int
clear_held(ct_sharded *s, ct_pending *pendings, PyObject *overlay)
{
    Py_ssize_t last = s->count - 1;
    while (last >= 0 && ct_used(s->shards[last]) == 0) {
        last--;
    }
    if (last < 0) {
        Py_DECREF(overlay);
        return 0;
    }
    if (ct_event_reserve_held(s->shards[last], &pendings[last]) < 0) { /* no watcher comes or goes */
        Py_DECREF(overlay);
        PyErr_NoMemory();
        return -1;
    }
    cover(s, overlay);
    for (Py_ssize_t i = 0; i <= last; i++) {
        if (ct_used(s->shards[i]) != 0) {
            clear_shard(s->shards[i], &pendings[i], i == last);
        }
    }
    uncover(s);
    return 0;
}

int
ct_sharded_clear(ct_sharded *s)
{
    ct_pending *pendings = PyMem_Calloc((size_t)s->count, sizeof(ct_pending));
    PyObject *nothing = (PyObject *)ct_frozen_alloc(s->st, s->st->frozen_dict_type);
    PyObject *overlay = overlay_new(s, nothing, Py_True), *type, *value, *tb;
    int status = -1;
    if (pendings == NULL || overlay == NULL) {
        PyMem_Free(pendings);
        Py_XDECREF(overlay);
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < s->count; i++) {
        ct_pending_init(&pendings[i], s->shards[i]);
    }
    if (ct_sharded_hold(s) == 0) {
        status = clear_held(s, pendings, overlay);
        ct_sharded_release(s);
    }
    else {
        Py_DECREF(overlay);
    }
    PyErr_Fetch(&type, &value, &tb);
    for (Py_ssize_t i = 0; i < s->count; i++) {
        ct_pending_finish(&pendings[i]);
    }
    PyErr_Restore(type, value, tb);
    ct_sharded_wrote(s);
    PyMem_Free(pendings);
    return status;
}
