/* Keys blocks: allocation, appending, compaction, copying.  Layout and invariants: keys.h. */
#include "keys.h"
#include "set_keys.h"

CT_HIDDEN ct_keys *ct_empty_keys;
CT_HIDDEN int ct_poison;

int
ct_keys_process_init(void)
{
    if (ct_empty_keys == NULL) {
        /* Raw memory: it outlives every interpreter. */
        ct_keys *keys = PyMem_RawCalloc(1, sizeof(ct_keys) + 8);
        if (keys == NULL) {
            return -1;
        }
        keys->kind = CT_UNICODE;
        ct_store_relaxed(&keys->refs, 1);
        memset(keys->index, 0xff, 8); /* EMPTY */
        ct_empty_keys = keys;
    }
    return 0;
}

int
ct_log2_for_slots(Py_ssize_t slots)
{
    int log2_size = CT_MIN_LOG2;
    while (((Py_ssize_t)1 << log2_size) < slots) {
        log2_size++;
    }
    return log2_size;
}

int
ct_log2_holding(Py_ssize_t entries)
{
    if (entries > PY_SSIZE_T_MAX / 4) {
        return 62; /* the allocation fails, as it must */
    }
    return ct_log2_for_slots((entries * 3 + 1) / 2);
}

static size_t
entry_size(int kind)
{
    return kind == CT_UNICODE ? sizeof(ct_str_entry) : sizeof(ct_any_entry);
}

static int
index_width(int log2_size)
{
    return log2_size < 8 ? 0 : log2_size < 16 ? 1 : log2_size < 32 ? 2 : 3;
}

/* From the end of the tags to the first entry; see keys.h. */
static size_t
gap_bytes(int log2_size)
{
    return log2_size < CT_GAP_LOG2 ? 0 : CT_GAP_BYTES;
}

ct_keys *
ct_keys_new(int log2_size, int kind)
{
    if (log2_size > 48) {
        return NULL;
    }
    size_t size = (size_t)1 << log2_size, capacity = (size << 1) / 3;
    size_t before = (size << index_width(log2_size)) + size + gap_bytes(log2_size);
    ct_keys *keys = PyMem_Malloc(sizeof(ct_keys) + before + capacity * entry_size(kind));
    if (keys == NULL) {
        return NULL;
    }
    ct_store_relaxed(&keys->refs, 1);
    keys->log2_size = (uint8_t)log2_size;
    keys->width = (uint8_t)index_width(log2_size);
    keys->kind = (uint8_t)kind;
    keys->owns = 0;
    keys->capacity = (Py_ssize_t)capacity;
    keys->entries = keys->index + before;
    ct_store_relaxed(&keys->nentries, 0);
    ct_store_relaxed(&keys->holds, 0);
    keys->bottom = keys->top = 0;
    memset(keys->index, 0xff, size << keys->width); /* every slot EMPTY */
    return keys;
}

size_t
ct_keys_nbytes(const ct_keys *keys)
{
    if (keys->kind == CT_SET_BLOCK) {
        return ct_set_nbytes((const ct_set_keys *)keys);
    }
    size_t size = (size_t)1 << keys->log2_size;
    return sizeof(ct_keys) + (size << keys->width) + size + gap_bytes(keys->log2_size)
           + (size_t)keys->capacity * entry_size(keys->kind);
}

void
ct_keys_hold(ct_keys *keys)
{
    if (keys != ct_empty_keys) { /* which nobody frees, so that nobody contends for it */
        ct_fetch_add_relaxed(&keys->refs, 1);
    }
}

static void
free_block(ct_keys *keys)
{
    if (keys->kind == CT_SET_BLOCK) {
        ct_set_free(keys);
        return;
    }
    Py_ssize_t count = keys->owns ? ct_load_relaxed(&keys->nentries) : 0;
    for (Py_ssize_t ix = 0; ix < count; ix++) {
        uintptr_t value = ct_load_relaxed(ct_value_slot(keys, ix)) & ~CT_FROZEN;
        if (value != 0) {
            Py_DECREF(ct_entry_key(keys, ix));
            if (keys->owns == CT_OWNS_ALL) {
                Py_DECREF((PyObject *)value);
            }
        }
    }
    if (CT_UNLIKELY(ct_poison)) {
        memset(keys, 0xdb, ct_keys_nbytes(keys)); /* a use after the grace period shows */
    }
    PyMem_Free(keys);
}

void
ct_keys_release(ct_keys *keys)
{
    if (keys != ct_empty_keys && ct_fetch_add_acq_rel(&keys->refs, -1) == 1) {
        free_block(keys);
    }
}

CT_INLINE void
write_entry(ct_keys *keys, Py_ssize_t ix, PyObject *key, Py_hash_t hash, PyObject *value)
{
    if (keys->kind == CT_UNICODE) {
        ct_str_entry *entry = &ct_str_entries(keys)[ix];
        entry->key = key;
        ct_store_relaxed(&entry->value, (uintptr_t)value);
    }
    else {
        ct_any_entry *entry = &ct_any_entries(keys)[ix];
        entry->hash = hash;
        entry->key = key;
        ct_store_relaxed(&entry->value, (uintptr_t)value);
    }
}

