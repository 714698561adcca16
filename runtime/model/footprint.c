/* runtime/model/footprint.c: see runtime/model/footprint.h. */
#include "runtime/model/footprint.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/model/repack.h"
#include "runtime/model/shapes.h"
#include "runtime/model/transformer.h"
#include "runtime/ops/weight_layout.h"

static uint64_t matrix_bytes(const clm_model_file *mf, clm_weight_role role, size_t layer)
{
    const clm_weight_layout l = clm_repack_layout(clm_model_file_weight(mf, role, layer));

    return clm_repack_bytes(&l);
}

static uint64_t layer_bytes(const clm_model_file *mf, size_t layer)
{
    static const clm_weight_role matrices[] = {CLM_W_Q,    CLM_W_K,  CLM_W_V,   CLM_W_O,
                                               CLM_W_GATE, CLM_W_UP, CLM_W_DOWN};
    uint64_t bytes = 2 * clm_model_file_hparams(mf)->width * sizeof(float);

    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++)
        bytes += matrix_bytes(mf, matrices[i], layer);
    return bytes;
}

/* Of dequantised rows, cl_prepare.c. */
enum { SCRATCH_BYTES = 64 << 20 };

/* Floats of a batch as stage.c has them, inputs of products as int8 and bfloat16, the sums of one in tiles of AMX, logits. */
static uint64_t work_bytes(const clm_hparams *hp, size_t batch)
{
    const uint64_t attended = hp->n_heads * hp->head_dim, ffn = clm_weight_padded(hp->ffn);
    const uint64_t widest = ffn > hp->width ? ffn : hp->width;
    const uint64_t row =
        sizeof(float) * (3 * hp->width + clm_qkv_layout(hp).ld + attended + 5 * ffn) + 4 * widest;

    return batch * row + sizeof(float) * CLM_LOGIT_ROWS * hp->vocab + SCRATCH_BYTES;
}

clm_status clm_footprint_create(const clm_model_file *mf, const clm_kv_shape *kv, size_t batch,
                                clm_footprint *out, clm_err *err)
{
    const clm_hparams *hp = clm_model_file_hparams(mf);

    memset(out, 0, sizeof *out);
    out->layers = calloc(hp->n_layers, sizeof *out->layers);
    if (out->layers == NULL) return clm_fail(err, CLM_E_NOMEM, "memory plan: no memory");
    out->n_layers = hp->n_layers;
    for (size_t i = 0; i < hp->n_layers; i++) out->layers[i] = layer_bytes(mf, i);
    out->cache = clm_kv_layer_bytes(kv);
    out->embed = matrix_bytes(mf, CLM_W_EMBED, 0);
    out->head = matrix_bytes(mf, CLM_W_HEAD, 0) + hp->width * sizeof(float);
    out->work = work_bytes(hp, batch < kv->ctx ? batch : kv->ctx);
    out->tied = hp->tied_head;
    return CLM_OK;
}

void clm_footprint_clear(clm_footprint *f)
{
    free(f->layers);
    memset(f, 0, sizeof *f);
}

uint64_t clm_footprint_weights(const clm_footprint *f)
{
    uint64_t bytes = f->head + (f->tied ? 0 : f->embed);

    for (size_t i = 0; i < f->n_layers; i++) bytes += f->layers[i];
    return bytes;
}

uint64_t clm_footprint_total(const clm_footprint *f)
{
    return clm_footprint_weights(f) + f->n_layers * f->cache + f->work;
}
