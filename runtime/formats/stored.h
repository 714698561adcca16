/* runtime/formats/stored.h: the tensors of weight files (safetensors, torch), before anybody knows
 * what they mean: name, element type, shape, and bytes inside a mapped file.
 *
 * Layer    runtime; included by runtime/formats/ only.
 * Memory   a list owns its names; `data` and `file` are borrowed.
 */
#ifndef CLM_RUNTIME_FORMATS_STORED_H
#define CLM_RUNTIME_FORMATS_STORED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "host/status.h"

typedef enum clm_dtype {
    CLM_DTYPE_F64,
    CLM_DTYPE_F32,
    CLM_DTYPE_F16,
    CLM_DTYPE_BF16,
    CLM_DTYPE_I64,
    CLM_DTYPE_I32,
    CLM_DTYPE_I16,
    CLM_DTYPE_I8,
    CLM_DTYPE_U8,
    CLM_DTYPE_BOOL,
    CLM_DTYPE_COUNT
} clm_dtype;

enum { CLM_STORED_MAX_RANK = 8, CLM_STORED_MAX_NAME = 255 };

typedef struct clm_stored {
    char *name; /* UTF-8 without NUL */
    clm_dtype dtype;
    size_t rank, dims[CLM_STORED_MAX_RANK]; /* row-major and dense; rank 0: one element */
    const uint8_t *data;                    /* no alignment is promised */
    size_t bytes;
    const char *file; /* where it is, for messages */
    bool used;        /* somebody knows what it means */
} clm_stored;

typedef struct clm_stored_list {
    clm_stored *items;
    size_t count, room;
} clm_stored_list;

const char *clm__dtype_name(clm_dtype type); /* "F16", as safetensors has it */
size_t clm__dtype_bytes(clm_dtype type);

/* Product of the dimensions times the size of an element; false when that exceeds size_t. */
bool clm__stored_bytes(clm_dtype dtype, const size_t *dims, size_t rank, size_t *bytes);

/* Appends a tensor with a copy of its name. A name that is empty, too long or has bytes that do not
 * print is refused: CLM_E_MODEL; or CLM_E_NOMEM. */
clm_status clm__stored_add(clm_stored_list *list, const clm_stored *tensor, const char *name,
                           size_t name_size, clm_err *err);
/* Sorts by name. A name that occurs twice: CLM_E_MODEL. */
clm_status clm__stored_sort(clm_stored_list *list, clm_err *err);
/* In a sorted list; NULL when there is none of this name. */
clm_stored *clm__stored_find(const clm_stored_list *list, const char *name);
void clm__stored_clear(clm_stored_list *list);

/* Readers: append the tensors of a mapped file; `path` names it in messages and is kept in `file`.
 * Return CLM_OK, CLM_E_MODEL (one sentence that names file and defect) or CLM_E_NOMEM. */
clm_status clm__safetensors_read(const char *path, const uint8_t *data, size_t size,
                                 clm_stored_list *list, clm_err *err);
clm_status clm__torch_read(const char *path, const uint8_t *data, size_t size,
                           clm_stored_list *list, clm_err *err);

#endif
