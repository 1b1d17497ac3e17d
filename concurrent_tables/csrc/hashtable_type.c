/* HashTable as a type, and the ready-made hash and compare functions. */
#include "hashtable.h"
#include "dict.h"
#include "split.h"
#include "watching.h"
#include <math.h>

/* -- ready-made functions: they run no user code ------------------------------------------------ */

static PyObject *
reject_non_str(const char *function, PyObject *thing)
{
    return PyErr_Format(PyExc_TypeError,
                        "%s() takes str keys, not %s; give the HashTable hash and compare functions for "
                        "its own kind of keys",
                        function, Py_TYPE(thing)->tp_name);
}

static PyObject *
hash_identity(PyObject *Py_UNUSED(module), PyObject *key)
{
    uint64_t address = (uint64_t)(uintptr_t)key;
    return PyLong_FromUnsignedLongLong(address >> 4 | address << 60);
}

static PyObject *
compare_identity(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    return ct_check_args("compare_identity", nargs, 2, 2) ? PyBool_FromLong(args[0] == args[1]) : NULL;
}

static PyObject *
hash_str(PyObject *Py_UNUSED(module), PyObject *key)
{
    if (!PyUnicode_Check(key)) {
        return reject_non_str("hash_str", key);
    }
    return PyLong_FromSsize_t(PyUnicode_Type.tp_hash(key)); /* not of a subclass's making */
}

static PyObject *
compare_str(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    if (!ct_check_args("compare_str", nargs, 2, 2)) {
        return NULL;
    }
    for (int i = 0; i < 2; i++) {
        if (!PyUnicode_Check(args[i])) {
            return reject_non_str("compare_str", args[i]);
        }
    }
    return PyUnicode_Type.tp_richcompare(args[0], args[1], Py_EQ);
}

#define FASTCALL(f) (PyCFunction)(void (*)(void))(f)

static PyMethodDef functions[] = {
    {"hash_identity", hash_identity, METH_O,
     "hash_identity(key, /)\n--\n\nA hash of the address of key: any object will do.\n\n"
     ">>> from concurrent_tables import hash_identity\n"
     ">>> key = []\n>>> hash_identity(key) == hash_identity(key)\nTrue\n"},
    {"compare_identity", FASTCALL(compare_identity), METH_FASTCALL,
     "compare_identity(a, b, /)\n--\n\nWhether a and b are one object.\n\n"
     ">>> from concurrent_tables import compare_identity\n"
     ">>> compare_identity([], [])\nFalse\n"},
    {"hash_str", hash_str, METH_O,
     "hash_str(key, /)\n--\n\n"
     "The hash of a str, not of a subclass's making; TypeError for anything else.\n\n"
     ">>> from concurrent_tables import hash_str\n"
     ">>> hash_str('spam') == hash_str('sp' + 'am')\nTrue\n"},
    {"compare_str", FASTCALL(compare_str), METH_FASTCALL,
     "compare_str(a, b, /)\n--\n\n"
     "Whether two str have the same characters; TypeError for anything else.\n\n"
     ">>> from concurrent_tables import compare_str\n"
     ">>> compare_str('spam', 'sp' + 'am')\nTrue\n"},
};
enum { HASH_IDENTITY, COMPARE_IDENTITY, HASH_STR, COMPARE_STR, FUNCTIONS };

static int
kind_of(ct_state *st, PyObject *function)
{
    PyObject **known = &st->extra_objects[CT_X_FUNCTIONS];
    if (function == known[HASH_IDENTITY] || function == known[COMPARE_IDENTITY]) {
        return CT_FN_IDENTITY;
    }
    return function == known[HASH_STR] || function == known[COMPARE_STR] ? CT_FN_STR : CT_FN_USER;
}

/* -- reads -------------------------------------------------------------------------------------- */

static PyObject *
table_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *value;
    if (!ct_check_args("get", nargs, 1, 2)) {
        return NULL;
    }
    int found = ct_hashtable_get(CT_HASHTABLE(self), args[0], &value);
    if (found > 0) {
        return value;
    }
    return found < 0 ? NULL : Py_NewRef(nargs == 2 ? args[1] : Py_None);
}

static int
table_contains(PyObject *self, PyObject *key)
{
    PyObject *value;
    int found = ct_hashtable_get(CT_HASHTABLE(self), key, &value);
    if (found > 0) {
        Py_DECREF(value);
    }
    return found;
}

