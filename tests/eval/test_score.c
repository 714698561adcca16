/* test_score.c: accuracy, its means and their standard errors, against figures by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/eval/score.h"

static void assert_near(double got, double wanted)
{
    assert_true(fabs(got - wanted) < 1e-12);
}

static void counts_what_is_right(void **state)
{
    const clm_question questions[] = {{.answer = 0}, {.answer = 3}, {.answer = 1}, {.answer = 1}};
    const clm_answer answers[] = {{.choice = 0, .probabilities = {0.7, 0.1, 0.1, 0.1}},
                                  {.choice = 1, .probabilities = {0.1, 0.4, 0.3, 0.2}},
                                  {.choice = 1, .probabilities = {0.2, 0.5, 0.2, 0.1}},
                                  {.choice = 1, .probabilities = {0.0, 1.0, 0.0, 0.0}}};
    const clm_score s = clm_score_of(questions, answers, 4);

    (void)state;
    assert_int_equal(s.n, 4);
    assert_int_equal(s.n_correct, 3);
    assert_near(s.accuracy, 0.75);
    assert_near(s.error, 0.25); /* sqrt(0.75 * 0.25 / 3) */
    assert_near(s.right, 0.6);
    assert_true(isnan(clm_score_of(questions, answers, 1).error));
}

static void subjects_or_questions_have_the_same_weight(void **state)
{
    const clm_score parts[] = {
        {.n = 2, .n_correct = 2, .accuracy = 1.0, .error = 0.3, .right = 0.9},
        {.n = 8, .n_correct = 2, .accuracy = 0.25, .error = 0.4, .right = 0.4}};
    const clm_score pooled = clm_score_pooled(parts, 2), mean = clm_score_mean(parts, 2);

    (void)state;
    assert_int_equal(pooled.n, 10);
    assert_int_equal(pooled.n_correct, 4);
    assert_near(pooled.accuracy, 0.4);
    assert_near(pooled.error, sqrt(0.24 / 9.0));
    assert_near(pooled.right, 0.5);
    assert_int_equal(mean.n, 10);
    assert_near(mean.accuracy, 0.625);
    assert_near(mean.error, 0.25); /* half of the root of 0.09 + 0.16 */
    assert_near(mean.right, 0.65);
}

static void an_error_that_is_not_known_is_not_made_up(void **state)
{
    const clm_score parts[] = {{.n = 1, .error = NAN}, {.n = 5, .error = 0.1}};

    (void)state;
    assert_true(isnan(clm_score_mean(parts, 2).error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_is_right),
        cmocka_unit_test(subjects_or_questions_have_the_same_weight),
        cmocka_unit_test(an_error_that_is_not_known_is_not_made_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
