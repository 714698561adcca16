/* tools/serve/cors.h: pages of other sites that may use the server.
 *
 * Layer    tools.
 * Source   the Fetch standard, "CORS protocol"; Private Network Access (WICG).
 * Threads  what was created does not change: any thread.
 *
 * A browser asks the server ("preflight") before a page of another origin sends JSON or a key, and shows a response to
 * the page only if the server names the page's origin in it.
 */
#ifndef CLM_SERVE_CORS_H
#define CLM_SERVE_CORS_H

#include <stdbool.h>
#include "runtime/clm.h"

typedef struct clm_cors clm_cors;
struct MHD_Response;

/* `origins`: "scheme://host[:port]" with blanks or commas between, or "*" for every page; "" for none.
 * CLM_E_CONFIG for what is no origin. */
clm_status clm_cors_create(const char *origins, clm_cors **out, clm_err *err);
void clm_cors_destroy(clm_cors *c);

/* Whether every page may use the server. */
bool clm_cors_takes_all(const clm_cors *c);
/* Whether pages of `origin`, a request's header or NULL, are listed. */
bool clm_cors_allows(const clm_cors *c, const char *origin);

/* Lets the browser show the response to a page of that origin, if it is listed. */
void clm_cors_mark(const clm_cors *c, const char *origin, struct MHD_Response *response);
/* An empty response that lets a page send what its browser asked for: `headers` is that request's
 * Access-Control-Request-Headers or NULL. NULL: no memory. */
struct MHD_Response *clm_cors_preflight(const char *headers);

#endif
