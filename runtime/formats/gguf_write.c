/* gguf_write.c: see gguf_write.h. */
#include "runtime/formats/gguf_write.h"

#include <stdlib.h>
#include <string.h>

#include "host/grow.h"

/* Bytes that grow. */
typedef struct growing {
    uint8_t *data;
    size_t size, room;
} growing;

struct clm_gguf_writer {
    growing kvs, table;
    uint64_t n_kvs, n_tensors, data_bytes;
    bool failed; /* out of memory: everything after it does nothing */
};

clm_status clm_gguf_writer_create(clm_gguf_writer **out, clm_err *err)
{
    *out = calloc(1, sizeof **out);
    return *out != NULL ? CLM_OK : clm_fail(err, CLM_E_NOMEM, "GGUF header: no memory");
}

void clm_gguf_writer_destroy(clm_gguf_writer *w)
{
    if (w == NULL) return;
    free(w->kvs.data);
    free(w->table.data);
    free(w);
}

/* ---- Little-endian bytes --------------------------------------------------------------------- */

static void put(clm_gguf_writer *w, growing *to, const void *bytes, size_t size)
{
    uint8_t *grown;

    if (w->failed || size == 0) return;
    grown = clm_grow(to->data, &to->room, to->size + size, 1);
    w->failed = grown == NULL;
    if (w->failed) return;
    to->data = grown;
    memcpy(to->data + to->size, bytes, size);
    to->size += size;
}

static void store(uint8_t *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) out[i] = (uint8_t)(value >> 8 * i);
}

static void put_number(clm_gguf_writer *w, growing *to, uint64_t value, size_t size)
{
    uint8_t bytes[8];

    store(bytes, value, size);
    put(w, to, bytes, size);
}

static void put_text(clm_gguf_writer *w, growing *to, const char *text, size_t size)
{
    put_number(w, to, size, 8);
    put(w, to, text, size);
}

static uint32_t float_bits(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static void begin_value(clm_gguf_writer *w, const char *key, clm_gguf_type type)
{
    put_text(w, &w->kvs, key, strlen(key));
    put_number(w, &w->kvs, type, 4);
    w->n_kvs++;
}

static void begin_array(clm_gguf_writer *w, const char *key, clm_gguf_type type, size_t count)
{
    begin_value(w, key, CLM_GGUF_ARRAY);
    put_number(w, &w->kvs, type, 4);
    put_number(w, &w->kvs, count, 8);
}

void clm_gguf_put_u32(clm_gguf_writer *w, const char *key, uint32_t value)
{
    begin_value(w, key, CLM_GGUF_U32);
    put_number(w, &w->kvs, value, 4);
}

void clm_gguf_put_f32(clm_gguf_writer *w, const char *key, float value)
{
    begin_value(w, key, CLM_GGUF_F32);
    put_number(w, &w->kvs, float_bits(value), 4);
}

void clm_gguf_put_bool(clm_gguf_writer *w, const char *key, bool value)
{
    begin_value(w, key, CLM_GGUF_BOOL);
    put_number(w, &w->kvs, value, 1);
}

void clm_gguf_put_string(clm_gguf_writer *w, const char *key, const char *text)
{
    begin_value(w, key, CLM_GGUF_STRING);
    put_text(w, &w->kvs, text, strlen(text));
}

void clm_gguf_put_f32s(clm_gguf_writer *w, const char *key, const float *values, size_t count)
{
    begin_array(w, key, CLM_GGUF_F32, count);
    for (size_t i = 0; i < count; i++) put_number(w, &w->kvs, float_bits(values[i]), 4);
}

void clm_gguf_put_i32s(clm_gguf_writer *w, const char *key, const int32_t *values, size_t count)
{
    begin_array(w, key, CLM_GGUF_I32, count);
    for (size_t i = 0; i < count; i++) put_number(w, &w->kvs, (uint32_t)values[i], 4);
}

void clm_gguf_put_u64s(clm_gguf_writer *w, const char *key, const uint64_t *values, size_t count)
{
    begin_array(w, key, CLM_GGUF_U64, count);
    for (size_t i = 0; i < count; i++) put_number(w, &w->kvs, values[i], 8);
}

void clm_gguf_put_bytes(clm_gguf_writer *w, const char *key, const uint8_t *values, size_t count)
{
    begin_array(w, key, CLM_GGUF_U8, count);
    put(w, &w->kvs, values, count);
}

void clm_gguf_put_strings(clm_gguf_writer *w, const char *key, size_t count)
{
    begin_array(w, key, CLM_GGUF_STRING, count);
}

void clm_gguf_put_item(clm_gguf_writer *w, const char *text, size_t size)
{
    put_text(w, &w->kvs, text, size);
}

void clm_gguf_put_copy(clm_gguf_writer *w, const clm_gguf_kv *kv)
{
    put_text(w, &w->kvs, kv->key.data, kv->key.size);
    if (kv->is_array) put_number(w, &w->kvs, CLM_GGUF_ARRAY, 4);
    put_number(w, &w->kvs, kv->type, 4);
    if (kv->is_array) put_number(w, &w->kvs, kv->count, 8);
    put(w, &w->kvs, kv->data, clm_gguf_kv_bytes(kv));
    w->n_kvs++;
}

/* ---- Tensors and the whole ------------------------------------------------------------------- */

static uint64_t aligned(uint64_t size)
{
    return (size + CLM_GGUF_ALIGNMENT - 1) / CLM_GGUF_ALIGNMENT * CLM_GGUF_ALIGNMENT;
}

uint64_t clm_gguf_put_tensor(clm_gguf_writer *w, const char *name, size_t rows, size_t cols,
                             bool vector, clm_qtype type)
{
    const uint64_t place = w->data_bytes;

    put_text(w, &w->table, name, strlen(name));
    put_number(w, &w->table, vector ? 1 : 2, 4);
    put_number(w, &w->table, cols, 8);
    if (!vector) put_number(w, &w->table, rows, 8);
    put_number(w, &w->table, (uint32_t)type, 4);
    put_number(w, &w->table, place, 8);
    w->data_bytes = aligned(place + (uint64_t)rows * clm_qtype_bytes(type, cols));
    w->n_tensors++;
    return place;
}

uint64_t clm_gguf_writer_data_bytes(const clm_gguf_writer *w)
{
    return w->data_bytes;
}

clm_status clm_gguf_writer_finish(const clm_gguf_writer *w, uint8_t **header, size_t *bytes,
                                  clm_err *err)
{
    enum { START = 4 + 4 + 8 + 8 };
    const size_t size = (size_t)aligned(START + w->kvs.size + w->table.size);
    uint8_t *out = w->failed ? NULL : calloc(1, size);

    *header = NULL;
    *bytes = 0;
    if (out == NULL) return clm_fail(err, CLM_E_NOMEM, "GGUF header: no memory");
    memcpy(out, "GGUF", 4);
    store(out + 4, 3, 4);
    store(out + 8, w->n_tensors, 8);
    store(out + 16, w->n_kvs, 8);
    if (w->kvs.size > 0) memcpy(out + START, w->kvs.data, w->kvs.size);
    if (w->table.size > 0) memcpy(out + START + w->kvs.size, w->table.data, w->table.size);
    *header = out;
    *bytes = size;
    return CLM_OK;
}
