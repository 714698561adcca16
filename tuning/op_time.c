/* tuning/op_time.c: see tuning/op_time.h. */
#include "tuning/op_time.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"

/* A round over the copies: three times the last cache, and at least ROTATE_MIN_BYTES since a virtual machine's
 * share of the cache is not what the driver reports; bounded in number, since what an operator with tiny
 * buffers reads is in the cache in a model too. */
#define ROTATE_MIN_BYTES 256e6
#define ROTATE_MAX_BYTES 1.5e9
enum { MAX_COPIES = 64 };
/* A round of less than this part of it may stay in the cache. */
#define CACHED_PART 0.5

/* A batch is long enough for launching and waiting not to count. */
#define BATCH_SECONDS 0.01
/* A launch that takes as long needs neither many rounds nor a second warm-up. */
#define SLOW_SECONDS 0.1
enum { MIN_ROUNDS = 5, MIN_SLOW_ROUNDS = 2, MAX_LAUNCHES = 4000 };

struct clm_op_data {
    const clm_op_desc *op;
    clm_device *dev;
    clm_case sizes; /* shape and buffers, without data */
    clm_buffer *bufs[MAX_COPIES][CLM_MAX_BUFFERS];
    size_t n_copies, next;
    bool cached;
};

static double bytes_to_rotate(const clm_caps *caps)
{
    return fmax(3.0 * (double)caps->global_cache, ROTATE_MIN_BYTES);
}

static double bytes_of(const clm_case *c)
{
    double bytes = 0.0;

    for (size_t i = 0; i < c->n_bufs; i++)
        bytes += (double)c->bufs[i].count * (double)clm_elem_bytes(c->bufs[i].type);
    return bytes;
}

/* What a launch moves of its buffers: of a table of embeddings, or a cache of keys, a part only. */
static double bytes_used(const clm_op_desc *op, const clm_case *c)
{
    const double bytes = bytes_of(c), moved = op->bytes_moved(&c->shape);

    return moved > 0.0 && moved < bytes ? moved : bytes;
}

/* Copies of `c` that are `want` bytes, if each counts as `used`. */
static size_t copies_for(const clm_case *c, const clm_caps *caps, double used, double want)
{
    const double most = fmin(ROTATE_MAX_BYTES, (double)caps->global_mem / 8.0);
    const double n = fmin(ceil(want / used), floor(most / bytes_of(c)));

    return n < 1.0 ? 1 : n > MAX_COPIES ? (size_t)MAX_COPIES : (size_t)n;
}

/* Where no number of copies keeps what launches use out of the cache, as many as do so with the buffers: a
 * table is not made 64 times for one row of it. */
static void count_copies(clm_op_data *d, const clm_case *c)
{
    const clm_caps *caps = clm_device_caps(d->dev);
    const double want = bytes_to_rotate(caps), used = bytes_used(d->op, c);

    d->n_copies = copies_for(c, caps, used, want);
    d->cached = (double)d->n_copies * used < CACHED_PART * want;
    if (d->cached) d->n_copies = copies_for(c, caps, bytes_of(c), want);
}

