/* SPDX-License-Identifier: BSD-3-Clause */
/* Receives, probes, and the calls that send and receive at once. */
#include "layer.h"

#include "wc_calls.h"

#include <stdlib.h>
#include <string.h>

/* A handle for a receive that MPI does not know: a receive on the library's own communicator that
 * nothing is sent to. */
static MPI_Request placeholder(void) {
    MPI_Request request;
    PMPI_Irecv(NULL, 0, MPI_BYTE, 0, 0x7FFF + 1, L.self, &request);
    return request;
}

static wc_request *describe(void *buffer, int count, MPI_Datatype type, int source, int tag,
                            wc_mpi_comm *c) {
    wc_posted_adopt(); /* those that were posted before come first */
    wc_request *r = wc_request_new();
    *r = (wc_request){.recv = {.comm = &c->core,
                               .source = source == MPI_ANY_SOURCE ? WC_ANY : source,
                               .tag = tag == MPI_ANY_TAG ? WC_ANY : tag,
                               .order = ++L.order},
                      .inner = MPI_REQUEST_NULL,
                      .handle = MPI_REQUEST_NULL,
                      .buffer = buffer,
                      .count = count,
                      .type = type,
                      .comm = c->handle};
    if (r->recv.source != WC_ANY && r->recv.tag != WC_ANY)
        r->recv.stream = wc_core_in(&L.core, &c->core, source, tag);
    return r;
}

/* What MPI has refused was not started. */
static int begun(wc_request *r, int rc) {
    if (rc != MPI_SUCCESS) {
        wc_request_recycle(r);
        return rc;
    }
    wc_core_posted(&L.core, &r->recv);
    if (L.traced)
        wc_trace_posted(r);
    if (r->recv.inside)
        wc_request_insert_inside(r);
    else
        wc_request_insert(r);
    if (L.way == WC_WAY_FAST)
        wc_layer_update();
    return MPI_SUCCESS;
}

int wc_receive_start(wc_request **made, void *buffer, int count, MPI_Datatype type, int source,
                     int tag, MPI_Comm comm, MPI_Request *handle) {
    wc_request *r = *made = describe(buffer, count, type, source, tag, wc_comm_of(comm));
    int rc = MPI_SUCCESS;
    r->recv.inside = !handle;
    if (!wc_core_slow(&L.core) || !wc_core_receive(&L.core, &r->recv))
        rc = PMPI_Irecv(buffer, count, type, source, tag, comm, &r->inner);
    if (handle && rc == MPI_SUCCESS)
        r->handle = *handle = r->inner == MPI_REQUEST_NULL ? placeholder() : r->inner;
    return begun(r, rc);
}

int wc_receive_start_persistent(const wc_persistent *p) {
    wc_request *r = describe(p->buffer, p->count, p->type, p->peer, p->tag, p->comm);
    int rc = MPI_SUCCESS;
    r->handle = p->handle;
    r->persistent = true;
    if (!wc_core_slow(&L.core) || !wc_core_receive(&L.core, &r->recv))
        rc = PMPI_Irecv(p->buffer, p->count, p->type, p->peer, p->tag, p->comm->handle, &r->inner);
    return begun(r, rc);
}

wc_request *wc_request_matched(wc_mpi_comm *c, int source, int tag) {
    wc_request *r = describe(NULL, 0, MPI_BYTE, source, tag, c);
    r->recv.state = WC_RECV_FILLING; /* it can't be taken back, nor cancelled */
    if (L.traced)
        wc_trace_posted(r);
    wc_core_posted(&L.core, &r->recv);
    return r;
}

void wc_receive_matched_later(wc_request *r, MPI_Request *handle) {
    r->handle = *handle = r->inner == MPI_REQUEST_NULL ? placeholder() : r->inner;
    wc_request_insert(r);
    wc_layer_update();
}

static void wait_ready(wc_request *r) {
    unsigned spins = 0;
    while (!wc_request_ready(r))
        wc_layer_idle(&spins);
}

