/* SPDX-License-Identifier: BSD-3-Clause */
#include "trace.h"

#include "layer.h"

#include <stdlib.h>
#include <time.h>

#define UNKNOWN UINT64_MAX

#ifndef WC_TRACE_STREAMS
#define WC_TRACE_STREAMS 65536 /* at most */
#endif

/* A receive from its posting until its place in its stream is known. */
typedef struct wc_traced {
    const wc_comm *comm;
    int source, tag;                 /* wanted */
    wc_stream *stream;               /* T's; NULL: any, and not handed over yet */
    uint64_t place;                  /* in the stream; UNKNOWN */
    uint64_t event;                  /* of its hand-over; UNKNOWN: open */
    struct wc_traced *before, *next; /* in posting order */
} wc_traced;

/* Of the streams of this room (not the core's): `sent` and `known` count messages sent and handed over since the run began,
 * `handed` is the next place of a receive, `cut_handed` what was counted at the record. */
static WC_PROCESS struct {
    wc_trace_event *ring;
    size_t room;
    uint64_t total; /* events so far; number n is in ring[n % room] */
    wc_streams streams[WC_DIRECTIONS];
    wc_channels channels[WC_DIRECTIONS];
    wc_traced *first, *last;
    size_t wild;    /* open ones of any source or tag */
    size_t pending; /* handed over, and their place isn't known */
    bool ended;
} T;

static void set_traced(bool traced) {
    L.traced = traced;
    L.slow_only = traced || L.watched;
    wc_layer_update();
}

/* ---- events ---- */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t add(wc_trace_event event) {
    event.time = now();
    T.ring[T.total % T.room] = event;
    return T.total++;
}

/* NULL: it is not there any more. */
static wc_trace_event *event_of(uint64_t number) {
    return T.total - number <= T.room ? &T.ring[number % T.room] : NULL;
}

size_t wc_trace_events(void) {
    return T.total < T.room ? (size_t)T.total : T.room;
}

uint64_t wc_trace_dropped(void) {
    return T.total - wc_trace_events();
}

const wc_trace_event *wc_trace_event_at(size_t i) {
    return &T.ring[(wc_trace_dropped() + i) % T.room];
}

/* ---- streams ---- */

static void free_receives(void) {
    while (T.first) {
        wc_traced *t = T.first;
        T.first = t->next;
        free(t);
    }
    T.last = NULL;
    T.wild = T.pending = 0;
}

static void free_streams(void) {
    for (int d = 0; d < WC_DIRECTIONS; d++) {
        wc_streams_free(&T.streams[d]);
        wc_channels_free(&T.channels[d]);
    }
}

/* Each stream has a number for the whole run. There are too many: without numbers a trace is none. */
static void end_trace(void) {
    free_receives();
    free_streams();
    T.room = 0;
    T.ended = true;
    set_traced(false);
}

bool wc_trace_has_ended(void) {
    return T.ended;
}

static wc_stream *stream_of(wc_comm *comm, wc_direction direction, int peer, int tag) {
    return wc_stream_get(&T.streams[direction], &T.channels[direction], comm, peer, tag);
}

static bool are_too_many(void) {
    return T.streams[WC_IN].count + T.streams[WC_OUT].count > WC_TRACE_STREAMS;
}

void wc_trace_count(wc_comm *comm, int direction, int peer, int tag, uint64_t n) {
    wc_stream *s = stream_of(comm, (wc_direction)direction, peer, tag);
    s->sent += direction == WC_OUT ? n : 0;
    s->known += direction == WC_IN ? n : 0;
    s->handed = s->known;
}

void wc_trace_forget(const wc_comm *comm) {
    for (int d = 0; d < WC_DIRECTIONS; d++)
        wc_streams_drop_comm(&T.streams[d], &T.channels[d], comm);
}

static void note_cut(void) {
    WC_EACH(&T.streams[WC_OUT], wc_stream, out) out->cut_handed = out->sent;
    WC_EACH(&T.streams[WC_IN], wc_stream, in) in->cut_handed = in->known;
}

