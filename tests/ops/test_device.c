/* tests/ops/test_device.c: the list of devices, and which one a selector means.
 *
 * Selection is tested on made-up lists, so that it does not depend on what is installed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "host/device.h"

static clm_device_info made_up(size_t index, clm_device_type type, const char *name,
                               const char *platform, uint64_t gib)
{
    clm_device_info info = {.index = index};

    snprintf(info.caps.name, sizeof info.caps.name, "%s", name);
    snprintf(info.caps.platform_name, sizeof info.caps.platform_name, "%s", platform);
    info.caps.type = type;
    info.caps.available = info.caps.compiler = info.caps.little_endian = true;
    info.caps.cl_major = 3;
    info.caps.max_group_size = 256;
    info.caps.global_mem = gib << 30;
    return info;
}

#define POCL "Portable Computing Language"

enum { N = 4 };

static void make_list(clm_device_info list[N])
{
    list[0] = made_up(0, CLM_DEVICE_CPU, "Alpha 9000 CPU", "Portable", 512);
    list[1] = made_up(1, CLM_DEVICE_GPU, "Beta shared GPU", "Vendor One", 64);
    list[2] = made_up(2, CLM_DEVICE_GPU, "Gamma GPU", "Vendor Two", 8);
    list[3] = made_up(3, CLM_DEVICE_GPU, "Gamma Pro GPU", "Vendor Two", 16);
    list[1].caps.unified_memory = true;
}

static void expect(const clm_device_info *list, size_t count, const char *selector, size_t index)
{
    char reason[256] = "";
    clm_err err = {""};
    size_t got = 99;
    clm_status st = clm_device_select(list, count, selector, &got, reason, &err);

    if (st != CLM_OK) print_error("%s: %s\n", selector, err.text);
    assert_int_equal(st, CLM_OK);
    assert_int_equal(got, index);
    assert_true(strlen(reason) > 0);
    assert_int_equal(clm_device_select(list, count, selector, &got, NULL, NULL), CLM_OK);
    assert_int_equal(got, index);
}

static clm_err refuse(const clm_device_info *list, size_t count, const char *selector,
                      clm_status expected)
{
    char reason[256] = "";
    clm_err err = {""};
    size_t got = 99;

    assert_int_equal(clm_device_select(list, count, selector, &got, reason, &err), expected);
    assert_int_equal(got, 0);
    assert_true(strlen(err.text) > 0);
    return err;
}

static void test_automatic(void **state)
{
    clm_device_info list[N];

    (void)state;
    make_list(list);
    expect(list, N, "auto", 3); /* own memory, the most of it */
    list[3].caps.available = false;
    expect(list, N, "auto", 2);
    list[2].caps.compiler = false;
    expect(list, N, "auto", 1);
    list[1].caps.cl_major = 1;
    list[1].caps.cl_minor = 1;
    expect(list, N, "auto", 0);
    list[0].caps.little_endian = false;
    assert_non_null(strstr(refuse(list, N, "auto", CLM_E_NODEVICE).text, "Alpha 9000"));
    refuse(list, 0, "auto", CLM_E_NODEVICE);
}

/* The same processor through three drivers, of which the slower ones report more memory. */
static void test_processor(void **state)
{
    clm_device_info list[3];

    (void)state;
    list[0] = made_up(0, CLM_DEVICE_CPU, "llvmpipe", "rusticl", 512);
    list[1] = made_up(1, CLM_DEVICE_CPU, "Alpha 9000 CPU", "Vendor One", 256);
    list[2] = made_up(2, CLM_DEVICE_CPU, "cpu-Alpha 9000", POCL, 64);
    expect(list, 3, "auto", 2);
    expect(list, 2, "auto", 1);
    list[1].caps.compiler = list[2].caps.compiler = false;
    expect(list, 3, "auto", 0);
}

static void test_by_index(void **state)
{
    clm_device_info list[N];

    (void)state;
    make_list(list);
    for (size_t i = 0; i < N; i++) {
        char text[8];
        snprintf(text, sizeof text, "%zu", i);
        expect(list, N, text, i);
    }
    refuse(list, N, "4", CLM_E_CONFIG);
    refuse(list, N, "-1", CLM_E_CONFIG);
    refuse(list, N, "99999999999999999999999", CLM_E_CONFIG);
    refuse(list, N, "18446744073709551616", CLM_E_CONFIG); /* 2^64 is not 0 */
}

static void test_by_name(void **state)
{
    clm_device_info list[N];

    (void)state;
    make_list(list);
    expect(list, N, "Alpha", 0);
    expect(list, N, "alpha 9000", 0);
    expect(list, N, "vendor ONE", 1);
    expect(list, N, "pro", 3);
    list[3].caps.max_group_size = 1;
    assert_non_null(strstr(refuse(list, N, "pro", CLM_E_NODEVICE).text, "Gamma Pro"));
}

