/* gguf.c: parsing of a GGUF file. Nothing is believed: each count is compared with the bytes that
 * are left before anything is allocated for it, and names are compared after sorting, so that time
 * and memory stay in proportion to the file. See gguf.h; gguf_get.c has the typed getters. */
#include "runtime/formats/gguf.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/formats/bytes.h"
#include "runtime/formats/gguf_impl.h"

/* Fewest bytes that an entry can have: key length, one letter, type, one byte; and name length,
 * one letter, number of dimensions, one dimension, type, offset. */
enum { MIN_KV_BYTES = 8 + 1 + 4 + 1, MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8 };
enum { DEFAULT_ALIGNMENT = 32, MAX_ALIGNMENT = 1 << 24 };

/* The place of reading, and what is being read, for messages. */
typedef struct clm_cursor {
    const char *path;
    const uint8_t *data;
    size_t size, pos;
    const char *part;      /* "key", "tensor"; NULL: the header */
    clm_gguf_string entry; /* name of the key or tensor; empty while unknown */
    size_t index;          /* its number */
} clm_cursor;

static size_t cursor_left(const clm_cursor *c)
{
    return c->size - c->pos;
}

/* Length of a name for "%.*s": messages show at most 80 bytes of it. */
static int shown(clm_gguf_string s)
{
    return s.size < 80 ? (int)s.size : 80;
}

static clm_status fail_truncated(const clm_cursor *c, clm_err *err)
{
    if (c->entry.size != 0) {
        return clm_fail(err, CLM_E_MODEL, "%s: the file ends inside %s '%.*s'", c->path, c->part,
                        shown(c->entry), c->entry.data);
    }
    if (c->part == NULL)
        return clm_fail(err, CLM_E_MODEL, "%s: the file ends inside the header", c->path);
    return clm_fail(err, CLM_E_MODEL, "%s: the file ends inside %s %zu", c->path, c->part,
                    c->index);
}

/* Takes `n` bytes. */
static clm_status take(clm_cursor *c, size_t n, const uint8_t **bytes, clm_err *err)
{
    if (n > cursor_left(c)) return fail_truncated(c, err);
    *bytes = c->data + c->pos;
    c->pos += n;
    return CLM_OK;
}

static clm_status take_u32(clm_cursor *c, uint32_t *value, clm_err *err)
{
    const uint8_t *bytes = NULL;
    clm_status st = take(c, 4, &bytes, err);

    if (st == CLM_OK) *value = clm_load_u32(bytes);
    return st;
}

static clm_status take_u64(clm_cursor *c, uint64_t *value, clm_err *err)
{
    const uint8_t *bytes = NULL;
    clm_status st = take(c, 8, &bytes, err);

    if (st == CLM_OK) *value = clm_load_u64(bytes);
    return st;
}

static clm_status take_string(clm_cursor *c, clm_gguf_string *s, clm_err *err)
{
    uint64_t size = 0;
    const uint8_t *bytes = NULL;
    clm_status st = take_u64(c, &size, err);

    if (st != CLM_OK) return st;
    if (size > cursor_left(c)) return fail_truncated(c, err);
    st = take(c, (size_t)size, &bytes, err);
    if (st != CLM_OK) return st;
    s->data = (const char *)bytes;
    s->size = (size_t)size;
    return CLM_OK;
}

/* A key or tensor name: printable ASCII and not empty. */
static clm_status take_name(clm_cursor *c, size_t limit, clm_gguf_string *name, clm_err *err)
{
    clm_status st = take_string(c, name, err);

    if (st != CLM_OK) return st;
    if (name->size == 0 || name->size > limit) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: the name of %s %zu has %zu bytes; 1 to %zu are allowed", c->path,
                        c->part, c->index, name->size, limit);
    }
    for (size_t i = 0; i < name->size; i++) {
        if (name->data[i] < 0x20 || name->data[i] > 0x7e) {
            return clm_fail(err, CLM_E_MODEL,
                            "%s: the name of %s %zu ('%.*s...') is not printable ASCII", c->path,
                            c->part, c->index, i < 80 ? (int)i : 80, name->data);
        }
    }
    c->entry = *name;
    return CLM_OK;
}

/* ---- Keys and values ----------------------------------------------------------------------- */

