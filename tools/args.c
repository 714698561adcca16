/* tools/args.c: parses command lines by the tables of flags, and prints help from them.
 *
 * Layer    tools.
 */
#include "tools/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE   sizeof(((clm_arg *)NULL)->name)
#define NAMES_MAX   160 /* of one command, for suggestions */
#define HELP_COLUMN 34

/* ---- Names ------------------------------------------------------------------------------------ */

/* The next of the comma-separated names at `*names`; false after the last. */
static bool next_name(const char **names, char out[NAME_SIZE])
{
    const char *s = *names + strspn(*names, ", ");
    size_t n = strcspn(s, ","), kept = n < NAME_SIZE ? n : NAME_SIZE - 1;

    memcpy(out, s, kept);
    out[kept] = 0;
    *names = s + n;
    return n > 0;
}

static bool names_have(const char *names, const char *name)
{
    char one[NAME_SIZE];

    while (next_name(&names, one))
        if (strcmp(one, name) == 0) return true;
    return false;
}

static const char *command_text(const clm_command *command)
{
    return command->name != NULL ? command->name : "";
}

/* Own flags first; `shared_too`: also those of groups that the command does not take. */
static const clm_flag *find_flag(const clm_command *command, const char *name, bool shared_too)
{
    unsigned groups = command->groups | CLM_FLAGS_COMMON;
    size_t n;
    const clm_flag *shared = clm_flags_shared(&n);

    for (const clm_flag *f = command->flags; f != NULL && f->names != NULL; f++)
        if (names_have(f->names, name)) return f;
    for (size_t i = 0; i < n; i++)
        if ((shared_too || (shared[i].group & groups) != 0) && names_have(shared[i].names, name))
            return &shared[i];
    return NULL;
}

/* "--ctx_size=5": the name with '-' for '_' into `name`, and where the value begins (or NULL). A
 * name that is too long for any flag is cut, and stays unknown. */
static const char *split_flag(const char *word, char name[NAME_SIZE])
{
    size_t n = strcspn(word, "="), kept = n < NAME_SIZE ? n : NAME_SIZE - 1;

    for (size_t i = 0; i < kept; i++) name[i] = word[i] == '_' && i > 1 ? '-' : word[i];
    name[kept] = 0;
    return word[n] == '=' ? word + n + 1 : NULL;
}

/* ---- Unknown flags ---------------------------------------------------------------------------- */

typedef struct clm_names {
    char text[NAMES_MAX][NAME_SIZE];
    const char *list[NAMES_MAX];
    size_t n;
} clm_names;

static void names_add(clm_names *to, const char *names)
{
    while (to->n < NAMES_MAX && next_name(&names, to->text[to->n])) {
        to->list[to->n] = to->text[to->n];
        to->n++;
    }
}

static const char *nearest_flag(const clm_command *command, const char *name, clm_names *all)
{
    unsigned groups = command->groups | CLM_FLAGS_COMMON;
    size_t n;
    const clm_flag *shared = clm_flags_shared(&n);

    all->n = 0;
    if (strlen(name + strspn(name, "-")) < 2) return NULL; /* every letter is near to every other */
    for (const clm_flag *f = command->flags; f != NULL && f->names != NULL; f++)
        names_add(all, f->names);
    for (size_t i = 0; i < n; i++)
        if ((shared[i].group & groups) != 0) names_add(all, shared[i].names);
    return clm_word_nearest(name, all->list, all->n);
}

static clm_status fail_flag(const clm_command *command, const char *name, clm_err *err)
{
    size_t n;
    const clm_flag_refusal *refused = clm_flags_refused(&n);
    const char *near;
    clm_names all;

    for (size_t i = 0; i < n; i++)
        if (names_have(refused[i].names, name))
            return clm_fail(err, CLM_E_USAGE, "%s: %s", name, refused[i].sentence);
    if (find_flag(command, name, true) != NULL)
        return clm_fail(err, CLM_E_USAGE, "clm %s does not take %s", command_text(command), name);
    near = nearest_flag(command, name, &all);
    if (near != NULL)
        return clm_fail(err, CLM_E_USAGE, "unknown flag %s; did you mean %s?", name, near);
    return clm_fail(err, CLM_E_USAGE, "unknown flag %s; `clm %s --help` lists them", name,
                    command_text(command));
}

