/* Records: all keys at once.  Snapshots, clear, filling, batches, and what inspect_table() walks. */
#include "dict.h"
#include "frozen.h"
#include "split.h"
#include "update.h"
#include "views.h"
#include "watching.h"

/* -- one moment --------------------------------------------------------------------------------- */

static void
add_column(ct_columns *columns, ct_shared *shared, Py_ssize_t ix, uintptr_t value)
{
    Py_ssize_t at = columns->count++;
    columns->names[at] = ct_shared_name(shared, ix); /* as long-lived as the record */
    columns->values[at] = Py_NewRef((PyObject *)value);
    columns->order[at] = (uint8_t)ix;
}

static void
compact_columns_held(ct_split *s, uint64_t word, ct_columns *columns)
{
    ct_word *values = ct_split_values(s);
    columns->capacity = CT_WORD_CAPACITY(word);
    columns->version = CT_WORD_VERSION(word);
    columns->keys_version = (uint64_t)CT_WORD_USED(word);
    columns->shared = CT_WORD_IS_SHARED(word);
    for (Py_ssize_t ix = 0; ix < columns->capacity; ix++) {
        uintptr_t value = ct_load_relaxed(&values[ix]);
        if (value != 0) {
            add_column(columns, ct_shared_numbered(CT_WORD_ID(word)), ix, value);
        }
    }
}

static void
body_columns_held(ct_full *full, ct_body *body, ct_columns *columns)
{
    columns->capacity = body->capacity;
    columns->version = ct_version(&full->base);
    columns->keys_version = ct_load_relaxed(&full->base.keys_version);
    columns->shared = ct_is_shared(&full->base);
    columns->watch = full->base.watch;
    Py_XINCREF(columns->watch);
    for (int i = 0; i < body->count; i++) {
        add_column(columns, full->shared, body->order[i],
                   ct_load_relaxed(&body->values[body->order[i]]));
    }
}

int
ct_split_columns(ct_split *s, ct_columns *columns)
{
    columns->count = 0;
    columns->watch = NULL;
    if (ct_split_touch(s) < 0) {
        return -1;
    }
    uint64_t word = ct_load_acquire(&s->state);
    if (CT_WORD_IS_COMPACT(word)) {
        ct_compact_section section;
        ct_compact_lock(s, &section);
        word = ct_load_relaxed(&s->state);
        if (CT_WORD_IS_COMPACT(word)) {
            compact_columns_held(s, word, columns);
        }
        ct_compact_unlock(&section);
    }
    if (!CT_WORD_IS_COMPACT(word)) {
        ct_full *full = ct_word_full(word);
        ct_section section;
        ct_lock(&full->base, &section);
        ct_body *body = ct_load_relaxed(&full->body);
        if (body != NULL) {
            body_columns_held(full, body, columns);
        }
        ct_unlock(&section);
        return body != NULL;
    }
    return 1;
}

void
ct_columns_clear(ct_columns *columns)
{
    for (Py_ssize_t i = 0; i < columns->count; i++) {
        Py_DECREF(columns->values[i]);
    }
    columns->count = 0;
    Py_CLEAR(columns->watch);
}

/* A block with the columns' contents and references of its own; NULL without memory. */
static ct_keys *
block_of_columns(const ct_columns *columns)
{
    if (columns->count == 0) {
        return ct_empty_keys;
    }
    ct_keys *keys = ct_keys_new(ct_log2_holding(columns->count), CT_UNICODE);
    for (Py_ssize_t i = 0; keys != NULL && i < columns->count; i++) {
        ct_keys_append(keys, Py_NewRef(columns->names[i]), ct_str_hash(columns->names[i]),
                       Py_NewRef(columns->values[i]));
    }
    return keys;
}

