/* Yield points: what CT_POINT does in a test build.  A release build compiles this file to nothing.
 *
 * Delays.  At each point a thread spins, yields or sleeps a little, or not, by a random stream of its
 * own that comes from one seed.
 *
 * Serialised order.  Threads that entered (`_points_enter`) run one at a time.  At each point the
 * running thread says where it is, and the schedule picks who goes on; what it picked is the trace,
 * and the same picks give the same run.  Who may be picked:
 *   - a thread that waits at a point, unless it wants a lock that another one has: the schedule keeps
 *     its own account of sections and mutexes, so that nobody picked ever blocks on one;
 *   - a thread in a waiting loop, once another one has moved since, or when nobody else can run;
 *   - not a thread that blocked where the schedule cannot see it (a Python lock, a stopped world):
 *     threads that wait notice that the running one sleeps, and one of them goes on; the sleeper
 *     joins again at its next point.
 *
 * A thread may be pinned or inside a section at a point, so nothing here touches Python objects or
 * detaches, except at open points.  A collector that stops the world would have to wait for threads
 * that wait here attached: switch it off while threads are serialised (it ends all the same, since
 * its thread is then seen to sleep, but the order depends on time).
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE
#endif
#include "ct_common.h"

#ifdef CT_POINTS
#  include "points_schedule.h"

#  include <sched.h>
#  include <stdio.h>
#  include <time.h>

enum { TICK_MS = 20, STALL_TICKS = 4, PATIENCE_TICKS = 100 };

static ct_points_schedule S = {.lock = PTHREAD_MUTEX_INITIALIZER, .current = -1};
static ct_int points_mode;                /* CT_MODE_*: a glance without the lock */
static ct_u64 arrivals;                   /* numbers the streams of threads that did not enter */
static _Thread_local int me = -1;         /* participant number */
static _Thread_local uint64_t my_run;     /* the run that `me` belongs to */
static _Thread_local uint64_t stream, stream_run;

/* -- delays ------------------------------------------------------------------------------------- */

static void
delay(void)
{
    if (stream_run != S.run) {
        uint64_t number = me >= 0 && my_run == S.run ? (uint64_t)me : 1000 + ct_fetch_add_relaxed(&arrivals, 1);
        stream = S.seed * 0x9e3779b97f4a7c15u + number;
        stream_run = S.run;
    }
    uint64_t r = ct_points_random(&stream);
    if (r % 256 == 0) {
        struct timespec pause = {0, (long)(r >> 8) % 100000};
        nanosleep(&pause, NULL);
    }
    else if (r % 16 == 1) {
        sched_yield();
    }
    else if (r % 4 == 2) {
        for (volatile int i = (int)(r >> 8 & 1023); i > 0; i--) {
        }
    }
}

/* -- one thread at a time ----------------------------------------------------------------------- */

/* Whether the thread sleeps in the kernel; 1 where that cannot be known. */
static int
sleeps(long tid)
{
#  ifdef __linux__
    char path[64], text[256];
    snprintf(path, sizeof(path), "/proc/self/task/%ld/stat", tid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return 1;
    }
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[size] = '\0';
    const char *end = strrchr(text, ')');
    return end == NULL || end[1] == '\0' || end[2] == 'S' || end[2] == 'D';
#  else
    (void)tid;
    return 1;
#  endif
}

/* A waiting thread woke up by time: is the running one blocked somewhere?  Lock held. */
static void
look_for_stall(void)
{
    S.ticks++;
    if (S.current < 0) {
        if (S.ticks > PATIENCE_TICKS && S.running) {
            S.impatient = 1; /* a recorded order waits for somebody who does not come */
            ct_points_pick(&S);
        }
        return;
    }
    ct_participant *p = &S.threads[S.current];
    if (p->state != CT_RUNNING || !sleeps(p->tid)) {
        S.ticks = 0;
    }
    else if (S.ticks >= STALL_TICKS) {
        p->state = CT_OUTSIDE;
        S.stalls++;
        ct_points_pick(&S);
    }
}

