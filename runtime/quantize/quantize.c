/* quantize.c: clm_quantize: from options to a finished file. See runtime/clm.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/cpu.h"
#include "runtime/clm.h"
#include "runtime/quantize/encode.h"
#include "runtime/quantize/pipeline.h"

/* Everything that is open during a run. */
typedef struct run {
    const clm_quantize_options *options;
    const clm_observer *obs;
    clm_model_file *model;
    clm_plan plan;
    char *part, *journal_path;
    clm_out_file *out;
    clm_journal *journal;
    clm_journal_entry *entries;
    size_t n_kept;
} run;

static void run_clear(run *r)
{
    clm_journal_close(r->journal);
    clm_out_file_close(r->out);
    clm_plan_clear(&r->plan);
    clm_model_file_close(r->model);
    free(r->entries);
    free(r->part);
    free(r->journal_path);
}

/* ---- Before ---------------------------------------------------------------------------------- */

static clm_status find_type(const char *name, const clm_quantize_type **out, clm_err *err)
{
    *out = NULL;
    if (name == NULL) return CLM_OK;
    *out = clm_quantize_type_find(name);
    if (*out != NULL) return CLM_OK;
    return clm_fail(err, CLM_E_USAGE, "quantize: '%s' is no type; there are %s", name,
                    clm_quantize_type_list());
}

static clm_status check_target(const clm_quantize_options *o, clm_err *err)
{
    if (clm_file_is_dir(o->target))
        return clm_fail(err, CLM_E_USAGE, "%s: is a folder; name the file to write", o->target);
    /* Renaming the new file over /dev/null would take it from the whole system. */
    if (clm_file_exists(o->target) && !clm_file_is_regular(o->target))
        return clm_fail(err, CLM_E_USAGE, "%s: is no regular file; name the file to write",
                        o->target);
    if (clm_file_is_same(o->source, o->target))
        return clm_fail(
            err, CLM_E_USAGE,
            "%s: is the model itself, of which nothing would be left; name another file",
            o->target);
    if (clm_file_exists(o->target) && !o->force)
        return clm_fail(err, CLM_E_USAGE, "%s: exists already; --force replaces it", o->target);
    return CLM_OK;
}

static clm_status make_plan(run *r, clm_err *err)
{
    const clm_quantize_options *o = r->options;
    const clm_quantize_type *type, *head, *embedding;
    clm_status st = find_type(o->type, &type, err);

    if (st == CLM_OK) st = find_type(o->head_type, &head, err);
    if (st == CLM_OK) st = find_type(o->embedding_type, &embedding, err);
    if (st == CLM_OK) st = check_target(o, err);
    if (st == CLM_OK) st = clm_model_file_open(o->source, &r->model, err);
    if (st == CLM_OK) st = clm_model_file_need_weights(r->model, err);
    if (st != CLM_OK) return st;
    if (clm_model_file_warning(r->model) != NULL)
        clm_log(r->obs, CLM_LOG_WARN, "%s", clm_model_file_warning(r->model));
    return clm_plan_create(r->model, type, head, embedding, r->obs, &r->plan, err);
}

/* What an unfinished file must have been made from to be gone on with. */
static clm_status identify(const run *r, char identity[33], clm_err *err)
{
    const uint32_t version = CLM_ENCODE_VERSION;
    uint64_t *sums = calloc(r->plan.n_tensors, sizeof *sums);
    uint8_t *header = NULL;
    clm_hash *h = NULL;
    clm_status st = clm_hash_create(&h, err);

    if (st == CLM_OK && sums == NULL) st = clm_fail(err, CLM_E_NOMEM, "quantize: no memory");
    if (st == CLM_OK) st = clm_plan_header(&r->plan, sums, &header, err);
    if (st == CLM_OK) st = clm_file_identify(r->options->source, h, err);
    if (st == CLM_OK) {
        clm_hash_add(h, &version, sizeof version);
        clm_hash_add(h, header, r->plan.header_bytes); /* keys, tensors, types, places */
        clm_hash_hex(h, identity);
    }
    clm_hash_destroy(h);
    free(header);
    free(sums);
    return st;
}

/* ---- Going on -------------------------------------------------------------------------------- */

/* The sum of a tensor's data as they are in the unfinished file. */
static clm_status sum_tensor(run *r, const clm_plan_tensor *t, clm_checksum *c, uint8_t *buffer,
                             size_t room, uint64_t *sum, clm_err *err)
{
    clm_status st = CLM_OK;

    for (uint64_t at = 0; at < t->bytes && st == CLM_OK; at += room) {
        const size_t n = t->bytes - at < room ? (size_t)(t->bytes - at) : room;

        st = clm_out_file_read(r->out, t->place + at, buffer, n, err);
        if (st == CLM_OK) clm_checksum_add(c, buffer, n);
    }
    *sum = clm_checksum_take(c);
    return st;
}

/* Of the tensors that the journal calls done, keeps those whose data are still right. */
static clm_status check_entries(run *r, clm_err *err)
{
    enum { ROOM = 4 << 20 };
    uint8_t *buffer = malloc(ROOM);
    clm_checksum *c = NULL;
    clm_status st = clm_checksum_create(&c, err);

    if (buffer == NULL && st == CLM_OK) st = clm_fail(err, CLM_E_NOMEM, "quantize: no memory");
    for (size_t i = 0; i < r->plan.n_tensors && st == CLM_OK; i++) {
        uint64_t sum = 0;

        if (!r->entries[i].done) continue;
        clm_progress(r->obs, "checking what is there", i + 1, r->plan.n_tensors);
        st = sum_tensor(r, &r->plan.tensors[i], c, buffer, ROOM, &sum, err);
        r->entries[i].done = st == CLM_OK && sum == r->entries[i].sum;
        r->n_kept += r->entries[i].done;
    }
    if (r->n_kept > 0) {
        clm_progress(r->obs, "checking what is there", r->plan.n_tensors, r->plan.n_tensors);
        clm_log(r->obs, CLM_LOG_INFO, "going on: %zu of %zu tensors are there already", r->n_kept,
                r->plan.n_tensors);
    }
    clm_checksum_destroy(c);
    free(buffer);
    return st;
}

