/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim.h"

#include "mpi/layer.h"

#include <stdlib.h>
#include <string.h>

/* One message of the channel state. */
typedef struct flying {
    uint64_t comm; /* uid */
    int source;    /* rank in it */
    int tag;
    size_t bytes;
    sim_payload payload;
} flying;

typedef struct cut {
    unsigned ranks; /* that have told theirs */
    sim_state state[SIM_RANKS];
    flying *messages[SIM_RANKS];
    size_t count[SIM_RANKS];
} cut;

static cut open, last; /* last: committed by all */

static void clear_cut(cut *c) {
    for (int i = 0; i < SIM_RANKS; i++)
        free(c->messages[i]);
    memset(c, 0, sizeof *c);
}

void sim_oracle_clear(void) {
    sim_traced_clear();
    clear_cut(&open);
    clear_cut(&last);
}

static bool bit(const uint8_t *bits, uint64_t i) {
    return bits[i / 8] >> i % 8 & 1;
}

/* ---- hand-overs ---- */

/* Receives that have got something, of one channel: MPI 3.1, section 3.5 for each pair of them. */
typedef struct taken {
    uint64_t order; /* of posting */
    bool any_tag;
    int32_t tag, got; /* asked for; the message's */
    uint32_t sequence;
} taken;

enum { REMEMBERED = 48 };

static struct {
    taken at[REMEMBERED];
    unsigned count;
} received[SIM_RANKS][SIM_COMMS][SIM_RANKS];

void sim_oracle_open(void) {
    memset(received, 0, sizeof received);
}

static bool could_take(const taken *r, const taken *message) {
    return r->any_tag || r->tag == message->got;
}

/* Of two receives from one sender, the earlier one gets the earlier message, if it could take both. */
static void judge_order(const sim_payload *p, taken now) {
    unsigned *n = &received[me->rank][p->channel][p->source].count;
    taken *before = received[me->rank][p->channel][p->source].at;
    for (unsigned i = 0; i < *n && i < REMEMBERED; i++) {
        const taken *b = &before[i];
        bool overtaken = b->order < now.order ? now.sequence < b->sequence && could_take(b, &now)
                                              : b->sequence < now.sequence && could_take(&now, b);
        if (overtaken)
            sim_problem("rank %d: messages %u and %u from %d, channel %u, tags %d and %d, were "
                        "matched in the wrong order",
                        me->rank, b->sequence, now.sequence, p->source, p->channel, b->got,
                        now.got);
    }
    before[(*n)++ % REMEMBERED] = now;
}

static void check_envelope(const sim_payload *p, const MPI_Status *status) {
    if (p->destination != (uint32_t)me->rank)
        sim_problem("rank %d got a message for %u", me->rank, p->destination);
    if (status == MPI_STATUS_IGNORE)
        return;
    if (status->MPI_SOURCE != sim_peer((int)p->channel, (int)p->source) ||
        status->MPI_TAG != p->tag)
        sim_problem("rank %d: the status says %d, tag %d, but the message is from %u, tag %d",
                    me->rank, status->MPI_SOURCE, status->MPI_TAG, p->source, p->tag);
    if (status->bytes != sim_bytes_of(p))
        sim_problem("rank %d: the status says %lld bytes, but %d were sent", me->rank,
                    (long long)status->bytes, sim_bytes_of(p));
}

void sim_oracle_got(const sim_payload *p, const MPI_Status *status, uint64_t order, int tag) {
    if (p->channel >= SIM_COMMS || p->source >= (uint32_t)J.ranks || p->sequence >= SIM_MESSAGES) {
        sim_problem("rank %d got garbage", me->rank);
        return;
    }
    check_envelope(p, status);
    uint8_t *bits = me->state.got[p->channel][p->source];
    if (bit(bits, p->sequence))
        sim_problem("rank %d got message %u from %u twice", me->rank, p->sequence, p->source);
    bits[p->sequence / 8] |= (uint8_t)(1 << p->sequence % 8);
    for (int i = 0; i < J.ranks; i++)
        if (p->clock[i] > me->state.clock[i])
            me->state.clock[i] = p->clock[i];
    me->state.clock[me->rank]++;
    judge_order(p, (taken){.order = order,
                           .any_tag = tag == MPI_ANY_TAG,
                           .tag = tag,
                           .got = p->tag,
                           .sequence = p->sequence});
}

/* ---- cuts ---- */

typedef struct in_channel {
    uint8_t bits[SIM_MESSAGES / 8];
    uint32_t next[SIM_TAGS + 64], any; /* lowest number that may come next, by tag */
} in_channel;

static void judge_flying(const cut *c, in_channel *in, uint32_t comm, uint32_t s, int d) {
    /* Pulled cuts know in which order messages of different tags were sent; counted ones don't. */
    bool strictly = J.immediate && !J.open;
    for (size_t i = 0; i < c->count[d]; i++) {
        const sim_payload *p = &c->messages[d][i].payload;
        if (p->channel != comm || p->source != s)
            continue;
        if (bit(in->bits, p->sequence))
            sim_problem("cut: message %u from %u to %d is in flight twice", p->sequence, s, d);
        if (p->sequence < in->next[p->tag] || (strictly && p->sequence < in->any))
            sim_problem("cut: message %u from %u to %d is out of order", p->sequence, s, d);
        in->next[p->tag] = in->any = p->sequence + 1;
        in->bits[p->sequence / 8] |= (uint8_t)(1 << p->sequence % 8);
    }
}

