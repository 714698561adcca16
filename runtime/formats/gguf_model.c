/* gguf_model.c: a language model in a GGUF file: hyperparameters from llama.cpp's keys, roles from
 * its tensor names. What the file asks for and clm cannot do is refused, never passed over: the
 * answers would be wrong without a word. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/formats/gguf_model.h"

enum { MAX_KEY = 96 };

/* "llama" + "block_count" -> "llama.block_count" */
static const char *arch_key(const clm_model_file *mf, const char *suffix, char key[MAX_KEY])
{
    snprintf(key, MAX_KEY, "%s.%s", mf->hparams.arch, suffix);
    return key;
}

/* ---- Hyperparameters ----------------------------------------------------------------------- */

static clm_status read_architecture(const clm_gguf *g, clm_model_file *mf, clm_err *err)
{
    clm_gguf_string arch = {"", 0}, name = {"", 0};
    bool found;
    clm_status st = clm_gguf_get_string(g, "general.architecture", &arch, &found, err);

    if (st == CLM_OK) st = clm_gguf_get_string(g, "general.name", &name, NULL, err);
    if (st != CLM_OK) return st;
    if (!found) {
        return clm_fail(err, CLM_E_MODEL, "%s: key 'general.architecture' is missing", mf->path);
    }
    if (!clm_gguf_string_is(arch, "baichuan") && !clm_gguf_string_is(arch, "llama")) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: architecture '%.*s' is not supported; baichuan and llama are",
                        mf->path, arch.size < 64 ? (int)arch.size : 64, arch.data);
    }
    snprintf(mf->hparams.arch, sizeof mf->hparams.arch, "%.*s", (int)arch.size, arch.data);

    clm__model_set_name(&mf->hparams, name.data, name.size);
    return CLM_OK;
}

/* Keys that change what is computed in a way clm does not implement, and the values that mean
 * "not used". A key of another kind or value is refused. */
static const struct {
    const char *key; /* behind the architecture */
    double off, also_off;
    const char *text_off; /* NULL: not a text */
    const char *what;
} k_unsupported[] = {
    {"expert_count", 0, 0, NULL, "a mixture of experts"},
    {"expert_used_count", 0, 0, NULL, "a mixture of experts"},
    {"rope.scaling.type", 0, 0, "none", "scaled rotary positions"},
    {"rope.scaling.factor", 1, 0, NULL, "scaled rotary positions"},
    {"rope.scaling.attn_factor", 1, 0, NULL, "scaled rotary positions"},
    {"rope.scale_linear", 1, 0, NULL, "scaled rotary positions"},
    {"rope.dimension_sections", 0, 0, NULL, "rotary positions in sections"},
    {"attention.sliding_window", 0, 0, NULL, "a sliding attention window"},
    {"attention.clamp_kqv", 0, 0, NULL, "clamped attention inputs"},
    {"attention.causal", 1, 1, NULL, "attention that is not causal"},
    {"attention.scale", 0, 0, NULL, "its own attention scale"},
    {"attn_logit_softcapping", 0, 0, NULL, "capped attention weights"},
    {"final_logit_softcapping", 0, 0, NULL, "capped logits"},
    {"logit_scale", 1, 0, NULL, "scaled logits"},
    {"embedding_scale", 1, 0, NULL, "scaled embeddings"},
    {"residual_scale", 1, 0, NULL, "scaled residuals"},
    {"use_parallel_residual", 0, 0, NULL, "parallel residuals"},
};

static clm_status check_features(const clm_gguf *g, const clm_model_file *mf, clm_err *err)
{
    for (size_t i = 0; i < sizeof k_unsupported / sizeof k_unsupported[0]; i++) {
        char key[MAX_KEY];
        const clm_gguf_kv *kv = clm_gguf_find(g, arch_key(mf, k_unsupported[i].key, key));
        const char *text_off = k_unsupported[i].text_off;
        clm_gguf_string text;
        double number;

        if (kv == NULL) continue;
        if (clm_gguf_number(kv, &number) &&
            (number == k_unsupported[i].off || number == k_unsupported[i].also_off)) {
            continue;
        }
        if (text_off != NULL && clm_gguf_get_string(g, key, &text, NULL, NULL) == CLM_OK &&
            clm_gguf_string_is(text, text_off)) {
            continue;
        }
        return clm_fail(err, CLM_E_MODEL,
                        "%s: the model uses %s (key '%s'), which is not supported", mf->path,
                        k_unsupported[i].what, key);
    }
    return CLM_OK;
}

