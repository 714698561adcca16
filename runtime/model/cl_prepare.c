/* runtime/model/cl_prepare.c: what an OpenCL device has ready before a model is loaded: the kernels of everything that
 * will be launched, tables, and room for what products take. See backend.h, prepare.
 */
#include <stdlib.h>

#include "host/gemm.h"
#include "runtime/model/backend_cl_impl.h"
#include "runtime/model/shapes.h"
#include "runtime/model/transformer.h"
#include "runtime/ops/act.h"
#include "runtime/ops/op_add.h"
#include "runtime/ops/op_argmax.h"
#include "runtime/ops/op_attention.h"
#include "runtime/ops/op_attention_amx.h"
#include "runtime/ops/op_attention_mma.h"
#include "runtime/ops/op_dequant.h"
#include "runtime/ops/op_embed.h"
#include "runtime/ops/op_gemm.h"
#include "runtime/ops/op_gemm_amx.h"
#include "runtime/ops/op_kv_store.h"
#include "runtime/ops/op_rmsnorm.h"
#include "runtime/ops/op_rope.h"
#include "runtime/ops/op_swiglu.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/op_xgemm.h"

/* The weights are expanded for CLBlast this many bytes at a time. */
enum { BLAST_SCRATCH_BYTES = 64 << 20 };

/* ---- plans ------------------------------------------------------------------------------------ */

clm_shape clm__cl_embed_shape(const clm_weight_layout *l, size_t m, size_t row0, size_t rows,
                              size_t k)
{
    clm_shape s = {.v = {0}};

    s.v[CLM_EMBED_M] = (int)m;
    s.v[CLM_EMBED_ROW0] = (int)row0;
    s.v[CLM_EMBED_ROWS] = (int)rows;
    s.v[CLM_EMBED_K] = (int)k;
    s.v[CLM_EMBED_FORMAT] = (int)l->format;
    s.v[CLM_EMBED_GROUP] = (int)l->group;
    s.v[CLM_EMBED_HAS_MIN] = l->has_min;
    return s;
}

static clm_status plan_embed(clm_backend_cl *b, const clm_model_file *mf, clm_err *err)
{
    const clm_tensor *table = clm_model_file_weight(mf, CLM_W_EMBED, 0);
    const clm_weight_layout l = clm_repack_layout(table);
    const clm_shape s = clm__cl_embed_shape(&l, 1, 0, table->rows, table->cols);

    return clm_cl_kernels_plan(b->kernels, &clm_op_embed, &s, err);
}

/* What the plan of all matrices needs, and the most elements of one of them. */
typedef struct matrices {
    clm_backend_cl *b;
    const clm_model_file *mf;
    size_t largest;
    clm_err *err;
} matrices;

/* The matrices of `roles` as load_stack() loads them: one, where that is possible. `most` tokens at a time. */
static clm_status plan_stack(matrices *m, const clm_weight_role *roles, size_t n, bool tiled,
                             size_t layer, size_t most)
{
    clm_backend_cl *b = m->b;
    clm_stack stack = {.n = n, .tiled = tiled};
    clm_weight_layout w;
    clm_status st = CLM_OK;

    for (size_t i = 0; i < n; i++) stack.parts[i] = clm_model_file_weight(m->mf, roles[i], layer);
    if (n > 1 && (b->plain || !clm_stack_possible(&stack))) {
        b->apart = b->apart || tiled;
        for (size_t i = 0; i < n && st == CLM_OK; i++)
            st = plan_stack(m, &roles[i], 1, false, layer, most);
        return st;
    }
    w = clm_stack_layout(&stack);
    if (w.rows * w.columns > m->largest) m->largest = w.rows * w.columns;
    if (w.columns > b->widest) b->widest = w.columns;
    return clm__cl_plan_matmul(b, &w, most, stack.parts[0]->column_order != NULL, m->err);
}

