/* SPDX-License-Identifier: BSD-3-Clause */
#include "requests.h"

#include "datatype.h"
#include "runtime.h"
#include "snapshot.h"

#include <stdlib.h>
#include <string.h>

/* A protected array has handles of C or of Fortran. */

static MPI_Request request_at(const wc_region *region, uint64_t k) {
    if (region->fortran)
        return MPI_Request_f2c(((const MPI_Fint *)region->user)[k]);
    return ((const MPI_Request *)region->user)[k];
}

static void set_request_at(const wc_region *region, uint64_t k, MPI_Request request) {
    if (region->fortran)
        ((MPI_Fint *)region->user)[k] = MPI_Request_c2f(request);
    else
        ((MPI_Request *)region->user)[k] = request;
}

/* Null, or a persistent one that is inactive: nothing to be done. */
static bool is_idle(MPI_Request request) {
    const wc_persistent *p = request == MPI_REQUEST_NULL ? NULL : wc_persistent_find(request);
    return request == MPI_REQUEST_NULL || (p && !p->active);
}

uint64_t wc_requests_keep(void) {
    uint64_t others = 0;
    for (size_t i = 0; i < R.regions.count; i++) {
        const wc_region *region = &R.regions.at[i];
        for (uint64_t k = 0; region->type == WC_TYPE_REQUEST && k < region->count; k++) {
            MPI_Request request = request_at(region, k);
            bool idle = is_idle(request);
            wc_request *r = idle ? NULL : wc_request_find(request);
            /* The same receive in two places is not what it seems: it counts, and does not fit. */
            others += !idle && (!r || r->kept);
            if (r)
                r->kept = true;
        }
    }
    return others;
}

/* ---- buffers ---- */

/* Is it all in this array, beginning `offset` bytes behind its first one? */
static bool is_inside(const wc_region *region, int64_t offset, int64_t from, int64_t to) {
    int64_t bytes = (int64_t)wc_region_bytes(region);
    return !region->save && !__builtin_add_overflow(offset, from, &from) && from >= 0 &&
           !__builtin_add_overflow(offset, to, &to) && to <= bytes;
}

/* MPI may write there before the next safe point, whatever the program has said. */
static void copy_what_is_received(const wc_request *r) {
    int64_t from, to;
    bool counted = wc_datatype_span((uint64_t)r->count, r->type, &from, &to);
    for (size_t i = 0; i < R.regions.count; i++) {
        const wc_region *region = &R.regions.at[i];
        int64_t offset = (int64_t)((intptr_t)r->buffer - (intptr_t)region->address);
        int64_t bytes = (int64_t)wc_region_bytes(region);
        if (region->stable && (!counted || (offset + from < bytes && offset + to > 0)))
            wc_snapshot_take_back(region->name);
    }
}

static bool find_array(const wc_request *r, wc_request_row *row) {
    int64_t from, to;
    if (!wc_datatype_span((uint64_t)r->count, r->type, &from, &to))
        return false;
    if (from == to)
        return true; /* no buffer */
    for (size_t i = 0; i < R.regions.count; i++) {
        const wc_region *region = &R.regions.at[i];
        int64_t offset = (int64_t)((intptr_t)r->buffer - (intptr_t)region->address);
        if (!is_inside(region, offset, from, to))
            continue;
        strcpy(row->array, region->name);
        row->offset = offset;
        return true;
    }
    return false;
}

/* ---- saving ---- */

/* NULL, or why it can't be made again. */
static const char *describe(wc_request *r, wc_request_row *row) {
    if (r->recv.cancelled || r->detached)
        return "a receive that was cancelled";
    if (r->recv.handed) { /* its data have been seen already */
        strcpy(row->state, "ended");
        return NULL;
    }
    strcpy(row->state, r->persistent ? "started" : "receive");
    copy_what_is_received(r);
    row->source = r->recv.source;
    row->tag = r->recv.tag;
    row->comm = r->recv.comm->uid;
    row->order = r->recv.order;
    if (r->persistent) /* the rest is the program's to make again */
        return NULL;
    row->count = (uint64_t)r->count;
    if (!wc_datatype_describe(r->type, row->type, sizeof row->type))
        return "its datatype can't be saved";
    return find_array(r, row) ? NULL : "its buffer is in no protected array";
}

