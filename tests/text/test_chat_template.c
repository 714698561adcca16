/* tests/text/test_chat_template.c: conversations to ids. The Baichuan templates against id lists
 * made from the publisher's rules; the others against their prompts, written out here.
 */
#include "tests/text/golden.h"

#include "runtime/text/chat_template.h"

enum { MAX_MESSAGES = 64 };

/* ---- Golden cases -------------------------------------------------------------------------------- */

static size_t read_messages(json_t *list, clm_message msgs[MAX_MESSAGES])
{
    size_t n = json_array_size(list);

    assert_true(n <= MAX_MESSAGES);
    for (size_t i = 0; i < n; i++) {
        json_t *m = json_array_get(list, i), *content = json_object_get(m, "content");
        const char *role = json_string_value(json_object_get(m, "role"));
        assert_true(strcmp(role, "user") == 0 || strcmp(role, "assistant") == 0);
        msgs[i].role = strcmp(role, "user") == 0 ? CLM_ROLE_USER : CLM_ROLE_ASSISTANT;
        msgs[i].text = json_string_value(content);
        msgs[i].size = json_string_length(content);
    }
    return n;
}

static void check_case(const clm_tokenizer *tok, json_t *c)
{
    const char *name = json_string_value(json_object_get(c, "template"));
    clm_template t = strcmp(name, "baichuan-13b-chat") == 0 ? CLM_TEMPLATE_BAICHUAN_CHAT
                                                            : CLM_TEMPLATE_BAICHUAN_INSTRUCTION;
    json_t *length = json_object_get(c, "model_max_length");
    long long room =
        json_integer_value(length) - json_integer_value(json_object_get(c, "max_new_tokens"));
    clm_message msgs[MAX_MESSAGES];
    size_t n = read_messages(json_object_get(c, "messages"), msgs), count, dropped;
    int *ids;
    clm_err err = {""};

    if (clm_template_encode(t, tok, msgs, n, length != NULL ? (size_t)room : 0, &ids, &count,
                            &dropped, &err) != CLM_OK)
        fail_msg("%s", err.text);
    assert_ids(json_string_value(json_object_get(c, "name")), ids, count,
               json_object_get(c, "ids"));
    assert_true(dropped < n);
    if (length == NULL) assert_int_equal(dropped, 0);
    free(ids);
}

static void test_golden_cases(void **state)
{
    char path[512];
    clm_tokenizer *tok = golden_tokenizer("tokenizer-baichuan");
    json_t *cases =
        json_load_file(golden_path(path, sizeof path, "chat/cases.json"), JSON_ALLOW_NUL, NULL);

    (void)state;
    assert_int_equal(json_array_size(cases), 44);
    for (size_t i = 0; i < json_array_size(cases); i++) check_case(tok, json_array_get(cases, i));
    json_decref(cases);
    clm_tokenizer_destroy(tok);
}

/* A system text stands in front of the first round that is left, and counts. */
static void test_baichuan_system(void **state)
{
    clm_tokenizer *tok = golden_tokenizer("tokenizer-baichuan");
    clm_message msgs[] = {{CLM_ROLE_SYSTEM, "be kind", 7},
                          {CLM_ROLE_USER, "one", 3},
                          {CLM_ROLE_ASSISTANT, "two", 3},
                          {CLM_ROLE_USER, "three", 5}};
    int *system, *ids, *rest;
    size_t n_system, n, n_rest, dropped;

    (void)state;
    assert_int_equal(clm_tokenizer_encode(tok, "be kind", 7, &system, &n_system, NULL), CLM_OK);
    for (size_t room = 0; room < 40; room += 8) {
        assert_int_equal(clm_template_encode(CLM_TEMPLATE_BAICHUAN_CHAT, tok, msgs, 4, room, &ids,
                                             &n, &dropped, NULL),
                         CLM_OK);
        assert_int_equal(dropped, room == 8 ? 2 : 0);
        assert_memory_equal(ids, system, n_system * sizeof *ids);
        assert_int_equal(clm_template_encode(CLM_TEMPLATE_BAICHUAN_CHAT, tok, msgs + 1 + dropped,
                                             3 - dropped, 0, &rest, &n_rest, NULL, NULL),
                         CLM_OK);
        assert_int_equal(n, n_system + n_rest);
        assert_memory_equal(ids + n_system, rest, n_rest * sizeof *ids);
        free(ids);
        free(rest);
    }
    free(system);
    clm_tokenizer_destroy(tok);
}

