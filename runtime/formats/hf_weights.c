/* hf_weights.c: a language model of the tensors in a Hugging Face folder; see hf_model.h. As with
 * GGUF, a tensor that has no place in the model is refused, never passed over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/formats/hf_model.h"

enum { MAX_BASE = 96 };

/* Behind "model.layers.N."; q, k and v may be packed into one. */
static const struct {
    clm_weight_role role;
    const char *name;
} clm_layer_names[] = {
    {CLM_W_ATTN_NORM, "input_layernorm"}, {CLM_W_Q, "self_attn.q_proj"},
    {CLM_W_K, "self_attn.k_proj"},        {CLM_W_V, "self_attn.v_proj"},
    {CLM_W_O, "self_attn.o_proj"},        {CLM_W_FFN_NORM, "post_attention_layernorm"},
    {CLM_W_GATE, "mlp.gate_proj"},        {CLM_W_UP, "mlp.up_proj"},
    {CLM_W_DOWN, "mlp.down_proj"},
};
static const char k_packed_name[] = "self_attn.W_pack";

clm_stored *clm__hf_find(clm__hf *hf, const char *base, const char *ending)
{
    char name[MAX_BASE + 16];
    clm_stored *t;

    snprintf(name, sizeof name, "%s%s", base, ending);
    t = clm__stored_find(&hf->mf->stored, name);
    if (t != NULL) t->used = true;
    return t;
}

/* ---- Tensors ------------------------------------------------------------------------------- */

static clm_status plain_tensor(const clm_stored *s, clm_tensor *out, clm_err *err)
{
    *out = (clm_tensor){.name = s->name, .data = s->data, .bytes = s->bytes};
    switch (s->dtype) {
    case CLM_DTYPE_F32:
        out->type = CLM_QTYPE_F32;
        break;
    case CLM_DTYPE_F16:
        out->type = CLM_QTYPE_F16;
        break;
    case CLM_DTYPE_BF16:
        out->type = CLM_QTYPE_BF16;
        break;
    default:
        return clm_fail(err, CLM_E_MODEL,
                        "%s: tensor '%s' is of type %s; F32, F16 and BF16 are supported", s->file,
                        s->name, clm__dtype_name(s->dtype));
    }
    if (s->rank < 1 || s->rank > 2) {
        return clm_fail(err, CLM_E_MODEL, "%s: tensor '%s' has %zu dimensions, not 1 or 2", s->file,
                        s->name, s->rank);
    }
    out->rows = s->rank == 2 ? s->dims[0] : 1;
    out->cols = s->dims[s->rank - 1];
    return CLM_OK;
}

/* Some quantisers write a bias of zeros for every layer. */
static clm_status check_bias(clm__hf *hf, const char *base, clm_err *err)
{
    const clm_stored *bias = clm__hf_find(hf, base, ".bias");

    for (size_t i = 0; bias != NULL && i < bias->bytes; i++) {
        if (bias->data[i] != 0) {
            return clm_fail(err, CLM_E_MODEL, "%s: tensor '%s': a bias is not supported",
                            bias->file, bias->name);
        }
    }
    return CLM_OK;
}

/* The tensor `base`.weight or its packed form, in the table of tensors; `*out` is NULL when there
 * is none. */
static clm_status find_tensor(clm__hf *hf, const char *base, const clm_tensor **out, clm_err *err)
{
    clm_model_file *mf = hf->mf;
    clm_tensor *t = &mf->tensors[mf->n_tensors];
    const clm_stored *plain = clm__hf_find(hf, base, ".weight");
    bool found = plain != NULL;
    clm_status st;

    *out = NULL;
    st = found ? plain_tensor(plain, t, err) : clm__hf_gptq(hf, base, t, &found, err);
    if (st == CLM_OK && found) st = check_bias(hf, base, err);
    if (st != CLM_OK || !found) return st;
    mf->n_tensors++;
    *out = t;
    return CLM_OK;
}

