/* tools/cmd_tune.c: `clm tune`: finds the fastest correct parameters of each kernel on a device.
 *
 * Layer    tools.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli.h"
#include "tools/commands.h"
#include "tools/tune_print.h"

/* One line that is rewritten on a terminal; elsewhere finished launches alone are printed. */
static void print_progress(void *user, const clm_tune_progress *p)
{
    char text[160];

    (void)user;
    if (!isatty(STDERR_FILENO)) return;
    snprintf(text, sizeof text, "[%3.0f/%.0f s] %zu/%zu %s %.60s: %zu tried", p->elapsed_s,
             p->budget_s, p->subject + 1, p->n_subjects, p->key->op, p->key->shape, p->tried);
    fprintf(stderr, "\r\033[K%.110s", text);
    if (p->best_ms > 0.0) {
        fprintf(stderr, ", best %.3g ms, %.3g %s", p->best_ms, p->rate,
                p->arithmetic ? "GFLOP/s" : "GB/s");
        if (p->share > 0.0) fprintf(stderr, " (%.0f %%)", 100.0 * p->share);
    }
    fflush(stderr);
}

static void print_finished(void *user, const clm_tune_device *device, const clm_tune_entry *e)
{
    char rate[48];

    (void)user;
    clm_tune_format_rate(device, e->bytes, e->flops, e->ms, rate);
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
    printf("%s %s: %.4g ms, %s", e->key.op, e->key.shape, e->ms, rate);
    if (e->default_ms > 0.0) printf(", %.2fx the default", e->default_ms / e->ms);
    printf(" (%u tried", (unsigned)e->tried);
    if (e->failed > 0) printf(", %u failed", (unsigned)e->failed);
    fputs(")\n    ", stdout);
    clm_tune_print_params(stdout, e->params, e->n_params);
    putchar('\n');
    fflush(stdout);
}

static void print_report(const clm_tune_report *r)
{
    size_t n = 0;

    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
    if (r->subjects == 0) {
        printf("%s: nothing leaves a choice: no launch has two legal candidates\n", r->device);
        return;
    }
    printf("%s: %zu of %zu launches tuned in %.0f s, %zu of them faster than the default; %zu "
           "candidates",
           r->device, r->tuned, r->subjects, r->elapsed_s, r->gained, r->tried);
    for (int i = CLM_TUNE_CONSTRAINT; i < CLM_TUNE_REASONS; i++) {
        if (r->failed[i] == 0) continue;
        printf("%s%s %zu", n++ > 0 ? ", " : ", refused: ", clm_tune_reason_text((clm_tune_reason)i),
               r->failed[i]);
    }
    if (r->skipped > 0)
        printf("\nNo time was left for %zu: the same command goes on from here.", r->skipped);
    printf("%s\n%s\n", r->stopped ? "\nStopped; the best so far is kept." : "", r->db_path);
}

/* --budget fast, full or seconds: as the key has it. */
static clm_status set_budget(const clm_args *args, clm_config *config, clm_err *err)
{
    const char *text = clm_args_get(args, "tune_budget");

    if (text == NULL) return CLM_OK;
    if (strcmp(text, "fast") == 0) text = "60";
    if (strcmp(text, "full") == 0) text = "600";
    return clm_config_set(config, "tuning.budget_s", text, "--budget", err);
}

/* What would have no effect, so that nobody believes in one. */
static clm_status check_flags(const clm_args *args, const clm_tune_options *o,
                              const clm_settings *s, clm_err *err)
{
    static const struct {
        const char *id, *name;
    } of_models[] = {{"model", "-m"},
                     {"tune_synthetic", "--synthetic"},
                     {"tune_type", "--type"},
                     {"weights", "--weights"}};

    if (s->backend == CLM_BACKEND_REF)
        return clm_fail(err, CLM_E_USAGE,
                        "tuning is for OpenCL kernels, and --backend ref has none");
    for (size_t i = 0; o->kernel != NULL && i < sizeof of_models / sizeof *of_models; i++)
        if (clm_args_has(args, of_models[i].id))
            return clm_fail(err, CLM_E_USAGE, "%s is for the kernels of a model, not for --kernel",
                            of_models[i].name);
    return clm_cli_check_synthetic(args, o->synthetic, o->type, s->model[0] != '\0', err);
}

