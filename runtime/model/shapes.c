/* runtime/model/shapes.c: see runtime/model/shapes.h. */
#include "runtime/model/shapes.h"

#include "runtime/ops/attention_case.h"
#include "runtime/ops/kv_layout.h"
#include "runtime/ops/op_add.h"
#include "runtime/ops/op_argmax.h"
#include "runtime/ops/op_attention_decode.h"
#include "runtime/ops/op_gather.h"
#include "runtime/ops/op_kv_store.h"
#include "runtime/ops/op_rmsnorm.h"
#include "runtime/ops/op_rope.h"
#include "runtime/ops/op_swiglu.h"
#include "runtime/ops/weight_layout.h"

clm_qkv clm_qkv_layout(const clm_hparams *hp)
{
    const size_t q_room = clm_weight_padded(hp->n_heads * hp->head_dim);
    const size_t kv_room = clm_weight_padded(hp->n_kv_heads * hp->head_dim);

    return (clm_qkv){.ld = q_room + 2 * kv_room, .k_off = q_room, .v_off = q_room + kv_room};
}

clm_kv_shape clm_kv_shape_of(const clm_hparams *hp, size_t ctx, clm_kv_type type)
{
    return (clm_kv_shape){.n_heads = hp->n_heads,
                          .n_kv_heads = hp->n_kv_heads,
                          .head_dim = hp->head_dim,
                          .ctx = ctx,
                          .type = type};
}

uint64_t clm_kv_layer_bytes(const clm_kv_shape *kv)
{
    const uint64_t elems = clm_kv_elems(kv->n_kv_heads, kv->head_dim, kv->ctx);
    const uint64_t scales = kv->type == CLM_KV_INT8 ? clm_kv_scales(kv->n_kv_heads, kv->ctx) : 0;

    return 2 * (elems * clm_elem_bytes(clm_cache_elem((int)kv->type)) +
                scales * clm_elem_bytes(CLM_ELEM_F16)) +
           clm_kv_blocks(kv->n_kv_heads, kv->ctx) * sizeof(float);
}

clm_shape clm_shape_rmsnorm(size_t m, size_t dim, size_t x_row0, float eps, enum clm_act_out out)
{
    clm_shape s = {.f = {eps}};

    s.v[CLM_RMSNORM_ROWS] = (int)m;
    s.v[CLM_RMSNORM_DIM] = (int)dim;
    s.v[CLM_RMSNORM_X_ROW0] = (int)x_row0;
    s.v[CLM_RMSNORM_OUT] = (int)out;
    return s;
}

clm_shape clm_shape_rope(const clm_kv_shape *kv, size_t rope_dims, const clm_qkv *qkv, size_t m,
                         size_t off, size_t n_heads, size_t pos0)
{
    clm_shape s = {.v = {0}};

    s.v[CLM_ROPE_M] = (int)m;
    s.v[CLM_ROPE_LD] = (int)qkv->ld;
    s.v[CLM_ROPE_OFF] = (int)off;
    s.v[CLM_ROPE_N_HEADS] = (int)n_heads;
    s.v[CLM_ROPE_HEAD_DIM] = (int)kv->head_dim;
    s.v[CLM_ROPE_ROPE_DIMS] = (int)rope_dims;
    s.v[CLM_ROPE_POS0] = (int)pos0;
    return s;
}

clm_shape clm_shape_kv_store(const clm_kv_shape *kv, const clm_qkv *qkv, size_t m, size_t pos0)
{
    clm_shape s = {.v = {0}};

    s.v[CLM_KV_STORE_M] = (int)m;
    s.v[CLM_KV_STORE_LD] = (int)qkv->ld;
    s.v[CLM_KV_STORE_K_OFF] = (int)qkv->k_off;
    s.v[CLM_KV_STORE_V_OFF] = (int)qkv->v_off;
    s.v[CLM_KV_STORE_N_KV_HEADS] = (int)kv->n_kv_heads;
    s.v[CLM_KV_STORE_HEAD_DIM] = (int)kv->head_dim;
    s.v[CLM_KV_STORE_CTX] = (int)kv->ctx;
    s.v[CLM_KV_STORE_POS0] = (int)pos0;
    s.v[CLM_KV_STORE_KV_TYPE] = (int)kv->type;
    return s;
}

