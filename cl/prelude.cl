/* prelude.cl: helpers that the host puts in front of every kernel file.
 *
 * Half precision is storage only: vload_half and vstore_half are core OpenCL, no kernel does
 * arithmetic in half and none needs cl_khr_fp16.
 */

/* a ## b after expansion: CLM_CAT(vload, VW) with VW defined as 16 is vload16. */
#define CLM_CAT_(a, b) a##b
#define CLM_CAT(a, b)  CLM_CAT_(a, b)

/* For helpers, above all those with __local arguments. When one is not inlined and all its calls hand
 * over the same __local array, the compiler puts the array in the argument's place; PoCL 3.1 misses
 * that use when it gives each work-group a copy, and groups running side by side share the array. */
#define CLM_INLINE static inline __attribute__((always_inline))

/* `v` rounded to half precision, to nearest even. */
CLM_INLINE float clm_round_half(const float v)
{
    ushort bits;

    vstore_half_rte(v, 0, (half *)&bits);
    return vload_half(0, (const half *)&bits);
}

/* Four halves as loaded from memory in one piece: where a compiler trusts vload_half4 with the alignment
 * of one half only (NVIDIA's), it makes four loads of it. */
CLM_INLINE float4 clm_half4(const uint2 bits)
{
    return vload_half4(0, (const half *)&bits);
}

/* The bits of 16 halves, rounded to nearest even. vstore_half16_rte is the same, but on PoCL a slow call
 * for each component, where x86 processors since AVX2 have an instruction for eight. */
#ifdef __F16C__
CLM_INLINE ushort16 clm_half_bits16(const float16 v)
{
    const ushort8 lo = as_ushort8(__builtin_ia32_vcvtps2ph256(v.lo, 0));
    const ushort8 hi = as_ushort8(__builtin_ia32_vcvtps2ph256(v.hi, 0));

    return (ushort16)(lo, hi);
}
#else
CLM_INLINE ushort16 clm_half_bits16(const float16 v)
{
    const uint16 bits = as_uint16(v), size = bits & 0x7fffffffu;
    const uint16 normal = ((size + 0x0fffu + ((size >> 13u) & 1u)) >> 13u) - 0x1c000u;
    /* Below 2^-14 halves are multiples of 2^-24. */
    const uint16 small = convert_uint16(rint(fmin(as_float16(size), 1.0f) * 16777216.0f));
    uint16 half_bits = select(normal, small, size < (uint16)(0x38800000u));

    half_bits = select(half_bits, (uint16)(0x7c00u), size >= (uint16)(0x477ff000u)); /* 65520 */
    half_bits = select(half_bits, (uint16)(0x7e00u), size > (uint16)(0x7f800000u));  /* NaN */
    return convert_ushort16(half_bits | ((bits >> 16u) & 0x8000u));
}
#endif

/* Sums of the components, by halves. The halves go through an array, which compilers optimise away:
 * Oclgrind 21.10 takes .lo and .hi for uninitialised values (and crashes in that check on optimised
 * code: give it --build-options -cl-opt-disable). */
CLM_INLINE float clm_sum4(const float4 v)
{
    return (v.s0 + v.s2) + (v.s1 + v.s3);
}

CLM_INLINE float clm_sum8(const float8 v)
{
    float half_of[8];

    vstore8(v, 0, half_of);
    return clm_sum4(vload4(0, half_of) + vload4(1, half_of));
}

CLM_INLINE float clm_sum16(const float16 v)
{
    float half_of[16];

    vstore16(v, 0, half_of);
    return clm_sum8(vload8(0, half_of) + vload8(1, half_of));
}

/* The largest component; NaN is ignored. */
CLM_INLINE float clm_max16(const float16 v)
{
    float of[16];

    vstore16(v, 0, of);
    const float8 v8 = fmax(vload8(0, of), vload8(1, of));
    vstore8(v8, 0, of);
    const float4 v4 = fmax(vload4(0, of), vload4(1, of));
    return fmax(fmax(v4.s0, v4.s2), fmax(v4.s1, v4.s3));
}

/* The larger of two absolute values, and the largest of 16. NaN counts as larger than any number, where
 * fmax would lose it: as integers, bits without a sign are in this order. */
CLM_INLINE float clm_top(const float a, const float b)
{
    return as_float(max(as_int(a), as_int(b)));
}

