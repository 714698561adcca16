/* tests/ops/test_op_time.c: every operator can be timed, on every device, with what the table says. */
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
        double seconds = -1.0;
        clm_err err = {""};

        ops[i]->defaults(shape, clm_device_caps(dev), params);
        if (clm_op_time(ops[i], dev, shape, params, 0.01, &seconds, &err) != CLM_OK)
            fail_msg("%s: %s", ops[i]->name, err.text);
        if (!(seconds > 1e-8 && seconds < 10.0)) fail_msg("%s: %g s", ops[i]->name, seconds);
    }
}

static void test_all(void **state)
{
    (void)state;
    clm_op_test_devices(time_all, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
