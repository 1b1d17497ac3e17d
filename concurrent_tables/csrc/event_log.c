/* The event log.  See event_log.h. */
#include "event_log.h"
#include "watching.h"

static void
log_lock(ct_event_log *log)
{
    int idle = 0;
    while (!ct_cas_seq_cst(&log->busy, &idle, 1)) {
        idle = 0;
    }
}

static void
log_unlock(ct_event_log *log)
{
    ct_store_release(&log->busy, 0);
}

void
ct_event_copy(ct_event *to, const ct_event *from)
{
    *to = *from;
    Py_XINCREF(to->key);
    Py_XINCREF(to->old_value);
    Py_XINCREF(to->new_value);
}

void
ct_event_clear(ct_event *event)
{
    Py_CLEAR(event->key);
    Py_CLEAR(event->old_value);
    Py_CLEAR(event->new_value);
}

PyObject *
ct_event_as_record(ct_state *st, const ct_event *event)
{
    int bit = 0;
    while ((1 << bit) != event->kind) {
        bit++;
    }
#define OR_MISSING(o) ((o) != NULL ? (o) : st->missing)
    return Py_BuildValue("(OOOOK)", st->kinds[bit], OR_MISSING(event->key),
                         OR_MISSING(event->old_value), OR_MISSING(event->new_value),
                         (unsigned long long)event->version);
#undef OR_MISSING
}

static ct_event_node *
log_pop(ct_event_log *log)
{
    log_lock(log);
    ct_event_node *node = log->head;
    if (node != NULL) {
        log->head = node->next;
        if (log->head == NULL) {
            log->tail = NULL;
        }
        ct_add_relaxed(&log->length, -1);
    }
    log_unlock(log);
    return node;
}

void
ct_log_lose(ct_event_log *log, uint64_t first, uint64_t last)
{
    log_lock(log);
    int more = ct_load_relaxed(&log->lost);
    log->first_lost = more && log->first_lost < first ? log->first_lost : first;
    log->last_lost = more && log->last_lost > last ? log->last_lost : last;
    ct_store_relaxed(&log->lost, 1);
    log_unlock(log);
}

uint64_t
ct_log_push(ct_event_log *log, ct_event_node *node, uint64_t version)
{
    node->next = NULL;
    log_lock(log);
    if (version == 0) {
        version = ct_load_relaxed(&log->version) + 1;
        ct_store_relaxed(&log->version, version);
    }
    node->event.version = version;
    if (log->tail == NULL) {
        log->head = node;
    }
    else {
        log->tail->next = node;
    }
    log->tail = node;
    ct_add_relaxed(&log->length, 1);
    log_unlock(log);
    return version;
}

void
ct_log_skip(ct_event_log *log)
{
    log_lock(log);
    ct_store_relaxed(&log->version, ct_load_relaxed(&log->version) + 1);
    log_unlock(log);
}

/* log[0]: the oldest record.  It stays: with no memory for the record, nothing is lost.  Only one
 * thread at a time takes records out (WatchState._feed). */
static PyObject *
log_item(PyObject *self, Py_ssize_t index)
{
    ct_event_log *log = (ct_event_log *)self;
    ct_event event;
    log_lock(log);
    int found = index == 0 && log->head != NULL;
    if (found) {
        ct_event_copy(&event, &log->head->event);
    }
    log_unlock(log);
    if (!found) {
        PyErr_SetString(PyExc_IndexError, "an event log shows its oldest record only");
        return NULL;
    }
    PyObject *record = ct_event_as_record(log->st, &event);
    ct_event_clear(&event);
    return record;
}

static PyObject *
log_popleft(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_event_node *node = log_pop((ct_event_log *)self);
    if (node == NULL) {
        PyErr_SetString(PyExc_IndexError, "pop from an empty event log");
        return NULL;
    }
    ct_event_clear(&node->event);
    PyMem_Free(node);
    Py_RETURN_NONE;
}

static PyObject *
log_lose_method(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "lose() takes the first and the last version");
        return NULL;
    }
    unsigned long long first = PyLong_AsUnsignedLongLong(args[0]);
    unsigned long long last = PyLong_AsUnsignedLongLong(args[1]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    ct_log_lose((ct_event_log *)self, first, last);
    Py_RETURN_NONE;
}

static PyObject *
log_take_lost(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_event_log *log = (ct_event_log *)self;
    if (!ct_load_relaxed(&log->lost)) {
        Py_RETURN_NONE;
    }
    log_lock(log);
    int lost = ct_load_relaxed(&log->lost);
    uint64_t first = log->first_lost, last = log->last_lost;
    ct_store_relaxed(&log->lost, 0);
    log_unlock(log);
    if (!lost) {
        Py_RETURN_NONE;
    }
    PyObject *range = Py_BuildValue("(KK)", (unsigned long long)first, (unsigned long long)last);
    if (range == NULL) {
        ct_log_lose(log, first, last);
    }
    return range;
}

