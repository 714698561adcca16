/* host/yaml_value.c: reading the tree of host/yaml.h, and writing scalars.
 *
 * Layer    host.
 *
 * Numbers follow their own small grammar: strtod and strtoull alone would take "0x10", "1e", " 1",
 * "nan" and, in some locales, "0,5".
 */
#include "host/yaml.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "host/utf8.h"
#include "host/yaml_tree.h"

/* ---- Access ----------------------------------------------------------------------------------- */

const clm_yaml_node *clm_yaml_root(const clm_yaml *doc)
{
    return doc->root;
}
clm_yaml_kind clm_yaml_kind_of(const clm_yaml_node *node)
{
    return node->kind;
}
size_t clm_yaml_line(const clm_yaml_node *node)
{
    return node->line;
}
size_t clm_yaml_column(const clm_yaml_node *node)
{
    return node->column;
}
const clm_yaml_node *clm_yaml_first(const clm_yaml_node *node)
{
    return node->first;
}
const clm_yaml_node *clm_yaml_next(const clm_yaml_node *node)
{
    return node->next;
}
const clm_yaml_node *clm_yaml_key(const clm_yaml_node *value)
{
    return value->key;
}

const char *clm_yaml_kind_text(const clm_yaml_node *node)
{
    if (node->kind == CLM_YAML_LIST) return "a list";
    if (node->kind == CLM_YAML_MAP) return "a mapping";
    return clm_yaml_is_null(node) ? "nothing" : "a single value";
}

const char *clm_yaml_text(const clm_yaml_node *node, size_t *size)
{
    if (size != NULL) *size = node->kind == CLM_YAML_SCALAR ? node->size : 0;
    return node->kind == CLM_YAML_SCALAR ? node->text : NULL;
}

bool clm_yaml_is_null(const clm_yaml_node *node)
{
    const char *t = node->text;

    if (node->kind != CLM_YAML_SCALAR || node->style != CLM_YAML_PLAIN) return false;
    return *t == 0 || strcmp(t, "~") == 0 || strcmp(t, "null") == 0 || strcmp(t, "Null") == 0 ||
           strcmp(t, "NULL") == 0;
}

size_t clm_yaml_count(const clm_yaml_node *node)
{
    return node->kind == CLM_YAML_SCALAR ? 0 : node->size;
}

bool clm_yaml_key_is(const clm_yaml_node *value, const char *key)
{
    return strcmp(value->key->text, key) == 0;
}

const clm_yaml_node *clm_yaml_find(const clm_yaml_node *map, const char *key)
{
    if (map == NULL || map->kind != CLM_YAML_MAP) return NULL;
    for (const clm_yaml_node *v = map->first; v != NULL; v = v->next)
        if (clm_yaml_key_is(v, key)) return v;
    return NULL;
}

/* ---- Messages --------------------------------------------------------------------------------- */

const char *clm_yaml_excerpt(char out[CLM_YAML_EXCERPT], const char *text)
{
    size_t n = strlen(text), room = CLM_YAML_EXCERPT - 4;

    if (n < CLM_YAML_EXCERPT) {
        memcpy(out, text, n + 1);
        return out;
    }
    while (room > 0 && (text[room] & 0xc0) == 0x80) room--; /* a character is not cut in two */
    memcpy(out, text, room);
    memcpy(out + room, "...", 4);
    return out;
}

clm_status clm_yaml_fail(const clm_yaml_node *node, clm_err *err, const char *format, ...)
{
    char sentence[420], key[CLM_YAML_EXCERPT], place[64] = "";
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    if (node->line > 0) snprintf(place, sizeof place, ":%zu:%zu", node->line, node->column);
    if (node->key != NULL)
        return clm_fail(err, CLM_E_CONFIG, "%s%s: %s: %s", node->doc->name, place,
                        clm_yaml_excerpt(key, node->key->text), sentence);
    return clm_fail(err, CLM_E_CONFIG, "%s%s: %s", node->doc->name, place, sentence);
}

static clm_status fail_kind(const clm_yaml_node *node, clm_err *err, const char *wanted)
{
    return clm_yaml_fail(node, err, "%s is needed here, not %s", wanted, clm_yaml_kind_text(node));
}

/* ---- Typed getters ---------------------------------------------------------------------------- */

static size_t skip_digits(const char *s)
{
    size_t n = 0;
    while (s[n] >= '0' && s[n] <= '9') n++;
    return n;
}

