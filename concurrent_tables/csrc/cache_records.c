/* Access records and counts of a cache, by thread. */
#include "cache.h"

/* Without misses nothing is evicted, and the order of the entries does not matter: after some drains
 * that no miss preceded, more and more hits go unrecorded.  A thread that misses records again at once. */
enum { CALM_DRAINS = 4, LEAST_SKIPPED = 64, MOST_SKIPPED = 32768 };

static ct_cache_stripe *
allocate(void)
{
    char *memory = PyMem_RawCalloc(1, sizeof(ct_cache_stripe) + 127);
    if (memory == NULL) {
        return NULL;
    }
    ct_cache_stripe *stripe = (ct_cache_stripe *)(((uintptr_t)memory + 127) & ~(uintptr_t)127);
    stripe->memory = memory;
    return stripe;
}

/* The chunk for a number, counted down to the place in it; NULL without memory. */
static ct_stripe_chunk *
chunk_for(ct_hit_path *path, unsigned int *number)
{
    ct_stripe_chunk *chunk = &path->stripes;
    for (; *number >= CT_CHUNK_STRIPES; *number -= CT_CHUNK_STRIPES) {
        ct_stripe_chunk *next = ct_load_acquire(&chunk->next);
        if (next == NULL) {
            ct_stripe_chunk *fresh = PyMem_RawCalloc(1, sizeof(*fresh));
            if (fresh == NULL) {
                return NULL;
            }
            if (ct_cas_seq_cst(&chunk->next, &next, fresh)) {
                next = fresh;
            }
            else {
                PyMem_RawFree(fresh); /* another thread was first; `next` is its chunk */
            }
        }
        chunk = next;
    }
    return chunk;
}

ct_cache_stripe *
ct_stripe_make(ct_hit_path *path, unsigned int number)
{
    ct_stripe_chunk *chunk = chunk_for(path, &number);
    ct_cache_stripe *stripe = chunk == NULL ? NULL : allocate();
    if (stripe == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    ct_store_release(&chunk->at[number], stripe); /* no other live thread has this number */
#if CT_FT && PY_VERSION_HEX >= 0x030E0000
    int others = 0;
    for (int i = 0; i < CT_CHUNK_STRIPES; i++) {
        others += ct_load_relaxed(&path->stripes.at[i]) != NULL;
    }
    if (others == 2 && path->st->defer_refcount) { /* as tables do when they become shared */
        PyUnstable_Object_EnableDeferredRefcount((PyObject *)path);
    }
#endif
    return stripe;
}

typedef int (*stripe_visitor)(ct_cache_stripe *stripe, void *arg);

static int
each_stripe(ct_hit_path *path, stripe_visitor visit, void *arg)
{
    int status = 0;
    for (ct_stripe_chunk *chunk = &path->stripes; chunk != NULL && status == 0;
         chunk = ct_load_acquire(&chunk->next)) {
        for (int i = 0; i < CT_CHUNK_STRIPES && status == 0; i++) {
            ct_cache_stripe *stripe = ct_load_acquire(&chunk->at[i]);
            status = stripe == NULL ? 0 : visit(stripe, arg);
        }
    }
    return status;
}

/* Take one record out; NULL when there is none. */
static PyObject *
take(ct_cache_stripe *stripe)
{
    uintptr_t head = ct_load_relaxed(&stripe->head);
    if (head == ct_load_acquire(&stripe->tail)) {
        return NULL;
    }
    PyObject *entry = stripe->records[head % CT_CACHE_RECORDS];
    stripe->records[head % CT_CACHE_RECORDS] = NULL;
    ct_store_release(&stripe->head, head + 1); /* the writer may use the place again */
    ct_store_relaxed(&((ct_entry *)entry)->noted, 0);
    return entry;
}

static int
drain_stripe(ct_cache_stripe *stripe, void *list)
{
    PyObject *entry;
    int status = 0;
    for (int i = 0; status == 0 && i < CT_CACHE_RECORDS && (entry = take(stripe)) != NULL; i++) {
        status = PyList_Append(list, entry);
        Py_DECREF(entry);
    }
    return status;
}

PyObject *
ct_cache_drain(ct_hit_path *path)
{
    PyObject *list = PyList_New(0);
    if (list == NULL || each_stripe(path, drain_stripe, list) < 0) {
        Py_XDECREF(list);
        return NULL;
    }
    int64_t hits, misses;
    ct_cache_counts(path, &hits, &misses);
    int calm = misses == path->misses ? ct_load_relaxed(&path->calm) + 1 : 0;
    ct_store_relaxed(&path->calm, calm < 64 ? calm : 64);
    path->misses = misses;
    return list;
}

unsigned int
ct_cache_calm(ct_hit_path *path)
{
    int calm = ct_load_relaxed(&path->calm) - CALM_DRAINS;
    if (calm < 0) {
        return 0;
    }
    return calm > 9 ? MOST_SKIPPED : (unsigned int)LEAST_SKIPPED << calm;
}

typedef struct {
    int64_t hits, misses;
} counts;

static int
add_counts(ct_cache_stripe *stripe, void *arg)
{
    counts *sum = arg;
    sum->hits += ct_load_relaxed(&stripe->hits);
    sum->misses += ct_load_relaxed(&stripe->misses);
    return 0;
}

void
ct_cache_counts(ct_hit_path *path, int64_t *hits, int64_t *misses)
{
    counts sum = {0, 0};
    each_stripe(path, add_counts, &sum);
    *hits = sum.hits;
    *misses = sum.misses;
}

typedef struct {
    visitproc visit;
    void *arg;
} visitor;

static int
visit_records(ct_cache_stripe *stripe, void *arg)
{
    visitor *with = arg;
    uintptr_t tail = ct_load_acquire(&stripe->tail);
    for (uintptr_t at = ct_load_relaxed(&stripe->head); at != tail; at++) {
        PyObject *entry = stripe->records[at % CT_CACHE_RECORDS];
        int status = entry == NULL ? 0 : with->visit(entry, with->arg);
        if (status) {
            return status;
        }
    }
    return 0;
}

int
ct_stripes_traverse(ct_hit_path *path, visitproc visit, void *arg)
{
    visitor with = {visit, arg};
    return each_stripe(path, visit_records, &with);
}

static int
free_stripe(ct_cache_stripe *stripe, void *Py_UNUSED(arg))
{
    PyObject *entry;
    while ((entry = take(stripe)) != NULL) {
        Py_DECREF(entry);
    }
    for (int i = 0; i < CT_SCRATCH_KEYS; i++) {
        Py_XDECREF(stripe->scratch[i]);
    }
    PyMem_RawFree(stripe->memory);
    return 0;
}

/* Nobody has a reference to the path any more. */
void
ct_stripes_free(ct_hit_path *path)
{
    each_stripe(path, free_stripe, NULL);
    ct_stripe_chunk *chunk = ct_load_relaxed(&path->stripes.next);
    while (chunk != NULL) {
        ct_stripe_chunk *next = ct_load_relaxed(&chunk->next);
        PyMem_RawFree(chunk);
        chunk = next;
    }
    memset(&path->stripes, 0, sizeof(path->stripes));
}
