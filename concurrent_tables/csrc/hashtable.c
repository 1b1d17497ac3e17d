/* HashTable: blocks, chains, lookups.  The essay is in hashtable.h. */
#include "hashtable.h"
#include "split.h"

/* -- chains and blocks as objects --------------------------------------------------------------- */

static void
entries_dealloc(PyObject *self)
{
    ct_entries *chain = (ct_entries *)self;
    PyTypeObject *type = Py_TYPE(self);
    for (Py_ssize_t i = 0; i < Py_SIZE(chain); i++) {
        Py_DECREF(chain->pairs[i].key);
        Py_DECREF(chain->pairs[i].value);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static void
buckets_dealloc(PyObject *self)
{
    ct_buckets *block = (ct_buckets *)self;
    PyTypeObject *type = Py_TYPE(self);
    for (Py_ssize_t i = 0; i < Py_SIZE(block); i++) {
        Py_XDECREF((PyObject *)ct_load_relaxed(&block->slots[i]));
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot entries_slots[] = {{Py_tp_dealloc, entries_dealloc}, {0, NULL}};
static PyType_Slot buckets_slots[] = {{Py_tp_dealloc, buckets_dealloc}, {0, NULL}};

static PyType_Spec entries_spec = {
    .name = "concurrent_tables._core.Chain",
    .basicsize = offsetof(ct_entries, pairs),
    .itemsize = sizeof(ct_pair),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = entries_slots,
};

static PyType_Spec buckets_spec = {
    .name = "concurrent_tables._core.Buckets",
    .basicsize = offsetof(ct_buckets, slots),
    .itemsize = sizeof(ct_entries *),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = buckets_slots,
};

ct_buckets *
ct_buckets_new(ct_state *st, int log2_size, const ct_buckets *before)
{
    Py_ssize_t size = (Py_ssize_t)1 << log2_size;
    ct_buckets *block = PyObject_NewVar(ct_buckets, st->extra_types[CT_X_BUCKETS], size);
    if (block != NULL) {
        block->log2_size = log2_size;
        block->destroyed = 0;
        ct_store_relaxed(&block->used, 0);
        block->grown = before == NULL ? 0 : before->grown;
        block->shrunk = before == NULL ? 0 : before->shrunk;
        memset((void *)block->slots, 0, (size_t)size * sizeof(ct_entries *));
    }
    return block;
}

/* -- hashing and comparing ---------------------------------------------------------------------- */

int
ct_hashtable_hash(ct_hashtable *t, PyObject *key, uint64_t *hash)
{
    if (t->hash_kind == CT_FN_IDENTITY) {
        uint64_t address = (uint64_t)(uintptr_t)key; /* the low four bits are zero: rotate them away */
        *hash = address >> 4 | address << 60;
        return 0;
    }
    if (t->hash_kind == CT_FN_STR && PyUnicode_CheckExact(key)) {
        Py_hash_t h = ct_hash(key);
        *hash = (uint64_t)h;
        return h == -1 ? -1 : 0;
    }
    PyObject *result = PyObject_CallOneArg(t->hash, key);
    if (result != NULL && !PyLong_Check(result)) {
        PyObject *self = ct_getattr((PyObject *)Py_TYPE(t), "__name__");
        if (self != NULL) {
            PyErr_Format(PyExc_TypeError, "%U: the hash function must return an int, not %s", self,
                         Py_TYPE(result)->tp_name);
            Py_DECREF(self);
        }
        Py_CLEAR(result);
    }
    if (result == NULL) {
        return -1;
    }
    *hash = PyLong_AsUnsignedLongLongMask(result); /* the low 64 bits count */
    Py_DECREF(result);
    return 0;
}

/* CT_EQUAL or CT_DIFFERENT without user code, else CT_UNKNOWN. */
CT_INLINE int
compare_trusted(ct_hashtable *t, PyObject *wanted, PyObject *stored)
{
    if (t->compare_kind == CT_FN_IDENTITY) {
        return wanted == stored;
    }
    if (t->compare_kind == CT_FN_STR && PyUnicode_CheckExact(wanted)
        && PyUnicode_CheckExact(stored)) {
        return wanted == stored ? CT_EQUAL : ct_str_equal(wanted, stored);
    }
    return CT_UNKNOWN;
}

static int
compare_user(ct_hashtable *t, PyObject *wanted, PyObject *stored)
{
    PyObject *args[] = {wanted, stored};
    PyObject *result = PyObject_Vectorcall(t->compare, args, 2, NULL);
    int equal = result == NULL ? -1 : PyObject_IsTrue(result);
    Py_XDECREF(result);
    return equal;
}

int
ct_hashtable_destroyed_error(ct_hashtable *t)
{
    PyObject *error = ct_getattr(t->base.st->errors, "TableDestroyedError");
    PyObject *name = ct_getattr((PyObject *)Py_TYPE(t), "__name__");
    if (error != NULL && name != NULL) {
        PyErr_Format(error, "%U: the table was destroyed; make another one", name);
    }
    Py_XDECREF(error);
    Py_XDECREF(name);
    return -1;
}

static void
endless(ct_hashtable *t, PyObject *key)
{
    PyObject *error = ct_getattr(t->base.st->errors, "TableMutationError");
    PyObject *name = ct_getattr((PyObject *)Py_TYPE(t), "__name__");
    if (error != NULL && name != NULL) {
        PyErr_Format(error,
                     "%U: looking up %s key cannot end, because the compare function changes the table "
                     "at every comparison; make it free of side effects",
                     name, Py_TYPE(key)->tp_name);
    }
    Py_XDECREF(error);
    Py_XDECREF(name);
}

/* -- lookups ------------------------------------------------------------------------------------ */

void
ct_spot_clear(ct_spot *spot)
{
    Py_CLEAR(spot->block);
    Py_CLEAR(spot->chain);
}

/* The slot as it is now, with references; 0 or -1. */
static int
load_spot(ct_hashtable *t, uint64_t hash, ct_spot *spot)
{
    ct_record *self = ct_enter(&t->base);
    if (self == NULL) {
        return -1;
    }
    spot->block = ct_load_acquire(&t->block);
    CT_POINT(chain_load);
    spot->slot = (size_t)hash & (((size_t)1 << spot->block->log2_size) - 1);
    spot->chain = ct_load_acquire(&spot->block->slots[spot->slot]);
    spot->position = -1;
    Py_INCREF(spot->block); /* pinned: who replaces them retires them */
    Py_XINCREF(spot->chain);
    ct_unpin(self);
    if (spot->block->destroyed) {
        ct_spot_clear(spot);
        return ct_hashtable_destroyed_error(t);
    }
    return 0;
}

static int
is_unchanged(ct_hashtable *t, const ct_spot *spot)
{
    return ct_load_acquire(&t->block) == spot->block
           && ct_load_acquire(&spot->block->slots[spot->slot]) == spot->chain;
}

/* 1 when the search ended, 0 when the slot changed meanwhile, -1. */
static int
search(ct_hashtable *t, PyObject *key, uint64_t hash, ct_spot *spot)
{
    Py_ssize_t count = spot->chain == NULL ? 0 : Py_SIZE(spot->chain);
    for (Py_ssize_t i = 0; i < count; i++) {
        const ct_pair *pair = &spot->chain->pairs[i];
        if (pair->hash != hash) {
            continue;
        }
        int equal = compare_trusted(t, key, pair->key);
        if (equal == CT_UNKNOWN) {
            CT_POINT_OPEN(user_compare);
            equal = compare_user(t, key, pair->key); /* unlocked, unpinned, on a chain that we hold */
            if (equal < 0) {
                return -1;
            }
            if (!is_unchanged(t, spot)) {
                return 0;
            }
        }
        if (equal) {
            spot->position = i;
            return 1;
        }
    }
    return 1;
}

int
ct_hashtable_find(ct_hashtable *t, PyObject *key, uint64_t hash, ct_spot *spot)
{
    for (int own_restarts = 0;;) {
        if (load_spot(t, hash, spot) < 0) {
            return -1;
        }
        uint64_t writes = ct_self()->writes;
        int ended = search(t, key, hash, spot);
        if (ended > 0) {
            return 0;
        }
        ct_spot_clear(spot);
        if (ended < 0) {
            return -1;
        }
        if (ct_self()->writes != writes && ++own_restarts > CT_MAX_OWN_RESTARTS) {
            endless(t, key);
            return -1;
        }
    }
}

/* The lookup that needs no user code, pinned and without references: 1, 0, or CT_UNKNOWN. */
static int
get_trusted(ct_hashtable *t, PyObject *key, uint64_t hash, PyObject **value)
{
    ct_record *self = ct_enter(&t->base);
    int found = 0;
    if (self == NULL) {
        PyErr_Clear();
        return CT_UNKNOWN; /* the other way raises */
    }
    ct_buckets *block = ct_load_acquire(&t->block);
    ct_entries *chain = ct_load_acquire(&block->slots[hash & ((UINT64_C(1) << block->log2_size) - 1)]);
    Py_ssize_t count = chain == NULL ? 0 : Py_SIZE(chain);
    for (Py_ssize_t i = 0; found == 0 && i < count; i++) {
        if (chain->pairs[i].hash == hash) {
            found = compare_trusted(t, key, chain->pairs[i].key);
            if (found == CT_EQUAL) {
                *value = Py_NewRef(chain->pairs[i].value);
            }
        }
    }
    if (block->destroyed) {
        found = CT_UNKNOWN;
    }
    ct_unpin(self);
    return found;
}

int
ct_hashtable_get(ct_hashtable *t, PyObject *key, PyObject **value)
{
    uint64_t hash;
    ct_spot spot;
    if (ct_hashtable_hash(t, key, &hash) < 0) {
        return -1;
    }
    if (t->compare_kind != CT_FN_USER) {
        int found = get_trusted(t, key, hash, value);
        if (CT_LIKELY(found != CT_UNKNOWN)) {
            return found;
        }
    }
    if (ct_hashtable_find(t, key, hash, &spot) < 0) {
        return -1;
    }
    int found = spot.position >= 0;
    if (found) {
        *value = Py_NewRef(spot.chain->pairs[spot.position].value);
    }
    ct_spot_clear(&spot);
    return found;
}

/* -- all entries -------------------------------------------------------------------------------- */

void
ct_chains_free(ct_entries **chains, ct_buckets *block)
{
    for (Py_ssize_t i = 0; chains != NULL && i < Py_SIZE(block); i++) {
        Py_XDECREF(chains[i]);
    }
    PyMem_Free(chains);
    Py_XDECREF(block);
}

ct_entries **
ct_hashtable_chains(ct_hashtable *t, ct_buckets **block, uint64_t *version)
{
    ct_section section;
    ct_entries **chains = NULL;
    Py_ssize_t room = 0;
    if (ct_touch(&t->base) < 0) {
        return NULL;
    }
    for (;;) {
        ct_lock(&t->base, &section);
        *block = ct_load_relaxed(&t->block);
        Py_ssize_t size = Py_SIZE(*block);
        int fits = chains != NULL && room >= size;
        for (Py_ssize_t i = 0; fits && i < size; i++) {
            chains[i] = ct_load_relaxed(&(*block)->slots[i]);
            Py_XINCREF(chains[i]);
        }
        *version = ct_load_relaxed(&t->base.version);
        Py_INCREF(*block);
        ct_unlock(&section);
        if (fits) {
            return chains;
        }
        Py_CLEAR(*block);
        PyMem_Free(chains);
        room = size;
        chains = PyMem_New(ct_entries *, room);
        if (chains == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
    }
}

/* -- destruction -------------------------------------------------------------------------------- */

PyObject *
ct_hashtable_walks(ct_hashtable *t)
{
    PyObject *walks = ct_load_acquire(&t->walks);
    if (walks == NULL) {
        PyObject *fresh = PyObject_CallNoArgs(t->base.st->extra_objects[CT_X_WALKS]);
        if (fresh != NULL) {
            if (ct_cas_seq_cst(&t->walks, &walks, fresh)) {
                return fresh;
            }
            Py_DECREF(fresh); /* another thread was faster */
        }
    }
    return walks;
}

static int
add_call(PyObject *calls, PyObject *destroy, PyObject *item)
{
    PyObject *call = destroy == NULL ? NULL : PyTuple_Pack(2, destroy, item);
    int status = destroy == NULL ? 0 : call == NULL ? -1 : PyList_Append(calls, call);
    Py_XDECREF(call);
    return status;
}

static int
add_pair(ct_hashtable *t, PyObject *calls, const ct_pair *pair, const ct_pair *kept)
{
    if ((kept == NULL || kept->key != pair->key) && add_call(calls, t->destroy_key, pair->key) < 0) {
        return -1;
    }
    return kept == NULL || kept->value != pair->value
               ? add_call(calls, t->destroy_value, pair->value)
               : 0;
}

PyObject *
ct_hashtable_destruction(ct_hashtable *t, ct_entries *const *chains, Py_ssize_t count,
                         const ct_pair *only, const ct_pair *kept)
{
    if (t->destroy_key == NULL && t->destroy_value == NULL) {
        return Py_NewRef(Py_None);
    }
    PyObject *calls = PyList_New(0), *result = NULL;
    int status = calls == NULL ? -1 : only == NULL ? 0 : add_pair(t, calls, only, kept);
    for (Py_ssize_t i = 0; status == 0 && i < count; i++) {
        for (Py_ssize_t j = 0; chains[i] != NULL && status == 0 && j < Py_SIZE(chains[i]); j++) {
            status = add_pair(t, calls, &chains[i]->pairs[j], kept);
        }
    }
    if (status == 0 && PyList_GET_SIZE(calls) == 0) {
        result = Py_NewRef(Py_None);
    }
    else if (status == 0) {
        PyObject *walks = ct_hashtable_walks(t);
        result = walks == NULL
                     ? NULL
                     : PyObject_CallFunctionObjArgs(t->base.st->extra_objects[CT_X_DESTRUCTION], calls,
                                                    walks, NULL);
    }
    Py_XDECREF(calls);
    return result;
}

int
ct_hashtable_structure_init(PyObject *module, ct_state *st)
{
    st->extra_types[CT_X_ENTRIES] =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &entries_spec, NULL);
    st->extra_types[CT_X_BUCKETS] =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &buckets_spec, NULL);
    PyObject *walks = PyImport_ImportModule("concurrent_tables._walks");
    if (walks != NULL) {
        st->extra_objects[CT_X_WALKS] = ct_getattr(walks, "Walks");
        st->extra_objects[CT_X_DESTRUCTION] = ct_getattr(walks, "Destruction");
        Py_DECREF(walks);
    }
    return st->extra_types[CT_X_ENTRIES] && st->extra_types[CT_X_BUCKETS]
                   && st->extra_objects[CT_X_WALKS] && st->extra_objects[CT_X_DESTRUCTION]
               ? 0
               : -1;
}
