/* The one file that owns the atomics.
 *
 * Every field that two threads may touch is read and written through an accessor of this file, and
 * the memory order is in the accessor's name.
 *
 *   relaxed   the value alone matters (counters, hints, DUMMY marks)
 *   acquire   pairs with a release of the same location: what was written before it is visible
 *   release   publishes what this thread wrote before
 *   acq_rel   read-modify-writes that hand something over in both directions (value slots)
 *   seq_cst   the two store-then-load handshakes (see table.h, "becoming shared")
 */
#ifndef CT_ATOMICS_H
#define CT_ATOMICS_H

#include <stdatomic.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#  define CT_TSAN 1
#elif defined(__has_feature)
#  if __has_feature(thread_sanitizer)
#    define CT_TSAN 1
#  endif
#endif
#ifndef CT_TSAN
#  define CT_TSAN 0
#endif

typedef _Atomic(uintptr_t) ct_word;
typedef _Atomic(uint64_t) ct_u64;
typedef _Atomic(Py_ssize_t) ct_ssize;
typedef _Atomic(int) ct_int;

#define ct_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define ct_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define ct_load_seq_cst(p) atomic_load_explicit((p), memory_order_seq_cst)
#define ct_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define ct_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define ct_store_seq_cst(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)
#define ct_exchange_acq_rel(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define ct_exchange_seq_cst(p, v) atomic_exchange_explicit((p), (v), memory_order_seq_cst)
#define ct_fetch_add_relaxed(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define ct_fetch_add_acq_rel(p, v) atomic_fetch_add_explicit((p), (v), memory_order_acq_rel)
#define ct_fetch_or_acq_rel(p, v) atomic_fetch_or_explicit((p), (v), memory_order_acq_rel)

/* seq_cst on success: the owner's half of the handshake that decides "still unshared?". */
#define ct_cas_seq_cst(p, expected, desired)                                                       \
    atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_seq_cst,      \
                                            memory_order_acquire)

/* A counter with one writer at a time (a lock holder, or the thread that owns it): no RMW. */
#define ct_bump_release(p) ct_store_release((p), ct_load_relaxed(p) + 1)
#define ct_add_relaxed(p, d) ct_store_relaxed((p), ct_load_relaxed(p) + (d))

/* Keeps the compiler from moving accesses across; the processor's half is the heavy barrier that
 * the reclaiming side runs (reclaim.c). */
#define ct_light_barrier() atomic_signal_fence(memory_order_seq_cst)
#define ct_full_fence() atomic_thread_fence(memory_order_seq_cst)

/* In a spin loop: leave the processor's other hardware thread more room. */
#if defined(__x86_64__)
#  define ct_relax() __builtin_ia32_pause()
#else
#  define ct_relax() atomic_signal_fence(memory_order_seq_cst)
#endif

/* The cached hash of a str is a plain field of the interpreter that any thread may fill in. */
#if defined(__GNUC__) || defined(__clang__)
#  define ct_foreign_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#else
#  define ct_foreign_load_relaxed(p) (*(volatile const Py_hash_t *)(p))
#endif

#endif
