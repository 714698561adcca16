/* act.cl: making int8 activations (layout: runtime/ops/act.h), shared by the kernels that do. */

/* One group of 32: its bytes, scale and sum. */
typedef struct clm_act {
    char16 lo, hi;
    float d;
    int s;
} clm_act;

/* Quantises one group, given as two vectors. One with an element that is no finite number becomes zeros
 * with the scale NaN, so that no product of it is a number. The quotient by the largest is taken in float: a value
 * near the middle of two steps may fall on either side, which is within what rounding costs. Inlining a
 * function that returns a struct leaves a call that Oclgrind does not know, hence the pointer. */
CLM_INLINE void clm_act_quantise(const float16 lo, const float16 hi, clm_act *result)
{
    const float top = clm_top_of16(clm_top16(fabs(lo), fabs(hi)));
    const int finite = top <= FLT_MAX ? -1 : 0; /* a mask */
    const float inverse = top > 0.0f ? 127.0f / top : 0.0f;
    const float16 a = as_float16(as_int16(rint(lo * inverse)) & finite);
    const float16 b = as_float16(as_int16(rint(hi * inverse)) & finite);

    result->lo = convert_char16(convert_int16(a));
    result->hi = convert_char16(convert_int16(b));
    result->d = finite ? top / 127.0f : NAN;
    result->s = (int)clm_sum16(a + b);
}

/* The same into memory: q, d and s of the group in a panel of one token. */
CLM_INLINE void clm_act_store(__global char *q, __global float *d, __global int *s,
                              const float16 lo, const float16 hi)
{
    clm_act a;

    clm_act_quantise(lo, hi, &a);
    vstore16(a.lo, 0, q);
    vstore16(a.hi, 1, q);
    d[0] = a.d;
    s[0] = a.s;
}
