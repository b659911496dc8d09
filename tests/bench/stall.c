/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For how long a snapshot keeps a program from working: jobs/heat.c as it is, under a stopwatch. It is included below,
 * with functions of this file in the place of the library's. Each repetition is
 *
 *   a copy of the state into touched memory, by all ranks at once    the unit of all that follows
 *   a pass of the checksum over the state, likewise
 *   QUIET steps                                                      how long things take without a snapshot
 *   a request, and steps until every rank knows that it's committed  the snapshot
 *   the state written with parallel HDF5                             a program that stops for it
 *
 * All times are of the slowest rank. Of a snapshot that is:
 *
 *   held    what Wavecut's calls took in all steps of the snapshot: the copy of the state, markers, and the work on
 *           the way to the file. Meanwhile the program can't compute.
 *   record  the copy alone, as the library reports it (wavecut_info.stall_s)
 *   calls   what the MPI calls took beyond as many quiet steps. It holds what the library does in them, but also
 *           waiting for a neighbour who was late, for whatever reason.
 *   added   what the steps took beyond as many quiet ones, everything included: also that the writer's thread takes
 *           processor time and memory bandwidth from the computation. The price for the job.
 *
 *   stall copy|hint REPETITIONS DIRECTORY OPTION-OF-HEAT...
 * copy: without heat's hint that its array is not written before the next safe point.
 * prints a line for each repetition, in seconds: copy hash held record calls added commit hdf5. The first, which warms up,
 * is left out.
 */
#include "reference.h"

#include <wavecut.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUIET = 16 };

typedef struct times {
    double held, calls, all; /* in Wavecut's calls, in MPI's, altogether */
} times;

static struct {
    int repetitions, done; /* done: -1 while it warms up */
    const char *directory;
    const double *state;
    size_t count;
    void *copy;
    bool hint;
    double copy_s, hash_s,
        left_at; /* left_at: the last safe point, 0: what came before doesn't count */
    times step, quiet[QUIET], snapshot;
    int steps; /* of this repetition */
    uint64_t committed;
} B = {.done = -1};

/* ---- one repetition ---- */

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median over the quiet steps of the member at `offset`. */
static double quiet_median(size_t offset) {
    double all[QUIET];
    for (int i = 0; i < QUIET; i++)
        memcpy(&all[i], (const char *)&B.quiet[i] + offset, sizeof all[i]);
    qsort(all, QUIET, sizeof *all, compare);
    return (all[QUIET / 2 - 1] + all[QUIET / 2]) / 2;
}

static void report(void) {
    wavecut_info info;
    int rank, n = B.steps - QUIET;
    double hdf5, durable;
    wavecut_status_get(&info);
    double record = reference_slowest(info.stall_s);
    double held = reference_slowest(B.snapshot.held - n * quiet_median(offsetof(times, held)));
    double calls = reference_slowest(B.snapshot.calls - n * quiet_median(offsetof(times, calls)));
    double added = reference_slowest(B.snapshot.all - n * quiet_median(offsetof(times, all)));
    reference_hdf5(B.directory, B.state, B.count, &hdf5, &durable);
    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0 && B.done >= 0)
        printf("%.6f %.6f %.6f %.6f %.6f %.6f %.6f %.6f\n", B.copy_s, B.hash_s, held, record, calls,
               added, info.commit_s, hdf5);
}

static void begin_repetition(void) {
    size_t bytes = B.count * sizeof *B.state;
    if (!B.copy) {
        B.copy = reference_map(bytes);
        memset(B.copy, 0, bytes);
    }
    B.copy_s = reference_copy(B.copy, B.state, bytes);
    B.hash_s = reference_hash(B.state, bytes);
    B.snapshot = (times){0};
    B.steps = 0;
}

/* Counts the step that has just ended; true when the repetition is over, on all ranks at the same step. */
static bool count_step(void) {
    wavecut_info info;
    int here, everywhere;
    if (B.steps < QUIET) {
        B.quiet[B.steps++] = B.step;
        return false;
    }
    B.steps++;
    B.snapshot.held += B.step.held;
    B.snapshot.calls += B.step.calls;
    B.snapshot.all += B.step.all;
    wavecut_status_get(&info);
    here = info.committed > B.committed;
    PMPI_Allreduce(&here, &everywhere, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    B.committed += (uint64_t)everywhere;
    return everywhere;
}

static void end(void) {
    wavecut_finalize();
    MPI_Finalize();
    exit(0);
}

/* ---- in the place of what heat calls ---- */

static wavecut_status timed_safepoint(void) {
    int rank;
    double entered = reference_now();
    B.step.all += B.left_at > 0 ? entered - B.left_at : 0;
    if (B.left_at == 0) {
        begin_repetition();
    } else if (count_step()) {
        report();
        if (++B.done == B.repetitions)
            end();
        begin_repetition();
    }
    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (B.steps == QUIET && rank == 0)
        wavecut_request();
    entered = reference_now();
    wavecut_status status = wavecut_safepoint();
    B.left_at = reference_now();
    B.step = (times){.held = B.left_at - entered, .all = B.left_at - entered};
    return status;
}

static wavecut_status noted_protect_array(const char *name, void *address, MPI_Datatype type,
                                          int ndims, const size_t global[], const size_t local[],
                                          const size_t offset[]) {
    B.state = address;
    B.count = local[0] * local[1];
    double start = reference_now();
    wavecut_status status =
        wavecut_protect_array(name, address, type, ndims, global, local, offset);
    B.step.held += reference_now() - start;
    return status;
}

static wavecut_status chosen_hint(const char *name, wavecut_hint_kind hint) {
    return wavecut_hint(name, B.hint ? hint : WAVECUT_NO_HINT);
}

#define TIMED(call)                                                                                \
    ({                                                                                             \
        double start_ = reference_now();                                                           \
        int rc_ = call;                                                                            \
        B.step.calls += reference_now() - start_;                                                  \
        rc_;                                                                                       \
    })
#define wavecut_safepoint timed_safepoint
#define wavecut_protect_array noted_protect_array
#define wavecut_hint chosen_hint
#define MPI_Irecv(...) TIMED((MPI_Irecv)(__VA_ARGS__))
#define MPI_Isend(...) TIMED((MPI_Isend)(__VA_ARGS__))
#define MPI_Waitall(...) TIMED((MPI_Waitall)(__VA_ARGS__))
static int heat(int argc, char **argv);
#define main heat
#include "../../jobs/heat.c"
#undef main

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    B.hint = strcmp(argv[1], "hint") == 0;
    B.repetitions = atoi(argv[2]);
    B.directory = argv[3];
    argv[3] = argv[0];
    return heat(argc - 3, argv + 3);
}
