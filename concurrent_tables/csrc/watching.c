/* Delivery of events, and the methods that register watchers.  See watching.h. */
#include "watching.h"
#include "event_log.h"
#include "exclusive.h"

/* -- inside the section ------------------------------------------------------------------------- */

static int
grow_events(ct_pending *pending, Py_ssize_t room)
{
    ct_event *grown = PyMem_New(ct_event, room);
    if (grown == NULL) {
        return CT_NO_MEMORY;
    }
    memcpy(grown, pending->events, (size_t)pending->nevents * sizeof(ct_event));
    if (pending->events != &pending->first) {
        PyMem_Free(pending->events);
    }
    pending->events = grown;
    pending->events_room = room;
    return 0;
}

int
ct_event_reserve_many_held(ct_table *t, ct_pending *pending, Py_ssize_t count)
{
    ct_forget_snapshot_held(t, pending);
    if (CT_LIKELY(t->log == NULL)) {
        return 0;
    }
    if (pending->nevents + count > pending->events_room
        && grow_events(pending, pending->nevents + count + 8) < 0) {
        return CT_NO_MEMORY;
    }
    for (ct_event_node *node = pending->spare; node != NULL; node = node->next) {
        count--;
    }
    for (; count > 0; count--) {
        ct_event_node *node = PyMem_Calloc(1, sizeof(ct_event_node));
        if (node == NULL) {
            return CT_NO_MEMORY;
        }
        node->next = pending->spare;
        pending->spare = node;
    }
    return 0;
}

void
ct_free_spare(ct_pending *pending)
{
    while (pending->spare != NULL) {
        ct_event_node *node = pending->spare;
        pending->spare = node->next;
        PyMem_Free(node);
    }
}

void
ct_event_log_held(ct_table *t, ct_pending *pending, const ct_event *event)
{
    ct_event_node *node = pending->spare;
    ct_event *mine = &pending->events[pending->nevents++];
    pending->spare = node->next;
    ct_event_copy(&node->event, event);
    ct_event_copy(mine, event);
    CT_POINT(event_log);
    mine->version = ct_log_push(t->log, node, 0);
    if (pending->watch == NULL) {
        Py_INCREF(t->watch);
        pending->watch = t->watch;
        pending->log = t->log;
    }
}

void
ct_event_skip_held(ct_table *t)
{
    if (t->log != NULL) {
        ct_log_skip(t->log);
    }
}

/* -- after the section -------------------------------------------------------------------------- */

static int
deliver_records(ct_table *t, PyObject *watch, PyObject *records)
{
    PyObject *table = t->parent != NULL ? t->parent : (PyObject *)t;
    PyObject *result =
        PyObject_CallMethodObjArgs(watch, t->st->str_deliver, table, records, NULL);
    if (result == NULL) {
        PyErr_WriteUnraisable(watch);
        return -1;
    }
    Py_DECREF(result);
    return 0;
}

/* The events of `pending`, which are cleared in any case; NULL without memory. */
static PyObject *
take_records(ct_pending *pending)
{
    ct_state *st = pending->t->st;
    PyObject *records = PyTuple_New(pending->nevents);
    for (Py_ssize_t i = 0; i < pending->nevents; i++) {
        PyObject *record = records == NULL ? NULL : ct_event_as_record(st, &pending->events[i]);
        if (record == NULL) {
            Py_CLEAR(records);
        }
        else {
            PyTuple_SET_ITEM(records, i, record);
        }
    }
    if (records == NULL) {
        PyErr_WriteUnraisable(pending->watch);
    }
    for (Py_ssize_t i = 0; i < pending->nevents; i++) {
        ct_event_clear(&pending->events[i]);
    }
    return records;
}

void
ct_deliver(ct_pending *pending)
{
    PyObject *watch = pending->watch;
    uint64_t first = pending->events[0].version;
    uint64_t last = pending->events[pending->nevents - 1].version;
    PyObject *records = take_records(pending);
    if (records == NULL || deliver_records(pending->t, watch, records) < 0) {
        /* Callbacks get one LOST event for all of it; the log still has what subscriptions need.
         * Perhaps there is memory for both again, else the next delivery sees to it. */
        ct_log_lose(pending->log, first, last);
        PyObject *nothing = PyTuple_New(0);
        if (nothing != NULL) {
            deliver_records(pending->t, watch, nothing);
            Py_DECREF(nothing);
        }
    }
    Py_XDECREF(records);
    pending->nevents = 0;
    if (pending->events != &pending->first) {
        PyMem_Free(pending->events);
        pending->events = &pending->first;
        pending->events_room = 1;
    }
    pending->watch = NULL;
    Py_DECREF(watch);
}