clm_shape clm_shape_attention(const clm_kv_shape *kv, const clm_qkv *qkv, size_t m, size_t pos0)
{
    clm_shape s = {.v = {0}};

    s.v[CLM_ATTENTION_M] = (int)m;
    s.v[CLM_ATTENTION_LD] = (int)qkv->ld;
    s.v[CLM_ATTENTION_Q_OFF] = 0;
    s.v[CLM_ATTENTION_LDO] = (int)(kv->n_heads * kv->head_dim);
    s.v[CLM_ATTENTION_N_HEADS] = (int)kv->n_heads;
    s.v[CLM_ATTENTION_N_KV_HEADS] = (int)kv->n_kv_heads;
    s.v[CLM_ATTENTION_HEAD_DIM] = (int)kv->head_dim;
    s.v[CLM_ATTENTION_CTX] = (int)kv->ctx;
    s.v[CLM_ATTENTION_POS0] = (int)pos0;
    s.v[CLM_ATTENTION_KV_TYPE] = (int)kv->type;
    return s;
}

size_t clm_shape_usual_pos(const clm_kv_shape *kv)
{
    return kv->ctx < 512 ? kv->ctx - 1 : 511;
}

clm_shape clm_shape_attention_decode(const clm_kv_shape *kv, size_t rope_dims, const clm_qkv *qkv,
                                     size_t splits)
{
    clm_shape s = {.v = {0}};

    s.v[CLM_ATTENTION_DECODE_K_OFF] = (int)qkv->k_off;
    s.v[CLM_ATTENTION_DECODE_V_OFF] = (int)qkv->v_off;
    s.v[CLM_ATTENTION_DECODE_N_HEADS] = (int)kv->n_heads;
    s.v[CLM_ATTENTION_DECODE_N_KV_HEADS] = (int)kv->n_kv_heads;
    s.v[CLM_ATTENTION_DECODE_HEAD_DIM] = (int)kv->head_dim;
    s.v[CLM_ATTENTION_DECODE_CTX] = (int)kv->ctx;
    s.v[CLM_ATTENTION_DECODE_KV_TYPE] = (int)kv->type;
    s.v[CLM_ATTENTION_DECODE_ROPE_DIMS] = (int)rope_dims;
    s.v[CLM_ATTENTION_DECODE_SPLITS] = (int)splits;
    s.v[CLM_ATTENTION_DECODE_POS] = (int)clm_shape_usual_pos(kv);
    s.f[0] = rope_dims == 0 ? 1.0f : 0.0f;
    return s;
}

clm_shape clm_shape_swiglu(size_t m, size_t ffn, bool tiled, enum clm_act_out out)
{
    clm_shape s = {.v = {0}};

    s.v[CLM_SWIGLU_M] = (int)m;
    s.v[CLM_SWIGLU_LD] = (int)(2 * (tiled ? clm_weight_padded(ffn) : ffn));
    s.v[CLM_SWIGLU_GATE_OFF] = 0;
    s.v[CLM_SWIGLU_UP_OFF] = (int)(tiled ? CLM_TILE_ROWS : ffn);
    s.v[CLM_SWIGLU_FFN] = (int)ffn;
    s.v[CLM_SWIGLU_TILED] = tiled;
    s.v[CLM_SWIGLU_OUT] = (int)out;
    return s;
}

clm_shape clm_shape_gather(size_t m, size_t columns)
{
    clm_shape s = {.v = {0}};

    s.v[CLM_GATHER_M] = (int)m;
    s.v[CLM_GATHER_K] = (int)columns;
    return s;
}

clm_shape clm_shape_add(size_t count)
{
    return (clm_shape){.v = {[CLM_ADD_COUNT] = (int)count}};
}

clm_shape clm_shape_argmax(size_t first, size_t n)
{
    return (clm_shape){.v = {[CLM_ARGMAX_N] = (int)n, [CLM_ARGMAX_OFF] = (int)first}};
}
