/* host/yaml.c: libyaml's events become the tree of host/yaml.h.
 *
 * Layer    host.
 *
 * The event interface is used because it lets every limit be checked before memory is spent: the
 * stack of open lists and mappings is a fixed array, so depth costs no recursion, and an alias
 * shares the text of its scalar, so expansion costs one node.
 */
#include "host/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "host/file.h"
#include "host/utf8.h"
#include "host/yaml_tree.h"

typedef struct clm_yaml_anchor {
    char *name;
    const clm_yaml_node *node;
} clm_yaml_anchor;

/* An open list or mapping; `key` waits for its value. */
typedef struct clm_yaml_frame {
    clm_yaml_node *node, *key;
} clm_yaml_frame;

typedef struct clm_yaml_builder {
    clm_yaml *doc;
    clm_yaml_frame frames[CLM_YAML_MAX_DEPTH];
    size_t depth;
    clm_yaml_anchor anchors[CLM_YAML_MAX_ANCHORS];
    size_t n_anchors, n_documents;
    bool done;
    clm_err *err;
} clm_yaml_builder;

/* ---- Bytes ------------------------------------------------------------------------------------ */

static clm_status fail_at(const clm_yaml *doc, clm_err *err, size_t line, size_t column,
                          const char *sentence)
{
    return clm_fail(err, CLM_E_CONFIG, "%s:%zu:%zu: %s", doc->name, line, column, sentence);
}

/* NULL when a YAML file may hold the character as it is. */
static const char *character_defect(uint32_t c)
{
    if (c == 0) return "a NUL byte";
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
        return "a control character";
    if (c >= 0x80 && c < 0xa0 && c != 0x85) return "a control character";
    if (c == 0xfffe || c == 0xffff) return "a character that Unicode reserves";
    return NULL;
}

/* libyaml would find most of this too, but tells no line for it. */
static clm_status check_bytes(const clm_yaml *doc, const unsigned char *s, size_t size,
                              clm_err *err)
{
    size_t line = 1, column = 1;

    if (size >= 2 && ((s[0] == 0xff && s[1] == 0xfe) || (s[0] == 0xfe && s[1] == 0xff)))
        return fail_at(doc, err, 1, 1, "the file is UTF-16; save it as UTF-8");
    for (size_t i = 0; i < size;) {
        uint32_t c = 0;
        int n = clm_utf8_next(s + i, size - i, &c);
        const char *defect = n <= 0 ? "a byte that is not UTF-8" : character_defect(c);

        if (defect != NULL)
            return clm_fail(err, CLM_E_CONFIG, "%s:%zu:%zu: the file contains %s", doc->name, line,
                            column, defect);
        if (c == '\n' || (c == '\r' && (i + 1 == size || s[i + 1] != '\n'))) {
            line++;
            column = 1;
        } else {
            column++;
        }
        i += n;
    }
    return CLM_OK;
}

/* ---- Tree ------------------------------------------------------------------------------------- */

static clm_yaml *doc_create(const char *name)
{
    clm_yaml *doc = calloc(1, sizeof *doc);
    size_t n = strlen(name);

    if (doc == NULL) return NULL;
    if (n < sizeof doc->name) {
        memcpy(doc->name, name, n + 1);
    } else {
        const char *tail = name + n - (sizeof doc->name - 4);
        while ((*tail & 0xc0) == 0x80) tail++; /* not from the middle of a character */
        snprintf(doc->name, sizeof doc->name, "...%s", tail);
    }
    return doc;
}

void clm_yaml_destroy(clm_yaml *doc)
{
    if (doc == NULL) return;
    while (doc->allocated != NULL) {
        clm_yaml_node *node = doc->allocated;
        doc->allocated = node->allocated;
        free(node);
    }
    free(doc);
}

/* `text` may be NULL (lists, mappings, aliases). */
static clm_yaml_node *node_create(clm_yaml *doc, clm_yaml_kind kind, const char *text, size_t size)
{
    clm_yaml_node *node = calloc(1, sizeof *node + (text != NULL ? size + 1 : 0));

    if (node == NULL) return NULL;
    node->kind = kind;
    node->doc = doc;
    if (text != NULL) {
        char *own = (char *)(node + 1);
        memcpy(own, text, size);
        node->text = own;
        node->size = size;
    }
    node->allocated = doc->allocated;
    doc->allocated = node;
    doc->n_nodes++;
    return node;
}

