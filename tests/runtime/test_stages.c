/* test_stages.c: layers that are spread over several backends give the logits that one backend gives: prompts in
 * batches, single tokens, tokens of several sequences; tied and untied heads; on the reference backend exactly,
 * and on every OpenCL device beside each other one.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "host/device.h"
#include "runtime/formats/synthetic.h"
#include "runtime/model/transformer.h"

enum { VOCAB = 203, CTX = 96, BATCH = 32, PROMPT = 70, STEPS = 4, LAYERS = 5, MOST = 3 };

/* What is computed in all: logits of the prompt, of tokens one by one, of tokens of two sequences together. */
enum { ROWS = PROMPT + STEPS + 2 * STEPS };

static const clm_hparams models[] = {
    {.arch = "llama",
     .name = "alibi",
     .n_layers = LAYERS,
     .width = 96,
     .n_heads = 3,
     .ffn = 160,
     .vocab = VOCAB,
     .ctx_train = CTX,
     .rms_eps = 1e-6f,
     .position = CLM_POSITION_ALIBI},
    {.arch = "llama",
     .name = "rotary, tied",
     .n_layers = LAYERS,
     .width = 128,
     .n_heads = 4,
     .n_kv_heads = 2,
     .ffn = 160,
     .vocab = VOCAB,
     .ctx_train = CTX,
     .rms_eps = 1e-6f,
     .tied_head = true,
     .position = CLM_POSITION_ROPE,
     .rope_dims = 32,
     .rope_base = 10000.0f},
};

static int id_of(size_t pos)
{
    return (int)((pos * 37 + 5) % VOCAB);
}

/* The prompt of a sequence; logits of all its tokens. */
static void run_prompt(clm_transformer *t, size_t seq, float *out)
{
    const clm_outputs want = {.logits = out}, nothing = {0};
    int ids[PROMPT];
    clm_err err;

    for (size_t i = 0; i < PROMPT; i++) ids[i] = id_of(i + seq);
    for (size_t at = 0; at < PROMPT; at += BATCH) {
        const size_t m = PROMPT - at < BATCH ? PROMPT - at : BATCH;
        clm_outputs here = out != NULL ? want : nothing;

        if (out != NULL) here.logits = out + at * VOCAB;
        if (clm_transformer_run(t, seq, ids + at, m, at, &here, &err) != CLM_OK)
            fail_msg("%s", err.text);
    }
}

/* Logits [ROWS][VOCAB]. */
static void run(const clm_share *shares, size_t n, const clm_model_file *mf, float *out)
{
    clm_transformer *t;
    clm_err err;

    if (clm_transformer_create(shares, n, mf, CTX, BATCH, CLM_KV_F32, NULL, &t, &err) != CLM_OK ||
        clm_transformer_add_sequence(t, &err) != CLM_OK)
        fail_msg("%s", err.text);
    run_prompt(t, 0, out);
    run_prompt(t, 1, NULL);
    out += PROMPT * VOCAB;
    for (size_t i = 0; i < STEPS; i++, out += VOCAB) {
        const clm_outputs want = {.logits = out};
        const int id = id_of(PROMPT + i);
        size_t best = 0;
        int found = -1;
        const clm_outputs greedy = {.best = &found};

        if (clm_transformer_run(t, 0, &id, 1, PROMPT + i, &want, &err) != CLM_OK ||
            clm_transformer_run(t, 0, &id, 1, PROMPT + i, &greedy, &err) != CLM_OK)
            fail_msg("%s", err.text);
        for (size_t k = 1; k < VOCAB; k++)
            if (out[k] > out[best]) best = k;
        assert_int_equal(found, best);
    }
    for (size_t i = 0; i < STEPS; i++, out += 2 * VOCAB) {
        const clm_row rows[] = {
            {.seq = 0, .pos = PROMPT + STEPS + i, .id = id_of(PROMPT + STEPS + i)},
            {.seq = 1, .pos = PROMPT + i, .id = id_of(3 * i)}};

        if (clm_transformer_run_rows(t, rows, 2, out, &err) != CLM_OK) fail_msg("%s", err.text);
    }
    clm_transformer_destroy(t);
}

/* The largest ||a - b|| / ||b|| of a token's logits. */
static double error_of(const float *a, const float *b)
{
    double worst = 0.0;

    for (size_t row = 0; row < ROWS; row++) {
        double difference = 0.0, norm = 0.0;

        for (size_t i = row * VOCAB; i < (row + 1) * VOCAB; i++) {
            difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
            norm += (double)b[i] * b[i];
        }
        worst = fmax(worst, sqrt(difference / norm));
    }
    return worst;
}

