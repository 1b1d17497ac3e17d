/* Changes of many elements in one step: planned inside the section, user comparisons asked outside
 * it.
 *
 * A set that no other thread can look at meanwhile (unshared, or the GIL is held all the time)
 * is changed key by key: its first foreign access waits for the section.  One that others see is
 * changed with marks (set_keys.h), or gets the result as a new block in one store where that
 * does not do. */
#include "set_write.h"
#include "watching.h"

enum { ASK = 2, NEED_CLONE = 3 }; /* besides CT_DONE, CT_NOT_MET, CT_NO_MEMORY */

typedef struct {
    ct_set_table *s;
    int kind;
    const ct_set_operands *theirs;
    int whole;
    int swept;        /* the block was replaced by one without dead slots */
    PyObject *cloned; /* FrozenSet for the CLONED event, once one was wanted */
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

/* -- committing --------------------------------------------------------------------------------- */

static void
record_held(change *c, const ct_set_keys *old)
{
    ct_table *t = &c->s->base;
    if (t->log == NULL) {
        return;
    }
    for (Py_ssize_t i = 0; i < c->plan.nremovals; i++) {
        const ct_set_slot *slot = &old->slots[c->plan.removals[i]];
        PyObject *key = (PyObject *)ct_load_relaxed(&((ct_set_slot *)slot)->key);
        ct_event_held(t, &c->pending, CT_KIND_DELETED, key, NULL, NULL);
    }
    for (Py_ssize_t i = 0; i < c->plan.nadditions; i++) {
        ct_event_held(t, &c->pending, CT_KIND_ADDED, c->plan.additions[i].item.key, NULL, NULL);
    }
}

/* `same`: the slots have the numbers for which the plan was made. */
static void
add_all(const change *c, ct_set_keys *block, int same)
{
    for (Py_ssize_t i = 0; i < c->plan.nadditions; i++) {
        ct_set_addition *addition = &c->plan.additions[i];
        ct_set_item item = addition->item;
        Py_INCREF(item.key);
        if (same && ct_set_is_vacant(block, addition->slot, item.hash)) {
            ct_set_place(block, item, addition->slot);
        }
        else {
            ct_set_append(block, item);
        }
    }
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
        if (!ct_plan_removes(plan, slot)) {
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
    add_all(c, fresh, 0);
    ct_set_begin_held(c->s, &c->pending, bump);
    drop_removed(c, old); /* the old block keeps the pointers for readers already there */
    record_held(c, old);
    ct_set_publish_held(c->s, &c->pending, fresh);
    ct_set_end_held(c->s, &c->pending, bump);
    return CT_DONE;
}

/* At most so many slots will be used up.  A dead slot serves one addition only. */
static Py_ssize_t
slots_needed(const change *c, const ct_set_keys *block)
{
    const ct_set_plan *plan = &c->plan;
    Py_ssize_t needed = plan->nadditions;
    unsigned char *counted = NULL;
    if (ct_set_room(block) < needed) {
        counted = PyMem_Calloc(ct_set_mask(block) + 1, 1);
    }
    for (Py_ssize_t i = 0; counted != NULL && i < plan->nadditions; i++) {
        size_t slot = plan->additions[i].slot;
        uintptr_t word = ct_load_relaxed(&((ct_set_keys *)block)->slots[slot].key);
        if (word == CT_DEAD && !counted[slot]) {
            counted[slot] = 1;
            needed--;
        }
    }
    PyMem_Free(counted);
    return needed;
}

/* Nobody else looks. */
static int
apply_in_place_held(change *c, Py_ssize_t needed, Py_ssize_t bump)
{
    ct_set_table *s = c->s;
    ct_set_keys *block = ct_load_relaxed(&s->block);
    int same = ct_set_room(block) >= needed;
    if (!same && c->plan.nremovals > 0) {
        return apply_block_held(c, bump); /* moving to another block renumbers the slots */
    }
    /* Another block has no dead slots to fill again. */
    block = ct_set_reserve_held(s, &c->pending, same ? needed : c->plan.nadditions);
    if (block == NULL) {
        return CT_NO_MEMORY;
    }
    ct_set_begin_held(s, &c->pending, bump);
    record_held(c, block);
    drop_removed(c, block);
    for (Py_ssize_t i = 0; i < c->plan.nremovals; i++) {
        ct_set_kill(block, c->plan.removals[i]);
    }
    add_all(c, block, same);
    ct_set_end_held(s, &c->pending, bump);
    return CT_DONE;
}

/* Others look; the block is not lent and has room, and nothing is replaced by an equal key. */
static int
apply_marked_held(change *c, Py_ssize_t bump)
{
    ct_set_table *s = c->s;
    ct_set_plan *plan = &c->plan;
    ct_set_keys *block = ct_load_relaxed(&s->block);
    ct_set_begin_held(s, &c->pending, bump);
    record_held(c, block);
    drop_removed(c, block);
    ct_set_begin_marks(block);
    for (Py_ssize_t i = 0; i < plan->nremovals; i++) {
        ct_set_mark_leaving(block, plan->removals[i]);
    }
    for (Py_ssize_t i = 0; i < plan->nadditions; i++) {
        ct_set_addition *addition = &plan->additions[i];
        if (!ct_set_is_vacant(block, addition->slot, addition->item.hash)) {
            addition->slot = ct_set_vacancy(block, addition->item.hash);
        }
        Py_INCREF(addition->item.key);
        ct_set_mark_entering(block, addition->item, addition->slot);
    }
    ct_set_decide_marks(block);
    for (Py_ssize_t i = 0; i < plan->nremovals; i++) {
        ct_set_end_mark(block, (size_t)plan->removals[i]);
    }
    for (Py_ssize_t i = 0; i < plan->nadditions; i++) {
        ct_set_end_mark(block, plan->additions[i].slot);
    }
    ct_set_end_held(s, &c->pending, bump);
    return CT_DONE;
}

/* The plan stands: make sure of the memory, then commit. */
static int
apply_held(change *c)
{
    ct_table *t = &c->s->base;
    ct_set_keys *block = ct_load_relaxed(&c->s->block);
    Py_ssize_t count = c->plan.nremovals + c->plan.nadditions;
    if (count == 0) {
        return CT_NOT_MET;
    }
    if (ct_event_reserve_many_held(t, &c->pending, count) < 0
        || (c->plan.nremovals > 0 && ct_pending_reserve(&c->pending, c->plan.nremovals) < 0)) {
        return CT_NO_MEMORY;
    }
    Py_ssize_t needed = slots_needed(c, block);
    if (!CT_FT || !ct_is_shared(t)) {
        return apply_in_place_held(c, needed, count);
    }
    int replaces = c->kind == CT_PLAN_INTERSECT && c->plan.nadditions > 0;
    if (replaces || ct_set_lent(block) || ct_set_room(block) < needed) {
        return apply_block_held(c, count);
    }
    return apply_marked_held(c, count);
}

/* -- filling an empty set ----------------------------------------------------------------------- */

/* The operand's own block if nobody else has it, else a copy; the set then owns the references. */
static ct_set_keys *
taken_or_copied(ct_set_keys *fill)
{
    ct_set_keys *fresh = fill;
    if (ct_load_acquire(&fill->refs) == 1) {
        ct_set_hold(fill); /* one hold is the operand's still */
    }
    else {
        fresh = ct_set_copy(fill);
    }
    if (fresh != NULL) {
        fresh->owns = CT_OWNS_NOTHING;
    }
    return fresh;
}

static void
record_fill_held(change *c, ct_set_keys *fill)
{
    ct_table *t = &c->s->base;
    ct_set_item item;
    Py_ssize_t at = 0;
    if (t->log != NULL && c->whole) {
        ct_event_held(t, &c->pending, CT_KIND_CLONED, NULL, NULL, c->cloned);
        return;
    }
    while (t->log != NULL && ct_set_next(fill, &at, &item) >= 0) {
        ct_event_held(t, &c->pending, CT_KIND_ADDED, item.key, NULL, NULL);
    }
}

/* An empty set gets what an operand has; no element needs comparing. */
static int
fill_held(change *c, ct_set_keys *fill)
{
    ct_table *t = &c->s->base;
    Py_ssize_t count = ct_set_count(fill), bump = c->whole ? 1 : count;
    if (count == 0) {
        return CT_NOT_MET;
    }
    if (c->whole && t->log != NULL && c->cloned == NULL) {
        return NEED_CLONE;
    }
    if (ct_event_reserve_many_held(t, &c->pending, bump) < 0) {
        return CT_NO_MEMORY;
    }
    ct_set_keys *fresh = taken_or_copied(fill);
    if (fresh == NULL) {
        return CT_NO_MEMORY;
    }
    ct_set_begin_held(c->s, &c->pending, bump);
    ct_set_publish_held(c->s, &c->pending, fresh);
    record_fill_held(c, fresh);
    ct_set_end_held(c->s, &c->pending, bump);
    return CT_DONE;
}

/* -- deciding ----------------------------------------------------------------------------------- */

/* Many searches for absent keys are to come: get dead slots out of their way, once.  Without
 * memory they are slower, no more. */
static void
sweep_held(change *c)
{
    ct_set_keys *block = ct_load_relaxed(&c->s->block);
    Py_ssize_t dead = ct_set_filled(block) - ct_set_count(block), more = 0;
    int adds = c->kind != CT_PLAN_INTERSECT && c->kind != CT_PLAN_SUBTRACT;
    if (!adds || c->swept || dead * 8 <= (Py_ssize_t)ct_set_mask(block)) {
        return;
    }
    for (Py_ssize_t i = 0; i < c->theirs->count; i++) {
        more += ct_set_count(c->theirs->blocks[i]);
    }
    if (more * 4 > dead) {
        c->swept = 1;
        ct_set_replace_held(c->s, &c->pending, ct_set_log2_for(ct_set_count(block) + more));
    }
}

static int
change_held(change *c)
{
    const ct_set_keys *block = ct_load_relaxed(&c->s->block);
    ct_set_keys *fill = fill_of(c, block);
    if (fill != NULL) {
        return fill_held(c, fill);
    }
    sweep_held(c);
    block = ct_load_relaxed(&c->s->block);
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
        c->cloned = ct_frozen_set_of(c->s->base.st, c->theirs->blocks[0]);
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
