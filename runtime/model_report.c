/* runtime/model_report.c: the report of `clm inspect`. See runtime/clm.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/engine.h"
#include "runtime/model/footprint.h"
#include "runtime/model/shapes.h"
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

/* What a device will hold of the model. */
static clm_status fill_memory(const clm_model_file *mf, clm_model_report *r, clm_err *err)
{
    const clm_hparams *hp = clm_model_file_hparams(mf);
    clm_footprint f;
    clm_kv_shape kv;
    clm_status st;

    r->device_ctx = clm__engine_ctx(hp->ctx_train, 0);
    kv = clm_kv_shape_of(hp, r->device_ctx, CLM_KV_F16);
    r->device_kv_bytes = hp->n_layers * clm_kv_layer_bytes(&kv);
    if (!r->has_weights) return CLM_OK;
    st = clm_footprint_create(mf, &kv, 1, &f, err);
    if (st == CLM_OK) r->device_weight_bytes = clm_footprint_weights(&f);
    clm_footprint_clear(&f);
    return st;
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
    st = fill_memory(mf, r, err);
    if (st != CLM_OK) goto out;
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
