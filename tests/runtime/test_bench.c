/* test_bench.c: the arithmetic of the bench, the bench itself on the demo model, and whether a deep
 * synthetic model behaves like a trained one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>
#include "runtime/bench.h"
#include "runtime/engine.h"
#include "runtime/formats/synthetic.h"

static void near(double got, double want)
{
    if (fabs(got - want) > 1e-9 * fabs(want)) fail_msg("%.12g instead of %.12g", got, want);
}

static void test_statistics(void **state)
{
    const double values[] = {4.0, 1.0, 7.0, 2.0, 2.0};
    clm_bench_stats s = clm_bench_stats_of(values, 5);

    (void)state;
    near(s.mean, 3.2);
    near(s.median, 2.0);
    near(s.deviation, sqrt(22.8 / 4.0));
    s = clm_bench_stats_of(values, 4);
    near(s.median, 3.0);
    s = clm_bench_stats_of(values, 1);
    near(s.mean, 4.0);
    near(s.median, 4.0);
    assert_true(s.deviation == 0.0);
    s = clm_bench_stats_of(values, 0);
    assert_true(s.mean == 0.0 && s.median == 0.0 && s.deviation == 0.0);
}

static const clm_bench_cost k_cost = {.weight_bytes = 1000.0,
                                      .layer_operations = 50.0,
                                      .head_operations = 7.0,
                                      .kv_bytes = 10.0,
                                      .kv_operations = 3.0};

static void test_work(void **state)
{
    clm_bench_work w = clm_bench_work_decode(&k_cost, 1, 0, 1);

    (void)state;
    near(w.bytes, 1010.0);
    near(w.operations, 60.0);
    w = clm_bench_work_decode(&k_cost, 3, 100, 1); /* contexts of 101, 102, 103 */
    near(w.bytes, 3000.0 + 306.0 * 10.0);
    near(w.operations, 3.0 * 57.0 + 306.0 * 3.0);
    w = clm_bench_work_decode(&k_cost, 3, 100, 4); /* weights once for all four */
    near(w.bytes, 3000.0 + 4.0 * 306.0 * 10.0);
    near(w.operations, 4.0 * (3.0 * 57.0 + 306.0 * 3.0));
    w = clm_bench_work_decode(&k_cost, 0, 100, 1);
    assert_true(w.bytes == 0.0 && w.operations == 0.0);

    /* Four tokens in batches of two: the weights twice; tokens see 1, 2, 3, 4 positions. */
    w = clm_bench_work_prompt(&k_cost, 4, 0, 2);
    near(w.bytes, 2000.0 + (2.0 + 4.0) * 10.0);
    near(w.operations, 4.0 * 50.0 + 7.0 + 10.0 * 3.0);
    w = clm_bench_work_prompt(&k_cost, 3, 5, 512); /* 6, 7, 8 positions */
    near(w.bytes, 1000.0 + 80.0);
    near(w.operations, 3.0 * 50.0 + 7.0 + 21.0 * 3.0);
    /* One token is the same either way. */
    w = clm_bench_work_prompt(&k_cost, 1, 9, 512);
    near(w.bytes, clm_bench_work_decode(&k_cost, 1, 9, 1).bytes);
    near(w.operations, clm_bench_work_decode(&k_cost, 1, 9, 1).operations);
}

static void test_share(void **state)
{
    const clm_bench_work w = {.bytes = 3e9, .operations = 5e9};
    clm_bench_share s = clm_bench_share_of(&w, 0.5, 12.0, 100.0);

    (void)state;
    near(s.memory, 50.0);
    near(s.arithmetic, 10.0);
    s = clm_bench_share_of(&w, 0.5, 0.0, 0.0);
    assert_true(s.memory == 0.0 && s.arithmetic == 0.0);
    s = clm_bench_share_of(&w, 0.0, 12.0, 100.0);
    assert_true(s.memory == 0.0 && s.arithmetic == 0.0);
}

static clm_settings settings(clm_device_choice *choice)
{
    return (clm_settings){.model = (char *)CLM_SOURCE_DIR "/configs/demo.gguf",
                          .chat_template = (char *)"auto",
                          .system = (char *)"",
                          .devices = choice,
                          .n_devices = 1,
                          .batch_size = 8,
                          .kv_cache_type = CLM_KV_F16,
                          .server_host = (char *)"",
                          .server_api_key_file = (char *)"",
                          .server_origins = (char *)""};
}

static void check_run(clm_bench *bench, size_t prompt, size_t gen, size_t depth, size_t parallel)
{
    const clm_bench_test test = {prompt, gen, depth, parallel};
    clm_bench_result r;
    double samples[3] = {0.0};
    clm_err err = {""};

    if (clm_bench_run(bench, &test, 3, samples, &r, &err) != CLM_OK) fail_msg("%s", err.text);
    for (size_t i = 0; i < 3; i++) assert_true(samples[i] > 0.0);
    assert_true(r.rate.mean > 0.0 && r.rate.median > 0.0 && r.rate.deviation >= 0.0);
    assert_true(r.seconds.mean > 0.0 && r.warmup_seconds > 0.0);
    near(r.mean_seconds * r.rate.mean, (double)clm_bench_tokens(&test));
    assert_true(r.work.bytes > 0.0 && r.work.operations > 0.0);
}

