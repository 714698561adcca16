/* tests/ops/op_harness.c: see op_harness.h. */
#include "tests/ops/op_harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONFIGS = 200, SAMPLE = 20, MAX_FAILURES = 5, MAX_SHAPES = 128, REPEATS = 64 };

typedef struct config {
    int v[CLM_MAX_AXES];
} config;

/* A kernel and the defines it was built with, which is all it depends on. */
typedef struct built {
    clm_define defs[CLM_MAX_DEFINES];
    size_t n_defs;
    clm_program *prog;
    clm_kernel *kernel;
} built;

typedef struct run_state {
    clm_case cases[MAX_SHAPES];
    size_t n_cases, n_checks, n_failed;
    built cache[MAX_SHAPES];
    size_t n_cache;
    double worst;
} run_state;

/* cmocka's tests take no argument, so the descriptor under test stands here. */
static const clm_op_desc *g_op;

static bool small_only(void)
{
    const char *text = getenv("CLM_TEST_SMALL");

    return text != NULL && strcmp(text, "1") == 0;
}

void clm_op_test_devices(void (*body)(clm_device *dev, void *user), void *user)
{
    const char *selector = getenv("CLM_TEST_DEVICE");
    clm_device_info *list = NULL;
    size_t count = 0, first = 0, end, used = 0;
    clm_err err = {{0}};

    if (clm_device_list(&list, &count, &err) != CLM_OK) fail_msg("%s", err.text);
    end = count;
    if (selector != NULL && selector[0] != '\0') {
        if (clm_device_select(list, count, selector, &first, NULL, &err) != CLM_OK)
            fail_msg("%s", err.text);
        end = first + 1;
    }
    for (size_t i = first; i < end; i++) {
        const char *why = clm_device_unusable(&list[i].caps);
        clm_device *dev = NULL;

        if (why != NULL) {
            fprintf(stderr, "DEVICE SKIPPED: %s: %s\n", list[i].caps.name, why);
            continue;
        }
        if (clm_device_open(&list[i], NULL, &dev, &err) != CLM_OK) fail_msg("%s", err.text);
        clm_device_keep_programs(dev, false);
        body(dev, user);
        clm_device_close(dev);
        used++;
    }
    free(list);
    if (used == 0) fail_msg("there is no usable OpenCL device to test on");
}

static void print_failure(const clm_device *dev, const clm_shape *shape, const int *params,
                          const char *text)
{
    fprintf(stderr, "FAILED %s on %s, seed %d:", g_op->name, clm_device_caps(dev)->name,
            (int)CLM_TEST_SEED);
    for (size_t i = 0; i < g_op->n_dims; i++) fprintf(stderr, " %s=%d", g_op->dims[i], shape->v[i]);
    fprintf(stderr, " f=%g,%g |", (double)shape->f[0], (double)shape->f[1]);
    for (size_t i = 0; i < g_op->n_axes; i++)
        fprintf(stderr, " %s=%d", g_op->axes[i].name, params[i]);
    fprintf(stderr, " | %s\n", text);
}

static bool valid_somewhere(const int *params, const clm_caps *caps)
{
    for (size_t i = 0; i < g_op->n_test_shapes; i++) {
        if (g_op->valid(params, &g_op->test_shapes[i], caps)) return true;
    }
    return false;
}

/* Step `index` of the space in mixed radix. */
static void config_at(size_t index, int *params)
{
    for (size_t a = 0; a < g_op->n_axes; a++) {
        params[a] = g_op->axes[a].values[index % g_op->axes[a].n_values];
        index /= g_op->axes[a].n_values;
    }
}

static void add_config(config *list, size_t *count, const int *params)
{
    for (size_t i = 0; i < *count; i++) {
        if (memcmp(list[i].v, params, g_op->n_axes * sizeof params[0]) == 0) return;
    }
    memcpy(list[(*count)++].v, params, g_op->n_axes * sizeof params[0]);
}

