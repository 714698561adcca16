/* runtime/model/backend_cl_impl.h: the inside of the OpenCL backend, shared by its files:
 * backend_cl.c (life, memory, operations), cl_prepare.c (what is ready before a model is loaded),
 * cl_cache.c (keys and values), cl_matmul.c (products), cl_decode.c (a token's plan), cl_rows.c (tokens of
 * several sequences).
 *
 * Layer    runtime; included by these only.
 */
#ifndef CLM_RUNTIME_MODEL_BACKEND_CL_IMPL_H
#define CLM_RUNTIME_MODEL_BACKEND_CL_IMPL_H

#include "runtime/model/backend.h"
#include "runtime/model/cl_kernels.h"
#include "runtime/model/cl_weight.h"
#include "runtime/ops/act.h"

/* From this many tokens on a float product goes to CLBlast. */
enum { CLM_CL_BLAST_TOKENS = 32 };
/* From so many on a product goes through tiles, where there are any. Tiles of matrix units hold 64 tokens, and fewer
 * cost as much: on an H200 a prompt of 32 took 22.7 ms, of 24 in three panels of 8 (clm_gemm_panels) 12.9, and each
 * panel 2 to 3 ms. With AMX 32 tokens are 1.13 times as fast through tiles as in panels of 12 (docs/performance.md). */
enum { CLM_CL_AMX_TOKENS = 32, CLM_CL_MMA_TOKENS = 41 };

struct clm_vec {
    clm_buffer *buf;
};

/* Keys and values of one layer (runtime/ops/kv_layout.h); the scales exist for int8 only. */
typedef struct clm_cl_kv {
    clm_buffer *k, *v, *k_scale, *v_scale, *k_max;
} clm_cl_kv;

/* Int8 activations (runtime/ops/act.h). */
typedef struct clm_cl_act {
    clm_buffer *q, *d, *s;
} clm_cl_act;

typedef struct clm_cl_plan clm_cl_plan; /* cl_decode.c */
typedef struct clm_cl_rows clm_cl_rows; /* cl_rows.c */

/* What multiplies tiles of bfloat16 numbers: nothing, gemm_amx, gemm_mma. */
typedef enum clm_cl_tiles { CLM_CL_TILES_NONE, CLM_CL_TILES_AMX, CLM_CL_TILES_MMA } clm_cl_tiles;

typedef struct clm_backend_cl {
    clm_backend base;
    clm_device *dev;
    const clm_observer *obs;
    clm_tuning *tuning; /* NULL: the operators' defaults */
    clm_cl_kernels *kernels;
    const clm_hparams *hp;
    clm_part part;
    clm_kv_shape kv;
    clm_cl_kv *layers; /* [n_seqs][part.n] */
    size_t n_seqs;
    clm_buffer *slopes;    /* [n_heads], zeros without ALiBi */
    clm_buffer *rope;      /* [ctx][rope_dims / 2][2], ROPE only */
    clm_buffer *unused;    /* f16 [1]: stands for arrays that a layout does not have */
    clm_buffer *dense;     /* f32: dequantised rows for CLBlast */
    clm_vec gathered;      /* f32: a batch of inputs in the order of a matrix's columns */
    size_t gather_columns; /* of the widest such matrix; 0: none */
    clm_cl_act act;        /* a batch of rows of the widest matrix's input, when `int8` */
    clm_buffer *act_bf16;  /* the same in bfloat16, with `tiles`, when a batch is large enough */
    clm_buffer *sums;      /* f32: of a product in tiles of AMX (op_gemm_amx.h) */
    const clm_vec *panels; /* whose rows lie in act_bf16, and only there; or NULL */
    bool tiled;            /* a product of a batch goes through tiles: act_bf16 exists */
    bool apart;            /* gate and up of some layer are two matrices */
    clm_cl_plan **plans; /* [n_seqs], of a token of each, made when the first one comes; or NULL */
    clm_cl_rows *rows;   /* what rows of several sequences need, made when the first ones come */
    size_t batch, widest;
    bool plain;         /* one straightforward kernel per operation */
    bool int8;          /* products with quantised weights take int8 activations */
    clm_cl_tiles tiles; /* what products of many tokens with quantised weights go through */
    bool blast;         /* products of many float rows go to CLBlast */
    bool blast_ready;   /* CLBlast has compiled its kernels, as the first call makes it */
    uint64_t weight_bytes, kv_bytes;
} clm_backend_cl;

/* `buf`, or what stands for an array that does not exist. */
clm_buffer *clm__cl_or_unused(const clm_backend_cl *b, clm_buffer *buf);

