/* `__hash__` and `__eq__` written in Python, called directly.
 *
 * PyObject_Hash and PyObject_RichCompare find the method of a class anew at each call, through the
 * slot, the interpreter's type cache and its sequence lock.  In a lookup with such keys that is a good
 * part of what is not user code.  Each thread remembers, for the last few classes that it met, which
 * functions they are: (class, interpreter, version tag) -> functions, in its record, so that nobody
 * else writes those cache lines.  Only without the GIL, where a lookup has more to do than a dict's.
 *
 * Never stale.  The interpreter zeroes a class's version tag before its attributes, bases or those of
 * its bases change, and gives a new one, used by no other class of that interpreter, when the class is
 * next looked at.  Filling reads the tag (acquire), then the dicts of the classes in the resolution
 * order, then the tag again: a dict that shows a later change was stored to after the tag was zeroed,
 * which the second read then sees.  A call compares the tag once more; a class changed after that is
 * changed during the call, as it might be in the interpreter's own slot.
 *
 * Alive.  The record borrows: the class, which is only compared by address until an object of it is at
 * hand; and the functions, which the dict of a class keeps as long as the tag is the same.  Another
 * thread may replace one between our look at the tag and the call.  But functions here count references
 * deferred (they are asked to, though those of classes do already), so only the collector frees them,
 * for which it stops every thread; and a thread stops nowhere between that look and the frame's own
 * reference.  The interpreter's stack holds functions the same way.  So neither thread exit nor fork has
 * anything to do: whoever reuses a record finds it right.
 */
#include "special.h"

#if CT_SPECIALS

static unsigned int
type_version(PyTypeObject *type)
{
    return ct_foreign_load_acquire(&type->tp_version_tag);
}

CT_INLINE ct_special *
special_place(ct_record *self, PyTypeObject *type)
{
    uint64_t mixed = (uint64_t)(uintptr_t)type * UINT64_C(0x9E3779B97F4A7C15); /* as ct_tag_of */
    return &self->specials[mixed >> (64 - CT_SPECIALS_LOG2)];
}

/* What the class has under `name`, if it is a Python function; borrowed, and NULL without an error. */
static PyObject *
python_function(PyObject *order, PyObject *name)
{
    PyObject *found = NULL;
    for (Py_ssize_t i = 0; found == NULL && i < PyTuple_GET_SIZE(order); i++) {
        PyObject *dict = PyType_GetDict((PyTypeObject *)PyTuple_GET_ITEM(order, i));
        if (dict == NULL || PyDict_GetItemRef(dict, name, &found) < 0) {
            PyErr_Clear();
            Py_XDECREF(dict);
            return NULL;
        }
        Py_DECREF(dict);
    }
    if (found == NULL) {
        return NULL;
    }
    int python = PyFunction_Check(found);
    if (python) {
        PyUnstable_Object_EnableDeferredRefcount(found);
    }
    Py_DECREF(found); /* the class's dict has it, or the tag has changed */
    return python ? found : NULL;
}

/* Functions that are not Python's are remembered too, as NULL; a class that just changes is not. */
CT_NOINLINE static void
special_fill(ct_state *st, PyTypeObject *type)
{
    ct_special fresh = {.type = type, .interpreter = st->number, .version = type_version(type)};
    PyObject *order = type->tp_mro; /* replaced only while the world is stopped */
    if (fresh.version == 0 || order == NULL || st->str_eq == NULL || st->str_hash == NULL) {
        return; /* no tag until the interpreter looks a method up itself; no names at its end */
    }
    Py_INCREF(order);
    fresh.hash = python_function(order, st->str_hash);
    fresh.equal = python_function(order, st->str_eq);
    Py_DECREF(order);
    if (type_version(type) == fresh.version) {
        *special_place(ct_self(), type) = fresh;
    }
}

CT_INLINE int
special_fits(const ct_special *special, ct_state *st, PyTypeObject *type)
{
    return special->type == type && special->interpreter == st->number
           && special->version == type_version(type);
}

CT_NOINLINE static const ct_special *
special_filled(ct_state *st, PyTypeObject *type)
{
    static const ct_special nothing;
    if (ct_self() == NULL) {
        return &nothing;
    }
    special_fill(st, type);
    const ct_special *special = special_place(ct_self(), type);
    return special_fits(special, st, type) ? special : &nothing;
}

CT_INLINE const ct_special *
special_of(ct_state *st, PyTypeObject *type)
{
    ct_record *self = ct_tls_record;
    if (CT_LIKELY(self != NULL)) {
        const ct_special *special = special_place(self, type);
        if (CT_LIKELY(special_fits(special, st, type))) {
            return special;
        }
    }
    return special_filled(st, type);
}

CT_INLINE PyObject *
call_function(PyObject *function, PyObject *const *arguments, size_t count)
{
    return ((PyFunctionObject *)function)->vectorcall(function, arguments, count, NULL);
}

/* As the interpreter's slot does: any int will do, and -1 means an error. */
static Py_hash_t
hash_from(PyObject *result)
{
    if (CT_UNLIKELY(result == NULL)) {
        return -1;
    }
    if (CT_UNLIKELY(!PyLong_Check(result))) {
        Py_DECREF(result);
        PyErr_SetString(PyExc_TypeError, "__hash__ method should return an integer");
        return -1;
    }
    Py_hash_t hash = PyLong_AsSsize_t(result);
    if (CT_UNLIKELY(hash == -1) && PyErr_Occurred()) {
        PyErr_Clear(); /* too large: mixed as int.__hash__ does */
        hash = PyLong_Type.tp_hash(result);
    }
    Py_DECREF(result);
    return hash == -1 ? -2 : hash;
}

Py_hash_t
ct_hash_class(ct_state *st, PyObject *key)
{
    PyObject *function = special_of(st, Py_TYPE(key))->hash;
    if (CT_UNLIKELY(function == NULL)) {
        return PyObject_Hash(key);
    }
    return hash_from(call_function(function, &key, 1));
}

/* `__eq__` of a said neither True nor False. */
CT_NOINLINE static int
equal_from(PyObject *a, PyObject *b, PyObject *result)
{
    if (result == Py_NotImplemented) {
        Py_DECREF(result);
        result = Py_TYPE(b)->tp_richcompare(b, a, Py_EQ);
        if (result == Py_NotImplemented) {
            Py_DECREF(result);
            return 0; /* that leaves identity, and a is not b */
        }
    }
    if (result == NULL) {
        return -1;
    }
    int equal = PyObject_IsTrue(result);
    Py_DECREF(result);
    return equal;
}

int
ct_ask_equal(ct_state *st, PyObject *a, PyObject *b)
{
    PyTypeObject *type = Py_TYPE(a);
    if (a == b) {
        return 1;
    }
    if (type == Py_TYPE(b) && PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        PyObject *function = special_of(st, type)->equal;
        if (CT_LIKELY(function != NULL)) {
            PyObject *arguments[2] = {a, b};
            PyObject *result = call_function(function, arguments, 2);
            if (CT_LIKELY(result == Py_True || result == Py_False)) {
                return result == Py_True; /* immortal */
            }
            return equal_from(a, b, result);
        }
    }
    return PyObject_RichCompareBool(a, b, Py_EQ);
}

#else

Py_hash_t
ct_hash_class(ct_state *Py_UNUSED(st), PyObject *key)
{
    return PyObject_Hash(key);
}

int
ct_ask_equal(ct_state *Py_UNUSED(st), PyObject *a, PyObject *b)
{
    return PyObject_RichCompareBool(a, b, Py_EQ);
}

#endif
