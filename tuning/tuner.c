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
#include "tuning/race.h"
#include "tuning/tune_log.h"

/* Limits of one candidate, seconds. A candidate that takes LIMIT_FACTOR times as long as the default
 * took to be checked and timed is no good, even if it should end one day. */
#define BUILD_LIMIT     60.0
#define RUN_LIMIT_MIN   3.0
#define RUN_LIMIT_MAX   60.0
#define RUN_LIMIT_LATER 15.0 /* when the default's time comes from the log */
#define LIMIT_FACTOR    10.0

#define TRY_SECONDS     0.2 /* of timing, for a candidate and the best so far in turn */
#define GIVE_UP_AT      1.5 /* times the best */
#define MIN_SLICE       2.0
#define MIN_TRIES       6 /* a subject's that is begun, if the whole budget lasts */

/* The final race of a subject. */
enum { FINALISTS = 3, HINTS = 4 };
#define FINAL_SHARE     0.12 /* of the slice is for timing, within these bounds; twice */
#define FINAL_MIN       0.4
#define FINAL_MAX       3.0
#define REBUILD_SECONDS 0.05 /* from the cache of programs, where they are not still there */
#define HOPELESS        1.1  /* times the default's time, in the search */
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
    size_t first, choice; /* in search.seen: the default, what is kept; n_seen: none */
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

/* Checks candidates and times them in turn; `*spent` are the seconds of that, without what is done once for
 * a subject. False: no result, since time or patience was over. */