/* One backend for each device of `list`, NULL: the reference. */
static double run_on(const clm_device_info *const *list, const size_t *layers, size_t n,
                     const clm_model_file *mf, const float *want)
{
    float *got = malloc(sizeof *got * ROWS * VOCAB);
    clm_share shares[MOST];
    clm_err err;
    double error;

    assert_non_null(got);
    for (size_t i = 0; i < n; i++) {
        const clm_cl_options options = {
            .device = list[i], .activations = CLM_ACT_F32, .tuning = CLM_TUNING_OFF};

        shares[i].n_layers = layers[i];
        if ((list[i] == NULL
                 ? clm_backend_ref_create(&shares[i].backend, &err)
                 : clm_backend_cl_create(&options, NULL, &shares[i].backend, &err)) != CLM_OK)
            fail_msg("%s", err.text);
    }
    run(shares, n, mf, got);
    for (size_t i = 0; i < n; i++) shares[i].backend->ops->destroy(shares[i].backend);
    error = want != NULL ? error_of(got, want) : 0.0;
    free(got);
    return error;
}

static void expect(const clm_model_file *mf, float *want)
{
    clm_share all = {NULL, LAYERS};

    assert_int_equal(clm_backend_ref_create(&all.backend, NULL), CLM_OK);
    run(&all, 1, mf, want);
    all.backend->ops->destroy(all.backend);
}

static void check(const clm_hparams *hp, const char *type)
{
    static const size_t thirds[] = {1, 3, 1}, halves[] = {2, 3};
    const clm_device_info *none[MOST] = {NULL};
    float *want = malloc(sizeof *want * ROWS * VOCAB);
    clm_device_info *list = NULL;
    clm_model_file *mf;
    size_t n = 0;
    clm_err err;

    assert_non_null(want);
    if (clm_synthetic_create(hp, type, &mf, &err) != CLM_OK ||
        clm_device_list(&list, &n, &err) != CLM_OK)
        fail_msg("%s", err.text);
    expect(mf, want);
    assert_true(run_on(none, thirds, 3, mf, want) == 0.0); /* the same sums in the same order */
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            const clm_device_info *both[] = {&list[i], &list[k]};
            const double error = run_on(both, halves, 2, mf, want);

            printf("%s %s, devices %zu and %zu: %.1e\n", hp->name, type, i, k, error);
            assert_true(error < 1e-5);
        }
    free(list);
    clm_model_file_close(mf);
    free(want);
}

static void alibi(void **state)
{
    (void)state;
    check(&models[0], "q4_0");
}

static void rotary_and_tied(void **state)
{
    (void)state;
    check(&models[1], "q8_0");
}

/* ---- sequences ------------------------------------------------------------------------------- */

/* A backend whose second sequence does not fit. */
static clm_status no_room(clm_backend *b, clm_err *err)
{
    (void)b;
    return clm_fail(err, CLM_E_DEVMEM, "no room");
}

static void a_sequence_is_everywhere_or_nowhere(void **state)
{
    clm_share shares[] = {{NULL, 2}, {NULL, LAYERS - 2}};
    const clm_backend_ops *ops;
    clm_backend_ops full;
    uint64_t weights, before, after;
    const clm_row row = {.seq = 1, .pos = 0, .id = 1};
    float logits[VOCAB];
    clm_transformer *t;
    clm_model_file *mf;
    clm_err err;

    (void)state;
    if (clm_synthetic_create(&models[0], "f16", &mf, &err) != CLM_OK ||
        clm_backend_ref_create(&shares[0].backend, &err) != CLM_OK ||
        clm_backend_ref_create(&shares[1].backend, &err) != CLM_OK ||
        clm_transformer_create(shares, 2, mf, CTX, BATCH, CLM_KV_F16, NULL, &t, &err) != CLM_OK)
        fail_msg("%s", err.text);
    ops = shares[1].backend->ops;
    full = *ops;
    full.add_sequence = no_room;
    shares[1].backend->ops = &full;
    ops->usage(shares[0].backend, &weights, &before);
    assert_int_equal(clm_transformer_add_sequence(t, &err), CLM_E_DEVMEM);
    ops->usage(shares[0].backend, &weights, &after);
    assert_int_equal(after, before);
    assert_int_equal(clm_transformer_run_rows(t, &row, 1, logits, &err), CLM_E_INTERNAL);
    shares[1].backend->ops = ops;
    assert_int_equal(clm_transformer_add_sequence(t, &err), CLM_OK);
    ops->usage(shares[0].backend, &weights, &after);
    assert_int_equal(after, 2 * before);
    assert_int_equal(clm_transformer_run_rows(t, &row, 1, logits, &err), CLM_OK);
    clm_transformer_destroy(t);
    for (size_t i = 0; i < 2; i++) ops->destroy(shares[i].backend);
    clm_model_file_close(mf);
}

