/* tests/serve/test_length.c: what fits the context is never refused, what is twice as long always is, whatever the
 * vocabulary and wherever the parts are cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tools/serve/length.h"

enum { BYTES = 100000 };

static clm_tokenizer *load(const char *path)
{
    clm_tokenizer *tok;
    clm_err err = {""};

    if (clm_tokenizer_load(path, &tok, &err) != CLM_OK) fail_msg("%s", err.text);
    return tok;
}

/* BYTES of a text that repeats `unit`. */
static char *repeat(const char *unit)
{
    const size_t n = strlen(unit);
    char *text = malloc(BYTES + 1);

    for (size_t i = 0; i < BYTES; i++) text[i] = unit[i % n];
    text[BYTES - BYTES % n] = '\0';
    return text;
}

static clm_status check_prompt(const clm_tokenizer *tok, char *text, size_t ctx)
{
    const clm_request r = {
        .kind = CLM_REQUEST_COMPLETION, .prompt = text, .prompt_size = strlen(text)};
    clm_err err;

    return clm_length_check(&r, tok, ctx, &err);
}

static void check_unit(const clm_tokenizer *tok, const char *unit)
{
    char *text = repeat(unit);
    int *ids;
    size_t n;

    assert_int_equal(clm_tokenizer_encode(tok, text, strlen(text), &ids, &n, NULL), CLM_OK);
    assert_int_equal(check_prompt(tok, text, n + 1), CLM_OK);
    if (n > 1000) assert_int_equal(check_prompt(tok, text, n / 2), CLM_E_LIMIT);
    free(ids);
    free(text);
}

static void test_units(void **state)
{
    static const char *const units[] = {"a",
                                        " ",
                                        "\n",
                                        "the ",
                                        "Edible, adj. Good to eat, and wholesome to digest. ",
                                        "\xe5\xb1\xb1",
                                        "\xe5\xb1\xb1\xe6\xb0\xb4 x",
                                        "\xf0\x9f\x98\x80",
                                        "ab\xf0\x9f\x98\x80",
                                        "a\xf0\x9f\x98\x80",
                                        "\x01",
                                        "1234567"};
    static const char *const vocabularies[] = {"/text/small.model", "/text/bpe_small.gguf"};

    (void)state;
    for (size_t v = 0; v < sizeof vocabularies / sizeof *vocabularies; v++) {
        char path[512];
        clm_tokenizer *tok;

        snprintf(path, sizeof path, "%s%s", CLM_TEST_DATA, vocabularies[v]);
        tok = load(path);
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) check_unit(tok, units[i]);
        clm_tokenizer_destroy(tok);
    }
}

/* The messages count together; short texts are the engine's. */
static void test_messages(void **state)
{
    clm_tokenizer *tok = load(CLM_TEST_DATA "/text/small.model");
    char *text = repeat("the ");
    clm_message messages[2] = {{CLM_ROLE_SYSTEM, text, BYTES / 2},
                               {CLM_ROLE_USER, text, BYTES / 2}};
    clm_request r = {.kind = CLM_REQUEST_CHAT, .messages = messages, .n_messages = 2};
    int *ids;
    size_t n;
    clm_err err = {""};

    (void)state;
    assert_int_equal(clm_tokenizer_encode(tok, text, BYTES / 2, &ids, &n, NULL), CLM_OK);
    assert_int_equal(clm_length_check(&r, tok, n + n / 2, &err), CLM_E_LIMIT);
    assert_non_null(strstr(err.text, "more tokens than the context of"));
    r.n_messages = 1;
    assert_int_equal(clm_length_check(&r, tok, n + n / 2, &err), CLM_OK);
    messages[0].size = CLM_LENGTH_SHORT;
    assert_int_equal(clm_length_check(&r, tok, 10, &err), CLM_OK);
    free(ids);
    free(text);
    clm_tokenizer_destroy(tok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_units),
                                       cmocka_unit_test(test_messages)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
