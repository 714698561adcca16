/* host/buffer.c: see host/buffer.h. */
#include "host/buffer.h"

#include <stdlib.h>

#include "host/cl_util.h"
#include "host/process.h"

/* From this size on a buffer in host memory gets large pages. */
enum { LARGE_BYTES = 4 << 20 };

struct clm_buffer {
    clm_device *dev;
    cl_mem mem;
    clm_elem type;
    size_t count;
};

size_t clm_elem_bytes(clm_elem type)
{
    switch (type) {
    case CLM_ELEM_U8:
    case CLM_ELEM_I8:
        return 1;
    case CLM_ELEM_F16:
    case CLM_ELEM_BF16:
        return 2;
    case CLM_ELEM_I32:
    case CLM_ELEM_F32:
        return 4;
    }
    return 0;
}

/* PoCL and its like allocate when a buffer is first used; mapping it is such a use. */
static void use_large_pages(clm_buffer *buf)
{
    void *data = NULL;

    if (buf->count * clm_elem_bytes(buf->type) < LARGE_BYTES ||
        clm_buffer_map(buf, &data, NULL) != CLM_OK)
        return;
    clm_memory_large_pages(data, buf->count * clm_elem_bytes(buf->type));
    clm_buffer_unmap(buf, data, NULL);
}

clm_status clm_buffer_create(clm_device *dev, clm_elem type, size_t count, clm_buffer **out,
                             clm_err *err)
{
    const clm_caps *caps = clm_device_caps(dev);
    size_t unit = clm_elem_bytes(type);
    clm_buffer *buf;
    cl_int rc;

    *out = NULL;
    if (count == 0) return clm_fail(err, CLM_E_INTERNAL, "buffer: zero elements");
    if (count > SIZE_MAX / unit || count * unit > caps->max_alloc)
        return clm_fail(
            err, CLM_E_DEVMEM,
            "%s: a buffer of %zu x %zu bytes is larger than the device allows (%llu MiB)",
            caps->name, count, unit, (unsigned long long)(caps->max_alloc >> 20));
    buf = calloc(1, sizeof *buf);
    if (buf == NULL) return clm_fail(err, CLM_E_NOMEM, "buffer: no memory");
    buf->dev = dev;
    buf->type = type;
    buf->count = count;
    buf->mem = clCreateBuffer(clm__device_context(dev), CL_MEM_READ_WRITE, count * unit, NULL, &rc);
    if (rc != CL_SUCCESS) {
        clm_status st = clm__fail_cl(err, "clCreateBuffer", rc);
        buf->mem = NULL;
        clm_buffer_destroy(buf);
        return clm_fail_context(err, st, "%s: %zu MiB", caps->name, count * unit >> 20);
    }
    if (caps->type == CLM_DEVICE_CPU) use_large_pages(buf);
    *out = buf;
    return CLM_OK;
}

void clm_buffer_destroy(clm_buffer *buf)
{
    if (buf == NULL) return;
    if (buf->mem != NULL) clReleaseMemObject(buf->mem);
    free(buf);
}

clm_device *clm_buffer_device(const clm_buffer *buf)
{
    return buf->dev;
}
clm_elem clm_buffer_type(const clm_buffer *buf)
{
    return buf->type;
}
size_t clm_buffer_count(const clm_buffer *buf)
{
    return buf->count;
}
cl_mem clm__buffer_mem(const clm_buffer *buf)
{
    return buf->mem;
}

static clm_status check_range(const clm_buffer *buf, size_t first, size_t count, clm_err *err)
{
    if (first <= buf->count && count <= buf->count - first) return CLM_OK;
    return clm_fail(err, CLM_E_INTERNAL, "buffer: elements %zu + %zu of %zu", first, count,
                    buf->count);
}

clm_status clm_buffer_write(clm_buffer *buf, size_t first, size_t count, const void *data,
                            clm_err *err)
{
    size_t unit = clm_elem_bytes(buf->type);
    clm_status st = check_range(buf, first, count, err);
    cl_int rc;

    if (st != CLM_OK || count == 0) return st;
    rc = clEnqueueWriteBuffer(clm__device_queue(buf->dev), buf->mem, CL_TRUE, first * unit,
                              count * unit, data, 0, NULL, NULL);
    return rc == CL_SUCCESS ? CLM_OK : clm__fail_cl(err, "clEnqueueWriteBuffer", rc);
}

clm_status clm_buffer_read(const clm_buffer *buf, size_t first, size_t count, void *data,
                           clm_err *err)
{
    size_t unit = clm_elem_bytes(buf->type);
    clm_status st = check_range(buf, first, count, err);
    cl_int rc;

    if (st != CLM_OK || count == 0) return st;
    rc = clEnqueueReadBuffer(clm__device_queue(buf->dev), buf->mem, CL_TRUE, first * unit,
                             count * unit, data, 0, NULL, NULL);
    return rc == CL_SUCCESS ? CLM_OK : clm__fail_cl(err, "clEnqueueReadBuffer", rc);
}

clm_status clm_buffer_map(clm_buffer *buf, void **data, clm_err *err)
{
    cl_int rc;

    *data = clEnqueueMapBuffer(clm__device_queue(buf->dev), buf->mem, CL_TRUE,
                               CL_MAP_WRITE_INVALIDATE_REGION, 0,
                               buf->count * clm_elem_bytes(buf->type), 0, NULL, NULL, &rc);
    if (rc == CL_SUCCESS && *data != NULL) return CLM_OK;
    *data = NULL;
    return clm__fail_cl(err, "clEnqueueMapBuffer", rc);
}

clm_status clm_buffer_unmap(clm_buffer *buf, void *data, clm_err *err)
{
    cl_int rc = clEnqueueUnmapMemObject(clm__device_queue(buf->dev), buf->mem, data, 0, NULL, NULL);

    if (rc == CL_SUCCESS) rc = clFinish(clm__device_queue(buf->dev));
    return rc == CL_SUCCESS ? CLM_OK : clm__fail_cl(err, "clEnqueueUnmapMemObject", rc);
}

clm_status clm_buffer_set_i32(clm_buffer *buf, int32_t value, clm_err *err)
{
    cl_int rc;

    if (buf->type != CLM_ELEM_I32)
        return clm_fail(err, CLM_E_INTERNAL, "buffer: not of 32-bit integers");
    /* A fill keeps its pattern: a write would have to wait, or the value to stay. */
    rc = clEnqueueFillBuffer(clm__device_queue(buf->dev), buf->mem, &value, sizeof value, 0,
                             sizeof value, 0, NULL, NULL);
    return rc == CL_SUCCESS ? CLM_OK : clm__fail_cl(err, "clEnqueueFillBuffer", rc);
}

clm_status clm_buffer_fill(clm_buffer *buf, unsigned char byte, clm_err *err)
{
    cl_int rc = clEnqueueFillBuffer(clm__device_queue(buf->dev), buf->mem, &byte, 1, 0,
                                    buf->count * clm_elem_bytes(buf->type), 0, NULL, NULL);
    return rc == CL_SUCCESS ? CLM_OK : clm__fail_cl(err, "clEnqueueFillBuffer", rc);
}
