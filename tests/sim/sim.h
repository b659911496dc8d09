/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A job in one process: the shipped wrappers and the protocol core above a simulated MPI. One seed
 * decides everything, and gives the same course each time.
 *
 *   job.c         one seed: a job from its start to its end, deaths and restarts between
 *   fiber.c       ranks as resumable programs, each with its own variables of src/mpi
 *   network.c     messages under way, matching, unexpected messages
 *   calls.c       MPI's point-to-point calls
 *   requests.c    completion: Wait, Test, Cancel
 *   collectives.c blocking and nonblocking
 *   objects.c     communicators, groups, datatypes, statuses
 *   runtime.c     stands for src/runtime: record, durable, restore
 *   traffic.c     what programs send and receive
 *   aligned.c     programs that go in steps
 *   immediate.c   programs that answer what comes
 *   delicate.c    programs that are legal and easily broken
 *   groups.c      programs with intercommunicators, and communicators of some ranks
 *   persistent.c  programs with persistent requests
 *   traced.c      judges the trace
 *   oracle.c      judges each cut, each hand-over and the end of the run, by its own account
 *   main.c        wavecut-sim: many seeds
 *   points.c      section 7 of protocol.md, point by point
 *   corners.c     what random traffic does not come to
 *   hand.c        ranks moved by hand, for these two
 */
#ifndef SIM_H
#define SIM_H

#include "core/core.h"

#include <mpi.h>

enum {
    SIM_RANKS = 6,
    SIM_COMMS =
        5, /* of a program: world, a copy, one half of it, one that comes and goes, both halves */
    SIM_TAGS = 3,
    SIM_FIXED = 50,      /* messages with tags from this one on are of one length for each */
    SIM_MESSAGES = 1024, /* on a channel */
    SIM_QUEUE = 64,
    SIM_OPEN = 256, /* receives of a rank at a time */
    SIM_PADDING = 64
};

/* What the application sends: enough for the oracle to know it. */
typedef struct sim_payload {
    uint32_t channel, source, destination; /* of the program; ranks of the world */
    uint32_t sequence;                     /* on that channel */
    int32_t tag;
    uint32_t token, hops;
    uint64_t clock[SIM_RANKS];    /* of the sender, after the send */
    uint8_t padding[SIM_PADDING]; /* some of it is sent, so that lengths differ */
} sim_payload;

/* The part of a rank that a snapshot saves. */
typedef struct sim_state {
    int step;
    /* Receives that are open at the safe point, in posting order: what protected requests keep. */
    struct {
        int8_t channel, source, tag, due;
    } receives[SIM_OPEN];
    int receive_count;
    uint32_t sent[SIM_COMMS][SIM_RANKS];
    uint8_t got[SIM_COMMS][SIM_RANKS][SIM_MESSAGES / 8];
    uint64_t clock[SIM_RANKS];
    struct {
        uint32_t id, hops;
    } queue[SIM_QUEUE];
    uint32_t count, dead, rounds, replies;
    bool stopped;
} sim_state;

typedef struct sim_packet {
    int comm, source, to, tag; /* ranks in the communicator */
    MPI_Request send;          /* NULL: has ended */
    size_t bytes;
    struct sim_packet *next;
    unsigned char data[];
} sim_packet;

typedef struct sim_packets {
    sim_packet *first, **last;
} sim_packets;

typedef enum sim_kind { SIM_SENDING, SIM_RECEIVING, SIM_MEETING } sim_kind;

struct sim_request {
    sim_kind kind;
    int owner;
    bool active, complete;
    bool persistent, sync;
    bool met;        /* a send whose message has been received */
    bool cancelling; /* asked for */
    int comm, peer, tag;
    void *buffer;
    size_t room;
    bool posted;
    sim_packet *packet; /* matched */
    struct sim_meeting *meeting;
    MPI_Status status;
    struct sim_request *next; /* posted */
};

