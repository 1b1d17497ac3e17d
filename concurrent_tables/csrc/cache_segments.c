/* The three segments of W-TinyLFU and the chains they are made of; the specifications are
 * cache/policy/segments.py and cache/policy/chain.py. */
#include "cache_policy.h"

enum { STEADY = 1, WARM = 5, CHANCE = 128, STEP_BACK = 1024 };
#define PROTECTED_SHARE 0.8

/* -- chains ------------------------------------------------------------------------------------- */

CT_INLINE ct_item *
item_of(const ct_segments *s, uint32_t number)
{
    return ct_item_at(s->items, number);
}

CT_INLINE int64_t
weight_of(const ct_segments *s, uint32_t number)
{
    return s->weight_of(item_of(s, number));
}

static void
link_newest(ct_segments *s, ct_chain *chain, uint32_t number)
{
    ct_item *item = item_of(s, number);
    item->previous = chain->newest;
    item->next = CT_NONE;
    if (chain->newest == CT_NONE) {
        chain->oldest = number;
    }
    else {
        item_of(s, chain->newest)->next = number;
    }
    chain->newest = number;
}

/* The neighbours of what has these links get others. */
static void
tie(ct_segments *s, ct_chain *chain, const ct_item *item, uint32_t for_previous, uint32_t for_next)
{
    if (item->previous == CT_NONE) {
        chain->oldest = for_previous;
    }
    else {
        item_of(s, item->previous)->next = for_previous;
    }
    if (item->next == CT_NONE) {
        chain->newest = for_next;
    }
    else {
        item_of(s, item->next)->previous = for_next;
    }
}

void
ct_chain_add(ct_segments *s, int region, uint32_t number)
{
    item_of(s, number)->region = (uint8_t)region;
    s->chains[region].weight += weight_of(s, number);
    link_newest(s, &s->chains[region], number);
}

void
ct_chain_remove(ct_segments *s, uint32_t number)
{
    ct_item *item = item_of(s, number);
    ct_chain *chain = &s->chains[item->region];
    chain->weight -= weight_of(s, number);
    tie(s, chain, item, item->next, item->previous);
    item->region = CT_OUTSIDE;
}

void
ct_chain_refresh(ct_segments *s, uint32_t number)
{
    ct_item *item = item_of(s, number);
    ct_chain *chain = &s->chains[item->region];
    if (chain->newest != number) {
        tie(s, chain, item, item->next, item->previous);
        link_newest(s, chain, number);
    }
}

void
ct_chain_replace(ct_segments *s, uint32_t old, uint32_t fresh)
{
    ct_item *from = item_of(s, old), *to = item_of(s, fresh);
    ct_chain *chain = &s->chains[from->region];
    chain->weight += weight_of(s, fresh) - weight_of(s, old);
    to->region = from->region;
    to->previous = from->previous;
    to->next = from->next;
    tie(s, chain, from, fresh, fresh);
    from->region = CT_OUTSIDE;
}

/* -- segments ----------------------------------------------------------------------------------- */

static void
divide(ct_segments *s, double share)
{
    s->share = share;
    s->window_most = (int64_t)((double)s->maxsize * share);
    s->window_most = s->window_most < 1 ? 1 : s->window_most;
    s->protected_most = (int64_t)((double)(s->maxsize - s->window_most) * PROTECTED_SHARE);
}

void
ct_segments_init(ct_segments *s, ct_slab *items, ct_weight_of weight_of_item, int64_t maxsize,
                 double share, const ct_sketch *sketch, uint64_t seed)
{
    for (int region = 0; region < CT_REGIONS; region++) {
        s->chains[region] = (ct_chain){CT_NONE, CT_NONE, 0};
    }
    s->items = items;
    s->weight_of = weight_of_item;
    s->sketch = sketch;
    s->maxsize = maxsize;
    s->seed = seed;
    s->draw = ct_spread(1, seed) | 1;
    s->candidate = CT_NONE;
    divide(s, share);
}

int64_t
ct_segments_weight(const ct_segments *s)
{
    return s->chains[CT_WINDOW].weight + s->chains[CT_PROBATION].weight
           + s->chains[CT_PROTECTED].weight;
}

static void
move(ct_segments *s, uint32_t number, int region)
{
    ct_chain_remove(s, number);
    ct_chain_add(s, region, number);
}

