/* SPDX-License-Identifier: BSD-3-Clause */
/* Communicators: found by handle, made and freed. */
#include "layer.h"

#include "wc_calls.h"

#include <stdlib.h>

/* By handle: few, so a list from the newest on does, with the last one looked up cached by
 * wc_comm_of. */
static wc_mpi_comm *find(MPI_Comm comm) {
    for (wc_comm *c = L.core.comms; c; c = c->next) {
        wc_mpi_comm *m = wc_comm_from_core(c);
        if ((m->handle == comm || m->coming == comm) && !c->freed)
            return m;
    }
    return NULL;
}

/* The program uses it, or could: its request is complete. */
static void arrive(wc_mpi_comm *c) {
    if (c->coming == MPI_COMM_NULL)
        return;
    c->handle = c->coming;
    c->coming = MPI_COMM_NULL;
    L.coming--;
}

void wc_comm_arrived(void) {
    for (wc_comm *c = L.core.comms; c && L.coming; c = c->next)
        arrive(wc_comm_from_core(c));
}

static wc_outside **find_outside(MPI_Comm comm) {
    wc_outside **at = &L.outside;
    while (*at && (*at)->handle != comm)
        at = &(*at)->next;
    return at;
}

wc_mpi_comm *wc_comm_lookup(MPI_Comm comm) {
    wc_mpi_comm *m = comm == MPI_COMM_NULL ? NULL : find(comm);
    if (m) {
        arrive(m);
        L.last_comm = m;
        wc_comm_choose_fast();
        return m;
    }
    if (comm != MPI_COMM_NULL && !*find_outside(comm))
        wc_forbid("a communicator that was made by a call unknown to Wavecut");
    return NULL;
}

wc_mpi_comm *wc_comm_by_uid(uint64_t uid) {
    for (wc_comm *c = L.core.comms; c; c = c->next)
        if (c->uid == uid)
            return wc_comm_from_core(c);
    return NULL;
}

/* Rank in the world of the first member. */
static int first_in_world(MPI_Group group) {
    int first = 0, world = 0;
    MPI_Group all;
    PMPI_Comm_group(MPI_COMM_WORLD, &all);
    PMPI_Group_translate_ranks(group, 1, &first, all, &world);
    PMPI_Group_free(&all);
    return world;
}

wc_mpi_comm *wc_comm_new(MPI_Comm comm) {
    int inter;
    wc_mpi_comm *c = wc_core_alloc(sizeof *c);
    *c = (wc_mpi_comm){
        .handle = MPI_COMM_NULL, .coming = MPI_COMM_NULL, .all_freed = MPI_REQUEST_NULL};
    PMPI_Comm_rank(comm, &c->core.rank);
    PMPI_Comm_size(comm, &c->core.size);
    PMPI_Comm_group(comm, &c->group);
    c->peers = c->group;
    PMPI_Comm_test_inter(comm, &inter);
    if (inter) {
        PMPI_Comm_remote_size(comm, &c->core.remote_size);
        PMPI_Comm_remote_group(comm, &c->peers);
        c->core.second = first_in_world(c->peers) < first_in_world(c->group);
    }
    return c;
}

void wc_comm_add(wc_mpi_comm *c, MPI_Comm handle, uint64_t uid, const char *how) {
    c->core.uid = uid;
    c->handle = handle;
    c->how = how;
    c->core.outside = L.attached && wc_comm_leaves_job(c);
    wc_core_add_comm(&L.core, &c->core);
}

void wc_comm_discard(wc_mpi_comm *c) {
    if (c->peers != c->group)
        PMPI_Group_free(&c->peers);
    PMPI_Group_free(&c->group);
    free(c->marker_receives);
    free(c);
}

/* Hints that let MPI break the order of messages, or leave out wildcards, break the pull. They are
 * only hints. */
