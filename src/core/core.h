/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The snapshot protocol for one rank: a state machine without MPI, I/O, clock or globals.
 *
 * What happens comes in as calls (events); what is to be done goes out through wc_port. Times are
 * passed in.
 *
 *   IDLE ──request heard──▶ AGREEING ──agreed──▶ AGREED ──record──▶ RECORDED
 *    ▲ ▲                       │void                                   │A
 *    │ └───────────────────────┘                                       ▼
 *    ├────────────B, after a void A──────────────────────────────── CLOSING
 *    │                                                                 │B
 *    │                                                                 ▼
 *    └──commit── COMMITTING ◀──wc_core_durable── WRITING ◀──all here── SETTLING
 *
 * A rank that can't give a valid record walks the same way with `vote` void.
 *
 * Invariants (asserted where they are named):
 *   I1  every rank enters AGREE, A, B and COMMIT of an attempt once each, in this order; a void AGREE
 *       ends the attempt at once, a void A ends it after B
 *   I2  a channel that was used before the record is marked before anything is sent on it after it
 *   I3  the cut of an attempt holds only messages handed to the application after the record
 *   I4  no receive is in the software queue while the rank is not armed
 *   I5  a held message is never handed over before the rank has recorded or given up
 *   I6  state changes only in set_state (frame.c)
 */
#ifndef WC_CORE_CORE_H
#define WC_CORE_CORE_H

#include "message.h"
#include "vote.h"

typedef enum wc_state {
    WC_STATE_IDLE,
    WC_STATE_AGREEING,
    WC_STATE_AGREED,
    WC_STATE_RECORDED,
    WC_STATE_CLOSING,
    WC_STATE_SETTLING,
    WC_STATE_WRITING,
    WC_STATE_COMMITTING
} wc_state;

typedef struct wc_core wc_core;

/* How many messages of one tag a channel has carried since its last marker. */
typedef struct wc_tag_count {
    int64_t tag;
    uint64_t count;
} wc_tag_count;

/* What a pull brought. */
typedef struct wc_pulled {
    int source, tag;
    uint64_t bytes;
    bool marker;  /* already received; nothing else to do */
    void *handle; /* of a message: the port's, passed to receive_into, receive_aside or taken by the
                     port */
} wc_pulled;

/* What the core asks of its surroundings. No call may call back into the core except where said. */
typedef struct wc_port {
    void *context;

    /* the frame */
    void (*spread)(void *context, uint64_t attempt,
                   int except); /* to tree neighbours but `except` (-1: all) */
    void (*enter)(void *context, wc_phase phase, const wc_vote *mine);
    bool (*reduced)(void *context, wc_phase phase, wc_vote *result); /* true once, when complete */

    /* Rank in the job of a peer on a communicator; -1: takes no part. */
    int (*job_rank)(void *context, const wc_comm *comm, int peer);

    /* markers */
    void (*send_counts)(void *context, const wc_comm *comm, int peer, uint64_t attempt,
                        const wc_tag_count *counts, size_t n);
    void (*send_marker)(void *context, const wc_comm *comm, int peer);
    void (*tell_clock)(void *context, const wc_comm *comm, int member, uint64_t attempt,
                       bool target, uint64_t value); /* a target, or a count */
    bool (*markers_received)(
        void *context); /* all counts and markers sent so far have been received */

    /* the record and what follows */
    wc_reason (*may_record)(void *context, int *peer, int *tag, const char **text); /* NONE: yes */
    void (*record)(void *context);       /* copies protected state */
    void (*all_recorded)(void *context); /* A is complete and valid: the state may be written */
    void (*settled)(void *context, bool valid); /* the cut is complete, or never will be */
    void (*finished)(void *context,
                     const wc_vote *outcome); /* the attempt is over; void_rank -1: committed */

    /* native receives */
    size_t (*native_receives)(void *context, wc_recv **list,
                              size_t room);      /* posting order; returns how many there are */
    bool (*complete)(void *context, wc_recv *r); /* its data are in the application's buffer */
    wc_message *(*copy)(void *context,
                        wc_recv *r); /* of a complete receive: packed; NULL: part of a datatype */

    /* pulling */
    bool (*pull)(void *context, const wc_comm *comm, int source, wc_pulled *pulled);
    bool (*take_back)(void *context, wc_recv *r); /* true: cancelled; false: MPI has matched it, or
                                                     it was cancelled by the application */
    void (*post)(void *context, wc_recv *r);      /* gives it (back) to MPI */
    bool (*fits)(void *context, const wc_recv *r,
                 const wc_message *m); /* whole elements, room enough */
    void (*receive_into)(void *context, wc_recv *r,
                         wc_message *m); /* m's handle into the application's buffer */
    void (*deliver)(void *context, wc_recv *r,
                    wc_message *m); /* m's data into the application's buffer */
    void (*receive_aside)(void *context,
                          wc_message *m);          /* m's handle into m->data; sets m->arriving */
    bool (*arrived)(void *context, wc_message *m); /* tests m->arriving */
    void (*post_marker_receives)(void *context, const wc_comm *comm, int n);
    size_t (*take_back_marker_receives)(void *context, const wc_comm *comm,
                                        int *sources); /* [peers] those received */
} wc_port;

