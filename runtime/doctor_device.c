/* runtime/doctor_device.c: one device: whether it opens, how fast it is, and each operator's kernels
 * against the C references, in a worker process (tuning/worker.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/grow.h"
#include "runtime/doctor_impl.h"
#include "runtime/model/tune_dirs.h"
#include "runtime/tune_impl.h"
#include "tuning/race.h"

/* Seconds: to open and measure a device, to build one kernel, to run it, and for one kernel in all. */
#define OPEN_LIMIT  120.0
#define BUILD_LIMIT 120.0
#define RUN_LIMIT   120.0 /* drivers finish kernels when they first run */
#define TIME_LIMIT  300.0

/* Programs of an operator that are tried unless all are asked for; hangs and crashes in a row after which the
 * device is given up. */
enum { FEW = 2, TOO_MANY = 3 };

/* One launch that is compared with its reference. */
typedef struct check {
    const clm_op_desc *op;
    clm_shape shape;
    int params[CLM_MAX_AXES];
} check;

typedef struct check_list {
    check *checks;
    size_t n, room;
} check_list;

/* ---- Opening --------------------------------------------------------------------------------- */

/* In a process of its own first: some drivers take it down. True: the device can be used. */
static bool measure(clm__doctor *d, clm_worker *w)
{
    static const char update[] = "update its driver, or choose another device (--device)";
    clm_device_limits l;
    clm_status st;
    clm_err err = {""};
    clm_worker_end end;

    clm_progress(d->obs, "measuring the device", 0, 1);
    end = clm_worker_limits(w, OPEN_LIMIT, &l, &st, &err);
    clm_progress(d->obs, "measuring the device", 1, 1);
    switch (end) {
    case CLM_WORKER_DIED:
        clm__doctor_say(d, CLM_FINDING_FAILURE, CLM_E_CL, update,
                        "its driver takes the program down when the device is used");
        return false;
    case CLM_WORKER_TIMEOUT:
        clm__doctor_say(d, CLM_FINDING_FAILURE, CLM_E_CL, update,
                        "it does not answer within %.0f s", OPEN_LIMIT);
        return false;
    case CLM_WORKER_STOPPED:
        return false;
    case CLM_WORKER_ANSWERED:
        break;
    }
    if (st != CLM_OK) {
        clm__doctor_say(d, CLM_FINDING_FAILURE, CLM_E_CL, update, "%s", err.text);
        return false;
    }
    clm__doctor_say(d, CLM_FINDING_OK, CLM_OK, NULL,
                    "it reads %.1f GB/s and calculates %.0f GFLOP/s, %.0f GOP/s in 8 bits",
                    l.read_gbps, l.fp32_gflops, l.int8_gops);
    return true;
}

static void say_features(clm__doctor *d, const clm_caps *caps)
{
    if (caps->amx)
        clm__doctor_say(d, CLM_FINDING_OK, CLM_OK, NULL, "it has tiles (AMX), which prompts use");
    if (caps->mma != CLM_MMA_NONE)
        clm__doctor_say(d, CLM_FINDING_OK, CLM_OK, NULL,
                        "it has matrix units (%s), which prompts use", clm_mma_name(caps->mma));
    if (caps->dot != CLM_DOT_PLAIN)
        clm__doctor_say(d, CLM_FINDING_OK, CLM_OK, NULL, "it multiplies 8-bit numbers by %s",
                        clm_dot_name(caps->dot));
    else
        clm__doctor_say(d, CLM_FINDING_NOTE, CLM_OK, NULL,
                        "it has no instructions for 8-bit products: activations stay floats");
}

