/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The message rate of several threads at once (MPI_THREAD_MULTIPLE), while no snapshot is under way.
 *
 *   threads window|blocking THREADS COUNT TURNS
 *
 * Each thread of rank 0 sends to its counterpart of rank 1, COUNT times WINDOW messages of 8 bytes and an answer: nonblocking
 * ones that are waited for together, or one after the other. MPI's own calls (PMPI_) and those through Wavecut take turns; prints a
 * line for each turn, messages per µs of all threads: without, with.
 *
 * IDLE_CUT=immediate in the environment chooses the other cut.
 */
#include <mpi.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wavecut.h>

enum { WINDOW = 64, MOST = 16, BYTES = 8 };

static int rank, threads, count;
static bool blocking, native, over;
static pthread_barrier_t meeting;

static void send(char *buffer, int to, int tag) {
    if (native)
        PMPI_Send(buffer, BYTES, MPI_BYTE, to, tag, MPI_COMM_WORLD);
    else
        MPI_Send(buffer, BYTES, MPI_BYTE, to, tag, MPI_COMM_WORLD);
}

static void receive(char *buffer, int from, int tag) {
    if (native)
        PMPI_Recv(buffer, BYTES, MPI_BYTE, from, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    else
        MPI_Recv(buffer, BYTES, MPI_BYTE, from, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void start(char *buffer, int tag, MPI_Request *request) {
    if (native && rank)
        PMPI_Irecv(buffer, BYTES, MPI_BYTE, 0, tag, MPI_COMM_WORLD, request);
    else if (native)
        PMPI_Isend(buffer, BYTES, MPI_BYTE, 1, tag, MPI_COMM_WORLD, request);
    else if (rank)
        MPI_Irecv(buffer, BYTES, MPI_BYTE, 0, tag, MPI_COMM_WORLD, request);
    else
        MPI_Isend(buffer, BYTES, MPI_BYTE, 1, tag, MPI_COMM_WORLD, request);
}

static void window(char *buffer, int tag) {
    MPI_Request requests[WINDOW];
    for (int i = 0; i < WINDOW && !blocking; i++)
        start(buffer + (size_t)i * BYTES, tag, &requests[i]);
    for (int i = 0; i < WINDOW && blocking; i++) {
        if (rank)
            receive(buffer, 0, tag);
        else
            send(buffer, 1, tag);
    }
    if (!blocking && native)
        PMPI_Waitall(WINDOW, requests, MPI_STATUSES_IGNORE);
    else if (!blocking)
        MPI_Waitall(WINDOW, requests, MPI_STATUSES_IGNORE);
}

static void run(int tag) {
    char buffer[WINDOW * BYTES] = {0};
    for (int i = 0; i < count; i++) {
        window(buffer, tag);
        if (rank)
            send(buffer, 0, tag);
        else
            receive(buffer, 1, tag);
    }
}

static void *serve(void *tag) {
    for (;;) {
        pthread_barrier_wait(&meeting);
        if (over)
            return NULL;
        run(*(int *)tag);
        pthread_barrier_wait(&meeting);
    }
}

/* Messages per µs. */
static double rate(bool natively) {
    native = natively;
    PMPI_Barrier(MPI_COMM_WORLD);
    double begin = MPI_Wtime();
    pthread_barrier_wait(&meeting);
    run(0);
    pthread_barrier_wait(&meeting);
    PMPI_Barrier(MPI_COMM_WORLD);
    return threads * (double)count * WINDOW / ((MPI_Wtime() - begin) * 1e6);
}

int main(int argc, char **argv) {
    static int tags[MOST];
    pthread_t ids[MOST];
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    threads = argc == 5 ? atoi(argv[2]) : 0;
    if (threads < 1 || threads > MOST || level != MPI_THREAD_MULTIPLE)
        MPI_Abort(MPI_COMM_WORLD, 2);
    blocking = strcmp(argv[1], "blocking") == 0;
    count = atoi(argv[3]);
    const char *cut = getenv("IDLE_CUT");
    if (wavecut_init(MPI_COMM_WORLD) != WAVECUT_OK ||
        wavecut_cut(cut && strcmp(cut, "immediate") == 0 ? WAVECUT_IMMEDIATE : WAVECUT_ALIGNED) !=
            WAVECUT_OK ||
        wavecut_restore(NULL) != WAVECUT_OK)
        MPI_Abort(MPI_COMM_WORLD, 1);
    pthread_barrier_init(&meeting, NULL, (unsigned)threads);
    for (int i = 1; i < threads; i++) {
        tags[i] = i;
        pthread_create(&ids[i], NULL, serve, &tags[i]);
    }
    rate(true); /* what comes once */
    rate(false);
    for (int turn = 0; turn < atoi(argv[4]); turn++) {
        double without = rate(true), with = rate(false);
        if (rank == 0)
            printf("%.4f %.4f\n", without, with);
    }
    over = true;
    if (threads > 1)
        pthread_barrier_wait(&meeting);
    for (int i = 1; i < threads; i++)
        pthread_join(ids[i], NULL);
    wavecut_finalize();
    MPI_Finalize();
    return 0;
}
