/* tests/ops/test_amx.c: the kernels with tile instructions give the reference's results. Where the
 * processor has none, they are emulated (amx_emulator.h): the code that runs is the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/amx_probe.h"
#include "runtime/ops/op_attention_amx.h"
#include "runtime/ops/op_gemm_amx.h"
#include "tests/ops/amx_emulator.h"
#include "tests/ops/op_harness.h"
#include "tuning/device_limits.h"

/* ---- the emulator ---------------------------------------------------------------------------- */

#if defined(__x86_64__) && defined(__linux__)

enum { ROWS = 3, PAIRS = 5, COLUMNS = 7 };

/* bf16 of a small whole number. */
static uint16_t bf16(int value)
{
    const float f = (float)value;
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)(bits >> 16);
}

/* Tiles that are not whole, in registers of both halves, with all kinds of displacement and scale: the
 * product is that of C, and nothing beside the tiles is read or written. */
static void emulator_decodes_instructions(void **state)
{
    static uint8_t config[64] = {1};
    static uint16_t a[ROWS][32], b[PAIRS][32];
    static float c[ROWS + 1][16];

    (void)state;
    if (clm_amx_native()) skip(); /* the processor decodes them itself */
    assert_true(clm_amx_emulator_install());
    config[16 + 2 * 2] = 4 * COLUMNS, config[48 + 2] = ROWS;  /* tmm2: c */
    config[16 + 2 * 5] = 4 * PAIRS, config[48 + 5] = ROWS;    /* tmm5: a */
    config[16 + 2 * 6] = 4 * COLUMNS, config[48 + 6] = PAIRS; /* tmm6: b */
    for (int i = 0; i < ROWS * 32; i++) a[i / 32][i % 32] = bf16(i % 11 - 5);
    for (int i = 0; i < PAIRS * 32; i++) b[i / 32][i % 32] = bf16(i % 7 - 3);
    for (int i = 0; i < (ROWS + 1) * 16; i++) c[i / 16][i % 16] = (float)i;

    const unsigned long loads = clm_amx_emulated(CLM_AMX_LOAD);
    __asm__ volatile("ldtilecfg %0" : : "m"(config) : "memory");
    __asm__ volatile("mov %0, %%r12\n\t"
                     "mov $64, %%r9\n\t"
                     "tileloadd (%%r12,%%r9,1), %%tmm2\n\t"
                     "lea -16(%1), %%r13\n\t"
                     "mov $32, %%r10\n\t"
                     "tileloadd 16(%%r13,%%r10,2), %%tmm5\n\t"
                     "lea -1024(%2), %%rax\n\t"
                     "mov $16, %%ecx\n\t"
                     "tileloadd 1024(%%rax,%%rcx,4), %%tmm6\n\t"
                     "tdpbf16ps %%tmm6, %%tmm5, %%tmm2\n\t"
                     "tilestored %%tmm2, (%%r12,%%r9,1)\n\t"
                     "tilezero %%tmm5\n\t"
                     "tilerelease"
                     :
                     : "r"(&c[0][0]), "r"(&a[0][0]), "r"(&b[0][0])
                     : "r9", "r10", "r12", "r13", "rax", "rcx", "memory");
    assert_int_equal(clm_amx_emulated(CLM_AMX_LOAD), loads + 3);
    for (int i = 0; i < (ROWS + 1) * 16; i++) {
        const int m = i / 16, n = i % 16;
        int want = i;

        for (int k = 0; k < 2 * PAIRS && m < ROWS && n < COLUMNS; k++)
            want += ((m * 32 + k) % 11 - 5) * ((k / 2 * 32 + 2 * n + k % 2) % 7 - 3);
        assert_true(c[m][n] == (float)want);
    }
}

#else

static void emulator_decodes_instructions(void **state)
{
    (void)state;
    fprintf(stderr, "TILE INSTRUCTIONS NOT TESTED: this is not x86-64 Linux\n");
    skip();
}

#endif

/* ---- the kernels ----------------------------------------------------------------------------- */

static void check_case(const clm_op_desc *op, clm_device *dev, const clm_shape *shape,
                       uint32_t seed)
{
    clm_caps with_amx = *clm_device_caps(dev);
    int params[CLM_MAX_AXES] = {0};
    clm_case c = {.shape = *shape};
    clm_err err = {{0}};

    with_amx.amx = true;
    op->defaults(shape, &with_amx, params);
    assert_true(op->valid(params, shape, &with_amx));
    if (op->fill(&c, seed, &err) != CLM_OK) fail_msg("%s", err.text);
    op->reference(&c);
    if (clm_op_check(op, dev, &c, params, NULL, &err) != CLM_OK) fail_msg("%s", err.text);
    clm_case_clear(&c);
}

