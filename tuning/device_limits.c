/* tuning/device_limits.c: see tuning/device_limits.h. */
#include "tuning/device_limits.h"

#include <math.h>
#include <string.h>

#include "host/buffer.h"
#include "host/clock.h"
#include "host/kernel.h"
#include "host/program.h"

/* Memory that is read: far beyond any cache, and never more than this part of the device's. */
static const uint64_t READ_BYTES_MIN = (uint64_t)512 << 20, READ_BYTES_MAX = (uint64_t)2 << 30;
enum { READ_CACHES = 8, MEMORY_PART = 8 };
/* Repetitions of a variant, unless they take too long on a slow device. */
enum { RUNS = 3, LAUNCHES = 256, ROUNDTRIPS = 32 };
static const double SLOW_SECONDS = 0.25, MATH_SECONDS = 4e-3;

/* One variant of a probe: its kernel and how many work-items there are. */
typedef struct probe {
    clm_device *dev;
    clm_program *prog;
    clm_kernel *kernel;
    clm_range range;
} probe;

static void probe_clear(probe *p)
{
    clm_kernel_destroy(p->kernel);
    clm_program_destroy(p->prog);
}

static clm_status probe_init(probe *p, clm_device *dev, const char *name, const clm_define *defs,
                             size_t n_defs, size_t items, size_t wg, clm_err *err)
{
    clm_status st;

    memset(p, 0, sizeof *p);
    p->dev = dev;
    p->range = (clm_range){.dims = 1, .global = {items}, .local = {wg}};
    st = clm_program_create(dev, name, defs, n_defs, &p->prog, err);
    if (st == CLM_OK) st = clm_kernel_create(p->prog, name, &p->kernel, err);
    return st;
}

/* Time of `launches` launches one after the other and waiting for the last. */
static clm_status probe_time(probe *p, size_t launches, double *seconds, clm_err *err)
{
    const double start = clm_clock_seconds();
    clm_status st = CLM_OK;

    for (size_t i = 0; i < launches && st == CLM_OK; i++)
        st = clm_kernel_enqueue(p->kernel, &p->range, err);
    if (st == CLM_OK) st = clm_device_finish(p->dev, err);
    *seconds = clm_clock_seconds() - start;
    return st;
}

/* The best of some runs after one that compiles and warms up. */
static clm_status probe_best(probe *p, double *seconds, clm_err *err)
{
    clm_status st = probe_time(p, 1, seconds, err);
    double run;

    for (size_t i = 0; i < RUNS && st == CLM_OK && (i == 0 || *seconds < SLOW_SECONDS); i++) {
        st = probe_time(p, 1, &run, err);
        if (i == 0 || run < *seconds) *seconds = run;
    }
    return st;
}

static size_t group_size(const clm_caps *caps)
{
    if (caps->type == CLM_DEVICE_CPU) return 1;
    return caps->max_group_size < 256 ? caps->max_group_size : 256;
}

/* Work-items that fill the device: a few per thread of a CPU, whole groups on others. */
static size_t item_count(const clm_caps *caps, size_t per_unit)
{
    const size_t units = caps->compute_units > 0 ? caps->compute_units : 1;
    return units * per_unit * group_size(caps);
}

/* ---- reading --------------------------------------------------------------------------------- */

static clm_status read_once(clm_device *dev, const clm_buffer *in, clm_buffer *out, int streams,
                            size_t items, double *gbps, clm_err *err)
{
    const clm_caps *caps = clm_device_caps(dev);
    const bool cpu = caps->type == CLM_DEVICE_CPU;
    const int words = cpu ? 16 : 4;
    const clm_define defs[] = {
        {"WG", (int)group_size(caps)}, {"VW", words}, {"STREAMS", streams}, {"COALESCED", !cpu}};
    const size_t vector = (size_t)words * sizeof(uint32_t);
    const size_t len = clm_buffer_count(in) / (items * (size_t)streams * vector);
    const clm_arg args[] = {CLM_BUF(in), CLM_BUF(out), CLM_I32(len)};
    double seconds = 0.0;
    probe p = {0};
    clm_status st = CLM_OK;

    if (len == 0) return CLM_OK; /* more items than memory: another variant measures */
    st = probe_init(&p, dev, "limit_read", defs, sizeof defs / sizeof *defs, items,
                    group_size(caps), err);
    if (st == CLM_OK) st = clm_kernel_set_args(p.kernel, args, sizeof args / sizeof *args, err);
    if (st == CLM_OK) st = probe_best(&p, &seconds, err);
    if (st == CLM_OK)
        *gbps = fmax(*gbps, (double)(len * items * (size_t)streams * vector) / seconds * 1e-9);
    probe_clear(&p);
    return st;
}

