/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that move messages, or make communicators, in ways that this version can't follow. They do
 * what MPI does; attempts are void from then on, or while what they have made exists, and say why.
 */
#include "layer.h"

#include "wc_calls.h"

/* The shapes of calls.list, as X(name, parameters, arguments). All but the last may wait for other ranks
 * inside MPI: they may need the receives that were taken back. `before` and `then` are what else is to be
 * done. */
#define NATIVE(name, parameters, arguments, before, then)                                          \
    WC_EXPORT int MPI_##name parameters {                                                          \
        WC_GUARD(__func__);                                                                        \
        before;                                                                                    \
        bool slow = wc_native_enter("MPI_" #name, NULL);                                           \
        int rc = PMPI_##name arguments;                                                            \
        wc_native_leave(slow);                                                                     \
        then;                                                                                      \
        return rc;                                                                                 \
    }

#define WAITS(name, parameters, arguments) NATIVE(name, parameters, arguments, , )

#define WAITS_STARTS(name, parameters, arguments)                                                  \
    NATIVE(name, parameters, arguments, , wc_foreign_started(rc, request))

#define FORBIDS(name, parameters, arguments)                                                       \
    NATIVE(name, parameters, arguments, wc_forbid("MPI_" #name), )

#define CLOSES(name, parameters, arguments)                                                        \
    NATIVE(name, parameters, arguments, , if (rc == MPI_SUCCESS) wc_close(WC_OPEN_WINDOW))

/* The request is a persistent one. Nothing tells yet which messages or collectives it has been. */
#define FORBIDS_PERSISTENT(name, parameters, arguments)                                            \
    WC_EXPORT int MPI_##name parameters {                                                          \
        WC_GUARD(__func__);                                                                        \
        wc_forbid("MPI_" #name);                                                                   \
        return wc_persistent_made(PMPI_##name arguments, request);                                 \
    }

WC_HANDLED_WAITS(WAITS)
WC_HANDLED_WAITS_STARTS(WAITS_STARTS)
WC_WINDOW_WAITS(WAITS)
WC_WINDOW_WAITS_STARTS(WAITS_STARTS)
WC_WINDOW_CLOSES(CLOSES)
WC_AFTER_WAITS(FORBIDS)
WC_AFTER_PLAIN_STARTS(FORBIDS_PERSISTENT)
WC_AFTER_INIT(FORBIDS_PERSISTENT)

/* ---- messages of the application's own tag ----
 *
 * Some MPI exchanges them inside these calls, on the communicator that it is given. There the library
 * could pull them. One that is not pulled serves as well, for ranks of the job: all of them see alike
 * whether they are. */

static void inherit_errhandler(MPI_Comm from, MPI_Comm to) {
    MPI_Errhandler handler;
    if (to == MPI_COMM_NULL || PMPI_Comm_get_errhandler(from, &handler) != MPI_SUCCESS)
        return;
    PMPI_Comm_set_errhandler(to, handler);
    PMPI_Errhandler_free(&handler);
}

WC_EXPORT int MPI_Comm_create_group(MPI_Comm comm, MPI_Group group, int tag, MPI_Comm *newcomm) {
    WC_GUARD(__func__);
    wc_forbid("MPI_Comm_create_group");
    bool slow = wc_native_enter("MPI_Comm_create_group", NULL);
    bool in_job = L.attached && !wc_comm_leaves_job(group);
    int rc = PMPI_Comm_create_group(in_job ? L.job : comm, group, tag, newcomm);
    wc_native_leave(slow);
    if (rc == MPI_SUCCESS && in_job)
        inherit_errhandler(comm, *newcomm);
    return rc;
}

/* The other leader's rank in the job; MPI_UNDEFINED: it takes no part, or this rank is no leader. */
static int leader_in_job(MPI_Comm local, int leader, MPI_Comm peer, int remote) {
    int rank, job = MPI_UNDEFINED;
    if (!L.attached || PMPI_Comm_rank(local, &rank) != MPI_SUCCESS || rank != leader)
        return MPI_UNDEFINED;
    const wc_mpi_comm *c = wc_comm_of(peer);
    if (c && remote >= 0 && remote < c->core.size)
        PMPI_Group_translate_ranks(c->group, 1, &remote, L.job_group, &job);
    return job;
}

WC_EXPORT int MPI_Intercomm_create(MPI_Comm local, int leader, MPI_Comm peer, int remote, int tag,
                                   MPI_Comm *newcomm) {
    WC_GUARD(__func__);
    wc_forbid("MPI_Intercomm_create");
    bool slow = wc_native_enter("MPI_Intercomm_create", NULL);
    int job = leader_in_job(local, leader, peer, remote);
    int rc = job == MPI_UNDEFINED ? PMPI_Intercomm_create(local, leader, peer, remote, tag, newcomm)
                                  : PMPI_Intercomm_create(local, leader, L.job, job, tag, newcomm);
    wc_native_leave(slow);
    return rc;
}
