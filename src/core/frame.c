/* SPDX-License-Identifier: BSD-3-Clause */
/* Request, agree, record, A, B, commit: protocol.md, section 3. */
#include "internal.h"

#include <stdlib.h>

static void set_state(wc_core *core, wc_state state) {
    static const uint16_t allowed[] = {
        [WC_STATE_IDLE] = 1 << WC_STATE_AGREEING,
        [WC_STATE_AGREEING] = 1 << WC_STATE_AGREED | 1 << WC_STATE_IDLE,
        [WC_STATE_AGREED] = 1 << WC_STATE_RECORDED,
        [WC_STATE_RECORDED] = 1 << WC_STATE_CLOSING,
        [WC_STATE_CLOSING] = 1 << WC_STATE_SETTLING | 1 << WC_STATE_IDLE,
        [WC_STATE_SETTLING] = 1 << WC_STATE_WRITING,
        [WC_STATE_WRITING] = 1 << WC_STATE_COMMITTING,
        [WC_STATE_COMMITTING] = 1 << WC_STATE_IDLE,
    };
    assert(allowed[core->state] & 1 << state); /* I1 */
    (void)allowed;
    core->state = state;
    core->entered_at = core->now;
}

void wc_core_init(wc_core *core, const wc_port *port, const wc_core_config *config) {
    *core = (wc_core){.port = *port, .config = *config, .lookahead = 2};
    wc_streams_init(&core->in_streams, WC_IN);
    wc_streams_init(&core->out_streams, WC_OUT);
    core->soft_end = &core->soft;
    core->stash_end = &core->stash;
    core->slots_end = &core->slots;
    core->vote = wc_vote_neutral();
}

void wc_core_free(wc_core *core) {
    wc_messages_clear(&core->cut);
    wc_counted_free(core);
    while (core->stash) {
        wc_message *first = core->stash;
        core->stash = first->next;
        wc_message_drop(first);
    }
    wc_streams_free(&core->in_streams);
    wc_streams_free(&core->out_streams);
    wc_channels_free(&core->in);
    wc_channels_free(&core->out);
    free(core->bound);
}

void wc_core_attach(wc_core *core, const wc_core_config *config, int64_t now) {
    core->config = *config;
    core->now = now;
    wc_clock_begin(core);
}

void wc_core_add_comm(wc_core *core, wc_comm *comm) {
    wc_streams_forget(comm);
    comm->next = NULL;
    wc_comm **end = &core->comms;
    while (*end)
        end = &(*end)->next;
    *end = comm;
}

void wc_core_void(wc_core *core, wc_reason reason, int peer, int tag, const char *text) {
    wc_vote_void(&core->vote, core->config.rank, reason, peer, tag, text);
}

void wc_core_forbid(wc_core *core, wc_reason reason, const char *text) {
    if (core->forbidden == WC_REASON_NONE) {
        core->forbidden = reason;
        core->forbidden_text = text;
    }
    if (wc_core_busy(core))
        wc_core_void(core, reason, -1, -1, text);
}

/* ---- request and agree ---- */

static void enter_agreement(wc_core *core) {
    set_state(core, WC_STATE_AGREEING);
    core->attempt = core->finished + 1;
    core->clock_needed = core->config.immediate && core->events != core->events_before;
    core->events_before = core->events;
    core->vote.flags = (core->clock_needed ? WC_VOTE_COLLECTIVES : 0) |
                       (core->config.immediate ? WC_VOTE_IMMEDIATE : WC_VOTE_ALIGNED);
    core->vote.initiator = core->asked ? core->config.rank : INT32_MAX;
    core->asked = false;
    core->vote.step = core->step + core->lookahead;
    if (core->in_streams.count + core->out_streams.count > core->config.max_streams)
        wc_core_void(core, WC_REASON_STREAMS, -1, -1, NULL);
    if (core->ending)
        wc_core_void(core, WC_REASON_ENDING, -1, -1, NULL);
    if (core->forbidden != WC_REASON_NONE)
        wc_core_void(core, core->forbidden, -1, -1, core->forbidden_text);
    if (core->config.immediate && core->vote.void_rank < 0)
        wc_pulled_arm(core);
    core->port.enter(core->port.context, WC_PHASE_AGREE, &core->vote);
}

