/* runtime/bench_ops.c: the table of operators, timed one by one. See runtime/bench.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/bench.h"
#include "runtime/bench_impl.h"
#include "runtime/model/tune_dirs.h"
#include "runtime/ops/ops.h"
#include "tuning/op_time.h"

/* Time for one operator at one shape. */
static const double OP_SECONDS = 0.15;

typedef struct bench {
    clm_device *dev;
    const clm_tuning *tuning; /* NULL: defaults */
    const clm_device_limits *limits;
    double read_gbps; /* measured before each operator: shared memory changes within seconds */
    const clm_observer *obs;
    clm_bench_op_fn fn;
    void *user;
} bench;

/* Adds "NAME=value" to a list of such, of which `*used` bytes are there. */
static void add_value(char *out, size_t room, size_t *used, const char *name, int value)
{
    if (*used < room)
        *used += (size_t)snprintf(out + *used, room - *used, "%s%s=%d", *used > 0 ? " " : "", name,
                                  value);
}

static void describe(const clm_op_desc *op, const clm_shape *shape, const int *params,
                     clm_bench_op *out)
{
    size_t used = 0;

    for (size_t i = 0; i < op->n_dims; i++)
        add_value(out->shape, sizeof out->shape, &used, op->dims[i], shape->v[i]);
    used = 0;
    for (size_t i = 0; i < op->n_axes; i++)
        add_value(out->params, sizeof out->params, &used, op->axes[i].name, params[i]);
}

/* The limit of the arithmetic that `op` does, and its name. */
static double arithmetic_limit(const clm_op_desc *op, const clm_shape *shape,
                               const clm_device_limits *limits, const char **name)
{
    static const char *const names[] = {"float", "int8", "tiles"};
    const double gops[] = {limits->fp32_gflops, limits->int8_gops, limits->bf16_gflops};
    const clm_arithmetic by = op->arithmetic != NULL ? op->arithmetic(shape) : CLM_ARITHMETIC_FLOAT;

    *name = names[by];
    return gops[by];
}

static void compare(const clm_op_desc *op, const clm_shape *shape, const clm_device_limits *limits,
                    clm_bench_op *out)
{
    const double gops = arithmetic_limit(op, shape, limits, &out->arithmetic);
    clm_bench_share *share = &out->share;

    out->work = (clm_bench_work){op->bytes_moved(shape), op->flops(shape)};
    out->at_most = op->may_skip != NULL && op->may_skip(shape);
    *share = clm_bench_share_of(&out->work, out->seconds, out->cached ? 0.0 : out->read_gbps, gops);
    if (out->seconds > 0.0) share->launch = 1e-4 * limits->launch_us / out->seconds;
    if (!out->at_most) return;
    share->memory = fmin(share->memory, 100.0);
    share->arithmetic = fmin(share->arithmetic, 100.0);
}

static clm_status time_op(const bench *b, const clm_op_desc *op, const clm_shape *shape,
                          clm_bench_op *out, clm_err *err)
{
    int params[CLM_MAX_AXES];
    clm_op_timing timing;
    clm_status st;

    memset(out, 0, sizeof *out);
    out->name = op->name;
    out->tuned =
        clm_tuning_params(b->tuning, op, shape, clm_device_caps(b->dev), params) != CLM_TUNING_NONE;
    describe(op, shape, params, out);
    st = clm_op_time(op, b->dev, shape, params, OP_SECONDS, &timing, err);
    out->seconds = timing.seconds;
    out->read_gbps = b->read_gbps;
    out->cached = timing.cached;
    compare(op, shape, b->limits, out);
    return st;
}

static bool contains(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

/* Without names: what models launch on the device. */
static bool wanted(const clm_op_desc *op, const char *const *names, size_t n_names,
                   const clm_caps *caps)
{
    if (n_names > 0) return contains(names, n_names, op->name);
    return op->used == NULL || op->used(caps);
}

/* Every name is that of an operator. */
static clm_status check_names(const char *const *names, size_t n_names, clm_err *err)
{
    const clm_op_table table = clm__op_table();

    for (size_t i = 0; i < n_names; i++)
        if (clm_op_find(&table, names[i]) == NULL) return clm_ops_fail_unknown(names[i], err);
    return CLM_OK;
}

/* All shapes of one operator. */
static clm_status time_shapes(const bench *b, const clm_op_desc *op, clm_err *err)
{
    clm_status st = CLM_OK;
    clm_bench_op result;

    for (size_t i = 0; i < op->n_tune_shapes && st == CLM_OK; i++) {
        const clm_shape shape = clm_op_tune_shape(op, i, clm_device_caps(b->dev));

        st = time_op(b, op, &shape, &result, err);
        if (st == CLM_OK) {
            b->fn(b->user, &result);
        } else if (st == CLM_E_DEVMEM) { /* no reason to give up the others */
            clm_log(b->obs, CLM_LOG_WARN, "%s %s: %s", result.name, result.shape,
                    err != NULL ? err->text : clm_status_text(st));
            st = CLM_OK;
        }
    }
    return st;
}

clm_status clm_bench_ops(const clm_settings *s, const char *const *names, size_t n_names,
                         const clm_observer *obs, clm_device_limits *limits, clm_bench_op_fn fn,
                         void *user, clm_err *err)
{
    bench b = {.limits = limits, .obs = obs, .fn = fn, .user = user};
    clm_tuning *tuning = NULL;
    size_t n;
    const clm_op_desc *const *ops = clm_ops(&n);
    clm_status st = check_names(names, n_names, err);

    memset(limits, 0, sizeof *limits);
    if (st == CLM_OK) st = clm__bench_open_device(s, obs, &b.dev, err);
    if (st == CLM_OK && s->tuning_mode != CLM_TUNING_OFF)
        st = clm__tuning_load(clm_device_caps(b.dev), obs, &tuning, err);
    b.tuning = tuning;
    if (st == CLM_OK) st = clm_device_limits_measure(b.dev, limits, err);
    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        if (!wanted(ops[i], names, n_names, clm_device_caps(b.dev))) continue;
        clm_progress(obs, "timing operators", i, n);
        st = clm_device_read_measure(b.dev, &b.read_gbps, err);
        if (st == CLM_OK) st = time_shapes(&b, ops[i], err);
    }
    if (st == CLM_OK) clm_progress(obs, "timing operators", n, n);
    clm_tuning_close(tuning);
    clm_device_close(b.dev);
    return st;
}
