/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

void sim_push(sim_packets *queue, sim_packet *p) {
    p->next = NULL;
    if (!queue->first)
        queue->last = &queue->first;
    *queue->last = p;
    queue->last = &p->next;
}

static sim_packet *take(sim_packets *queue, sim_packet **at) {
    sim_packet *p = *at;
    *at = p->next;
    if (queue->last == &p->next)
        queue->last = at;
    return p;
}

static sim_rank *rank_of(void *context) {
    return context;
}

static sim_receive *receive_of(wc_recv *recv) {
    return (sim_receive *)recv;
}

/* ---- messages ---- */

void sim_network_send(int comm, int source, int destination, const sim_packet *packet) {
    sim_packet *p = malloc(sizeof *p);
    *p = *packet;
    p->comm = comm;
    p->source = source;
    sim_push(&J.channel[comm][source][destination], p);
}

static bool matches(const sim_receive *r, const sim_packet *p) {
    /* A marker has a tag of its own: only ANY_TAG can take it. */
    return wc_recv_matches(&r->recv, r->recv.comm, p->source,
                           p->marker ? SIM_TAGS + 100 : p->tag) &&
           r->recv.comm->uid == (uint64_t)p->comm + 1;
}

static void fill(sim_receive *r, const sim_packet *p) {
    r->posted = false;
    r->arriving = true;
    r->source = p->source;
    r->tag = p->tag;
    r->payload = p->payload;
    if (p->marker)
        sim_problem("a marker was received by the application");
}

void sim_post(sim_rank *r, sim_receive *receive) {
    receive->posted = true;
    for (sim_packet **at = &r->unexpected.first; *at; at = &(*at)->next)
        if (matches(receive, *at)) {
            sim_packet *p = take(&r->unexpected, at);
            fill(receive, p);
            free(p);
            return;
        }
}

static void arrive(sim_rank *r, sim_packet *p) {
    if (p->marker && r->marker_receives[p->comm] > 0) {
        r->marker_receives[p->comm]--;
        r->markers_met[p->comm][p->source]++;
        J.at[p->source].markers_out--;
        free(p);
        return;
    }
    for (sim_receive *w = r->receives; w; w = w->next)
        if (w->posted && matches(w, p)) {
            fill(w, p);
            free(p);
            return;
        }
    sim_push(&r->unexpected, p);
}

/* ---- control ---- */

static void control(sim_rank *to, const sim_control *message) {
    sim_control *c = malloc(sizeof *c);
    *c = *message;
    c->next = NULL;
    *to->control_end = c;
    to->control_end = &c->next;
}

static void take_control(sim_rank *r) {
    sim_control *c = r->control;
    r->control = c->next;
    if (!r->control)
        r->control_end = &r->control;
    if (c->comm < 0) {
        wc_core_hear(&r->core, c->attempt, c->from);
    } else {
        J.at[c->from].markers_out--;
        wc_core_counts(&r->core, &r->comms[c->comm], c->from, c->counts, c->n);
    }
    free(c);
}

void sim_network_deliver_on(int comm, int source, int destination) {
    sim_packets *queue = &J.channel[comm][source][destination];
    arrive(&J.at[destination], take(queue, &queue->first));
}

void sim_network_deliver_control(void) {
    for (int i = 0; i < J.ranks; i++)
        while (J.at[i].control)
            take_control(&J.at[i]);
}

static bool deliver_one(int kind) {
    int start = (int)sim_choose((unsigned)J.ranks);
    for (int i = 0; i < J.ranks; i++) {
        sim_rank *r = &J.at[(start + i) % J.ranks];
        if (kind == 0 && r->control && !r->in_barrier) {
            take_control(r);
            return true;
        }
        int comm = (int)sim_choose(SIM_COMMS), from = (int)sim_choose((unsigned)J.ranks);
        for (int k = 0; kind && k < SIM_COMMS * J.ranks; k++) {
            int c = (comm + k / J.ranks) % SIM_COMMS, source = (from + k) % J.ranks;
            if (!J.channel[c][source][r->rank].first)
                continue;
            sim_network_deliver_on(c, source, r->rank);
            return true;
        }
    }
    return false;
}

bool sim_network_deliver(void) {
    int kind = sim_choose(3) != 0;
    return deliver_one(kind) || deliver_one(!kind);
}

