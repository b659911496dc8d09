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
BLOCKING(Comm_create_group, (MPI_Comm comm, MPI_Group group, int tag, MPI_Comm *newcomm),
         (comm, group, tag, newcomm))
BLOCKING(Intercomm_create,
         (MPI_Comm local, int leader, MPI_Comm peer, int remote, int tag, MPI_Comm *newcomm),
         (local, leader, peer, remote, tag, newcomm))
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
