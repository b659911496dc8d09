/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two components, the ranks of even and of odd number, that talk to each other over an intercommunicator. In some
 * rounds communicators are made of both, or of some ranks alone, and freed.
 */
#include "sim.h"

enum { ROUNDS = 30, COUPLING = 4, MOST = 3 * SIM_RANKS };

static uint64_t chance(uint64_t what) {
    return sim_hash(J.options.seed + what, (uint64_t)me->state.step, what);
}

static int number_of(int from, int to) {
    if (from % 2 == to % 2)
        return 0;
    uint64_t way = (uint64_t)(me->state.step * 64 + from * 8 + to);
    return (int)(sim_hash(J.options.seed, way, 7) % 4);
}

/* Tags are those of the round, so that nobody who is ahead answers for a later one. */
static void exchange(void) {
    sim_slot slots[MOST], *at[MOST];
    sim_payload out[MOST];
    MPI_Request sends[MOST];
    int n = 0, sent = 0, tag = SIM_TAGS + me->state.step;
    bool wild = chance(1) % 2;
    for (int from = 0; from < J.ranks; from++)
        for (int m = 0; m < number_of(from, me->rank); m++) {
            at[n] = &slots[n];
            sim_slot_set(&slots[n], COUPLING, wild ? MPI_ANY_SOURCE : from, tag);
            sim_slot_post(&slots[n++]);
        }
    for (int to = 0; to < J.ranks; to++)
        for (int m = 0; m < number_of(me->rank, to); m++) {
            sim_compose(&out[sent], COUPLING, to, tag, 0, 0);
            sends[sent] = sim_isend(&out[sent], sim_choose(8) == 0);
            sent++;
        }
    sim_slots_wait(at, n);
    MPI_Waitall(sent, sends, MPI_STATUSES_IGNORE);
}

static void meet_and_free(MPI_Comm *comm) {
    if (chance(5) % 2)
        MPI_Barrier(*comm);
    MPI_Comm_free(comm);
}

/* Some are in one group, some in the other, and most in both. */
static void groups(void) {
    MPI_Group world, group;
    MPI_Comm comm;
    PMPI_Comm_group(MPI_COMM_WORLD, &world);
    for (int first = 0; first < 2; first++) {
        int ranks[SIM_RANKS], n = J.ranks - 1;
        for (int i = 0; i < n; i++)
            ranks[i] = first + (chance(2) % 2 ? i : n - 1 - i);
        if (me->rank < first || me->rank >= first + n)
            continue;
        PMPI_Group_incl(world, n, ranks, &group);
        MPI_Comm_create_group(MPI_COMM_WORLD, group, 0, &comm);
        MPI_Comm_free(&comm); /* the next one is made at once */
        MPI_Comm_create_group(MPI_COMM_WORLD, group, 0, &comm);
        meet_and_free(&comm);
    }
}

static void both(void) {
    MPI_Comm copy, merged, again;
    MPI_Comm_dup(me->comms[COUPLING], &copy);
    MPI_Intercomm_merge(copy, me->rank % 2, &merged);
    MPI_Intercomm_create(me->comms[2], 0, MPI_COMM_WORLD, 1 - me->rank % 2, 0, &again);
    meet_and_free(&again);
    meet_and_free(&copy);
    meet_and_free(&merged);
}

void sim_coupled(void) {
    for (; me->state.step < ROUNDS; me->state.step++) {
        sim_safepoint();
        if (chance(6) % 3) /* else nothing tells others that this rank has recorded */
            exchange();
        if (me->state.step % 3 == 0)
            MPI_Barrier(me->comms[COUPLING]);
        if (chance(3) % 4 == 0)
            groups();
        if (chance(4) % 6 == 0)
            both();
    }
}
