/* runtime/model/cl_kernels.c: see runtime/model/cl_kernels.h. */
#include "runtime/model/cl_kernels.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "host/grow.h"
#include "host/parallel.h"

typedef struct entry {
    const clm_op_desc *op;
    clm_shape shape; /* one that the kernel serves */
    clm_define defs[CLM_MAX_DEFINES];
    size_t n_defs;
    int params[CLM_MAX_AXES];
    clm_program *prog; /* NULL until built */
    clm_kernel *kernel;
} entry;

typedef struct plan {
    const clm_op_desc *op;
    clm_shape shape;
} plan;

struct clm_cl_kernels {
    clm_device *dev;
    const clm_tuning *tuning;
    entry *entries;
    size_t n, room, n_in_time; /* of them built by clm_cl_kernels_build() */
    plan *plans;
    size_t n_plans, plan_room;
};

clm_status clm_cl_kernels_create(clm_device *dev, const clm_tuning *tuning, clm_cl_kernels **out,
                                 clm_err *err)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) return clm_fail(err, CLM_E_NOMEM, "kernels: no memory");
    (*out)->dev = dev;
    (*out)->tuning = tuning;
    return CLM_OK;
}

void clm_cl_kernels_destroy(clm_cl_kernels *k)
{
    if (k == NULL) return;
    for (size_t i = 0; i < k->n; i++) {
        clm_kernel_destroy(k->entries[i].kernel);
        clm_program_destroy(k->entries[i].prog);
    }
    free(k->entries);
    free(k->plans);
    free(k);
}

static bool same_defines(const entry *a, const entry *b)
{
    if (a->op != b->op || a->n_defs != b->n_defs) return false;
    for (size_t i = 0; i < a->n_defs; i++)
        if (strcmp(a->defs[i].name, b->defs[i].name) != 0 || a->defs[i].value != b->defs[i].value)
            return false;
    return true;
}

static bool same_shape(const clm_shape *a, const clm_shape *b)
{
    return memcmp(a->v, b->v, sizeof a->v) == 0 && memcmp(a->f, b->f, sizeof a->f) == 0;
}

/* The entry that serves `op` at `shape`, made if there is none. */
static clm_status find_entry(clm_cl_kernels *k, const clm_op_desc *op, const clm_shape *shape,
                             entry **out, clm_err *err)
{
    entry wanted = {.op = op, .shape = *shape}, *grown;

    clm_tuning_params(k->tuning, op, shape, clm_device_caps(k->dev), wanted.params);
    wanted.n_defs = op->defines(shape, wanted.params, wanted.defs);
    for (size_t i = 0; i < k->n; i++)
        if (same_defines(&k->entries[i], &wanted)) {
            *out = &k->entries[i];
            return CLM_OK;
        }
    grown = clm_grow(k->entries, &k->room, k->n + 1, sizeof *grown);
    if (grown == NULL) return clm_fail(err, CLM_E_NOMEM, "kernels: no memory");
    k->entries = grown;
    k->entries[k->n] = wanted;
    *out = &k->entries[k->n++];
    return CLM_OK;
}

static clm_status add_plan(clm_cl_kernels *k, const clm_op_desc *op, const clm_shape *shape,
                           clm_err *err)
{
    plan *grown;

    for (size_t i = 0; i < k->n_plans; i++)
        if (k->plans[i].op == op && same_shape(&k->plans[i].shape, shape)) return CLM_OK;
    grown = clm_grow(k->plans, &k->plan_room, k->n_plans + 1, sizeof *grown);
    if (grown == NULL) return clm_fail(err, CLM_E_NOMEM, "kernels: no memory");
    k->plans = grown;
    k->plans[k->n_plans++] = (plan){op, *shape};
    return CLM_OK;
}

clm_status clm_cl_kernels_plan(clm_cl_kernels *k, const clm_op_desc *op, const clm_shape *shape,
                               clm_err *err)
{
    entry *e;
    clm_status st = add_plan(k, op, shape, err);

    return st != CLM_OK ? st : find_entry(k, op, shape, &e, err);
}

bool clm_cl_kernels_planned(const clm_cl_kernels *k, size_t index, const clm_op_desc **op,
                            clm_shape *shape)
{
    if (index >= k->n_plans) return false;
    *op = k->plans[index].op;
    *shape = k->plans[index].shape;
    return true;
}

