/* tuning/space.c: see tuning/space.h. */
#include "tuning/space.h"

#include <stdlib.h>
#include <string.h>

#include "host/grow.h"

uint64_t clm_space_next(uint64_t *rng) /* SplitMix64 */
{
    uint64_t z = *rng += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint64_t clm_space_size(const clm_space *s)
{
    uint64_t total = 1;

    for (size_t a = 0; a < s->op->n_axes; a++) {
        if (total > UINT64_MAX / 1024) return UINT64_MAX;
        total *= s->op->axes[a].n_values;
    }
    return total;
}

bool clm_space_valid(const clm_space *s, const int *params)
{
    return s->op->valid(params, s->shape, s->caps);
}

void clm_point_set_clear(clm_point_set *set)
{
    free(set->list);
    *set = (clm_point_set){0};
}

static clm_status add(clm_point_set *set, const int *params, clm_err *err)
{
    void *grown = clm_grow(set->list, &set->room, set->n + 1, sizeof *set->list);

    if (grown == NULL) {
        clm_point_set_clear(set);
        return clm_fail(err, CLM_E_NOMEM, "tuning: no memory");
    }
    set->list = grown;
    memcpy(set->list[set->n++], params, sizeof *set->list);
    return CLM_OK;
}

clm_status clm_space_all(const clm_space *s, uint64_t limit, clm_point_set *out, clm_err *err)
{
    const uint64_t total = clm_space_size(s);
    clm_status st = CLM_OK;

    *out = (clm_point_set){0};
    if (total > limit) return CLM_OK;
    for (uint64_t i = 0; i < total && st == CLM_OK; i++) {
        int params[CLM_MAX_AXES] = {0};
        uint64_t rest = i;

        for (size_t a = 0; a < s->op->n_axes; a++) {
            params[a] = s->op->axes[a].values[rest % s->op->axes[a].n_values];
            rest /= s->op->axes[a].n_values;
        }
        if (clm_space_valid(s, params)) st = add(out, params, err);
    }
    return st;
}

bool clm_space_random(const clm_space *s, uint64_t *rng, size_t attempts, int *params)
{
    for (size_t i = 0; i < attempts; i++) {
        memset(params, 0, CLM_MAX_AXES * sizeof *params);
        for (size_t a = 0; a < s->op->n_axes; a++)
            params[a] = s->op->axes[a].values[clm_space_next(rng) % s->op->axes[a].n_values];
        if (clm_space_valid(s, params)) return true;
    }
    return false;
}

static size_t index_of(const clm_axis *axis, int value)
{
    for (size_t i = 0; i < axis->n_values; i++)
        if (axis->values[i] == value) return i;
    return 0;
}

/* Makes `params` legal by moving one axis other than `fixed`, as few steps as possible. */
static bool repair(const clm_space *s, size_t fixed, int *params)
{
    for (size_t step = 1; step < 64; step++) {
        bool any = false;

        for (size_t a = 0; a < s->op->n_axes; a++) {
            const clm_axis *axis = &s->op->axes[a];
            const size_t at = index_of(axis, params[a]);
            const int old = params[a];

            if (a == fixed) continue;
            for (int up = 0; up < 2; up++) {
                if (up ? at + step >= axis->n_values : at < step) continue;
                any = true;
                params[a] = axis->values[up ? at + step : at - step];
                if (clm_space_valid(s, params)) return true;
                params[a] = old;
            }
        }
        if (!any) return false;
    }
    return false;
}

clm_status clm_space_neighbours(const clm_space *s, const int *params, size_t axis,
                                clm_point_set *out, clm_err *err)
{
    const clm_axis *a = &s->op->axes[axis];
    clm_status st = CLM_OK;

    *out = (clm_point_set){0};
    for (size_t i = 0; i < a->n_values && st == CLM_OK; i++) {
        int near[CLM_MAX_AXES];

        if (a->values[i] == params[axis]) continue;
        memcpy(near, params, sizeof near);
        near[axis] = a->values[i];
        if (clm_space_valid(s, near) || repair(s, axis, near)) st = add(out, near, err);
    }
    return st;
}
