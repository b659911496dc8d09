/* SPDX-License-Identifier: BSD-3-Clause */
/* What the core asks for, done with MPI. PMPI calls only: the library never sees itself. */
#include "layer.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Rounds of progress after which a receive that was cancelled and isn't complete counts as matched.
 */
enum { CANCEL_ROUNDS = 1000 };

static wc_request *request_of(wc_recv *r) {
    return (wc_request *)r;
}

/* ---- packed bytes ---- */

int wc_long_type(uint64_t elements, MPI_Datatype element, MPI_Datatype *type, int *count) {
    const uint64_t block = 1 << 30;
    *type = element;
    *count = (int)elements;
    if (elements <= INT_MAX)
        return MPI_SUCCESS;
    MPI_Aint lb, extent;
    MPI_Datatype blocks;
    int rc = PMPI_Type_contiguous((int)block, element, &blocks);
    if (rc != MPI_SUCCESS)
        return rc;
    PMPI_Type_get_extent(element, &lb, &extent);
    MPI_Datatype types[2] = {blocks, element};
    int lengths[2] = {(int)(elements / block), (int)(elements % block)};
    MPI_Aint places[2] = {0, (MPI_Aint)(elements / block * block) * extent};
    PMPI_Type_create_struct(2, lengths, places, types, type);
    PMPI_Type_commit(type);
    PMPI_Type_free(&blocks);
    *count = 1;
    return MPI_SUCCESS;
}

void wc_packed_type(uint64_t bytes, MPI_Datatype *type, int *count) {
    wc_long_type(bytes, MPI_PACKED, type, count);
}

void wc_packed_type_free(MPI_Datatype *type) {
    if (*type != MPI_PACKED)
        PMPI_Type_free(type);
}

uint64_t wc_type_bytes_of(MPI_Datatype type) {
    MPI_Count bytes;
    PMPI_Type_size_x(type, &bytes);
    return (uint64_t)bytes;
}

static bool is_contiguous(MPI_Datatype type) {
    MPI_Count lb, extent, true_lb, true_extent, bytes;
    PMPI_Type_get_extent_x(type, &lb, &extent);
    PMPI_Type_get_true_extent_x(type, &true_lb, &true_extent);
    PMPI_Type_size_x(type, &bytes);
    int integers, addresses, types, combiner;
    PMPI_Type_get_envelope(type, &integers, &addresses, &types, &combiner);
    bool plain = combiner == MPI_COMBINER_NAMED || combiner == MPI_COMBINER_CONTIGUOUS ||
                 combiner == MPI_COMBINER_DUP;
    return plain && lb == 0 && true_lb == 0 && extent == bytes && true_extent == bytes;
}

/* A message to oneself: MPI_Pack can't measure more than an int does. */
static int pack(void *to, uint64_t bytes, const void *from, int count, MPI_Datatype type) {
    enum { TAG = 0x7FFF + 3 };
    if (bytes == 0)
        return MPI_SUCCESS;
    if (is_contiguous(type)) {
        memcpy(to, from, bytes);
        return MPI_SUCCESS;
    }
    MPI_Datatype packed;
    int n;
    wc_packed_type(bytes, &packed, &n);
    int rc =
        PMPI_Sendrecv(from, count, type, 0, TAG, to, n, packed, 0, TAG, L.self, MPI_STATUS_IGNORE);
    wc_packed_type_free(&packed);
    return rc;
}

int wc_pack(const void *from, int count, MPI_Datatype type, void **data, uint64_t *bytes) {
    *bytes = (uint64_t)count * wc_type_bytes_of(type);
    *data = malloc(*bytes ? *bytes : 1);
    return *data ? pack(*data, *bytes, from, count, type) : MPI_ERR_NO_MEM;
}

/* ---- markers ---- */

static WC_PROCESS struct {
    MPI_Request *requests;
    void **buffers;
    size_t count, room;
} kept;

void wc_port_keep(MPI_Request request, void *buffer) {
    if (kept.count == kept.room) {
        kept.room = kept.room ? kept.room * 2 : 32;
        kept.requests = wc_core_grow(kept.requests, kept.room * sizeof *kept.requests);
        kept.buffers = wc_core_grow(kept.buffers, kept.room * sizeof *kept.buffers);
    }
    kept.requests[kept.count] = request;
    kept.buffers[kept.count++] = buffer;
}

