/* json_file.c: see json_file.h. */
#include "runtime/formats/json_file.h"

#include <math.h>
#include <stdlib.h>

#include "host/file.h"

clm_status clm__json_parse(const char *path, const char *text, size_t size, bool big, clm_json *out,
                           clm_err *err)
{
    json_error_t at;
    const size_t flags = JSON_REJECT_DUPLICATES | (big ? JSON_DECODE_INT_AS_REAL : 0);

    *out = (clm_json){.path = path};
    out->root = json_loadb(text, size, flags | JSON_DECODE_ANY, &at);
    if (out->root == NULL) {
        return clm_fail(err, CLM_E_MODEL, "%s: not sound JSON: line %d: %s", path, at.line,
                        at.text);
    }
    if (!json_is_object(out->root)) {
        clm__json_clear(out);
        return clm_fail(err, CLM_E_MODEL, "%s: holds no JSON object", path);
    }
    return CLM_OK;
}

clm_status clm__json_load(const char *path, size_t limit, bool big, bool *found, clm_json *out,
                          clm_err *err)
{
    char *text = NULL;
    size_t size;
    clm_status st;

    *out = (clm_json){.path = path};
    if (found != NULL) {
        *found = clm_file_exists(path);
        if (!*found) return CLM_OK;
    }
    st = clm_file_read(path, limit, &text, &size, err);
    if (st == CLM_E_IO || st == CLM_E_LIMIT) st = CLM_E_MODEL; /* the sentence is right */
    if (st == CLM_OK) st = clm__json_parse(path, text, size, big, out, err);
    free(text);
    return st;
}

void clm__json_clear(clm_json *j)
{
    json_decref(j->root);
    j->root = NULL;
}

const json_t *clm__json_get(const clm_json *j, const json_t *at, const char *key)
{
    const json_t *value = json_object_get(at != NULL ? at : j->root, key);

    return json_is_null(value) ? NULL : value;
}

static const char *kind(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        break;
    }
    return "null";
}

/* The value of a key; NULL with CLM_OK when it need not be there and is not. */
static clm_status look_up(const clm_json *j, const json_t *at, const char *key, bool *found,
                          const json_t **value, clm_err *err)
{
    *value = clm__json_get(j, at, key);
    if (found != NULL) *found = *value != NULL;
    if (*value == NULL && found == NULL)
        return clm_fail(err, CLM_E_MODEL, "%s: key '%s' is missing", j->path, key);
    return CLM_OK;
}

static clm_status fail_kind(const clm_json *j, const char *key, const json_t *value,
                            const char *wanted, clm_err *err)
{
    return clm_fail(err, CLM_E_MODEL, "%s: key '%s' is %s, and must be %s", j->path, key,
                    kind(value), wanted);
}

clm_status clm__json_int(const clm_json *j, const json_t *at, const char *key, int64_t *value,
                         bool *found, clm_err *err)
{
    const json_t *v;
    clm_status st = look_up(j, at, key, found, &v, err);

    if (st != CLM_OK || v == NULL) return st;
    if (!json_is_number(v)) return fail_kind(j, key, v, "a whole number", err);
    if (json_is_integer(v)) {
        *value = json_integer_value(v);
        return CLM_OK;
    }
    const double real = json_real_value(v);
    if (real != floor(real) || fabs(real) > 0x1p53) {
        return clm_fail(err, CLM_E_MODEL, "%s: key '%s' is %g, and must be a whole number", j->path,
                        key, real);
    }
    *value = (int64_t)real;
    return CLM_OK;
}

clm_status clm__json_count(const clm_json *j, const json_t *at, const char *key, size_t max,
                           size_t *value, bool *found, clm_err *err)
{
    const size_t upper = max < INT64_MAX ? max : INT64_MAX;
    int64_t number = 0;
    bool there = true;
    clm_status st = clm__json_int(j, at, key, &number, found, err);

    if (found != NULL) there = *found;
    if (st != CLM_OK || !there) return st;
    if (number < 1 || (uint64_t)number > upper) {
        return clm_fail(err, CLM_E_MODEL, "%s: key '%s' is %lld; 1 to %zu are supported", j->path,
                        key, (long long)number, upper);
    }
    *value = (size_t)number;
    return CLM_OK;
}

clm_status clm__json_real(const clm_json *j, const json_t *at, const char *key, double *value,
                          bool *found, clm_err *err)
{
    const json_t *v;
    clm_status st = look_up(j, at, key, found, &v, err);

    if (st != CLM_OK || v == NULL) return st;
    if (!json_is_number(v)) return fail_kind(j, key, v, "a number", err);
    *value = json_number_value(v);
    return CLM_OK;
}

clm_status clm__json_bool(const clm_json *j, const json_t *at, const char *key, bool *value,
                          bool *found, clm_err *err)
{
    const json_t *v;
    clm_status st = look_up(j, at, key, found, &v, err);

    if (st != CLM_OK || v == NULL) return st;
    if (!json_is_boolean(v)) return fail_kind(j, key, v, "true or false", err);
    *value = json_is_true(v);
    return CLM_OK;
}

clm_status clm__json_text(const clm_json *j, const json_t *at, const char *key, const char **value,
                          bool *found, clm_err *err)
{
    const json_t *v;
    clm_status st = look_up(j, at, key, found, &v, err);

    if (st != CLM_OK || v == NULL) return st;
    if (!json_is_string(v)) return fail_kind(j, key, v, "a text", err);
    *value = json_string_value(v);
    return CLM_OK;
}
