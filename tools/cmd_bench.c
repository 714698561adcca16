/* tools/cmd_bench.c: `clm bench`: tokens per second in llama-bench's form, beside what the device can
 * do at best.
 *
 * Layer    tools.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench_print.h"
#include "tools/cli.h"
#include "tools/commands.h"

/* The device's speed before and after may differ by this part of it on a quiet machine. */
static const double QUIET_PART = 0.1;

/* Room for the tests that come on standard input. */
enum { MORE_CTX = 1024 };

enum { MAX_TOKENS = 1 << 20, MAX_REPETITIONS = 1000, MAX_VALUES = 16, MAX_TESTS = 256 };

typedef struct plan {
    clm_bench_test tests[MAX_TESTS];
    size_t n_tests, ctx, repetitions;
    clm_bench_format format;
    bool ops;
    bool more; /* names of tests come on standard input */
} plan;

/* ---- the command line ------------------------------------------------------------------------ */

/* "512,128": at most MAX_VALUES numbers. */
static clm_status parse_list(const char *flag, const char *text, size_t *values, size_t *n,
                             clm_err *err)
{
    const char *at = text;

    *n = 0;
    for (;;) {
        char *end;
        unsigned long value;

        errno = 0;
        value = strtoul(at, &end, 10);
        if (*at < '0' || *at > '9' || errno != 0 || value > MAX_TOKENS ||
            (*end != ',' && *end != '\0'))
            return clm_fail(err, CLM_E_USAGE,
                            "%s: '%s' is not a whole number from 0 to %d, or several with commas",
                            flag, text, MAX_TOKENS);
        if (*n == MAX_VALUES)
            return clm_fail(err, CLM_E_USAGE, "%s: more than %d numbers", flag, MAX_VALUES);
        values[(*n)++] = (size_t)value;
        if (*end == '\0') return CLM_OK;
        at = end + 1;
    }
}

static clm_status get_list(const clm_args *args, const char *id, const char *flag,
                           const char *fallback, size_t *values, size_t *n, clm_err *err)
{
    const char *given = clm_args_get(args, id);
    return parse_list(flag, given != NULL ? given : fallback, values, n, err);
}

static clm_status add_test(plan *p, const clm_bench_test *test, clm_err *err)
{
    const size_t total = test->n_prompt + test->n_gen + test->n_depth;

    if (test->n_prompt + test->n_gen == 0) return CLM_OK; /* 0: this kind is not wanted */
    if (total > MAX_TOKENS)
        return clm_fail(err, CLM_E_USAGE, "a test of %zu tokens in all is more than %d", total,
                        MAX_TOKENS);
    if (p->n_tests == MAX_TESTS)
        return clm_fail(err, CLM_E_USAGE, "these lists make more than %d tests", MAX_TESTS);
    p->tests[p->n_tests++] = *test;
    if (total > p->ctx) p->ctx = total;
    return CLM_OK;
}

/* A number behind `prefix`; moves `*text` past both. */
static bool take_number(const char **text, const char *prefix, size_t *value)
{
    const size_t n = strlen(prefix);
    char *end;
    unsigned long number;

    if (strncmp(*text, prefix, n) != 0 || (*text)[n] < '0' || (*text)[n] > '9') return false;
    errno = 0;
    number = strtoul(*text + n, &end, 10);
    if (errno != 0 || number > MAX_TOKENS) return false;
    *value = (size_t)number;
    *text = end;
    return true;
}

