/* runtime/tune.c: see runtime/tune.h. */
#include "runtime/tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/file.h"
#include "host/grow.h"
#include "runtime/engine.h"
#include "runtime/formats/synthetic.h"
#include "runtime/model/shapes.h"
#include "runtime/model/tune_dirs.h"
#include "runtime/ops/ops.h"
#include "runtime/tune_impl.h"
#include "runtime/weights_cache.h"
#include "tuning/db.h"
#include "tuning/tune_log.h"
#include "tuning/tuner.h"
#include "tuning/user_kernel.h"
#include "tuning/worker.h"

/* A model below this answers at once on any device. */
#define AUTO_MIN_BYTES 512000000

/* Operations of a launch that is timed: a fraction of a second on a small device of either kind. */
#define MAX_FLOPS     2e10
#define MAX_FLOPS_GPU 2e11
enum { MIN_TOKENS = 48 };

/* Everything a run holds. */
typedef struct run {
    const clm_settings *s;
    const clm_tune_options *o;
    clm_device *dev;
    clm__tune_command worker;
    clm_user_kernel *user;
    clm_subject *subjects;
    size_t n, room;
    clm_status st; /* of collecting subjects */
    clm_err *err;
} run;

void clm_tune_report_clear(clm_tune_report *r)
{
    if (r == NULL) return;
    free(r->db_path);
    free(r->log_path);
    memset(r, 0, sizeof *r);
}

/* ---- Places ---------------------------------------------------------------------------------- */

static clm_status make_paths(const clm_tune_device *device, bool user_kernels, char **db,
                             char **log, clm_err *err)
{
    char *dir = clm__tuning_user_dir(), stem[128];
    const char *sub = user_kernels ? "kernels/" : "";

    *db = *log = NULL;
    clm_tune_file_stem(device, stem);
    if (dir == NULL)
        return clm_fail(err, CLM_E_IO, "tuning: neither XDG_DATA_HOME nor HOME is set");
    if (asprintf(db, "%s/%s%s.yaml", dir, sub, stem) < 0) *db = NULL;
    if (asprintf(log, "%s/%s%s.log", dir, sub, stem) < 0) *log = NULL;
    free(dir);
    if (*db != NULL && *log != NULL) return CLM_OK;
    free(*db);
    free(*log);
    *db = *log = NULL;
    return clm_fail(err, CLM_E_NOMEM, "tuning: no memory");
}

clm_status clm_tune_paths(const char *selector, bool user_kernels, char **db, char **log,
                          clm_err *err)
{
    clm_device_info info;
    clm_tune_device device;
    clm_status st = clm_device_find(selector, &info, err);

    *db = *log = NULL;
    if (st != CLM_OK) return st;
    clm_tune_device_describe(&info.caps, &device);
    return make_paths(&device, user_kernels, db, log, err);
}

clm_status clm_tune_file_in(const char *selector, const char *dir, char **db, clm_err *err)
{
    static const char *const below[] = {"/clm/tuning", ""};
    char *path = NULL, *log = NULL;
    clm_status st = clm_tune_paths(selector, false, &path, &log, err);

    *db = NULL;
    for (size_t i = 0; i < 2 && st == CLM_OK && *db == NULL; i++) {
        if (asprintf(db, "%s%s%s", dir, below[i], strrchr(path, '/')) < 0) {
            *db = NULL;
            st = clm_fail(err, CLM_E_NOMEM, "tuning: no memory");
        } else if (!clm_file_exists(*db)) {
            free(*db);
            *db = NULL;
        }
    }
    if (st == CLM_OK && *db == NULL)
        st = clm_fail(err, CLM_E_USAGE, "%s: nothing is tuned for this device there (%s)", dir,
                      strrchr(path, '/') + 1);
    free(path);
    free(log);
    return st;
}

/* ---- Subjects -------------------------------------------------------------------------------- */

