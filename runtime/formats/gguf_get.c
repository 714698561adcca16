/* gguf_get.c: looking up keys and tensors of a parsed GGUF file, with their types. See gguf.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/formats/bytes.h"
#include "runtime/formats/gguf_impl.h"

static const struct {
    const char *name;
    size_t bytes;
} k_gguf_types[] = {
    {"an 8-bit number", 1}, {"an 8-bit number", 1}, {"a 16-bit number", 2}, {"a 16-bit number", 2},
    {"a 32-bit number", 4}, {"a 32-bit number", 4}, {"a float", 4},         {"a boolean", 1},
    {"a string", 0},        {"an array", 0},        {"a 64-bit number", 8}, {"a 64-bit number", 8},
    {"a double", 8},
};

size_t clm__gguf_type_bytes(clm_gguf_type type)
{
    return k_gguf_types[type].bytes;
}

const char *clm_gguf_path(const clm_gguf *g)
{
    return g->path;
}

unsigned clm_gguf_version(const clm_gguf *g)
{
    return g->version;
}

const clm_gguf_tensor *clm_gguf_tensors(const clm_gguf *g, size_t *count)
{
    *count = g->n_tensors;
    return g->tensors;
}

const clm_gguf_kv *clm_gguf_kvs(const clm_gguf *g, size_t *count)
{
    *count = g->n_kvs;
    return g->kvs;
}

size_t clm_gguf_kv_bytes(const clm_gguf_kv *kv)
{
    const uint8_t *pos = kv->data;

    if (kv->type != CLM_GGUF_STRING) return kv->count * clm__gguf_type_bytes(kv->type);
    for (size_t i = 0; i < kv->count; i++) clm_gguf_next_string(&pos);
    return (size_t)(pos - kv->data);
}

bool clm_gguf_string_is(clm_gguf_string s, const char *text)
{
    return s.size == strlen(text) && memcmp(s.data, text, s.size) == 0;
}

int clm__gguf_compare(clm_gguf_string a, clm_gguf_string b)
{
    const int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);

    if (order != 0) return order;
    return (a.size > b.size) - (a.size < b.size);
}

/* For bsearch: a text against an item. */
static int compare_key(const void *text, const void *item)
{
    return clm__gguf_compare(*(const clm_gguf_string *)text, (*(clm_gguf_kv *const *)item)->key);
}

static int compare_name(const void *text, const void *item)
{
    return clm__gguf_compare(*(const clm_gguf_string *)text,
                             (*(clm_gguf_tensor *const *)item)->name);
}

const clm_gguf_kv *clm_gguf_find(const clm_gguf *g, const char *key)
{
    const clm_gguf_string text = {key, strlen(key)};
    clm_gguf_kv *const *found = bsearch(&text, g->by_key, g->n_kvs, sizeof *g->by_key, compare_key);

    return found != NULL ? *found : NULL;
}

bool clm_gguf_tensor_find(const clm_gguf *g, const char *name, size_t *index)
{
    const clm_gguf_string text = {name, strlen(name)};
    clm_gguf_tensor *const *found =
        bsearch(&text, g->by_name, g->n_tensors, sizeof *g->by_name, compare_name);

    if (found != NULL) *index = (size_t)(*found - g->tensors);
    return found != NULL;
}

static clm_status fail_type(const clm_gguf *g, const clm_gguf_kv *kv, const char *wanted,
                            clm_err *err)
{
    return clm_fail(err, CLM_E_MODEL, "%s: key '%.*s' must be %s but is %s", g->path,
                    (int)(kv->key.size < 80 ? kv->key.size : 80), kv->key.data, wanted,
                    k_gguf_types[kv->is_array ? CLM_GGUF_ARRAY : kv->type].name);
}

/* Finds a key that holds one value. */
static const clm_gguf_kv *find_value(const clm_gguf *g, const char *key, bool *found)
{
    const clm_gguf_kv *kv = clm_gguf_find(g, key);

    if (found != NULL) *found = kv != NULL;
    return kv;
}

/* The value as a sign and a magnitude, so that both 64-bit types fit. False: no integer. */
static bool load_integer(const clm_gguf_kv *kv, bool *negative, uint64_t *magnitude)
{
    int64_t v;

    *negative = false;
    if (kv->is_array) return false;
    switch (kv->type) {
    case CLM_GGUF_U8:
        *magnitude = kv->data[0];
        return true;
    case CLM_GGUF_U16:
        *magnitude = clm_load_u16(kv->data);
        return true;
    case CLM_GGUF_U32:
        *magnitude = clm_load_u32(kv->data);
        return true;
    case CLM_GGUF_U64:
        *magnitude = clm_load_u64(kv->data);
        return true;
    case CLM_GGUF_I8:
        v = (int8_t)kv->data[0];
        break;
    case CLM_GGUF_I16:
        v = (int16_t)clm_load_u16(kv->data);
        break;
    case CLM_GGUF_I32:
        v = (int32_t)clm_load_u32(kv->data);
        break;
    case CLM_GGUF_I64:
        v = (int64_t)clm_load_u64(kv->data);
        break;
    default:
        return false;
    }
    *negative = v < 0;
    *magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    return true;
}