/* ---- Parsing ---------------------------------------------------------------------------------- */

/* Finds the value of `flag` and moves `*i` past it. */
static clm_status take_value(const clm_command *command, const clm_arg *item, int argc, char **argv,
                             int *i, const char **value, clm_err *err)
{
    char next[NAME_SIZE];

    if (item->flag->value == NULL) {
        if (*value != NULL) return clm_fail(err, CLM_E_USAGE, "%s takes no value", item->name);
        return CLM_OK;
    }
    if (*value != NULL) return CLM_OK;
    if (*i + 1 >= argc)
        return clm_fail(err, CLM_E_USAGE, "%s needs a value: %s", item->name, item->flag->value);
    *value = argv[*i + 1];
    if ((*value)[0] == '-' && split_flag(*value, next) == NULL &&
        find_flag(command, next, false) != NULL)
        return clm_fail(err, CLM_E_USAGE, "%s needs a value: %s (%s=%s if that is the value)",
                        item->name, item->flag->value, item->name, *value);
    ++*i;
    return CLM_OK;
}

static clm_status parse_flag(const clm_command *command, int argc, char **argv, int *i,
                             clm_args *out, clm_err *err)
{
    clm_arg *item = &out->items[out->n_items];
    clm_status st;

    *item = (clm_arg){0};
    item->value = split_flag(argv[*i], item->name);
    item->flag = find_flag(command, item->name, false);
    if (item->flag == NULL) return fail_flag(command, item->name, err);
    st = take_value(command, item, argc, argv, i, &item->value, err);
    if (st == CLM_OK) out->n_items++;
    return st;
}

static clm_status check_words(const clm_args *args, clm_err *err)
{
    const clm_command *c = args->command;

    if (args->n_words > c->max_words && c->max_words == 0 && (c->groups & CLM_FLAGS_MODEL) != 0)
        return clm_fail(err, CLM_E_USAGE, "clm %s takes no argument '%.80s'; a model is -m MODEL",
                        command_text(c), args->words[0]);
    if (args->n_words > c->max_words && c->max_words == 0)
        return clm_fail(err, CLM_E_USAGE, "clm %s takes no argument '%.80s'", command_text(c),
                        args->words[0]);
    if (args->n_words > c->max_words)
        return clm_fail(err, CLM_E_USAGE, "one argument too many: '%.80s'",
                        args->words[c->max_words]);
    if (args->n_words < c->min_words)
        return clm_fail(err, CLM_E_USAGE, "an argument is missing: clm %s %s", command_text(c),
                        c->synopsis != NULL ? c->synopsis : "");
    return CLM_OK;
}

clm_status clm_args_parse(const clm_command *command, int argc, char **argv, clm_args *out,
                          clm_err *err)
{
    size_t room = argc > 0 ? (size_t)argc : 1;
    bool flags = true;

    *out = (clm_args){.command = command};
    out->items = calloc(room, sizeof *out->items);
    out->words = calloc(room, sizeof *out->words);
    if (out->items == NULL || out->words == NULL)
        return clm_fail(err, CLM_E_NOMEM, "command line: no memory");
    for (int i = 1; i < argc; i++) {
        clm_status st;

        if (!flags || argv[i][0] != '-' || argv[i][1] == 0) {
            out->words[out->n_words++] = argv[i];
            continue;
        }
        if (strcmp(argv[i], "--") == 0) {
            flags = false;
            continue;
        }
        st = parse_flag(command, argc, argv, &i, out, err);
        if (st != CLM_OK) return st;
        if (clm_args_has(out, "help") || clm_args_has(out, "version")) return CLM_OK;
    }
    return check_words(out, err);
}

