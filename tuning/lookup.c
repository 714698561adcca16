/* tuning/lookup.c: see tuning/lookup.h. */
#include "tuning/lookup.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/file.h"
#include "host/grow.h"

enum { MAX_FILES = 256 };

/* An entry that this program and device can use. */
typedef struct choice {
    const clm_op_desc *op;
    clm_shape shape;
    int params[CLM_MAX_AXES];
    int usual[CLM_MAX_AXES]; /* the default at its shape */
    clm_tuning_level level;
} choice;

struct clm_tuning {
    choice *list;
    size_t n, room;
    bool known;
};

/* What reading needs to know, and who hears of it. */
typedef struct reader {
    const clm_op_table *table;
    const clm_caps *caps;
    clm_tune_device here;
    const clm_observer *damage, *rest;
} reader;

/* What was ignored, for one line at the end. */
typedef struct ignored {
    size_t stale, other;
    char example[480];
} ignored;

const char *clm_tuning_level_text(clm_tuning_level level)
{
    static const char *const words[] = {"this device and driver",
                                        "this device with another driver",
                                        "a device of the same architecture",
                                        "a device of the same vendor",
                                        "a device of the same type",
                                        "the built-in defaults"};

    return words[level <= CLM_TUNING_NONE ? level : CLM_TUNING_NONE];
}

clm_tuning_level clm_tuning_match(const clm_tune_device *file, const clm_tune_device *here)
{
    const bool vendor = strcmp(file->vendor, here->vendor) == 0;

    if (strcmp(file->type, here->type) != 0) return CLM_TUNING_NONE;
    if (vendor && strcmp(file->name, here->name) == 0) {
        const bool same = strcmp(file->driver, here->driver) == 0 &&
                          strcmp(file->platform, here->platform) == 0 && file->units == here->units;
        return same ? CLM_TUNING_EXACT : CLM_TUNING_DEVICE;
    }
    if (vendor && file->arch[0] != '\0' && strcmp(file->arch, here->arch) == 0)
        return CLM_TUNING_ARCH;
    return vendor ? CLM_TUNING_VENDOR : CLM_TUNING_TYPE;
}

/* A name that no file has, unless there are many already: the last one is taken then. Malloc'd. */
static char *name_aside(const char *path)
{
    char *to = NULL;

    if (asprintf(&to, "%s.damaged", path) < 0) return NULL;
    for (int i = 2; i < 100 && clm_file_exists(to); i++) {
        free(to);
        if (asprintf(&to, "%s.damaged-%d", path, i) < 0) return NULL;
    }
    return to;
}

static void set_aside(const char *path, const char *why, const clm_observer *obs)
{
    char *to = name_aside(path);

    if (to == NULL) return;
    if (rename(path, to) == 0)
        clm_log(obs, CLM_LOG_WARN, "%s; the file is set aside as %s", why, to);
    else
        clm_log(obs, CLM_LOG_WARN, "%s", why);
    free(to);
}

bool clm_tune_repair(const char *path, const char *why, const clm_observer *obs, clm_tune_db *db)
{
    const bool rest = clm_tune_db_salvage(path, db, NULL) == CLM_OK;

    set_aside(path, why, obs);
    if (rest && clm_tune_db_write(db, path, NULL) == CLM_OK)
        clm_log(obs, CLM_LOG_WARN, "%zu entries of it could be kept", db->n);
    return rest;
}

static bool add(clm_tuning *t, const choice *c)
{
    choice *grown = clm_grow(t->list, &t->room, t->n + 1, sizeof *grown);

    if (grown == NULL) return false;
    t->list = grown;
    t->list[t->n++] = *c;
    return true;
}

static clm_status take_entries(clm_tuning *t, const reader *r, const clm_tune_db *db,
                               clm_tuning_level level, ignored *out, clm_err *err)
{
    for (size_t i = 0; i < db->n; i++) {
        choice c = {.level = level};
        bool stale;
        const char *wrong =
            clm_tune_entry_check(r->table, &db->entries[i], &c.op, &c.shape, c.params, &stale);

        if (wrong == NULL) c.op->defaults(&c.shape, r->caps, c.usual);
        if (wrong != NULL) {
            if (stale)
                out->stale++;
            else
                out->other++;
            if (out->example[0] == '\0')
                snprintf(out->example, sizeof out->example, "%s %s: %s", db->entries[i].key.op,
                         db->entries[i].key.shape, wrong);
        } else if (!add(t, &c)) {
            return clm_fail(err, CLM_E_NOMEM, "tuning: no memory");
        }
    }
    return CLM_OK;
}

static void say_ignored(const char *path, clm_tuning_level level, const ignored *ig,
                        const clm_observer *obs)
{
    const size_t n = ig->stale + ig->other;

    if (n == 0) return;
    clm_log(obs, level == CLM_TUNING_EXACT ? CLM_LOG_WARN : CLM_LOG_DEBUG,
            "%s: %zu %s not used (%s); `clm tune` measures anew", path, n,
            n == 1 ? "entry is" : "entries are", ig->example);
}

