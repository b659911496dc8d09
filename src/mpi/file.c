/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPI-IO. Its collective calls are counted like other collectives, on the communicator that the file
 * was opened on; what is outstanding at a record voids. File pointers are not saved.
 */
#include "layer.h"

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

static void count(MPI_File handle) {
    const wc_file *f = L.way == WC_WAY_OFF ? NULL : *find(handle);
    if (f)
        wc_core_collective(&L.core, &f->comm->core);
}

/* Some MPI-IO is written with MPI's public calls: what it does inside is not the application's. */
typedef struct wc_hushed {
    wc_way way;
    bool slow;
} wc_hushed;

static wc_hushed hush(bool waits) {
    L.core.recordable = false;
    bool slow = waits && wc_native_enter();
    wc_hushed before = {L.way, slow};
    L.way = WC_WAY_OFF;
    L.waits_natively = false;
    L.fast_comm = WC_NO_COMM;
    return before;
}

static void unhush(wc_hushed before) {
    L.way = before.way;
    wc_native_leave(before.slow);
    wc_layer_update();
}

/* `waits`: for the other ranks of the file. */
#define HUSHED(waits, call)                                                                        \
    wc_hushed before = hush(waits);                                                                \
    int rc = call;                                                                                 \
    unhush(before)

WC_EXPORT int MPI_File_open(MPI_Comm comm, const char *name, int mode, MPI_Info info,
                            MPI_File *file) {
    wc_mpi_comm *c = L.way == WC_WAY_OFF ? NULL : wc_comm_of(comm);
    if (c)
        wc_core_collective(&L.core, &c->core);
    HUSHED(true, PMPI_File_open(comm, name, mode, info, file));
    if (c && rc == MPI_SUCCESS) {
        wc_file *f = wc_core_alloc(sizeof *f);
        *f = (wc_file){.handle = *file, .comm = c, .next = files};
        files = f;
    }
    return rc;
}

WC_EXPORT int MPI_File_close(MPI_File *file) {
    wc_file **at = find(*file), *f = *at;
    count(*file);
    if (f) {
        *at = f->next;
        free(f);
    }
    HUSHED(true, PMPI_File_close(file));
    return rc;
}

/* Waits for the other ranks of the file, or may. */
#define COLLECTIVE(name, parameters, arguments)                                                    \
    WC_EXPORT int MPI_File_##name parameters {                                                     \
        count(file);                                                                               \
        HUSHED(true, PMPI_File_##name arguments);                                                  \
        return rc;                                                                                 \
    }

/* Begins what another call ends: outstanding in between. */
#define SPLIT(name, parameters, arguments, end_parameters, end_arguments)                          \
    WC_EXPORT int MPI_File_##name##_begin parameters {                                             \
        count(file);                                                                               \
        HUSHED(true, PMPI_File_##name##_begin arguments);                                          \
        L.started += rc == MPI_SUCCESS;                                                            \
        return rc;                                                                                 \
    }                                                                                              \
    WC_EXPORT int MPI_File_##name##_end end_parameters {                                           \
        HUSHED(true, PMPI_File_##name##_end end_arguments);                                        \
        L.completed++; /* whatever came of it */                                                   \
        return rc;                                                                                 \
    }

/* Of one rank alone. */
#define ALONE(name, parameters, arguments)                                                         \
    WC_EXPORT int MPI_File_##name parameters {                                                     \
        HUSHED(false, PMPI_File_##name arguments);                                                 \
        return rc;                                                                                 \
    }

#define NONBLOCKING(name, parameters, arguments)                                                   \
    WC_EXPORT int MPI_File_##name parameters {                                                     \
        HUSHED(false, PMPI_File_##name arguments);                                                 \
        wc_foreign_started(rc, request);                                                           \
        return rc;                                                                                 \
    }

#define NONBLOCKING_COLLECTIVE(name, parameters, arguments)                                        \
    WC_EXPORT int MPI_File_##name parameters {                                                     \
        count(file);                                                                               \
        HUSHED(false, PMPI_File_##name arguments);                                                 \
        wc_foreign_started(rc, request);                                                           \
        return rc;                                                                                 \
    }

COLLECTIVE(set_size, (MPI_File file, MPI_Offset size), (file, size))
COLLECTIVE(preallocate, (MPI_File file, MPI_Offset size), (file, size))
COLLECTIVE(set_atomicity, (MPI_File file, int flag), (file, flag))
COLLECTIVE(sync, (MPI_File file), (file))
COLLECTIVE(seek_shared, (MPI_File file, MPI_Offset offset, int whence), (file, offset, whence))
COLLECTIVE(set_view,
           (MPI_File file, MPI_Offset at, MPI_Datatype unit, MPI_Datatype type, const char *format,
            MPI_Info info),
           (file, at, unit, type, format, info))

ALONE(read, (MPI_File file, void *buf, int n, MPI_Datatype type, MPI_Status *status),
      (file, buf, n, type, status))
NONBLOCKING(iread, (MPI_File file, void *buf, int n, MPI_Datatype type, MPI_Request *request),
            (file, buf, n, type, request))
