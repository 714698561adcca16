/* host/amx_probe.c: see host/amx_probe.h. */
#include "host/amx_probe.h"

#include <string.h>

#include "host/env.h"
#include "host/probe.h"
#include "host/tile_probe.h"

enum { SIDE = 16, COUNT = SIDE * SIDE };

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux lends the registers of tiles on request only. A permission holds for the whole process, threads
 * that exist already included (the kernel's Documentation/arch/x86/xstate.rst), so that it does not
 * matter whether a driver has started its threads. Kernels without the call have no AMX either. */
static bool permitted(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };

    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

static bool host_has(void)
{
    const unsigned bf16 = 1u << 22, tile = 1u << 24; /* of leaf 7, edx */
    unsigned eax, ebx, ecx, edx;

    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return false;
    return (edx & bf16) != 0 && (edx & tile) != 0 && permitted();
}

static bool host_has_avx512_bf16(void)
{
    const unsigned f = 1u << 16, bw = 1u << 30,
                   bf16 = 1u << 5; /* leaf 7, ebx; its second part, eax */
    unsigned eax, ebx, ecx, edx;

    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (ebx & f) == 0 || (ebx & bw) == 0)
        return false;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & bf16) != 0;
}

#else

static bool host_has(void)
{
    return false;
}

static bool host_has_avx512_bf16(void)
{
    return false;
}

#endif

/* To eight bits of mantissa. */
static float rounded(float v)
{
    uint32_t bits;

    memcpy(&bits, &v, sizeof bits);
    bits = (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* What cl/amx_probe.cl makes of element i of C. */
static float wanted(int i, bool cvt)
{
    const int row = i / SIDE, column = i % SIDE;
    const float sum = clm__tile_sum(row, column, 2 * SIDE);

    if (!cvt || row != 0) return sum;
    return rounded(clm__tile_sum(0, SIDE - 1 - column, 2 * SIDE)) - 2.0f * rounded(sum);
}

static bool runs(clm_device *dev, bool cvt)
{
    const clm_define defs[] = {{"AMX", 1}, {"CVT", cvt}};
    uint32_t a[COUNT], b[COUNT];
    float c[COUNT];
    const clm__probe probe = {
        .name = "amx_probe",
        .defs = defs,
        .n_defs = 2,
        .range = {1, {1}, {1}},
        .buffers = {{CLM_ELEM_I32, COUNT, a, NULL},
                    {CLM_ELEM_I32, COUNT, b, NULL},
                    {CLM_ELEM_F32, COUNT, c, c}},
    };

    for (int i = 0; i < COUNT; i++) {
        const int row = i / SIDE, at = i % SIDE;

        a[i] = clm__tile_pair(clm__tile_a(row, 2 * at), clm__tile_a(row, 2 * at + 1));
        b[i] = clm__tile_pair(clm__tile_b(2 * row, at), clm__tile_b(2 * row + 1, at));
        c[i] = (float)clm__tile_c(row, at);
    }
    if (!clm__probe_runs(dev, &probe)) return false;
    for (int i = 0; i < COUNT; i++)
        if (c[i] != wanted(i, cvt)) return false;
    return true;
}

bool clm__amx_runs(clm_device *dev)
{
    return runs(dev, false);
}

bool clm__amx_cvt_probe(clm_device *dev)
{
    return clm_device_caps(dev)->amx && host_has_avx512_bf16() && runs(dev, true);
}

bool clm__amx_probe(clm_device *dev)
{
    if (!clm_env_switch("CLM_AMX", true)) return false;
    return clm_device_caps(dev)->type == CLM_DEVICE_CPU && host_has() && clm__amx_runs(dev);
}
