/* runtime/ops/op_gemv.h: what gemv_q4, gemv_q8 and gemv_f16 share: the meaning of their sizes, the
 * tunables, the launch.
 *
 *     y[m][Y_OFF + n] = sum_k x[m][k] * w[n][k]      m < M, n < N, k < K
 *
 * Layer    runtime.
 * Threads  no state.
 */
#ifndef CLM_RUNTIME_OPS_OP_GEMV_H
#define CLM_RUNTIME_OPS_OP_GEMV_H

#include "runtime/ops/weight_layout.h"
#include "tuning/op_desc.h"

/* shape.v. x has leading dimension K, y LDY (at least Y_OFF + N). GROUP: elements per scale, 0 for
 * a whole row; HAS_MIN a clm_min_kind. gemv_f16 has CLM_GEMV_FORMAT (clm_weight_format) instead of both. */
enum clm_gemv_dim {
    CLM_GEMV_M,
    CLM_GEMV_N,
    CLM_GEMV_K,
    CLM_GEMV_LDY,
    CLM_GEMV_Y_OFF,
    CLM_GEMV_GROUP,
    CLM_GEMV_HAS_MIN,
    CLM_GEMV_DIMS,
    CLM_GEMV_FORMAT = CLM_GEMV_GROUP,
    CLM_GEMV_F16_DIMS = CLM_GEMV_FORMAT + 1
};

/* The tunables. FAMILY 0: a work-item computes TILES tiles of 16 rows in vectors (CPU), KSPLIT
 * is 1. FAMILY 1: a work-group of 16 * KSPLIT items computes one tile (GPU), TILES is 1, KSPLIT
 * more. */
enum clm_gemv_axis { CLM_GEMV_FAMILY, CLM_GEMV_KSPLIT, CLM_GEMV_TILES, CLM_GEMV_AXES };

extern const clm_axis clm_gemv_axes[CLM_GEMV_AXES];
extern const char *const clm_gemv_block_dims[CLM_GEMV_DIMS]; /* names, of q4 and q8 */

/* Shapes of gemv_q4 and gemv_q8. */
enum { CLM_GEMV_TEST_SHAPES = 24, CLM_GEMV_TUNE_SHAPES = 5 };
extern const clm_shape clm_gemv_test_shapes[CLM_GEMV_TEST_SHAPES];
extern const clm_shape clm_gemv_tune_shapes[CLM_GEMV_TUNE_SHAPES];

/* Layout of w in a 4 or 8 bit format; in the format that the shape names. */
clm_weight_layout clm_gemv_block_layout(const clm_shape *shape, clm_weight_format format);
clm_weight_layout clm_gemv_float_layout(const clm_shape *shape);

/* Parts of the descriptors; `w` is the layout of the shape. */
bool clm_gemv_valid(const clm_weight_layout *w, const int *params, const clm_shape *shape,
                    const clm_caps *caps);
void clm_gemv_defaults(const clm_shape *shape, const clm_caps *caps, int *params);
size_t clm_gemv_define_tunables(const int *params, clm_define *defs);
size_t clm_gemv_define_blocks(const clm_weight_layout *w, const int *params, clm_define *defs);
clm_status clm_gemv_fill(clm_case *c, const clm_weight_layout *w, uint32_t seed, clm_err *err);
/* The buffers are those of the layout, x, y. */
clm_status clm_gemv_bind(clm_kernel *kernel, const clm_weight_layout *w, const clm_shape *shape,
                         const int *params, clm_buffer *const *bufs, clm_range *range,
                         clm_err *err);
double clm_gemv_bytes(const clm_weight_layout *w, const clm_shape *shape);
double clm_gemv_flops(const clm_shape *shape);

/* Error bounds of all three: sums are float, so an error grows with the sum of |x * w|, not with
 * the result, and cancellation may leave a small result. Test data have |x| < 1 and
 * |w| < 1.5 / sqrt(K), hence results of about 0.4 in the mean; ATOL is a hundred thousandth of
 * that, RTOL the same for the larger ones. */
#define CLM_GEMV_ATOL 4e-6f
#define CLM_GEMV_RTOL 1e-5f

#endif