/* A send's message is in the channel, or has been received: either way the cut has it, and the send is over.
 * Only not a synchronous one's before its receive exists. */
static const char *describe_other(MPI_Request request, wc_request_row *row) {
    int over = 1;
    if (L.sync_used && wc_outstanding())
        PMPI_Request_get_status(request, &over, MPI_STATUS_IGNORE);
    strcpy(row->state, "ended");
    return over ? NULL : "it may be a synchronous send";
}

int wc_requests_save(void *user, wavecut_sink *sink) {
    (void)user;
    for (uint64_t k = 0; k < sink->copy->count; k++) {
        MPI_Request request = request_at(sink->copy, k);
        wc_request_row row = {.state = "none"};
        wc_request *r = NULL;
        const char *problem = NULL;
        if (!is_idle(request)) {
            r = wc_request_find(request);
            problem = r ? describe(r, &row) : describe_other(request, &row);
        } else if (request != MPI_REQUEST_NULL) {
            strcpy(row.state, "ended");
        }
        if (problem)
            wc_error_set(&sink->error, WC_ERR_CALLBACK, "request %llu of \"%s\": %s",
                         (unsigned long long)k, sink->copy->name, problem);
        if (wc_sink_write(sink, &row, sizeof row) != WC_OK)
            return 0; /* the sink tells */
    }
    return 0;
}

/* ---- restart ---- */

static bool is_receive(const wc_request_row *row) {
    return strncmp(row->state, "receive", sizeof row->state) == 0;
}

static bool is_started(const wc_request_row *row) {
    return strncmp(row->state, "started", sizeof row->state) == 0;
}

static bool is_whole(const wc_request_row *row) {
    return memchr(row->type, 0, sizeof row->type) && memchr(row->array, 0, sizeof row->array) &&
           row->count <= INT32_MAX && row->source >= WC_ANY && row->tag >= WC_ANY;
}

static wc_status check_receive(const wc_request_row *row, wc_error *error) {
    const wc_mpi_comm *c = wc_comm_by_uid(row->comm);
    MPI_Datatype type;
    bool made = false;
    int64_t from, to;
    if (!is_whole(row) || !wc_datatype_make(row->type, &type, &made))
        return wc_error_set(error, WC_ERR_DAMAGED, "it is not what Wavecut writes");
    bool counted = wc_datatype_span(row->count, type, &from, &to);
    if (made)
        PMPI_Type_free(&type);
    if (!counted)
        return wc_error_set(error, WC_ERR_DAMAGED, "it is not what Wavecut writes");
    if (!c || c->core.freed || row->source >= wc_comm_peers(&c->core))
        return wc_error_set(error, WC_ERR_MISMATCH,
                            "it was posted on a communicator (uid %016llx) that the program has "
                            "not made: make communicators in the same order as before, before "
                            "wavecut_restore",
                            (unsigned long long)row->comm);
    const wc_region *array = from == to ? NULL : wc_regions_find(&R.regions, row->array);
    if (from != to && (!array || !is_inside(array, row->offset, from, to)))
        return wc_error_set(error, WC_ERR_MISMATCH, "its buffer was in \"%s\", where it is not now",
                            row->array);
    return WC_OK;
}

static int or_any(int wanted, int any) {
    return wanted == any ? WC_ANY : wanted;
}

