/* tests/ops/test_mma.c: the product that finds out whether a device has tensor cores: plain, it is right on every
 * device, and in PTX where the device says that it has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "host/device.h"
#include "host/mma_probe.h"

static void runs_on_devices(void **state)
{
    clm_device_info *list = NULL;
    size_t count = 0, used = 0;
    clm_err err = {""};

    (void)state;
    if (clm_device_list(&list, &count, &err) != CLM_OK) fail_msg("%s", err.text);
    for (size_t i = 0; i < count; i++) {
        clm_device *dev = NULL;

        if (clm_device_unusable(&list[i].caps) != NULL) continue;
        if (clm_device_open(&list[i], NULL, &dev, &err) != CLM_OK) fail_msg("%s", err.text);
        assert_true(clm__mma_runs(dev, 0));
        if (clm_device_caps(dev)->mma) assert_true(clm__mma_runs(dev, 1));
        clm_device_close(dev);
        used++;
    }
    free(list);
    assert_true(used > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs_on_devices)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
