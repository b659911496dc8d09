/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Message-driven traffic: tokens hop from rank to rank on five communicators until their hops are used up. Every way of
 * receiving, all four kinds of wildcards, sizes on both sides of eager limits, snapshots as fast as they can follow.
 *
 *   traffic_immediate SEED TOKENS HOPS [early]     early: keeps a receive posted across safe points
 *
 * With an even seed there is one communicator, and ranks wait in a blocking receive that follows the safe point.
 */
#include "traffic.h"

#include <wavecut.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAGS = 3, STOP_TAG = TAGS, QUEUE = 256 };

typedef struct token {
    uint32_t id, hops;
} token;

static uint64_t seed, choices;
static struct {
    token queue[QUEUE];
    uint32_t count, dead, stopped;
} S; /* protected */
static unsigned char in[TRAFFIC_BYTES], out[TRAFFIC_BYTES], early_in[TRAFFIC_BYTES];
static MPI_Request early = MPI_REQUEST_NULL;
static bool use_early;
static int comms; /* in use */

/* How something is done need not be the same after a restart; what is done must. */
static unsigned choose(unsigned n) {
    return (unsigned)(traffic_hash(seed, (uint64_t)T.rank + 1000, choices++) % n);
}

static void take(const unsigned char *buffer, int comm, const MPI_Status *status) {
    traffic_head head;
    traffic_receive(buffer, comm, status);
    memcpy(&head, buffer, sizeof head);
    if (head.tag == STOP_TAG && head.token == UINT32_MAX)
        S.stopped = 1;
    else if (head.tag == STOP_TAG)
        S.dead++;
    else if (S.count < QUEUE)
        S.queue[S.count++] = (token){head.token, head.hops};
    else
        traffic_fail("too many tokens on one rank");
}

/* Takes what is there, if anything is: by a probe of one kind or another. */
static bool poll_one(void) {
    MPI_Status status;
    int flag, comm = (int)choose((unsigned)comms);
    int source = choose(2) ? -1 : traffic_peer(comm, (int)choose((unsigned)T.ranks));
    int tag = choose(2) ? MPI_ANY_TAG : (int)choose(TAGS + 1);
    if (source < 0)
        source = MPI_ANY_SOURCE;
    if (use_early && comm == 0)
        return false; /* the posted receive takes what comes there */
    MPI_Iprobe(source, tag, T.comms[comm], &flag, &status);
    if (!flag)
        return false;
    MPI_Recv(in, TRAFFIC_BYTES, MPI_BYTE, choose(2) ? status.MPI_SOURCE : source,
             choose(2) ? status.MPI_TAG : tag, T.comms[comm], &status);
    take(in, comm, &status);
    return true;
}

static bool poll_early(void) {
    MPI_Status status;
    int flag = 0;
    if (!use_early)
        return false;
    MPI_Test(&early, &flag, &status);
    if (!flag)
        return false;
    take(early_in, 0, &status);
    MPI_Irecv(early_in, TRAFFIC_BYTES, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, T.comms[0], &early);
    return true;
}

static void send(int destination, int tag, uint32_t id, uint32_t hops) {
    uint64_t h = traffic_hash(seed + 1, id, hops);
    int comm = (int)(h % (uint64_t)comms), done = 0;
    if (traffic_peer(comm, destination) < 0)
        comm = 0;
    int bytes = traffic_compose(out, comm, destination, tag, id, hops, traffic_bytes(h >> 8));
    int peer = traffic_peer(comm, destination);
    MPI_Request request;
    if (choose(8) == 0)
        MPI_Issend(out, bytes, MPI_BYTE, peer, tag, T.comms[comm], &request);
    else
        MPI_Isend(out, bytes, MPI_BYTE, peer, tag, T.comms[comm], &request);
    for (MPI_Test(&request, &done, MPI_STATUS_IGNORE); !done;
         MPI_Test(&request, &done, MPI_STATUS_IGNORE))
        if (!poll_one())
            poll_early();
}

static void forward(token t) {
    if (t.hops == 0) {
        send(0, STOP_TAG, t.id, 0);
        return;
    }
    uint64_t h = traffic_hash(seed, t.id, t.hops);
    send((int)(h % (uint64_t)T.ranks), (int)((h >> 16) % TAGS), t.id, t.hops - 1);
}