/* One test by its name in the table, without spaces: "pp512", "tg16@d64", "pp512+tg128@d4096", "tg16x4". */
static clm_status parse_test(const char *name, clm_bench_test *out, clm_err *err)
{
    const char *at = name;
    size_t prompt = 0, gen = 0, depth = 0, parallel = 1;
    const bool with_prompt = take_number(&at, "pp", &prompt);
    const bool with_gen = take_number(&at, with_prompt ? "+tg" : "tg", &gen);

    if (*at == 'x' && with_gen && !with_prompt && !take_number(&at, "x", &parallel)) at = "?";
    if (*at == '@' && !take_number(&at, "@d", &depth)) at = "?";
    if (*at != '\0' || (with_prompt && prompt == 0) || (with_gen && gen == 0) ||
        prompt + gen == 0 || parallel == 0)
        return clm_fail(err, CLM_E_USAGE,
                        "--test: '%s' is no test such as pp512, tg16@d64, tg16x4 or pp512+tg128",
                        name);
    *out = (clm_bench_test){prompt, gen, depth, parallel};
    return CLM_OK;
}

static clm_status add_named_test(plan *p, const char *name, clm_err *err)
{
    clm_bench_test t;
    clm_status st;

    if (!strcmp(name, "-")) {
        p->more = true;
        return CLM_OK;
    }
    st = parse_test(name, &t, err);
    return st == CLM_OK ? add_test(p, &t, err) : st;
}

/* The flags that make lists of tests. */
static const struct {
    const char *id, *name;
} list_flags[] = {{"bench_prompt", "-p"},
                  {"bench_gen", "-n"},
                  {"bench_pair", "-pg"},
                  {"bench_depth", "-d"},
                  {"bench_parallel", "-np"}};

/* The first of them that was given, or NULL. */
static const char *list_flag(const clm_args *args)
{
    for (size_t i = 0; i < sizeof list_flags / sizeof *list_flags; i++)
        if (clm_args_has(args, list_flags[i].id)) return list_flags[i].name;
    return NULL;
}

static clm_status plan_named(const clm_args *args, plan *p, clm_err *err)
{
    const char *list = list_flag(args), *name;
    clm_status st = CLM_OK;

    if (list != NULL)
        return clm_fail(err, CLM_E_USAGE,
                        "--test names a whole test, such as pp512 or tg16@d64, and %s is not added "
                        "to it: give one of the two",
                        list);
    for (size_t i = 0; st == CLM_OK && (name = clm_args_get_nth(args, "bench_test", i)) != NULL;
         i++)
        st = add_named_test(p, name, err);
    return st;
}

/* All prompts, then all generations, then the pairs, at every depth. */
static clm_status plan_lists(const clm_args *args, plan *p, clm_err *err)
{
    size_t prompts[MAX_VALUES], gens[MAX_VALUES], depths[MAX_VALUES], pair[MAX_VALUES];
    size_t n_prompts, n_gens, n_depths, n_pair, parallels[MAX_VALUES], n_parallels;
    const char *given;
    clm_status st = get_list(args, "bench_prompt", "-p", "512", prompts, &n_prompts, err);

    if (st == CLM_OK) st = get_list(args, "bench_gen", "-n", "128", gens, &n_gens, err);
    if (st == CLM_OK) st = get_list(args, "bench_depth", "-d", "0", depths, &n_depths, err);
    if (st == CLM_OK)
        st = get_list(args, "bench_parallel", "-np", "1", parallels, &n_parallels, err);
    for (size_t i = 0; st == CLM_OK && i < n_parallels; i++)
        if (parallels[i] == 0)
            st = clm_fail(err, CLM_E_USAGE, "-np: 0 sequences generate nothing; 1 is the least");
    for (size_t d = 0; st == CLM_OK && d < n_depths; d++) {
        for (size_t i = 0; i < n_prompts && st == CLM_OK; i++)
            st = add_test(p, &(clm_bench_test){prompts[i], 0, depths[d], 1}, err);
        for (size_t i = 0; i < n_gens * n_parallels && st == CLM_OK; i++)
            st = add_test(
                p,
                &(clm_bench_test){0, gens[i / n_parallels], depths[d], parallels[i % n_parallels]},
                err);
        for (size_t i = 0;
             st == CLM_OK && (given = clm_args_get_nth(args, "bench_pair", i)) != NULL; i++) {
            st = parse_list("-pg", given, pair, &n_pair, err);
            if (st == CLM_OK && (n_pair != 2 || pair[0] == 0 || pair[1] == 0))
                st = clm_fail(err, CLM_E_USAGE, "-pg: '%s' is not a pair such as 512,128", given);
            if (st == CLM_OK)
                st = add_test(p, &(clm_bench_test){pair[0], pair[1], depths[d], 1}, err);
        }
    }
    return st;
}

