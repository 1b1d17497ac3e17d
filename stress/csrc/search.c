/* The search: linearize the earliest possible operation, go on; go back where nothing fits.
 *
 * The entry list holds calls and returns by ticket. A candidate is an operation whose call stands
 * before the first return. Linearizing lifts both its entries out; undoing puts them back (dancing
 * links: an entry that was lifted still knows its neighbours). Operations without a response stand
 * apart: they are tried last, since most of them are not needed, never when they change nothing, and
 * of several that do the same only the one called first. The part is done when no operation with a
 * response is left.
 *
 * A read, which changes no state at all, is linearized where it fits, at once and for good: whatever
 * order has it later has one like it with the read here. So only writes are choices.
 *
 * A configuration that has a choice is looked up in the memo. One without (a single operation that
 * overlaps nothing) is not: a sequential stretch costs one step an operation and no memory.
 */
#include "search.h"

#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <time.h>
#endif

#define ARRIVED (-1)
#define CHOSEN (-1)  /* ct_frame.open: an operation with a response, others could come first */
#define FORCED (-2)  /* the same, but nothing else need be tried in its place */
#define STEPS_BETWEEN_CLOCKS 512

double
ct_now(void)
{
#ifdef _WIN32
    return (double)GetTickCount64() / 1e3;
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
#endif
}

/* --- the entry list -------------------------------------------------------------------------- */

/* Sort `items` by ticket (merge sort, stable; sorted stretches are only looked at). */
static void
sort_by(const int64_t *tickets, int32_t *items, int32_t *room, int64_t n)
{
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t left = 0; left + width < n; left += 2 * width) {
            int64_t mid = left + width, end = mid + width < n ? mid + width : n;
            if (tickets[items[mid - 1]] <= tickets[items[mid]]) {
                continue;
            }
            memcpy(room, items + left, (size_t)width * sizeof(int32_t));
            int64_t i = 0, j = mid, to = left;
            while (i < width && j < end) {
                items[to++] = tickets[room[i]] <= tickets[items[j]] ? room[i++] : items[j++];
            }
            memcpy(items + to, room + i, (size_t)(width - i) * sizeof(int32_t));
        }
    }
}

static void
link_after(ct_search *s, int32_t *last, int32_t node)
{
    s->next[*last] = node;
    s->prev[node] = *last;
    *last = node;
}

/* Merge calls and returns by ticket; at equal tickets the call comes first: they overlap. */
static void
build_list(ct_search *s, int64_t finite)
{
    int32_t *calls = s->work, *returns = s->work + s->n, *room = s->work + 2 * s->n;
    sort_by(s->calls + s->begin, calls, room, finite);
    sort_by(s->returns + s->begin, returns, room, finite);
    int32_t head = (int32_t)(2 * s->n), last = head;
    int64_t c = 0, r = 0;
    while (r < finite) {
        if (c < finite && s->calls[s->begin + calls[c]] <= s->returns[s->begin + returns[r]]) {
            link_after(s, &last, calls[c++]);
        }
        else {
            link_after(s, &last, (int32_t)(s->n + returns[r++]));
        }
    }
    link_after(s, &last, head);
}

static void
unlink_entry(ct_search *s, int32_t node)
{
    s->next[s->prev[node]] = s->next[node];
    s->prev[s->next[node]] = s->prev[node];
}

static void
relink_entry(ct_search *s, int32_t node)
{
    s->next[s->prev[node]] = node;
    s->prev[s->next[node]] = node;
}

/* --- operations without a response ----------------------------------------------------------- */

static bool
same_effect(const ct_search *s, int64_t a, int64_t b)
{
    const ct_machine *m = &s->machine;
    a += s->begin;
    b += s->begin;
    if (m->kind == MACHINE_PYTHON) {
        return m->first[a] == m->first[b];
    }
    int64_t length = m->first[a + 1] - m->first[a];
    return length == m->first[b + 1] - m->first[b]
           && memcmp(m->program + m->first[a], m->program + m->first[b],
                     (size_t)length * sizeof(ct_instruction)) == 0;
}

/* For each the one before it that does the same: an earlier one can stand in for a later one. */
static void
find_same(ct_search *s)
{
    for (size_t k = 0; k < s->nopens; k++) {
        s->same[k] = -1;
        size_t oldest = k > 512 ? k - 512 : 0;  /* a missed pair costs time, nothing else */
        for (size_t j = k; j-- > oldest;) {
            if (same_effect(s, s->opens[j], s->opens[k])) {
                s->same[k] = (int32_t)j;
                break;
            }
        }
    }
}

static bool
is_used(const ct_search *s, size_t k)
{
    return (s->open_used[k / 64] >> (k % 64)) & 1;
}

static bool
is_open_candidate(const ct_search *s, size_t k, int64_t before)
{
    return s->calls[s->begin + s->opens[k]] <= before && !is_used(s, k)
           && (s->same[k] < 0 || is_used(s, (size_t)s->same[k]));
}

/* --- setting up ------------------------------------------------------------------------------ */

