/* Cells and entries of a cache: plain data with attributes.  The essay is in cache.h. */
#include "cache.h"

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

typedef struct {
    PyObject *key, *value, *cells;
    long long epoch, weight;
    double deadline, idle, now, refresh_at;
} arguments;

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

static ct_entry_more *
make_more(const arguments *given)
{
    ct_entry_more *more = PyMem_Calloc(1, sizeof(*more));
    if (more == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    PyObject *cells = given->cells == Py_None ? NULL : Py_NewRef(given->cells);
    ct_store_relaxed(&more->cells, cells);
    ct_store_relaxed(&more->idle, given->idle);
    ct_store_relaxed(&more->touched, given->now);
    ct_store_relaxed(&more->refresh_at, given->refresh_at);
    more->weight = given->weight;
    return more;
}

static PyObject *
make_entry(PyTypeObject *type, const arguments *given)
{
    ct_state *st = ct_state_of_type(type);
    if (st == NULL || (given->cells != Py_None && check_cells(st, given->cells) < 0)) {
        return NULL;
    }
    Py_hash_t hash = ct_hash(given->key);
    ct_record *self = hash == -1 ? NULL : ct_self();
    ct_entry *entry = self == NULL ? NULL : (ct_entry *)type->tp_alloc(type, 0);
    if (entry == NULL) {
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    entry->key = Py_NewRef(given->key);
    entry->value = Py_NewRef(given->value);
    entry->epoch = given->epoch;
    entry->hash = hash;
    entry->maker = self->number;
    ct_store_relaxed(&entry->deadline, given->deadline);
    if (given->cells != Py_None || given->weight != 1 || given->idle != (double)INFINITY
        || given->refresh_at != (double)INFINITY) {
        entry->more = make_more(given);
        if (entry->more == NULL) {
            Py_DECREF(entry);
            return NULL;
        }
    }
    return (PyObject *)entry;
}

static PyObject *
entry_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"key", "value", "epoch", "cells", "deadline",
                            "idle", "now", "refresh_at", "weight", NULL};
    arguments given;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOLOddddL:Entry", names, &given.key, &given.value,
                                     &given.epoch, &given.cells, &given.deadline, &given.idle,
                                     &given.now, &given.refresh_at, &given.weight)) {
        return NULL;
    }
    return make_entry(type, &given);
}

