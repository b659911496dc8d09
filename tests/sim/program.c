/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim.h"

#include <stdlib.h>

enum {
    STEPS = 40,
    DELAYS = 4,
    AHEAD = 2,
    STEP_TAGS = SIM_TAGS, /* the first of one for each step */
    TOKENS = 4,
    HOPS = 25,
    BARRIERS = 6,
    STOP = SIM_TAGS - 1
};
enum { PHASE_TOP, PHASE_WAIT, PHASE_BARRIER };
enum { KIND_SOURCE, KIND_TAG, KIND_BOTH, KINDS }; /* what is a wildcard */

static const uint32_t stop_token = UINT32_MAX;

static void at_safepoint(sim_rank *r) {
    r->core.now = J.now;
    wc_core_safepoint(&r->core, J.now);
    if (J.options.quiet)
        return;
    if (sim_choose(4) == 0 && !wc_core_busy(&r->core))
        wc_core_request(&r->core);
    if (sim_choose(40) == 0)
        wc_core_request(&r->core); /* during an attempt, too */
}

/* ---- aligned: stepwise, see tests/traffic/traffic_aligned.c ---- */

typedef struct planned {
    int due, tag;
} planned;

static int count_of(int step, int from, int to, int comm) {
    return (int)(sim_hash(J.options.seed, (uint64_t)(step * 64 + from * 8 + to), (uint64_t)comm) %
                 5) /
           2;
}

static planned plan(int step, int from, int to, int comm, int m) {
    uint64_t h = sim_hash(J.options.seed + 17, (uint64_t)(step * 64 + from * 8 + to),
                          (uint64_t)(comm * 16 + m));
    planned p = {.due = step + (int)(h % DELAYS), .tag = (int)((h >> 8) % SIM_TAGS)};
    p.due = p.due < STEPS ? p.due : STEPS - 1;
    if (comm == 1 && J.kind == KIND_SOURCE)
        p.tag = STEP_TAGS + p.due; /* or a rank that is ahead would answer for a later step */
    return p;
}

static void post_due(sim_rank *r, int due) {
    for (int comm = 0; comm < SIM_COMMS && due < STEPS; comm++)
        for (int from = 0; from < J.ranks; from++)
            for (int s = due < DELAYS ? 0 : due - DELAYS + 1; s <= due; s++)
                for (int m = 0; m < count_of(s, from, r->rank, comm); m++) {
                    planned p = plan(s, from, r->rank, comm, m);
                    if (p.due != due)
                        continue;
                    bool any_source = comm == 1 && J.kind != KIND_TAG,
                         any_tag = comm == 1 && J.kind != KIND_SOURCE;
                    sim_receive *w = sim_receive_start(r, comm, any_source ? WC_ANY : from,
                                                       any_tag ? WC_ANY : p.tag, false);
                    w->wait =
                        due + (J.options.open
                                   ? (int)(sim_hash(J.options.seed, (uint64_t)due, (uint64_t)m) % 3)
                                   : 0);
                }
}

static void aligned_top(sim_rank *r) {
    int step = r->state.step;
    bool first = r->core.step == 0;
    at_safepoint(r);
    for (int due = step; J.options.open && first && due < step + AHEAD; due++)
        post_due(r, due);
    post_due(r, J.options.open ? step + AHEAD : step);
    for (int comm = 0; comm < SIM_COMMS; comm++)
        for (int to = 0; to < J.ranks; to++)
            for (int m = 0; m < count_of(step, r->rank, to, comm); m++)
                sim_send(r, comm, to, plan(step, r->rank, to, comm, m).tag, 0, 0);
    r->phase = PHASE_WAIT;
}

/* Hands over one of those that are due, any. True when none is left. */
static bool aligned_wait(sim_rank *r) {
    sim_receive *due[256];
    unsigned n = 0;
    for (sim_receive *w = r->receives; w && n < 256; w = w->next)
        if (w->wait <= r->state.step || r->state.step == STEPS - 1)
            due[n++] = w;
    if (n == 0)
        return true;
    sim_receive *w = due[sim_choose(n)];
    if (wc_core_slow(&r->core))
        wc_core_progress(&r->core, J.now);
    if (sim_receive_ready(w))
        sim_receive_finish(r, w);
    return false;
}

static void enter_barrier(sim_rank *r) {
    wc_core_native_begin(&r->core);
    r->comms[0].collectives++;
    r->barriers++;
    r->in_barrier = true;
}

/* True when every rank has entered it. */
static bool leave_barrier(sim_rank *r) {
    for (int i = 0; i < J.ranks; i++)
        if (J.at[i].barriers < r->barriers)
            return false;
    wc_core_native_end(&r->core);
    r->in_barrier = false;
    return true;
}

static void aligned_turn(sim_rank *r) {
    switch (r->phase) {
    case PHASE_TOP:
        aligned_top(r);
        return;
    case PHASE_WAIT:
        if (!aligned_wait(r))
            return;
        r->phase = J.barriers ? PHASE_BARRIER : PHASE_TOP;
        if (J.barriers)
            enter_barrier(r);
        else
            r->state.step++;
        return;
    default:
        if (!leave_barrier(r))
            return;
        r->phase = PHASE_TOP;
        r->state.step++;
    }
}

