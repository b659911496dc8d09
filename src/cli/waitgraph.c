/* SPDX-License-Identifier: BSD-3-Clause */
#include "waitgraph.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *wait_room(size_t count, size_t bytes) {
    void *p = calloc(count ? count : 1, bytes);
    if (!p) {
        fputs("wavecut: out of memory\n", stderr);
        exit(4);
    }
    return p;
}

void *wait_one_more(void *list, size_t count, size_t bytes) {
    if (count & (count - 1)) /* it is as long as the next power of two */
        return list;
    void *more = wait_room(count ? 2 * count : 1, bytes);
    if (count)
        memcpy(more, list, count * bytes);
    free(list);
    return more;
}

/* ---- what can a rank do for others? ---- */

static bool finalizes(const wait_rank *r) {
    return r->state == WAIT_WAITS && r->count && r->items[0].kind == WAIT_FINALIZE;
}

/* May it ever send, receive, or enter a collective? */
static bool can_act(const wait_job *job, int rank) {
    const wait_rank *r = &job->rank[rank];
    return !r->stuck && r->state != WAIT_ENDED && r->state != WAIT_GONE && !finalizes(r);
}

static bool matches(const wait_item *item, const wait_flight *f) {
    return item->comm == f->comm && (item->peer < 0 || item->peer == f->source) &&
           (item->tag < 0 || item->tag == f->tag);
}

static bool is_on_its_way(const wait_job *job, int rank, const wait_item *item) {
    for (size_t i = 0; i < job->flight_count; i++) {
        const wait_flight *f = &job->flights[i];
        if (f->destination == rank && f->messages > f->arrived && matches(item, f))
            return true;
    }
    return false;
}

static int by_rank(const void *a, const void *b) {
    int x = ((const wait_entered *)a)->rank, y = ((const wait_entered *)b)->rank;
    return (x > y) - (x < y);
}

bool wait_has_entered(const wait_job *job, int rank, const wait_item *item) {
    const wait_comm *c = &job->comms[item->comm];
    wait_entered key = {.rank = rank};
    const wait_entered *its =
        c->entered ? bsearch(&key, c->entered, c->entered_count, sizeof key, by_rank) : NULL;
    return (its ? its->collectives : 0) >= item->number;
}

/* Does `rank` wait with a receive that takes what `item` sends? */
static bool receives(const wait_job *job, int rank, int sender, const wait_item *send) {
    const wait_rank *r = &job->rank[rank];
    const wait_flight f = {.comm = send->comm, .source = sender, .tag = send->tag};
    for (size_t i = 0; i < r->count && r->state == WAIT_WAITS; i++)
        if (r->items[i].kind == WAIT_RECEIVE && matches(&r->items[i], &f))
            return true;
    return false;
}

/* ---- whom does it wait for? ---- */

/* In these a member may be waiting for some of the others only. */
static bool is_partial(const char *call) {
    static const char *const names[] = {"Bcast", "Gather", "Scatter", "Reduce",
                                        "Scan",  "Exscan", "Neighbor"};
    const char *name = strncmp(call, "MPI_", 4) == 0 ? call + 4 : call;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0)
            return strncmp(name, "Reduce_scatter", 14) != 0;
    return strncmp(name, "Wait", 4) == 0; /* of whatever collective */
}

/* Two collectives may be the same, whatever they count with. */
static bool same_call(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    n -= n > 2 && strcmp(a + n - 2, "_c") == 0 ? 2 : 0;
    m -= m > 2 && strcmp(b + m - 2, "_c") == 0 ? 2 : 0;
    return n == m && strncmp(a, b, n) == 0;
}

/* Files and windows are counted on the communicator that they were made of, but have an order of their own. */
static bool names_a_collective(const char *call) {
    return strncmp(call, "MPI_Wait", 8) != 0 && strncmp(call, "MPI_File_", 9) != 0;
}

static const wait_item *collective_of(const wait_rank *r) {
    bool is = r->state == WAIT_WAITS && r->count && r->items[0].kind == WAIT_COLLECTIVE &&
              r->items[0].comm >= 0 && names_a_collective(r->call);
    return is ? &r->items[0] : NULL;
}

static bool mismatch(const wait_job *job, int rank, int other) {
    const wait_rank *r = &job->rank[rank], *o = &job->rank[other];
    const wait_item *a = collective_of(r), *b = collective_of(o);
    return a && b && a->comm == b->comm && a->number == b->number && !same_call(r->call, o->call);
}

