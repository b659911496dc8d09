/* SPDX-License-Identifier: BSD-3-Clause */
/* Immediate cuts: the library takes over receiving while an attempt is under way. protocol.md,
 * section 5. */
#include "internal.h"

#include <stdlib.h>

/* Ranks that poll for a held message get it, and void, after so many fruitless polls. */
enum { POLLS_BEFORE_GIVING_UP = 64 };

/* Messages pulled go behind those that MPI had matched at the record. */
static const uint64_t PULLED_ORDER = UINT64_C(1) << 62;

static bool has_recorded(const wc_core *core) {
    return core->state >= WC_STATE_RECORDED;
}

/* ---- the software queue ---- */

static void enqueue(wc_core *core, wc_recv *r) {
    r->state = WC_RECV_SOFT;
    r->judged = false;
    r->next = NULL;
    *core->soft_end = r;
    core->soft_end = &r->next;
}

static void dequeue(wc_core *core, wc_recv **at) {
    wc_recv *r = *at;
    *at = r->next;
    if (core->soft_end == &r->next)
        core->soft_end = at;
    r->next = NULL;
}

static wc_recv **oldest_match(wc_core *core, const wc_message *m) {
    wc_recv **at = &core->soft;
    while (*at && !wc_recv_matches(*at, m->comm, m->source, m->tag))
        at = &(*at)->next;
    return at;
}

/* ---- the stash ---- */

void wc_pulled_stash(wc_core *core, wc_message *m) {
    m->next = NULL;
    *core->stash_end = wc_message_hold(m);
    core->stash_end = &m->next;
    core->stashed++;
    core->held += m->held;
    wc_core_in(core, m->comm, m->source, m->tag)->stashed++;
}

void wc_core_take(wc_core *core, wc_message *m) {
    wc_message **at = &core->stash;
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    if (core->stash_end == &m->next)
        core->stash_end = at;
    m->next = NULL;
    core->stashed--;
    core->held -= m->held;
    wc_core_in(core, m->comm, m->source, m->tag)->stashed--;
}

wc_message *wc_pulled_find(wc_core *core, const wc_recv *r, bool held_too) {
    wc_message *m = core->stash;
    while (m && !(wc_recv_matches(r, m->comm, m->source, m->tag) && (held_too || !m->held)))
        m = m->next;
    return m;
}

/* ---- matching ---- */

static void add_bound(wc_core *core, wc_recv *r) {
    if (core->bound_count == core->bound_room) {
        core->bound_room = core->bound_room ? core->bound_room * 2 : 16;
        core->bound = wc_core_grow(core->bound, core->bound_room * sizeof *core->bound);
    }
    core->bound[core->bound_count++] = r;
}

static bool is_ready(wc_core *core, wc_message *m) {
    if (m->arriving)
        core->port.arrived(core->port.context, m);
    return m->arrived && !m->held;
}

/* The receive takes the message (and its holder). What the cut needs a copy of, what is held and
 * what doesn't fit goes through the library's memory; the rest straight into the application's
 * buffer. */
void wc_pulled_bind(wc_core *core, wc_recv *r, wc_message *m) {
    void *context = core->port.context;
    r->message = m;
    core->recordable = false;
    if (m->handle && !m->held && !m->in_cut && core->port.fits(context, r, m)) {
        r->state = WC_RECV_FILLING;
        core->port.receive_into(context, r, m);
        return;
    }
    if (m->handle)
        core->port.receive_aside(context, m);
    core->held += m->held;
    if (is_ready(core, m)) {
        r->state = WC_RECV_FILLING;
        core->port.deliver(context, r, m);
        return;
    }
    r->state = WC_RECV_BOUND;
    add_bound(core, r);
}

void wc_pulled_poll_bound(wc_core *core) {
    size_t kept = 0;
    for (size_t i = 0; i < core->bound_count; i++) {
        wc_recv *r = core->bound[i];
        if (!is_ready(core, r->message)) {
            core->bound[kept++] = r;
            continue;
        }
        assert(!r->message->held); /* I5 */
        r->state = WC_RECV_FILLING;
        core->port.deliver(core->port.context, r, r->message);
    }
    core->bound_count = kept;
}