static bool
resize(ct_search *s, void **block, size_t old, size_t wanted, size_t width)
{
    void *grown = ct_budget_grow(&s->budget, *block, old * width, wanted * width);
    if (grown != NULL) {
        *block = grown;
    }
    return grown != NULL;
}

/* Arrays for n operations. A failure leaves some larger than `room` says: freeing may then count
   too little, never too much. */
static bool
make_room(ct_search *s, size_t n)
{
    if (n < s->room) {
        return true;
    }
    size_t old = s->room, wanted = n + n / 2 + 64;
    bool fits = resize(s, (void **)&s->next, 2 * old + 1, 2 * wanted + 1, sizeof(int32_t))
                && resize(s, (void **)&s->prev, 2 * old + 1, 2 * wanted + 1, sizeof(int32_t))
                && resize(s, (void **)&s->opens, old, wanted, sizeof(int32_t))
                && resize(s, (void **)&s->same, old, wanted, sizeof(int32_t))
                && resize(s, (void **)&s->work, 3 * old, 3 * wanted, sizeof(int32_t))
                && resize(s, (void **)&s->open_used, old / 64 + 1, wanted / 64 + 1, 8)
                && resize(s, (void **)&s->path, old, wanted, sizeof(ct_frame))
                && resize(s, (void **)&s->best, old, wanted, sizeof(int64_t));
    if (fits) {
        s->room = wanted;
    }
    return fits;
}

void
ct_search_free(ct_search *s)
{
    void *blocks[] = {s->next, s->prev, s->opens, s->same, s->work, s->open_used, s->path, s->best};
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        free(blocks[i]);
    }
    ct_memo_free(&s->memo);
    ct_machine_free(&s->machine);
}

bool
ct_search_begin(ct_search *s, int64_t begin, int64_t n, int64_t initial)
{
    s->depth = s->low = 0;
    s->best_depth = s->blocked = -1;
    s->steps = 0;
    if (!make_room(s, (size_t)n)) {
        return false;
    }
    s->begin = begin;
    s->n = n;
    s->nopens = 0;
    int64_t finite = 0;
    for (int64_t i = 0; i < n; i++) {
        if (s->returns[begin + i] == FOREVER) {
            s->opens[s->nopens++] = (int32_t)i;
        }
        else {
            s->work[finite] = s->work[n + finite] = (int32_t)i;
            finite++;
        }
    }
    build_list(s, finite);
    sort_by(s->calls + begin, s->opens, s->work, (int64_t)s->nopens);
    find_same(s);
    s->open_words = (s->nopens + 63) / 64;
    memset(s->open_used, 0, s->open_words * sizeof(uint64_t));
    s->remaining = finite;
    s->set[0] = s->set[1] = 0;
    s->cursor = ARRIVED;
    ct_memo_begin(&s->memo);
    return ct_machine_begin(&s->machine, initial, &s->state);
}

/* --- going on and back ----------------------------------------------------------------------- */

static int64_t
first_return(const ct_search *s)
{
    int32_t node = s->next[2 * s->n];
    while (node < s->n) {
        node = s->next[node];
    }
    return node - s->n;
}

static void
toggle(ct_search *s, int64_t op)
{
    s->set[0] ^= ct_mix((uint64_t)op * 2);
    s->set[1] ^= ct_mix((uint64_t)op * 2 + 1);
}

static void
advance(ct_search *s, int64_t op, int32_t open, int64_t state)
{
    s->path[s->depth++] = (ct_frame){op, s->state, open};
    s->state = state;
    s->cursor = ARRIVED;
    if (open >= 0) {
        s->open_used[open / 64] |= (uint64_t)1 << (open % 64);
        return;
    }
    unlink_entry(s, (int32_t)op);
    unlink_entry(s, (int32_t)(s->n + op));
    toggle(s, op);
    s->remaining--;
}

/* Keep the path if it is the longest so far: of operations with a response, since any number of the
   others may be thrown in. Only what changed since the last time is copied. */
static void
keep_best(ct_search *s)
{
    if (s->best_depth >= 0 && s->remaining >= s->best_remaining) {
        return;
    }
    s->best_remaining = s->remaining;
    for (int64_t i = s->low; i < s->depth; i++) {
        s->best[i] = s->path[i].op;
    }
    s->best_depth = s->low = s->depth;
    s->blocked = first_return(s);
}

/* Undo the last one. The cursor then stands behind it. */
static void
undo(ct_search *s)
{
    const ct_frame *frame = &s->path[--s->depth];
    s->state = frame->state;
    s->steps++;
    if (frame->open >= 0) {
        s->open_used[frame->open / 64] &= ~((uint64_t)1 << (frame->open % 64));
        s->cursor = 2 * s->n + 1 + frame->open + 1;
        return;
    }
    int32_t op = (int32_t)frame->op;
    relink_entry(s, (int32_t)(s->n + op));
    relink_entry(s, op);
    toggle(s, op);
    s->remaining++;
    s->cursor = s->next[op];
}

