/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Message-driven traffic: tokens hop from rank to rank on five communicators until their hops are used up. Every way of
 * receiving, all four kinds of wildcards, sizes on both sides of eager limits, snapshots as fast as they can follow. By the
 * seed, some are sent and received by persistent requests, and some are received by a matched probe.
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
static unsigned char any_in[TRAFFIC_COMMS][TRAFFIC_BYTES];
static MPI_Request early = MPI_REQUEST_NULL;
static bool use_early, early_is_persistent;
static int comms; /* in use */

/* A persistent request, made when a message first needs it; after a restart too. */
typedef struct kept {
    MPI_Request request;
    bool made;
    int bytes; /* of a send */
} kept;

/* Of the receives the first are those with MPI_ANY_SOURCE and MPI_ANY_TAG. */
static kept sends[TRAFFIC_COMMS][TRAFFIC_RANKS][TAGS + 1];        /* from `out` */
static kept receives[TRAFFIC_COMMS][TRAFFIC_RANKS + 1][TAGS + 2]; /* to `in` */
static kept any[TRAFFIC_COMMS], any_early;                        /* to `any_in`, `early_in` */

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

static bool goes(traffic_way way) {
    return choose(4) < traffic_share(seed, way);
}

/* ---- persistent requests ---- */

static kept *receive_to(kept *k, unsigned char *buffer, int comm, int source, int tag) {
    if (!k->made)
        MPI_Recv_init(buffer, TRAFFIC_BYTES, MPI_BYTE, source, tag, T.comms[comm], &k->request);
    k->made = true;
    return k;
}

static void unmake(kept *k) {
    if (k->made)
        MPI_Request_free(&k->request);
    k->made = false;
}

/* Its size remains, and is that of the message. Now and then one is made anew. */
static kept *send_of(int comm, int destination, int tag, int bytes) {
    kept *k = &sends[comm][destination][tag];
    if (choose(16) == 0)
        unmake(k);
    if (k->made)
        return k;
    int (*make)(const void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *) =
        choose(8) == 0 ? MPI_Ssend_init : MPI_Send_init;
    make(out, bytes, MPI_BYTE, traffic_peer(comm, destination), tag, T.comms[comm], &k->request);
    k->made = true;
    k->bytes = bytes;
    return k;
}

static void unmake_all(void) {
    for (size_t i = 0; i < sizeof sends / sizeof(kept); i++)
        unmake(&sends[0][0][0] + i);
    for (size_t i = 0; i < sizeof receives / sizeof(kept); i++)
        unmake(&receives[0][0][0] + i);
    for (int c = 0; c < TRAFFIC_COMMS; c++)
        unmake(&any[c]);
    unmake(&any_early);
}

/* ---- receives ---- */

static bool poll_one(void);

/* Into `in`, from a message handle: others may be received while this one is held. */
static void receive_held(int comm, MPI_Message *message) {
    MPI_Status status;
    MPI_Request request;
    traffic_went(TRAFFIC_GOT_MATCHED);
    if (choose(4) == 0)
        poll_one();
    if (choose(2)) {
        MPI_Mrecv(in, TRAFFIC_BYTES, MPI_BYTE, message, &status);
    } else {
        MPI_Imrecv(in, TRAFFIC_BYTES, MPI_BYTE, message, &request);
        MPI_Wait(&request, &status);
    }
    take(in, comm, &status);
}

/* What a probe has found, or what comes. */
static void receive_one(int comm, int source, int tag) {
    MPI_Status status;
    if (goes(TRAFFIC_GOT_PERSISTENT)) {
        kept *k = &receives[comm][source == MPI_ANY_SOURCE ? 0 : source + 1]
                           [tag == MPI_ANY_TAG ? 0 : tag + 1];
        receive_to(k, in, comm, source, tag);
        MPI_Start(&k->request);
        MPI_Wait(&k->request, &status);
        traffic_went(TRAFFIC_GOT_PERSISTENT);
    } else {
        MPI_Recv(in, TRAFFIC_BYTES, MPI_BYTE, source, tag, T.comms[comm], &status);
    }
    take(in, comm, &status);
}

/* Takes what is there, if anything is: by a probe of one kind or another. */
static bool poll_one(void) {
    MPI_Status status;
    MPI_Message message;
    int flag, comm = (int)choose((unsigned)comms);
    int source = choose(2) ? -1 : traffic_peer(comm, (int)choose((unsigned)T.ranks));
    int tag = choose(2) ? MPI_ANY_TAG : (int)choose(TAGS + 1);
    if (source < 0)
        source = MPI_ANY_SOURCE;
    if (use_early && comm == 0)
        return false; /* the posted receive takes what comes there */
    if (goes(TRAFFIC_GOT_MATCHED)) {
        MPI_Improbe(source, tag, T.comms[comm], &flag, &message, &status);
        if (flag)
            receive_held(comm, &message);
        return flag;
    }
    MPI_Iprobe(source, tag, T.comms[comm], &flag, &status);
    if (flag)
        receive_one(comm, choose(2) ? status.MPI_SOURCE : source, choose(2) ? status.MPI_TAG : tag);
    return flag;
}

