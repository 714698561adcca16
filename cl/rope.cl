/* rope.cl: rotary position embedding, in place. For each row m, head h and pair i:
 *     (a, b) = x[m][off + h*head_dim + 2i, + 2i + 1]
 *     (a, b) <- (a*cos - b*sin, a*sin + b*cos)   with the angle of position pos0 + m
 *
 * Reference  clm_ref_rope() in runtime/ops/ref_rope.c
 * Buffers    x: [rows][ld] f32, in and out.  cs: [positions][rope_dims/2][2] f32, cosine and sine
 *            (clm_rope_table() in runtime/ops/op_rope.c), at least pos0 + rows positions.
 * Launch     2-D: local = (WG, 1), global = (n_heads * rope_dims/2 rounded up to WG, rows).
 * Tunables   WG  work-items per group
 * Limits     rope_dims even, at most head_dim; elements from rope_dims on stay as they are.
 */
#ifndef WG
#define WG 32
#endif
#if WG < 1
#error "rope: WG must be at least 1"
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1)))
void rope(__global float *restrict x, __global const float *restrict cs, const int ld, const int off,
          const int n_heads, const int head_dim, const int rope_dims, const int pos0)
{
    const int pairs = rope_dims / 2;
    const int id = (int)get_global_id(0);
    const size_t m = get_global_id(1);

    if (id >= n_heads * pairs) return;
    const int h = id / pairs;
    const int i = id - h * pairs;
    __global float *p = x + m * (size_t)ld + (size_t)off + (size_t)h * (size_t)head_dim + 2 * (size_t)i;
    const float2 t = vload2(((size_t)pos0 + m) * (size_t)pairs + (size_t)i, cs);
    const float2 v = vload2(0, p);

    vstore2((float2)(v.s0 * t.s0 - v.s1 * t.s1, v.s0 * t.s1 + v.s1 * t.s0), 0, p);
}
