/* tests/host/test_yaml.c: the tree, its refusals, numbers, and quoting that reads back.
 */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "host/yaml.h"

static clm_status parse(const char *text, size_t size, clm_yaml **doc, clm_err *err)
{
    char *copy = malloc(size + 1); /* so that a read past the end is seen by ASan */
    clm_status st;

    err->text[0] = 0;
    memcpy(copy, text, size);
    copy = realloc(copy, size > 0 ? size : 1);
    st = clm_yaml_parse("t.yaml", copy, size, doc, err);
    free(copy);
    return st;
}

/* Expects a refusal whose text is exactly `sentence`, or begins with it when that ends in '*'. */
static void refuse_bytes(const char *text, size_t size, const char *sentence)
{
    clm_yaml *doc = NULL;
    clm_err err;
    clm_status st = parse(text, size, &doc, &err);
    size_t n = strlen(sentence);

    if (st != CLM_E_CONFIG) print_error("accepted: %s\n", text);
    assert_int_equal(st, CLM_E_CONFIG);
    assert_null(doc);
    if (n > 0 && sentence[n - 1] == '*') {
        if (strncmp(err.text, sentence, n - 1) != 0) print_error("%s\n", err.text);
        assert_int_equal(strncmp(err.text, sentence, n - 1), 0);
    } else {
        assert_string_equal(err.text, sentence);
    }
}

static void refuse(const char *text, const char *sentence)
{
    refuse_bytes(text, strlen(text), sentence);
}

static clm_yaml *accept(const char *text)
{
    clm_yaml *doc = NULL;
    clm_err err;
    clm_status st = parse(text, strlen(text), &doc, &err);

    if (st != CLM_OK) print_error("%s\n", err.text);
    assert_int_equal(st, CLM_OK);
    assert_non_null(doc);
    return doc;
}

static void test_tree(void **state)
{
    clm_yaml *doc =
        accept("\xef\xbb\xbf# comment\r\na: 1\r\nb:\r\n  - x y\r\n  - {c: \"d\\n\\u4eba\"}\r\n");
    const clm_yaml_node *root = clm_yaml_root(doc), *b = clm_yaml_find(root, "b"), *item;
    size_t size;

    (void)state;
    assert_int_equal(clm_yaml_kind_of(root), CLM_YAML_MAP);
    assert_int_equal(clm_yaml_count(root), 2);
    assert_string_equal(clm_yaml_text(clm_yaml_first(root), NULL), "1");
    assert_string_equal(clm_yaml_text(clm_yaml_key(clm_yaml_first(root)), NULL), "a");
    assert_int_equal(clm_yaml_line(clm_yaml_first(root)), 2);
    assert_int_equal(clm_yaml_column(clm_yaml_first(root)), 4);
    assert_int_equal(clm_yaml_kind_of(b), CLM_YAML_LIST);
    assert_int_equal(clm_yaml_count(b), 2);
    item = clm_yaml_first(b);
    assert_string_equal(clm_yaml_text(item, &size), "x y");
    assert_int_equal(size, 3);
    item = clm_yaml_next(item);
    assert_int_equal(clm_yaml_line(item), 5);
    assert_string_equal(clm_yaml_text(clm_yaml_find(item, "c"), &size), "d\n\xe4\xba\xba");
    assert_int_equal(size, 5);
    assert_null(clm_yaml_next(item));
    assert_null(clm_yaml_find(root, "c"));
    assert_null(clm_yaml_find(NULL, "c"));
    assert_null(clm_yaml_text(b, NULL));
    clm_yaml_destroy(doc);
    clm_yaml_destroy(NULL);

    doc = accept("# nothing\n");
    assert_null(clm_yaml_root(doc));
    clm_yaml_destroy(doc);
    doc = accept("");
    assert_null(clm_yaml_root(doc));
    clm_yaml_destroy(doc);
}

