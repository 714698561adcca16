/* runtime/formats/gguf_impl.h: the inside of a clm_gguf, shared by gguf.c and gguf_get.c only.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_FORMATS_GGUF_IMPL_H
#define CLM_RUNTIME_FORMATS_GGUF_IMPL_H

#include "runtime/formats/gguf.h"

struct clm_gguf {
    char *path;
    unsigned version;
    clm_gguf_kv *kvs; /* in the order of the file */
    size_t n_kvs;
    const clm_gguf_kv **by_key; /* sorted by key */
    clm_gguf_tensor *tensors;
    size_t n_tensors;
    const clm_gguf_tensor **by_name; /* sorted by name */
};

/* Bytes of an item; 0 for strings and arrays, which have no fixed size. */
size_t clm__gguf_type_bytes(clm_gguf_type type);

/* The order of the sorted lists. */
int clm__gguf_compare(clm_gguf_string a, clm_gguf_string b);

#endif
