/* test_gguf_model.c: what the keys and tensors of a GGUF file mean, on files written here: how
 * positions enter, defaults, tied heads, and features that must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "runtime/formats/gguf.h"
#include "runtime/formats/model_file.h"

/* ---- A writer of small GGUF files ---------------------------------------------------------- */

typedef struct clm_bytes {
    uint8_t *data;
    size_t size, room;
} clm_bytes;

static void put(clm_bytes *b, const void *data, size_t size)
{
    if (b->size + size > b->room) {
        b->room = 2 * (b->size + size);
        b->data = realloc(b->data, b->room);
        assert_non_null(b->data);
    }
    if (size > 0) memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void put_u32(clm_bytes *b, uint32_t v)
{
    put(b, &v, 4);
}

static void put_u64(clm_bytes *b, uint64_t v)
{
    put(b, &v, 8);
}

static void put_string(clm_bytes *b, const char *text)
{
    put_u64(b, strlen(text));
    put(b, text, strlen(text));
}

/* A change to the file: a key that replaces or joins the usual ones. */
typedef struct clm_key {
    const char *name; /* "*.x": behind the architecture */
    clm_gguf_type type;
    double number;    /* U32, I32, F32, BOOL */
    const char *text; /* STRING */
} clm_key;

/* What a test file is made of. Zero means the usual. */
typedef struct clm_recipe {
    const char *arch;
    size_t n_layers, vocab;
    size_t n_ends; /* 0: no list of ids that end an answer */
    int32_t ends[20];
    clm_gguf_type ends_type; /* 0: I32 */
    uint32_t version;
    clm_key keys[4];
    const char *without_key, *without_tensor;
    const char *merge;              /* the only one of a byte-level BPE vocabulary */
    const char *extra_tensor;       /* of WIDTH elements */
    uint32_t extra_type, norm_type; /* 0 is F32 */
    bool vocabulary_only;
} clm_recipe;

enum { WIDTH = 32, HEADS = 2, FFN = 64, VOCAB = 6 };

typedef struct clm_writer {
    const clm_recipe *recipe;
    clm_bytes keys, infos;
    uint64_t n_keys, n_tensors, data_size;
} clm_writer;

static const char *full_name(const clm_recipe *r, const char *name, char full[96])
{
    if (name[0] == '*')
        snprintf(full, 96, "%s%s", r->arch, name + 1);
    else
        snprintf(full, 96, "%s", name);
    return full;
}

static void put_key(clm_writer *w, const clm_key *k)
{
    char full[96];

    put_string(&w->keys, full_name(w->recipe, k->name, full));
    put_u32(&w->keys, (uint32_t)k->type);
    switch (k->type) {
    case CLM_GGUF_STRING:
        put_string(&w->keys, k->text);
        break;
    case CLM_GGUF_F32:
        put(&w->keys, &(float){(float)k->number}, 4);
        break;
    case CLM_GGUF_BOOL:
        put(&w->keys, &(uint8_t){(uint8_t)k->number}, 1);
        break;
    default:
        put_u32(&w->keys, (uint32_t)(int64_t)k->number);
        break;
    }
    w->n_keys++;
}

/* True when the recipe leaves this key out or has its own. */
static bool changed(const clm_recipe *r, const char *name)
{
    if (r->without_key != NULL && strcmp(r->without_key, name) == 0) return true;
    for (size_t i = 0; i < 4; i++) {
        if (r->keys[i].name != NULL && strcmp(r->keys[i].name, name) == 0) return true;
    }
    return false;
}

static void usual_key(clm_writer *w, const char *name, clm_gguf_type type, double number,
                      const char *text)
{
    const clm_key k = {name, type, number, text};

    if (!changed(w->recipe, name)) put_key(w, &k);
}

static void start_array(clm_writer *w, const char *name, clm_gguf_type type, uint64_t count)
{
    put_string(&w->keys, name);
    put_u32(&w->keys, CLM_GGUF_ARRAY);
    put_u32(&w->keys, (uint32_t)type);
    put_u64(&w->keys, count);
    w->n_keys++;
}

static void put_vocabulary(clm_writer *w)
{
    static const char *const tokens[VOCAB] = {"<unk>",  "<s>",          "</s>",
                                              "<0x41>", "\xe2\x96\x81", "a"};
    static const uint32_t types[VOCAB] = {2, 3, 3, 6, 1, 1};

    const size_t vocab = w->recipe->vocab;

    usual_key(w, "tokenizer.ggml.model", CLM_GGUF_STRING, 0, "llama");
    if (!changed(w->recipe, "tokenizer.ggml.tokens")) {
        start_array(w, "tokenizer.ggml.tokens", CLM_GGUF_STRING, vocab);
        for (size_t i = 0; i < vocab; i++) put_string(&w->keys, i < VOCAB ? tokens[i] : "more");
    }
    if (!changed(w->recipe, "tokenizer.ggml.scores")) {
        start_array(w, "tokenizer.ggml.scores", CLM_GGUF_F32, vocab);
        for (size_t i = 0; i < vocab; i++) put(&w->keys, &(float){-(float)i}, 4);
    }
    if (!changed(w->recipe, "tokenizer.ggml.token_type")) {
        start_array(w, "tokenizer.ggml.token_type", CLM_GGUF_I32, vocab);
        for (size_t i = 0; i < vocab; i++) put_u32(&w->keys, i < VOCAB ? types[i] : 1);
    }
    if (w->recipe->n_ends != 0) {
        const clm_gguf_type type = w->recipe->ends_type;

        start_array(w, "tokenizer.ggml.eos_token_ids", type != 0 ? type : CLM_GGUF_I32,
                    w->recipe->n_ends);
        put(&w->keys, w->recipe->ends, 4 * w->recipe->n_ends);
    }
    if (w->recipe->merge != NULL) {
        start_array(w, "tokenizer.ggml.merges", CLM_GGUF_STRING, 1);
        put_string(&w->keys, w->recipe->merge);
    }
}

static void put_tensor(clm_writer *w, const char *name, uint64_t cols, uint64_t rows, uint32_t type)
{
    if (w->recipe->without_tensor != NULL && strcmp(w->recipe->without_tensor, name) == 0) return;
    put_string(&w->infos, name);
    put_u32(&w->infos, rows == 0 ? 1 : 2);
    put_u64(&w->infos, cols);
    if (rows != 0) put_u64(&w->infos, rows);
    put_u32(&w->infos, type);
    put_u64(&w->infos, w->data_size);
    w->data_size += (cols * (rows == 0 ? 1 : rows) * 4 + 31) / 32 * 32;
    w->n_tensors++;
}

static void put_layer(clm_writer *w, size_t layer)
{
    static const struct {
        const char *name;
        uint64_t cols, rows;
    } tensors[] = {
        {"attn_norm", WIDTH, 0},  {"attn_q", WIDTH, WIDTH},      {"attn_k", WIDTH, WIDTH},
        {"attn_v", WIDTH, WIDTH}, {"attn_output", WIDTH, WIDTH}, {"ffn_norm", WIDTH, 0},
        {"ffn_gate", WIDTH, FFN}, {"ffn_up", WIDTH, FFN},        {"ffn_down", FFN, WIDTH},
    };
    char name[64];

    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        snprintf(name, sizeof name, "blk.%zu.%s.weight", layer, tensors[i].name);
        put_tensor(w, name, tensors[i].cols, tensors[i].rows, CLM_QTYPE_F32);
    }
}

