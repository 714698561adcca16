/* runtime/config_schema.c: every configuration key, and the search for one.
 *
 * Layer    runtime.
 *
 * Names are those of generation_config.json where it has one; llama.cpp's are the aliases.
 */
#include "runtime/config_schema.h"

#include <ctype.h>
#include <string.h>

#define WORD_MAX 64 /* longer words are no misspellings */

static const char *const weights_choices[] = {"keep", "f16", "int8", "int4", NULL};
static const char *const template_choices[] = {"auto",          "baichuan-instruction",
                                               "baichuan-chat", "llama2",
                                               "alpaca",        "vicuna",
                                               "ziya",          "chatml",
                                               "none",          NULL};
static const char *const backend_choices[] = {"opencl", "ref", NULL};
static const char *const activation_choices[] = {"auto", "f32", "int8", NULL};
static const char *const kernels_choices[] = {"auto", "plain", NULL};
static const char *const kv_choices[] = {"f32", "f16", "int8", NULL};
static const char *const tuning_choices[] = {"auto", "off", NULL};

/* The tables above are indexed by these. */
_Static_assert(CLM_WEIGHTS_KEEP == 0 && CLM_WEIGHTS_F16 == 1 && CLM_WEIGHTS_INT8 == 2 &&
                   CLM_WEIGHTS_INT4 == 3,
               "weights_choices");
_Static_assert(CLM_BACKEND_OPENCL == 0 && CLM_BACKEND_REF == 1, "backend_choices");
_Static_assert(CLM_ACT_AUTO == 0 && CLM_ACT_F32 == 1 && CLM_ACT_INT8 == 2, "activation_choices");
_Static_assert(CLM_KERNELS_AUTO == 0 && CLM_KERNELS_PLAIN == 1, "kernels_choices");
_Static_assert(CLM_KV_F32 == 0 && CLM_KV_F16 == 1 && CLM_KV_INT8 == 2, "kv_choices");
_Static_assert(CLM_TUNING_AUTO == 0 && CLM_TUNING_OFF == 1, "tuning_choices");

#define AT(field) offsetof(clm_settings, field)

/* In the order of the dump; the keys of a section stand together. */
static const clm_key keys[] = {
    {"model", CLM_KEY_PATH, AT(model), "", .max = 4096, .aliases = {"model_path"},
     .doc = "GGUF file, Hugging Face folder, or a name under $CLM_MODELS"},
    {"weights", CLM_KEY_CHOICE, AT(weights), "keep", .choices = weights_choices,
     .doc = "keep | f16 | int8 | int4: quantised while loading"},
    {"template", CLM_KEY_WORD, AT(chat_template), "auto", .choices = template_choices,
     .aliases = {"chat_template"}, .doc = "how a conversation is written for the model"},
    {"system", CLM_KEY_TEXT, AT(system), "", .max = 262144, .nullable = true,
     .aliases = {"system_prompt"}, .doc = "system prompt"},
    {"device", CLM_KEY_DEVICES, AT(devices), "auto", .max = 256, .aliases = {"devices"},
     .doc = "auto, cpu, gpu, an index, a part of a name, or a list of {select, share}"},
    {"backend", CLM_KEY_CHOICE, AT(backend), "opencl", .choices = backend_choices,
     .doc = "opencl | ref: plain C, slow, needs no device"},
    {"activations", CLM_KEY_CHOICE, AT(activations), "auto", .choices = activation_choices,
     .doc = "auto | f32: exact | int8: faster where the device can"},
    {"kernels", CLM_KEY_CHOICE, AT(kernels), "auto", .choices = kernels_choices,
     .doc = "auto | plain: one straightforward kernel per operation, for comparison"},
    {"ctx_size", CLM_KEY_U32, AT(ctx_size), "0", .max = 1048576, .aliases = {"n_ctx"},
     .doc = "tokens of context; 0: what the model was trained with, at most 4096"},
    {"batch_size", CLM_KEY_U32, AT(batch_size), "512", .min = 1, .max = 65536,
     .aliases = {"n_batch"}, .doc = "prompt tokens processed at once"},
    {"kv_cache_type", CLM_KEY_CHOICE, AT(kv_cache_type), "f16", .choices = kv_choices,
     .aliases = {"cache_type"}, .doc = "f32: exact | f16 | int8"},
    {"temperature", CLM_KEY_REAL, AT(temperature), "0.35", .max = 100, .aliases = {"temp"},
     .advised = true, .doc = "0: always the most likely token"},
    {"top_k", CLM_KEY_U32, AT(top_k), "0", .max = 2147483647, .minus_one = "0", .advised = true,
     .doc = "0, -1: off"},
    {"top_p", CLM_KEY_REAL, AT(top_p), "0.95", .max = 1, .above = true, .advised = true,
     .doc = "1: off"},
    {"min_p", CLM_KEY_REAL, AT(min_p), "0", .max = 1, .advised = true, .doc = "0: off"},
    {"repetition_penalty", CLM_KEY_REAL, AT(repetition_penalty), "1.1", .max = 10, .above = true,
     .aliases = {"repeat_penalty"}, .advised = true, .doc = "1: off"},
    {"max_new_tokens", CLM_KEY_U32, AT(max_new_tokens), "2048", .min = 1, .max = 1048576,
     .minus_one = "1048576",
     .aliases = {"max_tokens", "n_predict", "predict", "max_completion_tokens"}, .advised = true,
     .doc = "length of an answer at most; -1: as far as the context goes"},
    {"seed", CLM_KEY_U64, AT(seed), "0", .minus_one = "0",
     .doc = "0, -1: from the system, and printed"},
    {"stop", CLM_KEY_TEXTS, AT(stop), "[]", .max = 1024, .aliases = {"reverse_prompt"},
     .doc = "texts that end an answer"},
    {"tuning.mode", CLM_KEY_CHOICE, AT(tuning_mode), "auto", .choices = tuning_choices,
     .doc = "auto: use the database, tune quickly when the device is unknown | off"},
    {"tuning.budget_s", CLM_KEY_REAL, AT(tuning_budget_s), "60", .max = 1e9,
     .aliases = {"tuning.budget"}, .doc = "seconds to spend on tuning"},
    {"server.host", CLM_KEY_TEXT, AT(server_host), "127.0.0.1", .max = 255,
     .doc = "address to listen on"},
    {"server.port", CLM_KEY_U32, AT(server_port), "8080", .max = 65535,
     .doc = "port to listen on; 0: a free one, which is printed"},
    {"server.api_key_file", CLM_KEY_PATH, AT(server_api_key_file), "", .max = 4096,
     .nullable = true, .doc = "file with one accepted key a line"},
    {"server.origins", CLM_KEY_TEXT, AT(server_origins), "", .max = 4096, .nullable = true,
     .aliases = {"server.cors", "server.cors_origins"},
     .doc = "sites whose pages may use it, as https://chat.example.org; *: all"},
    {"server.parallel", CLM_KEY_U32, AT(server_parallel), "4", .min = 1, .max = 1024,
     .aliases = {"server.n_parallel"},
     .doc = "answers computed at once; each needs a key-value cache"},
};