/* Undo up to and with the last one that was a choice; false when there is none. */
static bool
go_back(ct_search *s)
{
    bool choice = false;
    while (s->depth > 0 && !choice) {
        undo(s);
        choice = s->path[s->depth].open != FORCED;
    }
    if (s->low > s->depth) {
        s->low = s->depth;
    }
    return choice;
}

/* Try the candidates from the cursor on; 1: one was linearized, 0: none fits, < 0: a STEP_ code. */
static int
try_candidates(ct_search *s)
{
    int64_t node = s->cursor, state;
    while (node < s->n) {
        if (ct_machine_is_read(&s->machine, s->begin + node)) {
            node = s->next[node];  /* it did not fit when the search came here */
            continue;
        }
        int status = ct_machine_step(&s->machine, s->state, s->begin + node, &state);
        s->steps++;
        if (status == 0) {
            advance(s, node, CHOSEN, state);
            return 1;
        }
        if (status != STEP_REFUSED) {
            return status;
        }
        node = s->next[node];
    }
    if (s->nopens == 0) {
        return 0;
    }
    int64_t before = s->returns[s->begin + first_return(s)];
    size_t k = node > 2 * s->n ? (size_t)(node - 2 * s->n - 1) : 0;
    for (; k < s->nopens && s->calls[s->begin + s->opens[k]] <= before; k++) {
        if (!is_open_candidate(s, k, before)) {
            continue;
        }
        int status = ct_machine_step(&s->machine, s->state, s->begin + s->opens[k], &state);
        s->steps++;
        if (status == 0 && state != s->state) {
            advance(s, s->opens[k], (int32_t)k, state);
            return 1;
        }
        if (status != 0 && status != STEP_REFUSED) {
            return status;
        }
    }
    return 0;
}

/* Whether only one operation can come next. */
static bool
is_forced(const ct_search *s)
{
    int32_t node = s->next[2 * s->n];
    return node < s->n && s->next[node] == node + s->n
           && (s->nopens == 0 || s->calls[s->begin + s->opens[0]] > s->returns[s->begin + node]);
}

/* Linearize every read that fits; 0 or a STEP_ code. */
static int
take_reads(ct_search *s)
{
    int64_t node = s->next[2 * s->n], state;
    while (node < s->n) {
        int64_t following = s->next[node];
        if (!ct_machine_is_read(&s->machine, s->begin + node)) {
            node = following;
            continue;
        }
        int status = ct_machine_step(&s->machine, s->state, s->begin + node, &state);
        s->steps++;
        if (status == 0) {
            if (following == node + s->n) {
                following = s->next[following];
            }
            advance(s, node, FORCED, state);
        }
        else if (status != STEP_REFUSED) {
            return status;
        }
        node = following;
    }
    return 0;
}

/* The next one where no other can come next: 1, 0 if it does not fit, or a STEP_ code. */
static int
take_only(ct_search *s)
{
    int64_t node = s->next[2 * s->n], state;
    int status = ct_machine_step(&s->machine, s->state, s->begin + node, &state);
    s->steps++;
    if (status == 0) {
        advance(s, node, FORCED, state);
    }
    return status == 0 ? 1 : status == STEP_REFUSED ? 0 : status;
}

/* 1: choose here, 2: went on without a choice, 0: seen before or stuck, < 0: a STEP_ code. */
static int
arrive(ct_search *s)
{
    if (is_forced(s)) {
        int status = take_only(s);
        return status == 1 ? 2 : status;
    }
    int status = take_reads(s);
    if (status < 0) {
        return status;
    }
    if (s->remaining == 0 || is_forced(s)) {
        return 2;
    }
    s->cursor = s->next[2 * s->n];
    int added = ct_memo_add(&s->memo, s->set, s->state, s->open_used, s->open_words);
    return added < 0 ? STEP_MEMORY : added;
}

static ct_verdict
limit_reached(const ct_search *s)
{
    if (s->steps >= s->max_steps) {
        return VERDICT_STEPS;
    }
    return ct_now() >= s->deadline ? VERDICT_DEADLINE : VERDICT_MORE;
}

ct_verdict
ct_search_run(ct_search *s, uint64_t steps)
{
    uint64_t end = s->steps + steps, look = s->steps + STEPS_BETWEEN_CLOCKS;
    while (s->remaining > 0) {
        if (s->steps >= look) {
            ct_verdict verdict = limit_reached(s);
            if (verdict != VERDICT_MORE || s->steps >= end) {
                return verdict;
            }
            look = s->steps + STEPS_BETWEEN_CLOCKS;
        }
        int went = s->cursor == ARRIVED ? arrive(s) : 1;
        if (went == 1) {
            went = try_candidates(s);
        }
        if (went == STEP_MEMORY || went == STEP_ERROR) {
            return went == STEP_MEMORY ? VERDICT_MEMORY : VERDICT_ERROR;
        }
        if (went == 0) {
            keep_best(s);
            if (!go_back(s)) {
                return VERDICT_ILLEGAL;
            }
        }
    }
    return VERDICT_OK;
}