/* The tiny models have their first 4,096 pieces in common with the real vocabulary. */
static void test_baichuan_ids(void **state)
{
    static const char *const names[] = {"vocab-baichuan.gguf", "baichuan13b-tiny-q4_0.gguf",
                                        "hf-baichuan13b-tiny"};
    int ids[4];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        clm_tokenizer *tok = golden_tokenizer(names[i]);
        assert_int_equal(clm_template_stop_ids(CLM_TEMPLATE_BAICHUAN_CHAT, tok, ids), 2);
        assert_int_equal(ids[0], 195);
        assert_int_equal(ids[1], 196);
        clm_tokenizer_destroy(tok);
    }
}

/* ---- Other families, with a vocabulary made here --------------------------------------------------- */

enum {
    ID_BOS = 1,
    ID_EOS = 2,
    ID_START = 259,
    ID_END = 260,
    ID_HUMAN = 261,
    ID_BOT = 262,
    N_PIECES = 263
};

/* <unk>, <s>, </s>, the bytes, and four markers of type `markers`. */
static clm_tokenizer *make_tokenizer(clm_piece_type markers, bool add_bos, bool has_eos)
{
    static const char *const named[] = {"<unk>",      "<s>",     "</s>", "<|im_start|>",
                                        "<|im_end|>", "<human>", "<bot>"};
    static char bytes[256][8];
    clm_piece pieces[N_PIECES];
    clm_vocab vocab;
    clm_tokenizer *tok = NULL;
    clm_err err = {""};

    memset(&vocab, 0, sizeof vocab);
    for (int i = 0; i < N_PIECES; i++) {
        const char *text = i < 3 ? named[i] : i < 259 ? bytes[i - 3] : named[i - 256];
        if (i >= 3 && i < 259)
            snprintf(bytes[i - 3], sizeof bytes[0], "<0x%02X>", (unsigned)(i - 3));
        pieces[i] = (clm_piece){text, strlen(text), 0.0f, i < 259 ? CLM_PIECE_BYTE : markers};
    }
    pieces[0].type = CLM_PIECE_UNKNOWN;
    pieces[1].type = pieces[2].type = CLM_PIECE_CONTROL;
    vocab.pieces = pieces;
    vocab.n_pieces = N_PIECES;
    vocab.model_name = (char *)"llama";
    vocab.bos = ID_BOS;
    vocab.eos = has_eos ? ID_EOS : -1;
    vocab.unk = 0;
    vocab.pad = -1;
    vocab.add_space_prefix = true;
    vocab.add_bos = add_bos;
    if (clm_tokenizer_create(&vocab, &tok, &err) != CLM_OK) fail_msg("%s", err.text);
    return tok;
}

/* Ids of a prompt in which the bytes 1 to 6 stand for BOS, EOS and the markers. */
static size_t expected_ids(const clm_tokenizer *tok, const char *prompt, int *out)
{
    static const int special[] = {0, ID_BOS, ID_EOS, ID_START, ID_END, ID_HUMAN, ID_BOT};
    size_t n = 0;

    while (*prompt != '\0') {
        size_t length = strcspn(prompt, "\1\2\3\4\5\6"), count;
        int *ids;
        assert_int_equal(clm_tokenizer_encode(tok, prompt, length, &ids, &count, NULL), CLM_OK);
        if (count > 0) memcpy(out + n, ids, count * sizeof *ids);
        n += count;
        free(ids);
        prompt += length;
        if (*prompt != '\0') out[n++] = special[(int)*prompt++];
    }
    return n;
}

