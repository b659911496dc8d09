/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPI's Fortran calls that would go past the wrappers in C (which ones: fortran.py, which makes most of
 * them): they find the C handles, call the wrapper, and hand back what it gave. Strings have their
 * lengths behind all parameters, `ierror` may be missing in mpi_f08. Nothing here needs a Fortran
 * library: what a program that has one brings is found when it is loaded.
 */
#include "layer.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(MPI_Fint) == sizeof(int), "Fortran's default INTEGER is C's int");

/* One function under another name. */
#define WC_ALSO(name, other) WC_EXPORT extern __typeof(name) other __attribute__((alias(#name)));

enum { WC_F_FEW = 32 }; /* so many handles or statuses need no memory from the heap */

static void wc_f_error(MPI_Fint *ierror, int rc) {
    if (ierror)
        *ierror = rc;
}

static void *wc_f_room(void *here, int n, size_t bytes) {
    return n <= WC_F_FEW ? here : wc_core_alloc((size_t)n * bytes);
}

static void wc_f_done(void *here, void *room) {
    if (room != here)
        free(room);
}

/* How many have completed, of a call that says so in `outcount`. */
static int wc_f_some(int rc, const MPI_Fint *outcount) {
    bool told = rc == MPI_SUCCESS || rc == MPI_ERR_IN_STATUS;
    return told && *outcount != MPI_UNDEFINED ? *outcount : 0;
}

