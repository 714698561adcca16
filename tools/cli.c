/* tools/cli.c: see tools/cli.h. */
#include "tools/cli.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/clock.h"

/* ---- messages and progress ------------------------------------------------------------------- */

static bool progress_open; /* a line without its newline is on the terminal */
static pthread_mutex_t progress_mutex = PTHREAD_MUTEX_INITIALIZER; /* kernels build in threads */

static void end_progress(void)
{
    if (progress_open) fputc('\n', stderr);
    progress_open = false;
}

void clm_cli_end_progress(void)
{
    pthread_mutex_lock(&progress_mutex);
    end_progress();
    pthread_mutex_unlock(&progress_mutex);
}

int clm_cli_fail(clm_status st, const clm_err *err)
{
    clm_cli_end_progress();
    if (st == CLM_E_INTERRUPTED) return clm_status_exit_code(st); /* clm_cli_print_reply said it */
    fprintf(stderr, "clm: %s\n", err->text[0] != '\0' ? err->text : clm_status_text(st));
    return clm_status_exit_code(st);
}

static void print_message(void *user, clm_log_level level, const char *text)
{
    (void)user;
    if (level == CLM_LOG_DEBUG && !clm_config_env_debug()) return;
    pthread_mutex_lock(&progress_mutex);
    end_progress();
    fprintf(stderr, "clm: %s%s\n", level == CLM_LOG_WARN ? "warning: " : "", text);
    pthread_mutex_unlock(&progress_mutex);
}

/* On a terminal one line is rewritten, at most 20 times a second; elsewhere a line is written when a
 * stage begins and every five seconds. */
static void draw_progress(const char *stage, size_t done, size_t total)
{
    static double last;
    static const char *last_stage;
    double now = clm_seconds_now();
    bool terminal = isatty(STDERR_FILENO),
         new_stage = last_stage == NULL || strcmp(stage, last_stage) != 0;

    if (!new_stage && done < total && now - last < (terminal ? 0.05 : 5.0)) return;
    if (!new_stage && !terminal && done == total && now - last < 5.0) return;
    last = now;
    last_stage = stage;
    if (!terminal) {
        if (new_stage)
            fprintf(stderr, "%s (%zu) ...\n", stage, total);
        else
            fprintf(stderr, "%s %zu/%zu\n", stage, done, total);
        return;
    }
    fprintf(stderr, "\r\033[K%s %zu/%zu", stage, done, total);
    progress_open = true;
    if (done == total) {
        fputs("\r\033[K", stderr);
        progress_open = false;
        last_stage = NULL;
    }
    fflush(stderr);
}

static void print_progress(void *user, const char *stage, size_t done, size_t total)
{
    (void)user;
    pthread_mutex_lock(&progress_mutex);
    draw_progress(stage, done, total);
    pthread_mutex_unlock(&progress_mutex);
}

const clm_observer *clm_cli_observer(void)
{
    static const clm_observer observer = {NULL, print_message, print_progress};
    return &observer;
}

bool clm_cli_colour(FILE *stream)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

    if (no_color != NULL && no_color[0] != '\0') return false;
    return isatty(fileno(stream)) && term != NULL && strcmp(term, "dumb") != 0;
}

char *clm_cli_demo_config(void)
{
    static const char *const places[] = {"../configs/demo.yaml", "../share/clm/configs/demo.yaml"};
    char program[4096], *path = NULL;
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);

    if (n <= 0) return NULL;
    program[n] = '\0';
    if (strrchr(program, '/') != NULL) *strrchr(program, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (asprintf(&path, "%s/%s", program, places[i]) < 0) return NULL;
        if (access(path, R_OK) == 0) return path;
        free(path);
    }
    return NULL;
}

clm_status clm_cli_config_or_demo(const clm_args *args, clm_config **out, clm_err *err)
{
    clm_status st = clm_args_config(args, out, err);
    char *demo;

    if (st != CLM_OK || clm_config_settings(*out)->model[0] != '\0' || clm_args_has(args, "config"))
        return st;
    demo = clm_cli_demo_config();
    if (demo == NULL) return st;
    fprintf(stderr, "clm: no model given: this is the demo model, which recites poems (-m MODEL "
                    "for another)\n");
    clm_config_destroy(*out);
    st = clm_args_config_from(args, demo, out, err);
    free(demo);
    return st;
}

clm_status clm_cli_check_synthetic(const clm_args *args, const char *synthetic, const char *type,
                                   bool file, clm_err *err)
{
    if (synthetic != NULL && clm_args_has(args, "model"))
        return clm_fail(err, CLM_E_USAGE, "-m and --synthetic exclude each other");
    if (type != NULL && synthetic == NULL && file)
        return clm_fail(err, CLM_E_USAGE,
                        "--type is that of a --synthetic model; a file has its own");
    if (clm_args_has(args, "weights") && (synthetic != NULL || !file))
        return clm_fail(err, CLM_E_USAGE,
                        "--weights converts a model of -m; --type is that of a --synthetic one");
    return CLM_OK;
}

