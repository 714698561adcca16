/* test_slots.c: which cache a prompt gets, and what caches hold after failures. A transformer of this file takes the
 * model's place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "runtime/slots.h"

enum { CTX = 2000, BATCH = 8, BOS = 1 };

static clm_status run_result, finish_result;
static const atomic_int *watched;
static bool was_watched;

size_t clm_transformer_ctx(const clm_transformer *t)
{
    (void)t;
    return CTX;
}

size_t clm_transformer_batch(const clm_transformer *t)
{
    (void)t;
    return BATCH;
}

clm_status clm_transformer_add_sequence(clm_transformer *t, clm_err *err)
{
    (void)t, (void)err;
    return CLM_OK;
}

void clm_transformer_watch(clm_transformer *t, const atomic_int *stop)
{
    (void)t;
    watched = stop;
}

clm_status clm_transformer_run(clm_transformer *t, size_t seq, const int *ids, size_t n,
                               size_t pos0, const clm_outputs *want, clm_err *err)
{
    (void)t, (void)seq, (void)ids, (void)want;
    assert_in_range(n, 1, BATCH);
    assert_true(pos0 + n <= CTX);
    was_watched = watched != NULL;
    return run_result == CLM_OK ? CLM_OK : clm_fail(err, run_result, "as told");
}

clm_status clm_transformer_finish(clm_transformer *t, clm_err *err)
{
    (void)t;
    return finish_result == CLM_OK ? CLM_OK : clm_fail(err, finish_result, "as told");
}

/* BOS and ids that go on from `first`. */
static void make_ids(int *ids, size_t n, int first)
{
    ids[0] = BOS;
    for (size_t i = 1; i < n; i++) ids[i] = first + (int)i;
}

static void open_slots(clm_slots *s, size_t n)
{
    run_result = finish_result = CLM_OK;
    assert_int_equal(clm_slots_create(s, NULL, NULL), CLM_OK);
    while (s->n < n) assert_int_equal(clm_slots_add(s, NULL), CLM_OK);
}

/* A slot for the ids, which it holds then. */
static clm_slot *fill(clm_slots *s, const int *ids, size_t n)
{
    clm_slot *slot = clm_slots_take(s, ids, n);

    assert_non_null(slot);
    while (slot->n < n)
        assert_int_equal(clm_slot_feed(s, slot, ids, n, SIZE_MAX, NULL, NULL, NULL), CLM_OK);
    clm_slots_release(slot);
    return slot;
}

static void test_a_conversation_gets_its_cache(void **state)
{
    int one[200], other[200];
    clm_slots s;
    clm_slot *of_one, *taken;

    (void)state;
    make_ids(one, 200, 1000);
    make_ids(other, 200, 5000);
    open_slots(&s, 3);
    of_one = fill(&s, one, 100);
    assert_ptr_not_equal(fill(&s, other, 100), of_one);
    taken = clm_slots_take(&s, one, 150);
    assert_ptr_equal(taken, of_one);
    assert_int_equal(taken->n, 100);
    clm_slots_release(taken);
    /* The same question again: its answer is given up. */
    taken = clm_slots_take(&s, one, 80);
    assert_ptr_equal(taken, of_one);
    assert_int_equal(taken->n, 79);
    /* While it is busy nobody else gets it. */
    assert_ptr_not_equal(clm_slots_take(&s, one, 150), of_one);
    clm_slots_clear(&s);
}

static void test_short_prompts_spare_long_conversations(void **state)
{
    int conversation[1000], text[3] = {BOS, 7, 8};
    clm_slots s;

    (void)state;
    make_ids(conversation, 1000, 1000);
    for (size_t n = 1; n <= 3; n++) {
        clm_slot *of_it, *taken;

        open_slots(&s, 2);
        of_it = fill(&s, conversation, 1000);
        taken = clm_slots_take(&s, text, n);
        assert_ptr_not_equal(taken, of_it);
        assert_int_equal(of_it->n, 1000);
        clm_slots_clear(&s);
    }
    /* Its own first tokens alone neither. */
    open_slots(&s, 2);
    fill(&s, conversation, 1000);
    clm_slots_take(&s, conversation, 5);
    assert_int_equal(s.list[0]->n, 1000);
    clm_slots_clear(&s);
}

static void test_without_an_empty_one(void **state)
{
    int one[100], other[100], third[100];
    clm_slots s;
    clm_slot *of_one, *of_other;

    (void)state;
    make_ids(one, 100, 1000);
    make_ids(other, 100, 5000);
    make_ids(third, 100, 9000);
    open_slots(&s, 2);
    of_one = fill(&s, one, 100);
    of_other = fill(&s, other, 100);
    fill(&s, one, 100); /* used last */
    assert_ptr_equal(clm_slots_take(&s, third, 100), of_other);
    assert_ptr_equal(clm_slots_take(&s, third, 100), of_one);
    assert_null(clm_slots_take(&s, third, 100));
    clm_slots_clear(&s);
}

/* Batches are queued: that one has failed shows at the next, or when somebody waits. */
static void test_failures_forget_everything(void **state)
{
    int one[100], other[100];
    clm_slots s;
    clm_slot *slot;
    clm_err err;

    (void)state;
    make_ids(one, 100, 1000);
    make_ids(other, 100, 5000);
    open_slots(&s, 2);
    fill(&s, one, 100);
    fill(&s, other, 50);
    slot = clm_slots_take(&s, other, 100);
    assert_int_equal(slot->n, 50);
    run_result = CLM_E_CL;
    assert_int_equal(clm_slot_feed(&s, slot, other, 100, SIZE_MAX, NULL, NULL, &err), CLM_E_CL);
    assert_int_equal(s.list[0]->n, 0);
    assert_int_equal(s.list[1]->n, 0);
    clm_slots_release(slot);

    run_result = CLM_OK;
    fill(&s, one, 100);
    fill(&s, other, 50);
    finish_result = CLM_E_CL;
    assert_int_equal(clm_slots_finish(&s, &err), CLM_E_CL);
    assert_int_equal(s.list[0]->n, 0);
    assert_int_equal(s.list[1]->n, 0);
    clm_slots_clear(&s);
}

static void test_an_interrupt_forgets_nothing(void **state)
{
    int ids[100];
    atomic_int stop = 1;
    clm_slots s;
    clm_slot *slot;
    clm_err err;

    (void)state;
    make_ids(ids, 100, 1000);
    open_slots(&s, 1);
    fill(&s, ids, 50);
    slot = clm_slots_take(&s, ids, 100);
    run_result = CLM_E_INTERRUPTED;
    assert_int_equal(clm_slot_feed(&s, slot, ids, 100, SIZE_MAX, NULL, &stop, &err),
                     CLM_E_INTERRUPTED);
    assert_true(was_watched);
    assert_null(watched);
    assert_int_equal(slot->n, 50);
    clm_slots_clear(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_conversation_gets_its_cache),
        cmocka_unit_test(test_short_prompts_spare_long_conversations),
        cmocka_unit_test(test_without_an_empty_one),
        cmocka_unit_test(test_failures_forget_everything),
        cmocka_unit_test(test_an_interrupt_forgets_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
