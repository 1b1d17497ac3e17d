/* Comparisons and set algebra, for both set types.
 *
 * All of it works on blocks that do not change: a FrozenSet has one, a ConcurrentSet lends its
 * own, other operands are read once.  So every operation sees one moment of each operand, and
 * user code never meets a lock. */
#include "copies.h"
#include "set_algebra.h"
#include "update.h"

typedef PyObject *(*builtin_operator)(PyObject *, PyObject *);

/* A new set of the package's type (not of a subclass); steals the private block. */
static PyObject *
result_like(ct_state *st, PyObject *self, ct_set_keys *block)
{
    if (block == NULL) {
        return NULL;
    }
    return ct_is_set(st, self) ? ct_set_from(st, block)
                               : ct_frozen_set_from(st, ct_frozen_set_type(st), block);
}

/* A private copy, with references of its own, of what `self` has. */
static ct_set_keys *
copy_of(ct_state *st, PyObject *self)
{
    ct_set_keys *mine = ct_set_still_block(st, self);
    ct_set_keys *copy = mine == NULL ? NULL : ct_set_copy(mine);
    if (mine != NULL && copy == NULL) {
        PyErr_NoMemory();
    }
    ct_set_give_back(mine);
    return copy;
}

/* The elements of an operand beside `mine`, those of `self`: of the same moment if it is the same set. */
static ct_set_keys *
operand_beside(ct_state *st, PyObject *self, ct_set_keys *mine, PyObject *other)
{
    if (other != self) {
        return ct_set_operand(st, other);
    }
    ct_set_lend_held(mine); /* no need to hold the section: it is lent to us already */
    return mine;
}

PyObject *
ct_set_plain_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_state *st = ct_state_of_type(Py_TYPE(self));
    return st == NULL ? NULL : result_like(st, self, copy_of(st, self));
}

/* -- elements picked out of lent blocks --------------------------------------------------------- */

typedef struct {
    ct_set_item *items; /* borrowed references */
    Py_ssize_t count;
} selection;

