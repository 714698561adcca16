/* test_session.c: conversations with the demo model on the C reference: answers, reuse of the cache,
 * full context, stop strings, interruption, undo.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "runtime/engine.h"

static const char question[] = "世界上第二高的山峰是哪座";
static const char answer[] =
    "乔戈里峰。世界第二高峰———乔戈里峰西方登山者称其为k2峰,海拔高度是8611米,位于喀喇昆仑山脉的中"
    "巴边境上";

/* An engine, a session and what the last answer was. */
typedef struct fixture {
    clm_engine *engine;
    clm_session *session;
    clm_sampling sampling;
    clm_reply reply;
    char text[4096];
    size_t size;
    size_t interrupt_after; /* pieces of text; 0: never */
    size_t pieces;
} fixture;

static void collect(void *user, const char *text, size_t size)
{
    fixture *f = user;

    assert_true(f->size + size < sizeof f->text);
    memcpy(f->text + f->size, text, size);
    f->size += size;
    f->text[f->size] = '\0';
    if (++f->pieces == f->interrupt_after) clm_session_interrupt(f->session);
}

static void open_fixture(fixture *f, uint32_t ctx)
{
    clm_device_choice choice = {(char *)"ref", 0.0};
    clm_settings s = {.model = (char *)CLM_SOURCE_DIR "/configs/demo.gguf",
                      .chat_template = (char *)"baichuan-instruction",
                      .system = (char *)"",
                      .devices = &choice,
                      .n_devices = 1,
                      .ctx_size = ctx,
                      .batch_size = 64,
                      .kv_cache_type = CLM_KV_F16,
                      .server_host = (char *)"",
                      .server_api_key_file = (char *)"",
                      .server_origins = (char *)""};
    clm_err err = {""};

    memset(f, 0, sizeof *f);
    f->sampling = (clm_sampling){
        .temperature = 0.0, .top_p = 1.0, .repetition_penalty = 1.0, .max_new_tokens = 200};
    if (clm_engine_create(&s, NULL, &f->engine, &err) != CLM_OK) fail_msg("%s", err.text);
    if (clm_session_create(f->engine, "", 1, &f->session, &err) != CLM_OK) fail_msg("%s", err.text);
}

static void close_fixture(fixture *f)
{
    clm_session_destroy(f->session);
    clm_engine_destroy(f->engine);
}

static clm_status ask(fixture *f, const char *text)
{
    clm_err err = {""};

    f->size = f->pieces = 0;
    f->text[0] = '\0';
    return clm_session_ask(f->session, text, strlen(text), &f->sampling, collect, f, &f->reply,
                           &err);
}

static void answers_and_reuses_the_cache(void **state)
{
    fixture f;
    size_t first, rounds, tokens;

    (void)state;
    open_fixture(&f, 512);
    assert_int_equal(ask(&f, question), CLM_OK);
    assert_string_equal(f.text, answer);
    assert_int_equal(f.reply.finish, CLM_FINISH_EOS);
    assert_int_equal(f.reply.cached_tokens, 0);
    first = f.reply.prompt_tokens + f.reply.new_tokens;

    /* In the second round everything but the new question is in the cache. */
    assert_int_equal(ask(&f, "静夜思"), CLM_OK);
    assert_non_null(strstr(f.text, "床前明月光"));
    assert_true(f.reply.cached_tokens + 3 >= first);
    assert_true(f.reply.prompt_tokens > f.reply.cached_tokens);
    clm_session_usage(f.session, &rounds, &tokens);
    assert_int_equal(rounds, 2);

    /* Asked again after undo: only the last token of the prompt is processed again. */
    assert_true(clm_session_undo(f.session));
    clm_session_usage(f.session, &rounds, &tokens);
    assert_int_equal(rounds, 1);
    assert_in_range(tokens, first - 3, first + 3);
    assert_int_equal(ask(&f, "静夜思"), CLM_OK);
    assert_true(f.reply.cached_tokens + 1 >= f.reply.prompt_tokens);
    assert_non_null(strstr(f.text, "床前明月光"));

    clm_session_clear(f.session);
    clm_session_usage(f.session, &rounds, &tokens);
    assert_int_equal(rounds, 0);
    assert_false(clm_session_undo(f.session));
    close_fixture(&f);
}