static void judge_channel(const cut *c, uint32_t comm, uint32_t s, int d) {
    uint32_t before = c->state[s].sent[comm][d];
    in_channel in = {{0}, {0}, 0};
    judge_flying(c, &in, comm, s, d);
    for (uint32_t n = 0; n < SIM_MESSAGES; n++) {
        bool sent = n < before, got = bit(c->state[d].got[comm][s], n), flies = bit(in.bits, n);
        if (got && flies)
            sim_problem("cut: message %u from %u to %d is received and in flight", n, s, d);
        if (sent != (got || flies))
            sim_problem("cut: message %u from %u to %d, channel %u, is %s", n, s, d, comm,
                        sent ? "lost" : "not sent yet");
        if (!sent && n > before + 64)
            return; /* there are no holes so far beyond */
    }
}

/* Definition 1.2 of the notes, by vector clocks. */
static void judge_clocks(const cut *c) {
    for (int i = 0; i < J.members; i++)
        for (int j = 0; j < J.members; j++)
            if (c->state[i].clock[j] > c->state[j].clock[j])
                sim_problem("cut: rank %d knows more of rank %d than that had done", i, j);
}

static void judge(const cut *c) {
    judge_clocks(c);
    for (uint32_t comm = 0; comm < SIM_COMMS; comm++)
        for (int s = 0; s < J.members; s++)
            for (int d = 0; d < J.members; d++)
                judge_channel(c, comm, (uint32_t)s, d);
}

static void check_counters(void) {
    wc_channel_count counts[SIM_COMMS * SIM_RANKS * 2];
    size_t n = wc_core_channels(&L.core, counts, SIM_COMMS * SIM_RANKS * 2);
    for (size_t i = 0; i < n; i++)
        if (counts[i].sent != counts[i].received + counts[i].in_flight && !J.options.fault)
            sim_problem("cut: rank %d counts %llu sent by %d, %llu received, %llu in flight",
                        me->rank, (unsigned long long)counts[i].sent, counts[i].source,
                        (unsigned long long)counts[i].received,
                        (unsigned long long)counts[i].in_flight);
}

static void note_void(const wc_vote *outcome) {
    J.voids[outcome->reason] += me->rank == 0;
    bool blames = outcome->reason == WC_REASON_ORPHAN || outcome->reason == WC_REASON_COUNTERS;
    if (blames && !J.options.fault)
        sim_problem("rank %d, from %d, tag %d: %s", outcome->void_rank, outcome->peer, outcome->tag,
                    wc_reason_text((wc_reason)outcome->reason));
}

static flying fly(const wc_message *m) {
    flying f = {.comm = m->comm->uid, .source = m->source, .tag = m->tag, .bytes = m->bytes};
    memcpy(&f.payload, m->data, m->bytes < sizeof f.payload ? m->bytes : sizeof f.payload);
    if (f.payload.channel >= SIM_COMMS || f.payload.source >= (uint32_t)J.ranks ||
        f.payload.sequence >= SIM_MESSAGES || f.payload.tag != m->tag ||
        (size_t)sim_bytes_of(&f.payload) != m->bytes)
        sim_problem("cut: rank %d has garbage in flight", me->rank);
    return f;
}

void sim_oracle_finished(const wc_vote *outcome) {
    if (outcome->void_rank >= 0) {
        note_void(outcome);
        return;
    }
    check_counters();
    if (me->failed)
        sim_problem("rank %d could not write what was committed", me->rank);
    const wc_messages *messages = &L.core.cut;
    flying *list = malloc((messages->count + 1) * sizeof *list);
    for (size_t i = 0; i < messages->count && !J.problem[0]; i++)
        list[i] = fly(messages->at[i]);
    open.state[me->rank] = me->saved;
    open.messages[me->rank] = list;
    open.count[me->rank] = messages->count;
    J.in_flight += (unsigned)messages->count;
    sim_traced_finished();
    if (++open.ranks < (unsigned)J.members)
        return;
    if (!J.problem[0])
        judge(&open);
    J.commits++;
    clear_cut(&last);
    last = open;
    memset(&open, 0, sizeof open);
}

/* ---- the end, and another beginning ---- */

void sim_oracle_end(void) {
    if (!sim_network_empty())
        sim_problem("something is left in the network");
    for (int d = 0; d < J.ranks; d++) {
        const sim_rank *r = &J.at[d];
        if (r->unexpected.first)
            sim_problem("rank %d has not received a message with tag %d", d,
                        r->unexpected.first->tag);
        for (int comm = 0; comm < SIM_COMMS; comm++)
            for (int s = 0; s < J.ranks; s++)
                for (uint32_t n = 0; n < J.at[s].state.sent[comm][d]; n++)
                    if (!bit(r->state.got[comm][s], n))
                        sim_problem("rank %d never got message %u from %d", d, n, s);
    }
}

bool sim_oracle_restart(void) {
    if (!last.ranks)
        return false;
    for (int i = 0; i < J.ranks; i++)
        J.at[i].state = last.state[i];
    clear_cut(&open);
    sim_traced_restart();
    sim_oracle_open();
    return true;
}

void sim_oracle_give_back(void) {
    for (size_t k = 0; k < last.count[me->rank]; k++) {
        const flying *f = &last.messages[me->rank][k];
        sim_restore_message(f->comm, f->source, f->tag, &f->payload, f->bytes);
        J.restored++;
    }
}

size_t sim_oracle_in_flight(int rank, uint32_t *tokens) {
    for (size_t i = 0; i < last.count[rank] && i < SIM_QUEUE; i++)
        tokens[i] = last.messages[rank][i].payload.token;
    return last.count[rank];
}
