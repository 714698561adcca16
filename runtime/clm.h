/* runtime/clm.h: the public interface of clm. Everything that tools/ needs, and all that is
 * installed besides host/status.h and host/log.h.
 *
 * Threads  Distinct objects may be used by distinct threads. One session is used by one thread at
 *          a time; only clm_session_interrupt may be called from anywhere, also a signal handler.
 * Memory   _create, _open and _load give ownership to the caller, _destroy and _close take it back
 *          and accept NULL. Pointer arguments are borrowed for the call unless said otherwise.
 */
#ifndef CLM_RUNTIME_CLM_H
#define CLM_RUNTIME_CLM_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "host/log.h"
#include "host/status.h"

#define CLM_VERSION "0.1.0"

/* ---- Configuration ------------------------------------------------------------------------- */

typedef enum clm_kv_type { CLM_KV_F32, CLM_KV_F16, CLM_KV_INT8 } clm_kv_type;
typedef enum clm_weights {
    CLM_WEIGHTS_KEEP,
    CLM_WEIGHTS_F16,
    CLM_WEIGHTS_INT8,
    CLM_WEIGHTS_INT4
} clm_weights;
typedef enum clm_activations { CLM_ACT_AUTO, CLM_ACT_F32, CLM_ACT_INT8 } clm_activations;
/* PLAIN: the straightforward kernels, one per operation, to measure the others against. */
typedef enum clm_kernels { CLM_KERNELS_AUTO, CLM_KERNELS_PLAIN } clm_kernels;
typedef enum clm_backend_kind { CLM_BACKEND_OPENCL, CLM_BACKEND_REF } clm_backend_kind;
typedef enum clm_tuning_mode { CLM_TUNING_AUTO, CLM_TUNING_OFF } clm_tuning_mode;

/* One entry of `device`: a selector (see clm_device_select) and its share of the layers, 0 when
 * it is to be measured. */
typedef struct clm_device_choice {
    char *select;
    double share;
} clm_device_choice;

/* The effective values. Strings are never NULL; "" means not set. */
typedef struct clm_settings {
    char *model; /* path, resolved against the folder of the configuration file */
    clm_weights weights;
    char *chat_template; /* YAML key `template` */
    char *system;
    clm_device_choice *devices; /* at least one; "auto" by default */
    size_t n_devices;
    clm_backend_kind backend;
    clm_activations activations;
    clm_kernels kernels;
    uint32_t ctx_size;   /* tokens; 0: what the model was trained with, at most 4096 */
    uint32_t batch_size; /* prompt tokens processed at once */
    clm_kv_type kv_cache_type;
    double temperature;        /* 0: greedy */
    uint32_t top_k;            /* 0: off */
    double top_p;              /* 1: off */
    double min_p;              /* 0: off */
    double repetition_penalty; /* 1: off */
    uint32_t max_new_tokens;
    uint64_t seed; /* 0: from the system */
    char **stop;
    size_t n_stop;
    clm_tuning_mode tuning_mode;
    double tuning_budget_s;
    char *server_host;
    uint32_t server_port;
    char *server_api_key_file;
    char *server_origins; /* of pages that may use the server: separated by blanks or commas */
    uint32_t server_parallel;
    uint64_t given; /* bit i: key i, in the order of the dump, has been set by somebody */
} clm_settings;

typedef struct clm_config clm_config;

/* All keys at their defaults. */
clm_status clm_config_create(clm_config **out, clm_err *err);
void clm_config_destroy(clm_config *c);

/* Reads a YAML file over the present values. Strict: an unknown or repeated key, a wrong type, a
 * value out of range is CLM_E_CONFIG, with "file:line:column: ..." and, for a key or a word, the
 * nearest valid one. On failure the configuration keeps its old values. A relative `model` (and
 * `server.api_key_file`) is taken from the folder of `path` when it exists there, else from the
 * working directory; a model that is in neither is looked for under $CLM_MODELS.
 * llama.cpp's spellings (`temp`, `repeat_penalty`, `n_predict`, ...) are understood. */
clm_status clm_config_load(clm_config *c, const char *path, clm_err *err);

/* Reads CLM_<KEY> for each key (CLM_CTX_SIZE, CLM_TUNING_MODE, CLM_SERVER_PORT, ...). An empty
 * variable counts as not set. Variables that are no keys, as CLM_AMX, are looked at too. On failure the configuration
 * keeps its old values. */
clm_status clm_config_load_env(clm_config *c, clm_err *err);

/* Whether CLM_DEBUG asks for more messages. */
bool clm_config_env_debug(void);

enum { CLM_ENV_NAME = 160 }; /* most bytes of such a name, with its end */

