/* pipeline.c: see pipeline.h. */
#include "runtime/quantize/pipeline.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "host/hash.h"
#include "host/vectorise.h"
#include "runtime/quantize/encode.h"
#include "runtime/quantize/exact.h"

enum {
    PIECE = 1 << 19,        /* elements that a thread takes at a time, or one row */
    MAX_THREADS = 64,       /* times 4 MB for two buffers of such pieces */
    DROP_BYTES = 128 << 20, /* of the source: then its memory is given back */
};

/* Rows of one tensor, and when it is their turn to be written. */
typedef struct piece {
    size_t tensor, row0, rows;
    uint64_t ticket;
} piece;

/* What the threads share. Everything below the mutex is guarded by it. */
typedef struct pipeline {
    const clm_plan *plan;
    clm_out_file *out;
    clm_journal *journal;
    clm_journal_entry *entries;
    const volatile sig_atomic_t *stop;
    const clm_observer *obs;
    size_t room; /* elements in a thread's buffers */

    pthread_mutex_t mutex;
    pthread_cond_t turn;
    size_t next_tensor, next_row;
    uint64_t next_ticket, written; /* tickets handed out and used */
    clm_checksum *checksum;        /* of the tensor being written */
    double error, norm;
    uint64_t source_done, source_dropped, released;
    clm_status st;
    clm_err err; /* of the first failure */
} pipeline;

/* Elements of the widest rows, or a piece if that is more. */
static size_t buffer_room(const clm_plan *plan)
{
    size_t room = PIECE;

    for (size_t i = 0; i < plan->n_tensors; i++)
        if (plan->tensors[i].from->cols > room) room = plan->tensors[i].from->cols;
    return room;
}

/* ---- One piece ------------------------------------------------------------------------------- */

/* Whether the source's bytes are what is to be written. */
static bool is_same(const clm_plan_tensor *t)
{
    const clm_tensor *from = t->from;

    return from->gptq == NULL && from->rotary_head == 0 && !from->normalised &&
           from->type == t->type;
}

CLM_VECTORISED static double sum_of_squares(const float *x, size_t count)
{
    double lanes[8] = {0}, sum = 0.0;
    size_t i = 0;

    for (; i + 8 <= count; i += 8)
        for (size_t l = 0; l < 8; l++) lanes[l] += (double)x[i + l] * (double)x[i + l];
    for (; i < count; i++) sum += (double)x[i] * (double)x[i];
    for (size_t l = 0; l < 8; l++) sum += lanes[l];
    return sum;
}

static clm_status encode_piece(const clm_plan_tensor *t, const piece *p, float *values,
                               uint8_t *bytes, double *error, double *norm, clm_err *err)
{
    const size_t count = p->rows * t->from->cols;
    size_t bad;
    clm_status st = clm_tensor_read_rows(t->from, p->row0, p->rows, values, err);

    if (st != CLM_OK) return st;
    bad = clm_find_not_finite(values, count);
    if (bad < count)
        return clm_fail(err, CLM_E_MODEL,
                        "tensor '%s': row %zu, column %zu is %g, not a finite "
                        "number",
                        t->from->name, p->row0 + bad / t->from->cols, bad % t->from->cols,
                        (double)values[bad]);
    *norm = sum_of_squares(values, count);
    if (is_same(t)) {
        memcpy(bytes, t->from->data + p->row0 * t->row_bytes, p->rows * t->row_bytes);
        *error = 0.0;
    } else if (clm_exact_possible(t->from, t->type)) {
        *error = 0.0;
        return clm_exact_encode(t->from, t->type, p->row0, p->rows, values, bytes, err);
    } else {
        *error = clm_encode(t->type, values, count, bytes);
    }
    if (!isfinite(*error))
        return clm_fail(err, CLM_E_MODEL, "tensor '%s' has values too large for %s", t->from->name,
                        clm_qtype_name((uint32_t)t->type));
    return CLM_OK;
}

/* ---- Taking and writing, with the mutex held ------------------------------------------------- */

/* The next rows, if there are any and nothing has failed. */
static bool take_piece(pipeline *w, piece *out)
{
    const clm_plan *plan = w->plan;

    if (w->st == CLM_OK && w->stop != NULL && *w->stop)
        w->st = clm_fail(&w->err, CLM_E_INTERRUPTED, "interrupted");
    while (w->next_tensor < plan->n_tensors && w->entries[w->next_tensor].done) w->next_tensor++;
    if (w->st != CLM_OK || w->next_tensor == plan->n_tensors) return false;

    const clm_tensor *from = plan->tensors[w->next_tensor].from;
    const size_t fit = PIECE / from->cols > 0 ? PIECE / from->cols : 1,
                 left = from->rows - w->next_row;
    *out = (piece){.tensor = w->next_tensor,
                   .row0 = w->next_row,
                   .rows = left < fit ? left : fit,
                   .ticket = w->next_ticket++};
    w->next_row += out->rows;
    if (w->next_row == from->rows) {
        w->next_tensor++;
        w->next_row = 0;
    }
    return true;
}