clm_status clm_device_read_measure(clm_device *dev, double *gbps, clm_err *err)
{
    static const int streams[] = {1, 4, 8};
    const clm_caps *caps = clm_device_caps(dev);
    const bool cpu = caps->type == CLM_DEVICE_CPU;
    const size_t per_unit[] = {cpu ? 1 : 8, cpu ? 4 : 16};
    uint64_t bytes = caps->global_cache * READ_CACHES;
    clm_buffer *in = NULL, *out = NULL;
    clm_status st;

    *gbps = 0.0;
    if (bytes < READ_BYTES_MIN) bytes = READ_BYTES_MIN;
    if (bytes > READ_BYTES_MAX) bytes = READ_BYTES_MAX;
    if (bytes > caps->max_alloc) bytes = caps->max_alloc;
    if (bytes > caps->global_mem / MEMORY_PART) bytes = caps->global_mem / MEMORY_PART;
    st = clm_buffer_create(dev, CLM_ELEM_U8, (size_t)bytes, &in, err);
    if (st == CLM_OK) st = clm_buffer_fill(in, 0x5A, err); /* so that every page exists */
    if (st == CLM_OK)
        st = clm_buffer_create(dev, CLM_ELEM_I32, item_count(caps, per_unit[1]), &out, err);
    for (size_t i = 0; i < 6 && st == CLM_OK; i++)
        st = read_once(dev, in, out, streams[i / 2], item_count(caps, per_unit[i % 2]), gbps, err);
    clm_buffer_destroy(out);
    clm_buffer_destroy(in);
    return st;
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

/* KIND of cl/limit_math.cl. */
enum { KIND_FLOAT, KIND_DOT16, KIND_DOT4 };

/* Where the kernels that calculate take their number of rounds. */
enum { ROUNDS_ARG = 2 };

/* One way to calculate: what is built, and the operations of a lane and round. */
typedef struct math_way {
    int kind, lanes;
    double operations;
} math_way;

/* The most operations per second, in 1e9, if a round has `operations` of them. More rounds are run until
 * the launch itself no longer counts. */
static clm_status probe_rate(probe *p, clm_arg *args, size_t n_args, double operations,
                             double *gops, clm_err *err)
{
    clm_status st = CLM_OK;
    double seconds = 0.0;

    for (int rounds = 1024; st == CLM_OK && seconds < MATH_SECONDS && rounds <= 1 << 24;
         rounds *= 4) {
        args[ROUNDS_ARG] = CLM_I32(rounds);
        st = clm_kernel_set_args(p->kernel, args, n_args, err);
        if (st == CLM_OK) st = probe_best(p, &seconds, err);
        if (st == CLM_OK) *gops = fmax(*gops, operations * rounds / seconds * 1e-9);
    }
    return st;
}

static clm_status math_once(clm_device *dev, clm_buffer *out, const clm_buffer *factor,
                            const math_way *way, int chains, double *gops, clm_err *err)
{
    const clm_caps *caps = clm_device_caps(dev);
    const size_t items = clm_buffer_count(out);
    const clm_define defs[] = {{"WG", (int)group_size(caps)},
                               {"VW", way->lanes},
                               {"CHAINS", chains},
                               {"KIND", way->kind},
                               {"DOT", (int)caps->dot}};
    const double operations = way->operations * (double)items * way->lanes * chains;
    /* Factor 1 and sum 0 keep floats finite; as integers any bits do. */
    const int one = 0x3F800000;
    clm_arg args[] = {CLM_BUF(out), CLM_BUF(factor), CLM_I32(0), CLM_I32(one), CLM_I32(0)};
    probe p;
    clm_status st = probe_init(&p, dev, "limit_math", defs, sizeof defs / sizeof *defs, items,
                               group_size(caps), err);

    if (st == CLM_OK) st = probe_rate(&p, args, sizeof args / sizeof *args, operations, gops, err);
    probe_clear(&p);
    return st;
}

static clm_status measure_math(clm_device *dev, clm_device_limits *limits, clm_err *err)
{
    static const int chains[] = {6, 12}; /* 6 of 16 lanes are all that 16 registers of 8 hold */
    static const math_way cpu[] = {
        {KIND_FLOAT, 16, 2.0}, {KIND_DOT16, 16, 8.0}, {KIND_DOT4, 1, 8.0}};
    static const math_way other[] = {
        {KIND_FLOAT, 1, 2.0}, {KIND_FLOAT, 4, 2.0}, {KIND_DOT4, 1, 8.0}};
    const clm_caps *caps = clm_device_caps(dev);
    const bool is_cpu = caps->type == CLM_DEVICE_CPU;
    const math_way *ways = is_cpu ? cpu : other;
    const int32_t bytes = 0x01020301;
    clm_buffer *out = NULL, *factor = NULL;
    clm_status st =
        clm_buffer_create(dev, CLM_ELEM_I32, item_count(caps, is_cpu ? 4 : 16), &out, err);

    if (st == CLM_OK) st = clm_buffer_create(dev, CLM_ELEM_I32, 1, &factor, err);
    if (st == CLM_OK) st = clm_buffer_write(factor, 0, 1, &bytes, err);
    for (size_t i = 0; i < 6 && st == CLM_OK; i++) {
        const math_way *way = &ways[i / 2];
        st = math_once(dev, out, factor, way, chains[i % 2],
                       way->kind == KIND_FLOAT ? &limits->fp32_gflops : &limits->int8_gops, err);
    }
    clm_buffer_destroy(factor);
    clm_buffer_destroy(out);
    return st;
}

/* A probe of products of tiles: its kernel, work-items of a group, and per work-item: what it writes, in floats,
 * and operations of a round. */
typedef struct tile_way {
    const char *kernel;
    const clm_define *defs;
    size_t n_defs, wg, written;
    double operations;
} tile_way;

/* Words of the largest factor. */
enum { TILE_FACTOR = 256 };

static clm_status measure_tile_way(clm_device *dev, const tile_way *way, double *gflops,
                                   clm_err *err)
{
    const size_t items = item_count(clm_device_caps(dev), 4);
    const uint32_t ones = 0x3F803F80; /* 1.0 twice */
    uint32_t words[TILE_FACTOR];
    clm_buffer *out = NULL, *factor = NULL;
    probe p = {0};
    clm_status st = clm_buffer_create(dev, CLM_ELEM_F32, items * way->written, &out, err);

    for (size_t i = 0; i < TILE_FACTOR; i++) words[i] = ones;
    if (st == CLM_OK) st = clm_buffer_create(dev, CLM_ELEM_I32, TILE_FACTOR, &factor, err);
    if (st == CLM_OK) st = clm_buffer_write(factor, 0, TILE_FACTOR, words, err);
    if (st == CLM_OK)
        st = probe_init(&p, dev, way->kernel, way->defs, way->n_defs, items, way->wg, err);
    if (st == CLM_OK) {
        clm_arg args[] = {CLM_BUF(out), CLM_BUF(factor), CLM_I32(0)};
        st = probe_rate(&p, args, sizeof args / sizeof *args, (double)items * way->operations,
                        gflops, err);
    }
    probe_clear(&p);
    clm_buffer_destroy(factor);
    clm_buffer_destroy(out);
    return st;
}

static clm_status measure_amx(clm_device *dev, double *gflops, clm_err *err)
{
    const clm_define def = {"AMX", 1};
    const tile_way way = {"limit_tiles", &def, 1, 1, TILE_FACTOR, 4 * 2 * 16 * 16 * 32};

    return measure_tile_way(dev, &way, gflops, err);
}

/* Operations of a warp: 8 products (CHAINS of cl/limit_mma.cl) a round. */
static clm_status measure_mma(clm_device *dev, clm_mma mma, double *gflops, clm_err *err)
{
    const size_t wg = group_size(clm_device_caps(dev));
    const clm_define defs[] = {{"MMA", (int)mma}, {"MMA_PLAIN", 0}, {"WG", (int)wg}};
    const double of_warp = 8 * 2.0 * 16 * clm_mma_rows(mma) * clm_mma_columns(mma);
    const tile_way way = {"limit_mma", defs, 3, wg, 1, of_warp / clm_mma_lanes(mma)};

    return measure_tile_way(dev, &way, gflops, err);
}

static clm_status measure_tiles(clm_device *dev, double *gflops, clm_err *err)
{
    const clm_caps *caps = clm_device_caps(dev);

    if (caps->amx) return measure_amx(dev, gflops, err);
    if (caps->mma != CLM_MMA_NONE) return measure_mma(dev, caps->mma, gflops, err);
    return CLM_OK;
}

/* ---- launching ------------------------------------------------------------------------------- */

static clm_status measure_launch(clm_device *dev, clm_device_limits *out, clm_err *err)
{
    clm_buffer *word = NULL;
    double seconds, best = HUGE_VAL;
    probe p = {0};
    clm_status st = clm_buffer_create(dev, CLM_ELEM_I32, 1, &word, err);

    if (st == CLM_OK) st = probe_init(&p, dev, "limit_launch", NULL, 0, 1, 1, err);
    if (st == CLM_OK) {
        const clm_arg args[] = {CLM_BUF(word), CLM_I32(1)};
        st = clm_kernel_set_args(p.kernel, args, 2, err);
    }
    if (st == CLM_OK) st = probe_time(&p, 1, &seconds, err); /* compiles */
    for (size_t i = 0; i < RUNS && st == CLM_OK; i++) {
        st = probe_time(&p, LAUNCHES, &seconds, err);
        best = fmin(best, seconds);
    }
    out->launch_us = best / LAUNCHES * 1e6;
    best = HUGE_VAL;
    for (size_t i = 0; i < ROUNDTRIPS && st == CLM_OK; i++) {
        st = probe_time(&p, 1, &seconds, err);
        best = fmin(best, seconds);
    }
    out->roundtrip_us = best * 1e6;
    probe_clear(&p);
    clm_buffer_destroy(word);
    return st;
}

clm_status clm_device_limits_measure(clm_device *dev, clm_device_limits *out, clm_err *err)
{
    clm_status st;

    memset(out, 0, sizeof *out);
    st = clm_device_read_measure(dev, &out->read_gbps, err);
    if (st == CLM_OK) st = measure_math(dev, out, err);
    if (st == CLM_OK) st = measure_tiles(dev, &out->bf16_gflops, err);
    if (st == CLM_OK) st = measure_launch(dev, out, err);
    if (st != CLM_OK) {
        memset(out, 0, sizeof *out);
        clm_fail_context(err, st, "measuring the device");
    }
    return st;
}