static Py_ssize_t
table_length(PyObject *self)
{
    ct_hashtable *t = CT_HASHTABLE(self);
    ct_record *record = ct_enter(&t->base);
    if (record == NULL) {
        return -1;
    }
    ct_buckets *block = ct_load_acquire(&t->block);
    Py_ssize_t used = ct_load_relaxed(&block->used);
    int destroyed = block->destroyed;
    ct_unpin(record);
    return destroyed ? ct_hashtable_destroyed_error(t) : used;
}

static PyObject *
table_size(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Py_ssize_t used = table_length(self);
    return used < 0 ? NULL : PyLong_FromSsize_t(used);
}

/* Call back for each pair of one moment; the first result that is not None. */
static PyObject *
walk_pairs(ct_entries **chains, Py_ssize_t count, PyObject *callback)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        for (Py_ssize_t j = 0; chains[i] != NULL && j < Py_SIZE(chains[i]); j++) {
            PyObject *args[] = {chains[i]->pairs[j].key, chains[i]->pairs[j].value};
            PyObject *result = PyObject_Vectorcall(callback, args, 2, NULL);
            if (result != Py_None) {
                return result;
            }
            Py_DECREF(result);
        }
    }
    Py_RETURN_NONE;
}

static PyObject *
walk(ct_hashtable *t, PyObject *callback)
{
    ct_buckets *block;
    uint64_t version;
    ct_entries **chains = ct_hashtable_chains(t, &block, &version);
    PyObject *result = NULL;
    if (chains != NULL) {
        if (block->destroyed) {
            ct_hashtable_destroyed_error(t);
        }
        else {
            result = walk_pairs(chains, Py_SIZE(block), callback);
        }
        ct_chains_free(chains, block);
    }
    return result;
}

static PyObject *
table_foreach(PyObject *self, PyObject *callback)
{
    ct_hashtable *t = CT_HASHTABLE(self);
    PyObject *walks = ct_hashtable_walks(t), *type, *value, *tb;
    ct_fetch_add_acq_rel(&t->walking, 1);
    PyObject *mark = walks == NULL ? NULL : ct_call_method(walks, "begin");
    PyObject *result = mark == NULL ? NULL : walk(t, callback);
    PyErr_Fetch(&type, &value, &tb);
    if (mark != NULL) {
        PyObject *ended = ct_call_method(walks, "end", mark);
        if (ended == NULL) {
            PyErr_WriteUnraisable(self);
        }
        Py_XDECREF(ended);
        Py_DECREF(mark);
    }
    ct_fetch_add_acq_rel(&t->walking, -1);
    PyErr_Restore(type, value, tb);
    return result;
}

static PyObject *
table_stats(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_hashtable *t = CT_HASHTABLE(self);
    ct_buckets *block;
    uint64_t version;
    Py_ssize_t size = 0, longest = 0, empty = 0;
    ct_entries **chains = ct_hashtable_chains(t, &block, &version);
    PyObject *result = NULL;
    for (Py_ssize_t i = 0; chains != NULL && i < Py_SIZE(block); i++) {
        Py_ssize_t length = chains[i] == NULL ? 0 : Py_SIZE(chains[i]);
        size += length;
        longest = length > longest ? length : longest;
        empty += length == 0;
    }
    if (chains != NULL) {
        if (block->destroyed) {
            ct_hashtable_destroyed_error(t);
        }
        else {
            result = Py_BuildValue("{s:n,s:n,s:d,s:n,s:n,s:K,s:K}", "size", size, "buckets",
                                   Py_SIZE(block), "load", (double)size / (double)Py_SIZE(block),
                                   "longest_chain", longest, "empty_buckets", empty, "grown",
                                   (unsigned long long)block->grown, "shrunk",
                                   (unsigned long long)block->shrunk);
        }
        ct_chains_free(chains, block);
    }
    return result;
}

/* -- writes ------------------------------------------------------------------------------------- */

