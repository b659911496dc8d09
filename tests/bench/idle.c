/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a call costs while no snapshot is under way.
 *
 *   idle trio COUNT      Irecv, Isend and Waitall to self
 *   idle pair COUNT      a Send and a Recv to self
 *   idle persistent COUNT    the same with persistent requests: Start and Wait of each
 *
 * are to be counted with callgrind, collecting inside of one_trio, one_send or one_recv, in this program and in the one
 * that is built without Wavecut (-DPLAIN). What the first call costs falls out when runs with different COUNT are
 * subtracted.
 *
 *   idle pingpong BYTES COUNT TURNS    a message there and one back between two ranks
 *   idle window BYTES COUNT TURNS      WINDOW messages one way, and an answer
 *
 * COUNT exchanges with MPI's own calls (PMPI_) and as many through Wavecut take turns; prints a line for each turn, µs
 * of one exchange: without, with.
 *
 * IDLE_CUT=immediate in the environment chooses the other cut.
 */
#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PLAIN
#include <wavecut.h>
#endif

enum { WINDOW = 64 };

static char in[1 << 20], out[1 << 20];

__attribute__((noinline)) static void one_trio(void) {
    MPI_Request requests[2];
    MPI_Irecv(in, 8, MPI_BYTE, 0, 1, MPI_COMM_SELF, &requests[0]);
    MPI_Isend(out, 8, MPI_BYTE, 0, 1, MPI_COMM_SELF, &requests[1]);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
}

__attribute__((noinline)) static void one_send(void) {
    MPI_Send(out, 8, MPI_BYTE, 0, 1, MPI_COMM_SELF);
}

__attribute__((noinline)) static void one_recv(void) {
    MPI_Recv(in, 8, MPI_BYTE, 0, 1, MPI_COMM_SELF, MPI_STATUS_IGNORE);
}

static void start_and_wait(MPI_Request *request) {
    MPI_Start(request);
    MPI_Wait(request, MPI_STATUS_IGNORE);
}

static MPI_Request send_request, receive_request;

__attribute__((noinline)) static void one_persistent_send(void) {
    start_and_wait(&send_request);
}

__attribute__((noinline)) static void one_persistent_recv(void) {
    start_and_wait(&receive_request);
}

/* Some MPIs don't complete a send to self before its receive is there: the other end of what is counted is started first. */
static void pair(void) {
    MPI_Request other;
    MPI_Irecv(in, 8, MPI_BYTE, 0, 1, MPI_COMM_SELF, &other);
    one_send();
    MPI_Wait(&other, MPI_STATUS_IGNORE);
    MPI_Isend(out, 8, MPI_BYTE, 0, 1, MPI_COMM_SELF, &other);
    one_recv();
    MPI_Wait(&other, MPI_STATUS_IGNORE);
}

static void persistent_pair(void) {
    MPI_Start(&receive_request);
    one_persistent_send();
    MPI_Wait(&receive_request, MPI_STATUS_IGNORE);
    MPI_Start(&send_request);
    one_persistent_recv();
    MPI_Wait(&send_request, MPI_STATUS_IGNORE);
}

static void count(const char *kind, int n) {
    bool persistent = strcmp(kind, "persistent") == 0;
    if (persistent) {
        MPI_Send_init(out, 8, MPI_BYTE, 0, 1, MPI_COMM_SELF, &send_request);
        MPI_Recv_init(in, 8, MPI_BYTE, 0, 1, MPI_COMM_SELF, &receive_request);
    }
    for (int i = 0; i < n; i++) {
        if (strcmp(kind, "trio") == 0)
            one_trio();
        else if (persistent)
            persistent_pair();
        else
            pair();
    }
}

/* ---- time: calls with and without Wavecut take turns in one run ---- */

typedef struct calls {
    int (*send)(const void *, int, MPI_Datatype, int, int, MPI_Comm);
    int (*recv)(void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Status *);
    int (*isend)(const void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *);
    int (*irecv)(void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *);
    int (*waitall)(int, MPI_Request[], MPI_Status[]);
} calls;

static const calls without = {PMPI_Send, PMPI_Recv, PMPI_Isend, PMPI_Irecv, PMPI_Waitall};
static const calls with = {MPI_Send, MPI_Recv, MPI_Isend, MPI_Irecv, MPI_Waitall};

/* One message there and one back. */
static void pingpong(const calls *c, int rank, int bytes) {
    if (rank == 0)
        c->send(out, bytes, MPI_BYTE, 1, 1, MPI_COMM_WORLD);
    c->recv(in, bytes, MPI_BYTE, !rank, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (rank == 1)
        c->send(out, bytes, MPI_BYTE, 0, 1, MPI_COMM_WORLD);
}

/* A window of messages one way, and an answer. */
static void window(const calls *c, int rank, int bytes) {
    MPI_Request requests[WINDOW];
    for (int w = 0; w < WINDOW; w++) {
        if (rank == 0)
            c->isend(out, bytes, MPI_BYTE, 1, 1, MPI_COMM_WORLD, &requests[w]);
        else
            c->irecv(in, bytes, MPI_BYTE, 0, 1, MPI_COMM_WORLD, &requests[w]);
    }
    c->waitall(WINDOW, requests, MPI_STATUSES_IGNORE);
    if (rank == 1)
        c->send(out, 0, MPI_BYTE, 0, 2, MPI_COMM_WORLD);
    else
        c->recv(in, 0, MPI_BYTE, 1, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

typedef void exchange(const calls *c, int rank, int bytes);

/* Seconds for one exchange, over `n` of them. */
static double time_exchange(exchange *once, const calls *c, int rank, int bytes, int n) {
    double start = MPI_Wtime();
    for (int i = 0; i < n; i++)
        once(c, rank, bytes);
    return (MPI_Wtime() - start) / n;
}

/* The first turn warms up. */
static void take_turns(exchange *once, int bytes, int n, int turns) {
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    for (int turn = -1; turn < turns; turn++) {
        double bare = time_exchange(once, &without, rank, bytes, n);
        double ours = time_exchange(once, &with, rank, bytes, n);
        if (rank == 0 && turn >= 0)
            printf("%.4f %.4f\n", bare * 1e6, ours * 1e6);
    }
}

static void begin(void) {
#ifndef PLAIN
    const char *cut = getenv("IDLE_CUT");
    bool immediate = cut && strcmp(cut, "immediate") == 0;
    if (wavecut_init(MPI_COMM_WORLD) != WAVECUT_OK ||
        wavecut_cut(immediate ? WAVECUT_IMMEDIATE : WAVECUT_ALIGNED) != WAVECUT_OK ||
        wavecut_restore(NULL) != WAVECUT_OK)
        MPI_Abort(MPI_COMM_WORLD, 1);
    wavecut_safepoint();
#endif
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    begin();
    const char *kind = argc > 2 ? argv[1] : "";
    if (argc == 3)
        count(kind, atoi(argv[2]));
    else if (argc == 5)
        take_turns(strcmp(kind, "window") == 0 ? window : pingpong, atoi(argv[2]), atoi(argv[3]),
                   atoi(argv[4]));
#ifndef PLAIN
    wavecut_finalize();
#endif
    MPI_Finalize();
    return 0;
}