static clm_status make_plan(const clm_args *args, plan *p, clm_err *err)
{
    const char *format = clm_args_get(args, "bench_format");
    uint64_t repetitions = 0;
    clm_status st;

    memset(p, 0, sizeof *p);
    p->ops = clm_args_has(args, "bench_ops") || clm_args_has(args, "bench_op");
    if (format != NULL && !clm_bench_format_find(format, &p->format))
        return clm_fail(err, CLM_E_USAGE, "-o: '%s' is none of md, json, jsonl, csv", format);
    st = clm_args_get_u64(args, "bench_repetitions", 1, MAX_REPETITIONS, 5, &repetitions, err);
    if (st == CLM_OK)
        st = clm_args_has(args, "bench_test") ? plan_named(args, p, err) : plan_lists(args, p, err);
    if (st != CLM_OK) return st;
    if (p->more && p->ctx < MORE_CTX) p->ctx = MORE_CTX;
    if (clm_args_get_nth(args, "bench_op", MAX_VALUES) != NULL)
        return clm_fail(err, CLM_E_USAGE, "--op: more than %d operators", MAX_VALUES);
    p->repetitions = (size_t)repetitions;
    return clm_cli_check_synthetic(args, clm_args_get(args, "bench_synthetic"),
                                   clm_args_get(args, "bench_type"), true, err);
}

/* ---- running --------------------------------------------------------------------------------- */

/* Figures measured beside other programs are worth nothing; somebody has to say so. */
static void warn_if_busy(clm_bench *bench, const clm_bench_info *info)
{
    const double before = info->limits.read_gbps, after = clm_bench_read_again(bench);

    clm_cli_end_progress();
    if (after > 0.0 && (after > before * (1.0 + QUIET_PART) || after < before * (1.0 - QUIET_PART)))
        fprintf(stderr,
                "clm: warning: memory was read at %.1f GB/s before and %.1f GB/s after the tests: "
                "other programs are busy, measure again\n",
                before, after);
}

static clm_status run_test(clm_bench *bench, const clm_bench_test *test, const plan *p,
                           double *samples, clm_bench_printer *printer, clm_err *err)
{
    clm_bench_result result;
    clm_status st = clm_bench_run(bench, test, p->repetitions, samples, &result, err);

    if (st != CLM_OK) return st;
    return clm_bench_print_test(printer, test, &result, samples, p->repetitions, err);
}

/* Lines of standard input as they come: a test's name, or "memory" for its speed at this moment. A
 * program that measures several others in turn keeps each of them waiting here, with its model. */
static clm_status run_more(clm_bench *bench, const plan *p, double *samples,
                           clm_bench_printer *printer, clm_err *err)
{
    char line[64];
    clm_status st = CLM_OK;

    while (st == CLM_OK && fgets(line, sizeof line, stdin) != NULL) {
        clm_bench_test test;

        line[strcspn(line, "\r\n")] = '\0';
        if (!strcmp(line, "memory")) {
            st = clm_bench_print_memory(printer, clm_bench_read_again(bench), err);
            continue;
        }
        st = parse_test(line, &test, err);
        if (st == CLM_OK && test.n_prompt + test.n_gen + test.n_depth > printer->info.ctx)
            st = clm_fail(err, CLM_E_USAGE, "--test: %s does not fit a context of %zu tokens", line,
                          printer->info.ctx);
        if (st == CLM_OK) st = run_test(bench, &test, p, samples, printer, err);
    }
    return st;
}

