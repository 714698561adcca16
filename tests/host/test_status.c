/* tests/host/test_status.c: exit codes, and that no text of an error can harm a terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "host/status.h"
#include "host/utf8.h"

/* Written out once more: a slip in the list of status.h changes what scripts rely on. */
static void test_exit_codes(void **state)
{
    static const struct {
        clm_status st;
        int code;
    } expected[] = {{CLM_OK, 0},         {CLM_E_NOMEM, 1},        {CLM_E_IO, 1},
                    {CLM_E_CL, 1},       {CLM_E_BUILD, 1},        {CLM_E_LIMIT, 1},
                    {CLM_E_INTERNAL, 1}, {CLM_E_USAGE, 2},        {CLM_E_CONFIG, 2},
                    {CLM_E_MODEL, 3},    {CLM_E_NODEVICE, 4},     {CLM_E_DEVMEM, 5},
                    {CLM_E_SELFTEST, 6}, {CLM_E_INTERRUPTED, 130}};
    size_t n = sizeof expected / sizeof expected[0];

    (void)state;
    assert_int_equal(n, CLM_E_INTERRUPTED + 1); /* a new status needs a line above */
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(clm_status_exit_code(expected[i].st), expected[i].code);
        assert_true(strlen(clm_status_text(expected[i].st)) > 3);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(clm_status_text(expected[i].st),
                                    clm_status_text(expected[j].st));
    }
    assert_int_equal(clm_status_exit_code((clm_status)99), 1);
    assert_non_null(clm_status_text((clm_status)99));
}

static void test_format(void **state)
{
    clm_err err;

    (void)state;
    assert_int_equal(clm_fail(&err, CLM_E_IO, "%s: line %d", "a.txt", 7), CLM_E_IO);
    assert_string_equal(err.text, "a.txt: line 7");
    assert_int_equal(clm_fail(NULL, CLM_E_MODEL, "%s", "nobody listens"), CLM_E_MODEL);
    /* What stands in an argument is no format. */
    clm_fail(&err, CLM_E_IO, "%s", "%n%s%d");
    assert_string_equal(err.text, "%n%s%d");
}

static void test_sanitised(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "plain"},
        {"a\nb\tc\rd", "a?b?c?d"},
        {"\x1b[31mred\x1b[0m", "?[31mred?[0m"},
        {"\x01\x1f\x7f~", "???~"},
        {"\xc2\x9b"
         "31m",
         "?31m"}, /* U+009B is a control sequence introducer, too */
        {"\xc2\x80\xc2\x9f\xc2\xa0.", "??\xc2\xa0."},
        {"\xe7\x99\xbe\xe5\xb7\x9d", "\xe7\x99\xbe\xe5\xb7\x9d"},
        {"\xf0\x9f\x98\x80\xc3\xbc", "\xf0\x9f\x98\x80\xc3\xbc"},
        {"\x80z", "?z"},
        {"\xffz\xfe", "?z?"},
        {"\xc3", "?"},
        {"\xc3z", "?z"},
        {"\xe7\x99", "??"},
        {"\xe7\x99z", "??z"},
        {"\xf0\x9f\x98", "???"},
        {"\xc0\xaf", "??"},           /* overlong */
        {"\xe0\x80\xaf", "???"},      /* overlong */
        {"\xf0\x80\x80\xaf", "????"}, /* overlong */
        {"\xed\xa0\x80", "???"},      /* surrogate */
        {"\xf4\x90\x80\x80", "????"}, /* beyond U+10FFFF */
        {"\xf5\x80\x80\x80", "????"},
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
    };
    clm_err err;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clm_fail(&err, CLM_E_IO, "%s", cases[i].in);
        assert_string_equal(err.text, cases[i].out);
        clm_fail(&err, CLM_E_IO, "<%s>", cases[i].in);
        assert_int_equal(err.text[0], '<');
        assert_memory_equal(err.text + 1, cases[i].out, strlen(cases[i].out));
        assert_string_equal(err.text + 1 + strlen(cases[i].out), ">");
    }
}

