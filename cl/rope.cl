/* rope.cl: rotary position embedding, in place. For each row m, head h and pair i:
 *     (a, b) = x[m][off + h*head_dim + 2i, + 2i + 1]
 *     (a, b) <- (a*cos - b*sin, a*sin + b*cos)   with the angle of position pos0 + m
 *
 * Reference  clm_ref_rope() in runtime/ops/ref_rope.c
 * Buffers    x: [rows][ld] f32, in and out.  cs: [positions][rope_dims/2][2] f32, cosine and sine
 *            (clm_rope_table() in runtime/ops/op_rope.c), at least pos0 + rows positions.
 * Launch     2-D: local = (WG, 1), global = (items rounded up to WG, rows): n_heads * rope_dims/2 items with VW 1,
 *            n_heads with VW 8.
 * Tunables   WG  work-items per group
 *            VW  pairs an item takes at once: 1, and no others, or 8, and all of a head
 * Limits     rope_dims even, with VW 8 a multiple of 16, at most head_dim; elements from rope_dims on stay as
 *            they are.
 */
#ifndef WG
#define WG 32
#endif
#ifndef VW
#define VW 1
#endif
#if WG < 1
#error "rope: WG must be at least 1"
#endif
#if VW != 1 && VW != 8
#error "rope: VW must be 1 or 8"
#endif

/* Component by component, as Oclgrind takes .even and .odd for uninitialised; compilers make one shuffle of it. */
#define EVEN(v) (float8)(v.s0, v.s2, v.s4, v.s6, v.s8, v.sa, v.sc, v.se)
#define ODD(v)  (float8)(v.s1, v.s3, v.s5, v.s7, v.s9, v.sb, v.sd, v.sf)

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void rope(__global float *restrict x, __global const float *restrict cs, const int ld, const int off,
          const int n_heads, const int head_dim, const int rope_dims, const int pos0)
{
    const int pairs = rope_dims / 2;
    const int id = (int)get_global_id(0);
    const size_t m = get_global_id(1);
    __global const float *restrict t = cs + ((size_t)pos0 + m) * (size_t)rope_dims;
    __global float *restrict row = x + m * (size_t)ld + (size_t)off;

#if VW == 1
    if (id >= n_heads * pairs) return;
    const int h = id / pairs;
    const int i = id - h * pairs;
    __global float *p = row + (size_t)h * (size_t)head_dim + 2 * (size_t)i;
    const float2 a = vload2((size_t)i, t), v = vload2(0, p);

    vstore2((float2)(v.s0 * a.s0 - v.s1 * a.s1, v.s0 * a.s1 + v.s1 * a.s0), 0, p);
#else
    if (id >= n_heads) return;
    for (int i = 0; i < pairs / VW; i++) {
        __global float *p = row + (size_t)id * (size_t)head_dim;
        const float16 a = vload16((size_t)i, t);
        const float16 v = vload16((size_t)i, p);
        const float8 c = EVEN(a), s = ODD(a), first = EVEN(v), second = ODD(v);
        const float8 re = first * c - second * s, im = first * s + second * c;

        vstore16((float16)(re.s0, im.s0, re.s1, im.s1, re.s2, im.s2, re.s3, im.s3, re.s4, im.s4,
                           re.s5, im.s5, re.s6, im.s6, re.s7, im.s7),
                 (size_t)i, p);
    }
#endif
}
