/* tools/serve/access.h: who may use the server: keys, and which pages of a browser.
 *
 * Layer    tools.
 * Threads  everything here may be called from any thread.
 */
#ifndef CLM_SERVE_ACCESS_H
#define CLM_SERVE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include "runtime/clm.h"

typedef struct clm_access clm_access;

/* `lines`: one key a line, empty lines and those that begin with '#' are none; NULL: no such file. `key`: one
 * more, or NULL. `loopback`: the server listens where only this machine's programs reach it. Lines without a
 * key, or an empty one, are CLM_E_CONFIG: the server must not be open by mistake. */
clm_status clm_access_create(const char *lines, const char *key, bool loopback, clm_access **out,
                             clm_err *err);
void clm_access_destroy(clm_access *a);
/* Other keys from now on; on failure, as above, the old ones stay. */
clm_status clm_access_replace(clm_access *a, const char *lines, const char *key, clm_err *err);

bool clm_access_has_keys(clm_access *a);
/* Whether "Authorization: Bearer KEY" holds one of the keys, or none is needed. `header` may be NULL. */
bool clm_access_key_good(clm_access *a, const char *header);

/* Whether a browser may have sent this for a page of the server's own. Other sites' pages can reach a server
 * on the reader's machine: by their own name (Origin differs from Host), or, by a name that they let point to
 * it, with both the same; so a loopback server takes loopback names in Host only. With keys everything is good:
 * such pages have none. Both headers may be NULL: programs send no Origin. */
bool clm_access_origin_good(clm_access *a, const char *origin, const char *host);

#endif