void clm_args_clear(clm_args *args)
{
    if (args == NULL) return;
    free(args->items);
    free(args->words);
    *args = (clm_args){0};
}

/* ---- Values ----------------------------------------------------------------------------------- */

static bool is_flag(const clm_flag *flag, const char *id)
{
    const char *own = flag->key != NULL ? flag->key : flag->id;
    return own != NULL && strcmp(own, id) == 0;
}

static const clm_arg *last_item(const clm_args *args, const char *id)
{
    for (size_t i = args->n_items; i-- > 0;)
        if (is_flag(args->items[i].flag, id)) return &args->items[i];
    return NULL;
}

bool clm_args_has(const clm_args *args, const char *id)
{
    return last_item(args, id) != NULL;
}

const char *clm_args_get(const clm_args *args, const char *id)
{
    const clm_arg *item = last_item(args, id);
    return item != NULL ? item->value : NULL;
}

const char *clm_args_get_nth(const clm_args *args, const char *id, size_t index)
{
    for (size_t i = 0; i < args->n_items; i++)
        if (is_flag(args->items[i].flag, id) && index-- == 0) return args->items[i].value;
    return NULL;
}

clm_status clm_args_get_u64(const clm_args *args, const char *id, uint64_t min, uint64_t max,
                            uint64_t fallback, uint64_t *out, clm_err *err)
{
    const clm_arg *item = last_item(args, id);
    unsigned long long value;

    *out = fallback;
    if (item == NULL || item->value == NULL) return CLM_OK;
    if (*item->value == 0 || item->value[strspn(item->value, "0123456789")] != 0)
        return clm_fail(err, CLM_E_USAGE, "%s: '%.60s' is not a whole number", item->name,
                        item->value);
    errno = 0;
    value = strtoull(item->value, NULL, 10);
    if (errno == ERANGE || value < min || value > max)
        return clm_fail(err, CLM_E_USAGE, "%s: %.60s is out of range (%llu to %llu)", item->name,
                        item->value, (unsigned long long)min, (unsigned long long)max);
    *out = value;
    return CLM_OK;
}

/* ---- Configuration ---------------------------------------------------------------------------- */

/* All values of --stop as one YAML list: each is the text as it was typed. */
static clm_status set_stop(const clm_args *args, clm_config *config, const char *origin,
                           clm_err *err)
{
    char *list = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&list, &size);
    const char *text;
    clm_status st;

    if (f == NULL) return clm_fail(err, CLM_E_NOMEM, "command line: no memory");
    for (size_t i = 0; (text = clm_args_get_nth(args, "stop", i)) != NULL; i++) {
        fputs(i == 0 ? "[\"" : ", \"", f);
        for (; *text != 0; text++) {
            unsigned char c = (unsigned char)*text;
            if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
                fprintf(f, "\\x%02X", c);
            else
                fputc(c, f);
        }
        fputc('"', f);
    }
    fputc(']', f);
    if (fclose(f) != 0)
        st = clm_fail(err, CLM_E_NOMEM, "command line: no memory");
    else
        st = clm_config_set(config, "stop", list, origin, err);
    free(list);
    return st;
}

static clm_status apply_flags(const clm_args *args, clm_config *config, clm_err *err)
{
    clm_status st = CLM_OK;

    for (size_t i = 0; i < args->n_items && st == CLM_OK; i++) {
        const clm_arg *item = &args->items[i];

        if (item->flag->key == NULL) continue;
        if (strcmp(item->flag->key, "stop") == 0)
            st = set_stop(args, config, item->name, err);
        else
            st = clm_config_set(config, item->flag->key, item->value, item->name, err);
    }
    return st;
}

clm_status clm_args_config(const clm_args *args, clm_config **out, clm_err *err)
{
    return clm_args_config_from(args, NULL, out, err);
}

/* Those that hold no setting would otherwise pass in silence. */
static void warn_of_strays(void)
{
    char name[CLM_ENV_NAME], near[CLM_ENV_NAME];

    for (size_t next = 0; clm_config_env_stray(&next, name, near);)
        fprintf(stderr, "clm: warning: clm reads no variable %s; did you mean %s?\n", name, near);
}