static PyObject *
frozen_of_columns(ct_state *st, const ct_columns *columns)
{
    ct_keys *keys = block_of_columns(columns);
    if (keys == NULL) {
        return PyErr_NoMemory();
    }
    ct_frozen *frozen = ct_frozen_alloc(st, st->frozen_dict_type);
    if (frozen == NULL) {
        keys->owns = keys == ct_empty_keys ? CT_OWNS_NOTHING : CT_OWNS_ALL;
        ct_keys_release(keys);
        return NULL;
    }
    ct_frozen_set(frozen, keys, columns->count);
    return (PyObject *)frozen;
}

/* A full record's snapshot if one is cached; new reference, or NULL (with or without an error). */
static PyObject *
cached_snapshot(ct_full *full)
{
    ct_record *self = ct_enter(&full->base);
    if (self == NULL) {
        return NULL;
    }
    PyObject *cached = ct_load_acquire(&full->base.snapshot);
    Py_XINCREF(cached);
    ct_unpin(self);
    return cached;
}

/* Put `frozen`, made from the present contents, into the cache if nothing was written since. */
static void
cache_snapshot(ct_full *full, uint64_t version, PyObject *frozen)
{
    ct_section section;
    ct_lock(&full->base, &section);
    if (ct_load_relaxed(&full->body) != NULL && ct_load_relaxed(&full->base.snapshot) == NULL
        && ct_version(&full->base) == version) {
        ct_store_relaxed(&full->base.lockfree, 0); /* should it become combined meanwhile */
        ct_store_release(&full->base.snapshot, Py_NewRef(frozen));
    }
    ct_unlock(&section);
}

/* The same for a combined record, in one look: NULL without an error when it is split by now. */
static PyObject *
combined_snapshot(ct_full *full)
{
    ct_table *t = &full->base;
    ct_frozen *frozen = ct_frozen_alloc(t->st, t->st->frozen_dict_type);
    PyObject *cached = NULL;
    ct_section section;
    if (frozen == NULL) {
        return NULL;
    }
    ct_lock(t, &section);
    int combined = ct_load_relaxed(&full->body) == NULL;
    ct_keys *keys = NULL;
    if (combined) {
        cached = ct_load_relaxed(&t->snapshot);
        Py_XINCREF(cached);
    }
    if (combined && cached == NULL) {
        ct_store_relaxed(&t->lockfree, 0);
        ct_quiesce_held(t);
        keys = ct_keys_clone(ct_load_relaxed(&t->keys), ct_used(t));
        if (keys != NULL) {
            ct_frozen_set(frozen, keys, ct_used(t));
            ct_store_release(&t->snapshot, Py_NewRef((PyObject *)frozen));
        }
    }
    ct_unlock(&section);
    if (keys != NULL) {
        return (PyObject *)frozen;
    }
    Py_DECREF(frozen);
    if (combined && cached == NULL) {
        PyErr_NoMemory();
    }
    return cached;
}

PyObject *
ct_split_snapshot(PyObject *self)
{
    ct_full *full = ct_split_full(CT_SPLIT(self)); /* a compact record has no place for a cache */
    PyObject *frozen = full == NULL ? NULL : cached_snapshot(full);
    ct_columns columns;
    while (frozen == NULL && full != NULL && !PyErr_Occurred()) {
        int split = ct_split_columns(CT_SPLIT(self), &columns);
        if (split == 0) {
            frozen = combined_snapshot(full);
        }
        if (split > 0) {
            frozen = frozen_of_columns(full->base.st, &columns);
            if (frozen != NULL) {
                cache_snapshot(full, columns.version, frozen);
            }
            ct_columns_clear(&columns);
        }
    }
    return frozen;
}

PyObject *
ct_split_one_moment(PyObject *self)
{
    ct_columns columns;
    if (!CT_WORD_IS_COMPACT(ct_load_acquire(&CT_SPLIT(self)->state))) {
        return ct_split_snapshot(self);
    }
    int split = ct_split_columns(CT_SPLIT(self), &columns);
    if (split == 0) {
        return ct_split_snapshot(self);
    }
    PyObject *frozen =
        split < 0 ? NULL : frozen_of_columns(ct_split_shared(CT_SPLIT(self))->st, &columns);
    ct_columns_clear(&columns);
    return frozen;
}

