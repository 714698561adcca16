/* tools/eval/score.h: how many answers are right, and how sure that figure is.
 *
 * Layer    tools.
 */
#ifndef CLM_TOOLS_EVAL_SCORE_H
#define CLM_TOOLS_EVAL_SCORE_H

#include <stddef.h>
#include "tools/eval/questions.h"

/* What a model made of a question. */
typedef struct clm_answer {
    double probabilities[CLM_N_OPTIONS]; /* of the letters among themselves */
    size_t choice;
    bool tied;
    size_t shots; /* examples that its prompt had */
} clm_answer;

typedef struct clm_score {
    size_t n, n_correct;
    double accuracy; /* n_correct / n, or the mean of several */
    double
        error; /* standard error of it, from questions that are taken for a sample; NAN below 2 questions */
    double right; /* mean probability of the right letter */
} clm_score;

/* Of `n` (not 0) questions and their answers. */
clm_score clm_score_of(const clm_question *questions, const clm_answer *answers, size_t n);
/* Over the questions of `n` (not 0) scores: each question has the same weight. */
clm_score clm_score_pooled(const clm_score *parts, size_t n);
/* Over the scores: each has the same weight, however many questions it is of. The error supposes the same subjects and
 * other questions; NAN when it is not known of each. */
clm_score clm_score_mean(const clm_score *parts, size_t n);

#endif
