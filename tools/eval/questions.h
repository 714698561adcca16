/* tools/eval/questions.h: multiple-choice questions in a CSV file.
 *
 * Layer    tools.
 */
#ifndef CLM_TOOLS_EVAL_QUESTIONS_H
#define CLM_TOOLS_EVAL_QUESTIONS_H

#include <stddef.h>
#include "runtime/clm.h"

enum { CLM_N_OPTIONS = 4 };

typedef struct clm_question {
    char *text;
    char *options[CLM_N_OPTIONS];
    size_t answer; /* index of the right one */
    size_t line;   /* of the file, from 1 */
} clm_question;

typedef struct clm_questions {
    char *path;
    clm_question *items;
    size_t n;
} clm_questions;

/* Reads a file whose header has the columns question, A, B, C, D and answer, in any order, with any others and in
 * any case; an answer is one of the letters. CLM_E_USAGE, with "path:line: ...", for what is wrong in the file, and
 * for one that cannot be read or has no questions. CLM_E_NOMEM. `out` is to be cleared in every case. */
clm_status clm_questions_read(const char *path, clm_questions *out, clm_err *err);
void clm_question_clear(clm_question *q);
void clm_questions_clear(clm_questions *q);

#endif
