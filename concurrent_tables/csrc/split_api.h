/* The dict API over a few primitives, for the mappings that are no single ct_table.
 *
 * A file that defines a type includes this once, after defining
 *
 *   API_NAME                      "SplitDict"
 *   API_TYPE(st)                  the exact type
 *   API_STATE(self)               its ct_state
 *   API_USED(self)                the number of keys, at rest
 *   API_GET(self, key, hash, &value), API_HAS(self, key, hash), API_CHANGE(self, key, hash, &change)
 *                                 as ct_get, ct_has, ct_change_entry
 *   API_FILL(self, mapping)       an empty table from a mapping in one step: CT_DONE, CT_NOT_MET, CT_FAILED
 *   API_ONE_MOMENT(self)          a FrozenDict of one moment
 *   API_NEW_LIKE(self)            an empty table of the exact type
 *   API_NEW_FOR(cls)              an empty table of a class, for fromkeys
 *
 * and gets static method bodies `api_...`, compiled for that type: nothing is looked up at run time. */

#include "copies.h"
#include "dict.h"
#include "frozen.h"
#include "update.h"
#include "views.h"

#define API_FASTCALL(f) (PyCFunction)(void (*)(void))(f)

static int
api_check_value(PyObject *self, PyObject *key, PyObject *value)
{
    ct_state *st = API_STATE(self);
    if (CT_LIKELY(value != st->missing)) {
        return 0;
    }
    PyObject *result = PyObject_CallFunctionObjArgs(st->reject_missing, self, key, value, NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* -- one key ------------------------------------------------------------------------------------ */

static PyObject *
api_getitem(PyObject *self, PyObject *key)
{
    PyObject *value;
    Py_hash_t hash = ct_hash_in(API_STATE(self), key);
    int found = CT_UNLIKELY(hash == -1) ? -1 : API_GET(self, key, hash, &value);
    if (CT_LIKELY(found > 0)) {
        return value;
    }
    if (found < 0) {
        return NULL;
    }
    ct_state *st = API_STATE(self);
    return ct_missing_key(st, self, Py_IS_TYPE(self, API_TYPE(st)), key);
}

static PyObject *
api_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *value;
    if (CT_UNLIKELY(!ct_check_args("get", nargs, 1, 2))) {
        return NULL;
    }
    Py_hash_t hash = ct_hash_in(API_STATE(self), args[0]);
    int found = CT_UNLIKELY(hash == -1) ? -1 : API_GET(self, args[0], hash, &value);
    if (CT_LIKELY(found > 0)) {
        return value;
    }
    return found < 0 ? NULL : Py_NewRef(nargs == 2 ? args[1] : Py_None);
}

static int
api_contains(PyObject *self, PyObject *key)
{
    Py_hash_t hash = ct_hash_in(API_STATE(self), key);
    return CT_UNLIKELY(hash == -1) ? -1 : API_HAS(self, key, hash);
}

/* CT_IF_PRESENT and no new value: remove.  CT_DONE with the old value, CT_NOT_MET, CT_FAILED. */
static int
api_take(PyObject *self, PyObject *key, PyObject **old)
{
    ct_change change = {.condition = CT_IF_PRESENT, .want_old = 1};
    Py_hash_t hash = ct_hash_in(API_STATE(self), key);
    int status = hash == -1 ? CT_FAILED : API_CHANGE(self, key, hash, &change);
    *old = change.old_value;
    return status;
}

static int
api_set(PyObject *self, PyObject *key, PyObject *value)
{
    ct_change change = {.condition = CT_IF_ANY, .new_value = value};
    Py_hash_t hash = ct_hash_in(API_STATE(self), key);
    if (hash == -1 || api_check_value(self, key, value) < 0) {
        return -1;
    }
    return API_CHANGE(self, key, hash, &change) < 0 ? -1 : 0;
}

static int
api_assign(PyObject *self, PyObject *key, PyObject *value)
{
    PyObject *old;
    if (CT_LIKELY(value != NULL)) {
        return api_set(self, key, value);
    }
    int status = api_take(self, key, &old);
    if (status == CT_NOT_MET) {
        ct_key_error(key);
    }
    if (status == CT_DONE) {
        Py_DECREF(old);
    }
    return status == CT_DONE ? 0 : -1;
}

static PyObject *
api_pop(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *old;
    if (!ct_check_args("pop", nargs, 1, 2)) {
        return NULL;
    }
    /* As dict does, an empty table does not ask for the hash. */
    int status = API_USED(self) == 0 ? CT_NOT_MET : api_take(self, args[0], &old);
    if (status == CT_NOT_MET) {
        if (nargs == 2) {
            return Py_NewRef(args[1]);
        }
        ct_key_error(args[0]);
    }
    return status == CT_DONE ? old : NULL;
}

static PyObject *
api_setdefault(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *value;
    if (!ct_check_args("setdefault", nargs, 1, 2)) {
        return NULL;
    }
    PyObject *fallback = nargs == 2 ? args[1] : Py_None;
    if (api_check_value(self, args[0], fallback) < 0) {
        return NULL;
    }
    Py_hash_t hash = ct_hash(args[0]);
    int found = hash == -1 ? -1 : API_GET(self, args[0], hash, &value); /* the common case: no lock */
    if (found != 0) {
        return found > 0 ? value : NULL;
    }
    ct_change change = {.condition = CT_IF_ABSENT, .new_value = fallback, .want_old = 1};
    int status = API_CHANGE(self, args[0], hash, &change);
    if (status == CT_NOT_MET) {
        return change.old_value;
    }
    return status == CT_DONE ? Py_NewRef(fallback) : NULL;
}

/* -- what dict lacks: optimistic, atomic -------------------------------------------------------- */

static int
api_compare_and(PyObject *self, PyObject *key, PyObject *expected, PyObject *new_value)
{
    PyObject *present;
    ct_limit limit = {0, 0};
    Py_hash_t hash = ct_hash(key);
    if (hash == -1) {
        return -1;
    }
    if (expected == API_STATE(self)->missing) {
        if (new_value == NULL) {
            int found = api_contains(self, key);
            return found < 0 ? -1 : !found;
        }
        ct_change change = {.condition = CT_IF_ABSENT, .new_value = new_value};
        return API_CHANGE(self, key, hash, &change);
    }
    for (;;) {
        ct_limit_start(&limit);
        int equal = API_GET(self, key, hash, &present);
        if (equal <= 0) {
            return equal;
        }
        equal = PyObject_RichCompareBool(present, expected, Py_EQ);
        ct_change change = {CT_IF_SAME, present, new_value, 0, NULL};
        int status = equal > 0 ? API_CHANGE(self, key, hash, &change) : equal;
        Py_DECREF(present);
        if (equal <= 0 || status != CT_NOT_MET) {
            return status;
        }
        if (ct_limit_restart(&limit, API_STATE(self), self, "the comparison of the value with the expected one") < 0) {
            return -1;
        }
    }
}

static PyObject *
api_compare_and_set(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (!ct_check_args("compare_and_set", nargs, 3, 3)
        || api_check_value(self, args[0], args[2]) < 0) {
        return NULL;
    }
    int done = api_compare_and(self, args[0], args[1], args[2]);
    return done < 0 ? NULL : PyBool_FromLong(done);
}

static PyObject *
api_compare_and_delete(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (!ct_check_args("compare_and_delete", nargs, 2, 2)) {
        return NULL;
    }
    int done = api_compare_and(self, args[0], args[1], NULL);
    return done < 0 ? NULL : PyBool_FromLong(done);
}

static PyObject *
api_swap(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (!ct_check_args("swap", nargs, 2, 2) || api_check_value(self, args[0], args[1]) < 0) {
        return NULL;
    }
    ct_change change = {.condition = CT_IF_ANY, .new_value = args[1], .want_old = 1};
    Py_hash_t hash = ct_hash(args[0]);
    if (hash == -1 || API_CHANGE(self, args[0], hash, &change) < 0) {
        return NULL;
    }
    return change.old_value != NULL ? change.old_value : Py_NewRef(API_STATE(self)->missing);
}

/* Commit what was computed from `present` (NULL: absent): CT_DONE, CT_NOT_MET, CT_FAILED. */
static int
api_commit(PyObject *self, PyObject *key, Py_hash_t hash, PyObject *present, PyObject *new_value)
{
    ct_change change = {.condition = present == NULL ? CT_IF_ABSENT : CT_IF_SAME,
                        .same = present,
                        .new_value = new_value};
    return API_CHANGE(self, key, hash, &change);
}

static PyObject *
api_compute(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *missing = API_STATE(self)->missing, *present, *result = NULL;
    ct_limit limit = {0, 0};
    if (!ct_check_args("compute", nargs, 2, 2)) {
        return NULL;
    }
    Py_hash_t hash = ct_hash(args[0]);
    for (int status = CT_NOT_MET; hash != -1 && status == CT_NOT_MET;) {
        ct_limit_start(&limit);
        if (API_GET(self, args[0], hash, &present) < 0) {
            Py_CLEAR(result);
            break;
        }
        Py_XSETREF(result, PyObject_CallOneArg(args[1], present != NULL ? present : missing));
        status = CT_FAILED;
        if (result == missing) {
            status = present == NULL ? CT_DONE : api_commit(self, args[0], hash, present, NULL);
        }
        else if (result != NULL) {
            status = api_commit(self, args[0], hash, present, result);
        }
        Py_XDECREF(present);
        if (status == CT_NOT_MET
            && ct_limit_restart(&limit, API_STATE(self), self, "the function given to compute()") < 0) {
            status = CT_FAILED;
        }
        if (status == CT_FAILED) {
            Py_CLEAR(result);
        }
    }
    return result;
}

static PyObject *
api_increment(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    PyObject *given[3] = {NULL, NULL, NULL}, *present, *result = NULL;
    ct_limit limit = {0, 0};
    if (ct_increment_args(args, nargs, names, given) < 0) {
        return NULL;
    }
    PyObject *delta = given[1] ? Py_NewRef(given[1]) : PyLong_FromLong(1);
    PyObject *start = given[2] ? Py_NewRef(given[2]) : PyLong_FromLong(0);
    Py_hash_t hash = delta == NULL || start == NULL ? -1 : ct_hash(given[0]);
    for (int status = CT_NOT_MET; hash != -1 && status == CT_NOT_MET;) {
        ct_limit_start(&limit);
        status = CT_FAILED;
        present = NULL;
        if (API_GET(self, given[0], hash, &present) >= 0) {
            Py_XSETREF(result, PyNumber_Add(present != NULL ? present : start, delta));
            if (result != NULL && api_check_value(self, given[0], result) == 0) {
                status = api_commit(self, given[0], hash, present, result);
            }
        }
        Py_XDECREF(present);
        if (status == CT_NOT_MET
            && ct_limit_restart(&limit, API_STATE(self), self, "the addition of increment()") < 0) {
            status = CT_FAILED;
        }
        if (status == CT_FAILED) {
            Py_CLEAR(result);
        }
    }
    Py_XDECREF(delta);
    Py_XDECREF(start);
    return result;
}

static PyObject *
api_compute_if_absent(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    ct_state *st = API_STATE(self);
    if (!ct_check_args("compute_if_absent", nargs, 2, 2)) {
        return NULL;
    }
    return PyObject_CallFunctionObjArgs(st->compute_if_absent, st->flights, self, args[0], args[1],
                                        NULL);
}

/* -- filling ------------------------------------------------------------------------------------ */

static int
api_update_from_dict(PyObject *self, PyObject *mine)
{
    Py_ssize_t at = 0;
    PyObject *key, *value;
    int status = 0;
    while (status == 0 && PyDict_Next(mine, &at, &key, &value)) {
        status = api_set(self, key, value);
    }
    return status;
}

/* Pairs from mapping_api.pairs_of(): tuples of two. */
static int
api_update_from_pairs(PyObject *self, PyObject *other)
{
    PyObject *pairs = PyObject_CallOneArg(API_STATE(self)->pairs_of, other), *pair;
    PyObject *iterator = pairs == NULL ? NULL : PyObject_GetIter(pairs);
    int status = iterator == NULL ? -1 : 0;
    while (status == 0 && (pair = PyIter_Next(iterator)) != NULL) {
        if (PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2) {
            status = api_set(self, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1));
        }
        Py_DECREF(pair);
    }
    Py_XDECREF(iterator);
    Py_XDECREF(pairs);
    return PyErr_Occurred() ? -1 : status;
}

