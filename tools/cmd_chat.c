/* tools/cmd_chat.c: `clm chat`: a conversation on a terminal, or one answer in a pipe.
 *
 * Layer    tools.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/chat_line.h"
#include "tools/cli.h"
#include "tools/commands.h"

/* What the conversation works with. */
typedef struct chat {
    clm_config *config;
    clm_engine *engine;
    clm_session *session;
    char *last; /* last question, for /regen */
    clm_reply reply;
    bool asked; /* there is a reply */
} chat;

/* ---- answers --------------------------------------------------------------------------------- */

static clm_status answer(chat *c, const char *text, size_t size, clm_err *err)
{
    clm_sampling sampling = clm_engine_sampling(c->engine, clm_config_settings(c->config));
    clm_status st;

    clm_cli_catch_interrupt(c->session);
    st = clm_session_ask(c->session, text, size, &sampling, clm_cli_print_text, NULL, &c->reply,
                         err);
    clm_cli_catch_interrupt(NULL);
    clm_cli_end_progress();
    if (st != CLM_OK) return st;
    putchar('\n');
    fflush(stdout);
    clm_cli_print_reply(&c->reply);
    c->asked = true;
    return CLM_OK;
}

static clm_status answer_once(chat *c, const char *text, size_t size, clm_err *err)
{
    const clm_status st = answer(c, text, size, err);

    return st == CLM_OK ? clm_cli_reply_status(&c->reply, err) : st;
}

/* ---- commands within the conversation -------------------------------------------------------- */

static const char help[] =
    "  /regen             answer the last question again\n"
    "  /clear             forget the conversation\n"
    "  /set KEY VALUE     change a setting: temperature, top_k, top_p, min_p, repetition_penalty,\n"
    "                     max_new_tokens, stop\n"
    "  /stats             context, speed and settings\n"
    "  /help              this list\n"
    "  /exit              leave (also Ctrl+D)\n"
    "  Ctrl+C             stop the answer; the conversation stays\n"
    "  A line that ends in \\ goes on in the next; between lines of \"\"\" newlines are kept.\n";

static void print_stats(const chat *c)
{
    const clm_sampling s = clm_engine_sampling(c->engine, clm_config_settings(c->config));
    clm_engine_report about;
    size_t rounds, tokens;
    char weights[32], cache[32];

    clm_engine_describe(c->engine, &about);
    clm_session_usage(c->session, &rounds, &tokens);
    clm_cli_format_bytes((double)about.weight_bytes, weights);
    clm_cli_format_bytes((double)about.kv_bytes, cache);
    fprintf(stderr, "  device       %s, %s of weights, %s of key-value cache\n", about.device,
            weights, cache);
    fprintf(stderr, "  context      %zu of %zu tokens in %zu rounds\n", tokens, about.ctx_size,
            rounds);
    fprintf(stderr,
            "  sampling     temperature %g, top_k %u, top_p %g, min_p %g, repetition_penalty %g, "
            "seed %llu\n",
            s.temperature, s.top_k, s.top_p, s.min_p, s.repetition_penalty,
            (unsigned long long)clm_session_seed(c->session));
    if (c->asked) clm_cli_print_reply(&c->reply);
}

static void set_key(chat *c, char *arguments)
{
    static const char *const keys[] = {"temperature",        "top_k",          "top_p", "min_p",
                                       "repetition_penalty", "max_new_tokens", "stop"};
    char *key = strtok(arguments, " \t"), *value = key != NULL ? strtok(NULL, "") : NULL;
    clm_err err = {""};

    for (size_t i = 0; key != NULL && value != NULL && i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(key, keys[i]) != 0) continue;
        if (clm_config_set(c->config, key, value, "/set", &err) != CLM_OK)
            fprintf(stderr, "clm: %s\n", err.text);
        return;
    }
    if (key == NULL || value == NULL)
        fprintf(stderr, "clm: usage: /set KEY VALUE, for example /set temperature 0.5\n");
    else
        fprintf(stderr, "clm: '%s' cannot be set during a conversation\n", key);
}

/* Whether `line` is the command `name`, with or without the slash where Baichuan's own demo has none. */
static bool is_command(const char *line, const char *name, bool bare)
{
    if (line[0] == '/') return strcmp(line + 1, name) == 0;
    return bare && strcmp(line, name) == 0;
}

typedef enum verdict { GO_ON, LEAVE, QUESTION } verdict;

