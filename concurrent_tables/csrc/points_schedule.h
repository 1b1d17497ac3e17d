/* The schedule of a serialised run: who is where, and who goes on.  Test builds only; see points.c. */
#ifndef CT_POINTS_SCHEDULE_H
#define CT_POINTS_SCHEDULE_H

#include "ct_common.h"

#include <pthread.h>

enum { CT_MAX_PARTICIPANTS = 16, CT_MAX_HELD = 8, CT_MAX_CHANGES = 16, CT_MAX_NAMES = 64 };
enum { CT_MODE_OFF, CT_MODE_DELAYS, CT_MODE_RANDOM, CT_MODE_PCT, CT_MODE_CHOICES, CT_MODE_SCRIPT };
enum { CT_ABSENT, CT_READY, CT_RUNNING, CT_OUTSIDE, CT_GONE };

typedef struct {
    int state;
    const char *point;       /* where it waits */
    const void *wants;       /* the lock that it is about to take */
    const void *held[CT_MAX_HELD];
    int nheld;
    int spins;               /* in a waiting loop ... */
    Py_ssize_t moves_seen;   /* ... since others had moved that often */
    int priority;            /* pct */
    long tid;
    pthread_cond_t wake;
    int has_wake;
} ct_participant;

/* A choice (point NULL, count 0), or a line of a script. */
typedef struct {
    int thread;
    int count;
    char point[44]; /* "": until it is done */
} ct_order_item;

typedef struct {
    int thread;
    const char *point;
} ct_trace_item;

/* Everything under `lock`. */
typedef struct {
    pthread_mutex_t lock;
    uint64_t run; /* number of the configuration */
    int mode, running, current, nthreads, nentered;
    uint64_t seed, random;
    ct_participant threads[CT_MAX_PARTICIPANTS];
    Py_ssize_t moves; /* arrivals outside waiting loops */
    ct_order_item *order;
    Py_ssize_t norder, next;
    Py_ssize_t changes[CT_MAX_CHANGES]; /* pct: steps at which the running thread becomes last */
    int nchanges;
    ct_trace_item *trace;
    Py_ssize_t ntrace, trace_room;
    Py_ssize_t diverged, missed, stalls, ticks;
    int impatient;
} ct_points_schedule;

uint64_t ct_points_random(uint64_t *state);
void ct_points_restart(ct_points_schedule *s, int mode, uint64_t seed, int threads);
void ct_points_priorities(ct_points_schedule *s, int depth, int steps);
void ct_points_entered(ct_points_schedule *s, int number);
void ct_points_arrived(ct_points_schedule *s, int number, const char *id, const void *wants, int spins);
void ct_points_left(ct_points_schedule *s, int number);
void ct_points_pick(ct_points_schedule *s);
/* Python list -> items (PyMem_RawMalloc); their number, or -1 with an error. */
Py_ssize_t ct_points_order(PyObject *order, ct_order_item **items);
const char *ct_points_name(const char *name); /* a copy that stays; NULL without memory */
PyObject *ct_points_trace_list(ct_points_schedule *s);

#endif