bool sim_network_empty(void) {
    for (int c = 0; c < SIM_COMMS; c++)
        for (int s = 0; s < J.ranks; s++)
            for (int d = 0; d < J.ranks; d++)
                if (J.channel[c][s][d].first)
                    return false;
    for (int r = 0; r < J.ranks; r++)
        if (J.at[r].control)
            return false;
    return true;
}

static void clear(sim_packets *queue) {
    while (queue->first)
        free(take(queue, &queue->first));
}

void sim_network_clear(void) {
    for (int c = 0; c < SIM_COMMS; c++)
        for (int s = 0; s < SIM_RANKS; s++)
            for (int d = 0; d < SIM_RANKS; d++)
                clear(&J.channel[c][s][d]);
    for (int r = 0; r < J.ranks; r++) {
        clear(&J.at[r].unexpected);
        while (J.at[r].control) {
            sim_control *c = J.at[r].control;
            J.at[r].control = c->next;
            free(c);
        }
    }
}

/* ---- the port ---- */

static void spread(void *context, uint64_t attempt, int except) {
    int rank = rank_of(context)->rank;
    int neighbours[3] = {rank > 0 ? (rank - 1) / 2 : -1, 2 * rank + 1, 2 * rank + 2};
    for (int i = 0; i < 3; i++)
        if (neighbours[i] >= 0 && neighbours[i] < J.ranks && neighbours[i] != except)
            control(&J.at[neighbours[i]],
                    &(sim_control){.from = rank, .comm = -1, .attempt = attempt});
}

static void enter(void *context, wc_phase phase, const wc_vote *mine) {
    unsigned slot = rank_of(context)->entered[phase]++ % 64;
    if (J.joined[phase][slot] % (unsigned)J.ranks == 0)
        J.votes[phase][slot] = wc_vote_neutral();
    wc_vote_merge(&J.votes[phase][slot], mine);
    J.joined[phase][slot]++;
}

static bool reduced(void *context, wc_phase phase, wc_vote *result) {
    sim_rank *r = rank_of(context);
    if (r->left[phase] == r->entered[phase])
        return false;
    unsigned slot = r->left[phase] % 64;
    if (J.joined[phase][slot] % (unsigned)J.ranks != 0 || sim_choose(3) == 0)
        return false;
    *result = J.votes[phase][slot];
    r->left[phase]++;
    return true;
}

static int job_rank(void *context, const wc_comm *comm, int peer) {
    (void)context;
    (void)comm;
    return peer;
}

static int number_of(const wc_comm *comm) {
    return (int)comm->uid - 1;
}

static void send_counts(void *context, const wc_comm *comm, int peer, uint64_t attempt,
                        const wc_tag_count *counts, size_t n) {
    sim_rank *r = rank_of(context);
    sim_control c = {.from = r->rank, .comm = number_of(comm), .attempt = attempt, .n = n};
    memcpy(c.counts, counts, n * sizeof *counts);
    r->markers_out++;
    control(&J.at[peer], &c);
}

static void send_marker(void *context, const wc_comm *comm, int peer) {
    sim_rank *r = rank_of(context);
    r->markers_out++;
    sim_network_send(number_of(comm), r->rank, peer, &(sim_packet){.marker = true});
}

static bool markers_received(void *context) {
    return rank_of(context)->markers_out == 0;
}

static wc_reason may_record(void *context, int *peer, int *tag, const char **text) {
    (void)text;
    sim_rank *r = rank_of(context);
    for (const sim_receive *w = r->receives; w; w = w->next)
        if (!w->recv.inside && !r->core.config.requests_allowed) {
            *peer = w->recv.source;
            *tag = w->recv.tag;
            return WC_REASON_REQUEST_OPEN;
        }
    return WC_REASON_NONE;
}

static void record(void *context) {
    sim_rank *r = rank_of(context);
    sim_trace("rank %d records", r->rank);
    r->saved = r->state;
}

static void all_recorded(void *context) {
    (void)context;
}

static void settled(void *context, bool valid) {
    (void)valid;
    rank_of(context)->settled = true;
}

static void finished(void *context, const wc_vote *outcome) {
    sim_oracle_finished(context, outcome);
}

static size_t native_receives(void *context, wc_recv **list, size_t room) {
    size_t n = 0;
    for (sim_receive *w = rank_of(context)->receives; w; w = w->next)
        if (n++ < room)
            list[n - 1] = &w->recv;
    return n;
}