static void put_content(clm_writer *w)
{
    const clm_recipe *r = w->recipe;

    usual_key(w, "general.architecture", CLM_GGUF_STRING, 0, r->arch);
    usual_key(w, "*.block_count", CLM_GGUF_U32, (double)r->n_layers, NULL);
    usual_key(w, "*.embedding_length", CLM_GGUF_U32, WIDTH, NULL);
    usual_key(w, "*.feed_forward_length", CLM_GGUF_U32, FFN, NULL);
    usual_key(w, "*.context_length", CLM_GGUF_U32, 64, NULL);
    usual_key(w, "*.attention.head_count", CLM_GGUF_U32, HEADS, NULL);
    usual_key(w, "*.attention.layer_norm_rms_epsilon", CLM_GGUF_F32, 1e-5, NULL);
    for (size_t i = 0; i < 4; i++) {
        if (r->keys[i].name != NULL) put_key(w, &r->keys[i]);
    }
    put_vocabulary(w);
    if (r->vocabulary_only) return;
    put_tensor(w, "token_embd.weight", WIDTH, r->vocab, CLM_QTYPE_F32);
    for (size_t i = 0; i < r->n_layers; i++) put_layer(w, i);
    put_tensor(w, "output_norm.weight", WIDTH, 0, r->norm_type);
    put_tensor(w, "output.weight", WIDTH, r->vocab, CLM_QTYPE_F32);
    if (r->extra_tensor != NULL) put_tensor(w, r->extra_tensor, WIDTH, 0, r->extra_type);
}

