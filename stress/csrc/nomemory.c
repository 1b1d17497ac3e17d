/* Allocation failures of one thread.
 *
 * Python can replace its allocators for the whole process only. Ours pass everything on, except that
 * a thread may say that one of its next allocations is to fail: a number of its own counts down. They
 * are put in place once, before there are other threads, and stay for the life of the process, so
 * that no thread ever sees an allocator half replaced.
 */
#include "search.h"

#if defined(_MSC_VER)
#define THREAD_LOCAL __declspec(thread)
#else
#define THREAD_LOCAL _Thread_local
#endif

static PyMemAllocatorEx inner[2];  /* of the domains "mem" and "object" */
static int in_place;
static THREAD_LOCAL long left;  /* the allocation that fails; 0 means none */

static int
fails(void)
{
    return left > 0 && --left == 0;
}

static void *
hook_malloc(void *context, size_t size)
{
    PyMemAllocatorEx *next = context;
    return fails() ? NULL : next->malloc(next->ctx, size);
}

static void *
hook_calloc(void *context, size_t count, size_t size)
{
    PyMemAllocatorEx *next = context;
    return fails() ? NULL : next->calloc(next->ctx, count, size);
}

static void *
hook_realloc(void *context, void *old, size_t size)
{
    PyMemAllocatorEx *next = context;
    return fails() ? NULL : next->realloc(next->ctx, old, size);
}

static void
hook_free(void *context, void *old)
{
    PyMemAllocatorEx *next = context;
    next->free(next->ctx, old);
}

PyObject *
ct_prepare_failures(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    static const PyMemAllocatorDomain domains[] = {PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ};
    if (!in_place) {
        in_place = 1;
        for (int i = 0; i < 2; i++) {
            PyMemAllocatorEx hook = {&inner[i], hook_malloc, hook_calloc, hook_realloc, hook_free};
            PyMem_GetAllocator(domains[i], &inner[i]);
            PyMem_SetAllocator(domains[i], &hook);
        }
    }
    Py_RETURN_NONE;
}

PyObject *
ct_fail_allocation(PyObject *Py_UNUSED(module), PyObject *number)
{
    long wanted = PyLong_AsLong(number);
    if (wanted == -1 && PyErr_Occurred()) {
        return NULL;
    }
    int met = left == 0;
    left = in_place && wanted > 0 ? wanted : 0;
    if (met) {
        Py_RETURN_TRUE;
    }
    Py_RETURN_FALSE;
}
