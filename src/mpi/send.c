/* SPDX-License-Identifier: BSD-3-Clause */
/* Sends: counted where they start. */
#include "layer.h"

int wc_native_wait(MPI_Request *request, MPI_Status *status) {
    unsigned spins = 0;
    int flag = 0, rc;
    for (;;) {
        rc = PMPI_Test(request, &flag, status);
        if (flag || rc != MPI_SUCCESS)
            return rc;
        wc_layer_idle(&spins);
    }
}

/* Counts a send the long way. True if it may not block inside MPI: this rank has taken receives
 * back, so others may be waiting for it to pull. */
static bool count_slow(int to, int tag, MPI_Comm comm) {
    if (to == MPI_PROC_NULL || L.way == WC_WAY_OFF)
        return false;
    L.core.recordable = false;
    if (L.way == WC_WAY_SLOW)
        wc_layer_touch();
    wc_mpi_comm *c = wc_comm_of(comm);
    if (!c)
        return L.core.armed;
    if (L.immediate && wc_core_busy(&L.core))
        wc_core_before_send(&L.core, &c->core, to);
    wc_core_out(&L.core, &c->core, to, tag)->sent++;
    return L.core.armed;
}

/* The stream of a send on the FAST way, counted. False: take the long way. */
static inline bool count_fast(int to, int tag, MPI_Comm comm) {
    wc_stream *s = wc_fast_stream(WC_OUT, comm, to, tag);
    if (__builtin_expect(!s, 0))
        return false;
    s->sent++;
    return true;
}

static bool count_send(int to, int tag, MPI_Comm comm) {
    L.core.recordable = false;
    return !count_fast(to, tag, comm) && count_slow(to, tag, comm);
}

#define SEND_PARAMETERS                                                                            \
    const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm
#define SEND_ARGUMENTS buf, count, type, dest, tag, comm
#define LONG_WAY __attribute__((noinline)) static int /* keeps the other way short */

typedef int start_function(SEND_PARAMETERS, MPI_Request *request);

/* A blocking send as a nonblocking one and a loop that pulls. */
static int send_pulling(start_function *start, SEND_PARAMETERS) {
    MPI_Request request;
    int rc = start(SEND_ARGUMENTS, &request);
    return rc == MPI_SUCCESS ? wc_native_wait(&request, MPI_STATUS_IGNORE) : rc;
}

LONG_WAY send_slow(SEND_PARAMETERS) {
    bool pulls = count_slow(dest, tag, comm);
    return pulls ? send_pulling(PMPI_Isend, SEND_ARGUMENTS) : PMPI_Send(SEND_ARGUMENTS);
}

WC_EXPORT int MPI_Send(SEND_PARAMETERS) {
    if (!count_fast(dest, tag, comm))
        return send_slow(SEND_ARGUMENTS);
    L.core.recordable = false;
    return PMPI_Send(SEND_ARGUMENTS);
}

WC_EXPORT int MPI_Ssend(SEND_PARAMETERS) {
    L.core.sync_used = true;
    bool pulls = count_send(dest, tag, comm);
    return pulls ? send_pulling(PMPI_Issend, SEND_ARGUMENTS) : PMPI_Ssend(SEND_ARGUMENTS);
}

/* A ready send may be a standard one (MPI 3.1, section 3.4), and must be: its receive may have been
 * taken back. */
WC_EXPORT int MPI_Rsend(SEND_PARAMETERS) {
    if (count_send(dest, tag, comm))
        return send_pulling(PMPI_Isend, SEND_ARGUMENTS);
    return L.immediate ? PMPI_Send(SEND_ARGUMENTS) : PMPI_Rsend(SEND_ARGUMENTS);
}

WC_EXPORT int MPI_Bsend(SEND_PARAMETERS) {
    count_send(dest, tag, comm);
    return PMPI_Bsend(SEND_ARGUMENTS);
}

LONG_WAY isend_slow(SEND_PARAMETERS, MPI_Request *request) {
    count_slow(dest, tag, comm);
    L.started++;
    return PMPI_Isend(SEND_ARGUMENTS, request);
}

WC_EXPORT int MPI_Isend(SEND_PARAMETERS, MPI_Request *request) {
    if (!count_fast(dest, tag, comm))
        return isend_slow(SEND_ARGUMENTS, request);
    L.started++;
    return PMPI_Isend(SEND_ARGUMENTS, request);
}

WC_EXPORT int MPI_Issend(SEND_PARAMETERS, MPI_Request *request) {
    L.core.sync_used = true;
    count_send(dest, tag, comm);
    L.started++;
    return PMPI_Issend(SEND_ARGUMENTS, request);
}

WC_EXPORT int MPI_Irsend(SEND_PARAMETERS, MPI_Request *request) {
    count_send(dest, tag, comm);
    L.started++;
    return L.immediate ? PMPI_Isend(SEND_ARGUMENTS, request) : PMPI_Irsend(SEND_ARGUMENTS, request);
}

WC_EXPORT int MPI_Ibsend(SEND_PARAMETERS, MPI_Request *request) {
    count_send(dest, tag, comm);
    L.started++;
    return PMPI_Ibsend(SEND_ARGUMENTS, request);
}

/* Detaching a buffer waits for its messages, which may wait for a peer that waits for this rank to
 * pull. */
WC_EXPORT int MPI_Buffer_detach(void *buffer, int *size) {
    bool slow = wc_native_enter();
    int rc = PMPI_Buffer_detach(buffer, size);
    wc_native_leave(slow);
    return rc;
}