/* Other values for a kernel that the driver does not build or run with those chosen: what the operator takes on a
 * device whose groups are smaller. `err` says what was wrong with the first ones, and stays when nothing helps. */
static clm_status build_smaller(clm_cl_kernels *k, entry *e, clm_err *err)
{
    clm_caps less = *clm_device_caps(k->dev);

    while (less.max_group_size > 1) {
        int params[CLM_MAX_AXES] = {0};

        less.max_group_size /= 2;
        e->op->defaults(&e->shape, &less, params);
        if (!e->op->valid(params, &e->shape, &less) ||
            memcmp(params, e->params, sizeof params) == 0)
            continue;
        memcpy(e->params, params, sizeof params);
        if (clm_op_build(e->op, k->dev, &e->shape, params, &e->prog, &e->kernel, NULL) != CLM_OK)
            continue;
        clm_log(clm_device_observer(k->dev), CLM_LOG_WARN,
                "%s runs with smaller groups, and perhaps slower: %s", e->op->name,
                err != NULL ? err->text : "the driver refuses those of its choice");
        return CLM_OK;
    }
    return CLM_E_BUILD;
}

static clm_status build(clm_cl_kernels *k, entry *e, clm_err *err)
{
    const clm_status st =
        clm_op_build(e->op, k->dev, &e->shape, e->params, &e->prog, &e->kernel, err);

    return st == CLM_E_BUILD ? build_smaller(k, e, err) : st;
}

/* Builds in progress; `done` is guarded by the mutex, which also keeps reports apart. */
typedef struct builds {
    clm_cl_kernels *k;
    pthread_mutex_t mutex;
    size_t done;
} builds;

static clm_status build_one(void *user, size_t index, clm_err *err)
{
    builds *b = user;
    entry *e = &b->k->entries[index];
    clm_status st = e->kernel == NULL ? build(b->k, e, err) : CLM_OK;

    pthread_mutex_lock(&b->mutex);
    if (st == CLM_OK)
        clm_progress(clm_device_observer(b->k->dev), "compiling kernels", ++b->done, b->k->n);
    pthread_mutex_unlock(&b->mutex);
    return st;
}

clm_status clm_cl_kernels_build(clm_cl_kernels *k, clm_err *err)
{
    builds b = {.k = k};
    clm_status st;

    clm_progress(clm_device_observer(k->dev), "compiling kernels", 0, k->n);
    if (pthread_mutex_init(&b.mutex, NULL) != 0)
        return clm_fail(err, CLM_E_NOMEM, "kernels: no memory");
    st = clm_parallel_for(k->n, build_one, &b, err);
    pthread_mutex_destroy(&b.mutex);
    if (st == CLM_OK) k->n_in_time = k->n;
    return st;
}

size_t clm_cl_kernels_late(const clm_cl_kernels *k)
{
    return k->n - k->n_in_time;
}

bool clm_cl_kernels_warm(const clm_cl_kernels *k)
{
    for (size_t i = 0; i < k->n; i++)
        if (k->entries[i].prog != NULL && !clm_program_warm(k->entries[i].prog)) return false;
    return true;
}

void clm_cl_kernels_set_warm(clm_cl_kernels *k)
{
    for (size_t i = 0; i < k->n; i++)
        if (k->entries[i].prog != NULL) clm_program_set_warm(k->entries[i].prog);
}

clm_status clm_cl_kernels_launch(clm_cl_kernels *k, const clm_op_desc *op, const clm_shape *shape,
                                 clm_buffer *const *bufs, clm_err *err)
{
    entry *e = NULL;
    clm_status st = find_entry(k, op, shape, &e, err);

    if (st == CLM_OK && e->kernel == NULL) st = build(k, e, err);
    if (st == CLM_OK) st = clm_op_launch(op, e->kernel, shape, e->params, bufs, err);
    return st;
}

clm_status clm_cl_kernels_bind(clm_cl_kernels *k, const clm_op_desc *op, const clm_shape *shape,
                               clm_buffer *const *bufs, clm_cl_launch *out, clm_err *err)
{
    entry *e = NULL;
    clm_status st = find_entry(k, op, shape, &e, err);

    out->kernel = NULL;
    if (st == CLM_OK && e->kernel == NULL) st = build(k, e, err);
    if (st == CLM_OK) st = clm_kernel_create(e->prog, op->entry, &out->kernel, err);
    if (st == CLM_OK) st = op->bind(out->kernel, shape, e->params, bufs, &out->range, err);
    return st;
}
