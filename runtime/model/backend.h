/* runtime/model/backend.h: what the transformer needs from whoever computes it. Two backends exist:
 * OpenCL (backend_cl.c) and plain C (backend_ref.c), the oracle and the fallback without a driver.
 *
 * Layer    runtime.
 * Threads  one thread at a time per backend.
 *
 * Activations are f32, row-major, one row per token. A clm_vec is a block of them (or of ids) in
 * the backend's memory, a clm_weight a matrix or vector of the model there. Operations are queued;
 * only finish() and the read functions wait.
 */
#ifndef CLM_RUNTIME_MODEL_BACKEND_H
#define CLM_RUNTIME_MODEL_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "host/device.h"
#include "host/log.h"
#include "runtime/clm.h"
#include "runtime/formats/model_file.h"
#include "tuning/op_desc.h"

typedef struct clm_backend clm_backend;
typedef struct clm_weight clm_weight;
typedef struct clm_vec clm_vec;

/* Packed query, key and value rows of m tokens: [m][ld], q at 0, k at k_off, v at v_off. */
typedef struct clm_qkv {
    clm_vec *x;
    size_t ld, k_off, v_off;
} clm_qkv;

/* The key-value cache that a backend makes for each layer of a sequence. */
typedef struct clm_kv_shape {
    size_t n_heads, n_kv_heads, head_dim, ctx;
    clm_kv_type type;
} clm_kv_shape;

/* What one backend computes of a model: layers first .. first + n - 1, which its operations count from 0 on;
 * the table of embeddings if it begins with the model's first layer; the head if it ends with the last. */
typedef struct clm_part {
    size_t first, n;
} clm_part;

struct clm_backend {
    const struct clm_backend_ops *ops;
};

/* The matrices and vectors of one layer. A backend may hold matrices with a common input as one: then
 * qkv replaces q, k and v, and gate_up (16 rows of each in turn) gate and up. */
typedef struct clm_layer {
    clm_weight *attn_norm, *qkv, *q, *k, *v, *o, *ffn_norm, *gate_up, *gate, *up, *down;
} clm_layer;

/* A token of a sequence: `id` at `pos`. */
typedef struct clm_row {
    size_t seq, pos;
    int id;
} clm_row;

/* The matrices that a result will be multiplied with: all of them, in places that are not NULL. */
typedef struct clm_readers {
    const clm_weight *w[4];
} clm_readers;