/* A variable of the environment that looks like a misspelled one of clm's, with the one that may have been meant: true
 * and both names, or false when there is no other. `*next` is 0 at first and belongs to the function between calls,
 * while which the environment must not change. */
bool clm_config_env_stray(size_t *next, char name[CLM_ENV_NAME], char near[CLM_ENV_NAME]);

/* Sets one key ("ctx_size", "server.port") from text; `origin` names the source in messages
 * ("--ctx-size", "CLM_CTX_SIZE"). Lists (`device`, `stop`) are one YAML flow value that begins with
 * '['; other text is the only item, as it stands, but for indices of devices ("0,1"). A key that does not exist: CLM_E_CONFIG. */
clm_status clm_config_set(clm_config *c, const char *key, const char *value, const char *origin,
                          clm_err *err);

/* What is known about a key, for help texts. */
typedef struct clm_key_info {
    const char *name;   /* canonical: "repetition_penalty" */
    const char *preset; /* default, as text; "" when there is none */
    const char *doc;    /* one line */
} clm_key_info;

/* `key` may also be one of the other spellings ("repeat_penalty"). False: there is no such key. */
bool clm_config_describe(const char *key, clm_key_info *out);

/* The one of `n` words that `word` is most likely a misspelling of (case ignored), for "did you
 * mean"; NULL when none is near. */
const char *clm_word_nearest(const char *word, const char *const *words, size_t n);

/* Borrowed; valid until the configuration is changed or destroyed. */
const clm_settings *clm_config_settings(const clm_config *c);

/* The effective configuration as YAML that clm_config_load reads back to the same values, from any
 * folder: paths that exist are written as absolute ones. Keys for which the model may recommend
 * something are comments while nobody has set them. `*text` is malloc'd. */
clm_status clm_config_dump(const clm_config *c, char **text, clm_err *err);

/* ---- Devices ------------------------------------------------------------------------------- */

typedef struct clm_device_report {
    size_t index, platform_index;
    char platform[128], platform_version[128];
    char name[128], vendor[128], version[128], driver[128], c_version[128], type[8];
    uint32_t compute_units, clock_mhz;
    uint64_t global_mem, max_alloc, local_mem, global_cache;
    uint64_t max_group_size;
    bool local_mem_dedicated, unified_memory;
    bool fp16, fp64, subgroups, intel_subgroups, integer_dot_product, command_buffer;
    char unusable[192]; /* "" when clm can use it, else why not */
    bool chosen;        /* what `device: auto` (or the given selectors) takes */
    char reason[256];   /* why, for a chosen one */
} clm_device_report;

/* All devices of all platforms, and which of them the key `device` of `s` chooses. `*list` is malloc'd.
 * No platform: CLM_E_NODEVICE with a sentence that says what to install. */
clm_status clm_devices_report(const clm_settings *s, clm_device_report **list, size_t *count,
                              clm_err *err);

/* ---- Model files --------------------------------------------------------------------------- */

typedef struct clm_tensor_report {
    char *name;
    char type[24]; /* "Q4_0", "GPTQ4 g128" */
    size_t rows, cols;
    uint64_t bytes;
} clm_tensor_report;

typedef struct clm_model_report {
    char *path;
    char format[32];
    char arch[32], name[128];
    size_t n_layers, width, n_heads, n_kv_heads, head_dim, ffn, vocab, ctx_train;
    double rms_eps, rope_base;
    bool alibi, tied_head, has_weights;
    uint64_t n_params;
    uint64_t file_bytes;
    uint64_t device_weight_bytes; /* in the device formats */
    uint64_t device_kv_bytes;     /* fp16, ctx of 4096 or the model's if smaller */
    size_t device_ctx;
    char tokenizer[64];     /* "llama, 64000 pieces" */
    char chat_template[32]; /* what `template: auto` takes */
    int bos, eos;
    clm_tensor_report *tensors;
    size_t n_tensors;
} clm_model_report;

clm_status clm_model_report_create(const char *path, clm_model_report **out, clm_err *err);
void clm_model_report_destroy(clm_model_report *r);

/* Compares the data of a file that clm_quantize wrote with the checksums in it. Returns CLM_OK,
 * CLM_E_MODEL (the first damaged tensor, or that the file has no checksums), CLM_E_NOMEM. */
clm_status clm_model_verify(const char *path, const clm_observer *obs, clm_err *err);

/* ---- Quantising ------------------------------------------------------------------------------ */

