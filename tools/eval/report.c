/* tools/eval/report.c: see tools/eval/report.h. */
#include "tools/eval/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

/* The scores of the subjects that have an answer, which come first. */
typedef struct scores {
    clm_score *of; /* [n] */
    size_t n;
    clm_score over_subjects, over_questions;
    size_t n_fewer,
        n_tied; /* answers with fewer examples than asked for, and without a single best letter */
} scores;

static clm_status make_scores(const clm_benchmark_run *run, scores *out, clm_err *err)
{
    size_t done = 0;

    *out = (scores){.of = calloc(run->subjects->n, sizeof *out->of)};
    if (out->of == NULL) return clm_fail(err, CLM_E_NOMEM, "eval: no memory");
    for (; out->n < run->subjects->n && done < run->n_answers; out->n++) {
        const clm_questions *q = &run->subjects->items[out->n].questions;
        const size_t left = run->n_answers - done, n = q->n < left ? q->n : left;

        out->of[out->n] = clm_score_of(q->items, run->answers + done, n);
        done += n;
    }
    out->over_subjects = clm_score_mean(out->of, out->n);
    out->over_questions = clm_score_pooled(out->of, out->n);
    for (size_t i = 0; i < run->n_answers; i++) {
        out->n_fewer += run->answers[i].shots < run->shots;
        out->n_tied += run->answers[i].tied;
    }
    return CLM_OK;
}

/* ---- the table ------------------------------------------------------------------------------- */

static void print_row(const char *name, const clm_score *s)
{
    char error[16] = "-";

    if (!isnan(s->error)) snprintf(error, sizeof error, "%.2f", 100.0 * s->error);
    printf("%-40s %9zu %9zu %9.2f %7s %9.3f\n", name, s->n, s->n_correct, 100.0 * s->accuracy,
           error, s->right);
}

clm_status clm_benchmark_print(const clm_benchmark_run *run, const clm_engine_report *about,
                               clm_err *err)
{
    scores s;
    clm_status st = make_scores(run, &s, err);

    if (st != CLM_OK) return st;
    printf("%-40s %9s %9s %9s %7s %9s\n", "subject", "questions", "correct", "%", "+-", "p(right)");
    for (size_t i = 0; i < s.n; i++) print_row(run->subjects->items[i].stem, &s.of[i]);
    print_row("mean over subjects", &s.over_subjects);
    print_row("mean over questions", &s.over_questions);
    printf("\n%zu-shot, %zu of %zu questions, %zu prompt tokens (%zu from the cache), %.1f s on "
           "%s\n",
           run->shots, run->n_answers, run->subjects->n_questions, run->n_tokens, run->n_cached,
           run->seconds, about->device);
    if (s.n_fewer > 0)
        printf("%zu questions had fewer examples: more do not fit the context of %zu tokens\n",
               s.n_fewer, about->ctx_size);
    if (s.n_tied > 0) printf("%zu answers were ties of which the first letter counts\n", s.n_tied);
    free(s.of);
    return CLM_OK;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *json_score(const clm_score *s)
{
    return json_pack("{s:I, s:I, s:f, s:o, s:f}", "questions", (json_int_t)s->n, "correct",
                     (json_int_t)s->n_correct, "accuracy", s->accuracy, "error",
                     isnan(s->error) ? json_null() : json_real(s->error), "p_right", s->right);
}

static json_t *json_letter(size_t option)
{
    const char letter = (char)('A' + option);

    return json_stringn(&letter, 1);
}

static json_t *json_answers(const clm_question *questions, const clm_answer *answers, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++) {
        const double *p = answers[i].probabilities;

        json_array_append_new(list,
                              json_pack("{s:I, s:o, s:o, s:[f, f, f, f], s:I}", "line",
                                        (json_int_t)questions[i].line, "answer",
                                        json_letter(questions[i].answer), "choice",
                                        json_letter(answers[i].choice), "probabilities", p[0], p[1],
                                        p[2], p[3], "shots", (json_int_t)answers[i].shots));
    }
    return list;
}

static json_t *json_subjects(const clm_benchmark_run *run, const scores *s)
{
    json_t *list = json_array();
    const clm_answer *answers = run->answers;

    for (size_t i = 0; i < s->n; i++) {
        const clm_subject *subject = &run->subjects->items[i];
        json_t *item = json_score(&s->of[i]);

        json_object_set_new(item, "subject", json_string(subject->stem));
        json_object_set_new(item, "name", json_string(subject->name));
        json_object_set_new(item, "answers",
                            json_answers(subject->questions.items, answers, s->of[i].n));
        json_array_append_new(list, item);
        answers += s->of[i].n;
    }
    return list;
}

clm_status clm_benchmark_print_json(const clm_benchmark_run *run, const clm_engine_report *about,
                                    clm_err *err)
{
    scores s;
    json_t *root;
    char *text;
    clm_status st = make_scores(run, &s, err);

    if (st != CLM_OK) return st;
    root = json_pack(
        "{s:s, s:b, s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:f, s:s}", "benchmark",
        run->benchmark->name, "complete", run->n_answers == run->subjects->n_questions, "shots",
        (json_int_t)run->shots, "subjects", json_subjects(run, &s), "mean_over_subjects",
        json_score(&s.over_subjects), "mean_over_questions", json_score(&s.over_questions),
        "fewer_examples", (json_int_t)s.n_fewer, "ties", (json_int_t)s.n_tied, "context",
        (json_int_t)about->ctx_size, "prompt_tokens", (json_int_t)run->n_tokens, "cached_tokens",
        (json_int_t)run->n_cached, "seconds", run->seconds, "device", about->device);
    text = root != NULL ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    free(s.of);
    if (text == NULL) return clm_fail(err, CLM_E_NOMEM, "eval: no memory");
    puts(text);
    free(text);
    return CLM_OK;
}
