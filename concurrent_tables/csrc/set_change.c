/* Changes of many elements in one step: planned inside the section, user comparisons asked outside it.
 *
 * A set that other threads see gets the result as a new block, in one store.  One that no other
 * thread can look at meanwhile (unshared, or the GIL is held all the time) is changed in place: its
 * first foreign access waits for the section. */
#include "set_write.h"
#include "watching.h"

enum { ASK = 2, NEED_CLONE = 3 }; /* besides CT_DONE, CT_NOT_MET, CT_NO_MEMORY */

typedef struct {
    ct_set_table *s;
    int kind;
    const ct_set_operands *theirs;
    int whole;
    PyObject *cloned; /* FrozenSet for the CLONED event, once one was wanted */
    int clones;       /* this time the change is one: an empty set is filled from a whole one */
    ct_set_memo memo;
    ct_set_plan plan;
    ct_pending pending;
} change;

/* What an empty set then consists of, or NULL. */
static ct_set_keys *
fill_of(const change *c, const ct_set_keys *block)
{
    int fills = c->kind != CT_PLAN_INTERSECT && c->kind != CT_PLAN_SUBTRACT;
    return fills && ct_set_count(block) == 0 && c->theirs->count == 1 ? c->theirs->blocks[0] : NULL;
}

/* May the operand's own block become the set's?  Only if nobody else can see it. */
static int
can_take(const change *c, const ct_set_keys *fill)
{
    return fill != NULL && c->cloned == NULL && ct_load_acquire(&((ct_set_keys *)fill)->refs) == 1;
}

/* -- committing --------------------------------------------------------------------------------- */

static void
record_held(change *c, const ct_set_keys *old)
{
    ct_table *t = &c->s->base;
    if (t->log == NULL) {
        return;
    }
    if (c->clones) {
        ct_event_held(t, &c->pending, CT_KIND_CLONED, NULL, NULL, c->cloned);
        return;
    }
    for (Py_ssize_t i = 0; i < c->plan.nremovals; i++) {
        const ct_set_slot *slot = &old->slots[c->plan.removals[i]];
        PyObject *key = (PyObject *)ct_load_relaxed(&((ct_set_slot *)slot)->key);
        ct_event_held(t, &c->pending, CT_KIND_DELETED, key, NULL, NULL);
    }
    for (Py_ssize_t i = 0; i < c->plan.nadditions; i++) {
        ct_event_held(t, &c->pending, CT_KIND_ADDED, c->plan.additions[i].key, NULL, NULL);
    }
}

static void
take_held(change *c, ct_set_keys *fill, Py_ssize_t bump)
{
    ct_set_begin_held(c->s, &c->pending, bump);
    ct_set_hold(fill); /* one hold is the operand's still */
    fill->owns = CT_OWNS_NOTHING;
    ct_set_publish_held(c->s, &c->pending, fill);
    record_held(c, fill);
    ct_set_end_held(c->s, &c->pending, bump);
}

/* How many slots the longest search for an empty one passed. */
static size_t
add_all(const change *c, ct_set_keys *block)
{
    size_t longest = 0;
    for (Py_ssize_t i = 0; i < c->plan.nadditions; i++) {
        Py_INCREF(c->plan.additions[i].key);
        size_t steps = ct_set_append(block, c->plan.additions[i]);
        longest = steps > longest ? steps : longest;
    }
    return longest;
}

/* The contents without the removals, with room for the additions; borrowed references. */
static ct_set_keys *
without_removals(const change *c, const ct_set_keys *block)
{
    const ct_set_plan *plan = &c->plan;
    Py_ssize_t left = ct_set_count(block) - plan->nremovals, at = 0, slot;
    Py_ssize_t dead = ct_set_filled(block) - left;
    ct_set_item item;
    ct_set_keys *fresh;
    if (ct_set_room(block) >= plan->nadditions && dead <= (Py_ssize_t)(ct_set_mask(block) / 4)) {
        fresh = ct_set_clone(block);
        for (Py_ssize_t i = 0; fresh != NULL && i < plan->nremovals; i++) {
            ct_set_kill(fresh, plan->removals[i]);
        }
        return fresh;
    }
    fresh = ct_set_new(ct_set_log2_above((left + plan->nadditions) * CT_SET_LARGE_GROWTH));
    while (fresh != NULL && (slot = ct_set_next(block, &at, &item)) >= 0) {
        if (plan->gone == NULL || !plan->gone[slot]) {
            ct_set_append(fresh, item);
        }
    }
    return fresh;
}

static void
drop_removed(change *c, const ct_set_keys *old)
{
    for (Py_ssize_t i = 0; i < c->plan.nremovals; i++) {
        uintptr_t word = ct_load_relaxed(&((ct_set_keys *)old)->slots[c->plan.removals[i]].key);
        ct_pending_drop(&c->pending, (PyObject *)word);
    }
}

