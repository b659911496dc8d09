/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a rank of a watched program does and waits for, for `wavecut waits`. The application's thread
 * tells; another thread reads, and touches nothing else of the layer. Calls of a watched program all
 * take the SLOW way, so that the FAST one has no part in this.
 *
 * What is told is right at any time, or says that it may be old:
 *   - that a call has ended (or has begun and waits for nothing) is told at once, so two descriptions
 *     with the same `calls` mean: nothing in between
 *   - what a call waits for is told when it has begun to wait, and again when the reader asks and the
 *     call is one that looks (WC_WATCH_LOOKS); one that is inside MPI (WC_WATCH_NATIVE) can't change
 *   - counts are atomic, and never reset
 */
#ifndef WC_MPI_WATCH_H
#define WC_MPI_WATCH_H

#include <mpi.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wc_mpi_comm;
struct wc_stream;
struct wc_comm;

typedef enum wc_watch_state {
    WC_WATCH_OUTSIDE, /* the application computes */
    WC_WATCH_LOOKS,   /* in a call that looks whether it can go on, and answers */
    WC_WATCH_NATIVE,  /* in a call of MPI's own that waits */
    WC_WATCH_THREADS, /* more than one thread has called MPI: what is told is of none of them */
    WC_WATCH_ENDED    /* MPI_Finalize is over */
} wc_watch_state;

typedef enum wc_watch_kind {
    WC_WATCH_RECEIVE,    /* a message from `peer` with `tag` */
    WC_WATCH_SEND,       /* that `peer` receives */
    WC_WATCH_COLLECTIVE, /* the members of `comm`, in its collective `number` */
    WC_WATCH_FINALIZE,   /* all ranks, in MPI_Finalize */
    WC_WATCH_OTHER,      /* something that this layer doesn't follow */
    WC_WATCH_ARRIVED /* nothing: such a message is in a buffer of the application, which was not told yet */
} wc_watch_kind;

typedef struct wc_watch_item {
    uint32_t kind;
    int32_t peer; /* in MPI_COMM_WORLD; -1: any */
    int32_t tag;  /* -1: any */
    int32_t unused;
    uint64_t comm; /* its uid; 0: unknown */
    uint64_t number;
} wc_watch_item;

enum { WC_WATCH_ITEMS = 1024 };

typedef struct wc_watch_said {
    uint64_t calls;   /* that have been made */
    int64_t since;    /* in this state; ns, as wc_layer_now */
    const char *call; /* static; of LOOKS and NATIVE */
    uint32_t state;
    uint32_t any;   /* one of the items is enough; else all are needed */
    uint32_t count; /* of items */
    uint32_t more;  /* that it waits for besides */
    wc_watch_item items[WC_WATCH_ITEMS];
} wc_watch_said;

/* The messages of one stream since the communicator was made. */
typedef struct wc_watched_stream {
    int peer, tag; /* peer: in MPI_COMM_WORLD */
    bool out;      /* sent; else handed to the application */
    _Atomic uint64_t count;
    struct wc_watched_stream *next;
} wc_watched_stream;

/* A communicator that was used. */
typedef struct wc_watched_comm {
    uint64_t uid, parent, ordinal;
    int64_t colour;
    const char *how;
    int size;
    int *world;                   /* [size] ranks in MPI_COMM_WORLD */
    _Atomic uint64_t collectives; /* entered */
    _Atomic(wc_watched_stream *) streams;
    wc_watched_stream **slots; /* of the teller: open addressing */
    size_t mask, stream_count;
    bool freed;
    struct wc_watched_comm *next;
} wc_watched_comm;

/* ---- the reader's thread ---- */

/* The newest description. Fresh: true of this moment. False: a call looks, but has not answered within
 * `patience` ns. */
bool wc_watch_read(wc_watch_said *said, int64_t patience);
/* The communicators, until they are given back. */
const wc_watched_comm *wc_watch_comms(void);
void wc_watch_comms_done(void);
/* There are more streams than are counted. */
bool wc_watch_uncounted(void);

/* ---- the application's thread: all but wc_watch_start only while L.watched ---- */

void wc_watch_start(void); /* sets it */
void wc_watch_end(void);   /* in MPI_Finalize, when it is over; the reader may go on */

void wc_watch_touch(void); /* a call that waits for nothing */

/* Around a call that waits. Calls inside of it are a part of it. */
void wc_watch_receive(const char *call, int source, int tag, MPI_Comm comm);
void wc_watch_send(const char *call, int dest, int tag, MPI_Comm comm);
/* Sends, too: wc_watch_sent ends that part. */
void wc_watch_both(const char *call, int dest, int sendtag, int source, int recvtag, MPI_Comm comm);
void wc_watch_sent(void);
void wc_watch_requests(const char *call, bool any, int n, const MPI_Request requests[]);
/* Inside MPI: the latest collective of `c`; NULL: nobody knows for whom. */
void wc_watch_native(const char *call, struct wc_mpi_comm *c);
void wc_watch_finalize(void);
void wc_watch_leave(void);
void wc_watch_idle(void); /* nothing was ready */

/* Until the end of the block: WC_WATCHED(wc_watch_receive("MPI_Recv", source, tag, comm)); */
#define WC_WATCHED(begin)                                                                          \
    bool watched_ __attribute__((cleanup(wc_watch_end_of_block))) = L.watched;                     \
    if (watched_)                                                                                  \
    begin

static inline void wc_watch_end_of_block(const bool *watched) {
    if (*watched)
        wc_watch_leave();
}

/* What a request stands for that is no receive of the table. Each that is made must be told: handles
 * are used again. */
void wc_watch_request(MPI_Request handle, wc_watch_kind kind, const struct wc_stream *stream);
void wc_watch_collective_request(MPI_Request handle, struct wc_mpi_comm *c);

/* One message is sent (1), or was not, after all (-1). */
void wc_watch_count_sent(const struct wc_stream *stream, int change);
void wc_watch_count_handed(const struct wc_comm *comm, int source, int tag);
void wc_watch_forget(struct wc_mpi_comm *c); /* it is freed */

#endif
