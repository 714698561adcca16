/* tuning/tune_log.c: see tuning/tune_log.h. */
#include "tuning/tune_log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "host/file.h"
#include "host/grow.h"
#include "host/yaml.h"
#include "tuning/key.h"

enum { MAX_BYTES = 64 << 20 };

/* What a line says of its candidate. */
typedef enum line_kind { BEGIN, STOPPED, RESULT } line_kind;

/* What all lines say of a candidate. */
typedef struct record {
    clm_tune_try t;
    unsigned lost; /* beginnings without an end, before the machine's present start */
    bool done;
} record;

typedef struct records {
    record *list;
    size_t n, room;
} records;

struct clm_tune_log {
    int fd;
    records all;
    char boot[40];
};

/* An identity of the machine's present start; "" where the system has none. */
static void read_boot(char out[40])
{
    char *text = NULL;
    size_t size;

    out[0] = '\0';
    if (clm_file_read("/proc/sys/kernel/random/boot_id", 4096, &text, &size, NULL) == CLM_OK)
        snprintf(out, 40, "%.36s", text);
    free(text);
}

static bool same_params(const clm_tune_try *t, const clm_tune_param *params, size_t n)
{
    if (t->n_params != n) return false;
    for (size_t i = 0; i < n; i++)
        if (t->params[i].value != params[i].value || strcmp(t->params[i].name, params[i].name) != 0)
            return false;
    return true;
}

static record *find(const records *all, const clm_tune_key *key, const clm_tune_param *params,
                    size_t n)
{
    for (size_t i = all->n; i-- > 0;) {
        record *r = &all->list[i];

        if (same_params(&r->t, params, n) && clm_tune_key_same(&r->t.key, key)) return r;
    }
    return NULL;
}

