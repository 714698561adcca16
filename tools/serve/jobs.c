/* tools/serve/jobs.c: see tools/serve/jobs.h. */
#include "tools/serve/jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/clock.h"
#include "tools/serve/length.h"

struct clm_job {
    clm_jobs *jobs;
    clm_job *next; /* in the queue */
    clm_request request;
    /* Under jobs->mutex: */
    unsigned n_owners;
    const char *cancelled; /* why, or NULL */
    clm_session *session;  /* while it is being answered */
    char *text;
    size_t size, room;
    clm_job_state state;
    double submitted;
    pthread_cond_t changed;
};

struct clm_jobs {
    pthread_mutex_t mutex;
    pthread_cond_t work; /* the queue or the flags have changed */
    pthread_t thread;
    bool has_thread, closed, stopping;
    bool device_fails; /* the last answer did not end well because of it */
    clm_job *first, **last;
    size_t n_waiting;
    clm_job **active; /* [settings->server_parallel], in progress; changed by the thread only */
    size_t n_active;
    clm_session **sessions; /* the same, for a step */
    size_t places;          /* answers that may be in progress */
    size_t reserved;        /* of these, such that have a cache */
    clm_engine *engine;
    size_t ctx_size;
    const clm_settings *settings;
    const clm_observer *obs;
    clm_metrics *metrics;
};