/* 0, or -1 with TableMutationError inside a foreach of this thread. */
static int
begin_write(ct_hashtable *t)
{
    if (ct_load_acquire(&t->walking) != 0) {
        PyObject *mine = ct_call_method(ct_hashtable_walks(t), "mine");
        int inside = mine == NULL ? -1 : PyObject_IsTrue(mine);
        Py_XDECREF(mine);
        if (inside > 0) {
            PyObject *error = ct_getattr(t->base.st->errors, "TableMutationError");
            PyObject *name = ct_getattr((PyObject *)Py_TYPE(t), "__name__");
            if (error != NULL && name != NULL) {
                PyErr_Format(error,
                             "%U: a foreach callback must not change the table it walks; collect the "
                             "changes and make them after foreach",
                             name);
            }
            Py_XDECREF(error);
            Py_XDECREF(name);
        }
        if (inside != 0) {
            return -1;
        }
    }
    return ct_touch(&t->base);
}

static PyObject *
none_or_error(int status)
{
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
table_set(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    ct_hashtable *t = CT_HASHTABLE(self);
    if (!ct_check_args("set", nargs, 2, 2)) {
        return NULL;
    }
    if (args[1] == t->base.st->missing) {
        return PyObject_CallFunctionObjArgs(t->base.st->reject_missing, self, args[0], args[1],
                                            Py_False, NULL); /* it has a hash function of its own */
    }
    return begin_write(t) < 0 ? NULL : none_or_error(ct_hashtable_set(t, args[0], args[1]));
}

static PyObject *
table_steal(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *value;
    if (!ct_check_args("steal", nargs, 1, 2) || begin_write(CT_HASHTABLE(self)) < 0) {
        return NULL;
    }
    int found = ct_hashtable_steal(CT_HASHTABLE(self), args[0], &value);
    if (found > 0) {
        return value;
    }
    return found < 0 ? NULL : Py_NewRef(nargs == 2 ? args[1] : Py_None);
}

static PyObject *
table_clear_all(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_hashtable *t = CT_HASHTABLE(self);
    return begin_write(t) < 0 ? NULL : none_or_error(ct_hashtable_clear(t, 0));
}

static PyObject *
table_destroy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_hashtable *t = CT_HASHTABLE(self);
    return begin_write(t) < 0 ? NULL : none_or_error(ct_hashtable_clear(t, 1));
}

/* -- the rest ----------------------------------------------------------------------------------- */

static PyObject *
chain_as_tuple(const ct_entries *chain)
{
    Py_ssize_t count = chain == NULL ? 0 : Py_SIZE(chain);
    PyObject *made = PyTuple_New(count);
    for (Py_ssize_t i = 0; made != NULL && i < count; i++) {
        const ct_pair *pair = &chain->pairs[i];
        PyObject *item = Py_BuildValue("(KOO)", (unsigned long long)pair->hash, pair->key, pair->value);
        if (item == NULL) {
            Py_CLEAR(made);
            break;
        }
        PyTuple_SET_ITEM(made, i, item);
    }
    return made;
}

static size_t
nbytes_of(const ct_buckets *block, Py_ssize_t used)
{
    return (size_t)Py_SIZE(block) * sizeof(ct_entries *) + (size_t)used * sizeof(ct_pair);
}

static PyObject *
table_layout(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_hashtable *t = CT_HASHTABLE(self);
    ct_state *st = t->base.st;
    ct_buckets *block;
    uint64_t version;
    Py_ssize_t used = 0;
    ct_entries **chains = ct_hashtable_chains(t, &block, &version);
    PyObject *buckets = chains == NULL ? NULL : PyTuple_New(Py_SIZE(block)), *layout = NULL;
    for (Py_ssize_t i = 0; buckets != NULL && i < Py_SIZE(block); i++) {
        PyObject *chain = chain_as_tuple(chains[i]);
        if (chain == NULL) {
            Py_CLEAR(buckets);
            break;
        }
        used += PyTuple_GET_SIZE(chain);
        PyTuple_SET_ITEM(buckets, i, chain);
    }
    PyObject *nothing = PyTuple_New(0), *watch = ct_watch_get(self, NULL);
    int made = buckets != NULL && nothing != NULL;
    Py_ssize_t watchers = !made || watch == Py_None ? 0 : PyObject_Size(watch);
    if (made && watchers >= 0) {
        PyObject *arguments = Py_BuildValue(
            "{s:s,s:i,s:i,s:O,s:O,s:O,s:O,s:O,s:n,s:n,s:n,s:n,s:O,s:O,s:O,s:K,s:K,s:n,s:O}", "kind",
            "hashtable", "log2_size", block->log2_size, "index_width", 0, "index", nothing, "hashes",
            Py_None, "keys", nothing, "values", nothing, "order", nothing, "used", used, "filled", used,
            "capacity", used, "nbytes", (Py_ssize_t)nbytes_of(block, used), "null", st->missing, "dead",
            st->missing, "buckets", buckets, "version", (unsigned long long)version, "keys_version",
            (unsigned long long)ct_load_acquire(&t->base.keys_version), "watchers", watchers, "shared",
            ct_is_shared(&t->base) ? Py_True : Py_False);
        layout = arguments == NULL ? NULL : PyObject_Call(st->layout_type, nothing, arguments);
        Py_XDECREF(arguments);
    }
    Py_XDECREF(watch);
    Py_XDECREF(nothing);
    Py_XDECREF(buckets);
    if (chains != NULL) {
        ct_chains_free(chains, block);
    }
    return layout;
}

