/* host/gemm.c: see host/gemm.h. */
#include "host/gemm.h"

#include "host/cl_util.h"

#ifdef CLM_WITH_CLBLAST
#include <clblast_c.h>

bool clm_gemm_available(void)
{
    return true;
}

clm_status clm_gemm_nt(clm_device *dev, size_t m, size_t n, size_t k, const clm_buffer *a,
                       size_t a_off, const clm_buffer *b, clm_buffer *c, size_t c_off, size_t ldc,
                       clm_err *err)
{
    cl_command_queue queue = clm__device_queue(dev);
    CLBlastStatusCode rc =
        CLBlastSgemm(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, m, n, k, 1.0f,
                     clm__buffer_mem(a), a_off, k, clm__buffer_mem(b), 0, k, 0.0f,
                     clm__buffer_mem(c), c_off, ldc, &queue, NULL);

    if (rc == CLBlastSuccess) return CLM_OK;
    if (rc > -1000) { /* an OpenCL code, passed on */
        clm_status st = clm__fail_cl(err, "CLBlastSgemm", (cl_int)rc);
        return st;
    }
    return clm_fail(err, CLM_E_CL, "CLBlastSgemm: CLBlast status %d", (int)rc);
}

#else

bool clm_gemm_available(void)
{
    return false;
}

clm_status clm_gemm_nt(clm_device *dev, size_t m, size_t n, size_t k, const clm_buffer *a,
                       size_t a_off, const clm_buffer *b, clm_buffer *c, size_t c_off, size_t ldc,
                       clm_err *err)
{
    (void)dev, (void)m, (void)n, (void)k, (void)a, (void)a_off, (void)b, (void)c, (void)c_off,
        (void)ldc;
    return clm_fail(err, CLM_E_INTERNAL, "built without CLBlast");
}

#endif
