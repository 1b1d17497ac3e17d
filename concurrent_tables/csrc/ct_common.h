/* What every file of the extension includes: Python, feature switches, the module state. */
#ifndef CT_COMMON_H
#define CT_COMMON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "structmember.h"

#include "ct_atomics.h"
#include "points.h"

/* CT_FT: threads run in parallel.  GIL builds compile pins, epochs and sections to nothing, but keep
 * every restart, because __eq__ can switch threads there too. */
#ifdef Py_GIL_DISABLED
#  define CT_FT 1
#else
#  define CT_FT 0
#endif

#if defined(__GNUC__) || defined(__clang__)
#  define CT_LIKELY(x) __builtin_expect(!!(x), 1)
#  define CT_UNLIKELY(x) __builtin_expect(!!(x), 0)
#  define CT_NOINLINE __attribute__((noinline))
#  define CT_INLINE static inline __attribute__((always_inline))
#  define CT_HIDDEN __attribute__((visibility("hidden")))
#  define CT_ALIGNED __attribute__((aligned(64))) /* hot: where its code lies must not be luck */
#  if defined(__x86_64__) /* the builtin emits it only for compilers told of newer processors */
#    define CT_PREFETCH_FOR_WRITE(p) __asm__ volatile("prefetchw %0" : : "m"(*(const char *)(p)))
#  else
#    define CT_PREFETCH_FOR_WRITE(p) __builtin_prefetch(p, 1)
#  endif
#else
#  define CT_LIKELY(x) (x)
#  define CT_UNLIKELY(x) (x)
#  define CT_NOINLINE
#  define CT_INLINE static inline
#  define CT_HIDDEN
#  define CT_ALIGNED
#  define CT_PREFETCH_FOR_WRITE(p) ((void)0)
#endif

/* CT_DEBUG: invariant assertions and poisoned blocks (-DCT_DEBUG=1). */
#ifndef CT_DEBUG
#  define CT_DEBUG 0
#endif
#if CT_DEBUG
#  include <stdio.h>
#  define CT_ASSERT(cond)                                                                          \
      do {                                                                                         \
          if (!(cond)) {                                                                           \
              fprintf(stderr, "%s:%d: invariant broken: %s\n", __FILE__, __LINE__, #cond);         \
              abort();                                                                             \
          }                                                                                        \
      } while (0)
#else
#  define CT_ASSERT(cond) ((void)0)
#endif

struct ct_domain;
extern CT_HIDDEN int ct_poison; /* debug mode: overwrite blocks when their memory goes */

/* State of one interpreter's module object. */
typedef struct ct_state {
    struct ct_domain *domain;
    unsigned int number; /* of the interpreter, in this process; never used again */
    int class_watcher;   /* its id + 1, or 0 (special.c) */
    PyObject *module; /* borrowed */
    /* heap types */
    PyTypeObject *dict_type;
    PyTypeObject *frozen_dict_type;
    PyTypeObject *keys_view_type;
    PyTypeObject *values_view_type;
    PyTypeObject *items_view_type;
    PyTypeObject *iter_type;
    PyTypeObject *reverse_iter_type;
    PyTypeObject *guard_type;
    PyTypeObject *exclusive_type;
    PyTypeObject *event_log_type;
    PyTypeObject *domain_type;
    PyTypeObject *table_types[8]; /* borrowed: types that start with a ct_table */
    /* for the second half: split, sharded, set, frozen set, hash table */
    PyTypeObject *extra_types[17];
    PyObject *extra_objects[16];
    /* shared Python */
    PyObject *missing;
    PyObject *reject_missing;
    PyObject *errors;      /* concurrent_tables.errors */
    PyObject *events;      /* concurrent_tables.events */
    PyObject *hooks;       /* concurrent_tables._hooks */
    PyObject *gates;       /* the module with class Gate */
    PyObject *kinds[7];    /* EventKind members: ADDED .. LOST, by bit */
    PyObject *pairs_of;         /* what dict.update() accepts, as pairs */
    PyObject *mapping_abc, *set_abc; /* collections.abc.Mapping, Set */
    PyObject *copies;           /* _copies: what copies and pickles carry */
    PyObject *newobj;           /* copyreg.__newobj__ */
    PyObject *compute_if_absent; /* _inflight */
    PyObject *flights;          /* its registry: a ConcurrentDict of ours */
    PyObject *layout_type;      /* inspection.Layout */
    PyObject *str_keys, *str_missing_dunder, *str_deliver, *str_hash, *str_eq;
    PyObject *str_called, *str_missed, *str_on_stale, *str_call_clock; /* of caches, */
    PyObject *str_load_or_refresh, *str_ttl, *str_tags;                /* and these, */
    PyObject *str_function, *str_arrive, *str_failed, *str_forsaken;   /* and these */
    PyObject *key_classes; /* {address: weak reference} of those watched */
    PyObject *debug_register; /* debug mode: called with every new table; else NULL */
    unsigned long forks; /* how often this process became a forked child */
    int defer_refcount; /* tables give up immediate refcounting when they become shared */
} ct_state;

extern struct PyModuleDef ct_module_def;

static inline ct_state *
ct_state_of_module(PyObject *module)
{
    return (ct_state *)PyModule_GetState(module);
}

/* The state behind a type of ours or a subclass of one; NULL with an error set otherwise. */
static inline ct_state *
ct_state_of_type(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &ct_module_def);
    return module == NULL ? NULL : ct_state_of_module(module);
}

/* o.name, and o.name(arguments, all objects): attributes.c says why not PyObject_GetAttrString and
 * PyObject_CallMethod.  NULL with an error. */
PyObject *ct_getattr(PyObject *o, const char *name);
PyObject *ct_call_with(PyObject *o, const char *name, ...); /* up to 4, then NULL */
#define ct_call_method(...) ct_call_with(__VA_ARGS__, (PyObject *)NULL)

/* The name of o's type as its __name__ has it. */
static inline const char *
ct_type_name(PyObject *o)
{
    const char *full = Py_TYPE(o)->tp_name, *dot = strrchr(full, '.');
    return dot == NULL ? full : dot + 1;
}

/* The number of positional arguments of a FASTCALL method; 1, or 0 with TypeError. */
static inline int
ct_check_args(const char *name, Py_ssize_t given, Py_ssize_t least, Py_ssize_t most)
{
    if (CT_LIKELY(given >= least && given <= most)) {
        return 1;
    }
    Py_ssize_t wanted = given < least ? least : most;
    PyErr_Format(PyExc_TypeError, "%s expected %s%zd argument%s, got %zd", name,
                 least == most ? "" : given < least ? "at least " : "at most ", wanted,
                 wanted == 1 ? "" : "s", given);
    return 0;
}

/* Names of keyword arguments that become keys: 0, or -1 with TypeError when not all are str. */
static inline int
ct_check_names(PyObject *kwargs)
{
    return kwargs == NULL || PyArg_ValidateKeywordArguments(kwargs) ? 0 : -1;
}

#endif
