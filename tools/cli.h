/* tools/cli.h: what the commands of clm share: messages, progress, standard input, Ctrl+C.
 *
 * Layer    tools; the only layer that prints, exits and has file-scope state.
 */
#ifndef CLM_TOOLS_CLI_H
#define CLM_TOOLS_CLI_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include "runtime/clm.h"
#include "tools/args.h"

/* Prints "clm: ..." on stderr and returns the exit code of `st`. */
int clm_cli_fail(clm_status st, const clm_err *err);

/* Observer that writes to stderr: warnings as lines, progress as one line that is overwritten on a
 * terminal and as a few lines otherwise. */
const clm_observer *clm_cli_observer(void);
/* Ends a progress line, so that what follows starts on a line of its own. */
void clm_cli_end_progress(void);

/* Whether `stream` is a terminal that may be coloured (NO_COLOR, TERM=dumb). */
bool clm_cli_colour(FILE *stream);

/* Path of the demo model's configuration, in the source tree or where it is installed; malloc'd,
 * NULL when it is in neither place. */
char *clm_cli_demo_config(void);

/* The configuration; where it names no model and --config was not given, that of the demo model, which is
 * said on stderr. */
clm_status clm_cli_config_or_demo(const clm_args *args, clm_config **out, clm_err *err);

/* Whether flags of a file with a model (-m, --weights) stand beside those of a model with random weights, where one of them
 * would have no effect. `synthetic`, `type`: the values of --synthetic and --type, or NULL; `file`: without --synthetic
 * the model is a file. Returns CLM_OK or CLM_E_USAGE. */
clm_status clm_cli_check_synthetic(const clm_args *args, const char *synthetic, const char *type,
                                   bool file, clm_err *err);

/* All of standard input, or of a file; malloc'd with a NUL behind, which `*size` does not count. CLM_E_USAGE for more
 * than 1 GB. */
clm_status clm_cli_read(FILE *stream, const char *name, char **text, size_t *size, clm_err *err);
clm_status clm_cli_read_file(const char *path, char **text, size_t *size, clm_err *err);

/* The prompt: -p, else -f, else all of standard input without its last newline. An empty one is
 * CLM_E_USAGE. Malloc'd. */
clm_status clm_cli_prompt(const clm_args *args, char **text, size_t *size, clm_err *err);

/* The session whose answer Ctrl+C ends; NULL: Ctrl+C is only counted. */
void clm_cli_catch_interrupt(clm_session *s);
/* Ctrl+C ends the program at once, with exit code 130: as it is when a command begins. Files are written so
 * that nothing is lost. */
void clm_cli_end_on_interrupt(void);
/* The same for another signal. */
void clm_cli_end_on_signal(int number);
/* How often Ctrl+C was pressed since the last call. */
int clm_cli_interrupts(void);
/* Non-zero from the first Ctrl+C on, once clm_cli_catch_interrupt was called, until clm_cli_interrupts
 * is. */
const volatile sig_atomic_t *clm_cli_interrupt_flag(void);

/* Creates the engine and warms it up; before that, tunes a device that is new where clm_tune_auto finds it
 * worth it (tools/tune_start.c). Ctrl+C during tuning goes on with the best so far, later it ends the
 * program. */
clm_status clm_cli_engine(const clm_settings *s, clm_engine **out, clm_err *err);

/* A model that was trained on a template answers bare text with garbage: warns when it gets that. */
void clm_cli_warn_without_template(const clm_engine_report *about, const clm_settings *s);

/* The line after an answer: "[prompt 12 tokens (3 cached), 85.1 t/s; answer 40 tokens, 31.2 t/s]" and why
 * it ended, when that is worth knowing. */
void clm_cli_print_reply(const clm_reply *reply);

/* What an answer that is over means for the program: CLM_E_IO when the output could not be written,
 * CLM_E_INTERRUPTED after Ctrl+C, else CLM_OK. */
clm_status clm_cli_reply_status(const clm_reply *reply, clm_err *err);

/* clm_text_fn that writes to stdout at once. When nobody reads any more, it ends the answer. */
void clm_cli_print_text(void *user, const char *text, size_t size);

/* A string as JSON, with its quotes. */
void clm_cli_print_json(FILE *stream, const char *text, size_t size);

/* "7.3 GB", "812 MB", "96 kB" */
void clm_cli_format_bytes(double bytes, char out[32]);

#endif
