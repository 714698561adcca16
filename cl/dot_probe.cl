/* dot_probe.cl: whether a way of dot.cl works on a device (host/dot_probe.c compares with C)
 *
 * Buffers    w: [lanes / 16][16], x: [1] words of four bytes.
 *            out: [3][lanes]: clm_dot4(w, x); w's low nibbles less 8 times x, eight times over,
 *            by clm_dot16_u4; clm_dot16_i8; each + lane
 * Launch     1-D: one work-item per 16 lanes, local 1.
 */
#include "dot.cl"

__kernel void dot_probe(__global const uint *restrict w, __global const uint *restrict x,
                        __global int *restrict out)
{
    const int lanes = (int)get_global_size(0) * 16;
    const int first = (int)get_global_id(0) * 16;
    const int16 lane = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) + first;
    const uint16 v = vload16(get_global_id(0), w);
    int16 nibbles;
    int bytes = 0;

    for (int i = 0; i < 16; i++) out[first + i] = clm_dot4(w[first + i], x[0], first + i);
    for (int i = 0; i < 4; i++) bytes += (int)(x[0] << (24 - 8 * i)) >> 24;
    nibbles = clm_u4_start(-8 * 8 * bytes);
    for (int i = 0; i < 8; i++) nibbles = clm_dot16_u4(v & (uint16)(0x0f0f0f0fu), x, nibbles);
    vstore16(clm_u4_sums(nibbles) + lane, 0, out + lanes + first);
    vstore16(clm_dot16_i8(v, x, lane - CLM_DOT_I8_BIAS * bytes), 0, out + 2 * lanes + first);
}
