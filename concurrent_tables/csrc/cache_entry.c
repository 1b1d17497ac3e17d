/* Cells and entries of a cache as Python sees them: plain data with attributes.
 *
 * An `Entry` stands for one node: it keeps key and value alive, and what else it tells is the node's, as long
 * as that is in the table; afterwards it is what it was when somebody looked. */
#include "cache_store.h"

#include <math.h>

/* -- Cell --------------------------------------------------------------------------------------- */

static int
int64_of(PyObject *o, int64_t *value)
{
    if (o == NULL) {
        PyErr_SetString(PyExc_AttributeError, "this attribute cannot be deleted");
        return -1;
    }
    long long number = PyLong_AsLongLong(o);
    *value = number;
    return number == -1 && PyErr_Occurred() ? -1 : 0;
}

static PyObject *
cell_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"fallen", NULL};
    long long fallen = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|L:Cell", names, &fallen)) {
        return NULL;
    }
    ct_cell *cell = (ct_cell *)type->tp_alloc(type, 0);
    if (cell != NULL) {
        ct_store_release(&cell->fallen, fallen);
    }
    return (PyObject *)cell;
}

static PyObject *
cell_get_fallen(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLongLong(ct_load_acquire(&((ct_cell *)self)->fallen));
}

static int
cell_set_fallen(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    int64_t fallen;
    if (int64_of(value, &fallen) < 0) {
        return -1;
    }
    ct_store_release(&((ct_cell *)self)->fallen, fallen);
    return 0;
}

static int
cell_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static void
cell_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (((ct_cell *)self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static PyGetSetDef cell_getset[] = {
    {"fallen", cell_get_fallen, cell_set_fallen, "Entries that began before this epoch fell.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef cell_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ct_cell, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot cell_slots[] = {
    {Py_tp_doc, (void *)"The epoch of the last invalidation of one tag, or of one load in flight."},
    {Py_tp_new, cell_new},
    {Py_tp_getset, cell_getset},
    {Py_tp_members, cell_members},
    {Py_tp_traverse, cell_traverse},
    {Py_tp_dealloc, cell_dealloc},
    {0, NULL},
};

static PyType_Spec cell_spec = {
    .name = "concurrent_tables._core.Cell",
    .basicsize = sizeof(ct_cell),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = cell_slots,
};

/* -- Entry: life -------------------------------------------------------------------------------- */

static int
check_cells(ct_state *st, PyObject *cells)
{
    if (!PyTuple_CheckExact(cells)) {
        PyErr_Format(PyExc_TypeError, "cells must be a tuple or None, not %s", ct_type_name(cells));
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(cells); i++) {
        if (!Py_IS_TYPE(PyTuple_GET_ITEM(cells, i), st->extra_types[CT_X_CELL])) {
            PyErr_SetString(PyExc_TypeError, "cells must be a tuple of Cell");
            return -1;
        }
    }
    return 0;
}

static PyObject *
entry_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"key", "value", "epoch", "cells", "deadline",
                            "idle", "now", "refresh_at", "weight", NULL};
    ct_view view = {.number = CT_NONE};
    long long epoch;
    int overflow;
    PyObject *weight;
    ct_state *st = ct_state_of_type(type);
    if (st == NULL
        || !PyArg_ParseTupleAndKeywords(args, kwargs, "OOLOddddO!:Entry", names, &view.key,
                                        &view.value, &epoch, &view.cells, &view.deadline,
                                        &view.idle, &view.touched, &view.refresh_at, &PyLong_Type, &weight)
        || (view.cells != Py_None && check_cells(st, view.cells) < 0)) {
        return NULL;
    }
    view.epoch = epoch;
    view.weight = PyLong_AsLongLongAndOverflow(weight, &overflow);
    view.weight = overflow > 0 ? INT64_MAX : view.weight;
    view.hash = ct_hash(view.key);
    PyObject *self = view.hash == -1 ? NULL : type->tp_alloc(type, 0);
    if (self != NULL) {
        view.cells = view.cells == Py_None ? NULL : Py_NewRef(view.cells);
        Py_INCREF(view.key);
        Py_INCREF(view.value);
        CT_ENTRY(self)->view = view;
    }
    return self;
}

PyObject *
ct_entry_blank(ct_store *store)
{
    PyTypeObject *type = store->base.st->extra_types[CT_X_ENTRY];
    return type->tp_alloc(type, 0);
}

void
ct_entry_fill(PyObject *self, ct_store *store, const ct_view *view)
{
    CT_ENTRY(self)->view = *view;
    CT_ENTRY(self)->view.more = NULL;
    CT_ENTRY(self)->store = (ct_store *)Py_NewRef((PyObject *)store);
}

PyObject *
ct_entry_of(ct_store *store, ct_view *view)
{
    PyObject *self = ct_entry_blank(store);
    if (self == NULL) {
        ct_view_release(view);
        return NULL;
    }
    ct_entry_fill(self, store, view);
    return self;
}

static int
entry_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(CT_ENTRY(self)->view.key);
    Py_VISIT(CT_ENTRY(self)->view.value);
    Py_VISIT(CT_ENTRY(self)->view.cells);
    Py_VISIT(CT_ENTRY(self)->store);
    Py_VISIT(CT_ENTRY(self)->victims);
    return 0;
}