static int finish_waiting(wc_request *r, MPI_Status *status) {
    wait_ready(r);
    L.core.recordable = false;
    return wc_request_finish(r, status);
}

int wc_receive_matched(wc_request *r, MPI_Status *status) {
    r->recv.inside = true;
    wc_request_insert_inside(r);
    return finish_waiting(r, status);
}

int wc_receive_wait(void *buffer, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm,
                    MPI_Status *status) {
    wc_request *r;
    int rc = wc_receive_start(&r, buffer, count, type, source, tag, comm, NULL);
    return rc == MPI_SUCCESS ? finish_waiting(r, status) : rc;
}

/* The way of a receive that can be counted by its stream. False: it must go the long way. */
static bool make_fast(wc_mpi_comm *c, int source, int tag) {
    bool fast = L.way == WC_WAY_FAST && !c->careful && source >= 0 && tag >= 0;
    if (fast)
        wc_core_in(&L.core, &c->core, source, tag);
    return fast;
}

/* The communicator of a receive or probe that concerns the library. NULL: it is MPI's alone. */
static wc_mpi_comm *concerned(int count, MPI_Datatype type, int source, int tag, MPI_Comm comm) {
    wc_mpi_comm *c = L.way == WC_WAY_OFF || source == MPI_PROC_NULL ? NULL : wc_comm_of(comm);
    return c && !wc_comm_refuses(c, count, type, source, tag) ? c : NULL;
}

#define RECEIVE_PARAMETERS                                                                         \
    void *buf, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm
#define RECEIVE_ARGUMENTS buf, count, type, source, tag, comm

/* On a communicator that the library doesn't follow. It must go on pulling on the others. */
static int receive_unknown(RECEIVE_PARAMETERS, MPI_Status *status) {
    MPI_Request request;
    int rc = PMPI_Irecv(RECEIVE_ARGUMENTS, &request);
    return rc == MPI_SUCCESS ? wc_native_wait(&request, status) : rc;
}

/* What a blocking receive was called with. */
typedef struct receive_call {
    void *buffer;
    MPI_Datatype type;
    MPI_Comm comm;
    MPI_Status *status;
    int count, source, tag;
} receive_call;

/* MPI has completed a receive of an immediate program on the FAST way. */
static inline int received(const MPI_Status *status) {
    wc_comm *c = &L.test_comm->core;
    int source = status->MPI_SOURCE, tag = status->MPI_TAG;
    L.core.recordable = false;
    wc_stream *s = wc_stream_look(c, WC_IN, source, tag);
    if (__builtin_expect(!s && source == MPI_PROC_NULL, 0))
        return MPI_SUCCESS;
    if (__builtin_expect(!s, 0))
        s = wc_core_in(&L.core, c, source, tag);
    s->handed++;
    return MPI_SUCCESS;
}

/* One that MPI has, and whose message is not there yet. It may come soon; else the receive is looked
 * after from now on. */
static __attribute__((noinline)) int wait_for(MPI_Request inner, const receive_call *call) {
    MPI_Status own, *got = call->status == MPI_STATUS_IGNORE ? &own : call->status;
    int flag = 0;
    for (int i = 0; i < WC_SPINS && wc_layer_clock() < L.next_tick; i++) {
        PMPI_Test(&inner, &flag, got);
        if (flag)
            return received(got);
    }
    wc_request *r = describe(call->buffer, call->count, call->type, call->source, call->tag,
                             wc_comm_of(call->comm));
    r->inner = inner;
    r->recv.inside = true;
    begun(r, MPI_SUCCESS);
    return finish_waiting(r, call->status);
}

