/* hf_config.c: config.json of a Hugging Face folder; see hf_model.h. Keys are those of transformers'
 * LlamaConfig and of the configuration_baichuan.py that each model of the family carries. Unknown
 * keys are passed over; known ones that change what is computed are not. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/formats/hf_model.h"

enum { BAICHUAN_CTX = 4096 };

/* ---- Architecture -------------------------------------------------------------------------- */

static const struct {
    const char *class_name, *arch;
} k_classes[] = {
    {"BaichuanForCausalLM", "baichuan"},
    {"BaiChuanForCausalLM", "baichuan"},
    {"LlamaForCausalLM", "llama"},
    {"LLaMAForCausalLM", "llama"},
};

/* The first of "architectures", which older files have as a text; NULL: not stated. */
static const char *class_name(const clm__hf *hf)
{
    const json_t *value = clm__json_get(&hf->config, NULL, "architectures");

    if (json_is_array(value)) value = json_array_get(value, 0);
    return json_string_value(value);
}

static clm_status read_architecture(clm__hf *hf, clm_err *err)
{
    const char *name = class_name(hf), *type = "";
    const char *arch = NULL;
    bool found;
    clm_status st = clm__json_text(&hf->config, NULL, "model_type", &type, &found, err);

    if (st != CLM_OK) return st;
    if (name == NULL && !found) {
        return clm_fail(err, CLM_E_MODEL, "%s: neither 'architectures' nor 'model_type' is there",
                        hf->config.path);
    }
    for (size_t i = 0; i < sizeof k_classes / sizeof *k_classes; i++) {
        if (name != NULL ? strcmp(name, k_classes[i].class_name) == 0
                         : strcmp(type, k_classes[i].arch) == 0)
            arch = k_classes[i].arch;
    }
    if (arch == NULL) {
        return clm_fail(
            err, CLM_E_MODEL,
            "%s: architecture '%.64s' is not supported; those of Baichuan and LLaMA are",
            hf->config.path, name != NULL ? name : type);
    }
    strcpy(hf->mf->hparams.arch, arch);
    return CLM_OK;
}

/* A name to tell the model by: that of the folder, which says more than what `_name_or_path` was
 * fine-tuned from. */
static void read_name(clm__hf *hf)
{
    clm_hparams *hp = &hf->mf->hparams;
    const char *path = hf->mf->path, *other;
    size_t end = strlen(path), start;
    bool found;

    while (end > 0 && path[end - 1] == '/') end--;
    for (start = end; start > 0 && path[start - 1] != '/';) start--;
    if (path[start] == '.' || start == end) { /* "." says nothing */
        if (clm__json_text(&hf->config, NULL, "_name_or_path", &other, &found, NULL) != CLM_OK ||
            !found)
            return;
        path = strrchr(other, '/') != NULL ? strrchr(other, '/') + 1 : other;
        start = 0;
        end = strlen(path);
    }
    clm__model_set_name(hp, path + start, end - start);
}

/* ---- What is computed ---------------------------------------------------------------------- */

static clm_status fail_partial(const clm_json *c, clm_err *err)
{
    return clm_fail(err, CLM_E_MODEL, "%s: a partial rotation of heads is not supported", c->path);
}

/* The object `key` on rotary positions: transformers 4 has `rope_scaling` beside the base, 5 has
 * `rope_parameters` with the base inside. Positions must not be scaled. An object that does not say how
 * it scales them must not hold anything to scale by either. */
static clm_status check_rotation(const clm_json *c, const char *key, clm_err *err)
{
    json_t *at = (json_t *)clm__json_get(c, NULL, key), *value;
    const char *kind = json_string_value(json_object_get(at, "rope_type")), *name;
    bool plain = at == NULL || json_is_object(at), found;
    double factor = 1.0;
    clm_status st;

    if (kind == NULL) kind = json_string_value(json_object_get(at, "type"));
    json_object_foreach(at, name, value)
    {
        if (json_is_object(value)) {
            return clm_fail(err, CLM_E_MODEL,
                            "%s: rotary positions that differ by layers ('%s') are not supported",
                            c->path, key);
        }
        if (kind == NULL && strcmp(name, "rope_theta") != 0 &&
            strcmp(name, "partial_rotary_factor") != 0)
            plain = false;
    }
    if (!plain || (kind != NULL && strcmp(kind, "default") != 0)) {
        return clm_fail(err, CLM_E_MODEL, "%s: scaled rotary positions ('%s') are not supported",
                        c->path, key);
    }
    if (at == NULL) return CLM_OK;
    st = clm__json_real(c, at, "partial_rotary_factor", &factor, &found, err);
    return st == CLM_OK && factor != 1.0 ? fail_partial(c, err) : st;
}

