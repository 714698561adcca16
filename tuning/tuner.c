/* tuning/tuner.c: see tuning/tuner.h. */
#include "tuning/tuner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/clock.h"
#include "host/file.h"
#include "tuning/db.h"
#include "tuning/tune_log.h"
#include "tuning/worker.h"

/* Limits of one candidate, seconds. A candidate that takes LIMIT_FACTOR times as long as the default
 * took to be checked and timed is no good, even if it should end one day. */
#define BUILD_LIMIT     60.0
#define RUN_LIMIT_MIN   3.0
#define RUN_LIMIT_MAX   60.0
#define RUN_LIMIT_LATER 15.0 /* when the default's time comes from the log */
#define LIMIT_FACTOR    10.0
#define PREPARE_LIMIT   180.0
#define FINALISTS       3
#define REBUILD_SECONDS 0.1 /* from the cache of programs */
#define MIN_SLICE       2.0
#define MIN_GAIN        0.97 /* of the default's time; less is noise */

typedef struct tuner {
    const clm_tuner_config *c;
    clm_worker *worker;
    clm_tune_log *log;
    clm_tune_db db;
    clm_tuner_summary *sum;
    double start, deadline;
    int64_t began; /* seconds since 1970 */

    /* The present subject. */
    const clm_subject *subject;
    size_t index, n_subjects;
    clm_tune_key key;
    double slice_start, slice_end;
    clm_search search;
    /* Seconds of candidates so far: the default without compiling, the longest with and without. */
    double default_run_s, try_s, run_s;
    size_t n_tried, n_failed;
    clm_status st; /* of what ends the whole run, or this subject */
    clm_err *err;
    bool broken; /* the worker cannot prepare this subject */
} tuner;

static bool stopped(const tuner *t)
{
    return t->c->stop != NULL && *t->c->stop;
}

static void show_progress(const tuner *t)
{
    const clm_candidate *best = clm_search_best(&t->search);
    const clm_search *s = &t->search;
    clm_tune_progress p = {.subject = t->index,
                           .n_subjects = t->n_subjects,
                           .key = &t->key,
                           .tried = t->n_tried,
                           .best_ms = best != NULL ? best->ms : 0.0,
                           .elapsed_s = clm_clock_seconds() - t->start,
                           .budget_s = t->c->budget_s};

    if (t->c->progress == NULL) return;
    if (s->n_seen > 0 && s->seen[0].reason == CLM_TUNE_OK) p.default_ms = s->seen[0].ms;
    clm_tune_rate(&t->db.device, t->subject->op->bytes_moved(&t->subject->shape),
                  t->subject->op->flops(&t->subject->shape), p.best_ms, &p.rate, &p.arithmetic,
                  &p.share);
    t->c->progress(t->c->user, &p);
}

/* ---- One candidate --------------------------------------------------------------------------- */

/* A worker that holds the subject. A library's parameters cannot be taken back, so there each
 * candidate has a process of its own. False: no use in going on with the subject. */
static bool prepare_worker(tuner *t)
{
    const double left = t->deadline - clm_clock_seconds();
    clm_worker_end end;
    clm_err err = {""};
    clm_status st;

    if (t->subject->op->run != NULL) clm_worker_kill(t->worker);
    if (clm_worker_ready(t->worker)) return true;
    if (left <= 0.0) return false;
    end = clm_worker_subject(t->worker, t->key.op, t->key.shape, fmin(PREPARE_LIMIT, left), &st,
                             &err);
    if (end == CLM_WORKER_ANSWERED && st == CLM_OK) return true;
    t->broken = end != CLM_WORKER_STOPPED && (end != CLM_WORKER_TIMEOUT || left > PREPARE_LIMIT);
    if (t->broken)
        clm_log(t->c->obs, CLM_LOG_WARN, "%s %s cannot be tuned: %s", t->key.op, t->key.shape,
                end == CLM_WORKER_DIED      ? "its process crashed while the data was prepared"
                : end == CLM_WORKER_TIMEOUT ? "preparing its data takes too long"
                                            : err.text);
    return false;
}

