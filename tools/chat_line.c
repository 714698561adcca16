/* tools/chat_line.c: see tools/chat_line.h. Line editing is libedit's. */
#include "tools/chat_line.h"

#include <histedit.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"

static EditLine *editor;
static History *history_list;
static const char *prompt_text = "> ";

static char *prompt(EditLine *e)
{
    (void)e;
    return (char *)prompt_text;
}

/* What terminals send for keys that libedit does not know. Unbound, they would leave ";5D" or "~" in the question. */
static void bind_keys(void)
{
    static const char *const keys[][2] = {
        {"\\e[1;5C", "em-next-word"},
        {"\\e[1;5D", "ed-prev-word"},
        {"\\e[1;3C", "em-next-word"},
        {"\\e[1;3D", "ed-prev-word"},
        {"\\e[1~", "ed-move-to-beg"},
        {"\\e[7~", "ed-move-to-beg"},
        {"\\e[4~", "ed-move-to-end"},
        {"\\e[8~", "ed-move-to-end"},
        {"\\e[3~", "ed-delete-next-char"},
        {"\\e[3;5~", "em-delete-next-word"},
        {"\\e[2~", "ed-ignore"},
        {"\\e[5~", "ed-ignore"},
        {"\\e[6~", "ed-ignore"},
        {"\\e[1;5A", "ed-prev-history"},
        {"\\e[1;5B", "ed-next-history"},
        {"\\e[15~", "ed-ignore"},
        {"\\e[17~", "ed-ignore"},
        {"\\e[18~", "ed-ignore"},
        {"\\e[19~", "ed-ignore"},
        {"\\e[20~", "ed-ignore"},
        {"\\e[21~", "ed-ignore"},
        {"\\e[23~", "ed-ignore"},
        {"\\e[24~", "ed-ignore"},
        {"\\eOP", "ed-ignore"},
        {"\\eOQ", "ed-ignore"},
        {"\\eOR", "ed-ignore"},
        {"\\eOS", "ed-ignore"},
    };

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        el_set(editor, EL_BIND, keys[i][0], keys[i][1], NULL);
}

void clm_chat_line_begin(void)
{
    HistEvent event;

    editor = el_init("clm", stdin, stderr, stderr);
    history_list = history_init();
    if (editor == NULL || history_list == NULL) return;
    history(history_list, &event, H_SETSIZE, 500);
    history(history_list, &event, H_SETUNIQUE, 1);
    el_set(editor, EL_PROMPT, prompt);
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_HIST, history, history_list);
    el_set(editor, EL_BIND, "^R", "em-inc-search-prev", NULL);
    bind_keys();
    el_source(editor, NULL); /* ~/.editrc */
}

void clm_chat_line_end(void)
{
    if (editor != NULL) el_end(editor);
    if (history_list != NULL) history_end(history_list);
    editor = NULL;
    history_list = NULL;
}

typedef enum line_end { LINE, END, INTERRUPTED } line_end;

/* One line without its newline; malloc'd. */
static line_end read_line(char **out)
{
    const char *text;
    int n = 0;

    *out = NULL;
    if (editor == NULL) return END;
    clm_cli_interrupts();
    text = el_gets(editor, &n);
    if (clm_cli_interrupts() > 0) {
        el_reset(editor);
        fputs("\n", stderr);
        return INTERRUPTED;
    }
    if (text == NULL || n <= 0) {
        fputs("\n", stderr);
        return END;
    }
    *out = strndup(text, strcspn(text, "\r\n"));
    return *out != NULL ? LINE : END;
}

/* Appends `line` and `separator` to `*all`; frees the line. */
static bool join(char **all, char *line, const char *separator)
{
    char *joined = NULL;
    bool ok = asprintf(&joined, "%s%s%s", *all != NULL ? *all : "", line, separator) >= 0;

    free(line);
    free(*all);
    *all = ok ? joined : NULL;
    return ok;
}

static void remember(const char *text)
{
    HistEvent event;
    if (history_list != NULL && text[0] != '\0') history(history_list, &event, H_ENTER, text);
}

char *clm_chat_line_read(void)
{
    char *all = NULL, *line;
    bool block = false, ok = true;
    int interrupts = 0;

    while (ok) {
        prompt_text = all != NULL || block ? ". " : "> ";
        line_end end = read_line(&line);
        size_t n;

        if (end == END) break;
        if (end == INTERRUPTED) {
            bool typed = all != NULL || block;
            free(all);
            all = NULL;
            block = false;
            if (!typed && ++interrupts == 2) return NULL;
            if (!typed) fputs("clm: press Ctrl+C again, or Ctrl+D, to leave\n", stderr);
            continue;
        }
        n = strlen(line);
        if (strcmp(line, "\"\"\"") == 0) {
            free(line);
            if (block) return all != NULL ? all : strdup("");
            block = true;
        } else if (block) {
            ok = join(&all, line, "\n");
        } else if (n > 0 && line[n - 1] == '\\') {
            line[n - 1] = '\0';
            ok = join(&all, line, "\n");
        } else {
            remember(line);
            ok = join(&all, line, "");
            if (ok) return all;
        }
    }
    free(all);
    return NULL;
}
