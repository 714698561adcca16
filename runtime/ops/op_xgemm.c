/* runtime/ops/op_xgemm.c: see op_xgemm.h.
 *
 * Layer    runtime.
 */
#include "runtime/ops/op_xgemm.h"

#include <math.h>

#include "host/gemm.h"
#include "runtime/ops/fill.h"
#include "runtime/ops/op_util.h"
#include "runtime/ops/ref.h"

static const char *const k_dims[] = {"M", "N", "K"};

/* CLBlast's names (its doc/tuning.md). GEMMK: which of its two kernels, or OWN: whatever CLBlast's
 * database says, with all other values at their first. The lists hold more than CLBlast's own tuner
 * tries: on CPUs the best sets have work-groups of 4, which it leaves out. */
enum { OWN = -1 };
enum {
    GEMMK,
    KREG,
    KWG,
    KWI,
    MDIMA,
    MDIMC,
    MWG,
    NDIMB,
    NDIMC,
    NWG,
    SA,
    SB,
    STRM,
    STRN,
    VWM,
    VWN,
    N_AXES
};
static const int k_gemmk[] = {OWN, 0, 1}, k_kreg[] = {1, 2, 4, 8, 16}, k_kwg[] = {1, 8, 16, 32, 64},
                 k_kwi[] = {1, 2, 4, 8}, k_group[] = {1, 2, 4, 8, 16, 32},
                 k_tile[] = {8, 16, 32, 64, 128, 256}, k_switch[] = {0, 1},
                 k_vector[] = {1, 2, 4, 8};
#define AXIS(name, list) [name] = {#name, list, CLM_COUNT(list)}
static const clm_axis k_axes[N_AXES] = {
    AXIS(GEMMK, k_gemmk), AXIS(KREG, k_kreg),   AXIS(KWG, k_kwg),    AXIS(KWI, k_kwi),
    AXIS(MDIMA, k_group), AXIS(MDIMC, k_group), AXIS(MWG, k_tile),   AXIS(NDIMB, k_group),
    AXIS(NDIMC, k_group), AXIS(NWG, k_tile),    AXIS(SA, k_switch),  AXIS(SB, k_switch),
    AXIS(STRM, k_switch), AXIS(STRN, k_switch), AXIS(VWM, k_vector), AXIS(VWN, k_vector),
};

/* Best of a search on two AVX-512 cores under PoCL, where CLBlast's database knows no CPU of this
 * decade: 5 times as fast as its choice. */
static const int k_cpu[N_AXES] = {
    [GEMMK] = 0, [KREG] = 1,  [KWG] = 32,  [KWI] = 2,  [MDIMA] = 2, [MDIMC] = 2,
    [MWG] = 32,  [NDIMB] = 2, [NDIMC] = 2, [NWG] = 32, [SA] = 0,    [SB] = 0,
    [STRM] = 0,  [STRN] = 0,  [VWM] = 8,   [VWN] = 8};

static bool divides(int part, int whole)
{
    return part > 0 && whole % part == 0;
}

static bool own_choice(const int *p)
{
    for (int i = GEMMK + 1; i < N_AXES; i++)
        if (p[i] != k_axes[i].values[0]) return false;
    return true;
}

/* The rules of CLBlast's two kernels: tiles are whole numbers of vectors and work-items. */
static bool tiles_fit(const int *p)
{
    const int items = p[MDIMC] * p[NDIMC];

    if (!divides(p[MDIMC] * p[VWM], p[MWG]) || !divides(p[NDIMC] * p[VWN], p[NWG])) return false;
    if (p[GEMMK] == 1)
        return p[MDIMA] == p[MDIMC] && p[NDIMB] == p[NDIMC] && p[KWG] == 1 && p[KWI] == 1 &&
               divides(p[VWN], p[KREG]) && !p[SA] && !p[SB] && !p[STRM] && !p[STRN];
    return p[KREG] == 1 && divides(p[MDIMA] * p[VWM], p[MWG]) &&
           divides(p[NDIMB] * p[VWN], p[NWG]) && divides(p[KWI], p[KWG]) &&
           divides(p[MDIMA], items) && divides(p[NDIMB], items) &&
           divides(items / p[MDIMA], p[KWG]) && divides(items / p[NDIMB], p[KWG]);
}

