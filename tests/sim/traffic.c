/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim.h"

#include <stddef.h>
#include <string.h>

/* ---- communicators ---- */

void sim_make_comms(void) {
    me->comms[0] = MPI_COMM_WORLD;
    MPI_Comm_dup(MPI_COMM_WORLD, &me->comms[1]);
    MPI_Comm_split(MPI_COMM_WORLD, me->rank % 2, me->rank, &me->comms[2]);
    if (J.program == sim_coupled)
        MPI_Intercomm_create(me->comms[2], 0, MPI_COMM_WORLD, 1 - me->rank % 2, 0, &me->comms[4]);
}

int sim_peer(int channel, int world) {
    bool same_half = world % 2 == me->rank % 2;
    if (channel == 4)
        return same_half ? -1 : world / 2;
    return channel != 2 ? world : same_half ? world / 2 : -1;
}

/* ---- messages ---- */

static int length(int channel, int to, int tag, uint32_t sequence) {
    uint64_t h = sim_hash(J.options.seed + 5, (uint64_t)(channel * 8 + to), sequence);
    if (tag >= SIM_FIXED)
        return (int)(offsetof(sim_payload, padding) + (tag % 2 ? SIM_PADDING : 0));
    return (int)(offsetof(sim_payload, padding) + h % (SIM_PADDING + 1));
}

int sim_bytes_of(const sim_payload *p) {
    return length((int)p->channel, (int)p->destination, p->tag, p->sequence);
}

void sim_compose(sim_payload *p, int channel, int to, int tag, uint32_t token, uint32_t hops) {
    me->state.clock[me->rank]++;
    *p = (sim_payload){.channel = (uint32_t)channel,
                       .source = (uint32_t)me->rank,
                       .destination = (uint32_t)to,
                       .sequence = me->state.sent[channel][to]++,
                       .tag = tag,
                       .token = token,
                       .hops = hops};
    memcpy(p->clock, me->state.clock, sizeof p->clock);
    if (p->sequence >= SIM_MESSAGES)
        sim_problem("too many messages on a channel");
    sim_trace("rank %d sends %u to %d, channel %d tag %d", me->rank, p->sequence, to, channel, tag);
}

MPI_Request sim_isend(sim_payload *p, bool sync) {
    MPI_Request request;
    int to = sim_peer((int)p->channel, (int)p->destination);
    MPI_Comm comm = me->comms[p->channel];
    if (sync)
        MPI_Issend(p, sim_bytes_of(p), MPI_BYTE, to, p->tag, comm, &request);
    else
        MPI_Isend(p, sim_bytes_of(p), MPI_BYTE, to, p->tag, comm, &request);
    return request;
}

void sim_send(int channel, int to, int tag, uint32_t token, uint32_t hops) {
    sim_payload p;
    sim_compose(&p, channel, to, tag, token, hops);
    MPI_Send(&p, sim_bytes_of(&p), MPI_BYTE, sim_peer(channel, to), tag, me->comms[channel]);
}

/* ---- receives ---- */

void sim_slot_set(sim_slot *slot, int channel, int source, int tag) {
    *slot = (sim_slot){.channel = channel,
                       .source = source == MPI_ANY_SOURCE ? source : sim_peer(channel, source),
                       .tag = tag,
                       .order = ++me->postings};
}

void sim_slot_post(sim_slot *s) {
    MPI_Irecv(&s->payload, sizeof s->payload, MPI_BYTE, s->source, s->tag, me->comms[s->channel],
              &s->request);
}

void sim_slot_receive(sim_slot *s) {
    MPI_Recv(&s->payload, sizeof s->payload, MPI_BYTE, s->source, s->tag, me->comms[s->channel],
             &s->status);
    sim_slot_got(s);
}

void sim_slot_match(sim_slot *s, MPI_Message *message) {
    int flag = 0;
    if (sim_choose(2))
        MPI_Mprobe(s->source, s->tag, me->comms[s->channel], message, &s->status);
    else
        for (MPI_Improbe(s->source, s->tag, me->comms[s->channel], &flag, message, &s->status);
             !flag;
             MPI_Improbe(s->source, s->tag, me->comms[s->channel], &flag, message, &s->status))
            sim_yield();
}

