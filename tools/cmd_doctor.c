/* tools/cmd_doctor.c: `clm doctor`: what works on this machine, and what to do about the rest.
 *
 * Layer    tools.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "runtime/doctor.h"
#include "tools/cli.h"
#include "tools/commands.h"

static const char *const level_words[] = {"ok", "note", "warning", "FAILED"};

/* Where findings go. */
typedef struct printer {
    json_t *all;       /* or NULL: text */
    char section[300]; /* the last one */
    bool failed;       /* no memory */
} printer;

static void add_json(printer *p, const clm_finding *f)
{
    json_t *one = json_pack("{s:s, s:s, s:s, s:s}", "section", f->section, "level",
                            f->level == CLM_FINDING_FAILURE ? "failed" : level_words[f->level],
                            "text", f->text, "advice", f->advice);

    if (one == NULL || json_array_append_new(p->all, one) != 0) p->failed = true;
}

static void print_text(printer *p, const clm_finding *f)
{
    static const char *const colours[] = {"\033[32m", "\033[36m", "\033[33m", "\033[31m"};
    const bool colour = clm_cli_colour(stdout);

    clm_cli_end_progress();
    if (strcmp(p->section, f->section) != 0) {
        printf("%s%s\n", p->section[0] != '\0' ? "\n" : "", f->section);
        snprintf(p->section, sizeof p->section, "%s", f->section);
    }
    printf("  %s%-8s%s %s\n", colour ? colours[f->level] : "", level_words[f->level],
           colour ? "\033[0m" : "", f->text);
    if (f->advice[0] != '\0') printf("           -> %s\n", f->advice);
    fflush(stdout);
}

/* clm_doctor_options' found */
static void found(void *user, const clm_finding *f)
{
    printer *p = user;

    if (p->all != NULL)
        add_json(p, f);
    else
        print_text(p, f);
}

static clm_status finish(printer *p, clm_status st, clm_err *err)
{
    char *text;

    clm_cli_end_progress();
    if (p->all == NULL) {
        if (st == CLM_OK) puts("\nNothing failed.");
        if (st == CLM_E_INTERRUPTED) puts("\nInterrupted: there is more to look at.");
        return st;
    }
    text = p->failed ? NULL : json_dumps(p->all, JSON_INDENT(2));
    json_decref(p->all);
    if (text == NULL) return clm_fail(err, CLM_E_INTERNAL, "doctor: the report is no JSON");
    puts(text);
    free(text);
    return st;
}

static clm_status run(const clm_args *args, clm_err *err)
{
    printer p = {.all = clm_args_has(args, "json") ? json_array() : NULL};
    const clm_doctor_options o = {.all_shapes = clm_args_has(args, "doctor_all"),
                                  .stop = clm_cli_interrupt_flag(),
                                  .user = &p,
                                  .found = found};
    clm_config *config = NULL;
    clm_status st = clm_args_config(args, &config, err);

    if (st == CLM_OK) {
        clm_cli_catch_interrupt(NULL);
        st = clm_doctor_run(clm_config_settings(config), &o, clm_cli_observer(), err);
        st = finish(&p, st, err);
    }
    clm_config_destroy(config);
    return st;
}

static const clm_flag flags[] = {
    {.names = "--all",
     .id = "doctor_all",
     .help = "check each kernel at every size that its tests have, which takes many minutes"},
    {.names = NULL},
};

const clm_command clm_cmd_doctor = {
    .name = "doctor",
    .synopsis = "[--device DEVICE] [-m MODEL] [--json]",
    .summary = "check drivers, devices, kernels and folders, and say what to do",
    .details =
        "Kernels run in a process of their own and are compared with the same computation in C: a\n"
        "driver that crashes, hangs or miscalculates is named. With -m: whether the model fits.\n"
        "Exit code: 0 when nothing failed, else that of the first failure, e.g. 6: a kernel is "
        "wrong,\n"
        "4: no usable device, 1: a device does not answer.",
    .groups = CLM_FLAGS_CONFIG | CLM_FLAGS_MODEL | CLM_FLAGS_WEIGHTS | CLM_FLAGS_DEVICE |
              CLM_FLAGS_CONTEXT | CLM_FLAGS_JSON,
    .flags = flags,
    .run = run,
};
