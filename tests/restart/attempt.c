/* SPDX-License-Identifier: BSD-3-Clause */
#include "attempt.h"

#include "job.h"

#include <wavecut.h>

#include <string.h>

bool restart_attempt(const char *words) {
    wavecut_info before, now;
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    wavecut_status_get(&before);
    for (int over = 0; !over;) {
        wavecut_safepoint();
        wavecut_status_get(&now);
        over = now.committed > before.committed || (words && strstr(now.last_reason, words));
        if (rank == 0 && !over && !now.in_progress)
            wavecut_request();
        job_pause(0.2);
        MPI_Allreduce(MPI_IN_PLACE, &over, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    }
    return now.committed > before.committed;
}
