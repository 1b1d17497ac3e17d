/* How large the window should be; the specification is cache/policy/miniatures.py. */
#include "cache_policy.h"

enum { ENTRIES = 512, SAMPLES = 8, SHARES = 7, LRU = SHARES - 1, KEPT = 3, FIRST_BUCKETS = 64 };
#define MEMORY 0.996 /* what is left of the hits of one sample in the next */
#define AHEAD 1.03 /* times as many hits as those of the LRU are clearly more */
#define HURDLE 0.125 /* entries of a miniature: the lead that it takes to leave the LRU */
#define LESS_SURE 1.2 /* times that, each time that the miniatures see half as many of the keys */
#define PATIENCE 1.25 /* entries of a miniature: how far behind what came first is still kept */
#define ALL 18446744073709551616.0 /* 2**64 */

static const double shares[SHARES] = {0.0, 0.02, 0.06, 0.15, 0.35, 0.65, 1.0};
const double ct_first_share = 1.0, ct_kept_share = 0.15; /* the last of the shares, and the KEPT one */

typedef struct {
    ct_item item;
    uint32_t chain; /* the next one in the same bucket */
    uint32_t hit; /* since it is there */
    int64_t weight;
} node;

/* A cache of hashes with a window of fixed share. */
typedef struct {
    ct_segments segments;
    ct_slab nodes;
    uint32_t *buckets; /* by hash */
    uint32_t nbuckets, count;
    double hits, repeats, memory, lead;
} miniature;

struct ct_miniatures {
    int64_t entries, asked, sample, most;
    uint64_t seed, limit;
    double hurdle, behind, missed;
    int all;  /* every key is in the sample */
    int keep; /* the cache keeps what came first */
    miniature minis[SHARES];
};

static int64_t
weight_of_node(const void *item)
{
    return ((const node *)item)->weight;
}

CT_INLINE node *
node_at(const miniature *mini, uint32_t number)
{
    return ct_slab_at(&mini->nodes, number);
}

CT_INLINE uint32_t *
bucket_of(const miniature *mini, int64_t hash)
{
    return &mini->buckets[ct_spread((uint64_t)hash, 0) & (mini->nbuckets - 1)];
}

static int
make_buckets(miniature *mini, uint32_t count)
{
    uint32_t *buckets = PyMem_RawMalloc(count * sizeof(uint32_t)), *old = mini->buckets;
    if (buckets == NULL) {
        return -1;
    }
    memset(buckets, 0xFF, count * sizeof(uint32_t)); /* CT_NONE */
    uint32_t before = mini->nbuckets;
    mini->buckets = buckets;
    mini->nbuckets = count;
    for (uint32_t i = 0; i < before; i++) {
        for (uint32_t number = old[i], next; number != CT_NONE; number = next) {
            node *one = node_at(mini, number);
            next = one->chain;
            uint32_t *bucket = bucket_of(mini, one->item.hash);
            one->chain = *bucket;
            *bucket = number;
        }
    }
    PyMem_RawFree(old);
    return 0;
}

static void
forget(miniature *mini, uint32_t number)
{
    uint32_t *link = bucket_of(mini, node_at(mini, number)->item.hash);
    while (*link != number) {
        link = &node_at(mini, *link)->chain;
    }
    *link = node_at(mini, number)->chain;
    ct_slab_give(&mini->nodes, number);
    mini->count--;
}

static void
ask(miniature *mini, int64_t hash, int64_t weight)
{
    uint32_t number = *bucket_of(mini, hash);
    while (number != CT_NONE && node_at(mini, number)->item.hash != hash) {
        number = node_at(mini, number)->chain;
    }
    if (number != CT_NONE) {
        mini->hits += 1.0;
        mini->repeats += node_at(mini, number)->hit;
        node_at(mini, number)->hit = 1;
        ct_segments_accessed(&mini->segments, number);
        return;
    }
    if (mini->count >= mini->nbuckets) {
        (void)make_buckets(mini, 2 * mini->nbuckets); /* crowded ones do as well */
    }
    number = ct_slab_take(&mini->nodes);
    if (number == CT_NONE) {
        return;
    }
    node *one = node_at(mini, number);
    uint32_t *bucket = bucket_of(mini, hash);
    one->item.hash = hash;
    one->weight = weight;
    one->hit = 0;
    one->chain = *bucket;
    *bucket = number;
    mini->count++;
    ct_chain_add(&mini->segments, CT_WINDOW, number);
    ct_segments_begin(&mini->segments);
    while ((number = ct_segments_victim(&mini->segments)) != CT_NONE) {
        forget(mini, number);
    }
}

