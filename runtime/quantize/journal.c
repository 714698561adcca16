/* journal.c: see journal.h. */
#include "runtime/quantize/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/file.h"
#include "host/hash.h"

enum { MAX_JOURNAL = 16 << 20, MAX_LINE = 256 };

struct clm_journal {
    char *path;
    FILE *file;
    clm_checksum *checksum;
};

static uint64_t sum_of(clm_checksum *c, const char *text, size_t size)
{
    clm_checksum_add(c, text, size);
    return clm_checksum_take(c);
}

/* The text of a line, with its sum and a newline behind. */
static int format_line(clm_journal *j, const char *text, char line[MAX_LINE])
{
    return snprintf(line, MAX_LINE, "%s %016" PRIx64 "\n", text,
                    sum_of(j->checksum, text, strlen(text)));
}

static clm_status write_line(clm_journal *j, const char *text, clm_err *err)
{
    char line[MAX_LINE];
    const int size = format_line(j, text, line);

    if (fwrite(line, 1, (size_t)size, j->file) == (size_t)size && fflush(j->file) == 0)
        return CLM_OK;
    return clm_fail(err, CLM_E_IO, "%s: %s", j->path, strerror(errno));
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Cuts the next line off `*at` and checks its sum, which is then gone from it; NULL: no more. */
static char *next_line(clm_journal *j, char **at)
{
    char *line = *at, *end = strchr(line, '\n'), *space;
    char expected[MAX_LINE];

    if (end == NULL || end - line >= MAX_LINE - 1) return NULL;
    *end = '\0';
    space = strrchr(line, ' ');
    if (space == NULL) return NULL;
    *space = '\0';
    format_line(j, line, expected);
    *space = ' ';
    if (strlen(expected) != (size_t)(end - line) + 1 || strncmp(expected, line, strlen(line)) != 0)
        return NULL;
    *space = '\0';
    *at = end + 1;
    return line;
}

static bool parse_entry(const char *line, size_t n, size_t *index, clm_journal_entry *e)
{
    int used = 0;

    if (sscanf(line, "tensor %zu %" SCNx64 " %la %la%n", index, &e->sum, &e->error, &e->norm,
               &used) != 4)
        return false;
    e->done = true;
    return line[used] == '\0' && *index < n && e->error >= 0.0 && isfinite(e->norm);
}

static void identity_line(const char *identity, char line[MAX_LINE])
{
    snprintf(line, MAX_LINE, "clm-quantize 1 %s", identity);
}

/* Reads what is there, up to the first line that is not sound; nothing when it is about other work. */
static void read_entries(clm_journal *j, char *text, const char *identity,
                         clm_journal_entry *entries, size_t n)
{
    char expected[MAX_LINE], *at = text, *line = next_line(j, &at);

    identity_line(identity, expected);
    if (line == NULL || strcmp(line, expected) != 0) return;
    while ((line = next_line(j, &at)) != NULL) {
        clm_journal_entry e = {false, 0, 0.0, 0.0};
        size_t index;

        if (!parse_entry(line, n, &index, &e)) break;
        entries[index] = e;
    }
}

/* Writes the file anew with what was sound in it. Should this be cut off, work is done again. */
static clm_status rewrite(clm_journal *j, const char *identity, const clm_journal_entry *entries,
                          size_t n, clm_err *err)
{
    char text[MAX_LINE];
    clm_status st;

    j->file = fopen(j->path, "wbe");
    if (j->file == NULL) return clm_fail(err, CLM_E_IO, "%s: %s", j->path, strerror(errno));
    identity_line(identity, text);
    st = write_line(j, text, err);
    for (size_t i = 0; i < n && st == CLM_OK; i++)
        if (entries[i].done) st = clm_journal_add(j, i, &entries[i], err);
    return st;
}

clm_status clm_journal_open(const char *path, const char *identity, bool resume,
                            clm_journal_entry *entries, size_t n, clm_journal **out, clm_err *err)
{
    clm_journal *j = calloc(1, sizeof *j);
    char *text = NULL;
    size_t size = 0;
    clm_status st;

    *out = NULL;
    memset(entries, 0, n * sizeof *entries);
    if (j == NULL || (j->path = strdup(path)) == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
        goto out;
    }
    st = clm_checksum_create(&j->checksum, err);
    if (st != CLM_OK) goto out;
    /* A journal that cannot be read is one that says nothing. */
    if (resume && clm_file_read(path, MAX_JOURNAL, &text, &size, NULL) == CLM_OK)
        read_entries(j, text, identity, entries, n);
    st = rewrite(j, identity, entries, n, err);
    if (st != CLM_OK) goto out;
    *out = j;
    j = NULL;
out:
    free(text);
    clm_journal_close(j);
    return st;
}

clm_status clm_journal_add(clm_journal *j, size_t index, const clm_journal_entry *e, clm_err *err)
{
    char text[MAX_LINE];

    snprintf(text, sizeof text, "tensor %zu %016" PRIx64 " %a %a", index, e->sum, e->error,
             e->norm);
    return write_line(j, text, err);
}

void clm_journal_close(clm_journal *j)
{
    if (j == NULL) return;
    if (j->file != NULL) fclose(j->file);
    clm_checksum_destroy(j->checksum);
    free(j->path);
    free(j);
}