static wc_status check_started(const wc_request_row *row, MPI_Request request, wc_error *error) {
    const wc_persistent *p = request == MPI_REQUEST_NULL ? NULL : wc_persistent_find(request);
    if (p && p->receives && p->comm && p->comm->core.uid == row->comm &&
        or_any(p->peer, MPI_ANY_SOURCE) == row->source && or_any(p->tag, MPI_ANY_TAG) == row->tag)
        return WC_OK;
    return wc_error_set(error, WC_ERR_MISMATCH,
                        "it was a persistent receive from rank %d (-1: any), tag %d, that had been "
                        "started: make the same one again, before wavecut_restore",
                        row->source, row->tag);
}

wc_status wc_requests_check(const wc_region *copy, wc_error *error) {
    const wc_request_row *rows = copy->address;
    wc_status status = WC_OK;
    for (uint64_t k = 0; k < copy->count && status == WC_OK; k++) {
        wc_error why;
        MPI_Request request = request_at(copy, k);
        if (!is_idle(request) || (is_receive(&rows[k]) && request != MPI_REQUEST_NULL))
            status = wc_error_set(&why, WC_ERR_ORDER,
                                  "it is not MPI_REQUEST_NULL: begin receives after "
                                  "wavecut_restore, and only if it was no restart");
        else if ((is_receive(&rows[k]) || is_started(&rows[k])) && wc_saved_moves())
            status = wc_error_set(&why, WC_ERR_MISMATCH,
                                  "it is outstanding in the snapshot, which was taken with another "
                                  "number of ranks");
        else if (is_receive(&rows[k]))
            status = check_receive(&rows[k], &why);
        else if (is_started(&rows[k]))
            status = check_started(&rows[k], request, &why);
        if (status != WC_OK)
            wc_error_set(error, status, "request %llu of \"%s\": %s", (unsigned long long)k,
                         copy->name, why.text);
    }
    return status;
}

typedef struct wc_posting {
    const wc_request_row *row;
    const wc_region *copy; /* that has the row */
    uint64_t k;            /* its number in it */
} wc_posting;

static int by_order(const void *a, const void *b) {
    uint64_t x = ((const wc_posting *)a)->row->order, y = ((const wc_posting *)b)->row->order;
    return (x > y) - (x < y);
}

static void post(const wc_posting *p) {
    const wc_request_row *row = p->row;
    if (is_started(row)) {
        wc_persistent_restart(wc_persistent_find(request_at(p->copy, p->k)));
        return;
    }
    const wc_region *array = row->array[0] ? wc_regions_find(&R.regions, row->array) : NULL;
    void *buffer = array ? (char *)array->address + row->offset : NULL;
    MPI_Datatype type;
    bool made;
    wc_request *r;
    MPI_Request request = MPI_REQUEST_NULL;
    wc_datatype_make(row->type, &type, &made);
    wc_receive_start(
        &r, buffer, (int)row->count, type, row->source == WC_ANY ? MPI_ANY_SOURCE : row->source,
        row->tag == WC_ANY ? MPI_ANY_TAG : row->tag, wc_comm_by_uid(row->comm)->handle, &request);
    set_request_at(p->copy, p->k, request);
    if (made)
        wc_type_free(&type);
}

/* What came back in the channels is in the stash, where each receive looks first: in this order they get
 * what they would have got. */
void wc_requests_post(void) {
    size_t n = 0;
    wc_posting *postings = NULL;
    for (size_t i = 0; i < R.staging.count; i++) {
        const wc_region *copy = &R.staging.copies[i];
        const wc_request_row *rows = copy->address;
        if (copy->type != WC_TYPE_REQUEST)
            continue;
        postings = wc_core_grow(postings, (n + copy->count + 1) * sizeof *postings);
        for (uint64_t k = 0; k < copy->count; k++)
            if (is_receive(&rows[k]) || is_started(&rows[k]))
                postings[n++] = (wc_posting){&rows[k], copy, k};
    }
    if (n)
        qsort(postings, n, sizeof *postings, by_order);
    for (size_t i = 0; i < n; i++)
        post(&postings[i]);
    free(postings);
}