static int
set_version(PyObject *watch, uint64_t version)
{
    PyObject *number = PyLong_FromUnsignedLongLong(version);
    int status = number == NULL ? -1 : PyObject_SetAttrString(watch, "version", number);
    Py_XDECREF(number);
    return status;
}

void
ct_watch_close_as(ct_table *t, PyObject *table, uint64_t version)
{
    PyObject *type, *value, *tb, *watch = t->watch;
    if (watch == NULL) {
        return;
    }
    PyErr_Fetch(&type, &value, &tb);
    Py_INCREF(watch);
    if (set_version(watch, version) < 0) {
        PyErr_WriteUnraisable(watch); /* the end is told all the same */
    }
    PyObject *result = ct_call_method(watch, "close", table);
    if (result == NULL) {
        PyErr_WriteUnraisable(watch);
    }
    Py_XDECREF(result);
    Py_DECREF(watch);
    PyErr_Restore(type, value, tb);
}

void
ct_watch_close(ct_table *t)
{
    if (t->parent == NULL) { /* else the whole tells its watchers */
        ct_watch_close_as(t, (PyObject *)t, ct_version(t));
    }
}

/* -- registering -------------------------------------------------------------------------------- */

PyObject *
ct_watch_state_new(ct_state *st, uint64_t version)
{
    PyObject *number = PyLong_FromUnsignedLongLong(version);
    PyObject *watch = number == NULL ? NULL : ct_call_method(st->events, "WatchState", number);
    ct_event_log *log = NULL;
    Py_XDECREF(number);
    if (watch == NULL) {
        return NULL;
    }
    log = ct_log_new(st, version);
    if (log == NULL) {
        Py_DECREF(watch);
        return NULL;
    }
    if (PyObject_SetAttrString(watch, "log", (PyObject *)log) < 0) {
        Py_CLEAR(watch);
    }
    Py_DECREF(log);
    return watch;
}

/* The C log of a WatchState made by ct_watch_state_new; borrowed (the WatchState keeps it). */
static ct_event_log *
log_of(ct_state *st, PyObject *watch)
{
    PyObject *log = ct_getattr(watch, "log");
    if (log == NULL || !Py_IS_TYPE(log, st->event_log_type)) {
        Py_XDECREF(log);
        return NULL;
    }
    Py_DECREF(log);
    return (ct_event_log *)log;
}

/* With the gate held no other thread changes the table or its watchers.  Makes every change go
 * through the section from here on, and the next one be recorded. */
static int
ensure_watch(ct_table *t)
{
    ct_section section;
    if (t->watch != NULL) {
        return 0;
    }
    PyObject *watch = ct_watch_state_new(t->st, ct_version(t));
    ct_event_log *log = watch == NULL ? NULL : log_of(t->st, watch);
    if (log == NULL) {
        Py_XDECREF(watch);
        return -1;
    }
    ct_lock(t, &section);
    ct_store_relaxed(&t->lockfree, 0);
    ct_quiesce_held(t);
    ct_store_relaxed(&log->version, ct_version(t));
    t->watch = watch;
    t->log = log;
    ct_unlock(&section);
    return 0;
}

int
ct_watch_install(ct_table *t, PyObject *watch)
{
    ct_section section;
    ct_event_log *log = log_of(t->st, watch);
    if (log == NULL) {
        return -1;
    }
    ct_lock(t, &section);
    ct_store_relaxed(&t->lockfree, 0);
    ct_quiesce_held(t);
    PyObject *before = t->watch;
    t->watch = Py_NewRef(watch);
    t->log = log;
    ct_unlock(&section);
    Py_XDECREF(before);
    return 0;
}

static void
drop_watch_if_unused(ct_table *t)
{
    ct_section section;
    Py_ssize_t listeners = PyObject_Size(t->watch);
    if (listeners != 0) {
        PyErr_Clear();
        return;
    }
    ct_lock(t, &section);
    PyObject *watch = t->watch;
    t->watch = NULL;
    t->log = NULL;
    if (!ct_is_shared(t) && ct_load_relaxed(&t->snapshot) == NULL) {
        ct_store_release(&t->lockfree, t->gate == NULL);
    }
    ct_unlock(&section);
    Py_DECREF(watch); /* unlocked: runs finalizers of what the log still held */
}

