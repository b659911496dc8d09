/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Communicators that are made by some ranks, which need not be all members of another one: by those of a group,
 * and by two groups. Nobody else takes part, so such a call is counted on an account that its ranks have in
 * common, whatever else each of them makes. An account stands among the communicators, for the core is it one:
 * all members have completed the same there at the cut, or the attempt is void.
 */
#include "layer.h"

#include <stdlib.h>

uint64_t wc_uid_mix(uint64_t h, uint64_t x) {
    h = (h ^ x) * UINT64_C(0xD6E8FEB86659FD93);
    return h ^ h >> 32;
}

int *wc_group_ranks(MPI_Group group, MPI_Group other, int *n) {
    PMPI_Group_size(group, n);
    size_t bytes = (size_t)*n * sizeof(int);
    int *own = wc_core_alloc(bytes), *found = wc_core_alloc(bytes);
    for (int i = 0; i < *n; i++)
        own[i] = i;
    PMPI_Group_translate_ranks(group, *n, own, other, found);
    free(own);
    return found;
}

bool wc_group_is_within(MPI_Group group, MPI_Group other) {
    int result;
    MPI_Group common;
    PMPI_Group_intersection(group, other, &common);
    PMPI_Group_compare(group, common, &result);
    if (common != MPI_GROUP_EMPTY)
        PMPI_Group_free(&common);
    return result != MPI_UNEQUAL;
}

bool wc_comm_leaves_job(const wc_mpi_comm *c) {
    return !wc_group_is_within(c->group, L.job_group) ||
           (c->peers != c->group && !wc_group_is_within(c->peers, L.job_group));
}

/* ---- accounts ---- */

/* False: it has members that are no part of the world. */
static bool mix_group(uint64_t *uid, MPI_Group group) {
    MPI_Group all;
    int size;
    bool known = true;
    PMPI_Comm_group(MPI_COMM_WORLD, &all);
    int *world = wc_group_ranks(group, all, &size);
    PMPI_Group_free(&all);
    *uid = wc_uid_mix(*uid, (uint64_t)size);
    for (int i = 0; i < size; i++) {
        known = known && world[i] != MPI_UNDEFINED;
        *uid = wc_uid_mix(*uid, (uint64_t)world[i]);
    }
    free(world);
    return known;
}

/* The same on all members of both groups. */
static bool mix_groups(uint64_t *uid, const wc_mpi_comm *c) {
    MPI_Group first = c->core.second ? c->peers : c->group;
    MPI_Group second = c->core.second ? c->group : c->peers;
    return mix_group(uid, first) && (first == second || mix_group(uid, second));
}

/* That of the ranks that have made `comm`. NULL: other processes are among them. */
static wc_mpi_comm *account_of(MPI_Comm comm) {
    uint64_t uid = UINT64_C(0xACC0);
    wc_mpi_comm *c = wc_comm_new(comm);
    bool known = mix_groups(&uid, c);
    wc_mpi_comm *account = known ? wc_comm_by_uid(uid) : NULL;
    if (account || !known) {
        wc_comm_discard(c);
        return account;
    }
    wc_comm_add(c, MPI_COMM_NULL, uid, NULL);
    return c;
}

/* `call` has made it. */
static void made(const char *call, MPI_Comm comm, const char *how, int tag) {
    if (L.way == WC_WAY_OFF || comm == MPI_COMM_NULL)
        return;
    wc_mpi_comm *account = account_of(comm);
    if (!account || account->core.outside) /* nobody could compare what those have completed */
        wc_forbid(call);
    if (!account)
        return;
    wc_core_collective(&L.core, &account->core);
    wc_comm_made(account, comm, comm, how, tag);
    wc_comm_drop_assertions(comm);
    wc_layer_update();
}

/* ---- the calls ----
 *
 * Some MPI exchanges messages of the application's tag inside them, on the communicator that it is given. There
 * the library could pull them. One that is not pulled serves as well, for ranks of the job: all of them see alike
 * whether they are. */

/* The communicator that is made may inherit the error handler of the one it is made of. */
static void lend_errhandler_to_job(MPI_Comm from) {
    MPI_Errhandler handler;
    PMPI_Comm_get_errhandler(from, &handler);
    PMPI_Comm_set_errhandler(L.job, handler);
    PMPI_Errhandler_free(&handler);
}

/* Where MPI would refuse the group, it may say so itself. */
static bool is_group_in_job(MPI_Comm comm, MPI_Group group) {
    const wc_mpi_comm *c = L.attached ? wc_comm_of(comm) : NULL;
    return c && !c->core.remote_size && group != MPI_GROUP_NULL &&
           wc_group_is_within(group, c->group) && wc_group_is_within(group, L.job_group);
}

WC_EXPORT int MPI_Comm_create_group(MPI_Comm comm, MPI_Group group, int tag, MPI_Comm *newcomm) {
    WC_GUARD(__func__);
    bool in_job = is_group_in_job(comm, group);
    if (in_job)
        lend_errhandler_to_job(comm);
    bool slow = wc_native_enter("MPI_Comm_create_group", NULL);
    int rc = PMPI_Comm_create_group(in_job ? L.job : comm, group, tag, newcomm);
    wc_native_leave(slow);
    if (in_job)
        lend_errhandler_to_job(L.control); /* as it was */
    if (rc == MPI_SUCCESS)
        made("MPI_Comm_create_group", *newcomm, "create_group", tag);
    return rc;
}

/* The other leader's rank in the job; MPI_UNDEFINED: it takes no part, or this rank is no leader. */
static int leader_in_job(MPI_Comm local, int leader, MPI_Comm peer, int remote) {
    int rank, job = MPI_UNDEFINED;
    if (!L.attached || PMPI_Comm_rank(local, &rank) != MPI_SUCCESS || rank != leader)
        return MPI_UNDEFINED;
    const wc_mpi_comm *c = wc_comm_of(peer);
    if (c && remote >= 0 && remote < wc_comm_peers(&c->core))
        PMPI_Group_translate_ranks(c->peers, 1, &remote, L.job_group, &job);
    return job;
}

WC_EXPORT int MPI_Intercomm_create(MPI_Comm local, int leader, MPI_Comm peer, int remote, int tag,
                                   MPI_Comm *newcomm) {
    WC_GUARD(__func__);
    int job = leader_in_job(local, leader, peer, remote);
    bool slow = wc_native_enter("MPI_Intercomm_create", NULL);
    int rc = job == MPI_UNDEFINED ? PMPI_Intercomm_create(local, leader, peer, remote, tag, newcomm)
                                  : PMPI_Intercomm_create(local, leader, L.job, job, tag, newcomm);
    wc_native_leave(slow);
    if (rc == MPI_SUCCESS) /* the tag is the leaders' affair */
        made("MPI_Intercomm_create", *newcomm, "intercomm", 0);
    return rc;
}
