/* tests/ops/test_dot.c: the dot product that a device is found to have is one that it has.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif
#include "tests/ops/op_harness.h"

/* Opens `dev`'s device again with only the way `name` allowed; what it is found to have. */
static clm_dot only(const clm_device *dev, const char *name)
{
    clm_device_info *list = NULL;
    clm_device *again = NULL;
    size_t count = 0;
    clm_dot dot = CLM_DOT_COUNT;
    clm_err err = {{0}};

    assert_int_equal(setenv("CLM_DOT", name, 1), 0);
    if (clm_device_list(&list, &count, &err) != CLM_OK) fail_msg("%s", err.text);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].caps.name, clm_device_caps(dev)->name) != 0) continue;
        if (clm_device_open(&list[i], NULL, &again, &err) != CLM_OK) fail_msg("%s", err.text);
        dot = clm_device_caps(again)->dot;
        clm_device_close(again);
        break;
    }
    free(list);
    return dot;
}

/* Whether a processor's way has to work: with PoCL, which takes assembly, on one that has the instructions. */
static bool expects_instructions(const clm_device *dev)
{
    const bool pocl = strstr(clm_device_caps(dev)->platform_name, "Portable") != NULL;

#if defined(__x86_64__)
    return pocl && __builtin_cpu_supports("avx2");
#elif defined(__aarch64__)
    return pocl && (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
    return false && pocl;
#endif
}

/* A way is taken when it is the only one and works; what the device lacks is refused without harm. */
static void check_device(clm_device *dev, void *user)
{
    const char *before = getenv("CLM_DOT");
    char *saved = before != NULL ? strdup(before) : NULL;
    const clm_dot best = clm_device_caps(dev)->dot;

    (void)user;
    fprintf(stderr, "%s: %s\n", clm_device_caps(dev)->name, clm_dot_name(best));
    assert_true((int)best >= CLM_DOT_PLAIN && best < CLM_DOT_COUNT);
    assert_true(clm_dot_of_cpu(best) || !expects_instructions(dev));
    assert_int_equal(only(dev, clm_dot_name(best)), best);
    assert_int_equal(only(dev, "plain"), CLM_DOT_PLAIN);
    for (int dot = CLM_DOT_KHR; dot < CLM_DOT_COUNT; dot++) {
        const clm_dot got = only(dev, clm_dot_name((clm_dot)dot));

        assert_true(got == (clm_dot)dot || got == CLM_DOT_PLAIN);
    }
    if (!clm_device_caps(dev)->integer_dot_product)
        assert_int_equal(only(dev, "khr"), CLM_DOT_PLAIN);
    if (saved != NULL)
        setenv("CLM_DOT", saved, 1);
    else
        unsetenv("CLM_DOT");
    free(saved);
}

static void every_way_is_tried(void **state)
{
    (void)state;
    clm_op_test_devices(check_device, NULL);
}

static void names_are_known(void **state)
{
    (void)state;
    assert_string_equal(clm_dot_name(CLM_DOT_VNNI), "vnni");
    assert_string_equal(clm_dot_name(CLM_DOT_SDOT), "sdot");
    assert_string_equal(clm_dot_name(CLM_DOT_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_known),
        cmocka_unit_test(every_way_is_tried),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
