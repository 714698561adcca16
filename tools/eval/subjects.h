/* tools/eval/subjects.h: what the subjects of the benchmarks are called in Chinese.
 *
 * Layer    tools.
 */
#ifndef CLM_TOOLS_EVAL_SUBJECTS_H
#define CLM_TOOLS_EVAL_SUBJECTS_H

/* A file's stem, and the name that prompts use. Tables end with a NULL stem. */
typedef struct clm_subject_name {
    const char *stem, *name;
} clm_subject_name;

extern const clm_subject_name clm_cmmlu_subjects[], clm_ceval_subjects[];

#endif
