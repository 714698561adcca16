/* tests/ops/gemv_tests.h: what the tests of gemv_q4, gemv_q8 and gemv_f16 share.
 */
#ifndef CLM_TESTS_OPS_GEMV_TESTS_H
#define CLM_TESTS_OPS_GEMV_TESTS_H

#include <string.h>
#include "runtime/ops/op_gemv.h"
#include "tests/ops/op_harness.h"

/* Capabilities of a device on which every configuration fits. */
static inline clm_caps gemv_roomy_caps(void)
{
    clm_caps caps;

    memset(&caps, 0, sizeof caps);
    caps.max_group_size = 1024;
    caps.max_item_sizes[0] = caps.max_item_sizes[1] = caps.max_item_sizes[2] = 1024;
    return caps;
}

/* Whether the first configuration of the CPU family is legal for `shape`. */
static inline bool gemv_takes(const clm_op_desc *op, const clm_shape *shape)
{
    const clm_caps caps = gemv_roomy_caps();
    const int params[CLM_MAX_AXES] = {0, 1, 1};

    return op->valid(params, shape, &caps);
}

/* A case of one token whose input is `column` of the unit matrix: y is that column of w. All
 * weights are zero; scales, when there are any, one. */
static inline void gemv_unit_case(const clm_op_desc *op, clm_case *c, size_t column)
{
    clm_err err = {{0}};
    float *x;

    if (op->fill(c, CLM_TEST_SEED, &err) != CLM_OK) fail_msg("%s", err.text);
    for (size_t i = 0; i + 1 < c->n_bufs; i++) {
        const clm_case_buffer *b = &c->bufs[i];

        memset(b->data, 0, b->count * clm_elem_bytes(b->type));
        for (size_t j = 0; i == 1 && c->n_bufs == 5 && j < b->count; j++)
            ((uint16_t *)b->data)[j] = 0x3C00; /* 1.0 */
    }
    x = c->bufs[c->n_bufs - 2].data;
    x[column] = 1.0f;
}

#endif