/* Of trees. Each level waits until a rank looks: for a safe point, or some time. So they are flat. */
#ifndef WC_FANOUT
#define WC_FANOUT 32
#endif

/* The tree of ranks 0 to size - 1. */
static inline int wc_tree_parent(int rank) { /* -1: none */
    return rank > 0 ? (rank - 1) / WC_FANOUT : -1;
}

static inline int wc_tree_first_child(int rank, int size) {
    return rank < (size - 1) / WC_FANOUT + 1 ? rank * WC_FANOUT + 1 : size;
}

static inline int wc_tree_end_of_children(int rank, int size) {
    int first = wc_tree_first_child(rank, size);
    return size - first < WC_FANOUT ? size : first + WC_FANOUT;
}

#define WC_RECENT 64

/* A collective that was completed lately. */
typedef struct wc_event {
    wc_comm *comm; /* NULL: not there any more */
    bool safe;     /* a safe point came after it, before the next one */
} wc_event;

typedef struct wc_core_config {
    int rank, ranks; /* in the job */
    bool immediate;
    bool requests_allowed; /* requests outstanding at a record don't void: only for protected ones
                              and tests */
    int64_t timeout_ns;    /* a cut that can't be completed for so long is void */
    int64_t patience_ns;   /* aligned: messages missing for so long are pulled */
    size_t max_streams;
    size_t max_stash; /* pulled without need */
    /* deliberate faults, only set in builds made for tests */
    bool break_stash, break_markers, break_take_back, break_order, break_carry;
} wc_core_config;

struct wc_core {
    wc_port port;
    wc_core_config config;
    wc_state state;
    int64_t now;         /* as last told */
    int64_t entered_at;  /* when the state was entered */
    uint64_t finished;   /* number of the last finished attempt */
    uint64_t attempt;    /* under way, or finished */
    uint64_t heard;      /* highest number asked for */
    bool asked;          /* this rank asked for the attempt that comes next */
    bool ending;         /* no attempt is begun here any more */
    wc_reason forbidden; /* no attempt can succeed on this rank any more */
    const char *forbidden_text;
    wc_vote
        vote; /* this rank's, in this attempt; after A and B, everybody's where it was not void */
    int initiator;  /* lowest rank that asked for this attempt */
    bool b_entered; /* CLOSING: own markers are received */
    bool written;   /* A was valid, so every rank writes */

