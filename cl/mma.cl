/* mma.cl: products of small matrices of bfloat16 numbers by some work-items together, on the matrix units of a
 * GPU or without them.
 *
 * A warp of MMA_LANES work-items of consecutive local ids 0 adds the product of A (MMA_ROWS x 16) and B (16 x
 * MMA_COLUMNS) to C (MMA_ROWS x MMA_COLUMNS, f32). A lane holds MMA_A_WORDS words of A and MMA_B_WORDS of B, two
 * numbers to a word, the first in the lower half, and MMA_C_WORDS sums. Where number n of a lane comes from,
 * and sum n belongs, say MMA_A_ROW(lane, n), MMA_A_K(lane, n), ..., MMA_C_COLUMN(lane, n).
 *
 * Build  MMA  1  NVIDIA, sm_80 and newer: mma.sync.m16n8k16          mma_ptx.cl
 *             2  AMD, RDNA 3: v_wmma_f32_16x16x16_bf16               mma_amd.cl
 *             3  AMD, RDNA 4: the same, with other parts of A and B  mma_amd.cl
 *             4  AMD, CDNA 2 and 3: v_mfma_f32_16x16x16_bf16         mma_amd.cl
 *             5  Intel, sub-groups of 8 (Arc A): dpas.8x8            mma_intel.cl
 *             6  Intel, sub-groups of 16 (Arc B, Max): dpas.8x8      mma_intel.cl
 *             The values are those of clm_mma in host/mma.h.
 *        MMA_PLAIN  1: the same in plain OpenCL C, for tests; all work-items of the group then have to make the
 *             same calls, for there are barriers in them                mma_plain.cl
 *        MMA_ITEMS  work-items of the group, a multiple of MMA_LANES
 * Source PTX ISA 8.5, 9.7.14.5.8.  AMD RDNA3 ISA 7.9, RDNA4 ISA 7.12, MI300 ISA 7.  OpenCL extension
 *        cl_intel_subgroup_matrix_multiply_accumulate.
 */
#include "bf16.cl"

#ifndef MMA
#define MMA 1
#endif
#ifndef MMA_PLAIN
#define MMA_PLAIN 1
#endif
#if MMA_PLAIN < 0 || MMA_PLAIN > 1
#error "mma: MMA_PLAIN must be 0 or 1"
#endif

/* Where A and B lie in lanes: number n of lane l. AMD and Intel multiply B by A, the transposed product, so that
 * lanes are rows of C, which lie side by side in memory. */
#if MMA == 1
#define MMA_LANES          32
#define MMA_ROWS           16
#define MMA_COLUMNS        8
#define MMA_A_WORDS        4
#define MMA_B_WORDS        2
#define MMA_C_WORDS        4
#define MMA_A_ROW(l, n)    ((l) / 4 + (n) / 2 % 2 * 8)
#define MMA_A_K(l, n)      ((l) % 4 * 2 + (n) / 4 * 8 + (n) % 2)
#define MMA_B_COLUMN(l, n) ((l) / 4)
#define MMA_B_K(l, n)      ((l) % 4 * 2 + (n) / 2 * 8 + (n) % 2)
#define MMA_C_ROW(l, n)    ((l) / 4 + (n) / 2 * 8)
#define MMA_C_COLUMN(l, n) ((l) % 4 * 2 + (n) % 2)
#elif MMA == 2
#define MMA_LANES          32 /* the upper 16 hold copies of A and B */
#define MMA_ROWS           16
#define MMA_COLUMNS        16
#define MMA_A_WORDS        8
#define MMA_B_WORDS        8
#define MMA_C_WORDS        8
#define MMA_A_ROW(l, n)    ((l) % 16)
#define MMA_A_K(l, n)      (n)
#define MMA_B_COLUMN(l, n) ((l) % 16)
#define MMA_B_K(l, n)      (n)
#define MMA_C_ROW(l, n)    ((l) % 16)
#define MMA_C_COLUMN(l, n) ((n) * 2 + (l) / 16)
#elif MMA == 3
#define MMA_LANES          32
#define MMA_ROWS           16
#define MMA_COLUMNS        16
#define MMA_A_WORDS        4
#define MMA_B_WORDS        4
#define MMA_C_WORDS        8
#define MMA_A_ROW(l, n)    ((l) % 16)
#define MMA_A_K(l, n)      ((l) / 16 * 8 + (n))
#define MMA_B_COLUMN(l, n) ((l) % 16)
#define MMA_B_K(l, n)      ((l) / 16 * 8 + (n))
#define MMA_C_ROW(l, n)    ((l) % 16)
#define MMA_C_COLUMN(l, n) ((l) / 16 * 8 + (n))
#elif MMA == 4
#define MMA_LANES          64
#define MMA_ROWS           16
#define MMA_COLUMNS        16
#define MMA_A_WORDS        2
#define MMA_B_WORDS        2
#define MMA_C_WORDS        4
#define MMA_A_ROW(l, n)    ((l) % 16)
#define MMA_A_K(l, n)      ((l) / 16 * 4 + (n))
#define MMA_B_COLUMN(l, n) ((l) % 16)
#define MMA_B_K(l, n)      ((l) / 16 * 4 + (n))
#define MMA_C_ROW(l, n)    ((l) % 16)
#define MMA_C_COLUMN(l, n) ((l) / 16 * 4 + (n))
#elif MMA == 5
#define MMA_LANES          8
#define MMA_ROWS           8
#define MMA_COLUMNS        8
#define MMA_A_WORDS        8
#define MMA_B_WORDS        8
#define MMA_C_WORDS        8
#define MMA_A_ROW(l, n)    (l)
#define MMA_A_K(l, n)      (n)
#define MMA_B_COLUMN(l, n) ((n) / 2)
#define MMA_B_K(l, n)      ((l) * 2 + (n) % 2)
#define MMA_C_ROW(l, n)    (l)
#define MMA_C_COLUMN(l, n) (n)
#elif MMA == 6
#define MMA_LANES          16
#define MMA_ROWS           16
#define MMA_COLUMNS        8
#define MMA_A_WORDS        8
#define MMA_B_WORDS        4
#define MMA_C_WORDS        8
#define MMA_A_ROW(l, n)    (l)
#define MMA_A_K(l, n)      (n)
#define MMA_B_COLUMN(l, n) (n)
#define MMA_B_K(l, n)      (l)
#define MMA_C_ROW(l, n)    (l)
#define MMA_C_COLUMN(l, n) (n)
#else
#error "mma: MMA must be 1 to 6"
#endif