/* A string without the blanks around it, for free(). */
static char *wc_f_string(const char *text, size_t length) {
    while (length && text[length - 1] == ' ')
        length--;
    while (length && *text == ' ')
        text++, length--;
    char *copy = wc_core_alloc(length + 1);
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

/* ---- constants, known by their addresses ---- */

#ifdef OPEN_MPI

enum { FORTRAN_TAG_UB = MPI_TAG_UB };

extern MPI_Fint mpi_fortran_bottom_ __attribute__((weak));
extern MPI_Fint mpi_fortran_in_place_ __attribute__((weak));
extern MPI_Fint mpi_fortran_status_ignore_ __attribute__((weak));
extern MPI_Fint mpi_fortran_statuses_ignore_ __attribute__((weak));
extern MPI_Fint mpi_fortran_unweighted_ __attribute__((weak));
extern MPI_Fint mpi_fortran_weights_empty_ __attribute__((weak));

static bool wc_f_in_place(const void *buffer) {
    return buffer == &mpi_fortran_in_place_;
}

static void *wc_f_buffer(void *buffer) {
    if (wc_f_in_place(buffer))
        return MPI_IN_PLACE;
    return buffer == &mpi_fortran_bottom_ ? MPI_BOTTOM : buffer;
}

static int *wc_f_weights(const MPI_Fint *weights) {
    if (weights == &mpi_fortran_unweighted_)
        return MPI_UNWEIGHTED;
    return weights == &mpi_fortran_weights_empty_ ? MPI_WEIGHTS_EMPTY : (int *)weights;
}

static MPI_Status *wc_f_status(void *status, MPI_Status *here) {
    if (status == &mpi_fortran_status_ignore_)
        return MPI_STATUS_IGNORE;
    memset(here, 0, sizeof *here);
    return here;
}

static void wc_f_status_back(void *status, const MPI_Status *c) {
    if (c != MPI_STATUS_IGNORE)
        PMPI_Status_c2f(c, status);
}

static MPI_Status *wc_f_statuses(void *statuses, MPI_Status *here, int n) {
    if (statuses == &mpi_fortran_statuses_ignore_)
        return MPI_STATUSES_IGNORE;
    MPI_Status *room = wc_f_room(here, n, sizeof *room);
    memset(room, 0, (size_t)(n > 0 ? n : 0) * sizeof *room);
    return room;
}

static void wc_f_statuses_back(void *statuses, MPI_Status *here, MPI_Status *c, int n) {
    const size_t integers = sizeof(MPI_Status) / sizeof(MPI_Fint);
    if (c == MPI_STATUSES_IGNORE)
        return;
    for (int i = 0; i < n; i++)
        PMPI_Status_c2f(&c[i], (MPI_Fint *)statuses + (size_t)i * integers);
    wc_f_done(here, c);
}

/* How many there are of an argument that has one for each rank, or for each neighbour. */

static int wc_f_ranks(MPI_Comm comm) {
    int inter = 0, n = 0;
    PMPI_Comm_test_inter(comm, &inter);
    if (inter)
        PMPI_Comm_remote_size(comm, &n);
    else
        PMPI_Comm_size(comm, &n);
    return n;
}

static void count_neighbours(MPI_Comm comm, int *sources, int *destinations) {
    int kind = MPI_UNDEFINED, n = 0, rank, weighted;
    *sources = *destinations = 0;
    PMPI_Topo_test(comm, &kind);
    if (kind == MPI_DIST_GRAPH) {
        PMPI_Dist_graph_neighbors_count(comm, sources, destinations, &weighted);
    } else if (kind == MPI_CART) {
        PMPI_Cartdim_get(comm, &n);
        *sources = *destinations = 2 * n;
    } else if (kind == MPI_GRAPH) {
        PMPI_Comm_rank(comm, &rank);
        PMPI_Graph_neighbors_count(comm, rank, &n);
        *sources = *destinations = n;
    }
}

static int wc_f_sources(MPI_Comm comm) {
    int sources, destinations;
    count_neighbours(comm, &sources, &destinations);
    return sources;
}

static int wc_f_destinations(MPI_Comm comm) {
    int sources, destinations;
    count_neighbours(comm, &sources, &destinations);
    return destinations;
}

#else

enum { FORTRAN_TAG_UB = MPI_TAG_UB + 1 };

extern MPI_Fint mpi_unweighted __asm__("__mpi_f08_link_constants_MOD_mpi_unweighted")
    __attribute__((weak));
extern MPI_Fint mpi_weights_empty __asm__("__mpi_f08_link_constants_MOD_mpi_weights_empty")
    __attribute__((weak));

static int *wc_f_weights(const MPI_Fint *weights) {
    if (weights == &mpi_unweighted)
        return MPI_UNWEIGHTED;
    return weights == &mpi_weights_empty ? MPI_WEIGHTS_EMPTY : (int *)weights;
}

/* In newer ones these are in the library of mpi_f08. */
#pragma weak MPI_F08_STATUS_IGNORE
#pragma weak MPI_F08_STATUSES_IGNORE

/* A status of mpi_f08 is one of C. */
_Static_assert(sizeof(MPI_F08_status) == sizeof(MPI_Status), "statuses of mpi_f08 and C");

static MPI_Status *wc_f_status(void *status, MPI_Status *here) {
    (void)here;
    return status == MPI_F08_STATUS_IGNORE ? MPI_STATUS_IGNORE : status;
}

static void wc_f_status_back(void *status, const MPI_Status *c) {
    (void)status, (void)c;
}

static MPI_Status *wc_f_statuses(void *statuses, MPI_Status *here, int n) {
    (void)here, (void)n;
    return statuses == MPI_F08_STATUSES_IGNORE ? MPI_STATUSES_IGNORE : statuses;
}

static void wc_f_statuses_back(void *statuses, MPI_Status *here, MPI_Status *c, int n) {
    (void)statuses, (void)here, (void)c, (void)n;
}

#endif

#include "wc_fortran.h"

/* ---- by hand ---- */

#ifdef OPEN_MPI
#define F(stem) stem##_
#define F08_TOO(stem) WC_ALSO(stem##_, stem##_f08_)
#else
#define F(stem) stem##_f08_
#define F08_TOO(stem)
#endif
#define TEXT_(name) #name
#define TEXT(name) TEXT_(name)

/* What the library stands before. */
static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) {
        fprintf(stderr, "wavecut: MPI has no %s\n", name);
        PMPI_Abort(MPI_COMM_WORLD, 1);
    }
    return found;
}

