/* Plans of changes of many elements, and the answers that they need.  See set_plan.h. */
#include "set_plan.h"

enum { FEW_REMOVALS = 16 }; /* looked through one by one */

/* -- answers ------------------------------------------------------------------------------------ */

void
ct_memo_init(ct_set_memo *memo)
{
    memset(memo, 0, sizeof(*memo));
}

static void
drop_pairs(ct_set_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        Py_XDECREF(pairs[i].candidate);
        Py_XDECREF(pairs[i].key);
    }
    PyMem_Free(pairs);
}

void
ct_memo_clear(ct_set_memo *memo)
{
    ct_set_memo mine = *memo;
    ct_memo_init(memo);
    drop_pairs(mine.answers, mine.answers == NULL ? 0 : mine.mask + 1);
    drop_pairs(mine.asked, (size_t)mine.nasked);
}

/* The place of a pair in the hash table, or the free one where it would go. */
static ct_set_pair *
pair_place(const ct_set_memo *memo, PyObject *candidate, PyObject *key)
{
    uint64_t mixed = ((uint64_t)(uintptr_t)candidate >> 4) * 0x9E3779B97F4A7C15u;
    mixed = (mixed ^ ((uint64_t)(uintptr_t)key >> 4)) * 0xC2B2AE3D27D4EB4Fu;
    for (size_t i = (size_t)(mixed >> 20) & memo->mask;; i = (i + 1) & memo->mask) {
        ct_set_pair *pair = &memo->answers[i];
        if (pair->key == NULL || (pair->key == key && pair->candidate == candidate)) {
            return pair;
        }
    }
}

/* The answer, or -1 when it is not known. */
static Py_ssize_t
known_answer(const ct_set_memo *memo, PyObject *candidate, PyObject *key)
{
    if (memo->answers == NULL) {
        return -1;
    }
    ct_set_pair *pair = pair_place(memo, candidate, key);
    return pair->key == NULL ? -1 : pair->answer;
}

static int
grow_answers(ct_set_memo *memo)
{
    ct_set_memo larger = *memo;
    size_t places = memo->answers == NULL ? 16 : (memo->mask + 1) * 2;
    larger.answers = PyMem_Calloc(places, sizeof(ct_set_pair));
    if (larger.answers == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    larger.mask = places - 1;
    for (size_t i = 0; memo->answers != NULL && i <= memo->mask; i++) {
        ct_set_pair *pair = &memo->answers[i];
        if (pair->key != NULL) {
            *pair_place(&larger, pair->candidate, pair->key) = *pair;
        }
    }
    PyMem_Free(memo->answers);
    memo->answers = larger.answers;
    memo->mask = larger.mask;
    return 0;
}

/* `candidate` may be NULL: marks a key as settled in this round. */
static int
remember(ct_set_memo *memo, PyObject *candidate, PyObject *key, Py_ssize_t answer)
{
    if ((memo->answers == NULL || memo->count * 2 > memo->mask) && grow_answers(memo) < 0) {
        return -1;
    }
    ct_set_pair *pair = pair_place(memo, candidate, key);
    if (pair->key == NULL) {
        Py_XINCREF(candidate);
        pair->candidate = candidate;
        pair->key = Py_NewRef(key);
        memo->count++;
    }
    pair->answer = answer;
    return 0;
}

static int
ask_one(ct_set_memo *memo, const ct_set_pair *pair)
{
    if (known_answer(memo, NULL, pair->key) == memo->round
        || known_answer(memo, pair->candidate, pair->key) >= 0) {
        return 0;
    }
    CT_POINT_OPEN(user_compare);
    int equal = PyObject_RichCompareBool(pair->candidate, pair->key, Py_EQ);
    if (equal < 0 || remember(memo, pair->candidate, pair->key, equal) < 0) {
        return -1;
    }
    return equal ? remember(memo, NULL, pair->key, memo->round) : 0;
}

int
ct_memo_ask(ct_set_memo *memo)
{
    ct_set_pair *asked = memo->asked;
    Py_ssize_t count = memo->nasked;
    int status = 0;
    memo->asked = NULL;
    memo->nasked = memo->asked_room = 0;
    memo->round++;
    for (Py_ssize_t i = 0; status == 0 && i < count; i++) {
        status = ask_one(memo, &asked[i]);
    }
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb);
    drop_pairs(asked, (size_t)count);
    PyErr_Restore(type, value, tb);
    return status;
}