    /* counting */
    wc_comm *comms;
    wc_streams in_streams, out_streams;
    wc_channels in, out;
    int64_t step, agreed_step, lookahead;
    bool logging;                       /* hand-overs may belong to the cut */
    uint64_t logged;                    /* aligned: newest receive that was logged, by its order */
    struct wc_slot *slots, **slots_end; /* receives whose position waits for wildcards */
    size_t wild;                        /* wildcards among them that are not complete */

    /* the collective clock */
    uint64_t events, events_before; /* collectives in all; when the last attempt began */
    wc_event recent[WC_RECENT];
    uint64_t clock_attempt; /* of which something was heard or told */
    bool clock_needed;      /* some rank has completed collectives since the last attempt began */
    bool clock_changed;     /* a target has, since the last look ahead */
    int64_t clock_way;      /* ns until a target is known */

    /* pulling */
    bool armed;
    bool recordable; /* nothing but the call in progress has come since the safe point */
    bool aside;      /* progress that is made beside the program's calls: no record in it */
    unsigned probes; /* look for a message */
    bool early;      /* a marker came before the agreement's result */
    bool outside;    /* inside a call that blocks in MPI: the queue is native */
    unsigned polls;  /* fruitless, while messages are held */
    wc_recv *soft, **soft_end;
    wc_message *stash, **stash_end;
    size_t stashed, held;
    wc_recv **bound; /* receives whose message is held, arriving, or to be copied when complete */
    size_t bound_count, bound_room;

    uint64_t pulled; /* messages pulled: their order in the cut */
    wc_messages cut; /* channel state of this attempt, in channel order per channel */
};

void wc_core_init(wc_core *core, const wc_port *port, const wc_core_config *config);
void wc_core_free(wc_core *core);

/* From now on there may be snapshots. */
void wc_core_attach(wc_core *core, const wc_core_config *config, int64_t now);

/* Makes a communicator known; it belongs to the caller, and stays until it is dropped. */
void wc_core_add_comm(wc_core *core, wc_comm *comm);

/* Forgets one that the application has freed. False: not yet, something may still refer to it, or
 * counts have to be told to its members first: after the next attempt it may go. The caller makes sure
 * that no receive is open on it. */
bool wc_core_drop_comm(wc_core *core, wc_comm *comm);
bool wc_core_has_stashed(const wc_core *core,
                         const wc_comm *comm); /* messages nobody has asked for */

/* ---- the frame ---- */

void wc_core_request(wc_core *core);                          /* this rank asks */
void wc_core_hear(wc_core *core, uint64_t attempt, int from); /* a neighbour has asked */
void wc_core_counts(wc_core *core, wc_comm *comm, int source, const wc_tag_count *counts, size_t n);
/* A member of `comm` tells the target, or the highest count of itself and those below it in the tree. */
void wc_core_clock(wc_core *core, wc_comm *comm, int member, uint64_t attempt, bool target,
                   uint64_t value);
void wc_core_progress(wc_core *core, int64_t now);
void wc_core_durable(wc_core *core, wc_reason reason,
                     const char *text); /* WRITING is over; NONE: durable */
void wc_core_end(wc_core *core);        /* no safe point will come any more */
void wc_core_forbid(wc_core *core, wc_reason reason,
                    const char *text); /* from now on; `text` is static */
void wc_core_void(wc_core *core, wc_reason reason, int peer, int tag, const char *text);

/* This rank is at a safe point: a record can be taken until something else is done. */
static inline void wc_core_step(wc_core *core) {
    core->step++;
    core->recordable = true;
    core->recent[(core->events - 1) % WC_RECENT].safe = true;
}

static inline void wc_core_event(wc_core *core, wc_comm *comm) {
    core->recent[core->events++ % WC_RECENT] = (wc_event){.comm = comm};
}

/* A collective begins: one that blocks, or a nonblocking one. */
static inline void wc_core_collective(wc_core *core, wc_comm *comm) {
    comm->collectives++;
    wc_core_event(core, comm);
}

