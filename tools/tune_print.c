/* tools/tune_print.c: tables and T4 JSON of tools/tune_print.h. */
#include "tools/tune_print.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

void clm_tune_print_params(FILE *f, const clm_tune_param *params, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fprintf(f, "%s%s=%d", i > 0 ? " " : "", params[i].name, params[i].value);
}

void clm_tune_format_rate(const clm_tune_device *d, double bytes, double flops, double ms,
                          char out[48])
{
    double rate, share;
    bool arithmetic;
    int n;

    clm_tune_rate(d, bytes, flops, ms, &rate, &arithmetic, &share);
    n = snprintf(out, 48, "%.*f %s", rate < 100.0 ? 1 : 0, rate, arithmetic ? "GFLOP/s" : "GB/s");
    if (share > 0.0) snprintf(out + n, 48 - (size_t)n, " (%.0f %%)", 100.0 * share);
}

void clm_tune_print_table(FILE *f, const clm_tune_db *db, bool markdown)
{
    const clm_tune_device *d = &db->device;

    fprintf(f, "%s, driver %s", d->name, d->driver);
    if (d->read_gbps > 0.0)
        fprintf(f, ": at best %.1f GB/s, %.0f GFLOP/s", d->read_gbps, d->fp32_gflops);
    fputs("\n\n", f);
    if (markdown)
        fputs("| operator | shape | default | tuned | gain | at | parameters |\n"
              "|---|---|--:|--:|--:|--:|---|\n",
              f);
    for (size_t i = 0; i < db->n; i++) {
        const clm_tune_entry *e = &db->entries[i];
        char rate[48], first[32] = "-", gain[32] = "-";

        clm_tune_format_rate(d, e->bytes, e->flops, e->ms, rate);
        if (e->default_ms > 0.0) {
            snprintf(first, sizeof first, "%.4g ms", e->default_ms);
            snprintf(gain, sizeof gain, "%.2fx", e->default_ms / e->ms);
        }
        if (markdown) {
            fprintf(f, "| %s | %s | %s | %.4g ms | %s | %s | ", e->key.op, e->key.shape, first,
                    e->ms, gain, rate);
            clm_tune_print_params(f, e->params, e->n_params);
            fputs(" |\n", f);
        } else {
            fprintf(f, "%s %s\n    default %s, tuned %.4g ms: %s, %s\n    ", e->key.op,
                    e->key.shape, first, e->ms, gain, rate);
            clm_tune_print_params(f, e->params, e->n_params);
            fprintf(f, " (%u tried, %u failed)\n", (unsigned)e->tried, (unsigned)e->failed);
        }
    }
    if (db->n == 0) fputs("nothing is tuned yet\n", f);
}

/* ---- T4 -------------------------------------------------------------------------------------- */

static const char *t4_invalidity(clm_tune_reason reason)
{
    switch (reason) {
    case CLM_TUNE_OK:
    case CLM_TUNE_SLOW:
        return "correct";
    case CLM_TUNE_CONSTRAINT:
        return "constraints";
    case CLM_TUNE_BUILD:
        return "compile";
    case CLM_TUNE_WRONG:
        return "correctness";
    case CLM_TUNE_HANG:
        return "timeout";
    default:
        return "runtime";
    }
}

static json_t *t4_result(const clm_tune_try *t)
{
    const bool timed = t->reason == CLM_TUNE_OK || t->reason == CLM_TUNE_SLOW;
    json_t *configuration = json_object(), *runtimes = json_array(), *measurements = json_array();
    const time_t when = (time_t)t->when;
    char stamp[32] = "";
    struct tm utc;

    for (size_t i = 0; i < t->n_params; i++)
        json_object_set_new(configuration, t->params[i].name, json_integer(t->params[i].value));
    if (timed && t->ms > 0.0) {
        json_array_append_new(runtimes, json_real(t->ms));
        if (t->median_ms > 0.0) json_array_append_new(runtimes, json_real(t->median_ms));
        json_array_append_new(measurements, json_pack("{s:s, s:f, s:s}", "name", "time", "value",
                                                      t->ms, "unit", "ms"));
    }
    if (gmtime_r(&when, &utc) != NULL) strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:[s], s:{s:f, s:f, s:f, s:f, s:o}, s:s, s:i, s:o}", "timestamp",
        stamp, "kernel", t->key.op, "problem", t->key.shape, "configuration", configuration,
        "objectives", "time", "times", "compilation_time", 1e3 * t->build_s, "framework", 0.0,
        "search_algorithm", 0.0, "validation", 0.0, "runtimes", runtimes, "invalidity",
        t4_invalidity(t->reason), "correctness", timed ? 1 : 0, "measurements", measurements);
}

clm_status clm_tune_print_t4(FILE *f, const clm_tune_results *r, clm_err *err)
{
    const clm_tune_device *d = &r->db.device;
    json_t *results = json_array(), *root;
    int rc = -1;

    for (size_t i = 0; i < r->n_tries; i++) json_array_append_new(results, t4_result(&r->tries[i]));
    root = json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:s}, s:o}", "schema_version", "1.0.0",
                     "metadata", "program", "clm " CLM_VERSION, "device", d->name, "vendor",
                     d->vendor, "driver", d->driver, "platform", d->platform, "results", results);
    if (root != NULL) rc = json_dumpf(root, f, JSON_INDENT(1));
    json_decref(root);
    fputc('\n', f);
    return rc == 0 ? CLM_OK : clm_fail(err, CLM_E_IO, "the results could not be written as JSON");
}
