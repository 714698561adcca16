/* tools/eval/csv.h: tables in CSV files. The only header that hides libcsv.
 *
 * Layer    tools.
 *
 * RFC 4180: fields in quotes may hold commas, quotes (doubled) and line breaks; lines end in LF or CRLF. A byte
 * order mark is passed over, and so are empty lines. Spaces belong to their field. A quote within a field that does
 * not begin with one is text, as pandas has it.
 */
#ifndef CLM_TOOLS_EVAL_CSV_H
#define CLM_TOOLS_EVAL_CSV_H

#include <stddef.h>
#include "runtime/clm.h"

typedef struct clm_csv_row {
    char **fields; /* [n_fields of the table] */
    size_t line;   /* in which it begins, from 1 */
} clm_csv_row;

typedef struct clm_csv {
    size_t n_fields;   /* of every row */
    clm_csv_row *rows; /* the header is the first one */
    size_t n_rows, room;
} clm_csv;

/* Parses `size` bytes; messages call them `name`. CLM_E_USAGE with "name:line: ..." when text is not UTF-8 or holds
 * a NUL, a row has another number of fields than the first one, or a quote is not closed; with "name: ..." when
 * there is no row. CLM_E_NOMEM. `out` is to be cleared in every case. */
clm_status clm_csv_parse(const char *text, size_t size, const char *name, clm_csv *out,
                         clm_err *err);
void clm_csv_clear(clm_csv *table);

#endif
