/* What records.c (threads, pins, fences) and reclaim.c (limbo, batches) share. */
#ifndef CT_RECLAIM_INTERNAL_H
#define CT_RECLAIM_INTERNAL_H

#include "reclaim.h"

/* The registry lock guards the list of records, closed batches and the counters.  Nothing is freed
 * under it, and nobody waits for anything else while holding it.
 *
 * A spin lock, and no PyMutex: waiting for one of those detaches the thread, which suspends the
 * sections that it is in, and ct_synchronize is called inside sections.  (And a thread that is handed
 * a PyMutex while the interpreter shuts down keeps it for ever.) */
#if CT_FT
extern CT_HIDDEN ct_int ct_registry;
void ct_registry_lock(void);
#  define LOCK() ct_registry_lock()
#  define UNLOCK() ct_store_release(&ct_registry, 0)
#else
#  define LOCK() ((void)0)
#  define UNLOCK() ((void)0)
#endif

extern CT_HIDDEN ct_record *ct_all_records; /* under the registry lock */

struct ct_limbo;

int ct_records_process_init(void);      /* registry lock held; 0 or -1 */
void ct_heavy_barrier(void);
/* The lowest pinned sequence, at most `ceiling`.  Registry lock held, heavy barrier done. */
uint64_t ct_oldest_pinned(uint64_t ceiling);
/* A thread ended: hand its limbo of one interpreter over.  Registry lock held; memory only. */
void ct_limbo_orphan(struct ct_limbo *limbo);
struct ct_limbo *ct_limbo_next(struct ct_limbo *limbo);

#endif