void sim_slot_receive_message(sim_slot *s, MPI_Message *message) {
    MPI_Status probed = s->status;
    if (sim_choose(2)) {
        MPI_Mrecv(&s->payload, sizeof s->payload, MPI_BYTE, message, &s->status);
    } else {
        MPI_Imrecv(&s->payload, sizeof s->payload, MPI_BYTE, message, &s->request);
        MPI_Wait(&s->request, &s->status);
    }
    if (probed.MPI_SOURCE != s->status.MPI_SOURCE || probed.MPI_TAG != s->payload.tag ||
        probed.bytes != s->status.bytes)
        sim_problem("rank %d: the probe had told of another message", me->rank);
    sim_slot_got(s);
}

void sim_slot_receive_matched(sim_slot *s) {
    MPI_Message message;
    sim_slot_match(s, &message);
    sim_slot_receive_message(s, &message);
}

void sim_slot_got(sim_slot *s) {
    sim_trace("rank %d gets %u from %u, channel %u tag %d", me->rank, s->payload.sequence,
              s->payload.source, s->payload.channel, s->payload.tag);
    sim_oracle_got(&s->payload, &s->status, s->order, s->tag);
}

/* ---- ways to wait ---- */

enum { MOST = 256 };

static void gather(sim_slot *const slots[], int n, MPI_Request requests[]) {
    for (int i = 0; i < n; i++)
        requests[i] = slots[i]->request;
}

static void got(sim_slot *s, const MPI_Status *status) {
    s->request = MPI_REQUEST_NULL;
    s->status = *status;
    sim_slot_got(s);
}

static void wait_together(sim_slot *const slots[], int n, bool test) {
    MPI_Request requests[MOST];
    MPI_Status statuses[MOST];
    int flag = 0;
    gather(slots, n, requests);
    if (test)
        for (MPI_Testall(n, requests, &flag, statuses); !flag;
             MPI_Testall(n, requests, &flag, statuses))
            sim_yield();
    else
        MPI_Waitall(n, requests, statuses);
    for (int i = 0; i < n; i++)
        got(slots[i], &statuses[i]);
}

static void wait_any(sim_slot *const slots[], int n, bool test) {
    MPI_Request requests[MOST];
    MPI_Status status;
    gather(slots, n, requests);
    for (int left = n, index, flag = 1; left > 0;) {
        if (test)
            MPI_Testany(n, requests, &index, &flag, &status);
        else
            MPI_Waitany(n, requests, &index, &status);
        if (flag) {
            got(slots[index], &status);
            left--;
        } else {
            sim_yield();
        }
    }
}

static void wait_some(sim_slot *const slots[], int n, bool test) {
    MPI_Request requests[MOST];
    MPI_Status statuses[MOST];
    int indices[MOST];
    gather(slots, n, requests);
    for (int left = n, done; left > 0; left -= done) {
        if (test)
            MPI_Testsome(n, requests, &done, indices, statuses);
        else
            MPI_Waitsome(n, requests, &done, indices, statuses);
        for (int i = 0; i < done; i++)
            got(slots[indices[i]], &statuses[i]);
        if (!done)
            sim_yield();
    }
}

static void wait_one(sim_slot *s) {
    int flag = 0;
    switch (sim_choose(3)) {
    case 0:
        MPI_Wait(&s->request, &s->status);
        break;
    case 1:
        for (MPI_Test(&s->request, &flag, &s->status); !flag;
             MPI_Test(&s->request, &flag, &s->status))
            sim_yield();
        break;
    default:
        for (MPI_Request_get_status(s->request, &flag, &s->status); !flag;
             MPI_Request_get_status(s->request, &flag, &s->status))
            sim_yield();
        MPI_Wait(&s->request, &s->status);
    }
    sim_slot_got(s);
}

static void wait_in_any_order(sim_slot *const slots[], int n) {
    unsigned start = n ? sim_choose((unsigned)n) : 0;
    for (int i = 0; i < n; i++)
        wait_one(slots[((unsigned)i + start) % (unsigned)n]);
}

void sim_slots_wait(sim_slot *const slots[], int n) {
    unsigned way = sim_choose(7);
    if (n == 0)
        return;
    if (way < 2)
        wait_together(slots, n, way);
    else if (way < 4)
        wait_any(slots, n, way == 2);
    else if (way < 6)
        wait_some(slots, n, way == 4);
    else
        wait_in_any_order(slots, n);
}