/* One file. `own`: it is the user's, and may be set aside. */
static clm_status take_file(clm_tuning *t, const reader *r, const char *path, bool own,
                            clm_err *err)
{
    clm_tune_db db;
    clm_err why = {""};
    ignored ig = {0, 0, ""};
    clm_tuning_level level;
    clm_status st = clm_tune_db_read(path, &db, &why);

    if (st == CLM_E_NOMEM) return clm_fail(err, st, "%s", why.text);
    if (st == CLM_E_CONFIG && own) {
        if (!clm_tune_repair(path, why.text, r->damage, &db)) return CLM_OK;
    } else if (st != CLM_OK) {
        clm_log(r->rest, CLM_LOG_WARN, "%s", why.text);
        return CLM_OK;
    }
    level = clm_tuning_match(&db.device, &r->here);
    st = CLM_OK;
    if (level != CLM_TUNING_NONE) {
        const size_t before = t->n;

        st = take_entries(t, r, &db, level, &ig, err);
        if (level == CLM_TUNING_EXACT) t->known = true;
        say_ignored(path, level, &ig, r->rest);
        clm_log(r->rest, CLM_LOG_DEBUG, "%s: %zu tuned values, of %s", path, t->n - before,
                clm_tuning_level_text(level));
    }
    clm_tune_db_clear(&db);
    return st;
}

static int is_yaml(const struct dirent *e)
{
    return e->d_name[0] != '.' && clm_path_ends(e->d_name, ".yaml");
}

static clm_status take_dir(clm_tuning *t, const reader *r, const char *dir, bool own, clm_err *err)
{
    struct dirent **files = NULL;
    int n = dir != NULL ? scandir(dir, &files, is_yaml, alphasort) : 0;
    clm_status st = CLM_OK;

    for (int i = 0; i < n; i++) {
        char *path = clm_path_join(dir, files[i]->d_name);

        if (path != NULL && i < MAX_FILES && st == CLM_OK) st = take_file(t, r, path, own, err);
        free(path);
        free(files[i]);
    }
    free(files);
    return st;
}

static clm_status read_dirs(const reader *r, const char *user_dir, const char *shipped_dir,
                            clm_tuning **out, clm_err *err)
{
    clm_tuning *t = calloc(1, sizeof *t);
    clm_status st;

    *out = NULL;
    if (t == NULL) return clm_fail(err, CLM_E_NOMEM, "tuning: no memory");
    st = take_dir(t, r, user_dir, true, err);
    if (st == CLM_OK) st = take_dir(t, r, shipped_dir, false, err);
    if (st != CLM_OK) {
        clm_tuning_close(t);
        return st;
    }
    *out = t;
    return CLM_OK;
}

clm_status clm_tuning_open(const clm_op_table *table, const clm_caps *caps, const char *user_dir,
                           const char *shipped_dir, const clm_observer *obs, clm_tuning **out,
                           clm_err *err)
{
    reader r = {.table = table, .caps = caps, .damage = obs, .rest = obs};

    clm_tune_device_describe(caps, &r.here);
    return read_dirs(&r, user_dir, shipped_dir, out, err);
}

clm_status clm_tuning_look(const clm_op_table *table, const clm_caps *caps, const char *user_dir,
                           const char *shipped_dir, const clm_observer *obs, bool *known,
                           clm_err *err)
{
    reader r = {.table = table, .caps = caps, .damage = obs};
    clm_tuning *t;
    clm_status st;

    clm_tune_device_describe(caps, &r.here);
    st = read_dirs(&r, user_dir, shipped_dir, &t, err);
    *known = clm_tuning_known(t);
    clm_tuning_close(t);
    return st;
}

void clm_tuning_close(clm_tuning *t)
{
    if (t == NULL) return;
    free(t->list);
    free(t);
}

bool clm_tuning_known(const clm_tuning *t)
{
    return t != NULL && t->known;
}

/* Whether what was found at the entry's shape says anything about `shape`, whose default is `usual`: it is that shape,
 * or one for which the same is best as far as anybody knew. A default that depends on the shape does so for a
 * reason, which a winner over another default does not know. */
static bool comparable(const choice *c, const clm_shape *shape, const int *usual)
{
    return memcmp(c->usual, usual, c->op->n_axes * sizeof *usual) == 0 ||
           memcmp(c->shape.v, shape->v, c->op->n_dims * sizeof shape->v[0]) == 0;
}

/* Sizes matter by their ratio. */
static double distance(const clm_op_desc *op, const clm_shape *a, const clm_shape *b)
{
    double sum = 0.0;

    for (size_t i = 0; i < op->n_dims; i++)
        if (a->v[i] != b->v[i]) sum += fabs(log2((1.0 + abs(a->v[i])) / (1.0 + abs(b->v[i]))));
    return sum;
}

clm_tuning_level clm_tuning_params(const clm_tuning *t, const clm_op_desc *op,
                                   const clm_shape *shape, const clm_caps *caps,
                                   int params[CLM_MAX_AXES])
{
    const choice *best = NULL;
    double best_distance = 0.0;

    op->defaults(shape, caps, params);
    for (size_t i = 0; t != NULL && i < t->n; i++) {
        const choice *c = &t->list[i];
        double d;

        if (c->op != op || (best != NULL && c->level > best->level)) continue;
        d = distance(op, &c->shape, shape);
        if (best != NULL && c->level == best->level && d >= best_distance) continue;
        if (!comparable(c, shape, params) ||
            !clm_op_same_program(op, c->params, &c->shape, shape) ||
            !op->valid(c->params, shape, caps))
            continue;
        best = c;
        best_distance = d;
    }
    if (best == NULL) return CLM_TUNING_NONE;
    memcpy(params, best->params, CLM_MAX_AXES * sizeof *params);
    return best->level;
}