/* Settings that clm does not implement, and the only value that may stand there. */
static clm_status check_features(const clm__hf *hf, clm_err *err)
{
    static const char *const biases[] = {"attention_bias", "mlp_bias", "bias"};
    const clm_json *c = &hf->config;
    const char *text = "silu";
    double factor = 1.0;
    bool flag = false, found;
    clm_status st = clm__json_text(c, NULL, "hidden_act", &text, &found, err);

    if (st == CLM_OK && strcmp(text, "silu") != 0 && strcmp(text, "swish") != 0) {
        st = clm_fail(err, CLM_E_MODEL, "%s: activation '%.40s' is not supported, only silu",
                      c->path, text);
    }
    for (size_t i = 0; i < sizeof biases / sizeof *biases && st == CLM_OK; i++) {
        st = clm__json_bool(c, NULL, biases[i], &flag, &found, err);
        if (st == CLM_OK && flag) {
            st =
                clm_fail(err, CLM_E_MODEL, "%s: linear layers with a bias ('%s') are not supported",
                         c->path, biases[i]);
        }
    }
    if (st == CLM_OK) st = clm__json_real(c, NULL, "partial_rotary_factor", &factor, &found, err);
    if (st != CLM_OK) return st;
    if (factor != 1.0) return fail_partial(c, err);
    st = check_rotation(c, "rope_scaling", err);
    return st == CLM_OK ? check_rotation(c, "rope_parameters", err) : st;
}

/* Whether the configuration says outright that it is ALiBi (1) or not (0); -1: it does not say. */
static clm_status stated_alibi(const clm__hf *hf, int *alibi, clm_err *err)
{
    static const char *const keys[] = {"position_embedding", "position_embedding_type"};
    bool flag = false, found = false;
    clm_status st = clm__json_bool(&hf->config, NULL, "alibi", &flag, &found, err);

    *alibi = found ? flag : -1;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && st == CLM_OK; i++) {
        const char *kind = "";

        st = clm__json_text(&hf->config, NULL, keys[i], &kind, &found, err);
        if (st != CLM_OK || !found) continue;
        if (strcasecmp(kind, "alibi") != 0 && strcasecmp(kind, "rope") != 0 &&
            strcasecmp(kind, "rotary") != 0) {
            st = clm_fail(err, CLM_E_MODEL, "%s: '%s' is '%.40s'; alibi and rope are supported",
                          hf->config.path, keys[i], kind);
        }
        *alibi = strcasecmp(kind, "alibi") == 0;
    }
    return st;
}

/* The base of rotary positions; `rope_parameters` has the last word, as in transformers. */
static clm_status read_rope_base(clm__hf *hf, bool *found, clm_err *err)
{
    const json_t *inside = clm__json_get(&hf->config, NULL, "rope_parameters");
    double base = 10000.0;
    bool found_inside = false;
    clm_status st = clm__json_real(&hf->config, NULL, "rope_theta", &base, found, err);

    if (st == CLM_OK && inside != NULL)
        st = clm__json_real(&hf->config, inside, "rope_theta", &base, &found_inside, err);
    *found = *found || found_inside;
    hf->mf->hparams.rope_base = (float)base;
    return st;
}

/* How positions enter. LLaMA is rotary. Of Baichuan, the smaller models are rotary and the larger
 * ones use ALiBi, and few files say so outright. What they do say: the class BaiChuanForCausalLM is
 * the first 7B model's; the rotary ones' configurations have max_position_embeddings, the others'
 * only model_max_length. The number of layers decides when there is none of this. */
