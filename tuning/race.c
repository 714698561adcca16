/* tuning/race.c: see tuning/race.h. */
#include "tuning/race.h"

#include <math.h>
#include <string.h>

#include "host/clock.h"

#define PREPARE_LIMIT 180.0
enum { MAX_ROUNDS = 16 }; /* of processes */

clm_race_end clm_race_prepare(const clm_race *r, clm_err *err)
{
    const double left = r->until - clm_clock_seconds();
    clm_worker_end end;
    clm_status st;

    if (left <= 0.0) return CLM_RACE_NO_TIME;
    if (clm_worker_ready(r->worker)) return CLM_RACE_DONE;
    end = clm_worker_subject(r->worker, r->key->op, r->key->shape, fmin(PREPARE_LIMIT, left), &st,
                             err);
    if (end == CLM_WORKER_ANSWERED && st == CLM_OK) return CLM_RACE_DONE;
    if (end == CLM_WORKER_STOPPED) return CLM_RACE_NO_TIME;
    if (end == CLM_WORKER_TIMEOUT && left <= PREPARE_LIMIT) return CLM_RACE_NO_TIME;
    if (end == CLM_WORKER_DIED)
        clm_fail(err, CLM_E_CL, "its process crashed while the data was prepared");
    if (end == CLM_WORKER_TIMEOUT) clm_fail(err, CLM_E_CL, "preparing its data takes too long");
    return CLM_RACE_BROKEN;
}

/* One exchange; a death is the result of the candidate it came from, `out[*at]`, and then `*died`. */
static clm_race_end exchange(const clm_race *r, const int (*params)[CLM_MAX_AXES], size_t n,
                             clm_trial_result *out, size_t *at, bool *died)
{
    static const char *const stages[] = {"compiling", "checking", "timing"};
    const clm_worker_order order = {.n_values = r->op->n_axes,
                                    .seconds = r->seconds,
                                    .give_up = r->give_up,
                                    .build_s = r->build_s,
                                    .run_s = r->run_s,
                                    .until = r->until};
    const double start = clm_clock_seconds();
    clm_trial_stage stage;
    const clm_worker_end end = clm_worker_try(r->worker, &order, params, n, &stage, at, out);
    const double now = clm_clock_seconds();

    *died = end != CLM_WORKER_ANSWERED;
    if (end == CLM_WORKER_STOPPED) return CLM_RACE_NO_TIME;
    if (end == CLM_WORKER_TIMEOUT) {
        if (now >= r->until) return CLM_RACE_NO_TIME; /* the budget ended it, not its own limit */
        out[*at].reason = CLM_TUNE_HANG;
        clm_fail(&out[*at].err, CLM_E_CL, "not done after %.0f s, while %s it", now - start,
                 stages[stage]);
    }
    if (end == CLM_WORKER_DIED) {
        out[*at].reason = CLM_TUNE_CRASH;
        if (out[*at].err.text[0] == '\0')
            clm_fail(&out[*at].err, CLM_E_CL, "the process died while %s it", stages[stage]);
    }
    return CLM_RACE_DONE;
}

static bool works(const clm_trial_result *r)
{
    return r->reason == CLM_TUNE_OK || r->reason == CLM_TUNE_SLOW;
}

/* Whether one that works has no time yet, other than the first of several. */
static bool left_out(const clm_trial_result *out, size_t n)
{
    for (size_t i = n > 1; i < n; i++)
        if (works(&out[i]) && out[i].min_ms <= 0.0) return true;
    return false;
}

static clm_race_end run_together(const clm_race *r, const int (*params)[CLM_MAX_AXES], size_t n,
                                 clm_trial_result *out, clm_err *err)
{
    do {
        int list[CLM_RACE_MAX][CLM_MAX_AXES];
        clm_trial_result got[CLM_RACE_MAX];
        size_t who[CLM_RACE_MAX], m = 0, at;
        bool died;
        clm_race_end end;

        for (size_t i = 0; i < n; i++) {
            if (!works(&out[i])) continue;
            memcpy(list[m], params[i], sizeof list[m]);
            who[m++] = i;
        }
        end = clm_race_prepare(r, err);
        if (end == CLM_RACE_DONE) end = exchange(r, list, m, got, &at, &died);
        if (end != CLM_RACE_DONE) return end;
        for (size_t k = 0; k < m; k++)
            if (!died || k == at) out[who[k]] = got[k];
    } while (left_out(out, n));
    return CLM_RACE_DONE;
}

/* One round: each in a process of its own. */
static clm_race_end run_round(const clm_race *r, const int (*params)[CLM_MAX_AXES], size_t n,
                              clm_trial_result *out, double (*ms)[MAX_ROUNDS], size_t round,
                              clm_err *err)
{
    for (size_t i = 0; i < n; i++) {
        clm_trial_result got;
        size_t at;
        bool died;
        clm_race_end end;

        if (!works(&out[i])) continue;
        clm_worker_kill(r->worker);
        end = clm_race_prepare(r, err);
        if (end == CLM_RACE_DONE) end = exchange(r, &params[i], 1, &got, &at, &died);
        if (end != CLM_RACE_DONE) return end;
        ms[i][round] = got.min_ms;
        if (round == 0 || !works(&got)) out[i] = got;
    }
    return CLM_RACE_DONE;
}

static clm_race_end run_apart(const clm_race *r, const int (*params)[CLM_MAX_AXES], size_t n,
                              clm_trial_result *out, clm_err *err)
{
    const double start = clm_clock_seconds();
    double ms[CLM_RACE_MAX][MAX_ROUNDS];
    size_t rounds = 0, first = 0;

    do {
        const clm_race_end end = run_round(r, params, n, out, ms, rounds, err);

        if (end != CLM_RACE_DONE && rounds == 0) return end;
        if (end != CLM_RACE_DONE) break;
        rounds++;
    } while (n > 1 && rounds < MAX_ROUNDS && clm_clock_seconds() - start < r->seconds);
    while (first < n && !works(&out[first])) first++;
    for (size_t i = first; i < n; i++) {
        clm_op_times t;

        if (!works(&out[i])) continue;
        clm_op_times_of(ms[i], ms[first], rounds, &t);
        out[i].min_ms = t.min_s;
        out[i].median_ms = rounds > 1 ? t.median_s : out[i].median_ms;
        out[i].ratio = t.ratio;
        out[i].low = t.low;
        out[i].high = t.high;
    }
    return CLM_RACE_DONE;
}

clm_race_end clm_race_run(const clm_race *r, const int (*params)[CLM_MAX_AXES], size_t n,
                          clm_trial_result *out, clm_err *err)
{
    memset(out, 0, n * sizeof *out); /* OK, without a time */
    return r->op->run != NULL ? run_apart(r, params, n, out, err)
                              : run_together(r, params, n, out, err);
}