/* The receive that is outstanding at safe points: plain, persistent, or of a message that a probe has matched. */
static void post_early(void) {
    MPI_Message message;
    int flag = 0;
    early_is_persistent = goes(TRAFFIC_GOT_PERSISTENT);
    if (early_is_persistent) {
        early = receive_to(&any_early, early_in, 0, MPI_ANY_SOURCE, MPI_ANY_TAG)->request;
        MPI_Start(&early);
        return;
    }
    if (goes(TRAFFIC_GOT_MATCHED))
        MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, T.comms[0], &flag, &message, MPI_STATUS_IGNORE);
    if (flag) {
        MPI_Imrecv(early_in, TRAFFIC_BYTES, MPI_BYTE, &message, &early);
        traffic_went(TRAFFIC_GOT_MATCHED);
        return;
    }
    MPI_Irecv(early_in, TRAFFIC_BYTES, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, T.comms[0], &early);
}

/* It is complete. */
static void take_early(const MPI_Status *status) {
    if (early_is_persistent)
        traffic_went(TRAFFIC_GOT_PERSISTENT);
    take(early_in, 0, status);
    post_early();
}

static bool poll_early(void) {
    MPI_Status status;
    int flag = 0;
    if (!use_early)
        return false;
    MPI_Test(&early, &flag, &status);
    if (flag)
        take_early(&status);
    return flag;
}

/* ---- sends ---- */

static void send(int destination, int tag, uint32_t id, uint32_t hops) {
    uint64_t h = traffic_hash(seed + 1, id, hops);
    int comm = (int)(h % (uint64_t)comms), done = 0;
    if (traffic_peer(comm, destination) < 0)
        comm = 0;
    int peer = traffic_peer(comm, destination), bytes = (int)traffic_bytes(h >> 8);
    kept *k = goes(TRAFFIC_SENT_PERSISTENT) ? send_of(comm, destination, tag, bytes) : NULL;
    bytes = traffic_compose(out, comm, destination, tag, id, hops,
                            k ? (uint32_t)k->bytes : (uint32_t)bytes);
    MPI_Request plain, *request = k ? &k->request : &plain;
    if (k) {
        MPI_Start(request);
        traffic_went(TRAFFIC_SENT_PERSISTENT);
    } else if (choose(8) == 0) {
        MPI_Issend(out, bytes, MPI_BYTE, peer, tag, T.comms[comm], request);
    } else {
        MPI_Isend(out, bytes, MPI_BYTE, peer, tag, T.comms[comm], request);
    }
    for (MPI_Test(request, &done, MPI_STATUS_IGNORE); !done;
         MPI_Test(request, &done, MPI_STATUS_IGNORE))
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

/* ---- a step ---- */

/* A receive from anyone on each communicator that has no early one: some of them are persistent, and `is_kept`. */
static void post_any(MPI_Request requests[], bool is_kept[]) {
    MPI_Request started[TRAFFIC_COMMS];
    int n = 0;
    for (int c = use_early ? 1 : 0; c < comms; c++) {
        is_kept[c] = goes(TRAFFIC_GOT_PERSISTENT);
        if (is_kept[c])
            started[n++] = receive_to(&any[c], any_in[c], c, MPI_ANY_SOURCE, MPI_ANY_TAG)->request;
        else
            MPI_Irecv(any_in[c], TRAFFIC_BYTES, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, T.comms[c],
                      &requests[c]);
    }
    MPI_Startall(n, started);
    for (int c = comms - 1; c >= 0; c--)
        if (is_kept[c])
            requests[c] = any[c].request = started[--n];
}

static void take_any(int comm, bool is_kept, const MPI_Status *status) {
    if (is_kept)
        traffic_went(TRAFFIC_GOT_PERSISTENT);
    take(any_in[comm], comm, status);
}

/* Waits on all communicators at once, and takes back what was not needed. */
static void wait_any(void) {
    MPI_Request requests[TRAFFIC_COMMS];
    MPI_Status status, other;
    bool is_kept[TRAFFIC_COMMS] = {false};
    int first, cancelled, begin = use_early ? 1 : 0;
    for (int c = 0; c < TRAFFIC_COMMS; c++)
        requests[c] = MPI_REQUEST_NULL;
    post_any(requests, is_kept);
    if (use_early)
        requests[0] = early;
    MPI_Waitany(TRAFFIC_COMMS, requests, &first, &status);
    if (first >= begin)
        take_any(first, is_kept[first], &status);
    for (int c = begin; c < comms; c++)
        if (c != first)
            MPI_Cancel(&requests[c]);
    for (int c = begin; c < comms; c++) {
        if (c == first)
            continue;
        MPI_Wait(&requests[c], &other);
        MPI_Test_cancelled(&other, &cancelled);
        if (!cancelled)
            take_any(c, is_kept[c], &other);
    }
    if (use_early && first == 0)
        take_early(&status);
}

/* Right after the safe point, with no other MPI call in between: a snapshot can record this rank in here. */
static void receive_blocking(void) {
    MPI_Status status;
    MPI_Message message;
    if (goes(TRAFFIC_GOT_MATCHED)) {
        MPI_Mprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, T.comms[0], &message, MPI_STATUS_IGNORE);
        receive_held(0, &message);
    } else if (choose(2)) {
        MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, T.comms[0], &status);
        receive_one(0, status.MPI_SOURCE, status.MPI_TAG);
    } else {
        receive_one(0, MPI_ANY_SOURCE, MPI_ANY_TAG);
    }
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
        post_early();
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
    unmake_all();
    wavecut_finalize();
    traffic_close();
    MPI_Finalize();
    return 0;
}