Py_ssize_t
ct_split_used(ct_split *s)
{
    uint64_t word = ct_load_acquire(&s->state);
    return CT_WORD_IS_COMPACT(word) ? CT_WORD_USED(word) : ct_used(&ct_word_full(word)->base);
}

/* -- clear -------------------------------------------------------------------------------------- */

/* Section held: CT_DONE, or CT_NO_MEMORY.  *fresh is exchanged for the body to be retired. */
static int
clear_split_held(ct_full *full, ct_body **fresh, ct_pending *pending)
{
    ct_table *t = &full->base;
    ct_body *body = ct_load_relaxed(&full->body);
    if (body->count == 0) {
        return CT_DONE;
    }
    if (ct_pending_reserve(pending, body->count + 2) < 0 || ct_event_reserve_held(t, pending) < 0) {
        return CT_NO_MEMORY;
    }
    ct_store_release(&full->body, *fresh);
    ct_store_relaxed(&t->used, 0);
    for (int i = 0; i < body->count; i++) {
        ct_pending_drop(pending, (PyObject *)ct_load_relaxed(&body->values[body->order[i]]));
    }
    ct_event_held(t, pending, CT_KIND_CLEARED, NULL, NULL, NULL);
    ct_commit_held(t, pending, 1);
    *fresh = body;
    return CT_DONE;
}

/* The same for a combined record, which begins again in its shape.  Its block is sealed: an insertion
 * that is on its way to it finds no room there, and comes back to the record. */
static int
clear_combined_held(ct_full *full, ct_body **fresh, ct_pending *pending)
{
    ct_table *t = &full->base;
    if (ct_used(t) == 0) {
        return CT_DONE;
    }
    ct_keys *sealed = ct_keys_new(CT_MIN_LOG2, CT_UNICODE);
    if (sealed == NULL || ct_event_reserve_held(t, pending) < 0) {
        if (sealed != NULL) {
            ct_keys_release(sealed);
        }
        return CT_NO_MEMORY;
    }
    sealed->capacity = 0;
    ct_exchange_block_held(t, pending, sealed, 0);
    ct_store_release(&full->body, *fresh);
    ct_event_held(t, pending, CT_KIND_CLEARED, NULL, NULL, NULL);
    ct_commit_held(t, pending, 1);
    *fresh = NULL;
    return CT_DONE;
}

