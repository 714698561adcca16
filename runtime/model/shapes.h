/* runtime/model/shapes.h: the model's launches as shapes of the operators, for both backends.
 *
 * Layer    runtime.
 * Threads  no state.
 */
#ifndef CLM_RUNTIME_MODEL_SHAPES_H
#define CLM_RUNTIME_MODEL_SHAPES_H

#include "runtime/model/backend.h"
#include "runtime/ops/act.h"
#include "tuning/op_desc.h"

/* How query, key and value rows are packed: one behind the other, each filled up to whole tiles of
 * rows, as the stacked matrix that they come from is. x is NULL. */
clm_qkv clm_qkv_layout(const clm_hparams *hp);

clm_kv_shape clm_kv_shape_of(const clm_hparams *hp, size_t ctx, clm_kv_type type);
/* Bytes of the cache of one layer of one sequence. */
uint64_t clm_kv_layer_bytes(const clm_kv_shape *kv);

/* Row r of the result comes from row x_row0 + r. */
clm_shape clm_shape_rmsnorm(size_t m, size_t dim, size_t x_row0, float eps, enum clm_act_out out);
/* The `n_heads` heads from column `off` of packed rows on, at positions pos0.. */
clm_shape clm_shape_rope(const clm_kv_shape *kv, size_t rope_dims, const clm_qkv *qkv, size_t m,
                         size_t off, size_t n_heads, size_t pos0);
clm_shape clm_shape_kv_store(const clm_kv_shape *kv, const clm_qkv *qkv, size_t m, size_t pos0);
clm_shape clm_shape_attention(const clm_kv_shape *kv, const clm_qkv *qkv, size_t m, size_t pos0);
/* The position that attention of one token is tuned for: that of a short conversation. */
size_t clm_shape_usual_pos(const clm_kv_shape *kv);
/* One new token; `rope_dims` 0: no rotation, but ALiBi. */
clm_shape clm_shape_attention_decode(const clm_kv_shape *kv, size_t rope_dims, const clm_qkv *qkv,
                                     size_t splits);
/* As clm_backend_ops.swiglu has its input. */
clm_shape clm_shape_swiglu(size_t m, size_t ffn, bool tiled, enum clm_act_out out);
clm_shape clm_shape_add(size_t count);
clm_shape clm_shape_gather(size_t m, size_t columns);
clm_shape clm_shape_argmax(size_t first, size_t n);

#endif
