/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Matched probes. A message that one of them has handed out belongs to neither MPI nor the library,
 * so snapshots are void from the first use on. The messages that the library holds by then must
 * still be found: they come before what MPI has.
 */
#include "layer.h"

#include <stdlib.h>

/* A message whose bytes are in the library's memory. It is sent to oneself, so that the application
 * gets a handle that MPI takes; its real source and tag are put into the status. */
typedef struct wc_matched {
    MPI_Message handle;
    MPI_Request send;
    wc_message *message;
    struct wc_matched *next;
} wc_matched;

static WC_PROCESS wc_matched *matched;

static MPI_Message send_to_self(wc_message *m) {
    enum { TAG = 0x7FFF + 2 };
    wc_matched *entry = wc_core_alloc(sizeof *entry);
    MPI_Datatype type;
    int count;
    wc_packed_type(m->bytes, &type, &count);
    PMPI_Isend(m->data, count, type, 0, TAG, L.self, &entry->send);
    wc_packed_type_free(&type);
    PMPI_Mprobe(0, TAG, L.self, &entry->handle, MPI_STATUS_IGNORE);
    entry->message = wc_message_hold(m);
    entry->next = matched;
    matched = entry;
    return entry->handle;
}

/* Takes the entry of this handle out. NULL: the message is MPI's own. */
static wc_matched *take(MPI_Message handle) {
    wc_matched **at = &matched;
    while (*at && (*at)->handle != handle)
        at = &(*at)->next;
    wc_matched *entry = *at;
    if (entry)
        *at = entry->next;
    return entry;
}

static void set_envelope(MPI_Status *status, const wc_message *m) {
    if (status == MPI_STATUS_IGNORE)
        return;
    status->MPI_SOURCE = m->source;
    status->MPI_TAG = m->tag;
}

static void hand_out(wc_message *m, MPI_Message *message) {
    wc_core_take(&L.core, m);
    if (m->handle) {
        *message = *(MPI_Message *)m->handle;
        free(m->handle);
        m->handle = NULL;
        if (L.watched)
            wc_watch_count_handed(m->comm, m->source, m->tag);
    } else {
        *message = send_to_self(m);
    }
    wc_message_drop(m);
    wc_layer_update();
}

/* One look. While armed the library pulls everything: MPI has nothing to show. */
static int look(int source, int tag, MPI_Comm comm, int *flag, MPI_Message *message,
                MPI_Status *status) {
    wc_message *m = wc_probe_stash(source, tag, comm, status);
    *flag = m && (m->handle || m->arrived || wc_layer_port.arrived(NULL, m));
    if (*flag)
        hand_out(m, message);
    if (m || (L.core.armed && wc_comm_of(comm)))
        return MPI_SUCCESS;
    MPI_Status own, *found = status == MPI_STATUS_IGNORE ? &own : status;
    int rc = PMPI_Improbe(source, tag, comm, flag, message, found);
    if (*flag && L.watched && wc_comm_of(comm))
        wc_watch_count_handed(&wc_comm_of(comm)->core, found->MPI_SOURCE, found->MPI_TAG);
    return rc;
}

WC_EXPORT int MPI_Improbe(int source, int tag, MPI_Comm comm, int *flag, MPI_Message *message,
                          MPI_Status *status) {
    WC_GUARD(__func__);
    wc_forbid("MPI_Improbe");
    if (L.way != WC_WAY_SLOW || source == MPI_PROC_NULL)
        return PMPI_Improbe(source, tag, comm, flag, message, status);
    L.core.probes++;
    wc_layer_touch();
    int rc = look(source, tag, comm, flag, message, status);
    L.core.probes--;
    if (!*flag && L.core.armed)
        wc_core_starved(&L.core);
    return rc;
}

WC_EXPORT int MPI_Mprobe(int source, int tag, MPI_Comm comm, MPI_Message *message,
                         MPI_Status *status) {
    WC_GUARD(__func__);
    wc_forbid("MPI_Mprobe");
    if (L.way != WC_WAY_SLOW || source == MPI_PROC_NULL)
        return WC_WAITING(PMPI_Mprobe(source, tag, comm, message, status));
    WC_WATCHED(wc_watch_receive("MPI_Mprobe", source, tag, comm));
    unsigned spins = 0;
    int flag = 0, rc;
    L.core.probes++;
    wc_layer_touch();
    while ((rc = look(source, tag, comm, &flag, message, status)) == MPI_SUCCESS && !flag)
        wc_layer_idle(&spins);
    L.core.probes--;
    return rc;
}

WC_EXPORT int MPI_Mrecv(void *buf, int n, MPI_Datatype type, MPI_Message *message,
                        MPI_Status *status) {
    WC_GUARD(__func__);
    wc_matched *entry = take(*message);
    if (!entry) { /* its sender may be waiting for this rank to pull something else */
        MPI_Request request;
        if (L.way != WC_WAY_SLOW)
            return WC_WAITING(PMPI_Mrecv(buf, n, type, message, status));
        int rc = PMPI_Imrecv(buf, n, type, message, &request);
        return rc == MPI_SUCCESS ? wc_native_wait(&request, status) : rc;
    }
    const wc_message *m = entry->message;
    wc_core_in(&L.core, m->comm, m->source, m->tag)->handed++;
    if (L.watched)
        wc_watch_count_handed(m->comm, m->source, m->tag);
    int rc = PMPI_Mrecv(buf, n, type, message, status);
    set_envelope(status, entry->message);
    PMPI_Wait(&entry->send, MPI_STATUS_IGNORE);
    wc_message_drop(entry->message);
    free(entry);
    return rc;
}

WC_EXPORT int MPI_Imrecv(void *buf, int n, MPI_Datatype type, MPI_Message *message,
                         MPI_Request *request) {
    WC_GUARD(__func__);
    wc_matched *entry = take(*message);
    int rc = PMPI_Imrecv(buf, n, type, message, request);
    if (!entry) {
        L.outstanding += L.way != WC_WAY_OFF;
        if (L.watched && rc == MPI_SUCCESS)
            wc_watch_request(*request, WC_WATCH_OTHER, NULL);
        return rc;
    }
    PMPI_Wait(&entry->send, MPI_STATUS_IGNORE); /* its receive is there */
    wc_request *r = wc_request_new();
    *r = (wc_request){.recv = {.comm = entry->message->comm,
                               .source = entry->message->source,
                               .tag = entry->message->tag,
                               .order = ++L.order,
                               .state = WC_RECV_FILLING,
                               .message = entry->message},
                      .handle = *request,
                      .inner = *request,
                      .buffer = buf,
                      .count = n,
                      .type = type,
                      .comm = wc_comm_from_core(entry->message->comm)->handle};
    wc_core_posted(&L.core, &r->recv);
    wc_request_insert(r);
    wc_layer_update();
    free(entry);
    return rc;
}
