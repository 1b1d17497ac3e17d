/* Epoch reclamation, after FreeBSD's Global Unbounded Sequences (sys/kern/subr_smr.c).
 *
 * A reader pins: it publishes in its thread's record the write sequence that it read.  A writer
 * unlinks, then retires.  Retired items collect in batches of 64 in the retiring thread's limbo; a
 * full batch is tagged with the next sequence.  A batch may be freed once no record is pinned below
 * its tag.
 *
 * The fence, in two cases.  The reader stores its pin and then loads the block pointer; the poll
 * runs a heavy barrier and then scans the records.  If the reader's store comes before the barrier,
 * the scan sees the pin and keeps the batch.  If it comes after, so do the reader's loads, and they
 * find the world as the writer left it before the barrier: the item is unlinked already.  With
 * membarrier(2) the heavy barrier interrupts every running thread of the process, so the reader pays
 * a compiler barrier only; elsewhere the reader pays a full fence.  ThreadSanitizer knows neither
 * fence: that build pins and scans with read-modify-writes, of which one sees the other.
 *
 * Sequence and records belong to the process: a thread has one record whichever interpreter it runs,
 * so a pin needs no look-up.  Limbo, counters and orphans belong to an interpreter (ct_domain).
 *
 * Who may touch a limbo: its thread appends to the open batch without a lock (item first, then the
 * count with release).  Everything else (closing, taking, handing over) holds the registry lock.
 * Nothing is freed under the lock (I7).
 */
#include "reclaim_internal.h"
#include "keys.h"

typedef struct ct_batch {
    struct ct_batch *next;
    uint64_t goal;     /* may be freed when no record is pinned below it */
    ct_ssize count;    /* written by the owner, release */
    Py_ssize_t taken;  /* items [0, taken) are gone; under the registry lock */
    size_t nbytes;
    uintptr_t items[CT_BATCH_ITEMS];
} ct_batch;

typedef struct ct_limbo {
    struct ct_domain *domain;
    struct ct_limbo *next_of_record, *next_of_domain;
    ct_batch *open;
    ct_batch *head, *tail; /* closed, oldest first */
    Py_ssize_t closed_batches;
    size_t closed_bytes;
    ct_u64 retired;
    int polling; /* own thread only */
    int64_t polled_at; /* ns; own thread only */
} ct_limbo;

typedef struct ct_domain {
    ct_limbo *limbos;
    ct_batch *orphans; /* closed batches of ended threads */
    uint64_t retired_by_ended, freed, polls, pressure_waits, callback_errors;
    int closed; /* no limbo is made any more: what is retired is dropped directly */
} ct_domain;

static int process_ready;

/* -- batches ------------------------------------------------------------------------------------ */

static ct_batch *
batch_new(void)
{
    ct_batch *batch = PyMem_RawMalloc(sizeof(ct_batch));
    if (batch != NULL) {
        batch->next = NULL;
        batch->goal = 0;
        ct_store_relaxed(&batch->count, 0);
        batch->taken = 0;
        batch->nbytes = 0;
    }
    return batch;
}

static void
report_callback_error(ct_state *st, PyObject *callback)
{
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb);
    PyErr_Restore(type, value, tb);
    PyErr_WriteUnraisable(callback);
    LOCK();
    st->domain->callback_errors++;
    UNLOCK();
}

/* May run user code: unlocked, unpinned. */
static void
free_item(ct_state *st, uintptr_t item)
{
    void *pointer = (void *)(item & ~(uintptr_t)CT_ITEM_MASK);
    switch (item & CT_ITEM_MASK) {
    case CT_ITEM_OBJECT:
        Py_DECREF((PyObject *)pointer);
        break;
    case CT_ITEM_BLOCK:
        ct_keys_release(pointer);
        break;
    case CT_ITEM_RAW:
        PyMem_Free(pointer);
        break;
    case CT_ITEM_CALLBACK: {
        PyObject *callback = pointer;
        PyObject *result = PyObject_CallNoArgs(callback);
        if (result == NULL) {
            report_callback_error(st, callback);
        }
        Py_XDECREF(result);
        Py_DECREF(callback);
        break;
    }
    }
}