static void join(wc_core *core, uint64_t attempt, int from) {
    core->heard = attempt;
    core->port.spread(core->port.context, attempt, from);
    if (core->state == WC_STATE_IDLE)
        enter_agreement(core);
}

void wc_core_request(wc_core *core) {
    if (core->ending)
        return;
    core->asked = true;
    uint64_t wanted = core->state == WC_STATE_IDLE ? core->finished + 1 : core->attempt + 1;
    if (core->heard < wanted)
        join(core, wanted, -1);
}

void wc_core_hear(wc_core *core, uint64_t attempt, int from) {
    if (attempt > core->heard)
        join(core, attempt, from);
}

static bool in_settled(const wc_stream *s) {
    return s->handed == s->known && !s->open && !s->stashed;
}

static bool out_settled(const wc_stream *s) {
    return !s->sent;
}

/* Has everything that was counted on it been told and received? */
static bool is_comm_settled(const wc_core *core, const wc_comm *comm) {
    bool all = true;
    WC_EACH(&core->in_streams, wc_stream, s) all = all && (s->comm != comm || in_settled(s));
    WC_EACH(&core->out_streams, wc_stream, s) all = all && (s->comm != comm || out_settled(s));
    return all;
}

bool wc_core_drop_comm(wc_core *core, wc_comm *comm) {
    if (wc_core_busy(core) || core->slots || core->bound_count || !is_comm_settled(core, comm))
        return false;
    wc_streams_drop_comm(&core->in_streams, &core->in, comm);
    wc_streams_drop_comm(&core->out_streams, &core->out, comm);
    wc_clock_forget(core, comm);
    wc_comm **at = &core->comms;
    while (*at != comm)
        at = &(*at)->next;
    *at = comm->next;
    return true;
}

/* Programs that use ever new tags leave streams behind that nothing refers to. */
static void drop_settled_streams(wc_core *core) {
    if (core->in_streams.count + core->out_streams.count < core->config.max_streams / 2)
        return;
    bool referred = core->soft || core->bound_count || core->slots ||
                    core->port.native_receives(core->port.context, NULL, 0);
    if (!referred)
        wc_streams_drop(&core->in_streams, in_settled);
    wc_streams_drop(&core->out_streams, out_settled);
}

size_t wc_core_channels(const wc_core *core, wc_channel_count *counts, size_t room) {
    size_t n = 0;
    WC_EACH(&core->in, wc_channel, c) {
        if (!c->used)
            continue;
        wc_channel_count sum = {
            .comm = c->comm, .source = c->peer, .sent = c->settled, .received = c->settled};
        for (const wc_stream *s = c->streams; s; s = s->sibling) {
            sum.sent += s->known;
            sum.received += s->cut_handed;
        }
        for (size_t i = 0; i < core->cut.count; i++)
            sum.in_flight += core->cut.at[i]->comm == c->comm && core->cut.at[i]->source == c->peer;
        if (n++ < room)
            counts[n - 1] = sum;
    }
    return n;
}

static void end_attempt(wc_core *core, const wc_vote *outcome) {
    set_state(core, WC_STATE_IDLE);
    core->finished = core->attempt;
    core->logging = false;
    core->port.finished(core->port.context, outcome);
    for (size_t i = 0; i < core->cut.count; i++)
        core->cut.at[i]->in_cut = core->cut.at[i]->tentative = false;
    wc_messages_clear(&core->cut);
    drop_settled_streams(core);
    core->vote = wc_vote_neutral();
    WC_EACH(&core->in, wc_channel, in) in->closed = false;
    WC_EACH(&core->out, wc_channel, out) out->marked = false;
    if (core->heard > core->finished)
        enter_agreement(core);
}