/* Wait for the turn of `p`; lock held.  0 when the run was called off. */
static int
wait_for_turn(ct_participant *p, int number, uint64_t run)
{
    while (S.run == run && S.current != number) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += TICK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        if (pthread_cond_timedwait(&p->wake, &S.lock, &until) != 0 && S.run == run) {
            look_for_stall();
        }
    }
    if (S.run != run) {
        return 0;
    }
    p->state = CT_RUNNING;
    S.ticks = 0;
    return 1;
}

/* The calling thread is at a point; it goes on when it is picked. */
static void
arrive(const char *id, const void *wants, int spins)
{
    pthread_mutex_lock(&S.lock);
    if (S.run == my_run && S.running) {
        ct_participant *p = &S.threads[me];
        ct_points_arrived(&S, me, id, wants, spins);
        if (S.current == me || S.current < 0) {
            ct_points_pick(&S);
        }
        if (wait_for_turn(p, me, my_run) && wants != NULL && p->nheld < CT_MAX_HELD) {
            p->held[p->nheld++] = wants;
        }
    }
    pthread_mutex_unlock(&S.lock);
}

static int
serialised(void)
{
    return me >= 0 && my_run == S.run && ct_load_relaxed(&points_mode) > CT_MODE_DELAYS;
}

#  if CT_FT
void
ct_point(const char *id)
{
    int mode = ct_load_relaxed(&points_mode);
    if (mode == CT_MODE_DELAYS) {
        delay();
    }
    else if (mode != CT_MODE_OFF && serialised()) {
        arrive(id, NULL, 0);
    }
}
#  else
/* The GIL is the section: nobody else may run before the thread gives it up, at an open point. */
void
ct_point(const char *id)
{
    (void)id;
}
#  endif

void
ct_point_open(const char *id)
{
    int mode = ct_load_relaxed(&points_mode);
    if (mode == CT_MODE_OFF || (mode != CT_MODE_DELAYS && !serialised())) {
        return;
    }
    PyThreadState *detached = PyEval_SaveThread();
    if (mode == CT_MODE_DELAYS) {
        delay();
    }
    else {
        arrive(id, NULL, 0);
    }
    PyEval_RestoreThread(detached);
}

void
ct_point_spin(const char *id)
{
    if (ct_load_relaxed(&points_mode) != CT_MODE_OFF && serialised()) {
        arrive(id, NULL, 1);
    }
}

void
ct_point_lock(const void *lock)
{
    int mode = ct_load_relaxed(&points_mode);
    if (mode == CT_MODE_DELAYS) {
        delay();
    }
    else if (mode != CT_MODE_OFF && serialised()) {
        arrive("lock_wait", lock, 0);
    }
}

void
ct_point_unlock(void)
{
    if (ct_load_relaxed(&points_mode) != CT_MODE_OFF && serialised()) {
        pthread_mutex_lock(&S.lock);
        if (S.run == my_run && S.threads[me].nheld > 0) {
            S.threads[me].nheld--; /* sections are left in the order of a stack */
        }
        pthread_mutex_unlock(&S.lock);
    }
}

/* -- the private functions of the module -------------------------------------------------------- */

static long
thread_id(void)
{
#  if defined(PY_HAVE_THREAD_NATIVE_ID)
    return (long)PyThread_get_thread_native_id();
#  else
    return 0;
#  endif
}

PyDoc_STRVAR(enter_doc, "_points_enter(number): take part in the run; returns at the first turn.");

