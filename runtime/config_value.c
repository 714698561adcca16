/* runtime/config_value.c: one configuration value into, out of and between fields of clm_settings.
 *
 * Layer    runtime.
 */
#include "runtime/config_schema.h"

#include <stdlib.h>
#include <string.h>
#include "host/file.h"

#define LIST_MAX  64
#define SHARE_MAX 1000.0

/* The enums are read and written as int through memcpy. */
_Static_assert(sizeof(clm_weights) == sizeof(int) && sizeof(clm_kv_type) == sizeof(int) &&
                   sizeof(clm_activations) == sizeof(int) && sizeof(clm_kernels) == sizeof(int) &&
                   sizeof(clm_backend_kind) == sizeof(int) &&
                   sizeof(clm_tuning_mode) == sizeof(int),
               "enums of clm_settings");

static void *field(clm_settings *s, const clm_key *key)
{
    return (char *)s + key->offset;
}

static clm_status fail_memory(clm_err *err)
{
    return clm_fail(err, CLM_E_NOMEM, "configuration: no memory");
}

/* ---- Texts and words -------------------------------------------------------------------------- */

/* A copy of a scalar of at most `max` bytes; null gives "" where it is allowed. */
static clm_status copy_text(const clm_yaml_node *value, size_t max, bool nullable, char **out,
                            clm_err *err)
{
    const char *text = "";
    clm_status st = CLM_OK;

    *out = NULL;
    if (!nullable || !clm_yaml_is_null(value)) st = clm_yaml_get_text(value, &text, err);
    if (st != CLM_OK) return st;
    if (strlen(text) > max)
        return clm_yaml_fail(value, err, "the text is longer than %zu bytes", max);
    *out = strdup(text);
    return *out != NULL ? CLM_OK : fail_memory(err);
}

/* Replaces `*path` by "base/path" when that exists; `*done` says so. */
static clm_status try_base(char **path, const char *base, bool *done, clm_err *err)
{
    char *joined = clm_path_join(base, *path);

    if (joined == NULL) return fail_memory(err);
    *done = clm_file_exists(joined);
    if (*done) {
        char *old = *path;
        *path = joined;
        joined = old;
    }
    free(joined);
    return CLM_OK;
}

/* Where a relative path is looked for: beside the configuration file, in the working directory,
 * and a model under $CLM_MODELS. One that is nowhere stays as it is. "~/" is the home folder. */
static clm_status resolve_path(const clm_key *key, char **path, const char *folder, clm_err *err)
{
    const char *home = getenv("HOME"), *models = getenv("CLM_MODELS");
    bool done = false;
    clm_status st = CLM_OK;

    if (strncmp(*path, "~/", 2) == 0 && home != NULL && *home == '/') {
        char *joined = clm_path_join(home, *path + 2);
        if (joined == NULL) return fail_memory(err);
        free(*path);
        *path = joined;
        return CLM_OK;
    }
    if (**path == 0 || **path == '/') return CLM_OK;
    if (folder != NULL) st = try_base(path, folder, &done, err);
    if (st != CLM_OK || done || clm_file_exists(*path)) return st;
    if (key->offset == offsetof(clm_settings, model) && models != NULL && *models != 0)
        st = try_base(path, models, &done, err);
    return st;
}

static clm_status apply_text(const clm_key *key, const clm_yaml_node *value, const char *folder,
                             clm_settings *s, clm_err *err)
{
    char **to = field(s, key), *text;
    clm_status st = copy_text(value, (size_t)key->max, key->nullable, &text, err);

    if (st == CLM_OK && key->type == CLM_KEY_PATH) st = resolve_path(key, &text, folder, err);
    if (st != CLM_OK) {
        free(text);
        return st;
    }
    free(*to);
    *to = text;
    return CLM_OK;
}

