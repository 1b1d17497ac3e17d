/* Plans: what a change of many elements does, decided inside one section where no user code may
 * run.
 *
 * A comparison that only user code can answer is noted; the change then leaves the section,
 * asks, and decides again.  Answers stay, so every round gets further, whatever other threads
 * write (I6). */
#ifndef CT_SET_PLAN_H
#define CT_SET_PLAN_H

#include "set_operand.h"

/* -- answers of user comparisons ---------------------------------------------------------------- */

typedef struct {
    PyObject *candidate, *key; /* held, so that their addresses stay theirs */
    Py_ssize_t answer;
} ct_set_pair;

typedef struct {
    ct_set_pair *answers; /* a hash table of 2^n places, by both addresses */
    size_t mask;
    size_t count;
    ct_set_pair *asked;   /* what the last plan wanted to know */
    Py_ssize_t nasked, asked_room;
    Py_ssize_t round;
    int no_memory;
} ct_set_memo;

void ct_memo_init(ct_set_memo *memo);
void ct_memo_clear(ct_set_memo *memo); /* unlocked: may run finalizers */
/* Run the comparisons that were missing; none of a key after its first equal one.  0 or -1. */
int ct_memo_ask(ct_set_memo *memo);
/* The slot of the element or CT_MISS (it goes to ct_set_vacant(walk)), as far as the answers go.
 * No user code. */
Py_ssize_t ct_memo_seek(ct_set_memo *memo, const ct_set_keys *block, ct_set_item item,
                        ct_set_walk *walk);

/* -- plans -------------------------------------------------------------------------------------- */

enum { CT_PLAN_REPLACE, CT_PLAN_UPDATE, CT_PLAN_INTERSECT, CT_PLAN_SUBTRACT, CT_PLAN_FLIP };

typedef struct {
    ct_set_item item;
    size_t slot; /* where it may go while the block has its slot numbers and nothing else went there */
} ct_set_addition;

/* Slots to empty and absent elements to add; their references are those of the operands. */
typedef struct {
    Py_ssize_t *removals;
    Py_ssize_t nremovals, removals_room;
    ct_set_addition *additions;
    Py_ssize_t nadditions, additions_room;
    unsigned char *gone; /* for each slot, whether it is among the removals; NULL while those are few */
} ct_set_plan;

/* Whether a slot is among the removals. */
int ct_plan_removes(const ct_set_plan *plan, Py_ssize_t slot);
/* Plan one of CT_PLAN_* for the table's block.  0 or CT_NO_MEMORY; worth nothing while
 * memo->nasked. */
int ct_plan_make(ct_set_plan *plan, int kind, const ct_set_keys *block,
                 const ct_set_operands *theirs, ct_set_memo *memo);
void ct_plan_clear(ct_set_plan *plan);

#endif
