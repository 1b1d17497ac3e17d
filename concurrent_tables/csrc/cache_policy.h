/* Which entries to keep: the policies of cache/policy/, decision for decision, on numbered items.
 *
 * Everything here is called in the section of the cache, allocates with PyMem_Raw* only, and never fails:
 * without memory a sketch does not grow and miniatures are not made, which costs hits only. */
#ifndef CT_CACHE_POLICY_H
#define CT_CACHE_POLICY_H

#include "cache_slab.h"

enum { CT_POLICY_NONE, CT_POLICY_LRU, CT_POLICY_TINYLFU };
enum { CT_OUTSIDE, CT_WINDOW, CT_PROBATION, CT_PROTECTED, CT_REGIONS };

/* -- sketch (cache_sketch.c) ---------------------------------------------------------------------- */

typedef struct {
    uint8_t *rows; /* four of them, two counters a byte */
    size_t mask;   /* counters of a row, less one */
    int64_t keys;
    int64_t counted;
} ct_sketch;

CT_INLINE uint64_t
ct_spread(uint64_t value, uint64_t seed)
{
    value ^= seed;
    value = (value ^ (value >> 33)) * UINT64_C(0xFF51AFD7ED558CCD);
    value = (value ^ (value >> 33)) * UINT64_C(0xC4CEB9FE1A85EC53);
    return value ^ (value >> 33);
}

int ct_sketch_init(ct_sketch *sketch); /* 0, or -1 without memory */
void ct_sketch_make_room(ct_sketch *sketch, int64_t keys);
int ct_sketch_frequency(const ct_sketch *sketch, uint64_t mixed);
void ct_sketch_count(ct_sketch *sketch, uint64_t mixed);
void ct_sketch_halve(ct_sketch *sketch);
void ct_sketch_free(ct_sketch *sketch);

/* -- segments (cache_segments.c) ------------------------------------------------------------------ */

typedef struct {
    uint32_t oldest, newest;
    int64_t weight;
} ct_chain;

typedef int64_t (*ct_weight_of)(const void *item);

typedef struct {
    ct_chain chains[CT_REGIONS];
    ct_slab *items;
    ct_weight_of weight_of;
    const ct_sketch *sketch;
    int64_t maxsize, window_most, protected_most;
    double share;
    uint64_t seed, draw;
    uint32_t candidate; /* the next one that left the window in this round */
} ct_segments;

void ct_segments_init(ct_segments *s, ct_slab *items, ct_weight_of weight_of, int64_t maxsize,
                      double share, const ct_sketch *sketch, uint64_t seed);
int64_t ct_segments_weight(const ct_segments *s);
void ct_segments_resize(ct_segments *s, double share);
/* Protect all but the newest, which the window keeps, until the next call of `ct_segments_resize`. */
void ct_segments_keep(ct_segments *s, double share);
void ct_segments_accessed(ct_segments *s, uint32_t number);
void ct_segments_replaced(ct_segments *s, uint32_t old, uint32_t fresh);
/* A round of evictions: what the window has too much leaves it, then one victim after the other is taken
 * out until the weights fit (CT_NONE). */
void ct_segments_begin(ct_segments *s);
uint32_t ct_segments_victim(ct_segments *s);

void ct_chain_add(ct_segments *s, int region, uint32_t number);
void ct_chain_remove(ct_segments *s, uint32_t number);
void ct_chain_refresh(ct_segments *s, uint32_t number);
void ct_chain_replace(ct_segments *s, uint32_t old, uint32_t fresh);

/* -- miniatures (cache_miniatures.c) -------------------------------------------------------------- */

typedef struct ct_miniatures ct_miniatures;

/* NULL without memory. */
ct_miniatures *ct_miniatures_new(int64_t maxsize, int64_t entries, const ct_sketch *sketch,
                                 uint64_t seed);
void ct_miniatures_asked(ct_miniatures *minis, int64_t hash, int64_t weight);
double ct_miniatures_advice(ct_miniatures *minis, double share);
int64_t ct_miniatures_entries(const ct_miniatures *minis);
void ct_miniatures_keep_first(ct_miniatures *minis); /* the cache does, with `ct_kept_share` */
int ct_miniatures_keep(const ct_miniatures *minis);
void ct_miniatures_free(ct_miniatures *minis);
extern const double ct_first_share, ct_kept_share;

/* -- policy (cache_policy.c) ---------------------------------------------------------------------- */

typedef struct {
    int kind; /* CT_POLICY_* */
    int64_t maxsize, entries;
    int64_t asked; /* before the cache was full */
    uint64_t seed;
    ct_sketch sketch;
    ct_segments segments;
    ct_miniatures *miniatures;
} ct_policy;

int ct_policy_init(ct_policy *policy, int kind, int64_t maxsize, uint64_t seed, ct_slab *items,
                   ct_weight_of weight_of); /* 0, or -1 without memory */
void ct_policy_free(ct_policy *policy);
void ct_policy_added(ct_policy *policy, uint32_t number);
void ct_policy_replaced(ct_policy *policy, uint32_t old, uint32_t fresh);
void ct_policy_accessed(ct_policy *policy, uint32_t number);
void ct_policy_removed(ct_policy *policy, uint32_t number);
void ct_policy_begin(ct_policy *policy);
uint32_t ct_policy_victim(ct_policy *policy);

#endif
