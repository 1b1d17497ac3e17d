/* The module concurrent_tables._core: multi-phase init, state, slots. */
#include "types.h"

typedef int (*ct_type_init)(PyObject *module, ct_state *st);

/* Every type of the module.  A type may use those above it. */
static const ct_type_init type_inits[] = {
    ct_reclaim_module_init, ct_event_log_type_init, ct_views_type_init, ct_iter_type_init,
    ct_frozen_type_init,    ct_dict_type_init,      ct_guard_type_init, ct_exclusive_type_init,
    ct_hashtable_type_init,
    ct_cache_types_init,    ct_cache_table_type_init,
    ct_hit_path_type_init,  ct_cached_call_type_init,
    ct_sharded_type_init,
    ct_split_type_init,
    ct_set_type_init,
};

static PyObject *
import_from(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *object = module == NULL || name == NULL ? Py_XNewRef(module)
                                                      : ct_getattr(module, name);
    Py_XDECREF(module);
    return object;
}

/* Shared Python: what is not hot is written once (see the modules' own essays). */
static int
import_shared(ct_state *st)
{
    const struct {
        PyObject **slot;
        const char *module, *name;
    } wanted[] = {
        {&st->missing, "concurrent_tables._missing", "MISSING"},
        {&st->reject_missing, "concurrent_tables._missing", "reject_missing"},
        {&st->errors, "concurrent_tables.errors", NULL},
        {&st->events, "concurrent_tables.events", NULL},
        {&st->hooks, "concurrent_tables._hooks", NULL},
        {&st->gates, "concurrent_tables._gates", NULL},
        {&st->pairs_of, "concurrent_tables._pairs", "pairs_of"},
        {&st->mapping_abc, "collections.abc", "Mapping"},
        {&st->set_abc, "collections.abc", "Set"},
        {&st->copies, "concurrent_tables._copies", NULL},
        {&st->newobj, "copyreg", "__newobj__"},
        {&st->compute_if_absent, "concurrent_tables._inflight", "compute_if_absent"},
        {&st->layout_type, "concurrent_tables.inspection", "Layout"},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        *wanted[i].slot = import_from(wanted[i].module, wanted[i].name);
        if (*wanted[i].slot == NULL) {
            return -1;
        }
    }
    return 0;
}

static int
find_kinds(ct_state *st)
{
    static const char *const names[] = {"ADDED",  "MODIFIED",    "DELETED", "CLEARED",
                                        "CLONED", "DEALLOCATED", "LOST"};
    PyObject *kinds = ct_getattr(st->events, "EventKind");
    for (int i = 0; kinds != NULL && i < 7; i++) {
        st->kinds[i] = ct_getattr(kinds, names[i]);
        if (st->kinds[i] == NULL) {
            Py_CLEAR(kinds);
        }
    }
    Py_XDECREF(kinds);
    return kinds == NULL ? -1 : 0;
}

static int
intern_names(ct_state *st)
{
    const struct {
        PyObject **slot;
        const char *name;
    } wanted[] = {
        {&st->str_keys, "keys"},
        {&st->str_missing_dunder, "__missing__"},
        {&st->str_deliver, "deliver"},
        {&st->str_hash, "__hash__"},
        {&st->str_eq, "__eq__"},
        {&st->str_called, "_called"},
        {&st->str_missed, "_missed"},
        {&st->str_on_stale, "_on_stale"},
        {&st->str_call_clock, "_call_clock"},
        {&st->str_load_or_refresh, "_load_or_refresh"},
        {&st->str_ttl, "ttl"},
        {&st->str_tags, "tags"},
        {&st->str_function, "_function"},
        {&st->str_arrive, "_arrive"},
        {&st->str_failed, "_failed"},
        {&st->str_forsaken, "forsaken"},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        *wanted[i].slot = PyUnicode_InternFromString(wanted[i].name);
        if (*wanted[i].slot == NULL) {
            return -1;
        }
    }
    return 0;
}

/* MutableMapping.register(ConcurrentDict), Mapping.register(FrozenDict). */
static int
register_abcs(ct_state *st)
{
    PyObject *mutable = import_from("collections.abc", "MutableMapping");
    PyObject *a = mutable ? ct_call_method(mutable, "register", st->dict_type) : NULL;
    PyObject *b =
        a ? ct_call_method(st->mapping_abc, "register", st->frozen_dict_type) : NULL;
    int status = b == NULL ? -1 : 0;
    Py_XDECREF(mutable);
    Py_XDECREF(a);
    Py_XDECREF(b);
    return status;
}

/* CONCURRENT_TABLES_IMMEDIATE=1 keeps a table's own reference count immediate when it is shared. */
static int
wants_deferred(void)
{
    const char *value = getenv("CONCURRENT_TABLES_IMMEDIATE");
    return value == NULL || value[0] == '\0' || strcmp(value, "0") == 0;
}

