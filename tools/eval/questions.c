/* tools/eval/questions.c: see tools/eval/questions.h. */
#include "tools/eval/questions.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tools/cli.h"
#include "tools/eval/csv.h"

/* Where the header has what. */
enum { TEXT, OPTIONS, ANSWER = OPTIONS + CLM_N_OPTIONS, N_COLUMNS };
static const char *const column_names[N_COLUMNS] = {"question", "A", "B", "C", "D", "answer"};

static clm_status find_columns(const clm_csv *table, const char *path, size_t columns[N_COLUMNS],
                               clm_err *err)
{
    const clm_csv_row *header = &table->rows[0];

    for (size_t i = 0; i < N_COLUMNS; i++) {
        size_t found = 0;

        for (size_t j = 0; j < table->n_fields; j++) {
            if (strcasecmp(header->fields[j], column_names[i]) != 0) continue;
            columns[i] = j;
            found++;
        }
        if (found != 1)
            return clm_fail(err, CLM_E_USAGE,
                            "%s:%zu: the header has %s column '%s'; it needs question, A, B, C, D "
                            "and answer",
                            path, header->line, found == 0 ? "no" : "more than one",
                            column_names[i]);
    }
    return CLM_OK;
}

/* The option that the text of an answer names ("B"); CLM_N_OPTIONS: none. */
static size_t option_of(const char *text)
{
    size_t option;

    while (isspace((unsigned char)*text)) text++;
    option = *text != '\0' ? (size_t)(toupper((unsigned char)*text) - 'A') : CLM_N_OPTIONS;
    if (*text != '\0') text++;
    while (isspace((unsigned char)*text)) text++;
    return *text == '\0' && option < CLM_N_OPTIONS ? option : CLM_N_OPTIONS;
}

/* Takes a text out of the row, which loses it. */
static char *take(char **field)
{
    char *text = *field;

    *field = NULL;
    return text;
}

static clm_status take_question(clm_csv_row *row, const size_t columns[N_COLUMNS], const char *path,
                                clm_question *out, clm_err *err)
{
    const char *answer = row->fields[columns[ANSWER]];

    out->line = row->line;
    out->answer = option_of(answer);
    if (out->answer == CLM_N_OPTIONS)
        return clm_fail(err, CLM_E_USAGE, "%s:%zu: the answer is '%.40s', which is none of A to D",
                        path, row->line, answer);
    if (row->fields[columns[TEXT]][0] == '\0')
        return clm_fail(err, CLM_E_USAGE, "%s:%zu: the question is empty", path, row->line);
    out->text = take(&row->fields[columns[TEXT]]);
    for (size_t i = 0; i < CLM_N_OPTIONS; i++)
        out->options[i] = take(&row->fields[columns[OPTIONS + i]]);
    return CLM_OK;
}

static clm_status take_questions(clm_csv *table, clm_questions *out, clm_err *err)
{
    size_t columns[N_COLUMNS] = {0};
    clm_status st = find_columns(table, out->path, columns, err);

    if (st != CLM_OK) return st;
    if (table->n_rows == 1)
        return clm_fail(err, CLM_E_USAGE, "%s: the file has a header and no questions", out->path);
    out->items = calloc(table->n_rows, sizeof *out->items);
    if (out->items == NULL) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", out->path);
    for (size_t i = 1; i < table->n_rows && st == CLM_OK; i++)
        st = take_question(&table->rows[i], columns, out->path, &out->items[out->n++], err);
    return st;
}

clm_status clm_questions_read(const char *path, clm_questions *out, clm_err *err)
{
    clm_csv table = {0};
    char *text = NULL;
    size_t size = 0;
    clm_status st = CLM_OK;

    *out = (clm_questions){.path = strdup(path)};
    if (out->path == NULL) st = clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
    if (st == CLM_OK) st = clm_cli_read_file(path, &text, &size, err);
    if (st == CLM_OK) st = clm_csv_parse(text, size, path, &table, err);
    if (st == CLM_OK) st = take_questions(&table, out, err);
    clm_csv_clear(&table);
    free(text);
    return st;
}

void clm_question_clear(clm_question *q)
{
    free(q->text);
    for (size_t i = 0; i < CLM_N_OPTIONS; i++) free(q->options[i]);
    *q = (clm_question){0};
}

void clm_questions_clear(clm_questions *q)
{
    for (size_t i = 0; i < q->n; i++) clm_question_clear(&q->items[i]);
    free(q->items);
    free(q->path);
    *q = (clm_questions){0};
}
