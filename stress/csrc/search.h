/* The linearizability search of concurrent_tables.stress.check, compiled.
 *
 * The Python module check/search.py is the readable twin and says what is searched for and why it
 * ends: Wing & Gong's search over an entry list (JPDC 1993), Lowe's memo of configurations
 * (CCPE 2017), partitioned before it comes here (Horn & Kroening, FORTE 2015). Here the same search
 * runs on numbers alone, so that it needs no interpreter: the threads of a free-threaded build, and
 * those of a build whose GIL is released, search different parts at once.
 *
 * memo.c      configurations already seen
 * machine.c   what an operation does to a state: cells, whole maps, or a Python function
 * search.c    the entry list and the search itself
 * module.c    arguments, results, exceptions
 *
 * Nothing is shared between two calls, so nothing is locked.
 */
#ifndef CT_SEARCH_H
#define CT_SEARCH_H

#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

/* One step of an operation: "if the guard holds, the effect, else try the other pair". An operation
   is a sequence of them, all of which must succeed at one moment. See check/program.py. */
typedef struct {
    int64_t code, key;
    int64_t guard1, value1, effect1, result1;
    int64_t guard2, value2, effect2, result2;
} ct_instruction;

enum { CODE_CELL, CODE_LEN, CODE_CLEAR, CODE_LAST, CODE_AT };
enum { GUARD_ANY, GUARD_EQUAL, GUARD_OTHER, GUARD_NEVER };
enum { EFFECT_KEEP, EFFECT_SET, EFFECT_ADD };
#define ABSENT 0      /* the value number of "no such key" */
#define FOREVER INT64_MAX  /* the response ticket of an operation that may take effect any time */

typedef enum { MACHINE_CELL, MACHINE_MAP, MACHINE_ORDERED, MACHINE_PYTHON } ct_machine_kind;
typedef enum { VERDICT_OK, VERDICT_ILLEGAL, VERDICT_DEADLINE, VERDICT_MEMORY, VERDICT_STEPS,
               VERDICT_ERROR, VERDICT_MORE } ct_verdict;

/* Bytes in use by the tables of one search, against the cap of the caller. */
typedef struct {
    size_t used, cap;
} ct_budget;

void *ct_budget_grow(ct_budget *budget, void *block, size_t old, size_t wanted);
void ct_budget_free(ct_budget *budget, void *block, size_t size);

static inline uint64_t
ct_mix(uint64_t x)  /* splitmix64 (Steele, Lea, Flood, OOPSLA 2014) */
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* --- memo.c ---------------------------------------------------------------------------------- */

typedef struct {
    uint64_t set[2];  /* 128-bit Zobrist sum of the linearized operations that have a response */
    int64_t state;
    int64_t chain;    /* offset of the first set of used open operations, -1 for none */
    uint64_t round;   /* the entry counts only in its own round: a new part clears by counting up */
} ct_seen;

typedef struct {
    ct_seen *slots;
    size_t size, used;   /* slots, a power of two; those of this round */
    uint64_t round;
    uint64_t *words;     /* chain nodes: next offset, then the bit set */
    size_t nwords, capacity;
    ct_budget *budget;
} ct_memo;

void ct_memo_begin(ct_memo *memo);
void ct_memo_free(ct_memo *memo);
/* 1: new, 0: seen (or dominated: the same with fewer open operations used), -1: out of memory. */
int ct_memo_add(ct_memo *memo, const uint64_t set[2], int64_t state, const uint64_t *open,
                size_t nopen);

/* --- machine.c ------------------------------------------------------------------------------- */

typedef struct {
    int64_t a, b, next;
    uint64_t round;
} ct_transition;

typedef struct {
    ct_machine_kind kind;
    const ct_instruction *program;
    const int64_t *first;      /* operation i: program[first[i]] up to program[first[i + 1]] */
    PyObject *step;            /* MACHINE_PYTHON: step(state, kind) -> state or -1 */
                               /* there first[i] is kind * 2, and 1 more for a read */
    ct_budget *budget;
    uint64_t round;
    int64_t *pairs;            /* the states of a map, one after the other: key, value, ... */
    size_t npairs, pairs_capacity;
    size_t *offsets;           /* state number -> where its pairs begin */
    size_t nstates, offsets_capacity;
    ct_transition *table;      /* interned states, or known transitions */
    size_t table_size, table_used;
} ct_machine;

#define STEP_REFUSED (-1)
#define STEP_MEMORY (-2)
#define STEP_ERROR (-3)

bool ct_machine_begin(ct_machine *machine, int64_t initial, int64_t *state);
void ct_machine_free(ct_machine *machine);
/* Whether the operation changes no state, whatever it is. */
bool ct_machine_is_read(const ct_machine *machine, int64_t op);
/* The next state; for cells through *next (any number is a state there). */
int ct_machine_step(ct_machine *machine, int64_t state, int64_t op, int64_t *next);

/* --- search.c -------------------------------------------------------------------------------- */

typedef struct {
    int64_t op, state;
    int32_t open;   /* its place among the open operations, or CHOSEN or FORCED (search.c) */
} ct_frame;

typedef struct {
    ct_memo memo;
    ct_machine machine;
    ct_budget budget;
    int64_t begin;              /* the part's first operation; op i of the part is begin + i */
    int64_t n;                  /* operations of this part */
    const int64_t *calls, *returns;
    int32_t *next, *prev;       /* entry list: op i is called at i, returns at n + i; 2n is the head */
    int32_t *opens;             /* operations without a response, by call */
    int32_t *same;              /* the one before among opens that does the same, or -1 */
    int32_t *work;              /* room to sort */
    uint64_t *open_used;        /* bit set over opens */
    size_t nopens, open_words;
    ct_frame *path;
    int64_t *best;              /* the longest linearizable prefix seen */
    int64_t depth, best_depth, low; /* best[:low] is still the same as path */
    int64_t best_remaining;
    int64_t blocked;            /* where best ends, the operation that had to come next */
    int64_t remaining;          /* operations with a response that are not linearized */
    uint64_t set[2];
    int64_t state;
    int64_t cursor;             /* the candidate to try next, or -1: just arrived */
    uint64_t steps, max_steps;
    double deadline;            /* monotonic seconds */
    size_t room;                /* operations that the arrays have room for */
} ct_search;

double ct_now(void);
bool ct_search_begin(ct_search *search, int64_t begin, int64_t n, int64_t initial);
ct_verdict ct_search_run(ct_search *search, uint64_t steps);
void ct_search_free(ct_search *search);

/* nomemory.c */
PyObject *ct_prepare_failures(PyObject *module, PyObject *ignored);
PyObject *ct_fail_allocation(PyObject *module, PyObject *number);

#endif