static void deny_assertions(MPI_Info info) {
    static const char *const keys[] = {"mpi_assert_allow_overtaking", "mpi_assert_no_any_tag",
                                       "mpi_assert_no_any_source", "mpi_assert_exact_length"};
    char value[16];
    int found;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        PMPI_Info_get(info, keys[i], sizeof value - 1, value, &found);
        if (found)
            PMPI_Info_set(info, keys[i], "false");
    }
}

void wc_comm_drop_assertions(MPI_Comm comm) {
    MPI_Info info;
    if (PMPI_Comm_get_info(comm, &info) != MPI_SUCCESS)
        return;
    deny_assertions(info);
    PMPI_Comm_set_info(comm, info);
    PMPI_Info_free(&info);
}

static void note_errhandler(wc_mpi_comm *c, MPI_Comm comm) {
    MPI_Errhandler handler;
    if (PMPI_Comm_get_errhandler(comm, &handler) != MPI_SUCCESS)
        return;
    c->careful = handler != MPI_ERRORS_ARE_FATAL;
    L.careful = L.careful || c->careful;
    PMPI_Errhandler_free(&handler);
    wc_layer_update();
}

/* Members make a communicator in the same order on its parent, so all of them get the same uid, and
 * get it again after a restart, without a message. */
wc_mpi_comm *wc_comm_made(wc_mpi_comm *parent, MPI_Comm of, MPI_Comm comm, const char *how,
                          int64_t colour) {
    uint64_t ordinal = ++parent->core.creations;
    if (of == MPI_COMM_NULL)
        return NULL;
    wc_mpi_comm *c = wc_comm_new(of);
    int first = first_in_world(c->core.second ? c->peers : c->group);
    uint64_t uid = wc_uid_mix(wc_uid_mix(parent->core.uid, ordinal), (uint64_t)colour);
    c->parent_uid = parent->core.uid;
    c->ordinal = ordinal;
    c->colour = colour;
    wc_comm_add(c, comm, wc_uid_mix(uid, (uint64_t)first), how);
    note_errhandler(c, of);
    return c;
}

WC_EXPORT int MPI_Comm_set_errhandler(MPI_Comm comm, MPI_Errhandler handler) {
    WC_GUARD(__func__);
    int rc = PMPI_Comm_set_errhandler(comm, handler);
    /* One of MPI_Comm_idup need not be there: mpi4py sets it at once. */
    wc_mpi_comm *c = L.way == WC_WAY_OFF || comm == MPI_COMM_NULL ? NULL : find(comm);
    if (c)
        note_errhandler(c, comm);
    return rc;
}

/* Its old name. Some mpi.h don't declare it, or make it an error. */
#undef MPI_Errhandler_set
WC_EXPORT int MPI_Errhandler_set(MPI_Comm comm, MPI_Errhandler handler);
WC_EXPORT int MPI_Errhandler_set(MPI_Comm comm, MPI_Errhandler handler) {
    return MPI_Comm_set_errhandler(comm, handler);
}

WC_EXPORT int MPI_Comm_set_info(MPI_Comm comm, MPI_Info info) {
    WC_GUARD(__func__);
    int rc = PMPI_Comm_set_info(comm, info);
    if (rc == MPI_SUCCESS && L.way != WC_WAY_OFF)
        wc_comm_drop_assertions(comm);
    return rc;
}

/* The communicator that another one is made of. NULL: not known. */
static wc_mpi_comm *parent_of(MPI_Comm comm) {
    wc_mpi_comm *c = wc_comm_of(comm);
    if (!c && comm != MPI_COMM_NULL)
        wc_forbid("a communicator that was made of one with other processes");
    return c;
}

#define begin(parent) begin_call(__func__, parent)

static wc_mpi_comm *begin_call(const char *call, MPI_Comm parent) {
    wc_mpi_comm *c = NULL;
    if (L.way != WC_WAY_OFF) {
        wc_layer_touch();
        c = parent_of(parent);
    }
    if (c && !L.multiple)
        wc_core_native_begin(&L.core);
    if (c)
        wc_core_collective(&L.core, &c->core);
    if (c && L.watched)
        wc_watch_native(call, c);
    wc_let_go();
    return c;
}