CLM_INLINE float16 clm_top16(const float16 a, const float16 b)
{
    return as_float16(max(as_int16(a), as_int16(b)));
}

CLM_INLINE float clm_top_of16(const float16 v)
{
    int of[16];

    vstore16(as_int16(v), 0, of);
    const int8 v8 = max(vload8(0, of), vload8(1, of));
    vstore8(v8, 0, of);
    const int4 v4 = max(vload4(0, of), vload4(1, of));
    return as_float(max(max(v4.s0, v4.s2), max(v4.s1, v4.s3)));
}

/* Sum over a 1-D work-group of `wg` items, a power of two; all items get the result.
 *   part  local memory of wg floats; may be reused after the next barrier
 * Every item of the group must call it. */
CLM_INLINE float clm_group_sum(__local float *part, const int lid, const int wg,
                               const float mine)
{
    part[lid] = mine;
    for (int step = wg / 2; step > 0; step /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE); /* before every read of a neighbour */
        if (lid < step) part[lid] += part[lid + step];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return part[0];
}

/* ---- weight matrices (layouts: runtime/ops/weight.h) ---- */

/* The minimum of a group from what is stored: with HAS_MIN 2 that is a number of scales. */
#define CLM_MINIMUM(has_min, scale, stored) ((has_min) == 2 ? (scale) * (stored) : (stored))

/* Element [row][k] of a matrix with `columns` columns. `format` (CLM_FORMAT_*), `group` (elements
 * per scale, 0: a whole row) and `has_min` are build constants, so that one branch remains.
 * Unsigned, since a quotient and a remainder by a power of two are then a shift and a mask. */
CLM_INLINE float clm_weight_at(__global const uchar *q, __global const half *scale,
                               __global const half *minimum, const int format, const uint group,
                               const int has_min, const uint columns, const uint row, const uint k)
{
    const size_t tile = row / 16;
    const uint lane = row % 16;

    if (format != 4 && format != 8) {
        const size_t i = (tile * columns + k) * 16 + lane;

        if (format == 1) return vload_half(i, (__global const half *)q);
        if (format == 2) return as_float((uint)((__global const ushort *)q)[i] << 16);
        return ((__global const float *)q)[i];
    }

    const size_t block = tile * (columns / 32) + k / 32;
    const uint divisor = group == 0 ? columns : group;
    const size_t si = (tile * (columns / divisor) + k / divisor) * 16 + lane;
    const float s = vload_half(si, scale);
    __global const uint *words = (__global const uint *)q;
    float level;

    if (format == 4) {
        const uint word = words[block * 64 + k % 32 / 8 * 16 + lane];

        level = (float)((word >> (8 * (k % 4) + (k & 4))) & 15u) - 8.0f;
    } else {
        const uint word = words[block * 128 + k % 32 / 4 * 16 + lane];

        level = (float)((int)(word << (24 - 8 * (k % 4))) >> 24);
    }
    if (has_min == 0) return s * level;
    return s * level + CLM_MINIMUM(has_min, s, vload_half(si, minimum));
}

/* The first `rows` (1 to 16 or more) floats at x; zeros in place of the others. */
CLM_INLINE float16 clm_load_tile(__global const float *x, const int rows)
{
    float all[16];

    if (rows >= 16) return vload16(0, x);
    for (int i = 0; i < 16; i++) all[i] = i < rows ? x[i] : 0.0f;
    return vload16(0, all);
}

/* Writes the first `rows` (1 to 16 or more) components of v. */
CLM_INLINE void clm_store_tile(__global float *y, const float16 v, const int rows)
{
    float all[16];

    if (rows >= 16) {
        vstore16(v, 0, y);
        return;
    }
    vstore16(v, 0, all);
    for (int i = 0; i < rows; i++) y[i] = all[i];
}

/* Sum over the `splits` work-items of a row in a 1-D work-group of 16 rows, item = split * 16 + row.
 * The first 16 items get the results. Every item of the group must call this. */
CLM_INLINE float clm_split_sum(__local float *part, const int item, const int splits,
                               const float mine)
{
    float sum = mine;

    part[item] = mine;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < 16) {
        for (int s = 1; s < splits; s++) sum += part[s * 16 + item];
    }
    return sum;
}