/* Whether "a,b" names `op`; NULL names all. */
static bool names_op(const char *list, const char *op)
{
    const size_t n = strlen(op);

    if (list == NULL) return true;
    for (const char *at = list; *at != '\0'; at += strcspn(at, ","), at += *at == ',')
        if (strncmp(at, op, n) == 0 && (at[n] == ',' || at[n] == '\0')) return true;
    return false;
}

/* A product of a whole prompt takes seconds on a small device, and what is best for many tokens is best
 * for more: the shape with fewer of them (a dimension called M), as the lookup takes the nearest. */
static clm_shape trim(const clm_op_desc *op, const clm_shape *shape, const clm_caps *caps)
{
    const double most = caps->type == CLM_DEVICE_GPU ? MAX_FLOPS_GPU : MAX_FLOPS;
    const size_t m = clm_op_tokens_dim(op);
    clm_shape s = *shape;

    while (m < op->n_dims && s.v[m] > MIN_TOKENS && op->flops(&s) > most) s.v[m] /= 2;
    return s;
}

static void add_subject(void *user, const clm_op_desc *op, const clm_shape *full)
{
    run *r = user;
    const clm_shape trimmed = trim(op, full, clm_device_caps(r->dev)), *shape = &trimmed;
    clm_subject *grown;

    if (r->st != CLM_OK || !names_op(r->o->ops, op->name)) return;
    for (size_t i = 0; i < r->n; i++)
        if (r->subjects[i].op == op &&
            (op->run != NULL || memcmp(r->subjects[i].shape.v, shape->v, sizeof shape->v) == 0))
            return;
    grown = clm_grow(r->subjects, &r->room, r->n + 1, sizeof *grown);
    if (grown == NULL) {
        r->st = clm_fail(r->err, CLM_E_NOMEM, "tuning: no memory");
        return;
    }
    r->subjects = grown;
    r->subjects[r->n++] = (clm_subject){op, *shape};
}

/* Each name of --ops must be an operator. One that the model does not use comes with shapes of its
 * own. */
static clm_status add_named(run *r, clm_err *err)
{
    const clm_op_table table = clm__op_table();
    const char *at = r->o->ops;

    while (at != NULL && *at != '\0') {
        char name[64];
        const clm_op_desc *op;
        bool there = false;

        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, ","), at);
        op = clm_op_find(&table, name);
        if (op == NULL) return clm_ops_fail_unknown(name, err);
        for (size_t i = 0; i < r->n; i++) there |= r->subjects[i].op == op;
        for (size_t i = 0; i < op->n_tune_shapes && !there; i++) {
            const clm_shape shape = clm_op_tune_shape(op, i, clm_device_caps(r->dev));

            add_subject(r, op, &shape);
        }
        at += strcspn(at, ",");
        at += *at == ',';
    }
    return r->st;
}

static clm_status open_model(const run *r, const clm_observer *obs, clm_model_file **out,
                             clm_err *err)
{
    const char *name = r->o->synthetic;
    const clm_hparams *hp;

    *out = NULL;
    if (name == NULL && r->s->model[0] != '\0')
        return clm__weights_open(r->s, r->o->stop, obs, out, err);
    hp = clm_synthetic_find(name != NULL ? name : "13b");
    if (hp == NULL)
        return clm_fail(err, CLM_E_USAGE, "there is no synthetic model '%s'; there are %s", name,
                        clm_synthetic_names());
    return clm_synthetic_create(hp, r->o->type != NULL ? r->o->type : "q4_0", out, err);
}

