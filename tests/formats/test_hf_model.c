/* test_hf_model.c: Hugging Face folders, made here: what config.json means, how tensors become
 * weights, and what is refused. Real layouts: tests/runtime/test_golden.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/file.h"
#include "runtime/formats/model_file.h"

/* Width 32, 2 heads of 16, ffn 64, 8 tokens. */
enum { WIDTH = 32, FFN = 64, VOCAB = 8, PATH_ROOM = 128 };

static char folder[] = "/tmp/clm-test-hf-XXXXXX";

static void write_file(const char *name, const void *data, size_t size)
{
    char path[PATH_ROOM];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "wb");
    if (f == NULL || fwrite(data, 1, size, f) != size || fclose(f) != 0) abort();
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

static void remove_file(const char *name)
{
    char path[PATH_ROOM];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

/* ---- A safetensors file, tensor by tensor --------------------------------------------------- */

static struct {
    char header[1 << 16];
    uint8_t data[1 << 18];
    size_t n_header, n_data;
} file;

static void file_begin(void)
{
    memset(&file, 0, sizeof file);
    file.n_header = (size_t)snprintf(file.header, sizeof file.header, "{\"__metadata__\":{}");
}

static void *file_add(const char *name, const char *dtype, size_t rows, size_t cols, size_t width)
{
    const size_t bytes = (rows > 0 ? rows : 1) * cols * width;
    char shape[48];
    void *data = file.data + file.n_data;

    if (rows > 0)
        snprintf(shape, sizeof shape, "%zu,%zu", rows, cols);
    else
        snprintf(shape, sizeof shape, "%zu", cols);
    if (file.n_data + bytes > sizeof file.data) abort();
    file.n_header +=
        (size_t)snprintf(file.header + file.n_header, sizeof file.header - file.n_header,
                         ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],"
                         "\"data_offsets\":[%zu,%zu]}",
                         name, dtype, shape, file.n_data, file.n_data + bytes);
    file.n_data += bytes;
    return data;
}

/* Element i of the tensor is i + first. */
static void add_floats(const char *name, size_t rows, size_t cols, float first)
{
    float *data = file_add(name, "F32", rows, cols, sizeof *data);
    const size_t count = (rows > 0 ? rows : 1) * cols;

    for (size_t i = 0; i < count; i++) data[i] = first + (float)i;
}

static void file_end(void)
{
    char path[PATH_ROOM];
    const uint64_t length = file.n_header + 1;
    FILE *f;

    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    f = fopen(path, "wb");
    if (f == NULL || fwrite(&length, 1, 8, f) != 8 ||
        fwrite(file.header, 1, file.n_header, f) != file.n_header || fputc('}', f) != '}' ||
        fwrite(file.data, 1, file.n_data, f) != file.n_data || fclose(f) != 0)
        abort();
}

/* All tensors of one layer but q, k, v and down_proj, and no embedding. */
static void add_inner(void)
{
    add_floats("model.norm.weight", 0, WIDTH, 0);
    add_floats("model.layers.0.input_layernorm.weight", 0, WIDTH, 0);
    add_floats("model.layers.0.post_attention_layernorm.weight", 0, WIDTH, 0);
    add_floats("model.layers.0.self_attn.o_proj.weight", WIDTH, WIDTH, 0);
    add_floats("model.layers.0.mlp.gate_proj.weight", FFN, WIDTH, 0);
    add_floats("model.layers.0.mlp.up_proj.weight", FFN, WIDTH, 0);
}

static void add_common(void)
{
    add_floats("model.embed_tokens.weight", VOCAB, WIDTH, 0);
    add_inner();
}

static void add_separate(void)
{
    add_floats("model.layers.0.self_attn.q_proj.weight", WIDTH, WIDTH, 0);
    add_floats("model.layers.0.self_attn.k_proj.weight", WIDTH, WIDTH, 0);
    add_floats("model.layers.0.self_attn.v_proj.weight", WIDTH, WIDTH, 0);
}

static void add_down(void)
{
    add_floats("model.layers.0.mlp.down_proj.weight", WIDTH, FFN, 0);
}

/* ---- Opening -------------------------------------------------------------------------------- */

#define SIZES                                                                                      \
    "\"hidden_size\":32,\"intermediate_size\":64,\"num_hidden_layers\":1,"                         \
    "\"num_attention_heads\":2,\"vocab_size\":8,\"rms_norm_eps\":1e-6"
