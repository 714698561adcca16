/* host/gemm.h: dense single-precision matrix product through CLBlast.
 *
 * Layer    host; the only file that sees <clblast_c.h>.
 * Threads  CLBlast 1.5's first calls are not thread-safe: one thread at a time per process.
 */
#ifndef CLM_HOST_GEMM_H
#define CLM_HOST_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include "host/buffer.h"

/* Whether the program was built with CLBlast. */
bool clm_gemm_available(void);

/* c[m][c_off + n] = sum_k a[m][k] * b[n][k]
 *   a      [m][k] f32 row-major, leading dimension k, from element a_off on
 *   b      [n][k] f32 row-major, leading dimension k
 *   c      [m][ldc] f32 row-major, written from element c_off on
 * Returns CLM_OK, CLM_E_CL (CLBlast's code is in the sentence) or CLM_E_INTERNAL (built without). */
clm_status clm_gemm_nt(clm_device *dev, size_t m, size_t n, size_t k, const clm_buffer *a,
                       size_t a_off, const clm_buffer *b, clm_buffer *c, size_t c_off, size_t ldc,
                       clm_err *err);

/* Sets parameters of CLBlast's Xgemm for the device, as CLBlastOverrideParameters does, for the rest
 * of the process; the next product compiles anew. All 16 must be there; the same values again cost
 * nothing. Returns CLM_OK, CLM_E_CL (CLBlast does not take them) or CLM_E_INTERNAL (built without). */
clm_status clm_gemm_override(clm_device *dev, const char *const *names, const int *values, size_t n,
                             clm_err *err);

/* A device that is opened holds what CLBlast keeps, compiled programs with references to contexts, and releases it
 * before its context ends. With the last one it goes: CLBlast itself would do that from a static destructor, when
 * the driver may be gone already (Oclgrind's thread data is). */
void clm_gemm_hold(void);
void clm_gemm_release(void);

#endif
