/* test_choose.c: which word comes next (clm_session_choose), with the demo model on the C reference: against the
 * logits of the same ids, with and without the cache, and what is refused.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/engine.h"

enum { N = 4, CTX = 96 };
static const char *const letters[N] = {"A", "B", "C", "D"};
static const char text[] = "床前明月光，疑是地上\nA. 霜\nB. 雪\n答案：";
static const char other[] = "床前明月光，疑是地上\nA. 雨\nB. 霜\n答案：";

typedef struct fixture {
    clm_engine *engine;
    clm_session *session;
    double p[N];
    clm_choice choice;
    clm_err err;
} fixture;

static void open_fixture(fixture *f)
{
    clm_device_choice choice = {(char *)"ref", 0.0};
    clm_settings s = {.model = (char *)CLM_SOURCE_DIR "/configs/demo.gguf",
                      .chat_template = (char *)"none",
                      .system = (char *)"",
                      .devices = &choice,
                      .n_devices = 1,
                      .ctx_size = CTX,
                      .batch_size = 16, /* several batches for a prompt */
                      .kv_cache_type = CLM_KV_F32,
                      .server_host = (char *)"",
                      .server_api_key_file = (char *)"",
                      .server_origins = (char *)""};

    memset(f, 0, sizeof *f);
    if (clm_engine_create(&s, NULL, &f->engine, &f->err) != CLM_OK) fail_msg("%s", f->err.text);
    if (clm_session_create(f->engine, "", 1, &f->session, &f->err) != CLM_OK)
        fail_msg("%s", f->err.text);
}

static void close_fixture(fixture *f)
{
    clm_session_destroy(f->session);
    clm_engine_destroy(f->engine);
}

static clm_status choose(fixture *f, const char *prompt, const char *const *choices, size_t n)
{
    return clm_session_choose(f->session, prompt, strlen(prompt), choices, n, f->p, &f->choice,
                              &f->err);
}

/* The softmax of the letters' logits behind `prompt`, by another way; returns its tokens. */
static size_t expected(fixture *f, const char *prompt, double p[N])
{
    const clm_tokenizer *tok = clm_engine_tokenizer(f->engine);
    clm_engine_report about;
    double sum = 0.0;
    float *logits;
    int *ids;
    size_t n;

    clm_engine_describe(f->engine, &about);
    logits = malloc(about.vocab * sizeof *logits);
    assert_int_equal(clm_tokenizer_encode(tok, prompt, strlen(prompt), &ids, &n, NULL), CLM_OK);
    assert_int_equal(clm_engine_logits(f->engine, ids, n, n - 1, 0, logits, NULL), CLM_OK);
    for (size_t i = 0; i < N; i++)
        sum += p[i] = exp((double)logits[clm_tokenizer_find(tok, letters[i])]);
    for (size_t i = 0; i < N; i++) p[i] /= sum;
    free(logits);
    free(ids);
    return n;
}

static void assert_expected(const fixture *f, const double p[N])
{
    for (size_t i = 0; i < N; i++) {
        assert_true(fabs(f->p[i] - p[i]) < 1e-4);
        assert_true(p[f->choice.best] >= p[i]);
    }
}

static void agrees_with_the_logits(void **state)
{
    fixture f;
    double one[N], two[N];
    size_t n_one, n_two;

    (void)state;
    open_fixture(&f);
    n_one = expected(&f, text, one);
    n_two = expected(&f, other, two);
    assert_int_equal(choose(&f, text, letters, N), CLM_OK);
    assert_int_equal(f.choice.prompt_tokens, n_one);
    assert_int_equal(f.choice.cached_tokens, 0);
    assert_false(f.choice.tied);
    assert_expected(&f, one);

    /* The second has its beginning from the cache; the first again all but its last token. */
    assert_int_equal(choose(&f, other, letters, N), CLM_OK);
    assert_int_equal(f.choice.prompt_tokens, n_two);
    assert_true(f.choice.cached_tokens >= 5 && f.choice.cached_tokens < n_two);
    assert_expected(&f, two);
    assert_int_equal(choose(&f, text, letters, N), CLM_OK);
    assert_int_equal(choose(&f, text, letters, N), CLM_OK);
    assert_int_equal(f.choice.cached_tokens, n_one - 1);
    assert_expected(&f, one);
    close_fixture(&f);
}