static int
entry_clear(PyObject *self)
{
    ct_view_release(&CT_ENTRY(self)->view);
    Py_CLEAR(CT_ENTRY(self)->store);
    Py_CLEAR(CT_ENTRY(self)->victims);
    return 0;
}

static void
entry_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, entry_dealloc)
    entry_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* -- Entry: attributes -------------------------------------------------------------------------- */

/* The node, pinned; NULL and unpinned when the entry is not in the table. */
static ct_node *
pin_node(ct_entry *entry, ct_record **record)
{
    ct_store *store = entry->store;
    *record = store == NULL ? NULL : ct_enter(&store->base);
    if (*record == NULL) {
        PyErr_Clear();
        return NULL;
    }
    if (!ct_store_is_live(store, entry->view.number, entry->view.epoch)) {
        ct_unpin(*record);
        return NULL;
    }
    return ct_node_at(store, entry->view.number);
}

int
ct_entry_now(ct_entry *entry, ct_view *view)
{
    ct_record *record;
    if (pin_node(entry, &record) != NULL) {
        ct_view_copy(entry->store, entry->view.number, view);
        ct_unpin(record);
        return 0;
    }
    *view = entry->view;
    Py_INCREF(view->key);
    Py_INCREF(view->value);
    Py_XINCREF(view->cells);
    return 0;
}

static PyObject *
entry_get_cells(PyObject *self, void *Py_UNUSED(closure))
{
    ct_record *record;
    ct_node *node = pin_node(CT_ENTRY(self), &record);
    PyObject *cells;
    if (node == NULL) {
        cells = Py_XNewRef(CT_ENTRY(self)->view.cells);
    }
    else {
        cells = Py_XNewRef(ct_node_cells(node));
        ct_unpin(record);
    }
    return cells == NULL ? Py_NewRef(Py_None) : cells;
}

/* In the section; takes over a reference, and returns another. */
static PyObject *
exchange_cells(ct_node *node, PyObject *cells)
{
    ct_entry_more *more = ct_node_more(node);
    if (more != NULL) {
        return ct_exchange_acq_rel(&more->cells, cells);
    }
    uintptr_t extra = cells == NULL ? 0 : (uintptr_t)cells | CT_CELLS_ONLY;
    return ct_cells_of(ct_exchange_acq_rel(&node->extra, extra));
}

/* Takes over a reference. */
static int
replace_cells(ct_entry *entry, PyObject *cells)
{
    ct_store *store = entry->store;
    ct_section section;
    PyObject *old = NULL;
    int shared = 0;
    if (store != NULL) {
        if (ct_store_begin(store, &section) < 0) {
            Py_XDECREF(cells);
            return -1;
        }
        ct_node *node = ct_node_at(store, entry->view.number);
        if (ct_store_is_live(store, entry->view.number, entry->view.epoch)) {
            old = exchange_cells(node, Py_XNewRef(cells));
        }
        shared = ct_is_shared(&store->base);
        ct_store_end(store, &section);
    }
    if (old != NULL) {
        ct_drop(store->base.st, old, shared); /* a pinned hit may be looking at it */
    }
    Py_XSETREF(entry->view.cells, cells);
    return 0;
}

