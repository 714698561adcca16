/* hf_vocab.c: tokenizer and generation settings of a Hugging Face folder; see hf_model.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/formats/hf_model.h"

/* ---- Ids ----------------------------------------------------------------------------------- */

/* A token id under `key`, or the first of a list of them. The file must state sound ones (`strict`),
 * or one outside the vocabulary is dropped with a warning, as in GGUF files. */
static clm_status read_id(clm__hf *hf, const clm_json *j, const char *key, bool strict, int *id,
                          clm_err *err)
{
    const json_t *value = clm__json_get(j, NULL, key);
    const size_t vocab = hf->mf->hparams.vocab,
                 count = json_is_array(value) ? json_array_size(value) : 1;
    clm_err text;

    if (value == NULL) return CLM_OK;
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
        const double number = json_number_value(one);

        if (!json_is_number(one) || number != floor(number))
            return clm_fail(err, CLM_E_MODEL, "%s: '%s' is no token id", j->path, key);
        if (number >= 0 && number < (double)vocab) {
            if (i == 0) *id = (int)number;
            continue;
        }
        clm_fail(&text, CLM_E_MODEL, "%s: %s is %.0f, outside the vocabulary of %zu", j->path, key,
                 number, vocab);
        if (strict) {
            if (err != NULL) *err = text;
            return CLM_E_MODEL;
        }
        clm_fail(&text, CLM_OK, "%s: %s is outside the vocabulary: ignored", j->path, key);
        clm__model_warn(hf->mf, text.text);
    }
    return CLM_OK;
}

/* Of a list the first id is eos, and the others end an answer as well. What a file says replaces what
 * an earlier one did. */
static clm_status read_eos(clm__hf *hf, const clm_json *j, bool strict, clm_err *err)
{
    static const char key[] = "eos_token_id";
    const json_t *value = clm__json_get(j, NULL, key);
    clm_vocab *v = &hf->mf->vocab;
    clm_status st = read_id(hf, j, key, strict, &v->eos, err);

    if (st != CLM_OK || value == NULL || (json_is_array(value) && json_array_size(value) == 0))
        return st;
    v->n_ends = 0;
    for (size_t i = 1; i < json_array_size(value); i++) {
        const double id = json_number_value(json_array_get(value, i));

        if (!(id >= 0 && id < (double)hf->mf->hparams.vocab)) continue; /* read_id has said so */
        if (!clm__vocab_add_end(v, (int)id))
            return clm_fail(err, CLM_E_MODEL, "%s: '%s' has more than %d ids", j->path, key,
                            1 + CLM_MAX_ENDS);
    }
    return CLM_OK;
}

/* ---- generation_config.json ---------------------------------------------------------------- */

/* A number within bounds, for use as a default; anything else is ignored with a warning. */
static void read_default(clm__hf *hf, const clm_json *j, const char *key, bool whole, double min,
                         double max, double *value)
{
    const json_t *v = clm__json_get(j, NULL, key);
    const double number = json_number_value(v);
    clm_err text;

    if (v == NULL) return;
    if (json_is_number(v) && number >= min && number <= max &&
        (!whole || number == floor(number))) {
        *value = number;
        return;
    }
    clm_fail(&text, CLM_OK, "%s: '%s' is no number from %g to %g: ignored", j->path, key, min, max);
    clm__model_warn(hf->mf, text.text);
}

