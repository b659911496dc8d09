/* SPDX-License-Identifier: BSD-3-Clause */
#include "scale.h"

enum { TAG = 1 };

static scale_rank *rank_of(void *context) {
    return context;
}

/* ---- the frame ---- */

static void spread(void *context, uint64_t attempt, int except) {
    scale_rank *r = rank_of(context);
    uint32_t fanout = S.options.fanout, first = r->rank * fanout + 1;
    scale_node request = {.kind = KIND_REQUEST, .value = (uint32_t)attempt};
    request.to = (r->rank - 1) / fanout;
    if (r->rank > 0 && (int)request.to != except)
        scale_send(r, &request, 8);
    for (uint32_t k = 0; k < fanout && first + k < S.options.ranks; k++) {
        request.to = first + k;
        if ((int)request.to != except)
            scale_send(r, &request, 8);
    }
}

/* At the record: one marker for each channel used, no more and no less? */
static void check_markers(scale_rank *r) {
    uint32_t used = scale_shape_receivers(&S.shape, r->rank, r->used);
    S.channels += used;
    if (r->markers != used)
        S.result->exact = false;
    r->used = r->markers = 0;
}

static void enter(void *context, wc_phase phase, const wc_vote *mine) {
    scale_rank *r = rank_of(context);
    if (S.joined[phase]++ % S.options.ranks == 0)
        S.votes[phase] = wc_vote_neutral();
    wc_vote_merge(&S.votes[phase], mine);
    if (phase == WC_PHASE_A)
        check_markers(r);
    scale_collective_enter(r, (int)phase);
}

static bool reduced(void *context, wc_phase phase, wc_vote *result) {
    if (!scale_collective_take(rank_of(context), (int)phase))
        return false;
    *result = S.votes[phase];
    return true;
}

static int job_rank(void *context, const wc_comm *comm, int peer) {
    (void)context;
    (void)comm;
    return peer;
}

/* ---- markers ---- */

static void send_count(scale_rank *r, uint32_t to, uint64_t count) {
    r->markers_out++;
    r->markers++;
    S.markers++;
    scale_send(r, &(scale_node){.kind = KIND_COUNTS, .to = to, .value = (uint32_t)count},
               32 + sizeof(wc_tag_count));
}

static void send_counts(void *context, const wc_comm *comm, int peer, uint64_t attempt,
                        const wc_tag_count *counts, size_t n) {
    (void)comm;
    (void)attempt;
    (void)n; /* these programs have one tag */
    scale_rank *r = rank_of(context);
    if (!S.options.bundle) {
        send_count(r, (uint32_t)peer, counts->count);
        return;
    }
    for (uint32_t k = 0; k < S.shape.degree; k++)
        send_count(r, scale_shape_out(&S.shape, r->rank, k), counts->count);
}

static void send_marker(void *context, const wc_comm *comm, int peer) {
    (void)comm;
    scale_rank *r = rank_of(context);
    r->markers_out++;
    S.lazy += r->collectives[WC_PHASE_A].entered; /* after the record */
    scale_send(r, &(scale_node){.kind = KIND_MARKER, .to = (uint32_t)peer}, 0);
}

static void acknowledge(scale_rank *r, uint32_t to) {
    scale_send(r, &(scale_node){.kind = KIND_ACK, .to = to}, 0);
}

void scale_take_counts(scale_rank *r, const scale_node *message) {
    wc_tag_count count = {.tag = TAG, .count = message->value};
    uint32_t source = message->from;
    acknowledge(r, source);
    if (S.options.bundle) { /* the first channel's, when all have come */
        uint32_t first = scale_shape_in(&S.shape, r->rank, 0);
        r->bundle_value = source == first ? message->value : r->bundle_value;
        if (++r->bundled < S.shape.degree)
            return;
        r->bundled = 0;
        source = first;
        count.count = r->bundle_value;
    }
    wc_core_counts(&r->core, &r->comm, (int)source, &count, 1);
}

/* No program here has collectives. */
static void tell_clock(void *context, const wc_comm *comm, int member, uint64_t attempt,
                       bool target, uint64_t value) {
    (void)context;
    (void)comm;
    (void)member;
    (void)attempt;
    (void)target;
    (void)value;
    S.result->exact = false;
}

static bool markers_received(void *context) {
    return rank_of(context)->markers_out == 0;
}

/* ---- the record and what follows ---- */

static wc_reason may_record(void *context, int *peer, int *tag, const char **text) {
    (void)context;
    (void)peer;
    (void)tag;
    (void)text;
    return WC_REASON_NONE; /* no program here leaves requests open */
}

