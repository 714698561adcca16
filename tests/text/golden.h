/* tests/text/golden.h: reading the golden files of the tokenizer.
 *
 * A file of cases has one case a line: JSON, TAB, JSON.
 */
#ifndef CLM_TESTS_TEXT_GOLDEN_H
#define CLM_TESTS_TEXT_GOLDEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include "host/file.h"
#include "runtime/text/tokenizer.h"

/* Path below the golden folder; skips the test, loudly, when the folder is absent. */
static inline const char *golden_path(char *room, size_t size, const char *name)
{
    if (!clm_file_is_dir(CLM_GOLDEN)) {
        fprintf(stderr, "GOLDEN FILES ABSENT: %s (this test proves nothing)\n", CLM_GOLDEN);
        skip();
    }
    snprintf(room, size, "%s/%s", CLM_GOLDEN, name);
    return room;
}

static inline clm_tokenizer *golden_tokenizer(const char *name)
{
    char path[512];
    clm_tokenizer *tok = NULL;
    clm_err err = {""};

    if (clm_tokenizer_load(golden_path(path, sizeof path, name), &tok, &err) != CLM_OK)
        fail_msg("%s", err.text);
    return tok;
}

/* Fails with both lists when they differ. */
static inline void assert_ids(const char *what, const int *got, size_t n_got, const json_t *want)
{
    bool same = n_got == json_array_size(want);

    for (size_t i = 0; i < n_got && same; i++)
        same = got[i] == json_integer_value(json_array_get(want, i));
    if (same) return;
    fprintf(stderr, "%s\n  got ", what);
    for (size_t i = 0; i < n_got; i++) fprintf(stderr, " %d", got[i]);
    fprintf(stderr, "\n  want");
    for (size_t i = 0; i < json_array_size(want); i++)
        fprintf(stderr, " %d", (int)json_integer_value(json_array_get(want, i)));
    fail_msg("different ids");
}

typedef void (*golden_case_fn)(const clm_tokenizer *tok, json_t *left, json_t *right,
                               const char *where);

/* Calls `fn` for each line of a file of cases; returns how many. */
static inline size_t golden_cases(const clm_tokenizer *tok, const char *name, golden_case_fn fn)
{
    char path[512], where[600], *text = NULL;
    size_t size, n = 0;
    clm_err err = {""};

    if (clm_file_read(golden_path(path, sizeof path, name), 16 << 20, &text, &size, &err) != CLM_OK)
        fail_msg("%s", err.text);
    for (char *line = text; *line != '\0';) {
        char *end = strchr(line, '\n'), *tab = strchr(line, '\t');
        json_t *left, *right;

        assert_non_null(end);
        assert_true(tab != NULL && tab < end);
        left = json_loadb(line, (size_t)(tab - line), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        right =
            json_loadb(tab + 1, (size_t)(end - tab - 1), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(left);
        assert_non_null(right);
        snprintf(where, sizeof where, "%s:%zu", name, ++n);
        fn(tok, left, right, where);
        json_decref(left);
        json_decref(right);
        line = end + 1;
    }
    free(text);
    return n;
}

#endif
