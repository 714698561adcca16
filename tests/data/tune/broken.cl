/* broken.cl: one kernel in many variants, most of them broken on purpose, to see the tuner survive. */
#if VARIANT == 4
#error this variant does not compile
#endif

__kernel void broken(__global const float *x, __global float *y, __global int *zero, int n)
{
    const int i = (int)get_global_id(0);

#if VARIANT == 0 /* right, and slow */
    float v = 0.0f;
    for (int k = 0; k < 400; k++) v = fmax(v, 2.0f * x[(i + k * (zero[0] + 1) * 0) % n]);
    y[i] = 2.0f * x[i] + 0.0f * v;
#elif VARIANT == 1 /* wrong in one place */
    y[i] = 2.0f * x[i] + (i == n / 2 ? 1.0f : 0.0f);
#elif VARIANT == 2 /* never ends */
    while (zero[0] == 0) y[i] += 1.0f;
#elif VARIANT == 3 /* behind the end */
    y[i] = 2.0f * x[i];
    if (i == n - 1) y[n + 3] = 1.0f;
#elif VARIANT == 5 /* takes the process down */
    __global int *nowhere = (__global int *)(size_t)(zero[0] * 8);
    nowhere[0] = i;
    y[i] = 2.0f * x[i];
#elif VARIANT == 6 /* leaves elements as they are */
    if (i % 3 != 0) y[i] = 2.0f * x[i];
#else /* right, and fast */
    y[i] = 2.0f * x[i];
#endif
}

__kernel void simple(__global const float *x, __global float *y, __global int *zero, int n)
{
    for (int i = 0; i < n; i++) y[i] = 2.0f * x[i];
}
