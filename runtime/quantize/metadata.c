/* metadata.c: the keys of a GGUF file, from what a model file of any format says. Names are
 * llama.cpp's. See plan.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/quantize/plan.h"
#include "runtime/text/sp_model.h"

/* ---- From a GGUF file ------------------------------------------------------------------------ */

/* Keys that are about the source file and not about the model. */
static bool is_about_file(clm_gguf_string key)
{
    static const char *const names[] = {"general.file_type", "general.quantization_version",
                                        "general.alignment", CLM_KEY_CHECKSUMS, CLM_KEY_WEIGHTS};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (clm_gguf_string_is(key, names[i])) return true;
    return key.size >= 6 && memcmp(key.data, "split.", 6) == 0;
}

static clm_status copy_keys(const char *path, clm_gguf_writer *w, clm_err *err)
{
    clm_map map;
    clm_gguf *g = NULL;
    size_t count;
    clm_status st = clm_map_open(path, &map, err);

    if (st != CLM_OK) return st;
    st = clm_gguf_parse(path, map.data, map.size, &g, err);
    if (st == CLM_OK) {
        const clm_gguf_kv *kvs = clm_gguf_kvs(g, &count);

        for (size_t i = 0; i < count; i++)
            if (!is_about_file(kvs[i].key)) clm_gguf_put_copy(w, &kvs[i]);
    }
    clm_gguf_destroy(g);
    clm_map_close(&map);
    return st;
}

/* ---- From another format --------------------------------------------------------------------- */

enum { MAX_KEY = 96 };

static void put_arch_u32(clm_gguf_writer *w, const clm_hparams *hp, const char *suffix,
                         size_t value)
{
    char key[MAX_KEY];

    snprintf(key, sizeof key, "%s.%s", hp->arch, suffix);
    clm_gguf_put_u32(w, key, (uint32_t)value); /* model_file.c has checked that it fits */
}

static void put_arch_f32(clm_gguf_writer *w, const clm_hparams *hp, const char *suffix, float value)
{
    char key[MAX_KEY];

    snprintf(key, sizeof key, "%s.%s", hp->arch, suffix);
    clm_gguf_put_f32(w, key, value);
}

static void put_hparams(clm_gguf_writer *w, const clm_hparams *hp)
{
    clm_gguf_put_string(w, "general.architecture", hp->arch);
    if (hp->name[0] != '\0') clm_gguf_put_string(w, "general.name", hp->name);
    put_arch_u32(w, hp, "block_count", hp->n_layers);
    put_arch_u32(w, hp, "context_length", hp->ctx_train);
    put_arch_u32(w, hp, "embedding_length", hp->width);
    put_arch_u32(w, hp, "feed_forward_length", hp->ffn);
    put_arch_u32(w, hp, "attention.head_count", hp->n_heads);
    put_arch_u32(w, hp, "attention.head_count_kv", hp->n_kv_heads);
    put_arch_f32(w, hp, "attention.layer_norm_rms_epsilon", hp->rms_eps);
    put_arch_u32(w, hp, "vocab_size", hp->vocab);
    if (hp->head_dim * hp->n_heads != hp->width) {
        put_arch_u32(w, hp, "attention.key_length", hp->head_dim);
        put_arch_u32(w, hp, "attention.value_length", hp->head_dim);
    }
    /* Said, so that nobody needs to go by the number of layers. */
    if (strcmp(hp->arch, "baichuan") == 0)
        put_arch_f32(w, hp, "attention.max_alibi_bias",
                     hp->position == CLM_POSITION_ALIBI ? 8.0f : 0.0f);
    if (hp->position == CLM_POSITION_ROPE) {
        put_arch_u32(w, hp, "rope.dimension_count", hp->rope_dims);
        put_arch_f32(w, hp, "rope.freq_base", hp->rope_base);
    }
}

/* Tokens, scores and types of a SentencePiece model; rows of the matrices beyond its pieces become
 * unused tokens, as llama.cpp's converter names them. */
static clm_status put_pieces(clm_gguf_writer *w, const clm_sp_model *m, size_t vocab, clm_err *err)
{
    float *scores = calloc(vocab, sizeof *scores);
    int32_t *types = calloc(vocab, sizeof *types);
    clm_status st = CLM_OK;

    if (scores == NULL || types == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "quantize: no memory for the vocabulary");
        goto out;
    }
    clm_gguf_put_strings(w, "tokenizer.ggml.tokens", vocab);
    for (size_t i = 0; i < vocab; i++) {
        char name[32];

        scores[i] = i < m->n_pieces ? m->pieces[i].score : -1000.0f;
        types[i] = i < m->n_pieces ? (int32_t)m->pieces[i].type : CLM_PIECE_UNUSED;
        if (i < m->n_pieces) {
            clm_gguf_put_item(w, m->pieces[i].text.data, m->pieces[i].text.size);
        } else {
            snprintf(name, sizeof name, "[PAD%zu]", i);
            clm_gguf_put_item(w, name, strlen(name));
        }
    }
    clm_gguf_put_f32s(w, "tokenizer.ggml.scores", scores, vocab);
    clm_gguf_put_i32s(w, "tokenizer.ggml.token_type", types, vocab);
