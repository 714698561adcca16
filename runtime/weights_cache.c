/* runtime/weights_cache.c: see weights_cache.h. */
#include "runtime/weights_cache.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "host/file.h"
#include "host/hash.h"
#include "runtime/quantize/encode.h"

static const char *const type_names[] = {
    [CLM_WEIGHTS_F16] = "f16", [CLM_WEIGHTS_INT8] = "int8", [CLM_WEIGHTS_INT4] = "int4"};

/* What the matrices of the layers are, in short. */
typedef struct kinds {
    bool all_f16, all_quantised;
    double bits; /* per weight, in the file */
} kinds;

static kinds kinds_of(const clm_model_file *mf)
{
    static const clm_weight_role matrices[] = {CLM_W_Q,    CLM_W_K,  CLM_W_V,   CLM_W_O,
                                               CLM_W_GATE, CLM_W_UP, CLM_W_DOWN};
    kinds k = {true, true, 0.0};
    double weights = 0.0, bytes = 0.0;

    for (size_t layer = 0; layer < clm_model_file_hparams(mf)->n_layers; layer++) {
        for (size_t i = 0; i < sizeof matrices / sizeof matrices[0]; i++) {
            const clm_tensor *t = clm_model_file_weight(mf, matrices[i], layer);
            clm_qtype_split split;
            const bool quantised = clm_tensor_split(t, &split);

            k.all_quantised = k.all_quantised && quantised;
            k.all_f16 = k.all_f16 && !quantised && t->type == CLM_QTYPE_F16;
            weights += (double)t->rows * (double)t->cols;
            bytes += (double)t->bytes;
        }
    }
    k.bits = 8.0 * bytes / weights;
    return k;
}

/* Whether converting would gain nothing. Fewer bits than wanted do not become better by being made
 * more; 5 bits a weight are what the larger 4-bit types have (Q4_1, Q4_K_M). */
static clm_status is_so_already(const clm_settings *s, bool *yes, clm_err *err)
{
    clm_model_file *mf = NULL;
    clm_status st = clm_model_file_open(s->model, &mf, err);

    *yes = false;
    if (st != CLM_OK) return st;
    if (clm_model_file_has_weights(mf)) {
        const kinds k = kinds_of(mf);

        *yes = s->weights == CLM_WEIGHTS_F16    ? k.all_f16
               : s->weights == CLM_WEIGHTS_INT8 ? k.all_quantised
                                                : k.all_quantised && k.bits <= 5.05;
    }
    clm_model_file_close(mf);
    return CLM_OK;
}

/* Of the model and these versions of clm and its encoders. */
static clm_status content_key(const char *model, char key[33], clm_err *err)
{
    const uint32_t version = CLM_ENCODE_VERSION;
    clm_hash *h = NULL;
    clm_status st = clm_hash_create(&h, err);

    if (st != CLM_OK) return st;
    clm_hash_add_text(h, CLM_VERSION);
    clm_hash_add(h, &version, sizeof version);
    st = clm_file_identify(model, h, err);
    clm_hash_hex(h, key);
    clm_hash_destroy(h);
    return st;
}

/* Of the place of the model alone, whatever is there. */
static clm_status place_key(const char *model, char key[33], clm_err *err)
{
    char *whole = realpath(model, NULL);
    clm_hash *h = NULL;
    clm_status st = whole != NULL ? clm_hash_create(&h, err)
                                  : clm_fail(err, CLM_E_IO, "%s: %s", model, strerror(errno));

    if (st == CLM_OK) {
        clm_hash_add_text(h, whole);
        clm_hash_hex(h, key);
        clm_hash_destroy(h);
    }
    free(whole);
    return st;
}

/* "<folder>/<name of the model>-<type>-<place>-<content>.gguf": entries that differ in the last word
 * alone are of one model, and the newest one replaces the others. */
static clm_status entry_path(const clm_settings *s, const char *folder, char **path, clm_err *err)
{
    const char *slash = strrchr(s->model, '/'), *name = slash != NULL ? slash + 1 : s->model;
    char place[33], content[33];
    clm_status st = place_key(s->model, place, err);

    if (st == CLM_OK) st = content_key(s->model, content, err);
    if (st != CLM_OK) return st;
    if (asprintf(path, "%s/%.80s-%s-%.12s-%.20s.gguf", folder, name, type_names[s->weights], place,
                 content) < 0) {
        *path = NULL;
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory", s->model);
    }
    for (char *p = *path + strlen(folder) + 1; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) && strchr("._-", *p) == NULL) *p = '_';
    return CLM_OK;
}

static clm_status convert(const clm_settings *s, const char *target,
                          const volatile sig_atomic_t *stop, const clm_observer *obs, clm_err *err)
{
    const clm_quantize_options options = {.source = s->model,
                                          .target = target,
                                          .type = type_names[s->weights],
                                          .force = true,
                                          .stop = stop};
    clm_quantize_report report;
    clm_status st;

    clm_log(obs, CLM_LOG_INFO, "weights: %s: %s is converted once, to %s", options.type, s->model,
            target);
    st = clm_quantize(&options, obs, &report, err);
    clm_quantize_report_clear(&report);
    return st;
}

/* ---- Who makes an entry, and what it replaces ------------------------------------------------ */

static char *lock_path(const char *entry)
{
    const char *name = strrchr(entry, '/') + 1;
    char *path;

    return asprintf(&path, "%.*s.%s.lock", (int)(name - entry), entry, name) < 0 ? NULL : path;
}

/* Takes the turn to make the entry, by a lock on a hidden file beside it that stays; waits while another process converts. `*fd`
 * is to be closed. A folder whose files cannot be locked gives no turns: `*fd` is -1. */
