/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A field on a torus of ranks. Edges are exchanged by persistent requests in the rows and columns of a Cartesian communicator, and
 * each step needs the sum over all ranks.
 *
 *   halo aligned|immediate late|early SIDE STEPS OUT    OUT: file for all parts at the end
 *
 * late: nothing is active at a safe point. early: the exchange for the next step is under way, by requests that are protected.
 */
#include "job.h"

#include <wavecut.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { WEST, EAST, NORTH, SOUTH, WAYS };

static int rank, side;
static long step, steps;
static double *u, *next, *ghosts[WAYS], *edges[WAYS];
static MPI_Comm grid, lines[2]; /* the row, the column */
static MPI_Request receives[WAYS], sends[WAYS];
static uint64_t chance;

/* With its ghosts. */
static double at(int i, int k) {
    if (i < 0)
        return ghosts[NORTH][k];
    if (i == side)
        return ghosts[SOUTH][k];
    return k < 0 ? ghosts[WEST][i] : k == side ? ghosts[EAST][i] : u[i * side + k];
}

/* What goes one way is received from the other, so its tag is that way's. */
static void make_requests(void) {
    for (int way = 0; way < WAYS; way++) {
        MPI_Comm line = lines[way / 2];
        int size, here, opposite = way ^ 1;
        MPI_Comm_size(line, &size);
        MPI_Comm_rank(line, &here);
        int there = (here + (way % 2 ? 1 : size - 1)) % size;
        MPI_Recv_init(ghosts[way], side, MPI_DOUBLE, there, opposite, line, &receives[way]);
        MPI_Send_init(edges[way], side, MPI_DOUBLE, there, way, line, &sends[way]);
    }
}

static void set_up(void) {
    int dims[2] = {0, 0}, ranks, around[2] = {1, 1}, row[2] = {0, 1}, column[2] = {1, 0};
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Dims_create(ranks, 2, dims);
    MPI_Cart_create(MPI_COMM_WORLD, 2, dims, around, 0, &grid);
    MPI_Cart_sub(grid, row, &lines[0]);
    MPI_Cart_sub(grid, column, &lines[1]);
    u = job_allocate((size_t)side * (size_t)side, sizeof *u);
    next = job_allocate((size_t)side * (size_t)side, sizeof *next);
    for (int way = 0; way < WAYS; way++) {
        ghosts[way] = job_allocate((size_t)side, sizeof **ghosts);
        edges[way] = job_allocate((size_t)side, sizeof **edges);
    }
    for (int i = 0; i < side * side; i++)
        u[i] = (double)((rank * 31 + i * 7) % 101);
    make_requests();
}

static void begin_exchange(void) {
    MPI_Startall(WAYS, receives);
    for (int i = 0; i < side; i++) {
        edges[WEST][i] = u[i * side];
        edges[EAST][i] = u[i * side + side - 1];
        edges[NORTH][i] = u[i];
        edges[SOUTH][i] = u[(side - 1) * side + i];
    }
    for (int way = WAYS - 1; way >= 0; way--)
        MPI_Start(&sends[way]);
}

static void end_exchange(void) {
    int index;
    MPI_Status statuses[WAYS];
    MPI_Waitall(WAYS, sends, statuses);
    for (int i = 0; i < WAYS && step % 2; i++)
        MPI_Waitany(WAYS, receives, &index, statuses);
    MPI_Waitall(WAYS, receives, statuses); /* at times of inactive ones */
}

static void compute(void) {
    double sum = 0, all;
    for (int i = 0; i < side; i++)
        for (int k = 0; k < side; k++)
            sum += next[i * side + k] =
                0.2 * (at(i, k) + at(i - 1, k) + at(i + 1, k) + at(i, k - 1) + at(i, k + 1));
    MPI_Allreduce(&sum, &all, 1, MPI_DOUBLE, MPI_SUM, grid);
    for (int i = 0; i < side * side; i++)
        u[i] = next[i] + 1e-9 * all + 1e-3 * (double)((step + i) % 7);
}

static bool run(char **argv) {
    int restarted;
    bool aligned = strcmp(argv[1], "aligned") == 0, early = strcmp(argv[2], "early") == 0;
    side = atoi(argv[3]);
    steps = atol(argv[4]);
    chance = (uint64_t)rank + 17;
    if (wavecut_init(MPI_COMM_WORLD) != WAVECUT_OK ||
        wavecut_cut(aligned ? WAVECUT_ALIGNED : WAVECUT_IMMEDIATE) != WAVECUT_OK)
        return false;
    set_up();
    if (wavecut_protect("u", u, (size_t)side * (size_t)side, MPI_DOUBLE) != WAVECUT_OK ||
        wavecut_protect("step", &step, 1, MPI_LONG) != WAVECUT_OK ||
        wavecut_protect_requests("receives", receives, WAYS) != WAVECUT_OK ||
        wavecut_protect_requests("sends", sends, WAYS) != WAVECUT_OK ||
        wavecut_restore(&restarted) != WAVECUT_OK)
        return false;
    if (early && !restarted)
        begin_exchange();
    for (; step < steps; step++) {
        wavecut_safepoint();
        if (!early)
            begin_exchange();
        if (job_random(&chance) % 8 == 0)
            job_pause((double)(job_random(&chance) % 100) / 100);
        end_exchange();
        compute();
        if (early)
            begin_exchange();
    }
    if (early)
        end_exchange();
    for (int way = 0; way < WAYS; way++) {
        MPI_Request_free(&receives[way]);
        MPI_Request_free(&sends[way]);
    }
    job_save(argv[5], u, (size_t)side * (size_t)side * sizeof *u);
    return wavecut_finalize() == WAVECUT_OK;
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (argc < 6 || !run(argv))
        MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Finalize();
    return 0;
}