/* Takes `count` items of `type` and checks that they are there. */
static clm_status take_items(clm_cursor *c, clm_gguf_type type, uint64_t count, clm_err *err)
{
    const size_t width = clm__gguf_type_bytes(type);
    clm_status st = CLM_OK;
    clm_gguf_string s;

    if (type != CLM_GGUF_STRING) {
        if (count > cursor_left(c) / width) return fail_truncated(c, err);
        c->pos += (size_t)count * width;
        return CLM_OK;
    }
    if (count > cursor_left(c) / 8) return fail_truncated(c, err); /* each has a length */
    for (uint64_t i = 0; i < count && st == CLM_OK; i++) st = take_string(c, &s, err);
    return st;
}

static clm_status parse_kv(clm_cursor *c, clm_gguf_kv *kv, clm_err *err)
{
    uint32_t type = 0;
    uint64_t count = 1;
    clm_status st;

    c->entry.size = 0;
    st = take_name(c, CLM_GGUF_MAX_KEY, &kv->key, err);
    if (st == CLM_OK) st = take_u32(c, &type, err);
    if (st != CLM_OK) return st;
    kv->is_array = type == CLM_GGUF_ARRAY;
    if (kv->is_array) {
        st = take_u32(c, &type, err);
        if (st == CLM_OK) st = take_u64(c, &count, err);
        if (st != CLM_OK) return st;
        if (type == CLM_GGUF_ARRAY) {
            return clm_fail(err, CLM_E_MODEL, "%s: key '%.*s' is an array of arrays", c->path,
                            shown(kv->key), kv->key.data);
        }
    }
    if (type > CLM_GGUF_F64) {
        return clm_fail(err, CLM_E_MODEL, "%s: key '%.*s' has the unknown value type %u", c->path,
                        shown(kv->key), kv->key.data, type);
    }
    kv->type = (clm_gguf_type)type;
    kv->data = c->data + c->pos;
    st = take_items(c, kv->type, count, err);
    kv->count = (size_t)count;
    return st;
}

static int compare_keys(const void *a, const void *b)
{
    const clm_gguf_kv *const *x = a, *const *y = b;

    return clm__gguf_compare((*x)->key, (*y)->key);
}

static clm_status parse_kvs(clm_gguf *g, clm_cursor *c, uint64_t count, clm_err *err)
{
    if (count > cursor_left(c) / MIN_KV_BYTES) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: %llu keys are declared, more than fit into the rest of the file",
                        c->path, (unsigned long long)count);
    }
    g->kvs = calloc((size_t)count + 1, sizeof *g->kvs);
    g->by_key = calloc((size_t)count + 1, sizeof *g->by_key);
    if (g->kvs == NULL || g->by_key == NULL) {
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory for the keys", c->path);
    }
    c->part = "key";
    for (c->index = 0; c->index < count; c->index++) {
        clm_status st = parse_kv(c, &g->kvs[c->index], err);
        if (st != CLM_OK) return st;
        g->by_key[c->index] = &g->kvs[c->index];
    }
    g->n_kvs = (size_t)count;
    qsort(g->by_key, g->n_kvs, sizeof *g->by_key, compare_keys);
    for (size_t i = 1; i < g->n_kvs; i++) {
        if (compare_keys(&g->by_key[i - 1], &g->by_key[i]) == 0) {
            return clm_fail(err, CLM_E_MODEL, "%s: key '%.*s' occurs twice", c->path,
                            shown(g->by_key[i]->key), g->by_key[i]->key.data);
        }
    }
    return CLM_OK;
}

/* ---- Tensors ------------------------------------------------------------------------------- */

/* Reads the dimensions and sets the number of elements, checked for overflow. */
static clm_status parse_dims(clm_cursor *c, clm_gguf_tensor *t, size_t *elems, clm_err *err)
{
    uint32_t n_dims = 0;
    clm_status st = take_u32(c, &n_dims, err);

    if (st != CLM_OK) return st;
    if (n_dims < 1 || n_dims > CLM_GGUF_MAX_DIMS) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: tensor '%.*s' has %u dimensions; 1 to %d are allowed", c->path,
                        shown(t->name), t->name.data, n_dims, CLM_GGUF_MAX_DIMS);
    }
    t->n_dims = n_dims;
    *elems = 1;
    for (size_t d = 0; d < CLM_GGUF_MAX_DIMS; d++) {
        uint64_t dim = 1;

        if (d < n_dims) st = take_u64(c, &dim, err);
        if (st != CLM_OK) return st;
        if (dim == 0 || dim > SIZE_MAX || __builtin_mul_overflow(*elems, (size_t)dim, elems)) {
            return clm_fail(err, CLM_E_MODEL,
                            "%s: tensor '%.*s': dimension %zu is %llu, which is impossible",
                            c->path, shown(t->name), t->name.data, d, (unsigned long long)dim);
        }
        t->dims[d] = (size_t)dim;
    }
    return CLM_OK;
}

