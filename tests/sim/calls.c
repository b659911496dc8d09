/* SPDX-License-Identifier: BSD-3-Clause */
/* MPI's point-to-point calls: MPI 3.1, chapter 3. */
#include "sim.h"

#include <string.h>

/* ---- sends ---- */

static MPI_Request send_request(const void *buf, int n, MPI_Datatype type, int to, int tag,
                                MPI_Comm comm, bool sync) {
    MPI_Request r = sim_request_new(SIM_SENDING, comm);
    r->buffer = (void *)buf;
    r->room = (size_t)n * sim_type_bytes(type);
    r->peer = to;
    r->tag = tag;
    r->sync = sync;
    return r;
}

static void begin_send(MPI_Request r) {
    r->met = true;
    if (r->peer == MPI_PROC_NULL)
        return;
    if (r->peer < 0 || r->peer >= sim_comm_size(sim_comm_of_peers(r->comm)))
        sim_problem("rank %d sends to %d on communicator %d", me->rank, r->peer, r->comm);
    sim_packet *p = sim_alloc(sizeof *p + r->room);
    *p = (sim_packet){.comm = sim_comm_of_peers(r->comm),
                      .source = sim_comm_rank(r->comm),
                      .to = r->peer,
                      .tag = r->tag,
                      .bytes = r->room};
    if (r->room)
        memcpy(p->data, r->buffer, r->room);
    if (r->sync || r->room > J.eager) {
        r->met = false;
        p->send = r;
    }
    sim_network_send(p);
}

static MPI_Request send(const void *buf, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                        bool sync) {
    MPI_Request r = send_request(buf, n, type, to, tag, comm, sync);
    begin_send(r);
    return r;
}

#define SEND(name, iname, sync)                                                                    \
    int PMPI_##iname(SIM_SEND, MPI_Request *request) {                                             \
        sim_preempt();                                                                             \
        *request = send(buf, n, type, to, tag, comm, sync);                                        \
        return MPI_SUCCESS;                                                                        \
    }                                                                                              \
    int PMPI_##name(SIM_SEND) {                                                                    \
        sim_preempt();                                                                             \
        MPI_Request r = send(buf, n, type, to, tag, comm, sync);                                   \
        return PMPI_Wait(&r, MPI_STATUS_IGNORE);                                                   \
    }

SEND(Send, Isend, false)
SEND(Ssend, Issend, true)
SEND(Rsend, Irsend, false)

/* ---- receives ---- */

static MPI_Request receive_request(SIM_RECV) {
    MPI_Request r = sim_request_new(SIM_RECEIVING, comm);
    r->buffer = buf;
    r->room = (size_t)n * sim_type_bytes(type);
    r->peer = from;
    r->tag = tag;
    return r;
}

static void begin_receive(MPI_Request r) {
    if (r->peer != MPI_PROC_NULL) {
        sim_post(r);
        return;
    }
    r->complete = true;
    r->status = (MPI_Status){.MPI_SOURCE = MPI_PROC_NULL, .MPI_TAG = MPI_ANY_TAG};
}

static MPI_Request receive(SIM_RECV) {
    MPI_Request r = receive_request(buf, n, type, from, tag, comm);
    begin_receive(r);
    return r;
}

int PMPI_Irecv(SIM_RECV, MPI_Request *request) {
    sim_preempt();
    *request = receive(buf, n, type, from, tag, comm);
    return MPI_SUCCESS;
}

int PMPI_Recv(SIM_RECV, MPI_Status *status) {
    sim_preempt();
    MPI_Request r = receive(buf, n, type, from, tag, comm);
    return PMPI_Wait(&r, status);
}

int PMPI_Sendrecv(const void *sendbuf, int sendcount, MPI_Datatype sendtype, int dest, int sendtag,
                  void *recvbuf, int recvcount, MPI_Datatype recvtype, int source, int recvtag,
                  MPI_Comm comm, MPI_Status *status) {
    sim_preempt();
    MPI_Request r = receive(recvbuf, recvcount, recvtype, source, recvtag, comm);
    MPI_Request s = send(sendbuf, sendcount, sendtype, dest, sendtag, comm, false);
    PMPI_Wait(&s, MPI_STATUS_IGNORE);
    return PMPI_Wait(&r, status);
}