/* One of a freed communicator need not be there at the other end. */
static size_t list_streams(int direction, wc_trace_stream *list, size_t n, size_t room) {
    WC_EACH(&T.streams[direction], wc_stream, s) {
        int peer = wc_core_job_rank(&L.core, s->channel);
        if (peer < 0 || s->comm->freed)
            continue;
        if (n++ < room)
            list[n - 1] = (wc_trace_stream){.comm = s->comm->uid,
                                            .peer = peer,
                                            .tag = s->tag,
                                            .out = direction == WC_OUT,
                                            .count = s->cut_handed};
    }
    return n;
}

size_t wc_trace_streams(wc_trace_stream *list, size_t room) {
    return list_streams(WC_IN, list, list_streams(WC_OUT, list, 0, room), room);
}

/* ---- sends ---- */

static uint64_t add_message(wc_trace_kind kind, const wc_stream *s, uint64_t sequence,
                            uint64_t bytes) {
    int peer = wc_core_job_rank(&L.core, s->channel);
    return add((wc_trace_event){.kind = peer < 0 ? WC_TRACE_NOTHING : kind,
                                .peer = peer,
                                .tag = s->tag,
                                .comm = s->comm->uid,
                                .sequence = sequence,
                                .bytes = bytes});
}

void wc_trace_send(const wc_stream *stream, uint64_t bytes) {
    wc_stream *s = stream_of(stream->comm, WC_OUT, stream->peer, stream->tag);
    add_message(WC_TRACE_SEND, s, s->sent++, bytes);
    if (are_too_many())
        end_trace();
}

void wc_trace_take_back(const wc_stream *stream) {
    wc_stream *s = stream_of(stream->comm, WC_OUT, stream->peer, stream->tag);
    s->sent--;
    for (size_t i = wc_trace_events(); i > 0; i--) {
        wc_trace_event *e = event_of(wc_trace_dropped() + i - 1);
        if (e->kind == WC_TRACE_SEND && e->comm == s->comm->uid && e->tag == s->tag &&
            e->peer == wc_core_job_rank(&L.core, s->channel) && e->sequence == s->sent) {
            e->kind = WC_TRACE_NOTHING;
            return;
        }
    }
}

/* ---- receives ---- */

static void take_out(wc_traced *t) {
    *(t->before ? &t->before->next : &T.first) = t->next;
    *(t->next ? &t->next->before : &T.last) = t->before;
    free(t);
}

/* Has an earlier one perhaps taken a message of its stream? */
static bool is_blocked(const wc_traced *t) {
    const wc_stream *s = t->stream;
    const wc_traced *e = T.wild ? T.first : t;
    while (e != t &&
           (e->stream || e->comm != s->comm || (e->source != WC_ANY && e->source != s->peer) ||
            (e->tag != WC_ANY && e->tag != s->tag)))
        e = e->next;
    return e != t;
}

/* It has got a message, and is not blocked: so those of its stream that were posted before have got the messages before. */
static void settle(wc_traced *t) {
    for (wc_traced *e = T.first; t->place == UNKNOWN; e = e->next)
        if (e->stream == t->stream && e->place == UNKNOWN)
            e->place = t->stream->handed++;
    wc_trace_event *event = event_of(t->event);
    if (event)
        event->sequence = t->place;
    take_out(t);
}

/* One of any source or tag is not open any more. */
static void settle_pending(void) {
    T.wild--;
    wc_traced *next;
    for (wc_traced *t = T.pending ? T.first : NULL; t; t = next) {
        next = t->next;
        if (t->event == UNKNOWN || is_blocked(t))
            continue;
        T.pending--;
        settle(t);
    }
}

