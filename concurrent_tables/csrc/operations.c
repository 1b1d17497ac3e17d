/* The operations that dict lacks, one key at a time: optimistic, atomic, linearizable.
 *
 * Read, run user code unlocked, commit only if the value is still the very object that was read. */
#include "dict.h"
#include "update.h"

int
ct_dict_compare_and(ct_table *t, PyObject *key, PyObject *expected, PyObject *new_value)
{
    Py_hash_t hash = ct_hash(key);
    if (hash == -1) {
        return -1;
    }
    if (expected == t->st->missing) {
        if (new_value == NULL) {
            int found = ct_has(t, key, hash);
            return found < 0 ? -1 : !found;
        }
        ct_change change = {.condition = CT_IF_ABSENT, .new_value = new_value};
        return ct_change_entry(t, key, hash, &change);
    }
    ct_limit limit = {0, 0};
    for (;;) {
        PyObject *present;
        ct_limit_start(&limit);
        int found = ct_get(t, key, hash, &present);
        if (found <= 0) {
            return found;
        }
        int equal = PyObject_RichCompareBool(present, expected, Py_EQ);
        if (equal > 0) {
            ct_change change = {CT_IF_SAME, present, new_value, 0, NULL};
            equal = ct_change_entry(t, key, hash, &change);
            if (equal == CT_NOT_MET) {
                Py_DECREF(present); /* another value by now: compare that one */
                if (ct_limit_restart(&limit, t->st, (PyObject *)t,
                                     "the comparison of the value with the expected one") < 0) {
                    return -1;
                }
                continue;
            }
        }
        Py_DECREF(present);
        return equal;
    }
}

static PyObject *
compare_and_set(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (!ct_check_args("compare_and_set", nargs, 3, 3)
        || ct_check_value(CT_TABLE(self), args[0], args[2]) < 0) {
        return NULL;
    }
    int done = ct_dict_compare_and(CT_TABLE(self), args[0], args[1], args[2]);
    return done < 0 ? NULL : PyBool_FromLong(done);
}

static PyObject *
compare_and_delete(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (!ct_check_args("compare_and_delete", nargs, 2, 2)) {
        return NULL;
    }
    int done = ct_dict_compare_and(CT_TABLE(self), args[0], args[1], NULL);
    return done < 0 ? NULL : PyBool_FromLong(done);
}

static PyObject *
swap(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    ct_table *t = CT_TABLE(self);
    if (!ct_check_args("swap", nargs, 2, 2) || ct_check_value(t, args[0], args[1]) < 0) {
        return NULL;
    }
    ct_change change = {.condition = CT_IF_ANY, .new_value = args[1], .want_old = 1};
    Py_hash_t hash = ct_hash(args[0]);
    if (hash == -1 || ct_change_entry(t, args[0], hash, &change) < 0) {
        return NULL;
    }
    return change.old_value != NULL ? change.old_value : Py_NewRef(t->st->missing);
}

/* Commit what was computed from `present` (NULL: absent).  CT_DONE, CT_NOT_MET, CT_FAILED. */
static int
commit_computed(ct_table *t, PyObject *key, Py_hash_t hash, PyObject *present, PyObject *new_value)
{
    ct_change change = {.condition = present == NULL ? CT_IF_ABSENT : CT_IF_SAME,
                        .same = present,
                        .new_value = new_value};
    return ct_change_entry(t, key, hash, &change);
}

static PyObject *
compute(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    ct_table *t = CT_TABLE(self);
    PyObject *missing = t->st->missing, *present, *result = NULL;
    ct_limit limit = {0, 0};
    if (!ct_check_args("compute", nargs, 2, 2)) {
        return NULL;
    }
    Py_hash_t hash = ct_hash(args[0]);
    for (int status = CT_NOT_MET; hash != -1 && status == CT_NOT_MET;) {
        ct_limit_start(&limit);
        if (ct_get(t, args[0], hash, &present) < 0) {
            Py_XDECREF(result); /* of a call that came to nothing */
            return NULL;
        }
        Py_XSETREF(result, PyObject_CallOneArg(args[1], present != NULL ? present : missing));
        status = CT_FAILED;
        if (result == missing) {
            status = present == NULL ? CT_DONE : commit_computed(t, args[0], hash, present, NULL);
        }
        else if (result != NULL) {
            status = commit_computed(t, args[0], hash, present, result);
        }
        Py_XDECREF(present);
        if (status == CT_NOT_MET
            && ct_limit_restart(&limit, t->st, self, "the function given to compute()") < 0) {
            status = CT_FAILED;
        }
        if (status == CT_FAILED) {
            Py_CLEAR(result);
        }
    }
    return result;
}

