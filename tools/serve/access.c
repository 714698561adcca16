/* tools/serve/access.c: see tools/serve/access.h. */
#include "tools/serve/access.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct clm_access {
    char **keys;
    size_t n;
    bool loopback;
};

static clm_status add_key(clm_access *a, const char *key, size_t size, clm_err *err)
{
    char **grown = realloc(a->keys, (a->n + 1) * sizeof *grown);

    if (grown == NULL) return clm_fail(err, CLM_E_NOMEM, "keys: no memory");
    a->keys = grown;
    a->keys[a->n] = strndup(key, size);
    if (a->keys[a->n] == NULL) return clm_fail(err, CLM_E_NOMEM, "keys: no memory");
    a->n++;
    return CLM_OK;
}

/* The lines of a file, without blanks around them. */
static clm_status add_lines(clm_access *a, const char *text, clm_err *err)
{
    clm_status st = CLM_OK;

    if (strncmp(text, "\xEF\xBB\xBF", 3) == 0) text += 3; /* some editors' mark of UTF-8 */
    while (*text != '\0' && st == CLM_OK) {
        const char *end = text + strcspn(text, "\n"), *last = end;

        while (text < last && isspace((unsigned char)*text)) text++;
        while (last > text && isspace((unsigned char)last[-1])) last--;
        if (last > text && *text != '#') st = add_key(a, text, (size_t)(last - text), err);
        text = *end != '\0' ? end + 1 : end;
    }
    return st;
}

clm_status clm_access_create(const char *lines, const char *key, bool loopback, clm_access **out,
                             clm_err *err)
{
    clm_access *a = calloc(1, sizeof *a);
    clm_status st = CLM_OK;

    *out = NULL;
    if (a == NULL) return clm_fail(err, CLM_E_NOMEM, "keys: no memory");
    a->loopback = loopback;
    if (lines != NULL) {
        st = add_lines(a, lines, err);
        if (st == CLM_OK && a->n == 0)
            st = clm_fail(err, CLM_E_CONFIG, "it holds no key: write one on a line of its own");
    }
    if (st == CLM_OK && key != NULL && key[0] == '\0')
        st = clm_fail(err, CLM_E_CONFIG, "the key is empty");
    if (st == CLM_OK && key != NULL) st = add_key(a, key, strlen(key), err);
    if (st != CLM_OK) {
        clm_access_destroy(a);
        return st;
    }
    *out = a;
    return CLM_OK;
}

void clm_access_destroy(clm_access *a)
{
    if (a == NULL) return;
    for (size_t i = 0; i < a->n; i++) free(a->keys[i]);
    free(a->keys);
    free(a);
}

bool clm_access_has_keys(const clm_access *a)
{
    return a->n > 0;
}

/* Takes as long however many bytes agree. */
static bool same(const char *a, const char *b)
{
    const size_t n = strlen(a);
    unsigned char differ = 0;

    if (strlen(b) != n) return false;
    for (size_t i = 0; i < n; i++) differ |= (unsigned char)(a[i] ^ b[i]);
    return differ == 0;
}

bool clm_access_key_good(const clm_access *a, const char *header)
{
    static const char scheme[] = "Bearer ";
    bool good = false;

    if (a->n == 0) return true;
    if (header == NULL || strncasecmp(header, scheme, sizeof scheme - 1) != 0) return false;
    for (size_t i = 0; i < a->n; i++) good = same(a->keys[i], header + sizeof scheme - 1) || good;
    return good;
}

/* "localhost", "127.1.2.3" or "[::1]", with or without a port. */
static bool is_loopback_name(const char *host)
{
    static const char v6[] = "[::1]", name[] = "localhost";
    size_t n;

    if (strncmp(host, v6, sizeof v6 - 1) == 0)
        return host[sizeof v6 - 1] == '\0' || host[sizeof v6 - 1] == ':';
    n = strcspn(host, ":");
    if (n == sizeof name - 1 && strncasecmp(host, name, n) == 0) return true;
    return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == n;
}

bool clm_access_origin_good(const clm_access *a, const char *origin, const char *host)
{
    const char *name = origin != NULL ? strstr(origin, "://") : NULL;

    if (a->n > 0) return true;
    if (a->loopback && host != NULL && !is_loopback_name(host)) return false;
    if (origin == NULL) return true;
    return name != NULL && host != NULL && strcasecmp(name + 3, host) == 0;
}
