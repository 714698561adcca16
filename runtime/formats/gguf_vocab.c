/* gguf_vocab.c: the vocabulary in a GGUF file. Key names are llama.cpp's, and so are the defaults,
 * but for one: Baichuan's prompts begin without a BOS (its tokenizer says add_bos_token: false, a
 * fact that converters did not write down), so that is the default for this architecture. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/formats/bytes.h"
#include "runtime/formats/gguf_model.h"

/* Copies a string of the file with a NUL behind it; one with NUL inside is refused. */
static clm_status copy_string(const clm_gguf *g, const char *key, clm_gguf_string s, char **copy,
                              clm_err *err)
{
    if (memchr(s.data, '\0', s.size) != NULL) {
        return clm_fail(err, CLM_E_MODEL, "%s: key '%s' has a NUL inside", clm_gguf_path(g), key);
    }
    *copy = malloc(s.size + 1);
    if (*copy == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", clm_gguf_path(g));
    memcpy(*copy, s.data, s.size);
    (*copy)[s.size] = '\0';
    return CLM_OK;
}

/* Copies the texts, so that they end in NUL. */
static clm_status read_tokens(const clm_gguf *g, clm_model_file *mf, const clm_gguf_kv *tokens,
                              clm_err *err)
{
    const uint8_t *pos = tokens->data;
    size_t bytes = 0;
    char *text;

    for (size_t i = 0; i < tokens->count; i++) bytes += clm_gguf_next_string(&pos).size + 1;
    mf->pieces = calloc(tokens->count, sizeof *mf->pieces);
    mf->piece_text = malloc(bytes);
    if (mf->pieces == NULL || mf->piece_text == NULL) {
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory for the vocabulary", clm_gguf_path(g));
    }
    text = mf->piece_text;
    pos = tokens->data;
    for (size_t i = 0; i < tokens->count; i++) {
        const clm_gguf_string s = clm_gguf_next_string(&pos);

        if (memchr(s.data, '\0', s.size) != NULL) {
            return clm_fail(err, CLM_E_MODEL, "%s: token %zu has a NUL inside", clm_gguf_path(g),
                            i);
        }
        memcpy(text, s.data, s.size);
        text[s.size] = '\0';
        mf->pieces[i].text = text;
        mf->pieces[i].size = s.size;
        mf->pieces[i].type = CLM_PIECE_NORMAL;
        text += s.size + 1;
    }
    mf->vocab.pieces = mf->pieces;
    mf->vocab.n_pieces = tokens->count;
    return CLM_OK;
}

/* An array with one item for each token. SentencePiece vocabularies must have it (`required`). */
static clm_status token_array(const clm_gguf *g, const char *key, clm_gguf_type type, size_t count,
                              bool required, const clm_gguf_kv **kv, clm_err *err)
{
    clm_status st = clm_gguf_get_array(g, key, type, kv, err);

    if (st != CLM_OK) return st;
    if (*kv == NULL && required) {
        return clm_fail(err, CLM_E_MODEL, "%s: key '%s' is missing", clm_gguf_path(g), key);
    }
    if (*kv != NULL && (*kv)->count != count) {
        return clm_fail(err, CLM_E_MODEL, "%s: '%s' has %zu items for %zu tokens", clm_gguf_path(g),
                        key, (*kv)->count, count);
    }
    return CLM_OK;
}

static clm_status read_scores(const clm_gguf *g, clm_model_file *mf, bool required, clm_err *err)
{
    const clm_gguf_kv *scores;
    clm_status st = token_array(g, "tokenizer.ggml.scores", CLM_GGUF_F32, mf->vocab.n_pieces,
                                required, &scores, err);

    if (st != CLM_OK || scores == NULL) return st;
    for (size_t i = 0; i < scores->count; i++) {
        const uint32_t bits = clm_load_u32(scores->data + 4 * i);

        memcpy(&mf->pieces[i].score, &bits, sizeof bits);
        if (!isfinite(mf->pieces[i].score)) { /* the order of merging would be undefined */
            return clm_fail(err, CLM_E_MODEL, "%s: the score of token %zu is not a finite number",
                            clm_gguf_path(g), i);
        }
    }
    return CLM_OK;
}

static clm_status read_types(const clm_gguf *g, clm_model_file *mf, bool required, clm_err *err)
{
    const clm_gguf_kv *types;
    clm_status st = token_array(g, "tokenizer.ggml.token_type", CLM_GGUF_I32, mf->vocab.n_pieces,
                                required, &types, err);

    if (st != CLM_OK || types == NULL) return st;
    for (size_t i = 0; i < types->count; i++) {
        const uint32_t type = clm_load_u32(types->data + 4 * i);

        if (type < CLM_PIECE_NORMAL || type > CLM_PIECE_BYTE) {
            return clm_fail(err, CLM_E_MODEL, "%s: token %zu has the unknown type %d",
                            clm_gguf_path(g), i, (int)type);
        }
        mf->pieces[i].type = (clm_piece_type)type;
    }
    return CLM_OK;
}

/* First piece of `type` (with this text unless NULL), or -1. */
static int find_piece(const clm_vocab *v, clm_piece_type type, const char *text)
{
    for (size_t i = 0; i < v->n_pieces; i++) {
        const clm_piece *p = &v->pieces[i];

        if (p->type == type && (text == NULL || strcmp(p->text, text) == 0)) return (int)i;
    }
    return -1;
}

/* An id that the file states under `key`. One outside the vocabulary is dropped with a warning: it does
 * no harm as long as nobody uses it. */
static int checked_id(const clm_gguf *g, const char *key, clm_model_file *mf, int64_t value)
{
    clm_err text;

    if (value >= 0 && (uint64_t)value < mf->vocab.n_pieces) return (int)value;
    if (value == -1) return -1; /* is written for "none" */
    clm_fail(&text, CLM_OK, "%s: %s is %lld, outside the vocabulary of %zu: ignored",
             clm_gguf_path(g), key, (long long)value, mf->vocab.n_pieces);
    clm__model_warn(mf, text.text);
    return -1;
}

/* The id under `key`; `fallback` when the file has no such key. */
static clm_status read_id(const clm_gguf *g, const char *key, clm_model_file *mf, int fallback,
                          int *id, clm_err *err)
{
    int64_t value = -1;
    bool found;
    clm_status st = clm_gguf_get_int(g, key, &value, &found, err);

    *id = -1;
    if (st != CLM_OK) return st;
    *id = found ? checked_id(g, key, mf, value) : fallback;
    return CLM_OK;
}

static clm_status read_end(const clm_gguf *g, const char *key, clm_model_file *mf, clm_err *err)
{
    int id;
    clm_status st = read_id(g, key, mf, -1, &id, err);

    if (st == CLM_OK && id >= 0) clm__vocab_add_end(&mf->vocab, id); /* is one of the first */
    return st;
}

static clm_status read_end_list(const clm_gguf *g, clm_model_file *mf, clm_err *err)
{
    const clm_gguf_kv *kv = clm_gguf_find(g, CLM_KEY_ENDS);

    if (kv == NULL) return CLM_OK;
    if (!kv->is_array || (kv->type != CLM_GGUF_I32 && kv->type != CLM_GGUF_U32))
        return clm_fail(err, CLM_E_MODEL, "%s: '%s' is no list of token ids (I32 or U32)",
                        clm_gguf_path(g), CLM_KEY_ENDS);
    for (size_t i = 0; i < kv->count; i++) {
        const uint32_t bits = clm_load_u32(kv->data + 4 * i);
        const int id = checked_id(g, CLM_KEY_ENDS, mf,
                                  kv->type == CLM_GGUF_I32 ? (int64_t)(int32_t)bits : bits);

        if (id >= 0 && !clm__vocab_add_end(&mf->vocab, id))
            return clm_fail(err, CLM_E_MODEL, "%s: '%s' has more than %d ids", clm_gguf_path(g),
                            CLM_KEY_ENDS, 1 + CLM_MAX_ENDS);
    }
    return CLM_OK;
}

/* Ids that the file does not name are found by their piece: a control piece "<s>" or "</s>", the
 * piece of type unknown. */
static clm_status read_ids(const clm_gguf *g, clm_model_file *mf, clm_err *err)
{
    clm_vocab *v = &mf->vocab;
    clm_status st = read_id(g, "tokenizer.ggml.bos_token_id", mf,
                            find_piece(v, CLM_PIECE_CONTROL, "<s>"), &v->bos, err);

    if (st == CLM_OK) {
        st = read_id(g, "tokenizer.ggml.eos_token_id", mf, find_piece(v, CLM_PIECE_CONTROL, "</s>"),
                     &v->eos, err);
    }
    if (st == CLM_OK) st = read_end(g, CLM_KEY_EOT, mf, err);
    if (st == CLM_OK) st = read_end(g, CLM_KEY_EOM, mf, err);
    if (st == CLM_OK) st = read_end_list(g, mf, err);
    if (st == CLM_OK) {
        st = read_id(g, "tokenizer.ggml.unknown_token_id", mf,
                     find_piece(v, CLM_PIECE_UNKNOWN, NULL), &v->unk, err);
    }
    if (st == CLM_OK) st = read_id(g, "tokenizer.ggml.padding_token_id", mf, -1, &v->pad, err);
    if (st == CLM_OK) st = read_id(g, CLM_KEY_USER, mf, 0, &v->user, err);
    if (st == CLM_OK) st = read_id(g, CLM_KEY_ASSISTANT, mf, 0, &v->assistant, err);
    if (v->user < 0) v->user = 0; /* outside the vocabulary */
    if (v->assistant < 0) v->assistant = 0;
    return st;
}

/* What a byte-level BPE vocabulary has besides its pieces. The strings of the merges stay in the
 * mapped file. */
static clm_status read_bpe(const clm_gguf *g, clm_model_file *mf, clm_err *err)
{
    clm_vocab *v = &mf->vocab;
    const clm_gguf_kv *merges;
    clm_gguf_string pre;
    bool found;
    clm_status st = clm_gguf_get_string(g, "tokenizer.ggml.pre", &pre, &found, err);

    if (st == CLM_OK && found) st = copy_string(g, "tokenizer.ggml.pre", pre, &v->pre, err);
    if (st == CLM_OK && !found) {
        clm__model_warn(mf, "the file names no pre-tokenizer (key 'tokenizer.ggml.pre'): the usual "
                            "one is taken, and answers suffer if it is the wrong one");
    }
    if (st == CLM_OK)
        st = clm_gguf_get_array(g, "tokenizer.ggml.merges", CLM_GGUF_STRING, &merges, err);
    if (st != CLM_OK) return st;
    if (merges == NULL || merges->count == 0) {
        return clm_fail(err, CLM_E_MODEL,
                        "%s: key 'tokenizer.ggml.merges' is missing or empty, which a vocabulary "
                        "of the kind \"gpt2\" needs",
                        clm_gguf_path(g));
    }
    v->merges = mf->merges = calloc(merges->count, sizeof *mf->merges);
    if (mf->merges == NULL)
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory for the merges", clm_gguf_path(g));
    const uint8_t *pos = merges->data;
    for (; v->n_merges < merges->count; v->n_merges++) {
        const clm_gguf_string s = clm_gguf_next_string(&pos);
        mf->merges[v->n_merges] = (clm_merge){s.data, s.size};
    }
    return CLM_OK;
}

/* Llama 3's files leave it to the reader that a text begins with BOS. */
static bool wants_bos(const clm_model_file *mf, bool sentencepiece)
{
    const char *pre = mf->vocab.pre != NULL ? mf->vocab.pre : "";

    if (sentencepiece) return strcmp(mf->hparams.arch, "baichuan") != 0;
    return strcmp(pre, "llama-bpe") == 0 || strcmp(pre, "llama3") == 0 ||
           strcmp(pre, "llama-v3") == 0;
}

static clm_status read_flags(const clm_gguf *g, clm_model_file *mf, bool sentencepiece,
                             clm_err *err)
{
    clm_vocab *v = &mf->vocab;
    clm_gguf_string text;
    bool found;
    clm_status st;

    v->add_space_prefix = sentencepiece;
    v->add_bos = wants_bos(mf, sentencepiece);
    v->add_eos = false;
    st = clm_gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &v->add_space_prefix, NULL, err);
    if (st == CLM_OK)
        st = clm_gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &v->add_bos, NULL, err);
    if (st == CLM_OK)
        st = clm_gguf_get_bool(g, "tokenizer.ggml.add_eos_token", &v->add_eos, NULL, err);
    if (st != CLM_OK) return st;
    if (v->bos < 0) v->add_bos = false;
    if (v->eos < 0) v->add_eos = false;

    st = clm_gguf_get_string(g, "tokenizer.chat_template", &text, &found, err);
    if (st != CLM_OK || !found) return st;
    st = copy_string(g, "tokenizer.chat_template", text, &mf->chat_template, err);
    v->chat_template = mf->chat_template;
    return st;
}

