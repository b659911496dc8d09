/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Persistent requests. Snapshots are void from the first one on; while messages are in the library's
 * hands, what a persistent receive asks for may be one of them, so then each start is a receive of
 * its own under the persistent request's handle.
 */
#include "layer.h"

#include <stdlib.h>

typedef struct wc_persistent {
    MPI_Request handle;
    bool receives; /* else MPI alone has to do with it */
    void *buffer;
    int count, source, tag;
    MPI_Datatype type;
    MPI_Comm comm;
    struct wc_persistent *next;
} wc_persistent;

static WC_PROCESS wc_persistent *all;

static wc_persistent **find(MPI_Request handle) {
    wc_persistent **at = &all;
    while (*at && (*at)->handle != handle)
        at = &(*at)->next;
    return at;
}

static void add(wc_persistent persistent) {
    wc_persistent *p = wc_core_alloc(sizeof *p);
    *p = persistent;
    p->next = all;
    all = p;
}

int wc_persistent_made(int rc, const MPI_Request *request) {
    if (rc == MPI_SUCCESS && L.way != WC_WAY_OFF)
        add((wc_persistent){.handle = *request});
    return rc;
}

bool wc_persistent_forget(MPI_Request handle) {
    wc_persistent **at = find(handle), *p = *at;
    if (!p)
        return false;
    *at = p->next;
    free(p);
    return true;
}

bool wc_persistent_uses(MPI_Datatype type) {
    const wc_persistent *p = all;
    while (p && !(p->receives && p->type == type))
        p = p->next;
    return p;
}

#define SEND_INIT(name)                                                                            \
    WC_EXPORT int MPI_##name(const void *buf, int count, MPI_Datatype type, int dest, int tag,     \
                             MPI_Comm comm, MPI_Request *request) {                                \
        WC_GUARD(__func__);                                                                        \
        wc_forbid("MPI_" #name);                                                                   \
        return wc_persistent_made(PMPI_##name(buf, count, type, dest, tag, comm, request),         \
                                  request);                                                        \
    }

SEND_INIT(Send_init)
SEND_INIT(Ssend_init)
SEND_INIT(Bsend_init)

/* A ready send may be a standard one, and must be: its receive may have been taken back. */
WC_EXPORT int MPI_Rsend_init(const void *buf, int count, MPI_Datatype type, int dest, int tag,
                             MPI_Comm comm, MPI_Request *request) {
    WC_GUARD(__func__);
    wc_forbid("MPI_Rsend_init");
    return wc_persistent_made(PMPI_Send_init(buf, count, type, dest, tag, comm, request), request);
}

WC_EXPORT int MPI_Recv_init(void *buf, int count, MPI_Datatype type, int source, int tag,
                            MPI_Comm comm, MPI_Request *request) {
    WC_GUARD(__func__);
    wc_forbid("MPI_Recv_init");
    int rc = PMPI_Recv_init(buf, count, type, source, tag, comm, request);
    if (rc != MPI_SUCCESS || L.way == WC_WAY_OFF)
        return rc;
    add((wc_persistent){.handle = *request,
                        .receives = source != MPI_PROC_NULL && wc_comm_of(comm),
                        .buffer = buf,
                        .count = count,
                        .source = source,
                        .tag = tag,
                        .type = type,
                        .comm = comm});
    return rc;
}

WC_EXPORT int MPI_Start(MPI_Request *request) {
    WC_GUARD(__func__);
    const wc_persistent *p = L.way == WC_WAY_SLOW ? *find(*request) : NULL;
    if (!p || !p->receives)
        return PMPI_Start(request);
    wc_request *r;
    wc_layer_touch();
    return wc_receive_start(&r, p->buffer, p->count, p->type, p->source, p->tag, p->comm,
                            WC_HANDLE_PERSISTENT, request);
}

WC_EXPORT int MPI_Startall(int n, MPI_Request requests[]) {
    WC_GUARD(__func__);
    if (L.way != WC_WAY_SLOW)
        return PMPI_Startall(n, requests);
    int rc = MPI_SUCCESS;
    for (int i = 0; i < n && rc == MPI_SUCCESS; i++)
        rc = MPI_Start(&requests[i]);
    return rc;
}
