/* The raw layouts that inspect_table() walks: plain copies of a block's columns.
 *
 * Columns are tuples: PyList_New(n) of a free-threaded CPython 3.14 crashes when there is memory for
 * the list and none for its items.
 */
#include "views.h"

PyObject *
ct_layout_make(ct_state *st, PyObject *arguments, PyObject *more)
{
    PyObject *layout = NULL, *nothing = PyTuple_New(0);
    if (arguments != NULL && more != NULL && nothing != NULL && PyDict_Update(arguments, more) == 0) {
        layout = PyObject_Call(st->layout_type, nothing, arguments);
    }
    Py_XDECREF(nothing);
    Py_XDECREF(arguments);
    Py_XDECREF(more);
    return layout;
}

PyObject *
ct_index_column(const ct_keys *keys)
{
    Py_ssize_t size = (Py_ssize_t)1 << keys->log2_size;
    PyObject *made = PyTuple_New(size);
    for (Py_ssize_t i = 0; made != NULL && i < size; i++) {
        PyObject *number = PyLong_FromSsize_t(ct_index_get(keys, (size_t)i));
        if (number == NULL) {
            Py_CLEAR(made);
            break;
        }
        PyTuple_SET_ITEM(made, i, number);
    }
    return made;
}

static PyObject *
hash_column(const ct_keys *keys)
{
    if (keys->kind == CT_UNICODE) {
        return Py_NewRef(Py_None);
    }
    PyObject *made = PyTuple_New(keys->capacity);
    Py_ssize_t count = ct_load_acquire(&keys->nentries);
    for (Py_ssize_t i = 0; made != NULL && i < keys->capacity; i++) {
        PyObject *number = PyLong_FromSsize_t(i < count ? ct_any_entries(keys)[i].hash : 0);
        if (number == NULL) {
            Py_CLEAR(made);
            break;
        }
        PyTuple_SET_ITEM(made, i, number);
    }
    return made;
}

/* The keys or values of the live entries; `null` (MISSING never is in a table) elsewhere. */
static PyObject *
column(const ct_keys *keys, PyObject *null, int values)
{
    PyObject *made = PyTuple_New(keys->capacity);
    Py_ssize_t count = ct_load_acquire(&keys->nentries);
    for (Py_ssize_t i = 0; made != NULL && i < keys->capacity; i++) {
        PyObject *item = i < count ? ct_entry_value(keys, i) : NULL;
        if (item != NULL && !values) {
            item = ct_entry_key(keys, i);
        }
        PyTuple_SET_ITEM(made, i, Py_NewRef(item != NULL ? item : null));
    }
    return made;
}

/* Whether each live index slot has the tag of its entry's hash: no lookup finds a key without. */
static int
tags_hold(const ct_keys *keys)
{
    Py_ssize_t size = (Py_ssize_t)1 << keys->log2_size;
    for (Py_ssize_t i = 0; i < size; i++) {
        Py_ssize_t ix = ct_index_get(keys, (size_t)i);
        if (ix >= 0 && ct_tags(keys)[i] != ct_tag_of(ct_entry_hash(keys, ix))) {
            PyErr_Format(PyExc_AssertionError, "index slot %zd has another tag than entry %zd", i, ix);
            return 0;
        }
    }
    return 1;
}

/* Layout(...) of a block that does not change meanwhile; `more` (stolen): further arguments. */
static PyObject *
layout_of_block(ct_state *st, ct_keys *keys, Py_ssize_t used, PyObject *more)
{
    Py_ssize_t count = ct_load_acquire(&keys->nentries);
    PyObject *arguments = more == NULL || !tags_hold(keys) ? NULL : Py_BuildValue(
        "{s:s,s:i,s:i,s:N,s:N,s:N,s:N,s:N,s:n,s:n,s:n,s:n,s:O,s:O,s:(nn)}",
        "kind", keys->kind == CT_UNICODE ? "unicode" : "general",
        "log2_size", keys->log2_size, "index_width", 1 << keys->width,
        "index", ct_index_column(keys), "hashes", hash_column(keys),
        "keys", column(keys, st->missing, 0), "values", column(keys, st->missing, 1),
        "order", PyObject_CallFunction((PyObject *)&PyRange_Type, "n", count),
        "used", used, "filled", count, "capacity", keys->capacity,
        "nbytes", (Py_ssize_t)ct_keys_nbytes(keys), "null", st->missing, "dead", st->module,
        "live_range", keys->bottom, keys->top);
    return ct_layout_make(st, arguments, more);
}