/* A run of many tokens leaves off between layers when it is told to; the next one is as if it had not been. */
static void a_long_run_can_be_stopped(void **state)
{
    clm_share all = {NULL, LAYERS};
    float *want = malloc(sizeof *want * BATCH * VOCAB), *got = malloc(sizeof *got * BATCH * VOCAB);
    const clm_outputs expected = {.logits = want}, outputs = {.logits = got};
    atomic_int stop = 0;
    int ids[BATCH];
    clm_transformer *t;
    clm_model_file *mf;
    clm_err err;

    (void)state;
    for (size_t i = 0; i < BATCH; i++) ids[i] = id_of(i);
    if (clm_synthetic_create(&models[0], "f16", &mf, &err) != CLM_OK ||
        clm_backend_ref_create(&all.backend, &err) != CLM_OK ||
        clm_transformer_create(&all, 1, mf, CTX, BATCH, CLM_KV_F16, NULL, &t, &err) != CLM_OK ||
        clm_transformer_run(t, 0, ids, BATCH, 0, &expected, &err) != CLM_OK)
        fail_msg("%s", err.text);
    clm_transformer_watch(t, &stop);
    stop = 1;
    assert_int_equal(clm_transformer_run(t, 0, ids, BATCH, 0, &outputs, &err), CLM_E_INTERRUPTED);
    assert_int_equal(clm_transformer_run(t, 0, ids, 1, 0, &outputs, &err), CLM_OK); /* is short */
    stop = 0;
    assert_int_equal(clm_transformer_run(t, 0, ids, BATCH, 0, &outputs, &err), CLM_OK);
    assert_memory_equal(got, want, sizeof *want * BATCH * VOCAB);
    stop = 1;
    clm_transformer_watch(t, NULL);
    assert_int_equal(clm_transformer_run(t, 0, ids, BATCH, 0, &outputs, &err), CLM_OK);
    clm_transformer_destroy(t);
    all.backend->ops->destroy(all.backend);
    clm_model_file_close(mf);
    free(got);
    free(want);
}

/* A backend whose layers take long; at one of them somebody stops the run. */
static const clm_backend_ops *plain_ops;
static atomic_int stopped;
static size_t n_layers_run;
enum { STOP_AT = 2 };

static clm_status slow_swiglu(clm_backend *b, const clm_vec *gu, size_t m, size_t ffn, bool tiled,
                              clm_vec *out, const clm_readers *readers, clm_err *err)
{
    const struct timespec pause = {.tv_nsec = 300000000};

    nanosleep(&pause, NULL);
    if (++n_layers_run == STOP_AT) stopped = 1;
    return plain_ops->swiglu(b, gu, m, ffn, tiled, out, readers, err);
}

static void a_slow_run_stops_behind_the_layer_at_hand(void **state)
{
    clm_share all = {NULL, LAYERS};
    clm_backend_ops slow;
    int ids[BATCH];
    clm_transformer *t;
    clm_model_file *mf;
    clm_err err;

    (void)state;
    for (size_t i = 0; i < BATCH; i++) ids[i] = id_of(i);
    if (clm_synthetic_create(&models[0], "f16", &mf, &err) != CLM_OK ||
        clm_backend_ref_create(&all.backend, &err) != CLM_OK ||
        clm_transformer_create(&all, 1, mf, CTX, BATCH, CLM_KV_F16, NULL, &t, &err) != CLM_OK)
        fail_msg("%s", err.text);
    plain_ops = all.backend->ops;
    slow = *plain_ops;
    slow.swiglu = slow_swiglu;
    all.backend->ops = &slow;
    clm_transformer_watch(t, &stopped);
    assert_int_equal(clm_transformer_run(t, 0, ids, BATCH, 0, NULL, &err), CLM_E_INTERRUPTED);
    assert_int_equal(n_layers_run, STOP_AT);
    clm_transformer_destroy(t);
    plain_ops->destroy(all.backend);
    clm_model_file_close(mf);
}

/* ---- time ------------------------------------------------------------------------------------ */

/* Two backends whose devices work by themselves: a layer takes a device LAYER_SECONDS of a clock of the test's own,
 * and whoever waits for a device is there when it is. The host's own time is nothing. */
#define LAYER_SECONDS 1.0
static double host_time, device_time[2];
static clm_backend *device_of[2];

static double *device(const clm_backend *b)
{
    return &device_time[b == device_of[1]];
}