/* The defaults that a CPU and a GPU with these capabilities would get for the shapes. */
static size_t default_configs(const clm_caps *caps, config list[MAX_CONFIGS])
{
    const clm_device_type types[] = {CLM_DEVICE_CPU, CLM_DEVICE_GPU};
    size_t count = 0;

    for (size_t i = 0; i < 2 * g_op->n_test_shapes && count < MAX_CONFIGS; i++) {
        clm_caps as = *caps;
        int params[CLM_MAX_AXES] = {0};

        as.type = types[i % 2];
        g_op->defaults(&g_op->test_shapes[i / 2], &as, params);
        if (valid_somewhere(params, caps)) add_config(list, &count, params);
    }
    return count;
}

/* How many configurations are checked; each costs a second or so of compiling. */
static size_t sample_size(void)
{
    const char *text = getenv("CLM_TEST_ALL");

    return text != NULL && strcmp(text, "1") == 0 ? MAX_CONFIGS : SAMPLE;
}

/* All legal configurations, or a sample by reservoir sampling. */
static size_t all_configs(const clm_caps *caps, config list[MAX_CONFIGS])
{
    const size_t room = sample_size();
    size_t total = 1, seen = 0;
    uint32_t random = CLM_TEST_SEED;

    for (size_t a = 0; a < g_op->n_axes; a++) total *= g_op->axes[a].n_values;
    for (size_t i = 0; i < total; i++) {
        int params[CLM_MAX_AXES] = {0};
        size_t slot = seen;

        config_at(i, params);
        if (!valid_somewhere(params, caps)) continue;
        if (seen >= room) {
            random = random * 1664525u + 1013904223u;
            slot = (size_t)(random >> 8) % (seen + 1);
        }
        if (slot < room) memcpy(list[slot].v, params, sizeof params);
        seen++;
    }
    return seen < room ? seen : room;
}

static bool is_small(const clm_shape *shape)
{
    return g_op->flops(shape) <= 3e5 && g_op->bytes_moved(shape) <= 6e5;
}

static void make_cases(run_state *run)
{
    clm_err err = {{0}};

    assert_true(g_op->n_test_shapes >= 1 && g_op->n_test_shapes <= MAX_SHAPES);
    for (size_t i = 0; i < g_op->n_test_shapes; i++) {
        clm_case *c = &run->cases[run->n_cases];

        if (small_only() && !is_small(&g_op->test_shapes[i])) continue;
        c->shape = g_op->test_shapes[i];
        if (g_op->fill(c, CLM_TEST_SEED + (uint32_t)i, &err) != CLM_OK) fail_msg("%s", err.text);
        g_op->reference(c);
        run->n_cases++;
    }
    assert_true(run->n_cases > 0);
}

static void drop_kernels(run_state *run)
{
    for (size_t i = 0; i < run->n_cache; i++) {
        clm_kernel_destroy(run->cache[i].kernel);
        clm_program_destroy(run->cache[i].prog);
    }
    run->n_cache = 0;
}

static clm_status kernel_for(run_state *run, clm_device *dev, const clm_shape *shape,
                             const int *params, clm_kernel **kernel, clm_err *err)
{
    clm_define defs[CLM_MAX_DEFINES] = {{0}};
    const size_t n = g_op->defines(shape, params, defs);
    built *b;
    clm_status st;

    for (size_t i = 0; i < run->n_cache; i++) {
        size_t same = 0;

        b = &run->cache[i];
        while (b->n_defs == n && same < n && defs[same].value == b->defs[same].value &&
               strcmp(defs[same].name, b->defs[same].name) == 0)
            same++;
        if (b->n_defs == n && same == n) {
            *kernel = b->kernel;
            return CLM_OK;
        }
    }
    b = &run->cache[run->n_cache];
    st = clm_op_build(g_op, dev, shape, params, &b->prog, &b->kernel, err);
    if (st != CLM_OK) return st;
    memcpy(b->defs, defs, sizeof defs);
    b->n_defs = n;
    run->n_cache++;
    *kernel = b->kernel;
    return CLM_OK;
}