static clm_status run_tests(const clm_args *args, const plan *p, const clm_settings *s,
                            clm_bench_printer *printer, clm_err *err)
{
    const char *type = clm_args_get(args, "bench_type");
    const clm_bench_model model = {clm_args_get(args, "bench_synthetic"),
                                   type != NULL ? type : "q4_0"};
    double *samples = calloc(p->repetitions, sizeof *samples);
    clm_bench *bench = NULL;
    clm_status st = CLM_OK;

    if (samples == NULL) return clm_fail(err, CLM_E_NOMEM, "bench: no memory");
    st = clm_bench_create(s, &model, p->ctx, clm_cli_observer(), &bench, err);
    if (st == CLM_OK) clm_bench_describe(bench, &printer->info);
    for (size_t i = 0; i < p->n_tests && st == CLM_OK; i++)
        st = run_test(bench, &p->tests[i], p, samples, printer, err);
    if (st == CLM_OK && p->more) st = run_more(bench, p, samples, printer, err);
    if (st == CLM_OK) clm_bench_print_summary(printer);
    if (st == CLM_OK) warn_if_busy(bench, &printer->info);
    clm_bench_destroy(bench);
    free(samples);
    return st;
}

/* clm_bench_op_fn's user: printing may fail, which is reported in the end. */
typedef struct op_sink {
    clm_bench_printer *printer;
    clm_status st;
    clm_err *err;
} op_sink;

static void take_op(void *user, const clm_bench_op *op)
{
    op_sink *sink = user;
    if (sink->st == CLM_OK) sink->st = clm_bench_print_op(sink->printer, op, sink->err);
}

static clm_status run_ops(const clm_args *args, const clm_settings *s, clm_bench_printer *printer,
                          clm_err *err)
{
    op_sink sink = {printer, CLM_OK, err};
    const char *names[MAX_VALUES];
    size_t n = 0;
    clm_status st;

    while (n < MAX_VALUES && (names[n] = clm_args_get_nth(args, "bench_op", n)) != NULL) n++;
    st = clm_bench_ops(s, names, n, clm_cli_observer(), &printer->limits, take_op, &sink, err);
    return st != CLM_OK ? st : sink.st;
}

/* Operators need no model, but tests do; and kernels, which the reference has none of. */
static clm_status check_ops(const clm_args *args, const clm_settings *s, bool any_model,
                            clm_err *err)
{
    const char *flag = clm_args_has(args, "bench_test") ? "--test" : list_flag(args);

    if (flag == NULL && clm_args_has(args, "bench_repetitions")) flag = "-r";
    if (s->backend == CLM_BACKEND_REF)
        return clm_fail(err, CLM_E_USAGE,
                        "--ops and --op time OpenCL kernels, and --backend ref has none");
    if (flag != NULL && !any_model)
        return clm_fail(err, CLM_E_USAGE,
                        "%s is for tests of a model, beside --ops and --op too: give one with -m "
                        "or --synthetic, or leave %s out",
                        flag, flag);
    return CLM_OK;
}

static clm_status run(const clm_args *args, clm_err *err)
{
    clm_config *config = NULL;
    const clm_settings *s;
    clm_bench_printer printer;
    bool any_model;
    plan p;
    clm_status st = make_plan(args, &p, err);

    if (st == CLM_OK) st = clm_args_config(args, &config, err);
    if (st != CLM_OK) return st;
    s = clm_config_settings(config);
    any_model = s->model[0] != '\0' || clm_args_has(args, "bench_synthetic");
    clm_bench_printer_init(&printer, p.format, s);
    if (p.n_tests == 0 && !p.more && !p.ops)
        st = clm_fail(err, CLM_E_USAGE, "nothing to measure: -p and -n are both 0");
    if (st == CLM_OK && p.ops) st = check_ops(args, s, any_model, err);
    if (st == CLM_OK && (p.n_tests > 0 || p.more) && (any_model || !p.ops))
        st = run_tests(args, &p, s, &printer, err);
    if (st == CLM_OK && p.ops) st = run_ops(args, s, &printer, err);
    if (st == CLM_OK) st = clm_bench_print_end(&printer, err);
    clm_cli_end_progress();
    clm_bench_printer_clear(&printer);
    clm_config_destroy(config);
    return st;
}

