/* tools/eval/benchmark.c: see tools/eval/benchmark.h. */
#include "tools/eval/benchmark.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const clm_benchmark clm_benchmark_cmmlu = {
    .name = "cmmlu",
    .example_folder = "dev",
    .example_ending = ".csv",
    .question_folder = "test",
    .question_ending = ".csv",
    .before_subject = "以下是关于",
    .after_subject = "的单项选择题，请直接给出正确答案的选项。\n\n",
    .before_question = "题目：",
    .before_answer = "答案是：",
    .subjects = clm_cmmlu_subjects,
};

/* The answers of its test/ are not published. */
const clm_benchmark clm_benchmark_ceval = {
    .name = "ceval",
    .example_folder = "dev",
    .example_ending = "_dev.csv",
    .question_folder = "val",
    .question_ending = "_val.csv",
    .before_subject = "以下是中国关于",
    .after_subject = "考试的单项选择题，请选出其中的正确答案。\n\n",
    .before_question = "",
    .before_answer = "答案：",
    .subjects = clm_ceval_subjects,
};

/* ---- which subjects -------------------------------------------------------------------------- */

static clm_status add_subject(const clm_benchmark *b, const char *stem, size_t length,
                              clm_subjects *out, clm_err *err)
{
    clm_subject *grown = realloc(out->items, (out->n + 1) * sizeof *grown), *s;

    if (grown == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", b->name);
    out->items = grown;
    s = &out->items[out->n++];
    *s = (clm_subject){.stem = strndup(stem, length)};
    if (s->stem == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", b->name);
    s->name = s->stem;
    for (const clm_subject_name *known = b->subjects; known->stem != NULL; known++)
        if (strcmp(known->stem, s->stem) == 0) s->name = known->name;
    return CLM_OK;
}

static int by_stem(const void *a, const void *b)
{
    return strcmp(((const clm_subject *)a)->stem, ((const clm_subject *)b)->stem);
}

/* What is wrong with a folder, and what is expected. */
static clm_status fail_layout(const clm_benchmark *b, const char *path, const char *what,
                              clm_err *err)
{
    return clm_fail(err, CLM_E_USAGE,
                    "%s: %s; a copy of %s has its examples in %s/SUBJECT%s and its questions in "
                    "%s/SUBJECT%s",
                    path, what, b->name, b->example_folder, b->example_ending, b->question_folder,
                    b->question_ending);
}

static clm_status check_examples(const clm_benchmark *b, const char *folder, clm_err *err)
{
    clm_status st = CLM_OK;
    char *path = NULL;

    if (asprintf(&path, "%s/%s", folder, b->example_folder) < 0)
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory", folder);
    if (access(path, F_OK) != 0) st = fail_layout(b, path, strerror(errno), err);
    free(path);
    return st;
}

/* All subjects that have questions. */
static clm_status list_subjects(const clm_benchmark *b, const char *folder, clm_subjects *out,
                                clm_err *err)
{
    const size_t ending = strlen(b->question_ending);
    const struct dirent *entry;
    clm_status st = CLM_OK;
    char *path = NULL;
    DIR *dir;

    if (asprintf(&path, "%s/%s", folder, b->question_folder) < 0)
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory", folder);
    dir = opendir(path);
    if (dir == NULL) st = fail_layout(b, path, strerror(errno), err);
    while (st == CLM_OK && (entry = readdir(dir)) != NULL) {
        const size_t length = strlen(entry->d_name);

        if (entry->d_name[0] == '.' || length <= ending ||
            strcmp(entry->d_name + length - ending, b->question_ending) != 0)
            continue;
        st = add_subject(b, entry->d_name, length - ending, out, err);
    }
    if (dir != NULL) closedir(dir);
    if (st == CLM_OK && out->n == 0) {
        char what[64];

        snprintf(what, sizeof what, "the folder has no files *%s", b->question_ending);
        st = fail_layout(b, path, what, err);
    }
    if (st == CLM_OK) qsort(out->items, out->n, sizeof *out->items, by_stem);
    free(path);
    return st;
}

static void clear_subject(clm_subject *s)
{
    clm_questions_clear(&s->examples);
    clm_questions_clear(&s->questions);
    free(s->stem);
}

/* That a word of --subject names no subject. */
static clm_status refuse(const clm_subjects *all, const char *word, size_t length, clm_err *err)
{
    const char **stems = malloc(all->n * sizeof *stems), *nearest;
    char *copy = strndup(word, length);
    clm_status st;

    if (stems == NULL || copy == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "--subject: no memory");
    } else {
        for (size_t i = 0; i < all->n; i++) stems[i] = all->items[i].stem;
        nearest = clm_word_nearest(copy, stems, all->n);
        st = clm_fail(err, CLM_E_USAGE, "--subject: there is no '%s'%s%s%s", copy,
                      nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
                      nearest != NULL ? "'?" : "");
    }
    free(stems);
    free(copy);
    return st;
}

/* Leaves the subjects that the list names. */
static clm_status select_subjects(clm_subjects *all, const char *only, clm_err *err)
{
    bool *wanted = calloc(all->n, sizeof *wanted);
    size_t kept = 0;
    clm_status st = CLM_OK;

    if (wanted == NULL) return clm_fail(err, CLM_E_NOMEM, "--subject: no memory");
    for (const char *word = only; st == CLM_OK; word++) {
        const size_t length = strcspn(word, ",");
        size_t i = 0;

        while (i < all->n && (strlen(all->items[i].stem) != length ||
                              strncmp(all->items[i].stem, word, length) != 0))
            i++;
        if (i < all->n)
            wanted[i] = true;
        else
            st = refuse(all, word, length, err);
        word += length;
        if (*word == '\0') break;
    }
    for (size_t i = 0; i < all->n && st == CLM_OK; i++) {
        if (wanted[i])
            all->items[kept++] = all->items[i];
        else
            clear_subject(&all->items[i]);
    }
    if (st == CLM_OK) all->n = kept;
    free(wanted);
    return st;
}

/* ---- their files ----------------------------------------------------------------------------- */

static clm_status read_file(const char *folder, const char *sub, const char *stem,
                            const char *ending, clm_questions *out, clm_err *err)
{
    char *path = NULL;
    clm_status st;

    if (asprintf(&path, "%s/%s/%s%s", folder, sub, stem, ending) < 0)
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory", folder);
    st = clm_questions_read(path, out, err);
    free(path);
    return st;
}

/* Forgets all but the first `most`. */
static void shorten(clm_questions *q, size_t most)
{
    while (q->n > most) clm_question_clear(&q->items[--q->n]);
}

static clm_status read_subject(const clm_benchmark *b, const char *folder, size_t shots,
                               size_t most, clm_subject *s, clm_err *err)
{
    clm_status st =
        read_file(folder, b->question_folder, s->stem, b->question_ending, &s->questions, err);

    if (st == CLM_OK && most > 0) shorten(&s->questions, most);
    if (st != CLM_OK || shots == 0) return st;
    st = read_file(folder, b->example_folder, s->stem, b->example_ending, &s->examples, err);
    if (st == CLM_OK && s->examples.n < shots)
        st = clm_fail(err, CLM_E_USAGE, "%s: the file has %zu examples, and --shots %zu needs %zu",
                      s->examples.path, s->examples.n, shots, shots);
    if (st == CLM_OK) shorten(&s->examples, shots);
    return st;
}

clm_status clm_subjects_read(const clm_benchmark *b, const char *folder, const char *only,
                             size_t shots, size_t most, clm_subjects *out, clm_err *err)
{
    clm_status st;

    *out = (clm_subjects){0};
    st = list_subjects(b, folder, out, err);
    if (st == CLM_OK && shots > 0) st = check_examples(b, folder, err);
    if (st == CLM_OK && only != NULL) st = select_subjects(out, only, err);
    for (size_t i = 0; i < out->n && st == CLM_OK; i++) {
        st = read_subject(b, folder, shots, most, &out->items[i], err);
        out->n_questions += out->items[i].questions.n;
    }
    return st;
}

void clm_subjects_clear(clm_subjects *s)
{
    for (size_t i = 0; i < s->n; i++) clear_subject(&s->items[i]);
    free(s->items);
    *s = (clm_subjects){0};
}

/* ---- prompts --------------------------------------------------------------------------------- */

/* A question up to its answer. */
static void write_question(FILE *to, const clm_benchmark *b, const clm_question *q)
{
    fprintf(to, "%s%s", b->before_question, q->text);
    for (size_t i = 0; i < CLM_N_OPTIONS; i++)
        fprintf(to, "\n%c. %s", (int)('A' + i), q->options[i]);
    fprintf(to, "\n%s", b->before_answer);
}

clm_status clm_benchmark_prompt(const clm_benchmark *b, const clm_subject *s, size_t shots,
                                size_t question, char **text, size_t *size, clm_err *err)
{
    FILE *to = open_memstream(text, size);
    bool good;

    if (to == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", b->name);
    fprintf(to, "%s%s%s", b->before_subject, s->name, b->after_subject);
    for (size_t i = s->examples.n - shots; i < s->examples.n; i++) {
        write_question(to, b, &s->examples.items[i]);
        fprintf(to, "%c\n\n", (int)('A' + s->examples.items[i].answer));
    }
    write_question(to, b, &s->questions.items[question]);
    good = ferror(to) == 0;
    good = fclose(to) == 0 && good;
    if (good) return CLM_OK;
    free(*text);
    *text = NULL;
    return clm_fail(err, CLM_E_NOMEM, "%s: no memory", b->name);
}