static clm_status read_position(clm__hf *hf, bool rotary_length, bool other_length, clm_err *err)
{
    clm_hparams *hp = &hf->mf->hparams;
    const char *name = class_name(hf);
    int alibi = -1;
    bool has_base = false;
    clm_status st = read_rope_base(hf, &has_base, err);

    if (st != CLM_OK) return st;
    hp->position = CLM_POSITION_ROPE;
    if (strcmp(hp->arch, "baichuan") != 0) return CLM_OK;
    st = stated_alibi(hf, &alibi, err);
    if (st != CLM_OK) return st;
    if (alibi < 0 && name != NULL && strcmp(name, "BaiChuanForCausalLM") == 0) alibi = 0;
    if (alibi < 0 && (has_base || rotary_length)) {
        alibi = 0;
        if (hp->n_layers == 40)
            clm__model_warn(hf->mf, "config.json has rotary positions for 40 layers, where the "
                                    "family uses ALiBi: add \"alibi\": true if it is wrong");
    }
    if (alibi < 0 && other_length) alibi = 1;
    if (alibi < 0 && hp->n_layers != 32 && hp->n_layers != 40) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: nothing says how positions enter: add \"alibi\": true or false",
                        hf->config.path);
    }
    if (alibi < 0) alibi = hp->n_layers == 40;
    hp->position = alibi ? CLM_POSITION_ALIBI : CLM_POSITION_ROPE;
    return CLM_OK;
}

/* Baichuan 2 normalises the rows of its head. Its configuration does not say so; its vocabulary
 * gives it away, or the model code beside it. */
static clm_status read_norm_head(clm__hf *hf, clm_err *err)
{
    static const char word[] = "NormHead";
    const char *path;
    char *code;
    size_t size;
    clm_status st;

    if (strcmp(hf->mf->hparams.arch, "baichuan") != 0) return CLM_OK;
    hf->norm_head = clm__model_norm_head(&hf->mf->hparams);
    path = clm__hf_path(hf, "modeling_baichuan.py");
    if (path == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", hf->mf->path);
    if (hf->norm_head || !clm_file_exists(path)) return CLM_OK;
    st = clm_file_read(path, CLM__HF_MAX_JSON, &code, &size, err);
    if (st != CLM_OK) return st;
    hf->norm_head = memmem(code, size, word, sizeof word - 1) != NULL;
    free(code);
    return CLM_OK;
}

static clm_status read_hparams(clm__hf *hf, clm_err *err)
{
    clm_hparams *hp = &hf->mf->hparams;
    const clm_json *c = &hf->config;
    double eps = 0.0;
    bool rotary_length, other_length, found;
    size_t length = BAICHUAN_CTX;
    clm_status st =
        clm__json_count(c, NULL, "num_hidden_layers", SIZE_MAX, &hp->n_layers, NULL, err);

    if (st == CLM_OK) st = clm__json_count(c, NULL, "hidden_size", SIZE_MAX, &hp->width, NULL, err);
    if (st == CLM_OK)
        st = clm__json_count(c, NULL, "intermediate_size", SIZE_MAX, &hp->ffn, NULL, err);
    if (st == CLM_OK)
        st = clm__json_count(c, NULL, "num_attention_heads", SIZE_MAX, &hp->n_heads, NULL, err);
    if (st == CLM_OK)
        st =
            clm__json_count(c, NULL, "num_key_value_heads", SIZE_MAX, &hp->n_kv_heads, &found, err);
    if (st == CLM_OK)
        st = clm__json_count(c, NULL, "head_dim", SIZE_MAX, &hp->head_dim, &found, err);
    if (st == CLM_OK) st = clm__json_count(c, NULL, "vocab_size", SIZE_MAX, &hp->vocab, NULL, err);
    if (st == CLM_OK) st = clm__json_real(c, NULL, "rms_norm_eps", &eps, NULL, err);
    if (st == CLM_OK)
        st = clm__json_count(c, NULL, "model_max_length", SIZE_MAX, &length, &other_length, err);
    if (st == CLM_OK)
        st = clm__json_count(c, NULL, "max_position_embeddings", SIZE_MAX, &length, &rotary_length,
                             err);
    if (st == CLM_OK)
        st = clm__json_bool(c, NULL, "tie_word_embeddings", &hp->tied_head, &found, err);
    if (st != CLM_OK) return st;
    if (!rotary_length && !other_length && strcmp(hp->arch, "llama") == 0)
        return clm_fail(err, CLM_E_MODEL, "%s: key 'max_position_embeddings' is missing", c->path);
    hp->ctx_train = length;
    hp->rms_eps = (float)eps;
    st = read_position(hf, rotary_length, other_length, err);
    return st == CLM_OK ? clm__model_check_hparams(hf->mf, true, err) : st;
}

/* ---- Quantisation -------------------------------------------------------------------------- */

/* The settings of GPTQ in the object `at` of file `j`. */
static clm_status read_gptq(const clm_json *j, const json_t *at, int *bits, size_t *group,
                            clm_err *err)
{
    const char *method = "gptq", *format = "gptq";
    int64_t n_bits = 0, size = 0;
    bool found, marlin = false;
    clm_status st = clm__json_text(j, at, "quant_method", &method, &found, err);

    if (st == CLM_OK && strcmp(method, "gptq") != 0) {
        st = clm_fail(err, CLM_E_MODEL,
                      "%s: quantisation method '%.40s' is not supported, only gptq", j->path,
                      method);
    }
    if (st == CLM_OK) st = clm__json_text(j, at, "checkpoint_format", &format, &found, err);
    if (st == CLM_OK) st = clm__json_bool(j, at, "is_marlin_format", &marlin, &found, err);
    if (st == CLM_OK && (strcmp(format, "gptq") != 0 || marlin)) {
        st = clm_fail(err, CLM_E_MODEL,
                      "%s: GPTQ weights in the format '%.40s'; only the first one "
                      "(AutoGPTQ's `gptq`) is read",
                      j->path, marlin ? "marlin" : format);
    }
    if (st == CLM_OK) st = clm__json_int(j, at, "bits", &n_bits, NULL, err);
    if (st == CLM_OK) st = clm__json_int(j, at, "group_size", &size, NULL, err);
    if (st != CLM_OK) return st;
    if (n_bits != 4 && n_bits != 8) {
        return clm_fail(err, CLM_E_MODEL, "%s: GPTQ of %lld bits; 4 and 8 are supported", j->path,
                        (long long)n_bits);
    }
    if (size != -1 && size != 16 && size != 32 && size != 64 && size != 128) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: GPTQ groups of %lld; 16, 32, 64, 128 and -1 are supported", j->path,
                        (long long)size);
    }
    *bits = (int)n_bits;
    *group = size > 0 ? (size_t)size : 0;
    return CLM_OK;
}

