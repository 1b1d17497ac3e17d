/* Tables of caches: their life, what user code says of their keys, looks at their entries. */
#include "cache_store.h"

#include <math.h>

/* -- comparing with user code ------------------------------------------------------------------- */

int
ct_known(ct_compared *compared, PyObject *candidate)
{
    if (compared == NULL) {
        return CT_UNKNOWN;
    }
    if (compared->matched == candidate) {
        return CT_EQUAL;
    }
    for (size_t i = 0; i < compared->count; i++) {
        if (compared->rejected[i] == candidate) {
            return CT_DIFFERENT;
        }
    }
    compared->unsure = candidate;
    return CT_UNKNOWN;
}

static int
reject(ct_compared *compared, PyObject *candidate)
{
    if (compared->count == compared->room) {
        PyObject **more = PyMem_New(PyObject *, compared->room * 4);
        if (more == NULL) {
            Py_DECREF(candidate);
            PyErr_NoMemory();
            return -1;
        }
        memcpy(more, compared->rejected, compared->count * sizeof(PyObject *));
        if (compared->rejected != compared->first) {
            PyMem_Free(compared->rejected);
        }
        compared->rejected = more;
        compared->room *= 4;
    }
    compared->rejected[compared->count++] = candidate;
    return 0;
}

int
ct_compared_ask(ct_compared *compared, PyObject *candidate, PyObject *key)
{
    int same = PyObject_RichCompareBool(candidate, key, Py_EQ);
    if (same > 0) {
        Py_XSETREF(compared->matched, candidate);
        return 0;
    }
    if (same == 0) {
        return reject(compared, candidate);
    }
    Py_DECREF(candidate);
    return -1;
}

void
ct_compared_clear(ct_compared *compared)
{
    Py_CLEAR(compared->matched);
    while (compared->count > 0) {
        Py_DECREF(compared->rejected[--compared->count]);
    }
    if (compared->rejected != compared->first) {
        PyMem_Free(compared->rejected);
    }
    ct_compared_init(compared);
}

/* -- life --------------------------------------------------------------------------------------- */

int
ct_store_init(ct_store *store, ct_state *st)
{
    ct_slab_init(&store->nodes, sizeof(ct_node));
    store->retired = CT_NONE;
    ct_store_relaxed(&store->next_due, (double)INFINITY);
    ct_store_relaxed(&store->told_due, (double)INFINITY);
    ct_cache_index *index = ct_cache_index_new(CT_INDEX_FIRST_SLOTS);
    if (index == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    ct_store_release(&store->index, index);
    return ct_table_init_part(&store->base, st);
}

int
ct_store_set_policy(ct_store *store, int kind, int64_t maxsize, uint64_t seed)
{
    if (ct_policy_init(&store->policy, kind, maxsize, seed, &store->nodes, ct_node_weight) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

int
ct_store_traverse(ct_store *store, visitproc visit, void *arg)
{
    for (uint32_t number = 0; number < store->nodes.fresh; number++) {
        ct_node *node = ct_node_at(store, number);
        if (ct_load_relaxed(&node->item.state) == CT_NODE_LIVE) {
            Py_VISIT(node->key);
            Py_VISIT(node->value);
            Py_VISIT(ct_node_cells(node));
        }
    }
    return ct_table_traverse(&store->base, visit, arg);
}

/* Take all entries out of the index and the books: a list by `later`. */
static uint32_t
detach_held(ct_store *store)
{
    ct_cache_index *index = ct_load_relaxed(&store->index);
    uint32_t list = CT_NONE;
    for (size_t i = 0; index != NULL && i <= index->mask; i++) {
        uint32_t value = ct_load_relaxed(&index->slots[i]);
        if (value >= CT_SLOT_FIRST) {
            ct_node *node = ct_node_at(store, value - CT_SLOT_FIRST);
            ct_store_release(&index->slots[i], CT_SLOT_DUMMY);
            ct_store_release(&node->item.state, CT_NODE_GONE);
            node->later = list;
            list = value - CT_SLOT_FIRST;
        }
    }
    ct_policy_free(&store->policy); /* from here on it keeps no bound */
    PyMem_RawFree(store->wheel);
    store->wheel = NULL;
    ct_store_relaxed(&store->base.used, 0);
    return list;
}

/* Their numbers are not used again. */
static void
drop_list(ct_store *store, uint32_t list, int shared)
{
    while (list != CT_NONE) {
        ct_node *node = ct_node_at(store, list);
        ct_leavers one;
        ct_leavers_init(&one);
        one.count = 1;
        one.shared = shared;
        ct_node_describe(store, list, &one.first[0]);
        list = node->later;
        ct_leavers_drop(store, &one);
    }
}

void
ct_store_clear_refs(ct_store *store)
{
    ct_section section;
    if (ct_store_begin(store, &section) < 0) {
        PyErr_Clear();
        return;
    }
    uint32_t list = detach_held(store);
    ct_store_end(store, &section);
    drop_list(store, list, ct_is_shared(&store->base));
    ct_table_clear_refs(&store->base);
}

/* Nobody has a reference to it any more. */
void
ct_store_teardown(ct_store *store)
{
    drop_list(store, detach_held(store), 0);
    ct_stripes_free(store);
    ct_slab_free(&store->nodes);
    PyMem_RawFree(ct_load_relaxed(&store->index));
    ct_store_relaxed(&store->index, NULL);
    ct_table_release(&store->base);
}
