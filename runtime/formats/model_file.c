/* model_file.c: opening by format, closing, and what is handed out. See model_file.h. */
#include "runtime/formats/model_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/utf8.h"
#include "runtime/formats/model_file_impl.h"

clm_status clm_model_file_open(const char *path, clm_model_file **out, clm_err *err)
{
    clm_status st = CLM_OK;
    clm_model_file *mf = calloc(1, sizeof *mf);

    *out = NULL;
    if (mf == NULL || (mf->path = strdup(path)) == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
        goto out;
    }
    mf->hparams_path = mf->path;
    mf->advice = (clm_advice){NAN, NAN, NAN, NAN, NAN, NAN};
    st = clm_file_is_dir(path) ? clm__model_read_hf(mf, err) : clm__model_read_gguf(mf, err);
    if (st != CLM_OK) goto out;
    *out = mf;
    mf = NULL;
out:
    clm_model_file_close(mf);
    return st;
}

void clm_model_file_close(clm_model_file *mf)
{
    if (mf == NULL) return;
    for (size_t i = 0; i < mf->n_maps; i++) clm_map_close(&mf->maps[i]);
    free(mf->maps);
    free(mf->path);
    free(mf->vocab.model_name);
    free(mf->vocab.pre);
    free(mf->merges);
    free(mf->pieces);
    free(mf->piece_text);
    free(mf->chat_template);
    free(mf->tensors);
    free(mf->tensor_names);
    free((void *)mf->weights);
    for (size_t i = 0; i < mf->n_file_names; i++) free(mf->file_names[i]);
    free(mf->file_names);
    clm__stored_clear(&mf->stored);
    free(mf->views);
    free(mf->gptq);
    for (size_t i = 0; i < mf->n_column_orders; i++) free(mf->column_orders[i]);
    free((void *)mf->column_orders);
    free(mf->made);
    free(mf->ones);
    free(mf);
}

const char *clm_model_file_path(const clm_model_file *mf)
{
    return mf->path;
}

uint64_t clm_model_file_bytes(const clm_model_file *mf)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < mf->n_maps; i++) bytes += mf->maps[i].size;
    return bytes;
}

const char *clm_model_file_format(const clm_model_file *mf)
{
    return mf->format;
}

const clm_advice *clm_model_file_advice(const clm_model_file *mf)
{
    return &mf->advice;
}

const clm_hparams *clm_model_file_hparams(const clm_model_file *mf)
{
    return &mf->hparams;
}

const clm_vocab *clm_model_file_vocab(const clm_model_file *mf)
{
    return &mf->vocab;
}

void clm_model_file_drop_pages(const clm_model_file *mf)
{
    for (size_t i = 0; i < mf->n_maps; i++) clm_map_drop(&mf->maps[i]);
}

void clm__model_set_name(clm_hparams *hp, const char *name, size_t size)
{
    clm_utf8_clean(hp->name, sizeof hp->name, name, size);
}

bool clm__vocab_add_end(clm_vocab *v, int id)
{
    if (id == v->eos) return true;
    for (size_t i = 0; i < v->n_ends; i++)
        if (v->ends[i] == id) return true;
    if (v->n_ends == CLM_MAX_ENDS) return false;
    v->ends[v->n_ends++] = id;
    return true;
}

void clm__model_warn(clm_model_file *mf, const char *text)
{
    if (mf->warning[0] == '\0') snprintf(mf->warning, sizeof mf->warning, "%s", text);
}

const char *clm_model_file_warning(const clm_model_file *mf)
{
    return mf->warning[0] != '\0' ? mf->warning : NULL;
}

bool clm_model_file_has_weights(const clm_model_file *mf)
{
    return mf->weights != NULL;
}

clm_status clm_model_file_need_weights(const clm_model_file *mf, clm_err *err)
{
    if (clm_model_file_has_weights(mf)) return CLM_OK;
    return clm_fail(err, CLM_E_MODEL, "%s: holds a vocabulary only, no weights",
                    clm_model_file_path(mf));
}

