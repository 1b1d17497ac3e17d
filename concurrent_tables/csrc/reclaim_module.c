/* `_core.reclaim`: stats, flush, synchronize, retire; and the hooks into gc and atexit. */
#include "reclaim_module.h"
#include "table.h"

static PyObject *
stats(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    ct_reclaim_stats s;
    ct_reclaim_get_stats(ct_state_of_module(module), &s);
    return Py_BuildValue("{s:K,s:n,s:n,s:n,s:n,s:K,s:K,s:K,s:K,s:K}",
                         "sequence", (unsigned long long)s.sequence,
                         "threads", s.threads, "pinned", s.pinned,
                         "pending_items", s.pending_items, "pending_bytes", s.pending_bytes,
                         "retired_total", (unsigned long long)s.retired_total,
                         "freed_total", (unsigned long long)s.freed_total,
                         "polls", (unsigned long long)s.polls,
                         "pressure_waits", (unsigned long long)s.pressure_waits,
                         "callback_errors", (unsigned long long)s.callback_errors);
}

static PyObject *
flush(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSsize_t(ct_flush(ct_state_of_module(module)));
}

static PyObject *
synchronize(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    ct_synchronize();
    Py_RETURN_NONE;
}

static PyObject *
retire(PyObject *module, PyObject *item)
{
    uintptr_t kind = PyCallable_Check(item) ? CT_ITEM_CALLBACK : CT_ITEM_OBJECT;
    Py_INCREF(item);
    ct_retire(ct_state_of_module(module), (uintptr_t)item | kind, 0);
    Py_RETURN_NONE;
}

/* gc.callbacks: limbo references are roots, so drop what can be dropped before a full collection. */
static PyObject *
on_gc(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    ct_state *st = ct_state_of_module(module);
    if (nargs == 2 && st->domain != NULL && PyUnicode_Check(args[0]) && PyDict_Check(args[1])
        && PyUnicode_CompareWithASCIIString(args[0], "start") == 0) {
        PyObject *generation = PyDict_GetItemString(args[1], "generation");
        if (generation != NULL && PyLong_Check(generation) && PyLong_AsLong(generation) == 2) {
            ct_flush(st);
        }
    }
    Py_RETURN_NONE;
}

/* The interpreter lets go of gc.callbacks after its last collection: a module that is still in there
 * would be a cycle that nobody collects, with every type of it. */
static int
leave_gc_callbacks(PyObject *module)
{
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *callbacks = gc == NULL ? NULL : ct_getattr(gc, "callbacks");
    int status = callbacks == NULL || !PyList_Check(callbacks) ? -1 : 0;
    for (Py_ssize_t i = status < 0 ? 0 : PyList_GET_SIZE(callbacks); status == 0 && i-- > 0;) {
        PyObject *hook = PySequence_GetItem(callbacks, i);
        if (hook != NULL && PyCFunction_Check(hook) && PyCFunction_GET_SELF(hook) == module) {
            status = PySequence_DelItem(callbacks, i);
        }
        Py_XDECREF(hook);
        PyErr_Clear(); /* another thread took entries out meanwhile */
    }
    Py_XDECREF(callbacks);
    Py_XDECREF(gc);
    return status;
}

static PyObject *
at_exit(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    ct_state *st = ct_state_of_module(module);
    if (st->domain != NULL) {
        ct_flush(st);
    }
    if (leave_gc_callbacks(module) < 0) {
        PyErr_Clear();
    }
    Py_RETURN_NONE;
}

/* os.register_at_fork(after_in_child=...) */
static PyObject *
after_fork(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    ct_tables_after_fork(ct_state_of_module(module));
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"stats", stats, METH_NOARGS, "Counters of the domain."},
    {"flush", flush, METH_NOARGS, "Free everything retired before the call; how many items."},
    {"synchronize", synchronize, METH_NOARGS, "Wait for a grace period."},
    {"retire", retire, METH_O,
     "retire($module, obj_or_callback, /)\n--\n\n"
     "Drop an object, or call a callable, after a grace period."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef gc_hook = {"_on_gc", (PyCFunction)(void (*)(void))on_gc, METH_FASTCALL, NULL};
static PyMethodDef exit_hook = {"_at_exit", at_exit, METH_NOARGS, NULL};

static PyMethodDef fork_hook = {"_after_fork", after_fork, METH_NOARGS, NULL};

static int
register_fork_hook(PyObject *module)
{
    PyObject *os = PyImport_ImportModule("os"), *nothing = PyTuple_New(0);
    PyObject *function = os ? ct_getattr(os, "register_at_fork") : NULL;
    if (os != NULL && function == NULL) { /* a platform without fork */
        PyErr_Clear();
        Py_DECREF(os);
        Py_XDECREF(nothing);
        return nothing == NULL ? -1 : 0;
    }
    PyObject *hook = function ? PyCFunction_New(&fork_hook, module) : NULL;
    PyObject *kwargs = hook ? Py_BuildValue("{s:O}", "after_in_child", hook) : NULL;
    PyObject *result = kwargs && nothing ? PyObject_Call(function, nothing, kwargs) : NULL;
    int status = result == NULL ? -1 : 0;
    Py_XDECREF(result);
    Py_XDECREF(kwargs);
    Py_XDECREF(hook);
    Py_XDECREF(function);
    Py_XDECREF(nothing);
    Py_XDECREF(os);
    return status;
}

static int
register_hook(PyObject *module, const char *where, const char *what, PyMethodDef *definition)
{
    PyObject *owner = PyImport_ImportModule(where), *target = NULL, *result = NULL;
    PyObject *hook = owner == NULL ? NULL : PyCFunction_New(definition, module);
    if (strcmp(where, "gc") == 0 && hook != NULL) {
        target = ct_getattr(owner, "callbacks");
        result = target == NULL ? NULL : ct_call_method(target, what, hook);
    }
    else if (hook != NULL) {
        result = ct_call_method(owner, what, hook);
    }
    int status = result == NULL ? -1 : 0;
    Py_XDECREF(owner);
    Py_XDECREF(target);
    Py_XDECREF(hook);
    Py_XDECREF(result);
    return status;
}

int
ct_reclaim_module_init(PyObject *module, ct_state *Py_UNUSED(st))
{
    PyObject *face = PyModule_New("concurrent_tables._core.reclaim");
    int status = face == NULL ? -1 : 0;
    for (PyMethodDef *def = functions; status == 0 && def->ml_name != NULL; def++) {
        PyObject *function = PyCFunction_New(def, module);
        status = function == NULL ? -1 : PyObject_SetAttrString(face, def->ml_name, function);
        Py_XDECREF(function);
    }
    if (status == 0) {
        status = PyModule_AddObjectRef(module, "reclaim", face);
    }
    Py_XDECREF(face);
    if (status < 0) {
        return -1;
    }
    return register_hook(module, "gc", "append", &gc_hook)
           | register_hook(module, "atexit", "register", &exit_hook) | register_fork_hook(module);
}
