/* tools/bench_print.c: see tools/bench_print.h. A row is one JSON object in every format; names are
 * llama-bench's where it has them.
 */
#include "tools/bench_print.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/cli.h"

static const char *const k_formats[] = {[CLM_BENCH_MD] = "md",
                                        [CLM_BENCH_JSON] = "json",
                                        [CLM_BENCH_JSONL] = "jsonl",
                                        [CLM_BENCH_CSV] = "csv"};
/* Below this share (percent) of both limits a run is limited by something else. */
static const double LIMITED_PERCENT = 50.0;

bool clm_bench_format_find(const char *name, clm_bench_format *out)
{
    for (size_t i = 0; i < sizeof k_formats / sizeof *k_formats; i++)
        if (strcmp(name, k_formats[i]) == 0) {
            *out = (clm_bench_format)i;
            return true;
        }
    return false;
}

void clm_bench_printer_init(clm_bench_printer *p, clm_bench_format format, const clm_settings *s)
{
    memset(p, 0, sizeof *p);
    p->format = format;
    p->settings = s;
    if (format == CLM_BENCH_JSON) p->rows = json_array();
}

void clm_bench_printer_clear(clm_bench_printer *p)
{
    json_decref(p->rows);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static double largest_share(const clm_bench_share *share)
{
    return fmax(fmax(share->memory, share->arithmetic), share->launch);
}

static const char *nearer_limit(const clm_bench_share *share)
{
    const double most = largest_share(share);

    if (most <= 0.0) return "";
    if (share->memory == most) return "memory";
    return share->arithmetic == most ? "arithmetic" : "launch";
}

/* Figures that rows of tests and of operators share. `seconds` is one run or launch. */
static void add_shares(json_t *row, const clm_bench_work *work, const clm_bench_share *share,
                       double seconds, const clm_device_limits *limits)
{
    json_t *more = json_pack(
        "{s:f, s:f, s:f, s:f, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "gbps",
        seconds > 0.0 ? work->bytes / seconds * 1e-9 : 0.0, "gops",
        seconds > 0.0 ? work->operations / seconds * 1e-9 : 0.0, "memory_percent", share->memory,
        "arithmetic_percent", share->arithmetic, "limit", nearer_limit(share), "limit_percent",
        largest_share(share), "limit_read_gbps", limits->read_gbps, "limit_fp32_gflops",
        limits->fp32_gflops, "limit_int8_gops", limits->int8_gops, "limit_bf16_gflops",
        limits->bf16_gflops, "launch_us", limits->launch_us, "roundtrip_us", limits->roundtrip_us);

    json_object_update(row, more);
    json_decref(more);
}

static json_t *test_row(const clm_bench_printer *p, const clm_bench_test *test,
                        const clm_bench_result *r, const double *samples, size_t n)
{
    static const char *const cache_types[] = {"f32", "f16", "int8"};
    static const char *const activations[] = {"auto", "f32", "int8"};
    const clm_bench_info *info = &p->info;
    const char *kv = cache_types[p->settings->kv_cache_type];
    json_t *row, *ns = json_array(), *ts = json_array();
    const time_t now = time(NULL);
    char stamp[32] = "";
    struct tm utc;

    if (gmtime_r(&now, &utc) != NULL) strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(ns, json_integer((json_int_t)llround(samples[i] * 1e9)));
        json_array_append_new(
            ts, json_real(samples[i] > 0.0 ? (double)clm_bench_tokens(test) / samples[i] : 0.0));
    }
    row = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:i, s:s, s:s, s:s, s:i, s:i, s:i, s:s, s:I, s:I, "
        "s:I, s:f, s:f, s:f, s:o, s:o, s:i}",
        "clm_version", CLM_VERSION, "model_filename", info->model, "model_type", info->model_type,
        "model_size", (json_int_t)info->model_bytes, "model_n_params", (json_int_t)info->n_params,
        "weights", info->weights, "device", info->device, "n_batch", (int)info->batch, "type_k", kv,
        "type_v", kv, "activations", activations[p->settings->activations], "n_prompt",
        (int)test->n_prompt, "n_gen", (int)test->n_gen, "n_depth", (int)test->n_depth, "test_time",
        stamp, "avg_ns", (json_int_t)llround(r->seconds.mean * 1e9), "stddev_ns",
        (json_int_t)llround(r->seconds.deviation * 1e9), "median_ns",
        (json_int_t)llround(r->seconds.median * 1e9), "avg_ts", r->rate.mean, "stddev_ts",
        r->rate.deviation, "median_ts", r->rate.median, "samples_ns", ns, "samples_ts", ts,
        "n_parallel", (int)(test->n_parallel > 1 ? test->n_parallel : 1));
    if (row == NULL) return NULL;
    add_shares(row, &r->work, &r->share, r->mean_seconds, &info->limits);
    json_object_set_new(row, "kernel_seconds", json_real(info->kernel_seconds));
    json_object_set_new(row, "load_seconds", json_real(info->load_seconds));
    json_object_set_new(row, "warmup_seconds", json_real(r->warmup_seconds));
    json_object_set_new(row, "device_weight_bytes", json_integer((json_int_t)info->weight_bytes));
    json_object_set_new(row, "device_kv_bytes", json_integer((json_int_t)info->kv_bytes));
    json_object_set_new(row, "host_load_peak_bytes",
                        json_integer((json_int_t)info->load_peak_bytes));
    json_object_set_new(row, "host_peak_bytes", json_integer((json_int_t)r->peak_bytes));
    return row;
}

