/* runtime/ops/weight.h: how a weight matrix lies in device memory (docs/design.md, "Weights on the
 * device"). A matrix has N rows (outputs) and K columns (inputs). Rows are padded with zeros to a
 * multiple of 16: n_tiles = (N + 15) / 16, and row n is row n % 16 of tile n / 16.
 *
 *   F32, F16, BF16   q: [n_tiles][K][16] elements, any K. No scales.
 *   Q4               q: [n_tiles][K/32] blocks of 256 bytes, K a multiple of 32 and of the group.
 *                    A block is 4 slices of 16 uint32 (little endian), one per row; slice j holds
 *                    k = 8j..8j+7 of the block: byte b of the word has k = 8j + b in its low and
 *                    k = 8j + 4 + b in its high nibble. value = scale * (q - 8) (+ min), q 0..15.
 *   Q8               q: [n_tiles][K/32] blocks of 512 bytes: 8 slices of 16 uint32; slice j holds
 *                    k = 4j..4j+3 as int8, byte b has k = 4j + b. value = scale * q (+ min).
 *   scale, min       fp16 [n_tiles][K/group][16]; group 16, 32, 64, 128 or K. The minimum is that of
 *                    centred q, so it is small beside the values, and rounding it to fp16 costs little.
 *                    With CLM_MIN_STEPS it is a whole number, and value = scale * (q + min). Q4 in
 *                    groups of 16 is for the plain kernels only, and no model is packed so.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_OPS_WEIGHT_H
#define CLM_RUNTIME_OPS_WEIGHT_H

enum { CLM_TILE_ROWS = 16, CLM_BLOCK_K = 32, CLM_Q4_BLOCK_BYTES = 256, CLM_Q8_BLOCK_BYTES = 512 };

/* Values of the -D FORMAT of kernels that read more than one format. */
typedef enum clm_weight_format {
    CLM_FORMAT_F32 = 0,
    CLM_FORMAT_F16 = 1,
    CLM_FORMAT_BF16 = 2,
    CLM_FORMAT_Q4 = 4,
    CLM_FORMAT_Q8 = 8
} clm_weight_format;

#endif
