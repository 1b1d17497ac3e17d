/* Numbered items in memory that never moves; see cache_slab.h. */
#include "cache_slab.h"

enum { LINE = 64 };

void
ct_slab_init(ct_slab *slab, uint32_t stride)
{
    memset(slab, 0, sizeof(*slab));
    slab->stride = stride;
    slab->free = CT_NONE;
}

/* A chunk begins on a cache line; the word before it is what the allocator gave. */
static int
add_chunk(ct_slab *slab, int chunk)
{
    size_t items = (size_t)1 << (CT_SLAB_FIRST_LOG2 + chunk);
    char *memory = chunk < CT_SLAB_CHUNKS ? PyMem_RawMalloc(items * slab->stride + 2 * LINE) : NULL;
    if (memory == NULL) {
        return -1;
    }
    char *begin = (char *)(((uintptr_t)memory + 2 * LINE - 1) & ~(uintptr_t)(LINE - 1));
    ((char **)begin)[-1] = memory;
    ct_store_relaxed(&slab->chunks[chunk], begin);
    return 0;
}

uint32_t
ct_slab_take(ct_slab *slab)
{
    uint32_t number = slab->free;
    if (number != CT_NONE) {
        slab->free = ct_item_at(slab, number)->next;
        return number;
    }
    number = slab->fresh;
    uint32_t place = number + (1u << CT_SLAB_FIRST_LOG2);
    int chunk = ct_highest_bit(place) - CT_SLAB_FIRST_LOG2;
    if (place == (1u << (chunk + CT_SLAB_FIRST_LOG2)) && add_chunk(slab, chunk) < 0) {
        return CT_NONE;
    }
    slab->fresh++;
    memset(ct_slab_at(slab, number), 0, slab->stride);
    return number;
}

void
ct_slab_give(ct_slab *slab, uint32_t number)
{
    ct_item_at(slab, number)->next = slab->free;
    slab->free = number;
}

void
ct_slab_free(ct_slab *slab)
{
    for (int i = 0; i < CT_SLAB_CHUNKS; i++) {
        char *begin = ct_load_relaxed(&slab->chunks[i]);
        if (begin != NULL) {
            PyMem_RawFree(((char **)begin)[-1]);
        }
    }
    ct_slab_init(slab, slab->stride);
}