static clm_status node_add(clm_yaml_builder *b, const yaml_event_t *event, clm_yaml_kind kind,
                           const char *text, size_t size, clm_yaml_node **out)
{
    size_t line = event->start_mark.line + 1, column = event->start_mark.column + 1;

    *out = NULL;
    if (b->doc->n_nodes >= CLM_YAML_MAX_NODES)
        return fail_at(b->doc, b->err, line, column, "the file has too many entries");
    *out = node_create(b->doc, kind, text, size);
    if (*out == NULL) return clm_fail(b->err, CLM_E_NOMEM, "%s: no memory", b->doc->name);
    (*out)->line = line;
    (*out)->column = column;
    return CLM_OK;
}

static void node_append(clm_yaml_node *parent, clm_yaml_node *child)
{
    if (parent->last != NULL)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->size++;
}

/* ---- Events ----------------------------------------------------------------------------------- */

static clm_status check_key(clm_yaml_builder *b, const clm_yaml_node *key)
{
    if (key->kind != CLM_YAML_SCALAR)
        return clm_yaml_fail(key, b->err, "%s cannot be a key", clm_yaml_kind_text(key));
    if (key->size == 0) return clm_yaml_fail(key, b->err, "an empty key");
    if (clm_yaml_is_null(key)) return clm_yaml_fail(key, b->err, "null cannot be a key");
    if (key->style == CLM_YAML_PLAIN && strcmp(key->text, "<<") == 0)
        return clm_yaml_fail(key, b->err, "merge keys (<<) are not supported");
    return CLM_OK;
}

/* By text, then by place, so that the first of equal keys comes first. */
static int compare_keys(const void *a, const void *b)
{
    const clm_yaml_node *x = *(const clm_yaml_node *const *)a;
    const clm_yaml_node *y = *(const clm_yaml_node *const *)b;
    int order = strcmp(x->text, y->text);

    if (order != 0) return order;
    if (x->line != y->line) return x->line < y->line ? -1 : 1;
    return x->column < y->column ? -1 : x->column > y->column;
}

/* Sorting keeps a hostile mapping of very many keys from taking quadratic time. */
static clm_status check_repeated(clm_yaml_builder *b, const clm_yaml_node *map)
{
    const clm_yaml_node **keys, *first = NULL, *again = NULL;
    char part[CLM_YAML_EXCERPT];
    size_t n = 0;

    if (map->size < 2) return CLM_OK;
    keys = calloc(map->size, sizeof *keys);
    if (keys == NULL) return clm_fail(b->err, CLM_E_NOMEM, "%s: no memory", b->doc->name);
    for (const clm_yaml_node *v = map->first; v != NULL; v = v->next) keys[n++] = v->key;
    qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(keys[i - 1]->text, keys[i]->text) != 0) continue;
        if (again != NULL && again->line <= keys[i]->line) continue; /* the topmost is reported */
        first = keys[i - 1];
        again = keys[i];
    }
    free(keys);
    if (again == NULL) return CLM_OK;
    return clm_yaml_fail(again, b->err, "the key '%s' is already set in line %zu",
                         clm_yaml_excerpt(part, again->text), first->line);
}

/* Puts a node where the parser stands: root, item, key or value. */
static clm_status attach(clm_yaml_builder *b, clm_yaml_node *node)
{
    clm_yaml_frame *top = b->depth > 0 ? &b->frames[b->depth - 1] : NULL;
    clm_status st = CLM_OK;

    if (top == NULL) {
        b->doc->root = node;
    } else if (top->node->kind == CLM_YAML_LIST) {
        node_append(top->node, node);
    } else if (top->key == NULL) {
        st = check_key(b, node);
        if (st == CLM_OK) top->key = node;
    } else {
        node->key = top->key;
        top->key = NULL;
        node_append(top->node, node);
    }
    return st;
}

