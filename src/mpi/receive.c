/* SPDX-License-Identifier: BSD-3-Clause */
/* Receives, probes, and the calls that send and receive at once. */
#include "layer.h"

#include <stdlib.h>
#include <string.h>

/* A handle for a receive that MPI does not know: a receive on the library's own communicator that
 * nothing is sent to. */
static MPI_Request placeholder(void) {
    MPI_Request request;
    PMPI_Irecv(NULL, 0, MPI_BYTE, 0, 0x7FFF + 1, L.self, &request);
    return request;
}

int wc_receive_start(wc_request **made, void *buffer, int count, MPI_Datatype type, int source,
                     int tag, MPI_Comm comm, bool inside) {
    wc_mpi_comm *c = wc_comm_of(comm);
    wc_request *r = wc_request_new();
    *r = (wc_request){.recv = {.comm = &c->core,
                               .source = source == MPI_ANY_SOURCE ? WC_ANY : source,
                               .tag = tag == MPI_ANY_TAG ? WC_ANY : tag,
                               .order = ++L.order,
                               .inside = inside},
                      .inner = MPI_REQUEST_NULL,
                      .handle = MPI_REQUEST_NULL,
                      .buffer = buffer,
                      .count = count,
                      .type = type,
                      .comm = comm};
    if (r->recv.source != WC_ANY && r->recv.tag != WC_ANY)
        r->recv.stream = wc_core_in(&L.core, &c->core, source, tag);
    int rc = MPI_SUCCESS;
    if (!wc_core_slow(&L.core) || !wc_core_receive(&L.core, &r->recv))
        rc = PMPI_Irecv(buffer, count, type, source, tag, comm, &r->inner);
    wc_core_posted(&L.core, &r->recv);
    if (inside)
        L.inside = r;
    else {
        r->handle = r->inner == MPI_REQUEST_NULL ? placeholder() : r->inner;
        if (r->handle != r->inner || r->recv.message)
            L.virtual_count++;
        wc_request_insert(r);
    }
    if (L.way == WC_WAY_FAST)
        wc_layer_update();
    *made = r;
    return rc;
}

static void wait_ready(wc_request *r) {
    unsigned spins = 0;
    while (!wc_request_ready(r))
        wc_layer_idle(&spins);
}

int wc_receive_wait(void *buffer, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm,
                    MPI_Status *status) {
    wc_request *r;
    int rc = wc_receive_start(&r, buffer, count, type, source, tag, comm, true);
    if (rc != MPI_SUCCESS) {
        wc_core_forget(&L.core, &r->recv);
        wc_request_release(r);
        return rc;
    }
    wait_ready(r);
    L.core.recordable = false;
    return wc_request_finish(r, status);
}

WC_EXPORT int MPI_Recv(void *buf, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm,
                       MPI_Status *status) {
    if (__builtin_expect(L.way == WC_WAY_FAST && source >= 0 && tag >= 0, 1)) {
        wc_mpi_comm *c = wc_comm_of(comm);
        if (__builtin_expect(c != NULL, 1)) {
            wc_stream *s = wc_core_in(&L.core, &c->core, source, tag);
            s->posted++;
            s->handed++;
        }
        return PMPI_Recv(buf, count, type, source, tag, comm, status);
    }
    if (L.way == WC_WAY_OFF || source == MPI_PROC_NULL || !wc_comm_of(comm))
        return PMPI_Recv(buf, count, type, source, tag, comm, status);
    if (L.immediate)
        wc_layer_poll();
    return wc_receive_wait(buf, count, type, source, tag, comm, status);
}

WC_EXPORT int MPI_Irecv(void *buf, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm,
                        MPI_Request *request) {
    if (L.way == WC_WAY_OFF || !wc_comm_of(comm))
        return PMPI_Irecv(buf, count, type, source, tag, comm, request);
    if (source == MPI_PROC_NULL) {
        L.operations++;
        return PMPI_Irecv(buf, count, type, source, tag, comm, request);
    }
    if (L.way == WC_WAY_SLOW)
        wc_layer_touch();
    wc_request *r;
    int rc = wc_receive_start(&r, buf, count, type, source, tag, comm, false);
    *request = r->handle;
    return rc;
}

/* ---- probes ---- */

static bool probe_stash(int source, int tag, MPI_Comm comm, MPI_Status *status) {
    wc_mpi_comm *c = wc_comm_of(comm);
    wc_message *m = c ? wc_core_probe(&L.core, &c->core, source == MPI_ANY_SOURCE ? WC_ANY : source,
                                      tag == MPI_ANY_TAG ? WC_ANY : tag)
                      : NULL;
    if (m && status != MPI_STATUS_IGNORE) {
        PMPI_Status_set_elements_x(status, MPI_BYTE, (MPI_Count)m->bytes);
        PMPI_Status_set_cancelled(status, 0);
        status->MPI_SOURCE = m->source;
        status->MPI_TAG = m->tag;
    }
    return m;
}

