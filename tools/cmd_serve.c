/* tools/cmd_serve.c: `clm serve`: an HTTP server in OpenAI's format, and a page to try it.
 *
 * Layer    tools.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
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

/* What is read from the pipe. */
enum { NOTHING, STOP = 's', RELOAD = 'r' };

static void on_signal(int number)
{
    const int saved = errno;
    const char what = number == SIGHUP ? RELOAD : STOP;

    if (what == STOP && ++n_signals > 2) _exit(130); /* whatever hangs, the third one ends it */
    if (write(signal_pipe[1], &what, 1) < 0 && what == STOP) _exit(130);
    errno = saved;
}

/* From now on it is read from the pipe, unless it is ignored (shells do that for jobs in the background). */
static void catch_signal(int number)
{
    struct sigaction action = {.sa_flags = SA_RESTART}, old;

    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(number, &action, NULL);
}

static sigset_t only_hangup(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    return set;
}

/* While the model loads SIGTERM ends the program, as Ctrl+C does, and SIGHUP waits: compilers in drivers have
 * handlers of their own, which put back those that they found. */
static void begin_loading(void)
{
    const sigset_t hangup = only_hangup();

    clm_cli_end_on_signal(SIGTERM);
    pthread_sigmask(SIG_BLOCK, &hangup, NULL);
}

/* Whether SIGHUP says that the terminal was closed: it may where there is one, unless keys are to be read again and
 * the log is elsewhere. */
static bool hangup_ends(bool reload)
{
    const int terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);

    if (terminal >= 0) close(terminal);
    return terminal >= 0 && (!reload || isatty(STDERR_FILENO));
}

/* From now on signals are read from the pipe; `reload`: there are keys to read again. */
static clm_status end_loading(bool reload, clm_err *err)
{
    const sigset_t hangup = only_hangup();

    if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return clm_fail(err, CLM_E_INTERNAL, "pipe: %s", strerror(errno));
    catch_signal(SIGINT);
    catch_signal(SIGTERM);
    if (!hangup_ends(reload)) catch_signal(SIGHUP);
    pthread_sigmask(SIG_UNBLOCK, &hangup, NULL);
    return CLM_OK;
}

/* Which signal came, waited for at most `milliseconds` (-1: for ever). */
static char wait_signal(int milliseconds)
{
    struct pollfd fd = {.fd = signal_pipe[0], .events = POLLIN};
    char what = NOTHING;

    while (poll(&fd, 1, milliseconds) < 0)
        if (errno != EINTR) return STOP; /* better to stop than to run without an end */
    return read(signal_pipe[0], &what, 1) == 1 ? what : NOTHING;
}

/* ---- the server ------------------------------------------------------------------------------ */

typedef struct serve {
    clm_config *config;
    const clm_settings *settings;
    clm_err model;   /* its id */
    const char *key; /* besides the file's, or NULL */
    const char *key_source;
    clm_access *access;
    clm_cors *cors;
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
                "clm: warning: everybody who reaches %s may use the model, web pages too, as any "
                "name of the server is taken: --api-key-file sets keys, --host 127.0.0.1 keeps "
                "others out\n",
                s->listener.address);
    else if (clm_cors_takes_all(s->cors) && !clm_access_has_keys(s->access))
        fprintf(stderr,
                "clm: warning: every page in a browser that reaches %s may use the model: name "
                "their sites "
                "in --origins instead of *, or set keys with --api-key-file\n",
                s->listener.address);
}

/* Creates the access, or gives it other keys. */
static clm_status read_keys(serve *s, clm_err *err)
{
    const char *file = s->settings->server_api_key_file;
    char *lines = NULL;
    size_t size;
    clm_status st = CLM_OK;

    if (file[0] != '\0') {
        st = clm_cli_read_file(file, &lines, &size, err);
        if (st != CLM_OK) return clm_fail_context(err, CLM_E_CONFIG, "server.api_key_file");
    }
    if (s->access != NULL)
        st = clm_access_replace(s->access, lines, s->key, err);
    else
        st = clm_access_create(lines, s->key, s->listener.loopback, &s->access, err);
    free(lines);
    if (st != CLM_E_CONFIG) return st;
    if (s->key != NULL && s->key[0] == '\0') return clm_fail_context(err, st, "%s", s->key_source);
    return clm_fail_context(err, st, "server.api_key_file: %s", file);
}

static clm_status read_origins(serve *s, clm_err *err)
{
    const clm_status st = clm_cors_create(s->settings->server_origins, &s->cors, err);

    return st == CLM_OK ? st : clm_fail_context(err, st, "server.origins");
}

static void reload_keys(serve *s)
{
    clm_err err;

    if (s->settings->server_api_key_file[0] == '\0')
        fprintf(stderr, "clm: warning: SIGHUP, and there is no file of keys to read again\n");
    else if (read_keys(s, &err) == CLM_OK)
        fprintf(stderr, "clm: the keys were read again\n");
    else
        fprintf(stderr, "clm: warning: the old keys stay: %s\n", err.text);
}