static clm_status open_files(run *r, clm_err *err)
{
    char identity[33];
    bool kept = false;
    clm_status st = identify(r, identity, err);

    if (st != CLM_OK) return st;
    r->entries = calloc(r->plan.n_tensors, sizeof *r->entries);
    if (r->entries == NULL || asprintf(&r->part, "%s.part", r->options->target) < 0 ||
        asprintf(&r->journal_path, "%s.part.journal", r->options->target) < 0)
        return clm_fail(err, CLM_E_NOMEM, "quantize: no memory");
    st = clm_out_file_open(r->part, r->plan.file_bytes, &kept, &r->out, err);
    if (st == CLM_OK)
        st = clm_journal_open(r->journal_path, identity, kept, r->entries, r->plan.n_tensors,
                              &r->journal, err);
    if (st == CLM_OK) st = check_entries(r, err);
    return st;
}

/* ---- After ----------------------------------------------------------------------------------- */

/* The header comes last, so that the file is no GGUF file before it is whole. */
static clm_status finish(run *r, clm_err *err)
{
    uint64_t *sums = calloc(r->plan.n_tensors, sizeof *sums);
    uint8_t *header = NULL;
    clm_status st = CLM_OK;

    if (sums == NULL) return clm_fail(err, CLM_E_NOMEM, "quantize: no memory");
    for (size_t i = 0; i < r->plan.n_tensors; i++) sums[i] = r->entries[i].sum;
    st = clm_plan_header(&r->plan, sums, &header, err);
    if (st == CLM_OK) st = clm_out_file_write(r->out, 0, header, r->plan.header_bytes, err);
    if (st == CLM_OK) st = clm_out_file_commit(r->out, r->options->target, err);
    if (st == CLM_OK) st = clm_file_remove(r->journal_path, err);
    free(header);
    free(sums);
    return st;
}

static clm_status fill_report(const run *r, clm_quantize_report *out, clm_err *err)
{
    double error = 0.0, weights = 0.0;

    out->tensors = calloc(r->plan.n_tensors, sizeof *out->tensors);
    if (out->tensors == NULL) return clm_fail(err, CLM_E_NOMEM, "quantize: no memory");
    out->n_tensors = r->plan.n_tensors;
    out->n_kept = r->n_kept;
    out->n_fallbacks = r->plan.n_fallbacks;
    out->source_bytes = r->plan.source_bytes;
    out->bytes = r->plan.file_bytes;
    for (size_t i = 0; i < r->plan.n_tensors; i++) {
        const clm_plan_tensor *t = &r->plan.tensors[i];
        const clm_journal_entry *e = &r->entries[i];
        clm_quantize_tensor *to = &out->tensors[i];

        snprintf(to->name, sizeof to->name, "%s", t->name);
        to->type = clm_qtype_name((uint32_t)t->type);
        to->rows = t->from->rows;
        to->cols = t->from->cols;
        to->bytes = t->bytes;
        to->mean_squared_error = e->error / ((double)to->rows * (double)to->cols);
        to->relative_error = e->norm > 0.0 ? sqrt(e->error / e->norm) : 0.0;
        if (t->vector) continue;
        error += (double)to->rows * (double)to->cols * to->relative_error * to->relative_error;
        weights += (double)to->rows * (double)to->cols;
    }
    out->relative_error = sqrt(error / weights);
    return CLM_OK;
}

void clm_quantize_report_clear(clm_quantize_report *report)
{
    free(report->tensors);
    memset(report, 0, sizeof *report);
}

/* A run that did not end well leaves what the next one can use, and says so. */
static void leave(const run *r, clm_status st)
{
    size_t n = 0;

    if (r->journal == NULL) return;
    if (st == CLM_E_MODEL) { /* the next one would fail as well */
        clm_file_remove(r->part, NULL);
        clm_file_remove(r->journal_path, NULL);
        return;
    }
    for (size_t i = 0; i < r->plan.n_tensors; i++) n += r->entries[i].done;
    clm_log(r->obs, CLM_LOG_INFO,
            "%zu of %zu tensors are kept in %s: the same command goes on from there", n,
            r->plan.n_tensors, r->part);
}

clm_status clm_quantize(const clm_quantize_options *options, const clm_observer *obs,
                        clm_quantize_report *report, clm_err *err)
{
    const double start = clm_clock_seconds();
    run r = {.options = options, .obs = obs};
    clm_status st;

    memset(report, 0, sizeof *report);
    st = make_plan(&r, err);
    if (st == CLM_OK) st = open_files(&r, err);
    if (st == CLM_OK)
        st = clm_pipeline_run(&r.plan, r.out, r.journal, r.entries,
                              options->threads > 0 ? options->threads : clm_cpu_count(),
                              options->stop, obs, err);
    if (st == CLM_OK) st = finish(&r, err);
    if (st == CLM_OK) st = fill_report(&r, report, err);
    report->seconds = clm_clock_seconds() - start;
    if (st != CLM_OK) leave(&r, st);
    run_clear(&r);
    return st;
}