clm_status clm__cl_act_create(clm_device *dev, size_t rows, size_t columns, clm_cl_act *act,
                              clm_err *err);
void clm__cl_act_clear(clm_cl_act *act);

/* cl_prepare.c: see clm_backend_ops; the shape of rows of a table of embeddings; what computes attention of m rows. */
clm_status clm__cl_prepare(clm_backend *base, const clm_model_file *mf, const clm_part *part,
                           const clm_kv_shape *kv, size_t batch, clm_err *err);
clm_shape clm__cl_embed_shape(const clm_weight_layout *l, size_t m, size_t row0, size_t rows,
                              size_t k);
const clm_op_desc *clm__cl_attention_of(const clm_backend_cl *b, size_t m);

/* cl_cache.c: see clm_backend_ops. */
clm_status clm__cl_add_sequence(clm_backend *base, clm_err *err);
void clm__cl_drop_sequence(clm_backend *base);

/* cl_matmul.c: see clm_backend_ops. plan_matmul notes the kernels that a matrix of the layout needs for up to `most` tokens;
 * `ordered`: its columns are not in the order of the inputs. */
clm_status clm__cl_plan_matmul(clm_backend_cl *b, const clm_weight_layout *l, size_t most,
                               bool ordered, clm_err *err);
clm_status clm__cl_matmul(clm_backend *base, const clm_weight *w, const clm_vec *x, size_t m,
                          clm_vec *y, size_t ldy, size_t y_off, clm_err *err);
/* The fewest tokens whose products with quantised weights go through tiles; SIZE_MAX: there are none. */
size_t clm__cl_tile_tokens(const clm_backend_cl *b);
/* What rmsnorm and swiglu of m rows write for products that go through tiles, and what for `readers`: floats unless
 * all of them do, in the order of the columns. */
enum clm_act_out clm__cl_tiles_out(const clm_backend_cl *b, size_t m);
enum clm_act_out clm__cl_out_for(const clm_backend_cl *b, const clm_readers *readers, size_t m);
/* Whether a product with such weights takes int8 activations. */
bool clm__cl_takes_int8(const clm_backend_cl *b, const clm_weight_layout *l);
/* The fused product for weights of a format; `rows` rows of a matrix whose results begin at row0. */
const clm_op_desc *clm__cl_linear_of(clm_weight_format format);
clm_shape clm__cl_linear_shape(const clm_weight_layout *l, size_t rows, size_t row0, bool int8);
/* act_quant of m rows into panels of t tokens. */
clm_shape clm__cl_act_shape(size_t m, size_t columns, size_t t);

/* cl_decode.c: see clm_backend_ops. plan_decode notes the kernels that a token needs. */
clm_status clm__cl_plan_decode(clm_backend_cl *b, const clm_model_file *mf, clm_err *err);
clm_status clm__cl_decode(clm_backend *base, size_t seq, const clm_layer *layers, clm_vec *x,
                          const clm_qkv *qkv, size_t pos, bool *done, clm_err *err);
void clm__cl_plan_destroy(clm_cl_plan *plan);
/* Attention of one token: into how many parts it is split; its shape for the token in row `row` of qkv, and its
 * buffers; and the shape of what puts the parts of `rows` tokens together: `quant` as int8, else as floats. */
enum { CLM_CL_DECODE_BUFFERS = 10 };
size_t clm__cl_splits(const clm_backend_cl *b);
clm_shape clm__cl_decode_shape(const clm_backend_cl *b, const clm_qkv *qkv, size_t row);
void clm__cl_decode_buffers(const clm_backend_cl *b, const clm_cl_kv *kv, clm_buffer *x,
                            clm_buffer *pos, clm_buffer *splits,
                            clm_buffer *out[CLM_CL_DECODE_BUFFERS]);
clm_shape clm__cl_combine_shape(const clm_backend_cl *b, bool quant, size_t rows);

/* cl_rows.c: see clm_backend_ops. plan_rows notes the kernels. */
clm_status clm__cl_plan_rows(clm_backend_cl *b, clm_err *err);
clm_status clm__cl_attention_rows(clm_backend *base, size_t layer, const clm_qkv *qkv,
                                  const clm_row *rows, size_t n, clm_vec *out, clm_err *err);
void clm__cl_rows_destroy(clm_cl_rows *rows, size_t batch);

/* Keys and values of a layer of a sequence. */
static inline clm_cl_kv *clm__cl_kv_of(const clm_backend_cl *b, size_t seq, size_t layer)
{
    return &b->layers[seq * b->part.n + layer];
}

#endif
