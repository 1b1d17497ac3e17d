/* Access records and counts of a cache, by thread. */
#include "cache_store.h"

/* Without misses nothing is evicted, and the order of the entries does not matter: after many hits that no
 * miss preceded, more and more of them go unrecorded.  A thread that misses, or writes what was not there,
 * records again at once.  What the cache does not know of the order by then may cost it one hit for each
 * entry, hence so many hits for each that this is little beside them; fewer where half of the bound is free,
 * since that comes to be filled with as many misses first. */
enum { CALM_HITS = 16, CALM_HITS_IF_ROOMY = 2, FEWEST_CALM_HITS = 256 };
enum { LEAST_SKIPPED = 64, MOST_SKIPPED = 32768 };

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
chunk_for(ct_store *store, unsigned int *number)
{
    ct_stripe_chunk *chunk = &store->stripes;
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
ct_stripe_make(ct_store *store, unsigned int number)
{
    ct_stripe_chunk *chunk = chunk_for(store, &number);
    ct_cache_stripe *stripe = chunk == NULL ? NULL : allocate();
    if (stripe == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    ct_store_release(&chunk->at[number], stripe); /* no other live thread has this number */
#if CT_FT && PY_VERSION_HEX >= 0x030E0000
    int others = 0;
    for (int i = 0; i < CT_CHUNK_STRIPES; i++) {
        others += ct_load_relaxed(&store->stripes.at[i]) != NULL;
    }
    if (others == 2 && store->named != NULL && store->base.st->defer_refcount) {
        PyUnstable_Object_EnableDeferredRefcount(store->named); /* as tables do when they become shared */
    }
#endif
    return stripe;
}

typedef int (*stripe_visitor)(ct_cache_stripe *stripe, void *arg);

static int
each_stripe(ct_store *store, stripe_visitor visit, void *arg)
{
    int status = 0;
    for (ct_stripe_chunk *chunk = &store->stripes; chunk != NULL && status == 0;
         chunk = ct_load_acquire(&chunk->next)) {
        for (int i = 0; i < CT_CHUNK_STRIPES && status == 0; i++) {
            ct_cache_stripe *stripe = ct_load_acquire(&chunk->at[i]);
            status = stripe == NULL ? 0 : visit(stripe, arg);
        }
    }
    return status;
}

static int
drain_stripe(ct_cache_stripe *stripe, void *arg)
{
    ct_store *store = arg;
    uintptr_t head = ct_load_relaxed(&stripe->head), tail = ct_load_acquire(&stripe->tail);
    for (; head != tail; head++) {
        uint32_t number = ct_load_relaxed(&stripe->records[head % CT_CACHE_RECORDS]);
        if (ct_node_at(store, number)->item.region != CT_OUTSIDE) {
            ct_policy_accessed(&store->policy, number);
        }
    }
    ct_store_release(&stripe->head, head); /* the writer may use the places again */
    return 0;
}

/* In the section: book the accesses. */
void
ct_stripes_drain_held(ct_store *store)
{
    if (store->policy.kind != CT_POLICY_NONE) {
        each_stripe(store, drain_stripe, store);
    }
}

/* How many hits in a row leave the cache calm. */
static int64_t
enough_hits_held(ct_store *store)
{
    const ct_policy *policy = &store->policy;
    int roomy = ct_segments_weight(&policy->segments) <= policy->maxsize / 2;
    int64_t enough = (int64_t)ct_used(&store->base) * (roomy ? CALM_HITS_IF_ROOMY : CALM_HITS);
    return enough > FEWEST_CALM_HITS ? enough : FEWEST_CALM_HITS;
}

/* After that, because a ring was full: for how many drains the cache has been calm. */
void
ct_stripes_calm_held(ct_store *store)
{
    int64_t hits, misses;
    int calm = 0;
    ct_cache_counts(store, &hits, &misses);
    if (misses != store->misses) {
        store->misses = misses;
        store->hits = hits;
    }
    else if (hits - store->hits >= enough_hits_held(store)) {
        calm = ct_load_relaxed(&store->calm) + 1;
    }
    ct_store_relaxed(&store->calm, calm < 64 ? calm : 64);
}

/* Somebody may have been driven out: record again, from now on what this thread does. */
void
ct_stripes_wake_held(ct_store *store)
{
    ct_record *self = ct_self();
    ct_cache_stripe *stripe = self == NULL ? NULL : ct_stripe_find(store, self->number);
    if (stripe != NULL) {
        stripe->skip = 0;
    }
    ct_store_relaxed(&store->calm, 0);
    store->misses = -1;
}

unsigned int
ct_cache_calm(ct_store *store)
{
    int calm = ct_load_relaxed(&store->calm) - 1;
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
ct_cache_counts(ct_store *store, int64_t *hits, int64_t *misses)
{
    counts sum = {0, 0};
    each_stripe(store, add_counts, &sum);
    *hits = sum.hits;
    *misses = sum.misses;
}

static int
free_stripe(ct_cache_stripe *stripe, void *Py_UNUSED(arg))
{
    PyMem_RawFree(stripe->memory);
    return 0;
}

/* Nobody has a reference to the table any more. */
void
ct_stripes_free(ct_store *store)
{
    each_stripe(store, free_stripe, NULL);
    ct_stripe_chunk *chunk = ct_load_relaxed(&store->stripes.next);
    while (chunk != NULL) {
        ct_stripe_chunk *next = ct_load_relaxed(&chunk->next);
        PyMem_RawFree(chunk);
        chunk = next;
    }
    memset(&store->stripes, 0, sizeof(store->stripes));
}