static bool markers_received(void *context) {
    (void)context;
    while (kept.count) {
        int flag;
        PMPI_Test(&kept.requests[kept.count - 1], &flag, MPI_STATUS_IGNORE);
        if (!flag)
            return false;
        free(kept.buffers[--kept.count]);
    }
    return true;
}

void wc_port_forget_markers(void) {
    free(kept.requests);
    free(kept.buffers);
    memset(&kept, 0, sizeof kept);
}

static void send_marker(void *context, const wc_comm *comm, int peer) {
    (void)context;
    MPI_Request request;
    PMPI_Issend(NULL, 0, MPI_BYTE, peer, L.marker_tag, wc_comm_from_core(comm)->handle, &request);
    wc_port_keep(request, NULL);
    if (L.traced)
        wc_trace_marker(WC_TRACE_MARKER_SENT, comm, peer);
}

static int rank_in_job(MPI_Group group, int rank) {
    int job;
    PMPI_Group_translate_ranks(group, 1, &rank, L.job_group, &job);
    return job == MPI_UNDEFINED ? -1 : job;
}

static int job_rank(void *context, const wc_comm *comm, int peer) {
    (void)context;
    return rank_in_job(wc_comm_from_core(comm)->peers, peer);
}

int wc_port_member_in_job(const wc_comm *comm, int member) {
    const wc_mpi_comm *c = wc_comm_from_core(comm);
    int first = comm->second ? comm->remote_size : 0; /* of this rank's group */
    if (member >= first && member < first + comm->size)
        return rank_in_job(c->group, member - first);
    return rank_in_job(c->peers, comm->second ? member : member - comm->size);
}

/* ---- record and after ---- */

/* The first receive outstanding that the application has not protected; NULL: all are. */
static const wc_recv *unprotected(uint64_t *others) {
    size_t n = wc_request_list(NULL, 0);
    wc_recv **list = wc_core_alloc((n + 1) * sizeof *list);
    wc_request_list(list, n);
    for (size_t i = 0; i < n; i++)
        request_of(list[i])->kept = list[i]->inside; /* that one begins again */
    *others = L.hooks.keep_requests();
    size_t i = 0;
    while (i < n && request_of(list[i])->kept)
        i++;
    const wc_recv *first = i < n ? list[i] : NULL;
    free(list);
    return first;
}

/* What is outstanding must be protected, all of it: a restart makes it again, and nothing else. */
static wc_reason may_record(void *context, int *peer, int *tag, const char **text) {
    (void)context;
    uint64_t others;
    if (L.multiple && (*text = wc_thread_elsewhere()))
        return WC_REASON_THREAD;
    wc_posted_adopt();
    for (wc_opened *o = L.opened; o < L.opened + WC_OPEN_KINDS; o++) {
        if (!o->count)
            continue;
        *text = o->call;
        return WC_REASON_OPEN;
    }
    if (L.foreign_count)
        return WC_REASON_COLLECTIVE_OPEN;
    if (L.core.config.requests_allowed || (!L.receives.count && !wc_outstanding()))
        return WC_REASON_NONE;
    const wc_recv *r = unprotected(&others);
    if (r) {
        *peer = r->source;
        *tag = r->tag;
    }
    return r || others != (uint64_t)wc_outstanding() ? WC_REASON_REQUEST_OPEN : WC_REASON_NONE;
}

static void record(void *context) {
    (void)context;
    L.hooks.record();
    if (L.traced)
        wc_trace_phase(WC_TRACE_RECORD);
}

static void all_recorded(void *context) {
    (void)context;
    L.hooks.all_recorded();
}

static void settled(void *context, bool valid) {
    (void)context;
    if (L.traced && valid)
        wc_trace_phase(WC_TRACE_CLOSED);
    L.hooks.settled(valid);
}

static void finished(void *context, const wc_vote *outcome) {
    (void)context;
    L.hooks.finished(outcome);
}

/* ---- receives ---- */

static size_t native_receives(void *context, wc_recv **list, size_t room) {
    (void)context;
    return wc_request_list(list, room);
}

static bool complete(void *context, wc_recv *r) {
    (void)context;
    return wc_request_ready(request_of(r)) && request_of(r)->inner != MPI_REQUEST_NULL;
}

