/* test_placement.c: which device gets which layers: by speed, by memory, by shares; and what does not fit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/formats/synthetic.h"
#include "runtime/model/footprint.h"
#include "runtime/model/shapes.h"
#include "runtime/placement.h"

enum { LAYERS = 40 };

/* 40 layers of 90 and a cache of 10 each; embeddings and head of 50; 20 beside on each device: 4,120 in all. */
static uint64_t layer_bytes[LAYERS];
static clm_footprint model(void)
{
    for (size_t i = 0; i < LAYERS; i++) layer_bytes[i] = 90;
    return (clm_footprint){.n_layers = LAYERS,
                           .layers = layer_bytes,
                           .cache = 10,
                           .embed = 50,
                           .head = 50,
                           .work = 20};
}

static void expect(const clm_place *p, size_t first, size_t n, uint64_t bytes)
{
    assert_int_equal(p->n_layers, n);
    if (n > 0) assert_int_equal(p->first, first);
    assert_int_equal(p->bytes, bytes);
}

static void the_fastest_takes_all_that_fits(void **state)
{
    const clm_footprint f = model();
    clm_place p[] = {{.gbps = 50, .memory = 9000, .of_host = true}, {.gbps = 400, .memory = 4120}};

    (void)state;
    assert_int_equal(clm_placement_make(&f, p, 2, NULL), CLM_OK);
    expect(&p[0], 0, 0, 0);
    expect(&p[1], 0, 40, 4120);
    p[1].memory--; /* one byte too little: the slower one gets the embeddings and a layer */
    assert_int_equal(clm_placement_make(&f, p, 2, NULL), CLM_OK);
    expect(&p[0], 0, 1, 20 + 50 + 100);
    expect(&p[1], 1, 39, 20 + 50 + 3900);
    p[1].memory = 1000;
    assert_int_equal(clm_placement_make(&f, p, 2, NULL), CLM_OK);
    expect(&p[0], 0, 31, 20 + 50 + 3100);
    expect(&p[1], 31, 9, 20 + 50 + 900);
}

static void the_slowest_is_used_last(void **state)
{
    const clm_footprint f = model();
    clm_place p[] = {{.gbps = 400, .memory = 1500},
                     {.gbps = 20, .memory = 9000, .of_host = true},
                     {.gbps = 100, .memory = 9000}};

    (void)state;
    assert_int_equal(clm_placement_make(&f, p, 3, NULL), CLM_OK);
    expect(&p[0], 26, 14, 20 + 50 + 1400);
    expect(&p[1], 0, 0, 0);
    expect(&p[2], 0, 26, 20 + 50 + 2600);
}

static void devices_as_fast_share(void **state)
{
    const clm_footprint f = model();
    clm_place p[] = {
        {.gbps = 100, .memory = 9000}, {.gbps = 90, .memory = 9000}, {.gbps = 79, .memory = 9000}};

    (void)state;
    assert_int_equal(clm_placement_make(&f, p, 3, NULL), CLM_OK);
    expect(&p[0], 20, 20, 20 + 50 + 2000);
    expect(&p[1], 0, 20, 20 + 50 + 2000);
    expect(&p[2], 0, 0, 0); /* less than 80 % */
    p[0].memory = 570;      /* the other one gets what does not fit */
    assert_int_equal(clm_placement_make(&f, p, 3, NULL), CLM_OK);
    expect(&p[0], 35, 5, 20 + 50 + 500);
    expect(&p[1], 0, 35, 20 + 50 + 3500);
}

/* What one takes of the host's memory another one has not. */
static void the_hosts_memory_is_one_supply(void **state)
{
    const clm_footprint f = model();
    clm_place p[] = {{.gbps = 50, .memory = 3000, .of_host = true},
                     {.gbps = 20, .memory = 4000, .of_host = true}};
    clm_err err;

    (void)state;
    assert_int_equal(clm_placement_make(&f, p, 2, &err), CLM_E_DEVMEM);
    assert_non_null(strstr(err.text, "more devices"));
    p[1].of_host = false;
    assert_int_equal(clm_placement_make(&f, p, 2, NULL), CLM_OK);
    expect(&p[0], 11, 29, 20 + 50 + 2900);
    expect(&p[1], 0, 11, 20 + 50 + 1100);
}

static void what_is_too_small_is_left_out(void **state)
{
    const clm_footprint f = model();
    clm_place p[] = {{.gbps = 900, .memory = 60}, {.gbps = 50, .memory = 9000}, {.gbps = 40}};
    clm_err err;

    (void)state;
    assert_int_equal(clm_placement_make(&f, p, 3, NULL), CLM_OK);
    expect(&p[0], 0, 0, 0);
    expect(&p[1], 0, 40, 4120);
    expect(&p[2], 0, 0, 0);
    p[1].memory = 1000;
    assert_int_equal(clm_placement_make(&f, p, 3, &err), CLM_E_DEVMEM);
}

