/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded before the library, makes a program that knows nothing of Wavecut one without state of its own: wavecut_init in
 * MPI_Init, and a safe point at the beginning of the calls below. With snapshots that follow each other closely, the program
 * runs above all that an attempt does with its messages; a restart from them would not be one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <mpi.h>
#include <wavecut.h>

#include <stdlib.h>

static int attached;

static void attach(void) {
    attached = wavecut_init(MPI_COMM_WORLD) == WAVECUT_OK &&
               wavecut_cut(WAVECUT_IMMEDIATE) == WAVECUT_OK && wavecut_restore(NULL) == WAVECUT_OK;
    if (!attached)
        MPI_Abort(MPI_COMM_WORLD, 1);
}

/* The function that this one stands before. */
#define NEXT(name) ((__typeof(&MPI_##name))dlsym(RTLD_NEXT, "MPI_" #name))

int MPI_Init(int *argc, char ***argv) {
    int rc = NEXT(Init)(argc, argv);
    attach();
    return rc;
}

int MPI_Init_thread(int *argc, char ***argv, int required, int *provided) {
    int rc = NEXT(Init_thread)(argc, argv, required, provided);
    attach();
    return rc;
}

int MPI_Finalize(void) {
    if (attached)
        wavecut_finalize();
    return NEXT(Finalize)();
}

#define CALL(name, parameters, arguments)                                                          \
    int MPI_##name parameters {                                                                    \
        static __typeof(&MPI_##name) next;                                                         \
        if (!next)                                                                                 \
            next = NEXT(name);                                                                     \
        if (attached)                                                                              \
            wavecut_safepoint();                                                                   \
        return next arguments;                                                                     \
    }

CALL(Send, (const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm),
     (buf, count, type, dest, tag, comm))
CALL(Ssend, (const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm),
     (buf, count, type, dest, tag, comm))
CALL(Recv,
     (void *buf, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm,
      MPI_Status *status),
     (buf, count, type, source, tag, comm, status))
CALL(Isend,
     (const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm,
      MPI_Request *request),
     (buf, count, type, dest, tag, comm, request))
CALL(Irecv,
     (void *buf, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm,
      MPI_Request *request),
     (buf, count, type, source, tag, comm, request))
CALL(Wait, (MPI_Request * request, MPI_Status *status), (request, status))
CALL(Waitall, (int n, MPI_Request requests[], MPI_Status statuses[]), (n, requests, statuses))
CALL(Test, (MPI_Request * request, int *flag, MPI_Status *status), (request, flag, status))
CALL(Barrier, (MPI_Comm comm), (comm))
CALL(Bcast, (void *buf, int count, MPI_Datatype type, int root, MPI_Comm comm),
     (buf, count, type, root, comm))
CALL(Allreduce,
     (const void *from, void *to, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm),
     (from, to, count, type, op, comm))
CALL(Reduce,
     (const void *from, void *to, int count, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm),
     (from, to, count, type, op, root, comm))
CALL(Alltoall,
     (const void *from, int count, MPI_Datatype type, void *to, int n, MPI_Datatype to_type,
      MPI_Comm comm),
     (from, count, type, to, n, to_type, comm))
