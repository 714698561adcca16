/* tuning/tune_log.c: see tuning/tune_log.h. */
#include "tuning/tune_log.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/file.h"
#include "host/grow.h"
#include "tuning/tune_line.h"

/* A log of more than LARGE_BYTES is written anew when it is opened, with the results of the KEPT candidates tried last:
 * each takes some 300 bytes. */
enum { MAX_BYTES = 1 << 28, LARGE_BYTES = 8 << 20, KEPT = 16384 };

/* What all lines say of a candidate. */
typedef struct record {
    clm_tune_try t;
    unsigned lost; /* beginnings without an end, before the machine's present start */
    bool done;
} record;

typedef struct records {
    void *tree; /* of the C library's tsearch, by candidate */
    record **list;
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

/* ---- Records --------------------------------------------------------------------------------- */

/* An order of candidates. */
static int compare(const void *left, const void *right)
{
    const clm_tune_try *a = &((const record *)left)->t, *b = &((const record *)right)->t;
    int order = strcmp(a->key.op, b->key.op);

    if (order == 0) order = strcmp(a->key.shape, b->key.shape);
    if (order == 0) order = strcmp(a->key.source, b->key.source);
    if (order == 0) order = (a->n_params > b->n_params) - (a->n_params < b->n_params);
    for (size_t i = 0; i < a->n_params && order == 0; i++) {
        const clm_tune_param *p = &a->params[i], *q = &b->params[i];

        order = strcmp(p->name, q->name);
        if (order == 0) order = (p->value > q->value) - (p->value < q->value);
    }
    return order;
}

static void drop_nothing(void *node)
{
    (void)node; /* the list has them */
}

static void clear(records *all)
{
    tdestroy(all->tree, drop_nothing);
    for (size_t i = 0; i < all->n; i++) free(all->list[i]);
    free(all->list);
    *all = (records){NULL, NULL, 0, 0};
}

/* The record of t's candidate, made if there is none; NULL: no memory. */
static record *find_or_add(records *all, const clm_tune_try *t)
{
    record **grown = clm_grow(all->list, &all->room, all->n + 1, sizeof *grown), **found;
    record *fresh;

    if (grown == NULL) return NULL;
    all->list = grown;
    fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) return NULL;
    fresh->t = *t;
    found = tsearch(fresh, &all->tree, compare);
    if (found != NULL && *found == fresh) {
        all->list[all->n++] = fresh;
        return fresh;
    }
    free(fresh);
    return found != NULL ? *found : NULL;
}

/* Takes a line into account; `boot` is the present start. False: no memory. */
static bool note(records *all, const clm_tune_try *t, clm__line_kind kind, const char *boot)
{
    record *r = find_or_add(all, t);

    if (r == NULL) return false;
    if (kind == CLM__LINE_BEGIN) {
        r->lost += strcmp(t->text, boot) != 0;
        return true;
    }
    r->lost = 0; /* the machine was there at the end */
    if (kind == CLM__LINE_RESULT) {
        r->t = *t;
        r->done = true;
    }
    return true;
}

static clm_status read_all(const char *path, records *all, const char *boot, size_t *bytes,
                           clm_err *err)
{
    char *text = NULL;
    size_t size = 0;
    clm_status st = clm_file_read(path, MAX_BYTES, &text, &size, err);

    for (char *at = text; st == CLM_OK && at < text + size;) {
        char *end = memchr(at, '\n', (size_t)(text + size - at));
        clm_tune_try t;
        clm__line_kind kind;

        if (end == NULL) break; /* not whole */
        if (clm__tune_line_read(at, (size_t)(end - at), &t, &kind) && !note(all, &t, kind, boot))
            st = clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
        at = end + 1;
    }
    free(text);
    *bytes = size;
    return st;
}

/* ---- The file -------------------------------------------------------------------------------- */

/* Whether the file still has its name: another process may have written the log anew. */
static bool is_named(int fd, const char *path)
{
    struct stat own, named;

    return fstat(fd, &own) == 0 && stat(path, &named) == 0 && own.st_ino == named.st_ino &&
           own.st_dev == named.st_dev;
}

clm_status clm_tune_log_lock(const char *path, int *fd, clm_err *err)
{
    clm_status st = CLM_OK;
    bool taken;

    *fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0) return clm_fail(err, CLM_E_IO, "%s: %s", path, strerror(errno));
    taken = flock(*fd, LOCK_EX | LOCK_NB) == 0;
    if (taken && is_named(*fd, path)) return CLM_OK;
    if (taken || errno == EWOULDBLOCK)
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

