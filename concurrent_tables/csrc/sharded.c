/* ShardedDict: what goes over all shards.
 *
 * One-key operations go straight to one shard (sharded_type.c).  Three things are of all:
 *
 * - A snapshot is a double collect.  Each shard caches its snapshot until its next write, so "the shards
 *   still have these very snapshots" means that all of them were current at one moment: the one between
 *   the two looks.  When writers interfere again and again, the shards are held.
 * - A batch (update_many, pop_many, clear) holds its shards against writers, publishes an overlay that
 *   answers for its keys (that is its linearization point), commits the shards one after the other, and
 *   takes the overlay away.  A reader looks at the overlay first.  If it finds one, it answers as after
 *   the batch; if it found none and then a shard that the batch has or has not reached, both answers
 *   are of a moment within the read.
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

/* Look in an overlay: 1 with *value (NULL: removed) when it decides, 0, -1. */
static int
look_in(PyObject *overlay, PyObject *missing, PyObject *key, Py_hash_t hash, PyObject **value)
{
    while (overlay != Py_None) {
        ct_frozen *changes = CT_FROZEN_DICT(PyTuple_GET_ITEM(overlay, 0));
        Py_ssize_t ix = ct_frozen_find(changes, key, hash);
        if (ix == CT_ERROR) {
            return -1;
        }
        if (ix >= 0 || PyTuple_GET_ITEM(overlay, 1) == Py_True) {
            PyObject *found = ix >= 0 ? ct_entry_value(changes->keys, ix) : missing;
            *value = found == missing ? NULL : Py_NewRef(found);
            return 1;
        }
        overlay = PyTuple_GET_ITEM(overlay, 2);
    }
    return 0;
}