/* ---- input ----------------------------------------------------------------------------------- */

/* Far more than a context takes, and a large text for `tokenize`; /dev/zero has no end. */
enum { MAX_INPUT = 1 << 30, FIRST_ROOM = 1 << 16 };

clm_status clm_cli_read(FILE *stream, const char *name, char **text, size_t *size, clm_err *err)
{
    size_t used = 0, room = FIRST_ROOM;
    char *data = NULL;

    *text = NULL;
    *size = 0;
    for (;;) {
        char *grown = realloc(data, room + 1);
        if (grown == NULL) {
            free(data);
            return clm_fail(err, CLM_E_NOMEM, "%s: no memory", name);
        }
        data = grown;
        used += fread(data + used, 1, room - used, stream);
        if (used < room) break;
        if (room >= MAX_INPUT) {
            free(data);
            return clm_fail(err, CLM_E_USAGE,
                            "%s: it is longer than %d GB, which is the most that is read; is it "
                            "the right file?",
                            name, MAX_INPUT >> 30);
        }
        room *= 2;
    }
    if (ferror(stream)) {
        free(data);
        return clm_fail(err, CLM_E_IO, "%s: %s", name, strerror(errno));
    }
    data[used] = '\0';
    *text = data;
    *size = used;
    return CLM_OK;
}

clm_status clm_cli_read_file(const char *path, char **text, size_t *size, clm_err *err)
{
    FILE *file = fopen(path, "rb");
    clm_status st;

    *text = NULL;
    *size = 0;
    if (file == NULL) return clm_fail(err, CLM_E_USAGE, "%s: %s", path, strerror(errno));
    st = clm_cli_read(file, path, text, size, err);
    fclose(file);
    return st;
}

/* Whether somebody seems to have meant standard input for us: a pipe or a file with something in it. It is not
 * taken for a prompt unasked: in a shell's loop over lines it is the loop's. */
static bool input_waits(void)
{
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
    struct stat info;

    if (fstat(STDIN_FILENO, &info) != 0) return false;
    if (S_ISREG(info.st_mode)) return lseek(STDIN_FILENO, 0, SEEK_CUR) < info.st_size;
    return S_ISFIFO(info.st_mode) && poll(&fd, 1, 0) == 1 && (fd.revents & POLLIN) != 0;
}

/* `path` is "-" or NULL for standard input. The last newline is not the text's. */
static clm_status read_prompt(const char *path, char **text, size_t *size, clm_err *err)
{
    const bool input = path == NULL || strcmp(path, "-") == 0;
    const clm_status st = input ? clm_cli_read(stdin, "standard input", text, size, err)
                                : clm_cli_read_file(path, text, size, err);

    if (st == CLM_OK && *size > 0 && (*text)[*size - 1] == '\n') (*text)[--*size] = '\0';
    return st;
}

/* Puts `given` and an empty line before what was read. */
static clm_status put_before(const char *given, char **text, size_t *size, clm_err *err)
{
    const size_t n = strlen(given), gap = n > 0 && *size > 0 ? 2 : 0;
    char *both = malloc(n + gap + *size + 1);

    if (both == NULL) return clm_fail(err, CLM_E_NOMEM, "prompt: no memory");
    memcpy(both, given, n);
    memset(both + n, '\n', gap);
    if (*text != NULL) memcpy(both + n + gap, *text, *size); /* any bytes, zeros too */
    *size += n + gap;
    both[*size] = '\0';
    free(*text);
    *text = both;
    return CLM_OK;
}

clm_status clm_cli_prompt(const clm_args *args, char **text, size_t *size, clm_err *err)
{
    const char *given = clm_args_get(args, "prompt"), *path = clm_args_get(args, "file");
    clm_status st = CLM_OK;

    *text = NULL;
    *size = 0;
    if (given == NULL || path != NULL)
        st = read_prompt(path, text, size, err);
    else if (input_waits())
        fprintf(stderr,
                "clm: warning: standard input is not read: -f - adds it to the text of -p\n");
    if (st == CLM_OK && given != NULL) st = put_before(given, text, size, err);
    if (st != CLM_OK) {
        free(*text);
        *text = NULL;
        return st;
    }
    if (*size == 0) {
        free(*text);
        *text = NULL;
        return clm_fail(err, CLM_E_USAGE,
                        "the prompt is empty: give one with -p, -f or on standard input");
    }
    return CLM_OK;
}

