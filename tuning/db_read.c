/* tuning/db_read.c: reading of tuning/db.h. */
#include "tuning/db.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/file.h"
#include "host/utf8.h"
#include "host/yaml.h"

#define DIGITS  "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* A text of fewer than `room` bytes; `allowed` NULL: any, made printable as the device's own texts are. */
static clm_status read_text(const clm_yaml_node *node, const char *allowed, char *out, size_t room,
                            clm_err *err)
{
    const char *text;
    clm_status st = clm_yaml_get_text(node, &text, err);

    if (st != CLM_OK) return st;
    if (strlen(text) >= room) return clm_yaml_fail(node, err, "the text is too long");
    if (allowed != NULL && !clm_tune_is_word(text, allowed)) {
        char excerpt[CLM_YAML_EXCERPT];
        return clm_yaml_fail(node, err, "'%s' cannot be a name here",
                             clm_yaml_excerpt(excerpt, text));
    }
    clm_utf8_clean(out, room, text, strlen(text));
    return CLM_OK;
}

static clm_status read_number(const clm_yaml_node *node, double max, double *out, clm_err *err)
{
    return clm_yaml_get_f64(node, (clm_yaml_range){0.0, max, false}, out, err);
}

static clm_status read_u32(const clm_yaml_node *node, uint32_t *out, clm_err *err)
{
    uint64_t value = 0;
    clm_status st = clm_yaml_get_u64(node, 0, UINT32_MAX, &value, err);

    *out = (uint32_t)value;
    return st;
}

static clm_status unknown_key(const clm_yaml_node *value, clm_err *err)
{
    return clm_yaml_fail(value, err, "there is no such key in a tuning database");
}

static clm_status read_device(const clm_yaml_node *map, clm_tune_device *d, clm_err *err)
{
    clm_status st = clm_yaml_expect(map, CLM_YAML_MAP, "a mapping", err);

    if (st != CLM_OK) return st;
    for (const clm_yaml_node *v = clm_yaml_first(map); v != NULL && st == CLM_OK;
         v = clm_yaml_next(v)) {
        if (clm_yaml_key_is(v, "vendor"))
            st = read_text(v, NULL, d->vendor, sizeof d->vendor, err);
        else if (clm_yaml_key_is(v, "name"))
            st = read_text(v, NULL, d->name, sizeof d->name, err);
        else if (clm_yaml_key_is(v, "type"))
            st = read_text(v, LETTERS, d->type, sizeof d->type, err);
        else if (clm_yaml_key_is(v, "driver"))
            st = read_text(v, NULL, d->driver, sizeof d->driver, err);
        else if (clm_yaml_key_is(v, "platform"))
            st = read_text(v, NULL, d->platform, sizeof d->platform, err);
        else if (clm_yaml_key_is(v, "arch"))
            st = read_text(v, NULL, d->arch, sizeof d->arch, err);
        else if (clm_yaml_key_is(v, "units"))
            st = read_u32(v, &d->units, err);
        else if (clm_yaml_key_is(v, "read_gbps"))
            st = read_number(v, 1e9, &d->read_gbps, err);
        else if (clm_yaml_key_is(v, "fp32_gflops"))
            st = read_number(v, 1e12, &d->fp32_gflops, err);
        else if (clm_yaml_key_is(v, "int8_gops"))
            st = read_number(v, 1e12, &d->int8_gops, err);
        else
            st = unknown_key(v, err);
    }
    if (st == CLM_OK && (d->name[0] == '\0' || d->type[0] == '\0'))
        return clm_yaml_fail(map, err, "name and type are missing");
    return st;
}

static clm_status read_params(const clm_yaml_node *map, clm_tune_entry *e, clm_err *err)
{
    clm_status st = clm_yaml_expect(map, CLM_YAML_MAP, "a mapping of names to numbers", err);

    if (st == CLM_OK && clm_yaml_count(map) > CLM_TUNE_MAX_PARAMS)
        return clm_yaml_fail(map, err, "more than %d parameters", (int)CLM_TUNE_MAX_PARAMS);
    if (st != CLM_OK) return st;
    for (const clm_yaml_node *v = clm_yaml_first(map); v != NULL && st == CLM_OK;
         v = clm_yaml_next(v)) {
        clm_tune_param *p = &e->params[e->n_params++];

        st = read_text(clm_yaml_key(v), CLM_TUNE_NAME_LETTERS, p->name, sizeof p->name, err);
        if (st == CLM_OK)
            st = clm_yaml_get_int(v, -CLM_TUNE_MAX_VALUE, CLM_TUNE_MAX_VALUE, &p->value, err);
    }
    return st;
}