/* What the model launches, from the backend's own plan. */
static clm_status collect(run *r, const clm_device_info *device, const clm_observer *obs,
                          clm_err *err)
{
    const clm_cl_options options = {.device = device,
                                    .activations = r->s->activations,
                                    .kernels = r->s->kernels,
                                    .tuning = CLM_TUNING_OFF};
    clm_model_file *mf = NULL;
    clm_backend *b = NULL;
    clm_status st = open_model(r, obs, &mf, err);

    if (st == CLM_OK) st = clm_model_file_need_weights(mf, err);
    if (st == CLM_OK) st = clm_backend_cl_create(&options, NULL, &b, err);
    if (st == CLM_OK) {
        const clm_hparams *hp = clm_model_file_hparams(mf);
        const clm_kv_shape kv = clm_kv_shape_of(hp, clm__engine_ctx(hp->ctx_train, r->s->ctx_size),
                                                r->s->kv_cache_type);
        const clm_part all = {.first = 0, .n = hp->n_layers};

        st = clm_backend_cl_plans(b, mf, &all, &kv, r->s->batch_size, add_subject, r, err);
        if (st == CLM_OK) st = r->st;
    }
    if (b != NULL) b->ops->destroy(b);
    clm_model_file_close(mf);
    return st == CLM_OK ? add_named(r, err) : st;
}

/* ---- Running --------------------------------------------------------------------------------- */

void clm__tune_command_make(size_t device, const char *kernel, const char *space,
                            clm__tune_command *out)
{
    memset(out, 0, sizeof *out);
    snprintf(out->device, sizeof out->device, "%zu", device);
    out->argv[0] = "/proc/self/exe";
    out->argv[1] = "tune-worker";
    out->argv[2] = "--device";
    out->argv[3] = out->device;
    if (kernel == NULL) return;
    out->argv[4] = "--kernel";
    out->argv[5] = kernel;
    out->argv[6] = "--space";
    out->argv[7] = space;
}

static clm_status set_up(run *r, const clm_observer *obs, clm_tune_report *out, clm_err *err)
{
    const char *selector = clm__device_selector(r->s);
    clm_device_info info;
    clm_tune_device device;
    clm_status st;

    if (r->s->n_devices > 1)
        return clm_fail(err, CLM_E_USAGE, "tuning is for one device at a time: --device INDEX");
    st = clm_device_find(selector, &info, err);
    if (st != CLM_OK) return st;
    clm__tune_command_make(info.index, r->o->kernel, r->o->space, &r->worker);
    snprintf(out->device, sizeof out->device, "%s (%s)", info.caps.name, info.caps.platform_name);
    st = clm_device_open(&info, obs, &r->dev, err);
    if (st != CLM_OK) return st;
    clm_tune_device_describe(clm_device_caps(r->dev), &device);
    st = make_paths(&device, r->o->kernel != NULL, &out->db_path, &out->log_path, err);
    if (st != CLM_OK) return st;
    if (r->o->kernel == NULL) return collect(r, &info, obs, err);
    st = clm_user_kernel_load(r->o->kernel, r->o->space, &r->user, err);
    if (st != CLM_OK) return st;
    add_subject(r, clm_user_kernel_op(r->user), clm_user_kernel_shape(r->user));
    if (r->st == CLM_OK && r->n == 0)
        return clm_fail(err, CLM_E_USAGE, "--ops: the kernel of %s is called '%s'", r->o->space,
                        clm_user_kernel_op(r->user)->name);
    return r->st;
}

static clm_status find_strategy(const char *name, clm_tune_strategy *out, clm_err *err)
{
    *out = CLM_TUNE_DESCENT;
    if (name == NULL) return CLM_OK;
    for (int i = 0; i < CLM_TUNE_STRATEGIES; i++)
        if (strcmp(clm_tune_strategy_text((clm_tune_strategy)i), name) == 0) {
            *out = (clm_tune_strategy)i;
            return CLM_OK;
        }
    return clm_fail(err, CLM_E_USAGE,
                    "there is no strategy '%.60s': descent, random and exhaustive are known", name);
}

/* A damaged file is no reason not to measure: it is set aside. */
static clm_status ready_files(const clm_tune_report *out, const clm_observer *obs, clm_err *err)
{
    clm_tune_db db;
    clm_err why;
    char *dir = clm_path_dir(out->db_path);
    clm_status st =
        dir == NULL ? clm_fail(err, CLM_E_NOMEM, "tuning: no memory") : clm_dir_create(dir, err);

    free(dir);
    if (st != CLM_OK || !clm_file_exists(out->db_path)) return st;
    if (clm_tune_db_read(out->db_path, &db, &why) == CLM_E_CONFIG)
        clm_tune_repair(out->db_path, why.text, obs, &db);
    clm_tune_db_clear(&db);
    return CLM_OK;
}

