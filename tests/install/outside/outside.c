/* SPDX-License-Identifier: BSD-3-Clause */
/* The smallest program: it goes on until a snapshot has been taken. */
#include <wavecut.h>

#include <stdio.h>

#ifdef OUTSIDE_OPTIONAL /* built without the library: there are checkpoints if it is preloaded */
#pragma weak wavecut_init
#pragma weak wavecut_protect
#pragma weak wavecut_restore
#pragma weak wavecut_request
#pragma weak wavecut_safepoint
#pragma weak wavecut_status_get
#pragma weak wavecut_finalize
#endif

int main(int argc, char **argv) {
    int rank, step = 0, done = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (wavecut_init(MPI_COMM_WORLD) != WAVECUT_OK ||
        wavecut_protect("step", &step, 1, MPI_INT) != WAVECUT_OK ||
        wavecut_restore(NULL) != WAVECUT_OK || wavecut_request() != WAVECUT_OK) {
        MPI_Finalize();
        return 1;
    }
    for (; !done; step++) {
        wavecut_info info;
        wavecut_safepoint();
        wavecut_status_get(&info);
        done = info.committed > 0;
        MPI_Allreduce(MPI_IN_PLACE, &done, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    }
    if (rank == 0)
        printf("a snapshot after at most %d steps\n", step);
    int failed = wavecut_finalize() != WAVECUT_OK;
    MPI_Finalize();
    return failed;
}
