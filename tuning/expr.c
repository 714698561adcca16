/* tuning/expr.c: see tuning/expr.h. Recursive descent that computes as it reads. */
#include "tuning/expr.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64 };

typedef struct parser {
    const char *at;
    const clm_expr_name *names;
    size_t n, depth;
    unsigned skip;     /* levels of && and || whose value is known: faults do not count */
    const char *fault; /* the first one, in words */
} parser;

static int64_t level(parser *p, int strength);

static int64_t fail(parser *p, const char *fault)
{
    if (p->fault == NULL) p->fault = fault;
    return 0;
}

static void blanks(parser *p)
{
    while (*p->at == ' ' || *p->at == '\t') p->at++;
}

static bool take(parser *p, const char *word)
{
    const size_t n = strlen(word);

    blanks(p);
    if (strncmp(p->at, word, n) != 0) return false;
    p->at += n;
    return true;
}

static int64_t divide(parser *p, int64_t a, int64_t b, bool rest)
{
    if (b == 0 || (a == INT64_MIN && b == -1))
        return p->skip > 0 ? 0 : fail(p, b == 0 ? "division by zero" : "too large a number");
    return rest ? a % b : a / b;
}

static int64_t arithmetic(parser *p, char op, int64_t a, int64_t b)
{
    int64_t r = 0;
    bool over = false;

    if (op == '/' || op == '%') return divide(p, a, b, op == '%');
    if (op == '+') over = __builtin_add_overflow(a, b, &r);
    if (op == '-') over = __builtin_sub_overflow(a, b, &r);
    if (op == '*') over = __builtin_mul_overflow(a, b, &r);
    return over && p->skip == 0 ? fail(p, "too large a number") : r;
}

/* Rounded up. */
static int64_t ceil_div(parser *p, int64_t a, int64_t b)
{
    const int64_t q = divide(p, a, b, false);
    /* Without a rest, or without a result: no % that the processor refuses, as of INT64_MIN and -1. */
    const bool whole = b == 0 || b == -1 || a % b == 0;

    return !whole && (a > 0) == (b > 0) ? q + 1 : q;
}

static int64_t function(parser *p, const char *name, size_t size)
{
    int64_t a, b;

    a = level(p, 0);
    if (!take(p, ",")) return fail(p, "a function takes two values, with a comma between");
    b = level(p, 0);
    if (!take(p, ")")) return fail(p, "a ')' is missing");
    if (size == 3 && memcmp(name, "min", 3) == 0) return a < b ? a : b;
    if (size == 3 && memcmp(name, "max", 3) == 0) return a > b ? a : b;
    if (size == 8 && memcmp(name, "ceil_div", 8) == 0) return ceil_div(p, a, b);
    return fail(p, "there is no such function: min, max and ceil_div are known");
}

static int64_t word(parser *p)
{
    const char *name = p->at;
    size_t size;

    while (isalnum((unsigned char)*p->at) || *p->at == '_') p->at++;
    size = (size_t)(p->at - name);
    if (take(p, "(")) return function(p, name, size);
    for (size_t i = 0; i < p->n; i++)
        if (strlen(p->names[i].name) == size && memcmp(p->names[i].name, name, size) == 0)
            return p->names[i].value;
    return fail(p, "it uses a name that is neither a size nor a parameter");
}

static int64_t operand(parser *p)
{
    blanks(p);
    if (take(p, "-")) return arithmetic(p, '-', 0, level(p, 6));
    if (*p->at == '!' && p->at[1] != '=') {
        p->at++;
        return !level(p, 6);
    }
    if (take(p, "(")) {
        const int64_t v = level(p, 0);
        return take(p, ")") ? v : fail(p, "a ')' is missing");
    }
    if (isdigit((unsigned char)*p->at)) {
        char *end;
        long long v;

        errno = 0;
        v = strtoll(p->at, &end, 10);
        p->at = end;
        return errno == 0 ? (int64_t)v : fail(p, "too large a number");
    }
    if (isalpha((unsigned char)*p->at) || *p->at == '_') return word(p);
    return fail(p, *p->at == '\0' ? "it ends too early" : "something else is expected there");
}

/* The operator of `strength` that comes next, taken; NULL: none. */
static const char *take_operator(parser *p, int strength)
{
    static const char *const all[6][5] = {
        {"||"}, {"&&"}, {"==", "!="}, {"<=", ">=", "<", ">"}, {"+", "-"}, {"*", "/", "%"}};

    for (size_t i = 0; i < 5 && all[strength][i] != NULL; i++)
        if (take(p, all[strength][i])) return all[strength][i];
    return NULL;
}

static int64_t compare(const char *op, int64_t a, int64_t b)
{
    if (op[0] == '=') return a == b;
    if (op[0] == '!') return a != b;
    if (op[0] == '<') return op[1] == '=' ? a <= b : a < b;
    return op[1] == '=' ? a >= b : a > b;
}

/* Everything of at least that strength, from the left; 6: operands. */
static int64_t level(parser *p, int strength)
{
    const char *op;
    int64_t a;

    if (p->depth >= MAX_DEPTH) return fail(p, "too deeply nested");
    if (strength > 5) {
        p->depth++;
        a = operand(p);
        p->depth--;
        return a;
    }
    a = level(p, strength + 1);
    while (p->fault == NULL && (op = take_operator(p, strength)) != NULL) {
        const bool known = (strength == 0 && a != 0) || (strength == 1 && a == 0);
        int64_t b;

        p->skip += known;
        b = level(p, strength + 1);
        p->skip -= known;
        if (strength < 2)
            a = strength == 0 ? a != 0 || b != 0 : a != 0 && b != 0;
        else
            a = strength < 4 ? compare(op, a, b) : arithmetic(p, op[0], a, b);
    }
    return a;
}

clm_status clm_expr_eval(const char *text, const clm_expr_name *names, size_t n, int64_t *out,
                         clm_err *err)
{
    parser p = {.at = text, .names = names, .n = n};

    *out = 0;
    if (strlen(text) > CLM_EXPR_MAX_TEXT)
        return clm_fail(err, CLM_E_CONFIG, "an expression of more than %d characters",
                        (int)CLM_EXPR_MAX_TEXT);
    *out = level(&p, 0);
    blanks(&p);
    if (p.fault == NULL && *p.at != '\0') p.fault = "something is left over behind it";
    if (p.fault != NULL) return clm_fail(err, CLM_E_CONFIG, "'%.100s': %s", text, p.fault);
    return CLM_OK;
}
