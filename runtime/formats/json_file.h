/* runtime/formats/json_file.h: the JSON files of a model folder, read with suspicion: a value of
 * another type, a fraction where a count is meant, or a key that occurs twice is an error in words.
 *
 * Layer    runtime; included by runtime/formats/ only.
 * Threads  no state.
 */
#ifndef CLM_RUNTIME_FORMATS_JSON_FILE_H
#define CLM_RUNTIME_FORMATS_JSON_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "host/status.h"

/* A parsed file. `path` is borrowed and names the file in messages. */
typedef struct clm_json {
    const char *path;
    json_t *root;
} clm_json;

/* Parses text that must be one object. Numbers without a fraction become reals when they may be
 * beyond 64 bits (`big`): tokenizer_config.json has such ones. Returns CLM_OK or CLM_E_MODEL. */
clm_status clm__json_parse(const char *path, const char *text, size_t size, bool big, clm_json *out,
                           clm_err *err);

/* The same for a file of at most `limit` bytes. `*found` (may be NULL: it must exist) says whether
 * there is one; without a file out->root is NULL, and every lookup finds nothing. */
clm_status clm__json_load(const char *path, size_t limit, bool big, bool *found, clm_json *out,
                          clm_err *err);
void clm__json_clear(clm_json *j);

/* Lookups: `key` of the object `at` (NULL: the root). `*found` (may be NULL: the key must be there)
 * says whether it has a value; null counts as none. Without one, `*value` is left alone. */
clm_status clm__json_count(const clm_json *j, const json_t *at, const char *key, size_t max,
                           size_t *value, bool *found, clm_err *err);
clm_status clm__json_int(const clm_json *j, const json_t *at, const char *key, int64_t *value,
                         bool *found, clm_err *err);
clm_status clm__json_real(const clm_json *j, const json_t *at, const char *key, double *value,
                          bool *found, clm_err *err);
clm_status clm__json_bool(const clm_json *j, const json_t *at, const char *key, bool *value,
                          bool *found, clm_err *err);
/* Borrowed from the file; has no NUL inside. */
clm_status clm__json_text(const clm_json *j, const json_t *at, const char *key, const char **value,
                          bool *found, clm_err *err);

/* The value itself, or NULL for none and null. */
const json_t *clm__json_get(const clm_json *j, const json_t *at, const char *key);

#endif