static int
selection_init(selection *picked, Py_ssize_t room)
{
    picked->count = 0;
    picked->items = PyMem_New(ct_set_item, room + 1);
    if (picked->items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* Pick the elements of `from` that `other` has (or has not, as `wanted` says); 0 or -1. */
static int
pick(selection *picked, const ct_set_keys *from, const ct_set_keys *other, int wanted)
{
    ct_set_item item;
    Py_ssize_t at = 0;
    while (ct_set_next(from, &at, &item) >= 0) {
        Py_ssize_t slot = ct_set_find(other, item);
        if (slot == CT_ERROR) {
            return -1;
        }
        if ((slot >= 0) == wanted) {
            picked->items[picked->count++] = item;
        }
    }
    return 0;
}

/* A private block of what was picked; NULL with an error. */
static ct_set_keys *
block_of_picked(selection *picked, int status)
{
    ct_set_keys *block = status < 0 ? NULL : ct_set_of(picked->items, picked->count);
    PyMem_Free(picked->items);
    return block;
}

/* -- named methods ------------------------------------------------------------------------------ */

/* Add to a private block what an operand has. */
static int
put_operand(ct_state *st, ct_set_keys **block, PyObject *other)
{
    ct_set_source source;
    ct_set_item item;
    int status = ct_set_open(st, other, &source);
    while (status == 0 && (status = ct_set_read(&source, &item)) > 0) {
        status = ct_set_put(block, item) < 0 ? -1 : 0;
    }
    ct_set_close(&source);
    return status;
}

/* mine | theirs for one set. */
static ct_set_keys *
union_of_sets(ct_state *st, PyObject *self, PyObject *other)
{
    ct_set_keys *mine = ct_set_still_block(st, self), *block = NULL;
    ct_set_keys *theirs = mine == NULL ? NULL : operand_beside(st, self, mine, other);
    if (theirs != NULL) {
        block = ct_set_roomy_copy(mine, ct_set_count(theirs));
        if (block == NULL) {
            PyErr_NoMemory();
        }
        else if (ct_set_merge(&block, theirs) < 0) {
            ct_set_release(block);
            block = NULL;
        }
    }
    ct_set_give_back(mine);
    ct_set_give_back(theirs);
    return block;
}

PyObject *
ct_set_union(PyObject *self, PyObject *const *others, Py_ssize_t count)
{
    ct_state *st = ct_state_of_type(Py_TYPE(self));
    if (st != NULL && count == 1 && ct_is_any_set(others[0])) {
        return result_like(st, self, union_of_sets(st, self, others[0]));
    }
    ct_set_keys *block = st == NULL ? NULL : copy_of(st, self);
    for (Py_ssize_t i = 0; block != NULL && i < count; i++) {
        if (put_operand(st, &block, others[i]) < 0) {
            ct_set_release(block);
            return NULL;
        }
    }
    return result_like(st, self, block);
}

/* Of two equal objects keeps, as `set` does, that of the operand, unless that is a larger set. */
static ct_set_keys *
intersect_sets(ct_set_keys *mine, ct_set_keys *theirs)
{
    selection picked;
    int larger = ct_set_count(theirs) > ct_set_count(mine);
    ct_set_keys *few = larger ? mine : theirs, *many = larger ? theirs : mine;
    if (selection_init(&picked, ct_set_count(few)) < 0) {
        return NULL;
    }
    return block_of_picked(&picked, pick(&picked, few, many, 1));
}

/* 1 when there is nothing more to be found, 0 to go on, -1 with an error.  Steals the reference. */
static int
keep_common(ct_set_keys *mine, ct_set_keys **common, ct_set_item item)
{
    Py_ssize_t slot = ct_set_find(mine, item);
    if (slot < 0) {
        Py_DECREF(item.key);
        return slot == CT_ERROR ? -1 : 0;
    }
    if (ct_set_put(common, item) < 0) {
        return -1;
    }
    return ct_set_count(*common) >= ct_set_count(mine);
}

static ct_set_keys *
intersect_iterable(ct_state *st, ct_set_keys *mine, PyObject *other)
{
    ct_set_source source;
    ct_set_item item;
    ct_set_keys *common = ct_set_new(CT_MIN_LOG2);
    if (common == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    int status = ct_set_open(st, other, &source);
    while (status == 0 && (status = ct_set_read(&source, &item)) > 0) {
        int found = keep_common(mine, &common, item);
        status = found < 0 ? -1 : 0;
        if (found > 0) {
            break;
        }
    }
    ct_set_close(&source);
    if (status < 0) {
        ct_set_release(common);
        return NULL;
    }
    return common;
}

/* The common elements, in a private block. */
static ct_set_keys *
intersect(ct_state *st, PyObject *self, ct_set_keys *mine, PyObject *other)
{
    if (!ct_is_any_set(other)) {
        return intersect_iterable(st, mine, other);
    }
    ct_set_keys *theirs = operand_beside(st, self, mine, other);
    ct_set_keys *common = theirs == NULL ? NULL : intersect_sets(mine, theirs);
    ct_set_give_back(theirs);
    return common;
}

static void
remove_from(ct_set_keys *block, Py_ssize_t slot)
{
    Py_DECREF(ct_set_kill(block, slot));
}

static int
subtract_iterable(ct_state *st, ct_set_keys *block, PyObject *other)
{
    ct_set_source source;
    ct_set_item item;
    int status = ct_set_open(st, other, &source);
    while (status == 0 && (status = ct_set_read(&source, &item)) > 0) {
        Py_ssize_t slot = ct_set_find(block, item);
        Py_DECREF(item.key);
        status = slot == CT_ERROR ? -1 : 0;
        if (slot >= 0) {
            remove_from(block, slot);
        }
    }
    ct_set_close(&source);
    return status;
}

/* The elements of `mine` (borrowed) that the operand has not, in a private block. */
static ct_set_keys *
copy_and_subtract(ct_state *st, const ct_set_keys *mine, PyObject *other)
{
    ct_set_keys *block = ct_set_copy(mine);
    if (block == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    if (subtract_iterable(st, block, other) < 0) {
        ct_set_release(block);
        return NULL;
    }
    return ct_set_compacted(block);
}

/* The same; walks over `mine` unless it is a set four times as large, as `set` does. */
static ct_set_keys *
without_operand(ct_state *st, PyObject *self, ct_set_keys *mine, PyObject *other)
{
    selection picked;
    ct_set_keys *block = NULL;
    if (!ct_is_any_set(other)) {
        return copy_and_subtract(st, mine, other);
    }
    ct_set_keys *theirs = operand_beside(st, self, mine, other);
    if (theirs != NULL && ct_set_count(mine) / 4 > ct_set_count(theirs)) {
        block = copy_and_subtract(st, mine, other);
    }
    else if (theirs != NULL && selection_init(&picked, ct_set_count(mine)) == 0) {
        block = block_of_picked(&picked, pick(&picked, mine, theirs, 0));
    }
    ct_set_give_back(theirs);
    return block;
}

/* The elements of `mine` (borrowed; those of `self`, if not NULL) that an operand leaves, in a private block. */
typedef ct_set_keys *(*narrow_step)(ct_state *st, PyObject *self, ct_set_keys *mine,
                                    PyObject *other);

/* One operand after the other. */
static PyObject *
narrowed(PyObject *self, PyObject *const *others, Py_ssize_t count, narrow_step step)
{
    ct_state *st = ct_state_of_type(Py_TYPE(self));
    if (count == 0) {
        return ct_call_method(self, "copy");
    }
    ct_set_keys *mine = st == NULL ? NULL : ct_set_still_block(st, self);
    ct_set_keys *block = mine == NULL ? NULL : step(st, self, mine, others[0]);
    ct_set_give_back(mine);
    for (Py_ssize_t i = 1; block != NULL && i < count; i++) {
        ct_set_keys *left = step(st, NULL, block, others[i]);
        ct_set_release(block);
        block = left;
    }
    return result_like(st, self, block);
}

PyObject *
ct_set_intersection(PyObject *self, PyObject *const *others, Py_ssize_t count)
{
    return narrowed(self, others, count, intersect);
}

PyObject *
ct_set_difference(PyObject *self, PyObject *const *others, Py_ssize_t count)
{
    return narrowed(self, others, count, without_operand);
}

/* Pick what one of the two has and the other has not; `gone` has a byte for each slot of `mine`. */
static int
pick_either(selection *picked, const ct_set_keys *mine, const ct_set_keys *theirs,
            unsigned char *gone)
{
    ct_set_item item;
    Py_ssize_t at = 0, slot;
    while (ct_set_next(theirs, &at, &item) >= 0) {
        slot = ct_set_find(mine, item);
        if (slot == CT_ERROR) {
            return -1;
        }
        if (slot >= 0) {
            gone[slot] = 1;
        }
        else {
            picked->items[picked->count++] = item;
        }
    }
    for (at = 0; (slot = ct_set_next(mine, &at, &item)) >= 0;) {
        if (!gone[slot]) {
            picked->items[picked->count++] = item;
        }
    }
    return 0;
}

PyObject *
ct_set_symmetric_difference(PyObject *self, PyObject *other)
{
    ct_state *st = ct_state_of_type(Py_TYPE(self));
    /* Another operand first, as `set` does: gathering it may change this set. */
    ct_set_keys *theirs = st == NULL || other == self ? NULL : ct_set_operand(st, other);
    ct_set_keys *mine = st == NULL || (theirs == NULL && other != self)
                            ? NULL : ct_set_still_block(st, self);
    ct_set_keys *block = NULL;
    selection picked;
    if (mine != NULL && other == self) {
        theirs = operand_beside(st, self, mine, other);
    }
    if (mine != NULL && selection_init(&picked, ct_set_count(mine) + ct_set_count(theirs)) == 0) {
        unsigned char *gone = PyMem_Calloc(ct_set_mask(mine) + 1, 1);
        if (gone == NULL) {
            PyErr_NoMemory();
        }
        block = block_of_picked(&picked, gone == NULL ? -1 : pick_either(&picked, mine, theirs, gone));
        PyMem_Free(gone);
    }
    ct_set_give_back(mine);
    ct_set_give_back(theirs);
    return result_like(st, self, block);
}

/* -- questions ---------------------------------------------------------------------------------- */

static PyObject *
answer(int result)
{
    return result < 0 ? NULL : PyBool_FromLong(result);
}

PyObject *
ct_set_issubset(PyObject *self, PyObject *other)
{
    ct_state *st = ct_state_of_type(Py_TYPE(self));
    ct_set_keys *mine = st == NULL ? NULL : ct_set_still_block(st, self);
    int result = -1;
    if (mine == NULL) {
        return NULL;
    }
    if (ct_is_any_set(other)) {
        ct_set_keys *theirs = operand_beside(st, self, mine, other);
        result = theirs == NULL ? -1 : ct_set_contains_all(theirs, mine);
        ct_set_give_back(theirs);
    }
    else {
        ct_set_keys *common = intersect_iterable(st, mine, other);
        result = common == NULL ? -1 : ct_set_count(common) == ct_set_count(mine);
        ct_set_release(common);
    }
    ct_set_give_back(mine);
    return answer(result);
}

/* Whether every element of an iterable is found (or is not, as `wanted` says): 1, 0, -1. */
static int
all_found(ct_state *st, ct_set_keys *mine, PyObject *other, int wanted)
{
    ct_set_source source;
    ct_set_item item;
    int result = 1, status = ct_set_open(st, other, &source);
    while (status == 0 && result == 1 && (status = ct_set_read(&source, &item)) > 0) {
        Py_ssize_t slot = ct_set_find(mine, item);
        Py_DECREF(item.key);
        status = slot == CT_ERROR ? -1 : 0;
        result = (slot >= 0) == wanted;
    }
    ct_set_close(&source);
    return status < 0 ? -1 : result;
}

PyObject *
ct_set_issuperset(PyObject *self, PyObject *other)
{
    ct_state *st = ct_state_of_type(Py_TYPE(self));
    ct_set_keys *mine = st == NULL ? NULL : ct_set_still_block(st, self);
    int result = -1;
    if (mine == NULL) {
        return NULL;
    }
    if (ct_is_any_set(other)) {
        ct_set_keys *theirs = operand_beside(st, self, mine, other);
        result = theirs == NULL ? -1 : ct_set_contains_all(mine, theirs);
        ct_set_give_back(theirs);
    }
    else {
        result = all_found(st, mine, other, 1);
    }
    ct_set_give_back(mine);
    return answer(result);
}

static int
disjoint_sets(const ct_set_keys *mine, const ct_set_keys *theirs)
{
    int larger = ct_set_count(theirs) > ct_set_count(mine);
    const ct_set_keys *few = larger ? mine : theirs, *many = larger ? theirs : mine;
    ct_set_item item;
    Py_ssize_t at = 0, slot = CT_MISS;
    while (slot == CT_MISS && ct_set_next(few, &at, &item) >= 0) {
        slot = ct_set_find(many, item);
    }
    return slot == CT_ERROR ? -1 : slot == CT_MISS;
}

PyObject *
ct_set_isdisjoint(PyObject *self, PyObject *other)
{
    ct_state *st = ct_state_of_type(Py_TYPE(self));
    ct_set_keys *mine = st == NULL ? NULL : ct_set_still_block(st, self);
    int result = -1;
    if (mine != NULL && ct_is_any_set(other)) {
        ct_set_keys *theirs = operand_beside(st, self, mine, other);
        result = theirs == NULL ? -1 : disjoint_sets(mine, theirs);
        ct_set_give_back(theirs);
    }
    else if (mine != NULL) {
        result = all_found(st, mine, other, 0);
    }
    ct_set_give_back(mine);
    return answer(result);
}

static int
compare_blocks(const ct_set_keys *a, const ct_set_keys *b, int op)
{
    Py_ssize_t m = ct_set_count(a), n = ct_set_count(b);
    switch (op) {
    case Py_EQ:
        return m == n ? ct_set_contains_all(b, a) : 0;
    case Py_LE:
        return ct_set_contains_all(b, a);
    case Py_LT:
        return m < n ? ct_set_contains_all(b, a) : 0;
    case Py_GE:
        return ct_set_contains_all(a, b);
    default:
        return m > n ? ct_set_contains_all(a, b) : 0;
    }
}

static PyObject *members_of(ct_state *st, PyObject *self);

/* Dict views know how to compare with a builtin set only. */
static PyObject *
compare_with_view(ct_state *st, PyObject *self, PyObject *view, int op)
{
    PyObject *members = members_of(st, self), *result = NULL;
    PyObject *frozen = members == NULL ? NULL : PyFrozenSet_New(members);
    if (frozen != NULL) {
        result = PyObject_RichCompare(frozen, view, op);
    }
    Py_XDECREF(members);
    Py_XDECREF(frozen);
    return result;
}

PyObject *
ct_set_richcompare(PyObject *self, PyObject *other, int op)
{
    ct_state *st = ct_state_of_type(Py_TYPE(self));
    if (st == NULL) {
        return NULL;
    }
    if (self == other && (op == Py_EQ || op == Py_NE)) {
        return PyBool_FromLong(op == Py_EQ);
    }
    if (!ct_is_any_set(other)) {
        if (PyDictKeys_Check(other) || PyDictItems_Check(other)) {
            return compare_with_view(st, self, other, op);
        }
        Py_RETURN_NOTIMPLEMENTED;
    }
    ct_set_keys *mine = ct_set_still_block(st, self);
    ct_set_keys *theirs = mine == NULL ? NULL : operand_beside(st, self, mine, other);
    int result = -1;
    if (theirs != NULL) {
        result = compare_blocks(mine, theirs, op == Py_NE ? Py_EQ : op);
        result = op == Py_NE && result >= 0 ? !result : result;
    }
    ct_set_give_back(mine);
    ct_set_give_back(theirs);
    return answer(result);
}

/* -- operators ---------------------------------------------------------------------------------- */

int
ct_set_takes(ct_state *st, PyObject *self, PyObject *other)
{
    if (ct_is_any_set(other)) {
        return 1;
    }
    return ct_is_set(st, self) ? PyObject_IsInstance(other, st->set_abc) : 0;
}

/* A builtin set on the left does not know us: the result is of its type, as between builtins. */
static PyObject *
reversed_operator(ct_state *st, PyObject *other, PyObject *self, builtin_operator operate)
{
    PyObject *left, *members, *right = NULL, *result = NULL;
    if (!PyAnySet_Check(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    left = PySet_Check(other) ? PySet_New(other) : PyFrozenSet_New(other);
    members = left == NULL ? NULL : members_of(st, self);
    right = members == NULL ? NULL : PyFrozenSet_New(members);
    result = right == NULL ? NULL : operate(left, right);
    Py_XDECREF(left);
    Py_XDECREF(members);
    Py_XDECREF(right);
    return result;
}

/* The state when `a` is one of our sets; NULL without an error otherwise. */
static ct_state *
state_if_set(PyObject *a)
{
    PyObject *module = PyType_GetModuleByDef(Py_TYPE(a), &ct_module_def);
    ct_state *st = module == NULL ? NULL : ct_state_of_module(module);
    if (st == NULL) {
        PyErr_Clear();
        return NULL;
    }
    return ct_is_set(st, a) || ct_is_frozen_set(st, a) ? st : NULL;
}

/* 1 when the operator goes on with a.method(b); else *result is what it returns. */
static int
begin_operator(PyObject *a, PyObject *b, builtin_operator operate, PyObject **result)
{
    ct_state *st = state_if_set(a);
    *result = NULL;
    if (st == NULL) {
        st = state_if_set(b);
        *result = st == NULL ? Py_NewRef(Py_NotImplemented)
                             : reversed_operator(st, a, b, operate);
        return 0;
    }
    int takes = ct_set_takes(st, a, b);
    if (takes == 0) {
        *result = Py_NewRef(Py_NotImplemented);
    }
    return takes > 0;
}

PyObject *
ct_set_or(PyObject *a, PyObject *b)
{
    PyObject *result;
    return begin_operator(a, b, PyNumber_Or, &result) ? ct_set_union(a, &b, 1) : result;
}

PyObject *
ct_set_and(PyObject *a, PyObject *b)
{
    PyObject *result;
    return begin_operator(a, b, PyNumber_And, &result) ? ct_set_intersection(a, &b, 1) : result;
}

PyObject *
ct_set_subtract(PyObject *a, PyObject *b)
{
    PyObject *result;
    return begin_operator(a, b, PyNumber_Subtract, &result) ? ct_set_difference(a, &b, 1) : result;
}

PyObject *
ct_set_xor(PyObject *a, PyObject *b)
{
    PyObject *result;
    return begin_operator(a, b, PyNumber_Xor, &result) ? ct_set_symmetric_difference(a, b) : result;
}

/* -- the rest ----------------------------------------------------------------------------------- */

/* The elements of one moment, in a tuple: a list whose array gets no memory crashes CPython 3.14t. */
static PyObject *
members_of(ct_state *st, PyObject *self)
{
    ct_set_keys *block = ct_set_still_block(st, self);
    PyObject *members = block == NULL ? NULL : PyTuple_New(ct_set_count(block));
    ct_set_item item;
    Py_ssize_t at = 0, count = 0;
    while (members != NULL && ct_set_next(block, &at, &item) >= 0) {
        PyTuple_SET_ITEM(members, count++, Py_NewRef(item.key));
    }
    ct_set_give_back(block);
    return members;
}

/* "Name({a, b})", "Name()". */
static PyObject *
repr_of_members(PyObject *name, PyObject *members)
{
    PyObject *inner, *comma, *joined, *result = NULL;
    if (PyTuple_GET_SIZE(members) == 0) {
        return PyUnicode_FromFormat("%U()", name);
    }
    comma = PyUnicode_FromString(", ");
    inner = comma == NULL ? NULL : PyTuple_New(PyTuple_GET_SIZE(members));
    for (Py_ssize_t i = 0; inner != NULL && i < PyTuple_GET_SIZE(members); i++) {
        PyObject *text = PyObject_Repr(PyTuple_GET_ITEM(members, i));
        if (text == NULL) {
            Py_CLEAR(inner);
            break;
        }
        PyTuple_SET_ITEM(inner, i, text);
    }
    joined = inner == NULL ? NULL : PyUnicode_Join(comma, inner);
    if (joined != NULL) {
        result = PyUnicode_FromFormat("%U({%U})", name, joined);
    }
    Py_XDECREF(joined);
    Py_XDECREF(inner);
    Py_XDECREF(comma);
    return result;
}

PyObject *
ct_set_repr(PyObject *self)
{
    ct_state *st = ct_state_of_type(Py_TYPE(self));
    PyObject *name = PyType_GetName(Py_TYPE(self)), *members, *result = NULL;
    int entered = st == NULL || name == NULL ? -1 : Py_ReprEnter(self);
    if (entered > 0) {
        result = PyUnicode_FromFormat("%U(...)", name);
    }
    else if (entered == 0) {
        members = members_of(st, self);
        result = members == NULL ? NULL : repr_of_members(name, members);
        Py_XDECREF(members);
        Py_ReprLeave(self);
    }
    Py_XDECREF(name);
    return result;
}

static PyObject *
list_of_members(PyObject *members)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PySequence_List(members);
#else /* which there keeps `members` for ever when the list's array gets no memory */
    PyObject *list = PyList_New(PyTuple_GET_SIZE(members));
    for (Py_ssize_t i = 0; list != NULL && i < PyTuple_GET_SIZE(members); i++) {
        PyList_SET_ITEM(list, i, Py_NewRef(PyTuple_GET_ITEM(members, i)));
    }
    return list;
#endif
}

PyObject *
ct_set_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ct_state *st = ct_state_of_type(Py_TYPE(self));
    PyObject *members = st == NULL ? NULL : members_of(st, self);
    PyObject *list = members == NULL ? NULL : list_of_members(members);
    PyObject *arguments = list == NULL ? NULL : PyTuple_Pack(1, list);
    Py_XDECREF(list);
    Py_XDECREF(members);
    return ct_recipe(self, Py_NewRef((PyObject *)Py_TYPE(self)), arguments, NULL);
}
