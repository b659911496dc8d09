/* SPDX-License-Identifier: BSD-3-Clause */
/* Collectives: they leave no trace in channels, so they are counted (protocol.md, section 6). */
#include "layer.h"

static inline bool enter(MPI_Comm comm) {
    wc_mpi_comm *c = L.way == WC_WAY_OFF ? NULL : wc_comm_of(comm);
    if (c)
        wc_core_collective(&L.core, &c->core);
    return wc_native_enter();
}

/* One that MPI has refused was none. */
static inline int counted(MPI_Comm comm, int rc) {
    wc_mpi_comm *c = rc == MPI_SUCCESS || L.way == WC_WAY_OFF ? NULL : wc_comm_of(comm);
    if (c)
        wc_core_no_collective(&L.core, &c->core);
    return rc;
}

static inline int leave(bool slow, MPI_Comm comm, int rc) {
    wc_native_leave(slow);
    return counted(comm, rc);
}

static inline void start(MPI_Comm comm) {
    if (L.way == WC_WAY_OFF)
        return;
    wc_mpi_comm *c = wc_comm_of(comm);
    if (c)
        wc_core_collective(&L.core, &c->core);
    L.core.recordable = false;
    if (L.way == WC_WAY_SLOW)
        wc_layer_touch();
}

static inline int started(MPI_Comm comm, int rc, const MPI_Request *request) {
    wc_foreign_started(rc, request);
    return counted(comm, rc);
}

/* X(name, parameters, arguments), all with `comm` among them; Xi: the nonblocking one with
 * MPI_Request *request. */
#define COLLECTIVE(name, parameters, arguments)                                                    \
    WC_EXPORT int MPI_##name parameters {                                                          \
        bool slow = enter(comm);                                                                   \
        return leave(slow, comm, PMPI_##name arguments);                                           \
    }
#define NONBLOCKING(name, parameters, arguments)                                                   \
    WC_EXPORT int MPI_##name parameters {                                                          \
        start(comm);                                                                               \
        return started(comm, PMPI_##name arguments, request);                                      \
    }
#define UNPACK(...) __VA_ARGS__
#define BOTH(name, iname, parameters, arguments)                                                   \
    COLLECTIVE(name, (UNPACK parameters), (UNPACK arguments))                                      \
    NONBLOCKING(iname, (UNPACK parameters, MPI_Request * request), (UNPACK arguments, request))

BOTH(Barrier, Ibarrier, (MPI_Comm comm), (comm))
BOTH(Bcast, Ibcast, (void *buf, int count, MPI_Datatype type, int root, MPI_Comm comm),
     (buf, count, type, root, comm))
BOTH(Gather, Igather,
     (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype totype, int root,
      MPI_Comm comm),
     (from, n, type, to, m, totype, root, comm))
BOTH(Gatherv, Igatherv,
     (const void *from, int n, MPI_Datatype type, void *to, const int ms[], const int places[],
      MPI_Datatype totype, int root, MPI_Comm comm),
     (from, n, type, to, ms, places, totype, root, comm))
BOTH(Scatter, Iscatter,
     (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype totype, int root,
      MPI_Comm comm),
     (from, n, type, to, m, totype, root, comm))
BOTH(Scatterv, Iscatterv,
     (const void *from, const int ns[], const int places[], MPI_Datatype type, void *to, int m,
      MPI_Datatype totype, int root, MPI_Comm comm),
     (from, ns, places, type, to, m, totype, root, comm))
BOTH(Allgather, Iallgather,
     (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype totype,
      MPI_Comm comm),
     (from, n, type, to, m, totype, comm))
BOTH(Allgatherv, Iallgatherv,
     (const void *from, int n, MPI_Datatype type, void *to, const int ms[], const int places[],
      MPI_Datatype totype, MPI_Comm comm),
     (from, n, type, to, ms, places, totype, comm))
BOTH(Alltoall, Ialltoall,
     (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype totype,
      MPI_Comm comm),
     (from, n, type, to, m, totype, comm))
BOTH(Alltoallv, Ialltoallv,
     (const void *from, const int ns[], const int places[], MPI_Datatype type, void *to,
      const int ms[], const int toplaces[], MPI_Datatype totype, MPI_Comm comm),
     (from, ns, places, type, to, ms, toplaces, totype, comm))
BOTH(Alltoallw, Ialltoallw,
     (const void *from, const int ns[], const int places[], const MPI_Datatype types[], void *to,
      const int ms[], const int toplaces[], const MPI_Datatype totypes[], MPI_Comm comm),
     (from, ns, places, types, to, ms, toplaces, totypes, comm))
BOTH(Reduce, Ireduce,
     (const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm),
     (from, to, n, type, op, root, comm))
BOTH(Allreduce, Iallreduce,
     (const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
     (from, to, n, type, op, comm))
BOTH(Reduce_scatter, Ireduce_scatter,
     (const void *from, void *to, const int ns[], MPI_Datatype type, MPI_Op op, MPI_Comm comm),
     (from, to, ns, type, op, comm))
BOTH(Reduce_scatter_block, Ireduce_scatter_block,
     (const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
     (from, to, n, type, op, comm))
BOTH(Scan, Iscan, (const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
     (from, to, n, type, op, comm))
BOTH(Exscan, Iexscan,
     (const void *from, void *to, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
     (from, to, n, type, op, comm))

/* Collective over the communicator, though messages go to neighbours only: MPI 3.1, section 7.6. */
BOTH(Neighbor_allgather, Ineighbor_allgather,
     (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype totype,
      MPI_Comm comm),
     (from, n, type, to, m, totype, comm))
BOTH(Neighbor_allgatherv, Ineighbor_allgatherv,
     (const void *from, int n, MPI_Datatype type, void *to, const int ms[], const int places[],
      MPI_Datatype totype, MPI_Comm comm),
     (from, n, type, to, ms, places, totype, comm))
BOTH(Neighbor_alltoall, Ineighbor_alltoall,
     (const void *from, int n, MPI_Datatype type, void *to, int m, MPI_Datatype totype,
      MPI_Comm comm),
     (from, n, type, to, m, totype, comm))
BOTH(Neighbor_alltoallv, Ineighbor_alltoallv,
     (const void *from, const int ns[], const int places[], MPI_Datatype type, void *to,
      const int ms[], const int toplaces[], MPI_Datatype totype, MPI_Comm comm),
     (from, ns, places, type, to, ms, toplaces, totype, comm))
BOTH(Neighbor_alltoallw, Ineighbor_alltoallw,
     (const void *from, const int ns[], const MPI_Aint places[], const MPI_Datatype types[],
      void *to, const int ms[], const MPI_Aint toplaces[], const MPI_Datatype totypes[],
      MPI_Comm comm),
     (from, ns, places, types, to, ms, toplaces, totypes, comm))
