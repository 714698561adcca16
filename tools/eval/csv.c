/* tools/eval/csv.c: see tools/eval/csv.h. */
#include "tools/eval/csv.h"

#include <stdlib.h>
#include <string.h>

#include <csv.h>
#include <jansson.h>

/* The row in progress, and where the parser is. */
typedef struct reader {
    clm_csv *table;
    char **fields;
    size_t n, room;
    size_t line, row_line; /* at hand; in which the row began */
    size_t uneven_line;    /* of the first row with a wrong number of fields; 0: none */
    size_t uneven;         /* its number */
    bool no_memory;
} reader;

/* libcsv's first callback: the end of a field. */
static void on_field(void *text, size_t size, void *user)
{
    reader *r = user;
    char *copy = malloc(size + 1);

    if (copy != NULL && r->n == r->room) {
        const size_t room = 2 * r->room + 8;
        char **grown = realloc(r->fields, room * sizeof *grown);

        if (grown != NULL) {
            r->fields = grown;
            r->room = room;
        }
    }
    if (copy == NULL || r->n == r->room) {
        free(copy);
        r->no_memory = true;
        return;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    r->fields[r->n++] = copy;
}

static void drop_fields(char **fields, size_t n)
{
    for (size_t i = 0; i < n; i++) free(fields[i]);
}

/* Puts the fields of the row in progress into the table, which they fit. */
static void add_row(reader *r)
{
    clm_csv *t = r->table;
    char **fields = malloc(r->n * sizeof *fields);

    if (fields != NULL && t->n_rows == t->room) {
        const size_t room = 2 * t->room + 64;
        clm_csv_row *grown = realloc(t->rows, room * sizeof *grown);

        if (grown != NULL) {
            t->rows = grown;
            t->room = room;
        }
    }
    if (fields == NULL || t->n_rows == t->room) {
        free(fields);
        drop_fields(r->fields, r->n);
        r->no_memory = true;
        return;
    }
    memcpy(fields, r->fields, r->n * sizeof *fields);
    t->rows[t->n_rows++] = (clm_csv_row){fields, r->row_line};
}

/* libcsv's second callback: the end of a row; with CSV_REPALL_NL also of an empty line, and of the LF of a CRLF. */
static void on_row(int ending, void *user)
{
    reader *r = user;

    (void)ending;
    if (r->table->n_fields == 0) r->table->n_fields = r->n;
    if (r->n > 0 && r->n == r->table->n_fields) {
        add_row(r);
    } else if (r->n > 0) {
        if (r->uneven_line == 0) {
            r->uneven_line = r->row_line;
            r->uneven = r->n;
        }
        drop_fields(r->fields, r->n);
    }
    r->n = 0;
    r->row_line = r->line + 1;
}

/* Spaces are no decoration here: they are part of what a model is shown. */
static int no_space(unsigned char c)
{
    (void)c;
    return 0;
}

static bool is_utf8(const char *text, size_t size)
{
    json_t *string = json_stringn(text, size); /* refuses what is not */
    const bool good = string != NULL;

    json_decref(string);
    return good;
}

/* What is wrong with a line before it is parsed, or NULL. */
static const char *line_fault(const char *text, size_t size)
{
    if (memchr(text, '\0', size) != NULL) return "holds a NUL byte";
    return is_utf8(text, size) ? NULL : "is not UTF-8";
}

/* Line by line, so that rows know where they begin. */
static clm_status parse_lines(struct csv_parser *parser, reader *r, const char *text, size_t size,
                              const char *name, clm_err *err)
{
    const char *end = text + size;

    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const size_t n = (size_t)((newline != NULL ? newline + 1 : end) - text);
        const char *fault = line_fault(text, n);

        if (fault != NULL)
            return clm_fail(err, CLM_E_USAGE, "%s:%zu: the line %s", name, r->line, fault);
        if (csv_parse(parser, text, n, on_field, on_row, r) != n)
            return clm_fail(err, CLM_E_NOMEM, "%s:%zu: %s", name, r->line,
                            csv_strerror(csv_error(parser)));
        text += n;
        r->line++;
    }
    csv_set_opts(parser, CSV_STRICT | CSV_STRICT_FINI); /* only now: no quote may be left open */
    if (csv_fini(parser, on_field, on_row, r) != 0)
        return clm_fail(err, CLM_E_USAGE, "%s:%zu: a quote in this row is not closed", name,
                        r->row_line);
    return CLM_OK;
}

static clm_status check(const reader *r, const char *name, clm_err *err)
{
    if (r->no_memory) return clm_fail(err, CLM_E_NOMEM, "%s: no memory", name);
    if (r->uneven_line != 0)
        return clm_fail(err, CLM_E_USAGE, "%s:%zu: the row has %zu fields and the header %zu", name,
                        r->uneven_line, r->uneven, r->table->n_fields);
    if (r->table->n_rows == 0) return clm_fail(err, CLM_E_USAGE, "%s: the file is empty", name);
    return CLM_OK;
}

clm_status clm_csv_parse(const char *text, size_t size, const char *name, clm_csv *out,
                         clm_err *err)
{
    static const char mark[] = "\xEF\xBB\xBF";
    reader r = {.table = out, .line = 1, .row_line = 1};
    struct csv_parser parser;
    clm_status st;

    *out = (clm_csv){0};
    if (csv_init(&parser, CSV_REPALL_NL) != 0)
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory", name);
    csv_set_space_func(&parser, no_space);
    if (size >= strlen(mark) && memcmp(text, mark, strlen(mark)) == 0) {
        text += strlen(mark);
        size -= strlen(mark);
    }
    st = parse_lines(&parser, &r, text, size, name, err);
    if (st == CLM_OK) st = check(&r, name, err);
    drop_fields(r.fields, r.n);
    free(r.fields);
    csv_free(&parser);
    return st;
}

void clm_csv_clear(clm_csv *table)
{
    for (size_t i = 0; i < table->n_rows; i++) {
        drop_fields(table->rows[i].fields, table->n_fields);
        free(table->rows[i].fields);
    }
    free(table->rows);
    *table = (clm_csv){0};
}