typedef struct clm_quantize_options {
    const char *source; /* a model file or folder of any format that can be read */
    const char *target; /* the GGUF file to write */
    const char *type;   /* int4, int8, q4_0, q4_1, q8_0, f16, f32 */
    const char *head_type, *embedding_type; /* the same words; NULL: as `type` has it */
    bool force;                             /* replace an existing target */
    size_t threads;                         /* 0: one for each processor */
    const volatile sig_atomic_t *stop;      /* may be NULL; not 0: stop soon */
} clm_quantize_options;

typedef struct clm_quantize_tensor {
    char name[64];
    const char *type; /* "Q8_0" */
    size_t rows, cols;
    uint64_t bytes;
    double mean_squared_error; /* against the source */
    double relative_error;     /* ||difference|| / ||source|| */
} clm_quantize_tensor;

typedef struct clm_quantize_report {
    uint64_t source_bytes, bytes; /* of the tensors read, of the file written */
    double seconds;
    double relative_error; /* root of the mean square over the matrices, by their size */
    size_t n_kept;         /* tensors that an interrupted run had finished */
    size_t n_fallbacks;    /* tensors that could not have the type, as was said */
    clm_quantize_tensor *tensors;
    size_t n_tensors;
} clm_quantize_report;

/* Writes a model in another type, with a bounded amount of memory. The target appears when it is
 * complete; until then "<target>.part" and "<target>.part.journal" hold what is done, and the same
 * call goes on from there, with the same bytes as the result. Progress is in MB of the source.
 * Returns CLM_OK, CLM_E_USAGE (unknown type, target exists), CLM_E_MODEL (also values that are not
 * finite, with the tensor's name), CLM_E_IO, CLM_E_NOMEM, CLM_E_INTERRUPTED. `report` is to be
 * cleared in every case. */
clm_status clm_quantize(const clm_quantize_options *options, const clm_observer *obs,
                        clm_quantize_report *report, clm_err *err);
void clm_quantize_report_clear(clm_quantize_report *report);

/* ---- Tokenizer ------------------------------------------------------------------------------ */

typedef struct clm_tokenizer clm_tokenizer;

/* Of a GGUF file, a tokenizer.model, or a folder with one. */
clm_status clm_tokenizer_load(const char *path, clm_tokenizer **out, clm_err *err);
void clm_tokenizer_destroy(clm_tokenizer *tok);
clm_status clm_tokenizer_encode(const clm_tokenizer *tok, const char *text, size_t size, int **ids,
                                size_t *count, clm_err *err);
/* The same, but control pieces that are spelled out in the text ("<|im_end|>") become their ids,
 * which the text of a user must not. CLM_E_USAGE for a SentencePiece vocabulary. */
clm_status clm_tokenizer_encode_special(const clm_tokenizer *tok, const char *text, size_t size,
                                        int **ids, size_t *count, clm_err *err);
clm_status clm_tokenizer_decode(const clm_tokenizer *tok, const int *ids, size_t count, char **text,
                                size_t *size, clm_err *err);

/* ---- Programs -------------------------------------------------------------------------------- */

/* For the beginning of main(), before other threads are there: what a library leaves to the program.
 *   - A model's file that can no longer be read, as it was cut short or its disk failed, ends the program with one
 *     sentence and the exit code of CLM_E_MODEL, in a handler of SIGBUS. Other causes of that signal end it as ever.
 *   - POCL_CACHE_DIR is set where PoCL could not write its cache (host/pocl_cache.h). */
void clm_program_begin(void);

/* ---- Engine: a model loaded onto its devices -------------------------------------------------- */

typedef struct clm_engine clm_engine;

/* Opens the model and the device(s) of `s`, builds the kernels, uploads the weights. `s` is copied
 * as far as needed; `obs` (may be NULL) is kept and must outlive the engine. */
clm_status clm_engine_create(const clm_settings *s, const clm_observer *obs, clm_engine **out,
                             clm_err *err);
void clm_engine_destroy(clm_engine *e);

/* Where kernels have not run before on this device, runs them on made-up tokens, with progress to `obs` (may
 * be NULL): drivers finish kernels when they first run, PoCL in seconds, which the first answer would
 * otherwise wait for and count as its own time. Forgets what the key-value caches
 * hold: answers in progress process their ids again. */
clm_status clm_engine_warm_up(clm_engine *e, const clm_observer *obs, clm_err *err);

/* Makes key-value caches for up to `n` answers at once (an engine begins with one), as far as memory goes.
 * Returns how many of the `n` there may be now; `obs` (may be NULL) hears why there are fewer. */
size_t clm_engine_reserve(clm_engine *e, size_t n, const clm_observer *obs);

