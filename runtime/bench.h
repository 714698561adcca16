/* runtime/bench.h: how fast a model runs on a device, beside what the device can do at best.
 *
 * Layer    runtime; for tools/cmd_bench.c.
 * Threads  one thread at a time.
 */
#ifndef CLM_RUNTIME_BENCH_H
#define CLM_RUNTIME_BENCH_H

#include "runtime/bench_work.h"
#include "runtime/clm.h"
#include "tuning/device_limits.h"

/* What is run: a file's model, or the shape of one (runtime/formats/synthetic.h). */
typedef struct clm_bench_model {
    const char *synthetic; /* "13b" ...; NULL: the model of the settings */
    const char *type;      /* weights of a synthetic model: "q4_0" ... */
} clm_bench_model;

typedef struct clm_bench clm_bench;

/* Measures the device (not with the C reference), then loads the model with room for `ctx` tokens;
 * the context of the settings is not looked at. Returns what clm_engine_create does, and CLM_E_USAGE
 * for a synthetic model or type that does not exist. */
clm_status clm_bench_create(const clm_settings *s, const clm_bench_model *model, size_t ctx,
                            const clm_observer *obs, clm_bench **out, clm_err *err);
void clm_bench_destroy(clm_bench *b);

typedef struct clm_bench_info {
    char model[256];     /* path, or the name of a synthetic model */
    char model_type[64]; /* "baichuan 13.26 B Q4_0" */
    char weights[24];    /* "Q4_0" */
    char device[512];
    uint64_t n_params, model_bytes;  /* of the tensors as the file has them */
    uint64_t weight_bytes, kv_bytes; /* on the device */
    size_t ctx, batch;
    double kernel_seconds, load_seconds; /* before the weights, and for them */
    clm_device_limits limits;            /* zeros: not measured */
    uint64_t load_peak_bytes;            /* most host memory while loading; 0: unknown */
} clm_bench_info;

void clm_bench_describe(const clm_bench *b, clm_bench_info *out);

/* `n_prompt` tokens at once and then `n_gen` one by one, behind `n_depth` tokens that are not timed.
 * Tokens are chosen as the largest logit, on the device. With n_parallel above 1 (and no prompt) so many
 * sequences have `n_gen` tokens each, computed together; rates are of all. */
typedef struct clm_bench_test {
    size_t n_prompt, n_gen, n_depth, n_parallel;
} clm_bench_test;

/* Tokens of one repetition that are timed. */
size_t clm_bench_tokens(const clm_bench_test *test);

typedef struct clm_bench_result {
    clm_bench_stats seconds, rate; /* rate in tokens per second */
    double warmup_seconds; /* the first run, which compiles what is left; 0: a prompt once more */
    clm_bench_work work;   /* of one repetition */
    double mean_seconds;   /* of a repetition at the mean rate, to which `share` belongs */
    clm_bench_share share;
    uint64_t peak_bytes; /* most host memory so far; 0: unknown */
} clm_bench_result;

/* Warms up and runs `test` `n` times; `samples` receives the seconds of each. The tokens must fit the
 * context. */
clm_status clm_bench_run(clm_bench *b, const clm_bench_test *test, size_t n, double *samples,
                         clm_bench_result *out, clm_err *err);

/* Reads the device's memory speed once more, for clm_bench_info.limits.read_gbps to be compared with: a
 * much different value means that other programs were busy. 0: cannot be measured now. */
double clm_bench_read_again(clm_bench *b);

/* Arithmetic limit of the device: the best of float, 8-bit integers and tiles, whatever a run itself uses. */
double clm_bench_gops(const clm_device_limits *limits);

/* One operator at one of its shapes. */
typedef struct clm_bench_op {
    const char *name;
    char shape[160];        /* "M=1 N=5120 K=5120" */
    char params[256];       /* "WG=64 VW=4" */
    bool tuned;             /* they are from a database, not the operator's defaults */
    double seconds;         /* median of one launch */
    clm_bench_work work;    /* of one launch, */
    bool at_most;           /* and data decide whether it is less: shares are upper bounds */
    const char *arithmetic; /* what the operations are compared with: "float", "int8", "tiles" */
    bool cached;      /* data stay in the device's caches: there is no share of memory's speed */
    double read_gbps; /* that speed, measured before the operator */
    clm_bench_share share;
} clm_bench_op;

typedef void (*clm_bench_op_fn)(void *user, const clm_bench_op *op);

/* Times operators at the shapes of a real model, with the parameters that a model would get (none are tuned
 * for it), on the device of the settings; `fn` is called for each shape. Each is compared with the limits of
 * what it does: reading, launching, and its own kind of arithmetic. `limits` receives what the device can do
 * at first; reading is measured again before each operator.
 *   names, n_names  the operators; n_names 0: all
 * Shapes that the device has no memory for are left out with a warning. Returns CLM_E_USAGE for a name
 * that does not exist; the C reference is no device. */
clm_status clm_bench_ops(const clm_settings *s, const char *const *names, size_t n_names,
                         const clm_observer *obs, clm_device_limits *limits, clm_bench_op_fn fn,
                         void *user, clm_err *err);

#endif