static void take_message(wc_core *core, const wc_comm *comm, const wc_pulled *p) {
    wc_message *m = wc_message_new((wc_comm *)comm, p->source, p->tag, p->bytes);
    m->handle = p->handle;
    const wc_channel *channel = wc_channel_get(&core->in, m->comm, m->source);
    if (!has_recorded(core))
        m->held = channel->closed;
    else if (core->logging && !channel->closed && core->vote.void_rank < 0 &&
             !core->config.break_markers) {
        m->in_cut = m->tentative = true;
        m->order = PULLED_ORDER + core->pulled++;
        wc_messages_add(&core->cut, m);
    }
    wc_recv **at = oldest_match(core, m);
    if (*at) {
        wc_recv *r = *at;
        dequeue(core, at);
        wc_pulled_bind(core, r, wc_message_hold(m));
    } else {
        wc_pulled_stash(core, m);
    }
    wc_message_drop(m);
}

/* A marker that comes before this rank knows the agreement's result: its sender does, so all are
 * armed. What is behind it stays in MPI until this rank can record. */
static void take_marker(wc_core *core, const wc_comm *comm, int source) {
    wc_channel_get(&core->in, (wc_comm *)comm, source)->closed = true;
    core->early = core->early || core->state == WC_STATE_AGREEING;
}

static bool record_comes_first(const wc_core *core) {
    return core->early && (core->state == WC_STATE_AGREEING || wc_frame_may_record(core));
}

/* Pulls what has arrived, above a limit only what may be waited for. Stops at a marker that calls for
 * the record: what comes behind it is then pulled after it. */
static void pull(wc_core *core) {
    wc_pulled p;
    for (wc_comm *comm = core->comms; comm && !record_comes_first(core); comm = comm->next) {
        while ((core->soft || core->probes || core->stashed < core->config.max_stash) &&
               core->port.pull(core->port.context, comm, WC_ANY, &p)) {
            if (!p.marker) {
                take_message(core, comm, &p);
                continue;
            }
            take_marker(core, comm, p.source);
            if (record_comes_first(core) || wc_frame_may_record(core))
                return;
        }
    }
}

void wc_pulled_progress(wc_core *core) {
    pull(core);
    wc_pulled_poll_bound(core);
    if (!core->held)
        core->polls = 0;
}

/* ---- arm ---- */

static int newest_first(const void *a, const void *b) {
    const wc_recv *x = *(wc_recv *const *)a, *y = *(wc_recv *const *)b;
    return x->order < y->order ? 1 : -1;
}

/* Posted receives come back into the queue, newest first: otherwise a message that an older one was
 * waiting for slips into a younger one. What MPI has matched stays with MPI: it matched before any
 * marker existed. Returns those. */
static size_t take_back_all(wc_core *core, wc_recv ***matched) {
    void *context = core->port.context;
    size_t n, kept = 0;
    wc_recv **list = wc_native_receives(core, &n);
    qsort(list, n, sizeof *list, newest_first);
    wc_recv *queue = NULL;
    for (size_t i = 0; i < n; i++) {
        wc_recv *r = list[i];
        r->judged = r->judged && has_recorded(core);
        bool ours = !r->handed && r->state == WC_RECV_NATIVE;
        if (ours && core->port.take_back(context, r)) {
            r->next = queue;
            queue = r;
        } else if (ours && !r->cancelled) {
            list[kept++] = r;
        }
    }
    while (queue) {
        wc_recv *r = queue;
        queue = r->next;
        enqueue(core, r);
    }
    *matched = list;
    return kept;
}

void wc_pulled_arm(wc_core *core) {
    wc_recv **matched = NULL;
    core->armed = true;
    core->early = false;
    core->polls = 0;
    if (!core->config.break_take_back && !core->outside) {
        take_back_all(core, &matched);
        free(matched);
    }
}

bool wc_core_cancel(wc_core *core, wc_recv *r) {
    wc_recv **at = &core->soft;
    while (*at && *at != r)
        at = &(*at)->next;
    if (!*at)
        return false;
    dequeue(core, at);
    return true;
}

bool wc_core_receive(wc_core *core, wc_recv *r) {
    wc_message *m = wc_pulled_find(core, r, core->armed);
    if (m) {
        wc_message_hold(m);
        wc_core_take(core, m);
        wc_message_drop(m);
        wc_pulled_bind(core, r, m);
        return true;
    }
    if (!core->armed || core->outside || core->config.break_take_back)
        return false;
    enqueue(core, r);
    return true;
}

void wc_core_receive_matched(wc_core *core, wc_recv *r, wc_message *m) {
    wc_pulled_bind(core, r, m);
}

