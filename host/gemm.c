/* host/gemm.c: see host/gemm.h. */
#include "host/gemm.h"

#include <stdatomic.h>
#include <string.h>

#include "host/cl_util.h"

#ifdef CLM_WITH_CLBLAST
#include <clblast_c.h>

enum { MAX_PARAMETERS = 16 };

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

clm_status clm_gemm_override(clm_device *dev, const char *const *names, const int *values, size_t n,
                             clm_err *err)
{
    /* CLBlast's own state is the process's, and so is what is known of it. */
    static cl_device_id last_device;
    static size_t last[MAX_PARAMETERS];
    const char *name_list[MAX_PARAMETERS];
    size_t value_list[MAX_PARAMETERS] = {0};
    CLBlastStatusCode rc;

    if (n > MAX_PARAMETERS) return clm_fail(err, CLM_E_INTERNAL, "CLBlast: %zu parameters", n);
    for (size_t i = 0; i < n; i++) {
        name_list[i] = names[i];
        value_list[i] = values[i] > 0 ? (size_t)values[i] : 0;
    }
    if (last_device == clm__device_id(dev) && memcmp(last, value_list, sizeof last) == 0)
        return CLM_OK;
    rc = CLBlastOverrideParameters(clm__device_id(dev), "Xgemm", CLBlastPrecisionSingle, n,
                                   name_list, value_list);
    if (rc != CLBlastSuccess)
        return clm_fail(err, CLM_E_CL, "CLBlastOverrideParameters: CLBlast status %d", (int)rc);
    last_device = clm__device_id(dev);
    memcpy(last, value_list, sizeof last);
    return CLM_OK;
}

/* CLBlast's own state is the process's: so is the number of devices that use it. */
static atomic_uint n_users;

void clm_gemm_hold(void)
{
    atomic_fetch_add(&n_users, 1);
}

void clm_gemm_release(void)
{
    if (atomic_fetch_sub(&n_users, 1) == 1) CLBlastClearCache();
}

#else

void clm_gemm_hold(void) {}

void clm_gemm_release(void) {}

clm_status clm_gemm_override(clm_device *dev, const char *const *names, const int *values, size_t n,
                             clm_err *err)
{
    (void)dev, (void)names, (void)values, (void)n;
    return clm_fail(err, CLM_E_INTERNAL, "built without CLBlast");
}

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
