/* SPDX-License-Identifier: BSD-3-Clause */
/* L, o, g and G of the machine that this runs on, as JSON for wavecut-scale: two ranks. */
#include <mpi.h>

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 2001, BURST = 64, BYTES = 1 << 18 };

static int rank;
static char buffer[BYTES];

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *samples) {
    qsort(samples, ROUNDS, sizeof *samples, compare);
    return samples[ROUNDS / 2];
}

/* ns; `sending`: of that, in the sending call. */
static double round_trip(int bytes, double *sending) {
    static double trips[ROUNDS], sends[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        double start = MPI_Wtime();
        if (rank == 0)
            MPI_Send(buffer, bytes, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
        sends[i] = (MPI_Wtime() - start) * 1e9;
        MPI_Recv(buffer, bytes, MPI_BYTE, 1 - rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (rank == 1)
            MPI_Send(buffer, bytes, MPI_BYTE, 0, 0, MPI_COMM_WORLD);
        trips[i] = (MPI_Wtime() - start) * 1e9;
    }
    *sending = median(sends);
    return median(trips);
}

/* ns between messages that are sent one after the other. */
static double gap(void) {
    static double gaps[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        double start = MPI_Wtime();
        for (int k = 0; k < BURST; k++)
            if (rank == 0)
                MPI_Send(buffer, 1, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
            else
                MPI_Recv(buffer, 1, MPI_BYTE, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        gaps[i] = (MPI_Wtime() - start) * 1e9 / BURST;
        MPI_Barrier(MPI_COMM_WORLD);
    }
    return median(gaps);
}

int main(int argc, char **argv) {
    double o, unused;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    double trip = round_trip(1, &o), long_trip = round_trip(BYTES, &unused), g = gap();
    double latency = trip / 2 - 2 * o;
    if (rank == 0)
        printf("{\"comment\": \"pingpong.c on this machine\", \"L_ns\": %.0f, \"o_ns\": %.0f, "
               "\"g_ns\": %.0f, \"G_ns_per_byte\": %.4f, \"look_ns\": 400, \"tick_ns\": 1000000, "
               "\"collective\": \"tree\"}\n",
               latency > 0 ? latency : 0, o, g, (long_trip - trip) / 2 / BYTES);
    MPI_Finalize();
    return 0;
}
