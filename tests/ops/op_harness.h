/* tests/ops/op_harness.h: the tests every operator passes, driven by its descriptor.
 *
 * Environment
 *   CLM_TEST_DEVICE  selector as in host/device.h; default: all usable devices in turn
 *   CLM_TEST_SMALL   1: default configurations and small shapes only (for Oclgrind)
 *   CLM_TEST_ALL     1: up to 200 configurations in place of 20
 */
#ifndef CLM_TESTS_OPS_OP_HARNESS_H
#define CLM_TESTS_OPS_OP_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tuning/op_desc.h"

/* Seed of all test data. */
enum { CLM_TEST_SEED = 20240817, CLM_TEST_MAX_EXTRA = 16 };

/* Runs, for `op`: whether the descriptor is sound; every legal configuration (a seeded sample of
 * 20 when there are more) on every test shape against the reference; whether wrong results are
 * noticed; then the tests of `extra` (n_extra of them, at most CLM_TEST_MAX_EXTRA; may be NULL).
 * Returns the exit code of the program. */
int clm_op_test_main(const clm_op_desc *op, const struct CMUnitTest *extra, size_t n_extra);

/* Calls `body` for each device under test, opened, and told to keep no programs: most are built once. No
 * device at all fails the test. */
void clm_op_test_devices(void (*body)(clm_device *dev, void *user), void *user);

/* Checks one case with the configurations that a CPU and a GPU would get by default; fails the
 * test with the sentence of clm_op_check. For operators' own cases. */
void clm_op_test_case(const clm_op_desc *op, clm_device *dev, const clm_case *c);

/* The value of the axis `name`; fails the test when there is none. */
int clm_op_test_param(const clm_op_desc *op, const int *params, const char *name);

/* What NVIDIA's OpenCL says of a large GPU with tensor cores. */
clm_caps clm_op_test_mma_gpu(void);

#endif