static void
note_question(ct_set_memo *memo, PyObject *candidate, PyObject *key)
{
    if (memo->nasked == memo->asked_room) {
        Py_ssize_t room = memo->asked_room * 2 + 16;
        void *grown = PyMem_Realloc(memo->asked, (size_t)room * sizeof(ct_set_pair));
        if (grown == NULL) {
            memo->no_memory = 1;
            return;
        }
        memo->asked = grown;
        memo->asked_room = room;
    }
    ct_set_pair *pair = &memo->asked[memo->nasked++];
    pair->candidate = Py_NewRef(candidate);
    pair->key = Py_NewRef(key);
    pair->answer = -1;
}

Py_ssize_t
ct_memo_seek(ct_set_memo *memo, const ct_set_keys *block, ct_set_item item, ct_set_walk *walk)
{
    ct_set_walk_start(block, item.hash, walk);
    for (;;) {
        Py_ssize_t slot = ct_set_probe(block, item.key, item.hash, walk);
        if (CT_LIKELY(slot != CT_COMPARE)) {
            return slot;
        }
        Py_ssize_t answer = known_answer(memo, walk->found, item.key);
        if (answer > 0) {
            return (Py_ssize_t)walk->at;
        }
        if (answer < 0) {
            note_question(memo, walk->found, item.key);
        }
        ct_set_walk_on(walk, ct_set_mask(block));
    }
}

/* The same without the walk. */
CT_INLINE Py_ssize_t
locate(ct_set_memo *memo, const ct_set_keys *block, ct_set_item item)
{
    ct_set_walk walk;
    Py_ssize_t slot = ct_set_find_first(block, item);
    return slot >= 0 ? slot : ct_memo_seek(memo, block, item, &walk);
}

/* -- parts of plans ----------------------------------------------------------------------------- */

void
ct_plan_clear(ct_set_plan *plan)
{
    PyMem_Free(plan->removals);
    PyMem_Free(plan->additions);
    PyMem_Free(plan->gone);
    memset(plan, 0, sizeof(*plan));
}

int
ct_plan_removes(const ct_set_plan *plan, Py_ssize_t slot)
{
    if (plan->gone != NULL) {
        return plan->gone[slot];
    }
    for (Py_ssize_t i = 0; i < plan->nremovals; i++) {
        if (plan->removals[i] == slot) {
            return 1;
        }
    }
    return 0;
}

/* Room for one more removal, and the marks once there are several. */
static int
grow_removals(ct_set_plan *plan, const ct_set_keys *block)
{
    Py_ssize_t room = plan->removals_room * 2 + FEW_REMOVALS;
    void *grown = PyMem_Realloc(plan->removals, (size_t)room * sizeof(Py_ssize_t));
    if (grown == NULL) {
        return CT_NO_MEMORY;
    }
    plan->removals = grown;
    plan->removals_room = room;
    if (plan->nremovals > 0 && plan->gone == NULL) {
        plan->gone = PyMem_Calloc(ct_set_mask(block) + 1, 1);
        if (plan->gone == NULL) {
            return CT_NO_MEMORY;
        }
        for (Py_ssize_t i = 0; i < plan->nremovals; i++) {
            plan->gone[plan->removals[i]] = 1;
        }
    }
    return 0;
}

static int
plan_removal(ct_set_plan *plan, const ct_set_keys *block, Py_ssize_t slot)
{
    if (ct_plan_removes(plan, slot)) {
        return 0;
    }
    if (plan->nremovals == plan->removals_room && grow_removals(plan, block) < 0) {
        return CT_NO_MEMORY;
    }
    if (plan->gone != NULL) {
        plan->gone[slot] = 1;
    }
    plan->removals[plan->nremovals++] = slot;
    return 0;
}

/* Room for `more` additions. */
static int
plan_room(ct_set_plan *plan, Py_ssize_t more)
{
    if (plan->additions_room - plan->nadditions < more) {
        Py_ssize_t room = plan->nadditions + more;
        void *grown = PyMem_Realloc(plan->additions, (size_t)room * sizeof(ct_set_addition));
        if (grown == NULL) {
            return CT_NO_MEMORY;
        }
        plan->additions = grown;
        plan->additions_room = room;
    }
    return 0;
}

