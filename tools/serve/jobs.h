/* tools/serve/jobs.h: requests wait in a queue, and one thread answers several of them at once with the
 * engine.
 *
 * Layer    tools.
 * Threads  everything here may be called from any thread.
 * Memory   a job lives until both the thread that submitted it and the one that answers have let go.
 */
#ifndef CLM_SERVE_JOBS_H
#define CLM_SERVE_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include "runtime/clm.h"
#include "tools/serve/metrics.h"
#include "tools/serve/request.h"

/* Requests that may wait; more are refused, as their clients would give up before their turn. */
enum { CLM_JOBS_WAITING = 64 };

typedef struct clm_jobs clm_jobs;
typedef struct clm_job clm_job;

typedef enum clm_submit {
    CLM_SUBMIT_TAKEN,
    CLM_SUBMIT_LOADING, /* there is no engine yet */
    CLM_SUBMIT_FULL,
    CLM_SUBMIT_CLOSED,
    CLM_SUBMIT_NOMEM
} clm_submit;

/* What is known of an answer so far. */
typedef struct clm_job_state {
    bool done;
    size_t size;       /* bytes of the answer */
    clm_status status; /* when done: CLM_OK, or why there is no answer */
    clm_err err;
    clm_reply reply;      /* when done; zeros of an answer that was not begun */
    double queue_seconds; /* until it was begun */
} clm_job_state;

/* `metrics` must outlive it. */
clm_status clm_jobs_create(clm_metrics *metrics, clm_jobs **out, clm_err *err);
/* Waits for the answer in progress; all jobs must have been let go. */
void clm_jobs_destroy(clm_jobs *jobs);

/* Answers begin, settings->server_parallel at once where memory allows. All must outlive the jobs; `obs` (may
 * be NULL) hears when it does not. */
clm_status clm_jobs_start(clm_jobs *jobs, clm_engine *engine, const clm_settings *settings,
                          const clm_observer *obs, clm_err *err);
/* What a request would be told now. */
clm_submit clm_jobs_would_submit(clm_jobs *jobs);

/* clm_length_check, in the caller's thread, so that a text that is too long keeps nobody waiting. What submitting
 * would refuse is CLM_OK. */
clm_status clm_jobs_check(clm_jobs *jobs, const clm_request *request, clm_err *err);
/* Takes over `request` (it is cleared, and the job's) when the result is TAKEN. */
clm_submit clm_jobs_submit(clm_jobs *jobs, clm_request *request, clm_job **out);

/* Waits until there are more than `seen` bytes or the job is done, at most `seconds`. */
void clm_job_wait(clm_job *job, size_t seen, double seconds, clm_job_state *out);
/* Copies bytes from .. of the answer, at most `room`; returns how many. */
size_t clm_job_read(clm_job *job, size_t from, char *out, size_t room);
const clm_request *clm_job_request(const clm_job *job);
/* Nobody waits for it any more: it ends after the current token, or is never begun. */
void clm_job_cancel(clm_job *job);
void clm_job_release(clm_job *job);

/* No new ones are taken; those there are answered. */
void clm_jobs_close(clm_jobs *jobs);
/* Those in progress end after the current token, those waiting are refused. */
void clm_jobs_interrupt(clm_jobs *jobs);
/* Whether the device failed the last answer; the next one that ends well says otherwise. */
bool clm_jobs_device_fails(clm_jobs *jobs);
/* Requests in the queue, and answers in progress. */
void clm_jobs_count(clm_jobs *jobs, size_t *n_waiting, size_t *n_running);

#endif
