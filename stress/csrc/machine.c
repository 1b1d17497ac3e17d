/* What an operation does to a state.
 *
 * Three machines. Cells: the state is one number, the value of one key (or a counter). Maps: the
 * state is the number of an interned array of (key, value) pairs, in order of insertion, or sorted
 * by key where the order means nothing. Python: states and operations are numbers whose meaning
 * only a Python function knows; each transition is asked for once and remembered.
 */
#include "search.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_TABLE 256
#define MAP_ROOM 8  /* pairs */

/* --- one cell -------------------------------------------------------------------------------- */

static bool
guard_holds(int64_t guard, int64_t wanted, int64_t value)
{
    return guard == GUARD_ANY || (guard == GUARD_EQUAL && value == wanted)
           || (guard == GUARD_OTHER && value != wanted);
}

static int64_t
effect_on(int64_t effect, int64_t result, int64_t value)
{
    if (effect == EFFECT_SET) {
        return result;
    }
    /* unsigned: a counter that leaves 64 bits wraps instead of being undefined */
    return effect == EFFECT_ADD ? (int64_t)((uint64_t)value + (uint64_t)result) : value;
}

static bool
cell_step(const ct_instruction *it, int64_t value, int64_t *next)
{
    if (guard_holds(it->guard1, it->value1, value)) {
        *next = effect_on(it->effect1, it->result1, value);
        return true;
    }
    if (guard_holds(it->guard2, it->value2, value)) {
        *next = effect_on(it->effect2, it->result2, value);
        return true;
    }
    return false;
}

/* --- the table of interned states and of transitions ----------------------------------------- */

static bool
grow_table(ct_machine *m)
{
    size_t size = m->table_size ? m->table_size * 2 : FIRST_TABLE;
    ct_transition *table = ct_budget_grow(m->budget, NULL, 0, size * sizeof(ct_transition));
    if (table == NULL) {
        return false;
    }
    memset(table, 0, size * sizeof(ct_transition));
    for (size_t i = 0; i < m->table_size; i++) {
        ct_transition *old = &m->table[i];
        if (old->round != m->round) {
            continue;
        }
        size_t at = ct_mix((uint64_t)old->a ^ ct_mix((uint64_t)old->b));
        while (table[at & (size - 1)].round == m->round) {
            at++;
        }
        table[at & (size - 1)] = *old;
    }
    ct_budget_free(m->budget, m->table, m->table_size * sizeof(ct_transition));
    m->table = table;
    m->table_size = size;
    return true;
}

static bool
room_in_table(ct_machine *m)
{
    return (m->table_used + 1) * 4 <= m->table_size * 3 || grow_table(m);
}

/* --- whole maps ------------------------------------------------------------------------------ */

static size_t
pairs_of(const ct_machine *m, int64_t state, const int64_t **pairs)
{
    size_t begin = m->offsets[state], end = m->offsets[state + 1];
    *pairs = m->pairs + begin;
    return (end - begin) / 2;
}

static bool
room_for_pairs(ct_machine *m, size_t pairs)
{
    size_t wanted = m->npairs + 2 * pairs;
    if (wanted > m->pairs_capacity) {
        size_t capacity = wanted + wanted / 2 + 256;
        int64_t *block = ct_budget_grow(m->budget, m->pairs, m->pairs_capacity * 8, capacity * 8);
        if (block == NULL) {
            return false;
        }
        m->pairs = block;
        m->pairs_capacity = capacity;
    }
    if (m->nstates + 2 > m->offsets_capacity) {
        size_t capacity = m->nstates + m->nstates / 2 + 64;
        size_t *block = ct_budget_grow(m->budget, m->offsets, m->offsets_capacity * sizeof(size_t),
                                       capacity * sizeof(size_t));
        if (block == NULL) {
            return false;
        }
        m->offsets = block;
        m->offsets_capacity = capacity;
    }
    return true;
}