static int
plan_addition(ct_set_plan *plan, ct_set_item item, size_t slot)
{
    if (plan->nadditions == plan->additions_room && plan_room(plan, 16) < 0) {
        return CT_NO_MEMORY;
    }
    ct_set_addition *addition = &plan->additions[plan->nadditions++];
    addition->item = item;
    addition->slot = slot;
    return 0;
}

/* Add the elements of `theirs` that `block` lacks. */
static int
plan_new(ct_set_plan *plan, const ct_set_keys *block, const ct_set_keys *theirs, ct_set_memo *memo)
{
    ct_set_walk walk;
    ct_set_item item;
    Py_ssize_t at = 0;
    int status = plan_room(plan, ct_set_count(theirs));
    while (status == 0 && ct_set_next(theirs, &at, &item) >= 0) {
        if (ct_memo_seek(memo, block, item, &walk) == CT_MISS) {
            status = plan_addition(plan, item, ct_set_vacant(&walk));
        }
    }
    return status;
}

/* Remove the elements that `theirs` lacks. */
static int
plan_missing(ct_set_plan *plan, const ct_set_keys *block, const ct_set_keys *theirs,
             ct_set_memo *memo)
{
    int status = 0;
    ct_set_item item;
    Py_ssize_t at = 0, slot;
    while (status == 0 && (slot = ct_set_next(block, &at, &item)) >= 0) {
        if (locate(memo, theirs, item) == CT_MISS) {
            status = plan_removal(plan, block, slot);
        }
    }
    return status;
}

/* Remove the elements that `theirs` has, walking over the smaller of the two. */
static int
plan_found(ct_set_plan *plan, const ct_set_keys *block, const ct_set_keys *theirs,
           ct_set_memo *memo)
{
    int larger = ct_set_count(theirs) > ct_set_count(block), status = 0;
    ct_set_item item;
    Py_ssize_t at = 0, slot;
    while (status == 0 && (slot = ct_set_next(larger ? block : theirs, &at, &item)) >= 0) {
        if (larger) {
            slot = locate(memo, theirs, item) == CT_MISS ? CT_MISS : slot;
        }
        else {
            slot = locate(memo, block, item);
        }
        status = slot == CT_MISS ? 0 : plan_removal(plan, block, slot);
    }
    return status;
}

/* -- intersection ------------------------------------------------------------------------------- */

/* An element that is kept, and the slot of the table's block that it stands for. */
typedef struct {
    ct_set_item item;
    Py_ssize_t origin;
} survivor;

typedef struct {
    survivor *kept; /* room for as many as the table's block has elements */
    Py_ssize_t nkept;
    ct_set_keys *mine;   /* what the operands so far left over; the table's block at first */
    Py_ssize_t *origins; /* slot of `mine` -> slot of the table's block; NULL: the same */
} narrowing;

static void
keep(narrowing *narrow, Py_ssize_t limit, ct_set_item item, Py_ssize_t slot)
{
    if (narrow->nkept < limit) { /* more only if __eq__ contradicts itself */
        survivor *next = &narrow->kept[narrow->nkept++];
        next->item = item;
        next->origin = narrow->origins == NULL ? slot : narrow->origins[slot];
    }
}

/* Of two equal objects keeps, as `set` does, that of the operand, unless that is a larger set. */
static void
narrow_by(narrowing *narrow, const ct_set_keys *theirs, int is_set, ct_set_memo *memo)
{
    const ct_set_keys *mine = narrow->mine;
    Py_ssize_t limit = ct_set_count(mine), at = 0, slot;
    ct_set_item item;
    narrow->nkept = 0;
    if (is_set && ct_set_count(theirs) > limit) {
        while ((slot = ct_set_next(mine, &at, &item)) >= 0) {
            if (locate(memo, theirs, item) != CT_MISS) {
                keep(narrow, limit, item, slot);
            }
        }
        return;
    }
    while (ct_set_next(theirs, &at, &item) >= 0) {
        slot = locate(memo, mine, item);
        if (slot != CT_MISS) {
            keep(narrow, limit, item, slot);
        }
    }
}

static void
narrow_clear(narrowing *narrow, const ct_set_keys *block)
{
    if (narrow->mine != block) {
        ct_set_release(narrow->mine);
    }
    PyMem_Free(narrow->origins);
    narrow->mine = NULL;
    narrow->origins = NULL;
}