static void test_aliases(void **state)
{
    clm_yaml *doc = accept("a: &x \"5\"\nb: *x\nc: &x 6\nd: *x\n*x : 7\n");
    const clm_yaml_node *root = clm_yaml_root(doc);
    uint64_t v;

    (void)state;
    assert_string_equal(clm_yaml_text(clm_yaml_find(root, "b"), NULL), "5");
    assert_int_equal(clm_yaml_line(clm_yaml_find(root, "b")), 2);
    assert_int_equal(clm_yaml_get_u64(clm_yaml_find(root, "b"), 0, 9, &v, NULL), CLM_E_CONFIG);
    assert_int_equal(clm_yaml_get_u64(clm_yaml_find(root, "d"), 0, 9, &v, NULL), CLM_OK);
    assert_int_equal(v, 6);
    assert_string_equal(clm_yaml_text(clm_yaml_find(root, "6"), NULL), "7");
    clm_yaml_destroy(doc);
    refuse("a: *x\n", "t.yaml:1:4: the alias '*x' refers to no anchor");
    refuse(
        "a: &x [1]\nb: *x\n",
        "t.yaml:2:4: the alias '*x' refers to a list; only aliases of single values are supported");
    refuse("a: &x [*x]\n", "t.yaml:1:8: the alias '*x' refers to a list*");
}

static void test_refusals(void **state)
{
    (void)state;
    refuse("a: 1\na: 2\n", "t.yaml:2:1: the key 'a' is already set in line 1");
    refuse("a: {b: 1, \"b\": 2}\n", "t.yaml:1:11: the key 'b' is already set in line 1");
    refuse("[a]: 1\n", "t.yaml:1:1: a list cannot be a key");
    refuse("? {a: b}\n: 1\n", "t.yaml:1:3: a mapping cannot be a key");
    refuse("\"\": 1\n", "t.yaml:1:1: an empty key");
    refuse("? \n: 1\n", "t.yaml:*");
    refuse("~: 1\n", "t.yaml:1:1: null cannot be a key");
    refuse("null: 1\n", "t.yaml:1:1: null cannot be a key");
    refuse("<<: {a: 1}\n", "t.yaml:1:1: merge keys (<<) are not supported");
    refuse("a: !!str b\n", "t.yaml:1:4: tags such as 'tag:yaml.org,2002:str' are not supported");
    refuse("a: ! b\n", "t.yaml:1:4: tags such as '!' are not supported");
    refuse("a: !x [b]\n", "t.yaml:1:4: tags such as '!x' are not supported");
    refuse("--- !!map {a: b}\n", "t.yaml:1:5: tags*");
    refuse("a: 1\n---\nb: 1\n", "t.yaml:2:1: a second document begins here; a file holds one");
    refuse("a: 1\n...\nb: 1\n", "t.yaml:*");
    refuse("a: 1\nb:\n\tc: 1\n", "t.yaml:3:1: indented with a tab; YAML wants spaces");
    refuse("a: [1\n", "t.yaml:2:1: not valid YAML: while parsing a flow sequence*");
    refuse("a: \"x\\0y\"\n", "t.yaml:1:4: the text contains a NUL character");
    refuse("a: \xd6\xd0\n", "t.yaml:1:4: the file contains a byte that is not UTF-8");
    refuse("\xe4\xba\xba: \xc0\x80\n", "t.yaml:1:4: the file contains a byte that is not UTF-8");
    refuse("a: \xed\xa0\x80\n", "t.yaml:1:4: the file contains a byte that is not UTF-8");
    refuse("a: \xf4\x90\x80\x80\n", "t.yaml:1:4: the file contains a byte that is not UTF-8");
    refuse("a: \xe4\xba", "t.yaml:1:4: the file contains a byte that is not UTF-8");
    refuse("a: b\nc: \x07\n", "t.yaml:2:4: the file contains a control character");
    refuse("a: \xc2\x9b\n", "t.yaml:1:4: the file contains a control character");
    refuse("a: \xef\xbf\xbf\n", "t.yaml:1:4: the file contains a character that Unicode reserves");
    refuse_bytes("a: \0b\n", 6, "t.yaml:1:4: the file contains a NUL byte");
    refuse_bytes("\xff\xfe"
                 "a\0",
                 4, "t.yaml:1:1: the file is UTF-16; save it as UTF-8");
}