/* Number of the choice that `value` names. */
static clm_status find_choice(const clm_key *key, const clm_yaml_node *value, size_t *index,
                              clm_err *err)
{
    char all[256] = "", part[CLM_YAML_EXCERPT];
    const char *text, *near;
    size_t n = 0;
    clm_status st;

    *index = 0;
    st = clm_yaml_get_text(value, &text, err);
    if (st != CLM_OK) return st;
    for (; key->choices[n] != NULL; n++) {
        if (strcmp(text, key->choices[n]) == 0) {
            *index = n;
            return CLM_OK;
        }
        if (n > 0) strncat(all, ", ", sizeof all - strlen(all) - 1);
        strncat(all, key->choices[n], sizeof all - strlen(all) - 1);
    }
    near = clm_word_nearest(text, key->choices, n);
    clm_yaml_excerpt(part, text);
    if (near != NULL)
        return clm_yaml_fail(value, err, "'%s' is not one of %s; did you mean '%s'?", part, all,
                             near);
    return clm_yaml_fail(value, err, "'%s' is not one of %s", part, all);
}

static clm_status apply_choice(const clm_key *key, const clm_yaml_node *value, clm_settings *s,
                               clm_err *err)
{
    size_t index;
    clm_status st = find_choice(key, value, &index, err);
    int number = (int)index;

    if (st != CLM_OK) return st;
    if (key->type == CLM_KEY_WORD) {
        char **to = field(s, key), *copy = strdup(key->choices[index]);
        if (copy == NULL) return fail_memory(err);
        free(*to);
        *to = copy;
    } else {
        memcpy(field(s, key), &number, sizeof number);
    }
    return CLM_OK;
}

/* ---- Numbers ---------------------------------------------------------------------------------- */

/* Reads a whole number, by which -1 may stand for another. */
static clm_status get_whole(const clm_key *key, const clm_yaml_node *value, uint64_t max,
                            uint64_t *out, clm_err *err)
{
    const char *text;

    if (key->minus_one != NULL && clm_yaml_kind_of(value) == CLM_YAML_SCALAR &&
        clm_yaml_get_text(value, &text, NULL) == CLM_OK && strcmp(text, "-1") == 0) {
        *out = strtoull(key->minus_one, NULL, 10);
        return CLM_OK;
    }
    return clm_yaml_get_u64(value, (uint64_t)key->min, max, out, err);
}

static clm_status apply_number(const clm_key *key, const clm_yaml_node *value, clm_settings *s,
                               clm_err *err)
{
    clm_yaml_range range = {key->min, key->max, key->above};
    uint64_t whole;
    double real;
    clm_status st;

    switch (key->type) {
    case CLM_KEY_U32:
        st = get_whole(key, value, (uint64_t)key->max, &whole, err);
        if (st == CLM_OK) *(uint32_t *)field(s, key) = (uint32_t)whole;
        return st;
    case CLM_KEY_U64: /* all values: a double could not say so */
        st = get_whole(key, value, UINT64_MAX, &whole, err);
        if (st == CLM_OK) *(uint64_t *)field(s, key) = whole;
        return st;
    default:
        st = clm_yaml_get_f64(value, range, &real, err);
        if (st == CLM_OK) *(double *)field(s, key) = real;
        return st;
    }
}

/* ---- Lists ------------------------------------------------------------------------------------ */

static void free_texts(char **list, size_t n)
{
    for (size_t i = 0; list != NULL && i < n; i++) free(list[i]);
    free(list);
}

static void free_devices(clm_device_choice *list, size_t n)
{
    for (size_t i = 0; list != NULL && i < n; i++) free(list[i].select);
    free(list);
}

/* A list, or one scalar that stands for a list of itself. */
static clm_status list_count(const clm_yaml_node *value, size_t *n, clm_err *err)
{
    *n = 1;
    if (clm_yaml_kind_of(value) == CLM_YAML_SCALAR && !clm_yaml_is_null(value)) return CLM_OK;
    if (clm_yaml_kind_of(value) != CLM_YAML_LIST)
        return clm_yaml_fail(value, err, "a list is needed here, not %s",
                             clm_yaml_kind_text(value));
    *n = clm_yaml_count(value);
    if (*n > LIST_MAX) return clm_yaml_fail(value, err, "more than %d items", LIST_MAX);
    return CLM_OK;
}

