/* concurrent_tables.stress._search: `search`, and aids of the harness (`ticket`, nomemory.c).
 *
 * The arguments are flat arrays of 64-bit numbers that check/native.py makes; here they are only
 * checked for their sizes and taken over. One call judges many parts (keys, or windows) with the same
 * tables, so that a small part costs little more than its own steps.
 */
#include "search.h"

#include <stdatomic.h>
#include <string.h>

#define STEPS_BETWEEN_SIGNALS (1u << 18)

typedef struct {
    Py_buffer view;
    const int64_t *items;
    int64_t count;
} numbers;

static int
take(PyObject *object, numbers *into, const char *name)
{
    if (PyObject_GetBuffer(object, &into->view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    static const int64_t nothing[1];
    if (into->view.len == 0) {  /* an empty array's buffer may be anywhere, unaligned too */
        into->items = nothing;
        return 0;
    }
    if (into->view.len % 8 != 0 || (uintptr_t)into->view.buf % 8 != 0) {
        PyErr_Format(PyExc_ValueError, "%s must be an array of 64-bit numbers", name);
        return -1;
    }
    into->items = into->view.buf;
    into->count = into->view.len / 8;
    return 0;
}

/* Offsets rise from 0 to at most `end`: everything else would read outside of an array. */
static int
check_offsets(const numbers *offsets, int64_t end, const char *name)
{
    int64_t before = 0;
    for (int64_t i = 0; i < offsets->count; i++) {
        if (offsets->items[i] < before || offsets->items[i] > end) {
            PyErr_Format(PyExc_ValueError, "%s[%lld] = %lld is out of range", name, (long long)i,
                         (long long)offsets->items[i]);
            return -1;
        }
        before = offsets->items[i];
    }
    return 0;
}

/* What was linearized, in order: the whole of it, or the longest prefix. */
static PyObject *
path_of(const ct_search *s, ct_verdict verdict)
{
    int64_t length = verdict == VERDICT_OK ? s->depth : s->best_depth < 0 ? 0 : s->best_depth;
    PyObject *path = PyList_New((Py_ssize_t)length);
    for (int64_t i = 0; path != NULL && i < length; i++) {
        PyObject *op = PyLong_FromLongLong(verdict == VERDICT_OK ? s->path[i].op : s->best[i]);
        if (op == NULL) {
            Py_CLEAR(path);
            break;
        }
        PyList_SET_ITEM(path, (Py_ssize_t)i, op);
    }
    return path;
}

static ct_verdict
run_part(ct_search *s)
{
    for (;;) {
        ct_verdict verdict;
        if (s->machine.kind == MACHINE_PYTHON) {
            verdict = ct_search_run(s, STEPS_BETWEEN_SIGNALS);
        }
        else {
            Py_BEGIN_ALLOW_THREADS
            verdict = ct_search_run(s, STEPS_BETWEEN_SIGNALS);
            Py_END_ALLOW_THREADS
        }
        if (verdict != VERDICT_MORE) {
            return verdict;
        }
        if (PyErr_CheckSignals() < 0) {
            return VERDICT_ERROR;
        }
    }
}

static PyObject *
judge_part(ct_search *s, int64_t begin, int64_t n, int64_t initial, int want_paths)
{
    ct_verdict verdict = ct_search_begin(s, begin, n, initial) ? run_part(s) : VERDICT_MEMORY;
    if (verdict == VERDICT_ERROR) {
        return NULL;
    }
    if (verdict == VERDICT_OK && !want_paths) {
        return Py_NewRef(Py_None);
    }
    PyObject *path = path_of(s, verdict);
    if (path == NULL) {
        return NULL;
    }
    return Py_BuildValue("iNLK", (int)verdict, path, (long long)s->blocked,
                         (unsigned long long)s->steps);
}

static PyObject *
judge_parts(ct_search *s, const numbers *parts, const numbers *initial, int want_paths)
{
    Py_ssize_t count = (Py_ssize_t)(parts->count - 1);
    PyObject *results = PyList_New(count);
    for (Py_ssize_t i = 0; results != NULL && i < count; i++) {
        int64_t begin = parts->items[i];
        PyObject *result = judge_part(s, begin, parts->items[i + 1] - begin,
                                      initial->items[i], want_paths);
        if (result == NULL) {
            Py_CLEAR(results);
            break;
        }
        PyList_SET_ITEM(results, i, result);
    }
    return results;
}

static int
check(const numbers *given, ct_machine_kind kind, PyObject *step)
{
    const numbers *parts = &given[0], *initial = &given[1], *calls = &given[2];
    const numbers *returns = &given[3], *first = &given[4], *program = &given[5];
    int64_t n = calls->count, width = (int64_t)(sizeof(ct_instruction) / 8);
    bool python = kind == MACHINE_PYTHON;
    if (n >= INT32_MAX / 4 || returns->count != n || parts->count < 1
        || initial->count < parts->count - 1 || first->count != n + (python ? 0 : 1)
        || program->count % width != 0 || kind < MACHINE_CELL || kind > MACHINE_PYTHON
        || (python && !PyCallable_Check(step))) {
        PyErr_SetString(PyExc_ValueError, "search(): the arrays do not fit together");
        return -1;
    }
    if (check_offsets(parts, n, "parts") < 0) {
        return -1;
    }
    return python ? 0 : check_offsets(first, program->count / width, "first");
}

static PyObject *
run(numbers *given, int kind, PyObject *step, double seconds, Py_ssize_t memory,
    unsigned long long max_steps, int want_paths)
{
    if (check(given, (ct_machine_kind)kind, step) < 0) {
        return NULL;
    }
    ct_search search = {
        .budget = {0, (size_t)memory},
        .calls = given[2].items,
        .returns = given[3].items,
        .max_steps = max_steps,
        .deadline = ct_now() + seconds,
    };
    search.memo.budget = search.machine.budget = &search.budget;
    search.machine.kind = (ct_machine_kind)kind;
    search.machine.first = given[4].items;
    search.machine.program = (const ct_instruction *)given[5].items;
    search.machine.step = step;
    PyObject *results = judge_parts(&search, &given[0], &given[1], want_paths);
    ct_search_free(&search);
    return results;
}

static PyObject *
search_function(PyObject *Py_UNUSED(module), PyObject *args)
{
    static const char *const names[] = {"parts", "initial", "calls", "returns", "first", "program"};
    PyObject *objects[6], *step, *result = NULL;
    int kind, want_paths;
    double seconds;
    Py_ssize_t memory;
    unsigned long long max_steps;
    if (!PyArg_ParseTuple(args, "iOOOOOOOdnKp:search", &kind, &objects[0], &objects[1], &objects[2],
                          &objects[3], &objects[4], &objects[5], &step, &seconds, &memory,
                          &max_steps, &want_paths)) {
        return NULL;
    }
    numbers given[6];
    memset(given, 0, sizeof(given));
    int taken = 0;
    while (taken < 6 && take(objects[taken], &given[taken], names[taken]) == 0) {
        taken++;
    }
    if (taken == 6) {
        result = run(given, kind, step, seconds, memory < 0 ? 0 : memory, max_steps, want_paths);
    }
    for (int i = 0; i < 6; i++) {
        if (given[i].view.obj != NULL) {
            PyBuffer_Release(&given[i].view);
        }
    }
    return result;
}

PyDoc_STRVAR(search_doc,
"search(kind, parts, initial, calls, returns, first, program, step, seconds, memory, max_steps,\n"
"       want_paths) -> list of (verdict, path, blocked, steps), None for a part that is ok\n\n"
"The compiled search; check/native.py says what the arrays hold. Safe to call from several threads.");

/* One counter for the whole process. Sequentially consistent, so that no call is seen to begin
   before one that ended before it. */
static _Atomic long long tickets = 1;

static PyObject *
ticket_function(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLongLong(atomic_fetch_add(&tickets, 1));
}

PyDoc_STRVAR(ticket_doc,
"ticket() -> int\n\n"
"A number larger than every one drawn before, by any thread. Safe to call from several threads.");

PyDoc_STRVAR(prepare_failures_doc,
"prepare_failures() -> None\n\n"
"Put allocators in place that fail_allocation() commands. While this is the only thread.");

PyDoc_STRVAR(fail_allocation_doc,
"fail_allocation(number) -> bool\n\n"
"The allocation of this thread with that number from now on fails, once; 0 means none.\n"
"Whether no failure was pending. Does nothing before prepare_failures().");

static PyMethodDef methods[] = {
    {"ticket", ticket_function, METH_NOARGS, ticket_doc},
    {"search", search_function, METH_VARARGS, search_doc},
    {"prepare_failures", ct_prepare_failures, METH_NOARGS, prepare_failures_doc},
    {"fail_allocation", ct_fail_allocation, METH_O, fail_allocation_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_search",
    .m_doc = PyDoc_STR("The compiled linearizability search of concurrent_tables.stress.check."),
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__search(void)
{
    return PyModuleDef_Init(&definition);
}
