/* tuning/worker_child.c: the child's side of tuning/worker.h. */
#include "tuning/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct server {
    const clm_op_table *table;
    clm_device *dev;
    const void *user;
    FILE *out;
    const clm_op_desc *op;
    clm_trial_case *bench; /* NULL: no subject yet */
} server;

static const char *const k_stages[] = {"build", "check", "time"};

static void serve_limits(server *s)
{
    clm_device_limits l;
    clm_err err;

    if (clm_device_limits_measure(s->dev, &l, &err) != CLM_OK)
        fprintf(s->out, "fail %s\n", err.text);
    else
        fprintf(s->out, "limits %.17g %.17g %.17g\n", l.read_gbps, l.fp32_gflops, l.int8_gops);
}

static clm_status take_subject(server *s, char *line, clm_err *err)
{
    char *shape_text = strchr(line, ' ');
    int params[CLM_MAX_AXES] = {0};
    clm_shape shape;

    clm_trial_case_destroy(s->bench);
    s->bench = NULL;
    if (shape_text != NULL) *shape_text++ = '\0';
    s->op = clm_op_find(s->table, line);
    if (s->op == NULL || !clm_shape_read(s->op, shape_text != NULL ? shape_text : "", &shape))
        return clm_fail(err, CLM_E_INTERNAL, "no such subject: %s", line);
    shape.user = s->user;
    s->op->defaults(&shape, clm_device_caps(s->dev), params);
    return clm_trial_case_create(s->dev, s->op, &shape, params, &s->bench, err);
}

static void serve_subject(server *s, char *line)
{
    clm_err err;

    if (take_subject(s, line, &err) == CLM_OK)
        fputs("ready\n", s->out);
    else
        fprintf(s->out, "fail %s\n", err.text);
}

static void print_stage(void *user, clm_trial_stage stage, size_t i)
{
    server *s = user;

    fprintf(s->out, "stage %s %zu\n", k_stages[stage], i);
    fflush(s->out);
}

static void serve_try(server *s, char *line)
{
    int params[CLM_RACE_MAX][CLM_MAX_AXES] = {{0}};
    clm_trial_order order = {.stage = print_stage, .user = s};
    clm_trial_result r[CLM_RACE_MAX];
    size_t n;

    order.seconds = strtod(line, &line);
    order.give_up = strtod(line, &line);
    n = strtoul(line, &line, 10);
    if (s->bench == NULL || n == 0 || n > CLM_RACE_MAX) {
        fputs("fail no subject\n", s->out);
        return;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < s->op->n_axes; k++) params[i][k] = (int)strtol(line, &line, 10);
    clm_trial_run(s->bench, params, n, &order, r);
    for (size_t i = 0; i < n; i++)
        fprintf(s->out, "done %s %.17g %.17g %.17g %.17g %.17g %.17g %.17g %s\n",
                clm_tune_reason_text(r[i].reason), r[i].min_ms, r[i].median_ms, r[i].ratio,
                r[i].low, r[i].high, r[i].error, r[i].build_s, r[i].err.text);
}

clm_status clm_worker_refuse(clm_status st, const clm_err *err)
{
    FILE *out = fdopen(CLM_WORKER_OUT, "w");

    if (out == NULL) return st;
    fprintf(out, "fail %s\n", err->text);
    fclose(out);
    return st;
}

clm_status clm_worker_serve(const clm_op_table *table, clm_device *dev, const void *user,
                            clm_err *err)
{
    server s = {.table = table, .dev = dev, .user = user, .out = fdopen(CLM_WORKER_OUT, "w")};
    FILE *in = fdopen(CLM_WORKER_IN, "r");
    char *line = NULL;
    size_t room = 0;

    if (s.out == NULL || in == NULL) {
        if (s.out != NULL) fclose(s.out);
        if (in != NULL) fclose(in);
        return clm_fail(err, CLM_E_USAGE, "this command is for clm's own use");
    }
    while (getline(&line, &room, in) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, "limits") == 0) serve_limits(&s);
        if (strncmp(line, "subject ", 8) == 0) serve_subject(&s, line + 8);
        if (strncmp(line, "try ", 4) == 0) serve_try(&s, line + 4);
        fflush(s.out);
    }
    free(line);
    clm_trial_case_destroy(s.bench);
    fclose(in);
    fclose(s.out);
    return CLM_OK;
}
