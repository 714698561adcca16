/* runtime/model/backend_cl.c: the transformer's operations on an OpenCL device. See backend.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/model/backend_cl_impl.h"
#include "runtime/model/shapes.h"
#include "runtime/model/tune_dirs.h"
#include "runtime/ops/act.h"
#include "runtime/ops/op_add.h"
#include "runtime/ops/op_argmax.h"
#include "runtime/ops/op_embed.h"
#include "runtime/ops/op_kv_store.h"
#include "runtime/ops/op_rmsnorm.h"
#include "runtime/ops/op_rope.h"
#include "runtime/ops/op_swiglu.h"

static clm_backend_cl *self(clm_backend *b)
{
    return (clm_backend_cl *)b;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void cl_destroy(clm_backend *base)
{
    clm_backend_cl *b = self(base);

    if (b == NULL) return;
    while (b->n_seqs > 0) clm__cl_drop_sequence(base);
    free(b->layers);
    free(b->plans);
    clm__cl_rows_destroy(b->rows, b->batch);
    clm_buffer_destroy(b->slopes);
    clm_buffer_destroy(b->rope);
    clm_buffer_destroy(b->unused);
    clm_buffer_destroy(b->dense);
    clm__cl_act_clear(&b->act);
    clm_buffer_destroy(b->act_bf16);
    clm_buffer_destroy(b->sums);
    clm_buffer_destroy(b->gathered.buf);
    clm_cl_kernels_destroy(b->kernels);
    clm_tuning_close(b->tuning);
    clm_device_close(b->dev);
    free(b);
}

static void cl_describe(const clm_backend *base, char *out, size_t room)
{
    const clm_caps *caps = clm_device_caps(((const clm_backend_cl *)base)->dev);
    snprintf(out, room, "%s (%s)", caps->name, caps->platform_name);
}

static void cl_usage(const clm_backend *base, uint64_t *weight_bytes, uint64_t *kv_bytes)
{
    *weight_bytes = ((const clm_backend_cl *)base)->weight_bytes;
    *kv_bytes = ((const clm_backend_cl *)base)->kv_bytes;
}

static bool cl_warm(const clm_backend *base)
{
    return clm_cl_kernels_warm(((const clm_backend_cl *)base)->kernels);
}

static void cl_set_warm(clm_backend *base)
{
    clm_cl_kernels_set_warm(self(base)->kernels);
}

/* ---- weights and memory ---------------------------------------------------------------------- */

static clm_status load(clm_backend_cl *b, const clm_stack *stack, clm_weight **out, clm_err *err)
{
    clm_status st = clm_cl_weight_create(b->dev, stack, out, err);

    if (st == CLM_OK) b->weight_bytes += (*out)->bytes;
    return st;
}

static clm_status cl_load_matrix(clm_backend *base, const clm_tensor *t, clm_weight **out,
                                 clm_err *err)
{
    const clm_stack stack = {.parts = {t}, .n = 1};

    return load(self(base), &stack, out, err);
}

static clm_status cl_load_stack(clm_backend *base, const clm_tensor *const *parts, size_t n,
                                bool tiled, clm_weight **out, clm_err *err)
{
    clm_stack stack = {.n = n, .tiled = tiled};

    *out = NULL;
    if (n > CLM_STACK_MAX || self(base)->plain) return CLM_OK;
    for (size_t i = 0; i < n; i++) stack.parts[i] = parts[i];
    if (!clm_stack_possible(&stack)) return CLM_OK;
    return load(self(base), &stack, out, err);
}

static clm_status cl_load_vector(clm_backend *base, const clm_tensor *t, clm_weight **out,
                                 clm_err *err)
{
    clm_status st = clm_cl_vector_create(self(base)->dev, t, out, err);
    if (st == CLM_OK) self(base)->weight_bytes += (*out)->bytes;
    return st;
}

static void cl_unload(clm_backend *base, clm_weight *w)
{
    (void)base;
    clm_cl_weight_destroy(w);
}

