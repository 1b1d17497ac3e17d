/* Tables: life, sharing, sections, pending work.  The rules are in table.h; changes are in write.c. */
#include "table.h"
#include "split.h"
#include "frozen.h"
#include "set.h"
#include "watching.h"

/* -- life --------------------------------------------------------------------------------------- */

int
ct_table_init_part(ct_table *t, ct_state *st)
{
    ct_record *self = ct_self();
    if (self == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    t->st = st;
    ct_store_relaxed(&t->owner, (uintptr_t)self);
    ct_store_relaxed(&t->lockfree, 1);
    t->quiet = 0;
    ct_store_keys_held(t, ct_empty_keys);
    return 0;
}

int
ct_debug_register(ct_state *st, PyObject *table)
{
    if (CT_LIKELY(st->debug_register == NULL)) {
        return 0;
    }
    PyObject *result = PyObject_CallOneArg(st->debug_register, table);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int
ct_table_init(ct_table *t, ct_state *st)
{
    return ct_table_init_part(t, st) < 0 ? -1 : ct_debug_register(st, (PyObject *)t);
}

int
ct_table_traverse(ct_table *t, visitproc visit, void *arg)
{
    ct_keys *keys = ct_load_acquire(&t->keys);
    Py_VISIT(Py_TYPE(t));
    Py_VISIT(t->watch);
    Py_VISIT(t->gate);
    PyObject *snapshot = ct_load_acquire(&t->snapshot);
    Py_VISIT(snapshot);
    if (keys == NULL) {
        return 0; /* half built: gc.get_objects() sees it already */
    }
    Py_ssize_t count = ct_load_acquire(&keys->nentries);
    for (Py_ssize_t ix = keys->bottom; ix < count; ix++) {
        PyObject *value = ct_entry_value(keys, ix);
        if (value != NULL) {
            if (keys->kind == CT_GENERAL) {
                Py_VISIT(ct_entry_key(keys, ix)); /* exact str keys are in no cycle */
            }
            Py_VISIT(value);
        }
    }
    return 0;
}

/* The table lets its contents go; readers of other threads may still be there when `shared`. */
static void
drop_contents(ct_table *t, int shared)
{
    ct_keys *keys = ct_load_acquire(&t->keys);
    PyObject *snapshot = ct_exchange_acq_rel(&t->snapshot, NULL);
    if (keys != NULL && keys != ct_empty_keys) {
        ct_store_relaxed(&t->used, 0);
        ct_store_keys_held(t, ct_empty_keys);
        keys->owns = CT_OWNS_ALL;
        if (shared && CT_FT) {
            ct_retire(t->st, (uintptr_t)keys | CT_ITEM_BLOCK, ct_keys_nbytes(keys));
        }
        else {
            ct_keys_release(keys);
        }
    }
    if (snapshot != NULL) {
        ct_drop(t->st, snapshot, shared);
    }
}

int
ct_table_clear_refs(ct_table *t)
{
    drop_contents(t, ct_is_shared(t));
    Py_CLEAR(t->gate);
    return 0;
}

void
ct_table_finalize(ct_table *t)
{
    if (t->log != NULL) {
        ct_watch_close(t);
    }
}

void
ct_table_release(ct_table *t)
{
    drop_contents(t, 0); /* nobody has a reference, so nobody is reading */
    ct_stripe *stripes = ct_load_acquire(&t->stripes);
    ct_store_relaxed(&t->stripes, NULL);
    PyMem_Free(stripes);
    t->log = NULL;
    Py_CLEAR(t->watch);
    Py_CLEAR(t->gate);
}

/* -- sharing ------------------------------------------------------------------------------------ */

#if CT_FT

/* The section is held: the table becomes everybody's. */
static void
share_held(ct_table *t)
{
    ct_store_seq_cst(&t->owner, CT_SHARING);
    /* The owner may be inside a read or write, pinned, for which it was alone.  It does not wait for
     * anything there, so this ends; a later one sees CT_SHARING and comes to the section. */
    CT_POINT(share);
    ct_synchronize();
    ct_store_relaxed(&t->lockfree, 0); /* not earlier: the owner's commits may set it */
    t->quiet = 1;
    t->calm = 0;
    ct_store_release(&t->owner, CT_SHARED);
}

void
ct_share(ct_table *t, ct_record *self)
{
    PyCriticalSection cs;
    int first = 0;
    CT_POINT_LOCK(&t->mutex);
    PyCriticalSection_BeginMutex(&cs, &t->mutex);
    uintptr_t owner = ct_load_relaxed(&t->owner);
    if (owner != CT_SHARED && owner != (uintptr_t)self) {
        share_held(t);
        first = 1;
    }
    PyCriticalSection_End(&cs);
    CT_POINT_UNLOCK();
#  if PY_VERSION_HEX >= 0x030E0000
    /* Refcounts are the largest cost of a shared table; from here on only the GC frees it. */
    if (first && t->st->defer_refcount) {
        PyUnstable_Object_EnableDeferredRefcount(t->parent != NULL ? t->parent : (PyObject *)t);
    }
#  else
    (void)first;
#  endif
}

/* Before waiting for a mutex that is taken.  Two threads that take turns at every change move the table's
 * cache lines to and fro each time; whoever finds the mutex taken stays away for as long as some dozen
 * changes last, so that the other one makes them in its own cache.  (Backoff: T. Anderson, "The performance
 * of spin lock alternatives for shared-memory multiprocessors", 1990.)  That two writers meet in one of many
 * shards is an accident and soon over: there it is enough not to park. */
static void
keep_off(ct_table *t)
{
    int pauses = t->parent == NULL ? CT_BACKOFF_PAUSES : 1;
    int rounds = t->parent == NULL ? CT_BACKOFF_ROUNDS : CT_SHARD_SPINS;
    for (; rounds > 0 && PyMutex_IsLocked(&t->mutex); rounds--) {
        for (int i = 0; i < pauses; i++) {
            ct_relax();
        }
    }
}

CT_NOINLINE void
ct_lock_shared(ct_table *t, ct_section *section)
{
    if (ct_load_acquire(&t->owner) != CT_SHARED) {
        ct_share(t, ct_tls_record);
    }
    section->owner = NULL;
    keep_off(t);
    CT_POINT_LOCK(&t->mutex);
    PyCriticalSection_BeginMutex(&section->cs, &t->mutex);
    CT_POINT(lock_taken);
}

#else

void
ct_share(ct_table *t, ct_record *Py_UNUSED(self))
{
    ct_store_relaxed(&t->owner, CT_SHARED); /* for inspect_table only */
}

#endif

int
ct_touch(ct_table *t)
{
    ct_record *self = ct_enter(t);
    if (self == NULL) {
        return -1;
    }
    ct_unpin(self);
    return 0;
}

void
ct_quiesce_held(ct_table *t)
{
#if CT_FT
    if (!ct_is_shared(t)) {
        return; /* the only thread is here, hence not inside an overwrite */
    }
    ct_store_relaxed(&t->lockfree, 0);
    t->calm = 0;
    if (!t->quiet) {
        /* Lock-free writers are pinned from before they look at the flag until after their CAS. */
        CT_POINT(quiesce);
        ct_synchronize();
        t->quiet = 1;
    }
#else
    (void)t;
#endif
}

uint64_t
ct_version(ct_table *t)
{
    uint64_t sum = ct_load_acquire(&t->version);
    ct_stripe *stripes = ct_load_acquire(&t->stripes);
    for (int i = 0; stripes != NULL && i <= CT_STRIPES; i++) {
        sum += ct_load_acquire(&stripes[i].count);
    }
    return sum;
}

int
ct_await_counts(ct_table *t)
{
#if CT_FT
    if (ct_touch(t) < 0) {
        return -1;
    }
    /* Who has seen a change sees its section taken, or what was counted in it.  A section that begins after
     * this look does not matter: the versions are those of the moment before. */
    if (ct_is_shared(t) && PyMutex_IsLocked(&t->mutex)) {
        ct_section section;
        ct_lock(t, &section);
        ct_unlock(&section);
    }
#else
    (void)t;
#endif
    return 0;
}

/* The same for overwrites outside the section.  Between the two numbers a thread stops nowhere, neither for
 * a fork nor for anything else. */
void
ct_await_overwrites(ct_table *t)
{
#if CT_FT
    ct_stripe *stripes = ct_load_acquire(&t->stripes);
    for (int i = 0; stripes != NULL && i <= CT_STRIPES; i++) {
        uint64_t begun = ct_load_acquire(&stripes[i].begun);
        for (unsigned int round = 0; ct_load_acquire(&stripes[i].count) < begun; round++) {
            uint64_t now = ct_load_acquire(&stripes[i].begun);
            if (now < begun) {
                begun = now; /* taken back: another thread was faster */
            }
            CT_POINT_SPIN(count_wait);
            ct_pause_thread(round);
        }
    }
#else
    (void)t;
#endif
}

PyObject *
ct_version_attribute(PyObject *self, void *Py_UNUSED(closure))
{
    ct_table *t = CT_TABLE(self);
    if (ct_await_counts(t) < 0) {
        return NULL;
    }
    ct_await_overwrites(t);
    return PyLong_FromUnsignedLongLong(ct_version(t));
}

PyObject *
ct_keys_version_attribute(PyObject *self, void *Py_UNUSED(closure))
{
    ct_table *t = CT_TABLE(self);
    return ct_await_counts(t) < 0
               ? NULL
               : PyLong_FromUnsignedLongLong(ct_load_acquire(&t->keys_version));
}

/* -- fork --------------------------------------------------------------------------------------- */

int
ct_table_type_register(ct_state *st, PyTypeObject *type)
{
    for (size_t i = 0; i < sizeof(st->table_types) / sizeof(st->table_types[0]); i++) {
        if (st->table_types[i] == NULL) {
            st->table_types[i] = type;
            return 0;
        }
    }
    PyErr_SetString(PyExc_SystemError, "too many table types");
    return -1;
}

#if CT_FT
static int
reset_section(PyObject *o, void *arg)
{
    ct_state *st = arg;
    if (PyObject_TypeCheck(o, st->extra_types[CT_X_SPLIT])) {
        memset(&o->ob_mutex, 0, sizeof(o->ob_mutex)); /* the section of a compact record */
    }
    for (size_t i = 0; i < sizeof(st->table_types) / sizeof(st->table_types[0]); i++) {
        if (st->table_types[i] != NULL && PyObject_TypeCheck(o, st->table_types[i])) {
            memset(&CT_TABLE(o)->mutex, 0, sizeof(PyMutex));
        }
    }
    return 1;
}
#endif

/* In a forked child, whose only thread is the caller.  No thread was inside a section at the fork (the
 * world was stopped), but a mutex may have been handed to a waiter that the child does not have. */
void
ct_tables_after_fork(ct_state *st)
{
    st->forks++;
#if CT_FT
    PyUnstable_GC_VisitObjects(reset_section, st);
    ct_shared_after_fork();
#else
    (void)st;
#endif
}

/* -- pending work ------------------------------------------------------------------------------- */

int
ct_pending_reserve(ct_pending *pending, Py_ssize_t drops)
{
    pending->more = PyMem_New(PyObject *, drops + 1);
    return pending->more == NULL ? CT_NO_MEMORY : 0;
}

static size_t
snapshot_nbytes(ct_state *st, PyObject *snapshot)
{
    return PyObject_TypeCheck(snapshot, st->frozen_dict_type)
               ? ct_keys_nbytes(CT_FROZEN_DICT(snapshot)->keys)
               : ct_keys_nbytes((ct_keys *)CT_FROZEN_SET(snapshot)->block);
}

void
ct_forget_snapshot_slow(ct_table *t, ct_pending *pending)
{
    CT_POINT(snapshot_drop);
    PyObject *snapshot = ct_exchange_acq_rel(&t->snapshot, NULL);
    pending->nbytes = snapshot_nbytes(t->st, snapshot);
    ct_pending_drop(pending, snapshot);
    pending->shared = ct_is_shared(t); /* the change may still come to nothing */
}

void
ct_pending_block(ct_pending *pending, ct_keys *keys)
{
    if (keys != ct_empty_keys) {
        CT_ASSERT(pending->nblocks < 2);
        pending->blocks[pending->nblocks++] = keys;
    }
}

static void
drop_one(ct_pending *pending, PyObject *o)
{
    ct_state *st = pending->t->st;
#if CT_FT
    if (pending->shared && pending->nbytes > 0 && !ct_is_immortal(o)) {
        size_t nbytes = pending->nbytes; /* the snapshot's, or of what goes along with it */
        pending->nbytes = 0;
        ct_retire(st, (uintptr_t)o | CT_ITEM_OBJECT, nbytes);
        return;
    }
#endif
    ct_drop(st, o, pending->shared);
}

/* The section is left and the change complete: finalizers and callbacks may do anything (I7). */
void
ct_pending_finish_slow(ct_pending *pending)
{
    ct_state *st = pending->t->st;
    int shared = pending->shared;
    for (int i = 0; i < pending->nblocks; i++) {
        ct_keys *keys = pending->blocks[i];
        if (shared && CT_FT) {
            ct_retire(st, (uintptr_t)keys | CT_ITEM_BLOCK, ct_keys_nbytes(keys));
        }
        else {
            ct_keys_release(keys);
        }
    }
    pending->nblocks = 0;
    for (int i = 0; i < pending->ndrops; i++) {
        drop_one(pending, pending->drops[i]);
    }
    pending->ndrops = 0;
    for (Py_ssize_t i = 0; i < pending->nmore; i++) {
        drop_one(pending, pending->more[i]);
    }
    pending->nmore = 0;
    PyMem_Free(pending->more);
    pending->more = NULL;
    if (pending->watch != NULL) {
        ct_deliver(pending);
    }
    ct_free_spare(pending);
}
