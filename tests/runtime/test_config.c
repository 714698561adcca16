/* tests/runtime/test_config.c: defaults, files, environment and flags; refusals with their places;
 * the dump; and the malformed files of the golden folder.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "host/file.h"
#include "runtime/clm.h"
#include "runtime/text/chat_template.h"

#define GOLDEN_YAML CLM_GOLDEN "/bad/yaml"
#define GOLDEN_BASE CLM_GOLDEN "/bad/base.yaml"

/* A folder of its own for each run; removed by teardown. */
static char folder[64];
static char home[4096];

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/clm-test-config-XXXXXX");
    return mkdtemp(folder) != NULL && getcwd(home, sizeof home) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static clm_config *create(void)
{
    clm_config *c = NULL;
    clm_err err = {""};

    if (clm_config_create(&c, &err) != CLM_OK) print_error("%s\n", err.text);
    assert_non_null(c);
    return c;
}

/* Writes `text` as <folder>/t.yaml and returns that path. */
static const char *write_file(const char *text, size_t size)
{
    static char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/t.yaml", folder);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, size, f), size);
    fclose(f);
    return path;
}

static clm_status load_text(clm_config *c, const char *text, clm_err *err)
{
    err->text[0] = 0;
    return clm_config_load(c, write_file(text, strlen(text)), err);
}

static void assert_same(const clm_settings *a, const clm_settings *b)
{
    assert_string_equal(a->model, b->model);
    assert_int_equal(a->weights, b->weights);
    assert_string_equal(a->chat_template, b->chat_template);
    assert_string_equal(a->system, b->system);
    assert_int_equal(a->n_devices, b->n_devices);
    for (size_t i = 0; i < a->n_devices; i++) {
        assert_string_equal(a->devices[i].select, b->devices[i].select);
        assert_true(a->devices[i].share == b->devices[i].share);
    }
    assert_int_equal(a->backend, b->backend);
    assert_int_equal(a->activations, b->activations);
    assert_int_equal(a->kernels, b->kernels);
    assert_int_equal(a->ctx_size, b->ctx_size);
    assert_int_equal(a->batch_size, b->batch_size);
    assert_int_equal(a->kv_cache_type, b->kv_cache_type);
    assert_true(a->temperature == b->temperature);
    assert_int_equal(a->top_k, b->top_k);
    assert_true(a->top_p == b->top_p);
    assert_true(a->min_p == b->min_p);
    assert_true(a->repetition_penalty == b->repetition_penalty);
    assert_int_equal(a->max_new_tokens, b->max_new_tokens);
    assert_true(a->seed == b->seed);
    assert_int_equal(a->n_stop, b->n_stop);
    for (size_t i = 0; i < a->n_stop; i++) assert_string_equal(a->stop[i], b->stop[i]);
    assert_int_equal(a->tuning_mode, b->tuning_mode);
    assert_true(a->tuning_budget_s == b->tuning_budget_s);
    assert_string_equal(a->server_host, b->server_host);
    assert_int_equal(a->server_port, b->server_port);
    assert_string_equal(a->server_api_key_file, b->server_api_key_file);
    assert_string_equal(a->server_origins, b->server_origins);
    assert_int_equal(a->server_parallel, b->server_parallel);
}

static void assert_defaults(const clm_settings *s)
{
    assert_string_equal(s->model, "");
    assert_int_equal(s->weights, CLM_WEIGHTS_KEEP);
    assert_string_equal(s->chat_template, "auto");
    assert_string_equal(s->system, "");
    assert_int_equal(s->n_devices, 1);
    assert_string_equal(s->devices[0].select, "auto");
    assert_true(s->devices[0].share == 0);
    assert_int_equal(s->backend, CLM_BACKEND_OPENCL);
    assert_int_equal(s->activations, CLM_ACT_AUTO);
    assert_int_equal(s->ctx_size, 0);
    assert_int_equal(s->batch_size, 512);
    assert_int_equal(s->kv_cache_type, CLM_KV_F16);
    assert_true(s->temperature == 0.35 && s->top_p == 0.95 && s->min_p == 0);
    assert_true(s->repetition_penalty == 1.1);
    assert_int_equal(s->top_k, 0);
    assert_int_equal(s->max_new_tokens, 2048);
    assert_true(s->seed == 0);
    assert_int_equal(s->n_stop, 0);
    assert_int_equal(s->tuning_mode, CLM_TUNING_AUTO);
    assert_true(s->tuning_budget_s == 60);
    assert_string_equal(s->server_host, "127.0.0.1");
    assert_int_equal(s->server_port, 8080);
    assert_string_equal(s->server_api_key_file, "");
    assert_string_equal(s->server_origins, "");
    assert_int_equal(s->server_parallel, 4);
}