ALONE(read_at,
      (MPI_File file, MPI_Offset at, void *buf, int n, MPI_Datatype type, MPI_Status *status),
      (file, at, buf, n, type, status))
NONBLOCKING(iread_at,
            (MPI_File file, MPI_Offset at, void *buf, int n, MPI_Datatype type,
             MPI_Request *request),
            (file, at, buf, n, type, request))
ALONE(read_shared, (MPI_File file, void *buf, int n, MPI_Datatype type, MPI_Status *status),
      (file, buf, n, type, status))
NONBLOCKING(iread_shared,
            (MPI_File file, void *buf, int n, MPI_Datatype type, MPI_Request *request),
            (file, buf, n, type, request))
COLLECTIVE(read_all, (MPI_File file, void *buf, int n, MPI_Datatype type, MPI_Status *status),
           (file, buf, n, type, status))
NONBLOCKING_COLLECTIVE(iread_all,
                       (MPI_File file, void *buf, int n, MPI_Datatype type, MPI_Request *request),
                       (file, buf, n, type, request))
SPLIT(read_all, (MPI_File file, void *buf, int n, MPI_Datatype type), (file, buf, n, type),
      (MPI_File file, void *buf, MPI_Status *status), (file, buf, status))
COLLECTIVE(read_at_all,
           (MPI_File file, MPI_Offset at, void *buf, int n, MPI_Datatype type, MPI_Status *status),
           (file, at, buf, n, type, status))
NONBLOCKING_COLLECTIVE(iread_at_all,
                       (MPI_File file, MPI_Offset at, void *buf, int n, MPI_Datatype type,
                        MPI_Request *request),
                       (file, at, buf, n, type, request))
SPLIT(read_at_all, (MPI_File file, MPI_Offset at, void *buf, int n, MPI_Datatype type),
      (file, at, buf, n, type), (MPI_File file, void *buf, MPI_Status *status), (file, buf, status))
COLLECTIVE(read_ordered, (MPI_File file, void *buf, int n, MPI_Datatype type, MPI_Status *status),
           (file, buf, n, type, status))
SPLIT(read_ordered, (MPI_File file, void *buf, int n, MPI_Datatype type), (file, buf, n, type),
      (MPI_File file, void *buf, MPI_Status *status), (file, buf, status))
ALONE(write, (MPI_File file, const void *buf, int n, MPI_Datatype type, MPI_Status *status),
      (file, buf, n, type, status))
NONBLOCKING(iwrite,
            (MPI_File file, const void *buf, int n, MPI_Datatype type, MPI_Request *request),
            (file, buf, n, type, request))
ALONE(write_at,
      (MPI_File file, MPI_Offset at, const void *buf, int n, MPI_Datatype type, MPI_Status *status),
      (file, at, buf, n, type, status))
NONBLOCKING(iwrite_at,
            (MPI_File file, MPI_Offset at, const void *buf, int n, MPI_Datatype type,
             MPI_Request *request),
            (file, at, buf, n, type, request))
ALONE(write_shared, (MPI_File file, const void *buf, int n, MPI_Datatype type, MPI_Status *status),
      (file, buf, n, type, status))
NONBLOCKING(iwrite_shared,
            (MPI_File file, const void *buf, int n, MPI_Datatype type, MPI_Request *request),
            (file, buf, n, type, request))
COLLECTIVE(write_all,
           (MPI_File file, const void *buf, int n, MPI_Datatype type, MPI_Status *status),
           (file, buf, n, type, status))
NONBLOCKING_COLLECTIVE(iwrite_all,
                       (MPI_File file, const void *buf, int n, MPI_Datatype type,
                        MPI_Request *request),
                       (file, buf, n, type, request))
SPLIT(write_all, (MPI_File file, const void *buf, int n, MPI_Datatype type), (file, buf, n, type),
      (MPI_File file, const void *buf, MPI_Status *status), (file, buf, status))
COLLECTIVE(write_at_all,
           (MPI_File file, MPI_Offset at, const void *buf, int n, MPI_Datatype type,
            MPI_Status *status),
           (file, at, buf, n, type, status))
NONBLOCKING_COLLECTIVE(iwrite_at_all,
                       (MPI_File file, MPI_Offset at, const void *buf, int n, MPI_Datatype type,
                        MPI_Request *request),
                       (file, at, buf, n, type, request))
SPLIT(write_at_all, (MPI_File file, MPI_Offset at, const void *buf, int n, MPI_Datatype type),
      (file, at, buf, n, type), (MPI_File file, const void *buf, MPI_Status *status),
      (file, buf, status))
COLLECTIVE(write_ordered,
           (MPI_File file, const void *buf, int n, MPI_Datatype type, MPI_Status *status),
           (file, buf, n, type, status))
SPLIT(write_ordered, (MPI_File file, const void *buf, int n, MPI_Datatype type),
      (file, buf, n, type), (MPI_File file, const void *buf, MPI_Status *status),
      (file, buf, status))
