/* How often a key was asked for lately; the specification is cache/policy/sketch.py. */
#include "cache_policy.h"

enum { MOST = 15, ROWS = 4, COUNTERS_PER_KEY = 4, SMALLEST = 1024 };

int
ct_sketch_init(ct_sketch *sketch)
{
    sketch->keys = SMALLEST;
    sketch->counted = 0;
    sketch->mask = (size_t)SMALLEST * COUNTERS_PER_KEY - 1;
    sketch->rows = PyMem_RawCalloc(ROWS, (sketch->mask + 1) / 2);
    return sketch->rows == NULL ? -1 : 0;
}

void
ct_sketch_free(ct_sketch *sketch)
{
    PyMem_RawFree(sketch->rows);
    sketch->rows = NULL;
}

/* Each row repeats itself, so that no frequency is lost. */
static int
grow(ct_sketch *sketch)
{
    size_t bytes = (sketch->mask + 1) / 2;
    uint8_t *rows = PyMem_RawMalloc(2 * ROWS * bytes);
    if (rows == NULL) {
        return -1;
    }
    for (int row = 0; row < ROWS; row++) {
        memcpy(rows + 2 * row * bytes, sketch->rows + row * bytes, bytes);
        memcpy(rows + (2 * row + 1) * bytes, sketch->rows + row * bytes, bytes);
    }
    PyMem_RawFree(sketch->rows);
    sketch->rows = rows;
    sketch->mask = 2 * sketch->mask + 1;
    sketch->keys *= 2;
    return 0;
}

void
ct_sketch_make_room(ct_sketch *sketch, int64_t keys)
{
    while (sketch->keys < keys && grow(sketch) == 0) {
    }
}

/* Visits the counters of a key: `at` is the place in its row, `byte` where it is, `shift` in the byte. */
#define EACH_COUNTER(sketch, mixed, row)                                                           \
    uint64_t place = (mixed)&0xFFFFFFFF, step = ((mixed) >> 32) | 1;                               \
    size_t bytes = ((sketch)->mask + 1) / 2;                                                       \
    for (int row = 0; row < ROWS; row++, place += step)

int
ct_sketch_frequency(const ct_sketch *sketch, uint64_t mixed)
{
    int least = MOST;
    EACH_COUNTER(sketch, mixed, row)
    {
        size_t at = place & sketch->mask;
        int counter = (sketch->rows[row * bytes + (at >> 1)] >> ((at & 1) * 4)) & MOST;
        least = counter < least ? counter : least;
    }
    return least;
}

void
ct_sketch_count(ct_sketch *sketch, uint64_t mixed)
{
    int least = ct_sketch_frequency(sketch, mixed);
    if (least == MOST) {
        return;
    }
    sketch->counted++;
    EACH_COUNTER(sketch, mixed, row)
    {
        size_t at = place & sketch->mask;
        uint8_t *byte = &sketch->rows[row * bytes + (at >> 1)];
        int shift = (int)(at & 1) * 4;
        if (((*byte >> shift) & MOST) == least) {
            *byte = (uint8_t)(*byte + (1 << shift));
        }
    }
}

void
ct_sketch_halve(ct_sketch *sketch)
{
    size_t bytes = ROWS * ((sketch->mask + 1) / 2); /* a multiple of eight */
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word;
        memcpy(&word, sketch->rows + i, 8);
        word = (word >> 1) & UINT64_C(0x7777777777777777);
        memcpy(sketch->rows + i, &word, 8);
    }
    sketch->counted /= 2;
}