/* Gives back memory now and then: the source's mapped pages, and pages written. */
static void release_memory(pipeline *w, uint64_t written_to)
{
    if (w->source_done - w->source_dropped < DROP_BYTES) return;
    clm_model_file_drop_pages(w->plan->model);
    clm_out_file_release(w->out, w->released, written_to - w->released);
    w->source_dropped = w->source_done;
    w->released = written_to;
}

static clm_status write_piece(pipeline *w, const piece *p, const uint8_t *bytes, double error,
                              double norm)
{
    const clm_plan_tensor *t = &w->plan->tensors[p->tensor];
    clm_journal_entry *entry = &w->entries[p->tensor];
    const size_t size = p->rows * t->row_bytes;
    const uint64_t place = t->place + p->row0 * t->row_bytes;
    clm_status st = clm_out_file_write(w->out, place, bytes, size, &w->err);

    if (st != CLM_OK) return st;
    clm_checksum_add(w->checksum, bytes, size);
    w->error += error;
    w->norm += norm;
    w->source_done += (uint64_t)((double)t->from->bytes * (double)p->rows / (double)t->from->rows);
    release_memory(w, place + size);
    clm_progress(w->obs, "quantising, MB", (size_t)(w->source_done / 1000000),
                 (size_t)(w->plan->source_bytes / 1000000) + 1);
    if (p->row0 + p->rows < t->from->rows) return CLM_OK;

    *entry = (clm_journal_entry){true, clm_checksum_take(w->checksum), w->error, w->norm};
    w->error = w->norm = 0.0;
    return clm_journal_add(w->journal, p->tensor, entry, &w->err);
}

/* ---- Threads --------------------------------------------------------------------------------- */

static void fail(pipeline *w, clm_status st, const clm_err *err)
{
    if (w->st != CLM_OK) return;
    w->st = st;
    w->err = *err;
}

static void *run_thread(void *user)
{
    pipeline *w = user;
    float *values = malloc(w->room * sizeof *values);
    uint8_t *bytes = malloc(w->room * sizeof(float));
    clm_err err = {""};
    piece p;

    pthread_mutex_lock(&w->mutex);
    if (values == NULL || bytes == NULL) {
        clm_fail(&err, CLM_E_NOMEM, "quantize: no memory");
        fail(w, CLM_E_NOMEM, &err);
    }
    while (take_piece(w, &p)) {
        double error = 0.0, norm = 0.0;
        clm_status st;

        pthread_mutex_unlock(&w->mutex);
        st = encode_piece(&w->plan->tensors[p.tensor], &p, values, bytes, &error, &norm, &err);
        pthread_mutex_lock(&w->mutex);
        if (st != CLM_OK) fail(w, st, &err);
        while (w->written != p.ticket && w->st == CLM_OK) pthread_cond_wait(&w->turn, &w->mutex);
        if (w->st == CLM_OK) {
            st = write_piece(w, &p, bytes, error, norm);
            if (st != CLM_OK) w->st = st; /* the sentence is in w->err */
        }
        w->written++;
        pthread_cond_broadcast(&w->turn);
    }
    pthread_cond_broadcast(&w->turn);
    pthread_mutex_unlock(&w->mutex);
    free(values);
    free(bytes);
    return NULL;
}

/* Runs the threads; should none but the first few start, these do all. */
static void run_threads(pipeline *w, size_t n)
{
    pthread_t threads[MAX_THREADS];
    size_t started = 0;

    while (started + 1 < n && pthread_create(&threads[started], NULL, run_thread, w) == 0)
        started++;
    run_thread(w);
    for (size_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
}

clm_status clm_pipeline_run(const clm_plan *plan, clm_out_file *out, clm_journal *journal,
                            clm_journal_entry *entries, size_t threads,
                            const volatile sig_atomic_t *stop, const clm_observer *obs,
                            clm_err *err)
{
    pipeline w = {.plan = plan,
                  .out = out,
                  .journal = journal,
                  .entries = entries,
                  .stop = stop,
                  .obs = obs,
                  .room = buffer_room(plan),
                  .mutex = PTHREAD_MUTEX_INITIALIZER,
                  .turn = PTHREAD_COND_INITIALIZER,
                  .st = CLM_OK};
    const size_t total = (size_t)(plan->source_bytes / 1000000) + 1;
    clm_status st = clm_checksum_create(&w.checksum, err);

    if (st != CLM_OK) return st;
    for (size_t i = 0; i < plan->n_tensors; i++)
        if (entries[i].done) w.source_done += plan->tensors[i].from->bytes;
    w.source_dropped = w.source_done;
    clm_progress(obs, "quantising, MB", (size_t)(w.source_done / 1000000), total);
    run_threads(&w, threads < MAX_THREADS ? threads : MAX_THREADS);
    if (w.st == CLM_OK) clm_progress(obs, "quantising, MB", total, total);
    if (w.st != CLM_OK && err != NULL) *err = w.err;
    clm_checksum_destroy(w.checksum);
    pthread_cond_destroy(&w.turn);
    pthread_mutex_destroy(&w.mutex);
    return w.st;
}
