/* tools/serve/http.h: the server: connections, routes, refusals, the log of requests.
 *
 * Layer    tools.
 *
 * Each connection has a thread (libmicrohttpd), which waits for the answer that jobs.h gives. Routes are a
 * table in http.c; those that need the engine are in answers.c.
 */
#ifndef CLM_SERVE_HTTP_H
#define CLM_SERVE_HTTP_H

#include <pthread.h>
#include "tools/serve/access.h"
#include "tools/serve/cors.h"
#include "tools/serve/jobs.h"
#include "tools/serve/listen.h"
#include "tools/serve/metrics.h"
#include "tools/serve/response.h"

enum {
    CLM_HTTP_BODY_BYTES = 1 << 20,     /* of a request; larger ones are refused */
    CLM_HTTP_DISCARD_BYTES = 64 << 20, /* of a refused one; for more the connection is closed */
    CLM_HTTP_CONNECTIONS = 256,        /* at once; more wait in the system's queue or are closed */
    CLM_HTTP_SECONDS = 60              /* without a byte, after which a connection is closed */
};

typedef struct clm_server clm_server;

/* What a server works with, all borrowed but the listener, whose socket becomes the server's. */
typedef struct clm_server_parts {
    clm_listener listener;
    clm_access *access;
    const clm_cors *cors;
    clm_jobs *jobs;
    clm_metrics *metrics;
    const char *model; /* the id that clients see */
} clm_server_parts;

clm_status clm_server_create(const clm_server_parts *parts, clm_server **out, clm_err *err);
/* The engine is there; before, requests for it get 503. */
void clm_server_describe(clm_server *s, const clm_engine_report *about);
/* No new connections. */
void clm_server_quiesce(clm_server *s);
/* Requests that have not got their whole response yet. */
size_t clm_server_exchanges(clm_server *s);
/* Closes all connections. */
void clm_server_destroy(clm_server *s);

/* ---- for the routes ---------------------------------------------------------------------------- */

struct MHD_Connection;
struct MHD_Response;

/* One request. */
typedef struct clm_exchange {
    clm_server *server;
    struct MHD_Connection *connection;
    const char *path, *method;     /* as the client wrote them, for the log */
    const struct clm_route *route; /* NULL: none */
    char *body;
    size_t size, room, received;
    bool refused; /* before it was read, by: */
    clm_refusal why;
    double started;
    unsigned http; /* status sent, 0: none */
    clm_job *job;  /* of an answer that is being streamed or was given */
    clm_err note;  /* for the log */
} clm_exchange;

typedef struct clm_route {
    const char *method, *path;
    bool open;  /* needs no key */
    bool named; /* a slash and a name follow the path */
    int (*run)(clm_exchange *x);
} clm_route;

const clm_server_parts *clm_server_parts_of(const clm_server *s);
/* Held while a body is read: what that takes, many times the body, is taken once. */
pthread_mutex_t *clm_server_reading(clm_server *s);
/* False while the model loads. */
bool clm_server_about(clm_server *s, clm_engine_report *out);

/* Sends a text, which is malloc'd and taken over; NULL: no memory. The result is libmicrohttpd's. */
int clm_exchange_send(clm_exchange *x, unsigned http, const char *type, char *text, size_t size);
int clm_exchange_refuse(clm_exchange *x, const clm_refusal *why);
/* The refusal of a request that is not TAKEN. */
int clm_exchange_refuse_submit(clm_exchange *x, clm_submit result);
/* Sends a response, which is taken over. */
int clm_exchange_queue(clm_exchange *x, unsigned http, const char *type,
                       struct MHD_Response *response);
/* Whether the client has closed the connection. */
bool clm_exchange_gone(const clm_exchange *x);
/* Time without a byte does not close the connection while the answer is made. */
void clm_exchange_be_patient(clm_exchange *x, bool patient);

/* answers.c */
int clm_route_chat(clm_exchange *x);
int clm_route_completion(clm_exchange *x);
/* Cancels an answer that the client has not got to its end, and notes what there was of it. */
void clm_exchange_abandon(clm_exchange *x);

#endif
