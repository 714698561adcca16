/* tools/cmd_inspect.c: `clm inspect`: what a model file holds.
 *
 * Layer    tools.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tools/cli.h"
#include "tools/commands.h"

/* Tensors and bytes of one element type. */
typedef struct mix {
    const char *type;
    size_t tensors;
    uint64_t bytes;
} mix;

static size_t collect_mix(const clm_model_report *r, mix *out, size_t room)
{
    size_t n = 0, i, j;

    for (i = 0; i < r->n_tensors; i++) {
        for (j = 0; j < n && strcmp(out[j].type, r->tensors[i].type) != 0; j++) {}
        if (j == n && n == room) continue;
        if (j == n) out[n++] = (mix){r->tensors[i].type, 0, 0};
        out[j].tensors++;
        out[j].bytes += r->tensors[i].bytes;
    }
    return n;
}

static void print_text(const clm_model_report *r)
{
    char a[32], b[32], c[32];
    mix kinds[16];
    size_t n = collect_mix(r, kinds, sizeof kinds / sizeof *kinds);

    clm_cli_format_bytes((double)r->file_bytes, a);
    printf("file           %s (%s, %s)\n", r->path, r->format, a);
    printf("architecture   %s%s%s%s\n", r->arch, r->name[0] ? " \"" : "", r->name,
           r->name[0] ? "\"" : "");
    printf("parameters     %.3f M\n", (double)r->n_params / 1e6);
    printf("layers         %zu, width %zu, %zu heads of %zu on %zu key/value heads, ffn %zu\n",
           r->n_layers, r->width, r->n_heads, r->head_dim, r->n_kv_heads, r->ffn);
    if (r->alibi)
        printf("positions      ALiBi, trained for %zu tokens, epsilon %g\n", r->ctx_train,
               r->rms_eps);
    else
        printf("positions      rotary (base %g), trained for %zu tokens, epsilon %g\n",
               r->rope_base, r->ctx_train, r->rms_eps);
    printf("tokenizer      %s, vocabulary %zu, bos %d, eos %d\n", r->tokenizer, r->vocab, r->bos,
           r->eos);
    printf("template       %s\n", r->chat_template);
    if (!r->has_weights) {
        puts("weights        none: a vocabulary only");
        return;
    }
    printf("weights        ");
    for (size_t i = 0; i < n; i++) {
        clm_cli_format_bytes((double)kinds[i].bytes, a);
        printf("%s%zu x %s (%s)", i > 0 ? ", " : "", kinds[i].tensors, kinds[i].type, a);
    }
    clm_cli_format_bytes((double)r->device_weight_bytes, a);
    clm_cli_format_bytes((double)r->device_kv_bytes, b);
    clm_cli_format_bytes((double)(r->device_weight_bytes + r->device_kv_bytes), c);
    printf("%s\non the device  %s of weights + %s of fp16 cache for %zu tokens = %s\n",
           r->tied_head ? ", tied head" : "", a, b, r->device_ctx, c);
    printf("\n%-46s %-14s %8s %8s %12s\n", "tensor", "type", "rows", "columns", "bytes");
    for (size_t i = 0; i < r->n_tensors; i++)
        printf("%-46s %-14s %8zu %8zu %12" PRIu64 "\n", r->tensors[i].name, r->tensors[i].type,
               r->tensors[i].rows, r->tensors[i].cols, r->tensors[i].bytes);
}

static clm_status print_json(const clm_model_report *r, clm_err *err)
{
    json_t *tensors = json_array();
    json_t *root;
    char *text;

    for (size_t i = 0; i < r->n_tensors; i++)
        json_array_append_new(tensors, json_pack("{s:s, s:s, s:I, s:I, s:I}", "name",
                                                 r->tensors[i].name, "type", r->tensors[i].type,
                                                 "rows", (json_int_t)r->tensors[i].rows, "columns",
                                                 (json_int_t)r->tensors[i].cols, "bytes",
                                                 (json_int_t)r->tensors[i].bytes));
    root = json_pack(
        "{s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:f, "
        "s:b, s:s, s:i, s:i, s:s, "
        "s:I, s:I, s:I, s:o}",
        "path", r->path, "format", r->format, "file_bytes", (json_int_t)r->file_bytes,
        "architecture", r->arch, "name", r->name, "parameters", (json_int_t)r->n_params, "layers",
        (json_int_t)r->n_layers, "width", (json_int_t)r->width, "heads", (json_int_t)r->n_heads,
        "kv_heads", (json_int_t)r->n_kv_heads, "head_dim", (json_int_t)r->head_dim, "ffn",
        (json_int_t)r->ffn, "vocabulary", (json_int_t)r->vocab, "context", (json_int_t)r->ctx_train,
        "rms_epsilon", r->rms_eps, "positions", r->alibi ? "alibi" : "rope", "rope_base",
        r->rope_base, "tied_head", r->tied_head, "tokenizer", r->tokenizer, "bos", r->bos, "eos",
        r->eos, "template", r->chat_template, "device_weight_bytes",
        (json_int_t)r->device_weight_bytes, "device_kv_bytes", (json_int_t)r->device_kv_bytes,
        "device_context", (json_int_t)r->device_ctx, "tensors", tensors);
    text = root != NULL ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (text == NULL)
        return clm_fail(err, CLM_E_INTERNAL, "%s: a name is not valid UTF-8", r->path);
    puts(text);
    free(text);
    return CLM_OK;
}

static clm_status verify(const char *path, clm_err *err)
{
    const clm_status st = clm_model_verify(path, clm_cli_observer(), err);

    if (st == CLM_OK) printf("%s: all tensors have their checksums\n", path);
    return st;
}

static clm_status report(const char *path, bool json, clm_err *err)
{
    clm_model_report *r = NULL;
    clm_status st = clm_model_report_create(path, &r, err);

    if (st == CLM_OK && json)
        st = print_json(r, err);
    else if (st == CLM_OK)
        print_text(r);
    clm_model_report_destroy(r);
    return st;
}

static clm_status run(const clm_args *args, clm_err *err)
{
    clm_config *config = NULL;
    const char *path;
    clm_status st = clm_args_config(args, &config, err);

    /* Through the configuration, which knows where models are. */
    if (st == CLM_OK && args->n_words > 0)
        st = clm_config_set(config, "model", args->words[0], "FILE", err);
    if (st != CLM_OK) goto out;
    path = clm_config_settings(config)->model;
    if (path[0] == '\0')
        st = clm_fail(err, CLM_E_USAGE, "inspect: which file? (clm inspect FILE)");
    else if (clm_args_has(args, "verify"))
        st = verify(path, err);
    else
        st = report(path, clm_args_has(args, "json"), err);
out:
    clm_config_destroy(config);
    return st;
}

static const clm_flag flags[] = {
    {.names = "--verify",
     .id = "verify",
     .help = "compare the data with the checksums that clm quantize has put in"},
    {.names = NULL},
};

const clm_command clm_cmd_inspect = {
    .name = "inspect",
    .synopsis = "FILE [--json | --verify]",
    .summary = "say what a model file holds",
    .groups = CLM_FLAGS_MODEL | CLM_FLAGS_JSON,
    .flags = flags,
    .max_words = 1,
    .run = run,
};
