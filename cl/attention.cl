/* attention.cl: causal attention of new rows over the caches, with ALiBi's linear bias
 *
 *     out[m][h*HEAD_DIM + d] = sum_j p_j v[kv][j][d],  j = 0 .. pos0 + m
 *     p = softmax_j( q . k[kv][j] / sqrt(HEAD_DIM) - slope[h] * (pos0 + m - j) )
 *     q = x[m][q_off + h*HEAD_DIM ..],  kv = h / (n_heads / n_kv_heads)
 *
 * The softmax runs online: m, the largest score so far, l, the sum of exp(score - m), and acc, the
 * weighted sum of values, are rescaled once per CHUNK keys. m starts at -FLT_MAX, not at -infinity,
 * so that no infinity is subtracted from another.
 *
 * Reference  clm_ref_attention() in runtime/ops/ref_attention.c
 * Buffers    x: [rows][ld] f32.  k, v: [n_kv_heads][ctx][HEAD_DIM] f32, f16 or int8 by KV_TYPE.
 *            ks, vs: [n_kv_heads][ctx] f16, read when KV_TYPE is 2.  slopes: [n_heads] f32, zeros
 *            for no ALiBi.  out: [rows][ldo] f32; columns from n_heads*HEAD_DIM on stay untouched.
 * Build      HEAD_DIM 1..512;  KV_TYPE 0 f32, 1 f16, 2 int8 with a scale per head and position
 * Launch     2-D: local = (WG, 1), global = (n_heads * WG, rows): a group per head and row.
 * Tunables   FAMILY  0: one work-item does it all (WG = 1), for CPUs
 *                    1: the items of a group share the keys of a chunk, then the elements of the
 *                       values, for GPUs
 *            WG      work-items per group, power of two
 *            CHUNK   keys per rescaling, a multiple of 16
 * Limits     pos0 + rows <= ctx. Positions from there on are never read.
 */
#ifndef HEAD_DIM
#define HEAD_DIM 128
#endif
#ifndef KV_TYPE
#define KV_TYPE 0
#endif
#ifndef FAMILY
#define FAMILY 0
#endif
#ifndef WG
#define WG 1
#endif
#ifndef CHUNK
#define CHUNK 16
#endif
#if HEAD_DIM < 1 || HEAD_DIM > 512
#error "attention: HEAD_DIM must be 1 to 512"
#endif
#if FAMILY != 0 && FAMILY != 1
#error "attention: FAMILY must be 0 or 1"
#endif
#if WG < 1 || (WG & (WG - 1)) || (FAMILY == 0 && WG != 1)
#error "attention: WG must be a power of two, and 1 in family 0"
#endif
#if CHUNK < 16 || CHUNK % 16 != 0
#error "attention: CHUNK must be a multiple of 16"
#endif

/* KV_LOAD(vw, i, p): vector i of width vw as floats; KV_SCALE: what it must be multiplied with. */
#if KV_TYPE == 0
#define KV_ELEM            float
#define KV_LOAD1(i, p)     ((p)[i])
#define KV_LOADN(vw, i, p) CLM_CAT(vload, vw)(i, p)
#define KV_SCALE(i, s)     ((void)(s), 1.0f)
#elif KV_TYPE == 1
#define KV_ELEM            half
#define KV_LOAD1(i, p)     vload_half(i, p)
#define KV_LOADN(vw, i, p) CLM_CAT(vload_half, vw)(i, p)
#define KV_SCALE(i, s)     ((void)(s), 1.0f)
#elif KV_TYPE == 2
#define KV_ELEM            char
#define KV_LOAD1(i, p)     ((float)(p)[i])
#define KV_LOADN(vw, i, p) CLM_CAT(convert_float, vw)(CLM_CAT(vload, vw)(i, p))
#define KV_SCALE(i, s)     vload_half(i, s)
#else
#error "attention: KV_TYPE must be 0, 1 or 2"
#endif

/* Width of vectors over a head, their type, their number. */
#if FAMILY == 0 && HEAD_DIM % 16 == 0
#define VW 16
#elif HEAD_DIM % 4 == 0
#define VW 4
#else
#define VW 1
#endif
#define N_VEC (HEAD_DIM / VW)
#if VW == 1
#define VEC           float
#define KV_VEC(i, p)  KV_LOAD1(i, p)
#define VEC_SUM(v)    (v)
#define VEC_LOAD(i, p) ((p)[i])
#else
#define VEC           CLM_CAT(float, VW)
#define KV_VEC(i, p)  KV_LOADN(VW, i, p)
#define VEC_SUM(v)    CLM_CAT(clm_sum, VW)(v)
#define VEC_LOAD(i, p) CLM_CAT(vload, VW)(i, p)
#endif

#if FAMILY == 0

