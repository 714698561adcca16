/* tools/serve/http.c: see tools/serve/http.h. */
#include "tools/serve/http.h"

#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tools/clock.h"
#include "tools/serve/page.h"

/* Of a connection's thread: the JSON reader recurses 2,048 levels at most. */
enum { STACK_BYTES = 2 << 20 };
/* For log and metrics, nginx's number: nothing could be sent. */
enum { CLIENT_GONE = 499 };

struct clm_server {
    clm_server_parts parts;
    struct MHD_Daemon *daemon;
    pthread_mutex_t reading;
    int quiesced; /* the listening socket, when no new connections are taken; else -1 */
    pthread_mutex_t mutex;
    bool has_about; /* under mutex, as are: */
    clm_engine_report about;
    size_t n_exchanges;
    long long started;
};

const clm_server_parts *clm_server_parts_of(const clm_server *s)
{
    return &s->parts;
}

pthread_mutex_t *clm_server_reading(clm_server *s)
{
    return &s->reading;
}

void clm_server_describe(clm_server *s, const clm_engine_report *about)
{
    pthread_mutex_lock(&s->mutex);
    s->about = *about;
    s->has_about = true;
    pthread_mutex_unlock(&s->mutex);
}

bool clm_server_about(clm_server *s, clm_engine_report *out)
{
    bool has;

    pthread_mutex_lock(&s->mutex);
    has = s->has_about;
    *out = s->about;
    pthread_mutex_unlock(&s->mutex);
    return has;
}

static const char *header(const clm_exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

/* ---- sending --------------------------------------------------------------------------------- */

int clm_exchange_queue(clm_exchange *x, unsigned http, const char *type,
                       struct MHD_Response *response)
{
    enum MHD_Result result;

    if (response == NULL) return MHD_NO;
    clm_cors_mark(x->server->parts.cors, header(x, MHD_HTTP_HEADER_ORIGIN), response);
    if (type != NULL) MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    result = MHD_queue_response(x->connection, http, response);
    MHD_destroy_response(response);
    if (result == MHD_YES) x->http = http;
    return result;
}

int clm_exchange_send(clm_exchange *x, unsigned http, const char *type, char *text, size_t size)
{
    struct MHD_Response *response;

    if (text == NULL) return MHD_NO;
    response = MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) free(text);
    return clm_exchange_queue(x, http, type, response);
}

int clm_exchange_refuse(clm_exchange *x, const clm_refusal *why)
{
    char *text = clm_response_refusal(why);
    struct MHD_Response *response;

    if (text == NULL) return MHD_NO;
    response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    if (why->http == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (why->allow != NULL) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, why->allow);
    if (why->http == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "5");
    if (x->note.text[0] == '\0') x->note = why->err;
    return clm_exchange_queue(x, why->http, "application/json", response);
}

bool clm_exchange_gone(const clm_exchange *x)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd fd = {.fd = info != NULL ? info->connect_fd : -1, .events = POLLRDHUP};

    return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void clm_exchange_be_patient(clm_exchange *x, bool patient)
{
    MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT,
                              patient ? 0u : (unsigned)CLM_HTTP_SECONDS);
}

/* ---- routes that need no engine ----------------------------------------------------------------- */

/* A full queue is a healthy one. A device that was lost stays so: who watches the server can start it again. */
static int route_health(clm_exchange *x)
{
    const clm_submit result = clm_jobs_would_submit(x->server->parts.jobs);
    clm_refusal why = {.http = MHD_HTTP_SERVICE_UNAVAILABLE, .type = "server_error"};

    if (result != CLM_SUBMIT_TAKEN && result != CLM_SUBMIT_FULL)
        return clm_exchange_refuse_submit(x, result);
    if (clm_jobs_device_fails(x->server->parts.jobs)) {
        clm_fail(&why.err, CLM_E_CL, "the device failed the last answer; the log says how");
        return clm_exchange_refuse(x, &why);
    }
    return clm_exchange_send(x, MHD_HTTP_OK, "application/json", strdup("{\"status\":\"ok\"}"), 15);
}

static int route_models(clm_exchange *x)
{
    clm_engine_report about;
    char *text;

    if (!clm_server_about(x->server, &about))
        return clm_exchange_refuse_submit(x, CLM_SUBMIT_LOADING);
    text = clm_response_models(x->server->parts.model, x->server->started, &about);
    return clm_exchange_send(x, MHD_HTTP_OK, "application/json", text,
                             text != NULL ? strlen(text) : 0);
}