static void test_defaults(void **state)
{
    clm_config *c = create();
    clm_err err;

    (void)state;
    assert_defaults(clm_config_settings(c));
    assert_int_equal(load_text(c, "", &err), CLM_OK);
    assert_int_equal(load_text(c, "# nothing\nserver:\n", &err), CLM_OK);
    assert_defaults(clm_config_settings(c));
    clm_config_destroy(c);
    clm_config_destroy(NULL);
}

/* The example of docs/design.md, with every value away from its default. */
static const char full[] =
    "model: models/x\n"
    "weights: int4\n"
    "template: baichuan-instruction\n"
    "system: no\n"
    "device: [{select: 0, share: 3}, {select: \"Arc, A770\"}, cpu]\n"
    "backend: ref\n"
    "activations: int8\n"
    "kernels: plain\n"
    "ctx_size: 1024\n"
    "batch_size: 64\n"
    "kv_cache_type: int8\n"
    "temperature: 0.7\n"
    "top_k: 5\n"
    "top_p: 0.85\n"
    "min_p: 0.05\n"
    "repetition_penalty: 1.05\n"
    "max_new_tokens: 7\n"
    "seed: 18446744073709551615\n"
    "stop: [\"\\nHuman:\", \"\xe4\xba\xba\", 1, no]\n"
    "tuning: {mode: off, budget_s: 12.5}\n"
    "server: {host: \"::1\", port: 65535, api_key_file: keys, origins: \"https://a.example *\",\n"
    "         parallel: 1024}\n";

static void assert_full(const clm_settings *s)
{
    assert_string_equal(s->model, "models/x");
    assert_int_equal(s->weights, CLM_WEIGHTS_INT4);
    assert_string_equal(s->chat_template, "baichuan-instruction");
    assert_string_equal(s->system, "no");
    assert_int_equal(s->n_devices, 3);
    assert_string_equal(s->devices[0].select, "0");
    assert_true(s->devices[0].share == 3);
    assert_string_equal(s->devices[1].select, "Arc, A770");
    assert_true(s->devices[1].share == 0);
    assert_string_equal(s->devices[2].select, "cpu");
    assert_int_equal(s->backend, CLM_BACKEND_REF);
    assert_int_equal(s->activations, CLM_ACT_INT8);
    assert_int_equal(s->kernels, CLM_KERNELS_PLAIN);
    assert_int_equal(s->ctx_size, 1024);
    assert_int_equal(s->batch_size, 64);
    assert_int_equal(s->kv_cache_type, CLM_KV_INT8);
    assert_true(s->temperature == 0.7 && s->top_p == 0.85 && s->min_p == 0.05);
    assert_true(s->repetition_penalty == 1.05);
    assert_int_equal(s->top_k, 5);
    assert_int_equal(s->max_new_tokens, 7);
    assert_true(s->seed == UINT64_MAX);
    assert_int_equal(s->n_stop, 4);
    assert_string_equal(s->stop[0], "\nHuman:");
    assert_string_equal(s->stop[1], "\xe4\xba\xba");
    assert_string_equal(s->stop[2], "1");
    assert_string_equal(s->stop[3], "no");
    assert_int_equal(s->tuning_mode, CLM_TUNING_OFF);
    assert_true(s->tuning_budget_s == 12.5);
    assert_string_equal(s->server_host, "::1");
    assert_int_equal(s->server_port, 65535);
    assert_string_equal(s->server_api_key_file, "keys");
    assert_string_equal(s->server_origins, "https://a.example *");
    assert_int_equal(s->server_parallel, 1024);
}