/* Calls WatchState.<method>(argument) while the table holds still.  0 or -1. */
static int
change_watchers(ct_table *t, const char *method, PyObject *listener, PyObject *wanted)
{
    if (ct_gate_enter(t) < 0) {
        return -1;
    }
    int status = wanted == NULL ? 0 : ensure_watch(t);
    if (status == 0 && wanted != NULL) {
        PyObject *since = PyLong_FromUnsignedLongLong(ct_version(t));
        status = since == NULL ? -1 : PyObject_SetAttrString(wanted, "since", since);
        Py_XDECREF(since);
    }
    if (status == 0 && t->watch != NULL) {
        PyObject *result = ct_call_method(t->watch, method, listener);
        status = result == NULL ? -1 : 0;
        Py_XDECREF(result);
        PyObject *type, *value, *tb;
        PyErr_Fetch(&type, &value, &tb);
        drop_watch_if_unused(t);
        PyErr_Restore(type, value, tb);
    }
    ct_gate_leave(t);
    return status;
}

/* 1 and a borrowed reference, 0 when it was not given, -1 with an error (no memory). */
static int
keyword(PyObject *kwargs, const char *name, PyObject **value)
{
    PyObject *key = PyUnicode_FromString(name);
    *value = key == NULL ? NULL : PyDict_GetItemWithError(kwargs, key);
    Py_XDECREF(key);
    return *value != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
}

static PyObject *
make_filter(ct_state *st, PyObject *kwargs, Py_ssize_t known)
{
    PyObject *kinds = NULL, *keys = Py_None;
    PyObject *all = ct_getattr(st->events, "ALL_KINDS");
    PyObject *filter = NULL;
    if (kwargs != NULL && all != NULL) {
        PyObject *given;
        int has_kinds = keyword(kwargs, "kinds", &kinds);
        int has_keys = has_kinds < 0 ? -1 : keyword(kwargs, "keys", &given);
        if (has_keys < 0) {
            goto done;
        }
        keys = has_keys ? given : Py_None;
        known += has_kinds + has_keys;
        if (known != PyDict_GET_SIZE(kwargs)) {
            PyErr_SetString(PyExc_TypeError, "unexpected keyword argument; kinds and keys are known");
            goto done;
        }
    }
    if (all != NULL) {
        filter = ct_call_method(st->events, "Filter", kinds ? kinds : all, keys);
    }
done:
    Py_XDECREF(all);
    return filter;
}

static PyObject *
attach(ct_table *t, PyObject *listener, PyObject *filter)
{
    if (listener != NULL
        && (ct_touch(t) < 0 || change_watchers(t, "attach", listener, filter) < 0)) {
        Py_CLEAR(listener);
    }
    Py_DECREF(filter);
    return listener;
}

PyObject *
ct_watch_listener(ct_state *st, PyObject *named, PyObject *args, PyObject *kwargs, PyObject **wanted)
{
    if (PyTuple_GET_SIZE(args) != 1) {
        PyErr_SetString(PyExc_TypeError, "watch() takes exactly one positional argument: callback");
        return NULL;
    }
    *wanted = make_filter(st, kwargs, 0);
    PyObject *listener = *wanted == NULL ? NULL
                                         : ct_call_method(st->events, "Watch", named,
                                                          PyTuple_GET_ITEM(args, 0), *wanted);
    if (listener == NULL) {
        Py_CLEAR(*wanted);
    }
    return listener;
}

PyObject *
ct_subscription(ct_state *st, PyObject *named, PyObject *args, PyObject *kwargs, PyObject **wanted)
{
    PyObject *maxlen = PyTuple_GET_SIZE(args) == 1 ? PyTuple_GET_ITEM(args, 0) : NULL;
    Py_ssize_t known = 0;
    if (PyTuple_GET_SIZE(args) > 1) {
        PyErr_SetString(PyExc_TypeError, "subscribe() takes at most one positional argument: maxlen");
        return NULL;
    }
    if (maxlen == NULL && kwargs != NULL) {
        known = keyword(kwargs, "maxlen", &maxlen);
        if (known < 0) {
            return NULL;
        }
    }
    PyObject *filter = make_filter(st, kwargs, known);
    PyObject *number = maxlen != NULL ? Py_NewRef(maxlen) : PyLong_FromLong(1024);
    PyObject *listener = NULL;
    if (filter == NULL || number == NULL) {
        Py_XDECREF(filter);
        Py_XDECREF(number);
        return NULL;
    }
    listener = ct_call_method(st->events, "Subscription", named, number, filter);
    Py_DECREF(number);
    if (listener == NULL) {
        Py_CLEAR(filter);
    }
    *wanted = filter;
    return listener;
}