static clm_status anchor_add(clm_yaml_builder *b, const yaml_char_t *name,
                             const clm_yaml_node *node)
{
    char *copy;

    if (name == NULL) return CLM_OK;
    if (b->n_anchors == CLM_YAML_MAX_ANCHORS)
        return clm_yaml_fail(node, b->err, "more than %d anchors", CLM_YAML_MAX_ANCHORS);
    copy = strdup((const char *)name);
    if (copy == NULL) return clm_fail(b->err, CLM_E_NOMEM, "%s: no memory", b->doc->name);
    b->anchors[b->n_anchors].name = copy;
    b->anchors[b->n_anchors].node = node;
    b->n_anchors++;
    return CLM_OK;
}

static clm_status refuse_tag(clm_yaml_builder *b, const clm_yaml_node *node, const yaml_char_t *tag)
{
    char part[CLM_YAML_EXCERPT];

    if (tag == NULL) return CLM_OK;
    return clm_yaml_fail(node, b->err, "tags such as '%s' are not supported",
                         clm_yaml_excerpt(part, (const char *)tag));
}

static clm_status on_scalar(clm_yaml_builder *b, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t size = event->data.scalar.length;
    clm_yaml_node *node;
    clm_status st = node_add(b, event, CLM_YAML_SCALAR, text, size, &node);

    if (st != CLM_OK) return st;
    node->style =
        event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? CLM_YAML_PLAIN : CLM_YAML_QUOTED;
    st = refuse_tag(b, node, event->data.scalar.tag);
    if (st == CLM_OK && memchr(text, 0, size) != NULL)
        st = clm_yaml_fail(node, b->err, "the text contains a NUL character");
    if (st == CLM_OK) st = anchor_add(b, event->data.scalar.anchor, node);
    if (st == CLM_OK) st = attach(b, node);
    return st;
}

static clm_status on_alias(clm_yaml_builder *b, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    const clm_yaml_node *target = NULL;
    char part[CLM_YAML_EXCERPT];
    clm_yaml_node *node;
    clm_status st = node_add(b, event, CLM_YAML_SCALAR, NULL, 0, &node);

    if (st != CLM_OK) return st;
    node->text = "";
    for (size_t i = b->n_anchors; i-- > 0 && target == NULL;)
        if (strcmp(b->anchors[i].name, name) == 0) target = b->anchors[i].node;
    if (target == NULL)
        return clm_yaml_fail(node, b->err, "the alias '*%s' refers to no anchor",
                             clm_yaml_excerpt(part, name));
    if (target->kind != CLM_YAML_SCALAR)
        return clm_yaml_fail(node, b->err,
                             "the alias '*%s' refers to %s; only aliases of single "
                             "values are supported",
                             clm_yaml_excerpt(part, name), clm_yaml_kind_text(target));
    node->style = target->style;
    node->text = target->text;
    node->size = target->size;
    return attach(b, node);
}

static clm_status on_start(clm_yaml_builder *b, const yaml_event_t *event, clm_yaml_kind kind,
                           const yaml_char_t *anchor, const yaml_char_t *tag)
{
    clm_yaml_node *node;
    clm_status st = node_add(b, event, kind, NULL, 0, &node);

    if (st != CLM_OK) return st;
    st = refuse_tag(b, node, tag);
    if (st == CLM_OK) st = anchor_add(b, anchor, node);
    if (st == CLM_OK && b->depth == CLM_YAML_MAX_DEPTH)
        st = clm_yaml_fail(node, b->err, "nested more than %d levels deep", CLM_YAML_MAX_DEPTH);
    if (st == CLM_OK) st = attach(b, node);
    if (st == CLM_OK) b->frames[b->depth++] = (clm_yaml_frame){node, NULL};
    return st;
}

