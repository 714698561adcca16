/* tests/serve/test_jobs.c: the queue of the server over an engine of the test's own, whose steps fail when they are
 * told to: what becomes of the answers, and that others are given afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "tools/serve/jobs.h"

/* ---- the engine ------------------------------------------------------------------------------ */

static atomic_int step_fails, answer_fails, is_endless;

struct clm_session {
    clm_text_fn fn;
    void *user;
    size_t n_tokens;
    atomic_bool interrupted;
};

clm_status clm_session_create(clm_engine *e, const char *system, uint64_t seed, clm_session **out,
                              clm_err *err)
{
    (void)e, (void)system, (void)seed;
    *out = calloc(1, sizeof **out);
    return *out != NULL ? CLM_OK : clm_fail(err, CLM_E_NOMEM, "no memory");
}

void clm_session_destroy(clm_session *s)
{
    free(s);
}

void clm_session_interrupt(clm_session *s)
{
    s->interrupted = true;
}

clm_status clm_session_begin_complete(clm_session *s, const char *text, size_t size,
                                      const clm_sampling *sampling, clm_text_fn fn, void *user,
                                      clm_err *err)
{
    (void)text, (void)size, (void)sampling, (void)err;
    s->fn = fn;
    s->user = user;
    return CLM_OK;
}

clm_status clm_session_begin_reply(clm_session *s, const clm_message *messages, size_t n,
                                   const clm_sampling *sampling, clm_text_fn fn, void *user,
                                   clm_err *err)
{
    (void)messages, (void)n;
    return clm_session_begin_complete(s, NULL, 0, sampling, fn, user, err);
}

clm_status clm_engine_step(clm_engine *e, clm_session *const *sessions, size_t n, clm_err *err)
{
    const struct timespec millisecond = {0, 1000000};

    (void)e;
    nanosleep(&millisecond, NULL);
    if (atomic_exchange(&step_fails, 0)) return clm_fail(err, CLM_E_NOMEM, "no memory for a step");
    for (size_t i = 0; i < n; i++) {
        sessions[i]->fn(sessions[i]->user, "a", 1);
        sessions[i]->n_tokens++;
    }
    return CLM_OK;
}

bool clm_session_done(const clm_session *s)
{
    return s->interrupted || answer_fails || (s->n_tokens >= 3 && !is_endless);
}

clm_status clm_session_end(clm_session *s, clm_reply *reply, clm_err *err)
{
    *reply = (clm_reply){.finish = s->interrupted ? CLM_FINISH_INTERRUPTED : CLM_FINISH_EOS,
                         .prompt_tokens = 7,
                         .new_tokens = s->n_tokens};
    if (atomic_exchange(&answer_fails, 0)) return clm_fail(err, CLM_E_CL, "the device is lost");
    return CLM_OK;
}

size_t clm_engine_reserve(clm_engine *e, size_t n, const clm_observer *obs)
{
    (void)e, (void)obs;
    return n;
}

clm_sampling clm_engine_sampling(const clm_engine *e, const clm_settings *s)
{
    (void)e, (void)s;
    return (clm_sampling){0};
}

void clm_engine_describe(const clm_engine *e, clm_engine_report *out)
{
    (void)e;
    *out = (clm_engine_report){.ctx_size = 1000};
}

