/* runtime/formats/gguf.h: the GGUF container (versions 2 and 3): keys, values and the table of
 * tensors, checked against the size of the file. Knows nothing about models.
 *
 * Layer    runtime. No device.
 * Threads  read-only after parsing: may be shared.
 * Memory   everything handed out points into the bytes given to clm_gguf_parse, which must outlive
 *          the clm_gguf. Strings are not NUL-terminated and may hold NUL.
 *
 * Refused although the format could express it: arrays of arrays, keys and tensor names that are
 * not printable ASCII, tensors that overlap, and element types that qtype.h does not know.
 */
#ifndef CLM_RUNTIME_FORMATS_GGUF_H
#define CLM_RUNTIME_FORMATS_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "host/status.h"
#include "runtime/formats/qtype.h"

enum { CLM_GGUF_MAX_DIMS = 4, CLM_GGUF_MAX_NAME = 64, CLM_GGUF_MAX_KEY = 65535 };

/* Types of values; the numbers are the format's. */
typedef enum clm_gguf_type {
    CLM_GGUF_U8 = 0,
    CLM_GGUF_I8 = 1,
    CLM_GGUF_U16 = 2,
    CLM_GGUF_I16 = 3,
    CLM_GGUF_U32 = 4,
    CLM_GGUF_I32 = 5,
    CLM_GGUF_F32 = 6,
    CLM_GGUF_BOOL = 7,
    CLM_GGUF_STRING = 8,
    CLM_GGUF_ARRAY = 9,
    CLM_GGUF_U64 = 10,
    CLM_GGUF_I64 = 11,
    CLM_GGUF_F64 = 12
} clm_gguf_type;

typedef struct clm_gguf_string {
    const char *data;
    size_t size;
} clm_gguf_string;

/* A key with its value, or the items of its array. */
typedef struct clm_gguf_kv {
    clm_gguf_string key;
    clm_gguf_type type; /* of the value; of the items of an array */
    bool is_array;
    size_t count;        /* items; 1 when it is no array */
    const uint8_t *data; /* first item */
} clm_gguf_kv;

typedef struct clm_gguf_tensor {
    clm_gguf_string name;
    size_t n_dims, dims[CLM_GGUF_MAX_DIMS]; /* innermost first; 1 beyond n_dims */
    clm_qtype type;
    const uint8_t *data;
    size_t bytes;
} clm_gguf_tensor;

typedef struct clm_gguf clm_gguf;

/* Reads the structure of the `size` bytes at `data`; `path` is only for messages.
 * Returns CLM_OK, CLM_E_MODEL (names the path and the defect) or CLM_E_NOMEM. */
clm_status clm_gguf_parse(const char *path, const uint8_t *data, size_t size, clm_gguf **out,
                          clm_err *err);
void clm_gguf_destroy(clm_gguf *g);

const char *clm_gguf_path(const clm_gguf *g);
unsigned clm_gguf_version(const clm_gguf *g);
/* In the order of the file. */
const clm_gguf_tensor *clm_gguf_tensors(const clm_gguf *g, size_t *count);
/* Index of the tensor of this name in that order; false: there is none. */
bool clm_gguf_tensor_find(const clm_gguf *g, const char *name, size_t *index);
/* All keys in the order of the file. */
const clm_gguf_kv *clm_gguf_kvs(const clm_gguf *g, size_t *count);
/* Bytes of the value, or of all items, from kv->data on. */
size_t clm_gguf_kv_bytes(const clm_gguf_kv *kv);
/* NULL: there is no such key. */
const clm_gguf_kv *clm_gguf_find(const clm_gguf *g, const char *key);

/* The value of a key. When the key is absent they leave `*value` as it is, set `*found` (which may
 * be NULL) to false and return CLM_OK. Another type, a negative or (for _uint) larger number than
 * `max`, a number that is not finite, a boolean other than 0 and 1 are CLM_E_MODEL. */
clm_status clm_gguf_get_uint(const clm_gguf *g, const char *key, size_t max, size_t *value,
                             bool *found, clm_err *err);
clm_status clm_gguf_get_int(const clm_gguf *g, const char *key, int64_t *value, bool *found,
                            clm_err *err);
clm_status clm_gguf_get_float(const clm_gguf *g, const char *key, double *value, bool *found,
                              clm_err *err);
clm_status clm_gguf_get_bool(const clm_gguf *g, const char *key, bool *value, bool *found,
                             clm_err *err);
clm_status clm_gguf_get_string(const clm_gguf *g, const char *key, clm_gguf_string *value,
                               bool *found, clm_err *err);

/* A number or boolean of any width as a double; false: it is a string or an array. */
bool clm_gguf_number(const clm_gguf_kv *kv, double *value);

/* The array of a key whose items are of `type`; `*kv` is NULL when the key is absent. */
clm_status clm_gguf_get_array(const clm_gguf *g, const char *key, clm_gguf_type type,
                              const clm_gguf_kv **kv, clm_err *err);

/* Reads the string at `*pos` and moves on to the next; for the `count` items of a string array. */
clm_gguf_string clm_gguf_next_string(const uint8_t **pos);

bool clm_gguf_string_is(clm_gguf_string s, const char *text);

#endif