static void say_tuned(clm__doctor *d, const clm_device_info *info)
{
    const bool at_start = d->s->tuning_mode == CLM_TUNING_AUTO;
    char advice[64];
    bool known = false;

    if (clm__tuning_look(&info->caps, d->obs, &known, NULL) != CLM_OK) return;
    snprintf(advice, sizeof advice, "clm tune --device %zu -m MODEL", info->index);
    if (known)
        clm__doctor_say(d, CLM_FINDING_OK, CLM_OK, NULL, "its kernels are tuned");
    else
        clm__doctor_say(d, CLM_FINDING_NOTE, CLM_OK, advice, "its kernels are not tuned yet%s",
                        at_start ? " (the first start of a large model does it)" : "");
}

/* ---- Kernels --------------------------------------------------------------------------------- */

static bool same_program(const check *a, const clm_op_desc *op, const clm_shape *shape,
                         const int *params)
{
    return a->op == op && memcmp(a->params, params, op->n_axes * sizeof *params) == 0 &&
           clm_op_same_program(op, params, &a->shape, shape);
}

static bool wanted(const clm__doctor *d, const check_list *l, const clm_op_desc *op,
                   const clm_shape *shape, const int *params)
{
    size_t of_op = 0;

    if (d->o->all_shapes) return true;
    for (size_t i = 0; i < l->n; i++) {
        if (same_program(&l->checks[i], op, shape, params)) return false;
        of_op += l->checks[i].op == op;
    }
    return of_op < FEW;
}

static clm_status list_checks(const clm__doctor *d, const clm_caps *caps, check_list *l,
                              clm_err *err)
{
    const clm_op_table table = clm__op_table();

    for (size_t i = 0; i < table.n; i++)
        for (size_t k = 0; k < table.ops[i]->n_test_shapes; k++) {
            check c = {.op = table.ops[i], .shape = table.ops[i]->test_shapes[k]}, *grown;

            c.op->defaults(&c.shape, caps, c.params);
            if (!c.op->valid(c.params, &c.shape, caps) || !wanted(d, l, c.op, &c.shape, c.params))
                continue;
            grown = clm_grow(l->checks, &l->room, l->n + 1, sizeof *grown);
            if (grown == NULL) return clm_fail(err, CLM_E_NOMEM, "doctor: no memory");
            l->checks = grown;
            l->checks[l->n++] = c;
        }
    return CLM_OK;
}

static const char *advice_for(clm_tune_reason reason)
{
    switch (reason) {
    case CLM_TUNE_WRONG:
        return "answers may be wrong: update the driver, or try `kernels: plain` "
               "(--kernels plain)";
    case CLM_TUNE_BUILD:
        return "the driver's compiler refuses it: update the driver, or try `kernels: plain` "
               "(--kernels plain)";
    case CLM_TUNE_HANG:
        return "if other programs kept the machine busy, look again; else update the driver, or "
               "choose another device (--device)";
    default:
        return "update the driver, or choose another device (--device)";
    }
}

/* *reason: CLM_TUNE_OK, or why it failed, which is said. CLM_E_INTERRUPTED, or CLM_OK. */
static clm_status run_check(clm__doctor *d, clm_worker *w, const check *c, clm_tune_reason *reason,
                            clm_err *err)
{
    clm_tune_key key;
    const clm_race race = {.worker = w,
                           .op = c->op,
                           .key = &key,
                           .build_s = BUILD_LIMIT,
                           .run_s = RUN_LIMIT,
                           .until = clm_clock_seconds() + TIME_LIMIT};
    clm_trial_result r = {.reason = CLM_TUNE_OK};
    clm_err why = {""};
    clm_race_end end;
    clm_status st = clm_tune_key_make(c->op, &c->shape, &key, err);

    *reason = CLM_TUNE_OK;
    if (st != CLM_OK) return st;
    clm_worker_forget(w);
    end = clm_race_run(&race, &c->params, 1, &r, &why);
    if (clm__doctor_stopped(d)) return clm_fail(err, CLM_E_INTERRUPTED, "interrupted");
    if (end == CLM_RACE_DONE && (r.reason == CLM_TUNE_OK || r.reason == CLM_TUNE_SLOW))
        return CLM_OK;
    if (end == CLM_RACE_NO_TIME) {
        r.reason = CLM_TUNE_HANG;
        clm_fail(&why, CLM_E_CL, "not done after %.0f s", TIME_LIMIT);
    }
    if (end == CLM_RACE_BROKEN) r.reason = CLM_TUNE_LAUNCH;
    *reason = r.reason;
    clm__doctor_say(d, CLM_FINDING_FAILURE, CLM_E_SELFTEST, NULL, "kernel %s: %s: %s (%s)",
                    c->op->name, clm_tune_reason_text(r.reason),
                    end == CLM_RACE_DONE ? r.err.text : why.text, key.shape);
    return CLM_OK;
}

