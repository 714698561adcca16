/* tools/cmd_eval.c: `clm eval logits`: what a model computes, exactly, for comparison.
 *
 * Layer    tools.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"
#include "tools/commands.h"

/* Reads whitespace-separated ids. */
static clm_status read_ids(const char *path, int **ids, size_t *n, clm_err *err)
{
    char *text = NULL, *at, *end;
    size_t size = 0, room;
    clm_status st = clm_cli_read_file(path, &text, &size, err);

    *ids = NULL;
    *n = 0;
    if (st != CLM_OK) return st;
    room = size / 2 + 1; /* an id and what separates it are two bytes at least */
    *ids = malloc(room * sizeof **ids);
    if (*ids == NULL) {
        free(text);
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory", path);
    }
    for (at = text;; at = end) {
        long id = strtol(at, &end, 10);
        if (end == at) break;
        if (id < 0 || id > 0x7FFFFFFF) break;
        (*ids)[(*n)++] = (int)id;
    }
    at += strspn(at, " \t\r\n");
    if (*at != '\0' || at != text + size)
        st = clm_fail(err, CLM_E_USAGE, "%s: item %zu is no token id", path, *n + 1);
    else if (*n == 0)
        st = clm_fail(err, CLM_E_USAGE, "%s: holds no token ids", path);
    free(text);
    return st;
}

static clm_status write_floats(const char *path, const float *values, size_t n, clm_err *err)
{
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "wb");
    bool ok;

    if (file == NULL) return clm_fail(err, CLM_E_IO, "%s: %s", path, strerror(errno));
    ok = fwrite(values, sizeof *values, n, file) == n;
    if (file != stdout) ok = fclose(file) == 0 && ok;
    return ok ? CLM_OK : clm_fail(err, CLM_E_IO, "%s: could not be written", path);
}

static clm_status run_logits(const clm_args *args, clm_err *err)
{
    clm_config *config = NULL;
    clm_engine *engine = NULL;
    clm_engine_report about;
    float *logits = NULL;
    int *ids = NULL;
    size_t n = 0, rows;
    uint64_t from = 0;
    clm_status st;

    if (!clm_args_has(args, "ids") || !clm_args_has(args, "output"))
        return clm_fail(err, CLM_E_USAGE, "eval logits: --ids FILE and -o FILE are needed");
    st = clm_args_config(args, &config, err);
    if (st == CLM_OK) st = read_ids(clm_args_get(args, "ids"), &ids, &n, err);
    if (st == CLM_OK) st = clm_args_get_u64(args, "from", 0, n - 1, 0, &from, err);
    if (st == CLM_OK)
        st = clm_engine_create(clm_config_settings(config), clm_cli_observer(), &engine, err);
    if (st != CLM_OK) goto out;
    clm_engine_describe(engine, &about);
    rows = n - (size_t)from;
    logits = malloc(rows * about.vocab * sizeof *logits);
    if (logits == NULL) {
        st = clm_fail(err, CLM_E_NOMEM, "eval logits: no memory for %zu x %zu logits", rows,
                      about.vocab);
        goto out;
    }
    st = clm_engine_logits(engine, ids, n, (size_t)from, 0, logits, err);
    if (st == CLM_OK)
        st = write_floats(clm_args_get(args, "output"), logits, rows * about.vocab, err);
    if (st == CLM_OK)
        fprintf(stderr, "clm: %zu x %zu logits, computed on %s\n", rows, about.vocab, about.device);
out:
    free(logits);
    free(ids);
    clm_engine_destroy(engine);
    clm_config_destroy(config);
    return st;
}

static const clm_flag flags[] = {
    {.names = "--ids",
     .value = "FILE",
     .id = "ids",
     .help = "token ids to process, separated by white space"},
    {.names = "--from",
     .value = "P",
     .id = "from",
     .help = "first position whose logits are wanted (default 0)"},
    {.names = "-o, --output",
     .value = "FILE",
     .id = "output",
     .help = "little-endian float32 [positions][vocabulary]"},
    {.names = NULL},
};

/* Exact unless told otherwise. */
static const clm_preset presets[] = {
    {"kv_cache_type", "f32"}, {"activations", "f32"}, {NULL, NULL}};

const clm_command clm_cmd_eval_logits = {
    .name = "eval logits",
    .synopsis = "-m MODEL --ids FILE [--from P] -o OUT.f32",
    .summary = "write the logits of a sequence of token ids to a file",
    .details = "Exact unless told otherwise: float activations, f32 cache. -b sets how many tokens "
               "are processed at once.",
    .groups = CLM_FLAGS_CONFIG | CLM_FLAGS_MODEL | CLM_FLAGS_WEIGHTS | CLM_FLAGS_DEVICE |
              CLM_FLAGS_CONTEXT,
    .flags = flags,
    .presets = presets,
    .run = run_logits,
};
