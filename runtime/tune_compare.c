/* runtime/tune_compare.c: two databases, compared by the times of what they choose. */
#include "runtime/tune.h"

#include <stdio.h>
#include <string.h>

#include "host/clock.h"
#include "runtime/model/tune_dirs.h"
#include "runtime/tune_impl.h"
#include "tuning/db.h"
#include "tuning/race.h"

/* Seconds that one candidate may take to be built, to be checked, and for a batch; and one launch in all. */
#define BUILD_LIMIT  60.0
#define RUN_LIMIT    60.0
#define LAUNCH_LIMIT 300.0

/* Who takes part, in the order of their times. */
enum { A, B, DEFAULT, SIDES };

typedef struct compare {
    const clm_tune_compare_options *o;
    clm_op_table table;
    const clm_caps *caps;
    clm_worker *worker;
} compare;

/* One launch: the parameters that are timed, and whose they are. */
typedef struct heat {
    const clm_op_desc *op;
    clm_shape shape;
    int params[SIDES][CLM_MAX_AXES];
    size_t n, of[SIDES]; /* index in params */
} heat;

/* False: `text` says why the entry is of no use. */
static bool read_entry(const compare *c, const clm_tune_entry *e, heat *h, int *params, char name,
                       char text[CLM_TUNE_MATCH_TEXT])
{
    const char *wrong = clm_tune_entry_check(&c->table, e, &h->op, &h->shape, params, NULL);

    if (wrong == NULL && !h->op->valid(params, &h->shape, c->caps))
        wrong = "its values are not legal on this device";
    if (wrong != NULL) snprintf(text, CLM_TUNE_MATCH_TEXT, "%c: %s", name, wrong);
    return wrong == NULL;
}

/* Adds the parameters of `side`, unless they are there. */
static void enter(heat *h, size_t side, const int *params)
{
    const size_t bytes = h->op->n_axes * sizeof *params;
    size_t i = 0;

    while (i < h->n && memcmp(h->params[i], params, bytes) != 0) i++;
    if (i == h->n) memcpy(h->params[h->n++], params, CLM_MAX_AXES * sizeof *params);
    h->of[side] = i;
}

static clm_tune_ratio inverse(clm_tune_ratio r)
{
    const clm_tune_ratio none = {0.0, 0.0, 0.0};

    if (!(r.low > 0.0)) return none;
    return (clm_tune_ratio){1.0 / r.median, 1.0 / r.high, 1.0 / r.low};
}

/* Ratios are to A, which was the measure. */
static void fill_match(const heat *h, const clm_trial_result *r, clm_tune_match *m)
{
    static const char names[] = {'A', 'B', 'd'};
    clm_tune_ratio to_a[SIDES];

    for (size_t side = 0; side < SIDES; side++) {
        const clm_trial_result *x = &r[h->of[side]];

        if (x->reason != CLM_TUNE_OK && side != DEFAULT && m->text[0] == '\0')
            snprintf(m->text, sizeof m->text, "%c: %s: %.200s", names[side],
                     clm_tune_reason_text(x->reason), x->err.text);
        m->ms[side] = x->min_ms;
        to_a[side] = (clm_tune_ratio){x->ratio, x->low, x->high};
    }
    if (m->text[0] != '\0') return;
    m->b_to_a = to_a[B];
    if (!(to_a[DEFAULT].median > 0.0)) return; /* the default does not work */
    m->a_to_default = inverse(to_a[DEFAULT]);
    m->b_to_default = to_a[B].median / to_a[DEFAULT].median;
}

/* False: Ctrl+C, or no process can be had. */
static bool time_heat(const compare *c, const clm_tune_key *key, heat *h, clm_tune_match *m)
{
    const clm_race race = {.worker = c->worker,
                           .op = h->op,
                           .key = key,
                           .seconds = c->o->seconds,
                           .build_s = BUILD_LIMIT,
                           .run_s = RUN_LIMIT,
                           .until = clm_clock_seconds() + LAUNCH_LIMIT};
    clm_trial_result r[SIDES];
    clm_err err = {""};

    clm_worker_forget(c->worker);
    switch (clm_race_run(&race, h->params, h->n, r, &err)) {
    case CLM_RACE_DONE:
        fill_match(h, r, m);
        return true;
    case CLM_RACE_BROKEN:
        snprintf(m->text, sizeof m->text, "%.200s", err.text);
        return true;
    case CLM_RACE_NO_TIME:
        snprintf(m->text, sizeof m->text, "not done after %.0f s", LAUNCH_LIMIT);
        return c->o->stop == NULL || !*c->o->stop;
    }
    return false;
}