wc_message *wc_core_probe(wc_core *core, wc_comm *comm, int source, int tag) {
    wc_recv wanted = {.comm = comm, .source = source, .tag = tag};
    return wc_pulled_find(core, &wanted, false);
}

void wc_core_restore_message(wc_core *core, wc_comm *comm, int source, int tag, void *data,
                             uint64_t bytes) {
    wc_message *m = wc_message_new(comm, source, tag, bytes);
    m->data = data;
    m->arrived = true;
    wc_stream *s = wc_core_in(core, comm, source, tag);
    s->known++;
    s->channel->used = true;
    wc_pulled_stash(core, m);
    wc_message_drop(m);
}

/* ---- record ---- */

static void release_held(wc_core *core) {
    for (wc_message *m = core->stash; m; m = m->next)
        m->held = false;
    for (size_t i = 0; i < core->bound_count; i++)
        core->bound[i]->message->held = false;
    core->held = 0;
    core->polls = 0;
}

static void add_to_cut(wc_core *core, wc_message *m) {
    m->in_cut = true;
    m->order = PULLED_ORDER + core->pulled++;
    if (!core->config.break_stash)
        wc_messages_add(&core->cut, m);
}

/* What MPI has matched, and what is on its way into a buffer, is in flight and copied when
 * complete. */
static void log_native(wc_core *core) {
    size_t n;
    wc_recv **list = wc_native_receives(core, &n);
    for (size_t i = 0; i < n; i++) {
        wc_recv *r = list[i];
        r->log =
            r->state != WC_RECV_SOFT && r->state != WC_RECV_BOUND && !r->handed && !r->cancelled;
        r->judged = r->state != WC_RECV_SOFT; /* that one may still be matched in MPI, see below */
        r->tentative = false;
        r->cut_order = r->order;
    }
    free(list);
}

void wc_pulled_record(wc_core *core) {
    core->recordable = false;
    core->logging = core->vote.void_rank < 0;
    WC_EACH(&core->in_streams, wc_stream, s) s->cut_handed = s->handed;
    if (core->logging) {
        for (size_t i = 0; i < core->bound_count; i++)
            if (!core->bound[i]->message->held)
                add_to_cut(core, core->bound[i]->message);
        for (wc_message *m = core->stash; m; m = m->next)
            if (!m->held)
                add_to_cut(core, m);
        log_native(core);
    }
    release_held(core);
}

void wc_core_before_send(wc_core *core, wc_comm *comm, int peer) {
    core->recordable = false;
    if (core->state != WC_STATE_RECORDED)
        return;
    wc_channel *c = wc_channel_get(&core->out, comm, peer);
    if (!c->marked)
        core->port.send_marker(core->port.context, comm, peer);
    c->marked = true; /* I2 */
}

/* The application can't go on without what is held: this rank gives up its record. */
void wc_core_starved(wc_core *core) {
    if (!core->held || core->state != WC_STATE_AGREED || ++core->polls < POLLS_BEFORE_GIVING_UP)
        return;
    const wc_message *m = core->bound_count ? core->bound[0]->message : core->stash;
    while (m && !m->held)
        m = m->next;
    wc_core_void(core, WC_REASON_HELD, m ? m->source : -1, m ? m->tag : -1, NULL);
    wc_frame_record(core);
    wc_pulled_poll_bound(core);
}

/* ---- close ---- */

/* No marker came on its channel: nothing in it was sent before the cut. */
static bool is_after_cut(wc_core *core, const wc_message *m) {
    return m->tentative && !wc_channel_get(&core->in, m->comm, m->source)->closed;
}

static void drop_tentative(wc_core *core) {
    size_t kept = 0;
    for (size_t i = 0; i < core->cut.count; i++) {
        wc_message *m = core->cut.at[i];
        if (is_after_cut(core, m)) {
            m->in_cut = m->tentative = false;
            wc_message_drop(m);
        } else {
            core->cut.at[kept++] = m;
        }
    }
    core->cut.count = kept;
}

void wc_pulled_close(wc_core *core) {
    drop_tentative(core);
    release_held(core);
    core->armed = false;
    while (core->soft) {
        wc_recv *r = core->soft;
        dequeue(core, &core->soft);
        r->state = WC_RECV_NATIVE;
        core->port.post(core->port.context, r);
    }
    assert(!core->soft); /* I4 */
}