static void a_full_context_drops_the_oldest_rounds(void **state)
{
    fixture f;
    size_t dropped = 0, rounds, tokens;

    (void)state;
    open_fixture(&f, 128);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(&f, question), CLM_OK);
        assert_string_equal(f.text, answer);
        dropped += f.reply.dropped_rounds;
    }
    assert_true(dropped >= 3);
    clm_session_usage(f.session, &rounds, &tokens);
    assert_int_equal(rounds + dropped, 5);
    assert_true(tokens <= 128);
    close_fixture(&f);
}

/* Neither the question nor the rounds that had to make room for it are lost. */
static void an_interrupt_before_the_answer_changes_nothing(void **state)
{
    fixture f;
    size_t before, rounds, tokens;

    (void)state;
    open_fixture(&f, 128);
    do {
        assert_int_equal(ask(&f, question), CLM_OK);
        assert_true(f.reply.kept);
    } while (f.reply.dropped_rounds == 0);
    clm_session_usage(f.session, &before, &tokens);
    assert_true(before > 0);
    clm_session_interrupt(f.session);
    assert_int_equal(ask(&f, question), CLM_OK);
    assert_int_equal(f.reply.finish, CLM_FINISH_INTERRUPTED);
    assert_int_equal(f.size, 0);
    assert_false(f.reply.kept);
    assert_int_equal(f.reply.dropped_rounds, 0);
    clm_session_usage(f.session, &rounds, &tokens);
    assert_int_equal(rounds, before);
    assert_int_equal(ask(&f, question), CLM_OK);
    assert_string_equal(f.text, answer);
    assert_int_equal(f.reply.dropped_rounds, 1);
    close_fixture(&f);
}

static void a_question_beyond_the_context_is_refused(void **state)
{
    fixture f;
    size_t rounds, tokens;
    char text[1200];

    (void)state;
    open_fixture(&f, 128);
    assert_int_equal(ask(&f, question), CLM_OK);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(ask(&f, text), CLM_E_LIMIT);
    assert_false(f.reply.kept);
    clm_session_usage(f.session, &rounds, &tokens);
    assert_int_equal(rounds, 1); /* the conversation is as before */
    assert_int_equal(ask(&f, question), CLM_OK);
    assert_string_equal(f.text, answer);
    close_fixture(&f);
}

static void stop_strings_and_limits_end_an_answer(void **state)
{
    static const char *const stops[] = {"世界第二"};
    fixture f;

    (void)state;
    open_fixture(&f, 512);
    f.sampling.stop = stops;
    f.sampling.n_stop = 1;
    assert_int_equal(ask(&f, question), CLM_OK);
    assert_int_equal(f.reply.finish, CLM_FINISH_STOP);
    assert_string_equal(f.text, "乔戈里峰。");
    clm_session_clear(f.session);
    f.sampling.n_stop = 0;
    f.sampling.max_new_tokens = 3;
    assert_int_equal(ask(&f, question), CLM_OK);
    assert_int_equal(f.reply.finish, CLM_FINISH_LENGTH);
    assert_int_equal(f.reply.new_tokens, 3);
    close_fixture(&f);
}

static void an_interrupt_keeps_the_conversation(void **state)
{
    fixture f;
    size_t rounds, tokens;

    (void)state;
    open_fixture(&f, 512);
    f.interrupt_after = 4;
    assert_int_equal(ask(&f, question), CLM_OK);
    assert_int_equal(f.reply.finish, CLM_FINISH_INTERRUPTED);
    assert_true(f.size > 0 && f.size < strlen(answer));
    assert_memory_equal(f.text, answer, f.size);
    clm_session_usage(f.session, &rounds, &tokens);
    assert_int_equal(rounds, 1);
    f.interrupt_after = 0;
    assert_int_equal(ask(&f, question), CLM_OK);
    assert_string_equal(f.text, answer);
    close_fixture(&f);
}

