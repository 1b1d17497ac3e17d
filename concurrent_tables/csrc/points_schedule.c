/* Who goes on: random, by priorities, by recorded choices, or by a script.  Test builds only.
 *
 * PCT (Burckhardt, Kothari, Musuvathi, Nagarakatte: "A Randomized Scheduler with Probabilistic
 * Guarantees of Finding Bugs", ASPLOS 2010): random priorities, the highest runs; at `depth - 1` random
 * steps the running thread becomes the last. */
#include "ct_common.h"

#ifdef CT_POINTS
#  include "points_schedule.h"

/* splitmix64 */
uint64_t
ct_points_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void
ct_points_restart(ct_points_schedule *s, int mode, uint64_t seed, int threads)
{
    s->run++;
    s->mode = mode;
    s->seed = s->random = seed;
    s->nthreads = threads;
    s->nentered = s->running = s->impatient = 0;
    s->current = -1;
    s->moves = s->next = s->ntrace = s->diverged = s->missed = s->stalls = s->ticks = 0;
    PyMem_RawFree(s->order);
    s->order = NULL;
    s->norder = 0;
    for (int i = 0; i < CT_MAX_PARTICIPANTS; i++) {
        ct_participant *p = &s->threads[i];
        if (!p->has_wake) {
            p->has_wake = pthread_cond_init(&p->wake, NULL) == 0;
        }
        p->state = CT_ABSENT;
        p->point = NULL;
        p->wants = NULL;
        p->nheld = p->spins = 0;
        pthread_cond_broadcast(&p->wake);
    }
}

void
ct_points_priorities(ct_points_schedule *s, int depth, int steps)
{
    for (int i = 0; i < s->nthreads; i++) {
        int other = (int)(ct_points_random(&s->random) % (uint64_t)(i + 1));
        s->threads[i].priority = s->threads[other].priority;
        s->threads[other].priority = 1000 + i;
        if (other == i) {
            s->threads[i].priority = 1000 + i;
        }
    }
    s->nchanges = depth - 1 < 0 ? 0 : depth - 1 > CT_MAX_CHANGES ? CT_MAX_CHANGES : depth - 1;
    for (int i = 0; i < s->nchanges; i++) {
        s->changes[i] = (Py_ssize_t)(ct_points_random(&s->random) % (uint64_t)(steps > 0 ? steps : 1));
    }
}

/* -- who may go on ------------------------------------------------------------------------------ */

static int
held_by_another(ct_points_schedule *s, int number, const void *lock)
{
    for (int i = 0; i < s->nthreads; i++) {
        for (int j = 0; i != number && j < s->threads[i].nheld; j++) {
            if (s->threads[i].held[j] == lock) {
                return 1;
            }
        }
    }
    return 0;
}

static int
can_run(ct_points_schedule *s, int number)
{
    ct_participant *p = &s->threads[number];
    return p->state == CT_READY && (p->wants == NULL || !held_by_another(s, number, p->wants));
}

/* In a waiting loop, and nothing has moved since it looked. */
static int
idles(ct_points_schedule *s, int number)
{
    return s->threads[number].spins && s->threads[number].moves_seen == s->moves;
}

/* The candidates in the order of their numbers; those that would only idle count if there are no others. */
static int
candidates(ct_points_schedule *s, int *found)
{
    int count = 0;
    for (int idle = 0; count == 0 && idle <= 1; idle++) {
        for (int i = 0; i < s->nthreads; i++) {
            if (can_run(s, i) && idles(s, i) == idle) {
                found[count++] = i;
            }
        }
    }
    return count;
}

/* -- the policies: a candidate, or -1 to wait for somebody who is outside ------------------------- */

static int
by_priority(ct_points_schedule *s, const int *found, int count)
{
    int best = found[0];
    for (int i = 0; i < s->nchanges; i++) {
        if (s->changes[i] == s->ntrace && s->ntrace > 0) {
            s->threads[s->trace[s->ntrace - 1].thread].priority = i;
        }
    }
    for (int i = 1; i < count; i++) {
        if (s->threads[found[i]].priority > s->threads[best].priority) {
            best = found[i];
        }
    }
    return best;
}

static int
by_choice(ct_points_schedule *s, const int *found, int count)
{
    int wanted = s->next < s->norder ? s->order[s->next].thread : found[0];
    for (int i = 0; i < count; i++) {
        if (found[i] == wanted) {
            s->next++;
            return wanted;
        }
    }
    if (wanted >= 0 && wanted < s->nthreads && s->threads[wanted].state == CT_OUTSIDE && !s->impatient) {
        return -1; /* the record says that it comes */
    }
    s->impatient = 0;
    s->next++;
    s->diverged++;
    return found[0];
}

static int
by_script(ct_points_schedule *s, const int *found, int count)
{
    for (; s->next < s->norder; s->next++) {
        ct_order_item *item = &s->order[s->next];
        if (item->point[0] != '\0' && item->count <= 0) {
            continue; /* it is there */
        }
        for (int i = 0; i < count; i++) {
            if (found[i] == item->thread) {
                return item->thread;
            }
        }
        s->missed += item->point[0] != '\0'; /* done or blocked before it came there */
    }
    return found[0];
}

