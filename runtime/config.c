/* runtime/config.c: defaults, files, environment and flags become one clm_settings.
 *
 * Layer    runtime.
 *
 * A file or the environment is read into a copy that takes the place of the old values only when
 * all of it is sound.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host/env.h"
#include "host/file.h"
#include "runtime/config_schema.h"

#define FILE_MAX (4u << 20)
#define KEYS_MAX 64

struct clm_config {
    clm_settings s;
};

/* A file being read: where keys were set, so that two spellings of one key are noticed. */
typedef struct clm_config_reader {
    clm_settings *s;
    const char *folder;
    const clm_yaml_node *seen[KEYS_MAX];
    clm_err *err;
} clm_config_reader;

/* ---- Whole settings --------------------------------------------------------------------------- */

static void settings_clear(clm_settings *s)
{
    size_t n;
    const clm_key *keys = clm__keys(&n);

    for (size_t i = 0; i < n; i++) clm__key_clear(&keys[i], s);
}

static clm_status settings_copy(const clm_settings *from, clm_settings *to, clm_err *err)
{
    size_t n;
    const clm_key *keys = clm__keys(&n);
    clm_status st = CLM_OK;

    memset(to, 0, sizeof *to);
    to->given = from->given;
    for (size_t i = 0; i < n && st == CLM_OK; i++) st = clm__key_copy(&keys[i], from, to, err);
    return st;
}

/* Indices of devices with commas between them, as llama.cpp's programs take names: "0,1". In names there may be
 * commas. */
static bool are_indices(const char *text)
{
    return strchr(text, ',') != NULL && text[strspn(text, "0123456789, ")] == '\0';
}

static clm_status parse_indices(const char *origin, const char *text, clm_yaml **out, clm_err *err)
{
    const size_t room = strlen(text) + 3;
    char *list = malloc(room);
    clm_status st;

    if (list == NULL) return clm_fail(err, CLM_E_NOMEM, "configuration: no memory");
    snprintf(list, room, "[%s]", text);
    st = clm_yaml_parse(origin, list, room - 1, out, err);
    free(list);
    return st;
}

/* Text from a flag, a variable or the table. */
static clm_status set_text(clm_settings *s, const clm_key *key, const char *text,
                           const char *origin, clm_err *err)
{
    bool list = key->type == CLM_KEY_DEVICES || key->type == CLM_KEY_TEXTS;
    clm_yaml *doc = NULL;
    clm_status st;

    if (list && text[strspn(text, " ")] == '[')
        st = clm_yaml_parse(origin, text, strlen(text), &doc, err);
    else if (key->type == CLM_KEY_DEVICES && are_indices(text))
        st = parse_indices(origin, text, &doc, err);
    else
        st = clm_yaml_wrap(origin, text, &doc, err);
    if (st == CLM_OK) st = clm__key_apply(key, clm_yaml_root(doc), NULL, s, err);
    clm_yaml_destroy(doc);
    return st;
}

/* Sets keys of `s`. */
typedef clm_status (*change_fn)(void *user, clm_settings *s, clm_err *err);

/* Changes take the place of the old values when all of them are sound. */
static clm_status update(clm_config *c, change_fn change, void *user, clm_err *err)
{
    clm_settings copy;
    clm_status st = settings_copy(&c->s, &copy, err);

    if (st == CLM_OK) st = change(user, &copy, err);
    if (st == CLM_OK) {
        const clm_settings old = c->s;

        c->s = copy;
        copy = old;
    }
    settings_clear(&copy);
    return st;
}

clm_status clm_config_create(clm_config **out, clm_err *err)
{
    clm_config *c = calloc(1, sizeof *c);
    clm_status st = CLM_OK;
    size_t n;
    const clm_key *keys = clm__keys(&n);

    *out = NULL;
    if (c == NULL) return clm_fail(err, CLM_E_NOMEM, "configuration: no memory");
    for (size_t i = 0; i < n && st == CLM_OK; i++)
        st = set_text(&c->s, &keys[i], keys[i].preset, keys[i].name, err);
    c->s.given = 0;
    if (st == CLM_OK) {
        *out = c;
        c = NULL;
    }
    clm_config_destroy(c);
    return st;
}

