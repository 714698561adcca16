/* tuning/op_time.c: see tuning/op_time.h. */
#include "tuning/op_time.h"

#include <stdlib.h>

#include "host/clock.h"

/* Copies of a case's data on the device, at most so many and so much memory, and batches timed. */
enum { MAX_COPIES = 32, MAX_BATCHES = 64 };
static const uint64_t MAX_BYTES = (uint64_t)1 << 30, CACHE_UNKNOWN = (uint64_t)32 << 20;
/* A batch is long enough for launching not to count. */
static const double BATCH_SECONDS = 2e-3;

typedef struct run {
    const clm_op_desc *op;
    clm_device *dev;
    clm_case problem;
    clm_program *prog;
    clm_kernel *kernel;
    clm_buffer *bufs[MAX_COPIES][CLM_MAX_BUFFERS];
    size_t n_copies, next;
} run;

static void run_clear(run *r)
{
    for (size_t i = 0; i < MAX_COPIES; i++)
        for (size_t j = 0; j < CLM_MAX_BUFFERS; j++) clm_buffer_destroy(r->bufs[i][j]);
    clm_kernel_destroy(r->kernel);
    clm_program_destroy(r->prog);
    clm_case_clear(&r->problem);
}

static clm_status create_copies(run *r, clm_err *err)
{
    const uint64_t cache = clm_device_caps(r->dev)->global_cache;
    const uint64_t wanted = 3 * (cache > 0 ? cache : CACHE_UNKNOWN);
    uint64_t bytes = 0;
    clm_status st = CLM_OK;

    for (size_t j = 0; j < r->problem.n_bufs; j++)
        bytes += r->problem.bufs[j].count * clm_elem_bytes(r->problem.bufs[j].type);
    r->n_copies = (size_t)(wanted / (bytes + 1)) + 1;
    if (r->n_copies > MAX_COPIES) r->n_copies = MAX_COPIES;
    while (r->n_copies > 1 && r->n_copies * bytes > MAX_BYTES) r->n_copies--;
    for (size_t i = 0; i < r->n_copies; i++)
        for (size_t j = 0; j < r->problem.n_bufs && st == CLM_OK; j++) {
            const clm_case_buffer *b = &r->problem.bufs[j];
            st = clm_buffer_create(r->dev, b->type, b->count, &r->bufs[i][j], err);
            if (st == CLM_OK) st = clm_buffer_write(r->bufs[i][j], 0, b->count, b->data, err);
        }
    return st;
}

static clm_status launch(run *r, const int *params, size_t n, double *seconds, clm_err *err)
{
    const double start = clm_clock_seconds();
    clm_status st = CLM_OK;

    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        st = clm_op_launch(r->op, r->kernel, &r->problem.shape, params, r->bufs[r->next], err);
        r->next = (r->next + 1) % r->n_copies;
    }
    if (st == CLM_OK) st = clm_device_finish(r->dev, err);
    *seconds = (clm_clock_seconds() - start) / (double)n;
    return st;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static clm_status time_batches(run *r, const int *params, double budget_s, double *seconds,
                               clm_err *err)
{
    const double end = clm_clock_seconds() + budget_s;
    double batches[MAX_BATCHES];
    size_t n = 0, per_batch = 1;
    clm_status st = launch(r, params, 1, seconds, err); /* compiles and warms up */

    if (st == CLM_OK) st = launch(r, params, 1, seconds, err);
    if (st != CLM_OK) return st;
    if (*seconds < BATCH_SECONDS) per_batch = (size_t)(BATCH_SECONDS / (*seconds + 1e-7)) + 1;
    do {
        st = launch(r, params, per_batch, &batches[n++], err);
    } while (st == CLM_OK && n < MAX_BATCHES && clm_clock_seconds() < end);
    if (st != CLM_OK) return st;
    qsort(batches, n, sizeof *batches, compare_doubles);
    *seconds = (batches[(n - 1) / 2] + batches[n / 2]) / 2.0;
    return CLM_OK;
}

clm_status clm_op_time(const clm_op_desc *op, clm_device *dev, const clm_shape *shape,
                       const int *params, double budget_s, double *seconds, clm_err *err)
{
    run *r = calloc(1, sizeof *r);
    clm_status st;

    *seconds = 0.0;
    if (r == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", op->name);
    r->op = op;
    r->dev = dev;
    r->problem.shape = *shape;
    st = op->fill(&r->problem, 1, err);
    if (st == CLM_OK) st = clm_op_build(op, dev, shape, params, &r->prog, &r->kernel, err);
    if (st == CLM_OK) st = create_copies(r, err);
    if (st == CLM_OK) st = time_batches(r, params, budget_s, seconds, err);
    run_clear(r);
    free(r);
    return st;
}
