/* SPDX-License-Identifier: BSD-3-Clause */
/* Receives between their start and their hand-over: the table by handle, readiness, completion. */
#include "layer.h"

#include <stdlib.h>

static WC_PROCESS wc_request *free_requests;

wc_request *wc_request_new(void) {
    wc_request *r = free_requests;
    if (r)
        free_requests = r->next_free;
    else
        r = wc_core_alloc(sizeof *r);
    return r;
}

void wc_request_recycle(wc_request *r) {
    r->next_free = free_requests;
    free_requests = r;
}

void wc_request_insert_inside(wc_request *r) {
    r->next_inside = L.inside;
    L.inside = r;
}

void wc_request_insert(wc_request *r) {
    wc_table_insert(&L.receives, r->handle, r);
}

static void leave_inside(const wc_request *r) {
    wc_request **at = &L.inside;
    while (*at != r)
        at = &(*at)->next_inside;
    *at = r->next_inside;
}

void wc_request_release(wc_request *r) {
    if (r->recv.inside)
        leave_inside(r);
    else if (r->handle != MPI_REQUEST_NULL)
        wc_table_remove(&L.receives, r->handle);
    wc_request_recycle(r);
}

/* ---- requests of collectives and files: few, so a list does ---- */

void wc_foreign_started(int rc, const MPI_Request *request) {
    if (rc != MPI_SUCCESS || L.way == WC_WAY_OFF)
        return;
    if (L.foreign_count == L.foreign_room) {
        L.foreign_room = L.foreign_room ? 2 * L.foreign_room : 16;
        L.foreign = wc_core_grow(L.foreign, L.foreign_room * sizeof *L.foreign);
    }
    L.foreign[L.foreign_count++] = *request;
    if (L.watched)
        wc_watch_request(*request, WC_WATCH_OTHER, NULL);
    wc_layer_update();
}

bool wc_foreign_completed(MPI_Request handle) {
    size_t i = 0;
    while (i < L.foreign_count && L.foreign[i] != handle)
        i++;
    if (i == L.foreign_count)
        return false;
    L.foreign[i] = L.foreign[--L.foreign_count];
    wc_layer_update();
    return true;
}

/* ---- receives of the FAST way ---- */

static wc_request describe_posted(const wc_posted *p) {
    wc_stream *s = p->stream;
    return (wc_request){.recv = {.comm = s->comm, .source = s->peer, .tag = s->tag, .stream = s},
                        .buffer = p->buffer,
                        .count = p->count,
                        .type = p->type,
                        .comm = wc_comm_from_core(s->comm)->handle};
}

static wc_request describe_started(MPI_Request handle) {
    wc_persistent *p = wc_persistent_find(handle);
    p->posted = NULL;
    wc_posted posted = {handle, p->stream, p->buffer, p->type, p->count};
    wc_request r = describe_posted(&posted);
    r.persistent = true;
    return r;
}

/* They give back their places in their streams first, to take them again one by one. */
void wc_posted_adopt(void) {
    wc_posted *end = L.posted_next;
    if (end == L.posted)
        return;
    L.posted_next = L.posted;
    for (wc_posted *p = L.posted; p < end; p++) {
        if (p->handle == MPI_REQUEST_NULL)
            continue;
        wc_request *r = wc_request_new();
        *r = p->stream ? describe_posted(p) : describe_started(p->handle);
        r->handle = r->inner = p->handle;
        r->recv.order = ++L.order;
        r->recv.stream->handed--;
        L.outstanding--;
        L.outstanding_at_safepoint--;
        wc_request_insert(r);
    }
    for (wc_posted *p = L.posted; p < end; p++)
        if (p->handle != MPI_REQUEST_NULL)
            wc_core_posted(&L.core, &wc_request_find(p->handle)->recv);
}

/* Programs complete their requests in the order of posting, or the other way round: both ends are
 * near. */
static void remove_posted(MPI_Request handle) {
    wc_posted *first = L.posted, *last = L.posted_next;
    while (first < last && first->handle != handle && (last - 1)->handle != handle) {
        first++;
        last--;
    }
    if (first < last)
        (first->handle == handle ? first : last - 1)->handle = MPI_REQUEST_NULL;
    while (L.posted_next > L.posted && (L.posted_next - 1)->handle == MPI_REQUEST_NULL)
        L.posted_next--;
}

void wc_posted_completed(MPI_Request handle) {
    if (L.foreign_count && wc_foreign_completed(handle))
        return;
    L.outstanding--;
    remove_posted(handle);
}

/* Drops those that are complete; where that isn't enough, the table takes over. */
void wc_posted_make_room(void) {
    wc_posted *kept = L.posted;
    for (const wc_posted *p = L.posted; p < L.posted_next; p++) {
        if (p->handle == MPI_REQUEST_NULL)
            continue;
        if (!p->stream)
            wc_persistent_find(p->handle)->posted = kept;
        *kept++ = *p;
    }
    L.posted_next = kept;
    if (kept > L.posted + WC_POSTED / 2) {
        wc_posted_adopt();
        wc_layer_update();
    }
}

static int by_order(const void *a, const void *b) {
    const wc_recv *x = *(wc_recv *const *)a, *y = *(wc_recv *const *)b;
    return x->order < y->order ? -1 : 1;
}

