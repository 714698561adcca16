/* tests/ops/test_xgemm.c: CLBlast's product against its reference. Every set of parameters costs
 * seconds of compiling, so only a few are tried here; the tuner checks each one that it times. Not named
 * test_op_*: Oclgrind looks at our kernels, not at CLBlast's. */
#include <string.h>

#include "host/gemm.h"
#include "runtime/ops/op_xgemm.h"
#include "tests/ops/op_harness.h"

static void axis_set(int *params, const char *name, int value)
{
    for (size_t i = 0; i < clm_op_xgemm.n_axes; i++)
        if (strcmp(clm_op_xgemm.axes[i].name, name) == 0) params[i] = value;
}

static void check_all(clm_device *dev, const int *params)
{
    for (size_t i = 0; i < clm_op_xgemm.n_test_shapes; i++) {
        clm_case c = {.shape = clm_op_xgemm.test_shapes[i]};
        clm_err err;
        double worst;

        assert_true(clm_op_xgemm.valid(params, &c.shape, clm_device_caps(dev)));
        assert_int_equal(clm_op_xgemm.fill(&c, CLM_TEST_SEED, &err), CLM_OK);
        clm_op_xgemm.reference(&c);
        if (clm_op_check(&clm_op_xgemm, dev, &c, params, &worst, &err) != CLM_OK)
            fail_msg("shape %zu: %s", i, err.text);
        clm_case_clear(&c);
    }
}

static void on_device(clm_device *dev, void *user)
{
    int params[CLM_MAX_AXES] = {0};
    clm_caps cpu = *clm_device_caps(dev), gpu = cpu;

    (void)user;
    gpu.type = CLM_DEVICE_GPU;
    cpu.type = CLM_DEVICE_CPU;
    clm_op_xgemm.defaults(&clm_op_xgemm.test_shapes[0], &gpu, params);
    check_all(dev, params);
    clm_op_xgemm.defaults(&clm_op_xgemm.test_shapes[0], &cpu, params);
    check_all(dev, params);
    axis_set(params, "VWM", 4);
    check_all(dev, params);
}

static void results(void **state)
{
    (void)state;
    clm_op_test_devices(on_device, NULL);
}

static void rules(void **state)
{
    const clm_caps caps = {.type = CLM_DEVICE_CPU,
                           .max_group_size = 256,
                           .max_item_sizes = {256, 256, 256},
                           .local_mem = 32768};
    const struct {
        const char *name;
        int value;
    } bad[] = {{"MDIMC", 16}, {"KREG", 2}, {"KWI", 64}, {"VWN", 32}, {"GEMMK", -1}, {"GEMMK", 1}};
    int params[CLM_MAX_AXES];

    (void)state;
    clm_op_xgemm.defaults(&clm_op_xgemm.test_shapes[0], &caps, params);
    assert_true(clm_op_xgemm.valid(params, &clm_op_xgemm.test_shapes[0], &caps));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int changed[CLM_MAX_AXES];

        memcpy(changed, params, sizeof changed);
        axis_set(changed, bad[i].name, bad[i].value);
        assert_false(clm_op_xgemm.valid(changed, &clm_op_xgemm.test_shapes[0], &caps));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules), cmocka_unit_test(results)};

    if (!clm_gemm_available()) {
        print_message("SKIPPED: built without CLBlast\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