clm_status clm__cl_act_create(clm_device *dev, size_t rows, size_t columns, clm_cl_act *act,
                              clm_err *err)
{
    const size_t groups = columns / CLM_ACT_GROUP > 0 ? rows * (columns / CLM_ACT_GROUP) : 1;
    clm_status st = clm_buffer_create(dev, CLM_ELEM_I8, rows * columns, &act->q, err);

    if (st == CLM_OK) st = clm_buffer_create(dev, CLM_ELEM_F32, groups, &act->d, err);
    if (st == CLM_OK) st = clm_buffer_create(dev, CLM_ELEM_I32, groups, &act->s, err);
    return st;
}

void clm__cl_act_clear(clm_cl_act *act)
{
    clm_buffer_destroy(act->q);
    clm_buffer_destroy(act->d);
    clm_buffer_destroy(act->s);
}

static clm_status cl_vec_create(clm_backend *base, size_t count, bool ids, clm_vec **out,
                                clm_err *err)
{
    clm_vec *v = calloc(1, sizeof *v);
    clm_status st;

    *out = NULL;
    if (v == NULL) return clm_fail(err, CLM_E_NOMEM, "activations: no memory");
    st = clm_buffer_create(self(base)->dev, ids ? CLM_ELEM_I32 : CLM_ELEM_F32, count, &v->buf, err);
    if (st != CLM_OK) {
        free(v);
        return clm_fail_context(err, st, "activations (try a smaller batch_size)");
    }
    *out = v;
    return CLM_OK;
}

static void cl_vec_destroy(clm_backend *base, clm_vec *v)
{
    clm_backend_cl *b = self(base);

    if (v == NULL) return;
    if (b->panels == v) b->panels = NULL;
    clm_buffer_destroy(v->buf);
    free(v);
}

static clm_status cl_write_ids(clm_backend *base, clm_vec *v, const int *ids, size_t count,
                               clm_err *err)
{
    (void)base;
    if (count == 1) return clm_buffer_set_i32(v->buf, ids[0], err);
    return clm_buffer_write(v->buf, 0, count, ids, err);
}

static clm_status cl_write(clm_backend *base, clm_vec *v, const float *from, size_t count,
                           clm_err *err)
{
    (void)base;
    return clm_buffer_write(v->buf, 0, count, from, err);
}

static clm_status cl_read(clm_backend *base, const clm_vec *v, size_t first, size_t count,
                          float *out, clm_err *err)
{
    (void)base;
    return clm_buffer_read(v->buf, first, count, out, err);
}

static clm_status cl_read_id(clm_backend *base, const clm_vec *v, size_t at, int *out, clm_err *err)
{
    (void)base;
    return clm_buffer_read(v->buf, at, 1, out, err);
}

static clm_status cl_flush(clm_backend *base, clm_err *err)
{
    return clm_device_flush(self(base)->dev, err);
}

static clm_status cl_finish(clm_backend *base, clm_err *err)
{
    return clm_device_finish(self(base)->dev, err);
}

/* ---- operations ------------------------------------------------------------------------------ */

clm_buffer *clm__cl_or_unused(const clm_backend_cl *b, clm_buffer *buf)
{
    return buf != NULL ? buf : b->unused;
}

static clm_status cl_embed(clm_backend *base, const clm_weight *table, const clm_vec *ids, size_t m,
                           clm_vec *out, clm_err *err)
{
    clm_backend_cl *b = self(base);
    clm_status st = CLM_OK;

    for (size_t i = 0; i < table->n_parts && st == CLM_OK; i++) {
        const clm_cl_part *p = &table->parts[i];
        clm_shape s =
            clm__cl_embed_shape(&table->layout, m, p->row0, p->rows, table->layout.columns);
        clm_buffer *bufs[] = {p->q, clm__cl_or_unused(b, p->scale), clm__cl_or_unused(b, p->min),
                              ids->buf, out->buf};
        st = clm_cl_kernels_launch(b->kernels, &clm_op_embed, &s, bufs, err);
    }
    return st;
}

