/* SPDX-License-Identifier: BSD-3-Clause */
/* Aligned cuts: messages are counted per stream. protocol.md, section 4. */
#include "internal.h"

#include <stdlib.h>

/*
 * A receive whose position in its stream isn't known at posting, because wildcards posted before it
 * are still open. Slots stand in posting order. A slot is resolved when no earlier open one could
 * take a message of its stream.
 */
typedef struct wc_slot {
    wc_recv *recv; /* NULL once handed over */
    wc_comm *comm;
    int source, tag;     /* wanted, and after the hand-over what came */
    wc_stream *stream;   /* known when specific or handed over */
    wc_message *message; /* its copy in the cut, waiting for its position */
    struct wc_slot *next;
} wc_slot;

static bool blocks(const wc_slot *earlier, const wc_slot *s) {
    if (earlier->stream)
        return earlier->stream == s->stream;
    return earlier->comm == s->comm &&
           (earlier->source == WC_ANY || earlier->source == s->source) &&
           (earlier->tag == WC_ANY || earlier->tag == s->tag);
}

static void free_slot(wc_core *core, wc_slot **at) {
    wc_slot *s = *at;
    *at = s->next;
    if (core->slots_end == &s->next)
        core->slots_end = at;
    wc_message_drop(s->message);
    free(s);
}

void wc_counted_free(wc_core *core) {
    while (core->slots)
        free_slot(core, &core->slots);
}

static void resolve(wc_core *core) {
    for (wc_slot **at = &core->slots; *at;) {
        wc_slot *s = *at, *earlier = core->slots;
        if (s->stream)
            while (earlier != s && !blocks(earlier, s))
                earlier = earlier->next;
        if (!s->stream || earlier != s) {
            at = &s->next;
            continue;
        }
        uint64_t index = s->stream->handed + (uint64_t)++s->stream->open;
        if (s->message && !s->message->index)
            s->message->index = index;
        if (s->recv) {
            s->recv->index = index;
            s->recv->slotted = false;
        }
        free_slot(core, at);
    }
}

void wc_core_slot(wc_core *core, wc_recv *r) {
    wc_slot *s = wc_core_alloc(sizeof *s);
    *s = (wc_slot){
        .recv = r, .comm = r->comm, .source = r->source, .tag = r->tag, .stream = r->stream};
    *core->slots_end = s;
    core->slots_end = &s->next;
    r->slotted = true;
    if (!r->stream)
        core->wild++;
    resolve(core);
}

static wc_slot **slot_of(wc_core *core, const wc_recv *r) {
    wc_slot **at = &core->slots;
    while ((*at)->recv != r)
        at = &(*at)->next;
    return at;
}

/* True while what is handed over may have been sent before its sender's record. */
bool wc_counted_logs(const wc_core *core, const wc_recv *r) {
    bool in_already = r->log || (r->message && r->message->in_cut);
    return core->logging && !in_already && core->vote.void_rank < 0;
}

void wc_counted_log(wc_core *core, wc_recv *r, wc_stream *stream) {
    bool decided = core->state > WC_STATE_CLOSING || stream->channel->closed;
    if (decided && r->index && r->index > stream->known)
        return;
    wc_message *m = core->port.copy(core->port.context, r);
    if (!m) {
        wc_core_void(core, WC_REASON_PARTIAL_TYPE, stream->peer, stream->tag, NULL);
        return;
    }
    r->log = true;
    m->in_cut = true;
    m->order = r->order;
    if (core->logged < r->order)
        core->logged = r->order;
    m->index = core->config.break_order ? stream->handed + 1 : r->index;
    if (r->slotted) {
        wc_slot *s = *slot_of(core, r);
        s->message = wc_message_hold(m);
    }
    wc_messages_add(&core->cut, m);
    wc_message_drop(m);
}

void wc_counted_handed(wc_core *core, wc_recv *r, wc_stream *stream) {
    if (wc_counted_logs(core, r))
        wc_counted_log(core, r, stream);
    if (!r->slotted)
        return;
    wc_slot *s = *slot_of(core, r);
    if (!s->stream)
        core->wild--;
    *s = (wc_slot){.comm = s->comm,
                   .source = stream->peer,
                   .tag = stream->tag,
                   .stream = stream,
                   .message = s->message,
                   .next = s->next};
    r->slotted = false;
    resolve(core);
}

/* A cancelled receive took nothing: those posted after it move up. */
static void move_up(wc_core *core, const wc_recv *r) {
    size_t n;
    wc_recv **list = wc_native_receives(core, &n);
    for (size_t i = 0; i < n; i++)
        if (list[i]->stream == r->stream && list[i]->index > r->index)
            list[i]->index--;
    free(list);
}

void wc_core_forget(wc_core *core, wc_recv *r) {
    if (r->slotted) {
        if (!r->stream)
            core->wild--;
        free_slot(core, slot_of(core, r));
        r->slotted = false;
        resolve(core);
    } else if (r->stream) {
        r->stream->open--;
        if (r->index)
            move_up(core, r);
    }
}

/* What waits in the stash at the record is in flight: it is in the cut as it is, before all that MPI
 * still has. */
static void cut_stash(wc_core *core) {
    for (wc_message *m = core->stash; m; m = m->next) {
        wc_stream *s = wc_core_in(core, m->comm, m->source, m->tag);
        m->in_cut = true;
        m->order = 0;
        s->in_cut++;
        if (!core->config.break_stash)
            wc_messages_add(&core->cut, m);
    }
}

