/* runtime/model_report.c: the report of `clm inspect`. See runtime/clm.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/engine.h"
#include "runtime/model/repack.h"
#include "runtime/text/chat_template.h"
#include "runtime/text/tokenizer.h"

static clm_status fill_tensors(const clm_model_file *mf, clm_model_report *r, clm_err *err)
{
    const clm_tensor *tensors = clm_model_file_tensors(mf, &r->n_tensors);

    r->tensors = calloc(r->n_tensors + 1, sizeof *r->tensors);
    if (r->tensors == NULL) return clm_fail(err, CLM_E_NOMEM, "inspect: no memory");
    for (size_t i = 0; i < r->n_tensors; i++) {
        clm_tensor_report *out = &r->tensors[i];
        out->name = strdup(tensors[i].name);
        if (out->name == NULL) return clm_fail(err, CLM_E_NOMEM, "inspect: no memory");
        clm_tensor_type_name(&tensors[i], out->type);
        out->rows = tensors[i].rows;
        out->cols = tensors[i].cols;
        out->bytes = tensors[i].bytes;
        r->n_params += (uint64_t)tensors[i].rows * tensors[i].cols;
    }
    return CLM_OK;
}

/* What the OpenCL backend will hold of the weights. */
static uint64_t device_weight_bytes(const clm_model_file *mf)
{
    static const clm_weight_role matrices[] = {CLM_W_Q,    CLM_W_K,  CLM_W_V,   CLM_W_O,
                                               CLM_W_GATE, CLM_W_UP, CLM_W_DOWN};
    const clm_hparams *hp = clm_model_file_hparams(mf);
    clm_weight_layout w = clm_repack_layout(clm_model_file_weight(mf, CLM_W_EMBED, 0));
    uint64_t bytes = clm_repack_bytes(&w);

    if (!hp->tied_head) {
        w = clm_repack_layout(clm_model_file_weight(mf, CLM_W_HEAD, 0));
        bytes += clm_repack_bytes(&w);
    }
    for (size_t layer = 0; layer < hp->n_layers; layer++)
        for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) {
            w = clm_repack_layout(clm_model_file_weight(mf, matrices[i], layer));
            bytes += clm_repack_bytes(&w);
        }
    return bytes + (2 * (uint64_t)hp->n_layers + 1) * hp->width * sizeof(float);
}

static void fill_hparams(const clm_hparams *hp, clm_model_report *r)
{
    memcpy(r->arch, hp->arch, sizeof r->arch);
    memcpy(r->name, hp->name, sizeof r->name);
    r->n_layers = hp->n_layers;
    r->width = hp->width;
    r->n_heads = hp->n_heads;
    r->n_kv_heads = hp->n_kv_heads;
    r->head_dim = hp->head_dim;
    r->ffn = hp->ffn;
    r->vocab = hp->vocab;
    r->ctx_train = hp->ctx_train;
    r->rms_eps = (double)hp->rms_eps;
    r->rope_base = (double)hp->rope_base;
    r->alibi = hp->position == CLM_POSITION_ALIBI;
    r->tied_head = hp->tied_head;
    r->device_ctx = clm__engine_ctx(hp->ctx_train, 0);
    r->device_kv_bytes =
        (uint64_t)2 * 2 * hp->n_layers * hp->n_kv_heads * hp->head_dim * r->device_ctx;
}

clm_status clm_model_report_create(const char *path, clm_model_report **out, clm_err *err)
{
    clm_model_file *mf = NULL;
    clm_model_report *r = NULL;
    clm_tokenizer *tok = NULL;
    const clm_vocab *vocab;
    clm_status st;

    *out = NULL;
    st = clm_model_file_open(path, &mf, err);
    if (st != CLM_OK) return st;
    r = calloc(1, sizeof *r);
    if (r == NULL || (r->path = strdup(path)) == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "inspect: no memory");
        goto out;
    }
    vocab = clm_model_file_vocab(mf);
    if (vocab->sp_model != NULL) st = clm_tokenizer_of_model(mf, &tok, err);
    if (st != CLM_OK) goto out;
    snprintf(r->format, sizeof r->format, "%s", clm_model_file_format(mf));
    fill_hparams(clm_model_file_hparams(mf), r);
    r->has_weights = clm_model_file_has_weights(mf);
    if (r->has_weights) r->device_weight_bytes = device_weight_bytes(mf);
    r->file_bytes = clm_model_file_bytes(mf);
    snprintf(r->tokenizer, sizeof r->tokenizer, "%s, %zu pieces",
             vocab->model_name != NULL ? vocab->model_name : "SentencePiece",
             tok != NULL ? clm_tokenizer_size(tok) : vocab->n_pieces);
    snprintf(r->chat_template, sizeof r->chat_template, "%s",
             clm_template_name(clm_template_detect(clm_model_file_hparams(mf), vocab)));
    r->bos = tok != NULL ? clm_tokenizer_bos(tok) : vocab->bos;
    r->eos = tok != NULL ? clm_tokenizer_eos(tok) : vocab->eos;
    st = fill_tensors(mf, r, err);
    if (st != CLM_OK) goto out;
    *out = r;
    r = NULL;
out:
    clm_model_report_destroy(r);
    clm_tokenizer_destroy(tok);
    clm_model_file_close(mf);
    return st;
}

void clm_model_report_destroy(clm_model_report *r)
{
    if (r == NULL) return;
    for (size_t i = 0; r->tensors != NULL && i < r->n_tensors; i++) free(r->tensors[i].name);
    free(r->tensors);
    free(r->path);
    free(r);
}
