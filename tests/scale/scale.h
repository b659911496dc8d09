/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A scale model: a job of many ranks in one process, each with the protocol core that is shipped,
 * on a network that costs what LogGP says. Times are ns of the modelled machine.
 *
 *   main.c         wavecut-scale: options, the list of runs
 *   run.c          one run: ranks from their birth to the last answer; what was measured
 *   events.c       nodes and the calendar they wait in
 *   machine.c      the machine's parameters; what a message costs
 *   shape.c        who sends to whom
 *   collective.c   nonblocking collectives, of the same messages
 *   rank.c         one rank: when it is inside MPI, when it looks after the library
 *   port.c         what the core asks for
 *   aligned.c      programs in steps
 *   immediate.c    programs that answer whatever comes next, and the MPI matching under them
 *   method.c       how a snapshot is taken: by the core, or by what it is compared with
 *   blocking.c     barrier and drain;  textbook.c: Chandy-Lamport with n(n-1) markers
 *   report.c       table and JSON;  fit.c: what was not run
 */
#ifndef SCALE_H
#define SCALE_H

#include "core/core.h"

#include <jansson.h>

enum { NO_NODE = 0, SLOTS = 4, MASK_BITS = 32 };
#define NO_RANK UINT32_MAX

/* ---- events.c ---- */

typedef enum scale_kind {
    KIND_TURN,       /* the program of `to` goes on */
    KIND_LOOK,       /* an idle rank looks after the library */
    KIND_REQUEST,    /* value: number of the attempt */
    KIND_COUNTS,     /* value: messages since the last marker */
    KIND_MARKER,     /* in the channel, immediate programs only */
    KIND_TEXTBOOK,   /* a marker of textbook.c */
    KIND_ACK,        /* what was sent synchronously has been received */
    KIND_COLLECTIVE, /* value: its phase, and which part of it */
    KIND_DATA,       /* value: the step it belongs to */
    KINDS
} scale_kind;

/* An event, and the message it may be: the index of one is its handle. */
typedef struct scale_node {
    int64_t time;
    uint32_t to, from, next, value;
    uint32_t kind;
} scale_node;

void scale_events_open(int64_t span_ns); /* most events lie so far ahead at most */
void scale_events_close(void);
uint32_t scale_node_new(const scale_node *node);
void scale_node_free(uint32_t node);
scale_node *scale_node_at(uint32_t node); /* valid until the next new one */
void scale_event_add(const scale_node *node);
uint32_t scale_event_next(void); /* the earliest, taken out; NO_NODE: there is none */

/* Nodes in the order of their arrival. */
typedef struct scale_list {
    uint32_t first, last;
} scale_list;

void scale_list_add(scale_list *list, uint32_t node);
uint32_t scale_list_take(scale_list *list); /* NO_NODE: empty */

/* ---- machine.c ---- */

typedef struct scale_machine {
    double latency, overhead, gap, gap_per_byte; /* L, o, g, G */
    double look;                                 /* one look after the library */
    double tick;                                 /* an idle rank looks as often as that */
    bool tree; /* collectives: binomial reduce and broadcast, else dissemination */
} scale_machine;

/* False, and the error printed, if the file is no good. */
bool scale_machine_read(const char *path, scale_machine *machine);

/* ---- shape.c ---- */

typedef enum scale_shape_kind {
    SHAPE_STENCIL, /* 26 neighbours on a 3-D torus */
    SHAPE_GRAPH,   /* sparse and random: as many in as out */
    SHAPE_ALL,     /* everybody */
    SHAPE_LINE     /* two neighbours, ends are open: jobs/heat */
} scale_shape_kind;

typedef struct scale_shape {
    scale_shape_kind kind;
    uint32_t ranks, degree;
    uint32_t side[3];
    uint64_t factor[MASK_BITS], inverse[MASK_BITS], offset[MASK_BITS]; /* graph: k's permutation */
} scale_shape;

