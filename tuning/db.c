/* tuning/db.c: writing and contents of tuning/db.h. */
#include "tuning/db.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/file.h"
#include "host/grow.h"
#include "host/yaml.h"

void clm_tune_db_clear(clm_tune_db *db)
{
    if (db == NULL) return;
    free(db->entries);
    memset(db, 0, sizeof *db);
}

clm_tune_entry *clm_tune_db_find(const clm_tune_db *db, const clm_tune_key *key)
{
    for (size_t i = 0; i < db->n; i++)
        if (clm_tune_key_same(&db->entries[i].key, key)) return &db->entries[i];
    return NULL;
}

clm_status clm_tune_db_put(clm_tune_db *db, const clm_tune_entry *e, clm_err *err)
{
    clm_tune_entry *old = clm_tune_db_find(db, &e->key), *grown;

    if (old != NULL) {
        *old = *e;
        return CLM_OK;
    }
    grown = clm_grow(db->entries, &db->room, db->n + 1, sizeof *grown);
    if (grown == NULL) return clm_fail(err, CLM_E_NOMEM, "tuning database: no memory");
    db->entries = grown;
    db->entries[db->n++] = *e;
    return CLM_OK;
}

/* Times of different runs are of different moments: what counts is how much an entry gained over the
 * default in its own run. */
static bool better(const clm_tune_entry *a, const clm_tune_entry *b)
{
    if (a->default_ms > 0.0 && b->default_ms > 0.0)
        return a->ms / a->default_ms < b->ms / b->default_ms;
    return a->ms < b->ms;
}

clm_status clm_tune_db_merge(clm_tune_db *into, const clm_tune_db *from, clm_err *err)
{
    clm_status st = CLM_OK;

    for (size_t i = 0; i < from->n && st == CLM_OK; i++) {
        const clm_tune_entry *old = clm_tune_db_find(into, &from->entries[i].key);

        if (old == NULL || better(&from->entries[i], old))
            st = clm_tune_db_put(into, &from->entries[i], err);
    }
    return st;
}

bool clm_tune_device_same(const clm_tune_device *a, const clm_tune_device *b)
{
    return strcmp(a->vendor, b->vendor) == 0 && strcmp(a->name, b->name) == 0 &&
           strcmp(a->type, b->type) == 0 && strcmp(a->driver, b->driver) == 0 &&
           strcmp(a->platform, b->platform) == 0 && a->units == b->units;
}

void clm_tune_device_raise(clm_tune_device *d, const clm_tune_device *seen)
{
    d->read_gbps = fmax(d->read_gbps, seen->read_gbps);
    d->fp32_gflops = fmax(d->fp32_gflops, seen->fp32_gflops);
    d->int8_gops = fmax(d->int8_gops, seen->int8_gops);
}

const char *clm_tune_entry_check(const clm_op_table *table, const clm_tune_entry *e,
                                 const clm_op_desc **op, clm_shape *shape, int params[CLM_MAX_AXES],
                                 bool *stale)
{
    char source[33];

    if (stale != NULL) *stale = false;
    *op = clm_op_find(table, e->key.op);
    if (*op == NULL) return "there is no such operator";
    if (!clm_shape_read(*op, e->key.shape, shape)) return "the shape is none of the operator's";
    if (clm_op_hash(*op, source, NULL) != CLM_OK) return "the kernel has no source";
    if (strcmp(source, e->key.source) != 0) {
        if (stale != NULL) *stale = true;
        return "measured with another version of the kernel";
    }
    if (!clm_params_read(*op, e, params)) return "values outside of the operator's space";
    return NULL;
}

static clm_status write_text(FILE *f, const char *name, const char *text, clm_err *err)
{
    char *quoted = NULL;
    const clm_status st = clm_yaml_quote(text, &quoted, err);

    if (st != CLM_OK) return clm_fail_context(err, st, "tuning database: %s", name);
    fprintf(f, "%s: %s", name, quoted);
    free(quoted);
    return CLM_OK;
}

static void write_number(FILE *f, const char *name, double value)
{
    char number[32], rounded[32];

    /* Seven digits are more than any clock here gives. */
    snprintf(rounded, sizeof rounded, "%.7g", value);
    clm_yaml_format_f64(number, strtod(rounded, NULL));
    fprintf(f, "%s: %s", name, number);
}

