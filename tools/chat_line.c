/* tools/chat_line.c: see tools/chat_line.h. Line editing is libedit's. */
#include "tools/chat_line.h"

#include <histedit.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

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
        {"\\e[201~", "ed-ignore"},
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

/* ---- pasting: a terminal puts what is pasted between marks, if it is asked to ------------------ */

enum { PASTE_PART = 256 };

static void ask_for_brackets(bool on)
{
    if (isatty(STDERR_FILENO)) fputs(on ? "\033[?2004h" : "\033[?2004l", stderr);
}

/* Whether the text ends in the mark of the end. */
static bool at_end_mark(const wchar_t *text, size_t n)
{
    static const wchar_t mark[] = L"\033[201~";
    const size_t size = sizeof mark / sizeof *mark - 1;

    return n >= size && wmemcmp(text + n - size, mark, size) == 0;
}

/* Puts the pasted text into the line as it is, newlines too, which would otherwise be as many questions. Other
 * control characters are left out, and newlines at its end. */
static unsigned char paste(EditLine *e, int key)
{
    enum { MARK = 6 };
    wchar_t *text = NULL, c;
    size_t n = 0, room = 0, kept = 0;

    (void)key;
    while (el_wgetc(e, &c) == 1 && c != L'\0') {
        if (n + 2 > room) {
            wchar_t *grown = realloc(text, (room = 2 * room + PASTE_PART) * sizeof *text);

            if (grown == NULL) break;
            text = grown;
        }
        text[n++] = c == L'\r' ? L'\n' : c;
        if (at_end_mark(text, n)) {
            n -= MARK;
            break;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (text[i] == L'\n' || text[i] == L'\t' || (text[i] >= L' ' && text[i] != L'\177'))
            text[kept++] = text[i];
    while (kept > 0 && text[kept - 1] == L'\n') kept--;
    if (kept > 0) {
        text[kept] = L'\0';
        el_winsertstr(e, text);
    }
    free(text);
    return CC_REFRESH;
}

/* ---- begin and end ---------------------------------------------------------------------------- */

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
    el_set(editor, EL_ADDFN, "clm-paste", "Insert what is pasted", paste);
    el_set(editor, EL_BIND, "\\e[200~", "clm-paste", NULL);
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
    ask_for_brackets(true);
    text = el_gets(editor, &n);
    ask_for_brackets(false);
    if (clm_cli_interrupts() > 0) {
        el_reset(editor);
        fputs("\n", stderr);
        return INTERRUPTED;
    }
    if (text == NULL || n <= 0) {
        fputs("\n", stderr);
        return END;
    }
    if (text[n - 1] == '\n') n--;
    *out = strndup(text, (size_t)n);
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
