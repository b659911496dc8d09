/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs that go in steps. What is sent in a step is received in it or some steps later; which
 * message is due when is known to both sides from the seed alone.
 */
#include "sim.h"

#include <string.h>

enum { STEPS = 40, DELAYS = 4, AHEAD = 2, STEP_TAGS = SIM_TAGS, CHANNELS = 3 };
enum { MOST = SIM_OPEN, MOST_SENDS = 4096, VAIN_TAG = STEP_TAGS + STEPS + 1 };
enum { SPECIFIC, ANY_SOURCE, ANY_TAG, ANY, KINDS }; /* of receives on channel 1 */

typedef struct plan {
    int due, tag;
} plan;

/* What this rank has open. */
typedef struct work {
    sim_slot *slots[MOST];
    int count;
    sim_slot *vain;     /* a receive that nothing is sent to; NULL: none */
    MPI_Request *sends; /* [MOST_SENDS] */
    int send_count;
    int kind;
    bool barriers;
} work;

static int count_of(int step, int from, int to, int channel) {
    if (channel == 2 && from % 2 != to % 2)
        return 0;
    return (int)(sim_hash(J.options.seed, (uint64_t)(step * 64 + from * 8 + to),
                          (uint64_t)channel) %
                 5) /
           (channel == 2 ? 4 : 2);
}

static int kind_of_seed(void) {
    return (int)(sim_hash(J.options.seed, 3, 3) % KINDS);
}

/* A send that waits for its receive must not be open at the safe points between. */
static bool ends_in_its_step(void) {
    return !J.open && J.eager < sizeof(sim_payload);
}

static plan plan_of(int step, int from, int to, int channel, int m) {
    uint64_t h = sim_hash(J.options.seed + 17, (uint64_t)(step * 64 + from * 8 + to),
                          (uint64_t)(channel * 16 + m));
    plan p = {.due = step + (int)(h % DELAYS), .tag = (int)((h >> 8) % SIM_TAGS)};
    if (ends_in_its_step())
        p.due = step;
    p.due = p.due < STEPS ? p.due : STEPS - 1;
    if (channel == 1 && kind_of_seed() == ANY_SOURCE)
        p.tag = STEP_TAGS + p.due; /* or a rank that is ahead would answer for a later step */
    return p;
}

/* Steps that a receive stays open though its message is there: at times over several cuts. */
static int wait_of(int due, int m) {
    uint64_t h = sim_hash(J.options.seed, (uint64_t)due, (uint64_t)m);
    return (int)(h % 8 == 0 ? h / 8 % 24 : h / 8 % 3);
}

/* Those of one sender that are due in this step. */
static void post_from(work *w, int channel, int from, int due) {
    for (int s = due < DELAYS ? 0 : due - DELAYS + 1; s <= due; s++)
        for (int m = 0; m < count_of(s, from, me->rank, channel); m++) {
            plan p = plan_of(s, from, me->rank, channel, m);
            if (p.due != due)
                continue;
            bool wild = channel == 1;
            sim_slot *slot = w->slots[w->count++] = sim_alloc(sizeof *slot);
            sim_slot_set(slot, channel,
                         wild && (w->kind == ANY_SOURCE || w->kind == ANY) ? MPI_ANY_SOURCE : from,
                         wild && (w->kind == ANY_TAG || w->kind == ANY) ? MPI_ANY_TAG : p.tag);
            slot->due = due;
            if (J.open)
                slot->due += wait_of(due, m);
            sim_slot_post(slot);
        }
}

static void post_due(work *w, int due) {
    for (int channel = 0; channel < CHANNELS && due < STEPS; channel++)
        for (int from = 0; from < J.ranks; from++)
            post_from(w, channel, from, due);
}

static void send_one(work *w, int channel, int to, plan p) {
    sim_payload *payload = sim_alloc(sizeof *payload);
    sim_compose(payload, channel, to, p.tag, 0, 0);
    bool short_enough = (size_t)sim_bytes_of(payload) <= J.eager;
    if (short_enough && sim_choose(2)) {
        MPI_Send(payload, sim_bytes_of(payload), MPI_BYTE, sim_peer(channel, to), p.tag,
                 me->comms[channel]);
        return;
    }
    w->sends[w->send_count++] = sim_isend(payload, ends_in_its_step() && sim_choose(6) == 0);
}

static void send_all(work *w) {
    for (int channel = 0; channel < CHANNELS; channel++)
        for (int to = 0; to < J.ranks; to++)
            for (int m = 0; m < count_of(me->state.step, me->rank, to, channel); m++)
                send_one(w, channel, to, plan_of(me->state.step, me->rank, to, channel, m));
}