static int end(wc_mpi_comm *parent, int rc, const MPI_Comm *comm, const char *how, int64_t colour) {
    wc_take_again();
    if (!parent)
        return rc;
    wc_core_native_end(&L.core);
    if (L.watched)
        wc_watch_leave();
    if (rc != MPI_SUCCESS)
        wc_core_no_collective(&L.core, &parent->core);
    else if (wc_comm_made(parent, *comm, *comm, how, colour))
        wc_comm_drop_assertions(*comm);
    wc_layer_update();
    return rc;
}

WC_EXPORT int MPI_Comm_dup(MPI_Comm comm, MPI_Comm *newcomm) {
    WC_GUARD(__func__);
    wc_mpi_comm *c = begin(comm);
    return end(c, PMPI_Comm_dup(comm, newcomm), newcomm, "dup", 0);
}

WC_EXPORT int MPI_Comm_dup_with_info(MPI_Comm comm, MPI_Info info, MPI_Comm *newcomm) {
    WC_GUARD(__func__);
    wc_mpi_comm *c = begin(comm);
    return end(c, PMPI_Comm_dup_with_info(comm, info, newcomm), newcomm, "dup", 0);
}

WC_EXPORT int MPI_Comm_split(MPI_Comm comm, int color, int key, MPI_Comm *newcomm) {
    WC_GUARD(__func__);
    wc_mpi_comm *c = begin(comm);
    return end(c, PMPI_Comm_split(comm, color, key, newcomm), newcomm, "split", color);
}

WC_EXPORT int MPI_Comm_split_type(MPI_Comm comm, int type, int key, MPI_Info info,
                                  MPI_Comm *newcomm) {
    WC_GUARD(__func__);
    wc_mpi_comm *c = begin(comm);
    return end(c, PMPI_Comm_split_type(comm, type, key, info, newcomm), newcomm, "split", type);
}

WC_EXPORT int MPI_Comm_create(MPI_Comm comm, MPI_Group group, MPI_Comm *newcomm) {
    WC_GUARD(__func__);
    wc_mpi_comm *c = begin(comm);
    return end(c, PMPI_Comm_create(comm, group, newcomm), newcomm, "create", 0);
}

WC_EXPORT int MPI_Cart_create(MPI_Comm comm, int ndims, const int dims[], const int periods[],
                              int reorder, MPI_Comm *newcomm) {
    WC_GUARD(__func__);
    wc_mpi_comm *c = begin(comm);
    return end(c, PMPI_Cart_create(comm, ndims, dims, periods, reorder, newcomm), newcomm, "cart",
               0);
}

WC_EXPORT int MPI_Cart_sub(MPI_Comm comm, const int remain[], MPI_Comm *newcomm) {
    WC_GUARD(__func__);
    wc_mpi_comm *c = begin(comm);
    return end(c, PMPI_Cart_sub(comm, remain, newcomm), newcomm, "cart", 0);
}

WC_EXPORT int MPI_Graph_create(MPI_Comm comm, int nnodes, const int index[], const int edges[],
                               int reorder, MPI_Comm *newcomm) {
    WC_GUARD(__func__);
    wc_mpi_comm *c = begin(comm);
    return end(c, PMPI_Graph_create(comm, nnodes, index, edges, reorder, newcomm), newcomm, "graph",
               0);
}

WC_EXPORT int MPI_Dist_graph_create_adjacent(MPI_Comm comm, int indegree, const int sources[],
                                             const int source_weights[], int outdegree,
                                             const int destinations[], const int weights[],
                                             MPI_Info info, int reorder, MPI_Comm *newcomm) {
    WC_GUARD(__func__);
    wc_mpi_comm *c = begin(comm);
    return end(c,
               PMPI_Dist_graph_create_adjacent(comm, indegree, sources, source_weights, outdegree,
                                               destinations, weights, info, reorder, newcomm),
               newcomm, "graph", 0);
}

