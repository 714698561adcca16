/* tuning/user_kernel.c: see tuning/user_kernel.h. */
#include "tuning/user_kernel.h"

#include <stdlib.h>
#include <string.h>

#include "host/file.h"
#include "tuning/report.h"
#include "tuning/space.h"
#include "tuning/user_kernel_impl.h"

enum { MAX_FILE = 4 << 20 };

static const clm_user_kernel *self(const clm_shape *shape)
{
    return shape->user;
}

clm_status clm__user_eval(const clm_user_kernel *k, const char *text, const int *params,
                          int64_t *out, clm_err *err)
{
    clm_expr_name names[CLM_MAX_DIMS + CLM_MAX_AXES];
    size_t n = 0;

    for (size_t i = 0; i < k->op.n_dims; i++)
        names[n++] = (clm_expr_name){k->sizes[i], k->shape.v[i]};
    for (size_t i = 0; i < k->op.n_axes; i++)
        names[n++] = (clm_expr_name){k->axes[i].name, params[i]};
    return clm_expr_eval(text, names, n, out, err);
}

static clm_status make_range(const clm_user_kernel *k, const clm_user_launch *l, const int *params,
                             clm_range *out, clm_err *err)
{
    *out = (clm_range){.dims = l->dims};
    for (size_t i = 0; i < l->dims; i++) {
        int64_t global, local;
        clm_status st = clm__user_eval(k, l->global[i], params, &global, err);

        if (st == CLM_OK) st = clm__user_eval(k, l->local[i], params, &local, err);
        if (st != CLM_OK) return st;
        if (global < 1 || local < 1 || global > INT64_C(1) << 40 || local > 1 << 20)
            return clm_fail(err, CLM_E_CONFIG, "work size %lld, work-group size %lld",
                            (long long)global, (long long)local);
        out->global[i] = (size_t)global;
        out->local[i] = (size_t)local;
    }
    return CLM_OK;
}

/* ---- The descriptor's functions -------------------------------------------------------------- */

static bool valid(const int *params, const clm_shape *shape, const clm_caps *caps)
{
    const clm_user_kernel *k = self(shape);
    clm_range range;
    size_t items = 1;

    for (size_t i = 0; i < k->n_constraints; i++) {
        int64_t holds;

        if (clm__user_eval(k, k->constraints[i], params, &holds, NULL) != CLM_OK || holds == 0)
            return false;
    }
    if (make_range(k, &k->launch, params, &range, NULL) != CLM_OK) return false;
    for (size_t i = 0; i < range.dims; i++) {
        if (range.local[i] > caps->max_item_sizes[i]) return false;
        items *= range.local[i];
    }
    return items <= caps->max_group_size;
}

static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    const clm_user_kernel *k = self(shape);

    (void)caps;
    for (size_t i = 0; i < k->op.n_axes; i++) params[i] = k->values[i][0];
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    const clm_user_kernel *k = self(shape);
    size_t n = 0;

    for (size_t i = 0; i < k->op.n_dims; i++) defs[n++] = (clm_define){k->sizes[i], k->shape.v[i]};
    for (size_t i = 0; i < k->op.n_axes; i++) defs[n++] = (clm_define){k->axes[i].name, params[i]};
    return n;
}

static clm_status set_args(const clm_user_kernel *k, clm_kernel *kernel, const int *params,
                           clm_buffer *const *bufs, clm_err *err)
{
    clm_arg args[CLM_USER_MAX_ARGS];
    size_t n_bufs = 0;

    for (size_t i = 0; i < k->n_args; i++) {
        const clm_user_arg *a = &k->args[i];
        int64_t value = 0;

        if (a->kind == CLM_USER_BUFFER) {
            args[i] = CLM_BUF(bufs[n_bufs++]);
        } else if (a->kind == CLM_USER_FLOAT) {
            args[i] = CLM_F32(a->number);
        } else {
            clm_status st = clm__user_eval(k, a->value, params, &value, err);

            if (st != CLM_OK) return st;
            args[i] = CLM_I32(value);
        }
    }
    return clm_kernel_set_args(kernel, args, k->n_args, err);
}

static clm_status bind(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err)
{
    const clm_user_kernel *k = self(shape);
    clm_status st = make_range(k, &k->launch, params, range, err);

    return st != CLM_OK ? st : set_args(k, kernel, params, bufs, err);
}

