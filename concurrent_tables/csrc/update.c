/* Filling tables: update(), constructors, and small helpers that mappings share. */
#include "update.h"
#include "dict.h"
#include "watching.h"

/* -- small helpers ------------------------------------------------------------------------------ */

void
ct_key_error(PyObject *key)
{
    PyObject *args = PyTuple_Pack(1, key); /* a tuple key must not become the arguments */
    if (args != NULL) {
        PyErr_SetObject(PyExc_KeyError, args);
        Py_DECREF(args);
    }
}

PyObject *
ct_missing_key(ct_state *st, PyObject *self, int exact, PyObject *key)
{
    if (!exact) {
        PyObject *hook = PyObject_GetAttr((PyObject *)Py_TYPE(self), st->str_missing_dunder);
        if (hook != NULL) {
            PyObject *result = PyObject_CallFunctionObjArgs(hook, self, key, NULL);
            Py_DECREF(hook);
            return result;
        }
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return NULL;
        }
        PyErr_Clear();
    }
    ct_key_error(key);
    return NULL;
}

int
ct_limit_restart(ct_limit *limit, ct_state *st, PyObject *self, const char *what)
{
    ct_record *record = ct_self();
    if (record == NULL || record->writes == limit->writes || ++limit->count <= CT_MAX_OWN_RESTARTS) {
        return 0;
    }
    PyObject *error = ct_getattr(st->errors, "TableMutationError");
    PyObject *name = ct_getattr((PyObject *)Py_TYPE(self), "__name__");
    if (error != NULL && name != NULL) {
        PyErr_Format(error,
                     "%U: %s cannot end, because it changes the table every time it runs; make it "
                     "free of such side effects",
                     name, what);
    }
    Py_XDECREF(error);
    Py_XDECREF(name);
    return -1;
}

int
ct_is_abc_mapping(ct_state *st, PyObject *o)
{
    if (PyDict_Check(o) || PyObject_TypeCheck(o, st->dict_type)
        || PyObject_TypeCheck(o, st->frozen_dict_type)) {
        return 1;
    }
    return PyObject_IsInstance(o, st->mapping_abc);
}