static __attribute__((noinline)) int receive_slow(RECEIVE_PARAMETERS, MPI_Status *status) {
    WC_GUARD("MPI_Recv");
    WC_WATCHED(wc_watch_receive("MPI_Recv", source, tag, comm));
    wc_mpi_comm *c = concerned(count, type, source, tag, comm);
    if (!c && (L.core.armed || L.watched))
        return receive_unknown(RECEIVE_ARGUMENTS, status);
    if (!c)
        return WC_WAITING(PMPI_Recv(RECEIVE_ARGUMENTS, status));
    if (!L.immediate && make_fast(c, source, tag))
        return MPI_Recv(RECEIVE_ARGUMENTS, status);
    if (L.immediate)
        wc_layer_poll();
    return wc_receive_wait(RECEIVE_ARGUMENTS, status);
}

/* In an immediate program, while nothing is under way: often the message is at hand. What it was called
 * with is put aside for the case that it is not: in memory, since registers would have to be saved. */
static __attribute__((noinline)) int receive_at_hand(RECEIVE_PARAMETERS, MPI_Status *status) {
    receive_call call = {buf, type, comm, status, count, source, tag};
    MPI_Status own, *got = status == MPI_STATUS_IGNORE ? &own : status;
    MPI_Request inner;
    int flag;
    bool fast = L.test_comm->handle == comm && wc_layer_clock() < L.next_tick;
    if (__builtin_expect(!fast, 0))
        return receive_slow(RECEIVE_ARGUMENTS, status);
    __asm__ volatile("" : : "m"(call));
    /* Errors are fatal on the fast way. */
#ifdef MPICH /* where a receive that is started and tested costs three times as much more than one after a probe */
    PMPI_Iprobe(source, tag, comm, &flag, got);
    if (flag)
        PMPI_Recv(buf, count, type, got->MPI_SOURCE, got->MPI_TAG, comm, got);
    else
        PMPI_Irecv(RECEIVE_ARGUMENTS, &inner);
#else
    PMPI_Irecv(RECEIVE_ARGUMENTS, &inner);
    PMPI_Test(&inner, &flag, got);
#endif
    if (__builtin_expect(!flag, 0))
        return wait_for(inner, &call);
    return received(got);
}

WC_EXPORT int MPI_Recv(RECEIVE_PARAMETERS, MPI_Status *status) {
    wc_stream *s = wc_fast_stream(L.recv_comm, WC_IN, comm, source, tag);
    if (__builtin_expect(!s, 0))
        return receive_at_hand(RECEIVE_ARGUMENTS, status);
    s->handed++;
    return PMPI_Recv(RECEIVE_ARGUMENTS, status);
}

static __attribute__((noinline)) int irecv_slow(RECEIVE_PARAMETERS, MPI_Request *request) {
    WC_GUARD("MPI_Irecv");
    L.core.recordable = false;
    if (L.posted_next == L.posted_end)
        wc_posted_make_room();
    wc_mpi_comm *c = concerned(count, type, source, tag, comm);
    if (!c) {
        int rc = PMPI_Irecv(RECEIVE_ARGUMENTS, request);
        L.outstanding += L.way != WC_WAY_OFF && rc == MPI_SUCCESS;
        if (L.watched && rc == MPI_SUCCESS)
            wc_watch_request(*request, WC_WATCH_OTHER, NULL);
        return rc;
    }
    if (make_fast(c, source, tag))
        return MPI_Irecv(RECEIVE_ARGUMENTS, request);
    if (L.way == WC_WAY_SLOW)
        wc_layer_touch();
    wc_request *r;
    return wc_receive_start(&r, RECEIVE_ARGUMENTS, request);
}

/* Written for few instructions: with wc_fast_stream there are two more. `request` is volatile so that it is looked for where
 * it was passed, on the stack, and no register is saved for it. */
