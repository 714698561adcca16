/* runtime/bench.c: see runtime/bench.h. */
#include "runtime/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/process.h"
#include "runtime/bench_impl.h"
#include "runtime/engine.h"
#include "runtime/formats/synthetic.h"
#include "runtime/model/repack.h"
#include "runtime/weights_cache.h"

struct clm_bench {
    clm_engine *engine;
    clm_bench_info info;
    clm_bench_cost cost;
    clm_device_choice device;
    const clm_observer *obs;
    int *ids;            /* [ctx]: pseudo-random, inside the vocabulary */
    size_t filled;       /* so many positions from the first on hold `ids` */
    clm_bench_test warm; /* the last prompt without tokens behind it */
};

double clm_bench_gops(const clm_device_limits *limits)
{
    return fmax(fmax(limits->fp32_gflops, limits->int8_gops), limits->bf16_gflops);
}

/* ---- creation -------------------------------------------------------------------------------- */

clm_status clm__bench_open_device(const clm_settings *s, const clm_observer *obs, clm_device **out,
                                  clm_err *err)
{
    const char *selector = clm__device_selector(s);
    clm_device_info info;
    clm_status st;

    *out = NULL;
    if (s->n_devices > 1)
        return clm_fail(err, CLM_E_USAGE, "kernels are timed on one device: --device INDEX");
    st = clm_device_find(selector, &info, err);
    return st == CLM_OK ? clm_device_open(&info, obs, out, err) : st;
}

static clm_status measure(const clm_settings *s, const clm_observer *obs, clm_device_limits *out,
                          clm_err *err)
{
    clm_device *dev = NULL;
    clm_status st = clm__bench_open_device(s, obs, &dev, err);

    clm_progress(obs, "measuring the device", 0, 1);
    if (st == CLM_OK) st = clm_device_limits_measure(dev, out, err);
    if (st == CLM_OK) clm_progress(obs, "measuring the device", 1, 1);
    clm_device_close(dev);
    clm_process_reset_peak(); /* the probe's memory is no part of the model's */
    return st;
}

static clm_status open_model(const clm_settings *s, const clm_bench_model *model,
                             const clm_observer *obs, clm_model_file **out, clm_err *err)
{
    const clm_hparams *hp;

    *out = NULL;
    if (model->synthetic == NULL) {
        if (s->model[0] == '\0')
            return clm_fail(err, CLM_E_USAGE,
                            "no model: give one with -m FILE or --synthetic NAME");
        return clm__weights_open(s, NULL, obs, out, err);
    }
    hp = clm_synthetic_find(model->synthetic);
    if (hp == NULL)
        return clm_fail(err, CLM_E_USAGE, "there is no synthetic model '%s'; there are %s",
                        model->synthetic, clm_synthetic_names());
    return clm_synthetic_create(hp, model->type, out, err);
}

/* Sizes of the model, and what a token costs on the device `b->info` describes. */
static void describe_model(clm_bench *b, const clm_model_file *mf)
{
    static const clm_weight_role matrices[] = {CLM_W_Q,    CLM_W_K,  CLM_W_V,   CLM_W_O,
                                               CLM_W_GATE, CLM_W_UP, CLM_W_DOWN};
    const clm_hparams *hp = clm_model_file_hparams(mf);
    const clm_tensor *embed = clm_model_file_weight(mf, CLM_W_EMBED, 0);
    const clm_weight_layout table = clm_repack_layout(embed);
    clm_bench_info *info = &b->info;
    bool billions;
    size_t n;
    const clm_tensor *tensors = clm_model_file_tensors(mf, &n);

    for (size_t i = 0; i < n; i++) {
        info->n_params += (uint64_t)tensors[i].rows * tensors[i].cols;
        info->model_bytes += tensors[i].bytes;
    }
    billions = info->n_params >= 1000000000u;
    clm_tensor_type_name(clm_model_file_weight(mf, CLM_W_DOWN, 0), info->weights);
    snprintf(info->model_type, sizeof info->model_type, "%s %.2f %s %s", hp->arch,
             (double)info->n_params * (billions ? 1e-9 : 1e-6), billions ? "B" : "M",
             info->weights);
    for (size_t layer = 0; layer < hp->n_layers; layer++)
        for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) {
            const clm_tensor *t = clm_model_file_weight(mf, matrices[i], layer);
            b->cost.layer_operations += 2.0 * (double)t->rows * (double)t->cols;
        }
    b->cost.head_operations = 2.0 * (double)hp->vocab * (double)hp->width;
    b->cost.weight_bytes =
        (double)info->weight_bytes - (hp->tied_head ? 0.0 : (double)clm_repack_bytes(&table));
    b->cost.kv_bytes = (double)info->kv_bytes / (double)info->ctx;
    b->cost.kv_operations = 4.0 * (double)hp->n_layers * (double)hp->n_heads * (double)hp->head_dim;
}

