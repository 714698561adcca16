/* tools/clm.c: the program: finds the command, parses its line, runs it. Exit codes: host/status.h.
 *
 * Layer    tools.
 */
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"
#include "tools/commands.h"

static const clm_command *const commands[] = {
    &clm_cmd_chat,        &clm_cmd_generate,   &clm_cmd_serve,      &clm_cmd_devices,
    &clm_cmd_doctor,      &clm_cmd_inspect,    &clm_cmd_quantize,   &clm_cmd_tokenize,
    &clm_cmd_eval_logits, &clm_cmd_eval_ppl,   &clm_cmd_eval_cmmlu, &clm_cmd_eval_ceval,
    &clm_cmd_bench,       &clm_cmd_tune,       &clm_cmd_tune_show,  &clm_cmd_tune_export,
    &clm_cmd_tune_import, &clm_cmd_tune_merge, &clm_cmd_tune_diff,  &clm_cmd_tune_worker,
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static bool is_flag(const char *word, const char *one, const char *other)
{
    return strcmp(word, one) == 0 || strcmp(word, other) == 0;
}

static clm_status dump_config(const clm_args *args, clm_err *err)
{
    clm_config *config = NULL;
    char *text = NULL;
    clm_status st = clm_args_config(args, &config, err);

    if (st == CLM_OK) st = clm_config_dump(config, &text, err);
    if (st == CLM_OK) fputs(text, stdout);
    free(text);
    clm_config_destroy(config);
    return st;
}

/* Flags that end the program before the command runs; else the command. */
static clm_status run(const clm_command *command, const clm_args *args, clm_err *err)
{
    if (clm_args_has(args, "help")) {
        clm_args_print_help(command, stdout);
        return CLM_OK;
    }
    if (clm_args_has(args, "version")) {
        puts("clm " CLM_VERSION);
        return CLM_OK;
    }
    if (clm_args_has(args, "dump_config")) return dump_config(args, err);
    if (clm_args_has(args, "list_devices")) return clm_cmd_devices.run(args, err);
    return command->run(args, err);
}

/* `clm help`, and `clm help COMMAND`. */
static clm_status help(int argc, char **argv, clm_err *err)
{
    const clm_command *command = NULL;
    clm_status st = CLM_OK;
    int n_words;

    if (argc == 2)
        clm_command_print_list(commands, N_COMMANDS, stdout);
    else if (argc > 3 || !clm_command_print_group(commands, N_COMMANDS, argv[2], stdout))
        st = clm_command_find(commands, N_COMMANDS, argc - 1, argv + 1, &command, &n_words, err);
    if (command != NULL) clm_args_print_help(command, stdout);
    return st;
}

/* Everything after the program's own set-up. */
static clm_status start(int argc, char **argv, clm_err *err)
{
    const clm_command *command = NULL;
    clm_args args = {0};
    clm_status st;
    int n_words = 0;

    if (argc > 1 && is_flag(argv[1], "--help", "-h")) {
        clm_command_print_list(commands, N_COMMANDS, stdout);
        return CLM_OK;
    }
    if (argc > 1 && is_flag(argv[1], "--version", "version")) {
        puts("clm " CLM_VERSION);
        return CLM_OK;
    }
    if (argc > 1 && strcmp(argv[1], "help") == 0) return help(argc, argv, err);
    if (argc == 3 && is_flag(argv[2], "--help", "-h") &&
        clm_command_print_group(commands, N_COMMANDS, argv[1], stdout))
        return CLM_OK;
    if (argc > 1 && strcmp(argv[1], "--list-devices") == 0) argv[1] = (char *)"devices";
    st = clm_command_find(commands, N_COMMANDS, argc, argv, &command, &n_words, err);
    if (st == CLM_OK) st = clm_args_parse(command, argc - n_words, argv + n_words, &args, err);
    if (st == CLM_OK) st = run(command, &args, err);
    clm_args_clear(&args);
    return st;
}

int main(int argc, char **argv)
{
    clm_err err = {""};
    clm_status st;

    /* Line editing needs to know that input is UTF-8, also where no locale is configured. */
    if (setlocale(LC_CTYPE, "") == NULL || MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a failed write, which is reported */
    clm_program_begin();
    clm_cli_end_on_interrupt();

    st = start(argc, argv, &err);
    if (st == CLM_OK && (fflush(stdout) != 0 || ferror(stdout)))
        st = clm_fail(&err, CLM_E_IO, "the output could not be written");
    return st == CLM_OK ? 0 : clm_cli_fail(st, &err);
}