static void fill_buffer(const clm_user_arg *a, void *data, size_t count)
{
    uint64_t rng = a->seed;

    for (size_t i = 0; i < count; i++) {
        const double unit = (double)(clm_space_next(&rng) >> 11) * 0x1p-53;
        const double v = a->low + unit * (a->high - a->low);

        switch (a->type) {
        case CLM_ELEM_F32:
            ((float *)data)[i] = (float)v;
            break;
        case CLM_ELEM_I32:
            ((int32_t *)data)[i] = (int32_t)v;
            break;
        case CLM_ELEM_I8:
        case CLM_ELEM_U8:
            ((unsigned char *)data)[i] = (unsigned char)(int)v;
            break;
        case CLM_ELEM_F16: /* exponents 2^-2 to 2^1, all mantissas and signs */
            ((uint16_t *)data)[i] = (uint16_t)((rng >> 20 & 0x83FF) | (13 + (rng >> 40 & 3)) << 10);
            break;
        case CLM_ELEM_BF16: {
            const float f = (float)v;
            uint32_t bits;

            memcpy(&bits, &f, sizeof bits);
            ((uint16_t *)data)[i] = (uint16_t)(bits >> 16);
            break;
        }
        }
    }
}

/* The reference kernel's outputs, on the device, in `expected`. */
static clm_status run_reference(const clm_user_kernel *k, clm_case *c, clm_err *err)
{
    clm_buffer *bufs[CLM_MAX_BUFFERS] = {NULL};
    clm_define defs[CLM_MAX_DEFINES];
    clm_program *prog = NULL;
    clm_kernel *kernel = NULL;
    clm_range range;
    int params[CLM_MAX_AXES] = {0};
    clm_status st;

    defaults(&c->shape, NULL, params);
    st = make_range(k, &k->reference, params, &range, err);
    if (st == CLM_OK)
        st = clm_program_create_text(k->dev, k->op.name, k->text, defs,
                                     defines(&c->shape, params, defs), &prog, err);
    if (st == CLM_OK) st = clm_kernel_create(prog, k->reference.entry, &kernel, err);
    for (size_t i = 0; i < c->n_bufs && st == CLM_OK; i++)
        st = clm_case_stage(k->dev, &c->bufs[i], &bufs[i], err);
    if (st == CLM_OK) st = set_args(k, kernel, params, bufs, err);
    if (st == CLM_OK) st = clm_kernel_enqueue(kernel, &range, err);
    if (st == CLM_OK) st = clm_device_finish(k->dev, err);
    for (size_t i = 0; i < c->n_bufs && st == CLM_OK; i++)
        if (c->bufs[i].role != CLM_CASE_IN) {
            st = clm_buffer_read(bufs[i], 0, c->bufs[i].count, c->bufs[i].expected, err);
            if (st == CLM_OK) st = clm_case_guards(&k->op, &c->bufs[i], bufs[i], err);
        }
    for (size_t i = 0; i < c->n_bufs; i++) clm_buffer_destroy(bufs[i]);
    clm_kernel_destroy(kernel);
    clm_program_destroy(prog);
    return st == CLM_OK ? st : clm_fail_context(err, st, "reference kernel");
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const clm_user_kernel *k = self(&c->shape);
    int params[CLM_MAX_AXES] = {0};

    (void)seed; /* each buffer has its own */
    defaults(&c->shape, NULL, params);
    for (size_t i = 0; i < k->n_args; i++) {
        const clm_user_arg *a = &k->args[i];
        int64_t count;
        void *data;
        clm_status st;

        if (a->kind != CLM_USER_BUFFER) continue;
        st = clm__user_eval(k, a->value, params, &count, err);
        if (st != CLM_OK) return st;
        if (count < 1 || count > INT64_C(1) << 36)
            return clm_fail(err, CLM_E_CONFIG, "buffer %s: %lld elements", a->name,
                            (long long)count);
        data = clm_case_add(c, a->name, a->type, (size_t)count,
                            a->output ? CLM_CASE_OUT : CLM_CASE_IN);
        if (data == NULL) return clm_fail(err, CLM_E_NOMEM, "buffer %s: no memory", a->name);
        if (!a->output) fill_buffer(a, data, (size_t)count);
    }
    return k->dev != NULL ? run_reference(k, c, err) : CLM_OK;
}

/* fill() has done it: it can fail, this cannot. */
static void reference(clm_case *c)
{
    (void)c;
}

static double amount(const clm_user_kernel *k, const char *text)
{
    int params[CLM_MAX_AXES] = {0};
    int64_t v = 0;

    defaults(&k->shape, NULL, params);
    if (text == NULL || clm__user_eval(k, text, params, &v, NULL) != CLM_OK) return 0.0;
    return (double)v;
}

static double bytes_moved(const clm_shape *shape)
{
    return amount(self(shape), self(shape)->bytes);
}