static void test_full_and_dump(void **state)
{
    clm_config *a = create(), *b = create();
    clm_err err = {""};
    char *text = NULL, *again = NULL;

    (void)state;
    assert_int_equal(load_text(a, full, &err), CLM_OK);
    assert_full(clm_config_settings(a));
    assert_int_equal(clm_config_dump(a, &text, &err), CLM_OK);
    assert_non_null(strstr(text, ", {select: cpu}]")); /* no share was given */
    if (load_text(b, text, &err) != CLM_OK) print_error("%s\n%s\n", err.text, text);
    assert_full(clm_config_settings(b));
    assert_int_equal(clm_config_dump(b, &again, &err), CLM_OK);
    assert_string_equal(text, again);
    assert_non_null(strstr(text, "\n  port: 65535  #"));
    free(text);
    free(again);
    clm_config_destroy(a);
    clm_config_destroy(b);
}

/* What a model may recommend is a comment in the dump until somebody sets it: reading the dump back
 * must not turn defaults into settings. */
static void test_dump_of_advised_keys(void **state)
{
    clm_config *a = create(), *b = create();
    clm_err err = {""};
    char *text = NULL;

    (void)state;
    assert_int_equal(clm_config_settings(a)->given, 0);
    assert_int_equal(load_text(a, "top_p: 0.95\nseed: 3\n", &err), CLM_OK);
    assert_int_equal(clm_config_dump(a, &text, &err), CLM_OK);
    assert_non_null(strstr(text, "\ntop_p: 0.95  #"));
    assert_non_null(strstr(text, "\n#top_k: 0  #"));
    assert_non_null(strstr(text, "\n#temperature: 0.35  #"));
    assert_non_null(strstr(text, "\nctx_size: 0  #"));
    assert_int_equal(load_text(b, text, &err), CLM_OK);
    free(text);
    assert_int_equal(clm_config_dump(b, &text, &err), CLM_OK);
    assert_non_null(strstr(text, "\n#top_k: 0  #"));
    free(text);
    clm_config_destroy(a);
    clm_config_destroy(b);
}

static void test_dump_texts(void **state)
{
    static const char *const texts[] = {"no",       "1",   "a\nb\n",
                                        "\"q\"",    "[x",  "- a",
                                        "a: b # c", "~",   "\xe4\xba\xba\xf0\x9f\x98\x80",
                                        "\x1b[31m", " x ", "%s%n"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        clm_config *a = create(), *b = create();
        char *text = NULL;
        clm_err err = {""};

        assert_int_equal(clm_config_set(a, "system", texts[i], "--system", &err), CLM_OK);
        assert_string_equal(clm_config_settings(a)->system, texts[i]);
        assert_int_equal(clm_config_set(a, "model", texts[i], "-m", &err), CLM_OK);
        if (texts[i][0] != '[') {
            assert_int_equal(clm_config_set(a, "stop", texts[i], "--stop", &err), CLM_OK);
            assert_int_equal(clm_config_set(a, "device", texts[i], "--device", &err), CLM_OK);
            assert_string_equal(clm_config_settings(a)->devices[0].select, texts[i]);
        }
        assert_int_equal(clm_config_dump(a, &text, &err), CLM_OK);
        if (load_text(b, text, &err) != CLM_OK) print_error("%s\n%s\n", err.text, text);
        assert_same(clm_config_settings(a), clm_config_settings(b));
        free(text);
        clm_config_destroy(a);
        clm_config_destroy(b);
    }
}

/* ---- Refusals --------------------------------------------------------------------------------- */

/* The message is "<path>:<sentence>", and the values stay. */
static void refuse(const char *text, const char *sentence)
{
    clm_config *c = create();
    char expected[800];
    clm_err err;
    clm_status st = load_text(c, text, &err);

    snprintf(expected, sizeof expected, "%s/t.yaml:%s", folder, sentence);
    if (st != CLM_E_CONFIG) print_error("accepted: %s\n", text);
    assert_int_equal(st, CLM_E_CONFIG);
    assert_string_equal(err.text, expected);
    assert_defaults(clm_config_settings(c));
    clm_config_destroy(c);
}