static clm_status read_generation(clm__hf *hf, clm_err *err)
{
    clm_advice *g = &hf->mf->advice;
    clm_vocab *v = &hf->mf->vocab;
    const char *path = clm__hf_path(hf, "generation_config.json");
    clm_json j;
    bool found;
    clm_status st;

    if (path == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", hf->mf->path);
    st = clm__json_load(path, CLM__HF_MAX_JSON, true, &found, &j, err);
    if (st != CLM_OK || !found) return st;
    read_default(hf, &j, "temperature", false, 0.0, 100.0, &g->temperature);
    read_default(hf, &j, "top_k", true, 0.0, 2147483647.0, &g->top_k);
    read_default(hf, &j, "top_p", false, 1e-9, 1.0, &g->top_p);
    read_default(hf, &j, "min_p", false, 0.0, 1.0, &g->min_p);
    read_default(hf, &j, "repetition_penalty", false, 1e-3, 10.0, &g->repetition_penalty);
    read_default(hf, &j, "max_new_tokens", true, 1.0, 1048576.0, &g->max_new_tokens);
    if (json_is_false(clm__json_get(&j, NULL, "do_sample"))) g->temperature = 0.0;
    st = read_id(hf, &j, "bos_token_id", true, &v->bos, err);
    if (st == CLM_OK) st = read_eos(hf, &j, true, err);
    if (st == CLM_OK) st = read_id(hf, &j, "pad_token_id", true, &v->pad, err);
    if (st == CLM_OK) st = read_id(hf, &j, "user_token_id", true, &v->user, err);
    if (st == CLM_OK) st = read_id(hf, &j, "assistant_token_id", true, &v->assistant, err);
    clm__json_clear(&j);
    return st;
}

/* ---- tokenizer_config.json ----------------------------------------------------------------- */

/* A text, or a list of {name, template}, of which "default" is taken. */
static clm_status read_template(clm__hf *hf, const clm_json *j, clm_err *err)
{
    const json_t *value = clm__json_get(j, NULL, "chat_template");
    const char *text = json_string_value(value);

    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *one = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(one, "name"));

        if (name != NULL && strcmp(name, "default") == 0)
            text = json_string_value(json_object_get(one, "template"));
    }
    if (text == NULL) return CLM_OK;
    hf->mf->chat_template = strdup(text);
    if (hf->mf->chat_template == NULL)
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory", hf->mf->path);
    hf->mf->vocab.chat_template = hf->mf->chat_template;
    return CLM_OK;
}

/* Without the file the classes' own defaults hold: LLaMA's tokenizer adds a BOS, Baichuan's none. */
static clm_status read_flags(clm__hf *hf, clm_err *err)
{
    clm_vocab *v = &hf->mf->vocab;
    const char *path = clm__hf_path(hf, "tokenizer_config.json");
    clm_json j;
    bool found;
    clm_status st;

    if (path == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", hf->mf->path);
    v->add_bos = strcmp(hf->mf->hparams.arch, "llama") == 0;
    st = clm__json_load(path, CLM__HF_MAX_JSON, true, &found, &j, err);
    if (st != CLM_OK || !found) return st;
    st = clm__json_bool(&j, NULL, "add_bos_token", &v->add_bos, &found, err);
    if (st == CLM_OK) st = clm__json_bool(&j, NULL, "add_eos_token", &v->add_eos, &found, err);
    if (st == CLM_OK) st = read_template(hf, &j, err);
    clm__json_clear(&j);
    return st;
}

clm_status clm__hf_read_vocab(clm__hf *hf, clm_err *err)
{
    clm_model_file *mf = hf->mf;
    clm_vocab *v = &mf->vocab;
    const char *path = clm__hf_path(hf, "tokenizer.model");
    clm_map *map = &mf->maps[mf->n_maps];
    clm_status st;

    if (path == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", mf->path);
    v->bos = v->eos = v->unk = v->pad = -1;
    if (!clm_file_exists(path)) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: tokenizer.model is missing (other tokenizers are not supported)",
                        mf->path);
    }
    st = clm_map_open(path, map, err);
    if (st != CLM_OK) return st == CLM_E_IO ? CLM_E_MODEL : st;
    mf->n_maps++;
    v->sp_model = map->data != NULL ? map->data : (const uint8_t *)"";
    v->sp_model_bytes = map->size;
    v->sp_path = path;
    st = read_id(hf, &hf->config, "bos_token_id", false, &v->bos, err);
    if (st == CLM_OK) st = read_eos(hf, &hf->config, false, err);
    if (st == CLM_OK) st = read_id(hf, &hf->config, "pad_token_id", false, &v->pad, err);
    if (st == CLM_OK) st = read_generation(hf, err);
    if (st == CLM_OK) st = read_flags(hf, err);
    return st;
}