/* Files that are GGUF but no whole model. */
static clm_status check_kind(const clm_gguf *g, const clm_model_file *mf, clm_err *err)
{
    clm_gguf_string kind = {"", 0};
    size_t parts = 0;
    clm_status st = clm_gguf_get_string(g, "general.type", &kind, NULL, err);

    if (st == CLM_OK) st = clm_gguf_get_uint(g, "split.count", SIZE_MAX, &parts, NULL, err);
    if (st != CLM_OK) return st;
    if (kind.size != 0 && !clm_gguf_string_is(kind, "model") &&
        !clm_gguf_string_is(kind, "vocab")) {
        return clm_fail(err, CLM_E_MODEL, "%s: the file is not a model but of type '%.*s'",
                        mf->path, kind.size < 64 ? (int)kind.size : 64, kind.data);
    }
    if (parts > 1) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: the file is one of %zu parts of a model, which must be merged first",
                        mf->path, parts);
    }
    return CLM_OK;
}

/* How positions enter. For baichuan:
 *   attention.max_alibi_bias says it: 8 is ALiBi with the usual slopes, 0 is rotary;
 *   otherwise 40 layers are ALiBi and 32 rotary, whatever rope.* keys say: converters write
 *   rope.dimension_count for both, and llama.cpp decides by the layers alone;
 *   another number of layers is rotary when rope.freq_base is there, and refused when it is not:
 *   nothing in the file would tell. (A file with only a vocabulary may leave it open.) */
static clm_status read_position(const clm_gguf *g, clm_model_file *mf, bool complete, clm_err *err)
{
    clm_hparams *hp = &mf->hparams;
    char key[MAX_KEY];
    double bias = 0, base = 10000;
    bool bias_found, base_found, dims_found;
    clm_status st =
        clm_gguf_get_float(g, arch_key(mf, "rope.freq_base", key), &base, &base_found, err);

    if (st != CLM_OK) return st;
    hp->rope_base = (float)base;
    hp->position = CLM_POSITION_ROPE;
    st = clm_gguf_get_uint(g, arch_key(mf, "rope.dimension_count", key), SIZE_MAX, &hp->rope_dims,
                           &dims_found, err);
    if (st != CLM_OK) return st;
    st = clm_gguf_get_float(g, arch_key(mf, "attention.max_alibi_bias", key), &bias, &bias_found,
                            err);
    if (st != CLM_OK) return st;
    if (bias != 0 && bias != 8) {
        return clm_fail(err, CLM_E_MODEL, "%s: key '%s' is %g; 0 and 8 are supported", mf->path,
                        key, bias);
    }
    if (bias == 8) {
        hp->position = CLM_POSITION_ALIBI;
    } else if (!bias_found && strcmp(hp->arch, "baichuan") == 0) {
        if (hp->n_layers == 40) {
            hp->position = CLM_POSITION_ALIBI;
        } else if (hp->n_layers != 32 && !base_found && complete) {
            return clm_fail(
                err, CLM_E_MODEL,
                "%s: a baichuan model of %zu layers must say whether it uses ALiBi: key "
                "'%s' (8, or 0 for rotary positions) is missing",
                mf->path, hp->n_layers, key);
        }
    }
    /* Zero would be taken for "not stated" further on; with ALiBi it is right. */
    if (hp->position == CLM_POSITION_ROPE && dims_found && hp->rope_dims == 0) {
        return clm_fail(err, CLM_E_MODEL, "%s: key '%s' is 0", mf->path,
                        arch_key(mf, "rope.dimension_count", key));
    }
    return CLM_OK;
}

/* Reads one number; when the file must be complete it has to be there. */
static clm_status read_count(const clm_gguf *g, const clm_model_file *mf, const char *suffix,
                             bool required, size_t *value, clm_err *err)
{
    char key[MAX_KEY];
    bool found;
    clm_status st = clm_gguf_get_uint(g, arch_key(mf, suffix, key), SIZE_MAX, value, &found, err);

    if (st == CLM_OK && !found && required) {
        return clm_fail(err, CLM_E_MODEL, "%s: key '%s' is missing", mf->path, key);
    }
    /* Zero would be taken for "not stated" further on. */
    if (st == CLM_OK && found && *value == 0) {
        return clm_fail(err, CLM_E_MODEL, "%s: key '%s' is 0", mf->path, key);
    }
    return st;
}

/* The dimension of a head, when it is not the width divided by the heads. */
static clm_status read_head_dim(const clm_gguf *g, clm_model_file *mf, clm_err *err)
{
    size_t key_length = 0, value_length = 0;
    clm_status st = read_count(g, mf, "attention.key_length", false, &key_length, err);

    if (st == CLM_OK) st = read_count(g, mf, "attention.value_length", false, &value_length, err);
    if (st != CLM_OK) return st;
    if (key_length != 0 && value_length != 0 && key_length != value_length) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: keys of %zu and values of %zu elements per head differ", mf->path,
                        key_length, value_length);
    }
    mf->hparams.head_dim = key_length != 0 ? key_length : value_length;
    return CLM_OK;
}

