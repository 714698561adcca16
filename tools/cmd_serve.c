/* tools/cmd_serve.c: `clm serve`: an HTTP server in OpenAI's format, and a page to try it.
 *
 * Layer    tools.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli.h"
#include "tools/commands.h"
#include "tools/serve/http.h"

/* ---- signals --------------------------------------------------------------------------------- */

static int signal_pipe[2] = {-1, -1};
static volatile sig_atomic_t n_signals;

static void on_signal(int number)
{
    const int saved = errno;

    (void)number;
    if (++n_signals > 2) _exit(130); /* whatever hangs, the third one ends it */
    if (write(signal_pipe[1], "", 1) < 0) _exit(130);
    errno = saved;
}

/* Ctrl+C and SIGTERM are read from the pipe from now on. */
static clm_status catch_signals(clm_err *err)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    struct sigaction action = {.sa_flags = SA_RESTART}, old;

    if (pipe2(signal_pipe, O_CLOEXEC) != 0)
        return clm_fail(err, CLM_E_INTERNAL, "pipe: %s", strerror(errno));
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    return CLM_OK;
}

/* Whether a signal came, waited for at most `milliseconds` (-1: for ever). */
static bool wait_signal(int milliseconds)
{
    struct pollfd fd = {.fd = signal_pipe[0], .events = POLLIN};
    char byte;

    while (poll(&fd, 1, milliseconds) < 0)
        if (errno != EINTR) return true; /* better to stop than to run without an end */
    return (fd.revents & POLLIN) != 0 && read(signal_pipe[0], &byte, 1) == 1;
}

/* ---- the server ------------------------------------------------------------------------------ */

typedef struct serve {
    clm_config *config;
    const clm_settings *settings;
    clm_err model; /* its id */
    clm_access *access;
    clm_metrics *metrics;
    clm_jobs *jobs;
    clm_server *server;
    clm_engine *engine;
    clm_listener listener;
} serve;

/* The name of the file or folder, without ".gguf"; printable, as JSON takes nothing else. */
static void name_model(const char *path, clm_err *out)
{
    static const char suffix[] = ".gguf";
    size_t end = strlen(path), start;

    while (end > 1 && path[end - 1] == '/') end--;
    start = end;
    while (start > 0 && path[start - 1] != '/') start--;
    if (end - start > sizeof suffix - 1 &&
        strncmp(path + end - (sizeof suffix - 1), suffix, sizeof suffix - 1) == 0)
        end -= sizeof suffix - 1;
    clm_fail(out, CLM_OK, "%.*s", (int)(end - start), path + start);
}