CT_NOINLINE int
ct_sharded_get_slow(ct_sharded *s, PyObject *key, Py_hash_t hash, PyObject **value)
{
    PyObject *overlay = published(&s->overlay);
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

int
ct_sharded_get(PyObject *self, PyObject *key, Py_hash_t hash, PyObject **value)
{
    ct_sharded *s = CT_SHARDED(self);
    if (CT_UNLIKELY(ct_load_acquire(&s->overlay) != NULL)) {
        return ct_sharded_get_slow(s, key, hash, value);
    }
    return ct_get(ct_shard_of(s, hash), key, hash, value);
}

/* Gates held: put `changes` (a FrozenDict, stolen) over the shards; the overlay below it is in it. */
static int
cover(ct_sharded *s, PyObject *changes, PyObject *everything)
{
    PyObject *outer = ct_load_acquire(&s->overlay); /* ours: the gates are held */
    PyObject *overlay =
        changes == NULL ? NULL : PyTuple_Pack(3, changes, everything, outer ? outer : Py_None);
    Py_XDECREF(changes);
    if (overlay == NULL) {
        return -1;
    }
    CT_POINT(overlay_publish);
    publish(s, &s->overlay, overlay);
    return 0;
}

static void
uncover(ct_sharded *s)
{
    PyObject *outer = PyTuple_GET_ITEM(ct_load_acquire(&s->overlay), 2);
    CT_POINT(overlay_drop);
    publish(s, &s->overlay, outer == Py_None ? NULL : Py_NewRef(outer));
}

/* -- snapshots ---------------------------------------------------------------------------------- */

/* Whether the shards have the snapshots of tuple `parts` (from its item 1 on) at this moment. */
static int
is_current(ct_sharded *s, PyObject *parts)
{
    for (Py_ssize_t i = 0; i < s->count; i++) {
        if (ct_load_acquire(&s->shards[i]->snapshot) != PyTuple_GET_ITEM(parts, i + 1)) {
            return 0;
        }
    }
    return ct_load_acquire(&s->overlay) == NULL;
}

/* (None, snapshot of shard 0, ...) of one moment; NULL when writers interfered, or with an error. */
static PyObject *
collect(ct_sharded *s)
{
    PyObject *parts = ct_load_acquire(&s->overlay) == NULL ? PyTuple_New(s->count + 1) : NULL;
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
    if (!is_current(s, parts)) {
        Py_CLEAR(parts);
    }
    return parts;
}

static PyObject *
collect_certainly(ct_sharded *s)
{
    for (int i = 0; i < CT_COLLECT_TRIES; i++) {
        PyObject *parts = collect(s);
        if (parts != NULL || PyErr_Occurred()) {
            return parts;
        }
    }
    if (ct_sharded_hold(s) < 0) {
        return NULL;
    }
    PyObject *parts = NULL;
    while (parts == NULL && !PyErr_Occurred()) { /* a finalizer of ours may still write */
        parts = collect(s);
        if (parts == NULL && ct_load_acquire(&s->overlay) != NULL) {
            break;
        }
    }
    ct_sharded_release(s);
    if (parts == NULL && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_RuntimeError,
                        "ShardedDict: a snapshot inside a batch of the same thread; take it before");
    }
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

/* The changes of each shard (NULL: none) as an array of dicts; `groups` counts them. */
static PyObject **
group(ct_sharded *s, PyObject *changes, Py_ssize_t *groups)
{
    PyObject **parts = PyMem_Calloc((size_t)s->count, sizeof(PyObject *)), *key, *value;
    Py_ssize_t at = 0;
    *groups = 0;
    if (parts == NULL) {
        PyErr_NoMemory();
    }
    while (parts != NULL && PyDict_Next(changes, &at, &key, &value)) {
        Py_hash_t hash = ct_hash(key);
        Py_ssize_t i = 0;
        while (hash != -1 && s->shards[i] != ct_shard_of(s, hash)) {
            i++;
        }
        if (hash != -1 && parts[i] == NULL) {
            parts[i] = PyDict_New();
            ++*groups;
        }
        if (hash == -1 || parts[i] == NULL || PyDict_SetItem(parts[i], key, value) < 0) {
            for (Py_ssize_t j = 0; j < s->count; j++) {
                Py_XDECREF(parts[j]);
            }
            PyMem_Free(parts);
            return NULL;
        }
    }
    return parts;
}

static int
merge(PyObject *result, PyObject *more) /* steals more */
{
    int status = more == NULL ? -1 : PyDict_Update(result, more);
    Py_XDECREF(more);
    return status;
}

/* Gates held: commit all parts under an overlay. */
static int
commit_parts(ct_sharded *s, PyObject **parts, PyObject *frozen, int with_values,
             ct_pending *pendings, PyObject *removed)
{
    int status = 0;
    for (Py_ssize_t i = 0; status == 0 && i < s->count; i++) {
        if (parts[i] != NULL) { /* a comparison that raises does so here */
            PyObject *present = ct_get_many((PyObject *)s->shards[i], parts[i]);
            status = present == NULL ? -1 : 0;
            Py_XDECREF(present);
        }
    }
    if (status < 0 || cover(s, Py_NewRef(frozen), Py_False) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; status == 0 && i < s->count; i++) {
        if (parts[i] != NULL) {
            status = ct_batch_pending(s->shards[i], parts[i], with_values, &pendings[i]);
            if (status == 0 && !with_values) {
                status = PyDict_Update(removed, parts[i]);
            }
        }
    }
    uncover(s);
    return status;
}

static int
commit_over_shards(ct_sharded *s, PyObject **parts, PyObject *changes, int with_values,
                   PyObject *removed)
{
    ct_pending *pendings = PyMem_Calloc((size_t)s->count, sizeof(ct_pending));
    PyObject *frozen = ct_frozen_from(s->st, s->st->frozen_dict_type, changes, NULL);
    int status = -1;
    if (pendings == NULL) {
        PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; pendings != NULL && i < s->count; i++) {
        ct_pending_init(&pendings[i], s->shards[i]);
    }
    if (pendings != NULL && frozen != NULL && ct_sharded_hold(s) == 0) { /* there is one overlay */
        status = commit_parts(s, parts, frozen, with_values, pendings, removed);
        ct_sharded_release(s);
    }
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb);
    for (Py_ssize_t i = 0; pendings != NULL && i < s->count; i++) {
        ct_pending_finish(&pendings[i]);
    }
    PyErr_Restore(type, value, tb);
    PyMem_Free(pendings);
    Py_XDECREF(frozen);
    return status;
}

