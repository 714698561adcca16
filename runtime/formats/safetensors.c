/* safetensors.c: the tensors of a safetensors file: 8 bytes of length, a JSON header of that length,
 * and the tensors one after the other. Checked as the format's own reader does: every byte of the
 * data belongs to exactly one tensor. See stored.h. */
#include <stdlib.h>
#include <string.h>

#include "runtime/formats/bytes.h"
#include "runtime/formats/json_file.h"
#include "runtime/formats/stored.h"

/* Real headers have some 200 bytes a tensor; parsed JSON takes many times its text. */
enum { MAX_HEADER = 8 << 20 };

/* One entry of the header. */
typedef struct entry {
    const clm_json *header;
    const char *name;
    const json_t *value;
    size_t data_bytes; /* behind the header */
} entry;

static clm_status fail_entry(const entry *e, const char *defect, clm_err *err)
{
    return clm_fail(err, CLM_E_MODEL, "%s: tensor '%s': %s", e->header->path, e->name, defect);
}

static clm_status read_dtype(const entry *e, clm_stored *t, clm_err *err)
{
    const char *name = json_string_value(json_object_get(e->value, "dtype"));

    if (name == NULL) return fail_entry(e, "'dtype' is missing or no text", err);
    for (int i = 0; i < CLM_DTYPE_COUNT; i++) {
        if (strcmp(name, clm__dtype_name((clm_dtype)i)) == 0) {
            t->dtype = (clm_dtype)i;
            return CLM_OK;
        }
    }
    return clm_fail(err, CLM_E_MODEL, "%s: tensor '%s' has the unknown element type '%.40s'",
                    e->header->path, e->name, name);
}

/* A list of whole numbers that are not negative. */
static clm_status read_list(const entry *e, const char *key, size_t max, size_t *count, size_t *out,
                            clm_err *err)
{
    const json_t *list = json_object_get(e->value, key);

    if (!json_is_array(list) || json_array_size(list) > max) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: tensor '%s': '%s' is not a list of at most %zu numbers",
                        e->header->path, e->name, key, max);
    }
    *count = json_array_size(list);
    for (size_t i = 0; i < *count; i++) {
        const json_t *number = json_array_get(list, i);

        if (!json_is_integer(number) || json_integer_value(number) < 0) {
            return clm_fail(err, CLM_E_MODEL,
                            "%s: tensor '%s': '%s' holds something else than whole numbers from 0 "
                            "on",
                            e->header->path, e->name, key);
        }
        out[i] = (size_t)json_integer_value(number);
    }
    return CLM_OK;
}

/* `offset` receives the place of the tensor behind the header. */
static clm_status read_entry(const entry *e, clm_stored *t, size_t *offset, clm_err *err)
{
    size_t range[2], n, bytes;
    clm_status st = read_dtype(e, t, err);

    if (st == CLM_OK) st = read_list(e, "shape", CLM_STORED_MAX_RANK, &t->rank, t->dims, err);
    if (st == CLM_OK) st = read_list(e, "data_offsets", 2, &n, range, err);
    if (st != CLM_OK) return st;
    if (n != 2) return fail_entry(e, "'data_offsets' are not two", err);
    if (range[0] > range[1] || range[1] > e->data_bytes) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: tensor '%s' is at bytes %zu to %zu of %zu: the file is cut off or "
                        "damaged",
                        e->header->path, e->name, range[0], range[1], e->data_bytes);
    }
    if (!clm__stored_bytes(t->dtype, t->dims, t->rank, &bytes) || bytes != range[1] - range[0]) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: tensor '%s': shape and type do not make the %zu bytes it has",
                        e->header->path, e->name, range[1] - range[0]);
    }
    t->bytes = bytes;
    *offset = range[0];
    return CLM_OK;
}

static int by_address(const void *a, const void *b)
{
    const clm_stored *const *x = a, *const *y = b;

    if ((*x)->data != (*y)->data) return (*x)->data < (*y)->data ? -1 : 1;
    return ((*x)->bytes > (*y)->bytes) - ((*x)->bytes < (*y)->bytes);
}

/* No byte of the data twice, none left over. */
static clm_status check_cover(const char *path, const uint8_t *data, size_t bytes,
                              const clm_stored *tensors, size_t n, clm_err *err)
{
    const clm_stored **order = malloc((n + 1) * sizeof *order);
    const uint8_t *at = data;
    clm_status st = CLM_OK;

    if (order == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
    for (size_t i = 0; i < n; i++) order[i] = &tensors[i];
    if (n > 0) qsort((void *)order, n, sizeof *order, by_address);
    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        if (order[i]->data != at) {
            st = clm_fail(err, CLM_E_MODEL, "%s: tensor '%s' %s", path, order[i]->name,
                          order[i]->data < at ? "overlaps another one"
                                              : "follows bytes that belong to no tensor");
        }
        at = order[i]->data + order[i]->bytes;
    }
    if (st == CLM_OK && (size_t)(at - data) != bytes) {
        st = clm_fail(err, CLM_E_MODEL, "%s: %zu bytes behind the last tensor belong to none", path,
                      bytes - (size_t)(at - data));
    }
    free((void *)order);
    return st;
}

clm_status clm__safetensors_read(const char *path, const uint8_t *data, size_t size,
                                 clm_stored_list *list, clm_err *err)
{
    const size_t first = list->count;
    clm_json header;
    const char *name;
    json_t *value;
    clm_status st;

    if (size < 8)
        return clm_fail(err, CLM_E_MODEL, "%s: %zu bytes are no safetensors file", path, size);
    const uint64_t length = clm_load_u64(data);
    if (length > size - 8 || length > MAX_HEADER) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: no safetensors file, or cut off: a header of %llu bytes is declared "
                        "(the file has %zu, %d are supported)",
                        path, (unsigned long long)length, size, MAX_HEADER);
    }
    st = clm__json_parse(path, (const char *)data + 8, (size_t)length, false, &header, err);
    if (st != CLM_OK) return st;
    const uint8_t *base = data + 8 + length;
    const size_t bytes = size - 8 - (size_t)length;
    json_object_foreach(header.root, name, value)
    {
        const entry e = {&header, name, value, bytes};
        clm_stored t = {.file = path};
        size_t offset = 0;

        if (strcmp(name, "__metadata__") == 0) continue; /* notes, of no meaning for the weights */
        st = read_entry(&e, &t, &offset, err);
        t.data = base + offset;
        if (st == CLM_OK) st = clm__stored_add(list, &t, name, strlen(name), err);
        if (st != CLM_OK) break;
    }
    if (st == CLM_OK)
        st = check_cover(path, base, bytes, list->items + first, list->count - first, err);
    clm__json_clear(&header);
    return st;
}
