/* tuning/op_desc.h: what one operator tells tests, tuner, bench and doctor, which all loop over
 * the same table (runtime/ops/ops.h) and know no operator by name.
 *
 * Layer    tuning; may include host/.
 */
#ifndef CLM_TUNING_OP_DESC_H
#define CLM_TUNING_OP_DESC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "host/buffer.h"
#include "host/kernel.h"
#include "host/program.h"

enum { CLM_MAX_DIMS = 12, CLM_MAX_AXES = 16, CLM_MAX_BUFFERS = 16, CLM_MAX_DEFINES = 24 };

/* Sizes, offsets and flags of one launch; the operator's header names the indices, its `dims` the
 * names. The model fills a shape per launch just as a test does, so there is one way in. */
typedef struct clm_shape {
    int v[CLM_MAX_DIMS];
    float f[2]; /* scalars such as epsilon */
    const void
        *user; /* what a descriptor made at run time needs (tuning/user_kernel.h), else NULL */
} clm_shape;

/* One tunable of a kernel: its -D name and the values worth trying. */
typedef struct clm_axis {
    const char *name;
    const int *values;
    size_t n_values;
} clm_axis;

typedef enum clm_case_role { CLM_CASE_IN, CLM_CASE_OUT, CLM_CASE_INOUT } clm_case_role;

/* One buffer of a case on the host. */
typedef struct clm_case_buffer {
    const char *name;
    clm_elem type;
    size_t count; /* elements */
    clm_case_role role;
    void *data;     /* malloc'd; inputs filled by fill(), outputs undefined */
    void *expected; /* malloc'd; roles OUT and INOUT: written by reference() */
    float atol,
        rtol; /* bounds of its own in place of the operator's; 0: the operator's, but with atol alone no rtol */
} clm_case_buffer;

/* A problem with its data. `bufs` are in the order in which bind() takes them. */
typedef struct clm_case {
    clm_shape shape;
    clm_case_buffer bufs[CLM_MAX_BUFFERS];
    size_t n_bufs;
} clm_case;

/* By what an operator multiplies: each has a limit of its own (tuning/device_limits.h). */
typedef enum clm_arithmetic {
    CLM_ARITHMETIC_FLOAT,
    CLM_ARITHMETIC_INT8,
    CLM_ARITHMETIC_TILES
} clm_arithmetic;

typedef struct clm_op_desc {
    const char *name;  /* "gemv_q4": stem of cl/<name>.cl and tests/ops/test_op_<name>.c */
    const char *entry; /* kernel entry point; usually the name */
    const char *text;  /* source of a kernel that is no file of cl/; NULL: cl/<name>.cl */
    const char *space; /* description that goes with `text`, part of the hash; may be NULL */
    const char *const *dims;
    size_t n_dims;
    const clm_axis *axes;
    size_t n_axes;

    /* Whether models launch it on such a device: without tiles, kernels of tiles are for tests alone. NULL:
     * on any. */
    bool (*used)(const clm_caps *caps);
    /* Whether `params` (one value per axis) is legal for the shape on the device. */
    bool (*valid)(const int *params, const clm_shape *shape, const clm_caps *caps);
    /* Parameters that run anywhere and are a good first choice for the kind of device. Of a shape that a file of
     * tuned values has, numbers may be any. */
    void (*defaults)(const clm_shape *shape, const clm_caps *caps, int *params);
    /* All -D values of a build: shape constants and tunables. Returns how many were written to
     * `defs`, at most CLM_MAX_DEFINES. */
    size_t (*defines)(const clm_shape *shape, const int *params, clm_define *defs);

    /* Describes and fills the buffers of c->shape. The caller clears the case. */
    clm_status (*fill)(clm_case *c, uint32_t seed, clm_err *err);
    /* Computes `expected` of every output in plain C (ref_<name>.c). */
    void (*reference)(clm_case *c);
    /* Sets the arguments (`bufs` in the order of the case) and says how many work-items there are.
     * The model binds once and enqueues once per token. */
    clm_status (*bind)(clm_kernel *kernel, const clm_shape *shape, const int *params,
                       clm_buffer *const *bufs, clm_range *range, clm_err *err);

    /* Instead of a kernel: queues the work through a library. Then there is no `entry` and no `bind`,
     * and clm_op_build gives no program. Libraries keep parameters for the device as a whole, so
     * one set serves all shapes. NULL: a kernel. */
    clm_status (*run)(clm_device *dev, const clm_shape *shape, const int *params,
                      clm_buffer *const *bufs, clm_err *err);

    /* Bytes that must cross the memory bus and arithmetic operations of one launch. */
    double (*bytes_moved)(const clm_shape *shape);
    double (*flops)(const clm_shape *shape);
    /* By what `flops` are done. NULL: floats. */
    clm_arithmetic (*arithmetic)(const clm_shape *shape);
    /* Whether data decide that less is done than bytes_moved and flops say, as keys are left out where ALiBi
     * makes them vanish. NULL: never. */
    bool (*may_skip)(const clm_shape *shape);

    const clm_shape *test_shapes; /* small and awkward */
    size_t n_test_shapes;
    const clm_shape *tune_shapes; /* of real models */
    size_t n_tune_shapes;
    /* Gives a shape of tune_shapes the layout that a model would have on the device. NULL: it has it. */
    void (*fit)(clm_shape *shape, const clm_caps *caps);
    float atol, rtol; /* |got - want| <= atol + rtol * |want|; why that large: at the definition */
} clm_op_desc;