static int
entry_traverse(PyObject *self, visitproc visit, void *arg)
{
    ct_entry *entry = (ct_entry *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(entry->key);
    Py_VISIT(entry->value);
    if (entry->more != NULL) {
        Py_VISIT(ct_load_relaxed(&entry->more->cells));
    }
    Py_VISIT(entry->bucket);
    Py_VISIT(entry->earlier);
    Py_VISIT(entry->later);
    Py_VISIT(entry->previous);
    Py_VISIT(entry->next);
    return 0;
}

/* Not the key and the value: they never change while somebody has the entry, and the links are what
 * closes circles among entries. */
static int
entry_clear(PyObject *self)
{
    ct_entry *entry = (ct_entry *)self;
    Py_CLEAR(entry->bucket);
    Py_CLEAR(entry->earlier);
    Py_CLEAR(entry->later);
    Py_CLEAR(entry->previous);
    Py_CLEAR(entry->next);
    return 0;
}

static void
entry_dealloc(PyObject *self)
{
    ct_entry *entry = (ct_entry *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, entry_dealloc) /* entries are linked to long chains */
    entry_clear(self);
    if (entry->more != NULL) {
        Py_XDECREF(ct_load_relaxed(&entry->more->cells));
        PyMem_Free(entry->more);
        entry->more = NULL;
    }
    Py_CLEAR(entry->value);
    Py_CLEAR(entry->key);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* -- Entry: attributes -------------------------------------------------------------------------- */

static PyObject *
entry_get_cells(PyObject *self, void *Py_UNUSED(closure))
{
    ct_entry *entry = (ct_entry *)self;
    ct_record *record = ct_self();
    if (record == NULL) {
        return PyErr_NoMemory();
    }
    if (entry->more == NULL) {
        Py_RETURN_NONE;
    }
    ct_pin(record);
    PyObject *cells = ct_load_acquire(&entry->more->cells);
    Py_XINCREF(cells);
    ct_unpin(record);
    return cells == NULL ? Py_NewRef(Py_None) : cells;
}

static int
entry_set_cells(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    ct_entry *entry = (ct_entry *)self;
    ct_state *st = ct_state_of_type(Py_TYPE(self));
    if (st == NULL) {
        return -1;
    }
    if (value == NULL || (value != Py_None && check_cells(st, value) < 0)) {
        if (value == NULL) {
            PyErr_SetString(PyExc_AttributeError, "cells cannot be deleted");
        }
        return -1;
    }
    if (entry->more == NULL) {
        if (value != Py_None) {
            PyErr_SetString(PyExc_ValueError, "an entry that was made without cells has no room for them");
            return -1;
        }
        return 0;
    }
    PyObject *cells = value == Py_None ? NULL : Py_NewRef(value);
    cells = ct_exchange_acq_rel(&entry->more->cells, cells);
    if (cells != NULL) {
        ct_drop(st, cells, 1); /* a pinned hit may be looking at it */
    }
    return 0;
}

static PyObject *
entry_get_deadline(PyObject *self, void *Py_UNUSED(closure))
{
    return PyFloat_FromDouble(ct_load_relaxed(&((ct_entry *)self)->deadline));
}

static int
entry_set_deadline(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    double number = value == NULL ? -1.0 : PyFloat_AsDouble(value);
    if (value == NULL || (number == -1.0 && PyErr_Occurred())) {
        if (value == NULL) {
            PyErr_SetString(PyExc_AttributeError, "deadline cannot be deleted");
        }
        return -1;
    }
    ct_store_relaxed(&((ct_entry *)self)->deadline, number);
    return 0;
}

/* idle, touched, refresh_at: the closure is the offset in ct_entry_more. */
static PyObject *
entry_get_more(PyObject *self, void *closure)
{
    ct_entry_more *more = ((ct_entry *)self)->more;
    if (more == NULL) {
        return PyFloat_FromDouble((double)INFINITY);
    }
    return PyFloat_FromDouble(ct_load_relaxed((ct_double *)((char *)more + (size_t)closure)));
}

static int
entry_set_more(PyObject *self, PyObject *value, void *closure)
{
    ct_entry_more *more = ((ct_entry *)self)->more;
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "this attribute cannot be deleted");
        return -1;
    }
    double number = PyFloat_AsDouble(value);
    if (number == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (more != NULL) { /* else nothing asks for it: the entry is never idle and never refreshed */
        ct_store_relaxed((ct_double *)((char *)more + (size_t)closure), number);
    }
    return 0;
}

static PyObject *
entry_get_weight(PyObject *self, void *Py_UNUSED(closure))
{
    ct_entry_more *more = ((ct_entry *)self)->more;
    return PyLong_FromLongLong(more == NULL ? 1 : more->weight);
}

static PyGetSetDef entry_getset[] = {
    {"cells", entry_get_cells, entry_set_cells, NULL, NULL},
    {"deadline", entry_get_deadline, entry_set_deadline, NULL, NULL},
    {"idle", entry_get_more, NULL, NULL, (void *)offsetof(ct_entry_more, idle)},
    {"touched", entry_get_more, entry_set_more, NULL, (void *)offsetof(ct_entry_more, touched)},
    {"refresh_at", entry_get_more, entry_set_more, NULL, (void *)offsetof(ct_entry_more, refresh_at)},
    {"weight", entry_get_weight, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef entry_members[] = {
    {"key", T_OBJECT, offsetof(ct_entry, key), READONLY, NULL},
    {"value", T_OBJECT, offsetof(ct_entry, value), READONLY, NULL},
    {"epoch", T_LONGLONG, offsetof(ct_entry, epoch), READONLY, NULL},
    {"hash", T_LONGLONG, offsetof(ct_entry, hash), READONLY, NULL},
    {"bucket", T_OBJECT, offsetof(ct_entry, bucket), 0, NULL},
    {"earlier", T_OBJECT, offsetof(ct_entry, earlier), 0, NULL},
    {"later", T_OBJECT, offsetof(ct_entry, later), 0, NULL},
    {"previous", T_OBJECT, offsetof(ct_entry, previous), 0, NULL},
    {"next", T_OBJECT, offsetof(ct_entry, next), 0, NULL},
    {"state", T_UBYTE, offsetof(ct_entry, state), 0, NULL},
    {"region", T_UBYTE, offsetof(ct_entry, region), 0, NULL},
    {"frequency", T_UBYTE, offsetof(ct_entry, frequency), 0, NULL},
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
