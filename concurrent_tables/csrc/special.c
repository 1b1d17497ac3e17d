/* `__hash__` and `__eq__` written in Python, called directly.
 *
 * PyObject_Hash and PyObject_RichCompare find the method of a class anew at each call, through the
 * slot, the interpreter's type cache and its sequence lock.  In a lookup with such keys that is a good
 * part of what is not user code.  Each thread remembers, for the last few classes that it met, which
 * functions they are, in its record, so that nobody else writes those cache lines.  Only without the
 * GIL, where a lookup has more to do than a dict's.
 *
 * Never stale.  What a thread remembers holds as long as `class_changes` has the number that it had
 * then.  A type watcher raises it before the attributes or bases of a class that we watch, or those of
 * its bases, change; a weak reference raises it before the memory of such a class is used again.  Filling
 * reads the number, watches the class (which waits for a change under way, and makes sure that the
 * next is told), reads the dicts of the classes in the resolution order, then the number again: a dict
 * that shows a later change was stored to after the number rose, which the second read then sees.
 * A class that changes after a call has looked at the number changes during the call, as it
 * might in the interpreter's own slot.
 *
 * Alive.  The record borrows: the class, which is only compared by address until an object of it is at
 * hand; and the functions, which the dict of a class keeps as long as the number is the same.  Another
 * thread may replace one between our look at the number and the call.  But functions here count references
 * deferred (they are asked to, though those of classes do already), so only the collector frees them,
 * for which it stops every thread; and a thread stops nowhere between that look and the frame's own
 * reference.  The interpreter's stack holds functions the same way.  So neither thread exit nor fork has
 * anything to do: whoever reuses a record finds it right.
 */
#include "special.h"

#if CT_SPECIALS

static ct_u64 class_changes; /* of watched classes, in every interpreter of the process */

/* -- being told of changes ---------------------------------------------------------------------- */

static int
class_changed(PyTypeObject *Py_UNUSED(type))
{
    ct_fetch_add_acq_rel(&class_changes, 1);
    return 0;
}