/* Conditions that are waited for with a time limit go by the clock that nobody sets. */
static void init_condition(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static void destroy_job(clm_job *job)
{
    clm_request_clear(&job->request);
    pthread_cond_destroy(&job->changed);
    free(job->text);
    free(job);
}

void clm_job_release(clm_job *job)
{
    bool last;

    if (job == NULL) return;
    pthread_mutex_lock(&job->jobs->mutex);
    last = --job->n_owners == 0;
    pthread_mutex_unlock(&job->jobs->mutex);
    if (last) destroy_job(job);
}

const clm_request *clm_job_request(const clm_job *job)
{
    return &job->request;
}

void clm_job_wait(clm_job *job, size_t seen, double seconds, clm_job_state *out)
{
    const double until = clm_seconds_now() + seconds;
    struct timespec limit = {.tv_sec = (time_t)until};

    limit.tv_nsec = (long)((until - (double)limit.tv_sec) * 1e9);
    pthread_mutex_lock(&job->jobs->mutex);
    while (!job->state.done && job->size <= seen)
        if (pthread_cond_timedwait(&job->changed, &job->jobs->mutex, &limit) == ETIMEDOUT) break;
    *out = job->state;
    out->size = job->size;
    pthread_mutex_unlock(&job->jobs->mutex);
}

size_t clm_job_read(clm_job *job, size_t from, char *out, size_t room)
{
    size_t n;

    pthread_mutex_lock(&job->jobs->mutex);
    n = job->size > from ? job->size - from : 0;
    if (n > room) n = room;
    if (n > 0) memcpy(out, job->text + from, n);
    pthread_mutex_unlock(&job->jobs->mutex);
    return n;
}

/* With the mutex held. */
static void set_done(clm_job *job, clm_status st, const clm_err *err)
{
    job->state.done = true;
    job->state.status = st;
    if (st != CLM_OK) job->state.err = *err;
    pthread_cond_broadcast(&job->changed);
}

/* With the mutex held: the answer ends after the current token. */
static void cancel_active(clm_job *job, const char *why)
{
    if (job->cancelled == NULL) job->cancelled = why;
    if (job->session != NULL) clm_session_interrupt(job->session);
}

/* With the mutex held: the job ends without an answer. One in the queue leaves it. */
static void cancel(clm_job *job, const char *why, clm_job **to_release)
{
    clm_jobs *jobs = job->jobs;
    clm_err err;

    *to_release = NULL;
    cancel_active(job, why);
    for (clm_job **at = &jobs->first; *at != NULL; at = &(*at)->next) {
        if (*at != job) continue;
        *at = job->next;
        if (job->next == NULL) jobs->last = at;
        jobs->n_waiting--;
        set_done(job, clm_fail(&err, CLM_E_INTERRUPTED, "the answer was not begun: %s", why), &err);
        *to_release = job;
        return;
    }
}

void clm_job_cancel(clm_job *job)
{
    clm_job *gone;

    pthread_mutex_lock(&job->jobs->mutex);
    cancel(job, "the client went away", &gone);
    pthread_mutex_unlock(&job->jobs->mutex);
    clm_job_release(gone);
}

/* ---- answering ------------------------------------------------------------------------------- */

/* clm_text_fn: appends to the answer. Without memory the answer ends there, which clm_jobs counts as a
 * failure of the request. */
static void append(void *user, const char *text, size_t size)
{
    clm_job *job = user;

    pthread_mutex_lock(&job->jobs->mutex);
    if (size > job->room - job->size) {
        const size_t room = 2 * (job->size + size) + 256;
        char *grown = realloc(job->text, room);

        if (grown == NULL) {
            job->state.status = CLM_E_NOMEM;
            clm_session_interrupt(job->session);
            pthread_mutex_unlock(&job->jobs->mutex);
            return;
        }
        job->text = grown;
        job->room = room;
    }
    memcpy(job->text + job->size, text, size);
    if (job->size == 0)
        clm_metrics_first_text(job->jobs->metrics, clm_seconds_now() - job->submitted);
    job->size += size;
    pthread_cond_broadcast(&job->changed);
    pthread_mutex_unlock(&job->jobs->mutex);
}

static clm_status begin_session(clm_job *job, clm_session *session, clm_err *err)
{
    const clm_request *r = &job->request;
    const clm_sampling defaults = clm_engine_sampling(job->jobs->engine, job->jobs->settings);
    const clm_sampling sampling = clm_request_sampling(r, &defaults);

    if (r->kind == CLM_REQUEST_CHAT)
        return clm_session_begin_reply(session, r->messages, r->n_messages, &sampling, append, job,
                                       err);
    return clm_session_begin_complete(session, r->prompt, r->prompt_size, &sampling, append, job,
                                      err);
}

/* A session that is to end at once if nobody waits any more. */
static void attach(clm_job *job, clm_session *session)
{
    pthread_mutex_lock(&job->jobs->mutex);
    job->session = session;
    if (session != NULL && job->cancelled != NULL) clm_session_interrupt(session);
    pthread_mutex_unlock(&job->jobs->mutex);
}

/* Takes a job out of those in progress and lets it go; `reply` of an answer that was begun, else zeros. */
static void end_job(clm_job *job, clm_status st, const clm_reply *reply, clm_err *err)
{
    clm_jobs *jobs = job->jobs;
    size_t i = 0;

    clm_metrics_answered(jobs->metrics, reply); /* a client that has its answer finds it counted */
    pthread_mutex_lock(&jobs->mutex);
    while (jobs->active[i] != job) i++;
    jobs->active[i] = jobs->active[--jobs->n_active];
    job->state.reply = *reply;
    if (st == CLM_OK && job->state.status != CLM_OK)
        st = clm_fail(err, job->state.status, "answer: no memory");
    if (st == CLM_OK && reply->finish == CLM_FINISH_INTERRUPTED)
        st = clm_fail(err, CLM_E_INTERRUPTED, "the answer was cut off: %s", job->cancelled);
    if (st == CLM_OK || st == CLM_E_CL || st == CLM_E_BUILD) jobs->device_fails = st != CLM_OK;
    set_done(job, st, err);
    pthread_mutex_unlock(&jobs->mutex);
    clm_job_release(job);
}

/* The end of a job whose session was begun. `st` and `err`: what else went wrong. */
static void end_answer(clm_job *job, clm_status st, const clm_err *why)
{
    clm_session *session = job->session;
    clm_err err = *why;
    clm_reply reply;
    const clm_status own = clm_session_end(session, &reply, st == CLM_OK ? &err : NULL);

    attach(job, NULL); /* nobody interrupts it any more */
    clm_session_destroy(session);
    end_job(job, st == CLM_OK ? own : st, &reply, &err);
}

/* A job that was taken becomes one with a session, or ends. */
static void begin_answer(clm_job *job)
{
    const clm_jobs *jobs = job->jobs;
    const uint64_t seed = job->request.has_seed ? job->request.seed : jobs->settings->seed;
    const bool chat = job->request.kind == CLM_REQUEST_CHAT;
    const clm_reply none = {0};
    clm_session *session = NULL;
    clm_err err = {""};
    clm_status st =
        clm_session_create(jobs->engine, chat ? jobs->settings->system : "", seed, &session, &err);

    if (st == CLM_OK) st = begin_session(job, session, &err);
    if (st == CLM_OK) {
        attach(job, session);
        return;
    }
    clm_session_destroy(session);
    end_job(job, st, &none, &err);
}

/* Waits while there is nothing to do; false: there will be nothing any more. */
static bool wait_for_work(clm_jobs *jobs, bool *someone_waits)
{
    bool any;

    pthread_mutex_lock(&jobs->mutex);
    while (jobs->n_active == 0 && jobs->first == NULL && !jobs->stopping)
        pthread_cond_wait(&jobs->work, &jobs->mutex);
    *someone_waits = jobs->first != NULL;
    any = jobs->n_active > 0 || *someone_waits;
    pthread_mutex_unlock(&jobs->mutex);
    return any;
}

/* The first in the queue, or NULL. It is in progress then. */
static clm_job *take(clm_jobs *jobs)
{
    clm_job *job;

    pthread_mutex_lock(&jobs->mutex);
    job = jobs->first;
    if (job != NULL) {
        jobs->first = job->next;
        if (jobs->first == NULL) jobs->last = &jobs->first;
        jobs->n_waiting--;
        jobs->active[jobs->n_active++] = job;
        job->state.queue_seconds = clm_seconds_now() - job->submitted;
    }
    pthread_mutex_unlock(&jobs->mutex);
    return job;
}

/* Whether one more answer can be in progress: its cache is made when it is needed first. */
static bool make_place(clm_jobs *jobs)
{
    const size_t wanted = jobs->n_active + 1;

    if (wanted > jobs->places) return false;
    if (wanted > jobs->reserved) {
        jobs->reserved = clm_engine_reserve(jobs->engine, wanted, jobs->obs);
        if (jobs->reserved < wanted) jobs->places = jobs->reserved; /* it is not tried again */
    }
    return wanted <= jobs->reserved;
}

/* Everybody in progress gets a token further. A failure ends these answers, and those that wait have their turn. */
static void step(clm_jobs *jobs)
{
    const size_t n = jobs->n_active;
    clm_err err = {""};
    clm_status st;

    for (size_t i = 0; i < n; i++) jobs->sessions[i] = jobs->active[i]->session;
    st = clm_engine_step(jobs->engine, jobs->sessions, n, &err);
    /* From behind, as the last one takes the place of one that ends. */
    for (size_t i = n; i-- > 0;) {
        clm_job *job = jobs->active[i];

        if (st != CLM_OK || clm_session_done(job->session)) end_answer(job, st, &err);
    }
}

static void *run_worker(void *user)
{
    clm_jobs *jobs = user;
    bool someone_waits;

    while (wait_for_work(jobs, &someone_waits)) {
        /* One between two steps: a long text takes time to read. */
        clm_job *job = someone_waits && make_place(jobs) ? take(jobs) : NULL;

        if (job != NULL) begin_answer(job);
        if (jobs->n_active > 0) step(jobs);
    }
    return NULL;
}

/* ---- the queue ------------------------------------------------------------------------------- */

clm_status clm_jobs_create(clm_metrics *metrics, clm_jobs **out, clm_err *err)
{
    clm_jobs *jobs = calloc(1, sizeof *jobs);

    *out = NULL;
    if (jobs == NULL) return clm_fail(err, CLM_E_NOMEM, "server: no memory");
    pthread_mutex_init(&jobs->mutex, NULL);
    pthread_cond_init(&jobs->work, NULL);
    jobs->last = &jobs->first;
    jobs->metrics = metrics;
    *out = jobs;
    return CLM_OK;
}

clm_status clm_jobs_start(clm_jobs *jobs, clm_engine *engine, const clm_settings *settings,
                          const clm_observer *obs, clm_err *err)
{
    clm_engine_report about;
    clm_status st = CLM_OK;

    clm_engine_describe(engine, &about);
    pthread_mutex_lock(&jobs->mutex);
    jobs->engine = engine;
    jobs->ctx_size = about.ctx_size;
    jobs->settings = settings;
    jobs->obs = obs;
    jobs->places = settings->server_parallel;
    jobs->reserved = 1;
    jobs->active = calloc(jobs->places, sizeof *jobs->active);
    jobs->sessions = calloc(jobs->places, sizeof(clm_session *));
    if (jobs->active == NULL || jobs->sessions == NULL)
        st = clm_fail(err, CLM_E_NOMEM, "server: no memory");
    else if (pthread_create(&jobs->thread, NULL, run_worker, jobs) != 0)
        st = clm_fail(err, CLM_E_INTERNAL, "server: a thread could not be created");
    jobs->has_thread = st == CLM_OK;
    pthread_mutex_unlock(&jobs->mutex);
    return st;
}

/* With the mutex held. */
static clm_submit would_submit(const clm_jobs *jobs)
{
    if (jobs->closed) return CLM_SUBMIT_CLOSED;
    if (!jobs->has_thread) return CLM_SUBMIT_LOADING;
    return jobs->n_waiting < CLM_JOBS_WAITING ? CLM_SUBMIT_TAKEN : CLM_SUBMIT_FULL;
}

clm_submit clm_jobs_would_submit(clm_jobs *jobs)
{
    clm_submit result;

    pthread_mutex_lock(&jobs->mutex);
    result = would_submit(jobs);
    pthread_mutex_unlock(&jobs->mutex);
    return result;
}

void clm_jobs_destroy(clm_jobs *jobs)
{
    if (jobs == NULL) return;
    pthread_mutex_lock(&jobs->mutex);
    jobs->closed = jobs->stopping = true;
    pthread_cond_broadcast(&jobs->work);
    pthread_mutex_unlock(&jobs->mutex);
    if (jobs->has_thread) pthread_join(jobs->thread, NULL);
    free(jobs->active);
    free(jobs->sessions);
    pthread_cond_destroy(&jobs->work);
    pthread_mutex_destroy(&jobs->mutex);
    free(jobs);
}

clm_status clm_jobs_check(clm_jobs *jobs, const clm_request *request, clm_err *err)
{
    if (clm_jobs_would_submit(jobs) != CLM_SUBMIT_TAKEN) return CLM_OK;
    return clm_length_check(request, clm_engine_tokenizer(jobs->engine), jobs->ctx_size, err);
}

clm_submit clm_jobs_submit(clm_jobs *jobs, clm_request *request, clm_job **out)
{
    clm_submit result;
    clm_job *job = calloc(1, sizeof *job);

    *out = NULL;
    if (job == NULL) return CLM_SUBMIT_NOMEM;
    init_condition(&job->changed);
    job->jobs = jobs;
    job->n_owners = 2;
    job->submitted = clm_seconds_now();
    pthread_mutex_lock(&jobs->mutex);
    result = would_submit(jobs);
    if (result == CLM_SUBMIT_TAKEN) {
        job->request = *request;
        memset(request, 0, sizeof *request);
        *jobs->last = job;
        jobs->last = &job->next;
        jobs->n_waiting++;
        *out = job;
        pthread_cond_broadcast(&jobs->work);
    }
    pthread_mutex_unlock(&jobs->mutex);
    if (result != CLM_SUBMIT_TAKEN) destroy_job(job);
    return result;
}

bool clm_jobs_device_fails(clm_jobs *jobs)
{
    bool fails;

    pthread_mutex_lock(&jobs->mutex);
    fails = jobs->device_fails;
    pthread_mutex_unlock(&jobs->mutex);
    return fails;
}

void clm_jobs_count(clm_jobs *jobs, size_t *n_waiting, size_t *n_running)
{
    pthread_mutex_lock(&jobs->mutex);
    *n_waiting = jobs->n_waiting;
    *n_running = jobs->n_active;
    pthread_mutex_unlock(&jobs->mutex);
}

void clm_jobs_close(clm_jobs *jobs)
{
    pthread_mutex_lock(&jobs->mutex);
    jobs->closed = true;
    pthread_mutex_unlock(&jobs->mutex);
}

void clm_jobs_interrupt(clm_jobs *jobs)
{
    static const char why[] = "the server stops";
    clm_job *gone;

    do {
        pthread_mutex_lock(&jobs->mutex);
        jobs->closed = true;
        gone = NULL;
        if (jobs->first != NULL) cancel(jobs->first, why, &gone);
        for (size_t i = 0; i < jobs->n_active; i++) cancel_active(jobs->active[i], why);
        pthread_mutex_unlock(&jobs->mutex);
        clm_job_release(gone);
    } while (gone != NULL);
}