/* A receive that was logged for an earlier cut and is still open is in flight once more. */
static void forget_logs(wc_core *core) {
    size_t n;
    wc_recv **list = wc_native_receives(core, &n);
    for (size_t i = 0; i < n; i++)
        list[i]->log = false;
    free(list);
}

void wc_counted_record(wc_core *core) {
    WC_EACH(&core->in_streams, wc_stream, s) {
        s->cut_handed = s->handed;
        s->in_cut = 0;
    }
    forget_logs(core);
    core->logging = core->vote.void_rank < 0;
    if (core->logging)
        cut_stash(core);
}

void wc_core_counts(wc_core *core, wc_comm *comm, int source, const wc_tag_count *counts,
                    size_t n) {
    wc_channel *channel = wc_channel_get(&core->in, comm, source);
    for (size_t i = 0; i < n; i++)
        wc_core_in(core, comm, source, (int)counts[i].tag)->known += counts[i].count;
    channel->used = true;
    if (!core->config.immediate)
        channel->closed = true;
}

void wc_counted_close(wc_core *core) {
    if (core->vote.void_rank >= 0)
        return;
    WC_EACH(&core->in_streams, wc_stream, s) {
        if (s->known < s->cut_handed)
            wc_core_void(core, WC_REASON_ORPHAN, s->peer, s->tag, NULL);
    }
}

/* Messages after the cut leave the log; returns false while a position isn't known yet. */
static bool trim_log(wc_core *core) {
    bool known = true;
    size_t kept = 0;
    WC_EACH(&core->in_streams, wc_stream, s) s->in_cut = 0;
    for (size_t i = 0; i < core->cut.count; i++) {
        wc_message *m = core->cut.at[i];
        wc_stream *s = wc_core_in(core, m->comm, m->source, m->tag);
        bool waits = false;
        for (const wc_slot *slot = core->slots; slot && !waits; slot = slot->next)
            waits = slot->message == m;
        known = known && !waits;
        if (m->index > s->known) {
            m->in_cut = false;
            wc_message_drop(m);
            continue;
        }
        s->in_cut += !waits;
        core->cut.at[kept++] = m;
    }
    core->cut.count = kept;
    return known;
}

/* Natively posted receives that are complete, but not handed over yet. */
static void log_complete(wc_core *core) {
    if (core->config.break_order)
        return;
    size_t n;
    wc_recv **list = wc_native_receives(core, &n);
    for (size_t i = 0; i < n; i++) {
        wc_recv *r = list[i];
        if (r->stream && !r->handed && wc_counted_logs(core, r) &&
            core->port.complete(core->port.context, r))
            wc_counted_log(core, r, r->stream);
    }
    free(list);
}

/* The place of what is pulled now: after what receives that are posted already have taken, and
 * before what those of later will take. */
static uint64_t pulled_order(wc_core *core) {
    uint64_t newest = core->logged;
    size_t n;
    wc_recv **list = wc_native_receives(core, &n);
    if (n > 0 && newest < list[n - 1]->order)
        newest = list[n - 1]->order;
    free(list);
    return newest + 1;
}

/* Has neither a receive nor the stash what was sent before the cut? What comes after that may not be pulled: it may have
 * been sent synchronously, which must not complete before its receive exists. Before it, no such send is left: its sender
 * could not record before it was complete. */
static bool must_pull(const wc_stream *s) {
    return s->handed + (uint64_t)s->open + s->stashed < s->known;
}

static void pull_missing(wc_core *core, const wc_stream *s) {
    wc_pulled p;
    void *context = core->port.context;
    uint64_t order = pulled_order(core);
    while (must_pull(s) && core->port.pull(context, s->comm, s->peer, &p)) {
        wc_message *m = wc_message_new(s->comm, p.source, p.tag, p.bytes);
        m->handle = p.handle;
        wc_stream *its = wc_core_in(core, s->comm, p.source, p.tag);
        core->port.receive_aside(context, m);
        /* What is unexpected comes after what receives have taken and what the stash holds. */
        if (must_pull(its)) {
            m->in_cut = true;
            m->order = order;
            its->in_cut++;
            wc_messages_add(&core->cut, m);
        }
        wc_pulled_stash(core, m);
        wc_message_drop(m);
    }
}

/* Judges one stream; returns true if messages in flight are missing. */
static bool stream_lacks(wc_core *core, const wc_stream *s, bool pull) {
    if (s->comm->freed && s->cut_handed < s->known)
        wc_core_void(core, WC_REASON_FREED_COMM, s->peer, s->tag, NULL);
    if (pull)
        pull_missing(core, s);
    if (s->cut_handed + s->in_cut > s->known && !core->config.break_order)
        wc_core_void(core, WC_REASON_COUNTERS, s->peer, s->tag, NULL);
    return s->cut_handed + s->in_cut < s->known;
}

bool wc_counted_settle(wc_core *core) {
    log_complete(core);
    bool whole = trim_log(core);
    int64_t waited = core->now - core->entered_at;
    /* With wildcards open nobody knows yet whose message the next one is. */
    bool pull = waited >= core->config.patience_ns && !core->slots;
    const wc_stream *missing = NULL;
    WC_EACH(&core->in_streams, wc_stream, s) {
        if (stream_lacks(core, s, pull))
            missing = s;
    }
    if (core->config.break_carry)
        WC_EACH(&core->in_streams, wc_stream, s) s->known = s->cut_handed;
    if ((missing || !whole) && waited >= core->config.timeout_ns)
        wc_core_void(core, WC_REASON_MESSAGE_MISSING, missing ? missing->peer : -1,
                     missing ? missing->tag : -1, NULL);
    return whole && !missing && wc_cut_arrived(core);
}