static void test_limits(void **state)
{
    char deep[2 * CLM_YAML_MAX_DEPTH + 8];
    size_t big = 1u << 20;
    char *text = malloc(big + 1);
    size_t n = 0;

    (void)state;
    memset(deep, '[', CLM_YAML_MAX_DEPTH);
    memset(deep + CLM_YAML_MAX_DEPTH, ']', CLM_YAML_MAX_DEPTH);
    deep[2 * CLM_YAML_MAX_DEPTH] = 0;
    clm_yaml_destroy(accept(deep));
    memset(deep, '[', CLM_YAML_MAX_DEPTH + 1);
    memset(deep + CLM_YAML_MAX_DEPTH + 1, ']', CLM_YAML_MAX_DEPTH + 1);
    deep[2 * CLM_YAML_MAX_DEPTH + 2] = 0;
    refuse(deep, "t.yaml:1:33: nested more than 32 levels deep");
    memset(text, '[', big);
    refuse_bytes(text, big, "t.yaml:1:33: nested more than 32 levels deep");

    text[n++] = '[';
    while (n < 2 * (size_t)CLM_YAML_MAX_NODES) {
        text[n++] = 'x';
        text[n++] = ',';
    }
    text[n++] = ']';
    refuse_bytes(text, n, "t.yaml:1:400000: the file has too many entries");
    n = 0;
    for (int i = 0; i < 50000; i++) n += (size_t)sprintf(text + n, "k%d: 0\n", i);
    n += (size_t)sprintf(text + n, "k7: 0\nk6: 0\n");
    refuse_bytes(text, n, "t.yaml:50001:1: the key 'k7' is already set in line 8");
    n = 0;
    for (int i = 0; i <= CLM_YAML_MAX_ANCHORS; i++) n += (size_t)sprintf(text + n, "- &a%d 0\n", i);
    refuse_bytes(text, n, "t.yaml:65:3: more than 64 anchors");
    free(text);
}

static const clm_yaml_node *value_of(clm_yaml *doc)
{
    return clm_yaml_find(clm_yaml_root(doc), "a");
}

static void real(const char *text, bool good, double expected)
{
    const clm_yaml_range all = {-1e308, 1e308, false};
    char line[128];
    clm_yaml *doc, *wrapped = NULL;
    double v = -1, w = -1;

    snprintf(line, sizeof line, "a: %s\n", text);
    doc = accept(line);
    if ((clm_yaml_get_f64(value_of(doc), all, &v, NULL) == CLM_OK) != good)
        print_error("number: %s\n", text);
    assert_int_equal(clm_yaml_get_f64(value_of(doc), all, &v, NULL), good ? CLM_OK : CLM_E_CONFIG);
    assert_true(v == (good ? expected : 0));
    assert_int_equal(clm_yaml_wrap("--x", text, &wrapped, NULL), CLM_OK);
    if (text[0] != '"') {
        assert_int_equal(clm_yaml_get_f64(clm_yaml_root(wrapped), all, &w, NULL),
                         good ? CLM_OK : CLM_E_CONFIG);
        assert_true(w == v);
    }
    clm_yaml_destroy(wrapped);
    clm_yaml_destroy(doc);
}

static void test_reals(void **state)
{
    static const char *const bad[] = {".nan", ".inf", "-.inf", "nan", "inf", "1e999", "0x10", "1_0",
                                      "1,5",  "0.3x", "1e",    "+1",  "01",  "-x",    ".",    "1.",
                                      "1e+",  "one",  "\"1\"", "--1", "1 2", "1e5e5"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        real(bad[i], false, 0);
    }
    real("0", true, 0);
    real("0.35", true, 0.35);
    real(".5", true, 0.5);
    real("-2.5e-3", true, -0.0025);
    real("1E3", true, 1000);
    real("1e-999", true, 0);
}