void wc_trace_posted(wc_request *r) {
    wc_traced *t = r->traced = wc_core_alloc(sizeof *t);
    *t = (wc_traced){.comm = r->recv.comm,
                     .source = r->recv.source,
                     .tag = r->recv.tag,
                     .place = UNKNOWN,
                     .event = UNKNOWN,
                     .before = T.last};
    if (t->source != WC_ANY && t->tag != WC_ANY)
        t->stream = stream_of(r->recv.comm, WC_IN, t->source, t->tag);
    T.wild += !t->stream;
    *(T.last ? &T.last->next : &T.first) = t;
    T.last = t;
    if (are_too_many())
        end_trace();
}

void wc_trace_cancelled(wc_request *r) {
    bool wild = !r->traced->stream;
    take_out(r->traced);
    if (wild)
        settle_pending();
}

/* MPI tells elements of a type; bytes are elements of MPI_BYTE. */
static uint64_t bytes_of(const wc_request *r) {
    MPI_Count bytes = 0;
    if (r->recv.message)
        return r->recv.message->bytes;
    PMPI_Get_elements_x(&r->status, MPI_BYTE, &bytes);
    return bytes > 0 ? (uint64_t)bytes : 0;
}

void wc_trace_received(wc_request *r, int source, int tag) {
    wc_traced *t = r->traced;
    bool wild = !t->stream;
    if (wild)
        t->stream = stream_of(r->recv.comm, WC_IN, source, tag);
    t->stream->known++;
    t->event = add_message(WC_TRACE_RECEIVE, t->stream, UNKNOWN, bytes_of(r));
    T.pending++;
    if (wild) {
        settle_pending();
    } else if (!is_blocked(t)) {
        T.pending--;
        settle(t);
    }
    if (are_too_many())
        end_trace();
}

/* ---- the snapshot ---- */

void wc_trace_marker(wc_trace_kind kind, const wc_comm *comm, int peer) {
    add((wc_trace_event){.kind = kind,
                         .peer = wc_layer_port.job_rank(NULL, comm, peer),
                         .tag = -1,
                         .comm = comm->uid,
                         .sequence = L.core.attempt});
}

void wc_trace_phase(wc_trace_kind kind) {
    if (kind == WC_TRACE_RECORD)
        note_cut();
    add((wc_trace_event){
        .kind = kind, .peer = L.core.config.rank, .tag = -1, .sequence = L.core.attempt});
}

/* ---- begin and end ---- */

bool wc_trace_open(size_t events) {
    T.ring = malloc(events * sizeof *T.ring);
    T.room = T.ring ? events : 0;
    wc_streams_init(&T.streams[WC_IN], WC_IN);
    wc_streams_init(&T.streams[WC_OUT], WC_OUT);
    return T.ring;
}

static int by_order(const void *a, const void *b) {
    const wc_recv *x = *(wc_recv *const *)a, *y = *(wc_recv *const *)b;
    return x->order < y->order ? -1 : 1;
}

void wc_trace_begin(void) {
    size_t posted = wc_request_list(NULL, 0), n = posted + wc_matched_list(NULL, 0);
    wc_recv **list = wc_core_alloc((n + 1) * sizeof *list);
    wc_request_list(list, posted); /* those of the FAST way have given back their places now */
    wc_matched_list(list + posted, n - posted);
    qsort(list, n, sizeof *list, by_order);
    WC_EACH(&L.core.out_streams, wc_stream, out)
    wc_trace_count(out->comm, WC_OUT, out->peer, out->tag, out->sent);
    WC_EACH(&L.core.in_streams, wc_stream, in)
    wc_trace_count(in->comm, WC_IN, in->peer, in->tag, in->handed);
    if (are_too_many())
        end_trace();
    for (size_t i = 0; i < n && !T.ended; i++)
        wc_trace_posted((wc_request *)list[i]);
    free(list);
    if (!T.ended)
        set_traced(true);
}

void wc_trace_close(void) {
    if (L.traced)
        set_traced(false);
    free_receives();
    free_streams();
    free(T.ring);
    T.ring = NULL;
    T.room = 0;
}
