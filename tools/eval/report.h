/* tools/eval/report.h: the result of a benchmark on stdout, as a table or as JSON.
 *
 * Layer    tools.
 */
#ifndef CLM_TOOLS_EVAL_REPORT_H
#define CLM_TOOLS_EVAL_REPORT_H

#include "tools/eval/benchmark.h"
#include "tools/eval/score.h"

/* A benchmark that was run, or begun. */
typedef struct clm_benchmark_run {
    const clm_benchmark *benchmark;
    const clm_subjects *subjects;
    size_t shots;              /* that were asked for */
    clm_answer *answers;       /* to the questions of all subjects, in order */
    size_t n_answers;          /* so far */
    size_t n_tokens, n_cached; /* of all prompts; of these from the cache */
    double seconds;
} clm_benchmark_run;

/* At least one answer is needed. The table leaves out subjects without one. CLM_E_NOMEM. */
clm_status clm_benchmark_print(const clm_benchmark_run *run, const clm_engine_report *about,
                               clm_err *err);
/* The same with each answer, and "complete" for whether these are all. */
clm_status clm_benchmark_print_json(const clm_benchmark_run *run, const clm_engine_report *about,
                                    clm_err *err);

#endif
