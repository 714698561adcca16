/* tools/cmd_generate.c: `clm generate`: continues a text, without a template.
 *
 * Layer    tools.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"
#include "tools/commands.h"

static clm_status run(const clm_args *args, clm_err *err)
{
    clm_config *config = NULL;
    clm_engine *engine = NULL;
    clm_session *session = NULL;
    clm_sampling sampling;
    clm_reply reply;
    char *text = NULL;
    size_t size = 0;
    clm_status st = clm_args_config(args, &config, err);

    if (st == CLM_OK) st = clm_cli_prompt(args, &text, &size, err);
    if (st == CLM_OK) st = clm_cli_engine(clm_config_settings(config), &engine, err);
    if (st == CLM_OK)
        st = clm_session_create(engine, "", clm_config_settings(config)->seed, &session, err);
    if (st != CLM_OK) goto out;
    sampling = clm_engine_sampling(engine, clm_config_settings(config));
    if (sampling.temperature > 0.0)
        fprintf(stderr, "clm: seed %llu\n", (unsigned long long)clm_session_seed(session));
    clm_cli_catch_interrupt(session);
    st =
        clm_session_complete(session, text, size, &sampling, clm_cli_print_text, NULL, &reply, err);
    clm_cli_catch_interrupt(NULL);
    if (st != CLM_OK) goto out;
    putchar('\n');
    fflush(stdout);
    clm_cli_print_reply(&reply);
    st = clm_cli_reply_status(&reply, err);
out:
    clm_session_destroy(session);
    clm_engine_destroy(engine);
    clm_config_destroy(config);
    free(text);
    return st;
}

const clm_command clm_cmd_generate = {
    .name = "generate",
    .synopsis = "-m MODEL -p TEXT [-n N] [--temp 0]",
    .summary = "continue a text, without a template",
    .groups = CLM_FLAGS_CONFIG | CLM_FLAGS_MODEL | CLM_FLAGS_WEIGHTS | CLM_FLAGS_DEVICE |
              CLM_FLAGS_CONTEXT | CLM_FLAGS_PROMPT | CLM_FLAGS_SAMPLING | CLM_FLAGS_TUNING,
    .run = run,
};
