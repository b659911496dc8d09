/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Communicators, channels and streams as one rank sees them.
 *
 * A channel is (communicator, peer) in one direction; a stream is the part of it with one tag. MPI
 * keeps order within a stream and nowhere else (MPI 3.1, section 3.5), so messages are counted per
 * stream.
 */
#ifndef WC_CORE_STREAM_H
#define WC_CORE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WC_ANY (-1) /* any source, any tag */

#define WC_STREAM_CACHE 64 /* a power of two */

typedef enum wc_direction { WC_IN, WC_OUT, WC_DIRECTIONS } wc_direction;

/* Where the members of a communicator record, see clock.c. */
typedef struct wc_clock {
    uint64_t attempt; /* to which the rest belongs */
    uint64_t begun;   /* collectives that make no communicators, when it began here */
    int64_t begun_at; /* ns */
    uint64_t before;  /* the same of an attempt before, with some between */
    int64_t before_at;
    uint64_t seen;    /* count, as last looked at */
    int64_t moved_at; /* when it was seen to grow */
    uint64_t most;    /* of those below in the tree */
    uint64_t target;  /* count at the record */
    uint64_t ahead;   /* collectives until then, as foreseen */
    int children;     /* that have told their counts */
    bool told;        /* this rank has */
    bool known;       /* the target is */
} wc_clock;

typedef struct wc_comm {
    uint64_t uid;         /* the same on all members, and again after a restart */
    int rank, size;       /* in this rank's group */
    int remote_size;      /* of the other group of an intercommunicator; 0: there is none */
    bool second;          /* where all members are in one order, the other group comes first */
    bool freed;           /* the application has let go of it */
    bool freed_by_peer;   /* another member has told so */
    bool outside;         /* has members outside the job: can't be part of a snapshot */
    uint64_t collectives; /* entered; the same as completed when none is outstanding */
    uint64_t creations;   /* communicators made from it so far */
    wc_clock clock;
    struct wc_comm *next;
    struct wc_stream
        *cache[WC_DIRECTIONS][WC_STREAM_CACHE]; /* used lately; see wc_streams_forget */
} wc_comm;

/* Peers, which messages come from and go to, are those of the other group if there is one. */
static inline int wc_comm_peers(const wc_comm *comm) {
    return comm->remote_size ? comm->remote_size : comm->size;
}

/* All members, and this rank's place among them. */
static inline int wc_comm_members(const wc_comm *comm) {
    return comm->size + comm->remote_size;
}

static inline int wc_comm_member(const wc_comm *comm) {
    return comm->rank + (comm->second ? comm->remote_size : 0);
}

/* That of a peer. */
static inline int wc_comm_member_of(const wc_comm *comm, int peer) {
    return peer + (comm->remote_size && !comm->second ? comm->size : 0);
}

typedef struct wc_channel {
    wc_comm *comm;
    int peer;
    int tag;      /* unused, 0: so that channels and streams share a table */
    bool used;    /* out: has sent since the last marker; in: has ever received or been announced */
    bool marked;  /* out: marker sent in this attempt */
    bool closed;  /* in: marker arrived in this attempt */
    bool located; /* job_rank is known */
    int job_rank; /* of the peer; -1: takes no part in the job */
    uint64_t settled;          /* in: messages of streams that have been dropped from the table */
    struct wc_stream *streams; /* all of this channel, through `sibling` */
} wc_channel;

typedef struct wc_stream {
    wc_comm *comm;
    int peer, tag;
    wc_channel *channel;
    struct wc_stream *sibling;
    /* sender */
    uint64_t sent; /* since the last marker */
    /* receiver; all absolute since the stream was made */
    int64_t open;    /* receives with a position in the stream that are not handed over, less those
                      * handed over without    one: the next position is handed + open + 1 */
    uint64_t handed; /* messages handed to the application */
    uint64_t known;  /* messages that markers have told of, and those that a restart brought */
    uint64_t cut_handed; /* handed at the record */
    uint64_t stashed;    /* in the stash */
    uint64_t in_cut;     /* messages of the cut's channel state found so far */
    uint32_t pinned;     /* persistent requests that refer to it: it stays */
} wc_stream;

typedef struct wc_streams {
    wc_direction direction;
    void **slots; /* open addressing */
    size_t mask, count;
} wc_streams;

typedef struct wc_channels {
    void **slots;
    size_t mask, count;
} wc_channels;

void wc_streams_init(wc_streams *streams, wc_direction direction);
/* Empties a communicator's cache: never NULL, a dummy that matches nothing fills the gaps. */
void wc_streams_forget(wc_comm *comm);
void wc_streams_free(wc_streams *streams);
void wc_channels_free(wc_channels *channels);

/* Finds or makes. Never NULL: memory this small that is missing ends the process with a message. */
wc_stream *wc_stream_get(wc_streams *streams, wc_channels *channels, wc_comm *comm, int peer,
                         int tag);
wc_channel *wc_channel_get(wc_channels *channels, wc_comm *comm, int peer);

/* Drops the streams for which `settled` says yes; their `handed` messages stay counted in the
 * channel. */
void wc_streams_drop(wc_streams *streams, bool (*settled)(const wc_stream *));

/* All of one communicator. The channels go with the streams of their direction. */
void wc_streams_drop_comm(wc_streams *streams, wc_channels *channels, const wc_comm *comm);

/* Nine is odd, so that small numbers of peers and tags spread. */
static inline wc_stream **wc_stream_slot(wc_comm *comm, wc_direction direction, int peer, int tag) {
    return &comm->cache[direction][((unsigned)peer * 9u + (unsigned)tag) & (WC_STREAM_CACHE - 1)];
}

/* The hot path: a look into the cache. NULL: it isn't there. */
static inline wc_stream *wc_stream_look(wc_comm *comm, wc_direction direction, int peer, int tag) {
    wc_stream *s = *wc_stream_slot(comm, direction, peer, tag);
    return __builtin_expect(s->peer == peer && s->tag == tag, 1) ? s : NULL;
}

static inline wc_stream *wc_stream_find(wc_streams *streams, wc_channels *channels, wc_comm *comm,
                                        int peer, int tag) {
    wc_stream *s = wc_stream_look(comm, streams->direction, peer, tag);
    if (!s) {
        s = wc_stream_get(streams, channels, comm, peer, tag);
        *wc_stream_slot(comm, streams->direction, peer, tag) = s;
    }
    return s;
}

#define WC_EACH(table, type, var)                                                                  \
    for (size_t var##_i = 0; (table)->slots && var##_i <= (table)->mask; var##_i++)                \
        for (type *var = (table)->slots[var##_i]; var; var = NULL)

/* malloc, realloc that end the process with a message: for the few bytes that bookkeeping needs. */
void *wc_core_alloc(size_t bytes);
void *wc_core_grow(void *old, size_t bytes);

#endif