static void test_unknown(void **state)
{
    (void)state;
    refuse("top_k: 5\nctx_szie: 1\n", "2:1: unknown key 'ctx_szie'; did you mean 'ctx_size'?");
    refuse("Model: x\n", "1:1: unknown key 'Model'; did you mean 'model'?");
    refuse("server: {prot: 1}\n", "1:10: unknown key 'prot'; did you mean 'port'?");
    refuse("port: 1\n", "1:1: unknown key 'port'; did you mean 'server.port'?");
    refuse("server: {top_k: 1}\n", "1:10: unknown key 'top_k'; did you mean 'top_k'?");
    refuse("repeat_penalti: 1\n",
           "1:1: unknown key 'repeat_penalti'; did you mean 'repetition_penalty'?");
    refuse("zzzzzz: 1\n", "1:1: unknown key 'zzzzzz'; `--dump-config` prints all keys");
    refuse("device: {select: 0, sahre: 1}\n", "1:9: device: a list is needed here, not a mapping");
    refuse("device: [{select: 0, sahre: 1}]\n",
           "1:22: unknown key 'sahre'; a device has 'select' and 'share'; did you mean 'share'?");
    refuse("device: [{share: 1}]\n", "1:10: the device has no 'select'");
    refuse("device: []\n", "1:9: device: the list of devices is empty");
    refuse("device: \"\"\n", "1:9: device: an empty device name");
    refuse("device: [{select: 0, share: 0}]\n", "1:29: share: 0 is out of range (above 0 to 1000)");
    refuse("device: [{select: 0, share: -1}]\n",
           "1:29: share: -1 is out of range (above 0 to 1000)");
}

static void test_types_and_ranges(void **state)
{
    (void)state;
    refuse("model:\n", "1:7: model: a text is needed here, not nothing");
    refuse("model: [a]\n", "1:8: model: a text is needed here, not a list");
    refuse("tuning: greedy\n", "1:9: tuning: a mapping is needed here, not a single value");
    refuse("weights: int3\n",
           "1:10: weights: 'int3' is not one of keep, f16, int8, int4; did you mean 'int8'?");
    refuse("kv_cache_type: q8_0\n", "1:16: kv_cache_type: 'q8_0' is not one of f32, f16, int8");
    refuse("template: vicunia\n", "1:11: template: 'vicunia' is not one of auto, "
                                  "baichuan-instruction, baichuan-chat, llama2, "
                                  "alpaca, vicuna, ziya, chatml, none; did you mean 'vicuna'?");
    refuse("top_k: \"5\"\n",
           "1:8: top_k: a whole number is needed here, not the text \"5\" in quotes");
    refuse("ctx_size: 0200\n", "1:11: ctx_size: '0200' begins with a zero; write a decimal number");
    refuse("ctx_size: 1048577\n", "1:11: ctx_size: 1048577 is out of range (0 to 1048576)");
    refuse("batch_size: 0\n", "1:13: batch_size: 0 is out of range (1 to 65536)");
    refuse("top_p: 0\n", "1:8: top_p: 0 is out of range (above 0 to 1)");
    refuse("min_p: 1.01\n", "1:8: min_p: 1.01 is out of range (0 to 1)");
    refuse("temperature: 100.5\n", "1:14: temperature: 100.5 is out of range (0 to 100)");
    refuse("repetition_penalty: 11\n",
           "1:21: repetition_penalty: 11 is out of range (above 0 to 10)");
    refuse("seed: -2\n", "1:7: seed: -2 is out of range (0 to 18446744073709551615)");
    refuse("stop: [a, \"\"]\n", "1:11: an empty stop text");
    refuse("temp: 0.1\ntop_k: 1\ntemperature: 0.2\n",
           "3:1: 'temperature' is already set in line 1");
    refuse("server.port: 1\nserver: {port: 2}\n", "2:10: 'server.port' is already set in line 1");
}