/* Takes a line into account; `boot` is the present start. False: no memory. */
static bool note(records *all, const clm_tune_try *t, line_kind kind, const char *boot)
{
    record *r = find(all, &t->key, t->params, t->n_params);

    if (r == NULL) {
        record *grown = clm_grow(all->list, &all->room, all->n + 1, sizeof *grown);

        if (grown == NULL) return false;
        all->list = grown;
        r = &all->list[all->n++];
        memset(r, 0, sizeof *r);
        r->t = *t;
    }
    if (kind == BEGIN) {
        r->lost += strcmp(t->text, boot) != 0;
        return true;
    }
    r->lost = 0; /* the machine was there at the end */
    if (kind == RESULT) {
        r->t = *t;
        r->done = true;
    }
    return true;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* What stands in the place of a reason. */
static const char k_begin[] = "begin", k_stopped[] = "stopped";

static bool get_text(const clm_yaml_node *map, const char *name, char *out, size_t room)
{
    const clm_yaml_node *node = clm_yaml_find(map, name);
    const char *text = node != NULL ? clm_yaml_text(node, NULL) : NULL;

    if (text == NULL || strlen(text) >= room) return false;
    snprintf(out, room, "%s", text);
    return true;
}

/* 0: it is not there, or out of range. */
static double get_number(const clm_yaml_node *map, const char *name, double max)
{
    const clm_yaml_node *node = clm_yaml_find(map, name);
    double value = 0.0;

    if (node == NULL ||
        clm_yaml_get_f64(node, (clm_yaml_range){0.0, max, false}, &value, NULL) != CLM_OK)
        return 0.0;
    return value;
}

/* Whether the result can go into a database. */
static bool is_sound(const clm_tune_try *t)
{
    const bool timed = t->reason == CLM_TUNE_OK || t->reason == CLM_TUNE_SLOW;

    return !timed || (t->ms > 0.0 && t->error <= 1.0);
}

/* False: not a line of ours. */
static bool read_map(const clm_yaml_node *map, clm_tune_try *t, line_kind *kind)
{
    const clm_yaml_node *params = clm_yaml_find(map, "params");
    char word[16];

    memset(t, 0, sizeof *t);
    if (!get_text(map, "op", t->key.op, sizeof t->key.op) ||
        !get_text(map, "shape", t->key.shape, sizeof t->key.shape) ||
        !get_text(map, "source", t->key.source, sizeof t->key.source) ||
        !get_text(map, "result", word, sizeof word) || params == NULL ||
        !clm_tune_is_word(t->key.op, CLM_TUNE_NAME_LETTERS) ||
        clm_yaml_kind_of(params) != CLM_YAML_MAP || clm_yaml_count(params) > CLM_TUNE_MAX_PARAMS)
        return false;
    for (const clm_yaml_node *v = clm_yaml_first(params); v != NULL; v = clm_yaml_next(v)) {
        clm_tune_param *p = &t->params[t->n_params++];
        const char *name = clm_yaml_text(clm_yaml_key(v), NULL);
        double value;

        if (clm_yaml_get_f64(v, (clm_yaml_range){-1e9, 1e9, false}, &value, NULL) != CLM_OK ||
            strlen(name) >= sizeof p->name || !clm_tune_is_word(name, CLM_TUNE_NAME_LETTERS))
            return false;
        snprintf(p->name, sizeof p->name, "%s", name);
        p->value = (int)value;
    }
    t->ms = get_number(map, "ms", CLM_TUNE_MAX_MS);
    t->median_ms = get_number(map, "median_ms", CLM_TUNE_MAX_MS);
    t->error = get_number(map, "error", 1e18);
    t->build_s = get_number(map, "build_s", 1e9);
    t->when = (int64_t)get_number(map, "when", 1e18);
    (void)get_text(map, "text", t->text, sizeof t->text);
    *kind = strcmp(word, k_begin) == 0 ? BEGIN : strcmp(word, k_stopped) == 0 ? STOPPED : RESULT;
    for (int i = 0; i < CLM_TUNE_REASONS; i++)
        if (strcmp(word, clm_tune_reason_text((clm_tune_reason)i)) == 0) {
            t->reason = (clm_tune_reason)i;
            return is_sound(t);
        }
    return *kind != RESULT;
}

static bool read_line(const char *line, size_t size, clm_tune_try *t, line_kind *kind)
{
    clm_yaml *doc = NULL;
    const clm_yaml_node *root;
    bool good = false;

    if (clm_yaml_parse("log", line, size, &doc, NULL) != CLM_OK) return false;
    root = clm_yaml_root(doc);
    if (root != NULL && clm_yaml_kind_of(root) == CLM_YAML_LIST && clm_yaml_count(root) == 1)
        good = read_map(clm_yaml_first(root), t, kind);
    clm_yaml_destroy(doc);
    return good;
}

static clm_status read_all(const char *path, records *all, const char *boot, clm_err *err)
{
    char *text = NULL;
    size_t size;
    clm_status st = clm_file_read(path, MAX_BYTES, &text, &size, err);

    for (char *at = text; st == CLM_OK && at < text + size;) {
        char *end = memchr(at, '\n', (size_t)(text + size - at));
        clm_tune_try t;
        line_kind kind;

        if (end == NULL) break; /* not whole */
        if (read_line(at, (size_t)(end - at), &t, &kind) && !note(all, &t, kind, boot))
            st = clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
        at = end + 1;
    }
    free(text);
    return st;
}

static char *format_line(const clm_tune_try *t, line_kind kind, size_t *size)
{
    const char *word = kind == BEGIN     ? k_begin
                       : kind == STOPPED ? k_stopped
                                         : clm_tune_reason_text(t->reason);
    char *line = NULL, *shape = NULL, *text = NULL;
    FILE *f = open_memstream(&line, size);

    if (f == NULL) return NULL;
    (void)clm_yaml_quote(t->key.shape, &shape, NULL);
    (void)clm_yaml_quote(t->text, &text, NULL);
    fprintf(f, "- {op: %s, shape: %s, source: \"%s\", params: {", t->key.op,
            shape != NULL ? shape : "\"\"", t->key.source);
    for (size_t i = 0; i < t->n_params; i++)
        fprintf(f, "%s%s: %d", i > 0 ? ", " : "", t->params[i].name, t->params[i].value);
    fprintf(f, "}, result: %s, when: %lld", word, (long long)t->when);
    if (kind == RESULT) {
        const struct {
            const char *name;
            double value;
        } numbers[] = {{"ms", t->ms},
                       {"median_ms", t->median_ms},
                       {"error", isfinite(t->error) ? t->error : 0.0},
                       {"build_s", t->build_s}};

        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
            char number[32];

            if (numbers[i].value == 0.0) continue;
            clm_yaml_format_f64(number, numbers[i].value);
            fprintf(f, ", %s: %s", numbers[i].name, number);
        }
    }
    if (t->text[0] != '\0' && text != NULL) fprintf(f, ", text: %s", text);
    fputs("}\n", f);
    free(shape);
    free(text);
    if (fclose(f) == 0) return line;
    free(line);
    return NULL;
}

/* ---- The file -------------------------------------------------------------------------------- */

