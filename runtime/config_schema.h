/* runtime/config_schema.h: the table of configuration keys, and what works by that table. Private
 * to runtime/config*.c.
 *
 * Layer    runtime.
 * Memory   a field's text or list belongs to the clm_settings that holds it.
 */
#ifndef CLM_RUNTIME_CONFIG_SCHEMA_H
#define CLM_RUNTIME_CONFIG_SCHEMA_H

#include "host/yaml.h"
#include "runtime/clm.h"

#define CLM_KEY_ALIASES 6

typedef enum clm_key_type {
    CLM_KEY_TEXT,    /* char *; `max` bytes at most */
    CLM_KEY_PATH,    /* char *; relative ones are looked for beside the configuration file */
    CLM_KEY_WORD,    /* char *, one of `choices` */
    CLM_KEY_CHOICE,  /* an enum whose values number `choices` */
    CLM_KEY_U32,     /* uint32_t */
    CLM_KEY_U64,     /* uint64_t */
    CLM_KEY_REAL,    /* double */
    CLM_KEY_DEVICES, /* clm_device_choice *devices, n_devices */
    CLM_KEY_TEXTS    /* char **stop, n_stop */
} clm_key_type;

/* One key. The default is text that is read like a user's. */
typedef struct clm_key {
    const char *name; /* canonical; with its section: "server.port" */
    clm_key_type type;
    size_t offset; /* of the field in clm_settings */
    const char *preset;
    double min, max;       /* numbers: bounds; texts: max = bytes */
    bool above;            /* numbers: `min` itself is refused */
    const char *minus_one; /* whole numbers: what the -1 of other programs means, or NULL */
    bool nullable;         /* null means "" */
    bool advised;          /* a model's generation_config.json may recommend a value */
    const char *const *choices;
    const char *aliases[CLM_KEY_ALIASES];
    const char *doc;
} clm_key;

/* The table and its length. */
const clm_key *clm__keys(size_t *n);
/* The key's bit in clm_settings.given. */
uint64_t clm__key_bit(const clm_key *key);
/* By name or alias; NULL when there is none. */
const clm_key *clm__key_find(const char *name);
/* Whether some key is "<name>.something". */
bool clm__key_is_section(const char *name);
/* Canonical name nearest to `name` (aliases and keys of other sections count), or NULL. */
const char *clm__key_nearest(const char *name);

/* Reads one value into its field and marks it as given. `folder` (may be NULL) is the configuration file's. The field
 * keeps its value on failure. */
clm_status clm__key_apply(const clm_key *key, const clm_yaml_node *value, const char *folder,
                          clm_settings *s, clm_err *err);
/* Frees what the field owns and zeroes it. */
void clm__key_clear(const clm_key *key, clm_settings *s);
/* Copies a field into a zeroed one. */
clm_status clm__key_copy(const clm_key *key, const clm_settings *from, clm_settings *to,
                         clm_err *err);

#endif
