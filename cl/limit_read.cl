/* limit_read.cl: how fast the device reads memory: out[item] = xor of all that the item read
 *
 * Reference  none: a probe of tuning/device_limits.c, which looks at the time only.
 * Buffers    in: [items * STREAMS * len] vectors of VW words.  out: [items] words.
 * Launch     1-D: local = WG, global = items, a multiple of WG.
 * Tunables   WG  work-items per group;  VW  words per load: 4, 8, 16;  STREAMS  loads in flight;
 *            COALESCED  1: neighbours read neighbouring vectors (GPUs);  0: every item walks
 *            STREAMS blocks of its own, each from its beginning (CPUs)
 * Limits     len >= 1; the caller makes the buffer fit.
 */
#ifndef WG
#define WG 1
#endif
#ifndef VW
#define VW 16
#endif
#ifndef STREAMS
#define STREAMS 4
#endif
#ifndef COALESCED
#define COALESCED 0
#endif
#if VW != 4 && VW != 8 && VW != 16
#error "limit_read: VW must be 4, 8 or 16"
#endif
#if WG < 1 || STREAMS < 1
#error "limit_read: WG and STREAMS must be at least 1"
#endif

#define WORDS CLM_CAT(uint, VW)

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void limit_read(__global const WORDS *restrict in, __global uint *restrict out, const int len)
{
    const size_t item = get_global_id(0);
#if COALESCED
    const size_t first = item, next_stream = get_global_size(0), step = next_stream * STREAMS;
#else
    const size_t first = item * STREAMS * (size_t)len, next_stream = (size_t)len, step = 1;
#endif
    WORDS sum[STREAMS];
    uint words[VW], all = 0;

#pragma unroll
    for (int s = 0; s < STREAMS; s++) sum[s] = (WORDS)(0u);
    for (int i = 0; i < len; i++) {
#pragma unroll
        for (int s = 0; s < STREAMS; s++)
            sum[s] ^= in[first + (size_t)s * next_stream + (size_t)i * step];
    }
#pragma unroll
    for (int s = 0; s < STREAMS; s++) {
        CLM_CAT(vstore, VW)(sum[s], 0, words);
        for (int w = 0; w < VW; w++) all ^= words[w];
    }
    out[item] = all;
}