static void test_real_range(void **state)
{
    const clm_yaml_range range = {0, 1, true};
    clm_yaml *doc = accept("{a: 0}");
    clm_err err;
    double v;

    (void)state;
    assert_int_equal(clm_yaml_get_f64(value_of(doc), range, &v, &err), CLM_E_CONFIG);
    assert_string_equal(err.text, "t.yaml:1:5: a: 0 is out of range (above 0 to 1)");
    assert_int_equal(clm_yaml_get_f64(value_of(doc), (clm_yaml_range){0, 1, false}, &v, &err),
                     CLM_OK);
    clm_yaml_destroy(doc);
    doc = accept("{a: 1.0000000001}");
    assert_int_equal(clm_yaml_get_f64(value_of(doc), range, &v, &err), CLM_E_CONFIG);
    clm_yaml_destroy(doc);
    doc = accept("{a: 1.0}");
    assert_int_equal(clm_yaml_get_f64(value_of(doc), range, &v, &err), CLM_OK);
    clm_yaml_destroy(doc);
}

static void whole(const char *text, bool good, uint64_t expected)
{
    char line[128];
    clm_yaml *doc;
    uint64_t v = 77;
    clm_status st;

    snprintf(line, sizeof line, "a: %s\n", text);
    doc = accept(line);
    st = clm_yaml_get_u64(value_of(doc), 0, UINT64_MAX, &v, NULL);
    if ((st == CLM_OK) != good) print_error("number: %s\n", text);
    assert_int_equal(st, good ? CLM_OK : CLM_E_CONFIG);
    assert_true(v == (good ? expected : 0));
    clm_yaml_destroy(doc);
}

static void test_wholes(void **state)
{
    static const char *const bad[] = {"-1",
                                      "1.0",
                                      "1e3",
                                      "0x10",
                                      "0o17",
                                      "0200",
                                      "1,280",
                                      "1_0",
                                      "5x",
                                      "+5",
                                      "\"5\"",
                                      "~",
                                      "",
                                      "[5]",
                                      "18446744073709551616",
                                      "99999999999999999999999"};
    clm_yaml *doc;
    clm_err err;
    uint64_t v;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) whole(bad[i], false, 0);
    whole("0", true, 0);
    whole("-0", true, 0);
    whole("18446744073709551615", true, UINT64_MAX);
    doc = accept("a: 70000\n");
    assert_int_equal(clm_yaml_get_u64(value_of(doc), 1, 65535, &v, &err), CLM_E_CONFIG);
    assert_string_equal(err.text, "t.yaml:1:4: a: 70000 is out of range (1 to 65535)");
    assert_int_equal(clm_yaml_get_u64(value_of(doc), 70000, 70000, &v, &err), CLM_OK);
    clm_yaml_destroy(doc);
}

static void test_bools_and_null(void **state)
{
    clm_yaml *doc = accept("[true, false, yes, \"true\", ~, null, \"\", '~', TRUE]");
    static const char expected[] = "tfeeeeeee";
    static const bool null[] = {0, 0, 0, 0, 1, 1, 0, 0, 0};
    size_t i = 0;

    (void)state;
    for (const clm_yaml_node *n = clm_yaml_first(clm_yaml_root(doc)); n != NULL;
         n = clm_yaml_next(n), i++) {
        bool v = true;
        clm_status st = clm_yaml_get_bool(n, &v, NULL);
        assert_int_equal(st == CLM_OK ? (v ? 't' : 'f') : 'e', expected[i]);
        assert_int_equal(clm_yaml_is_null(n), null[i]);
    }
    assert_int_equal(i, 9);
    clm_yaml_destroy(doc);
}