static int route_model(clm_exchange *x)
{
    const char *const model = x->server->parts.model;
    const char *const name = x->path + strlen(x->route->path) + 1;
    clm_refusal why = {.http = MHD_HTTP_NOT_FOUND,
                       .type = "invalid_request_error",
                       .code = "model_not_found",
                       .param = "model"};
    clm_engine_report about;
    char *text;

    if (strcmp(name, model) != 0) {
        clm_fail(&why.err, CLM_E_USAGE, "there is no model '%.100s' here, but '%s'", name, model);
        return clm_exchange_refuse(x, &why);
    }
    if (!clm_server_about(x->server, &about))
        return clm_exchange_refuse_submit(x, CLM_SUBMIT_LOADING);
    text = clm_response_model(model, x->server->started, &about);
    return clm_exchange_send(x, MHD_HTTP_OK, "application/json", text,
                             text != NULL ? strlen(text) : 0);
}

static int route_metrics(clm_exchange *x)
{
    const clm_server_parts *p = &x->server->parts;
    clm_engine_report about;
    const bool has = clm_server_about(x->server, &about);
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(x->server->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    clm_metrics_now now = {.n_connections = info != NULL ? info->num_connections : 0};
    char *text;
    size_t size;

    clm_jobs_count(p->jobs, &now.n_waiting, &now.n_running);
    clm_metrics_print(p->metrics, has ? &about : NULL, &now, &text, &size);
    return clm_exchange_send(x, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text,
                             size);
}

/* Nothing from elsewhere, and nobody's frame: what a model writes must not become a page. */
static const char page_policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static int send_page(clm_exchange *x, const char *name, const char *type)
{
    const clm_page_file *file = clm__page_files;
    struct MHD_Response *response;

    while (file->name != NULL && strcmp(file->name, name) != 0) file++;
    if (file->name == NULL) return MHD_NO;
    response =
        MHD_create_response_from_buffer(file->size, (void *)file->text, MHD_RESPMEM_PERSISTENT);
    if (response == NULL) return MHD_NO;
    MHD_add_response_header(response, "Content-Security-Policy", page_policy);
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    return clm_exchange_queue(x, MHD_HTTP_OK, type, response);
}

static int route_page(clm_exchange *x)
{
    return send_page(x, "index.html", "text/html; charset=utf-8");
}

static int route_script(clm_exchange *x)
{
    return send_page(x, "page.js", "text/javascript; charset=utf-8");
}

static int route_style(clm_exchange *x)
{
    return send_page(x, "page.css", "text/css; charset=utf-8");
}

/* What a browser asks before a page of another site may send something. */
static int route_preflight(clm_exchange *x)
{
    return clm_exchange_queue(
        x, MHD_HTTP_NO_CONTENT, NULL,
        clm_cors_preflight(header(x, MHD_HTTP_HEADER_ACCESS_CONTROL_REQUEST_HEADERS)));
}

static const clm_route preflight = {"OPTIONS", "preflight", true, false, route_preflight};

static const clm_route routes[] = {
    {"GET", "/", true, false, route_page},
    {"GET", "/page.js", true, false, route_script},
    {"GET", "/page.css", true, false, route_style},
    {"GET", "/health", true, false, route_health},
    {"GET", "/metrics", false, false, route_metrics},
    {"GET", "/v1/models", false, false, route_models},
    {"GET", "/v1/models", false, true, route_model},
    {"POST", "/v1/chat/completions", false, false, clm_route_chat},
    {"POST", "/v1/completions", false, false, clm_route_completion},
};
enum { N_ROUTES = sizeof routes / sizeof *routes };

static bool is_get(const clm_route *r)
{
    return strcmp(r->method, "GET") == 0;
}

static bool method_fits(const clm_route *r, const char *method)
{
    return strcmp(r->method, method) == 0 || (is_get(r) && strcmp(method, "HEAD") == 0);
}

/* A slash at the end changes nothing. */
static bool path_fits(const clm_route *r, const char *path)
{
    const size_t n = strlen(r->path);
    const char *rest = path + n;

    if (strncmp(r->path, path, n) != 0) return false;
    if (r->named) return rest[0] == '/' && rest[1] != '\0';
    return rest[0] == '\0' || (n > 1 && strcmp(rest, "/") == 0);
}

/* The route; NULL and `*why` when there is none. */
static const clm_route *find_route(const char *method, const char *path, clm_refusal *why)
{
    for (size_t i = 0; i < N_ROUTES; i++) {
        if (!path_fits(&routes[i], path)) continue;
        if (method_fits(&routes[i], method)) return &routes[i];
        *why = (clm_refusal){.http = MHD_HTTP_METHOD_NOT_ALLOWED,
                             .type = "invalid_request_error",
                             .allow = is_get(&routes[i]) ? "GET, HEAD" : routes[i].method};
        clm_fail(&why->err, CLM_E_USAGE, "%s takes %s", routes[i].path, why->allow);
        return NULL;
    }
    *why = (clm_refusal){.http = MHD_HTTP_NOT_FOUND, .type = "not_found_error"};
    clm_fail(&why->err, CLM_E_USAGE,
             "there is no %.200s here: clm serves /v1/chat/completions, /v1/completions, "
             "/v1/models, /health and /metrics",
             path);
    return NULL;
}

/* ---- requests -------------------------------------------------------------------------------- */

static const clm_refusal too_large = {.http = MHD_HTTP_CONTENT_TOO_LARGE,
                                      .type = "invalid_request_error",
                                      .err = {"the body has more than 1 MB"}},
                         no_memory = {.http = MHD_HTTP_INTERNAL_SERVER_ERROR,
                                      .type = "server_error",
                                      .err = {"out of memory"}};

static enum MHD_Result count_lengths(void *user, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    size_t *n = user;

    (void)kind, (void)value;
    if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0 ||
        strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0)
        ++*n;
    return MHD_YES;
}

