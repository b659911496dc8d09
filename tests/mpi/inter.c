/* SPDX-License-Identifier: BSD-3-Clause */
/* Intercommunicators, and communicators of some ranks: four ranks in two components, the even and the odd ones. */
#include "common.h"

#include <string.h>

enum { TAG = 3, OTHER_TAG = 4, RANKS = 4, SMALL = 100 };

static MPI_Comm half, inter;
static bool is_open;
static int place,
    other; /* in this rank's group; rank of the world that has the same place in the other one */

/* Once for all cases. The leaders are the last ones. */
static void open_inter(void) {
    if (is_open)
        return;
    is_open = true;
    CHECK_EQUAL(test.ranks, RANKS);
    MPI_Comm_split(MPI_COMM_WORLD, test.rank % 2, test.rank, &half);
    MPI_Comm_rank(half, &place);
    other = test.rank ^ 1;
    MPI_Intercomm_create(half, 1, MPI_COMM_WORLD, 3 - test.rank % 2, TAG, &inter);
}

static int world_of(int peer) { /* of a rank of the other group */
    return 2 * peer + 1 - test.rank % 2;
}

/* ---- messages ---- */

static char in[RANKS][BIG], out[BIG];

static int bytes_of(int round, int from) {
    return (round + from) % 3 ? SMALL : BIG;
}

static void check_message(const char *data, const MPI_Status *status, int round, int tag) {
    int from = world_of(status->MPI_SOURCE), bytes = bytes_of(round, from);
    CHECK(status->MPI_SOURCE >= 0 && status->MPI_SOURCE < RANKS / 2);
    CHECK(test_status_is(status, status->MPI_SOURCE, tag, bytes));
    CHECK(test_is_filled(data, (size_t)bytes, test_seed(from, tag)));
}

/* Each rank to both of the other component; posted before, or found by a probe. Ranks may be a round apart. */
static void messages(int round) {
    MPI_Request requests[4];
    MPI_Status statuses[4], probed;
    bool posted = round % 2;
    int tag = 10 + round;
    open_inter();
    int bytes = bytes_of(round, test.rank);
    for (int p = 0; p < 2 && posted; p++)
        MPI_Irecv(in[p], BIG, MPI_BYTE, round % 4 == 1 ? MPI_ANY_SOURCE : p,
                  round % 4 == 1 ? tag : MPI_ANY_TAG, inter, &requests[p]);
    test_ask();
    test_fill(out, (size_t)bytes, test_seed(test.rank, tag));
    for (int p = 0; p < 2; p++)
        MPI_Isend(out, bytes, MPI_BYTE, (p + test.rank) % 2, tag, inter, &requests[2 + p]);
    test_idle();
    for (int p = 0; p < 2 && !posted; p++) {
        MPI_Probe(MPI_ANY_SOURCE, tag, inter, &probed);
        MPI_Recv(in[p], BIG, MPI_BYTE, probed.MPI_SOURCE, probed.MPI_TAG, inter, &statuses[p]);
        CHECK_EQUAL(statuses[p].MPI_SOURCE, probed.MPI_SOURCE);
        requests[p] = MPI_REQUEST_NULL;
    }
    if (posted)
        MPI_Waitall(4, requests, statuses);
    else
        MPI_Waitall(2, requests + 2, statuses + 2);
    for (int p = 0; p < 2; p++)
        check_message(in[p], &statuses[p], round, tag);
    CHECK(statuses[0].MPI_SOURCE != statuses[1].MPI_SOURCE);
}

/* A question to the other component, whose answer is all that its rank waits for. */
static void request_reply(int round) {
    MPI_Status status;
    int question = 10 * round + test.rank, answer = -1, tag = 10 + round;
    open_inter();
    if (test.rank % 2) {
        test_ask();
        MPI_Send(&question, 1, MPI_INT, (place + round) % 2, tag, inter);
        MPI_Recv(&answer, 1, MPI_INT, MPI_ANY_SOURCE, OTHER_TAG, inter, &status);
        CHECK_EQUAL(status.MPI_SOURCE, (place + round) % 2);
        CHECK_EQUAL(answer, question + 1);
        return;
    }
    MPI_Recv(&question, 1, MPI_INT, MPI_ANY_SOURCE, tag, inter, &status);
    CHECK_EQUAL(question, 10 * round + world_of(status.MPI_SOURCE));
    question++;
    MPI_Ssend(&question, 1, MPI_INT, status.MPI_SOURCE, OTHER_TAG, inter);
}

/* ---- collectives ---- */

static int root_of(int group,
                   int root) { /* as the root's argument of a collective from or to `group` */
    if (test.rank % 2 != group)
        return root;
    return place == root ? MPI_ROOT : MPI_PROC_NULL;
}