static void expect_prompt(clm_template t, const clm_tokenizer *tok, const clm_message *msgs,
                          size_t n_msgs, const char *prompt)
{
    int want[2048], *ids;
    size_t n_want = expected_ids(tok, prompt, want), n;
    clm_err err = {""};

    if (clm_template_encode(t, tok, msgs, n_msgs, 0, &ids, &n, NULL, &err) != CLM_OK)
        fail_msg("%s", err.text);
    if (n != n_want || memcmp(ids, want, n * sizeof *ids) != 0) {
        char *text;
        size_t size;
        clm_tokenizer_decode(tok, ids, n, &text, &size, NULL);
        fail_msg("%s: got %zu ids \"%s\", want %zu \"%s\"", clm_template_name(t), n, text, n_want,
                 prompt);
    }
    free(ids);
}

static const clm_message TALK[] = {
    {CLM_ROLE_SYSTEM, "Be kind.", 8},  {CLM_ROLE_USER, " Hi\n", 4},
    {CLM_ROLE_ASSISTANT, "Hello.", 6}, {CLM_ROLE_USER, "And?", 4},
    {CLM_ROLE_ASSISTANT, "So.", 3},
};

#define VICUNA                                                                                     \
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives " \
    "helpful, "                                                                                    \
    "detailed, and polite answers to the user's questions."
#define ALPACA                                                                                     \
    "Below is an instruction that describes a task. Write a response that appropriately "          \
    "completes the request."

static void test_prompts(void **state)
{
    clm_tokenizer *tok = make_tokenizer(CLM_PIECE_CONTROL, true, true);

    (void)state;
    expect_prompt(
        CLM_TEMPLATE_LLAMA2, tok, TALK, 4,
        "\1[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHi [/INST] Hello. \2\1[INST] And? [/INST]");
    expect_prompt(CLM_TEMPLATE_LLAMA2, tok, TALK + 1, 1, "\1[INST] Hi [/INST]");
    expect_prompt(CLM_TEMPLATE_LLAMA2, tok, TALK + 1, 4,
                  "\1[INST] Hi [/INST] Hello. \2\1[INST] And? [/INST] So. \2");
    expect_prompt(CLM_TEMPLATE_ALPACA, tok, TALK, 4,
                  "\1Be kind.\n\n### Instruction:\n Hi\n\n\n### Response:Hello.\n\n### "
                  "Instruction:\nAnd?\n\n### Response:");
    expect_prompt(CLM_TEMPLATE_ALPACA, tok, TALK + 3, 1,
                  "\1" ALPACA "\n\n### Instruction:\nAnd?\n\n### Response:");
    expect_prompt(CLM_TEMPLATE_VICUNA, tok, TALK, 4,
                  "\1Be kind. USER:  Hi\n ASSISTANT: Hello.\2USER: And? ASSISTANT:");
    expect_prompt(CLM_TEMPLATE_VICUNA, tok, TALK + 3, 1, "\1" VICUNA " USER: And? ASSISTANT:");
    expect_prompt(CLM_TEMPLATE_ZIYA, tok, TALK + 1, 3, "\1\5:Hi\n\6:Hello.\n\5:And?\n\6:");
    expect_prompt(CLM_TEMPLATE_ZIYA, tok, TALK + 1, 4, "\1\5:Hi\n\6:Hello.\n\5:And?\n\6:So.");
    expect_prompt(CLM_TEMPLATE_CHATML, tok, TALK, 4,
                  "\1\3system\nBe kind.\4\n\3user\n "
                  "Hi\n\4\n\3assistant\nHello.\4\n\3user\nAnd?\4\n\3assistant\n");
    expect_prompt(CLM_TEMPLATE_NONE, tok, TALK + 3, 1, "\1And?");
    expect_prompt(CLM_TEMPLATE_BAICHUAN_INSTRUCTION, tok, TALK, 4,
                  "Be kind.\nHuman: Hi\n\n\nAssistant:Hello.\nHuman:And?\n\nAssistant:");
    clm_tokenizer_destroy(tok);
}