CT_INLINE size_t
empty_slot(const ct_keys *keys, Py_hash_t hash)
{
    size_t mask = ct_mask(keys), perturb = (size_t)hash, i = perturb & mask;
    while (ct_index_get(keys, i) != CT_EMPTY) {
        CT_NEXT_SLOT(i, perturb, mask);
    }
    return i;
}

int
ct_keys_crowded_at(const ct_keys *keys, Py_hash_t hash, Py_ssize_t used)
{
    size_t mask = ct_mask(keys), perturb = (size_t)hash, i = perturb & mask;
    for (Py_ssize_t visits = 1; ct_index_get(keys, i) != CT_EMPTY; visits++) {
        if (ct_keys_too_many(visits, used)) {
            return 1;
        }
        CT_NEXT_SLOT(i, perturb, mask);
    }
    return 0;
}

void
ct_keys_append_at(ct_keys *keys, PyObject *key, Py_hash_t hash, PyObject *value, size_t slot)
{
    Py_ssize_t ix = ct_load_relaxed(&keys->nentries);
    CT_ASSERT(ix < keys->capacity && ct_keys_admits(keys, key));
    CT_POINT(entry_write);
    write_entry(keys, ix, key, hash, value);
    keys->top = ix + 1;
    CT_ASSERT(slot == empty_slot(keys, hash));
    ct_tags(keys)[slot] = ct_tag_of(hash);
    CT_POINT(index_publish);
    ct_index_publish(keys, slot, ix); /* I3: the entry is complete, and so is the tag */
    /* Last: whoever counts this entry as seen (ct_place) must be able to find it by probing. */
    ct_store_release(&keys->nentries, ix + 1);
}

void
ct_keys_append(ct_keys *keys, PyObject *key, Py_hash_t hash, PyObject *value)
{
    ct_keys_append_at(keys, key, hash, value, empty_slot(keys, hash));
}

/* The index of an unpublished block whose entries are all live. */
#define BUILD_INDEX(NAME, TYPE)                                                                    \
    static void NAME(ct_keys *keys, Py_ssize_t count)                                              \
    {                                                                                              \
        _Atomic(TYPE) *index = (_Atomic(TYPE) *)keys->index;                                       \
        uint8_t *tags = ct_tags(keys);                                                             \
        size_t mask = ct_mask(keys);                                                               \
        for (Py_ssize_t ix = 0; ix < count; ix++) {                                                \
            Py_hash_t hash = ct_entry_hash(keys, ix);                                              \
            size_t perturb = (size_t)hash, i = perturb & mask;                                     \
            while (ct_load_relaxed(&index[i]) != CT_EMPTY) {                                       \
                CT_NEXT_SLOT(i, perturb, mask);                                                    \
            }                                                                                      \
            tags[i] = ct_tag_of(hash);                                                             \
            ct_store_relaxed(&index[i], (TYPE)ix);                                                 \
        }                                                                                          \
    }

BUILD_INDEX(build_index8, int8_t)
BUILD_INDEX(build_index16, int16_t)
BUILD_INDEX(build_index32, int32_t)
BUILD_INDEX(build_index64, int64_t)

static void
build_index(ct_keys *keys, Py_ssize_t count)
{
    static void (*const by_width[])(ct_keys *, Py_ssize_t) = {build_index8, build_index16,
                                                             build_index32, build_index64};
    by_width[keys->width](keys, count);
    ct_store_relaxed(&keys->nentries, count);
    keys->top = count;
}

int
ct_keys_fill(ct_keys *keys, PyObject *dict)
{
    Py_ssize_t at = 0, ix = 0;
    PyObject *key, *value;
    while (ix < keys->capacity && PyDict_Next(dict, &at, &key, &value)) {
        Py_hash_t hash = 0;
        if (PyUnicode_CheckExact(key)) {
            hash = ct_str_hash(key); /* cached, since it is a key already */
        }
        else if (keys->kind == CT_GENERAL && PyLong_CheckExact(key)) {
            hash = ct_hash(key);
        }
        else {
            break;
        }
        Py_INCREF(key);
        Py_INCREF(value);
        write_entry(keys, ix++, key, hash, value);
    }
    int complete = ix == PyDict_GET_SIZE(dict);
    build_index(keys, ix);
    return complete;
}

ct_keys *
ct_keys_rebuild(ct_keys *old, ct_keys *fresh, Py_ssize_t used, int freeze, int copy)
{
    Py_ssize_t count = ct_load_relaxed(&old->nentries), ix = 0;
    if (!freeze && !copy && count == used && count > 0 && old->kind == fresh->kind) {
        memcpy(fresh->entries, old->entries, (size_t)count * entry_size(old->kind));
        build_index(fresh, count);
        return fresh;
    }
    for (Py_ssize_t from = old->bottom; from < count; from++) {
        CT_POINT(value_settle);
        PyObject *value = ct_slot_settle(ct_value_slot(old, from), freeze);
        if (value == NULL) {
            continue;
        }
        PyObject *key = ct_entry_key(old, from);
        Py_hash_t hash = ct_entry_hash(old, from);
        if (copy) {
            Py_INCREF(key);
            Py_INCREF(value);
        }
        write_entry(fresh, ix++, key, hash, value);
    }
    build_index(fresh, ix);
    return fresh;
}

