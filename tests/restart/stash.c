/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages that stay in flight over several snapshots and restarts: each phase sends a batch on every channel, receives a
 * part of what earlier phases have sent, and then waits for a snapshot, so that what was not received is in it for certain.
 *
 *   stash aligned|immediate [hold]     hold: after each phase but the last, wait for a snapshot and die (SIGKILL) when it is
 *                                      committed; the next start must be a restart from it. Without: all phases in a row
 *
 * What a receive may get is known: of the messages of its channel that are left, the first one that it matches. So order
 * and exactly-once are checked message by message; what a 0-byte message is follows from its tag.
 */
#include "job.h"

#include <wavecut.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMMS = 4, RANKS = 8, BATCH = 6, PHASES = 4, MESSAGES = BATCH * (PHASES - 1), TAGS = 3 };
enum { WAYS = 6, LARGE = 3 << 20, WORK = 16, ATTACHED = 64 << 20 };

static int rank, ranks;
static bool hold;
static bool aligned;
static MPI_Comm comms[COMMS];
static int sizes[COMMS], places[COMMS]; /* of the communicators, and this rank in them */
static unsigned char in[2][LARGE], out[LARGE];

/* Protected. */
static int phase;
static uint8_t got[COMMS][RANKS][MESSAGES];

static void fail(const char *what, int comm, int source, int number) {
    fprintf(stderr, "stash: rank %d, phase %d: %s (communicator %d, from %d, message %d)\n", rank,
            phase, what, comm, source, number);
    MPI_Abort(MPI_COMM_WORLD, 3);
}

/* ---- what is sent ---- */

static int tag_of(int i) {
    return i * 5 / 2 % TAGS;
}

static int bytes_of(int comm, int source, int destination, int i) {
    static const int bytes[BATCH] = {8, 0, 5000, 1, 100000, 0};
    bool large = i % BATCH == 3 && (comm + source + destination) % 3 == 0;
    return large ? LARGE - source : bytes[i % BATCH];
}

static void fill(unsigned char *to, int comm, int source, int i, int bytes) {
    uint32_t x = (uint32_t)(comm * 1000 + source * 100 + i);
    for (int k = 0; k < bytes; k++)
        to[k] = (unsigned char)((x = x * 1664525u + 1013904223u) >> 24);
}

/* Buffered: nothing is outstanding at a safe point, however long the receiver waits. */
static void send_batch(void) {
    for (int i = phase * BATCH; i < (phase + 1) * BATCH; i++)
        for (int c = 0; c < COMMS; c++)
            for (int to = 0; to < sizes[c]; to++) {
                int bytes = bytes_of(c, places[c], to, i);
                fill(out, c, places[c], i, bytes);
                MPI_Bsend(out, bytes, MPI_BYTE, to, tag_of(i), comms[c]);
            }
}

/* ---- what is received ---- */

/* The first message left on the channel that a receive for this tag can get. */
static int first_left(int c, int source, int tag) {
    int i = 0;
    while (i < MESSAGES && (got[c][source][i] || (tag != MPI_ANY_TAG && tag != tag_of(i))))
        i++;
    return i;
}

static void check(const unsigned char *data, int c, int tag, const MPI_Status *status) {
    static unsigned char right[LARGE];
    int source = status->MPI_SOURCE, bytes, i = first_left(c, source, tag);
    MPI_Get_count(status, MPI_BYTE, &bytes);
    if (i == MESSAGES)
        fail("a message that was received before", c, source, -1);
    if (status->MPI_TAG != tag_of(i) || bytes != bytes_of(c, source, places[c], i))
        fail("another message than the next one", c, source, i);
    fill(right, c, source, i, bytes);
    if (memcmp(data, right, (size_t)bytes) != 0)
        fail("another content", c, source, i);
    got[c][source][i] = 1;
}

static void by_probe(int c, int source, bool blocking) {
    MPI_Status probed, status;
    int flag = 0, expected, bytes;
    if (blocking)
        MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, comms[c], &probed);
    while (!blocking && !flag)
        MPI_Iprobe(source, MPI_ANY_TAG, comms[c], &flag, &probed);
    MPI_Get_count(&probed, MPI_BYTE, &expected);
    MPI_Recv(in[0], LARGE, MPI_BYTE, probed.MPI_SOURCE, probed.MPI_TAG, comms[c], &status);
    MPI_Get_count(&status, MPI_BYTE, &bytes);
    if (bytes != expected)
        fail("a probe told another length", c, probed.MPI_SOURCE, -1);
    check(in[0], c, MPI_ANY_TAG, &status);
}

/* Both are posted before either is asked for, and asked for in the other order: the older one gets the older message. */
static int by_posted(int c, int source, int tag) {
    MPI_Request requests[2];
    MPI_Status status[2];
    int flag = 0, n = first_left(c, source, tag) + 1;
    while (n < phase * BATCH && (got[c][source][n] || tag_of(n) != tag))
        n++;
    int count = n < phase * BATCH ? 2 : 1; /* is another one certain to come? */
    for (int k = 0; k < count; k++)
        MPI_Irecv(in[k], LARGE, MPI_BYTE, source, tag, comms[c], &requests[k]);
    if (count == 2)
        MPI_Wait(&requests[1], &status[1]);
    while (!flag)
        MPI_Test(&requests[0], &flag, &status[0]);
    for (int k = 0; k < count; k++)
        check(in[k], c, tag, &status[k]);
    return count;
}