__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void attention(__global const float *restrict x, __global const KV_ELEM *restrict k,
               __global const KV_ELEM *restrict v, __global const half *restrict ks,
               __global const half *restrict vs, __global const float *restrict slopes,
               __global float *restrict out, const int ld, const int q_off, const int ldo,
               const int heads_per_kv, const int ctx, const int pos0, const float scale)
{
    const int h = (int)get_global_id(0);
    const size_t row = get_global_id(1);
    const int n = pos0 + (int)row + 1;
    const size_t base = (size_t)(h / heads_per_kv) * (size_t)ctx;
    const float slope = slopes[h];
    __global const float *from = x + row * (size_t)ld + (size_t)q_off + (size_t)h * HEAD_DIM;
    __global float *to = out + row * (size_t)ldo + (size_t)h * HEAD_DIM;
    VEC q[N_VEC], acc[N_VEC];
    float m = -FLT_MAX, l = 0.0f;

    for (int i = 0; i < N_VEC; i++) {
        q[i] = VEC_LOAD(i, from) * scale;
        acc[i] = 0.0f;
    }
    for (int j0 = 0; j0 < n; j0 += CHUNK) {
        const int count = min(CHUNK, n - j0);
        float s[CHUNK];
        float top = m;

        for (int c = 0; c < count; c++) {
            const size_t at = base + (size_t)(j0 + c);
            __global const KV_ELEM *key = k + at * HEAD_DIM;
            VEC dot_k = 0.0f;
            for (int i = 0; i < N_VEC; i++) dot_k += q[i] * KV_VEC(i, key);
            s[c] = VEC_SUM(dot_k) * KV_SCALE(at, ks) - slope * (float)(n - 1 - j0 - c);
            top = fmax(top, s[c]);
        }
        for (int c = count; c < CHUNK; c++) s[c] = -FLT_MAX;

        const float keep = exp(m - top);
        for (int c = 0; c < CHUNK; c += 16) vstore16(exp(vload16(0, s + c) - top), 0, s + c);
        l *= keep;
        for (int i = 0; i < N_VEC; i++) acc[i] *= keep;
        for (int c = 0; c < count; c++) {
            const size_t at = base + (size_t)(j0 + c);
            __global const KV_ELEM *val = v + at * HEAD_DIM;
            const float p = s[c] * KV_SCALE(at, vs);
            l += s[c];
            for (int i = 0; i < N_VEC; i++) acc[i] += p * KV_VEC(i, val);
        }
        m = top;
    }
    for (int i = 0; i < N_VEC; i++) {
#if VW == 1
        to[i] = acc[i] / l;
#else
        CLM_CAT(vstore, VW)(acc[i] / l, i, to);
#endif
    }
}

#else /* FAMILY == 1 */

#define N_ACC ((HEAD_DIM + WG - 1) / WG) /* elements of the head per work-item */

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void attention(__global const float *restrict x, __global const KV_ELEM *restrict k,
               __global const KV_ELEM *restrict v, __global const half *restrict ks,
               __global const half *restrict vs, __global const float *restrict slopes,
               __global float *restrict out, const int ld, const int q_off, const int ldo,
               const int heads_per_kv, const int ctx, const int pos0, const float scale)
{
    __local float q[HEAD_DIM];
    __local float s[CHUNK]; /* scores */
    __local float p[CHUNK]; /* exp(score - m), times the value's scale in pv */
    __local float pv[CHUNK];
    const int lid = (int)get_local_id(0);
    const int h = (int)get_group_id(0);
    const size_t row = get_group_id(1);
    const int n = pos0 + (int)row + 1;
    const size_t base = (size_t)(h / heads_per_kv) * (size_t)ctx;
    const float slope = slopes[h];
    __global const float *from = x + row * (size_t)ld + (size_t)q_off + (size_t)h * HEAD_DIM;
    __global float *to = out + row * (size_t)ldo + (size_t)h * HEAD_DIM;
    float acc[N_ACC];
    float m = -FLT_MAX, l = 0.0f; /* every item keeps the same m and l */

    for (int d = lid; d < HEAD_DIM; d += WG) q[d] = from[d] * scale;
    for (int a = 0; a < N_ACC; a++) acc[a] = 0.0f;
    barrier(CLK_LOCAL_MEM_FENCE);

    for (int j0 = 0; j0 < n; j0 += CHUNK) {
        const int count = min(CHUNK, n - j0);
        float top = m;

        for (int c = lid; c < count; c += WG) {
            const size_t at = base + (size_t)(j0 + c);
            __global const KV_ELEM *key = k + at * HEAD_DIM;
            VEC sum = 0.0f;
            for (int i = 0; i < N_VEC; i++) sum += VEC_LOAD(i, q) * KV_VEC(i, key);
            s[c] = VEC_SUM(sum) * KV_SCALE(at, ks) - slope * (float)(n - 1 - j0 - c);
        }
        barrier(CLK_LOCAL_MEM_FENCE); /* scores are there; and p, pv of the last chunk were read */
        for (int c = 0; c < count; c++) top = fmax(top, s[c]);
        for (int c = lid; c < count; c += WG) {
            p[c] = exp(s[c] - top);
            pv[c] = p[c] * KV_SCALE(base + (size_t)(j0 + c), vs);
        }
        barrier(CLK_LOCAL_MEM_FENCE); /* p, pv are there; and s was read */

        const float keep = exp(m - top);
        l *= keep;
        for (int c = 0; c < count; c++) l += p[c];
        for (int a = 0; a < N_ACC; a++) {
            const int d = lid + a * WG;
            __global const KV_ELEM *val = v + (base + (size_t)j0) * HEAD_DIM;
            float sum = acc[a] * keep;
            if (d < HEAD_DIM) {
                for (int c = 0; c < count; c++) sum += pv[c] * KV_LOAD1((size_t)c * HEAD_DIM + d, val);
            }
            acc[a] = sum;
        }
        m = top;
    }
    for (int a = 0; a < N_ACC; a++) {
        const int d = lid + a * WG;
        if (d < HEAD_DIM) to[d] = acc[a] / l;
    }
}

#endif