/* ---- formats --------------------------------------------------------------------------------- */

static void print_csv_text(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"') putchar('"');
        putchar(*text);
    }
    putchar('"');
}

/* Lists are left out; a row of names comes first. */
static void print_csv(json_t *row, bool names)
{
    const char *key;
    json_t *value;
    size_t n = 0;

    json_object_foreach(row, key, value)
    {
        if (json_is_array(value)) continue;
        if (n++ > 0) putchar(',');
        if (names)
            print_csv_text(key);
        else if (json_is_string(value))
            print_csv_text(json_string_value(value));
        else if (json_is_boolean(value))
            fputs(json_is_true(value) ? "true" : "false", stdout);
        else if (json_is_integer(value))
            printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
        else
            printf("%.6g", json_real_value(value));
    }
    putchar('\n');
}

/* Prints the row where the format does not collect or draw it; takes it. */
static clm_status put_row(clm_bench_printer *p, json_t *row, clm_err *err)
{
    char *text = NULL;

    if (row == NULL) return clm_fail(err, CLM_E_INTERNAL, "a result is no valid JSON");
    if (p->format == CLM_BENCH_JSON) {
        json_array_append_new(p->rows, row);
        return CLM_OK;
    }
    if (p->format == CLM_BENCH_CSV) {
        if (p->n_printed == 0) print_csv(row, true);
        print_csv(row, false);
    } else if (p->format == CLM_BENCH_JSONL) {
        text = json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(9));
        if (text != NULL) puts(text);
        free(text);
    }
    fflush(stdout);
    p->n_printed++;
    json_decref(row);
    return CLM_OK;
}

static void format_share(const clm_bench_share *share, char out[48])
{
    const char *limit = nearer_limit(share);

    if (*limit == '\0')
        snprintf(out, 48, "-");
    else
        snprintf(out, 48, "%.0f %% %s", largest_share(share), limit);
}

static void name_test(const clm_bench_test *t, char out[64])
{
    size_t used = 0;

    if (t->n_prompt > 0)
        used = (size_t)snprintf(out, 64, t->n_gen > 0 ? "pp%zu+" : "pp%zu", t->n_prompt);
    if (t->n_gen > 0) used += (size_t)snprintf(out + used, 64 - used, "tg%zu", t->n_gen);
    if (t->n_parallel > 1) used += (size_t)snprintf(out + used, 64 - used, " x%zu", t->n_parallel);
    if (t->n_depth > 0) snprintf(out + used, 64 - used, " @ d%zu", t->n_depth);
}