/* Where rmsnorm or swiglu writes the rows of y. */
static clm_buffer *place_of(clm_backend_cl *b, const clm_vec *y, enum clm_act_out out)
{
    if (out != CLM_ACT_OUT_F32) {
        b->panels = y;
        return b->act_bf16;
    }
    if (b->panels == y) b->panels = NULL;
    return y->buf;
}

static clm_status cl_rmsnorm(clm_backend *base, const clm_vec *x, size_t x_row0, size_t m,
                             size_t dim, const clm_weight *w, float eps, clm_vec *y,
                             const clm_readers *readers, clm_err *err)
{
    clm_backend_cl *b = self(base);
    const enum clm_act_out out = clm__cl_out_for(b, readers, m);
    const clm_shape s = clm_shape_rmsnorm(m, dim, x_row0, eps, out);
    clm_buffer *bufs[] = {x->buf, w->vector, place_of(b, y, out)};

    return clm_cl_kernels_launch(b->kernels, &clm_op_rmsnorm, &s, bufs, err);
}

static clm_status cl_rope(clm_backend *base, const clm_qkv *qkv, size_t m, size_t pos0,
                          clm_err *err)
{
    clm_backend_cl *b = self(base);
    const size_t dims = b->hp->rope_dims;
    const clm_shape q = clm_shape_rope(&b->kv, dims, qkv, m, 0, b->kv.n_heads, pos0);
    const clm_shape k = clm_shape_rope(&b->kv, dims, qkv, m, qkv->k_off, b->kv.n_kv_heads, pos0);
    clm_buffer *bufs[] = {qkv->x->buf, b->rope};
    clm_status st = clm_cl_kernels_launch(b->kernels, &clm_op_rope, &q, bufs, err);

    return st != CLM_OK ? st : clm_cl_kernels_launch(b->kernels, &clm_op_rope, &k, bufs, err);
}

static clm_status cl_kv_store(clm_backend *base, size_t seq, size_t layer, const clm_qkv *qkv,
                              size_t m, size_t pos0, clm_err *err)
{
    clm_backend_cl *b = self(base);
    const clm_cl_kv *l = clm__cl_kv_of(b, seq, layer);
    const clm_shape s = clm_shape_kv_store(&b->kv, qkv, m, pos0);
    clm_buffer *bufs[] = {
        qkv->x->buf, l->k, l->v, clm__cl_or_unused(b, l->k_scale), clm__cl_or_unused(b, l->v_scale),
        l->k_max};

    return clm_cl_kernels_launch(b->kernels, &clm_op_kv_store, &s, bufs, err);
}

static clm_status cl_attention(clm_backend *base, size_t seq, size_t layer, const clm_qkv *qkv,
                               size_t m, size_t pos0, clm_vec *out, clm_err *err)
{
    clm_backend_cl *b = self(base);
    const clm_cl_kv *l = clm__cl_kv_of(b, seq, layer);
    const clm_shape s = clm_shape_attention(&b->kv, qkv, m, pos0);
    clm_buffer *bufs[] = {qkv->x->buf,
                          l->k,
                          l->v,
                          clm__cl_or_unused(b, l->k_scale),
                          clm__cl_or_unused(b, l->v_scale),
                          l->k_max,
                          b->slopes,
                          out->buf};

    return clm_cl_kernels_launch(b->kernels, clm__cl_attention_of(b, m), &s, bufs, err);
}

static clm_status cl_swiglu(clm_backend *base, const clm_vec *gu, size_t m, size_t ffn, bool tiled,
                            clm_vec *out, const clm_readers *readers, clm_err *err)
{
    clm_backend_cl *b = self(base);
    const enum clm_act_out form = clm__cl_out_for(b, readers, m);
    const clm_shape s = clm_shape_swiglu(m, ffn, tiled, form);
    clm_buffer *bufs[] = {gu->buf, place_of(b, out, form)};

    return clm_cl_kernels_launch(b->kernels, &clm_op_swiglu, &s, bufs, err);
}

