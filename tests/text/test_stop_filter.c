/* tests/text/test_stop_filter.c: stop strings in text that arrives in pieces, against a search in
 * the whole text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "runtime/text/stop_filter.h"

typedef struct run {
    char shown[512]; /* everything handed out, the flush included */
    size_t used;
    bool found;
} run;

static void take(run *r, const char *text, size_t size)
{
    assert_true(r->used + size < sizeof r->shown);
    memcpy(r->shown + r->used, text, size);
    r->used += size;
    r->shown[r->used] = '\0';
}

static clm_stop_filter *make(const char *const *stops, size_t n)
{
    clm_stop_filter *f = NULL;

    assert_int_equal(clm_stop_filter_create(stops, n, &f, NULL), CLM_OK);
    assert_non_null(f);
    return f;
}

/* Feeds a copy of exactly `n` bytes, so that a read past the end is seen by ASan. */
static void feed(clm_stop_filter *f, run *r, const char *text, size_t n)
{
    char *copy = malloc(n > 0 ? n : 1);
    const char *out = NULL;
    size_t size = 99;

    assert_non_null(copy);
    memcpy(copy, text, n);
    assert_int_equal(clm_stop_filter_feed(f, copy, n, &out, &size, &r->found, NULL), CLM_OK);
    free(copy);
    take(r, out, size);
}

static void flush(clm_stop_filter *f, run *r)
{
    const char *out = NULL;
    size_t size = 99;

    clm_stop_filter_flush(f, &out, &size);
    take(r, out, size);
}

/* Where the first of the stops begins in `text`; its length when there is none. */
static size_t first_stop(const char *text, const char *const *stops, size_t n, bool *found)
{
    size_t best = strlen(text);

    *found = false;
    for (size_t i = 0; i < n; i++) {
        const char *at = stops[i][0] != '\0' ? strstr(text, stops[i]) : NULL;
        if (at == NULL) continue;
        *found = true;
        if ((size_t)(at - text) < best) best = (size_t)(at - text);
    }
    return best;
}

/* The text in every division into three pieces, and byte by byte. */
static void expect(const char *text, const char *const *stops, size_t n)
{
    size_t length = strlen(text), end;
    bool found;

    end = first_stop(text, stops, n, &found);
    for (size_t a = 0; a <= length; a++)
        for (size_t b = a; b <= length; b++) {
            clm_stop_filter *f = make(stops, n);
            run r = {.used = 0};
            size_t cuts[3] = {a, b, length};
            for (size_t i = 0, at = 0; i < 3 && !r.found; at = cuts[i++])
                feed(f, &r, text + at, cuts[i] - at);
            assert_int_equal(r.found, found);
            flush(f, &r);
            assert_int_equal(r.used, end);
            assert_memory_equal(r.shown, text, end);
            clm_stop_filter_destroy(f);
        }
    clm_stop_filter *f = make(stops, n);
    run r = {.used = 0};
    for (size_t i = 0; i < length && !r.found; i++) feed(f, &r, text + i, 1);
    assert_int_equal(r.found, found);
    flush(f, &r);
    assert_int_equal(r.used, end);
    assert_memory_equal(r.shown, text, end);
    clm_stop_filter_destroy(f);
}

static void test_every_division(void **state)
{
    static const char *const user[] = {"<|user|>"};

    (void)state;
    expect("Hello<|user|>more", user, 1);
    expect("<|user|>", user, 1);
    expect("<|user|", user, 1);
    expect("no stop at all", user, 1);
    expect("<<|us<|user|>", user, 1);
    expect("\xe7\x99\xbe<|user|>", user, 1);
    expect("", user, 1);
}

static void test_overlap(void **state)
{
    static const char *const aab[] = {"aab"}, *const aba[] = {"abab"}, *const a[] = {"aaa"};

    (void)state;
    expect("aaab", aab, 1);
    expect("aaaaaabx", aab, 1);
    expect("aabaab", aab, 1);
    expect("aba", aba, 1);
    expect("abaabab", aba, 1);
    expect("xaaaa", a, 1);
    expect("aabaa", a, 1);
}

static void test_several(void **state)
{
    static const char *const stops[] = {"END", "", "\n\n", "STOP"};
    static const char *const empty[] = {"", ""};

    (void)state;
    expect("a\nb\n\nc", stops, 4);
    expect("STOEND", stops, 4);
    expect("ENSTOP END", stops, 4);
    expect("STOP", stops, 4);
    expect("EN\nST", stops, 4);
    expect("END\n\nSTOP", stops, 4);
    expect("nothing ends this", empty, 2);
    expect("nor this", NULL, 0);
}

/* Shown as soon as it cannot be part of a stop string, and not before. */
static void test_held_back(void **state)
{
    static const char *const stops[] = {"<end>"};
    clm_stop_filter *f = make(stops, 1);
    run r = {.used = 0};

    (void)state;
    feed(f, &r, "abc", 3);
    assert_string_equal(r.shown, "abc");
    feed(f, &r, "d<e", 3);
    assert_string_equal(r.shown, "abcd");
    feed(f, &r, "", 0);
    assert_string_equal(r.shown, "abcd");
    feed(f, &r, "nd", 2);
    assert_string_equal(r.shown, "abcd");
    feed(f, &r, "!<", 2);
    assert_string_equal(r.shown, "abcd<end!");
    assert_false(r.found);
    flush(f, &r);
    assert_string_equal(r.shown, "abcd<end!<");
    flush(f, &r); /* nothing twice */
    assert_string_equal(r.shown, "abcd<end!<");
    clm_stop_filter_destroy(f);

    f = make(stops, 1);
    r = (run){.used = 0};
    flush(f, &r); /* before any text */
    assert_int_equal(r.used, 0);
    clm_stop_filter_destroy(f);
    clm_stop_filter_destroy(NULL);
}

/* The filter keeps its own copy of the stop strings. */
static void test_copied(void **state)
{
    char stop[] = "xyz";
    const char *stops[1] = {stop};
    clm_stop_filter *f = make(stops, 1);
    run r = {.used = 0};

    (void)state;
    memset(stop, 'q', 3);
    feed(f, &r, "qqq xyz", 7);
    assert_true(r.found);
    assert_string_equal(r.shown, "qqq ");
    clm_stop_filter_destroy(f);
}

static void test_long_text(void **state)
{
    static const char *const stops[] = {"\xe5\xae\x8c"};
    clm_stop_filter *f = make(stops, 1);
    size_t n = 5000, shown = 0, size;
    char *text = malloc(n);
    const char *out;
    bool found;

    (void)state;
    assert_non_null(text);
    memset(text, 'x', n);
    text[n - 1] = '\xe5';
    for (int i = 0; i < 3; i++) {
        assert_int_equal(clm_stop_filter_feed(f, text, n, &out, &size, &found, NULL), CLM_OK);
        assert_false(found);
        assert_int_equal(size, i == 0 ? n - 1 : n);
        shown += size;
    }
    assert_int_equal(clm_stop_filter_feed(f, "\xae\x8c", 2, &out, &size, &found, NULL), CLM_OK);
    assert_true(found);
    assert_int_equal(shown + size, 3 * n - 1);
    free(text);
    clm_stop_filter_destroy(f);
}

/* At the end of a text the beginning of one stop string must not hide another that is whole. */
static void test_whole_within_a_beginning(void **state)
{
    static const char *const stops[] = {"abcd", "bc"};

    (void)state;
    expect("xabc", stops, 2);
    expect("xab", stops, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_division),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_held_back),
        cmocka_unit_test(test_copied),
        cmocka_unit_test(test_long_text),
        cmocka_unit_test(test_whole_within_a_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
