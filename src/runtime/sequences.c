/* SPDX-License-Identifier: BSD-3-Clause */
#include "sequences.h"

#include "runtime.h"
#include "saved.h"

#include <stdlib.h>

static wc_stream_row *rows; /* of this rank */
static size_t count;

/* Of a run that was not traced, or not to the end, its messages in flight are numbered, so that both ends go on with the same number. */
static wc_status count_in_flight(wc_error *error) {
    wc_message_row *messages;
    size_t n;
    wc_status status = R.store->reader_messages(R.chosen, &messages, &n, error);
    if (status != WC_OK)
        return status;
    rows = wc_core_alloc(n * sizeof *rows);
    for (size_t i = 0; i < n; i++)
        if (messages[i].source == (uint32_t)R.rank)
            rows[count++] = (wc_stream_row){.rank = messages[i].source,
                                            .kind = WC_EVENT_SEND,
                                            .peer = messages[i].destination,
                                            .tag = messages[i].tag,
                                            .comm = messages[i].comm,
                                            .count = 1};
    free(messages);
    return WC_OK;
}

/* Were all ranks traced, to the end? One whose trace has ended has no numbers any more. */
static wc_status all_traced(bool *all, wc_error *error) {
    wc_event_index_row *ranks;
    size_t n;
    wc_status status = R.store->reader_event_index(R.chosen, &ranks, &n, error);
    if (status != WC_OK)
        return status;
    *all = n > 0;
    for (size_t i = 0; i < n; i++)
        *all = *all && (ranks[i].count || !ranks[i].dropped);
    free(ranks);
    return WC_OK;
}

wc_status wc_sequences_read(wc_error *error) {
    size_t n;
    free(rows);
    rows = NULL;
    count = 0;
    if (!R.settings.trace || wc_saved_moves()) /* then nothing is in flight */
        return WC_OK;
    bool all = false;
    wc_status status = all_traced(&all, error);
    if (status == WC_OK && !all)
        return count_in_flight(error);
    if (status == WC_OK)
        status = R.store->reader_streams(R.chosen, &rows, &n, error);
    if (status != WC_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        if (rows[i].rank == (uint32_t)R.rank)
            rows[count++] = rows[i];
    return WC_OK;
}

void wc_sequences_go_on(void) {
    for (size_t i = 0; i < count; i++) {
        const wc_stream_row *row = &rows[i];
        wc_mpi_comm *c = wc_comm_by_uid(row->comm);
        int job = (int)row->peer, peer = MPI_UNDEFINED;
        if (c && !c->core.freed && job >= 0 && job < R.ranks)
            PMPI_Group_translate_ranks(L.job_group, 1, &job, c->peers, &peer);
        if (peer != MPI_UNDEFINED)
            wc_trace_count(&c->core, row->kind == WC_EVENT_SEND ? WC_OUT : WC_IN, peer, row->tag,
                           row->count);
    }
    free(rows);
    rows = NULL;
    count = 0;
}
