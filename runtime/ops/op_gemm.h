/* runtime/ops/op_gemm.h: products of a weight matrix with int8 activations of many tokens. Formula:
 * cl/gemm.cl.
 *
 * Layer    runtime.
 * Threads  no state.
 */
#ifndef CLM_RUNTIME_OPS_OP_GEMM_H
#define CLM_RUNTIME_OPS_OP_GEMM_H

#include "tuning/op_desc.h"

/* shape.v. T: tokens per panel of the activations (runtime/ops/act.h). FORMAT: clm_weight_format, that
 * of the descriptor's matrices; GROUP elements per scale, 0: a whole row. */
enum clm_gemm_dim {
    CLM_GEMM_M,
    CLM_GEMM_N,
    CLM_GEMM_K,
    CLM_GEMM_LDY,
    CLM_GEMM_Y_OFF,
    CLM_GEMM_T,
    CLM_GEMM_FORMAT,
    CLM_GEMM_GROUP,
    CLM_GEMM_HAS_MIN,
    CLM_GEMM_DIMS
};

enum clm_gemm_buffer {
    CLM_GEMM_Q,
    CLM_GEMM_SCALE,
    CLM_GEMM_MIN,
    CLM_GEMM_X,
    CLM_GEMM_XD,
    CLM_GEMM_XS,
    CLM_GEMM_Y,
    CLM_GEMM_BUFFERS
};

extern const clm_op_desc clm_op_gemm_q4, clm_op_gemm_q8;

/* A size of panels: `tokens` of them each, for products of up to `most`, and of more than those of the size before. */
typedef struct clm_gemm_panel {
    int tokens, most;
} clm_gemm_panel;

/* The sizes that suit the device, by the products that they are for; how many there are. The last, for any number of
 * tokens, is the largest: as many as its registers hold sums for. */
enum { CLM_GEMM_PANELS = 6 };
size_t clm_gemm_panels(const clm_caps *caps, clm_gemm_panel out[CLM_GEMM_PANELS]);
int clm_gemm_largest_panel(const clm_caps *caps);
/* The tokens of a panel, for a product of `tokens`. */
int clm_gemm_panel_for(const clm_caps *caps, size_t tokens);

#endif