/* The arrays as they are: dead entries keep their numbers and stay dead. */
static void
copy_arrays(ct_keys *old, ct_keys *fresh)
{
    Py_ssize_t count = ct_load_relaxed(&old->nentries);
    size_t size = (size_t)1 << old->log2_size;
    memcpy(fresh->index, old->index, (size << old->width) + size); /* the tags with it */
    memcpy(fresh->entries, old->entries, (size_t)count * entry_size(old->kind));
    for (Py_ssize_t ix = old->bottom; ix < count; ix++) {
        PyObject *value = (PyObject *)ct_load_relaxed(ct_value_slot(fresh, ix));
        if (value != NULL) {
            Py_INCREF(ct_entry_key(fresh, ix));
            Py_INCREF(value);
        }
    }
    ct_store_relaxed(&fresh->nentries, count);
    fresh->bottom = old->bottom;
    fresh->top = old->top;
}

ct_keys *
ct_keys_clone(ct_keys *old, Py_ssize_t used)
{
    if (used == 0) {
        return ct_empty_keys;
    }
    int dense = used >= ct_load_relaxed(&old->nentries) / 3 * 2;
    int log2_size = dense ? old->log2_size : ct_log2_holding(used);
    ct_keys *fresh = ct_keys_new(log2_size, old->kind);
    if (fresh == NULL) {
        return NULL;
    }
    if (dense) {
        copy_arrays(old, fresh);
        return fresh;
    }
    return ct_keys_rebuild(old, fresh, used, 0, 1);
}

void
ct_probe_start(const ct_keys *keys, Py_hash_t hash, ct_probe_state *at)
{
    at->perturb = (size_t)hash;
    at->i = (size_t)hash & ct_mask(keys);
    at->ix = CT_MISS;
}

Py_ssize_t
ct_probe_resume(const ct_keys *keys, PyObject *key, Py_hash_t hash, ct_probe_state *at)
{
    size_t mask = ct_mask(keys);
    for (;;) {
        Py_ssize_t ix = ct_index_get(keys, at->i);
        if (ix == CT_EMPTY) {
            return CT_MISS;
        }
        if (ix >= 0 && ct_tags(keys)[at->i] == ct_tag_of(hash)) {
            PyObject *candidate = ct_entry_key(keys, ix);
            if (candidate == key) {
                return ix;
            }
            int order = ct_entry_hash(keys, ix) == hash ? ct_compare(candidate, key) : CT_DIFFERENT;
            if (order == CT_EQUAL) {
                return ix;
            }
            if (order == CT_UNKNOWN) {
                at->ix = ix;
                CT_NEXT_SLOT(at->i, at->perturb, mask);
                return CT_COMPARE;
            }
        }
        CT_NEXT_SLOT(at->i, at->perturb, mask);
    }
}

static int
float_equal(PyObject *a, PyObject *b)
{
    return PyFloat_AS_DOUBLE(a) == PyFloat_AS_DOUBLE(b);
}

static int
bytes_equal(PyObject *a, PyObject *b)
{
    Py_ssize_t size = PyBytes_GET_SIZE(a);
    return size == PyBytes_GET_SIZE(b)
           && memcmp(PyBytes_AS_STRING(a), PyBytes_AS_STRING(b), (size_t)size) == 0;
}

static int
tuple_compare(PyObject *a, PyObject *b, int depth)
{
    Py_ssize_t size = PyTuple_GET_SIZE(a);
    if (depth == 0) {
        return CT_UNKNOWN;
    }
    if (size != PyTuple_GET_SIZE(b)) {
        return CT_DIFFERENT;
    }
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *x = PyTuple_GET_ITEM(a, i), *y = PyTuple_GET_ITEM(b, i);
        int order = x == y ? CT_EQUAL : ct_compare_slow(x, y, depth - 1);
        if (order != CT_EQUAL) {
            return order; /* elements before it were equal, so this one decides */
        }
    }
    return CT_EQUAL;
}

int
ct_compare_slow(PyObject *a, PyObject *b, int depth)
{
    PyTypeObject *type = Py_TYPE(a);
    richcmpfunc identity = PyBaseObject_Type.tp_richcompare;
    if (type == Py_TYPE(b) && !PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        if (type == &PyUnicode_Type) {
            return ct_str_equal(a, b);
        }
        if (type == &PyLong_Type) {
            return ct_int_equal(a, b);
        }
        if (type == &PyTuple_Type) {
            return tuple_compare(a, b, depth);
        }
        if (type == &PyBytes_Type) {
            return bytes_equal(a, b);
        }
        if (type == &PyFloat_Type) {
            return float_equal(a, b);
        }
    }
    /* object.__eq__ on both sides is identity. */
    if (type->tp_richcompare == identity && Py_TYPE(b)->tp_richcompare == identity) {
        return CT_DIFFERENT;
    }
    return CT_UNKNOWN;
}
