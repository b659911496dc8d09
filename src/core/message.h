/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages that are in the library's hands, and receives that wait for some.
 */
#ifndef WC_CORE_MESSAGE_H
#define WC_CORE_MESSAGE_H

#include "stream.h"

/* A message that was pulled out of MPI, copied at its hand-over, or brought back by a restart.
 * Counted: the stash, a receive and the cut may hold it at once. */
typedef struct wc_message {
    wc_comm *comm;
    int source, tag;
    uint64_t bytes;
    void *data; /* packed bytes, malloc'd, when `arrived` or arriving aside; may be NULL for 0 bytes
                 */
    void *handle;   /* the port's: a matched message that was not received yet; NULL: none */
    void *arriving; /* the port's: a reception into `data` under way; NULL: none */
    uint32_t holders;
    bool arrived;   /* `data` is complete */
    bool held;      /* from behind the marker of a channel whose receiver has not recorded */
    bool tentative; /* in the cut only if its channel's marker comes */
    bool in_cut;
    uint64_t index;          /* position in its stream (aligned), 0: not known, or from the stash */
    uint64_t order;          /* place in the cut: see sort_cut in frame.c */
    struct wc_message *next; /* in the stash */
} wc_message;

typedef enum wc_recv_state {
    WC_RECV_NATIVE, /* posted to MPI, or matched by MPI */
    WC_RECV_SOFT,   /* waits in the software queue */
    WC_RECV_BOUND,  /* matched a message that is not ready: held, or still arriving aside */
    WC_RECV_FILLING /* its message is being put into the application's buffer; MPI completes it */
} wc_recv_state;

/* A receive between its start and its hand-over. */
typedef struct wc_recv {
    wc_comm *comm;
    int source, tag;      /* wanted; WC_ANY */
    wc_stream *stream;    /* NULL with wildcards */
    uint64_t order;       /* position among this rank's receives, in posting order */
    uint64_t index;       /* position in its stream, 0: not known (aligned) */
    uint8_t state;        /* wc_recv_state */
    bool inside;          /* of a blocking call: the application has no request for it */
    bool handed;          /* its data were handed over (MPI_Request_get_status) */
    bool cancelled;       /* by the application: stays with MPI */
    bool log;             /* natively matched before the record: copy it when it completes */
    bool judged;          /* natively matched, and known to be in the cut or not */
    bool tentative;       /* `log`, if the channel's marker comes */
    uint64_t cut_order;   /* of what is logged */
    bool slotted;         /* its position waits for wildcards: see counted.c */
    wc_message *message;  /* what it matched, when that came through the library */
    struct wc_recv *next; /* in the software queue, oldest first */
} wc_recv;

static inline bool wc_recv_matches(const wc_recv *r, const wc_comm *comm, int source, int tag) {
    return r->comm == comm && (r->source == WC_ANY || r->source == source) &&
           (r->tag == WC_ANY || r->tag == tag);
}

/* A growing list of messages; holds each. */
typedef struct wc_messages {
    wc_message **at;
    size_t count, room;
} wc_messages;

wc_message *wc_message_new(wc_comm *comm, int source, int tag, uint64_t bytes);
wc_message *wc_message_hold(wc_message *m);
void wc_message_drop(wc_message *m); /* frees with the last holder; NULL is fine */

void wc_messages_add(wc_messages *list, wc_message *m);
void wc_messages_clear(wc_messages *list);

#endif