#define LLAMA                                                                                      \
    "{\"architectures\":[\"LlamaForCausalLM\"],\"max_position_embeddings\":64,"                    \
    "\"tie_word_embeddings\":true," SIZES "}"

static clm_model_file *open_sound(void)
{
    clm_model_file *mf;
    clm_err err = {""};

    if (clm_model_file_open(folder, &mf, &err) != CLM_OK) fail_msg("%s", err.text);
    return mf;
}

static void refuse(const char *says)
{
    clm_model_file *mf;
    clm_err err = {""};

    if (clm_model_file_open(folder, &mf, &err) != CLM_E_MODEL)
        fail_msg("opened, but must say \"%s\" (%s)", says, err.text);
    if (strstr(err.text, says) == NULL || strncmp(err.text, folder, strlen(folder)) != 0)
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static int set_up(void **state)
{
    (void)state;
    write_text("tokenizer.model", "not read here");
    write_text("config.json", LLAMA);
    file_begin();
    add_common();
    add_separate();
    add_down();
    file_end();
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"generation_config.json",
                                        "tokenizer_config.json",
                                        "quantize_config.json",
                                        "modeling_baichuan.py",
                                        "model.safetensors",
                                        "model.safetensors.index.json",
                                        "config.json",
                                        "tokenizer.model"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) remove_file(names[i]);
    return 0;
}

/* ---- config.json ---------------------------------------------------------------------------- */

static void llama(void **state)
{
    clm_model_file *mf = open_sound();
    const clm_hparams *hp = clm_model_file_hparams(mf);

    (void)state;
    assert_string_equal(hp->arch, "llama");
    assert_int_equal(hp->position, CLM_POSITION_ROPE);
    assert_true(hp->rope_base == 10000.0f);
    assert_int_equal(hp->head_dim, 16);
    assert_int_equal(hp->n_kv_heads, 2);
    assert_int_equal(hp->ctx_train, 64);
    assert_true(hp->tied_head);
    assert_ptr_equal(clm_model_file_weight(mf, CLM_W_HEAD, 0)->data,
                     clm_model_file_weight(mf, CLM_W_EMBED, 0)->data);
    assert_null(clm_model_file_warning(mf));
    clm_model_file_close(mf);
}

static void config_cut_anywhere(void **state)
{
    const size_t size = strlen(LLAMA);

    (void)state;
    for (size_t n = 0; n < size; n++) {
        write_file("config.json", LLAMA, n);
        refuse("not sound JSON");
    }
}

/* How positions enter: the configuration first, the layers last. The folder has no weights for these
 * layers, so what is looked at is the sentence: ALiBi models refuse rotary frequencies. */
static void positions(void **state)
{
    static const struct {
        const char *class_name, *extra;
        bool alibi;
    } cases[] = {
        {"BaichuanForCausalLM", "\"model_max_length\":64", true},
        {"BaichuanForCausalLM", "\"max_position_embeddings\":64", false},
        {"BaichuanForCausalLM", "\"max_position_embeddings\":64,\"model_max_length\":64", false},
        {"BaichuanForCausalLM", "\"model_max_length\":64,\"rope_theta\":1e4", false},
        {"BaichuanForCausalLM", "\"model_max_length\":64,\"rope_parameters\":{\"rope_theta\":1e4}",
         false},
        {"BaiChuanForCausalLM", "\"model_max_length\":64", false},
        {"BaiChuanForCausalLM", "\"model_max_length\":64,\"alibi\":true", true},
        {"BaichuanForCausalLM", "\"model_max_length\":64,\"alibi\":false", false},
        {"BaichuanForCausalLM", "\"max_position_embeddings\":64,\"position_embedding\":\"ALIBI\"",
         true},
        {"BaichuanForCausalLM", "\"model_max_length\":64,\"position_embedding_type\":\"rope\"",
         false},
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clm_model_file *mf;

        snprintf(text, sizeof text,
                 "{\"architectures\":[\"%s\"],\"tie_word_embeddings\":true,%s," SIZES "}",
                 cases[i].class_name, cases[i].extra);
        write_text("config.json", text);
        mf = open_sound();
        if ((clm_model_file_hparams(mf)->position == CLM_POSITION_ALIBI) != cases[i].alibi)
            fail_msg("%s, %s: the other kind of positions", cases[i].class_name, cases[i].extra);
        clm_model_file_close(mf);
    }
    /* Nothing says it, and one layer is neither the 7B's nor the 13B's number. */
    write_text("config.json", "{\"model_type\":\"baichuan\"," SIZES "}");
    refuse("nothing says how positions enter");
}

