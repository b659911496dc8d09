/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs with persistent requests, which are made once and started in each step. Messages of one persistent send are of one length:
 * those with tags from SIM_FIXED on. */
#include "sim.h"

enum { STEPS = 40, IN = 4, OUT = 3, VAIN = SIM_FIXED + 7 };
enum { LEFT, RIGHT, ANY_SOURCE, ANY };

/* What a rank has made. */
typedef struct work {
    sim_slot in[IN], *at[IN + 1];
    MPI_Request receives[IN], vain, sends[OUT];
    sim_payload out[OUT], plain;
    sim_slot other; /* a receive that is not persistent, of the messages of LEFT */
} work;

static int left(void) {
    return (me->rank + J.ranks - 1) % J.ranks;
}

static int right(void) {
    return (me->rank + 1) % J.ranks;
}

static void make_receive(work *w, int i, int channel, int source, int tag) {
    sim_slot_set(&w->in[i], channel, source, tag);
    MPI_Recv_init(&w->in[i].payload, sizeof w->in[i].payload, MPI_BYTE, w->in[i].source, tag,
                  me->comms[channel], &w->receives[i]);
}

/* Channel 2 has every other rank; a rank without a neighbour there sends to itself. */
static int next_of_half(void) {
    return me->rank + 2 < J.ranks ? me->rank + 2 : me->rank % 2;
}

static void make_send(work *w, int i, int channel, int to, int tag) {
    sim_payload *p = &w->out[i];
    *p = (sim_payload){.channel = (uint32_t)channel, .destination = (uint32_t)to, .tag = tag};
    if (i == 1)
        MPI_Ssend_init(p, sim_bytes_of(p), MPI_BYTE, sim_peer(channel, to), tag, me->comms[channel],
                       &w->sends[i]);
    else
        MPI_Send_init(p, sim_bytes_of(p), MPI_BYTE, sim_peer(channel, to), tag, me->comms[channel],
                      &w->sends[i]);
}

static void make(work *w) {
    make_receive(w, LEFT, 0, left(), SIM_FIXED);
    make_receive(w, RIGHT, 0, right(), SIM_FIXED + 1);
    make_receive(w, ANY_SOURCE, 1, MPI_ANY_SOURCE, SIM_FIXED + 2);
    make_receive(w, ANY, 2, MPI_ANY_SOURCE, MPI_ANY_TAG);
    MPI_Recv_init(NULL, 0, MPI_BYTE, MPI_ANY_SOURCE, VAIN, me->comms[0], &w->vain);
    make_send(w, 0, 0, right(), SIM_FIXED);
    make_send(w, 1, 0, left(), SIM_FIXED + 1);
    make_send(w, 2, 1, right(), SIM_FIXED + 2);
}

static void drop(work *w) {
    for (int i = 0; i < IN; i++)
        MPI_Request_free(&w->receives[i]);
    for (int i = 0; i < OUT; i++)
        MPI_Request_free(&w->sends[i]);
    MPI_Request_free(&w->vain);
}

static void start(work *w, int i) {
    w->in[i].order = ++me->postings;
    w->in[i].request = w->receives[i];
    MPI_Start(&w->receives[i]);
}

/* The message of LEFT in this step comes after one that a plain receive gets, or before it. */
static void start_receives(work *w, bool plain_first) {
    for (int i = 0; i <= IN; i++) {
        if (i == (plain_first ? 0 : IN)) {
            sim_slot_set(&w->other, 0, left(), SIM_FIXED);
            sim_slot_post(&w->other);
        }
        if (i < IN)
            start(w, i);
    }
}

static void compose(sim_payload *p) {
    sim_compose(p, (int)p->channel, (int)p->destination, p->tag, 0, 0);
}

static void send_all(work *w, MPI_Request *plain) {
    for (int i = 0; i < OUT; i++)
        compose(&w->out[i]);
    MPI_Startall(OUT, w->sends);
    sim_compose(&w->plain, 0, right(), SIM_FIXED, 0, 0);
    *plain = sim_isend(&w->plain, false);
}

static void cancel_in_vain(work *w) {
    MPI_Status status;
    int cancelled;
    MPI_Start(&w->vain);
    if (sim_choose(2))
        sim_yield();
    MPI_Cancel(&w->vain);
    MPI_Wait(&w->vain, &status);
    MPI_Test_cancelled(&status, &cancelled);
    if (!cancelled)
        sim_problem("rank %d got what nobody sent", me->rank);
}

static void complete_sends(work *w, MPI_Request plain) {
    MPI_Request all[OUT + 2] = {w->vain, plain};
    for (int i = 0; i < OUT; i++)
        all[i + 2] = w->sends[i];
    MPI_Waitall(OUT + 2, all, MPI_STATUSES_IGNORE);
}

/* Receives stand active at the safe points where J.open allows it, else there is nothing in the way of a snapshot. */
void sim_persistent(void) {
    work w;
    sim_payload half;
    make(&w);
    for (int i = 0; i < IN; i++)
        w.at[i] = &w.in[i];
    w.at[IN] = &w.other;
    bool ahead = J.open && me->state.step > 0;
    if (ahead)
        start_receives(&w, me->state.step % 2);
    for (; me->state.step < STEPS; me->state.step++) {
        MPI_Request plain, half_send;
        sim_safepoint();
        if (!J.open || me->state.step == 0)
            start_receives(&w, me->state.step % 2);
        send_all(&w, &plain);
        sim_compose(&half, 2, next_of_half(), me->state.step % SIM_TAGS, 0, 0);
        half_send = sim_isend(&half, false);
        if (sim_choose(8) == 0)
            cancel_in_vain(&w);
        sim_slots_wait(w.at, IN + 1);
        complete_sends(&w, plain);
        MPI_Wait(&half_send, MPI_STATUS_IGNORE);
        if (J.open && me->state.step + 1 < STEPS)
            start_receives(&w, (me->state.step + 1) % 2);
        if (!J.open && sim_choose(10) == 0) {
            drop(&w);
            make(&w);
        }
    }
    drop(&w);
    if (!J.open && J.voids[WC_REASON_REQUEST_OPEN])
        sim_problem("an attempt was void though no request was active");
}

/* Every third safe point finds one active that only this process knows of: it can't be restarted from there. */
void sim_persistent_ahead(void) {
    work w;
    sim_payload *out = &w.out[0];
    make_receive(&w, LEFT, 0, left(), SIM_FIXED);
    make_send(&w, 0, 0, right(), SIM_FIXED);
    for (; me->state.step < STEPS; me->state.step++) {
        sim_safepoint();
        if (me->state.step % 3 || me->state.step == 0)
            start(&w, LEFT);
        compose(out);
        MPI_Start(&w.sends[0]);
        MPI_Wait(&w.receives[LEFT], &w.in[LEFT].status);
        sim_slot_got(&w.in[LEFT]);
        MPI_Wait(&w.sends[0], MPI_STATUS_IGNORE);
        if (me->state.step % 3 == 2 && me->state.step + 1 < STEPS)
            start(&w, LEFT);
    }
    MPI_Request_free(&w.receives[LEFT]);
    MPI_Request_free(&w.sends[0]);
}