/* Writes the file, opens it and deletes it. */
static clm_status open_recipe(const clm_recipe *recipe, clm_model_file **mf, clm_err *err)
{
    clm_recipe r = *recipe;
    clm_writer w = {.recipe = &r};
    clm_bytes file = {NULL, 0, 0};
    char path[] = "/tmp/clm-test-model-XXXXXX";

    if (r.arch == NULL) r.arch = "llama";
    if (r.n_layers == 0) r.n_layers = 1;
    if (r.vocab == 0) r.vocab = VOCAB;
    put_content(&w);
    put(&file, "GGUF", 4);
    put_u32(&file, r.version != 0 ? r.version : 3);
    put_u64(&file, w.n_tensors);
    put_u64(&file, w.n_keys);
    put(&file, w.keys.data, w.keys.size);
    put(&file, w.infos.data, w.infos.size);
    while (file.size % 32 != 0) put(&file, "", 1);
    for (uint64_t i = 0; i < w.data_size; i += 4) put(&file, &(float){0.5f}, 4);

    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, file.data, file.size), file.size);
    close(fd);
    const clm_status st = clm_model_file_open(path, mf, err);
    unlink(path); /* the mapping stays */
    free(file.data);
    free(w.keys.data);
    free(w.infos.data);
    return st;
}

static clm_model_file *must_open(const clm_recipe *recipe)
{
    clm_model_file *mf;
    clm_err err;

    if (open_recipe(recipe, &mf, &err) != CLM_OK) fail_msg("%s", err.text);
    return mf;
}

