/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

/* One message of the channel state. */
typedef struct flying {
    int comm, source, tag;
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
    *c = (cut){0};
}

void sim_oracle_clear(void) {
    clear_cut(&open);
    clear_cut(&last);
}

static bool bit(const uint8_t *bits, uint64_t i) {
    return bits[i / 8] >> i % 8 & 1;
}

/* ---- hand-overs ---- */

void sim_oracle_got(sim_rank *r, int comm, int source, int tag, const sim_payload *p) {
    uint8_t *bits = r->state.got[comm][source];
    if (p->sequence >= SIM_MESSAGES || bit(bits, p->sequence)) {
        sim_problem("rank %d got message %llu from %d twice", r->rank,
                    (unsigned long long)p->sequence, source);
        return;
    }
    bits[p->sequence / 8] |= (uint8_t)(1 << p->sequence % 8);
    for (int i = 0; i < J.ranks; i++)
        if (p->clock[i] > r->state.clock[i])
            r->state.clock[i] = p->clock[i];
    r->state.clock[r->rank]++;
    /* One receive at a time: what comes on a stream comes in order (MPI 3.1, section 3.5). */
    if (!J.options.immediate || J.options.open)
        return;
    uint64_t *next = &r->state.next[comm][source][tag];
    if (p->sequence < *next)
        sim_problem("rank %d got message %llu from %d, tag %d, after a later one", r->rank,
                    (unsigned long long)p->sequence, source, tag);
    *next = p->sequence + 1;
}

/* ---- cuts ---- */

static void judge_channel(const cut *c, int comm, int s, int d) {
    uint64_t before = c->state[s].sent[comm][d];
    uint8_t flying_bits[SIM_MESSAGES / 8] = {0};
    uint64_t next[SIM_TAGS + 64] = {0};
    for (size_t i = 0; i < c->count[d]; i++) {
        const flying *f = &c->messages[d][i];
        if (f->comm != comm || f->source != s)
            continue;
        uint64_t n = f->payload.sequence;
        if (bit(flying_bits, n))
            sim_problem("cut: message %llu from %d to %d is in flight twice", (unsigned long long)n,
                        s, d);
        if (n < next[f->tag])
            sim_problem("cut: message %llu from %d to %d is out of order", (unsigned long long)n, s,
                        d);
        next[f->tag] = n + 1;
        flying_bits[n / 8] |= (uint8_t)(1 << n % 8);
    }
    for (uint64_t n = 0; n < SIM_MESSAGES; n++) {
        bool sent = n < before, got = bit(c->state[d].got[comm][s], n), flies = bit(flying_bits, n);
        if (got && flies)
            sim_problem("cut: message %llu from %d to %d is received and in flight",
                        (unsigned long long)n, s, d);
        if (sent != (got || flies))
            sim_problem("cut: message %llu from %d to %d, comm %d, is %s", (unsigned long long)n, s,
                        d, comm, sent ? "lost" : "not sent yet");
    }
}

/* Definition 1.2 of the notes, by vector clocks. */
static void judge_clocks(const cut *c) {
    for (int i = 0; i < J.ranks; i++)
        for (int j = 0; j < J.ranks; j++)
            if (c->state[i].clock[j] > c->state[j].clock[j])
                sim_problem("cut: rank %d knows more of rank %d than that had done", i, j);
}

static void judge(const cut *c) {
    judge_clocks(c);
    for (int comm = 0; comm < SIM_COMMS; comm++)
        for (int s = 0; s < J.ranks; s++)
            for (int d = 0; d < J.ranks; d++)
                judge_channel(c, comm, s, d);
}