/* False: there is no such shape for so many ranks. */
bool scale_shape_make(scale_shape *shape, scale_shape_kind kind, uint32_t ranks, uint64_t seed);
uint32_t scale_shape_out(const scale_shape *shape, uint32_t rank, uint32_t k); /* NO_RANK: none */
/* All at once, for degrees up to MASK_BITS. */
void scale_shape_outs(const scale_shape *shape, uint32_t rank, uint32_t *outs);
uint32_t scale_shape_in(const scale_shape *shape, uint32_t rank, uint32_t k);
/* Receivers among the channels of the mask: two may have the same. */
uint32_t scale_shape_receivers(const scale_shape *shape, uint32_t rank, uint32_t mask);

/* ---- rank.c ---- */

/* One rank's part in a collective; messages may come before it enters. */
typedef struct scale_collective {
    uint32_t arrived; /* bit for each part */
    uint8_t round;
    bool entered, done;
} scale_collective;

/* Of one rank in an aligned program, apart from the rest: neighbours' are written all the time. */
typedef struct scale_arrivals {
    int64_t latest[SLOTS]; /* when the last of a step's messages comes */
    uint32_t count[SLOTS]; /* of those that have been sent */
} scale_arrivals;

typedef struct scale_rank {
    wc_core core;
    wc_comm comm;
    wc_recv recv; /* immediate: the blocking receive */
    int64_t cpu, nic, next_tick, compute_end;
    int64_t heard, armed, recorded; /* of this attempt; 0: not yet */
    int64_t took[3];                /* heard to armed, recorded, closed, of the last one */
    int64_t stopped_at;             /* blocking */
    uint32_t came[SLOTS];           /* immediate: messages of a step that have come */
    scale_list pending, control, unexpected;
    scale_collective collectives[WC_PHASES];
    uint64_t order, random;
    uint32_t rank, step;
    uint32_t counted_out, counted_in; /* steps that the core's counters have */
    uint32_t markers_out;
    uint32_t bundled, bundle_value; /* counts that have come, for all channels in one */
    uint32_t used;                  /* channels used since the last record, as a mask */
    uint32_t markers;               /* of this record; textbook: received */
    uint32_t got;                   /* the receive's message */
    uint32_t sent, received;        /* immediate: messages so far */
    uint8_t phase;                  /* of the program */
    uint8_t stage, phase_of_drain;  /* of the method, if it isn't the core */
    bool inside;                    /* MPI: messages are handled as they come */
    bool waiting;                   /* for a message, inside */
    bool posted, ready;             /* the receive: unmatched at MPI; its data are here */
    bool look_due, durable_due, stopped, noted;
} scale_rank;

/* Sends; the time in the node is filled in. */
void scale_send(scale_rank *r, const scale_node *message, uint32_t bytes);
void scale_turn_at(scale_rank *r, int64_t time);
void scale_enter_mpi(scale_rank *r);                /* handles what has come meanwhile */
void scale_rank_take(scale_rank *r, uint32_t node); /* an event of this rank */
void scale_look(scale_rank *r);                     /* looks after the library */
bool scale_look_is_due(const scale_rank *r);
void scale_compute(scale_rank *r, double ns); /* about so long; then it is the program's turn */
uint32_t scale_choose(scale_rank *r, uint32_t n);

/* ---- collective.c ---- */

void scale_collective_enter(scale_rank *r, int phase);
void scale_collective_arrive(scale_rank *r, uint32_t value);
bool scale_collective_take(scale_rank *r, int phase); /* true once, when complete */

/* ---- port.c ---- */

extern const wc_port scale_port;
void scale_take_counts(scale_rank *r, const scale_node *message);

/* ---- programs ---- */

typedef struct scale_program {
    const char *name;
    scale_shape_kind shape;
    bool immediate, tokens;
} scale_program;

extern const scale_program scale_programs[];
const scale_program *scale_program_find(const char *name); /* NULL: there is none */

void scale_aligned_turn(scale_rank *r);
void scale_aligned_arrived(scale_rank *r); /* something was handled while it waits */
void scale_aligned_count(scale_rank *r);   /* the core's counters are brought up to date */

