/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is a snapshot a consistent cut? Definition 1.2 of the notes: if e1 -> e2 and e2 belongs to it, so does e1.
 *
 * With vector clocks: V(record_j)[i] <= V(record_i)[i] for all i and j. The clocks need not be kept for that. If V(record_j)[i] is
 * larger for some i and j, a chain of messages leads from an event of rank i behind its record to one of rank j before its own;
 * the first message of the chain that is received before its receiver's record was sent behind its sender's, since
 * the one before it was received there, or since the chain begins there. So it is enough to look for such a message, an orphan, and it is
 * the witness. Messages of a stream are numbered, so two passes through the events do: the first one finds for each stream the
 * number that is the first behind the sender's record, the second one receives with such a number before the receiver's.
 */
#include "reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 4096 }; /* events read at a time */

typedef struct stream {
    uint64_t comm;
    uint32_t source, destination;
    int32_t tag;
    bool used;
    /* at the records, as /trace/streams and /channels/messages have it */
    bool has_sent, has_received;
    uint64_t sent, received, in_flight;
    /* of the sends in the trace */
    bool traced;
    uint64_t next;    /* sequence behind the last one */
    uint64_t records; /* of the sender, before the last one */
    uint64_t after;   /* the first one behind that record */
} stream;

typedef struct traced_rank {
    uint64_t records;
    uint64_t record; /* the last one: its place among the rank's events */
} traced_rank;

typedef struct check {
    wc_reader *reader;
    wc_consistency *result;
    wc_error *error;
    wc_rank_row *ranks;
    wc_event_index_row *index;
    traced_rank *traced;
    stream *streams; /* open addressing; room: a power of two */
    size_t room, count;
    wc_event_row *window;
} check;

/* ---- witnesses ---- */

static uint64_t step_of(const check *c, uint32_t rank) {
    return c->ranks[rank].step;
}

/* The first one is kept; one that names the message is better than one that counts. */
static wc_witness *new_witness(check *c, wc_witness_kind kind, uint64_t comm, uint32_t source,
                               uint32_t destination) {
    c->result->findings++;
    wc_witness *w = &c->result->witness;
    if (w->kind != WC_WITNESS_NONE)
        return NULL;
    *w = (wc_witness){.kind = kind,
                      .comm = comm,
                      .source = source,
                      .destination = destination,
                      .source_step = step_of(c, source),
                      .destination_step = step_of(c, destination)};
    return w;
}

static void add_orphan(check *c, const wc_event_row *e) {
    wc_witness *w = new_witness(c, WC_WITNESS_ORPHAN, e->comm, e->peer, e->rank);
    if (!w)
        return;
    w->named = true;
    w->tag = e->tag;
    w->sequence = e->sequence;
    w->bytes = e->bytes;
    snprintf(w->text, sizeof w->text,
             "no consistent cut: rank %u sent message %" PRIu64 " (tag %d, %" PRIu64
             " bytes, communicator %016" PRIx64 ") after its record in step %" PRIu64
             ", and rank %u received it before its own in step %" PRIu64,
             w->source, w->sequence, w->tag, w->bytes, w->comm, w->source_step, w->destination,
             w->destination_step);
}

/* `tag` is NULL for a whole channel. */
static void add_counts(check *c, uint64_t comm, uint32_t source, uint32_t destination,
                       const int32_t *tag, uint64_t sent, uint64_t received, uint64_t in_flight) {
    static const char *const why[] = {[WC_WITNESS_ORPHAN] = "sent after its record",
                                      [WC_WITNESS_TWICE] = "received and in flight",
                                      [WC_WITNESS_LOST] = "neither received nor in flight"};
    wc_witness_kind kind = received > sent               ? WC_WITNESS_ORPHAN
                           : in_flight > sent - received ? WC_WITNESS_TWICE
                                                         : WC_WITNESS_LOST;
    wc_witness *w = new_witness(c, kind, comm, source, destination);
    if (!w)
        return;
    char of[32] = "";
    if (tag)
        snprintf(of, sizeof of, " with tag %d", *tag);
    w->tag = tag ? *tag : -1;
    w->sent = sent;
    w->received = received;
    w->in_flight = in_flight;
    uint64_t wrong = kind == WC_WITNESS_ORPHAN  ? received - sent
                     : kind == WC_WITNESS_TWICE ? in_flight - (sent - received)
                                                : sent - received - in_flight;
    snprintf(w->text, sizeof w->text,
             "no consistent cut: rank %u has sent %" PRIu64
             " messages to rank %u, which has received %" PRIu64 ", and %" PRIu64
             " are in flight: %" PRIu64 " %s%s (communicator %016" PRIx64
             "%s; the records are in steps %" PRIu64 " and %" PRIu64 ")",
             source, sent, destination, received, in_flight, wrong, wrong == 1 ? "is " : "are ",
             why[kind], comm, of, w->source_step, w->destination_step);
}

/* ---- counters ---- */

