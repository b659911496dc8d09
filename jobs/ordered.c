/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ordered: rank 0 sends 0, 1, 2, ... to all others, which start late and check the order. While the
 * messages wait for them, a snapshot is asked for. The order must hold after the snapshot, and
 * after a restart from it.
 */
#include "job.h"

#include <wavecut.h>

#include <stdbool.h>
#include <stdio.h>

enum { NUMBER = 1, GOT_ALL };

static int rank, ranks;

/* next, acks: what this rank does next, and the answers that it has. */
static void send_all(long *next, long *acks, long steps) {
    for (; *next < steps; ++*next) {
        wavecut_safepoint();
        for (int r = 1; r < ranks; r++)
            MPI_Send(next, 1, MPI_LONG, r, NUMBER, MPI_COMM_WORLD);
    }
    for (; *acks < ranks - 1; ++*acks) {
        wavecut_safepoint();
        MPI_Recv(NULL, 0, MPI_LONG, MPI_ANY_SOURCE, GOT_ALL, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
}

static bool receive_all(long *next, long steps, double slow_ms) {
    bool right = true;
    for (; *next < steps; ++*next) {
        long got;
        wavecut_safepoint();
        MPI_Recv(&got, 1, MPI_LONG, 0, NUMBER, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (got != *next && right)
            fprintf(stderr, "ordered: rank %d got %ld instead of %ld\n", rank, got, *next);
        right = right && got == *next;
        job_pause(slow_ms);
    }
    MPI_Send(NULL, 0, MPI_LONG, 0, GOT_ALL, MPI_COMM_WORLD);
    return right;
}

/* Fails on all ranks alike, and the library has said why. */
static bool start(long *next, long *acks, int *restarted) {
    return wavecut_init(MPI_COMM_WORLD) == WAVECUT_OK &&
           wavecut_cut(WAVECUT_IMMEDIATE) == WAVECUT_OK &&
           wavecut_protect("next", next, 1, MPI_LONG) == WAVECUT_OK &&
           (rank > 0 || wavecut_protect("acks", acks, 1, MPI_LONG) == WAVECUT_OK) &&
           wavecut_restore(restarted) == WAVECUT_OK;
}

int main(int argc, char **argv) {
    job_options o = {.steps = 1000, .slow_ms = 0.5};
    job_read_options(argc, argv,
                     &(job_help){.program = "Numbers in order: a late receiver, immediate cut.",
                                 .steps = "Numbers to send"},
                     &o);
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    long next = 0, acks = 0;
    int restarted;
    if (!start(&next, &acks, &restarted)) {
        MPI_Finalize();
        return 1;
    }
    if (restarted)
        printf("ordered: rank %d restarted at %ld\n", rank, next);
    else if (rank > 0)
        job_pause(300);
    if (rank == 1 && !restarted)
        wavecut_request();

    int all, right = true;
    if (rank == 0)
        send_all(&next, &acks, o.steps);
    else
        right = receive_all(&next, o.steps, o.slow_ms);
    MPI_Allreduce(&right, &all, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
    if (rank == 0)
        printf("ordered: %s: %ld numbers\n", all ? "checked" : "WRONG", o.steps);
    all = wavecut_finalize() == WAVECUT_OK && all;
    MPI_Finalize();
    return all ? 0 : 1;
}
