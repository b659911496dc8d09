/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Round a ring: the number that is sent in a step is received LAG steps later, with any tag. A snapshot gets what is in flight
 * from MPI long before the program asks for it. The next snapshots come at other distances: some of their messages are in the
 * library's hands then, others in MPI's.
 *
 *   backlog aligned|immediate SNAPSHOTS     dies when so many are committed; after a restart it goes on long enough to get all
 *                                           that was in flight, and ends
 */
#include "job.h"

#include <wavecut.h>

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAG = 60, TAGS = 3 };

static int rank, ranks;
static long step; /* protected */
static long end = LONG_MAX;

static void exchange(void) {
    long number = step - LAG, got;
    int next = (rank + 1) % ranks, previous = (rank + ranks - 1) % ranks;
    if (step < end - LAG) /* what is sent later would never be received */
        MPI_Send(&step, 1, MPI_LONG, next, (int)(step % TAGS), MPI_COMM_WORLD);
    if (number < 0)
        return;
    MPI_Recv(&got, 1, MPI_LONG, previous, MPI_ANY_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (got != number) {
        fprintf(stderr, "backlog: rank %d got %ld instead of %ld\n", rank, got, number);
        MPI_Abort(MPI_COMM_WORLD, 3);
    }
}

/* When a snapshot is done, the next one is asked for 0, 6, 12, ... 48 steps later. */
static void request(uint64_t snapshots) {
    static long asked, free_for;
    wavecut_info info;
    wavecut_status_get(&info);
    if (info.committed >= snapshots)
        raise(SIGKILL);
    free_for = info.in_progress ? 0 : free_for + 1;
    if (step < LAG || info.in_progress || free_for <= 6 * (asked % 9))
        return;
    wavecut_request();
    asked++;
}

int main(int argc, char **argv) {
    int restarted;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (argc < 3)
        MPI_Abort(MPI_COMM_WORLD, 2);
    bool aligned = strcmp(argv[1], "aligned") == 0;
    if (wavecut_init(MPI_COMM_WORLD) != WAVECUT_OK ||
        wavecut_cut(aligned ? WAVECUT_ALIGNED : WAVECUT_IMMEDIATE) != WAVECUT_OK ||
        wavecut_protect("step", &step, 1, MPI_LONG) != WAVECUT_OK ||
        wavecut_restore(&restarted) != WAVECUT_OK)
        MPI_Abort(MPI_COMM_WORLD, 1);
    if (restarted) { /* the same for all, who may be at different steps */
        MPI_Allreduce(&step, &end, 1, MPI_LONG, MPI_MAX, MPI_COMM_WORLD);
        end += 3L * LAG;
    }
    for (; step < end; step++) {
        wavecut_safepoint();
        if (rank == 0 && !restarted)
            request(strtoull(argv[2], NULL, 10));
        exchange();
        job_pause(
            restarted
                ? 0
                : 10); /* so that LAG steps take longer than an aligned cut waits for messages */
    }
    MPI_Finalize();
    return 0;
}