/* ---- persistent requests: MPI 3.1, section 3.9 ---- */

static int make(MPI_Request r, MPI_Request *request) {
    r->persistent = true;
    r->active = false;
    *request = r;
    return MPI_SUCCESS;
}

int PMPI_Send_init(SIM_SEND, MPI_Request *request) {
    sim_preempt();
    return make(send_request(buf, n, type, to, tag, comm, false), request);
}

int PMPI_Ssend_init(SIM_SEND, MPI_Request *request) {
    sim_preempt();
    return make(send_request(buf, n, type, to, tag, comm, true), request);
}

int PMPI_Recv_init(SIM_RECV, MPI_Request *request) {
    sim_preempt();
    return make(receive_request(buf, n, type, from, tag, comm), request);
}

/* Open MPI may give a send another handle (mca_pml_ob1_start). */
static void renew(MPI_Request *request) {
    MPI_Request r = sim_request_new(SIM_SENDING, (*request)->comm);
    *r = **request;
    *request = r;
}

int PMPI_Start(MPI_Request *request) {
    sim_preempt();
    if ((*request)->active)
        sim_problem("rank %d starts a request that is active", me->rank);
    if ((*request)->kind == SIM_SENDING && sim_choose(4) == 0)
        renew(request);
    MPI_Request r = *request;
    r->active = true;
    r->complete = r->cancelling = false;
    if (r->kind == SIM_SENDING)
        begin_send(r);
    else
        begin_receive(r);
    return MPI_SUCCESS;
}

/* ---- probes: what has arrived is seen at once; how late it arrives is the network's affair ---- */

static void tell(const sim_packet *p, MPI_Status *status) {
    if (status != MPI_STATUS_IGNORE)
        *status =
            (MPI_Status){.MPI_SOURCE = p->source, .MPI_TAG = p->tag, .bytes = (MPI_Count)p->bytes};
}

int PMPI_Iprobe(int from, int tag, MPI_Comm comm, int *flag, MPI_Status *status) {
    sim_preempt();
    const sim_packet *p = *sim_find_unexpected(comm, from, tag);
    *flag = p != NULL;
    if (*flag)
        tell(p, status);
    return MPI_SUCCESS;
}

int PMPI_Probe(int from, int tag, MPI_Comm comm, MPI_Status *status) {
    int flag = 0;
    for (;;) {
        PMPI_Iprobe(from, tag, comm, &flag, status);
        if (flag)
            return MPI_SUCCESS;
        sim_yield();
    }
}

int PMPI_Improbe(int from, int tag, MPI_Comm comm, int *flag, MPI_Message *message,
                 MPI_Status *status) {
    sim_preempt();
    sim_packet **at = sim_find_unexpected(comm, from, tag);
    *flag = *at != NULL;
    if (*flag) {
        tell(*at, status);
        sim_trace("  rank %d: tag %d from %d on communicator %d is pulled", me->rank, (*at)->tag,
                  (*at)->source, comm);
        *message = sim_take(&me->unexpected, at);
    }
    return MPI_SUCCESS;
}

int PMPI_Mprobe(int from, int tag, MPI_Comm comm, MPI_Message *message, MPI_Status *status) {
    int flag = 0;
    for (;;) {
        PMPI_Improbe(from, tag, comm, &flag, message, status);
        if (flag)
            return MPI_SUCCESS;
        sim_yield();
    }
}

int PMPI_Imrecv(void *buf, int n, MPI_Datatype type, MPI_Message *message, MPI_Request *request) {
    sim_preempt();
    MPI_Request r = sim_request_new(SIM_RECEIVING, (*message)->comm);
    r->buffer = buf;
    r->room = (size_t)n * sim_type_bytes(type);
    r->packet = *message;
    if (r->packet->send)
        r->packet->send->met = true; /* not before: a probe completes no synchronous send */
    *message = NULL;
    *request = r;
    return MPI_SUCCESS;
}

int PMPI_Mrecv(void *buf, int n, MPI_Datatype type, MPI_Message *message, MPI_Status *status) {
    MPI_Request r;
    PMPI_Imrecv(buf, n, type, message, &r);
    return PMPI_Wait(&r, status);
}