static PyObject *
table_repr(PyObject *self)
{
    ct_hashtable *t = CT_HASHTABLE(self);
    PyObject *name = ct_getattr((PyObject *)Py_TYPE(self), "__name__"), *result = NULL;
    ct_record *record = name == NULL ? NULL : ct_enter(&t->base);
    if (record != NULL) {
        ct_buckets *block = ct_load_acquire(&t->block);
        Py_ssize_t used = ct_load_relaxed(&block->used), size = Py_SIZE(block);
        int destroyed = block->destroyed;
        ct_unpin(record);
        result = destroyed ? PyUnicode_FromFormat("<%U: destroyed>", name)
                           : PyUnicode_FromFormat("<%U: %zd entries in %zd buckets>", name, used, size);
    }
    Py_XDECREF(name);
    return result;
}

static PyObject *
table_sizeof(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_hashtable *t = CT_HASHTABLE(self);
    ct_record *record = ct_enter(&t->base);
    if (record == NULL) {
        return NULL;
    }
    ct_buckets *block = ct_load_acquire(&t->block);
    size_t size = nbytes_of(block, ct_load_relaxed(&block->used));
    ct_unpin(record);
    return PyLong_FromSize_t((size_t)Py_TYPE(self)->tp_basicsize + size);
}

static PyObject *
table_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *name = ct_getattr((PyObject *)Py_TYPE(self), "__name__");
    if (name != NULL) {
        PyErr_Format(PyExc_TypeError,
                     "cannot pickle or copy '%U' object: its hash and compare functions, and the "
                     "destructors that must run once, belong to this table",
                     name);
        Py_DECREF(name);
    }
    return NULL;
}

static PyObject *
table_exclusive_parts(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyTuple_Pack(1, self);
}

/* -- life --------------------------------------------------------------------------------------- */

static PyObject *
table_tp_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    ct_state *st = ct_state_of_type(type);
    ct_buckets *block = st == NULL ? NULL : ct_buckets_new(st, CT_MIN_BUCKETS_LOG2, NULL);
    ct_hashtable *t = block == NULL ? NULL : (ct_hashtable *)type->tp_alloc(type, 0);
    if (t == NULL) {
        Py_XDECREF(block);
        return NULL;
    }
    ct_store_release(&t->block, block);
    t->hash = Py_NewRef(st->extra_objects[CT_X_FUNCTIONS + HASH_IDENTITY]);
    t->compare = Py_NewRef(st->extra_objects[CT_X_FUNCTIONS + COMPARE_IDENTITY]);
    t->hash_kind = t->compare_kind = CT_FN_IDENTITY;
    t->grow_at = 2.0 / 3.0;
    t->shrink_at = 0.1;
    if (ct_table_init(&t->base, st) < 0) {
        Py_CLEAR(t);
    }
    return (PyObject *)t;
}

static int
check_callable(const char *name, PyObject *function, int optional)
{
    if (function == NULL || PyCallable_Check(function) || (optional && function == Py_None)) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "HashTable: %s must be callable%s, not %R", name,
                 optional ? " or None" : "", function);
    return -1;
}