clm_status clm_op_data_create(const clm_op_desc *op, clm_device *dev, const clm_case *c,
                              clm_op_data **out, clm_err *err)
{
    clm_op_data *d = calloc(1, sizeof *d);
    clm_status st = CLM_OK;

    *out = NULL;
    if (d == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", op->name);
    d->op = op;
    d->dev = dev;
    d->sizes = *c;
    for (size_t i = 0; i < c->n_bufs; i++) d->sizes.bufs[i].data = d->sizes.bufs[i].expected = NULL;
    count_copies(d, c);
    for (size_t n = 0; n < d->n_copies && st == CLM_OK; n++)
        for (size_t i = 0; i < c->n_bufs && st == CLM_OK; i++)
            st = clm_case_stage(dev, &c->bufs[i], &d->bufs[n][i], err);
    if (st != CLM_OK) {
        clm_op_data_destroy(d);
        return st;
    }
    *out = d;
    return CLM_OK;
}

void clm_op_data_destroy(clm_op_data *d)
{
    if (d == NULL) return;
    for (size_t n = 0; n < MAX_COPIES; n++)
        for (size_t i = 0; i < CLM_MAX_BUFFERS; i++) clm_buffer_destroy(d->bufs[n][i]);
    free(d);
}

bool clm_op_data_cached(const clm_op_data *d)
{
    return d->cached;
}

clm_status clm_op_data_run(clm_op_data *d, const clm_op_runner *runner, clm_err *err)
{
    clm_status st =
        clm_op_launch(d->op, runner->kernel, &d->sizes.shape, runner->params, d->bufs[0], err);

    if (st == CLM_OK) st = clm_device_finish(d->dev, err);
    for (size_t i = 0; i < d->sizes.n_bufs && st == CLM_OK; i++)
        st = clm_case_guards(d->op, &d->sizes.bufs[i], d->bufs[0][i], err);
    return st;
}

/* Seconds of `n` launches, each on the next copy. */
static clm_status time_batch(clm_op_data *d, const clm_op_runner *runner, size_t n, double *seconds,
                             clm_err *err)
{
    const double start = clm_clock_seconds();
    clm_status st = CLM_OK;

    for (size_t i = 0; i < n && st == CLM_OK; i++) {
        st = clm_op_launch(d->op, runner->kernel, &d->sizes.shape, runner->params, d->bufs[d->next],
                           err);
        d->next = (d->next + 1) % d->n_copies;
    }
    if (st == CLM_OK) st = clm_device_finish(d->dev, err);
    *seconds = clm_clock_seconds() - start;
    return st;
}

/* A race on its way. */
typedef struct run {
    const clm_op_race *race;
    const clm_op_runner *runners;
    size_t n, batch[CLM_RACE_MAX];
    double s[CLM_RACE_MAX][CLM_ROUNDS_MAX]; /* of one launch */
    size_t rounds, least;                   /* made; to be made in any case */
} run;

/* Warm-up, and how many launches make a batch. What one launch takes contains the wait for it, which
 * is longer than a small kernel, so the number grows from batch to batch. */
static clm_status calibrate(clm_op_data *d, run *r, size_t i, clm_err *err)
{
    double seconds;
    size_t n = 1;
    clm_status st;

    if (r->race->turn != NULL) r->race->turn(r->race->user, i);
    st = time_batch(d, &r->runners[i], 1, &seconds, err); /* may compile */
    if (seconds >= SLOW_SECONDS) {
        r->least = MIN_SLOW_ROUNDS;
    } else if (st == CLM_OK) {
        st = time_batch(d, &r->runners[i], 1, &seconds, err);
        while (st == CLM_OK && seconds < 0.5 * BATCH_SECONDS && n < MAX_LAUNCHES) {
            const double more = ceil((double)n * BATCH_SECONDS / fmax(seconds, 1e-6));

            n = more > MAX_LAUNCHES ? (size_t)MAX_LAUNCHES : (size_t)more;
            st = time_batch(d, &r->runners[i], n, &seconds, err);
        }
    }
    r->batch[i] = n;
    return st;
}

/* Whether one is clearly slower than the first: in each of at least two rounds. */
static bool hopeless(const run *r, size_t i)
{
    if (r->race->give_up <= 0.0 || r->rounds < MIN_SLOW_ROUNDS) return false;
    for (size_t k = 0; k < r->rounds; k++)
        if (r->s[i][k] <= r->race->give_up * r->s[0][k]) return false;
    return true;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double middle(const double *sorted, size_t n)
{
    return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0;
}

void clm_op_times_of(const double *times, const double *first, size_t n, clm_op_times *out)
{
    double list[CLM_ROUNDS_MAX];

    memcpy(list, times, n * sizeof *list);
    qsort(list, n, sizeof *list, compare_doubles);
    out->min_s = list[0];
    out->median_s = middle(list, n);
    for (size_t k = 0; k < n; k++) list[k] = times[k] / first[k];
    qsort(list, n, sizeof *list, compare_doubles);
    out->ratio = middle(list, n);
    out->low = list[n / 4];
    out->high = list[n - 1 - n / 4];
}

static clm_status run_rounds(clm_op_data *d, run *r, clm_op_times *out, clm_err *err)
{
    const double start = clm_clock_seconds();
    bool given_up = false;
    clm_status st = CLM_OK;

    while (r->rounds < CLM_ROUNDS_MAX && !given_up &&
           (r->rounds < r->least || clm_clock_seconds() - start < r->race->seconds)) {
        for (size_t k = 0; k < r->n && st == CLM_OK; k++) {
            const size_t i = r->rounds % 2 == 0 ? k : r->n - 1 - k;
            double seconds;

            if (r->race->turn != NULL) r->race->turn(r->race->user, i);
            st = time_batch(d, &r->runners[i], r->batch[i], &seconds, err);
            r->s[i][r->rounds] = seconds / (double)r->batch[i];
        }
        if (st != CLM_OK) return st;
        r->rounds++;
        for (size_t i = 1; i < r->n; i++) given_up |= out[i].given_up = hopeless(r, i);
    }
    for (size_t i = 0; i < r->n; i++) clm_op_times_of(r->s[i], r->s[0], r->rounds, &out[i]);
    return CLM_OK;
}

clm_status clm_op_data_race(clm_op_data *d, const clm_op_runner *runners, size_t n,
                            const clm_op_race *race, clm_op_times *out, clm_err *err)
{
    run *r = calloc(1, sizeof *r);
    clm_status st = CLM_OK;

    memset(out, 0, n * sizeof *out);
    if (r == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", d->op->name);
    r->race = race;
    r->runners = runners;
    r->n = n;
    r->least = MIN_ROUNDS;
    for (size_t i = 0; i < n && st == CLM_OK; i++) st = calibrate(d, r, i, err);
    if (st == CLM_OK) st = run_rounds(d, r, out, err);
    free(r);
    return st;
}

clm_status clm_op_time(const clm_op_desc *op, clm_device *dev, const clm_shape *shape,
                       const int *params, double budget_s, clm_op_timing *out, clm_err *err)
{
    const clm_op_race race = {.seconds = budget_s};
    clm_op_runner runner = {.params = params};
    clm_case c = {.shape = *shape};
    clm_program *prog = NULL;
    clm_op_data *d = NULL;
    clm_op_times times;
    clm_status st = op->fill(&c, 1, err);

    memset(out, 0, sizeof *out);
    if (st == CLM_OK) st = clm_op_build(op, dev, shape, params, &prog, &runner.kernel, err);
    if (st == CLM_OK) st = clm_op_data_create(op, dev, &c, &d, err);
    if (st == CLM_OK) st = clm_op_data_race(d, &runner, 1, &race, &times, err);
    if (st == CLM_OK) *out = (clm_op_timing){times.median_s, clm_op_data_cached(d)};
    clm_op_data_destroy(d);
    clm_kernel_destroy(runner.kernel);
    clm_program_destroy(prog);
    clm_case_clear(&c);
    return st;
}