static void sampling_with_a_seed_repeats(void **state)
{
    fixture f;
    char first[4096];
    clm_err err;

    (void)state;
    open_fixture(&f, 512);
    f.sampling.temperature = 2.0;
    f.sampling.max_new_tokens = 30;
    assert_int_equal(ask(&f, "hello"), CLM_OK);
    memcpy(first, f.text, sizeof first);
    clm_session_destroy(f.session);
    assert_int_equal(clm_session_create(f.engine, "", 1, &f.session, &err), CLM_OK);
    assert_int_equal(ask(&f, "hello"), CLM_OK);
    assert_string_equal(f.text, first);
    close_fixture(&f);
}

/* One of several sessions that answer at once. */
typedef struct talker {
    fixture f;
    clm_err err;
} talker;

static clm_status begin(talker *t, const char *text)
{
    const clm_message message = {CLM_ROLE_USER, text, strlen(text)};

    t->f.size = t->f.pieces = 0;
    t->f.text[0] = '\0';
    return clm_session_begin_reply(t->f.session, &message, 1, &t->f.sampling, collect, &t->f,
                                   &t->err);
}

/* Steps until `t` has ended; the others go along. */
static void finish(talker *t, clm_engine *engine, clm_session *const *all, size_t n)
{
    while (!clm_session_done(t->f.session))
        assert_int_equal(clm_engine_step(engine, all, n, NULL), CLM_OK);
    assert_int_equal(clm_session_end(t->f.session, &t->f.reply, &t->err), CLM_OK);
}

static void answers_at_once_are_as_alone(void **state)
{
    static const char *const questions[] = {question, "静夜思", "春晓"};
    enum { N = 3 };
    char alone[N][4096], many[3 * 200 + 1] = "";
    fixture f;
    talker t[N] = {0};
    clm_session *all[N];
    clm_err err = {""};

    (void)state;
    open_fixture(&f, 512);
    for (size_t i = 0; i < N; i++) {
        clm_session_clear(f.session);
        assert_int_equal(ask(&f, questions[i]), CLM_OK);
        strcpy(alone[i], f.text);
        t[i].f.sampling = f.sampling;
        if (clm_session_create(f.engine, "", 1, &t[i].f.session, &err) != CLM_OK)
            fail_msg("%s", err.text);
        all[i] = t[i].f.session;
    }
    assert_string_equal(alone[0], answer);

    /* There is one cache at first. */
    assert_int_equal(begin(&t[0], questions[0]), CLM_OK);
    assert_int_equal(begin(&t[1], questions[1]), CLM_E_LIMIT);
    assert_int_equal(clm_engine_reserve(f.engine, N, NULL), N);
    for (size_t i = 1; i < N; i++) assert_int_equal(begin(&t[i], questions[i]), CLM_OK);
    finish(&t[1], f.engine, all, N);
    all[1] = all[2];
    finish(&t[0], f.engine, all, 2);
    finish(&t[2], f.engine, &all[2], 1);
    for (size_t i = 0; i < N; i++) {
        assert_string_equal(t[i].f.text, alone[i]);
        assert_int_equal(t[i].f.reply.finish, CLM_FINISH_EOS);
    }

    /* Each finds its own beginning in the cache that has it, whatever came last. */
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(begin(&t[i], questions[i]), CLM_OK);
        finish(&t[i], f.engine, &t[i].f.session, 1);
        assert_int_equal(t[i].f.reply.cached_tokens + 1, t[i].f.reply.prompt_tokens);
        assert_string_equal(t[i].f.text, alone[i]);
    }

    /* A long prompt beside them: it is processed in parts, and the others get their tokens meanwhile. */
    for (size_t i = 0; i + 3 < sizeof many; i += 3) memcpy(many + i, i % 2 == 0 ? "山" : "水", 4);
    assert_int_equal(begin(&t[1], many), CLM_OK);
    assert_int_equal(begin(&t[0], questions[0]), CLM_OK);
    all[0] = t[1].f.session;
    all[1] = t[0].f.session;
    finish(&t[0], f.engine, all, 2);
    assert_string_equal(t[0].f.text, alone[0]);
    finish(&t[1], f.engine, all, 1);
    assert_int_equal(begin(&t[2], many), CLM_OK);
    finish(&t[2], f.engine, &t[2].f.session, 1);
    assert_string_equal(t[1].f.text, t[2].f.text);
    assert_int_equal(t[2].f.reply.cached_tokens + 1, t[2].f.reply.prompt_tokens);
    assert_int_equal(begin(&t[1], questions[1]), CLM_OK);
    finish(&t[1], f.engine, &t[1].f.session, 1);

    /* One that is interrupted, or destroyed, does not disturb the others, and leaves its cache. */
    t[0].f.interrupt_after = 2;
    for (size_t i = 0; i < N; i++) {
        all[i] = t[i].f.session;
        assert_int_equal(begin(&t[i], questions[i]), CLM_OK);
    }
    finish(&t[0], f.engine, all, N);
    assert_int_equal(t[0].f.reply.finish, CLM_FINISH_INTERRUPTED);
    clm_session_destroy(t[1].f.session);
    finish(&t[2], f.engine, &all[2], 1);
    assert_string_equal(t[2].f.text, alone[2]);
    t[0].f.interrupt_after = 0;
    assert_int_equal(begin(&t[0], questions[0]), CLM_OK);
    finish(&t[0], f.engine, all, 1);
    assert_string_equal(t[0].f.text, alone[0]);
    clm_session_destroy(t[0].f.session);
    clm_session_destroy(t[2].f.session);
    close_fixture(&f);
}

