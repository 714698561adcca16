/* tools/args_flags.c: the flags that commands share.
 *
 * Layer    tools.
 *
 * Names are llama.cpp's where it has one. A flag with a key has its help from the configuration.
 */
#include "tools/args.h"

static const clm_flag shared[] = {
    {.names = "--config",
     .value = "FILE",
     .id = "config",
     .group = CLM_FLAGS_CONFIG,
     .help = "read the configuration from a YAML file"},
    {.names = "--dump-config",
     .id = "dump_config",
     .group = CLM_FLAGS_CONFIG,
     .help = "print the effective configuration as YAML and stop"},

    {.names = "-m, --model", .value = "MODEL", .key = "model", .group = CLM_FLAGS_MODEL},
    {.names = "--weights", .value = "TYPE", .key = "weights", .group = CLM_FLAGS_WEIGHTS},

    {.names = "-dev, --device", .value = "DEVICE", .key = "device", .group = CLM_FLAGS_DEVICE},
    {.names = "--list-devices",
     .id = "list_devices",
     .group = CLM_FLAGS_DEVICE,
     .help = "print the devices and stop"},
    {.names = "--backend", .value = "NAME", .key = "backend", .group = CLM_FLAGS_DEVICE},
    {.names = "--activations", .value = "TYPE", .key = "activations", .group = CLM_FLAGS_DEVICE},
    {.names = "--kernels", .value = "KIND", .key = "kernels", .group = CLM_FLAGS_DEVICE},

    {.names = "-c, --ctx-size", .value = "N", .key = "ctx_size", .group = CLM_FLAGS_CONTEXT},
    {.names = "-b, --batch-size", .value = "N", .key = "batch_size", .group = CLM_FLAGS_CONTEXT},
    {.names = "--kv-cache-type",
     .value = "TYPE",
     .key = "kv_cache_type",
     .group = CLM_FLAGS_CONTEXT},

    {.names = "-p, --prompt",
     .value = "TEXT",
     .id = "prompt",
     .group = CLM_FLAGS_PROMPT,
     .help = "the prompt"},
    {.names = "-f, --file",
     .value = "FILE",
     .id = "file",
     .group = CLM_FLAGS_PROMPT,
     .help = "read the prompt from a file, - for standard input; behind the text of -p"},

    {.names = "--template, --chat-template",
     .value = "NAME",
     .key = "template",
     .group = CLM_FLAGS_CHAT},
    {.names = "-sys, --system, --system-prompt",
     .value = "TEXT",
     .key = "system",
     .group = CLM_FLAGS_CHAT},

    {.names = "-n, --predict, --n-predict, --max-new-tokens",
     .value = "N",
     .key = "max_new_tokens",
     .group = CLM_FLAGS_SAMPLING},
    {.names = "--temp, --temperature",
     .value = "T",
     .key = "temperature",
     .group = CLM_FLAGS_SAMPLING},
    {.names = "--top-k", .value = "N", .key = "top_k", .group = CLM_FLAGS_SAMPLING},
    {.names = "--top-p", .value = "P", .key = "top_p", .group = CLM_FLAGS_SAMPLING},
    {.names = "--min-p", .value = "P", .key = "min_p", .group = CLM_FLAGS_SAMPLING},
    {.names = "--repeat-penalty, --repetition-penalty",
     .value = "X",
     .key = "repetition_penalty",
     .group = CLM_FLAGS_SAMPLING},
    {.names = "-s, --seed", .value = "N", .key = "seed", .group = CLM_FLAGS_SAMPLING},
    {.names = "-r, --stop, --reverse-prompt",
     .value = "TEXT",
     .key = "stop",
     .group = CLM_FLAGS_SAMPLING,
     .help = "text that ends an answer; may be repeated"},

    {.names = "--host", .value = "ADDRESS", .key = "server.host", .group = CLM_FLAGS_SERVER},
    {.names = "--port", .value = "N", .key = "server.port", .group = CLM_FLAGS_SERVER},
    {.names = "--api-key",
     .value = "KEY",
     .id = "api_key",
     .group = CLM_FLAGS_SERVER,
     .help = "key that clients must send (other users see it in the process list)"},
    {.names = "--api-key-file",
     .value = "FILE",
     .key = "server.api_key_file",
     .group = CLM_FLAGS_SERVER},
    {.names = "--origins", .value = "LIST", .key = "server.origins", .group = CLM_FLAGS_SERVER},
    {.names = "-np, --parallel", .value = "N", .key = "server.parallel", .group = CLM_FLAGS_SERVER},

    {.names = "--tuning", .value = "MODE", .key = "tuning.mode", .group = CLM_FLAGS_TUNING},
    {.names = "--budget", .value = "SECONDS", .key = "tuning.budget_s", .group = CLM_FLAGS_TUNING},

    {.names = "--json", .id = "json", .group = CLM_FLAGS_JSON, .help = "report as JSON"},

    {.names = "-h, --help", .id = "help", .group = CLM_FLAGS_COMMON, .help = "print this help"},
    {.names = "--version", .id = "version", .group = CLM_FLAGS_COMMON, .help = "print the version"},
};

/* Ignoring these in silence would let somebody believe that they work. */
static const clm_flag_refusal refused[] = {
    {"-ngl, --gpu-layers, --n-gpu-layers",
     "not supported: layers go to the devices of --device, by speed and free memory, or by shares: "
     "--device '[{select: 0, share: 3}, {select: 1, share: 1}]'"},
    {"-ts, --tensor-split, -sm, --split-mode, -mg, --main-gpu",
     "not supported: write shares of several devices as "
     "--device '[{select: 0, share: 3}, {select: 1, share: 1}]'"},
    {"-t, --threads, -tb, --threads-batch",
     "not supported: the OpenCL driver of a CPU chooses its threads"},
    {"-ctk, --cache-type-k, -ctv, --cache-type-v",
     "not supported: keys and values have one type, --kv-cache-type"},
};

const clm_flag *clm_flags_shared(size_t *n)
{
    *n = sizeof shared / sizeof shared[0];
    return shared;
}

const clm_flag_refusal *clm_flags_refused(size_t *n)
{
    *n = sizeof refused / sizeof refused[0];
    return refused;
}

const char *clm_flags_heading(unsigned group)
{
    switch (group) {
    case CLM_FLAGS_CONFIG:
        return "Configuration";
    case CLM_FLAGS_MODEL:
    case CLM_FLAGS_WEIGHTS:
        return "Model";
    case CLM_FLAGS_DEVICE:
        return "Device";
    case CLM_FLAGS_CONTEXT:
        return "Context";
    case CLM_FLAGS_PROMPT:
        return "Prompt";
    case CLM_FLAGS_CHAT:
        return "Conversation";
    case CLM_FLAGS_SAMPLING:
        return "Answers";
    case CLM_FLAGS_SERVER:
        return "Server";
    case CLM_FLAGS_TUNING:
        return "Tuning";
    default:
        return "Other";
    }
}
