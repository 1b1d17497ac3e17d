/* Watch hooks: the log that commits append to, and the delivery after the section.
 *
 * Who filters, queues and calls is Python (events.py, WatchState), shared by both implementations.
 * Here is only what has to happen inside the section: an event gets its version and its place.
 */
#ifndef CT_WATCHING_H
#define CT_WATCHING_H

#include "table.h"

enum {
    CT_KIND_ADDED = 1,
    CT_KIND_MODIFIED = 2,
    CT_KIND_DELETED = 4,
    CT_KIND_CLEARED = 8,
    CT_KIND_CLONED = 16,
    CT_KIND_DEALLOCATED = 32,
};

int ct_event_log_type_init(PyObject *module, ct_state *st);
/* The rest of ct_pending_finish: tell the watchers; errors go to the unraisable hook. */
void ct_deliver(ct_pending *pending);
void ct_free_spare(ct_pending *pending);
/* The table's finalizer. */
void ct_watch_close(ct_table *t);
/* The same for a table that events name `table` instead, at its version. */
void ct_watch_close_as(ct_table *t, PyObject *table, uint64_t version);
/* Tables that share their watchers (shards): use this WatchState and its log.  Gate held. */
int ct_watch_install(ct_table *t, PyObject *watch_state);
/* A change that has no event of its own: the next event's version counts it. */
void ct_event_skip_held(ct_table *t);
/* A WatchState whose log is one of ours and starts at `version`; new reference. */
PyObject *ct_watch_state_new(ct_state *st, uint64_t version);

/* The bodies of the methods, for a table that its users know as `named`. */
PyObject *ct_watch_as(ct_table *t, PyObject *named, PyObject *args, PyObject *kwargs);
PyObject *ct_subscribe_as(ct_table *t, PyObject *named, PyObject *args, PyObject *kwargs);
PyObject *ct_remove_watch(ct_table *t, PyObject *listener);
PyObject *ct_set_watch_bit(ct_table *t, PyObject *args);
/* Their parts, for tables of several tables: a listener, not attached yet, and its Filter. */
PyObject *ct_watch_listener(ct_state *st, PyObject *named, PyObject *args, PyObject *kwargs,
                            PyObject **wanted);
PyObject *ct_subscription(ct_state *st, PyObject *named, PyObject *args, PyObject *kwargs,
                          PyObject **wanted);
int ct_watch_set_bit(PyObject *watch_state, unsigned long bit, int on);

/* Methods of every mutable table: watch, subscribe, _remove_watch, _set_watch_bit. */
extern PyMethodDef ct_watch_methods[4];
PyObject *ct_watch_get(PyObject *self, void *closure); /* getter: _watch */

#endif