static bool match_entries(const compare *c, const clm_tune_entry *a, const clm_tune_entry *b)
{
    clm_tune_match m = {.key = &a->key};
    heat h = {.n = 0};
    int params[SIDES][CLM_MAX_AXES] = {{0}};
    bool going = true;

    if (read_entry(c, a, &h, params[A], 'A', m.text) &&
        read_entry(c, b, &h, params[B], 'B', m.text)) {
        h.op->defaults(&h.shape, c->caps, params[DEFAULT]);
        enter(&h, A, params[A]);
        enter(&h, B, params[B]);
        m.same = h.n == 1;
        if (h.op->valid(params[DEFAULT], &h.shape, c->caps)) enter(&h, DEFAULT, params[DEFAULT]);
        m.all_default = h.n == 1;
        if (!m.all_default) going = time_heat(c, &a->key, &h, &m);
    }
    if (going) c->o->matched(c->o->user, &m);
    return going;
}

/* What is legal depends on what probes find, so the device is opened, also where others run on it. */
static clm_status open_device(const char *selector, const clm_observer *obs, clm_device_info *info,
                              clm_device **out, clm_err *err)
{
    const clm_status st = clm_device_find(selector, info, err);

    *out = NULL;
    return st == CLM_OK ? clm_device_open(info, obs, out, err) : st;
}

clm_status clm_tune_compare(const char *selector, const clm_tune_db *a, const clm_tune_db *b,
                            const clm_tune_compare_options *o, const clm_observer *obs,
                            clm_err *err)
{
    compare c = {.o = o, .table = clm__op_table()};
    clm_device_info info;
    clm__tune_command command;
    clm_device *dev = NULL;
    clm_status st = open_device(selector, obs, &info, &dev, err);

    if (st != CLM_OK) return st;
    c.caps = clm_device_caps(dev);
    clm__tune_command_make(info.index, NULL, NULL, &command);
    st = clm_worker_create((char *const *)command.argv, o->stop, &c.worker, err);
    for (size_t i = 0; i < a->n && st == CLM_OK; i++) {
        const clm_tune_entry *other = clm_tune_db_find(b, &a->entries[i].key);

        clm_progress(obs, "timing launches", i, a->n);
        if (other != NULL && !match_entries(&c, &a->entries[i], other))
            st = clm_fail(err, CLM_E_INTERRUPTED, "interrupted");
    }
    if (st == CLM_OK) clm_progress(obs, "timing launches", a->n, a->n);
    clm_worker_destroy(c.worker);
    clm_device_close(dev);
    return st;
}

clm_status clm_tune_defaults(const char *selector, const clm_tune_db *like, clm_tune_db *out,
                             clm_err *err)
{
    const clm_op_table table = clm__op_table();
    clm_device_info info;
    clm_device *dev;
    clm_status st = open_device(selector, NULL, &info, &dev, err);

    memset(out, 0, sizeof *out);
    out->device = like->device;
    for (size_t i = 0; i < like->n && st == CLM_OK; i++) {
        clm_tune_entry e = like->entries[i];
        const clm_op_desc *op;
        clm_shape shape;
        int params[CLM_MAX_AXES] = {0};

        if (clm_tune_entry_check(&table, &e, &op, &shape, params, NULL) != NULL) continue;
        op->defaults(&shape, clm_device_caps(dev), params);
        e.n_params = clm_params_name(op, params, e.params);
        e.ms = e.median_ms = e.default_ms;
        st = clm_tune_db_put(out, &e, err);
    }
    clm_device_close(dev);
    if (st != CLM_OK) clm_tune_db_clear(out);
    return st;
}