/* -?(0|[1-9][0-9]*)?(\.[0-9]+)?([eE][+-]?[0-9]+)? with at least one digit before the exponent */
static bool is_real(const char *s)
{
    size_t whole, part = 0;

    if (*s == '-') s++;
    whole = skip_digits(s);
    if (whole > 1 && *s == '0') return false;
    s += whole;
    if (*s == '.') {
        part = skip_digits(++s);
        if (part == 0) return false;
        s += part;
    }
    if (whole + part == 0) return false;
    if (*s == 'e' || *s == 'E') {
        s++;
        if (*s == '+' || *s == '-') s++;
        whole = skip_digits(s);
        if (whole == 0) return false;
        s += whole;
    }
    return *s == 0;
}

/* The scalar's text if it may be a number at all. */
static clm_status number_text(const clm_yaml_node *node, const char *what, const char **out,
                              clm_err *err)
{
    char part[CLM_YAML_EXCERPT];

    *out = NULL;
    if (node->kind != CLM_YAML_SCALAR || clm_yaml_is_null(node)) return fail_kind(node, err, what);
    if (node->style == CLM_YAML_QUOTED)
        return clm_yaml_fail(node, err, "%s is needed here, not the text \"%s\" in quotes", what,
                             clm_yaml_excerpt(part, node->text));
    *out = node->text;
    return CLM_OK;
}

clm_status clm_yaml_expect(const clm_yaml_node *node, clm_yaml_kind kind, const char *what,
                           clm_err *err)
{
    if (clm_yaml_kind_of(node) == kind) return CLM_OK;
    return clm_yaml_fail(node, err, "%s is expected", what);
}

clm_status clm_yaml_get_text(const clm_yaml_node *node, const char **out, clm_err *err)
{
    *out = NULL;
    if (node->kind != CLM_YAML_SCALAR || clm_yaml_is_null(node))
        return fail_kind(node, err, "a text");
    *out = node->text;
    return CLM_OK;
}

clm_status clm_yaml_get_u64(const clm_yaml_node *node, uint64_t min, uint64_t max, uint64_t *out,
                            clm_err *err)
{
    char part[CLM_YAML_EXCERPT];
    const char *text, *digits;
    unsigned long long value;
    clm_status st;

    *out = 0;
    st = number_text(node, "a whole number", &text, err);
    if (st != CLM_OK) return st;
    digits = *text == '-' ? text + 1 : text;
    if (*digits == 0 || digits[skip_digits(digits)] != 0)
        return clm_yaml_fail(node, err, "'%s' is not a whole number", clm_yaml_excerpt(part, text));
    if (digits[0] == '0' && digits[1] != 0)
        return clm_yaml_fail(node, err, "'%s' begins with a zero; write a decimal number",
                             clm_yaml_excerpt(part, text));
    errno = 0;
    value = strtoull(digits, NULL, 10);
    if ((*text == '-' && value != 0) || errno == ERANGE || value < min || value > max)
        return clm_yaml_fail(node, err, "%s is out of range (%" PRIu64 " to %" PRIu64 ")",
                             clm_yaml_excerpt(part, text), min, max);
    *out = value;
    return CLM_OK;
}

/* strtod reads the locale's decimal sign; this one the point. */
static bool parse_f64(const char *text, double *out)
{
    locale_t c = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);

    if (c == (locale_t)0) return false;
    *out = strtod_l(text, NULL, c);
    freelocale(c);
    return true;
}

clm_status clm_yaml_get_f64(const clm_yaml_node *node, clm_yaml_range range, double *out,
                            clm_err *err)
{
    char part[CLM_YAML_EXCERPT], low[32], high[32];
    const char *text;
    double value;
    clm_status st;

    *out = 0;
    st = number_text(node, "a number", &text, err);
    if (st != CLM_OK) return st;
    if (!is_real(text))
        return clm_yaml_fail(node, err, "'%s' is not a number", clm_yaml_excerpt(part, text));
    if (!parse_f64(text, &value)) return clm_fail(err, CLM_E_NOMEM, "no memory");
    /* written so that a NaN would fail */
    if (!(isfinite(value) && value <= range.max &&
          (range.above ? value > range.min : value >= range.min))) {
        clm_yaml_format_f64(low, range.min);
        clm_yaml_format_f64(high, range.max);
        return clm_yaml_fail(node, err, "%s is out of range (%s%s to %s)",
                             clm_yaml_excerpt(part, text), range.above ? "above " : "", low, high);
    }
    *out = value;
    return CLM_OK;
}

