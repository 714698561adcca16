/* runtime/ops/act.h: int8 activations: how a row of K floats lies in device memory when the products
 * that read it multiply integers. K is a multiple of 32.
 *
 * Each group of 32 consecutive elements has a scale of its own:
 *     x[k] = d[k / 32] * q[k],   d = max|x| / 127 over the group,   q = rint(x / d) in -127..127
 * (a group of zeros has d = 0 and q = 0). s is the sum of a group's q, which products need because
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
 * Layer    runtime.
 */
#ifndef CLM_RUNTIME_OPS_ACT_H
#define CLM_RUNTIME_OPS_ACT_H

enum { CLM_ACT_GROUP = 32 };

#endif
