/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tokens hop from rank to rank until their hops are used up: programs that answer what comes. Every
 * way of receiving, all kinds of wildcards; with J.open receives stay posted across safe points.
 */
#include "sim.h"

#include <string.h>

enum { TOKENS = 4, HOPS = 25, BARRIERS = 4, STOP = SIM_TAGS - 1, MOST = SIM_COMMS * SIM_RANKS };
enum { ANY_SOURCE, ANY_TAG, ANY, KINDS };

static const uint32_t stop_token = UINT32_MAX;

/* The receives that are posted, together enough for whatever may come. */
typedef struct work {
    int channels; /* in use */
    int kind;
    bool barriers;
    sim_slot *slots[MOST]; /* NULL: not posted */
    int count;
} work;

static void took(const sim_payload *p) {
    sim_state *s = &me->state;
    if (p->tag == STOP && p->token == stop_token) {
        s->stopped = true;
    } else if (p->tag == STOP) {
        s->dead++;
    } else {
        s->queue[s->count].id = p->token;
        s->queue[s->count++].hops = p->hops;
    }
}

static void got(sim_slot *slot) {
    sim_slot_got(slot);
    took(&slot->payload);
}

/* ---- posted receives ---- */

static int slots_of(const work *w) {
    return w->kind == ANY_SOURCE ? SIM_TAGS : w->kind == ANY_TAG ? J.ranks : 1;
}

static void post_all(work *w) {
    int n = slots_of(w);
    w->count = w->channels * n;
    for (int i = 0; i < w->count; i++) {
        if (w->slots[i])
            continue;
        w->slots[i] = sim_alloc(sizeof *w->slots[i]);
        sim_slot_set(w->slots[i], i / n, w->kind == ANY_TAG ? i % n : MPI_ANY_SOURCE,
                     w->kind == ANY_SOURCE ? i % n : MPI_ANY_TAG);
        sim_slot_post(w->slots[i]);
    }
}

static void take(work *w, int i, const MPI_Status *status) {
    w->slots[i]->status = *status;
    got(w->slots[i]);
    w->slots[i] = NULL;
}

static void requests_of(const work *w, MPI_Request requests[MOST]) {
    for (int i = 0; i < w->count; i++)
        requests[i] = w->slots[i] ? w->slots[i]->request : MPI_REQUEST_NULL;
}

/* True if one was received. */
static bool test_posted(work *w) {
    MPI_Request requests[MOST];
    MPI_Status statuses[MOST];
    int indices[MOST], n = 0;
    requests_of(w, requests);
    if (sim_choose(2)) {
        MPI_Testany(w->count, requests, &indices[0], &n, statuses);
        n = n && indices[0] != MPI_UNDEFINED;
    } else {
        MPI_Testsome(w->count, requests, &n, indices, statuses);
    }
    for (int i = 0; i < n; i++)
        take(w, indices[i], &statuses[i]);
    return n > 0;
}

static void wait_posted(work *w) {
    MPI_Request requests[MOST];
    MPI_Status statuses[MOST];
    int indices[MOST], n = 1;
    requests_of(w, requests);
    if (sim_choose(2))
        MPI_Waitany(w->count, requests, indices, statuses);
    else
        MPI_Waitsome(w->count, requests, &n, indices, statuses);
    for (int i = 0; i < n; i++)
        take(w, indices[i], &statuses[i]);
}

/* Those that have got a message all the same are received. */
static void take_back(work *w) {
    for (int i = 0; i < w->count; i++) {
        int cancelled;
        MPI_Status status;
        if (!w->slots[i])
            continue;
        MPI_Cancel(&w->slots[i]->request);
        MPI_Wait(&w->slots[i]->request, &status);
        MPI_Test_cancelled(&status, &cancelled);
        if (cancelled)
            w->slots[i] = NULL;
        else
            take(w, i, &status);
    }
}

/* ---- without posted receives ---- */

static void receive(int channel, int source, int tag) {
    sim_slot slot;
    sim_slot_set(&slot, channel, source, tag);
    sim_slot_receive(&slot);
    took(&slot.payload);
}

static void receive_probed(int channel, const MPI_Status *status) {
    sim_slot slot;
    sim_slot_set(&slot, channel, MPI_ANY_SOURCE, status->MPI_TAG);
    slot.source = status->MPI_SOURCE;
    sim_slot_receive(&slot);
    took(&slot.payload);
}

static bool poll_one(const work *w) {
    MPI_Status status;
    int flag, channel = (int)sim_choose((unsigned)w->channels);
    int source = sim_choose(2) ? MPI_ANY_SOURCE : (int)sim_choose((unsigned)J.ranks);
    int tag = sim_choose(2) ? MPI_ANY_TAG : (int)sim_choose(SIM_TAGS);
    MPI_Iprobe(source, tag, me->comms[channel], &flag, &status);
    if (flag)
        receive_probed(channel, &status);
    return flag;
}

