/* tools/bench_print.h: results of `clm bench` as a table, JSON or CSV.
 *
 * Layer    tools.
 */
#ifndef CLM_TOOLS_BENCH_PRINT_H
#define CLM_TOOLS_BENCH_PRINT_H

#include <stdbool.h>

#include <jansson.h>

#include "runtime/bench.h"

typedef enum clm_bench_format {
    CLM_BENCH_MD,
    CLM_BENCH_JSON,  /* one list of rows, printed when all are there */
    CLM_BENCH_JSONL, /* a row a line, at once */
    CLM_BENCH_CSV
} clm_bench_format;

/* False: no such format. */
bool clm_bench_format_find(const char *name, clm_bench_format *out);

typedef struct clm_bench_printer {
    clm_bench_format format;
    const clm_settings *settings;
    clm_bench_info info;
    clm_device_limits limits;
    json_t *rows; /* JSON: collected */
    size_t n_printed;
    bool ops; /* the rows being printed are those of operators */
} clm_bench_printer;

void clm_bench_printer_init(clm_bench_printer *p, clm_bench_format format, const clm_settings *s);
void clm_bench_printer_clear(clm_bench_printer *p);

/* One test: `samples` are the seconds of its `n` repetitions. p->info is set. */
clm_status clm_bench_print_test(clm_bench_printer *p, const clm_bench_test *test,
                                const clm_bench_result *r, const double *samples, size_t n,
                                clm_err *err);
/* The memory's speed between tests; 0: could not be measured. */
clm_status clm_bench_print_memory(clm_bench_printer *p, double gbps, clm_err *err);
/* After the tests: what the device can do, how long loading took (nothing but in a table). */
void clm_bench_print_summary(clm_bench_printer *p);

/* One operator. p->limits is set. */
clm_status clm_bench_print_op(clm_bench_printer *p, const clm_bench_op *op, clm_err *err);

/* Prints what was collected. */
clm_status clm_bench_print_end(clm_bench_printer *p, clm_err *err);

#endif