static double flops(const clm_shape *shape)
{
    return amount(self(shape), self(shape)->flops);
}

/* ---- Life ------------------------------------------------------------------------------------ */

/* Every expression once, so that a wrong name is found before anything runs. */
static clm_status check_expressions(const clm_user_kernel *k, clm_err *err)
{
    int params[CLM_MAX_AXES] = {0};
    clm_range range;
    int64_t value;
    clm_status st;

    defaults(&k->shape, NULL, params);
    st = make_range(k, &k->launch, params, &range, err);
    if (st == CLM_OK) st = make_range(k, &k->reference, params, &range, err);
    for (size_t i = 0; i < k->n_constraints && st == CLM_OK; i++) {
        st = clm__user_eval(k, k->constraints[i], params, &value, err);
        if (st == CLM_OK && value == 0)
            st = clm_fail(err, CLM_E_CONFIG,
                          "the default, the first value of each parameter, breaks '%.100s'",
                          k->constraints[i]);
    }
    for (size_t i = 0; i < k->n_args && st == CLM_OK; i++)
        if (k->args[i].value != NULL) st = clm__user_eval(k, k->args[i].value, params, &value, err);
    return st;
}

/* `bytes` or `flops`: what a database can hold. */
static clm_status check_amount(const clm_user_kernel *k, const char *key, clm_err *err)
{
    const clm_yaml_node *node = clm_yaml_find(clm_yaml_root(k->doc), key);
    int params[CLM_MAX_AXES] = {0};
    int64_t value;
    clm_err why;

    if (node == NULL) return CLM_OK;
    defaults(&k->shape, NULL, params);
    if (clm__user_eval(k, clm_yaml_text(node, NULL), params, &value, &why) != CLM_OK)
        return clm_yaml_fail(node, err, "%s", why.text);
    if (value >= 0 && (double)value <= CLM_TUNE_MAX_AMOUNT) return CLM_OK;
    return clm_yaml_fail(node, err, "it is %lld; 0 to %g are expected", (long long)value,
                         CLM_TUNE_MAX_AMOUNT);
}

static void set_op(clm_user_kernel *k)
{
    k->shape.user = k;
    k->op.name = k->op.entry = k->launch.entry;
    k->op.text = k->text;
    k->op.space = k->space;
    k->op.dims = k->sizes;
    k->op.axes = k->axes;
    k->op.valid = valid;
    k->op.defaults = defaults;
    k->op.defines = defines;
    k->op.fill = fill;
    k->op.reference = reference;
    k->op.bind = bind;
    k->op.bytes_moved = bytes_moved;
    k->op.flops = flops;
    k->op.tune_shapes = &k->shape;
    k->op.n_tune_shapes = 1;
}

clm_status clm_user_kernel_load(const char *kernel_path, const char *space_path,
                                clm_user_kernel **out, clm_err *err)
{
    clm_user_kernel *k = calloc(1, sizeof *k);
    size_t size;
    clm_status st;

    *out = NULL;
    if (k == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", kernel_path);
    st = clm_file_read(kernel_path, MAX_FILE, &k->text, &size, err);
    if (st == CLM_OK && strlen(k->text) != size)
        st = clm_fail(err, CLM_E_CONFIG, "%s: no text, it holds a NUL", kernel_path);
    if (st == CLM_OK) st = clm_file_read(space_path, MAX_FILE, &k->space, &size, err);
    if (st == CLM_OK) st = clm_yaml_parse(space_path, k->space, size, &k->doc, err);
    if (st == CLM_OK) st = clm__user_kernel_read(k, err);
    if (st == CLM_OK) {
        set_op(k);
        st = check_expressions(k, err);
        if (st != CLM_OK) clm_fail_context(err, st, "%s", space_path);
    }
    if (st == CLM_OK) st = check_amount(k, "bytes", err);
    if (st == CLM_OK) st = check_amount(k, "flops", err);
    if (st != CLM_OK) {
        clm_user_kernel_destroy(k);
        return st;
    }
    *out = k;
    return CLM_OK;
}

void clm_user_kernel_destroy(clm_user_kernel *k)
{
    if (k == NULL) return;
    clm_yaml_destroy(k->doc);
    free(k->text);
    free(k->space);
    free(k);
}

void clm_user_kernel_attach(clm_user_kernel *k, clm_device *dev)
{
    k->dev = dev;
}

const clm_op_desc *clm_user_kernel_op(const clm_user_kernel *k)
{
    return &k->op;
}

const clm_shape *clm_user_kernel_shape(const clm_user_kernel *k)
{
    return &k->shape;
}