static bool valid(const int *p, const clm_shape *shape, const clm_caps *caps)
{
    const uint64_t local =
        sizeof(float) * (uint64_t)p[KWG] * (uint64_t)(p[SA] * p[MWG] + p[SB] * p[NWG]);

    for (int i = 0; i < CLM_XGEMM_DIMS; i++)
        if (shape->v[i] < 1 || shape->v[i] > 1 << 24) return false;
    if (!clm_gemm_available()) return false;
    if (p[GEMMK] == OWN) return own_choice(p);
    return tiles_fit(p) && local <= caps->local_mem &&
           clm_op_group_fits(caps, p[MDIMC] * p[NDIMC]) &&
           (size_t)p[NDIMC] <= caps->max_item_sizes[1];
}

static void defaults(const clm_shape *shape, const clm_caps *caps, int *params)
{
    (void)shape;
    for (int i = 0; i < N_AXES; i++)
        params[i] = caps->type == CLM_DEVICE_CPU ? k_cpu[i] : k_axes[i].values[0];
}

static size_t defines(const clm_shape *shape, const int *params, clm_define *defs)
{
    (void)shape;
    for (int i = 0; i < N_AXES; i++) defs[i] = (clm_define){k_axes[i].name, params[i]};
    return N_AXES;
}

static clm_status fill(clm_case *c, uint32_t seed, clm_err *err)
{
    const size_t m = (size_t)c->shape.v[CLM_XGEMM_M], n = (size_t)c->shape.v[CLM_XGEMM_N],
                 k = (size_t)c->shape.v[CLM_XGEMM_K];
    clm_random r = clm_random_init(seed);
    float *a = clm_case_add(c, "a", CLM_ELEM_F32, m * k, CLM_CASE_IN);
    float *b = clm_case_add(c, "b", CLM_ELEM_F32, n * k, CLM_CASE_IN);
    const float scale = 1.0f / sqrtf((float)k);

    if (a == NULL || b == NULL || clm_case_add(c, "c", CLM_ELEM_F32, m * n, CLM_CASE_OUT) == NULL)
        return clm_op_fill_nomem("xgemm", err);
    clm_random_fill(&r, a, m * k, -1.0f, 1.0f);
    clm_random_fill(&r, b, n * k, -scale, scale);
    return CLM_OK;
}

clm_status clm_xgemm_apply(clm_device *dev, const int *params, clm_err *err)
{
    const char *names[N_AXES];

    if (params[GEMMK] == OWN) return CLM_OK;
    for (int i = 0; i < N_AXES; i++) names[i] = k_axes[i].name;
    return clm_gemm_override(dev, names, params, N_AXES, err);
}

static clm_status run(clm_device *dev, const clm_shape *shape, const int *params,
                      clm_buffer *const *bufs, clm_err *err)
{
    const size_t m = (size_t)shape->v[CLM_XGEMM_M], n = (size_t)shape->v[CLM_XGEMM_N],
                 k = (size_t)shape->v[CLM_XGEMM_K];
    clm_status st = clm_xgemm_apply(dev, params, err);

    return st != CLM_OK ? st : clm_gemm_nt(dev, m, n, k, bufs[0], 0, bufs[1], bufs[2], 0, n, err);
}

static double bytes_moved(const clm_shape *shape)
{
    const double m = shape->v[CLM_XGEMM_M], n = shape->v[CLM_XGEMM_N], k = shape->v[CLM_XGEMM_K];

    return 4.0 * (m * k + n * k + m * n);
}

static double flops(const clm_shape *shape)
{
    return 2.0 * shape->v[CLM_XGEMM_M] * shape->v[CLM_XGEMM_N] * (double)shape->v[CLM_XGEMM_K];
}

/* Small ones go to CLBlast's direct kernel, larger ones to the tuned one; with and without rests. */
static const clm_shape k_test[] = {
    {.v = {1, 1, 1}},       {.v = {33, 17, 65}},    {.v = {160, 160, 160}},
    {.v = {257, 131, 300}}, {.v = {512, 256, 128}},
};
static const clm_shape k_tune[] = {{.v = {256, 5120, 5120}}};

/* Sums of k products of size 1/sqrt(k) in single precision: an error of some 2^-24 each. */
const clm_op_desc clm_op_xgemm = {
    .name = "xgemm",
    .dims = k_dims,
    .n_dims = CLM_XGEMM_DIMS,
    .axes = k_axes,
    .n_axes = N_AXES,
    .valid = valid,
    .defaults = defaults,
    .defines = defines,
    .fill = fill,
    .reference = clm_ref_xgemm,
    .run = run,
    .bytes_moved = bytes_moved,
    .flops = flops,
    .test_shapes = k_test,
    .n_test_shapes = CLM_COUNT(k_test),
    .tune_shapes = k_tune,
    .n_tune_shapes = CLM_COUNT(k_tune),
    .atol = 2e-5f,
    .rtol = 1e-5f,
};
