/* tools/cmd_quantize.c: `clm quantize`: a model in, a GGUF file of another type out.
 *
 * Layer    tools.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "tools/cli.h"
#include "tools/commands.h"

/* ---- progress -------------------------------------------------------------------------------- */

/* A bar with rate and time left for the main stage; other stages are shown as everywhere. */
typedef struct bar {
    double begin, shown; /* seconds; begin < 0: not begun */
    size_t first;        /* what was done when it began */
    bool open;           /* a line without its newline is on the terminal */
} bar;

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void format_left(double seconds, char out[32])
{
    const long s = (long)seconds;

    if (seconds >= 100.0 * 3600.0)
        snprintf(out, 32, "long");
    else if (s >= 3600)
        snprintf(out, 32, "%ld h %02ld min", s / 3600, s / 60 % 60);
    else if (s >= 60)
        snprintf(out, 32, "%ld min %02ld s", s / 60, s % 60);
    else
        snprintf(out, 32, "%ld s", s);
}

static void print_bar(bar *b, size_t done, size_t total, bool terminal)
{
    enum { WIDTH = 30 };
    const double elapsed = seconds_now() - b->begin,
                 rate = elapsed > 0.0 ? (double)(done - b->first) / elapsed : 0.0; /* MB/s */
    const int filled = (int)(WIDTH * (double)done / (double)total);
    char left[32] = "?", line[WIDTH + 1];

    if (rate > 0.0) format_left((double)(total - done) / rate, left);
    memset(line, '.', WIDTH);
    memset(line, '#', (size_t)filled);
    line[WIDTH] = '\0';
    fprintf(stderr, "%s[%s] %3.0f %%  %zu of %zu MB  %.0f MB/s  %s left%s",
            terminal ? "\r\033[K" : "", line, 100.0 * (double)done / (double)total, done, total,
            rate, left, terminal ? "" : "\n");
    fflush(stderr);
}

static void show_progress(void *user, const char *stage, size_t done, size_t total)
{
    bar *b = user;
    const bool terminal = isatty(STDERR_FILENO);
    const double now = seconds_now();

    if (strcmp(stage, "quantising, MB") != 0) {
        clm_cli_observer()->progress(NULL, stage, done, total);
        return;
    }
    if (b->begin < 0.0) {
        b->begin = now;
        b->first = done;
        if (!terminal) b->shown = now;
    }
    if (done == total) {
        if (b->open) fputs("\r\033[K", stderr);
        b->open = false;
        return;
    }
    if (now - b->shown < (terminal ? 0.1 : 5.0)) return;
    b->shown = now;
    b->open = terminal;
    print_bar(b, done, total, terminal);
}

static void show_message(void *user, clm_log_level level, const char *text)
{
    bar *b = user;

    if (b->open) fputc('\n', stderr);
    b->open = false;
    clm_cli_observer()->message(NULL, level, text);
}

/* ---- result ---------------------------------------------------------------------------------- */

static clm_status print_json(const clm_quantize_options *o, const clm_quantize_report *r,
                             clm_err *err)
{
    json_t *tensors = json_array(), *root;
    char *text;

    for (size_t i = 0; i < r->n_tensors; i++) {
        const clm_quantize_tensor *t = &r->tensors[i];
        json_array_append_new(
            tensors, json_pack("{s:s, s:s, s:I, s:I, s:I, s:f, s:f}", "name", t->name, "type",
                               t->type, "rows", (json_int_t)t->rows, "columns", (json_int_t)t->cols,
                               "bytes", (json_int_t)t->bytes, "mean_squared_error",
                               t->mean_squared_error, "relative_error", t->relative_error));
    }
    root = json_pack("{s:s, s:s, s:I, s:I, s:f, s:f, s:I, s:I, s:o}", "path", o->target, "type",
                     o->type, "source_bytes", (json_int_t)r->source_bytes, "bytes",
                     (json_int_t)r->bytes, "seconds", r->seconds, "relative_error",
                     r->relative_error, "tensors_kept", (json_int_t)r->n_kept, "fallbacks",
                     (json_int_t)r->n_fallbacks, "tensors", tensors);
    text = root != NULL ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (text == NULL)
        return clm_fail(err, CLM_E_INTERNAL, "%s: a name is not valid UTF-8", o->target);
    puts(text);
    free(text);
    return CLM_OK;
}

