/* tests/ops/test_mma.c: the product that finds out which matrix units a device has: plain, each is right on every
 * device, and by its instructions the one that the device says that it has. */
#include "host/mma_probe.h"
#include "tests/ops/op_harness.h"

static void check_device(clm_device *dev, void *user)
{
    const clm_mma has = clm_device_caps(dev)->mma;

    (void)user;
    for (int i = CLM_MMA_NONE + 1; i < CLM_MMA_COUNT; i++)
        assert_true(clm__mma_runs(dev, (clm_mma)i, true));
    if (has != CLM_MMA_NONE) assert_true(clm__mma_runs(dev, has, false));
}

static void product_is_right(void **state)
{
    (void)state;
    clm_op_test_devices(check_device, NULL);
}

/* A power of two from `least` to `most`. */
static bool is_power(int n, int least, int most)
{
    return n >= least && n <= most && (n & (n - 1)) == 0;
}

static void names_and_sizes(void **state)
{
    (void)state;
    for (int i = CLM_MMA_NONE + 1; i < CLM_MMA_COUNT; i++) {
        assert_string_not_equal(clm_mma_name((clm_mma)i), "none");
        assert_true(is_power(clm_mma_lanes((clm_mma)i), 8, 64));
        assert_true(is_power(clm_mma_rows((clm_mma)i), 8, 16));
        assert_true(is_power(clm_mma_columns((clm_mma)i), 8, 16));
    }
    assert_string_equal(clm_mma_name(CLM_MMA_NONE), "none");
    assert_string_equal(clm_mma_name(CLM_MMA_COUNT), "none");
    assert_int_equal(clm_mma_lanes(CLM_MMA_COUNT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(product_is_right),
        cmocka_unit_test(names_and_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
