/* `exclusive`: whole tables held against other writers for several steps.
 *
 * A section is internal: it may be suspended, and no user code runs inside it.  What users hold is
 * a gate.  A writer that finds another thread's gate leaves its section and waits outside; readers
 * never look at gates.  While a gate is held, no overwrite goes without the section.  Waiting,
 * cycle detection and forks are Python (_waits.py), shared by both implementations: a Gate object
 * says who holds it.
 */
#include "exclusive.h"

enum { CT_RELEASE_TRIES = 1000 };

/* 1 when the gate belongs to a thread that stayed behind in the parent of a fork. */
static int
gate_is_void(PyObject *gate)
{
    PyObject *flag = ct_getattr(gate, "void");
    int result = flag == NULL ? -1 : PyObject_IsTrue(flag);
    Py_XDECREF(flag);
    return result;
}

/* Unlocked.  0 after the gate was released, -1 with an error (DeadlockError). */
static int
wait_for_gate(ct_table *t, PyObject *gate)
{
    PyObject *table = t->parent != NULL ? t->parent : (PyObject *)t;
    CT_POINT_OPEN(gate_wait);
    PyObject *result = ct_call_method(gate, "wait", table);
    CT_POINT_OPEN(gate_passed);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* The section is held and a gate is there; on success the section is held still. */
CT_NOINLINE int
ct_write_lock_slow(ct_table *t, ct_section *section)
{
    unsigned long me = PyThread_get_thread_ident();
    while (t->gate != NULL && t->gate_owner != me) {
        PyObject *gate = t->gate;
        Py_INCREF(gate);
        ct_unlock(section);
        int is_void = gate_is_void(gate);
        int status = is_void ? (is_void < 0 ? -1 : 0) : wait_for_gate(t, gate);
        ct_lock(t, section);
        PyObject *left = NULL;
        if (is_void > 0 && t->gate == gate) {
            left = t->gate;
            t->gate = NULL;
        }
        if (status < 0 || left != NULL) {
            ct_unlock(section);
            Py_XDECREF(left);
            Py_DECREF(gate);
            if (status < 0) {
                return -1;
            }
            ct_lock(t, section);
            continue;
        }
        ct_unlock(section);
        Py_DECREF(gate); /* perhaps the last: outside the section */
        ct_lock(t, section);
    }
    return 0;
}

static PyObject *
gate_new(ct_table *t)
{
    PyObject *type = ct_getattr(t->st->gates, "Gate");
    PyObject *gate = type == NULL ? NULL : PyObject_CallNoArgs(type);
    Py_XDECREF(type);
    return gate;
}

int
ct_gate_enter(ct_table *t)
{
    ct_section section;
    PyObject *gate = gate_new(t);
    if (gate == NULL || ct_touch(t) < 0 || ct_write_lock(t, &section) < 0) {
        Py_XDECREF(gate);
        return -1;
    }
    if (t->gate == NULL) {
        ct_store_relaxed(&t->lockfree, 0);
        ct_quiesce_held(t);
        CT_POINT(gate_enter);
        t->gate = gate;
        t->gate_owner = PyThread_get_thread_ident();
        t->gate_depth = 0;
        gate = NULL;
    }
    t->gate_depth++;
    ct_unlock(&section);
    Py_XDECREF(gate);
    return 0;
}

static void
left_by_stranger(void)
{
    PyErr_SetString(PyExc_RuntimeError,
                    "exclusive: left by another thread than the one that entered");
}

/* Wake the waiters.  A call may lack memory for a moment; they would wait for ever. */
static void
release_waiters(PyObject *gate)
{
    PyObject *type, *value, *tb, *result = NULL;
    PyErr_Fetch(&type, &value, &tb);
    for (int tries = 0; result == NULL && tries < CT_RELEASE_TRIES; tries++) {
        PyErr_Clear();
        PyObject *released = ct_getattr(gate, "released");
        result = released == NULL ? NULL : ct_call_method(released, "set");
        Py_XDECREF(released);
    }
    if (result == NULL) {
        PyErr_WriteUnraisable(gate);
    }
    Py_XDECREF(result);
    PyErr_Restore(type, value, tb);
}

int
ct_gate_leave(ct_table *t)
{
    ct_section section;
    PyObject *gate = NULL;
    ct_lock(t, &section);
    int mine = t->gate != NULL && t->gate_owner == PyThread_get_thread_ident();
    if (mine && --t->gate_depth == 0) {
        gate = t->gate;
        CT_POINT(gate_leave);
        t->gate = NULL;
        if (!ct_is_shared(t) && t->log == NULL && ct_load_relaxed(&t->snapshot) == NULL) {
            ct_store_release(&t->lockfree, 1);
        }
    }
    ct_unlock(&section);
    if (!mine) {
        left_by_stranger();
        return -1;
    }
    if (gate != NULL) {
        release_waiters(gate);
        Py_DECREF(gate);
    }
    return 0;
}

/* -- the context manager ------------------------------------------------------------------------ */

typedef struct {
    PyObject_HEAD
    PyObject *parts; /* list of tables in address order */
    PyObject *held;  /* list: how often this instance was entered is its length */
} ct_exclusive;

static int
by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)*(PyObject *const *)a, y = (uintptr_t)*(PyObject *const *)b;
    return (x > y) - (x < y);
}

