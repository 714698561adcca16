/* runtime/bench_work.h: the arithmetic of `clm bench`: what a run has to read and to calculate at
 * least, and what samples say.
 *
 * Layer    runtime. No device.
 * Threads  no state.
 */
#ifndef CLM_RUNTIME_BENCH_WORK_H
#define CLM_RUNTIME_BENCH_WORK_H

#include <stddef.h>

/* What one pass over a model costs. A multiply-add is two operations. */
typedef struct clm_bench_cost {
    double weight_bytes;     /* read for any number of tokens at once; of the embedding nothing */
    double layer_operations; /* matrices of the layers, per token */
    double head_operations;  /* output matrix, per token whose logits are wanted */
    double kv_bytes;         /* keys and values of one position, all layers */
    double kv_operations;    /* attention to one position, all layers */
} clm_bench_cost;

typedef struct clm_bench_work {
    double bytes, operations;
} clm_bench_work;

/* `n` tokens at positions depth.., in batches; logits of the last one only. Keys and values are
 * counted once per batch, as a kernel that shares them among the tokens reads them. */
clm_bench_work clm_bench_work_prompt(const clm_bench_cost *c, size_t n, size_t depth, size_t batch);
/* The same one by one, with logits each, of `sequences` that are computed together. */
clm_bench_work clm_bench_work_decode(const clm_bench_cost *c, size_t n, size_t depth,
                                     size_t sequences);

/* Percentages of a device's limits; 0: that limit is not known, or does not count. */
typedef struct clm_bench_share {
    double memory, arithmetic;
    double launch; /* of one launch: what queueing it takes at least */
} clm_bench_share;

/* What `seconds` for `work` come to, without `launch`. */
clm_bench_share clm_bench_share_of(const clm_bench_work *work, double seconds, double gbps,
                                   double gops);

/* Of `n` values: mean, standard deviation of the sample (n - 1; 0 for one value), median. */
typedef struct clm_bench_stats {
    double mean, deviation, median;
} clm_bench_stats;

clm_bench_stats clm_bench_stats_of(const double *values, size_t n);

#endif
