/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the program has sent and received, and what the snapshot did in between: the newest events, in memory that is
 * bounded. A traced program's calls all take the SLOW way, so that the FAST one has no part in this.
 *
 * A message's sequence is its number in its stream. At the sender that is the order of the starting calls; at the receiver
 * the order in which the receives were posted (MPI 3.1, section 3.5), which is not that in which they are completed. Where a
 * receive of any source or tag was posted before and is not handed over, nobody knows yet: the event gets its sequence later.
 *
 * All but the first three are called only while L.traced.
 */
#ifndef WC_MPI_TRACE_H
#define WC_MPI_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wc_comm;
struct wc_mpi_comm;
struct wc_request;
struct wc_stream;

typedef enum wc_trace_kind {
    WC_TRACE_NOTHING, /* an event that was taken back */
    WC_TRACE_SEND,
    WC_TRACE_RECEIVE,
    WC_TRACE_MARKER_SENT,
    WC_TRACE_MARKER_RECEIVED,
    WC_TRACE_RECORD,
    WC_TRACE_ARMED,
    WC_TRACE_CLOSED
} wc_trace_kind;

typedef struct wc_trace_event {
    uint32_t kind;
    int32_t peer;      /* job rank; that of this rank where there is none */
    int32_t tag;       /* -1: none */
    uint64_t comm;     /* uid; 0: none */
    uint64_t sequence; /* of a message; UINT64_MAX: not known yet. Else the attempt's number */
    uint64_t bytes;
    double time; /* seconds since the epoch */
} wc_trace_event;

/* Memory for so many events. False: there is not so much. */
bool wc_trace_open(size_t events);
/* Sets L.traced. Sequences go on from what the core has counted. */
void wc_trace_begin(void);
void wc_trace_close(void);

/* A restart: `n` more messages of a stream were sent (WC_OUT) or received before. */
void wc_trace_count(struct wc_comm *comm, int direction, int peer, int tag, uint64_t n);

/* ---- what happens ---- */

void wc_trace_send(const struct wc_stream *stream, uint64_t bytes);
void wc_trace_take_back(const struct wc_stream *stream); /* its latest send: MPI has refused it */
void wc_trace_posted(struct wc_request *r);
void wc_trace_cancelled(struct wc_request *r);
void wc_trace_received(struct wc_request *r, int source, int tag);
void wc_trace_marker(wc_trace_kind kind, const struct wc_comm *comm, int peer);
void wc_trace_phase(wc_trace_kind kind);          /* record, armed, closed */
void wc_trace_forget(const struct wc_comm *comm); /* it is freed, and nothing is open on it */

/* ---- what is saved ---- */

/* What one end of a stream had counted at the record. */
typedef struct wc_trace_stream {
    uint64_t comm;
    int32_t peer, tag;
    bool out;
    uint64_t count;
} wc_trace_stream;

/* The events still there, oldest first: 0 to count - 1. */
size_t wc_trace_events(void);
const wc_trace_event *wc_trace_event_at(size_t i);
uint64_t wc_trace_dropped(void); /* events before those */
/* Returns how many streams there are. */
size_t wc_trace_streams(wc_trace_stream *list, size_t room);
/* There were more streams than are counted: the trace of this rank has ended, and is empty. */
bool wc_trace_has_ended(void);

#endif