PyObject *
ct_watch_as(ct_table *t, PyObject *named, PyObject *args, PyObject *kwargs)
{
    PyObject *filter, *listener = ct_watch_listener(t->st, named, args, kwargs, &filter);
    return listener == NULL ? NULL : attach(t, listener, filter);
}

PyObject *
ct_subscribe_as(ct_table *t, PyObject *named, PyObject *args, PyObject *kwargs)
{
    PyObject *filter, *listener = ct_subscription(t->st, named, args, kwargs, &filter);
    return listener == NULL ? NULL : attach(t, listener, filter);
}

static PyObject *
table_watch(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return ct_watch_as(CT_TABLE(self), self, args, kwargs);
}

static PyObject *
table_subscribe(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return ct_subscribe_as(CT_TABLE(self), self, args, kwargs);
}

PyObject *
ct_remove_watch(ct_table *t, PyObject *listener)
{
    if (change_watchers(t, "detach", listener, NULL) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
table_remove_watch(PyObject *self, PyObject *listener)
{
    return ct_remove_watch(CT_TABLE(self), listener);
}

/* A low-level watcher's bit (watchers.py) in WatchState.mask. */
int
ct_watch_set_bit(PyObject *watch, unsigned long bit, int on)
{
    PyObject *mask = ct_getattr(watch, "mask");
    unsigned long bits = mask == NULL ? (unsigned long)-1 : PyLong_AsUnsignedLong(mask);
    Py_XDECREF(mask);
    if (PyErr_Occurred()) {
        return -1;
    }
    mask = PyLong_FromUnsignedLong(on ? bits | bit : bits & ~bit);
    int status = mask == NULL ? -1 : PyObject_SetAttrString(watch, "mask", mask);
    Py_XDECREF(mask);
    return status;
}

PyObject *
ct_set_watch_bit(ct_table *t, PyObject *args)
{
    unsigned long bit;
    int on;
    if (!PyArg_ParseTuple(args, "kp", &bit, &on) || ct_touch(t) < 0 || ct_gate_enter(t) < 0) {
        return NULL;
    }
    int status = ensure_watch(t);
    if (status == 0) {
        status = ct_watch_set_bit(t->watch, bit, on);
        if (status == 0) {
            drop_watch_if_unused(t);
        }
    }
    ct_gate_leave(t);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
table_set_watch_bit(PyObject *self, PyObject *args)
{
    return ct_set_watch_bit(CT_TABLE(self), args);
}

PyObject *
ct_watch_get(PyObject *self, void *Py_UNUSED(closure))
{
    ct_section section;
    ct_lock(CT_TABLE(self), &section);
    PyObject *watch = CT_TABLE(self)->watch;
    watch = watch != NULL ? watch : Py_None;
    Py_INCREF(watch);
    ct_unlock(&section);
    return watch;
}

PyMethodDef ct_watch_methods[4] = {
    {"watch", (PyCFunction)(void (*)(void))table_watch, METH_VARARGS | METH_KEYWORDS,
     "watch($self, callback, *, kinds=..., keys=None)\n--\n\n"
     "Call callback(event) after every change from now on; returns a Watch.\n\n"
     "The callback runs in the writing thread, after the change is visible, with no lock held, before\n"
     "the mutating call returns.  Callbacks of different threads may overlap.  What it raises goes to\n"
     "sys.unraisablehook; the write stands.  Thread-safety: atomic."},
    {"subscribe", (PyCFunction)(void (*)(void))table_subscribe, METH_VARARGS | METH_KEYWORDS,
     "subscribe($self, maxlen=1024, *, kinds=..., keys=None)\n--\n\n"
     "A Subscription: the events from now on as an iterator, in strict version order.\n\n"
     "maxlen is the number of events kept for a slow consumer; beyond it one LOST event names the\n"
     "versions dropped.  Thread-safety: atomic."},
    {"_remove_watch", table_remove_watch, METH_O, NULL},
    {"_set_watch_bit", table_set_watch_bit, METH_VARARGS, NULL},
};
