/* The policies "lru" and "tinylfu"; the specifications are cache/policy/lru.py and tinylfu.py. */
#include "cache_policy.h"

enum { COUNTS_PER_ENTRY = 10, ROOMY = 4, ROOMY_UP_TO = 65536, CROWDED = 4, FEW_HITS = 32 };

int
ct_policy_init(ct_policy *policy, int kind, int64_t maxsize, uint64_t seed, ct_slab *items,
               ct_weight_of weight_of)
{
    memset(policy, 0, sizeof(*policy));
    policy->kind = kind;
    policy->maxsize = maxsize;
    policy->seed = ct_spread(seed, 0);
    ct_segments_init(&policy->segments, items, weight_of, maxsize, ct_first_share, &policy->sketch,
                     policy->seed);
    return kind == CT_POLICY_TINYLFU ? ct_sketch_init(&policy->sketch) : 0;
}

void
ct_policy_free(ct_policy *policy)
{
    ct_sketch_free(&policy->sketch);
    ct_miniatures_free(policy->miniatures);
    policy->miniatures = NULL;
    policy->kind = CT_POLICY_NONE;
}

static void
asked(ct_policy *policy, uint32_t number)
{
    const ct_item *item = ct_item_at(policy->segments.items, number);
    ct_sketch_count(&policy->sketch, ct_spread((uint64_t)item->hash, policy->seed));
    if (policy->miniatures != NULL) { /* the cache was full: begin to forget */
        if (policy->sketch.counted >= COUNTS_PER_ENTRY * policy->entries) {
            ct_sketch_halve(&policy->sketch);
        }
        ct_miniatures_asked(policy->miniatures, item->hash, policy->segments.weight_of(item));
    }
    else {
        policy->asked++;
    }
}

void
ct_policy_added(ct_policy *policy, uint32_t number)
{
    policy->entries++;
    if (policy->kind == CT_POLICY_TINYLFU) {
        int64_t entries = policy->entries;
        int64_t most = entries / 2 > ROOMY_UP_TO ? entries / 2 : ROOMY_UP_TO;
        ct_sketch_make_room(&policy->sketch, ROOMY * entries < most ? ROOMY * entries : most);
        asked(policy, number);
    }
    ct_chain_add(&policy->segments, CT_WINDOW, number);
}

void
ct_policy_replaced(ct_policy *policy, uint32_t old, uint32_t fresh)
{
    if (policy->kind == CT_POLICY_TINYLFU) {
        asked(policy, fresh);
        ct_segments_replaced(&policy->segments, old, fresh);
        return;
    }
    ct_chain_replace(&policy->segments, old, fresh);
    ct_chain_refresh(&policy->segments, fresh);
}

void
ct_policy_accessed(ct_policy *policy, uint32_t number)
{
    if (policy->kind == CT_POLICY_TINYLFU) {
        asked(policy, number);
        ct_segments_accessed(&policy->segments, number);
        return;
    }
    ct_chain_refresh(&policy->segments, number);
}

void
ct_policy_removed(ct_policy *policy, uint32_t number)
{
    policy->entries--;
    ct_chain_remove(&policy->segments, number);
}

static void
ask_oldest_first(ct_policy *policy, ct_miniatures *minis)
{
    static const int order[] = {CT_PROTECTED, CT_PROBATION, CT_WINDOW};
    ct_segments *segments = &policy->segments;
    for (int i = 0; i < 3; i++) {
        uint32_t number = segments->chains[order[i]].oldest;
        while (number != CT_NONE) {
            const ct_item *item = ct_item_at(segments->items, number);
            ct_miniatures_asked(minis, item->hash, segments->weight_of(item));
            number = item->next;
        }
    }
}

/* Few hits until the cache was full: there is nothing to lose by keeping what came first. */
static int
keeps_first(const ct_policy *policy)
{
    if (policy->miniatures != NULL) {
        return ct_miniatures_keep(policy->miniatures);
    }
    return FEW_HITS * (policy->asked - policy->entries) <= policy->entries;
}

static void
make_miniatures(ct_policy *policy)
{
    ct_miniatures *fresh =
        ct_miniatures_new(policy->maxsize, policy->entries, &policy->sketch, policy->seed);
    if (fresh == NULL) {
        return;
    }
    ask_oldest_first(policy, fresh);
    if (keeps_first(policy)) {
        ct_segments_keep(&policy->segments, ct_kept_share);
        ct_miniatures_keep_first(fresh);
    }
    ct_miniatures_free(policy->miniatures);
    policy->miniatures = fresh;
}

/* The cache is full: see to it that there are miniatures, and follow their advice. */
static void
adapt(ct_policy *policy)
{
    ct_miniatures *minis = policy->miniatures;
    if (minis == NULL || policy->entries > CROWDED * ct_miniatures_entries(minis)) {
        make_miniatures(policy);
        return;
    }
    double share = ct_miniatures_advice(minis, policy->segments.share);
    if (share != policy->segments.share) {
        ct_segments_resize(&policy->segments, share);
    }
}

void
ct_policy_begin(ct_policy *policy)
{
    if (policy->kind == CT_POLICY_TINYLFU) {
        if (ct_segments_weight(&policy->segments) > policy->maxsize) {
            adapt(policy);
        }
        ct_segments_begin(&policy->segments);
    }
}

uint32_t
ct_policy_victim(ct_policy *policy)
{
    uint32_t number = CT_NONE;
    if (policy->kind == CT_POLICY_TINYLFU) {
        number = ct_segments_victim(&policy->segments);
    }
    else if (policy->segments.chains[CT_WINDOW].weight > policy->maxsize) {
        number = policy->segments.chains[CT_WINDOW].oldest;
        ct_chain_remove(&policy->segments, number);
    }
    policy->entries -= number != CT_NONE;
    return number;
}
