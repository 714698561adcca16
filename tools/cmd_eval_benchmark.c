/* tools/cmd_eval_benchmark.c: `clm eval cmmlu` and `clm eval ceval`: benchmarks of multiple-choice questions.
 *
 * Layer    tools.
 */
#include <stdlib.h>

#include "tools/cli.h"
#include "tools/clock.h"
#include "tools/commands.h"
#include "tools/eval/report.h"

/* The benchmark's own examples per subject. */
enum { MAX_SHOTS = 5 };

static const char *const letters[CLM_N_OPTIONS] = {"A", "B", "C", "D"};

/* Asks with as many examples as fit the context. */
static clm_status ask(clm_benchmark_run *run, clm_session *session, const clm_subject *subject,
                      size_t question, clm_err *err)
{
    clm_answer *answer = &run->answers[run->n_answers];
    clm_choice choice;
    clm_status st;

    answer->shots = run->shots;
    for (;;) {
        char *prompt = NULL;
        size_t size = 0;

        st = clm_benchmark_prompt(run->benchmark, subject, answer->shots, question, &prompt, &size,
                                  err);
        if (st == CLM_OK)
            st = clm_session_choose(session, prompt, size, letters, CLM_N_OPTIONS,
                                    answer->probabilities, &choice, err);
        free(prompt);
        if (st != CLM_E_LIMIT || answer->shots == 0) break;
        answer->shots--;
    }
    if (st == CLM_E_LIMIT)
        return clm_fail_context(err, st, "%s:%zu", subject->questions.path,
                                subject->questions.items[question].line);
    if (st != CLM_OK) return st;
    answer->choice = choice.best;
    answer->tied = choice.tied;
    run->n_answers++;
    run->n_tokens += choice.prompt_tokens;
    run->n_cached += choice.cached_tokens;
    return CLM_OK;
}

static clm_status ask_all(clm_benchmark_run *run, clm_session *session, clm_err *err)
{
    const double start = clm_seconds_now();
    clm_status st = CLM_OK;

    clm_cli_catch_interrupt(session);
    for (size_t i = 0; i < run->subjects->n && st == CLM_OK; i++) {
        const clm_subject *subject = &run->subjects->items[i];

        for (size_t j = 0; j < subject->questions.n && st == CLM_OK; j++) {
            st = ask(run, session, subject, j, err);
            clm_progress(clm_cli_observer(), "questions", run->n_answers,
                         run->subjects->n_questions);
        }
    }
    clm_cli_catch_interrupt(NULL);
    clm_cli_end_progress();
    run->seconds = clm_seconds_now() - start;
    return st;
}

/* Also of a run that was not completed: hours may be in it. */
static clm_status report(const clm_benchmark_run *run, const clm_engine *engine, bool json,
                         clm_err *err)
{
    clm_engine_report about;

    clm_engine_describe(engine, &about);
    return json ? clm_benchmark_print_json(run, &about, err)
                : clm_benchmark_print(run, &about, err);
}

static clm_status evaluate(clm_benchmark_run *run, const clm_settings *s, bool json, clm_err *err)
{
    clm_engine *engine = NULL;
    clm_session *session = NULL;
    clm_err report_err;
    clm_status st = clm_engine_create(s, clm_cli_observer(), &engine, err), reported = CLM_OK;

    if (st == CLM_OK) st = clm_session_create(engine, "", 1, &session, err);
    if (st != CLM_OK) goto out;
    st = ask_all(run, session, err);
    if (run->n_answers > 0) reported = report(run, engine, json, &report_err);
    if (st == CLM_E_INTERRUPTED)
        fprintf(stderr, "clm: interrupted after %zu of %zu questions\n", run->n_answers,
                run->subjects->n_questions);
    if (st == CLM_OK && reported != CLM_OK) {
        *err = report_err;
        st = reported;
    }
out:
    clm_session_destroy(session);
    clm_engine_destroy(engine);
    return st;
}