/* Frees the items [taken, count) of every batch and the batches; how many items. */
static Py_ssize_t
free_batches(ct_state *st, ct_batch *batch)
{
    Py_ssize_t freed = 0;
    PyObject *type, *value, *tb;
    if (batch == NULL) {
        return 0;
    }
    PyErr_Fetch(&type, &value, &tb); /* finalizers must not meet the caller's exception */
    while (batch != NULL) {
        ct_batch *next = batch->next;
        Py_ssize_t count = ct_load_acquire(&batch->count);
        for (Py_ssize_t i = batch->taken; i < count; i++) {
            free_item(st, batch->items[i]);
            freed++;
        }
        PyMem_RawFree(batch);
        batch = next;
    }
    PyErr_Restore(type, value, tb);
    LOCK();
    st->domain->freed += (uint64_t)freed;
    UNLOCK();
    return freed;
}

/* -- closing and taking, registry lock held ----------------------------------------------------- */

static void
close_open(ct_limbo *limbo)
{
    ct_batch *batch = limbo->open;
    limbo->open = NULL;
    if (batch == NULL) {
        return;
    }
    if (batch->taken == ct_load_acquire(&batch->count)) {
        PyMem_RawFree(batch);
        return;
    }
    /* Above the sequence of every reader that may still see an item of the batch: all were unlinked
     * before this increment. */
    batch->goal = ct_fetch_add_acq_rel(&ct_sequence, 1) + 1;
    batch->next = NULL;
    if (limbo->tail == NULL) {
        limbo->head = batch;
    }
    else {
        limbo->tail->next = batch;
    }
    limbo->tail = batch;
    limbo->closed_batches++;
    limbo->closed_bytes += batch->nbytes;
}

/* What was taken, oldest first for each limbo. */
typedef struct {
    ct_batch *head, **end;
} ct_ready;

static void
ready_add(ct_ready *ready, ct_batch *batch)
{
    batch->next = NULL;
    *ready->end = batch;
    ready->end = &batch->next;
}

/* Unlink the closed batches that nobody pinned at `oldest` can see. */
static void
take_closed(ct_limbo *limbo, uint64_t oldest, ct_ready *ready)
{
    while (limbo->head != NULL && limbo->head->goal <= oldest) {
        ct_batch *batch = limbo->head;
        limbo->head = batch->next;
        if (limbo->head == NULL) {
            limbo->tail = NULL;
        }
        limbo->closed_batches--;
        limbo->closed_bytes -= batch->nbytes;
        ready_add(ready, batch);
    }
}

static void
take_orphans(ct_domain *domain, uint64_t oldest, ct_ready *ready)
{
    ct_batch **link = &domain->orphans;
    while (*link != NULL) {
        ct_batch *batch = *link;
        if (batch->goal <= oldest) {
            *link = batch->next;
            ready_add(ready, batch);
        }
        else {
            link = &batch->next;
        }
    }
}

struct ct_limbo *
ct_limbo_next(ct_limbo *limbo)
{
    return limbo->next_of_record;
}

void
ct_limbo_orphan(ct_limbo *limbo)
{
    ct_domain *domain = limbo->domain;
    ct_batch **last = &domain->orphans;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    close_open(limbo);
    while (limbo->head != NULL) {
        ct_batch *batch = limbo->head;
        limbo->head = batch->next;
        batch->next = NULL;
        *last = batch;
        last = &batch->next;
    }
    domain->retired_by_ended += ct_load_relaxed(&limbo->retired);
    ct_limbo **link = &domain->limbos;
    while (*link != limbo) {
        link = &(*link)->next_of_domain;
    }
    *link = limbo->next_of_domain;
    PyMem_RawFree(limbo);
}

/* The calling thread's limbo of this interpreter; NULL without memory. */
static ct_limbo *
limbo_of(ct_state *st)
{
    ct_record *self = ct_self();
    if (self == NULL) {
        return NULL;
    }
#if CT_FT
    for (ct_limbo *limbo = self->limbo; limbo != NULL; limbo = limbo->next_of_record) {
        if (limbo->domain == st->domain) {
            return limbo;
        }
    }
#else
    if (st->domain->limbos != NULL) {
        return st->domain->limbos;
    }
#endif
    if (st->domain->closed) {
        return NULL;
    }
    ct_limbo *limbo = PyMem_RawCalloc(1, sizeof(ct_limbo));
    if (limbo == NULL) {
        return NULL;
    }
    limbo->domain = st->domain;
    LOCK();
#if CT_FT
    limbo->next_of_record = self->limbo;
    self->limbo = limbo;
#endif
    limbo->next_of_domain = st->domain->limbos;
    st->domain->limbos = limbo;
    UNLOCK();
    return limbo;
}