#ifndef MMA_ITEMS
#define MMA_ITEMS MMA_LANES
#endif
#if MMA_ITEMS < MMA_LANES || MMA_ITEMS % MMA_LANES != 0
#error "mma: MMA_ITEMS must be a multiple of MMA_LANES"
#endif

/* In front of loops that have to be unrolled for arrays to stay in registers. Not around the barriers of the
 * plain products, of which there would be hundreds. */
#if MMA_PLAIN
#define CLM_MMA_UNROLL
#else
#define CLM_MMA_UNROLL _Pragma("unroll")
#endif

/* A lane's part of B from local memory, where it lies column by column, aligned to 16 bytes. */
CLM_INLINE void clm_mma_load_b(uint *b, __local const uint *from, const int lane)
{
    __local const ushort *numbers = (__local const ushort *)from;

    CLM_MMA_UNROLL
    for (int i = 0; i < MMA_B_WORDS; i++) {
        const int low = MMA_B_COLUMN(lane, 2 * i) * 16 + MMA_B_K(lane, 2 * i);
        const int high = MMA_B_COLUMN(lane, 2 * i + 1) * 16 + MMA_B_K(lane, 2 * i + 1);

        b[i] = numbers[low] | (uint)numbers[high] << 16u;
    }
}

#if MMA_PLAIN
#include "mma_plain.cl"
#elif MMA == 1
#include "mma_ptx.cl"
#elif MMA <= 4
#include "mma_amd.cl"
#else
#include "mma_intel.cl"
#endif

/* Copies that mma_ptx.cl lets run by themselves: here one is over when it returns. */
#if MMA_PLAIN || MMA != 1
CLM_INLINE void clm_copy16(__local uint *to, __global const uint *from)
{
    vstore4(vload4(0, from), 0, to);
}
#define CLM_COPY_COMMIT
#define CLM_COPY_WAIT(n)
#endif

/* clm_mma_load_b, by an instruction where there is one. */
#ifndef CLM_MMA_LOAD_B
#define CLM_MMA_LOAD_B(b, from, lane) clm_mma_load_b(b, from, lane)
#endif

/* Makes a compiler take `word` as it is, where that is worth something. */
#ifndef CLM_MMA_AS_IS
#define CLM_MMA_AS_IS(word) (void)0
#endif

/* In front of kernels whose groups are MMA_ITEMS work-items. */
#ifndef CLM_MMA_ATTRIBUTES
#define CLM_MMA_ATTRIBUTES
#endif
#define CLM_MMA_KERNEL __kernel __attribute__((reqd_work_group_size(MMA_ITEMS, 1, 1))) CLM_MMA_ATTRIBUTES
