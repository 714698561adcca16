/* tools/serve/metrics.c: see tools/serve/metrics.h. */
#include "tools/serve/metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUTES = 64 }; /* pairs of route and status: few, as both are the server's */

static const double bounds[] = {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120};
enum { N_BOUNDS = sizeof bounds / sizeof *bounds };

struct clm_metrics {
    pthread_mutex_t mutex;
    struct {
        const char *route;
        unsigned http;
        unsigned long long count;
    } requests[ROUTES];
    size_t n_requests;
    unsigned long long first_text[N_BOUNDS + 1]; /* not added up; the last one: above all bounds */
    double first_text_sum;
    unsigned long long prompt_tokens, cached_tokens, new_tokens;
    double prompt_seconds, decode_seconds;
    time_t started;
};

clm_status clm_metrics_create(clm_metrics **out, clm_err *err)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) return clm_fail(err, CLM_E_NOMEM, "server: no memory");
    pthread_mutex_init(&(*out)->mutex, NULL);
    (*out)->started = time(NULL);
    return CLM_OK;
}

void clm_metrics_destroy(clm_metrics *m)
{
    if (m == NULL) return;
    pthread_mutex_destroy(&m->mutex);
    free(m);
}

void clm_metrics_request(clm_metrics *m, const char *route, unsigned http)
{
    size_t i = 0;

    pthread_mutex_lock(&m->mutex);
    while (i < m->n_requests &&
           (m->requests[i].http != http || strcmp(m->requests[i].route, route) != 0))
        i++;
    if (i == m->n_requests && i < ROUTES) {
        m->requests[i].route = route;
        m->requests[i].http = http;
        m->n_requests++;
    }
    if (i < ROUTES) m->requests[i].count++;
    pthread_mutex_unlock(&m->mutex);
}

void clm_metrics_first_text(clm_metrics *m, double seconds)
{
    size_t i = 0;

    while (i < N_BOUNDS && seconds > bounds[i]) i++;
    pthread_mutex_lock(&m->mutex);
    m->first_text[i]++;
    m->first_text_sum += seconds;
    pthread_mutex_unlock(&m->mutex);
}

void clm_metrics_answered(clm_metrics *m, const clm_reply *reply)
{
    pthread_mutex_lock(&m->mutex);
    m->prompt_tokens += reply->prompt_tokens;
    m->cached_tokens += reply->cached_tokens;
    m->new_tokens += reply->new_tokens;
    m->prompt_seconds += reply->prompt_seconds;
    m->decode_seconds += reply->decode_seconds;
    pthread_mutex_unlock(&m->mutex);
}

/* ---- the page -------------------------------------------------------------------------------- */

static void head(FILE *f, const char *name, const char *type, const char *help)
{
    fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void counter(FILE *f, const char *name, const char *help, unsigned long long value)
{
    head(f, name, "counter", help);
    fprintf(f, "%s %llu\n", name, value);
}

static void seconds(FILE *f, const char *name, const char *help, double value)
{
    head(f, name, "counter", help);
    fprintf(f, "%s %.6f\n", name, value);
}

static void gauge(FILE *f, const char *name, const char *help, double value)
{
    head(f, name, "gauge", help);
    fprintf(f, "%s %.0f\n", name, value);
}

/* A label's value: backslash, quote and newline are escaped. */
static void label(FILE *f, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\' || *text == '"') fputc('\\', f);
        if (*text == '\n')
            fputs("\\n", f);
        else
            fputc(*text, f);
    }
}

static void print_about(FILE *f, const clm_engine_report *about)
{
    head(f, "clm_info", "gauge", "Version, model and device.");
    fputs("clm_info{version=\"" CLM_VERSION "\",model=\"", f);
    label(f, about->model_name[0] != '\0' ? about->model_name : about->arch);
    fputs("\",device=\"", f);
    label(f, about->device);
    fputs("\"} 1\n", f);
    gauge(f, "clm_device_weight_bytes", "Weights on the device.", (double)about->weight_bytes);
    gauge(f, "clm_device_kv_cache_bytes", "Key-value cache of one answer.",
          (double)about->kv_bytes);
    gauge(f, "clm_context_tokens", "Tokens that a conversation may have.", (double)about->ctx_size);
}

static void print_requests(FILE *f, const clm_metrics *m)
{
    head(f, "clm_http_requests_total", "counter", "Requests by route and HTTP status.");
    for (size_t i = 0; i < m->n_requests; i++)
        fprintf(f, "clm_http_requests_total{route=\"%s\",code=\"%u\"} %llu\n", m->requests[i].route,
                m->requests[i].http, m->requests[i].count);
}

static void print_first_text(FILE *f, const clm_metrics *m)
{
    unsigned long long sum = 0;

    head(f, "clm_time_to_first_text_seconds", "histogram",
         "Seconds from a request to the first text of its answer.");
    for (size_t i = 0; i < N_BOUNDS; i++) {
        sum += m->first_text[i];
        fprintf(f, "clm_time_to_first_text_seconds_bucket{le=\"%g\"} %llu\n", bounds[i], sum);
    }
    sum += m->first_text[N_BOUNDS];
    fprintf(f, "clm_time_to_first_text_seconds_bucket{le=\"+Inf\"} %llu\n", sum);
    fprintf(f, "clm_time_to_first_text_seconds_sum %.6f\n", m->first_text_sum);
    fprintf(f, "clm_time_to_first_text_seconds_count %llu\n", sum);
}

void clm_metrics_print(clm_metrics *m, const clm_engine_report *about, const clm_metrics_now *now,
                       char **text, size_t *size)
{
    FILE *f = open_memstream(text, size);

    if (f == NULL) {
        *text = NULL;
        return;
    }
    pthread_mutex_lock(&m->mutex);
    if (about != NULL) print_about(f, about);
    gauge(f, "clm_start_time_seconds", "When the server started, since 1970.", (double)m->started);
    gauge(f, "clm_requests_running", "Answers in progress.", (double)now->n_running);
    gauge(f, "clm_requests_waiting", "Requests in the queue.", (double)now->n_waiting);
    gauge(f, "clm_http_connections", "Open connections, also idle ones.",
          (double)now->n_connections);
    print_requests(f, m);
    print_first_text(f, m);
    counter(f, "clm_prompt_tokens_total", "Tokens of prompts.", m->prompt_tokens);
    counter(f, "clm_prompt_cached_tokens_total", "Of these, taken from the cache.",
            m->cached_tokens);
    counter(f, "clm_generated_tokens_total", "Tokens of answers.", m->new_tokens);
    seconds(f, "clm_prompt_seconds_total", "Seconds spent on prompts.", m->prompt_seconds);
    seconds(f, "clm_decode_seconds_total", "Seconds spent on answers.", m->decode_seconds);
    pthread_mutex_unlock(&m->mutex);
    if (fclose(f) != 0) {
        free(*text);
        *text = NULL;
    }
}