/* -- retire, poll, flush ------------------------------------------------------------------------ */

static Py_ssize_t
poll_limbo(ct_state *st, ct_limbo *limbo, int close)
{
    ct_ready ready = {NULL, &ready.head};
    uint64_t ceiling = ct_load_acquire(&ct_sequence);
    LOCK();
    if (close) {
        close_open(limbo);
        ceiling = ct_load_acquire(&ct_sequence);
    }
    UNLOCK();
    ct_heavy_barrier();
    CT_POINT(scan);
    LOCK();
    uint64_t oldest = ct_oldest_pinned(ceiling);
    take_closed(limbo, oldest, &ready);
    take_orphans(st->domain, oldest, &ready);
    st->domain->polls++;
    UNLOCK();
    return free_batches(st, ready.head);
}

static int
limbo_exceeds(ct_limbo *limbo, Py_ssize_t batches, size_t nbytes)
{
    LOCK();
    int result = limbo->closed_batches >= batches || limbo->closed_bytes >= nbytes;
    UNLOCK();
    return result;
}

static int
under_pressure(ct_limbo *limbo)
{
    return limbo_exceeds(limbo, CT_PRESSURE_ITEMS / CT_BATCH_ITEMS + 1, CT_PRESSURE_BYTES);
}

static void
wait_for_room(ct_state *st, ct_limbo *limbo)
{
    LOCK();
    st->domain->pressure_waits++;
    UNLOCK();
    for (unsigned int round = 0; round < CT_PRESSURE_ROUNDS; round++) {
        CT_POINT_SPIN(pressure_wait);
        ct_pause_thread(1000);
        poll_limbo(st, limbo, 0);
        if (!under_pressure(limbo)) {
            return;
        }
    }
}

/* Whether the limbo has enough for a poll.  Whoever retires quickly polls for more at once, so that
 * its barriers, and what they cost the others, stay rare; what it holds meanwhile is 0.2 ms of work. */
static int
poll_is_due(ct_limbo *limbo)
{
    if (!limbo_exceeds(limbo, CT_POLL_BATCHES, CT_POLL_BYTES)) {
        return 0;
    }
#if CT_FT
    PyTime_t now;
    if (PyTime_MonotonicRaw(&now) < 0) {
        return 1; /* no clock */
    }
    if (now - limbo->polled_at < CT_HURRY_NS
        && !limbo_exceeds(limbo, CT_HURRIED_BATCHES, CT_POLL_BYTES)) {
        return 0;
    }
    limbo->polled_at = now;
#endif
    return 1;
}

static void
batch_is_full(ct_state *st, ct_limbo *limbo)
{
    LOCK();
    close_open(limbo);
    UNLOCK();
    if (limbo->polling) {
        return; /* a finalizer that our own poll runs: that poll's caller goes on */
    }
    limbo->polling = 1;
    if (poll_is_due(limbo)) {
        poll_limbo(st, limbo, 0);
        if (under_pressure(limbo)) {
            wait_for_room(st, limbo);
        }
    }
    limbo->polling = 0;
}

void
ct_retire(ct_state *st, uintptr_t item, size_t nbytes)
{
    ct_limbo *limbo = limbo_of(st);
    ct_batch *batch = limbo == NULL ? NULL : limbo->open;
    if (batch == NULL) {
        batch = limbo == NULL ? NULL : batch_new();
        if (batch == NULL) {
            if (!st->domain->closed) {
                ct_synchronize();
            }
            free_item(st, item);
            return;
        }
        LOCK(); /* flush() of another thread looks at it */
        limbo->open = batch;
        UNLOCK();
    }
    CT_POINT(retire);
    Py_ssize_t count = ct_load_relaxed(&batch->count);
    batch->items[count] = item;
    batch->nbytes += nbytes;
    ct_store_release(&batch->count, count + 1); /* pairs with flush() of another thread */
    ct_bump_release(&limbo->retired);
    if (count + 1 == CT_BATCH_ITEMS || CT_UNLIKELY(batch->nbytes >= CT_POLL_BYTES)) {
        batch_is_full(st, limbo);
    }
}

Py_ssize_t
ct_poll(ct_state *st)
{
    ct_limbo *limbo = limbo_of(st);
    if (limbo == NULL || limbo->polling) {
        return 0;
    }
    limbo->polling = 1;
    Py_ssize_t freed = poll_limbo(st, limbo, 1);
    limbo->polling = 0;
    return freed;
}