static void test_aliases(void **state)
{
    clm_config *c = create();
    const clm_settings *s = clm_config_settings(c);
    char *text = NULL;
    clm_err err;

    (void)state;
    assert_int_equal(load_text(c,
                               "temp: 0.5\nrepeat_penalty: 1.2\nn_predict: 9\nn_ctx: 99\n"
                               "server.port: 81\n",
                               &err),
                     CLM_OK);
    assert_true(s->temperature == 0.5 && s->repetition_penalty == 1.2);
    assert_int_equal(s->max_new_tokens, 9);
    assert_int_equal(s->ctx_size, 99);
    assert_int_equal(s->server_port, 81);
    assert_int_equal(load_text(c, "max_tokens: 10\nstop: END\n", &err), CLM_OK);
    assert_int_equal(s->max_new_tokens, 10);
    assert_int_equal(s->ctx_size, 99); /* a second file is read over the first */
    assert_int_equal(s->n_stop, 1);
    assert_string_equal(s->stop[0], "END");
    assert_int_equal(clm_config_dump(c, &text, &err), CLM_OK);
    assert_non_null(strstr(text, "\nmax_new_tokens: 10 "));
    assert_null(strstr(text, "max_tokens: "));
    free(text);
    clm_config_destroy(c);
}

static void test_set(void **state)
{
    clm_config *c = create();
    const clm_settings *s = clm_config_settings(c);
    clm_err err;

    (void)state;
    assert_int_equal(clm_config_set(c, "ctx_size", "77", "-c", &err), CLM_OK);
    assert_int_equal(s->ctx_size, 77);
    assert_int_equal(clm_config_set(c, "max_new_tokens", "-1", "-n", &err), CLM_OK);
    assert_int_equal(s->max_new_tokens, 1048576); /* as other programs write "no limit" */
    assert_int_equal(clm_config_set(c, "top_k", "-1", "--top-k", &err), CLM_OK);
    assert_int_equal(s->top_k, 0);
    assert_int_equal(clm_config_set(c, "ctx_size", "-1", "-c", &err), CLM_E_CONFIG);
    assert_int_equal(clm_config_set(c, "ctx_size", "7x", "-c", &err), CLM_E_CONFIG);
    assert_string_equal(err.text, "-c: '7x' is not a whole number");
    assert_int_equal(s->ctx_size, 77);
    assert_int_equal(clm_config_set(c, "temp", "", "--temp", &err), CLM_E_CONFIG);
    assert_int_equal(clm_config_set(c, "temp", "nan", "--temp", &err), CLM_E_CONFIG);
    assert_string_equal(err.text, "--temp: 'nan' is not a number");
    assert_int_equal(clm_config_set(c, "server.port", "65536", "--port", &err), CLM_E_CONFIG);
    assert_string_equal(err.text, "--port: 65536 is out of range (0 to 65535)");
    assert_int_equal(clm_config_set(c, "tempratur", "0", "x", &err), CLM_E_CONFIG);
    assert_string_equal(err.text, "x: unknown key 'tempratur'; did you mean 'temperature'?");
    assert_int_equal(clm_config_set(c, "device", "[{select: a, share: 1}, b]", "-dev", &err),
                     CLM_OK);
    assert_int_equal(s->n_devices, 2);
    assert_int_equal(clm_config_set(c, "device", "0, 12,3", "-dev", &err), CLM_OK);
    assert_int_equal(s->n_devices, 3);
    assert_string_equal(s->devices[1].select, "12");
    assert_int_equal(clm_config_set(c, "device", "A770, 0", "-dev", &err), CLM_OK);
    assert_int_equal(s->n_devices, 1);
    assert_string_equal(s->devices[0].select, "A770, 0");
    assert_int_equal(clm_config_set(c, "device", "0,1", "-dev", &err), CLM_OK);
    assert_int_equal(clm_config_set(c, "device", ",", "-dev", &err), CLM_E_CONFIG);
    assert_int_equal(clm_config_set(c, "device", "[a", "-dev", &err), CLM_E_CONFIG);
    assert_int_equal(strncmp(err.text, "-dev:2:1: not valid YAML", 24), 0);
    assert_int_equal(s->n_devices, 2);
    assert_int_equal(clm_config_set(c, "stop", "a: [b]", "--stop", &err), CLM_OK);
    assert_string_equal(s->stop[0], "a: [b]");
    assert_int_equal(clm_config_set(c, "system", "\xff", "--system", &err), CLM_E_CONFIG);
    clm_config_destroy(c);
}