/* Plans the kernels of all matrices; *largest receives the most elements of one of them. */
static clm_status plan_matrices(clm_backend_cl *b, const clm_model_file *mf, size_t *largest,
                                clm_err *err)
{
    static const clm_weight_role head[] = {CLM_W_HEAD}, qkv[] = {CLM_W_Q, CLM_W_K, CLM_W_V},
                                 o[] = {CLM_W_O}, gate_up[] = {CLM_W_GATE, CLM_W_UP},
                                 down[] = {CLM_W_DOWN};
    const size_t end = b->part.first + b->part.n;
    matrices m = {b, mf, 0, err};
    clm_status st = b->part.first == 0 ? plan_embed(b, mf, err) : CLM_OK;

    if (end == b->hp->n_layers && st == CLM_OK)
        st = plan_stack(&m, head, 1, false, 0,
                        b->batch < CLM_LOGIT_ROWS ? b->batch : CLM_LOGIT_ROWS);
    for (size_t i = b->part.first; i < end && st == CLM_OK; i++) {
        st = plan_stack(&m, qkv, 3, false, i, b->batch);
        if (st == CLM_OK) st = plan_stack(&m, o, 1, false, i, b->batch);
        if (st == CLM_OK) st = plan_stack(&m, gate_up, 2, true, i, b->batch);
        if (st == CLM_OK) st = plan_stack(&m, down, 1, false, i, b->batch);
    }
    *largest = m.largest;
    return st;
}

/* Attention of m rows. Where products of a prompt round their inputs, it rounds queries and weights too; caches of f32
 * are for those who want none of it. */
const clm_op_desc *clm__cl_attention_of(const clm_backend_cl *b, size_t m)
{
    const int head_dim = (int)b->kv.head_dim;

    if (b->tiled && b->tiles == CLM_CL_TILES_AMX && m >= clm__cl_tile_tokens(b) &&
        b->kv.type != CLM_KV_F32 && clm_attention_amx_takes(head_dim))
        return &clm_op_attention_amx;
    if (b->tiles == CLM_CL_TILES_MMA && m > 1 &&
        clm_attention_mma_takes(clm_device_caps(b->dev), head_dim, (int)b->kv.type))
        return &clm_op_attention_mma;
    return &clm_op_attention;
}

static clm_status plan_rest(clm_backend_cl *b, size_t batch, clm_err *err)
{
    const clm_qkv qkv = clm_qkv_layout(b->hp);
    /* What is left of a prompt may be too few rows for tiles. */
    const size_t few = clm__cl_attention_of(b, batch) == &clm_op_attention_amx
                           ? clm__cl_tile_tokens(b) - 1
                           : batch;
    const enum clm_act_out panels = clm__cl_tiles_out(b, batch);
    const size_t width = b->hp->width;
    const float eps = b->hp->rms_eps;
    const struct {
        const clm_op_desc *op;
        clm_shape shape;
        bool used;
    } all[] = {
        {&clm_op_rmsnorm, clm_shape_rmsnorm(1, width, 0, eps, CLM_ACT_OUT_F32), true},
        {&clm_op_rmsnorm, clm_shape_rmsnorm(batch, width, 0, eps, panels), b->tiled},
        {&clm_op_kv_store, clm_shape_kv_store(&b->kv, &qkv, 1, 0), true},
        {&clm_op_attention, clm_shape_attention(&b->kv, &qkv, 1, clm_shape_usual_pos(&b->kv)),
         true},
        {clm__cl_attention_of(b, few), clm_shape_attention(&b->kv, &qkv, few, 0), true},
        {clm__cl_attention_of(b, batch), clm_shape_attention(&b->kv, &qkv, batch, 0), true},
        {&clm_op_swiglu, clm_shape_swiglu(1, b->hp->ffn, false, CLM_ACT_OUT_F32), true},
        {&clm_op_swiglu, clm_shape_swiglu(1, b->hp->ffn, true, CLM_ACT_OUT_F32), true},
        {&clm_op_swiglu, clm_shape_swiglu(batch, b->hp->ffn, true, panels), b->tiled},
        {&clm_op_swiglu, clm_shape_swiglu(batch, b->hp->ffn, false, panels), b->tiled && b->apart},
        {&clm_op_add, clm_shape_add(width), true},
        {&clm_op_argmax, clm_shape_argmax(0, b->hp->vocab), true},
        {&clm_op_rope, clm_shape_rope(&b->kv, b->hp->rope_dims, &qkv, 1, 0, b->kv.n_heads, 0),
         b->hp->position == CLM_POSITION_ROPE},
    };
    clm_status st = CLM_OK;

    for (size_t i = 0; i < sizeof all / sizeof *all && st == CLM_OK; i++)
        if (all[i].used) st = clm_cl_kernels_plan(b->kernels, all[i].op, &all[i].shape, err);
    return st == CLM_OK && !b->plain ? clm__cl_plan_rows(b, err) : st;
}

