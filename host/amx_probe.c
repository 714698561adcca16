/* host/amx_probe.c: see host/amx_probe.h. */
#include "host/amx_probe.h"

#include <stdlib.h>
#include <string.h>

#include "host/buffer.h"
#include "host/kernel.h"
#include "host/program.h"
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

static clm_status multiply(clm_device *dev, bool cvt, const uint32_t *a, const uint32_t *b,
                           float *c)
{
    const clm_define defs[] = {{"AMX", 1}, {"CVT", cvt}};
    const clm_range range = {1, {1}, {1}};
    clm_program *prog = NULL;
    clm_kernel *kernel = NULL;
    clm_buffer *bufs[3] = {NULL};
    clm_status st = clm_program_create(dev, "amx_probe", defs, 2, &prog, NULL);

    if (st == CLM_OK) st = clm_kernel_create(prog, "amx_probe", &kernel, NULL);
    if (st == CLM_OK) st = clm_buffer_create(dev, CLM_ELEM_I32, COUNT, &bufs[0], NULL);
    if (st == CLM_OK) st = clm_buffer_create(dev, CLM_ELEM_I32, COUNT, &bufs[1], NULL);
    if (st == CLM_OK) st = clm_buffer_create(dev, CLM_ELEM_F32, COUNT, &bufs[2], NULL);
    if (st == CLM_OK) st = clm_buffer_write(bufs[0], 0, COUNT, a, NULL);
    if (st == CLM_OK) st = clm_buffer_write(bufs[1], 0, COUNT, b, NULL);
    if (st == CLM_OK) st = clm_buffer_write(bufs[2], 0, COUNT, c, NULL);
    if (st == CLM_OK) {
        const clm_arg args[] = {CLM_BUF(bufs[0]), CLM_BUF(bufs[1]), CLM_BUF(bufs[2])};
        st = clm_kernel_set_args(kernel, args, 3, NULL);
    }
    if (st == CLM_OK) st = clm_kernel_enqueue(kernel, &range, NULL);
    if (st == CLM_OK) st = clm_buffer_read(bufs[2], 0, COUNT, c, NULL);
    for (size_t i = 0; i < 3; i++) clm_buffer_destroy(bufs[i]);
    clm_kernel_destroy(kernel);
    clm_program_destroy(prog);
    return st;
}

static bool runs(clm_device *dev, bool cvt)
{
    uint32_t a[COUNT], b[COUNT];
    float c[COUNT];

    for (int i = 0; i < COUNT; i++) {
        const int row = i / SIDE, at = i % SIDE;

        a[i] = clm__tile_pair(clm__tile_a(row, 2 * at), clm__tile_a(row, 2 * at + 1));
        b[i] = clm__tile_pair(clm__tile_b(2 * row, at), clm__tile_b(2 * row + 1, at));
        c[i] = (float)clm__tile_c(row, at);
    }
    if (multiply(dev, cvt, a, b, c) != CLM_OK) return false;
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
    const char *allowed = getenv("CLM_AMX");

    if (allowed != NULL && strcmp(allowed, "0") == 0) return false;
    return clm_device_caps(dev)->type == CLM_DEVICE_CPU && host_has() && clm__amx_runs(dev);
}
