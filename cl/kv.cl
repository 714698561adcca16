/* kv.cl: the key-value cache as kernels see it. Layout: runtime/ops/kv_layout.h.
 *
 * Build      KV_TYPE  0 f32, 1 f16, 2 int8 with a scale per head and position
 */
#ifndef KV_TYPE
#define KV_TYPE 0
#endif

/* KV_LOAD1(i, p): element i as float; KV_LOADN(n, i, p): vector i of n elements, aligned or not;
 * KV_SCALE(i, s): what elements of position i must be multiplied with. */
#if KV_TYPE == 0
#define KV_ELEM           float
#define KV_LOAD1(i, p)    ((p)[i])
#define KV_LOADN(n, i, p) CLM_CAT(vload, n)(i, p)
#define KV_SCALE(i, s)    ((void)(s), 1.0f)
#elif KV_TYPE == 1
#define KV_ELEM           half
#define KV_LOAD1(i, p)    vload_half(i, p)
#define KV_LOADN(n, i, p) CLM_CAT(vload_half, n)(i, p)
#define KV_SCALE(i, s)    ((void)(s), 1.0f)
#elif KV_TYPE == 2
#define KV_ELEM           char
#define KV_LOAD1(i, p)    ((float)(p)[i])
#define KV_LOADN(n, i, p) CLM_CAT(convert_float, n)(CLM_CAT(vload, n)(i, p))
#define KV_SCALE(i, s)    vload_half(i, s)
#else
#error "KV_TYPE must be 0, 1 or 2"
#endif

/* exp(-KV_VANISH) = 2^-24: what all keys that are left out may weigh beside those that are not. */
#define KV_VANISH 16.64f

/* Eight elements from an address that is a multiple of their size: one load of 8 or 16 bytes (two for
 * f32), where vload_half8 would be eight on some devices. */
CLM_INLINE float8 kv_load8(__global const KV_ELEM *p)
{
#if KV_TYPE == 0
    __global const float4 *v = (__global const float4 *)p;

    return (float8)(v[0], v[1]);
#elif KV_TYPE == 1
    const uint4 bits = *(__global const uint4 *)p;

    return vload_half8(0, (const half *)&bits);
#else
    return convert_float8(*(__global const char8 *)p);
#endif
}

/* The scale of a vector with largest absolute value `top` (clm_top) as int8; NaN where that is no finite
 * number, and its elements are then 0. Elements are divided by the scale as it is stored: rounding it costs
 * nothing but range. */
CLM_INLINE float kv_int8_scale(const float top)
{
    return top <= FLT_MAX ? clm_round_half(fmin(top / 127.0f, 65504.0f)) : NAN;
}

CLM_INLINE float kv_int8(const float v, const float scale)
{
    return scale > 0.0f ? clamp(rint(v / scale), -127.0f, 127.0f) : 0.0f;
}

/* The same of 16 elements, each with its scale: positions must not differ by the path that stored them. */
CLM_INLINE float16 kv_int8_16(const float16 v, const float16 scale)
{
    return select((float16)(0.0f), clamp(rint(v / scale), -127.0f, 127.0f),
                  isgreater(scale, (float16)(0.0f)));
}

/* `v` as it comes back from a cache (`scale`: int8 only), and storing it. */
CLM_INLINE float kv_round(const float v, const float scale)
{
#if KV_TYPE == 0
    (void)scale;
    return v;
#elif KV_TYPE == 1
    (void)scale;
    return clm_round_half(v);
#else
    return kv_int8(v, scale) * scale;
#endif
}

CLM_INLINE void kv_store1(const float v, const float scale, const size_t i, __global KV_ELEM *p)
{
#if KV_TYPE == 0
    (void)scale;
    p[i] = v;
#elif KV_TYPE == 1
    (void)scale;
    vstore_half_rte(v, i, p);
#else
    p[i] = convert_char_sat(kv_int8(v, scale));
#endif
}

/* 16 elements as they are stored, each with its scale, and as they come back. */
#if KV_TYPE == 0
#define KV_STORED16 float16
#elif KV_TYPE == 1
#define KV_STORED16 ushort16
#else
#define KV_STORED16 char16
#endif

CLM_INLINE KV_STORED16 kv_stored16(const float16 v, const float16 scale)
{
#if KV_TYPE == 0
    (void)scale;
    return v;
#elif KV_TYPE == 1
    (void)scale;
    return clm_half_bits16(v);
#else
    return convert_char16(convert_int16(kv_int8_16(v, scale)));
#endif
}

CLM_INLINE float16 kv_value16(const KV_STORED16 stored, const float16 scale)
{
#if KV_TYPE == 0
    (void)scale;
    return stored;
#elif KV_TYPE == 1
    (void)scale;
    return vload_half16(0, (const half *)&stored);
#else
    return convert_float16(stored) * scale;
#endif
}

/* A key's length from its square, for kmax: +infinity when it is no number. */
CLM_INLINE float kv_length(const float square)
{
    return square < FLT_MAX ? sqrt(square) : INFINITY;
}