void clm_config_destroy(clm_config *c)
{
    if (c == NULL) return;
    settings_clear(&c->s);
    free(c);
}

const clm_settings *clm_config_settings(const clm_config *c)
{
    return &c->s;
}

/* ---- File ------------------------------------------------------------------------------------- */

static clm_status fail_unknown(const clm_yaml_node *key, const char *name, const char *section,
                               clm_err *err)
{
    const char *near = clm__key_nearest(name);
    size_t n = strlen(section);
    char part[CLM_YAML_EXCERPT];

    if (near != NULL && n > 0 && strncmp(near, section, n) == 0 && near[n] == '.') near += n + 1;
    clm_yaml_excerpt(part, clm_yaml_text(key, NULL));
    if (near != NULL)
        return clm_yaml_fail(key, err, "unknown key '%s'; did you mean '%s'?", part, near);
    return clm_yaml_fail(key, err, "unknown key '%s'; `--dump-config` prints all keys", part);
}

/* `name` is the key with its section. */
static clm_status read_key(clm_config_reader *r, const char *name, const char *section,
                           const clm_yaml_node *value)
{
    size_t n;
    const clm_key *keys = clm__keys(&n), *key = clm__key_find(name);
    const clm_yaml_node *at = clm_yaml_key(value);
    size_t index;

    if (key == NULL) return fail_unknown(at, name, section, r->err);
    index = (size_t)(key - keys);
    if (index < KEYS_MAX && r->seen[index] != NULL)
        return clm_yaml_fail(at, r->err, "'%s' is already set in line %zu", key->name,
                             clm_yaml_line(r->seen[index]));
    if (index < KEYS_MAX) r->seen[index] = at;
    return clm__key_apply(key, value, r->folder, r->s, r->err);
}

static clm_status read_section(clm_config_reader *r, const char *section, const clm_yaml_node *map)
{
    clm_status st = CLM_OK;

    if (clm_yaml_is_null(map)) return CLM_OK; /* all its lines commented out */
    if (clm_yaml_kind_of(map) != CLM_YAML_MAP)
        return clm_yaml_fail(map, r->err, "a mapping is needed here, not %s",
                             clm_yaml_kind_text(map));
    for (const clm_yaml_node *v = clm_yaml_first(map); v != NULL && st == CLM_OK;
         v = clm_yaml_next(v)) {
        const clm_yaml_node *key = clm_yaml_key(v);
        char name[CLM_ENV_NAME];
        int len = snprintf(name, sizeof name, "%s.%s", section, clm_yaml_text(key, NULL));

        if (len < 0 || (size_t)len >= sizeof name)
            st = fail_unknown(key, "", section, r->err);
        else
            st = read_key(r, name, section, v);
    }
    return st;
}

static clm_status read_root(clm_config_reader *r, const clm_yaml_node *root)
{
    clm_status st = CLM_OK;

    if (root == NULL || clm_yaml_is_null(root)) return CLM_OK; /* an empty file changes nothing */
    if (clm_yaml_kind_of(root) != CLM_YAML_MAP)
        return clm_yaml_fail(root, r->err, "a configuration is a mapping (key: value), not %s",
                             clm_yaml_kind_text(root));
    for (const clm_yaml_node *v = clm_yaml_first(root); v != NULL && st == CLM_OK;
         v = clm_yaml_next(v)) {
        const char *name = clm_yaml_text(clm_yaml_key(v), NULL);

        if (clm__key_is_section(name))
            st = read_section(r, name, v);
        else
            st = read_key(r, name, "", v);
    }
    return st;
}

/* change_fn: `user` is the path. */
static clm_status read_file(void *user, clm_settings *s, clm_err *err)
{
    const char *path = user;
    clm_config_reader r = {.s = s, .err = err};
    clm_yaml *doc = NULL;
    char *folder = NULL;
    clm_status st = clm_yaml_load(path, FILE_MAX, &doc, err);

    /* a configuration that cannot be had is wrong usage, whatever the reason */
    if (st == CLM_E_IO || st == CLM_E_LIMIT) st = CLM_E_CONFIG;
    if (st != CLM_OK) return st;
    r.folder = folder = clm_path_dir(path);
    if (folder == NULL)
        st = clm_fail(err, CLM_E_NOMEM, "configuration: no memory");
    else
        st = read_root(&r, clm_yaml_root(doc));
    clm_yaml_destroy(doc);
    free(folder);
    return st;
}