const clm_tokenizer *clm_engine_tokenizer(const clm_engine *e)
{
    (void)e;
    return NULL;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

typedef struct fixture {
    clm_metrics *metrics;
    clm_jobs *jobs;
    clm_settings settings;
} fixture;

static int create(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    clm_err err = {""};

    *state = f;
    f->settings.server_parallel = 2;
    if (clm_metrics_create(&f->metrics, &err) != CLM_OK) return -1;
    if (clm_jobs_create(f->metrics, &f->jobs, &err) != CLM_OK) return -1;
    return clm_jobs_start(f->jobs, NULL, &f->settings, NULL, &err) == CLM_OK ? 0 : -1;
}

static int destroy(void **state)
{
    fixture *f = *state;

    is_endless = 0;
    clm_jobs_destroy(f->jobs);
    clm_metrics_destroy(f->metrics);
    free(f);
    return 0;
}

static clm_job *submit(const fixture *f)
{
    clm_request request = {.kind = CLM_REQUEST_COMPLETION, .prompt = strdup("x"), .prompt_size = 1};
    clm_job *job;

    assert_int_equal(clm_jobs_submit(f->jobs, &request, &job), CLM_SUBMIT_TAKEN);
    return job;
}

/* The end of a job, which is let go. */
static clm_job_state take_end(clm_job *job)
{
    clm_job_state state;

    clm_job_wait(job, SIZE_MAX, 60.0, &state);
    assert_true(state.done);
    clm_job_release(job);
    return state;
}

static void wait_for_text(clm_job *job)
{
    clm_job_state state;

    clm_job_wait(job, 0, 60.0, &state);
    assert_true(state.size > 0);
}

static void assert_answered(const fixture *f)
{
    const clm_job_state state = take_end(submit(f));

    assert_int_equal(state.status, CLM_OK);
    assert_int_equal(state.reply.new_tokens, 3);
}

/* Those in progress are told why, and the next ones are answered. */
static void test_step_fails(void **state)
{
    const fixture *f = *state;
    clm_job *jobs[2];

    is_endless = 1;
    for (size_t i = 0; i < 2; i++) jobs[i] = submit(f);
    for (size_t i = 0; i < 2; i++) wait_for_text(jobs[i]);
    step_fails = 1;
    for (size_t i = 0; i < 2; i++) {
        const clm_job_state end = take_end(jobs[i]);

        assert_int_equal(end.status, CLM_E_NOMEM);
        assert_string_equal(end.err.text, "no memory for a step");
        assert_int_equal(end.reply.prompt_tokens, 7);
    }
    is_endless = 0;
    assert_answered(f);
}

static void test_answer_fails(void **state)
{
    const fixture *f = *state;
    clm_job_state end;

    assert_false(clm_jobs_device_fails(f->jobs));
    answer_fails = 1;
    end = take_end(submit(f));
    assert_true(clm_jobs_device_fails(f->jobs));
    assert_int_equal(end.status, CLM_E_CL);
    assert_string_equal(end.err.text, "the device is lost");
    assert_answered(f);
    assert_false(clm_jobs_device_fails(f->jobs));
}

static void assert_interrupted(clm_job *job, const char *why, size_t prompt_tokens)
{
    const clm_job_state end = take_end(job);

    assert_int_equal(end.status, CLM_E_INTERRUPTED);
    assert_string_equal(end.err.text, why);
    assert_int_equal(end.reply.prompt_tokens, prompt_tokens);
}

/* Two in progress and one that waits. */
static void begin_three(const fixture *f, clm_job *jobs[3])
{
    size_t n_waiting, n_running;

    is_endless = 1;
    for (size_t i = 0; i < 3; i++) jobs[i] = submit(f);
    for (size_t i = 0; i < 2; i++) wait_for_text(jobs[i]);
    clm_jobs_count(f->jobs, &n_waiting, &n_running);
    assert_int_equal(n_waiting, 1);
    assert_int_equal(n_running, 2);
}

static void test_clients_go_away(void **state)
{
    const fixture *f = *state;
    clm_job *jobs[3];

    begin_three(f, jobs);
    for (size_t i = 3; i-- > 0;) clm_job_cancel(jobs[i]);
    assert_interrupted(jobs[2], "the answer was not begun: the client went away", 0);
    assert_interrupted(jobs[1], "the answer was cut off: the client went away", 7);
    assert_interrupted(jobs[0], "the answer was cut off: the client went away", 7);
    is_endless = 0;
    assert_answered(f);
}

static void test_server_stops(void **state)
{
    const fixture *f = *state;
    clm_job *jobs[3];

    begin_three(f, jobs);
    assert_int_equal(clm_jobs_would_submit(f->jobs), CLM_SUBMIT_TAKEN);
    clm_jobs_interrupt(f->jobs);
    assert_int_equal(clm_jobs_would_submit(f->jobs), CLM_SUBMIT_CLOSED);
    assert_interrupted(jobs[0], "the answer was cut off: the server stops", 7);
    assert_interrupted(jobs[1], "the answer was cut off: the server stops", 7);
    assert_interrupted(jobs[2], "the answer was not begun: the server stops", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_step_fails, create, destroy),
        cmocka_unit_test_setup_teardown(test_answer_fails, create, destroy),
        cmocka_unit_test_setup_teardown(test_clients_go_away, create, destroy),
        cmocka_unit_test_setup_teardown(test_server_stops, create, destroy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
