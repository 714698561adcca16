/* tests/text/test_tokenizer.c: text to ids and back, against lists that SentencePiece itself
 * printed (and, for published.tsv, that users of the published models did).
 */
#include "tests/text/golden.h"

#include "runtime/text/utf8.h"

static void check_encode(const clm_tokenizer *tok, json_t *text, json_t *want, const char *where)
{
    int *ids;
    size_t count;
    clm_err err = {""};

    if (clm_tokenizer_encode(tok, json_string_value(text), json_string_length(text), &ids, &count,
                             &err) != CLM_OK)
        fail_msg("%s: %s", where, err.text);
    assert_true((count == 0) == (ids == NULL));
    assert_ids(where, ids, count, want);
    free(ids);
}

/* What the pieces give one by one, through the UTF-8 filter. */
static char *stream(const clm_tokenizer *tok, const int *ids, size_t count, size_t *size)
{
    clm_utf8_stream s = {{0}, 0};
    size_t room = 16, used = 0;
    char *out;

    for (size_t i = 0; i < count; i++) {
        size_t n;
        clm_tokenizer_piece(tok, ids[i], &n);
        room += 3 * (n + 3);
    }
    out = malloc(room);
    for (size_t i = 0; i < count; i++) {
        size_t n;
        const char *piece = clm_tokenizer_piece(tok, ids[i], &n);
        used += clm_utf8_feed(&s, piece, n, out + used);
    }
    used += clm_utf8_flush(&s, out + used);
    *size = used;
    return out;
}

/* Bytes that a control piece separates are no character for SentencePiece; the filter, which does
 * not see the control piece, joins them. */
static bool has_control_between_bytes(const clm_tokenizer *tok, const int *ids, size_t count)
{
    for (size_t i = 1; i + 1 < count; i++) {
        size_t before, after;
        const char *b = clm_tokenizer_piece(tok, ids[i - 1], &before),
                   *a = clm_tokenizer_piece(tok, ids[i + 1], &after);
        if (clm_tokenizer_is_control(tok, ids[i]) && before == 1 && after == 1 && (b[0] & 0x80) &&
            (a[0] & 0x80))
            return true;
    }
    return false;
}

static void check_decode(const clm_tokenizer *tok, json_t *list, json_t *want, const char *where)
{
    size_t count = json_array_size(list), size, streamed_size;
    int *ids = calloc(count + 1, sizeof *ids);
    char *text, *streamed;
    clm_err err = {""};

    for (size_t i = 0; i < count; i++) ids[i] = (int)json_integer_value(json_array_get(list, i));
    if (clm_tokenizer_decode(tok, ids, count, &text, &size, &err) != CLM_OK)
        fail_msg("%s: %s", where, err.text);
    if (size != json_string_length(want) || memcmp(text, json_string_value(want), size) != 0)
        fail_msg("%s: got \"%s\", not \"%s\"", where, text, json_string_value(want));
    assert_int_equal(text[size], 0);
    streamed = stream(tok, ids, count, &streamed_size);
    if (!has_control_between_bytes(tok, ids, count)) {
        /* The first space is dropped by decoding, kept by the stream. */
        size_t extra = streamed_size - size;
        if (extra > 1 || (extra == 1 && streamed[0] != ' ') ||
            memcmp(streamed + extra, text, size) != 0)
            fail_msg("%s: streamed \"%.*s\", decoded \"%s\"", where, (int)streamed_size, streamed,
                     text);
    }
    free(streamed);
    free(text);
    free(ids);
}

static void test_baichuan(void **state)
{
    clm_tokenizer *tok = golden_tokenizer("tokenizer-baichuan");

    (void)state;
    assert_int_equal(golden_cases(tok, "tokenizer-baichuan/cases.tsv", check_encode), 584);
    assert_int_equal(golden_cases(tok, "tokenizer-baichuan/cases-nul.tsv", check_encode), 3);
    assert_int_equal(golden_cases(tok, "tokenizer-baichuan/published.tsv", check_encode), 10);
    assert_int_equal(golden_cases(tok, "tokenizer-baichuan/detok.tsv", check_decode), 123);
    assert_int_equal(clm_tokenizer_size(tok), 64000);
    assert_int_equal(clm_tokenizer_bos(tok), 1);
    assert_int_equal(clm_tokenizer_eos(tok), 2);
    assert_false(clm_tokenizer_add_bos(tok));
    assert_int_equal(clm_tokenizer_find(tok, "<reserved_102>"), 195);
    assert_int_equal(clm_tokenizer_find(tok, "</s>"), 2);
    assert_int_equal(clm_tokenizer_find(tok, "no such piece"), -1);
    assert_int_equal(clm_tokenizer_find(tok, ""), -1);
    assert_true(clm_tokenizer_is_control(tok, 1));
    assert_false(clm_tokenizer_is_control(tok, 195));
    assert_false(clm_tokenizer_is_control(tok, -1));
    assert_false(clm_tokenizer_is_control(tok, 64000));
    clm_tokenizer_destroy(tok);
}

static void test_baichuan_plain(void **state)
{
    clm_tokenizer *tok = golden_tokenizer("tokenizer-baichuan/plain/tokenizer.model");

    (void)state;
    assert_int_equal(golden_cases(tok, "tokenizer-baichuan/plain/cases.tsv", check_encode), 584);
    assert_int_equal(golden_cases(tok, "tokenizer-baichuan/plain/detok.tsv", check_decode), 122);
    clm_tokenizer_destroy(tok);
}

static void test_baichuan_gguf(void **state)
{
    clm_tokenizer *tok = golden_tokenizer("vocab-baichuan.gguf");

    (void)state;
    assert_int_equal(golden_cases(tok, "tokenizer-baichuan/cases-gguf.tsv", check_encode), 584);
    assert_int_equal(clm_tokenizer_size(tok), 64000);
    assert_int_equal(clm_tokenizer_eos(tok), 2);
    clm_tokenizer_destroy(tok);
}

