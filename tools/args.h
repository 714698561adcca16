/* tools/args.h: command lines. One table of flags gives parsing, configuration and --help.
 *
 * Layer    tools.
 * Memory   a clm_args borrows argv and the command; both must outlive it.
 *
 * Flags are written "-m X", "--model X" or "--model=X"; names of several letters behind one dash
 * (-ngl, -dev) are llama.cpp's. '_' counts as '-' in long names. "--" ends the flags, and "-" alone
 * is an argument. A value that is itself the name of a flag is refused ("-m --json": the value was
 * forgotten); "--model=--json" says that it is meant.
 */
#ifndef CLM_TOOLS_ARGS_H
#define CLM_TOOLS_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "runtime/clm.h"

/* Groups of the shared flags (args_flags.c): a command takes a set of them. --help always. */
enum {
    CLM_FLAGS_CONFIG = 1u << 0,   /* --config --dump-config */
    CLM_FLAGS_MODEL = 1u << 1,    /* -m */
    CLM_FLAGS_DEVICE = 1u << 2,   /* -dev --list-devices --backend --activations */
    CLM_FLAGS_CONTEXT = 1u << 3,  /* -c -b --kv-cache-type */
    CLM_FLAGS_PROMPT = 1u << 4,   /* -p -f */
    CLM_FLAGS_CHAT = 1u << 5,     /* --template --system */
    CLM_FLAGS_SAMPLING = 1u << 6, /* -n --temp --top-k --top-p --min-p --repeat-penalty -s --stop */
    CLM_FLAGS_SERVER = 1u << 7,   /* --host --port --api-key --api-key-file --parallel */
    CLM_FLAGS_TUNING = 1u << 8,   /* --tuning --budget */
    CLM_FLAGS_JSON = 1u << 9,     /* --json */
    CLM_FLAGS_COMMON = 1u << 10,  /* --help --version: every command */
    CLM_FLAGS_WEIGHTS = 1u << 11  /* --weights: for those that load them */
};

typedef struct clm_flag {
    const char *names; /* "-c, --ctx-size": as --help prints them */
    const char *value; /* what stands for the value in --help; NULL: a switch */
    const char *key;   /* configuration key that it sets, or NULL */
    const char *id;    /* else the name for clm_args_get and clm_args_has */
    const char *help;  /* NULL: what the configuration says of `key` */
    unsigned group;    /* of a shared flag */
} clm_flag;

/* A configuration value that a command starts from instead of the default; a file, the environment
 * and flags go over it. */
typedef struct clm_preset {
    const char *key, *value;
} clm_preset;

typedef struct clm_args clm_args;

typedef struct clm_command {
    const char *name;            /* "chat", "eval logits" */
    const char *synopsis;        /* "[-m MODEL] [-p TEXT]" */
    const char *summary;         /* one line */
    const char *details;         /* more lines for --help, or NULL */
    unsigned groups;             /* CLM_FLAGS_... */
    const clm_flag *flags;       /* own ones, which hide shared ones of the same name; ends with
                                * names == NULL; may be NULL */
    const clm_preset *presets;   /* ends with key == NULL; may be NULL */
    size_t min_words, max_words; /* arguments that are no flags */
    clm_status (*run)(const clm_args *args, clm_err *err);
} clm_command;

/* One flag as it was given; `value` is NULL for a switch. */
typedef struct clm_arg {
    const clm_flag *flag;
    char name[32]; /* as typed */
    const char *value;
} clm_arg;

struct clm_args {
    const clm_command *command;
    clm_arg *items;
    size_t n_items;
    const char **words; /* arguments that are no flags, in order */
    size_t n_words;
};

/* Parses argv[1..]; argv[0] is skipped. Stops at --help and --version, which are then the last
 * item. Returns CLM_OK, CLM_E_USAGE (the sentence names the nearest flag) or CLM_E_NOMEM. `out` is
 * to be cleared in every case. */
clm_status clm_args_parse(const clm_command *command, int argc, char **argv, clm_args *out,
                          clm_err *err);
void clm_args_clear(clm_args *args);

/* By id or configuration key: whether the flag was given, and its last value (NULL: not given). */
bool clm_args_has(const clm_args *args, const char *id);
const char *clm_args_get(const clm_args *args, const char *id);
/* The `index`th value of a flag that may be repeated; NULL after the last. */
const char *clm_args_get_nth(const clm_args *args, const char *id, size_t index);
/* A whole number between `min` and `max`; `fallback` when the flag was not given. */
clm_status clm_args_get_u64(const clm_args *args, const char *id, uint64_t min, uint64_t max,
                            uint64_t fallback, uint64_t *out, clm_err *err);

/* The effective configuration: defaults, the command's presets, --config, environment, flags. */
clm_status clm_args_config(const clm_args *args, clm_config **out, clm_err *err);
/* The same, with `path` read where --config was not given; NULL: no such file. */
clm_status clm_args_config_from(const clm_args *args, const char *path, clm_config **out,
                                clm_err *err);

/* What --help prints. */
void clm_args_print_help(const clm_command *command, FILE *stream);

/* The command that argv[1] (and, for "eval logits", argv[2]) names; `*n_words` is how many of
 * argv's words that took, so that clm_args_parse gets argc - *n_words and argv + *n_words. Returns
 * CLM_OK or CLM_E_USAGE (none given, unknown, incomplete). */
clm_status clm_command_find(const clm_command *const *commands, size_t n, int argc, char **argv,
                            const clm_command **out, int *n_words, clm_err *err);
/* The list of commands for `clm --help`. */
void clm_command_print_list(const clm_command *const *commands, size_t n, FILE *stream);
/* The list of those that begin with the word `first`, as "eval ppl" does with "eval"; false if there is none, or one
 * of that very name. */
bool clm_command_print_group(const clm_command *const *commands, size_t n, const char *first,
                             FILE *stream);

/* ---- The shared table (args_flags.c) ---------------------------------------------------------- */

/* Flags of llama.cpp that clm does not have, and what to do instead. */
typedef struct clm_flag_refusal {
    const char *names, *sentence;
} clm_flag_refusal;

const clm_flag *clm_flags_shared(size_t *n);
const clm_flag_refusal *clm_flags_refused(size_t *n);
/* Heading of a group in --help. */
const char *clm_flags_heading(unsigned group);

#endif
