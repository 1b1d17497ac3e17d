/* Which entries of a cache end when; the specification is cache/wheel.py.
 *
 * Here the buckets of each power are an array, in the place that their tick tells, so nothing is allocated
 * after the wheel; entries are linked by number. */
#ifndef CT_CACHE_WHEEL_H
#define CT_CACHE_WHEEL_H

#include "cache_slab.h"

enum { CT_WHEEL_POWERS = 12, CT_WHEEL_BUCKETS = 128 };

typedef struct {
    int64_t now;       /* ticks */
    int64_t next_tick; /* the first bucket that is due; INT64_MAX: none */
    uint64_t occupied[CT_WHEEL_POWERS][CT_WHEEL_BUCKETS / 64];
    uint32_t first[CT_WHEEL_POWERS][CT_WHEEL_BUCKETS];
} ct_wheel;

struct ct_node;

ct_wheel *ct_wheel_new(double now); /* NULL without memory */
void ct_wheel_schedule(ct_wheel *wheel, ct_slab *nodes, uint32_t number, double end);
void ct_wheel_cancel(ct_wheel *wheel, ct_slab *nodes, uint32_t number);
/* Take out what is in the buckets that are due at `now`: a list by `later`.  Some of them end later. */
uint32_t ct_wheel_advance(ct_wheel *wheel, ct_slab *nodes, double now);
/* What such a list had, and stays due. */
void ct_wheel_put_back(ct_wheel *wheel, ct_slab *nodes, uint32_t number);
/* How many entries are in the buckets that are due at `now`. */
size_t ct_wheel_count_due(ct_wheel *wheel, ct_slab *nodes, double now);
double ct_wheel_next_due(const ct_wheel *wheel); /* seconds, or inf; `wheel` may be NULL */

#endif