static void draw_test(clm_bench_printer *p, const clm_bench_test *test, const clm_bench_result *r)
{
    const clm_bench_info *info = &p->info;
    char size[32], device[32], host[32], name[64], rate[48], share[48];

    if (p->n_printed++ == 0) {
        printf("| %-28s | %9s | %9s | %9s | %16s | %18s | %16s |\n", "model", "size", "on device",
               "host peak", "test", "t/s", "of limit");
        puts("| ---------------------------- | --------: | --------: | --------: | "
             "---------------: | -----------------: | ---------------: |");
    }
    clm_cli_format_bytes((double)info->model_bytes, size);
    clm_cli_format_bytes((double)(info->weight_bytes + info->kv_bytes), device);
    clm_cli_format_bytes((double)r->peak_bytes, host);
    name_test(test, name);
    snprintf(rate, sizeof rate, "%.2f ± %.2f", r->rate.mean, r->rate.deviation);
    format_share(&r->share, share);
    /* One more column than bytes: the sign takes two. */
    printf("| %-28s | %9s | %9s | %9s | %16s | %19s | %16s |\n", info->model_type, size, device,
           host, name, rate, share);
    fflush(stdout);
}

/* What a run spent its time on, on a line of standard error, so that tables stay tables. */
static void explain(const clm_bench_test *test, const clm_bench_result *r,
                    const clm_device_limits *limits)
{
    char name[64];

    if (*nearer_limit(&r->share) == '\0') return;
    name_test(test, name);
    clm_cli_end_progress();
    if (fmax(r->share.memory, r->share.arithmetic) < LIMITED_PERCENT)
        fprintf(stderr,
                "clm: %s is limited by the kernels: %.1f %% of what the memory can do, %.1f %% of "
                "the arithmetic\n",
                name, r->share.memory, r->share.arithmetic);
    else if (r->share.memory >= r->share.arithmetic)
        fprintf(stderr, "clm: %s is limited by memory: it reads at %.0f %% of %.1f GB/s\n", name,
                r->share.memory, limits->read_gbps);
    else
        fprintf(stderr,
                "clm: %s is limited by arithmetic: it calculates at %.0f %% of %.0f GOP/s\n", name,
                r->share.arithmetic, clm_bench_gops(limits));
}

clm_status clm_bench_print_test(clm_bench_printer *p, const clm_bench_test *test,
                                const clm_bench_result *r, const double *samples, size_t n,
                                clm_err *err)
{
    clm_cli_end_progress();
    if (p->format == CLM_BENCH_MD)
        draw_test(p, test, r);
    else if (put_row(p, test_row(p, test, r, samples, n), err) != CLM_OK)
        return CLM_E_INTERNAL;
    explain(test, r, &p->info.limits);
    return CLM_OK;
}

clm_status clm_bench_print_memory(clm_bench_printer *p, double gbps, clm_err *err)
{
    clm_cli_end_progress();
    if (p->format != CLM_BENCH_MD)
        return put_row(p, json_pack("{s:f}", "limit_read_gbps", gbps), err);
    printf("memory: %.1f GB/s\n", gbps);
    fflush(stdout);
    return CLM_OK;
}

static void print_limits(const clm_device_limits *l)
{
    if (l->read_gbps <= 0.0) return;
    printf("limits: reads %.1f GB/s, float %.0f GFLOP/s, 8-bit integers %.0f GOP/s, ", l->read_gbps,
           l->fp32_gflops, l->int8_gops);
    if (l->bf16_gflops > 0.0) printf("bfloat16 tiles %.0f GFLOP/s, ", l->bf16_gflops);
    printf("a launch %.1f us, a round trip %.1f us\n", l->launch_us, l->roundtrip_us);
}

