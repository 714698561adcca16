/* tests/tuning/test_search.c: spaces, strategies and expressions, without a device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tuning/expr.h"
#include "tuning/search.h"

/* ---- An operator made for it: the best point cannot be reached one axis at a time. ------------- */

static const int k_family[] = {0, 1}, k_split[] = {1, 2, 4, 8}, k_tile[] = {1, 2, 4, 8, 16};
static const clm_axis k_axes[] = {
    {"FAMILY", k_family, 2}, {"SPLIT", k_split, 4}, {"TILE", k_tile, 5}};

static bool valid(const int *p, const clm_shape *shape, const clm_caps *caps)
{
    (void)shape, (void)caps;
    return p[0] == 0 ? p[1] == 1 : p[2] == 1 && p[1] > 1;
}

static void defaults(const clm_shape *shape, const clm_caps *caps, int *p)
{
    (void)shape, (void)caps;
    p[0] = 0;
    p[1] = p[2] = 1;
}

static const clm_op_desc k_op = {
    .name = "made", .axes = k_axes, .n_axes = 3, .valid = valid, .defaults = defaults};
static const clm_shape k_shape;
static const clm_caps k_caps;

typedef struct bench {
    size_t n, stop_after; /* 0: never */
} bench;

static double cost(const int *p)
{
    return p[0] == 0 ? 10.0 - p[2] / 8.0 : p[1] == 4 ? 5.0 : 9.0;
}

static bool eval(void *user, clm_candidate *c)
{
    bench *b = user;

    assert_true(valid(c->params, NULL, NULL));
    if (b->stop_after > 0 && b->n == b->stop_after) return false;
    b->n++;
    c->ms = cost(c->params);
    c->reason = c->params[0] == 0 && c->params[2] == 16 ? CLM_TUNE_WRONG : CLM_TUNE_OK;
    return true;
}

static void run(clm_tune_strategy strategy, uint64_t seed, size_t stop_after, clm_search *s,
                bench *b)
{
    clm_err err;

    *b = (bench){0, stop_after};
    *s = (clm_search){.space = {&k_op, &k_shape, &k_caps},
                      .strategy = strategy,
                      .rng = seed,
                      .eval = eval,
                      .user = b};
    assert_int_equal(clm_search_run(s, &err), CLM_OK);
}

static void the_best_is_found(void **state)
{
    (void)state;
    for (int strategy = 0; strategy < CLM_TUNE_STRATEGIES; strategy++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            clm_search s;
            bench b;
            const clm_candidate *best;

            run((clm_tune_strategy)strategy, seed, 0, &s, &b);
            best = clm_search_best(&s);
            assert_non_null(best);
            assert_true(best->ms == 5.0);             /* 8.0 is the wrong one, which must not win */
            assert_int_equal(b.n, 5 + 3);             /* all legal points, none twice */
            assert_int_equal(s.seen[0].params[0], 0); /* the default first */
            assert_int_equal(s.seen[0].params[2], 1);
            clm_search_clear(&s);
        }
}

static void the_caller_ends_it(void **state)
{
    (void)state;
    for (size_t n = 1; n < 8; n++) {
        clm_search s;
        bench b;

        run(CLM_TUNE_DESCENT, 3, n, &s, &b);
        assert_int_equal(s.n_seen, n);
        clm_search_clear(&s);
    }
}

static void equal_seeds_equal_ways(void **state)
{
    clm_search a, c;
    bench b;

    (void)state;
    run(CLM_TUNE_RANDOM, 11, 0, &a, &b);
    run(CLM_TUNE_RANDOM, 11, 0, &c, &b);
    assert_int_equal(a.n_seen, c.n_seen);
    for (size_t i = 0; i < a.n_seen; i++)
        assert_memory_equal(a.seen[i].params, c.seen[i].params, sizeof a.seen[i].params);
    clm_search_clear(&a);
    clm_search_clear(&c);
}