static void
shrink_protected(ct_segments *s)
{
    while (s->chains[CT_PROTECTED].weight > s->protected_most) {
        move(s, s->chains[CT_PROTECTED].oldest, CT_PROBATION);
    }
}

void
ct_segments_resize(ct_segments *s, double share)
{
    divide(s, share);
    shrink_protected(s);
    ct_chain *window = &s->chains[CT_WINDOW];
    for (;;) {
        uint32_t oldest = s->chains[CT_PROBATION].oldest;
        oldest = oldest != CT_NONE ? oldest : s->chains[CT_PROTECTED].oldest;
        if (oldest == CT_NONE || window->weight + weight_of(s, oldest) > s->window_most) {
            return;
        }
        move(s, oldest, CT_WINDOW);
    }
}

void
ct_segments_keep(ct_segments *s, double share)
{
    divide(s, share);
    int64_t rest = s->maxsize - s->window_most;
    s->protected_most = rest > 0 ? rest : 0;
    while (s->chains[CT_PROBATION].oldest != CT_NONE) {
        move(s, s->chains[CT_PROBATION].oldest, CT_PROTECTED);
    }
    while (s->chains[CT_WINDOW].weight > s->window_most) {
        move(s, s->chains[CT_WINDOW].oldest, CT_PROTECTED);
    }
}

void
ct_segments_accessed(ct_segments *s, uint32_t number)
{
    if (item_of(s, number)->region == CT_PROBATION) {
        move(s, number, CT_PROTECTED);
        shrink_protected(s);
    }
    else {
        ct_chain_refresh(s, number);
    }
}

void
ct_segments_replaced(ct_segments *s, uint32_t old, uint32_t fresh)
{
    ct_chain_replace(s, old, fresh);
    ct_segments_accessed(s, fresh);
    shrink_protected(s);
}

/* -- evictions ---------------------------------------------------------------------------------- */

/* Candidates are the newest on probation, the first to be tried before the others. */
void
ct_segments_begin(ct_segments *s)
{
    s->candidate = CT_NONE;
    while (s->chains[CT_WINDOW].weight > s->window_most) {
        uint32_t oldest = s->chains[CT_WINDOW].oldest;
        move(s, oldest, CT_PROBATION);
        s->candidate = s->candidate == CT_NONE ? oldest : s->candidate;
    }
}

/* Marsaglia, "Xorshift RNGs", 2003. */
static uint64_t
draw(ct_segments *s)
{
    s->draw ^= s->draw << 13;
    s->draw ^= s->draw >> 7;
    s->draw ^= s->draw << 17;
    return s->draw;
}

static int
warmth_of(const ct_segments *s, uint32_t number)
{
    return ct_sketch_frequency(s->sketch, ct_spread((uint64_t)item_of(s, number)->hash, s->seed));
}

static int
admits(ct_segments *s, uint32_t candidate, uint32_t victim)
{
    int warmth = warmth_of(s, candidate), other = warmth_of(s, victim);
    if (warmth > other + STEADY) {
        return 1;
    }
    return warmth > WARM && draw(s) % CHANCE == 0;
}

static uint32_t
loser(ct_segments *s)
{
    uint32_t victim = s->chains[CT_PROBATION].oldest, candidate = s->candidate;
    victim = victim != CT_NONE ? victim : s->chains[CT_PROTECTED].oldest;
    victim = victim != CT_NONE ? victim : s->chains[CT_WINDOW].oldest;
    if (candidate == CT_NONE) {
        return victim;
    }
    s->candidate = item_of(s, candidate)->next;
    if (weight_of(s, candidate) > s->maxsize || candidate == victim) {
        return candidate;
    }
    if (!admits(s, candidate, victim)) {
        if (s->candidate == CT_NONE && item_of(s, victim)->region == CT_PROBATION
            && draw(s) % STEP_BACK == 0) {
            ct_chain_refresh(s, victim); /* what stands behind it is tried next */
        }
        return candidate;
    }
    if (victim == s->candidate) {
        s->candidate = item_of(s, victim)->next;
    }
    return victim;
}

uint32_t
ct_segments_victim(ct_segments *s)
{
    if (ct_segments_weight(s) <= s->maxsize) {
        s->candidate = CT_NONE;
        return CT_NONE;
    }
    uint32_t number = loser(s);
    ct_chain_remove(s, number);
    return number;
}