/* tune_shapes[i], as it is on the device. */
clm_shape clm_op_tune_shape(const clm_op_desc *op, size_t i, const clm_caps *caps);

/* Releases the buffers of a case; a zeroed or half-filled one too. */
void clm_case_clear(clm_case *c);

/* Adds a buffer with zeroed data (and `expected` for outputs); returns its data, NULL: no memory. */
void *clm_case_add(clm_case *c, const char *name, clm_elem type, size_t count, clm_case_role role);

/* Builds the program of `op` for shape and params and takes its entry point. The program depends
 * only on what `defines` yields, so one kernel serves all launches with the same defines.
 * Both results are the caller's (destroy the kernel first), and NULL for an operator with `run`. */
clm_status clm_op_build(const clm_op_desc *op, clm_device *dev, const clm_shape *shape,
                        const int *params, clm_program **prog, clm_kernel **kernel, clm_err *err);

/* Whether builds for both shapes differ in tunables only: one program serves both. */
bool clm_op_same_program(const clm_op_desc *op, const int *params, const clm_shape *a,
                         const clm_shape *b);

/* Binds and enqueues: one launch. `kernel` as clm_op_build gave it. */
clm_status clm_op_launch(const clm_op_desc *op, clm_kernel *kernel, const clm_shape *shape,
                         const int *params, clm_buffer *const *bufs, clm_err *err);

/* Runs `op` on `dev` for a filled case with `params`: device buffers with guard bytes behind
 * each, outputs preset to NaN, one launch, results compared with `expected`.
 * `worst` (may be NULL) receives the largest |got - want| / (atol + rtol * |want|).
 * Returns CLM_OK, CLM_E_SELFTEST (the sentence says which element differs, or that memory outside
 * an output was written) or the status of what failed. */
clm_status clm_op_check(const clm_op_desc *op, clm_device *dev, const clm_case *c,
                        const int *params, double *worst, clm_err *err);

/* A device buffer for `b` with guard bytes behind outputs, filled as clm_op_check does. */
clm_status clm_case_stage(clm_device *dev, const clm_case_buffer *b, clm_buffer **out,
                          clm_err *err);
/* CLM_E_SELFTEST when memory behind an output of clm_case_stage was written. */
clm_status clm_case_guards(const clm_op_desc *op, const clm_case_buffer *b, const clm_buffer *buf,
                           clm_err *err);

/* Hash of all text that decides what `op` computes, how it is checked, and its speed. */
clm_status clm_op_hash(const clm_op_desc *op, char out[33], clm_err *err);

/* clm_op_check with a kernel from clm_op_build whose defines are those of shape and params, so that
 * one build serves many checks and timings. */
clm_status clm_op_check_kernel(const clm_op_desc *op, clm_device *dev, clm_kernel *kernel,
                               const clm_case *c, const int *params, double *worst, clm_err *err);

#endif