PyObject *
ct_layout_of_frozen(PyObject *table, PyObject *Py_UNUSED(ignored))
{
    ct_frozen *f = CT_FROZEN_DICT(table);
    return layout_of_block(f->st, f->keys, f->used, PyDict_New());
}

/* Everything that inspect_table shows beside the block.  Section held. */
typedef struct {
    ct_keys *copy;
    Py_ssize_t used;
    uint64_t version, keys_version;
    PyObject *watch;
    int shared;
    const char *problem; /* NULL: none */
} ct_facts;

/* Section held.  What a copy of the block does not show: is this a state that table.h allows? */
static const char *
problem_of(ct_table *t)
{
    const ct_keys *keys = ct_load_relaxed(&t->keys);
    if (ct_load_relaxed(&t->lockfree)) {
        if (t->log != NULL || t->gate != NULL || ct_load_relaxed(&t->snapshot) != NULL) {
            return "overwrites go without the section beside a watcher, a gate or a cached snapshot";
        }
        if (CT_FT && ct_is_shared(t) && (t->quiet || ct_load_relaxed(&t->stripes) == NULL)) {
            return "I9: overwrites of a shared table go without the section, but it is quiet or has "
                   "no counters for them";
        }
    }
    for (Py_ssize_t ix = 0; ix < ct_load_relaxed(&keys->nentries); ix++) {
        if (ct_load_relaxed(ct_value_slot(keys, ix)) & CT_FROZEN) {
            return "a value of the present block is marked as being moved to another one";
        }
    }
    return ct_load_relaxed(&keys->refs) < 1 ? "nobody holds the present block" : NULL;
}

/* The block exactly as it is, dummies included (ct_keys_clone may compact). */
static ct_keys *
copy_exactly(ct_keys *keys)
{
    if (keys == ct_empty_keys) {
        return keys;
    }
    return ct_keys_clone(keys, PY_SSIZE_T_MAX);
}

static void
take_facts(ct_table *t, ct_facts *facts)
{
    ct_section section;
    ct_lock(t, &section);
    facts->problem = problem_of(t);
    ct_quiesce_held(t);
    facts->copy = copy_exactly(ct_load_relaxed(&t->keys));
    facts->used = ct_used(t);
    facts->version = ct_version(t);
    facts->keys_version = ct_load_relaxed(&t->keys_version);
    facts->watch = t->watch;
    Py_XINCREF(facts->watch);
    facts->shared = ct_is_shared(t);
    ct_unlock(&section);
}

PyObject *
ct_layout_of_table(PyObject *table, PyObject *Py_UNUSED(ignored))
{
    ct_table *t = CT_TABLE(table);
    ct_facts facts;
    PyObject *layout = NULL;
    if (ct_touch(t) < 0) {
        return NULL;
    }
    take_facts(t, &facts);
    if (facts.copy == NULL) {
        Py_XDECREF(facts.watch);
        return PyErr_NoMemory();
    }
    if (facts.copy != ct_empty_keys) {
        facts.copy->owns = CT_OWNS_ALL;
    }
    Py_ssize_t watchers = facts.watch == NULL ? 0 : PyObject_Size(facts.watch);
    if (watchers >= 0) {
        layout = layout_of_block(
            t->st, facts.copy, facts.used,
            Py_BuildValue("{s:K,s:K,s:n,s:O,s:N}", "version", (unsigned long long)facts.version,
                          "keys_version", (unsigned long long)facts.keys_version, "watchers",
                          watchers, "shared", facts.shared ? Py_True : Py_False, "problems",
                          facts.problem == NULL ? PyTuple_New(0)
                                                : Py_BuildValue("(s)", facts.problem)));
    }
    ct_keys_release(facts.copy);
    Py_XDECREF(facts.watch);
    return layout;
}