#define WITH(EXTRA)                                                                                \
    "{\"architectures\":[\"LlamaForCausalLM\"],\"max_position_embeddings\":64," EXTRA "," SIZES "}"

/* Beside rope_scaling, or, as transformers has it since version 5, inside rope_parameters. */
static void rotary_base(void **state)
{
#define TIED "\"tie_word_embeddings\":true,"
    static const struct {
        const char *text;
        float base;
    } cases[] = {
        {WITH(TIED "\"rope_theta\":5e5"), 5e5f},
        {WITH(TIED "\"rope_parameters\":{\"rope_theta\":5e5,\"rope_type\":\"default\"}"), 5e5f},
        {WITH(TIED "\"rope_parameters\":{\"rope_theta\":5e5,\"type\":\"default\"}"), 5e5f},
        {WITH(TIED "\"rope_parameters\":{\"rope_theta\":5e5}"), 5e5f},
        {WITH(TIED "\"rope_theta\":1e6,\"rope_parameters\":{\"rope_theta\":5e5}"), 5e5f},
        {WITH(TIED "\"rope_theta\":1e6,\"rope_parameters\":{\"rope_type\":\"default\"}"), 1e6f},
        {WITH(TIED "\"rope_parameters\":{\"partial_rotary_factor\":1.0}"), 1e4f},
        {WITH(TIED "\"rope_parameters\":null,\"rope_scaling\":{\"type\":\"default\"}"), 1e4f},
    };
#undef TIED

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clm_model_file *mf;

        write_text("config.json", cases[i].text);
        mf = open_sound();
        if (clm_model_file_hparams(mf)->rope_base != cases[i].base)
            fail_msg("%s: the base is %g", cases[i].text,
                     (double)clm_model_file_hparams(mf)->rope_base);
        clm_model_file_close(mf);
    }
}

static void refused_configurations(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{}", "neither 'architectures' nor 'model_type'"},
        {"{\"architectures\":[\"GPT2LMHeadModel\"]}", "'GPT2LMHeadModel' is not supported"},
        {"{\"model_type\":\"llama\"," SIZES "}", "'max_position_embeddings' is missing"},
        {WITH("\"hidden_act\":\"gelu\""), "activation 'gelu'"},
        {WITH("\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}"), "scaled rotary positions"},
        {WITH("\"rope_scaling\":{\"factor\":2}"), "scaled rotary positions ('rope_scaling')"},
        {WITH("\"rope_scaling\":2"), "scaled rotary positions ('rope_scaling')"},
        {WITH("\"rope_parameters\":{\"rope_theta\":5e5,\"rope_type\":\"llama3\",\"factor\":8}"),
         "scaled rotary positions ('rope_parameters')"},
        {WITH("\"rope_parameters\":{\"rope_theta\":5e5,\"factor\":8}"), "scaled rotary positions"},
        {WITH("\"rope_parameters\":{\"full_attention\":{\"rope_theta\":5e5}}"),
         "differ by layers ('rope_parameters')"},
        {WITH("\"rope_parameters\":{\"partial_rotary_factor\":0.5}"), "partial rotation"},
        {WITH("\"rope_parameters\":{\"rope_theta\":\"x\"}"), "'rope_theta' is a text"},
        {WITH("\"rope_parameters\":{\"rope_theta\":0}"), "rotary base"},
        {WITH("\"rope_parameters\":[]"), "scaled rotary positions"},
        {WITH("\"attention_bias\":true"), "bias"},
        {WITH("\"partial_rotary_factor\":0.5"), "partial rotation"},
        {WITH("\"num_key_value_heads\":3"), "3 key/value heads"},
        {WITH("\"num_key_value_heads\":-1"), "'num_key_value_heads' is -1"},
        {WITH("\"tie_word_embeddings\":1"), "'tie_word_embeddings' is a number"},
        {WITH("\"rope_theta\":0"), "rotary base"},
        {WITH("\"quantization_config\":[]"), "no object"},
        {WITH("\"quantization_config\":{\"quant_method\":\"awq\"}"), "'awq' is not supported"},
        {WITH("\"quantization_config\":{\"bits\":3,\"group_size\":128}"), "GPTQ of 3 bits"},
        {WITH("\"quantization_config\":{\"bits\":4,\"group_size\":0}"), "GPTQ groups of 0"},
        {WITH("\"quantization_config\":{\"bits\":4,\"group_size\":128,"
              "\"checkpoint_format\":\"gptq_v2\"}"),
         "'gptq_v2'"},
        {WITH("\"head_dim\":16"), "lm_head.weight' is missing"}, /* not tied */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text("config.json", cases[i].text);
        refuse(cases[i].says);
    }
}

