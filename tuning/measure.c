/* tuning/measure.c: see tuning/measure.h. */
#include "tuning/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "tuning/key.h"

/* The C references do some 1e9 operations a second. */
#define CHECK_MAX_FLOPS 5e8
enum { SEED = 7 };

/* A program that was built and found right. */
typedef struct built {
    int params[CLM_MAX_AXES];
    clm_program *prog;
    clm_kernel *kernel;
    double error, build_s;
    uint64_t used; /* when; 0: empty */
} built;

struct clm_trial_case {
    clm_device *dev;
    const clm_op_desc *op;
    clm_shape shape; /* timed */
    clm_case check;  /* with expected results */
    clm_op_data *timed;
    built built[CLM_RACE_MAX]; /* the last ones */
    uint64_t clock;
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

/* The data of the checked case when both shapes are the same, else that of a case of its own, which only
 * the device keeps. */
static clm_status create_timed(clm_trial_case *b, clm_err *err)
{
    clm_case full = {.shape = b->shape};
    clm_status st;

    if (memcmp(&b->check.shape, &b->shape, sizeof b->shape) == 0)
        return clm_op_data_create(b->op, b->dev, &b->check, &b->timed, err);
    st = b->op->fill(&full, SEED, err);
    if (st == CLM_OK) st = clm_op_data_create(b->op, b->dev, &full, &b->timed, err);
    clm_case_clear(&full);
    return st;
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
    b->shape = *shape;
    b->check.shape = check_shape(op, shape, params, clm_device_caps(dev));
    st = op->fill(&b->check, SEED, err);
    if (st == CLM_OK) st = create_timed(b, err);
    if (st == CLM_OK) op->reference(&b->check);
    if (st != CLM_OK) {
        clm_trial_case_destroy(b);
        return st;
    }
    *out = b;
    return CLM_OK;
}

static void drop(built *p)
{
    clm_kernel_destroy(p->kernel);
    clm_program_destroy(p->prog);
    memset(p, 0, sizeof *p);
}

void clm_trial_case_destroy(clm_trial_case *b)
{
    if (b == NULL) return;
    for (size_t i = 0; i < CLM_RACE_MAX; i++) drop(&b->built[i]);
    clm_op_data_destroy(b->timed);
    clm_case_clear(&b->check);
    free(b);
}

/* Results on the checked shape; guards with the full one too, which also warms up. */
static clm_status check_candidate(clm_trial_case *b, built *p, clm_err *err)
{
    const clm_op_runner runner = {p->params, p->kernel};
    clm_status st;

    if (clm_op_same_program(b->op, p->params, &b->shape, &b->check.shape))
        st = clm_op_check_kernel(b->op, b->dev, p->kernel, &b->check, p->params, &p->error, err);
    else
        st = clm_op_check(b->op, b->dev, &b->check, p->params, &p->error, err);
    return st == CLM_OK ? clm_op_data_run(b->timed, &runner, err) : st;
}

/* What a failure after the build means for the candidate. */
static clm_tune_reason reason_of(clm_status st)
{
    return st == CLM_E_SELFTEST ? CLM_TUNE_WRONG : CLM_TUNE_LAUNCH;
}

/* Where `params` are built, else the place that was not used for longest. */
static built *place_for(clm_trial_case *b, const int *params)
{
    const size_t bytes = b->op->n_axes * sizeof *params;
    built *oldest = &b->built[0];

    for (size_t i = 0; i < CLM_RACE_MAX; i++) {
        built *p = &b->built[i];

        if (p->used > 0 && memcmp(p->params, params, bytes) == 0) return p;
        if (p->used < oldest->used) oldest = p;
    }
    drop(oldest);
    memcpy(oldest->params, params, bytes);
    return oldest;
}

static void call_stage(const clm_trial_order *o, clm_trial_stage stage, size_t i)
{
    if (o->stage != NULL) o->stage(o->user, stage, i);
}

/* Builds and checks candidate `i`. NULL: `out` says why not. */
static const built *make_ready(clm_trial_case *b, const int *params, size_t i,
                               const clm_trial_order *order, clm_trial_result *out)
{
    const double start = clm_clock_seconds();
    built *p = place_for(b, params);
    const bool fresh = p->used == 0;
    clm_status st = CLM_OK;

    p->used = ++b->clock;
    out->reason = CLM_TUNE_OK;
    if (!b->op->valid(params, &b->check.shape, clm_device_caps(b->dev))) {
        out->reason = CLM_TUNE_CONSTRAINT;
        st = clm_fail(&out->err, CLM_E_INTERNAL, "not legal for the smaller shape of the check");
    } else if (fresh) {
        call_stage(order, CLM_TRIAL_BUILD, i);
        st = clm_op_build(b->op, b->dev, &b->shape, params, &p->prog, &p->kernel, &out->err);
        p->build_s = clm_clock_seconds() - start;
        if (st != CLM_OK) out->reason = st == CLM_E_BUILD ? CLM_TUNE_BUILD : CLM_TUNE_LAUNCH;
    }
    if (st == CLM_OK && (fresh || i > 0)) {
        call_stage(order, CLM_TRIAL_CHECK, i);
        st = check_candidate(b, p, &out->err);
        if (st != CLM_OK) out->reason = reason_of(st);
    }
    out->error = p->error;
    out->build_s = p->build_s;
    if (st != CLM_OK) drop(p);
    return st == CLM_OK ? p : NULL;
}

/* The runners of a race, which candidates they are, whose turn it is, and whom to tell. */
typedef struct field {
    const clm_trial_order *order;
    clm_op_runner runners[CLM_RACE_MAX];
    size_t n, who[CLM_RACE_MAX], at;
} field;

static void tell_turn(void *user, size_t runner)
{
    field *f = user;

    f->at = runner;
    call_stage(f->order, CLM_TRIAL_TIME, f->who[runner]);
}

/* When one fails, the others are left without times. */
static void time_field(clm_trial_case *b, field *f, clm_trial_result *out)
{
    const clm_op_race race = {
        .seconds = f->order->seconds, .give_up = f->order->give_up, .turn = tell_turn, .user = f};
    clm_op_times times[CLM_RACE_MAX];
    clm_err err = {""};
    const clm_status st = clm_op_data_race(b->timed, f->runners, f->n, &race, times, &err);

    if (st != CLM_OK) {
        out[f->who[f->at]].reason = reason_of(st);
        out[f->who[f->at]].err = err;
        return;
    }
    for (size_t k = 0; k < f->n; k++) {
        clm_trial_result *r = &out[f->who[k]];

        r->min_ms = 1e3 * times[k].min_s;
        r->median_ms = 1e3 * times[k].median_s;
        r->ratio = times[k].ratio;
        r->low = times[k].low;
        r->high = times[k].high;
        if (times[k].given_up) r->reason = CLM_TUNE_SLOW;
    }
}

void clm_trial_run(clm_trial_case *b, const int (*params)[CLM_MAX_AXES], size_t n,
                   const clm_trial_order *order, clm_trial_result *out)
{
    field f = {.order = order};

    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        const built *p = make_ready(b, params[i], i, order, &out[i]);

        if (p == NULL) continue;
        f.who[f.n] = i;
        f.runners[f.n++] = (clm_op_runner){p->params, p->kernel};
    }
    if (f.n > 0) time_field(b, &f, out);
}
