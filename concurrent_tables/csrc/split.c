/* Records: one key, one atomic step.  The forms of a record and their rules are in split.h. */
#include "split.h"
#include "watching.h"

enum { AGAIN = 2, NEEDS_FULL = 3, NEEDS_ROOM = 4 };

/* -- whose the record is ------------------------------------------------------------------------- */

static unsigned int
owner_number(ct_record *self)
{
    return self->number < CT_OWNER_MET ? self->number : CT_OWNER_SHARED;
}

#if CT_FT
/* I9: under the section, like every write, so that the owner never drops what we may be reading. */
static void
change_owner(ct_split *s, uint64_t owner)
{
    ct_compact_section section;
    ct_compact_lock(s, &section);
    uint64_t word = ct_load_relaxed(&s->state);
    if (CT_WORD_IS_COMPACT(word) && CT_WORD_OWNER(word) < owner) {
        word &= ~((uint64_t)CT_OWNER_SHARED << 31);
        ct_store_release(&s->state, word | owner << 31);
    }
    ct_compact_unlock(&section);
}

static void
defer_refcount(ct_split *s, ct_state *st)
{
#  if PY_VERSION_HEX >= 0x030E0000
    if (st->defer_refcount) {
        PyUnstable_Object_EnableDeferredRefcount((PyObject *)s);
    }
#  else
    (void)s;
    (void)st;
#  endif
}

/* Unpinned: the first access of a foreign thread, or one of those that make the record a shared one. */
static CT_NOINLINE void
note_visit(ct_split *s, uint64_t word, ct_record *self)
{
    if (!CT_WORD_IS_COMPACT(word)) {
        ct_share(&ct_word_full(word)->base, self);
    }
    else if (CT_WORD_OWNER(word) != CT_OWNER_MET) {
        change_owner(s, CT_OWNER_MET);
    }
    else {
        change_owner(s, CT_OWNER_SHARED);
        defer_refcount(s, ct_shared_numbered(CT_WORD_ID(word))->st);
    }
}

/* Pinned: whether this thread may go on as it is. */
CT_INLINE int
is_known(uint64_t word, ct_record *self)
{
    if (CT_UNLIKELY(!CT_WORD_IS_COMPACT(word))) {
        uintptr_t owner = ct_load_acquire(&ct_word_full(word)->base.owner);
        return owner == CT_SHARED || owner == (uintptr_t)self;
    }
    unsigned int owner = CT_WORD_OWNER(word);
    if (CT_UNLIKELY(owner == CT_OWNER_MET)) {
        return ++self->visits % CT_VISITS != 0;
    }
    return owner == CT_OWNER_SHARED || owner == self->number;
}
#endif

/* Pinned on return with the state word; NULL with MemoryError.  A foreign thread is noted. */
CT_INLINE ct_record *
enter(ct_split *s, uint64_t *word)
{
    ct_record *self = ct_self();
    if (CT_UNLIKELY(self == NULL)) {
        PyErr_NoMemory();
        return NULL;
    }
    ct_pin(self);
    *word = ct_load_acquire(&s->state);
#if CT_FT
    while (CT_UNLIKELY(!is_known(*word, self))) {
        ct_unpin(self);
        note_visit(s, *word, self);
        ct_pin(self);
        *word = ct_load_acquire(&s->state);
    }
#endif
    return self;
}

int
ct_split_touch(ct_split *s)
{
    uint64_t word;
    ct_record *self = enter(s, &word);
    if (self == NULL) {
        return -1;
    }
    ct_unpin(self);
    return 0;
}

/* -- bodies ------------------------------------------------------------------------------------- */

ct_body *
ct_body_new(Py_ssize_t capacity)
{
    if (capacity < CT_VALUES_MIN) {
        capacity = CT_VALUES_MIN;
    }
    if (capacity > CT_NAMES_MAX) {
        capacity = CT_NAMES_MAX;
    }
    ct_body *body = PyMem_Calloc(1, sizeof(ct_body) + (size_t)capacity * sizeof(ct_word));
    if (body != NULL) {
        body->capacity = (uint8_t)capacity;
    }
    return body;
}

void
ct_body_retire(ct_state *st, ct_body *body, int shared)
{
    if (body == NULL) {
        return;
    }
    if (shared && CT_FT) {
        ct_retire(st, (uintptr_t)body | CT_ITEM_RAW, sizeof(ct_body));
    }
    else {
        PyMem_Free(body);
    }
}