static void check_counters(const sim_rank *r) {
    wc_channel_count counts[SIM_COMMS * SIM_RANKS];
    size_t n = wc_core_channels(&r->core, counts, SIM_COMMS * SIM_RANKS);
    for (size_t i = 0; i < n; i++)
        if (counts[i].sent != counts[i].received + counts[i].in_flight && !J.options.fault)
            sim_problem("cut: rank %d counts %llu sent by %d, %llu received, %llu in flight",
                        r->rank, (unsigned long long)counts[i].sent, counts[i].source,
                        (unsigned long long)counts[i].received,
                        (unsigned long long)counts[i].in_flight);
}

void sim_oracle_finished(sim_rank *r, const wc_vote *outcome) {
    sim_trace("rank %d: attempt %llu is over: %s", r->rank, (unsigned long long)r->core.attempt,
              outcome->void_rank < 0 ? "committed" : wc_reason_text((wc_reason)outcome->reason));
    if (outcome->void_rank >= 0) {
        J.voids[outcome->reason] += r->rank == 0;
        bool blames = outcome->reason == WC_REASON_ORPHAN || outcome->reason == WC_REASON_COUNTERS;
        if (blames && !J.options.fault)
            sim_problem("rank %d, from %d, tag %d: %s", outcome->void_rank, outcome->peer,
                        outcome->tag, wc_reason_text((wc_reason)outcome->reason));
        return;
    }
    check_counters(r);
    const wc_messages *messages = &r->core.cut;
    flying *list = malloc((messages->count + 1) * sizeof *list);
    for (size_t i = 0; i < messages->count; i++) {
        const wc_message *m = messages->at[i];
        list[i] = (flying){.comm = (int)m->comm->uid - 1, .source = m->source, .tag = m->tag};
        memcpy(&list[i].payload, m->data, sizeof list[i].payload);
    }
    open.state[r->rank] = r->saved;
    open.messages[r->rank] = list;
    open.count[r->rank] = messages->count;
    J.in_flight += (unsigned)messages->count;
    if (++open.ranks < (unsigned)J.ranks)
        return;
    judge(&open);
    J.commits++;
    clear_cut(&last);
    last = open;
    open = (cut){0};
}

/* ---- the end, and another beginning ---- */

void sim_oracle_end(void) {
    if (!sim_network_empty())
        sim_problem("something is left in the network");
    for (int d = 0; d < J.ranks; d++) {
        const sim_rank *r = &J.at[d];
        if (r->unexpected.first)
            sim_problem("rank %d has not received a %s", d,
                        r->unexpected.first->marker ? "marker" : "message");
        if (r->core.stash || r->core.soft || r->core.bound_count)
            sim_problem("rank %d: something is left in the library", d);
        for (int comm = 0; comm < SIM_COMMS; comm++)
            for (int s = 0; s < J.ranks; s++)
                for (uint64_t n = 0; n < SIM_MESSAGES; n++)
                    if (bit(r->state.got[comm][s], n) != (n < J.at[s].state.sent[comm][d]))
                        sim_problem("rank %d never got message %llu from %d", d,
                                    (unsigned long long)n, s);
    }
}

bool sim_oracle_restart(void) {
    if (!last.ranks)
        return false;
    sim_network_clear();
    for (int i = 0; i < J.ranks; i++) {
        sim_rank_close(&J.at[i]);
        sim_rank_open(&J.at[i], i);
        J.at[i].state = last.state[i];
        J.restored += (unsigned)last.count[i];
        for (size_t k = 0; k < last.count[i]; k++) {
            const flying *f = &last.messages[i][k];
            sim_payload *data = malloc(sizeof *data);
            *data = f->payload;
            wc_core_restore_message(&J.at[i].core, &J.at[i].comms[f->comm], f->source, f->tag, data,
                                    sizeof *data);
        }
    }
    memset(J.joined, 0, sizeof J.joined);
    clear_cut(&open);
    return true;
}

size_t sim_oracle_in_flight(int rank, uint32_t *tokens) {
    for (size_t i = 0; i < last.count[rank] && i < SIM_QUEUE; i++)
        tokens[i] = last.messages[rank][i].payload.token;
    return last.count[rank];
}