/* Markers that text can spell stay part of it; BOS only where the file or the family wants it. */
static void test_prompts_with_user_defined_markers(void **state)
{
    clm_tokenizer *tok = make_tokenizer(CLM_PIECE_USER_DEFINED, false, true);
    int ids[4];

    (void)state;
    expect_prompt(CLM_TEMPLATE_CHATML, tok, TALK + 3, 1,
                  "<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n");
    expect_prompt(CLM_TEMPLATE_ZIYA, tok, TALK + 3, 1, "<human>:And?\n<bot>:");
    expect_prompt(CLM_TEMPLATE_NONE, tok, TALK + 3, 1, "And?");
    expect_prompt(CLM_TEMPLATE_LLAMA2, tok, TALK + 3, 1, "\1[INST] And? [/INST]");
    assert_int_equal(clm_template_stop_ids(CLM_TEMPLATE_CHATML, tok, ids), 2);
    assert_int_equal(ids[0], ID_END);
    assert_int_equal(ids[1], ID_START);
    assert_int_equal(clm_template_stop_ids(CLM_TEMPLATE_ZIYA, tok, ids), 1);
    assert_int_equal(ids[0], ID_HUMAN);
    assert_int_equal(clm_template_stop_ids(CLM_TEMPLATE_LLAMA2, tok, ids), 0);
    clm_tokenizer_destroy(tok);
}

static void test_missing_ids(void **state)
{
    clm_tokenizer *tok = make_tokenizer(CLM_PIECE_CONTROL, true, false);
    int *ids, stops[4];
    size_t n;
    clm_err err = {""};

    (void)state;
    assert_int_equal(
        clm_template_encode(CLM_TEMPLATE_LLAMA2, tok, TALK, 4, 0, &ids, &n, NULL, &err),
        CLM_E_MODEL);
    assert_null(ids);
    assert_non_null(strstr(err.text, "llama2"));
    assert_int_equal(
        clm_template_encode(CLM_TEMPLATE_BAICHUAN_CHAT, tok, TALK, 4, 0, &ids, &n, NULL, &err),
        CLM_E_MODEL);
    assert_non_null(strstr(err.text, "<reserved_102>"));
    assert_int_equal(clm_template_stop_ids(CLM_TEMPLATE_BAICHUAN_CHAT, tok, stops), 0);
    clm_tokenizer_destroy(tok);
}

/* Of twenty rounds, just as many as fit are kept, whatever the room. */
static void check_dropping(clm_template t, const clm_tokenizer *tok)
{
    static const char filler[] =
        "What a long and winding question this is, asked again and again and again?";
    clm_message msgs[40];

    for (size_t i = 0; i < 40; i++) {
        msgs[i].role = i % 2 == 0 ? CLM_ROLE_USER : CLM_ROLE_ASSISTANT;
        msgs[i].text = filler;
        msgs[i].size = 5 + i * 7 % 60;
    }
    for (size_t i = 0; i < 40; i++) {
        size_t room = 1 + i / 2 * 97;
        int *ids, *whole, *more;
        size_t n, n_whole, n_more = 0, dropped;
        if (i % 2 == 1) { /* exactly what some number of rounds needs */
            assert_int_equal(
                clm_template_encode(t, tok, msgs + i - 1, 40 - i, 0, &ids, &room, NULL, NULL),
                CLM_OK);
            free(ids);
        }
        assert_int_equal(clm_template_encode(t, tok, msgs, 39, room, &ids, &n, &dropped, NULL),
                         CLM_OK);
        assert_true(n <= room && dropped % 2 == 0 && dropped <= 38);
        assert_int_equal(clm_template_encode(t, tok, msgs + dropped, 39 - dropped, 0, &whole,
                                             &n_whole, NULL, NULL),
                         CLM_OK);
        assert_true(n_whole >= n &&
                    (n_whole == n || dropped == 38)); /* only the newest may be cut */
        assert_memory_equal(ids, whole + (n_whole - n), n * sizeof *ids);
        if (dropped > 0) {
            assert_int_equal(clm_template_encode(t, tok, msgs + dropped - 2, 41 - dropped, 0, &more,
                                                 &n_more, NULL, NULL),
                             CLM_OK);
            assert_true(n_more > room);
            free(more);
        }
        free(ids);
        free(whole);
    }
}