/* Rows row0 .. row0 + rows - 1 of `t`, which has them. */
static clm_tensor part_of(const clm_tensor *t, size_t row0, size_t rows)
{
    clm_tensor part = *t;

    part.rows = rows;
    part.bytes = t->bytes / t->rows * rows;
    if (t->gptq != NULL)
        part.gptq_row0 = t->gptq_row0 + row0;
    else
        part.data = t->data + row0 * clm_qtype_bytes(t->type, t->cols);
    return part;
}

/* Gives (a part of) a tensor a role, with what the role asks for. */
static clm_status place(clm__hf *hf, clm_weight_role role, size_t layer, clm_tensor view,
                        clm_err *err)
{
    clm_model_file *mf = hf->mf;
    const clm_hparams *hp = &mf->hparams;
    clm_tensor *kept = &mf->views[mf->n_views++];

    if (hp->position == CLM_POSITION_ROPE && (role == CLM_W_Q || role == CLM_W_K))
        view.rotary_head = hp->head_dim;
    if (role == CLM_W_HEAD && hf->norm_head) view.normalised = true;
    *kept = view;
    return clm__model_set_weight(mf, role, layer, kept, err);
}

static clm_status find_and_place(clm__hf *hf, clm_weight_role role, size_t layer, const char *base,
                                 clm_err *err)
{
    const clm_tensor *t;
    clm_status st = find_tensor(hf, base, &t, err);

    if (st == CLM_OK && t == NULL)
        st = clm_fail(err, CLM_E_MODEL, "%s: tensor '%s.weight' is missing", hf->mf->path, base);
    return st == CLM_OK ? place(hf, role, layer, *t, err) : st;
}

/* ---- Layers -------------------------------------------------------------------------------- */

/* q, k and v when they are one matrix, one below the other. */
static clm_status place_packed(clm__hf *hf, size_t layer, bool *found, clm_err *err)
{
    const clm_hparams *hp = &hf->mf->hparams;
    const size_t q = hp->n_heads * hp->head_dim, kv = hp->n_kv_heads * hp->head_dim;
    char base[MAX_BASE];
    const clm_tensor *t;
    clm_status st;

    snprintf(base, sizeof base, "model.layers.%zu.%s", layer, k_packed_name);
    st = find_tensor(hf, base, &t, err);
    *found = t != NULL;
    if (st != CLM_OK || t == NULL) return st;
    if (t->rows != q + 2 * kv) {
        return clm_fail(err, CLM_E_MODEL, "%s: tensor '%s' has %zu rows; q, k and v make %zu",
                        hf->mf->path, t->name, t->rows, q + 2 * kv);
    }
    st = place(hf, CLM_W_Q, layer, part_of(t, 0, q), err);
    if (st == CLM_OK) st = place(hf, CLM_W_K, layer, part_of(t, q, kv), err);
    if (st == CLM_OK) st = place(hf, CLM_W_V, layer, part_of(t, q + kv, kv), err);
    return st;
}

static clm_status read_layer(clm__hf *hf, size_t layer, clm_err *err)
{
    char base[MAX_BASE];
    bool packed;
    clm_status st = place_packed(hf, layer, &packed, err);

    for (size_t i = 0; i < sizeof clm_layer_names / sizeof *clm_layer_names && st == CLM_OK; i++) {
        const clm_weight_role role = clm_layer_names[i].role;

        if (packed && (role == CLM_W_Q || role == CLM_W_K || role == CLM_W_V)) continue;
        snprintf(base, sizeof base, "model.layers.%zu.%s", layer, clm_layer_names[i].name);
        st = find_and_place(hf, role, layer, base, err);
    }
    return st;
}

static clm_status read_head(clm__hf *hf, clm_err *err)
{
    const clm_tensor *embed = clm_model_file_weight(hf->mf, CLM_W_EMBED, 0);

    if (!hf->mf->hparams.tied_head) return find_and_place(hf, CLM_W_HEAD, 0, "lm_head", err);
    clm__hf_find(hf, "lm_head", ".weight"); /* torch writes a tied head a second time */
    if (hf->norm_head) {
        return clm_fail(err, CLM_E_MODEL, "%s: a head that is normalised and tied as well",
                        hf->config.path);
    }
    return clm__model_set_weight(hf->mf, CLM_W_HEAD, 0, embed, err);
}

