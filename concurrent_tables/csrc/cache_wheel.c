/* Timer wheel: which entries end when; see cache_wheel.h and cache/wheel.py. */
#include "cache_store.h"

#include <math.h>

enum { FINE = 64, STEP_LOG2 = 3 };
#define TICKS_PER_SECOND 16.0
#define FARTHEST (INT64_C(64) << (STEP_LOG2 * (CT_WHEEL_POWERS - 1)))
#define FIRST_BIT UINT32_C(0x80000000) /* in `earlier` of the first entry: the rest names the bucket */

CT_INLINE ct_node *
at(ct_slab *nodes, uint32_t number)
{
    return ct_slab_at(nodes, number);
}

ct_wheel *
ct_wheel_new(double now)
{
    ct_wheel *wheel = PyMem_RawMalloc(sizeof(*wheel));
    if (wheel != NULL) {
        memset(wheel->occupied, 0, sizeof(wheel->occupied));
        memset(wheel->first, 0xFF, sizeof(wheel->first)); /* CT_NONE */
        wheel->now = (int64_t)floor(now * TICKS_PER_SECOND);
        wheel->next_tick = INT64_MAX;
    }
    return wheel;
}

double
ct_wheel_next_due(const ct_wheel *wheel)
{
    if (wheel == NULL || wheel->next_tick == INT64_MAX) {
        return (double)INFINITY;
    }
    return (double)wheel->next_tick / TICKS_PER_SECOND;
}

static void
put_in(ct_wheel *wheel, ct_slab *nodes, uint32_t number, int power, int64_t turn)
{
    uint32_t bucket = (uint32_t)(turn & (CT_WHEEL_BUCKETS - 1));
    uint32_t *first = &wheel->first[power][bucket];
    int64_t tick = turn << (STEP_LOG2 * power);
    ct_node *node = at(nodes, number);
    node->later = *first;
    node->earlier = FIRST_BIT | (uint32_t)power << 8 | bucket;
    if (*first != CT_NONE) {
        at(nodes, *first)->earlier = number;
    }
    *first = number;
    wheel->occupied[power][bucket / 64] |= UINT64_C(1) << (bucket % 64);
    wheel->next_tick = tick < wheel->next_tick ? tick : wheel->next_tick;
}

void
ct_wheel_put_back(ct_wheel *wheel, ct_slab *nodes, uint32_t number)
{
    put_in(wheel, nodes, number, 0, wheel->now);
}

void
ct_wheel_schedule(ct_wheel *wheel, ct_slab *nodes, uint32_t number, double end)
{
    double wanted = ceil(end * TICKS_PER_SECOND);
    if (!(wanted - (double)wheel->now < (double)FARTHEST)) {
        return; /* in a thousand years */
    }
    int64_t tick = wanted > (double)wheel->now ? (int64_t)wanted : wheel->now + 1;
    int power = 0;
    while (((int64_t)FINE << (STEP_LOG2 * power)) < tick - wheel->now) {
        power++;
    }
    put_in(wheel, nodes, number, power, tick >> (STEP_LOG2 * power));
}

void
ct_wheel_cancel(ct_wheel *wheel, ct_slab *nodes, uint32_t number)
{
    ct_node *node = at(nodes, number);
    if (node->earlier == CT_NONE) {
        return;
    }
    if (node->earlier & FIRST_BIT) {
        wheel->first[(node->earlier >> 8) & 0xFF][node->earlier & 0xFF] = node->later;
    }
    else {
        at(nodes, node->earlier)->later = node->later;
    }
    if (node->later != CT_NONE) {
        at(nodes, node->later)->earlier = node->earlier;
    }
    node->earlier = node->later = CT_NONE;
}

/* The tick of an occupied bucket: those of a power lie within one turn from now. */
static int64_t
tick_of(const ct_wheel *wheel, int power, int bucket)
{
    int64_t turn = wheel->now >> (STEP_LOG2 * power);
    return (turn + ((bucket - turn) & (CT_WHEEL_BUCKETS - 1))) << (STEP_LOG2 * power);
}

typedef void (*bucket_visitor)(ct_wheel *wheel, int power, int bucket, int64_t tick, void *arg);

static void
each_bucket(ct_wheel *wheel, bucket_visitor visit, void *arg)
{
    for (int power = 0; power < CT_WHEEL_POWERS; power++) {
        for (int bucket = 0; bucket < CT_WHEEL_BUCKETS; bucket++) {
            if (wheel->occupied[power][bucket / 64] >> (bucket % 64) & 1) {
                visit(wheel, power, bucket, tick_of(wheel, power, bucket), arg);
            }
        }
    }
}

typedef struct {
    ct_slab *nodes;
    int64_t now;
    uint32_t found;
    size_t count;
} harvest;

static harvest
begin_harvest(const ct_wheel *wheel, ct_slab *nodes, double now)
{
    harvest into = {nodes, wheel->now, CT_NONE, 0};
    double tick = floor(now * TICKS_PER_SECOND);
    if (tick > (double)wheel->now && tick < 9e18) {
        into.now = (int64_t)tick;
    }
    return into;
}

static void
count_if_due(ct_wheel *wheel, int power, int bucket, int64_t tick, void *arg)
{
    harvest *into = arg;
    uint32_t number = tick > into->now ? CT_NONE : wheel->first[power][bucket];
    for (; number != CT_NONE; number = at(into->nodes, number)->later) {
        into->count++;
    }
}

size_t
ct_wheel_count_due(ct_wheel *wheel, ct_slab *nodes, double now)
{
    harvest into = begin_harvest(wheel, nodes, now);
    each_bucket(wheel, count_if_due, &into);
    return into.count;
}

static void
empty_if_due(ct_wheel *wheel, int power, int bucket, int64_t tick, void *arg)
{
    harvest *into = arg;
    if (tick > into->now) {
        return;
    }
    wheel->occupied[power][bucket / 64] &= ~(UINT64_C(1) << (bucket % 64));
    uint32_t number = wheel->first[power][bucket];
    wheel->first[power][bucket] = CT_NONE;
    while (number != CT_NONE) {
        ct_node *node = at(into->nodes, number);
        uint32_t later = node->later;
        node->earlier = CT_NONE;
        node->later = into->found;
        into->found = number;
        number = later;
    }
}

static void
note_earliest(ct_wheel *wheel, int power, int bucket, int64_t tick, void *Py_UNUSED(arg))
{
    (void)power, (void)bucket;
    wheel->next_tick = tick < wheel->next_tick ? tick : wheel->next_tick;
}

uint32_t
ct_wheel_advance(ct_wheel *wheel, ct_slab *nodes, double now)
{
    harvest into = begin_harvest(wheel, nodes, now);
    each_bucket(wheel, empty_if_due, &into);
    wheel->now = into.now;
    wheel->next_tick = INT64_MAX;
    each_bucket(wheel, note_earliest, NULL);
    return into.found;
}