/* CLBlast keeps one set of parameters for the device, and this is the product that it is chosen by. */
static clm_status plan_blast(clm_backend_cl *b, clm_err *err)
{
    clm_shape s = {.v = {0}}, ignored;
    int params[CLM_MAX_AXES];
    const clm_op_desc *op = NULL;
    clm_err why;

    for (size_t i = 0; op != &clm_op_dequant; i++) /* what goes to CLBlast is dequantised before */
        if (!clm_cl_kernels_planned(b->kernels, i, &op, &ignored)) return CLM_OK;
    s.v[CLM_XGEMM_M] = (int)(b->batch < 256 ? b->batch : 256);
    s.v[CLM_XGEMM_N] = s.v[CLM_XGEMM_K] = (int)b->hp->width;
    clm_tuning_params(b->tuning, &clm_op_xgemm, &s, clm_device_caps(b->dev), params);
    if (clm_xgemm_apply(b->dev, params, &why) != CLM_OK)
        clm_log(b->obs, CLM_LOG_DEBUG, "%s: its own parameters stay", why.text);
    return clm_cl_kernels_plan(b->kernels, &clm_op_xgemm, &s, err);
}

/* Everything that will be launched, told to the kernels. */
static clm_status plan_all(clm_backend_cl *b, const clm_model_file *mf, const clm_part *part,
                           const clm_kv_shape *kv, size_t batch, size_t *largest, clm_err *err)
{
    clm_status st;

    b->hp = clm_model_file_hparams(mf);
    b->part = *part;
    b->kv = *kv;
    b->batch = batch;
    b->tiled = b->apart = false;
    b->blast = clm_gemm_available() && batch >= CLM_CL_BLAST_TOKENS;
    st = plan_matrices(b, mf, largest, err);
    if (st == CLM_OK) st = clm__cl_plan_decode(b, mf, err);
    if (st == CLM_OK) st = plan_rest(b, batch, err);
    if (st == CLM_OK && b->blast) st = plan_blast(b, err);
    return st;
}

clm_status clm_backend_cl_plans(clm_backend *base, const clm_model_file *mf, const clm_part *part,
                                const clm_kv_shape *kv, size_t batch,
                                void (*visit)(void *user, const clm_op_desc *op,
                                              const clm_shape *shape),
                                void *user, clm_err *err)
{
    clm_backend_cl *b = (clm_backend_cl *)base;
    size_t largest = 0;
    const clm_op_desc *op;
    clm_shape shape;
    clm_status st = plan_all(b, mf, part, kv, batch, &largest, err);

    for (size_t i = 0; st == CLM_OK && clm_cl_kernels_planned(b->kernels, i, &op, &shape); i++)
        visit(user, op, &shape);
    return st;
}

/* ---- memory ----------------------------------------------------------------------------------- */

