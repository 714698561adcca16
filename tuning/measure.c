/* tuning/measure.c: see tuning/measure.h. */
#include "tuning/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "tuning/key.h"

/* Copies of a case: three times the last cache, and at least ROTATE_MIN_BYTES since a virtual
 * machine's share of the cache is not what the driver reports; bounded in number, since what an
 * operator with tiny buffers reads is in the cache in a model too. */
#define ROTATE_MIN_BYTES 256e6
#define ROTATE_MAX_BYTES 1.5e9
enum { MAX_COPIES = 32 };

/* The C references do some 1e9 operations a second. */
#define CHECK_MAX_FLOPS 5e8
#define GIVE_UP_AT      1.5 /* times the best */
enum { MAX_BATCHES = 15, MIN_BATCHES = 5, MIN_SLOW_BATCHES = 2, MAX_LAUNCHES = 200, SEED = 7 };
#define BATCH_SECONDS 0.01
#define SLOW_SECONDS                                                                               \
    0.1 /* a launch that takes as long needs neither many batches nor a second warm-up */
#define TIME_SECONDS 0.25 /* for all batches, when MIN_BATCHES are done */

struct clm_trial_case {
    clm_device *dev;
    const clm_op_desc *op;
    clm_shape shape; /* timed */
    clm_case check;  /* with expected results */
    clm_case timed;  /* buffers' sizes; data of the shape */
    clm_buffer *bufs[MAX_COPIES][CLM_MAX_BUFFERS];
    size_t n_copies;
};

/* The shape with fewer tokens, an odd number of them so that rests of tiles are there. */
static clm_shape check_shape(const clm_op_desc *op, const clm_shape *shape, const int *params,
                             const clm_caps *caps)
{
    clm_shape s = *shape;
    const size_t m = clm_op_tokens_dim(op);

    if (m == op->n_dims) return s;
    while (op->flops(&s) > CHECK_MAX_FLOPS && s.v[m] > 1) {
        clm_shape fewer = s;

        fewer.v[m] = s.v[m] <= 3 ? 1 : s.v[m] / 2 | 1;
        if (!op->valid(params, &fewer, caps)) break;
        s = fewer;
    }
    return s;
}

static double case_bytes(const clm_case *c)
{
    double total = 0.0;

    for (size_t i = 0; i < c->n_bufs; i++)
        total += (double)c->bufs[i].count * (double)clm_elem_bytes(c->bufs[i].type);
    return total;
}

static size_t count_copies(const clm_case *c, const clm_caps *caps)
{
    const double bytes = case_bytes(c);
    const double want = fmax(3.0 * (double)caps->global_cache, ROTATE_MIN_BYTES);
    const double most = fmin(ROTATE_MAX_BYTES, (double)caps->global_mem / 8.0);
    const double n = fmin(ceil(want / bytes), floor(most / bytes));

    return n < 1.0 ? 1 : n > MAX_COPIES ? (size_t)MAX_COPIES : (size_t)n;
}

static clm_status stage_copies(clm_trial_case *b, clm_err *err)
{
    clm_status st = CLM_OK;

    b->n_copies = count_copies(&b->timed, clm_device_caps(b->dev));
    for (size_t n = 0; n < b->n_copies && st == CLM_OK; n++)
        for (size_t i = 0; i < b->timed.n_bufs && st == CLM_OK; i++)
            st = clm_case_stage(b->dev, &b->timed.bufs[i], &b->bufs[n][i], err);
    return st;
}

/* The data goes to the case that is checked when both are the same, else away: the device has it. */
static clm_status split_cases(clm_trial_case *b, clm_err *err)
{
    const bool same = memcmp(&b->check.shape, &b->shape, sizeof b->shape) == 0;

    if (same) b->check = b->timed;
    for (size_t i = 0; i < b->timed.n_bufs; i++) {
        if (!same) {
            free(b->timed.bufs[i].data);
            free(b->timed.bufs[i].expected);
        }
        b->timed.bufs[i].data = b->timed.bufs[i].expected = NULL;
    }
    return same ? CLM_OK : b->op->fill(&b->check, SEED, err);
}

clm_status clm_trial_case_create(clm_device *dev, const clm_op_desc *op, const clm_shape *shape,
                                 const int *params, clm_trial_case **out, clm_err *err)
{
    clm_trial_case *b = calloc(1, sizeof *b);
    clm_status st;

    *out = NULL;
    if (b == NULL) return clm_fail(err, CLM_E_NOMEM, "tuning: no memory");
    b->dev = dev;
    b->op = op;
    b->shape = b->timed.shape = *shape;
    b->check.shape = check_shape(op, shape, params, clm_device_caps(dev));
    st = op->fill(&b->timed, SEED, err);
    if (st == CLM_OK) st = stage_copies(b, err);
    if (st == CLM_OK) st = split_cases(b, err);
    if (st == CLM_OK) op->reference(&b->check);
    if (st != CLM_OK) {
        clm_trial_case_destroy(b);
        return st;
    }
    *out = b;
    return CLM_OK;
}

