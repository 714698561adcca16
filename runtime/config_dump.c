/* runtime/config_dump.c: the effective configuration as YAML that can be read back.
 *
 * Layer    runtime.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host/file.h"
#include "runtime/config_schema.h"

static clm_status put_text(FILE *f, const char *text, clm_err *err)
{
    char *quoted;
    clm_status st = clm_yaml_quote(text, &quoted, err);

    if (st == CLM_OK) fputs(quoted, f);
    free(quoted);
    return st;
}

/* A relative path that exists is written as an absolute one, so that the dump means the same file
 * wherever it is read. */
static clm_status put_path(FILE *f, const char *path, clm_err *err)
{
    char *cwd = NULL, *full = NULL;
    clm_status st;

    if (*path != 0 && *path != '/' && clm_file_exists(path)) {
        cwd = getcwd(NULL, 0);
        if (cwd != NULL) full = clm_path_join(cwd, path);
    }
    st = put_text(f, full != NULL ? full : path, err);
    free(full);
    free(cwd);
    return st;
}

static clm_status put_devices(FILE *f, const clm_settings *s, clm_err *err)
{
    clm_status st = CLM_OK;

    if (s->n_devices == 1 && s->devices[0].share == 0)
        return put_text(f, s->devices[0].select, err);
    fputc('[', f);
    for (size_t i = 0; i < s->n_devices && st == CLM_OK; i++) {
        fputs(i > 0 ? ", {select: " : "{select: ", f);
        st = put_text(f, s->devices[i].select, err);
        if (s->devices[i].share > 0.0) {
            char share[32];

            clm_yaml_format_f64(share, s->devices[i].share);
            fprintf(f, ", share: %s", share);
        }
        fputc('}', f);
    }
    fputc(']', f);
    return st;
}

static clm_status put_texts(FILE *f, const clm_settings *s, clm_err *err)
{
    clm_status st = CLM_OK;

    fputc('[', f);
    for (size_t i = 0; i < s->n_stop && st == CLM_OK; i++) {
        if (i > 0) fputs(", ", f);
        st = put_text(f, s->stop[i], err);
    }
    fputc(']', f);
    return st;
}

static clm_status put_value(FILE *f, const clm_key *key, const clm_settings *s, clm_err *err)
{
    const void *at = (const char *)s + key->offset;
    char number[32];
    int choice;

    switch (key->type) {
    case CLM_KEY_PATH:
        return put_path(f, *(char *const *)at, err);
    case CLM_KEY_TEXT:
    case CLM_KEY_WORD:
        return put_text(f, *(char *const *)at, err);
    case CLM_KEY_CHOICE:
        memcpy(&choice, at, sizeof choice);
        return put_text(f, key->choices[choice], err);
    case CLM_KEY_U32:
        fprintf(f, "%" PRIu32, *(const uint32_t *)at);
        return CLM_OK;
    case CLM_KEY_U64:
        fprintf(f, "%" PRIu64, *(const uint64_t *)at);
        return CLM_OK;
    case CLM_KEY_REAL:
        clm_yaml_format_f64(number, *(const double *)at);
        fputs(number, f);
        return CLM_OK;
    case CLM_KEY_DEVICES:
        return put_devices(f, s, err);
    case CLM_KEY_TEXTS:
        return put_texts(f, s, err);
    }
    return clm_fail(err, CLM_E_INTERNAL, "configuration: no such type of key");
}

static clm_status put_all(FILE *f, const clm_settings *s, clm_err *err)
{
    size_t n;
    const clm_key *keys = clm__keys(&n);
    const char *section = "";
    size_t section_len = 0;
    clm_status st = CLM_OK;

    fprintf(f, "# clm %s\n", CLM_VERSION);
    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        const char *dot = strchr(keys[i].name, '.');
        size_t len = dot != NULL ? (size_t)(dot - keys[i].name) : 0;

        if (dot != NULL && (len != section_len || strncmp(section, keys[i].name, len) != 0))
            fprintf(f, "%.*s:\n", (int)len, keys[i].name);
        section = keys[i].name;
        section_len = len;
        bool open = keys[i].advised && (s->given & clm__key_bit(&keys[i])) == 0;

        fprintf(f, "%s%s%s: ", open ? "#" : "", dot != NULL ? "  " : "",
                dot != NULL ? dot + 1 : keys[i].name);
        st = put_value(f, &keys[i], s, err);
        fprintf(f, "  # %s%s\n", keys[i].doc,
                open ? "; not set: the model's own value comes first" : "");
    }
    return st;
}

clm_status clm_config_dump(const clm_config *c, char **text, clm_err *err)
{
    char *buffer = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&buffer, &size);
    clm_status st;
    bool bad;

    *text = NULL;
    if (f == NULL) return clm_fail(err, CLM_E_NOMEM, "configuration: no memory");
    st = put_all(f, clm_config_settings(c), err);
    bad = ferror(f) != 0;
    if (fclose(f) != 0 || bad) {
        if (st == CLM_OK) st = clm_fail(err, CLM_E_NOMEM, "configuration: no memory");
    }
    if (st == CLM_OK)
        *text = buffer;
    else
        free(buffer);
    return st;
}