static void
not_a_table(PyObject *candidate)
{
    PyErr_Format(PyExc_TypeError, "exclusive() takes mutable tables of concurrent_tables, not %s",
                 ct_type_name(candidate));
}

/* A table stands for itself, or for what its `_exclusive_parts()` returns. */
static int
add_parts(PyObject *parts, PyObject *candidate)
{
    PyObject *finder = ct_getattr((PyObject *)Py_TYPE(candidate), "_exclusive_parts");
    PyObject *found = NULL;
    if (finder != NULL) {
        found = PyObject_CallOneArg(finder, candidate);
        Py_DECREF(finder);
        if (found == NULL) {
            return -1;
        }
    }
    else {
        if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Clear();
            not_a_table(candidate);
        }
        return -1;
    }
    PyObject *fast = PySequence_Fast(found, "_exclusive_parts() must return tables");
    int status = fast == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; status == 0 && i < PySequence_Fast_GET_SIZE(fast); i++) {
        PyObject *part = PySequence_Fast_GET_ITEM(fast, i);
        int known = 0;
        if (ct_state_of_type(Py_TYPE(part)) == NULL) {
            PyErr_Clear(); /* a table of the other implementation */
            not_a_table(candidate);
            status = -1;
            break;
        }
        for (Py_ssize_t j = 0; j < PyList_GET_SIZE(parts); j++) {
            known |= PyList_GET_ITEM(parts, j) == part;
        }
        status = known ? 0 : PyList_Append(parts, part);
    }
    Py_XDECREF(fast);
    Py_DECREF(found);
    return status;
}

static int
exclusive_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    ct_exclusive *x = (ct_exclusive *)self;
    if ((kwargs != NULL && PyDict_GET_SIZE(kwargs)) || PyTuple_GET_SIZE(args) == 0) {
        PyErr_SetString(PyExc_TypeError, "exclusive() takes one or more tables, by position");
        return -1;
    }
    PyObject *parts = PyList_New(0), *held = PyList_New(0);
    for (Py_ssize_t i = 0; parts != NULL && held != NULL && i < PyTuple_GET_SIZE(args); i++) {
        if (add_parts(parts, PyTuple_GET_ITEM(args, i)) < 0) {
            Py_CLEAR(parts);
        }
    }
    if (parts == NULL || held == NULL) {
        Py_XDECREF(parts);
        Py_XDECREF(held);
        return -1;
    }
    qsort(PySequence_Fast_ITEMS(parts), (size_t)PyList_GET_SIZE(parts), sizeof(PyObject *),
          by_address);
    Py_XSETREF(x->parts, parts);
    Py_XSETREF(x->held, held);
    return 0;
}

/* Whether the calling thread holds the gates of all `parts`. */
static int
holds_all(PyObject *parts)
{
    int all = 1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(parts); i++) {
        ct_section section;
        ct_table *t = CT_TABLE(PyList_GET_ITEM(parts, i));
        ct_lock(t, &section);
        all &= t->gate != NULL && t->gate_owner == PyThread_get_thread_ident();
        ct_unlock(&section);
    }
    return all;
}