/* How the checks of a device went. */
typedef struct tally {
    size_t n_done, n_ops, n_wrong;
    size_t n_fatal; /* hangs and crashes, the last ones in a row */
    clm_tune_reason first;
} tally;

static void count(tally *t, bool new_op, clm_tune_reason reason)
{
    const bool fatal = reason == CLM_TUNE_HANG || reason == CLM_TUNE_CRASH;

    t->n_done++;
    t->n_ops += new_op;
    t->n_wrong += reason != CLM_TUNE_OK;
    t->n_fatal = fatal ? t->n_fatal + 1 : 0;
    if (t->first == CLM_TUNE_OK) t->first = reason;
}

static clm_status check_kernels(clm__doctor *d, clm_worker *w, const clm_caps *caps, clm_err *err)
{
    const double start = clm_clock_seconds();
    check_list l = {0};
    tally t = {.first = CLM_TUNE_OK};
    clm_status st = list_checks(d, caps, &l, err);

    for (size_t i = 0; i < l.n && st == CLM_OK && t.n_fatal < TOO_MANY; i++) {
        clm_tune_reason reason;

        clm_progress(d->obs, "checking kernels", i, l.n);
        st = run_check(d, w, &l.checks[i], &reason, err);
        count(&t, i == 0 || l.checks[i].op != l.checks[i - 1].op, reason);
    }
    if (st == CLM_OK) clm_progress(d->obs, "checking kernels", l.n, l.n);
    if (st == CLM_OK && t.n_wrong == 0)
        clm__doctor_say(d, CLM_FINDING_OK, CLM_OK, NULL,
                        "%zu kernels of %zu operators give what the reference gives (%.0f s)", l.n,
                        t.n_ops, clm_clock_seconds() - start);
    else if (st == CLM_OK)
        clm__doctor_say(d, CLM_FINDING_FAILURE, CLM_E_SELFTEST, advice_for(t.first),
                        "%zu of %zu kernels do not work%s", t.n_wrong, t.n_done,
                        t.n_done < l.n ? "; the others were not tried" : "");
    free(l.checks);
    return st;
}

clm_status clm__doctor_device(clm__doctor *d, const clm_device_info *info, clm_err *err)
{
    clm__tune_command command;
    clm_worker *w = NULL;
    clm_device *dev = NULL;
    clm_err why;
    clm_status st;

    clm__tune_command_make(info->index, NULL, NULL, &command);
    st = clm_worker_create((char *const *)command.argv, d->o->stop, &w, err);
    if (st != CLM_OK) return st;
    if (measure(d, w)) {
        /* What is legal depends on what probes find, so it is opened here too. */
        if (clm_device_open(info, d->obs, &dev, &why) != CLM_OK) {
            clm__doctor_say(d, CLM_FINDING_FAILURE, CLM_E_CL, NULL, "%s", why.text);
        } else {
            say_features(d, clm_device_caps(dev));
            st = check_kernels(d, w, clm_device_caps(dev), err);
            if (st == CLM_OK) say_tuned(d, info);
        }
    }
    if (st == CLM_OK && clm__doctor_stopped(d))
        st = clm_fail(err, CLM_E_INTERRUPTED, "interrupted");
    clm_device_close(dev);
    clm_worker_destroy(w);
    return st;
}