out:
    free(scores);
    free(types);
    return st;
}

/* Index of the unknown piece; readers have checked that there is exactly one. */
static int find_unknown(const clm_sp_model *m)
{
    for (size_t i = 0; i < m->n_pieces; i++)
        if (m->pieces[i].type == CLM_PIECE_UNKNOWN) return (int)i;
    return -1;
}

static void put_id(clm_gguf_writer *w, const char *key, int id)
{
    if (id >= 0) clm_gguf_put_u32(w, key, (uint32_t)id);
}

/* What ends an answer besides eos, for every reader. */
static void put_ends(clm_gguf_writer *w, const clm_vocab *v)
{
    int32_t ids[1 + CLM_MAX_ENDS];
    size_t n = 0;

    if (v->n_ends == 0) return;
    if (v->eos >= 0) ids[n++] = v->eos;
    for (size_t i = 0; i < v->n_ends; i++) ids[n++] = v->ends[i];
    put_id(w, CLM_KEY_EOT, v->ends[0]);
    if (v->n_ends > 1) put_id(w, CLM_KEY_EOM, v->ends[1]);
    clm_gguf_put_i32s(w, CLM_KEY_ENDS, ids, n);
}

static clm_status put_vocab(const clm_model_file *mf, clm_gguf_writer *w, clm_err *err)
{
    const clm_vocab *v = clm_model_file_vocab(mf);
    const size_t rows = clm_model_file_hparams(mf)->vocab;
    clm_sp_model *m = NULL;
    clm_status st;

    if (v->sp_model == NULL)
        return clm_fail(err, CLM_E_MODEL, "%s: has no SentencePiece model (tokenizer.model)",
                        clm_model_file_path(mf));
    st = clm_sp_model_read(v->sp_model, v->sp_model_bytes, &m, err);
    if (st != CLM_OK)
        return clm_fail_context(err, st, "%s: tokenizer.model", clm_model_file_path(mf));
    if (m->n_pieces > rows) {
        st = clm_fail(err, CLM_E_MODEL, "%s: a tokenizer of %zu pieces for a model of %zu tokens",
                      clm_model_file_path(mf), m->n_pieces, rows);
        goto out;
    }
    clm_gguf_put_string(w, "tokenizer.ggml.model", m->kind == CLM_SP_BPE ? "llama" : "t5");
    clm_gguf_put_string(w, "tokenizer.ggml.pre", "default");
    st = put_pieces(w, m, rows, err);
    put_id(w, "tokenizer.ggml.bos_token_id", v->bos);
    put_id(w, "tokenizer.ggml.eos_token_id", v->eos);
    put_ends(w, v);
    put_id(w, "tokenizer.ggml.unknown_token_id", v->unk >= 0 ? v->unk : find_unknown(m));
    put_id(w, "tokenizer.ggml.padding_token_id", v->pad);
    clm_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", v->add_bos);
    clm_gguf_put_bool(w, "tokenizer.ggml.add_eos_token", v->add_eos);
    clm_gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", m->add_dummy_prefix);
    clm_gguf_put_bool(w, "tokenizer.ggml.remove_extra_whitespaces", m->remove_extra_whitespaces);
    if (v->user > 0) clm_gguf_put_u32(w, CLM_KEY_USER, (uint32_t)v->user);
    if (v->assistant > 0) clm_gguf_put_u32(w, CLM_KEY_ASSISTANT, (uint32_t)v->assistant);
    if (v->chat_template != NULL)
        clm_gguf_put_string(w, "tokenizer.chat_template", v->chat_template);
    clm_gguf_put_bytes(w, CLM_KEY_SP_MODEL, v->sp_model, v->sp_model_bytes);
out:
    clm_sp_model_destroy(m);
    return st;
}

clm_status clm_plan_put_keys(const clm_plan *plan, clm_gguf_writer *w, clm_err *err)
{
    const char *path = clm_model_file_path(plan->model);
    const int32_t file_type = clm_plan_file_type(plan);
    clm_status st;

    if (strncmp(clm_model_file_format(plan->model), "GGUF", 4) == 0) {
        st = copy_keys(path, w, err);
    } else {
        put_hparams(w, clm_model_file_hparams(plan->model));
        clm__gguf_put_advice(w, clm_model_file_advice(plan->model));
        st = put_vocab(plan->model, w, err);
    }
    if (file_type >= 0) clm_gguf_put_u32(w, "general.file_type", (uint32_t)file_type);
    clm_gguf_put_u32(w, "general.quantization_version", 2); /* of ggml's block layouts */
    return st;
}
