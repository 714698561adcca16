/* tests/ops/test_op_time.c: every operator can be timed, on every device, with what the table says. */
#include "runtime/ops/op_add.h"
#include "runtime/ops/ops.h"
#include "tests/ops/op_harness.h"
#include "tuning/op_time.h"

static void time_all(clm_device *dev, void *user)
{
    size_t n;
    const clm_op_desc *const *ops = clm_ops(&n);

    (void)user;
    for (size_t i = 0; i < n; i++) {
        const clm_shape *shape = &ops[i]->test_shapes[0];
        int params[CLM_MAX_AXES];
        clm_op_timing timing;
        clm_err err = {""};

        ops[i]->defaults(shape, clm_device_caps(dev), params);
        if (clm_op_time(ops[i], dev, shape, params, 0.01, &timing, &err) != CLM_OK)
            fail_msg("%s: %s", ops[i]->name, err.text);
        if (!(timing.seconds > 1e-8 && timing.seconds < 10.0))
            fail_msg("%s: %g s", ops[i]->name, timing.seconds);
    }
}

static void test_all(void **state)
{
    (void)state;
    clm_op_test_devices(time_all, NULL);
}

/* A table of two million floats is read from memory, with the copies that follow; five numbers are not. */
static void caches(clm_device *dev, void *user)
{
    const clm_op_desc *op = &clm_op_add;
    const clm_caps *caps = clm_device_caps(dev);
    const int counts[] = {5, 2 << 20};

    (void)user;
    /* A device of little memory gets few copies. */
    if ((double)caps->global_mem < 8.0 * 3.0 * ((double)caps->global_cache + 100e6)) return;
    for (size_t i = 0; i < 2; i++) {
        clm_case c = {.shape = {.v = {counts[i]}}};
        clm_op_data *data;
        clm_err err = {""};

        assert_int_equal(op->fill(&c, 1, &err), CLM_OK);
        if (clm_op_data_create(op, dev, &c, &data, &err) != CLM_OK) fail_msg("%s", err.text);
        assert_int_equal(clm_op_data_cached(data), i == 0);
        clm_op_data_destroy(data);
        clm_case_clear(&c);
    }
}

static void test_caches(void **state)
{
    (void)state;
    clm_op_test_devices(caches, NULL);
}

static void count_turn(void *user, size_t runner)
{
    size_t *turns = user;

    assert_true(runner < 2);
    turns[runner]++;
}

/* One configuration against itself: neither is faster, whatever else the machine does. */
static void race_twins(clm_device *dev, void *user)
{
    const clm_op_desc *op = &clm_op_add;
    const clm_op_race race = {.seconds = 0.2, .turn = count_turn, .user = user};
    clm_case c = {.shape = op->test_shapes[0]}; /* not slow even under Oclgrind */
    int params[CLM_MAX_AXES];
    clm_op_runner twins[2] = {{.params = params}, {.params = params}};
    clm_program *prog;
    clm_op_data *data;
    clm_op_times times[2];
    clm_err err = {""};

    op->defaults(&c.shape, clm_device_caps(dev), params);
    assert_int_equal(op->fill(&c, 1, &err), CLM_OK);
    if (clm_op_build(op, dev, &c.shape, params, &prog, &twins[0].kernel, &err) != CLM_OK ||
        clm_op_data_create(op, dev, &c, &data, &err) != CLM_OK)
        fail_msg("%s", err.text);
    twins[1].kernel = twins[0].kernel;
    assert_int_equal(clm_op_data_run(data, &twins[0], &err), CLM_OK);
    assert_int_equal(clm_op_data_race(data, twins, 2, &race, times, &err), CLM_OK);
    assert_true(times[0].ratio == 1.0 && times[0].low == 1.0 && times[0].high == 1.0);
    if (!(times[1].ratio > 0.5 && times[1].ratio < 2.0)) fail_msg("ratio %g", times[1].ratio);
    assert_true(times[1].low <= times[1].ratio && times[1].ratio <= times[1].high);
    assert_true(times[0].min_s > 0.0 && times[0].min_s <= times[0].median_s);
    clm_op_data_destroy(data);
    clm_kernel_destroy(twins[0].kernel);
    clm_program_destroy(prog);
    clm_case_clear(&c);
}

static void test_race(void **state)
{
    size_t turns[2] = {0, 0};

    (void)state;
    clm_op_test_devices(race_twins, turns);
    assert_int_equal(turns[0], turns[1]); /* as many rounds for both */
    assert_true(turns[0] > 5);
}

static void test_statistics(void **state)
{
    const double first[] = {2.0, 4.0, 2.0, 4.0, 2.0}, other[] = {3.0, 5.0, 1.0, 4.0, 4.0};
    clm_op_times t;

    (void)state;
    clm_op_times_of(other, first, 5, &t); /* ratios 1.5 1.25 0.5 1 2 */
    assert_true(t.min_s == 1.0 && t.median_s == 4.0);
    assert_true(t.ratio == 1.25 && t.low == 1.0 && t.high == 1.5);
    clm_op_times_of(other, first, 2, &t);
    assert_true(t.median_s == 4.0 && t.ratio == 1.375 && t.low == 1.25 && t.high == 1.5);
    clm_op_times_of(other, first, 1, &t);
    assert_true(t.ratio == 1.5 && t.low == 1.5 && t.high == 1.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all), cmocka_unit_test(test_caches),
                                       cmocka_unit_test(test_race),
                                       cmocka_unit_test(test_statistics)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
