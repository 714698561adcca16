/* limit_math.cl: how fast the device calculates: chains of multiply-adds that stay in registers
 *
 * Reference  none: a probe of tuning/device_limits.c, which looks at the time only.
 * Buffers    out: [items] words, so that nothing can be left out.  factor: [1] word of bytes.
 * Launch     1-D: local = WG, global = items, a multiple of WG.
 * Tunables   WG  work-items per group;  CHAINS  independent ones;  VW  lanes of a chain: 1, 4, 16
 *            KIND  0: fma in float, 2 operations a lane;  1: clm_dot16_u4, VW 16;  2: clm_dot4, VW 1;
 *            both sum four products of bytes, 8 operations a lane
 * Build      DOT as in dot.cl
 * Limits     rounds >= 1. `a` and `b` are arguments, or compilers would do the sum.
 */
#ifndef WG
#define WG 1
#endif
#ifndef KIND
#define KIND 0
#endif
#ifndef VW
#if KIND == 2
#define VW 1
#else
#define VW 16
#endif
#endif
#ifndef CHAINS
#define CHAINS 8
#endif
#if VW != 1 && VW != 4 && VW != 16
#error "limit_math: VW must be 1, 4 or 16"
#endif
#if WG < 1 || CHAINS < 1 || KIND < 0 || KIND > 2
#error "limit_math: WG, CHAINS or KIND out of range"
#endif
#if (KIND == 1 && VW != 16) || (KIND == 2 && VW != 1)
#error "limit_math: this KIND has another VW"
#endif
#include "dot.cl"

#if VW == 1
#define FLOATS float
#define INTS   int
#else
#define FLOATS CLM_CAT(float, VW)
#define INTS   CLM_CAT(int, VW)
#endif

/* A chain is its own first factor where the compiler could otherwise take the product out of the loop:
 * everywhere but in an instruction that also adds. */
#if KIND == 0
#define LANES         FLOATS
#define LIMIT_STEP(x) fma((x), (FLOATS)(as_float(a)), (FLOATS)(as_float(b)))
#elif KIND == 1 && (DOT == 4 || DOT == 6)
#define LANES         INTS
#define LIMIT_STEP(x) clm_dot16_u4((uint16)((uint)a), factor, (x))
#elif KIND == 1
#define LANES         INTS
#define LIMIT_STEP(x) clm_dot16_u4(as_uint16(x), factor, (x))
#else
#define LANES         INTS
#define LIMIT_STEP(x) clm_dot4((uint)(x), (uint)a, (x))
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void limit_math(__global int *restrict out, __global const uint *restrict factor, const int rounds,
                const int a, const int b)
{
    LANES x[CHAINS], sum;

#pragma unroll
    for (int c = 0; c < CHAINS; c++) x[c] = (LANES)(c + (int)get_global_id(0));
    for (int r = 0; r < rounds; r++) {
#pragma unroll
        for (int c = 0; c < CHAINS; c++) x[c] = LIMIT_STEP(x[c]);
    }
    sum = x[0];
#pragma unroll
    for (int c = 1; c < CHAINS; c++) sum += x[c];
#if VW == 1
    out[get_global_id(0)] = (int)sum;
#else
    LANES all[1];

    all[0] = sum;
    for (int i = 1; i < VW; i++) ((__private int *)all)[0] ^= ((__private int *)all)[i];
    out[get_global_id(0)] = ((__private int *)all)[0];
#endif
}