/* Handles a line that is a command; QUESTION when it is none. */
static verdict run_command(chat *c, char *line, clm_err *err)
{
    if (is_command(line, "exit", true) || is_command(line, "quit", true)) return LEAVE;
    if (is_command(line, "clear", true)) {
        clm_session_clear(c->session);
        fprintf(stderr, "clm: the conversation is forgotten\n");
    } else if (is_command(line, "help", false)) {
        fputs(help, stderr);
    } else if (is_command(line, "stats", false)) {
        print_stats(c);
    } else if (is_command(line, "regen", false)) {
        if (c->last == NULL) {
            fprintf(stderr, "clm: there is no question yet\n");
        } else {
            if (c->reply.kept) clm_session_undo(c->session);
            if (answer(c, c->last, strlen(c->last), err) != CLM_OK)
                clm_cli_fail(CLM_E_INTERNAL, err);
        }
    } else if (strncmp(line, "/set", 4) == 0 && (line[4] == ' ' || line[4] == '\0')) {
        set_key(c, line + 4);
    } else if (line[0] == '/') {
        fprintf(stderr, "clm: '%.40s' is no command; /help lists them\n", line);
    } else {
        return QUESTION;
    }
    return GO_ON;
}

static void print_banner(const chat *c)
{
    clm_engine_report about;

    clm_engine_describe(c->engine, &about);
    fprintf(stderr, "%s on %s, template %s, context %zu tokens\n",
            about.model_name[0] ? about.model_name : about.arch, about.device, about.chat_template,
            about.ctx_size);
    if (clm_config_settings(c->config)->temperature > 0.0)
        fprintf(stderr, "seed %llu\n", (unsigned long long)clm_session_seed(c->session));
    fprintf(stderr,
            "Ask something; /help lists the commands, Ctrl+C stops an answer, Ctrl+D leaves.\n");
}

static clm_status converse(chat *c, clm_err *err)
{
    char *line;
    verdict v;

    print_banner(c);
    clm_cli_catch_interrupt(NULL);
    clm_chat_line_begin();
    while ((line = clm_chat_line_read()) != NULL) {
        v = line[0] == '\0' ? GO_ON : run_command(c, line, err);
        if (v == QUESTION) {
            free(c->last);
            c->last = line;
            if (answer(c, line, strlen(line), err) != CLM_OK) clm_cli_fail(CLM_E_INTERNAL, err);
            continue; /* the line is kept */
        }
        free(line);
        if (v == LEAVE) break;
    }
    clm_chat_line_end();
    return CLM_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

static clm_status run(const clm_args *args, clm_err *err)
{
    chat c = {0};
    char *text = NULL;
    size_t size = 0;
    bool once = clm_args_has(args, "prompt") || clm_args_has(args, "file") || !isatty(STDIN_FILENO);
    const clm_settings *s;
    clm_engine_report about;
    clm_status st = clm_cli_config_or_demo(args, &c.config, err);

    /* What is asked comes first: a file that is not there is no reason to load a model. */
    if (st == CLM_OK && once) st = clm_cli_prompt(args, &text, &size, err);
    if (st != CLM_OK) goto out;
    s = clm_config_settings(c.config);
    st = clm_cli_engine(s, &c.engine, err);
    if (st == CLM_OK) st = clm_session_create(c.engine, s->system, s->seed, &c.session, err);
    clm_cli_end_progress();
    if (st != CLM_OK) goto out;
    clm_engine_describe(c.engine, &about);
    clm_cli_warn_without_template(&about, s);
    if (once && s->temperature > 0.0)
        fprintf(stderr, "clm: seed %llu\n", (unsigned long long)clm_session_seed(c.session));
    st = once ? answer_once(&c, text, size, err) : converse(&c, err);
out:
    free(text);
    free(c.last);
    clm_session_destroy(c.session);
    clm_engine_destroy(c.engine);
    clm_config_destroy(c.config);
    return st;
}

const clm_command clm_cmd_chat = {
    .name = "chat",
    .synopsis = "[--config FILE.yaml] [-m MODEL] [-p TEXT]",
    .summary = "have a conversation; with -p, or standard input not a terminal, give one answer",
    .groups = CLM_FLAGS_CONFIG | CLM_FLAGS_MODEL | CLM_FLAGS_WEIGHTS | CLM_FLAGS_DEVICE |
              CLM_FLAGS_CONTEXT | CLM_FLAGS_PROMPT | CLM_FLAGS_CHAT | CLM_FLAGS_SAMPLING |
              CLM_FLAGS_TUNING,
    .run = run,
};
