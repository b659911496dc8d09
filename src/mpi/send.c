/* SPDX-License-Identifier: BSD-3-Clause */
/* Sends: counted where they start. */
#include "layer.h"

/* Ends a nonblocking send that stands for a blocking one, looking after the snapshot meanwhile. */
int wc_send_wait(MPI_Request *request) {
    unsigned spins = 0;
    int flag = 0, rc;
    for (;;) {
        rc = PMPI_Test(request, &flag, MPI_STATUS_IGNORE);
        if (flag || rc != MPI_SUCCESS)
            return rc;
        wc_layer_idle(&spins);
    }
}

/* Counts a send on the SLOW way; true if it may not block inside MPI: this rank has taken receives
 * back, so others may be waiting for it to pull. */
static bool note_slow(int to, int tag, MPI_Comm comm) {
    wc_layer_touch();
    wc_mpi_comm *c = wc_comm_of(comm);
    if (!c)
        return false;
    if (L.immediate && wc_core_busy(&L.core))
        wc_core_before_send(&L.core, &c->core, to);
    wc_core_out(&L.core, &c->core, to, tag)->sent++;
    return L.core.armed;
}

static inline bool note(int to, int tag, MPI_Comm comm) {
    if (__builtin_expect(to == MPI_PROC_NULL || L.way == WC_WAY_OFF, 0))
        return false;
    if (__builtin_expect(L.way == WC_WAY_SLOW, 0))
        return note_slow(to, tag, comm);
    wc_mpi_comm *c = wc_comm_of(comm);
    if (__builtin_expect(c != NULL, 1))
        wc_core_out(&L.core, &c->core, to, tag)->sent++;
    return false;
}

static void note_synchronous(void) {
    L.core.sync_used = true;
}

/* An operation whose request is not a receive's. PROC_NULL's are counted as well: their handles are
 * as useless after a restart as others. */
static inline void note_operation(void) {
    L.operations++;
}

#define SEND_ARGS const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm

WC_EXPORT int MPI_Send(SEND_ARGS) {
    if (__builtin_expect(note(dest, tag, comm), 0)) {
        MPI_Request request;
        int rc = PMPI_Isend(buf, count, type, dest, tag, comm, &request);
        return rc == MPI_SUCCESS ? wc_send_wait(&request) : rc;
    }
    return PMPI_Send(buf, count, type, dest, tag, comm);
}

WC_EXPORT int MPI_Ssend(SEND_ARGS) {
    note_synchronous();
    if (note(dest, tag, comm)) {
        MPI_Request request;
        int rc = PMPI_Issend(buf, count, type, dest, tag, comm, &request);
        return rc == MPI_SUCCESS ? wc_send_wait(&request) : rc;
    }
    return PMPI_Ssend(buf, count, type, dest, tag, comm);
}

/* A ready send may be a standard one (MPI 3.1, section 3.4), and must be: its receive may have been
 * taken back. */
WC_EXPORT int MPI_Rsend(SEND_ARGS) {
    if (note(dest, tag, comm)) {
        MPI_Request request;
        int rc = PMPI_Isend(buf, count, type, dest, tag, comm, &request);
        return rc == MPI_SUCCESS ? wc_send_wait(&request) : rc;
    }
    return L.immediate ? PMPI_Send(buf, count, type, dest, tag, comm)
                       : PMPI_Rsend(buf, count, type, dest, tag, comm);
}

WC_EXPORT int MPI_Bsend(SEND_ARGS) {
    note(dest, tag, comm);
    return PMPI_Bsend(buf, count, type, dest, tag, comm);
}

WC_EXPORT int MPI_Isend(SEND_ARGS, MPI_Request *request) {
    note(dest, tag, comm);
    note_operation();
    return PMPI_Isend(buf, count, type, dest, tag, comm, request);
}

WC_EXPORT int MPI_Issend(SEND_ARGS, MPI_Request *request) {
    note_synchronous();
    note(dest, tag, comm);
    note_operation();
    return PMPI_Issend(buf, count, type, dest, tag, comm, request);
}

WC_EXPORT int MPI_Irsend(SEND_ARGS, MPI_Request *request) {
    note(dest, tag, comm);
    note_operation();
    return L.immediate ? PMPI_Isend(buf, count, type, dest, tag, comm, request)
                       : PMPI_Irsend(buf, count, type, dest, tag, comm, request);
}

WC_EXPORT int MPI_Ibsend(SEND_ARGS, MPI_Request *request) {
    note(dest, tag, comm);
    note_operation();
    return PMPI_Ibsend(buf, count, type, dest, tag, comm, request);
}

/* Detaching a buffer waits for its messages, which may wait for a peer that waits for this rank to
 * pull. */
WC_EXPORT int MPI_Buffer_detach(void *buffer, int *size) {
    if (L.way == WC_WAY_SLOW)
        wc_core_native_begin(&L.core);
    int rc = PMPI_Buffer_detach(buffer, size);
    if (L.way == WC_WAY_SLOW)
        wc_core_native_end(&L.core);
    return rc;
}