static void record(void *context) {
    scale_recorded(rank_of(context));
}

static void all_recorded(void *context) {
    (void)context;
}

static void settled(void *context, bool valid) {
    scale_rank *r = rank_of(context);
    r->durable_due = true;
    for (size_t i = 0; i < r->core.cut.count; i++)
        S.cut_bytes += r->core.cut.at[i]->bytes;
    if (valid)
        scale_closed(r);
}

static void finished(void *context, const wc_vote *outcome) {
    scale_finished(rank_of(context), outcome);
}

/* ---- the one receive of an immediate program ---- */

static void *handle_of(uint32_t node) {
    return (void *)(uintptr_t)node;
}

static uint32_t node_of(const void *handle) {
    return (uint32_t)(uintptr_t)handle;
}

static size_t native_receives(void *context, wc_recv **list, size_t room) {
    scale_rank *r = rank_of(context);
    bool open = S.options.program->immediate && r->waiting;
    if (open && room)
        list[0] = &r->recv;
    return open;
}

static bool complete(void *context, wc_recv *recv) {
    (void)recv;
    return rank_of(context)->ready;
}

/* Of its contents only the step is real. */
static void *pack(uint32_t step) {
    uint32_t *data = wc_core_alloc(sizeof *data);
    *data = step;
    return data;
}

static wc_message *copy(void *context, wc_recv *recv) {
    scale_rank *r = rank_of(context);
    scale_node message = *scale_node_at(r->got);
    wc_message *m = wc_message_new(recv->comm, (int)message.from, TAG, S.options.bytes);
    m->data = S.options.program->immediate ? pack(message.value) : NULL;
    m->arrived = true;
    S.copied++;
    return m;
}

static bool pull(void *context, const wc_comm *comm, int source, wc_pulled *pulled) {
    (void)comm;
    (void)source; /* all: no program here waits inside MPI, and none is so late that it is helped */
    scale_rank *r = rank_of(context);
    uint32_t node = scale_list_take(&r->unexpected);
    if (!node)
        return false;
    scale_node message = *scale_node_at(node);
    *pulled = (wc_pulled){.source = (int)message.from,
                          .tag = TAG,
                          .bytes = S.options.bytes,
                          .marker = message.kind == KIND_MARKER,
                          .handle = handle_of(node)};
    if (pulled->marker) {
        scale_node_free(node);
        acknowledge(r, message.from);
        pulled->handle = NULL;
    }
    return true;
}

static bool take_back(void *context, wc_recv *recv) {
    (void)recv;
    scale_rank *r = rank_of(context);
    bool cancelled = r->posted;
    r->posted = false;
    return cancelled;
}

static void post(void *context, wc_recv *recv) {
    (void)recv;
    scale_immediate_post(rank_of(context));
}

static bool fits(void *context, const wc_recv *recv, const wc_message *m) {
    (void)context;
    (void)recv;
    (void)m;
    return true;
}

static void receive_into(void *context, wc_recv *recv, wc_message *m) {
    (void)recv;
    scale_rank *r = rank_of(context);
    r->got = node_of(m->handle);
    r->ready = true;
    m->handle = NULL;
}

static void deliver(void *context, wc_recv *recv, wc_message *m) {
    (void)recv;
    scale_rank *r = rank_of(context);
    r->got = scale_node_new(&(scale_node){
        .kind = KIND_DATA, .from = (uint32_t)m->source, .value = *(const uint32_t *)m->data});
    r->ready = true;
}

static void receive_aside(void *context, wc_message *m) {
    (void)context;
    uint32_t node = node_of(m->handle);
    m->data = pack(scale_node_at(node)->value);
    scale_node_free(node);
    m->arriving = m->data;
    m->handle = NULL;
    S.copied++;
}

static bool arrived(void *context, wc_message *m) {
    (void)context;
    m->arriving = NULL;
    m->arrived = true;
    return true;
}

/* ---- calls that block inside MPI: no program here has any ---- */

static void post_marker_receives(void *context, const wc_comm *comm, int n) {
    (void)context;
    (void)comm;
    (void)n;
}

static size_t take_back_marker_receives(void *context, const wc_comm *comm, int *sources) {
    (void)context;
    (void)comm;
    (void)sources;
    return 0;
}

const wc_port scale_port = {.spread = spread,
                            .enter = enter,
                            .reduced = reduced,
                            .job_rank = job_rank,
                            .send_counts = send_counts,
                            .tell_clock = tell_clock,
                            .send_marker = send_marker,
                            .markers_received = markers_received,
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