/* Seconds from the end of its compilation that a candidate may take. */
static double run_limit(const tuner *t)
{
    double limit = RUN_LIMIT_MAX;

    if (t->default_run_s > 0.0)
        limit = fmin(fmax(LIMIT_FACTOR * t->default_run_s, RUN_LIMIT_MIN), RUN_LIMIT_MAX);
    else if (t->search.n_seen > 0)
        limit = RUN_LIMIT_LATER;
    return limit + (t->subject->op->run != NULL ? BUILD_LIMIT : 0.0);
}

/* Runs one candidate in the worker. False: no result, since time or patience was over. */
static bool run_candidate(tuner *t, const int *params, double best_ms, clm_trial_result *r)
{
    static const char *const stages[] = {"compiling", "checking", "timing"};
    const double start = clm_clock_seconds();
    double spent;
    clm_trial_stage stage;
    clm_worker_end end;

    if (start >= t->deadline) return false;
    end = clm_worker_try(t->worker, params, t->subject->op->n_axes, best_ms, BUILD_LIMIT,
                         run_limit(t), t->deadline, &stage, r);
    spent = clm_clock_seconds() - start;
    if (end == CLM_WORKER_STOPPED) return false;
    if (end == CLM_WORKER_TIMEOUT) {
        if (start + spent >= t->deadline) return false; /* the budget ended it, not its own limit */
        r->reason = CLM_TUNE_HANG;
        clm_fail(&r->err, CLM_E_CL, "not done after %.0f s, while %s it", spent, stages[stage]);
    }
    if (end == CLM_WORKER_DIED) {
        r->reason = CLM_TUNE_CRASH;
        if (r->err.text[0] == '\0')
            clm_fail(&r->err, CLM_E_CL, "the process died while %s it", stages[stage]);
    }
    if (r->reason == CLM_TUNE_OK || r->reason == CLM_TUNE_SLOW) {
        t->try_s = fmax(t->try_s, spent);
        t->run_s = fmax(t->run_s, spent - (t->subject->op->run != NULL ? 0.0 : r->build_s));
        if (t->default_run_s == 0.0) t->default_run_s = t->run_s;
    }
    return true;
}

static clm_tune_try make_try(const tuner *t, const int *params)
{
    clm_tune_try line = {.key = t->key, .when = time(NULL)};

    line.n_params = clm_params_name(t->subject->op, params, line.params);
    return line;
}

static void note_result(tuner *t, const int *params, const clm_trial_result *r)
{
    clm_tune_try line = make_try(t, params);

    line.reason = r->reason;
    line.ms = r->min_ms;
    line.median_ms = r->median_ms;
    line.error = r->error;
    line.build_s = r->build_s;
    snprintf(line.text, sizeof line.text, "%.199s", r->err.text);
    t->st = clm_tune_log_end(t->log, &line, t->err);
}

/* A result from the log. Failures count always, times only of this run when `again` was asked for. */
static bool take_logged(tuner *t, clm_candidate *c)
{
    const clm_tune_try wanted = make_try(t, c->params);
    const clm_tune_try *old = clm_tune_log_find(t->log, &t->key, wanted.params, wanted.n_params);
    const bool timed = old != NULL && (old->reason == CLM_TUNE_OK || old->reason == CLM_TUNE_SLOW);

    if (old == NULL || (timed && t->c->again && old->when < t->began)) return false;
    c->reason = old->reason;
    c->ms = old->ms;
    c->median_ms = old->median_ms;
    c->error = old->error;
    return true;
}

static void count_failure(tuner *t, clm_tune_reason reason)
{
    if (reason == CLM_TUNE_OK || reason == CLM_TUNE_SLOW) return;
    t->n_failed++;
    t->sum->failed[reason]++;
}

/* How many of the best are repeated beside the default, how often, and how long that takes. A library's
 * candidates cost too much to be repeated more than once, and so does everything in a short slice. */
static size_t finalists(const tuner *t, size_t *rounds, double *seconds)
{
    const bool library = t->subject->op->run != NULL;
    const double each = library ? t->try_s : t->run_s + REBUILD_SECONDS;
    const bool lean =
        library || 2.0 * (FINALISTS + 1) * each > 0.3 * (t->slice_end - t->slice_start);
    const size_t n = lean ? 1 : FINALISTS;

    *rounds = lean ? 1 : 2;
    *seconds = (double)(*rounds * (n + 1)) * each;
    return n;
}

