/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs that are legal and easily broken: what MPI promises them, it must keep under a snapshot. */
#include "sim.h"

enum { ROUNDS = 40, REQUEST = 0, REPLY = 1, STOP = 2 };

static int partner(void) {
    int other = me->rank ^ 1;
    return other < J.ranks ? other : me->rank; /* the odd one out is its own */
}

static void post_tag(sim_slot *slot, int source, int tag) {
    sim_slot_set(slot, 0, source, tag);
    sim_slot_post(slot);
}

/* Two ranks send to each other's posted receives, and neither send ends before its receive. */
static void crossing(void) {
    for (; me->state.step < ROUNDS; me->state.step++) {
        sim_safepoint();
        sim_slot slot;
        post_tag(&slot, partner(), 0);
        sim_send(0, partner(), 0, 0, 0);
        MPI_Wait(&slot.request, &slot.status);
        sim_slot_got(&slot);
    }
}

/* The receiver goes into a barrier with its receive posted; the sender only when its send has ended. */
static void wait_behind_barrier(void) {
    for (; me->state.step < ROUNDS; me->state.step++) {
        sim_safepoint();
        sim_slot slot;
        bool receives = (me->rank + me->state.step) % 2 && partner() != me->rank;
        if (receives) {
            post_tag(&slot, partner(), 1);
        } else if (partner() != me->rank) {
            sim_send(0, partner(), 1, 0, 0);
        }
        MPI_Barrier(me->comms[1]);
        if (receives) {
            MPI_Wait(&slot.request, &slot.status);
            sim_slot_got(&slot);
        }
    }
}

/* One half of the ranks meets in a barrier, with receives open for what the other half sends. */
static void half_barrier(void) {
    for (; me->state.step < ROUNDS; me->state.step++) {
        sim_slot slot;
        sim_safepoint();
        post_tag(&slot, partner(), MPI_ANY_TAG);
        if ((me->state.step + me->rank) % 2)
            MPI_Barrier(me->comms[2]);
        sim_send(0, partner(), me->state.step % SIM_TAGS, 0, 0);
        MPI_Wait(&slot.request, &slot.status);
        sim_slot_got(&slot);
        if ((me->state.step + me->rank) % 2 == 0)
            MPI_Barrier(me->comms[2]);
    }
}

/* Two messages are there after a barrier that their sender takes no part in, and which is received first
 * is the receiver's choice: by the second's tag, or in order. */