int
ct_increment_args(PyObject *const *args, Py_ssize_t nargs, PyObject *names, PyObject **given)
{
    static const char *const known[] = {"key", "delta", "default"};
    if (nargs > 3) {
        PyErr_Format(PyExc_TypeError, "increment() takes at most 3 arguments (%zd given)", nargs);
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        given[i] = args[i];
    }
    for (Py_ssize_t i = 0; names != NULL && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        int at = 0;
        while (at < 3 && PyUnicode_CompareWithASCIIString(name, known[at]) != 0) {
            at++;
        }
        if (at == 3 || given[at] != NULL) {
            PyErr_Format(PyExc_TypeError, "increment() got an unexpected argument %R", name);
            return -1;
        }
        given[at] = args[nargs + i];
    }
    if (given[0] == NULL) {
        PyErr_SetString(PyExc_TypeError, "increment() missing 1 required argument: 'key'");
        return -1;
    }
    return 0;
}

static PyObject *
increment(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    ct_table *t = CT_TABLE(self);
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
        if (ct_get(t, given[0], hash, &present) >= 0) {
            Py_XSETREF(result, PyNumber_Add(present != NULL ? present : start, delta));
            if (result != NULL && ct_check_value(t, given[0], result) == 0) {
                status = commit_computed(t, given[0], hash, present, result);
            }
        }
        Py_XDECREF(present);
        if (status == CT_NOT_MET
            && ct_limit_restart(&limit, t->st, self, "the addition of increment()") < 0) {
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
compute_if_absent(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    ct_state *st = CT_TABLE(self)->st;
    if (!ct_check_args("compute_if_absent", nargs, 2, 2)) {
        return NULL;
    }
    return PyObject_CallFunctionObjArgs(st->compute_if_absent, st->flights, self, args[0], args[1],
                                        NULL);
}

#define FASTCALL(f) (PyCFunction)(void (*)(void))(f)

PyMethodDef ct_operation_methods[10] = {
    {"compare_and_set", FASTCALL(compare_and_set), METH_FASTCALL,
     "compare_and_set($self, key, expected, new, /)\n--\n\n"
     "Store new if the present value is expected (identical or equal); whether it was.\n\n"
     "expected may be MISSING: store only if key is absent. Thread-safety: atomic.\n\n"
     ">>> from concurrent_tables import MISSING, ConcurrentDict\n"
     ">>> table = ConcurrentDict()\n"
     ">>> table.compare_and_set('a', MISSING, 1), table.compare_and_set('a', 2, 3)\n"
     "(True, False)\n"},
    {"compare_and_delete", FASTCALL(compare_and_delete), METH_FASTCALL,
     "compare_and_delete($self, key, expected, /)\n--\n\n"
     "Remove key if its value is expected (identical or equal); whether it was.\n\n"
     "With expected MISSING: true when key is absent. Thread-safety: atomic."},
    {"swap", FASTCALL(swap), METH_FASTCALL,
     "swap($self, key, new, /)\n--\n\nStore new; returns the old value, or MISSING. "
     "Thread-safety: atomic."},
    {"compute", FASTCALL(compute), METH_FASTCALL,
     "compute($self, key, fn, /)\n--\n\nReplace the value by fn(old); returns the new value.\n\n"
     "old is MISSING when the key is absent; returning MISSING deletes the key. fn runs with no\n"
     "lock held, and runs again when another thread changed the value meanwhile. What it raises\n"
     "leaves the table as it was. TableMutationError: fn itself changes the value every time it runs.\n"
     "Thread-safety: atomic."},
    {"compute_if_absent", FASTCALL(compute_if_absent), METH_FASTCALL,
     "compute_if_absent($self, key, factory, /)\n--\n\n"
     "The value of key; when absent, stores and returns factory().\n\n"
     "One factory runs at a time for a key, with no lock held; other callers wait for it. When it\n"
     "raises, its caller gets the error and the next caller tries. Returning MISSING stores\n"
     "nothing. Raises RecursiveComputeError when the factory asks for its own key, and\n"
     "DeadlockError when factories of different threads wait for each other.\n"
     "Thread-safety: atomic."},
    {"increment", FASTCALL(increment), METH_FASTCALL | METH_KEYWORDS,
     "increment($self, key, delta=1, default=0)\n--\n\n"
     "Add delta to the value (to default when absent); returns the sum.\n\n"
     "Thread-safety: atomic; a user-defined __add__ runs unlocked and may run again."},
    {"get_many", ct_get_many, METH_O,
     "get_many($self, keys, /)\n--\n\n"
     "A dict of those keys that are present, all values of one moment. Thread-safety: atomic."},
    {"update_many", ct_update_many, METH_O,
     "update_many($self, other, /)\n--\n\n"
     "Store every pair of a mapping or iterable of pairs in one atomic step.\n\n"
     "Readers see all of it or nothing. Cost: a copy of the table's arrays when there is more\n"
     "than one pair. Errors: those of dict.update; the table is then unchanged.\n"
     "Thread-safety: atomic."},
    {"pop_many", ct_pop_many, METH_O,
     "pop_many($self, keys, /)\n--\n\n"
     "Remove those keys that are present in one atomic step; returns them with their values.\n\n"
     "Cost and thread-safety as for update_many."},
    {"guard", FASTCALL(ct_guard_new), METH_FASTCALL,
     "guard($self, /, *keys)\n--\n\n"
     "A cached lookup of keys: see Guard. TypeError without keys or for unhashable ones."},
};