static clm_status make_ids(clm_bench *b, size_t vocab, clm_err *err)
{
    uint32_t x = 20240817;

    b->ids = malloc(b->info.ctx * sizeof *b->ids);
    if (b->ids == NULL) return clm_fail(err, CLM_E_NOMEM, "bench: no memory");
    for (size_t i = 0; i < b->info.ctx; i++) {
        x = x * 1664525u + 1013904223u;
        b->ids[i] = (int)((x >> 8) % vocab);
    }
    return CLM_OK;
}

clm_status clm_bench_create(const clm_settings *s, const clm_bench_model *model, size_t ctx,
                            const clm_observer *obs, clm_bench **out, clm_err *err)
{
    clm_bench *b = calloc(1, sizeof *b);
    clm_settings settings = *s; /* shallow: strings are borrowed for the call */
    clm_model_file *mf = NULL;
    clm_engine_report report;
    clm_status st;

    *out = NULL;
    if (b == NULL) return clm_fail(err, CLM_E_NOMEM, "bench: no memory");
    settings.ctx_size = (uint32_t)ctx;
    b->obs = obs;
    b->device.select = strdup(clm__device_selector(s));
    if (b->device.select == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "bench: no memory");
        goto out;
    }
    if (!clm__on_reference(s) && s->n_devices <= 1) {
        st = measure(s, obs, &b->info.limits, err);
        if (st != CLM_OK) goto out;
    }
    st = open_model(s, model, obs, &mf, err);
    if (st == CLM_OK) st = clm__engine_create_from(mf, false, &settings, obs, &b->engine, err);
    if (st != CLM_OK) goto out;
    clm_engine_describe(b->engine, &report);
    memcpy(b->info.device, report.device, sizeof b->info.device);
    /* There is no one limit of several devices. */
    if (report.n_devices > 1) memset(&b->info.limits, 0, sizeof b->info.limits);
    snprintf(b->info.model, sizeof b->info.model, "%s", clm_model_file_path(mf));
    b->info.weight_bytes = report.weight_bytes;
    b->info.kv_bytes = report.kv_bytes;
    b->info.ctx = report.ctx_size;
    b->info.batch = clm_transformer_batch(b->engine->model);
    clm_transformer_times(b->engine->model, &b->info.kernel_seconds, &b->info.load_seconds);
    b->info.load_peak_bytes = clm_process_peak_resident();
    describe_model(b, mf);
    st = make_ids(b, report.vocab, err);
    if (st != CLM_OK) goto out;
    *out = b;
    b = NULL;
out:
    clm_bench_destroy(b);
    return st;
}

void clm_bench_destroy(clm_bench *b)
{
    if (b == NULL) return;
    clm_engine_destroy(b->engine);
    free(b->device.select);
    free(b->ids);
    free(b);
}

void clm_bench_describe(const clm_bench *b, clm_bench_info *out)
{
    *out = b->info;
}