/* Only what lies in a mapped file: the values of a synthetic model cannot be fetched again. */
void clm_model_file_drop(const clm_model_file *mf, const clm_tensor *tensor)
{
    const clm_gptq *gptq = tensor->gptq;
    const uint8_t *data = gptq != NULL ? gptq->qweight : tensor->data;
    const size_t bytes =
        gptq != NULL ? tensor->cols * (size_t)gptq->bits / 8 * gptq->stride : tensor->bytes;

    for (size_t i = 0; i < mf->n_maps; i++) {
        const clm_map *map = &mf->maps[i];
        if (data >= map->data && data < map->data + map->size)
            clm_map_drop_range(map, (size_t)(data - map->data), bytes);
    }
}

const clm_tensor *clm_model_file_tensors(const clm_model_file *mf, size_t *count)
{
    *count = mf->n_tensors;
    return mf->tensors;
}

bool clm__model_norm_head(const clm_hparams *hp)
{
    enum { BAICHUAN2_VOCAB = 125696 };

    return strcmp(hp->arch, "baichuan") == 0 && hp->vocab == BAICHUAN2_VOCAB;
}

/* ---- Weights by role ----------------------------------------------------------------------- */

enum { FIRST_LAYER_ROLE = CLM_W_ATTN_NORM, LAYER_ROLES = CLM_W_DOWN - CLM_W_ATTN_NORM + 1 };

static size_t weight_index(clm_weight_role role, size_t layer)
{
    if ((int)role < FIRST_LAYER_ROLE) return (size_t)role;
    return FIRST_LAYER_ROLE + layer * LAYER_ROLES + (size_t)role - FIRST_LAYER_ROLE;
}

const clm_tensor *clm_model_file_weight(const clm_model_file *mf, clm_weight_role role,
                                        size_t layer)
{
    if (mf->weights == NULL || role > CLM_W_DOWN) return NULL;
    if ((int)role >= FIRST_LAYER_ROLE && layer >= mf->hparams.n_layers) return NULL;
    return mf->weights[weight_index(role, layer)];
}

clm_status clm__model_alloc_weights(clm_model_file *mf, clm_err *err)
{
    const size_t count = FIRST_LAYER_ROLE + mf->hparams.n_layers * LAYER_ROLES;

    mf->weights = calloc(count, sizeof *mf->weights);
    if (mf->weights == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", mf->path);
    return CLM_OK;
}

void clm__model_weight_shape(const clm_hparams *hp, clm_weight_role role, size_t *rows,
                             size_t *cols)
{
    const size_t q_width = hp->n_heads * hp->head_dim, kv_width = hp->n_kv_heads * hp->head_dim;

    *cols = hp->width;
    switch (role) {
    case CLM_W_EMBED:
    case CLM_W_HEAD:
        *rows = hp->vocab;
        break;
    case CLM_W_OUT_NORM:
    case CLM_W_ATTN_NORM:
    case CLM_W_FFN_NORM:
        *rows = 1;
        break;
    case CLM_W_Q:
        *rows = q_width;
        break;
    case CLM_W_K:
    case CLM_W_V:
        *rows = kv_width;
        break;
    case CLM_W_O:
        *rows = hp->width, *cols = q_width;
        break;
    case CLM_W_GATE:
    case CLM_W_UP:
        *rows = hp->ffn;
        break;
    case CLM_W_DOWN:
        *rows = hp->width, *cols = hp->ffn;
        break;
    }
}

/* The file that holds a tensor, for messages. */
static const char *file_of(const clm_model_file *mf, const clm_tensor *t)
{
    const clm_stored *s = clm__stored_find(&mf->stored, t->name);

    return s != NULL ? s->file : mf->path;
}

clm_status clm__model_set_weight(clm_model_file *mf, clm_weight_role role, size_t layer,
                                 const clm_tensor *tensor, clm_err *err)
{
    const bool norm = role == CLM_W_OUT_NORM || role == CLM_W_ATTN_NORM || role == CLM_W_FFN_NORM;
    size_t rows = 0, cols = 0;
    clm_qtype_split split;
    char type[CLM_TENSOR_TYPE_ROOM];

    clm__model_weight_shape(&mf->hparams, role, &rows, &cols);
    if (tensor->rows != rows || tensor->cols != cols) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: tensor '%s' is %zu x %zu (rows x columns), but must be %zu x %zu",
                        file_of(mf, tensor), tensor->name, tensor->rows, tensor->cols, rows, cols);
    }
    if (norm && clm_tensor_split(tensor, &split)) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: tensor '%s' is quantised (%s), which norms must not be",
                        file_of(mf, tensor), tensor->name, clm_tensor_type_name(tensor, type));
    }
    if (role == CLM_W_EMBED && tensor->column_order != NULL) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: tensor '%s' is packed by GPTQ with desc_act, which an embedding must "
                        "not be",
                        file_of(mf, tensor), tensor->name);
    }
    mf->weights[weight_index(role, layer)] = tensor;
    return CLM_OK;
}

