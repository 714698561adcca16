/* host/yaml.h: YAML text becomes a small immutable tree that knows where everything stood.
 *
 * Layer    host; the only user of libyaml.
 * Threads  no shared state; a finished tree may be read by any number of threads.
 * Memory   nodes and their texts belong to the clm_yaml and live as long as it does.
 *
 * Made for files that cannot be trusted. Refused with "file:line:column: sentence" and
 * CLM_E_CONFIG: anything that is not UTF-8, control characters, NUL (escaped ones too), tags, a
 * second document, repeated, empty, null or compound keys, merge keys, aliases of anything but a
 * scalar, more than CLM_YAML_MAX_DEPTH levels, more than CLM_YAML_MAX_NODES nodes.
 */
#ifndef CLM_HOST_YAML_H
#define CLM_HOST_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "host/status.h"

#define CLM_YAML_MAX_DEPTH   32
#define CLM_YAML_MAX_NODES   200000
#define CLM_YAML_MAX_ANCHORS 64
#define CLM_YAML_EXCERPT     72 /* bytes that clm_yaml_excerpt writes at most, NUL included */

typedef enum clm_yaml_kind { CLM_YAML_SCALAR, CLM_YAML_LIST, CLM_YAML_MAP } clm_yaml_kind;

typedef struct clm_yaml clm_yaml;           /* opaque: owns all nodes */
typedef struct clm_yaml_node clm_yaml_node; /* opaque: always borrowed */

/* Bounds of a number; with `above`, `min` itself is not allowed. */
typedef struct clm_yaml_range {
    double min, max;
    bool above;
} clm_yaml_range;

/* Reads a file of at most `limit` bytes.
 * Returns CLM_OK, CLM_E_CONFIG (see above), CLM_E_IO, CLM_E_LIMIT or CLM_E_NOMEM. */
clm_status clm_yaml_load(const char *path, size_t limit, clm_yaml **out, clm_err *err);

/* Parses `size` bytes; `name` stands for the file in messages. */
clm_status clm_yaml_parse(const char *name, const char *text, size_t size, clm_yaml **out,
                          clm_err *err);

/* A tree of one scalar that is exactly `text`, without YAML syntax: for values from flags and the
 * environment, so that they take the same way as those of a file. Messages say "name: sentence".
 * Returns CLM_OK, CLM_E_CONFIG (not UTF-8) or CLM_E_NOMEM. */
clm_status clm_yaml_wrap(const char *name, const char *text, clm_yaml **out, clm_err *err);

void clm_yaml_destroy(clm_yaml *doc);

/* NULL when the file holds no document (empty, or comments only). */
const clm_yaml_node *clm_yaml_root(const clm_yaml *doc);

clm_yaml_kind clm_yaml_kind_of(const clm_yaml_node *node);
/* "a list", "a mapping", "a word" */
const char *clm_yaml_kind_text(const clm_yaml_node *node);
size_t clm_yaml_line(const clm_yaml_node *node);   /* from 1; 0 for a wrapped text */
size_t clm_yaml_column(const clm_yaml_node *node); /* from 1, in characters */

/* Text of a scalar (no NUL inside), else NULL; `size` may be NULL. */
const char *clm_yaml_text(const clm_yaml_node *node, size_t *size);
/* A scalar written without quotes as nothing, `~` or `null`. */
bool clm_yaml_is_null(const clm_yaml_node *node);

/* Items of a list or values of a mapping, in order; NULL after the last (and for a scalar). */
size_t clm_yaml_count(const clm_yaml_node *node);
const clm_yaml_node *clm_yaml_first(const clm_yaml_node *node);
const clm_yaml_node *clm_yaml_next(const clm_yaml_node *node);
/* The key of a mapping's value (itself a scalar node), NULL for other nodes. */
const clm_yaml_node *clm_yaml_key(const clm_yaml_node *value);
bool clm_yaml_key_is(const clm_yaml_node *value, const char *key);
/* The value of `key`; NULL when absent or `map` is NULL or no mapping. */
const clm_yaml_node *clm_yaml_find(const clm_yaml_node *map, const char *key);

/* ---- Values (yaml_value.c). Each fails with CLM_E_CONFIG and a sentence that names the place. -- */

clm_status clm_yaml_get_text(const clm_yaml_node *node, const char **out, clm_err *err);
/* Decimal, without sign, leading zero, fraction, exponent or quotes. */
clm_status clm_yaml_get_u64(const clm_yaml_node *node, uint64_t min, uint64_t max, uint64_t *out,
                            clm_err *err);
/* Decimal and finite, without quotes; independent of the locale. */
clm_status clm_yaml_get_f64(const clm_yaml_node *node, clm_yaml_range range, double *out,
                            clm_err *err);
/* The same, and whole. */
clm_status clm_yaml_get_int(const clm_yaml_node *node, int min, int max, int *out, clm_err *err);
/* true or false. */
clm_status clm_yaml_get_bool(const clm_yaml_node *node, bool *out, clm_err *err);

/* "`what` is expected" for a node of another kind. */
clm_status clm_yaml_expect(const clm_yaml_node *node, clm_yaml_kind kind, const char *what,
                           clm_err *err);

/* "file:line:column: key: sentence" into `err`; returns CLM_E_CONFIG. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
clm_status
clm_yaml_fail(const clm_yaml_node *node, clm_err *err, const char *format, ...);

/* `text` cut to what a message can bear, at a character's border; returns `out`. */
const char *clm_yaml_excerpt(char out[CLM_YAML_EXCERPT], const char *text);

/* ---- Writing --------------------------------------------------------------------------------- */

/* `text` as a YAML scalar of one line: plain where no reader can take it for something else, else
 * in double quotes. Malloc'd. Returns CLM_OK, CLM_E_CONFIG (not UTF-8) or CLM_E_NOMEM. */
clm_status clm_yaml_quote(const char *text, char **out, clm_err *err);

/* The shortest decimal form that reads back to `value`, with a point in every locale. */
void clm_yaml_format_f64(char out[32], double value);

#endif