/* Does this item of `rank` wait for `other` to do something? */
static bool waits_for(const wait_job *job, int rank, const wait_item *item, int other) {
    switch (item->kind) {
    case WAIT_RECEIVE:
        return item->peer < 0 ? other != rank : item->peer == other;
    case WAIT_SEND:
        return item->peer == other;
    case WAIT_COLLECTIVE:
        return other != rank && (!wait_has_entered(job, other, item) || mismatch(job, rank, other));
    case WAIT_FINALIZE:
        return !finalizes(&job->rank[other]) && job->rank[other].state != WAIT_ENDED;
    default:
        return false;
    }
}

/* Calls `visit` for each rank that the item waits for, until it says true. */
typedef bool visitor(const wait_job *job, int rank, int other, void *context);

static bool visit_item(const wait_job *job, int rank, const wait_item *item, visitor *visit,
                       void *context) {
    if (item->kind == WAIT_SEND || (item->kind == WAIT_RECEIVE && item->peer >= 0))
        return item->peer >= 0 && item->peer < job->ranks && visit(job, rank, item->peer, context);
    bool all = item->kind == WAIT_FINALIZE;
    if (!all && item->comm < 0)
        return false;
    const wait_range world = {0, job->ranks - 1};
    const wait_range *range = all ? &world : job->comms[item->comm].members;
    const wait_range *end = range + (all ? 1 : job->comms[item->comm].range_count);
    for (; range < end; range++)
        for (int other = range->first; other <= range->last; other++)
            if (waits_for(job, rank, item, other) && visit(job, rank, other, context))
                return true;
    return false;
}

static bool acts(const wait_job *job, int rank, int other, void *context) {
    (void)rank;
    (void)context;
    return can_act(job, other);
}

static bool acts_not(const wait_job *job, int rank, int other, void *context) {
    (void)context;
    return !can_act(job, other) || mismatch(job, rank, other);
}

static bool is_one(const wait_job *job, int rank, int other, void *context) {
    (void)job;
    (void)rank;
    (void)other;
    (void)context;
    return true;
}

static bool can_be_met(const wait_job *job, int rank, const wait_item *item) {
    bool known = item->comm >= 0 && job->comms[item->comm].size > 0;
    switch (item->kind) {
    case WAIT_RECEIVE:
        return !known || job->uncounted || is_on_its_way(job, rank, item) ||
               visit_item(job, rank, item, acts, NULL);
    case WAIT_SEND:
        return !known || receives(job, item->peer, rank, item) ||
               visit_item(job, rank, item, acts, NULL);
    case WAIT_COLLECTIVE:
        if (!known || !visit_item(job, rank, item, is_one, NULL))
            return true; /* all are in it: it is MPI's affair */
        return is_partial(job->rank[rank].call) ? visit_item(job, rank, item, acts, NULL)
                                                : !visit_item(job, rank, item, acts_not, NULL);
    case WAIT_FINALIZE:
        return !visit_item(job, rank, item, acts_not, NULL);
    default:
        return true;
    }
}

static bool can_go_on(const wait_job *job, int rank) {
    const wait_rank *r = &job->rank[rank];
    size_t needed = 0, met = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (r->items[i].kind == WAIT_ARRIVED)
            continue;
        needed++;
        met += can_be_met(job, rank, &r->items[i]);
    }
    return r->any ? met > 0 || r->more || !needed : met == needed;
}

/* All that wait are stuck until something says that they may go on. */
size_t wait_reduce(wait_job *job) {
    size_t stuck = 0;
    for (int i = 0; i < job->ranks; i++) {
        job->rank[i].stuck = job->rank[i].state == WAIT_WAITS;
        stuck += job->rank[i].stuck;
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < job->ranks; i++) {
            if (!job->rank[i].stuck || !can_go_on(job, i))
                continue;
            job->rank[i].stuck = false;
            changed = true;
            stuck--;
        }
    }
    return stuck;
}

/* ---- cycles and knots: strongly connected components from which no way leads out (Tarjan) ---- */

typedef struct search {
    int *index, *low, *stack, *part, depth, next, parts; /* part: of each rank; -1: none yet */
    bool *leaves;                                        /* [parts] a way leads out */
    const wait_job *job;
} search;

static void walk(search *s, const wait_job *job, int rank);