static int
api_update_from(PyObject *self, PyObject *other)
{
    if (ct_is_mapping(other)) {
        int status = API_FILL(self, other);
        if (status != CT_NOT_MET) {
            return status == CT_DONE ? 0 : -1;
        }
        if (PyDict_CheckExact(other)) {
            PyObject *mine = PyDict_Copy(other); /* one moment of it, which no thread changes */
            status = mine == NULL ? -1 : api_update_from_dict(self, mine);
            Py_XDECREF(mine);
            return status;
        }
    }
    return api_update_from_pairs(self, other);
}

static int
api_fill_from(PyObject *self, PyObject *other, PyObject *kwargs)
{
    if (ct_check_names(kwargs) < 0 || (other != NULL && api_update_from(self, other) < 0)) {
        return -1;
    }
    return kwargs == NULL ? 0 : api_update_from_dict(self, kwargs);
}

static PyObject *
api_update(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t given = PyTuple_GET_SIZE(args);
    if (!ct_check_args("update", given, 0, 1)
        || api_fill_from(self, given ? PyTuple_GET_ITEM(args, 0) : NULL, kwargs) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
api_copy_of(PyObject *self, PyObject *result)
{
    PyObject *frozen = result == NULL ? NULL : API_ONE_MOMENT(self);
    if (frozen == NULL || api_update_from(result, frozen) < 0) {
        Py_CLEAR(result);
    }
    Py_XDECREF(frozen);
    return result;
}

static PyObject *
api_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return api_copy_of(self, API_NEW_LIKE(self));
}

static PyObject *
api_or(PyObject *a, PyObject *b)
{
    PyObject *module = PyType_GetModuleByDef(Py_TYPE(a), &ct_module_def);
    PyErr_Clear();
    if (module == NULL) {
        module = PyType_GetModuleByDef(Py_TYPE(b), &ct_module_def);
    }
    ct_state *st = module == NULL ? NULL : ct_state_of_module(module);
    int mine = st == NULL ? -1 : PyObject_TypeCheck(a, API_TYPE(st));
    int fits = mine < 0 ? -1 : PyObject_IsInstance(mine ? b : a, st->mapping_abc);
    if (fits <= 0) {
        return fits < 0 ? NULL : Py_NewRef(Py_NotImplemented);
    }
    if (mine) {
        PyObject *result = api_copy(a, NULL);
        if (result != NULL && api_update_from(result, b) < 0) {
            Py_CLEAR(result);
        }
        return result;
    }
    PyObject *result = API_NEW_LIKE(b);
    if (result != NULL && api_update_from(result, a) < 0) {
        Py_CLEAR(result);
    }
    return api_copy_of(b, result);
}

static PyObject *
api_inplace_or(PyObject *self, PyObject *other)
{
    return api_update_from(self, other) < 0 ? NULL : Py_NewRef(self);
}

static PyObject *
api_fromkeys(PyObject *cls, PyObject *const *args, Py_ssize_t nargs)
{
    return ct_check_args("fromkeys", nargs, 1, 2) ? ct_fill_from_keys(API_NEW_FOR(cls), args, nargs)
                                                  : NULL;
}

/* -- whole table: one moment -------------------------------------------------------------------- */

static PyObject *
api_richcompare(PyObject *self, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || !ct_is_mapping(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    int equal = 1;
    if (self != other) {
        PyObject *frozen = API_ONE_MOMENT(self);
        equal = frozen == NULL ? -1 : ct_frozen_equal(CT_FROZEN_DICT(frozen), other);
        Py_XDECREF(frozen);
    }
    return equal < 0 ? NULL : PyBool_FromLong(equal == (op == Py_EQ));
}

static PyObject *
api_repr(PyObject *self)
{
    PyObject *frozen = API_ONE_MOMENT(self);
    PyObject *result = frozen == NULL ? NULL : ct_repr_of(self, frozen);
    Py_XDECREF(frozen);
    return result;
}

/* __reduce__: `function(*arguments)` makes an empty table like this one; steals both. */
static PyObject *
api_reduce_with(PyObject *self, PyObject *function, PyObject *arguments)
{
    PyObject *frozen = API_ONE_MOMENT(self);
    PyObject *items = frozen == NULL ? NULL : ct_iter_new(API_STATE(self), frozen, CT_ITER_ITEMS, 0);
    Py_XDECREF(frozen);
    if (items == NULL) {
        Py_XDECREF(function);
        Py_XDECREF(arguments);
        return NULL;
    }
    return ct_recipe(self, function, arguments, items);
}

/* copy.copy keeps a subclass and its attributes, copy() does not; as for dict. */
static PyObject *
api_dunder_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_state *st = API_STATE(self);
    return Py_IS_TYPE(self, API_TYPE(st)) ? api_copy(self, NULL) : ct_copied(st, self);
}

/* dict(other), with the errors of dict.update and without MISSING; for update_many. */
static PyObject *
api_changes(PyObject *self, PyObject *other)
{
    PyObject *changes, *key, *value;
    Py_ssize_t at = 0;
    if (PyDict_CheckExact(other)) {
        changes = PyDict_Copy(other);
    }
    else {
        PyObject *pairs = PyObject_CallOneArg(API_STATE(self)->pairs_of, other);
        changes = pairs == NULL ? NULL : PyDict_New();
        if (changes != NULL && PyDict_MergeFromSeq2(changes, pairs, 1) < 0) {
            Py_CLEAR(changes);
        }
        Py_XDECREF(pairs);
    }
    while (changes != NULL && PyDict_Next(changes, &at, &key, &value)) {
        if (api_check_value(self, key, value) < 0) {
            Py_CLEAR(changes);
        }
    }
    return changes;
}

#define API_METHODS                                                                                \
    {"get", API_FASTCALL(api_get), METH_FASTCALL,                                                  \
     "get($self, key, default=None, /)\n--\n\nThe value of key, or default. Lock-free."},          \
    {"__getitem__", api_getitem, METH_O | METH_COEXIST, "The value of key. Lock-free."},           \
    {"pop", API_FASTCALL(api_pop), METH_FASTCALL,                                                  \
     "pop($self, key, default=<unrepresentable>, /)\n--\n\n"                                       \
     "Remove key and return its value; default, or KeyError, when absent. Atomic."},               \
    {"setdefault", API_FASTCALL(api_setdefault), METH_FASTCALL,                                    \
     "setdefault($self, key, default=None, /)\n--\n\n"                                             \
     "The value of key, stored as default first when absent. Atomic."},                            \
    {"update", API_FASTCALL(api_update), METH_VARARGS | METH_KEYWORDS,                             \
     "update($self, other=(), /, **kwargs)\n--\n\n"                                                \
     "Store every pair of a mapping or iterable, then the keyword arguments.\n\n"                  \
     "Each key is stored atomically; update_many is atomic as a whole."},                          \
    {"keys", ct_view_keys, METH_NOARGS, "A set-like view of the keys."},                           \
    {"values", ct_view_values, METH_NOARGS, "A view of the values."},                              \
    {"items", ct_view_items, METH_NOARGS, "A set-like view of the (key, value) pairs."},           \
    {"copy", api_copy, METH_NOARGS, "A new table with the contents of one moment. Atomic."},       \
    {"__copy__", api_dunder_copy, METH_NOARGS, NULL}, CT_GETSTATE_METHOD,                          \
    {"fromkeys", API_FASTCALL(api_fromkeys), METH_FASTCALL | METH_CLASS,                           \
     "fromkeys($type, keys, value=None, /)\n--\n\nA new table with value under each of keys."},    \
    {"compare_and_set", API_FASTCALL(api_compare_and_set), METH_FASTCALL,                          \
     "compare_and_set($self, key, expected, new, /)\n--\n\n"                                       \
     "Store new if the present value is expected (identical or equal); whether it was.\n\n"        \
     "expected may be MISSING: store only if key is absent. Thread-safety: atomic."},              \
    {"compare_and_delete", API_FASTCALL(api_compare_and_delete), METH_FASTCALL,                    \
     "compare_and_delete($self, key, expected, /)\n--\n\n"                                         \
     "Remove key if its value is expected (identical or equal); whether it was.\n\n"               \
     "With expected MISSING: true when key is absent. Thread-safety: atomic."},                    \
    {"swap", API_FASTCALL(api_swap), METH_FASTCALL,                                                \
     "swap($self, key, new, /)\n--\n\nStore new; returns the old value, or MISSING. "              \
     "Thread-safety: atomic."},                                                                    \
    {"compute", API_FASTCALL(api_compute), METH_FASTCALL,                                          \
     "compute($self, key, fn, /)\n--\n\nReplace the value by fn(old); returns the new value.\n\n"  \
     "old is MISSING when the key is absent; returning MISSING deletes the key. fn runs with no\n" \
     "lock held, and runs again when another thread changed the value meanwhile. What it raises\n" \
     "leaves the table as it was. TableMutationError: fn itself changes the value every time it\n"  \
     "runs. Thread-safety: atomic."},                                                              \
    {"compute_if_absent", API_FASTCALL(api_compute_if_absent), METH_FASTCALL,                      \
     "compute_if_absent($self, key, factory, /)\n--\n\n"                                           \
     "The value of key; when absent, stores and returns factory().\n\n"                            \
     "One factory runs at a time for a key, with no lock held; other callers wait for it. When\n"  \
     "it raises, its caller gets the error and the next caller tries. Returning MISSING stores\n"  \
     "nothing. Raises RecursiveComputeError when the factory asks for its own key, and\n"          \
     "DeadlockError when factories of different threads wait for each other.\n"                    \
     "Thread-safety: atomic."},                                                                    \
    {"increment", API_FASTCALL(api_increment), METH_FASTCALL | METH_KEYWORDS,                      \
     "increment($self, key, delta=1, default=0)\n--\n\n"                                           \
     "Add delta to the value (to default when absent); returns the sum.\n\n"                       \
     "Thread-safety: atomic; a user-defined __add__ runs unlocked and may run again."},            \
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL}
