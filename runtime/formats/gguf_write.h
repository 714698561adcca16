/* runtime/formats/gguf_write.h: what stands before the data of a GGUF file (version 3): keys, values
 * and the table of tensors, built in memory.
 *
 * Layer    runtime. No files: whoever writes one puts the header at its beginning and each tensor's
 *          data behind it.
 * Memory   a clm_gguf_writer owns everything; texts and arrays are copied.
 * Errors   running out of memory is kept and reported once, by clm_gguf_writer_finish.
 */
#ifndef CLM_RUNTIME_FORMATS_GGUF_WRITE_H
#define CLM_RUNTIME_FORMATS_GGUF_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "runtime/formats/gguf.h"

enum { CLM_GGUF_ALIGNMENT = 32 };

typedef struct clm_gguf_writer clm_gguf_writer;

clm_status clm_gguf_writer_create(clm_gguf_writer **out, clm_err *err);
void clm_gguf_writer_destroy(clm_gguf_writer *w);

/* One value under `key`, which must be new. */
void clm_gguf_put_u32(clm_gguf_writer *w, const char *key, uint32_t value);
void clm_gguf_put_f32(clm_gguf_writer *w, const char *key, float value);
void clm_gguf_put_bool(clm_gguf_writer *w, const char *key, bool value);
void clm_gguf_put_string(clm_gguf_writer *w, const char *key, const char *text);

/* Arrays. Strings are added one by one: exactly `count` calls of clm_gguf_put_item must follow. */
void clm_gguf_put_f32s(clm_gguf_writer *w, const char *key, const float *values, size_t count);
void clm_gguf_put_i32s(clm_gguf_writer *w, const char *key, const int32_t *values, size_t count);
void clm_gguf_put_u64s(clm_gguf_writer *w, const char *key, const uint64_t *values, size_t count);
void clm_gguf_put_bytes(clm_gguf_writer *w, const char *key, const uint8_t *values, size_t count);
void clm_gguf_put_strings(clm_gguf_writer *w, const char *key, size_t count);
void clm_gguf_put_item(clm_gguf_writer *w, const char *text, size_t size);

/* A key of another file as it stands there. */
void clm_gguf_put_copy(clm_gguf_writer *w, const clm_gguf_kv *kv);

/* Adds a tensor of `rows` x `cols` (a vector when rows is 1 and `vector`) to the table; data follow
 * one another in the order of the calls, at multiples of CLM_GGUF_ALIGNMENT. Returns the place of
 * its data, counted from the end of the header. */
uint64_t clm_gguf_put_tensor(clm_gguf_writer *w, const char *name, size_t rows, size_t cols,
                             bool vector, clm_qtype type);

/* Bytes of all data, with the padding behind each tensor. */
uint64_t clm_gguf_writer_data_bytes(const clm_gguf_writer *w);

/* The header, padded so that data can follow: malloc'd. Returns CLM_OK or CLM_E_NOMEM. */
clm_status clm_gguf_writer_finish(const clm_gguf_writer *w, uint8_t **header, size_t *bytes,
                                  clm_err *err);

#endif
