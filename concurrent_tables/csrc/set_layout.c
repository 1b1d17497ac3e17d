/* The raw layouts of sets that inspect_table() walks: plain copies of a block's columns,
 * as tuples (see layout.c). */
#include "set.h"
#include "views.h"

static PyObject *
hash_column(const ct_set_keys *block, Py_ssize_t size)
{
    PyObject *made = PyTuple_New(size);
    for (Py_ssize_t i = 0; made != NULL && i < size; i++) {
        int written = ct_load_relaxed(&((ct_set_keys *)block)->slots[i].key) != 0;
        PyObject *number = PyLong_FromSsize_t(written ? block->slots[i].hash : 0);
        if (number == NULL) {
            Py_CLEAR(made);
            break;
        }
        PyTuple_SET_ITEM(made, i, number);
    }
    return made;
}

static PyObject *
key_column(ct_state *st, const ct_set_keys *block, Py_ssize_t size)
{
    PyObject *made = PyTuple_New(size);
    for (Py_ssize_t i = 0; made != NULL && i < size; i++) {
        uintptr_t word = ct_load_relaxed(&((ct_set_keys *)block)->slots[i].key);
        PyObject *shown = word == 0         ? st->extra_objects[CT_XO_NULL]
                          : word == CT_DEAD ? st->extra_objects[CT_XO_DEAD]
                                            : (PyObject *)word;
        PyTuple_SET_ITEM(made, i, Py_NewRef(shown));
    }
    return made;
}

/* Layout(...) of a block that does not change meanwhile; `more` (stolen): further arguments. */
static PyObject *
layout_of_block(ct_state *st, const ct_set_keys *block, PyObject *more)
{
    Py_ssize_t size = (Py_ssize_t)1 << block->log2_size;
    PyObject *arguments = more == NULL ? NULL : Py_BuildValue(
        "{s:s,s:i,s:i,s:(),s:N,s:N,s:(),s:(),s:n,s:n,s:n,s:n,s:O,s:O}",
        "kind", "set", "log2_size", block->log2_size, "index_width", 0, "index",
        "hashes", hash_column(block, size), "keys", key_column(st, block, size), "values",
        "order", "used", ct_set_count(block), "filled", ct_set_filled(block),
        "capacity", block->capacity, "nbytes", (Py_ssize_t)ct_set_nbytes(block),
        "null", st->extra_objects[CT_XO_NULL], "dead", st->extra_objects[CT_XO_DEAD]);
    return ct_layout_make(st, arguments, more);
}

PyObject *
ct_frozen_set_layout(PyObject *table, PyObject *Py_UNUSED(ignored))
{
    ct_fset *f = CT_FROZEN_SET(table);
    return layout_of_block(f->st, f->block, PyDict_New());
}

/* Everything that inspect_table shows.  The block is copied exactly, dummies included. */
typedef struct {
    ct_set_keys *copy;
    uint64_t version, keys_version, started;
    PyObject *watch;
    int shared;
} set_facts;

static void
take_facts(ct_set_table *s, set_facts *facts)
{
    ct_section section;
    ct_lock(&s->base, &section);
    ct_set_keys *block = ct_load_relaxed(&s->block);
    facts->copy = ct_set_clone(block);
    if (facts->copy != NULL) {
        ct_set_own(facts->copy);
        facts->copy->owns = CT_OWNS_ALL;
    }
    facts->version = ct_version(&s->base);
    facts->keys_version = ct_load_relaxed(&s->base.keys_version);
    facts->started = ct_load_relaxed(&s->started);
    facts->watch = s->base.watch;
    Py_XINCREF(facts->watch);
    facts->shared = ct_is_shared(&s->base);
    ct_unlock(&section);
}

PyObject *
ct_set_layout(PyObject *table, PyObject *Py_UNUSED(ignored))
{
    ct_set_table *s = CT_SET(table);
    set_facts facts;
    PyObject *layout = NULL;
    if (ct_touch(&s->base) < 0) {
        return NULL;
    }
    take_facts(s, &facts);
    Py_ssize_t watchers = facts.watch == NULL ? 0 : PyObject_Size(facts.watch);
    if (facts.copy == NULL) {
        PyErr_NoMemory();
    }
    else if (watchers >= 0) {
        layout = layout_of_block(
            s->base.st, facts.copy,
            Py_BuildValue("{s:K,s:K,s:n,s:O,s:O}", "version", (unsigned long long)facts.version,
                          "keys_version", (unsigned long long)facts.keys_version, "watchers",
                          watchers, "shared", facts.shared ? Py_True : Py_False, "at_rest",
                          facts.started == facts.version ? Py_True : Py_False));
    }
    ct_set_release(facts.copy);
    Py_XDECREF(facts.watch);
    return layout;
}