static void copy_complete(wc_core *core, wc_recv *r) {
    wc_message *m = core->port.copy(core->port.context, r);
    r->log = false;
    if (!m) {
        wc_core_void(core, WC_REASON_PARTIAL_TYPE, -1, -1, NULL);
        return;
    }
    m->tentative = r->tentative;
    m->order = r->cut_order;
    m->in_cut = core->state < WC_STATE_SETTLING || !is_after_cut(core, m);
    if (m->in_cut)
        wc_messages_add(&core->cut, m);
    wc_message_drop(m);
}

/* Copies what was matched at the record and has completed since; returns false while some has not.
 */
static bool log_is_whole(wc_core *core) {
    bool whole = true;
    size_t n;
    wc_recv **list = wc_native_receives(core, &n);
    for (size_t i = 0; i < n; i++) {
        if (list[i]->log && core->port.complete(core->port.context, list[i]))
            copy_complete(core, list[i]);
        whole = whole && !list[i]->log;
    }
    free(list);
    return whole;
}

/* What the stash holds of the cut: not before it is known what that is. A synchronous send must not complete before its
 * receive exists, and none is left in the cut: its sender could not record before it was complete. */
static void receive_cut(wc_core *core) {
    for (size_t i = 0; i < core->cut.count; i++)
        if (core->cut.at[i]->handle)
            core->port.receive_aside(core->port.context, core->cut.at[i]);
}

static void check_counters(wc_core *core) {
    WC_EACH(&core->in_streams, wc_stream, s) {
        bool freed = s->comm->freed || s->comm->freed_by_peer;
        if (freed && s->cut_handed < s->known)
            wc_core_void(core, WC_REASON_FREED_COMM, s->peer, s->tag, NULL);
        else if (s->cut_handed + s->in_cut != s->known)
            wc_core_void(core, s->known < s->cut_handed ? WC_REASON_ORPHAN : WC_REASON_COUNTERS,
                         s->peer, s->tag, NULL);
    }
}

bool wc_pulled_settle(wc_core *core) {
    receive_cut(core);
    bool whole = log_is_whole(core);
    whole = wc_cut_arrived(core) && whole;
    if (!whole) {
        if (core->now - core->entered_at >= core->config.timeout_ns)
            wc_core_void(core, WC_REASON_MESSAGE_MISSING, -1, -1, NULL);
        return false;
    }
    WC_EACH(&core->in_streams, wc_stream, s) s->in_cut = 0;
    for (size_t i = 0; i < core->cut.count; i++) {
        const wc_message *m = core->cut.at[i];
        wc_core_in(core, m->comm, m->source, m->tag)->in_cut++;
    }
    bool broken =
        core->config.break_stash || core->config.break_markers || core->config.break_take_back;
    if (!broken)
        check_counters(core);
    return true;
}

/* ---- hand-over, both kinds ---- */

void wc_core_handed(wc_core *core, wc_recv *r, int source, int tag) {
    wc_stream *s = r->stream ? r->stream : wc_core_in(core, r->comm, source, tag);
    if (!core->config.immediate)
        wc_counted_handed(core, r, s);
    else if (r->log && core->logging)
        copy_complete(core, r);
    s->handed++;
    if (r->stream || !core->config.immediate)
        s->open--;
    r->handed = true;
}

/* ---- calls that block in MPI ---- */

static int open_channels(const wc_core *core, const wc_comm *comm) {
    int n = wc_comm_peers(comm);
    WC_EACH(&core->in, wc_channel, c) n -= c->comm == comm && c->closed;
    return n;
}

static bool has_soft(const wc_core *core, const wc_comm *comm) {
    const wc_recv *r = core->soft;
    while (r && r->comm != comm)
        r = r->next;
    return r;
}

void wc_core_native_begin(wc_core *core) {
    core->recordable = false;
    if (!core->armed || !core->soft)
        return;
    core->outside = true;
    for (wc_comm *comm = core->comms; comm; comm = comm->next)
        if (has_soft(core, comm))
            core->port.post_marker_receives(core->port.context, comm, open_channels(core, comm));
    while (core->soft) {
        wc_recv *r = core->soft;
        dequeue(core, &core->soft);
        r->state = WC_RECV_NATIVE;
        core->port.post(core->port.context, r);
    }
}

/* Did MPI match a receive that could have taken a message of this channel? Then nobody knows on
 * which side of the marker. */
static bool may_have_matched(wc_recv *const *matched, size_t n, const wc_comm *comm, int source) {
    for (size_t i = 0; i < n; i++)
        if (matched[i]->comm == comm &&
            (matched[i]->source == WC_ANY || matched[i]->source == source))
            return true;
    return false;
}