/* ---- sending ---- */

/* Looks after what comes meanwhile, as a program must whose sends may wait for their receives. */
static void send(work *w, int channel, int to, int tag, uint32_t token, uint32_t hops) {
    sim_payload p;
    int done = 0;
    sim_compose(&p, channel, to, tag, token, hops);
    if ((size_t)sim_bytes_of(&p) <= J.eager && sim_choose(2)) {
        MPI_Send(&p, sim_bytes_of(&p), MPI_BYTE, to, tag, me->comms[channel]);
        return;
    }
    MPI_Request request = sim_isend(&p, !w->barriers && sim_choose(8) == 0);
    for (MPI_Test(&request, &done, MPI_STATUS_IGNORE); !done;
         MPI_Test(&request, &done, MPI_STATUS_IGNORE)) {
        if (J.open)
            test_posted(w);
        else
            poll_one(w);
        if (J.open)
            post_all(w);
        sim_yield();
    }
}

static void hop(work *w, uint32_t id, uint32_t hops) {
    uint64_t h = sim_hash(J.options.seed, id, hops);
    int channel = (int)((h >> 32) % (unsigned)w->channels);
    if (hops == 0)
        send(w, channel, 0, STOP, id, 0);
    else
        send(w, channel, (int)(h % (unsigned)J.ranks), (int)((h >> 16) % STOP), id, hops - 1);
}

static void stop_all(work *w) {
    for (int to = 1; to < J.ranks; to++)
        send(w, 0, to, STOP, stop_token, 0);
    me->state.stopped = true;
}

/* ---- waiting ---- */

/* The ranks come to it when they like, with receives open: what meets those is MPI's affair then. */
static bool goes_to_barrier(work *w) {
    if (!w->barriers || me->state.rounds == BARRIERS || (!me->state.stopped && sim_choose(30)))
        return false;
    me->state.rounds++;
    if (J.open)
        post_all(w);
    MPI_Barrier(me->comms[0]);
    return true;
}

/* A rank that owes a barrier must not be blocked in a receive: the others may be waiting in there. */
static void wait_or_meet(work *w) {
    bool took_one = false;
    while (!took_one && !goes_to_barrier(w)) {
        if (J.open)
            post_all(w);
        took_one = J.open ? test_posted(w) : poll_one(w);
        sim_yield();
    }
}

static void wait_closed(work *w) {
    MPI_Status status;
    switch (w->channels > 1 ? 2 + sim_choose(3) : sim_choose(5)) {
    case 0:
        receive(0, MPI_ANY_SOURCE, MPI_ANY_TAG);
        return;
    case 1:
        MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, me->comms[0], &status);
        receive_probed(0, &status);
        return;
    case 2:
        while (!poll_one(w))
            sim_yield();
        return;
    case 3:
        post_all(w);
        wait_posted(w);
        take_back(w);
        return;
    default:
        post_all(w);
        while (!test_posted(w))
            sim_yield();
        take_back(w);
    }
}

static void wait_open(work *w) {
    post_all(w);
    if (sim_choose(2))
        wait_posted(w);
    else
        while (!test_posted(w))
            sim_yield();
}

static void begin(void) {
    for (uint32_t t = 0; t < TOKENS && !me->state.step; t++) {
        me->state.queue[me->state.count].id = (uint32_t)me->rank * TOKENS + t;
        me->state.queue[me->state.count++].hops = HOPS;
    }
}

static void act(work *w) {
    sim_state *s = &me->state;
    if (s->count) {
        s->count--;
        hop(w, s->queue[s->count].id, s->queue[s->count].hops);
    } else if (me->rank == 0 && s->dead == (uint32_t)(TOKENS * J.ranks)) {
        stop_all(w);
    } else if (w->barriers && s->rounds < BARRIERS) {
        wait_or_meet(w);
    } else if (J.open) {
        wait_open(w);
    } else {
        wait_closed(w);
    }
}

void sim_tokens(void) {
    uint64_t h = sim_hash(J.options.seed, 9, 9);
    work w = {.kind = (int)(h % KINDS), .channels = h / 8 % 2 ? 2 : 1};
    /* A rank that is inside a barrier receives nothing: then no send may wait for it. */
    w.barriers = J.eager >= sizeof(sim_payload) && h / 16 % 2;
    begin();
    for (;;) {
        bool over = me->state.stopped && (!w.barriers || me->state.rounds == BARRIERS);
        if (over)
            break;
        me->state.step++;
        sim_safepoint();
        if (!goes_to_barrier(&w))
            act(&w);
    }
    take_back(&w);
}
