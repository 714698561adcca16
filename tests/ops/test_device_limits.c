/* tests/ops/test_device_limits.c: the device is measured, and the figures are possible ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "host/clock.h"
#include "tests/ops/op_harness.h"
#include "tuning/device_limits.h"

static void measure(clm_device *dev, void *user)
{
    clm_device_limits limits;
    clm_err err = {""};
    const double start = clm_clock_seconds();
    clm_status st = clm_device_limits_measure(dev, &limits, &err);

    (void)user;
    if (st != CLM_OK) print_error("%s\n", err.text);
    assert_int_equal(st, CLM_OK);
    print_message("%s: read %.1f GB/s, fp32 %.1f GFLOP/s, int8 %.1f GOP/s, launch %.1f us, "
                  "round trip %.1f us; measured in %.2f s\n",
                  clm_device_caps(dev)->name, limits.read_gbps, limits.fp32_gflops,
                  limits.int8_gops, limits.launch_us, limits.roundtrip_us,
                  clm_clock_seconds() - start);
    /* From a share of a virtual core to several of the largest GPUs. */
    assert_true(limits.read_gbps > 0.05 && limits.read_gbps < 1e5);
    assert_true(limits.fp32_gflops > 0.1 && limits.fp32_gflops < 1e7);
    assert_true(limits.int8_gops > 0.1 && limits.int8_gops < 1e8);
    assert_true(clm_device_caps(dev)->amx ? limits.bf16_gflops > limits.fp32_gflops
                                          : limits.bf16_gflops == 0.0);
    assert_true(limits.launch_us > 0.01 && limits.launch_us < 1e5);
    assert_true(limits.roundtrip_us > 0.1 && limits.roundtrip_us < 1e6);
}

static void test_measure(void **state)
{
    (void)state;
    clm_op_test_devices(measure, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_measure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