/* Reads one entry of the table; the offset is checked later, when the start of the data is known. */
static clm_status parse_tensor(clm_cursor *c, clm_gguf_tensor *t, uint64_t *offset, clm_err *err)
{
    const clm_qtype_info *info;
    uint32_t type = 0;
    size_t elems = 0;
    clm_status st;

    c->entry.size = 0;
    st = take_name(c, CLM_GGUF_MAX_NAME, &t->name, err);
    if (st == CLM_OK) st = parse_dims(c, t, &elems, err);
    if (st == CLM_OK) st = take_u32(c, &type, err);
    if (st == CLM_OK) st = take_u64(c, offset, err);
    if (st != CLM_OK) return st;

    info = clm_qtype_info_get(type);
    if (info == NULL) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: tensor '%.*s' has type %u (%s), which cannot be read", c->path,
                        shown(t->name), t->name.data, type, clm_qtype_name(type));
    }
    t->type = info->type;
    if (t->dims[0] % info->block_elems != 0) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: tensor '%.*s': rows of %zu elements are not whole %s blocks of %zu",
                        c->path, shown(t->name), t->name.data, t->dims[0], info->name,
                        info->block_elems);
    }
    if (__builtin_mul_overflow(elems / info->block_elems, info->block_bytes, &t->bytes)) {
        return clm_fail(err, CLM_E_MODEL, "%s: tensor '%.*s' is impossibly large", c->path,
                        shown(t->name), t->name.data);
    }
    return CLM_OK;
}

static int compare_names(const void *a, const void *b)
{
    const clm_gguf_tensor *const *x = a, *const *y = b;

    return clm__gguf_compare((*x)->name, (*y)->name);
}

static int compare_places(const void *a, const void *b)
{
    const clm_gguf_tensor *const *x = a, *const *y = b;

    return ((*x)->data > (*y)->data) - ((*x)->data < (*y)->data);
}

/* Two tensors on the same bytes are refused (the table is damaged), as are two of one name.
 * Leaves by_name sorted by name. */
static clm_status check_tensors(clm_gguf *g, clm_err *err)
{
    const clm_gguf_tensor **t = g->by_name;

    qsort(t, g->n_tensors, sizeof *t, compare_places);
    for (size_t i = 1; i < g->n_tensors; i++) {
        if ((size_t)(t[i]->data - t[i - 1]->data) < t[i - 1]->bytes) {
            return clm_fail(err, CLM_E_MODEL, "%s: tensors '%.*s' and '%.*s' overlap", g->path,
                            shown(t[i - 1]->name), t[i - 1]->name.data, shown(t[i]->name),
                            t[i]->name.data);
        }
    }
    qsort(t, g->n_tensors, sizeof *t, compare_names);
    for (size_t i = 1; i < g->n_tensors; i++) {
        if (compare_names(&t[i - 1], &t[i]) == 0) {
            return clm_fail(err, CLM_E_MODEL, "%s: tensor '%.*s' occurs twice", g->path,
                            shown(t[i]->name), t[i]->name.data);
        }
    }
    return CLM_OK;
}

/* Turns offsets into addresses. The data begin at the next multiple of the alignment. */
static clm_status place_tensors(clm_gguf *g, const clm_cursor *c, const uint64_t *offsets,
                                clm_err *err)
{
    size_t alignment = DEFAULT_ALIGNMENT;
    clm_status st = clm_gguf_get_uint(g, "general.alignment", MAX_ALIGNMENT, &alignment, NULL, err);

    if (st != CLM_OK) return st;
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
        return clm_fail(err, CLM_E_MODEL, "%s: general.alignment is %zu, not a power of two",
                        g->path, alignment);
    }
    const size_t padding = (alignment - c->pos % alignment) % alignment;
    for (size_t i = 0; i < g->n_tensors; i++) {
        clm_gguf_tensor *t = &g->tensors[i];

        if (offsets[i] % alignment != 0) {
            return clm_fail(err, CLM_E_MODEL,
                            "%s: tensor '%.*s' starts at %llu, not a multiple of the alignment %zu",
                            g->path, shown(t->name), t->name.data, (unsigned long long)offsets[i],
                            alignment);
        }
        if (padding > cursor_left(c) || offsets[i] > cursor_left(c) - padding ||
            t->bytes > cursor_left(c) - padding - (size_t)offsets[i]) {
            return clm_fail(
                err, CLM_E_MODEL,
                "%s: tensor '%.*s' (%zu bytes at %llu) reaches beyond the end of the file", g->path,
                shown(t->name), t->name.data, t->bytes, (unsigned long long)offsets[i]);
        }
        t->data = c->data + c->pos + padding + (size_t)offsets[i];
    }
    return CLM_OK;
}

