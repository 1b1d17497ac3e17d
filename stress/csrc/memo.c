/* Configurations already seen: (set of linearized operations, state).
 *
 * The set is kept as a 128-bit Zobrist sum: every operation has its own two fixed random words, and
 * a set is their XOR. Two different sets with one sum would hide a branch; with a billion entries
 * the odds are below 10^-20, and comparing sums instead of bit sets makes the memo's size
 * independent of the history's length. The state is compared exactly.
 *
 * Operations without a response are options: who reached the same set and state with fewer of them
 * used can do whatever this one can. So the memo keeps, per (set, state), the sets of open
 * operations it was reached with, and refuses a superset of one of them.
 */
#include "search.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 256

void *
ct_budget_grow(ct_budget *budget, void *block, size_t old, size_t wanted)
{
    if (budget->used - old + wanted > budget->cap) {
        return NULL;
    }
    void *grown = realloc(block, wanted);
    if (grown != NULL) {
        budget->used += wanted - old;
    }
    return grown;
}

void
ct_budget_free(ct_budget *budget, void *block, size_t size)
{
    if (block != NULL) {
        free(block);
        budget->used -= size;
    }
}

void
ct_memo_begin(ct_memo *memo)
{
    memo->round++;
    memo->used = 0;
    memo->nwords = 0;
}

void
ct_memo_free(ct_memo *memo)
{
    ct_budget_free(memo->budget, memo->slots, memo->size * sizeof(ct_seen));
    ct_budget_free(memo->budget, memo->words, memo->capacity * sizeof(uint64_t));
    memo->slots = NULL;
    memo->words = NULL;
}

/* The slot of the key, or the free one where it belongs. */
static ct_seen *
find(ct_seen *slots, size_t size, uint64_t round, const uint64_t set[2], int64_t state)
{
    size_t i = ct_mix(set[0] ^ (uint64_t)state * 0x9e3779b97f4a7c15u);
    for (;; i++) {
        ct_seen *slot = &slots[i & (size - 1)];
        if (slot->round != round) {
            return slot;
        }
        if (slot->set[0] == set[0] && slot->set[1] == set[1] && slot->state == state) {
            return slot;
        }
    }
}

static bool
grow(ct_memo *memo)
{
    size_t size = memo->size ? memo->size * 2 : FIRST_SLOTS;
    ct_seen *slots = ct_budget_grow(memo->budget, NULL, 0, size * sizeof(ct_seen));
    if (slots == NULL) {
        return false;
    }
    memset(slots, 0, size * sizeof(ct_seen));
    for (size_t i = 0; i < memo->size; i++) {
        ct_seen *old = &memo->slots[i];
        if (old->round == memo->round) {
            *find(slots, size, memo->round, old->set, old->state) = *old;
        }
    }
    ct_budget_free(memo->budget, memo->slots, memo->size * sizeof(ct_seen));
    memo->slots = slots;
    memo->size = size;
    return true;
}

static bool
is_subset(const uint64_t *a, const uint64_t *b, size_t nwords)
{
    for (size_t i = 0; i < nwords; i++) {
        if (a[i] & ~b[i]) {
            return false;
        }
    }
    return true;
}

static bool
push_open(ct_memo *memo, ct_seen *slot, const uint64_t *open, size_t nopen)
{
    size_t wanted = memo->nwords + 1 + nopen;
    if (wanted > memo->capacity) {
        size_t capacity = wanted + wanted / 2 + 256;
        uint64_t *words = ct_budget_grow(memo->budget, memo->words,
                                         memo->capacity * sizeof(uint64_t),
                                         capacity * sizeof(uint64_t));
        if (words == NULL) {
            return false;
        }
        memo->words = words;
        memo->capacity = capacity;
    }
    memo->words[memo->nwords] = (uint64_t)slot->chain;
    memcpy(memo->words + memo->nwords + 1, open, nopen * sizeof(uint64_t));
    slot->chain = (int64_t)memo->nwords;
    memo->nwords = wanted;
    return true;
}

int
ct_memo_add(ct_memo *memo, const uint64_t set[2], int64_t state, const uint64_t *open, size_t nopen)
{
    if ((memo->used + 1) * 4 > memo->size * 3 && !grow(memo)) {
        return -1;
    }
    ct_seen *slot = find(memo->slots, memo->size, memo->round, set, state);
    if (slot->round == memo->round) {
        for (int64_t at = slot->chain; at >= 0; at = (int64_t)memo->words[at]) {
            if (is_subset(memo->words + at + 1, open, nopen)) {
                return 0;
            }
        }
        if (nopen == 0) {
            return 0;
        }
    }
    else {
        *slot = (ct_seen){{set[0], set[1]}, state, -1, memo->round};
        memo->used++;
    }
    if (nopen > 0 && !push_open(memo, slot, open, nopen)) {
        return -1;
    }
    return 1;
}