/* `self` is (those watched, the number of this one). */
static PyObject *
class_gone(PyObject *self, PyObject *Py_UNUSED(reference))
{
    ct_fetch_add_acq_rel(&class_changes, 1);
    if (PyDict_Pop(PyTuple_GET_ITEM(self, 0), PyTuple_GET_ITEM(self, 1), NULL) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef class_gone_def = {"class_gone", class_gone, METH_O, NULL};

/* Without a watcher left for us every class is asked through its slots. */
int
ct_special_init(ct_state *st)
{
    int watcher = PyType_AddWatcher(class_changed);
    if (watcher < 0) {
        PyErr_Clear();
        return 0;
    }
    st->class_watcher = watcher + 1;
    st->key_classes = PyDict_New();
    return st->key_classes == NULL ? -1 : 0;
}

void
ct_special_clear(ct_state *st)
{
    if (st->class_watcher != 0) {
        if (PyType_ClearWatcher(st->class_watcher - 1) < 0) {
            PyErr_Clear();
        }
        st->class_watcher = 0;
        ct_fetch_add_acq_rel(&class_changes, 1); /* forget */
    }
}

/* Hear of the end of a class: 1, or -1 with an exception. */
static int
await_end(PyObject *classes, PyTypeObject *type)
{
    PyObject *number = PyLong_FromVoidPtr(type);
    int found = number == NULL ? -1 : PyDict_Contains(classes, number);
    if (found == 0) {
        PyObject *self = PyTuple_Pack(2, classes, number);
        PyObject *callback = self == NULL ? NULL : PyCFunction_New(&class_gone_def, self);
        PyObject *reference =
            callback == NULL ? NULL : PyWeakref_NewRef((PyObject *)type, callback);
        found = reference == NULL ? -1 : PyDict_SetDefaultRef(classes, number, reference, NULL);
        found = found < 0 ? -1 : 1;
        Py_XDECREF(self);
        Py_XDECREF(callback);
        Py_XDECREF(reference);
    }
    Py_XDECREF(number);
    return found;
}

/* 1 when the next change of the class and its end will be told, else 0, without an exception. */
static int
watch_class(ct_state *st, PyTypeObject *type)
{
    PyObject *classes = st->key_classes;
    if (st->class_watcher == 0 || classes == NULL) {
        return 0;
    }
    Py_INCREF(classes);
    int told = PyType_Watch(st->class_watcher - 1, (PyObject *)type) == 0
               && PyUnstable_Type_AssignVersionTag(type) /* else it changes too often to be told */
               && await_end(classes, type) > 0;
    Py_DECREF(classes);
    if (!told) {
        PyErr_Clear();
    }
    return told;
}

/* -- what a thread remembers -------------------------------------------------------------------- */

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
    Py_DECREF(found); /* the class's dict has it, or the class has changed */
    return python ? found : NULL;
}

/* How a function is called.  What PyFunction_SetVectorcall may put in later does the same. */
static void
take_call(PyObject **function, vectorcallfunc *call)
{
    *call = *function == NULL ? NULL : PyVectorcall_Function(*function);
    if (*call == NULL) {
        *function = NULL;
    }
}

/* Not a class that has them in Python, or that just changes: remembered too, as two NULLs. */
static void
special_fill(ct_state *st, PyTypeObject *type, ct_special *place)
{
    ct_special fresh = {.type = type, .interpreter = st->number, .delay = place->delay};
    fresh.changes = ct_load_acquire(&class_changes);
    if (watch_class(st, type) && type->tp_mro != NULL) {
        /* Replaced only while the world is stopped, and this thread stops nowhere until it has a reference. */
        PyObject *order = Py_NewRef(type->tp_mro);
        fresh.hash = python_function(order, st->str_hash);
        fresh.equal = python_function(order, st->str_eq);
        Py_DECREF(order);
    }
    /* Where classes change all the time, or share this place, remembering costs more than it brings. */
    fresh.delay = fresh.delay < CT_SPECIALS_PATIENCE ? 2 * fresh.delay + 1 : fresh.delay;
    fresh.wait = fresh.delay;
    if (ct_load_acquire(&class_changes) != fresh.changes) {
        fresh.hash = fresh.equal = NULL;
    }
    /* The class has not changed, so the functions are there now. */
    take_call(&fresh.hash, &fresh.call_hash);
    take_call(&fresh.equal, &fresh.call_equal);
    *place = fresh;
}

CT_INLINE int
special_fits(const ct_special *special, ct_state *st, PyTypeObject *type)
{
    return special->type == type && special->interpreter == st->number
           && special->changes == ct_load_acquire(&class_changes);
}

CT_NOINLINE static const ct_special *
special_filled(ct_state *st, PyTypeObject *type)
{
    static const ct_special nothing;
    ct_record *self = ct_self();
    if (self == NULL) {
        return &nothing;
    }
    ct_special *place = special_place(self, type);
    if (place->wait > 0) {
        place->wait--;
        return &nothing;
    }
    special_fill(st, type, place);
    return special_fits(place, st, type) ? place : &nothing;
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

/* -- asking ------------------------------------------------------------------------------------- */

/* As the interpreter's slot does: any int will do, and -1 means an error. */
static Py_hash_t
hash_from(PyObject *result)
{
    if (CT_UNLIKELY(result == NULL)) {
        return -1;
    }
    if (CT_LIKELY(PyLong_CheckExact(result) && ct_int_is_compact(result))) {
        Py_hash_t value = ct_int_compact_value(result);
        Py_DECREF(result);
        return CT_UNLIKELY(value == -1) ? -2 : value;
    }
    if (!PyLong_Check(result)) {
        Py_DECREF(result);
        PyErr_SetString(PyExc_TypeError, "__hash__ method should return an integer");
        return -1;
    }
    Py_hash_t hash = PyLong_AsSsize_t(result);
    if (hash == -1 && PyErr_Occurred()) {
        PyErr_Clear(); /* too large: mixed as int.__hash__ does */
        hash = PyLong_Type.tp_hash(result);
    }
    Py_DECREF(result);
    return hash == -1 ? -2 : hash;
}

CT_ALIGNED Py_hash_t
ct_hash_class(ct_state *st, PyObject *key)
{
    const ct_special *special = special_of(st, Py_TYPE(key));
    PyObject *function = special->hash;
    if (CT_UNLIKELY(function == NULL)) {
        return PyObject_Hash(key);
    }
    return hash_from(special->call_hash(function, &key, 1, NULL));
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

CT_ALIGNED int
ct_ask_equal(ct_state *st, PyObject *a, PyObject *b)
{
    PyTypeObject *type = Py_TYPE(a);
    if (a == b) {
        return 1;
    }
    if (type == Py_TYPE(b) && PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        const ct_special *special = special_of(st, type);
        PyObject *function = special->equal;
        if (CT_LIKELY(function != NULL)) {
            PyObject *arguments[2] = {a, b};
            PyObject *result = special->call_equal(function, arguments, 2, NULL);
            if (CT_LIKELY(result == Py_True || result == Py_False)) {
                return result == Py_True; /* immortal */
            }
            return equal_from(a, b, result);
        }
    }
    return PyObject_RichCompareBool(a, b, Py_EQ);
}

#else

int
ct_special_init(ct_state *Py_UNUSED(st))
{
    return 0;
}

void
ct_special_clear(ct_state *Py_UNUSED(st))
{
}

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