static clm_status parse_tensors(clm_gguf *g, clm_cursor *c, uint64_t count, clm_err *err)
{
    clm_status st = CLM_OK;
    uint64_t *offsets = NULL;

    if (count > cursor_left(c) / MIN_TENSOR_BYTES) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: %llu tensors are declared, more than fit into the rest of the file",
                        c->path, (unsigned long long)count);
    }
    offsets = calloc((size_t)count + 1, sizeof *offsets);
    g->tensors = calloc((size_t)count + 1, sizeof *g->tensors);
    g->by_name = calloc((size_t)count + 1, sizeof *g->by_name);
    if (offsets == NULL || g->tensors == NULL || g->by_name == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "%s: no memory for the tensor table", c->path);
        goto out;
    }
    c->part = "tensor";
    for (c->index = 0; c->index < count; c->index++) {
        st = parse_tensor(c, &g->tensors[c->index], &offsets[c->index], err);
        if (st != CLM_OK) goto out;
        g->by_name[c->index] = &g->tensors[c->index];
    }
    g->n_tensors = (size_t)count;
    st = place_tensors(g, c, offsets, err);
    if (st == CLM_OK) st = check_tensors(g, err);
out:
    free(offsets);
    return st;
}

/* ---- The file ------------------------------------------------------------------------------ */

/* Magic and version, with a sentence for the relatives that users come across. */
static clm_status parse_version(clm_gguf *g, clm_cursor *c, clm_err *err)
{
    uint32_t version = 0;

    if (c->size == 0) return clm_fail(err, CLM_E_MODEL, "%s: the file is empty", c->path);
    if (c->size < 4 || memcmp(c->data, "GGUF", 4) != 0) {
        const bool ggml =
            c->size >= 4 && (memcmp(c->data, "lmgg", 4) == 0 || memcmp(c->data, "tjgg", 4) == 0 ||
                             memcmp(c->data, "fmgg", 4) == 0);
        return clm_fail(err, CLM_E_MODEL, "%s: not a GGUF file%s", c->path,
                        ggml ? " but one of the older GGML format, which must be converted" : "");
    }
    c->pos = 4;
    clm_status st = take_u32(c, &version, err);
    if (st != CLM_OK) return st;
    if (version != 0 && (version & 0xffff) == 0) {
        return clm_fail(err, CLM_E_MODEL, "%s: a big-endian GGUF file, which cannot be read",
                        c->path);
    }
    if (version != 2 && version != 3) {
        return clm_fail(err, CLM_E_MODEL, "%s: GGUF version %u; versions 2 and 3 can be read",
                        c->path, version);
    }
    g->version = version;
    return CLM_OK;
}

clm_status clm_gguf_parse(const char *path, const uint8_t *data, size_t size, clm_gguf **out,
                          clm_err *err)
{
    clm_cursor c = {.path = path, .data = data, .size = size, .part = NULL};
    uint64_t n_tensors = 0, n_kvs = 0;
    clm_status st = CLM_OK;
    clm_gguf *g = calloc(1, sizeof *g);

    *out = NULL;
    if (g == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
    g->path = strdup(path);
    if (g->path == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
        goto out;
    }
    st = parse_version(g, &c, err);
    if (st == CLM_OK) st = take_u64(&c, &n_tensors, err);
    if (st == CLM_OK) st = take_u64(&c, &n_kvs, err);
    if (st == CLM_OK) st = parse_kvs(g, &c, n_kvs, err);
    if (st == CLM_OK) st = parse_tensors(g, &c, n_tensors, err);
    if (st != CLM_OK) goto out;
    *out = g;
    g = NULL;
out:
    clm_gguf_destroy(g);
    return st;
}

void clm_gguf_destroy(clm_gguf *g)
{
    if (g == NULL) return;
    free(g->path);
    free(g->kvs);
    free(g->by_key);
    free(g->tensors);
    free(g->by_name);
    free(g);
}