static const clm_yaml_node *list_first(const clm_yaml_node *value)
{
    return clm_yaml_kind_of(value) == CLM_YAML_LIST ? clm_yaml_first(value) : value;
}

static clm_status apply_texts(const clm_key *key, const clm_yaml_node *value, clm_settings *s,
                              clm_err *err)
{
    const clm_yaml_node *item = list_first(value);
    char **list = NULL;
    size_t n = 0;
    clm_status st = list_count(value, &n, err);

    if (st != CLM_OK) return st;
    list = calloc(n + 1, sizeof *list);
    if (list == NULL) return fail_memory(err);
    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        st = copy_text(item, (size_t)key->max, false, &list[i], err);
        if (st == CLM_OK && *list[i] == 0) st = clm_yaml_fail(item, err, "an empty stop text");
        item = clm_yaml_next(item);
    }
    if (st != CLM_OK) {
        free_texts(list, n);
        return st;
    }
    free_texts(s->stop, s->n_stop);
    s->stop = list;
    s->n_stop = n;
    return CLM_OK;
}

/* {select: ..., share: ...} or just what `select` would be. */
static clm_status read_device(const clm_key *key, const clm_yaml_node *item, clm_device_choice *out,
                              clm_err *err)
{
    static const char *const names[] = {"select", "share"};
    const clm_yaml_range range = {0, SHARE_MAX, true}; /* without one, speed decides */
    const clm_yaml_node *select = item;
    clm_status st = CLM_OK;

    if (clm_yaml_kind_of(item) == CLM_YAML_MAP) {
        select = clm_yaml_find(item, "select");
        for (const clm_yaml_node *v = clm_yaml_first(item); v != NULL; v = clm_yaml_next(v)) {
            const char *name = clm_yaml_text(clm_yaml_key(v), NULL), *near;
            char part[CLM_YAML_EXCERPT];
            if (strcmp(name, "select") == 0) continue;
            if (strcmp(name, "share") == 0) {
                st = clm_yaml_get_f64(v, range, &out->share, err);
                if (st != CLM_OK) return st;
                continue;
            }
            near = clm_word_nearest(name, names, 2);
            return clm_yaml_fail(clm_yaml_key(v), err,
                                 "unknown key '%s'; a device has 'select' and 'share'%s%s%s",
                                 clm_yaml_excerpt(part, name), near ? "; did you mean '" : "",
                                 near ? near : "", near ? "'?" : "");
        }
        if (select == NULL) return clm_yaml_fail(item, err, "the device has no 'select'");
    }
    st = copy_text(select, (size_t)key->max, false, &out->select, err);
    if (st == CLM_OK && *out->select == 0) st = clm_yaml_fail(select, err, "an empty device name");
    return st;
}

static clm_status apply_devices(const clm_key *key, const clm_yaml_node *value, clm_settings *s,
                                clm_err *err)
{
    const clm_yaml_node *item = list_first(value);
    clm_device_choice *list = NULL;
    size_t n = 0;
    clm_status st = list_count(value, &n, err);

    if (st != CLM_OK) return st;
    if (n == 0) return clm_yaml_fail(value, err, "the list of devices is empty");
    list = calloc(n, sizeof *list);
    if (list == NULL) return fail_memory(err);
    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        st = read_device(key, item, &list[i], err);
        item = clm_yaml_next(item);
    }
    if (st != CLM_OK) {
        free_devices(list, n);
        return st;
    }
    free_devices(s->devices, s->n_devices);
    s->devices = list;
    s->n_devices = n;
    return CLM_OK;
}

/* ---- By type ---------------------------------------------------------------------------------- */