static int
check_thresholds(double grow_at, double shrink_at)
{
    PyObject *grow = PyFloat_FromDouble(grow_at), *shrink = PyFloat_FromDouble(shrink_at);
    int status = -1;
    if (grow == NULL || shrink == NULL) {
        /* MemoryError */
    }
    else if (!(isfinite(grow_at) && grow_at > 0)) {
        PyErr_Format(PyExc_ValueError,
                     "HashTable: grow_at must be above 0 entries per bucket, not %R", grow);
    }
    else if (!(shrink_at >= 0 && shrink_at < grow_at / 2)) {
        PyErr_Format(PyExc_ValueError,
                     "HashTable: shrink_at must be at least 0 and below half of grow_at (%R), not %R; a "
                     "table that has just doubled would shrink again",
                     grow, shrink);
    }
    else {
        status = 0;
    }
    Py_XDECREF(grow);
    Py_XDECREF(shrink);
    return status;
}

static void
replace(PyObject **place, PyObject *function)
{
    if (function != NULL) {
        PyObject *old = *place;
        *place = function == Py_None ? NULL : Py_NewRef(function);
        Py_XDECREF(old);
    }
}

static int
table_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"hash",    "compare",   "destroy_key", "destroy_value",
                            "grow_at", "shrink_at", NULL};
    ct_hashtable *t = CT_HASHTABLE(self);
    PyObject *hash = NULL, *compare = NULL, *destroy_key = NULL, *destroy_value = NULL;
    double grow_at = 2.0 / 3.0, shrink_at = 0.1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO$OOdd:HashTable", names, &hash, &compare,
                                     &destroy_key, &destroy_value, &grow_at, &shrink_at)
        || check_callable("hash", hash, 0) < 0 || check_callable("compare", compare, 0) < 0
        || check_callable("destroy_key", destroy_key, 1) < 0
        || check_callable("destroy_value", destroy_value, 1) < 0
        || check_thresholds(grow_at, shrink_at) < 0) {
        return -1;
    }
    if (ct_exchange_acq_rel(&t->configured, 1)) { /* other threads may be calling the functions */
        PyErr_SetString(PyExc_RuntimeError,
                        "HashTable: its functions are set once, when it is made; make a new table");
        return -1;
    }
    replace(&t->hash, hash);
    replace(&t->compare, compare);
    replace(&t->destroy_key, destroy_key);
    replace(&t->destroy_value, destroy_value);
    t->hash_kind = kind_of(t->base.st, t->hash);
    t->compare_kind = kind_of(t->base.st, t->compare);
    t->grow_at = grow_at;
    t->shrink_at = shrink_at;
    return 0;
}

static int
table_traverse(PyObject *self, visitproc visit, void *arg)
{
    ct_hashtable *t = CT_HASHTABLE(self);
    ct_buckets *block = ct_load_acquire(&t->block);
    Py_VISIT(t->hash);
    Py_VISIT(t->compare);
    Py_VISIT(t->destroy_key);
    Py_VISIT(t->destroy_value);
    PyObject *walks = ct_load_acquire(&t->walks);
    Py_VISIT(walks);
    /* What a lookup or walk holds besides is a root, as it should be. */
    for (Py_ssize_t i = 0; block != NULL && Py_REFCNT(block) == 1 && i < Py_SIZE(block); i++) {
        ct_entries *chain = ct_load_acquire(&block->slots[i]);
        for (Py_ssize_t j = 0; chain != NULL && Py_REFCNT(chain) == 1 && j < Py_SIZE(chain); j++) {
            Py_VISIT(chain->pairs[j].key);
            Py_VISIT(chain->pairs[j].value);
        }
    }
    return ct_table_traverse(&t->base, visit, arg);
}

/* Lets the contents go: an empty, destroyed block takes their place. */
static ct_buckets *
take_block(ct_hashtable *t)
{
    ct_buckets *empty = ct_buckets_new(t->base.st, CT_MIN_BUCKETS_LOG2, NULL);
    if (empty == NULL) {
        PyErr_Clear();
        return NULL;
    }
    empty->destroyed = 1;
    return ct_exchange_acq_rel(&t->block, empty);
}

static int
table_clear_refs(PyObject *self)
{
    ct_hashtable *t = CT_HASHTABLE(self);
    ct_buckets *old = take_block(t);
    if (old != NULL) {
        ct_drop(t->base.st, (PyObject *)old, ct_is_shared(&t->base));
    }
    return ct_table_clear_refs(&t->base);
}