/* One look. While armed the library pulls everything, so that MPI has nothing to show but what
 * comes next. */
static int look(int source, int tag, MPI_Comm comm, int *flag, MPI_Status *status) {
    *flag = probe_stash(source, tag, comm, status);
    if (*flag || L.core.armed)
        return MPI_SUCCESS;
    return PMPI_Iprobe(source, tag, comm, flag, status);
}

WC_EXPORT int MPI_Iprobe(int source, int tag, MPI_Comm comm, int *flag, MPI_Status *status) {
    if (L.way != WC_WAY_SLOW || source == MPI_PROC_NULL)
        return PMPI_Iprobe(source, tag, comm, flag, status);
    L.core.wanting = true;
    wc_layer_touch();
    int rc = look(source, tag, comm, flag, status);
    L.core.wanting = false;
    if (!*flag && L.core.armed)
        wc_core_starved(&L.core);
    return rc;
}

WC_EXPORT int MPI_Probe(int source, int tag, MPI_Comm comm, MPI_Status *status) {
    if (L.way != WC_WAY_SLOW || source == MPI_PROC_NULL)
        return PMPI_Probe(source, tag, comm, status);
    if (L.immediate)
        wc_layer_poll();
    unsigned spins = 0;
    int flag = 0, rc;
    L.core.wanting = true;
    while ((rc = look(source, tag, comm, &flag, status)) == MPI_SUCCESS && !flag)
        wc_layer_idle(&spins);
    L.core.wanting = false;
    L.core.recordable = false;
    return rc;
}

/* ---- both at once ---- */

WC_EXPORT int MPI_Sendrecv(const void *sendbuf, int sendcount, MPI_Datatype sendtype, int dest,
                           int sendtag, void *recvbuf, int recvcount, MPI_Datatype recvtype,
                           int source, int recvtag, MPI_Comm comm, MPI_Status *status) {
    wc_mpi_comm *c = L.way == WC_WAY_OFF ? NULL : wc_comm_of(comm);
    if (!c)
        return PMPI_Sendrecv(sendbuf, sendcount, sendtype, dest, sendtag, recvbuf, recvcount,
                             recvtype, source, recvtag, comm, status);
    /* As the standard describes it: a receive and a send that run at once. */
    wc_request *r = NULL;
    MPI_Request send;
    wc_layer_touch();
    int rc = MPI_SUCCESS;
    if (source != MPI_PROC_NULL)
        rc = wc_receive_start(&r, recvbuf, recvcount, recvtype, source, recvtag, comm, true);
    if (rc == MPI_SUCCESS) {
        rc = MPI_Isend(sendbuf, sendcount, sendtype, dest, sendtag, comm, &send);
        L.operations--;
    }
    if (rc == MPI_SUCCESS)
        rc = wc_send_wait(&send);
    if (!r) {
        if (rc == MPI_SUCCESS) /* the status of a receive from PROC_NULL */
            rc = PMPI_Recv(recvbuf, recvcount, recvtype, MPI_PROC_NULL, recvtag, comm, status);
        return rc;
    }
    if (rc != MPI_SUCCESS)
        return rc;
    wait_ready(r);
    return wc_request_finish(r, status);
}

WC_EXPORT int MPI_Sendrecv_replace(void *buf, int count, MPI_Datatype type, int dest, int sendtag,
                                   int source, int recvtag, MPI_Comm comm, MPI_Status *status) {
    if (L.way == WC_WAY_OFF || !wc_comm_of(comm))
        return PMPI_Sendrecv_replace(buf, count, type, dest, sendtag, source, recvtag, comm,
                                     status);
    int bytes, position = 0;
    int rc = PMPI_Pack_size(count, type, comm, &bytes);
    void *packed = rc == MPI_SUCCESS ? malloc(bytes > 0 ? (size_t)bytes : 1) : NULL;
    if (rc != MPI_SUCCESS || !packed)
        return rc != MPI_SUCCESS ? rc : MPI_ERR_NO_MEM;
    rc = PMPI_Pack(buf, count, type, packed, bytes, &position, comm);
    if (rc == MPI_SUCCESS)
        rc = MPI_Sendrecv(packed, position, MPI_PACKED, dest, sendtag, buf, count, type, source,
                          recvtag, comm, status);
    free(packed);
    return rc;
}