/* In the odd rounds a large receive is outstanding, which the barrier must not stand in the way of. */
static void collectives(int round) {
    int mine = 100 * round + test.rank, sum = -1, all[2] = {-1, -1}, from = round % 2,
        root = round / 2 % 2, word = test.rank % 2 == from ? round : -1;
    MPI_Request big, barrier;
    open_inter();
    if (test.rank % 2 == 0)
        MPI_Irecv(in[0], BIG, MPI_BYTE, place, TAG, inter, &big);
    test_ask();
    test_idle();
    if (test.rank % 2) {
        test_fill(out, BIG, test_seed(test.rank, 0));
        MPI_Send(out, BIG, MPI_BYTE, place, TAG, inter);
    }
    MPI_Barrier(inter);
    if (test.rank % 2 == 0) {
        MPI_Wait(&big, MPI_STATUS_IGNORE);
        CHECK(test_is_filled(in[0], BIG, test_seed(other, 0)));
    }
    MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, inter);
    CHECK_EQUAL(sum, 200 * round + world_of(0) + world_of(1));
    MPI_Allgather(&mine, 1, MPI_INT, all, 1, MPI_INT, inter);
    CHECK(all[0] == 100 * round + world_of(0) && all[1] == 100 * round + world_of(1));
    MPI_Bcast(&word, 1, MPI_INT, root_of(from, root), inter);
    CHECK_EQUAL(word, round);
    MPI_Ibarrier(inter, &barrier);
    test_idle();
    MPI_Wait(&barrier, MPI_STATUS_IGNORE);
}

/* ---- what is made of one ---- */

static void check_members(MPI_Comm comm, int size, int remote) {
    int is_inter, n, m = 0;
    MPI_Comm_test_inter(comm, &is_inter);
    MPI_Comm_size(comm, &n);
    if (is_inter)
        MPI_Comm_remote_size(comm, &m);
    CHECK_EQUAL(n, size);
    CHECK_EQUAL(m, remote);
}

/* To a rank that is there, and back from it. */
static void echo(MPI_Comm comm, int peer) {
    int got = -1;
    MPI_Sendrecv(&test.round, 1, MPI_INT, peer, TAG, &got, 1, MPI_INT, peer, TAG, comm,
                 MPI_STATUS_IGNORE);
    CHECK_EQUAL(got, test.round);
}

static void merge(int round) {
    MPI_Comm all, copy;
    int rank, result;
    open_inter();
    test_ask();
    MPI_Intercomm_merge(inter, (test.rank + round) % 2, &all);
    MPI_Comm_rank(all, &rank);
    CHECK_EQUAL(rank, place + ((test.rank + round) % 2 ? 2 : 0));
    check_members(all, RANKS, 0);
    MPI_Comm_dup(all, &copy);
    MPI_Comm_compare(all, copy, &result);
    CHECK_EQUAL(result, MPI_CONGRUENT);
    echo(copy, (rank + 2) % 4);
    MPI_Comm_free(&all);
    echo(copy, 3 - rank);
    MPI_Comm_disconnect(&copy);
}

static void made_of_one(int round) {
    MPI_Comm copy, later, pairs, firsts;
    MPI_Request request;
    MPI_Group group, first;
    int zero = 0;
    open_inter();
    test_ask();
    MPI_Comm_dup(inter, &copy);
    MPI_Comm_idup(inter, &later, &request);
    test_idle();
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    check_members(copy, 2, 2);
    check_members(later, 2, 2);
    MPI_Comm_split(copy, place, 0, &pairs);
    check_members(pairs, 1, 1);
    MPI_Comm_group(copy, &group);
    MPI_Group_incl(group, 1, &zero, &first);
    MPI_Comm_create(copy, first, &firsts);
    CHECK((firsts != MPI_COMM_NULL) == (place == 0));
    echo(copy, round % 2 ? place : 1 - place);
    MPI_Comm_free(&copy);
    echo(pairs, 0);
    if (firsts != MPI_COMM_NULL) {
        echo(firsts, 0);
        MPI_Barrier(firsts);
        MPI_Comm_free(&firsts);
    }
    echo(later, place);
    MPI_Comm_free(&pairs);
    MPI_Comm_free(&later);
    MPI_Group_free(&first);
    MPI_Group_free(&group);
}

/* Freed by one side while the other still sends on it. */
static void freed(int round) {
    MPI_Comm copy;
    MPI_Request requests[2];
    MPI_Status status;
    int bytes = round % 2 ? BIG : SMALL;
    open_inter();
    MPI_Comm_dup(inter, &copy);
    test_fill(out, BIG, test_seed(test.rank, 0));
    MPI_Irecv(in[0], BIG, MPI_BYTE, place, MPI_ANY_TAG, copy, &requests[0]);
    test_ask();
    if (test.rank % 2)
        for (int i = 0; i < round % 7 * 10; i++)
            test_idle();
    MPI_Isend(out, bytes, MPI_BYTE, place, TAG, copy, &requests[1]);
    MPI_Comm_free(&copy);
    test_idle();
    MPI_Wait(&requests[0], &status);
    MPI_Wait(&requests[1], MPI_STATUS_IGNORE);
    CHECK(test_status_is(&status, place, TAG, bytes));
    CHECK(test_is_filled(in[0], (size_t)bytes, test_seed(other, 0)));
}

/* As many as an MPI library has are used up quickly if freed ones stay. */
static void many_freed(int round) {
    (void)round;
    open_inter();
    for (int i = 0; i < 20; i++) {
        MPI_Comm one;
        MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - test.rank % 2, TAG, &one);
        echo(one, place);
        MPI_Comm_free(&one);
    }
}

