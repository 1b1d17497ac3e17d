/* Views of mappings: live for len and `in`; iteration, set operations and comparisons see one
 * snapshot each.  Results of the operators are builtin sets. */
#include "split.h"
#include "views.h"

typedef struct {
    PyObject_HEAD
    PyObject *table;
    ct_state *st;
    int what; /* CT_ITER_* */
} ct_view;

#define CT_VIEW(o) ((ct_view *)(o))

static PyTypeObject *
view_type(ct_state *st, int what)
{
    return what == CT_ITER_KEYS     ? st->keys_view_type
           : what == CT_ITER_VALUES ? st->values_view_type
                                    : st->items_view_type;
}

PyObject *
ct_view_new(ct_state *st, PyObject *table, int what)
{
    ct_view *view = PyObject_GC_New(ct_view, view_type(st, what));
    if (view != NULL) {
        view->table = Py_NewRef(table);
        view->st = st;
        view->what = what;
        PyObject_GC_Track(view);
    }
    return (PyObject *)view;
}

ct_state *
ct_state_of_mapping(PyObject *table)
{
    return ct_state_of_type(Py_TYPE(table));
}

static PyObject *
view_of(PyObject *table, int what)
{
    ct_state *st = ct_state_of_mapping(table);
    return st == NULL ? NULL : ct_view_new(st, table, what);
}

PyObject *
ct_view_keys(PyObject *table, PyObject *Py_UNUSED(ignored))
{
    return view_of(table, CT_ITER_KEYS);
}

PyObject *
ct_view_values(PyObject *table, PyObject *Py_UNUSED(ignored))
{
    return view_of(table, CT_ITER_VALUES);
}

PyObject *
ct_view_items(PyObject *table, PyObject *Py_UNUSED(ignored))
{
    return view_of(table, CT_ITER_ITEMS);
}

/* -- live --------------------------------------------------------------------------------------- */

static PyObject *
snapshot_of(ct_view *view)
{
    if (ct_is_frozen(view->st, view->table)) {
        return Py_NewRef(view->table);
    }
    if (PyObject_TypeCheck(view->table, view->st->dict_type)) {
        return ct_snapshot(CT_TABLE(view->table));
    }
    if (PyObject_TypeCheck(view->table, view->st->extra_types[CT_X_SPLIT])) {
        return ct_split_one_moment(view->table); /* a compact record stays so */
    }
    return ct_call_method(view->table, "snapshot");
}

/* 1 with TypeError when the table has no order. */
static int
rejects_reversal(ct_view *view)
{
    if (!PyObject_TypeCheck(view->table, view->st->extra_types[CT_X_SHARDED])) {
        return 0;
    }
    PyObject *name = ct_getattr((PyObject *)Py_TYPE(view->table), "__name__");
    if (name != NULL) {
        PyErr_Format(PyExc_TypeError, "%U is not ordered, so not reversible", name);
        Py_DECREF(name);
    }
    return 1;
}

/* Iteration walks one snapshot, so that list(table.items()) is of one moment. */
static PyObject *
iterate(ct_view *view, int backwards)
{
    if (backwards && rejects_reversal(view)) {
        return NULL;
    }
    PyObject *snapshot = snapshot_of(view);
    PyObject *result = snapshot == NULL ? NULL
                                        : ct_iter_new(view->st, snapshot, view->what, backwards);
    Py_XDECREF(snapshot);
    return result;
}

static PyObject *
view_iter(PyObject *self)
{
    return iterate(CT_VIEW(self), 0);
}

static PyObject *
view_reversed(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return iterate(CT_VIEW(self), 1);
}

static Py_ssize_t
view_length(PyObject *self)
{
    return PyObject_Size(CT_VIEW(self)->table);
}

static int
keys_contains(PyObject *self, PyObject *key)
{
    return PySequence_Contains(CT_VIEW(self)->table, key);
}

static int
items_contains(PyObject *self, PyObject *item)
{
    ct_state *st = CT_VIEW(self)->st;
    if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
        return 0;
    }
    PyObject *value = ct_call_method(CT_VIEW(self)->table, "get", PyTuple_GET_ITEM(item, 0),
                                     st->missing);
    if (value == NULL) {
        return -1;
    }
    int found = value == st->missing
                    ? 0
                    : PyObject_RichCompareBool(value, PyTuple_GET_ITEM(item, 1), Py_EQ);
    Py_DECREF(value);
    return found;
}

static PyObject *
view_mapping(PyObject *self, void *Py_UNUSED(closure))
{
    return PyDictProxy_New(CT_VIEW(self)->table);
}

/* -- one moment --------------------------------------------------------------------------------- */

/* The same view of a snapshot. */
static PyObject *
still_view(PyObject *self)
{
    ct_view *view = CT_VIEW(self);
    PyObject *snapshot = snapshot_of(view);
    PyObject *still = snapshot == NULL ? NULL : ct_view_new(view->st, snapshot, view->what);
    Py_XDECREF(snapshot);
    return still;
}