static clm_status timed_swiglu(clm_backend *b, const clm_vec *gu, size_t m, size_t ffn, bool tiled,
                               clm_vec *out, const clm_readers *readers, clm_err *err)
{
    double *busy_until = device(b);

    *busy_until = fmax(*busy_until, host_time) + LAYER_SECONDS;
    return plain_ops->swiglu(b, gu, m, ffn, tiled, out, readers, err);
}

static clm_status timed_finish(clm_backend *b, clm_err *err)
{
    host_time = fmax(host_time, *device(b));
    return plain_ops->finish(b, err);
}

static clm_status timed_read(clm_backend *b, const clm_vec *v, size_t first, size_t count,
                             float *out, clm_err *err)
{
    host_time = fmax(host_time, *device(b));
    return plain_ops->read(b, v, first, count, out, err);
}

static clm_status timed_write(clm_backend *b, clm_vec *v, const float *from, size_t count,
                              clm_err *err)
{
    host_time = fmax(host_time, *device(b));
    return plain_ops->write(b, v, from, count, err);
}

/* A prompt of several batches that somebody might stop: the first device has the next batch while the second
 * computes. */
static void devices_work_at_the_same_time(void **state)
{
    enum { HALF = 2, BATCHES = 8 };
    clm_hparams hp = models[0];
    clm_share shares[] = {{NULL, HALF}, {NULL, HALF}};
    const clm_backend_ops *ops;
    clm_backend_ops timed;
    atomic_int stop = 0;
    int ids[CTX];
    clm_transformer *t;
    clm_model_file *mf;
    clm_err err;

    (void)state;
    hp.n_layers = 2 * HALF;
    hp.ctx_train = BATCHES * BATCH;
    for (size_t i = 0; i < CTX; i++) ids[i] = id_of(i);
    if (clm_synthetic_create(&hp, "f16", &mf, &err) != CLM_OK ||
        clm_backend_ref_create(&shares[0].backend, &err) != CLM_OK ||
        clm_backend_ref_create(&shares[1].backend, &err) != CLM_OK ||
        clm_transformer_create(shares, 2, mf, BATCHES * BATCH, BATCH, CLM_KV_F16, NULL, &t, &err) !=
            CLM_OK)
        fail_msg("%s", err.text);
    plain_ops = ops = shares[0].backend->ops;
    timed = *ops;
    timed.swiglu = timed_swiglu;
    timed.finish = timed_finish;
    timed.read = timed_read;
    timed.write = timed_write;
    for (size_t i = 0; i < 2; i++) {
        device_of[i] = shares[i].backend;
        shares[i].backend->ops = &timed;
    }
    clm_transformer_watch(t, &stop);
    for (size_t i = 0; i < BATCHES; i++)
        assert_int_equal(clm_transformer_run(t, 0, ids, BATCH, i * BATCH, NULL, &err), CLM_OK);
    assert_int_equal(clm_transformer_finish(t, &err), CLM_OK);
    /* One after the other it would be 2 * HALF a batch. */
    assert_true(host_time == LAYER_SECONDS * HALF * (BATCHES + 1));
    clm_transformer_destroy(t);
    for (size_t i = 0; i < 2; i++) ops->destroy(shares[i].backend);
    clm_model_file_close(mf);
}

static void shares_are_all_layers(void **state)
{
    clm_share shares[] = {{NULL, 2}, {NULL, 2}};
    clm_transformer *t;
    clm_model_file *mf;
    clm_err err;

    (void)state;
    if (clm_synthetic_create(&models[0], "f16", &mf, &err) != CLM_OK ||
        clm_backend_ref_create(&shares[0].backend, &err) != CLM_OK ||
        clm_backend_ref_create(&shares[1].backend, &err) != CLM_OK)
        fail_msg("%s", err.text);
    assert_int_equal(clm_transformer_create(shares, 2, mf, CTX, BATCH, CLM_KV_F16, NULL, &t, &err),
                     CLM_E_INTERNAL);
    shares[1].n_layers = 0;
    shares[0].n_layers = LAYERS;
    assert_int_equal(clm_transformer_create(shares, 2, mf, CTX, BATCH, CLM_KV_F16, NULL, &t, &err),
                     CLM_E_INTERNAL);
    for (size_t i = 0; i < 2; i++) shares[i].backend->ops->destroy(shares[i].backend);
    clm_model_file_close(mf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alibi),
        cmocka_unit_test(rotary_and_tied),
        cmocka_unit_test(a_sequence_is_everywhere_or_nowhere),
        cmocka_unit_test(a_long_run_can_be_stopped),
        cmocka_unit_test(a_slow_run_stops_behind_the_layer_at_hand),
        cmocka_unit_test(devices_work_at_the_same_time),
        cmocka_unit_test(shares_are_all_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