WC_EXPORT int MPI_Dist_graph_create(MPI_Comm comm, int n, const int nodes[], const int degrees[],
                                    const int targets[], const int weights[], MPI_Info info,
                                    int reorder, MPI_Comm *newcomm) {
    WC_GUARD(__func__);
    wc_mpi_comm *c = begin(comm);
    return end(
        c,
        PMPI_Dist_graph_create(comm, n, nodes, degrees, targets, weights, info, reorder, newcomm),
        newcomm, "graph", 0);
}

WC_EXPORT int MPI_Intercomm_merge(MPI_Comm intercomm, int high, MPI_Comm *newcomm) {
    WC_GUARD(__func__);
    wc_mpi_comm *c = begin(intercomm);
    return end(c, PMPI_Intercomm_merge(intercomm, high, newcomm), newcomm, "merge", 0);
}

/* ---- without waiting ---- */

static wc_mpi_comm *begin_idup(MPI_Comm parent) {
    wc_mpi_comm *c = L.way == WC_WAY_OFF ? NULL : parent_of(parent);
    wc_layer_touch();
    if (c)
        wc_core_collective(&L.core, &c->core);
    return c;
}

/* It has the members of its parent, and is known at once: others may tell of what they have sent on it.
 * But it is not touched before it is there. */
static int end_idup(wc_mpi_comm *parent, int rc, MPI_Comm comm, const MPI_Request *request) {
    wc_foreign_started(rc, request);
    if (L.watched && rc == MPI_SUCCESS)
        wc_watch_collective_request(*request, parent);
    if (!parent)
        return rc;
    if (rc != MPI_SUCCESS) {
        wc_core_no_collective(&L.core, &parent->core);
        return rc;
    }
    if (comm == MPI_COMM_NULL) /* an MPI that tells only later */
        wc_forbid("MPI_Comm_idup");
    wc_mpi_comm *c = wc_comm_made(parent, parent->handle, MPI_COMM_NULL, "dup", 0);
    c->coming = comm;
    L.coming += comm != MPI_COMM_NULL;
    return rc;
}

WC_EXPORT int MPI_Comm_idup(MPI_Comm comm, MPI_Comm *newcomm, MPI_Request *request) {
    WC_GUARD(__func__);
    wc_mpi_comm *c = begin_idup(comm);
    int rc = PMPI_Comm_idup(comm, newcomm, request);
    return end_idup(c, rc, rc == MPI_SUCCESS ? *newcomm : MPI_COMM_NULL, request);
}

#ifdef WC_HAVE_Comm_idup_with_info

WC_EXPORT int MPI_Comm_idup_with_info(MPI_Comm comm, MPI_Info info, MPI_Comm *newcomm,
                                      MPI_Request *request) {
    WC_GUARD(__func__);
    MPI_Info kept = info;
    wc_mpi_comm *c = begin_idup(comm);
    if (c && info != MPI_INFO_NULL) {
        PMPI_Info_dup(info, &kept);
        deny_assertions(kept);
    }
    int rc = PMPI_Comm_idup_with_info(comm, kept, newcomm, request);
    if (kept != info)
        PMPI_Info_free(&kept);
    return end_idup(c, rc, rc == MPI_SUCCESS ? *newcomm : MPI_COMM_NULL, request);
}

#endif

/* ---- release ---- */

/* True when nothing refers to it any more: it is gone. Worth a try once after each attempt. */
static bool forget(wc_mpi_comm *c) {
    uint64_t attempts = L.core.finished + 1;
    if (c->tried == attempts || wc_core_busy(&L.core) || wc_request_uses(c) || c->files)
        return false;
    c->tried = attempts;
    if (!wc_core_drop_comm(&L.core, &c->core))
        return false;
    if (L.watched)
        wc_watch_forget(c);
    if (L.traced)
        wc_trace_forget(&c->core);
    wc_comm_discard(c);
    return true;
}

