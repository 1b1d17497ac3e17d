/* The event log of a watched table: what its commits append to, in the order of their versions.
 *
 * WatchState (events.py) feeds the subscriptions from it, one thread at a time: it looks at the oldest
 * record and removes it when every subscription has it.  Beside the events the log keeps the range of
 * versions that callbacks may have missed because there was no memory.
 */
#ifndef CT_EVENT_LOG_H
#define CT_EVENT_LOG_H

#include "table.h"

struct ct_event_node {
    ct_event_node *next;
    ct_event event;
};

/* Written inside sections, read by WatchState._feed: guarded by a spin lock that is held for a few
 * loads and stores, never while anything can wait. */
typedef struct ct_event_log {
    PyObject_HEAD
    ct_int busy;
    ct_u64 version; /* of the last event */
    ct_event_node *head, *tail;
    ct_ssize length;
    ct_int lost; /* whether callbacks missed these versions, for lack of memory */
    uint64_t first_lost, last_lost;
    ct_state *st;
} ct_event_log;

void ct_event_copy(ct_event *to, const ct_event *from);
void ct_event_clear(ct_event *event);
/* (kind, key, old, new, version): what events.py calls a record. */
PyObject *ct_event_as_record(ct_state *st, const ct_event *event);

ct_event_log *ct_log_new(ct_state *st, uint64_t version);
/* The event's version, which it gets here.  `version`: 0 takes the next one. */
uint64_t ct_log_push(ct_event_log *log, ct_event_node *node, uint64_t version);
/* A change without an event. */
void ct_log_skip(ct_event_log *log);
/* Some callback may not have heard of these versions. */
void ct_log_lose(ct_event_log *log, uint64_t first, uint64_t last);

#endif
