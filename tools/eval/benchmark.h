/* tools/eval/benchmark.h: the multiple-choice benchmarks: where their files are, and their prompts.
 *
 * Layer    tools.
 * Source   CMMLU (Li et al., arXiv 2306.09212): format_example and gen_prompt in src/mp_utils.py of its repository.
 *          C-Eval (Huang et al., arXiv 2305.08322): format_example and generate_few_shot_prompt in
 *          code/evaluator_series/evaluators/ of its repository. Both without chain of thought.
 */
#ifndef CLM_TOOLS_EVAL_BENCHMARK_H
#define CLM_TOOLS_EVAL_BENCHMARK_H

#include "tools/eval/questions.h"
#include "tools/eval/subjects.h"

/* Answers are given to the examples in the files of one folder, and asked for in those of the other. A file is
 * <folder>/<stem><ending>. */
typedef struct clm_benchmark {
    const char *name;
    const char *example_folder, *example_ending;
    const char *question_folder, *question_ending;
    const char *before_subject, *after_subject; /* the instruction, around the subject's name */
    const char *before_question, *before_answer;
    const clm_subject_name *subjects;
} clm_benchmark;

extern const clm_benchmark clm_benchmark_cmmlu, clm_benchmark_ceval;

typedef struct clm_subject {
    char *stem;
    const char *name; /* for prompts: of the benchmark's table, else the stem */
    clm_questions examples, questions;
} clm_subject;

typedef struct clm_subjects {
    clm_subject *items; /* by stem */
    size_t n;
    size_t n_questions; /* of all of them */
} clm_subjects;

/* Reads what is to be asked from the folder of a benchmark.
 *   only   stems separated by commas; NULL: all there are
 *   shots  examples of each subject; 0: their files are not needed
 *   most   first questions of each subject; 0: all
 * CLM_E_USAGE for what is missing (with the nearest stem) and for what is wrong in a file; CLM_E_NOMEM. `out` is to be
 * cleared in every case. */
clm_status clm_subjects_read(const clm_benchmark *b, const char *folder, const char *only,
                             size_t shots, size_t most, clm_subjects *out, clm_err *err);
void clm_subjects_clear(clm_subjects *s);

/* The prompt for a question: instruction, the last `shots` examples, the question up to where the letter of its answer
 * follows. `*text` is malloc'd. Returns CLM_OK or CLM_E_NOMEM. */
clm_status clm_benchmark_prompt(const clm_benchmark *b, const clm_subject *s, size_t shots,
                                size_t question, char **text, size_t *size, clm_err *err);

#endif
