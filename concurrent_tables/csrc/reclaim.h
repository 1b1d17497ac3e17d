/* Epoch reclamation: pins for readers, retire for writers.  The essay is in reclaim.c. */
#ifndef CT_RECLAIM_H
#define CT_RECLAIM_H

#include "ct_common.h"

enum {
    CT_BATCH_ITEMS = 64,      /* items that share one sequence number */
    CT_POLL_BATCHES = 4,      /* closed batches of a thread before it polls by itself, */
    CT_HURRIED_BATCHES = 16,  /* or so many if they came within ... */
    CT_HURRY_NS = 200 * 1000, /* ... this time: the barrier costs 10 us, and stops every thread */
    CT_POLL_BYTES = 256 * 1024,
    CT_PRESSURE_ITEMS = 4096, /* above this a writer waits for readers */
    CT_PRESSURE_BYTES = 64 * 1024 * 1024,
    CT_PRESSURE_ROUNDS = 2000,
};

/* What a limbo item is, in the low bits of the word. */
enum { CT_ITEM_OBJECT = 0, CT_ITEM_BLOCK = 1, CT_ITEM_CALLBACK = 2, CT_ITEM_RAW = 3, CT_ITEM_MASK = 3 };

struct ct_limbo;

#if CT_FT && PY_VERSION_HEX >= 0x030E0000
#  define CT_SPECIALS 1
#else
#  define CT_SPECIALS 0
#endif
enum { CT_SPECIALS_LOG2 = 2, CT_SPECIALS_PATIENCE = 1023 };

/* Which functions a class's __hash__ and __eq__ are; see special.c. */
typedef struct {
    PyTypeObject *type;     /* borrowed */
    PyObject *hash, *equal; /* borrowed; NULL: not Python functions */
    vectorcallfunc call_hash, call_equal;
    uint64_t changes;       /* class_changes then */
    unsigned int interpreter;
    uint16_t wait, delay;   /* so often more without looking, when it does not fit */
    uint64_t pad;           /* a line each */
} ct_special;

/* What one thread publishes.  Its own cache lines: no reader's pin slows another's down. */
typedef struct ct_record {
    ct_u64 seq;               /* 0: not pinned */
    struct ct_limbo *limbo;   /* own thread only (or the registry lock once it ended) */
    unsigned int number;      /* small, unique among live threads: picks version stripes */
    int in_use;               /* under the registry lock */
    uint64_t writes;          /* commits by this thread: a lookup notices that its __eq__ wrote */
    struct ct_record *next;   /* under the registry lock; records are never freed, only reused */
    uint64_t visits;          /* reads of records that another thread owned (split.c) */
    int sealed;               /* a write met a sealed block (keys.h) since this was last asked */
    unsigned int lives;       /* which thread has it: one more each time it is used again */
    char pad[128 - 60];
#if CT_SPECIALS
    ct_special specials[1 << CT_SPECIALS_LOG2]; /* own thread only */
#endif
} ct_record;

typedef struct ct_reclaim_stats {
    uint64_t sequence;
    Py_ssize_t threads, pinned, pending_items, pending_bytes;
    uint64_t retired_total, freed_total, polls, pressure_waits, callback_errors;
} ct_reclaim_stats;

extern CT_HIDDEN ct_u64 ct_sequence;
extern CT_HIDDEN int ct_needs_fence; /* no asymmetric fence: readers pay a full one */

int ct_reclaim_init(ct_state *st);
void ct_reclaim_clear(ct_state *st);
void ct_reclaim_free(ct_state *st);

/* Free `item` (one of CT_ITEM_*) when no pinned reader can see it.  Call unlocked and unpinned (I7):
 * it may run finalizers.  Never fails: without memory it waits for a grace period and frees. */
void ct_retire(ct_state *st, uintptr_t item, size_t nbytes);
/* Wait until everybody pinned now has unpinned.  Caller is unpinned; a section may be held. */
void ct_synchronize(void);
/* In a loop that waits for another thread, whose `round`-th round this is. */
void ct_pause_thread(unsigned int round);
Py_ssize_t ct_poll(ct_state *st);
Py_ssize_t ct_flush(ct_state *st);
void ct_reclaim_get_stats(ct_state *st, ct_reclaim_stats *out);
int ct_domain_type_init(PyObject *module, ct_state *st);

#if CT_FT

#  if defined(__GNUC__) && !defined(__APPLE__) && !defined(_WIN32)
extern CT_HIDDEN _Thread_local ct_record *ct_tls_record __attribute__((tls_model("initial-exec")));
#  else
extern _Thread_local ct_record *ct_tls_record;
#  endif
ct_record *ct_record_make(void); /* NULL without memory; no exception set */

CT_INLINE ct_record *
ct_self(void)
{
    ct_record *self = ct_tls_record;
    return CT_LIKELY(self != NULL) ? self : ct_record_make();
}

/* Begin a read: nothing retired from now on is freed before ct_unpin.  While pinned: no user code,
 * no decref, no lock wait, no detach (I5); pins do not nest, which I5 makes unnecessary. */
CT_INLINE void
ct_pin(ct_record *self)
{
    CT_ASSERT(ct_load_relaxed(&self->seq) == 0);
#  if CT_TSAN
    /* Pairs with the read-modify-write of the scan: one of the two sees the other. */
    (void)ct_exchange_seq_cst(&self->seq, ct_load_acquire(&ct_sequence));
#  else
    ct_store_relaxed(&self->seq, ct_load_acquire(&ct_sequence));
    if (CT_UNLIKELY(ct_needs_fence)) {
        ct_full_fence();
    }
    ct_light_barrier();
#  endif
    CT_POINT(pin);
}

CT_INLINE void
ct_unpin(ct_record *self)
{
    CT_POINT(unpin);
    ct_store_release(&self->seq, 0); /* pairs with the scan's acquire: our loads are over */
}

#else /* with the GIL nothing can be freed during a read that runs no user code */

/* Tells threads apart, and counts their writes; never pinned. */
#  if defined(__GNUC__) && !defined(__APPLE__) && !defined(_WIN32)
extern CT_HIDDEN _Thread_local ct_record ct_gil_record __attribute__((tls_model("initial-exec")));
#  else
extern _Thread_local ct_record ct_gil_record;
#  endif

CT_INLINE ct_record *
ct_self(void)
{
    return &ct_gil_record;
}
CT_INLINE void
ct_pin(ct_record *self)
{
    (void)self;
}
CT_INLINE void
ct_unpin(ct_record *self)
{
    (void)self;
}
#endif

#if CT_FT
CT_INLINE int
ct_is_immortal(PyObject *o)
{
#  if PY_VERSION_HEX >= 0x030E0000
    return PyUnstable_IsImmortal(o);
#  else
    (void)o;
    return 0;
#  endif
}
#endif

/* Drop a reference that a table held.  `shared`: some other thread may be reading it (I10). */
CT_INLINE void
ct_drop(ct_state *st, PyObject *o, int shared)
{
#if CT_FT
    if (shared) {
        if (!ct_is_immortal(o)) {
            ct_retire(st, (uintptr_t)o | CT_ITEM_OBJECT, 0);
        }
        return;
    }
#else
    (void)st;
    (void)shared;
#endif
    Py_DECREF(o);
}

#endif