typedef struct clm_engine_report {
    char model_name[128], arch[32];
    char device
        [512]; /* "pthread-haswell (Portable Computing Language)" or "ref (plain C)"; several in a row */
    size_t n_devices;
    char chat_template[32];
    size_t ctx_size, vocab;
    uint64_t weight_bytes, kv_bytes; /* on the devices */
} clm_engine_report;

void clm_engine_describe(const clm_engine *e, clm_engine_report *out);
const clm_tokenizer *clm_engine_tokenizer(const clm_engine *e); /* borrowed */

/* Logits at positions from..count-1 of `ids`, processed in batches of `batch` tokens (0: all at
 * once). `logits` has room for (count - from) * vocab floats. Uses a key-value cache of the
 * engine, whose caches are forgotten: answers in progress process their ids again. */
clm_status clm_engine_logits(clm_engine *e, const int *ids, size_t count, size_t from, size_t batch,
                             float *logits, clm_err *err);

/* Receives the logits [vocab] of one position, which are valid during the call. Another status than
 * CLM_OK ends the run and is its result. */
typedef clm_status (*clm_logits_fn)(void *user, size_t position, const float *logits, size_t vocab,
                                    clm_err *err);

/* The same, but the logits are handed to `fn` position by position: a few rows of memory, however
 * many they are. */
clm_status clm_engine_stream_logits(clm_engine *e, const int *ids, size_t count, size_t from,
                                    size_t batch, clm_logits_fn fn, void *user, clm_err *err);

typedef struct clm_perplexity {
    size_t n_tokens;  /* of the text, a BOS in front included */
    size_t n_windows; /* processed, each by itself */
    size_t n_counted; /* tokens whose probability counts */
    double nll;       /* mean of -log p of these, in nats */
    double nll_error; /* its standard error, as if they were independent */
    double ppl, ppl_error;
    double seconds; /* of processing n_windows * window tokens */
} clm_perplexity;

/* Whether a text can be cut into such windows, before a model is there. CLM_OK or CLM_E_USAGE (window below 4, bad
 * stride). */
clm_status clm_perplexity_check(size_t window, size_t stride, clm_err *err);

/* Perplexity of a text. It is tokenised as a whole, with BOS in front when the vocabulary wants one,
 * and cut into windows of `window` tokens; in a vocabulary with BOS the first token of each window is
 * replaced by it. A rest that fills no window is left out.
 *   stride 0   windows do not overlap; of each the tokens window/2 + 1 .. window - 1 count (what
 *              llama.cpp's llama-perplexity does)
 *   stride S   windows begin S tokens apart; of each the last S count (1 <= S < window)
 * Reports windows to `obs` (may be NULL). Returns CLM_OK, CLM_E_USAGE (as clm_perplexity_check, window
 * larger than the context, text shorter than a window) or what the engine returns. */
clm_status clm_engine_perplexity(clm_engine *e, const char *text, size_t size, size_t window,
                                 size_t stride, const clm_observer *obs, clm_perplexity *out,
                                 clm_err *err);

/* ---- Session: a conversation or a completion on an engine ------------------------------------- */

typedef struct clm_session clm_session;

/* Sampling and length limits of one answer; clm_engine_sampling fills it. */
typedef struct clm_sampling {
    double temperature, top_p, min_p, repetition_penalty;
    uint32_t top_k, max_new_tokens;
    const char *const *stop;
    size_t n_stop;
} clm_sampling;

/* The sampling of `s`; for keys that nobody has set, what the publisher of the engine's model
 * recommends (generation_config.json), else the defaults. `stop` is borrowed from `s`. */
clm_sampling clm_engine_sampling(const clm_engine *e, const clm_settings *s);

typedef enum clm_finish {
    CLM_FINISH_EOS,     /* the model ended its answer */
    CLM_FINISH_STOP,    /* a stop string; it is not part of the text */
    CLM_FINISH_LENGTH,  /* max_new_tokens */
    CLM_FINISH_CONTEXT, /* no room left in the context */
    CLM_FINISH_INTERRUPTED
} clm_finish;

typedef struct clm_reply {
    clm_finish finish;
    size_t prompt_tokens;  /* of the whole prompt */
    size_t cached_tokens;  /* of these, taken from the cache */
    size_t new_tokens;     /* generated */
    size_t context_tokens; /* prompt and answer at the end, without rounds dropped meanwhile */
    size_t dropped_rounds; /* oldest rounds that were forgotten, as the context is full */
    bool kept;             /* question and answer are in the conversation (clm_session_ask) */
    double prompt_seconds, decode_seconds;
} clm_reply;

/* Receives the answer as it is made: whole UTF-8 characters. */
typedef void (*clm_text_fn)(void *user, const char *text, size_t size);

