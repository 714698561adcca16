/* tests/cli/test_args.c: command lines to values, configuration, help, and refusals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "tools/args.h"

#define WORDS_MAX 40

static const clm_flag own_flags[] = {
    {.names = "-p, --prompt-tokens", .value = "N", .id = "n_prompt", .help = "tokens of prompt"},
    {.names = "--fast", .id = "fast", .help = "be fast"},
    {0},
};
static const clm_preset eval_presets[] = {{"kv_cache_type", "f32"}, {"activations", "f32"}, {0}};

static const clm_command chat = {
    .name = "chat",
    .synopsis = "[-m MODEL]",
    .summary = "conversation",
    .groups = CLM_FLAGS_CONFIG | CLM_FLAGS_MODEL | CLM_FLAGS_DEVICE | CLM_FLAGS_CONTEXT |
              CLM_FLAGS_PROMPT | CLM_FLAGS_CHAT | CLM_FLAGS_SAMPLING,
};
static const clm_command bench = {
    .name = "bench",
    .summary = "speed",
    .groups = CLM_FLAGS_MODEL | CLM_FLAGS_JSON,
    .flags = own_flags,
    .max_words = 2,
};
static const clm_command eval_logits = {.name = "eval logits",
                                        .synopsis = "FILE",
                                        .summary = "logits",
                                        .groups = CLM_FLAGS_CONFIG | CLM_FLAGS_CONTEXT,
                                        .presets = eval_presets,
                                        .min_words = 1,
                                        .max_words = 1};
static const clm_command eval_ppl = {.name = "eval ppl", .summary = "perplexity"};
static const clm_command *const commands[] = {&chat, &bench, &eval_logits, &eval_ppl};

/* Parses the words after the command's name. */
static clm_status parse(const clm_command *command, const char *const *words, clm_args *args,
                        clm_err *err)
{
    char *argv[WORDS_MAX + 1] = {(char *)(uintptr_t) "clm"};
    int argc = 1;

    err->text[0] = 0;
    for (; words[argc - 1] != NULL; argc++) argv[argc] = (char *)(uintptr_t)words[argc - 1];
    return clm_args_parse(command, argc, argv, args, err);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void accept(const clm_command *command, const char *const *words, clm_args *args)
{
    clm_err err;
    clm_status st = parse(command, words, args, &err);

    if (st != CLM_OK) print_error("%s\n", err.text);
    assert_int_equal(st, CLM_OK);
}

static void refuse(const clm_command *command, const char *const *words, const char *sentence)
{
    clm_args args;
    clm_err err;

    assert_int_equal(parse(command, words, &args, &err), CLM_E_USAGE);
    assert_string_equal(err.text, sentence);
    clm_args_clear(&args);
}

static void test_parse(void **state)
{
    clm_args args;

    (void)state;
    accept(&chat,
           WORDS("-m", "a.gguf", "--ctx-size=12", "-dev", "gpu", "--temp", "-1", "--top_k", "3",
                 "-p", "-hello", "--stop=a=b", "-r", "", "--prompt=-m", "--dump-config", "-c=9"),
           &args);
    assert_string_equal(clm_args_get(&args, "model"), "a.gguf");
    assert_string_equal(clm_args_get(&args, "device"), "gpu");
    assert_string_equal(clm_args_get(&args, "temperature"), "-1");
    assert_string_equal(clm_args_get(&args, "top_k"), "3");
    assert_string_equal(clm_args_get(&args, "prompt"), "-m"); /* the last one counts */
    assert_string_equal(clm_args_get_nth(&args, "prompt", 0), "-hello");
    assert_null(clm_args_get_nth(&args, "prompt", 2));
    assert_string_equal(clm_args_get_nth(&args, "stop", 0), "a=b");
    assert_string_equal(clm_args_get_nth(&args, "stop", 1), "");
    assert_string_equal(clm_args_get(&args, "ctx_size"), "9");
    assert_true(clm_args_has(&args, "dump_config"));
    assert_null(clm_args_get(&args, "dump_config"));
    assert_false(clm_args_has(&args, "seed"));
    assert_null(clm_args_get(&args, "seed"));
    assert_int_equal(args.n_words, 0);
    clm_args_clear(&args);

    accept(&bench, WORDS("one", "--fast", "-p", "512", "--", "--fast"), &args);
    assert_int_equal(args.n_words, 2);
    assert_string_equal(args.words[0], "one");
    assert_string_equal(args.words[1], "--fast");
    assert_string_equal(clm_args_get(&args, "n_prompt"), "512"); /* its own -p */
    clm_args_clear(&args);
    accept(&bench, WORDS("-"), &args);
    assert_string_equal(args.words[0], "-");
    clm_args_clear(&args);
    clm_args_clear(NULL);

    accept(&eval_logits, WORDS("--help", "--nonsense"), &args); /* although FILE is missing */
    assert_true(clm_args_has(&args, "help"));
    clm_args_clear(&args);
    accept(&chat, WORDS("--version"), &args);
    assert_true(clm_args_has(&args, "version"));
    clm_args_clear(&args);
}

static void test_refusals(void **state)
{
    char long_flag[4000], message[256];

    (void)state;
    refuse(&chat, WORDS("--ctx-szie", "1"), "unknown flag --ctx-szie; did you mean --ctx-size?");
    refuse(&chat, WORDS("--tmep=1"), "unknown flag --tmep; did you mean --temp?");
    refuse(&chat, WORDS("-temp", "1"), "unknown flag -temp; did you mean --temp?");
    refuse(&chat, WORDS("-x"), "unknown flag -x; `clm chat --help` lists them");
    refuse(&chat, WORDS("--walrus"), "unknown flag --walrus; `clm chat --help` lists them");
    refuse(&chat, WORDS("--%s%n"), "unknown flag --%s%n; `clm chat --help` lists them");
    refuse(&chat, WORDS("--json"), "clm chat does not take --json");
    refuse(&bench, WORDS("--fsat"), "unknown flag --fsat; did you mean --fast?");
    refuse(&chat, WORDS("-ngl", "99"),
           "-ngl: not supported: layers go to the devices of --device, by speed and free memory, "
           "or by shares: --device '[{select: 0, share: 3}, {select: 1, share: 1}]'");
    refuse(&chat, WORDS("--threads=4"),
           "--threads: not supported: the OpenCL driver of a CPU chooses its threads");
    refuse(&chat, WORDS("-ts", "3,1"),
           "-ts: not supported: write shares of several devices as --device '[{select: 0, share: "
           "3}, {select: 1, share: 1}]'");
    refuse(&chat, WORDS("-m"), "-m needs a value: MODEL");
    refuse(&chat, WORDS("-m", "--seed", "1"),
           "-m needs a value: MODEL (-m=--seed if that is the value)");
    refuse(&chat, WORDS("--dump-config=yes"), "--dump-config takes no value");
    refuse(&chat, WORDS("hello"), "clm chat takes no argument 'hello'; a model is -m MODEL");
    refuse(&bench, WORDS("a", "b", "c"), "one argument too many: 'c'");
    refuse(&eval_logits, WORDS("-c", "5"), "an argument is missing: clm eval logits FILE");

    memset(long_flag, 'x', sizeof long_flag);
    memcpy(long_flag, "--", 2);
    long_flag[sizeof long_flag - 1] = 0;
    snprintf(message, sizeof message, "unknown flag %.31s; `clm chat --help` lists them",
             long_flag);
    refuse(&chat, WORDS(long_flag), message);
}

static void test_numbers(void **state)
{
    clm_args args;
    clm_err err;
    uint64_t v;

    (void)state;
    accept(&bench, WORDS("-p", "18446744073709551615"), &args);
    assert_int_equal(clm_args_get_u64(&args, "n_prompt", 0, UINT64_MAX, 1, &v, &err), CLM_OK);
    assert_true(v == UINT64_MAX);
    assert_int_equal(clm_args_get_u64(&args, "n_prompt", 1, 100, 1, &v, &err), CLM_E_USAGE);
    assert_string_equal(err.text, "-p: 18446744073709551615 is out of range (1 to 100)");
    assert_int_equal(clm_args_get_u64(&args, "absent", 1, 100, 42, &v, &err), CLM_OK);
    assert_int_equal(v, 42);
    clm_args_clear(&args);
    static const char *const bad[] = {"", "-1", "1x", " 1", "1.5", "0x1", "18446744073709551616"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        accept(&bench, WORDS("-p", bad[i]), &args);
        assert_int_equal(clm_args_get_u64(&args, "n_prompt", 0, UINT64_MAX, 1, &v, &err),
                         CLM_E_USAGE);
        clm_args_clear(&args);
    }
}

/* default < preset of the command < file < environment < flag */
static void test_precedence(void **state)
{
    char path[] = "/tmp/clm-test-args-XXXXXX";
    static const char text[] = "ctx_size: 10\ntop_k: 10\nseed: 10\nkv_cache_type: int8\n";
    int fd = mkstemp(path);
    const clm_settings *s;
    clm_config *config = NULL;
    clm_args args;
    clm_err err = {""};

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    setenv("CLM_TOP_K", "20", 1);
    setenv("CLM_SEED", "20", 1);
    accept(&chat, WORDS("--seed", "30", "--config", path, "--stop", "a\n", "--stop", "[\"\\"),
           &args);
    if (clm_args_config(&args, &config, &err) != CLM_OK) print_error("%s\n", err.text);
    assert_non_null(config);
    s = clm_config_settings(config);
    assert_int_equal(s->batch_size, 512);
    assert_int_equal(s->ctx_size, 10);
    assert_int_equal(s->top_k, 20);
    assert_int_equal(s->seed, 30);
    assert_int_equal(s->n_stop, 2);
    assert_string_equal(s->stop[0], "a\n");
    assert_string_equal(s->stop[1], "[\"\\");
    clm_config_destroy(config);
    clm_args_clear(&args);

    accept(&eval_logits, WORDS("ids", "--config", path), &args);
    assert_int_equal(clm_args_config(&args, &config, &err), CLM_OK);
    assert_int_equal(clm_config_settings(config)->kv_cache_type, CLM_KV_INT8);
    assert_int_equal(clm_config_settings(config)->activations, CLM_ACT_F32);
    clm_config_destroy(config);
    clm_args_clear(&args);
    unsetenv("CLM_TOP_K");
    unsetenv("CLM_SEED");
    unlink(path);
}

static void test_bad_values(void **state)
{
    clm_config *config = NULL;
    clm_args args;
    clm_err err;

    (void)state;
    accept(&chat, WORDS("-c", "5", "--temp", "hot"), &args);
    assert_int_equal(clm_args_config(&args, &config, &err), CLM_E_CONFIG);
    assert_string_equal(err.text, "--temp: 'hot' is not a number");
    assert_null(config);
    clm_args_clear(&args);
    accept(&chat, WORDS("--config", "/no/such.yaml"), &args);
    assert_int_equal(clm_args_config(&args, &config, &err), CLM_E_CONFIG);
    assert_null(config);
    clm_args_clear(&args);
    setenv("CLM_TOP_P", "2", 1);
    accept(&chat, WORDS("--top-p", "1"), &args);
    assert_int_equal(clm_args_config(&args, &config, &err), CLM_E_CONFIG);
    assert_string_equal(err.text, "CLM_TOP_P: 2 is out of range (above 0 to 1)");
    unsetenv("CLM_TOP_P");
    clm_args_clear(&args);
}

/* Every shared flag with a key sets a key that exists, under a name of its own. */
static void test_table(void **state)
{
    size_t n;
    const clm_flag *flags = clm_flags_shared(&n);

    (void)state;
    assert_true(n > 20);
    for (size_t i = 0; i < n; i++) {
        clm_key_info info;

        assert_true(flags[i].group != 0);
        assert_true((flags[i].key != NULL) != (flags[i].id != NULL));
        if (flags[i].key != NULL) {
            assert_true(clm_config_describe(flags[i].key, &info));
            assert_string_equal(info.name, flags[i].key);
            assert_non_null(flags[i].value);
        } else {
            assert_non_null(flags[i].help);
        }
        for (size_t k = 0; k < i; k++) {
            char names[256], *save = NULL;
            snprintf(names, sizeof names, "%s", flags[i].names);
            for (char *p = strtok_r(names, ", ", &save); p != NULL;
                 p = strtok_r(NULL, ", ", &save)) {
                const char *at = strstr(flags[k].names, p);
                size_t len = strlen(p);
                bool same = at != NULL && (at == flags[k].names || at[-1] == ' ') &&
                            (at[len] == 0 || at[len] == ',');
                assert_true(strlen(p) < 32);
                assert_false(same);
            }
        }
    }
}

static void test_help(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    (void)state;
    clm_args_print_help(&bench, f);
    clm_args_print_help(&eval_logits, f);
    clm_command_print_list(commands, 4, f);
    fclose(f);
    assert_non_null(strstr(text, "Usage: clm bench"));
    assert_non_null(strstr(text, "\n  -p, --prompt-tokens N           tokens of prompt\n"));
    assert_non_null(strstr(text, "\n      --fast                      be fast\n"));
    assert_non_null(strstr(text, "  --kv-cache-type TYPE        f32: exact | f16 | int8 [f32]\n"));
    assert_non_null(strstr(text, "  -c, --ctx-size N "));
    assert_non_null(strstr(text, "\n  eval ppl       perplexity\n"));
    assert_null(strstr(text, "--temp"));
    if (getenv("CLM_TEST_VERBOSE") != NULL) print_message("%s", text);
    free(text);
}

static clm_status find(const char *const *words, const clm_command **out, int *n, clm_err *err)
{
    char *argv[WORDS_MAX + 1] = {(char *)(uintptr_t) "clm"};
    int argc = 1;

    for (; words[argc - 1] != NULL; argc++) argv[argc] = (char *)(uintptr_t)words[argc - 1];
    return clm_command_find(commands, 4, argc, argv, out, n, err);
}

static void test_commands(void **state)
{
    const clm_command *c;
    clm_err err;
    int n;

    (void)state;
    assert_int_equal(find(WORDS("chat", "-p"), &c, &n, &err), CLM_OK);
    assert_ptr_equal(c, &chat);
    assert_int_equal(n, 1);
    assert_int_equal(find(WORDS("eval", "ppl", "x"), &c, &n, &err), CLM_OK);
    assert_ptr_equal(c, &eval_ppl);
    assert_int_equal(n, 2);
    assert_int_equal(find(WORDS("eval"), &c, &n, &err), CLM_E_USAGE);
    assert_string_equal(err.text, "clm eval is followed by one of logits, ppl");
    assert_null(c);
    assert_int_equal(find(WORDS("caht"), &c, &n, &err), CLM_E_USAGE);
    assert_string_equal(err.text, "unknown command 'caht'; did you mean 'chat'?");
    assert_int_equal(find(WORDS("walrus"), &c, &n, &err), CLM_E_USAGE);
    assert_string_equal(err.text, "unknown command 'walrus'; `clm --help` lists them");
    assert_int_equal(find((const char *const[]){NULL}, &c, &n, &err), CLM_E_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),      cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_numbers),    cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_bad_values), cmocka_unit_test(test_table),
        cmocka_unit_test(test_help),       cmocka_unit_test(test_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