static clm_status read_value(const clm_yaml_node *v, clm_tune_entry *e, clm_err *err)
{
    const struct {
        const char *name;
        double *to, max;
    } numbers[] = {{"median_ms", &e->median_ms, CLM_TUNE_MAX_MS},
                   {"default_ms", &e->default_ms, CLM_TUNE_MAX_MS},
                   {"error", &e->error, 1.0},
                   {"bytes", &e->bytes, CLM_TUNE_MAX_AMOUNT},
                   {"flops", &e->flops, CLM_TUNE_MAX_AMOUNT}};

    if (clm_yaml_key_is(v, "ms")) /* what is compared, and divided by */
        return clm_yaml_get_f64(v, (clm_yaml_range){0.0, CLM_TUNE_MAX_MS, true}, &e->ms, err);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (clm_yaml_key_is(v, numbers[i].name))
            return read_number(v, numbers[i].max, numbers[i].to, err);
    if (clm_yaml_key_is(v, "op"))
        return read_text(v, CLM_TUNE_NAME_LETTERS, e->key.op, sizeof e->key.op, err);
    if (clm_yaml_key_is(v, "shape"))
        return read_text(v, LETTERS DIGITS "_=+-. ", e->key.shape, sizeof e->key.shape, err);
    if (clm_yaml_key_is(v, "source"))
        return read_text(v, DIGITS "abcdef", e->key.source, sizeof e->key.source, err);
    if (clm_yaml_key_is(v, "date")) return read_text(v, DIGITS "-", e->date, sizeof e->date, err);
    if (clm_yaml_key_is(v, "params")) return read_params(v, e, err);
    if (clm_yaml_key_is(v, "tried")) return read_u32(v, &e->tried, err);
    if (clm_yaml_key_is(v, "failed")) return read_u32(v, &e->failed, err);
    return unknown_key(v, err);
}

static clm_status read_entry(const clm_yaml_node *map, clm_tune_db *db, clm_err *err)
{
    static const char *const required[] = {"op", "shape", "params", "source", "ms"};
    clm_tune_entry e;
    clm_status st = clm_yaml_expect(map, CLM_YAML_MAP, "a mapping", err);

    memset(&e, 0, sizeof e);
    if (st != CLM_OK) return st;
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++)
        if (clm_yaml_find(map, required[i]) == NULL)
            return clm_yaml_fail(map, err, "%s is missing", required[i]);
    for (const clm_yaml_node *v = clm_yaml_first(map); v != NULL && st == CLM_OK;
         v = clm_yaml_next(v))
        st = read_value(v, &e, err);
    return st == CLM_OK ? clm_tune_db_put(db, &e, err) : st;
}

static clm_status read_root(const char *name, const clm_yaml_node *root, clm_tune_db *db,
                            clm_err *err)
{
    const clm_yaml_node *schema = clm_yaml_find(root, "schema"),
                        *device = clm_yaml_find(root, "device"),
                        *entries = clm_yaml_find(root, "entries");
    uint64_t number;
    clm_status st;

    if (root == NULL || schema == NULL)
        return clm_fail(err, CLM_E_CONFIG, "%s: no tuning database: schema is missing", name);
    st = clm_yaml_get_u64(schema, 0, 1u << 30, &number, err);
    if (st != CLM_OK) return st;
    if (number != CLM_TUNE_SCHEMA)
        return clm_fail(err, CLM_E_LIMIT, "%s: is of schema %u; this clm reads schema %d", name,
                        (unsigned)number, (int)CLM_TUNE_SCHEMA);
    if (device == NULL || entries == NULL)
        return clm_fail(err, CLM_E_CONFIG, "%s: device or entries are missing", name);
    for (const clm_yaml_node *v = clm_yaml_first(root); v != NULL; v = clm_yaml_next(v))
        if (v != schema && v != device && v != entries) return unknown_key(v, err);
    st = read_device(device, &db->device, err);
    if (st != CLM_OK) return st;
    st = clm_yaml_expect(entries, CLM_YAML_LIST, "a list", err);
    if (st == CLM_OK && clm_yaml_count(entries) > CLM_TUNE_DB_MAX_ENTRIES)
        return clm_fail(err, CLM_E_LIMIT, "%s: more than %d entries", name,
                        (int)CLM_TUNE_DB_MAX_ENTRIES);
    for (const clm_yaml_node *v = st == CLM_OK ? clm_yaml_first(entries) : NULL;
         v != NULL && st == CLM_OK; v = clm_yaml_next(v))
        st = read_entry(v, db, err);
    return st;
}

static clm_status read_text_of(const char *name, const char *text, size_t size, clm_tune_db *out,
                               clm_err *err)
{
    clm_yaml *doc = NULL;
    clm_status st = clm_yaml_parse(name, text, size, &doc, err);

    memset(out, 0, sizeof *out);
    if (st == CLM_OK) st = read_root(name, clm_yaml_root(doc), out, err);
    clm_yaml_destroy(doc);
    if (st != CLM_OK) clm_tune_db_clear(out);
    return st;
}

clm_status clm_tune_db_read(const char *path, clm_tune_db *out, clm_err *err)
{
    char *text = NULL;
    size_t size;
    clm_status st = clm_file_read(path, CLM_TUNE_DB_MAX_BYTES, &text, &size, err);

    memset(out, 0, sizeof *out);
    if (st == CLM_OK) st = read_text_of(path, text, size, out, err);
    free(text);
    return st;
}

clm_status clm_tune_db_salvage(const char *path, clm_tune_db *out, clm_err *err)
{
    char *text = NULL, *last;
    size_t size;
    clm_status st = clm_file_read(path, CLM_TUNE_DB_MAX_BYTES, &text, &size, err);

    memset(out, 0, sizeof *out);
    if (st != CLM_OK) return st;
    if (size > 0 && text[size - 1] == '\n') text[size - 1] = '\0';
    last = strrchr(text, '\n');
    if (last == NULL)
        st = clm_fail(err, CLM_E_CONFIG, "%s: nothing is left of it", path);
    else
        st = read_text_of(path, text, (size_t)(last + 1 - text), out, err);
    free(text);
    return st;
}