/* ---- Beside it ------------------------------------------------------------------------------ */

static void advice_and_ids(void **state)
{
    clm_model_file *mf;
    const clm_advice *a;

    (void)state;
    write_text("generation_config.json",
               "{\"temperature\":0.3,\"top_k\":5,\"top_p\":2,\"eos_token_id\":[2,7],"
               "\"user_token_id\":5,\"assistant_token_id\":6,\"max_length\":1e40}");
    write_text("tokenizer_config.json",
               "{\"add_bos_token\":false,\"model_max_length\":1000000000000000019884624838656,"
               "\"chat_template\":[{\"name\":\"default\",\"template\":\"[INST]\"}]}");
    mf = open_sound();
    a = clm_model_file_advice(mf);
    assert_true(a->temperature == 0.3 && a->top_k == 5.0);
    assert_true(isnan(a->top_p) && isnan(a->repetition_penalty));
    assert_non_null(strstr(clm_model_file_warning(mf), "'top_p' is no number from"));
    assert_int_equal(clm_model_file_vocab(mf)->eos, 2);
    assert_int_equal(clm_model_file_vocab(mf)->n_ends, 1);
    assert_int_equal(clm_model_file_vocab(mf)->ends[0], 7);
    assert_int_equal(clm_model_file_vocab(mf)->user * 10 + clm_model_file_vocab(mf)->assistant, 56);
    assert_false(clm_model_file_vocab(mf)->add_bos);
    assert_string_equal(clm_model_file_vocab(mf)->chat_template, "[INST]");
    clm_model_file_close(mf);

    write_text("generation_config.json", "{\"do_sample\":false}");
    mf = open_sound();
    assert_true(clm_model_file_advice(mf)->temperature == 0.0);
    clm_model_file_close(mf);

    write_text("generation_config.json", "{\"eos_token_id\":8}");
    refuse("eos_token_id is 8, outside the vocabulary of 8");
    write_text("generation_config.json", "{\"eos_token_id\":[]}");
    clm_model_file_close(open_sound());
}

/* config.json with `first` for eos_token_id, and generation_config.json with `second` unless NULL: eos
 * and the other ids as a decimal number. */
static void check_ends(const char *first, const char *second, int eos, int others)
{
    char text[512];
    clm_model_file *mf;
    int got = 0;

    snprintf(text, sizeof text,
             "{\"architectures\":[\"LlamaForCausalLM\"],\"max_position_embeddings\":64,"
             "\"tie_word_embeddings\":true,\"eos_token_id\":%s," SIZES "}",
             first);
    write_text("config.json", text);
    snprintf(text, sizeof text, "{\"eos_token_id\":%s}", second != NULL ? second : "null");
    write_text("generation_config.json", text);
    mf = open_sound();
    const clm_vocab *v = clm_model_file_vocab(mf);
    for (size_t i = 0; i < v->n_ends; i++) got = 10 * got + v->ends[i];
    if (v->eos != eos || got != others)
        fail_msg("%s, %s: eos %d, others %d", first, text, v->eos, got);
    clm_model_file_close(mf);
}

static void ends_of_answers(void **state)
{
    (void)state;
    check_ends("[2,7]", NULL, 2, 7);
    check_ends("[2,7,5,1,3]", NULL, 2, 7513);
    check_ends("[2,7,2,7,5]", NULL, 2, 75);
    check_ends("[2,99,7]", NULL, 2, 7); /* outside the vocabulary: a warning */
    check_ends("[2,7]", "2", 2, 0);
    check_ends("[2,7]", "[5,2]", 5, 2);
    check_ends("[2,7]", "[]", 2, 7);
    check_ends("2", "[2,5]", 2, 5);
    write_text("generation_config.json", "{\"eos_token_id\":[2,8]}");
    refuse("eos_token_id is 8, outside the vocabulary of 8");
}