/* ---- Ctrl+C ---------------------------------------------------------------------------------- */

static clm_session *volatile interrupt_session;
static volatile sig_atomic_t interrupt_count;

static void on_interrupt(int signal_number)
{
    clm_session *s = interrupt_session;

    (void)signal_number;
    interrupt_count++;
    if (s != NULL) clm_session_interrupt(s);
    if (interrupt_count > 2) _exit(130); /* whatever hangs, the third one ends it */
}

static void end_at_once(int signal_number)
{
    static const char text[] = "\nclm: interrupted\n";

    (void)signal_number;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(130);
    _exit(130);
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action;

    /* Shells start jobs in the background with it ignored. */
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN) return;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL); /* no SA_RESTART: a read of the terminal ends */
}

void clm_cli_catch_interrupt(clm_session *s)
{
    interrupt_session = s;
    handle(SIGINT, on_interrupt);
}

void clm_cli_end_on_interrupt(void)
{
    clm_cli_end_on_signal(SIGINT);
}

void clm_cli_end_on_signal(int number)
{
    handle(number, end_at_once);
}

const volatile sig_atomic_t *clm_cli_interrupt_flag(void)
{
    return &interrupt_count;
}

int clm_cli_interrupts(void)
{
    int n = interrupt_count;
    interrupt_count = 0;
    return n;
}

/* ---- answers --------------------------------------------------------------------------------- */

void clm_cli_warn_without_template(const clm_engine_report *about, const clm_settings *s)
{
    if (strcmp(s->chat_template, "auto") == 0 && strcmp(about->chat_template, "none") == 0)
        fprintf(stderr,
                "clm: warning: the model does not say how it was taught to converse and gets the "
                "bare text; --template baichuan-instruction (or another) chooses\n");
}

static double rate(size_t n, double seconds)
{
    return seconds > 0.0 ? (double)n / seconds : 0.0;
}

void clm_cli_print_reply(const clm_reply *r)
{
    bool colour = clm_cli_colour(stderr);
    /* The last token of the prompt is part of decoding: it gives the first of the answer. */
    size_t fresh = r->prompt_tokens - r->cached_tokens - (r->prompt_tokens > r->cached_tokens);

    fprintf(stderr, "%s[prompt %zu tokens", colour ? "\033[2m" : "", r->prompt_tokens);
    if (r->cached_tokens > 0) fprintf(stderr, " (%zu cached)", r->cached_tokens);
    if (fresh > 0) fprintf(stderr, ", %.1f t/s", rate(fresh, r->prompt_seconds));
    fprintf(stderr, "; answer %zu tokens, %.1f t/s]%s\n", r->new_tokens,
            rate(r->new_tokens, r->decode_seconds), colour ? "\033[0m" : "");
    if (r->dropped_rounds > 0)
        fprintf(stderr, "clm: the context is full: the oldest %zu round%s forgotten\n",
                r->dropped_rounds, r->dropped_rounds == 1 ? " was" : "s were");
    if (r->finish == CLM_FINISH_LENGTH)
        fprintf(stderr, "clm: the answer was cut after max_new_tokens (%zu)\n", r->new_tokens);
    if (r->finish == CLM_FINISH_CONTEXT)
        fprintf(stderr, "clm: the answer was cut: the context is full; raise ctx_size\n");
    /* An output that nobody reads ends an answer too (clm_cli_print_text), and has a sentence of its own. */
    if (r->finish == CLM_FINISH_INTERRUPTED && !ferror(stdout))
        fprintf(stderr, "clm: interrupted\n");
}

clm_status clm_cli_reply_status(const clm_reply *reply, clm_err *err)
{
    if (ferror(stdout)) return clm_fail(err, CLM_E_IO, "the output could not be written");
    if (reply->finish == CLM_FINISH_INTERRUPTED)
        return clm_fail(err, CLM_E_INTERRUPTED, "interrupted");
    return CLM_OK;
}

void clm_cli_print_text(void *user, const char *text, size_t size)
{
    (void)user;
    if (fwrite(text, 1, size, stdout) == size && fflush(stdout) == 0) return;
    if (interrupt_session != NULL) clm_session_interrupt(interrupt_session);
}

void clm_cli_print_json(FILE *stream, const char *text, size_t size)
{
    fputc('"', stream);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            fprintf(stream, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", stream);
        else if (c < 0x20 || c == 0x7F)
            fprintf(stream, "\\u%04x", c);
        else
            fputc(c, stream);
    }
    fputc('"', stream);
}

void clm_cli_format_bytes(double bytes, char out[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;

    while (bytes >= 1000.0 && unit < 4) bytes /= 1000.0, unit++;
    snprintf(out, 32, unit > 0 && bytes < 100.0 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}