/* ---- immediate: tokens ---- */

static void hop(sim_rank *r, uint32_t id, uint32_t hops) {
    uint64_t h = sim_hash(J.options.seed, id, hops);
    int comm = (int)((h >> 32) % (unsigned)J.comms);
    if (hops == 0)
        sim_send(r, comm, 0, STOP, id, 0);
    else
        sim_send(r, comm, (int)(h % (unsigned)J.ranks), (int)((h >> 16) % STOP), id, hops - 1);
}

static void stop_all(sim_rank *r) {
    for (int to = 1; to < J.ranks; to++)
        sim_send(r, 0, to, STOP, stop_token, 0);
    r->state.stopped = true;
}

/* Together they can take every message. */
static void post_all(sim_rank *r) {
    bool posted[SIM_COMMS][SIM_RANKS] = {{false}};
    for (const sim_receive *w = r->receives; w; w = w->next)
        posted[w->recv.comm->uid - 1][J.kind == KIND_SOURCE ? w->recv.tag
                                      : J.kind == KIND_TAG  ? w->recv.source
                                                            : 0] = true;
    int n = J.kind == KIND_SOURCE ? SIM_TAGS : J.kind == KIND_TAG ? J.ranks : 1;
    for (int comm = 0; comm < J.comms; comm++)
        for (int i = 0; i < n; i++)
            if (!posted[comm][i])
                sim_receive_start(r, comm, J.kind == KIND_TAG ? i : WC_ANY,
                                  J.kind == KIND_SOURCE ? i : WC_ANY, false);
}

static void starve(sim_rank *r) {
    wc_core_progress(&r->core, J.now);
    wc_core_starved(&r->core);
}

/* Any of those that are open, or the one that this rank is blocked in. */
static bool immediate_wait(sim_rank *r) {
    r->core.wanting = true;
    sim_receive *ready = NULL;
    for (sim_receive *w = r->receives; w && !ready; w = w->next)
        if (sim_receive_ready(w))
            ready = w;
    if (!ready)
        starve(r);
    r->core.wanting = false;
    if (ready)
        sim_receive_finish(r, ready);
    return ready;
}

static bool owes_barriers(const sim_rank *r) {
    return J.barriers && r->barriers < BARRIERS;
}

/* The ranks come to it when they like, with receives open: what meets those is MPI's affair then. */
static bool goes_to_barrier(sim_rank *r) {
    if (!owes_barriers(r) || (!r->state.stopped && sim_choose(30)))
        return false;
    enter_barrier(r);
    r->phase = PHASE_BARRIER;
    return true;
}

static void immediate_turn(sim_rank *r) {
    if (r->phase == PHASE_BARRIER) {
        r->phase = leave_barrier(r) ? PHASE_TOP : PHASE_BARRIER;
        return;
    }
    if (goes_to_barrier(r))
        return;
    if (r->phase == PHASE_WAIT) {
        r->phase = immediate_wait(r) ? PHASE_TOP : PHASE_WAIT;
        return;
    }
    r->state.step++;
    at_safepoint(r);
    if (r->state.count) {
        r->state.count--;
        hop(r, r->state.queue[r->state.count].id, r->state.queue[r->state.count].hops);
    } else if (r->rank == 0 && r->state.dead == (uint32_t)(TOKENS * J.ranks)) {
        stop_all(r);
    } else {
        if (J.options.open)
            post_all(r);
        else
            r->waiting = sim_receive_start(r, 0, WC_ANY, WC_ANY, true);
        r->phase = PHASE_WAIT;
    }
}

/* ---- both ---- */

void sim_program_begin(void) {
    for (int i = 0; i < J.ranks && J.options.immediate; i++)
        for (uint32_t t = 0; t < TOKENS; t++) {
            sim_state *s = &J.at[i].state;
            s->queue[s->count].id = (uint32_t)i * TOKENS + t;
            s->queue[s->count++].hops = HOPS;
        }
}

void sim_program_took(sim_rank *r, const sim_payload *payload, int tag) {
    if (!J.options.immediate)
        return;
    if (payload->token == stop_token)
        r->state.stopped = true;
    else if (tag == STOP)
        r->state.dead++;
    else {
        r->state.queue[r->state.count].id = payload->token;
        r->state.queue[r->state.count++].hops = payload->hops;
    }
}

bool sim_program_done(const sim_rank *r) {
    if (J.options.immediate)
        return r->state.stopped && r->phase == PHASE_TOP && !owes_barriers(r);
    return r->state.step == STEPS;
}

void sim_program_turn(sim_rank *r) {
    if (J.options.immediate)
        immediate_turn(r);
    else
        aligned_turn(r);
}

void sim_program_end(sim_rank *r) {
    while (r->receives) {
        sim_receive *w = r->receives;
        if (!w->posted && w->recv.state != WC_RECV_SOFT)
            sim_problem("rank %d has a message that nobody sent", r->rank);
        wc_core_cancel(&r->core, &w->recv);
        wc_core_forget(&r->core, &w->recv);
        r->receives = w->next;
        free(w);
    }
    r->receives_end = &r->receives;
}