static wc_message *copy(void *context, wc_recv *recv) {
    (void)context;
    wc_request *r = request_of(recv);
    if (!wc_request_ready(r) || r->error != MPI_SUCCESS)
        return NULL;
    int count, source = r->status.MPI_SOURCE, tag = r->status.MPI_TAG;
    PMPI_Get_count(&r->status, r->type, &count);
    if (count == MPI_UNDEFINED || count > r->count) /* more was sent than there was room for */
        return NULL;
    if (recv->message) {
        source = recv->message->source;
        tag = recv->message->tag;
    }
    uint64_t bytes = (uint64_t)count * wc_type_bytes_of(r->type);
    wc_message *m = wc_message_new(recv->comm, source, tag, bytes);
    m->data = malloc(bytes ? bytes : 1);
    if (!m->data) {
        wc_message_drop(m);
        wc_core_void(&L.core, WC_REASON_MEMORY, source, tag, NULL);
        return NULL;
    }
    pack(m->data, bytes, r->buffer, count, r->type);
    m->arrived = true;
    return m;
}

static bool pull(void *context, const wc_comm *comm, int source, wc_pulled *pulled) {
    (void)context;
    MPI_Message message;
    MPI_Status status;
    int flag = 0;
    MPI_Comm handle = wc_comm_from_core(comm)->handle;
    if (handle == MPI_COMM_NULL || wc_comm_from_core(comm)->going)
        return false;
    PMPI_Improbe(source == WC_ANY ? MPI_ANY_SOURCE : source, MPI_ANY_TAG, handle, &flag, &message,
                 &status);
    if (!flag)
        return false;
    MPI_Count bytes;
    PMPI_Get_elements_x(&status, MPI_BYTE, &bytes);
    *pulled = (wc_pulled){.source = status.MPI_SOURCE,
                          .tag = status.MPI_TAG,
                          .bytes = (uint64_t)bytes,
                          .marker = status.MPI_TAG == L.marker_tag};
    if (pulled->marker) {
        PMPI_Mrecv(NULL, 0, MPI_BYTE, &message, MPI_STATUS_IGNORE);
        if (L.traced)
            wc_trace_marker(WC_TRACE_MARKER_RECEIVED, comm, pulled->source);
        return true;
    }
    MPI_Message *kept_message = wc_core_alloc(sizeof *kept_message);
    *kept_message = message;
    pulled->handle = kept_message;
    return true;
}

/* Cancelled or matched: there is no third end. What the application has cancelled itself stays its
 * own, but must have come to its end too: it could still take a marker. A cancelled receive stays
 * allocated where the application holds its handle, so that this can't be given to another request;
 * a persistent one does so by itself. */
static bool take_back(void *context, wc_recv *recv) {
    (void)context;
    wc_request *r = request_of(recv);
    int flag = 0, cancelled = 0;
    if (wc_request_ready(r))
        return false;
    if (!recv->cancelled)
        PMPI_Cancel(&r->inner);
    MPI_Status status;
    for (int i = 0; i < CANCEL_ROUNDS && !flag; i++)
        PMPI_Request_get_status(r->inner, &flag, &status);
    if (flag)
        PMPI_Test_cancelled(&status, &cancelled);
    if (!cancelled || recv->cancelled)
        return false;
    bool holds = !recv->inside && r->inner == r->handle && !r->persistent;
    if (!holds)
        PMPI_Wait(&r->inner, MPI_STATUS_IGNORE);
    r->inner = MPI_REQUEST_NULL;
    return true;
}

static void post(void *context, wc_recv *recv) {
    (void)context;
    wc_request *r = request_of(recv);
    PMPI_Irecv(r->buffer, r->count, r->type, recv->source == WC_ANY ? MPI_ANY_SOURCE : recv->source,
               recv->tag == WC_ANY ? MPI_ANY_TAG : recv->tag, r->comm, &r->inner);
}

static bool fits(void *context, const wc_recv *recv, const wc_message *m) {
    (void)context;
    const wc_request *r = (const wc_request *)recv;
    uint64_t each = wc_type_bytes_of(r->type);
    return each == 0 ? m->bytes == 0
                     : m->bytes % each == 0 && m->bytes / each <= (uint64_t)r->count;
}

static void receive_into(void *context, wc_recv *recv, wc_message *m) {
    (void)context;
    wc_request *r = request_of(recv);
    PMPI_Imrecv(r->buffer, r->count, r->type, m->handle, &r->inner);
    free(m->handle);
    m->handle = NULL;
}