/* ---- communicators of some ranks ---- */

/* Ranks 0 to 2 make one, and 1 to 3 another, in this order or the other one, while messages are under way between ranks
 * of both. Those in both have made more communicators than the others. */
static void overlapping(int round) {
    static const int ranks[2][2][3] = {{{0, 1, 2}, {2, 0, 1}}, {{1, 2, 3}, {3, 1, 2}}};
    MPI_Group world, group;
    MPI_Comm comms[2] = {MPI_COMM_NULL, MPI_COMM_NULL};
    int got[2] = {-1, -1}, rank;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    if (test.rank % 3)
        MPI_Isend(&round, 1, MPI_INT, 3 - test.rank, OTHER_TAG, MPI_COMM_WORLD, &request);
    test_ask();
    for (int k = 0; k < 2; k++) {
        int which = (k + round) % 2;
        if ((which == 0 && test.rank == 3) || (which == 1 && test.rank == 0))
            continue;
        MPI_Group_incl(world, 3, ranks[which][round / 2 % 2], &group);
        MPI_Comm_create_group(MPI_COMM_WORLD, group, TAG, &comms[which]);
        MPI_Group_free(&group);
    }
    for (int k = 0; k < 2; k++) {
        int which = (k + round) % 2, sum = -1;
        if (comms[which] == MPI_COMM_NULL)
            continue;
        MPI_Comm_rank(comms[which], &rank);
        MPI_Sendrecv(&test.rank, 1, MPI_INT, (rank + 1) % 3, TAG, &got[which], 1, MPI_INT,
                     (rank + 2) % 3, TAG, comms[which], MPI_STATUS_IGNORE);
        CHECK_EQUAL(got[which], ranks[which][round / 2 % 2][(rank + 2) % 3]);
        MPI_Allreduce(&test.rank, &sum, 1, MPI_INT, MPI_SUM, comms[which]);
        CHECK_EQUAL(sum, which ? 6 : 3);
        MPI_Comm_free(&comms[which]);
    }
    if (test.rank % 3) {
        MPI_Recv(&got[0], 1, MPI_INT, 3 - test.rank, MPI_ANY_TAG, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
        CHECK_EQUAL(got[0], round);
        MPI_Wait(&request, MPI_STATUS_IGNORE);
    }
    MPI_Group_free(&world);
}

/* What MPI itself makes of the error handler of the parent: MPICH 4.0 forgets it. */
static MPI_Errhandler inherited(MPI_Errhandler of_parent) {
    MPI_Comm parent, comm;
    MPI_Group group;
    MPI_Errhandler handler;
    PMPI_Comm_dup(MPI_COMM_SELF, &parent);
    PMPI_Comm_set_errhandler(parent, of_parent);
    PMPI_Comm_group(parent, &group);
    PMPI_Comm_create_group(parent, group, TAG, &comm);
    PMPI_Comm_get_errhandler(comm, &handler);
    PMPI_Group_free(&group);
    PMPI_Comm_free(&comm);
    PMPI_Comm_free(&parent);
    return handler;
}

/* What MPI refuses is not counted. */
static void errors(int round) {
    MPI_Group world;
    MPI_Comm parent, comm;
    MPI_Errhandler handler;
    (void)round;
    MPI_Comm_dup(MPI_COMM_WORLD, &parent);
    MPI_Comm_set_errhandler(parent, MPI_ERRORS_RETURN);
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    MPI_Comm_create_group(parent, world, TAG, &comm);
    MPI_Comm_get_errhandler(comm, &handler);
    CHECK(handler == inherited(MPI_ERRORS_RETURN));
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    CHECK(MPI_Send(NULL, 0, MPI_BYTE, RANKS, TAG, comm) != MPI_SUCCESS);
    open_inter();
    MPI_Errhandler_free(&handler);
    MPI_Group_free(&world);
    MPI_Comm_free(&comm);
    MPI_Comm_free(&parent);
    MPI_Comm_dup(inter, &comm);
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    CHECK(MPI_Send(NULL, 0, MPI_BYTE, RANKS / 2, TAG, comm) != MPI_SUCCESS);
    CHECK(MPI_Recv(NULL, 0, MPI_BYTE, RANKS / 2, TAG, comm, MPI_STATUS_IGNORE) != MPI_SUCCESS);
    echo(comm, place);
    MPI_Comm_free(&comm);
}

static const test_case cases[] = {
    {"messages", messages, 300, 0, NULL},
    {"request_reply", request_reply, 300, 0, NULL},
    {"collectives", collectives, 200, 0, NULL},
    {"merge", merge, 100, 0, NULL},
    {"made_of_one", made_of_one, 60, 0, NULL},
    {"freed", freed, 100, 0, NULL},
    {"many_freed", many_freed, 30, 0, NULL},
    {"overlapping", overlapping, 200, 0, NULL},
    {"errors", errors, 20, 0, NULL}, /* last: errors that return take longer ways */
};

int main(int argc, char **argv) {
    return test_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
