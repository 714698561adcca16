/* tools/cmd_tokenize.c: `clm tokenize`: lines of text to lists of ids, and back.
 *
 * Layer    tools.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tools/cli.h"
#include "tools/commands.h"

/* How lines are read and written. */
typedef struct mode {
    bool decode, json, special;
} mode;

static clm_status print_ids(const clm_tokenizer *tok, mode m, const char *text, size_t size,
                            clm_err *err)
{
    int *ids = NULL;
    size_t n = 0;
    clm_status st = (m.special ? clm_tokenizer_encode_special
                               : clm_tokenizer_encode)(tok, text, size, &ids, &n, err);

    if (st != CLM_OK) return st;
    putchar('[');
    for (size_t i = 0; i < n; i++) printf("%s%d", i > 0 ? ", " : "", ids[i]);
    puts("]");
    free(ids);
    return CLM_OK;
}

static clm_status print_text(const clm_tokenizer *tok, const int *ids, size_t n, bool json,
                             clm_err *err)
{
    char *text = NULL;
    size_t size = 0;
    clm_status st = clm_tokenizer_decode(tok, ids, n, &text, &size, err);

    if (st != CLM_OK) return st;
    if (json)
        clm_cli_print_json(stdout, text, size);
    else
        fwrite(text, 1, size, stdout);
    putchar('\n');
    free(text);
    return CLM_OK;
}

static clm_status encode_json(const clm_tokenizer *tok, mode m, const char *line, size_t size,
                              clm_err *err)
{
    json_error_t where;
    json_t *value = json_loadb(line, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
    clm_status st;

    if (!json_is_string(value)) {
        st = clm_fail(err, CLM_E_USAGE, "--json: not a JSON string%s%s", value == NULL ? ": " : "",
                      value == NULL ? where.text : "");
    } else {
        st = print_ids(tok, m, json_string_value(value), json_string_length(value), err);
    }
    json_decref(value);
    return st;
}

static clm_status decode_json(const clm_tokenizer *tok, const char *line, size_t size, bool json,
                              clm_err *err)
{
    json_error_t where;
    json_t *value = json_loadb(line, size, 0, &where), *item;
    size_t n = json_array_size(value), i;
    int *ids = malloc((n + 1) * sizeof *ids);
    clm_status st = CLM_OK;

    if (ids == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "tokenize: no memory");
    } else if (!json_is_array(value)) {
        st = clm_fail(err, CLM_E_USAGE, "--decode: not a JSON list of ids%s%s",
                      value == NULL ? ": " : "", value == NULL ? where.text : "");
    } else {
        json_array_foreach(value, i, item)
        {
            json_int_t id = json_integer_value(item);
            if (!json_is_integer(item) || id < 0 || id > 0x7FFFFFFF) {
                st = clm_fail(err, CLM_E_USAGE, "--decode: item %zu is no token id", i + 1);
                break;
            }
            ids[i] = (int)id;
        }
        if (st == CLM_OK) st = print_text(tok, ids, n, json, err);
    }
    free(ids);
    json_decref(value);
    return st;
}

static clm_status convert_line(const clm_tokenizer *tok, mode m, const char *line, size_t size,
                               clm_err *err)
{
    if (m.decode) return decode_json(tok, line, size, m.json, err);
    if (m.json) return encode_json(tok, m, line, size, err);
    return print_ids(tok, m, line, size, err);
}

static clm_status convert_all(const clm_tokenizer *tok, mode m, const char *text, size_t size,
                              clm_err *err)
{
    size_t number = 1;
    clm_status st = CLM_OK;

    for (const char *end = text + size; text < end && st == CLM_OK; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t length = newline != NULL ? (size_t)(newline - text) : (size_t)(end - text);
        st = convert_line(tok, m, text, length, err);
        if (st != CLM_OK) clm_fail_context(err, st, "line %zu", number);
        text += length + 1;
    }
    return st;
}

static clm_status run(const clm_args *args, clm_err *err)
{
    mode m = {.decode = clm_args_has(args, "decode"),
              .json = clm_args_has(args, "json"),
              .special = clm_args_has(args, "special")};
    clm_config *config = NULL;
    clm_tokenizer *tok = NULL;
    char *text = NULL;
    size_t size = 0;
    clm_status st = clm_args_config(args, &config, err);

    if (st != CLM_OK) goto out;
    if (clm_config_settings(config)->model[0] == '\0') {
        st = clm_fail(err, CLM_E_USAGE, "tokenize: no model: give one with -m");
        goto out;
    }
    st = clm_tokenizer_load(clm_config_settings(config)->model, &tok, err);
    if (st != CLM_OK) goto out;
    if (clm_args_has(args, "prompt")) {
        const char *prompt = clm_args_get(args, "prompt");
        st = convert_line(tok, m, prompt, strlen(prompt), err);
    } else if (clm_args_has(args, "file")) {
        st = clm_cli_read_file(clm_args_get(args, "file"), &text, &size, err);
        if (st == CLM_OK) st = convert_all(tok, m, text, size, err);
    } else {
        st = clm_cli_read(stdin, "standard input", &text, &size, err);
        if (st == CLM_OK) st = convert_all(tok, m, text, size, err);
    }
out:
    free(text);
    clm_tokenizer_destroy(tok);
    clm_config_destroy(config);
    return st;
}

static const clm_flag flags[] = {
    {.names = "--special",
     .id = "special",
     .help = "control pieces spelled out in the text become their ids"},
    {.names = "--decode", .id = "decode", .help = "lists of ids in, text out"},
    {.names = NULL},
};

const clm_command clm_cmd_tokenize = {
    .name = "tokenize",
    .synopsis = "-m MODEL [--json] [--decode] [-p TEXT | -f FILE]",
    .summary = "turn lines of text on standard input into lists of token ids, or back",
    .details = "MODEL is a GGUF file, a tokenizer.model, or a folder with one. Each input line "
               "gives one output line.\n"
               "With --json lines of text are JSON strings, so that they can hold any character.",
    .groups = CLM_FLAGS_CONFIG | CLM_FLAGS_MODEL | CLM_FLAGS_PROMPT | CLM_FLAGS_JSON,
    .flags = flags,
    .run = run,
};