static void two_tags(void) {
    for (; me->state.step < ROUNDS; me->state.step++) {
        sim_slot slots[2];
        sim_payload out[2];
        MPI_Request sends[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
        bool chosen = sim_choose(2), receives = me->rank % 2;
        sim_safepoint();
        if (receives && chosen)
            post_tag(&slots[0], partner(), 1);
        for (int tag = 0; tag < 2 && !receives && partner() != me->rank; tag++) {
            sim_compose(&out[tag], 0, partner(), tag, 0, 0);
            sends[tag] = sim_isend(&out[tag], false);
        }
        MPI_Barrier(me->comms[2]);
        if (receives && chosen) {
            MPI_Wait(&slots[0].request, &slots[0].status);
            sim_slot_got(&slots[0]);
        }
        for (int i = chosen; i < 2 && receives; i++) {
            sim_slot_set(&slots[i], 0, partner(), MPI_ANY_TAG);
            sim_slot_receive(&slots[i]);
        }
        MPI_Waitall(2, sends, MPI_STATUSES_IGNORE);
    }
}

/* One tag, another, any: matched as posted, whatever the order of the messages. */
static void three_receives(void) {
    for (; me->state.step < ROUNDS; me->state.step++) {
        sim_slot slots[3], *at[3] = {&slots[0], &slots[1], &slots[2]};
        sim_payload out[3];
        MPI_Request sends[3];
        sim_safepoint();
        int first = (int)sim_choose(3);
        for (int i = 0; i < 3; i++) {
            post_tag(&slots[i], partner(), i == 2 ? MPI_ANY_TAG : i);
        }
        for (int i = 0; i < 3; i++) {
            sim_compose(&out[i], 0, partner(), (first + i) % 3, 0, 0);
            sends[i] = sim_isend(&out[i], false);
        }
        sim_slots_wait(at, 3);
        MPI_Waitall(3, sends, MPI_STATUSES_IGNORE);
    }
}

/* Nobody knows who sends to whom: synchronous sends, probes, and a barrier that says when all are
 * received (Hoefler, Siebert, Lumsdaine: Scalable communication protocols for dynamic sparse data
 * exchange, PPoPP 2010). */
static void sparse(void) {
    for (; me->state.step < ROUNDS; me->state.step++) {
        sim_safepoint();
        MPI_Request sends[SIM_RANKS], barrier = MPI_REQUEST_NULL;
        sim_payload out[SIM_RANKS];
        int n = 0, sent = 0, over = 0;
        for (int to = 0; to < J.ranks; to++) {
            if (sim_hash(J.options.seed, (uint64_t)me->state.step, (uint64_t)(me->rank * 8 + to)) %
                3)
                continue;
            sim_compose(&out[n], 0, to, me->state.step % 2, 0, 0);
            sends[n] = sim_isend(&out[n], true);
            n++;
        }
        while (!over) {
            MPI_Status status;
            int flag;
            MPI_Iprobe(MPI_ANY_SOURCE, me->state.step % 2, MPI_COMM_WORLD, &flag, &status);
            if (flag) {
                sim_slot slot;
                sim_slot_set(&slot, 0, MPI_ANY_SOURCE, status.MPI_TAG);
                slot.source = status.MPI_SOURCE;
                sim_slot_receive(&slot);
            }
            if (!sent)
                MPI_Testall(n, sends, &sent, MPI_STATUSES_IGNORE);
            if (sent && barrier == MPI_REQUEST_NULL)
                MPI_Ibarrier(MPI_COMM_WORLD, &barrier);
            else if (sent)
                MPI_Test(&barrier, &over, MPI_STATUS_IGNORE);
            sim_yield();
        }
    }
}

/* The first synchronous send may come when an attempt is under way already. None is over before its receiver asks, which
 * looks for it some time before. */
static void synchronous_at_last(void) {
    int first = (int)(sim_hash(J.options.seed, 0, 17) % ROUNDS);
    for (; me->state.step < ROUNDS; me->state.step++) {
        sim_safepoint();
        uint32_t round = (uint32_t)me->state.step + 1;
        bool sync = me->state.step >= first;
        int flag = 0;
        if (partner() == me->rank)
            continue;
        if (me->rank % 2) {
            for (unsigned looks = sim_choose(40); looks; looks--) {
                MPI_Iprobe(partner(), 1, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
                sim_yield();
            }
            sim_slot slot;
            me->state.rounds = round;
            sim_slot_set(&slot, 0, partner(), 1);
            sim_slot_receive(&slot);
            continue;
        }
        sim_payload out;
        sim_compose(&out, 0, partner(), 1, 0, 0);
        MPI_Request send = sim_isend(&out, sync);
        while (!flag) {
            MPI_Test(&send, &flag, MPI_STATUS_IGNORE);
            sim_yield();
        }
        if (sync && J.at[partner()].state.rounds < round)
            sim_problem("rank %d: a synchronous send is over before its receive", me->rank);
    }
}

/* Every third safe point finds a receive open that only this process knows of: it can't be restarted from
 * there. */
static void posts_ahead(void) {
    sim_slot *slot = sim_alloc(sizeof *slot);
    for (; me->state.step < ROUNDS; me->state.step++) {
        sim_safepoint();
        if (me->state.step % 3 || me->state.step == 0)
            post_tag(slot, partner(), 0);
        sim_payload out;
        sim_compose(&out, 0, partner(), 0, 0, 0);
        MPI_Request send = sim_isend(&out, false);
        MPI_Wait(&slot->request, &slot->status);
        sim_slot_got(slot);
        MPI_Wait(&send, MPI_STATUS_IGNORE);
        if (me->state.step % 3 == 2 && me->state.step + 1 < ROUNDS)
            post_tag(slot, partner(), 0);
    }
}

/* A record inside the receive would have the barrier before it repeated after a restart. */
static void barrier_then_receive(void) {
    for (; me->state.step < ROUNDS; me->state.step++) {
        bool receives = (me->rank + me->state.step) % 2 && partner() != me->rank;
        sim_safepoint();
        MPI_Barrier(me->comms[1]);
        if (receives) {
            sim_slot slot;
            sim_slot_set(&slot, 0, MPI_ANY_SOURCE, MPI_ANY_TAG);
            sim_slot_receive(&slot);
        } else if (partner() != me->rank) {
            sim_send(0, partner(), me->state.step % SIM_TAGS, 0, 0);
        }
    }
}

/* With MPI_Comm_idup members come to know of it when they use it, or at a safe point. */
static void make_copy(MPI_Comm *copy) {
    MPI_Request made;
    if (sim_hash(J.options.seed, me->state.step, 5) % 2) {
        MPI_Comm_dup(MPI_COMM_WORLD, copy);
        return;
    }
    MPI_Comm_idup(MPI_COMM_WORLD, copy, &made);
    MPI_Barrier(me->comms[1]);
    MPI_Wait(&made, MPI_STATUS_IGNORE);
}

/* A communicator for each round, freed while its messages are under way. */
static void coming_and_going(void) {
    for (; me->state.step < ROUNDS / 2; me->state.step++) {
        sim_safepoint();
        sim_slot slot, *at = &slot;
        sim_payload out;
        int next = (me->rank + 1) % J.ranks, previous = (me->rank + J.ranks - 1) % J.ranks;
        make_copy(&me->comms[3]);
        if (sim_hash(J.options.seed, me->state.step, 6) % 2)
            sim_safepoint(); /* not used yet */
        sim_slot_set(&slot, 3, previous, 0);
        sim_slot_post(&slot);
        sim_compose(&out, 3, next, 0, 0, 0);
        MPI_Request send = sim_isend(&out, sim_choose(2));
        MPI_Comm_free(&me->comms[3]);
        sim_slots_wait(&at, 1);
        MPI_Wait(&send, MPI_STATUS_IGNORE);
    }
}

/* Collectives on communicators that overlap, one kind more often than the other, and messages across
 * both. */
static void rows_and_columns(void) {
    MPI_Comm column;
    MPI_Comm_split(MPI_COMM_WORLD, me->rank / 2, me->rank, &column);
    for (; me->state.step < 2 * ROUNDS; me->state.step++) {
        sim_slot slot, *at = &slot;
        sim_payload out;
        int next = (me->rank + 1) % J.ranks, previous = (me->rank + J.ranks - 1) % J.ranks;
        sim_safepoint();
        MPI_Barrier(me->comms[2]);
        post_tag(&slot, previous, 0);
        sim_compose(&out, 0, next, 0, 0, 0);
        MPI_Request send = sim_isend(&out, sim_choose(2));
        if (me->state.step % 3 == 0)
            MPI_Barrier(column);
        sim_slots_wait(&at, 1);
        MPI_Wait(&send, MPI_STATUS_IGNORE);
    }
}

/* Of two messages, the one that is matched first may be received last. Every third safe point finds one that is held, which only
 * this process knows of: it can't be restarted from there. */
static void matched_probes(void) {
    for (; me->state.step < ROUNDS; me->state.step++) {
        sim_slot slots[2];
        sim_payload out[2];
        MPI_Request sends[2];
        MPI_Message message;
        bool last = sim_choose(2);
        bool holds = me->state.step % 3 == 2 && J.eager >= sizeof(sim_payload);
        sim_safepoint();
        for (int i = 0; i < 2; i++) {
            sim_compose(&out[i], 0, partner(), (int)sim_choose(2), 0, 0);
            sends[i] = sim_isend(&out[i], !holds && sim_choose(4) == 0);
        }
        if (holds)
            MPI_Waitall(2, sends, MPI_STATUSES_IGNORE);
        for (int i = 0; i < 2; i++)
            sim_slot_set(&slots[i], 0, sim_choose(2) ? partner() : MPI_ANY_SOURCE, MPI_ANY_TAG);
        sim_slot_match(&slots[0], &message);
        if (holds)
            sim_safepoint();
        if (!last)
            sim_slot_receive_message(&slots[0], &message);
        if (sim_choose(2))
            sim_slot_receive_matched(&slots[1]);
        else
            sim_slot_receive(&slots[1]);
        if (last)
            sim_slot_receive_message(&slots[0], &message);
        MPI_Waitall(2, sends, MPI_STATUSES_IGNORE);
    }
}

/* ---- a server, and clients that wait for its answer alone ---- */

static void serve(void) {
    while (me->state.dead < (uint32_t)(J.ranks - 1)) {
        sim_safepoint();
        sim_slot slot;
        sim_slot_set(&slot, 0, MPI_ANY_SOURCE, MPI_ANY_TAG);
        sim_slot_receive(&slot);
        if (slot.payload.tag == STOP)
            me->state.dead++;
        else
            sim_send(0, (int)slot.payload.source, REPLY, slot.payload.token, 0);
    }
}

/* In some rounds the answer is polled for, while another channel makes progress. */
static void ask(void) {
    for (; me->state.rounds < ROUNDS; me->state.rounds++) {
        sim_slot slot, other;
        int flag = 0;
        bool polls = sim_hash(J.options.seed, me->state.rounds, 4) % 2;
        sim_safepoint();
        post_tag(&slot, 0, REPLY);
        sim_send(0, 0, REQUEST, me->state.rounds, 0);
        for (int i = 0; i < 20 && polls && !flag; i++) {
            MPI_Test(&slot.request, &flag, &slot.status);
            sim_payload p;
            MPI_Request send;
            sim_slot_set(&other, 1, me->rank, 0);
            sim_slot_post(&other);
            sim_compose(&p, 1, me->rank, 0, 0, 0);
            send = sim_isend(&p, false);
            MPI_Wait(&other.request, &other.status);
            sim_slot_got(&other);
            MPI_Wait(&send, MPI_STATUS_IGNORE);
        }
        if (!flag)
            MPI_Wait(&slot.request, &slot.status);
        sim_slot_got(&slot);
        if (slot.payload.token != me->state.rounds)
            sim_problem("rank %d got the answer to another question", me->rank);
    }
    sim_safepoint();
    if (!me->state.stopped)
        sim_send(0, 0, STOP, 0, 0);
    me->state.stopped = true;
    sim_safepoint();
}

static void request_reply(void) {
    if (me->rank == 0)
        serve();
    else
        ask();
}

/* Half of the seeds are the two general programs'. */
const sim_program sim_programs[] = {
    {"aligned", false, true, sim_aligned},
    {"tokens", true, true, sim_tokens},
    {"aligned", false, true, sim_aligned},
    {"tokens", true, true, sim_tokens},
    {"aligned", false, true, sim_aligned},
    {"tokens", true, true, sim_tokens},
    {"crossing", true, false, crossing},
    {"crossing, aligned", false, false, crossing},
    {"wait behind a barrier", true, false, wait_behind_barrier},
    {"half a barrier", true, false, half_barrier},
    {"two tags", true, false, two_tags},
    {"three receives", true, false, three_receives},
    {"three receives, aligned", false, false, three_receives},
    {"posts ahead, aligned", false, false, posts_ahead},
    {"barrier, then receive", true, false, barrier_then_receive},
    {"sparse", true, false, sparse},
    {"synchronous at last", true, false, synchronous_at_last},
    {"synchronous at last, aligned", false, false, synchronous_at_last},
    {"coming and going", true, false, coming_and_going},
    {"coming and going, aligned", false, false, coming_and_going},
    {"rows and columns", true, false, rows_and_columns},
    {"request and reply", true, false, request_reply},
    {"coupled", true, false, sim_coupled},
    {"coupled, aligned", false, false, sim_coupled},
    {"matched probes", true, false, matched_probes},
    {"matched probes, aligned", false, false, matched_probes},
    {"persistent requests", true, true, sim_persistent},
    {"persistent requests, aligned", false, true, sim_persistent},
    {"persistent, ahead, aligned", false, false, sim_persistent_ahead},
};

const size_t sim_program_count = sizeof sim_programs / sizeof *sim_programs;