static void a_given_conversation_is_answered_whole_or_not(void **state)
{
    const clm_message good[] = {{CLM_ROLE_SYSTEM, "", 0},
                                {CLM_ROLE_USER, question, strlen(question)},
                                {CLM_ROLE_ASSISTANT, answer, strlen(answer)},
                                {CLM_ROLE_USER, "静夜思", strlen("静夜思")}};
    char *many = malloc(3 * 300 + 1);
    fixture f;
    clm_message large = {CLM_ROLE_USER, many, 3 * 300};
    clm_err err = {""};

    (void)state;
    open_fixture(&f, 128);
    assert_non_null(many);
    for (size_t i = 0; i < 300; i++) memcpy(many + 3 * i, i % 2 == 0 ? "山" : "水", 3);
    assert_int_equal(clm_session_begin_reply(f.session, &large, 1, &f.sampling, collect, &f, &err),
                     CLM_E_LIMIT);
    assert_non_null(strstr(err.text, "context"));
    assert_int_equal(clm_session_begin_reply(f.session, good, 3, &f.sampling, collect, &f, &err),
                     CLM_E_USAGE);
    assert_int_equal(clm_session_begin_reply(f.session, good, 4, &f.sampling, collect, &f, &err),
                     CLM_OK);
    while (!clm_session_done(f.session))
        assert_int_equal(clm_engine_step(f.engine, &f.session, 1, &err), CLM_OK);
    assert_int_equal(clm_session_end(f.session, &f.reply, &err), CLM_OK);
    assert_non_null(strstr(f.text, "床前明月光"));
    free(many);
    close_fixture(&f);
}

/* A device whose layers take long; somebody presses Ctrl+C at the second one. */
static const clm_backend_ops *plain_ops;
static clm_session *pressed;
static size_t n_layers_run;

static clm_status slow_swiglu(clm_backend *b, const clm_vec *gu, size_t m, size_t ffn, bool tiled,
                              clm_vec *out, const clm_readers *readers, clm_err *err)
{
    const struct timespec pause = {.tv_nsec = n_layers_run < 2 ? 300000000 : 0};

    nanosleep(&pause, NULL);
    if (++n_layers_run == 2) clm_session_interrupt(pressed);
    return plain_ops->swiglu(b, gu, m, ffn, tiled, out, readers, err);
}

static void an_interrupt_ends_a_long_prompt_between_layers(void **state)
{
    char many[3 * 200 + 1];
    clm_backend_ops slow;
    size_t rounds, tokens;
    clm_backend *b;
    fixture f;

    (void)state;
    open_fixture(&f, 512);
    for (size_t i = 0; i + 3 < sizeof many; i += 3) memcpy(many + i, i % 2 == 0 ? "山" : "水", 4);
    b = f.engine->shares[0].backend;
    plain_ops = b->ops;
    slow = *plain_ops;
    slow.swiglu = slow_swiglu;
    b->ops = &slow;
    pressed = f.session;
    assert_int_equal(ask(&f, many), CLM_OK);
    assert_int_equal(f.reply.finish, CLM_FINISH_INTERRUPTED);
    assert_false(f.reply.kept);
    assert_int_equal(n_layers_run, 2); /* of 40, and of several batches */
    clm_session_usage(f.session, &rounds, &tokens);
    assert_int_equal(rounds, 0);
    b->ops = plain_ops;
    assert_int_equal(ask(&f, question), CLM_OK);
    assert_string_equal(f.text, answer);
    close_fixture(&f);
}