clm_status clm_config_load(clm_config *c, const char *path, clm_err *err)
{
    return update(c, read_file, (char *)path, err);
}

/* ---- Environment and single keys --------------------------------------------------------------- */

static void env_name(const clm_key *key, char out[CLM_ENV_NAME])
{
    snprintf(out, CLM_ENV_NAME, "CLM_%s", key->name);
    for (char *p = out; *p != 0; p++) *p = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
}

/* change_fn */
static clm_status read_env(void *user, clm_settings *s, clm_err *err)
{
    size_t n;
    const clm_key *keys = clm__keys(&n);
    clm_status st = CLM_OK;

    (void)user;
    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        char name[CLM_ENV_NAME];
        const char *value;

        env_name(&keys[i], name);
        value = getenv(name);
        if (value != NULL && *value != 0) st = set_text(s, &keys[i], value, name, err);
    }
    return st;
}

clm_status clm_config_load_env(clm_config *c, clm_err *err)
{
    const clm_status st = clm_env_check(err);

    return st == CLM_OK ? update(c, read_env, NULL, err) : st;
}

bool clm_config_env_debug(void)
{
    return clm_env_switch("CLM_DEBUG", false);
}

/* The variables that are no keys: those of README.md. */
static const char *const others[] = {
    "CLM_MODELS", "CLM_SERVER_API_KEY", "CLM_KERNEL_CACHE", "CLM_AMX",
    "CLM_MMA",    "CLM_DEBUG",          "CLM_DOT"};

enum { PREFIX = sizeof "CLM_" - 1 };

/* Whether `name` is no variable of clm but like one, which goes to `near`. */
static bool meant(const char *name, char near[CLM_ENV_NAME])
{
    const size_t n_others = sizeof others / sizeof *others;
    size_t n;
    const clm_key *keys = clm__keys(&n);
    char(*names)[CLM_ENV_NAME] = malloc(n * sizeof *names);
    const char **all = malloc((n + n_others) * sizeof *all), *found = NULL;

    if (names != NULL && all != NULL) {
        for (size_t i = 0; i < n; i++) {
            env_name(&keys[i], names[i]);
            all[i] = names[i] + PREFIX;
        }
        for (size_t i = 0; i < n_others; i++) all[n + i] = others[i] + PREFIX;
        found = clm_word_nearest(name + PREFIX, all, n + n_others);
        if (found != NULL && strcmp(found, name + PREFIX) == 0) found = NULL;
        if (found != NULL) snprintf(near, CLM_ENV_NAME, "CLM_%s", found);
    }
    free(names);
    free(all);
    return found != NULL;
}

bool clm_config_env_stray(size_t *next, char name[CLM_ENV_NAME], char near[CLM_ENV_NAME])
{
    while (environ[*next] != NULL) {
        const char *setting = environ[(*next)++];
        const size_t n = strcspn(setting, "=");

        if (strncmp(setting, "CLM_", PREFIX) != 0 || n >= CLM_ENV_NAME) continue;
        memcpy(name, setting, n);
        name[n] = 0;
        if (meant(name, near)) return true;
    }
    return false;
}

clm_status clm_config_set(clm_config *c, const char *key, const char *value, const char *origin,
                          clm_err *err)
{
    const clm_key *k = clm__key_find(key);
    char part[CLM_YAML_EXCERPT];

    if (k == NULL) {
        const char *near = clm__key_nearest(key);
        return clm_fail(err, CLM_E_CONFIG, "%s: unknown key '%s'%s%s%s", origin,
                        clm_yaml_excerpt(part, key), near ? "; did you mean '" : "",
                        near ? near : "", near ? "'?" : "");
    }
    return set_text(&c->s, k, value, origin, err);
}
