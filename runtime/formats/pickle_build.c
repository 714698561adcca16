/* pickle_build.c: the functions that a pickle of tensors calls, and the tensors they make; see
 * pickle.h. */
#include <string.h>

#include "runtime/formats/pickle_impl.h"

#include "host/grow.h"

static const struct {
    const char *module, *name;
    clm__kind kind;
    int which; /* clm__function or clm_dtype */
} k_globals[] = {
    {"collections", "OrderedDict", CLM__FUNCTION, CLM__ORDERED_DICT},
    {"torch._utils", "_rebuild_tensor_v2", CLM__FUNCTION, CLM__REBUILD_TENSOR},
    {"torch._utils", "_rebuild_parameter", CLM__FUNCTION, CLM__REBUILD_PARAMETER},
    {"torch", "DoubleStorage", CLM__STORAGE_TYPE, CLM_DTYPE_F64},
    {"torch", "FloatStorage", CLM__STORAGE_TYPE, CLM_DTYPE_F32},
    {"torch", "HalfStorage", CLM__STORAGE_TYPE, CLM_DTYPE_F16},
    {"torch", "BFloat16Storage", CLM__STORAGE_TYPE, CLM_DTYPE_BF16},
    {"torch", "LongStorage", CLM__STORAGE_TYPE, CLM_DTYPE_I64},
    {"torch", "IntStorage", CLM__STORAGE_TYPE, CLM_DTYPE_I32},
    {"torch", "ShortStorage", CLM__STORAGE_TYPE, CLM_DTYPE_I16},
    {"torch", "CharStorage", CLM__STORAGE_TYPE, CLM_DTYPE_I8},
    {"torch", "ByteStorage", CLM__STORAGE_TYPE, CLM_DTYPE_U8},
    {"torch", "BoolStorage", CLM__STORAGE_TYPE, CLM_DTYPE_BOOL},
};

static bool text_is(const char *text, size_t size, const char *word)
{
    return size == strlen(word) && memcmp(text, word, size) == 0;
}

static int shown(size_t size)
{
    return size < 80 ? (int)size : 80;
}

clm_status clm__pickle_global(clm__pickle *p, const char *module, size_t module_size,
                              const char *name, size_t name_size)
{
    for (size_t i = 0; i < sizeof k_globals / sizeof *k_globals; i++) {
        if (!text_is(module, module_size, k_globals[i].module) ||
            !text_is(name, name_size, k_globals[i].name))
            continue;
        return clm__pickle_push(
            p, (clm__value){.kind = k_globals[i].kind, .index = (uint32_t)k_globals[i].which});
    }
    return clm_fail(p->err, CLM_E_MODEL,
                    "%s: its pickle asks for '%.*s.%.*s', which no table of tensors needs: refused",
                    p->path, shown(module_size), module, shown(name_size), name);
}

/* ---- Tuples -------------------------------------------------------------------------------- */

/* Item `i` of a tuple that has more. */
static const clm__value *item(const clm__pickle *p, const clm__value *tuple, size_t i)
{
    uint32_t cell = tuple->first;

    while (i-- > 0) cell = p->cells[cell].next;
    return &p->values[p->cells[cell].key];
}

/* A tuple of whole numbers that are not negative, at most `max`. */
static clm_status read_sizes(clm__pickle *p, const clm__value *tuple, size_t max, size_t *count,
                             size_t *out)
{
    if (tuple->kind != CLM__TUPLE || tuple->count > max)
        return clm__pickle_fail(p, "the shape of a tensor is no tuple of at most 8 numbers");
    *count = tuple->count;
    for (size_t i = 0; i < *count; i++) {
        const clm__value *v = item(p, tuple, i);

        if (v->kind != CLM__INT || v->integer < 0)
            return clm__pickle_fail(p, "the shape of a tensor has something else than sizes");
        out[i] = (size_t)v->integer;
    }
    return CLM_OK;
}

/* ---- Storages ------------------------------------------------------------------------------ */

static bool sound_key(const clm__value *key)
{
    if (key->kind != CLM__TEXT || key->count == 0 || key->count > 64) return false;
    for (size_t i = 0; i < key->count; i++) {
        const char c = key->text[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            c != '_' && c != '-')
            return false;
    }
    return true;
}

/* ("storage", type, key, where it was, number of elements) */
clm_status clm__pickle_storage(clm__pickle *p, uint32_t id)
{
    const clm__value *tuple = &p->values[id];
    clm__storage s = {0}, *grown;
    size_t room = 0, bytes;
    clm_status st;

    if (tuple->kind != CLM__TUPLE || tuple->count != 5)
        return clm__pickle_fail(p, "a storage is not named by five values");
    const clm__value *word = item(p, tuple, 0), *type = item(p, tuple, 1), *key = item(p, tuple, 2),
                     *count = item(p, tuple, 4);
    if (word->kind != CLM__TEXT || !text_is(word->text, word->count, "storage") ||
        type->kind != CLM__STORAGE_TYPE || count->kind != CLM__INT || count->integer < 0)
        return clm__pickle_fail(p, "a storage is not named as torch does it");
    if (!sound_key(key)) return clm__pickle_fail(p, "the key of a storage is not a plain word");
    s.dtype = (clm_dtype)type->index;
    bytes = (size_t)count->integer;
    if (!clm__stored_bytes(s.dtype, &bytes, 1, &s.bytes))
        return clm__pickle_fail(p, "a storage of more bytes than can be");
    st = p->find(p->context, key->text, key->count, &s.data, &room, p->err);
    if (st != CLM_OK) return st;
    if (room < s.bytes) {
        return clm_fail(p->err, CLM_E_MODEL, "%s: storage '%.*s' has %zu bytes of %zu: damaged",
                        p->path, (int)key->count, key->text, room, s.bytes);
    }
    grown = clm_grow(p->storages, &p->storages_room, p->n_storages + 1, sizeof *grown);
    if (grown == NULL) return clm__pickle_no_memory(p);
    p->storages = grown;
    p->storages[p->n_storages] = s;
    return clm__pickle_push(p,
                            (clm__value){.kind = CLM__STORAGE, .index = (uint32_t)p->n_storages++});
}