/* The newest first. */
static int compare_age(const void *left, const void *right)
{
    const int64_t a = (*(record *const *)left)->t.when, b = (*(record *const *)right)->t.when;

    return (a < b) - (a > b);
}

/* The lines that say of the first `n` records what they are: a result, or beginnings of other starts than the present
 * one. NULL: no memory. */
static char *format_all(const records *all, size_t n, size_t *size)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, size);
    bool whole = f != NULL;

    for (size_t i = 0; i < n && whole; i++) {
        const record *r = all->list[i];
        const clm__line_kind kind = r->done ? CLM__LINE_RESULT : CLM__LINE_BEGIN;

        for (unsigned k = r->done ? 1 : r->lost; k > 0 && whole; k--) {
            size_t length;
            char *line = clm__tune_line_format(&r->t, kind, &length);

            whole = line != NULL && fwrite(line, 1, length, f) == length;
            free(line);
        }
    }
    if (f != NULL && fclose(f) == 0 && whole) return text;
    free(text);
    return NULL;
}

/* Puts a shorter log in the place of the one that is held, and holds that. */
static clm_status rewrite(clm_tune_log *j, const char *path, clm_err *err)
{
    const int old = j->fd;
    char *text;
    size_t size;
    clm_status st;

    qsort(j->all.list, j->all.n, sizeof *j->all.list, compare_age);
    text = format_all(&j->all, j->all.n < KEPT ? j->all.n : KEPT, &size);
    if (text == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
    st = clm_file_replace(path, text, size, err);
    free(text);
    if (st != CLM_OK) return st;
    st = clm_tune_log_lock(path, &j->fd, err);
    close(old); /* whoever waited for this one finds that it has lost its name */
    return st;
}

clm_status clm_tune_log_open(const char *path, clm_tune_log **out, clm_err *err)
{
    clm_tune_log *j = calloc(1, sizeof *j);
    size_t bytes = 0;
    clm_status st;

    *out = NULL;
    if (j == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
    st = clm_tune_log_lock(path, &j->fd, err);
    if (st == CLM_OK) {
        read_boot(j->boot);
        st = read_all(path, &j->all, j->boot, &bytes, err);
    }
    if (st == CLM_OK && bytes > LARGE_BYTES) st = rewrite(j, path, err);
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
    clear(&j->all);
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
    record wanted = {.t = {.key = *key, .n_params = n}}, **found;

    memcpy(wanted.t.params, params, n * sizeof *params);
    found = tfind(&wanted, &j->all.tree, compare);
    return found != NULL && settle(*found) ? &(*found)->t : NULL;
}

static clm_status append(clm_tune_log *j, const clm_tune_try *t, clm__line_kind kind, clm_err *err)
{
    size_t size;
    char *line = clm__tune_line_format(t, kind, &size);
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
    st = append(j, &begun, CLM__LINE_BEGIN, err);

    /* The candidate may take the machine down with it. */
    if (st == CLM_OK && fdatasync(j->fd) != 0 && errno != EINVAL)
        st = clm_fail(err, CLM_E_IO, "tuning log: %s", strerror(errno));
    return st;
}

clm_status clm_tune_log_end(clm_tune_log *j, const clm_tune_try *t, clm_err *err)
{
    return append(j, t, CLM__LINE_RESULT, err);
}

clm_status clm_tune_log_stop(clm_tune_log *j, const clm_tune_try *t, clm_err *err)
{
    return append(j, t, CLM__LINE_STOPPED, err);
}

char *clm_tune_log_beside(const char *db_path)
{
    static const char ending[] = ".yaml";
    char *path = NULL;

    if (!clm_path_ends(db_path, ending)) return NULL;
    return asprintf(&path, "%.*s.log", (int)(strlen(db_path) - strlen(ending)), db_path) < 0 ? NULL
                                                                                             : path;
}

clm_status clm_tune_log_read(const char *path, clm_tune_try **out, size_t *n, clm_err *err)
{
    records all = {NULL, NULL, 0, 0};
    char boot[40];
    size_t bytes;
    clm_status st = CLM_OK;

    *out = NULL;
    *n = 0;
    if (!clm_file_exists(path)) return CLM_OK;
    read_boot(boot);
    st = read_all(path, &all, boot, &bytes, err);
    if (st == CLM_OK && all.n > 0) {
        *out = calloc(all.n, sizeof **out);
        if (*out == NULL) st = clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
    }
    for (size_t i = 0; *out != NULL && i < all.n; i++)
        if (settle(all.list[i])) (*out)[(*n)++] = all.list[i]->t;
    clear(&all);
    return st;
}