PyObject *
ct_sharded_batch(ct_sharded *s, PyObject *changes, int with_values)
{
    Py_ssize_t groups;
    PyObject **parts = group(s, changes, &groups), *removed = parts == NULL ? NULL : PyDict_New();
    int status = removed == NULL ? -1 : 0;
    if (status == 0 && groups == 1) { /* one shard publishes its part in one step anyway */
        Py_ssize_t i = 0;
        while (parts[i] == NULL) {
            i++;
        }
        PyObject *shard = (PyObject *)s->shards[i];
        PyObject *result = with_values ? ct_update_many(shard, parts[i]) : ct_pop_many(shard, parts[i]);
        status = result == NULL ? -1 : with_values ? 0 : PyDict_Update(removed, result);
        Py_XDECREF(result);
    }
    else if (status == 0 && groups > 1) {
        status = commit_over_shards(s, parts, changes, with_values, removed);
    }
    for (Py_ssize_t i = 0; parts != NULL && i < s->count; i++) {
        Py_XDECREF(parts[i]);
    }
    PyMem_Free(parts);
    ct_sharded_wrote(s);
    if (status < 0) {
        Py_CLEAR(removed);
    }
    return removed;
}

PyObject *
ct_sharded_get_many(PyObject *self, PyObject *keys)
{
    ct_sharded *s = CT_SHARDED(self);
    Py_ssize_t groups;
    PyObject *wanted = PyObject_CallMethod((PyObject *)&PyDict_Type, "fromkeys", "(O)", keys);
    PyObject **parts = wanted == NULL ? NULL : group(s, wanted, &groups), *result = NULL;
    if (parts != NULL && groups <= 1 && ct_load_acquire(&s->overlay) == NULL) {
        for (Py_ssize_t i = 0; i < s->count; i++) {
            if (parts[i] != NULL) {
                result = ct_get_many((PyObject *)s->shards[i], parts[i]);
            }
        }
        result = groups == 0 ? PyDict_New() : result;
    }
    else if (parts != NULL) {
        PyObject *moment = collect_certainly(s);
        result = moment == NULL ? NULL : PyDict_New();
        for (Py_ssize_t i = 0; result != NULL && i < s->count; i++) {
            PyObject *some = parts[i] == NULL ? NULL
                                              : PyObject_CallMethod(PyTuple_GET_ITEM(moment, i + 1),
                                                                    "get_many", "(O)", parts[i]);
            if (parts[i] != NULL && merge(result, some) < 0) {
                Py_CLEAR(result);
            }
        }
        Py_XDECREF(moment);
    }
    for (Py_ssize_t i = 0; parts != NULL && i < s->count; i++) {
        Py_XDECREF(parts[i]);
    }
    PyMem_Free(parts);
    Py_XDECREF(wanted);
    return result;
}

/* -- clear -------------------------------------------------------------------------------------- */

/* Empty one shard; the last one records the event for the whole. */
static int
clear_shard(ct_table *t, ct_pending *pending, int last)
{
    ct_section section;
    if (ct_touch(t) < 0 || ct_write_lock(t, &section) < 0) {
        return -1;
    }
    int status = last ? ct_event_reserve_held(t, pending) : 0;
    if (status == 0) {
        ct_forget_snapshot_held(t, pending);
        ct_exchange_block_held(t, pending, ct_empty_keys, 0);
        if (last) {
            ct_event_held(t, pending, CT_KIND_CLEARED, NULL, NULL, NULL);
        }
        else {
            ct_event_skip_held(t);
        }
        ct_commit_held(t, pending, 1);
    }
    ct_unlock(&section);
    if (status < 0) {
        PyErr_NoMemory();
    }
    return status;
}

static int
clear_held(ct_sharded *s, ct_pending *pendings)
{
    Py_ssize_t last = s->count - 1;
    int status = 0;
    while (last >= 0 && ct_used(s->shards[last]) == 0) {
        last--;
    }
    if (last < 0) {
        return 0;
    }
    if (cover(s, (PyObject *)ct_frozen_alloc(s->st, s->st->frozen_dict_type), Py_True) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; status == 0 && i <= last; i++) {
        if (ct_used(s->shards[i]) != 0) {
            status = clear_shard(s->shards[i], &pendings[i], i == last);
        }
    }
    uncover(s);
    return status;
}

int
ct_sharded_clear(ct_sharded *s)
{
    ct_pending *pendings = PyMem_Calloc((size_t)s->count, sizeof(ct_pending));
    PyObject *type, *value, *tb;
    int status = -1;
    if (pendings == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < s->count; i++) {
        ct_pending_init(&pendings[i], s->shards[i]);
    }
    if (ct_sharded_hold(s) == 0) {
        status = clear_held(s, pendings);
        ct_sharded_release(s);
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
