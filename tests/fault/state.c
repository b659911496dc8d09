/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small state, a message in flight, and as many snapshots as asked for; what comes back is checked.
 *   state SNAPSHOTS [missing | more | type | count | large [FILE OFFSET]]
 * missing: one array is not protected. more: another one is. type, count: one has other elements, another length. large: more than
 * a MiB of them, whole snapshots; a byte of FILE is changed when wavecut_init has found it whole.
 */
#include <wavecut.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELLS = 1000, LARGE = 300001, LAG = 2, TAG = 3 };

static struct {
    int rank, ranks;
    int step, more, count;
    double cells[LARGE];
    float narrow[CELLS];
} S = {.count = CELLS};

static double value(int step, int rank) {
    return step * 100.0 + rank;
}

static wavecut_status protect(const char *change) {
    wavecut_status rc = wavecut_protect("step", &S.step, 1, MPI_INT);
    if (strcmp(change, "type") == 0)
        rc = rc ? rc : wavecut_protect("cells", S.narrow, CELLS, MPI_FLOAT);
    else if (strcmp(change, "missing") != 0)
        rc = rc ? rc
                : wavecut_protect("cells", S.cells,
                                  (size_t)S.count + (strcmp(change, "count") == 0), MPI_DOUBLE);
    if (strcmp(change, "more") == 0)
        rc = rc ? rc : wavecut_protect("more", &S.more, 1, MPI_INT);
    return rc;
}

/* To the next rank; it is received LAG steps later, so that messages are always in flight. */
static void exchange(void) {
    double mine = value(S.step, S.rank), theirs;
    int next = (S.rank + 1) % S.ranks, previous = (S.rank + S.ranks - 1) % S.ranks;
    MPI_Send(&mine, 1, MPI_DOUBLE, next, TAG, MPI_COMM_WORLD);
    if (S.step < LAG)
        return;
    MPI_Recv(&theirs, 1, MPI_DOUBLE, previous, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (theirs != value(S.step - LAG, previous)) {
        fprintf(stderr, "state: rank %d got a wrong message in step %d\n", S.rank, S.step);
        MPI_Abort(MPI_COMM_WORLD, 3);
    }
}

/* Steps until there are so many snapshots, or the library has given so many up. */
static void run(uint64_t snapshots) {
    uint64_t done = 0;
    while (done < snapshots) {
        wavecut_safepoint();
        for (int i = 0; i < S.count; i++)
            if (S.cells[i] != S.step) {
                fprintf(stderr, "state: rank %d has wrong cells in step %d\n", S.rank, S.step);
                MPI_Abort(MPI_COMM_WORLD, 3);
            }
        wavecut_info info;
        wavecut_status_get(&info);
        if (S.rank == 0 && !info.in_progress)
            wavecut_request();
        exchange();
        S.step++;
        for (int i = 0; i < S.count; i++)
            S.cells[i] = S.step;
        done = info.committed + info.failed;
        MPI_Bcast(&done, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    }
}

static void damage(const char *path, long offset) {
    FILE *file = S.rank == 0 ? fopen(path, "r+b") : NULL;
    if (file) {
        fseek(file, offset, SEEK_SET);
        int byte = fgetc(file);
        fseek(file, offset, SEEK_SET);
        fputc(byte ^ 0x10, file);
        fclose(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    const char *change = argc > 2 ? argv[2] : "";
    if (strcmp(change, "large") == 0)
        S.count = LARGE;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &S.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &S.ranks);
    int restarted;
    wavecut_status rc = wavecut_init(MPI_COMM_WORLD);
    if (argc > 4)
        damage(argv[3], strtol(argv[4], NULL, 10));
    if (rc != WAVECUT_OK || protect(change) != WAVECUT_OK ||
        wavecut_restore(&restarted) != WAVECUT_OK) {
        MPI_Finalize();
        return 1;
    }
    if (restarted && S.rank == 0)
        printf("state: restarted at step %d\n", S.step);
    run(strtoull(argv[1], NULL, 10));
    if (S.rank == 0)
        printf("state: ended well\n");
    /* No wavecut_finalize: it would mark the run as finished. */
    MPI_Finalize();
    return 0;
}