/* Waits on all communicators at once, and takes back what was not needed. */
static void wait_any(void) {
    static unsigned char buffers[TRAFFIC_COMMS][TRAFFIC_BYTES];
    MPI_Request requests[TRAFFIC_COMMS];
    MPI_Status status, others[TRAFFIC_COMMS];
    int first, cancelled, begin = use_early ? 1 : 0;
    for (int c = 0; c < TRAFFIC_COMMS; c++)
        requests[c] = MPI_REQUEST_NULL;
    for (int c = begin; c < comms; c++)
        MPI_Irecv(buffers[c], TRAFFIC_BYTES, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, T.comms[c],
                  &requests[c]);
    if (use_early)
        requests[0] = early;
    MPI_Waitany(TRAFFIC_COMMS, requests, &first, &status);
    take(first == 0 && use_early ? early_in : buffers[first], first, &status);
    for (int c = begin; c < comms; c++)
        if (requests[c] != MPI_REQUEST_NULL)
            MPI_Cancel(&requests[c]);
    for (int c = begin; c < comms; c++) {
        if (c == first)
            continue;
        MPI_Wait(&requests[c], &others[c]);
        MPI_Test_cancelled(&others[c], &cancelled);
        if (!cancelled)
            take(buffers[c], c, &others[c]);
    }
    if (use_early && first == 0)
        MPI_Irecv(early_in, TRAFFIC_BYTES, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, T.comms[0],
                  &early);
    else if (use_early)
        early = requests[0];
}

/* Right after the safe point, with no other MPI call in between: a snapshot can record this rank in here. */
static void receive_blocking(void) {
    MPI_Status status;
    int source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG;
    if (choose(2)) {
        MPI_Probe(source, tag, T.comms[0], &status);
        source = status.MPI_SOURCE;
        tag = status.MPI_TAG;
    }
    MPI_Recv(in, TRAFFIC_BYTES, MPI_BYTE, source, tag, T.comms[0], &status);
    take(in, 0, &status);
}

static void wait_one(void) {
    if (comms == 1 && !use_early)
        receive_blocking();
    else if (choose(2))
        wait_any();
    else
        while (!poll_one() && !poll_early())
            ;
}

static void stop_all(void) {
    for (int r = 1; r < T.ranks; r++)
        send(r, STOP_TAG, UINT32_MAX, (uint32_t)r);
    S.stopped = 1;
}

static void run(uint32_t tokens) {
    for (uint64_t step = 0; !S.stopped; step++) {
        wavecut_safepoint();
        if (traffic_hash(seed, (uint64_t)T.rank, step) % 4 == 0)
            traffic_request();
        if (S.count)
            forward(S.queue[--S.count]);
        else if (T.rank == 0 && S.dead == tokens * (uint32_t)T.ranks)
            stop_all();
        else
            wait_one();
    }
}

int main(int argc, char **argv) {
    int restarted;
    MPI_Init(&argc, &argv);
    if (argc < 4)
        MPI_Abort(MPI_COMM_WORLD, 2);
    seed = strtoull(argv[1], NULL, 10);
    uint32_t tokens = (uint32_t)atoi(argv[2]), hops = (uint32_t)atoi(argv[3]);
    comms = seed % 2 ? TRAFFIC_COMMS : 1;
    use_early = argc > 4 && strcmp(argv[4], "early") == 0;
    if (wavecut_init(MPI_COMM_WORLD) != WAVECUT_OK || wavecut_cut(WAVECUT_IMMEDIATE) != WAVECUT_OK)
        MPI_Abort(MPI_COMM_WORLD, 1);
    traffic_open();
    wavecut_protect("tokens", &S, sizeof S / sizeof(uint32_t), MPI_UINT32_T);
    if (wavecut_restore(&restarted) != WAVECUT_OK)
        MPI_Abort(MPI_COMM_WORLD, 1);
    for (uint32_t i = 0; i < tokens && !restarted; i++)
        S.queue[S.count++] = (token){(uint32_t)T.rank * tokens + i, hops};
    if (use_early)
        MPI_Irecv(early_in, TRAFFIC_BYTES, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, T.comms[0],
                  &early);
    run(tokens);
    if (use_early) {
        MPI_Status status;
        int cancelled;
        MPI_Cancel(&early);
        MPI_Wait(&early, &status);
        MPI_Test_cancelled(&status, &cancelled);
        if (!cancelled)
            take(early_in, 0, &status);
    }
    wavecut_finalize();
    traffic_close();
    MPI_Finalize();
    return 0;
}