/* Whether a proxy may have seen the request end elsewhere (RFC 9112, section 11.2). */
static bool body_is_ambiguous(const clm_exchange *x)
{
    size_t n = 0;

    MHD_get_connection_values(x->connection, MHD_HEADER_KIND, count_lengths, &n);
    return n > 1;
}

static bool is_preflight(const clm_exchange *x)
{
    return strcmp(x->method, MHD_HTTP_METHOD_OPTIONS) == 0 &&
           header(x, MHD_HTTP_HEADER_ORIGIN) != NULL &&
           header(x, MHD_HTTP_HEADER_ACCESS_CONTROL_REQUEST_METHOD) != NULL;
}

/* Whether it comes from a page that may not use the server. */
static bool is_foreign(const clm_exchange *x)
{
    const clm_server_parts *p = &x->server->parts;
    const char *origin = header(x, MHD_HTTP_HEADER_ORIGIN);

    return !clm_cors_allows(p->cors, origin) &&
           !clm_access_origin_good(p->access, origin, header(x, MHD_HTTP_HEADER_HOST));
}

/* What speaks against the request before its body is read. */
static bool refused(clm_exchange *x, clm_refusal *why)
{
    clm_access *access = x->server->parts.access;
    const char *origin = header(x, MHD_HTTP_HEADER_ORIGIN);
    const char *length = header(x, MHD_HTTP_HEADER_CONTENT_LENGTH);

    if (body_is_ambiguous(x)) {
        *why = (clm_refusal){.http = MHD_HTTP_BAD_REQUEST, .type = "invalid_request_error"};
        clm_fail(&why->err, CLM_E_USAGE,
                 "the length of the body is given more than once: one Content-Length, or "
                 "Transfer-Encoding");
        return true;
    }
    x->route = is_preflight(x) ? &preflight : find_route(x->method, x->path, why);
    if (x->route == NULL) return true;
    if (x->route == &preflight && !clm_cors_allows(x->server->parts.cors, origin)) {
        *why = (clm_refusal){.http = MHD_HTTP_FORBIDDEN, .type = "permission_error"};
        clm_fail(&why->err, CLM_E_USAGE,
                 "pages of %.200s may not use this server: server.origins (--origins) lists those "
                 "that may",
                 origin);
        return true;
    }
    if (!x->route->open && is_foreign(x)) {
        *why = (clm_refusal){.http = MHD_HTTP_FORBIDDEN, .type = "permission_error"};
        clm_fail(&why->err, CLM_E_USAGE,
                 "this looks like another site's page: a server without keys answers to its own "
                 "pages and those of --origins only, and on a loopback address to loopback names; "
                 "behind a "
                 "proxy it needs keys (--api-key-file)");
        return true;
    }
    if (!x->route->open && !clm_access_key_good(access, header(x, MHD_HTTP_HEADER_AUTHORIZATION))) {
        *why = (clm_refusal){.http = MHD_HTTP_UNAUTHORIZED,
                             .type = "authentication_error",
                             .code = "invalid_api_key"};
        clm_fail(&why->err, CLM_E_USAGE,
                 "Invalid API key: send 'Authorization: Bearer KEY' with a key of this server");
        return true;
    }
    if (length != NULL && strtoull(length, NULL, 10) > CLM_HTTP_BODY_BYTES) {
        *why = too_large;
        return true;
    }
    return false;
}

