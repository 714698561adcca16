/* tests/ops/test_op_argmax.c: cl/argmax.cl against clm_ref_argmax(), and the awkward rows. */
#include <math.h>
#include "runtime/ops/op_argmax.h"
#include "runtime/ops/ref.h"
#include "tests/ops/op_harness.h"

enum { N = 300 };

/* One row with `background` everywhere and `n_peaks` further values. */
static void check_row(clm_device *dev, float background, const int *at, const float *peaks,
                      size_t n_peaks, int want)
{
    clm_case c = {.shape = {.v = {N, 0, 0}}};
    clm_err err;
    float *x;

    assert_int_equal(clm_op_argmax.fill(&c, 1, &err), CLM_OK);
    x = c.bufs[0].data;
    for (int i = 0; i < N; i++) x[i] = background;
    for (size_t i = 0; i < n_peaks; i++) x[at[i]] = peaks[i];
    clm_ref_argmax(&c);
    assert_int_equal(((int32_t *)c.bufs[1].expected)[0], want);
    clm_op_test_case(&clm_op_argmax, dev, &c);
    clm_case_clear(&c);
}

#define ROW(background, want, n, at, peaks)                                                        \
    check_row(dev, background, (const int[])at, (const float[])peaks, n, want)
#define LIST(...)                                                                                  \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void awkward_rows(clm_device *dev, void *user)
{
    (void)user;
    ROW(NAN, -1, 0, LIST(0), LIST(0));                          /* all NaN */
    ROW(NAN, 299, 1, LIST(299), LIST(-3.0f));                   /* one number */
    ROW(NAN, 17, 2, LIST(17, 200), LIST(-INFINITY, -INFINITY)); /* only -infinity among NaN */
    ROW(-INFINITY, 0, 0, LIST(0), LIST(0));                     /* all -infinity */
    ROW(-INFINITY, 1, 1, LIST(0), LIST(NAN));
    ROW(-INFINITY, 255, 2, LIST(255, 256), LIST(-1e38f, -1e38f));
    ROW(0.0f, 0, 0, LIST(0), LIST(0));                           /* all equal */
    ROW(0.0f, 0, 1, LIST(100), LIST(-0.0f));                     /* both zeros are equal */
    ROW(1.0f, 64, 3, LIST(290, 64, 65), LIST(2.0f, 2.0f, 2.0f)); /* ties */
    ROW(1.0f, 31, 2, LIST(31, 5), LIST(INFINITY, NAN));
    ROW(-5.0f, 298, 1, LIST(298), LIST(-4.0f)); /* in the tail of the vectors */
}

static void awkward_rows_on_devices(void **state)
{
    (void)state;
    clm_op_test_devices(awkward_rows, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(awkward_rows_on_devices)};

    return clm_op_test_main(&clm_op_argmax, tests, 1);
}