clm_status clm_args_config_from(const clm_args *args, const char *path, clm_config **out,
                                clm_err *err)
{
    const clm_preset *preset = args->command->presets;
    clm_config *config = NULL;
    clm_status st = clm_config_create(&config, err);

    *out = NULL;
    if (clm_args_has(args, "config")) path = clm_args_get(args, "config");
    for (; st == CLM_OK && preset != NULL && preset->key != NULL; preset++)
        st = clm_config_set(config, preset->key, preset->value, command_text(args->command), err);
    if (st == CLM_OK && path != NULL) st = clm_config_load(config, path, err);
    if (st == CLM_OK) st = clm_config_load_env(config, err);
    if (st == CLM_OK) st = apply_flags(args, config, err);
    if (st == CLM_OK) warn_of_strays();
    if (st == CLM_OK) {
        *out = config;
        config = NULL;
    }
    clm_config_destroy(config);
    return st;
}

/* ---- Help ------------------------------------------------------------------------------------- */

/* The default that a command starts from. */
static const char *preset_of(const clm_command *command, const clm_key_info *key)
{
    for (const clm_preset *p = command->presets; p != NULL && p->key != NULL; p++)
        if (strcmp(p->key, key->name) == 0) return p->value;
    return key->preset;
}

static void print_flag(const clm_command *command, const clm_flag *flag, FILE *stream)
{
    bool is_short = flag->names[0] == '-' && flag->names[1] != '-';
    clm_key_info key = {.preset = "", .doc = ""};
    const char *help = flag->help, *preset;
    int width;

    if (flag->key != NULL) (void)clm_config_describe(flag->key, &key);
    preset = key.name != NULL ? preset_of(command, &key) : "";
    if (help == NULL) help = key.doc;
    width = fprintf(stream, "  %s%s%s%s", is_short ? "" : "    ", flag->names,
                    flag->value != NULL ? " " : "", flag->value != NULL ? flag->value : "");
    if (width >= HELP_COLUMN - 1) {
        fputc('\n', stream);
        width = 0;
    }
    fprintf(stream, "%*s%s", HELP_COLUMN - width, "", help);
    if (*preset != 0 && strcmp(preset, "[]") != 0) fprintf(stream, " [%s]", preset);
    fputc('\n', stream);
}

/* Whether one of the command's own flags has a name of `flag`. */
static bool is_hidden(const clm_command *command, const clm_flag *flag)
{
    const char *names = flag->names;
    char one[NAME_SIZE];

    while (next_name(&names, one))
        if (find_flag(command, one, true) != flag) return true;
    return false;
}

void clm_args_print_help(const clm_command *command, FILE *stream)
{
    size_t n;
    const clm_flag *shared = clm_flags_shared(&n);
    const unsigned groups = command->groups | CLM_FLAGS_COMMON;
    const char *last = "";

    fprintf(stream, "Usage: clm %s%s%s\n\n%s\n", command_text(command),
            command->synopsis != NULL ? " " : "",
            command->synopsis != NULL ? command->synopsis : "", command->summary);
    if (command->details != NULL) fprintf(stream, "\n%s\n", command->details);
    if (command->flags != NULL && command->flags->names != NULL) {
        fputs("\nOptions\n", stream);
        for (const clm_flag *f = command->flags; f->names != NULL; f++)
            print_flag(command, f, stream);
    }
    for (size_t i = 0; i < n; i++) {
        const char *heading = clm_flags_heading(shared[i].group);

        if ((shared[i].group & groups) == 0 || is_hidden(command, &shared[i])) continue;
        if (strcmp(heading, last) != 0) fprintf(stream, "\n%s\n", heading);
        last = heading;
        print_flag(command, &shared[i], stream);
    }
}

/* ---- Commands --------------------------------------------------------------------------------- */