clm_status clm_tune_log_lock(const char *path, int *fd, clm_err *err)
{
    clm_status st = CLM_OK;

    *fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0) return clm_fail(err, CLM_E_IO, "%s: %s", path, strerror(errno));
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0) return CLM_OK;
    if (errno == EWOULDBLOCK)
        st = clm_fail(err, CLM_E_LIMIT, "%s: another clm is tuning this device", path);
    else
        st = clm_fail(err, CLM_E_IO, "%s: it cannot be locked: %s", path, strerror(errno));
    close(*fd);
    *fd = -1;
    return st;
}

/* After half a line the next one begins on its own. */
static clm_status end_last_line(int fd, const char *path, clm_err *err)
{
    const off_t size = lseek(fd, 0, SEEK_END);
    char last;

    if (size <= 0 || pread(fd, &last, 1, size - 1) != 1 || last == '\n') return CLM_OK;
    return clm_fd_write(fd, path, "\n", 1, err);
}

clm_status clm_tune_log_open(const char *path, clm_tune_log **out, clm_err *err)
{
    clm_tune_log *j = calloc(1, sizeof *j);
    clm_status st;

    *out = NULL;
    if (j == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
    st = clm_tune_log_lock(path, &j->fd, err);
    if (st == CLM_OK) {
        read_boot(j->boot);
        st = read_all(path, &j->all, j->boot, err);
    }
    if (st == CLM_OK) st = end_last_line(j->fd, path, err);
    if (st != CLM_OK) {
        clm_tune_log_close(j);
        return st;
    }
    *out = j;
    return CLM_OK;
}

void clm_tune_log_close(clm_tune_log *j)
{
    if (j == NULL) return;
    if (j->fd >= 0) close(j->fd);
    free(j->all.list);
    free(j);
}

/* What a record says of its candidate; false: nothing yet. */
static bool settle(record *r)
{
    if (r->done) return true;
    if (r->lost < 2) return false;
    r->t.reason = CLM_TUNE_CRASH;
    snprintf(r->t.text, sizeof r->t.text, "the machine went down %u times while this was tried",
             r->lost);
    return true;
}

const clm_tune_try *clm_tune_log_find(const clm_tune_log *j, const clm_tune_key *key,
                                      const clm_tune_param *params, size_t n)
{
    record *r = find(&j->all, key, params, n);

    return r != NULL && settle(r) ? &r->t : NULL;
}

static clm_status append(clm_tune_log *j, const clm_tune_try *t, line_kind kind, clm_err *err)
{
    size_t size;
    char *line = format_line(t, kind, &size);
    clm_status st = CLM_OK;

    if (line == NULL || !note(&j->all, t, kind, j->boot))
        st = clm_fail(err, CLM_E_NOMEM, "tuning log: no memory");
    else
        st = clm_fd_write(j->fd, "tuning log", line, size, err);
    free(line);
    return st;
}

clm_status clm_tune_log_begin(clm_tune_log *j, const clm_tune_try *t, clm_err *err)
{
    clm_tune_try begun = *t;
    clm_status st;

    snprintf(begun.text, sizeof begun.text, "%s", j->boot);
    st = append(j, &begun, BEGIN, err);

    /* The candidate may take the machine down with it. */
    if (st == CLM_OK && fdatasync(j->fd) != 0 && errno != EINVAL)
        st = clm_fail(err, CLM_E_IO, "tuning log: %s", strerror(errno));
    return st;
}

clm_status clm_tune_log_end(clm_tune_log *j, const clm_tune_try *t, clm_err *err)
{
    return append(j, t, RESULT, err);
}

clm_status clm_tune_log_stop(clm_tune_log *j, const clm_tune_try *t, clm_err *err)
{
    return append(j, t, STOPPED, err);
}

char *clm_tune_log_beside(const char *db_path)
{
    const size_t n = strlen(db_path);
    char *path = NULL;

    if (n < 5 || strcmp(db_path + n - 5, ".yaml") != 0) return NULL;
    return asprintf(&path, "%.*s.log", (int)(n - 5), db_path) < 0 ? NULL : path;
}

clm_status clm_tune_log_read(const char *path, clm_tune_try **out, size_t *n, clm_err *err)
{
    records all = {NULL, 0, 0};
    char boot[40];
    clm_status st = CLM_OK;

    *out = NULL;
    *n = 0;
    if (!clm_file_exists(path)) return CLM_OK;
    read_boot(boot);
    st = read_all(path, &all, boot, err);
    if (st == CLM_OK && all.n > 0) {
        *out = calloc(all.n, sizeof **out);
        if (*out == NULL) st = clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
    }
    for (size_t i = 0; *out != NULL && i < all.n; i++)
        if (settle(&all.list[i])) (*out)[(*n)++] = all.list[i].t;
    free(all.list);
    return st;
}