static void test_misspelled_environment(void **state)
{
    static char misspelled[] = "CLM_CTX_SZIE=1", right[] = "CLM_CTX_SIZE=1", no_key[] = "CLM_AMX=1",
                unlike[] = "CLM_SOMETHING_ELSE=1", others[] = "CLX_CTX_SIZE=1";
    static char *all[] = {misspelled, right, no_key, unlike, others, NULL};
    char name[CLM_ENV_NAME], near[CLM_ENV_NAME], rest[CLM_ENV_NAME], **before = environ;
    size_t next = 0;
    bool first, second;

    (void)state;
    environ = all;
    first = clm_config_env_stray(&next, name, near);
    second = first && clm_config_env_stray(&next, rest, rest);
    environ = before;
    assert_true(first);
    assert_false(second);
    assert_string_equal(name, "CLM_CTX_SZIE");
    assert_string_equal(near, "CLM_CTX_SIZE");
}

static void test_environment(void **state)
{
    clm_config *c = create();
    const clm_settings *s = clm_config_settings(c);
    clm_err err;

    (void)state;
    setenv("CLM_CTX_SIZE", "321", 1);
    setenv("CLM_SERVER_PORT", "9", 1);
    setenv("CLM_TUNING_MODE", "off", 1);
    setenv("CLM_TOP_K", "", 1);
    setenv("CLM_STOP", "[a, b]", 1);
    assert_int_equal(clm_config_load_env(c, &err), CLM_OK);
    assert_int_equal(s->ctx_size, 321);
    assert_int_equal(s->server_port, 9);
    assert_int_equal(s->tuning_mode, CLM_TUNING_OFF);
    assert_int_equal(s->top_k, 0);
    assert_int_equal(s->n_stop, 2);
    setenv("CLM_CTX_SIZE", "322", 1);
    setenv("CLM_SERVER_PORT", "x", 1);
    assert_int_equal(clm_config_load_env(c, &err), CLM_E_CONFIG);
    assert_string_equal(err.text, "CLM_SERVER_PORT: 'x' is not a whole number");
    assert_int_equal(s->ctx_size, 321); /* nothing of a bad environment is taken */
    unsetenv("CLM_CTX_SIZE");
    unsetenv("CLM_SERVER_PORT");
    unsetenv("CLM_TUNING_MODE");
    unsetenv("CLM_TOP_K");
    unsetenv("CLM_STOP");
    clm_config_destroy(c);
}

/* ---- Paths ------------------------------------------------------------------------------------ */

