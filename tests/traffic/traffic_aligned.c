/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stepwise traffic that an aligned cut must get right: messages stay under way for up to three steps; on each communicator
 * receives use another kind of wildcard.
 *
 *   traffic_aligned SEED STEPS [early]     early: receives are posted two steps ahead and handed over in random order, sends
 *                                          stay open, all of them across safe points
 *   traffic_aligned SEED STEPS threads aligned|immediate     a thread for each communicator, and one or the other cut
 *
 * A schedule that all ranks can compute says what is sent in which step and when it is due. What matches which receive is
 * MPI's affair; by step t enough has been sent for all receives that are due by then, and nothing later can match them:
 * ANY_SOURCE goes with a tag for each step, and with ANY_TAG as well there is a barrier after each step.
 */
#include "traffic.h"

#include <wavecut.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SPECIFIC, ANY_SOURCE_, ANY_TAG_, ANY_BOTH, INTER /* as ANY_SOURCE_ */ };
enum { DELAYS = 4, AHEAD = 2, OPEN = 4096 };

/* A tag for each step that ranks can be apart: an answer for a later step must not meet this one's receive. */
enum { STEP_TAGS = 64 };

typedef struct planned {
    int due, tag;
    uint32_t bytes;
} planned;

typedef struct operation {
    MPI_Request request;
    unsigned char *buffer;
    int comm, wait; /* step in which it is handed over */
    bool is_send;
} operation;

static uint64_t seed;
static int steps, step; /* step is protected */
static bool early, barriers;

/* What one thread does: the traffic on its communicators. */
typedef struct worker {
    int first, end;
    operation open[OPEN];
    int nopen;
    unsigned char buffer[TRAFFIC_BYTES];
    pthread_t thread;
} worker;

static worker workers[TRAFFIC_COMMS];
static int nworkers = 1;
static pthread_barrier_t meeting;

static int count_of(int s, int from, int to, int comm) {
    if ((comm == ANY_BOTH && !barriers) || traffic_peer(comm, T.rank == from ? to : from) < 0)
        return 0;
    return (int)(traffic_hash(seed, (uint64_t)(s * 64 + from * 8 + to), (uint64_t)comm) % 5) / 2 %
           3;
}

/* The m-th message from one rank to another in step s on a communicator. */
static planned plan(int s, int from, int to, int comm, int m) {
    uint64_t h =
        traffic_hash(seed + 17, (uint64_t)(s * 64 + from * 8 + to), (uint64_t)(comm * 16 + m));
    planned p = {
        .due = s + (int)(h % DELAYS), .tag = (int)((h >> 8) % 3), .bytes = traffic_bytes(h >> 16)};
    if (p.due > steps - 1)
        p.due = steps - 1;
    if (comm == ANY_SOURCE_ || comm == INTER)
        p.tag = STEP_TAGS + p.due % STEP_TAGS;
    return p;
}

static operation *add(worker *w, int comm, int wait, bool is_send, uint32_t bytes) {
    if (w->nopen == OPEN)
        MPI_Abort(MPI_COMM_WORLD, 1);
    operation *o = &w->open[w->nopen++];
    *o = (operation){.comm = comm, .wait = wait, .is_send = is_send, .buffer = malloc(bytes)};
    return o;
}

/* In each step's order of posting: what is due in the same step comes in a fixed order. */
static void post_receives(worker *w, int due) {
    if (due >= steps)
        return;
    for (int comm = w->first; comm < w->end; comm++)
        for (int from = 0; from < T.ranks; from++)
            for (int s = due - DELAYS + 1; s <= due; s++)
                for (int m = 0; s >= 0 && m < count_of(s, from, T.rank, comm); m++) {
                    planned p = plan(s, from, T.rank, comm, m);
                    if (p.due != due)
                        continue;
                    int late =
                        early ? (int)(traffic_hash(seed, (uint64_t)due, (uint64_t)m) % 3) : 0;
                    operation *o = add(w, comm, due + late, false, TRAFFIC_BYTES);
                    int source = comm == SPECIFIC || comm == ANY_TAG_ ? from : MPI_ANY_SOURCE;
                    int tag = comm == ANY_TAG_ || comm == ANY_BOTH ? MPI_ANY_TAG : p.tag;
                    MPI_Irecv(o->buffer, TRAFFIC_BYTES, MPI_BYTE, source, tag, T.comms[comm],
                              &o->request);
                }
}

/* A plain program has nothing open at its safe points: what may be received later is buffered, or small enough for MPI to
 * send eagerly. Which message a receive gets is decided by order, so that may be any; all are received within DELAYS. */
static void send_one(worker *w, int to, int comm, const planned *p) {
    if (early || p->bytes < 1000) {
        operation *o = add(w, comm, step + DELAYS, true, p->bytes);
        int bytes = traffic_compose(o->buffer, comm, to, p->tag, 0, 0, p->bytes);
        MPI_Isend(o->buffer, bytes, MPI_BYTE, traffic_peer(comm, to), p->tag, T.comms[comm],
                  &o->request);
        return;
    }
    int bytes = traffic_compose(w->buffer, comm, to, p->tag, 0, 0, p->bytes);
    MPI_Bsend(w->buffer, bytes, MPI_BYTE, traffic_peer(comm, to), p->tag, T.comms[comm]);
}

