/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who waits for whom, and can it end? Of what all ranks of a job have answered, twice: a rank that said
 * the same both times did nothing in between, so those ranks together are a consistent cut. Only of
 * these anything is claimed; all others may go on.
 */
#ifndef WC_CLI_WAITGRAPH_H
#define WC_CLI_WAITGRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum wait_state {
    WAIT_SILENT,     /* no answer */
    WAIT_GONE,       /* no answer, and its process isn't there */
    WAIT_UNFOLLOWED, /* several threads call MPI */
    WAIT_RUNS,       /* has made calls between the two answers */
    WAIT_COMPUTES,   /* has made none, and is in none */
    WAIT_WAITS,
    WAIT_ENDED /* MPI_Finalize is over */
} wait_state;

typedef enum wait_kind {
    WAIT_RECEIVE,
    WAIT_SEND,
    WAIT_COLLECTIVE,
    WAIT_FINALIZE,
    WAIT_OTHER,
    WAIT_ARRIVED /* in a buffer of the program, which was not told of it */
} wait_kind;

/* One thing that a rank waits for. Peers are ranks in MPI_COMM_WORLD. */
typedef struct wait_item {
    wait_kind kind;
    int comm; /* index; -1: unknown */
    int peer; /* -1: any */
    int tag;  /* -1: any */
    uint64_t number;
} wait_item;

/* Members first..last. */
typedef struct wait_range {
    int first, last;
} wait_range;

/* How many collectives a rank has entered. */
typedef struct wait_entered {
    int rank;
    uint64_t collectives;
} wait_entered;

/* It takes no more memory than the answers that tell of it, whatever they say. */
typedef struct wait_comm {
    uint64_t uid, parent, ordinal;
    int64_t colour;
    char made[16];
    char name[256];
    int size; /* members in all */
    wait_range *members;
    size_t range_count;
    wait_entered *entered; /* by rank, of those that have told */
    size_t entered_count;
} wait_comm;

typedef struct wait_rank {
    wait_state state;
    char host[256], call[64];
    long pid;
    double since_s; /* seconds that it does so */
    bool any;       /* one of the items is enough */
    uint64_t more;  /* things that it waits for besides */
    wait_item *items;
    size_t count;
    bool stuck; /* can't ever go on */
} wait_rank;

/* Messages of one stream that were sent and not handed over. */
typedef struct wait_flight {
    int comm, source, destination, tag;
    uint64_t messages;
    uint64_t arrived; /* of them, in buffers of the program: no other receive gets these */
} wait_flight;

typedef struct wait_job {
    int ranks;
    wait_rank *rank;
    wait_comm *comms;
    size_t comm_count;
    wait_flight *flights;
    size_t flight_count;
    bool uncounted; /* not all messages in flight are known */
} wait_job;

/* Sets `stuck` of those that can't go on, whatever the others do. Returns how many there are. */
size_t wait_reduce(wait_job *job);

/* Ranks that stuck ones wait for, which no rank outside can help. */
typedef enum wait_core_kind {
    WAIT_CYCLE,    /* `ranks` in the order of waiting: each for the next, the last for the first */
    WAIT_KNOT,     /* each of `ranks` waits for any of several of them */
    WAIT_HOPELESS, /* one rank waits for one that can't act any more, or never will */
} wait_core_kind;

typedef struct wait_core {
    wait_core_kind kind;
    int *ranks;
    size_t count;
} wait_core;

/* After wait_reduce. *cores and their ranks are the caller's to free. Returns how many there are. */
size_t wait_cores(const wait_job *job, wait_core **cores);

/* A message in flight to a rank that waits for one which differs in one thing. */
typedef struct wait_miss {
    const wait_flight *flight;
    const wait_item *item; /* of the rank `flight->destination` */
    enum { WAIT_MISS_TAG, WAIT_MISS_COMM, WAIT_MISS_SOURCE } what;
} wait_miss;

/* *misses is the caller's to free. Returns how many there are. */
size_t wait_misses(const wait_job *job, wait_miss **misses);

/* Two ranks that have begun different collectives as the same one of a communicator. False: none. */
typedef struct wait_mismatch {
    int first, second, comm;
    uint64_t number;
} wait_mismatch;

bool wait_find_mismatch(const wait_job *job, wait_mismatch *mismatch);

/* Has this member begun that collective? */
bool wait_has_entered(const wait_job *job, int rank, const wait_item *item);

/* Ranks of the job that aren't stuck, wait for nothing, and that waiting ones wait for, directly or not: these
 * decide. *ranks is the caller's to free. Returns how many there are. */
size_t wait_deciders(const wait_job *job, int **ranks);

/* Zeroed memory, the caller's; without it the command ends. */
void *wait_room(size_t count, size_t bytes);

/* Room for one more behind `count` elements in `list`, NULL if there are none; moves them. */
void *wait_one_more(void *list, size_t count, size_t bytes);

#endif