void clm_trial_case_destroy(clm_trial_case *b)
{
    if (b == NULL) return;
    for (size_t n = 0; n < MAX_COPIES; n++)
        for (size_t i = 0; i < CLM_MAX_BUFFERS; i++) clm_buffer_destroy(b->bufs[n][i]);
    clm_case_clear(&b->check);
    clm_case_clear(&b->timed);
    free(b);
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Seconds of `n` launches, each on the next copy. */
static clm_status time_batch(clm_trial_case *b, clm_kernel *kernel, const int *params, size_t n,
                             size_t *at, double *seconds, clm_err *err)
{
    const double start = clm_clock_seconds();
    clm_status st = CLM_OK;

    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        st = clm_op_launch(b->op, kernel, &b->shape, params, b->bufs[*at], err);
        *at = (*at + 1) % b->n_copies;
    }
    if (st == CLM_OK) st = clm_device_finish(b->dev, err);
    *seconds = clm_clock_seconds() - start;
    return st;
}

/* Warm-up, then batches. The smallest chooses, since what disturbs only adds; the median is what a
 * user gets. */
static clm_status time_candidate(clm_trial_case *b, clm_kernel *kernel, const int *params,
                                 double best_ms, clm_trial_result *out)
{
    double ms[MAX_BATCHES], seconds, spent = 0.0;
    size_t n, done = 0, at = 0;
    clm_status st = time_batch(b, kernel, params, 1, &at, &seconds, &out->err);
    const size_t least = seconds < SLOW_SECONDS ? MIN_BATCHES : MIN_SLOW_BATCHES;

    if (st == CLM_OK && seconds < SLOW_SECONDS)
        st = time_batch(b, kernel, params, 1, &at, &seconds, &out->err);
    n = seconds * MAX_LAUNCHES < BATCH_SECONDS ? MAX_LAUNCHES
                                               : (size_t)fmax(1.0, BATCH_SECONDS / seconds);
    out->reason = CLM_TUNE_OK;
    while (st == CLM_OK && done < MAX_BATCHES && (done < least || spent < TIME_SECONDS)) {
        st = time_batch(b, kernel, params, n, &at, &seconds, &out->err);
        ms[done] = 1e3 * seconds / (double)n;
        if (done == 0 || ms[done] < out->min_ms) out->min_ms = ms[done];
        spent += seconds;
        done++;
        if (best_ms > 0.0 && done >= 2 && out->min_ms > GIVE_UP_AT * best_ms) {
            out->reason = CLM_TUNE_SLOW;
            break;
        }
    }
    if (st != CLM_OK) return st;
    qsort(ms, done, sizeof ms[0], compare_doubles);
    out->median_ms = ms[done / 2];
    for (size_t i = 0; i < b->timed.n_bufs && st == CLM_OK; i++)
        st = clm_case_guards(b->op, &b->timed.bufs[i], b->bufs[0][i], &out->err);
    return st;
}

/* Whether one build serves both shapes. */
static bool same_program(const clm_op_desc *op, const int *params, const clm_shape *a,
                         const clm_shape *b)
{
    clm_define x[CLM_MAX_DEFINES], y[CLM_MAX_DEFINES];
    const size_t n = op->defines(a, params, x);

    if (op->defines(b, params, y) != n) return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(x[i].name, y[i].name) != 0 || x[i].value != y[i].value) return false;
    return true;
}

static clm_status check_candidate(clm_trial_case *b, clm_kernel *kernel, const int *params,
                                  clm_trial_result *out)
{
    if (same_program(b->op, params, &b->shape, &b->check.shape))
        return clm_op_check_kernel(b->op, b->dev, kernel, &b->check, params, &out->error,
                                   &out->err);
    return clm_op_check(b->op, b->dev, &b->check, params, &out->error, &out->err);
}

/* What a failure after the build means for the candidate. */
static clm_tune_reason reason_of(clm_status st)
{
    return st == CLM_E_SELFTEST ? CLM_TUNE_WRONG : CLM_TUNE_LAUNCH;
}

void clm_trial_run(clm_trial_case *b, const int *params, double best_ms,
                   void (*stage)(void *user, clm_trial_stage stage), void *user,
                   clm_trial_result *out)
{
    const double start = clm_clock_seconds();
    clm_program *prog;
    clm_kernel *kernel;
    clm_status st;

    memset(out, 0, sizeof *out);
    if (!b->op->valid(params, &b->check.shape, clm_device_caps(b->dev))) {
        out->reason = CLM_TUNE_CONSTRAINT;
        clm_fail(&out->err, CLM_E_INTERNAL, "not legal for the smaller shape of the check");
        return;
    }
    if (stage != NULL) stage(user, CLM_TRIAL_BUILD);
    st = clm_op_build(b->op, b->dev, &b->shape, params, &prog, &kernel, &out->err);
    out->build_s = clm_clock_seconds() - start;
    if (st != CLM_OK) {
        out->reason = st == CLM_E_BUILD ? CLM_TUNE_BUILD : CLM_TUNE_LAUNCH;
        return;
    }
    if (stage != NULL) stage(user, CLM_TRIAL_CHECK);
    st = check_candidate(b, kernel, params, out);
    if (st == CLM_OK) {
        if (stage != NULL) stage(user, CLM_TRIAL_TIME);
        st = time_candidate(b, kernel, params, best_ms, out);
    }
    if (st != CLM_OK) out->reason = reason_of(st);
    clm_kernel_destroy(kernel);
    clm_program_destroy(prog);
}
