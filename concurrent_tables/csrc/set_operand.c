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
    PyObject *mark = ct_getattr((PyObject *)Py_TYPE(other), "_is_table_set");
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
    if (ct_is_frozen_set(st, set)) {
        ct_set_lend_held(CT_FROZEN_SET(set)->block);
        return CT_FROZEN_SET(set)->block;
    }
    return ct_set_borrow(CT_SET(set));
}

int
ct_set_is_mapping(PyObject *other)
{
    return PyDict_Check(other)
           || (PyType_HasFeature(Py_TYPE(other), Py_TPFLAGS_HEAPTYPE) && ct_is_mapping(other));
}

/* The elements of a builtin set or dict, or of a table of one moment, as a list of distinct
 * ones.  1; 0 for anything else; -1 with an error. */
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
    PyObject *method = ct_getattr((PyObject *)Py_TYPE(other), "snapshot");
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
    if (PyList_CheckExact(other)) {
        source->list = Py_NewRef(other);
        return 0;
    }
    if (PyTuple_CheckExact(other)) {
        source->tuple = Py_NewRef(other);
        return 0;
    }
    source->distinct = distinct_elements(other, &source->list);
    if (source->distinct == 0) {
        source->iterator = PyObject_GetIter(other);
    }
    return source->distinct < 0 || (source->distinct == 0 && source->iterator == NULL) ? -1 : 0;
}

/* The next element of a list that others may change; NULL at the end. */
static PyObject *
list_item(PyObject *list, Py_ssize_t at)
{
    if (at >= PyList_GET_SIZE(list)) {
        return NULL;
    }
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *item = PyList_GetItemRef(list, at);
    if (item == NULL) {
        PyErr_Clear(); /* IndexError: it has just become shorter */
    }
    return item;
#else
    return Py_NewRef(PyList_GET_ITEM(list, at));
#endif
}

/* New reference; NULL at the end or with an error. */
static PyObject *
next_element(ct_set_source *source)
{
    if (source->list != NULL) {
        return list_item(source->list, source->at++);
    }
    if (source->tuple != NULL) {
        return source->at < PyTuple_GET_SIZE(source->tuple)
                   ? Py_NewRef(PyTuple_GET_ITEM(source->tuple, source->at++))
                   : NULL;
    }
    return PyIter_Next(source->iterator);
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
    item->key = next_element(source);
    if (item->key == NULL) {
        return source->iterator != NULL && PyErr_Occurred() ? -1 : 0;
    }
    item->hash = ct_hash(item->key);
    if (CT_UNLIKELY(item->hash == -1)) {
        Py_CLEAR(item->key);
        return -1;
    }
    return 1;
}

void
ct_set_close(ct_set_source *source)
{
    ct_set_give_back(source->block);
    Py_XDECREF(source->list);
    Py_XDECREF(source->tuple);
    Py_XDECREF(source->iterator);
}

/* -- gathering ---------------------------------------------------------------------------------- */

enum { READ_FAILED = -2 }; /* the operand's error, not that of a comparison */

static int
append_distinct(ct_set_keys **block, ct_set_source *source)
{
    ct_set_item item;
    int status;
    while ((status = ct_set_read(source, &item)) > 0) {
        ct_set_append(*block, item); /* which takes the reference over */
    }
    return status < 0 ? READ_FAILED : 0;
}

static int
put_all(ct_set_keys **block, ct_set_source *source)
{
    ct_set_item item;
    int status;
    while ((status = ct_set_read(source, &item)) > 0) {
        if (ct_set_put(block, item) < 0) {
            return -1;
        }
    }
    return status < 0 ? READ_FAILED : 0;
}

/* How many elements there will be at most, when that is known and no waste of memory; else 0. */
static Py_ssize_t
expected(const ct_set_source *source)
{
    if (source->distinct) {
        return PyList_GET_SIZE(source->list);
    }
    Py_ssize_t count = source->list != NULL    ? PyList_GET_SIZE(source->list)
                       : source->tuple != NULL ? PyTuple_GET_SIZE(source->tuple)
                                               : 0;
    return count <= CT_SET_LARGE ? count : 0;
}

/* A private block of what an iterable yields, lent to the caller.  0; -1 or READ_FAILED with an
 * error, then too *block has what was read so far. */
static int
gather_source(ct_state *st, PyObject *other, ct_set_keys **block)
{
    ct_set_source source;
    *block = ct_set_empty;
    if (ct_set_open(st, other, &source) < 0) {
        return READ_FAILED;
    }
    if (source.block != NULL) {
        *block = source.block; /* which is lent already */
        return 0;
    }
    Py_ssize_t most = expected(&source);
    int status = most > 0 ? ct_set_make_room(block, most) : 0;
    if (status == 0) {
        status = source.distinct ? append_distinct(block, &source) : put_all(block, &source);
    }
    if (status == 0 && most > 0) {
        status = ct_set_trim(block); /* the elements may have been few */
    }
    ct_set_close(&source);
    ct_set_lend_private(*block);
    return status;
}

ct_set_keys *
ct_set_operand(ct_state *st, PyObject *other)
{
    ct_set_keys *block;
    if (gather_source(st, other, &block) < 0) {
        ct_set_give_back(block);
        return NULL;
    }
    return block;
}

ct_set_keys *
ct_set_private_operand(ct_state *st, PyObject *other)
{
    ct_set_keys *block = ct_set_operand(st, other);
    if (block == NULL || block == ct_set_empty || ct_load_acquire(&block->refs) == 1) {
        if (block != NULL && block != ct_set_empty) {
            ct_store_relaxed(&block->loans, 0);
        }
        return block;
    }
    ct_set_keys *copy = ct_set_frozen_copy(block); /* it is another set's */
    ct_set_give_back(block);
    if (copy == NULL) {
        PyErr_NoMemory();
    }
    return copy;
}

/* What an iterable yields before its first error, which goes to `error`.  NULL with the error of a
 * comparison set. */
static ct_set_keys *
gather_partly(ct_state *st, PyObject *other, PyObject **error)
{
    ct_set_keys *block;
    int status = gather_source(st, other, &block);
    if (status == READ_FAILED) {
        PyErr_Fetch(&error[0], &error[1], &error[2]);
    }
    else if (status < 0) {
        ct_set_give_back(block);
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
        ct_set_give_back(operands->blocks[i]);
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
        frozen = ct_call_method(item, "snapshot");
    }
    *hash = frozen == NULL ? -1 : PyObject_Hash(frozen);
    if (*hash == -1) {
        Py_CLEAR(frozen);
    }
    return frozen;
}
