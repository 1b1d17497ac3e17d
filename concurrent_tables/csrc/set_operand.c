/* Operands of set operations.  User code runs here: never in a section, never pinned. */
#include "set_operand.h"
#include "frozen.h"

/* -- what an operand is ------------------------------------------------------------------------- */

int
ct_is_any_set(PyObject *other)
{
    if (PyAnySet_Check(other)) {
        return 1;
    }
    if (!PyType_HasFeature(Py_TYPE(other), Py_TPFLAGS_HEAPTYPE)) {
        return 0; /* list, tuple, ...: spares them a failing attribute lookup */
    }
    PyObject *mark = PyObject_GetAttrString((PyObject *)Py_TYPE(other), "_is_table_set");
    if (mark == NULL) {
        PyErr_Clear();
        return 0;
    }
    Py_DECREF(mark); /* True is immortal, or at least ours to compare with */
    return mark == Py_True;
}

ct_set_keys *
ct_set_still_block(ct_state *st, PyObject *set)
{
    ct_set_keys *block;
    if (ct_is_frozen_set(st, set)) {
        block = CT_FROZEN_SET(set)->block;
        ct_set_hold(block);
        return block;
    }
    PyObject *frozen = ct_set_snapshot(CT_SET(set));
    if (frozen == NULL) {
        return NULL;
    }
    block = CT_FROZEN_SET(frozen)->block;
    ct_set_hold(block);
    Py_DECREF(frozen);
    return block;
}

int
ct_set_is_mapping(PyObject *other)
{
    return PyDict_Check(other)
           || (PyType_HasFeature(Py_TYPE(other), Py_TPFLAGS_HEAPTYPE) && ct_is_mapping(other));
}

/* The elements of a builtin set or dict, or of a table of one moment, as a list of distinct ones.  1; 0
 * for anything else; -1 with an error. */
static int
distinct_elements(PyObject *other, PyObject **list)
{
    *list = NULL;
    if (PyAnySet_CheckExact(other) || PyDict_CheckExact(other)) {
        *list = PySequence_List(other);
        return *list == NULL ? -1 : 1;
    }
    if (PyAnySet_Check(other) || PyDict_Check(other)
        || !(ct_is_any_set(other) || ct_set_is_mapping(other))) {
        return 0;
    }
    PyObject *method = PyObject_GetAttrString((PyObject *)Py_TYPE(other), "snapshot");
    PyObject *still = NULL;
    if (method == NULL) {
        PyErr_Clear();
        still = Py_NewRef(other);
    }
    else {
        still = PyObject_CallOneArg(method, other);
        Py_DECREF(method);
    }
    *list = still == NULL ? NULL : PySequence_List(still);
    Py_XDECREF(still);
    return *list == NULL ? -1 : 1;
}

/* -- reading ------------------------------------------------------------------------------------ */

int
ct_set_open(ct_state *st, PyObject *other, ct_set_source *source)
{
    memset(source, 0, sizeof(*source));
    if (ct_is_set(st, other) || ct_is_frozen_set(st, other)) {
        source->block = ct_set_still_block(st, other);
        return source->block == NULL ? -1 : 0;
    }
    int distinct = distinct_elements(other, &source->list);
    if (distinct == 0) {
        source->iterator = PyObject_GetIter(other);
    }
    return distinct < 0 || (distinct == 0 && source->iterator == NULL) ? -1 : 0;
}

int
ct_set_read(ct_set_source *source, ct_set_item *item)
{
    if (source->block != NULL) {
        if (ct_set_next(source->block, &source->at, item) < 0) {
            return 0;
        }
        Py_INCREF(item->key);
        return 1;
    }
    if (source->list != NULL) {
        if (source->at >= PyList_GET_SIZE(source->list)) {
            return 0;
        }
        item->key = Py_NewRef(PyList_GET_ITEM(source->list, source->at++));
    }
    else {
        item->key = PyIter_Next(source->iterator);
        if (item->key == NULL) {
            return PyErr_Occurred() ? -1 : 0;
        }
    }
    item->hash = ct_hash(item->key);
    if (item->hash == -1) {
        Py_CLEAR(item->key);
        return -1;
    }
    return 1;
}

void
ct_set_close(ct_set_source *source)
{
    ct_set_release(source->block);
    Py_XDECREF(source->list);
    Py_XDECREF(source->iterator);
    source->block = NULL;
    source->list = source->iterator = NULL;
}

/* -- gathering ---------------------------------------------------------------------------------- */

