/* stored.c: see stored.h. */
#include "runtime/formats/stored.h"

#include <stdlib.h>
#include <string.h>

#include "host/grow.h"

static const struct {
    const char *name;
    size_t bytes;
} k_dtypes[CLM_DTYPE_COUNT] = {
    [CLM_DTYPE_F64] = {"F64", 8},   [CLM_DTYPE_F32] = {"F32", 4}, [CLM_DTYPE_F16] = {"F16", 2},
    [CLM_DTYPE_BF16] = {"BF16", 2}, [CLM_DTYPE_I64] = {"I64", 8}, [CLM_DTYPE_I32] = {"I32", 4},
    [CLM_DTYPE_I16] = {"I16", 2},   [CLM_DTYPE_I8] = {"I8", 1},   [CLM_DTYPE_U8] = {"U8", 1},
    [CLM_DTYPE_BOOL] = {"BOOL", 1},
};

const char *clm__dtype_name(clm_dtype type)
{
    return k_dtypes[type].name;
}

size_t clm__dtype_bytes(clm_dtype type)
{
    return k_dtypes[type].bytes;
}

bool clm__stored_bytes(clm_dtype dtype, const size_t *dims, size_t rank, size_t *bytes)
{
    *bytes = k_dtypes[dtype].bytes;
    for (size_t i = 0; i < rank; i++) {
        if (dims[i] != 0 && *bytes > SIZE_MAX / dims[i]) return false;
        *bytes *= dims[i];
    }
    return true;
}

clm_status clm__stored_add(clm_stored_list *list, const clm_stored *tensor, const char *name,
                           size_t name_size, clm_err *err)
{
    clm_stored *grown;
    char *copy;

    if (name_size == 0 || name_size > CLM_STORED_MAX_NAME) {
        return clm_fail(err, CLM_E_MODEL, "%s: a tensor name of %zu bytes; 1 to %d are supported",
                        tensor->file, name_size, CLM_STORED_MAX_NAME);
    }
    for (size_t i = 0; i < name_size; i++) {
        if ((unsigned char)name[i] < 0x20 || (unsigned char)name[i] > 0x7e) {
            return clm_fail(err, CLM_E_MODEL,
                            "%s: the name of tensor %zu is not plain text: '%.*s'", tensor->file,
                            list->count, (int)name_size, name);
        }
    }
    grown = clm_grow(list->items, &list->room, list->count + 1, sizeof *grown);
    if (grown == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", tensor->file);
    list->items = grown;
    copy = malloc(name_size + 1);
    if (copy == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", tensor->file);
    memcpy(copy, name, name_size);
    copy[name_size] = '\0';
    list->items[list->count] = *tensor;
    list->items[list->count++].name = copy;
    return CLM_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const clm_stored *)a)->name, ((const clm_stored *)b)->name);
}

clm_status clm__stored_sort(clm_stored_list *list, clm_err *err)
{
    if (list->count == 0) return CLM_OK;
    qsort(list->items, list->count, sizeof *list->items, by_name);
    for (size_t i = 1; i < list->count; i++) {
        const clm_stored *a = &list->items[i - 1], *b = &list->items[i];

        if (strcmp(a->name, b->name) == 0)
            return clm_fail(err, CLM_E_MODEL, "%s: tensor '%s' occurs twice", b->file, b->name);
    }
    return CLM_OK;
}

clm_stored *clm__stored_find(const clm_stored_list *list, const char *name)
{
    const clm_stored key = {.name = (char *)name};

    if (list->count == 0) return NULL;
    return bsearch(&key, list->items, list->count, sizeof *list->items, by_name);
}

void clm__stored_clear(clm_stored_list *list)
{
    for (size_t i = 0; i < list->count; i++) free(list->items[i].name);
    free(list->items);
    memset(list, 0, sizeof *list);
}