int
ct_split_clear(PyObject *self)
{
    ct_section section;
    ct_pending pending;
    if (ct_split_touch(CT_SPLIT(self)) < 0) {
        return -1;
    }
    if (ct_split_used(CT_SPLIT(self)) == 0) {
        return 0;
    }
    ct_full *full = ct_split_full(CT_SPLIT(self));
    ct_body *fresh = full == NULL ? NULL : ct_body_new(ct_shared_count(full->shared));
    if (fresh == NULL) {
        return full == NULL ? -1 : (PyErr_NoMemory(), -1);
    }
    if (ct_write_lock(&full->base, &section) < 0) {
        PyMem_Free(fresh);
        return -1;
    }
    ct_pending_init(&pending, &full->base);
    int status = ct_load_relaxed(&full->body) != NULL ? clear_split_held(full, &fresh, &pending)
                                                      : clear_combined_held(full, &fresh, &pending);
    int shared = ct_is_shared(&full->base);
    ct_unlock(&section);
    ct_body_retire(full->base.st, fresh, shared);
    ct_pending_finish(&pending);
    if (status == CT_NO_MEMORY) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* -- several keys at once ----------------------------------------------------------------------- */

/* Where the values of a private dict go. */
typedef struct {
    Py_ssize_t count;
    Py_ssize_t ix[CT_NAMES_MAX];
    PyObject *values[CT_NAMES_MAX]; /* borrowed from the dict */
    int ascending;
    uint32_t found; /* bits of those that a comparison found in the record: it must still have them */
} ct_plan;

/* The entry for a key: of the shared name it is (appended as needed), or, for a key that is no exact str,
 * of the one it equals in a record that has entries; CT_MISS, CT_ERROR. */
static Py_ssize_t
plan_name(ct_split *s, PyObject *key, int filling, ct_plan *plan)
{
    Py_hash_t hash = ct_hash(key);
    if (hash == -1) {
        return CT_ERROR;
    }
    if (PyUnicode_CheckExact(key)) {
        return ct_shared_index(ct_split_shared(s), key, hash, 1);
    }
    Py_ssize_t ix = filling ? CT_MISS : ct_split_find(s, key, hash);
    if (ix >= 0) {
        plan->found |= (uint32_t)1 << ix;
    }
    return ix;
}

/* 1 when all keys have entries, 0 when one does not fit, -1 with an error. */
static int
plan_names(ct_split *s, PyObject *changes, int filling, ct_plan *plan)
{
    Py_ssize_t at = 0;
    PyObject *key, *value;
    plan->count = 0;
    plan->ascending = 1;
    plan->found = 0;
    while (PyDict_Next(changes, &at, &key, &value)) {
        Py_ssize_t ix = plan->count == CT_NAMES_MAX ? CT_MISS : plan_name(s, key, filling, plan);
        if (ix < 0) {
            return ix == CT_ERROR ? -1 : 0;
        }
        if (plan->count > 0 && ix <= plan->ix[plan->count - 1]) {
            plan->ascending = 0;
        }
        plan->ix[plan->count] = ix;
        plan->values[plan->count++] = value;
    }
    return 1;
}

/* Fill an empty compact record that no other thread has: 1 when that was possible. */
static int
fill_compact(ct_split *s, const ct_plan *plan)
{
    ct_compact_section section;
    int done = 0;
    ct_compact_lock(s, &section);
    uint64_t word = ct_load_relaxed(&s->state);
    if (CT_WORD_IS_COMPACT(word) && CT_WORD_USED(word) == 0 && plan->ascending
        && plan->ix[plan->count - 1] < CT_WORD_CAPACITY(word)
        && !(CT_FT && CT_WORD_IS_SHARED(word))) {
        /* Whoever comes now waits for the section before the first look (I9): one step. */
        ct_word *values = ct_split_values(s);
        for (Py_ssize_t i = 0; i < plan->count; i++) {
            Py_INCREF(plan->values[i]);
            ct_store_release(&values[plan->ix[i]], (uintptr_t)plan->values[i]);
        }
        /* As many versions as keys: the word has none for the set of keys beside the number of keys. */
        ct_store_release(&s->state, word + (CT_WORD_ONE_VERSION + CT_WORD_ONE_USED) * (uint64_t)plan->count);
        ct_self()->writes++;
        done = 1;
    }
    ct_compact_unlock(&section);
    return done;
}

/* Section held: apply one change to a body that nobody sees yet. */
static void
apply(ct_full *full, ct_pending *pending, ct_body *fresh, Py_ssize_t ix, PyObject *value)
{
    ct_table *t = &full->base;
    PyObject *name = ct_shared_name(full->shared, ix);
    PyObject *old = (PyObject *)ct_load_relaxed(&fresh->values[ix]);
    ct_store_relaxed(&fresh->values[ix], (uintptr_t)Py_NewRef(value));
    if (old == NULL) {
        fresh->order[fresh->count++] = (uint8_t)ix;
        ct_event_held(t, pending, CT_KIND_ADDED, name, NULL, value);
    }
    else {
        ct_pending_drop(pending, old);
        ct_event_held(t, pending, CT_KIND_MODIFIED, name, old, value);
    }
}

/* Section held: publish a body with the whole plan in it. */
static int
apply_all_held(ct_full *full, const ct_plan *plan, ct_pending *pending, ct_body **retired)
{
    ct_table *t = &full->base;
    ct_body *old = ct_load_relaxed(&full->body);
    for (Py_ssize_t ix = 0; ix < CT_NAMES_MAX; ix++) {
        if (plan->found >> ix & 1 && (ix >= old->capacity || ct_load_relaxed(&old->values[ix]) == 0)) {
            return CT_NOT_MET;
        }
    }
    ct_body *fresh = ct_body_new(ct_shared_count(full->shared));
    if (fresh == NULL || ct_pending_reserve(pending, plan->count + 2) < 0
        || ct_event_reserve_many_held(t, pending, plan->count) < 0) {
        PyMem_Free(fresh);
        return CT_NO_MEMORY;
    }
    uint8_t capacity = fresh->capacity;
    memcpy(fresh, old, sizeof(ct_body) + old->capacity * sizeof(ct_word));
    fresh->capacity = capacity;
    for (Py_ssize_t i = 0; i < plan->count; i++) {
        apply(full, pending, fresh, plan->ix[i], plan->values[i]);
    }
    int added = fresh->count - old->count;
    CT_POINT(record_batch);
    ct_store_release(&full->body, fresh); /* readers see all of it or nothing */
    ct_store_relaxed(&t->used, fresh->count);
    ct_store_release(&t->version, ct_load_relaxed(&t->version) + (uint64_t)plan->count - 1);
    if (added > 1) {
        ct_store_release(&t->keys_version,
                         ct_load_relaxed(&t->keys_version) + (uint64_t)added - 1);
    }
    ct_commit_held(t, pending, added > 0);
    *retired = old;
    return CT_DONE;
}

/* Section held: the plan becomes the contents of an empty record. */
static int
fill_body_held(ct_full *full, const ct_plan *plan, PyObject *cloned, ct_pending *pending,
               ct_body **retired)
{
    ct_table *t = &full->base;
    ct_body *fresh;
    if (ct_load_relaxed(&full->body)->count != 0) {
        return CT_NOT_MET;
    }
    fresh = ct_body_new(ct_shared_count(full->shared));
    if (fresh == NULL || ct_event_reserve_held(t, pending) < 0) {
        PyMem_Free(fresh);
        return CT_NO_MEMORY;
    }
    for (Py_ssize_t i = 0; i < plan->count; i++) {
        ct_store_relaxed(&fresh->values[plan->ix[i]], (uintptr_t)Py_NewRef(plan->values[i]));
        fresh->order[fresh->count++] = (uint8_t)plan->ix[i];
    }
    *retired = ct_load_relaxed(&full->body);
    CT_POINT(record_filled);
    ct_store_release(&full->body, fresh);
    ct_store_relaxed(&t->used, fresh->count);
    ct_event_held(t, pending, CT_KIND_CLONED, NULL, NULL, cloned);
    ct_commit_held(t, pending, 1);
    return CT_DONE;
}

/* `cloned` NULL: a batch; else the filling of an empty record.  CT_DONE, CT_NOT_MET, CT_FAILED, or
 * CT_RESTART when the record is combined by now. */
static int
run_plan(ct_full *full, const ct_plan *plan, PyObject *cloned)
{
    ct_section section;
    ct_pending pending;
    ct_body *retired = NULL;
    int status = CT_RESTART;
    if (ct_touch(&full->base) < 0 || ct_write_lock(&full->base, &section) < 0) {
        return CT_FAILED;
    }
    ct_pending_init(&pending, &full->base);
    if (ct_load_relaxed(&full->body) != NULL) {
        status = cloned == NULL ? apply_all_held(full, plan, &pending, &retired)
                                : fill_body_held(full, plan, cloned, &pending, &retired);
    }
    int shared = ct_is_shared(&full->base);
    ct_unlock(&section);
    ct_body_retire(full->base.st, retired, shared);
    ct_pending_finish(&pending);
    if (status == CT_NO_MEMORY) {
        PyErr_NoMemory();
        status = CT_FAILED;
    }
    return status;
}

static PyObject *
private_dict(ct_state *st, PyObject *mapping)
{
    if (PyDict_CheckExact(mapping)) {
        return PyDict_Copy(mapping);
    }
    PyObject *pairs = PyObject_CallOneArg(st->pairs_of, mapping), *dict = NULL;
    if (pairs != NULL) {
        dict = PyDict_New();
        if (dict != NULL && PyDict_MergeFromSeq2(dict, pairs, 1) < 0) {
            Py_CLEAR(dict);
        }
        Py_DECREF(pairs);
    }
    return dict;
}

static int
has_missing(ct_state *st, PyObject *dict)
{
    Py_ssize_t at = 0;
    PyObject *key, *value;
    while (PyDict_Next(dict, &at, &key, &value)) {
        if (value == st->missing) {
            return 1;
        }
    }
    return 0;
}

static int
fill_full(ct_split *s, const ct_plan *plan, PyObject *mine)
{
    ct_full *full = ct_split_full(s);
    PyObject *cloned = full == NULL ? NULL : Py_NewRef(Py_None);
    if (full != NULL && full->base.watch != NULL) {
        Py_XSETREF(cloned, ct_frozen_from(full->base.st, full->base.st->frozen_dict_type, mine, NULL));
    }
    int status = cloned == NULL ? CT_FAILED : run_plan(full, plan, cloned);
    Py_XDECREF(cloned);
    return status;
}

/* Into a table that is combined, or has to be. */
static int
fill_combined(ct_split *s, PyObject *mine)
{
    ct_table *table = ct_split_combined(s);
    if (table != NULL && ct_update(table, mine, NULL) == 0) {
        return CT_DONE;
    }
    return table != NULL && ct_split_was_cleared() ? CT_NOT_MET : CT_FAILED;
}

int
ct_split_fill(PyObject *self, PyObject *mapping)
{
    ct_split *s = CT_SPLIT(self);
    ct_shared *shared = ct_split_shared(s);
    ct_plan plan;
    if (ct_split_touch(s) < 0) {
        return CT_FAILED;
    }
    if (ct_split_used(s) != 0) {
        return CT_NOT_MET;
    }
    PyObject *mine = private_dict(shared->st, mapping);
    if (mine == NULL) {
        return CT_FAILED;
    }
    int status = CT_NOT_MET;
    if (PyDict_GET_SIZE(mine) != 0 && !has_missing(shared->st, mine)) {
        int split = ct_split_if_combined(s) == NULL ? plan_names(s, mine, 1, &plan) : 0;
        status = split < 0 ? CT_FAILED : CT_RESTART;
        if (split > 0) {
            status = fill_compact(s, &plan) ? CT_DONE : fill_full(s, &plan, mine);
        }
        if (status == CT_RESTART) {
            status = fill_combined(s, mine);
        }
    }
    Py_DECREF(mine);
    return status;
}

static ct_table *
combined_of(PyObject *self)
{
    return ct_split_combined(CT_SPLIT(self));
}

static int
was_cleared(PyObject *Py_UNUSED(self))
{
    return ct_split_was_cleared();
}

int
ct_split_update_many(PyObject *self, PyObject *changes)
{
    ct_split *s = CT_SPLIT(self);
    ct_plan plan;
    if (PyDict_GET_SIZE(changes) == 0) {
        return ct_split_touch(s);
    }
    int status = CT_NOT_MET;
    for (int tries = 0; status == CT_NOT_MET && tries < CT_MAX_OWN_RESTARTS; tries++) {
        /* CT_NOT_MET: a clear() came between */
        int split = ct_split_if_combined(s) == NULL ? plan_names(s, changes, 0, &plan) : 0;
        status = split < 0 ? CT_FAILED : CT_RESTART;
        if (split > 0) {
            ct_full *full = ct_split_full(s);
            status = full == NULL ? CT_FAILED : run_plan(full, &plan, NULL);
        }
    }
    if (status == CT_RESTART || status == CT_NOT_MET) {
        status = ct_update_many_of(self, changes, combined_of, was_cleared);
    }
    return status < 0 ? -1 : 0;
}

/* -- the layout --------------------------------------------------------------------------------- */

static PyObject *
names_column(ct_shared *shared)
{
    Py_ssize_t names = ct_shared_count(shared), size = shared->keys->capacity;
    PyObject *column = PyTuple_New(size);
    for (Py_ssize_t i = 0; column != NULL && i < size; i++) {
        PyObject *shown = i < names ? ct_shared_name(shared, i) : shared->st->missing;
        PyTuple_SET_ITEM(column, i, Py_NewRef(shown));
    }
    return column;
}

static PyObject *
values_column(ct_shared *shared, const ct_columns *columns)
{
    Py_ssize_t size = shared->keys->capacity;
    PyObject *column = PyTuple_New(size);
    for (Py_ssize_t i = 0; column != NULL && i < size; i++) {
        PyObject *shown = shared->st->missing;
        for (Py_ssize_t k = 0; k < columns->count; k++) {
            shown = columns->order[k] == i ? columns->values[k] : shown;
        }
        PyTuple_SET_ITEM(column, i, Py_NewRef(shown));
    }
    return column;
}

static PyObject *
order_column(const ct_columns *columns)
{
    PyObject *column = PyTuple_New(columns->count);
    for (Py_ssize_t i = 0; column != NULL && i < columns->count; i++) {
        PyObject *number = PyLong_FromLong(columns->order[i]);
        if (number == NULL) {
            Py_CLEAR(column);
            break;
        }
        PyTuple_SET_ITEM(column, i, number);
    }
    return column;
}

static PyObject *
layout_of_columns(ct_shared *shared, const ct_columns *columns)
{
    ct_state *st = shared->st;
    Py_ssize_t watchers = columns->watch == NULL ? 0 : PyObject_Size(columns->watch);
    PyObject *layout = NULL, *nothing = watchers < 0 ? NULL : PyTuple_New(0);
    PyObject *arguments = nothing == NULL ? NULL : Py_BuildValue(
        "{s:s,s:i,s:i,s:N,s:O,s:N,s:N,s:N,s:n,s:n,s:n,s:n,s:O,s:O,s:K,s:K,s:n,s:O}",
        "kind", "split", "log2_size", CT_NAMES_LOG2, "index_width", 1, "index",
        ct_index_column(shared->keys), "hashes", Py_None, "keys", names_column(shared), "values",
        values_column(shared, columns), "order", order_column(columns), "used",
        columns->count, "filled", columns->count, "capacity", columns->capacity, "nbytes",
        columns->capacity * (Py_ssize_t)sizeof(ct_word), "null", st->missing, "dead", st->module,
        "version", (unsigned long long)columns->version, "keys_version",
        (unsigned long long)columns->keys_version, "watchers", watchers, "shared",
        columns->shared ? Py_True : Py_False);
    if (arguments != NULL) {
        layout = PyObject_Call(st->layout_type, nothing, arguments);
    }
    Py_XDECREF(arguments);
    Py_XDECREF(nothing);
    return layout;
}

PyObject *
ct_split_layout(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_columns columns;
    int split;
    while ((split = ct_split_columns(CT_SPLIT(self), &columns)) == 0) {
        ct_table *table = ct_split_if_combined(CT_SPLIT(self));
        if (table != NULL) {
            return ct_layout_of_table((PyObject *)table, NULL);
        }
    }
    PyObject *layout =
        split < 0 ? NULL : layout_of_columns(ct_split_shared(CT_SPLIT(self)), &columns);
    ct_columns_clear(&columns);
    return layout;
}