/* WatchState.close appends its DEALLOCATED record. */
static PyObject *
log_append(PyObject *self, PyObject *record)
{
    ct_event_log *log = (ct_event_log *)self;
    ct_event event = {0};
    long kind;
    unsigned long long version;
    PyObject *key, *old_value, *new_value;
    if (!PyTuple_Check(record)
        || !PyArg_ParseTuple(record, "lOOOK", &kind, &key, &old_value, &new_value, &version)) {
        return NULL;
    }
    ct_event_node *node = PyMem_Calloc(1, sizeof(*node));
    if (node == NULL) {
        return PyErr_NoMemory();
    }
    event.kind = (int)kind;
    event.key = key;
    event.old_value = old_value;
    event.new_value = new_value;
    ct_event_copy(&node->event, &event);
    ct_log_push(log, node, version);
    Py_RETURN_NONE;
}

static Py_ssize_t
log_length(PyObject *self)
{
    return ct_load_relaxed(&((ct_event_log *)self)->length);
}

/* As many of the oldest records as there is room for, copied; how many there were. */
static Py_ssize_t
log_copy(ct_event_log *log, ct_event *events, Py_ssize_t room)
{
    Py_ssize_t count = 0;
    log_lock(log);
    for (ct_event_node *node = log->head; node != NULL; node = node->next, count++) {
        if (count < room) {
            ct_event_copy(&events[count], &node->event);
        }
    }
    log_unlock(log);
    return count;
}

/* Turned into records, or only cleared where that failed. */
static PyObject *
as_records(ct_state *st, ct_event *events, Py_ssize_t count, int wanted)
{
    PyObject *records = wanted ? PyTuple_New(count) : NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *record = records == NULL ? NULL : ct_event_as_record(st, &events[i]);
        if (record == NULL) {
            Py_CLEAR(records);
        }
        else {
            PyTuple_SET_ITEM(records, i, record);
        }
        ct_event_clear(&events[i]);
    }
    return records;
}

/* All that are there at one moment, the oldest first. */
static PyObject *
log_records(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_event_log *log = (ct_event_log *)self;
    for (;;) {
        Py_ssize_t room = ct_load_relaxed(&log->length) + 8;
        ct_event *events = PyMem_New(ct_event, room);
        if (events == NULL) {
            return PyErr_NoMemory();
        }
        Py_ssize_t count = log_copy(log, events, room);
        int fits = count <= room;
        PyObject *records = as_records(log->st, events, fits ? count : room, fits);
        PyMem_Free(events);
        if (fits) {
            return records;
        }
    }
}

static int
log_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    for (ct_event_node *node = ((ct_event_log *)self)->head; node != NULL; node = node->next) {
        Py_VISIT(node->event.key);
        Py_VISIT(node->event.old_value);
        Py_VISIT(node->event.new_value);
    }
    return 0;
}

static int
log_clear(PyObject *self)
{
    ct_event_node *node;
    while ((node = log_pop((ct_event_log *)self)) != NULL) {
        ct_event_clear(&node->event);
        PyMem_Free(node);
    }
    return 0;
}

static void
log_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    log_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

ct_event_log *
ct_log_new(ct_state *st, uint64_t version)
{
    ct_event_log *log = PyObject_GC_New(ct_event_log, st->event_log_type);
    if (log == NULL) {
        return NULL;
    }
    ct_store_relaxed(&log->busy, 0);
    ct_store_relaxed(&log->version, version);
    ct_store_relaxed(&log->length, 0);
    ct_store_relaxed(&log->lost, 0);
    log->head = log->tail = NULL;
    log->st = st;
    PyObject_GC_Track(log);
    return log;
}

static PyMethodDef log_methods[] = {
    {"records", log_records, METH_NOARGS, "The records of one moment, the oldest first."},
    {"popleft", log_popleft, METH_NOARGS, "Remove the oldest record."},
    {"append", log_append, METH_O, "Add a record with the version it names."},
    {"lose", (PyCFunction)(void (*)(void))log_lose_method, METH_FASTCALL,
     "Remember that callbacks missed the versions from first to last."},
    {"take_lost", log_take_lost, METH_NOARGS, "What was given to lose() since the last time."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot log_slots[] = {
    {Py_tp_doc, "Events of a table in commit order, until its WatchState takes them."},
    {Py_tp_methods, log_methods},
    {Py_sq_length, log_length},
    {Py_sq_item, log_item},
    {Py_tp_traverse, log_traverse},
    {Py_tp_clear, log_clear},
    {Py_tp_dealloc, log_dealloc},
    {0, NULL},
};

static PyType_Spec log_spec = {
    .name = "concurrent_tables._core.EventLog",
    .basicsize = sizeof(ct_event_log),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = log_slots,
};

int
ct_event_log_type_init(PyObject *module, ct_state *st)
{
    st->event_log_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &log_spec, NULL);
    return st->event_log_type == NULL ? -1 : 0;
}