/* Put what was kept in the place of `mine`, for the next operand. */
static int
narrow_rebase(narrowing *narrow, const ct_set_keys *block)
{
    ct_set_keys *next = ct_set_new(ct_set_log2_for(narrow->nkept));
    Py_ssize_t *origins = NULL;
    if (next != NULL) {
        next->owns = CT_OWNS_NOTHING;
        origins = PyMem_New(Py_ssize_t, ct_set_mask(next) + 1);
    }
    if (origins == NULL) {
        ct_set_release(next);
        return CT_NO_MEMORY;
    }
    for (Py_ssize_t i = 0; i < narrow->nkept; i++) {
        ct_set_item item = narrow->kept[i].item;
        size_t slot = ct_set_vacancy(next, item.hash);
        ct_set_place(next, item, slot);
        origins[slot] = narrow->kept[i].origin;
    }
    narrow_clear(narrow, block);
    narrow->mine = next;
    narrow->origins = origins;
    return 0;
}

/* Remove what has no survivor; a survivor that is another object replaces what it equals. */
static int
plan_survivors(ct_set_plan *plan, const ct_set_keys *block, const narrowing *narrow)
{
    PyObject **by_slot = PyMem_Calloc(ct_set_mask(block) + 1, sizeof(PyObject *));
    int status = by_slot == NULL ? CT_NO_MEMORY : 0;
    ct_set_item item;
    Py_ssize_t at = 0, slot;
    for (Py_ssize_t i = 0; status == 0 && i < narrow->nkept; i++) {
        by_slot[narrow->kept[i].origin] = narrow->kept[i].item.key;
    }
    while (status == 0 && (slot = ct_set_next(block, &at, &item)) >= 0) {
        if (by_slot[slot] != item.key) {
            status = plan_removal(plan, block, slot);
        }
    }
    for (Py_ssize_t i = 0; status == 0 && i < narrow->nkept; i++) {
        slot = narrow->kept[i].origin;
        if (by_slot[slot] == narrow->kept[i].item.key && ct_plan_removes(plan, slot)) {
            status = plan_addition(plan, narrow->kept[i].item, (size_t)slot);
            by_slot[slot] = NULL;
        }
    }
    PyMem_Free(by_slot);
    return status;
}

static int
plan_intersection(ct_set_plan *plan, const ct_set_keys *block, const ct_set_operands *theirs,
                  ct_set_memo *memo)
{
    narrowing narrow = {NULL, 0, (ct_set_keys *)block, NULL};
    int status = 0;
    narrow.kept = PyMem_New(survivor, ct_set_count(block) + 1);
    if (narrow.kept == NULL) {
        return CT_NO_MEMORY;
    }
    for (Py_ssize_t i = 0; status == 0 && i < theirs->count; i++) {
        if (i > 0) {
            status = narrow_rebase(&narrow, block);
        }
        if (status == 0) {
            narrow_by(&narrow, theirs->blocks[i], theirs->is_set[i], memo);
        }
    }
    if (status == 0) {
        status = plan_survivors(plan, block, &narrow);
    }
    narrow_clear(&narrow, block);
    PyMem_Free(narrow.kept);
    return status;
}

/* -- plans -------------------------------------------------------------------------------------- */

int
ct_plan_make(ct_set_plan *plan, int kind, const ct_set_keys *block,
             const ct_set_operands *theirs, ct_set_memo *memo)
{
    int status = 0;
    memset(plan, 0, sizeof(*plan));
    if (kind == CT_PLAN_INTERSECT) {
        status = plan_intersection(plan, block, theirs, memo);
    }
    for (Py_ssize_t i = 0; status == 0 && kind != CT_PLAN_INTERSECT && i < theirs->count; i++) {
        const ct_set_keys *their = theirs->blocks[i];
        if (kind == CT_PLAN_REPLACE) {
            status = plan_missing(plan, block, their, memo);
        }
        else if (kind != CT_PLAN_UPDATE) {
            status = plan_found(plan, block, their, memo);
        }
        if (status == 0 && kind != CT_PLAN_SUBTRACT) {
            status = plan_new(plan, block, their, memo);
        }
    }
    if (memo->no_memory) {
        memo->no_memory = 0;
        status = CT_NO_MEMORY;
    }
    return status;
}
