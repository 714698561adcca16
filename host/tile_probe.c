/* host/tile_probe.c: see host/tile_probe.h. */
#include "host/tile_probe.h"

#include <string.h>

int clm__tile_a(int row, int k)
{
    return (row * 5 + k * 3) % 17 - 8;
}

int clm__tile_b(int k, int column)
{
    return (k * 7 + column * 11) % 13 - 6;
}

int clm__tile_c(int row, int column)
{
    return row - 2 * column;
}

float clm__tile_sum(int row, int column, int inner)
{
    int sum = clm__tile_c(row, column);

    for (int k = 0; k < inner; k++) sum += clm__tile_a(row, k) * clm__tile_b(k, column);
    return (float)sum;
}

uint32_t clm__tile_pair(int first, int second)
{
    const float f[2] = {(float)first, (float)second};
    uint32_t bits[2];

    memcpy(bits, f, sizeof bits);
    return bits[0] >> 16 | (bits[1] & 0xFFFF0000u);
}