/* clm_search.eval */
static bool eval(void *user, clm_candidate *c)
{
    tuner *t = user;
    const clm_candidate *best = clm_search_best(&t->search);
    const double now = clm_clock_seconds();
    clm_tune_try line;
    clm_trial_result r;
    size_t rounds;
    double reserve;

    if (stopped(t) || t->st != CLM_OK || t->broken) return false;
    if (take_logged(t, c)) {
        t->n_tried++;
        count_failure(t, c->reason);
        return true;
    }
    finalists(t, &rounds, &reserve);
    if (t->search.n_seen > 0 && now + t->try_s + reserve > fmin(t->slice_end, t->deadline))
        return false;
    if (!prepare_worker(t)) return false;
    line = make_try(t, c->params);
    t->st = clm_tune_log_begin(t->log, &line, t->err);
    if (t->st != CLM_OK || !run_candidate(t, c->params, best != NULL ? best->ms : 0.0, &r))
        return false;
    note_result(t, c->params, &r);
    c->reason = r.reason;
    c->ms = r.min_ms;
    c->median_ms = r.median_ms;
    c->error = r.error;
    t->n_tried++;
    count_failure(t, r.reason);
    show_progress(t);
    return t->st == CLM_OK;
}

/* ---- The choice ------------------------------------------------------------------------------ */

/* Index of the best candidate after `below` in order of time; n_seen: none. */
static size_t next_best(const clm_search *s, const bool *taken)
{
    size_t best = s->n_seen;

    for (size_t i = 0; i < s->n_seen; i++)
        if (!taken[i] && s->seen[i].reason == CLM_TUNE_OK &&
            (best == s->n_seen || s->seen[i].ms < s->seen[best].ms))
            best = i;
    return best;
}

/* Measures finalist `i` once more; the first time of the repetition replaces the old one. */
static bool repeat(tuner *t, size_t i, bool first)
{
    clm_candidate *c = &t->search.seen[i];
    clm_trial_result r;

    if (c->reason != CLM_TUNE_OK) return true;
    if (stopped(t) || clm_clock_seconds() + t->try_s > t->deadline || !prepare_worker(t) ||
        !run_candidate(t, c->params, 0.0, &r))
        return false;
    if (r.reason != CLM_TUNE_OK) { /* once right, once wrong: wrong */
        c->reason = r.reason;
        count_failure(t, r.reason);
        note_result(t, c->params, &r);
        return t->st == CLM_OK;
    }
    if (first || r.min_ms < c->ms) c->ms = r.min_ms;
    if (first || r.median_ms < c->median_ms) c->median_ms = r.median_ms;
    return true;
}

/* The default and the best, in turns, so that a change of clock or load meets all of them. Times
 * from different moments are never compared: unless the first round is whole, the old ones stay. */
static void repeat_best(tuner *t)
{
    clm_search *s = &t->search;
    double seconds;
    size_t rounds;
    const size_t n_best = finalists(t, &rounds, &seconds);
    bool *taken = calloc(s->n_seen + 1, sizeof *taken);
    clm_candidate *old = malloc((s->n_seen + 1) * sizeof *old);
    size_t list[FINALISTS + 1], n = 0;
    bool going = taken != NULL && old != NULL;

    if (going) memcpy(old, s->seen, s->n_seen * sizeof *old);
    if (going && s->n_seen > 0) taken[list[n++] = 0] = true;
    for (size_t i = 0; going && i < n_best; i++) {
        const size_t best = next_best(s, taken);

        if (best == s->n_seen) break;
        taken[list[n++] = best] = true;
    }
    for (size_t round = 0; round < rounds && going && n > 1; round++) {
        for (size_t i = 0; i < n && going; i++) going = repeat(t, list[i], round == 0);
        for (size_t i = 0; i < n && !going && round == 0; i++)
            if (s->seen[list[i]].reason == CLM_TUNE_OK) s->seen[list[i]] = old[list[i]];
    }
    /* Those that were not repeated have lost. */
    for (size_t i = 0; i < s->n_seen && n > 1; i++)
        if (!taken[i] && s->seen[i].reason == CLM_TUNE_OK) s->seen[i].reason = CLM_TUNE_SLOW;
    free(taken);
    free(old);
}