/* The number of the state whose `count` pairs stand right behind the last state's. */
static int
intern(ct_machine *m, size_t count, int64_t *state)
{
    if (!room_in_table(m)) {
        return STEP_MEMORY;
    }
    const int64_t *pairs = m->pairs + m->npairs;
    uint64_t hash = count;
    for (size_t i = 0; i < 2 * count; i++) {
        hash = ct_mix(hash ^ (uint64_t)pairs[i]);
    }
    int64_t a = (int64_t)hash, b = (int64_t)count;
    size_t at = ct_mix((uint64_t)a ^ ct_mix((uint64_t)b));
    for (;; at++) {
        ct_transition *slot = &m->table[at & (m->table_size - 1)];
        if (slot->round != m->round) {
            *slot = (ct_transition){a, b, (int64_t)m->nstates, m->round};
            m->table_used++;
            m->npairs += 2 * count;
            *state = (int64_t)m->nstates++;
            m->offsets[m->nstates] = m->npairs;
            return 0;
        }
        const int64_t *other;
        if (slot->a == a && slot->b == b && pairs_of(m, slot->next, &other) == count
            && memcmp(other, pairs, count * 2 * sizeof(int64_t)) == 0) {
            *state = slot->next;
            return 0;
        }
    }
}

static size_t
place_of(const int64_t *pairs, size_t count, int64_t key)
{
    size_t i = 0;
    while (i < count && pairs[2 * i] != key) {
        i++;
    }
    return i;
}

static size_t
put(const ct_machine *m, int64_t *pairs, size_t count, int64_t key, int64_t value)
{
    size_t at = count;
    if (m->kind == MACHINE_MAP) {  /* sorted, so that equal contents are one state */
        while (at > 0 && pairs[2 * at - 2] > key) {
            at--;
        }
        memmove(pairs + 2 * at + 2, pairs + 2 * at, (count - at) * 2 * sizeof(int64_t));
    }
    pairs[2 * at] = key;
    pairs[2 * at + 1] = value;
    return count + 1;
}

static size_t
drop(int64_t *pairs, size_t count, size_t at)
{
    memmove(pairs + 2 * at, pairs + 2 * at + 2, (count - at - 1) * 2 * sizeof(int64_t));
    return count - 1;
}

static bool
map_cell(const ct_machine *m, const ct_instruction *it, int64_t *pairs, size_t *count)
{
    size_t at = place_of(pairs, *count, it->key);
    int64_t value = at < *count ? pairs[2 * at + 1] : ABSENT, next;
    if (!cell_step(it, value, &next)) {
        return false;
    }
    if (next == ABSENT) {
        if (at < *count) {
            *count = drop(pairs, *count, at);
        }
    }
    else if (at < *count) {
        pairs[2 * at + 1] = next;
    }
    else {
        *count = put(m, pairs, *count, it->key, next);
    }
    return true;
}

static bool
map_instruction(const ct_machine *m, const ct_instruction *it, int64_t *pairs, size_t *count)
{
    size_t n = *count;
    switch (it->code) {
    case CODE_CELL:
        return map_cell(m, it, pairs, count);
    case CODE_LEN:
        return guard_holds(it->guard1, it->value1, (int64_t)n);
    case CODE_CLEAR:
        *count = 0;
        return true;
    case CODE_LAST:
        if (n == 0 || pairs[2 * n - 2] != it->key
            || !guard_holds(it->guard1, it->value1, pairs[2 * n - 1])) {
            return false;
        }
        *count = n - 1;
        return true;
    case CODE_AT:  /* value2: the place */
        return it->value2 >= 0 && (size_t)it->value2 < n && pairs[2 * it->value2] == it->key
               && guard_holds(it->guard1, it->value1, pairs[2 * it->value2 + 1]);
    default:
        return false;
    }
}

