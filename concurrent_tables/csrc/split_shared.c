/* SharedKeys: the names that records of one shape share, and the numbers that records know them by.
 *
 * The names are a unicode block of 64 slots that is never replaced: it has room for 42 entries, and
 * takes 30.  An entry is complete before its index slot is published (I3), so readers need nothing.
 *
 * A compact record has room for a number of 20 bits, not for a pointer.  Numbers are given out for the
 * whole process, since no interpreter sees another's records.
 */
#include "split.h"

#if PY_VERSION_HEX >= 0x030D0000
#  define numbers_lock() PyMutex_Lock(&numbers_mutex)
#  define numbers_unlock() PyMutex_Unlock(&numbers_mutex)
static PyMutex numbers_mutex;
#else
/* Interpreters with a GIL of their own (3.12) may meet here, each for a few stores. */
static ct_int numbers_busy;
static void
numbers_lock(void)
{
    int idle = 0;
    while (!ct_cas_seq_cst(&numbers_busy, &idle, 1)) {
        idle = 0;
    }
}
static void
numbers_unlock(void)
{
    ct_store_release(&numbers_busy, 0);
}
#endif

CT_HIDDEN _Atomic(_Atomic(ct_shared *) *) ct_shared_pages[1024];
static unsigned int next_number = 1, free_numbers; /* a chain through the free slots, odd = number */

/* 0 when there is none left, or no memory for another page. */
static unsigned int
take_number(ct_shared *shared)
{
    unsigned int id = 0;
    numbers_lock();
    if (free_numbers != 0) {
        id = free_numbers;
        _Atomic(ct_shared *) *slot = &ct_load_relaxed(&ct_shared_pages[id >> 10])[id & 1023];
        free_numbers = (unsigned int)((uintptr_t)ct_load_relaxed(slot) >> 1);
        ct_store_release(slot, shared);
    }
    else if (next_number < 1024 * 1024) {
        _Atomic(ct_shared *) *page = ct_load_relaxed(&ct_shared_pages[next_number >> 10]);
        if (page == NULL) {
            page = PyMem_RawCalloc(1024, sizeof(*page));
            ct_store_release(&ct_shared_pages[next_number >> 10], page);
        }
        if (page != NULL) {
            id = next_number++;
            ct_store_release(&page[id & 1023], shared);
        }
    }
    numbers_unlock();
    return id;
}

static void
give_number_back(unsigned int id)
{
    if (id == 0) {
        return;
    }
    numbers_lock();
    _Atomic(ct_shared *) *slot = &ct_load_relaxed(&ct_shared_pages[id >> 10])[id & 1023];
    ct_store_relaxed(slot, (ct_shared *)(((uintptr_t)free_numbers << 1) | 1));
    free_numbers = id;
    numbers_unlock();
}

#if CT_FT
void
ct_shared_after_fork(void)
{
    memset(&numbers_mutex, 0, sizeof(numbers_mutex));
    for (unsigned int id = 1; id < next_number; id++) {
        ct_shared *shared = ct_load_relaxed(&ct_load_relaxed(&ct_shared_pages[id >> 10])[id & 1023]);
        if (shared != NULL && ((uintptr_t)shared & 1) == 0) { /* else a free number */
            memset(&shared->mutex, 0, sizeof(shared->mutex));
        }
    }
}
#endif

/* -- names -------------------------------------------------------------------------------------- */

static Py_ssize_t
append_name(ct_shared *shared, PyObject *name, Py_hash_t hash)
{
    ct_keys *keys = shared->keys;
    Py_ssize_t ix;
#if CT_FT
    CT_POINT_LOCK(&shared->mutex);
    PyMutex_Lock(&shared->mutex);
#endif
    ix = ct_probe_str8(keys, name, hash, 0, NULL);
    if (ix == CT_MISS && ct_shared_count(shared) < CT_NAMES_MAX) {
        ix = ct_shared_count(shared);
        Py_INCREF(name);
        Py_INCREF(name);
        ct_keys_append(keys, name, hash, name);
    }
#if CT_FT
    PyMutex_Unlock(&shared->mutex);
    CT_POINT_UNLOCK();
#endif
    return ix;
}

Py_ssize_t
ct_shared_index(ct_shared *shared, PyObject *name, Py_hash_t hash, int append)
{
    Py_ssize_t ix = ct_probe_str8(shared->keys, name, hash, 0, NULL);
    return ix != CT_MISS || !append ? ix : append_name(shared, name, hash);
}

PyObject *
ct_shared_names(ct_shared *shared)
{
    Py_ssize_t count = ct_shared_count(shared);
    PyObject *names = PyTuple_New(count);
    for (Py_ssize_t i = 0; names != NULL && i < count; i++) {
        PyTuple_SET_ITEM(names, i, Py_NewRef(ct_shared_name(shared, i)));
    }
    return names;
}

static PyObject *
shared_names(PyObject *self, void *Py_UNUSED(closure))
{
    return ct_shared_names((ct_shared *)self);
}

static Py_ssize_t
shared_length(PyObject *self)
{
    return ct_shared_count((ct_shared *)self);
}

static int
shared_contains(PyObject *self, PyObject *name)
{
    ct_shared *shared = (ct_shared *)self;
    if (!PyUnicode_Check(name)) {
        return 0;
    }
    Py_hash_t hash = ct_hash(name);
    if (hash == -1) {
        return -1;
    }
    if (PyUnicode_CheckExact(name)) {
        return ct_probe_str8(shared->keys, name, hash, 0, NULL) != CT_MISS;
    }
    ct_probe_state at;
    Py_ssize_t ix;
    ct_probe_start(shared->keys, hash, &at);
    while ((ix = ct_probe_resume(shared->keys, name, hash, &at)) == CT_COMPARE) {
        int equal = PyObject_RichCompareBool(ct_shared_name(shared, at.ix), name, Py_EQ);
        if (equal != 0) {
            return equal;
        }
    }
    return ix != CT_MISS;
}