static clm_status run(const clm_args *args, clm_err *err)
{
    clm_tune_options o = {.synthetic = clm_args_get(args, "tune_synthetic"),
                          .type = clm_args_get(args, "tune_type"),
                          .ops = clm_args_get(args, "tune_ops"),
                          .kernel = clm_args_get(args, "tune_kernel"),
                          .space = clm_args_get(args, "tune_space"),
                          .strategy = clm_args_get(args, "tune_strategy"),
                          .again = clm_args_has(args, "tune_again"),
                          .stop = clm_cli_interrupt_flag(),
                          .progress = print_progress,
                          .finished = print_finished};
    clm_config *config = NULL;
    clm_tune_report report;
    clm_status st = clm_args_get_u64(args, "tune_seed", 0, UINT64_MAX, 1, &o.seed, err);

    if (st == CLM_OK) st = clm_args_config(args, &config, err);
    if (st == CLM_OK) st = check_flags(args, &o, clm_config_settings(config), err);
    if (st == CLM_OK) st = set_budget(args, config, err);
    if (st == CLM_OK && clm_config_settings(config)->tuning_budget_s <= 0.0)
        st = clm_fail(err, CLM_E_USAGE, "--budget: some seconds are needed");
    if (st == CLM_OK) {
        clm_cli_catch_interrupt(NULL);
        st = clm_tune_run(clm_config_settings(config), &o, clm_cli_observer(), &report, err);
    }
    if (st == CLM_OK) {
        print_report(&report);
        if (report.subjects + report.illegal > 0 && report.tuned == 0 && report.skipped == 0 &&
            !report.stopped)
            st = clm_fail(err, CLM_E_SELFTEST, "no candidate works");
        else if (report.stopped)
            st = clm_fail(err, CLM_E_INTERRUPTED, "interrupted");
        clm_tune_report_clear(&report);
    }
    clm_config_destroy(config);
    return st;
}

static const clm_flag flags[] = {
    {.names = "--synthetic",
     .value = "NAME",
     .id = "tune_synthetic",
     .help =
         "shapes of 13b (default without a model), 7b or llama13b, of --type, instead of a file's"},
    {.names = "--type",
     .value = "TYPE",
     .id = "tune_type",
     .help = "weights of the synthetic model: q4_0 (default), q4_1, q8_0, f16"},
    {.names = "--budget",
     .value = "SECONDS",
     .id = "tune_budget",
     .help = "time for the whole run; fast: 60 (default), full: 600"},
    {.names = "--ops", .value = "NAME,...", .id = "tune_ops", .help = "only these operators"},
    {.names = "--strategy",
     .value = "NAME",
     .id = "tune_strategy",
     .help = "descent (default), random, exhaustive"},
    {.names = "-s, --seed", .value = "N", .id = "tune_seed", .help = "of the search (default 1)"},
    {.names = "--again",
     .id = "tune_again",
     .help = "try anew what earlier runs have tried, also what failed"},
    {.names = "--kernel",
     .value = "FILE.cl",
     .id = "tune_kernel",
     .help = "tune a kernel of your own instead"},
    {.names = "--space",
     .value = "FILE.yaml",
     .id = "tune_space",
     .help = "its parameters, arguments and reference (docs/tuning.md)"},
    {.names = NULL},
};

const clm_command clm_cmd_tune = {
    .name = "tune",
    .synopsis = "[-m MODEL | --synthetic 13b [--type q4_0]] [--budget 60] [--ops NAME,...]",
    .summary = "find the fastest correct kernel parameters for a device",
    .details =
        "Every candidate runs in a process of its own, is compared with the reference and then\n"
        "timed in turn with the best so far. Ctrl+C (exit code 130) keeps the best; a run\n"
        "that was killed goes on where it was. What is found is used from the next start on:\n"
        "`clm tune show` prints it, `clm tune diff default FOLDER --time` times it again beside "
        "the\n"
        "built-in values. Other busy programs make the choice worthless.",
    .groups = CLM_FLAGS_CONFIG | CLM_FLAGS_MODEL | CLM_FLAGS_WEIGHTS | CLM_FLAGS_DEVICE |
              CLM_FLAGS_CONTEXT,
    .flags = flags,
    .run = run,
};

/* ---- The process that candidates run in ------------------------------------------------------- */

static clm_status run_worker(const clm_args *args, clm_err *err)
{
    const char *device = clm_args_get(args, "worker_device"),
               *kernel = clm_args_get(args, "tune_kernel"),
               *space = clm_args_get(args, "tune_space");

    if (device == NULL)
        return clm_fail(err, CLM_E_USAGE, "--device is missing; this command is for clm's own use");
    if ((kernel == NULL) != (space == NULL))
        return clm_fail(err, CLM_E_USAGE, "--kernel and --space belong together");
    return clm_tune_worker(device, kernel, space, err);
}

static const clm_flag worker_flags[] = {
    {.names = "--device", .value = "N", .id = "worker_device", .help = "index of the device"},
    {.names = "--kernel", .value = "FILE", .id = "tune_kernel", .help = "a user's kernel"},
    {.names = "--space", .value = "FILE", .id = "tune_space", .help = "its description"},
    {.names = NULL},
};

const clm_command clm_cmd_tune_worker = {
    .name = "tune-worker", /* not listed: `clm tune` starts it */
    .flags = worker_flags,
    .run = run_worker,
};
