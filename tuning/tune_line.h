/* tuning/tune_line.h: a line of the log of tuning: a YAML list of one mapping; private to tuning/.
 *
 * Layer    tuning.
 * Threads  no state.
 */
#ifndef CLM_TUNING_TUNE_LINE_H
#define CLM_TUNING_TUNE_LINE_H

#include "tuning/report.h"

/* What a line says of its candidate: that it is about to be tried (`text` is then the machine's start, see
 * tune_log.h), that it was stopped without a result, or its result. */
typedef enum clm__line_kind { CLM__LINE_BEGIN, CLM__LINE_STOPPED, CLM__LINE_RESULT } clm__line_kind;

/* False: not a whole line of ours. `line` is without its newline. */
bool clm__tune_line_read(const char *line, size_t size, clm_tune_try *t, clm__line_kind *kind);

/* With its newline, malloc'd; NULL: no memory. */
char *clm__tune_line_format(const clm_tune_try *t, clm__line_kind kind, size_t *size);

#endif
