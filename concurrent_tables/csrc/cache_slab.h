/* Numbered items in memory that never moves: what a cache and its miniatures keep their entries in.
 *
 * Chunk k holds 16 << k items, so that a number tells its chunk by its highest bit, a small cache needs
 * little, and a large one's chunks are touched only as far as they are used.  Numbers are 32 bits: links
 * between items cost half of what pointers do. */
#ifndef CT_CACHE_SLAB_H
#define CT_CACHE_SLAB_H

#include "ct_common.h"

#define CT_NONE UINT32_MAX /* no item */
enum { CT_SLAB_CHUNKS = 24, CT_SLAB_FIRST_LOG2 = 4 };

/* What every item begins with. */
typedef struct {
    int64_t hash;
    uint32_t previous, next; /* in its chain, or list */
    uint8_t region;          /* the chain that it is in; 0: none */
    _Atomic(uint8_t) state;  /* of entries: CT_NODE_* */
    _Atomic(uint16_t) epoch_high;
    _Atomic(uint32_t) epoch_low;
} ct_item;

typedef struct {
    _Atomic(char *) chunks[CT_SLAB_CHUNKS];
    uint32_t stride; /* bytes of an item */
    uint32_t fresh;  /* numbers from here on were never given out */
    uint32_t free;   /* a list by `next` */
} ct_slab;

CT_INLINE int
ct_highest_bit(uint32_t number)
{
#if defined(__GNUC__) || defined(__clang__)
    return 31 - __builtin_clz(number);
#else
    int bit = 0;
    while (number >>= 1) {
        bit++;
    }
    return bit;
#endif
}

CT_INLINE void *
ct_slab_at(const ct_slab *slab, uint32_t number)
{
    uint32_t place = number + (1u << CT_SLAB_FIRST_LOG2);
    int bit = ct_highest_bit(place);
    char *chunk = ct_load_relaxed((_Atomic(char *) *)&slab->chunks[bit - CT_SLAB_FIRST_LOG2]);
    return chunk + (size_t)(place - (1u << bit)) * slab->stride;
}

CT_INLINE ct_item *
ct_item_at(const ct_slab *slab, uint32_t number)
{
    return ct_slab_at(slab, number);
}

void ct_slab_init(ct_slab *slab, uint32_t stride);
uint32_t ct_slab_take(ct_slab *slab); /* CT_NONE without memory */
void ct_slab_give(ct_slab *slab, uint32_t number);
void ct_slab_free(ct_slab *slab);

#endif