static void print_text(const clm_quantize_options *o, const clm_quantize_report *r)
{
    char from[32], to[32];

    clm_cli_format_bytes((double)r->source_bytes, from);
    clm_cli_format_bytes((double)r->bytes, to);
    printf("%s: %s, %zu tensors, %s from %s, relative error %.3g, %.1f s\n", o->target, o->type,
           r->n_tensors, to, from, r->relative_error, r->seconds);
}

#define TYPES "int4, int8, q4_0, q4_1, q8_0, f16 or f32"

/* What is missing, and how it is written. */
static clm_status check_complete(const clm_quantize_options *o, clm_err *err)
{
    const char *missing = o->source == NULL   ? "the model, the file to write and its type are"
                          : o->target == NULL ? "the file to write is"
                          : o->type == NULL   ? "the type is"
                                              : NULL;

    if (missing == NULL) return CLM_OK;
    return clm_fail(err, CLM_E_USAGE,
                    "quantize: %s missing: clm quantize SRC DST --type int4 (types are " TYPES ")",
                    missing);
}

static clm_status run(const clm_args *args, clm_err *err)
{
    bar progress = {.begin = -1.0};
    const clm_observer observer = {&progress, show_message, show_progress};
    clm_quantize_options options = {
        .source = args->n_words > 0 ? args->words[0] : NULL,
        .target = args->n_words > 1 ? args->words[1] : NULL,
        .type = args->n_words > 2 ? args->words[2] : clm_args_get(args, "type"),
        .head_type = clm_args_get(args, "head_type"),
        .embedding_type = clm_args_get(args, "embedding_type"),
        .force = clm_args_has(args, "force"),
    };
    clm_quantize_report report;
    uint64_t threads = 0;
    clm_status st = clm_args_get_u64(args, "threads", 1, 64, 0, &threads, err);

    if (st != CLM_OK) return st;
    if (args->n_words > 2 && clm_args_has(args, "type"))
        return clm_fail(err, CLM_E_USAGE, "quantize: the type is given twice: '%s' and --type %s",
                        args->words[2], clm_args_get(args, "type"));
    st = check_complete(&options, err);
    if (st != CLM_OK) return st;
    options.threads = (size_t)threads;
    clm_cli_catch_interrupt(NULL);
    options.stop = clm_cli_interrupt_flag();
    st = clm_quantize(&options, &observer, &report, err);
    if (progress.open) fputc('\n', stderr);
    if (st == CLM_OK && clm_args_has(args, "json"))
        st = print_json(&options, &report, err);
    else if (st == CLM_OK)
        print_text(&options, &report);
    clm_quantize_report_clear(&report);
    return st;
}

static const clm_flag flags[] = {
    {.names = "--type", .value = "TYPE", .id = "type", .help = TYPES},
    {.names = "--head-type, --output-tensor-type",
     .value = "TYPE",
     .id = "head_type",
     .help = "type of the output matrix (4-bit types: q8_0)"},
    {.names = "--embedding-type, --token-embedding-type",
     .value = "TYPE",
     .id = "embedding_type",
     .help = "type of the embedding (4-bit types: q8_0)"},
    {.names = "--force", .id = "force", .help = "replace DST if it exists"},
    {.names = "-t, --threads", .value = "N", .id = "threads", .help = "threads (all processors)"},
    {.names = NULL},
};

const clm_command clm_cmd_quantize = {
    .name = "quantize",
    .synopsis = "SRC DST --type TYPE [--force] [--json]",
    .summary = "write a model in another type as one GGUF file",
    .details =
        "SRC is a GGUF file or a folder from Hugging Face. int4 (4.5 bits a weight, groups of "
        "64) is clm's own\ntype, which other programs refuse; q4_0, q4_1, q8_0, f16 and f32 "
        "are standard, and int8 is q8_0.\nf16 would round weights "
        "packed by GPTQ: they become Q8_0 where it is exact, else F32.\nA run that was interrupted "
        "goes on where it "
        "stopped when the same command is given again.",
    .groups = CLM_FLAGS_JSON,
    .flags = flags,
    .max_words = 3, /* llama.cpp has the type there */
    .run = run,
};
