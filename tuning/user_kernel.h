/* tuning/user_kernel.h: a kernel of the user's own, with the description of its space, as an operator
 * that the tuner treats like every other.
 *
 * Layer    tuning.
 *
 * The description is YAML (docs/tuning.md, "A kernel of your own"):
 *     kernel: copy                    entry point
 *     sizes: {N: 1048576}             constants, also handed to the compiler
 *     parameters: {WG: [16, 64]}      names and values to try; the first ones are the default
 *     constraints: ["N % WG == 0"]    expressions (tuning/expr.h) that must not be 0
 *     global: [N]                     work sizes, one to three expressions
 *     local: [WG]
 *     arguments:                      in the kernel's order
 *       - {buffer: x, type: f32, count: N, range: [-1, 1], seed: 3}
 *       - {buffer: y, type: f32, count: N, output: true}
 *       - {int: N}
 *       - {float: 0.5}
 *     reference: {kernel: copy_simple, global: [1], local: [1]}
 *     tolerance: {absolute: 0, relative: 1e-6}
 *     bytes: 8 * N                    moved by one launch; flops: likewise
 */
#ifndef CLM_TUNING_USER_KERNEL_H
#define CLM_TUNING_USER_KERNEL_H

#include "tuning/op_desc.h"

typedef struct clm_user_kernel clm_user_kernel;

/* Reads both files. Returns CLM_OK, CLM_E_CONFIG (the sentence names file and place), CLM_E_IO,
 * CLM_E_LIMIT or CLM_E_NOMEM. */
clm_status clm_user_kernel_load(const char *kernel_path, const char *space_path,
                                clm_user_kernel **out, clm_err *err);
void clm_user_kernel_destroy(clm_user_kernel *k);

/* The device on which fill() computes what is right, with the reference kernel; without one fill()
 * leaves it undefined. Borrowed. */
void clm_user_kernel_attach(clm_user_kernel *k, clm_device *dev);

/* Its descriptor and only shape, whose `user` is set; both live as long as `k`. */
const clm_op_desc *clm_user_kernel_op(const clm_user_kernel *k);
const clm_shape *clm_user_kernel_shape(const clm_user_kernel *k);

#endif
