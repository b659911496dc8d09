/* SPDX-License-Identifier: BSD-3-Clause */
#include "scale.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { TAG = 1, WARM_UP = 3, MAX_VOIDS = 5 };

scale_run S;

const scale_program scale_programs[] = {
    {.name = "stencil", .shape = SHAPE_STENCIL},
    {.name = "stencil-immediate", .shape = SHAPE_STENCIL, .immediate = true},
    {.name = "graph", .shape = SHAPE_GRAPH, .immediate = true, .tokens = true},
    {.name = "all", .shape = SHAPE_ALL, .immediate = true},
    {.name = "line", .shape = SHAPE_LINE},
    {.name = "tokens", .shape = SHAPE_ALL, .immediate = true, .tokens = true},
    {.name = NULL}};

const scale_program *scale_program_find(const char *name) {
    for (const scale_program *p = scale_programs; p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p;
    return NULL;
}

/* ---- attempts ---- */

void scale_begin_attempt(scale_rank *r) {
    S.wanted = false;
    S.requested_at = r->cpu;
    S.first_request = S.first_request ? S.first_request : r->cpu;
    S.armed = S.recorded = S.closed = S.finished = 0;
    S.last_armed = S.last_recorded = S.last_closed = 0;
    S.messages = S.markers = S.lazy = S.channels = S.copied = S.cut_bytes = 0;
    S.options.method->request(r);
}

static void want_attempt(int64_t time) {
    S.wanted = true;
    S.request_at = time;
    if (S.options.program->immediate || S.options.quiet)
        scale_event_add(&(scale_node){.kind = KIND_LOOK, .to = S.options.initiator, .time = time});
}

/* The time between voids grows as in runtime/trigger.c. What a job settles down to is measured: the
 * second commit. */
void scale_finished(scale_rank *r, const wc_vote *outcome) {
    r->noted = false;
    if (++S.finished < S.options.ranks)
        return;
    if (outcome->void_rank >= 0) {
        S.result->reason = outcome->reason;
        uint32_t *voids = S.commits ? &S.result->void_again : &S.result->voids;
        S.gave_up = ++*voids == MAX_VOIDS;
        want_attempt(r->cpu + (INT64_C(1000000) << (*voids < 5 ? 2 * *voids : 10)));
        return;
    }
    if (S.commits++ == 0) {
        S.result->first = (double)(r->cpu - S.first_request);
        want_attempt(r->cpu + (int64_t)(WARM_UP * S.options.step));
    }
    S.over = S.commits == 2 || S.options.lookahead;
}

/* ---- ranks ---- */

/* Every channel exists before the clock starts, as in a job that has run for a while. */
static void open_channels(scale_rank *r) {
    if (!S.options.program->immediate) {
        scale_aligned_count(r);
        return;
    }
    for (uint32_t k = 0; k < S.shape.degree; k++) {
        wc_core_out(&r->core, &r->comm, (int)scale_shape_out(&S.shape, r->rank, k), TAG);
        wc_core_in(&r->core, &r->comm, (int)scale_shape_in(&S.shape, r->rank, k), TAG);
    }
}

static void open_rank(uint32_t rank) {
    scale_rank *r = &S.at[rank];
    const scale_options *o = &S.options;
    wc_port port = scale_port;
    port.context = r;
    wc_core_config config = {.rank = (int)rank,
                             .ranks = (int)o->ranks,
                             .immediate = o->program->immediate,
                             .timeout_ns = INT64_C(60000000000),
                             .patience_ns = 300000000,
                             .max_streams = 65536,
                             .max_stash = 4096};
    r->rank = rank;
    r->random = o->seed << 32 ^ rank;
    r->comm = (wc_comm){.uid = 1, .rank = (int)rank, .size = (int)o->ranks};
    wc_core_init(&r->core, &port, &config);
    wc_core_add_comm(&r->core, &r->comm);
    if (o->lookahead)
        r->core.lookahead = o->lookahead;
    open_channels(r);
    r->core.probes = 1;
    r->next_tick = scale_choose(r, (uint32_t)o->machine.tick + 1);
    r->phase = 1; /* both kinds of programs begin with sends */
    r->inside = r->waiting = o->quiet;
    if (!o->quiet)
        scale_turn_at(r, scale_choose(r, (uint32_t)(o->jitter * o->step) + 1));
    if (!o->method->asks && (o->program->immediate || o->quiet))
        scale_event_add(&(scale_node){.kind = KIND_LOOK, .to = rank, .time = S.request_at});
}

static void open_job(const scale_options *options) {
    int64_t period = (int64_t)(options->step + options->machine.tick);
    scale_events_open(2 * period);
    S.request_at = WARM_UP * period;
    S.at = wc_core_alloc(options->ranks * sizeof *S.at);
    S.arrivals = wc_core_alloc(options->ranks * sizeof *S.arrivals);
    for (uint32_t i = 0; i < options->ranks; i++) {
        size_t before = mallinfo2().uordblks;
        open_rank(i);
        if (i == options->ranks / 2)
            S.result->core_bytes =
                (double)(mallinfo2().uordblks - before + sizeof(wc_core) + sizeof(wc_comm));
    }
    if (options->method->asks)
        want_attempt(S.request_at);
    else
        S.requested_at = S.request_at;
}

/* What a message has at MPI is gone with the nodes. */
static void forget(wc_message *m) {
    if (m)
        m->handle = m->arriving = NULL;
}

static void close_job(void) {
    for (uint32_t i = 0; i < S.options.ranks; i++) {
        scale_rank *r = &S.at[i];
        for (wc_message *m = r->core.stash; m; m = m->next)
            forget(m);
        for (size_t k = 0; k < r->core.cut.count; k++)
            forget(r->core.cut.at[k]);
        if (r->waiting) {
            forget(r->recv.message);
            wc_message_drop(r->recv.message);
        }
        wc_core_free(&r->core);
    }
    free(S.at);
    free(S.arrivals);
    scale_events_close();
}

/* ---- results ---- */

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double median_of_ranks(int which) {
    uint32_t n = S.options.ranks;
    int64_t *all = wc_core_alloc(n * sizeof *all);
    for (uint32_t i = 0; i < n; i++)
        all[i] = S.at[i].took[which];
    qsort(all, n, sizeof *all, compare);
    int64_t median = all[n / 2];
    free(all);
    return (double)median;
}

static double since_request(int64_t time) {
    return time ? (double)(time - S.requested_at) : 0;
}

static void sum_up(scale_result *result) {
    double n = S.options.ranks;
    result->ended = S.over;
    result->armed = since_request(S.last_armed);
    result->recorded = since_request(S.last_recorded);
    result->closed = since_request(S.last_closed);
    result->rank_armed = median_of_ranks(0);
    result->rank_recorded = median_of_ranks(1);
    result->rank_closed = median_of_ranks(2);
    result->channels = (double)S.channels / n;
    result->markers = (double)S.markers / n;
    result->lazy = (double)S.lazy / n;
    result->messages = (double)S.messages / n;
    result->cut_bytes = (double)S.cut_bytes / n;
    result->copied = (double)S.copied / n * S.options.bytes;
    result->stalled = (double)S.stalled;
    result->step_ns = S.at[0].step ? (double)S.now / S.at[0].step : 0;
}

void scale_run_one(const scale_options *options, scale_result *result) {
    S = (scale_run){.options = *options, .result = result};
    *result = (scale_result){.program = options->quiet ? "idle" : options->program->name,
                             .method = options->method->name,
                             .kept = options->bundle ? "bundled" : "each",
                             .ranks = options->ranks,
                             .exact = true};
    mallopt(M_MMAP_THRESHOLD, 1 << 20); /* what is counted with mallinfo2 is small */
    bool fits = scale_shape_make(&S.shape, options->program->shape, options->ranks, options->seed);
    /* The channels that tokens have used are a mask. */
    if (!fits || (options->program->tokens && S.shape.degree > MASK_BITS)) {
        result->kept = "no such shape";
        return;
    }
    open_job(options);
    /* Time enough for anything that ends at all. */
    int64_t limit = 1000 * (int64_t)(options->step + options->machine.tick);
    uint32_t node;
    while (!S.over && !S.gave_up && S.now < limit && (node = scale_event_next())) {
        S.now = scale_node_at(node)->time;
        scale_rank_take(&S.at[scale_node_at(node)->to], node);
    }
    sum_up(result);
    close_job();
}

double scale_memory_needed(const scale_options *o) {
    scale_shape shape;
    if (!scale_shape_make(&shape, o->program->shape, o->ranks, o->seed))
        return 0;
    double slots = 64, entries = o->bundle ? 1 : shape.degree;
    while (entries * 2 > slots)
        slots *= 2;
    double tables =
        4 * slots * sizeof(void *) + 2 * entries * (sizeof(wc_channel) + sizeof(wc_stream) + 16);
    double copies = entries * (sizeof(wc_message) + 16 + sizeof(void *)),
           messages = 2.5 * shape.degree * sizeof(scale_node);
    return o->ranks * (sizeof(scale_rank) + tables + copies + messages);
}
