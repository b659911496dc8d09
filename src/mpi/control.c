/* SPDX-License-Identifier: BSD-3-Clause */
/* The library's own communicators: requests, counts, the collective clock, and the reductions of the
 * frame. */
#include "layer.h"

#include <stdlib.h>
#include <string.h>

enum { REQUEST_TAG = 1, CLOCK_TAG = 2 };

/* Counts of one channel, on the wire. */
typedef struct wire_counts {
    uint64_t attempt, comm_uid;
    int64_t source; /* rank in that communicator, or in its group of an intercommunicator */
    uint64_t freed; /* by the sender: no marker goes with these counts */
    uint64_t n;
    wc_tag_count counts[];
} wire_counts;

typedef struct wire_clock {
    uint64_t attempt, comm_uid, value;
    int32_t member; /* that sends it, of that communicator */
    int32_t target;
} wire_clock;

/* Of a communicator that this rank has not made yet. */
typedef struct early_clock {
    wire_clock wire;
    struct early_clock *next;
} early_clock;

static WC_PROCESS MPI_Op merge_op;
static WC_PROCESS MPI_Datatype vote_type;
static WC_PROCESS struct {
    wc_vote mine, all;
    MPI_Request request;
} reductions[WC_PHASES];
static WC_PROCESS int64_t sent, received; /* requests, and of the clock: to be drained at the end */
static WC_PROCESS early_clock *early;

static void merge(void *in, void *inout, int *n, MPI_Datatype *type) {
    (void)type;
    for (int i = 0; i < *n; i++)
        wc_vote_merge((wc_vote *)inout + i, (const wc_vote *)in + i);
}

const char *wc_control_open(MPI_Comm comm) {
    int inter;
    PMPI_Comm_test_inter(comm, &inter);
    if (inter)
        return "wavecut_init takes an intracommunicator";
    PMPI_Comm_dup(comm, &L.job);
    PMPI_Comm_dup(comm, &L.control);
    PMPI_Comm_dup(comm, &L.store);
    for (int i = 0; i < WC_PHASES; i++) {
        PMPI_Comm_dup(comm, &L.phases[i]);
        reductions[i].request = MPI_REQUEST_NULL;
    }
    PMPI_Comm_group(L.job, &L.job_group);
    PMPI_Type_contiguous(sizeof(wc_vote), MPI_BYTE, &vote_type);
    PMPI_Type_commit(&vote_type);
    PMPI_Op_create(merge, 1, &merge_op);
    sent = received = 0;
    return NULL;
}

void wc_control_close(void) {
    for (int i = 0; i < WC_PHASES; i++)
        PMPI_Comm_free(&L.phases[i]);
    PMPI_Comm_free(&L.store);
    PMPI_Comm_free(&L.control);
    PMPI_Comm_free(&L.job);
    PMPI_Group_free(&L.job_group);
    PMPI_Type_free(&vote_type);
    PMPI_Op_free(&merge_op);
    wc_port_forget_markers();
}

/* ---- requests, along a tree ---- */

static void send_request(int to, uint64_t attempt) {
    uint64_t *number = wc_core_alloc(sizeof *number);
    MPI_Request request;
    *number = attempt;
    PMPI_Isend(number, 1, MPI_UINT64_T, to, REQUEST_TAG, L.control, &request);
    wc_port_keep(request, number);
    sent++;
}

void wc_control_spread(void *context, uint64_t attempt, int except) {
    (void)context;
    int rank = L.core.config.rank, ranks = L.core.config.ranks, parent = wc_tree_parent(rank);
    int end = wc_tree_end_of_children(rank, ranks);
    if (parent >= 0 && parent != except)
        send_request(parent, attempt);
    for (int child = wc_tree_first_child(rank, ranks); child < end; child++)
        if (child != except)
            send_request(child, attempt);
}

/* ---- the collective clock ---- */

void wc_control_tell_clock(void *context, const wc_comm *comm, int member, uint64_t attempt,
                           bool target, uint64_t value) {
    (void)context;
    wire_clock *wire = wc_core_alloc(sizeof *wire);
    *wire = (wire_clock){attempt, comm->uid, value, wc_comm_member(comm), target};
    MPI_Request request;
    PMPI_Isend(wire, sizeof *wire, MPI_BYTE, wc_port_member_in_job(comm, member), CLOCK_TAG,
               L.control, &request);
    wc_port_keep(request, wire);
    sent++;
}

