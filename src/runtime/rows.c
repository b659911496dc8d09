/* SPDX-License-Identifier: BSD-3-Clause */
#include "rows.h"

#include "log.h"
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

/* COMM_SELF goes into the snapshot of those who send to themselves on it: `out` knows what waits to
 * be received, `in` what a restart has brought back. */
static bool is_recorded(const wc_comm *c) {
    const wc_mpi_comm *m = wc_comm_from_core(c);
    if (c->freed || c->outside || c->rank != 0 || !m->how)
        return false;
    if (m->handle != MPI_COMM_SELF)
        return true;
    WC_EACH(&L.core.in, wc_channel, in)
    if (in->comm == c)
        return true;
    WC_EACH(&L.core.out, wc_channel, out)
    if (out->comm == c)
        return true;
    return false;
}

/* Of this rank's group: the first one of the other has a row for that. */
static void add_members(wc_rows *rows, const wc_mpi_comm *c) {
    int n, *job = wc_group_ranks(c->group, L.job_group, &n);
    rows->members =
        wc_core_grow(rows->members, (rows->sizes.members + (size_t)n) * sizeof *rows->members);
    for (int i = 0; i < n; i++)
        rows->members[rows->sizes.members++] = (uint32_t)job[i];
    free(job);
}

void wc_rows_record(wc_rows *rows) {
    for (const wc_comm *c = L.core.comms; c; c = c->next) {
        if (!is_recorded(c))
            continue;
        const wc_mpi_comm *m = wc_comm_from_core(c);
        rows->communicators = wc_core_grow(rows->communicators, (rows->sizes.communicators + 1) *
                                                                    sizeof *rows->communicators);
        wc_comm_row *row = &rows->communicators[rows->sizes.communicators++];
        *row = (wc_comm_row){.uid = c->uid,
                             .parent_uid = m->parent_uid,
                             .ordinal = m->ordinal,
                             .colour = m->colour,
                             .collectives = c->collectives,
                             .members_first = rows->sizes.members,
                             .members_count = (uint64_t)c->size};
        strncpy(row->how, m->how, sizeof row->how - 1);
        add_members(rows, m);
    }
}

static int job_rank(const wc_comm *comm, int rank) {
    return wc_layer_port.job_rank(NULL, comm, rank);
}

static void add_counters(wc_rows *rows, const wc_channel_count *counts, size_t n) {
    rows->counters = wc_core_alloc(n * sizeof *rows->counters);
    for (size_t i = 0; i < n; i++) {
        int source = job_rank(counts[i].comm, counts[i].source);
        if (source < 0 || counts[i].comm->freed)
            continue;
        rows->counters[rows->sizes.counters++] =
            (wc_counter_row){.comm = counts[i].comm->uid,
                             .source = (uint32_t)source,
                             .destination = (uint32_t)L.core.config.rank,
                             .sent = counts[i].sent,
                             .received = counts[i].received,
                             .in_flight = counts[i].in_flight};
    }
}

static void add_message(wc_rows *rows, const wc_message *m, uint64_t sequence) {
    rows->messages[rows->sizes.messages++] =
        (wc_message_row){.comm = m->comm->uid,
                         .source = (uint32_t)job_rank(m->comm, m->source),
                         .destination = (uint32_t)L.core.config.rank,
                         .tag = m->tag,
                         .sequence = sequence,
                         .bytes = m->bytes,
                         .offset = rows->sizes.payload_bytes};
    rows->sizes.payload_bytes += m->bytes;
}

/* Once. */
static void tell_of_end(void) {
    static bool told;
    if (!told && wc_trace_has_ended())
        wc_log_rank(WC_LOG_ERROR, "messages have so many different tags that the trace "
                                  "(WAVECUT_TRACE) of this rank has ended");
    told = wc_trace_has_ended();
}

static void add_events(wc_rows *rows) {
    size_t n = wc_trace_events();
    tell_of_end();
    uint32_t rank = (uint32_t)L.core.config.rank;
    rows->events = wc_core_alloc(n * sizeof *rows->events);
    for (size_t i = 0; i < n; i++) {
        const wc_trace_event *e = wc_trace_event_at(i);
        if (e->kind == WC_TRACE_NOTHING)
            continue;
        rows->events[rows->sizes.events++] = (wc_event_row){.rank = rank,
                                                            .kind = e->kind,
                                                            .peer = (uint32_t)e->peer,
                                                            .tag = e->tag,
                                                            .comm = e->comm,
                                                            .sequence = e->sequence,
                                                            .bytes = e->bytes,
                                                            .time = e->time};
    }
    rows->event_index =
        (wc_event_index_row){.count = rows->sizes.events, .dropped = wc_trace_dropped()};
    rows->sizes.traced = 1;
}

static void add_streams(wc_rows *rows) {
    size_t n = wc_trace_streams(NULL, 0);
    wc_trace_stream *list = wc_core_alloc(n * sizeof *list);
    wc_trace_streams(list, n);
    rows->streams = wc_core_alloc(n * sizeof *rows->streams);
    for (size_t i = 0; i < n; i++)
        rows->streams[i] = (wc_stream_row){.rank = (uint32_t)L.core.config.rank,
                                           .kind = list[i].out ? WC_EVENT_SEND : WC_EVENT_RECEIVE,
                                           .peer = (uint32_t)list[i].peer,
                                           .tag = list[i].tag,
                                           .comm = list[i].comm,
                                           .count = list[i].count};
    rows->sizes.streams = n;
    free(list);
}

void wc_rows_settle(wc_rows *rows) {
    if (R.settings.trace) {
        add_events(rows);
        add_streams(rows);
    }

    size_t n = wc_core_channels(&L.core, NULL, 0);
    wc_channel_count *counts = wc_core_alloc(n * sizeof *counts);
    uint64_t *sequences = wc_core_alloc(n * sizeof *sequences);
    wc_core_channels(&L.core, counts, n);
    add_counters(rows, counts, n);
    const wc_messages *cut = &L.core.cut;
    rows->messages = wc_core_alloc(cut->count * sizeof *rows->messages);
    for (size_t i = 0; i < cut->count; i++) {
        const wc_message *m = cut->at[i];
        size_t k = 0;
        while (counts[k].comm != m->comm || counts[k].source != m->source)
            k++;
        add_message(rows, m, sequences[k]++);
    }
    free(counts);
    free(sequences);
}

void wc_rows_shift(wc_rows *rows, const wc_channel_sizes *before) {
    for (uint64_t i = 0; i < rows->sizes.messages; i++)
        rows->messages[i].offset += before->payload_bytes;
    for (uint64_t i = 0; i < rows->sizes.communicators; i++)
        rows->communicators[i].members_first += before->members;
    rows->event_index.first = before->events;
}

void wc_rows_free(wc_rows *rows) {
    free(rows->counters);
    free(rows->messages);
    free(rows->communicators);
    free(rows->members);
    free(rows->events);
    free(rows->streams);
    *rows = (wc_rows){0};
}