WC_EXPORT int MPI_Irecv(RECEIVE_PARAMETERS, MPI_Request *volatile request) {
    wc_mpi_comm *fast = L.fast_comm;
    if (__builtin_expect(fast->handle != comm, 0))
        return irecv_slow(RECEIVE_ARGUMENTS, request);
    wc_stream *s = *wc_stream_slot(&fast->core, WC_IN, source, tag);
    wc_posted *p = L.posted_next;
    if (__builtin_expect(s->peer != source || s->tag != tag || p == L.posted_end, 0))
        return irecv_slow(RECEIVE_ARGUMENTS, request);
    p->type = type;
    p->buffer = buf;
    p->count = count;
    p->stream = s;
    s->handed++;
    L.outstanding++;
    L.posted_next = p + 1;
    int rc = PMPI_Irecv(RECEIVE_ARGUMENTS, request);
    (L.posted_next - 1)->handle = *request; /* `p` would be saved around the call */
    return rc;
}

/* ---- probes ---- */

wc_message *wc_probe_stash(int source, int tag, MPI_Comm comm, MPI_Status *status) {
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
    *flag = wc_probe_stash(source, tag, comm, status) != NULL;
    if (*flag || L.core.armed)
        return MPI_SUCCESS;
    return PMPI_Iprobe(source, tag, comm, flag, status);
}

/* Aligned probes concern nobody unless messages are in the library's hands. */
static bool probes_natively(int source, int tag, MPI_Comm comm) {
    return (L.way == WC_WAY_FAST && !L.immediate) || !concerned(0, MPI_BYTE, source, tag, comm);
}

WC_EXPORT int MPI_Iprobe(int source, int tag, MPI_Comm comm, int *flag, MPI_Status *status) {
    WC_GUARD(__func__);
    if (probes_natively(source, tag, comm))
        return PMPI_Iprobe(source, tag, comm, flag, status);
    L.core.probes++;
    wc_layer_touch();
    int rc = look(source, tag, comm, flag, status);
    L.core.probes--;
    if (!*flag && L.core.armed)
        wc_core_starved(&L.core);
    return rc;
}

WC_EXPORT int MPI_Probe(int source, int tag, MPI_Comm comm, MPI_Status *status) {
    WC_GUARD(__func__);
    if (probes_natively(source, tag, comm))
        return WC_WAITING(PMPI_Probe(source, tag, comm, status));
    WC_WATCHED(wc_watch_receive("MPI_Probe", source, tag, comm));
    if (L.immediate)
        wc_layer_poll();
    unsigned spins = 0;
    int flag = 0, rc;
    L.core.probes++;
    while ((rc = look(source, tag, comm, &flag, status)) == MPI_SUCCESS && !flag)
        wc_layer_idle(&spins);
    L.core.probes--;
    L.core.recordable = false;
    return rc;
}

/* ---- both at once ---- */

#define BOTH_PARAMETERS                                                                            \
    const void *sendbuf, int sendcount, MPI_Datatype sendtype, int dest, int sendtag,              \
        void *recvbuf, int recvcount, MPI_Datatype recvtype, int source, int recvtag,              \
        MPI_Comm comm, MPI_Status *status
#define BOTH_ARGUMENTS                                                                             \
    sendbuf, sendcount, sendtype, dest, sendtag, recvbuf, recvcount, recvtype, source, recvtag,    \
        comm, status

/* The streams that a Sendrecv is counted in if MPI's own call will do. */
typedef struct both {
    wc_stream *out, *in; /* NULL: to or from nobody, or not counted */
} both;

/* Counts both, if MPI's own call will do. */
static bool count_both(both *b, BOTH_PARAMETERS) {
    (void)sendbuf;
    (void)recvbuf;
    (void)status;
    *b = (both){NULL, NULL};
    wc_mpi_comm *c = L.way == WC_WAY_OFF ? NULL : wc_comm_of(comm);
    bool sends = dest != MPI_PROC_NULL, receives = source != MPI_PROC_NULL;
    if (!c || (sends && wc_comm_refuses_send(c, sendcount, sendtype, dest, sendtag)) ||
        (receives && wc_comm_refuses(c, recvcount, recvtype, source, recvtag)))
        return true;
    if (L.way == WC_WAY_SLOW || L.immediate || (receives && (source < 0 || recvtag < 0)))
        return false;
    if (sends) {
        b->out = wc_core_out(&L.core, &c->core, dest, sendtag);
        b->out->sent++;
    }
    if (receives) {
        b->in = wc_core_in(&L.core, &c->core, source, recvtag);
        b->in->handed++;
    }
    return true;
}

