/* `CachedCall`: the call of a cached function, as long as its result is there.
 *
 * A base of the class in cache/decorator.py, before its Python base, which does everything else. The key
 * of a call is (token, *args), as cache/keys.py makes it.  Calls with keywords, and of functions whose
 * keys are made otherwise, go to the Python base at once. */
#include "cache.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    ct_hit_path *path; /* NULL: every call goes to the Python base */
    PyObject *token;
    uint64_t begun;   /* of the hash of keys, the part of the token */
    int hashes_agree; /* with those of tuples */
    ct_int armed;
} ct_cached_call;

#define CALL(o) ((ct_cached_call *)(o))

static PyObject *
key_of(PyObject *token, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *key = PyTuple_New(nargs + 1);
    if (key != NULL) {
        PyTuple_SET_ITEM(key, 0, Py_NewRef(token));
        for (Py_ssize_t i = 0; i < nargs; i++) {
            PyTuple_SET_ITEM(key, i + 1, Py_NewRef(args[i]));
        }
    }
    return key;
}

/* The error that is set, with its traceback; it is not set any more. */
static PyObject *
take_error(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(error, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return error;
#endif
}

static void
put_error_back(PyObject *error)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(error);
#else
    PyErr_Restore(Py_NewRef(Py_TYPE(error)), error, PyException_GetTraceback(error));
#endif
}

/* CPython 3.11 has counted the call of this object already, with its Python frames. */
static int
enter_recursion(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return Py_EnterRecursiveCall(" in a cached function");
#else
    return 0;
#endif
}

static void
leave_recursion(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    Py_LeaveRecursiveCall();
#endif
}

/* (value,) or None from a method of Python: the value, or NULL. */
static PyObject *
value_of(PyObject *wrapped)
{
    return PyTuple_Check(wrapped) ? Py_NewRef(PyTuple_GET_ITEM(wrapped, 0)) : NULL;
}

/* The function, or the landing, has raised: what to give in its place, or NULL with the error. */
static PyObject *
load_failed(ct_cached_call *self, PyObject *flight)
{
    ct_state *st = self->path->st;
    PyObject *error = take_error(), *value = NULL;
    PyObject *instead = PyObject_CallMethodObjArgs((PyObject *)self->path, st->str_failed, flight,
                                                   error, NULL);
    if (instead != NULL) {
        value = value_of(instead);
        Py_DECREF(instead);
        if (value == NULL) {
            put_error_back(Py_NewRef(error));
        }
    }
    Py_DECREF(error);
    if (value == NULL) {
        /* Whatever else could not be done, the stack may be full: nobody is to wait for it. */
        PyObject *raised = take_error();
        if (PyObject_SetAttr(flight, st->str_forsaken, Py_True) < 0) {
            PyErr_Clear();
        }
        put_error_back(raised);
    }
    return value;
}

/* Call the function and land with its result, in a load that Python has begun. */
static PyObject *
run_load(ct_cached_call *self, PyObject *begun, PyObject *const *args, Py_ssize_t nargs)
{
    ct_state *st = self->path->st;
    PyObject *flight = PyTuple_GET_ITEM(begun, 0), *value = NULL;
    PyObject *function = PyObject_GetAttr((PyObject *)self, st->str_function);
    if (function != NULL && enter_recursion() == 0) {
        PyObject *result = PyObject_Vectorcall(function, args, (size_t)nargs, NULL);
        leave_recursion();
        if (result != NULL) {
            value = PyObject_CallMethodObjArgs((PyObject *)self->path, st->str_arrive, flight, result,
                                               PyTuple_GET_ITEM(begun, 1), NULL);
            Py_DECREF(result);
        }
    }
    Py_XDECREF(function);
    return value != NULL ? value : load_failed(self, flight);
}

/* The result of a call whose result is not there, or may have to be refreshed.  Where Python need not run
 * the function, it is called from here: a function that calls itself then goes as deep as it can. */
static PyObject *
load(PyObject *self, PyObject *key, PyObject *entry, Py_ssize_t nargs)
{
    ct_cached_call *call = CALL(self);
    PyObject *args = PyTuple_GetSlice(key, 1, nargs + 1), *begun = NULL, *value = NULL;
    if (args != NULL) {
        begun = PyObject_CallMethodObjArgs(self, call->path->st->str_missed, key, entry, args, NULL);
    }
    if (begun != NULL) {
        value = PyTuple_GET_SIZE(begun) == 1
                    ? Py_NewRef(PyTuple_GET_ITEM(begun, 0))
                    : run_load(call, begun, ((PyTupleObject *)args)->ob_item, nargs);
    }
    Py_XDECREF(begun);
    Py_XDECREF(args);
    return value;
}

/* `status` is how a look-up without a key ended, `found` the entry if it found one. */
CT_NOINLINE static PyObject *
call_slowly(PyObject *self, PyObject *const *args, Py_ssize_t nargs, int status, PyObject *found)
{
    PyObject *key = key_of(CALL(self)->token, args, nargs);
    PyObject *result = NULL;
    if (key != NULL && status == CT_FOUND_UNSURE) {
        status = ct_cache_find_fresh(CALL(self)->path, key, &found);
    }
    if (key != NULL && status == CT_FOUND_VALUE) {
        result = Py_NewRef(found);
    }
    else if (key != NULL && status != CT_FOUND_ERROR) {
        result = load(self, key, status == CT_FOUND_ENTRY ? found : Py_None, nargs);
    }
    if (status == CT_FOUND_VALUE || status == CT_FOUND_ENTRY) {
        Py_DECREF(found);
    }
    Py_XDECREF(key);
    return result;
}