static void test_dropping(void **state)
{
    clm_tokenizer *tok = make_tokenizer(CLM_PIECE_CONTROL, true, true);

    (void)state;
    check_dropping(CLM_TEMPLATE_BAICHUAN_INSTRUCTION, tok);
    check_dropping(CLM_TEMPLATE_LLAMA2, tok);
    check_dropping(CLM_TEMPLATE_CHATML, tok);
    clm_tokenizer_destroy(tok);
}

static void test_empty_conversation(void **state)
{
    clm_tokenizer *tok = make_tokenizer(CLM_PIECE_CONTROL, true, true);
    const clm_message system = {CLM_ROLE_SYSTEM, "x", 1}, nul = {CLM_ROLE_USER, "a\0b", 3};
    int *ids;
    size_t n, dropped;

    (void)state;
    for (int t = CLM_TEMPLATE_BAICHUAN_INSTRUCTION; t < CLM_TEMPLATE_COUNT; t++) {
        if (t == CLM_TEMPLATE_BAICHUAN_CHAT) continue;
        assert_int_equal(
            clm_template_encode((clm_template)t, tok, NULL, 0, 1, &ids, &n, &dropped, NULL),
            CLM_OK);
        free(ids);
        assert_int_equal(
            clm_template_encode((clm_template)t, tok, &system, 1, 1, &ids, &n, &dropped, NULL),
            CLM_OK);
        free(ids);
    }
    assert_int_equal(clm_template_encode(CLM_TEMPLATE_NONE, tok, &nul, 1, 0, &ids, &n, NULL, NULL),
                     CLM_OK);
    assert_int_equal(n, 1 + 3 + 3); /* BOS, the space prefix in bytes, a, NUL, b */
    assert_int_equal(ids[5], 3);
    free(ids);
    clm_tokenizer_destroy(tok);
}

/* ---- Names and detection ----------------------------------------------------------------------------- */

static void test_names(void **state)
{
    (void)state;
    for (int t = 0; t < CLM_TEMPLATE_COUNT; t++)
        assert_int_equal(clm_template_find(clm_template_name((clm_template)t)), t);
    assert_int_equal(clm_template_find("llama3"), CLM_TEMPLATE_COUNT);
    assert_int_equal(clm_template_find(""), CLM_TEMPLATE_COUNT);
    assert_null(clm_template_name(CLM_TEMPLATE_COUNT));
    assert_null(clm_template_name((clm_template)-1));
    assert_string_equal(clm_template_name(CLM_TEMPLATE_BAICHUAN_CHAT), "baichuan-chat");
    assert_string_equal(clm_template_stop_text(CLM_TEMPLATE_BAICHUAN_INSTRUCTION), "\nHuman:");
    assert_null(clm_template_stop_text(CLM_TEMPLATE_BAICHUAN_CHAT));
}

static clm_template detect(const char *arch, const char *name, const char *jinja)
{
    static const clm_piece pieces[] = {{"<reserved_102>", 14, 0, CLM_PIECE_NORMAL},
                                       {"<reserved_103>", 14, 0, CLM_PIECE_NORMAL}};
    clm_hparams hp;
    clm_vocab vocab;

    memset(&hp, 0, sizeof hp);
    memset(&vocab, 0, sizeof vocab);
    snprintf(hp.arch, sizeof hp.arch, "%s", arch);
    snprintf(hp.name, sizeof hp.name, "%s", name);
    vocab.pieces = pieces;
    vocab.n_pieces = 2;
    vocab.chat_template = jinja;
    return clm_template_detect(&hp, &vocab);
}