double clm_bench_read_again(clm_bench *b)
{
    const clm_settings s = {.devices = &b->device, .n_devices = 1};
    clm_device *dev = NULL;
    double gbps = 0.0;

    if (b->info.limits.read_gbps <= 0.0) return 0.0;
    if (clm__bench_open_device(&s, b->obs, &dev, NULL) == CLM_OK &&
        clm_device_read_measure(dev, &gbps, NULL) != CLM_OK)
        gbps = 0.0;
    clm_device_close(dev);
    return gbps;
}

/* ---- running --------------------------------------------------------------------------------- */

size_t clm_bench_tokens(const clm_bench_test *test)
{
    return test->n_prompt + test->n_gen * (test->n_parallel > 1 ? test->n_parallel : 1);
}

/* `n` of `b->ids` at `pos` in batches; `best` (may be NULL) receives the most likely next one. */
static clm_status run_prompt(clm_bench *b, size_t n, size_t pos, int *best, clm_err *err)
{
    const size_t batch = b->info.batch;
    clm_status st = CLM_OK;

    for (size_t at = 0; at < n && st == CLM_OK; at += batch) {
        const size_t m = n - at < batch ? n - at : batch;
        const clm_outputs want = {.best = at + m == n ? best : NULL};
        st = clm_transformer_run(b->engine->model, 0, b->ids + pos + at, m, pos + at, &want, err);
    }
    b->filled = st == CLM_OK ? pos + n : 0;
    return st;
}

/* Fills the context up to `depth`, as far as it is not so already: tests at one depth share it. */
static clm_status fill(clm_bench *b, size_t depth, clm_err *err)
{
    const size_t at = b->filled < depth ? b->filled : depth;
    return run_prompt(b, depth - at, at, NULL, err);
}

/* Index of the largest of `vocab` logits. */
static int largest(const float *logits, size_t vocab)
{
    size_t best = 0;

    for (size_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best]) best = i;
    return (int)best;
}

/* Sequences 1 .. n-1 hold what sequence 0 does: `depth` tokens. */
static clm_status fill_others(clm_bench *b, size_t n, size_t depth, clm_err *err)
{
    const size_t batch = b->info.batch;
    clm_status st = CLM_OK;

    if (clm_engine_reserve(b->engine, n, b->obs) < n)
        return clm_fail(err, CLM_E_DEVMEM, "%zu sequences of %zu tokens at once: no memory", n,
                        b->info.ctx);
    for (size_t seq = 1; seq < n; seq++)
        for (size_t at = 0; at < depth && st == CLM_OK; at += batch)
            st = clm_transformer_run(b->engine->model, seq, b->ids + at,
                                     depth - at < batch ? depth - at : batch, at, NULL, err);
    return st;
}

/* `n_gen` tokens of each of t->n_parallel sequences. */
static clm_status run_together(clm_bench *b, const clm_bench_test *t, size_t n_gen, double *seconds,
                               clm_err *err)
{
    const size_t vocab = clm_model_file_hparams(b->engine->file)->vocab, n = t->n_parallel;
    const double start = clm_clock_seconds();
    float *logits = malloc(n * vocab * sizeof *logits);
    clm_row *rows = malloc(n * sizeof *rows);
    clm_status st = CLM_OK;

    if (logits == NULL || rows == NULL) st = clm_fail(err, CLM_E_NOMEM, "bench: no memory");
    for (size_t i = 0; i < n && st == CLM_OK; i++)
        rows[i] =
            (clm_row){.seq = i, .pos = t->n_depth, .id = b->ids[(t->n_depth + i) % b->info.ctx]};
    for (size_t step = 0; step < n_gen && st == CLM_OK; step++) {
        st = clm_transformer_run_rows(b->engine->model, rows, n, logits, err);
        for (size_t i = 0; i < n && st == CLM_OK; i++) {
            rows[i].pos++;
            rows[i].id = largest(logits + i * vocab, vocab);
        }
    }
    free(rows);
    free(logits);
    *seconds = clm_clock_seconds() - start;
    return st;
}