static void index_of_shards(void **state)
{
    (void)state;
    remove_file("model.safetensors");
    refuse("has no weights");
    write_text("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"../x.safetensors\"}}");
    refuse("no name of a weight file");
    write_text("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"x.safetensors\"}}");
    refuse("x.safetensors: No such file");
    write_text("model.safetensors.index.json", "{\"weight_map\":{}}");
    refuse("names 0 files");
}

/* ---- Weights -------------------------------------------------------------------------------- */

/* The first element of row `row` of a weight; rows count up by their columns. */
static float first_of(const clm_model_file *mf, clm_weight_role role, size_t row)
{
    const clm_tensor *t = clm_model_file_weight(mf, role, 0);
    float values[FFN];

    assert_true(t->cols <= FFN);
    assert_int_equal(clm_tensor_read_rows(t, row, 1, values, NULL), CLM_OK);
    return values[0];
}

static void packed_and_rotary(void **state)
{
    clm_model_file *mf;

    (void)state;
    file_begin();
    add_common();
    add_down();
    add_floats("model.layers.0.self_attn.W_pack.weight", 3 * WIDTH, WIDTH, 0);
    add_floats("model.layers.0.self_attn.rotary_emb.inv_freq", 0, 8, 0);
    file_end();
    mf = open_sound();
    /* Pairs (i, i + 8) of a head of 16 become (2i, 2i + 1), in q and k but not in v. */
    assert_true(first_of(mf, CLM_W_Q, 1) == 8 * WIDTH);
    assert_true(first_of(mf, CLM_W_Q, 18) == 17 * WIDTH);
    assert_true(first_of(mf, CLM_W_K, 1) == (32 + 8) * WIDTH);
    assert_true(first_of(mf, CLM_W_V, 1) == (64 + 1) * WIDTH);
    clm_model_file_close(mf);

    write_text("config.json", "{\"architectures\":[\"BaichuanForCausalLM\"],"
                              "\"tie_word_embeddings\":true,\"model_max_length\":64," SIZES "}");
    refuse("belongs to rotary positions");
}

static void norm_head(void **state)
{
    clm_model_file *mf;
    float row[WIDTH];
    double sum = 0.0;

    (void)state;
    file_begin();
    add_common();
    add_separate();
    add_down();
    add_floats("lm_head.weight", VOCAB, WIDTH, 1);
    file_end();
    write_text("config.json", "{\"architectures\":[\"BaichuanForCausalLM\"],"
                              "\"model_max_length\":64," SIZES "}");
    mf = open_sound();
    assert_true(first_of(mf, CLM_W_HEAD, 1) == 1 + WIDTH);
    clm_model_file_close(mf);
    write_text("modeling_baichuan.py", "class NormHead(nn.Module): pass\n");
    mf = open_sound();
    assert_int_equal(
        clm_tensor_read_rows(clm_model_file_weight(mf, CLM_W_HEAD, 0), 3, 1, row, NULL), CLM_OK);
    for (size_t k = 0; k < WIDTH; k++) sum += (double)row[k] * (double)row[k];
    assert_true(fabs(sum - 1.0) < 1e-6);
    assert_true(fabs((double)row[1] / (double)row[0] - 98.0 / 97.0) < 1e-6);
    clm_model_file_close(mf);
}

static void tensors_that_do_not_fit(void **state)
{
    (void)state;
    file_begin();
    add_common();
    add_separate();
    file_end();
    refuse("mlp.down_proj.weight' is missing");
    add_floats("model.layers.0.mlp.down_proj.weight", FFN, WIDTH, 0);
    file_end();
    refuse("is 64 x 32 (rows x columns), but must be 32 x 64");

    file_begin();
    add_common();
    add_separate();
    add_down();
    add_floats("model.layers.0.mlp.down_proj.bias", 0, WIDTH, 1);
    file_end();
    refuse("a bias is not supported");

    file_begin();
    add_common();
    add_separate();
    add_down();
    memset(file_add("model.layers.0.mlp.down_proj.bias", "F16", 0, WIDTH, 2), 0, 2 * WIDTH);
    add_floats("model.layers.1.input_layernorm.weight", 0, WIDTH, 0);
    file_end();
    refuse("'model.layers.1.input_layernorm.weight' has no place");
}