/* `system` NULL or "": what the template of the file states, if
 * anything. `seed` 0 takes one from the system. The engine must outlive
 * the session. */
clm_status clm_session_create(clm_engine *e, const char *system, uint64_t seed, clm_session **out,
                              clm_err *err);
void clm_session_destroy(clm_session *s);
uint64_t clm_session_seed(const clm_session *s); /* the one in effect */

/* Asks a question in the conversation and streams the answer. When the context is full the oldest
 * rounds are dropped. On failure the conversation is as before, and after an interrupt before the first
 * word; after a later one the question and the part of the answer given stay in it. */
clm_status clm_session_ask(clm_session *s, const char *text, size_t size,
                           const clm_sampling *sampling, clm_text_fn fn, void *user,
                           clm_reply *reply, clm_err *err);

typedef enum clm_chat_role { CLM_ROLE_SYSTEM, CLM_ROLE_USER, CLM_ROLE_ASSISTANT } clm_chat_role;

typedef struct clm_message {
    clm_chat_role role;
    const char *text; /* UTF-8 */
    size_t size;      /* bytes; NUL inside is allowed */
} clm_message;

/* Continues raw text, without a template and without history. */
clm_status clm_session_complete(clm_session *s, const char *text, size_t size,
                                const clm_sampling *sampling, clm_text_fn fn, void *user,
                                clm_reply *reply, clm_err *err);

/* What a model takes for the next word behind a text. */
typedef struct clm_choice {
    size_t best;          /* index of the most probable choice; of equal ones the first */
    bool tied;            /* another choice is as probable */
    size_t prompt_tokens; /* of the text, BOS included */
    size_t cached_tokens; /* of these, taken from the cache */
} clm_choice;

/* Which of `n` words the model holds for the likeliest next one behind a raw text, without a template and
 * without history. Each word must be a piece of the vocabulary, as it stands ("A", which is not " A"); the
 * logits of these pieces are compared. probabilities[n] receives their softmax, which sums to 1. What the text
 * has in common with the one before it is taken from the cache: questions with the same beginning cost their
 * own tokens.
 * Returns CLM_OK, CLM_E_USAGE (empty text, no choices), CLM_E_MODEL (a word is no piece; the model gives no
 * number), CLM_E_LIMIT (the text does not fit the context), CLM_E_INTERRUPTED, or what the engine returns. */
clm_status clm_session_choose(clm_session *s, const char *text, size_t size,
                              const char *const *choices, size_t n, double *probabilities,
                              clm_choice *out, clm_err *err);

/* Several answers at once, whose tokens are computed together: weights are read once for all, which is what
 * a token costs. Begun by these, brought further by clm_engine_step until clm_session_done, taken by
 * clm_session_end, which must be called. `sampling` and the texts are borrowed for the call only.
 * CLM_E_LIMIT: the text does not fit the context, or as many answers are in progress as clm_engine_reserve
 * allowed.
 *
 * begin_reply answers a conversation that the caller keeps; the session's own is neither used nor changed.
 * Without a system message among `messages` the session's system text counts. Nothing is left out.
 * CLM_E_USAGE when the last message is not a user's. */
clm_status clm_session_begin_reply(clm_session *s, const clm_message *messages, size_t n,
                                   const clm_sampling *sampling, clm_text_fn fn, void *user,
                                   clm_err *err);
clm_status clm_session_begin_complete(clm_session *s, const char *text, size_t size,
                                      const clm_sampling *sampling, clm_text_fn fn, void *user,
                                      clm_err *err);
/* Begin, step, end and clm_engine_reserve of one engine are one thread's. A session has one answer at a time: what
 * begins another one before the end is CLM_E_USAGE, as is an end without a begin. A step gets each a token further; of one
 * that is not through its prompt a batch is processed. A failure is that session's, see clm_session_end. */
clm_status clm_engine_step(clm_engine *e, clm_session *const *sessions, size_t n, clm_err *err);
bool clm_session_done(const clm_session *s);
clm_status clm_session_end(clm_session *s, clm_reply *reply, clm_err *err);

/* Forgets the last round, for asking again; false when there is none. */
bool clm_session_undo(clm_session *s);
/* Forgets the conversation. */
void clm_session_clear(clm_session *s);
/* Number of rounds, and of tokens that they take in the context. */
void clm_session_usage(const clm_session *s, size_t *rounds, size_t *tokens);

/* Ends the answer in progress (or, for clm_session_ask and clm_session_choose not yet begun, the next one) after the
 * current token, or between two layers of the part of a prompt at hand. Async-signal-safe. */
void clm_session_interrupt(clm_session *s);

#endif