/* Must be refused with a sentence that has `text` in it. */
static void must_refuse(const clm_recipe *recipe, const char *text)
{
    clm_model_file *mf;
    clm_err err;
    const clm_status st = open_recipe(recipe, &mf, &err);

    if (st == CLM_OK) fail_msg("opens, although: %s", text);
    assert_int_equal(st, CLM_E_MODEL);
    assert_null(mf);
    if (strstr(err.text, text) == NULL) fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

#define U32(key, v)                                                                                \
    {                                                                                              \
        .name = (key), .type = CLM_GGUF_U32, .number = (v)                                         \
    }
#define I32(key, v)                                                                                \
    {                                                                                              \
        .name = (key), .type = CLM_GGUF_I32, .number = (v)                                         \
    }
#define F32(key, v)                                                                                \
    {                                                                                              \
        .name = (key), .type = CLM_GGUF_F32, .number = (v)                                         \
    }
#define FLAG(key, v)                                                                               \
    {                                                                                              \
        .name = (key), .type = CLM_GGUF_BOOL, .number = (v)                                        \
    }
#define TEXT(key, v)                                                                               \
    {                                                                                              \
        .name = (key), .type = CLM_GGUF_STRING, .text = (v)                                        \
    }
#define WITH(...) (&(const clm_recipe){__VA_ARGS__})

/* ---- Positions ----------------------------------------------------------------------------- */

static void check_position(const clm_recipe *recipe, clm_position position, size_t dims, float base)
{
    clm_model_file *mf = must_open(recipe);
    const clm_hparams *hp = clm_model_file_hparams(mf);

    assert_int_equal(hp->position, position);
    assert_int_equal(hp->rope_dims, dims);
    assert_true(hp->rope_base == base);
    clm_model_file_close(mf);
}

static void test_position(void **state)
{
    (void)state;
    check_position(WITH(.arch = "llama"), CLM_POSITION_ROPE, 16, 10000);
    check_position(WITH(.arch = "llama", .n_layers = 40), CLM_POSITION_ROPE, 16, 10000);
    check_position(WITH(.keys = {U32("*.rope.dimension_count", 4), F32("*.rope.freq_base", 5e5)}),
                   CLM_POSITION_ROPE, 4, 500000);
    check_position(WITH(.arch = "baichuan", .n_layers = 40), CLM_POSITION_ALIBI, 0, 0);
    check_position(
        WITH(.arch = "baichuan", .n_layers = 40, .keys = {U32("*.rope.dimension_count", 8)}),
        CLM_POSITION_ALIBI, 0, 0);
    check_position(
        WITH(.arch = "baichuan", .n_layers = 40, .keys = {F32("*.attention.max_alibi_bias", 0)}),
        CLM_POSITION_ROPE, 16, 10000);
    check_position(WITH(.arch = "baichuan", .n_layers = 32), CLM_POSITION_ROPE, 16, 10000);
    check_position(
        WITH(.arch = "baichuan", .n_layers = 32, .keys = {F32("*.attention.max_alibi_bias", 8)}),
        CLM_POSITION_ALIBI, 0, 0);
    check_position(
        WITH(.arch = "baichuan", .n_layers = 2, .keys = {F32("*.attention.max_alibi_bias", 8)}),
        CLM_POSITION_ALIBI, 0, 0);
    check_position(WITH(.arch = "baichuan", .n_layers = 2, .keys = {F32("*.rope.freq_base", 1e6)}),
                   CLM_POSITION_ROPE, 16, 1e6f);
    must_refuse(WITH(.arch = "baichuan", .n_layers = 2, .keys = {U32("*.rope.dimension_count", 8)}),
                "baichuan.attention.max_alibi_bias");
    must_refuse(WITH(.arch = "baichuan", .keys = {F32("*.attention.max_alibi_bias", 4)}),
                "is 4; 0 and 8");
    must_refuse(WITH(.keys = {U32("*.rope.dimension_count", 18)}),
                "18 rotary dimensions in a head of 16");
    must_refuse(WITH(.keys = {U32("*.rope.dimension_count", 3)}), "3 rotary dimensions");
    must_refuse(WITH(.keys = {U32("*.rope.dimension_count", 0)}), "rope.dimension_count' is 0");
    check_position(
        WITH(.arch = "baichuan", .n_layers = 40, .keys = {U32("*.rope.dimension_count", 0)}),
        CLM_POSITION_ALIBI, 0, 0);
    must_refuse(WITH(.keys = {F32("*.rope.freq_base", -1)}), "rotary base is -1");
}

/* ---- Vocabulary ---------------------------------------------------------------------------- */

static void test_vocabulary(void **state)
{
    (void)state;
    clm_model_file *mf = must_open(WITH(.arch = "llama"));
    const clm_vocab *v = clm_model_file_vocab(mf);
    assert_true(v->add_bos && v->add_space_prefix && !v->add_eos);
    assert_true(v->bos == 1 && v->eos == 2 && v->unk == 0 && v->pad == -1); /* by their pieces */
    assert_null(v->chat_template);
    assert_string_equal(v->pieces[4].text, "\xe2\x96\x81");
    assert_int_equal(v->pieces[4].size, 3);
    assert_true(v->pieces[5].score == -5.0f);
    assert_int_equal(v->pieces[3].type, CLM_PIECE_BYTE);
    clm_model_file_close(mf);

    mf = must_open(WITH(.arch = "baichuan", .n_layers = 32));
    assert_false(clm_model_file_vocab(mf)->add_bos);
    assert_true(clm_model_file_vocab(mf)->add_space_prefix);
    clm_model_file_close(mf);

    mf = must_open(WITH(.arch = "baichuan", .n_layers = 32,
                        .keys = {FLAG("tokenizer.ggml.add_bos_token", 1),
                                 FLAG("tokenizer.ggml.add_space_prefix", 0),
                                 TEXT("tokenizer.chat_template", "{{ x }}"),
                                 I32("tokenizer.ggml.eos_token_id", 5)}));
    v = clm_model_file_vocab(mf);
    assert_true(v->add_bos && !v->add_space_prefix);
    assert_int_equal(v->eos, 5);
    assert_string_equal(v->chat_template, "{{ x }}");
    clm_model_file_close(mf);

    mf = must_open(WITH(.keys = {I32("tokenizer.ggml.bos_token_id", -1),
                                 U32("tokenizer.ggml.eos_token_id", 6)}));
    v = clm_model_file_vocab(mf);
    assert_true(v->bos == -1 && v->eos == -1 && !v->add_bos); /* nothing to add */
    assert_non_null(strstr(clm_model_file_warning(mf), "eos_token_id is 6"));
    clm_model_file_close(mf);

    must_refuse(WITH(.without_key = "tokenizer.ggml.scores"), "'tokenizer.ggml.scores' is missing");
    must_refuse(WITH(.without_key = "tokenizer.ggml.token_type"),
                "'tokenizer.ggml.token_type' is missing");
    must_refuse(WITH(.without_key = "tokenizer.ggml.tokens"), "no vocabulary");
    must_refuse(WITH(.without_key = "tokenizer.ggml.model"), "no vocabulary");
    must_refuse(WITH(.keys = {U32("*.vocab_size", 7)}),
                "vocabulary of 7 is declared, but there are 6");
    must_refuse(WITH(.keys = {FLAG("tokenizer.ggml.add_bos_token", 2)}), "neither true nor false");
}

/* What ends an answer besides eos, which is 2: llama.cpp's keys first, then the list. */
static void test_ends(void **state)
{
    (void)state;
    clm_model_file *mf = must_open(
        WITH(.keys = {U32("tokenizer.ggml.eot_token_id", 4), U32("tokenizer.ggml.eom_token_id", 2)},
             .n_ends = 5, .ends = {2, 5, 4, -1, 1}));
    const clm_vocab *v = clm_model_file_vocab(mf);
    assert_true(v->n_ends == 3 && v->ends[0] == 4 && v->ends[1] == 5 && v->ends[2] == 1);
    assert_null(clm_model_file_warning(mf));
    clm_model_file_close(mf);

    mf = must_open(WITH(.n_ends = 2, .ends = {6, 3}, .ends_type = CLM_GGUF_U32));
    v = clm_model_file_vocab(mf);
    assert_true(v->n_ends == 1 && v->ends[0] == 3);
    assert_non_null(strstr(clm_model_file_warning(mf), "eos_token_ids is 6"));
    clm_model_file_close(mf);

    must_refuse(WITH(.n_ends = 1, .ends_type = CLM_GGUF_F32), "no list of token ids");
    must_refuse(WITH(.keys = {U32("tokenizer.ggml.eos_token_ids", 1)}), "no list of token ids");
    must_refuse(WITH(.vocab = 32, .n_ends = 20, .ends = {6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                                         16, 17, 18, 19, 20, 21, 22, 23, 24, 25}),
                "more than 17 ids");
}

static void test_bpe_vocabulary(void **state)
{
    clm_model_file *mf;
    const clm_vocab *v;

    (void)state;
    mf = must_open(
        WITH(.without_key = "tokenizer.ggml.scores", .merge = "a b",
             .keys = {TEXT("tokenizer.ggml.model", "gpt2"), TEXT("tokenizer.ggml.pre", "smollm"),
                      U32("tokenizer.ggml.eot_token_id", 4)}));
    v = clm_model_file_vocab(mf);
    assert_string_equal(v->model_name, "gpt2");
    assert_string_equal(v->pre, "smollm");
    assert_true(!v->add_bos && !v->add_space_prefix && v->pieces[5].score == 0.0f);
    assert_true(v->n_merges == 1 && v->merges[0].size == 3);
    assert_memory_equal(v->merges[0].data, "a b", 3);
    assert_true(v->n_ends == 1 && v->ends[0] == 4);
    assert_null(clm_model_file_warning(mf));
    clm_model_file_close(mf);

    mf = must_open(WITH(.merge = "a b", .keys = {TEXT("tokenizer.ggml.model", "gpt2"),
                                                 U32("tokenizer.ggml.eot_token_id", 6)}));
    v = clm_model_file_vocab(mf);
    assert_true(v->pre == NULL && v->n_ends == 0);
    assert_non_null(clm_model_file_warning(mf));
    clm_model_file_close(mf);

    mf = must_open(WITH(.merge = "a b", .keys = {TEXT("tokenizer.ggml.model", "gpt2"),
                                                 TEXT("tokenizer.ggml.pre", "llama-bpe"),
                                                 U32("tokenizer.ggml.bos_token_id", 1)}));
    assert_true(clm_model_file_vocab(mf)->add_bos);
    clm_model_file_close(mf);

    must_refuse(WITH(.keys = {TEXT("tokenizer.ggml.model", "gpt2")}), "'tokenizer.ggml.merges'");
    must_refuse(
        WITH(.keys = {TEXT("tokenizer.ggml.model", "gpt2"), U32("tokenizer.ggml.merges", 1)}),
        "tokenizer.ggml.merges");
}

static void test_vocabulary_only(void **state)
{
    (void)state;
    clm_model_file *mf = must_open(WITH(.vocabulary_only = true, .without_key = "*.block_count"));
    assert_false(clm_model_file_has_weights(mf));
    assert_int_equal(clm_model_file_hparams(mf)->n_layers, 0);
    assert_int_equal(clm_model_file_hparams(mf)->width, WIDTH);
    assert_int_equal(clm_model_file_hparams(mf)->vocab, VOCAB);
    clm_model_file_close(mf);
    must_refuse(WITH(.vocabulary_only = true, .without_key = "tokenizer.ggml.tokens"),
                "no vocabulary");
    must_refuse(WITH(.vocabulary_only = true, .keys = {U32("*.block_count", 5000)}),
                "layers is 5000");
}

/* ---- Shapes and tensors -------------------------------------------------------------------- */

static void test_head(void **state)
{
    (void)state;
    clm_model_file *mf = must_open(WITH(.without_tensor = "output.weight"));
    assert_true(clm_model_file_hparams(mf)->tied_head);
    assert_ptr_equal(clm_model_file_weight(mf, CLM_W_HEAD, 0),
                     clm_model_file_weight(mf, CLM_W_EMBED, 0));
    clm_model_file_close(mf);

    mf = must_open(WITH(.version = 2));
    assert_string_equal(clm_model_file_format(mf), "GGUF v2");
    assert_false(clm_model_file_hparams(mf)->tied_head);
    clm_model_file_close(mf);

    must_refuse(WITH(.version = 1), "version 1");
    must_refuse(WITH(.without_tensor = "token_embd.weight"), "'token_embd.weight' is missing");
    must_refuse(WITH(.without_tensor = "output_norm.weight"), "'output_norm.weight' is missing");
    must_refuse(WITH(.n_layers = 3, .without_tensor = "blk.2.attn_v.weight"),
                "'blk.2.attn_v.weight' is missing");
    must_refuse(WITH(.n_layers = 2, .keys = {U32("*.block_count", 1)}),
                "blk.1.attn_norm.weight' has no place");
}

/* The first element of the last row, of WIDTH that are all 0.5. */
static float last_of(const clm_model_file *mf, clm_weight_role role)
{
    const clm_tensor *t = clm_model_file_weight(mf, role, 0);
    float row[WIDTH];

    assert_int_equal(clm_tensor_read_rows(t, t->rows - 1, 1, row, NULL), CLM_OK);
    return row[0];
}

/* Baichuan 2 is known by its vocabulary, and has its head normalised. */
static void test_norm_head(void **state)
{
    enum { BAICHUAN2 = 125696 };
    static const struct {
        const char *arch;
        size_t vocab;
        bool normalised;
    } cases[] = {{"baichuan", BAICHUAN2, true},
                 {"baichuan", BAICHUAN2 / 2, false},
                 {"llama", BAICHUAN2, false}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clm_model_file *mf = must_open(WITH(.arch = cases[i].arch, .vocab = cases[i].vocab,
                                            .keys = {F32("*.rope.freq_base", 1e4)}));
        const float want = cases[i].normalised ? 0.176776695f : 0.5f; /* 1 / sqrt(WIDTH) */

        assert_true(last_of(mf, CLM_W_HEAD) == want);
        assert_true(last_of(mf, CLM_W_EMBED) == 0.5f);
        clm_model_file_close(mf);
    }
    must_refuse(WITH(.arch = "baichuan", .vocab = BAICHUAN2, .without_tensor = "output.weight",
                     .keys = {F32("*.rope.freq_base", 1e4)}),
                "normalised and tied");
}

static void test_shapes(void **state)
{
    (void)state;
    must_refuse(WITH(.keys = {U32("*.attention.head_count_kv", 1)}),
                "'blk.0.attn_k.weight' is 32 x 32");
    must_refuse(WITH(.keys = {U32("*.attention.head_count_kv", 0)}), "head_count_kv' is 0");
    must_refuse(WITH(.keys = {U32("*.feed_forward_length", 128)}), "must be 128 x 32");
    must_refuse(WITH(.keys = {U32("*.attention.key_length", 4)}),
                "'blk.0.attn_q.weight' is 32 x 32");
    must_refuse(
        WITH(.keys = {U32("*.attention.key_length", 16), U32("*.attention.value_length", 4)}),
        "differ");
    must_refuse(WITH(.keys = {U32("*.attention.head_count", 2000)}), "heads is 2000");
    must_refuse(WITH(.keys = {U32("*.context_length", 0)}), "context_length' is 0");
    must_refuse(WITH(.keys = {I32("*.context_length", -5)}), "is -5");
    must_refuse(WITH(.without_key = "*.context_length"), "context_length' is missing");
    must_refuse(WITH(.without_key = "*.embedding_length"), "embedding_length' is missing");
    must_refuse(WITH(.without_key = "*.feed_forward_length"), "feed_forward_length' is missing");
    must_refuse(WITH(.without_key = "*.block_count"), "block_count' is missing");
    must_refuse(WITH(.without_key = "*.attention.layer_norm_rms_epsilon"), "epsilon' is missing");
    clm_model_file *mf = must_open(WITH(.keys = {U32("*.attention.key_length", 16)}));
    assert_int_equal(clm_model_file_hparams(mf)->head_dim, 16);
    clm_model_file_close(mf);
}

/* ---- What is refused because ignoring it would change the answers --------------------------- */

static void test_features(void **state)
{
    (void)state;
    must_refuse(WITH(.keys = {U32("*.expert_count", 8)}), "mixture of experts");
    must_refuse(WITH(.keys = {TEXT("*.rope.scaling.type", "linear")}), "scaled rotary positions");
    must_refuse(WITH(.keys = {TEXT("*.rope.scaling.type", "yarn")}), "llama.rope.scaling.type");
    must_refuse(WITH(.keys = {F32("*.rope.scaling.factor", 2)}), "scaled rotary positions");
    must_refuse(WITH(.keys = {F32("*.rope.scale_linear", 0.25)}), "scaled rotary positions");
    must_refuse(WITH(.keys = {U32("*.attention.sliding_window", 32)}), "sliding attention window");
    must_refuse(WITH(.keys = {F32("*.attention.clamp_kqv", 8)}), "clamped attention");
    must_refuse(WITH(.keys = {FLAG("*.attention.causal", 0)}), "not causal");
    must_refuse(WITH(.keys = {F32("*.logit_scale", 0.5)}), "scaled logits");
    must_refuse(WITH(.keys = {TEXT("*.expert_count", "8")}), "mixture of experts");
    must_refuse(WITH(.keys = {TEXT("general.type", "adapter")}), "of type 'adapter'");
    must_refuse(WITH(.keys = {U32("split.count", 3)}), "one of 3 parts");
    must_refuse(WITH(.keys = {TEXT("general.architecture", "qwen2")}), "'qwen2' is not supported");
    must_refuse(WITH(.extra_tensor = "rope_freqs.weight"), "rotary frequencies");
    must_refuse(WITH(.extra_tensor = "blk.0.attn_q.bias"), "'blk.0.attn_q.bias' has no place");
    must_refuse(WITH(.extra_tensor = "blk.0.ffn_gate_inp.weight"), "has no place");
    must_refuse(WITH(.extra_tensor = "x", .extra_type = 24), "'x' has type 24 (I8)");
    must_refuse(WITH(.norm_type = CLM_QTYPE_Q8_0), "'output_norm.weight' is quantised (Q8_0)");
}

/* The same keys when they say "not used", and files of other programs that are harmless. */
static void test_harmless(void **state)
{
    (void)state;
    clm_model_file_close(
        must_open(WITH(.keys = {U32("*.expert_count", 0), TEXT("*.rope.scaling.type", "none"),
                                F32("*.rope.scaling.factor", 1), FLAG("*.attention.causal", 1)})));
    clm_model_file_close(
        must_open(WITH(.keys = {TEXT("general.type", "model"), U32("split.count", 1),
                                F32("*.attention.clamp_kqv", 0), F32("*.logit_scale", 1)})));
    clm_model_file_close(must_open(WITH(.extra_tensor = "blk.0.attn_rot_embd.weight")));
}

static void test_name(void **state)
{
    (void)state;
    char name[400] = "";
    clm_model_file *mf = must_open(
        WITH(.keys = {TEXT("general.name", "a\x1b[31m\xff\xe7\x99\xbe\xe5\xb7\x9d\n%s")}));
    assert_string_equal(clm_model_file_hparams(mf)->name, "a?[31m?\xe7\x99\xbe\xe5\xb7\x9d?%s");
    clm_model_file_close(mf);

    /* 1 + 3 * 100 bytes: cut behind a whole character, 127 at most. */
    strcpy(name, "x");
    for (int i = 0; i < 100; i++) strcat(name, "\xe7\x99\xbe");
    mf = must_open(WITH(.keys = {TEXT("general.name", name)}));
    assert_int_equal(strlen(clm_model_file_hparams(mf)->name), 127);
    assert_memory_equal(clm_model_file_hparams(mf)->name, name, 127);
    clm_model_file_close(mf);
    mf = must_open(WITH(.keys = {TEXT("general.name", name + 1)}));
    assert_int_equal(strlen(clm_model_file_hparams(mf)->name), 126);
    clm_model_file_close(mf);
}

/* The limit on layers, and a table of 9,219 tensors: nothing may be quadratic. */
static void test_many_layers(void **state)
{
    (void)state;
    clm_model_file *mf = must_open(WITH(.n_layers = 1024));
    assert_string_equal(clm_model_file_weight(mf, CLM_W_UP, 1023)->name, "blk.1023.ffn_up.weight");
    assert_int_equal(clm_model_file_weight(mf, CLM_W_UP, 1023)->rows, FFN);
    clm_model_file_close(mf);
    must_refuse(WITH(.n_layers = 1025), "layers is 1025");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_position),
        cmocka_unit_test(test_vocabulary),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_bpe_vocabulary),
        cmocka_unit_test(test_vocabulary_only),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_norm_head),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_features),
        cmocka_unit_test(test_harmless),
        cmocka_unit_test(test_name),
        cmocka_unit_test(test_many_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