static int
entry_set_cells(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    ct_state *st = ct_state_of_type(Py_TYPE(self));
    if (st == NULL) {
        return -1;
    }
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "cells cannot be deleted");
        return -1;
    }
    if (value != Py_None && check_cells(st, value) < 0) {
        return -1;
    }
    return replace_cells(CT_ENTRY(self), value == Py_None ? NULL : Py_NewRef(value));
}

enum { DEADLINE, IDLE, TOUCHED, REFRESH_AT };

static double *
own_time(ct_entry *entry, size_t which)
{
    double *const times[] = {&entry->view.deadline, &entry->view.idle, &entry->view.touched,
                             &entry->view.refresh_at};
    return times[which];
}

/* Where the node has it; NULL when it has no such thing. */
static ct_double *
node_time(ct_node *node, size_t which)
{
    if (which == DEADLINE) {
        return &node->deadline;
    }
    ct_entry_more *more = ct_node_more(node);
    if (more == NULL) {
        return NULL;
    }
    return which == IDLE ? &more->idle : which == TOUCHED ? &more->touched : &more->refresh_at;
}

static PyObject *
entry_get_time(PyObject *self, void *closure)
{
    ct_record *record;
    ct_node *node = pin_node(CT_ENTRY(self), &record);
    double time = *own_time(CT_ENTRY(self), (size_t)closure);
    if (node != NULL) {
        ct_double *place = node_time(node, (size_t)closure);
        time = place == NULL ? time : ct_load_relaxed(place);
        ct_unpin(record);
    }
    return PyFloat_FromDouble(time);
}

static int
entry_set_time(PyObject *self, PyObject *value, void *closure)
{
    ct_record *record;
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "this attribute cannot be deleted");
        return -1;
    }
    double number = PyFloat_AsDouble(value);
    if (number == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    *own_time(CT_ENTRY(self), (size_t)closure) = number;
    ct_node *node = pin_node(CT_ENTRY(self), &record);
    if (node != NULL) {
        ct_double *place = node_time(node, (size_t)closure);
        if (place != NULL) {
            ct_store_relaxed(place, number);
        }
        ct_unpin(record);
    }
    return 0;
}

static PyGetSetDef entry_getset[] = {
    {"cells", entry_get_cells, entry_set_cells, NULL, NULL},
    {"deadline", entry_get_time, entry_set_time, NULL, (void *)DEADLINE},
    {"idle", entry_get_time, NULL, NULL, (void *)IDLE},
    {"touched", entry_get_time, entry_set_time, NULL, (void *)TOUCHED},
    {"refresh_at", entry_get_time, entry_set_time, NULL, (void *)REFRESH_AT},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef entry_members[] = {
    {"key", T_OBJECT, offsetof(ct_entry, view.key), READONLY, NULL},
    {"value", T_OBJECT, offsetof(ct_entry, view.value), READONLY, NULL},
    {"epoch", T_LONGLONG, offsetof(ct_entry, view.epoch), READONLY, NULL},
    {"hash", T_LONGLONG, offsetof(ct_entry, view.hash), READONLY, NULL},
    {"weight", T_LONGLONG, offsetof(ct_entry, view.weight), READONLY, NULL},
    {"victims", T_OBJECT, offsetof(ct_entry, victims), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot entry_slots[] = {
    {Py_tp_doc, (void *)"One value of one key, and what tells whether it may be served."},
    {Py_tp_new, entry_new},
    {Py_tp_getset, entry_getset},
    {Py_tp_members, entry_members},
    {Py_tp_traverse, entry_traverse},
    {Py_tp_clear, entry_clear},
    {Py_tp_dealloc, entry_dealloc},
    {0, NULL},
};

static PyType_Spec entry_spec = {
    .name = "concurrent_tables._core.Entry",
    .basicsize = sizeof(ct_entry),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = entry_slots,
};

int
ct_cache_types_init(PyObject *module, ct_state *st)
{
    PyTypeObject *cell = (PyTypeObject *)PyType_FromModuleAndSpec(module, &cell_spec, NULL);
    st->extra_types[CT_X_CELL] = cell;
    PyTypeObject *entry = (PyTypeObject *)PyType_FromModuleAndSpec(module, &entry_spec, NULL);
    st->extra_types[CT_X_ENTRY] = entry;
    if (cell == NULL || entry == NULL || PyModule_AddObjectRef(module, "Cell", (PyObject *)cell) < 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "Entry", (PyObject *)entry);
}