/* The indices that a model is spread over beside `first`, as text. */
static void expect_others(const clm_device_info *list, size_t n, size_t first, const char *want)
{
    size_t others[8], count = clm_device_others(list, n, first, others);
    char got[32] = "";

    for (size_t i = 0; i < count; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%zu ", others[i]);
    assert_string_equal(got, want);
}

/* No two of them may be the same hardware, which only devices of one platform are known not to be here: these
 * have no driver that says where they sit. */
static void test_others(void **state)
{
    clm_device_info list[N + 1];

    (void)state;
    make_list(list);
    list[N] = made_up(N, CLM_DEVICE_CPU, "Alpha once more", "Portable Two", 512);
    list[1].platform_index = 1;
    list[2].platform_index = list[3].platform_index = 2;
    list[N].platform_index = 3;
    expect_others(list, N + 1, 3, "2 0 ");
    expect_others(list, N + 1, 1, "0 ");
    expect_others(list, N + 1, 0, "2 3 "); /* one of the two platforms' GPUs */
    list[2].platform_index = list[3].platform_index = 1;
    expect_others(list, N + 1, 0, "1 2 3 ");
    list[2].caps.compiler = false;
    expect_others(list, N + 1, 3, "1 0 ");
    snprintf(list[N].caps.platform_name, sizeof list[N].caps.platform_name, "%s", POCL);
    expect_others(list, N + 1, 3, "1 4 ");
    expect_others(list, 1, 0, "");
}

static void test_unknown(void **state)
{
    clm_device_info list[N];
    clm_err err;

    (void)state;
    make_list(list);
    err = refuse(list, N, "delta\x1b[2J", CLM_E_CONFIG);
    assert_non_null(strstr(err.text, "delta"));
    assert_null(strchr(err.text, '\x1b'));
    for (size_t i = 0; i < N; i++) assert_non_null(strstr(err.text, list[i].caps.name));
    err = refuse(list, N, "%s%n", CLM_E_CONFIG);
    assert_non_null(strstr(err.text, "%s%n"));
}

static void test_ambiguous(void **state)
{
    clm_device_info list[N];
    clm_err err;

    (void)state;
    make_list(list);
    err = refuse(list, N, "gamma", CLM_E_CONFIG);
    assert_non_null(strstr(err.text, "2 devices"));
    assert_non_null(strstr(err.text, "Gamma Pro"));
    assert_non_null(strstr(refuse(list, N, "vendor", CLM_E_CONFIG).text, "3 devices"));
}

/* The best of a type, whatever is in the names. */
static void test_type(void **state)
{
    clm_device_info list[N];

    (void)state;
    make_list(list);
    expect(list, N, "GPU", 3);
    expect(list, N, "cpu", 0);
    list[3].caps.available = list[2].caps.available = false;
    expect(list, N, "gpu", 1);
    assert_non_null(strstr(refuse(list, 1, "gpu", CLM_E_CONFIG).text, "Alpha 9000"));
}

/* Names as long as a driver may give them, more devices than a sentence holds. */
static void test_long_names(void **state)
{
    enum { MANY = 40 };
    clm_device_info *list = calloc(MANY, sizeof *list);
    char name[128];

    (void)state;
    assert_non_null(list);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (size_t i = 0; i < MANY; i++) list[i] = made_up(i, CLM_DEVICE_CPU, name, name, 1);
    refuse(list, MANY, "nnn", CLM_E_CONFIG);
    refuse(list, MANY, "other", CLM_E_CONFIG);
    expect(list, MANY, "39", 39);
    expect(list, MANY, "auto", 0); /* the first of equals */
    free(list);
}

static void test_list(void **state)
{
    clm_device_info *list = NULL;
    clm_err err = {""};
    size_t count = 0, usable = 0;
    clm_status st = clm_device_list(&list, &count, &err);

    (void)state;
    if (st != CLM_OK) print_error("%s\n", err.text);
    assert_int_equal(st, CLM_OK);
    assert_non_null(list);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        const clm_caps *caps = &list[i].caps;
        clm_device *dev = NULL;
        char text[24];
        assert_int_equal(list[i].index, i);
        assert_true(strlen(caps->name) > 0 && strlen(caps->platform_name) > 0);
        assert_true(caps->compute_units > 0 && caps->global_mem > 0 && caps->max_alloc > 0);
        assert_true(caps->max_alloc <= caps->global_mem);
        if (clm_device_unusable(caps) != NULL) continue;
        usable++;
        snprintf(text, sizeof text, "%zu", i);
        expect(list, count, text, i);
        assert_int_equal(clm_device_open(&list[i], NULL, &dev, &err), CLM_OK);
        assert_string_equal(clm_device_caps(dev)->name, caps->name);
        assert_int_equal(clm_device_flush(dev, &err), CLM_OK);
        assert_int_equal(clm_device_finish(dev, &err), CLM_OK);
        clm_device_close(dev);
    }
    assert_true(usable > 0);
    clm_device_close(NULL);
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_automatic),  cmocka_unit_test(test_processor),
        cmocka_unit_test(test_by_index),   cmocka_unit_test(test_by_name),
        cmocka_unit_test(test_others),     cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_ambiguous),  cmocka_unit_test(test_type),
        cmocka_unit_test(test_long_names), cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