typedef struct sim_rank {
    int rank;
    void *process;          /* its variables of src/mpi, while another rank runs, */
    struct wc_layer *layer; /* and the layer's */
    bool ended;
    sim_state state, saved; /* saved: at the record of the attempt under way */
    sim_packets unexpected;
    MPI_Request posted, *posted_end;
    MPI_Comm comms[SIM_COMMS];
    uint64_t postings;               /* receives begun */
    bool failed;                     /* to make the cut durable */
    bool settled;                    /* the cut is complete and not durable yet */
    uint64_t finished, heard;        /* attempts, at its end */
    unsigned publishing;             /* looks until the file has its name */
    void (*command)(void *argument); /* points.c: what to do next */
    void *argument;
} sim_rank;

typedef struct sim_options {
    uint64_t seed;
    bool verbose;
    bool quiet;        /* no requests by chance, no failing disk, no preemption */
    bool traced;       /* with a trace, which is judged, too */
    int dies_at;       /* turn at which the job dies, and is restarted; 0: by the seed */
    int members;       /* so many ranks take part in snapshots, the first ones; 0: all */
    const char *fault; /* the rule to break; NULL: none */
} sim_options;

typedef struct sim_job {
    sim_options options;
    bool immediate;
    bool open; /* requests may stay open across safe points: no restart of immediate ones */
    void (*program)(void);
    int ranks, members; /* members: those that take part in snapshots */
    uint64_t random;
    int64_t now, turn_ns;
    unsigned preempt, delay; /* one call in so many is interrupted; one look in so many succeeds */
    size_t eager;            /* longer messages wait for their receive */
    MPI_Comm stuck;          /* no receive of data on it completes */
    unsigned restarted;      /* times */
    sim_rank at[SIM_RANKS];
    unsigned commits, voids[64];
    unsigned traces, ended;       /* that were judged; of ranks, that had ended at a cut */
    unsigned in_flight, restored; /* messages: in all cuts, and those that came back */
    uint64_t turns;
    char problem[256];
} sim_job;

extern sim_job J;
extern sim_rank *me; /* the rank that runs */

/* ---- job.c ---- */