/* ---- Tensors ------------------------------------------------------------------------------- */

/* Whether the strides are those of dense rows; along a dimension of 1 they mean nothing. */
static bool is_dense(const clm_stored *t, const size_t *strides)
{
    size_t dense = 1;

    for (size_t i = t->rank; i-- > 0;) {
        if (t->dims[i] != 1 && strides[i] != dense) return false;
        dense *= t->dims[i]; /* no overflow: the bytes of the whole have been computed */
    }
    return true;
}

/* (storage, offset, sizes, strides, requires_grad, hooks[, metadata]) */
static clm_status rebuild_tensor(clm__pickle *p, const clm__value *arguments)
{
    size_t strides[CLM_STORED_MAX_RANK], n_strides = 0;
    clm_stored t = {.file = p->path}, *grown;
    clm_status st;

    if (arguments->count < 6 || arguments->count > 7)
        return clm__pickle_fail(p, "a tensor is not made of six values");
    const clm__value *storage = item(p, arguments, 0), *offset = item(p, arguments, 1);
    if (storage->kind != CLM__STORAGE || offset->kind != CLM__INT || offset->integer < 0)
        return clm__pickle_fail(p, "a tensor without a storage and a place in it");
    st = read_sizes(p, item(p, arguments, 2), CLM_STORED_MAX_RANK, &t.rank, t.dims);
    if (st == CLM_OK)
        st = read_sizes(p, item(p, arguments, 3), CLM_STORED_MAX_RANK, &n_strides, strides);
    if (st != CLM_OK) return st;
    const clm__storage *s = &p->storages[storage->index];
    t.dtype = s->dtype;
    if (n_strides != t.rank)
        return clm__pickle_fail(p, "a tensor has another number of strides than of sizes");
    const size_t first = (size_t)offset->integer, elements = s->bytes / clm__dtype_bytes(t.dtype);
    if (!clm__stored_bytes(t.dtype, t.dims, t.rank, &t.bytes) || first > elements ||
        t.bytes / clm__dtype_bytes(t.dtype) > elements - first)
        return clm__pickle_fail(p, "a tensor reaches beyond its storage");
    if (t.bytes > 0 && !is_dense(&t, strides))
        return clm__pickle_fail(p, "a tensor whose rows are not dense, which is not supported");
    t.data = s->data + first * clm__dtype_bytes(t.dtype);
    grown = clm_grow(p->tensors, &p->tensors_room, p->n_tensors + 1, sizeof *grown);
    if (grown == NULL) return clm__pickle_no_memory(p);
    p->tensors = grown;
    p->tensors[p->n_tensors] = t;
    return clm__pickle_push(p,
                            (clm__value){.kind = CLM__TENSOR, .index = (uint32_t)p->n_tensors++});
}

clm_status clm__pickle_call(clm__pickle *p, uint32_t callee, uint32_t arguments)
{
    const clm__value *function = &p->values[callee], *tuple = &p->values[arguments];

    if (function->kind != CLM__FUNCTION || tuple->kind != CLM__TUPLE)
        return clm__pickle_fail(p, "a call of something that is no function");
    switch ((clm__function)function->index) {
    case CLM__ORDERED_DICT:
        if (tuple->count != 0) return clm__pickle_fail(p, "an OrderedDict with arguments");
        return clm__pickle_push(p, (clm__value){.kind = CLM__DICT, .ordered = true});
    case CLM__REBUILD_TENSOR:
        return rebuild_tensor(p, tuple);
    case CLM__REBUILD_PARAMETER: /* (tensor, requires_grad, hooks) */
        if (tuple->count != 3 || item(p, tuple, 0)->kind != CLM__TENSOR)
            return clm__pickle_fail(p, "a parameter that is no tensor");
        return clm__pickle_push(p, *item(p, tuple, 0));
    }
    return clm__pickle_fail(p, "a call of an unknown function");
}

clm_status clm__pickle_finish(clm__pickle *p)
{
    clm_status st = CLM_OK;

    if (p->n_stack != 1 || p->stack[0] == CLM__MARK || p->values[p->stack[0]].kind != CLM__DICT) {
        return clm_fail(p->err, CLM_E_MODEL, "%s: its pickle makes no dictionary of tensors",
                        p->path);
    }
    for (uint32_t cell = p->values[p->stack[0]].first; cell != CLM__NONE_CELL && st == CLM_OK;
         cell = p->cells[cell].next) {
        const clm__value *key = &p->values[p->cells[cell].key],
                         *value = &p->values[p->cells[cell].value];

        if (key->kind != CLM__TEXT)
            return clm__pickle_fail(p, "a key of the table of tensors is no text");
        if (value->kind != CLM__TENSOR) {
            return clm_fail(p->err, CLM_E_MODEL,
                            "%s: key '%.*s' holds no tensor; a table of tensors alone is read "
                            "(torch.save(model.state_dict()))",
                            p->path, shown(key->count), key->text);
        }
        st = clm__stored_add(p->list, &p->tensors[value->index], key->text, key->count, p->err);
    }
    return st;
}