static clm_status run_once(clm_bench *b, const clm_bench_test *t, size_t n_gen, double *seconds,
                           clm_err *err)
{
    const double start = clm_clock_seconds();
    int best = b->ids[t->n_depth];
    const clm_outputs want = {.best = &best};
    clm_status st;

    if (t->n_parallel > 1) return run_together(b, t, n_gen, seconds, err);
    st = run_prompt(b, t->n_prompt, t->n_depth, &best, err);

    for (size_t i = 0; i < n_gen && st == CLM_OK; i++) {
        const int id = best;
        st = clm_transformer_run(b->engine->model, 0, &id, 1, t->n_depth + t->n_prompt + i, &want,
                                 err);
    }
    if (st == CLM_OK) st = clm_transformer_finish(b->engine->model, err);
    *seconds = clm_clock_seconds() - start;
    return st;
}

/* A prompt that is run again needs no warming up, which takes as long as itself. */
static bool is_warm(const clm_bench *b, const clm_bench_test *test)
{
    return test->n_gen == 0 && test->n_prompt == b->warm.n_prompt &&
           test->n_depth == b->warm.n_depth;
}

clm_status clm_bench_run(clm_bench *b, const clm_bench_test *test, size_t n, double *samples,
                         clm_bench_result *out, clm_err *err)
{
    const double tokens = (double)clm_bench_tokens(test);
    clm_bench_work decode;
    double *rates;
    clm_status st;

    memset(out, 0, sizeof *out);
    if (test->n_depth + test->n_prompt + test->n_gen > b->info.ctx)
        return clm_fail(err, CLM_E_INTERNAL, "bench: %zu + %zu + %zu tokens in a context of %zu",
                        test->n_depth, test->n_prompt, test->n_gen, b->info.ctx);
    if (test->n_parallel > 1 && (test->n_prompt > 0 || test->n_parallel > b->info.batch ||
                                 test->n_parallel > CLM_LOGIT_ROWS))
        return clm_fail(err, CLM_E_USAGE,
                        "%zu sequences at once: at most %zu, and without a prompt",
                        test->n_parallel,
                        b->info.batch < CLM_LOGIT_ROWS ? b->info.batch : (size_t)CLM_LOGIT_ROWS);
    rates = malloc((n + 1) * sizeof *rates);
    if (rates == NULL) return clm_fail(err, CLM_E_NOMEM, "bench: no memory");
    /* The cache behind the depth is overwritten by every repetition, the depth itself is kept. */
    st = fill(b, test->n_depth, err);
    if (st == CLM_OK && test->n_parallel > 1)
        st = fill_others(b, test->n_parallel, test->n_depth, err);
    if (st == CLM_OK && !is_warm(b, test))
        st = run_once(b, test, test->n_gen > 0 ? 1 : 0, &out->warmup_seconds, err);
    if (st == CLM_OK && test->n_gen == 0) b->warm = *test;
    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        st = run_once(b, test, test->n_gen, &samples[i], err);
        rates[i] = samples[i] > 0.0 ? tokens / samples[i] : 0.0;
    }
    out->seconds = clm_bench_stats_of(samples, st == CLM_OK ? n : 0);
    out->rate = clm_bench_stats_of(rates, st == CLM_OK ? n : 0);
    out->work = clm_bench_work_prompt(&b->cost, test->n_prompt, test->n_depth, b->info.batch);
    decode = clm_bench_work_decode(&b->cost, test->n_gen, test->n_depth + test->n_prompt,
                                   test->n_parallel > 1 ? test->n_parallel : 1);
    out->work.bytes += decode.bytes;
    out->work.operations += decode.operations;
    out->mean_seconds = out->rate.mean > 0.0 ? tokens / out->rate.mean : 0.0;
    out->share = clm_bench_share_of(&out->work, out->mean_seconds, b->info.limits.read_gbps,
                                    clm_bench_gops(&b->info.limits));
    out->peak_bytes = clm_process_peak_resident();
    free(rates);
    return st;
}
