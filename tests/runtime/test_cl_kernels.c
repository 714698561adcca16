/* test_cl_kernels.c: a kernel that the driver runs in small groups only gets other values, with a warning, and gives the
 * right results; but not where the driver says the same of all kernels. The limit, and the platform's name, are
 * this program's: it answers in place of the driver.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dlfcn.h>
#include <cmocka.h>

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "host/buffer.h"
#include "host/device.h"
#include "runtime/model/cl_kernels.h"
#include "runtime/ops/op_add.h"

enum { COUNT = 1000, NO_LIMIT = 1 << 20 };

static size_t group_limit = NO_LIMIT;
static const char *platform_name; /* NULL: the driver's */

/* Stands before the loader's function of this name. */
cl_int clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device,
                                cl_kernel_work_group_info what, size_t room, void *value,
                                size_t *size)
{
    typedef cl_int (*function)(cl_kernel, cl_device_id, cl_kernel_work_group_info, size_t, void *,
                               size_t *);
    function driver;
    cl_int rc;

    *(void **)&driver = dlsym(RTLD_NEXT, "clGetKernelWorkGroupInfo");
    assert_non_null(driver);
    rc = driver(kernel, device, what, room, value, size);
    if (rc == CL_SUCCESS && what == CL_KERNEL_WORK_GROUP_SIZE && *(size_t *)value > group_limit)
        *(size_t *)value = group_limit;
    return rc;
}

cl_int clGetPlatformInfo(cl_platform_id platform, cl_platform_info what, size_t room, void *value,
                         size_t *size)
{
    typedef cl_int (*function)(cl_platform_id, cl_platform_info, size_t, void *, size_t *);
    function driver;

    *(void **)&driver = dlsym(RTLD_NEXT, "clGetPlatformInfo");
    assert_non_null(driver);
    if (platform_name == NULL || what != CL_PLATFORM_NAME)
        return driver(platform, what, room, value, size);
    if (size != NULL) *size = strlen(platform_name) + 1;
    if (value != NULL) snprintf(value, room, "%s", platform_name);
    return CL_SUCCESS;
}

typedef struct said {
    char text[640];
    int n;
} said;

static void hear(void *user, clm_log_level level, const char *text)
{
    said *s = user;

    if (level != CLM_LOG_WARN) return;
    snprintf(s->text, sizeof s->text, "%s", text);
    s->n++;
}

/* Builds `add` under the limit, and runs it if it was built. */
static clm_status build_and_run(size_t limit, said *s, clm_err *err)
{
    const clm_observer observer = {s, hear, NULL};
    const clm_shape shape = {.v = {COUNT}};
    clm_device_info info;
    clm_device *dev;
    clm_cl_kernels *k;
    float x[COUNT], y[COUNT], out[COUNT];
    clm_buffer *bufs[2];
    clm_status st;

    for (int i = 0; i < COUNT; i++) x[i] = (float)i, y[i] = (float)(2 * i);
    assert_int_equal(clm_device_find("auto", &info, err), CLM_OK);
    assert_int_equal(clm_device_open(&info, &observer, &dev, err), CLM_OK);
    assert_int_equal(clm_cl_kernels_create(dev, NULL, &k, err), CLM_OK);
    assert_int_equal(clm_cl_kernels_plan(k, &clm_op_add, &shape, err), CLM_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(clm_buffer_create(dev, CLM_ELEM_F32, COUNT, &bufs[i], err), CLM_OK);
    assert_int_equal(clm_buffer_write(bufs[0], 0, COUNT, x, err), CLM_OK);
    assert_int_equal(clm_buffer_write(bufs[1], 0, COUNT, y, err), CLM_OK);
    group_limit = limit;
    st = clm_cl_kernels_build(k, err);
    if (st == CLM_OK) {
        assert_int_equal(clm_cl_kernels_launch(k, &clm_op_add, &shape, bufs, err), CLM_OK);
        assert_int_equal(clm_buffer_read(bufs[0], 0, COUNT, out, err), CLM_OK);
        for (int i = 0; i < COUNT; i++) assert_true(out[i] == (float)(3 * i));
        assert_int_equal(s->n,
                         limit < NO_LIMIT && platform_name == NULL); /* once, not at each launch */
    }
    group_limit = NO_LIMIT;
    for (int i = 0; i < 2; i++) clm_buffer_destroy(bufs[i]);
    clm_cl_kernels_destroy(k);
    clm_device_close(dev);
    return st;
}

static void test_as_chosen(void **state)
{
    said s = {{0}, 0};
    clm_err err;

    (void)state;
    assert_int_equal(build_and_run(NO_LIMIT, &s, &err), CLM_OK);
    assert_string_equal(s.text, "");
}

static void test_smaller_groups(void **state)
{
    static const size_t limits[] = {63, 8, 7, 1};

    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        char words[64];
        said s = {{0}, 0};
        clm_err err;

        assert_int_equal(build_and_run(limits[i], &s, &err), CLM_OK);
        snprintf(words, sizeof words, "groups of %zu work-items, not of 64", limits[i]);
        assert_non_null(strstr(s.text, "add runs with smaller groups"));
        assert_non_null(strstr(s.text, words));
    }
}

static void test_one_answer_for_all(void **state)
{
    said s = {{0}, 0};
    clm_err err;

    (void)state;
    platform_name = "NVIDIA CUDA";
    assert_int_equal(build_and_run(63, &s, &err), CLM_OK);
    platform_name = NULL;
    assert_string_equal(s.text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_chosen),
        cmocka_unit_test(test_smaller_groups),
        cmocka_unit_test(test_one_answer_for_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