ct_miniatures *
ct_miniatures_new(int64_t maxsize, int64_t entries, const ct_sketch *sketch, uint64_t seed)
{
    ct_miniatures *minis = PyMem_RawCalloc(1, sizeof(*minis));
    if (minis == NULL) {
        return NULL;
    }
    double part = (double)ENTRIES / (double)entries;
    part = part < 1.0 ? part : 1.0;
    int64_t size = (int64_t)((double)maxsize * part);
    minis->entries = entries;
    minis->seed = ct_spread(2, seed);
    minis->all = part == 1.0;
    minis->limit = minis->all ? 0 : (uint64_t)(part * ALL);
    minis->most = entries < ENTRIES ? entries : ENTRIES;
    minis->sample = minis->most / SAMPLES > 1 ? minis->most / SAMPLES : 1;
    minis->hurdle = HURDLE * (double)minis->most;
    for (int64_t seen = 2 * minis->most; seen <= entries; seen *= 2) {
        minis->hurdle *= LESS_SURE;
    }
    int failed = 0;
    for (int i = 0; i < SHARES; i++) {
        miniature *mini = &minis->minis[i];
        ct_slab_init(&mini->nodes, sizeof(node));
        ct_segments_init(&mini->segments, &mini->nodes, weight_of_node, size > 1 ? size : 1, shares[i],
                         sketch, seed);
        failed |= make_buckets(mini, FIRST_BUCKETS) < 0;
    }
    if (failed) {
        ct_miniatures_free(minis);
        return NULL;
    }
    return minis;
}

void
ct_miniatures_free(ct_miniatures *minis)
{
    for (int i = 0; minis != NULL && i < SHARES; i++) {
        ct_slab_free(&minis->minis[i].nodes);
        PyMem_RawFree(minis->minis[i].buckets);
    }
    PyMem_RawFree(minis);
}

void
ct_miniatures_asked(ct_miniatures *minis, int64_t hash, int64_t weight)
{
    if (minis->all || ct_spread((uint64_t)hash, minis->seed) < minis->limit) {
        minis->asked++;
        for (int i = 0; i < SHARES; i++) {
            ask(&minis->minis[i], hash, weight);
        }
    }
}

/* Book what the miniatures hit since the last call. */
static void
count_hits(ct_miniatures *minis)
{
    double lru = minis->minis[LRU].hits, size = (double)minis->most;
    double kept = minis->minis[KEPT].hits;
    double behind = minis->behind + lru - kept;
    double missed = minis->missed + minis->minis[LRU].repeats - kept;
    minis->behind = behind > 0.0 ? behind : 0.0;
    minis->missed = missed > 0.0 ? missed : 0.0;
    for (int i = 0; i < SHARES; i++) {
        miniature *mini = &minis->minis[i];
        double lead = mini->lead + mini->hits - lru * AHEAD;
        lead = lead > -size ? lead : -size;
        mini->lead = lead < 2.0 * minis->hurdle ? lead : 2.0 * minis->hurdle;
        mini->memory *= MEMORY;
        mini->memory += mini->hits;
        mini->hits = mini->repeats = 0.0;
    }
}

double
ct_miniatures_advice(ct_miniatures *minis, double share)
{
    if (minis->asked < minis->sample) {
        return share;
    }
    minis->asked = 0;
    count_hits(minis);
    int best = LRU;
    double most = -1.0, hurdle = share == shares[LRU] || minis->keep ? minis->hurdle : 0.0;
    for (int i = 0; i < LRU; i++) {
        miniature *mini = &minis->minis[i];
        int more = mini->memory > most || (mini->memory == most && shares[i] == share);
        if (mini->lead >= hurdle && more) {
            best = i;
            most = mini->memory;
        }
    }
    if (minis->keep) {
        double size = (double)minis->most;
        if (best == LRU && minis->behind < PATIENCE * size && minis->missed < HURDLE * size) {
            return share;
        }
        minis->keep = 0;
        ct_segments_resize(&minis->minis[KEPT].segments, shares[KEPT]);
    }
    return shares[best];
}

void
ct_miniatures_keep_first(ct_miniatures *minis)
{
    minis->keep = 1;
    ct_segments_keep(&minis->minis[KEPT].segments, shares[KEPT]);
}

int
ct_miniatures_keep(const ct_miniatures *minis)
{
    return minis->keep;
}

int64_t
ct_miniatures_entries(const ct_miniatures *minis)
{
    return minis->entries;
}
