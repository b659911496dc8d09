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

static void tell_of_send(const wc_stream *s, uint64_t bytes) {
    if (L.watched)
        wc_watch_count_sent(s, 1);
    if (L.traced)
        wc_trace_send(s, bytes);
}

wc_stream *wc_send_count(int count, MPI_Datatype type, int to, int tag, MPI_Comm comm) {
    if (to == MPI_PROC_NULL || L.way == WC_WAY_OFF)
        return NULL;
    if (L.way == WC_WAY_SLOW)
        wc_layer_touch();
    wc_mpi_comm *c = wc_comm_of(comm);
    if (!c || wc_comm_refuses_send(c, count, type, to, tag))
        return NULL;
    if (L.immediate && wc_core_busy(&L.core))
        wc_core_before_send(&L.core, &c->core, to);
    wc_stream *s = wc_core_out(&L.core, &c->core, to, tag);
    s->sent++;
    if (L.slow_only)
        tell_of_send(s, (uint64_t)count * wc_type_bytes_of(type));
    return s;
}

void wc_send_uncount(wc_stream *s) {
    s->sent--;
    if (L.watched)
        wc_watch_count_sent(s, -1);
    if (L.traced)
        wc_trace_take_back(s);
}

static wc_stream *count_send(int count, MPI_Datatype type, int to, int tag, MPI_Comm comm) {
    L.core.recordable = false;
    wc_stream *s = wc_fast_stream(L.fast_comm, WC_OUT, comm, to, tag);
    if (__builtin_expect(!s, 0))
        return wc_send_count(count, type, to, tag, comm);
    s->sent++;
    return s;
}

/* What MPI has refused was not sent. */
static inline int sent(wc_stream *s, int rc) {
    if (__builtin_expect(rc != MPI_SUCCESS, 0) && s)
        wc_send_uncount(s);
    return rc;
}

/* The same for a nonblocking one. */
static inline int started(wc_stream *s, int rc, const MPI_Request *request) {
    L.outstanding += rc == MPI_SUCCESS;
    if (L.watched && rc == MPI_SUCCESS)
        wc_watch_request(*request, WC_WATCH_SEND, s);
    return sent(s, rc);
}

/* May a blocking send not block inside MPI? This rank has taken receives back, so others may be
 * waiting for it to pull; or somebody may ask what it does. */
static inline bool pulls(void) {
    return L.way != WC_WAY_FAST && (L.core.armed || L.watched);
}

#define SEND_PARAMETERS                                                                            \
    const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm
#define SEND_ARGUMENTS buf, count, type, dest, tag, comm
#define COUNT_ARGUMENTS count, type, dest, tag, comm

typedef int start_function(SEND_PARAMETERS, MPI_Request *request);
typedef int blocking_function(SEND_PARAMETERS);

/* A blocking send as a nonblocking one and a loop that pulls. */
static int send_pulling(const char *call, start_function *start, SEND_PARAMETERS) {
    MPI_Request request;
    WC_WATCHED(wc_watch_send(call, dest, tag, comm));
    int rc = start(SEND_ARGUMENTS, &request);
    return rc == MPI_SUCCESS ? wc_native_wait(&request, MPI_STATUS_IGNORE) : rc;
}

/* A blocking send that may wait inside MPI. The guard's lock is not taken again for nothing; the stream
 * may have gone meanwhile. */
static int send_natively(const wc_guard *guard, const wc_stream *s, blocking_function *send,
                         SEND_PARAMETERS) {
    wc_let_go();
    int rc = send(SEND_ARGUMENTS);
    if (rc != MPI_SUCCESS || !guard->took)
        wc_take_again();
    if (rc != MPI_SUCCESS && s)
        wc_send_uncount(wc_core_out(&L.core, &wc_comm_of(comm)->core, dest, tag));
    return rc;
}

#define LONG_WAY __attribute__((noinline)) static int /* keeps the other way short */