static clm_status take_turn(const char *entry, const volatile sig_atomic_t *stop,
                            const clm_observer *obs, int *fd, clm_err *err)
{
    const struct timespec pause = {0, 200000000};
    char *path = lock_path(entry);
    bool said = false;

    *fd = -1;
    if (path == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", entry);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    free(path);
    while (*fd >= 0 && flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR) continue;
        if (errno != EWOULDBLOCK) {
            close(*fd);
            *fd = -1;
            break;
        }
        if (!said) clm_log(obs, CLM_LOG_INFO, "another clm converts this model: waiting for it");
        said = true;
        nanosleep(&pause, NULL);
        if (stop != NULL && *stop != 0)
            return clm_fail(err, CLM_E_INTERRUPTED, "%s: interrupted", entry);
    }
    return CLM_OK;
}

/* What clm__weights_open has just made, and the names that it replaces. */
typedef struct replaced {
    const char *folder, *name; /* of the entry */
    size_t same;               /* its letters that others of the model have too */
    const clm_observer *obs;
} replaced;

/* Whether another process is making the entry, by a lock that is there already. */
static bool is_being_made(const char *entry)
{
    char *path = lock_path(entry);
    const int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    const bool busy = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;

    if (fd >= 0) close(fd);
    free(path);
    return busy;
}

/* Whether `name` is an entry of the model's but the newest, or what an interrupted one left of it. */
static bool is_older(const replaced *r, const char *name)
{
    static const char *const endings[] = {".gguf", ".gguf.part", ".gguf.part.journal"};
    const size_t stem = strlen(r->name) - strlen(endings[0]);

    if (strncmp(name, r->name, r->same) != 0 || strncmp(name, r->name, stem) == 0 ||
        strnlen(name, stem) < stem)
        return false;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (strcmp(name + stem, endings[i]) == 0) return true;
    return false;
}

/* clm_dir_each */
static void remove_older(void *user, const char *name)
{
    const replaced *r = user;
    const int size = (int)strlen(r->name); /* of all entries of the model */
    char *entry = NULL, *path = NULL;

    if (!is_older(r, name)) return;
    if (asprintf(&entry, "%s/%.*s", r->folder, size, name) < 0) entry = NULL;
    if (asprintf(&path, "%s/%s", r->folder, name) < 0) path = NULL;
    if (entry != NULL && path != NULL && !is_being_made(entry) &&
        clm_file_remove(path, NULL) == CLM_OK && name[size] == '\0')
        clm_log(r->obs, CLM_LOG_INFO, "weights: %s, of the model as it was before, is removed",
                path);
    free(entry);
    free(path);
}

static void remove_all_older(const char *entry, const clm_observer *obs)
{
    const char *name = strrchr(entry, '/') + 1;
    char *folder = clm_path_dir(entry);
    replaced r = {folder, name, (size_t)(strrchr(name, '-') + 1 - name), obs};

    if (folder != NULL) (void)clm_dir_each(folder, remove_older, &r, NULL);
    free(folder);
}

static bool is_sound(const char *entry, const clm_observer *obs, clm_err *damage)
{
    damage->text[0] = '\0';
    return clm_file_exists(entry) && clm_model_verify(entry, obs, damage) == CLM_OK;
}

/* Makes the entry unless a sound one is there, or is when it is our turn. */
static clm_status make_entry(const clm_settings *s, const char *entry,
                             const volatile sig_atomic_t *stop, const clm_observer *obs,
                             clm_err *err)
{
    clm_err damage;
    int turn;
    clm_status st;

    if (is_sound(entry, obs, &damage)) return CLM_OK;
    st = take_turn(entry, stop, obs, &turn, err);
    if (st == CLM_OK && !is_sound(entry, obs, &damage)) {
        if (damage.text[0] != '\0') clm_log(obs, CLM_LOG_WARN, "%s", damage.text);
        st = convert(s, entry, stop, obs, err);
        if (st == CLM_OK) remove_all_older(entry, obs);
    }
    if (turn >= 0) close(turn);
    return st;
}

/* `*path` is malloc'd. */
static clm_status prepare(const clm_settings *s, const volatile sig_atomic_t *stop,
                          const clm_observer *obs, char **path, clm_err *err)
{
    char *folder = NULL, *entry = NULL;
    bool as_it_is = s->weights == CLM_WEIGHTS_KEEP;
    clm_status st = as_it_is ? CLM_OK : is_so_already(s, &as_it_is, err);

    *path = NULL;
    if (st != CLM_OK) return st;
    if (as_it_is) {
        *path = strdup(s->model);
        return *path != NULL ? CLM_OK : clm_fail(err, CLM_E_NOMEM, "%s: no memory", s->model);
    }
    folder = clm_dir_cache("models");
    if (folder == NULL)
        return clm_fail(err, CLM_E_IO,
                        "weights: %s: there is no place for the converted model: set "
                        "XDG_CACHE_HOME or HOME",
                        type_names[s->weights]);
    st = clm_dir_create(folder, err);
    if (st == CLM_OK) st = entry_path(s, folder, &entry, err);
    if (st == CLM_OK) st = make_entry(s, entry, stop, obs, err);
    if (st != CLM_OK) goto out;
    *path = entry;
    entry = NULL;
out:
    free(entry);
    free(folder);
    return st;
}

clm_status clm__weights_open(const clm_settings *s, const volatile sig_atomic_t *stop,
                             const clm_observer *obs, clm_model_file **out, clm_err *err)
{
    char *path = NULL;
    clm_status st = prepare(s, stop, obs, &path, err);

    *out = NULL;
    if (st == CLM_OK) st = clm_model_file_open(path, out, err);
    free(path);
    return st;
}