static bool follow(const wait_job *job, int rank, int other, void *context) {
    search *s = context;
    if (!job->rank[other].stuck)
        return false;
    if (s->index[other] < 0) {
        walk(s, job, other);
        s->low[rank] = s->low[other] < s->low[rank] ? s->low[other] : s->low[rank];
    } else if (s->part[other] < 0) {
        s->low[rank] = s->index[other] < s->low[rank] ? s->index[other] : s->low[rank];
    }
    return false;
}

static void visit_unmet(const wait_job *job, int rank, visitor *visit, void *context) {
    const wait_rank *r = &job->rank[rank];
    for (size_t i = 0; i < r->count; i++)
        if (r->items[i].kind != WAIT_ARRIVED && !can_be_met(job, rank, &r->items[i]))
            visit_item(job, rank, &r->items[i], visit, context);
}

static void walk(search *s, const wait_job *job, int rank) {
    s->index[rank] = s->low[rank] = s->next++;
    s->stack[s->depth++] = rank;
    visit_unmet(job, rank, follow, s);
    if (s->low[rank] != s->index[rank])
        return;
    int member;
    do {
        member = s->stack[--s->depth];
        s->part[member] = s->parts;
    } while (member != rank);
    s->parts++;
}

static void *walk_all(void *context) {
    search *s = context;
    for (int i = 0; i < s->job->ranks; i++)
        if (s->job->rank[i].stuck && s->index[i] < 0)
            walk(s, s->job, i);
    return NULL;
}

/* As deep as the longest way, which may be that of all ranks in a ring: it gets a stack for that. */
static void walk_deep(search *s) {
    enum { PER_RANK = 2048 };
    pthread_t thread;
    pthread_attr_t large;
    pthread_attr_init(&large);
    pthread_attr_setstacksize(&large, (1 << 20) + (size_t)s->job->ranks * PER_RANK);
    if (pthread_create(&thread, &large, walk_all, s) != 0) {
        fputs("wavecut: out of memory\n", stderr);
        exit(4);
    }
    pthread_attr_destroy(&large);
    pthread_join(thread, NULL);
}

static bool leaves(const wait_job *job, int rank, int other, void *context) {
    search *s = context;
    if (job->rank[other].stuck && s->part[other] != s->part[rank])
        s->leaves[s->part[rank]] = true;
    return false;
}

/* The first stuck rank that it waits for; and is it sure to need that one? */
typedef struct next_rank {
    const search *search;
    int next;
    size_t choices;
} next_rank;

static bool count_choice(const wait_job *job, int rank, int other, void *context) {
    next_rank *n = context;
    if (!job->rank[other].stuck || n->search->part[other] != n->search->part[rank])
        return false;
    if (n->next < 0)
        n->next = other;
    n->choices++;
    return false;
}

static bool has_choice(const wait_rank *r) {
    size_t needed = 0;
    bool source = false;
    for (size_t i = 0; i < r->count; i++) {
        needed += r->items[i].kind != WAIT_ARRIVED;
        source = source || (r->items[i].kind == WAIT_RECEIVE && r->items[i].peer < 0);
    }
    return source || (r->any && needed > 1);
}

static next_rank next_of(const wait_job *job, const search *s, int rank) {
    next_rank n = {.search = s, .next = -1};
    visit_unmet(job, rank, count_choice, &n);
    return n;
}

static wait_core describe(const wait_job *job, const search *s, int part) {
    wait_core core = {.kind = WAIT_CYCLE, .ranks = wait_room((size_t)job->ranks, sizeof(int))};
    for (int i = 0; i < job->ranks; i++) {
        if (!job->rank[i].stuck || s->part[i] != part)
            continue;
        next_rank n = next_of(job, s, i);
        if (n.next < 0)
            core.kind = WAIT_HOPELESS;
        else if (n.choices > 1 && has_choice(&job->rank[i]))
            core.kind = WAIT_KNOT;
        core.ranks[core.count++] = i;
    }
    if (core.kind != WAIT_CYCLE)
        return core;
    /* Where each needs all that it waits for, any way that comes back to itself will do. */
    bool *seen = wait_room((size_t)job->ranks, sizeof *seen);
    int at = core.ranks[0];
    while (!seen[at]) {
        seen[at] = true;
        at = next_of(job, s, at).next;
    }
    free(seen);
    core.count = 0;
    int first = at;
    do {
        core.ranks[core.count++] = at;
        at = next_of(job, s, at).next;
    } while (at != first);
    return core;
}

