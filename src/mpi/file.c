/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPI-IO. Its collective calls are counted like other collectives, on the communicator that the file
 * was opened on; what is outstanding at a record voids. File pointers are not saved.
 */
#include "layer.h"

#include "wc_calls.h"

#include <stdlib.h>

typedef struct wc_file {
    MPI_File handle;
    wc_mpi_comm *comm;
    struct wc_file *next;
} wc_file;

static WC_PROCESS wc_file *files;

static wc_file **find(MPI_File handle) {
    wc_file **at = &files;
    while (*at && (*at)->handle != handle)
        at = &(*at)->next;
    return at;
}

/* Returns the communicator. NULL: not known. */
static wc_mpi_comm *count_collective(MPI_File handle) {
    const wc_file *f = L.way == WC_WAY_OFF ? NULL : *find(handle);
    if (f)
        wc_core_collective(&L.core, &f->comm->core);
    return f ? f->comm : NULL;
}

/* Some MPI-IO is written with MPI's public calls: what it does inside is not the application's. */
typedef struct wc_hushed {
    wc_way way;
    bool slow;
} wc_hushed;

static wc_hushed hush(bool waits, const char *call, wc_mpi_comm *c) {
    L.core.recordable = false;
    bool slow = waits && wc_native_begin(call, c);
    wc_hushed before = {L.way, slow};
    if (L.multiple) {
        wc_thread_hush(true);
        return before;
    }
    wc_layer_off();
    return before;
}

static void unhush(wc_hushed before) {
    if (L.multiple)
        wc_thread_hush(before.way == WC_WAY_OFF);
    else
        L.way = before.way;
    wc_native_end(before.slow);
    wc_layer_update();
}

/* `waits`: for the other ranks of the file; `c`: for these, as counted. */
#define HUSHED(waits, c, call)                                                                     \
    wc_hushed before = hush(waits, __func__, c);                                                   \
    int rc = WC_WAITING(call);                                                                     \
    unhush(before)

WC_EXPORT int MPI_File_open(MPI_Comm comm, const char *name, int mode, MPI_Info info,
                            MPI_File *file) {
    WC_GUARD(__func__);
    wc_mpi_comm *c = L.way == WC_WAY_OFF ? NULL : wc_comm_of(comm);
    if (c)
        wc_core_collective(&L.core, &c->core);
    HUSHED(true, c, PMPI_File_open(comm, name, mode, info, file));
    if (c && rc == MPI_SUCCESS) {
        wc_file *f = wc_core_alloc(sizeof *f);
        *f = (wc_file){.handle = *file, .comm = c, .next = files};
        c->files++;
        files = f;
    }
    return rc;
}

WC_EXPORT int MPI_File_close(MPI_File *file) {
    WC_GUARD(__func__);
    wc_file **at = find(*file), *f = *at;
    wc_mpi_comm *c = count_collective(*file);
    if (f) {
        f->comm->files--;
        *at = f->next;
        free(f);
    }
    HUSHED(true, c, PMPI_File_close(file));
    return rc;
}

/* The shapes of calls.list, as X(name, parameters, arguments). All have `fh` among them. One that waits
 * for the other ranks of the file, or may: */
#define COLLECTIVE(name, parameters, arguments)                                                    \
    WC_EXPORT int MPI_##name parameters {                                                          \
        WC_GUARD(__func__);                                                                        \
        wc_mpi_comm *c = count_collective(fh);                                                     \
        HUSHED(true, c, PMPI_##name arguments);                                                    \
        return rc;                                                                                 \
    }

#define COLLECTIVE_STARTS(name, parameters, arguments)                                             \
    WC_EXPORT int MPI_##name parameters {                                                          \
        WC_GUARD(__func__);                                                                        \
        count_collective(fh);                                                                      \
        HUSHED(false, NULL, PMPI_##name arguments);                                                \
        wc_foreign_started(rc, request);                                                           \
        return rc;                                                                                 \
    }

/* Begins what another call ends: nothing that a snapshot could hold in between. */
#define BEGINS(name, parameters, arguments)                                                        \
    WC_EXPORT int MPI_##name parameters {                                                          \
        WC_GUARD(__func__);                                                                        \
        wc_mpi_comm *c = count_collective(fh);                                                     \
        HUSHED(true, c, PMPI_##name arguments);                                                    \
        if (rc == MPI_SUCCESS)                                                                     \
            wc_open(WC_OPEN_SPLIT, "MPI_" #name);                                                  \
        return rc;                                                                                 \
    }

#define ENDS(name, parameters, arguments)                                                          \
    WC_EXPORT int MPI_##name parameters {                                                          \
        WC_GUARD(__func__);                                                                        \
        HUSHED(true, NULL, PMPI_##name arguments);                                                 \
        wc_close(WC_OPEN_SPLIT); /* whatever came of it */                                         \
        return rc;                                                                                 \
    }

/* Of one rank alone. */
#define ALONE(name, parameters, arguments)                                                         \
    WC_EXPORT int MPI_##name parameters {                                                          \
        WC_GUARD(__func__);                                                                        \
        HUSHED(false, NULL, PMPI_##name arguments);                                                \
        return rc;                                                                                 \
    }

#define ALONE_STARTS(name, parameters, arguments)                                                  \
    WC_EXPORT int MPI_##name parameters {                                                          \
        WC_GUARD(__func__);                                                                        \
        HUSHED(false, NULL, PMPI_##name arguments);                                                \
        wc_foreign_started(rc, request);                                                           \
        return rc;                                                                                 \
    }

WC_COUNTED_FILE(COLLECTIVE)
WC_COUNTED_FILE_STARTS(COLLECTIVE_STARTS)
WC_SPLIT_BEGINS(BEGINS)
WC_SPLIT_ENDS(ENDS)
WC_HANDLED_ALONE(ALONE)
WC_HANDLED_ALONE_STARTS(ALONE_STARTS)
