/* test_env.c: switches of the environment: what they mean, and which values are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "host/env.h"

static void test_switch(void **state)
{
    (void)state;
    unsetenv("CLM_AMX");
    assert_true(clm_env_switch("CLM_AMX", true));
    assert_false(clm_env_switch("CLM_AMX", false));
    setenv("CLM_AMX", "", 1);
    assert_true(clm_env_switch("CLM_AMX", true));
    assert_false(clm_env_switch("CLM_AMX", false));
    setenv("CLM_AMX", "0", 1);
    assert_false(clm_env_switch("CLM_AMX", true));
    setenv("CLM_AMX", "1", 1);
    assert_true(clm_env_switch("CLM_AMX", false));
    unsetenv("CLM_AMX");
}

static void test_check(void **state)
{
    static const char *const switches[] = {"CLM_KERNEL_CACHE", "CLM_AMX", "CLM_MMA", "CLM_DEBUG"};
    static const char *const good[] = {"0", "1", ""}, *const bad[] = {"yes", "2", "00", "off",
                                                                      " 1"};
    clm_err err;

    (void)state;
    assert_int_equal(clm_env_check(&err), CLM_OK);
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        for (size_t j = 0; j < sizeof good / sizeof *good; j++) {
            setenv(switches[i], good[j], 1);
            assert_int_equal(clm_env_check(&err), CLM_OK);
        }
        for (size_t j = 0; j < sizeof bad / sizeof *bad; j++) {
            setenv(switches[i], bad[j], 1);
            assert_int_equal(clm_env_check(&err), CLM_E_CONFIG);
        }
        unsetenv(switches[i]);
    }
    setenv("CLM_AMX", "yes", 1);
    assert_int_equal(clm_env_check(&err), CLM_E_CONFIG);
    assert_string_equal(err.text, "CLM_AMX: 'yes' is neither 0 nor 1");
    unsetenv("CLM_AMX");
}

static void test_dot(void **state)
{
    clm_err err;

    (void)state;
    setenv("CLM_DOT", "sdot", 1);
    assert_int_equal(clm_env_check(&err), CLM_OK);
    setenv("CLM_DOT", "", 1);
    assert_int_equal(clm_env_check(&err), CLM_OK);
    setenv("CLM_DOT", "best", 1);
    assert_int_equal(clm_env_check(&err), CLM_E_CONFIG);
    assert_string_equal(err.text,
                        "CLM_DOT: 'best' is none of plain, khr, amd, ptx, vnni, avx2, sdot");
    unsetenv("CLM_DOT");
}

/* What the tests were started with stays out of them. */
static int clear(void **state)
{
    (void)state;
    unsetenv("CLM_KERNEL_CACHE");
    unsetenv("CLM_AMX");
    unsetenv("CLM_MMA");
    unsetenv("CLM_DEBUG");
    unsetenv("CLM_DOT");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_switch), cmocka_unit_test(test_check),
                                       cmocka_unit_test(test_dot)};

    return cmocka_run_group_tests(tests, clear, NULL);
}