typedef struct clm_backend_ops {
    void (*destroy)(clm_backend *b);
    void (*describe)(const clm_backend *b, char *out, size_t room); /* device in words */

    /* Makes everything ready that depends on the model only: kernels, tables, the cache. Called once,
     * before load. `batch` is the largest number of tokens per call. */
    clm_status (*prepare)(clm_backend *b, const clm_model_file *mf, const clm_part *part,
                          const clm_kv_shape *kv, size_t batch, clm_err *err);

    /* Makes the cache of one more sequence; prepare() made that of sequence 0. On failure everything is as
     * before. drop_sequence() takes the newest away. */
    clm_status (*add_sequence)(clm_backend *b, clm_err *err);
    void (*drop_sequence)(clm_backend *b);

    /* Whether matrices are read in place: then tensors must outlive their weights. */
    bool keeps_tensors;

    /* Weights: matrices in the format of the file, vectors as f32. */
    clm_status (*load_matrix)(clm_backend *b, const clm_tensor *t, clm_weight **out, clm_err *err);
    clm_status (*load_vector)(clm_backend *b, const clm_tensor *t, clm_weight **out, clm_err *err);
    /* Optional (NULL). Several matrices with a common input as one: rows of the first, then of the
     * second ..., each filled up with zeros to a multiple of 16; with `tiled` 16 rows of each in turn.
     * CLM_OK and *out NULL: their formats or sizes differ, load them one by one. */
    clm_status (*load_stack)(clm_backend *b, const clm_tensor *const *parts, size_t n, bool tiled,
                             clm_weight **out, clm_err *err);
    void (*unload)(clm_backend *b, clm_weight *w);

    /* Memory: `count` floats, or ids. */
    clm_status (*vec_create)(clm_backend *b, size_t count, bool ids, clm_vec **out, clm_err *err);
    void (*vec_destroy)(clm_backend *b, clm_vec *v);
    clm_status (*write_ids)(clm_backend *b, clm_vec *v, const int *ids, size_t count, clm_err *err);
    clm_status (*write)(clm_backend *b, clm_vec *v, const float *from, size_t count, clm_err *err);
    clm_status (*read)(clm_backend *b, const clm_vec *v, size_t first, size_t count, float *out,
                       clm_err *err);
    clm_status (*read_id)(clm_backend *b, const clm_vec *v, size_t at, int *out, clm_err *err);

    /* out[m][cols] = row ids[m] of the table */
    clm_status (*embed)(clm_backend *b, const clm_weight *table, const clm_vec *ids, size_t m,
                        clm_vec *out, clm_err *err);
    /* y[m][dim] = rmsnorm(x[x_row0 + m][dim]) * w. It is for products of m rows with `readers` alone, which come
     * before any other product, rmsnorm or swiglu: the backend may keep it elsewhere than in y, in a form
     * that they take. */
    clm_status (*rmsnorm)(clm_backend *b, const clm_vec *x, size_t x_row0, size_t m, size_t dim,
                          const clm_weight *w, float eps, clm_vec *y, const clm_readers *readers,
                          clm_err *err);
    /* y[m][y_off + n] = sum_k x[m][k] w[n][k], leading dimension of y ldy */
    clm_status (*matmul)(clm_backend *b, const clm_weight *w, const clm_vec *x, size_t m,
                         clm_vec *y, size_t ldy, size_t y_off, clm_err *err);
    /* rotates q and k of rows 0..m-1, which stand at positions pos0.. */
    clm_status (*rope)(clm_backend *b, const clm_qkv *qkv, size_t m, size_t pos0, clm_err *err);
    /* writes k and v into the cache of `layer` of sequence `seq` */
    clm_status (*kv_store)(clm_backend *b, size_t seq, size_t layer, const clm_qkv *qkv, size_t m,
                           size_t pos0, clm_err *err);
    /* out[m][n_heads * head_dim], over the cache of `layer` up to each row's own position */
    clm_status (*attention)(clm_backend *b, size_t seq, size_t layer, const clm_qkv *qkv, size_t m,
                            size_t pos0, clm_vec *out, clm_err *err);
    /* The same for one token of each of `n` sequences, rows of qkv and out, each the newest of its own: with rope and
     * kv_store in one. What it leaves in qkv is not defined. */
    clm_status (*attention_rows)(clm_backend *b, size_t layer, const clm_qkv *qkv,
                                 const clm_row *rows, size_t n, clm_vec *out, clm_err *err);
    /* out[m][ffn] = silu(gate) * up; gate and up lie in rows of `gu` one behind the other, or, `tiled`, 16
     * columns of each in turn (then rows have 2 * ffn columns, filled up to a multiple of 32). Like
     * that of rmsnorm, the result is for `readers` alone. */
    clm_status (*swiglu)(clm_backend *b, const clm_vec *gu, size_t m, size_t ffn, bool tiled,
                         clm_vec *out, const clm_readers *readers, clm_err *err);
    /* x[i] += y[i] */
    clm_status (*add)(clm_backend *b, clm_vec *x, const clm_vec *y, size_t count, clm_err *err);
    /* out[0] = index of the largest of logits[first .. first + n) */
    clm_status (*argmax)(clm_backend *b, const clm_vec *logits, size_t first, size_t n,
                         clm_vec *out, clm_err *err);
    /* Optional (NULL). All layers of the part for one token at position `pos` of sequence `seq`: `x` is the residual
     * stream before the first layer and after the last, `qkv` scratch. *done false: not possible for this model, go
     * through the operations above. The backend keeps `layers`, which must not change. */
    clm_status (*decode)(clm_backend *b, size_t seq, const clm_layer *layers, clm_vec *x,
                         const clm_qkv *qkv, size_t pos, bool *done, clm_err *err);
    /* flush() starts what is queued, finish() waits for it. */
    clm_status (*flush)(clm_backend *b, clm_err *err);
    clm_status (*finish)(clm_backend *b, clm_err *err);

    /* Bytes held on the device for weights so far and for the cache. */
    void (*usage)(const clm_backend *b, uint64_t *weight_bytes, uint64_t *kv_bytes);
    /* Optional (NULL). Whether the kernels have run before, so that first launches take no longer than
     * others; and that they have now. */
    bool (*warm)(const clm_backend *b);
    void (*set_warm)(clm_backend *b);
} clm_backend_ops;

/* What an OpenCL backend is asked for. */
typedef struct clm_cl_options {
    const clm_device_info *device; /* borrowed for the call */
    clm_activations activations;
    clm_kernels kernels;
    clm_tuning_mode tuning; /* whether tuned values are looked up */
} clm_cl_options;

clm_status clm_backend_cl_create(const clm_cl_options *options, const clm_observer *obs,
                                 clm_backend **out, clm_err *err);
/* What such a backend would launch for the model, as it tells its kernels before they are built; to
 * be called in place of prepare(). `visit` gets each distinct operator and shape. */
clm_status clm_backend_cl_plans(clm_backend *base, const clm_model_file *mf, const clm_part *part,
                                const clm_kv_shape *kv, size_t batch,
                                void (*visit)(void *user, const clm_op_desc *op,
                                              const clm_shape *shape),
                                void *user, clm_err *err);
clm_status clm_backend_ref_create(clm_backend **out, clm_err *err);

#endif