/* For all others in one store. */
static int
apply_block_held(change *c, Py_ssize_t bump)
{
    ct_set_keys *old = ct_load_relaxed(&c->s->block), *fresh = without_removals(c, old);
    if (fresh == NULL) {
        return CT_NO_MEMORY;
    }
    fresh->owns = CT_OWNS_NOTHING;
    add_all(c, fresh);
    ct_set_begin_held(c->s, &c->pending, bump);
    drop_removed(c, old); /* the old block keeps the pointers for readers already there */
    record_held(c, old);
    ct_set_publish_held(c->s, &c->pending, fresh);
    ct_set_end_held(c->s, &c->pending, bump);
    return CT_DONE;
}

/* One element, or nobody else looks. */
static int
apply_in_place_held(change *c, Py_ssize_t bump)
{
    ct_set_table *s = c->s;
    ct_set_keys *block = ct_load_relaxed(&s->block);
    if (ct_set_room(block) < c->plan.nadditions) {
        if (c->plan.nremovals > 0) {
            return apply_block_held(c, bump); /* moving to another block renumbers the slots */
        }
        if (ct_set_reserve_held(s, &c->pending, c->plan.nadditions) < 0) {
            return CT_NO_MEMORY;
        }
        block = ct_load_relaxed(&s->block);
    }
    ct_set_begin_held(s, &c->pending, bump);
    record_held(c, block);
    drop_removed(c, block);
    for (Py_ssize_t i = 0; i < c->plan.nremovals; i++) {
        ct_set_kill(block, c->plan.removals[i]);
    }
    size_t longest = add_all(c, block);
    ct_set_end_held(s, &c->pending, bump);
    ct_set_tidy_held(s, &c->pending, longest);
    return CT_DONE;
}

/* -- deciding ----------------------------------------------------------------------------------- */

/* The plan stands: make sure of the memory, then commit. */
static int
apply_held(change *c)
{
    ct_table *t = &c->s->base;
    const ct_set_keys *block = ct_load_relaxed(&c->s->block);
    ct_set_keys *fill = fill_of(c, block);
    Py_ssize_t count = c->plan.nremovals + c->plan.nadditions, bump = count;
    if (count == 0) {
        return CT_NOT_MET;
    }
    c->clones = fill != NULL && c->whole;
    if (c->clones) {
        bump = 1;
        if (t->log != NULL && c->cloned == NULL) {
            return NEED_CLONE;
        }
    }
    if (ct_event_reserve_many_held(t, &c->pending, bump) < 0
        || (c->plan.nremovals > 0 && c->pending.more == NULL
            && ct_pending_reserve(&c->pending, c->plan.nremovals) < 0)) {
        return CT_NO_MEMORY;
    }
    if (can_take(c, fill)) {
        take_held(c, fill, bump);
        return CT_DONE;
    }
    if (count == 1 || !CT_FT || !ct_is_shared(t)) {
        return apply_in_place_held(c, bump);
    }
    return apply_block_held(c, bump);
}

static int
change_held(change *c)
{
    const ct_set_keys *block = ct_load_relaxed(&c->s->block);
    int status = ct_plan_make(&c->plan, c->kind, block, c->theirs, &c->memo);
    if (status < 0) {
        return status;
    }
    return c->memo.nasked > 0 ? ASK : apply_held(c);
}

/* Unlocked: what the plan lacked.  0 or -1. */
static int
supply(change *c, int status, int *own_restarts)
{
    if (status == NEED_CLONE) {
        ct_set_hold(c->theirs->blocks[0]);
        c->cloned = ct_frozen_set_from(c->s->base.st, ct_frozen_set_type(c->s->base.st),
                                       c->theirs->blocks[0]);
        return c->cloned == NULL ? -1 : 0;
    }
    ct_record *self = ct_self();
    PyObject *key = Py_NewRef(c->memo.asked[0].key);
    uint64_t writes = self->writes;
    int result = ct_memo_ask(&c->memo);
    if (result == 0 && self->writes != writes && ++*own_restarts > CT_MAX_OWN_RESTARTS) {
        ct_set_endless(c->s, key);
        result = -1;
    }
    Py_DECREF(key);
    return result;
}

int
ct_set_change(ct_set_table *s, int kind, const ct_set_operands *theirs, int whole)
{
    change c = {.s = s, .kind = kind, .theirs = theirs, .whole = whole};
    int status = CT_FAILED, own_restarts = 0;
    ct_section section;
    if (ct_touch(&s->base) < 0) {
        return -1;
    }
    ct_memo_init(&c.memo);
    ct_pending_init(&c.pending, &s->base);
    while (ct_write_lock(&s->base, &section) == 0) {
        status = change_held(&c);
        ct_unlock(&section);
        ct_plan_clear(&c.plan);
        if (status < ASK) {
            break;
        }
        if (supply(&c, status, &own_restarts) < 0) {
            status = CT_FAILED;
            break;
        }
        status = CT_FAILED; /* should the lock fail now */
    }
    if (status == CT_NO_MEMORY) {
        PyErr_NoMemory();
    }
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb);
    ct_pending_finish(&c.pending);
    ct_memo_clear(&c.memo);
    Py_XDECREF(c.cloned);
    PyErr_Restore(type, value, tb);
    return status < 0 ? -1 : 0;
}