/* Rotary frequencies follow from the base; everything else must have a use. */
static clm_status check_unused(const clm__hf *hf, clm_err *err)
{
    const clm_model_file *mf = hf->mf;

    for (size_t i = 0; i < mf->stored.count; i++) {
        const clm_stored *t = &mf->stored.items[i];
        const bool rotary = strstr(t->name, ".rotary_emb.") != NULL;

        if (t->used || (rotary && mf->hparams.position == CLM_POSITION_ROPE)) continue;
        if (rotary) {
            return clm_fail(err, CLM_E_MODEL,
                            "%s: tensor '%s' belongs to rotary positions, but by config.json the "
                            "model uses ALiBi: add \"alibi\": false there if it does not",
                            t->file, t->name);
        }
        return clm_fail(err, CLM_E_MODEL,
                        "%s: tensor '%s' has no place in a %s model of %zu layers as clm knows it",
                        t->file, t->name, mf->hparams.arch, mf->hparams.n_layers);
    }
    return CLM_OK;
}

clm_status clm__hf_read_weights(clm__hf *hf, clm_err *err)
{
    clm_model_file *mf = hf->mf;
    const size_t most = 3 + mf->hparams.n_layers * 9;
    clm_status st = clm__model_alloc_weights(mf, err);

    if (st != CLM_OK) return st;
    mf->tensors = calloc(most, sizeof *mf->tensors);
    mf->views = calloc(most, sizeof *mf->views);
    mf->gptq = calloc(most, sizeof *mf->gptq);
    mf->column_orders = calloc(most, sizeof *mf->column_orders);
    if (mf->tensors == NULL || mf->views == NULL || mf->gptq == NULL || mf->column_orders == NULL)
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory", mf->path);
    st = find_and_place(hf, CLM_W_EMBED, 0, "model.embed_tokens", err);
    for (size_t layer = 0; layer < mf->hparams.n_layers && st == CLM_OK; layer++)
        st = read_layer(hf, layer, err);
    if (st == CLM_OK) st = find_and_place(hf, CLM_W_OUT_NORM, 0, "model.norm", err);
    if (st == CLM_OK) st = read_head(hf, err);
    return st == CLM_OK ? check_unused(hf, err) : st;
}

/* ---- The reader ---------------------------------------------------------------------------- */

const char *clm__hf_path(clm__hf *hf, const char *name)
{
    clm_model_file *mf = hf->mf;
    char **grown, *path;

    for (size_t i = 0; i < mf->n_file_names; i++) { /* few: one for each file of the folder */
        const char *known = mf->file_names[i];
        const size_t folder = strlen(known) - strlen(name);

        if (strlen(known) > strlen(name) && known[folder - 1] == '/' &&
            strcmp(known + folder, name) == 0)
            return known;
    }
    grown = realloc(mf->file_names, (mf->n_file_names + 1) * sizeof *grown);
    if (grown == NULL) return NULL;
    mf->file_names = grown;
    path = clm_path_join(mf->path, name);
    if (path != NULL) mf->file_names[mf->n_file_names++] = path;
    return path;
}

clm_status clm__model_read_hf(clm_model_file *mf, clm_err *err)
{
    clm__hf hf = {.mf = mf};
    clm_status st;

    mf->maps = calloc(1, sizeof *mf->maps);
    if (mf->maps == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", mf->path);
    st = clm__hf_read_config(&hf, err);
    if (st == CLM_OK) st = clm__hf_read_vocab(&hf, err);
    if (st == CLM_OK) st = clm__hf_read_files(&hf, err);
    if (st == CLM_OK) st = clm__hf_read_weights(&hf, err);
    clm__json_clear(&hf.config);
    return st;
}