/* One that is as fast but too small, for the head or for a layer, does not keep the model from the other. */
static void one_that_suffices_is_enough(void **state)
{
    const clm_footprint f = model();
    clm_place p[] = {{.gbps = 50, .memory = 9000}, {.gbps = 40, .memory = 130}};
    clm_place host[] = {{.gbps = 50, .memory = 167, .of_host = true},
                        {.gbps = 20, .memory = 4120, .of_host = true}};

    (void)state;
    assert_int_equal(clm_placement_make(&f, p, 2, NULL), CLM_OK);
    expect(&p[0], 0, 40, 4120);
    expect(&p[1], 0, 0, 0);
    assert_int_equal(clm_placement_make(&f, host, 2, NULL), CLM_OK);
    expect(&host[0], 0, 0, 0);
    expect(&host[1], 0, 40, 4120);
}

static void no_device_is_without_a_layer(void **state)
{
    clm_footprint f = model();
    clm_place p[] = {{.gbps = 50, .memory = 9000}, {.gbps = 50, .memory = 9000}};

    (void)state;
    f.n_layers = 1;
    assert_int_equal(clm_placement_make(&f, p, 2, NULL), CLM_OK);
    expect(&p[0], 0, 1, 20 + 100 + 100);
    expect(&p[1], 0, 0, 0);
    f.n_layers = 2;
    assert_int_equal(clm_placement_make(&f, p, 2, NULL), CLM_OK);
    expect(&p[0], 1, 1, 20 + 50 + 100);
    expect(&p[1], 0, 1, 20 + 50 + 100);
}

static void shares_are_kept(void **state)
{
    const clm_footprint f = model();
    clm_place p[] = {{.share = 3}, {.share = 1}};

    (void)state;
    assert_int_equal(clm_placement_make(&f, p, 2, NULL), CLM_OK);
    expect(&p[0], 10, 30, 20 + 50 + 3000);
    expect(&p[1], 0, 10, 20 + 50 + 1000);
    p[1].share = 1e-3;
    assert_int_equal(clm_placement_make(&f, p, 2, NULL), CLM_OK);
    expect(&p[0], 0, 40, 4120);
    expect(&p[1], 0, 0, 0);
}

/* A tied head is a matrix of its own on another device than the embeddings'. */
static void a_tied_head_counts_once_or_twice(void **state)
{
    clm_footprint f = model();
    clm_place p[] = {{.gbps = 50, .memory = 4070}, {.gbps = 10, .memory = 9000}};

    (void)state;
    f.tied = true;
    assert_int_equal(clm_placement_make(&f, p, 2, NULL), CLM_OK);
    expect(&p[0], 0, 40, 20 + 50 + 4000);
    p[0].memory--;
    assert_int_equal(clm_placement_make(&f, p, 2, NULL), CLM_OK);
    expect(&p[0], 1, 39, 20 + 50 + 3900);
    expect(&p[1], 0, 1, 20 + 50 + 100);
}

/* Sizes of a real shape: Baichuan-13B in 4 bits, with 4,096 tokens of f16. */
static void the_footprint_of_13b(void **state)
{
    const clm_hparams *hp = clm_synthetic_find("13b");
    const double matrices = 4.0 * 5120 * 5120 + 3.0 * 5120 * 13696, table = 64000.0 * 5120;
    clm_model_file *mf;
    clm_kv_shape kv;
    clm_footprint f;

    (void)state;
    assert_int_equal(clm_synthetic_create(hp, "q4_0", &mf, NULL), CLM_OK);
    kv = clm_kv_shape_of(clm_model_file_hparams(mf), 4096, CLM_KV_F16);
    assert_int_equal(clm_footprint_create(mf, &kv, 512, &f, NULL), CLM_OK);
    assert_int_equal(f.n_layers, 40);
    assert_int_equal(f.cache, 4096 * 40 * 128 * 2 * 2 + 40 * 4096 / 16 * 4);
    assert_int_equal(f.layers[0], (uint64_t)(matrices * 18 / 32) + 2 * 5120 * 4);
    assert_int_equal(f.embed, (uint64_t)(table * 18 / 32));
    assert_int_equal(f.head, (uint64_t)(table * 18 / 32) + 5120 * 4);
    assert_int_equal(clm_footprint_weights(&f), f.embed + f.head + 40 * f.layers[0]);
    assert_int_equal(clm_footprint_total(&f), clm_footprint_weights(&f) + 40 * f.cache + f.work);
    assert_true(f.work >= 100u << 20 && f.work <= 400u << 20);
    clm_footprint_clear(&f);
    clm_model_file_close(mf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fastest_takes_all_that_fits),
        cmocka_unit_test(the_slowest_is_used_last),
        cmocka_unit_test(devices_as_fast_share),
        cmocka_unit_test(the_hosts_memory_is_one_supply),
        cmocka_unit_test(what_is_too_small_is_left_out),
        cmocka_unit_test(one_that_suffices_is_enough),
        cmocka_unit_test(no_device_is_without_a_layer),
        cmocka_unit_test(shares_are_kept),
        cmocka_unit_test(a_tied_head_counts_once_or_twice),
        cmocka_unit_test(the_footprint_of_13b),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
