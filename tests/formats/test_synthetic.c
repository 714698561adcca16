/* test_synthetic.c: models without a file: shapes, values, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>
#include "runtime/formats/synthetic.h"

static clm_hparams small(void)
{
    return (clm_hparams){.arch = "baichuan",
                         .name = "small",
                         .n_layers = 3,
                         .width = 64,
                         .n_heads = 4,
                         .ffn = 96,
                         .vocab = 200,
                         .ctx_train = 128,
                         .rms_eps = 1e-6f,
                         .position = CLM_POSITION_ALIBI};
}

/* Mean and standard deviation of a tensor's values. */
static void statistics(const clm_tensor *t, double *mean, double *deviation)
{
    const size_t n = t->rows * t->cols;
    float *v = malloc(n * sizeof *v);
    double sum = 0.0, squares = 0.0;

    assert_non_null(v);
    clm_qtype_dequantize(t->type, t->data, n, v);
    for (size_t i = 0; i < n; i++) {
        assert_true(isfinite(v[i]));
        sum += (double)v[i];
        squares += (double)v[i] * (double)v[i];
    }
    free(v);
    *mean = sum / (double)n;
    *deviation = sqrt(squares / (double)n - *mean * *mean);
}

static void check_matrix(const clm_tensor *t, size_t rows, size_t cols, double sigma)
{
    double mean, deviation;

    assert_int_equal(t->rows, rows);
    assert_int_equal(t->cols, cols);
    assert_int_equal(t->bytes, clm_qtype_bytes(t->type, rows * cols));
    statistics(t, &mean, &deviation);
    assert_true(fabs(mean) < 0.1 * sigma);
    assert_true(deviation > 0.9 * sigma && deviation < 1.15 * sigma);
}

static void test_values(void **state)
{
    static const char *const types[] = {"q4_0", "Q4_1", "q5_0", "q5_1",
                                        "q8_0", "f16",  "bf16", "F32"};
    const clm_hparams hp = small();

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        clm_model_file *mf;
        clm_err err = {""};
        size_t n;

        assert_int_equal(clm_synthetic_create(&hp, types[i], &mf, &err), CLM_OK);
        assert_true(clm_model_file_has_weights(mf));
        assert_int_equal(clm_model_file_bytes(mf), 0);
        assert_int_equal(clm_model_file_hparams(mf)->head_dim, 16);
        clm_model_file_tensors(mf, &n);
        assert_int_equal(n, 3 + 3 * 9);
        for (size_t layer = 0; layer < hp.n_layers; layer++) {
            check_matrix(clm_model_file_weight(mf, CLM_W_Q, layer), 64, 64, 0.125);
            check_matrix(clm_model_file_weight(mf, CLM_W_UP, layer), 96, 64, 0.125);
            check_matrix(clm_model_file_weight(mf, CLM_W_DOWN, layer), 64, 96, 0.125);
        }
        check_matrix(clm_model_file_weight(mf, CLM_W_HEAD, 0), 200, 64, 0.125);
        /* Query and key are not the same matrix, or attention would see only itself. */
        assert_ptr_not_equal(clm_model_file_weight(mf, CLM_W_Q, 1)->data,
                             clm_model_file_weight(mf, CLM_W_K, 1)->data);
        clm_model_file_close(mf);
    }
}

static void test_norms(void **state)
{
    const clm_hparams hp = small();
    clm_model_file *mf;
    const clm_tensor *t;
    double mean, deviation;

    (void)state;
    assert_int_equal(clm_synthetic_create(&hp, "q4_0", &mf, NULL), CLM_OK);
    t = clm_model_file_weight(mf, CLM_W_FFN_NORM, 2);
    assert_int_equal(t->cols, 64);
    statistics(t, &mean, &deviation);
    assert_true(mean == 1.0 && deviation == 0.0);
    clm_model_file_close(mf);
}

static void refuse(const clm_hparams *hp, const char *type, clm_status expected)
{
    clm_model_file *mf = (clm_model_file *)1;
    clm_err err = {""};

    assert_int_equal(clm_synthetic_create(hp, type, &mf, &err), expected);
    assert_null(mf);
    assert_true(strlen(err.text) > 10);
}

static void test_refusals(void **state)
{
    clm_hparams hp = small();

    (void)state;
    refuse(&hp, "q3_7", CLM_E_USAGE);
    refuse(&hp, "", CLM_E_USAGE);
    refuse(&hp, "q4_k", CLM_E_USAGE); /* blocks of 256 do not fit rows of 64 */
    hp.ffn = 80;
    refuse(&hp, "q4_0", CLM_E_USAGE);
    hp = small();
    hp.n_heads = 7;
    refuse(&hp, "q4_0", CLM_E_MODEL);
    hp = small();
    hp.width = hp.ffn = 256;
    refuse(&hp, "q6_k", CLM_E_USAGE); /* fits, but nobody makes it */
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(clm_synthetic_find("13b")->ffn, 13696);
    assert_int_equal(clm_synthetic_find("13b")->position, CLM_POSITION_ALIBI);
    assert_int_equal(clm_synthetic_find("7b")->n_layers, 32);
    assert_int_equal(clm_synthetic_find("llama13b")->vocab, 32000);
    assert_null(clm_synthetic_find("70b"));
    assert_null(clm_synthetic_find(""));
    assert_non_null(strstr(clm_synthetic_names(), "llama13b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_norms),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
