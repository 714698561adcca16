/* runtime/bench_ops.c: the table of operators, timed one by one. See runtime/bench.h. */
#include <stdio.h>
#include <string.h>

#include "runtime/bench.h"
#include "runtime/bench_impl.h"
#include "runtime/model/tune_dirs.h"
#include "runtime/ops/ops.h"
#include "tuning/op_time.h"

/* Time for one operator at one shape. */
static const double OP_SECONDS = 0.15;

static void describe_shape(const clm_op_desc *op, const clm_shape *shape, char *out, size_t room)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < op->n_dims && used < room; i++)
        used += (size_t)snprintf(out + used, room - used, "%s%s=%d", i > 0 ? " " : "", op->dims[i],
                                 shape->v[i]);
}

static clm_status time_op(const clm_op_desc *op, clm_device *dev, const clm_shape *shape,
                          const clm_device_limits *limits, clm_bench_op *out, clm_err *err)
{
    int params[CLM_MAX_AXES];
    clm_status st;

    memset(out, 0, sizeof *out);
    out->name = op->name;
    describe_shape(op, shape, out->shape, sizeof out->shape);
    op->defaults(shape, clm_device_caps(dev), params);
    st = clm_op_time(op, dev, shape, params, OP_SECONDS, &out->seconds, err);
    out->work = (clm_bench_work){op->bytes_moved(shape), op->flops(shape)};
    out->share =
        clm_bench_share_of(&out->work, out->seconds, limits->read_gbps, clm_bench_gops(limits));
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
static clm_status time_shapes(const clm_op_desc *op, clm_device *dev, const clm_observer *obs,
                              const clm_device_limits *limits, clm_bench_op_fn fn, void *user,
                              clm_err *err)
{
    clm_status st = CLM_OK;
    clm_bench_op result;

    for (size_t i = 0; i < op->n_tune_shapes && st == CLM_OK; i++) {
        const clm_shape shape = clm_op_tune_shape(op, i, clm_device_caps(dev));

        st = time_op(op, dev, &shape, limits, &result, err);
        if (st == CLM_OK) {
            fn(user, &result);
        } else if (st == CLM_E_DEVMEM) { /* no reason to give up the others */
            clm_log(obs, CLM_LOG_WARN, "%s %s: %s", result.name, result.shape,
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
    clm_device *dev = NULL;
    size_t n;
    const clm_op_desc *const *ops = clm_ops(&n);
    clm_status st = check_names(names, n_names, err);

    memset(limits, 0, sizeof *limits);
    if (st == CLM_OK) st = clm__bench_open_device(s, obs, &dev, err);
    if (st == CLM_OK) st = clm_device_limits_measure(dev, limits, err);
    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        if (!wanted(ops[i], names, n_names, clm_device_caps(dev))) continue;
        clm_progress(obs, "timing operators", i, n);
        st = time_shapes(ops[i], dev, obs, limits, fn, user, err);
    }
    if (st == CLM_OK) clm_progress(obs, "timing operators", n, n);
    clm_device_close(dev);
    return st;
}