static wc_status check_counters(check *c) {
    wc_counter_row *rows;
    size_t count;
    wc_status status = wc_reader_counters(c->reader, &rows, &count, c->error);
    if (status != WC_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        const wc_counter_row *r = &rows[i];
        bool known = r->source < c->reader->head.ranks && r->destination < c->reader->head.ranks;
        if (known && (r->received > r->sent || r->sent - r->received != r->in_flight))
            add_counts(c, r->comm, r->source, r->destination, NULL, r->sent, r->received,
                       r->in_flight);
    }
    free(rows);
    return WC_OK;
}

/* ---- streams ---- */

static size_t hash(uint64_t comm, uint32_t source, uint32_t destination, int32_t tag) {
    uint64_t x = comm ^ ((uint64_t)source << 32 | destination) * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 31 ^ (uint32_t)tag) * UINT64_C(0xBF58476D1CE4E5B9);
    return (size_t)(x ^ x >> 29);
}

static stream *slot_of(stream *streams, size_t room, uint64_t comm, uint32_t source,
                       uint32_t destination, int32_t tag) {
    for (size_t i = hash(comm, source, destination, tag) & (room - 1);; i = (i + 1) & (room - 1)) {
        stream *s = &streams[i];
        if (!s->used || (s->comm == comm && s->source == source && s->destination == destination &&
                         s->tag == tag))
            return s;
    }
}

static bool make_room(check *c) {
    if (2 * c->count < c->room)
        return true;
    size_t room = c->room ? 2 * c->room : 1024;
    stream *more = calloc(room, sizeof *more);
    if (!more)
        return false;
    for (size_t i = 0; i < c->room; i++) {
        const stream *s = &c->streams[i];
        if (s->used)
            *slot_of(more, room, s->comm, s->source, s->destination, s->tag) = *s;
    }
    free(c->streams);
    c->streams = more;
    c->room = room;
    return true;
}

static wc_status no_memory(const check *c) {
    return wc_error_set(c->error, WC_ERR_MEMORY, "no memory to verify %.300s", c->reader->path);
}

/* NULL: no memory. */
static stream *stream_of(check *c, uint64_t comm, uint32_t source, uint32_t destination,
                         int32_t tag) {
    if (!make_room(c)) {
        no_memory(c);
        return NULL;
    }
    stream *s = slot_of(c->streams, c->room, comm, source, destination, tag);
    if (!s->used) {
        *s = (stream){
            .comm = comm, .source = source, .destination = destination, .tag = tag, .used = true};
        c->count++;
    }
    return s;
}

static bool is_sound(const check *c, const wc_stream_row *r) {
    uint32_t ranks = c->reader->head.ranks;
    return r->rank < ranks && r->peer < ranks &&
           (r->kind == WC_EVENT_SEND || r->kind == WC_EVENT_RECEIVE);
}

static wc_status take_streams(check *c) {
    wc_stream_row *rows;
    size_t count;
    wc_status status = wc_reader_streams(c->reader, &rows, &count, c->error);
    if (status != WC_OK)
        return status;
    for (size_t i = 0; i < count && status == WC_OK; i++) {
        const wc_stream_row *r = &rows[i];
        bool sent = r->kind == WC_EVENT_SEND;
        if (!is_sound(c, r)) {
            status =
                wc_reader_damaged(c->reader, c->error, "/trace/streams: row %zu is of none", i);
            break;
        }
        stream *s =
            stream_of(c, r->comm, sent ? r->rank : r->peer, sent ? r->peer : r->rank, r->tag);
        if (!s) {
            status = c->error->status;
            break;
        }
        *(sent ? &s->has_sent : &s->has_received) = true;
        *(sent ? &s->sent : &s->received) = r->count;
    }
    free(rows);
    return status;
}

static wc_status take_messages(check *c) {
    wc_message_row *rows;
    size_t count;
    wc_status status = wc_reader_messages(c->reader, &rows, &count, c->error);
    if (status != WC_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        const wc_message_row *m = &rows[i];
        stream *s = stream_of(c, m->comm, m->source, m->destination, m->tag);
        if (!s) {
            status = c->error->status;
            break;
        }
        s->in_flight++;
    }
    free(rows);
    return status;
}

/* A communicator that one end has freed has no row there. */
static void check_streams(check *c) {
    for (size_t i = 0; i < c->room; i++) {
        const stream *s = &c->streams[i];
        if (s->has_sent && s->has_received &&
            (s->received > s->sent || s->sent - s->received != s->in_flight))
            add_counts(c, s->comm, s->source, s->destination, &s->tag, s->sent, s->received,
                       s->in_flight);
    }
}

/* ---- events ---- */

static wc_status read_index(check *c) {
    size_t count;
    uint64_t next = 0;
    wc_status status = wc_reader_event_index(c->reader, &c->index, &count, c->error);
    if (status != WC_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        if (c->index[i].first != next || c->index[i].count > UINT64_MAX - next)
            return wc_reader_damaged(
                c->reader, c->error,
                "/trace/index: rank %zu doesn't begin where the one before ends", i);
        next += c->index[i].count;
    }
    if (next != c->reader->tables[WC_TABLE_EVENTS].count)
        return wc_reader_damaged(c->reader, c->error,
                                 "/trace/index: the ranks have %" PRIu64 " events of %" PRIu64,
                                 next, c->reader->tables[WC_TABLE_EVENTS].count);
    return WC_OK;
}