static void agreed(wc_core *core, const wc_vote *result) {
    if ((result->flags & WC_VOTE_IMMEDIATE) && (result->flags & WC_VOTE_ALIGNED))
        wc_core_void(core, WC_REASON_MODES_DIFFER, -1, -1, NULL);
    /* What has voided this rank since it entered, the others don't know yet: A will tell them. */
    if (result->void_rank >= 0) {
        if (core->armed)
            wc_pulled_close(core);
        end_attempt(core, result);
        return;
    }
    core->clock_needed = result->flags & WC_VOTE_COLLECTIVES;
    core->initiator = result->initiator;
    core->agreed_step = result->step;
    set_state(core, WC_STATE_AGREED);
    core->vote.slack = result->step - core->step;
}

/* What would just have done for the rank that had least time, and some more. */
static void learn_lookahead(wc_core *core, const wc_vote *result) {
    int64_t needed = core->lookahead - result->slack;
    int64_t wanted = needed > 0 ? needed + needed / 4 + 2 : 2;
    if (core->lookahead < wanted)
        core->lookahead = wanted;
    else
        core->lookahead -= (core->lookahead - wanted) / 4;
}

/* ---- record ---- */

static void send_counts(wc_core *core, wc_channel *channel) {
    wc_tag_count few[8], *counts = few;
    size_t n = 0, room = sizeof few / sizeof *few;
    for (wc_stream *s = channel->streams; s; s = s->sibling) {
        if (!s->sent)
            continue;
        if (n == room) {
            room *= 2;
            wc_tag_count *more = wc_core_alloc(room * sizeof *more);
            for (size_t i = 0; i < n; i++)
                more[i] = counts[i];
            if (counts != few)
                free(counts);
            counts = more;
        }
        counts[n++] = (wc_tag_count){.tag = s->tag, .count = s->sent};
        s->sent = 0;
    }
    core->port.send_counts(core->port.context, channel->comm, channel->peer, core->attempt, counts,
                           n);
    if (counts != few)
        free(counts);
}

int wc_core_job_rank(wc_core *core, wc_channel *channel) {
    if (!channel->located) {
        channel->job_rank = core->port.job_rank(core->port.context, channel->comm, channel->peer);
        channel->located = true;
    }
    return channel->job_rank;
}

/* Messages to a rank that takes no part can't be in a cut. */
static void forget_sent(wc_core *core, wc_channel *channel) {
    wc_core_void(core, WC_REASON_OUTSIDE, channel->peer, channel->streams->tag, NULL);
    for (wc_stream *s = channel->streams; s; s = s->sibling)
        s->sent = 0;
}

/* Did messages come from such a rank? */
static void forget_received(wc_core *core) {
    WC_EACH(&core->in, wc_channel, c) {
        for (wc_stream *s = c->streams; s && wc_core_job_rank(core, c) < 0; s = s->sibling) {
            if (s->known != s->cut_handed)
                wc_core_void(core, WC_REASON_OUTSIDE, s->peer, s->tag, NULL);
            s->known = s->cut_handed = s->handed;
        }
    }
}

/* One marker for each channel used since the last cut. */
static void send_markers(wc_core *core) {
    WC_EACH(&core->out_streams, wc_stream, s) {
        if (s->sent)
            s->channel->used = true;
    }
    WC_EACH(&core->out, wc_channel, c) {
        if (!c->used)
            continue;
        c->used = false;
        if (wc_core_job_rank(core, c) < 0) {
            forget_sent(core, c);
            continue;
        }
        /* On a freed communicator nothing will be sent any more that could be mistaken, and its
         * receiver may be gone. */
        if (core->config.immediate && !c->comm->freed) {
            core->port.send_marker(core->port.context, c->comm, c->peer);
            c->marked = true;
        }
        send_counts(core, c);
    }
}

/* A(sum): zero if all members of each communicator have completed the same number of collectives on
 * it. */