static const clm_flag flags[] = {
    {.names = "--synthetic",
     .value = "NAME",
     .id = "bench_synthetic",
     .help = "a model with random weights, of --type, instead of a file: 13b, 7b, llama13b"},
    {.names = "--type",
     .value = "TYPE",
     .id = "bench_type",
     .help = "weights of the synthetic model: q4_0 (default), q4_1, q8_0, f16"},
    {.names = "-p, --n-prompt",
     .value = "N,...",
     .id = "bench_prompt",
     .help = "tokens of a prompt, processed at once (default 512; 0: none)"},
    {.names = "-n, --n-gen",
     .value = "N,...",
     .id = "bench_gen",
     .help = "tokens generated one by one (default 128; 0: none)"},
    {.names = "-pg",
     .value = "P,G",
     .id = "bench_pair",
     .help = "a prompt and a generation behind it, timed together; may be repeated"},
    {.names = "-d, --n-depth",
     .value = "N,...",
     .id = "bench_depth",
     .help = "tokens that stand in the context before (default 0)"},
    {.names = "-np, --parallel",
     .value = "N,...",
     .id = "bench_parallel",
     .help = "sequences of -n that generate together (default 1); t/s is that of all"},
    {.names = "--test",
     .value = "NAME",
     .id = "bench_test",
     .help = "one test by its name, instead of -p, -n, -pg, -d and -np: pp512, tg16@d64; may be "
             "repeated; "
             "-: names come on standard input, a line each, and run as they come (contexts up to "
             "1024, or those of other tests)"},
    {.names = "-r, --repetitions",
     .value = "N",
     .id = "bench_repetitions",
     .help = "timed runs of each test, after one that warms up if needed (default 5)"},
    {.names = "-o, --output",
     .value = "FORMAT",
     .id = "bench_format",
     .help = "md (default), json, jsonl, csv"},
    {.names = "--ops",
     .id = "bench_ops",
     .help = "time every operator that models launch on the device, at the shapes of a 13B model, "
             "with its tuned values; needs no model"},
    {.names = "--op",
     .value = "NAME",
     .id = "bench_op",
     .help = "time this operator only, whether models launch it or not; may be repeated"},
    {.names = "-b, --batch-size", .value = "N", .key = "batch_size"},
    {.names = "--kv-cache-type", .value = "TYPE", .key = "kv_cache_type"},
    {.names = NULL},
};

const clm_command clm_cmd_bench = {
    .name = "bench",
    .synopsis = "[-m MODEL | --synthetic 13b [--type q4_0]] [-p 512] [-n 128] [--ops]",
    .summary = "tokens per second, and how near that is to what the device can do",
    .details =
        "Rows are named as llama-bench does: pp512 is a prompt, tg128 a generation, @ d4096 a\n"
        "context that is filled before. The device is measured first; \"of limit\" is the share\n"
        "of its memory speed or arithmetic that a run comes to, whichever is nearer. Other busy\n"
        "programs make all figures worthless.\n"
        "\n"
        "An operator of --ops is compared with reading, launching and its own arithmetic (float,\n"
        "int8, or tiles of matrix units), and the nearest limit is named. cached: its data are so\n"
        "small that they stay in a cache, so reading is no limit. <=: keys that ALiBi makes\n"
        "vanish are left out, so the share is that at most. Values are tuned (`clm tune`) or\n"
        "default.",
    .groups = CLM_FLAGS_CONFIG | CLM_FLAGS_MODEL | CLM_FLAGS_WEIGHTS | CLM_FLAGS_DEVICE,
    .flags = flags,
    .run = run,
};
