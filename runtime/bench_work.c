/* runtime/bench_work.c: see runtime/bench_work.h. */
#include "runtime/bench_work.h"

#include <math.h>

clm_bench_work clm_bench_work_prompt(const clm_bench_cost *c, size_t n, size_t depth, size_t batch)
{
    clm_bench_work w = {0.0, 0.0};

    for (size_t at = 0; at < n; at += batch) {
        const double m = (double)(n - at < batch ? n - at : batch), seen = (double)(depth + at);
        w.bytes += c->weight_bytes + (seen + m) * c->kv_bytes;
        /* Token i of the batch sees itself and all before it. */
        w.operations +=
            m * c->layer_operations + (m * seen + m * (m + 1.0) / 2.0) * c->kv_operations;
    }
    if (n > 0) w.operations += c->head_operations;
    return w;
}

clm_bench_work clm_bench_work_decode(const clm_bench_cost *c, size_t n, size_t depth,
                                     size_t sequences)
{
    const double steps = (double)n, tokens = steps * (double)sequences;
    const double seen = tokens * ((double)depth + (steps + 1.0) / 2.0);

    return (clm_bench_work){steps * c->weight_bytes + seen * c->kv_bytes,
                            tokens * (c->layer_operations + c->head_operations) +
                                seen * c->kv_operations};
}

clm_bench_share clm_bench_share_of(const clm_bench_work *work, double seconds, double gbps,
                                   double gops)
{
    clm_bench_share share = {0.0, 0.0, 0.0};

    if (!(seconds > 0.0)) return share;
    if (gbps > 0.0) share.memory = 100.0 * work->bytes / seconds / (gbps * 1e9);
    if (gops > 0.0) share.arithmetic = 100.0 * work->operations / seconds / (gops * 1e9);
    return share;
}

/* Value of rank `k` (from 0) without sorting: samples are few. */
static double ranked(const double *values, size_t n, size_t k)
{
    for (size_t i = 0; i < n; i++) {
        size_t below = 0, equal = 0;
        for (size_t j = 0; j < n; j++) {
            below += values[j] < values[i];
            equal += values[j] == values[i];
        }
        if (below <= k && k < below + equal) return values[i];
    }
    return NAN; /* only where a value is no number */
}

clm_bench_stats clm_bench_stats_of(const double *values, size_t n)
{
    clm_bench_stats s = {0.0, 0.0, 0.0};
    double squares = 0.0;

    if (n == 0) return s;
    for (size_t i = 0; i < n; i++) s.mean += values[i] / (double)n;
    for (size_t i = 0; i < n; i++) squares += (values[i] - s.mean) * (values[i] - s.mean);
    if (n > 1) s.deviation = sqrt(squares / (double)(n - 1));
    s.median = (ranked(values, n, (n - 1) / 2) + ranked(values, n, n / 2)) / 2.0;
    return s;
}