LONG_WAY send_slow(SEND_PARAMETERS) {
    WC_GUARD("MPI_Send");
    wc_stream *s = count_send(COUNT_ARGUMENTS);
    if (pulls())
        return sent(s, send_pulling("MPI_Send", PMPI_Isend, SEND_ARGUMENTS));
    return send_natively(&guard_, s, PMPI_Send, SEND_ARGUMENTS);
}

WC_EXPORT int MPI_Send(SEND_PARAMETERS) {
    wc_stream *s = wc_fast_stream(L.fast_comm, WC_OUT, comm, dest, tag);
    if (__builtin_expect(!s, 0))
        return send_slow(SEND_ARGUMENTS);
    L.core.recordable = false;
    s->sent++;
    return PMPI_Send(SEND_ARGUMENTS);
}

WC_EXPORT int MPI_Ssend(SEND_PARAMETERS) {
    WC_GUARD(__func__);
    L.sync_used = true;
    wc_stream *s = count_send(COUNT_ARGUMENTS);
    if (pulls())
        return sent(s, send_pulling("MPI_Ssend", PMPI_Issend, SEND_ARGUMENTS));
    return send_natively(&guard_, s, PMPI_Ssend, SEND_ARGUMENTS);
}

/* A ready send may be a standard one (MPI 3.1, section 3.4), and must be: its receive may have been
 * taken back. */
WC_EXPORT int MPI_Rsend(SEND_PARAMETERS) {
    WC_GUARD(__func__);
    wc_stream *s = count_send(COUNT_ARGUMENTS);
    if (pulls())
        return sent(s, send_pulling("MPI_Rsend", PMPI_Isend, SEND_ARGUMENTS));
    return send_natively(&guard_, s, L.immediate ? PMPI_Send : PMPI_Rsend, SEND_ARGUMENTS);
}

WC_EXPORT int MPI_Bsend(SEND_PARAMETERS) {
    WC_GUARD(__func__);
    wc_stream *s = count_send(COUNT_ARGUMENTS);
    return sent(s, PMPI_Bsend(SEND_ARGUMENTS));
}

LONG_WAY isend_slow(SEND_PARAMETERS, MPI_Request *request) {
    WC_GUARD("MPI_Isend");
    wc_stream *s = count_send(COUNT_ARGUMENTS);
    return started(s, PMPI_Isend(SEND_ARGUMENTS, request), request);
}

WC_EXPORT int MPI_Isend(SEND_PARAMETERS, MPI_Request *request) {
    wc_stream *s = wc_fast_stream(L.fast_comm, WC_OUT, comm, dest, tag);
    if (__builtin_expect(!s, 0))
        return isend_slow(SEND_ARGUMENTS, request);
    L.outstanding++; /* so a record can't be taken inside what follows */
    s->sent++;
    return PMPI_Isend(SEND_ARGUMENTS, request);
}

WC_EXPORT int MPI_Issend(SEND_PARAMETERS, MPI_Request *request) {
    WC_GUARD(__func__);
    L.sync_used = true;
    wc_stream *s = count_send(COUNT_ARGUMENTS);
    return started(s, PMPI_Issend(SEND_ARGUMENTS, request), request);
}

WC_EXPORT int MPI_Irsend(SEND_PARAMETERS, MPI_Request *request) {
    WC_GUARD(__func__);
    wc_stream *s = count_send(COUNT_ARGUMENTS);
    return started(
        s, L.immediate ? PMPI_Isend(SEND_ARGUMENTS, request) : PMPI_Irsend(SEND_ARGUMENTS, request),
        request);
}

WC_EXPORT int MPI_Ibsend(SEND_PARAMETERS, MPI_Request *request) {
    WC_GUARD(__func__);
    wc_stream *s = count_send(COUNT_ARGUMENTS);
    return started(s, PMPI_Ibsend(SEND_ARGUMENTS, request), request);
}
