/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that move messages, or make communicators, in ways that this version can't follow. They do
 * what MPI does; from then on every attempt is void and says why.
 */
#include "layer.h"

static inline void forbid(const char *call) {
    if (L.way != WC_WAY_OFF)
        wc_core_forbid(&L.core, WC_REASON_UNSUPPORTED, call);
}

#define UNSUPPORTED(name, parameters, arguments)                                                   \
    WC_EXPORT int MPI_##name parameters {                                                          \
        forbid("MPI_" #name);                                                                      \
        return PMPI_##name arguments;                                                              \
    }

#define INIT_PARAMETERS                                                                            \
    (const void *buf, int n, MPI_Datatype type, int peer, int tag, MPI_Comm comm,                  \
     MPI_Request *request)
#define INIT_ARGUMENTS (buf, n, type, peer, tag, comm, request)

UNSUPPORTED(Send_init, INIT_PARAMETERS, INIT_ARGUMENTS)
UNSUPPORTED(Ssend_init, INIT_PARAMETERS, INIT_ARGUMENTS)
UNSUPPORTED(Bsend_init, INIT_PARAMETERS, INIT_ARGUMENTS)
UNSUPPORTED(Rsend_init, INIT_PARAMETERS, INIT_ARGUMENTS)
UNSUPPORTED(Recv_init,
            (void *buf, int n, MPI_Datatype type, int peer, int tag, MPI_Comm comm,
             MPI_Request *request),
            INIT_ARGUMENTS)
UNSUPPORTED(Mrecv, (void *buf, int n, MPI_Datatype type, MPI_Message *message, MPI_Status *status),
            (buf, n, type, message, status))
UNSUPPORTED(Imrecv,
            (void *buf, int n, MPI_Datatype type, MPI_Message *message, MPI_Request *request),
            (buf, n, type, message, request))

/* A matched probe takes a message out of MPI's hands: one that the library has pulled is handed on
 * with its real handle. */
static bool hand_on(int source, int tag, MPI_Comm comm, MPI_Message *message, MPI_Status *status) {
    wc_mpi_comm *c = L.way == WC_WAY_SLOW ? wc_comm_of(comm) : NULL;
    wc_message *m = c ? wc_core_probe(&L.core, &c->core, source == MPI_ANY_SOURCE ? WC_ANY : source,
                                      tag == MPI_ANY_TAG ? WC_ANY : tag)
                      : NULL;
    if (!m || !m->handle)
        return false;
    *message = *(MPI_Message *)m->handle;
    if (status != MPI_STATUS_IGNORE) {
        PMPI_Status_set_elements_x(status, MPI_BYTE, (MPI_Count)m->bytes);
        status->MPI_SOURCE = m->source;
        status->MPI_TAG = m->tag;
    }
    wc_core_take(&L.core, m);
    m->handle = NULL;
    wc_message_drop(m);
    return true;
}

WC_EXPORT int MPI_Improbe(int source, int tag, MPI_Comm comm, int *flag, MPI_Message *message,
                          MPI_Status *status) {
    forbid("MPI_Improbe");
    if (L.way == WC_WAY_SLOW)
        wc_layer_touch();
    *flag = hand_on(source, tag, comm, message, status);
    if (*flag || (L.way == WC_WAY_SLOW && L.core.armed))
        return MPI_SUCCESS;
    return PMPI_Improbe(source, tag, comm, flag, message, status);
}

WC_EXPORT int MPI_Mprobe(int source, int tag, MPI_Comm comm, MPI_Message *message,
                         MPI_Status *status) {
    unsigned spins = 0;
    int flag = 0, rc;
    while ((rc = MPI_Improbe(source, tag, comm, &flag, message, status)) == MPI_SUCCESS && !flag)
        wc_layer_idle(&spins);
    return rc;
}

UNSUPPORTED(Comm_idup, (MPI_Comm comm, MPI_Comm *newcomm, MPI_Request *request),
            (comm, newcomm, request))
UNSUPPORTED(Comm_create_group, (MPI_Comm comm, MPI_Group group, int tag, MPI_Comm *newcomm),
            (comm, group, tag, newcomm))
UNSUPPORTED(Intercomm_create,
            (MPI_Comm local, int leader, MPI_Comm peer, int remote, int tag, MPI_Comm *newcomm),
            (local, leader, peer, remote, tag, newcomm))
UNSUPPORTED(Intercomm_merge, (MPI_Comm comm, int high, MPI_Comm *newcomm), (comm, high, newcomm))
UNSUPPORTED(Comm_spawn,
            (const char *command, char *argv[], int n, MPI_Info info, int root, MPI_Comm comm,
             MPI_Comm *newcomm, int errors[]),
            (command, argv, n, info, root, comm, newcomm, errors))
UNSUPPORTED(Comm_spawn_multiple,
            (int count, char *commands[], char **argvs[], const int ns[], const MPI_Info infos[],
             int root, MPI_Comm comm, MPI_Comm *newcomm, int errors[]),
            (count, commands, argvs, ns, infos, root, comm, newcomm, errors))
UNSUPPORTED(Comm_accept,
            (const char *port, MPI_Info info, int root, MPI_Comm comm, MPI_Comm *newcomm),
            (port, info, root, comm, newcomm))
UNSUPPORTED(Comm_connect,
            (const char *port, MPI_Info info, int root, MPI_Comm comm, MPI_Comm *newcomm),
            (port, info, root, comm, newcomm))
