/* Thread records: who is pinned; the fences of pin and scan; thread exit and fork.  The essay is in
 * reclaim.c. */
#include "reclaim_internal.h"

#if CT_FT && !defined(_WIN32)
#  include <pthread.h>
#  include <sched.h>
#  if defined(__linux__)
#    include <linux/membarrier.h>
#    include <sys/syscall.h>
#    include <unistd.h>
#  endif
#endif
#if CT_FT && defined(_WIN32)
#  include <windows.h>
#endif

/* Lines of their own: every pin reads the sequence, while pollers fight for the lock. */
CT_HIDDEN _Alignas(128) ct_u64 ct_sequence = 1;
CT_HIDDEN int ct_needs_fence = 1;
CT_HIDDEN ct_record *ct_all_records;

#if CT_FT
CT_HIDDEN _Alignas(128) ct_int ct_registry;

void
ct_registry_lock(void)
{
    for (unsigned int round = 0; ct_exchange_acq_rel(&ct_registry, 1) != 0; round++) {
        ct_pause_thread(round);
    }
}
#else
#  if defined(__GNUC__) && !defined(__APPLE__) && !defined(_WIN32)
CT_HIDDEN _Thread_local ct_record ct_gil_record __attribute__((tls_model("initial-exec")));
#  else
_Thread_local ct_record ct_gil_record;
#  endif
#endif

/* -- the fence and the scan --------------------------------------------------------------------- */

void
ct_heavy_barrier(void)
{
    CT_POINT(heavy_barrier);
#if CT_FT
#  if defined(__linux__)
    if (!ct_needs_fence) {
        syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
        return;
    }
#  elif defined(_WIN32)
    if (!ct_needs_fence) {
        FlushProcessWriteBuffers();
        return;
    }
#  endif
    ct_full_fence();
#endif
}

static void
register_barrier(void)
{
#if CT_FT && defined(__linux__)
    long rc = syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    ct_needs_fence = rc != 0;
#elif CT_FT && defined(_WIN32)
    ct_needs_fence = 0;
#else
    ct_needs_fence = 1;
#endif
}

#if CT_FT
static uint64_t
published(ct_record *record)
{
#  if CT_TSAN
    return ct_fetch_add_acq_rel(&record->seq, 0);
#  else
    return ct_load_acquire(&record->seq);
#  endif
}
#endif

/* The lowest pinned sequence, at most `ceiling`.  Registry lock held, heavy barrier done. */
uint64_t
ct_oldest_pinned(uint64_t ceiling)
{
#if CT_FT
    for (ct_record *record = ct_all_records; record != NULL; record = record->next) {
        uint64_t seq = published(record);
        if (seq != 0 && seq < ceiling) {
            ceiling = seq;
        }
    }
#endif
    return ceiling;
}

void
ct_pause_thread(unsigned int round)
{
#if CT_FT
    if (round > 64) {
#  ifdef _WIN32
        SwitchToThread();
#  else
        sched_yield();
#  endif
    }
#else
    (void)round;
#endif
}

/* A pinned thread cannot wait for anything (I5), so this ends even with a section held. */
void
ct_synchronize(void)
{
#if CT_FT
    uint64_t goal = ct_fetch_add_acq_rel(&ct_sequence, 1) + 1;
    ct_heavy_barrier();
    LOCK();
    ct_record *record = ct_all_records; /* later records cannot hold an older pin */
    UNLOCK();
    for (; record != NULL; record = record->next) {
        uint64_t seq;
        for (unsigned int round = 0; (seq = published(record)) != 0 && seq < goal; round++) {
            CT_POINT_SPIN(grace_wait);
            ct_pause_thread(round);
        }
    }
#endif
}

/* -- records ------------------------------------------------------------------------------------ */

#if CT_FT

#  if defined(__GNUC__) && !defined(__APPLE__) && !defined(_WIN32)
CT_HIDDEN _Thread_local ct_record *ct_tls_record __attribute__((tls_model("initial-exec")));
#  else
_Thread_local ct_record *ct_tls_record;
#  endif

/* The thread ended (or, in a forked child, does not exist): hand its limbo over.  Only memory is
 * moved, no Python call: the thread has no interpreter state any more. */
static void
record_abandon(ct_record *record)
{
    struct ct_limbo *limbo = record->limbo;
    while (limbo != NULL) {
        struct ct_limbo *next = ct_limbo_next(limbo);
        ct_limbo_orphan(limbo);
        limbo = next;
    }
    record->limbo = NULL;
    ct_store_release(&record->seq, 0);
    record->in_use = 0;
}

#  ifndef _WIN32
static pthread_key_t exit_key;

static void
on_thread_exit(void *record)
{
    LOCK();
    record_abandon(record);
    UNLOCK();
    ct_tls_record = NULL;
}

/* The lock is held over a fork: an ending thread may hold it, and it would stay held in the child. */
static void
before_fork(void)
{
    LOCK();
}

static void
after_fork_in_parent(void)
{
    UNLOCK();
}

static void
after_fork_in_child(void)
{
    for (ct_record *record = ct_all_records; record != NULL; record = record->next) {
        if (record != ct_tls_record && record->in_use) {
            record_abandon(record);
        }
    }
    register_barrier();
    UNLOCK();
}

static int
platform_init(void)
{
    if (pthread_key_create(&exit_key, on_thread_exit) != 0) {
        return -1;
    }
    return pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0 ? -1 : 0;
}

static void
platform_thread_init(ct_record *record)
{
    (void)pthread_setspecific(exit_key, record); /* without it the limbo stays until flush() */
}
#  else
static DWORD exit_key;

static void WINAPI
on_thread_exit(void *record)
{
    if (record != NULL) {
        LOCK();
        record_abandon(record);
        UNLOCK();
        ct_tls_record = NULL;
    }
}

static int
platform_init(void)
{
    exit_key = FlsAlloc(on_thread_exit);
    return exit_key == FLS_OUT_OF_INDEXES ? -1 : 0;
}

static void
platform_thread_init(ct_record *record)
{
    FlsSetValue(exit_key, record);
}
#  endif

static ct_record *
record_allocate(void)
{
    char *raw = PyMem_RawMalloc(sizeof(ct_record) + 127);
    if (raw == NULL) {
        return NULL;
    }
    ct_record *record = (ct_record *)(((uintptr_t)raw + 127) & ~(uintptr_t)127);
    memset(record, 0, sizeof(*record));
    return record;
}

/* Records are reused, never freed: a scan walks the list while threads come and go.  The thread that
 * reuses a record also inherits the tables that only the ended thread had touched (I9): that is one
 * live thread still. */
CT_NOINLINE ct_record *
ct_record_make(void)
{
    LOCK();
    ct_record *record = ct_all_records;
    unsigned int number = 0;
    for (; record != NULL && record->in_use; record = record->next) {
        number++;
    }
    if (record == NULL) {
        record = record_allocate();
        if (record == NULL) {
            UNLOCK();
            return NULL;
        }
        record->number = number;
        record->next = ct_all_records;
        ct_all_records = record;
    }
    record->in_use = 1;
    record->lives++;
    UNLOCK();
    ct_tls_record = record;
    platform_thread_init(record);
    return record;
}

#else
static int
platform_init(void)
{
    return 0;
}
#endif

int
ct_records_process_init(void)
{
    int status = platform_init();
    register_barrier();
    return status;
}