static PyObject *
view_repr(PyObject *self)
{
    static const char *const suffixes[] = {"keys", "values", "items"};
    PyObject *result = NULL, *still = NULL, *list = NULL, *name = NULL;
    int entered = Py_ReprEnter(self);
    if (entered != 0) {
        return entered < 0 ? NULL : PyUnicode_FromString("...");
    }
    still = still_view(self);
    list = still == NULL ? NULL : PySequence_List(still);
    name = ct_getattr((PyObject *)Py_TYPE(CT_VIEW(self)->table), "__name__");
    if (list != NULL && name != NULL) {
        result = PyUnicode_FromFormat("%U_%s(%R)", name, suffixes[CT_VIEW(self)->what], list);
    }
    Py_ReprLeave(self);
    Py_XDECREF(still);
    Py_XDECREF(list);
    Py_XDECREF(name);
    return result;
}

/* Whether each element of `some` is in `all`: 1, 0, -1. */
static int
all_in(PyObject *some, PyObject *all)
{
    PyObject *iterator = PyObject_GetIter(some), *element;
    int result = iterator == NULL ? -1 : 1;
    while (result == 1 && (element = PyIter_Next(iterator)) != NULL) {
        result = PySequence_Contains(all, element);
        Py_DECREF(element);
    }
    Py_XDECREF(iterator);
    return PyErr_Occurred() ? -1 : result;
}

static int
is_set_view(ct_state *st, PyObject *o)
{
    return Py_IS_TYPE(o, st->keys_view_type) || Py_IS_TYPE(o, st->items_view_type);
}

/* The sizes decide first, then membership: `a` within `b`. */
static int
compare_sizes(int op, Py_ssize_t a, Py_ssize_t b)
{
    switch (op) {
    case Py_EQ:
    case Py_NE:
        return a == b;
    case Py_LT:
        return a < b;
    case Py_LE:
        return a <= b;
    case Py_GT:
        return a > b;
    default:
        return a >= b;
    }
}

static PyObject *
set_view_richcompare(PyObject *self, PyObject *other, int op)
{
    ct_state *st = CT_VIEW(self)->st;
    int is_set = PyObject_IsInstance(other, st->set_abc);
    if (is_set <= 0) {
        return is_set < 0 ? NULL : Py_NewRef(Py_NotImplemented);
    }
    PyObject *mine = still_view(self);
    PyObject *theirs = is_set_view(st, other) ? still_view(other) : Py_NewRef(other);
    Py_ssize_t size = mine == NULL ? -1 : PyObject_Size(mine);
    Py_ssize_t other_size = theirs == NULL ? -1 : PyObject_Size(theirs);
    int result = -1;
    if (size >= 0 && other_size >= 0) {
        result = compare_sizes(op, size, other_size);
        if (result == 1) {
            result = op == Py_GT || op == Py_GE ? all_in(theirs, mine) : all_in(mine, theirs);
        }
    }
    Py_XDECREF(mine);
    Py_XDECREF(theirs);
    return result < 0 ? NULL : PyBool_FromLong(op == Py_NE ? !result : result);
}

/* A builtin set of the elements at one moment (of a view), or of any iterable. */
static PyObject *
set_of(ct_state *st, PyObject *o)
{
    if (!is_set_view(st, o)) {
        return PySet_New(o);
    }
    PyObject *still = still_view(o);
    PyObject *set = still == NULL ? NULL : PySet_New(still);
    Py_XDECREF(still);
    return set;
}

static int
is_iterable(PyObject *o)
{
    return Py_TYPE(o)->tp_iter != NULL || PySequence_Check(o);
}