static void of_equal_ones_the_first_counts(void **state)
{
    static const char *const same[] = {"B", "A", "B", "A"};
    fixture f;

    (void)state;
    open_fixture(&f);
    assert_int_equal(choose(&f, text, same, N), CLM_OK);
    assert_true(f.choice.tied);
    assert_true(f.choice.best == 0 || f.choice.best == 1);
    assert_true(f.p[0] == f.p[2] && f.p[1] == f.p[3]);
    assert_int_equal(choose(&f, text, letters, 1), CLM_OK);
    assert_true(f.p[0] == 1.0 && !f.choice.tied);
    close_fixture(&f);
}

static void refuses_what_cannot_be_chosen(void **state)
{
    static const char *const words[] = {"A", "no such piece"};
    fixture f;
    char longest[4 * CTX];

    (void)state;
    open_fixture(&f);
    assert_int_equal(choose(&f, text, words, 2), CLM_E_MODEL);
    assert_non_null(strstr(f.err.text, "'no such piece'"));
    assert_int_equal(choose(&f, text, letters, 0), CLM_E_USAGE);
    assert_int_equal(choose(&f, "", letters, N), CLM_E_USAGE);
    memset(longest, '\n', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(choose(&f, longest, letters, N), CLM_E_LIMIT);
    assert_non_null(strstr(f.err.text, "context"));
    assert_int_equal(choose(&f, text, letters, N), CLM_OK);
    close_fixture(&f);
}

/* The whole context may be used: nothing is written behind the prompt. */
static void a_prompt_may_fill_the_context(void **state)
{
    fixture f;
    char prompt[4 * CTX];
    size_t n = 0;

    (void)state;
    open_fixture(&f);
    do {
        prompt[n] = 'z';
        prompt[++n] = '\0';
    } while (choose(&f, prompt, letters, N) == CLM_OK);
    assert_true(f.choice.prompt_tokens == CTX + 1);
    prompt[n - 1] = '\0';
    assert_int_equal(choose(&f, prompt, letters, N), CLM_OK);
    assert_int_equal(f.choice.prompt_tokens, CTX);
    close_fixture(&f);
}

static void an_interrupt_ends_it_and_no_more(void **state)
{
    fixture f;
    double p[N];

    (void)state;
    open_fixture(&f);
    expected(&f, text, p);
    clm_session_interrupt(f.session);
    assert_int_equal(choose(&f, text, letters, N), CLM_E_INTERRUPTED);
    assert_int_equal(choose(&f, text, letters, N), CLM_OK);
    assert_expected(&f, p);
    close_fixture(&f);
}

static void *interrupt_soon(void *user)
{
    usleep(2000); /* within the first of the two questions, or not: it counts all the same */
    clm_session_interrupt(user);
    return NULL;
}

/* Whenever it comes, it ends the question at hand or the next. */
static void an_interrupt_is_not_lost(void **state)
{
    fixture f;

    (void)state;
    open_fixture(&f);
    for (int i = 0; i < 10; i++) {
        pthread_t thread;
        int n = 0;

        assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, f.session), 0);
        n += choose(&f, text, letters, N) == CLM_E_INTERRUPTED;
        pthread_join(thread, NULL);
        n += choose(&f, other, letters, N) == CLM_E_INTERRUPTED;
        assert_int_equal(n, 1);
    }
    close_fixture(&f);
}

static void waits_for_the_answer_in_progress(void **state)
{
    const clm_sampling sampling = {.top_p = 1.0, .repetition_penalty = 1.0, .max_new_tokens = 2};
    clm_reply reply;
    fixture f;

    (void)state;
    open_fixture(&f);
    assert_int_equal(
        clm_session_begin_complete(f.session, text, strlen(text), &sampling, NULL, NULL, &f.err),
        CLM_OK);
    assert_int_equal(choose(&f, text, letters, N), CLM_E_USAGE);
    assert_int_equal(clm_session_end(f.session, &reply, &f.err), CLM_OK);
    assert_int_equal(choose(&f, text, letters, N), CLM_OK);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_logits),
        cmocka_unit_test(of_equal_ones_the_first_counts),
        cmocka_unit_test(refuses_what_cannot_be_chosen),
        cmocka_unit_test(a_prompt_may_fill_the_context),
        cmocka_unit_test(an_interrupt_ends_it_and_no_more),
        cmocka_unit_test(an_interrupt_is_not_lost),
        cmocka_unit_test(waits_for_the_answer_in_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