static void test_truncated(void **state)
{
    char text[2 * sizeof(clm_err)];
    size_t room = sizeof(clm_err) - 1;
    clm_err err;

    (void)state;
    memset(text, 'x', sizeof text);
    text[room] = '\0'; /* just fits */
    clm_fail(&err, CLM_E_IO, "%s", text);
    assert_string_equal(err.text, text);
    text[room] = 'x';
    text[room + 1] = '\0'; /* one byte too many */
    clm_fail(&err, CLM_E_IO, "%s", text);
    assert_int_equal(strlen(err.text), room);
    assert_memory_equal(err.text, text, room - 3);
    assert_string_equal(err.text + room - 3, "...");
}

/* The cut never leaves a part of a character, wherever the characters begin. */
static void test_truncated_characters(void **state)
{
    char text[2 * sizeof(clm_err)];
    clm_err err;

    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        size_t used = shift, length;
        memset(text, 'x', shift);
        while (used + 4 < sizeof text) {
            memcpy(text + used, "\xf0\x9f\x98\x80", 4);
            used += 4;
        }
        text[used] = '\0';
        clm_fail(&err, CLM_E_IO, "%s", text);
        length = strlen(err.text);
        assert_true(length >= sizeof err.text - 4 && length < sizeof err.text);
        assert_string_equal(err.text + length - 3, "...");
        assert_memory_equal(err.text, text, length - 3);
        assert_int_equal((length - 3 - shift) % 4, 0);
        assert_null(strchr(err.text, '?'));
    }
    /* Nothing but continuation bytes: no loop past the beginning. */
    memset(text, 0x80, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    clm_fail(&err, CLM_E_IO, "%s", text);
    assert_true(strlen(err.text) >= 3);
    assert_string_equal(err.text + strlen(err.text) - 3, "...");
}

static void test_context(void **state)
{
    char text[sizeof(clm_err) + 1];
    clm_err err;

    (void)state;
    clm_fail(&err, CLM_E_IO, "no such file");
    assert_int_equal(clm_fail_context(&err, CLM_E_CONFIG, "%s key %d", "a.yaml", 3), CLM_E_CONFIG);
    assert_string_equal(err.text, "a.yaml key 3: no such file");
    clm_fail_context(&err, CLM_E_CONFIG, "b\x1b\xff");
    assert_string_equal(err.text, "b??: a.yaml key 3: no such file");
    assert_int_equal(clm_fail_context(NULL, CLM_E_CL, "x"), CLM_E_CL);

    clm_fail(&err, CLM_E_IO, "100%%s");
    clm_fail_context(&err, CLM_E_IO, "%s", "%d");
    assert_string_equal(err.text, "%d: 100%s");

    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    clm_fail(&err, CLM_E_IO, "%s", text);
    clm_fail_context(&err, CLM_E_IO, "prefix");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "prefix: yyy", 11);
    assert_string_equal(err.text + sizeof err.text - 5, "y...");
}

static void test_clean(void **state)
{
    static const char text[] = "ab\xe7\x99\xbe\xc3\xbc";
    static const struct {
        size_t room;
        const char *out;
    } cuts[] = {
        {1, ""},  {2, "a"}, {3, "ab"}, {5, "ab"}, {6, "ab\xe7\x99\xbe"}, {7, "ab\xe7\x99\xbe"},
        {8, text}};
    char out[32] = "\x1b[31m\xff\xc2\x9b.";

    (void)state;
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        char cut[9] = "........";

        clm_utf8_clean(cut, cuts[i].room, text, sizeof text);
        assert_string_equal(cut, cuts[i].out);
    }
    clm_utf8_clean(out, sizeof out, out, sizeof out); /* in place */
    assert_string_equal(out, "?[31m??.");
    clm_utf8_clean(out, sizeof out, text, 4); /* size ends within a character */
    assert_string_equal(out, "ab??");
    clm_utf8_clean(out, sizeof out, "a\0b", 3);
    assert_string_equal(out, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_codes),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_sanitised),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_truncated_characters),
        cmocka_unit_test(test_context),
        cmocka_unit_test(test_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