static clm_status read_hparams(const clm_gguf *g, clm_model_file *mf, bool complete, clm_err *err)
{
    clm_hparams *hp = &mf->hparams;
    char key[MAX_KEY];
    double eps = 0;
    bool found;
    size_t vocab = hp->vocab;
    clm_status st = read_count(g, mf, "block_count", complete, &hp->n_layers, err);

    if (st == CLM_OK) st = read_count(g, mf, "embedding_length", complete, &hp->width, err);
    if (st == CLM_OK) st = read_count(g, mf, "feed_forward_length", complete, &hp->ffn, err);
    if (st == CLM_OK) st = read_count(g, mf, "context_length", complete, &hp->ctx_train, err);
    if (st == CLM_OK) st = read_count(g, mf, "attention.head_count", complete, &hp->n_heads, err);
    if (st == CLM_OK)
        st = read_count(g, mf, "attention.head_count_kv", false, &hp->n_kv_heads, err);
    if (st == CLM_OK) st = read_count(g, mf, "vocab_size", false, &vocab, err);
    if (st == CLM_OK) st = read_head_dim(g, mf, err);
    if (st == CLM_OK) st = read_position(g, mf, complete, err);
    if (st != CLM_OK) return st;
    if (vocab != hp->vocab) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: a vocabulary of %zu is declared, but there are %zu tokens", mf->path,
                        vocab, hp->vocab);
    }
    arch_key(mf, "attention.layer_norm_rms_epsilon", key);
    st = clm_gguf_get_float(g, key, &eps, &found, err);
    if (st != CLM_OK) return st;
    if (!found && complete)
        return clm_fail(err, CLM_E_MODEL, "%s: key '%s' is missing", mf->path, key);
    if (found && eps == 0) return clm_fail(err, CLM_E_MODEL, "%s: key '%s' is 0", mf->path, key);
    hp->rms_eps = (float)eps;
    return clm__model_check_hparams(mf, complete, err);
}

/* ---- Tensors ------------------------------------------------------------------------------- */

static const char *const k_role_names[] = {
    [CLM_W_EMBED] = "token_embd",  [CLM_W_OUT_NORM] = "output_norm",
    [CLM_W_HEAD] = "output",       [CLM_W_ATTN_NORM] = "attn_norm",
    [CLM_W_Q] = "attn_q",          [CLM_W_K] = "attn_k",
    [CLM_W_V] = "attn_v",          [CLM_W_O] = "attn_output",
    [CLM_W_FFN_NORM] = "ffn_norm", [CLM_W_GATE] = "ffn_gate",
    [CLM_W_UP] = "ffn_up",         [CLM_W_DOWN] = "ffn_down",
};

/* The table of the file as clm_tensors, with names that end in NUL. */
static clm_status copy_tensors(const clm_gguf *g, clm_model_file *mf, clm_err *err)
{
    const clm_gguf_tensor *from = clm_gguf_tensors(g, &mf->n_tensors);
    size_t bytes = 1;
    char *name;

    for (size_t i = 0; i < mf->n_tensors; i++) bytes += from[i].name.size + 1;
    mf->tensors = calloc(mf->n_tensors + 1, sizeof *mf->tensors);
    mf->tensor_names = name = malloc(bytes);
    if (mf->tensors == NULL || name == NULL) {
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory for the tensor table", mf->path);
    }
    for (size_t i = 0; i < mf->n_tensors; i++) {
        memcpy(name, from[i].name.data, from[i].name.size);
        name[from[i].name.size] = '\0';
        mf->tensors[i] = (clm_tensor){
            .name = name,
            .type = from[i].type,
            .rows = from[i].dims[1] * from[i].dims[2] * from[i].dims[3],
            .cols = from[i].dims[0],
            .data = from[i].data,
            .bytes = from[i].bytes,
        };
        name += from[i].name.size + 1;
    }
    return CLM_OK;
}

void clm__gguf_tensor_name(clm_weight_role role, size_t layer, char name[CLM_GGUF_MAX_NAME])
{
    if (role < CLM_W_ATTN_NORM) {
        snprintf(name, CLM_GGUF_MAX_NAME, "%s.weight", k_role_names[role]);
    } else {
        snprintf(name, CLM_GGUF_MAX_NAME, "blk.%zu.%s.weight", layer, k_role_names[role]);
    }
}