/* Checks every case once, the small ones `repeats` times. */
static void check_config(run_state *run, clm_device *dev, const int *params, int repeats)
{
    for (size_t i = 0; i < run->n_cases && run->n_failed < MAX_FAILURES; i++) {
        const clm_case *c = &run->cases[i];
        const int times = is_small(&c->shape) ? repeats : 1;
        clm_kernel *kernel = NULL;
        clm_err err = {{0}};
        double worst = 0.0;
        clm_status st;

        if (!g_op->valid(params, &c->shape, clm_device_caps(dev))) continue;
        st = kernel_for(run, dev, &c->shape, params, &kernel, &err);
        for (int k = 0; k < times && st == CLM_OK; k++)
            st = clm_op_check_kernel(g_op, dev, kernel, c, params, &worst, &err);
        if (st != CLM_OK) {
            print_failure(dev, &c->shape, params, err.text);
            run->n_failed++;
        }
        if (!(worst <= run->worst)) run->worst = worst;
        run->n_checks++;
    }
    drop_kernels(run);
}

static void check_device(clm_device *dev, void *user)
{
    run_state *run = user;
    const clm_caps *caps = clm_device_caps(dev);
    config list[MAX_CONFIGS] = {{{0}}};
    const size_t n = small_only() ? default_configs(caps, list) : all_configs(caps, list);
    size_t n_defaults;

    run->worst = 0.0;
    run->n_checks = 0;
    assert_true(n > 0);
    for (size_t i = 0; i < n && run->n_failed < MAX_FAILURES; i++)
        check_config(run, dev, list[i].v, 1);
    /* Work-groups that disturb each other do so now and then only. */
    n_defaults = small_only() ? 0 : default_configs(caps, list);
    for (size_t i = 0; i < n_defaults && run->n_failed < MAX_FAILURES; i++)
        check_config(run, dev, list[i].v, REPEATS);
    fprintf(stderr, "%s on %s: %zu configurations, %zu checks, worst %.3f of the tolerance\n",
            g_op->name, caps->name, n, run->n_checks, run->worst);
}

static void configurations_match_reference(void **state)
{
    run_state *run = calloc(1, sizeof *run);
    size_t failed;

    (void)state;
    assert_non_null(run);
    make_cases(run);
    clm_op_test_devices(check_device, run);
    for (size_t i = 0; i < run->n_cases; i++) clm_case_clear(&run->cases[i]);
    failed = run->n_failed;
    free(run);
    if (failed > 0) fail_msg("%zu checks failed, see above", failed);
}

int clm_op_test_param(const clm_op_desc *op, const int *params, const char *name)
{
    for (size_t i = 0; i < op->n_axes; i++)
        if (strcmp(op->axes[i].name, name) == 0) return params[i];
    fail_msg("%s has no axis %s", op->name, name);
    return 0;
}

clm_caps clm_op_test_mma_gpu(void)
{
    return (clm_caps){.type = CLM_DEVICE_GPU,
                      .dot = CLM_DOT_PTX,
                      .mma = CLM_MMA_PTX,
                      .compute_units = 132,
                      .local_mem = 48 << 10,
                      .max_group_size = 1024,
                      .max_item_sizes = {1024, 1024, 64}};
}

void clm_op_test_case(const clm_op_desc *op, clm_device *dev, const clm_case *c)
{
    const clm_device_type types[] = {CLM_DEVICE_CPU, CLM_DEVICE_GPU};

    for (size_t i = 0; i < 2; i++) {
        clm_caps as = *clm_device_caps(dev);
        int params[CLM_MAX_AXES] = {0};
        clm_err err = {{0}};

        as.type = types[i];
        op->defaults(&c->shape, &as, params);
        if (!op->valid(params, &c->shape, clm_device_caps(dev))) continue;
        if (clm_op_check(op, dev, c, params, NULL, &err) != CLM_OK)
            fail_msg("with the defaults of a %s: %s", i == 0 ? "CPU" : "GPU", err.text);
    }
}