static clm_status write_device(FILE *f, const clm_tune_device *d, clm_err *err)
{
    const struct {
        const char *name, *text;
    } texts[] = {{"vendor", d->vendor}, {"name", d->name},         {"type", d->type},
                 {"driver", d->driver}, {"platform", d->platform}, {"arch", d->arch}};
    const struct {
        const char *name;
        double value;
    } numbers[] = {
        {"read_gbps", d->read_gbps}, {"fp32_gflops", d->fp32_gflops}, {"int8_gops", d->int8_gops}};

    fputs("device:\n", f);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        clm_status st;

        fputs("  ", f);
        st = write_text(f, texts[i].name, texts[i].text, err);
        if (st != CLM_OK) return st;
        fputc('\n', f);
    }
    fprintf(f, "  units: %u\n", (unsigned)d->units);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (numbers[i].value <= 0.0) continue;
        fputs("  ", f);
        write_number(f, numbers[i].name, numbers[i].value);
        fputc('\n', f);
    }
    return CLM_OK;
}

/* One line, so that a file that was cut loses one entry. */
static clm_status write_entry(FILE *f, const clm_tune_entry *e, clm_err *err)
{
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"ms", e->ms},       {"median_ms", e->median_ms}, {"default_ms", e->default_ms},
                   {"error", e->error}, {"bytes", e->bytes},         {"flops", e->flops}};
    clm_status st;

    fprintf(f, "  - {op: %s, ", e->key.op);
    st = write_text(f, "shape", e->key.shape, err);
    if (st != CLM_OK) return st;
    fputs(", params: {", f);
    for (size_t i = 0; i < e->n_params; i++)
        fprintf(f, "%s%s: %d", i > 0 ? ", " : "", e->params[i].name, e->params[i].value);
    fputs("}", f);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        fputs(", ", f);
        write_number(f, numbers[i].name, numbers[i].value);
    }
    fprintf(f, ", tried: %u, failed: %u, ", (unsigned)e->tried, (unsigned)e->failed);
    if (e->date[0] != '\0') fprintf(f, "date: \"%s\", ", e->date);
    fprintf(f, "source: \"%s\"}\n", e->key.source);
    return CLM_OK;
}

clm_status clm_tune_db_text(const clm_tune_db *db, char **text, size_t *size, clm_err *err)
{
    clm_status st;
    FILE *f;

    *text = NULL;
    *size = 0;
    f = open_memstream(text, size);
    if (f == NULL) return clm_fail(err, CLM_E_NOMEM, "tuning database: no memory");
    fputs("# What clm measured on this device; docs/tuning.md explains the fields.\n", f);
    fprintf(f, "schema: %d\n", (int)CLM_TUNE_SCHEMA);
    st = write_device(f, &db->device, err);
    fputs(db->n > 0 ? "entries:\n" : "entries: []\n", f);
    for (size_t i = 0; i < db->n && st == CLM_OK; i++) st = write_entry(f, &db->entries[i], err);
    if (fclose(f) != 0 && st == CLM_OK)
        st = clm_fail(err, CLM_E_NOMEM, "tuning database: no memory");
    if (st == CLM_OK) return CLM_OK;
    free(*text);
    *text = NULL;
    return st;
}

clm_status clm_tune_db_write(const clm_tune_db *db, const char *path, clm_err *err)
{
    char *text = NULL, *dir = clm_path_dir(path);
    size_t size;
    clm_status st = dir == NULL ? clm_fail(err, CLM_E_NOMEM, "tuning database: no memory")
                                : clm_dir_create(dir, err);

    if (st == CLM_OK) st = clm_tune_db_text(db, &text, &size, err);
    if (st == CLM_OK) st = clm_file_replace(path, text, size, err);
    free(text);
    free(dir);
    return st;
}

/* Lower-case words of letters and digits, joined by '-'. */
static void slug(const char *text, char *out, size_t room)
{
    size_t n = 0;

    for (; *text != '\0' && n + 2 < room; text++) {
        const unsigned char c = (unsigned char)*text;
        const bool plain = c < 128 && (isalnum(c) != 0 || c == '.');

        if (plain)
            out[n++] = (char)tolower(c);
        else if (n > 0 && out[n - 1] != '-')
            out[n++] = '-';
    }
    while (n > 0 && out[n - 1] == '-') n--;
    out[n] = '\0';
}

void clm_tune_file_stem(const clm_tune_device *d, char out[128])
{
    char name[48], driver[32], all[560], hash[33] = "";

    slug(d->name, name, sizeof name);
    slug(d->driver, driver, sizeof driver);
    snprintf(all, sizeof all, "%s|%s|%s|%s|%s|%u", d->vendor, d->name, d->driver, d->platform,
             d->type, (unsigned)d->units);
    (void)clm_program_hash_text(all, hash, NULL); /* without memory: names alone */
    snprintf(out, 128, "%s_%s_%.6s", name, driver, hash);
}