static int release_outside(MPI_Comm *comm, int (*native)(MPI_Comm *)) {
    MPI_Comm handle = *comm;
    bool slow = wc_native_enter("MPI_Comm_disconnect", NULL);
    int rc = native(comm);
    wc_native_leave(slow);
    if (rc != MPI_SUCCESS)
        return rc;
    wc_outside **at = find_outside(handle), *o = *at;
    *at = o->next;
    free(o);
    wc_close(WC_OPEN_PROCESSES);
    return rc;
}

static int release(MPI_Comm *comm, int (*native)(MPI_Comm *)) {
    if (*find_outside(*comm))
        return release_outside(comm, native);
    wc_mpi_comm *c = L.way == WC_WAY_OFF || *comm == MPI_COMM_NULL ? NULL : wc_comm_of(*comm);
    if (!c || *comm == MPI_COMM_WORLD || *comm == MPI_COMM_SELF)
        return WC_WAITING(native(comm));
    wc_layer_touch();
    /* Immediate programs: a marker to a rank that has freed the communicator would never be
     * received. So it is only hidden until every peer has freed it, since from then on no marker
     * is sent on it, and until those of the attempt under way have been received. The barrier of an
     * intercommunicator tells just that (MPI 3.1, section 5.3). */
    c->going = !L.immediate;
    int rc = L.immediate ? wc_attributes_delete(*comm) : WC_WAITING(native(comm));
    c->going = false;
    if (rc != MPI_SUCCESS) /* the application's own function has said no */
        return rc;
    wc_persistent_leave(c);
    wc_core_free_comm(&L.core, &c->core);
    L.last_comm = WC_NO_COMM;
    wc_comm_no_fast();
    *comm = MPI_COMM_NULL;
    if (L.immediate) {
        L.freed_comms++;
        return PMPI_Ibarrier(c->handle, &c->all_freed);
    }
    c->handle = MPI_COMM_NULL;
    L.freed_comms += !forget(c);
    return rc;
}

WC_EXPORT int MPI_Comm_free(MPI_Comm *comm) {
    WC_GUARD(__func__);
    return release(comm, PMPI_Comm_free);
}

WC_EXPORT int MPI_Comm_disconnect(MPI_Comm *comm) {
    WC_GUARD(__func__);
    return release(comm, PMPI_Comm_disconnect);
}

static bool is_needed(wc_mpi_comm *c) {
    int all = 0;
    if (!c->all_have_freed) {
        PMPI_Test(&c->all_freed, &all, MPI_STATUS_IGNORE);
        c->all_have_freed = all;
        c->last_attempt = wc_core_marks(&L.core) ? L.core.attempt : 0;
    }
    bool marked = wc_core_marks(&L.core) && c->last_attempt == L.core.attempt;
    return !c->all_have_freed || marked || wc_core_has_stashed(&L.core, &c->core) ||
           wc_request_uses(c);
}

void wc_comm_tidy(void) {
    for (wc_comm *core = L.core.comms, *next; core && L.freed_comms; core = next) {
        wc_mpi_comm *c = wc_comm_from_core(core);
        next = core->next;
        if (!core->freed)
            continue;
        if (c->handle != MPI_COMM_NULL && !is_needed(c)) {
            PMPI_Comm_free(&c->handle);
            c->handle = MPI_COMM_NULL;
        }
        if (c->handle == MPI_COMM_NULL)
            L.freed_comms -= forget(c);
    }
}

void wc_comm_free_all(void) {
    wc_comm_tidy(); /* one that another member has not freed stays with MPI */
    while (L.core.comms) {
        wc_mpi_comm *c = wc_comm_from_core(L.core.comms);
        L.core.comms = c->core.next;
        wc_comm_discard(c);
    }
}