typedef wc_status take_event(check *c, uint32_t rank, uint64_t place, const wc_event_row *e);

/* All events of a rank, in order; `place`: from 0. */
static wc_status each_event(check *c, uint32_t rank, take_event *take) {
    const wc_event_index_row *row = &c->index[rank];
    wc_status status = WC_OK;
    for (uint64_t at = 0; at < row->count && status == WC_OK; at += WINDOW) {
        size_t n = row->count - at < WINDOW ? (size_t)(row->count - at) : WINDOW;
        status = wc_reader_events_at(c->reader, row->first + at, n, c->window, c->error);
        for (size_t i = 0; i < n && status == WC_OK; i++)
            status = take(c, rank, at + i, &c->window[i]);
    }
    return status;
}

static wc_status take_send(check *c, const wc_event_row *e) {
    stream *s = stream_of(c, e->comm, e->rank, e->peer, e->tag);
    if (!s)
        return c->error->status;
    if (s->traced && e->sequence != s->next)
        return wc_reader_damaged(c->reader, c->error,
                                 "/trace/events: behind message %" PRIu64
                                 " from rank %u to rank %u, tag %d, comes message %" PRIu64,
                                 s->next - 1, e->rank, e->peer, e->tag, e->sequence);
    uint64_t records = c->traced[e->rank].records;
    if (!s->traced || s->records != records)
        s->after = e->sequence;
    s->traced = true;
    s->records = records;
    s->next = e->sequence + 1;
    return WC_OK;
}

/* First pass: records and sends. */
static wc_status note_event(check *c, uint32_t rank, uint64_t place, const wc_event_row *e) {
    if (e->rank != rank || e->peer >= c->reader->head.ranks || e->kind < WC_EVENT_SEND ||
        e->kind >= WC_EVENT_KINDS)
        return wc_reader_damaged(c->reader, c->error,
                                 "/trace/events: event %" PRIu64 " of rank %u is none", place,
                                 rank);
    traced_rank *t = &c->traced[rank];
    if (e->kind == WC_EVENT_RECORD) {
        t->records++;
        t->record = place;
    }
    return e->kind == WC_EVENT_SEND ? take_send(c, e) : WC_OK;
}

/* The first message of a stream that was sent behind its sender's record; UINT64_MAX: not known. */
static uint64_t first_after(const check *c, const stream *s) {
    const traced_rank *sender = &c->traced[s->source];
    bool had =
        sender->records || c->index[s->source].dropped; /* the record, before the last events */
    if (s->traced && had)
        return s->records == sender->records ? s->after : s->next;
    return s->has_sent ? s->sent : UINT64_MAX;
}

/* Second pass: receives before the record. */
static wc_status judge_event(check *c, uint32_t rank, uint64_t place, const wc_event_row *e) {
    if (e->kind != WC_EVENT_RECEIVE || place > c->traced[rank].record || e->sequence == UINT64_MAX)
        return WC_OK;
    const stream *s = stream_of(c, e->comm, e->peer, rank, e->tag);
    if (!s)
        return c->error->status;
    if (e->sequence >= first_after(c, s))
        add_orphan(c, e);
    return WC_OK;
}

static wc_status check_events(check *c) {
    uint32_t ranks = c->reader->head.ranks, recorded = 0;
    wc_status status = read_index(c);
    for (uint32_t i = 0; i < ranks && status == WC_OK; i++)
        status = each_event(c, i, note_event);
    for (uint32_t i = 0; i < ranks && status == WC_OK; i++) {
        recorded += c->traced[i].records > 0;
        if (c->traced[i].records)
            status = each_event(c, i, judge_event);
    }
    c->result->events = c->reader->tables[WC_TABLE_EVENTS].count;
    c->result->traced = recorded == ranks;
    return status;
}

static wc_status check_trace(check *c) {
    uint32_t ranks = c->reader->head.ranks;
    c->traced = calloc(ranks, sizeof *c->traced);
    c->window = malloc(WINDOW * sizeof *c->window);
    if (!c->traced || !c->window || !make_room(c))
        return no_memory(c);
    wc_status status = take_streams(c);
    if (status == WC_OK)
        status = take_messages(c);
    if (status == WC_OK)
        status = check_events(c);
    if (status == WC_OK)
        check_streams(c);
    return status;
}

wc_status wc_reader_consistency(wc_reader *r, wc_consistency *result, wc_error *error) {
    check c = {.reader = r, .result = result, .error = error};
    size_t count;
    *result = (wc_consistency){0};
    wc_status status = wc_reader_ranks(r, &c.ranks, &count, error);
    if (status == WC_OK && r->tables[WC_TABLE_EVENT_INDEX].count)
        status = check_trace(&c); /* first: it names messages */
    if (status == WC_OK)
        status = check_counters(&c);
    free(c.ranks);
    free(c.index);
    free(c.traced);
    free(c.streams);
    free(c.window);
    return status;
}