int
ct_check_value(ct_table *t, PyObject *key, PyObject *value)
{
    if (CT_LIKELY(value != t->st->missing)) {
        return 0;
    }
    PyObject *result =
        PyObject_CallFunctionObjArgs(t->st->reject_missing, (PyObject *)t, key, value, NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int
ct_set(ct_table *t, PyObject *key, PyObject *value)
{
    ct_change change = {.condition = CT_IF_ANY, .new_value = value};
    Py_hash_t hash = ct_hash_in(t->st, key);
    if (hash == -1 || ct_check_value(t, key, value) < 0) {
        return -1;
    }
    return ct_change_entry(t, key, hash, &change) < 0 ? -1 : 0;
}

/* -- filling an empty table --------------------------------------------------------------------- */

int
ct_install_block(ct_table *t, ct_keys *keys, Py_ssize_t used, PyObject *cloned)
{
    ct_section section;
    ct_pending pending;
    int status = CT_NOT_MET;
    if (ct_touch(t) < 0 || ct_write_lock(t, &section) < 0) {
        return CT_FAILED;
    }
    ct_pending_init(&pending, t);
    if (ct_used(t) == 0 && !ct_keys_sealed(ct_load_relaxed(&t->keys))) {
        status = ct_event_reserve_held(t, &pending) < 0 ? CT_NO_MEMORY : CT_DONE;
        if (status == CT_DONE) {
            keys->owns = CT_OWNS_NOTHING; /* its references are the table's from here on */
            ct_exchange_block_held(t, &pending, keys, used);
            ct_event_held(t, &pending, CT_KIND_CLONED, NULL, NULL, cloned);
            ct_commit_held(t, &pending, 1);
        }
    }
    ct_unlock(&section);
    ct_pending_finish(&pending);
    if (status == CT_NO_MEMORY) {
        PyErr_NoMemory();
        status = CT_FAILED;
    }
    return status;
}

static int
has_missing(ct_state *st, ct_keys *keys)
{
    Py_ssize_t at = 0;
    PyObject *key, *value;
    while (ct_block_next(keys, &at, &key, &value)) {
        if (value == st->missing) {
            return 1; /* the ordinary way names the key */
        }
    }
    return 0;
}

static void
free_own_block(ct_keys *keys)
{
    if (keys != ct_empty_keys) {
        keys->owns = CT_OWNS_ALL;
        ct_keys_release(keys);
    }
}

static int update_from_pairs(ct_table *t, PyObject *iterable);

/* A private block with the contents of a dict or of a table of ours. */
static ct_keys *
block_of_source(ct_table *t, PyObject *source, Py_ssize_t *used)
{
    ct_state *st = t->st;
    if (PyDict_CheckExact(source)) {
        return ct_block_from_dict(source, used);
    }
    if (PyObject_TypeCheck(source, st->dict_type)) {
        return ct_clone_block(CT_TABLE(source), used);
    }
    if (ct_is_frozen(st, source)) {
        *used = CT_FROZEN_DICT(source)->used;
        ct_keys *copy = ct_keys_clone(CT_FROZEN_DICT(source)->keys, *used);
        return copy != NULL ? copy : (ct_keys *)PyErr_NoMemory();
    }
    PyObject *pairs = PyObject_CallOneArg(st->pairs_of, source);
    PyObject *table = pairs == NULL ? NULL : ct_dict_new(st); /* private */
    ct_keys *keys = NULL;
    if (table != NULL && update_from_pairs(CT_TABLE(table), pairs) == 0) {
        keys = ct_clone_block(CT_TABLE(table), used);
    }
    Py_XDECREF(table);
    Py_XDECREF(pairs);
    return keys;
}

/* What the CLONED event shows: a FrozenDict of its own. */
static ct_frozen *
frozen_copy_of(ct_state *st, ct_keys *keys, Py_ssize_t used)
{
    ct_frozen *frozen = ct_frozen_alloc(st, st->frozen_dict_type);
    ct_keys *copy = frozen == NULL ? NULL : ct_keys_clone(keys, used);
    if (copy == NULL) {
        Py_XDECREF(frozen);
        PyErr_NoMemory();
        return NULL;
    }
    ct_frozen_set(frozen, copy, used);
    return frozen;
}

/* CT_DONE, CT_NOT_MET (take the ordinary way), CT_FAILED. */
static int
fill_empty(ct_table *t, PyObject *source)
{
    Py_ssize_t used = PyObject_Size(source);
    if (used < 0) {
        return CT_FAILED;
    }
    if (ct_used(t) != 0 || used == 0) {
        return CT_NOT_MET;
    }
    ct_keys *keys = block_of_source(t, source, &used);
    ct_frozen *cloned = NULL;
    int status = keys == NULL ? CT_FAILED : CT_DONE;
    if (status == CT_DONE && (used == 0 || has_missing(t->st, keys))) {
        status = CT_NOT_MET;
    }
    if (status == CT_DONE && t->watch != NULL) {
        cloned = frozen_copy_of(t->st, keys, used);
        status = cloned == NULL ? CT_FAILED : CT_DONE;
    }
    if (status == CT_DONE) {
        status = ct_install_block(t, keys, used, (PyObject *)cloned);
    }
    if (status != CT_DONE && keys != NULL) {
        free_own_block(keys);
    }
    Py_XDECREF(cloned);
    return status;
}

/* -- pair by pair ------------------------------------------------------------------------------- */

static int
update_from_private_dict(ct_table *t, PyObject *dict)
{
    Py_ssize_t at = 0;
    PyObject *key, *value;
    while (PyDict_Next(dict, &at, &key, &value)) {
        if (ct_set(t, key, value) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
update_from_frozen(ct_table *t, ct_frozen *frozen)
{
    Py_ssize_t at = 0;
    PyObject *key, *value;
    while (ct_block_next(frozen->keys, &at, &key, &value)) {
        if (ct_set(t, key, value) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
set_pair(ct_table *t, PyObject *element, Py_ssize_t number)
{
    /* Else a list: CPython resizes a tuple of unknown length, which fails if gc.get_objects()
     * saw it. */
    PyObject *pair = PyTuple_CheckExact(element) ? Py_NewRef(element) : PySequence_List(element);
    int status = -1;
    if (pair == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError,
                         "cannot convert dictionary update sequence element #%zd to a sequence",
                         number);
        }
        return -1;
    }
    if (PySequence_Fast_GET_SIZE(pair) != 2) {
        PyErr_Format(PyExc_ValueError,
                     "dictionary update sequence element #%zd has length %zd; 2 is required",
                     number, PySequence_Fast_GET_SIZE(pair));
    }
    else {
        status = ct_set(t, PySequence_Fast_GET_ITEM(pair, 0), PySequence_Fast_GET_ITEM(pair, 1));
    }
    Py_DECREF(pair);
    return status;
}

static int
update_from_pairs(ct_table *t, PyObject *iterable)
{
    PyObject *iterator = PyObject_GetIter(iterable), *element;
    Py_ssize_t number = 0;
    int status = 0;
    if (iterator == NULL) {
        return -1;
    }
    while (status == 0 && (element = PyIter_Next(iterator)) != NULL) {
        status = set_pair(t, element, number++);
        Py_DECREF(element);
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? -1 : status;
}

/* A snapshot of a mapping, in the form that is quickest to walk. */
static int
update_from_mapping(ct_table *t, PyObject *other)
{
    ct_state *st = t->st;
    int status = fill_empty(t, other);
    if (status != CT_NOT_MET) {
        return status == CT_DONE ? 0 : -1;
    }
    PyObject *still;
    if (PyDict_CheckExact(other)) {
        still = PyDict_Copy(other);
        status = still == NULL ? -1 : update_from_private_dict(t, still);
    }
    else if (PyObject_TypeCheck(other, st->dict_type) || ct_is_frozen(st, other)) {
        still = ct_is_frozen(st, other) ? Py_NewRef(other) : ct_snapshot(CT_TABLE(other));
        status = still == NULL ? -1 : update_from_frozen(t, CT_FROZEN_DICT(still));
    }
    else {
        still = PyObject_CallOneArg(st->pairs_of, other);
        status = still == NULL ? -1 : update_from_pairs(t, still);
    }
    Py_XDECREF(still);
    return status;
}

static int
update_from_anything(ct_table *t, PyObject *other)
{
    if (ct_is_mapping(other)) {
        return update_from_mapping(t, other);
    }
    if (PyObject_HasAttr(other, t->st->str_keys)) {
        PyObject *pairs = PyObject_CallOneArg(t->st->pairs_of, other);
        int status = pairs == NULL ? -1 : update_from_pairs(t, pairs);
        Py_XDECREF(pairs);
        return status;
    }
    return update_from_pairs(t, other);
}

int
ct_update(ct_table *t, PyObject *other, PyObject *kwargs)
{
    if (ct_check_names(kwargs) < 0 || (other != NULL && update_from_anything(t, other) < 0)) {
        return -1;
    }
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs)) {
        if (other == NULL && ct_used(t) == 0 && t->watch == NULL) {
            int status = fill_empty(t, kwargs);
            if (status != CT_NOT_MET) {
                return status == CT_DONE ? 0 : -1;
            }
        }
        return update_from_private_dict(t, kwargs);
    }
    return 0;
}

PyObject *
ct_table_from(ct_state *st, PyObject *other, PyObject *kwargs)
{
    PyObject *table = ct_dict_new(st);
    if (table != NULL && ct_update(CT_TABLE(table), other, kwargs) < 0) {
        Py_CLEAR(table);
    }
    return table;
}
