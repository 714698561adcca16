/* runtime/ops/ref.h: every operator in plain C: the oracle of tests, tuner and doctor.
 *
 * Layer    runtime; ref_<op>.c includes this, its operator's header and the C library, nothing
 *          of cl/. Written from the formulas, with sums in double.
 * Threads  no state.
 *
 * Each function reads c->shape and the inputs' `data` and writes `expected` of all outputs. An
 * element of an OUT buffer that the operator must leave alone gets clm_ref_untouched()'s bytes,
 * with which clm_op_check presets the device's memory.
 */
#ifndef CLM_RUNTIME_OPS_REF_H
#define CLM_RUNTIME_OPS_REF_H

#include <stdint.h>
#include "tuning/op_desc.h"

/* Sets `expected` of a buffer to bytes that mean "not written": 0xFF, a NaN in every float type. */
void clm_ref_untouched(clm_case_buffer *buf);

/* IEEE 754 binary16. To half: round to nearest even, overflow gives infinity, NaN stays NaN. */
float clm_ref_half_to_float(uint16_t h);
uint16_t clm_ref_float_to_half(float f);

/* The same for bfloat16: the upper 16 bits of a float. */
float clm_ref_bf16_to_float(uint16_t h);
uint16_t clm_ref_float_to_bf16(float f);

/* Quantises `groups` groups of 32 as runtime/ops/act.h says, one token (ref_act_quant.c). */
void clm_ref_act_store(const double *x, size_t groups, int8_t *q, float *d, int32_t *s);

/* Where column k of token m is in panels of bfloat16 (act.h) of rows of `columns`. */
size_t clm_ref_act_bf16_at(size_t columns, size_t m, size_t k, bool shuffled);
/* Stores column k of token m of an operator's result `out` (enum clm_act_out), and zeros in the rows that fill up
 * the last panel. */
void clm_ref_act_out(clm_case_buffer *y, int out, size_t columns, size_t m, size_t k, double value);
void clm_ref_act_out_fill(clm_case_buffer *y, int out, size_t columns, size_t tokens);

void clm_ref_act_bf16(clm_case *c);
void clm_ref_act_quant(clm_case *c);
void clm_ref_add(clm_case *c);
void clm_ref_argmax(clm_case *c);
void clm_ref_attention(clm_case *c);
void clm_ref_attention_amx(clm_case *c);
void clm_ref_attention_combine(clm_case *c);
void clm_ref_attention_decode(clm_case *c);
void clm_ref_attention_mma(clm_case *c);
void clm_ref_dequant(clm_case *c);
void clm_ref_embed(clm_case *c);
void clm_ref_gather(clm_case *c);
void clm_ref_gemm(clm_case *c);
void clm_ref_gemm_amx(clm_case *c);
void clm_ref_gemm_mma(clm_case *c);
void clm_ref_gemv(clm_case *c);
void clm_ref_kv_store(clm_case *c);
void clm_ref_linear(clm_case *c);
void clm_ref_rmsnorm(clm_case *c);
void clm_ref_rope(clm_case *c);
void clm_ref_swiglu(clm_case *c);
void clm_ref_xgemm(clm_case *c);

#endif