/* The bench's measure of tiles runs on what has them. The capabilities are the device's own object, not a
 * constant: a test may put words in its mouth. */
static void check_limit(clm_device *dev)
{
    clm_caps *caps = (clm_caps *)clm_device_caps(dev);
    const bool amx = caps->amx;
    const unsigned long dots = clm_amx_emulated(CLM_AMX_DOT);
    clm_device_limits limits;
    clm_err err = {{0}};
    clm_status st;

    caps->amx = true;
    st = clm_device_limits_measure(dev, &limits, &err);
    caps->amx = amx;
    if (st != CLM_OK) fail_msg("%s", err.text);
    fprintf(stderr, "%s: products of tiles at %.3g GFLOP/s%s\n", caps->name, limits.bf16_gflops,
            amx ? "" : " by emulation");
    assert_true(limits.bf16_gflops > 0.0);
    assert_true(amx || clm_amx_emulated(CLM_AMX_DOT) > dots);
}

/* All test shapes of an operator. */
static void check_op(const clm_op_desc *op, clm_device *dev)
{
    const clm_caps *caps = clm_device_caps(dev);
    const unsigned long dots = clm_amx_emulated(CLM_AMX_DOT);

    for (size_t i = 0; i < op->n_test_shapes; i++)
        check_case(op, dev, &op->test_shapes[i], CLM_TEST_SEED + (uint32_t)i);
    fprintf(stderr, "%s on %s (%s): %lu products of tiles emulated\n", op->name, caps->name,
            caps->platform_name, clm_amx_emulated(CLM_AMX_DOT) - dots);
    assert_true(caps->amx || clm_amx_emulated(CLM_AMX_DOT) > dots);
}

static void check_device(clm_device *dev, void *user)
{
    const clm_caps *caps = clm_device_caps(dev);
    size_t *used = user;

    if (caps->type != CLM_DEVICE_CPU) return;
    if (clm_amx_native() && !caps->amx) {
        fprintf(stderr, "TILE INSTRUCTIONS NOT TESTED on %s: not allowed to use them\n",
                caps->name);
        return;
    }
    /* Drivers made of LLVM put handlers of their own in place when they compile first. */
    assert_true(clm_amx_emulator_install());
    if (!clm__amx_runs(dev)) {
        fprintf(stderr, "%s (%s) does not take tile instructions\n", caps->name,
                caps->platform_name);
        assert_false(caps->amx);
        return;
    }
    check_op(&clm_op_gemm_amx, dev);
    check_op(&clm_op_attention_amx, dev);
    check_limit(dev);
    ++*used;
}

/* At least PoCL takes the assembly. Whatever was configured has been released. */
static void kernels_match_reference(void **state)
{
    size_t used = 0;

    (void)state;
    if (!clm_amx_emulator_install()) {
        fprintf(stderr, "TILE INSTRUCTIONS NOT TESTED: this is not x86-64 Linux\n");
        skip();
    }
    clm_op_test_devices(check_device, &used);
    assert_true(used > 0 || clm_amx_native());
    assert_int_equal(clm_amx_emulated(CLM_AMX_CONFIG), clm_amx_emulated(CLM_AMX_RELEASE));
}

/* The emulator does not make a device have what its processor lacks, and $CLM_AMX=0 switches off. */
static void check_off(clm_device *dev, void *user)
{
    (void)user;
    assert_int_equal(setenv("CLM_AMX", "0", 1), 0);
    assert_false(clm__amx_probe(dev));
    assert_int_equal(unsetenv("CLM_AMX"), 0);
    assert_int_equal(clm__amx_probe(dev), clm_device_caps(dev)->amx);
}

static void detection_needs_the_processor(void **state)
{
    const char *before = getenv("CLM_AMX");
    char *saved = before != NULL ? strdup(before) : NULL;

    (void)state;
    unsetenv("CLM_AMX");
    clm_op_test_devices(check_off, NULL);
    if (saved != NULL) setenv("CLM_AMX", saved, 1);
    free(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(emulator_decodes_instructions),
        cmocka_unit_test(kernels_match_reference),
        cmocka_unit_test(detection_needs_the_processor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
