/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Generalized requests: the program's own operations. No snapshot while there is one. MPI tells by a
 * callback when it lets go of one.
 */
#include "layer.h"

#include <assert.h>
#include <stdlib.h>

typedef struct wc_operation {
    wc_grequest base;
    MPI_Grequest_query_function *query;
    MPI_Grequest_free_function *release;
    MPI_Grequest_cancel_function *cancel;
    void *state;
} wc_operation;

static int query(void *state, MPI_Status *status) {
    const wc_operation *o = state;
    return o->query ? o->query(o->state, status) : MPI_SUCCESS;
}

static int cancel(void *state, int complete) {
    const wc_operation *o = state;
    return o->cancel ? o->cancel(o->state, complete) : MPI_SUCCESS;
}

static int release(void *state) {
    wc_operation *o = state;
    int rc = o->release ? o->release(o->state) : MPI_SUCCESS;
    assert(!L.multiple || wc_thread_owns());
    wc_grequest **at = &L.grequests;
    while (*at && *at != &o->base)
        at = &(*at)->next;
    if (*at)
        *at = o->base.next;
    free(o);
    wc_close(WC_OPEN_GREQUEST);
    return rc;
}

WC_EXPORT int MPI_Grequest_start(MPI_Grequest_query_function *query_fn,
                                 MPI_Grequest_free_function *free_fn,
                                 MPI_Grequest_cancel_function *cancel_fn, void *extra_state,
                                 MPI_Request *request) {
    WC_GUARD(__func__);
    if (L.way == WC_WAY_OFF)
        return PMPI_Grequest_start(query_fn, free_fn, cancel_fn, extra_state, request);
    L.core.recordable = false;
    wc_operation *o = wc_core_alloc(sizeof *o);
    *o = (wc_operation){
        .query = query_fn, .release = free_fn, .cancel = cancel_fn, .state = extra_state};
    int rc = PMPI_Grequest_start(query, release, cancel, o, request);
    if (rc != MPI_SUCCESS) {
        free(o);
        return rc;
    }
    o->base = (wc_grequest){.handle = *request, .next = L.grequests};
    L.grequests = &o->base;
    wc_foreign_started(rc, request);
    wc_open(WC_OPEN_GREQUEST, "MPI_Grequest_start");
    return rc;
}

/* It may call `release`: the lock comes before those that MPI takes. */
WC_EXPORT int MPI_Grequest_complete(MPI_Request request) {
    WC_GUARD(__func__);
    return PMPI_Grequest_complete(request);
}