static void test_run(void **state)
{
    clm_device_choice choice = {(char *)"ref", 0.0};
    const clm_settings s = settings(&choice);
    const clm_bench_model model = {NULL, NULL};
    clm_bench *bench;
    clm_bench_info info;
    clm_bench_result r;
    clm_err err = {""};
    double sample;

    (void)state;
    assert_int_equal(clm_bench_create(&s, &model, 40, NULL, &bench, &err), CLM_OK);
    clm_bench_describe(bench, &info);
    assert_int_equal(info.ctx, 40);
    assert_int_equal(info.batch, 8);
    assert_string_equal(info.weights, "Q8_0");
    assert_true(info.n_params > 1000000 && info.model_bytes > 1000000);
    assert_true(info.limits.read_gbps == 0.0); /* plain C has no device to measure */
    check_run(bench, 10, 0, 0, 1);
    check_run(bench, 0, 2, 17, 1);
    check_run(bench, 0, 2, 17, 3);
    check_run(bench, 9, 2, 29, 1); /* to the last position */
    assert_int_equal(clm_bench_run(bench, &(clm_bench_test){9, 3, 29, 1}, 1, &sample, &r, &err),
                     CLM_E_INTERNAL);
    assert_int_equal(clm_bench_run(bench, &(clm_bench_test){0, 2, 0, 9}, 1, &sample, &r, &err),
                     CLM_E_USAGE); /* more than a batch */
    assert_true(clm_bench_read_again(bench) == 0.0);
    clm_bench_destroy(bench);
}

static void test_refusals(void **state)
{
    clm_device_choice choice = {(char *)"ref", 0.0};
    clm_settings s = settings(&choice);
    clm_bench *bench = (clm_bench *)1;
    clm_err err = {""};

    (void)state;
    assert_int_equal(clm_bench_create(&s, &(clm_bench_model){"14b", "q4_0"}, 8, NULL, &bench, &err),
                     CLM_E_USAGE);
    assert_null(bench);
    assert_non_null(strstr(err.text, "llama13b"));
    s.model = (char *)"";
    assert_int_equal(clm_bench_create(&s, &(clm_bench_model){NULL, NULL}, 8, NULL, &bench, &err),
                     CLM_E_USAGE);
    s.model = (char *)"/no/such/file.gguf";
    assert_int_equal(clm_bench_create(&s, &(clm_bench_model){NULL, NULL}, 8, NULL, &bench, &err),
                     CLM_E_MODEL);
}

/* Activations of a deep synthetic model are finite and do not drown in one value. */
static void check_synthetic(clm_position position)
{
    const clm_hparams hp = {.arch = "baichuan",
                            .name = "deep and narrow",
                            .n_layers = 40,
                            .width = 128,
                            .n_heads = 4,
                            .ffn = 352,
                            .vocab = 512,
                            .ctx_train = 64,
                            .rms_eps = 1e-6f,
                            .position = position,
                            .rope_base = 10000.0f};
    clm_device_choice choice = {(char *)"ref", 0.0};
    clm_settings s = settings(&choice);
    const int ids[6] = {1, 77, 500, 3, 3, 9};
    float *logits = malloc(6 * 512 * sizeof *logits);
    clm_model_file *mf;
    clm_engine *engine;
    clm_err err = {""};

    assert_non_null(logits);
    s.ctx_size = 16;
    assert_int_equal(clm_synthetic_create(&hp, "q4_0", &mf, &err), CLM_OK);
    if (clm__engine_create_from(mf, false, &s, NULL, &engine, &err) != CLM_OK)
        fail_msg("%s", err.text);
    assert_int_equal(clm_engine_logits(engine, ids, 6, 0, 0, logits, &err), CLM_OK);
    for (size_t row = 0; row < 6; row++) {
        double squares = 0.0, largest = 0.0;
        for (size_t i = 0; i < 512; i++) {
            const double v = fabs((double)logits[row * 512 + i]);
            assert_true(isfinite(v));
            squares += v * v / 512.0;
            if (v > largest) largest = v;
        }
        assert_true(sqrt(squares) > 0.2 && sqrt(squares) < 5.0 && largest < 10.0 * sqrt(squares));
    }
    clm_engine_destroy(engine);
    free(logits);
}

static void test_synthetic(void **state)
{
    (void)state;
    check_synthetic(CLM_POSITION_ALIBI);
    check_synthetic(CLM_POSITION_ROPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statistics), cmocka_unit_test(test_work),
        cmocka_unit_test(test_share),      cmocka_unit_test(test_run),
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_synthetic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