static void count_exchange(clm_server *s, bool more)
{
    pthread_mutex_lock(&s->mutex);
    s->n_exchanges += more ? 1 : (size_t)-1;
    pthread_mutex_unlock(&s->mutex);
}

size_t clm_server_exchanges(clm_server *s)
{
    size_t n;

    pthread_mutex_lock(&s->mutex);
    n = s->n_exchanges;
    pthread_mutex_unlock(&s->mutex);
    return n;
}

static clm_exchange *begin(clm_server *s, struct MHD_Connection *connection, const char *path,
                           const char *method)
{
    clm_exchange *x = calloc(1, sizeof *x);

    if (x == NULL) return NULL;
    count_exchange(s, true);
    x->server = s;
    x->connection = connection;
    x->path = path;
    x->method = method;
    x->started = clm_seconds_now();
    return x;
}

static void refuse_later(clm_exchange *x, const clm_refusal *why)
{
    x->refused = true;
    x->why = *why;
}

/* The body of a refused request is read and dropped: a client that is still sending would not see why. */
static void add_to_body(clm_exchange *x, const char *data, size_t size)
{
    x->received += size;
    if (!x->refused && size > CLM_HTTP_BODY_BYTES - x->size) refuse_later(x, &too_large);
    if (x->refused) return;
    if (size > x->room - x->size) {
        const size_t room = 2 * (x->size + size) + 4096;
        char *grown = realloc(x->body, room);

        if (grown == NULL) {
            refuse_later(x, &no_memory);
            return;
        }
        x->body = grown;
        x->room = room;
    }
    memcpy(x->body + x->size, data, size);
    x->size += size;
}

/* libmicrohttpd's MHD_AccessHandlerCallback: called once with the headers, then for each part of the body,
 * then with nothing left. */
static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    clm_exchange *x = *state;

    (void)version;
    if (x == NULL) {
        *state = x = begin(user, connection, path, method);
        if (x == NULL) return MHD_NO;
        x->refused = refused(x, &x->why);
        /* One that waits for a "100 Continue" is told at once. */
        if (x->refused && header(x, MHD_HTTP_HEADER_EXPECT) != NULL)
            return (enum MHD_Result)clm_exchange_refuse(x, &x->why);
        return MHD_YES;
    }
    if (*size > 0) {
        add_to_body(x, data, *size);
        *size = 0;
        if (x->received <= CLM_HTTP_DISCARD_BYTES) return MHD_YES;
        x->http = MHD_HTTP_CONTENT_TOO_LARGE; /* for the log: the client is still sending */
        return MHD_NO;
    }
    return (enum MHD_Result)(x->refused ? clm_exchange_refuse(x, &x->why) : x->route->run(x));
}

/* What a client wrote, as the log may show it: only a URL's characters and blanks, others as %XX, so that
 * nothing moves a terminal's cursor or turns the direction of the line. Cut to the room. */
static void escape(const char *text, char *out, size_t room)
{
    size_t n = 0;

    for (; *text != '\0' && n + 4 <= room; text++) {
        const unsigned char c = (unsigned char)*text;

        n += (size_t)snprintf(out + n, room - n, c >= 0x20 && c < 0x7F ? "%c" : "%%%02X", c);
    }
    out[n] = '\0';
}

/* Takes out what stands between the first and the last ' of a line: messages quote there what the client wrote, of
 * a body that is no JSON any part. */