static int
map_step(ct_machine *m, int64_t state, int64_t op, int64_t *next)
{
    int64_t begin = m->first[op], end = m->first[op + 1];
    const int64_t *old;
    size_t count = pairs_of(m, state, &old);
    if (!room_for_pairs(m, count + (size_t)(end - begin))) {
        return STEP_MEMORY;
    }
    pairs_of(m, state, &old);
    int64_t *pairs = m->pairs + m->npairs;  /* behind the last state: a new state's own place */
    memcpy(pairs, old, count * 2 * sizeof(int64_t));
    for (int64_t i = begin; i < end; i++) {
        if (!map_instruction(m, &m->program[i], pairs, &count)) {
            return STEP_REFUSED;
        }
    }
    return intern(m, count, next);
}

/* --- a Python function ----------------------------------------------------------------------- */

static int
ask(ct_machine *m, int64_t state, int64_t what, int64_t *next)
{
    PyObject *answer = PyObject_CallFunction(m->step, "LL", (long long)state, (long long)(what / 2));
    if (answer == NULL) {
        return STEP_ERROR;
    }
    *next = PyLong_AsLongLong(answer);
    Py_DECREF(answer);
    return *next == -1 && PyErr_Occurred() ? STEP_ERROR : 0;
}

static int
python_step(ct_machine *m, int64_t state, int64_t op, int64_t *next)
{
    int64_t what = m->first[op];
    if (!room_in_table(m)) {
        return STEP_MEMORY;
    }
    size_t at = ct_mix((uint64_t)state ^ ct_mix((uint64_t)what));
    ct_transition *slot = &m->table[at & (m->table_size - 1)];
    while (slot->round == m->round && (slot->a != state || slot->b != what)) {
        slot = &m->table[++at & (m->table_size - 1)];
    }
    if (slot->round != m->round) {
        int64_t answer;
        int status = ask(m, state, what, &answer);
        if (status < 0) {
            return status;
        }
        *slot = (ct_transition){state, what, answer, m->round};
        m->table_used++;
    }
    *next = slot->next;
    return *next < 0 ? STEP_REFUSED : 0;
}

/* --- all of them ----------------------------------------------------------------------------- */

bool
ct_machine_begin(ct_machine *m, int64_t initial, int64_t *state)
{
    *state = initial;
    if (m->kind == MACHINE_CELL) {
        return true;
    }
    if (m->kind == MACHINE_PYTHON && m->round > 0) {
        return true;  /* what the function said of one part holds for all */
    }
    m->round++;
    m->table_used = 0;
    m->npairs = m->nstates = 0;
    if (m->kind == MACHINE_PYTHON) {
        return true;
    }
    if (!room_for_pairs(m, MAP_ROOM)) {
        return false;
    }
    m->offsets[0] = 0;
    return intern(m, 0, state) == 0;  /* a map begins empty; contents are put by an operation */
}

void
ct_machine_free(ct_machine *m)
{
    ct_budget_free(m->budget, m->pairs, m->pairs_capacity * 8);
    ct_budget_free(m->budget, m->offsets, m->offsets_capacity * sizeof(size_t));
    ct_budget_free(m->budget, m->table, m->table_size * sizeof(ct_transition));
}

static bool
keeps(int64_t guard, int64_t effect)
{
    return effect == EFFECT_KEEP || guard == GUARD_NEVER;
}

bool
ct_machine_is_read(const ct_machine *m, int64_t op)
{
    if (m->kind == MACHINE_PYTHON) {
        return m->first[op] & 1;
    }
    for (int64_t i = m->first[op]; i < m->first[op + 1]; i++) {
        const ct_instruction *it = &m->program[i];
        if (it->code == CODE_CLEAR || it->code == CODE_LAST
            || !keeps(it->guard1, it->effect1) || !keeps(it->guard2, it->effect2)) {
            return false;
        }
    }
    return true;
}

int
ct_machine_step(ct_machine *m, int64_t state, int64_t op, int64_t *next)
{
    if (m->kind == MACHINE_PYTHON) {
        return python_step(m, state, op, next);
    }
    if (m->kind != MACHINE_CELL) {
        return map_step(m, state, op, next);
    }
    for (int64_t i = m->first[op]; i < m->first[op + 1]; i++) {
        if (!cell_step(&m->program[i], state, &state)) {
            return STEP_REFUSED;
        }
    }
    *next = state;
    return 0;
}