clm_status clm_yaml_get_int(const clm_yaml_node *node, int min, int max, int *out, clm_err *err)
{
    double value = 0.0;
    const clm_status st = clm_yaml_get_f64(node, (clm_yaml_range){min, max, false}, &value, err);

    if (st != CLM_OK) return st;
    if (value != floor(value)) return clm_yaml_fail(node, err, "no whole number");
    *out = (int)value;
    return CLM_OK;
}

clm_status clm_yaml_get_bool(const clm_yaml_node *node, bool *out, clm_err *err)
{
    const char *text;
    clm_status st;

    *out = false;
    st = number_text(node, "true or false", &text, err);
    if (st != CLM_OK) return st;
    *out = strcmp(text, "true") == 0;
    if (!*out && strcmp(text, "false") != 0) {
        char part[CLM_YAML_EXCERPT];
        return clm_yaml_fail(node, err, "'%s' is neither true nor false",
                             clm_yaml_excerpt(part, text));
    }
    return CLM_OK;
}

/* ---- Writing ---------------------------------------------------------------------------------- */

/* Words that some YAML reader takes for something other than text. */
static bool is_reserved(const char *s)
{
    static const char *const words[] = {"null", "true", "false", "yes", "no",
                                        "on",   "off",  "y",     "n"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(s, words[i]) == 0) return true;
    return false;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Narrow on purpose: what is not obviously plain goes into quotes. */
static bool is_plain(const char *s)
{
    if (!is_letter(*s) && *s != '/' && *s != '_' && strncmp(s, "./", 2) != 0 &&
        strncmp(s, "../", 3) != 0)
        return false;
    if (is_reserved(s) || s[strlen(s) - 1] == ' ') return false;
    for (; *s != 0; s++)
        if (!is_letter(*s) && !(*s >= '0' && *s <= '9') && strchr("/_.- ", *s) == NULL)
            return false;
    return true;
}

/* One character of a double-quoted scalar at `to` (room for 6 bytes); returns the bytes written. */
static size_t put_quoted(char *to, const char *from, size_t n, uint32_t c)
{
    static const char *const names = "\n\t\r\"\\";
    static const char *const letters = "ntr\"\\";
    const char *named = c < 0x80 && c != 0 ? strchr(names, (int)c) : NULL;

    if (named != NULL) {
        to[0] = '\\';
        to[1] = letters[named - names];
        return 2;
    }
    if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return (size_t)sprintf(to, "\\x%02X", (unsigned)c);
    if (c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe || c == 0xffff)
        return (size_t)sprintf(to, "\\u%04X", (unsigned)c);
    memcpy(to, from, n);
    return n;
}

clm_status clm_yaml_quote(const char *text, char **out, clm_err *err)
{
    size_t size = strlen(text), w = 0;
    char *s;

    *out = NULL;
    if (*text != 0 && is_plain(text)) {
        *out = strdup(text);
        return *out != NULL ? CLM_OK : clm_fail(err, CLM_E_NOMEM, "no memory");
    }
    if (size > (SIZE_MAX - 16) / 6) return clm_fail(err, CLM_E_NOMEM, "no memory");
    s = malloc(6 * size + 10); /* sprintf's NUL included */
    if (s == NULL) return clm_fail(err, CLM_E_NOMEM, "no memory");
    s[w++] = '"';
    for (size_t i = 0; i < size;) {
        uint32_t c = 0;
        int n = clm_utf8_next((const unsigned char *)text + i, size - i, &c);
        if (n <= 0) {
            char part[CLM_YAML_EXCERPT];
            free(s);
            return clm_fail(err, CLM_E_CONFIG, "'%s' is not UTF-8 and cannot be written as YAML",
                            clm_yaml_excerpt(part, text));
        }
        w += put_quoted(s + w, text + i, (size_t)n, c);
        i += (size_t)n;
    }
    s[w++] = '"';
    s[w] = 0;
    *out = s;
    return CLM_OK;
}

void clm_yaml_format_f64(char out[32], double value)
{
    locale_t c = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    locale_t old = c != (locale_t)0 ? uselocale(c) : (locale_t)0;

    if (value > -1e15 && value < 1e15 && value == (double)(long long)value) { /* 100, not 1e+02 */
        snprintf(out, 32, "%.0f", value);
    } else {
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(out, 32, "%.*g", digits, value);
            if (strtod(out, NULL) == value) break;
        }
    }
    if (c != (locale_t)0) {
        uselocale(old);
        freelocale(c);
    }
}
