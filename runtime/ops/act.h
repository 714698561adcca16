/* runtime/ops/act.h: rounded activations: how a row of K floats lies in device memory when the products
 * that read it multiply int8 numbers, or bfloat16 (below). K is a multiple of 32.
 *
 * Each group of 32 consecutive elements has a scale of its own:
 *     x[k] = d[k / 32] * q[k],   d = max|x| / 127 over the group,   q = rint(x / d) in -127..127
 * (a group of zeros has d = 0 and q = 0; one with NaN or an infinity has d = NaN and q = 0). s is the sum of a group's q, which products need because
 * weights are stored with an offset.
 *
 * Tokens lie in panels of T; the last one is filled up with zeros. Inside a panel the token is the
 * fastest index, so that a kernel reads the same k of T tokens from one place. With `row` = k / 4 or
 * k / 32, P panels:
 *     q   uint32 [P][K/4][T]    byte b of word `row` is element 4 * row + b
 *     d   f32    [P][K/32][T]
 *     s   int32  [P][K/32][T]
 * One token alone is T = 1.
 *
 * Products of tiles (cl/amx.cl) take bfloat16 instead: no scales, in panels of 32 tokens, filled up with
 * zeros as well, in which each block of 32 columns lies as two tiles of 16 tokens, a token's 32 numbers
 * one after the other:
 *     z   bf16   [P][K/32][32 tokens][32]
 * For matrix units (cl/gemm_mma.cl) each eight of the 32 are shuffled, as 4-bit weights come out of a word:
 * k % 8 = 0 2 4 6 1 3 5 7.
 *
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_OPS_ACT_H
#define CLM_RUNTIME_OPS_ACT_H

enum { CLM_ACT_GROUP = 32, CLM_ACT_BF16_PANEL = 32 };

/* What an operator in front of products writes (size and -D OUT): rows of floats, or bfloat16 in panels, in
 * order or shuffled. */
enum clm_act_out { CLM_ACT_OUT_F32, CLM_ACT_OUT_BF16, CLM_ACT_OUT_SHUFFLED };

#endif