uint64_t sim_hash(uint64_t a, uint64_t b, uint64_t c);
unsigned sim_choose(unsigned n); /* 0 to n - 1, by the seed */
/* The first one is kept. */
void sim_problem(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* With --verbose. */
void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_run(const sim_options *options); /* the seed decides all; J tells what became of it */
/* A job whose ranks do what they are told (points.c). */
void sim_open(const sim_options *options, bool immediate, int ranks);
void sim_close(void);
void *sim_alloc(size_t bytes); /* zeroed; lives as long as the job */

/* ---- fiber.c ---- */

void sim_fiber_start(int rank, void (*body)(void));
void sim_resume(int rank); /* until it yields */
void sim_yield(void);
void sim_load(int rank);    /* makes its variables the current ones: for looking at them */
void sim_fiber_reset(void); /* all ranks as new */
void sim_preempt(void);     /* at the begin of each call: others may come first */

/* ---- network.c ---- */

void sim_network_open(void);
void sim_network_send(sim_packet *packet);
bool sim_network_deliver(void); /* the next of some channel; false: nothing */
void sim_network_deliver_on(int comm, int source, int to);
/* What is under way on other communicators than this one: the control messages. */
void sim_network_deliver_besides(int comm);
sim_packet *sim_network_find_besides(int comm, size_t least); /* of so many bytes; NULL: none */
bool sim_network_empty(void);
void sim_post(MPI_Request receive); /* matches, or waits */
bool sim_withdraw(MPI_Request receive);
sim_packet **sim_find_unexpected(int comm, int source, int tag); /* of this rank */
sim_packet *sim_take(sim_packets *queue, sim_packet **at);

/* ---- requests.c ---- */

MPI_Request sim_request_new(sim_kind kind, int comm);
bool sim_completes(MPI_Request request); /* looks; MPI may take its time */

/* ---- objects.c ---- */

void sim_objects_open(void);
int sim_comm_rank(MPI_Comm comm); /* of the running rank */
int sim_comm_size(MPI_Comm comm);
/* Of an intercommunicator: what the other group has for it, and the first of the two. Else itself. */
MPI_Comm sim_comm_of_peers(MPI_Comm comm);
MPI_Comm sim_comm_shared(MPI_Comm comm);
int sim_comm_members(MPI_Comm comm); /* of both groups */
int sim_comm_member(MPI_Comm comm);  /* the running rank's place among them */
int sim_world_rank(MPI_Comm comm, int rank);
size_t sim_type_bytes(MPI_Datatype type);
void sim_reduce(MPI_Op op, const void *in, void *inout, int n, MPI_Datatype type);
MPI_Comm sim_comm_make(const int *members, int n); /* world ranks */

/* ---- collectives.c ---- */

typedef struct sim_meeting sim_meeting;
void sim_collectives_open(void);
bool sim_meeting_over(const MPI_Request request); /* for its rank */
void sim_meeting_result(MPI_Request request);
/* All members give `bytes`; blocks until all are there; the gathered bytes in rank order. */
const void *sim_gather_all(MPI_Comm comm, const void *mine, size_t bytes);

/* ---- runtime.c ---- */

void sim_runtime_begin(void); /* in the place of wavecut_init and wavecut_restore */
void sim_safepoint(void);
void sim_restore_message(uint64_t uid, int source, int tag, const void *data, size_t bytes);

/* ---- traced.c ---- */

void sim_traced_begin(void);
void sim_traced_finished(void); /* this rank's part of a cut that is committed */
void sim_traced_restart(void);
void sim_traced_clear(void);

/* ---- traffic.c: what programs are made of. Ranks are those of the world. ---- */

void sim_make_comms(void);
int sim_peer(int channel, int world); /* rank in that channel's communicator; -1: not in it */
/* The next message on a channel, as the oracle knows it from now on. */
void sim_compose(sim_payload *p, int channel, int to, int tag, uint32_t token, uint32_t hops);
int sim_bytes_of(const sim_payload *p);

/* A receive of a program. */
typedef struct sim_slot {
    MPI_Request request;
    MPI_Status status;
    int channel, source, tag; /* asked for; ranks of the communicator */
    uint64_t order;
    int due; /* the program's */
    sim_payload payload;
} sim_slot;

void sim_slot_set(sim_slot *slot, int channel, int source,
                  int tag);                    /* source: of the world, or ANY */
void sim_slot_post(sim_slot *slot);            /* MPI_Irecv */
void sim_slot_receive(sim_slot *slot);         /* MPI_Recv */
void sim_slot_receive_matched(sim_slot *slot); /* MPI_Mprobe, MPI_Mrecv; or the nonblocking ones */
void sim_slot_match(sim_slot *slot, MPI_Message *message); /* the first half of it */
void sim_slot_receive_message(sim_slot *slot, MPI_Message *message);
void sim_slot_got(sim_slot *slot); /* tells the oracle */
void sim_slots_wait(sim_slot *const slots[],
                    int n); /* until all are received, in one way or another */
void sim_send(int channel, int to, int tag, uint32_t token, uint32_t hops); /* blocking */
MPI_Request sim_isend(sim_payload *p, bool sync);

/* ---- programs ---- */

typedef struct sim_program {
    const char *name;
    bool immediate, open; /* open: may leave requests open */
    void (*run)(void);
} sim_program;

extern const sim_program sim_programs[];
extern const size_t sim_program_count;
void sim_aligned(void);
void sim_tokens(void);
void sim_persistent(void);
void sim_persistent_ahead(void);
void sim_coupled(void);

/* ---- oracle.c ---- */

void sim_oracle_open(void);
void sim_oracle_got(const sim_payload *p, const MPI_Status *status, uint64_t order, int tag);
void sim_oracle_finished(const wc_vote *outcome);
void sim_oracle_end(void);
/* Puts the states back to those of the last committed cut. False: there is none. */
bool sim_oracle_restart(void);
void sim_oracle_give_back(void); /* its messages to this rank */
void sim_oracle_clear(void);
/* Tokens of the messages in flight to a rank in the last committed cut, in order. [SIM_QUEUE] */
size_t sim_oracle_in_flight(int rank, uint32_t *tokens);

#endif