static PyObject *
set_operation(PyObject *a, PyObject *b, const char *method)
{
    int first = Py_TYPE(a)->tp_repr == view_repr;
    ct_state *st = CT_VIEW(first ? a : b)->st;
    PyObject *left, *right, *result = NULL;
    if (!is_iterable(a) || !is_iterable(b)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    left = set_of(st, a);
    right = left == NULL ? NULL : is_set_view(st, b) ? set_of(st, b) : Py_NewRef(b);
    if (right != NULL) {
        result = ct_call_method(left, method, right);
    }
    Py_XDECREF(left);
    Py_XDECREF(right);
    return result;
}

/* Add the elements of `elements` that are in `members` to `result`; 0 or -1. */
static int
add_common(PyObject *result, PyObject *elements, PyObject *members)
{
    PyObject *iterator = PyObject_GetIter(elements), *element;
    int status = iterator == NULL ? -1 : 0;
    while (status >= 0 && (element = PyIter_Next(iterator)) != NULL) {
        status = PySequence_Contains(members, element);
        if (status > 0) {
            status = PySet_Add(result, element);
        }
        Py_DECREF(element);
    }
    Py_XDECREF(iterator);
    return PyErr_Occurred() ? -1 : 0;
}

/* The elements of the other operand are looked up, not hashed first: the values of items need not be
 * hashable.  A larger set looks up ours instead. */
static PyObject *
set_and(PyObject *a, PyObject *b)
{
    int first = Py_TYPE(a)->tp_repr == view_repr;
    PyObject *mine, *other = first ? b : a;
    if (!is_iterable(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    mine = still_view(first ? a : b);
    Py_ssize_t size = mine == NULL ? -1 : PyObject_Size(mine);
    PyObject *result = size < 0 ? NULL : PySet_New(NULL);
    int other_is_larger = PySet_CheckExact(other) && size <= PySet_GET_SIZE(other);
    if (result != NULL
        && add_common(result, other_is_larger ? mine : other, other_is_larger ? other : mine) < 0) {
        Py_CLEAR(result);
    }
    Py_XDECREF(mine);
    return result;
}

static PyObject *
set_or(PyObject *a, PyObject *b)
{
    return set_operation(a, b, "union");
}

static PyObject *
set_subtract(PyObject *a, PyObject *b)
{
    return set_operation(a, b, "difference");
}

static PyObject *
set_xor(PyObject *a, PyObject *b)
{
    return set_operation(a, b, "symmetric_difference");
}

static PyObject *
set_isdisjoint(PyObject *self, PyObject *other)
{
    PyObject *still = still_view(self), *iterator = PyObject_GetIter(other), *element;
    int found = still == NULL || iterator == NULL ? -1 : 0;
    while (found == 0 && (element = PyIter_Next(iterator)) != NULL) {
        found = PySequence_Contains(still, element);
        Py_DECREF(element);
    }
    Py_XDECREF(still);
    Py_XDECREF(iterator);
    return found < 0 || PyErr_Occurred() ? NULL : PyBool_FromLong(!found);
}

/* -- types -------------------------------------------------------------------------------------- */

static int
view_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(CT_VIEW(self)->table);
    return 0;
}

static int
view_clear(PyObject *self)
{
    Py_CLEAR(CT_VIEW(self)->table);
    return 0;
}

static void
view_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    view_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyGetSetDef view_getset[] = {
    {"mapping", view_mapping, NULL, "A read-only proxy of the table.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef values_methods[] = {
    {"__reversed__", view_reversed, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef set_view_methods[] = {
    {"__reversed__", view_reversed, METH_NOARGS, NULL},
    {"isdisjoint", set_isdisjoint, METH_O, "Whether no element of other is in this view."},
    {NULL, NULL, 0, NULL},
};

#define COMMON_SLOTS                                                                               \
    {Py_tp_iter, view_iter}, {Py_tp_repr, view_repr}, {Py_tp_getset, view_getset},                 \
        {Py_tp_traverse, view_traverse}, {Py_tp_clear, view_clear}, {Py_tp_dealloc, view_dealloc}, \
        {Py_mp_length, view_length}

#define SET_SLOTS                                                                                  \
    {Py_tp_methods, set_view_methods}, {Py_tp_richcompare, set_view_richcompare},                  \
        {Py_tp_hash, PyObject_HashNotImplemented}, {Py_nb_and, set_and}, {Py_nb_or, set_or},       \
        {Py_nb_subtract, set_subtract}, {Py_nb_xor, set_xor}

static PyType_Slot keys_slots[] = {
    {Py_tp_doc, "A set-like view of the keys of a table."},
    COMMON_SLOTS,
    SET_SLOTS,
    {Py_sq_contains, keys_contains},
    {0, NULL},
};

static PyType_Slot items_slots[] = {
    {Py_tp_doc, "A set-like view of the (key, value) pairs of a table."},
    COMMON_SLOTS,
    SET_SLOTS,
    {Py_sq_contains, items_contains},
    {0, NULL},
};

static PyType_Slot values_slots[] = {
    {Py_tp_doc, "A view of the values of a table."},
    COMMON_SLOTS,
    {Py_tp_methods, values_methods},
    {0, NULL},
};

#define VIEW_SPEC(NAME, SLOTS)                                                                     \
    {                                                                                              \
        .name = "concurrent_tables._core." NAME, .basicsize = sizeof(ct_view),                     \
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,      \
        .slots = SLOTS,                                                                            \
    }

static PyType_Spec keys_spec = VIEW_SPEC("KeysView", keys_slots);
static PyType_Spec items_spec = VIEW_SPEC("ItemsView", items_slots);
static PyType_Spec values_spec = VIEW_SPEC("ValuesView", values_slots);

static int
register_with(const char *abc, PyTypeObject *type)
{
    PyObject *module = PyImport_ImportModule("collections.abc");
    PyObject *base = module == NULL ? NULL : ct_getattr(module, abc);
    PyObject *result = base == NULL ? NULL : ct_call_method(base, "register", type);
    int status = result == NULL ? -1 : 0;
    Py_XDECREF(module);
    Py_XDECREF(base);
    Py_XDECREF(result);
    return status;
}

int
ct_views_type_init(PyObject *module, ct_state *st)
{
    st->keys_view_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &keys_spec, NULL);
    st->items_view_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &items_spec, NULL);
    st->values_view_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &values_spec, NULL);
    if (st->keys_view_type == NULL || st->items_view_type == NULL || st->values_view_type == NULL) {
        return -1;
    }
    return register_with("KeysView", st->keys_view_type)
           | register_with("ItemsView", st->items_view_type)
           | register_with("ValuesView", st->values_view_type);
}