/* A conversation that shares but its template with another one takes an empty cache, not the other one's. */
static void conversations_keep_their_caches(void **state)
{
    talker t[2] = {0};
    fixture f;

    (void)state;
    open_fixture(&f, 512);
    assert_int_equal(clm_engine_reserve(f.engine, 2, NULL), 2);
    for (size_t round = 0; round < 2; round++)
        for (size_t i = 0; i < 2; i++) {
            t[i].f.sampling = f.sampling;
            if (round == 0)
                assert_int_equal(clm_session_create(f.engine, "", 1, &t[i].f.session, NULL),
                                 CLM_OK);
            assert_int_equal(begin(&t[i], i == 0 ? question : "静夜思"), CLM_OK);
            finish(&t[i], f.engine, &t[i].f.session, 1);
            if (round == 1)
                assert_int_equal(t[i].f.reply.cached_tokens + 1, t[i].f.reply.prompt_tokens);
        }
    for (size_t i = 0; i < 2; i++) clm_session_destroy(t[i].f.session);
    close_fixture(&f);
}

/* And an answer to a given conversation leaves the session's own as it is. */
static void one_answer_at_a_time_and_each_is_taken(void **state)
{
    const clm_message message = {CLM_ROLE_USER, "静夜思", strlen("静夜思")};
    size_t rounds, tokens, before;
    fixture f;
    clm_err err = {""};

    (void)state;
    open_fixture(&f, 512);
    assert_true(clm_session_done(f.session));
    assert_int_equal(clm_session_end(f.session, &f.reply, &err), CLM_E_USAGE);
    assert_int_equal(clm_engine_step(f.engine, &f.session, 1, &err), CLM_OK);
    assert_int_equal(ask(&f, question), CLM_OK);
    clm_session_usage(f.session, &rounds, &before);
    f.size = 0;
    assert_int_equal(
        clm_session_begin_reply(f.session, &message, 1, &f.sampling, collect, &f, &err), CLM_OK);
    assert_int_equal(
        clm_session_begin_reply(f.session, &message, 1, &f.sampling, collect, &f, &err),
        CLM_E_USAGE);
    assert_int_equal(clm_session_begin_complete(f.session, "a", 1, &f.sampling, collect, &f, &err),
                     CLM_E_USAGE);
    assert_int_equal(clm_session_ask(f.session, "a", 1, &f.sampling, collect, &f, &f.reply, &err),
                     CLM_E_USAGE);
    while (!clm_session_done(f.session))
        assert_int_equal(clm_engine_step(f.engine, &f.session, 1, &err), CLM_OK);
    assert_int_equal(clm_session_end(f.session, &f.reply, &err), CLM_OK);
    assert_non_null(strstr(f.text, "床前明月光"));
    clm_session_usage(f.session, &rounds, &tokens);
    assert_int_equal(rounds, 1);
    assert_int_equal(tokens, before);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_and_reuses_the_cache),
        cmocka_unit_test(a_full_context_drops_the_oldest_rounds),
        cmocka_unit_test(an_interrupt_before_the_answer_changes_nothing),
        cmocka_unit_test(a_question_beyond_the_context_is_refused),
        cmocka_unit_test(stop_strings_and_limits_end_an_answer),
        cmocka_unit_test(an_interrupt_keeps_the_conversation),
        cmocka_unit_test(sampling_with_a_seed_repeats),
        cmocka_unit_test(answers_at_once_are_as_alone),
        cmocka_unit_test(a_given_conversation_is_answered_whole_or_not),
        cmocka_unit_test(one_answer_at_a_time_and_each_is_taken),
        cmocka_unit_test(conversations_keep_their_caches),
        cmocka_unit_test(an_interrupt_ends_a_long_prompt_between_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
