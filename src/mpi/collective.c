/* SPDX-License-Identifier: BSD-3-Clause */
/* Collectives: they leave no trace in channels, so they are counted (protocol.md, section 6). */
#include "layer.h"

#include "wc_calls.h"

static inline bool enter(const char *call, MPI_Comm comm) {
    wc_mpi_comm *c = L.way == WC_WAY_OFF ? NULL : wc_comm_of(comm);
    if (c)
        wc_core_collective(&L.core, &c->core);
    return wc_native_enter(call, c);
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
    if (L.watched && rc == MPI_SUCCESS)
        wc_watch_collective_request(*request, wc_comm_of(comm));
    return counted(comm, rc);
}

/* The shapes of calls.list, as X(name, parameters, arguments). All have `comm` among them. */
#define COLLECTIVE(name, parameters, arguments)                                                    \
    WC_EXPORT int MPI_##name parameters {                                                          \
        WC_GUARD(__func__);                                                                        \
        bool slow = enter("MPI_" #name, comm);                                                     \
        return leave(slow, comm, PMPI_##name arguments);                                           \
    }

#define NONBLOCKING(name, parameters, arguments)                                                   \
    WC_EXPORT int MPI_##name parameters {                                                          \
        WC_GUARD(__func__);                                                                        \
        start(comm);                                                                               \
        return started(comm, PMPI_##name arguments, request);                                      \
    }

/* Makes what can't be part of a snapshot while it exists: `then` notes it. */
#define MAKES(name, parameters, arguments, then)                                                   \
    WC_EXPORT int MPI_##name parameters {                                                          \
        WC_GUARD(__func__);                                                                        \
        bool slow = enter("MPI_" #name, comm);                                                     \
        int rc = leave(slow, comm, PMPI_##name arguments);                                         \
        if (rc == MPI_SUCCESS)                                                                     \
            then;                                                                                  \
        return rc;                                                                                 \
    }

#define OPENS(name, parameters, arguments)                                                         \
    MAKES(name, parameters, arguments, wc_open(WC_OPEN_WINDOW, "MPI_" #name))

/* A communicator with other processes. */
#define CONNECTS(name, parameters, arguments)                                                      \
    MAKES(name, parameters, arguments, wc_process_connected(*intercomm, "MPI_" #name))

WC_COUNTED_COLLECTIVE(COLLECTIVE)
WC_COUNTED_COLLECTIVE_STARTS(NONBLOCKING)
WC_WINDOW_OPENS(OPENS)
WC_CONNECTED_CONNECTS(CONNECTS)
