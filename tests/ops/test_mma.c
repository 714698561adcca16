/* tests/ops/test_mma.c: the product that finds out whether a device has tensor cores: plain, it is right on every
 * device, and in PTX where the device says that it has them. */
#include "host/mma_probe.h"
#include "tests/ops/op_harness.h"

static void check_device(clm_device *dev, void *user)
{
    (void)user;
    assert_true(clm__mma_runs(dev, 0));
    if (clm_device_caps(dev)->mma) assert_true(clm__mma_runs(dev, 1));
}

static void product_is_right(void **state)
{
    (void)state;
    clm_op_test_devices(check_device, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(product_is_right)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