static int
leave_first(PyObject *parts, Py_ssize_t count)
{
    int status = 0;
    while (--count >= 0) {
        status |= ct_gate_leave(CT_TABLE(PyList_GET_ITEM(parts, count)));
    }
    return status;
}

static PyObject *
exclusive_enter(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_exclusive *x = (ct_exclusive *)self;
    if (x->parts == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "exclusive: entered without having been given tables");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(x->parts); i++) {
        if (ct_gate_enter(CT_TABLE(PyList_GET_ITEM(x->parts, i))) < 0) {
            PyObject *type, *value, *tb;
            PyErr_Fetch(&type, &value, &tb);
            leave_first(x->parts, i);
            PyErr_Restore(type, value, tb);
            return NULL;
        }
    }
    if (PyList_Append(x->held, Py_None) < 0) {
        leave_first(x->parts, PyList_GET_SIZE(x->parts));
        return NULL;
    }
    return Py_NewRef(self);
}

static PyObject *
exclusive_exit(PyObject *self, PyObject *Py_UNUSED(args))
{
    ct_exclusive *x = (ct_exclusive *)self;
    Py_ssize_t depth = x->held == NULL ? 0 : PyList_GET_SIZE(x->held);
    if (depth == 0) {
        PyErr_SetString(PyExc_RuntimeError, "exclusive: left without having been entered");
        return NULL;
    }
    /* A stranger must not spoil the hold: look at all gates before letting go of one. */
    if (!holds_all(x->parts)) {
        left_by_stranger();
        return NULL;
    }
    if (PyList_SetSlice(x->held, depth - 1, depth, NULL) < 0
        || leave_first(x->parts, PyList_GET_SIZE(x->parts)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static int
exclusive_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((ct_exclusive *)self)->parts);
    Py_VISIT(((ct_exclusive *)self)->held);
    return 0;
}

static int
exclusive_clear(PyObject *self)
{
    Py_CLEAR(((ct_exclusive *)self)->parts);
    Py_CLEAR(((ct_exclusive *)self)->held);
    return 0;
}

static void
exclusive_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    exclusive_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef exclusive_methods[] = {
    {"__enter__", exclusive_enter, METH_NOARGS, NULL},
    {"__exit__", exclusive_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(exclusive_doc,
"exclusive(table, /, *tables)\n--\n\n"
"Hold one or more whole tables against other *writers* while a `with` block runs.\n\n"
"Re-entrant; readers stay lock-free and see each write as it happens. Of a `ShardedDict` every\n"
"shard is held. Raises TypeError for anything but a mutable table of this package, and\n"
"DeadlockError instead of closing a cycle of waiting threads.\n\n"
"Thread-safety: entering and leaving are atomic; an instance belongs to one thread at a time.\n\n"
">>> from concurrent_tables import ConcurrentDict, exclusive\n"
">>> checking, savings = ConcurrentDict(ann=70), ConcurrentDict(ann=30)\n"
">>> with exclusive(checking, savings):\n"
"...     checking['ann'] -= 20\n"
"...     savings['ann'] += 20\n"
">>> checking['ann'], savings['ann']\n"
"(50, 50)\n");

static PyType_Slot exclusive_slots[] = {
    {Py_tp_doc, (void *)exclusive_doc},
    {Py_tp_init, exclusive_init},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_methods, exclusive_methods},
    {Py_tp_traverse, exclusive_traverse},
    {Py_tp_clear, exclusive_clear},
    {Py_tp_dealloc, exclusive_dealloc},
    {0, NULL},
};

static PyType_Spec exclusive_spec = {
    .name = "concurrent_tables.exclusive",
    .basicsize = sizeof(ct_exclusive),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = exclusive_slots,
};

int
ct_exclusive_type_init(PyObject *module, ct_state *st)
{
    st->exclusive_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &exclusive_spec, NULL);
    return st->exclusive_type == NULL ? -1
                                      : PyModule_AddObjectRef(module, "exclusive",
                                                              (PyObject *)st->exclusive_type);
}
