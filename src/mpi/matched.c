/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Matched probes. A message that one of them has handed out is held by the application: it belongs to
 * neither MPI nor the library, so an attempt whose record finds one is void. Its place in its stream is
 * taken at the probe, as if its receive were posted there; that begins with MPI_Mrecv or MPI_Imrecv.
 *
 * A message from the stash is received by then as any other is. The application needs a handle that MPI
 * takes for it: that of an empty message to oneself.
 */
#include "layer.h"

#include <stdlib.h>

typedef struct wc_held {
    MPI_Message handle;
    wc_request *request; /* not outstanding yet */
    wc_message *message; /* NULL: it is MPI's, under this handle */
    MPI_Request send;    /* of the empty one */
    struct wc_held *next;
} wc_held;

static WC_PROCESS wc_held *held;

static wc_held **find(MPI_Message handle) {
    wc_held **at = &held;
    while (*at && (*at)->handle != handle)
        at = &(*at)->next;
    return at;
}

bool wc_matched_on(const wc_mpi_comm *c) {
    const wc_held *h = held;
    while (h && h->request->recv.comm != &c->core)
        h = h->next;
    return h;
}

size_t wc_matched_list(wc_recv **list, size_t room) {
    size_t n = 0;
    for (wc_held *h = held; h; h = h->next)
        if (n++ < room)
            list[n - 1] = &h->request->recv;
    return n;
}

/* ---- probes ---- */

static wc_held *hold(wc_mpi_comm *c, const MPI_Status *status, const char *call) {
    int source = status->MPI_SOURCE, tag = status->MPI_TAG;
    wc_held *h = wc_core_alloc(sizeof *h);
    h->send = MPI_REQUEST_NULL;
    h->request = wc_request_matched(c, source, tag);
    h->next = held;
    held = h;
    wc_open(WC_OPEN_MESSAGE, call);
    wc_layer_update();
    return h;
}

static MPI_Message empty_message(MPI_Request *send) {
    enum { TAG = 0x7FFF + 2 };
    MPI_Message handle;
    PMPI_Isend(NULL, 0, MPI_BYTE, 0, TAG, L.self, send);
    PMPI_Mprobe(0, TAG, L.self, &handle, MPI_STATUS_IGNORE);
    return handle;
}

/* One look. While armed the library pulls everything: MPI has nothing to show. */
static int look(wc_mpi_comm *c, int source, int tag, int *flag, MPI_Message *message,
                MPI_Status *status, const char *call) {
    int rc = MPI_SUCCESS;
    wc_message *m = wc_probe_stash(source, tag, c->handle, status);
    *flag = m != NULL;
    if (m) {
        wc_held *h = hold(c, status, call);
        h->message = wc_message_hold(m);
        wc_core_take(&L.core, m);
        wc_message_drop(m);
        h->handle = *message = empty_message(&h->send);
    } else if (!L.core.armed) {
        rc = PMPI_Improbe(source, tag, c->handle, flag, message, status);
        if (*flag)
            hold(c, status, call)->handle = *message;
    }
    return rc;
}

/* The communicator of a probe that concerns the library. NULL: it is MPI's alone. */
static wc_mpi_comm *concerned(int source, int tag, MPI_Comm comm) {
    wc_mpi_comm *c = L.way == WC_WAY_OFF || source == MPI_PROC_NULL ? NULL : wc_comm_of(comm);
    return c && !wc_comm_refuses(c, 0, MPI_BYTE, source, tag) ? c : NULL;
}

WC_EXPORT int MPI_Improbe(int source, int tag, MPI_Comm comm, int *flag, MPI_Message *message,
                          MPI_Status *status) {
    WC_GUARD(__func__);
    MPI_Status own, *told = status == MPI_STATUS_IGNORE ? &own : status;
    wc_mpi_comm *c = concerned(source, tag, comm);
    if (!c)
        return PMPI_Improbe(source, tag, comm, flag, message, status);
    L.core.probes++;
    wc_layer_touch();
    int rc = look(c, source, tag, flag, message, told, "MPI_Improbe");
    L.core.probes--;
    if (!*flag && L.core.armed)
        wc_core_starved(&L.core);
    return rc;
}

/* Aligned programs wait in MPI unless messages are in the library's hands. */
static int wait_natively(wc_mpi_comm *c, int source, int tag, MPI_Message *message,
                         MPI_Status *status) {
    int rc = PMPI_Mprobe(source, tag, c->handle, message, status);
    if (rc == MPI_SUCCESS)
        hold(c, status, "MPI_Mprobe")->handle = *message;
    return rc;
}

