/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a call costs while no snapshot is under way. Built twice: with Wavecut, and without (-DPLAIN).
 *
 *   idle KIND COUNT            KIND: trio (Irecv, Isend, Waitall to self), send, recv: to be counted with callgrind, which
 *                              collects inside the function of that name
 *   idle pingpong BYTES COUNT  two ranks: prints µs for one way
 *   idle rate COUNT            two ranks: prints messages per second, in windows of 64
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

__attribute__((noinline)) static void trio(void) {
    MPI_Request requests[2];
    MPI_Irecv(in, 8, MPI_BYTE, 0, 1, MPI_COMM_SELF, &requests[0]);
    MPI_Isend(out, 8, MPI_BYTE, 0, 1, MPI_COMM_SELF, &requests[1]);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
}

__attribute__((noinline)) static void send(void) { MPI_Send(out, 8, MPI_BYTE, 0, 1, MPI_COMM_SELF); }

__attribute__((noinline)) static void recv(void) {
    MPI_Recv(in, 8, MPI_BYTE, 0, 1, MPI_COMM_SELF, MPI_STATUS_IGNORE);
}

static void count(const char *kind, int n) {
    for (int i = 0; i < n; i++) {
        if (strcmp(kind, "trio") == 0) {
            trio();
        } else {
            send();
            recv();
        }
    }
}

static void pingpong(int rank, int bytes, int n) {
    double start = 0;
    for (int i = -n / 10; i < n; i++) {
        if (i == 0)
            start = MPI_Wtime();
        if (rank == 0)
            MPI_Send(out, bytes, MPI_BYTE, 1, 1, MPI_COMM_WORLD);
        MPI_Recv(in, bytes, MPI_BYTE, !rank, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (rank == 1)
            MPI_Send(out, bytes, MPI_BYTE, 0, 1, MPI_COMM_WORLD);
    }
    if (rank == 0)
        printf("%.4f\n", (MPI_Wtime() - start) / n / 2 * 1e6);
}

static void rate(int rank, int n) {
    MPI_Request requests[WINDOW];
    double start = 0;
    for (int i = -n / 10; i < n; i++) {
        if (i == 0)
            start = MPI_Wtime();
        for (int w = 0; w < WINDOW; w++) {
            if (rank == 0)
                MPI_Isend(out, 8, MPI_BYTE, 1, 1, MPI_COMM_WORLD, &requests[w]);
            else
                MPI_Irecv(in, 8, MPI_BYTE, 0, 1, MPI_COMM_WORLD, &requests[w]);
        }
        MPI_Waitall(WINDOW, requests, MPI_STATUSES_IGNORE);
        if (rank == 1)
            MPI_Send(out, 0, MPI_BYTE, 0, 2, MPI_COMM_WORLD);
        else
            MPI_Recv(in, 0, MPI_BYTE, 1, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    if (rank == 0)
        printf("%.0f\n", (double)n * WINDOW / (MPI_Wtime() - start));
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
    int rank;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    begin();
    if (argc == 4 && strcmp(argv[1], "pingpong") == 0)
        pingpong(rank, atoi(argv[2]), atoi(argv[3]));
    else if (argc == 3 && strcmp(argv[1], "rate") == 0)
        rate(rank, atoi(argv[2]));
    else if (argc == 3)
        count(argv[1], atoi(argv[2]));
#ifndef PLAIN
    wavecut_finalize();
#endif
    MPI_Finalize();
    return 0;
}
