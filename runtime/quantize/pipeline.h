/* runtime/quantize/pipeline.h: the data of all tensors of a plan, by several threads.
 *
 * Layer    runtime; private to runtime/quantize/.
 *
 * Each thread takes the next rows in the order of the file, encodes them, and waits for its turn to
 * write. So what is written, the sums and the errors do not depend on the number of threads.
 */
#ifndef CLM_RUNTIME_QUANTIZE_PIPELINE_H
#define CLM_RUNTIME_QUANTIZE_PIPELINE_H

#include <signal.h>

#include "host/out_file.h"
#include "runtime/quantize/journal.h"
#include "runtime/quantize/plan.h"

/* Writes the tensors that entries[] does not have as done, and fills in those entries.
 *   threads  at least 1
 *   stop     may be NULL; looked at before each piece
 * Returns CLM_OK, CLM_E_INTERRUPTED, CLM_E_MODEL (a value that cannot be stored; names the tensor),
 * CLM_E_IO or CLM_E_NOMEM. */
clm_status clm_pipeline_run(const clm_plan *plan, clm_out_file *out, clm_journal *journal,
                            clm_journal_entry *entries, size_t threads,
                            const volatile sig_atomic_t *stop, const clm_observer *obs,
                            clm_err *err);

#endif