static void warn(const serve *s)
{
    struct stat info;
    const char *file = s->settings->server_api_key_file;

    if (file[0] != '\0' && stat(file, &info) == 0 && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        fprintf(stderr, "clm: warning: other users may open %s: chmod 600 keeps the keys secret\n",
                file);
    if (!s->listener.loopback && !clm_access_has_keys(s->access))
        fprintf(stderr,
                "clm: warning: everybody who reaches %s may use the model: --api-key-file sets "
                "keys, --host 127.0.0.1 keeps others out\n",
                s->listener.address);
}

static clm_status read_keys(serve *s, const clm_args *args, clm_err *err)
{
    const char *file = s->settings->server_api_key_file, *key = clm_args_get(args, "api_key");
    const char *source = "--api-key";
    char *lines = NULL;
    size_t size;
    clm_status st = CLM_OK;

    if (key == NULL) {
        source = "CLM_SERVER_API_KEY";
        key = getenv(source);
    }
    if (file[0] != '\0') {
        st = clm_cli_read_file(file, &lines, &size, err);
        if (st != CLM_OK) return clm_fail_context(err, CLM_E_CONFIG, "server.api_key_file");
    }
    st = clm_access_create(lines, key, s->listener.loopback, &s->access, err);
    if (st == CLM_E_CONFIG)
        clm_fail_context(err, st, "%s", key != NULL && key[0] == '\0' ? source : file);
    free(lines);
    return st;
}

/* Listens: what is wrong with address and keys is said before a model is loaded. */
static clm_status open_server(serve *s, const clm_args *args, clm_err *err)
{
    clm_server_parts parts;
    clm_status st;

    st = clm_listen(s->settings->server_host, s->settings->server_port, &s->listener, err);
    if (st == CLM_OK) st = read_keys(s, args, err);
    if (st == CLM_OK) st = clm_metrics_create(&s->metrics, err);
    if (st == CLM_OK) st = clm_jobs_create(s->metrics, &s->jobs, err);
    if (st != CLM_OK) return st;
    warn(s);
    parts = (clm_server_parts){.listener = s->listener,
                               .access = s->access,
                               .jobs = s->jobs,
                               .metrics = s->metrics,
                               .model = s->model.text};
    st = clm_server_create(&parts, &s->server, err);
    if (st == CLM_OK)
        fprintf(stderr, "clm: listening on http://%s, loading the model\n", s->listener.address);
    return st;
}

static clm_status load(serve *s, clm_err *err)
{
    clm_engine_report about;
    clm_status st = clm_cli_engine(s->settings, &s->engine, err);

    clm_cli_end_progress();
    if (st == CLM_OK) st = catch_signals(err);
    if (st != CLM_OK) return st;
    clm_engine_describe(s->engine, &about);
    clm_server_describe(s->server, &about);
    st = clm_jobs_start(s->jobs, s->engine, s->settings, clm_cli_observer(), err);
    if (st != CLM_OK) return st;
    fprintf(stderr, "clm: %s on %s, template %s, context %zu tokens\n", s->model.text, about.device,
            about.chat_template, about.ctx_size);
    fprintf(stderr, "clm: ready: http://%s/ is a page, http://%s/v1 for clients; Ctrl+C stops\n",
            s->listener.address, s->listener.address);
    return CLM_OK;
}

/* Until a signal comes; then answers in progress are finished, until another one does. */
static void serve_requests(serve *s)
{
    while (!wait_signal(-1)) continue;
    clm_jobs_close(s->jobs);
    clm_server_quiesce(s->server);
    if (clm_jobs_count(s->jobs) > 0)
        fprintf(stderr, "clm: stopping when %zu answers are finished; Ctrl+C again cuts them off\n",
                clm_jobs_count(s->jobs));
    while (clm_jobs_count(s->jobs) > 0)
        if (wait_signal(100)) clm_jobs_interrupt(s->jobs);
    /* What has been answered is still on its way. */
    for (int i = 0; i < 100 && clm_server_exchanges(s->server) > 0; i++) wait_signal(50);
    fprintf(stderr, "clm: stopped\n");
}

static clm_status run(const clm_args *args, clm_err *err)
{
    serve s = {.listener = {.fd = -1}};
    clm_status st = clm_cli_config_or_demo(args, &s.config, err);

    if (st != CLM_OK) goto out;
    s.settings = clm_config_settings(s.config);
    name_model(s.settings->model, &s.model);
    st = open_server(&s, args, err);
    if (st == CLM_OK) st = load(&s, err);
    if (st == CLM_OK) serve_requests(&s);
out:
    if (s.server == NULL && s.listener.fd >= 0) close(s.listener.fd);
    clm_server_destroy(s.server);
    clm_jobs_destroy(s.jobs);
    clm_engine_destroy(s.engine);
    clm_metrics_destroy(s.metrics);
    clm_access_destroy(s.access);
    clm_config_destroy(s.config);
    return st;
}

const clm_command clm_cmd_serve = {
    .name = "serve",
    .synopsis = "[--config FILE.yaml] [-m MODEL] [--port N]",
    .summary = "serve the model over HTTP in OpenAI's format, with a page for browsers",
    .details =
        "POST /v1/chat/completions and /v1/completions, GET /v1/models, /health, /metrics; / is "
        "the\n"
        "page. It listens on this machine only (127.0.0.1:8080) unless --host says otherwise, and\n"
        "wants keys when --api-key-file has some. Ctrl+C or SIGTERM finishes the answers in "
        "progress.\n",
    .groups = CLM_FLAGS_CONFIG | CLM_FLAGS_MODEL | CLM_FLAGS_WEIGHTS | CLM_FLAGS_DEVICE |
              CLM_FLAGS_CONTEXT | CLM_FLAGS_CHAT | CLM_FLAGS_SAMPLING | CLM_FLAGS_SERVER |
              CLM_FLAGS_TUNING,
    .run = run,
};