/* The table dies: what it still holds goes to the destructors.  One of them, or a watcher, that brings it
 * back to life finds it destroyed. */
static void
destroy_contents(ct_hashtable *t)
{
    ct_buckets *old = take_block(t);
    PyObject *ignored = ct_getattr(t->base.st->errors, "TableDestroyedError");
    PyObject *destruction =
        old == NULL ? NULL
                    : ct_hashtable_destruction(t, (ct_entries *const *)(void *)old->slots, Py_SIZE(old),
                                               NULL, NULL);
    PyObject *result = NULL;
    if (destruction == Py_None) {
        result = Py_NewRef(Py_None);
    }
    else if (destruction != NULL && ignored != NULL) {
        PyObject *one = PyTuple_Pack(1, ignored);
        result = one == NULL ? NULL : ct_call_method(destruction, "run", one);
        Py_XDECREF(one);
    }
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)t);
    }
    Py_XDECREF(result);
    Py_XDECREF(destruction);
    Py_XDECREF(ignored);
    Py_XDECREF((PyObject *)old);
}

static void
table_finalize(PyObject *self)
{
    ct_hashtable *t = CT_HASHTABLE(self);
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb);
    ct_table_finalize(&t->base);
    if (t->destroy_key != NULL || t->destroy_value != NULL) {
        destroy_contents(t);
    }
    PyErr_Restore(type, value, tb);
}