static void test_detection(void **state)
{
    (void)state;
    assert_int_equal(detect("baichuan", "Baichuan-13B-Instruction", NULL),
                     CLM_TEMPLATE_BAICHUAN_INSTRUCTION);
    assert_int_equal(detect("baichuan", "Baichuan-13B-Chat", NULL), CLM_TEMPLATE_BAICHUAN_CHAT);
    assert_int_equal(detect("baichuan", "Baichuan-13B-Base", NULL), CLM_TEMPLATE_NONE);
    assert_int_equal(detect("baichuan", "", NULL), CLM_TEMPLATE_BAICHUAN_CHAT);
    assert_int_equal(detect("llama", "", NULL), CLM_TEMPLATE_NONE);
    assert_int_equal(detect("llama", "Ziya-LLaMA-13B-v1.1", NULL), CLM_TEMPLATE_ZIYA);
    assert_int_equal(detect("llama", "lmsys vicuna-13b-v1.5", NULL), CLM_TEMPLATE_VICUNA);
    assert_int_equal(detect("llama", "Llama-2-7b-chat-hf", NULL), CLM_TEMPLATE_LLAMA2);
    assert_int_equal(detect("llama", "Llama-2-7b-hf", NULL), CLM_TEMPLATE_NONE);
    assert_int_equal(detect("baichuan", "x-Chat",
                            "{% for m in messages %}{{'<|im_start|>' + m['role'] + '<|im_end|>'}}"),
                     CLM_TEMPLATE_CHATML);
    assert_int_equal(detect("llama", "", "{{ '[INST] ' + content.strip() + ' [/INST]' }}"),
                     CLM_TEMPLATE_LLAMA2);
    assert_int_equal(detect("llama", "", "{{ 'USER: ' + content + ' ASSISTANT: ' }}"),
                     CLM_TEMPLATE_VICUNA);
    assert_int_equal(detect("llama", "", "### Instruction:\n{{ x }}\n### Response:"),
                     CLM_TEMPLATE_ALPACA);
    assert_int_equal(detect("llama", "", "{{ '<reserved_106>' + x + '<reserved_107>' }}"),
                     CLM_TEMPLATE_BAICHUAN_CHAT);
    assert_int_equal(detect("llama", "", "something else"), CLM_TEMPLATE_NONE);
}

/* ---- The system text of a file's template ---------------------------------------------------------- */

static void expect_system(const char *chat_template, const char *want)
{
    clm_vocab vocab;
    char *text;
    clm_err err = {""};

    memset(&vocab, 0, sizeof vocab);
    vocab.chat_template = chat_template;
    assert_int_equal(clm_template_default_system(&vocab, &text, &err), CLM_OK);
    if (want == NULL)
        assert_null(text);
    else
        assert_string_equal(text, want);
    free(text);
}

static void test_default_system(void **state)
{
    (void)state;
    /* SmolLM2 and Qwen2, shortened */
    expect_system("{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
                  "You are a helpful AI assistant named SmolLM<|im_end|>\n' }}{% endif %}",
                  "You are a helpful AI assistant named SmolLM");
    expect_system("{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}",
                  "You are a helpful assistant.");
    expect_system("'<|im_start|>system\\nIt\\'s \\\\ a\\nline<|im_end|>'", "It's \\ a\nline");
    /* Only what the user says, or an expression; a later literal counts. */
    expect_system("'<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n'", NULL);
    expect_system("'<|im_start|>system\\n' + x + '<|im_end|>' '<|im_start|>system\\nYes<|im_end|>'",
                  "Yes");
    expect_system("<|im_start|>system\nDate: {{ date }}<|im_end|>", NULL);
    expect_system("<|im_start|>system\n<|im_end|>", NULL);
    expect_system("<|im_start|>system\nunfinished", NULL);
    expect_system("<|im_start|>systematic<|im_end|>", NULL);
    expect_system("<|im_start|>system\\nodd\\<|im_end|>", NULL);
    expect_system("<|im_start|>system", NULL);
    expect_system("", NULL);
    expect_system(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_detection),
        cmocka_unit_test(test_prompts),
        cmocka_unit_test(test_prompts_with_user_defined_markers),
        cmocka_unit_test(test_missing_ids),
        cmocka_unit_test(test_dropping),
        cmocka_unit_test(test_empty_conversation),
        cmocka_unit_test(test_golden_cases),
        cmocka_unit_test(test_baichuan_system),
        cmocka_unit_test(test_baichuan_ids),
        cmocka_unit_test(test_default_system),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