void clm_bench_print_summary(clm_bench_printer *p)
{
    char weights[32], cache[32], peak[32];

    if (p->format != CLM_BENCH_MD) return;
    clm_cli_format_bytes((double)p->info.weight_bytes, weights);
    clm_cli_format_bytes((double)p->info.kv_bytes, cache);
    clm_cli_format_bytes((double)p->info.load_peak_bytes, peak);
    printf("\ndevice: %s\n", p->info.device);
    print_limits(&p->info.limits);
    printf("start: %.2f s for kernels and memory, %.2f s for weights, at most %s of host memory\n",
           p->info.kernel_seconds, p->info.load_seconds, peak);
    printf("memory: %s of weights, %s of keys and values for %zu tokens\n", weights, cache,
           p->info.ctx);
}

/* ---- operators ------------------------------------------------------------------------------- */

/* "42 % memory", "<= 80 % int8", "97 % launch, cached" */
static void format_op_share(const clm_bench_op *op, char out[48])
{
    const char *limit = nearer_limit(&op->share), *cached = op->cached ? ", cached" : "";
    const bool launch = strcmp(limit, "launch") == 0;

    if (*limit == '\0') {
        snprintf(out, 48, "-%s", cached);
        return;
    }
    snprintf(out, 48, "%s%.0f %% %s%s", op->at_most && !launch ? "<= " : "",
             largest_share(&op->share), strcmp(limit, "arithmetic") == 0 ? op->arithmetic : limit,
             cached);
}

static void draw_op(clm_bench_printer *p, const clm_bench_op *op)
{
    char share[48];

    if (!p->ops) {
        if (p->n_printed > 0) putchar('\n');
        print_limits(&p->limits);
        printf("\n| %-17s | %-96s | %-7s | %10s | %7s | %8s | %20s |\n", "operator", "shape",
               "values", "us", "GB/s", "GOP/s", "of limit");
        printf("| ----------------- | %.96s | ------- | ---------: | ------: | -------: | "
               "-------------------: |\n",
               "----------------------------------------------------------------------------------"
               "--------------");
    }
    format_op_share(op, share);
    printf("| %-17s | %-96s | %-7s | %10.1f | %7.1f | %8.1f | %20s |\n", op->name, op->shape,
           op->tuned ? "tuned" : "default", op->seconds * 1e6, op->work.bytes / op->seconds * 1e-9,
           op->work.operations / op->seconds * 1e-9, share);
    fflush(stdout);
    p->n_printed++;
}

static json_t *op_row(const clm_bench_printer *p, const clm_bench_op *op)
{
    clm_device_limits limits = p->limits;
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:s, s:f, s:s, s:b, s:b, s:f}", "op", op->name, "shape",
                  op->shape, "params", op->params, "values", op->tuned ? "tuned" : "default", "us",
                  op->seconds * 1e6, "arithmetic", op->arithmetic, "at_most", op->at_most, "cached",
                  op->cached, "launch_percent", op->share.launch);

    limits.read_gbps = op->read_gbps;
    if (row != NULL) add_shares(row, &op->work, &op->share, op->seconds, &limits);
    return row;
}

clm_status clm_bench_print_op(clm_bench_printer *p, const clm_bench_op *op, clm_err *err)
{
    clm_status st = CLM_OK;
    json_t *row;

    clm_cli_end_progress();
    if (p->format == CLM_BENCH_MD) {
        draw_op(p, op);
    } else {
        /* Other columns: a table of their own. */
        if (!p->ops && p->format == CLM_BENCH_CSV && p->n_printed > 0) {
            putchar('\n');
            p->n_printed = 0;
        }
        row = op_row(p, op);
        st = put_row(p, row, err);
    }
    p->ops = true;
    return st;
}

clm_status clm_bench_print_end(clm_bench_printer *p, clm_err *err)
{
    char *text;

    if (p->format != CLM_BENCH_JSON) return CLM_OK;
    text = json_dumps(p->rows, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    if (text == NULL) return clm_fail(err, CLM_E_INTERNAL, "the results are no valid JSON");
    puts(text);
    free(text);
    return CLM_OK;
}