static void send_all(worker *w) {
    for (int comm = w->first; comm < w->end; comm++)
        for (int to = 0; to < T.ranks; to++)
            for (int m = 0; m < count_of(step, T.rank, to, comm); m++) {
                planned p = plan(step, T.rank, to, comm, m);
                send_one(w, to, comm, &p);
            }
}

static void finish(worker *w, operation *o, const MPI_Status *status) {
    if (!o->is_send)
        traffic_receive(o->buffer, o->comm, status);
    free(o->buffer);
    *o = w->open[--w->nopen];
}

/* Hands over what is to be handed over by `until`: in random order, by one call or another. */
static void hand_over(worker *w, int until) {
    uint64_t h = traffic_hash(seed + 3, (uint64_t)step, (uint64_t)T.rank);
    int start = w->nopen ? (int)(h % (uint64_t)w->nopen) : 0;
    MPI_Status status;
    for (int looked = 0; looked < w->nopen;) {
        operation *o = &w->open[(start + looked) % w->nopen];
        if (o->wait > until) {
            looked++;
            continue;
        }
        int flag = 1;
        if (h++ % 3)
            MPI_Wait(&o->request, &status);
        else
            MPI_Test(&o->request, &flag, &status);
        if (flag) {
            finish(w, o, &status);
            looked = 0;
        }
    }
}

/* In a plain program everything that was started in a step is waited for in it. */
static void end_step(worker *w) {
    if (early) {
        hand_over(w, step);
        return;
    }
    MPI_Request requests[OPEN];
    MPI_Status statuses[OPEN];
    for (int i = 0; i < w->nopen; i++)
        requests[i] = w->open[i].request;
    MPI_Waitall(w->nopen, requests, statuses);
    for (int i = w->nopen; i > 0; i--)
        finish(w, &w->open[i - 1], &statuses[i - 1]);
}

static void do_step(worker *w) {
    post_receives(w, early ? step + AHEAD : step);
    send_all(w);
    end_step(w);
}

static void meet(void) {
    if (nworkers > 1)
        pthread_barrier_wait(&meeting);
}

static void *serve(void *argument) {
    for (meet(); step < steps; meet()) {
        do_step(argument);
        meet();
    }
    return NULL;
}

/* A thread for each communicator; the main thread has the first one. */
static void start_threads(void) {
    nworkers = TRAFFIC_COMMS;
    pthread_barrier_init(&meeting, NULL, (unsigned)nworkers);
    for (int i = 0; i < nworkers; i++) {
        workers[i].first = i;
        workers[i].end = i + 1;
        if (i)
            pthread_create(&workers[i].thread, NULL, serve, &workers[i]);
    }
}

static void run(void) {
    for (int due = step; early && due < step + AHEAD; due++)
        post_receives(&workers[0], due);
    for (; step < steps; step++) {
        wavecut_safepoint();
        if (traffic_hash(seed, (uint64_t)T.rank, (uint64_t)step) % (uint64_t)T.ranks == 0)
            traffic_request();
        uint64_t h = traffic_hash(seed + 5, (uint64_t)T.rank, (uint64_t)step);
        if (h % 16 == 0)
            usleep((useconds_t)(h >> 8) % 500);
        meet();
        do_step(&workers[0]);
        meet();
        if (barriers)
            MPI_Barrier(MPI_COMM_WORLD);
    }
    meet();
    for (int i = 1; i < nworkers; i++)
        pthread_join(workers[i].thread, NULL);
    hand_over(&workers[0], steps + 2 * DELAYS);
}

int main(int argc, char **argv) {
    bool threads = argc > 4 && strcmp(argv[3], "threads") == 0;
    int wanted = threads ? MPI_THREAD_MULTIPLE : MPI_THREAD_SINGLE, level;
    MPI_Init_thread(&argc, &argv, wanted, &level);
    if (argc < 3 || level < wanted)
        MPI_Abort(MPI_COMM_WORLD, 2);
    seed = strtoull(argv[1], NULL, 10);
    steps = atoi(argv[2]);
    early = argc > 3 && strcmp(argv[3], "early") == 0;
    barriers = seed % 2;
    if (wavecut_init(MPI_COMM_WORLD) != WAVECUT_OK)
        MPI_Abort(MPI_COMM_WORLD, 1);
    traffic_open();
    static unsigned char attached[64 << 20];
    MPI_Buffer_attach(attached, sizeof attached);
    wavecut_protect("step", &step, 1, MPI_INT);
    if (threads && strcmp(argv[4], "immediate") == 0)
        wavecut_cut(WAVECUT_IMMEDIATE);
    if (wavecut_restore(NULL) != WAVECUT_OK)
        MPI_Abort(MPI_COMM_WORLD, 1);
    workers[0].end = TRAFFIC_COMMS;
    if (threads)
        start_threads();
    run();
    wavecut_finalize();
    traffic_close();
    int size;
    void *detached;
    MPI_Buffer_detach(&detached, &size);
    MPI_Finalize();
    return 0;
}
