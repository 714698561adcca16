/* tools/cmd_eval_ppl.c: `clm eval ppl`: perplexity of a text.
 *
 * Layer    tools.
 */
#include <stdlib.h>

#include <jansson.h>

#include "tools/cli.h"
#include "tools/commands.h"

static void print_text(const clm_engine_report *about, const clm_perplexity *p, size_t window)
{
    printf("perplexity   %.4f +- %.4f\n", p->ppl, p->ppl_error);
    printf("nll          %.5f +- %.5f nats a token\n", p->nll, p->nll_error);
    printf("text         %zu tokens, %zu windows of %zu, %zu tokens counted\n", p->n_tokens,
           p->n_windows, window, p->n_counted);
    printf("speed        %.1f tokens/s on %s\n", (double)(p->n_windows * window) / p->seconds,
           about->device);
}

static clm_status print_json(const clm_engine_report *about, const clm_perplexity *p, size_t window,
                             size_t stride, clm_err *err)
{
    json_t *root =
        json_pack("{s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:s}", "perplexity",
                  p->ppl, "perplexity_error", p->ppl_error, "nll", p->nll, "nll_error",
                  p->nll_error, "tokens", (json_int_t)p->n_tokens, "window", (json_int_t)window,
                  "stride", (json_int_t)stride, "windows", (json_int_t)p->n_windows, "counted",
                  (json_int_t)p->n_counted, "seconds", p->seconds, "tokens_per_second",
                  (double)(p->n_windows * window) / p->seconds, "device", about->device);
    char *text = root != NULL ? json_dumps(root, JSON_INDENT(2)) : NULL;

    json_decref(root);
    if (text == NULL) return clm_fail(err, CLM_E_NOMEM, "eval ppl: no memory");
    puts(text);
    free(text);
    return CLM_OK;
}

static clm_status run(const clm_args *args, clm_err *err)
{
    clm_config *config = NULL;
    clm_engine *engine = NULL;
    clm_engine_report about;
    clm_perplexity result;
    char *text = NULL;
    size_t size = 0;
    uint64_t stride = 0;
    size_t window;
    clm_status st = clm_args_config(args, &config, err);

    if (st == CLM_OK) st = clm_args_get_u64(args, "stride", 0, UINT32_MAX, 0, &stride, err);
    if (st != CLM_OK) goto out;
    window = clm_config_settings(config)->ctx_size;
    if (window > 0)
        st = clm_perplexity_check(window, (size_t)stride, err); /* 0: the model says it */
    if (st == CLM_OK) st = clm_cli_prompt(args, &text, &size, err);
    if (st == CLM_OK)
        st = clm_engine_create(clm_config_settings(config), clm_cli_observer(), &engine, err);
    if (st != CLM_OK) goto out;
    clm_engine_describe(engine, &about);
    st = clm_engine_perplexity(engine, text, size, about.ctx_size, (size_t)stride,
                               clm_cli_observer(), &result, err);
    if (st != CLM_OK) goto out;
    if (clm_args_has(args, "json"))
        st = print_json(&about, &result, about.ctx_size, (size_t)stride, err);
    else
        print_text(&about, &result, about.ctx_size);
out:
    free(text);
    clm_engine_destroy(engine);
    clm_config_destroy(config);
    return st;
}

static const clm_flag flags[] = {
    {.names = "-c, --ctx, --ctx-size",
     .value = "N",
     .key = "ctx_size",
     .help = "tokens of a window"},
    {.names = "--stride",
     .value = "S",
     .id = "stride",
     .help = "let windows begin S tokens apart and count the last S of each"},
    {.names = NULL},
};

/* Exact unless told otherwise; the window is llama.cpp's. */
static const clm_preset presets[] = {
    {"kv_cache_type", "f32"}, {"activations", "f32"}, {"ctx_size", "512"}, {NULL, NULL}};

const clm_command clm_cmd_eval_ppl = {
    .name = "eval ppl",
    .synopsis = "-m MODEL -f TEXT [-c N] [--stride S] [--json]",
    .summary = "perplexity of a text: how well the model foresees it",
    .details =
        "The text is tokenised as a whole (with BOS in front if the vocabulary wants one) and cut "
        "into windows\n"
        "of N tokens that do not overlap; each is processed by itself, with BOS in place of its "
        "first token if the\n"
        "vocabulary wants one. The tokens N/2 + 1 to N - 1 of each window count, as in llama.cpp's "
        "llama-perplexity;\n"
        "a rest that fills no window does not. With --stride S windows begin S tokens apart and "
        "the "
        "last S tokens of\n"
        "each count: slower, and every counted token has at least N - S before it.\n"
        "nll is the mean of -log p over the counted tokens, perplexity its exponential, +- the "
        "standard error.\n"
        "Exact unless told otherwise: float activations, f32 cache.",
    .groups = CLM_FLAGS_CONFIG | CLM_FLAGS_MODEL | CLM_FLAGS_WEIGHTS | CLM_FLAGS_DEVICE |
              CLM_FLAGS_CONTEXT | CLM_FLAGS_PROMPT | CLM_FLAGS_JSON,
    .flags = flags,
    .presets = presets,
    .run = run,
};