clm_status clm_gguf_get_uint(const clm_gguf *g, const char *key, size_t max, size_t *value,
                             bool *found, clm_err *err)
{
    const clm_gguf_kv *kv = find_value(g, key, found);
    bool negative;
    uint64_t magnitude;

    if (kv == NULL) return CLM_OK;
    if (!load_integer(kv, &negative, &magnitude)) return fail_type(g, kv, "a whole number", err);
    if (negative || magnitude > max) {
        return clm_fail(err, CLM_E_MODEL, "%s: key '%s' is %s%llu; 0 to %zu are allowed", g->path,
                        key, negative ? "-" : "", (unsigned long long)magnitude, max);
    }
    *value = (size_t)magnitude;
    return CLM_OK;
}

clm_status clm_gguf_get_int(const clm_gguf *g, const char *key, int64_t *value, bool *found,
                            clm_err *err)
{
    const clm_gguf_kv *kv = find_value(g, key, found);
    bool negative;
    uint64_t magnitude;

    if (kv == NULL) return CLM_OK;
    if (!load_integer(kv, &negative, &magnitude)) return fail_type(g, kv, "a whole number", err);
    if (magnitude > INT64_MAX) {
        return clm_fail(err, CLM_E_MODEL, "%s: key '%s' is %s%llu, which is out of range", g->path,
                        key, negative ? "-" : "", (unsigned long long)magnitude);
    }
    *value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return CLM_OK;
}

bool clm_gguf_number(const clm_gguf_kv *kv, double *value)
{
    bool negative;
    uint64_t bits;
    float f;

    if (load_integer(kv, &negative, &bits)) {
        *value = negative ? -(double)bits : (double)bits;
        return true;
    }
    if (kv->is_array) return false;
    switch (kv->type) {
    case CLM_GGUF_BOOL:
        *value = kv->data[0];
        return true;
    case CLM_GGUF_F32: {
        const uint32_t word = clm_load_u32(kv->data);

        memcpy(&f, &word, sizeof f);
        *value = (double)f;
        return true;
    }
    case CLM_GGUF_F64:
        bits = clm_load_u64(kv->data);
        memcpy(value, &bits, sizeof bits);
        return true;
    default:
        return false;
    }
}

clm_status clm_gguf_get_float(const clm_gguf *g, const char *key, double *value, bool *found,
                              clm_err *err)
{
    const clm_gguf_kv *kv = find_value(g, key, found);
    double v;

    if (kv == NULL) return CLM_OK;
    if (kv->is_array || (kv->type != CLM_GGUF_F32 && kv->type != CLM_GGUF_F64) ||
        !clm_gguf_number(kv, &v)) {
        return fail_type(g, kv, "a float", err);
    }
    if (!isfinite(v)) {
        return clm_fail(err, CLM_E_MODEL, "%s: key '%s' is not a finite number", g->path, key);
    }
    *value = v;
    return CLM_OK;
}

clm_status clm_gguf_get_bool(const clm_gguf *g, const char *key, bool *value, bool *found,
                             clm_err *err)
{
    const clm_gguf_kv *kv = find_value(g, key, found);

    if (kv == NULL) return CLM_OK;
    if (kv->is_array || kv->type != CLM_GGUF_BOOL) return fail_type(g, kv, "a boolean", err);
    if (kv->data[0] > 1) {
        return clm_fail(err, CLM_E_MODEL, "%s: key '%s' is neither true nor false", g->path, key);
    }
    *value = kv->data[0] == 1;
    return CLM_OK;
}

clm_status clm_gguf_get_string(const clm_gguf *g, const char *key, clm_gguf_string *value,
                               bool *found, clm_err *err)
{
    const clm_gguf_kv *kv = find_value(g, key, found);
    const uint8_t *pos;

    if (kv == NULL) return CLM_OK;
    if (kv->is_array || kv->type != CLM_GGUF_STRING) return fail_type(g, kv, "a string", err);
    pos = kv->data;
    *value = clm_gguf_next_string(&pos);
    return CLM_OK;
}

clm_status clm_gguf_get_array(const clm_gguf *g, const char *key, clm_gguf_type type,
                              const clm_gguf_kv **kv, clm_err *err)
{
    const clm_gguf_kv *found = clm_gguf_find(g, key);

    *kv = NULL;
    if (found == NULL) return CLM_OK;
    if (!found->is_array) return fail_type(g, found, "an array", err);
    if (found->type != type) {
        return clm_fail(err, CLM_E_MODEL, "%s: each item of '%s' must be %s but is %s", g->path,
                        key, k_gguf_types[type].name, k_gguf_types[found->type].name);
    }
    *kv = found;
    return CLM_OK;
}

clm_gguf_string clm_gguf_next_string(const uint8_t **pos)
{
    /* The length was checked when the file was parsed. */
    const clm_gguf_string s = {(const char *)*pos + 8, (size_t)clm_load_u64(*pos)};

    *pos += 8 + s.size;
    return s;
}