/* Hints come after the default; those that are not legal are left out. */
static void hints_are_tried_early(void **state)
{
    const int hints[][CLM_MAX_AXES] = {{1, 4, 1}, {1, 4, 2}, {0, 1, 1}, {0, 1, 8}};
    clm_search s = {
        .space = {&k_op, &k_shape, &k_caps}, .rng = 1, .hints = hints, .n_hints = 4, .eval = eval};
    bench b = {.stop_after = 3};
    clm_err err;

    (void)state;
    s.user = &b;
    assert_int_equal(clm_search_run(&s, &err), CLM_OK);
    assert_int_equal(s.n_seen, 3);
    assert_int_equal(s.seen[0].params[0], 0);
    assert_memory_equal(s.seen[1].params, hints[0], 3 * sizeof(int));
    assert_memory_equal(s.seen[2].params, hints[3], 3 * sizeof(int));
    clm_search_clear(&s);
}

/* A step that the constraints forbid takes one more axis along. */
static void neighbours_are_repaired(void **state)
{
    const clm_space space = {&k_op, &k_shape, &k_caps};
    const int at[CLM_MAX_AXES] = {0, 1, 4};
    clm_point_set near;
    clm_err err;

    (void)state;
    assert_int_equal(clm_space_neighbours(&space, at, 2, &near, &err), CLM_OK);
    assert_int_equal(near.n, 4);
    clm_point_set_clear(&near);
    assert_int_equal(clm_space_all(&space, 1000, &near, &err), CLM_OK);
    assert_int_equal(near.n, 8);
    clm_point_set_clear(&near);
    assert_int_equal(clm_space_all(&space, 10, &near, &err), CLM_OK);
    assert_int_equal(near.n, 0);
}

/* ---- Expressions ------------------------------------------------------------------------------- */

static void expressions(void **state)
{
    static const clm_expr_name names[] = {{"N", 100}, {"WG", 16}, {"Z", 0}, {"BIG", INT64_MAX}};
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        {"1", 1},
        {"N", 100},
        {" N / WG * WG ", 96},
        {"N % WG == 4", 1},
        {"2 + 3 * 4", 14},
        {"(2 + 3) * 4", 20},
        {"-N + 1", -99},
        {"!N", 0},
        {"!(N < WG) && N != WG", 1},
        {"min(N, WG) + max(N, WG)", 116},
        {"ceil_div(N, WG)", 7},
        {"ceil_div(96, WG)", 6},
        {"10 - 3 - 2", 5},
        {"1 || 1 / Z", 1},
        {"0 && 1 / Z", 0},
        {"Z == 0 || N % Z == 0", 1},
        {"1 <= 1 && 2 >= 3", 0},
        {"1 < 2 == 1", 1},
        {"ceil_div(0 - 7, 0 - 2) * 10 + ceil_div(0 - 7, 2)", 37},
        {"ceil_div(7, 0 - 1)", -7},
        {"1 || ceil_div(0 - BIG - 1, 0 - 1)", 1},
        {"0 && ceil_div(1, Z)", 0},
    };
    static const char *const bad[] = {"",
                                      "1 +",
                                      "N N",
                                      "M",
                                      "1 / Z",
                                      "1 % Z",
                                      "(1",
                                      "min(1)",
                                      "pow(2, 3)",
                                      "ceil_div(0 - BIG - 1, 0 - 1)",
                                      "ceil_div(1, Z)",
                                      "BIG + 1",
                                      "BIG * 2",
                                      "1 = 1",
                                      "99999999999999999999",
                                      "N; 1",
                                      "N[0]"};
    char deep[2100];
    int64_t v;
    clm_err err;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (clm_expr_eval(good[i].text, names, 4, &v, &err) != CLM_OK) fail_msg("%s", err.text);
        if (v != good[i].value) fail_msg("%s is %lld", good[i].text, (long long)v);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (clm_expr_eval(bad[i], names, 4, &v, &err) != CLM_E_CONFIG)
            fail_msg("'%s' was taken, as %lld", bad[i], (long long)v);
    memset(deep, '(', sizeof deep);
    deep[900] = '\0';
    assert_int_equal(clm_expr_eval(deep, names, 4, &v, &err), CLM_E_CONFIG);
    deep[900] = '(';
    deep[sizeof deep - 1] = '\0';
    assert_int_equal(clm_expr_eval(deep, names, 4, &v, &err), CLM_E_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_is_found),       cmocka_unit_test(the_caller_ends_it),
        cmocka_unit_test(equal_seeds_equal_ways),  cmocka_unit_test(hints_are_tried_early),
        cmocka_unit_test(neighbours_are_repaired), cmocka_unit_test(expressions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
