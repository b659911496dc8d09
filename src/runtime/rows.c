/* SPDX-License-Identifier: BSD-3-Clause */
#include "rows.h"

#include "../mpi/layer.h"

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

void wc_rows_settle(wc_rows *rows) {
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
}

void wc_rows_free(wc_rows *rows) {
    free(rows->counters);
    free(rows->messages);
    free(rows->communicators);
    free(rows->members);
    *rows = (wc_rows){0};
}