static PyObject *
shared_iter(PyObject *self)
{
    PyObject *names = ct_shared_names((ct_shared *)self);
    PyObject *iterator = names == NULL ? NULL : PyObject_GetIter(names);
    Py_XDECREF(names);
    return iterator;
}

static PyObject *
shared_repr(PyObject *self)
{
    PyObject *list = PySequence_List(self);
    PyObject *result = list == NULL ? NULL : PyUnicode_FromFormat("SharedKeys(%R)", list);
    Py_XDECREF(list);
    return result;
}

static PyObject *
shared_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *names = ct_shared_names((ct_shared *)self);
    return names == NULL ? NULL : Py_BuildValue("O(N)", Py_TYPE(self), names);
}

static PyObject *
shared_sizeof(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSize_t((size_t)Py_TYPE(self)->tp_basicsize
                             + ct_keys_nbytes(((ct_shared *)self)->keys));
}

/* -- life --------------------------------------------------------------------------------------- */

static int
add_name(ct_shared *shared, PyObject *name)
{
    if (!PyUnicode_CheckExact(name)) {
        PyObject *type = ct_getattr((PyObject *)Py_TYPE(name), "__name__");
        if (type != NULL) {
            PyErr_Format(PyExc_TypeError, "SharedKeys: names must be str, not %U", type);
            Py_DECREF(type);
        }
        return -1;
    }
    Py_hash_t hash = ct_hash(name);
    if (hash == -1) {
        return -1;
    }
    if (ct_shared_index(shared, name, hash, 1) == CT_MISS) {
        PyErr_Format(PyExc_ValueError,
                     "SharedKeys: no room for %R: at most %d names are shared; keep further keys in "
                     "the records",
                     name, CT_NAMES_MAX);
        return -1;
    }
    return 0;
}

static int
add_names(ct_shared *shared, PyObject *names)
{
    PyObject *iterator = PyObject_GetIter(names), *name;
    int status = iterator == NULL ? -1 : 0;
    while (status == 0 && (name = PyIter_Next(iterator)) != NULL) {
        status = add_name(shared, name);
        Py_DECREF(name);
    }
    Py_XDECREF(iterator);
    return PyErr_Occurred() ? -1 : status;
}

static PyObject *
shared_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    ct_state *st = ct_state_of_type(type);
    if (st == NULL || !ct_check_args("SharedKeys", PyTuple_GET_SIZE(args), 0, 1)) {
        return NULL;
    }
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0) {
        PyErr_SetString(PyExc_TypeError, "SharedKeys() takes no keyword arguments");
        return NULL;
    }
    ct_shared *shared = (ct_shared *)type->tp_alloc(type, 0);
    if (shared == NULL) {
        return NULL;
    }
    shared->st = st;
    shared->keys = ct_keys_new(CT_NAMES_LOG2, CT_UNICODE);
    if (shared->keys == NULL) {
        Py_DECREF(shared);
        return PyErr_NoMemory();
    }
    shared->keys->owns = CT_OWNS_ALL;
    shared->id = take_number(shared);
    if (PyTuple_GET_SIZE(args) && add_names(shared, PyTuple_GET_ITEM(args, 0)) < 0) {
        Py_CLEAR(shared);
    }
    return (PyObject *)shared;
}

static void
shared_dealloc(PyObject *self)
{
    ct_shared *shared = (ct_shared *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (shared->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    give_number_back(shared->id);
    if (shared->keys != NULL) {
        ct_keys_release(shared->keys);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static PyGetSetDef shared_getset[] = {
    {"names", shared_names, NULL, "The shared names in the order in which they were appended.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef shared_methods[] = {
    {"__reduce__", shared_reduce, METH_NOARGS, NULL},
    {"__sizeof__", shared_sizeof, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef shared_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ct_shared, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(shared_doc,
"SharedKeys(names=(), /)\n--\n\n"
"The keys object that `SplitDict` records of one shape share.\n\n"
"Parameters: `names`, an iterable of `str` known from the start; repeated names count once.\n"
"Errors: TypeError for a name that is not a `str`, ValueError for more than 30.\n"
"Thread-safety: reads are lock-free; records append names atomically.\n\n"
">>> from concurrent_tables import SharedKeys, SplitDict\n"
">>> person = SharedKeys(['name', 'age'])\n"
">>> ann, bob = SplitDict(person, name='Ann', age=31), SplitDict(person, name='Bob')\n"
">>> ann['mail'] = 'ann@example.org'\n"
">>> person.names\n"
"('name', 'age', 'mail')\n");

static PyType_Slot shared_slots[] = {
    {Py_tp_doc, (void *)shared_doc},
    {Py_tp_new, shared_new},
    {Py_tp_dealloc, shared_dealloc},
    {Py_tp_methods, shared_methods},
    {Py_tp_getset, shared_getset},
    {Py_tp_members, shared_members},
    {Py_tp_repr, shared_repr},
    {Py_tp_iter, shared_iter},
    {Py_mp_length, shared_length},
    {Py_sq_contains, shared_contains},
    {0, NULL},
};

static PyType_Spec shared_spec = {
    .name = "concurrent_tables.SharedKeys",
    .basicsize = sizeof(ct_shared),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = shared_slots,
};

int
ct_shared_type_init(PyObject *module, ct_state *st)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &shared_spec, NULL);
    st->extra_types[CT_X_SHARED_KEYS] = (PyTypeObject *)type;
    return type == NULL ? -1 : PyModule_AddObjectRef(module, "SharedKeys", type);
}