/* As the standard describes it: a receive and a send that run at once. */
static int sendrecv_slow(BOTH_PARAMETERS) {
    WC_WATCHED(wc_watch_both("MPI_Sendrecv", dest, sendtag, source, recvtag, comm));
    wc_request *r = NULL;
    MPI_Request send;
    wc_layer_touch();
    int sent = MPI_Isend(sendbuf, sendcount, sendtype, dest, sendtag, comm, &send);
    if (sent != MPI_SUCCESS)
        return sent;
    L.outstanding--;
    int rc = MPI_SUCCESS;
    if (source != MPI_PROC_NULL)
        rc = wc_receive_start(&r, recvbuf, recvcount, recvtype, source, recvtag, comm, NULL);
    sent = wc_native_wait(&send, MPI_STATUS_IGNORE);
    if (L.watched)
        wc_watch_sent();
    if (rc != MPI_SUCCESS)
        return rc;
    if (!r) /* the status of a receive from PROC_NULL */
        return PMPI_Recv(recvbuf, recvcount, recvtype, MPI_PROC_NULL, recvtag, comm, status);
    rc = finish_waiting(r, status);
    return rc != MPI_SUCCESS ? rc : sent;
}

static int finish_both(const both *b, int rc) {
    int class;
    PMPI_Error_class(rc, &class);
    if (rc == MPI_SUCCESS || class == MPI_ERR_TRUNCATE)
        return rc;
    if (b->out)
        b->out->sent--;
    if (b->in)
        b->in->handed--;
    return rc;
}

WC_EXPORT int MPI_Sendrecv(BOTH_PARAMETERS) {
    WC_GUARD(__func__);
    both b;
    if (count_both(&b, BOTH_ARGUMENTS))
        return finish_both(&b, WC_WAITING(PMPI_Sendrecv(BOTH_ARGUMENTS)));
    return sendrecv_slow(BOTH_ARGUMENTS);
}

/* A copy of what is sent from a buffer that is received into: `data` is the caller's to free. */
typedef struct packed {
    void *data;
    MPI_Datatype type;
    int count;
} packed;

static int pack(packed *p, const void *buf, int count, MPI_Datatype type) {
    uint64_t bytes;
    int rc = wc_pack(buf, count, type, &p->data, &bytes);
    wc_packed_type(bytes, &p->type, &p->count);
    return rc;
}

static void pack_free(packed *p) {
    wc_packed_type_free(&p->type);
}

WC_EXPORT int MPI_Sendrecv_replace(void *buf, int count, MPI_Datatype type, int dest, int sendtag,
                                   int source, int recvtag, MPI_Comm comm, MPI_Status *status) {
    WC_GUARD(__func__);
    both b;
    if (count_both(&b, buf, count, type, dest, sendtag, buf, count, type, source, recvtag, comm,
                   status))
        return finish_both(&b, WC_WAITING(PMPI_Sendrecv_replace(buf, count, type, dest, sendtag,
                                                                source, recvtag, comm, status)));
    packed p;
    int rc = pack(&p, buf, count, type);
    if (rc == MPI_SUCCESS)
        rc = sendrecv_slow(p.data, p.count, p.type, dest, sendtag, buf, count, type, source,
                           recvtag, comm, status);
    pack_free(&p);
    free(p.data);
    return rc;
}

/* ---- both at once, under one request ---- */

#ifdef WC_HAVE_Isendrecv