static int
append_distinct(ct_set_keys **block, Py_ssize_t count, ct_set_source *source)
{
    ct_set_item item;
    int status;
    *block = ct_set_new(ct_set_log2_above(count * CT_SET_LARGE_GROWTH));
    if (*block == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    while ((status = ct_set_read(source, &item)) > 0) {
        ct_set_append(*block, item); /* which takes the reference over */
    }
    return status;
}

static int
put_all(ct_set_keys **block, ct_set_source *source)
{
    ct_set_item item;
    int status;
    while ((status = ct_set_read(source, &item)) > 0) {
        int added = ct_set_put(block, item);
        Py_DECREF(item.key);
        if (added < 0) {
            return -1;
        }
    }
    return status;
}

ct_set_keys *
ct_set_operand(ct_state *st, PyObject *other)
{
    ct_set_source source;
    ct_set_keys *block = ct_set_empty;
    int status = ct_set_open(st, other, &source);
    if (status == 0 && source.block != NULL) {
        block = source.block;
        source.block = NULL;
    }
    else if (status == 0 && source.list != NULL) {
        Py_ssize_t count = PyList_GET_SIZE(source.list);
        status = count == 0 ? 0 : append_distinct(&block, count, &source);
    }
    else if (status == 0) {
        status = put_all(&block, &source);
    }
    ct_set_close(&source);
    if (status < 0) {
        ct_set_release(block);
        return NULL;
    }
    return block;
}

typedef struct {
    ct_set_item *items;
    Py_ssize_t count, room;
} item_vector;

static int
vector_push(item_vector *vector, ct_set_item item)
{
    if (vector->count == vector->room) {
        Py_ssize_t room = vector->room * 2 + 16;
        void *grown = PyMem_Realloc(vector->items, (size_t)room * sizeof(ct_set_item));
        if (grown == NULL) {
            return -1;
        }
        vector->items = grown;
        vector->room = room;
    }
    vector->items[vector->count++] = item;
    return 0;
}

static void
vector_clear(item_vector *vector)
{
    while (vector->count > 0) {
        Py_DECREF(vector->items[--vector->count].key);
    }
    PyMem_Free(vector->items);
}

/* All that a source yields; an error of its own goes to `error`.  0, or -1 without memory. */
static int
collect(ct_set_source *source, item_vector *vector, PyObject **error)
{
    ct_set_item item;
    int status;
    while ((status = ct_set_read(source, &item)) > 0) {
        if (vector_push(vector, item) < 0) {
            Py_DECREF(item.key);
            PyErr_NoMemory();
            return -1;
        }
    }
    if (status < 0) {
        PyErr_Fetch(&error[0], &error[1], &error[2]);
    }
    return 0;
}

/* What an iterable yields before its first error, which goes to `error`.  The comparisons come after:
 * an error of theirs is no error of the iterable.  NULL with an error set. */
static ct_set_keys *
gather_partly(ct_state *st, PyObject *other, PyObject **error)
{
    ct_set_source source;
    ct_set_keys *block = ct_set_empty;
    item_vector vector = {NULL, 0, 0};
    int status = 0;
    if (ct_set_open(st, other, &source) < 0) {
        PyErr_Fetch(&error[0], &error[1], &error[2]);
    }
    else {
        status = collect(&source, &vector, error);
    }
    for (Py_ssize_t i = 0; status == 0 && i < vector.count; i++) {
        status = ct_set_put(&block, vector.items[i]) < 0 ? -1 : 0;
    }
    vector_clear(&vector);
    ct_set_close(&source);
    if (status < 0) {
        for (int i = 0; i < 3; i++) {
            Py_CLEAR(error[i]);
        }
        ct_set_release(block);
        return NULL;
    }
    return block;
}

/* A set, or something else of which a copy of one moment can be had. */
static int
is_whole(ct_state *st, PyObject *other)
{
    if (ct_is_set(st, other) || ct_is_frozen_set(st, other) || PyAnySet_CheckExact(other)
        || PyDict_CheckExact(other)) {
        return 1;
    }
    return !PyAnySet_Check(other) && !PyDict_Check(other)
           && (ct_is_any_set(other) || ct_set_is_mapping(other));
}

int
ct_set_gather(ct_state *st, PyObject *const *others, Py_ssize_t count, int keep,
              ct_set_operands *operands)
{
    memset(operands, 0, sizeof(*operands));
    operands->blocks = PyMem_New(ct_set_keys *, count + 1);
    operands->is_set = PyMem_New(int, count + 1);
    if (operands->blocks == NULL || operands->is_set == NULL) {
        PyErr_NoMemory();
        return ct_set_finish_gather(operands, -1);
    }
    while (operands->count < count && operands->error[0] == NULL) {
        PyObject *other = others[operands->count];
        ct_set_keys *block = keep && !is_whole(st, other)
                                 ? gather_partly(st, other, operands->error)
                                 : ct_set_operand(st, other);
        if (block == NULL) {
            return ct_set_finish_gather(operands, -1);
        }
        operands->is_set[operands->count] = ct_is_any_set(other);
        operands->blocks[operands->count++] = block;
    }
    return 0;
}

int
ct_set_finish_gather(ct_set_operands *operands, int status)
{
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb); /* releasing a block may run finalizers */
    for (Py_ssize_t i = 0; i < operands->count; i++) {
        ct_set_release(operands->blocks[i]);
    }
    PyMem_Free(operands->blocks);
    PyMem_Free(operands->is_set);
    if (type == NULL && operands->error[0] != NULL) {
        PyErr_Restore(operands->error[0], operands->error[1], operands->error[2]);
        return -1;
    }
    for (int i = 0; i < 3; i++) {
        Py_XDECREF(operands->error[i]);
    }
    PyErr_Restore(type, value, tb);
    return status;
}

/* -- lookups ------------------------------------------------------------------------------------ */

PyObject *
ct_set_lookup_key(ct_state *st, PyObject *item, Py_hash_t *hash)
{
    PyObject *frozen;
    *hash = ct_hash(item);
    if (CT_LIKELY(*hash != -1)) {
        return Py_NewRef(item);
    }
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb);
    if (!PyErr_GivenExceptionMatches(type, PyExc_TypeError) || !ct_is_any_set(item)) {
        PyErr_Restore(type, value, tb);
        return NULL;
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(tb);
    if (PySet_Check(item)) {
        frozen = PyFrozenSet_New(item);
    }
    else if (ct_is_set(st, item)) {
        frozen = ct_set_snapshot(CT_SET(item));
    }
    else {
        frozen = PyObject_CallMethod(item, "snapshot", NULL);
    }
    *hash = frozen == NULL ? -1 : PyObject_Hash(frozen);
    if (*hash == -1) {
        Py_CLEAR(frozen);
    }
    return frozen;
}