static void test_messages(void **state)
{
    char text[6000], path[1000], part[CLM_YAML_EXCERPT];
    clm_yaml *doc = NULL;
    clm_err err;

    (void)state;
    for (size_t i = 0; i < 2700; i += 3) memcpy(text + i, "\xe4\xba\xba", 3);
    memcpy(text + 2700, ": 1\n", 4);
    memcpy(text + 2704, text, 2700);
    memcpy(text + 5404, ": 2\n", 5);
    memset(path, 'p', sizeof path);
    memcpy(path + sizeof path - 10, "/end.yaml", 10);
    assert_int_equal(clm_yaml_parse(path, text, strlen(text), &doc, &err), CLM_E_CONFIG);
    assert_non_null(strstr(err.text, "/end.yaml:2:1: the key '"));
    assert_non_null(strstr(err.text, "\xe4\xba\xba...' is already set in line 1"));
    assert_true(strlen(err.text) < 400);

    assert_string_equal(clm_yaml_excerpt(part, "short"), "short");
    text[2700] = 0;
    clm_yaml_excerpt(part, text);
    assert_true(strlen(part) < CLM_YAML_EXCERPT);
    assert_string_equal(part + strlen(part) - 6, "\xe4\xba\xba...");
    assert_int_equal((strlen(part) - 3) % 3, 0); /* no character cut */

    assert_int_equal(clm_yaml_wrap("--x", "\xff", &doc, &err), CLM_E_CONFIG);
    assert_null(doc);
    assert_string_equal(err.text, "--x: the text is not UTF-8");
    assert_int_equal(clm_yaml_wrap("--x", "a: [%s%n", &doc, &err), CLM_OK);
    assert_string_equal(clm_yaml_text(clm_yaml_root(doc), NULL), "a: [%s%n");
    assert_int_equal(clm_yaml_get_bool(clm_yaml_root(doc), &(bool){0}, &err), CLM_E_CONFIG);
    assert_string_equal(err.text, "--x: 'a: [%s%n' is neither true nor false");
    clm_yaml_destroy(doc);
    assert_int_equal(clm_yaml_load("/no/such/file.yaml", 100, &doc, &err), CLM_E_IO);
    assert_null(doc);
}

/* What is written reads back, alone and inside flow lists and mappings. */
static void test_quote(void **state)
{
    static const char *const texts[] = {"",
                                        "no",
                                        "Null",
                                        "~",
                                        "1",
                                        "0x1f",
                                        "1e3",
                                        "-1",
                                        "- a",
                                        "a: b",
                                        "a #b",
                                        "#a",
                                        " a",
                                        "a ",
                                        "a\nb",
                                        "\r\n",
                                        "\ttab",
                                        "\"",
                                        "\\",
                                        "'",
                                        "a\\nb",
                                        "[x]",
                                        "{x}",
                                        "a,b",
                                        "*a",
                                        "&a",
                                        "!a",
                                        "%a",
                                        "@a",
                                        "`a",
                                        "? a",
                                        "| a",
                                        ">",
                                        "<<",
                                        "=",
                                        "true",
                                        "OFF",
                                        "y",
                                        ".inf",
                                        "...",
                                        "---",
                                        "./x",
                                        "../x",
                                        "/abs/path",
                                        "int4",
                                        "f16",
                                        "NVIDIA GeForce",
                                        "127.0.0.1",
                                        "\x01\x1b\x7f",
                                        "\xc2\x85\xc2\x9b",
                                        "\xe2\x80\xa8\xe2\x80\xa9\xef\xbb\xbf",
                                        "\xef\xbf\xbf",
                                        "\xe4\xba\xba: \xf0\x9f\x98\x80",
                                        "a\n\n  b\n",
                                        "%s%n",
                                        "\nHuman:"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char *quoted = NULL, line[256];
        clm_yaml *doc;

        assert_int_equal(clm_yaml_quote(texts[i], &quoted, NULL), CLM_OK);
        assert_null(strchr(quoted, '\n'));
        snprintf(line, sizeof line, "a: %s # doc\nb: [%s, {a: %s}]\n", quoted, quoted, quoted);
        doc = accept(line);
        assert_string_equal(clm_yaml_text(value_of(doc), NULL), texts[i]);
        assert_false(clm_yaml_is_null(value_of(doc)));
        assert_string_equal(
            clm_yaml_text(clm_yaml_first(clm_yaml_find(clm_yaml_root(doc), "b")), NULL), texts[i]);
        clm_yaml_destroy(doc);
        free(quoted);
    }
}