/* One receive (or two) by one way or another; message i is there for it. Returns how many. */
static int receive(int way, int c, int source, int i) {
    MPI_Status status;
    MPI_Request request;
    int from = way == 1 || way == 4 ? MPI_ANY_SOURCE : source;
    int tag = way == 1 ? MPI_ANY_TAG : tag_of(i);
    switch (way) {
    case 2:
    case 3:
        by_probe(c, source, way == 2);
        return 1;
    case 4:
        MPI_Irecv(in[0], LARGE, MPI_BYTE, from, tag, comms[c], &request);
        MPI_Wait(&request, &status);
        break;
    case 5:
        return by_posted(c, source, tag);
    default:
        MPI_Recv(in[0], LARGE, MPI_BYTE, from, tag, comms[c], &status);
    }
    check(in[0], c, tag, &status);
    return 1;
}

/* Receives up to `wanted` messages that earlier phases have sent: round the channels, not the oldest one each time. */
static void receive_some(int wanted) {
    bool any = true;
    for (int turn = 0; any && wanted > 0; turn++) {
        any = false;
        for (int c = 0; c < COMMS && wanted > 0; c++)
            for (int s = 0; s < sizes[c] && wanted > 0; s++) {
                int i = first_left(c, s, (turn + s) % 2 ? MPI_ANY_TAG : (turn + c) % TAGS);
                if (i >= phase * BATCH)
                    i = first_left(c, s, MPI_ANY_TAG);
                if (i >= phase * BATCH)
                    continue;
                wanted -= receive((turn + c + s) % WAYS, c, s, i);
                any = true;
            }
    }
}

/* ---- phases ---- */

static int in_flight(void) {
    int left = 0, all;
    for (int c = 0; c < COMMS; c++)
        for (int s = 0; s < sizes[c]; s++)
            for (int i = 0; i < phase * BATCH && i < MESSAGES; i++)
                left += !got[c][s][i];
    MPI_Allreduce(&left, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    return all;
}

/* Asks until there is a snapshot. In an aligned program all must pass the safe point equally often. */
static void wait_for_snapshot(void) {
    for (uint64_t done = 0; !done;) {
        wavecut_info info;
        wavecut_safepoint();
        wavecut_status_get(&info);
        if (rank == 0 && !info.in_progress)
            wavecut_request();
        done = info.committed;
        job_pause(0.2); /* more ranks than cores: they shouldn't spin */
        if (aligned)
            MPI_Allreduce(MPI_IN_PLACE, &done, 1, MPI_UINT64_T, MPI_MIN, MPI_COMM_WORLD);
    }
}

static void run(void) {
    while (phase < PHASES) {
        if (phase < PHASES - 1)
            send_batch();
        receive_some(phase == PHASES - 1 ? COMMS * RANKS * MESSAGES : phase * WORK);
        phase++;
        int flying = in_flight();
        if (rank == 0)
            printf("stash: phase %d ends with %d messages in flight\n", phase, flying);
        fflush(stdout);
        if (phase == PHASES && flying)
            fail("messages are missing", -1, -1, -1);
        if (!hold || phase == PHASES)
            continue;
        wait_for_snapshot();
        if (rank == ranks - 1)
            raise(SIGKILL);
        for (;; job_pause(1)) /* until mpirun ends the others */
            wavecut_safepoint();
    }
}

static void open_comms(void) {
    comms[0] = MPI_COMM_WORLD;
    MPI_Comm_split(MPI_COMM_WORLD, 7, -rank, &comms[1]); /* the other way round */
    MPI_Comm_split(comms[1], rank < 2, rank, &comms[2]); /* two of them */
    comms[3] = MPI_COMM_SELF;
    for (int c = 0; c < COMMS; c++) {
        MPI_Comm_size(comms[c], &sizes[c]);
        MPI_Comm_rank(comms[c], &places[c]);
    }
}

static bool start(int *restarted) {
    return wavecut_init(MPI_COMM_WORLD) == WAVECUT_OK &&
           wavecut_cut(aligned ? WAVECUT_ALIGNED : WAVECUT_IMMEDIATE) == WAVECUT_OK &&
           wavecut_protect("phase", &phase, 1, MPI_INT) == WAVECUT_OK &&
           wavecut_protect("got", got, sizeof got, MPI_UINT8_T) == WAVECUT_OK &&
           wavecut_restore(restarted) == WAVECUT_OK;
}

int main(int argc, char **argv) {
    static unsigned char attached[ATTACHED];
    void *detached;
    int bytes, restarted;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (argc < 2 || ranks > RANKS)
        MPI_Abort(MPI_COMM_WORLD, 2);
    aligned = strcmp(argv[1], "aligned") == 0;
    hold = argc > 2;
    open_comms();
    MPI_Buffer_attach(attached, sizeof attached);
    if (!start(&restarted))
        MPI_Abort(MPI_COMM_WORLD, 1);
    wavecut_info info;
    uint64_t back;
    wavecut_status_get(&info);
    MPI_Allreduce(&info.restored_messages, &back, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
    if (restarted && rank == 0)
        printf("stash: restarted in phase %d, %d messages came back\n", phase, (int)back);
    run();
    bool well = wavecut_finalize() == WAVECUT_OK;
    MPI_Buffer_detach(&detached, &bytes);
    MPI_Finalize();
    if (rank == 0 && well)
        printf("stash: ended well\n");
    return well ? 0 : 1;
}