static bool race(tuner *t, const int (*params)[CLM_MAX_AXES], size_t n, double seconds,
                 double give_up, clm_trial_result *out, double *spent)
{
    const clm_race r = {.worker = t->worker,
                        .op = t->subject->op,
                        .key = &t->key,
                        .seconds = seconds,
                        .give_up = give_up,
                        .build_s = BUILD_LIMIT,
                        .run_s = run_limit(t),
                        .until = t->deadline};
    clm_err err = {""};
    const double before = clm_clock_seconds();
    clm_race_end end = r.op->run == NULL ? clm_race_prepare(&r, &err) : CLM_RACE_DONE;
    const double start = clm_clock_seconds();

    /* Large matrices take seconds to be made and multiplied on the host, which are not to be the search's. */
    t->slice_end += start - before;
    if (end == CLM_RACE_DONE) end = clm_race_run(&r, params, n, out, &err);
    *spent = clm_clock_seconds() - start;
    t->broken = end == CLM_RACE_BROKEN;
    if (t->broken)
        clm_log(t->c->obs, CLM_LOG_WARN, "%s %s cannot be tuned: %s", t->key.op, t->key.shape,
                err.text);
    return end == CLM_RACE_DONE;
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

static const clm_tune_try *find_logged(const tuner *t, const int *params)
{
    const clm_tune_try wanted = make_try(t, params);

    return clm_tune_log_find(t->log, &t->key, wanted.params, wanted.n_params);
}

/* A result from the log; when `again` was asked for, only of this run. */
static bool take_logged(tuner *t, clm_candidate *c)
{
    const clm_tune_try *old = find_logged(t, c->params);

    if (old == NULL || (t->c->again && old->when < t->began)) return false;
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

static bool works(const clm_candidate *c)
{
    return c->reason == CLM_TUNE_OK || c->reason == CLM_TUNE_SLOW;
}

/* How many of the best are raced against the default at the end, the seconds of timing for it, and
 * what all of it takes. A library's candidates cost too much for more than one, and so does everything in
 * a short slice. */
static size_t plan_final(const tuner *t, double *seconds, double *cost)
{
    const double slice = t->slice_end - t->slice_start;
    const bool library = t->subject->op->run != NULL;
    const double each = library ? t->try_s : fmax(t->run_s - TRY_SECONDS, 0.0) + REBUILD_SECONDS;
    const size_t n = library || (FINALISTS + 1) * each > 0.3 * slice ? 1 : FINALISTS;

    *seconds = library ? 0.0 : fmin(fmax(FINAL_SHARE * slice, FINAL_MIN), FINAL_MAX);
    *cost = library ? (double)(n + 1) * each : (double)(n + 3) * each + 2.0 * *seconds;
    return n;
}

/* What came of candidate `c`, in the log as well. */
static void take_result(tuner *t, clm_candidate *c, const clm_trial_result *r)
{
    note_result(t, c->params, r);
    c->reason = r->reason;
    c->ms = r->min_ms;
    c->median_ms = r->median_ms;
    c->error = r->error;
    count_failure(t, r->reason);
}

/* Tries `c`, in turn with the best so far. Its time is that one's times the ratio, so that all times of
 * a subject are on one scale, that of the default's first timing, whatever the machine does. */
static bool try_candidate(tuner *t, clm_candidate *c)
{
    const clm_candidate *found = clm_search_best(&t->search);
    clm_candidate *best = found != NULL ? &t->search.seen[found - t->search.seen] : NULL;
    const bool pair = best != NULL && t->subject->op->run == NULL;
    int params[2][CLM_MAX_AXES];
    clm_trial_result r[2], *mine = pair ? &r[1] : &r[0];
    double spent;

    if (pair) memcpy(params[0], best->params, sizeof params[0]);
    memcpy(params[pair], c->params, sizeof params[0]);
    if (!race(t, params, pair ? 2 : 1, TRY_SECONDS, GIVE_UP_AT, r, &spent)) return false;
    if (pair && r[0].reason != CLM_TUNE_OK) { /* once right, once wrong: wrong */
        take_result(t, best, &r[0]);
    } else if (pair && mine->min_ms > 0.0) {
        const double scale = best->ms * mine->ratio / mine->min_ms;

        mine->min_ms *= scale;
        mine->median_ms *= scale;
    }
    take_result(t, c, mine);
    if (works(c)) {
        t->try_s = fmax(t->try_s, spent);
        t->run_s = fmax(t->run_s, spent - (t->subject->op->run != NULL ? 0.0 : mine->build_s));
        if (t->default_run_s == 0.0) t->default_run_s = t->run_s;
    }
    return true;
}

/* When the search of the subject ends. The default alone says nothing: rather six candidates for each of those that a
 * token costs most than a default for all. */
static double search_end(const tuner *t)
{
    const bool promised = t->subject->op->run == NULL && t->n_tried < MIN_TRIES;

    return promised ? t->deadline : fmin(t->slice_end, t->deadline);
}

/* clm_search.eval */
static bool eval(void *user, clm_candidate *c)
{
    tuner *t = user;
    clm_tune_try line;
    double seconds, reserve;

    if (stopped(t) || t->st != CLM_OK || t->broken) return false;
    if (take_logged(t, c)) {
        t->n_tried++;
        count_failure(t, c->reason);
        return true;
    }
    plan_final(t, &seconds, &reserve);
    if (t->search.n_seen > 0 && clm_clock_seconds() + t->try_s + reserve > search_end(t))
        return false;
    line = make_try(t, c->params);
    t->st = clm_tune_log_begin(t->log, &line, t->err);
    if (t->st != CLM_OK) return false;
    if (!try_candidate(t, c)) {
        t->st = clm_tune_log_stop(t->log, &line, t->err);
        return false;
    }
    t->n_tried++;
    show_progress(t);
    return t->st == CLM_OK;
}

/* ---- The choice ------------------------------------------------------------------------------ */

/* Index of the best candidate that is not taken; n_seen: none. */
static size_t next_best(const clm_search *s, const bool *taken)
{
    size_t best = s->n_seen;

    for (size_t i = 0; i < s->n_seen; i++)
        if (!taken[i] && s->seen[i].reason == CLM_TUNE_OK &&
            (best == s->n_seen || s->seen[i].ms < s->seen[best].ms))
            best = i;
    return best;
}

/* The default, when it works, and the best others that may beat it: their number. */
static size_t pick_finalists(const tuner *t, size_t n_best, size_t list[FINALISTS + 1])
{
    const clm_search *s = &t->search;
    bool *taken = calloc(s->n_seen + 1, sizeof *taken);
    size_t n = 0;

    if (taken == NULL) return 0;
    if (t->first < s->n_seen) taken[list[n++] = t->first] = true;
    for (size_t i = 0; i < n_best; i++) {
        const size_t best = next_best(s, taken);

        if (best == s->n_seen || (n > 0 && s->seen[best].ms > HOPELESS * s->seen[list[0]].ms))
            break;
        taken[list[n++] = best] = true;
    }
    free(taken);
    return n;
}

/* What the search alone says: the best, or the default when the gain is noise. */
static void choose(tuner *t)
{
    const clm_search *s = &t->search;
    const clm_candidate *best = clm_search_best(s);
    int params[CLM_MAX_AXES] = {0};

    s->space.op->defaults(s->space.shape, s->space.caps, params);
    t->first = t->choice = s->n_seen;
    if (s->n_seen > 0 && s->seen[0].reason == CLM_TUNE_OK &&
        memcmp(s->seen[0].params, params, s->space.op->n_axes * sizeof params[0]) == 0)
        t->first = 0;
    if (best == NULL) return;
    t->choice = (size_t)(best - s->seen);
    if (t->first == 0 && best->ms > MIN_GAIN * s->seen[0].ms) t->choice = 0;
}

/* The winner of a race in which `list[0]` was the measure, `n`: nobody. The default stays unless another
 * is faster beyond noise. */
static size_t winner(const tuner *t, const size_t *list, const clm_trial_result *r, size_t n)
{
    size_t best = n;

    for (size_t i = 0; i < n; i++)
        if (r[i].reason == CLM_TUNE_OK && r[i].ratio > 0.0 &&
            (best == n || r[i].ratio < r[best].ratio))
            best = i;
    if (best < n && list[0] == t->first && r[0].reason == CLM_TUNE_OK && r[best].ratio > MIN_GAIN)
        best = 0;
    return best;
}

/* Races `n` of those that were tried: the winner's place in `list`; n: no result. Their times are then those
 * of the race, with `list[0]` as the measure. */
static size_t race_again(tuner *t, const size_t *list, size_t n, double seconds)
{
    int params[FINALISTS + 1][CLM_MAX_AXES];
    clm_trial_result r[FINALISTS + 1];
    double spent;

    for (size_t i = 0; i < n; i++)
        memcpy(params[i], t->search.seen[list[i]].params, sizeof params[i]);
    if (stopped(t) || !race(t, params, n, seconds, 0.0, r, &spent)) return n;
    for (size_t i = 0; i < n; i++) {
        clm_candidate *c = &t->search.seen[list[i]];

        if (r[i].reason != CLM_TUNE_OK) {
            take_result(t, c, &r[i]); /* once right, once wrong: wrong */
        } else if (r[i].min_ms > 0.0) {
            c->median_ms = r[i].median_ms;
            c->ms = r[0].min_ms > 0.0 ? r[0].min_ms * r[i].ratio : r[i].min_ms;
        }
    }
    return winner(t, list, r, n);
}

/* The default and the best, checked again and timed in turn: what decides. The best of several measurements
 * is often the luckiest, so who beats the default must do it twice. */
static void race_best(tuner *t)
{
    double seconds, cost;
    const size_t n_best = plan_final(t, &seconds, &cost);
    const double spare =
        fmin(t->slice_end, t->deadline) - clm_clock_seconds() - cost; /* left by the search */
    size_t list[FINALISTS + 1];
    const size_t n = pick_finalists(t, n_best, list);
    size_t best;

    if (n < 2 || clm_clock_seconds() + cost > t->deadline) return;
    if (spare > 0.0) seconds = fmin(seconds + spare / 2.0, FINAL_MAX);
    best = race_again(t, list, n, seconds);
    if (best > 0 && best < n && list[0] == t->first && t->subject->op->run == NULL) {
        list[1] = list[best];
        best = race_again(t, list, 2, seconds) == 1;
    }
    choose(t); /* some may have failed */
    if (best < n && t->search.seen[list[best]].reason == CLM_TUNE_OK) t->choice = list[best];
}

static clm_status store(tuner *t)
{
    const clm_search *s = &t->search;
    const clm_candidate *kept = &s->seen[t->choice];
    clm_tune_entry e = {.key = t->key};
    const time_t now = time(NULL);
    struct tm day;
    clm_status st;

    if (t->choice >= s->n_seen || !(kept->ms > 0.0)) return CLM_OK;
    if (t->first < s->n_seen) e.default_ms = s->seen[t->first].ms;
    e.n_params = clm_params_name(t->subject->op, kept->params, e.params);
    e.ms = kept->ms;
    e.median_ms = kept->median_ms;
    e.error = kept->error;
    e.bytes = t->subject->op->bytes_moved(&t->subject->shape);
    e.flops = t->subject->op->flops(&t->subject->shape);
    e.tried = (uint32_t)t->n_tried;
    e.failed = (uint32_t)t->n_failed;
    if (gmtime_r(&now, &day) != NULL) strftime(e.date, sizeof e.date, "%Y-%m-%d", &day);
    st = clm_tune_db_put(&t->db, &e, t->err);
    if (st == CLM_OK) st = clm_tune_db_write(&t->db, t->c->db_path, t->err);
    if (st != CLM_OK) return st;
    t->sum->tuned++;
    if (t->choice != t->first) t->sum->gained++;
    if (t->c->finished != NULL) t->c->finished(t->c->user, &t->db.device, &e);
    return CLM_OK;
}

/* What other shapes of the operator chose, each once, newest first: likely to be good here as well. */
static size_t collect_hints(const tuner *t, int hints[HINTS][CLM_MAX_AXES])
{
    const clm_op_desc *op = t->subject->op;
    size_t n = 0;

    memset(hints, 0, HINTS * sizeof hints[0]);
    for (size_t i = t->db.n; i-- > 0 && n < HINTS;) {
        const clm_tune_entry *e = &t->db.entries[i];
        bool known = false;

        if (strcmp(e->key.op, t->key.op) != 0 || strcmp(e->key.source, t->key.source) != 0 ||
            !clm_params_read(op, e, hints[n]))
            continue;
        for (size_t k = 0; k < n; k++)
            known |= memcmp(hints[k], hints[n], op->n_axes * sizeof hints[0][0]) == 0;
        n += !known;
    }
    return n;
}

/* Why nothing works: what became of the first candidate, which is the default where that is legal. */
static void say_none_works(const tuner *t)
{
    const clm_tune_try *first = find_logged(t, t->search.seen[0].params);

    if (first == NULL) return;
    clm_log(t->c->obs, CLM_LOG_WARN, "%s %s: no candidate works, not even the default: %s: %s%s",
            t->key.op, t->key.shape, clm_tune_reason_text(first->reason), first->text,
            first->when < t->began ? " (known from an earlier run; --again tries it again)" : "");
}

static clm_status tune_subject(tuner *t)
{
    clm_status st = clm_tune_key_make(t->subject->op, &t->subject->shape, &t->key, t->err);
    int hints[HINTS][CLM_MAX_AXES];

    if (st != CLM_OK) return st;
    t->default_run_s = t->try_s = t->run_s = 0.0;
    t->n_tried = t->n_failed = 0;
    t->broken = false;
    clm_worker_forget(t->worker); /* the subject before */
    t->search = (clm_search){.space = {t->subject->op, &t->subject->shape, t->c->caps},
                             .strategy = t->c->strategy,
                             .hints = hints,
                             .n_hints = collect_hints(t, hints),
                             .rng = t->c->seed,
                             .eval = eval,
                             .user = t};
    show_progress(t);
    st = clm_search_run(&t->search, t->err);
    t->sum->tried += t->n_tried;
    if (st == CLM_OK) st = t->st;
    choose(t);
    if (st == CLM_OK && !t->broken) race_best(t);
    if (st == CLM_OK) st = t->st;
    if (st == CLM_OK && t->search.n_seen > 0 && clm_search_best(&t->search) == NULL)
        say_none_works(t);
    if (st == CLM_OK) st = store(t);
    if (t->search.n_seen == 0 && !t->broken) t->sum->skipped++;
    clm_search_clear(&t->search);
    return st;
}

/* ---- The run --------------------------------------------------------------------------------- */

/* The device's limits, which rates are measured against. Without them there is no percentage. */
static void measure_limits(tuner *t)
{
    const double left = t->deadline - clm_clock_seconds();
    clm_device_limits l;
    clm_err err = {""};
    clm_worker_end end;
    clm_status st;

    if (left < 10.0) return;
    end = clm_worker_limits(t->worker, fmin(30.0, left / 3.0), &l, &st, &err);
    if (end == CLM_WORKER_STOPPED) return;
    if (end != CLM_WORKER_ANSWERED || st != CLM_OK) {
        clm_log(t->c->obs, CLM_LOG_WARN, "the device's limits are not known: %s",
                end == CLM_WORKER_TIMEOUT ? "measuring them took too long"
                : end == CLM_WORKER_DIED  ? "the process that measured them died"
                                          : err.text);
        return;
    }
    clm_tune_device_raise(&t->db.device, &(clm_tune_device){.read_gbps = l.read_gbps,
                                                            .fp32_gflops = l.fp32_gflops,
                                                            .int8_gops = l.int8_gops});
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
        if (st == CLM_OK && w.n_legal == 0) t->sum->illegal++;
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
    clm_tune_device_raise(&device, &t->db.device);
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
    st = clm_tune_log_open(config->log_path, &t.log, err);
    if (st == CLM_OK) st = open_db(&t); /* locked: nobody else writes it from here on */
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