/* -- from compact to full, from split to combined ----------------------------------------------- */

/* The compact values in their order. */
static void
move_values(ct_split *s, uint64_t word, ct_body *body)
{
    ct_word *values = ct_split_values(s);
    for (Py_ssize_t ix = 0; ix < CT_WORD_CAPACITY(word); ix++) {
        uintptr_t value = ct_load_relaxed(&values[ix]);
        if (value != 0) {
            ct_store_relaxed(&body->values[ix], value);
            body->order[body->count++] = (uint8_t)ix;
        }
    }
}

static ct_full *
full_new(ct_state *st)
{
    PyTypeObject *type = st->extra_types[CT_X_FULL];
    ct_full *full = (ct_full *)type->tp_alloc(type, 0);
    if (full != NULL && ct_table_init_part(&full->base, st) < 0) {
        Py_CLEAR(full);
    }
    return full;
}

/* Section of the record held, word compact: publish `full` with `body`. */
static void
become_full_held(ct_split *s, uint64_t word, ct_full *full, ct_body *body)
{
    ct_table *t = &full->base;
    move_values(s, word, body);
    full->shared = ct_shared_numbered(CT_WORD_ID(word)); /* the record's reference */
    ct_store_relaxed(&t->version, CT_WORD_VERSION(word));
    ct_store_relaxed(&t->keys_version, (uint64_t)CT_WORD_USED(word));
    ct_store_relaxed(&t->used, CT_WORD_USED(word));
    if (CT_FT && CT_WORD_IS_SHARED(word)) {
        ct_store_relaxed(&t->owner, CT_SHARED);
        ct_store_relaxed(&t->lockfree, 0);
    }
    t->parent = (PyObject *)s;
    ct_store_relaxed(&full->body, body);
    CT_POINT(record_full);
    ct_store_release(&s->state, (uint64_t)(uintptr_t)full);
}

ct_full *
ct_split_full(ct_split *s)
{
    ct_compact_section section;
    if (ct_split_touch(s) < 0) {
        return NULL;
    }
    uint64_t word = ct_load_acquire(&s->state);
    if (!CT_WORD_IS_COMPACT(word)) {
        return ct_word_full(word);
    }
    ct_shared *shared = ct_split_shared(s);
    ct_full *full = full_new(shared->st);
    ct_body *body = ct_body_new(ct_shared_count(shared));
    if (full == NULL || body == NULL) {
        Py_XDECREF(full);
        PyMem_Free(body);
        PyErr_NoMemory();
        return NULL;
    }
    ct_compact_lock(s, &section);
    word = ct_load_relaxed(&s->state);
    int mine = CT_WORD_IS_COMPACT(word);
    if (mine) {
        become_full_held(s, word, full, body);
    }
    ct_compact_unlock(&section);
#if CT_FT
    if (mine && CT_WORD_OWNER(word) == CT_OWNER_MET) {
        defer_refcount(s, shared->st); /* as ct_share does for the full form */
    }
#endif
    if (!mine) { /* another thread was faster */
        Py_DECREF(full);
        PyMem_Free(body);
        full = ct_word_full(word);
    }
    return full;
}

/* The values of `body` in a block of their own; keys get references, values keep theirs. */
static ct_keys *
block_of_body(ct_full *full, ct_body *body)
{
    ct_keys *keys = ct_keys_new(ct_log2_holding(body->count + 1), CT_UNICODE);
    for (int i = 0; keys != NULL && i < body->count; i++) {
        PyObject *name = ct_shared_name(full->shared, body->order[i]);
        Py_INCREF(name);
        ct_keys_append(keys, name, ct_str_hash(name),
                       (PyObject *)ct_load_relaxed(&body->values[body->order[i]]));
    }
    return keys;
}