static void wait_due(work *w, bool all) {
    sim_slot *due[MOST];
    int n = 0, kept = 0;
    for (int i = 0; i < w->count; i++) {
        if (all || w->slots[i]->due <= me->state.step)
            due[n++] = w->slots[i];
        else
            w->slots[kept++] = w->slots[i];
    }
    w->count = kept;
    sim_slots_wait(due, n);
}

static void complete_sends(work *w) {
    MPI_Waitall(w->send_count, w->sends, MPI_STATUSES_IGNORE);
    w->send_count = 0;
}

/* A receive in vain, with wildcards at times where they can get nothing else, and its cancellation. */
static void post_in_vain(work *w) {
    if (w->vain || sim_choose(3) || me->rank % 2 == 0)
        return;
    w->vain = sim_alloc(sizeof *w->vain);
    sim_slot_set(w->vain, 0, sim_choose(2) ? MPI_ANY_SOURCE : (int)sim_choose((unsigned)J.ranks),
                 VAIN_TAG);
    sim_slot_post(w->vain);
}

static void cancel_in_vain(work *w) {
    int cancelled;
    if (!w->vain)
        return;
    MPI_Cancel(&w->vain->request);
    MPI_Wait(&w->vain->request, &w->vain->status);
    MPI_Test_cancelled(&w->vain->status, &cancelled);
    if (!cancelled)
        sim_problem("rank %d got what nobody sent", me->rank);
    w->vain = NULL;
}

/* Around the ring, with tags of its own. */
static void shift(void) {
    int next = (me->rank + 1) % J.ranks, previous = (me->rank + J.ranks - 1) % J.ranks;
    int tag = STEP_TAGS + me->state.step;
    sim_payload out;
    sim_slot in;
    sim_slot_set(&in, 0, previous, tag);
    sim_compose(&out, 0, next, tag, 0, 0);
    MPI_Sendrecv(&out, sim_bytes_of(&out), MPI_BYTE, next, tag, &in.payload, sizeof in.payload,
                 MPI_BYTE, previous, tag, me->comms[0], &in.status);
    sim_slot_got(&in);
}

/* What the ranks do together: nothing, a shift, a sum over all of them or over every other one. */
static void collective(work *w) {
    int one = 1, sum = 0, root = me->state.step % J.ranks;
    switch (w->barriers ? 0 : sim_hash(J.options.seed, (uint64_t)me->state.step, 77) % 6) {
    case 0:
        MPI_Barrier(me->comms[1]);
        return;
    case 1:
        MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, me->comms[2]);
        if (sum != (J.ranks + 1 - me->rank % 2) / 2)
            sim_problem("rank %d got a wrong sum: %d", me->rank, sum);
        return;
    case 2:
        MPI_Bcast(&root, 1, MPI_INT, me->state.step % J.ranks, MPI_COMM_WORLD);
        return;
    case 3:
        MPI_Reduce(&one, &sum, 1, MPI_INT, MPI_SUM, root, MPI_COMM_WORLD);
        return;
    case 4:
        shift();
        return;
    default:
        return;
    }
}

/* What is open at a safe point is part of the state, and is posted again after a restart. */
static void keep_open(const work *w) {
    me->state.receive_count = w->count;
    for (int i = 0; i < w->count; i++) {
        const sim_slot *s = w->slots[i];
        me->state.receives[i].channel = (int8_t)s->channel;
        me->state.receives[i].source = (int8_t)s->source;
        me->state.receives[i].tag = (int8_t)s->tag;
        me->state.receives[i].due = (int8_t)s->due;
    }
}

static void reopen(work *w) {
    for (int i = 0; i < me->state.receive_count; i++) {
        sim_slot *s = w->slots[w->count++] = sim_alloc(sizeof *s);
        *s = (sim_slot){.channel = me->state.receives[i].channel,
                        .source = me->state.receives[i].source,
                        .tag = me->state.receives[i].tag,
                        .due = me->state.receives[i].due,
                        .order = ++me->postings};
        sim_slot_post(s);
    }
}

void sim_aligned(void) {
    work w = {.kind = kind_of_seed(), .sends = sim_alloc(MOST_SENDS * sizeof *w.sends)};
    w.barriers = w.kind == ANY || w.kind == ANY_TAG || sim_hash(J.options.seed, 4, 4) % 4 == 0;
    reopen(&w);
    for (; me->state.step < STEPS; me->state.step++) {
        int step = me->state.step;
        keep_open(&w);
        sim_safepoint();
        for (int due = 0; J.open && step == 0 && due < AHEAD; due++)
            post_due(&w, due);
        post_in_vain(&w);
        post_due(&w, J.open ? step + AHEAD : step);
        send_all(&w);
        wait_due(&w, false);
        if (!J.open || sim_choose(4) == 0)
            cancel_in_vain(&w);
        if (!J.open || J.eager == SIZE_MAX)
            complete_sends(&w);
        collective(&w);
    }
    cancel_in_vain(&w);
    wait_due(&w, true);
    complete_sends(&w);
}