static clm_status cl_add(clm_backend *base, clm_vec *x, const clm_vec *y, size_t count,
                         clm_err *err)
{
    const clm_shape s = clm_shape_add(count);
    clm_buffer *bufs[] = {x->buf, y->buf};

    return clm_cl_kernels_launch(self(base)->kernels, &clm_op_add, &s, bufs, err);
}

static clm_status cl_argmax(clm_backend *base, const clm_vec *logits, size_t first, size_t n,
                            clm_vec *out, clm_err *err)
{
    const clm_shape s = clm_shape_argmax(first, n);
    clm_buffer *bufs[] = {logits->buf, out->buf};

    return clm_cl_kernels_launch(self(base)->kernels, &clm_op_argmax, &s, bufs, err);
}

/* ---- creation -------------------------------------------------------------------------------- */

static const clm_backend_ops ops = {
    .destroy = cl_destroy,
    .describe = cl_describe,
    .prepare = clm__cl_prepare,
    .add_sequence = clm__cl_add_sequence,
    .drop_sequence = clm__cl_drop_sequence,
    .load_matrix = cl_load_matrix,
    .load_vector = cl_load_vector,
    .load_stack = cl_load_stack,
    .unload = cl_unload,
    .vec_create = cl_vec_create,
    .vec_destroy = cl_vec_destroy,
    .write_ids = cl_write_ids,
    .write = cl_write,
    .read = cl_read,
    .read_id = cl_read_id,
    .embed = cl_embed,
    .rmsnorm = cl_rmsnorm,
    .matmul = clm__cl_matmul,
    .rope = cl_rope,
    .kv_store = cl_kv_store,
    .attention = cl_attention,
    .attention_rows = clm__cl_attention_rows,
    .swiglu = cl_swiglu,
    .add = cl_add,
    .argmax = cl_argmax,
    .decode = clm__cl_decode,
    .flush = cl_flush,
    .finish = cl_finish,
    .usage = cl_usage,
    .warm = cl_warm,
    .set_warm = cl_set_warm,
};

/* Int8 activations where they are asked for, or where the device has more than plain multiplications
 * for them. */
static bool choose_int8(const clm_cl_options *options, const clm_caps *caps)
{
    if (options->kernels == CLM_KERNELS_PLAIN || options->activations == CLM_ACT_F32) return false;
    return options->activations == CLM_ACT_INT8 || caps->dot != CLM_DOT_PLAIN;
}

/* Tiles round activations less than int8 does, so they are left only to those who ask for one or the
 * other. */
static clm_cl_tiles choose_tiles(const clm_cl_options *options, const clm_caps *caps)
{
    if (options->kernels == CLM_KERNELS_PLAIN || options->activations != CLM_ACT_AUTO)
        return CLM_CL_TILES_NONE;
    if (caps->amx) return CLM_CL_TILES_AMX;
    return caps->mma != CLM_MMA_NONE ? CLM_CL_TILES_MMA : CLM_CL_TILES_NONE;
}

clm_status clm_backend_cl_create(const clm_cl_options *options, const clm_observer *obs,
                                 clm_backend **out, clm_err *err)
{
    clm_backend_cl *b = calloc(1, sizeof *b);
    clm_status st;

    *out = NULL;
    if (b == NULL) return clm_fail(err, CLM_E_NOMEM, "backend: no memory");
    b->base.ops = &ops;
    b->obs = obs;
    st = clm_device_open(options->device, obs, &b->dev, err);
    if (st == CLM_OK && options->tuning != CLM_TUNING_OFF)
        st = clm__tuning_load(clm_device_caps(b->dev), obs, &b->tuning, err);
    if (st == CLM_OK) st = clm_cl_kernels_create(b->dev, b->tuning, &b->kernels, err);
    if (st != CLM_OK) goto out;
    b->plain = options->kernels == CLM_KERNELS_PLAIN;
    b->int8 = choose_int8(options, clm_device_caps(b->dev));
    b->tiles = choose_tiles(options, clm_device_caps(b->dev));
    *out = &b->base;
    b = NULL;
out:
    if (b != NULL) cl_destroy(&b->base);
    return st;
}
