/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages under way, in order on each channel; matching as MPI 3.1, section 3.5 has it. */
#include "sim.h"

#include <stdlib.h>

enum { SLOTS = 1024 };

/* (communicator, sender, receiver); those that hold something are listed. */
typedef struct channel {
    int comm, source, to;
    sim_packets packets;
    int place; /* in `busy`, -1: not there */
    struct channel *next;
} channel;

static channel *table[SLOTS];
static channel *busy[SLOTS];
static int busy_count;

void sim_network_open(void) {
    for (int i = 0; i < SLOTS; i++)
        table[i] = NULL;
    busy_count = 0;
}

static channel *channel_of(int comm, int source, int to) {
    channel **at = &table[(comm * 64 + source * 8 + to) % SLOTS];
    while (*at && ((*at)->comm != comm || (*at)->source != source || (*at)->to != to))
        at = &(*at)->next;
    if (!*at) {
        *at = sim_alloc(sizeof **at);
        **at = (channel){.comm = comm, .source = source, .to = to, .place = -1};
        (*at)->packets.last = &(*at)->packets.first;
    }
    return *at;
}

static void push(sim_packets *queue, sim_packet *p) {
    p->next = NULL;
    if (!queue->first)
        queue->last = &queue->first;
    *queue->last = p;
    queue->last = &p->next;
}

sim_packet *sim_take(sim_packets *queue, sim_packet **at) {
    sim_packet *p = *at;
    *at = p->next;
    if (queue->last == &p->next)
        queue->last = at;
    p->next = NULL;
    return p;
}

static bool matches(const struct sim_request *r, const sim_packet *p) {
    return r->comm == p->comm && (r->peer == MPI_ANY_SOURCE || r->peer == p->source) &&
           (r->tag == MPI_ANY_TAG || r->tag == p->tag);
}

static void tell(const sim_packet *p, const char *what) {
    if (p->comm <= MPI_COMM_WORLD + 3)
        sim_trace("  rank %d: tag %d from %d on communicator %d %s", sim_world_rank(p->comm, p->to),
                  p->tag, p->source, p->comm, what);
}

static void match(MPI_Request r, sim_packet *p) {
    tell(p, "meets a receive");
    r->posted = false;
    r->packet = p;
    if (p->send)
        p->send->met = true;
    p->send = NULL;
}

bool sim_withdraw(MPI_Request r) {
    sim_rank *owner = &J.at[r->owner];
    MPI_Request *at = &owner->posted;
    while (*at && *at != r)
        at = &(*at)->next;
    if (!*at)
        return false;
    *at = r->next;
    if (owner->posted_end == &r->next)
        owner->posted_end = at;
    r->posted = false;
    return true;
}

void sim_post(MPI_Request r) {
    sim_rank *owner = &J.at[r->owner];
    r->posted = true;
    r->next = NULL;
    for (sim_packet **at = &owner->unexpected.first; *at; at = &(*at)->next)
        if (matches(r, *at)) {
            match(r, sim_take(&owner->unexpected, at));
            return;
        }
    if (!owner->posted)
        owner->posted_end = &owner->posted;
    *owner->posted_end = r;
    owner->posted_end = &r->next;
}

static void arrive(sim_packet *p) {
    sim_rank *r = &J.at[sim_world_rank(p->comm, p->to)];
    for (MPI_Request w = r->posted; w; w = w->next)
        if (matches(w, p)) {
            sim_withdraw(w);
            match(w, p);
            return;
        }
    tell(p, "is unexpected");
    push(&r->unexpected, p);
}

void sim_network_send(sim_packet *p) {
    if (sim_world_rank(p->comm, p->to) == me->rank && sim_comm_size(p->comm) == 1) {
        arrive(p); /* a communicator of this rank alone */
        return;
    }
    channel *c = channel_of(p->comm, p->source, p->to);
    push(&c->packets, p);
    if (c->place >= 0)
        return;
    c->place = busy_count;
    busy[busy_count++] = c;
}

static void deliver(channel *c) {
    sim_packet *p = sim_take(&c->packets, &c->packets.first);
    if (!c->packets.first) {
        busy[c->place] = busy[--busy_count];
        busy[c->place]->place = c->place;
        c->place = -1;
    }
    arrive(p);
}

bool sim_network_deliver(void) {
    if (busy_count == 0)
        return false;
    deliver(busy[sim_choose((unsigned)busy_count)]);
    return true;
}

void sim_network_deliver_on(int comm, int source, int to) {
    channel *c = channel_of(comm, source, to);
    if (c->packets.first)
        deliver(c);
    else
        sim_problem("nothing is under way from %d to %d", source, to);
}

static channel *busy_besides(int comm) {
    for (int i = 0; i < busy_count; i++)
        if (busy[i]->comm != comm)
            return busy[i];
    return NULL;
}

void sim_network_deliver_besides(int comm) {
    for (channel *c; (c = busy_besides(comm));)
        deliver(c);
}

sim_packet *sim_network_find_besides(int comm, size_t least) {
    for (int i = 0; i < busy_count; i++)
        for (sim_packet *p = busy[i]->packets.first; p; p = p->next)
            if (p->comm != comm && p->bytes >= least)
                return p;
    return NULL;
}

bool sim_network_empty(void) {
    return busy_count == 0;
}

sim_packet **sim_find_unexpected(int comm, int source, int tag) {
    struct sim_request wanted = {.comm = comm, .peer = source, .tag = tag};
    sim_packet **at = &me->unexpected.first;
    while (*at && !matches(&wanted, *at))
        at = &(*at)->next;
    return at;
}
