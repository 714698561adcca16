/* runtime/model/backend_ref.c: the transformer's operations in plain C: the operators' references
 * (runtime/ops/ref.h), and matrices read from the model file row by row as their format defines
 * them, so that repacking for devices is not part of the oracle. See backend.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/model/backend.h"
#include "runtime/model/shapes.h"
#include "runtime/ops/attention_case.h"
#include "runtime/ops/op_kv_store.h"
#include "runtime/ops/op_rope.h"
#include "runtime/ops/op_swiglu.h"
#include "runtime/ops/ref.h"

/* Rows of a matrix read at a time: formats with packed columns are read best so. */
enum { MATMUL_ROWS = 16 };

struct clm_vec {
    void *data; /* float or int32_t */
    size_t count;
    bool ids;
};

struct clm_weight {
    const clm_tensor *t;
    float *vector; /* [cols] for vectors, else NULL */
};

typedef struct kv_layer {
    void *k, *v;
    uint16_t *k_scale, *v_scale; /* int8 only */
    float *k_max;
} kv_layer;

typedef struct backend_ref {
    clm_backend base;
    const clm_hparams *hp;
    clm_part part;
    clm_kv_shape kv;
    kv_layer *layers; /* [n_seqs][part.n] */
    size_t n_seqs;
    float *slopes, *rope;
    float *rows; /* MATMUL_ROWS rows of the widest matrix */
    size_t columns_room;
    uint64_t weight_bytes, kv_bytes;
} backend_ref;

static backend_ref *self(clm_backend *b)
{
    return (backend_ref *)b;
}

/* A buffer of a case over memory that is changed in place. */
static clm_case_buffer in_place(clm_elem type, void *data, size_t count)
{
    return (clm_case_buffer){.name = "",
                             .type = type,
                             .count = count,
                             .role = CLM_CASE_INOUT,
                             .data = data,
                             .expected = data};
}