/* down_proj as GPTQ of 8 bits packs it, one group; element [n][k] is (q - zero) / 2. */
static void add_gptq(size_t g_idx, uint32_t group_of_first)
{
    uint32_t *q = file_add("model.layers.0.mlp.down_proj.qweight", "I32", FFN / 4, WIDTH, 4);
    uint32_t *zeros = file_add("model.layers.0.mlp.down_proj.qzeros", "I32", 1, WIDTH / 4, 4);
    uint16_t *scales = file_add("model.layers.0.mlp.down_proj.scales", "F16", 1, WIDTH, 2);

    for (size_t k = 0; k < FFN; k++)
        for (size_t n = 0; n < WIDTH; n++) q[k / 4 * WIDTH + n] |= (uint32_t)(k + n) << 8 * (k % 4);
    for (size_t n = 0; n < WIDTH; n++) {
        zeros[n / 4] |= (uint32_t)(n + 99) << 8 * (n % 4); /* zero less one */
        scales[n] = 0x3800;                                /* 0.5 */
    }
    if (g_idx > 0) {
        uint32_t *groups = file_add("model.layers.0.mlp.down_proj.g_idx", "I32", 0, g_idx, 4);
        groups[0] = group_of_first;
    }
}

static void gptq(void **state)
{
    clm_model_file *mf;
    char type[CLM_TENSOR_TYPE_ROOM];

    (void)state;
    file_begin();
    add_common();
    add_separate();
    add_gptq(FFN, 0);
    file_end();
    refuse("quantize_config.json, which says how it is packed, is missing");
    write_text("quantize_config.json", "{\"bits\":8,\"group_size\":-1,\"desc_act\":false}");
    mf = open_sound();
    /* column 0: (n - (n + 100)) / 2 */
    assert_true(first_of(mf, CLM_W_DOWN, 0) == -50.0f && first_of(mf, CLM_W_DOWN, 31) == -50.0f);
    assert_string_equal(clm_tensor_type_name(clm_model_file_weight(mf, CLM_W_DOWN, 0), type),
                        "GPTQ8 g64");
    clm_model_file_close(mf);

    write_text("quantize_config.json", "{\"bits\":8,\"group_size\":32}");
    refuse("do not have the 2 groups");
    write_text("quantize_config.json", "{\"bits\":4,\"group_size\":-1}");
    refuse("GPTQ layer");
    write_text("quantize_config.json", "{\"bits\":8,\"group_size\":-1}");
    file_begin();
    add_common();
    add_separate();
    add_gptq(FFN, 1);
    file_end();
    refuse("names a group that does not exist");
    file_begin();
    add_common();
    add_separate();
    add_gptq(FFN - 1, 0);
    file_end();
    refuse("one number (I32) for each column");
}

/* An embedding that GPTQ has packed is read, but not with its columns out of order: rows of it are
 * looked up as they are. */
static void packed_embedding(void **state)
{
    (void)state;
    for (int act = 0; act < 2; act++) {
        file_begin();
        add_inner();
        add_separate();
        add_down();
        file_add("model.embed_tokens.qweight", "I32", WIDTH / 4, VOCAB, 4);
        file_add("model.embed_tokens.qzeros", "I32", 2, VOCAB / 4, 4);
        file_add("model.embed_tokens.scales", "F16", 2, VOCAB, 2);
        uint32_t *groups = file_add("model.embed_tokens.g_idx", "I32", 0, WIDTH, 4);
        for (uint32_t k = 0; k < WIDTH; k++) groups[k] = act ? k % 2 : k / 16;
        file_end();
        write_text("quantize_config.json", "{\"bits\":8,\"group_size\":16}");
        if (act)
            refuse("'model.embed_tokens.qweight' is packed by GPTQ with desc_act");
        else
            clm_model_file_close(open_sound());
    }
}

int main(void)
{
#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(llama),
        TEST(config_cut_anywhere),
        TEST(positions),
        TEST(rotary_base),
        TEST(refused_configurations),
        TEST(advice_and_ids),
        TEST(ends_of_answers),
        TEST(index_of_shards),
        TEST(packed_and_rotary),
        TEST(norm_head),
        TEST(tensors_that_do_not_fit),
        TEST(gptq),
        TEST(packed_embedding),
    };
    int failed;

    if (mkdtemp(folder) == NULL) return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
