/* attention_combine.cl: puts the splits of attention_decode together
 *
 *     out[h][d] = sum_s w_s acc_s[d] / sum_s w_s l_s,   w_s = exp(M_s - max M)
 *
 * Reference  clm_ref_attention_combine() in runtime/ops/ref_attention_combine.c
 * Buffers    part: [n_heads][SPLITS][HEAD_DIM + 2] f32: M, l, acc.
 *            out: [n_heads * HEAD_DIM] f32, or with QUANT_OUT q, d, s of runtime/ops/act.h, one token.
 * Build      HEAD_DIM; SPLITS; QUANT_OUT 0: out; 1: q, d, s
 * Launch     1-D, local = WG; family 0: global = n_heads; family 1: global = n_heads * HEAD_DIM rounded
 *            up to WG, an item per element.
 * Tunables   FAMILY  0: one work-item per head, for CPUs
 *                    1: one per element, for GPUs
 *            WG      work-items per group: 1 in family 0; in family 1 a multiple of 32 with QUANT_OUT
 * Limits     QUANT_OUT: HEAD_DIM a multiple of 32.
 */
#ifndef HEAD_DIM
#define HEAD_DIM 128
#endif
#ifndef SPLITS
#define SPLITS 2
#endif
#ifndef QUANT_OUT
#define QUANT_OUT 0
#endif
#ifndef FAMILY
#define FAMILY 0
#endif
#ifndef WG
#define WG 1
#endif
#if FAMILY == 0 && WG != 1
#error "attention_combine: WG must be 1 in family 0"
#endif
#if QUANT_OUT && ((FAMILY == 1 && WG % 32 != 0) || HEAD_DIM % 32 != 0)
#error "attention_combine: with QUANT_OUT, WG and HEAD_DIM must be multiples of 32"
#endif

#if FAMILY == 0

#include "act.cl"
#include "head_vector.cl"

/* w_s / sum_s w_s l_s, once for a head. */
CLM_INLINE void split_weights(__global const float *splits, float *w)
{
    float top = splits[0], l = 0.0f;

    for (int s = 1; s < SPLITS; s++) top = fmax(top, splits[s * (HEAD_DIM + 2)]);
    for (int s = 0; s < SPLITS; s++) {
        w[s] = exp(splits[s * (HEAD_DIM + 2)] - top);
        l += w[s] * splits[s * (HEAD_DIM + 2) + 1];
    }
    for (int s = 0; s < SPLITS; s++) w[s] /= l;
}

/* Vector n of a head. */
CLM_INLINE VEC combined(__global const float *splits, const float *w, const int n)
{
    VEC sum = 0.0f;

    for (int s = 0; s < SPLITS; s++)
        sum = fma((VEC)(w[s]), LOAD(n, splits + s * (HEAD_DIM + 2) + 2), sum);
    return sum;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void attention_combine(__global const float *restrict part, __global float *restrict out,
                       __global uchar *restrict q, __global float *restrict scales,
                       __global int *restrict sums, const int count)
{
    const int h = (int)get_global_id(0);
    __global const float *splits = part + (size_t)h * SPLITS * (HEAD_DIM + 2);
    float w[SPLITS];

    split_weights(splits, w);
#if QUANT_OUT
    for (int g = 0; g < HEAD_DIM / 32; g++) {
        const int to = h * (HEAD_DIM / 32) + g;

        clm_act_store((__global char *)q + 32 * to, scales + to, sums + to, combined(splits, w, 2 * g),
                      combined(splits, w, 2 * g + 1));
    }
    (void)out;
#else
    for (int n = 0; n < N_VEC; n++) STORE(combined(splits, w, n), n, out + h * HEAD_DIM);
    (void)q;
    (void)scales;
    (void)sums;
#endif
    (void)count;
}

#else /* FAMILY == 1 */

CLM_INLINE float combined(__global const float *splits, const int d)
{
    float top = splits[0], sum = 0.0f, l = 0.0f;

#pragma unroll
    for (int s = 1; s < SPLITS; s++) top = fmax(top, splits[s * (HEAD_DIM + 2)]);
#pragma unroll
    for (int s = 0; s < SPLITS; s++) {
        __global const float *one = splits + s * (HEAD_DIM + 2);
        const float w = exp(one[0] - top);

        l += w * one[1];
        sum += w * one[2 + d];
    }
    return sum / l;
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void attention_combine(__global const float *restrict part, __global float *restrict out,
                       __global uchar *restrict q, __global float *restrict scales,
                       __global int *restrict sums, const int count)
{
    const int i = (int)get_global_id(0);
#if QUANT_OUT
    __local float x[WG];
    __local int level[WG];
    const int lid = (int)get_local_id(0), group = lid / 32 * 32; /* of 32 elements */
    const int at = min(i, count - 1);
    float top = 0.0f;
    int sum = 0;

    x[lid] = combined(part + (size_t)(at / HEAD_DIM) * SPLITS * (HEAD_DIM + 2), at % HEAD_DIM);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int k = 0; k < 32; k++) top = clm_top(top, fabs(x[group + k]));
    const float scale = top <= FLT_MAX ? top / 127.0f : NAN; /* as clm_act_quantise */
    level[lid] = scale > 0.0f ? (int)clamp(rint(x[lid] / scale), -127.0f, 127.0f) : 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int k = 0; k < 32; k++) sum += level[group + k];
    if (i < count) q[i] = (uchar)level[lid];
    if (i < count && lid % 32 == 0) {
        scales[i / 32] = scale;
        sums[i / 32] = sum;
    }
    (void)out;
#else
    if (i < count) out[i] = combined(part + (size_t)(i / HEAD_DIM) * SPLITS * (HEAD_DIM + 2), i % HEAD_DIM);
    (void)q;
    (void)scales;
    (void)sums;
#endif
}
#endif
