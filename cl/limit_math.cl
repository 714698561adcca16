/* limit_math.cl: how fast the device calculates: chains of multiply-adds that stay in registers
 *
 * Reference  none: a probe of tuning/device_limits.c, which looks at the time only.
 * Buffers    out: [items] words, so that nothing can be left out.
 * Launch     1-D: local = WG, global = items, a multiple of WG.
 * Tunables   WG  work-items per group;  VW  lanes of a chain: 1, 4, 16;  CHAINS  independent ones;
 *            DOT  0: fma in float, 2 operations a lane;  1: dot product of four signed bytes in
 *            plain integer arithmetic, 8 operations a lane
 * Limits     rounds >= 1. `a` and `b` are arguments, or compilers would do the sum.
 */
#ifndef WG
#define WG 1
#endif
#ifndef VW
#define VW 16
#endif
#ifndef CHAINS
#define CHAINS 8
#endif
#ifndef DOT
#define DOT 0
#endif
#if VW != 1 && VW != 4 && VW != 16
#error "limit_math: VW must be 1, 4 or 16"
#endif
#if WG < 1 || CHAINS < 1 || DOT < 0 || DOT > 1
#error "limit_math: WG, CHAINS or DOT out of range"
#endif

#if VW == 1
#define FLOATS float
#define INTS   int
#else
#define FLOATS CLM_CAT(float, VW)
#define INTS   CLM_CAT(int, VW)
#endif

#if DOT == 0
#define LANES          FLOATS
#define LIMIT_STEP(x)  fma((x), (FLOATS)(as_float(a)), (FLOATS)(as_float(b)))
#else
/* A chain is its own first factor, so that no product can be taken out of the loop. */
#define BYTE(x, i)     (((x) << (24 - 8 * (i))) >> 24)
#define LANES          INTS
#define LIMIT_STEP(x)                                                                              \
    ((x) + BYTE(x, 0) * BYTE(a, 0) + BYTE(x, 1) * BYTE(a, 1) + BYTE(x, 2) * BYTE(b, 2) +           \
     BYTE(x, 3) * BYTE(b, 3))
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void limit_math(__global int *restrict out, const int rounds, const int a, const int b)
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