static clm_status run(const clm_benchmark *benchmark, const clm_args *args, clm_err *err)
{
    clm_config *config = NULL;
    clm_subjects subjects = {0};
    clm_benchmark_run it = {.benchmark = benchmark, .subjects = &subjects};
    uint64_t shots = 0, most = 0;
    clm_status st = clm_args_config(args, &config, err);

    if (st == CLM_OK) st = clm_args_get_u64(args, "shots", 0, MAX_SHOTS, MAX_SHOTS, &shots, err);
    if (st == CLM_OK) st = clm_args_get_u64(args, "questions", 1, UINT32_MAX, 0, &most, err);
    if (st == CLM_OK)
        st = clm_subjects_read(benchmark, args->words[0], clm_args_get(args, "subject"),
                               (size_t)shots, (size_t)most, &subjects, err);
    if (st != CLM_OK) goto out;
    it.shots = (size_t)shots;
    it.answers = calloc(subjects.n_questions, sizeof *it.answers);
    if (it.answers == NULL)
        st = clm_fail(err, CLM_E_NOMEM, "%s: no memory", benchmark->name);
    else
        st = evaluate(&it, clm_config_settings(config), clm_args_has(args, "json"), err);
out:
    free(it.answers);
    clm_subjects_clear(&subjects);
    clm_config_destroy(config);
    return st;
}

static clm_status run_cmmlu(const clm_args *args, clm_err *err)
{
    return run(&clm_benchmark_cmmlu, args, err);
}

static clm_status run_ceval(const clm_args *args, clm_err *err)
{
    return run(&clm_benchmark_ceval, args, err);
}

static const clm_flag flags[] = {
    {.names = "--subject",
     .value = "NAME[,NAME]",
     .id = "subject",
     .help = "only these subjects, by the names of their files"},
    {.names = "-n, --questions",
     .value = "N",
     .id = "questions",
     .help = "the first N questions of each subject (default all)"},
    {.names = "--shots",
     .value = "N",
     .id = "shots",
     .help = "examples with answers before each question, 0 to 5 (default 5)"},
    {.names = NULL},
};

#define SYNOPSIS "FOLDER -m MODEL [--subject NAME[,NAME]] [-n N] [--shots N] [--json]"
#define SCORING                                                                                    \
    "Columns are found by their names. The letter counts whose logit is the largest of the four "  \
    "behind the\n"                                                                                 \
    "prompt; p(right) is the mean probability of the right one among them. +- is the standard "    \
    "error.\n"                                                                                     \
    "Where a prompt does not fit the context (-c), its first examples are left out, and counted. " \
    "What prompts have in\n"                                                                       \
    "common is processed once. Ctrl+C prints what is done so far. Activations and cache are "      \
    "those "                                                                                       \
    "of chat;\n"                                                                                   \
    "--activations f32 --kv-cache-type f32 is exact. --json has each answer."
#define GROUPS                                                                                     \
    (CLM_FLAGS_CONFIG | CLM_FLAGS_MODEL | CLM_FLAGS_WEIGHTS | CLM_FLAGS_DEVICE |                   \
     CLM_FLAGS_CONTEXT | CLM_FLAGS_JSON)

const clm_command clm_cmd_eval_cmmlu = {
    .name = "eval cmmlu",
    .synopsis = SYNOPSIS,
    .summary = "accuracy on CMMLU: Chinese multiple-choice questions",
    .details = "FOLDER is your copy of the data: dev/SUBJECT.csv has the examples, "
               "test/SUBJECT.csv the questions.\n" SCORING,
    .groups = GROUPS,
    .flags = flags,
    .min_words = 1,
    .max_words = 1,
    .run = run_cmmlu,
};

const clm_command clm_cmd_eval_ceval = {
    .name = "eval ceval",
    .synopsis = SYNOPSIS,
    .summary = "accuracy on C-Eval: questions of Chinese exams",
    .details = "FOLDER is your copy of the data: dev/SUBJECT_dev.csv has the examples, "
               "val/SUBJECT_val.csv the questions (the\n"
               "answers of test/ are not published).\n" SCORING,
    .groups = GROUPS,
    .flags = flags,
    .min_words = 1,
    .max_words = 1,
    .run = run_ceval,
};
