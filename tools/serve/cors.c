/* tools/serve/cors.c: see tools/serve/cors.h. */
#include "tools/serve/cors.h"

#include <ctype.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char separators[] = ", \t\n";

struct clm_cors {
    char *text; /* the list, where each separator is the end of a word */
    size_t size;
    bool all;
};

/* "scheme://host[:port]"; a slash at its end is cut off, as people copy it from the address bar. "null", what pages from
 * files say, is no origin: every site can have a frame that says it too. */
static bool is_origin(char *word)
{
    char *host = strstr(word, "://");
    const size_t n = strlen(word);

    if (host == NULL || host == word) return false;
    if (word[n - 1] == '/' && word + n - 1 > host + 2) word[n - 1] = '\0';
    for (const char *c = word; c < host; c++)
        if (!isalnum((unsigned char)*c) && strchr("+-.", *c) == NULL) return false;
    return host[3] != '\0' && strpbrk(host + 3, "/?#@*") == NULL;
}

clm_status clm_cors_create(const char *origins, clm_cors **out, clm_err *err)
{
    clm_cors *c = calloc(1, sizeof *c);

    *out = NULL;
    if (c != NULL) c->text = strdup(origins);
    if (c == NULL || c->text == NULL) {
        clm_cors_destroy(c);
        return clm_fail(err, CLM_E_NOMEM, "origins: no memory");
    }
    c->size = strlen(origins);
    for (char *at = c->text, *end; at < c->text + c->size; at = end + 1) {
        end = at + strcspn(at, separators);
        *end = '\0';
        if (end == at) continue;
        if (strcmp(at, "*") == 0) {
            c->all = true;
            continue;
        }
        if (is_origin(at)) continue;
        clm_fail(err, CLM_E_CONFIG,
                 "'%.100s' is no origin: write scheme://host[:port], or * for all pages", at);
        clm_cors_destroy(c);
        return CLM_E_CONFIG;
    }
    *out = c;
    return CLM_OK;
}

void clm_cors_destroy(clm_cors *c)
{
    if (c == NULL) return;
    free(c->text);
    free(c);
}

bool clm_cors_takes_all(const clm_cors *c)
{
    return c->all;
}

bool clm_cors_allows(const clm_cors *c, const char *origin)
{
    if (origin == NULL || origin[0] == '\0') return false;
    if (c->all) return true;
    for (const char *at = c->text; at < c->text + c->size; at += strlen(at) + 1)
        if (strcasecmp(at, origin) == 0) return true;
    return false;
}

void clm_cors_mark(const clm_cors *c, const char *origin, struct MHD_Response *response)
{
    if (c->size > 0) MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, "Origin");
    if (!clm_cors_allows(c, origin)) return;
    MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, origin);
}

struct MHD_Response *clm_cors_preflight(const char *headers)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

    if (response == NULL) return NULL;
    MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_METHODS,
                            "GET, HEAD, POST");
    MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_HEADERS,
                            headers != NULL ? headers : "Authorization, Content-Type");
    MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_MAX_AGE, "600");
    /* Chromium asks before a public site's page reaches an address of this machine or its network. */
    MHD_add_response_header(response, "Access-Control-Allow-Private-Network", "true");
    return response;
}
