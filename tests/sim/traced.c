/* SPDX-License-Identifier: BSD-3-Clause */
/* The trace of each rank against the vector clocks that the programs carry in their messages: of each cut, the clocks that follow from
 * the events alone must be those that the ranks had at their records. */
#include "sim.h"

#include "mpi/layer.h"

#include <stdlib.h>
#include <string.h>

enum { EVENTS = 16384 }; /* of a rank */

typedef struct told {
    wc_trace_event *events; /* up to the record */
    size_t count;
    uint64_t (*clocks)[SIM_RANKS]; /* behind each event; all zero: not known yet */
    wc_trace_stream *streams;
    size_t stream_count;
    uint64_t clock[SIM_RANKS]; /* the program's */
} told;

static told open[SIM_RANKS], last[SIM_RANKS];
static bool ended, off; /* the trace of some rank; of all, after a restart from there */
static int told_by;
static uint64_t base[SIM_RANKS]; /* events before the restart */

static void clear(told *ranks) {
    for (int i = 0; i < SIM_RANKS; i++) {
        free(ranks[i].events);
        free(ranks[i].clocks);
        free(ranks[i].streams);
        ranks[i] = (told){0};
    }
}

void sim_traced_clear(void) {
    clear(open);
    clear(last);
    told_by = 0;
    memset(base, 0, sizeof base);
    ended = off = false;
}

void sim_traced_begin(void) {
    const told *t = &last[me->rank];
    if (!J.options.traced || off)
        return;
    wc_trace_open(EVENTS);
    for (size_t i = 0; i < t->stream_count && J.restarted; i++) {
        const wc_trace_stream *s = &t->streams[i];
        wc_mpi_comm *c = wc_comm_by_uid(s->comm);
        for (int peer = 0; c && peer < wc_comm_peers(&c->core); peer++)
            if (wc_layer_port.job_rank(NULL, &c->core, peer) == s->peer)
                wc_trace_count(&c->core, s->out ? WC_OUT : WC_IN, peer, s->tag, s->count);
    }
    wc_trace_begin();
}

void sim_traced_restart(void) {
    clear(open);
    told_by = 0;
    off = off || ended;
    for (int i = 0; i < J.ranks; i++)
        base[i] = last[i].clock[i];
}

/* ---- the clocks that follow from the events ---- */

static const wc_trace_event *send_of(const wc_trace_event *receive, int rank, const told *sender,
                                     size_t *place) {
    for (size_t i = 0; i < sender->count; i++) {
        const wc_trace_event *e = &sender->events[i];
        if (e->kind != WC_TRACE_SEND || e->peer != rank || e->comm != receive->comm ||
            e->tag != receive->tag || e->sequence != receive->sequence)
            continue;
        *place = i;
        return e;
    }
    return NULL;
}

/* False: its send has no clock yet. */
static bool take_event(int rank, size_t i) {
    told *t = &open[rank];
    const wc_trace_event *e = &t->events[i];
    uint64_t *clock = t->clocks[i];
    const uint64_t *before = i ? t->clocks[i - 1] : (uint64_t[SIM_RANKS]){0};
    size_t place;
    const wc_trace_event *send =
        e->kind == WC_TRACE_RECEIVE ? send_of(e, rank, &open[e->peer], &place) : NULL;
    const uint64_t *sent = send ? open[e->peer].clocks[place] : NULL;
    if (send && !sent[e->peer])
        return false;
    if (send && send->bytes != e->bytes)
        sim_problem("trace: message %llu from %d to %d, tag %d, has %llu bytes and %llu",
                    (unsigned long long)e->sequence, e->peer, rank, e->tag,
                    (unsigned long long)send->bytes, (unsigned long long)e->bytes);
    for (int k = 0; k < J.ranks; k++)
        clock[k] = sent && sent[k] > before[k] ? sent[k] : before[k];
    clock[rank]++;
    return true;
}

static void compute(void) {
    size_t next[SIM_RANKS] = {0};
    bool moved = true;
    while (moved) {
        moved = false;
        for (int rank = 0; rank < J.ranks; rank++)
            while (next[rank] < open[rank].count && take_event(rank, next[rank])) {
                next[rank]++;
                moved = true;
            }
    }
    for (int rank = 0; rank < J.ranks; rank++)
        if (next[rank] < open[rank].count)
            sim_problem("trace: event %zu of rank %d has no past", next[rank], rank);
}

static void judge(void) {
    compute();
    for (int rank = 0; rank < J.ranks && !J.problem[0]; rank++) {
        const told *t = &open[rank];
        for (int k = 0; k < J.ranks; k++) {
            uint64_t known = t->clock[k] > base[k] ? t->clock[k] - base[k] : 0;
            uint64_t found = t->count ? t->clocks[t->count - 1][k] : 0;
            if (known != found)
                sim_problem(
                    "trace: at its record rank %d knows of %llu events of rank %d, not %llu", rank,
                    (unsigned long long)known, k, (unsigned long long)found);
        }
    }
    J.traces++;
}

/* ---- what each rank has ---- */

/* Up to the last record. False: the trace doesn't have all of it, or some places are not known. */
static bool keep_events(told *t) {
    size_t n = wc_trace_events();
    while (n > 0 && wc_trace_event_at(n - 1)->kind != WC_TRACE_RECORD)
        n--;
    bool whole = !wc_trace_dropped();
    t->events = malloc((n + 1) * sizeof *t->events);
    for (size_t i = 0; i < n; i++) {
        const wc_trace_event *e = wc_trace_event_at(i);
        if (e->kind != WC_TRACE_SEND && e->kind != WC_TRACE_RECEIVE)
            continue;
        whole = whole && e->sequence != UINT64_MAX;
        t->events[t->count++] = *e;
    }
    t->clocks = calloc(t->count + 1, sizeof *t->clocks);
    return whole;
}

void sim_traced_finished(void) {
    static bool whole;
    told *t = &open[me->rank];
    if (!J.options.traced || J.members < J.ranks || off)
        return;
    ended = ended || wc_trace_has_ended();
    J.ended += wc_trace_has_ended();
    whole = (told_by == 0 || whole) & keep_events(t);
    t->stream_count = wc_trace_streams(NULL, 0);
    t->streams = malloc((t->stream_count + 1) * sizeof *t->streams);
    wc_trace_streams(t->streams, t->stream_count);
    memcpy(t->clock, me->saved.clock, sizeof t->clock);
    if (++told_by < J.members)
        return;
    if (whole)
        judge();
    clear(last);
    memcpy(last, open, sizeof last);
    memset(open, 0, sizeof open);
    told_by = 0;
}