static PyObject *
points_enter(PyObject *Py_UNUSED(module), PyObject *arg)
{
    long number = PyLong_AsLong(arg);
    if (number == -1 && PyErr_Occurred()) {
        return NULL;
    }
    int status = -1;
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&S.lock);
    if (number >= 0 && number < S.nthreads && S.threads[number].state == CT_ABSENT) {
        me = (int)number;
        my_run = S.run;
        status = 0;
        if (ct_load_relaxed(&points_mode) > CT_MODE_DELAYS) {
            S.threads[me].tid = thread_id();
            ct_points_entered(&S, me);
            wait_for_turn(&S.threads[me], me, my_run);
        }
    }
    pthread_mutex_unlock(&S.lock);
    Py_END_ALLOW_THREADS
    if (status < 0) {
        PyErr_Format(PyExc_ValueError, "_points_enter: no free thread number %ld in this run", number);
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(leave_doc, "_points_leave(): the calling thread is done; the others go on.");

static PyObject *
points_leave(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    pthread_mutex_lock(&S.lock);
    if (me >= 0 && my_run == S.run && S.running) {
        ct_points_left(&S, me);
    }
    pthread_mutex_unlock(&S.lock);
    me = -1;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(here_doc, "_points_here(name): a point in Python code, where the thread holds nothing.");

static PyObject *
points_here(PyObject *Py_UNUSED(module), PyObject *arg)
{
    const char *name = PyUnicode_AsUTF8(arg);
    const char *kept = name == NULL ? NULL : ct_points_name(name);
    if (kept == NULL) {
        return name == NULL ? NULL : PyErr_NoMemory();
    }
    ct_point_open(kept);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(configure_doc,
"_points_configure(mode, seed=0, threads=0, order=None, depth=3, steps=200)\n\n"
"mode: 'off', 'delays', or the order of a serialised run of `threads` threads: 'random'; 'pct' (random\n"
"priorities, `depth` changes within about `steps` steps); 'choices' (order: thread numbers, as traced);\n"
"'script' (order: (thread, point or None, count): run it until it arrives there the count-th time).\n"
"Threads that wait in an earlier run are let go.");

static PyObject *
points_configure(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"mode", "seed", "threads", "order", "depth", "steps", NULL};
    static const char *const modes[] = {"off", "delays", "random", "pct", "choices", "script"};
    const char *name;
    unsigned long long seed = 0;
    int threads = 0, depth = 3, steps = 200, mode = 0;
    PyObject *order = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|KiOii", names, &name, &seed, &threads, &order,
                                     &depth, &steps)) {
        return NULL;
    }
    while (mode <= CT_MODE_SCRIPT && strcmp(name, modes[mode]) != 0) {
        mode++;
    }
    if (mode > CT_MODE_SCRIPT || threads < 0 || threads > CT_MAX_PARTICIPANTS) {
        PyErr_SetString(PyExc_ValueError, "_points_configure: unknown mode or number of threads");
        return NULL;
    }
    ct_order_item *items = NULL;
    Py_ssize_t count = ct_points_order(order, &items);
    if (count < 0) {
        return NULL;
    }
    pthread_mutex_lock(&S.lock);
    ct_store_relaxed(&points_mode, mode);
    ct_points_restart(&S, mode, seed, threads);
    S.order = items;
    S.norder = count;
    ct_points_priorities(&S, depth, steps);
    pthread_mutex_unlock(&S.lock);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(trace_doc, "_points_trace(): [(thread, point that it went on from), ...] of the run.");

static PyObject *
points_trace(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return ct_points_trace_list(&S);
}

PyDoc_STRVAR(stats_doc,
"_points_stats(): steps; diverged, picks that the order asked for and that were not possible; missed,\n"
"points of a script that were not reached; stalls, threads that blocked out of sight.");

static PyObject *
points_stats(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return Py_BuildValue("{s:n,s:n,s:n,s:n}", "steps", S.ntrace, "diverged", S.diverged, "missed",
                         S.missed, "stalls", S.stalls);
}

static PyMethodDef points_methods[] = {
    {"_points_configure", (PyCFunction)(void (*)(void))points_configure,
     METH_VARARGS | METH_KEYWORDS, configure_doc},
    {"_points_enter", points_enter, METH_O, enter_doc},
    {"_points_leave", points_leave, METH_NOARGS, leave_doc},
    {"_points_here", points_here, METH_O, here_doc},
    {"_points_trace", points_trace, METH_NOARGS, trace_doc},
    {"_points_stats", points_stats, METH_NOARGS, stats_doc},
    {NULL, NULL, 0, NULL},
};

int
ct_points_init(PyObject *module)
{
    return PyModule_AddFunctions(module, points_methods);
}

#endif
