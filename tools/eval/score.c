/* tools/eval/score.c: see tools/eval/score.h. */
#include "tools/eval/score.h"

#include <math.h>

/* `right` is the sum of the probabilities. */
static clm_score score(size_t n, size_t n_correct, double right)
{
    const double p = (double)n_correct / (double)n;

    return (clm_score){
        .n = n,
        .n_correct = n_correct,
        .accuracy = p,
        .error = n > 1 ? sqrt(p * (1.0 - p) / (double)(n - 1)) : NAN,
        .right = right / (double)n,
    };
}

clm_score clm_score_of(const clm_question *questions, const clm_answer *answers, size_t n)
{
    size_t n_correct = 0;
    double right = 0.0;

    for (size_t i = 0; i < n; i++) {
        n_correct += answers[i].choice == questions[i].answer;
        right += answers[i].probabilities[questions[i].answer];
    }
    return score(n, n_correct, right);
}

clm_score clm_score_pooled(const clm_score *parts, size_t n)
{
    size_t n_questions = 0, n_correct = 0;
    double right = 0.0;

    for (size_t i = 0; i < n; i++) {
        n_questions += parts[i].n;
        n_correct += parts[i].n_correct;
        right += parts[i].right * (double)parts[i].n;
    }
    return score(n_questions, n_correct, right);
}

clm_score clm_score_mean(const clm_score *parts, size_t n)
{
    clm_score mean = {0};
    double variance = 0.0;

    for (size_t i = 0; i < n; i++) {
        mean.n += parts[i].n;
        mean.n_correct += parts[i].n_correct;
        mean.accuracy += parts[i].accuracy / (double)n;
        mean.right += parts[i].right / (double)n;
        variance += parts[i].error * parts[i].error;
    }
    mean.error = sqrt(variance) / (double)n;
    return mean;
}