CT_NOINLINE static PyObject *
call_base(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    ct_state *st = ct_state_of_type(Py_TYPE(self));
    PyObject *method = st == NULL ? NULL : PyObject_GetAttr(self, st->str_called);
    if (method == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_Vectorcall(method, args, (size_t)nargs, kwnames);
    Py_DECREF(method);
    return result;
}

static PyObject *
call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    int has_keywords = kwnames != NULL && PyTuple_GET_SIZE(kwnames) != 0;
    if (CT_UNLIKELY(has_keywords || !ct_load_acquire(&CALL(self)->armed))) {
        return call_base(self, args, nargs, kwnames);
    }
    ct_call_key key = {CALL(self)->token, args, nargs, 0};
    PyObject *found = NULL;
    int status = CT_FOUND_UNSURE;
    if (CT_LIKELY(CALL(self)->hashes_agree && ct_call_key_fill(&key, CALL(self)->begun))) {
        status = ct_cache_find_call(CALL(self)->path, &key, &found);
        if (CT_LIKELY(status == CT_FOUND_VALUE)) {
            return found;
        }
        if (status == CT_FOUND_ERROR) {
            return NULL;
        }
    }
    return call_slowly(self, args, nargs, status, found);
}

static PyObject *
call_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL) {
        CALL(self)->call = call;
    }
    return self;
}

/* Whether tuples hash here as ct_tuple_hash_add does it; -1 with an error. */
static int
hashes_agree(PyObject *token, uint64_t begun)
{
    PyObject *args[CT_CALL_KEY_ARGS] = {Py_None, Py_True, Py_False};
    for (Py_ssize_t nargs = 1; nargs <= CT_CALL_KEY_ARGS; nargs++) {
        PyObject *key = key_of(token, args, nargs);
        Py_hash_t theirs = key == NULL ? -1 : PyObject_Hash(key);
        uint64_t sum = begun;
        for (Py_ssize_t i = 0; i < nargs; i++) {
            sum = ct_tuple_hash_add(sum, PyObject_Hash(args[i]));
        }
        Py_XDECREF(key);
        if (theirs == -1) {
            return -1;
        }
        if (theirs != ct_tuple_hash_finish(sum, nargs + 1)) {
            return 0;
        }
    }
    return 1;
}

PyDoc_STRVAR(arm_doc, "_arm($self, path, token, /)\n--\n\n"
                      "From now on look results up in `path` under (token, *args).");

static PyObject *
call_arm(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    ct_state *st = ct_state_of_type(Py_TYPE(self));
    if (st == NULL || !ct_check_args("_arm", nargs, 2, 2)) {
        return NULL;
    }
    if (!PyObject_TypeCheck(args[0], st->extra_types[CT_X_HIT_PATH])) {
        PyErr_Format(PyExc_TypeError, "_arm() takes a HitPath, not %s", ct_type_name(args[0]));
        return NULL;
    }
    Py_hash_t hash = PyObject_Hash(args[1]);
    uint64_t begun = ct_tuple_hash_add(ct_tuple_hash_begin(), hash);
    int agree = hash == -1 ? -1 : hashes_agree(args[1], begun);
    if (agree < 0) {
        return NULL;
    }
    if (CALL(self)->path != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this function was armed before");
        return NULL;
    }
    CALL(self)->begun = begun;
    CALL(self)->hashes_agree = agree;
    CALL(self)->path = (ct_hit_path *)Py_NewRef(args[0]);
    CALL(self)->token = Py_NewRef(args[1]);
#if CT_FT && PY_VERSION_HEX >= 0x030E0000
    if (st->defer_refcount) {
        PyUnstable_Object_EnableDeferredRefcount(self); /* as functions of the interpreter have it */
    }
#endif
    ct_store_release(&CALL(self)->armed, 1);
    Py_RETURN_NONE;
}

static PyObject *
call_disarm(PyObject *self, PyObject *Py_UNUSED(unused))
{
    ct_store_release(&CALL(self)->armed, 0);
    Py_RETURN_NONE;
}

static int
call_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(CALL(self)->path);
    Py_VISIT(CALL(self)->token);
    return 0;
}

static int
call_clear(PyObject *self)
{
    ct_store_release(&CALL(self)->armed, 0);
    Py_CLEAR(CALL(self)->path);
    Py_CLEAR(CALL(self)->token);
    return 0;
}

static void
call_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    call_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef call_methods[] = {
    {"_arm", (PyCFunction)(void (*)(void))call_arm, METH_FASTCALL, arm_doc},
    {"_disarm", call_disarm, METH_NOARGS, "_disarm($self, /)\n--\n\nLeave every call to Python."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef call_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(ct_cached_call, call), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot call_slots[] = {
    {Py_tp_doc, (void *)"The call of a cached function, as long as its result is there."},
    {Py_tp_new, call_new},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_methods, call_methods},
    {Py_tp_members, call_members},
    {Py_tp_traverse, call_traverse},
    {Py_tp_clear, call_clear},
    {Py_tp_dealloc, call_dealloc},
    {0, NULL},
};

static PyType_Spec call_spec = {
    .name = "concurrent_tables._core.CachedCall",
    .basicsize = sizeof(ct_cached_call),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = call_slots,
};

int
ct_cached_call_type_init(PyObject *module, ct_state *st)
{
    (void)st;
    PyObject *type = PyType_FromModuleAndSpec(module, &call_spec, NULL);
    int status = type == NULL ? -1 : PyModule_AddObjectRef(module, "CachedCall", type);
    Py_XDECREF(type);
    return status;
}