/* Whether a signal to stop came, waited for at most `milliseconds` (-1: for ever). */
static bool wait_stop(serve *s, int milliseconds)
{
    const char what = wait_signal(milliseconds);

    if (what == RELOAD) reload_keys(s);
    return what == STOP;
}

/* What a file that is missing or damaged says. */
static clm_status check_model(const char *path, clm_err *err)
{
    clm_model_report *report = NULL;
    const clm_status st = path[0] != '\0' ? clm_model_report_create(path, &report, err) : CLM_OK;

    clm_model_report_destroy(report);
    return st;
}

/* Listens: what is wrong with address, keys and the model's file is said before the model is loaded. */
static clm_status open_server(serve *s, clm_err *err)
{
    clm_server_parts parts;
    clm_status st;

    st = check_model(s->settings->model, err);
    if (st == CLM_OK)
        st = clm_listen(s->settings->server_host, s->settings->server_port, &s->listener, err);
    if (st == CLM_OK) st = read_keys(s, err);
    if (st == CLM_OK) st = read_origins(s, err);
    if (st == CLM_OK) st = clm_metrics_create(&s->metrics, err);
    if (st == CLM_OK) st = clm_jobs_create(s->metrics, &s->jobs, err);
    if (st != CLM_OK) return st;
    warn(s);
    parts = (clm_server_parts){.listener = s->listener,
                               .access = s->access,
                               .cors = s->cors,
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
    clm_status st;

    st = clm_cli_engine(s->settings, &s->engine, err);
    clm_cli_end_progress();
    if (st == CLM_OK) st = end_loading(s->settings->server_api_key_file[0] != '\0', err);
    if (st != CLM_OK) return st;
    clm_engine_describe(s->engine, &about);
    clm_server_describe(s->server, &about);
    st = clm_jobs_start(s->jobs, s->engine, s->settings, clm_cli_observer(), err);
    if (st != CLM_OK) return st;
    fprintf(stderr, "clm: %s on %s, template %s, context %zu tokens\n", s->model.text, about.device,
            about.chat_template, about.ctx_size);
    clm_cli_warn_without_template(&about, s->settings);
    fprintf(stderr, "clm: ready: http://%s/ is a page, http://%s/v1 for clients; Ctrl+C stops\n",
            s->listener.address, s->listener.address);
    return CLM_OK;
}

static size_t count_jobs(const serve *s)
{
    size_t n_waiting, n_running;

    clm_jobs_count(s->jobs, &n_waiting, &n_running);
    return n_waiting + n_running;
}

/* Until a signal comes; then answers in progress are finished, until another one does. */
static void serve_requests(serve *s)
{
    size_t left;

    while (!wait_stop(s, -1)) continue;
    clm_jobs_close(s->jobs);
    clm_server_quiesce(s->server);
    left = count_jobs(s);
    if (left > 0)
        fprintf(stderr, "clm: stopping when %zu answers are finished; Ctrl+C again cuts them off\n",
                left);
    for (; left > 0; left = count_jobs(s))
        if (wait_stop(s, 100)) clm_jobs_interrupt(s->jobs);
    /* What has been answered is still on its way. */
    for (int i = 0; i < 100 && clm_server_exchanges(s->server) > 0; i++) wait_stop(s, 50);
    fprintf(stderr, "clm: stopped\n");
}

static clm_status run(const clm_args *args, clm_err *err)
{
    serve s = {.listener = {.fd = -1}};
    clm_status st = clm_cli_config_or_demo(args, &s.config, err);

    if (st != CLM_OK) goto out;
    s.settings = clm_config_settings(s.config);
    s.key_source = clm_args_has(args, "api_key") ? "--api-key" : "CLM_SERVER_API_KEY";
    s.key = clm_args_has(args, "api_key") ? clm_args_get(args, "api_key") : getenv(s.key_source);
    name_model(s.settings->model, &s.model);
    begin_loading();
    st = open_server(&s, err);
    if (st == CLM_OK) st = load(&s, err);
    if (st == CLM_OK) serve_requests(&s);
out:
    if (s.server == NULL && s.listener.fd >= 0) close(s.listener.fd);
    clm_server_destroy(s.server);
    clm_jobs_destroy(s.jobs);
    clm_engine_destroy(s.engine);
    clm_metrics_destroy(s.metrics);
    clm_access_destroy(s.access);
    clm_cors_destroy(s.cors);
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
        "progress,\n"
        "SIGHUP reads the key file again.\n",
    .groups = CLM_FLAGS_CONFIG | CLM_FLAGS_MODEL | CLM_FLAGS_WEIGHTS | CLM_FLAGS_DEVICE |
              CLM_FLAGS_CONTEXT | CLM_FLAGS_CHAT | CLM_FLAGS_SAMPLING | CLM_FLAGS_SERVER |
              CLM_FLAGS_TUNING,
    .run = run,
};