void scale_immediate_turn(scale_rank *r);
void scale_immediate_arrived(scale_rank *r);
void scale_immediate_look(scale_rank *r);                /* KIND_LOOK */
void scale_immediate_data(scale_rank *r, uint32_t node); /* DATA or MARKER, at MPI */
void scale_immediate_post(scale_rank *r);

/* ---- method.c ---- */

typedef struct scale_method {
    const char *name;
    bool asks; /* one rank begins it; else all ranks know when */
    void (*request)(scale_rank *r);
    void (*hear)(scale_rank *r, uint32_t attempt, uint32_t from);
    void (*look)(scale_rank *r);
    bool (*busy)(const scale_rank *r);
    void (*marker)(scale_rank *r); /* KIND_TEXTBOOK */
} scale_method;

extern const scale_method scale_by_core, scale_by_barrier, scale_by_blocking, scale_by_textbook;
const scale_method *scale_method_find(const char *name);

void scale_armed(scale_rank *r);
void scale_recorded(scale_rank *r);
void scale_closed(scale_rank *r);

/* ---- run.c ---- */

typedef struct scale_options {
    scale_machine machine;
    const scale_program *program;
    const scale_method *method;
    uint32_t ranks, fanout, initiator;
    uint64_t seed;
    double step, progress; /* computing in a step; how often MPI is entered meanwhile, 0: never */
    double jitter;
    uint32_t bytes, lag; /* of a message; aligned: steps between a send and its receive */
    bool bundle;         /* aligned: one entry in the core's tables for all channels of a rank */
    int64_t lookahead;   /* of the core at the start; 0: its own. Then one commit is enough */
    bool quiet;          /* no program: ranks wait inside MPI */
} scale_options;

/* What came of one run. Times since the request; of the last rank where nothing else is said. */
typedef struct scale_result {
    const char *program, *method, *kept; /* kept: how ranks were represented */
    uint32_t ranks;
    bool ended;
    double armed, recorded, closed;
    double rank_armed, rank_recorded, rank_closed; /* medians over ranks, since each one heard */
    double first;                                  /* request to the end of the first commit */
    uint32_t voids, void_again;               /* attempts before the first commit, and after it */
    int reason;                               /* of the last void */
    double channels, markers, lazy, messages; /* per rank */
    bool exact;        /* markers == channels used, on every rank and in each attempt */
    double cut_bytes;  /* channel state per rank */
    double copied;     /* messages copied per rank, those that were dropped again too */
    double stalled;    /* longest time that a rank was kept from computing */
    double core_bytes; /* memory of one rank's core */
    double step_ns;    /* of the program, as it ran */
} scale_result;

/* Everything about the run under way. */
typedef struct scale_run {
    scale_options options;
    scale_shape shape;
    scale_rank *at;
    scale_arrivals *arrivals;
    int64_t now, request_at, requested_at, first_request;
    bool wanted, over, gave_up;
    wc_vote votes[WC_PHASES]; /* so far, of the reduction under way */
    uint32_t joined[WC_PHASES];
    int64_t balance[WC_PHASES]; /* blocking: messages sent and not received */
    uint32_t stop_step;
    uint32_t armed, recorded, closed, finished, commits;
    int64_t last_armed, last_recorded, last_closed, stalled;
    uint64_t messages, markers, lazy, channels, copied;
    uint64_t cut_bytes;
    scale_result *result;
} scale_run;

extern scale_run S;

void scale_begin_attempt(scale_rank *r);
void scale_finished(scale_rank *r, const wc_vote *outcome);

void scale_run_one(const scale_options *options, scale_result *result);
double scale_memory_needed(const scale_options *options); /* bytes, before it is run */

/* ---- report.c ---- */

void scale_table(const scale_result *rows, size_t n);
json_t *scale_json(const scale_result *rows, size_t n);

/* ---- fit.c ---- */

/* What `rows` of the same program and method say about another number of ranks. */
bool scale_fit(const scale_result *rows, size_t n, scale_result *result);

#endif
