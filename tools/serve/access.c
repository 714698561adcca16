/* tools/serve/access.c: see tools/serve/access.h. */
#include "tools/serve/access.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tools/serve/listen.h"

/* A list of keys. */
typedef struct keys {
    char **list;
    size_t n;
} keys;

struct clm_access {
    pthread_mutex_t mutex;
    keys keys; /* under mutex */
    bool loopback;
};

static void clear_keys(keys *k)
{
    for (size_t i = 0; i < k->n; i++) free(k->list[i]);
    free(k->list);
    *k = (keys){NULL, 0};
}

static clm_status add_key(keys *k, const char *key, size_t size, clm_err *err)
{
    char **grown = realloc(k->list, (k->n + 1) * sizeof *grown);

    if (grown == NULL) return clm_fail(err, CLM_E_NOMEM, "keys: no memory");
    k->list = grown;
    k->list[k->n] = strndup(key, size);
    if (k->list[k->n] == NULL) return clm_fail(err, CLM_E_NOMEM, "keys: no memory");
    k->n++;
    return CLM_OK;
}

/* The lines of a file, without blanks around them. */
static clm_status add_lines(keys *k, const char *text, clm_err *err)
{
    clm_status st = CLM_OK;

    if (strncmp(text, "\xEF\xBB\xBF", 3) == 0) text += 3; /* some editors' mark of UTF-8 */
    while (*text != '\0' && st == CLM_OK) {
        const char *end = text + strcspn(text, "\n"), *last = end;

        while (text < last && isspace((unsigned char)*text)) text++;
        while (last > text && isspace((unsigned char)last[-1])) last--;
        if (last > text && *text != '#') st = add_key(k, text, (size_t)(last - text), err);
        text = *end != '\0' ? end + 1 : end;
    }
    return st;
}

/* On failure there are none. */
static clm_status read_keys(const char *lines, const char *key, keys *out, clm_err *err)
{
    clm_status st = CLM_OK;

    *out = (keys){NULL, 0};
    if (lines != NULL) {
        st = add_lines(out, lines, err);
        if (st == CLM_OK && out->n == 0)
            st = clm_fail(err, CLM_E_CONFIG, "it holds no key: write one on a line of its own");
    }
    if (st == CLM_OK && key != NULL && key[0] == '\0')
        st = clm_fail(err, CLM_E_CONFIG, "the key is empty");
    if (st == CLM_OK && key != NULL) st = add_key(out, key, strlen(key), err);
    if (st != CLM_OK) clear_keys(out);
    return st;
}

clm_status clm_access_create(const char *lines, const char *key, bool loopback, clm_access **out,
                             clm_err *err)
{
    clm_access *a = calloc(1, sizeof *a);
    clm_status st;

    *out = NULL;
    if (a == NULL) return clm_fail(err, CLM_E_NOMEM, "keys: no memory");
    pthread_mutex_init(&a->mutex, NULL);
    a->loopback = loopback;
    st = read_keys(lines, key, &a->keys, err);
    if (st != CLM_OK) {
        clm_access_destroy(a);
        return st;
    }
    *out = a;
    return CLM_OK;
}

clm_status clm_access_replace(clm_access *a, const char *lines, const char *key, clm_err *err)
{
    keys fresh, old;
    const clm_status st = read_keys(lines, key, &fresh, err);

    if (st != CLM_OK) return st;
    pthread_mutex_lock(&a->mutex);
    old = a->keys;
    a->keys = fresh;
    pthread_mutex_unlock(&a->mutex);
    clear_keys(&old);
    return CLM_OK;
}

void clm_access_destroy(clm_access *a)
{
    if (a == NULL) return;
    clear_keys(&a->keys);
    pthread_mutex_destroy(&a->mutex);
    free(a);
}

bool clm_access_has_keys(clm_access *a)
{
    bool has;

    pthread_mutex_lock(&a->mutex);
    has = a->keys.n > 0;
    pthread_mutex_unlock(&a->mutex);
    return has;
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

bool clm_access_key_good(clm_access *a, const char *header)
{
    static const char scheme[] = "Bearer ";
    const bool given = header != NULL && strncasecmp(header, scheme, sizeof scheme - 1) == 0;
    bool good;

    pthread_mutex_lock(&a->mutex);
    good = a->keys.n == 0;
    for (size_t i = 0; given && i < a->keys.n; i++)
        good = same(a->keys.list[i], header + sizeof scheme - 1) || good;
    pthread_mutex_unlock(&a->mutex);
    return good;
}

/* "localhost", "127.1.2.3", "[::1]" or "[::ffff:7f00:1]", with or without a port. */
static bool is_loopback_name(const char *host)
{
    static const char name[] = "localhost";
    char v6[64];
    size_t n;

    if (host[0] == '[') {
        n = strcspn(host, "]");
        snprintf(v6, sizeof v6, "%.*s", (int)(n - 1), host + 1);
        return n < sizeof v6 && host[n] == ']' && (host[n + 1] == '\0' || host[n + 1] == ':') &&
               clm_address_is_loopback(v6);
    }
    n = strcspn(host, ":");
    if (n == sizeof name - 1 && strncasecmp(host, name, n) == 0) return true;
    return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == n;
}

bool clm_access_origin_good(clm_access *a, const char *origin, const char *host)
{
    const char *name = origin != NULL ? strstr(origin, "://") : NULL;

    if (clm_access_has_keys(a)) return true;
    if (a->loopback && host != NULL && !is_loopback_name(host)) return false;
    if (origin == NULL) return true;
    return name != NULL && host != NULL && strcasecmp(name + 3, host) == 0;
}