_Static_assert(sizeof keys / sizeof keys[0] <= 64, "clm_settings.given has 64 bits");

const clm_key *clm__keys(size_t *n)
{
    *n = sizeof keys / sizeof keys[0];
    return keys;
}

uint64_t clm__key_bit(const clm_key *key)
{
    return (uint64_t)1 << (key - keys);
}

const clm_key *clm__key_find(const char *name)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(keys[i].name, name) == 0) return &keys[i];
        for (size_t a = 0; a < CLM_KEY_ALIASES && keys[i].aliases[a] != NULL; a++)
            if (strcmp(keys[i].aliases[a], name) == 0) return &keys[i];
    }
    return NULL;
}

bool clm__key_is_section(const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strncmp(keys[i].name, name, n) == 0 && keys[i].name[n] == '.') return true;
    return false;
}

bool clm_config_describe(const char *key, clm_key_info *out)
{
    const clm_key *k = clm__key_find(key);

    *out = (clm_key_info){0};
    if (k == NULL) return false;
    out->name = k->name;
    out->preset = k->preset;
    out->doc = k->doc;
    return true;
}

/* ---- Nearest word ----------------------------------------------------------------------------- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours between two words, case ignored. */
static size_t word_distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    size_t na = strlen(a), nb = strlen(b);

    if (na > WORD_MAX || nb > WORD_MAX) return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++) last[j] = before[j] = j;
    for (size_t i = 1; i <= na; i++) {
        int ca = tolower((unsigned char)a[i - 1]);
        size_t *spare = before;

        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            int cb = tolower((unsigned char)b[j - 1]);
            size_t d = least(last[j], now[j - 1]) + 1;

            d = least(d, last[j - 1] + (ca != cb));
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
                cb == tolower((unsigned char)a[i - 2]))
                d = least(d, before[j - 2] + 1);
            now[j] = d;
        }
        before = last;
        last = now;
        now = spare;
    }
    return last[nb];
}

/* How far a word of this length may be off. */
static size_t tolerance(const char *word)
{
    size_t n = strlen(word) / 3;
    return n == 0 ? 1 : least(n, 4);
}

const char *clm_word_nearest(const char *word, const char *const *words, size_t n)
{
    size_t best = tolerance(word) + 1;
    const char *found = NULL;

    for (size_t i = 0; i < n; i++) {
        size_t d = word_distance(word, words[i]);
        if (d < best && d < strlen(words[i])) {
            best = d;
            found = words[i];
        }
    }
    return found;
}

/* The smaller of `best` and the distance of `name` to a key's name or alias; a key of another
 * section is also found by its last part ("port" means "server.port"). */
static size_t key_distance(const char *name, const char *candidate)
{
    const char *dot = strchr(candidate, '.'), *own = strchr(name, '.');
    size_t d = word_distance(name, candidate);

    if (dot != NULL && own == NULL) d = least(d, word_distance(name, dot + 1));
    if (dot == NULL && own != NULL) d = least(d, word_distance(own + 1, candidate));
    return d;
}

const char *clm__key_nearest(const char *name)
{
    const char *dot = strchr(name, '.');
    size_t best = tolerance(dot != NULL ? dot + 1 : name) + 1;
    const char *found = NULL;

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        size_t d = key_distance(name, keys[i].name);
        for (size_t a = 0; a < CLM_KEY_ALIASES && keys[i].aliases[a] != NULL; a++)
            d = least(d, key_distance(name, keys[i].aliases[a]));
        if (d < best) {
            best = d;
            found = keys[i].name;
        }
    }
    return found;
}