static clm_status tune(run *r, const clm_observer *obs, clm_tune_report *out, clm_err *err)
{
    clm_tuner_summary sum;
    clm_tuner_config c = {.caps = clm_device_caps(r->dev),
                          .worker_argv = (char *const *)r->worker.argv,
                          .db_path = out->db_path,
                          .log_path = out->log_path,
                          .seed = r->o->seed,
                          .budget_s = r->s->tuning_budget_s,
                          .again = r->o->again,
                          .stop = r->o->stop,
                          .obs = obs,
                          .user = r->o->user,
                          .progress = r->o->progress,
                          .finished = r->o->finished};
    clm_status st = find_strategy(r->o->strategy, &c.strategy, err);

    if (st == CLM_OK) st = ready_files(out, obs, err);
    if (st == CLM_OK) st = clm_tuner_run(&c, r->subjects, r->n, &sum, err);
    if (st != CLM_OK) return st;
    out->subjects = sum.subjects;
    out->illegal = sum.illegal;
    out->tuned = sum.tuned;
    out->gained = sum.gained;
    out->skipped = sum.skipped;
    out->tried = sum.tried;
    memcpy(out->failed, sum.failed, sizeof out->failed);
    out->stopped = sum.stopped;
    out->elapsed_s = sum.elapsed_s;
    return CLM_OK;
}

clm_status clm_tune_run(const clm_settings *s, const clm_tune_options *o, const clm_observer *obs,
                        clm_tune_report *out, clm_err *err)
{
    run r = {.s = s, .o = o, .err = err};
    clm_status st;

    memset(out, 0, sizeof *out);
    if ((o->kernel == NULL) != (o->space == NULL))
        return clm_fail(err, CLM_E_USAGE, "--kernel and --space belong together");
    if (o->ops != NULL && o->ops[0] == '\0')
        return clm_fail(err, CLM_E_USAGE, "--ops: names of operators are expected");
    st = set_up(&r, obs, out, err);
    if (st == CLM_OK) st = tune(&r, obs, out, err);
    free(r.subjects);
    clm_user_kernel_destroy(r.user);
    clm_device_close(r.dev);
    if (st != CLM_OK) clm_tune_report_clear(out);
    return st;
}

clm_status clm_tune_worker(const char *device, const char *kernel, const char *space, clm_err *err)
{
    clm_op_table table = clm__op_table();
    clm_user_kernel *user = NULL;
    const clm_op_desc *op;
    clm_device_info info;
    clm_device *dev = NULL;
    clm_status st = clm_device_find(device, &info, err);

    if (st == CLM_OK) st = clm_device_open(&info, NULL, &dev, err);
    if (st == CLM_OK) clm_device_keep_programs(dev, false);
    if (st == CLM_OK && kernel != NULL) st = clm_user_kernel_load(kernel, space, &user, err);
    if (st == CLM_OK && user != NULL) {
        clm_user_kernel_attach(user, dev);
        op = clm_user_kernel_op(user);
        table = (clm_op_table){&op, 1};
    }
    st = st == CLM_OK ? clm_worker_serve(&table, dev, user, err) : clm_worker_refuse(st, err);
    clm_user_kernel_destroy(user);
    clm_device_close(dev);
    return st;
}

/* ---- At the start of a model ----------------------------------------------------------------- */

static bool device_known(const clm_device_info *info, const clm_observer *obs)
{
    bool known;

    return clm__tuning_look(&info->caps, obs, &known, NULL) != CLM_OK || known;
}

/* Bytes of a model's files. A folder has to be opened: it may hold more than what is read. */
static clm_status count_bytes(const char *model, uint64_t *out)
{
    clm_model_file *mf = NULL;
    struct stat info;
    clm_status st;

    *out = 0;
    if (stat(model, &info) != 0) return CLM_E_IO;
    if (!S_ISDIR(info.st_mode)) {
        *out = (uint64_t)info.st_size;
        return CLM_OK;
    }
    st = clm_model_file_open(model, &mf, NULL);
    if (st == CLM_OK) *out = clm_model_file_bytes(mf);
    clm_model_file_close(mf);
    return st;
}