static void take_clock(const wire_clock *wire) {
    wc_mpi_comm *c = wc_comm_by_uid(wire->comm_uid);
    if (c) {
        wc_core_clock(&L.core, &c->core, wire->member, wire->attempt, wire->target, wire->value);
        return;
    }
    early_clock *e = wc_core_alloc(sizeof *e);
    *e = (early_clock){*wire, early};
    early = e;
}

/* Those that have found their communicator, or whose attempt is over, go. */
static void take_early_clocks(void) {
    for (early_clock **at = &early; *at;) {
        early_clock *e = *at;
        wc_mpi_comm *c = wc_comm_by_uid(e->wire.comm_uid);
        if (!c && e->wire.attempt > L.core.finished) {
            at = &e->next;
            continue;
        }
        *at = e->next;
        if (c)
            take_clock(&e->wire);
        free(e);
    }
}

/* ---- counts ---- */

void wc_control_send_counts(void *context, const wc_comm *comm, int peer, uint64_t attempt,
                            const wc_tag_count *counts, size_t n) {
    size_t bytes = sizeof(wire_counts) + n * sizeof *counts;
    wire_counts *wire = wc_core_alloc(bytes);
    wire->attempt = attempt;
    wire->comm_uid = comm->uid;
    wire->source = comm->rank;
    wire->freed = comm->freed;
    wire->n = n;
    memcpy(wire->counts, counts, n * sizeof *counts);
    MPI_Request request;
    PMPI_Issend(wire, (int)bytes, MPI_BYTE, wc_layer_port.job_rank(context, comm, peer),
                L.marker_tag, L.control, &request);
    wc_port_keep(request, wire);
    if (L.traced && !L.immediate)
        wc_trace_marker(WC_TRACE_MARKER_SENT, comm, peer);
}

static void take_counts(const wire_counts *wire) {
    wc_mpi_comm *c = wc_comm_by_uid(wire->comm_uid);
    if (!c && wire->freed)
        return; /* here it is forgotten already: all that was sent on it has been received */
    if (!c) {
        wc_core_void(&L.core, WC_REASON_FREED_COMM, -1, -1, NULL);
        return;
    }
    c->core.freed_by_peer |= wire->freed;
    if (L.traced && !L.immediate)
        wc_trace_marker(WC_TRACE_MARKER_RECEIVED, &c->core, (int)wire->source);
    wc_core_counts(&L.core, &c->core, (int)wire->source, wire->counts, wire->n);
}

static void take(const void *buffer, const MPI_Status *status) {
    switch (status->MPI_TAG) {
    case REQUEST_TAG:
        received++;
        wc_core_hear(&L.core, *(const uint64_t *)buffer, status->MPI_SOURCE);
        return;
    case CLOCK_TAG:
        received++;
        take_clock(buffer);
        return;
    default:
        take_counts(buffer);
    }
}

static bool poll_one(void) {
    int flag, bytes;
    MPI_Message message;
    MPI_Status status;
    PMPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, L.control, &flag, &message, &status);
    if (!flag)
        return false;
    PMPI_Get_count(&status, MPI_BYTE, &bytes);
    void *buffer = wc_core_alloc((size_t)bytes);
    PMPI_Mrecv(buffer, bytes, MPI_BYTE, &message, MPI_STATUS_IGNORE);
    take(buffer, &status);
    free(buffer);
    return true;
}

void wc_control_poll(void) {
    if (early)
        take_early_clocks();
    while (poll_one())
        ;
}

void wc_control_drain(void) {
    int64_t open = 1;
    while (open) {
        wc_control_poll();
        int64_t mine = sent - received;
        PMPI_Allreduce(&mine, &open, 1, MPI_INT64_T, MPI_SUM, L.job);
    }
    while (!wc_layer_port.markers_received(NULL))
        ;
    take_early_clocks(); /* of attempts that are over */
}

/* ---- reductions ---- */

void wc_control_enter(void *context, wc_phase phase, const wc_vote *mine) {
    (void)context;
    if (L.traced && phase == WC_PHASE_AGREE)
        wc_trace_phase(WC_TRACE_ARMED);
    reductions[phase].mine = *mine;
    PMPI_Iallreduce(&reductions[phase].mine, &reductions[phase].all, 1, vote_type, merge_op,
                    L.phases[phase], &reductions[phase].request);
}

bool wc_control_reduced(void *context, wc_phase phase, wc_vote *result) {
    (void)context;
    int flag;
    PMPI_Test(&reductions[phase].request, &flag, MPI_STATUS_IGNORE);
    if (flag)
        *result = reductions[phase].all;
    return flag;
}