UNSUPPORTED(Comm_join, (int fd, MPI_Comm *newcomm), (fd, newcomm))

UNSUPPORTED(Neighbor_allgather,
            (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype totype,
             MPI_Comm comm),
            (from, n, type, to, m, totype, comm))
UNSUPPORTED(Neighbor_alltoall,
            (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype totype,
             MPI_Comm comm),
            (from, n, type, to, m, totype, comm))
UNSUPPORTED(Neighbor_allgatherv,
            (const void *from, int n, MPI_Datatype type, void *to, const int ms[],
             const int places[], MPI_Datatype totype, MPI_Comm comm),
            (from, n, type, to, ms, places, totype, comm))
UNSUPPORTED(Neighbor_alltoallv,
            (const void *from, const int ns[], const int places[], MPI_Datatype type, void *to,
             const int ms[], const int toplaces[], MPI_Datatype totype, MPI_Comm comm),
            (from, ns, places, type, to, ms, toplaces, totype, comm))
UNSUPPORTED(Neighbor_alltoallw,
            (const void *from, const int ns[], const MPI_Aint places[], const MPI_Datatype types[],
             void *to, const int ms[], const MPI_Aint toplaces[], const MPI_Datatype totypes[],
             MPI_Comm comm),
            (from, ns, places, types, to, ms, toplaces, totypes, comm))
UNSUPPORTED(Ineighbor_allgather,
            (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype totype,
             MPI_Comm comm, MPI_Request *request),
            (from, n, type, to, m, totype, comm, request))
UNSUPPORTED(Ineighbor_alltoall,
            (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype totype,
             MPI_Comm comm, MPI_Request *request),
            (from, n, type, to, m, totype, comm, request))
UNSUPPORTED(Ineighbor_allgatherv,
            (const void *from, int n, MPI_Datatype type, void *to, const int ms[],
             const int places[], MPI_Datatype totype, MPI_Comm comm, MPI_Request *request),
            (from, n, type, to, ms, places, totype, comm, request))
UNSUPPORTED(Ineighbor_alltoallv,
            (const void *from, const int ns[], const int places[], MPI_Datatype type, void *to,
             const int ms[], const int toplaces[], MPI_Datatype totype, MPI_Comm comm,
             MPI_Request *request),
            (from, ns, places, type, to, ms, toplaces, totype, comm, request))
UNSUPPORTED(Ineighbor_alltoallw,
            (const void *from, const int ns[], const MPI_Aint places[], const MPI_Datatype types[],
             void *to, const int ms[], const MPI_Aint toplaces[], const MPI_Datatype totypes[],
             MPI_Comm comm, MPI_Request *request),
            (from, ns, places, types, to, ms, toplaces, totypes, comm, request))

UNSUPPORTED(Win_create,
            (void *base, MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm, MPI_Win *win),
            (base, bytes, unit, info, comm, win))
UNSUPPORTED(Win_allocate,
            (MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm, void *base, MPI_Win *win),
            (bytes, unit, info, comm, base, win))
UNSUPPORTED(Win_allocate_shared,
            (MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm, void *base, MPI_Win *win),
            (bytes, unit, info, comm, base, win))
UNSUPPORTED(Win_create_dynamic, (MPI_Info info, MPI_Comm comm, MPI_Win *win), (info, comm, win))

UNSUPPORTED(File_iread, (MPI_File f, void *buf, int n, MPI_Datatype type, MPI_Request *request),
            (f, buf, n, type, request))
UNSUPPORTED(File_iwrite,
            (MPI_File f, const void *buf, int n, MPI_Datatype type, MPI_Request *request),
            (f, buf, n, type, request))
UNSUPPORTED(File_iread_at,
            (MPI_File f, MPI_Offset at, void *buf, int n, MPI_Datatype type, MPI_Request *request),
            (f, at, buf, n, type, request))
UNSUPPORTED(File_iwrite_at,
            (MPI_File f, MPI_Offset at, const void *buf, int n, MPI_Datatype type,
             MPI_Request *request),
            (f, at, buf, n, type, request))
UNSUPPORTED(File_iread_all, (MPI_File f, void *buf, int n, MPI_Datatype type, MPI_Request *request),
            (f, buf, n, type, request))
UNSUPPORTED(File_iwrite_all,
            (MPI_File f, const void *buf, int n, MPI_Datatype type, MPI_Request *request),
            (f, buf, n, type, request))
UNSUPPORTED(File_iread_at_all,
            (MPI_File f, MPI_Offset at, void *buf, int n, MPI_Datatype type, MPI_Request *request),
            (f, at, buf, n, type, request))
UNSUPPORTED(File_iwrite_at_all,
            (MPI_File f, MPI_Offset at, const void *buf, int n, MPI_Datatype type,
             MPI_Request *request),
            (f, at, buf, n, type, request))
UNSUPPORTED(File_iread_shared,
            (MPI_File f, void *buf, int n, MPI_Datatype type, MPI_Request *request),
            (f, buf, n, type, request))
UNSUPPORTED(File_iwrite_shared,
            (MPI_File f, const void *buf, int n, MPI_Datatype type, MPI_Request *request),
            (f, buf, n, type, request))
UNSUPPORTED(Grequest_start,
            (MPI_Grequest_query_function * query, MPI_Grequest_free_function *release,
             MPI_Grequest_cancel_function *cancel, void *state, MPI_Request *request),
            (query, release, cancel, state, request))