/* A message from the library's memory to the application's receive: a send to oneself, so that
 * types and lengths are MPI's own affair. Not so what is too long: Open MPI 4.1 writes behind the
 * receive of a message from oneself, or says nothing. */
static void deliver(void *context, wc_recv *recv, wc_message *m) {
    (void)context;
    static WC_PROCESS int tag;
    wc_request *r = request_of(recv);
    MPI_Datatype type;
    MPI_Request request;
    int count;
    uint64_t room = (uint64_t)r->count * wc_type_bytes_of(r->type), bytes = m->bytes;
    if (bytes > room) {
        r->error = MPI_ERR_TRUNCATE;
        bytes = room;
    }
    tag = (tag + 1) & 0x7FFF;
    wc_packed_type(bytes, &type, &count);
    PMPI_Irecv(r->buffer, r->count, r->type, 0, tag, L.self, &r->inner);
    PMPI_Isend(m->data, count, type, 0, tag, L.self, &request);
    PMPI_Wait(&request, MPI_STATUS_IGNORE);
    wc_packed_type_free(&type);
}

static void receive_aside(void *context, wc_message *m) {
    (void)context;
    MPI_Datatype type;
    int count;
    m->data = malloc(m->bytes ? m->bytes : 1);
    if (!m->data)
        PMPI_Abort(MPI_COMM_WORLD, 1); /* the message has left MPI: there is no way back */
    MPI_Request *arriving = wc_core_alloc(sizeof *arriving);
    wc_packed_type(m->bytes, &type, &count);
    PMPI_Imrecv(m->data, count, type, m->handle, arriving);
    wc_packed_type_free(&type);
    free(m->handle);
    m->handle = NULL;
    m->arriving = arriving;
}

static bool arrived(void *context, wc_message *m) {
    (void)context;
    int flag;
    PMPI_Test(m->arriving, &flag, MPI_STATUS_IGNORE);
    if (!flag)
        return false;
    free(m->arriving);
    m->arriving = NULL;
    m->arrived = true;
    return true;
}

/* ---- around calls that block in MPI ---- */

static void post_marker_receives(void *context, const wc_comm *comm, int n) {
    (void)context;
    wc_mpi_comm *c = wc_comm_from_core(comm);
    if (c->handle == MPI_COMM_NULL)
        return; /* not there yet: nothing here receives on it */
    c->marker_receives = wc_core_grow(c->marker_receives, (size_t)n * sizeof *c->marker_receives);
    c->marker_count = (size_t)n;
    for (int i = 0; i < n; i++)
        PMPI_Irecv(NULL, 0, MPI_BYTE, MPI_ANY_SOURCE, L.marker_tag, c->handle,
                   &c->marker_receives[i]);
}

static size_t take_back_marker_receives(void *context, const wc_comm *comm, int *sources) {
    (void)context;
    wc_mpi_comm *c = wc_comm_from_core(comm);
    size_t found = 0;
    while (c->marker_count) {
        MPI_Request *request = &c->marker_receives[--c->marker_count];
        MPI_Status status;
        int cancelled;
        PMPI_Cancel(request);
        PMPI_Wait(request, &status);
        PMPI_Test_cancelled(&status, &cancelled);
        if (cancelled)
            continue;
        sources[found++] = status.MPI_SOURCE;
        if (L.traced)
            wc_trace_marker(WC_TRACE_MARKER_RECEIVED, comm, status.MPI_SOURCE);
    }
    return found;
}

const wc_port wc_layer_port = {.spread = wc_control_spread,
                               .enter = wc_control_enter,
                               .reduced = wc_control_reduced,
                               .send_counts = wc_control_send_counts,
                               .tell_clock = wc_control_tell_clock,
                               .send_marker = send_marker,
                               .markers_received = markers_received,
                               .job_rank = job_rank,
                               .may_record = may_record,
                               .record = record,
                               .all_recorded = all_recorded,
                               .settled = settled,
                               .finished = finished,
                               .native_receives = native_receives,
                               .complete = complete,
                               .copy = copy,
                               .pull = pull,
                               .take_back = take_back,
                               .post = post,
                               .fits = fits,
                               .receive_into = receive_into,
                               .deliver = deliver,
                               .receive_aside = receive_aside,
                               .arrived = arrived,
                               .post_marker_receives = post_marker_receives,
                               .take_back_marker_receives = take_back_marker_receives};
