/* tuning/worker.c: the parent's side of tuning/worker.h. */
#include "tuning/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/child.h"
#include "host/clock.h"

enum { LINE_MAX_BYTES = 2048 };

struct clm_worker {
    char *const *argv;
    const volatile sig_atomic_t *stop;
    pid_t pid;   /* 0: no process */
    int in, out; /* its pipes: it reads `in`, writes `out` */
    bool has_subject;
    char buf[LINE_MAX_BYTES];
    size_t used;
};

clm_status clm_worker_create(char *const *argv, const volatile sig_atomic_t *stop, clm_worker **out,
                             clm_err *err)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) return clm_fail(err, CLM_E_NOMEM, "tuning: no memory");
    (*out)->argv = argv;
    (*out)->stop = stop;
    return CLM_OK;
}

void clm_worker_kill(clm_worker *w)
{
    if (w->pid == 0) return;
    kill(w->pid, SIGKILL);
    while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR) continue;
    close(w->in);
    close(w->out);
    w->pid = 0;
    w->used = 0;
    w->has_subject = false;
}

void clm_worker_destroy(clm_worker *w)
{
    if (w == NULL) return;
    clm_worker_kill(w);
    free(w);
}

bool clm_worker_ready(const clm_worker *w)
{
    return w->pid != 0 && w->has_subject;
}

void clm_worker_forget(clm_worker *w)
{
    w->has_subject = false;
}

static clm_status start(clm_worker *w, clm_err *err)
{
    int to[2], from[2];

    if (pipe2(to, O_CLOEXEC) != 0)
        return clm_fail(err, CLM_E_IO, "tuning: pipe: %s", strerror(errno));
    if (pipe2(from, O_CLOEXEC) != 0) {
        close(to[0]);
        close(to[1]);
        return clm_fail(err, CLM_E_IO, "tuning: pipe: %s", strerror(errno));
    }
    w->pid = clm_child_start(
        w->argv, environ, (clm_child_fd[]){{to[0], CLM_WORKER_IN}, {from[1], CLM_WORKER_OUT}}, 2);
    close(to[0]);
    close(from[1]);
    if (w->pid < 0) {
        w->pid = 0;
        close(to[1]);
        close(from[0]);
        return clm_fail(err, CLM_E_IO, "tuning: fork: %s", strerror(errno));
    }
    w->in = to[1];
    w->out = from[0];
    w->used = 0;
    w->has_subject = false;
    return CLM_OK;
}

/* Takes a line out of the buffer; false when there is none yet. */
static bool take_line(clm_worker *w, char line[LINE_MAX_BYTES])
{
    char *end = memchr(w->buf, '\n', w->used);
    size_t n;

    if (end == NULL && w->used == sizeof w->buf) end = w->buf + w->used - 1; /* cut */
    if (end == NULL) return false;
    n = (size_t)(end - w->buf);
    memcpy(line, w->buf, n);
    line[n] = '\0';
    w->used -= n + 1;
    memmove(w->buf, end + 1, w->used);
    return true;
}

static clm_worker_end read_line(clm_worker *w, double deadline, char line[LINE_MAX_BYTES])
{
    while (!take_line(w, line)) {
        struct pollfd p = {.fd = w->out, .events = POLLIN};
        const double left = deadline - clm_clock_seconds();
        ssize_t n;

        if (w->stop != NULL && *w->stop) {
            clm_worker_kill(w);
            return CLM_WORKER_STOPPED;
        }
        if (left <= 0.0) {
            clm_worker_kill(w);
            return CLM_WORKER_TIMEOUT;
        }
        /* In short pieces, since a signal may come between the look at `stop` and the wait. */
        if (poll(&p, 1, left < 0.1 ? (int)(1000.0 * left) + 1 : 100) <= 0) continue;
        n = read(w->out, w->buf + w->used, sizeof w->buf - w->used);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            clm_worker_kill(w);
            return CLM_WORKER_DIED;
        }
        w->used += (size_t)n;
    }
    return CLM_WORKER_ANSWERED;
}

/* Sends a line to the process, which is started if there is none. A process that does not take it
 * has died, which the wait for the answer will find. */
static clm_status say(clm_worker *w, const char *line, clm_err *err)
{
    size_t done = 0, size = strlen(line);
    clm_status st = w->pid != 0 ? CLM_OK : start(w, err);

    while (st == CLM_OK && done < size) {
        const ssize_t n = write(w->in, line + done, size - done);

        if (n < 0 && errno != EINTR) break;
        if (n > 0) done += (size_t)n;
    }
    return st;
}