static uint64_t collective_clock(const wc_core *core) {
    uint64_t sum = 0;
    for (const wc_comm *c = core->comms; c; c = c->next) {
        if (c->freed || c->outside)
            continue;
        uint64_t h = c->uid ^ c->collectives * UINT64_C(0x9E3779B97F4A7C15);
        h = (h ^ h >> 32) * UINT64_C(0xD6E8FEB86659FD93);
        h = (h ^ h >> 32) * UINT64_C(0xD6E8FEB86659FD93);
        h ^= h >> 32;
        sum += wc_comm_member(c) == 0 ? (uint64_t) - (int64_t)(wc_comm_members(c) - 1) * h : h;
    }
    return sum;
}

void wc_frame_record(wc_core *core) {
    set_state(core, WC_STATE_RECORDED);
    if (core->vote.void_rank < 0)
        core->port.record(core->port.context);
    if (core->config.immediate)
        wc_pulled_record(core);
    else
        wc_counted_record(core);
    send_markers(core);
    core->vote.sum = collective_clock(core);
    core->port.enter(core->port.context, WC_PHASE_A, &core->vote);
}

static void record_if_possible(wc_core *core) {
    int peer = -1, tag = -1;
    const char *text = NULL;
    wc_reason reason = core->port.may_record(core->port.context, &peer, &tag, &text);
    if (reason != WC_REASON_NONE)
        wc_core_void(core, reason, peer, tag, text);
    wc_frame_record(core);
}

bool wc_frame_may_record(const wc_core *core) {
    return core->state == WC_STATE_AGREED && core->recordable && !core->aside &&
           wc_clock_has_come(core);
}

static bool record_is_due(const wc_core *core) {
    if (core->state != WC_STATE_AGREED)
        return false;
    if (core->config.immediate)
        return wc_frame_may_record(core) && !core->outside;
    return core->step > core->agreed_step || (core->step == core->agreed_step && core->recordable);
}

/* Collectives that were expected don't come. */
static bool waits_in_vain(wc_core *core) {
    return core->config.immediate && core->state == WC_STATE_AGREED && core->recordable &&
           !wc_clock_has_come(core) && wc_clock_has_stopped(core);
}

static void record_if_due(wc_core *core) {
    if (core->ending && core->state == WC_STATE_AGREED)
        wc_core_void(core, WC_REASON_ENDING, -1, -1, NULL);
    else if (waits_in_vain(core))
        wc_core_void(core, WC_REASON_COLLECTIVE_MISSING, -1, -1, NULL);
    else if (!record_is_due(core))
        return;
    else if (!core->config.immediate && core->step > core->agreed_step)
        wc_core_void(core, WC_REASON_LATE, -1, -1, NULL);
    if (core->vote.void_rank >= 0)
        wc_frame_record(core);
    else
        record_if_possible(core);
}

/* ---- A, B, commit ---- */

static void all_recorded(wc_core *core, const wc_vote *result) {
    learn_lookahead(core, result);
    if (result->sum && result->void_rank < 0)
        wc_core_void(core, WC_REASON_COLLECTIVES_DIFFER, -1, -1, NULL);
    /* From here on all ranks know the same: what A found void no rank writes. */
    core->written = !result->sum && result->void_rank < 0;
    core->b_entered = false;
    set_state(core, WC_STATE_CLOSING);
    if (core->vote.void_rank < 0)
        wc_vote_merge(&core->vote, result);
    if (core->written)
        core->port.all_recorded(core->port.context);
}

static void all_closed(wc_core *core, const wc_vote *result) {
    forget_received(core);
    if (core->config.immediate)
        wc_pulled_close(core);
    else
        wc_counted_close(core);
    if (!core->written) {
        end_attempt(core, result);
        return;
    }
    if (core->vote.void_rank < 0)
        wc_vote_merge(&core->vote, result);
    set_state(core, WC_STATE_SETTLING);
}