/* MPI has refused it: it was none. */
static inline void wc_core_no_collective(wc_core *core, wc_comm *comm) {
    comm->collectives--;
    core->events--;
}

/* The application lets go of a communicator. */
static inline void wc_core_free_comm(wc_core *core, wc_comm *comm) {
    comm->freed = true;
    wc_core_event(core, comm);
}

static inline bool wc_core_busy(const wc_core *core) {
    return core->state != WC_STATE_IDLE;
}

/* May markers be under way? */
static inline bool wc_core_marks(const wc_core *core) {
    return core->state != WC_STATE_IDLE && core->state < WC_STATE_SETTLING;
}

/* Must calls take the slow path? Nothing is armed, logged or stashed on the fast one. */
static inline bool wc_core_slow(const wc_core *core) {
    return core->armed || core->logging || core->stash || core->bound_count;
}

int wc_core_job_rank(wc_core *core, wc_channel *channel);

/* One used channel to this rank as the cut has it. */
typedef struct wc_channel_count {
    wc_comm *comm;
    int source;
    uint64_t sent, received, in_flight;
} wc_channel_count;

/* All of them, between settled and finished. Returns how many there are. */
size_t wc_core_channels(const wc_core *core, wc_channel_count *counts, size_t room);

/* ---- sends and receives ---- */

static inline wc_stream *wc_core_out(wc_core *core, wc_comm *comm, int peer, int tag) {
    return wc_stream_find(&core->out_streams, &core->out, comm, peer, tag);
}

static inline wc_stream *wc_core_in(wc_core *core, wc_comm *comm, int peer, int tag) {
    return wc_stream_find(&core->in_streams, &core->in, comm, peer, tag);
}

/* Before a send while an attempt is under way in an immediate program: the lazy marker. */
void wc_core_before_send(wc_core *core, wc_comm *comm, int peer);

/* A receive begins. False: post it natively (state NATIVE). True: the core has it (SOFT, BOUND or
 * FILLING). */
bool wc_core_receive(wc_core *core, wc_recv *r);

/* The receive of a message that a matched probe has taken, with its holder, begins (BOUND or FILLING). */
void wc_core_receive_matched(wc_core *core, wc_recv *r, wc_message *m);

/* Its data are handed over: from `source`, with `tag`. Call before the application can change the
 * buffer, and once. */
void wc_core_handed(wc_core *core, wc_recv *r, int source, int tag);

/* The application cancels: true if the receive was in the software queue and is out of it now. */
bool wc_core_cancel(wc_core *core, wc_recv *r);

/* A cancelled receive is completed: it took no message. */
void wc_core_forget(wc_core *core, wc_recv *r);

/* An aligned receive that isn't simple: positions wait for wildcards. Called by wc_core_posted. */
void wc_core_slot(wc_core *core, wc_recv *r);

/* Every receive, when posted natively: gives it its position in its stream. */
static inline void wc_core_posted(wc_core *core, wc_recv *r) {
    if (!core->config.immediate && (!r->stream || core->wild || core->slots))
        wc_core_slot(core, r);
    else if (r->stream)
        r->index = r->stream->handed + (uint64_t)++r->stream->open;
}

/* The first message in the library's hands that matches, for probes. NULL: none. */
wc_message *wc_core_probe(wc_core *core, wc_comm *comm, int source, int tag);

/* Takes a message out of the stash for a matched probe: the caller becomes its holder. */
void wc_core_take(wc_core *core, wc_message *m);

/* The application polled or waited in vain. */
void wc_core_starved(wc_core *core);

/* Around a call that blocks inside MPI. */
void wc_core_native_begin(wc_core *core);
void wc_core_native_end(wc_core *core);

/* A message of the snapshot that the run was restarted from: it goes to the end of the stash. Takes
 * `data`. */
void wc_core_restore_message(wc_core *core, wc_comm *comm, int source, int tag, void *data,
                             uint64_t bytes);

#endif
