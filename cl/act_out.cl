/* act_out.cl: what an operator in front of products writes, shared by the kernels that do: ACT_OUT, the type of an
 * element, and for panels the functions of panel.cl.
 *
 * Build      OUT  enum clm_act_out, runtime/ops/act.h
 */
#ifndef OUT
#define OUT 0
#endif
#if OUT
#define SHUFFLED (OUT == 2)
#include "panel.cl"
#define ACT_OUT ushort
#else
#define ACT_OUT float
#endif