static void test_paths(void **state)
{
    clm_config *c = create(), *d = create();
    const clm_settings *s = clm_config_settings(c);
    char path[256], name[128], *text = NULL;
    clm_err err = {""};

    (void)state;
    snprintf(path, sizeof path, "%s/beside", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(load_text(c, "model: beside\n", &err), CLM_OK);
    assert_string_equal(s->model, path);
    assert_int_equal(load_text(c, "model: elsewhere\n", &err), CLM_OK);
    assert_string_equal(s->model, "elsewhere");
    assert_int_equal(load_text(c, "model: /beside\n", &err), CLM_OK);
    assert_string_equal(s->model, "/beside");
    assert_int_equal(clm_config_set(c, "model", "beside", "-m", &err), CLM_OK);
    assert_string_equal(s->model, "beside");

    /* a name under $CLM_MODELS, for models only */
    setenv("CLM_MODELS", folder, 1);
    assert_int_equal(clm_config_set(c, "model", "beside", "-m", &err), CLM_OK);
    assert_string_equal(s->model, path);
    assert_int_equal(clm_config_set(c, "model", "nowhere", "-m", &err), CLM_OK);
    assert_string_equal(s->model, "nowhere");
    assert_int_equal(clm_config_set(c, "server.api_key_file", "beside", "x", &err), CLM_OK);
    assert_string_equal(s->server_api_key_file, "beside");
    unsetenv("CLM_MODELS");

    /* a relative file name, and a dump that holds from any folder */
    snprintf(name, sizeof name, "../%s/t.yaml", strrchr(folder, '/') + 1);
    assert_int_equal(load_text(c, "model: beside\n", &err), CLM_OK);
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(clm_config_load(c, name, &err), CLM_OK);
    assert_int_equal(clm_config_dump(c, &text, &err), CLM_OK);
    assert_int_equal(chdir(home), 0);
    assert_int_equal(load_text(d, text, &err), CLM_OK);
    assert_int_equal(clm_config_settings(d)->model[0], '/');
    assert_true(clm_file_is_dir(clm_config_settings(d)->model));
    free(text);

    snprintf(path, sizeof path, "%s", getenv("HOME") != NULL ? getenv("HOME") : "");
    setenv("HOME", "/h", 1);
    assert_int_equal(load_text(c, "model: ~/m.gguf\n", &err), CLM_OK);
    assert_string_equal(s->model, "/h/m.gguf");
    setenv("HOME", path, 1);

    assert_int_equal(clm_config_load(c, "/no/such/file.yaml", &err), CLM_E_CONFIG);
    assert_non_null(strstr(err.text, "/no/such/file.yaml"));
    assert_int_equal(clm_config_load(c, folder, &err), CLM_E_CONFIG);
    clm_config_destroy(c);
    clm_config_destroy(d);
}

/* ---- Words ------------------------------------------------------------------------------------ */

static void test_words(void **state)
{
    static const char *const words[] = {"chat", "generate", "serve", "tune"};
    clm_key_info info;
    char list[4000];

    (void)state;
    assert_string_equal(clm_word_nearest("caht", words, 4), "chat");
    assert_string_equal(clm_word_nearest("GENERATE", words, 4), "generate");
    assert_string_equal(clm_word_nearest("generat", words, 4), "generate");
    assert_null(clm_word_nearest("walrus", words, 4));
    assert_null(clm_word_nearest("", words, 4));
    memset(list, 'c', sizeof list);
    list[sizeof list - 1] = 0;
    assert_null(clm_word_nearest(list, words, 4));
    assert_true(clm_config_describe("repeat_penalty", &info));
    assert_string_equal(info.name, "repetition_penalty");
    assert_string_equal(info.preset, "1.1");
    assert_false(clm_config_describe("server", &info));
}

/* The templates of the schema are those of the code. */
static void test_templates(void **state)
{
    clm_config *c = create();

    (void)state;
    for (int t = 0; t < CLM_TEMPLATE_COUNT; t++) {
        const char *name = clm_template_name((clm_template)t);
        assert_non_null(name);
        assert_int_equal(clm_config_set(c, "template", name, "t", NULL), CLM_OK);
    }
    clm_config_destroy(c);
}

/* The files that users start from load. */
static void test_shipped(void **state)
{
    DIR *dir = opendir(CLM_SOURCE_DIR "/configs");
    size_t n = 0;

    (void)state;
    assert_non_null(dir);
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        const char *dot = strrchr(e->d_name, '.');
        clm_config *c;
        char path[1024];
        clm_err err = {""};

        if (dot == NULL || strcmp(dot, ".yaml") != 0) continue;
        c = create();
        snprintf(path, sizeof path, CLM_SOURCE_DIR "/configs/%s", e->d_name);
        if (clm_config_load(c, path, &err) != CLM_OK) print_error("%s\n", err.text);
        assert_int_equal(clm_config_load(c, path, &err), CLM_OK);
        assert_true(clm_config_settings(c)->model[0] != 0);
        clm_config_destroy(c);
        n++;
    }
    closedir(dir);
    assert_true(n >= 3);
}

/* ---- Golden folder ---------------------------------------------------------------------------- */

static void need_golden(void)
{
    if (!clm_file_exists(GOLDEN_BASE)) {
        fprintf(stderr, "GOLDEN FILES ABSENT: %s\n", GOLDEN_BASE);
        skip();
    }
}