/* Whether its kernels' speed is noticed. One that cannot be opened is not: the engine says why. */
static bool is_large(const char *model, const clm_observer *obs)
{
    uint64_t bytes;

    if (count_bytes(model, &bytes) != CLM_OK) return false;
    if (bytes >= AUTO_MIN_BYTES) return true;
    clm_log(obs, CLM_LOG_DEBUG, "the model is too small for tuning to be noticed");
    return false;
}

/* Whether it is worth it for the only device of `s`: see clm_tune_auto. */
static bool wanted(const clm_settings *s, clm_device_info *info, const clm_observer *obs)
{
    const char *selector = clm__device_selector(s);
    const bool folder = clm_file_is_dir(s->model);

    if (s->tuning_mode != CLM_TUNING_AUTO || s->tuning_budget_s <= 0.0 ||
        s->backend != CLM_BACKEND_OPENCL || strcmp(selector, "ref") == 0)
        return false;
    if (!folder && !is_large(s->model, obs)) return false;
    if (clm_device_find(selector, info, NULL) != CLM_OK || device_known(info, obs)) return false;
    return !folder || is_large(s->model, obs); /* last, since it takes a while */
}

typedef struct bar {
    const clm_observer *obs;
} bar;

static void show_bar(void *user, const clm_tune_progress *p)
{
    const bar *b = user;
    const size_t total = (size_t)(p->budget_s + 0.5), done = (size_t)p->elapsed_s;

    clm_progress(b->obs, "tuning kernels, seconds", done < total ? done : total - (total > 0),
                 total);
}

/* For the only device of `s`. */
static clm_status tune_new_device(const clm_settings *s, const volatile sig_atomic_t *stop,
                                  const clm_observer *obs, clm_err *err)
{
    bar b = {obs};
    const clm_tune_options o = {.stop = stop, .user = &b, .progress = show_bar};
    const size_t total = (size_t)(s->tuning_budget_s + 0.5);
    clm_tune_report report;
    clm_device_info info;
    clm_err why = {""};
    clm_status st;

    if (!wanted(s, &info, obs)) return CLM_OK;
    clm_log(
        obs, CLM_LOG_INFO,
        "%s is new here: tuning its kernels, once, for up to %.0f s (Ctrl+C: go on with the best "
        "so far; --tuning off: never)",
        info.caps.name, s->tuning_budget_s);
    st = clm_tune_run(s, &o, obs, &report, &why);
    if (st == CLM_E_INTERRUPTED) return clm_fail(err, st, "%s", why.text);
    if (st != CLM_OK) {
        clm_log(obs, CLM_LOG_WARN, "tuning: %s; the built-in values are used", why.text);
        return CLM_OK;
    }
    clm_progress(obs, "tuning kernels, seconds", total, total);
    clm_log(obs, CLM_LOG_INFO, "tuned in %.0f s: %zu of %zu launches are faster than before",
            report.elapsed_s, report.gained, report.subjects);
    clm_tune_report_clear(&report);
    return CLM_OK;
}

clm_status clm_tune_auto(const clm_settings *s, const volatile sig_atomic_t *stop,
                         const clm_observer *obs, clm_err *err)
{
    clm_status st = CLM_OK;

    for (size_t i = 0; i < s->n_devices && st == CLM_OK; i++) {
        clm_settings one = *s; /* shallow: strings are borrowed */

        one.devices = &s->devices[i];
        one.n_devices = 1;
        st = tune_new_device(&one, stop, obs, err);
    }
    return st;
}

/* ---- Import ---------------------------------------------------------------------------------- */