static int
choose(ct_points_schedule *s, const int *found, int count)
{
    switch (s->mode) {
    case CT_MODE_PCT:
        return by_priority(s, found, count);
    case CT_MODE_CHOICES:
        return by_choice(s, found, count);
    case CT_MODE_SCRIPT:
        return by_script(s, found, count);
    default:
        return found[ct_points_random(&s->random) % (uint64_t)count];
    }
}

static void
record(ct_points_schedule *s, int thread)
{
    if (s->ntrace == s->trace_room) {
        Py_ssize_t room = s->trace_room ? s->trace_room * 2 : 1024;
        ct_trace_item *more = PyMem_RawRealloc(s->trace, (size_t)room * sizeof(ct_trace_item));
        if (more == NULL) {
            return;
        }
        s->trace = more;
        s->trace_room = room;
    }
    s->trace[s->ntrace].thread = thread;
    s->trace[s->ntrace++].point = s->threads[thread].point;
}

void
ct_points_pick(ct_points_schedule *s)
{
    int found[CT_MAX_PARTICIPANTS];
    int count = candidates(s, found);
    s->current = count == 0 ? -1 : choose(s, found, count);
    s->ticks = 0;
    if (s->current >= 0) {
        ct_participant *p = &s->threads[s->current];
        p->moves_seen = s->moves;
        record(s, s->current);
        pthread_cond_signal(&p->wake);
    }
}

/* -- what threads report ------------------------------------------------------------------------ */

void
ct_points_arrived(ct_points_schedule *s, int number, const char *id, const void *wants, int spins)
{
    ct_participant *p = &s->threads[number];
    p->state = CT_READY;
    p->point = id;
    p->wants = wants;
    p->spins = spins;
    s->moves += !spins;
    if (s->mode == CT_MODE_SCRIPT && s->next < s->norder) {
        ct_order_item *item = &s->order[s->next];
        item->count -= item->thread == number && strcmp(item->point, id) == 0;
    }
}

void
ct_points_entered(ct_points_schedule *s, int number)
{
    ct_points_arrived(s, number, "enter", NULL, 0);
    if (++s->nentered == s->nthreads) {
        s->running = 1;
        ct_points_pick(s);
    }
}

void
ct_points_left(ct_points_schedule *s, int number)
{
    s->threads[number].state = CT_GONE;
    s->threads[number].nheld = 0;
    s->moves++;
    int left = 0;
    for (int i = 0; i < s->nthreads; i++) {
        left += s->threads[i].state != CT_GONE;
    }
    for (; left == 0 && s->mode == CT_MODE_SCRIPT && s->next < s->norder; s->next++) {
        s->missed += s->order[s->next].point[0] != '\0' && s->order[s->next].count > 0;
    }
    if (s->current == number || s->current < 0) {
        ct_points_pick(s);
    }
}

/* -- from and to Python ------------------------------------------------------------------------- */

static int
order_item(PyObject *o, ct_order_item *item)
{
    const char *point = NULL;
    memset(item, 0, sizeof(*item));
    item->count = 1;
    if (PyLong_Check(o)) {
        item->thread = (int)PyLong_AsLong(o);
        return PyErr_Occurred() ? -1 : 0;
    }
    if (!PyArg_ParseTuple(o, "iz|i", &item->thread, &point, &item->count)) {
        return -1;
    }
    if (point != NULL) {
        strncpy(item->point, point, sizeof(item->point) - 1);
    }
    return 0;
}

Py_ssize_t
ct_points_order(PyObject *order, ct_order_item **items)
{
    *items = NULL;
    if (order == Py_None) {
        return 0;
    }
    PyObject *list = PySequence_List(order);
    if (list == NULL) {
        return -1;
    }
    Py_ssize_t count = PyList_GET_SIZE(list);
    *items = PyMem_RawCalloc((size_t)count + 1, sizeof(ct_order_item));
    int status = *items == NULL ? -1 : 0;
    if (status < 0) {
        PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; status == 0 && i < count; i++) {
        status = order_item(PyList_GET_ITEM(list, i), &(*items)[i]);
    }
    Py_DECREF(list);
    if (status < 0) {
        PyMem_RawFree(*items);
        return -1;
    }
    return count;
}

const char *
ct_points_name(const char *name)
{
    static const char *names[CT_MAX_NAMES];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const char *kept = NULL;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < CT_MAX_NAMES && kept == NULL; i++) {
        if (names[i] == NULL) {
            char *copy = PyMem_RawMalloc(strlen(name) + 1);
            names[i] = copy == NULL ? NULL : strcpy(copy, name);
        }
        if (names[i] == NULL) {
            break;
        }
        kept = strcmp(names[i], name) == 0 ? names[i] : NULL;
    }
    pthread_mutex_unlock(&lock);
    return kept;
}

PyObject *
ct_points_trace_list(ct_points_schedule *s)
{
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; list != NULL && i < s->ntrace; i++) {
        PyObject *pair = Py_BuildValue("is", s->trace[i].thread, s->trace[i].point);
        if (pair == NULL || PyList_Append(list, pair) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(pair);
    }
    return list;
}

#endif