static void test_small_directories(void **state)
{
    static const char *const names[] = {"hf-baichuan13b-tiny", "hf-baichuan7b-tiny-safetensors",
                                        "hf-llama-tiny"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char cases[128];
        clm_tokenizer *tok = golden_tokenizer(names[i]);
        snprintf(cases, sizeof cases, "%s/cases.tsv", names[i]);
        assert_int_equal(golden_cases(tok, cases, check_encode), 20);
        assert_int_equal(clm_tokenizer_size(tok), 4096);
        clm_tokenizer_destroy(tok);
    }
}

/* Every token of every small GGUF model loads and its pieces stream. */
static void test_small_gguf(void **state)
{
    static const char *const names[] = {"baichuan13b-tiny-q4_0.gguf", "baichuan7b-tiny-q8_0.gguf",
                                        "llama-tiny-q4_k_m.gguf"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        clm_tokenizer *tok = golden_tokenizer(names[i]);
        assert_int_equal(clm_tokenizer_size(tok), 4096);
        for (int id = 0; id < 4096; id++) {
            size_t size;
            assert_non_null(clm_tokenizer_piece(tok, id, &size));
            assert_true((size == 0) == clm_tokenizer_is_control(tok, id));
        }
        clm_tokenizer_destroy(tok);
    }
}

static clm_tokenizer *small_tokenizer(void)
{
    clm_tokenizer *tok = NULL;
    clm_err err = {""};

    if (clm_tokenizer_load(CLM_TEST_DATA "/text/small.model", &tok, &err) != CLM_OK)
        fail_msg("%s", err.text);
    return tok;
}

static const char MIXED[] = "a \xe4\xbd\xa0\xf0\x9f\x98\x80\xff\0\n";

/* Any bytes come back, except that what is no UTF-8 becomes U+FFFD. */
static void test_any_bytes(void **state)
{
    clm_tokenizer *tok = small_tokenizer();
    unsigned seed = 1;

    (void)state;
    for (int round = 0; round < 300; round++) {
        char text[40], want[160];
        clm_utf8_stream s = {{0}, 0};
        size_t n = (size_t)(round % 40), count, size, n_want;
        int *ids;
        char *back;
        clm_err err = {""};

        for (size_t i = 0; i < n; i++) {
            seed = seed * 1103515245u + 12345u;
            text[i] =
                round % 3 == 0 ? (char)(seed >> 16) : MIXED[(seed >> 16) % (sizeof MIXED - 1)];
        }
        assert_int_equal(clm_tokenizer_encode(tok, text, n, &ids, &count, &err), CLM_OK);
        assert_int_equal(clm_tokenizer_decode(tok, ids, count, &back, &size, &err), CLM_OK);
        n_want = clm_utf8_feed(&s, text, n, want);
        n_want += clm_utf8_flush(&s, want + n_want);
        assert_int_equal(size, n_want);
        assert_memory_equal(back, want, size);
        free(ids);
        free(back);
    }
    clm_tokenizer_destroy(tok);
}

static void test_wrong_use(void **state)
{
    clm_tokenizer *tok = small_tokenizer();
    const int bad[] = {5, 288}, negative[] = {-1};
    char *text;
    int *ids;
    size_t n;
    clm_err err = {""};

    (void)state;
    assert_int_equal(clm_tokenizer_decode(tok, bad, 2, &text, &n, &err), CLM_E_USAGE);
    assert_null(text);
    assert_non_null(strstr(err.text, "288"));
    assert_int_equal(clm_tokenizer_decode(tok, negative, 1, &text, &n, NULL), CLM_E_USAGE);
    assert_int_equal(clm_tokenizer_encode(tok, "", (size_t)1 << 40, &ids, &n, &err), CLM_E_LIMIT);
    assert_null(ids);
    assert_int_equal(clm_tokenizer_decode(tok, NULL, 0, &text, &n, &err), CLM_OK);
    assert_string_equal(text, "");
    free(text);
    assert_int_equal(clm_tokenizer_encode(tok, NULL, 0, &ids, &n, &err), CLM_OK);
    assert_null(ids);
    clm_tokenizer_piece(tok, -1, &n);
    assert_int_equal(n, 0);
    clm_tokenizer_piece(tok, 288, &n);
    assert_int_equal(n, 0);
    clm_tokenizer_destroy(tok);
    clm_tokenizer_destroy(NULL);
}

static void test_unusable_paths(void **state)
{
    clm_tokenizer *tok = (clm_tokenizer *)&state;
    clm_err err = {""};

    (void)state;
    assert_int_equal(clm_tokenizer_load(CLM_TEST_DATA "/no-such-file", &tok, &err), CLM_E_MODEL);
    assert_null(tok);
    assert_non_null(strstr(err.text, "no-such-file"));
    assert_int_equal(clm_tokenizer_load(CLM_SOURCE_DIR "/tests", &tok, &err), CLM_E_MODEL);
    assert_non_null(strstr(err.text, "tokenizer.model"));
    assert_int_equal(clm_tokenizer_load(CLM_SOURCE_DIR "/CMakeLists.txt", &tok, &err), CLM_E_MODEL);
    assert_non_null(strstr(err.text, "CMakeLists.txt"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_bytes),         cmocka_unit_test(test_wrong_use),
        cmocka_unit_test(test_unusable_paths),    cmocka_unit_test(test_baichuan),
        cmocka_unit_test(test_baichuan_plain),    cmocka_unit_test(test_baichuan_gguf),
        cmocka_unit_test(test_small_directories), cmocka_unit_test(test_small_gguf),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