/* CONCURRENT_TABLES_DEBUG=1: the registry that the test suite's oracle walks, and poisoned blocks. */
static int
enter_debug_mode(ct_state *st)
{
    PyObject *flag = import_from("concurrent_tables._debug", "ENABLED");
    int enabled = flag == NULL ? -1 : PyObject_IsTrue(flag);
    Py_XDECREF(flag);
    if (enabled > 0) {
        ct_poison = 1;
        st->debug_register = import_from("concurrent_tables._debug", "register");
        return st->debug_register == NULL ? -1 : 0;
    }
    return enabled;
}

static int
core_exec(PyObject *module)
{
    ct_state *st = ct_state_of_module(module);
    st->module = module;
    st->defer_refcount = wants_deferred();
    if (ct_keys_process_init() < 0) {
        PyErr_NoMemory();
        return -1;
    }
    if (ct_reclaim_init(st) < 0 || import_shared(st) < 0 || find_kinds(st) < 0
        || intern_names(st) < 0 || ct_special_init(st) < 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(type_inits) / sizeof(type_inits[0]); i++) {
        if (type_inits[i](module, st) < 0) {
            return -1;
        }
    }
    st->flights = ct_dict_new(st);
    if (st->flights == NULL || register_abcs(st) < 0 || ct_points_init(module) < 0) {
        return -1;
    }
    return enter_debug_mode(st);
}

/* Every object that the state owns. */
static int
visit_state(ct_state *st, int (*visit)(PyObject **slot, void *arg), void *arg)
{
    PyObject **const slots[] = {
        (PyObject **)&st->dict_type, (PyObject **)&st->frozen_dict_type,
        (PyObject **)&st->keys_view_type, (PyObject **)&st->values_view_type,
        (PyObject **)&st->items_view_type, (PyObject **)&st->iter_type,
        (PyObject **)&st->reverse_iter_type, (PyObject **)&st->guard_type,
        (PyObject **)&st->exclusive_type, (PyObject **)&st->event_log_type,
        &st->missing, &st->reject_missing, &st->errors, &st->events, &st->hooks, &st->gates,
        &st->pairs_of, &st->copies, &st->mapping_abc, &st->set_abc, &st->newobj, &st->compute_if_absent,
        &st->flights, &st->layout_type, &st->debug_register, &st->str_keys,
        &st->str_missing_dunder, &st->str_deliver, &st->str_hash, &st->str_eq, &st->str_called,
        &st->str_missed, &st->str_on_stale, &st->str_call_clock, &st->str_function, &st->str_arrive,
        &st->str_failed, &st->str_forsaken, &st->key_classes, &st->str_load_or_refresh, &st->str_ttl,
        &st->str_tags,
    };
    int status = 0;
    for (size_t i = 0; status == 0 && i < sizeof(slots) / sizeof(slots[0]); i++) {
        status = visit(slots[i], arg);
    }
    for (size_t i = 0; status == 0 && i < 7; i++) {
        status = visit(&st->kinds[i], arg);
    }
    for (size_t i = 0; status == 0 && i < sizeof(st->extra_types) / sizeof(st->extra_types[0]); i++) {
        status = visit((PyObject **)&st->extra_types[i], arg);
    }
    for (size_t i = 0; status == 0 && i < sizeof(st->extra_objects) / sizeof(st->extra_objects[0]);
         i++) {
        status = visit(&st->extra_objects[i], arg);
    }
    return status;
}

typedef struct {
    visitproc visit;
    void *arg;
} ct_visitor;

static int
visit_slot(PyObject **slot, void *arg)
{
    ct_visitor *visitor = arg;
    return *slot == NULL ? 0 : visitor->visit(*slot, visitor->arg);
}

static int
clear_slot(PyObject **slot, void *Py_UNUSED(arg))
{
    Py_CLEAR(*slot);
    return 0;
}

static int
core_traverse(PyObject *module, visitproc visit, void *arg)
{
    ct_visitor visitor = {visit, arg};
    return visit_state(ct_state_of_module(module), visit_slot, &visitor);
}

static int
clear_state(PyObject *module)
{
    ct_state *st = ct_state_of_module(module);
    ct_special_clear(st);
    ct_reclaim_clear(st);
    return visit_state(st, clear_slot, NULL);
}

/*
 * Called by the collector, which clears the parts of one piece of garbage in any order: tables may come
 * after the module, and need its state.  The module is not freed then, once in an interpreter's life.
 */
static int
core_clear(PyObject *module)
{
    Py_INCREF(module);
    return clear_state(module);
}

static void
core_free(void *module)
{
    ct_state *st = ct_state_of_module(module);
    clear_state(module);
    ct_reclaim_free(st);
}

static PyModuleDef_Slot core_slots[] = {
    {Py_mod_exec, core_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

struct PyModuleDef ct_module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "concurrent_tables._core",
    .m_doc = "The C implementation of concurrent_tables.",
    .m_size = sizeof(ct_state),
    .m_slots = core_slots,
    .m_traverse = core_traverse,
    .m_clear = core_clear,
    .m_free = core_free,
};

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&ct_module_def);
}
