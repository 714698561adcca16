/* test_parallel.c: pieces of work on all processors: each once, failures handed on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "host/cpu.h"
#include "host/parallel.h"

enum { N = 1000 };

typedef struct counters {
    atomic_int calls[N];
    atomic_int total;
    size_t fail_at;
} counters;

static clm_status count(void *user, size_t index, clm_err *err)
{
    counters *c = user;

    atomic_fetch_add(&c->calls[index], 1);
    atomic_fetch_add(&c->total, 1);
    if (index == c->fail_at) return clm_fail(err, CLM_E_LIMIT, "piece %zu", index);
    return CLM_OK;
}

static void test_each_once(void **state)
{
    static counters c;

    (void)state;
    assert_true(clm_cpu_count() >= 1);
    c.fail_at = N;
    assert_int_equal(clm_parallel_for(0, count, &c, NULL), CLM_OK);
    assert_int_equal(c.total, 0);
    assert_int_equal(clm_parallel_for(1, count, &c, NULL), CLM_OK);
    assert_int_equal(c.total, 1);
    assert_int_equal(clm_parallel_for(N, count, &c, NULL), CLM_OK);
    assert_int_equal(c.calls[0], 2);
    for (size_t i = 1; i < N; i++) assert_int_equal(c.calls[i], 1);
}

static void test_failure(void **state)
{
    static counters c;
    clm_err err = {""};

    (void)state;
    c.fail_at = 3;
    assert_int_equal(clm_parallel_for(N, count, &c, &err), CLM_E_LIMIT);
    assert_string_equal(err.text, "piece 3");
    assert_true(c.total < N);
    for (size_t i = 0; i < 3; i++) assert_int_equal(c.calls[i], 1);
    c.fail_at = 0;
    assert_int_equal(clm_parallel_for(1, count, &c, NULL), CLM_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_once),
        cmocka_unit_test(test_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
