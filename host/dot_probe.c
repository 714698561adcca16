/* host/dot_probe.c: see host/dot_probe.h. */
#include "host/dot_probe.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "host/probe.h"

enum { LANES = 64 };

static const char *const k_names[CLM_DOT_COUNT] = {"plain", "khr",  "amd", "ptx",
                                                   "vnni",  "avx2", "sdot"};

const char *clm_dot_name(clm_dot dot)
{
    return (int)dot >= 0 && dot < CLM_DOT_COUNT ? k_names[dot] : "unknown";
}

bool clm_dot_of_cpu(clm_dot dot)
{
    return dot == CLM_DOT_VNNI || dot == CLM_DOT_AVX2 || dot == CLM_DOT_SDOT;
}

/* Whether the host's processor has the instructions: a CPU device runs on it, and executing what it
 * lacks would end the process. */
static bool host_has(clm_dot dot)
{
#if defined(__x86_64__)
    if (dot == CLM_DOT_VNNI)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni");
    return dot == CLM_DOT_AVX2 && __builtin_cpu_supports("avx2");
#elif defined(__aarch64__)
    return dot == CLM_DOT_SDOT && (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
    (void)dot;
    return false;
#endif
}

/* Whether trying to build it is safe and makes sense. */
static bool possible(const clm_caps *caps, clm_dot dot)
{
    switch (dot) {
    case CLM_DOT_VNNI:
    case CLM_DOT_AVX2:
    case CLM_DOT_SDOT:
        return caps->type == CLM_DEVICE_CPU && host_has(dot);
    case CLM_DOT_KHR:
        return caps->integer_dot_product;
    case CLM_DOT_AMD:
    case CLM_DOT_PTX:
        return caps->type == CLM_DEVICE_GPU;
    default:
        return true;
    }
}

static int byte_of(uint32_t word, int i)
{
    return (int8_t)(word >> (8 * i));
}

static bool right(const uint32_t *w, uint32_t x, const int32_t *out)
{
    for (int lane = 0; lane < LANES; lane++) {
        int32_t both = lane, low = lane;

        for (int i = 0; i < 4; i++) {
            both += byte_of(w[lane], i) * byte_of(x, i);
            low += 8 * ((byte_of(w[lane], i) & 15) - 8) * byte_of(x, i);
        }
        if (out[lane] != both || out[LANES + lane] != low || out[2 * LANES + lane] != both)
            return false;
    }
    return true;
}

static bool works(clm_device *dev, clm_dot dot)
{
    const clm_define def = {"DOT", (int)dot};
    uint32_t w[LANES], x = 0x81F37F7Eu; /* -127, -13, 127, 126 */
    int32_t out[3 * LANES] = {0};
    const clm__probe probe = {
        .name = "dot_probe",
        .defs = &def,
        .n_defs = 1,
        .range = {1, {LANES / 16}, {1}},
        .buffers = {{CLM_ELEM_I32, LANES, w, NULL},
                    {CLM_ELEM_I32, 1, &x, NULL},
                    {CLM_ELEM_I32, 3 * LANES, NULL, out}},
    };

    for (uint32_t i = 0; i < LANES; i++) w[i] = i * 2654435761u ^ 0x80FF7F01u;
    return clm__probe_runs(dev, &probe) && right(w, x, out);
}

clm_dot clm__dot_probe(clm_device *dev)
{
    /* PTX before AMD's builtins: NVIDIA's compiler writes about what it refuses to the terminal. */
    static const clm_dot best_first[] = {CLM_DOT_VNNI, CLM_DOT_AVX2, CLM_DOT_SDOT,
                                         CLM_DOT_KHR,  CLM_DOT_PTX,  CLM_DOT_AMD};
    const clm_caps *caps = clm_device_caps(dev);
    const char *only = getenv("CLM_DOT");

    for (size_t i = 0; i < sizeof best_first / sizeof *best_first; i++) {
        if (only != NULL && only[0] != '\0' && strcmp(only, k_names[best_first[i]]) != 0) continue;
        if (possible(caps, best_first[i]) && works(dev, best_first[i])) return best_first[i];
    }
    return CLM_DOT_PLAIN;
}
