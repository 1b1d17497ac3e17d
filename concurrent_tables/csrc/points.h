/* Yield points of test builds (-DCT_POINTS): seeded delays, or one thread at a time in a chosen order.
 *
 *   CT_POINT(id)        a linearization point, fence or publication.  The thread may be pinned or hold a
 *                       section: it waits there attached, with primitives of the operating system alone
 *   CT_POINT_OPEN(id)   the thread holds nothing: it detaches from the interpreter while it waits
 *   CT_POINT_SPIN(id)   a round of a loop that waits for other threads: let one of them run
 *   CT_POINT_LOCK(lock) about to take `lock`, which may block: the schedule knows who has it, and picks
 *                       nobody who would have to wait.  CT_POINT_UNLOCK() after it was let go
 *
 * A release build compiles all of them to nothing.  The essay is in points.c. */
#ifndef CT_POINTS_H
#define CT_POINTS_H

#ifdef CT_POINTS
#  include <Python.h>
void ct_point(const char *id);
void ct_point_open(const char *id);
void ct_point_spin(const char *id);
void ct_point_lock(const void *lock);
void ct_point_unlock(void);
int ct_points_init(PyObject *module); /* 0 or -1 */
#  define CT_POINT(id) ct_point(#id)
#  define CT_POINT_OPEN(id) ct_point_open(#id)
#  define CT_POINT_SPIN(id) ct_point_spin(#id)
#  define CT_POINT_LOCK(lock) ct_point_lock(lock)
#  define CT_POINT_UNLOCK() ct_point_unlock()
#else
#  define CT_POINT(id) ((void)0)
#  define CT_POINT_OPEN(id) ((void)0)
#  define CT_POINT_SPIN(id) ((void)0)
#  define CT_POINT_LOCK(lock) ((void)0)
#  define CT_POINT_UNLOCK() ((void)0)
#  define ct_points_init(module) 0
#endif

#endif
