/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the request to the commit, against the same bytes written by the program itself. Each repetition is
 *
 *   direct   each rank writes its bytes to a file of its own: O_DIRECT, fsync
 *   commit   a snapshot, from the request to the commit, by rank 0's clock
 *   hdf5     one file written collectively with parallel HDF5, and fsync
 *
 * Between safe points the ranks sleep (idle) or compute (busy): the writer's thread stands back behind the computation.
 * The cut is immediate, so that each rank may pass as many safe points as it likes. No messages are sent.
 *
 *   write idle|busy MIB REPETITIONS DIRECTORY [rows|columns|blocks]
 * MIB: of each rank, which has an array of its own, or a part of one that is split so.
 * prints a line for each repetition, in seconds: direct commit hdf5, the record's part of the commit, and rank 0's processor
 * time for direct and for the writer's threads. The first, which warms up, is left out.
 */
#include "reference.h"

#include <wavecut.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void pass_time(bool busy) {
    const double span = 100e-6;
    if (!busy)
        nanosleep(&(struct timespec){.tv_nsec = (long)(span * 1e9)}, NULL);
    else
        for (double start = reference_now(); reference_now() - start < span;)
            ;
}

static double clock_s(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Of all threads but the program's own. */
static double others_cpu(void) {
    return clock_s(CLOCK_PROCESS_CPUTIME_ID) - clock_s(CLOCK_THREAD_CPUTIME_ID);
}

/* *record: until the copy was made; *cpu: the writer's, on this rank. */
static double snapshot(int rank, bool busy, double *record, double *cpu) {
    wavecut_info before, now;
    double cpu_before = others_cpu();
    wavecut_status_get(&before);
    PMPI_Barrier(MPI_COMM_WORLD);
    double start = reference_now();
    if (rank == 0)
        wavecut_request();
    do {
        wavecut_safepoint();
        pass_time(busy);
        wavecut_status_get(&now);
    } while (now.committed == before.committed);
    double took = reference_now() - start;
    *record = now.stall_s;
    *cpu = others_cpu() - cpu_before;
    PMPI_Bcast(&took, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    return took;
}

static void measure(bool busy, double *state, size_t count, int repetitions,
                    const char *directory) {
    int rank;
    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    for (int i = -1; i < repetitions; i++) {
        double closed, durable, record, cpu, direct_cpu = clock_s(CLOCK_THREAD_CPUTIME_ID);
        double direct = reference_direct(directory, state, count * sizeof *state);
        direct_cpu = clock_s(CLOCK_THREAD_CPUTIME_ID) - direct_cpu;
        double commit = snapshot(rank, busy, &record, &cpu);
        reference_hdf5(directory, state, count, &closed, &durable);
        if (rank == 0 && i >= 0)
            printf("%.6f %.6f %.6f %.6f %.6f %.6f\n", direct, commit, durable, record, direct_cpu,
                   cpu);
    }
}

/* Parts of the same shape, as far as that goes a square, in a grid. */
static wavecut_status protect_part(double *state, size_t count, const char *split) {
    int ranks, rank, grid[2] = {0, 0};
    PMPI_Comm_size(MPI_COMM_WORLD, &ranks);
    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    grid[0] = strcmp(split, "columns") == 0;
    grid[1] = strcmp(split, "rows") == 0;
    PMPI_Dims_create(ranks, 2, grid);
    size_t local[2] = {1, count};
    while (local[0] * 4 <= local[1]) {
        local[0] *= 2;
        local[1] /= 2;
    }
    const size_t global[2] = {local[0] * (size_t)grid[0], local[1] * (size_t)grid[1]};
    const size_t offset[2] = {local[0] * (size_t)(rank / grid[1]),
                              local[1] * (size_t)(rank % grid[1])};
    return wavecut_protect_array("u", state, MPI_DOUBLE, 2, global, local, offset);
}

static wavecut_status protect(double *state, size_t count, const char *split) {
    return split ? protect_part(state, count, split)
                 : wavecut_protect("u", state, count, MPI_DOUBLE);
}

int main(int argc, char **argv) {
    if (argc < 5)
        return 2;
    MPI_Init(&argc, &argv);
    bool busy = strcmp(argv[1], "busy") == 0;
    size_t count = (size_t)atoi(argv[2]) * (1 << 20) / sizeof(double);
    double *state = reference_map(count * sizeof *state);
    for (size_t i = 0; i < count; i++)
        state[i] = (double)(i * 2654435761u);
    if (wavecut_init(MPI_COMM_WORLD) != WAVECUT_OK ||
        wavecut_cut(WAVECUT_IMMEDIATE) != WAVECUT_OK ||
        protect(state, count, argv[5]) != WAVECUT_OK || wavecut_restore(NULL) != WAVECUT_OK)
        MPI_Abort(MPI_COMM_WORLD, 1);
    measure(busy, state, count, atoi(argv[3]), argv[4]);
    wavecut_finalize();
    MPI_Finalize();
    return 0;
}