/* Has the library to do with it? Where MPI will refuse it, it has not. */
static bool looks_after(int sendcount, MPI_Datatype sendtype, int dest, int sendtag, int recvcount,
                        MPI_Datatype recvtype, int source, int recvtag, MPI_Comm comm) {
    wc_mpi_comm *c = L.way == WC_WAY_OFF ? NULL : wc_comm_of(comm);
    return c &&
           (dest == MPI_PROC_NULL ||
            !wc_comm_refuses_send(c, sendcount, sendtype, dest, sendtag)) &&
           (source == MPI_PROC_NULL || !wc_comm_refuses(c, recvcount, recvtype, source, recvtag));
}

/* What MPI's own call has begun: a send at most, `s` if it counts. */
static int sent(wc_stream *s, int rc, const MPI_Request *request) {
    L.outstanding += L.way != WC_WAY_OFF && rc == MPI_SUCCESS;
    if (rc != MPI_SUCCESS && s)
        wc_send_uncount(s);
    if (L.watched && rc == MPI_SUCCESS)
        wc_watch_request(*request, WC_WATCH_OTHER, NULL);
    return rc;
}

/* The receive is looked after like any other, and is not complete before the send is. */
static int begin_pair(const void *sendbuf, int sendcount, MPI_Datatype sendtype, int dest,
                      int sendtag, void *recvbuf, int recvcount, MPI_Datatype recvtype, int source,
                      int recvtag, MPI_Comm comm, void *data, MPI_Request *request) {
    wc_request *r;
    MPI_Request send;
    int rc = MPI_Isend(sendbuf, sendcount, sendtype, dest, sendtag, comm, &send);
    if (rc != MPI_SUCCESS) {
        free(data);
        return rc;
    }
    L.outstanding--; /* the receive stands for both */
    rc = wc_receive_start(&r, recvbuf, recvcount, recvtype, source, recvtag, comm, request);
    if (rc != MPI_SUCCESS) {
        wc_native_wait(&send, MPI_STATUS_IGNORE);
        free(data);
        return rc;
    }
    r->paired = true;
    r->send = send;
    r->sent_data = data;
    return MPI_SUCCESS;
}

WC_EXPORT int MPI_Isendrecv(const void *sendbuf, int sendcount, MPI_Datatype sendtype, int dest,
                            int sendtag, void *recvbuf, int recvcount, MPI_Datatype recvtype,
                            int source, int recvtag, MPI_Comm comm, MPI_Request *request) {
    WC_GUARD(__func__);
    L.core.recordable = false;
    wc_stream *s = NULL;
    if (looks_after(sendcount, sendtype, dest, sendtag, recvcount, recvtype, source, recvtag,
                    comm)) {
        if (source != MPI_PROC_NULL)
            return begin_pair(sendbuf, sendcount, sendtype, dest, sendtag, recvbuf, recvcount,
                              recvtype, source, recvtag, comm, NULL, request);
        s = wc_send_count(sendcount, sendtype, dest, sendtag, comm);
    }
    return sent(s,
                PMPI_Isendrecv(sendbuf, sendcount, sendtype, dest, sendtag, recvbuf, recvcount,
                               recvtype, source, recvtag, comm, request),
                request);
}

WC_EXPORT int MPI_Isendrecv_replace(void *buf, int count, MPI_Datatype type, int dest, int sendtag,
                                    int source, int recvtag, MPI_Comm comm, MPI_Request *request) {
    WC_GUARD(__func__);
    L.core.recordable = false;
    wc_stream *s = NULL;
    if (looks_after(count, type, dest, sendtag, count, type, source, recvtag, comm)) {
        if (source != MPI_PROC_NULL) {
            packed p;
            int rc = pack(&p, buf, count, type);
            if (rc == MPI_SUCCESS)
                rc = begin_pair(p.data, p.count, p.type, dest, sendtag, buf, count, type, source,
                                recvtag, comm, p.data, request);
            else
                free(p.data);
            pack_free(&p);
            return rc;
        }
        s = wc_send_count(count, type, dest, sendtag, comm);
    }
    return sent(
        s, PMPI_Isendrecv_replace(buf, count, type, dest, sendtag, source, recvtag, comm, request),
        request);
}

#endif
