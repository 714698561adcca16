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

const char *clm_tune_print_unused(const clm_tune_results *r, const clm_tune_entry *e)
{
    return r->own ? NULL : clm_tune_unused(e);
}

void clm_tune_print_table(FILE *f, const clm_tune_results *r, bool markdown)
{
    const clm_tune_db *db = &r->db;
    const clm_tune_device *d = &db->device;
    size_t n_unused = 0;

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
        const char *unused = clm_tune_print_unused(r, e);
        char rate[48], first[32] = "-", gain[32] = "-";

        n_unused += unused != NULL;
        clm_tune_format_rate(d, e->bytes, e->flops, e->ms, rate);
        if (e->default_ms > 0.0) {
            snprintf(first, sizeof first, "%.4g ms", e->default_ms);
            snprintf(gain, sizeof gain, "%.2fx", e->default_ms / e->ms);
        }
        if (markdown) {
            fprintf(f, "| %s | %s | %s | %.4g ms | %s | %s | ", e->key.op, e->key.shape, first,
                    e->ms, gain, rate);
            clm_tune_print_params(f, e->params, e->n_params);
            if (unused != NULL) fprintf(f, " (not used: %s)", unused);
            fputs(" |\n", f);
        } else {
            fprintf(f, "%s %s\n    default %s, tuned %.4g ms: %s, %s\n    ", e->key.op,
                    e->key.shape, first, e->ms, gain, rate);
            clm_tune_print_params(f, e->params, e->n_params);
            fprintf(f, " (%u tried, %u failed)\n", (unsigned)e->tried, (unsigned)e->failed);
            if (unused != NULL) fprintf(f, "    not used: %s\n", unused);
        }
    }
    if (db->n == 0) fputs("nothing is tuned yet\n", f);
    if (n_unused > 0)
        fprintf(f, "\n%zu of %zu entries not used; `clm tune` measures anew\n", n_unused, db->n);
}

/* ---- Databases compared by time -------------------------------------------------------------- */

/* "1.021 (1.015 to 1.032)" */
static void format_ratio(const clm_tune_ratio *r, char out[48])
{
    if (r->median > 0.0)
        snprintf(out, 48, "%.3f (%.3f to %.3f)", r->median, r->low, r->high);
    else
        snprintf(out, 48, "-");
}

static void count_match(const clm_tune_match *m, clm_tune_matches *sum)
{
    const double b = m->b_to_a.median;

    sum->launches++;
    sum->same += m->same;
    sum->failed += m->text[0] != '\0';
    if (!m->same && b > 0.0) {
        const double apart = b > 1.0 ? b : 1.0 / b;

        if (apart > sum->apart) sum->apart = apart;
    }
    if (m->a_to_default.median > sum->a_worst) sum->a_worst = m->a_to_default.median;
    if (m->b_to_default > sum->b_worst) sum->b_worst = m->b_to_default;
}

void clm_tune_print_match(FILE *f, const clm_tune_match *m, clm_tune_matches *sum)
{
    char b_to_a[48], a[48], b[16] = "-";

    if (sum->markdown && sum->launches == 0)
        fputs("| launch | default | B / A | A / default | B / default |\n"
              "|---|--:|--:|--:|--:|\n",
              f);
    count_match(m, sum);
    format_ratio(&m->b_to_a, b_to_a);
    format_ratio(&m->a_to_default, a);
    if (m->b_to_default > 0.0) snprintf(b, sizeof b, "%.3f", m->b_to_default);
    if (sum->markdown) {
        fprintf(f, "| %s %s | ", m->key->op, m->key->shape);
        if (m->text[0] != '\0')
            fprintf(f, "not compared: %s | | | |\n", m->text);
        else if (m->all_default)
            fputs("- | same | default | default |\n", f);
        else
            fprintf(f, "%.4g ms | %s | %s | %s |\n", m->ms[2], m->same ? "same" : b_to_a, a, b);
        return;
    }
    fprintf(f, "%s %s\n    ", m->key->op, m->key->shape);
    if (m->text[0] != '\0')
        fprintf(f, "not compared: %s\n", m->text);
    else if (m->all_default)
        fputs("same: the default\n", f);
    else if (m->same)
        fprintf(f, "same; to the default (%.4g ms) %s\n", m->ms[2], a);
    else
        fprintf(f, "B to A %s; to the default (%.4g ms) A %s, B %s\n", b_to_a, m->ms[2], a, b);
}

void clm_tune_print_matches(FILE *f, const clm_tune_matches *sum)
{
    fprintf(f, "\n%zu launches, %zu with the same choice", sum->launches, sum->same);
    if (sum->failed > 0) fprintf(f, ", %zu not compared", sum->failed);
    if (sum->apart > 0.0)
        fprintf(f, "; the others at most %.1f %% apart", 100.0 * (sum->apart - 1.0));
    if (sum->a_worst > 0.0)
        fprintf(f, "; to the default at most %.3f (A), %.3f (B)", sum->a_worst, sum->b_worst);
    fputs("\n", f);
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