/* Slopes, rotation table and the stand-in for arrays that do not exist. */
static clm_status create_tables(clm_backend_cl *b, clm_err *err)
{
    size_t n_rope = b->hp->position == CLM_POSITION_ROPE ? b->kv.ctx * b->hp->rope_dims : 0;
    float *slopes = calloc(b->kv.n_heads, sizeof *slopes),
          *rope = malloc((n_rope + 1) * sizeof *rope);
    clm_status st = CLM_OK;

    if (slopes == NULL || rope == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "model: no memory");
        goto out;
    }
    if (b->hp->position == CLM_POSITION_ALIBI) clm_alibi_slopes(slopes, b->kv.n_heads);
    st = clm_buffer_create(b->dev, CLM_ELEM_F32, b->kv.n_heads, &b->slopes, err);
    if (st == CLM_OK) st = clm_buffer_write(b->slopes, 0, b->kv.n_heads, slopes, err);
    if (st == CLM_OK) st = clm_buffer_create(b->dev, CLM_ELEM_F16, 1, &b->unused, err);
    if (st == CLM_OK && n_rope > 0) {
        clm_rope_table(rope, b->kv.ctx, b->hp->rope_dims, b->hp->rope_base);
        st = clm_buffer_create(b->dev, CLM_ELEM_F32, n_rope, &b->rope, err);
        if (st == CLM_OK) st = clm_buffer_write(b->rope, 0, n_rope, rope, err);
    }
out:
    free(slopes);
    free(rope);
    return st;
}

/* What products that go through tiles need. */
static clm_status create_tiles(clm_backend_cl *b, clm_err *err)
{
    const size_t panels = clm_op_ceil_div(b->batch, CLM_ACT_BF16_PANEL);
    const size_t qkv = clm_qkv_layout(b->hp).ld, ffn = 2 * clm_weight_padded(b->hp->ffn);
    const size_t inner = qkv > ffn ? qkv : ffn, rows = inner > b->hp->width ? inner : b->hp->width;
    const size_t head_rows = b->batch < CLM_LOGIT_ROWS ? b->batch : CLM_LOGIT_ROWS;
    const size_t layer = clm_gemm_amx_sums(b->batch, rows);
    const size_t head = clm_gemm_amx_sums(head_rows, b->hp->vocab);
    clm_status st = clm_buffer_create(b->dev, CLM_ELEM_BF16,
                                      panels * CLM_ACT_BF16_PANEL * b->widest, &b->act_bf16, err);

    if (st == CLM_OK && b->tiles == CLM_CL_TILES_AMX)
        st = clm_buffer_create(b->dev, CLM_ELEM_F32, layer > head ? layer : head, &b->sums, err);
    return st;
}

clm_status clm__cl_prepare(clm_backend *base, const clm_model_file *mf, const clm_part *part,
                           const clm_kv_shape *kv, size_t batch, clm_err *err)
{
    clm_backend_cl *b = (clm_backend_cl *)base;
    size_t largest = 0, scratch = BLAST_SCRATCH_BYTES / sizeof(float);
    const size_t panel = (size_t)clm_gemm_largest_panel(clm_device_caps(b->dev));
    clm_status st;

    st = plan_all(b, mf, part, kv, batch, &largest, err);
    if (st == CLM_OK) st = clm_cl_kernels_build(b->kernels, err);
    if (st == CLM_OK) st = create_tables(b, err);
    if (st == CLM_OK) st = clm__cl_add_sequence(base, err);
    if (st == CLM_OK && b->gather_columns > 0)
        st = clm_buffer_create(b->dev, CLM_ELEM_F32, batch * b->gather_columns, &b->gathered.buf,
                               err);
    if (st == CLM_OK && b->blast)
        st = clm_buffer_create(b->dev, CLM_ELEM_F32, largest < scratch ? largest : scratch,
                               &b->dense, err);
    if (st == CLM_OK && b->int8)
        st = clm__cl_act_create(b->dev, (batch + panel - 1) / panel * panel, b->widest, &b->act,
                                err);
    if (st == CLM_OK && b->tiled) st = create_tiles(b, err);
    return st;
}
