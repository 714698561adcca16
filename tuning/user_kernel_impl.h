/* tuning/user_kernel_impl.h: what user_kernel.c and user_kernel_read.c share; private to them. */
#ifndef CLM_TUNING_USER_KERNEL_IMPL_H
#define CLM_TUNING_USER_KERNEL_IMPL_H

#include "host/yaml.h"
#include "tuning/expr.h"
#include "tuning/user_kernel.h"

enum { CLM_USER_MAX_ARGS = 24, CLM_USER_MAX_CONSTRAINTS = 32, CLM_USER_MAX_VALUES = 64 };

typedef struct clm_user_arg {
    enum { CLM_USER_BUFFER, CLM_USER_INT, CLM_USER_FLOAT } kind;
    const char *name;  /* of a buffer */
    const char *value; /* expression: count of a buffer, value of an int */
    float number;
    clm_elem type;
    bool output;
    double low, high;
    uint64_t seed;
} clm_user_arg;

typedef struct clm_user_launch {
    const char *entry;
    size_t dims;
    const char *global[3], *local[3];
} clm_user_launch;

struct clm_user_kernel {
    clm_op_desc op;
    clm_shape shape;
    clm_device *dev; /* may be NULL */
    clm_yaml *doc;   /* owns all texts below, but: */
    char *text;      /* of the kernel file */
    char *space;     /* of the description */
    const char *sizes[CLM_MAX_DIMS];
    clm_axis axes[CLM_MAX_AXES];
    int values[CLM_MAX_AXES][CLM_USER_MAX_VALUES];
    const char *constraints[CLM_USER_MAX_CONSTRAINTS];
    size_t n_constraints;
    clm_user_arg args[CLM_USER_MAX_ARGS];
    size_t n_args;
    clm_user_launch launch, reference;
    const char *bytes, *flops;
};

/* user_kernel_read.c: fills `k` from k->doc. */
clm_status clm__user_kernel_read(clm_user_kernel *k, clm_err *err);

/* user_kernel.c: the value of an expression with the sizes and `params`. */
clm_status clm__user_eval(const clm_user_kernel *k, const char *text, const int *params,
                          int64_t *out, clm_err *err);

#endif
