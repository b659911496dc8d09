/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that move messages, or make communicators, in ways that this version can't follow. They do
 * what MPI does; from then on every attempt is void and says why.
 */
#include "layer.h"

#define UNSUPPORTED(name, parameters, arguments)                                                   \
    WC_EXPORT int MPI_##name parameters {                                                          \
        wc_forbid("MPI_" #name);                                                                   \
        return PMPI_##name arguments;                                                              \
    }

/* One that waits for other ranks inside MPI: they may need the receives that were taken back. */
#define BLOCKING(name, parameters, arguments)                                                      \
    WC_EXPORT int MPI_##name parameters {                                                          \
        wc_forbid("MPI_" #name);                                                                   \
        bool slow = wc_native_enter();                                                             \
        int rc = PMPI_##name arguments;                                                            \
        wc_native_leave(slow);                                                                     \
        return rc;                                                                                 \
    }

UNSUPPORTED(Comm_idup, (MPI_Comm comm, MPI_Comm *newcomm, MPI_Request *request),
            (comm, newcomm, request))

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
    wc_forbid("MPI_Comm_create_group");
    bool slow = wc_native_enter(), in_job = L.attached && !wc_comm_leaves_job(group);
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
    wc_forbid("MPI_Intercomm_create");
    bool slow = wc_native_enter();
    int job = leader_in_job(local, leader, peer, remote);
    int rc = job == MPI_UNDEFINED ? PMPI_Intercomm_create(local, leader, peer, remote, tag, newcomm)
                                  : PMPI_Intercomm_create(local, leader, L.job, job, tag, newcomm);
    wc_native_leave(slow);
    return rc;
}

/* ---- the rest ---- */

BLOCKING(Intercomm_merge, (MPI_Comm comm, int high, MPI_Comm *newcomm), (comm, high, newcomm))
BLOCKING(Comm_spawn,
         (const char *command, char *argv[], int n, MPI_Info info, int root, MPI_Comm comm,
          MPI_Comm *newcomm, int errors[]),
         (command, argv, n, info, root, comm, newcomm, errors))
BLOCKING(Comm_spawn_multiple,
         (int count, char *commands[], char **argvs[], const int ns[], const MPI_Info infos[],
          int root, MPI_Comm comm, MPI_Comm *newcomm, int errors[]),
         (count, commands, argvs, ns, infos, root, comm, newcomm, errors))
BLOCKING(Comm_accept, (const char *port, MPI_Info info, int root, MPI_Comm comm, MPI_Comm *newcomm),
         (port, info, root, comm, newcomm))
BLOCKING(Comm_connect,
         (const char *port, MPI_Info info, int root, MPI_Comm comm, MPI_Comm *newcomm),
         (port, info, root, comm, newcomm))
BLOCKING(Comm_join, (int fd, MPI_Comm *newcomm), (fd, newcomm))

BLOCKING(Win_create,
         (void *base, MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm, MPI_Win *win),
         (base, bytes, unit, info, comm, win))
BLOCKING(Win_allocate,
         (MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm, void *base, MPI_Win *win),
         (bytes, unit, info, comm, base, win))
BLOCKING(Win_allocate_shared,
         (MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm, void *base, MPI_Win *win),
         (bytes, unit, info, comm, base, win))
BLOCKING(Win_create_dynamic, (MPI_Info info, MPI_Comm comm, MPI_Win *win), (info, comm, win))

BLOCKING(Win_free, (MPI_Win * win), (win))
BLOCKING(Win_fence, (int assertion, MPI_Win win), (assertion, win))
BLOCKING(Win_start, (MPI_Group group, int assertion, MPI_Win win), (group, assertion, win))
BLOCKING(Win_complete, (MPI_Win win), (win))
BLOCKING(Win_wait, (MPI_Win win), (win))
BLOCKING(Win_lock, (int kind, int rank, int assertion, MPI_Win win), (kind, rank, assertion, win))
BLOCKING(Win_unlock, (int rank, MPI_Win win), (rank, win))
BLOCKING(Win_lock_all, (int assertion, MPI_Win win), (assertion, win))
BLOCKING(Win_unlock_all, (MPI_Win win), (win))
BLOCKING(Win_flush, (int rank, MPI_Win win), (rank, win))
BLOCKING(Win_flush_local, (int rank, MPI_Win win), (rank, win))
BLOCKING(Win_flush_all, (MPI_Win win), (win))
BLOCKING(Win_flush_local_all, (MPI_Win win), (win))
UNSUPPORTED(Grequest_start,
            (MPI_Grequest_query_function * query, MPI_Grequest_free_function *release,
             MPI_Grequest_cancel_function *cancel, void *state, MPI_Request *request),
            (query, release, cancel, state, request))