static clm_status on_event(clm_yaml_builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->n_documents++ > 0)
            return fail_at(b->doc, b->err, event->start_mark.line + 1, event->start_mark.column + 1,
                           "a second document begins here; a file holds one");
        return CLM_OK;
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event);
    case YAML_ALIAS_EVENT:
        return on_alias(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return on_start(b, event, CLM_YAML_LIST, event->data.sequence_start.anchor,
                        event->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return on_start(b, event, CLM_YAML_MAP, event->data.mapping_start.anchor,
                        event->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
        b->depth--;
        return CLM_OK;
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return check_repeated(b, b->frames[b->depth].node);
    case YAML_STREAM_END_EVENT:
        b->done = true;
        return CLM_OK;
    default:
        return CLM_OK;
    }
}

/* Whether line `line` (from 1) is indented with a tab: what libyaml says about it helps nobody. */
static bool line_has_tab(const char *text, size_t size, size_t line)
{
    size_t i = 0;

    for (; i < size && line > 1; i++)
        if (text[i] == '\n') line--;
    while (i < size && text[i] == ' ') i++;
    return i < size && text[i] == '\t';
}

static clm_status fail_syntax(const clm_yaml *doc, const yaml_parser_t *parser, const char *text,
                              size_t size, clm_err *err)
{
    size_t line = parser->problem_mark.line + 1, column = parser->problem_mark.column + 1;
    char context[160] = "", sentence[320];

    if (parser->error == YAML_MEMORY_ERROR)
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory", doc->name);
    if (parser->error == YAML_READER_ERROR) { /* check_bytes finds these first; no mark is set */
        line = parser->mark.line + 1;
        column = parser->mark.column + 1;
    }
    if (line_has_tab(text, size, line))
        return fail_at(doc, err, line, column, "indented with a tab; YAML wants spaces");
    if (parser->context != NULL && parser->context_mark.line + 1 != line)
        snprintf(context, sizeof context, "%s that begins in line %zu, ", parser->context,
                 parser->context_mark.line + 1);
    else if (parser->context != NULL)
        snprintf(context, sizeof context, "%s, ", parser->context);
    snprintf(sentence, sizeof sentence, "not valid YAML: %s%s", context,
             parser->problem != NULL ? parser->problem : "unknown problem");
    return fail_at(doc, err, line, column, sentence);
}

static clm_status build(clm_yaml_builder *b, const char *text, size_t size)
{
    clm_status st = CLM_OK;
    yaml_parser_t parser;

    if (!yaml_parser_initialize(&parser))
        return clm_fail(b->err, CLM_E_NOMEM, "%s: no memory", b->doc->name);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    while (st == CLM_OK && !b->done) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            st = fail_syntax(b->doc, &parser, text, size, b->err);
            break;
        }
        st = on_event(b, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return st;
}

clm_status clm_yaml_parse(const char *name, const char *text, size_t size, clm_yaml **out,
                          clm_err *err)
{
    clm_yaml_builder b = {.err = err};
    clm_status st;

    *out = NULL;
    b.doc = doc_create(name);
    if (b.doc == NULL) return clm_fail(err, CLM_E_NOMEM, "YAML: no memory");
    /* The mark is for editors; libyaml skips it only while it detects the encoding itself. */
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        size -= 3;
    }
    st = check_bytes(b.doc, (const unsigned char *)text, size, err);
    if (st == CLM_OK) st = build(&b, text, size);
    for (size_t i = 0; i < b.n_anchors; i++) free(b.anchors[i].name);
    if (st == CLM_OK) {
        *out = b.doc;
        b.doc = NULL;
    }
    clm_yaml_destroy(b.doc);
    return st;
}

clm_status clm_yaml_load(const char *path, size_t limit, clm_yaml **out, clm_err *err)
{
    char *text = NULL;
    size_t size = 0;
    clm_status st;

    *out = NULL;
    st = clm_file_read(path, limit, &text, &size, err);
    if (st == CLM_OK) st = clm_yaml_parse(path, text, size, out, err);
    free(text);
    return st;
}

clm_status clm_yaml_wrap(const char *name, const char *text, clm_yaml **out, clm_err *err)
{
    clm_yaml *doc = doc_create(name);
    size_t size = strlen(text);
    clm_status st = CLM_OK;

    *out = NULL;
    if (doc != NULL) doc->root = node_create(doc, CLM_YAML_SCALAR, text, size);
    if (doc == NULL || doc->root == NULL) {
        clm_yaml_destroy(doc);
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory", name);
    }
    doc->root->style = CLM_YAML_WRAPPED;
    for (size_t i = 0; i < size && st == CLM_OK;) {
        uint32_t code;
        int n = clm_utf8_next((const unsigned char *)text + i, size - i, &code);
        if (n <= 0)
            st = clm_yaml_fail(doc->root, err, "the text is not UTF-8");
        else
            i += (size_t)n;
    }
    if (st == CLM_OK) {
        *out = doc;
        doc = NULL;
    }
    clm_yaml_destroy(doc);
    return st;
}