/* How many words of argv the command's name is: 0 when it is another command. */
static int match_command(const clm_command *command, int argc, char **argv)
{
    const char *space = strchr(command->name, ' ');
    size_t n = space != NULL ? (size_t)(space - command->name) : strlen(command->name);

    if (strncmp(argv[1], command->name, n) != 0 || argv[1][n] != 0) return 0;
    if (space == NULL) return 1;
    return argc > 2 && strcmp(argv[2], space + 1) == 0 ? 2 : 0;
}

/* The names for a suggestion; with `first`, the second words of the commands that begin so. */
static size_t list_commands(const clm_command *const *commands, size_t n, const char *first,
                            const char **list, size_t room)
{
    size_t len = first != NULL ? strlen(first) : 0, found = 0;

    for (size_t i = 0; i < n && found < room; i++) {
        const char *name = commands[i]->name;
        if (first == NULL)
            list[found++] = name;
        else if (strncmp(name, first, len) == 0 && name[len] == ' ')
            list[found++] = name + len + 1;
    }
    return found;
}

clm_status clm_command_find(const clm_command *const *commands, size_t n, int argc, char **argv,
                            const clm_command **out, int *n_words, clm_err *err)
{
    const char *list[NAMES_MAX], *near;
    const char *word = argc > 1 ? argv[1] : NULL;
    char all[200] = "";
    size_t n_list;

    *out = NULL;
    *n_words = 0;
    if (word == NULL) return clm_fail(err, CLM_E_USAGE, "no command; `clm --help` lists them");
    for (size_t i = 0; i < n; i++) {
        int words = match_command(commands[i], argc, argv);
        if (words <= *n_words) continue;
        *out = commands[i];
        *n_words = words;
    }
    if (*out != NULL) return CLM_OK;

    n_list = list_commands(commands, n, word, list, NAMES_MAX);
    for (size_t i = 0; i < n_list; i++) {
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i > 0 ? ", " : "", list[i]);
    }
    if (word[0] == '-')
        return clm_fail(err, CLM_E_USAGE,
                        "a command comes first, as in clm chat %.60s ...; `clm --help` lists them",
                        word);
    if (n_list > 0) return clm_fail(err, CLM_E_USAGE, "clm %s is followed by one of %s", word, all);
    near = clm_word_nearest(word, list, list_commands(commands, n, NULL, list, NAMES_MAX));
    if (near != NULL)
        return clm_fail(err, CLM_E_USAGE, "unknown command '%.60s'; did you mean '%s'?", word,
                        near);
    return clm_fail(err, CLM_E_USAGE, "unknown command '%.60s'; `clm --help` lists them", word);
}

static void print_summaries(const clm_command *const *commands, size_t n, const char *first,
                            FILE *stream)
{
    const size_t len = strlen(first);

    for (size_t i = 0; i < n; i++)
        if (commands[i]->summary != NULL && /* others are for clm's own use */
            strncmp(commands[i]->name, first, len) == 0)
            fprintf(stream, "  %-14s %s\n", commands[i]->name, commands[i]->summary);
}

bool clm_command_print_group(const clm_command *const *commands, size_t n, const char *first,
                             FILE *stream)
{
    const char *list[NAMES_MAX];
    char begin[NAME_SIZE];

    for (size_t i = 0; i < n; i++)
        if (strcmp(commands[i]->name, first) == 0) return false; /* it has a help of its own */
    if (list_commands(commands, n, first, list, NAMES_MAX) == 0) return false;
    snprintf(begin, sizeof begin, "%s ", first);
    fprintf(stream, "Usage: clm %s COMMAND [options]\n\nCommands\n", first);
    print_summaries(commands, n, begin, stream);
    fputs("\n`clm COMMAND --help` explains one.\n", stream);
    return true;
}

void clm_command_print_list(const clm_command *const *commands, size_t n, FILE *stream)
{
    fputs("Usage: clm COMMAND [options]\n\nCommands\n", stream);
    print_summaries(commands, n, "", stream);
    fputs("\n`clm COMMAND --help` explains one.\n", stream);
}
