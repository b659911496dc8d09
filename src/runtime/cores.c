/* SPDX-License-Identifier: BSD-3-Clause */
#include "cores.h"

#include "runtime.h"

#include <sched.h>

static int bound_to(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* What the system grants may be less than all: the limits of the batch system hold. */
static bool leave_core(cpu_set_t *before) {
    cpu_set_t all;
    CPU_ZERO(&all);
    for (int i = 0; i < CPU_SETSIZE; i++)
        CPU_SET(i, &all);
    return sched_getaffinity(0, sizeof *before, before) == 0 &&
           sched_setaffinity(0, sizeof all, &all) == 0;
}

/* Cores that this process may have, and those of them that are this rank's: all that it is bound to, or one. */
static void count_cores(int *all, int *mine) {
    cpu_set_t before;
    *mine = *all = bound_to();
    if (leave_core(&before)) {
        *all = bound_to();
        sched_setaffinity(0, sizeof before, &before);
    }
    if (*mine == *all)
        *mine = 1;
}

/* On the writer's thread. No harm where it can't be had. */
static void free_writer(void *context, wc_error *error) {
    (void)context;
    (void)error;
    cpu_set_t before;
    if (leave_core(&before))
        wc_lent_start_copier();
}

void wc_cores_free_writer(wc_error *error) {
    int all, mine, ranks_have;
    MPI_Comm node;
    count_cores(&all, &mine);
    PMPI_Comm_split_type(R.comm, MPI_COMM_TYPE_SHARED, R.rank, MPI_INFO_NULL, &node);
    WC_WAITING(PMPI_Allreduce(&mine, &ranks_have, 1, MPI_INT, MPI_SUM, node));
    PMPI_Comm_free(&node);
    /* Where the ranks have all, a writer that is not bound would take a core from another rank instead of its own. */
    if (ranks_have < all)
        wc_writer_run(R.writer, free_writer, NULL, error);
}