/* The default is at seen[0] when it is legal at all. */
static clm_status store(tuner *t)
{
    const clm_search *s = &t->search;
    const clm_candidate *best = clm_search_best(s), *first = s->n_seen > 0 ? &s->seen[0] : NULL;
    int params[CLM_MAX_AXES] = {0};
    clm_tune_entry e = {.key = t->key};
    const time_t now = time(NULL);
    struct tm day;
    clm_status st;

    if (best == NULL) return CLM_OK;
    s->space.op->defaults(s->space.shape, s->space.caps, params);
    if (first->reason == CLM_TUNE_OK &&
        memcmp(first->params, params, s->space.op->n_axes * sizeof params[0]) == 0) {
        e.default_ms = first->ms;
        if (best->ms > MIN_GAIN * first->ms) best = first;
    }
    e.n_params = clm_params_name(t->subject->op, best->params, e.params);
    e.ms = best->ms;
    e.median_ms = best->median_ms;
    e.error = best->error;
    e.bytes = t->subject->op->bytes_moved(&t->subject->shape);
    e.flops = t->subject->op->flops(&t->subject->shape);
    e.tried = (uint32_t)t->n_tried;
    e.failed = (uint32_t)t->n_failed;
    if (gmtime_r(&now, &day) != NULL) strftime(e.date, sizeof e.date, "%Y-%m-%d", &day);
    st = clm_tune_db_put(&t->db, &e, t->err);
    if (st == CLM_OK) st = clm_tune_db_write(&t->db, t->c->db_path, t->err);
    if (st != CLM_OK) return st;
    t->sum->tuned++;
    if (e.default_ms == 0.0 || e.ms < MIN_GAIN * e.default_ms) t->sum->gained++;
    if (t->c->finished != NULL) t->c->finished(t->c->user, &t->db.device, &e);
    return CLM_OK;
}

static clm_status tune_subject(tuner *t)
{
    clm_status st = clm_tune_key_make(t->subject->op, &t->subject->shape, &t->key, t->err);

    if (st != CLM_OK) return st;
    t->default_run_s = t->try_s = t->run_s = 0.0;
    t->n_tried = t->n_failed = 0;
    t->broken = false;
    clm_worker_forget(t->worker); /* the subject before */
    t->search = (clm_search){.space = {t->subject->op, &t->subject->shape, t->c->caps},
                             .strategy = t->c->strategy,
                             .rng = t->c->seed,
                             .eval = eval,
                             .user = t};
    show_progress(t);
    st = clm_search_run(&t->search, t->err);
    t->sum->tried += t->n_tried;
    if (st == CLM_OK) st = t->st;
    if (st == CLM_OK && !t->broken) repeat_best(t);
    if (st == CLM_OK) st = t->st;
    if (st == CLM_OK && t->search.n_seen > 0 && clm_search_best(&t->search) == NULL)
        clm_log(t->c->obs, CLM_LOG_WARN, "%s %s: no candidate works, not even the default",
                t->key.op, t->key.shape);
    if (st == CLM_OK) st = store(t);
    if (t->search.n_seen == 0 && !t->broken) t->sum->skipped++;
    clm_search_clear(&t->search);
    return st;
}

/* ---- The run --------------------------------------------------------------------------------- */

/* The device's limits, which rates are measured against: the best ever seen, since other busy programs
 * make them too low. Without them there is no percentage. */
static void measure_limits(tuner *t)
{
    const double left = t->deadline - clm_clock_seconds();
    clm_device_limits l;
    clm_err err = {""};
    clm_status st;

    if (left < 10.0) return;
    if (clm_worker_limits(t->worker, fmin(30.0, left / 3.0), &l, &st, &err) !=
            CLM_WORKER_ANSWERED ||
        st != CLM_OK) {
        clm_log(t->c->obs, CLM_LOG_WARN, "the device's limits are not known: %s",
                err.text[0] != '\0' ? err.text : "measuring them took too long");
        return;
    }
    t->db.device.read_gbps = fmax(t->db.device.read_gbps, l.read_gbps);
    t->db.device.fp32_gflops = fmax(t->db.device.fp32_gflops, l.fp32_gflops);
    t->db.device.int8_gops = fmax(t->db.device.int8_gops, l.int8_gops);
}

/* A subject, what may be gained there, and its share of the budget. */
typedef struct work {
    clm_subject subject;
    size_t n_legal; /* MANY or more: too many to count */
    double weight;
} work;
enum { MANY = 64 };

/* The share grows with the seconds that a token costs there at best, and with the choice there is;
 * with the square root, so that cheap launches get their turn. */