wc_recv **wc_native_receives(wc_core *core, size_t *n) {
    *n = core->port.native_receives(core->port.context, NULL, 0);
    wc_recv **list = wc_core_alloc(*n * sizeof *list);
    core->port.native_receives(core->port.context, list, *n);
    return list;
}

bool wc_cut_arrived(wc_core *core) {
    bool all = true;
    for (size_t i = 0; i < core->cut.count; i++) {
        wc_message *m = core->cut.at[i];
        if (!m->arrived && !(m->arriving && core->port.arrived(core->port.context, m)))
            all = false;
    }
    return all;
}

typedef struct cut_entry {
    uint64_t order;
    size_t position;
    wc_message *message;
} cut_entry;

static int compare_entries(const void *a, const void *b) {
    const cut_entry *x = a, *y = b;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return x->position < y->position ? -1 : 1;
}

/* The order in which receives can match: what a receive that is posted again after a restart would
 * get. */
static void sort_cut(wc_core *core) {
    wc_messages *cut = &core->cut;
    cut_entry *entries = wc_core_alloc(cut->count * sizeof *entries);
    for (size_t i = 0; i < cut->count; i++)
        entries[i] = (cut_entry){cut->at[i]->order, i, cut->at[i]};
    qsort(entries, cut->count, sizeof *entries, compare_entries);
    for (size_t i = 0; i < cut->count; i++)
        cut->at[i] = entries[i].message;
    free(entries);
}

static void settle(wc_core *core) {
    if (core->vote.void_rank < 0) {
        bool whole = core->config.immediate ? wc_pulled_settle(core) : wc_counted_settle(core);
        if (!whole && core->vote.void_rank < 0)
            return;
    }
    core->logging = false;
    sort_cut(core);
    set_state(core, WC_STATE_WRITING);
    core->port.settled(core->port.context, core->vote.void_rank < 0);
}

void wc_core_durable(wc_core *core, wc_reason reason, const char *text) {
    assert(core->state == WC_STATE_WRITING);
    if (reason != WC_REASON_NONE)
        wc_core_void(core, reason, -1, -1, text);
    set_state(core, WC_STATE_COMMITTING);
    core->port.enter(core->port.context, WC_PHASE_COMMIT, &core->vote);
}

/* One step; true if there may be another. */
static bool advance(wc_core *core) {
    wc_vote result;
    void *context = core->port.context;
    switch (core->state) {
    case WC_STATE_AGREEING:
        if (!core->port.reduced(context, WC_PHASE_AGREE, &result))
            return false;
        agreed(core, &result);
        return true;
    case WC_STATE_RECORDED:
        if (!core->port.reduced(context, WC_PHASE_A, &result))
            return false;
        all_recorded(core, &result);
        return true;
    case WC_STATE_CLOSING:
        if (!core->b_entered && !core->port.markers_received(context))
            return false;
        if (!core->b_entered) {
            core->b_entered = true;
            core->port.enter(context, WC_PHASE_B, &core->vote);
        }
        if (!core->port.reduced(context, WC_PHASE_B, &result))
            return false;
        all_closed(core, &result);
        return true;
    case WC_STATE_SETTLING:
        settle(core);
        return core->state != WC_STATE_SETTLING;
    case WC_STATE_COMMITTING:
        if (!core->port.reduced(context, WC_PHASE_COMMIT, &result))
            return false;
        end_attempt(core, &result);
        return true;
    default:
        return false;
    }
}

void wc_core_progress(wc_core *core, int64_t now) {
    core->now = now;
    do {
        if (core->armed && !core->outside)
            wc_pulled_progress(core);
        else if (core->bound_count)
            wc_pulled_poll_bound(core);
        if (core->config.immediate && core->state != WC_STATE_IDLE &&
            core->state <= WC_STATE_CLOSING)
            wc_clock_progress(core);
        record_if_due(core);
    } while (advance(core));
}

void wc_core_end(wc_core *core) {
    core->ending = true;
}