/* Has the marker of its channel not come yet? */
static bool may_be_in_cut(wc_core *core, const wc_recv *r) {
    return r->source == WC_ANY || !wc_channel_get(&core->in, r->comm, r->source)->closed;
}

/* After the record, what MPI matched meanwhile on a channel that is still open may be in flight. */
static void log_matched(wc_core *core, wc_recv *r) {
    if (r->judged)
        return;
    r->judged = true;
    bool open = may_be_in_cut(core, r);
    r->tentative = true;
    r->cut_order = PULLED_ORDER + core->pulled++;
    if (!open)
        return;
    if (r->source != WC_ANY) {
        r->log = true;
        return;
    }
    if (!core->port.complete(core->port.context, r)) {
        wc_core_void(core, WC_REASON_ORDER_UNKNOWN, -1, r->tag, NULL);
        return;
    }
    wc_message *m = core->port.copy(core->port.context, r);
    if (m && !wc_channel_get(&core->in, m->comm, m->source)->closed)
        copy_complete(core, r);
    wc_message_drop(m);
}

/* Pulls what a channel, or all of a communicator, has brought; true if there were messages. */
static bool pull_channel(wc_core *core, const wc_comm *comm, int source) {
    bool any = false;
    wc_pulled p;
    while (core->port.pull(core->port.context, comm, source, &p)) {
        if (p.marker) {
            take_marker(core, comm, p.source);
            continue;
        }
        take_message(core, comm, &p);
        any = true;
    }
    return any;
}

/* A marker that met a receive for markers has left its place in the channel: what came on it and
 * was not handed over yet may stand on either side. */
static void take_markers_met(wc_core *core, wc_comm *comm, wc_recv *const *matched, size_t n) {
    int *sources = wc_core_alloc((size_t)wc_comm_peers(comm) * sizeof *sources);
    size_t markers = core->port.take_back_marker_receives(core->port.context, comm, sources);
    for (size_t i = 0; i < markers; i++) {
        bool came = pull_channel(core, comm, sources[i]);
        take_marker(core, comm, sources[i]);
        if (came || may_have_matched(matched, n, comm, sources[i]))
            wc_core_void(core, WC_REASON_ORDER_UNKNOWN, sources[i], -1, NULL);
    }
    free(sources);
}

/* What MPI matched meanwhile on a channel whose marker had come before the call is from behind that
 * marker: it would have been held. */
static void void_held_matched(wc_core *core, wc_recv *const *matched, size_t n) {
    WC_EACH(&core->in, wc_channel, c) {
        if (c->closed && may_have_matched(matched, n, c->comm, c->peer))
            wc_core_void(core, WC_REASON_HELD, c->peer, -1, NULL);
    }
}

/* True if there is something else on the channels of this receive that MPI has matched or has. */
static bool has_company(wc_core *core, wc_recv *const *matched, size_t n, const wc_recv *r) {
    for (size_t i = 0; i < n; i++)
        if (matched[i] != r && matched[i]->tag != r->tag && matched[i]->comm == r->comm &&
            (matched[i]->source == WC_ANY || r->source == WC_ANY ||
             matched[i]->source == r->source))
            return true;
    return pull_channel(core, r->comm, r->source);
}

/* A receive of one tag leaves open whether what it got was sent before or after the messages of other
 * tags: in the cut they must stand in order, for receives of any tag after a restart. */
static void void_unordered(wc_core *core, wc_recv *const *matched, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (matched[i]->tag != WC_ANY && may_be_in_cut(core, matched[i]) &&
            has_company(core, matched, n, matched[i]))
            wc_core_void(core, WC_REASON_ORDER_UNKNOWN, matched[i]->source, matched[i]->tag, NULL);
}

void wc_core_native_end(wc_core *core) {
    if (!core->outside)
        return;
    core->outside = false;
    wc_recv **matched = NULL;
    size_t n = take_back_all(core, &matched);
    if (!has_recorded(core))
        void_held_matched(core, matched, n);
    for (wc_comm *comm = core->comms; comm; comm = comm->next)
        take_markers_met(core, comm, matched, n);
    if (has_recorded(core) && core->logging) {
        for (size_t i = 0; i < n; i++)
            log_matched(core, matched[i]);
        void_unordered(core, matched, n);
    }
    free(matched);
}

bool wc_core_has_stashed(const wc_core *core, const wc_comm *comm) {
    const wc_message *m = core->stash;
    while (m && m->comm != comm)
        m = m->next;
    return m;
}
