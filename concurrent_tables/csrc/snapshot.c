/* A table at one moment: cached snapshots, private copies, blocks from builtin dicts. */
#include "frozen.h"

PyObject *
ct_snapshot(ct_table *t)
{
    ct_record *self = ct_enter(t);
    if (self == NULL) {
        return NULL;
    }
    PyObject *cached = ct_load_acquire(&t->snapshot); /* pairs with the release below */
    Py_XINCREF(cached); /* pinned: a writer that drops it retires it */
    ct_unpin(self);
    if (cached != NULL) {
        return cached;
    }
    ct_frozen *frozen = ct_frozen_alloc(t->st, t->st->frozen_dict_type);
    ct_section section;
    int status = 0;
    if (frozen == NULL) {
        return NULL;
    }
    ct_lock(t, &section);
    cached = ct_load_relaxed(&t->snapshot);
    if (cached != NULL) {
        Py_INCREF(cached);
    }
    else {
        /* While the snapshot is cached every write takes the section, and the first one drops it. */
        ct_store_relaxed(&t->lockfree, 0);
        ct_quiesce_held(t);
        ct_keys *keys = ct_keys_clone(ct_load_relaxed(&t->keys), ct_used(t));
        status = keys == NULL ? -1 : 0;
        if (keys != NULL) {
            ct_frozen_set(frozen, keys, ct_used(t));
            Py_INCREF(frozen);
            CT_POINT(snapshot_publish);
            ct_store_release(&t->snapshot, (PyObject *)frozen);
        }
    }
    ct_unlock(&section);
    if (cached != NULL || status < 0) {
        Py_DECREF(frozen);
    }
    if (status < 0) {
        PyErr_NoMemory();
        return NULL;
    }
    return cached != NULL ? cached : (PyObject *)frozen;
}

ct_keys *
ct_clone_block(ct_table *t, Py_ssize_t *used)
{
    ct_section section;
    if (ct_touch(t) < 0) {
        return NULL;
    }
    ct_lock(t, &section);
    ct_quiesce_held(t);
    *used = ct_used(t);
    ct_keys *keys = ct_keys_clone(ct_load_relaxed(&t->keys), *used);
    ct_unlock(&section);
    if (keys == NULL) {
        PyErr_NoMemory();
    }
    return keys;
}

static ct_keys *
fill_from_private(PyObject *dict)
{
    Py_ssize_t at = 0, count = PyDict_GET_SIZE(dict);
    PyObject *key, *value;
    int kind = CT_UNICODE;
    while (kind == CT_UNICODE && PyDict_Next(dict, &at, &key, &value)) {
        kind = PyUnicode_CheckExact(key) ? CT_UNICODE : CT_GENERAL;
    }
    ct_keys *keys = ct_keys_new(ct_log2_holding(count), kind);
    if (keys == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    keys->owns = CT_OWNS_ALL; /* until somebody takes it over: an error below frees everything */
    at = 0;
    while (PyDict_Next(dict, &at, &key, &value)) {
        Py_hash_t hash = ct_hash(key);
        if (hash == -1) {
            ct_keys_release(keys);
            return NULL;
        }
        Py_INCREF(key);
        Py_INCREF(value);
        ct_keys_append(keys, key, hash, value);
    }
    return keys;
}

static void
free_unused(ct_keys *keys)
{
    keys->owns = CT_OWNS_ALL;
    ct_keys_release(keys);
}

/* The common case: str and int keys need no user code, so the dict can be read in place.  NULL when it
 * holds other keys (no error), or without memory. */
static ct_keys *
fill_in_place(PyObject *dict, int kind, Py_ssize_t *used)
{
    ct_keys *keys = NULL;
    int complete = 0;
#if PY_VERSION_HEX >= 0x030D0000
    Py_BEGIN_CRITICAL_SECTION(dict);
#endif
    *used = PyDict_GET_SIZE(dict);
    keys = ct_keys_new(ct_log2_holding(*used), kind);
    complete = keys != NULL && ct_keys_fill(keys, dict);
#if PY_VERSION_HEX >= 0x030D0000
    Py_END_CRITICAL_SECTION();
#endif
    if (keys != NULL && !complete) {
        free_unused(keys);
        keys = NULL;
    }
    return keys;
}

ct_keys *
ct_block_from_dict(PyObject *dict, Py_ssize_t *used)
{
    if (PyDict_GET_SIZE(dict) == 0) {
        *used = 0;
        return ct_empty_keys;
    }
    ct_keys *keys = fill_in_place(dict, CT_UNICODE, used);
    keys = keys != NULL ? keys : fill_in_place(dict, CT_GENERAL, used);
    if (keys != NULL) {
        return keys;
    }
    PyObject *mine = PyDict_Copy(dict); /* one moment of it, which no thread changes */
    if (mine == NULL) {
        return NULL;
    }
    *used = PyDict_GET_SIZE(mine);
    keys = *used == 0 ? ct_empty_keys : fill_from_private(mine);
    Py_DECREF(mine);
    return keys;
}

int
ct_is_mapping(PyObject *other)
{
    if (PyDict_Check(other)) {
        return 1;
    }
    PyObject *mark = ct_getattr((PyObject *)Py_TYPE(other), "_is_table_mapping");
    if (mark == NULL) {
        PyErr_Clear();
        return 0;
    }
    Py_DECREF(mark);
    return mark == Py_True;
}

PyObject *
ct_repr_of(PyObject *self, PyObject *frozen)
{
    PyObject *result = NULL, *dict = NULL;
    PyObject *name = ct_getattr((PyObject *)Py_TYPE(self), "__name__");
    int entered = name == NULL ? -1 : Py_ReprEnter(self);
    if (entered > 0) {
        result = PyUnicode_FromFormat("%U({...})", name);
    }
    else if (entered == 0) {
        dict = ct_frozen_as_dict(CT_FROZEN_DICT(frozen));
        result = dict == NULL ? NULL : PyUnicode_FromFormat("%U(%R)", name, dict);
        Py_ReprLeave(self);
    }
    Py_XDECREF(dict);
    Py_XDECREF(name);
    return result;
}