static double weight_of(const tuner *t, const work *w)
{
    const clm_op_desc *op = w->subject.op;
    const clm_shape *shape = &w->subject.shape;
    const double gbps = t->db.device.read_gbps > 0.0 ? t->db.device.read_gbps : 20.0;
    const double gflops = t->db.device.fp32_gflops > 0.0 ? t->db.device.fp32_gflops : 100.0;
    const double seconds = 1e-9 * fmax(op->bytes_moved(shape) / gbps, op->flops(shape) / gflops);
    const size_t m = clm_op_tokens_dim(op);
    const double tokens = m < op->n_dims && shape->v[m] > 0 ? shape->v[m] : 1.0;

    return sqrt(1e-5 + seconds / tokens) * log2((double)(w->n_legal < MANY ? w->n_legal : MANY));
}

/* The subjects that leave a choice, by weight. */
static clm_status plan_work(const tuner *t, const clm_subject *from, size_t n, work *to,
                            size_t *n_to, clm_err *err)
{
    clm_status st = CLM_OK;

    *n_to = 0;
    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        const clm_space space = {from[i].op, &from[i].shape, t->c->caps};
        work w = {.subject = from[i], .n_legal = MANY};
        clm_point_set all;

        st = clm_space_all(&space, 1 << 14, &all, err);
        if (clm_space_size(&space) <= 1 << 14) w.n_legal = all.n;
        clm_point_set_clear(&all);
        if (st != CLM_OK || w.n_legal < 2) continue;
        w.weight = weight_of(t, &w);
        to[(*n_to)++] = w;
        for (size_t j = *n_to - 1; j > 0 && to[j].weight > to[j - 1].weight; j--) {
            const work kept = to[j];

            to[j] = to[j - 1];
            to[j - 1] = kept;
        }
    }
    return st;
}

static clm_status tune_all(tuner *t, const clm_subject *subjects, size_t n)
{
    work *list = malloc((n + 1) * sizeof *list);
    double left = 0.0;
    clm_status st;

    if (list == NULL) return clm_fail(t->err, CLM_E_NOMEM, "tuning: no memory");
    st = plan_work(t, subjects, n, list, &n, t->err);
    for (size_t i = 0; i < n; i++) left += list[i].weight;
    t->n_subjects = t->sum->subjects = n;
    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        const double now = clm_clock_seconds();

        if (stopped(t) || now >= t->deadline) {
            t->sum->skipped += n - i;
            break;
        }
        t->subject = &list[i].subject;
        t->index = i;
        t->slice_start = now;
        t->slice_end = now + fmax((t->deadline - now) * list[i].weight / left, MIN_SLICE);
        left -= list[i].weight;
        st = tune_subject(t);
    }
    free(list);
    return st;
}
/* The database as it is; the device's own description is always the present one. */
static clm_status open_db(tuner *t)
{
    clm_tune_device device;
    clm_status st = CLM_OK;

    clm_tune_device_describe(t->c->caps, &device);
    if (clm_file_exists(t->c->db_path)) st = clm_tune_db_read(t->c->db_path, &t->db, t->err);
    device.read_gbps = t->db.device.read_gbps;
    device.fp32_gflops = t->db.device.fp32_gflops;
    device.int8_gops = t->db.device.int8_gops;
    t->db.device = device;
    return st;
}

clm_status clm_tuner_run(const clm_tuner_config *config, const clm_subject *subjects, size_t n,
                         clm_tuner_summary *out, clm_err *err)
{
    tuner t = {
        .c = config, .sum = out, .start = clm_clock_seconds(), .began = time(NULL), .err = err};
    clm_status st;

    memset(out, 0, sizeof *out);
    t.deadline = t.start + config->budget_s;
    st = open_db(&t);
    if (st == CLM_OK) st = clm_tune_log_open(config->log_path, &t.log, err);
    if (st == CLM_OK) st = clm_worker_create(config->worker_argv, config->stop, &t.worker, err);
    if (st == CLM_OK) {
        measure_limits(&t);
        st = tune_all(&t, subjects, n);
    }
    clm_worker_destroy(t.worker);
    clm_tune_log_close(t.log);
    clm_tune_db_clear(&t.db);
    out->stopped = stopped(&t);
    out->elapsed_s = clm_clock_seconds() - t.start;
    return st;
}
