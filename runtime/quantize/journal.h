/* runtime/quantize/journal.h: which tensors of an unfinished file are done, kept beside it.
 *
 * Layer    runtime; private to runtime/quantize/.
 *
 * A text file: the first line names the work (source, types, layout of the file), each further one
 * a finished tensor with the sum of its data. A line counts only with its own sum, and lines behind
 * a damaged one do not count: what a crash left half-written is done again.
 */
#ifndef CLM_RUNTIME_QUANTIZE_JOURNAL_H
#define CLM_RUNTIME_QUANTIZE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "host/status.h"

/* What is known of a finished tensor. */
typedef struct clm_journal_entry {
    bool done;
    uint64_t sum; /* XXH3 of its data */
    double error; /* sum of the squared differences from the source */
    double norm;  /* sum of the squares of the source */
} clm_journal_entry;

typedef struct clm_journal clm_journal;

/* Opens or creates the journal at `path`. When it is about the work `identity` (hexadecimal digits)
 * its entries are read into entries[0 .. n-1]; otherwise, or when not `resume`, it begins anew and
 * no entry is done. Returns CLM_OK, CLM_E_IO or CLM_E_NOMEM; damage is not an error. */
clm_status clm_journal_open(const char *path, const char *identity, bool resume,
                            clm_journal_entry *entries, size_t n, clm_journal **out, clm_err *err);

/* Adds a finished tensor. */
clm_status clm_journal_add(clm_journal *j, size_t index, const clm_journal_entry *entry,
                           clm_err *err);

/* Closes; the file stays. Accepts NULL. */
void clm_journal_close(clm_journal *j);

#endif