ct_table *
ct_split_combined(ct_split *s)
{
    ct_section section;
    ct_pending pending;
    ct_full *full = ct_split_full(s);
    if (full == NULL || ct_write_lock(&full->base, &section) < 0) {
        return NULL;
    }
    ct_body *body = ct_load_relaxed(&full->body);
    ct_keys *keys = body == NULL ? NULL : block_of_body(full, body);
    int shared = ct_is_shared(&full->base);
    ct_pending_init(&pending, &full->base);
    pending.shared = shared;
    if (keys != NULL) {
        ct_pending_block(&pending, ct_load_relaxed(&full->base.keys)); /* what clear() had sealed */
        /* One step: readers look into the body while there is one, and afterwards find all of it
         * in the block. */
        ct_store_keys_held(&full->base, keys);
        CT_POINT(record_combined);
        ct_store_release(&full->body, NULL);
    }
    ct_unlock(&section);
    ct_pending_finish(&pending);
    if (keys != NULL) {
        ct_body_retire(full->base.st, body, shared);
    }
    else if (body != NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    return &full->base;
}

ct_table *
ct_split_if_combined(ct_split *s)
{
    uint64_t word = ct_load_acquire(&s->state);
    if (CT_WORD_IS_COMPACT(word) || ct_load_acquire(&ct_word_full(word)->body) != NULL) {
        return NULL;
    }
    return &ct_word_full(word)->base;
}

/* After an operation on `base` failed: whether it met the block that a clear() had sealed.  Then the error
 * means only that, and goes.  (The record may be combined again by now.) */
int
ct_split_was_cleared(void)
{
    ct_record *self = ct_self();
    if (!self->sealed || !PyErr_ExceptionMatches(PyExc_MemoryError)) {
        return 0;
    }
    self->sealed = 0;
    PyErr_Clear();
    return 1;
}

/* -- reading ------------------------------------------------------------------------------------ */

/* Pinned: the value of entry `ix`, NULL when absent; *combined when there is no split form. */
CT_INLINE PyObject *
value_at(ct_split *s, uint64_t word, Py_ssize_t ix, int *combined)
{
    if (CT_LIKELY(CT_WORD_IS_COMPACT(word))) {
        return ix >= 0 && ix < CT_WORD_CAPACITY(word)
                   ? (PyObject *)ct_load_acquire(&ct_split_values(s)[ix])
                   : NULL;
    }
    ct_body *body = ct_load_acquire(&ct_word_full(word)->body);
    if (body == NULL) {
        *combined = 1;
        return NULL;
    }
    return ix >= 0 && ix < body->capacity ? (PyObject *)ct_load_acquire(&body->values[ix]) : NULL;
}

/* A key that is no exact str: the shared name that equals it and that this record has, borrowed from
 * the SharedKeys; MISS.  User code runs: unpinned, on names that live as long as the record. */
static Py_ssize_t
equal_name(ct_split *s, ct_shared *shared, PyObject *key, Py_hash_t hash)
{
    ct_probe_state at;
    Py_ssize_t ix;
    ct_probe_start(shared->keys, hash, &at);
    while ((ix = ct_probe_resume(shared->keys, key, hash, &at)) == CT_COMPARE) {
        uint64_t word;
        int combined = 0;
        ct_record *self = enter(s, &word);
        if (self == NULL) {
            return CT_ERROR;
        }
        int live = value_at(s, word, at.ix, &combined) != NULL;
        ct_unpin(self);
        if (combined) {
            return CT_RESTART;
        }
        if (live) {
            int equal = PyObject_RichCompareBool(ct_shared_name(shared, at.ix), key, Py_EQ);
            if (equal != 0) {
                return equal < 0 ? CT_ERROR : at.ix;
            }
        }
    }
    return ix;
}

/* Entry of any key among the shared names. */
CT_INLINE Py_ssize_t
find_name(ct_split *s, ct_shared *shared, PyObject *key, Py_hash_t hash)
{
    return CT_LIKELY(PyUnicode_CheckExact(key)) ? ct_probe_str8(shared->keys, key, hash, 0, NULL)
                                                : equal_name(s, shared, key, hash);
}

Py_ssize_t
ct_split_find(ct_split *s, PyObject *key, Py_hash_t hash)
{
    return find_name(s, ct_split_shared(s), key, hash);
}

/* Any record, any key: 1 with a new reference, 0, -1. */
static CT_NOINLINE int
get_any(ct_split *s, PyObject *key, Py_hash_t hash, PyObject **value)
{
    for (;;) {
        ct_table *table = ct_split_if_combined(s);
        if (table != NULL) {
            return ct_get(table, key, hash, value);
        }
        Py_ssize_t ix = find_name(s, ct_split_shared(s), key, hash);
        if (ix == CT_ERROR) {
            return -1;
        }
        uint64_t word;
        int combined = ix == CT_RESTART;
        ct_record *record = enter(s, &word);
        if (record == NULL) {
            return -1;
        }
        PyObject *found = value_at(s, word, ix, &combined);
        CT_POINT(value_load);
        Py_XINCREF(found);
        ct_unpin(record);
        if (CT_LIKELY(!combined)) {
            *value = found;
            return found != NULL;
        }
    }
}

/* The value of an exact str in a compact record, pinned; NULL when absent. */
CT_INLINE PyObject *
compact_value(ct_split *s, uint64_t word, PyObject *key, Py_hash_t hash)
{
    Py_ssize_t ix = ct_probe_str8(ct_shared_numbered(CT_WORD_ID(word))->keys, key, hash, 0, NULL);
    return ix >= 0 && ix < CT_WORD_CAPACITY(word)
               ? (PyObject *)ct_load_acquire(&ct_split_values(s)[ix])
               : NULL;
}

int
ct_split_get(PyObject *self, PyObject *key, Py_hash_t hash, PyObject **value)
{
    ct_split *s = CT_SPLIT(self);
    uint64_t word;
    ct_record *record = enter(s, &word);
    if (CT_UNLIKELY(record == NULL)) {
        return -1;
    }
    if (CT_LIKELY(CT_WORD_IS_COMPACT(word) && PyUnicode_CheckExact(key))) {
        PyObject *found = compact_value(s, word, key, hash);
        CT_POINT(value_load);
        Py_XINCREF(found); /* pinned: the record's reference lives on (I10) */
        ct_unpin(record);
        *value = found;
        return found != NULL;
    }
    ct_unpin(record);
    return get_any(s, key, hash, value);
}

int
ct_split_has(PyObject *self, PyObject *key, Py_hash_t hash)
{
    ct_split *s = CT_SPLIT(self);
    uint64_t word;
    PyObject *value;
    ct_record *record = enter(s, &word);
    if (CT_UNLIKELY(record == NULL)) {
        return -1;
    }
    if (CT_LIKELY(CT_WORD_IS_COMPACT(word) && PyUnicode_CheckExact(key))) {
        int found = compact_value(s, word, key, hash) != NULL;
        ct_unpin(record);
        return found;
    }
    ct_unpin(record);
    int found = get_any(s, key, hash, &value);
    if (found > 0) {
        Py_DECREF(value);
    }
    return found;
}

/* -- writing ------------------------------------------------------------------------------------ */

/* What the condition says about the present value: CT_DONE to go on, else CT_NOT_MET. */
static int
admits(ct_change *change, PyObject *old)
{
    switch (change->condition) {
    case CT_IF_ABSENT:
        return old == NULL;
    case CT_IF_PRESENT:
        return old != NULL;
    case CT_IF_SAME:
        return old == change->same;
    default:
        return 1;
    }
}

static void
tell_old(ct_change *change, PyObject *old)
{
    if (change->want_old) {
        Py_XINCREF(old);
        change->old_value = old;
    }
}

static int
is_youngest(ct_split *s, uint64_t word, Py_ssize_t ix)
{
    ct_word *values = ct_split_values(s);
    for (Py_ssize_t later = ix + 1; later < CT_WORD_CAPACITY(word); later++) {
        if (ct_load_relaxed(&values[later]) != 0) {
            return 0;
        }
    }
    return 1;
}

/* Section held: store in a compact record.  *dropped gets the table's reference to the old value. */
static int
store_compact_held(ct_split *s, Py_ssize_t ix, ct_change *change, PyObject **dropped, int *shared)
{
    uint64_t word = ct_load_relaxed(&s->state);
    if (!CT_WORD_IS_COMPACT(word)) {
        return AGAIN;
    }
    if (ix >= CT_WORD_CAPACITY(word) || CT_WORD_VERSION(word) == CT_WORD_VERSION_MAX) {
        return NEEDS_FULL;
    }
    ct_word *slot = &ct_split_values(s)[ix];
    PyObject *old = (PyObject *)ct_load_relaxed(slot);
    if (!admits(change, old)) {
        tell_old(change, old);
        return CT_NOT_MET;
    }
    if (old == NULL && !is_youngest(s, word, ix)) {
        return NEEDS_FULL; /* it needs an order of its own */
    }
    Py_INCREF(change->new_value);
    tell_old(change, old);
    CT_POINT(record_store);
    ct_store_release(slot, (uintptr_t)change->new_value); /* publishes the entry (I4) */
    CT_POINT(record_count);
    ct_store_release(&s->state,
                     word + CT_WORD_ONE_VERSION + (old == NULL ? CT_WORD_ONE_USED : 0));
    *dropped = old;
    *shared = CT_WORD_IS_SHARED(word);
    ct_self()->writes++;
    return CT_DONE;
}

static int
store_compact(ct_split *s, Py_ssize_t ix, ct_change *change)
{
    ct_compact_section section;
    PyObject *dropped = NULL;
    int shared = 0;
    if (ct_split_touch(s) < 0) {
        return CT_FAILED;
    }
    ct_compact_lock(s, &section);
    int status = store_compact_held(s, ix, change, &dropped, &shared);
    ct_compact_unlock(&section);
    if (dropped != NULL) {
        ct_drop(ct_split_shared(s)->st, dropped, shared); /* I7 */
    }
    return status;
}

/* Section held: the same in a body. */
static int
store_body_held(ct_full *full, Py_ssize_t ix, ct_change *change, ct_pending *pending)
{
    ct_table *t = &full->base;
    ct_body *body = ct_load_relaxed(&full->body);
    if (body == NULL) {
        return AGAIN;
    }
    if (ix >= body->capacity) {
        return change->condition == CT_IF_ANY || change->condition == CT_IF_ABSENT ? NEEDS_ROOM
                                                                                    : CT_NOT_MET;
    }
    PyObject *name = ct_shared_name(full->shared, ix);
    PyObject *old = (PyObject *)ct_load_relaxed(&body->values[ix]);
    if (!admits(change, old)) {
        tell_old(change, old);
        return CT_NOT_MET;
    }
    if (ct_event_reserve_held(t, pending) < 0) {
        return CT_NO_MEMORY;
    }
    Py_INCREF(change->new_value);
    tell_old(change, old);
    if (old == NULL) {
        body->order[body->count++] = (uint8_t)ix;
    }
    CT_POINT(record_store);
    ct_store_release(&body->values[ix], (uintptr_t)change->new_value);
    if (old == NULL) {
        ct_add_relaxed(&t->used, 1);
    }
    else {
        ct_pending_drop(pending, old);
    }
    ct_event_held(t, pending, old == NULL ? CT_KIND_ADDED : CT_KIND_MODIFIED, name, old,
                  change->new_value);
    ct_commit_held(t, pending, old == NULL);
    return CT_DONE;
}

/* Section held: a body with room for every shared name, in place of the present one. */
static int
widen_held(ct_full *full, ct_body **retired)
{
    ct_body *old = ct_load_relaxed(&full->body);
    ct_body *wider = ct_body_new(ct_shared_count(full->shared));
    if (wider == NULL) {
        return CT_NO_MEMORY;
    }
    uint8_t capacity = wider->capacity;
    memcpy(wider, old, sizeof(ct_body) + old->capacity * sizeof(ct_word));
    wider->capacity = capacity;
    CT_POINT(record_widen);
    ct_store_release(&full->body, wider);
    *retired = old;
    return CT_DONE;
}

static int
store_body(ct_full *full, Py_ssize_t ix, ct_change *change)
{
    ct_section section;
    ct_pending pending;
    ct_body *retired = NULL;
    if (ct_touch(&full->base) < 0 || ct_write_lock(&full->base, &section) < 0) {
        return CT_FAILED;
    }
    ct_pending_init(&pending, &full->base);
    int status = store_body_held(full, ix, change, &pending);
    if (status == NEEDS_ROOM) {
        status = widen_held(full, &retired);
        status = status < 0 ? status : store_body_held(full, ix, change, &pending);
    }
    int shared = ct_is_shared(&full->base);
    ct_unlock(&section);
    ct_body_retire(full->base.st, retired, shared);
    ct_pending_finish(&pending);
    if (status == CT_NO_MEMORY) {
        PyErr_NoMemory();
    }
    return status < 0 ? CT_FAILED : status;
}

/* Store under the shared name `ix` in whatever form the record has; AGAIN when it is combined. */
static int
store(ct_split *s, Py_ssize_t ix, ct_change *change)
{
    uint64_t word = ct_load_acquire(&s->state);
    if (CT_WORD_IS_COMPACT(word)) {
        int status = store_compact(s, ix, change);
        if (status != NEEDS_FULL) {
            return status;
        }
        return ct_split_full(s) == NULL ? CT_FAILED : AGAIN;
    }
    return store_body(ct_word_full(word), ix, change);
}

/* What happens to a key that has no entry: CT_DONE, CT_NOT_MET, or AGAIN to take the combined way. */
static int
change_absent(ct_split *s, const ct_change *change)
{
    if (change->condition == CT_IF_PRESENT || change->condition == CT_IF_SAME) {
        return CT_NOT_MET;
    }
    if (change->new_value == NULL) {
        return CT_DONE;
    }
    return ct_split_combined(s) == NULL ? CT_FAILED : AGAIN;
}

/* One attempt on a record that seems to be split. */
static int
change_once(ct_split *s, PyObject *key, Py_hash_t hash, ct_change *change)
{
    ct_shared *shared = ct_split_shared(s);
    Py_ssize_t ix = find_name(s, shared, key, hash);
    uint64_t word;
    int combined = 0, inserts = change->condition == CT_IF_ANY || change->condition == CT_IF_ABSENT;
    if (ix == CT_ERROR || ix == CT_RESTART) {
        return ix == CT_ERROR ? CT_FAILED : AGAIN;
    }
    ct_record *self = enter(s, &word);
    if (self == NULL) {
        return CT_FAILED;
    }
    int present = value_at(s, word, ix, &combined) != NULL;
    ct_unpin(self);
    if (combined) {
        return AGAIN;
    }
    if (change->new_value == NULL) { /* a deletion leaves the shape */
        return present ? (ct_split_combined(s) == NULL ? CT_FAILED : AGAIN)
                       : change_absent(s, change);
    }
    if (!present && inserts && PyUnicode_CheckExact(key)) {
        ix = ct_shared_index(shared, key, hash, 1);
        present = ix != CT_MISS;
    }
    return present ? store(s, ix, change) : change_absent(s, change);
}

int
ct_split_change(PyObject *self, PyObject *key, Py_hash_t hash, ct_change *change)
{
    ct_split *s = CT_SPLIT(self);
    change->old_value = NULL;
    for (;;) {
        ct_table *table = ct_split_if_combined(s);
        int status = table != NULL ? ct_change_entry(table, key, hash, change)
                                   : change_once(s, key, hash, change);
        if (status == CT_FAILED && table != NULL && ct_split_was_cleared()) {
            status = AGAIN;
        }
        if (status != AGAIN) {
            return status;
        }
    }
}

/* -- life --------------------------------------------------------------------------------------- */

/* Compact instances are of the exact type only: where its values are, subclasses from 3.13 on keep their
 * attributes. */
static ct_split *
allocate_compact(PyTypeObject *type, Py_ssize_t capacity)
{
#if PY_VERSION_HEX < 0x030C0000
    ct_split *s = (ct_split *)type->tp_alloc(type, 0);
    if (s != NULL) {
        s->values = PyMem_Calloc((size_t)capacity, sizeof(ct_word));
        if (s->values == NULL) {
            Py_CLEAR(s);
            PyErr_NoMemory();
        }
    }
    return s;
#else
    return (ct_split *)PyUnstable_Object_GC_NewWithExtraData(
        type, (size_t)capacity * sizeof(ct_word));
#endif
}

/* A SharedKeys without a number, and instances of subclasses: full at once. */
static int
start_full(ct_split *s, ct_shared *shared)
{
    ct_full *full = full_new(shared->st);
    ct_body *body = ct_body_new(ct_shared_count(shared));
    if (full == NULL || body == NULL) {
        Py_XDECREF(full);
        PyMem_Free(body);
        PyErr_NoMemory();
        return -1;
    }
    full->shared = (ct_shared *)Py_NewRef(shared);
    full->base.parent = (PyObject *)s;
    ct_store_relaxed(&full->body, body);
    ct_store_release(&s->state, (uint64_t)(uintptr_t)full);
    return 0;
}

PyObject *
ct_split_new(ct_state *st, PyTypeObject *type, ct_shared *shared)
{
    ct_record *self = ct_self();
    Py_ssize_t capacity = ct_shared_count(shared);
    int compact = shared->id != 0 && type == st->extra_types[CT_X_SPLIT];
    ct_split *s;
    if (self == NULL) {
        return PyErr_NoMemory();
    }
    capacity = capacity < CT_VALUES_MIN ? CT_VALUES_MIN : capacity;
    s = compact ? allocate_compact(type, capacity) : (ct_split *)type->tp_alloc(type, 0);
    if (s == NULL) {
        return NULL;
    }
    if (compact) {
        Py_INCREF(shared);
        ct_store_release(&s->state, (uint64_t)owner_number(self) << 31 | (uint64_t)shared->id << 11
                                        | (uint64_t)capacity << 6 | 1);
#if PY_VERSION_HEX >= 0x030C0000
        PyObject_GC_Track(s);
#endif
    }
    else if (start_full(s, shared) < 0) {
        Py_DECREF(s);
        return NULL;
    }
    if (ct_debug_register(shared->st, (PyObject *)s) < 0) {
        Py_CLEAR(s);
    }
    return (PyObject *)s;
}

void
ct_split_free_values(ct_split *s)
{
    uint64_t word = ct_load_relaxed(&s->state);
    if (CT_WORD_IS_COMPACT(word)) {
        ct_word *values = ct_split_values(s);
        for (Py_ssize_t ix = 0; ix < CT_WORD_CAPACITY(word); ix++) {
            PyObject *value = (PyObject *)ct_exchange_acq_rel(&values[ix], 0);
            Py_XDECREF(value); /* nobody has a reference to the record, so nobody is reading */
        }
        Py_DECREF(ct_shared_numbered(CT_WORD_ID(word)));
    }
    else if (word != 0) {
        ct_full *full = ct_word_full(word);
        full->base.parent = NULL; /* a guard or gate may still have it */
        Py_DECREF(full);
    }
    ct_store_relaxed(&s->state, 0);
#if PY_VERSION_HEX < 0x030C0000
    PyMem_Free(s->values);
    s->values = NULL;
#endif
}

/* -- the full form as an object ----------------------------------------------------------------- */

static int
full_traverse(PyObject *self, visitproc visit, void *arg)
{
    ct_full *full = (ct_full *)self;
    ct_body *body = ct_load_acquire(&full->body);
    for (int ix = 0; body != NULL && ix < body->capacity; ix++) {
        PyObject *value = (PyObject *)ct_load_acquire(&body->values[ix]);
        Py_VISIT(value);
    }
    return ct_table_traverse(&full->base, visit, arg);
}

/* Lets the values go; the form stays, for readers. */
static int
full_clear(PyObject *self)
{
    ct_full *full = (ct_full *)self;
    ct_body *body = ct_load_acquire(&full->body);
    int shared = ct_is_shared(&full->base);
    for (int ix = 0; body != NULL && ix < body->capacity; ix++) {
        PyObject *value = (PyObject *)ct_exchange_acq_rel(&body->values[ix], 0);
        if (value != NULL) {
            ct_drop(full->base.st, value, shared);
        }
    }
    if (body != NULL) {
        body->count = 0;
        ct_store_relaxed(&full->base.used, 0);
    }
    return ct_table_clear_refs(&full->base);
}

static void
full_dealloc(PyObject *self)
{
    ct_full *full = (ct_full *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    ct_body *body = ct_load_relaxed(&full->body);
    for (int ix = 0; body != NULL && ix < body->capacity; ix++) {
        Py_XDECREF((PyObject *)ct_load_relaxed(&body->values[ix]));
    }
    PyMem_Free(body);
    ct_table_release(&full->base);
    Py_XDECREF(full->shared);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot full_slots[] = {
    {Py_tp_doc, "What a SplitDict record has beyond its compact form."},
    {Py_tp_traverse, full_traverse},
    {Py_tp_clear, full_clear},
    {Py_tp_dealloc, full_dealloc},
    {0, NULL},
};

static PyType_Spec full_spec = {
    .name = "concurrent_tables._core.FullRecord",
    .basicsize = sizeof(ct_full),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = full_slots,
};

int
ct_full_type_init(ct_state *st, PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &full_spec, NULL);
    st->extra_types[CT_X_FULL] = (PyTypeObject *)type;
    return type == NULL ? -1 : ct_table_type_register(st, (PyTypeObject *)type);
}
