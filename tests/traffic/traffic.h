/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages that tell who they are, and the account that each rank keeps of them in its protected state. What is in a
 * snapshot can so be judged from the file alone: see oracle.py.
 */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    TRAFFIC_COMMS = 5, /* the last one is an intercommunicator of the even and the odd ranks */
    TRAFFIC_RANKS = 8,
    TRAFFIC_MESSAGES = 1 << 14, /* at most on one channel */
    TRAFFIC_BYTES = 100000      /* of a message at most */
};

typedef struct traffic_head {
    uint32_t comm, source, destination, tag;
    uint64_t sequence; /* on its channel, from 0 */
    uint32_t bytes;    /* of the whole message */
    uint32_t token, hops, reserved;
} traffic_head;

typedef struct traffic {
    int rank, ranks;
    MPI_Comm comms[TRAFFIC_COMMS];
    uint64_t sent[TRAFFIC_COMMS][TRAFFIC_RANKS]; /* protected */
    uint8_t got[TRAFFIC_COMMS][TRAFFIC_RANKS]
               [TRAFFIC_MESSAGES / 8]; /* protected: one bit a message */
} traffic;

extern traffic T;

/* Ways on which some messages go, mixed with the plain ones. */
typedef enum traffic_way {
    TRAFFIC_SENT_PERSISTENT,
    TRAFFIC_GOT_PERSISTENT,
    TRAFFIC_GOT_MATCHED, /* by MPI_Mprobe or MPI_Improbe */
    TRAFFIC_WAYS
} traffic_way;

uint64_t traffic_hash(uint64_t a, uint64_t b, uint64_t c);
uint32_t traffic_bytes(uint64_t hash); /* a size on either side of eager limits */

/* How many of 4 messages, 0 to 3, are to go on a way in a run with this seed. With none, calls can be on the library's
 * fastest way. */
unsigned traffic_share(uint64_t seed, traffic_way way);

/* Counts a message that went on it; by any thread. traffic_close tells how many there were. */
void traffic_went(traffic_way way);

/* Rank on a communicator of a rank of the world; -1: nothing can be sent to it. */
int traffic_peer(int comm, int world);

void traffic_open(void); /* makes the communicators and protects the account */

/* Fills `buffer` with the next message of its channel and counts it as sent. Returns its bytes. */
int traffic_compose(unsigned char *buffer, int comm, int destination, int tag, uint32_t token,
                    uint32_t hops, uint32_t bytes);

/* Checks what was received, marks it as got. A message that is wrong or comes twice fails the run. */
void traffic_receive(const unsigned char *buffer, int comm, const MPI_Status *status);

/* Asks for a snapshot whenever none is under way. */
void traffic_request(void);

/* Collective, at the end: was every message that was sent received? Rank 0 prints how many went on each way. */
void traffic_close(void);

/* Ends the whole run. */
void traffic_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