/* A copy of what the open batch holds now, so that its owner can go on appending to it. */
static void
copy_open(ct_limbo *limbo, ct_ready *ready)
{
    ct_batch *open = limbo->open;
    Py_ssize_t count = open == NULL ? 0 : ct_load_acquire(&open->count);
    if (open == NULL || open->taken == count) {
        return;
    }
    ct_batch *copy = batch_new();
    if (copy != NULL) {
        copy->taken = open->taken;
        memcpy(copy->items, open->items, (size_t)count * sizeof(uintptr_t));
        ct_store_relaxed(&copy->count, count);
        open->taken = count;
        ready_add(ready, copy);
    }
}

/* Everything retired before the call, by any thread: taken first, freed after a grace period. */
Py_ssize_t
ct_flush(ct_state *st)
{
    Py_ssize_t freed = 0;
    for (int round = 0; round < 16; round++) { /* finalizers retire more */
        ct_ready ready = {NULL, &ready.head};
        LOCK();
        take_orphans(st->domain, UINT64_MAX, &ready);
        for (ct_limbo *limbo = st->domain->limbos; limbo; limbo = limbo->next_of_domain) {
            take_closed(limbo, UINT64_MAX, &ready);
            copy_open(limbo, &ready);
        }
        UNLOCK();
        if (ready.head == NULL) {
            break;
        }
        ct_synchronize();
        freed += free_batches(st, ready.head);
    }
    return freed;
}

void
ct_reclaim_get_stats(ct_state *st, ct_reclaim_stats *out)
{
    ct_domain *domain = st->domain;
    memset(out, 0, sizeof(*out));
    LOCK();
    out->sequence = ct_load_acquire(&ct_sequence);
    for (ct_record *record = ct_all_records; record != NULL; record = record->next) {
        out->threads += record->in_use;
        out->pinned += ct_load_acquire(&record->seq) != 0;
    }
    out->retired_total = domain->retired_by_ended;
    for (ct_limbo *limbo = domain->limbos; limbo; limbo = limbo->next_of_domain) {
        out->retired_total += ct_load_acquire(&limbo->retired);
        out->pending_bytes += (Py_ssize_t)limbo->closed_bytes;
    }
    out->freed_total = domain->freed;
    out->polls = domain->polls;
    out->pressure_waits = domain->pressure_waits;
    out->callback_errors = domain->callback_errors;
    UNLOCK();
    out->pending_items = (Py_ssize_t)(out->retired_total - out->freed_total);
    if (!CT_FT) {
        out->threads = 1;
    }
}

/* -- life of a domain --------------------------------------------------------------------------- */

int
ct_reclaim_init(ct_state *st)
{
    st->domain = PyMem_RawCalloc(1, sizeof(ct_domain));
    if (st->domain == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int status = 0;
    static unsigned int interpreters;
    LOCK();
    st->number = ++interpreters;
    if (!process_ready) {
        status = ct_records_process_init();
        process_ready = status == 0;
    }
    UNLOCK();
    if (status != 0) {
        PyErr_SetString(PyExc_RuntimeError, "concurrent_tables: no thread-exit hook is available");
    }
    return status;
}

static void
detach_limbo(ct_limbo *limbo)
{
#if CT_FT
    for (ct_record *record = ct_all_records; record != NULL; record = record->next) {
        ct_limbo **link = &record->limbo;
        while (*link != NULL && *link != limbo) {
            link = &(*link)->next_of_record;
        }
        if (*link == limbo) {
            *link = limbo->next_of_record;
            return;
        }
    }
#else
    (void)limbo;
#endif
}

/*
 * The interpreter is going away: nobody else runs in it, so what is left is dropped directly, and so is
 * what tables that are still there retire from now on.
 */
void
ct_reclaim_clear(ct_state *st)
{
    ct_domain *domain = st->domain;
    if (domain == NULL) {
        return;
    }
    ct_flush(st);
    LOCK();
    domain->closed = 1;
    while (domain->limbos != NULL) {
        ct_limbo *limbo = domain->limbos;
        detach_limbo(limbo);
        ct_limbo_orphan(limbo);
    }
    UNLOCK();
    ct_flush(st); /* finalizers that ran in the first one may have retired more */
}

void
ct_reclaim_free(ct_state *st)
{
    ct_reclaim_clear(st);
    PyMem_RawFree(st->domain);
    st->domain = NULL;
}
