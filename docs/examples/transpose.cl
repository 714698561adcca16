/* transpose.cl: out[x][y] = in[y][x], for `clm tune --kernel`. N comes from the sizes, TILE and ROWS
 * from the parameters of transpose.yaml. */

/* One work-item moves a block of TILE x ROWS elements. */
__kernel void transpose(__global const float *in, __global float *out, int n)
{
    const int x0 = (int)get_global_id(0) * TILE, y0 = (int)get_global_id(1) * ROWS;

    for (int y = y0; y < y0 + ROWS; y++)
        for (int x = x0; x < x0 + TILE; x++) out[x * n + y] = in[y * n + x];
}

/* Slow and plainly right: what every candidate is compared with. */
__kernel void transpose_simple(__global const float *in, __global float *out, int n)
{
    const int y = (int)get_global_id(0);

    for (int x = 0; x < n; x++) out[x * n + y] = in[y * n + x];
}