/* Finds the tensor of a role and marks it as used. */
static clm_status place_weight(const clm_gguf *g, clm_model_file *mf, clm_weight_role role,
                               size_t layer, bool *used, clm_err *err)
{
    char name[CLM_GGUF_MAX_NAME];
    size_t i;

    clm__gguf_tensor_name(role, layer, name);
    if (clm_gguf_tensor_find(g, name, &i)) {
        used[i] = true;
        /* Converters write the head as it is. Where one has normalised it, nothing changes. */
        mf->tensors[i].normalised = role == CLM_W_HEAD && clm__model_norm_head(&mf->hparams);
        return clm__model_set_weight(mf, role, layer, &mf->tensors[i], err);
    }
    if (role != CLM_W_HEAD) {
        return clm_fail(err, CLM_E_MODEL, "%s: tensor '%s' is missing", mf->path, name);
    }
    if (clm__model_norm_head(&mf->hparams)) {
        return clm_fail(err, CLM_E_MODEL, "%s: a head that is normalised and tied as well",
                        mf->path);
    }
    mf->hparams.tied_head = true;
    return clm__model_set_weight(mf, CLM_W_HEAD, 0, clm_model_file_weight(mf, CLM_W_EMBED, 0), err);
}

/* A tensor without a role would have a part in the computation that clm does not know. Only the
 * rotary frequencies that old converters kept may stay: they follow from the base. */
static clm_status check_unused(const clm_model_file *mf, const bool *used, clm_err *err)
{
    for (size_t i = 0; i < mf->n_tensors; i++) {
        const char *name = mf->tensors[i].name;

        if (used[i] || strstr(name, ".attn_rot_embd") != NULL) continue;
        if (strcmp(name, "rope_freqs.weight") == 0) {
            return clm_fail(err, CLM_E_MODEL,
                            "%s: tensor '%s' scales the rotary frequencies, which is not supported",
                            mf->path, name);
        }
        return clm_fail(err, CLM_E_MODEL,
                        "%s: tensor '%s' has no place in a %s model of %zu layers as clm knows it",
                        mf->path, name, mf->hparams.arch, mf->hparams.n_layers);
    }
    return CLM_OK;
}

static clm_status read_weights(const clm_gguf *g, clm_model_file *mf, clm_err *err)
{
    bool *used = calloc(mf->n_tensors + 1, sizeof *used);
    clm_status st = clm__model_alloc_weights(mf, err);

    if (used == NULL) st = clm_fail(err, CLM_E_NOMEM, "%s: no memory", mf->path);
    for (int role = CLM_W_EMBED; role < CLM_W_ATTN_NORM && st == CLM_OK; role++) {
        st = place_weight(g, mf, (clm_weight_role)role, 0, used, err);
    }
    for (size_t layer = 0; layer < mf->hparams.n_layers && st == CLM_OK; layer++) {
        for (int role = CLM_W_ATTN_NORM; role <= CLM_W_DOWN && st == CLM_OK; role++) {
            st = place_weight(g, mf, (clm_weight_role)role, layer, used, err);
        }
    }
    if (st == CLM_OK) st = check_unused(mf, used, err);
    free(used);
    return st;
}

/* ---- The reader ---------------------------------------------------------------------------- */

clm_status clm__model_read_gguf(clm_model_file *mf, clm_err *err)
{
    clm_gguf *g = NULL;
    size_t n_tensors;
    clm_status st;

    mf->maps = calloc(1, sizeof *mf->maps);
    if (mf->maps == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", mf->path);
    st = clm_map_open(mf->path, mf->maps, err);
    if (st == CLM_E_IO)
        return CLM_E_MODEL; /* the sentence is right, the exit code is the model's */
    if (st != CLM_OK) return st;
    mf->n_maps = 1;

    st = clm_gguf_parse(mf->path, mf->maps[0].data, mf->maps[0].size, &g, err);
    if (st != CLM_OK) return st;
    snprintf(mf->format, sizeof mf->format, "GGUF v%u", clm_gguf_version(g));
    clm_gguf_tensors(g, &n_tensors);
    st = check_kind(g, mf, err);
    if (st == CLM_OK) st = read_architecture(g, mf, err);
    if (st == CLM_OK) st = check_features(g, mf, err);
    if (st == CLM_OK) st = clm__gguf_read_vocab(g, mf, err);
    if (st == CLM_OK) st = read_hparams(g, mf, n_tensors > 0, err);
    if (st == CLM_OK) clm__gguf_read_advice(g, mf);
    if (st == CLM_OK) st = copy_tensors(g, mf, err);
    if (st == CLM_OK && n_tensors > 0) st = read_weights(g, mf, err);
    clm_gguf_destroy(g);
    return st;
}
