/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Processes that join this run. They are no part of a snapshot: there is none while this rank has a
 * communicator with them. All ranks of one side enter the call that makes it, which is counted.
 */
#include "layer.h"

static bool is_ours(MPI_Comm comm) {
    int n;
    MPI_Group world, others, common;
    PMPI_Comm_group(MPI_COMM_WORLD, &world);
    PMPI_Comm_remote_group(comm, &others);
    PMPI_Group_intersection(world, others, &common);
    PMPI_Group_size(common, &n);
    PMPI_Group_free(&world);
    PMPI_Group_free(&others);
    if (common != MPI_GROUP_EMPTY)
        PMPI_Group_free(&common);
    return n > 0;
}

void wc_process_connected(MPI_Comm comm, const char *call) {
    if (L.way == WC_WAY_OFF || comm == MPI_COMM_NULL)
        return;
    /* Messages between ranks of this run that nobody counts. */
    if (is_ours(comm))
        wc_forbid(call);
    wc_outside *o = wc_core_alloc(sizeof *o);
    *o = (wc_outside){.handle = comm, .next = L.outside};
    L.outside = o;
    wc_open(WC_OPEN_PROCESSES, call);
}
