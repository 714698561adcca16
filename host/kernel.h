/* host/kernel.h: an entry point of a program, its arguments, its launch.
 *
 * Layer    host.
 * Threads  one thread at a time per kernel.
 */
#ifndef CLM_HOST_KERNEL_H
#define CLM_HOST_KERNEL_H

#include <stddef.h>
#include <stdint.h>
#include "host/buffer.h"
#include "host/program.h"

typedef struct clm_kernel clm_kernel;

/* Takes entry point `entry` of `prog`, which must outlive the kernel. CLM_E_BUILD where the driver does not run it in the
 * groups that it requires. */
clm_status clm_kernel_create(clm_program *prog, const char *entry, clm_kernel **out, clm_err *err);
void clm_kernel_destroy(clm_kernel *kernel);

/* One argument. Build with the macros below. */
typedef struct clm_arg {
    enum { CLM_ARG_BUFFER, CLM_ARG_I32, CLM_ARG_F32 } kind;
    union {
        const clm_buffer *buffer; /* NULL is passed as a null pointer */
        int32_t i32;
        float f32;
    } u;
} clm_arg;

#define CLM_BUF(b) ((clm_arg){.kind = CLM_ARG_BUFFER, .u.buffer = (b)})
#define CLM_I32(v) ((clm_arg){.kind = CLM_ARG_I32, .u.i32 = (int32_t)(v)})
#define CLM_F32(v) ((clm_arg){.kind = CLM_ARG_F32, .u.f32 = (v)})

/* Sets all arguments from the first on. The count must be the kernel's. */
clm_status clm_kernel_set_args(clm_kernel *kernel, const clm_arg *args, size_t count, clm_err *err);

/* Work sizes in work-items; `global` is rounded up to a multiple of `local` in each dimension,
 * so kernels check their bounds. */
typedef struct clm_range {
    size_t dims;
    size_t global[3], local[3];
} clm_range;

/* Puts the kernel into the device's queue with the arguments set last; does not wait. */
clm_status clm_kernel_enqueue(clm_kernel *kernel, const clm_range *range, clm_err *err);

#endif