static clm_case_buffer floats(const clm_vec *v, size_t count)
{
    return in_place(CLM_ELEM_F32, v->data, count);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Of one sequence. */
static void clear_cache(const backend_ref *b, kv_layer *layers)
{
    for (size_t i = 0; i < b->part.n; i++) {
        free(layers[i].k);
        free(layers[i].v);
        free(layers[i].k_scale);
        free(layers[i].v_scale);
        free(layers[i].k_max);
    }
}

static void ref_drop_sequence(clm_backend *base)
{
    backend_ref *b = self(base);

    b->n_seqs--;
    clear_cache(b, b->layers + b->n_seqs * b->part.n);
    b->kv_bytes -= b->part.n * clm_kv_layer_bytes(&b->kv);
}

static void ref_destroy(clm_backend *base)
{
    backend_ref *b = self(base);

    while (b->n_seqs > 0) ref_drop_sequence(base);
    free(b->layers);
    free(b->slopes);
    free(b->rope);
    free(b->rows);
    free(b);
}

static void ref_describe(const clm_backend *base, char *out, size_t room)
{
    (void)base;
    snprintf(out, room, "ref (plain C, no OpenCL)");
}

static void ref_usage(const clm_backend *base, uint64_t *weight_bytes, uint64_t *kv_bytes)
{
    *weight_bytes = ((const backend_ref *)base)->weight_bytes;
    *kv_bytes = ((const backend_ref *)base)->kv_bytes;
}

/* Of one sequence: its caches, one a layer. */
static clm_status create_cache(backend_ref *b, kv_layer *layers, clm_err *err)
{
    size_t positions = clm_kv_scales(b->kv.n_kv_heads, b->kv.ctx);
    size_t bytes = clm_kv_elems(b->kv.n_kv_heads, b->kv.head_dim, b->kv.ctx) *
                   clm_elem_bytes(clm_cache_elem((int)b->kv.type));

    memset(layers, 0, b->part.n * sizeof *layers);
    for (size_t i = 0; i < b->part.n; i++) {
        kv_layer *l = &layers[i];
        l->k = malloc(bytes);
        l->v = malloc(bytes);
        l->k_scale = malloc(positions * sizeof *l->k_scale);
        l->v_scale = malloc(positions * sizeof *l->v_scale);
        l->k_max = calloc(clm_kv_blocks(b->kv.n_kv_heads, b->kv.ctx), sizeof *l->k_max);
        if (l->k == NULL || l->v == NULL || l->k_scale == NULL || l->v_scale == NULL ||
            l->k_max == NULL)
            return clm_fail(err, CLM_E_NOMEM,
                            "key-value cache for %zu tokens: no memory (try a smaller ctx_size)",
                            b->kv.ctx);
    }
    return CLM_OK;
}

static clm_status ref_add_sequence(clm_backend *base, clm_err *err)
{
    backend_ref *b = self(base);
    const size_t n = b->part.n;
    kv_layer *grown = realloc(b->layers, (b->n_seqs + 1) * n * sizeof *grown), *added;
    clm_status st;

    if (grown == NULL) return clm_fail(err, CLM_E_NOMEM, "key-value cache: no memory");
    b->layers = grown;
    added = grown + b->n_seqs * n;
    st = create_cache(b, added, err);
    if (st != CLM_OK) {
        clear_cache(b, added);
        return st;
    }
    b->kv_bytes += n * clm_kv_layer_bytes(&b->kv);
    b->n_seqs++;
    return CLM_OK;
}

static clm_status ref_prepare(clm_backend *base, const clm_model_file *mf, const clm_part *part,
                              const clm_kv_shape *kv, size_t batch, clm_err *err)
{
    backend_ref *b = self(base);

    (void)batch;
    b->hp = clm_model_file_hparams(mf);
    b->part = *part;
    b->kv = *kv;
    b->slopes = calloc(kv->n_heads, sizeof *b->slopes);
    b->rope = malloc((kv->ctx * b->hp->rope_dims + 1) * sizeof *b->rope);
    if (b->slopes == NULL || b->rope == NULL) return clm_fail(err, CLM_E_NOMEM, "model: no memory");
    if (b->hp->position == CLM_POSITION_ALIBI)
        clm_alibi_slopes(b->slopes, kv->n_heads);
    else
        clm_rope_table(b->rope, kv->ctx, b->hp->rope_dims, b->hp->rope_base);
    return ref_add_sequence(base, err);
}

/* ---- weights and memory ---------------------------------------------------------------------- */

static void ref_unload(clm_backend *base, clm_weight *w)
{
    (void)base;
    if (w == NULL) return;
    free(w->vector);
    free(w);
}

static clm_status ref_load_matrix(clm_backend *base, const clm_tensor *t, clm_weight **out,
                                  clm_err *err)
{
    backend_ref *b = self(base);

    *out = NULL;
    if (t->cols > b->columns_room) {
        float *grown = realloc(b->rows, MATMUL_ROWS * t->cols * sizeof *grown);
        if (grown == NULL) return clm_fail(err, CLM_E_NOMEM, "weights: no memory");
        b->rows = grown;
        b->columns_room = t->cols;
    }
    *out = calloc(1, sizeof **out);
    if (*out == NULL) return clm_fail(err, CLM_E_NOMEM, "weights: no memory");
    (*out)->t = t;
    b->weight_bytes += t->bytes;
    return CLM_OK;
}

static clm_status ref_load_vector(clm_backend *base, const clm_tensor *t, clm_weight **out,
                                  clm_err *err)
{
    clm_weight *w = calloc(1, sizeof *w);
    clm_status st;

    *out = NULL;
    if (w != NULL) w->vector = malloc(t->cols * sizeof *w->vector);
    if (w == NULL || w->vector == NULL) {
        ref_unload(base, w);
        return clm_fail(err, CLM_E_NOMEM, "weights: no memory");
    }
    w->t = t;
    st = clm_tensor_read_rows(t, 0, 1, w->vector, err);
    if (st != CLM_OK) {
        ref_unload(base, w);
        return st;
    }
    self(base)->weight_bytes += t->bytes;
    *out = w;
    return CLM_OK;
}

static clm_status ref_vec_create(clm_backend *base, size_t count, bool ids, clm_vec **out,
                                 clm_err *err)
{
    clm_vec *v = calloc(1, sizeof *v);

    (void)base;
    *out = NULL;
    if (v != NULL) v->data = calloc(count, sizeof(float));
    if (v == NULL || v->data == NULL) {
        free(v);
        return clm_fail(err, CLM_E_NOMEM, "activations: no memory (try a smaller batch_size)");
    }
    v->count = count;
    v->ids = ids;
    *out = v;
    return CLM_OK;
}

static void ref_vec_destroy(clm_backend *base, clm_vec *v)
{
    (void)base;
    if (v == NULL) return;
    free(v->data);
    free(v);
}

static clm_status ref_write_ids(clm_backend *base, clm_vec *v, const int *ids, size_t count,
                                clm_err *err)
{
    (void)base, (void)err;
    memcpy(v->data, ids, count * sizeof *ids);
    return CLM_OK;
}

static clm_status ref_write(clm_backend *base, clm_vec *v, const float *from, size_t count,
                            clm_err *err)
{
    (void)base, (void)err;
    memcpy(v->data, from, count * sizeof *from);
    return CLM_OK;
}

static clm_status ref_read(clm_backend *base, const clm_vec *v, size_t first, size_t count,
                           float *out, clm_err *err)
{
    (void)base, (void)err;
    memcpy(out, (const float *)v->data + first, count * sizeof *out);
    return CLM_OK;
}

static clm_status ref_read_id(clm_backend *base, const clm_vec *v, size_t at, int *out,
                              clm_err *err)
{
    (void)base, (void)err;
    *out = ((const int *)v->data)[at];
    return CLM_OK;
}

/* Nothing is ever queued: flush and finish. */
static clm_status ref_settle(clm_backend *base, clm_err *err)
{
    (void)base, (void)err;
    return CLM_OK;
}

/* ---- operations ------------------------------------------------------------------------------ */

static clm_status ref_embed(clm_backend *base, const clm_weight *table, const clm_vec *ids,
                            size_t m, clm_vec *out, clm_err *err)
{
    const clm_tensor *t = table->t;

    clm_status st = CLM_OK;

    (void)base;
    for (size_t i = 0; i < m && st == CLM_OK; i++)
        st = clm_tensor_read_rows(t, (size_t)((const int *)ids->data)[i], 1,
                                  (float *)out->data + i * t->cols, err);
    return st;
}

static clm_status ref_matmul(clm_backend *base, const clm_weight *w, const clm_vec *x, size_t m,
                             clm_vec *y, size_t ldy, size_t y_off, clm_err *err)
{
    backend_ref *b = self(base);
    const size_t rows = w->t->rows, cols = w->t->cols;

    for (size_t n = 0; n < rows; n++) {
        const float *row = b->rows + n % MATMUL_ROWS * cols;

        if (n % MATMUL_ROWS == 0) {
            size_t count = rows - n < MATMUL_ROWS ? rows - n : MATMUL_ROWS;
            clm_status st = clm_tensor_read_rows(w->t, n, count, b->rows, err);
            if (st != CLM_OK) return st;
        }
        for (size_t i = 0; i < m; i++) {
            const float *xi = (const float *)x->data + i * cols;
            double sum = 0.0;
            for (size_t k = 0; k < cols; k++) sum += (double)xi[k] * (double)row[k];
            ((float *)y->data)[i * ldy + y_off + n] = (float)sum;
        }
    }
    return CLM_OK;
}

static clm_status ref_rmsnorm(clm_backend *base, const clm_vec *x, size_t x_row0, size_t m,
                              size_t dim, const clm_weight *w, float eps, clm_vec *y,
                              const clm_readers *readers, clm_err *err)
{
    clm_case c = {.shape = clm_shape_rmsnorm(m, dim, x_row0, eps, CLM_ACT_OUT_F32)};

    (void)base, (void)readers, (void)err;
    c.bufs[0] = floats(x, x->count);
    c.bufs[1] = in_place(CLM_ELEM_F32, w->vector, dim);
    c.bufs[2] = floats(y, m * dim);
    clm_ref_rmsnorm(&c);
    return CLM_OK;
}

static void rotate(const backend_ref *b, const clm_qkv *qkv, size_t m, size_t off, size_t n_heads,
                   size_t pos0)
{
    clm_case c = {.shape = clm_shape_rope(&b->kv, b->hp->rope_dims, qkv, m, off, n_heads, pos0)};

    c.bufs[0] = floats(qkv->x, qkv->x->count);
    c.bufs[1] = in_place(CLM_ELEM_F32, b->rope, b->kv.ctx * b->hp->rope_dims);
    clm_ref_rope(&c);
}

static clm_status ref_rope(clm_backend *base, const clm_qkv *qkv, size_t m, size_t pos0,
                           clm_err *err)
{
    const backend_ref *b = self(base);

    (void)err;
    rotate(b, qkv, m, 0, b->kv.n_heads, pos0);
    rotate(b, qkv, m, qkv->k_off, b->kv.n_kv_heads, pos0);
    return CLM_OK;
}

/* Buffers 1 to 5 of kv_store and attention: keys, values, their scales, and kmax. */
static void cache_buffers(const backend_ref *b, size_t seq, size_t layer, clm_case *c)
{
    const kv_layer *l = &b->layers[seq * b->part.n + layer];
    size_t positions = clm_kv_scales(b->kv.n_kv_heads, b->kv.ctx);
    size_t count = clm_kv_elems(b->kv.n_kv_heads, b->kv.head_dim, b->kv.ctx);
    clm_elem type = clm_cache_elem((int)b->kv.type);

    c->bufs[1] = in_place(type, l->k, count);
    c->bufs[2] = in_place(type, l->v, count);
    c->bufs[3] = in_place(CLM_ELEM_F16, l->k_scale, positions);
    c->bufs[4] = in_place(CLM_ELEM_F16, l->v_scale, positions);
    c->bufs[5] = in_place(CLM_ELEM_F32, l->k_max, clm_kv_blocks(b->kv.n_kv_heads, b->kv.ctx));
}

static clm_status ref_kv_store(clm_backend *base, size_t seq, size_t layer, const clm_qkv *qkv,
                               size_t m, size_t pos0, clm_err *err)
{
    const backend_ref *b = self(base);
    clm_case c = {.shape = clm_shape_kv_store(&b->kv, qkv, m, pos0)};

    (void)err;
    c.bufs[0] = floats(qkv->x, qkv->x->count);
    cache_buffers(b, seq, layer, &c);
    clm_ref_kv_store(&c);
    return CLM_OK;
}

/* Rows row0 .. row0 + m - 1 of qkv and out. */
static void attend(const backend_ref *b, size_t seq, size_t layer, const clm_qkv *qkv, size_t row0,
                   size_t m, size_t pos0, const clm_vec *out)
{
    const size_t width = b->kv.n_heads * b->kv.head_dim;
    clm_case c = {.shape = clm_shape_attention(&b->kv, qkv, m, pos0)};

    c.shape.v[CLM_ATTENTION_Q_OFF] = (int)(row0 * qkv->ld);
    c.bufs[0] = floats(qkv->x, qkv->x->count);
    cache_buffers(b, seq, layer, &c);
    c.bufs[6] = in_place(CLM_ELEM_F32, b->slopes, b->kv.n_heads);
    c.bufs[7] = in_place(CLM_ELEM_F32, (float *)out->data + row0 * width, m * width);
    clm_ref_attention(&c);
}

static clm_status ref_attention(clm_backend *base, size_t seq, size_t layer, const clm_qkv *qkv,
                                size_t m, size_t pos0, clm_vec *out, clm_err *err)
{
    (void)err;
    attend(self(base), seq, layer, qkv, 0, m, pos0, out);
    return CLM_OK;
}

static clm_status attention_row(clm_backend *base, size_t seq, size_t layer, const clm_qkv *qkv,
                                size_t row, size_t pos, clm_vec *out, clm_err *err)
{
    const backend_ref *b = self(base);
    const size_t at = row * qkv->ld;
    const clm_qkv moved = {qkv->x, qkv->ld, at + qkv->k_off, at + qkv->v_off};
    clm_status st;

    if (b->hp->position == CLM_POSITION_ROPE) {
        rotate(b, qkv, 1, at, b->kv.n_heads, pos);
        rotate(b, qkv, 1, moved.k_off, b->kv.n_kv_heads, pos);
    }
    st = ref_kv_store(base, seq, layer, &moved, 1, pos, err);
    if (st == CLM_OK) attend(b, seq, layer, qkv, row, 1, pos, out);
    return st;
}

static clm_status ref_attention_rows(clm_backend *base, size_t layer, const clm_qkv *qkv,
                                     const clm_row *rows, size_t n, clm_vec *out, clm_err *err)
{
    clm_status st = CLM_OK;

    for (size_t i = 0; i < n && st == CLM_OK; i++)
        st = attention_row(base, rows[i].seq, layer, qkv, i, rows[i].pos, out, err);
    return st;
}

static clm_status ref_swiglu(clm_backend *base, const clm_vec *gu, size_t m, size_t ffn, bool tiled,
                             clm_vec *out, const clm_readers *readers, clm_err *err)
{
    clm_case c = {.shape = clm_shape_swiglu(m, ffn, tiled, CLM_ACT_OUT_F32)};

    (void)base, (void)readers, (void)err;
    c.bufs[0] = floats(gu, m * (size_t)c.shape.v[CLM_SWIGLU_LD]);
    c.bufs[1] = floats(out, m * ffn);
    clm_ref_swiglu(&c);
    return CLM_OK;
}

static clm_status ref_add(clm_backend *base, clm_vec *x, const clm_vec *y, size_t count,
                          clm_err *err)
{
    clm_case c = {.shape = clm_shape_add(count)};

    (void)base, (void)err;
    c.bufs[0] = floats(x, count);
    c.bufs[1] = floats(y, count);
    clm_ref_add(&c);
    return CLM_OK;
}

static clm_status ref_argmax(clm_backend *base, const clm_vec *logits, size_t first, size_t n,
                             clm_vec *out, clm_err *err)
{
    clm_case c = {.shape = clm_shape_argmax(first, n)};

    (void)base, (void)err;
    c.bufs[0] = floats(logits, logits->count);
    c.bufs[1] = in_place(CLM_ELEM_I32, out->data, 1);
    clm_ref_argmax(&c);
    return CLM_OK;
}

/* ---- creation -------------------------------------------------------------------------------- */

static const clm_backend_ops ops = {
    .destroy = ref_destroy,
    .describe = ref_describe,
    .prepare = ref_prepare,
    .add_sequence = ref_add_sequence,
    .drop_sequence = ref_drop_sequence,
    .keeps_tensors = true,
    .load_matrix = ref_load_matrix,
    .load_vector = ref_load_vector,
    .unload = ref_unload,
    .vec_create = ref_vec_create,
    .vec_destroy = ref_vec_destroy,
    .write_ids = ref_write_ids,
    .write = ref_write,
    .read = ref_read,
    .read_id = ref_read_id,
    .embed = ref_embed,
    .rmsnorm = ref_rmsnorm,
    .matmul = ref_matmul,
    .rope = ref_rope,
    .kv_store = ref_kv_store,
    .attention = ref_attention,
    .attention_rows = ref_attention_rows,
    .swiglu = ref_swiglu,
    .add = ref_add,
    .argmax = ref_argmax,
    .flush = ref_settle,
    .finish = ref_settle,
    .usage = ref_usage,
};

clm_status clm_backend_ref_create(clm_backend **out, clm_err *err)
{
    backend_ref *b = calloc(1, sizeof *b);

    *out = NULL;
    if (b == NULL) return clm_fail(err, CLM_E_NOMEM, "backend: no memory");
    b->base.ops = &ops;
    *out = &b->base;
    return CLM_OK;
}