static clm_status apply(const clm_key *key, const clm_yaml_node *value, const char *folder,
                        clm_settings *s, clm_err *err)
{
    switch (key->type) {
    case CLM_KEY_TEXT:
    case CLM_KEY_PATH:
        return apply_text(key, value, folder, s, err);
    case CLM_KEY_WORD:
    case CLM_KEY_CHOICE:
        return apply_choice(key, value, s, err);
    case CLM_KEY_U32:
    case CLM_KEY_U64:
    case CLM_KEY_REAL:
        return apply_number(key, value, s, err);
    case CLM_KEY_DEVICES:
        return apply_devices(key, value, s, err);
    case CLM_KEY_TEXTS:
        return apply_texts(key, value, s, err);
    }
    return clm_fail(err, CLM_E_INTERNAL, "configuration: no such type of key");
}

clm_status clm__key_apply(const clm_key *key, const clm_yaml_node *value, const char *folder,
                          clm_settings *s, clm_err *err)
{
    const clm_status st = apply(key, value, folder, s, err);

    if (st == CLM_OK) s->given |= clm__key_bit(key);
    return st;
}

void clm__key_clear(const clm_key *key, clm_settings *s)
{
    switch (key->type) {
    case CLM_KEY_TEXT:
    case CLM_KEY_PATH:
    case CLM_KEY_WORD:
        free(*(char **)field(s, key));
        *(char **)field(s, key) = NULL;
        break;
    case CLM_KEY_DEVICES:
        free_devices(s->devices, s->n_devices);
        s->devices = NULL;
        s->n_devices = 0;
        break;
    case CLM_KEY_TEXTS:
        free_texts(s->stop, s->n_stop);
        s->stop = NULL;
        s->n_stop = 0;
        break;
    default:
        break;
    }
}

static size_t plain_size(clm_key_type type)
{
    switch (type) {
    case CLM_KEY_CHOICE:
        return sizeof(int);
    case CLM_KEY_U32:
        return sizeof(uint32_t);
    case CLM_KEY_U64:
        return sizeof(uint64_t);
    case CLM_KEY_REAL:
        return sizeof(double);
    default:
        return 0;
    }
}

/* Counts grow with what is already copied, so that a half-made copy can be cleared. */
static bool copy_lists(const clm_key *key, const clm_settings *from, clm_settings *to)
{
    if (key->type == CLM_KEY_TEXTS) {
        to->stop = calloc(from->n_stop + 1, sizeof *to->stop);
        for (size_t i = 0; to->stop != NULL && i < from->n_stop; i++) {
            to->stop[i] = strdup(from->stop[i]);
            to->n_stop++;
            if (to->stop[i] == NULL) return false;
        }
        return to->stop != NULL;
    }
    to->devices = calloc(from->n_devices + 1, sizeof *to->devices);
    for (size_t i = 0; to->devices != NULL && i < from->n_devices; i++) {
        to->devices[i].select = strdup(from->devices[i].select);
        to->devices[i].share = from->devices[i].share;
        to->n_devices++;
        if (to->devices[i].select == NULL) return false;
    }
    return to->devices != NULL;
}

clm_status clm__key_copy(const clm_key *key, const clm_settings *from, clm_settings *to,
                         clm_err *err)
{
    const void *source = (const char *)from + key->offset;

    switch (key->type) {
    case CLM_KEY_TEXT:
    case CLM_KEY_PATH:
    case CLM_KEY_WORD: {
        char *copy = strdup(*(char *const *)source);
        *(char **)field(to, key) = copy;
        return copy != NULL ? CLM_OK : fail_memory(err);
    }
    case CLM_KEY_DEVICES:
    case CLM_KEY_TEXTS:
        return copy_lists(key, from, to) ? CLM_OK : fail_memory(err);
    default:
        memcpy(field(to, key), source, plain_size(key->type));
        return CLM_OK;
    }
}