/* The entries that this program knows. */
static clm_status check_entries(const char *file, const clm_tune_db *from, clm_tune_db *good,
                                const clm_observer *obs, clm_err *err)
{
    const clm_op_table table = clm__op_table();
    clm_status st = CLM_OK;

    for (size_t i = 0; i < from->n && st == CLM_OK; i++) {
        const clm_tune_entry *e = &from->entries[i];
        const clm_op_desc *op;
        clm_shape shape;
        int params[CLM_MAX_AXES];
        const char *wrong = clm_tune_entry_check(&table, e, &op, &shape, params, NULL);

        /* Values are looked at even where the text is another: nothing of a false file is kept. */
        if (op != NULL && !clm_params_read(op, e, params))
            return clm_fail(err, CLM_E_CONFIG, "%s: %s %s: values outside of the operator's space",
                            file, e->key.op, e->key.shape);
        if (wrong != NULL)
            clm_log(obs, CLM_LOG_WARN, "%s: %s %s is left out: %s", file, e->key.op, e->key.shape,
                    wrong);
        else
            st = clm_tune_db_put(good, e, err);
    }
    return st;
}

const char *clm_tune_unused(const clm_tune_entry *e)
{
    const clm_op_table table = clm__op_table();
    const clm_op_desc *op;
    clm_shape shape;
    int params[CLM_MAX_AXES];

    return clm_tune_entry_check(&table, e, &op, &shape, params, NULL);
}

/* Only what has a log beside it was written by `clm tune`. */
clm_status clm_tune_lock(const char *db_path, int *lock, clm_err *err)
{
    char *whole = realpath(db_path, NULL);
    char *log = clm_tune_log_beside(whole != NULL ? whole : db_path);
    clm_status st = CLM_OK;

    *lock = -1;
    if (log != NULL && clm_file_exists(log)) st = clm_tune_log_lock(log, lock, err);
    free(log);
    free(whole);
    return st;
}

void clm_tune_unlock(int lock)
{
    if (lock >= 0) close(lock);
}

clm_status clm_tune_write(const char *path, const char *text, size_t size, clm_err *err)
{
    return clm_file_write(path, text, size, err);
}

/* Puts `good` into the database at `path`, while nobody tunes the device. */
static clm_status merge_into(const char *path, const char *log, const clm_tune_db *good,
                             clm_err *err)
{
    clm_tune_db all = {0};
    clm_tune_device device;
    char *dir = clm_path_dir(path);
    int lock = -1;
    clm_status st =
        dir == NULL ? clm_fail(err, CLM_E_NOMEM, "tuning: no memory") : clm_dir_create(dir, err);

    if (st == CLM_OK) st = clm_tune_log_lock(log, &lock, err);
    if (st == CLM_OK && clm_file_exists(path)) st = clm_tune_db_read(path, &all, err);
    device = good->device;
    clm_tune_device_raise(&device, &all.device);
    all.device = device;
    if (st == CLM_OK) st = clm_tune_db_merge(&all, good, err);
    if (st == CLM_OK) st = clm_tune_db_write(&all, path, err);
    clm_tune_unlock(lock);
    clm_tune_db_clear(&all);
    free(dir);
    return st;
}

clm_status clm_tune_import(const char *file, const clm_observer *obs, size_t *taken, char **path,
                           clm_err *err)
{
    clm_tune_db from = {0}, good = {0};
    char *log = NULL;
    clm_status st = clm_tune_db_read(file, &from, err);

    *taken = 0;
    *path = NULL;
    if (st == CLM_E_IO) st = CLM_E_USAGE; /* the file is an argument */
    if (st == CLM_E_LIMIT) st = CLM_E_CONFIG;
    if (st == CLM_OK) st = check_entries(file, &from, &good, obs, err);
    if (st == CLM_OK) st = make_paths(&from.device, false, path, &log, err);
    good.device = from.device;
    if (st == CLM_OK && good.n > 0) st = merge_into(*path, log, &good, err);
    if (st == CLM_OK) *taken = good.n;
    clm_tune_db_clear(&from);
    clm_tune_db_clear(&good);
    free(log);
    return st;
}
