/* runtime/text/stop_filter.h: finds stop strings in text that arrives in pieces, and holds back what
 * may turn out to be the beginning of one.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_TEXT_STOP_FILTER_H
#define CLM_RUNTIME_TEXT_STOP_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include "host/status.h"

typedef struct clm_stop_filter clm_stop_filter;

/* `stops` are copied; empty ones are ignored. */
clm_status clm_stop_filter_create(const char *const *stops, size_t n, clm_stop_filter **out,
                                  clm_err *err);
void clm_stop_filter_destroy(clm_stop_filter *f);

/* Takes text; `*out`, `*size` receive what can be shown now (borrowed until the next call).
 * `*found` becomes true when a stop string was completed: the text ends before it. */
clm_status clm_stop_filter_feed(clm_stop_filter *f, const char *text, size_t n, const char **out,
                                size_t *size, bool *found, clm_err *err);

/* What was held back at the end of the text. */
void clm_stop_filter_flush(clm_stop_filter *f, const char **out, size_t *size);

#endif