clm_worker_end clm_worker_limits(clm_worker *w, double seconds, clm_device_limits *out,
                                 clm_status *st, clm_err *err)
{
    const double deadline = clm_clock_seconds() + seconds;
    char line[LINE_MAX_BYTES];
    clm_worker_end end;

    memset(out, 0, sizeof *out);
    *st = say(w, "limits\n", err);
    if (*st != CLM_OK) return CLM_WORKER_ANSWERED;
    end = read_line(w, deadline, line);
    if (end != CLM_WORKER_ANSWERED) return end;
    if (sscanf(line, "limits %lf %lf %lf", &out->read_gbps, &out->fp32_gflops, &out->int8_gops) !=
        3)
        *st = clm_fail(err, CLM_E_CL, "%s", strncmp(line, "fail ", 5) == 0 ? line + 5 : line);
    return CLM_WORKER_ANSWERED;
}

clm_worker_end clm_worker_subject(clm_worker *w, const char *op, const char *shape, double seconds,
                                  clm_status *st, clm_err *err)
{
    const double deadline = clm_clock_seconds() + seconds;
    char line[LINE_MAX_BYTES];
    clm_worker_end end;

    snprintf(line, sizeof line, "subject %s %s\n", op, shape);
    *st = say(w, line, err);
    if (*st != CLM_OK) return CLM_WORKER_ANSWERED;
    w->has_subject = false;
    end = read_line(w, deadline, line);
    if (end != CLM_WORKER_ANSWERED) return end;
    w->has_subject = strcmp(line, "ready") == 0;
    if (!w->has_subject)
        *st = clm_fail(err, CLM_E_CL, "%s", strncmp(line, "fail ", 5) == 0 ? line + 5 : line);
    return CLM_WORKER_ANSWERED;
}

static bool read_stage(const char *line, size_t n, clm_trial_stage *stage, size_t *at)
{
    char word[16];
    size_t i;

    if (sscanf(line, "stage %15s %zu", word, &i) != 2 || i >= n) return false;
    *stage = strcmp(word, "build") == 0   ? CLM_TRIAL_BUILD
             : strcmp(word, "check") == 0 ? CLM_TRIAL_CHECK
                                          : CLM_TRIAL_TIME;
    *at = i;
    return true;
}

static void read_result(const char *line, clm_trial_result *out)
{
    char word[16] = "";
    int end = 0;

    out->reason = CLM_TUNE_CRASH; /* an answer that makes no sense */
    if (sscanf(line, "done %15s %lf %lf %lf %lf %lf %lf %lf %n", word, &out->min_ms,
               &out->median_ms, &out->ratio, &out->low, &out->high, &out->error, &out->build_s,
               &end) < 8) {
        clm_fail(&out->err, CLM_E_INTERNAL, "%.200s", line);
        return;
    }
    if (end > 0 && line[end] != '\0') clm_fail(&out->err, CLM_E_INTERNAL, "%s", line + end);
    for (int i = 0; i < CLM_TUNE_REASONS; i++)
        if (strcmp(word, clm_tune_reason_text((clm_tune_reason)i)) == 0)
            out->reason = (clm_tune_reason)i;
}

clm_worker_end clm_worker_try(clm_worker *w, const clm_worker_order *o,
                              const int (*params)[CLM_MAX_AXES], size_t n, clm_trial_stage *stage,
                              size_t *at, clm_trial_result *out)
{
    double deadline = fmin(clm_clock_seconds() + o->build_s, o->until);
    char line[LINE_MAX_BYTES];
    size_t done = 0, used;

    memset(out, 0, n * sizeof *out);
    *stage = CLM_TRIAL_BUILD;
    *at = n - 1;
    used = (size_t)snprintf(line, sizeof line, "try %.17g %.17g %zu", o->seconds, o->give_up, n);
    for (size_t i = 0; i < n * o->n_values; i++)
        used += (size_t)snprintf(line + used, sizeof line - used, " %d",
                                 params[i / o->n_values][i % o->n_values]);
    snprintf(line + used, sizeof line - used, "\n");
    if (say(w, line, &out[n - 1].err) != CLM_OK) return CLM_WORKER_DIED;
    while (done < n) {
        const clm_worker_end end = read_line(w, deadline, line);

        if (end != CLM_WORKER_ANSWERED) return end;
        if (read_stage(line, n, stage, at))
            deadline =
                fmin(clm_clock_seconds() + (*stage == CLM_TRIAL_BUILD ? o->build_s : o->run_s),
                     o->until);
        else
            read_result(line, &out[done++]);
    }
    return CLM_WORKER_ANSWERED;
}
