/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Persistent requests. On the FAST way a start is MPI's own and a count, as MPI_Isend and MPI_Irecv are;
 * while messages are in the library's hands, what a receive asks for may be one of them. Inactive ones
 * hinder no snapshot: at a restart the program makes them again, as it makes communicators.
 */
#include "layer.h"

#include <stdlib.h>

/* ---- by handle ---- */

static const wc_persistent nobody = {.handle = (MPI_Request)(intptr_t)-1};

static wc_persistent **recent(MPI_Request handle) {
    return &L.recent[wc_table_spread(handle) >> (64 - WC_RECENT_BITS)];
}

static void insert(wc_persistent *p) {
    wc_table_insert(&L.persistent, p->handle, p);
    *recent(p->handle) = p;
}

static void take_out(const wc_persistent *p) {
    wc_table_remove(&L.persistent, p->handle);
    if (*recent(p->handle) == p)
        *recent(p->handle) = (wc_persistent *)&nobody;
}

void wc_persistent_open(void) {
    wc_table_open(&L.persistent);
    for (size_t i = 0; i < 1 << WC_RECENT_BITS; i++)
        L.recent[i] = (wc_persistent *)&nobody;
}

/* ---- made and freed ---- */

static void add(wc_persistent persistent) {
    wc_persistent *p = wc_core_alloc(sizeof *p);
    *p = persistent;
    if (p->stream)
        p->stream->pinned++;
    insert(p);
    wc_layer_update();
}

int wc_persistent_made(int rc, const MPI_Request *request) {
    if (rc == MPI_SUCCESS && L.way != WC_WAY_OFF)
        add((wc_persistent){.handle = *request, .peer = MPI_PROC_NULL});
    return rc;
}

void wc_persistent_forget(wc_persistent *p) {
    if (p->stream)
        p->stream->pinned--;
    take_out(p);
    free(p);
    wc_layer_update();
}

bool wc_persistent_uses(MPI_Datatype type) {
    WC_EACH_ENTRY(&L.persistent, wc_persistent, p) {
        if (p->receives && p->type == type)
            return true;
    }
    return false;
}

void wc_persistent_leave(const wc_mpi_comm *c) {
    if (!L.persistent.count)
        return;
    wc_posted_adopt(); /* what is active is looked after without them */
    wc_layer_update();
    WC_EACH_ENTRY(&L.persistent, wc_persistent, p) {
        if (p->comm != c)
            continue;
        if (p->stream)
            p->stream->pinned--;
        p->stream = NULL;
        p->comm = NULL;
        p->left = true;
    }
}

#define PARAMETERS(buffer)                                                                         \
    buffer *buf, int count, MPI_Datatype type, int peer, int tag, MPI_Comm comm,                   \
        MPI_Request *request

/* MPI has made `*request` of these. */
static int made(int rc, bool receives, PARAMETERS(void)) {
    if (rc != MPI_SUCCESS || L.way == WC_WAY_OFF)
        return rc;
    wc_mpi_comm *c = peer == MPI_PROC_NULL ? NULL : wc_comm_of(comm);
    wc_persistent p = {.handle = *request,
                       .receives = receives && c,
                       .buffer = buf,
                       .count = count,
                       .type = type,
                       .peer = peer,
                       .tag = tag,
                       .bytes = (uint64_t)count * wc_type_bytes_of(type),
                       .comm = c};
    if (c && !receives)
        p.stream = wc_core_out(&L.core, &c->core, peer, tag);
    else if (c && peer != MPI_ANY_SOURCE && tag != MPI_ANY_TAG)
        p.stream = wc_core_in(&L.core, &c->core, peer, tag);
    add(p);
    return rc;
}

#define SEND_INIT(name, native)                                                                    \
    WC_EXPORT int MPI_##name(PARAMETERS(const void)) {                                             \
        WC_GUARD(__func__);                                                                        \
        int rc = PMPI_##native(buf, count, type, peer, tag, comm, request);                        \
        return made(rc, false, NULL, count, type, peer, tag, comm, request);                       \
    }

SEND_INIT(Send_init, Send_init)
SEND_INIT(Bsend_init, Bsend_init)
/* A ready send may be a standard one, and must be: its receive may have been taken back. */
SEND_INIT(Rsend_init, Send_init)

