/* amx.cl: products of tiles of bfloat16 numbers, by a processor's AMX instructions or without them.
 *
 * There are eight tiles of 16 rows of 64 bytes, numbered by literals 0 to 7. A tile dot adds A B to C:
 *     A  16 rows of 32 bf16           (activations: a row is a token, a column an element k)
 *     B  16 rows of 16 pairs of bf16  (weights: row p has the elements k = 2p, 2p + 1 of 16 columns)
 *     C  16 rows of 16 f32
 * Per row of A the products of even and of odd k are summed apart, and both sums added to C, with
 * numbers below the normal range taken for 0 (the instruction's way; the plain one keeps them).
 *
 * A kernel calls CLM_TILES_BEGIN first, and CLM_TILES_END before it returns: the threads that run it
 * run others, and the state of tiles in use makes switching between threads slower.
 *
 * Build  AMX  1: inline assembly, on an x86-64 processor with AMX-TILE and AMX-BF16 in a process with
 *                the kernel's permission (host/amx_probe.c);  0: plain OpenCL C, for tests
 *        CVT  with AMX: 1: pairs are rounded, and numbers looked up, by AVX-512 instructions too (AVX512-BF16)
 * Source     Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, TDPBF16PS.
 */
#include "bf16.cl"

#ifndef AMX
#define AMX 0
#endif
#ifndef CVT
#define CVT 0
#endif
#if AMX < 0 || AMX > 1
#error "amx: AMX must be 0 or 1"
#endif
#if CVT < 0 || CVT > AMX
#error "amx: CVT must be 0, or 1 with AMX"
#endif

#if CVT
/* As clm_bf16_pair() of bf16.cl, but numbers below the normal range become 0. */
CLM_INLINE uint16 clm_tile_pair(const float16 first, const float16 second)
{
    const uint16 in_turn = (uint16)(0x100000u, 0x110001u, 0x120002u, 0x130003u, 0x140004u, 0x150005u,
                                    0x160006u, 0x170007u, 0x180008u, 0x190009u, 0x1a000au, 0x1b000bu,
                                    0x1c000cu, 0x1d000du, 0x1e000eu, 0x1f000fu);
    uint16 halves, pairs;

    __asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(halves) : "v"(first), "v"(second));
    __asm__("vpermw %1, %2, %0" : "=v"(pairs) : "v"(halves), "v"(in_turn));
    return pairs;
}

/* Components of `from` that the lower four bits of `at` number. */
CLM_INLINE float16 clm_tile_look_up(const float16 from, const uint16 at)
{
    float16 found;

    __asm__("vpermps %1, %2, %0" : "=v"(found) : "v"(from), "v"(at));
    return found;
}
#else
CLM_INLINE uint16 clm_tile_pair(const float16 first, const float16 second)
{
    return clm_bf16_pair(first, second);
}
#endif

#if AMX

/* What ldtilecfg reads. It is constant data, so that no store to it can be taken for a dead one: the
 * stores to a local variable were, by compilers that were told of fewer bytes than are read. */
typedef struct clm_tile_config {
    uchar palette, start_row, reserved[14];
    ushort row_bytes[16];
    uchar rows[16];
} clm_tile_config;

__constant clm_tile_config clm_tiles_all = {
    1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

#define CLM_TILES_BEGIN __asm__ volatile("ldtilecfg %0" : : "m"(clm_tiles_all) : "memory")
#define CLM_TILES_END   __asm__ volatile("tilerelease" : : : "memory")

#define CLM_TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t : : :)
/* Rows of tile t from p on, `words` 32-bit words apart; p points to such words. */
#define CLM_TILE_LOAD(t, p, words)                                                                 \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t                                               \
                     :                                                                             \
                     : "r"(p), "r"((long)(words) * 4)                                              \
                     : "memory")
/* The same the other way; p points to floats. */
#define CLM_TILE_STORE(t, p, words)                                                                \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)"                                           \
                     :                                                                             \
                     : "r"(p), "r"((long)(words) * 4)                                              \
                     : "memory")
#define CLM_TILE_DOT(c, a, b)                                                                      \
    __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : :)

#else

#define CLM_TILES_BEGIN uint clm_tile[8][256]
#define CLM_TILES_END

#define CLM_TILE_ZERO(t)                                                                           \
    for (int r_ = 0; r_ < 16; r_++) vstore16((uint16)(0u), r_, clm_tile[t])
#define CLM_TILE_LOAD(t, p, words)                                                                 \
    for (int r_ = 0; r_ < 16; r_++)                                                                \
    vstore16(as_uint16(vload16(0, (p) + (size_t)r_ * (size_t)(words))), r_, clm_tile[t])
#define CLM_TILE_STORE(t, p, words)                                                                \
    for (int r_ = 0; r_ < 16; r_++)                                                                \
    vstore16(as_float16(vload16(r_, clm_tile[t])), 0, (p) + (size_t)r_ * (size_t)(words))
#define CLM_TILE_DOT(c, a, b) clm_tile_dot(clm_tile[c], clm_tile[a], clm_tile[b])

CLM_INLINE void clm_tile_dot(uint *c, const uint *a, const uint *b)
{
    for (int row = 0; row < 16; row++) {
        float16 even = 0.0f, odd = 0.0f;

        for (int p = 0; p < 16; p++) {
            const uint x = a[row * 16 + p];
            const uint16 w = vload16(p, b);

            even += as_float(x << 16u) * as_float16(w << 16u);
            odd += as_float(x & 0xffff0000u) * as_float16(w & 0xffff0000u);
        }
        vstore16(as_uint16(as_float16(vload16(row, c)) + (even + odd)), row, c);
    }
}

#endif
