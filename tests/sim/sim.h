/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A job in one process: simulated MPI under the protocol core, one seed, the same course each time.
 *
 *   run.c       one seed: a job from its start to its end
 *   network.c   channels in order, matching, delayed completion, control messages, reductions
 *   rank.c      what the wrappers do: start, complete and hand over receives, send
 *   program.c   what the ranks run: aligned steps, or tokens that hop
 *   oracle.c    judges each committed cut, and the end of the run, by its own account
 *   main.c      wavecut-sim: many seeds
 *   points.c    section 7 of protocol.md, point by point
 */
#ifndef SIM_H
#define SIM_H

#include "core/core.h"

enum { SIM_COMMS = 2, SIM_RANKS = 6, SIM_TAGS = 3, SIM_MESSAGES = 2048, SIM_QUEUE = 64 };

/* What the application puts into a message: enough for the oracle to know it. */
typedef struct sim_payload {
    uint64_t sequence; /* on its channel */
    uint32_t token, hops;
    uint64_t clock[SIM_RANKS]; /* of the sender, after the send */
} sim_payload;

typedef struct sim_packet {
    int comm, source, tag;
    bool marker;
    sim_payload payload;
    struct sim_packet *next;
} sim_packet;

typedef struct sim_packets {
    sim_packet *first, **last;
} sim_packets;

/* A receive of the application, from its start to its hand-over. */
typedef struct sim_receive {
    wc_recv recv; /* first: the core's pointer is this one */
    bool posted;  /* MPI has it, unmatched */
    bool arriving, complete;
    int source, tag; /* of what it got */
    sim_payload payload;
    int wait; /* aligned: step in which it is handed over */
    struct sim_receive *next;
} sim_receive;

typedef struct sim_control {
    int from, comm; /* comm -1: a request */
    uint64_t attempt;
    size_t n;
    wc_tag_count counts[32];
    struct sim_control *next;
} sim_control;

/* The part of a rank that a snapshot saves. */
typedef struct sim_state {
    int step;
    uint64_t sent[SIM_COMMS][SIM_RANKS];
    uint8_t got[SIM_COMMS][SIM_RANKS][SIM_MESSAGES / 8];
    uint64_t clock[SIM_RANKS];
    /* lowest number that may come next on a stream */
    uint64_t next[SIM_COMMS][SIM_RANKS][SIM_TAGS];
    struct {
        uint32_t id, hops;
    } queue[SIM_QUEUE];
    uint32_t count, dead;
    bool stopped;
} sim_state;

typedef struct sim_rank {
    wc_core core;
    wc_comm comms[SIM_COMMS];
    int rank;
    sim_state state, saved; /* saved: at the record of the attempt under way */
    sim_receive *receives, **receives_end;
    sim_packets unexpected;
    sim_control *control, **control_end;
    uint64_t order;
    int marker_receives[SIM_COMMS]; /* posted around a barrier */
    int markers_met[SIM_COMMS][SIM_RANKS];
    unsigned markers_out; /* sent and not received: markers and counts */
    unsigned entered[WC_PHASES], left[WC_PHASES];
    bool settled;
    sim_receive *waiting; /* the blocking receive that this rank is in */
    int phase;            /* aligned: of its step */
    bool in_barrier, ended;
    uint64_t barriers; /* entered */
} sim_rank;

typedef struct sim_options {
    uint64_t seed;
    bool immediate, verbose;
    bool open;         /* receives stay open across safe points: no restart */
    bool quiet;        /* no requests by chance, and no failing disk */
    int dies_at;       /* turn at which the job dies, and is restarted; 0: by the seed */
    const char *fault; /* the rule to break; NULL: none */
} sim_options;

typedef struct sim_job {
    sim_options options;
    int ranks;
    bool barriers; /* aligned: between steps; immediate: now and then */
    int comms;     /* in use */
    int kind;      /* of wildcards */
    uint64_t random;
    int64_t now;
    sim_rank at[SIM_RANKS];
    sim_packets channel[SIM_COMMS][SIM_RANKS][SIM_RANKS];
    wc_vote votes[WC_PHASES][64]; /* of the last 64 reductions */
    unsigned joined[WC_PHASES][64];
    unsigned commits, voids[64];
    unsigned in_flight, restored; /* messages: in all cuts, and those that came back */
    char problem[256];
} sim_job;

extern sim_job J;

/* ---- chance: run.c ---- */
uint64_t sim_hash(uint64_t a, uint64_t b, uint64_t c);
unsigned sim_choose(unsigned n); /* 0 to n - 1, by the seed */
/* The first one is kept. */
void sim_problem(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* With --verbose. */
void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- run.c ---- */
void sim_run(const sim_options *options); /* the seed decides all; J tells what became of it */
void sim_open(const sim_options *options, int ranks); /* a job without a program */
void sim_close(void);
void sim_make_durable(sim_rank *r); /* if it has a cut, at times */

/* ---- network.c ---- */
extern const wc_port sim_port;
void sim_push(sim_packets *queue, sim_packet *p);
void sim_network_send(int comm, int source, int destination, const sim_packet *packet);
bool sim_network_deliver(void); /* one packet or control message; false: there is none */
void sim_network_deliver_on(int comm, int source, int destination); /* the next of a channel */
void sim_network_deliver_control(void);                             /* all of it */
void sim_post(sim_rank *r, sim_receive *receive);                   /* to MPI */
void sim_network_clear(void);
bool sim_network_empty(void);

/* ---- rank.c ---- */
void sim_rank_open(sim_rank *r, int rank);
void sim_rank_close(sim_rank *r);
void sim_send(sim_rank *r, int comm, int destination, int tag, uint32_t token, uint32_t hops);
sim_receive *sim_receive_start(sim_rank *r, int comm, int source, int tag, bool inside);
bool sim_receive_ready(sim_receive *receive);
void sim_receive_finish(sim_rank *r, sim_receive *receive); /* hands over; frees */

/* ---- program.c ---- */
void sim_program_begin(void);
void sim_program_turn(sim_rank *r);
void sim_program_took(sim_rank *r, const sim_payload *payload, int tag);
bool sim_program_done(const sim_rank *r);
void sim_program_end(sim_rank *r); /* takes back what is still posted */

/* ---- oracle.c ---- */
void sim_oracle_got(sim_rank *r, int comm, int source, int tag, const sim_payload *payload);
void sim_oracle_finished(sim_rank *r, const wc_vote *outcome);
void sim_oracle_end(void);
/* Puts the job back to the last committed cut, with fresh cores and channels. False: none. */
bool sim_oracle_restart(void);
void sim_oracle_clear(void);
/* Tokens of the messages in flight to a rank in the last committed cut, in order. [SIM_QUEUE] */
size_t sim_oracle_in_flight(int rank, uint32_t *tokens);

#endif
