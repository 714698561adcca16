/* tuning/search.c: see tuning/search.h. */
#include "tuning/search.h"

#include <stdlib.h>
#include <string.h>

#include "host/grow.h"

enum {
    LISTED_SPACE = 1 << 14, /* up to here all legal configurations are listed */
    DRAWS = 4096,           /* attempts at a legal configuration by chance */
    SAMPLES = 20,           /* by chance, between descents */
    PATIENCE = 60           /* samples without a gain end the search of a space too large to list */
};
#define GAIN 0.99 /* a step must be worth it, or noise leads around in circles */

const char *clm_tune_strategy_text(clm_tune_strategy s)
{
    static const char *const words[] = {"descent", "random", "exhaustive"};

    return s < CLM_TUNE_STRATEGIES ? words[s] : "?";
}

/* A search on its way. */
typedef struct walk {
    clm_search *s;
    clm_point_set all; /* empty: too many to list */
    size_t next;       /* of `all`, in its random order */
    bool over;         /* eval said so, or there is nothing left */
    clm_status st;
    clm_err *err;
} walk;

static const clm_candidate *find(const clm_search *s, const int *params)
{
    for (size_t i = 0; i < s->n_seen; i++)
        if (memcmp(s->seen[i].params, params, s->space.op->n_axes * sizeof *params) == 0)
            return &s->seen[i];
    return NULL;
}

/* The candidate's result, from memory or newly tried; NULL when the search is over. */
static const clm_candidate *try(walk *w, const int *params)
{
    clm_search *s = w->s;
    const clm_candidate *known = find(s, params);
    clm_candidate c, *grown;

    if (known != NULL || w->over) return known;
    memset(&c, 0, sizeof c);
    memcpy(c.params, params, s->space.op->n_axes * sizeof *params);
    grown = clm_grow(s->seen, &s->room, s->n_seen + 1, sizeof *grown);
    if (grown == NULL) {
        w->st = clm_fail(w->err, CLM_E_NOMEM, "tuning: no memory");
        w->over = true;
        return NULL;
    }
    s->seen = grown;
    if (!s->eval(s->user, &c)) {
        w->over = true;
        return NULL;
    }
    s->seen[s->n_seen++] = c;
    return &s->seen[s->n_seen - 1];
}

const clm_candidate *clm_search_best(const clm_search *s)
{
    const clm_candidate *best = NULL;

    for (size_t i = 0; i < s->n_seen; i++)
        if (s->seen[i].reason == CLM_TUNE_OK && (best == NULL || s->seen[i].ms < best->ms))
            best = &s->seen[i];
    return best;
}

/* Moves along one axis to the best value. True: something was gained. */
static bool step(walk *w, size_t axis, clm_candidate *at)
{
    clm_point_set near;
    clm_candidate best = *at;

    w->st = clm_space_neighbours(&w->s->space, at->params, axis, &near, w->err);
    if (w->st != CLM_OK) w->over = true;
    for (size_t i = 0; i < near.n && !w->over; i++) {
        const clm_candidate *c = try(w, near.list[i]);

        if (c != NULL && c->reason == CLM_TUNE_OK && c->ms < best.ms) best = *c;
    }
    clm_point_set_clear(&near);
    if (best.ms >= GAIN * at->ms) return false;
    *at = best;
    return true;
}

static void descend(walk *w, clm_candidate at)
{
    const size_t n = w->s->space.op->n_axes;
    size_t order[CLM_MAX_AXES];
    bool gained = true;

    for (size_t i = 0; i < n; i++) order[i] = i;
    for (size_t i = n; i > 1; i--) {
        const size_t j = clm_space_next(&w->s->rng) % i, kept = order[i - 1];

        order[i - 1] = order[j];
        order[j] = kept;
    }
    while (gained && !w->over) {
        gained = false;
        for (size_t i = 0; i < n && !w->over; i++) gained |= step(w, order[i], &at);
    }
}

/* One more candidate by chance; NULL: over, or none left. */
static const clm_candidate *sample(walk *w)
{
    int params[CLM_MAX_AXES];

    for (; w->next < w->all.n; w->next++)
        if (find(w->s, w->all.list[w->next]) == NULL) return try(w, w->all.list[w->next++]);
    if (w->all.n == 0 && clm_space_size(&w->s->space) > LISTED_SPACE)
        for (size_t i = 0; i < 64; i++)
            if (clm_space_random(&w->s->space, &w->s->rng, DRAWS, params) &&
                find(w->s, params) == NULL)
                return try(w, params);
    w->over = true;
    return NULL;
}

static void shuffle(walk *w)
{
    for (size_t i = w->all.n; i > 1; i--) {
        const size_t j = clm_space_next(&w->s->rng) % i;
        int kept[CLM_MAX_AXES];

        memcpy(kept, w->all.list[i - 1], sizeof kept);
        memcpy(w->all.list[i - 1], w->all.list[j], sizeof kept);
        memcpy(w->all.list[j], kept, sizeof kept);
    }
}

static void search_descent(walk *w)
{
    const clm_candidate *best = clm_search_best(w->s);
    size_t without_gain = 0;

    if (best != NULL) descend(w, *best);
    while (!w->over && (w->all.n > 0 || without_gain < PATIENCE)) {
        const clm_candidate *before = clm_search_best(w->s), *after;
        const double had = before != NULL ? before->ms : 0.0;

        for (size_t i = 0; i < SAMPLES && !w->over; i++) sample(w);
        after = clm_search_best(w->s);
        if (after != NULL && (had == 0.0 || after->ms < GAIN * had)) {
            descend(w, *after);
            without_gain = 0;
        } else {
            without_gain += SAMPLES;
        }
    }
}

clm_status clm_search_run(clm_search *s, clm_err *err)
{
    walk w = {.s = s, .err = err};
    int params[CLM_MAX_AXES] = {0};

    w.st = clm_space_all(&s->space, s->strategy == CLM_TUNE_EXHAUSTIVE ? 1u << 22 : LISTED_SPACE,
                         &w.all, err);
    if (w.st != CLM_OK) return w.st;
    shuffle(&w);
    s->space.op->defaults(s->space.shape, s->space.caps, params);
    if (clm_space_valid(&s->space, params)) try(&w, params);
    for (size_t i = 0; i < s->n_hints; i++)
        if (clm_space_valid(&s->space, s->hints[i])) try(&w, s->hints[i]);
    if (s->strategy == CLM_TUNE_DESCENT)
        search_descent(&w);
    else
        while (!w.over) sample(&w);
    clm_point_set_clear(&w.all);
    return w.st;
}

void clm_search_clear(clm_search *s)
{
    free(s->seen);
    s->seen = NULL;
    s->n_seen = s->room = 0;
}