static clm_status read_quantisation(clm__hf *hf, clm_err *err)
{
    const json_t *inside = clm__json_get(&hf->config, NULL, "quantization_config");
    const char *path = clm__hf_path(hf, "quantize_config.json");
    clm_json file = {0};
    int bits = 0;
    size_t group = 0;
    bool found = false;
    clm_status st = CLM_OK;

    if (path == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", hf->mf->path);
    if (inside != NULL && !json_is_object(inside)) {
        return clm_fail(err, CLM_E_MODEL, "%s: 'quantization_config' is no object",
                        hf->config.path);
    }
    if (inside != NULL) st = read_gptq(&hf->config, inside, &hf->bits, &hf->group, err);
    if (st == CLM_OK) st = clm__json_load(path, CLM__HF_MAX_JSON, false, &found, &file, err);
    if (st == CLM_OK && found) st = read_gptq(&file, NULL, &bits, &group, err);
    clm__json_clear(&file);
    if (st != CLM_OK || !found) return st;
    if (inside != NULL && (bits != hf->bits || group != hf->group)) {
        return clm_fail(err, CLM_E_MODEL, "%s: contradicts 'quantization_config' of config.json",
                        path);
    }
    hf->bits = bits;
    hf->group = group;
    return CLM_OK;
}

clm_status clm__hf_read_config(clm__hf *hf, clm_err *err)
{
    const char *path = clm__hf_path(hf, "config.json");
    clm_status st;

    if (path == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", hf->mf->path);
    if (!clm_file_exists(path)) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: is a folder without config.json: no Hugging Face model", hf->mf->path);
    }
    hf->mf->hparams_path = path;
    st = clm__json_load(path, CLM__HF_MAX_JSON, false, NULL, &hf->config, err);
    if (st == CLM_OK) st = read_architecture(hf, err);
    if (st != CLM_OK) return st;
    read_name(hf);
    st = check_features(hf, err);
    if (st == CLM_OK) st = read_hparams(hf, err);
    if (st == CLM_OK) st = read_norm_head(hf, err);
    return st == CLM_OK ? read_quantisation(hf, err) : st;
}