size_t wait_cores(const wait_job *job, wait_core **cores) {
    size_t n = (size_t)job->ranks, count = 0;
    search s = {.index = wait_room(n, sizeof(int)),
                .low = wait_room(n, sizeof(int)),
                .stack = wait_room(n, sizeof(int)),
                .part = wait_room(n, sizeof(int)),
                .job = job};
    for (int i = 0; i < job->ranks; i++)
        s.index[i] = s.part[i] = -1;
    walk_deep(&s);
    s.leaves = wait_room((size_t)s.parts, sizeof *s.leaves);
    for (int i = 0; i < job->ranks; i++)
        if (job->rank[i].stuck)
            visit_unmet(job, i, leaves, &s);
    *cores = wait_room((size_t)s.parts, sizeof **cores);
    for (int part = 0; part < s.parts; part++)
        if (!s.leaves[part])
            (*cores)[count++] = describe(job, &s, part);
    free(s.index);
    free(s.low);
    free(s.stack);
    free(s.part);
    free(s.leaves);
    return count;
}

/* ---- near misses ---- */

static bool is_near(const wait_item *item, const wait_flight *f, wait_miss *miss) {
    bool comm = item->comm == f->comm, source = item->peer < 0 || item->peer == f->source,
         tag = item->tag < 0 || item->tag == f->tag;
    if (comm + source + tag != 2)
        return false;
    *miss = (wait_miss){.flight = f,
                        .item = item,
                        .what = !tag    ? WAIT_MISS_TAG
                                : !comm ? WAIT_MISS_COMM
                                        : WAIT_MISS_SOURCE};
    return true;
}

size_t wait_misses(const wait_job *job, wait_miss **misses) {
    size_t count = 0, most = 0;
    *misses = NULL;
    for (size_t i = 0; i < job->flight_count; i++) {
        const wait_flight *f = &job->flights[i];
        const wait_rank *r = &job->rank[f->destination];
        for (size_t k = 0; k < r->count && r->state == WAIT_WAITS && f->messages > f->arrived;
             k++) {
            wait_miss miss;
            if (r->items[k].kind != WAIT_RECEIVE || !is_near(&r->items[k], f, &miss) ||
                is_on_its_way(job, f->destination, &r->items[k]))
                continue;
            if (count == most) {
                most = most ? 2 * most : 16;
                wait_miss *more = wait_room(most, sizeof *more);
                if (count)
                    memcpy(more, *misses, count * sizeof *more);
                free(*misses);
                *misses = more;
            }
            (*misses)[count++] = miss;
        }
    }
    return count;
}

bool wait_find_mismatch(const wait_job *job, wait_mismatch *found) {
    int *first = wait_room(job->comm_count, sizeof *first); /* rank + 1 that is in one */
    for (int i = 0; i < job->ranks; i++) {
        const wait_item *item = collective_of(&job->rank[i]);
        if (!item)
            continue;
        int other = first[item->comm] - 1;
        if (other >= 0 && mismatch(job, other, i)) {
            *found = (wait_mismatch){other, i, item->comm, item->number};
            free(first);
            return true;
        }
        first[item->comm] = i + 1;
    }
    free(first);
    return false;
}

/* ---- who decides ---- */

static bool reach(const wait_job *job, int rank, int other, void *context) {
    bool *reached = context;
    (void)job;
    (void)rank;
    reached[other] = true;
    return false;
}

/* Only what is not met yet: what is on its way needs nobody. */
size_t wait_deciders(const wait_job *job, int **ranks) {
    bool *reached = wait_room((size_t)job->ranks, sizeof *reached);
    for (int i = 0; i < job->ranks; i++) {
        const wait_rank *r = &job->rank[i];
        for (size_t k = 0; k < r->count && r->state == WAIT_WAITS; k++)
            if (r->items[k].kind != WAIT_RECEIVE || !is_on_its_way(job, i, &r->items[k]))
                visit_item(job, i, &r->items[k], reach, reached);
    }
    size_t count = 0;
    *ranks = wait_room((size_t)job->ranks, sizeof **ranks);
    for (int i = 0; i < job->ranks; i++)
        if (reached[i] && can_act(job, i) && job->rank[i].state != WAIT_WAITS)
            (*ranks)[count++] = i;
    free(reached);
    return count;
}