/* ---- Hyperparameters ----------------------------------------------------------------------- */

/* 1..max, or 0 when the file need not say. */
static clm_status check_count(const clm_model_file *mf, const char *what, size_t value, size_t max,
                              bool complete, clm_err *err)
{
    if ((value == 0 && !complete) || (value >= 1 && value <= max)) return CLM_OK;
    return clm_fail(err, CLM_E_MODEL, "%s: %s is %zu; 1 to %zu are supported", mf->hparams_path,
                    what, value, max);
}

static clm_status check_heads(clm_model_file *mf, clm_err *err)
{
    clm_hparams *hp = &mf->hparams;

    if (hp->n_heads == 0) return CLM_OK; /* not stated */
    if (hp->head_dim == 0) {
        if (hp->width % hp->n_heads != 0) {
            return clm_fail(err, CLM_E_MODEL, "%s: %zu heads do not divide the width %zu",
                            mf->hparams_path, hp->n_heads, hp->width);
        }
        hp->head_dim = hp->width / hp->n_heads;
    }
    if (hp->n_kv_heads == 0) hp->n_kv_heads = hp->n_heads;
    if (hp->n_kv_heads > hp->n_heads || hp->n_heads % hp->n_kv_heads != 0) {
        return clm_fail(err, CLM_E_MODEL, "%s: %zu key/value heads cannot be shared by %zu heads",
                        mf->hparams_path, hp->n_kv_heads, hp->n_heads);
    }
    return CLM_OK;
}

static clm_status check_rope(clm_model_file *mf, bool complete, clm_err *err)
{
    clm_hparams *hp = &mf->hparams;

    if (hp->position != CLM_POSITION_ROPE) {
        hp->rope_dims = 0;
        hp->rope_base = 0.0f;
        return CLM_OK;
    }
    if (hp->rope_dims == 0) hp->rope_dims = hp->head_dim;
    if ((complete || hp->head_dim != 0) &&
        (hp->rope_dims > hp->head_dim || hp->rope_dims % 2 != 0)) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: %zu rotary dimensions in a head of %zu; an even number up to that is "
                        "needed",
                        mf->hparams_path, hp->rope_dims, hp->head_dim);
    }
    if (!(hp->rope_base >= 1.0f && hp->rope_base <= 1e12f)) {
        return clm_fail(err, CLM_E_MODEL, "%s: the rotary base is %g; 1 to 1e12 are supported",
                        mf->hparams_path, (double)hp->rope_base);
    }
    return CLM_OK;
}

clm_status clm__model_check_hparams(clm_model_file *mf, bool complete, clm_err *err)
{
    clm_hparams *hp = &mf->hparams;
    clm_status st;

    st = check_count(mf, "the number of layers", hp->n_layers, CLM_MAX_LAYERS, complete, err);
    if (st == CLM_OK) st = check_count(mf, "the width", hp->width, CLM__MAX_WIDTH, complete, err);
    if (st == CLM_OK) {
        st = check_count(mf, "the number of heads", hp->n_heads, CLM_MAX_HEADS, complete, err);
    }
    if (st == CLM_OK) st = check_heads(mf, err);
    if (st == CLM_OK) {
        st = check_count(mf, "the size of a head", hp->head_dim, CLM_MAX_HEAD_DIM, complete, err);
    }
    if (st == CLM_OK)
        st = check_count(mf, "the feed-forward width", hp->ffn, CLM__MAX_FFN, complete, err);
    if (st == CLM_OK)
        st = check_count(mf, "the vocabulary", hp->vocab, CLM_MAX_VOCAB, complete, err);
    if (st == CLM_OK)
        st = check_count(mf, "the context length", hp->ctx_train, UINT32_MAX, complete, err);
    if (st != CLM_OK) return st;
    if (!(hp->rms_eps > 0.0f || (hp->rms_eps == 0.0f && !complete)) || hp->rms_eps > 1.0f) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: the epsilon of the norms is %g, which is out of range",
                        mf->hparams_path, (double)hp->rms_eps);
    }
    return check_rope(mf, complete, err);
}
