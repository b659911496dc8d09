/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes the snapshot that every later version must read (tests/unit/golden.c): on 4 ranks, in WAVECUT_DIR. It is in the
 * repository, and made anew only for a new format.
 *
 * The values are functions of place and rank, so that readers know them.
 */
#include <wavecut.h>

#include <complex.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

enum { RANKS = 4, ROWS = 64, COLUMNS = 256, PART = COLUMNS / 2, PARTICLES = 5, INBOX = 3 };

static int rank;
static double
    field[ROWS][PART]; /* of ranks 0 and 1, side by side: tiles of 64 KiB, so there are chunks */
static double _Complex wave[3];
static int64_t ids[PARTICLES * RANKS];
static float masses[PARTICLES];
static uint8_t flags[7];
static int32_t inbox[INBOX];
static MPI_Request requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};

static void check(int holds) {
    if (!holds)
        MPI_Abort(MPI_COMM_WORLD, 1);
}

static void fill(void) {
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < PART; j++)
            field[i][j] = i * 1000.0 + PART * rank + j;
    for (int i = 0; i < 3; i++)
        wave[i] = rank + i * 0.25 * _Complex_I;
    for (int i = 0; i < PARTICLES * rank; i++)
        ids[i] = -1000000000000 * rank - i;
    for (int i = 0; i < PARTICLES; i++)
        masses[i] = 0.5f + rank * 10 + i;
    for (int i = 0; i < 7; i++)
        flags[i] = (uint8_t)(rank * 16 + i);
}

static void protect(void) {
    const size_t global[2] = {ROWS, COLUMNS}, local[2] = {ROWS, PART};
    const size_t offset[2] = {0, (size_t)rank * PART};
    fill();
    if (rank < 2)
        check(!wavecut_protect_array("field", field, MPI_DOUBLE, 2, global, local, offset));
    check(!wavecut_protect("ocean/wave", wave, 3, MPI_C_DOUBLE_COMPLEX));
    check(!wavecut_protect("ids", ids, (size_t)(PARTICLES * rank), MPI_INT64_T));
    if (rank % 2)
        check(!wavecut_protect("masses", masses, PARTICLES, MPI_FLOAT));
    check(!wavecut_protect("flags", flags, 7, MPI_UINT8_T));
    check(!wavecut_protect("inbox", inbox, INBOX, MPI_INT32_T));
    check(!wavecut_protect_requests("requests", requests, 2));
}

static void take_snapshot(void) {
    wavecut_info info;
    if (rank == 0)
        check(!wavecut_request());
    do {
        check(!wavecut_safepoint());
        usleep(1000);
        check(!wavecut_status_get(&info));
    } while (!info.committed);
}

int main(int argc, char **argv) {
    MPI_Comm half, inter;
    int32_t word, numbers[10], got[10];
    int ranks;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    check(ranks == RANKS);
    check(!wavecut_init(MPI_COMM_WORLD) && !wavecut_cut(WAVECUT_IMMEDIATE));
    MPI_Comm_split(MPI_COMM_WORLD, rank % 2, 0, &half);
    MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - rank % 2, 8, &inter);
    protect();
    check(!wavecut_restore(NULL));
    /* Under way in the snapshot: from each rank one to the next, one of no bytes, and one to the other half; and a receive
     * that nothing has been sent for. */
    int next = (rank + 1) % RANKS, last = (rank + RANKS - 1) % RANKS;
    for (int i = 0; i < 10; i++)
        numbers[i] = rank * 100 + i;
    MPI_Send(numbers, 10, MPI_INT32_T, next, 5, MPI_COMM_WORLD);
    MPI_Send(NULL, 0, MPI_INT32_T, next, 6, MPI_COMM_WORLD);
    MPI_Send(numbers, 1, MPI_INT32_T, rank / 2, 7, inter);
    MPI_Irecv(&inbox[1], 1, MPI_INT32_T, last, 9, MPI_COMM_WORLD, &requests[1]);
    take_snapshot();
    MPI_Recv(got, 10, MPI_INT32_T, last, 5, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Recv(NULL, 0, MPI_INT32_T, last, 6, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Recv(&word, 1, MPI_INT32_T, rank / 2, 7, inter, MPI_STATUS_IGNORE);
    MPI_Send(numbers, 1, MPI_INT32_T, next, 9, MPI_COMM_WORLD);
    MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
    MPI_Comm_free(&inter);
    MPI_Comm_free(&half);
    check(!wavecut_finalize());
    MPI_Finalize();
    return 0;
}
