/* tuning/tune_line.c: see tuning/tune_line.h. */
#include "tuning/tune_line.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/yaml.h"
#include "tuning/key.h"

/* What stands in the place of a reason. */
static const char k_begin[] = "begin", k_stopped[] = "stopped";

static bool get_text(const clm_yaml_node *map, const char *name, char *out, size_t room)
{
    const clm_yaml_node *node = clm_yaml_find(map, name);
    const char *text = node != NULL ? clm_yaml_text(node, NULL) : NULL;

    if (text == NULL || strlen(text) >= room) return false;
    snprintf(out, room, "%s", text);
    return true;
}

/* 0: it is not there, or out of range. */
static double get_number(const clm_yaml_node *map, const char *name, double max)
{
    const clm_yaml_node *node = clm_yaml_find(map, name);
    double value = 0.0;

    if (node == NULL ||
        clm_yaml_get_f64(node, (clm_yaml_range){0.0, max, false}, &value, NULL) != CLM_OK)
        return 0.0;
    return value;
}

/* Whether the result can go into a database. */
static bool is_sound(const clm_tune_try *t)
{
    const bool timed = t->reason == CLM_TUNE_OK || t->reason == CLM_TUNE_SLOW;

    return !timed || (t->ms > 0.0 && t->error <= 1.0);
}

/* False: not a line of ours. */
static bool read_map(const clm_yaml_node *map, clm_tune_try *t, clm__line_kind *kind)
{
    const clm_yaml_node *params = clm_yaml_find(map, "params");
    char word[16];

    memset(t, 0, sizeof *t);
    if (!get_text(map, "op", t->key.op, sizeof t->key.op) ||
        !get_text(map, "shape", t->key.shape, sizeof t->key.shape) ||
        !get_text(map, "source", t->key.source, sizeof t->key.source) ||
        !get_text(map, "result", word, sizeof word) || params == NULL ||
        !clm_tune_is_word(t->key.op, CLM_TUNE_NAME_LETTERS) ||
        clm_yaml_kind_of(params) != CLM_YAML_MAP || clm_yaml_count(params) > CLM_TUNE_MAX_PARAMS)
        return false;
    for (const clm_yaml_node *v = clm_yaml_first(params); v != NULL; v = clm_yaml_next(v)) {
        clm_tune_param *p = &t->params[t->n_params++];
        const char *name = clm_yaml_text(clm_yaml_key(v), NULL);

        if (clm_yaml_get_int(v, -CLM_TUNE_MAX_VALUE, CLM_TUNE_MAX_VALUE, &p->value, NULL) !=
                CLM_OK ||
            strlen(name) >= sizeof p->name || !clm_tune_is_word(name, CLM_TUNE_NAME_LETTERS))
            return false;
        snprintf(p->name, sizeof p->name, "%s", name);
    }
    t->ms = get_number(map, "ms", CLM_TUNE_MAX_MS);
    t->median_ms = get_number(map, "median_ms", CLM_TUNE_MAX_MS);
    t->error = get_number(map, "error", 1e18);
    t->build_s = get_number(map, "build_s", 1e9);
    t->when = (int64_t)get_number(map, "when", 1e18);
    (void)get_text(map, "text", t->text, sizeof t->text);
    *kind = strcmp(word, k_begin) == 0     ? CLM__LINE_BEGIN
            : strcmp(word, k_stopped) == 0 ? CLM__LINE_STOPPED
                                           : CLM__LINE_RESULT;
    for (int i = 0; i < CLM_TUNE_REASONS; i++)
        if (strcmp(word, clm_tune_reason_text((clm_tune_reason)i)) == 0) {
            t->reason = (clm_tune_reason)i;
            return is_sound(t);
        }
    return *kind != CLM__LINE_RESULT;
}

bool clm__tune_line_read(const char *line, size_t size, clm_tune_try *t, clm__line_kind *kind)
{
    clm_yaml *doc = NULL;
    const clm_yaml_node *root;
    bool good = false;

    if (clm_yaml_parse("log", line, size, &doc, NULL) != CLM_OK) return false;
    root = clm_yaml_root(doc);
    if (root != NULL && clm_yaml_kind_of(root) == CLM_YAML_LIST && clm_yaml_count(root) == 1)
        good = read_map(clm_yaml_first(root), t, kind);
    clm_yaml_destroy(doc);
    return good;
}

char *clm__tune_line_format(const clm_tune_try *t, clm__line_kind kind, size_t *size)
{
    const char *word = kind == CLM__LINE_BEGIN     ? k_begin
                       : kind == CLM__LINE_STOPPED ? k_stopped
                                                   : clm_tune_reason_text(t->reason);
    char *line = NULL, *shape = NULL, *text = NULL;
    FILE *f = open_memstream(&line, size);

    if (f == NULL) return NULL;
    (void)clm_yaml_quote(t->key.shape, &shape, NULL);
    (void)clm_yaml_quote(t->text, &text, NULL);
    fprintf(f, "- {op: %s, shape: %s, source: \"%s\", params: {", t->key.op,
            shape != NULL ? shape : "\"\"", t->key.source);
    for (size_t i = 0; i < t->n_params; i++)
        fprintf(f, "%s%s: %d", i > 0 ? ", " : "", t->params[i].name, t->params[i].value);
    fprintf(f, "}, result: %s, when: %lld", word, (long long)t->when);
    if (kind == CLM__LINE_RESULT) {
        const struct {
            const char *name;
            double value;
        } numbers[] = {{"ms", t->ms},
                       {"median_ms", t->median_ms},
                       {"error", isfinite(t->error) ? t->error : 0.0},
                       {"build_s", t->build_s}};

        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
            char number[32];

            if (numbers[i].value == 0.0) continue;
            clm_yaml_format_f64(number, numbers[i].value);
            fprintf(f, ", %s: %s", numbers[i].name, number);
        }
    }
    if (t->text[0] != '\0' && text != NULL) fprintf(f, ", text: %s", text);
    fputs("}\n", f);
    free(shape);
    free(text);
    if (fclose(f) == 0) return line;
    free(line);
    return NULL;
}
