/* tools/serve/metrics.h: what the server counts, in Prometheus' text format.
 *
 * Layer    tools.
 * Threads  everything here may be called from any thread.
 * Source   Prometheus, "Exposition formats", version 0.0.4, and its naming rules.
 */
#ifndef CLM_SERVE_METRICS_H
#define CLM_SERVE_METRICS_H

#include <stddef.h>
#include "runtime/clm.h"

typedef struct clm_metrics clm_metrics;

clm_status clm_metrics_create(clm_metrics **out, clm_err *err);
void clm_metrics_destroy(clm_metrics *m);

/* A request was answered with an HTTP status; `route` is one of the server's, not the client's text. */
void clm_metrics_request(clm_metrics *m, const char *route, unsigned http);
/* Seconds from a request to the first text of its answer. */
void clm_metrics_first_text(clm_metrics *m, double seconds);
void clm_metrics_answered(clm_metrics *m, const clm_reply *reply);

/* What is counted elsewhere. */
typedef struct clm_metrics_now {
    size_t n_waiting, n_running; /* requests in the queue, answers in progress */
    size_t n_connections;
} clm_metrics_now;

/* The page for /metrics; `about` NULL while the model loads. `*text` is malloc'd; NULL: no memory. */
void clm_metrics_print(clm_metrics *m, const clm_engine_report *about, const clm_metrics_now *now,
                       char **text, size_t *size);

#endif
