/* test_cors.c: lists of origins: what is on them, what is refused as no origin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "tools/serve/cors.h"

static clm_cors *create(const char *origins)
{
    clm_cors *c;
    clm_err err = {""};

    if (clm_cors_create(origins, &c, &err) != CLM_OK) fail_msg("%s", err.text);
    return c;
}

static void test_listed(void **state)
{
    clm_cors *c = create(" https://chat.example.org,http://localhost:3000/\thttp://[::1]:5\n");

    (void)state;
    assert_false(clm_cors_takes_all(c));
    assert_true(clm_cors_allows(c, "https://chat.example.org"));
    assert_true(clm_cors_allows(c, "HTTPS://Chat.Example.org"));
    assert_true(clm_cors_allows(c, "http://localhost:3000"));
    assert_true(clm_cors_allows(c, "http://[::1]:5"));
    assert_false(clm_cors_allows(c, "http://localhost:3000/"));
    assert_false(clm_cors_allows(c, "http://chat.example.org"));
    assert_false(clm_cors_allows(c, "https://chat.example.org.evil.example"));
    assert_false(clm_cors_allows(c, "https://chat.example"));
    assert_false(clm_cors_allows(c, "null"));
    assert_false(clm_cors_allows(c, ""));
    assert_false(clm_cors_allows(c, NULL));
    clm_cors_destroy(c);
}

static void test_none_and_all(void **state)
{
    clm_cors *none = create(""), *all = create("http://a.example, *");

    (void)state;
    assert_false(clm_cors_takes_all(none));
    assert_false(clm_cors_allows(none, "http://a.example"));
    assert_false(clm_cors_allows(none, ""));
    assert_true(clm_cors_takes_all(all));
    assert_true(clm_cors_allows(all, "http://b.example"));
    assert_true(clm_cors_allows(all, "null"));
    assert_false(clm_cors_allows(all, NULL));
    clm_cors_destroy(none);
    clm_cors_destroy(all);
}

static void test_no_origins(void **state)
{
    static const char *const wrong[] = {"chat.example.org",
                                        "null",
                                        "https://",
                                        "https:///",
                                        "https://a.example/x",
                                        "https://*.example",
                                        "://a.example",
                                        "ht tp://a.example",
                                        "https://u@a.example",
                                        "https://a.example?x"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        clm_cors *c = (clm_cors *)&c;
        clm_err err = {""};

        assert_int_equal(clm_cors_create(wrong[i], &c, &err), CLM_E_CONFIG);
        assert_null(c);
        assert_non_null(strstr(err.text, "is no origin: write scheme://host[:port]"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listed),
        cmocka_unit_test(test_none_and_all),
        cmocka_unit_test(test_no_origins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