static void test_golden_base(void **state)
{
    clm_config *c = create();
    const clm_settings *s = clm_config_settings(c);
    clm_err err = {""};

    (void)state;
    if (!clm_file_exists(GOLDEN_BASE)) clm_config_destroy(c);
    need_golden();
    assert_int_equal(clm_config_load(c, GOLDEN_BASE, &err), CLM_OK);
    assert_string_equal(s->model, CLM_GOLDEN "/bad/base");
    assert_int_equal(s->ctx_size, 128);
    assert_int_equal(s->kv_cache_type, CLM_KV_F32);
    assert_true(s->temperature == 0.3);
    assert_true(s->seed == 1);
    clm_config_destroy(c);
}

/* What golden/bad/README.md says of a file: 'r'efuse, 'e'ither, or 0 when it is not listed. */
static char expectation(const char *readme, const char *name)
{
    char row[300];
    const char *at;

    snprintf(row, sizeof row, "| `yaml/%s` | ", name);
    at = strstr(readme, row);
    return at != NULL ? at[strlen(row)] : 0;
}

static void check_bad(const char *name, char expected)
{
    clm_config *c = create();
    char path[1024];
    clm_err err = {""};
    clm_status st;

    snprintf(path, sizeof path, GOLDEN_YAML "/%s", name);
    st = clm_config_load(c, path, &err);
    if (expected == 'r' && st != CLM_E_CONFIG) print_error("%s is not refused\n", name);
    if (expected == 'r') assert_int_equal(st, CLM_E_CONFIG);
    assert_true(st == CLM_OK || st == CLM_E_CONFIG);
    if (st != CLM_OK) {
        const char *place = strstr(err.text, name);
        size_t line = 0, column = 0;

        assert_non_null(place);
        assert_int_equal(sscanf(place + strlen(name), ":%zu:%zu: ", &line, &column), 2);
        assert_true(line > 0 && column > 0);
        assert_true(strlen(err.text) < 400);
        for (const char *p = err.text; *p != 0; p++) assert_true((unsigned char)*p >= 0x20);
        assert_defaults(clm_config_settings(c));
        if (getenv("CLM_TEST_VERBOSE") != NULL) print_message("%s\n", err.text);
    }
    clm_config_destroy(c);
}

static void test_golden_bad(void **state)
{
    char *readme = NULL;
    size_t size, n = 0;
    DIR *dir;

    (void)state;
    need_golden();
    assert_int_equal(clm_file_read(CLM_GOLDEN "/bad/README.md", 1u << 20, &readme, &size, NULL),
                     CLM_OK);
    dir = opendir(GOLDEN_YAML);
    assert_non_null(dir);
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char expected;

        if (e->d_name[0] == '.') continue;
        expected = expectation(readme, e->d_name);
        if (expected == 0) print_error("%s is not in README.md\n", e->d_name);
        assert_true(expected == 'r' || expected == 'e');
        check_bad(e->d_name, expected);
        n++;
    }
    closedir(dir);
    free(readme);
    assert_true(n >= 71);
    assert_false(clm_file_exists("clm-was-here"));
}

static void test_golden_prefixes(void **state)
{
    char *text = NULL;
    size_t size;

    (void)state;
    need_golden();
    assert_int_equal(clm_file_read(GOLDEN_BASE, 1u << 20, &text, &size, NULL), CLM_OK);
    for (size_t i = 0; i <= size; i++) {
        clm_config *c = create();
        clm_err err = {""};
        clm_status st = clm_config_load(c, write_file(text, i), &err);

        assert_true(st == CLM_OK || (st == CLM_E_CONFIG && err.text[0] != 0));
        if (st != CLM_OK) assert_defaults(clm_config_settings(c));
        clm_config_destroy(c);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_full_and_dump),
        cmocka_unit_test(test_dump_of_advised_keys),
        cmocka_unit_test(test_dump_texts),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_types_and_ranges),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_misspelled_environment),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_shipped),
        cmocka_unit_test(test_golden_base),
        cmocka_unit_test(test_golden_bad),
        cmocka_unit_test(test_golden_prefixes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