/* Changes one expected element at a time: the check must say so, or it could not find anything. */
static void check_notices(clm_device *dev, void *user)
{
    clm_case c = {.shape = g_op->test_shapes[0]};
    int params[CLM_MAX_AXES] = {0};
    size_t outputs = 0;
    clm_program *prog;
    clm_kernel *kernel;
    clm_err err = {{0}};

    (void)user;
    if (g_op->fill(&c, CLM_TEST_SEED, &err) != CLM_OK) fail_msg("%s", err.text);
    g_op->reference(&c);
    g_op->defaults(&c.shape, clm_device_caps(dev), params);
    if (clm_op_build(g_op, dev, &c.shape, params, &prog, &kernel, &err) != CLM_OK)
        fail_msg("%s", err.text);
    if (clm_op_check_kernel(g_op, dev, kernel, &c, params, NULL, &err) != CLM_OK)
        fail_msg("before anything is changed: %s", err.text);
    for (size_t i = 0; i < c.n_bufs; i++) {
        clm_case_buffer *b = &c.bufs[i];
        unsigned char *top;

        if (b->role == CLM_CASE_IN) continue;
        /* Flipping the top bits of the last element changes sign and exponent. */
        top = (unsigned char *)b->expected + b->count * clm_elem_bytes(b->type) - 1;
        *top ^= 0xC1;
        assert_int_equal(clm_op_check_kernel(g_op, dev, kernel, &c, params, NULL, &err),
                         CLM_E_SELFTEST);
        assert_true(err.text[0] != '\0');
        *top ^= 0xC1;
        outputs++;
    }
    assert_true(outputs > 0);
    clm_kernel_destroy(kernel);
    clm_program_destroy(prog);
    clm_case_clear(&c);
}

static void wrong_results_are_noticed(void **state)
{
    (void)state;
    clm_op_test_devices(check_notices, NULL);
}

static bool on_axis(const clm_axis *axis, int value)
{
    for (size_t i = 0; i < axis->n_values; i++) {
        if (axis->values[i] == value) return true;
    }
    return false;
}

static void check_defaults(clm_device *dev, void *user)
{
    const clm_caps *caps = clm_device_caps(dev);

    (void)user;
    for (size_t i = 0; i < g_op->n_test_shapes + g_op->n_tune_shapes; i++) {
        const clm_shape *shape = i < g_op->n_test_shapes
                                     ? &g_op->test_shapes[i]
                                     : &g_op->tune_shapes[i - g_op->n_test_shapes];
        clm_define defs[CLM_MAX_DEFINES];
        int params[CLM_MAX_AXES] = {0};

        g_op->defaults(shape, caps, params);
        assert_true(g_op->valid(params, shape, caps));
        for (size_t a = 0; a < g_op->n_axes; a++) assert_true(on_axis(&g_op->axes[a], params[a]));
        assert_true(g_op->defines(shape, params, defs) <= CLM_MAX_DEFINES);
        assert_true(g_op->bytes_moved(shape) > 0.0);
        assert_true(g_op->flops(shape) >= 0.0);
    }
}

static void descriptor_is_sound(void **state)
{
    (void)state;
    assert_non_null(clm_kernel_source(g_op->name, NULL));
    assert_true(g_op->n_dims >= 1 && g_op->n_dims <= CLM_MAX_DIMS);
    assert_true(g_op->n_axes <= CLM_MAX_AXES);
    assert_true(g_op->n_test_shapes > 0);
    assert_true(g_op->n_tune_shapes > 0);
    assert_true(g_op->atol >= 0.0f && g_op->rtol >= 0.0f && isfinite(g_op->atol + g_op->rtol));
    clm_op_test_devices(check_defaults, NULL);
}

int clm_op_test_main(const clm_op_desc *op, const struct CMUnitTest *extra, size_t n_extra)
{
    struct CMUnitTest tests[3 + CLM_TEST_MAX_EXTRA] = {
        cmocka_unit_test(descriptor_is_sound),
        cmocka_unit_test(configurations_match_reference),
        cmocka_unit_test(wrong_results_are_noticed),
    };

    if (n_extra > CLM_TEST_MAX_EXTRA) return 1;
    for (size_t i = 0; i < n_extra; i++) tests[3 + i] = extra[i];
    g_op = op;
    /* The function behind the macro, since the number of tests is not a constant. */
    return _cmocka_run_group_tests(op->name, tests, 3 + n_extra, NULL, NULL);
}