WC_EXPORT int MPI_Mprobe(int source, int tag, MPI_Comm comm, MPI_Message *message,
                         MPI_Status *status) {
    WC_GUARD(__func__);
    MPI_Status own, *told = status == MPI_STATUS_IGNORE ? &own : status;
    wc_mpi_comm *c = concerned(source, tag, comm);
    if (!c)
        return WC_WAITING(PMPI_Mprobe(source, tag, comm, message, status));
    if (L.way == WC_WAY_FAST && !L.immediate)
        return wait_natively(c, source, tag, message, told);
    WC_WATCHED(wc_watch_receive("MPI_Mprobe", source, tag, comm));
    if (L.immediate) /* a record may be taken in here, as in MPI_Probe */
        wc_layer_poll();
    unsigned spins = 0;
    int flag = 0, rc;
    L.core.probes++;
    while ((rc = look(c, source, tag, &flag, message, told, "MPI_Mprobe")) == MPI_SUCCESS && !flag)
        wc_layer_idle(&spins);
    L.core.probes--;
    L.core.recordable = false;
    return rc;
}

/* ---- receives ---- */

static wc_request *let_go(wc_held **at) {
    wc_held *h = *at;
    wc_request *r = h->request;
    *at = h->next;
    free(h);
    wc_close(WC_OPEN_MESSAGE);
    return r;
}

/* The receive of what is held begins: it is `*begun`. What MPI refuses has not begun. */
static int begin(wc_held **at, void *buf, int n, MPI_Datatype type, MPI_Message *message,
                 wc_request **begun) {
    wc_held *h = *at;
    wc_request *r = h->request;
    int rc = MPI_SUCCESS;
    bool refused = n < 0 || type == MPI_DATATYPE_NULL;
    L.core.recordable = false;
    if (!h->message || refused)
        rc = PMPI_Imrecv(buf, n, type, message, &r->inner);
    if (rc != MPI_SUCCESS)
        return rc;
    r->buffer = buf;
    r->count = n;
    r->type = type;
    if (h->message) {
        PMPI_Mrecv(NULL, 0, MPI_BYTE, message, MPI_STATUS_IGNORE);
        PMPI_Wait(&h->send, MPI_STATUS_IGNORE);
        wc_core_receive_matched(&L.core, &r->recv, h->message);
    }
    *begun = let_go(at);
    return rc;
}

/* In MPI alone. */
static int receive_natively(wc_held **at, void *buf, int n, MPI_Datatype type, MPI_Message *message,
                            MPI_Status *status) {
    int class = MPI_SUCCESS, rc = PMPI_Mrecv(buf, n, type, message, status);
    if (rc != MPI_SUCCESS)
        PMPI_Error_class(rc, &class);
    if (class != MPI_SUCCESS && class != MPI_ERR_TRUNCATE) /* refused */
        return rc;
    wc_request *r = let_go(at);
    wc_core_handed(&L.core, &r->recv, r->recv.source, r->recv.tag);
    wc_request_recycle(r);
    return rc;
}

WC_EXPORT int MPI_Mrecv(void *buf, int n, MPI_Datatype type, MPI_Message *message,
                        MPI_Status *status) {
    WC_GUARD(__func__);
    wc_held **at = find(*message);
    wc_request *r;
    MPI_Request request;
    if (*at && L.way == WC_WAY_FAST && !L.immediate && !(*at)->message)
        return receive_natively(at, buf, n, type, message, status);
    if (!*at && L.way != WC_WAY_SLOW)
        return WC_WAITING(PMPI_Mrecv(buf, n, type, message, status));
    if (*at) {
        int rc = begin(at, buf, n, type, message, &r);
        return rc == MPI_SUCCESS ? wc_receive_matched(r, status) : rc;
    }
    /* Its sender may be waiting for this rank to pull something else. */
    int rc = PMPI_Imrecv(buf, n, type, message, &request);
    return rc == MPI_SUCCESS ? wc_native_wait(&request, status) : rc;
}

WC_EXPORT int MPI_Imrecv(void *buf, int n, MPI_Datatype type, MPI_Message *message,
                         MPI_Request *request) {
    WC_GUARD(__func__);
    wc_held **at = find(*message);
    wc_request *r;
    if (*at) {
        int rc = begin(at, buf, n, type, message, &r);
        if (rc == MPI_SUCCESS)
            wc_receive_matched_later(r, request);
        return rc;
    }
    int rc = PMPI_Imrecv(buf, n, type, message, request);
    L.outstanding += L.way != WC_WAY_OFF && rc == MPI_SUCCESS;
    if (L.watched && rc == MPI_SUCCESS)
        wc_watch_request(*request, WC_WATCH_OTHER, NULL);
    return rc;
}