static void test_quote_style(void **state)
{
    char *quoted = NULL;
    clm_err err;

    (void)state;
    assert_int_equal(clm_yaml_quote("int4", &quoted, NULL), CLM_OK);
    assert_string_equal(quoted, "int4");
    free(quoted);
    assert_int_equal(clm_yaml_quote("no", &quoted, NULL), CLM_OK);
    assert_string_equal(quoted, "\"no\"");
    free(quoted);
    assert_int_equal(clm_yaml_quote("a\xff", &quoted, &err), CLM_E_CONFIG);
    assert_null(quoted);
}

static void test_format(void **state)
{
    static const double values[] = {0,    1,    0.1,           0.35,   1.1, 1.0 / 3,
                                    1e-7, 1e22, 123456789.125, 5e-324, -2.5};
    const clm_yaml_range all = {-1e308, 1e308, false};
    /* a locale with a comma must change nothing; absent ones leave "C" */
    const char *comma = setlocale(LC_ALL, "de_DE.UTF-8");

    (void)state;
    (void)comma;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[32];
        clm_yaml *doc = NULL;
        double v;

        clm_yaml_format_f64(text, values[i]);
        assert_int_equal(clm_yaml_wrap("x", text, &doc, NULL), CLM_OK);
        assert_int_equal(clm_yaml_get_f64(clm_yaml_root(doc), all, &v, NULL), CLM_OK);
        assert_true(v == values[i]);
        clm_yaml_destroy(doc);
    }
    {
        char text[32];
        clm_yaml_format_f64(text, 1.1);
        assert_string_equal(text, "1.1");
    }
    setlocale(LC_ALL, "C");
}

/* Every prefix, and every byte replaced by a few others: any answer, but no crash. */
static void test_mutations(void **state)
{
    static const char sound[] =
        "a: &x \"b\\u4eba\\n\" # c\nd: [1, {e: *x}, 'f''g']\nh:\n  - |\n    i\n  - k\n"
        "? l\n: >-\n  m\n";
    static const char others[] = {0,   '\t', ':', '[',        '}',  '"',
                                  '*', '&',  '!', (char)0xff, '\n', '-'};
    char text[sizeof sound];
    clm_err err;

    (void)state;
    clm_yaml_destroy(accept(sound));
    for (size_t i = 0; i < sizeof sound; i++) {
        clm_yaml *doc = NULL;
        clm_status st = parse(sound, i, &doc, &err);
        assert_true(st == CLM_OK || (st == CLM_E_CONFIG && err.text[0] != 0));
        clm_yaml_destroy(doc);
        for (size_t k = 0; k < sizeof others && i < sizeof sound - 1; k++) {
            memcpy(text, sound, sizeof sound);
            text[i] = others[k];
            st = parse(text, sizeof sound - 1, &doc, &err);
            assert_true(st == CLM_OK || (st == CLM_E_CONFIG && err.text[0] != 0));
            clm_yaml_destroy(doc);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_refusals),    cmocka_unit_test(test_limits),
        cmocka_unit_test(test_reals),       cmocka_unit_test(test_real_range),
        cmocka_unit_test(test_wholes),      cmocka_unit_test(test_bools_and_null),
        cmocka_unit_test(test_messages),    cmocka_unit_test(test_quote),
        cmocka_unit_test(test_quote_style), cmocka_unit_test(test_format),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
