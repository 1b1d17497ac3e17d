/* Whether an object is the calling thread's alone: nobody else has a reference through which to reach it.
 * Iterators ask it, about themselves at each step and about the pair that they handed out last. */
#ifndef CT_ALONE_H
#define CT_ALONE_H

#include "reclaim.h"

/* Whether only the calling thread can reach `o`, through the one reference that it has. */
CT_INLINE int
ct_is_alone(PyObject *o)
{
#if !CT_FT
    return Py_REFCNT(o) == 1;
#elif PY_VERSION_HEX >= 0x030E0000
    return PyUnstable_Object_IsUniquelyReferenced(o);
#else
    (void)o;
    return 0;
#endif
}

/* The thread that made an object.  Its record may go on to another thread, so with its life. */
typedef struct {
    ct_record *record; /* NULL without memory: nobody */
    unsigned int life;
} ct_maker;

CT_INLINE ct_maker
ct_maker_here(void)
{
    ct_maker maker = {NULL, 0};
#if CT_FT
    maker.record = ct_self();
    maker.life = maker.record == NULL ? 0 : maker.record->lives;
#endif
    return maker;
}

/* As ct_is_alone of an object that `maker` made, without a call; 0 for other threads.  Who makes an object
 * has a count of its own in it, and all others share one: in the maker's eyes the sum is exact. */
CT_INLINE int
ct_is_makers_alone(PyObject *o, const ct_maker *maker)
{
#if CT_FT
    ct_record *self = ct_tls_record;
    return self != NULL && self == maker->record && self->lives == maker->life
           && Py_REFCNT(o) == 1;
#else
    (void)maker;
    return Py_REFCNT(o) == 1;
#endif
}

#endif