static void
table_dealloc(PyObject *self)
{
    ct_hashtable *t = CT_HASHTABLE(self);
    PyTypeObject *type = Py_TYPE(self);
    if (PyObject_CallFinalizerFromDealloc(self) < 0) {
        return; /* resurrected */
    }
    PyObject_GC_UnTrack(self);
    if (t->base.weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    Py_TRASHCAN_BEGIN(self, table_dealloc) /* a chain of tables may be longer than the stack */
    Py_XDECREF((PyObject *)ct_exchange_acq_rel(&t->block, NULL));
    Py_XDECREF(ct_exchange_acq_rel(&t->walks, NULL));
    Py_CLEAR(t->hash);
    Py_CLEAR(t->compare);
    Py_CLEAR(t->destroy_key);
    Py_CLEAR(t->destroy_value);
    ct_table_release(&t->base);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* -- the type ----------------------------------------------------------------------------------- */

static PyMethodDef own_methods[] = {
    {"get", FASTCALL(table_get), METH_FASTCALL,
     "get($self, key, default=None, /)\n--\n\nThe value of key, or default. Lock-free."},
    {"size", table_size, METH_NOARGS, "The number of entries. Lock-free."},
    {"foreach", table_foreach, METH_O,
     "foreach($self, callback, /)\n--\n\n"
     "Call callback(key, value) for the entries of one moment, in no particular order.\n\n"
     "Stops at the first result that is not None and returns it; None otherwise. A callback that\n"
     "changes this table gets a TableMutationError from the changing call.\n"
     "Thread-safety: atomic (one snapshot); no lock is held while the callback runs.\n\n"
     ">>> from concurrent_tables import HashTable\n"
     ">>> table = HashTable()\n"
     ">>> table.set('a', 1)\n"
     ">>> table.foreach(lambda key, value: key if value == 1 else None)\n"
     "'a'\n"},
    {"stats", table_stats, METH_NOARGS,
     "Counts of one moment: size, buckets, load (entries per bucket), longest_chain, empty_buckets,\n"
     "grown and shrunk (how often the table doubled and halved). Atomic."},
    {"set", FASTCALL(table_set), METH_FASTCALL,
     "set($self, key, value, /)\n--\n\n"
     "Store value under key; an equal key is replaced, and so is its value. Atomic.\n\n"
     "The replaced objects are destroyed, unless they are the very ones that are stored."},
    {"steal", FASTCALL(table_steal), METH_FASTCALL,
     "steal($self, key, default=None, /)\n--\n\n"
     "Remove key and return its value, destroying nothing; default when absent. Atomic."},
    {"clear", table_clear_all, METH_NOARGS,
     "Remove and destroy everything, in one step; the table has 16 buckets again. Atomic."},
    {"destroy", table_destroy, METH_NOARGS,
     "clear(), for good: every later use raises TableDestroyedError, destroy too. Atomic."},
    {"__reduce__", table_reduce, METH_NOARGS, NULL},
    {"__sizeof__", table_sizeof, METH_NOARGS, NULL},
    {"_layout", table_layout, METH_NOARGS, NULL},
    {"_exclusive_parts", table_exclusive_parts, METH_NOARGS, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
};
enum { OWN = sizeof(own_methods) / sizeof(own_methods[0]) };
static PyMethodDef methods[OWN + 4 + 1]; /* and those of every watchable table */

static PyGetSetDef table_getset[] = {
    {"version", ct_version_attribute, NULL,
     "A number that rises with every mutation. Thread-safety: lock-free.", NULL},
    {"keys_version", ct_keys_version_attribute, NULL,
     "A number that rises when a key is added or removed. Thread-safety: lock-free.", NULL},
    {"_watch", ct_watch_get, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef table_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ct_table, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(table_doc,
"A table of unordered pairs with hash and compare functions of your own.\n\n"
"Parameters: `hash(key) -> int` (its low 64 bits count; `hash_identity` by default);\n"
"`compare(wanted, stored)`, true for equal keys, which must have equal hashes\n"
"(`compare_identity` by default); `destroy_key(key)` and `destroy_value(value)`, called once for\n"
"what the table lets go of by `set`, `clear`, `destroy` or its own end, but not by `steal`;\n"
"`grow_at`, `shrink_at`: entries per bucket above which the table doubles and below which it\n"
"halves; it never has fewer than 16 buckets.\n\n"
"Errors: TypeError when a function is not callable; ValueError unless\n"
"0 <= shrink_at < grow_at / 2. Errors of `hash` and `compare` reach the caller and leave the table\n"
"as it was; those of destructors go to `sys.unraisablehook`. Not picklable.\n"
"Thread-safety: see docs/reference/thread-safety.md for every method.\n"
"Source: CPython Python/hashtable.c.\n\n"
">>> from concurrent_tables import HashTable\n"
">>> table = HashTable(lambda key: hash(key.lower()), lambda a, b: a.lower() == b.lower())\n"
">>> table.set('Content-Length', 12)\n"
">>> table.get('content-length'), 'CONTENT-LENGTH' in table, len(table)\n"
"(12, True, 1)\n");

static PyType_Slot table_slots[] = {
    {Py_tp_doc, (void *)table_doc},
    {Py_tp_new, table_tp_new},
    {Py_tp_init, table_init},
    {Py_tp_dealloc, table_dealloc},
    {Py_tp_finalize, table_finalize},
    {Py_tp_traverse, table_traverse},
    {Py_tp_clear, table_clear_refs},
    {Py_tp_methods, methods},
    {Py_tp_getset, table_getset},
    {Py_tp_members, table_members},
    {Py_tp_repr, table_repr},
    {Py_mp_length, table_length},
    {Py_sq_contains, table_contains},
    {0, NULL},
};

static PyType_Spec table_spec = {
    .name = "concurrent_tables.HashTable",
    .basicsize = sizeof(ct_hashtable),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = table_slots,
};

static int
add_functions(PyObject *module, ct_state *st)
{
    PyObject *owner = PyUnicode_InternFromString("concurrent_tables");
    for (int i = 0; owner != NULL && i < FUNCTIONS; i++) {
        PyObject *function = PyCFunction_NewEx(&functions[i], NULL, owner);
        st->extra_objects[CT_X_FUNCTIONS + i] = function;
        if (function == NULL || PyModule_AddObjectRef(module, functions[i].ml_name, function) < 0) {
            Py_CLEAR(owner);
        }
    }
    Py_XDECREF(owner);
    return owner == NULL ? -1 : 0;
}

int
ct_hashtable_type_init(PyObject *module, ct_state *st)
{
    if (methods[0].ml_name == NULL) {
        memcpy(methods, own_methods, sizeof(own_methods));
        memcpy(methods + OWN, ct_watch_methods, sizeof(ct_watch_methods));
    }
    if (ct_hashtable_structure_init(module, st) < 0 || add_functions(module, st) < 0) {
        return -1;
    }
    PyObject *type = PyType_FromModuleAndSpec(module, &table_spec, NULL);
    st->extra_types[CT_X_HASHTABLE] = (PyTypeObject *)type;
    if (type == NULL || ct_table_type_register(st, (PyTypeObject *)type) < 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "HashTable", type);
}