static bool complete(void *context, wc_recv *recv) {
    (void)context;
    return receive_of(recv)->complete;
}

static void *pack(const sim_payload *payload) {
    void *data = malloc(sizeof *payload);
    memcpy(data, payload, sizeof *payload);
    return data;
}

static wc_message *copy(void *context, wc_recv *recv) {
    (void)context;
    const sim_receive *w = receive_of(recv);
    wc_message *m = wc_message_new(recv->comm, w->source, w->tag, sizeof w->payload);
    m->data = pack(&w->payload);
    m->arrived = true;
    return m;
}

static bool pull(void *context, const wc_comm *comm, int source, wc_pulled *pulled) {
    sim_rank *r = rank_of(context);
    for (sim_packet **at = &r->unexpected.first; *at; at = &(*at)->next) {
        if ((*at)->comm != number_of(comm) || (source != WC_ANY && (*at)->source != source))
            continue;
        sim_packet *p = take(&r->unexpected, at);
        *pulled = (wc_pulled){.source = p->source,
                              .tag = p->tag,
                              .bytes = sizeof p->payload,
                              .marker = p->marker,
                              .handle = p->marker ? NULL : p};
        if (p->marker) {
            J.at[p->source].markers_out--;
            free(p);
        }
        return true;
    }
    return false;
}

static bool take_back(void *context, wc_recv *recv) {
    (void)context;
    bool cancelled = receive_of(recv)->posted;
    receive_of(recv)->posted = false;
    return cancelled;
}

static void post(void *context, wc_recv *recv) {
    sim_post(rank_of(context), receive_of(recv));
}

static bool fits(void *context, const wc_recv *r, const wc_message *m) {
    (void)context;
    (void)r;
    return m->tag != SIM_TAGS - 1; /* so that both ways are taken */
}

static void receive_into(void *context, wc_recv *recv, wc_message *m) {
    (void)context;
    fill(receive_of(recv), m->handle);
    free(m->handle);
    m->handle = NULL;
}

static void deliver(void *context, wc_recv *recv, wc_message *m) {
    (void)context;
    sim_packet p = {.source = m->source, .tag = m->tag};
    memcpy(&p.payload, m->data, sizeof p.payload);
    fill(receive_of(recv), &p);
}

static void receive_aside(void *context, wc_message *m) {
    (void)context;
    m->data = pack(&((sim_packet *)m->handle)->payload);
    m->arriving = m->handle;
    m->handle = NULL;
}

static bool arrived(void *context, wc_message *m) {
    (void)context;
    if (sim_choose(3) == 0)
        return false;
    free(m->arriving);
    m->arriving = NULL;
    m->arrived = true;
    return true;
}

static void post_marker_receives(void *context, const wc_comm *comm, int n) {
    sim_rank *r = rank_of(context);
    int c = number_of(comm);
    for (sim_packet **at = &r->unexpected.first; *at && n > 0;) {
        if (!(*at)->marker || (*at)->comm != c) {
            at = &(*at)->next;
            continue;
        }
        sim_packet *p = take(&r->unexpected, at);
        r->markers_met[c][p->source]++;
        J.at[p->source].markers_out--;
        free(p);
        n--;
    }
    r->marker_receives[c] = n;
}

static size_t take_back_marker_receives(void *context, const wc_comm *comm, int *sources) {
    sim_rank *r = rank_of(context);
    size_t n = 0;
    int c = number_of(comm);
    r->marker_receives[c] = 0;
    for (int s = 0; s < J.ranks; s++)
        for (; r->markers_met[c][s] > 0; r->markers_met[c][s]--)
            sources[n++] = s;
    return n;
}

const wc_port sim_port = {.spread = spread,
                          .enter = enter,
                          .reduced = reduced,
                          .job_rank = job_rank,
                          .send_counts = send_counts,
                          .send_marker = send_marker,
                          .markers_received = markers_received,
                          .may_record = may_record,
                          .record = record,
                          .all_recorded = all_recorded,
                          .settled = settled,
                          .finished = finished,
                          .native_receives = native_receives,
                          .complete = complete,
                          .copy = copy,
                          .pull = pull,
                          .take_back = take_back,
                          .post = post,
                          .fits = fits,
                          .receive_into = receive_into,
                          .deliver = deliver,
                          .receive_aside = receive_aside,
                          .arrived = arrived,
                          .post_marker_receives = post_marker_receives,
                          .take_back_marker_receives = take_back_marker_receives};