/* The SentencePiece model as it was, which says more than the pieces do. Stays in the mapped file. */
static clm_status read_sp_model(const clm_gguf *g, clm_model_file *mf, clm_err *err)
{
    const clm_gguf_kv *kv;
    clm_status st = clm_gguf_get_array(g, CLM_KEY_SP_MODEL, CLM_GGUF_U8, &kv, err);

    if (st != CLM_OK || kv == NULL) return st;
    mf->vocab.sp_model = kv->data;
    mf->vocab.sp_model_bytes = kv->count;
    return CLM_OK;
}

clm_status clm__gguf_read_vocab(const clm_gguf *g, clm_model_file *mf, clm_err *err)
{
    const clm_gguf_kv *tokens;
    clm_gguf_string name;
    bool found;
    clm_status st = clm_gguf_get_string(g, "tokenizer.ggml.model", &name, &found, err);

    if (st == CLM_OK)
        st = clm_gguf_get_array(g, "tokenizer.ggml.tokens", CLM_GGUF_STRING, &tokens, err);
    if (st != CLM_OK) return st;
    if (!found || tokens == NULL) {
        return clm_fail(err, CLM_E_MODEL, "%s: key '%s' is missing: the file has no vocabulary",
                        clm_gguf_path(g), found ? "tokenizer.ggml.tokens" : "tokenizer.ggml.model");
    }
    if (tokens->count == 0 || tokens->count > CLM_MAX_VOCAB) {
        return clm_fail(err, CLM_E_MODEL, "%s: a vocabulary of %zu tokens; 1 to %d are supported",
                        clm_gguf_path(g), tokens->count, CLM_MAX_VOCAB);
    }
    const bool sentencepiece = clm_gguf_string_is(name, "llama");
    st = copy_string(g, "tokenizer.ggml.model", name, &mf->vocab.model_name, err);
    if (st == CLM_OK) st = read_tokens(g, mf, tokens, err);
    if (st == CLM_OK) st = read_scores(g, mf, sentencepiece, err);
    if (st == CLM_OK) st = read_types(g, mf, sentencepiece, err);
    if (st == CLM_OK) st = read_ids(g, mf, err);
    if (st == CLM_OK && clm_gguf_string_is(name, "gpt2")) st = read_bpe(g, mf, err);
    if (st == CLM_OK) st = read_flags(g, mf, sentencepiece, err);
    if (st == CLM_OK) st = read_sp_model(g, mf, err);
    mf->hparams.vocab = mf->vocab.n_pieces;
    return st;
}