static void drop_quotes(char *text)
{
    char *first = strchr(text, '\''), *last = strrchr(text, '\'');

    if (first != last) memmove(first + 1, last, strlen(last) + 1);
}

/* One line a request; never what was asked or answered. */
static void print_log(const clm_exchange *x, bool whole)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const time_t t = time(NULL);
    char when[32] = "", from[64] = "?", method[16], path[128], note[sizeof x->note.text];
    struct tm utc;

    if (info != NULL && info->client_addr != NULL) clm_address_text(info->client_addr, from);
    if (gmtime_r(&t, &utc) != NULL) strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    escape(x->method, method, sizeof method);
    escape(x->path, path, sizeof path);
    escape(x->note.text, note, sizeof note);
    drop_quotes(note);
    fprintf(stderr, "%s %s %s %s %u %.3f s%s%s%s\n", when, from, method, path, x->http,
            clm_seconds_now() - x->started, note[0] != '\0' ? " " : "", note,
            whole ? "" : " (the client went away)");
}

static void on_end(void *user, struct MHD_Connection *connection, void **state,
                   enum MHD_RequestTerminationCode code)
{
    clm_exchange *x = *state;
    const char *quiet[] = {"/health", "/metrics"}; /* machines ask for these every few seconds */
    bool print;

    (void)user, (void)connection;
    if (x == NULL) return;
    if (x->job != NULL) clm_exchange_abandon(x);
    if (x->http == 0) x->http = CLIENT_GONE;
    clm_metrics_request(x->server->parts.metrics, x->route != NULL ? x->route->path : "other",
                        x->http);
    print = x->http >= 400 || x->route == NULL ||
            (strcmp(x->route->path, quiet[0]) != 0 && strcmp(x->route->path, quiet[1]) != 0);
    if (print) print_log(x, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    clm_job_release(x->job);
    count_exchange(x->server, false);
    free(x->body);
    free(x);
    *state = NULL;
}

/* ---- the server ------------------------------------------------------------------------------ */

/* libmicrohttpd's own messages are about single connections: for those who look for something. */
static void on_message(void *user, const char *format, va_list args)
{
    (void)user;
    if (clm_config_env_debug()) vfprintf(stderr, format, args);
}

/* Connections that the limit of open files allows: without a file for a new one, libmicrohttpd would ask for
 * one without a pause. */
static unsigned connections(void)
{
    const unsigned others = 32;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= CLM_HTTP_CONNECTIONS + others)
        return CLM_HTTP_CONNECTIONS;
    return limit.rlim_cur > 2 * others ? (unsigned)limit.rlim_cur - others : others / 2;
}

clm_status clm_server_create(const clm_server_parts *parts, clm_server **out, clm_err *err)
{
    clm_server *s = calloc(1, sizeof *s);

    *out = NULL;
    if (s == NULL) return clm_fail(err, CLM_E_NOMEM, "server: no memory");
    s->parts = *parts;
    s->quiesced = -1;
    s->started = (long long)time(NULL);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_mutex_init(&s->reading, NULL);
    s->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
            MHD_USE_ITC | MHD_USE_ERROR_LOG,
        0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_message, NULL,
        MHD_OPTION_LISTEN_SOCKET, parts->listener.fd, MHD_OPTION_CONNECTION_LIMIT, connections(),
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CLM_HTTP_SECONDS, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)STACK_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL, MHD_OPTION_END);
    if (s->daemon == NULL) {
        clm_server_destroy(s);
        return clm_fail(err, CLM_E_INTERNAL, "the HTTP server could not be started");
    }
    *out = s;
    return CLM_OK;
}

void clm_server_quiesce(clm_server *s)
{
    const MHD_socket fd = MHD_quiesce_daemon(s->daemon);

    /* Newcomers are refused at once; it may be closed only when the daemon's threads have ended. */
    if (fd == MHD_INVALID_SOCKET) return;
    shutdown(fd, SHUT_RDWR);
    s->quiesced = fd;
}

void clm_server_destroy(clm_server *s)
{
    if (s == NULL) return;
    if (s->daemon != NULL) MHD_stop_daemon(s->daemon);
    if (s->quiesced >= 0) close(s->quiesced);
    pthread_mutex_destroy(&s->mutex);
    pthread_mutex_destroy(&s->reading);
    free(s);
}