WC_EXPORT int MPI_Ssend_init(PARAMETERS(const void)) {
    WC_GUARD(__func__);
    L.sync_used = true;
    int rc = PMPI_Ssend_init(buf, count, type, peer, tag, comm, request);
    return made(rc, false, NULL, count, type, peer, tag, comm, request);
}

WC_EXPORT int MPI_Recv_init(PARAMETERS(void)) {
    WC_GUARD(__func__);
    int rc = PMPI_Recv_init(buf, count, type, peer, tag, comm, request);
    return made(rc, true, buf, count, type, peer, tag, comm, request);
}

/* ---- completed ---- */

void wc_persistent_completed(MPI_Request handle) {
    wc_persistent *p = wc_persistent_find(handle);
    if (p)
        wc_persistent_complete(p);
}

void wc_persistent_ended(MPI_Request handle) {
    wc_persistent *p = wc_persistent_find(handle);
    if (p)
        p->active = false;
}

/* ---- started ---- */

/* What a start counts on the FAST way, before MPI's own. False: it must go the long way. */
static inline bool count_start(wc_persistent *p) {
    wc_stream *s = p->stream;
    if (__builtin_expect(!s || p->active, 0))
        return false;
    if (p->receives) {
        wc_posted *posted = L.posted_next;
        if (__builtin_expect(posted == L.posted_end, 0))
            return false;
        L.posted_next = posted + 1;
        p->posted = posted;
        posted->handle = p->handle;
        posted->stream = NULL;
        s->handed++;
    } else {
        s->sent++;
    }
    L.outstanding++;
    p->active = true;
    return true;
}

static __attribute__((noinline)) int rename_to(wc_persistent *p, MPI_Request handle, int rc) {
    take_out(p);
    p->handle = handle;
    insert(p);
    return rc;
}

/* Open MPI gives a send another handle if it has not quite done with the last message. */
static __attribute__((noinline)) int start_natively(wc_persistent *p, MPI_Request *request) {
    int rc = PMPI_Start(request);
    return __builtin_expect(*request == p->handle, 1) ? rc : rename_to(p, *request, rc);
}

static int start_receive(wc_persistent *p) {
    int rc = wc_receive_start_persistent(p);
    p->active = rc == MPI_SUCCESS;
    return rc;
}

/* A send, or what only MPI has to do with. */
static int start_other(wc_persistent *p, MPI_Request *request) {
    if (p->left)
        wc_forbid("MPI_Start on a communicator that was freed");
    if (p->stream && L.immediate && wc_core_busy(&L.core))
        wc_core_before_send(&L.core, &p->comm->core, p->peer);
    int rc = start_natively(p, request);
    p->active = rc == MPI_SUCCESS && p->peer != MPI_PROC_NULL; /* that is nothing to wait for */
    L.outstanding += p->active;
    if (p->stream)
        p->stream->sent += p->active;
    if (p->stream && p->active && L.watched)
        wc_watch_count_sent(p->stream, 1);
    if (p->stream && p->active && L.traced)
        wc_trace_send(p->stream, p->bytes);
    return rc;
}

__attribute__((noinline)) static int start_slow(MPI_Request *request) {
    WC_GUARD("MPI_Start");
    wc_persistent *p = L.way == WC_WAY_OFF ? NULL : wc_persistent_find(*request);
    if (!p || p->active) /* what MPI makes of a mistake is its own affair */
        return PMPI_Start(request);
    *recent(*request) = p;
    if (L.posted_next == L.posted_end)
        wc_posted_make_room();
    if (L.starts_natively && count_start(p))
        return start_natively(p, request);
    wc_layer_touch();
    return p->receives && p->comm ? start_receive(p) : start_other(p, request);
}

WC_EXPORT int MPI_Start(MPI_Request *request) {
    wc_persistent *p = L.starts_natively ? wc_persistent_look(*request) : NULL;
    if (__builtin_expect(!p || !count_start(p), 0))
        return start_slow(request);
    return p->receives ? PMPI_Start(request) : start_natively(p, request);
}

WC_EXPORT int MPI_Startall(int n, MPI_Request requests[]) {
    int rc = MPI_SUCCESS;
    for (int i = 0; i < n && rc == MPI_SUCCESS; i++)
        rc = MPI_Start(&requests[i]);
    return rc;
}

void wc_persistent_restart(wc_persistent *p) {
    start_receive(p);
}