WC_EXPORT void F(mpi_init)(MPI_Fint *ierror);
WC_EXPORT void F(mpi_init)(MPI_Fint *ierror) {
    wc_f_error(ierror, MPI_Init(NULL, NULL));
}
F08_TOO(mpi_init)

WC_EXPORT void F(mpi_init_thread)(const MPI_Fint *required, MPI_Fint *provided, MPI_Fint *ierror);
WC_EXPORT void F(mpi_init_thread)(const MPI_Fint *required, MPI_Fint *provided, MPI_Fint *ierror) {
    wc_f_error(ierror, MPI_Init_thread(NULL, NULL, *required, provided));
}
F08_TOO(mpi_init_thread)

/* Fortran gets the bound of tags itself, not its address. */
#define GET_ATTR(name, integer)                                                                    \
    WC_EXPORT void name(const MPI_Fint *comm, const MPI_Fint *keyval, integer *value,              \
                        MPI_Fint *found, MPI_Fint *ierror);                                        \
    WC_EXPORT void name(const MPI_Fint *comm, const MPI_Fint *keyval, integer *value,              \
                        MPI_Fint *found, MPI_Fint *ierror) {                                       \
        void (*get)(const MPI_Fint *, const MPI_Fint *, integer *, MPI_Fint *, MPI_Fint *) =       \
            next(#name);                                                                           \
        MPI_Fint rc;                                                                               \
        get(comm, keyval, value, found, &rc);                                                      \
        if (rc == MPI_SUCCESS && *found && *keyval == FORTRAN_TAG_UB)                              \
            *value = L.tag_ub;                                                                     \
        wc_f_error(ierror, rc);                                                                    \
    }

GET_ATTR(mpi_attr_get_, MPI_Fint)
GET_ATTR(mpi_comm_get_attr_, MPI_Aint)
GET_ATTR(mpi_comm_get_attr_f08_, MPI_Aint)

/* A value, where C has an address: MPI's own calls know which it was. */
#define SET_ATTR(name, integer)                                                                    \
    WC_EXPORT void name(const MPI_Fint *comm, const MPI_Fint *keyval, const integer *value,        \
                        MPI_Fint *ierror);                                                         \
    WC_EXPORT void name(const MPI_Fint *comm, const MPI_Fint *keyval, const integer *value,        \
                        MPI_Fint *ierror) {                                                        \
        WC_GUARD("MPI_Comm_set_attr");                                                             \
        __typeof(name) *set = next(#name);                                                         \
        wc_attribute_note(*keyval);                                                                \
        set(comm, keyval, value, ierror);                                                          \
    }

SET_ATTR(mpi_attr_put_, MPI_Fint)
SET_ATTR(mpi_comm_set_attr_, MPI_Aint)
SET_ATTR(mpi_comm_set_attr_f08_, MPI_Aint)

WC_EXPORT void mpi_buffer_detach_f08_(void *address, MPI_Fint *bytes, MPI_Fint *ierror);
WC_EXPORT void mpi_buffer_detach_f08_(void *address, MPI_Fint *bytes, MPI_Fint *ierror) {
    wc_f_error(ierror, MPI_Buffer_detach(address, bytes));
}

#ifdef OPEN_MPI
/* Declared for C no more. */
WC_ALSO(mpi_comm_set_errhandler_, mpi_errhandler_set_)

/* Before mpi_f08 a program can't take the address. */
WC_EXPORT void mpi_buffer_detach_(void *buffer, MPI_Fint *bytes, MPI_Fint *ierror);
WC_EXPORT void mpi_buffer_detach_(void *buffer, MPI_Fint *bytes, MPI_Fint *ierror) {
    (void)buffer;
    void *address;
    wc_f_error(ierror, MPI_Buffer_detach(&address, bytes));
}
#endif

/* These have lists of strings: what the wrapper in C does is done around MPI's own. */

WC_EXPORT void F(mpi_comm_spawn)(void *command, void *argv, void *n, void *info, void *root,
                                 void *comm, void *newcomm, void *errors, void *ierror,
                                 size_t command_length, size_t argv_length);
WC_EXPORT void F(mpi_comm_spawn)(void *command, void *argv, void *n, void *info, void *root,
                                 void *comm, void *newcomm, void *errors, void *ierror,
                                 size_t command_length, size_t argv_length) {
    __typeof(F(mpi_comm_spawn)) *spawn = next(TEXT(F(mpi_comm_spawn)));
    WC_GUARD("MPI_Comm_spawn");
    wc_forbid("MPI_Comm_spawn");
    bool slow = wc_native_enter("MPI_Comm_spawn", NULL);
    spawn(command, argv, n, info, root, comm, newcomm, errors, ierror, command_length, argv_length);
    wc_native_leave(slow);
}
F08_TOO(mpi_comm_spawn)

WC_EXPORT void F(mpi_comm_spawn_multiple)(void *count, void *commands, void *argvs, void *ns,
                                          void *infos, void *root, void *comm, void *newcomm,
                                          void *errors, void *ierror, size_t command_length,
                                          size_t argv_length);
WC_EXPORT void F(mpi_comm_spawn_multiple)(void *count, void *commands, void *argvs, void *ns,
                                          void *infos, void *root, void *comm, void *newcomm,
                                          void *errors, void *ierror, size_t command_length,
                                          size_t argv_length) {
    __typeof(F(mpi_comm_spawn_multiple)) *spawn = next(TEXT(F(mpi_comm_spawn_multiple)));
    WC_GUARD("MPI_Comm_spawn_multiple");
    wc_forbid("MPI_Comm_spawn_multiple");
    bool slow = wc_native_enter("MPI_Comm_spawn_multiple", NULL);
    spawn(count, commands, argvs, ns, infos, root, comm, newcomm, errors, ierror, command_length,
          argv_length);
    wc_native_leave(slow);
}
F08_TOO(mpi_comm_spawn_multiple)

/* ---- generalized requests: functions in Fortran behind functions in C ---- */

typedef void query_function(MPI_Aint *state, void *status, MPI_Fint *ierror);
typedef void release_function(MPI_Aint *state, MPI_Fint *ierror);
typedef void cancel_function(MPI_Aint *state, const MPI_Fint *complete, MPI_Fint *ierror);

typedef struct operation {
    query_function *query;
    release_function *release;
    cancel_function *cancel;
    MPI_Aint state;
} operation;

static int query(void *state, MPI_Status *status) {
    operation *o = state;
    MPI_Fint rc = MPI_SUCCESS;
#ifdef OPEN_MPI
    MPI_Fint integers[sizeof *status / sizeof(MPI_Fint)];
    PMPI_Status_c2f(status, integers);
    o->query(&o->state, integers, &rc);
    PMPI_Status_f2c(integers, status);
#else
    o->query(&o->state, status, &rc);
#endif
    return rc;
}

static int release(void *state) {
    operation *o = state;
    MPI_Fint rc = MPI_SUCCESS;
    o->release(&o->state, &rc);
    free(o);
    return rc;
}

static int cancel(void *state, int complete) {
    operation *o = state;
    MPI_Fint rc = MPI_SUCCESS;
    o->cancel(&o->state, &complete, &rc);
    return rc;
}

WC_EXPORT void F(mpi_grequest_start)(query_function *query_fn, release_function *free_fn,
                                     cancel_function *cancel_fn, const MPI_Aint *extra_state,
                                     MPI_Fint *request, MPI_Fint *ierror);
WC_EXPORT void F(mpi_grequest_start)(query_function *query_fn, release_function *free_fn,
                                     cancel_function *cancel_fn, const MPI_Aint *extra_state,
                                     MPI_Fint *request, MPI_Fint *ierror) {
    operation *o = wc_core_alloc(sizeof *o);
    *o = (operation){query_fn, free_fn, cancel_fn, *extra_state};
    MPI_Request c;
    int rc = MPI_Grequest_start(query, release, cancel, o, &c);
    if (rc == MPI_SUCCESS)
        *request = MPI_Request_c2f(c);
    else
        free(o);
    wc_f_error(ierror, rc);
}
F08_TOO(mpi_grequest_start)
