/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

void sim_rank_open(sim_rank *r, int rank) {
    *r = (sim_rank){.rank = rank};
    r->receives_end = &r->receives;
    r->control_end = &r->control;
    wc_port port = sim_port;
    port.context = r;
    const char *fault = J.options.fault ? J.options.fault : "";
    wc_core_config config = {.rank = rank,
                             .ranks = J.ranks,
                             .immediate = J.options.immediate,
                             .requests_allowed = J.options.open,
                             .timeout_ns = 20000,
                             .patience_ns = 500,
                             .max_streams = 1000,
                             .max_stash = 2 + sim_choose(20),
                             .break_stash = strcmp(fault, "stash") == 0,
                             .break_markers = strcmp(fault, "markers") == 0,
                             .break_take_back = strcmp(fault, "take_back") == 0,
                             .break_order = strcmp(fault, "order") == 0,
                             .break_carry = strcmp(fault, "carry") == 0};
    wc_core_init(&r->core, &port, &config);
    for (int c = 0; c < SIM_COMMS; c++) {
        r->comms[c] = (wc_comm){.uid = (uint64_t)c + 1, .rank = rank, .size = J.ranks};
        wc_core_add_comm(&r->core, &r->comms[c]);
    }
}

/* The job has died: what MPI held for the message is gone. */
static void forget_packet(wc_message *m) {
    if (!m)
        return;
    free(m->handle);
    free(m->arriving);
    m->handle = m->arriving = NULL;
}

void sim_rank_close(sim_rank *r) {
    for (wc_message *m = r->core.stash; m; m = m->next)
        forget_packet(m);
    for (size_t i = 0; i < r->core.cut.count; i++)
        forget_packet(r->core.cut.at[i]);
    while (r->receives) {
        sim_receive *w = r->receives;
        r->receives = w->next;
        forget_packet(w->recv.message);
        wc_message_drop(w->recv.message);
        free(w);
    }
    wc_core_free(&r->core);
}

void sim_send(sim_rank *r, int comm, int destination, int tag, uint32_t token, uint32_t hops) {
    wc_core *core = &r->core;
    core->recordable = false;
    if (J.options.immediate && wc_core_busy(core))
        wc_core_before_send(core, &r->comms[comm], destination);
    wc_core_out(core, &r->comms[comm], destination, tag)->sent++;
    r->state.clock[r->rank]++;
    sim_packet p = {
        .tag = tag,
        .payload = {.sequence = r->state.sent[comm][destination]++, .token = token, .hops = hops}};
    memcpy(p.payload.clock, r->state.clock, sizeof p.payload.clock);
    if (p.payload.sequence >= SIM_MESSAGES)
        sim_problem("too many messages on a channel");
    sim_trace("rank %d sends %llu to %d, comm %d tag %d", r->rank,
              (unsigned long long)p.payload.sequence, destination, comm, tag);
    sim_network_send(comm, r->rank, destination, &p);
}

sim_receive *sim_receive_start(sim_rank *r, int comm, int source, int tag, bool inside) {
    sim_receive *w = calloc(1, sizeof *w);
    w->recv = (wc_recv){.comm = &r->comms[comm],
                        .source = source,
                        .tag = tag,
                        .order = ++r->order,
                        .inside = inside};
    if (source != WC_ANY && tag != WC_ANY)
        w->recv.stream = wc_core_in(&r->core, &r->comms[comm], source, tag);
    if (!inside)
        r->core.recordable = false;
    *r->receives_end = w;
    r->receives_end = &w->next;
    if (!wc_core_slow(&r->core) || !wc_core_receive(&r->core, &w->recv))
        sim_post(r, w);
    wc_core_posted(&r->core, &w->recv);
    return w;
}

bool sim_receive_ready(sim_receive *w) {
    if (w->recv.state == WC_RECV_SOFT || w->recv.state == WC_RECV_BOUND)
        return false;
    if (w->arriving && sim_choose(3))
        w->complete = true;
    return w->complete;
}

void sim_receive_finish(sim_rank *r, sim_receive *w) {
    int comm = (int)w->recv.comm->uid - 1, source = w->source, tag = w->tag;
    sim_payload payload = w->payload;
    r->core.recordable = false;
    wc_core_handed(&r->core, &w->recv, source, tag);
    sim_receive **at = &r->receives;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    if (r->receives_end == &w->next)
        r->receives_end = at;
    if (r->waiting == w)
        r->waiting = NULL;
    wc_message_drop(w->recv.message);
    free(w);
    sim_trace("rank %d gets %llu from %d, comm %d tag %d", r->rank,
              (unsigned long long)payload.sequence, source, comm, tag);
    sim_oracle_got(r, comm, source, tag, &payload);
    sim_program_took(r, &payload, tag);
}
