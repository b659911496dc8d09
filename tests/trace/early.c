/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages of before wavecut_restore, where a trace begins: one received, one whose receive is posted, and one that a matched
 * probe has handed out. */
#include <wavecut.h>

#include <mpi.h>
#include <stdint.h>

int main(int argc, char **argv) {
    int64_t step = 0;
    int rank, in[3], out[3] = {0, 1, 2};
    wavecut_info info = {0};
    MPI_Request sends[3], receive;
    MPI_Message message;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    wavecut_init(MPI_COMM_WORLD);
    wavecut_protect("step", &step, 1, MPI_INT64_T);
    for (int i = 0; i < 3; i++)
        MPI_Isend(&out[i], 1, MPI_INT, rank, 7, MPI_COMM_WORLD, &sends[i]);
    MPI_Recv(&in[0], 1, MPI_INT, rank, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Mprobe(rank, 7, MPI_COMM_WORLD, &message, MPI_STATUS_IGNORE);
    MPI_Irecv(&in[2], 1, MPI_INT, rank, 7, MPI_COMM_WORLD, &receive);
    wavecut_restore(NULL);
    MPI_Wait(&receive, MPI_STATUS_IGNORE);
    MPI_Mrecv(&in[1], 1, MPI_INT, &message, MPI_STATUS_IGNORE);
    for (int i = 0; i < 3; i++)
        MPI_Wait(&sends[i], MPI_STATUS_IGNORE);
    while (!info.committed) {
        if (!info.in_progress) /* one that is given up is asked for again */
            wavecut_request();
        wavecut_safepoint();
        step++;
        wavecut_status_get(&info);
    }
    wavecut_finalize();
    MPI_Finalize();
    return in[0] != 0 || in[1] != 1 || in[2] != 2;
}