size_t wc_request_list(wc_recv **list, size_t room) {
    wc_posted_adopt();
    size_t n = L.receives.count, found = 0;
    for (const wc_request *r = L.inside; r; r = r->next_inside)
        n++;
    if (room < n)
        return n;
    WC_EACH_ENTRY(&L.receives, wc_request, r) list[found++] = &r->recv;
    for (wc_request *r = L.inside; r; r = r->next_inside)
        list[found++] = &r->recv;
    if (n > 0)
        qsort(list, n, sizeof *list, by_order);
    return n;
}

bool wc_request_uses(const wc_mpi_comm *c) {
    for (const wc_posted *p = L.posted; p < L.posted_next; p++)
        if (p->handle != MPI_REQUEST_NULL && p->stream && p->stream->comm == &c->core)
            return true;
    WC_EACH_ENTRY(&L.receives, wc_request, r) {
        if (r->recv.comm == &c->core)
            return true;
    }
    const wc_request *r = L.inside;
    while (r && r->recv.comm != &c->core)
        r = r->next_inside;
    return r || wc_matched_on(c);
}

/* ---- completion ---- */

static bool is_sent(wc_request *r) {
    int flag = 0;
    PMPI_Test(&r->send, &flag, MPI_STATUS_IGNORE);
    if (!flag)
        return false;
    free(r->sent_data);
    r->paired = false;
    return true;
}

bool wc_request_ready(wc_request *r) {
    if (r->paired && !is_sent(r))
        return false;
    if (r->done)
        return true;
    if (r->recv.state == WC_RECV_SOFT || r->recv.state == WC_RECV_BOUND)
        return r->recv.cancelled;
    int flag = 0;
    int rc = PMPI_Request_get_status(r->inner, &flag, &r->status);
    if (rc != MPI_SUCCESS)
        r->error = rc;
    r->done = flag;
    return flag;
}

/* The source and tag of what came through the library: MPI saw another message. */
static void mend_status(const wc_request *r, MPI_Status *status) {
    if (r->recv.message) {
        status->MPI_SOURCE = r->recv.message->source;
        status->MPI_TAG = r->recv.message->tag;
    }
}

static int raise(const wc_request *r, int rc) {
    if (rc != MPI_SUCCESS && r->recv.message)
        PMPI_Comm_call_errhandler(r->comm, rc);
    return rc;
}

/* Lets go of a handle that stood for a receive which MPI did not complete under it. */
static void release_handle(wc_request *r) {
    if (r->recv.inside || r->handle == MPI_REQUEST_NULL)
        return;
    MPI_Request handle = r->handle;
    int flag = 0;
    PMPI_Request_get_status(handle, &flag, MPI_STATUS_IGNORE);
    if (!flag)
        PMPI_Cancel(&handle);
    PMPI_Wait(&handle, MPI_STATUS_IGNORE);
}

void wc_request_handed(wc_request *r, int source, int tag) {
    if (L.watched)
        wc_watch_count_handed(r->recv.comm, source, tag);
    if (L.traced)
        wc_trace_received(r, source, tag);
    wc_core_handed(&L.core, &r->recv, source, tag);
}

/* It was cancelled. */
static void forget(wc_request *r) {
    if (L.traced)
        wc_trace_cancelled(r);
    wc_core_forget(&L.core, &r->recv);
}

static void note_handed(wc_request *r) {
    int cancelled = 0;
    PMPI_Test_cancelled(&r->status, &cancelled);
    if (cancelled)
        forget(r);
    else if (!r->recv.handed)
        wc_request_handed(r, r->status.MPI_SOURCE, r->status.MPI_TAG);
}

/* Of a receive that the application cancelled while it stood in the software queue. */
void wc_request_make_cancelled(MPI_Status *status) {
    PMPI_Status_set_elements(status, MPI_BYTE, 0);
    PMPI_Status_set_cancelled(status, 1);
    status->MPI_SOURCE = MPI_ANY_SOURCE;
    status->MPI_TAG = MPI_ANY_TAG;
}

int wc_request_finish(wc_request *r, MPI_Status *status) {
    MPI_Status own;
    int rc = MPI_SUCCESS;
    bool two_handles = r->handle != r->inner;
    if (r->inner == MPI_REQUEST_NULL) {
        wc_request_make_cancelled(&own);
        forget(r);
    } else {
        mend_status(r, &r->status);
        note_handed(r);
        own = r->status; /* MPICH 4.2 tells that of a persistent request only once */
        rc = PMPI_Wait(&r->inner, MPI_STATUS_IGNORE);
        rc = raise(r, rc == MPI_SUCCESS ? r->error : rc);
    }
    MPI_Request handle = r->handle;
    if (r->persistent)
        wc_persistent_ended(handle);
    if (r->persistent && r->detached)
        PMPI_Request_free(&handle);
    else if (two_handles && !r->persistent)
        release_handle(r);
    wc_message_drop(r->recv.message);
    wc_request_release(r);
    if (status != MPI_STATUS_IGNORE) {
        int error =
            status->MPI_ERROR; /* single completions leave it alone: MPI 3.1, section 3.2.5 */
        *status = own;
        status->MPI_ERROR = error;
    }
    wc_layer_update();
    return rc;
}

void wc_request_poll_detached(void) {
    size_t n = L.receives.count, done = 0;
    wc_request **list = wc_core_alloc((n + 1) * sizeof *list);
    WC_EACH_ENTRY(&L.receives, wc_request, r) {
        if (r->detached && wc_request_ready(r))
            list[done++] = r;
    }
    for (size_t i = 0; i < done; i++) {
        L.detached--;
        wc_request_finish(list[i], MPI_STATUS_IGNORE);
    }
    free(list);
}
